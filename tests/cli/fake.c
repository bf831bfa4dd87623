/* A stand-in for the library's public functions, so that the command's own work is tested: options,
 * progress, JSON, exit codes, signals. No media is touched.
 *
 * The input's name says what happens: "fake:ms=300,error=NO_SPACE". Keys: open (error of open),
 * error (error at the end), ms (how long the job runs), warnings (how many), percent (-1: unknown),
 * opening_ms (how much of `ms` goes by until the input is open), verify (1: PSNR is there), name
 * (of the first rung). The parameters go to the file that RGPU_FAKE_LOG names, one "key=value" a
 * line. Threads: the job's functions from one thread, cancel from any. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <rgpu/device.h>
#include <rgpu/log.h>
#include <rgpu/probe.h>
#include <rgpu/transcode.h>
#include <rgpu/version.h>

#define WARNING_TEXT "track 3 (hdmv_pgs) is left out: \"mp4\" cannot\nhold it"

struct rgpu_transcode {
    char message[256];
    char input[256];
    int rungs_count, verify;
    double started;
    atomic_int cancelled;
};

struct rgpu_probe {
    char message[256];
    struct rgpu_probe_info info;
    struct rgpu_probe_track tracks[2];
    struct rgpu_probe_point points[2];
};

static const struct rgpu_preset presets[] = {
    {"1080p", 1920, 1080, 30, 5000},
    {"720p", 1280, 720, 30, 2500},
    {"360p", 640, 360, 30, 800},
};

const struct rgpu_preset *rgpu_preset(int i)
{
    return i >= 0 && i < 3 ? &presets[i] : NULL;
}

const struct rgpu_preset *rgpu_preset_find(const char *name)
{
    for (int i = 0; i < 3; i++) {
        if (!strcmp(presets[i].name, name))
            return &presets[i];
    }
    return NULL;
}

const char *rgpu_error_name(int code)
{
    switch (code) {
#define NAME(name, value, text)                                                                    \
    case value:                                                                                    \
        return "RGPU_ERROR_" #name;
        RGPU_ERRORS(NAME)
#undef NAME
    default:
        return "RGPU_ERROR_UNKNOWN";
    }
}

const char *rgpu_error_text(int code)
{
    return rgpu_error_name(code);
}

const char *rgpu_version(void)
{
    return "0.0.0-fake";
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The text behind "key=" in a fake name, up to the comma; `otherwise` where there is none. */
static const char *setting(const char *input, const char *key, const char *otherwise)
{
    static char value[128];
    const char *at = strchr(input, ':');
    size_t length = strlen(key);
    for (at = at ? at + 1 : ""; *at; at += strcspn(at, ","), at += *at == ',') {
        if (!strncmp(at, key, length) && at[length] == '=') {
            snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + length + 1, ","),
                     at + length + 1);
            return value;
        }
    }
    return otherwise;
}

