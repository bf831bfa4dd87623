#include "media/hvcc.h"

#include <string.h>

#include "media/bits.h"

#define PREFERRED_UNIT_MAX 256 /* bytes of an SEI unit that is looked at */

struct list {
    unsigned type;
    struct nal *units;
    int *count, max;
};

static struct list list_of(struct hvcc *c, unsigned type)
{
    switch (type) {
    case HEVC_NAL_VPS:
        return (struct list){type, c->vps, &c->vps_count, HEVC_VPS_MAX};
    case HEVC_NAL_SPS:
        return (struct list){type, c->sps, &c->sps_count, HEVC_SPS_MAX};
    case HEVC_NAL_PPS:
        return (struct list){type, c->pps, &c->pps_count, HEVC_PPS_MAX};
    case HEVC_NAL_SEI_PREFIX:
    case HEVC_NAL_SEI_SUFFIX:
        return (struct list){type, c->sei, &c->sei_count, HVCC_SEI_MAX};
    default:
        return (struct list){0};
    }
}

static int add_unit(struct hvcc *c, struct nal nal, struct error *err)
{
    const struct list list = list_of(c, hevc_nal_type(nal));
    if (!list.units || nal.size < 2)
        return 0;
    for (int i = 0; i < *list.count; i++)
        if (list.units[i].size == nal.size && memcmp(list.units[i].data, nal.data, nal.size) == 0)
            return 0;
    if (*list.count >= list.max)
        return error_set(err, RGPU_ERROR_LIMIT, "HEVC: more than %d units of type %u in a header",
                         list.max, list.type);
    list.units[(*list.count)++] = nal;
    return 0;
}

/* Profile, level, tier and sub-layers that cover all SPSs: what every decoder of the stream needs.
 */
static int sum_up(struct hvcc *c, uint16_t *ret_segmentation, bool *ret_nesting, struct error *err)
{
    if (c->sps_count == 0)
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: the codec header has no SPS");
    for (int i = 0; i < c->sps_count; i++) {
        struct hevc_sps sps;
        const int code = hevc_parse_sps(c->sps[i], &sps, err);
        if (code)
            return code;
        struct hevc_profile *p = &c->profile;
        if (i == 0) {
            *p = sps.profile;
            c->chroma_format_idc = sps.chroma_format_idc;
            c->bit_depth_luma = sps.bit_depth_luma;
            c->bit_depth_chroma = sps.bit_depth_chroma;
            c->sub_layers = sps.sub_layers;
            *ret_nesting = sps.temporal_nesting;
            *ret_segmentation = sps.min_spatial_segmentation;
            continue;
        }
        if (sps.profile.idc > p->idc)
            p->idc = sps.profile.idc;
        /* A level of the high tier is above the same one of the main tier. */
        if (sps.profile.high_tier > p->high_tier ||
            (sps.profile.high_tier == p->high_tier && sps.profile.level_idc > p->level_idc))
            p->level_idc = sps.profile.level_idc;
        p->high_tier |= sps.profile.high_tier;
        p->compatibility &= sps.profile.compatibility;
        for (int j = 0; j < 6; j++)
            p->constraints[j] &= sps.profile.constraints[j];
        if (sps.sub_layers > c->sub_layers)
            c->sub_layers = sps.sub_layers;
        *ret_nesting = *ret_nesting && sps.temporal_nesting;
        if (sps.min_spatial_segmentation < *ret_segmentation)
            *ret_segmentation = sps.min_spatial_segmentation;
    }
    return 0;
}

int hvcc_from_units(const void *data, size_t size, unsigned length_size, struct hvcc *ret,
                    struct error *err)
{
    struct hvcc c = {.length_size = length_size ? length_size : 4,
                     .annexb = length_size == NAL_ANNEXB};
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, data, size, length_size);
    while (nal_next(&it, &nal)) {
        const unsigned type = hevc_nal_type(nal);
        const bool is_set = type >= HEVC_NAL_VPS && type <= HEVC_NAL_PPS;
        const int code = is_set ? add_unit(&c, nal, err) : 0;
        if (code)
            return code;
    }
    if (it.error)
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: a unit's length points past the end");
    uint16_t segmentation;
    bool nesting;
    const int code = sum_up(&c, &segmentation, &nesting, err);
    if (code)
        return code;
    *ret = c;
    return 0;
}

