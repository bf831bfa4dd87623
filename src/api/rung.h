/* From what the user asked of a rung to what the encoders are told: the preset table, sizes that
 * keep the aspect ratio, names. Pure.
 *
 * Threads: pure functions. Memory: none. */
#ifndef API_RUNG_H
#define API_RUNG_H

#include <rgpu/transcode.h>

#include "base/error.h"
#include "media/rendition.h"
#include "media/track.h"

#define RUNG_SIZE_TEXT_MAX 32

struct rung {
    char name[32];
    bool is_source;                  /* the source's own packets */
    bool is_cut;                     /* the explicit size is larger than the source: not upscaled */
    int wanted_width, wanted_height; /* the explicit size; 0: left to the aspect ratio */
    struct rendition_params rendition;
};

/* Parameters shared by all rungs of a job. */
struct rung_context {
    const struct track *source; /* borrowed; size may be 0 only for packets of unknown size */
    bool upscale;
    bool low_latency;
};

/* Checks what can be checked of a ladder without its source. */
int rung_check_ladder(const struct rgpu_rung *want, int count, struct error *err);

/* PARAM where a rung of a checked ladder cannot have intra refresh on any device. */
int rung_check_refresh(const struct rgpu_rung *want, int count, struct error *err);

/* The explicit size as --size takes it: "640x480", "640x", "x480". Returns `ret`. */
const char *rung_size_text(const struct rung *rung, char ret[RUNG_SIZE_TEXT_MAX]);

/* Resolves one rung. PARAM or UNSUPPORTED with a text that names the field and what is allowed. */
int rung_resolve(struct rung *ret, const struct rgpu_rung *want, const struct rung_context *context,
                 struct error *err);

/* Resolves a ladder: rungs that would come out alike because the source is small are left out (the
 * one with the lowest bit rate stays), names are made unique. `dropped` counts them. */
int rung_resolve_ladder(struct rung ret[RENDITIONS_MAX], int *ret_count, int *ret_dropped,
                        const struct rgpu_rung *want, int count, const struct rung_context *context,
                        struct error *err);

#endif
