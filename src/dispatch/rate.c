#include "dispatch/rate.h"

#include <stdlib.h>
#include <string.h>

/* Encoders miss their own bucket by a little, too. */
#define TOLERANCE 0.05
#define PERMILLE_MIN 250
#define PEAK_STEPS 30

static int compare_times(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

bool rate_is_limited(const struct rendition_params *r)
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

/* Part of the target below which a retry does not go: encoders have a least bit rate. */
static int least_permille(const struct rendition_params *r)
{
    const int64_t least = (BIT_RATE_BPS_MIN * INT64_C(1000) + r->bit_rate_bps - 1) /
                          (r->bit_rate_bps > 0 ? r->bit_rate_bps : 1);
    return least < PERMILLE_MIN ? PERMILLE_MIN : least < 1000 ? (int)least : 1000;
}

/* As much less as was missing, and a little more, because bits do not follow the target at once.
 * False: it has the least already. */
static bool lower(const struct rendition_params *r, double bits, double missing, uint16_t *permille)
{
    const double factor = 0.95 * (1 - missing / (bits + missing));
    const int wanted = (int)(*permille * factor), least = least_permille(r);
    const int now = wanted > least ? wanted : least;
    if (now >= *permille)
        return false;
    *permille = (uint16_t)now;
    return true;
}

void rate_check(const struct bucket before[RENDITIONS_MAX], const struct job_params *params,
                struct segment *segment, struct rate_result *ret)
{
    *ret = (struct rate_result){.verdict = RATE_FITS};
    memcpy(ret->after, before, sizeof(ret->after));
    int64_t *times = calloc(segment->results.count + 1, sizeof(*times));
    if (!times)
        return;
    for (int r = 0; r < params->renditions_count; r++) {
        if (!rate_is_limited(&params->renditions[r]))
            continue;
        const double missing =
            take_rendition(&ret->after[r], (uint32_t)r, params->source.time_base, segment, times);
        if (missing <= TOLERANCE * before[r].size_bits)
            continue;
        ret->broken[r] = true;
        if (lower(&params->renditions[r], (double)rendition_bits(segment, (uint32_t)r), missing,
                  &segment->permille[r]))
            ret->verdict = RATE_LOWERED;
    }
    free(times);
}

int64_t rate_peak_bps(const struct bucket *before, const struct job_params *params, int rendition,
                      struct segment *segment)
{
    int64_t *times = calloc(segment->results.count + 1, sizeof(*times));
    if (!times)
        return 0;
    /* Times the limit: at `high` no picture takes more than what the bucket begins with. */
    const double bits = (double)rendition_bits(segment, (uint32_t)rendition);
    double low = 1, high = 2 + bits / (before->level_bits > 1 ? before->level_bits : 1);
    for (int i = 0; i < PEAK_STEPS; i++) {
        const double factor = (low + high) / 2;
        struct bucket b = *before;
        b.rate_bps *= factor;
        b.size_bits *= factor;
        b.level_bits *= factor;
        const double missing =
            take_rendition(&b, (uint32_t)rendition, params->source.time_base, segment, times);
        *(missing > TOLERANCE * b.size_bits ? &low : &high) = factor;
    }
    free(times);
    return (int64_t)(high * before->rate_bps);
}

int64_t rate_pass(struct bucket *bucket, struct rate_passing *passing, double seconds, size_t size)
{
    const double refill = bucket->rate_bps * (seconds - bucket->last_seconds);
    if (!bucket->started || bucket->level_bits + refill >= bucket->size_bits)
        *passing = (struct rate_passing){.full_seconds = seconds};
    passing->missing_bits += bucket_take(bucket, seconds, (int64_t)size * 8);
    if (passing->missing_bits <= TOLERANCE * bucket->size_bits)
        return 0;
    const double busy = seconds > passing->full_seconds ? seconds - passing->full_seconds : 0;
    const double most = bucket->size_bits + bucket->rate_bps * busy;
    return (int64_t)(bucket->rate_bps * (1 + passing->missing_bits / most));
}
