/* What nodes say: nothing is believed, and each message has its place. */
#include <stdio.h>
#include <string.h>

#include "dispatch/job.h"

#define DONE_COUNT_MAX ((int64_t)1 << 40) /* of anything that a node counts in a segment */

/* The code of a failure that a node tells of; some would end the job without an error, or never. */
static int failure_code(int code)
{
    switch (code) {
    case RGPU_ERROR_OK:
    case RGPU_ERROR_AGAIN:
    case RGPU_ERROR_END:
    case RGPU_ERROR_CANCELLED:
        return RGPU_ERROR_NODE;
    default:
        return code >= RGPU_ERROR_END && code < 0 ? code : RGPU_ERROR_NODE;
    }
}

static void take_header(struct job *job, struct message *msg)
{
    const uint32_t r = msg->rendition;
    if (!job->header_known[r]) {
        job->headers[r] = *msg->track;
        *msg->track = (struct track){0};
        job->header_known[r] = true;
        return;
    }
    /* Segments are joined under one header: lanes that disagree would give a broken film. */
    const struct buffer *a = job->headers[r].extradata, *b = msg->track->extradata;
    if (!a != !b || (a && (a->size != b->size || memcmp(a->data, b->data, a->size) != 0)))
        job_fail(job, RGPU_ERROR_NODE, "two encoders gave different headers for one rendition");
}

static bool take_picture(struct job *job, const struct track *picture)
{
    if (!pixel_info(picture->format) || picture->width < 1 || picture->height < 1 ||
        picture->width > FRAME_SIZE_MAX || picture->height > FRAME_SIZE_MAX)
        return false;
    /* The first word counts. */
    if (job->picture.format == PIXEL_NONE) {
        job->picture = *picture;
        job->picture.extradata = NULL;
    }
    return true;
}

/* The segment that a message speaks of, if its slot may still say something of it. */
static struct segment *find_segment(struct job *job, int peer_index, const struct message *msg)
{
    struct segment *s = job->first;
    while (s && (s->id != msg->segment || !s->begin_sent || s->reported || s->node != peer_index ||
                 s->slot != (int)msg->slot))
        s = s->next;
    return s;
}

static bool result_is_sound(const struct job *job, const struct packet *pkt)
{
    return pkt->rendition < (uint32_t)job->params.renditions_count &&
           job->header_known[pkt->rendition] && pkt->size <= RESULT_BYTES_MAX &&
           pkt->pts != PTS_NONE;
}

static bool done_is_sound(const struct job *job, const struct segment *s,
                          const struct segment_done *done)
{
    /* A node learns where a segment ends from its TAIL, or its END. */
    bool sound = s->tail_sent || s->end_sent;
    const int64_t counts[] = {done->frames, done->corrupt_frames, done->failed_packets};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        sound &= counts[i] >= 0 && counts[i] <= DONE_COUNT_MAX;
    for (int r = 0; r < job->params.renditions_count; r++)
        sound &= done->packets[r] >= 0 && done->packets[r] <= DONE_COUNT_MAX;
    return sound;
}

/* The packet belongs to `s`. */
static void take_result(struct job *job, struct segment *s, struct message *msg)
{
    const uint32_t r = msg->packet.rendition;
    struct item item = {.packet = packet_move(&msg->packet)};
    const int64_t size = (int64_t)item.packet.size;
    const int64_t begin = item.packet.pts;
    int64_t end;
    if (__builtin_add_overflow(begin, item.packet.duration, &end))
        end = begin;
    if (item_ring_push(&s->results, &item) != 0) {
        packet_done(&item.packet);
        job_fail(job, RGPU_ERROR_MEMORY, "out of memory for results");
        return;
    }
    s->result_bytes += size;
    s->packets_received[r]++;
    s->bytes_received[r] += size;
    job->packets_received[r]++;
    job->bytes_received[r] += size;
    job->begin_pts = begin < job->begin_pts ? begin : job->begin_pts;
    job->end_pts = end > job->end_pts ? end : job->end_pts;
}

static bool take_done(struct job *job, int peer_index, const struct message *msg)
{
    struct segment *s = find_segment(job, peer_index, msg);
    if (!s || !done_is_sound(job, s, msg->done))
        return false;
    s->result = *msg->done;
    s->reported = true;
    if (s->end_sent)
        job_conclude(job, s);
    return true;
}

