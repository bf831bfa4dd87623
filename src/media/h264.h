/* H.264 (ITU-T H.264, 08/2021) headers: parameter sets, the front of slice headers, and what an
 * access unit is good for (random access, fields, references).
 *
 * Nothing is decoded. Scaling lists, HRD and slice group maps are parsed through and not kept.
 *
 * Threads: a context is used by one thread at a time; other functions are pure. Memory: a context
 * is some 20 KB of plain fields, zero is its empty state, there is nothing to free.
 * Limits: 32 SPS and 256 PPS, as the standard has; pictures up to 16384 x 16384.
 * Errors: RGPU_ERROR_INPUT with a text; outputs are untouched then. Any bytes are safe. */
#ifndef MEDIA_H264_H
#define MEDIA_H264_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "media/color.h"
#include "media/nal.h"
#include "media/rational.h"

#define H264_SPS_MAX 32
#define H264_PPS_MAX 256
#define H264_SPS_BYTES_MAX 1024

enum h264_nal_type {
    H264_NAL_SLICE = 1,
    H264_NAL_PARTITION_A = 2,
    H264_NAL_IDR = 5,
    H264_NAL_SEI = 6,
    H264_NAL_SPS = 7,
    H264_NAL_PPS = 8,
    H264_NAL_AUD = 9,
    H264_NAL_SPS_EXT = 13,
};

static inline unsigned h264_nal_type(struct nal nal)
{
    return nal.data[0] & 31u;
}

struct h264_sps {
    bool valid;
    uint8_t id;
    uint8_t profile_idc, constraints, level_idc; /* constraints: set0 is the top bit */
    uint8_t chroma_format_idc;                   /* 0 grey, 1 4:2:0, 2 4:2:2, 3 4:4:4 */
    bool separate_colour_plane;
    uint8_t bit_depth_luma, bit_depth_chroma;
    bool lossless_bypass;               /* qpprime_y_zero_transform_bypass_flag */
    uint8_t log2_max_frame_num;         /* 4..16 */
    uint8_t poc_type, log2_max_poc_lsb; /* the latter with poc_type 0 */
    bool delta_pic_order_always_zero;
    uint8_t max_num_ref_frames;
    bool gaps_in_frame_num, frame_mbs_only, mb_adaptive_field, direct_8x8;
    int32_t coded_width, coded_height; /* luma samples of a frame */
    int32_t crop_left, crop_top;       /* luma samples */
    int32_t width, height;             /* luma samples after cropping */

    bool has_vui;
    bool vui_damaged;              /* the VUI is cut short: its fields are as if it were absent */
    struct rational sample_aspect; /* {0, 0} unknown */
    struct color color;
    bool has_timing, fixed_frame_rate;
    uint32_t timing_at;         /* bits of the RBSP in front of it, with has_timing */
    struct rational frame_rate; /* time_scale / (2 * num_units_in_tick); {0, 0} unknown */
    bool has_nal_hrd, has_vcl_hrd, pic_struct_present;
    uint8_t cpb_removal_delay_bits, dpb_output_delay_bits; /* with an HRD */
    uint8_t time_offset_bits;                              /* 24 without one */
    int8_t num_reorder_frames;                             /* -1: not said */
    int8_t max_dec_frame_buffering;                        /* -1: not said */
};

struct h264_pps {
    bool valid;
    uint8_t id, sps_id;
    bool cabac, bottom_field_pic_order, weighted_pred, redundant_pic_cnt, constrained_intra;
    bool transform_8x8;
    uint8_t weighted_bipred_idc, slice_groups;
};

enum h264_slice_type {
    H264_SLICE_P,
    H264_SLICE_B,
    H264_SLICE_I,
    H264_SLICE_SP,
    H264_SLICE_SI,
};

