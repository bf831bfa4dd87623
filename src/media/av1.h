/* AV1 (AV1 Bitstream & Decoding Process, version 1.0.0 with errata 1) headers: OBUs, the sequence
 * header, the av1C record (AV1 in ISOBMFF, 2.3), and what a temporal unit is good for.
 *
 * Only the low-overhead format of section 5 is read (OBU sizes in band), as in MP4, Matroska and
 * libavcodec's packets.
 *
 * Threads: pure functions. Memory: nothing is allocated; OBUs point into the caller's bytes.
 * Limits: 32 operating points, of which the first is kept. Errors: RGPU_ERROR_INPUT with a text;
 * outputs are untouched then. Any bytes are safe. */
#ifndef MEDIA_AV1_H
#define MEDIA_AV1_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "media/color.h"
#include "media/rational.h"

enum av1_obu_type {
    AV1_OBU_SEQUENCE_HEADER = 1,
    AV1_OBU_TEMPORAL_DELIMITER = 2,
    AV1_OBU_FRAME_HEADER = 3,
    AV1_OBU_TILE_GROUP = 4,
    AV1_OBU_METADATA = 5,
    AV1_OBU_FRAME = 6,
    AV1_OBU_REDUNDANT_FRAME_HEADER = 7,
    AV1_OBU_TILE_LIST = 8,
    AV1_OBU_PADDING = 15,
};

struct av1_obu {
    uint8_t type; /* enum av1_obu_type */
    bool has_extension;
    uint8_t temporal_id, spatial_id;
    const uint8_t *data;    /* the whole OBU with its header; borrowed */
    size_t size;            /* bytes, of the whole */
    const uint8_t *payload; /* borrowed */
    size_t payload_size;    /* bytes */
};

struct av1_iter {
    const uint8_t *pos, *end; /* borrowed */
    bool error;               /* a header or a size is broken; what came before is good */
};

void av1_iter_init(struct av1_iter *it, const void *data, size_t size);

/* Next OBU; false at the end, or at a broken one (then `error` is set). */
bool av1_next(struct av1_iter *it, struct av1_obu *ret);

struct av1_sequence {
    bool valid;
    uint8_t profile; /* 0 Main, 1 High, 2 Professional */
    uint8_t level;   /* seq_level_idx[0]: 4 * (X - 2) + Y of level X.Y; 31 no limit */
    bool high_tier;  /* seq_tier[0] */
    bool still_picture, reduced_still_picture;
    int32_t width, height; /* luma samples, the largest of the sequence */
    uint8_t bit_depth;
    bool monochrome;
    uint8_t subsampling_x, subsampling_y;
    uint8_t chroma_position; /* chroma_sample_position: 0 unknown, 1 left, 2 top left */
    struct color color;
    bool film_grain;
    bool has_timing;
    struct rational frame_rate; /* {0, 0} unknown or variable */
};

/* Payload of a sequence header OBU. */
int av1_parse_sequence(const void *data, size_t size, struct av1_sequence *ret, struct error *err);

enum av1_frame_type { AV1_FRAME_KEY, AV1_FRAME_INTER, AV1_FRAME_INTRA_ONLY, AV1_FRAME_SWITCH };

struct av1_temporal_unit {
    int frames; /* frame headers, shown or not; repeated frames count too */
    int shown;  /* frames that are displayed */
    bool has_sequence;
    bool key;            /* begins with a shown key frame: decoding may start here, as long as
                          * the sequence header is known */
    bool repeats_key;    /* begins by showing an earlier frame, which may be a key frame */
    uint8_t first_type;  /* enum av1_frame_type, of the first frame that is not repeated */
    uint8_t temporal_id; /* of the first frame */
    int damaged;         /* OBUs that could not be parsed */
    struct hdr hdr;      /* from metadata OBUs */
};

/* Looks at one temporal unit. `sequence` holds the newest sequence header (zero: none yet) and
 * learns the one in the unit. INPUT only where the framing itself is broken. */
int av1_temporal_unit(struct av1_sequence *sequence, const void *data, size_t size,
                      struct av1_temporal_unit *ret, struct error *err);

/* ---- av1C --------------------------------------------------------------------------------------
 */

struct av1_config {
    uint8_t profile, level;
    bool high_tier;
    uint8_t bit_depth;
    bool monochrome;
    uint8_t subsampling_x, subsampling_y, chroma_position;
    uint8_t initial_delay; /* initial_presentation_delay_minus_one + 1; 0 not said */
    const uint8_t *obus;   /* configOBUs, normally one sequence header; borrowed */
    size_t obus_size;      /* bytes */
};

/* Reads av1C, or bare OBUs that hold a sequence header. */
int av1_config_read(const void *data, size_t size, struct av1_config *ret, struct error *err);

/* Writes av1C of a sequence header OBU found in `obus` (a temporal unit, or bare OBUs); only that
 * OBU goes into the record. *ret_size gets the size needed. LIMIT: `capacity` is too small. */
int av1_config_write(const void *obus, size_t size, void *out, size_t capacity, size_t *ret_size,
                     struct error *err);

#endif
