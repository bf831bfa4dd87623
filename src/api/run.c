/* The loop of a file job: source packets go to the cutter and dispatch, what comes back goes to the
 * outputs. One thread does all of it and never waits for anything but the source and the disk. */
#include "api/transcode.h"

#include <stdio.h>

#include "base/clock.h"

#define WAIT_MS 50               /* how soon a cancel is seen */
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

static void update_progress(struct rgpu_transcode *t)
{
    const struct track *video = &reader_video(t->reader)->video;
    const double fps = rational_double(video->frame_rate);
    int64_t frames = t->job ? t->frames_done : t->packets_read;
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
    if (fps > 0 && (double)frames / fps > p->position_seconds)
        p->position_seconds = (double)frames / fps;
    for (int i = 0; i < t->rungs_count; i++) {
        if (t->rungs[i].is_source) {
            p->rungs[i].bytes = outputs_rung_bytes(t->outputs, i);
            p->rungs[i].frames = t->packets_read;
        }
        if (p->position_seconds > 0)
            p->rungs[i].bitrate_kbps = (double)p->rungs[i].bytes * 8 / 1000 / p->position_seconds;
    }
    p->bytes = outputs_bytes(t->outputs);
    p->damaged = t->damaged;
    p->segments_retried = t->job ? job_retries(t->job) : 0;
    if (t->duration_us) {
        double percent = p->position_seconds * 1e8 / (double)t->duration_us;
        p->percent = percent > 100 ? 100 : percent;
    }
    update_times_locked(t, p);
    pthread_mutex_unlock(&t->lock);
}

/* ---- source -------------------------------------------------------------------------------- */

static int feed_cut(struct rgpu_transcode *t)
{
    struct cut_event event = {0};
    int ret;
    while ((ret = cutter_next(t->cutter, &event)) == 0) {
        switch (event.type) {
        case CUT_BEGIN:
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

static int route_packet(struct rgpu_transcode *t, struct reader_packet *pkt, struct error *err)
{
    int ret = outputs_source(t->outputs, pkt, err);
    if (ret != 0 || pkt->track != reader_video(t->reader)->index)
        return ret;
    if (behind_end(t, pkt))
        return end_input(t, err);
    t->packets_read++;
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
    t->damaged += lost + out->done.corrupt_frames;
    pthread_mutex_lock(&t->lock);
    t->progress.segments_done++;
    pthread_mutex_unlock(&t->lock);
}

/* Takes all outputs that are ready. AGAIN: more will come. 0: the job is over. */
static int take_outputs(struct rgpu_transcode *t, struct error *err)
{
    struct job_output out = {0};
    int ret;
    while ((ret = job_next(t->job, &out, err)) == 0) {
        const enum job_output_type type = out.type;
        if (type == JOB_HEADER)
            ret = outputs_header(t->outputs, (int)out.rendition, &out.track, err);
        else if (type == JOB_PACKET)
            ret = outputs_video(t->outputs, (int)out.packet.rendition, &out.packet, err);
        else if (type == JOB_SEGMENT_DONE)
            segment_done(t, &out);
        else if (type == JOB_NOTE)
            transcode_warn(t, "%s", out.note);
        job_output_done(&out);
        if (ret != 0 || type == JOB_ENDED)
            break;
    }
    return ret;
}

/* Reads while dispatch wants more. */
static int take_source(struct rgpu_transcode *t, struct error *err)
{
    int ret = 0;
    /* A bounded turn, so that results do not wait behind a source that is read fast. */
    for (int i = 0; i < 64 && ret == 0 && !t->input_ended; i++) {
        if (t->job && !job_accepts(t->job))
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
        if (t->job && (t->input_ended || !job_accepts(t->job)))
            job_wait(t->job, WAIT_MS);
    }
}

static int finish(struct rgpu_transcode *t, struct error *err)
{
    if (t->job ? !t->frames_done : !t->packets_read)
        return error_set(err, RGPU_ERROR_INPUT, "%s: no frame of the video could be decoded%s",
                         t->input, t->start_us ? " in the part asked for" : "");
    t->damaged += reader_damaged_count(t->reader) + outputs_damaged(t->outputs);
    if (t->damaged)
        transcode_warn(
            t, "%s: the input is damaged: %lld frames or packets could not be decoded right",
            t->input, (long long)t->damaged);
    int ret = outputs_video_end(t->outputs, err);
    return ret == 0 ? outputs_finish(t->outputs, err) : ret;
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

void *transcode_run(void *opaque)
{
    struct rgpu_transcode *t = opaque;
    struct error err = {0};
    int ret = encode_all(t, &err);
    if (ret == 0)
        ret = finish(t, &err);
    if (ret == 0)
        update_progress(t);
    /* Threads and memory of the work are given back before the caller hears of the end. */
    job_close(&t->job);
    node_stop(&t->node);
    if (ret == 0 && t->verify) {
        set_state(t, RGPU_STATE_VERIFYING);
        ret = transcode_verify(t, &err);
        if (ret != 0)
            outputs_unplace(t->outputs);
    }
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
