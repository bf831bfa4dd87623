/* media/hevc.h and media/hvcc.h: against ffprobe on streams made by x265, and what x265 does not
 * make by hand. */
#include "unit/media/streams.h"

#include "media/codecs.h"
#include "media/hvcc.h"

/* ---- by hand
 * ------------------------------------------------------------------------------------- */

static struct nal unit(struct bit_out *o)
{
    const size_t size = out_end(o);
    static uint8_t escaped[16][8192];
    static int next;
    uint8_t *to = escaped[next++ % 16];
    return (struct nal){to, nal_escape(o->bytes, size, to, sizeof(escaped[0]))};
}

static void put_hrd(struct bit_out *o, int sub_layers)
{
    out_u(o, 3, 2); /* NAL and VCL */
    out_u(o, 1, 1); /* sub-pictures */
    out_u(o, 0x12345, 19);
    out_u(o, 0x12, 8);
    out_u(o, 3, 4);
    out_u(o, 0x1234, 15);
    for (int i = 0; i < sub_layers; i++) {
        out_u(o, i == 0, 1);
        if (i != 0)
            out_u(o, i == 1, 1);
        if (i <= 1)
            out_ue(o, 5);
        else
            out_u(o, 1, 1); /* low delay: one CPB */
        if (i <= 1)
            out_ue(o, (uint32_t)i);
        for (int j = 0; j < 2 * (i == 1 ? 2 : 1); j++) {
            for (int k = 0; k < 4; k++)
                out_ue(o, (uint32_t)(100 * j + k));
            out_u(o, 1, 1);
        }
    }
}

static void put_scaling_lists(struct bit_out *o)
{
    for (int size = 0; size < 4; size++)
        for (int matrix = 0; matrix < 6; matrix += size == 3 ? 3 : 1) {
            out_u(o, matrix % 3 == 0, 1);
            if (matrix % 3 != 0) {
                out_ue(o, 0);
                continue;
            }
            if (size > 1)
                out_se(o, -5);
            for (int i = 0; i < (size == 0 ? 16 : 64); i++)
                out_se(o, i % 7 - 3);
        }
}

/* Short-term sets, the last three predicted; a wrong count of the first shifts all that follows. */
static void put_short_term_sets(struct bit_out *o)
{
    out_ue(o, 4);
    out_ue(o, 2); /* explicit: -1, -3, +2 */
    out_ue(o, 1);
    out_ue(o, 0);
    out_u(o, 1, 1);
    out_ue(o, 1);
    out_u(o, 1, 1);
    out_ue(o, 1);
    out_u(o, 1, 1);
    out_u(o, 1, 1); /* predicted, moved by +1: -1 becomes 0 and falls out, */
    out_u(o, 0, 1);
    out_ue(o, 0);
    for (int i = 0; i < 4; i++) /* so that of the four candidates three are left */
        out_u(o, 1, 1);
    out_u(o, 1, 1); /* predicted from those three, moved by -2, without 1 - 2 and its own -2, */
    out_u(o, 1, 1);
    out_ue(o, 1);
    for (int i = 0; i < 4; i++) {
        out_u(o, 0, 1);
        out_u(o, i % 2 == 0, 1);
    }
    out_u(o, 1, 1); /* so that two are left for the last */
    out_u(o, 1, 1);
    out_ue(o, 0);
    for (int i = 0; i < 3; i++)
        out_u(o, 1, 1);
}

