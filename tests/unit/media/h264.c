/* media/h264.h and media/avcc.h: by hand, and against ffprobe on streams made by x264. */
#include "unit/media/streams.h"

#include "media/avcc.h"

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

static void put_hrd(struct bit_out *o)
{
    out_ue(o, 1); /* two of them */
    out_u(o, 0x34, 8);
    for (int i = 0; i < 2; i++) {
        out_ue(o, 1000);
        out_ue(o, 2000);
        out_u(o, 1, 1);
    }
    out_u(o, 23, 5);
    out_u(o, 20, 5);
    out_u(o, 22, 5);
    out_u(o, 24, 5);
}

/* Everything that an SPS can have: High 4:2:2, field coding, cropping, scaling lists, POC type 1,
 * VUI with both HRDs. */
static struct nal rich_sps(void)
{
    struct bit_out o = {0};
    out_u(&o, 0x67, 8);
    out_u(&o, 122, 8);
    out_u(&o, 0x10, 8);
    out_u(&o, 41, 8);
    out_ue(&o, 5); /* id */
    out_ue(&o, 2); /* 4:2:2 */
    out_ue(&o, 2); /* 10 bit */
    out_ue(&o, 1); /* 9 bit */
    out_u(&o, 1, 1);
    out_u(&o, 1, 1); /* scaling matrix */
    for (int i = 0; i < 8; i++) {
        out_u(&o, i != 3, 1);
        if (i == 3)
            continue;
        if (i == 1) {
            out_se(&o, -8); /* next scale 0: the default list, no more values */
            continue;
        }
        for (int j = 0; j < (i < 6 ? 16 : 64); j++)
            out_se(&o, j % 5 - 2 == 0 ? 1 : j % 5 - 2);
    }
    out_ue(&o, 5); /* 9 bits of frame_num */
    out_ue(&o, 1); /* POC type */
    out_u(&o, 0, 1);
    out_se(&o, -3);
    out_se(&o, 2);
    out_ue(&o, 2);
    out_se(&o, 5);
    out_se(&o, -6);
    out_ue(&o, 4);
    out_u(&o, 1, 1);
    out_ue(&o, 119);
    out_ue(&o, 33); /* 34 map units of 32 lines */
    out_u(&o, 0, 1);
    out_u(&o, 1, 1);
    out_u(&o, 1, 1);
    out_u(&o, 1, 1); /* cropping in units of 2 x 2 */
    out_ue(&o, 1);
    out_ue(&o, 2);
    out_ue(&o, 0);
    out_ue(&o, 4);
    out_u(&o, 1, 1); /* VUI */
    out_u(&o, 1, 1);
    out_u(&o, 255, 8);
    out_u(&o, 64, 16);
    out_u(&o, 48, 16);
    out_u(&o, 3, 2); /* overscan */
    out_u(&o, 1, 1);
    out_u(&o, 5, 3);
    out_u(&o, 1, 1);
    out_u(&o, 1, 1);
    out_u(&o, 9, 8);
    out_u(&o, 16, 8);
    out_u(&o, 9, 8);
    out_u(&o, 1, 1);
    out_ue(&o, 2);
    out_ue(&o, 2);
    out_u(&o, 1, 1);
    out_u(&o, 1001, 32);
    out_u(&o, 60000, 32);
    out_u(&o, 1, 1);
    out_u(&o, 1, 1);
    put_hrd(&o);
    out_u(&o, 1, 1);
    put_hrd(&o);
    out_u(&o, 0, 1);
    out_u(&o, 1, 1);
    out_u(&o, 1, 1);
    out_u(&o, 1, 1);
    for (int i = 0; i < 4; i++)
        out_ue(&o, 9);
    out_ue(&o, 2);
    out_ue(&o, 4);
    return unit(&o);
}

