#include "api/transcode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/device.h"
#include "api/select.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/codec_log.h"

#define SECONDS_MAX 1e9
#define GOP_SECONDS_DEFAULT 2.0
#define SEGMENT_SECONDS_DEFAULT 10.0
#define HLS_SECONDS_DEFAULT 6.0

static const struct rational microseconds = {1, 1000000};

static int64_t to_us(double seconds)
{
    return (int64_t)(seconds * 1e6 + (seconds < 0 ? -0.5 : 0.5));
}

bool transcode_cancelled(struct rgpu_transcode *t)
{
    return __atomic_load_n(&t->cancelled, __ATOMIC_ACQUIRE) != 0;
}

void transcode_warn(struct rgpu_transcode *t, const char *format, ...)
{
    char text[ERROR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pthread_mutex_lock(&t->lock);
    bool known = t->warnings_count == WARNINGS_MAX;
    for (int i = 0; i < t->warnings_count; i++)
        known |= !strcmp(t->warnings[i], text);
    if (!known)
        memcpy(t->warnings[t->warnings_count++], text, sizeof(text));
    pthread_mutex_unlock(&t->lock);
}

/* ---- opening ------------------------------------------------------------------------------- */

static int check_params(const struct rgpu_transcode_params *p, struct error *err)
{
    if (!p->input || !*p->input || !p->output || !*p->output)
        return error_set(err, RGPU_ERROR_PARAM, "an input and an output are needed");
    if (p->rungs_count < 0 || (p->rungs_count > 0 && !p->rungs))
        return error_set(err, RGPU_ERROR_PARAM, "rungs_count is %d, but there are no rungs",
                         p->rungs_count);
    const struct {
        const char *name;
        double value;
    } times[] = {{"segment", p->segment_seconds},
                 {"gop", p->gop_seconds},
                 {"start", p->start_seconds},
                 {"duration", p->duration_seconds}};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        if (!(times[i].value >= 0 && times[i].value <= SECONDS_MAX))
            return error_set(err, RGPU_ERROR_PARAM, "%s of %g s is outside 0 to %g", times[i].name,
                             times[i].value, SECONDS_MAX);
    if (p->jobs < 0 || p->jobs > JOB_SLOTS_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "%d jobs is outside 1 to %d", p->jobs,
                         JOB_SLOTS_MAX);
    if (p->threads < 0 || p->threads > 1024)
        return error_set(err, RGPU_ERROR_PARAM, "%d threads is outside 1 to 1024", p->threads);
    return 0;
}

static int parse_audio(struct outputs_params *ret, const char *text, struct error *err)
{
    static const struct {
        const char *name;
        enum audio_mode mode;
    } modes[] = {
        {"copy", AUDIO_COPY}, {"none", AUDIO_NONE}, {"aac", AUDIO_ENCODE}, {"opus", AUDIO_ENCODE}};
    ret->audio = AUDIO_AUTO;
    if (!text || !*text)
        return 0;
    const size_t length = strcspn(text, ":");
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strlen(modes[i].name) != length || strncmp(modes[i].name, text, length) != 0)
            continue;
        ret->audio = modes[i].mode;
        snprintf(ret->audio_codec, sizeof(ret->audio_codec), "%s", modes[i].name);
        if (!text[length])
            return 0;
        char *end;
        long kbps = strtol(text + length + 1, &end, 10);
        if (modes[i].mode == AUDIO_ENCODE && end != text + length + 1 && !*end && kbps >= 8 &&
            kbps <= 1024) {
            ret->audio_bit_rate_bps = (int64_t)kbps * 1000;
            return 0;
        }
        break;
    }
    return error_set(
        err, RGPU_ERROR_PARAM,
        "audio '%s' is not copy, none, aac[:KBPS] or opus[:KBPS] with 8 to 1024 kbit/s", text);
}

