/* Looks through a file once and says what it is: tracks, random-access points, and what is special.
 * Threads: one. Memory: PROBE_POINTS_MAX points are kept, all are counted. */
#ifndef FILE_PROBE_H
#define FILE_PROBE_H

#include "file/reader.h"

#define PROBE_POINTS_MAX 100000

struct probe_point {
    int64_t pts_us;
    enum access_point access;
    uint64_t ordinal;
    int leading; /* leading pictures that follow it */
};

struct probe {
    int64_t frames; /* to be shown, of the selected video track */
    int64_t duration_us;
    struct rational frame_rate_average;
    bool open_gop, variable_rate, interlaced, hdr10, hdr10_plus, dolby_vision, rotated;
    bool starts_without_key, has_edit_list, timestamps_by_order;
    int64_t gop_us_max; /* longest distance between points */
    int64_t points_count;
    struct probe_point *points; /* owned */
    int64_t damaged;
};

/* Reads `r` to its end. `progress` may be NULL; returning false cancels. */
int probe_run(struct reader *r, struct probe *ret, bool (*progress)(void *opaque, int64_t pts_us),
              void *opaque, struct error *err);
void probe_done(struct probe *p);

#endif