static void test_rich_sps(void **unused)
{
    (void)unused;
    const struct nal nal = rich_sps();
    struct h264_sps s;
    struct error err;
    assert_int_equal(h264_parse_sps(nal, &s, &err), 0);
    assert_int_equal(s.id, 5);
    assert_int_equal(s.profile_idc, 122);
    assert_int_equal(s.constraints, 0x10);
    assert_int_equal(s.level_idc, 41);
    assert_int_equal(s.chroma_format_idc, 2);
    assert_int_equal(s.bit_depth_luma, 10);
    assert_int_equal(s.bit_depth_chroma, 9);
    assert_true(s.lossless_bypass);
    assert_int_equal(s.log2_max_frame_num, 9);
    assert_int_equal(s.poc_type, 1);
    assert_int_equal(s.max_num_ref_frames, 4);
    assert_true(s.gaps_in_frame_num && !s.frame_mbs_only && s.mb_adaptive_field);
    assert_int_equal(s.coded_width, 1920);
    assert_int_equal(s.coded_height, 1088);
    assert_int_equal(s.crop_left, 2);
    assert_int_equal(s.width, 1920 - 6);
    assert_int_equal(s.height, 1080);
    assert_true(s.has_vui && !s.vui_damaged);
    assert_int_equal(s.sample_aspect.num, 4);
    assert_int_equal(s.sample_aspect.den, 3);
    assert_int_equal(s.color.primaries, 9);
    assert_int_equal(s.color.transfer, 16);
    assert_int_equal(s.color.matrix, 9);
    assert_int_equal(s.color.range, RANGE_FULL);
    assert_int_equal(s.color.chroma, CHROMA_TOP_LEFT);
    assert_int_equal(s.frame_rate.num, 30000);
    assert_int_equal(s.frame_rate.den, 1001);
    assert_true(s.has_nal_hrd && s.has_vcl_hrd && s.pic_struct_present && s.fixed_frame_rate);
    assert_int_equal(s.cpb_removal_delay_bits, 21);
    assert_int_equal(s.dpb_output_delay_bits, 23);
    assert_int_equal(s.time_offset_bits, 24);
    assert_int_equal(s.num_reorder_frames, 2);
    assert_int_equal(s.max_dec_frame_buffering, 4);
    assert_int_equal(h264_reorder_frames(&s), 2);
}

/* Another frame rate, and nothing else. */
static void test_frame_rate(void **unused)
{
    (void)unused;
    static const struct rational rates[] = {{25, 1}, {60000, 1001}, {1, 1 << 30}, {1 << 30, 1}};
    const struct nal from = rich_sps();
    struct h264_sps before, after;
    assert_int_equal(h264_parse_sps(from, &before, NULL), 0);
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        uint8_t to[512];
        const size_t size = h264_set_frame_rate(from, rates[i], to, sizeof(to));
        assert_in_range(size, 1, sizeof(to));
        assert_int_equal(h264_set_frame_rate(from, rates[i], NULL, 0), size);
        assert_int_equal(h264_parse_sps((struct nal){to, size}, &after, NULL), 0);
        assert_int_equal(after.frame_rate.num, rates[i].num);
        assert_int_equal(after.frame_rate.den, rates[i].den);
        after.frame_rate = before.frame_rate;
        assert_memory_equal(&after, &before, sizeof(after));
    }
    assert_int_equal(h264_set_frame_rate(from, (struct rational){0, 0}, NULL, 0), 0);
    assert_int_equal(h264_set_frame_rate((struct nal){from.data, 9}, rates[0], NULL, 0), 0);
}

/* Cut short anywhere, it is refused or known to be damaged, and never half right. */
static void test_cut_sps(void **unused)
{
    (void)unused;
    const struct nal nal = rich_sps();
    struct h264_sps s;
    struct error err;
    int refused = 0, damaged = 0;
    for (size_t size = 0; size < nal.size; size++) {
        memset(&s, 0xee, sizeof(s));
        const int code = h264_parse_sps((struct nal){nal.data, size}, &s, &err);
        if (code) {
            assert_int_equal(code, RGPU_ERROR_INPUT);
            assert_int_equal(s.id, 0xee); /* untouched */
            refused++;
        } else {
            assert_int_equal(s.width, 1914);
            assert_int_equal(s.height, 1080);
            assert_true(s.vui_damaged || size + 2 >= nal.size);
            assert_true(!s.vui_damaged || s.num_reorder_frames == -1);
            damaged++;
        }
    }
    assert_true(refused > 20 && damaged > 10);
}

