/* Makes one line of time out of MPEG streams whose clock starts anew, as recordings that were
 * joined byte by byte: where a track's time jumps back, it goes on from where it was.
 *
 * Each track finds the jump by itself, since tracks come interleaved; the first to find it decides
 * how far time moves, and the others follow, so that they stay in step.
 *
 * Threads: one. Limits: TIMELINE_JUMPS_MAX jumps, then time stays as it comes. */
#ifndef FILE_READER_TIMELINE_H
#define FILE_READER_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "media/rational.h"

#define TIMELINE_JUMPS_MAX 1024
#define TIMELINE_JUMP_US 1000000 /* back by so much: the clock started anew */

struct timeline_track {
    int jumps;       /* jumps that this track has made */
    int64_t last_us; /* dts of its last packet, moved; PTS_NONE: none yet */
    int64_t duration_us;
};

struct timeline {
    bool active; /* else times are left alone */
    int tracks_count;
    struct timeline_track *tracks; /* owned */
    int jumps_count;
    int64_t shift_us[TIMELINE_JUMPS_MAX + 1]; /* added after so many jumps */
};

/* MEMORY. */
int timeline_init(struct timeline *ret, bool active, int tracks_count);
void timeline_done(struct timeline *t);

/* After a seek. */
void timeline_reset(struct timeline *t);

/* Ticks to add to the time stamps of this packet. `dts` PTS_NONE: the last shift. */
int64_t timeline_shift(struct timeline *t, int track, struct rational time_base, int64_t dts,
                       int64_t duration);

#endif