static int open_input(struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                      struct error *err)
{
    struct reader_params params = {
        .path = p->input, .video_track = -1, .start_us = to_us(p->start_seconds)};
    int ret = reader_open(&t->reader, &params, err);
    if (ret != 0)
        return ret;
    /* A map may choose another video track than the best one: open again with it. */
    int video = select_video(t->reader, p->map);
    if (video >= 0 && (!reader_video(t->reader) || reader_video(t->reader)->index != video)) {
        if (!strcmp(p->input, "-"))
            return error_set(
                err, RGPU_ERROR_UNSUPPORTED,
                "another video track than the first cannot be chosen on standard input");
        reader_close(&t->reader);
        params.video_track = video;
        ret = reader_open(&t->reader, &params, err);
        if (ret != 0)
            return ret;
    }
    if (!reader_video(t->reader))
        return error_set(err, RGPU_ERROR_INPUT, "%s: there is no video track", p->input);
    const int64_t origin = reader_start_us(t->reader);
    if (p->start_seconds > 0)
        t->start_us = origin + to_us(p->start_seconds);
    if (p->duration_seconds > 0)
        t->end_us = origin + to_us(p->start_seconds + p->duration_seconds);
    const int64_t total = reader_duration_us(t->reader);
    t->duration_us = total > 0 ? total - to_us(p->start_seconds) : 0;
    if (total > 0 && t->duration_us <= 0)
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s: the start of %.3f s lies behind the end at %.3f s", p->input,
                         p->start_seconds, (double)total / 1e6);
    if (p->duration_seconds > 0 && (!t->duration_us || t->duration_us > to_us(p->duration_seconds)))
        t->duration_us = to_us(p->duration_seconds);
    return 0;
}

static int resolve_rungs(struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                         struct error *err)
{
    const struct rung_context context = {.source = &reader_video(t->reader)->video,
                                         .upscale = p->upscale != 0};
    int dropped = 0;
    int ret = rung_resolve_ladder(t->rungs, &t->rungs_count, &dropped, p->rungs, p->rungs_count,
                                  &context, err);
    if (ret == 0 && dropped)
        transcode_warn(t,
                       "%d %s left out: the source is %dx%d, and larger ones would be the same "
                       "(upscaling has to be asked for)",
                       dropped, dropped == 1 ? "rung is" : "rungs are", context.source->width,
                       context.source->height);
    return ret;
}

static int open_outputs(struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                        struct error *err)
{
    bool keep[READER_TRACKS_MAX];
    struct outputs_params params = {.reader = t->reader,
                                    .path = p->output,
                                    .overwrite = p->overwrite != 0,
                                    .keep = keep,
                                    .start_us = t->start_us,
                                    .end_us = t->end_us,
                                    .segment_us = to_us(p->segment_seconds)};
    int ret = select_tracks(t->reader, p->map, keep, err);
    if (ret == 0)
        ret = parse_audio(&params, p->audio, err);
    if (ret != 0)
        return ret;
    params.rungs_count = t->rungs_count;
    for (int i = 0; i < t->rungs_count; i++) {
        struct output_rung *rung = &params.rungs[i];
        snprintf(rung->name, sizeof(rung->name), "%s", t->rungs[i].name);
        snprintf(rung->codec, sizeof(rung->codec), "%s", t->rungs[i].rendition.codec);
        rung->is_source = t->rungs[i].is_source;
        rung->rendition = rung->is_source ? -1 : t->renditions_count;
        if (!rung->is_source)
            t->rendition_rung[t->renditions_count++] = i;
    }
    ret = outputs_open(&t->outputs, &params, err);
    /* NOT_FOUND and ACCESS speak of the input in the public interface. */
    if (ret == RGPU_ERROR_NOT_FOUND || ret == RGPU_ERROR_ACCESS)
        ret = RGPU_ERROR_IO;
    if (ret != 0)
        return ret;
    for (int i = 0; i < outputs_warnings_count(t->outputs); i++)
        transcode_warn(t, "%s", outputs_warning(t->outputs, i));
    return 0;
}

