/* Makes one line of time out of MPEG streams whose clock starts anew, as recordings that were
 * joined byte by byte: where time jumps back, it goes on from where it was.
 *
 * Each track finds the jump by itself, since tracks come interleaved; the first to find it decides
 * how far time moves, and the others follow, so that they stay in step. The selected video track
 * leads by a jump of a few frames already, others (sound's time may stumble) by a second.
 *
 * Threads: one. Limits: TIMELINE_JUMPS_MAX jumps, then time stays as it comes. */
#ifndef FILE_READER_TIMELINE_H
#define FILE_READER_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "media/rational.h"

#define TIMELINE_JUMPS_MAX 1024
#define TIMELINE_JUMP_US 1000000 /* back by so much: the clock started anew */
#define TIMELINE_JUMP_FRAMES 2   /* back by more of the leader's frames: the same */

struct timeline_track {
    int jumps;                  /* jumps that this track has made */
    int64_t last_us, before_us; /* dts of its last two packets, moved; PTS_NONE: none yet */
    int64_t end_us;             /* of what is shown latest, moved; PTS_NONE: none yet */
    int64_t duration_us;
};

struct timeline {
    bool active; /* else times are left alone */
    int tracks_count;
    int leader;                    /* the selected video track; -1: none */
    struct timeline_track *tracks; /* owned */
    int jumps_count;
    int64_t shift_us[TIMELINE_JUMPS_MAX + 1]; /* added after so many jumps */
    int64_t at_us[TIMELINE_JUMPS_MAX + 1];    /* moved time of that jump */
};

/* One packet, its times in the track's time base. */
struct timeline_packet {
    int track;
    struct rational time_base;
    int64_t dts, pts; /* PTS_NONE: unknown */
    int64_t duration;
};

/* MEMORY. */
int timeline_init(struct timeline *ret, bool active, int tracks_count);
void timeline_done(struct timeline *t);

/* After a seek. */
void timeline_reset(struct timeline *t);

/* Whether the packet's time goes back, and the leader has not been asked yet whether that is a
 * jump: look at its next packet before. */
bool timeline_doubts(const struct timeline *t, const struct timeline_packet *pkt);

/* Ticks to add to the time stamps of this packet. Without a dts: the last shift. */
int64_t timeline_shift(struct timeline *t, const struct timeline_packet *pkt);

/* The same for a track whose packets are few and tell no jump: as far as the leader is. */
int64_t timeline_shift_sparse(const struct timeline *t, const struct timeline_packet *pkt);

#endif
