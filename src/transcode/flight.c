#include "transcode/flight.h"

#include <assert.h>
#include <stdlib.h>

#include "base/error.h"

int flight_init(struct flight *f)
{
    *f = (struct flight){.ring = calloc(FLIGHT_MAX, sizeof(*f->ring))};
    return f->ring ? 0 : RGPU_ERROR_MEMORY;
}

void flight_done(struct flight *f)
{
    free(f->ring);
    *f = (struct flight){0};
}

static struct flight_entry *at(const struct flight *f, size_t i)
{
    return &f->ring[(f->head + i) % FLIGHT_MAX];
}

int flight_add(struct flight *f, struct flight_entry entry)
{
    if (f->count == FLIGHT_MAX)
        return RGPU_ERROR_LIMIT;
    assert(!f->count || at(f, f->count - 1)->clock < entry.clock);
    entry.landed = false;
    *at(f, f->count++) = entry;
    return 0;
}

int flight_land(struct flight *f, int64_t clock, struct flight_entry *ret)
{
    size_t low = 0, high = f->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (at(f, middle)->clock < clock)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == f->count || at(f, low)->clock != clock || at(f, low)->landed)
        return RGPU_ERROR_NOT_FOUND;
    at(f, low)->landed = true;
    *ret = *at(f, low);
    while (f->count && f->ring[f->head].landed) {
        f->head = (f->head + 1) % FLIGHT_MAX;
        f->count--;
    }
    return 0;
}

bool flight_empty(const struct flight *f)
{
    return f->count == 0;
}
