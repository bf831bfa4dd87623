#include "api/device.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rgpu/device.h>

#include "base/log.h"

#define DEVICES_MAX 64

static const enum device_kind kinds[] = {DEVICE_CUDA, DEVICE_CPU}; /* best first */
#define KINDS_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static int list(enum device_kind kind, struct device_info ret[DEVICES_MAX])
{
    const struct codec_backend *backend = codec_backend(kind);
    int count = backend ? backend->devices(ret, DEVICES_MAX) : 0;
    return count < DEVICES_MAX ? count : DEVICES_MAX;
}

void device_name(const struct device_info *device, char *ret, size_t size)
{
    if (device->kind == DEVICE_CPU)
        snprintf(ret, size, "cpu");
    else
        snprintf(ret, size, "cuda:%d", device->index);
}

static bool is_any(const char *name)
{
    return !name || !*name || !strcmp(name, "auto");
}

int device_check_name(const char *name, struct error *err)
{
    if (is_any(name) || !strcmp(name, "cpu") ||
        (!strncmp(name, "cuda:", 5) && name[5] && !name[5 + strspn(name + 5, "0123456789")]))
        return 0;
    return error_set(err, RGPU_ERROR_PARAM, "device '%s' is not auto, cpu or cuda:N", name);
}

/* The n-th device of those that the name may mean, best first. False: there are no more. */
static bool candidate(const char *name, int n, struct device_info *ret)
{
    struct device_info devices[DEVICES_MAX];
    for (size_t k = 0; k < KINDS_COUNT; k++) {
        /* A driver that is not wanted is not started either: that takes it 0.1 s. */
        const bool wanted = is_any(name) || (strcmp(name, "cpu") == 0) == (kinds[k] == DEVICE_CPU);
        const int count = wanted ? list(kinds[k], devices) : 0;
        for (int i = 0; i < count; i++) {
            char own[32];
            device_name(&devices[i], own, sizeof(own));
            if ((is_any(name) || !strcmp(own, name)) && n-- == 0) {
                *ret = devices[i];
                return true;
            }
        }
    }
    return false;
}

/* A driver that does not start has no devices, and says why to who asks for one of them. */
static int no_device(const char *name, struct error *err)
{
    const struct codec_backend *cuda = codec_backend(DEVICE_CUDA);
    struct error why = {0};
    void *held = NULL;
    if (cuda && !is_any(name) && !strncmp(name, "cuda:", 5)) {
        if (cuda->hold(atoi(name + 5), &held, &why) != 0)
            return error_set(err, RGPU_ERROR_DEVICE, "device %s: %s", name, why.text);
        cuda->release(held);
    }
    return error_set(err, RGPU_ERROR_DEVICE,
                     "there is no device %s here; rgpu devices lists what there is",
                     is_any(name) ? "at all" : name);
}

int device_find(const char *name, struct error *err)
{
    struct device_info info;
    const int code = device_check_name(name, err);
    if (code != 0)
        return code;
    return candidate(name, 0, &info) ? 0 : no_device(name, err);
}

static int hold(struct device *device, struct error *err)
{
    const struct codec_backend *backend = codec_backend(device->info.kind);
    return backend->hold ? backend->hold(device->info.index, &device->held, err) : 0;
}

void device_examine(struct device *device)
{
    codec_backend(device->info.kind)->examine(&device->info);
}

void device_close(struct device *device)
{
    if (device->held)
        codec_backend(device->info.kind)->release(device->held);
    *device = (struct device){0};
}

/* Appends "name," to a list that is cut at its end. */
static void append(char *list_text, size_t size, const char *name)
{
    size_t length = strlen(list_text);
    snprintf(list_text + length, size - length, "%s%s", length ? "," : "", name);
}

/* A decoder of VC-1 opens with its headers only. These are of the advanced profile, 64x64: the
 * sequence's, and the entry point's. */
static const uint8_t vc1_headers[] = {0,    0,    1, 0x0f, 0xca, 0x00, 0x01, 0xf0, 0x1f,
                                      0x08, 0x80, 0, 0,    1,    0x0e, 0x44, 0x00, 0x80};

