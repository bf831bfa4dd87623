/* The probe on real films: frames as libavcodec shows them, and what is special as it was made. */
#include "films.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file/probe.h"

static void probe_film(const char *name, struct probe *ret)
{
    struct reader *r = NULL;
    struct error err = {0};
    const struct reader_params params = {.path = name, .video_track = -1};
    if (reader_open(&r, &params, &err) != 0 || probe_run(r, ret, NULL, NULL, &err) != 0) {
        fail_msg("%s: %s", name, err.text);
        abort(); /* not reached, which cmocka does not declare */
    }
    reader_close(&r);
}

static void check_frames(const char *name, const struct probe *p)
{
    const int frames = films_frames(name);
    print_message("%s: %d frames\n", name, frames);
    assert_true(frames > 0);
    assert_int_equal(p->frames, frames);
}

static void test_ordinary(void **state)
{
    (void)state;
    struct probe p = {0};
    films_make(PICTURE(4) "-c:v libx264 -preset veryfast -bf 3 -g 25 -keyint_min 25 "
                          "-sc_threshold 0 closed.mkv");
    probe_film("closed.mkv", &p);
    check_frames("closed.mkv", &p);
    assert_int_equal(p.points_count, 4);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(p.points[i].pts_us, i * 1000000);
        assert_int_equal(p.points[i].access, ACCESS_CLOSED);
        assert_int_equal(p.points[i].ordinal, 25 * i);
        assert_int_equal(p.points[i].leading, 0);
    }
    assert_int_equal(p.gop_us_max, 1000000);
    assert_int_equal(p.frame_rate_average.num, 25);
    assert_int_equal(p.frame_rate_average.den, 1);
    assert_true(p.duration_us >= 4000000 && p.duration_us < 4100000);
    assert_false(p.open_gop || p.variable_rate || p.interlaced || p.hdr10 || p.hdr10_plus);
    assert_false(p.dolby_vision || p.rotated || p.starts_without_key || p.has_edit_list);
    assert_false(p.timestamps_by_order);
    assert_int_equal(p.damaged, 0);
    probe_done(&p);
    assert_null(p.points);
}

static void test_open_groups(void **state)
{
    static const char *films[] = {"open.mkv", "open.ts"};
    (void)state;
    films_make(PICTURE(4) X264_OPEN "open.mkv");
    films_make(PICTURE(4) X264_OPEN "open.ts");
    for (int i = 0; i < 2; i++) {
        struct probe p = {0};
        probe_film(films[i], &p);
        check_frames(films[i], &p);
        assert_true(p.open_gop);
        int leading = 0;
        for (int k = 0; k < p.points_count; k++) {
            assert_int_equal(p.points[k].access, k ? ACCESS_OPEN : ACCESS_CLOSED);
            leading += p.points[k].leading;
        }
        assert_in_range(leading, 1, 3 * (int)p.points_count);
        probe_done(&p);
    }
}

static void test_rates(void **state)
{
    struct probe p = {0};
    (void)state;
    films_make("-f lavfi -i testsrc2=size=96x64:rate=24000/1001:duration=20 -c:v libx264 film.mkv");
    probe_film("film.mkv", &p);
    check_frames("film.mkv", &p);
    assert_false(p.variable_rate); /* milliseconds are uneven, the rate is not */
    assert_int_equal(p.frame_rate_average.num, 24000);
    assert_int_equal(p.frame_rate_average.den, 1001);
    probe_done(&p);
    films_make(PICTURE(4) "-c:v libx264 -bf 2 -vf \"select='mod(n,7)'\" -fps_mode vfr vfr.mkv");
    probe_film("vfr.mkv", &p);
    check_frames("vfr.mkv", &p);
    assert_true(p.variable_rate);
    assert_true(rational_double(p.frame_rate_average) > 20.5);
    assert_true(rational_double(p.frame_rate_average) < 22.5);
    probe_done(&p);
    films_make("-f lavfi -i testsrc2=size=96x64:duration=1 -frames:v 1 -c:v libx264 one.mp4");
    probe_film("one.mp4", &p);
    assert_int_equal(p.frames, 1);
    assert_int_equal(p.points_count, 1);
    assert_false(p.variable_rate);
    probe_done(&p);
}

static void test_edit_list(void **state)
{
    struct probe p = {0};
    (void)state;
    films_make(PICTURE(4) "-f lavfi -i sine=duration=4 -c:v libx264 -bf 3 -g 50 -c:a aac av.mp4");
    films_make("-ss 0.5 -i av.mp4 -c copy edit.mp4");
    probe_film("edit.mp4", &p);
    check_frames("edit.mp4", &p);
    assert_true(p.has_edit_list);
    assert_true(p.frames < 90);
    probe_done(&p);
    probe_film("av.mp4", &p);
    assert_false(p.has_edit_list);
    probe_done(&p);
}

