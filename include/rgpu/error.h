/* Error codes of the library, their names and texts.
 *
 * Threads: all functions here may be called from any thread. Memory: strings are static. */
#ifndef RGPU_ERROR_H
#define RGPU_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define RGPU_API __attribute__((visibility("default")))
#else
#define RGPU_API
#endif

/* X(code, value, text). AGAIN and END are states rather than faults: nothing is ready now; the
 * stream is over. */
#define RGPU_ERRORS(X)                                                                             \
    X(OK, 0, "success")                                                                            \
    X(MEMORY, -1, "out of memory")                                                                 \
    X(PARAM, -2, "invalid parameter")                                                              \
    X(NOT_FOUND, -3, "no such file or object")                                                     \
    X(ACCESS, -4, "permission denied")                                                             \
    X(EXISTS, -5, "output exists already")                                                         \
    X(NO_SPACE, -6, "no space left on the device")                                                 \
    X(IO, -7, "input/output error")                                                                \
    X(INPUT, -8, "input is not valid media")                                                       \
    X(UNSUPPORTED, -9, "not supported")                                                            \
    X(DEVICE, -10, "device not available")                                                         \
    X(NODE, -11, "node failed")                                                                    \
    X(LIMIT, -12, "limit exceeded")                                                                \
    X(CANCELLED, -13, "cancelled")                                                                 \
    X(VERIFY, -14, "result does not match the source")                                             \
    X(INTERNAL, -15, "internal error")                                                             \
    X(AGAIN, -16, "not ready yet")                                                                 \
    X(END, -17, "end of stream")

enum rgpu_error_code {
#define RGPU_ERROR_ENUM(code, value, text) RGPU_ERROR_##code = (value),
    RGPU_ERRORS(RGPU_ERROR_ENUM)
#undef RGPU_ERROR_ENUM
};

/* Name of a code ("RGPU_ERROR_NO_SPACE"); "RGPU_ERROR_UNKNOWN" for a value that is none. */
RGPU_API const char *rgpu_error_name(int code);

/* One short English text for a code, without a full stop. */
RGPU_API const char *rgpu_error_text(int code);

#ifdef __cplusplus
}
#endif
#endif
