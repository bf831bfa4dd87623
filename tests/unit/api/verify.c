/* The comparison of results with their source, on results that were changed behind the job's back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/transcode.h"
#include "films.h"
#include "media/hevc.h"
#include "media/nal.h"
#include "support/clip.h"
#include "support/turn.h"

#define ENDED_FRAMES (40 - 3) /* the leading pictures of a CRA picture at a start are not shown */

static const struct rgpu_rung lossless[] = {{.quality = RGPU_QUALITY_LOSSLESS, .speed = 1}};

/* A job that is done, verified once, with a lossless result. */
static rgpu_transcode *done(const char *film, const struct rgpu_rung *rung, const char *out)
{
    rgpu_transcode *job = NULL;
    assert_int_equal(rgpu_transcode_open(&job, .input = film_path(film), .output = out,
                                         .rungs = rung, .rungs_count = 1, .verify = 1,
                                         .segment_seconds = 0.5),
                     0);
    if (rgpu_transcode_wait(job, -1) != 0)
        fail_msg("%s", rgpu_transcode_message(job));
    assert_true(job->progress.rungs[0].psnr_y == 100);
    return job;
}

/* Runs a job, replaces its output by what `command` makes of it, turned by `degrees`, and verifies:
 * the code. */
static int tampered_film(const char *film, const struct rgpu_rung *rung, const char *name,
                         const char *command, int degrees, const char *text)
{
    char out[FILM_PATH_MAX], other[FILM_PATH_MAX];
    const char *folder = film_folder();
    snprintf(out, sizeof(out), "%s%s", folder, name);
    snprintf(other, sizeof(other), "%sother-%s", folder, name);
    rgpu_transcode *job = done(film, rung, out);
    film_number("ffmpeg -nostdin -v error -y -copyts -i %s %s -enc_time_base -1 %s 2>&1; mv %s %s",
                out, command, other, other, out);
    if (degrees)
        turn_mp4(out, degrees);
    struct error err = {0};
    const int ret = transcode_verify(job, &err);
    if (!strstr(err.text, text))
        print_error("said: %s\n", err.text);
    assert_non_null(strstr(err.text, text));
    if (ret == 0)
        assert_true(job->progress.rungs[0].psnr_y == 100);
    rgpu_transcode_close(&job);
    return ret;
}

static int tampered(const char *name, const char *command, const char *text)
{
    return tampered_film("plain.mkv", lossless, name, command, 0, text);
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

static void test_another_size(void **state)
{
    (void)state;
    assert_int_equal(
        tampered("o.mkv", "-vf scale=176:90 -c:v libx264 -preset ultrafast -qp 0", "176x90"),
        RGPU_ERROR_VERIFY);
    /* As many pixels as it should have. */
    assert_int_equal(tampered("o.mkv", "-vf transpose -c:v libx264 -preset ultrafast -qp 0",
                              "90x160 instead of 160x90"),
                     RGPU_ERROR_VERIFY);
}

static void test_another_sample_aspect(void **state)
{
    (void)state;
    assert_int_equal(tampered("o.mkv", "-c copy -aspect 4:3", "aspect"), RGPU_ERROR_VERIFY);
    assert_int_equal(tampered("o.mp4", "-c copy -aspect 4:3", "aspect"), RGPU_ERROR_VERIFY);
}

static void test_a_turned_picture(void **state)
{
    (void)state;
    assert_int_equal(tampered_film("plain.mkv", lossless, "o.mp4", "-c copy", 90, "rotation"),
                     RGPU_ERROR_VERIFY);
}

static void test_a_second_video_track(void **state)
{
    (void)state;
    assert_int_equal(tampered("o.mkv", "-map 0:v -map 0:v -c copy", "2 video tracks instead of 1"),
                     RGPU_ERROR_VERIFY);
}

/* A rate that is capped leaves frames out, but none of those that it keeps may be missing. */
static void test_capped_rates(void **state)
{
    static const struct rgpu_rung
        half = {.quality = RGPU_QUALITY_LOSSLESS, .speed = 1, .fps_max = 12.5},
        third = {.quality = RGPU_QUALITY_LOSSLESS, .speed = 1, .fps_max = 10},
        all = {.quality = RGPU_QUALITY_LOSSLESS, .speed = 1, .fps_max = 30};
    static const struct {
        const char *film;
        const struct rgpu_rung *rung;
        int frame; /* of the result, that is taken out */
        const char *text;
    } cases[] = {
        {"plain.mkv", &half, 0, "where the source has 0.000"},
        {"plain.mkv", &half, 10, "where the source has"},
        {"plain.mkv", &third, 8, "where the source has"},
        {"plain.mkv", &third, -1, "is missing"},
        {"variable.mp4", &all, 20, "where the source has"},
        {"variable.mp4", &all, -1, "is missing"},
        {"variable.mp4", &third, 7, "where the source has"},
    };
    char out[FILM_PATH_MAX];
    (void)state;
    snprintf(out, sizeof(out), "%so.mkv", film_folder());
    rgpu_transcode *job = done("variable.mp4", &all, out);
    assert_int_equal(reader_video(job->reader)->video.frame_rate.num, 0);
    rgpu_transcode_close(&job);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char command[256], cut[64];
        int frame = cases[i].frame;
        snprintf(cut, sizeof(cut), frame < 0 ? "lt(t,2.8)" : "not(eq(n,%d))", frame);
        snprintf(command, sizeof(command),
                 "-vf \"select='%s'\" -fps_mode passthrough -c:v libx264 -preset ultrafast -qp 0",
                 cut);
        print_message("case %zu\n", i);
        assert_int_equal(tampered_film(cases[i].film, cases[i].rung, "o.mkv", "-c copy", 0, ""), 0);
        assert_int_equal(
            tampered_film(cases[i].film, cases[i].rung, "o.mkv", command, 0, cases[i].text),
            RGPU_ERROR_VERIFY);
    }
}

