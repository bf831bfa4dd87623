#include "media/hevc.h"

#include "media/bits.h"
#include "media/frame.h"
#include "media/h26x.h"

#define SUB_LAYERS_MAX 7
#define SHORT_TERM_SETS_MAX 64
#define SET_PICTURES_MAX 16

/* Reads the unit's header; false where it is not of `type`. */
static bool begin(struct bits *b, struct nal nal, unsigned type)
{
    bits_init_rbsp(b, nal.data, nal.size);
    return (bits_read(b, 16) >> 9 & 63) == type;
}

/* ---- profile, tier and level (7.3.3) -----------------------------------------------------------
 */

static void read_profile(struct bits *b, unsigned sub_layers, struct hevc_profile *ret)
{
    ret->space = (uint8_t)bits_read(b, 2);
    ret->high_tier = bits_flag(b);
    ret->idc = (uint8_t)bits_read(b, 5);
    ret->compatibility = bits_read(b, 32);
    for (int i = 0; i < 6; i++)
        ret->constraints[i] = (uint8_t)bits_read(b, 8);
    ret->level_idc = (uint8_t)bits_read(b, 8);
    if (sub_layers < 2)
        return;
    uint32_t present = 0; /* two bits a sub-layer: profile, level */
    for (unsigned i = 0; i < sub_layers - 1; i++)
        present |= bits_read(b, 2) << 2 * i;
    bits_skip(b, 2 * (8 - (sub_layers - 1)));
    for (unsigned i = 0; i < sub_layers - 1; i++) {
        if (present >> 2 * i & 2)
            bits_skip(b, 88);
        if (present >> 2 * i & 1)
            bits_skip(b, 8);
    }
}

static struct rational read_timing(struct bits *b)
{
    const int64_t units = bits_read(b, 32), scale = bits_read(b, 32);
    if (bits_flag(b)) /* poc_proportional_to_timing_flag */
        bits_ue(b);
    return units && scale ? rational_reduce(scale, units) : (struct rational){0, 0};
}

/* ---- video parameter set (7.3.2.1) --------------------------------------------------------------
 */

int hevc_parse_vps(struct nal nal, struct hevc_vps *ret, struct error *err)
{
    struct bits b;
    if (!begin(&b, nal, HEVC_NAL_VPS))
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: the unit is no VPS");
    struct hevc_vps v = {.valid = true};
    v.id = (uint8_t)bits_read(&b, 4);
    bits_skip(&b, 2 + 6); /* base layer flags, vps_max_layers_minus1 */
    v.sub_layers = (uint8_t)(bits_read(&b, 3) + 1);
    v.temporal_nesting = bits_flag(&b);
    bits_skip(&b, 16);
    if (v.sub_layers <= SUB_LAYERS_MAX)
        read_profile(&b, v.sub_layers, &v.profile);
    const bool each = bits_flag(&b);
    for (unsigned i = each ? 0 : v.sub_layers - 1u; i < v.sub_layers && !b.error; i++) {
        bits_ue(&b);
        bits_ue(&b);
        bits_ue(&b);
    }
    const uint32_t layer_id_max = bits_read(&b, 6);
    const uint32_t layer_sets = bits_ue_max(&b, 1023);
    bits_skip(&b, (uint64_t)layer_sets * (layer_id_max + 1));
    v.has_timing = bits_flag(&b);
    if (v.has_timing)
        v.frame_rate = read_timing(&b);
    if (b.error || v.sub_layers > SUB_LAYERS_MAX)
        return error_set(err, RGPU_ERROR_INPUT,
                         "HEVC: the VPS (%zu bytes) is cut short or out of range", nal.size);
    *ret = v;
    return 0;
}

/* ---- sequence parameter set (7.3.2.2)
 * ------------------------------------------------------------ */

/* Picture order count distances of a short-term reference picture set: first the negative ones from
 * the nearest on, then the positive ones. */
struct short_term_set {
    int negatives, positives;
    int32_t delta[2 * SET_PICTURES_MAX + 1];
};