static void test_reorder_bound(void **unused)
{
    (void)unused;
    struct h264_sps s = {.valid = true,
                         .level_idc = 40,
                         .profile_idc = 100,
                         .coded_width = 1920,
                         .coded_height = 1088,
                         .num_reorder_frames = -1};
    assert_int_equal(h264_reorder_frames(&s), 4);
    s.coded_width = s.coded_height = 64;
    assert_int_equal(h264_reorder_frames(&s), 16);
    s.poc_type = 2;
    assert_int_equal(h264_reorder_frames(&s), 0);
    s.poc_type = 0;
    s.constraints = 0x10;
    assert_int_equal(h264_reorder_frames(&s), 0);
    s.num_reorder_frames = 3;
    assert_int_equal(h264_reorder_frames(&s), 3);
}

/* Main profile, interlaced, POC type 0 with 4 bits, 4 bits of frame_num. */
static struct nal field_sps(void)
{
    struct bit_out o = {0};
    out_u(&o, 0x67, 8);
    out_u(&o, 77, 8);
    out_u(&o, 0, 8);
    out_u(&o, 30, 8);
    for (int i = 0; i < 4; i++)
        out_ue(&o, 0); /* id, frame_num bits, POC type, POC bits */
    out_ue(&o, 1);
    out_u(&o, 0, 1);
    out_ue(&o, 3);
    out_ue(&o, 1);
    out_u(&o, 0, 1);
    out_u(&o, 0, 1);
    out_u(&o, 1, 1);
    out_u(&o, 0, 2);
    return unit(&o);
}

static struct nal plain_pps(int slice_group_type)
{
    struct bit_out o = {0};
    out_u(&o, 0x68, 8);
    out_ue(&o, 3);
    out_ue(&o, 0);
    out_u(&o, 0, 2);
    if (slice_group_type < 0) {
        out_ue(&o, 0);
    } else {
        out_ue(&o, 2); /* three groups */
        out_ue(&o, (uint32_t)slice_group_type);
        if (slice_group_type == 0)
            for (int i = 0; i < 3; i++)
                out_ue(&o, 7);
        if (slice_group_type == 2)
            for (int i = 0; i < 4; i++)
                out_ue(&o, 7);
        if (slice_group_type >= 3 && slice_group_type <= 5) {
            out_u(&o, 1, 1);
            out_ue(&o, 3);
        }
        if (slice_group_type == 6) {
            out_ue(&o, 15);
            for (int i = 0; i < 16; i++)
                out_u(&o, 2, 2);
        }
    }
    out_ue(&o, 1);
    out_ue(&o, 0);
    out_u(&o, 1, 1); /* weighted */
    out_u(&o, 2, 2);
    out_se(&o, 3);
    out_se(&o, -4);
    out_se(&o, -12);
    out_u(&o, 5, 3); /* deblocking, no constrained intra, redundant */
    out_u(&o, 1, 1); /* transform_8x8 */
    out_u(&o, 0, 1);
    out_se(&o, 2);
    return unit(&o);
}

static void test_pps(void **unused)
{
    (void)unused;
    for (int type = -1; type <= 6; type++) {
        struct h264_pps p;
        struct error err;
        assert_int_equal(h264_parse_pps(plain_pps(type), NULL, &p, &err), 0);
        assert_int_equal(p.id, 3);
        assert_int_equal(p.slice_groups, type < 0 ? 1 : 3);
        assert_true(p.weighted_pred && p.redundant_pic_cnt && p.transform_8x8);
        assert_true(!p.cabac && !p.constrained_intra);
        assert_int_equal(p.weighted_bipred_idc, 2);
    }
}

