#include "file/part.h"

#include <libavcodec/packet.h>
#include <stdlib.h>

#include "base/error.h"

void part_init(struct part *p, int64_t begin, int64_t end)
{
    *p = (struct part){
        .begin = begin, .end = end, .key_pts = INT64_MIN, .begun = begin == INT64_MIN};
}

/* ---- the ring ------------------------------------------------------------------------------- */

static int hold(struct part *p, AVPacket *pkt)
{
    if (p->count == p->capacity) {
        const size_t capacity = p->capacity ? 2 * p->capacity : 64;
        AVPacket **held = calloc(capacity, sizeof(AVPacket *));
        if (!held) {
            av_packet_free(&pkt);
            return RGPU_ERROR_MEMORY;
        }
        for (size_t i = 0; i < p->count; i++)
            held[i] = p->held[(p->head + i) % p->capacity];
        free(p->held);
        p->held = held;
        p->capacity = capacity;
        p->head = 0;
    }
    p->bytes += (size_t)pkt->size;
    p->held[(p->head + p->count++) % p->capacity] = pkt;
    return 0;
}

/* Drops what is held but not ready. */
static void drop(struct part *p)
{
    while (p->count > p->ready) {
        AVPacket **last = &p->held[(p->head + --p->count) % p->capacity];
        p->bytes -= (size_t)(*last)->size;
        av_packet_free(last);
    }
}

struct AVPacket *part_pop(struct part *p)
{
    if (p->ready == 0)
        return NULL;
    AVPacket *pkt = p->held[p->head];
    p->head = (p->head + 1) % p->capacity;
    p->count--;
    p->ready--;
    p->bytes -= (size_t)pkt->size;
    return pkt;
}

/* --------------------------------------------------------------------------------------------- */

int part_push(struct part *p, struct AVPacket *pkt)
{
    const bool key = pkt->flags & AV_PKT_FLAG_KEY, own = !pkt->opaque;
    if (own) {
        p->is_leading = pkt->pts < p->key_pts && pkt->pts < p->begin;
        p->is_past = pkt->pts >= p->end;
        p->is_hidden = pkt->pts < p->begin || p->is_past;
    }
    if (p->ended || p->is_leading) {
        av_packet_free(&pkt);
        return 0;
    }
    if (!p->begun && key && pkt->pts <= p->begin) {
        drop(p);
        p->key_pts = pkt->pts;
    }
    if (p->is_hidden)
        pkt->flags |= AV_PKT_FLAG_DISCARD;
    const bool shown = own && !p->is_hidden;
    const int rc = hold(p, pkt);
    if (rc < 0)
        return rc;
    p->begun |= shown || p->count > PART_PACKETS_MAX || p->bytes > PART_BYTES_MAX;
    p->past = p->is_past ? p->past + 1 : 0;
    if (p->begun && !p->is_past)
        p->ready = p->count;
    if (p->past >= PART_REORDER_MAX)
        part_finish(p);
    return 0;
}

void part_finish(struct part *p)
{
    drop(p);
    p->ended = true;
}

void part_done(struct part *p)
{
    p->ready = 0;
    drop(p);
    free(p->held);
    p->held = NULL;
    p->capacity = 0;
}