/* Three sub-layers, 4:2:2 12 bit, window, lists, PCM, long-term pictures, VUI with HRD. */
static struct nal rich_sps(void)
{
    struct bit_out o = {0};
    out_u(&o, 33 << 9 | 1, 16);
    out_u(&o, 2, 4);
    out_u(&o, 2, 3);
    out_u(&o, 1, 1);
    out_u(&o, 0x24, 8); /* high tier, range extensions */
    out_u(&o, 0x08000000, 32);
    out_u(&o, 0x9d0800000000, 48);
    out_u(&o, 153, 8);
    out_u(&o, 0xd, 4); /* sub-layer 0: profile and level, 1: level */
    out_u(&o, 0, 12);
    out_u(&o, 0, 44);
    out_u(&o, 0, 44);
    out_u(&o, 90, 8);
    out_u(&o, 93, 8);
    out_ue(&o, 3); /* id */
    out_ue(&o, 2);
    out_ue(&o, 3840);
    out_ue(&o, 2168);
    out_u(&o, 1, 1);
    out_ue(&o, 1);
    out_ue(&o, 2);
    out_ue(&o, 3);
    out_ue(&o, 5);
    out_ue(&o, 4);
    out_ue(&o, 4);
    out_ue(&o, 4);
    out_u(&o, 1, 1);
    for (uint32_t i = 0; i < 3; i++) {
        out_ue(&o, 2 + i);
        out_ue(&o, i);
        out_ue(&o, 7 + i);
    }
    out_ue(&o, 0);
    out_ue(&o, 3);
    for (int i = 0; i < 4; i++)
        out_ue(&o, 1);
    out_u(&o, 3, 2);
    put_scaling_lists(&o);
    out_u(&o, 3, 2);
    out_u(&o, 1, 1);
    out_u(&o, 0x77, 8);
    out_ue(&o, 0);
    out_ue(&o, 1);
    out_u(&o, 1, 1);
    put_short_term_sets(&o);
    out_u(&o, 1, 1);
    out_ue(&o, 2);
    out_u(&o, 0x155, 9);
    out_u(&o, 0x0aa, 9);
    out_u(&o, 3, 2);
    out_u(&o, 1, 1); /* VUI */
    out_u(&o, 1, 1);
    out_u(&o, 14, 8);
    out_u(&o, 0, 1);
    out_u(&o, 1, 1);
    out_u(&o, 5, 3);
    out_u(&o, 0, 1);
    out_u(&o, 0, 1);
    out_u(&o, 1, 1);
    out_ue(&o, 0);
    out_ue(&o, 0);
    out_u(&o, 3, 3); /* no neutral chroma, fields, pic_struct */
    out_u(&o, 1, 1);
    for (int i = 0; i < 4; i++)
        out_ue(&o, 9);
    out_u(&o, 1, 1);
    out_u(&o, 1001, 32);
    out_u(&o, 48000, 32);
    out_u(&o, 1, 1);
    out_ue(&o, 0);
    out_u(&o, 1, 1);
    put_hrd(&o, 3);
    out_u(&o, 1, 1);
    out_u(&o, 5, 3);
    out_ue(&o, 77);
    for (int i = 0; i < 4; i++)
        out_ue(&o, 2);
    out_u(&o, 0, 1);
    return unit(&o);
}

static void test_rich_sps(void **unused)
{
    (void)unused;
    struct hevc_sps s;
    struct error err;
    char text[CODECS_MAX];
    assert_int_equal(hevc_parse_sps(rich_sps(), &s, &err), 0);
    assert_int_equal(s.id, 3);
    assert_int_equal(s.vps_id, 2);
    assert_int_equal(s.sub_layers, 3);
    assert_true(s.temporal_nesting && s.profile.high_tier);
    assert_int_equal(s.profile.idc, 4);
    assert_int_equal(s.profile.level_idc, 153);
    codecs_hevc("hvc1", &s.profile, text);
    assert_string_equal(text, "hvc1.4.10.H153.9D.8");
    assert_int_equal(s.chroma_format_idc, 2);
    assert_int_equal(s.coded_width, 3840);
    assert_int_equal(s.coded_height, 2168);
    assert_int_equal(s.crop_left, 2);
    assert_int_equal(s.crop_top, 3);
    assert_int_equal(s.width, 3840 - 6);
    assert_int_equal(s.height, 2160);
    assert_int_equal(s.bit_depth_luma, 12);
    assert_int_equal(s.log2_max_poc_lsb, 8);
    assert_int_equal(s.log2_ctb_size, 6);
    assert_int_equal(s.max_dec_pic_buffering, 5);
    assert_int_equal(s.max_num_reorder, 2);
    assert_int_equal(s.max_latency_increase, 9);
    assert_true(s.has_vui && !s.vui_damaged && s.field_seq && s.frame_field_info);
    assert_int_equal(s.sample_aspect.num, 4);
    assert_int_equal(s.color.range, RANGE_LIMITED);
    assert_int_equal(s.color.matrix, 0);
    assert_int_equal(s.color.chroma, CHROMA_LEFT);
    assert_int_equal(s.frame_rate.num, 48000);
    assert_int_equal(s.frame_rate.den, 1001);
    assert_int_equal(s.min_spatial_segmentation, 77);
}

