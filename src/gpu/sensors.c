#include "gpu/sensors.h"

#include <assert.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "gpu/symbols.h"

#define NVML_LIBRARY "libnvidia-ml.so.1"
#define SENSE_INTERVAL_NS 1000000000
#define WHY_MAX 384 /* of an error's text */

/* NVML's interface, as far as it is used. */
enum {
    NVML_SUCCESS = 0,
    NVML_ERROR_DRIVER_NOT_LOADED = 9,
    NVML_ERROR_GPU_IS_LOST = 15,
    NVML_ERROR_LIB_RM_VERSION_MISMATCH = 18,
    NVML_TEMPERATURE_GPU = 0,
    NVML_CLOCK_SM = 1,
    NVML_CLOCK_MEM = 2,
    NVML_CLOCK_VIDEO = 3,
};

typedef struct nvml_device *nvml_device;

struct nvml_utilization {
    unsigned gpu, memory; /* percent */
};

struct nvml_memory {
    unsigned long long total, free, used; /* bytes */
};

struct nvml {
    int (*init)(void);
    const char *(*error_string)(int rc);
    int (*driver_version)(char *text, unsigned size);
    int (*by_pci)(const char *pci, nvml_device *ret);
    int (*temperature)(nvml_device device, int sensor, unsigned *ret);
    int (*utilization)(nvml_device device, struct nvml_utilization *ret);
    int (*encoder)(nvml_device device, unsigned *percent, unsigned *period_us);
    int (*decoder)(nvml_device device, unsigned *percent, unsigned *period_us);
    int (*encoder_stats)(nvml_device device, unsigned *sessions, unsigned *fps, unsigned *us);
    int (*power)(nvml_device device, unsigned *mw);
    int (*power_limit)(nvml_device device, unsigned *mw);
    int (*clock)(nvml_device device, int clock, unsigned *mhz);
    int (*memory)(nvml_device device, struct nvml_memory *ret);
    int (*throttle)(nvml_device device, unsigned long long *reasons);
};

static const struct symbol nvml_symbols[] = {
    {"nvmlInit_v2", offsetof(struct nvml, init)},
    {"nvmlErrorString", offsetof(struct nvml, error_string)},
    {"nvmlSystemGetDriverVersion", offsetof(struct nvml, driver_version)},
    {"nvmlDeviceGetHandleByPciBusId_v2", offsetof(struct nvml, by_pci)},
    {"nvmlDeviceGetTemperature", offsetof(struct nvml, temperature)},
    {"nvmlDeviceGetUtilizationRates", offsetof(struct nvml, utilization)},
    {"nvmlDeviceGetEncoderUtilization", offsetof(struct nvml, encoder)},
    {"nvmlDeviceGetDecoderUtilization", offsetof(struct nvml, decoder)},
    {"nvmlDeviceGetEncoderStats", offsetof(struct nvml, encoder_stats)},
    {"nvmlDeviceGetPowerUsage", offsetof(struct nvml, power)},
    {"nvmlDeviceGetEnforcedPowerLimit", offsetof(struct nvml, power_limit)},
    {"nvmlDeviceGetClockInfo", offsetof(struct nvml, clock)},
    {"nvmlDeviceGetMemoryInfo", offsetof(struct nvml, memory)},
    {"nvmlDeviceGetCurrentClocksThrottleReasons", offsetof(struct nvml, throttle)},
};

/* Written once, by load(). */
static struct nvml nvml;
static struct error nvml_missing; /* code 0: it is there */
static pthread_once_t loaded = PTHREAD_ONCE_INIT;

