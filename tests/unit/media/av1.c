/* media/av1.h: against ffprobe on streams of SVT-AV1 and libaom, and by hand. */
#include "unit/media/streams.h"

#include "media/av1.h"
#include "media/codecs.h"

/* Main profile sequence header with all that may come before the size: timing, decoder model, three
 * operating points. */
static size_t rich_sequence(uint8_t *ret)
{
    struct bit_out o = {0};
    out_u(&o, 0, 3);
    out_u(&o, 0, 2);
    out_u(&o, 1, 1);
    out_u(&o, 1, 32);
    out_u(&o, 60, 32);
    out_u(&o, 1, 1);
    out_ue(&o, 1); /* two ticks a picture */
    out_u(&o, 1, 1);
    out_u(&o, 9, 5);
    out_u(&o, 77, 32);
    out_u(&o, 0, 10);
    out_u(&o, 1, 1);
    out_u(&o, 2, 5);
    for (unsigned i = 0; i < 3; i++) {
        static const uint8_t levels[] = {12, 8, 7}; /* a tier from 8 on */
        out_u(&o, 0x101, 12);
        out_u(&o, levels[i], 5);
        if (levels[i] > 7)
            out_u(&o, 1, 1);
        out_u(&o, 1, 1);
        out_u(&o, 0x155aa, 21);
        out_u(&o, i > 0, 1);
        if (i > 0)
            out_u(&o, 9, 4);
    }
    out_u(&o, 10, 4);
    out_u(&o, 9, 4);
    out_u(&o, 1919, 11);
    out_u(&o, 1003, 10);
    out_u(&o, 1, 1);
    out_u(&o, 0, 7);
    out_u(&o, 0, 3);
    out_u(&o, 0, 4);
    out_u(&o, 1, 1);
    out_u(&o, 3, 2);
    out_u(&o, 0, 1); /* screen content tools: not selected, on, */
    out_u(&o, 1, 1);
    out_u(&o, 0, 1); /* integer vectors: not selected, off */
    out_u(&o, 0, 1);
    out_u(&o, 6, 3);
    out_u(&o, 0, 3);
    out_u(&o, 1, 1); /* 10 bit */
    out_u(&o, 0, 1);
    out_u(&o, 1, 1);
    out_u(&o, 9, 8);
    out_u(&o, 18, 8);
    out_u(&o, 9, 8);
    out_u(&o, 0, 1);
    out_u(&o, 2, 2);
    out_u(&o, 0, 1);
    out_u(&o, 1, 1); /* film grain */
    const size_t size = out_end(&o);
    memcpy(ret, o.bytes, size);
    return size;
}

static void test_rich_sequence(void **unused)
{
    (void)unused;
    uint8_t data[256];
    const size_t size = rich_sequence(data);
    struct av1_sequence s;
    struct error err;
    assert_int_equal(av1_parse_sequence(data, size, &s, &err), 0);
    assert_int_equal(s.level, 12);
    assert_true(s.high_tier && s.film_grain && !s.monochrome);
    assert_int_equal(s.frame_rate.num, 30);
    assert_int_equal(s.frame_rate.den, 1);
    assert_int_equal(s.width, 1920);
    assert_int_equal(s.height, 1004);
    assert_int_equal(s.bit_depth, 10);
    assert_int_equal(s.color.transfer, 18);
    assert_int_equal(s.color.range, RANGE_LIMITED);
    assert_int_equal(s.color.chroma, CHROMA_TOP_LEFT);
    assert_int_equal(s.subsampling_x + s.subsampling_y, 2);
    for (size_t cut = 0; cut + 1 < size; cut++)
        assert_int_equal(av1_parse_sequence(data, cut, &s, &err), RGPU_ERROR_INPUT);

    char text[CODECS_MAX];
    uint8_t unit[256] = {0x0a, (uint8_t)size};
    memcpy(unit + 2, data, size);
    assert_int_equal(codecs_string("av1", unit, size + 2, text, &err), 0);
    assert_string_equal(text, "av01.0.12H.10.0.112.09.18.09.0");
}

