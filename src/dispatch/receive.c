/* What nodes say: nothing is believed, and each message has its place. */
#include <stdio.h>
#include <string.h>

#include "dispatch/job.h"

#define DONE_COUNT_MAX ((int64_t)1 << 40) /* of anything that a node counts in a segment */
#define TIME_MAX ((int64_t)1 << 60)       /* of a time stamp, either way */
#define HEADER_BYTES_MAX ((size_t)1 << 20)
#define HEADER_REORDER_MAX 64
/* Results for what was sent: a packet may hold several pictures, and a decoder may have kept some
 * from before. */
#define RESULTS_A_PACKET 8
#define RESULTS_SPARE 1024
#define RESULT_BYTES_SPARE 65536

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

/* A node's words, or the code's where it has none. */
static const char *text_of(const struct error *error, int code)
{
    return error->text[0] ? error->text : rgpu_error_text(code);
}

static bool header_is_sound(const struct job *job, const struct message *msg)
{
    if (msg->rendition >= (uint32_t)job->params.renditions_count)
        return false;
    const struct rendition_params *wanted = &job->params.renditions[msg->rendition];
    const struct rational tb = job->params.source.time_base;
    const struct track *t = msg->track;
    return t->width == wanted->width && t->height == wanted->height && t->time_base.num == tb.num &&
           t->time_base.den == tb.den && t->reorder_frames <= HEADER_REORDER_MAX &&
           (!t->extradata || t->extradata->size <= HEADER_BYTES_MAX);
}

/* Segments are joined under one header: lanes that disagree would give a broken film. The first
 * word counts. */
static void take_header(struct job *job, int peer_index, struct message *msg)
{
    const uint32_t r = msg->rendition;
    if (!job->header_known[r]) {
        job->headers[r] = *msg->track;
        *msg->track = (struct track){0};
        job->header_known[r] = true;
        return;
    }
    const struct buffer *a = job->headers[r].extradata, *b = msg->track->extradata;
    if (!a != !b || (a && (a->size != b->size || memcmp(a->data, b->data, a->size) != 0)))
        job_lose_node(job, peer_index, RGPU_ERROR_NODE,
                      "its encoder gives another header than the one that the film has");
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

/* Bytes that a coded picture stays below, whatever its content: more than twice of what it has
 * uncoded, in any format. */
static size_t picture_bytes_max(const struct rendition_params *r)
{
    return (size_t)r->width * (size_t)r->height * 16 + RESULT_BYTES_SPARE;
}

static bool result_is_sound(const struct job *job, const struct segment *s,
                            const struct packet *pkt)
{
    if (pkt->rendition >= (uint32_t)job->params.renditions_count ||
        !job->header_known[pkt->rendition])
        return false;
    const int64_t count_max = (int64_t)s->sent * RESULTS_A_PACKET + RESULTS_SPARE;
    return pkt->buf && pkt->data && pkt->size > 0 &&
           pkt->size <= picture_bytes_max(&job->params.renditions[pkt->rendition]) &&
           pkt->pts >= -TIME_MAX && pkt->pts <= TIME_MAX && pkt->duration >= 0 &&
           pkt->duration <= TIME_MAX && s->packets_received[pkt->rendition] < count_max;
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
    const int64_t begin = item.packet.pts, end = begin + item.packet.duration;
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
        const int code = failure_code(msg->error->code);
        job_lose_node(job, peer_index, code, text_of(msg->error, code));
        return true;
    }
    const int wanted = job->params.slots;
    if (msg->slots < 1 || msg->slots > (wanted > 0 ? wanted : JOB_SLOTS_MAX))
        return false;
    peer->acknowledged = true;
    peer->slots_count = msg->slots;
    for (int k = 0; k < msg->slots; k++)
        peer->slots[k] = (struct slot){.credits = job_window(&job->params), .drained = true};
    return true;
}

static bool take_failure(struct job *job, int peer_index, const struct message *msg)
{
    struct slot *slot = &job->peers[peer_index].slots[msg->slot];
    if (slot->reset_due)
        return false;
    const int code = failure_code(msg->error->code);
    struct error why = {0};
    error_set(&why, code, "%s", text_of(msg->error, code));
    slot->reset_due = true;
    if (msg->lacks_room) {
        if (job_close_slot(job, peer_index, (int)msg->slot, &why) ||
            job_leave_alone(job, peer_index, (int)msg->slot, &why))
            return true;
        why.code = RGPU_ERROR_DEVICE; /* what closed slots had may do for the last */
    }
    job_take_back(job, peer_index, (int)msg->slot, &why);
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
    switch (msg->type) {
    case MESSAGE_CREDIT:
        if (msg->credits < 1 || msg->credits > job_window(&job->params) - slot->credits)
            return false;
        slot->credits += msg->credits;
        return true;
    case MESSAGE_PICTURE:
        return take_picture(job, msg->track);
    case MESSAGE_HEADER:
        if (!header_is_sound(job, msg))
            return false;
        take_header(job, peer_index, msg);
        return true;
    case MESSAGE_RESULT:
        s = find_segment(job, peer_index, msg);
        if (!s || !result_is_sound(job, s, &msg->packet))
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
