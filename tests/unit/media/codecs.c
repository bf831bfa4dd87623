/* media/codecs.h: strings known from the standards and from streams in use. */
#include "unit/media/streams.h"

#include "media/avcc.h"
#include "media/codecs.h"
#include "media/hvcc.h"

static void test_h264(void **unused)
{
    (void)unused;
    char text[CODECS_MAX];
    codecs_h264(66, 0xe0, 30, text);
    assert_string_equal(text, "avc1.42e01e");
    codecs_h264(100, 0, 40, text);
    assert_string_equal(text, "avc1.640028");
}

static void test_hevc(void **unused)
{
    (void)unused;
    char text[CODECS_MAX];
    /* Main; Main 10 of the high tier; other profile spaces. */
    struct hevc_profile p = {
        .idc = 1, .compatibility = 0x60000000, .level_idc = 93, .constraints = {0xb0}};
    codecs_hevc("hev1", &p, text);
    assert_string_equal(text, "hev1.1.6.L93.B0");
    p = (struct hevc_profile){.idc = 2,
                              .compatibility = 0x20000000,
                              .high_tier = true,
                              .level_idc = 153,
                              .constraints = {0x90, 0, 0x23, 0, 0, 0}};
    codecs_hevc("hvc1", &p, text);
    assert_string_equal(text, "hvc1.2.4.H153.90.0.23");
    p = (struct hevc_profile){.space = 1, .idc = 1, .compatibility = 1, .level_idc = 60};
    codecs_hevc("hvc1", &p, text);
    assert_string_equal(text, "hvc1.A1.80000000.L60");
    p.space = 3;
    memset(p.constraints, 0xff, 6);
    codecs_hevc("hvc1", &p, text);
    assert_string_equal(text, "hvc1.C1.80000000.L60.FF.FF.FF.FF.FF.FF");
}

static void test_av1_vp9(void **unused)
{
    (void)unused;
    char text[CODECS_MAX];
    struct error err;
    struct av1_config a = {.level = 4, .bit_depth = 8, .subsampling_x = 1, .subsampling_y = 1};
    codecs_av1(&a, NULL, text);
    assert_string_equal(text, "av01.0.04M.08");
    const struct color pq = {.primaries = 9, .transfer = 16, .matrix = 9};
    a.bit_depth = 10;
    a.chroma_position = 2;
    codecs_av1(&a, &pq, text);
    assert_string_equal(text, "av01.0.04M.10.0.112.09.16.09.0");
    const struct color rgb = {
        .primaries = 1, .transfer = 13, .matrix = MATRIX_RGB, .range = RANGE_FULL};
    a = (struct av1_config){.profile = 1, .level = 31, .high_tier = true, .bit_depth = 8};
    codecs_av1(&a, &rgb, text);
    assert_string_equal(text, "av01.1.31H.08.0.000.01.13.00.1");

    struct vp9_config v;
    assert_int_equal(vp9_config_read("\1\0\0\0\2\x1f\xa2\x09\x10\x09\0\0", 12, &v, &err), 0);
    codecs_vp9(&v, text);
    assert_string_equal(text, "vp09.02.31.10.01.09.16.09.00");
    assert_int_equal(codecs_string("vp9", "\0\x29\x82\2\2\2\0\0", 8, text, &err), 0);
    assert_string_equal(text, "vp09.00.41.08");
    assert_int_equal(vp9_config_read("\0\x29\x92\2\2\2\0\0", 8, &v, &err), RGPU_ERROR_INPUT);
    assert_int_equal(vp9_level(1920, 1080, (struct rational){30, 1}), 40);
    assert_int_equal(vp9_level(1920, 1080, (struct rational){60, 1}), 41);
    assert_int_equal(vp9_level(1280, 720, (struct rational){30000, 1001}), 31);
    assert_int_equal(vp9_level(3840, 2160, (struct rational){0, 0}), 50);
    assert_int_equal(vp9_level(100000, 100000, (struct rational){30, 1}), 62);
}

static void test_audio(void **unused)
{
    (void)unused;
    static const char *const pairs[][2] = {
        {"opus", "opus"}, {"flac", "flac"},      {"ac3", "ac-3"},
        {"eac3", "ec-3"}, {"mp3", "mp4a.40.34"}, {"aac", "mp4a.40.2"},
    };
    char text[CODECS_MAX];
    struct error err;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        assert_int_equal(codecs_string(pairs[i][0], NULL, 0, text, &err), 0);
        assert_string_equal(text, pairs[i][1]);
    }
    assert_int_equal(codecs_string("aac", "\x2b\x92\x08\x00", 4, text, &err), 0);
    assert_string_equal(text, "mp4a.40.5");
    assert_int_equal(codecs_string("aac", "\xeb\x8a\x08\x00", 4, text, &err), 0);
    assert_string_equal(text, "mp4a.40.29");
    strcpy(text, "untouched");
    assert_int_equal(codecs_string("aac", "\x2b", 1, text, &err), RGPU_ERROR_INPUT);
    assert_int_equal(codecs_string("h264", NULL, 0, text, &err), RGPU_ERROR_INPUT);
    assert_int_equal(codecs_string("hevc", NULL, 0, text, &err), RGPU_ERROR_INPUT);
    assert_int_equal(codecs_string("av1", NULL, 0, text, &err), RGPU_ERROR_INPUT);
    assert_int_equal(codecs_string("vp9", NULL, 0, text, &err), RGPU_ERROR_INPUT);
    assert_int_equal(codecs_string("prores", NULL, 0, text, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "prores"));
    assert_string_equal(text, "untouched");
}

static void check_real(const char *encoder, const char *codec, const char *box, const char *args,
                       const char *want)
{
    char text[CODECS_MAX];
    struct error err;
    size_t size;
    struct stream *s = stream_make(".mp4", encoder, args);
    const uint8_t *data = stream_box(s, box, &size);
    assert_int_equal(codecs_string(codec, data, size, text, &err), 0);
    assert_string_equal(text, want);
    stream_free(s);
}

static void test_real_h264(void **unused)
{
    (void)unused;
    check_real("libx264", "h264", "avcC",
               "-f lavfi -i testsrc2=s=64x64 -frames:v 1 -c:v libx264 -pix_fmt yuv420p -profile:v "
               "high -level 4.0",
               "avc1.640028");
    check_real("libx264", "h264", "avcC",
               "-f lavfi -i testsrc2=s=64x64 -frames:v 1 -c:v libx264 -pix_fmt yuv420p -profile:v "
               "baseline -level 3.0",
               "avc1.42c01e");
}

static void test_real_hevc(void **unused)
{
    (void)unused;
    check_real("libx265", "hevc", "hvcC",
               "-f lavfi -i testsrc2=s=64x64 -frames:v 1 -c:v libx265 -tag:v hvc1 -pix_fmt "
               "yuv420p10le -x265-params log-level=none:pools=none:level-idc=4:high-tier=0",
               "hvc1.2.4.L120.90");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_h264),      cmocka_unit_test(test_hevc),
        cmocka_unit_test(test_av1_vp9),   cmocka_unit_test(test_audio),
        cmocka_unit_test(test_real_h264), cmocka_unit_test(test_real_hevc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