static int error_setting(const char *input, const char *key)
{
    const char *name = setting(input, key, "OK");
#define CODE(code, value, text)                                                                    \
    if (!strcmp(name, #code))                                                                      \
        return value;
    RGPU_ERRORS(CODE)
#undef CODE
    return atoi(name);
}

static const char *shown(const char *text)
{
    return text ? text : "(null)";
}

static void params_log(const struct rgpu_transcode_params *p)
{
    const char *path = getenv("RGPU_FAKE_LOG");
    FILE *f = path ? fopen(path, "w") : NULL;
    if (!f)
        return;
    fprintf(f, "input=%s\noutput=%s\ndevice=%s\naudio=%s\nmap=%s\n", p->input, p->output,
            shown(p->device), shown(p->audio), shown(p->map));
    fprintf(f, "jobs=%d\nsegment=%g\ngop=%g\nstart=%.3f\nduration=%.3f\ndeinterlace=%d\n", p->jobs,
            p->segment_seconds, p->gop_seconds, p->start_seconds, p->duration_seconds,
            (int)p->deinterlace);
    fprintf(f, "upscale=%d\noverwrite=%d\nverify=%d\nstrip=%d\nno_fallback=%d\n", p->upscale,
            p->overwrite, p->verify, p->strip_dynamic_hdr, p->no_fallback);
    fprintf(f, "threads=%d\nintra_refresh=%d\nrungs=%d\n", p->threads, p->intra_refresh,
            p->rungs_count);
    for (int i = 0; i < p->rungs_count; i++) {
        const struct rgpu_rung *r = &p->rungs[i];
        fprintf(f, "rung%d=%s %dx%d fps=%.3f kbps=%d q=%d %s p%d %s b=%d\n", i, shown(r->preset),
                r->width, r->height, r->fps_max, r->bitrate_kbps, r->quality, shown(r->codec),
                r->speed, shown(r->profile), r->bframes);
    }
    fclose(f);
}

static rgpu_log_sink log_sink;

void rgpu_log_set(rgpu_log_sink sink, void *opaque)
{
    (void)opaque;
    log_sink = sink;
}

int rgpu_transcode_open_sized(rgpu_transcode **ret, const struct rgpu_transcode_params *params,
                              size_t size)
{
    rgpu_transcode *job = calloc(1, sizeof(*job));
    *ret = job;
    if (!job)
        return RGPU_ERROR_MEMORY;
    if (size != sizeof(*params))
        return RGPU_ERROR_INTERNAL;
    params_log(params);
    if (log_sink)
        log_sink(NULL, RGPU_LOG_INFO, "a line\nof the library");
    snprintf(job->input, sizeof(job->input), "%s", params->input);
    job->rungs_count = params->rungs_count;
    job->verify = params->verify;
    job->started = now();
    int code = strncmp(params->input, "fake:", 5) ? RGPU_ERROR_NOT_FOUND
                                                  : error_setting(params->input, "open");
    if (code)
        snprintf(job->message, sizeof(job->message), "%.200s: cannot open", params->input);
    return code;
}

int rgpu_transcode_wait(rgpu_transcode *job, int timeout_ms)
{
    double left = atof(setting(job->input, "ms", "0")) - (now() - job->started) * 1000;
    if (atomic_load(&job->cancelled) && strcmp(setting(job->input, "deaf", "0"), "1") != 0)
        return RGPU_ERROR_CANCELLED;
    if (left > 0) {
        usleep((useconds_t)((left < timeout_ms ? left : timeout_ms) * 1000));
        return RGPU_ERROR_AGAIN;
    }
    int code = error_setting(job->input, "error");
    if (code)
        snprintf(job->message, sizeof(job->message), "it ended with %s\nand more",
                 rgpu_error_name(code));
    return code;
}

int rgpu_transcode_progress(rgpu_transcode *job, struct rgpu_progress *ret, size_t size)
{
    if (size != sizeof(*ret))
        return RGPU_ERROR_INTERNAL;
    memset(ret, 0, sizeof(*ret));
    double ms = atof(setting(job->input, "ms", "0")), elapsed = now() - job->started;
    double part = ms > 0 && elapsed * 1000 < ms ? elapsed * 1000 / ms : 1;
    ret->percent = atof(setting(job->input, "percent", "0")) < 0 ? -1 : part * 100;
    ret->position_seconds = 60 * part;
    ret->duration_seconds = 60;
    ret->elapsed_seconds = elapsed;
    ret->remaining_seconds = ms / 1000 - elapsed;
    ret->frames = (int64_t)(1800 * part);
    ret->frames_per_second = 123.4;
    ret->speed = 4.1;
    ret->bytes = (int64_t)(20e6 * part);
    ret->state = ms > 0 && elapsed * 1000 < atof(setting(job->input, "opening_ms", "0"))
                     ? RGPU_STATE_OPENING
                 : part < 1 ? RGPU_STATE_RUNNING
                            : RGPU_STATE_DONE;
    snprintf(ret->device, sizeof(ret->device), "cpu");
    ret->rungs_count = job->rungs_count;
    for (int i = 0; i < job->rungs_count; i++) {
        struct rgpu_rung_progress *r = &ret->rungs[i];
        snprintf(r->name, sizeof(r->name), "%s",
                 i ? presets[i % 3].name : setting(job->input, "name", "1080p"));
        snprintf(r->output, sizeof(r->output), "out-%d\"\x01.mp4", i);
        snprintf(r->codec, sizeof(r->codec), "h264");
        r->width = presets[i % 3].width;
        r->height = presets[i % 3].height;
        r->frames = ret->frames;
        r->bytes = ret->bytes / job->rungs_count;
        r->bitrate_kbps = 2500.5;
        r->psnr_y = job->verify ? 41.234 : 0;
    }
    return 0;
}

const char *rgpu_transcode_message(rgpu_transcode *job)
{
    return job->message;
}

const char *rgpu_transcode_warning(rgpu_transcode *job, int i)
{
    return i < atoi(setting(job->input, "warnings", "0")) ? WARNING_TEXT : NULL;
}

void rgpu_transcode_cancel(rgpu_transcode *job)
{
    atomic_store(&job->cancelled, 1);
}

void rgpu_transcode_close(rgpu_transcode **job)
{
    free(*job);
    *job = NULL;
}

int rgpu_probe_open(rgpu_probe **ret, const char *path, int (*go_on)(void *opaque, double seconds),
                    void *opaque)
{
    rgpu_probe *p = calloc(1, sizeof(*p));
    *ret = p;
    if (!p)
        return RGPU_ERROR_MEMORY;
    for (int i = 0; i < atoi(setting(path, "ms", "0")); i += 10) {
        usleep(10000);
        if (!go_on(opaque, i * 10))
            return RGPU_ERROR_CANCELLED;
    }
    if (strncmp(path, "fake:", 5) != 0) {
        snprintf(p->message, sizeof(p->message), "%.200s: no such file", path);
        return RGPU_ERROR_NOT_FOUND;
    }
    p->tracks[0] = (struct rgpu_probe_track){.kind = "video",
                                             .codec = "h264",
                                             .width = 1920,
                                             .height = 1080,
                                             .pixel_format = "yuv420p",
                                             .frames_per_second = 30000.0 / 1001};
    p->tracks[1] = (struct rgpu_probe_track){.index = 1,
                                             .kind = "audio",
                                             .codec = "aac",
                                             .language = "eng",
                                             .title = "M\"ain\n\xff",
                                             .is_default = 1,
                                             .sample_rate = 48000,
                                             .channels = 2};
    p->points[1] = (struct rgpu_probe_point){2.002, 1};
    p->info = (struct rgpu_probe_info){.format = "matroska",
                                       .duration_seconds = 60,
                                       .size_bytes = atoi(setting(path, "size", "1")),
                                       .tracks_count = 2,
                                       .tracks = p->tracks,
                                       .frames = 1798,
                                       .points_count = 3,
                                       .points_listed = 2,
                                       .points = p->points,
                                       .open_gop = 1,
                                       .gop_seconds_max = 2.002};
    return 0;
}

const struct rgpu_probe_info *rgpu_probe_info(const rgpu_probe *probe)
{
    return &probe->info;
}

const char *rgpu_probe_message(const rgpu_probe *probe)
{
    return probe->message;
}

void rgpu_probe_close(rgpu_probe **probe)
{
    free(*probe);
    *probe = NULL;
}

int rgpu_devices(struct rgpu_device_info *ret, int max, size_t size)
{
    if (max < 2 || size != sizeof(*ret))
        return RGPU_ERROR_INTERNAL;
    ret[0] = (struct rgpu_device_info){.name = "cuda:0",
                                       .description = "A GPU",
                                       .memory_bytes = 24000000000,
                                       .decoders = "h264,av1",
                                       .remark = "a remark\nanother",
                                       .cores = 16,
                                       .compute_percent = 12,
                                       .decoder_percent = 0,
                                       .encoder_percent = -1,
                                       .temperature_c = 45,
                                       .power_mw = 71400,
                                       .memory_used_bytes = 1500000000,
                                       .clock_mhz = 1980,
                                       .memory_clock_mhz = 2619,
                                       .video_clock_mhz = -1,
                                       .slowed_by = "power cap, heat"};
    ret[1] = (struct rgpu_device_info){.name = "cpu",
                                       .description = "A \"CPU\"",
                                       .cores = 2,
                                       .memory_bytes = 8000000000,
                                       .decoders = "h264,hevc",
                                       .encoders = "h264 (libx264), hevc (libx265)",
                                       .compute_percent = -1,
                                       .decoder_percent = -1,
                                       .encoder_percent = -1,
                                       .temperature_c = -1,
                                       .power_mw = -1,
                                       .memory_used_bytes = -1,
                                       .clock_mhz = -1,
                                       .memory_clock_mhz = -1,
                                       .video_clock_mhz = -1};
    return 2;
}

int rgpu_bench(const char *device, double seconds,
               int (*result)(void *opaque, const struct rgpu_bench_result *figure), void *opaque,
               char *message, size_t message_size)
{
    struct rgpu_bench_result figure = {"decode h264", 1920, 1080, seconds, 1.5};
    if (!strcmp(device, "cuda:7")) {
        snprintf(message, message_size, "cuda:7: no such device");
        return RGPU_ERROR_DEVICE;
    }
    for (int i = 0; i < 3; i++) {
        /* One that takes its time. */
        if (seconds >= 10)
            sleep((unsigned)seconds);
        if (result(opaque, &figure))
            return RGPU_ERROR_CANCELLED;
    }
    return 0;
}
