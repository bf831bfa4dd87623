/* The loop of a file job: source packets go to the cutter and dispatch, what comes back goes to the
 * outputs. One thread does all of it and never waits for anything but the source and the disk. */
#include "api/transcode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"

#define WAIT_MS 50 /* how soon a cancel is seen */
/* Some seconds of a copied 4K rung. */
#define WAITING_BYTES_MAX ((int64_t)64 << 20)
#define READ_PAST_END_US 5000000 /* interleaving slack behind the end of the part */

static const struct rational microseconds = {1, 1000000};

/* ---- progress ------------------------------------------------------------------------------ */

static void update_times_locked(struct rgpu_transcode *t, struct rgpu_progress *p)
{
    p->elapsed_seconds = (double)(clock_now_ns() - t->started_ns) / 1e9;
    if (p->elapsed_seconds <= 0)
        return;
    p->frames_per_second = (double)p->frames / p->elapsed_seconds;
    p->speed = p->position_seconds / p->elapsed_seconds;
    if (p->percent > 0.1)
        p->remaining_seconds = p->elapsed_seconds * (100 - p->percent) / p->percent;
}

static void update_percent_locked(const struct rgpu_transcode *t, struct rgpu_progress *p)
{
    if (t->duration_us)
        p->percent = fmin(100, p->position_seconds * 1e8 / (double)t->duration_us);
}

/* How far the part was written, or would be if all frames were of the same length between what was
 * read and what is done: right for variable rates too, and nearly so for capped ones. */
static double position_seconds(const struct rgpu_transcode *t, int64_t frames)
{
    double read = (double)t->read_us / 1e6;
    if (t->job && t->packets_read > 0 && frames < t->packets_read)
        read *= (double)frames / (double)t->packets_read;
    return fmax(read, (double)t->written_us / 1e6);
}

static void update_progress(struct rgpu_transcode *t)
{
    int64_t frames = t->job ? t->frames_done : t->frames_asked;
    pthread_mutex_lock(&t->lock);
    struct rgpu_progress *p = &t->progress;
    for (int r = 0; r < t->renditions_count; r++) {
        struct rgpu_rung_progress *rung = &p->rungs[t->rendition_rung[r]];
        rung->frames = job_packets_received(t->job, r);
        rung->bytes = job_bytes_received(t->job, r);
        if (rung->frames > frames)
            frames = rung->frames;
    }
    p->frames = frames;
    p->position_seconds = fmax(p->position_seconds, position_seconds(t, frames));
    for (int i = 0; i < t->rungs_count; i++) {
        if (t->rungs[i].is_source) {
            p->rungs[i].bytes = outputs_rung_bytes(t->outputs, i);
            p->rungs[i].frames = outputs_rung_frames(t->outputs, i);
        }
        if (p->position_seconds > 0)
            p->rungs[i].bitrate_kbps = (double)p->rungs[i].bytes * 8 / 1000 / p->position_seconds;
    }
    p->bytes = outputs_bytes(t->outputs);
    p->damaged = t->damaged;
    p->segments_retried = t->job ? job_retries(t->job) : 0;
    update_percent_locked(t, p);
    update_times_locked(t, p);
    pthread_mutex_unlock(&t->lock);
}

void transcode_verified(struct rgpu_transcode *t, int64_t frames, int64_t until_us)
{
    const int64_t first = t->start_us ? t->start_us : reader_start_us(t->reader);
    pthread_mutex_lock(&t->lock);
    struct rgpu_progress *p = &t->progress;
    p->frames = frames;
    p->position_seconds = fmax(p->position_seconds, (double)(until_us - first) / 1e6);
    update_percent_locked(t, p);
    update_times_locked(t, p);
    pthread_mutex_unlock(&t->lock);
}

/* ---- source -------------------------------------------------------------------------------- */