/* Nothing was held against anything. */
static void test_no_frame_to_compare(void **state)
{
    char out[FILM_PATH_MAX];
    (void)state;
    snprintf(out, sizeof(out), "%so.mkv", film_folder());
    rgpu_transcode *job = done("plain.mkv", lossless, out);
    struct error err = {0};
    job->start_us = 100 * INT64_C(1000000);
    assert_int_equal(transcode_verify(job, &err), RGPU_ERROR_VERIFY);
    assert_non_null(strstr(err.text, "no frame to compare"));
    rgpu_transcode_close(&job);
}

/* That is the result's fault, and named by the result; a source that cannot be read is not. */
static void test_what_cannot_be_read(void **state)
{
    char out[FILM_PATH_MAX], text[FILM_PATH_MAX + 64], source[FILM_PATH_MAX];
    (void)state;
    snprintf(out, sizeof(out), "%so.mp4", film_folder());
    snprintf(text, sizeof(text), "%s: the result cannot be read: ", out);
    snprintf(source, sizeof(source), "%s", film_path("going.mkv"));
    film_number("cp %s %s", film_path("plain.mkv"), source);
    rgpu_transcode *job = done("going.mkv", lossless, out);
    struct error err = {0};
    assert_int_equal(truncate(out, 30000), 0);
    assert_int_equal(transcode_verify(job, &err), RGPU_ERROR_VERIFY);
    assert_int_equal(truncate(out, 100), 0);
    assert_int_equal(transcode_verify(job, &err), RGPU_ERROR_VERIFY);
    assert_int_equal(strncmp(err.text, text, strlen(text)), 0);
    assert_int_equal(unlink(out), 0);
    assert_int_equal(transcode_verify(job, &err), RGPU_ERROR_VERIFY);
    assert_int_equal(strncmp(err.text, text, strlen(text)), 0);
    assert_int_equal(unlink(source), 0);
    assert_int_equal(transcode_verify(job, &err), RGPU_ERROR_NOT_FOUND);
    rgpu_transcode_cancel(job);
    assert_int_equal(transcode_verify(job, &err), RGPU_ERROR_CANCELLED);
    rgpu_transcode_close(&job);
}

