/* media/hevc.h and media/hvcc.h. The first byte picks the framing of an access unit and whether
 * the rest is a codec header instead. */
#include <string.h>

#include "fuzz.h"
#include "media/codecs.h"
#include "media/hvcc.h"

#define FRAME_SIDE 16384

static void check_sps(const struct hevc_sps *s)
{
    if (!s->valid)
        return;
    FUZZ_CHECK(s->width > 0 && s->width <= s->coded_width && s->coded_width <= FRAME_SIDE);
    FUZZ_CHECK(s->height > 0 && s->height <= s->coded_height && s->coded_height <= FRAME_SIDE);
    FUZZ_CHECK(s->crop_left >= 0 && s->crop_left + s->width <= s->coded_width);
    FUZZ_CHECK(s->sub_layers >= 1 && s->sub_layers <= 7 && s->log2_ctb_size <= 9);
    char text[CODECS_MAX];
    codecs_hevc("hvc1", &s->profile, text);
    FUZZ_CHECK(strlen(text) < sizeof(text) - 1);
}

static void check_unit(struct hevc_context *ctx, const uint8_t *data, size_t size,
                       unsigned length_size)
{
    struct hevc_access_unit au;
    if (hevc_access_unit(ctx, data, size, length_size, &au, NULL))
        return;
    FUZZ_CHECK(au.pictures <= au.slices && au.idr + au.cra + au.bla <= au.irap);
    FUZZ_CHECK(!au.intra_only || au.slice_types == 1u << HEVC_SLICE_I);
}

/* A header that can be read and written must come back the same. */
static void check_config(const uint8_t *data, size_t size)
{
    static struct hvcc config, again;
    static struct hevc_context ctx;
    struct error err;
    memset(&ctx, 0, sizeof(ctx));
    size_t needed = 0;
    if (hvcc_read(data, size, &config, &err))
        return;
    hvcc_apply(&config, &ctx, &err);
    const int code = hvcc_write(&config, NULL, 0, &needed, &err);
    if (code != RGPU_ERROR_LIMIT || needed == 0)
        return;
    uint8_t *out = fuzz_alloc(needed);
    size_t written = 0;
    FUZZ_CHECK(hvcc_write(&config, out, needed, &written, &err) == 0 && written == needed);
    FUZZ_CHECK(hvcc_read(out, written, &again, &err) == 0);
    FUZZ_CHECK(again.vps_count == config.vps_count && again.sps_count == config.sps_count &&
               again.pps_count == config.pps_count && again.sei_count == config.sei_count);
    FUZZ_CHECK(again.length_size == config.length_size);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned framings[] = {NAL_ANNEXB, 1, 2, 4};
    static struct hevc_context ctx;
    if (size == 0)
        return 0;
    if (data[0] & 4) {
        check_config(data + 1, size - 1);
        return 0;
    }
    memset(&ctx, 0, sizeof(ctx));
    check_unit(&ctx, data + 1, size - 1, framings[data[0] & 3]);
    check_unit(&ctx, data + 1, size - 1, framings[data[0] & 3]);
    for (int i = 0; i < HEVC_SPS_MAX; i++)
        check_sps(&ctx.sps[i]);
    return 0;
}