/* Which frames a capped rendition must have is told by where segments begin. */
static int note_segment(struct rgpu_transcode *t, const struct cut_event *begin)
{
    if (!t->params.verify)
        return 0;
    if (t->segments_count == t->segments_capacity) {
        const size_t capacity = t->segments_capacity ? 2 * t->segments_capacity : 64;
        struct segment_mark *marks = realloc(t->segment_marks, capacity * sizeof(*marks));
        if (!marks)
            return RGPU_ERROR_MEMORY;
        t->segment_marks = marks;
        t->segments_capacity = capacity;
    }
    t->segment_marks[t->segments_count++] = (struct segment_mark){begin->pts, begin->mark};
    return 0;
}

static int feed_cut(struct rgpu_transcode *t)
{
    struct cut_event event = {0};
    int ret;
    while ((ret = cutter_next(t->cutter, &event)) == 0) {
        switch (event.type) {
        case CUT_BEGIN:
            ret = note_segment(t, &event);
            job_mark(t->job, &event.mark);
            if (ret == 0)
                ret = job_begin(t->job, event.segment, event.pts, event.ordinal);
            break;
        case CUT_PACKET:
            ret = job_packet(t->job, &event.pkt);
            break;
        case CUT_TAIL:
            ret = job_tail(t->job, event.pts);
            break;
        case CUT_END:
            ret = job_end(t->job, event.frames, event.pts_digest);
            break;
        }
        if (ret != 0)
            break;
    }
    return ret == RGPU_ERROR_AGAIN || ret == RGPU_ERROR_END ? 0 : ret;
}

static int end_input(struct rgpu_transcode *t, struct error *err)
{
    t->input_ended = true;
    if (t->job) {
        int ret = cutter_finish(t->cutter);
        if (ret == 0)
            ret = feed_cut(t);
        if (ret != 0)
            return error_set(err, ret, "out of memory for the last segment");
        job_finish(t->job);
    }
    return outputs_source_end(t->outputs, err);
}

static bool behind_end(const struct rgpu_transcode *t, const struct reader_packet *pkt)
{
    if (!t->end_us || pkt->video.dts == PTS_NONE)
        return false;
    const struct rational base = reader_video(t->reader)->video.time_base;
    return rational_rescale(pkt->video.dts, base, microseconds, ROUND_DOWN) >
           t->end_us + READ_PAST_END_US;
}

/* Moves `latest`, which counts from the beginning of the part, to the end of a frame. */
static void note_time(struct rgpu_transcode *t, int64_t *latest, int64_t pts, int64_t duration)
{
    const struct rational base = reader_video(t->reader)->video.time_base;
    int64_t end;
    if (pts == PTS_NONE || __builtin_add_overflow(pts, duration > 0 ? duration : 0, &end))
        return;
    const int64_t first = t->start_us ? t->start_us : reader_start_us(t->reader);
    int64_t us = rational_rescale(end, base, microseconds, ROUND_NEAREST);
    if (t->end_us && us > t->end_us)
        us = t->end_us;
    if (!__builtin_sub_overflow(us, first, &us) && us > *latest)
        *latest = us;
}

/* Whether the packet is a frame of its own that begins in the part asked for. */
static bool is_asked(const struct rgpu_transcode *t, const struct packet *pkt)
{
    const struct rational base = reader_video(t->reader)->video.time_base;
    const int64_t ts = pkt->pts != PTS_NONE ? pkt->pts : pkt->dts;
    if (pkt->flags & (PACKET_DISCARD | PACKET_SECOND_FIELD))
        return false;
    if (t->start_us && rational_compare_ts(ts, base, t->start_us, microseconds) < 0)
        return false;
    return !t->end_us || rational_compare_ts(ts, base, t->end_us, microseconds) < 0;
}

