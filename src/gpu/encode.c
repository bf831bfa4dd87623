#include "gpu/encode.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "gpu/symbols.h"

#define ENCODE_LIBRARY "libnvidia-encode.so.1"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The first driver for Linux that has the API of this build's headers. */
#if GPU_ENCODE_API(13, 1)
#define DRIVER_NEEDED "610"
#elif GPU_ENCODE_API(13, 0)
#define DRIVER_NEEDED "570"
#elif GPU_ENCODE_API(12, 2)
#define DRIVER_NEEDED "550.54.14"
#elif GPU_ENCODE_API(12, 1)
#define DRIVER_NEEDED "530.41.03"
#elif GPU_ENCODE_API(12, 0)
#define DRIVER_NEEDED "520.56.06"
#else
#define DRIVER_NEEDED "470.57.02"
#endif

#define API_NEEDED (16 * NVENCAPI_MAJOR_VERSION + NVENCAPI_MINOR_VERSION)

/* Written once, by load(). */
static struct gpu_encode the_encode;
static struct error encode_missing; /* code 0: it is there */
static pthread_once_t loaded = PTHREAD_ONCE_INIT;

/* ---- statuses -------------------------------------------------------------------------------- */

struct status {
    int value;
    int code; /* RGPU_ERROR_* */
    const char *name;
    const char *text; /* what it is and, behind a semicolon, the remedy */
};

/* The name without its front, which all have. */
#define STATUS(name, code, text)                                                                   \
    {                                                                                              \
        NV_ENC_ERR_##name, code, "NV_ENC_ERR_" #name, text                                         \
    }

/* GeForce cards have 8 for the whole machine with new drivers, 5 or 3 with older ones. */
#define NO_MORE_SESSIONS                                                                           \
    "all its encoder sessions are taken; lower --jobs, or end what else encodes"

static const struct status statuses[] = {
    STATUS(NO_ENCODE_DEVICE, RGPU_ERROR_UNSUPPORTED, "there is no GPU with an encoder"),
    STATUS(UNSUPPORTED_DEVICE, RGPU_ERROR_UNSUPPORTED,
           "this GPU has no encoder (as A100, H100, H200 and B200 have none)"),
    STATUS(INVALID_ENCODERDEVICE, RGPU_ERROR_DEVICE, "the driver does not take the device"),
    STATUS(INVALID_DEVICE, RGPU_ERROR_DEVICE, "the driver does not take the device"),
    STATUS(DEVICE_NOT_EXIST, RGPU_ERROR_DEVICE,
           "the device is gone or was reset; what uses it must be closed and opened again"),
    STATUS(INVALID_PTR, RGPU_ERROR_DEVICE, "the driver refuses an argument"),
    STATUS(INVALID_EVENT, RGPU_ERROR_DEVICE, "the driver does not know the event"),
    STATUS(INVALID_PARAM, RGPU_ERROR_UNSUPPORTED, "the encoder refuses these parameters"),
    STATUS(INVALID_CALL, RGPU_ERROR_DEVICE, "the call comes at the wrong time"),
    STATUS(OUT_OF_MEMORY, RGPU_ERROR_MEMORY,
           "the GPU's memory is used up; run fewer jobs at a time, or end what else uses the GPU"),
    STATUS(ENCODER_NOT_INITIALIZED, RGPU_ERROR_DEVICE, "the encoder is not initialised"),
    STATUS(UNSUPPORTED_PARAM, RGPU_ERROR_UNSUPPORTED, "this GPU's encoder cannot do that"),
    STATUS(LOCK_BUSY, RGPU_ERROR_DEVICE, "the packet is not done yet"),
    STATUS(NOT_ENOUGH_BUFFER, RGPU_ERROR_DEVICE, "the buffer is too small"),
    STATUS(INVALID_VERSION, RGPU_ERROR_DEVICE,
           "the driver does not know this version of the API; install driver " DRIVER_NEEDED
           " or later"),
    STATUS(MAP_FAILED, RGPU_ERROR_DEVICE, "the picture cannot be mapped"),
    STATUS(NEED_MORE_INPUT, RGPU_ERROR_DEVICE, "the encoder waits for more pictures"),
    STATUS(ENCODER_BUSY, RGPU_ERROR_DEVICE, "the encoder is busy"),
    STATUS(EVENT_NOT_REGISTERD, RGPU_ERROR_DEVICE, "the driver does not know the event"),
    STATUS(GENERIC, RGPU_ERROR_DEVICE,
           "the driver does not say why; see the kernel's log for Xid lines"),
    STATUS(INCOMPATIBLE_CLIENT_KEY, RGPU_ERROR_LIMIT, NO_MORE_SESSIONS),
    STATUS(UNIMPLEMENTED, RGPU_ERROR_UNSUPPORTED, "the driver does not have that"),
    STATUS(RESOURCE_REGISTER_FAILED, RGPU_ERROR_DEVICE,
           "the picture's memory cannot be registered"),
    STATUS(RESOURCE_NOT_REGISTERED, RGPU_ERROR_DEVICE, "the picture's memory is not registered"),
    STATUS(RESOURCE_NOT_MAPPED, RGPU_ERROR_DEVICE, "the picture is not mapped"),
};

