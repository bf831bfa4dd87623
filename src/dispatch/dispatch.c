#include "dispatch/dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/job.h"

void job_output_done(struct job_output *out)
{
    packet_done(&out->packet);
    track_done(&out->track);
    *out = (struct job_output){0};
}

static void wakeup(void *opaque)
{
    job_wakeup(opaque);
}

int job_fail(struct job *job, int code, const char *text)
{
    if (job->failure.code == 0)
        error_set(&job->failure, code, "%s", text);
    return job->failure.code;
}

void job_note(struct job *job, const char *text)
{
    for (int i = 0; i < job->notes_count; i++)
        if (!strcmp(job->notes[i], text))
            return;
    if (job->notes_count < NOTES_MAX)
        snprintf(job->notes[job->notes_count++], ERROR_TEXT_MAX, "%s", text);
}

/* ---- opening ------------------------------------------------------------------------------- */

int job_open(struct job **ret, struct job_params *params, struct error *err)
{
    struct job *job = calloc(1, sizeof(*job));
    if (!job) {
        track_done(&params->source);
        return error_memory(err, "a job");
    }
    job->params = *params;
    params->source = (struct track){0};
    for (int i = 0; i < job->params.renditions_count; i++)
        job->buckets[i] = bucket_for(&job->params.renditions[i]);
    job->begin_pts = INT64_MAX;
    job->end_pts = INT64_MIN;
    pthread_mutex_init(&job->wake_lock, NULL);
    clock_cond_init(&job->wake);
    *ret = job;
    return 0;
}

int job_add_node(struct job *job, struct link *link, struct error *err)
{
    if (job->peers_count == DISPATCH_NODES_MAX) {
        link_close(&link);
        return error_set(err, RGPU_ERROR_LIMIT, "a job takes at most %d nodes", DISPATCH_NODES_MAX);
    }
    struct message msg = {.type = MESSAGE_JOB_CREATE, .job = JOB_ID};
    if (message_block(&msg) != 0) {
        link_close(&link);
        return error_memory(err, "a job description");
    }
    *msg.job_params = job->params;
    msg.job_params->source = track_share(&job->params.source);
    link_set_wakeup(link, wakeup, job);
    int ret = link_send(link, &msg, -1);
    message_done(&msg);
    if (ret != 0) {
        link_close(&link);
        return error_set(err, RGPU_ERROR_NODE, "the node hung up before it got the job");
    }
    job->peers[job->peers_count++] = (struct peer){.link = link};
    return 0;
}

void job_close(struct job **job)
{
    struct job *j = *job;
    *job = NULL;
    if (!j)
        return;
    const bool ended = j->finished && !j->first && j->failure.code == 0;
    for (int i = 0; i < j->peers_count; i++) {
        struct message msg = {.type = ended ? MESSAGE_JOB_COMPLETE : MESSAGE_JOB_CANCEL,
                              .job = JOB_ID};
        if (j->peers[i].link)
            link_send(j->peers[i].link, &msg, 0);
        link_close(&j->peers[i].link);
    }
    while (j->first) {
        struct segment *next = j->first->next;
        segment_free(j->first);
        j->first = next;
    }
    for (int i = 0; i < RENDITIONS_MAX; i++)
        track_done(&j->headers[i]);
    track_done(&j->params.source);
    pthread_cond_destroy(&j->wake);
    pthread_mutex_destroy(&j->wake_lock);
    free(j);
}

/* ---- input --------------------------------------------------------------------------------- */

int job_begin(struct job *job, uint32_t segment, int64_t start_pts, uint64_t first_ordinal)
{
    struct segment *s = segment_new(segment, start_pts, first_ordinal);
    if (!s)
        return job_fail(job, RGPU_ERROR_MEMORY, "out of memory for a segment");
    if (job->last)
        job->last->next = s;
    else
        job->first = s;
    job->last = s;
    s->let_go = s->committed = job->params.streaming;
    s->mark = job->mark;
    job->segments_count++;
    job->input_open = true;
    return 0;
}

void job_mark(struct job *job, const struct rate_mark *mark)
{
    job->mark = *mark;
}

static int add_input(struct job *job, struct item *item)
{
    int ret = segment_add_input(job->last, item);
    packet_done(&item->packet);
    frame_unref(&item->frame);
    return ret == 0 ? 0 : job_fail(job, ret, "out of memory for a segment's input");
}