static bool can_decode_track(const struct codec_backend *backend, int device,
                             const struct track *track)
{
    void *decoder = NULL;
    const int rc = backend->decoder->open(
        &decoder,
        &(struct decoder_params){
            .track = track, .device = device, .threads = 1, .no_fallback = true},
        NULL);
    if (rc == 0)
        backend->decoder->close(decoder);
    return rc == 0;
}

static bool can_decode(const struct codec_backend *backend, int device, const char *codec)
{
    struct track track = {.width = 256, .height = 256, .time_base = {1, 25}};
    if (!strcmp(codec, "vc1"))
        track.extradata = buffer_copy(vc1_headers, sizeof(vc1_headers));
    snprintf(track.codec, sizeof(track.codec), "%s", codec);
    const bool can = can_decode_track(backend, device, &track);
    buffer_unref(&track.extradata);
    return can;
}

/* Figures that are not known stay DEVICE_UNKNOWN. */
static void describe_use(const struct codec_backend *backend, int device,
                         struct rgpu_device_info *ret)
{
    struct device_use use = {.compute_percent = DEVICE_UNKNOWN,
                             .decoder_percent = DEVICE_UNKNOWN,
                             .encoder_percent = DEVICE_UNKNOWN,
                             .temperature_c = DEVICE_UNKNOWN,
                             .power_mw = DEVICE_UNKNOWN,
                             .memory_used_bytes = DEVICE_UNKNOWN,
                             .clock_mhz = DEVICE_UNKNOWN,
                             .memory_clock_mhz = DEVICE_UNKNOWN,
                             .video_clock_mhz = DEVICE_UNKNOWN};
    if (backend->use)
        backend->use(device, &use);
    ret->compute_percent = use.compute_percent;
    ret->decoder_percent = use.decoder_percent;
    ret->encoder_percent = use.encoder_percent;
    ret->temperature_c = use.temperature_c;
    ret->power_mw = use.power_mw;
    ret->memory_used_bytes = use.memory_used_bytes;
    ret->clock_mhz = use.clock_mhz;
    ret->memory_clock_mhz = use.memory_clock_mhz;
    ret->video_clock_mhz = use.video_clock_mhz;
    snprintf(ret->slowed_by, sizeof(ret->slowed_by), "%s", use.slowed_by);
}

/* The CPU has each encoder that it has a format for; a GPU is asked. */
static bool can_encode(const struct codec_backend *backend, int device, const char *codec,
                       const char *profile, enum pixel_format source)
{
    struct encoder_params params = {.device = device,
                                    .width = 256,
                                    .height = 256,
                                    .format =
                                        backend->encoder->format(device, codec, profile, source),
                                    .time_base = {1, 25},
                                    .frame_rate = {25, 1},
                                    .rate = RATE_QUALITY,
                                    .quality = 30,
                                    .bframes = -1,
                                    .no_fallback = true};
    void *encoder = NULL;
    if (params.format == PIXEL_NONE || backend->kind == DEVICE_CPU)
        return params.format != PIXEL_NONE;
    snprintf(params.codec, sizeof(params.codec), "%s", codec);
    snprintf(params.profile, sizeof(params.profile), "%s", profile);
    const int rc = backend->encoder->open(&encoder, &params, NULL);
    if (rc == 0)
        backend->encoder->close(encoder);
    return rc == 0;
}

/* ---- choosing one of several ---------------------------------------------------------------- */

#define MODELS_MAX 8 /* that are looked at */

/* Encoding counts more: it is most of the work. */
enum { FIT_DECODES = 1, FIT_ENCODES = 2, FIT_ALL = 3 };

struct choice {
    struct device best; /* held */
    int fitness;        /* below 0: there is none yet */
    char models[MODELS_MAX][DEVICE_NAME_MAX];
    int models_count;
};

/* Whether a rendition before this one needs the same encoder. */
static bool is_repeated(const struct device_needs *needs, int i)
{
    const struct rendition_params *r = &needs->renditions[i];
    for (int k = 0; k < i; k++)
        if (!strcmp(needs->renditions[k].codec, r->codec) &&
            !strcmp(needs->renditions[k].profile, r->profile))
            return true;
    return false;
}