/* 7.3.7 with inter_ref_pic_set_prediction_flag: (7-61) and (7-62). */
static bool read_predicted_set(struct bits *b, const struct short_term_set *from,
                               struct short_term_set *ret)
{
    const bool negative = bits_flag(b);
    const int32_t distance = (int32_t)bits_ue_max(b, 32767) + 1;
    const int32_t delta = negative ? -distance : distance;
    const int count = from->negatives + from->positives;
    bool use[2 * SET_PICTURES_MAX + 1] = {false};
    for (int j = 0; j <= count; j++) {
        use[j] = bits_flag(b); /* used_by_curr_pic_flag, else use_delta_flag */
        if (!use[j])
            use[j] = bits_flag(b);
    }

    struct short_term_set set = {0};
    int32_t positive[2 * SET_PICTURES_MAX + 1];
    /* Candidates are the other set's pictures and its own picture (index `count`), all moved. */
    for (int j = from->negatives + from->positives - 1; j >= from->negatives; j--)
        if (use[j] && from->delta[j] + delta < 0)
            set.delta[set.negatives++] = from->delta[j] + delta;
    if (use[count] && delta < 0)
        set.delta[set.negatives++] = delta;
    for (int j = 0; j < from->negatives; j++)
        if (use[j] && from->delta[j] + delta < 0)
            set.delta[set.negatives++] = from->delta[j] + delta;
    for (int j = from->negatives - 1; j >= 0; j--)
        if (use[j] && from->delta[j] + delta > 0)
            positive[set.positives++] = from->delta[j] + delta;
    if (use[count] && delta > 0)
        positive[set.positives++] = delta;
    for (int j = from->negatives; j < count; j++)
        if (use[j] && from->delta[j] + delta > 0)
            positive[set.positives++] = from->delta[j] + delta;
    if (set.negatives > SET_PICTURES_MAX || set.positives > SET_PICTURES_MAX)
        return false;
    memcpy(set.delta + set.negatives, positive, (size_t)set.positives * sizeof(positive[0]));
    *ret = set;
    return true;
}

static void read_explicit_set(struct bits *b, struct short_term_set *ret)
{
    struct short_term_set set = {0};
    set.negatives = (int)bits_ue_max(b, SET_PICTURES_MAX);
    set.positives = (int)bits_ue_max(b, SET_PICTURES_MAX);
    int32_t poc = 0;
    for (int i = 0; i < set.negatives + set.positives; i++) {
        if (i == set.negatives)
            poc = 0;
        const int32_t distance = (int32_t)bits_ue_max(b, 32767) + 1;
        poc += i < set.negatives ? -distance : distance;
        set.delta[i] = poc;
        bits_skip(b, 1); /* used_by_curr_pic */
    }
    *ret = set;
}

static bool read_short_term_sets(struct bits *b)
{
    const uint32_t count = bits_ue_max(b, SHORT_TERM_SETS_MAX);
    struct short_term_set set = {0};
    for (uint32_t i = 0; i < count && !b->error; i++) {
        /* Within an SPS a set is predicted from the one before it. */
        if (i > 0 && bits_flag(b)) {
            const struct short_term_set from = set;
            if (!read_predicted_set(b, &from, &set))
                return false;
        } else {
            read_explicit_set(b, &set);
        }
    }
    return true;
}

/* 7.3.4 */
static void skip_scaling_lists(struct bits *b)
{
    for (unsigned size = 0; size < 4; size++)
        for (unsigned matrix = 0; matrix < 6 && !b->error; matrix += size == 3 ? 3 : 1) {
            if (!bits_flag(b)) {
                bits_ue(b); /* scaling_list_pred_matrix_id_delta */
                continue;
            }
            if (size > 1)
                bits_se(b); /* scaling_list_dc_coef_minus8 */
            const unsigned coefficients = size == 0 ? 16 : 64;
            for (unsigned i = 0; i < coefficients && !b->error; i++)
                bits_se(b);
        }
}

static void skip_sub_layer_hrd(struct bits *b, uint32_t count, bool sub_pictures)
{
    for (uint32_t i = 0; i < count && !b->error; i++) {
        bits_ue(b);
        bits_ue(b);
        if (sub_pictures) {
            bits_ue(b);
            bits_ue(b);
        }
        bits_skip(b, 1);
    }
}