static void describe_job(const struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                         struct job_params *ret)
{
    double gop = p->gop_seconds > 0 ? p->gop_seconds : GOP_SECONDS_DEFAULT;
    *ret = (struct job_params){
        .source = track_share(&reader_video(t->reader)->video),
        .renditions_count = t->renditions_count,
        .gop_us = to_us(gop),
        .deinterlace = p->deinterlace == RGPU_DEINTERLACE_OFF ? DEINTERLACE_OFF : DEINTERLACE_AUTO,
        .timestamps_by_order = reader_timestamps_by_order(t->reader),
        .strip_dynamic_hdr = p->strip_dynamic_hdr != 0,
        .slots = p->jobs,
        .threads = p->threads,
    };
    for (int i = 0; i < t->renditions_count; i++)
        ret->renditions[i] = t->rungs[t->rendition_rung[i]].rendition;
    /* Pictures that depend on their neighbours cannot be cut (notes on segments, point 10). */
    const enum field_order fields = reader_video(t->reader)->video.field_order;
    if (ret->deinterlace == DEINTERLACE_AUTO && fields != FIELD_PROGRESSIVE &&
        fields != FIELD_UNKNOWN)
        ret->slots = 1;
}

static int open_node(struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                     struct error *err)
{
    struct device_info device;
    int ret = device_choose(p->device, &device, err);
    if (ret != 0 || !t->renditions_count)
        return ret;
    device_name(&device, t->progress.device, sizeof(t->progress.device));
    log_line(LOG_INFO, "device %s: %s", t->progress.device, device.name);
    struct job_params params;
    describe_job(t, p, &params);
    ret = job_open(&t->job, &params, err);
    if (ret != 0)
        return ret;
    struct link *near = NULL, *far = NULL;
    if (link_memory_pair(&near, &far) != 0)
        return error_memory(err, "a link");
    ret = node_start(&t->node, &(struct node_params){device.kind, device.index}, far, err);
    if (ret != 0)
        link_close(&near);
    return ret == 0 ? job_add_node(t->job, near, err) : ret;
}

static int open_cutter(struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                       struct error *err)
{
    const struct rational base = reader_video(t->reader)->video.time_base;
    const bool hls = container_from_name(p->output) == CONTAINER_HLS;
    double seconds = p->segment_seconds > 0 ? p->segment_seconds
                     : hls                  ? HLS_SECONDS_DEFAULT
                                            : SEGMENT_SECONDS_DEFAULT;
    struct cutter_params params = {
        .time_base = base,
        .segment_us = reader_timestamps_by_order(t->reader) ? -1 : to_us(seconds),
        .start_pts = PTS_NONE,
        .end_pts = PTS_NONE,
        .no_reorder = !reader_video(t->reader)->may_reorder,
    };
    if (t->start_us)
        params.start_pts = rational_rescale(t->start_us, microseconds, base, ROUND_UP);
    if (t->end_us)
        params.end_pts = rational_rescale(t->end_us, microseconds, base, ROUND_UP);
    return cutter_new(&t->cutter, &params) == 0 ? 0 : error_memory(err, "the cutter");
}

static void describe_progress(struct rgpu_transcode *t)
{
    struct rgpu_progress *p = &t->progress;
    p->percent = t->duration_us ? 0 : -1;
    p->remaining_seconds = -1;
    p->duration_seconds = (double)t->duration_us / 1e6;
    p->rungs_count = t->rungs_count;
    for (int i = 0; i < t->rungs_count; i++) {
        struct rgpu_rung_progress *rung = &p->rungs[i];
        snprintf(rung->name, sizeof(rung->name), "%s", t->rungs[i].name);
        snprintf(rung->codec, sizeof(rung->codec), "%s", t->rungs[i].rendition.codec);
        snprintf(rung->output, sizeof(rung->output), "%s", outputs_rung_path(t->outputs, i));
        rung->width = t->rungs[i].rendition.width;
        rung->height = t->rungs[i].rendition.height;
    }
}

