/* rgpu/stream.h: a job that never ends its first segment, fed through one queue and emptied through
 * another by a thread of its own. */
#include <rgpu/stream.h>

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/device.h"
#include "api/limits.h"
#include "api/rung.h"
#include "api/warnings.h"
#include "base/clock.h"
#include "base/thread.h"
#include "base/queue.h"
#include "dispatch/dispatch.h"
#include "file/dts.h"
#include "node/node.h"

#define INPUT_MAX 16 /* packets or frames that wait to be taken */
#define OUTPUT_MAX 256
#define WAIT_MS 20

struct input {
    struct packet packet;
    struct frame *frame;
};

/* Packets of one rendition that wait for their dts. */
struct rendition {
    struct dts dts;
    bool ready; /* its header has come */
    struct packet waiting[DTS_DELAY_MAX + 2];
    int head, count;
    struct buffer *headers; /* protected by the stream's lock */
};

struct rgpu_stream {
    struct track source;
    struct device device;
    struct job *job;
    struct node *node;
    int renditions_count;
    struct rendition renditions[RENDITIONS_MAX];
    struct queue input, output;
    pthread_t thread;
    bool started, begun;    /* begun: the job's thread */
    uint64_t ordinal;       /* sender's thread */
    int64_t last_pts;       /* sender's thread: of the last frame */
    int finished, stop;     /* atomic */
    struct packet received; /* receiver's thread: valid until the next receive */

    pthread_mutex_t lock;
    struct error failure; /* protected by `lock`, as all below */
    struct warnings warnings;
    struct rgpu_stream_progress progress;
};

static int set_failure(struct rgpu_stream *s, int code, const char *text)
{
    pthread_mutex_lock(&s->lock);
    if (s->failure.code == 0)
        error_set(&s->failure, code, "%s", text);
    pthread_mutex_unlock(&s->lock);
    return code;
}

__attribute__((format(printf, 2, 3))) static void warn(struct rgpu_stream *s, const char *format,
                                                       ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&s->lock);
    warnings_add(&s->warnings, format, args);
    pthread_mutex_unlock(&s->lock);
    va_end(args);
}

static int failure_code(struct rgpu_stream *s)
{
    pthread_mutex_lock(&s->lock);
    int code = s->failure.code;
    pthread_mutex_unlock(&s->lock);
    return code;
}

/* ---- job's thread -------------------------------------------------------------------------- */

static int take_input(struct rgpu_stream *s)
{
    while (job_accepts(s->job)) {
        void *item = NULL;
        int ret = queue_pop(&s->input, 0, &item);
        if (ret == RGPU_ERROR_AGAIN)
            return 0;
        if (ret == RGPU_ERROR_END) {
            if (s->begun)
                ret = job_end(s->job, -1, 0);
            job_finish(s->job);
            return s->begun ? ret : 0;
        }
        struct input *in = item;
        const int64_t pts = in->frame ? in->frame->pts : in->packet.pts;
        if (!s->begun)
            ret = job_begin(s->job, 0, pts, 0);
        s->begun = true;
        if (ret == 0)
            ret = in->frame ? job_frame(s->job, &in->frame) : job_packet(s->job, &in->packet);
        packet_done(&in->packet);
        frame_unref(&in->frame);
        free(in);
        if (ret != 0)
            return ret;
    }
    return 0;
}

/* Hands a packet to the receiver, waiting while it is slow. */
static int give(struct rgpu_stream *s, struct packet *pkt)
{
    struct packet *moved = malloc(sizeof(*moved));
    if (!moved)
        return RGPU_ERROR_MEMORY;
    *moved = packet_move(pkt);
    int ret = queue_push(&s->output, moved);
    if (ret != 0) {
        packet_done(moved);
        free(moved);
    }
    return ret;
}

static void note_given(struct rgpu_stream *s, int rendition, int64_t bytes)
{
    pthread_mutex_lock(&s->lock);
    s->progress.rungs[rendition].frames++;
    s->progress.rungs[rendition].bytes += bytes;
    pthread_mutex_unlock(&s->lock);
}

