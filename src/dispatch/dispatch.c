#include "dispatch/dispatch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "dispatch/rate.h"
#include "dispatch/segment.h"

#define JOB_ID 1
#define NOTES_MAX 32
#define ACTIVE_SEGMENTS_MAX 512
#define RETAINED_BYTES_MAX ((int64_t)256 << 20)    /* input of all segments together */
#define HELD_RESULT_BYTES_MAX ((int64_t)256 << 20) /* results that wait for an earlier segment */

struct slot {
    struct segment *current; /* its input is being sent; borrowed from the list */
    int credits;
    bool drained;   /* nothing was sent since the last drain */
    bool reset_due; /* it has failed, and waits for its SLOT_RESET */
};

struct peer {
    struct link *link; /* owned; NULL once the node is lost */
    bool acknowledged;
    int slots_count;
    struct slot slots[JOB_SLOTS_MAX];
    struct node_hello hello;
};

struct job {
    struct job_params params;
    struct peer peers[DISPATCH_NODES_MAX];
    int peers_count;

    struct segment *first, *last; /* in film order; owned */
    int segments_count;
    bool input_open; /* `last` is being filled */
    bool finished;
    int64_t packets_received[RENDITIONS_MAX], bytes_received[RENDITIONS_MAX];
    int retries;

    struct track headers[RENDITIONS_MAX];
    bool header_known[RENDITIONS_MAX], header_given[RENDITIONS_MAX];
    char notes[NOTES_MAX][ERROR_TEXT_MAX];
    int notes_count, notes_given;
    struct error failure; /* code 0: none */

    struct bucket buckets[RENDITIONS_MAX]; /* as the segments that went out have left them */

    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    bool awake; /* protected by `wake_lock` */
};

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

static int fail(struct job *job, int code, const char *text)
{
    if (job->failure.code == 0)
        error_set(&job->failure, code, "%s", text);
    return job->failure.code;
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
    job->peers[job->peers_count++].link = link;
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
        return fail(job, RGPU_ERROR_MEMORY, "out of memory for a segment");
    if (job->last)
        job->last->next = s;
    else
        job->first = s;
    job->last = s;
    s->let_go = s->committed = job->params.streaming;
    job->segments_count++;
    job->input_open = true;
    return 0;
}

