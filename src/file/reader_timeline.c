#include "file/reader_timeline.h"

#include <stdlib.h>

#include "base/error.h"

#define SANE_US (INT64_MAX / 8) /* times beyond are no times, and would overflow below */

static const struct rational MICROSECONDS = {1, 1000000};

int timeline_init(struct timeline *ret, bool active, int tracks_count)
{
    *ret = (struct timeline){.active = active, .tracks_count = tracks_count};
    ret->tracks = calloc(tracks_count ? (size_t)tracks_count : 1, sizeof(*ret->tracks));
    if (!ret->tracks)
        return RGPU_ERROR_MEMORY;
    timeline_reset(ret);
    return 0;
}

void timeline_done(struct timeline *t)
{
    free(t->tracks);
    t->tracks = NULL;
    t->tracks_count = 0;
}

void timeline_reset(struct timeline *t)
{
    t->jumps_count = 0;
    t->shift_us[0] = 0;
    for (int i = 0; i < t->tracks_count; i++)
        t->tracks[i] = (struct timeline_track){.last_us = PTS_NONE};
}

int64_t timeline_shift(struct timeline *t, int track, struct rational time_base, int64_t dts,
                       int64_t duration)
{
    if (!t->active)
        return 0;
    struct timeline_track *k = &t->tracks[track];
    const int64_t us = rational_rescale(dts, time_base, MICROSECONDS, ROUND_NEAREST);
    if (dts != PTS_NONE && us > -SANE_US && us < SANE_US) {
        int64_t moved = us + t->shift_us[k->jumps];
        if (k->last_us != PTS_NONE && moved < k->last_us - TIMELINE_JUMP_US &&
            k->jumps < TIMELINE_JUMPS_MAX) {
            if (k->jumps == t->jumps_count)
                t->shift_us[++t->jumps_count] = k->last_us + k->duration_us - us;
            k->jumps++;
            moved = us + t->shift_us[k->jumps];
        }
        k->last_us = moved;
        if (duration > 0 && duration < INT32_MAX)
            k->duration_us = rational_rescale(duration, time_base, MICROSECONDS, ROUND_NEAREST);
    }
    return rational_rescale(t->shift_us[k->jumps], MICROSECONDS, time_base, ROUND_NEAREST);
}