/* Gives all packets of a rendition whose dts is known. */
static int give_ready(struct rgpu_stream *s, struct rendition *r)
{
    const int capacity = (int)(sizeof(r->waiting) / sizeof(r->waiting[0]));
    int64_t dts;
    int ret = 0;
    while (r->count && (ret = dts_next(&r->dts, &dts)) == 0) {
        r->waiting[r->head].dts = dts;
        note_given(s, (int)(r - s->renditions), (int64_t)r->waiting[r->head].size);
        ret = give(s, &r->waiting[r->head]);
        packet_done(&r->waiting[r->head]);
        r->head = (r->head + 1) % capacity;
        r->count--;
        if (ret != 0)
            return ret;
    }
    return ret == RGPU_ERROR_AGAIN || ret == RGPU_ERROR_END ? 0 : ret;
}

static int take_packet(struct rgpu_stream *s, struct packet *pkt, struct error *err)
{
    struct rendition *r = &s->renditions[pkt->rendition];
    const int capacity = (int)(sizeof(r->waiting) / sizeof(r->waiting[0]));
    if (!r->ready || r->count == capacity)
        return error_set(err, RGPU_ERROR_INTERNAL, "a packet came before its header");
    const int64_t pts = pkt->pts;
    int ret = dts_push(&r->dts, pts);
    r->waiting[(r->head + r->count++) % capacity] = packet_move(pkt);
    if (ret == 0)
        ret = give_ready(s, r);
    if (ret == RGPU_ERROR_INTERNAL)
        return error_set(err, RGPU_ERROR_INPUT,
                         "time stamps of the input repeat or go back near %lld", (long long)pts);
    return ret == 0 ? 0 : error_set(err, ret, "%s", rgpu_error_text(ret));
}

static void take_header(struct rgpu_stream *s, uint32_t rendition, const struct track *track)
{
    struct rendition *r = &s->renditions[rendition];
    int64_t duration =
        track->frame_rate.num > 0 && track->time_base.num > 0
            ? rational_rescale(1, (struct rational){track->frame_rate.den, track->frame_rate.num},
                               track->time_base, ROUND_NEAREST)
            : 1;
    dts_init(&r->dts, track->reorder_frames, duration > 0 ? duration : 1);
    r->ready = true;
    pthread_mutex_lock(&s->lock);
    buffer_unref(&r->headers);
    r->headers = buffer_ref(track->extradata);
    pthread_mutex_unlock(&s->lock);
}

static void take_damage(struct rgpu_stream *s, const struct job_output *out)
{
    const int64_t damaged = out->done.failed_packets + out->done.corrupt_frames + out->frames_wrong;
    pthread_mutex_lock(&s->lock);
    s->progress.damaged += damaged;
    pthread_mutex_unlock(&s->lock);
    if (damaged)
        warn(s, "the input is damaged: %lld frames or packets could not be decoded right",
             (long long)damaged);
}

/* Takes what has come back. END: all is out. AGAIN: more will come. */
static int take_outputs(struct rgpu_stream *s, struct error *err)
{
    struct job_output out = {0};
    int ret;
    while ((ret = job_next(s->job, &out, err)) == 0) {
        const enum job_output_type type = out.type;
        if (type == JOB_HEADER)
            take_header(s, out.rendition, &out.track);
        else if (type == JOB_PACKET)
            ret = take_packet(s, &out.packet, err);
        else if (type == JOB_SEGMENT_DONE)
            take_damage(s, &out);
        else if (type == JOB_NOTE)
            warn(s, "%s", out.note);
        job_output_done(&out);
        if (type == JOB_ENDED)
            return RGPU_ERROR_END;
        if (ret != 0)
            return ret;
    }
    return ret;
}

static int flush_renditions(struct rgpu_stream *s)
{
    int ret = 0;
    for (int i = 0; i < s->renditions_count && ret == 0; i++) {
        if (s->renditions[i].ready)
            dts_finish(&s->renditions[i].dts);
        ret = give_ready(s, &s->renditions[i]);
    }
    return ret;
}