static const struct status no_more_sessions =
    STATUS(OUT_OF_MEMORY, RGPU_ERROR_LIMIT, NO_MORE_SESSIONS);

static const struct status *find_status(NVENCSTATUS status, bool opening)
{
    static const struct status unknown = {0, RGPU_ERROR_DEVICE, "an unknown status",
                                          "the encoder failed"};
    if (opening && status == NV_ENC_ERR_OUT_OF_MEMORY)
        return &no_more_sessions;
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        if (statuses[i].value == (int)status)
            return &statuses[i];
    return &unknown;
}

int gpu_encode_error(struct error *err, NVENCSTATUS status, const char *what, void *session)
{
    const struct status *s = find_status(status, !session);
    const char *words = NULL;
    if (session && the_encode.functions.nvEncGetLastErrorString)
        words = the_encode.functions.nvEncGetLastErrorString(session);
    if (!words)
        words = "";
    /* Some end in a line break or a full stop. */
    size_t length = strlen(words);
    while (length > 0 && strchr(" .\r\n", words[length - 1]))
        length--;
    return error_set(err, s->code, "%s: %s (%s, %d%s%.*s)", what, s->text, s->name, (int)status,
                     length ? ": " : "", (int)(length < 200 ? length : 200), words);
}

/* ---- loading --------------------------------------------------------------------------------- */

/* What the library exports; the rest comes in the list. */
struct exports {
    NVENCSTATUS(NVENCAPI *version)(uint32_t *version);
    NVENCSTATUS(NVENCAPI *create)(NV_ENCODE_API_FUNCTION_LIST *list);
};

static const struct symbol symbols[] = {
    {"NvEncodeAPIGetMaxSupportedVersion", offsetof(struct exports, version)},
    {"NvEncodeAPICreateInstance", offsetof(struct exports, create)},
};

static void too_old(const char *why)
{
    error_set(&encode_missing, RGPU_ERROR_DEVICE,
              "NVIDIA's driver is too old to encode: %s; install driver " DRIVER_NEEDED " or later",
              why);
}

static void load(void)
{
    void *library = dlopen(ENCODE_LIBRARY, RTLD_LAZY);
    if (!library) {
        error_set(&encode_missing, RGPU_ERROR_DEVICE,
                  "the encoding library is missing (%s); in a container set "
                  "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility, else install "
                  "libnvidia-encode1 (Ubuntu: libnvidia-encode-NNN)",
                  symbols_why_none(ENCODE_LIBRARY));
        return;
    }
    struct exports exports;
    const char *missing = symbols_load(library, symbols, COUNT_OF(symbols), &exports);
    char why[160];
    if (missing) {
        snprintf(why, sizeof(why), ENCODE_LIBRARY " lacks %s", missing);
        too_old(why);
        return;
    }
    uint32_t version = 0;
    NVENCSTATUS status = exports.version(&version);
    if (status == NV_ENC_SUCCESS && version < API_NEEDED) {
        snprintf(why, sizeof(why), "it has NVENC API %u.%u, and this program needs %d.%d",
                 version / 16, version % 16, NVENCAPI_MAJOR_VERSION, NVENCAPI_MINOR_VERSION);
        too_old(why);
        return;
    }
    the_encode.functions.version = NV_ENCODE_API_FUNCTION_LIST_VER;
    if (status == NV_ENC_SUCCESS)
        status = exports.create(&the_encode.functions);
    if (status != NV_ENC_SUCCESS) {
        the_encode.functions.nvEncGetLastErrorString = NULL;
        gpu_encode_error(&encode_missing, status, "NVIDIA's encoding library does not start", NULL);
        /* Memory and sessions are none of the caller's here. */
        encode_missing.code = RGPU_ERROR_DEVICE;
    }
}

int gpu_encode(const struct gpu_encode **ret, struct error *err)
{
    pthread_once(&loaded, load);
    if (encode_missing.code != 0)
        return error_set(err, encode_missing.code, "%s", encode_missing.text);
    *ret = &the_encode;
    return 0;
}