static void test_begins_in_the_middle(void **state)
{
    struct probe p = {0}, whole = {0};
    (void)state;
    size_t size;
    uint8_t *data = films_load("open.ts", &size);
    const size_t skipped = size / 3 / 188 * 188;
    films_save("middle.ts", data + skipped, size - skipped);
    free(data);
    probe_film("open.ts", &whole);
    probe_film("middle.ts", &p);
    assert_true(p.starts_without_key);
    assert_true(p.points_count > 0 && p.points_count < whole.points_count);
    /* Frames from the first point on. */
    const struct probe_point *first = &whole.points[whole.points_count - p.points_count];
    assert_int_equal(p.points[0].pts_us, first->pts_us);
    assert_int_equal(p.frames, 100 - (first->pts_us - whole.points[0].pts_us) / 40000);
    probe_done(&p);
    probe_done(&whole);
}

static void test_special(void **state)
{
    struct probe p = {0};
    (void)state;
    films_make(PICTURE(2) "-c:v libx264 -flags +ildct+ilme -x264-params tff=1 fieldy.ts");
    probe_film("fieldy.ts", &p);
    check_frames("fieldy.ts", &p);
    assert_true(p.interlaced);
    probe_done(&p);
    films_make(PICTURE(2) "-c:v libx264 -preset veryfast -bf 2 -g 10 order.avi");
    probe_film("order.avi", &p);
    assert_true(p.timestamps_by_order);
    assert_int_equal(p.frames, 50);
    assert_false(p.variable_rate);
    probe_done(&p);
    if (films_can("libx265")) {
        films_make(PICTURE(1) "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -x265-params "
                              "log-level=none:hdr10=1:repeat-headers=1:max-cll=1000,400 hdr.mp4");
        probe_film("hdr.mp4", &p);
        check_frames("hdr.mp4", &p);
        assert_true(p.hdr10);
        probe_done(&p);
    }
}

/* Frames that are only for reference are not frames to be shown. */
static void test_hidden_frames(void **state)
{
    static const char *args[][2] = {
        {"libvpx", "-auto-alt-ref 1 -lag-in-frames 25 -deadline good -cpu-used 2 -b:v 200k"},
        {"libvpx-vp9", "-auto-alt-ref 1 -lag-in-frames 25 -deadline good -cpu-used 5 -b:v 200k"},
        {"libsvtav1", "-preset 10 -g 25"},
    };
    static struct film_packet packets[FILM_PACKETS_MAX];
    char line[512];
    (void)state;
    for (size_t i = 0; i < sizeof(args) / sizeof(args[0]); i++) {
        struct probe p = {0};
        if (!films_can(args[i][0]))
            continue;
        for (int pass = 1; pass <= (i < 2 ? 2 : 0); pass++)
            films_run("ffmpeg -nostdin -v quiet -y " PICTURE(4) "-c:v %s %s -pass %d %s.mkv",
                      args[i][0], args[i][1], pass, args[i][0]);
        snprintf(line, sizeof(line), PICTURE(4) "-c:v %s %s %s.mkv", args[i][0], args[i][1],
                 args[i][0]);
        films_make(line);
        const char *name = strrchr(line, ' ') + 1;
        probe_film(name, &p);
        check_frames(name, &p);
        print_message("%d packets\n", films_packets(name, "v:0", packets));
        assert_int_equal(p.points[0].access, ACCESS_CLOSED);
        assert_false(p.variable_rate); /* the frames that are shown keep their time */
        assert_int_equal(p.damaged, 0);
        probe_done(&p);
    }
}

static bool stop_after(void *opaque, int64_t pts_us)
{
    int *left = opaque;
    assert_true(pts_us >= 0);
    return --*left > 0;
}

static void test_progress(void **state)
{
    (void)state;
    struct reader *r = NULL;
    struct error err = {0};
    struct probe p = {.frames = 77};
    int left = 10;
    const struct reader_params params = {.path = "closed.mkv", .video_track = -1};
    assert_int_equal(reader_open(&r, &params, &err), 0);
    assert_int_equal(probe_run(r, &p, stop_after, &left, &err), RGPU_ERROR_CANCELLED);
    assert_int_equal(left, 0);
    assert_int_equal(p.frames, 77); /* untouched */
    reader_close(&r);
    left = 1000;
    assert_int_equal(reader_open(&r, &params, &err), 0);
    assert_int_equal(probe_run(r, &p, stop_after, &left, &err), 0);
    assert_int_equal(left, 900);
    probe_done(&p);
    reader_close(&r);
}

static void test_sound_only(void **state)
{
    struct probe p = {0};
    (void)state;
    films_make("-f lavfi -i sine=duration=1 sound.m4a");
    probe_film("sound.m4a", &p);
    assert_int_equal(p.frames, 0);
    assert_int_equal(p.points_count, 0);
    assert_true(p.duration_us > 900000);
    probe_done(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ordinary),
        cmocka_unit_test(test_open_groups),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_edit_list),
        cmocka_unit_test(test_begins_in_the_middle),
        cmocka_unit_test(test_special),
        cmocka_unit_test(test_hidden_frames),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_sound_only),
    };
    return cmocka_run_group_tests(tests, films_setup, films_teardown);
}