/* E.2.2 with commonInfPresentFlag 1. */
static void skip_hrd(struct bits *b, unsigned sub_layers)
{
    const bool nal = bits_flag(b), vcl = bits_flag(b);
    bool sub_pictures = false;
    if (nal || vcl) {
        sub_pictures = bits_flag(b);
        if (sub_pictures)
            bits_skip(b, 8 + 5 + 1 + 5);
        bits_skip(b, 8); /* bit_rate_scale, cpb_size_scale */
        if (sub_pictures)
            bits_skip(b, 4);
        bits_skip(b, 15); /* lengths */
    }
    for (unsigned i = 0; i < sub_layers && !b->error; i++) {
        const bool fixed_general = bits_flag(b);
        const bool fixed = fixed_general || bits_flag(b);
        bool low_delay = false;
        uint32_t cpbs = 1;
        if (fixed)
            bits_ue(b); /* elemental_duration_in_tc_minus1 */
        else
            low_delay = bits_flag(b);
        if (!low_delay)
            cpbs = bits_ue_max(b, 31) + 1;
        if (nal)
            skip_sub_layer_hrd(b, cpbs, sub_pictures);
        if (vcl)
            skip_sub_layer_hrd(b, cpbs, sub_pictures);
    }
}

/* E.2.1 */
static void read_vui(struct bits *b, struct hevc_sps *s)
{
    s->has_vui = true;
    s->sample_aspect = h26x_read_aspect(b);
    h26x_read_color(b, &s->color);
    bits_skip(b, 1); /* neutral_chroma_indication_flag */
    s->field_seq = bits_flag(b);
    s->frame_field_info = bits_flag(b);
    if (bits_flag(b)) /* default display window: for the display, not cropped away */
        for (int i = 0; i < 4; i++)
            bits_ue(b);
    s->has_timing = bits_flag(b);
    if (s->has_timing) {
        s->frame_rate = read_timing(b);
        if (bits_flag(b))
            skip_hrd(b, s->sub_layers);
    }
    if (bits_flag(b)) { /* bitstream_restriction_flag */
        bits_skip(b, 3);
        s->min_spatial_segmentation = (uint16_t)bits_ue_max(b, 4095);
        for (int i = 0; i < 4; i++)
            bits_ue(b);
    }
}

/* Size, conformance window and depths; false where the picture is empty or too large. */
static bool read_size(struct bits *b, struct hevc_sps *s)
{
    s->chroma_format_idc = (uint8_t)bits_ue_max(b, 3);
    if (s->chroma_format_idc == 3)
        s->separate_colour_plane = bits_flag(b);
    s->coded_width = (int32_t)bits_ue_max(b, FRAME_SIZE_MAX);
    s->coded_height = (int32_t)bits_ue_max(b, FRAME_SIZE_MAX);
    int32_t crop[4] = {0}; /* left, right, top, bottom in chroma samples */
    if (bits_flag(b))
        for (int i = 0; i < 4; i++)
            crop[i] = (int32_t)bits_ue_max(b, FRAME_SIZE_MAX);
    const int32_t unit_x = s->chroma_format_idc == 1 || s->chroma_format_idc == 2 ? 2 : 1;
    const int32_t unit_y = s->chroma_format_idc == 1 ? 2 : 1;
    s->crop_left = crop[0] * unit_x;
    s->crop_top = crop[2] * unit_y;
    s->width = s->coded_width - (crop[0] + crop[1]) * unit_x;
    s->height = s->coded_height - (crop[2] + crop[3]) * unit_y;
    s->bit_depth_luma = (uint8_t)(8 + bits_ue_max(b, 8));
    s->bit_depth_chroma = (uint8_t)(8 + bits_ue_max(b, 8));
    return s->width > 0 && s->height > 0;
}

static void read_sub_layer_order(struct bits *b, struct hevc_sps *s)
{
    const bool each = bits_flag(b);
    for (unsigned i = each ? 0 : s->sub_layers - 1u; i < s->sub_layers && !b->error; i++) {
        s->max_dec_pic_buffering = (uint8_t)(bits_ue_max(b, 15) + 1);
        s->max_num_reorder = (uint8_t)bits_ue_max(b, 15);
        s->max_latency_increase = bits_ue(b);
    }
}