/* Results of one frame, with names that an address cannot hold. */
static void test_odd_results(void **state)
{
    static const char *const names[] = {"o.ts", "wh?t #1 %41/", "wh?t.m3u8", "o%20:1.mp4"};
    (void)state;
    assert_true(clip_make("one.mkv", "-f lavfi -i testsrc2=size=64x48:rate=25:duration=0.04 "
                                     "-c:v libx264 -preset ultrafast"));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char out[FILM_PATH_MAX];
        snprintf(out, sizeof(out), "%s%s", film_folder(), names[i]);
        rgpu_transcode *job = done("one.mkv", lossless, out);
        rgpu_transcode_close(&job);
    }
}

/* Writes "ended.hevc": "pieces.hevc" with an end of sequence before each VPS but the first, of
 * which there is one before each random-access point. Gives how many. */
static int end_sequences(void)
{
    static const uint8_t end_unit[] = {0, 0, 1, HEVC_NAL_EOS << 1, 1};
    static uint8_t film[1 << 20];
    FILE *in = fopen(film_path("pieces.hevc"), "rb");
    FILE *out = fopen(film_path("ended.hevc"), "wb");
    assert_non_null(in);
    assert_non_null(out);
    const size_t size = fread(film, 1, sizeof(film), in);
    assert_true(size > 1000 && size < sizeof(film));
    fclose(in);
    int count = 0;
    const uint8_t *end = film + size;
    for (const uint8_t *p = film, *next; p < end; p = next) {
        for (next = p + 4; (next = nal_find_start_code(next, end)) < end; next += 4)
            if ((next[3] >> 1 & 63) == HEVC_NAL_VPS)
                break;
        if (p > film) {
            fwrite(end_unit, 1, sizeof(end_unit), out);
            count++;
        }
        fwrite(p, 1, (size_t)(next - p), out);
    }
    fclose(out);
    return count;
}

/* The pictures that wait at the end of a sequence are to be taken before the decoder takes the
 * picture that is next. */
static void test_ends_of_sequences(void **state)
{
    char out[FILM_PATH_MAX];
    (void)state;
    if (!clip_make("pieces.hevc",
                   "-f lavfi -i testsrc2=size=160x90:rate=25:duration=1.6 -pix_fmt yuv420p "
                   "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=none:"
                   "repeat-headers=1:keyint=10:min-keyint=10:scenecut=0:bframes=3:b-adapt=0:"
                   "open-gop=1"))
        skip();
    assert_int_equal(end_sequences(), 3);
    for (int threads = 1; threads <= 3; threads += 2) {
        rgpu_transcode *job = NULL;
        snprintf(out, sizeof(out), "%so.mkv", film_folder());
        assert_int_equal(rgpu_transcode_open(&job, .input = film_path("ended.hevc"), .output = out,
                                             .rungs = lossless, .rungs_count = 1, .verify = 1,
                                             .threads = threads),
                         0);
        if (rgpu_transcode_wait(job, -1) != 0)
            fail_msg("%d threads: %s", threads, rgpu_transcode_message(job));
        assert_true(job->progress.rungs[0].psnr_y == 100);
        assert_int_equal(job->progress.rungs[0].frames, ENDED_FRAMES);
        rgpu_transcode_close(&job);
    }
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
    /* Steps of one and of three frames: no rate is told. */
    assert_true(clip_make("variable.mp4",
                          "-f lavfi -i testsrc2=size=160x90:rate=25:duration=3 -vf "
                          "\"select='lt(mod(n,12),6)+eq(mod(n,3),0)'\" -vsync vfr -c:v libx264 "
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
        cmocka_unit_test(test_another_size),
        cmocka_unit_test(test_another_sample_aspect),
        cmocka_unit_test(test_a_turned_picture),
        cmocka_unit_test(test_a_second_video_track),
        cmocka_unit_test(test_capped_rates),
        cmocka_unit_test(test_no_frame_to_compare),
        cmocka_unit_test(test_what_cannot_be_read),
        cmocka_unit_test(test_odd_results),
        cmocka_unit_test(test_ends_of_sequences),
        cmocka_unit_test(test_other_pictures_show_in_the_figures),
    };
    return cmocka_run_group_tests(tests, set_up, films_tear_down);
}