static void *run(void *opaque)
{
    struct rgpu_stream *s = opaque;
    struct error err = {0};
    int ret = RGPU_ERROR_AGAIN;
    while (ret == RGPU_ERROR_AGAIN && !__atomic_load_n(&s->stop, __ATOMIC_ACQUIRE)) {
        ret = take_input(s);
        if (ret == 0)
            ret = take_outputs(s, &err);
        if (ret == RGPU_ERROR_AGAIN)
            job_wait(s->job, WAIT_MS);
    }
    if (ret == RGPU_ERROR_END)
        ret = flush_renditions(s);
    if (ret != 0 && ret != RGPU_ERROR_AGAIN)
        set_failure(s, ret, err.text[0] ? err.text : rgpu_error_text(ret));
    queue_close(&s->input);
    queue_close(&s->output);
    return NULL;
}

/* ---- opening ------------------------------------------------------------------------------- */

static int describe_source(struct rgpu_stream *s, const struct rgpu_stream_params *p,
                           struct error *err)
{
    struct track *t = &s->source;
    const bool has_base = p->time_base_num || p->time_base_den;
    const bool has_rate = p->fps_num || p->fps_den;
    if ((has_base && (p->time_base_num < 1 || p->time_base_den < 1)) ||
        (has_rate && (p->fps_num < 1 || p->fps_den < 1)))
        return error_set(err, RGPU_ERROR_PARAM, "time base %d/%d or frame rate %d/%d is none",
                         p->time_base_num, p->time_base_den, p->fps_num, p->fps_den);
    *t = (struct track){
        .width = p->width,
        .height = p->height,
        .time_base = has_base ? (struct rational){p->time_base_num, p->time_base_den}
                              : (struct rational){1, 90000},
        .frame_rate = {p->fps_num, p->fps_den},
        .codec_profile = -99,
        .codec_level = -99,
        .reorder_frames = -1,
    };
    snprintf(t->codec, sizeof(t->codec), "%s", p->codec ? p->codec : "rawvideo");
    if (!p->codec) {
        t->format = pixel_from_name(p->pixel_format ? p->pixel_format : "");
        if (t->format == PIXEL_NONE)
            return error_set(err, RGPU_ERROR_PARAM, "pixel format '%s' is not known",
                             p->pixel_format ? p->pixel_format : "");
    }
    if (p->width < 1 || p->height < 1 || p->width > FRAME_SIZE_MAX || p->height > FRAME_SIZE_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "pictures of %dx%d are outside 1x1 to %dx%d",
                         p->width, p->height, FRAME_SIZE_MAX, FRAME_SIZE_MAX);
    if (p->headers_size && !p->headers)
        return error_set(err, RGPU_ERROR_PARAM, "headers_size is %zu, but there are no headers",
                         p->headers_size);
    if (p->headers_size) {
        t->extradata = buffer_copy(p->headers, p->headers_size);
        if (!t->extradata)
            return error_memory(err, "codec headers");
    }
    return 0;
}

/* A size that cannot be had is refused: here the caller knows the source's. */
static int resolve_rungs(struct rgpu_stream *s, const struct rgpu_stream_params *p,
                         struct rung rungs[RENDITIONS_MAX], struct error *err)
{
    int dropped = 0;
    const struct rung_context context = {
        .source = &s->source, .upscale = p->upscale != 0, .low_latency = p->low_latency != 0};
    int ret = rung_resolve_ladder(rungs, &s->renditions_count, &dropped, p->rungs, p->rungs_count,
                                  &context, err);
    if (ret == 0 && dropped)
        ret = error_set(err, RGPU_ERROR_PARAM, "rungs are larger than the source: leave them out");
    for (int i = 0; ret == 0 && i < s->renditions_count; i++) {
        char size[RUNG_SIZE_TEXT_MAX];
        if (rungs[i].is_source)
            ret = error_set(err, RGPU_ERROR_PARAM, "a stream has no source rung");
        else if (rungs[i].is_cut)
            ret = error_set(err, RGPU_ERROR_PARAM,
                            "a rung of %s is larger than the stream, which is %dx%d: give a size "
                            "that it has, or set upscale",
                            rung_size_text(&rungs[i], size), p->width, p->height);
    }
    return ret;
}