/* From the block sizes to strong_intra_smoothing_enabled_flag. */
static bool read_coding_tools(struct bits *b, struct hevc_sps *s)
{
    const uint32_t log2_min_cb = bits_ue_max(b, 3) + 3;
    s->log2_ctb_size = (uint8_t)(log2_min_cb + bits_ue_max(b, 3));
    for (int i = 0; i < 4; i++)
        bits_ue(b); /* transform block sizes and depths */
    const bool scaling_lists = bits_flag(b);
    if (scaling_lists && bits_flag(b)) /* sps_scaling_list_data_present_flag */
        skip_scaling_lists(b);
    bits_skip(b, 2);    /* asymmetric partitions, sample adaptive offset */
    if (bits_flag(b)) { /* pcm_enabled_flag */
        bits_skip(b, 8);
        bits_ue(b);
        bits_ue(b);
        bits_skip(b, 1);
    }
    if (!read_short_term_sets(b))
        return false;
    if (bits_flag(b)) { /* long_term_ref_pics_present_flag */
        const uint32_t count = bits_ue_max(b, 32);
        bits_skip(b, (uint64_t)count * (s->log2_max_poc_lsb + 1u));
    }
    bits_skip(b, 2); /* temporal motion vectors, strong intra smoothing */
    return true;
}

int hevc_parse_sps(struct nal nal, struct hevc_sps *ret, struct error *err)
{
    struct bits b;
    if (!begin(&b, nal, HEVC_NAL_SPS))
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: the unit is no SPS");
    struct hevc_sps s = {.valid = true};
    s.vps_id = (uint8_t)bits_read(&b, 4);
    s.sub_layers = (uint8_t)(bits_read(&b, 3) + 1);
    s.temporal_nesting = bits_flag(&b);
    bool good = s.sub_layers <= SUB_LAYERS_MAX;
    if (good)
        read_profile(&b, s.sub_layers, &s.profile);
    s.id = (uint8_t)bits_ue_max(&b, HEVC_SPS_MAX - 1);
    good = good && read_size(&b, &s);
    s.log2_max_poc_lsb = (uint8_t)(4 + bits_ue_max(&b, 12));
    read_sub_layer_order(&b, &s);
    good = good && read_coding_tools(&b, &s);
    const bool vui = bits_flag(&b);
    if (b.error || !good)
        return error_set(err, RGPU_ERROR_INPUT,
                         "HEVC: the SPS (%zu bytes) is cut short or out of range", nal.size);
    if (vui) {
        struct hevc_sps with_vui = s;
        read_vui(&b, &with_vui);
        if (b.error)
            s.vui_damaged = true;
        else
            s = with_vui;
    }
    *ret = s;
    return 0;
}

/* ---- picture parameter set (7.3.2.3)
 * -------------------------------------------------------------- */

int hevc_parse_pps(struct nal nal, struct hevc_pps *ret, struct error *err)
{
    struct bits b;
    if (!begin(&b, nal, HEVC_NAL_PPS))
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: the unit is no PPS");
    struct hevc_pps p = {.valid = true};
    p.id = (uint8_t)bits_ue_max(&b, HEVC_PPS_MAX - 1);
    p.sps_id = (uint8_t)bits_ue_max(&b, HEVC_SPS_MAX - 1);
    p.dependent_slices = bits_flag(&b);
    p.output_flag_present = bits_flag(&b);
    p.extra_slice_header_bits = (uint8_t)bits_read(&b, 3);
    bits_skip(&b, 2);    /* sign data hiding, cabac_init_present_flag */
    bits_ue_max(&b, 14); /* num_ref_idx_l0_default_active_minus1 */
    bits_ue_max(&b, 14);
    bits_se(&b);       /* init_qp_minus26 */
    bits_skip(&b, 2);  /* constrained intra, transform skip */
    if (bits_flag(&b)) /* cu_qp_delta_enabled_flag */
        bits_ue_max(&b, 3);
    bits_se_range(&b, -12, 12);
    bits_se_range(&b, -12, 12);
    bits_skip(&b, 4); /* chroma offsets, weighting, transquant bypass */
    p.tiles = bits_flag(&b);
    p.entropy_sync = bits_flag(&b);
    if (b.error)
        return error_set(err, RGPU_ERROR_INPUT,
                         "HEVC: the PPS (%zu bytes) is cut short or out of range", nal.size);
    *ret = p;
    return 0;
}

