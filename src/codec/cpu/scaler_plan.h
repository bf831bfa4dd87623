/* Which lines of the source make which lines of each output, and zimg's graphs that do it.
 *
 * A picture is scaled plane by plane and, where it is interlaced, field by field. Each plane of
 * each field is cut into bands: a band is a run of source lines and, in every output, the lines
 * that come from there (a stripe), so that a band of the source is in the cache once for all
 * outputs. The cut depends on sizes alone, never on the number of threads. A stripe's graph sees
 * the stripe's own source lines and as many around them as the filter reaches, in the same phase
 * as in the whole picture.
 *
 * Threads: a finished plan is read-only. Memory: the plan owns its graphs; stripes borrow them. */
#ifndef CODEC_CPU_SCALER_PLAN_H
#define CODEC_CPU_SCALER_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include <zimg.h>

#include "codec/codec.h"

/* Planes of the same geometry: luma alone, both chroma planes. */
enum scaler_group { GROUP_LUMA, GROUP_CHROMA, GROUP_COUNT };

struct scaler_stripe {
    int dst_line, dst_lines; /* of the field's plane in the output */
    int src_line, src_lines; /* of the field's plane in the source, filter's reach included */
    const zimg_filter_graph *graph; /* borrowed; NULL: nothing to resample, lines map 1:1 */
};

struct scaler_bands {
    int count;                     /* bands; 0: the group does not exist */
    struct scaler_stripe *stripes; /* count of output 0, count of output 1, ... */
};

struct scaler_graph;

struct scaler_plan {
    int outputs_count;
    int fields;       /* 1, or 2 where interlaced */
    uint32_t active;  /* outputs that are scaled; the others have no stripes */
    int sample_bytes; /* of source samples as the graphs read them: 1 or 2 */
    struct scaler_bands bands[GROUP_COUNT][2]; /* of each field */
    struct scaler_graph *graphs;               /* owned list */
    size_t graph_tmp_bytes;                    /* the most that a graph needs */
    int src_lines_max; /* the most source lines of a band, all outputs together */
    int dst_lines_max; /* the most lines of a stripe */
};

/* 0 and a plan, or an error and a zeroed one. */
int scaler_plan_init(struct scaler_plan *plan, const struct scaler_params *params, uint32_t active,
                     int band_lines, struct error *err);
void scaler_plan_done(struct scaler_plan *plan);

static inline const struct scaler_stripe *
scaler_stripe_get(const struct scaler_plan *plan, int group, int field, int output, int band)
{
    const struct scaler_bands *bands = &plan->bands[group][field];
    return &bands->stripes[output * bands->count + band];
}

/* Lines of field `field` of `fields` in a plane of `lines`. */
static inline int scaler_field_lines(int lines, int fields, int field)
{
    return fields == 1 ? lines : (lines + 1 - field) / 2;
}

bool scaler_is_rgb(enum pixel_format format);

#endif
