#include "file/interleave.h"

#include <libavcodec/packet.h>
#include <libavutil/mathematics.h>
#include <stdlib.h>

#include "base/error.h"

struct waiting {
    AVPacket **ring; /* owned, as the packets in it */
    int capacity, head, count;
    int64_t progress_us; /* INT64_MIN: nothing said */
    bool patient, ended;
};

struct interleave {
    int count;
    int64_t bytes; /* payload that waits */
    struct waiting lanes[];
};

static const AVRational microseconds = {1, 1000000};

int interleave_new(struct interleave **ret, int tracks_count)
{
    struct interleave *il = calloc(1, sizeof(*il) + (size_t)tracks_count * sizeof(il->lanes[0]));
    if (!il)
        return RGPU_ERROR_MEMORY;
    il->count = tracks_count;
    for (int i = 0; i < tracks_count; i++)
        il->lanes[i].progress_us = INT64_MIN;
    *ret = il;
    return 0;
}

void interleave_patient(struct interleave *il, int track)
{
    il->lanes[track].patient = true;
}

static int lane_grow(struct waiting *l)
{
    const int capacity = l->capacity ? 2 * l->capacity : 16;
    if (capacity > INTERLEAVE_PACKETS_MAX)
        return RGPU_ERROR_LIMIT;
    AVPacket **ring = malloc((size_t)capacity * sizeof(AVPacket *));
    if (!ring)
        return RGPU_ERROR_MEMORY;
    for (int i = 0; i < l->count; i++)
        ring[i] = l->ring[(l->head + i) % l->capacity];
    free(l->ring);
    l->ring = ring;
    l->capacity = capacity;
    l->head = 0;
    return 0;
}

int interleave_push(struct interleave *il, int track, AVPacket *pkt)
{
    struct waiting *l = &il->lanes[track];
    const int rc = l->count == l->capacity ? lane_grow(l) : 0;
    if (rc < 0) {
        av_packet_free(&pkt);
        return rc;
    }
    l->ring[(l->head + l->count++) % l->capacity] = pkt;
    il->bytes += pkt->size;
    return 0;
}

void interleave_progress(struct interleave *il, int track, int64_t dts_us)
{
    struct waiting *l = &il->lanes[track];
    if (dts_us > l->progress_us)
        l->progress_us = dts_us;
}

void interleave_end(struct interleave *il, int track)
{
    il->lanes[track].ended = true;
}

const AVPacket *interleave_peek(const struct interleave *il, int track)
{
    const struct waiting *l = &il->lanes[track];
    return l->count ? l->ring[l->head] : NULL;
}

static const AVPacket *lane_newest(const struct waiting *l)
{
    return l->count ? l->ring[(l->head + l->count - 1) % l->capacity] : NULL;
}

bool interleave_known(const struct interleave *il, int track)
{
    const struct waiting *l = &il->lanes[track];
    return l->count > 0 || l->ended || l->progress_us != INT64_MIN;
}

/* Track whose first packet is the earliest of all; -1: nothing waits. */
static int earliest(const struct interleave *il)
{
    int best = -1;
    for (int i = 0; i < il->count; i++) {
        const AVPacket *pkt = interleave_peek(il, i);
        if (!pkt)
            continue;
        const AVPacket *other = best < 0 ? NULL : interleave_peek(il, best);
        if (!other || av_compare_ts(pkt->dts, pkt->time_base, other->dts, other->time_base) < 0)
            best = i;
    }
    return best;
}

bool interleave_overdue(const struct interleave *il)
{
    if (il->bytes > INTERLEAVE_BYTES_MAX)
        return true;
    const int first = earliest(il);
    if (first < 0)
        return false;
    const AVPacket *pkt = interleave_peek(il, first);
    const int64_t from = av_rescale_q(pkt->dts, pkt->time_base, microseconds);
    for (int i = 0; i < il->count; i++) {
        const AVPacket *newest = lane_newest(&il->lanes[i]);
        if (newest &&
            av_rescale_q(newest->dts, newest->time_base, microseconds) - from > INTERLEAVE_LAG_US)
            return true;
    }
    return false;
}

int interleave_pop(struct interleave *il, int *ret_track, AVPacket **ret)
{
    const int best = earliest(il);
    if (best < 0) {
        for (int i = 0; i < il->count; i++)
            if (!il->lanes[i].ended)
                return RGPU_ERROR_AGAIN;
        return RGPU_ERROR_END;
    }
    struct waiting *l = &il->lanes[best];
    const AVPacket *pkt = l->ring[l->head];
    int overdue = -1; /* not looked at yet */
    for (int i = 0; i < il->count; i++) {
        const struct waiting *other = &il->lanes[i];
        if (other->count || other->ended)
            continue;
        if (other->progress_us != INT64_MIN &&
            av_compare_ts(pkt->dts, pkt->time_base, other->progress_us, microseconds) <= 0)
            continue;
        if (!other->patient && overdue < 0)
            overdue = interleave_overdue(il);
        if (other->patient || !overdue)
            return RGPU_ERROR_AGAIN;
    }
    *ret = l->ring[l->head];
    *ret_track = best;
    l->head = (l->head + 1) % l->capacity;
    l->count--;
    il->bytes -= (*ret)->size;
    return 0;
}

int64_t interleave_bytes(const struct interleave *il)
{
    return il->bytes;
}

void interleave_free(struct interleave **il)
{
    struct interleave *x = *il;
    *il = NULL;
    if (!x)
        return;
    for (int i = 0; i < x->count; i++) {
        struct waiting *l = &x->lanes[i];
        for (int k = 0; k < l->count; k++)
            av_packet_free(&l->ring[(l->head + k) % l->capacity]);
        free(l->ring);
    }
    free(x);
}