static void describe_progress(struct rgpu_stream *s, const struct rung *rungs)
{
    s->progress.rungs_count = s->renditions_count;
    for (int i = 0; i < s->renditions_count; i++) {
        struct rgpu_rung_progress *rung = &s->progress.rungs[i];
        snprintf(rung->name, sizeof(rung->name), "%.31s", rungs[i].name);
        snprintf(rung->codec, sizeof(rung->codec), "%s", rungs[i].rendition.codec);
        rung->width = rungs[i].rendition.width;
        rung->height = rungs[i].rendition.height;
    }
}

static int open_job(struct rgpu_stream *s, const struct rgpu_stream_params *p, struct error *err)
{
    struct rung rungs[RENDITIONS_MAX];
    int ret = resolve_rungs(s, p, rungs, err);
    if (ret != 0)
        return ret;
    struct rendition_params renditions[RENDITIONS_MAX];
    for (int i = 0; i < s->renditions_count; i++)
        renditions[i] = rungs[i].rendition;
    const struct device_needs needs = {.source = &s->source,
                                       .is_raw = p->codec == NULL,
                                       .renditions = renditions,
                                       .renditions_count = s->renditions_count};
    ret = device_open(&s->device, p->device, &needs, err);
    if (ret != 0)
        return ret;
    describe_progress(s, rungs);
    struct job_params params = {
        .source = track_share(&s->source),
        .renditions_count = s->renditions_count,
        .gop_us = (int64_t)((p->gop_seconds > 0 ? p->gop_seconds : 2.0) * 1e6),
        .low_latency = p->low_latency != 0,
        .intra_refresh = p->intra_refresh != 0,
        .raw_input = p->codec == NULL,
        .streaming = true,
        .no_fallback = p->no_fallback != 0,
        .slots = 1,
        .threads = p->threads,
    };
    for (int i = 0; i < s->renditions_count; i++)
        params.renditions[i] = rungs[i].rendition;
    ret = job_open(&s->job, &params, err);
    if (ret != 0)
        return ret;
    struct link *near = NULL, *far = NULL;
    if (link_memory_pair(&near, &far) != 0)
        return error_memory(err, "a link");
    const struct node_params node = {s->device.info.kind, s->device.info.index};
    ret = node_start(&s->node, &node, far, err);
    if (ret != 0)
        link_close(&near);
    return ret == 0 ? job_add_node(s->job, near, err) : ret;
}

static int open_stream(struct rgpu_stream *s, const struct rgpu_stream_params *p, struct error *err)
{
    if (p->rungs_count < 1 || !p->rungs)
        return error_set(err, RGPU_ERROR_PARAM, "a stream needs at least one rung");
    int ret = limits_check_seconds("gop", p->gop_seconds, SECONDS_MIN, err);
    if (ret == 0)
        ret = limits_check_threads(p->threads, err);
    if (ret == 0 && p->intra_refresh)
        ret = rung_check_refresh(p->rungs, p->rungs_count, err);
    if (ret == 0)
        ret = describe_source(s, p, err);
    if (ret == 0 &&
        (queue_init(&s->input, INPUT_MAX) != 0 || queue_init(&s->output, OUTPUT_MAX) != 0))
        ret = error_memory(err, "the queues");
    if (ret == 0)
        ret = open_job(s, p, err);
    if (ret == 0 && thread_start(&s->thread, run, s) != 0)
        ret = error_set(err, RGPU_ERROR_MEMORY, "cannot start a thread for the stream");
    s->started = ret == 0;
    return ret;
}

int rgpu_stream_open_sized(rgpu_stream **ret, const struct rgpu_stream_params *params, size_t size)
{
    *ret = NULL;
    struct rgpu_stream *s = calloc(1, sizeof(*s));
    if (!s)
        return RGPU_ERROR_MEMORY;
    struct rgpu_stream_params copy = {0};
    memcpy(&copy, params, size < sizeof(copy) ? size : sizeof(copy));
    s->last_pts = RGPU_NO_PTS;
    pthread_mutex_init(&s->lock, NULL);
    struct error err = {0};
    int code = open_stream(s, &copy, &err);
    if (code != 0)
        set_failure(s, code, err.text);
    *ret = s;
    return code;
}

/* ---- sending ------------------------------------------------------------------------------- */