static int fitness_of(const struct device *device, const struct device_needs *needs)
{
    const struct codec_backend *backend = codec_backend(device->info.kind);
    const int index = device->info.index;
    const enum pixel_format known = needs->source->format;
    const enum pixel_format source = known == PIXEL_NONE ? PIXEL_YUV420P : known;
    bool encodes = true;
    for (int i = 0; encodes && i < needs->renditions_count; i++) {
        const struct rendition_params *r = &needs->renditions[i];
        if (!is_repeated(needs, i))
            encodes = can_encode(backend, index, r->codec, r->profile, source);
    }
    const bool decodes = needs->is_raw || can_decode_track(backend, index, needs->source);
    return (encodes ? FIT_ENCODES : 0) + (decodes ? FIT_DECODES : 0);
}

/* Holds a candidate. AGAIN: it cannot be worked on, which is said, and another may be. */
static int hold_or_leave(struct device *device, const char *name, struct error *err)
{
    struct error why = {0};
    const int code = hold(device, &why);
    if (code == RGPU_ERROR_DEVICE && is_any(name)) {
        char own[32];
        device_name(&device->info, own, sizeof(own));
        log_line(RGPU_LOG_WARNING, "device %s is left out: %s", own, why.text);
        return RGPU_ERROR_AGAIN;
    }
    return code == 0 ? 0 : error_set(err, code, "%s", why.text);
}

/* Whether another of the same kind may be fitter: not one of a model that has been looked at, and
 * works. */
static bool may_be_fitter(const struct choice *c, const struct device *device)
{
    if (c->fitness == FIT_ALL || device->info.kind != c->best.info.kind)
        return false;
    for (int i = 0; i < c->models_count; i++)
        if (!strcmp(c->models[i], device->info.name))
            return false;
    return c->models_count < MODELS_MAX;
}

static void leave_out(struct device *device, int fitness)
{
    static const char *const words[] = {
        "can neither decode the source nor encode what is asked for",
        "cannot encode what is asked for", "cannot decode the source"};
    char own[32];
    device_name(&device->info, own, sizeof(own));
    log_line(RGPU_LOG_INFO, "device %s is left out: it %s", own, words[fitness]);
    device_close(device);
}

/* Keeps the fitter one of what was the best and `device`, which is held; gives the other back. */
static void choose(struct choice *c, struct device *device, const struct device_needs *needs)
{
    const int fitness = fitness_of(device, needs);
    if (c->models_count < MODELS_MAX)
        memcpy(c->models[c->models_count++], device->info.name, sizeof(c->models[0]));
    if (fitness < c->fitness) {
        leave_out(device, fitness);
    } else if (fitness == c->fitness) {
        device_close(device);
    } else {
        if (c->fitness >= 0)
            leave_out(&c->best, c->fitness);
        c->best = *device;
        c->fitness = fitness;
    }
}

int device_open(struct device *ret, const char *name, const struct device_needs *needs,
                struct error *err)
{
    struct device_info devices[DEVICES_MAX];
    struct choice choice = {.fitness = -1};
    struct device device = {0};
    int code = device_check_name(name, err);
    const bool several = code == 0 && needs && is_any(name) && list(DEVICE_CUDA, devices) > 1;
    for (int n = 0; code == 0 && candidate(name, n, &device.info); n++) {
        if (choice.fitness >= 0 && !may_be_fitter(&choice, &device))
            continue;
        code = hold_or_leave(&device, name, err);
        if (code == 0 && !several) {
            *ret = device;
            return 0;
        }
        if (code == 0)
            choose(&choice, &device, needs);
        code = code == RGPU_ERROR_AGAIN ? 0 : code;
        device = (struct device){0};
    }
    if (choice.fitness < 0 || code != 0) {
        device_close(&choice.best);
        return code != 0 ? code : no_device(name, err);
    }
    *ret = choice.best;
    return 0;
}

/* ---- the list -------------------------------------------------------------------------------- */

