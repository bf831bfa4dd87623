#include "media/bucket.h"

#define START_LEVEL 0.9

int64_t rendition_rate_max_bps(const struct rendition_params *r)
{
    if (r->rate == RATE_QUALITY)
        return 0;
    if (r->bit_rate_max_bps > 0)
        return r->bit_rate_max_bps;
    return r->rate == RATE_CBR ? r->bit_rate_bps : r->bit_rate_bps + r->bit_rate_bps / 2;
}

int64_t rendition_vbv_bits(const struct rendition_params *r)
{
    return r->vbv_bits > 0 ? r->vbv_bits : 2 * rendition_rate_max_bps(r);
}

struct bucket bucket_for(const struct rendition_params *r)
{
    struct bucket b = {.rate_bps = (double)rendition_rate_max_bps(r)};
    if (r->rate != RATE_QUALITY)
        b.size_bits = (double)rendition_vbv_bits(r);
    b.level_bits = START_LEVEL * b.size_bits;
    return b;
}

double bucket_take(struct bucket *b, double seconds, int64_t bits)
{
    if (b->started && seconds > b->last_seconds)
        b->level_bits += b->rate_bps * (seconds - b->last_seconds);
    if (b->level_bits > b->size_bits)
        b->level_bits = b->size_bits;
    b->started = true;
    b->last_seconds = seconds;
    b->level_bits -= (double)bits;
    if (b->level_bits >= 0)
        return 0;
    double missing = -b->level_bits;
    b->level_bits = 0;
    return missing;
}