struct shot {
    unsigned type, ref_idc, slice, frame_num, poc;
    bool field, bottom;
    bool second; /* what must come out */
};

static struct nal slice_of(const struct shot *s)
{
    struct bit_out o = {0};
    out_u(&o, s->ref_idc << 5 | s->type, 8);
    out_ue(&o, 0);
    out_ue(&o, s->slice);
    out_ue(&o, 3);
    out_u(&o, s->frame_num, 4);
    out_u(&o, s->field, 1);
    if (s->field)
        out_u(&o, s->bottom, 1);
    if (s->type == 5)
        out_ue(&o, 9);
    out_u(&o, s->poc, 4);
    out_ue(&o, 0);
    out_u(&o, 0x5555, 16);
    return unit(&o);
}

static size_t put_unit(uint8_t *to, struct nal nal)
{
    return nal_write(nal, NAL_ANNEXB, to, 8192);
}

/* Pairs of fields: first I then P, two non-reference ones, a lone field, a frame in between. */
static void test_fields(void **unused)
{
    (void)unused;
    static const struct shot shots[] = {
        {5, 3, 7, 0, 0, true, false, false},   {1, 3, 5, 0, 1, true, true, true},
        {1, 2, 5, 1, 2, true, true, false},    {1, 2, 5, 1, 3, true, false, true},
        {1, 0, 6, 2, 4, true, false, false},   {1, 0, 6, 2, 5, true, true, true},
        {1, 0, 6, 2, 6, true, false, false}, /* alone */
        {1, 0, 6, 2, 8, true, false, false},   {1, 0, 6, 2, 9, true, true, true},
        {1, 2, 5, 2, 10, false, false, false}, {1, 2, 5, 3, 12, true, false, false},
        {1, 2, 5, 4, 13, true, true, false},   {1, 2, 5, 4, 12, true, false, true},
        {1, 2, 5, 5, 14, true, false, false},  {5, 2, 7, 5, 15, true, true, false},
        {1, 2, 5, 5, 1, true, false, true},    {1, 2, 5, 5, 2, true, true, false},
    };
    static struct h264_context ctx;
    struct error err;
    struct h264_access_unit au;
    uint8_t data[8192];
    memset(&ctx, 0, sizeof(ctx));
    for (size_t i = 0; i < sizeof(shots) / sizeof(shots[0]); i++) {
        size_t size = 0;
        if (i == 0) {
            size += put_unit(data + size, field_sps());
            size += put_unit(data + size, plain_pps(-1));
        }
        size += put_unit(data + size, slice_of(&shots[i]));
        size += put_unit(data + size, slice_of(&shots[i])); /* another slice of it */
        assert_int_equal(h264_access_unit(&ctx, data, size, NAL_ANNEXB, &au, &err), 0);
        assert_int_equal(au.damaged, 0);
        assert_int_equal(au.slices, 2);
        assert_int_equal(au.pictures, 1);
        assert_int_equal(au.field, shots[i].field);
        if (au.second_field != shots[i].second)
            fail_msg("shot %zu: second_field is %d", i, au.second_field);
        assert_int_equal(au.idr, shots[i].type == 5);
        assert_int_equal(au.has_sps && au.has_pps, i == 0);
        assert_int_equal(au.nal_ref_idc, shots[i].ref_idc);
        assert_int_equal(au.first.poc_lsb, shots[i].poc);
        assert_int_equal(au.first.frame_num, shots[i].frame_num);
        assert_int_equal(au.intra_only, shots[i].slice == 7);
        assert_int_equal(au.slice_types, 1u << (shots[i].slice - 5));
    }

    /* Both fields in one packet leave nothing waiting. */
    size_t size = put_unit(data, slice_of(&shots[0]));
    size += put_unit(data + size, slice_of(&shots[1]));
    assert_int_equal(h264_access_unit(&ctx, data, size, NAL_ANNEXB, &au, &err), 0);
    assert_int_equal(au.pictures, 2);
    assert_true(au.idr && !au.second_field && !au.intra_only && !ctx.last_unpaired);
}

