/* The beginning of a file job, on the job's thread: the input is opened, the rungs follow from it,
 * then come the outputs, the cutter and the node. */
#include "api/transcode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/select.h"
#include "base/clock.h"
#include "base/log.h"

#define GOP_SECONDS_DEFAULT 2.0
#define SEGMENT_SECONDS_DEFAULT 4.0
#define HLS_SECONDS_DEFAULT 6.0

static const struct rational microseconds = {1, 1000000};

static int64_t to_us(double seconds)
{
    return (int64_t)(seconds * 1e6 + (seconds < 0 ? -0.5 : 0.5));
}

int transcode_parse_audio(struct outputs_params *ret, const char *text, struct error *err)
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
        const char *number = text + length + 1;
        const long kbps = strtol(number, NULL, 10);
        if (modes[i].mode == AUDIO_ENCODE && !number[strspn(number, "0123456789")] && kbps >= 8 &&
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

const char *transcode_input_name(const struct rgpu_transcode_params *p)
{
    return strcmp(p->input, "-") != 0 ? p->input : "standard input";
}

/* Says why there is no video to transcode. */
static int refuse_input(const struct rgpu_transcode *t, struct error *err)
{
    for (int i = 0; i < reader_tracks_count(t->reader); i++) {
        const struct reader_track *track = reader_track(t->reader, i);
        if (track->kind == TRACK_VIDEO && track->is_untold)
            return error_set(err, RGPU_ERROR_INPUT,
                             "%s: the beginning of the input does not tell the picture size of "
                             "video track %d",
                             t->params.input, i);
    }
    return error_set(err, RGPU_ERROR_INPUT, "%s: there is no video track", t->params.input);
}

static int open_input(struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                      struct error *err)
{
    struct reader_params params = {.path = p->input,
                                   .video_track = -1,
                                   .start_us = to_us(p->start_seconds),
                                   .interrupt = transcode_interrupt(t)};
    int ret = reader_open(&t->reader, &params, err);
    if (ret != 0)
        return ret;
    /* A map may choose another video track than the best one: open again with it. */
    int video = select_video(t->reader, p->map);
    if (video >= 0 && (!reader_video(t->reader) || reader_video(t->reader)->index != video)) {
        if (!reader_can_reopen(p->input))
            return error_set(err, RGPU_ERROR_PARAM,
                             "%s cannot be read twice, so no other video track than its best one "
                             "can be chosen",
                             transcode_input_name(p));
        reader_close(&t->reader);
        params.video_track = video;
        ret = reader_open(&t->reader, &params, err);
        if (ret != 0)
            return ret;
    }
    if (!reader_video(t->reader))
        return refuse_input(t, err);
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

static void log_rung(const struct rung *rung)
{
    const struct rendition_params *r = &rung->rendition;
    char rate[64];
    if (rung->is_source) {
        log_line(RGPU_LOG_INFO, "rendition %s: copied", rung->name);
        return;
    }
    if (r->rate == RATE_QUALITY)
        snprintf(rate, sizeof(rate), r->quality > 0 ? "quality %d" : "lossless", r->quality);
    else
        snprintf(rate, sizeof(rate), "%lld kbit/s", (long long)(r->bit_rate_bps / 1000));
    log_line(RGPU_LOG_INFO, "rendition %s: %s %dx%d p%d %s", rung->name, r->codec, r->width,
             r->height, r->speed ? r->speed : 4, rate);
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
    for (int i = 0; ret == 0 && i < t->rungs_count; i++) {
        const struct rung *rung = &t->rungs[i];
        char size[RUNG_SIZE_TEXT_MAX];
        if (rung->is_cut)
            transcode_warn(t,
                           "rendition %s is %dx%d: a size of %s is larger than the source, which "
                           "only --upscale would enlarge",
                           rung->name, rung->rendition.width, rung->rendition.height,
                           rung_size_text(rung, size));
        log_rung(rung);
    }
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
                                    .is_mapped = p->map && *p->map,
                                    .start_us = t->start_us,
                                    .end_us = t->end_us,
                                    .segment_us = to_us(p->segment_seconds)};
    int ret = select_tracks(t->reader, p->map, keep, err);
    if (ret == 0)
        ret = transcode_parse_audio(&params, p->audio, err);
    if (ret != 0)
        return ret;
    params.rungs_count = t->rungs_count;
    for (int i = 0; i < t->rungs_count; i++) {
        struct output_rung *rung = &params.rungs[i];
        snprintf(rung->name, sizeof(rung->name), "%.31s", t->rungs[i].name);
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
    *ret = (struct job_params){
        .source = track_share(&reader_video(t->reader)->video),
        .renditions_count = t->renditions_count,
        .gop_us = t->gop_us,
        .deinterlace = p->deinterlace == RGPU_DEINTERLACE_OFF ? DEINTERLACE_OFF : DEINTERLACE_AUTO,
        .timestamps_by_order = reader_timestamps_by_order(t->reader),
        .intra_refresh = p->intra_refresh != 0,
        .strip_dynamic_hdr = p->strip_dynamic_hdr != 0,
        .no_fallback = p->no_fallback != 0,
        .slots = p->jobs,
        .threads = p->threads,
    };
    for (int i = 0; i < t->renditions_count; i++)
        ret->renditions[i] = t->rungs[t->rendition_rung[i]].rendition;
    /* Pictures that depend on their neighbours cannot be cut. */
    const enum field_order fields = reader_video(t->reader)->video.field_order;
    if (ret->deinterlace == DEINTERLACE_AUTO && fields != FIELD_PROGRESSIVE &&
        fields != FIELD_UNKNOWN)
        ret->slots = 1;
}

static int open_node(struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                     struct error *err)
{
    if (!t->renditions_count)
        return 0;
    char name[sizeof(t->progress.device)];
    const struct device_info *device = &t->device.info;
    struct rendition_params renditions[RENDITIONS_MAX];
    for (int i = 0; i < t->renditions_count; i++)
        renditions[i] = t->rungs[t->rendition_rung[i]].rendition;
    const struct device_needs needs = {.source = &reader_video(t->reader)->video,
                                       .renditions = renditions,
                                       .renditions_count = t->renditions_count};
    int ret = device_open(&t->device, p->device, &needs, err);
    if (ret != 0)
        return ret;
    device_name(device, name, sizeof(name));
    log_line(RGPU_LOG_INFO, "device %s: %s", name, device->name);
    pthread_mutex_lock(&t->lock);
    memcpy(t->progress.device, name, sizeof(name));
    pthread_mutex_unlock(&t->lock);
    struct job_params params;
    describe_job(t, p, &params);
    ret = job_open(&t->job, &params, err);
    if (ret != 0)
        return ret;
    struct link *near = NULL, *far = NULL;
    if (link_memory_pair(&near, &far) != 0)
        return error_memory(err, "a link");
    ret = node_start(&t->node, &(struct node_params){device->kind, device->index}, far, err);
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
        .joints_at_points = t->renditions_count < t->rungs_count,
        .no_reorder = !reader_video(t->reader)->may_reorder,
    };
    struct rendition_params renditions[RENDITIONS_MAX];
    for (int i = 0; i < t->renditions_count; i++)
        renditions[i] = t->rungs[t->rendition_rung[i]].rendition;
    rate_cap_init(&params.cap, base, reader_video(t->reader)->video.frame_rate, renditions,
                  t->renditions_count);
    if (t->start_us)
        params.start_pts = rational_rescale(t->start_us, microseconds, base, ROUND_UP);
    if (t->end_us)
        params.end_pts = rational_rescale(t->end_us, microseconds, base, ROUND_UP);
    return cutter_new(&t->cutter, &params) == 0 ? 0 : error_memory(err, "the cutter");
}

static void describe_progress(struct rgpu_transcode *t)
{
    pthread_mutex_lock(&t->lock);
    struct rgpu_progress *p = &t->progress;
    p->state = RGPU_STATE_RUNNING;
    p->percent = t->duration_us ? 0 : -1;
    p->remaining_seconds = -1;
    p->duration_seconds = (double)t->duration_us / 1e6;
    p->rungs_count = t->rungs_count;
    snprintf(p->master, sizeof(p->master), "%s", outputs_master_path(t->outputs));
    for (int i = 0; i < t->rungs_count; i++) {
        struct rgpu_rung_progress *rung = &p->rungs[i];
        snprintf(rung->name, sizeof(rung->name), "%.31s", t->rungs[i].name);
        snprintf(rung->codec, sizeof(rung->codec), "%s", t->rungs[i].rendition.codec);
        snprintf(rung->output, sizeof(rung->output), "%s", outputs_rung_path(t->outputs, i));
        rung->width = t->rungs[i].rendition.width;
        rung->height = t->rungs[i].rendition.height;
    }
    t->started_ns = clock_now_ns();
    pthread_mutex_unlock(&t->lock);
}

int transcode_open(struct rgpu_transcode *t, struct error *err)
{
    const struct rgpu_transcode_params *p = &t->params;
    t->gop_us = to_us(p->gop_seconds > 0 ? p->gop_seconds : GOP_SECONDS_DEFAULT);
    int ret = device_find(p->device, err);
    if (ret == 0)
        ret = open_input(t, p, err);
    if (ret == 0)
        ret = resolve_rungs(t, p, err);
    if (ret == 0)
        ret = open_outputs(t, p, err);
    if (ret == 0)
        ret = open_cutter(t, p, err);
    if (ret == 0)
        ret = open_node(t, p, err);
    if (ret == 0)
        describe_progress(t);
    return ret;
}
