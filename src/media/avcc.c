#include "media/avcc.h"

#include <string.h>

#include "media/bits.h"

static bool has_high_part(unsigned profile_idc)
{
    return profile_idc == 100 || profile_idc == 110 || profile_idc == 122 || profile_idc == 144 ||
           profile_idc == 244 || profile_idc == 44;
}

static int add_unit(struct nal *list, int *count, int max, struct nal nal, struct error *err)
{
    for (int i = 0; i < *count; i++)
        if (list[i].size == nal.size && memcmp(list[i].data, nal.data, nal.size) == 0)
            return 0;
    if (*count >= max)
        return error_set(err, RGPU_ERROR_LIMIT, "H.264: more than %d parameter sets of one kind",
                         max);
    list[(*count)++] = nal;
    return 0;
}

static int add_any(struct avcc *c, struct nal nal, struct error *err)
{
    switch (h264_nal_type(nal)) {
    case H264_NAL_SPS:
        return add_unit(c->sps, &c->sps_count, H264_SPS_MAX, nal, err);
    case H264_NAL_PPS:
        return add_unit(c->pps, &c->pps_count, AVCC_PPS_MAX, nal, err);
    case H264_NAL_SPS_EXT:
        return add_unit(c->ext, &c->ext_count, AVCC_EXT_MAX, nal, err);
    default:
        return 0;
    }
}

/* `count` units, each behind a 16-bit length; those of an unexpected type are dropped. */
static int read_list(struct byte_reader *r, unsigned count, struct avcc *c, struct error *err)
{
    for (unsigned i = 0; i < count && !r->error; i++) {
        const size_t size = byte_u16(r);
        const struct nal nal = {byte_take(r, size), size};
        const int code = r->error || size == 0 ? 0 : add_any(c, nal, err);
        if (code)
            return code;
    }
    return 0;
}

static int no_sps(struct error *err)
{
    return error_set(err, RGPU_ERROR_INPUT, "H.264: the codec header has no SPS");
}

int avcc_from_units(const void *data, size_t size, unsigned length_size, struct avcc *ret,
                    struct error *err)
{
    struct avcc c = {.length_size = length_size ? length_size : 4,
                     .annexb = length_size == NAL_ANNEXB};
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, data, size, length_size);
    while (nal_next(&it, &nal)) {
        const int code = add_any(&c, nal, err);
        if (code)
            return code;
    }
    if (it.error)
        return error_set(err, RGPU_ERROR_INPUT, "H.264: a unit's length points past the end");
    if (c.sps_count == 0 || c.sps[0].size < 4)
        return no_sps(err);
    c.profile_idc = c.sps[0].data[1];
    c.constraints = c.sps[0].data[2];
    c.level_idc = c.sps[0].data[3];
    *ret = c;
    return 0;
}

int avcc_read(const void *data, size_t size, struct avcc *ret, struct error *err)
{
    const uint8_t *p = data;
    if (size >= 4 && p[0] == 0 && p[1] == 0 && (p[2] == 1 || (p[2] == 0 && p[3] == 1)))
        return avcc_from_units(data, size, NAL_ANNEXB, ret, err);

    struct byte_reader r = byte_reader(data, size);
    struct avcc c = {0};
    const unsigned version = byte_u8(&r);
    c.profile_idc = byte_u8(&r);
    c.constraints = byte_u8(&r);
    c.level_idc = byte_u8(&r);
    c.length_size = (byte_u8(&r) & 3u) + 1;
    if (r.error || version != 1)
        return error_set(err, RGPU_ERROR_INPUT,
                         "H.264: the codec header (%zu bytes) is neither avcC nor Annex B", size);
    int code = read_list(&r, byte_u8(&r) & 31, &c, err);
    if (code == 0)
        code = read_list(&r, byte_u8(&r), &c, err);
    if (code)
        return code;
    if (r.error)
        return error_set(err, RGPU_ERROR_INPUT, "H.264: the avcC record is cut short");
    /* Many writers leave the high-profile part out, so what follows is optional. */
    if (has_high_part(c.profile_idc) && byte_left(&r) >= 4) {
        byte_take(&r, 3);
        code = read_list(&r, byte_u8(&r), &c, err);
        if (code)
            return code;
    }
    if (c.sps_count == 0)
        return no_sps(err);
    *ret = c;
    return 0;
}

