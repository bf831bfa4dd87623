/* What is inside an encoder: from the clock value of each frame given to what its packet must say.
 *
 * Threads: one. Memory: the table is allocated at init. Limits: FLIGHT_MAX frames between the
 * oldest one inside and the newest. */
#ifndef TRANSCODE_FLIGHT_H
#define TRANSCODE_FLIGHT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLIGHT_MAX 1024

struct flight_entry {
    int64_t clock;         /* the frame's pts for the encoder */
    int64_t pts, duration; /* source time */
    void *owner;           /* borrowed; the caller's */
    bool key;              /* must come out as a key frame */
    bool landed;
};

struct flight {
    struct flight_entry *ring; /* FLIGHT_MAX, clocks growing */
    size_t head, count;
};

/* 0, or RGPU_ERROR_MEMORY. */
int flight_init(struct flight *f);
void flight_done(struct flight *f);

/* Notes a frame; its clock must be above all others'. 0, or RGPU_ERROR_LIMIT when full. */
int flight_add(struct flight *f, struct flight_entry entry);

/* Takes the frame with this clock out. 0, or RGPU_ERROR_NOT_FOUND. */
int flight_land(struct flight *f, int64_t clock, struct flight_entry *ret);

/* Whether all frames have landed. */
bool flight_empty(const struct flight *f);

#endif
