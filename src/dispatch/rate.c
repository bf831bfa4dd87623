#include "dispatch/rate.h"

#include <stdlib.h>
#include <string.h>

/* Encoders miss their own bucket by a little, too. */
#define TOLERANCE 0.05
#define PERMILLE_MIN 250

static int compare_times(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Encoders whose library takes no peak rate beside a target are not held to one. */
static bool is_limited(const struct rendition_params *r)
{
    return r->rate != RATE_QUALITY && strcmp(r->codec, "av1") != 0;
}

/* Pictures are taken in decode order at the n-th smallest time: the constant delay cancels out. */
static double take_rendition(struct bucket *bucket, uint32_t rendition, struct rational time_base,
                             struct segment *s, int64_t *times)
{
    size_t count = 0, n = 0;
    double missing = 0;
    for (size_t i = 0; i < s->results.count; i++) {
        const struct packet *pkt = &item_ring_at(&s->results, i)->packet;
        if (pkt->rendition == rendition)
            times[count++] = pkt->pts;
    }
    qsort(times, count, sizeof(*times), compare_times);
    for (size_t i = 0; i < s->results.count; i++) {
        const struct packet *pkt = &item_ring_at(&s->results, i)->packet;
        if (pkt->rendition != rendition)
            continue;
        const double seconds = (double)times[n++] * rational_double(time_base);
        missing += bucket_take(bucket, seconds, (int64_t)pkt->size * 8);
    }
    return missing;
}

static int64_t rendition_bits(struct segment *s, uint32_t rendition)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < s->results.count; i++) {
        const struct packet *pkt = &item_ring_at(&s->results, i)->packet;
        bytes += pkt->rendition == rendition ? (int64_t)pkt->size : 0;
    }
    return bytes * 8;
}

bool rate_check(const struct bucket before[RENDITIONS_MAX], struct bucket ret_after[RENDITIONS_MAX],
                const struct job_params *params, struct segment *segment)
{
    bool fits = true;
    memcpy(ret_after, before, RENDITIONS_MAX * sizeof(*ret_after));
    int64_t *times = calloc(segment->results.count + 1, sizeof(*times));
    if (!times)
        return true;
    for (int r = 0; r < params->renditions_count; r++) {
        if (!is_limited(&params->renditions[r]))
            continue;
        double missing =
            take_rendition(&ret_after[r], (uint32_t)r, params->source.time_base, segment, times);
        if (missing <= TOLERANCE * before[r].size_bits)
            continue;
        fits = false;
        /* As much less as was missing, and a little more, because bits do not follow the target at
         * once. */
        const double bits = (double)rendition_bits(segment, (uint32_t)r);
        const double factor = 0.95 * (1 - missing / (bits + missing));
        const int permille = (int)(segment->permille[r] * factor);
        segment->permille[r] = (uint16_t)(permille < PERMILLE_MIN ? PERMILLE_MIN : permille);
    }
    free(times);
    return fits;
}