static int route_packet(struct rgpu_transcode *t, struct reader_packet *pkt, struct error *err)
{
    int ret = outputs_source(t->outputs, pkt, err);
    if (ret != 0 || pkt->track != reader_video(t->reader)->index)
        return ret;
    if (behind_end(t, pkt))
        return end_input(t, err);
    t->packets_read++;
    t->frames_asked += is_asked(t, &pkt->video);
    note_time(t, &t->read_us, pkt->video.pts, pkt->video.duration);
    if (!t->job)
        return 0;
    if (cutter_push(t->cutter, &pkt->video, pkt->access) != 0)
        return error_memory(err, "the cutter");
    ret = feed_cut(t);
    return ret == 0 ? 0 : error_set(err, ret, "out of memory for a segment");
}

static int read_one(struct rgpu_transcode *t, struct error *err)
{
    struct reader_packet pkt = {0};
    struct error reading = {0};
    int ret = reader_next(t->reader, &pkt, &reading);
    if (ret == RGPU_ERROR_END)
        return end_input(t, err);
    if (ret != 0 && transcode_cancelled(t))
        return error_set(err, RGPU_ERROR_CANCELLED, "cancelled");
    if (ret == RGPU_ERROR_INPUT) {
        /* What came before the damage is worth keeping. */
        transcode_warn(t, "the input ended early: %s", reading.text);
        t->damaged++;
        return end_input(t, err);
    }
    if (ret != 0)
        return error_set(err, ret, "%s", reading.text);
    ret = route_packet(t, &pkt, err);
    reader_packet_done(&pkt);
    return ret;
}

/* ---- results ------------------------------------------------------------------------------- */

static void segment_done(struct rgpu_transcode *t, const struct job_output *out)
{
    int64_t lost = out->frames_missing > out->done.failed_packets ? out->frames_missing
                                                                  : out->done.failed_packets;
    t->frames_done += out->done.frames;
    t->damaged += lost + out->frames_wrong + out->done.corrupt_frames;
    pthread_mutex_lock(&t->lock);
    t->progress.segments_done++;
    pthread_mutex_unlock(&t->lock);
}

/* Once encoders are open: what is to be said of the device is known by then, and costs no time. */
static void tell_remark(struct rgpu_transcode *t)
{
    const struct device_info *device = &t->device.info;
    if (t->is_device_examined)
        return;
    t->is_device_examined = true;
    device_examine(&t->device);
    if (!device->remark[0])
        return;
    char name[sizeof(t->progress.device)];
    device_name(device, name, sizeof(name));
    if (device->is_fixable)
        transcode_warn(t, "device %s: %s", name, device->remark);
    else
        log_line(RGPU_LOG_INFO, "device %s: %s", name, device->remark);
}

/* Takes all outputs that are ready. AGAIN: more will come. 0: the job is over. */
static int take_outputs(struct rgpu_transcode *t, struct error *err)
{
    struct job_output out = {0};
    int ret;
    while ((ret = job_next(t->job, &out, err)) == 0) {
        const enum job_output_type type = out.type;
        if (type == JOB_HEADER) {
            tell_remark(t);
            ret = outputs_header(t->outputs, (int)out.rendition, &out.track, err);
        } else if (type == JOB_PACKET) {
            note_time(t, &t->written_us, out.packet.pts, out.packet.duration);
            ret = outputs_video(t->outputs, (int)out.packet.rendition, &out.packet, err);
        } else if (type == JOB_SEGMENT_DONE) {
            segment_done(t, &out);
        } else if (type == JOB_NOTE) {
            transcode_warn(t, "%s", out.note);
        }
        job_output_done(&out);
        if (ret != 0 || type == JOB_ENDED)
            break;
    }
    return ret;
}

/* Whether dispatch wants more, and what was read ahead for it does not fill the memory with the
 * tracks that go with it. */
static bool wants_source(struct rgpu_transcode *t)
{
    if (!t->job)
        return true;
    return job_accepts(t->job) &&
           !(job_is_fed(t->job) && outputs_waiting_bytes(t->outputs) > WAITING_BYTES_MAX);
}