/* True for a unit of the base layer with a whole header. */
static bool base_layer(struct nal nal)
{
    return nal.size >= 2 && !(nal.data[0] & 1) && !(nal.data[1] & 0xf8);
}

int hevc_context_add(struct hevc_context *ctx, struct nal nal, struct error *err)
{
    if (nal.size < 2)
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: a unit is shorter than its header");
    if (!base_layer(nal))
        return 0;
    struct hevc_vps vps;
    struct hevc_sps sps;
    struct hevc_pps pps;
    int code = 0;
    switch (hevc_nal_type(nal)) {
    case HEVC_NAL_VPS:
        code = hevc_parse_vps(nal, &vps, err);
        if (code == 0)
            ctx->vps[vps.id] = vps;
        break;
    case HEVC_NAL_SPS:
        code = hevc_parse_sps(nal, &sps, err);
        if (code == 0)
            ctx->sps[sps.id] = sps;
        break;
    case HEVC_NAL_PPS:
        code = hevc_parse_pps(nal, &pps, err);
        if (code == 0)
            ctx->pps[pps.id] = pps;
        break;
    default:
        break;
    }
    return code;
}

/* ---- slice segment header (7.3.6.1)
 * ---------------------------------------------------------------- */

static bool is_irap(unsigned type)
{
    return type >= HEVC_NAL_BLA_W_LP && type <= HEVC_NAL_IRAP_LAST;
}

static bool is_slice(unsigned type)
{
    return type <= HEVC_NAL_RASL_R || (type >= HEVC_NAL_BLA_W_LP && type <= HEVC_NAL_CRA);
}

static void read_segment(struct bits *b, const struct hevc_sps *sps, const struct hevc_pps *pps,
                         struct hevc_slice *s)
{
    const uint32_t ctb = 1u << sps->log2_ctb_size;
    const uint32_t across = ((uint32_t)sps->coded_width + ctb - 1) >> sps->log2_ctb_size;
    const uint32_t down = ((uint32_t)sps->coded_height + ctb - 1) >> sps->log2_ctb_size;
    s->output = true;
    if (!s->first_in_picture) {
        s->dependent = pps->dependent_slices && bits_flag(b);
        const uint32_t last = across * down - 1;
        s->address = bits_read(b, last ? 32 - (unsigned)__builtin_clz(last) : 0);
    }
    if (s->dependent)
        return;
    bits_skip(b, pps->extra_slice_header_bits);
    s->type = (uint8_t)bits_ue_max(b, 2);
    if (pps->output_flag_present)
        s->output = bits_flag(b);
    if (sps->separate_colour_plane)
        bits_skip(b, 2);
    if (s->nal_type != HEVC_NAL_IDR_W_RADL && s->nal_type != HEVC_NAL_IDR_N_LP)
        s->poc_lsb = bits_read(b, sps->log2_max_poc_lsb);
}

int hevc_parse_slice(const struct hevc_context *ctx, struct nal nal, struct hevc_slice *ret,
                     struct error *err)
{
    struct bits b;
    bits_init_rbsp(&b, nal.data, nal.size);
    const uint32_t header = bits_read(&b, 16);
    struct hevc_slice s = {.nal_type = header >> 9 & 63};
    if (b.error || !is_slice(s.nal_type) || (header & 7) == 0)
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: the unit is no slice");
    s.temporal_id = (uint8_t)((header & 7) - 1);
    s.first_in_picture = bits_flag(&b);
    if (is_irap(s.nal_type))
        s.no_output_of_prior = bits_flag(&b);
    s.pps_id = (uint8_t)bits_ue_max(&b, HEVC_PPS_MAX - 1);
    if (b.error)
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: a slice header is broken");
    const struct hevc_pps *pps = &ctx->pps[s.pps_id];
    const struct hevc_sps *sps = &ctx->sps[pps->sps_id];
    if (!pps->valid || !sps->valid)
        return error_set(err, RGPU_ERROR_INPUT,
                         "HEVC: a slice uses PPS %d, whose parameter sets are missing", s.pps_id);
    s.sps_id = pps->sps_id;
    read_segment(&b, sps, pps, &s);
    if (b.error)
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: a slice header is broken");
    *ret = s;
    return 0;
}

/* ---- access unit
 * ------------------------------------------------------------------------------------ */