static const struct gpu_sensors unknown = {
    .temperature_c = GPU_UNKNOWN,
    .sm_percent = GPU_UNKNOWN,
    .memory_percent = GPU_UNKNOWN,
    .encoder_percent = GPU_UNKNOWN,
    .decoder_percent = GPU_UNKNOWN,
    .encoder_sessions = GPU_UNKNOWN,
    .power_mw = GPU_UNKNOWN,
    .power_limit_mw = GPU_UNKNOWN,
    .sm_clock_mhz = GPU_UNKNOWN,
    .memory_clock_mhz = GPU_UNKNOWN,
    .video_clock_mhz = GPU_UNKNOWN,
    .memory_used_bytes = GPU_UNKNOWN,
    .memory_total_bytes = GPU_UNKNOWN,
    .throttle_reasons = GPU_UNKNOWN,
};

/* What a device said last, by the driver's index. Protected by `lasts_lock`. */
struct last {
    bool asked;
    int64_t asked_ns;
    char pci[GPU_PCI_MAX];
    struct gpu_sensors sensors;
    int code;
    char why[WHY_MAX]; /* where `code` is not 0 */
};

static pthread_mutex_t lasts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct last lasts[GPU_DEVICES_MAX];

/* ---- loading --------------------------------------------------------------------------------- */

static const char *result_text(int rc)
{
    const char *text = nvml.error_string ? nvml.error_string(rc) : NULL;
    return text ? text : "unknown error";
}

static const char *init_remedy(int rc)
{
    if (rc == NVML_ERROR_DRIVER_NOT_LOADED)
        return "; load the kernel's NVIDIA module";
    if (rc == NVML_ERROR_LIB_RM_VERSION_MISMATCH)
        return "; restart the machine after an update of the driver";
    return "";
}

static void load(void)
{
    void *library = dlopen(NVML_LIBRARY, RTLD_LAZY);
    if (!library) {
        error_set(&nvml_missing, RGPU_ERROR_DEVICE,
                  "there is no NVML (%s); install NVIDIA's driver; in a container set "
                  "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility",
                  symbols_why_none(NVML_LIBRARY));
        return;
    }
    /* A function that is missing makes its figure unknown, but for these. */
    (void)symbols_load(library, nvml_symbols, sizeof(nvml_symbols) / sizeof(nvml_symbols[0]),
                       &nvml);
    if (!nvml.init || !nvml.by_pci) {
        error_set(&nvml_missing, RGPU_ERROR_DEVICE,
                  NVML_LIBRARY " is too old; install a newer driver");
        return;
    }
    const int rc = nvml.init();
    if (rc != NVML_SUCCESS)
        error_set(&nvml_missing, RGPU_ERROR_DEVICE, "NVML does not start: %s (%d)%s",
                  result_text(rc), rc, init_remedy(rc));
}

/* ---- figures --------------------------------------------------------------------------------- */

struct reading {
    nvml_device device;
    bool lost; /* a call found the device gone */
};

/* Whether a call gave a figure. */
static bool said(struct reading *r, int rc)
{
    r->lost = r->lost || rc == NVML_ERROR_GPU_IS_LOST;
    return rc == NVML_SUCCESS;
}

static int to_int(unsigned value)
{
    return value <= INT_MAX ? (int)value : GPU_UNKNOWN;
}

static int64_t to_int64(unsigned long long value)
{
    return value <= INT64_MAX ? (int64_t)value : GPU_UNKNOWN;
}

static int read_plain(struct reading *r, int (*get)(nvml_device, unsigned *))
{
    unsigned value = 0;
    return get && said(r, get(r->device, &value)) ? to_int(value) : GPU_UNKNOWN;
}

static int read_kind(struct reading *r, int (*get)(nvml_device, int, unsigned *), int kind)
{
    unsigned value = 0;
    return get && said(r, get(r->device, kind, &value)) ? to_int(value) : GPU_UNKNOWN;
}

static int read_engine(struct reading *r, int (*get)(nvml_device, unsigned *, unsigned *))
{
    unsigned percent = 0, period_us = 0;
    return get && said(r, get(r->device, &percent, &period_us)) ? to_int(percent) : GPU_UNKNOWN;
}

