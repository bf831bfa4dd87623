#include "media/h264.h"

#include "media/bits.h"
#include "media/frame.h"
#include "media/h26x.h"

#define MB_SIZE 16
#define MBS_MAX (FRAME_SIZE_MAX / MB_SIZE)
#define TIME_OFFSET_BITS 24 /* where no HRD says another */

/* ---- sequence parameter set (7.3.2.1.1) -------------------------------------------------------
 */

static bool has_chroma_info(unsigned profile_idc)
{
    switch (profile_idc) {
    case 44:
    case 83:
    case 86:
    case 100:
    case 110:
    case 118:
    case 122:
    case 128:
    case 134:
    case 135:
    case 138:
    case 139:
    case 244:
        return true;
    default:
        return false;
    }
}

static void skip_scaling_list(struct bits *b, unsigned size)
{
    int last = 8, next = 8;
    for (unsigned i = 0; i < size && next != 0 && !b->error; i++) {
        next = (last + bits_se_range(b, -128, 127) + 256) % 256;
        last = next ? next : last;
    }
}

static void skip_scaling_lists(struct bits *b, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (bits_flag(b))
            skip_scaling_list(b, i < 6 ? 16 : 64);
}

static void read_chroma_info(struct bits *b, struct h264_sps *s)
{
    s->chroma_format_idc = (uint8_t)bits_ue_max(b, 3);
    if (s->chroma_format_idc == 3)
        s->separate_colour_plane = bits_flag(b);
    s->bit_depth_luma = (uint8_t)(8 + bits_ue_max(b, 6));
    s->bit_depth_chroma = (uint8_t)(8 + bits_ue_max(b, 6));
    s->lossless_bypass = bits_flag(b);
    if (bits_flag(b))
        skip_scaling_lists(b, s->chroma_format_idc == 3 ? 12 : 8);
}

static void read_poc_info(struct bits *b, struct h264_sps *s)
{
    s->poc_type = (uint8_t)bits_ue_max(b, 2);
    if (s->poc_type == 0) {
        s->log2_max_poc_lsb = (uint8_t)(4 + bits_ue_max(b, 12));
    } else if (s->poc_type == 1) {
        s->delta_pic_order_always_zero = bits_flag(b);
        bits_se(b); /* offset_for_non_ref_pic */
        bits_se(b); /* offset_for_top_to_bottom_field */
        const uint32_t cycle = bits_ue_max(b, 255);
        for (uint32_t i = 0; i < cycle && !b->error; i++)
            bits_se(b);
    }
}

/* Sizes in luma samples; false where the picture is empty or too large. */
static bool read_size(struct bits *b, struct h264_sps *s)
{
    const uint32_t mbs_wide = bits_ue_max(b, MBS_MAX - 1) + 1;
    const uint32_t units_high = bits_ue_max(b, MBS_MAX - 1) + 1;
    s->frame_mbs_only = bits_flag(b);
    if (!s->frame_mbs_only)
        s->mb_adaptive_field = bits_flag(b);
    s->direct_8x8 = bits_flag(b);
    const uint32_t fields = s->frame_mbs_only ? 1 : 2;
    if (units_high * fields > MBS_MAX)
        return false;
    s->coded_width = (int32_t)(mbs_wide * MB_SIZE);
    s->coded_height = (int32_t)(units_high * fields * MB_SIZE);

    uint32_t crop[4] = {0}; /* left, right, top, bottom in crop units */
    if (bits_flag(b))
        for (int i = 0; i < 4; i++)
            crop[i] = bits_ue_max(b, FRAME_SIZE_MAX);
    const unsigned chroma = s->separate_colour_plane ? 0 : s->chroma_format_idc;
    const uint32_t unit_x = chroma == 1 || chroma == 2 ? 2 : 1;
    const uint32_t unit_y = (chroma == 1 ? 2 : 1) * fields;
    const int32_t across = (int32_t)((crop[0] + crop[1]) * unit_x);
    const int32_t down = (int32_t)((crop[2] + crop[3]) * unit_y);
    if (across >= s->coded_width || down >= s->coded_height)
        return false;
    s->crop_left = (int32_t)(crop[0] * unit_x);
    s->crop_top = (int32_t)(crop[2] * unit_y);
    s->width = s->coded_width - across;
    s->height = s->coded_height - down;
    return true;
}