int job_packet(struct job *job, struct packet *pkt)
{
    return add_input(job, &(struct item){.packet = packet_move(pkt)});
}

int job_frame(struct job *job, struct frame **frame)
{
    struct item item = {.frame = *frame};
    *frame = NULL;
    return add_input(job, &item);
}

int job_tail(struct job *job, int64_t end_pts)
{
    job->last->has_tail = true;
    job->last->end_pts = end_pts;
    job->last->tail_index = job->last->released + job->last->input.count;
    return 0;
}

int job_end(struct job *job, int64_t frames_expected, uint64_t pts_digest)
{
    job->last->frames_expected = frames_expected;
    job->last->pts_digest_expected = pts_digest;
    job->last->input_ended = true;
    job->input_open = false;
    return 0;
}

void job_finish(struct job *job)
{
    job->finished = true;
}

/* ---- working ------------------------------------------------------------------------------- */

static void pump(struct job *job)
{
    for (int i = 0; i < job->peers_count; i++)
        job_receive(job, i);
    /* Twice, because a slot may leave a segment to one that was served before it. */
    for (int round = 0; round < 2 && job->failure.code == 0; round++)
        for (int i = 0; i < job->peers_count; i++)
            for (int k = 0; k < job->peers[i].slots_count; k++)
                if (job->peers[i].link)
                    job_serve_slot(job, i, k);
}

/* ---- output -------------------------------------------------------------------------------- */

static bool next_note(struct job *job, struct job_output *ret)
{
    if (job->notes_given == job->notes_count)
        return false;
    *ret = (struct job_output){.type = JOB_NOTE};
    snprintf(ret->note, sizeof(ret->note), "%s", job->notes[job->notes_given++]);
    return true;
}

static bool next_header(struct job *job, struct job_output *ret)
{
    for (int r = 0; r < job->params.renditions_count; r++) {
        if (job->header_known[r] && !job->header_given[r]) {
            job->header_given[r] = true;
            *ret = (struct job_output){.type = JOB_HEADER,
                                       .rendition = (uint32_t)r,
                                       .track = track_share(&job->headers[r])};
            return true;
        }
    }
    return false;
}

static void remove_first(struct job *job)
{
    struct segment *s = job->first;
    job->first = s->next;
    if (!job->first)
        job->last = NULL;
    job->segments_count--;
    segment_free(s);
}

/* Holds a whole result against the buckets as the segments before it have left them. One that
 * breaks them goes back to be encoded with less; after some tries it is taken as it is. */
static bool accept(struct job *job, struct segment *s)
{
    struct rate_result rate;
    if (s->accepted || s->committed)
        return true;
    rate_check(job->buckets, &job->params, s, &rate);
    if (rate.verdict == RATE_LOWERED && s->redone < SEGMENT_REDO_MAX && job_give_again(job, s)) {
        s->redone++;
        s->attempts = 0; /* nothing has failed */
        return false;
    }
    for (int r = 0; r < job->params.renditions_count; r++) {
        const int64_t peak =
            rate.broken[r] ? rate_peak_bps(&job->buckets[r], &job->params, r, s) : 0;
        job->peak_bps[r] = peak > job->peak_bps[r] ? peak : job->peak_bps[r];
    }
    memcpy(job->buckets, rate.after, sizeof(job->buckets));
    s->accepted = true;
    return true;
}

/* Says at the end, when all figures are known, where a rendition's bit rate is not what was asked
 * for: it broke the leaky bucket, or its average is far above the target. */
static void note_rate(struct job *job, int rendition)
{
    const struct rendition_params *r = &job->params.renditions[rendition];
    const double ticks = (double)job->end_pts - (double)job->begin_pts;
    const double seconds = ticks * rational_double(job->params.source.time_base);
    const double bits = 8.0 * (double)job->bytes_received[rendition];
    const double average = seconds > 0 ? bits / seconds : 0;
    /* A short film may begin with a buffer full of bits. */
    const double most = 2 * (double)r->bit_rate_bps * seconds + (double)rendition_vbv_bits(r);
    const bool peak = job->peak_bps[rendition] > 0;
    if (r->rate == RATE_QUALITY || (!peak && (seconds <= 0 || bits <= most)))
        return;
    const double highest = (double)job->peak_bps[rendition];
    const double got = average > highest ? average : highest;
    const double limit = (double)(peak ? rendition_rate_max_bps(r) : r->bit_rate_bps);
    char text[ERROR_TEXT_MAX];
    snprintf(text, sizeof(text),
             "%s %dx%d: the %s bit rate is %.1f kbit/s instead of %.1f; a smaller --size helps, or "
             "allow more with --bitrate",
             r->codec, r->width, r->height, peak ? "peak" : "average", got / 1000, limit / 1000);
    job_note(job, text);
}