/* Whether something may be sent now: 0, AGAIN, or the stream's error. */
static int may_send(struct rgpu_stream *s)
{
    int code = failure_code(s);
    if (code != 0)
        return code;
    if (!s->started || __atomic_load_n(&s->finished, __ATOMIC_ACQUIRE))
        return RGPU_ERROR_PARAM;
    return queue_count(&s->input) < INPUT_MAX ? 0 : RGPU_ERROR_AGAIN;
}

static int send_input(struct rgpu_stream *s, struct input *in)
{
    struct input *moved = malloc(sizeof(*moved));
    int ret = moved ? 0 : RGPU_ERROR_MEMORY;
    if (moved) {
        *moved = *in;
        ret = queue_try_push(&s->input, moved);
    }
    if (ret != 0) {
        packet_done(&in->packet);
        frame_unref(&in->frame);
        free(moved);
        return failure_code(s) != 0 ? failure_code(s) : ret;
    }
    pthread_mutex_lock(&s->lock);
    s->progress.sent++;
    pthread_mutex_unlock(&s->lock);
    job_wakeup(s->job);
    return 0;
}

/* What lies outside is taken for nonsense behind the edge. */
static bool is_time(int64_t pts)
{
    return pts >= -RGPU_PTS_MAX && pts <= RGPU_PTS_MAX;
}

int rgpu_stream_send_packet(rgpu_stream *stream, const struct rgpu_packet *packet)
{
    int ret = may_send(stream);
    if (ret != 0)
        return ret;
    if (!packet->size || !packet->data || !is_time(packet->pts) ||
        !strcmp(stream->source.codec, "rawvideo"))
        return RGPU_ERROR_PARAM;
    struct input in = {.packet = {.buf = buffer_copy(packet->data, packet->size)}};
    if (!in.packet.buf)
        return RGPU_ERROR_MEMORY;
    in.packet.data = in.packet.buf->data;
    in.packet.size = packet->size;
    in.packet.pts = packet->pts;
    in.packet.dts = packet->dts;
    in.packet.duration = packet->duration;
    in.packet.flags = packet->flags & RGPU_PACKET_KEY ? PACKET_KEY : 0;
    in.packet.ordinal = stream->ordinal++;
    return send_input(stream, &in);
}

static size_t line_bytes(const struct track *track, int plane)
{
    return (size_t)pixel_plane_width(track->format, plane, track->width) *
           (pixel_info(track->format)->depth > 8 ? 2 : 1);
}

static struct frame *copy_frame(const struct track *track, const struct rgpu_frame *from)
{
    struct frame *frame = frame_new(track->format, track->width, track->height);
    if (!frame)
        return NULL;
    const struct pixel_info *info = pixel_info(track->format);
    for (int p = 0; p < info->planes; p++) {
        const size_t line = line_bytes(track, p);
        const ptrdiff_t stride = from->stride[p] ? from->stride[p] : (ptrdiff_t)line;
        const int height = pixel_plane_height(track->format, p, track->height);
        for (int y = 0; y < height; y++)
            memcpy(frame->data[p] + y * frame->stride[p],
                   (const uint8_t *)from->data[p] + y * stride, line);
    }
    frame->pts = from->pts;
    frame->duration = from->duration;
    frame->flags = from->force_key ? FRAME_KEY : 0;
    frame->sample_aspect = track->sample_aspect;
    frame->color = track->color;
    return frame;
}

/* Of the stream's kind, with all planes, at a time after the last one's. */
static bool is_frame(const struct rgpu_stream *s, const struct rgpu_frame *frame)
{
    const struct track *track = &s->source;
    const struct pixel_info *info = pixel_info(track->format);
    if (!info || !is_time(frame->pts) || frame->pts <= s->last_pts)
        return false;
    for (int p = 0; p < info->planes; p++) {
        const long long stride = llabs((long long)frame->stride[p]);
        if (!frame->data[p] || (stride && stride < (long long)line_bytes(track, p)))
            return false;
    }
    return true;
}

int rgpu_stream_send_frame(rgpu_stream *stream, const struct rgpu_frame *frame)
{
    int ret = may_send(stream);
    if (ret != 0)
        return ret;
    if (!is_frame(stream, frame))
        return RGPU_ERROR_PARAM;
    struct input in = {.frame = copy_frame(&stream->source, frame)};
    ret = in.frame ? send_input(stream, &in) : RGPU_ERROR_MEMORY;
    if (ret == 0)
        stream->last_pts = frame->pts;
    return ret;
}