/* E.1.2 */
static void read_hrd(struct bits *b, struct h264_sps *s)
{
    const uint32_t count = bits_ue_max(b, 31) + 1;
    bits_skip(b, 8); /* bit_rate_scale, cpb_size_scale */
    for (uint32_t i = 0; i < count && !b->error; i++) {
        bits_ue(b);      /* bit_rate_value_minus1 */
        bits_ue(b);      /* cpb_size_value_minus1 */
        bits_skip(b, 1); /* cbr_flag */
    }
    bits_skip(b, 5); /* initial_cpb_removal_delay_length_minus1 */
    s->cpb_removal_delay_bits = (uint8_t)(bits_read(b, 5) + 1);
    s->dpb_output_delay_bits = (uint8_t)(bits_read(b, 5) + 1);
    s->time_offset_bits = (uint8_t)bits_read(b, 5);
}

/* E.1.1 */
static void read_vui(struct bits *b, struct h264_sps *s)
{
    s->has_vui = true;
    s->sample_aspect = h26x_read_aspect(b);
    h26x_read_color(b, &s->color);
    s->has_timing = bits_flag(b);
    if (s->has_timing) {
        s->timing_at = (uint32_t)b->position;
        const int64_t units = bits_read(b, 32), scale = bits_read(b, 32);
        s->fixed_frame_rate = bits_flag(b);
        if (units && scale)
            s->frame_rate = rational_reduce(scale, 2 * units);
    }
    s->has_nal_hrd = bits_flag(b);
    if (s->has_nal_hrd)
        read_hrd(b, s);
    s->has_vcl_hrd = bits_flag(b);
    if (s->has_vcl_hrd)
        read_hrd(b, s);
    if (s->has_nal_hrd || s->has_vcl_hrd)
        bits_skip(b, 1); /* low_delay_hrd_flag */
    s->pic_struct_present = bits_flag(b);
    if (bits_flag(b)) { /* bitstream_restriction_flag */
        bits_skip(b, 1);
        for (int i = 0; i < 4; i++)
            bits_ue(b);
        s->num_reorder_frames = (int8_t)bits_ue_max(b, 16);
        s->max_dec_frame_buffering = (int8_t)bits_ue_max(b, 16);
    }
}

int h264_parse_sps(struct nal nal, struct h264_sps *ret, struct error *err)
{
    struct bits b;
    bits_init_rbsp(&b, nal.data, nal.size);
    if ((bits_read(&b, 8) & 31) != H264_NAL_SPS)
        return error_set(err, RGPU_ERROR_INPUT, "H.264: the unit is no SPS");
    struct h264_sps s = {.valid = true,
                         .time_offset_bits = TIME_OFFSET_BITS,
                         .num_reorder_frames = -1,
                         .max_dec_frame_buffering = -1};
    s.profile_idc = (uint8_t)bits_read(&b, 8);
    s.constraints = (uint8_t)bits_read(&b, 8);
    s.level_idc = (uint8_t)bits_read(&b, 8);
    s.id = (uint8_t)bits_ue_max(&b, H264_SPS_MAX - 1);
    s.chroma_format_idc = 1;
    s.bit_depth_luma = s.bit_depth_chroma = 8;
    if (has_chroma_info(s.profile_idc))
        read_chroma_info(&b, &s);
    s.log2_max_frame_num = (uint8_t)(4 + bits_ue_max(&b, 12));
    read_poc_info(&b, &s);
    s.max_num_ref_frames = (uint8_t)bits_ue_max(&b, 16);
    s.gaps_in_frame_num = bits_flag(&b);
    const bool sized = read_size(&b, &s);
    const bool vui = bits_flag(&b);
    if (b.error || !sized)
        return error_set(err, RGPU_ERROR_INPUT,
                         "H.264: the SPS (%zu bytes) is cut short or out of range", nal.size);
    if (vui) {
        struct h264_sps with_vui = s;
        read_vui(&b, &with_vui);
        /* Some encoders cut the VUI short; size and depth are right all the same. */
        if (b.error)
            s.vui_damaged = true;
        else
            s = with_vui;
    }
    *ret = s;
    return 0;
}

size_t h264_set_frame_rate(struct nal sps, struct rational rate, uint8_t *ret, size_t capacity)
{
    struct h264_sps s;
    if (sps.size > H264_SPS_BYTES_MAX || rate.num <= 0 || rate.den <= 0 ||
        h264_parse_sps(sps, &s, NULL) != 0 || !s.has_timing)
        return 0;
    uint8_t plain[H264_SPS_BYTES_MAX];
    const size_t size = nal_unescape(sps.data, sps.size, plain);
    const uint64_t timing = (uint64_t)rate.den << 32 | 2 * (uint64_t)rate.num;
    for (unsigned i = 0; i < 64; i++) {
        const size_t at = s.timing_at + i;
        const uint8_t bit = (uint8_t)(0x80 >> at % 8);
        plain[at / 8] =
            (uint8_t)(timing >> (63 - i) & 1 ? plain[at / 8] | bit : plain[at / 8] & ~bit);
    }
    return nal_escape(plain, size, ret, capacity);
}

