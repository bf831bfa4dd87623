/* The comparison of results with their source, on results that were changed behind the job's back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "api/transcode.h"
#include "films.h"
#include "support/clip.h"

static const struct rgpu_rung lossless[] = {{.quality = RGPU_QUALITY_LOSSLESS, .speed = 1}};

/* Runs a job, replaces its output by what `command` makes of it, and verifies: the code. */
static int tampered(const char *name, const char *command, const char *text)
{
    char out[FILM_PATH_MAX], other[FILM_PATH_MAX];
    const char *folder = film_folder();
    snprintf(out, sizeof(out), "%s%s", folder, name);
    snprintf(other, sizeof(other), "%sother-%s", folder, name);
    rgpu_transcode *job = NULL;
    assert_int_equal(rgpu_transcode_open(&job, .input = film_path("plain.mkv"), .output = out,
                                         .rungs = lossless, .rungs_count = 1),
                     0);
    assert_int_equal(rgpu_transcode_wait(job, -1), 0);
    film_number("ffmpeg -nostdin -v error -y -copyts -i %s %s -enc_time_base -1 %s 2>&1; mv %s %s",
                out, command, other, other, out);
    struct error err = {0};
    const int ret = transcode_verify(job, &err);
    if (!strstr(err.text, text))
        print_error("'%s' lacks '%s'\n", err.text, text);
    assert_non_null(strstr(err.text, text));
    if (ret == 0)
        assert_true(job->progress.rungs[0].psnr_y == 100);
    rgpu_transcode_close(&job);
    return ret;
}

static void test_an_honest_copy(void **state)
{
    (void)state;
    assert_int_equal(tampered("o.mkv", "-c copy", ""), 0);
}

static void test_frames_cut_off(void **state)
{
    (void)state;
    assert_int_equal(tampered("o.mkv", "-c copy -t 2", "missing"), RGPU_ERROR_VERIFY);
}

static void test_a_frame_dropped(void **state)
{
    (void)state;
    assert_int_equal(tampered("o.mkv",
                              "-vf \"select='not(eq(n,40))'\" -fps_mode passthrough -c:v libx264 "
                              "-preset ultrafast -qp 0",
                              "1.6"),
                     RGPU_ERROR_VERIFY);
}

static void test_frames_added(void **state)
{
    (void)state;
    assert_int_equal(
        tampered("o.mkv", "-vf tpad=stop=3:stop_mode=clone -c:v libx264 -preset ultrafast -qp 0",
                 "behind"),
        RGPU_ERROR_VERIFY);
}

static void test_shifted_time(void **state)
{
    (void)state;
    assert_int_equal(tampered("o.mkv", "-vf setpts=PTS+0.5/TB -c:v libx264 -preset ultrafast -qp 0",
                              "where the source"),
                     RGPU_ERROR_VERIFY);
}

static void test_no_video_left(void **state)
{
    (void)state;
    assert_int_equal(tampered("o.mkv", "-f lavfi -i sine=duration=1 -map 1:a -c:a aac", "video"),
                     RGPU_ERROR_VERIFY);
}

/* The pictures may differ, but the figures must say so. */
static void test_other_pictures_show_in_the_figures(void **state)
{
    char out[FILM_PATH_MAX];
    (void)state;
    snprintf(out, sizeof(out), "%so.mkv", film_folder());
    rgpu_transcode *job = NULL;
    assert_int_equal(rgpu_transcode_open(&job, .input = film_path("plain.mkv"), .output = out,
                                         .rungs = lossless, .rungs_count = 1, .verify = 1),
                     0);
    assert_int_equal(rgpu_transcode_wait(job, -1), 0);
    assert_true(job->progress.rungs[0].psnr_y == 100);
    film_number("ffmpeg -nostdin -v error -y -copyts -i %s -enc_time_base -1 -vf negate -c:v "
                "libx264 -qp 0 %s.mkv 2>&1; "
                "mv %s.mkv %s",
                out, out, out, out);
    struct error err = {0};
    assert_int_equal(transcode_verify(job, &err), 0);
    assert_true(job->progress.rungs[0].psnr_y < 15 && job->progress.rungs[0].psnr_y > 0);
    rgpu_transcode_close(&job);
}

static int set_up(void **state)
{
    films_set_up(state);
    /* From 0 on and without B-frames: ffmpeg keeps its time stamps to the millisecond. */
    assert_true(clip_make("plain.mkv",
                          "-f lavfi -i testsrc2=size=160x90:rate=25:duration=3 -c:v libx264 "
                          "-preset ultrafast -g 12"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_honest_copy),
        cmocka_unit_test(test_frames_cut_off),
        cmocka_unit_test(test_a_frame_dropped),
        cmocka_unit_test(test_frames_added),
        cmocka_unit_test(test_shifted_time),
        cmocka_unit_test(test_no_video_left),
        cmocka_unit_test(test_other_pictures_show_in_the_figures),
    };
    return cmocka_run_group_tests(tests, set_up, films_tear_down);
}
