/* Subtitles on their way into segments: a cue is in every segment whose time it overlaps, with its
 * whole time (RFC 8216, 3.5).
 *
 * Threads: pure but for memory. Memory: the cues that no segment behind them is written for yet.
 * Limits: CUES_MAX cues, CUES_BYTES_MAX bytes of them. */
#ifndef MEDIA_CUES_H
#define MEDIA_CUES_H

#include <stdint.h>

#include "base/text.h"

#define CUES_MAX 65536
#define CUES_BYTES_MAX (16 << 20)

struct cues;

int cues_new(struct cues **ret); /* MEMORY, or 0 */

/* Takes a cue (copied; see webvtt_add_cue), in any order; one that lasts no time lasts a
 * millisecond, one that waits already is not taken again. INPUT: it was over before the end of the
 * last segment. LIMIT, MEMORY. */
int cues_push(struct cues *c, int64_t begin_ms, int64_t end_ms, const char *settings,
              const char *payload);

/* When the last of the cues that wait begins, in nanoseconds; INT64_MIN: none does. */
int64_t cues_last_ns(const struct cues *c);

/* Appends the segment that lasts from the end of the last one (at first: from ever) to `end_ns`,
 * and forgets the cues that no later one needs. MEMORY, LIMIT: of `out`. */
int cues_segment(struct cues *c, int64_t end_ns, struct text *out);

void cues_free(struct cues **c);

#endif