static int take_source(struct rgpu_transcode *t, struct error *err)
{
    int ret = 0;
    /* A bounded turn, so that results do not wait behind a source that is read fast. */
    for (int i = 0; i < 64 && ret == 0 && !t->input_ended; i++) {
        if (!wants_source(t))
            break;
        ret = read_one(t, err);
    }
    return ret;
}

static int encode_all(struct rgpu_transcode *t, struct error *err)
{
    for (;;) {
        if (transcode_cancelled(t))
            return error_set(err, RGPU_ERROR_CANCELLED, "cancelled");
        int ret = take_source(t, err);
        if (ret == 0)
            ret = t->job ? take_outputs(t, err) : t->input_ended ? 0 : RGPU_ERROR_AGAIN;
        update_progress(t);
        if (ret != RGPU_ERROR_AGAIN)
            return ret;
        if (t->job && (t->input_ended || !wants_source(t)))
            job_wait(t->job, WAIT_MS);
    }
}

/* Frames were read, but none of them begins in the part. */
static int refuse_part(const struct rgpu_transcode *t, struct error *err)
{
    const double start = t->params.start_seconds;
    if (!t->end_us)
        return error_set(err, RGPU_ERROR_PARAM, "%s: no frame starts at or after %.3f s",
                         t->params.input, start);
    return error_set(err, RGPU_ERROR_PARAM, "%s: no frame starts between %.3f s and %.3f s",
                     t->params.input, start, start + t->params.duration_seconds);
}

/* Once more than they were when the outputs were opened; those that are known stay single. */
static void pass_warnings(struct rgpu_transcode *t)
{
    for (int i = 0; t->outputs && i < outputs_warnings_count(t->outputs); i++)
        transcode_warn(t, "%s", outputs_warning(t->outputs, i));
}

/* Holes before and behind the part that is asked for are not in it. */
static void warn_of_leaps(struct rgpu_transcode *t)
{
    struct reader_leaps leaps;
    reader_leaps(t->reader, &leaps);
    const double at = (double)(leaps.first_us - reader_start_us(t->reader)) / 1e6;
    const double length = (double)leaps.first_length_us / 1e6;
    if (!leaps.count || (t->end_us && leaps.first_us >= t->end_us) ||
        (t->start_us && leaps.first_us + leaps.first_length_us <= t->start_us))
        return;
    if (leaps.count == 1)
        transcode_warn(t,
                       "%s: its clock jumps ahead by %.3f s at %.3f s: nothing is there in the "
                       "result either",
                       t->params.input, length, at);
    else
        transcode_warn(t,
                       "%s: its clock jumps ahead %d times, first by %.3f s at %.3f s: nothing is "
                       "there in the result either",
                       t->params.input, leaps.count, length, at);
}

/* What of the source is not in the result, or not where it was. */
static void warn_of_source(struct rgpu_transcode *t)
{
    const int64_t head = t->cutter ? cutter_head_lost_count(t->cutter) : 0;
    const int jumps = reader_jumps_count(t->reader);
    if (head)
        transcode_warn(t,
                       "%lld %s before the first random-access point cannot be decoded and %s left "
                       "out",
                       (long long)head, head == 1 ? "frame" : "frames", head == 1 ? "is" : "are");
    if (jumps)
        transcode_warn(t,
                       "%s: its clock jumps back %d %s, as where recordings were joined: what "
                       "follows is put behind what came before",
                       t->params.input, jumps, jumps == 1 ? "time" : "times");
    warn_of_leaps(t);
    if (reader_late_tracks(t->reader))
        transcode_warn(t, "%s: a track that turns up later than the others is left out",
                       t->params.input);
    if (t->damaged)
        transcode_warn(
            t, "%s: the input is damaged: %lld frames or packets could not be decoded right",
            t->params.input, (long long)t->damaged);
}