static int add_input(struct job *job, struct item *item)
{
    int ret = segment_add_input(job->last, item);
    packet_done(&item->packet);
    frame_unref(&item->frame);
    return ret == 0 ? 0 : fail(job, ret, "out of memory for a segment's input");
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

/* ---- what there is to do ------------------------------------------------------------------- */

static struct segment *first_unassigned(struct job *job)
{
    struct segment *s = job->first;
    while (s && s->assigned)
        s = s->next;
    return s;
}

/* Slots that could take a segment at once. */
static int idle_slots(const struct job *job)
{
    int idle = 0;
    for (int i = 0; i < job->peers_count; i++)
        for (int k = 0; job->peers[i].link && k < job->peers[i].slots_count; k++)
            idle += !job->peers[i].slots[k].current;
    return idle;
}

bool job_accepts(struct job *job)
{
    uint64_t unsent = 0;
    int64_t unsent_bytes = 0, retained = 0;
    if (job->finished || job->failure.code != 0)
        return false;
    for (const struct segment *s = job->first; s; s = s->next) {
        uint64_t waiting = segment_unsent(s);
        unsent += waiting;
        retained += s->input_bytes;
        if (s->input.count)
            unsent_bytes +=
                (int64_t)((double)s->input_bytes * (double)waiting / (double)s->input.count);
    }
    /* An open segment whose slot has got all there is must go on: neither it nor what is before it
     * in that slot would ever come out otherwise. */
    const bool starved = job->input_open && !unsent;
    if ((job->segments_count > ACTIVE_SEGMENTS_MAX || retained >= RETAINED_BYTES_MAX) && !starved)
        return false;
    return unsent < (job->params.raw_input ? JOB_UNSENT_FRAMES : JOB_UNSENT_PACKETS) ||
           unsent_bytes < JOB_UNSENT_BYTES * idle_slots(job);
}

static int64_t held_result_bytes(const struct job *job)
{
    int64_t held = 0;
    for (const struct segment *s = job->first ? job->first->next : NULL; s; s = s->next)
        held += s->result_bytes;
    return held;
}

/* ---- sending ------------------------------------------------------------------------------- */

static struct message to_slot(enum message_type type, int slot)
{
    return (struct message){.type = type, .job = JOB_ID, .slot = (uint32_t)slot};
}

/* Sends to the message's slot if a credit and the link allow it. Takes what it owns. */
static int post(struct peer *peer, struct message msg)
{
    struct slot *slot = &peer->slots[msg.slot];
    int ret = slot->credits > 0 ? link_send(peer->link, &msg, 0) : RGPU_ERROR_AGAIN;
    if (ret == 0)
        slot->credits--;
    message_done(&msg);
    return ret;
}

/* Sends items as far as credits and the link go, the tail at its place. 0: all that there is. */
static int send_input(struct peer *peer, int slot_index, struct segment *s)
{
    for (;;) {
        if (s->has_tail && !s->tail_sent && s->sent == s->tail_index) {
            struct message tail = to_slot(MESSAGE_SEGMENT_TAIL, slot_index);
            tail.pts = s->end_pts;
            if (post(peer, tail) != 0)
                return RGPU_ERROR_AGAIN;
            s->tail_sent = true;
        }
        if (!segment_unsent(s))
            return 0;
        struct item item = segment_peek(s);
        struct message msg =
            to_slot(item.frame ? MESSAGE_SEGMENT_FRAME : MESSAGE_SEGMENT_PACKET, slot_index);
        msg.packet = item.packet;
        msg.frame = item.frame;
        if (post(peer, msg) != 0)
            return RGPU_ERROR_AGAIN;
        segment_advance(s);
    }
}

/* Segments that a slot was given and that have not come back. */
static int outstanding(const struct job *job, int peer_index, int slot_index)
{
    int count = 0;
    for (const struct segment *s = job->first; s; s = s->next)
        count += s->assigned && !s->done && s->node == peer_index && s->slot == slot_index;
    return count;
}

/* Whether an idle slot elsewhere has less to do than this one. */
static bool another_is_freer(const struct job *job, int peer_index, int slot_index)
{
    const int own = outstanding(job, peer_index, slot_index);
    for (int i = 0; i < job->peers_count; i++)
        for (int k = 0; job->peers[i].link && k < job->peers[i].slots_count; k++)
            if (!job->peers[i].slots[k].current && outstanding(job, i, k) < own)
                return true;
    return false;
}

/* Whether enough waits for the first segment: no more is given out before it. */
static bool held_up(const struct job *job)
{
    return job->segments_count > ACTIVE_SEGMENTS_MAX ||
           held_result_bytes(job) > HELD_RESULT_BYTES_MAX;
}

/* Whether an idle slot should let all come out: nothing is read that could push it out, or it may
 * sit on what others wait for. */
static bool should_drain(struct job *job)
{
    return !job_accepts(job) || held_up(job);
}

/* Gives an idle slot the next segment, or tells it that there is none for now. */
static struct segment *assign(struct job *job, int peer_index, int slot_index)
{
    struct peer *peer = &job->peers[peer_index];
    struct slot *slot = &peer->slots[slot_index];
    struct segment *s = first_unassigned(job);
    if (!s || (s != job->first && held_up(job))) {
        if (!slot->drained && should_drain(job) &&
            post(peer, to_slot(MESSAGE_SLOT_DRAIN, slot_index)) == 0)
            slot->drained = true;
        return NULL;
    }
    if (another_is_freer(job, peer_index, slot_index))
        return NULL;
    s->assigned = true;
    s->node = peer_index;
    s->slot = slot_index;
    s->attempts++;
    slot->current = s;
    return s;
}

/* Costs no credit: the slot drops all that came before it. */
static bool send_reset(struct peer *peer, int slot_index)
{
    struct message msg = to_slot(MESSAGE_SLOT_RESET, slot_index);
    if (link_send(peer->link, &msg, 0) != 0)
        return false;
    peer->slots[slot_index].reset_due = false;
    peer->slots[slot_index].drained = true;
    return true;
}

static void serve_slot(struct job *job, int peer_index, int slot_index)
{
    struct peer *peer = &job->peers[peer_index];
    struct slot *slot = &peer->slots[slot_index];
    if (slot->reset_due && !send_reset(peer, slot_index))
        return;
    for (;;) {
        struct segment *s = slot->current;
        if (!s && !(s = assign(job, peer_index, slot_index)))
            return;
        if (!s->begin_sent) {
            struct message begin = to_slot(MESSAGE_SEGMENT_BEGIN, slot_index);
            begin.segment = s->id;
            begin.pts = s->start_pts;
            begin.ordinal = s->first_ordinal;
            memcpy(begin.permille, s->permille, sizeof(begin.permille));
            if (post(peer, begin) != 0)
                return;
            s->begin_sent = true;
            slot->drained = false;
        }
        if (send_input(peer, slot_index, s) != 0 || !s->input_ended)
            return;
        if (post(peer, to_slot(MESSAGE_SEGMENT_END, slot_index)) != 0)
            return;
        s->end_sent = true;
        slot->current = NULL;
    }
}

/* ---- receiving ----------------------------------------------------------------------------- */

/* Whether another try may help: not where the job itself is at fault. */
static bool worth_a_retry(int code)
{
    return code == RGPU_ERROR_MEMORY || code == RGPU_ERROR_DEVICE || code == RGPU_ERROR_NODE ||
           code == RGPU_ERROR_IO || code == RGPU_ERROR_INTERNAL;
}

/* Puts a segment back among those to be given to a slot, if that is still possible. */
static bool give_again(struct job *job, struct segment *s)
{
    int64_t packets[RENDITIONS_MAX], bytes[RENDITIONS_MAX];
    memcpy(packets, s->packets_received, sizeof(packets));
    memcpy(bytes, s->bytes_received, sizeof(bytes));
    if (!segment_rewind(s))
        return false;
    for (int r = 0; r < job->params.renditions_count; r++) {
        job->packets_received[r] -= packets[r];
        job->bytes_received[r] -= bytes[r];
    }
    job->retries++;
    return true;
}

/* What was given to a slot and is not done goes back to be given again. Slot -1: the whole node. */
static void take_back(struct job *job, int peer_index, int slot_index, const struct error *why)
{
    for (struct segment *s = job->first; s; s = s->next) {
        if (!s->assigned || s->done || s->node != peer_index ||
            (slot_index >= 0 && s->slot != slot_index))
            continue;
        if (!worth_a_retry(why->code) || s->attempts >= SEGMENT_ATTEMPTS_MAX ||
            !give_again(job, s)) {
            fail(job, why->code, why->text);
            return;
        }
    }
    for (int k = 0; k < job->peers[peer_index].slots_count; k++)
        if (slot_index < 0 || k == slot_index)
            job->peers[peer_index].slots[k].current = NULL;
}

static void lose_node(struct job *job, int peer_index)
{
    const struct error why = {RGPU_ERROR_NODE, "the link to the node was lost"};
    link_close(&job->peers[peer_index].link);
    take_back(job, peer_index, -1, &why);
    for (int i = 0; i < job->peers_count; i++)
        if (job->peers[i].link)
            return;
    fail(job, RGPU_ERROR_NODE, "no node is left for the job");
}

static void take_header(struct job *job, struct message *msg)
{
    uint32_t r = msg->rendition;
    if (r >= (uint32_t)job->params.renditions_count)
        return;
    if (!job->header_known[r]) {
        job->headers[r] = *msg->track;
        *msg->track = (struct track){0};
        job->header_known[r] = true;
        return;
    }
    /* Segments are joined under one header: lanes that disagree would give a broken film. */
    const struct buffer *a = job->headers[r].extradata, *b = msg->track->extradata;
    if (!a != !b || (a && (a->size != b->size || memcmp(a->data, b->data, a->size) != 0)))
        fail(job, RGPU_ERROR_NODE, "two encoders gave different headers for one rendition");
}

static struct segment *find_segment(struct job *job, uint32_t id, int peer_index)
{
    struct segment *s = job->first;
    while (s && (s->id != id || !s->assigned || s->node != peer_index))
        s = s->next;
    return s;
}

static void take_result(struct job *job, int peer_index, struct message *msg)
{
    struct segment *s = find_segment(job, msg->segment, peer_index);
    uint32_t r = msg->packet.rendition;
    if (!s || s->done || r >= (uint32_t)job->params.renditions_count)
        return;
    struct item item = {.packet = packet_move(&msg->packet)};
    const int64_t size = (int64_t)item.packet.size;
    if (item_ring_push(&s->results, &item) != 0) {
        packet_done(&item.packet);
        fail(job, RGPU_ERROR_MEMORY, "out of memory for results");
        return;
    }
    s->result_bytes += size;
    s->packets_received[r]++;
    s->bytes_received[r] += size;
    job->packets_received[r]++;
    job->bytes_received[r] += size;
}

static void take_note(struct job *job, const char *text)
{
    for (int i = 0; i < job->notes_count; i++)
        if (!strcmp(job->notes[i], text))
            return;
    if (job->notes_count < NOTES_MAX)
        snprintf(job->notes[job->notes_count++], ERROR_TEXT_MAX, "%s", text);
}

static void take_done(struct job *job, int peer_index, const struct message *msg)
{
    struct segment *s = find_segment(job, msg->segment, peer_index);
    if (!s || s->done)
        return;
    s->result = *msg->done;
    s->done = true;
    if (s->frames_expected == s->result.frames && s->pts_digest_expected != s->result.pts_digest &&
        !job->params.timestamps_by_order)
        take_note(job, "the decoder gave some frames other time stamps than their packets had");
    for (int r = 0; r < job->params.renditions_count; r++) {
        if (s->packets_received[r] != s->result.packets[r]) {
            char text[ERROR_TEXT_MAX];
            snprintf(text, sizeof(text), "segment %u came back with %lld packets instead of %lld",
                     s->id, (long long)s->packets_received[r], (long long)s->result.packets[r]);
            fail(job, RGPU_ERROR_NODE, text);
        }
    }
}

static void acknowledge(struct job *job, int peer_index, int slots)
{
    struct peer *peer = &job->peers[peer_index];
    if (slots < 1 || slots > JOB_SLOTS_MAX) {
        lose_node(job, peer_index);
        return;
    }
    peer->acknowledged = true;
    peer->slots_count = slots;
    for (int k = 0; k < slots; k++)
        peer->slots[k] = (struct slot){.credits = job_window(&job->params), .drained = true};
}

static void handle(struct job *job, int peer_index, struct message *msg)
{
    struct peer *peer = &job->peers[peer_index];
    switch (msg->type) {
    case MESSAGE_HELLO:
        peer->hello = *msg->hello;
        break;
    case MESSAGE_JOB_ACK:
        acknowledge(job, peer_index, msg->slots);
        break;
    case MESSAGE_JOB_REJECT:
        fail(job, msg->error->code, msg->error->text);
        break;
    case MESSAGE_CREDIT:
        if (msg->slot < (uint32_t)peer->slots_count)
            peer->slots[msg->slot].credits += msg->credits;
        break;
    case MESSAGE_HEADER:
        take_header(job, msg);
        break;
    case MESSAGE_RESULT:
        take_result(job, peer_index, msg);
        break;
    case MESSAGE_SEGMENT_DONE:
        take_done(job, peer_index, msg);
        break;
    case MESSAGE_NOTE:
        take_note(job, msg->error->text);
        break;
    case MESSAGE_SLOT_FAILED:
        if (msg->slot >= (uint32_t)peer->slots_count)
            break;
        take_back(job, peer_index, (int)msg->slot, msg->error);
        peer->slots[msg->slot].reset_due = true;
        break;
    default:
        break; /* JOB_FINISHED answers job_close; others are dispatch's own */
    }
}

static void pump(struct job *job)
{
    for (int i = 0; i < job->peers_count; i++) {
        struct message msg = {0};
        int ret = RGPU_ERROR_NODE;
        while (job->peers[i].link && (ret = link_receive(job->peers[i].link, 0, &msg)) == 0) {
            handle(job, i, &msg);
            message_done(&msg);
        }
        if (job->peers[i].link && ret == RGPU_ERROR_NODE)
            lose_node(job, i);
    }
    /* Twice, because a slot may leave a segment to one that was served before it. */
    for (int round = 0; round < 2 && job->failure.code == 0; round++)
        for (int i = 0; i < job->peers_count; i++)
            for (int k = 0; k < job->peers[i].slots_count && job->peers[i].link; k++)
                serve_slot(job, i, k);
}

/* ---- output -------------------------------------------------------------------------------- */

static bool next_announcement(struct job *job, struct job_output *ret)
{
    if (job->notes_given < job->notes_count) {
        *ret = (struct job_output){.type = JOB_NOTE};
        snprintf(ret->note, sizeof(ret->note), "%s", job->notes[job->notes_given++]);
        return true;
    }
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
 * breaks them goes back to be encoded with less; after some tries it is taken as it is, and noted.
 */
static bool accept(struct job *job, struct segment *s)
{
    struct bucket after[RENDITIONS_MAX];
    if (s->accepted || s->committed)
        return true;
    const bool fits = rate_check(job->buckets, after, &job->params, s);
    if (!fits && s->redone < SEGMENT_REDO_MAX && give_again(job, s)) {
        s->redone++;
        s->attempts = 0; /* nothing has failed */
        return false;
    }
    if (!fits)
        take_note(job, "the peak bit rate could not be kept everywhere; a lower --bitrate helps");
    memcpy(job->buckets, after, sizeof(job->buckets));
    s->accepted = true;
    return true;
}

static bool next_result(struct job *job, struct job_output *ret)
{
    struct segment *s = job->first;
    if (!s)
        return false;
    if (s->done && !accept(job, s))
        return false;
    if (!s->done && !s->committed && s->result_bytes > SEGMENT_RESULT_BYTES)
        s->committed = true;
    if (!s->done && !s->committed)
        return false;
    if (s->results.count) {
        struct item item = item_ring_pop(&s->results);
        s->result_bytes -= (int64_t)item.packet.size;
        s->committed = true;
        *ret = (struct job_output){.type = JOB_PACKET, .segment = s->id, .packet = item.packet};
        return true;
    }
    if (!s->done)
        return false;
    int64_t missing = s->frames_expected - s->result.frames;
    *ret = (struct job_output){.type = JOB_SEGMENT_DONE,
                               .segment = s->id,
                               .done = s->result,
                               .frames_missing = missing > 0 ? missing : 0};
    remove_first(job);
    return true;
}

int job_next(struct job *job, struct job_output *ret, struct error *err)
{
    pump(job);
    if (job->failure.code != 0)
        return error_set(err, job->failure.code, "%s", job->failure.text);
    if (next_announcement(job, ret) || next_result(job, ret))
        return 0;
    if (job->finished && !job->first) {
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

const char *job_device(const struct job *job)
{
    return job->peers_count ? job->peers[0].hello.device : "";
}