static int open_all(struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                    struct error *err)
{
    int ret = check_params(p, err);
    if (ret != 0)
        return ret;
    t->input = strdup(p->input);
    t->verify = p->verify != 0;
    if (!t->input)
        return error_memory(err, "a name");
    if (t->verify && !strcmp(p->input, "-"))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "standard input cannot be read twice, so its result cannot be verified");
    ret = open_input(t, p, err);
    if (ret == 0)
        ret = resolve_rungs(t, p, err);
    if (ret == 0)
        ret = open_outputs(t, p, err);
    if (ret == 0)
        ret = open_cutter(t, p, err);
    if (ret == 0)
        ret = open_node(t, p, err);
    if (ret != 0)
        return ret;
    describe_progress(t);
    t->started_ns = clock_now_ns();
    if (pthread_create(&t->thread, NULL, transcode_run, t) != 0)
        return error_set(err, RGPU_ERROR_MEMORY, "cannot start a thread for the job");
    t->started = true;
    return 0;
}

int rgpu_transcode_open_sized(rgpu_transcode **ret, const struct rgpu_transcode_params *params,
                              size_t size)
{
    *ret = NULL;
    struct rgpu_transcode *t = calloc(1, sizeof(*t));
    if (!t)
        return RGPU_ERROR_MEMORY;
    struct rgpu_transcode_params copy = {0};
    memcpy(&copy, params, size < sizeof(copy) ? size : sizeof(copy));
    pthread_mutex_init(&t->lock, NULL);
    clock_cond_init(&t->changed);
    codec_log_to_sink();
    struct error err = {0};
    int code = open_all(t, &copy, &err);
    if (code != 0) {
        err.code = code;
        t->failure = err;
        t->ended = true;
        t->progress.state = RGPU_STATE_FAILED;
    }
    *ret = t;
    return code;
}

/* ---- watching ------------------------------------------------------------------------------ */

int rgpu_transcode_wait(rgpu_transcode *job, int timeout_ms)
{
    struct timespec deadline = clock_deadline(timeout_ms > 0 ? timeout_ms : 0);
    pthread_mutex_lock(&job->lock);
    while (!job->ended) {
        if (timeout_ms < 0)
            pthread_cond_wait(&job->changed, &job->lock);
        else if (pthread_cond_timedwait(&job->changed, &job->lock, &deadline) != 0)
            break;
    }
    int ret = job->ended ? job->failure.code : RGPU_ERROR_AGAIN;
    pthread_mutex_unlock(&job->lock);
    return ret;
}

int rgpu_transcode_progress(rgpu_transcode *job, struct rgpu_progress *ret, size_t size)
{
    memset(ret, 0, size); /* a newer caller's fields */
    pthread_mutex_lock(&job->lock);
    memcpy(ret, &job->progress, size < sizeof(*ret) ? size : sizeof(*ret));
    pthread_mutex_unlock(&job->lock);
    return 0;
}

const char *rgpu_transcode_message(rgpu_transcode *job)
{
    pthread_mutex_lock(&job->lock);
    const char *text = job->ended ? job->failure.text : "";
    pthread_mutex_unlock(&job->lock);
    return text;
}

const char *rgpu_transcode_warning(rgpu_transcode *job, int i)
{
    pthread_mutex_lock(&job->lock);
    const char *text = i >= 0 && i < job->warnings_count ? job->warnings[i] : NULL;
    pthread_mutex_unlock(&job->lock);
    return text;
}

void rgpu_transcode_cancel(rgpu_transcode *job)
{
    __atomic_store_n(&job->cancelled, 1, __ATOMIC_RELEASE);
    struct reader *reader = __atomic_load_n(&job->reader, __ATOMIC_ACQUIRE);
    if (reader)
        reader_cancel(reader);
}

void rgpu_transcode_close(rgpu_transcode **job)
{
    struct rgpu_transcode *t = *job;
    *job = NULL;
    if (!t)
        return;
    rgpu_transcode_cancel(t);
    if (t->started)
        pthread_join(t->thread, NULL);
    job_close(&t->job);
    node_stop(&t->node);
    cutter_free(&t->cutter);
    outputs_close(&t->outputs);
    reader_close(&t->reader);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t->input);
    free(t);
}
