/* An error with its code and one readable line that names the thing and the remedy.
 *
 * Functions that can fail return a code (0 or negative) and fill a `struct error` that the caller
 * lends them; NULL is allowed where the caller does not want the text. On success it is untouched.
 * Threads: none of its own. Memory: no allocation. Limits: text is cut at ERROR_TEXT_MAX. */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <rgpu/error.h>

#define ERROR_TEXT_MAX 512

struct error {
    int code;
    char text[ERROR_TEXT_MAX];
};

/* Fills `err` (may be NULL) and gives `code`, so that `return error_set(...)` reads well:
 *     int error_set(struct error *err, int code, const char *format, ...);
 * Each argument is evaluated once. A macro, so that compilers and analyzers see which code comes
 * back; through a variadic function they do not. */
#define error_set(err, code, ...) error_mark(error_print((err), __VA_ARGS__), (code))

/* The parts of error_set. error_print fills the text, keeps errno, and gives `err`. */
struct error *error_print(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void error_keep(struct error *err, int code);

static inline int error_mark(struct error *err, int code)
{
    error_keep(err, code);
    return code;
}

/* Code for an errno value: ENOSPC gives RGPU_ERROR_NO_SPACE, and so on; IO where none fits. */
int error_from_errno(int errno_value);

/* Out of memory, naming what the memory was for. */
static inline int error_memory(struct error *err, const char *what)
{
    error_set(err, RGPU_ERROR_MEMORY, "out of memory for %s", what);
    return RGPU_ERROR_MEMORY;
}

#endif
