/* What a file is, through the public header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include <rgpu/probe.h>

#include "films.h"
#include "support/clip.h"

static void test_a_film(void **state)
{
    (void)state;
    rgpu_probe *probe = NULL;
    assert_int_equal(rgpu_probe_open(&probe, film_path(FILM), NULL, NULL), 0);
    const struct rgpu_probe_info *info = rgpu_probe_info(probe);
    assert_non_null(strstr(info->format, "matroska"));
    assert_true(fabs(info->duration_seconds - 3) < 0.1 && info->size_bytes > 1000);
    assert_int_equal(info->frames, FILM_FRAMES);
    assert_int_equal(info->tracks_count, 2);
    const struct rgpu_probe_track *video = &info->tracks[0], *audio = &info->tracks[1];
    assert_string_equal(video->kind, "video");
    assert_string_equal(video->codec, "h264");
    assert_string_equal(video->pixel_format, "yuv420p");
    assert_true(video->width == 160 && video->height == 90 && video->frames_per_second == 25);
    assert_string_equal(audio->kind, "audio");
    assert_string_equal(audio->codec, "aac");
    assert_string_equal(audio->language, "eng");
    assert_true(audio->sample_rate == 44100 && audio->channels == 1);
    /* A key frame every 12 of 75 frames. */
    assert_int_equal(info->points_count, 7);
    assert_int_equal(info->points_listed, 7);
    for (int i = 0; i < 7; i++) {
        assert_false(info->points[i].open);
        assert_true(fabs(info->points[i].seconds - info->points[0].seconds - i * 0.48) < 0.002);
    }
    assert_true(fabs(info->gop_seconds_max - 0.48) < 0.002);
    assert_false(info->open_gop || info->variable_rate || info->interlaced || info->hdr10 ||
                 info->rotated || info->starts_without_key || info->without_pts);
    assert_int_equal(info->damaged, 0);
    assert_string_equal(rgpu_probe_message(probe), "");
    rgpu_probe_close(&probe);
    assert_null(probe);
    rgpu_probe_close(&probe);
}

static void test_sound_only(void **state)
{
    (void)state;
    assert_true(clip_make("sound.m4a", "-f lavfi -i sine=duration=1 -c:a aac"));
    rgpu_probe *probe = NULL;
    assert_int_equal(rgpu_probe_open(&probe, film_path("sound.m4a"), NULL, NULL), 0);
    const struct rgpu_probe_info *info = rgpu_probe_info(probe);
    assert_int_equal(info->tracks_count, 1);
    assert_string_equal(info->tracks[0].kind, "audio");
    assert_true(info->frames == 0 && info->points_count == 0);
    rgpu_probe_close(&probe);
}

static void refused(const char *path, int code)
{
    rgpu_probe *probe = NULL;
    assert_int_equal(rgpu_probe_open(&probe, path, NULL, NULL), code);
    assert_non_null(strstr(rgpu_probe_message(probe), path));
    assert_int_equal(rgpu_probe_info(probe)->tracks_count, 0);
    rgpu_probe_close(&probe);
}

static void test_what_is_no_film(void **state)
{
    (void)state;
    rgpu_probe *probe = NULL;
    refused(film_path("nothing.mkv"), RGPU_ERROR_NOT_FOUND);
    film_number("echo this is no film >%s", film_path("text.mkv"));
    refused(film_path("text.mkv"), RGPU_ERROR_INPUT);
    refused(clip_dir(), RGPU_ERROR_INPUT);
    assert_int_equal(rgpu_probe_open(&probe, NULL, NULL, NULL), RGPU_ERROR_PARAM);
    assert_null(probe);
    assert_int_equal(rgpu_probe_open(&probe, "", NULL, NULL), RGPU_ERROR_PARAM);
}

struct calls {
    int count, stop_at;
    double last;
};

static int go_on(void *opaque, double seconds)
{
    struct calls *c = opaque;
    c->last = seconds;
    return ++c->count != c->stop_at;
}

static void test_progress_and_cancel(void **state)
{
    (void)state;
    assert_true(clip_make("long.mkv",
                          "-f lavfi -i testsrc2=size=64x48:rate=50:duration=60 -c:v libx264 "
                          "-preset ultrafast"));
    rgpu_probe *probe = NULL;
    struct calls calls = {0};
    assert_int_equal(rgpu_probe_open(&probe, film_path("long.mkv"), go_on, &calls), 0);
    assert_true(calls.count > 1 && calls.last > 1 && calls.last <= 60);
    assert_int_equal(rgpu_probe_info(probe)->frames, 3000);
    rgpu_probe_close(&probe);
    const int all = calls.count;
    calls = (struct calls){.stop_at = 1};
    assert_int_equal(rgpu_probe_open(&probe, film_path("long.mkv"), go_on, &calls),
                     RGPU_ERROR_CANCELLED);
    assert_true(calls.count == 1 && all > 1);
    assert_true(rgpu_probe_message(probe)[0] != '\0');
    rgpu_probe_close(&probe);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_film),
        cmocka_unit_test(test_sound_only),
        cmocka_unit_test(test_what_is_no_film),
        cmocka_unit_test(test_progress_and_cancel),
    };
    return cmocka_run_group_tests(tests, films_set_up, films_tear_down);
}