static void test_recovery_point(void **unused)
{
    (void)unused;
    static const uint8_t sei[] = {0, 0, 1, 0x06, 5, 2, 0xaa, 0xbb, 6, 1, 0xc4, 147, 1, 18, 0x80};
    static const uint8_t cut[] = {0, 0, 1, 0x06, 6, 9, 0xc4, 0x80};
    static struct h264_context ctx;
    struct h264_access_unit au;
    struct error err;
    uint8_t data[1024];
    const struct shot shot = {1, 2, 7, 0, 0, false, false, false};
    memset(&ctx, 0, sizeof(ctx));
    /* The slice comes before its parameter sets: counted, not fatal. */
    size_t size = put_unit(data, slice_of(&shot));
    size += put_unit(data + size, field_sps());
    size += put_unit(data + size, plain_pps(-1));
    assert_int_equal(h264_access_unit(&ctx, data, size, NAL_ANNEXB, &au, &err), 0);
    assert_int_equal(au.damaged, 1);
    assert_int_equal(au.slices, 0);

    memcpy(data, sei, sizeof(sei));
    size = sizeof(sei) + put_unit(data + sizeof(sei), slice_of(&shot));
    assert_int_equal(h264_access_unit(&ctx, data, size, NAL_ANNEXB, &au, &err), 0);
    assert_true(au.recovery_point && !au.idr && au.intra_only && h264_random_access(&au));
    assert_int_equal(au.transfer, 18);
    assert_int_equal(au.recovery_frames, 0);
    assert_false(au.broken_link);
    assert_int_equal(au.damaged, 0);

    memcpy(data, cut, sizeof(cut));
    size = sizeof(cut) + put_unit(data + sizeof(cut), slice_of(&shot));
    assert_int_equal(h264_access_unit(&ctx, data, size, NAL_ANNEXB, &au, &err), 0);
    assert_true(!au.recovery_point && au.damaged == 1 && au.slices == 1);
}

static void test_avcc_errors(void **unused)
{
    (void)unused;
    static struct avcc config;
    struct error err;
    uint8_t out[512];
    size_t size;
    const struct nal sps = rich_sps(), pps = plain_pps(-1);
    config =
        (struct avcc){.length_size = 2, .sps_count = 1, .pps_count = 1, .sps = {sps}, .pps = {pps}};
    assert_int_equal(avcc_write(&config, NULL, 0, &size, &err), RGPU_ERROR_LIMIT);
    assert_true(size > sps.size + pps.size && size < sizeof(out));
    const size_t whole = size;
    assert_int_equal(avcc_write(&config, out, sizeof(out), &size, &err), 0);
    assert_int_equal(size, whole);
    static struct avcc back;
    assert_int_equal(avcc_read(out, size, &back, &err), 0);
    assert_int_equal(back.length_size, 2);
    assert_int_equal(back.profile_idc, 122);
    assert_memory_equal(back.sps[0].data, sps.data, sps.size);
    assert_memory_equal(back.pps[0].data, pps.data, pps.size);
    /* High-profile part: 4:2:2, 10 and 9 bit. */
    assert_memory_equal(out + size - 4, "\xfe\xfa\xf9\0", 4);
    for (size_t cut = 0; cut < whole - 4; cut++)
        assert_int_equal(avcc_read(out, cut, &back, &err), RGPU_ERROR_INPUT);
    assert_int_equal(avcc_read(out, whole - 4, &back, &err), 0); /* old writers leave it out */
    assert_int_equal(avcc_read("\2abcdefghij", 11, &back, &err), RGPU_ERROR_INPUT);
    assert_int_equal(avcc_read("\0\0\0\1\x65xxx", 8, &back, &err), RGPU_ERROR_INPUT);
    config.sps_count = 0;
    assert_int_equal(avcc_write(&config, out, sizeof(out), &size, &err), RGPU_ERROR_INPUT);
}

