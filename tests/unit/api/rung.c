/* Rungs: presets, sizes that keep the aspect ratio, bit rates, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/rung.h"
#include "codec/codec.h"

static struct track source(int width, int height)
{
    return (struct track){.codec = "h264", .width = width, .height = height, .frame_rate = {30, 1}};
}

static struct rung resolve(const struct track *track, const struct rgpu_rung *want)
{
    struct rung rung;
    struct error err = {0};
    const struct rung_context context = {.source = track};
    assert_int_equal(rung_resolve(&rung, want, &context, &err), 0);
    return rung;
}

static void check_size(int width, int height, const char *preset, int want_width, int want_height)
{
    const struct track track = source(width, height);
    const struct rung rung = resolve(&track, &(struct rgpu_rung){.preset = preset});
    assert_int_equal(rung.rendition.width, want_width);
    assert_int_equal(rung.rendition.height, want_height);
}

static void test_sizes_of_presets(void **state)
{
    (void)state;
    check_size(1920, 1080, "720p", 1280, 720);
    check_size(1920, 1080, "480p", 854, 480);
    check_size(1920, 800, "720p", 1280, 534);
    check_size(1440, 1080, "720p", 960, 720);
    check_size(1080, 1920, "720p", 720, 1280); /* upright: the box is turned */
    check_size(640, 360, "1080p", 640, 360);   /* never upscaled */
    check_size(321, 179, NULL, 320, 178);      /* even */
    check_size(1, 1, NULL, 2, 2);
}

static void test_aspect_ratio_is_kept(void **state)
{
    (void)state;
    srand(1);
    for (int i = 0; i < 5000; i++) {
        struct track track = source(64 + rand() % 4000, 64 + rand() % 3000);
        if (rand() % 3 == 0)
            track.sample_aspect = (struct rational){1 + rand() % 40, 1 + rand() % 40};
        const struct rgpu_preset *preset = rgpu_preset(rand() % 10);
        const struct rung rung = resolve(&track, &(struct rgpu_rung){.preset = preset->name});
        const int w = rung.rendition.width, h = rung.rendition.height;
        assert_int_equal(w % 2 + h % 2, 0);
        assert_true(w <= track.width && h <= track.height);
        /* Both sides carry the same factor, but for rounding to even. */
        const double fx = (double)w / track.width, fy = (double)h / track.height;
        const double slack = 2.0 / track.width + 2.0 / track.height;
        if (w > 2 && h > 2)
            assert_true(fabs(fx - fy) <= slack);
    }
}

static void test_size_is_a_box(void **state)
{
    (void)state;
    const struct track track = source(1920, 1080);
    struct rung rung = resolve(&track, &(struct rgpu_rung){.width = 853, .height = 480});
    assert_int_equal(rung.rendition.width, 852); /* an odd box is not gone over */
    assert_int_equal(rung.rendition.height, 480);
    rung = resolve(&track, &(struct rgpu_rung){.width = 640, .height = 480});
    assert_int_equal(rung.rendition.width, 640);
    assert_int_equal(rung.rendition.height, 360);
    rung = resolve(&track, &(struct rgpu_rung){.height = 540});
    assert_int_equal(rung.rendition.width, 960);
    assert_string_equal(rung.name, "540p");
}

static void test_upscale_on_demand(void **state)
{
    (void)state;
    const struct track track = source(640, 360);
    struct rung rung;
    const struct rung_context context = {.source = &track, .upscale = true};
    assert_int_equal(rung_resolve(&rung, &(struct rgpu_rung){.preset = "1080p"}, &context, NULL),
                     0);
    assert_int_equal(rung.rendition.width, 1920);
    assert_int_equal(rung.rendition.height, 1080);
}

