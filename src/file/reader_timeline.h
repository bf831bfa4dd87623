/* Makes one line of time out of MPEG and FLV streams, whose clock counts so many bits and may start
 * anew, as in recordings that were joined byte by byte.
 *
 * Where the clock has counted to its end and begins at zero, time goes on; so it does where time
 * jumps back. libavformat takes a stamp far before the first one for one behind the clock's end, so
 * its stamps are read as what they are modulo the clock's turn.
 *
 * Each track finds a jump by itself, since tracks come interleaved; the first to find it decides
 * how far time moves, and the others follow, so that they stay in step. The selected video track
 * may lead by a jump of a few frames already, others (sound's time may stumble) by a second. Where
 * recordings overlap by less, the time of decoding may go on as if nothing were: there, a key frame
 * is shown no later than one before it, which none is in one recording.
 *
 * Where time leaps ahead, it is left as it comes, and told. Only what is shown between frames from
 * before a jump or leap goes by their clock, or it would come out of order.
 *
 * Threads: one. Limits: TIMELINE_JUMPS_MAX jumps, then time stays as it comes. */
#ifndef FILE_READER_TIMELINE_H
#define FILE_READER_TIMELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "media/rational.h"

#define TIMELINE_JUMPS_MAX 1024
#define TIMELINE_JUMP_US 1000000  /* back by so much: the clock started anew */
#define TIMELINE_JUMP_FRAMES 2    /* back by more of the leader's frames: the same */
#define TIMELINE_LEAP_US 10000000 /* ahead of all tracks by so much: told */
#define TIMELINE_SHOWN_MAX 34     /* see CUTTER_REORDER_MAX */

struct timeline_track {
    int jumps;                  /* jumps that this track has made */
    bool alone;                 /* its last packet made the latest one */
    int64_t clock_us;           /* dts of its last packet by the clock, not moved; or PTS_NONE */
    int64_t last_us, before_us; /* dts of its last two packets, moved; PTS_NONE: none yet */
    int64_t end_us;             /* of what is shown latest, moved; PTS_NONE: none yet */
    int64_t latest_us;          /* when the latest is shown; without times too far from decoding */
    int64_t duration_us;
    int64_t step_us;                      /* between its last two packets; 0: unknown */
    int64_t shown_us[TIMELINE_SHOWN_MAX]; /* ring of when the last ones are shown, moved */
    int shown_next;
};

/* Times that no track has anything of. */
struct timeline_leaps {
    int count;
    int64_t first_us, first_length_us; /* the first one: where the hole begins, and its length */
};

struct timeline {
    bool active; /* else times are left alone */
    bool finely; /* the leader finds jumps of a few frames */
    int tracks_count;
    int leader;                    /* the selected video track; -1: none */
    struct timeline_track *tracks; /* owned */
    int jumps_count;
    int64_t shift_us[TIMELINE_JUMPS_MAX + 1]; /* added after so many jumps */
    int64_t at_us[TIMELINE_JUMPS_MAX + 1];    /* moved time of that jump */
    int64_t jump_clock_us;                    /* clock of the packet that jumped last */
    int64_t clock_us;                         /* clock of the last packet of all */
    int64_t end_us;                           /* of the latest packet, moved; or PTS_NONE */
    struct timeline_leaps leaps;
    int64_t leap_us, leap_end_us; /* the last one, while it may prove to be none; or PTS_NONE */
};

/* One packet, its times in the track's time base. */
struct timeline_packet {
    int track;
    struct rational time_base;
    int clock_bits;   /* of the container's clock in this time base; 0: it has no end */
    int64_t dts, pts; /* PTS_NONE: unknown */
    int64_t duration;
    bool is_key;
};

/* MEMORY. */
int timeline_init(struct timeline *ret, bool active, int tracks_count);
void timeline_done(struct timeline *t);

/* After a seek. */
void timeline_reset(struct timeline *t);

/* Whether the packet's time goes back, and the leader has not been asked yet whether that is a
 * jump: look at its next packet before. */
bool timeline_doubts(const struct timeline *t, const struct timeline_packet *pkt);

/* Moves the packet's time stamps. Without a dts: as far as the packet before. */
void timeline_move(struct timeline *t, struct timeline_packet *pkt);

/* The same for a track whose packets are few and tell no jump: as far as the leader is. */
void timeline_move_sparse(const struct timeline *t, struct timeline_packet *pkt);

#endif