/* A line more. */
__attribute__((format(printf, 2, 3))) static void remark(struct rgpu_device_info *ret,
                                                         const char *format, ...)
{
    size_t length = strlen(ret->remark);
    if (length > 0 && length + 1 < sizeof(ret->remark))
        ret->remark[length++] = '\n';
    va_list args;
    va_start(args, format);
    vsnprintf(ret->remark + length, sizeof(ret->remark) - length, format, args);
    va_end(args);
}

/* What it says of a film that it would be given: that another device decodes it, and why. */
static void remark_no_decoder(const struct codec_backend *backend, int device,
                              struct rgpu_device_info *ret)
{
    const struct track track = {.codec = "h264", .width = 256, .height = 256, .time_base = {1, 25}};
    const struct decoder_params params = {.track = &track, .device = device, .threads = 1};
    struct decoder_stats stats = {0};
    struct error why = {0};
    void *decoder = NULL;
    if (backend->decoder->open(&decoder, &params, &why) == 0) {
        backend->decoder->stats(decoder, &stats);
        backend->decoder->close(decoder);
    }
    const char *text = stats.note[0] ? stats.note : why.text;
    if (text[0])
        remark(ret, "%s", text);
}

static void describe(struct device_info *device, struct rgpu_device_info *ret)
{
    static const char *const decoders[] = {"h264",       "hevc",  "av1",    "vp9",   "vp8",
                                           "mpeg2video", "mpeg4", "prores", "mjpeg", "vc1"};
    static const char *const encoders[] = {"h264", "hevc", "av1"};
    const struct codec_backend *backend = codec_backend(device->kind);
    *ret = (struct rgpu_device_info){.cores = device->cores, .memory_bytes = device->memory_bytes};
    device_name(device, ret->name, sizeof(ret->name));
    snprintf(ret->description, sizeof(ret->description), "%s", device->name);
    /* Before a context and decoders are made here, which would count. */
    describe_use(backend, device->index, ret);
    void *held = NULL;
    struct error why = {0};
    const bool works = !backend->hold || backend->hold(device->index, &held, &why) == 0;
    if (works)
        backend->examine(device);
    if (!works)
        remark(ret, "cannot be worked on now: %s", why.text);
    else if (device->remark[0])
        remark(ret, "%s", device->remark);
    for (size_t i = 0; works && i < sizeof(decoders) / sizeof(decoders[0]); i++)
        if (can_decode(backend, device->index, decoders[i]))
            append(ret->decoders, sizeof(ret->decoders), decoders[i]);
    if (works && !ret->decoders[0])
        remark_no_decoder(backend, device->index, ret);
    for (size_t i = 0; i < sizeof(encoders) / sizeof(encoders[0]); i++)
        if (device->encodes && can_encode(backend, device->index, encoders[i], "", PIXEL_YUV420P))
            append(ret->encoders, sizeof(ret->encoders), encoders[i]);
    if (held)
        backend->release(held);
}

/* Whoever looks for one here may have it in the machine. */
static void remark_no_gpu(struct rgpu_device_info *ret)
{
    const struct codec_backend *cuda = codec_backend(DEVICE_CUDA);
    struct error why = {0};
    void *held = NULL;
    if (!cuda)
        return;
    if (cuda->hold(0, &held, &why) == 0)
        cuda->release(held);
    else
        remark(ret, "no GPU: %s", why.text);
}

int rgpu_devices(struct rgpu_device_info *ret, int max, size_t size)
{
    int total = 0;
    for (size_t k = 0; k < KINDS_COUNT; k++) {
        struct device_info devices[DEVICES_MAX];
        int count = list(kinds[k], devices);
        for (int i = 0; i < count; i++, total++) {
            struct rgpu_device_info info;
            if (total >= max)
                continue;
            describe(&devices[i], &info);
            if (total == 0 && kinds[k] == DEVICE_CPU)
                remark_no_gpu(&info);
            memset((char *)ret + (size_t)total * size, 0, size);
            memcpy((char *)ret + (size_t)total * size, &info,
                   size < sizeof(info) ? size : sizeof(info));
        }
    }
    return total;
}