static void add_slice(struct hevc_context *ctx, const struct hevc_slice *slice,
                      struct hevc_access_unit *au)
{
    if (au->slices == 0) {
        const unsigned type = slice->nal_type;
        au->first = *slice;
        au->irap = is_irap(type);
        au->idr = type == HEVC_NAL_IDR_W_RADL || type == HEVC_NAL_IDR_N_LP;
        au->cra = type == HEVC_NAL_CRA;
        au->bla = type >= HEVC_NAL_BLA_W_LP && type <= HEVC_NAL_BLA_N_LP;
        au->begins = au->irap && (!au->cra || ctx->ended);
        au->rasl = type == HEVC_NAL_RASL_N || type == HEVC_NAL_RASL_R;
        au->radl = type == HEVC_NAL_RADL_N || type == HEVC_NAL_RADL_R;
        au->reference = type >= HEVC_NAL_BLA_W_LP || (type & 1);
    }
    ctx->ended = false;
    au->slices++;
    au->pictures += slice->first_in_picture;
    if (!slice->dependent)
        au->slice_types |= 1u << slice->type;
}

static void add_sei(const struct hevc_context *ctx, struct nal nal, struct hevc_access_unit *au)
{
    struct bits b;
    struct sei sei;
    bits_init_rbsp(&b, nal.data, nal.size);
    bits_skip(&b, 16);
    while (sei_next(&b, &sei)) {
        sei_read_hdr(&sei, &au->hdr);
        sei_read_transfer(&sei, &au->transfer);
        if (sei.type == SEI_RECOVERY_POINT) {
            const int32_t poc = bits_se_range(&sei.payload, INT16_MIN, INT16_MAX);
            bits_skip(&sei.payload, 1); /* exact_match_flag */
            const bool broken = bits_flag(&sei.payload);
            if (sei.payload.error) {
                au->damaged++;
                continue;
            }
            au->recovery_point = true;
            au->recovery_poc = (int16_t)poc;
            au->broken_link = broken;
        } else if (sei.type == SEI_PIC_TIMING) {
            /* The message does not say which SPS it means: the one the slice will name, and
             * streams that switch this flag between SPSs are not known. */
            for (int i = 0; i < HEVC_SPS_MAX; i++)
                if (ctx->sps[i].valid && ctx->sps[i].frame_field_info) {
                    au->pic_struct = (int8_t)bits_read(&sei.payload, 4);
                    break;
                }
        }
    }
    au->damaged += b.error;
}

static void add_unit(struct hevc_context *ctx, struct nal nal, struct hevc_access_unit *au)
{
    if (!base_layer(nal)) {
        au->damaged += nal.size < 2;
        return;
    }
    const unsigned type = hevc_nal_type(nal);
    struct hevc_slice slice;
    if (is_slice(type)) {
        if (hevc_parse_slice(ctx, nal, &slice, NULL) == 0)
            add_slice(ctx, &slice, au);
        else
            au->damaged++;
    } else if (type == HEVC_NAL_SEI_PREFIX || type == HEVC_NAL_SEI_SUFFIX) {
        add_sei(ctx, nal, au);
    } else if (type == HEVC_NAL_EOS || type == HEVC_NAL_EOB) {
        ctx->ended = true;
    } else {
        au->has_vps |= type == HEVC_NAL_VPS;
        au->has_sps |= type == HEVC_NAL_SPS;
        au->has_pps |= type == HEVC_NAL_PPS;
        au->has_aud |= type == HEVC_NAL_AUD;
        au->damaged += hevc_context_add(ctx, nal, NULL) != 0;
    }
}

int hevc_access_unit(struct hevc_context *ctx, const void *data, size_t size, unsigned length_size,
                     struct hevc_access_unit *ret, struct error *err)
{
    struct hevc_access_unit au = {.pic_struct = -1};
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, data, size, length_size);
    while (nal_next(&it, &nal))
        add_unit(ctx, nal, &au);
    if (it.error)
        return error_set(err, RGPU_ERROR_INPUT,
                         "HEVC: a unit's length points past the end of its %zu byte packet", size);
    au.intra_only = au.slices > 0 && au.slice_types == 1u << HEVC_SLICE_I;
    *ret = au;
    return 0;
}