static int finish(struct rgpu_transcode *t, struct error *err)
{
    if (t->packets_read && !t->frames_asked && !t->damaged && (t->start_us || t->end_us))
        return refuse_part(t, err);
    if (t->job ? !t->frames_done : !t->packets_read)
        return error_set(err, RGPU_ERROR_INPUT, "%s: no frame of the video could be decoded%s",
                         t->params.input, t->start_us ? " in the part asked for" : "");
    t->damaged += reader_damaged_count(t->reader) + outputs_damaged(t->outputs);
    if (t->cutter)
        t->damaged += cutter_lost_count(t->cutter) - cutter_head_lost_count(t->cutter);
    warn_of_source(t);
    int ret = outputs_video_end(t->outputs, err);
    if (ret == 0)
        ret = outputs_complete(t->outputs, err);
    return ret;
}

static void set_state(struct rgpu_transcode *t, enum rgpu_state state)
{
    pthread_mutex_lock(&t->lock);
    t->progress.state = state;
    if (state == RGPU_STATE_DONE && t->duration_us)
        t->progress.percent = 100;
    if (state == RGPU_STATE_DONE)
        t->progress.remaining_seconds = 0;
    pthread_mutex_unlock(&t->lock);
}

/* Verifying has figures of its own; at its end, those of the work come back. */
static int verify(struct rgpu_transcode *t, struct error *err)
{
    struct rgpu_progress *p = &t->progress;
    pthread_mutex_lock(&t->lock);
    const struct rgpu_progress work = *p;
    p->state = RGPU_STATE_VERIFYING;
    p->percent = t->duration_us ? 0 : -1;
    p->position_seconds = p->elapsed_seconds = p->frames_per_second = p->speed = 0;
    p->remaining_seconds = -1;
    p->frames = 0;
    t->started_ns = clock_now_ns();
    pthread_mutex_unlock(&t->lock);
    int ret = transcode_verify(t, err);
    pthread_mutex_lock(&t->lock);
    p->percent = work.percent;
    p->position_seconds = work.position_seconds;
    p->elapsed_seconds = work.elapsed_seconds;
    p->frames_per_second = work.frames_per_second;
    p->speed = work.speed;
    p->remaining_seconds = work.remaining_seconds;
    p->frames = work.frames;
    pthread_mutex_unlock(&t->lock);
    return ret;
}

/* The last moment for a cancel: what is in place stays. */
static int place(struct rgpu_transcode *t, struct error *err)
{
    if (transcode_cancelled(t))
        return error_set(err, RGPU_ERROR_CANCELLED, "cancelled");
    int ret = outputs_place(t->outputs, err);
    return ret == RGPU_ERROR_NOT_FOUND || ret == RGPU_ERROR_ACCESS ? RGPU_ERROR_IO : ret;
}

void *transcode_run(void *opaque)
{
    struct rgpu_transcode *t = opaque;
    struct error err = {0};
    int ret = transcode_open(t, &err);
    /* An input that a cancel cuts off may look like a broken one. */
    if (ret != 0 && transcode_cancelled(t))
        ret = error_set(&err, RGPU_ERROR_CANCELLED, "cancelled");
    if (ret == 0)
        ret = encode_all(t, &err);
    if (ret == 0)
        ret = finish(t, &err);
    if (ret == 0)
        update_progress(t);
    /* Threads and memory of the work are given back before the caller hears of the end. */
    job_close(&t->job);
    node_stop(&t->node);
    device_close(&t->device);
    if (ret == 0 && t->params.verify)
        ret = verify(t, &err);
    if (ret == 0)
        ret = place(t, &err);
    pass_warnings(t);
    if (ret != 0)
        outputs_close(&t->outputs);
    set_state(t, ret == 0 ? RGPU_STATE_DONE : RGPU_STATE_FAILED);
    pthread_mutex_lock(&t->lock);
    t->ended = true;
    if (ret != 0) {
        err.code = ret;
        t->failure = err;
    }
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}
