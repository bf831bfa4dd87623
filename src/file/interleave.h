/* Merges the packets of all tracks by dts.
 *
 * A packet comes out when no other track can still bring an earlier one: each track has packets
 * waiting, has said how far it has come, or is over. A track that was declared `patient` (an encode
 * that is certain to come) is always waited for; for all others waiting ends where the newest
 * packet is INTERLEAVE_LAG_US ahead or INTERLEAVE_BYTES_MAX wait.
 *
 * Threads: none; pure but for memory. Memory: packets that wait. Limits: INTERLEAVE_PACKETS_MAX
 * packets a track. */
#ifndef FILE_INTERLEAVE_H
#define FILE_INTERLEAVE_H

#include <stdbool.h>
#include <stdint.h>

#define INTERLEAVE_LAG_US (10 * INT64_C(1000000))
#define INTERLEAVE_BYTES_MAX (64 * INT64_C(1048576))
#define INTERLEAVE_PACKETS_MAX (1 << 20)

struct AVPacket;
struct interleave;

/* MEMORY, or 0. Each track's packets carry their time_base; tracks start as not patient. */
int interleave_new(struct interleave **ret, int tracks_count);
void interleave_patient(struct interleave *il, int track);

/* Takes a packet with dts and time_base set, dts not falling within the track (moved, also on
 * error). MEMORY, LIMIT. */
int interleave_push(struct interleave *il, int track, struct AVPacket *pkt);

/* No packet of the track with a dts before `dts_us` will come. */
void interleave_progress(struct interleave *il, int track, int64_t dts_us);
void interleave_end(struct interleave *il, int track);

/* Next packet of all (moved to the caller). AGAIN: some track must come further first. END. */
int interleave_pop(struct interleave *il, int *ret_track, struct AVPacket **ret);

/* The packet that comes first in a track's queue, or NULL; borrowed. */
const struct AVPacket *interleave_peek(const struct interleave *il, int track);

/* Whether a packet waits, the track is over, or has said how far it has come. */
bool interleave_known(const struct interleave *il, int track);

/* Time that packets wait beyond the limits for a track that is not patient. */
bool interleave_overdue(const struct interleave *il);

/* Payload that waits. */
int64_t interleave_bytes(const struct interleave *il);

void interleave_free(struct interleave **il);

#endif