static void read_fields(struct byte_reader *r, struct hvcc *c)
{
    const unsigned profile = byte_u8(r);
    c->profile.space = (uint8_t)(profile >> 6);
    c->profile.high_tier = profile >> 5 & 1;
    c->profile.idc = profile & 31;
    c->profile.compatibility = byte_u32(r);
    for (int i = 0; i < 6; i++)
        c->profile.constraints[i] = byte_u8(r);
    c->profile.level_idc = byte_u8(r);
    byte_take(r, 3); /* min_spatial_segmentation_idc, parallelismType */
    c->chroma_format_idc = byte_u8(r) & 3;
    c->bit_depth_luma = (uint8_t)((byte_u8(r) & 7) + 8);
    c->bit_depth_chroma = (uint8_t)((byte_u8(r) & 7) + 8);
    byte_take(r, 2); /* avgFrameRate */
    const unsigned last = byte_u8(r);
    c->sub_layers = last >> 3 & 7;
    c->length_size = (last & 3) + 1;
}

int hvcc_read(const void *data, size_t size, struct hvcc *ret, struct error *err)
{
    const uint8_t *p = data;
    if (size >= 4 && p[0] == 0 && p[1] == 0 && (p[2] == 1 || (p[2] == 0 && p[3] == 1)))
        return hvcc_from_units(data, size, NAL_ANNEXB, ret, err);

    struct byte_reader r = byte_reader(data, size);
    struct hvcc c = {0};
    /* Version 0 was written by encoders before the standard was final. */
    const unsigned version = byte_u8(&r);
    read_fields(&r, &c);
    if (r.error || version > 1)
        return error_set(err, RGPU_ERROR_INPUT,
                         "HEVC: the codec header (%zu bytes) is neither hvcC nor Annex B", size);
    for (unsigned arrays = byte_u8(&r); arrays > 0 && !r.error; arrays--) {
        const unsigned head = byte_u8(&r);
        const bool complete = head >> 7;
        const unsigned type = head & 63;
        if (!complete && type >= HEVC_NAL_VPS && type <= HEVC_NAL_PPS)
            c.in_band = true;
        for (unsigned units = byte_u16(&r); units > 0 && !r.error; units--) {
            const size_t length = byte_u16(&r);
            const struct nal nal = {byte_take(&r, length), length};
            /* What the unit says of itself counts, not the array's type. */
            const int code = r.error || length < 2 ? 0 : add_unit(&c, nal, err);
            if (code)
                return code;
        }
    }
    if (r.error)
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: the hvcC record is cut short");
    if (c.sps_count == 0)
        return error_set(err, RGPU_ERROR_INPUT, "HEVC: the codec header has no SPS");
    *ret = c;
    return 0;
}

/* parallelismType: 1 slices, 2 tiles, 3 wavefronts; 0 mixed, unknown or of no use. */
static unsigned parallelism(const struct hvcc *c, unsigned segmentation)
{
    unsigned type = 0;
    for (int i = 0; i < c->pps_count && segmentation > 0; i++) {
        struct hevc_pps pps;
        if (hevc_parse_pps(c->pps[i], &pps, NULL))
            return 0;
        const unsigned own = pps.tiles && pps.entropy_sync ? 0
                             : pps.entropy_sync            ? 3
                             : pps.tiles                   ? 2
                                                           : 1;
        if (own == 0 || (i > 0 && own != type))
            return 0;
        type = own;
    }
    return type;
}

static void put_fields(struct byte_writer *w, const struct hvcc *c, unsigned segmentation,
                       bool nesting, unsigned length_size)
{
    const struct hevc_profile *p = &c->profile;
    byte_write(w, 1, 1);
    byte_write(w, (unsigned)p->space << 6 | (unsigned)p->high_tier << 5 | p->idc, 1);
    byte_write(w, p->compatibility, 4);
    byte_put(w, p->constraints, 6);
    byte_write(w, p->level_idc, 1);
    byte_write(w, 0xf000u | segmentation, 2);
    byte_write(w, 0xfcu | parallelism(c, segmentation), 1);
    byte_write(w, 0xfcu | c->chroma_format_idc, 1);
    byte_write(w, 0xf8u | (c->bit_depth_luma - 8u), 1);
    byte_write(w, 0xf8u | (c->bit_depth_chroma - 8u), 1);
    byte_write(w, 0, 2); /* avgFrameRate: not said */
    byte_write(w, (unsigned)c->sub_layers << 3 | (unsigned)nesting << 2 | (length_size - 1), 1);
}