/* Whether so much of a segment is here that what is there goes out. */
static bool is_long(const struct job *job, struct segment *s)
{
    if (!s->results.count)
        return false;
    const struct packet *last = &item_ring_at(&s->results, s->results.count - 1)->packet;
    const double ticks = (double)last->pts - (double)s->start_pts;
    return s->result_bytes > SEGMENT_RESULT_BYTES ||
           ticks * rational_double(job->params.source.time_base) > SEGMENT_RESULT_SECONDS;
}

/* A packet goes out of a segment that was not held against the buckets as a whole. */
static void pass(struct job *job, const struct packet *pkt)
{
    const uint32_t r = pkt->rendition;
    if (job->params.streaming || !rate_is_limited(&job->params.renditions[r]))
        return;
    const double seconds = (double)pkt->pts * rational_double(job->params.source.time_base);
    const int64_t peak = rate_pass(&job->buckets[r], &job->passing[r], seconds, pkt->size);
    job->peak_bps[r] = peak > job->peak_bps[r] ? peak : job->peak_bps[r];
}

static bool next_result(struct job *job, struct job_output *ret)
{
    struct segment *s = job->first;
    if (!s)
        return false;
    if (s->done && !accept(job, s))
        return false;
    if (!s->done && !s->committed && is_long(job, s))
        s->committed = true;
    if (!s->done && !s->committed)
        return false;
    /* Not before: until something goes out they may change (job_leave_alone). */
    if (next_header(job, ret))
        return true;
    if (s->results.count) {
        struct item item = item_ring_pop(&s->results);
        s->result_bytes -= (int64_t)item.packet.size;
        s->committed = true;
        if (!s->accepted)
            pass(job, &item.packet);
        *ret = (struct job_output){.type = JOB_PACKET, .segment = s->id, .packet = item.packet};
        return true;
    }
    if (!s->done)
        return false;
    int64_t missing = s->frames_expected - s->result.frames;
    *ret = (struct job_output){.type = JOB_SEGMENT_DONE,
                               .segment = s->id,
                               .done = s->result,
                               .frames_missing = missing > 0 ? missing : 0,
                               .frames_wrong = s->frames_wrong};
    remove_first(job);
    return true;
}

int job_next(struct job *job, struct job_output *ret, struct error *err)
{
    pump(job);
    if (job->failure.code != 0)
        return error_set(err, job->failure.code, "%s", job->failure.text);
    if (next_note(job, ret) || next_result(job, ret))
        return 0;
    if (job->finished && !job->first) {
        for (int r = 0; r < job->params.renditions_count; r++)
            note_rate(job, r);
        if (next_note(job, ret) || next_header(job, ret))
            return 0;
        *ret = (struct job_output){.type = JOB_ENDED};
        return 0;
    }
    return RGPU_ERROR_AGAIN;
}

void job_wait(struct job *job, int timeout_ms)
{
    struct timespec deadline = clock_deadline(timeout_ms);
    pthread_mutex_lock(&job->wake_lock);
    while (!job->awake)
        if (pthread_cond_timedwait(&job->wake, &job->wake_lock, &deadline) != 0)
            break;
    job->awake = false;
    pthread_mutex_unlock(&job->wake_lock);
}

void job_wakeup(struct job *job)
{
    pthread_mutex_lock(&job->wake_lock);
    job->awake = true;
    pthread_cond_signal(&job->wake);
    pthread_mutex_unlock(&job->wake_lock);
}

int64_t job_packets_received(const struct job *job, int rendition)
{
    return job->packets_received[rendition];
}

int64_t job_bytes_received(const struct job *job, int rendition)
{
    return job->bytes_received[rendition];
}

int job_retries(const struct job *job)
{
    return job->retries;
}
