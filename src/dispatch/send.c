/* What is given to which slot, and when. */
#include <string.h>

#include "dispatch/job.h"

#define ACTIVE_SEGMENTS_MAX 512
#define RETAINED_BYTES_MAX ((int64_t)256 << 20) /* input of all segments together */

/* ---- what there is to do ------------------------------------------------------------------- */

static struct segment *first_unassigned(struct job *job)
{
    struct segment *s = job->first;
    while (s && s->assigned)
        s = s->next;
    return s;
}

static bool is_idle(const struct job *job, int peer_index, int slot_index)
{
    const struct peer *peer = &job->peers[peer_index];
    const struct slot *slot = &peer->slots[slot_index];
    return peer->link && !slot->closed && !slot->current;
}

/* Slots that could take a segment at once. */
static int idle_slots(const struct job *job)
{
    int idle = 0;
    for (int i = 0; i < job->peers_count; i++)
        for (int k = 0; k < job->peers[i].slots_count; k++)
            idle += is_idle(job, i, k);
    return idle;
}

static int64_t held_result_bytes(const struct job *job)
{
    int64_t held = 0;
    for (const struct segment *s = job->first ? job->first->next : NULL; s; s = s->next)
        held += s->result_bytes;
    return held;
}

/* Whether enough waits for the first segment: no more is given out before it. */
static bool held_up(const struct job *job)
{
    return job->segments_count > ACTIVE_SEGMENTS_MAX ||
           held_result_bytes(job) > SEGMENT_HELD_BYTES_MAX;
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
    if (job->input_open &&
        (!unsent || (job->last->assigned && !segment_unsent(job->last) && held_up(job))))
        return true;
    if (job->segments_count > ACTIVE_SEGMENTS_MAX || retained >= RETAINED_BYTES_MAX)
        return false;
    return unsent < (job->params.raw_input ? JOB_UNSENT_FRAMES : JOB_UNSENT_PACKETS) ||
           unsent_bytes < JOB_UNSENT_BYTES * idle_slots(job);
}