static void test_cut_sps(void **unused)
{
    (void)unused;
    const struct nal nal = rich_sps();
    struct hevc_sps s;
    struct error err;
    int refused = 0, damaged = 0;
    for (size_t size = 0; size < nal.size; size++) {
        memset(&s, 0xee, sizeof(s));
        if (hevc_parse_sps((struct nal){nal.data, size}, &s, &err)) {
            assert_int_equal(s.id, 0xee);
            refused++;
        } else {
            assert_int_equal(s.height, 2160);
            assert_true(s.vui_damaged || size + 2 >= nal.size);
            damaged++;
        }
    }
    assert_true(refused > 100 && damaged > 10);
}

/* PPS 1 of the SPS that has everything. */
static void add_sets(struct hevc_context *ctx)
{
    struct error err;
    assert_int_equal(hevc_context_add(ctx, rich_sps(), &err), 0);
    struct bit_out pps = {0};
    out_u(&pps, 34 << 9 | 1, 16);
    out_ue(&pps, 1);
    out_ue(&pps, 3);
    out_u(&pps, 3, 2); /* dependent slices, output flag */
    out_u(&pps, 2, 3); /* two extra bits */
    out_u(&pps, 0, 2);
    out_ue(&pps, 0);
    out_ue(&pps, 0);
    out_se(&pps, 0);
    out_u(&pps, 0, 3);
    out_se(&pps, 0);
    out_se(&pps, 0);
    out_u(&pps, 0, 4);
    out_u(&pps, 1, 2); /* wavefronts */
    assert_int_equal(hevc_context_add(ctx, unit(&pps), &err), 0);
}

/* The whole first slice segment of a picture, in Annex B. */
static size_t put_picture(uint8_t *to, size_t capacity, unsigned type, bool no_output_of_prior)
{
    struct bit_out o = {0};
    out_u(&o, type << 9 | 1, 16);
    out_u(&o, 1, 1);
    if (type >= 16)
        out_u(&o, no_output_of_prior, 1);
    out_ue(&o, 1);
    out_u(&o, 0, 2);
    out_ue(&o, 2);
    out_u(&o, 1, 1);
    if (type != 19 && type != 20)
        out_u(&o, 7, 8);
    return nal_write(unit(&o), NAL_ANNEXB, to, capacity);
}

/* Types of units by hand: what x265 does not write. */
static void test_unit_types(void **unused)
{
    (void)unused;
    static const struct {
        unsigned type;
        bool irap, idr, cra, bla, rasl, radl, reference;
    } cases[] = {
        {0, 0, 0, 0, 0, 0, 0, 0},  {1, 0, 0, 0, 0, 0, 0, 1},  {6, 0, 0, 0, 0, 0, 1, 0},
        {7, 0, 0, 0, 0, 0, 1, 1},  {8, 0, 0, 0, 0, 1, 0, 0},  {9, 0, 0, 0, 0, 1, 0, 1},
        {16, 1, 0, 0, 1, 0, 0, 1}, {17, 1, 0, 0, 1, 0, 0, 1}, {18, 1, 0, 0, 1, 0, 0, 1},
        {19, 1, 1, 0, 0, 0, 0, 1}, {20, 1, 1, 0, 0, 0, 0, 1}, {21, 1, 0, 1, 0, 0, 0, 1},
    };
    static struct hevc_context ctx;
    struct error err;
    uint8_t data[512];
    memset(&ctx, 0, sizeof(ctx));
    add_sets(&ctx);
    assert_true(ctx.pps[1].entropy_sync && !ctx.pps[1].tiles);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bit_out o = {0}, dependent = {0};
        out_u(&o, cases[i].type << 9 | 2, 16);
        out_u(&o, 1, 1);
        if (cases[i].irap)
            out_u(&o, 0, 1);
        out_ue(&o, 1);
        out_u(&o, 3, 2);
        out_ue(&o, 2);
        out_u(&o, 0, 1);
        if (!cases[i].idr)
            out_u(&o, 0x5a, 8);
        dependent = (struct bit_out){0};
        out_u(&dependent, cases[i].type << 9 | 2, 16);
        out_u(&dependent, 0, 1);
        if (cases[i].irap)
            out_u(&dependent, 0, 1);
        out_ue(&dependent, 1);
        out_u(&dependent, 1, 1);
        out_u(&dependent, 1234, 11); /* 60 x 34 blocks */
        size_t size = nal_write(unit(&o), 4, data, sizeof(data));
        size += nal_write(unit(&dependent), 4, data + size, sizeof(data) - size);
        struct hevc_access_unit au;
        assert_int_equal(hevc_access_unit(&ctx, data, size, 4, &au, &err), 0);
        assert_int_equal(au.damaged, 0);
        assert_int_equal(au.slices, 2);
        assert_int_equal(au.pictures, 1);
        assert_int_equal(au.irap, cases[i].irap);
        assert_int_equal(au.idr, cases[i].idr);
        assert_int_equal(au.cra, cases[i].cra);
        assert_int_equal(au.bla, cases[i].bla);
        assert_int_equal(au.rasl, cases[i].rasl);
        assert_int_equal(au.radl, cases[i].radl);
        assert_int_equal(au.reference, cases[i].reference);
        assert_int_equal(au.first.temporal_id, 1);
        assert_int_equal(au.first.poc_lsb, cases[i].idr ? 0 : 0x5a);
        assert_true(au.intra_only && !au.first.output);
        assert_int_equal(hevc_random_access(&au), cases[i].irap);
    }
}

