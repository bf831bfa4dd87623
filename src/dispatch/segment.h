/* A segment on its way: what is to be sent (kept until the result is accepted, so that it can be
 * sent again elsewhere), where it is, and what has come back.
 *
 * Threads: the job's. Memory: input is kept up to SEGMENT_RETAIN_BYTES; beyond that all that was
 * sent is let go, then and later, and the segment can no longer be retried. Results of the first
 * segment wait for the whole of it up to SEGMENT_RESULT_BYTES or SEGMENT_RESULT_SECONDS, because
 * the sound of that time waits with them, then go out as they come ("committed").
 *
 * Results of the segments after it: once SEGMENT_HELD_BYTES_MAX wait together, their slots get no
 * more input and no segment is begun. What can still come on top is what those slots have inside,
 * a window of messages and the pictures that the codecs hold back, for each rendition. The slot
 * that has the first segment goes on, or that might never be pushed out of it; and where the first
 * one is to be sent again and all slots are busy, they end the segments they are at. */
#ifndef DISPATCH_SEGMENT_H
#define DISPATCH_SEGMENT_H

#include <stdbool.h>

#include "link/message.h"

#define SEGMENT_RETAIN_BYTES ((int64_t)64 << 20)
#define SEGMENT_RETAIN_ITEMS 16384
#define SEGMENT_RESULT_BYTES ((int64_t)64 << 20)
#define SEGMENT_RESULT_SECONDS 60
#define SEGMENT_HELD_BYTES_MAX ((int64_t)256 << 20)
#define SEGMENT_ATTEMPTS_MAX 3
#define SEGMENT_REDO_MAX 2 /* times that a segment is encoded again for the bit rate's sake */

struct item {
    struct packet packet;
    struct frame *frame; /* raw input: instead of the packet */
};

/* A first-in first-out list of items or packets in one growing ring. */
struct item_ring {
    struct item *items;
    size_t head, count, capacity;
};

int item_ring_push(struct item_ring *ring, struct item *item); /* moved on success; MEMORY */
struct item *item_ring_at(struct item_ring *ring, size_t i);
struct item item_ring_pop(struct item_ring *ring); /* count > 0 */
void item_ring_clear(struct item_ring *ring);
void item_ring_done(struct item_ring *ring);

struct segment {
    struct segment *next;
    uint32_t id;
    int64_t start_pts, end_pts; /* end: valid with has_tail */
    uint64_t first_ordinal;
    bool has_tail, input_ended;
    uint64_t tail_index; /* input items before the tail */
    int64_t frames_expected;
    uint64_t pts_digest_expected;

    struct item_ring input;  /* from item `released` on */
    uint64_t released, sent; /* item numbers within the segment */
    int64_t input_bytes;     /* of what `input` holds */
    bool let_go;             /* input is not kept once it is sent */

    bool assigned, begin_sent, tail_sent, end_sent;
    int node, slot;
    bool shunned; /* it came back wrong from there: rather to another slot */
    int attempts;
    uint16_t permille[RENDITIONS_MAX]; /* of the target bit rates */
    struct rate_mark mark;
    int redone;    /* times that it broke the leaky bucket */
    bool accepted; /* its result has been held against the bucket */

    struct item_ring results; /* packets in the order in which they came */
    int64_t result_bytes;
    int64_t packets_received[RENDITIONS_MAX], bytes_received[RENDITIONS_MAX];
    bool committed; /* results have gone out */
    bool reported;  /* `result` is here, perhaps before all input was sent */
    bool done;      /* and the input was, and its counts are right */
    struct segment_done result;
    bool rechecked;                   /* sent again because of its frames */
    struct segment_done first_result; /* what came back then */
    int64_t frames_wrong;             /* see job_output */
};

struct segment *segment_new(uint32_t id, int64_t start_pts, uint64_t first_ordinal);
void segment_free(struct segment *segment);

/* Appends to the input (moved on success). */
int segment_add_input(struct segment *segment, struct item *item);

/* Items that wait to be sent. */
static inline uint64_t segment_unsent(const struct segment *segment)
{
    return segment->released + segment->input.count - segment->sent;
}

/* The item to send next, as references of the caller's. There must be one. */
struct item segment_peek(struct segment *segment);

/* The item that was peeked at has been sent. */
void segment_advance(struct segment *segment);

/* Puts the segment back to where it was before it was assigned. False when that is no longer
 * possible (results have gone out, or input was let go). */
bool segment_rewind(struct segment *segment);

#endif
