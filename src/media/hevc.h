/* H.265 (ITU-T H.265, 08/2021) headers: parameter sets, the front of slice segment headers, and
 * what an access unit is good for.
 *
 * Nothing is decoded. Scaling lists, reference picture sets and HRD are parsed through and not
 * kept. Only the base layer is looked at: units with nuh_layer_id > 0 are passed over.
 *
 * Threads: a context is used by one thread at a time; other functions are pure. Memory: a context
 * is some 5 KB of plain fields, zero is its empty state, there is nothing to free.
 * Limits: 16 VPS, 16 SPS and 64 PPS, as the standard has; pictures up to 16384 x 16384.
 * Errors: RGPU_ERROR_INPUT with a text; outputs are untouched then. Any bytes are safe. */
#ifndef MEDIA_HEVC_H
#define MEDIA_HEVC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "media/color.h"
#include "media/nal.h"
#include "media/rational.h"

#define HEVC_VPS_MAX 16
#define HEVC_SPS_MAX 16
#define HEVC_PPS_MAX 64

/* Table 7-1. Slice types below 16 are sub-layer non-reference pictures where even. */
enum hevc_nal_type {
    HEVC_NAL_TRAIL_N = 0,
    HEVC_NAL_TRAIL_R = 1,
    HEVC_NAL_RADL_N = 6,
    HEVC_NAL_RADL_R = 7,
    HEVC_NAL_RASL_N = 8,
    HEVC_NAL_RASL_R = 9,
    HEVC_NAL_BLA_W_LP = 16,
    HEVC_NAL_BLA_N_LP = 18,
    HEVC_NAL_IDR_W_RADL = 19,
    HEVC_NAL_IDR_N_LP = 20,
    HEVC_NAL_CRA = 21,
    HEVC_NAL_IRAP_LAST = 23,
    HEVC_NAL_VPS = 32,
    HEVC_NAL_SPS = 33,
    HEVC_NAL_PPS = 34,
    HEVC_NAL_AUD = 35,
    HEVC_NAL_EOS = 36,
    HEVC_NAL_EOB = 37,
    HEVC_NAL_SEI_PREFIX = 39,
    HEVC_NAL_SEI_SUFFIX = 40,
};

static inline unsigned hevc_nal_type(struct nal nal)
{
    return nal.data[0] >> 1 & 63u;
}

/* The general part of profile_tier_level (7.3.3). */
struct hevc_profile {
    uint8_t space; /* general_profile_space */
    bool high_tier;
    uint8_t idc;            /* 1 Main, 2 Main 10, 3 Main Still Picture, 4 range extensions */
    uint32_t compatibility; /* flag[0] is the top bit */
    uint8_t constraints[6]; /* the 48 bits behind the compatibility flags */
    uint8_t level_idc;      /* 30 times the level */
};

struct hevc_vps {
    bool valid;
    uint8_t id;
    uint8_t sub_layers; /* 1..7 */
    bool temporal_nesting;
    struct hevc_profile profile;
    bool has_timing;
    struct rational frame_rate; /* {0, 0} unknown */
};

struct hevc_sps {
    bool valid;
    uint8_t id, vps_id;
    uint8_t sub_layers; /* 1..7 */
    bool temporal_nesting;
    struct hevc_profile profile;
    uint8_t chroma_format_idc; /* 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4 */
    bool separate_colour_plane;
    uint8_t bit_depth_luma, bit_depth_chroma;
    int32_t coded_width, coded_height; /* luma samples */
    int32_t crop_left, crop_top;       /* luma samples, of the conformance window */
    int32_t width, height;             /* luma samples after cropping */
    uint8_t log2_max_poc_lsb, log2_ctb_size;
    uint8_t max_dec_pic_buffering; /* pictures, of the highest sub-layer, as the next two */
    uint8_t max_num_reorder;
    uint32_t max_latency_increase; /* SpsMaxLatencyPictures' increase plus 1; 0: no limit */

    bool has_vui;
    bool vui_damaged;              /* the VUI is cut short: its fields are as if it were absent */
    struct rational sample_aspect; /* {0, 0} unknown */
    struct color color;
    bool field_seq;        /* pictures are fields */
    bool frame_field_info; /* picture timing SEI has pic_struct */
    bool has_timing;
    struct rational frame_rate; /* {0, 0} unknown */
    uint16_t min_spatial_segmentation;
};

