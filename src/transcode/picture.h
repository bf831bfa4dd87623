/* The picture of a source that a job's encoders are opened for, and how other pictures of the same
 * source are brought to it: all lanes and all later sessions of the job must give one stream.
 *
 * Such a picture is a struct track of which size, format, aspect, colour, HDR metadata and field
 * order count.
 * Threads: none; pure functions. Memory: no allocation. */
#ifndef TRANSCODE_PICTURE_H
#define TRANSCODE_PICTURE_H

#include "codec/codec.h"

/* What is different in a frame, as bits. */
enum picture_change {
    PICTURE_SIZE = 1 << 0,
    PICTURE_SHAPE = 1 << 1, /* of what is shown: sides times sample aspect */
    PICTURE_FORMAT = 1 << 2,
    PICTURE_COLOR = 1 << 3,
    PICTURE_COLOR_KEPT = 1 << 4, /* what cannot be converted */
    PICTURE_HDR = 1 << 5,
    PICTURE_FIELDS = 1 << 6,
};
#define PICTURE_CHANGES 7

/* The source as this frame shows it, its gaps filled from the track. Without extradata. */
struct track picture_of(const struct track *source, const struct frame *first);

/* The colour that the picture is encoded in; RGB is not encoded as such. */
struct color picture_color(const struct track *picture);

/* Fills size, format and colours of a scaler for frames like this one, and where in its outputs
 * they go; outputs and `interlaced` must be set. Gives what is different, enum picture_change. */
uint32_t picture_fit(const struct track *picture, const struct frame *frame,
                     struct scaler_params *params);

/* Whether all that picture_fit looks at or fills in is the same, so that one scaler serves both. */
bool picture_same_fit(const struct scaler_params *a, const struct scaler_params *b);

/* A line for the user about one change. */
const char *picture_note(enum picture_change change);

/* |a - b| <= b / 200 for two ratios, each num / den. */
__extension__ typedef __int128 int128;
bool picture_ratios_near(int128 a_num, int128 a_den, int128 b_num, int128 b_den);

#endif