/* ---- real streams
 * ------------------------------------------------------------------------------------ */

static int number(const struct stream *s, const char *key)
{
    return atoi(stream_value(s, key));
}

static void check_ratio(const char *text, struct rational have)
{
    char got[32];
    snprintf(got, sizeof(got), "%d:%d", have.num, have.den);
    assert_string_equal(got, text);
}

/* `format` is what the encoder was asked for: ffprobe shows grey as 4:2:0. */
static void check_sps(const struct stream *s, const char *format, const struct h264_sps *sps)
{
    assert_int_equal(sps->width, number(s, "width"));
    assert_int_equal(sps->height, number(s, "height"));
    assert_int_equal(sps->coded_width, (number(s, "width") + 15) / 16 * 16);
    assert_int_equal(sps->level_idc, number(s, "level"));
    assert_int_equal(h264_reorder_frames(sps), number(s, "has_b_frames"));
    assert_int_equal(sps->bit_depth_luma, strstr(format, "10le") ? 10 : 8);
    assert_int_equal(sps->chroma_format_idc, strstr(format, "444")    ? 3
                                             : strstr(format, "422")  ? 2
                                             : strstr(format, "gray") ? 0
                                                                      : 1);
    if (strcmp(stream_value(s, "sample_aspect_ratio"), "N/A") != 0)
        check_ratio(stream_value(s, "sample_aspect_ratio"), sps->sample_aspect);
    struct rational rate;
    assert_int_equal(sscanf(stream_value(s, "r_frame_rate"), "%d/%d", &rate.num, &rate.den), 2);
    assert_int_equal(sps->frame_rate.num, rate.num);
    assert_int_equal(sps->frame_rate.den, rate.den);
    assert_string_equal(sps->color.range == RANGE_FULL      ? "pc"
                        : sps->color.range == RANGE_LIMITED ? "tv"
                                                            : "unknown",
                        stream_value(s, "color_range"));
}

/* Every packet: key flags and picture types as ffprobe has them. */
static void check_packets(const struct stream *s, const struct avcc *config)
{
    static struct h264_context ctx;
    struct error err;
    memset(&ctx, 0, sizeof(ctx));
    assert_int_equal(avcc_apply(config, &ctx, &err), 0);
    for (int i = 0; i < s->packets; i++) {
        struct h264_access_unit au;
        struct buffer *annexb = NULL;
        const uint8_t *data = s->data + s->packet[i].pos;
        assert_int_equal(
            h264_access_unit(&ctx, data, s->packet[i].size, config->length_size, &au, &err), 0);
        assert_int_equal(au.damaged, 0);
        assert_true(au.slices > 0 && au.pictures == 1);
        assert_int_equal(h264_random_access(&au), s->packet[i].key);
        assert_int_equal(au.intra_only, s->packet[i].type == 'I');
        assert_int_equal(au.slice_types >> H264_SLICE_B & 1, s->packet[i].type == 'B');
        /* The same in Annex B. */
        struct h264_access_unit again;
        assert_int_equal(nal_convert_new(data, s->packet[i].size, config->length_size, NAL_ANNEXB,
                                         &annexb, &err),
                         0);
        ctx.has_last = false;
        assert_int_equal(
            h264_access_unit(&ctx, annexb->data, annexb->size, NAL_ANNEXB, &again, &err), 0);
        assert_memory_equal(&au.first, &again.first, sizeof(au.first));
        assert_int_equal(au.slices, again.slices);
        buffer_unref(&annexb);
    }
}