struct hevc_pps {
    bool valid;
    uint8_t id, sps_id;
    bool dependent_slices, output_flag_present, tiles, entropy_sync;
    uint8_t extra_slice_header_bits;
};

enum hevc_slice_type { HEVC_SLICE_B, HEVC_SLICE_P, HEVC_SLICE_I };

struct hevc_slice {
    uint8_t nal_type, temporal_id;
    bool first_in_picture, dependent;
    bool no_output_of_prior; /* no_output_of_prior_pics_flag; of IRAP pictures */
    uint8_t type;            /* enum hevc_slice_type; not of a dependent segment */
    uint8_t pps_id, sps_id;
    uint32_t address; /* coding tree blocks */
    bool output;      /* pic_output_flag */
    uint32_t poc_lsb; /* 0 for IDR */
};

struct hevc_context {
    struct hevc_vps vps[HEVC_VPS_MAX];
    struct hevc_sps sps[HEVC_SPS_MAX];
    struct hevc_pps pps[HEVC_PPS_MAX];
    bool ended; /* the last unit seen by hevc_access_unit, but for headers, ended its sequence */
};

/* A VPS, SPS or PPS unit with its two header bytes. */
int hevc_parse_vps(struct nal nal, struct hevc_vps *ret, struct error *err);
int hevc_parse_sps(struct nal nal, struct hevc_sps *ret, struct error *err);
/* Up to entropy_coding_sync_enabled_flag. */
int hevc_parse_pps(struct nal nal, struct hevc_pps *ret, struct error *err);

/* Parses a parameter set into the context's table; other types are passed over. */
int hevc_context_add(struct hevc_context *ctx, struct nal nal, struct error *err);

/* Slice segment header up to slice_pic_order_cnt_lsb. INPUT too where its parameter sets are not in
 * the context. */
int hevc_parse_slice(const struct hevc_context *ctx, struct nal nal, struct hevc_slice *ret,
                     struct error *err);

struct hevc_access_unit {
    int slices;               /* 0: no picture, and only the has_ fields are good */
    int pictures;             /* 2 for a pair of fields in one packet */
    struct hevc_slice first;  /* header of the first slice */
    uint32_t slice_types;     /* bit N: a slice of enum hevc_slice_type N is there */
    bool irap, idr, cra, bla; /* of the first picture; irap covers the others */
    bool begins;              /* the first picture is IRAP and begins a coded video sequence: it is
                               * IDR or BLA, or comes behind an end of sequence. A decoder leaves
                               * out its RASL pictures (NoRaslOutputFlag of 8.1.3) */
    bool rasl;                /* leading picture that refers past the IRAP before it */
    bool radl;                /* leading picture that does not */
    bool reference;           /* other pictures of its sub-layer may refer to it */
    bool intra_only;          /* all slices are I */
    bool recovery_point;      /* has the SEI message: decoding may start, */
    int16_t recovery_poc;     /* right after so much of POC (recovery_poc_cnt), */
    bool broken_link;         /* and pictures shown before it may be broken */
    bool has_vps, has_sps, has_pps, has_aud;
    int8_t pic_struct; /* table D.2, of the picture timing SEI; -1 unknown */
    int damaged;       /* units that could not be parsed */
    struct hdr hdr;    /* from SEI messages, */
    uint8_t transfer;  /* and what they prefer over the SPS's; 0: nothing */
};

/* Looks at one access unit, or one packet of a container. `length_size`: see media/nal.h. The
 * context learns parameter sets and remembers ends of sequences, so units must come in decoding
 * order; zero `ended` after a seek. A unit that cannot be parsed is counted, not fatal.
 * INPUT only where the framing itself is broken. */
int hevc_access_unit(struct hevc_context *ctx, const void *data, size_t size, unsigned length_size,
                     struct hevc_access_unit *ret, struct error *err);

/* Whether a decoder may be started at the unit and will show it right. (Its RASL pictures, if any,
 * are lost then.) */
static inline bool hevc_random_access(const struct hevc_access_unit *au)
{
    return au->irap || (au->recovery_point && au->recovery_poc == 0 && au->slices > 0);
}

#endif
