#include "dispatch/segment.h"

#include <stdlib.h>

#define RING_FIRST 64

static int grow(struct item_ring *ring)
{
    size_t capacity = ring->capacity ? 2 * ring->capacity : RING_FIRST;
    struct item *items = calloc(capacity, sizeof(*items));
    if (!items)
        return RGPU_ERROR_MEMORY;
    for (size_t i = 0; i < ring->count; i++)
        items[i] = *item_ring_at(ring, i);
    free(ring->items);
    ring->items = items;
    ring->head = 0;
    ring->capacity = capacity;
    return 0;
}

int item_ring_push(struct item_ring *ring, struct item *item)
{
    if (ring->count == ring->capacity && grow(ring) != 0)
        return RGPU_ERROR_MEMORY;
    ring->count++;
    *item_ring_at(ring, ring->count - 1) = *item;
    *item = (struct item){0};
    return 0;
}

struct item *item_ring_at(struct item_ring *ring, size_t i)
{
    return &ring->items[(ring->head + i) % ring->capacity];
}

struct item item_ring_pop(struct item_ring *ring)
{
    struct item *first = item_ring_at(ring, 0);
    struct item item = *first;
    *first = (struct item){0};
    ring->head = (ring->head + 1) % ring->capacity;
    ring->count--;
    return item;
}

void item_ring_clear(struct item_ring *ring)
{
    while (ring->count) {
        struct item item = item_ring_pop(ring);
        packet_done(&item.packet);
        frame_unref(&item.frame);
    }
}

void item_ring_done(struct item_ring *ring)
{
    item_ring_clear(ring);
    free(ring->items);
    *ring = (struct item_ring){0};
}

struct segment *segment_new(uint32_t id, int64_t start_pts, uint64_t first_ordinal)
{
    struct segment *segment = calloc(1, sizeof(*segment));
    if (!segment)
        return NULL;
    segment->id = id;
    segment->start_pts = start_pts;
    segment->first_ordinal = first_ordinal;
    for (int i = 0; i < RENDITIONS_MAX; i++)
        segment->permille[i] = 1000;
    return segment;
}

void segment_free(struct segment *segment)
{
    if (!segment)
        return;
    item_ring_done(&segment->input);
    item_ring_done(&segment->results);
    free(segment);
}

/* Memory that an item keeps, about. */
static int64_t item_bytes(const struct item *item)
{
    const struct frame *frame = item->frame;
    int64_t bytes = (int64_t)item->packet.size;
    for (int p = 0; frame && p < pixel_info(frame->format)->planes; p++)
        bytes += (int64_t)frame->stride[p] * pixel_plane_height(frame->format, p, frame->height);
    return bytes;
}

int segment_add_input(struct segment *segment, struct item *item)
{
    const int64_t bytes = item_bytes(item);
    int ret = item_ring_push(&segment->input, item);
    if (ret == 0)
        segment->input_bytes += bytes;
    return ret;
}

static void release_first(struct segment *segment)
{
    struct item item = item_ring_pop(&segment->input);
    segment->released++;
    segment->input_bytes -= item_bytes(&item);
    packet_done(&item.packet);
    frame_unref(&item.frame);
}

struct item segment_peek(struct segment *segment)
{
    struct item *kept = item_ring_at(&segment->input, (size_t)(segment->sent - segment->released));
    struct item item = {.packet = packet_share(&kept->packet)};
    if (kept->frame)
        item.frame = frame_ref(kept->frame);
    return item;
}

void segment_advance(struct segment *segment)
{
    segment->sent++;
    if (segment->input_bytes > SEGMENT_RETAIN_BYTES || segment->input.count > SEGMENT_RETAIN_ITEMS)
        segment->let_go = true;
    while (segment->let_go && segment->released < segment->sent)
        release_first(segment);
}

bool segment_rewind(struct segment *segment)
{
    if (segment->released || segment->committed)
        return false;
    item_ring_clear(&segment->results);
    segment->result_bytes = 0;
    for (int i = 0; i < RENDITIONS_MAX; i++)
        segment->packets_received[i] = segment->bytes_received[i] = 0;
    segment->sent = 0;
    segment->assigned = segment->begin_sent = segment->tail_sent = segment->end_sent = false;
    segment->reported = segment->done = false;
    return true;
}