static void check_obus(const void *data, size_t size, const char *want, bool want_error)
{
    char got[64] = "";
    struct av1_iter it;
    struct av1_obu obu;
    av1_iter_init(&it, data, size);
    while (av1_next(&it, &obu))
        sprintf(got + strlen(got), "%d:%zu ", obu.type, obu.payload_size);
    assert_string_equal(got, want);
    assert_int_equal(it.error, want_error);
}

#define OBUS(bytes, want, error) check_obus(bytes, sizeof(bytes) - 1, want, error)

static void test_obus(void **unused)
{
    (void)unused;
    OBUS("", "", false);
    OBUS("\x12\0", "2:0 ", false);
    OBUS("\x12\0\x32\2ab\x7a\1x", "2:0 6:2 15:1 ", false);
    OBUS("\x12\0\x30xyz", "2:0 6:3 ", false); /* without a size: to the end */
    OBUS("\x36\x28\x83\0abc", "6:3 ", false); /* extension, long form of a size */
    OBUS("\x12\0\x32\5ab", "2:0 ", true);
    OBUS("\x92\0", "", true); /* forbidden bit */
    OBUS("\x32\xff\xff\xff\xff\xff\xff\xff\xff\xff", "", true);
    OBUS("\x36", "", true);
    OBUS("\x32", "", true);
}

/* Frame headers by their first bits: repeated, hidden, key, inter. */
static void test_units(void **unused)
{
    (void)unused;
    static const struct {
        const char *bytes;
        size_t size;
        int frames, shown;
        bool key, repeats;
        uint8_t type;
    } cases[] = {
        {"\x32\1\x10", 3, 1, 1, true, false, AV1_FRAME_KEY},
        {"\x32\1\x00", 3, 1, 0, false, false, AV1_FRAME_KEY},
        {"\x32\1\x30", 3, 1, 1, false, false, AV1_FRAME_INTER},
        {"\x32\1\x50", 3, 1, 1, false, false, AV1_FRAME_INTRA_ONLY},
        {"\x32\1\x70", 3, 1, 1, false, false, AV1_FRAME_SWITCH},
        {"\x1a\1\x90\x32\1\x30", 6, 2, 2, false, true, AV1_FRAME_INTER},
        {"\x32\1\x20\x32\1\x30", 6, 2, 1, false, false, AV1_FRAME_INTER},
    };
    struct av1_sequence sequence = {0};
    struct error err;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct av1_temporal_unit tu;
        assert_int_equal(av1_temporal_unit(&sequence, cases[i].bytes, cases[i].size, &tu, &err), 0);
        assert_int_equal(tu.frames, cases[i].frames);
        assert_int_equal(tu.shown, cases[i].shown);
        assert_int_equal(tu.key, cases[i].key);
        assert_int_equal(tu.repeats_key, cases[i].repeats);
        assert_int_equal(tu.first_type, cases[i].type);
    }
}

static void test_metadata(void **unused)
{
    (void)unused;
    /* Light level 1000 and 400; P3 primaries and D65 in 0.16, 1000 cd/m2 in 24.8, 0.005 in 18.14.
     */
    static const uint8_t data[] = {
        0x2a, 5,    1,    0x03, 0xe8, 0x01, 0x90, 0x2a, 25,   2,    0xae, 0x14,
        0x51, 0xec, 0x43, 0xd7, 0xb0, 0xa4, 0x26, 0x66, 0x0f, 0x5c, 0x50, 0x0d,
        0x54, 0x39, 0x00, 0x03, 0xe8, 0x00, 0x00, 0x00, 0x00, 0x52,
    };
    struct av1_sequence sequence = {0};
    struct av1_temporal_unit tu;
    struct error err;
    assert_int_equal(av1_temporal_unit(&sequence, data, sizeof(data), &tu, &err), 0);
    assert_true(tu.hdr.has_light_level && tu.hdr.has_mastering);
    assert_int_equal(tu.hdr.max_content_light, 1000);
    assert_int_equal(tu.hdr.max_average_light, 400);
    assert_int_equal(tu.hdr.primary_x[0], 34000);
    assert_int_equal(tu.hdr.primary_y[0], 16000);
    assert_int_equal(tu.hdr.primary_x[1], 13250);
    assert_int_equal(tu.hdr.primary_y[2], 3000);
    assert_int_equal(tu.hdr.white_x, 15635);
    assert_int_equal(tu.hdr.luminance_max, 10000000);
    assert_int_equal(tu.hdr.luminance_min, 50);
}