int rgpu_stream_finish(rgpu_stream *stream)
{
    __atomic_store_n(&stream->finished, 1, __ATOMIC_RELEASE);
    if (!stream->started)
        return failure_code(stream);
    queue_close(&stream->input);
    job_wakeup(stream->job);
    return failure_code(stream);
}

/* ---- receiving ----------------------------------------------------------------------------- */

int rgpu_stream_receive(rgpu_stream *stream, int timeout_ms, struct rgpu_packet *ret)
{
    void *item = NULL;
    if (!stream->started)
        return failure_code(stream);
    int code = queue_pop(&stream->output, timeout_ms, &item);
    if (code == RGPU_ERROR_END && failure_code(stream) != 0)
        return failure_code(stream);
    if (code != 0)
        return code;
    packet_done(&stream->received);
    stream->received = *(struct packet *)item;
    free(item);
    const struct packet *pkt = &stream->received;
    *ret = (struct rgpu_packet){
        .data = pkt->data,
        .size = pkt->size,
        .pts = pkt->pts,
        .dts = pkt->dts,
        .duration = pkt->duration,
        .rendition = (int)pkt->rendition,
        .flags = pkt->flags & PACKET_KEY ? RGPU_PACKET_KEY : 0,
    };
    return 0;
}

int rgpu_stream_headers(rgpu_stream *stream, int rendition, const void **ret_data, size_t *ret_size)
{
    if (rendition < 0 || rendition >= stream->renditions_count)
        return RGPU_ERROR_PARAM;
    pthread_mutex_lock(&stream->lock);
    const struct buffer *headers = stream->renditions[rendition].headers;
    int ret = headers ? 0 : RGPU_ERROR_AGAIN;
    if (headers) {
        *ret_data = headers->data;
        *ret_size = headers->size;
    }
    pthread_mutex_unlock(&stream->lock);
    return ret;
}

int rgpu_stream_progress(rgpu_stream *stream, struct rgpu_stream_progress *ret, size_t size)
{
    memset(ret, 0, size); /* a newer caller's fields */
    pthread_mutex_lock(&stream->lock);
    memcpy(ret, &stream->progress, size < sizeof(*ret) ? size : sizeof(*ret));
    pthread_mutex_unlock(&stream->lock);
    return 0;
}

const char *rgpu_stream_message(rgpu_stream *stream)
{
    return failure_code(stream) != 0 ? stream->failure.text : "";
}

const char *rgpu_stream_warning(rgpu_stream *stream, int i)
{
    pthread_mutex_lock(&stream->lock);
    const char *text = warnings_get(&stream->warnings, i);
    pthread_mutex_unlock(&stream->lock);
    return text;
}

void rgpu_stream_close(rgpu_stream **stream)
{
    struct rgpu_stream *s = *stream;
    *stream = NULL;
    if (!s)
        return;
    __atomic_store_n(&s->stop, 1, __ATOMIC_RELEASE);
    if (s->started) {
        queue_close(&s->output);
        job_wakeup(s->job);
        pthread_join(s->thread, NULL);
    }
    void *item;
    while (s->input.ready && queue_pop(&s->input, 0, &item) == 0) {
        packet_done(&((struct input *)item)->packet);
        frame_unref(&((struct input *)item)->frame);
        free(item);
    }
    while (s->output.ready && queue_pop(&s->output, 0, &item) == 0) {
        packet_done(item);
        free(item);
    }
    job_close(&s->job);
    node_stop(&s->node);
    device_close(&s->device);
    for (int i = 0; i < RENDITIONS_MAX; i++) {
        struct rendition *r = &s->renditions[i];
        for (; r->count; r->count--) {
            packet_done(&r->waiting[r->head]);
            r->head = (r->head + 1) % (int)(sizeof(r->waiting) / sizeof(r->waiting[0]));
        }
        buffer_unref(&r->headers);
    }
    packet_done(&s->received);
    queue_done(&s->output);
    queue_done(&s->input);
    track_done(&s->source);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