static int put_list(struct byte_writer *w, const struct nal *list, int count, struct error *err)
{
    for (int i = 0; i < count; i++) {
        if (list[i].size > UINT16_MAX)
            return error_set(err, RGPU_ERROR_LIMIT,
                             "H.264: a parameter set of %zu bytes does not fit into avcC",
                             list[i].size);
        byte_write(w, list[i].size, 2);
        byte_put(w, list[i].data, list[i].size);
    }
    return 0;
}

static int finish(const struct byte_writer *w, size_t *ret_size, struct error *err)
{
    *ret_size = w->size;
    if (w->size > w->capacity)
        return error_set(err, RGPU_ERROR_LIMIT, "H.264: the codec header needs %zu bytes", w->size);
    return 0;
}

int avcc_write(const struct avcc *config, void *out, size_t capacity, size_t *ret_size,
               struct error *err)
{
    struct h264_sps sps;
    if (config->sps_count == 0)
        return no_sps(err);
    int code = h264_parse_sps(config->sps[0], &sps, err);
    if (code)
        return code;
    /* The count has five bits. */
    if (config->sps_count > 31)
        return error_set(err, RGPU_ERROR_LIMIT, "H.264: avcC holds at most 31 SPS");
    struct byte_writer w = byte_writer(out, capacity);
    byte_write(&w, 1, 1);
    byte_write(&w, sps.profile_idc, 1);
    byte_write(&w, sps.constraints, 1);
    byte_write(&w, sps.level_idc, 1);
    byte_write(&w, 0xfc | (config->length_size - 1), 1);
    byte_write(&w, 0xe0u | (unsigned)config->sps_count, 1);
    code = put_list(&w, config->sps, config->sps_count, err);
    if (code == 0) {
        byte_write(&w, (unsigned)config->pps_count, 1);
        code = put_list(&w, config->pps, config->pps_count, err);
    }
    if (code == 0 && has_high_part(sps.profile_idc)) {
        byte_write(&w, 0xfcu | sps.chroma_format_idc, 1);
        byte_write(&w, 0xf8u | (sps.bit_depth_luma - 8u), 1);
        byte_write(&w, 0xf8u | (sps.bit_depth_chroma - 8u), 1);
        byte_write(&w, (unsigned)config->ext_count, 1);
        code = put_list(&w, config->ext, config->ext_count, err);
    }
    return code ? code : finish(&w, ret_size, err);
}

static void put_annexb(struct byte_writer *w, const struct nal *list, int count)
{
    for (int i = 0; i < count; i++) {
        byte_write(w, 1, 4);
        byte_put(w, list[i].data, list[i].size);
    }
}

int avcc_write_annexb(const struct avcc *config, void *out, size_t capacity, size_t *ret_size,
                      struct error *err)
{
    struct byte_writer w = byte_writer(out, capacity);
    put_annexb(&w, config->sps, config->sps_count);
    put_annexb(&w, config->ext, config->ext_count);
    put_annexb(&w, config->pps, config->pps_count);
    return finish(&w, ret_size, err);
}

static int apply_list(const struct nal *list, int count, struct h264_context *ctx,
                      struct error *err)
{
    int result = 0;
    for (int i = 0; i < count; i++) {
        const int code = h264_context_add(ctx, list[i], result ? NULL : err);
        if (result == 0)
            result = code;
    }
    return result;
}

int avcc_apply(const struct avcc *config, struct h264_context *ctx, struct error *err)
{
    const int sps = apply_list(config->sps, config->sps_count, ctx, err);
    const int pps = apply_list(config->pps, config->pps_count, ctx, sps ? NULL : err);
    return sps ? sps : pps;
}