/* An IRAP picture begins a sequence by its type or by what stands before it, in its own packet or
 * at the end of the last one; headers in between change nothing, another picture does. */
static void test_ends_of_sequences(void **unused)
{
    (void)unused;
    enum { TRAIL = 1, RASL = 8, BLA = 16, IDR = 20, CRA = 21, EOS = 36, EOB = 37, AUD = 35 };
    static const struct {
        unsigned units[4]; /* of a packet; 0: none */
        bool begins, prior;
    } cases[] = {
        {{CRA}, 0, 0},           {{RASL}, 0, 0},
        {{IDR}, 1, 0},           {{CRA, EOS}, 0, 0},
        {{AUD, CRA}, 1, 1},      {{CRA}, 0, 0},
        {{EOS, CRA}, 1, 1},      {{TRAIL, EOS, EOB}, 0, 0},
        {{CRA, EOS}, 1, 1},      {{TRAIL}, 0, 0},
        {{CRA}, 0, 0},           {{BLA}, 1, 1},
        {{CRA}, 0, 0},           {{TRAIL, EOB}, 0, 0},
        {{AUD, EOS, CRA}, 1, 1}, {{EOS}, 0, 0},
        {{IDR}, 1, 0},           {{CRA}, 0, 0},
    };
    static struct hevc_context ctx;
    memset(&ctx, 0, sizeof(ctx));
    add_sets(&ctx);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t data[256];
        size_t size = 0;
        for (int n = 0; n < 4 && cases[i].units[n]; n++) {
            const unsigned type = cases[i].units[n];
            const uint8_t bytes[] = {(uint8_t)(type << 1), 1, 0x50};
            const struct nal nal = {bytes, type == AUD ? 3 : 2};
            size += type < 32 ? put_picture(data + size, sizeof(data) - size, type, cases[i].prior)
                              : nal_write(nal, NAL_ANNEXB, data + size, sizeof(data) - size);
        }
        struct hevc_access_unit au;
        struct error err;
        assert_int_equal(hevc_access_unit(&ctx, data, size, NAL_ANNEXB, &au, &err), 0);
        assert_int_equal(au.damaged, 0);
        if (au.begins != cases[i].begins || au.first.no_output_of_prior != cases[i].prior)
            fail_msg("packet %zu: begins %d, no output of prior pictures %d", i, au.begins,
                     au.first.no_output_of_prior);
    }
}

