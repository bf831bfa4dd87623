/* Giving again what was lost, or came back wrong. */
#include <stdio.h>
#include <string.h>

#include "dispatch/job.h"

/* ---- trying again -------------------------------------------------------------------------- */

bool job_give_again(struct job *job, struct segment *s)
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

/* Has another slot try it, if that is still possible. */
static bool try_elsewhere(struct job *job, struct segment *s)
{
    if (s->attempts >= SEGMENT_ATTEMPTS_MAX || !job_give_again(job, s))
        return false;
    s->shunned = true;
    return true;
}

/* Frames that the node has shown and that were not asked for. */
static int64_t count_wrong(const struct job *job, const struct segment *s)
{
    const int64_t frames = s->result.frames;
    if (s->frames_expected < 0 || frames < s->frames_expected)
        return 0;
    if (frames > s->frames_expected)
        return frames - s->frames_expected;
    return !job->params.timestamps_by_order && s->result.pts_digest != s->pts_digest_expected;
}

static bool same_frames(const struct segment_done *a, const struct segment_done *b)
{
    return a->frames == b->frames && a->pts_digest == b->pts_digest;
}

/* Wrong frames may be the node's fault or the source's nature: another try tells. */
static void check_frames(struct job *job, struct segment *s)
{
    const int64_t wrong = count_wrong(job, s);
    const struct segment_done result = s->result;
    if (wrong == 0)
        return;
    if (!s->rechecked && !job->source_is_odd && try_elsewhere(job, s)) {
        s->rechecked = true;
        s->first_result = result;
        return;
    }
    if (s->rechecked && same_frames(&result, &s->first_result))
        job->source_is_odd = true;
    s->frames_wrong = wrong;
    job_note(job, result.frames > s->frames_expected
                      ? "the decoder gave more frames than the source has packets for"
                      : "the decoder gave some frames other time stamps than their packets had");
}

void job_conclude(struct job *job, struct segment *s)
{
    s->done = true;
    for (int r = 0; r < job->params.renditions_count; r++) {
        const int64_t got = s->packets_received[r], promised = s->result.packets[r];
        if (got == promised)
            continue;
        if (!try_elsewhere(job, s)) {
            char text[ERROR_TEXT_MAX];
            snprintf(text, sizeof(text), "segment %u came back with %lld packets instead of %lld",
                     s->id, (long long)got, (long long)promised);
            job_fail(job, RGPU_ERROR_NODE, text);
        }
        return;
    }
    check_frames(job, s);
}

/* ---- losing -------------------------------------------------------------------------------- */

/* Whether another try may help: not where the job itself is at fault. */
static bool worth_a_retry(int code)
{
    return code == RGPU_ERROR_MEMORY || code == RGPU_ERROR_DEVICE || code == RGPU_ERROR_NODE ||
           code == RGPU_ERROR_IO || code == RGPU_ERROR_INTERNAL;
}

/* A text with the name of the node that it is about. */
static struct error about_node(const struct job *job, int peer_index, int code, const char *text)
{
    const char *device = job->peers[peer_index].device;
    struct error why = {0};
    error_set(&why, code, "node %d%s%s%s: %s", peer_index, device[0] ? " (" : "", device,
              device[0] ? ")" : "", text);
    return why;
}

static void take_back(struct job *job, int peer_index, int slot_index, const struct error *why)
{
    for (struct segment *s = job->first; s; s = s->next) {
        if (!s->assigned || s->done || s->node != peer_index ||
            (slot_index >= 0 && s->slot != slot_index))
            continue;
        if (!worth_a_retry(why->code) || !try_elsewhere(job, s)) {
            job_fail(job, why->code, why->text);
            return;
        }
    }
    for (int k = 0; k < job->peers[peer_index].slots_count; k++)
        if (slot_index < 0 || k == slot_index)
            job->peers[peer_index].slots[k].current = NULL;
}

void job_take_back(struct job *job, int peer_index, int slot_index, const struct error *why)
{
    /* Where there is one node only, its name says nothing. */
    const struct error named =
        job->peers_count > 1 ? about_node(job, peer_index, why->code, why->text) : *why;
    take_back(job, peer_index, slot_index, &named);
}

/* A peer's slots that are open, but for one. */
static int open_slots(const struct peer *peer, const struct slot *but)
{
    int count = 0;
    for (int k = 0; peer->link && k < peer->slots_count; k++)
        count += !peer->slots[k].closed && &peer->slots[k] != but;
    return count;
}

/* What a slot was given and has not done goes back, as if it had not been given. */
static bool give_back(struct job *job, int peer_index, int slot_index, const struct error *why)
{
    for (struct segment *s = job->first; s; s = s->next) {
        if (!s->assigned || s->done || s->node != peer_index || s->slot != slot_index)
            continue;
        const int attempts = s->attempts - (s->begin_sent ? 1 : 0); /* this was none */
        if (!job_give_again(job, s)) {
            job_fail(job, RGPU_ERROR_DEVICE, why->text);
            return false;
        }
        job->retries--;
        s->attempts = attempts;
    }
    job->peers[peer_index].slots[slot_index].current = NULL;
    return true;
}

bool job_close_slot(struct job *job, int peer_index, int slot_index, const struct error *why)
{
    struct slot *slot = &job->peers[peer_index].slots[slot_index];
    if (open_slots(&job->peers[peer_index], slot) == 0)
        return false;
    if (!give_back(job, peer_index, slot_index, why))
        return true;
    slot->closed = true;
    if (!job->fewer_told) {
        char text[ERROR_TEXT_MAX];
        snprintf(text, sizeof(text), "fewer segments are worked on at a time: %.460s", why->text);
        job_note(job, text);
        job->fewer_told = true;
    }
    return true;
}

bool job_leave_alone(struct job *job, int peer_index, int slot_index, const struct error *why)
{
    struct slot *slot = &job->peers[peer_index].slots[slot_index];
    bool possible = !slot->alone;
    for (int i = 0; i < job->peers_count; i++)
        possible = possible && (i == peer_index || !job->peers[i].link);
    /* What comes now need not be of the kind that came so far. */
    for (int r = 0; r < job->params.renditions_count; r++)
        possible = possible && !job->header_given[r];
    for (const struct segment *s = job->first; s; s = s->next)
        possible = possible && !s->done;
    if (!possible)
        return false;
    if (!give_back(job, peer_index, slot_index, why))
        return true;
    for (int r = 0; r < job->params.renditions_count; r++) {
        track_done(&job->headers[r]);
        job->header_known[r] = false;
    }
    slot->alone = true;
    return true;
}

void job_lose_node(struct job *job, int peer_index, int code, const char *text)
{
    const struct error why = about_node(job, peer_index, code, text);
    link_close(&job->peers[peer_index].link);
    take_back(job, peer_index, -1, &why);
    for (int i = 0; i < job->peers_count; i++) {
        if (job->peers[i].link) {
            job_note(job, why.text);
            return;
        }
    }
    job_fail(job, why.code, why.text);
}