bool job_is_fed(const struct job *job)
{
    return job->first && job->first->assigned && segment_unsent(job->first) > 0;
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
    if (ret == 0) {
        slot->credits--;
    }
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

int slot_outstanding(const struct job *job, int peer_index, int slot_index)
{
    int count = 0;
    for (const struct segment *s = job->first; s; s = s->next)
        count += s->assigned && !s->done && s->node == peer_index && s->slot == slot_index;
    return count;
}

/* Encoders are opened for the job's first picture, in all slots: until that is known, one slot gets
 * all that there is. */
static bool seeks_picture(const struct job *job, int peer_index, int slot_index)
{
    return job->picture.format == PIXEL_NONE && slot_outstanding(job, peer_index, slot_index) > 0;
}

/* Whether an idle slot elsewhere has less to do than this one. */
static bool another_is_freer(const struct job *job, int peer_index, int slot_index)
{
    if (seeks_picture(job, peer_index, slot_index))
        return false; /* nobody else gets any */
    const int own = slot_outstanding(job, peer_index, slot_index);
    for (int i = 0; i < job->peers_count; i++)
        for (int k = 0; k < job->peers[i].slots_count; k++)
            if (is_idle(job, i, k) && slot_outstanding(job, i, k) < own)
                return true;
    return false;
}

/* Whether a slot gets no more input for now, because enough waits for the first segment and that
 * is elsewhere. Where it is nowhere, all go on until one is free for it. */
static bool is_blocked(const struct job *job, int peer_index, int slot_index)
{
    const struct segment *first = job->first;
    return first->assigned && !(first->node == peer_index && first->slot == slot_index) &&
           held_up(job);
}

/* How little a slot is wanted for a segment that came back wrong: 2: from the same slot, 1: from
 * the same node. */
static int shunned(const struct segment *s, int peer_index, int slot_index)
{
    if (s->node != peer_index)
        return 0;
    return s->slot == slot_index ? 2 : 1;
}

/* Whether a slot that is wanted more for the segment is idle, or soon will be without more being
 * read. */
static bool better_elsewhere(const struct job *job, const struct segment *s, int peer_index,
                             int slot_index)
{
    if (seeks_picture(job, peer_index, slot_index))
        return false; /* nobody else gets any */
    for (int i = 0; i < job->peers_count; i++) {
        for (int k = 0; k < job->peers[i].slots_count; k++) {
            const struct slot *slot = &job->peers[i].slots[k];
            const struct segment *busy = slot->current;
            if (job->peers[i].link && !slot->closed &&
                shunned(s, i, k) < shunned(s, peer_index, slot_index) &&
                (!busy || (busy->input_ended && !is_blocked(job, i, k))))
                return true;
        }
    }
    return false;
}

/* Whether an idle slot should let all come out: nothing is read that could push it out, or it may
 * sit on what others wait for. */
static bool should_drain(struct job *job)
{
    return !job_accepts(job) || held_up(job);
}

/* Whether another slot is to find the picture. */
static bool waits_for_picture(const struct job *job, int peer_index, int slot_index)
{
    const struct segment *s = job->first;
    if (job->picture.format != PIXEL_NONE)
        return false;
    while (s && (!s->assigned || s->done))
        s = s->next;
    return s && (s->node != peer_index || s->slot != slot_index);
}

/* Says it once to each slot, which keeps it. */
static bool tell_picture(struct job *job, struct peer *peer, int slot_index)
{
    struct slot *slot = &peer->slots[slot_index];
    struct message msg = to_slot(MESSAGE_PICTURE, slot_index);
    if (slot->told || job->picture.format == PIXEL_NONE)
        return true;
    if (message_block(&msg) != 0)
        return false; /* again at the next turn */
    *msg.track = job->picture;
    slot->told = post(peer, msg) == 0;
    return slot->told;
}

/* Gives an idle slot the next segment, or tells it that there is none for now. */
static struct segment *assign(struct job *job, int peer_index, int slot_index)
{
    struct peer *peer = &job->peers[peer_index];
    struct slot *slot = &peer->slots[slot_index];
    if (waits_for_picture(job, peer_index, slot_index))
        return NULL;
    struct segment *s = first_unassigned(job);
    if (!s || (s != job->first && held_up(job))) {
        if (!slot->drained && should_drain(job) &&
            post(peer, to_slot(MESSAGE_SLOT_DRAIN, slot_index)) == 0)
            slot->drained = true;
        return NULL;
    }
    if (s->shunned ? better_elsewhere(job, s, peer_index, slot_index)
                   : another_is_freer(job, peer_index, slot_index))
        return NULL;
    s->assigned = true;
    s->shunned = false;
    s->node = peer_index;
    s->slot = slot_index;
    slot->current = s;
    return s;
}

/* Costs no credit: the slot drops all that came before it. */
static bool send_reset(struct peer *peer, int slot_index)
{
    struct message msg = to_slot(MESSAGE_SLOT_RESET, slot_index);
    msg.alone = peer->slots[slot_index].alone;
    if (link_send(peer->link, &msg, 0) != 0)
        return false;
    peer->slots[slot_index].reset_due = false;
    peer->slots[slot_index].drained = true;
    return true;
}

void job_serve_slot(struct job *job, int peer_index, int slot_index)
{
    struct peer *peer = &job->peers[peer_index];
    struct slot *slot = &peer->slots[slot_index];
    if ((slot->reset_due && !send_reset(peer, slot_index)) || slot->closed)
        return;
    for (;;) {
        struct segment *s = slot->current;
        if (!s && !(s = assign(job, peer_index, slot_index)))
            return;
        if (is_blocked(job, peer_index, slot_index))
            return;
        if (!s->begin_sent) {
            if (!tell_picture(job, peer, slot_index))
                return;
            struct message begin = to_slot(MESSAGE_SEGMENT_BEGIN, slot_index);
            begin.segment = s->id;
            begin.pts = s->start_pts;
            begin.ordinal = s->first_ordinal;
            memcpy(begin.permille, s->permille, sizeof(begin.permille));
            begin.mark = s->mark;
            if (post(peer, begin) != 0)
                return;
            s->begin_sent = true;
            s->attempts++;
            slot->drained = false;
        }
        if (send_input(peer, slot_index, s) != 0 || !s->input_ended)
            return;
        if (post(peer, to_slot(MESSAGE_SEGMENT_END, slot_index)) != 0)
            return;
        s->end_sent = true;
        slot->current = NULL;
        if (s->reported)
            job_conclude(job, s);
    }
}