/* Table A-1: MaxDpbMbs. 0 for a level that is none. */
static int dpb_mbs(const struct h264_sps *s)
{
    switch (s->level_idc) {
    case 9:
    case 10:
        return 396;
    case 11:
        /* Level 1b of the profiles that have no level_idc 9. */
        return (s->constraints & 0x10) && s->profile_idc <= 88 ? 396 : 900;
    case 12:
    case 13:
    case 20:
        return 2376;
    case 21:
        return 4752;
    case 22:
    case 30:
        return 8100;
    case 31:
        return 18000;
    case 32:
        return 20480;
    case 40:
    case 41:
        return 32768;
    case 42:
        return 34816;
    case 50:
        return 110400;
    case 51:
    case 52:
        return 184320;
    case 60:
    case 61:
    case 62:
        return 696320;
    default:
        return 0;
    }
}

int h264_reorder_frames(const struct h264_sps *s)
{
    if (s->num_reorder_frames >= 0)
        return s->num_reorder_frames;
    /* Output order is decoding order; Baseline has no B slices, but may use POC to reorder. */
    if (s->poc_type == 2)
        return 0;
    const bool may_be_intra = s->profile_idc == 44 || s->profile_idc == 86 ||
                              s->profile_idc == 100 || s->profile_idc == 110 ||
                              s->profile_idc == 122 || s->profile_idc == 244;
    if (may_be_intra && (s->constraints & 0x10))
        return 0;
    const int mbs = s->coded_width / MB_SIZE * (s->coded_height / MB_SIZE);
    const int dpb = dpb_mbs(s);
    const int frames = dpb && mbs ? dpb / mbs : 16;
    return frames < 16 ? frames : 16;
}

/* ---- picture parameter set (7.3.2.2) ----------------------------------------------------------
 */

static void skip_slice_groups(struct bits *b, unsigned groups)
{
    const uint32_t map_type = bits_ue_max(b, 6);
    if (map_type == 0) {
        for (unsigned i = 0; i < groups; i++)
            bits_ue(b);
    } else if (map_type == 2) {
        for (unsigned i = 0; i < 2 * (groups - 1); i++)
            bits_ue(b);
    } else if (map_type >= 3 && map_type <= 5) {
        bits_skip(b, 1);
        bits_ue(b);
    } else if (map_type == 6) {
        const uint32_t units = bits_ue_max(b, MBS_MAX * MBS_MAX - 1) + 1;
        bits_skip(b, (uint64_t)units * (groups > 4 ? 3 : groups > 2 ? 2 : 1));
    }
}

int h264_parse_pps(struct nal nal, const struct h264_sps *sps, struct h264_pps *ret,
                   struct error *err)
{
    struct bits b;
    bits_init_rbsp(&b, nal.data, nal.size);
    if ((bits_read(&b, 8) & 31) != H264_NAL_PPS)
        return error_set(err, RGPU_ERROR_INPUT, "H.264: the unit is no PPS");
    struct h264_pps p = {.valid = true};
    p.id = (uint8_t)bits_ue_max(&b, H264_PPS_MAX - 1);
    p.sps_id = (uint8_t)bits_ue_max(&b, H264_SPS_MAX - 1);
    p.cabac = bits_flag(&b);
    p.bottom_field_pic_order = bits_flag(&b);
    p.slice_groups = (uint8_t)(bits_ue_max(&b, 7) + 1);
    if (p.slice_groups > 1)
        skip_slice_groups(&b, p.slice_groups);
    bits_ue_max(&b, 31); /* num_ref_idx_l0_default_active_minus1 */
    bits_ue_max(&b, 31);
    p.weighted_pred = bits_flag(&b);
    p.weighted_bipred_idc = (uint8_t)bits_read(&b, 2);
    bits_se(&b);                /* pic_init_qp_minus26 */
    bits_se(&b);                /* pic_init_qs_minus26 */
    bits_se_range(&b, -12, 12); /* chroma_qp_index_offset */
    bits_skip(&b, 1);           /* deblocking_filter_control_present_flag */
    p.constrained_intra = bits_flag(&b);
    p.redundant_pic_cnt = bits_flag(&b);
    if (!b.error && bits_more_rbsp(&b)) {
        p.transform_8x8 = bits_flag(&b);
        if (bits_flag(&b)) {
            const bool yuv444 = sps && sps[p.sps_id].valid && sps[p.sps_id].chroma_format_idc == 3;
            skip_scaling_lists(&b, 6 + (p.transform_8x8 ? (yuv444 ? 6 : 2) : 0));
        }
        bits_se_range(&b, -12, 12); /* second_chroma_qp_index_offset */
    }
    if (b.error)
        return error_set(err, RGPU_ERROR_INPUT,
                         "H.264: the PPS (%zu bytes) is cut short or out of range", nal.size);
    *ret = p;
    return 0;
}