struct h264_slice {
    uint8_t nal_type, nal_ref_idc;
    uint8_t type; /* enum h264_slice_type, folded to 0..4 */
    uint8_t pps_id, sps_id, colour_plane_id, redundant_pic_cnt;
    uint32_t first_mb;
    uint32_t frame_num;
    bool field, bottom;
    uint32_t idr_pic_id; /* with nal_type 5 */
    uint32_t poc_lsb;    /* poc_type 0 */
    int32_t delta_poc_bottom, delta_poc[2];
};

struct h264_context {
    struct h264_sps sps[H264_SPS_MAX];
    struct h264_pps pps[H264_PPS_MAX];
    struct h264_slice last;       /* of the last picture seen by h264_access_unit */
    bool has_last, last_unpaired; /* last_unpaired: it is a first field that waits for its second */
};

/* An SPS or PPS unit with its header byte. The PPS's scaling lists depend on the SPS that it
 * names: `sps` is a table of H264_SPS_MAX, or NULL where it is not at hand (4:2:0 is assumed). */
int h264_parse_sps(struct nal nal, struct h264_sps *ret, struct error *err);
int h264_parse_pps(struct nal nal, const struct h264_sps *sps, struct h264_pps *ret,
                   struct error *err);

/* Rewrites an SPS to say another frame rate; all else stays. Gives the number of bytes, which are
 * written where `capacity` suffices; 0: it says none that could be replaced, or the rate is none.
 * Limits: SPS of H264_SPS_BYTES_MAX. */
size_t h264_set_frame_rate(struct nal sps, struct rational rate, uint8_t *ret, size_t capacity);

/* Parses an SPS or PPS into the context's table; other types are passed over. */
int h264_context_add(struct h264_context *ctx, struct nal nal, struct error *err);

/* Slice header up to redundant_pic_cnt, of unit types 1, 2 and 5. INPUT too where its parameter
 * sets are not in the context. */
int h264_parse_slice(const struct h264_context *ctx, struct nal nal, struct h264_slice *ret,
                     struct error *err);

/* Whether `b` begins another primary coded picture than `a` (7.4.1.2.4). */
bool h264_new_picture(const struct h264_slice *a, const struct h264_slice *b);

/* Frames that may have to be held back for display order: num_reorder_frames where it is said,
 * else the bound that profile, POC type, level and size give (A.3.1, E.2.1). */
int h264_reorder_frames(const struct h264_sps *sps);

struct h264_access_unit {
    int slices;              /* 0: no picture, and only the has_ fields are good */
    int pictures;            /* 2 for a pair of fields in one packet */
    struct h264_slice first; /* header of the first slice */
    uint32_t slice_types;    /* bit N: a slice of enum h264_slice_type N is there */
    uint8_t nal_ref_idc;     /* the highest of all slices; 0: nothing refers to it */
    bool idr;                /* the first picture is IDR: decoding may start, nothing refers past */
    bool intra_only;         /* all slices are I or SI */
    bool recovery_point;     /* has the SEI message: decoding may start, */
    uint16_t recovery_frames; /* right after so many frames (recovery_frame_cnt), */
    bool broken_link;         /* and pictures shown before it may be broken */
    bool field;               /* the first picture is a field */
    bool second_field;        /* it completes the frame of the access unit before */
    bool has_sps, has_pps, has_aud;
    int damaged;      /* units that could not be parsed */
    struct hdr hdr;   /* from SEI messages, */
    uint8_t transfer; /* and what they prefer over the SPS's; 0: nothing */
};

/* Looks at one access unit, or one packet of a container. `length_size`: see media/nal.h. The
 * context learns parameter sets and remembers the picture, so units must come in decoding order;
 * zero `has_last` after a seek. A unit that cannot be parsed is counted, not fatal.
 * INPUT only where the framing itself is broken. */
int h264_access_unit(struct h264_context *ctx, const void *data, size_t size, unsigned length_size,
                     struct h264_access_unit *ret, struct error *err);

/* Whether a decoder may be started at the unit and will show it right. */
static inline bool h264_random_access(const struct h264_access_unit *au)
{
    return au->idr || (au->recovery_point && au->recovery_frames == 0 && au->slices > 0);
}

#endif