static void read_all(struct reading *r, struct gpu_sensors *s)
{
    struct nvml_utilization use = {0};
    if (nvml.utilization && said(r, nvml.utilization(r->device, &use))) {
        s->sm_percent = to_int(use.gpu);
        s->memory_percent = to_int(use.memory);
    }
    struct nvml_memory memory = {0};
    if (nvml.memory && said(r, nvml.memory(r->device, &memory))) {
        s->memory_used_bytes = to_int64(memory.used);
        s->memory_total_bytes = to_int64(memory.total);
    }
    unsigned sessions = 0, fps = 0, latency_us = 0;
    if (nvml.encoder_stats && said(r, nvml.encoder_stats(r->device, &sessions, &fps, &latency_us)))
        s->encoder_sessions = to_int(sessions);
    unsigned long long reasons = 0;
    if (nvml.throttle && said(r, nvml.throttle(r->device, &reasons)))
        s->throttle_reasons = to_int64(reasons);
    s->temperature_c = read_kind(r, nvml.temperature, NVML_TEMPERATURE_GPU);
    s->encoder_percent = read_engine(r, nvml.encoder);
    s->decoder_percent = read_engine(r, nvml.decoder);
    s->power_mw = read_plain(r, nvml.power);
    s->power_limit_mw = read_plain(r, nvml.power_limit);
    s->sm_clock_mhz = read_kind(r, nvml.clock, NVML_CLOCK_SM);
    s->memory_clock_mhz = read_kind(r, nvml.clock, NVML_CLOCK_MEM);
    s->video_clock_mhz = read_kind(r, nvml.clock, NVML_CLOCK_VIDEO);
}

static void ask_locked(struct last *last, const struct gpu_info *device)
{
    struct reading r = {0};
    last->sensors = unknown;
    last->code = 0;
    const int rc = nvml.by_pci(device->pci, &r.device);
    if (said(&r, rc))
        read_all(&r, &last->sensors);
    if (r.lost) {
        last->code = RGPU_ERROR_DEVICE;
        snprintf(last->why, sizeof(last->why),
                 "cuda:%d (%s) has fallen off the bus; see the kernel's log for Xid lines, and "
                 "restart the machine",
                 device->index, device->pci);
    } else if (rc != NVML_SUCCESS) {
        last->code = RGPU_ERROR_DEVICE;
        snprintf(last->why, sizeof(last->why), "NVML does not give cuda:%d (%s): %s (%d)",
                 device->index, device->pci, result_text(rc), rc);
    }
    if (last->code != 0)
        last->sensors = unknown;
}

/* ---- interface ------------------------------------------------------------------------------- */

int gpu_sense(const struct gpu_info *device, struct gpu_sensors *ret, struct error *err)
{
    assert(device->index >= 0 && device->index < GPU_DEVICES_MAX);
    *ret = unknown;
    pthread_once(&loaded, load);
    if (nvml_missing.code != 0)
        return error_set(err, nvml_missing.code, "%s", nvml_missing.text);
    struct last *last = &lasts[device->index];
    pthread_mutex_lock(&lasts_lock);
    const int64_t now_ns = clock_now_ns();
    if (!last->asked || now_ns - last->asked_ns >= SENSE_INTERVAL_NS ||
        strcmp(last->pci, device->pci) != 0) {
        ask_locked(last, device);
        last->asked = true;
        last->asked_ns = now_ns;
        snprintf(last->pci, sizeof(last->pci), "%s", device->pci);
    }
    *ret = last->sensors;
    const int rc = last->code;
    if (rc != 0)
        error_set(err, rc, "%s", last->why);
    pthread_mutex_unlock(&lasts_lock);
    return rc;
}

void gpu_driver_text(char *ret, size_t size)
{
    if (size == 0)
        return;
    ret[0] = '\0';
    pthread_once(&loaded, load);
    char text[80] = ""; /* NVML's own maximum */
    if (nvml_missing.code == 0 && nvml.driver_version &&
        nvml.driver_version(text, sizeof(text)) == NVML_SUCCESS)
        snprintf(ret, size, "%.*s", (int)sizeof(text) - 1, text);
}