static void check_stream(const char *encoder, const char *args)
{
    struct stream *s = stream_make(".mp4", encoder, args);
    struct av1_sequence sequence = {0};
    struct av1_config config, again;
    struct error err;
    size_t size, written;
    uint8_t out[256];
    const uint8_t *av1c = stream_box(s, "av1C", &size);
    const char *format = stream_value(s, "pix_fmt");
    assert_int_equal(av1_config_read(av1c, size, &config, &err), 0);
    assert_true(s->packets > 0);
    for (int i = 0; i < s->packets; i++) {
        struct av1_temporal_unit tu;
        const uint8_t *data = s->data + s->packet[i].pos;
        assert_int_equal(av1_temporal_unit(&sequence, data, s->packet[i].size, &tu, &err), 0);
        assert_int_equal(tu.damaged, 0);
        assert_int_equal(tu.shown, 1);
        assert_int_equal(tu.key, s->packet[i].key);
        if (i > 0)
            continue;
        /* The record made from the first unit is the one in the file. */
        assert_true(tu.has_sequence);
        assert_int_equal(av1_config_write(data, s->packet[i].size, NULL, 0, &written, &err),
                         RGPU_ERROR_LIMIT);
        assert_int_equal(written, size);
        assert_int_equal(
            av1_config_write(data, s->packet[i].size, out, sizeof(out), &written, &err), 0);
        /* (SVT-AV1 1.4 gives ffmpeg another sequence header than it puts into the stream.) */
        assert_memory_equal(out, av1c, strcmp(encoder, "libsvtav1") == 0 ? 4 : size);
        assert_int_equal(av1_config_read(data, s->packet[i].size, &again, &err), 0);
        assert_int_equal(again.level, config.level);
    }
    assert_int_equal(sequence.width, atoi(stream_value(s, "width")));
    assert_int_equal(sequence.height, atoi(stream_value(s, "height")));
    assert_int_equal(sequence.level, atoi(stream_value(s, "level")));
    assert_int_equal(sequence.bit_depth, strstr(format, "10le") ? 10 : 8);
    assert_int_equal(sequence.subsampling_x, !strstr(format, "444"));
    assert_int_equal(sequence.monochrome, !!strstr(format, "gray"));
    const bool bt2020 = strcmp(stream_value(s, "color_primaries"), "bt2020") == 0;
    assert_int_equal(sequence.color.primaries, bt2020 ? 9 : 0);
    assert_int_equal(sequence.color.transfer, bt2020 ? 16 : 0);
    stream_free(s);
}

static void test_svt(void **unused)
{
    (void)unused;
    check_stream("libsvtav1", "-f lavfi -i testsrc2=s=128x72:r=25 -frames:v 12 -c:v libsvtav1 "
                              "-preset 10 -g 5 -pix_fmt yuv420p10le");
}

static void test_aom(void **unused)
{
    (void)unused;
    check_stream("libaom-av1", "-f lavfi -i testsrc2=s=66x50:r=25 -frames:v 4 -c:v libaom-av1 "
                               "-cpu-used 8 -g 2 -pix_fmt yuv444p10le -color_primaries bt2020 "
                               "-color_trc smpte2084 -colorspace bt2020nc");
    check_stream("libaom-av1", "-f lavfi -i testsrc2=s=64x64:r=25 -frames:v 2 -c:v libaom-av1 "
                               "-cpu-used 8 -pix_fmt gray");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rich_sequence), cmocka_unit_test(test_obus),
        cmocka_unit_test(test_units),         cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_svt),           cmocka_unit_test(test_aom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
