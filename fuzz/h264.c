/* media/h264.h, media/avcc.h and H.264's part of media/timecode.h. The first byte picks the framing
 * of an access unit and whether the rest is a codec header instead. */
#include <string.h>

#include "fuzz.h"
#include "media/avcc.h"
#include "media/timecode.h"

#define FRAME_SIDE 16384

static void check_sps(const struct h264_sps *s)
{
    if (!s->valid)
        return;
    FUZZ_CHECK(s->width > 0 && s->width <= s->coded_width && s->coded_width <= FRAME_SIDE);
    FUZZ_CHECK(s->height > 0 && s->height <= s->coded_height && s->coded_height <= FRAME_SIDE);
    FUZZ_CHECK(s->crop_left >= 0 && s->crop_left + s->width <= s->coded_width);
    FUZZ_CHECK(s->crop_top >= 0 && s->crop_top + s->height <= s->coded_height);
    FUZZ_CHECK(s->bit_depth_luma >= 8 && s->bit_depth_luma <= 14 && s->chroma_format_idc <= 3);
    FUZZ_CHECK(h264_reorder_frames(s) >= 0 && h264_reorder_frames(s) <= 16);
}

static void check_unit(struct h264_context *ctx, const uint8_t *data, size_t size,
                       unsigned length_size)
{
    struct h264_access_unit au;
    if (h264_access_unit(ctx, data, size, length_size, &au, NULL))
        return;
    FUZZ_CHECK(au.pictures <= au.slices && (au.slices > 0) == (au.slice_types != 0));
    FUZZ_CHECK(!au.second_field || (au.field && !au.idr));
    FUZZ_CHECK(!au.intra_only || !(au.slice_types & (1u << H264_SLICE_P | 1u << H264_SLICE_B)));
}

/* What gets clocks has them when it is read again. */
static void check_timing(struct nal unit, const struct h264_sps *sps)
{
    static uint8_t out[TIMECODE_REWRITTEN_MAX];
    const struct frame_timecode code = {
        .count = 3, .clocks = {{1, 2, 3, 4, true}, {0}, {23, 59, 59, 79, false}}};
    int messages = 0, found = 0;
    const size_t size = timecode_rewrite_h264(&code, sps, unit, &messages, out);
    FUZZ_CHECK(size <= sizeof(out) && (size > 0) == (messages > 0));
    struct bits b;
    struct sei sei;
    struct timecode_sei timing;
    bits_init_rbsp(&b, out + 1, size > 0 ? size - 1 : 0);
    while (size > 0 && sei_next(&b, &sei))
        found += timecode_read_h264(&sei, sps, &timing) && timing.code.count > 0;
    FUZZ_CHECK(found == messages);
}

static void check_timings(const struct h264_context *ctx, const uint8_t *data, size_t size,
                          unsigned length_size)
{
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, data, size, length_size);
    while (nal_next(&it, &nal))
        for (int i = 0; h264_nal_type(nal) == H264_NAL_SEI && i < H264_SPS_MAX; i++)
            if (ctx->sps[i].valid)
                check_timing(nal, &ctx->sps[i]);
}

/* A header that can be read and written must come back the same. */
static void check_config(const uint8_t *data, size_t size)
{
    static struct avcc config, again;
    static struct h264_context ctx;
    struct error err;
    memset(&ctx, 0, sizeof(ctx));
    size_t needed = 0;
    if (avcc_read(data, size, &config, &err))
        return;
    avcc_apply(&config, &ctx, &err);
    const int code = avcc_write(&config, NULL, 0, &needed, &err);
    if (code != RGPU_ERROR_LIMIT || needed == 0)
        return;
    uint8_t *out = fuzz_alloc(needed);
    size_t written = 0;
    FUZZ_CHECK(avcc_write(&config, out, needed, &written, &err) == 0 && written == needed);
    FUZZ_CHECK(avcc_read(out, written, &again, &err) == 0);
    FUZZ_CHECK(again.sps_count == config.sps_count && again.pps_count == config.pps_count);
    FUZZ_CHECK(again.length_size == config.length_size);
    for (int i = 0; i < config.pps_count; i++)
        FUZZ_CHECK(again.pps[i].size == config.pps[i].size &&
                   !memcmp(again.pps[i].data, config.pps[i].data, again.pps[i].size));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned framings[] = {NAL_ANNEXB, 1, 2, 4};
    static struct h264_context ctx;
    if (size == 0)
        return 0;
    if (data[0] & 4) {
        check_config(data + 1, size - 1);
        return 0;
    }
    memset(&ctx, 0, sizeof(ctx));
    check_unit(&ctx, data + 1, size - 1, framings[data[0] & 3]);
    check_unit(&ctx, data + 1, size - 1, framings[data[0] & 3]);
    for (int i = 0; i < H264_SPS_MAX; i++)
        check_sps(&ctx.sps[i]);
    check_timings(&ctx, data + 1, size - 1, framings[data[0] & 3]);
    return 0;
}