static void test_sei(void **unused)
{
    (void)unused;
    static struct hevc_context ctx;
    struct hevc_access_unit au;
    struct error err;
    struct bit_out o = {0};
    out_u(&o, 39 << 9 | 1, 16);
    out_u(&o, 6, 8); /* recovery point: POC -3, exact, broken */
    out_u(&o, 2, 8);
    out_se(&o, -3);
    out_u(&o, 3, 2);
    out_u(&o, 1, 1);
    out_u(&o, 0, 8);
    out_u(&o, 137, 8);
    out_u(&o, 24, 8);
    static const uint16_t points[] = {13250, 34500, 7500, 3000, 34000, 16000, 15635, 16450};
    for (int i = 0; i < 8; i++)
        out_u(&o, points[i], 16);
    out_u(&o, 10000000, 32);
    out_u(&o, 1, 32);
    out_u(&o, 144, 8);
    out_u(&o, 4, 8);
    out_u(&o, 1000, 16);
    out_u(&o, 0, 16);             /* zeros, so that there is something to escape */
    for (int i = 0; i < 2; i++) { /* preferred transfer: HLG; then unspecified, which is none */
        out_u(&o, 147, 8);
        out_u(&o, 1, 8);
        out_u(&o, i == 0 ? 18 : 2, 8);
    }
    uint8_t data[256];
    const size_t size = nal_write(unit(&o), NAL_ANNEXB, data, sizeof(data));
    memset(&ctx, 0, sizeof(ctx));
    assert_int_equal(hevc_access_unit(&ctx, data, size, NAL_ANNEXB, &au, &err), 0);
    assert_int_equal(au.damaged, 0);
    assert_true(au.recovery_point && au.broken_link && au.slices == 0);
    assert_int_equal(au.transfer, 18);
    assert_int_equal(au.recovery_poc, -3);
    assert_true(au.hdr.has_mastering && au.hdr.has_light_level);
    assert_int_equal(au.hdr.primary_x[0], 34000); /* red */
    assert_int_equal(au.hdr.primary_y[0], 16000);
    assert_int_equal(au.hdr.primary_x[1], 13250); /* green */
    assert_int_equal(au.hdr.primary_y[2], 3000);  /* blue */
    assert_int_equal(au.hdr.white_x, 15635);
    assert_int_equal(au.hdr.white_y, 16450);
    assert_int_equal(au.hdr.luminance_max, 10000000);
    assert_int_equal(au.hdr.luminance_min, 1);
    assert_int_equal(au.hdr.max_content_light, 1000);
    assert_int_equal(au.hdr.max_average_light, 0);
}

/* The SEI units of codec headers, of which those that prefer nothing, are too long or are broken
 * change nothing, and the last of the others counts. */