static void test_rates(void **state)
{
    (void)state;
    const struct track track = source(1920, 1080);
    struct rung rung = resolve(&track, &(struct rgpu_rung){.preset = "1080p"});
    assert_int_equal(rung.rendition.rate, RATE_VBR);
    assert_int_equal(rung.rendition.bit_rate_bps, 5000000);
    assert_true(rational_double(rung.rendition.frame_rate_max) == 30);
    rung = resolve(&track, &(struct rgpu_rung){.preset = "1080p", .codec = "hevc_nvenc"});
    assert_int_equal(rung.rendition.bit_rate_bps, 3000000);
    assert_string_equal(rung.rendition.codec, "hevc");
    rung = resolve(&track, &(struct rgpu_rung){.preset = "1080p", .bitrate_kbps = 1234});
    assert_int_equal(rung.rendition.bit_rate_bps, 1234000);
    rung = resolve(&track, &(struct rgpu_rung){.quality = RGPU_QUALITY_LOSSLESS});
    assert_int_equal(rung.rendition.rate, RATE_QUALITY);
    assert_int_equal(rung.rendition.quality, 0);
    rung = resolve(&track, &(struct rgpu_rung){0});
    assert_int_equal(rung.rendition.rate, RATE_QUALITY);
    assert_int_equal(rung.rendition.quality, 23);
    assert_int_equal(rung.rendition.bframes, -1);
    rung = resolve(&track, &(struct rgpu_rung){.bframes = -1});
    assert_int_equal(rung.rendition.bframes, 0);
    rung = resolve(&track, &(struct rgpu_rung){.quality = 63, .codec = "av1"});
    assert_int_equal(rung.rendition.quality, 63);
    assert_int_equal(rung.rendition.bframes, -1);
}

static void refused(const struct rgpu_rung *want, const char *named)
{
    const struct track track = source(1920, 1080);
    const struct rung_context context = {.source = &track};
    struct rung rung;
    struct error err = {0};
    assert_int_equal(rung_resolve(&rung, want, &context, &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, named));
}

static void test_what_is_refused_is_named(void **state)
{
    (void)state;
    refused(&(struct rgpu_rung){.preset = "999p"}, "999p");
    refused(&(struct rgpu_rung){.codec = "vp6"}, "vp6");
    refused(&(struct rgpu_rung){.width = -1}, "-1x0");
    refused(&(struct rgpu_rung){.quality = 64}, "64");
    refused(&(struct rgpu_rung){.quality = -2}, "-2");
    refused(&(struct rgpu_rung){.speed = 8}, "p8");
    refused(&(struct rgpu_rung){.bframes = 17}, "17");
    refused(&(struct rgpu_rung){.bframes = 2, .codec = "av1"}, "--bframes");
    refused(&(struct rgpu_rung){.bframes = -1, .codec = "av1"}, "--bframes");
    refused(&(struct rgpu_rung){.quality = 52}, "1 to 51");
    refused(&(struct rgpu_rung){.quality = 52, .codec = "hevc"}, "1 to 51");
    refused(&(struct rgpu_rung){.profile = "a-name-that-is-longer-than-all"}, "--profile");
    refused(&(struct rgpu_rung){.profile = "high", .codec = "hevc"}, "main444-12");
    refused(&(struct rgpu_rung){.profile = "main1"}, "main1");
    refused(&(struct rgpu_rung){.profile = "main, high"}, "main, high");
    refused(&(struct rgpu_rung){.fps_max = (double)NAN}, "frame rate");
    refused(&(struct rgpu_rung){.bitrate_kbps = -5}, "-5");
}

/* All profiles that the software encoders know, and no others. */
static void test_profiles(void **state)
{
    static const char *const codecs[] = {"h264", "hevc", "av1"};
    const struct encoder_ops *ops = codec_backend(DEVICE_CPU)->encoder;
    (void)state;
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        const struct rgpu_rung want = {.codec = codecs[i], .profile = "foo"};
        struct encoder_params params = {.width = 128,
                                        .height = 128,
                                        .format = ops->format(0, codecs[i], "", PIXEL_YUV420P),
                                        .time_base = {1, 25},
                                        .rate = RATE_QUALITY,
                                        .quality = 30,
                                        .bframes = -1,
                                        .profile = "foo"};
        struct error ours = {0}, theirs = {0};
        void *encoder = NULL;
        if (params.format == PIXEL_NONE)
            continue; /* no such encoder here */
        snprintf(params.codec, sizeof(params.codec), "%s", codecs[i]);
        assert_int_equal(rung_check_ladder(&want, 1, &ours), RGPU_ERROR_PARAM);
        assert_int_not_equal(ops->open(&encoder, &params, &theirs), 0);
        const char *list = strstr(theirs.text, "one of "), *known = strstr(ours.text, "one of ");
        assert_non_null(list);
        assert_non_null(known);
        assert_string_equal(known, list);
    }
    const struct track track = source(1920, 1080);
    const struct rung rung = resolve(&track, &(struct rgpu_rung){.profile = "high422"});
    assert_string_equal(rung.rendition.profile, "high422");
}

