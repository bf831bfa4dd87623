/* Pictures of one colour description into another: matrix, range, primaries and transfer. For
 * sources that change in mid-film, in front of the scaler; the size stays.
 *
 * One graph of zimg does all of it for a whole picture, or for each field of an interlaced one.
 * Threads: one handle is used by one thread at a time. Memory: one padded copy of the source's
 * planes, a pool of frames. Limits: one thread does the work. */
#ifndef CODEC_CPU_RECOLOR_H
#define CODEC_CPU_RECOLOR_H

#include "codec/codec.h"

struct recolor;

/* Whether the colours of these parameters need it. */
bool recolor_needed(const struct scaler_params *params);

/* Opens it and changes `params` to what its frames are: planar YUV in the target's colours. */
int recolor_open(struct recolor **ret, struct scaler_params *params, struct error *err);

/* A new frame with the source's properties and the target's colours, owned by the caller. */
int recolor_run(struct recolor *r, const struct frame *source, struct frame **ret,
                struct error *err);

/* Takes NULL. */
void recolor_close(struct recolor *r);

#endif
