/* Whether a finished segment keeps the renditions' peak bit rates where it joins the segments
 * before it.
 *
 * Each encoder keeps its own leaky bucket, but lanes that work side by side know nothing of each
 * other: the joined film may still break it. Notes on segments, point 7. Threads: pure. Memory: a
 * scratch list of one segment's time stamps. */
#ifndef DISPATCH_RATE_H
#define DISPATCH_RATE_H

#include "dispatch/segment.h"
#include "media/bucket.h"

/* Runs the segment's results through a copy of `before`; ret_after is what they leave. True when
 * all renditions fit (or there was no memory to tell). Else segment->permille is lowered for those
 * that do not, for another try. */
bool rate_check(const struct bucket before[RENDITIONS_MAX], struct bucket ret_after[RENDITIONS_MAX],
                const struct job_params *params, struct segment *segment);

#endif