static void test_larger_than_the_source(void **state)
{
    static const struct {
        struct rgpu_rung want;
        bool is_cut;
        const char *text;
    } rows[] = {{{.width = 1920}, true, "1920x"},
                {{.height = 722}, true, "x722"},
                {{.width = 1282, .height = 722}, true, "1282x722"},
                {{.width = 1280, .height = 2000}, false, "1280x2000"},
                {{.width = 1279}, false, "1279x"},
                {{.preset = "4k"}, false, "x0"},
                {{.preset = "4k", .height = 1080}, true, "x1080"}};
    struct track track = source(1280, 720);
    char text[RUNG_SIZE_TEXT_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct rung rung = resolve(&track, &rows[i].want);
        assert_int_equal(rung.is_cut, rows[i].is_cut);
        assert_string_equal(rung_size_text(&rung, text), rows[i].text);
    }
    /* The box is of what is displayed: 720x576 at 16:15 are 768x576. */
    track = source(720, 576);
    track.sample_aspect = (struct rational){16, 15};
    assert_false(resolve(&track, &(struct rgpu_rung){.width = 768}).is_cut);
    assert_true(resolve(&track, &(struct rgpu_rung){.width = 770}).is_cut);
    const struct rung_context context = {.source = &track, .upscale = true};
    struct rung rung;
    assert_int_equal(rung_resolve(&rung, &(struct rgpu_rung){.width = 1920}, &context, NULL), 0);
    assert_false(rung.is_cut);
    assert_int_equal(rung.rendition.width, 1800);
}

static void test_ladder(void **state)
{
    (void)state;
    const struct rgpu_rung want[] = {{.preset = "source"},
                                     {.preset = "1080p"},
                                     {.preset = "720p"},
                                     {.preset = "480p"},
                                     {.preset = "360p"}};
    const struct track small = source(854, 480), large = source(1920, 1080);
    struct rung rungs[RENDITIONS_MAX];
    int count, dropped;
    struct rung_context context = {.source = &large};
    assert_int_equal(rung_resolve_ladder(rungs, &count, &dropped, want, 5, &context, NULL), 0);
    assert_int_equal(count, 5);
    assert_int_equal(dropped, 0);
    assert_true(rungs[0].is_source);
    context.source = &small;
    assert_int_equal(rung_resolve_ladder(rungs, &count, &dropped, want, 5, &context, NULL), 0);
    assert_int_equal(count, 3); /* source, one of 854x480, 640x360 */
    assert_int_equal(dropped, 2);
    assert_string_equal(rungs[1].name, "480p");
    assert_string_equal(rungs[2].name, "360p");
    /* The same size asked for twice without presets is meant; only the names must differ. */
    const struct rgpu_rung twice[] = {{.height = 360, .bitrate_kbps = 500},
                                      {.height = 360, .bitrate_kbps = 900}};
    assert_int_equal(rung_resolve_ladder(rungs, &count, &dropped, twice, 2, &context, NULL), 0);
    assert_int_equal(count, 2);
    assert_string_not_equal(rungs[0].name, rungs[1].name);
    assert_string_equal(rungs[1].rendition.name, rungs[1].name);
    const struct rgpu_rung sources[] = {{.preset = "source"}, {.preset = "source"}};
    assert_int_equal(rung_resolve_ladder(rungs, &count, &dropped, sources, 2, &context, NULL),
                     RGPU_ERROR_PARAM);
    assert_int_equal(rung_resolve_ladder(rungs, &count, &dropped, NULL, 0, &context, NULL), 0);
    assert_int_equal(count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_of_presets),
        cmocka_unit_test(test_aspect_ratio_is_kept),
        cmocka_unit_test(test_size_is_a_box),
        cmocka_unit_test(test_upscale_on_demand),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_what_is_refused_is_named),
        cmocka_unit_test(test_profiles),
        cmocka_unit_test(test_larger_than_the_source),
        cmocka_unit_test(test_ladder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