int h264_context_add(struct h264_context *ctx, struct nal nal, struct error *err)
{
    if (nal.size == 0)
        return error_set(err, RGPU_ERROR_INPUT, "H.264: empty unit");
    int code = 0;
    if (h264_nal_type(nal) == H264_NAL_SPS) {
        struct h264_sps sps;
        code = h264_parse_sps(nal, &sps, err);
        if (code == 0)
            ctx->sps[sps.id] = sps;
    } else if (h264_nal_type(nal) == H264_NAL_PPS) {
        struct h264_pps pps;
        code = h264_parse_pps(nal, ctx->sps, &pps, err);
        if (code == 0)
            ctx->pps[pps.id] = pps;
    }
    return code;
}

/* ---- slice header (7.3.3) ---------------------------------------------------------------------
 */

static void read_slice_rest(struct bits *b, const struct h264_sps *sps, const struct h264_pps *pps,
                            struct h264_slice *s)
{
    if (sps->separate_colour_plane)
        s->colour_plane_id = (uint8_t)bits_read(b, 2);
    s->frame_num = bits_read(b, sps->log2_max_frame_num);
    if (!sps->frame_mbs_only) {
        s->field = bits_flag(b);
        if (s->field)
            s->bottom = bits_flag(b);
    }
    if (s->nal_type == H264_NAL_IDR)
        s->idr_pic_id = bits_ue_max(b, 65535);
    if (sps->poc_type == 0) {
        s->poc_lsb = bits_read(b, sps->log2_max_poc_lsb);
        if (pps->bottom_field_pic_order && !s->field)
            s->delta_poc_bottom = bits_se(b);
    } else if (sps->poc_type == 1 && !sps->delta_pic_order_always_zero) {
        s->delta_poc[0] = bits_se(b);
        if (pps->bottom_field_pic_order && !s->field)
            s->delta_poc[1] = bits_se(b);
    }
    if (pps->redundant_pic_cnt)
        s->redundant_pic_cnt = (uint8_t)bits_ue_max(b, 127);
}

int h264_parse_slice(const struct h264_context *ctx, struct nal nal, struct h264_slice *ret,
                     struct error *err)
{
    struct bits b;
    bits_init_rbsp(&b, nal.data, nal.size);
    const uint32_t header = bits_read(&b, 8);
    struct h264_slice s = {.nal_type = header & 31, .nal_ref_idc = header >> 5 & 3};
    if (s.nal_type != H264_NAL_SLICE && s.nal_type != H264_NAL_PARTITION_A &&
        s.nal_type != H264_NAL_IDR)
        return error_set(err, RGPU_ERROR_INPUT, "H.264: the unit is no slice");
    s.first_mb = bits_ue_max(&b, MBS_MAX * MBS_MAX - 1);
    s.type = (uint8_t)(bits_ue_max(&b, 9) % 5);
    s.pps_id = (uint8_t)bits_ue_max(&b, H264_PPS_MAX - 1);
    if (b.error)
        return error_set(err, RGPU_ERROR_INPUT, "H.264: a slice header is broken");
    const struct h264_pps *pps = &ctx->pps[s.pps_id];
    const struct h264_sps *sps = &ctx->sps[pps->sps_id];
    if (!pps->valid || !sps->valid)
        return error_set(err, RGPU_ERROR_INPUT,
                         "H.264: a slice uses PPS %d, whose parameter sets are missing", s.pps_id);
    s.sps_id = pps->sps_id;
    read_slice_rest(&b, sps, pps, &s);
    if (b.error)
        return error_set(err, RGPU_ERROR_INPUT, "H.264: a slice header is broken");
    *ret = s;
    return 0;
}