/* SEI units of one kind, or all units of a parameter set's list. */
static int put_array(struct byte_writer *w, struct hvcc *c, unsigned type, struct error *err)
{
    const struct list list = list_of(c, type);
    int count = 0;
    for (int i = 0; i < *list.count; i++)
        count += hevc_nal_type(list.units[i]) == type;
    if (count == 0)
        return 0;
    const bool is_set = type <= HEVC_NAL_PPS;
    byte_write(w, (unsigned)(is_set && !c->in_band) << 7 | type, 1);
    byte_write(w, (unsigned)count, 2);
    for (int i = 0; i < *list.count; i++) {
        const struct nal nal = list.units[i];
        if (hevc_nal_type(nal) != type)
            continue;
        if (nal.size > UINT16_MAX)
            return error_set(err, RGPU_ERROR_LIMIT,
                             "HEVC: a unit of %zu bytes does not fit into hvcC", nal.size);
        byte_write(w, nal.size, 2);
        byte_put(w, nal.data, nal.size);
    }
    return 0;
}

static int finish(const struct byte_writer *w, size_t *ret_size, struct error *err)
{
    *ret_size = w->size;
    if (w->size > w->capacity)
        return error_set(err, RGPU_ERROR_LIMIT, "HEVC: the codec header needs %zu bytes", w->size);
    return 0;
}

int hvcc_write(const struct hvcc *config, void *out, size_t capacity, size_t *ret_size,
               struct error *err)
{
    static const uint8_t types[] = {HEVC_NAL_VPS, HEVC_NAL_SPS, HEVC_NAL_PPS, HEVC_NAL_SEI_PREFIX,
                                    HEVC_NAL_SEI_SUFFIX};
    struct hvcc c = *config;
    uint16_t segmentation = 0;
    bool nesting = false;
    int code = sum_up(&c, &segmentation, &nesting, err);
    if (code)
        return code;
    unsigned arrays = (c.vps_count > 0) + (c.sps_count > 0) + (c.pps_count > 0);
    bool prefix = false, suffix = false;
    for (int i = 0; i < c.sei_count; i++) {
        prefix |= hevc_nal_type(c.sei[i]) == HEVC_NAL_SEI_PREFIX;
        suffix |= hevc_nal_type(c.sei[i]) == HEVC_NAL_SEI_SUFFIX;
    }
    arrays += prefix + suffix;

    struct byte_writer w = byte_writer(out, capacity);
    put_fields(&w, &c, segmentation, nesting, config->length_size);
    byte_write(&w, arrays, 1);
    for (size_t i = 0; i < sizeof(types) && code == 0; i++)
        code = put_array(&w, &c, types[i], err);
    return code ? code : finish(&w, ret_size, err);
}

static void put_annexb(struct byte_writer *w, const struct nal *list, int count)
{
    for (int i = 0; i < count; i++) {
        byte_write(w, 1, 4);
        byte_put(w, list[i].data, list[i].size);
    }
}

int hvcc_write_annexb(const struct hvcc *config, void *out, size_t capacity, size_t *ret_size,
                      struct error *err)
{
    struct byte_writer w = byte_writer(out, capacity);
    put_annexb(&w, config->vps, config->vps_count);
    put_annexb(&w, config->sps, config->sps_count);
    put_annexb(&w, config->pps, config->pps_count);
    put_annexb(&w, config->sei, config->sei_count);
    return finish(&w, ret_size, err);
}

int hvcc_apply(const struct hvcc *config, struct hevc_context *ctx, struct error *err)
{
    const struct {
        const struct nal *units;
        int count;
    } lists[] = {{config->vps, config->vps_count},
                 {config->sps, config->sps_count},
                 {config->pps, config->pps_count}};
    int result = 0;
    for (int l = 0; l < 3; l++)
        for (int i = 0; i < lists[l].count; i++) {
            const int code = hevc_context_add(ctx, lists[l].units[i], result ? NULL : err);
            if (result == 0)
                result = code;
        }
    return result;
}

uint8_t hvcc_preferred_transfer(const struct hvcc *config, struct hevc_context *ctx)
{
    uint8_t transfer = 0;
    for (int i = 0; i < config->sei_count; i++) {
        uint8_t bytes[PREFERRED_UNIT_MAX];
        struct hevc_access_unit au;
        const size_t size = nal_write(config->sei[i], NAL_ANNEXB, bytes, sizeof(bytes));
        if (size > 0 && size <= sizeof(bytes) &&
            hevc_access_unit(ctx, bytes, size, NAL_ANNEXB, &au, NULL) == 0 && au.transfer)
            transfer = au.transfer;
    }
    return transfer;
}