static bool take_hello(struct peer *peer, const struct message *msg)
{
    if (peer->greeted)
        return false;
    peer->greeted = true;
    snprintf(peer->device, sizeof(peer->device), "%s", msg->hello->device);
    return true;
}

/* The answer to the job, which comes once. */
static bool take_answer(struct job *job, int peer_index, const struct message *msg)
{
    struct peer *peer = &job->peers[peer_index];
    if (peer->acknowledged || !peer->greeted)
        return false;
    if (msg->type == MESSAGE_JOB_REJECT) {
        job_lose_node(job, peer_index, failure_code(msg->error->code), msg->error->text);
        return true;
    }
    const int wanted = job->params.slots;
    if (msg->slots < 1 || msg->slots > (wanted > 0 ? wanted : JOB_SLOTS_MAX))
        return false;
    peer->acknowledged = true;
    peer->slots_count = msg->slots;
    for (int k = 0; k < msg->slots; k++)
        peer->slots[k] = (struct slot){
            .credits = job_window(&job->params), .drained = true, .heard_ns = job->now_ns};
    return true;
}

static bool take_failure(struct job *job, int peer_index, const struct message *msg)
{
    struct slot *slot = &job->peers[peer_index].slots[msg->slot];
    if (slot->reset_due)
        return false;
    struct error why = *msg->error;
    why.code = failure_code(why.code);
    job_take_back(job, peer_index, (int)msg->slot, &why);
    slot->reset_due = true;
    return true;
}

/* What a slot says. */
static bool take_from_slot(struct job *job, int peer_index, struct message *msg)
{
    struct peer *peer = &job->peers[peer_index];
    struct segment *s;
    if (msg->slot >= (uint32_t)peer->slots_count)
        return false;
    struct slot *slot = &peer->slots[msg->slot];
    if (slot->lost)
        return true;
    slot->heard_ns = job->now_ns;
    switch (msg->type) {
    case MESSAGE_CREDIT:
        if (msg->credits < 1 || msg->credits > job_window(&job->params) - slot->credits)
            return false;
        slot->credits += msg->credits;
        return true;
    case MESSAGE_PICTURE:
        return take_picture(job, msg->track);
    case MESSAGE_HEADER:
        if (msg->rendition >= (uint32_t)job->params.renditions_count)
            return false;
        take_header(job, msg);
        return true;
    case MESSAGE_RESULT:
        s = find_segment(job, peer_index, msg);
        if (!s || !result_is_sound(job, &msg->packet))
            return false;
        take_result(job, s, msg);
        return true;
    case MESSAGE_SEGMENT_DONE:
        return take_done(job, peer_index, msg);
    case MESSAGE_NOTE:
        job_note(job, msg->error->text);
        return true;
    case MESSAGE_SLOT_FAILED:
        return take_failure(job, peer_index, msg);
    default:
        return false; /* dispatch's own, or JOB_FINISHED, which answers the end of a job */
    }
}

/* False: the node does not keep to the protocol. */
static bool handle(struct job *job, int peer_index, struct message *msg)
{
    struct peer *peer = &job->peers[peer_index];
    if (!message_whole(msg))
        return false;
    if (msg->type == MESSAGE_HELLO)
        return take_hello(peer, msg);
    if (msg->job != JOB_ID)
        return false;
    if (msg->type == MESSAGE_JOB_ACK || msg->type == MESSAGE_JOB_REJECT)
        return take_answer(job, peer_index, msg);
    return take_from_slot(job, peer_index, msg);
}

void job_receive(struct job *job, int peer_index)
{
    struct peer *peer = &job->peers[peer_index];
    struct message msg = {0};
    int ret = RGPU_ERROR_AGAIN;
    while (peer->link && job->failure.code == 0 && (ret = link_receive(peer->link, 0, &msg)) == 0) {
        const int type = (int)msg.type;
        if (!handle(job, peer_index, &msg)) {
            char text[ERROR_TEXT_MAX];
            snprintf(text, sizeof(text),
                     "it does not keep to the protocol (message %d); are both sides of the same "
                     "version?",
                     type);
            job_lose_node(job, peer_index, RGPU_ERROR_NODE, text);
        }
        message_done(&msg);
    }
    if (peer->link && ret == RGPU_ERROR_NODE)
        job_lose_node(job, peer_index, RGPU_ERROR_NODE, "the link was lost");
}