bool h264_new_picture(const struct h264_slice *a, const struct h264_slice *b)
{
    const bool a_idr = a->nal_type == H264_NAL_IDR, b_idr = b->nal_type == H264_NAL_IDR;
    return a->frame_num != b->frame_num || a->pps_id != b->pps_id || a->sps_id != b->sps_id ||
           a->field != b->field || a->bottom != b->bottom ||
           (a->nal_ref_idc == 0) != (b->nal_ref_idc == 0) || a_idr != b_idr ||
           (a_idr && a->idr_pic_id != b->idr_pic_id) || a->poc_lsb != b->poc_lsb ||
           a->delta_poc_bottom != b->delta_poc_bottom || a->delta_poc[0] != b->delta_poc[0] ||
           a->delta_poc[1] != b->delta_poc[1];
}

/* ---- access unit ------------------------------------------------------------------------------
 */

/* Complementary field pair (3.30, 3.31): opposite parity, same frame_num, both or neither for
 * reference, and the second is not IDR. */
static bool completes_frame(const struct h264_slice *first, const struct h264_slice *second)
{
    return first->field && second->field && first->bottom != second->bottom &&
           first->frame_num == second->frame_num && first->sps_id == second->sps_id &&
           (first->nal_ref_idc == 0) == (second->nal_ref_idc == 0) &&
           second->nal_type != H264_NAL_IDR;
}

static void add_slice(struct h264_context *ctx, const struct h264_slice *slice,
                      struct h264_access_unit *au)
{
    /* Redundant slices repeat what is there already. */
    if (slice->redundant_pic_cnt > 0)
        return;
    if (au->slices == 0 || h264_new_picture(&ctx->last, slice)) {
        const bool second =
            ctx->has_last && ctx->last_unpaired && completes_frame(&ctx->last, slice);
        if (au->slices == 0) {
            au->first = *slice;
            au->idr = slice->nal_type == H264_NAL_IDR;
            au->field = slice->field;
            au->second_field = second;
        }
        ctx->last = *slice;
        ctx->has_last = true;
        ctx->last_unpaired = slice->field && !second;
        au->pictures++;
    }
    au->slices++;
    au->slice_types |= 1u << slice->type;
    if (slice->nal_ref_idc > au->nal_ref_idc)
        au->nal_ref_idc = slice->nal_ref_idc;
}

static void add_sei(struct nal nal, struct h264_access_unit *au)
{
    struct bits b;
    struct sei sei;
    bits_init_rbsp(&b, nal.data + 1, nal.size - 1);
    while (sei_next(&b, &sei)) {
        sei_read_hdr(&sei, &au->hdr);
        sei_read_transfer(&sei, &au->transfer);
        if (sei.type != SEI_RECOVERY_POINT)
            continue;
        const uint32_t frames = bits_ue_max(&sei.payload, 65535);
        bits_skip(&sei.payload, 1); /* exact_match_flag */
        const bool broken = bits_flag(&sei.payload);
        if (sei.payload.error) {
            au->damaged++;
            continue;
        }
        au->recovery_point = true;
        au->recovery_frames = (uint16_t)frames;
        au->broken_link = broken;
    }
    au->damaged += b.error;
}

static void add_unit(struct h264_context *ctx, struct nal nal, struct h264_access_unit *au)
{
    struct h264_slice slice;
    switch (h264_nal_type(nal)) {
    case H264_NAL_SLICE:
    case H264_NAL_PARTITION_A:
    case H264_NAL_IDR:
        if (h264_parse_slice(ctx, nal, &slice, NULL) == 0)
            add_slice(ctx, &slice, au);
        else
            au->damaged++;
        break;
    case H264_NAL_SEI:
        add_sei(nal, au);
        break;
    case H264_NAL_SPS:
        au->has_sps = true;
        au->damaged += h264_context_add(ctx, nal, NULL) != 0;
        break;
    case H264_NAL_PPS:
        au->has_pps = true;
        au->damaged += h264_context_add(ctx, nal, NULL) != 0;
        break;
    case H264_NAL_AUD:
        au->has_aud = true;
        break;
    default:
        break;
    }
}

int h264_access_unit(struct h264_context *ctx, const void *data, size_t size, unsigned length_size,
                     struct h264_access_unit *ret, struct error *err)
{
    struct h264_access_unit au = {0};
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, data, size, length_size);
    while (nal_next(&it, &nal))
        add_unit(ctx, nal, &au);
    if (it.error)
        return error_set(err, RGPU_ERROR_INPUT,
                         "H.264: a unit's length points past the end of its %zu byte packet", size);
    au.intra_only =
        au.slices > 0 && !(au.slice_types & ~(1u << H264_SLICE_I | 1u << H264_SLICE_SI));
    *ret = au;
    return 0;
}