static void test_preferred_transfer(void **unused)
{
    (void)unused;
    static const uint8_t hlg[] = {HEVC_NAL_SEI_PREFIX << 1, 1, 147, 1, 18, 0x80},
                         pq[] = {HEVC_NAL_SEI_PREFIX << 1, 1, 147, 1, 16, 0x80},
                         unspecified[] = {HEVC_NAL_SEI_PREFIX << 1, 1, 147, 1, 2, 0x80},
                         cut[] = {HEVC_NAL_SEI_PREFIX << 1, 1, 147, 1},
                         light[] = {HEVC_NAL_SEI_PREFIX << 1, 1, 144, 4, 3, 232, 1, 144, 0x80};
    static uint8_t longer[1000] = {HEVC_NAL_SEI_PREFIX << 1, 1, 147, 1, 1, 5, 255, 255, 255, 230};
    static const struct {
        struct nal units[3];
        int count;
        uint8_t transfer;
    } cases[] = {
        {{{0}}, 0, 0},
        {{{hlg, sizeof(hlg)}}, 1, 18},
        {{{hlg, sizeof(hlg)}, {pq, sizeof(pq)}}, 2, 16},
        {{{hlg, sizeof(hlg)}, {light, sizeof(light)}, {unspecified, sizeof(unspecified)}}, 3, 18},
        {{{cut, sizeof(cut)}, {pq, sizeof(pq)}, {longer, sizeof(longer)}}, 3, 16},
        {{{light, sizeof(light)}, {cut, sizeof(cut)}}, 2, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        static struct hevc_context ctx;
        static struct hvcc config;
        memcpy(config.sei, cases[i].units, sizeof(cases[i].units));
        config.sei_count = cases[i].count;
        memset(&ctx, 0, sizeof(ctx));
        print_message("case %zu\n", i);
        assert_int_equal(hvcc_preferred_transfer(&config, &ctx), cases[i].transfer);
    }
}

/* ---- real streams
 * ------------------------------------------------------------------------------------ */

static int number(const struct stream *s, const char *key)
{
    return atoi(stream_value(s, key));
}

static void check_sps(const struct stream *s, const struct hevc_sps *sps)
{
    const char *format = stream_value(s, "pix_fmt");
    char ratio[32];
    assert_int_equal(sps->bit_depth_luma, strstr(format, "12le")   ? 12
                                          : strstr(format, "10le") ? 10
                                                                   : 8);
    assert_int_equal(sps->chroma_format_idc, strstr(format, "444")   ? 3
                                             : strstr(format, "422") ? 2
                                                                     : 1);
    assert_int_equal(sps->width, number(s, "width"));
    assert_int_equal(sps->height, number(s, "height"));
    assert_int_equal(sps->profile.level_idc, number(s, "level"));
    assert_int_equal(sps->max_num_reorder, number(s, "has_b_frames"));
    snprintf(ratio, sizeof(ratio), "%d/%d", sps->frame_rate.num, sps->frame_rate.den);
    assert_string_equal(ratio, stream_value(s, "r_frame_rate"));
    if (strcmp(stream_value(s, "sample_aspect_ratio"), "N/A") != 0) {
        snprintf(ratio, sizeof(ratio), "%d:%d", sps->sample_aspect.num, sps->sample_aspect.den);
        assert_string_equal(ratio, stream_value(s, "sample_aspect_ratio"));
    }
}

/* The record that ffmpeg wrote is read, and ours has the same units and the same facts. */
static void check_header(const struct stream *s, struct hvcc *config)
{
    static struct hvcc again;
    struct error err;
    size_t size, written, annexb_size;
    uint8_t out[8192], annexb[8192];
    const uint8_t *hvcc = stream_box(s, "hvcC", &size);
    assert_int_equal(hvcc_read(hvcc, size, config, &err), 0);
    assert_int_equal(hvcc_write(config, out, sizeof(out), &written, &err), 0);
    assert_int_equal(written, size);
    assert_memory_equal(out, hvcc, 15);                  /* profile to min_spatial_segmentation */
    assert_memory_equal(out + 16, hvcc + 16, size - 16); /* depths, layers and all units */
    assert_int_equal(hvcc_write_annexb(config, annexb, sizeof(annexb), &annexb_size, &err), 0);
    assert_int_equal(hvcc_read(annexb, annexb_size, &again, &err), 0);
    assert_true(again.annexb && !config->annexb);
    assert_int_equal(again.sps_count, config->sps_count);
    assert_int_equal(again.sps[0].size, config->sps[0].size);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(hvcc_read(hvcc, cut, &again, &err), RGPU_ERROR_INPUT);
}

static void check_packets(const struct stream *s, const struct hvcc *config)
{
    static struct hevc_context ctx;
    struct error err;
    memset(&ctx, 0, sizeof(ctx));
    assert_int_equal(hvcc_apply(config, &ctx, &err), 0);
    for (int i = 0; i < s->packets; i++) {
        struct hevc_access_unit au;
        assert_int_equal(hevc_access_unit(&ctx, s->data + s->packet[i].pos, s->packet[i].size,
                                          config->length_size, &au, &err),
                         0);
        assert_int_equal(au.damaged, 0);
        assert_int_equal(au.pictures, 1);
        assert_int_equal(au.irap, s->packet[i].key);
        if (s->packet[i].type) {
            assert_int_equal(au.intra_only, s->packet[i].type == 'I');
            assert_int_equal(au.slice_types & 1, s->packet[i].type == 'B');
        }
    }
}

static void check_stream(const char *source, const char *format, const char *params)
{
    static struct hvcc config;
    char all[1024];
    struct hevc_sps sps;
    struct hevc_vps vps;
    struct error err;
    snprintf(all, sizeof(all),
             "-f lavfi -i testsrc2=%s -c:v libx265 -tag:v hvc1 -pix_fmt %s -x265-params "
             "log-level=none:pools=none:%s",
             source, format, params);
    struct stream *s = stream_make(".mp4", "libx265", all);
    check_header(s, &config);
    assert_int_equal(hevc_parse_vps(config.vps[0], &vps, &err), 0);
    assert_int_equal(hevc_parse_sps(config.sps[0], &sps, &err), 0);
    assert_int_equal(vps.profile.idc, sps.profile.idc);
    assert_int_equal(vps.profile.level_idc, sps.profile.level_idc);
    assert_false(sps.vui_damaged);
    check_sps(s, &sps);
    check_packets(s, &config);
    stream_free(s);
}

static void test_x265(void **unused)
{
    (void)unused;
    check_stream("s=98x50:r=30000/1001 -frames:v 14", "yuv420p", "keyint=6:open-gop=1:bframes=3");
    check_stream("s=64x64:r=25 -frames:v 6 -vf setsar=16/11", "yuv420p10le",
                 "keyint=3:open-gop=0:slices=2:hrd=1:vbv-maxrate=300:vbv-bufsize=300");
    check_stream("s=66x70:r=50 -frames:v 4", "yuv422p10le",
                 "scaling-list=default:temporal-layers=3");
    check_stream("s=64x64:r=24 -frames:v 3", "yuv444p12le", "bframes=0");
}

/* Open GOPs have CRA pictures followed by RASL ones; HDR10 comes in SEI messages of key frames. */
static void test_x265_hdr(void **unused)
{
    (void)unused;
    static struct hevc_context ctx;
    static struct hvcc config;
    struct error err;
    int cra = 0, rasl = 0, hdr = 0;
    struct stream *s = stream_make(
        ".hevc", "libx265",
        "-f lavfi -i testsrc2=s=64x64:r=25 -frames:v 20 -c:v libx265 -pix_fmt yuv420p10le "
        "-x265-params 'log-level=none:pools=none:keyint=6:min-keyint=6:open-gop=1:bframes=3:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):"
        "max-cll=1000,400:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:"
        "colormatrix=bt2020nc:range=limited:chromaloc=2'");
    memset(&ctx, 0, sizeof(ctx));
    assert_int_equal(hvcc_from_units(s->data, s->size, NAL_ANNEXB, &config, &err), 0);
    for (int i = 0; i < s->packets; i++) {
        struct hevc_access_unit au;
        assert_int_equal(hevc_access_unit(&ctx, s->data + s->packet[i].pos, s->packet[i].size,
                                          NAL_ANNEXB, &au, &err),
                         0);
        assert_int_equal(au.damaged, 0);
        assert_int_equal(au.irap, s->packet[i].key);
        assert_int_equal(au.has_sps, s->packet[i].key);
        cra += au.cra;
        rasl += au.rasl;
        if (!au.hdr.has_mastering)
            continue;
        hdr++;
        assert_int_equal(au.hdr.primary_x[0], 34000);
        assert_int_equal(au.hdr.primary_y[1], 34500);
        assert_int_equal(au.hdr.primary_x[2], 7500);
        assert_int_equal(au.hdr.luminance_max, 10000000);
        assert_int_equal(au.hdr.luminance_min, 50);
        assert_int_equal(au.hdr.max_content_light, 1000);
        assert_int_equal(au.hdr.max_average_light, 400);
    }
    assert_true(cra >= 2 && rasl >= 2 && hdr >= 1);
    const struct color *color = NULL;
    for (int i = 0; i < HEVC_SPS_MAX; i++)
        if (ctx.sps[i].valid)
            color = &ctx.sps[i].color;
    assert_non_null(color);
    assert_int_equal(color->primaries, 9);
    assert_int_equal(color->transfer, 16);
    assert_int_equal(color->matrix, 9);
    assert_int_equal(color->range, RANGE_LIMITED);
    assert_int_equal(color->chroma, CHROMA_TOP_LEFT);
    stream_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rich_sps),   cmocka_unit_test(test_cut_sps),
        cmocka_unit_test(test_unit_types), cmocka_unit_test(test_ends_of_sequences),
        cmocka_unit_test(test_sei),        cmocka_unit_test(test_preferred_transfer),
        cmocka_unit_test(test_x265),       cmocka_unit_test(test_x265_hdr),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