/* Codec header of the file: read, written the same, and made anew from Annex B. */
static void check_header(const struct stream *s, struct avcc *config)
{
    static struct avcc again;
    struct error err;
    size_t size, written, annexb_size;
    uint8_t out[4096], annexb[4096];
    const uint8_t *avcc = stream_box(s, "avcC", &size);
    assert_int_equal(avcc_read(avcc, size, config, &err), 0);
    assert_int_equal(avcc_write(config, out, sizeof(out), &written, &err), 0);
    assert_int_equal(written, size);
    assert_memory_equal(out, avcc, size);
    assert_int_equal(avcc_write_annexb(config, annexb, sizeof(annexb), &annexb_size, &err), 0);
    assert_int_equal(avcc_read(annexb, annexb_size, &again, &err), 0);
    assert_true(again.annexb && !config->annexb);
    assert_int_equal(avcc_write(&again, out, sizeof(out), &written, &err), 0);
    assert_int_equal(written, size);
    assert_memory_equal(out, avcc, size);
}

static void check_stream(const char *args)
{
    static struct avcc config;
    char all[1024];
    struct h264_sps sps;
    struct error err;
    snprintf(all, sizeof(all), "-f lavfi -i testsrc2=%s", args);
    struct stream *s = stream_make(".mp4", "libx264", all);
    check_header(s, &config);
    assert_int_equal(h264_parse_sps(config.sps[0], &sps, &err), 0);
    assert_false(sps.vui_damaged);
    check_sps(s, strstr(args, "-pix_fmt"), &sps);
    check_packets(s, &config);
    stream_free(s);
}

static void test_x264(void **unused)
{
    (void)unused;
    check_stream("s=98x50:r=30000/1001 -frames:v 30 -c:v libx264 -g 8 -bf 3 -pix_fmt yuv420p");
    check_stream("s=64x48:r=25 -frames:v 20 -c:v libx264 -x264-params "
                 "open-gop=1:keyint=6:min-keyint=2:bframes=3:b-pyramid=normal:slices=3 "
                 "-pix_fmt yuv420p10le -vf setsar=12/11 -color_range pc");
    check_stream("s=102x54:r=50 -frames:v 10 -c:v libx264 -x264-params "
                 "nal-hrd=cbr:vbv-maxrate=500:vbv-bufsize=500:bitrate=500:cqm=jvt:tff=1 "
                 "-pix_fmt yuv422p -vf setsar=200/99");
    check_stream("s=66x66:r=24 -frames:v 6 -c:v libx264 -profile:v baseline -pix_fmt yuv420p");
    check_stream(
        "s=32x32:r=60 -frames:v 6 -c:v libx264 -qp 0 -pix_fmt yuv444p -x264-params cqm=jvt");
    check_stream("s=1920x1080:r=25 -frames:v 3 -c:v libx264 -preset ultrafast -pix_fmt yuv420p");
    check_stream("s=64x64:r=25 -frames:v 3 -c:v libx264 -pix_fmt gray");
}

static void test_x264_color(void **unused)
{
    (void)unused;
    static struct avcc config;
    struct h264_sps sps;
    struct error err;
    struct stream *s = stream_make(
        ".mp4", "libx264",
        "-f lavfi -i testsrc2=s=64x48 -frames:v 2 -c:v libx264 -pix_fmt yuv420p -x264-params "
        "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:chromaloc=2:fullrange=off");
    check_header(s, &config);
    assert_int_equal(h264_parse_sps(config.sps[0], &sps, &err), 0);
    assert_int_equal(sps.color.primaries, 9);
    assert_int_equal(sps.color.transfer, 18);
    assert_int_equal(sps.color.matrix, 9);
    assert_int_equal(sps.color.chroma, CHROMA_TOP_LEFT);
    stream_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rich_sps),
        cmocka_unit_test(test_cut_sps),
        cmocka_unit_test(test_frame_rate),
        cmocka_unit_test(test_reorder_bound),
        cmocka_unit_test(test_pps),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_recovery_point),
        cmocka_unit_test(test_avcc_errors),
        cmocka_unit_test(test_x264),
        cmocka_unit_test(test_x264_color),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
