/* From what is wanted and what the source is, to what scaler and encoders are opened with; and
 * what the user should be told about it. Pure functions.
 *
 * Threads: none of its own. Memory: no allocation; parameters borrow from the session's. Limits:
 * PLAN_NOTES_MAX notes, the rest is not said. */
#ifndef TRANSCODE_PLAN_H
#define TRANSCODE_PLAN_H

#include "transcode/session.h"

#define PLAN_NOTES_MAX 8

struct plan {
    struct encoder_params encoders[RENDITIONS_MAX];
    char notes[PLAN_NOTES_MAX][SESSION_NOTE_MAX];
    int notes_count;
};

/* 0, or PARAM or UNSUPPORTED naming the field. */
int plan_check(const struct session_params *params, const struct codec_backend *backend,
               struct error *err);

/* Fills the encoders' parameters for the job's picture (transcode/picture.h). `processors` is what
 * all of them share. */
int plan_encoders(struct plan *plan, const struct session_params *params,
                  const struct codec_backend *backend, const struct track *picture, int processors,
                  struct error *err);

/* Parameters of the scaler, but for what picture_fit fills in. `interlaced`: scale field by field.
 */
struct scaler_params plan_scaler(const struct plan *plan, const struct session_params *params,
                                 bool interlaced);

/* Sample aspect of an out_width x out_height picture that shows all of the source: the source's own
 * or 1:1 where that is within half a percent (sizes are rounded to even), else the exact one. num
 * 0: unknown. */
struct rational plan_aspect(struct rational source, int width, int height, int out_width,
                            int out_height);

/* Threads of encoder `index` out of `processors`: by its share of all pixels a second and half as
 * many again; one processor is one thread. */
int plan_threads(const struct encoder_params *encoders, int count, int index, int processors);

#endif
