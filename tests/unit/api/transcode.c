/* File jobs through the public header: what comes out, what is refused, how a job is watched,
 * stopped and closed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <rgpu/transcode.h>

#include "films.h"
#include "support/clip.h"

#define LONG_TS                                                                                    \
    "-f lavfi -i testsrc2=size=64x48:rate=25:duration=40 -c:v libx264 -preset ultrafast -g 25"

#define PARAMS(...)                                                                                \
    &(const struct rgpu_transcode_params)                                                          \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

static const struct rgpu_rung lossless[] = {{.quality = RGPU_QUALITY_LOSSLESS, .speed = 1}};

static rgpu_transcode *open_job(const struct rgpu_transcode_params *params)
{
    rgpu_transcode *job = NULL;
    const int ret = rgpu_transcode_open_sized(&job, params, sizeof(*params));
    if (ret != 0)
        print_error("open: %s\n", rgpu_transcode_message(job));
    assert_int_equal(ret, 0);
    return job;
}

static struct rgpu_progress progress_of(rgpu_transcode *job)
{
    struct rgpu_progress progress;
    assert_int_equal(rgpu_transcode_progress(job, &progress, sizeof(progress)), 0);
    return progress;
}

/* Waits for the end, with an eye on what may only grow while the state is the same. */
static int watch(rgpu_transcode *job)
{
    double percent = -1, position = 0;
    enum rgpu_state state = RGPU_STATE_OPENING;
    int ret;
    while ((ret = rgpu_transcode_wait(job, 5)) == RGPU_ERROR_AGAIN) {
        const struct rgpu_progress p = progress_of(job);
        assert_true(p.state >= state);
        if (p.state > RGPU_STATE_VERIFYING)
            continue; /* it has ended since the wait */
        if (p.state != state)
            percent = -1, position = 0;
        state = p.state;
        assert_true(p.percent >= percent && p.percent <= 100);
        assert_true(p.position_seconds >= position);
        assert_string_equal(rgpu_transcode_message(job), "");
        percent = p.percent;
        position = p.position_seconds;
    }
    return ret;
}

/* Runs a job that must succeed; gives its last figures. */
static struct rgpu_progress run(const struct rgpu_transcode_params *params)
{
    rgpu_transcode *job = open_job(params);
    const int ret = watch(job);
    if (ret != 0)
        print_error("job: %s\n", rgpu_transcode_message(job));
    assert_int_equal(ret, 0);
    const struct rgpu_progress p = progress_of(job);
    assert_int_equal(p.state, RGPU_STATE_DONE);
    assert_true(p.percent == 100 || p.percent < 0);
    rgpu_transcode_close(&job);
    assert_null(job);
    return p;
}

/* The code of a job that must fail, at open or later; its message must hold `text`. */
static int refused(const struct rgpu_transcode_params *params, const char *text)
{
    rgpu_transcode *job = NULL;
    int ret = rgpu_transcode_open_sized(&job, params, sizeof(*params));
    if (ret == 0)
        ret = rgpu_transcode_wait(job, -1);
    assert_non_null(job);
    assert_int_not_equal(ret, 0);
    assert_int_equal(rgpu_transcode_wait(job, 0), ret);
    assert_int_equal(progress_of(job).state, RGPU_STATE_FAILED);
    if (!strstr(rgpu_transcode_message(job), text))
        print_error("'%s' lacks '%s'\n", rgpu_transcode_message(job), text);
    assert_non_null(strstr(rgpu_transcode_message(job), text));
    rgpu_transcode_close(&job);
    return ret;
}

/* The same, and open itself must say so. */
static int refused_at_once(const struct rgpu_transcode_params *params, const char *text)
{
    rgpu_transcode *job = NULL;
    const int ret = rgpu_transcode_open_sized(&job, params, sizeof(*params));
    rgpu_transcode_close(&job);
    if (ret == 0)
        print_error("'%s' was not refused at once\n", text);
    assert_int_not_equal(ret, 0);
    assert_int_equal(refused(params, text), ret);
    return ret;
}

static const char *in_folder(const char *folder, const char *name)
{
    static char paths[4][FILM_PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, FILM_PATH_MAX, "%s%s", folder, name);
    return path;
}

/* Frame by frame: the same pictures at the same times, less `shift`. */
static void expect_frames(const char *result, int track, const char *source, int first, int count,
                          double shift)
{
    struct film_frame *a, *b;
    const int got = film_frames(result, track, &a);
    const int all = film_frames(source, 0, &b);
    assert_true(first + count <= all);
    assert_int_equal(got, count);
    for (int i = 0; i < count; i++) {
        assert_string_equal(a[i].md5, b[first + i].md5);
        assert_true(fabs(a[i].seconds - a[0].seconds - (b[first + i].seconds - b[first].seconds)) <
                    0.0011);
    }
    assert_true(fabs(a[0].seconds - (b[first].seconds - shift)) < 0.05);
    free(a);
    free(b);
}

/* ---- what comes out ---------------------------------------------------------------------------
 */

static const struct rgpu_rung ladder[] = {{.height = 90, .quality = 28, .speed = 1},
                                          {.height = 48, .bitrate_kbps = 100, .speed = 1}};

static void expect_ladder(const struct rgpu_progress *p)
{
    assert_int_equal(p->rungs_count, 2);
    assert_true(!strcmp(p->device, "cpu") || !strncmp(p->device, "cuda:", 5));
    assert_int_equal(p->frames, FILM_FRAMES);
    assert_int_equal(p->damaged, 0);
    assert_true(p->bytes > 0 && p->segments_done > 0 && p->elapsed_seconds > 0);
    assert_true(fabs(p->duration_seconds - 3) < 0.2 && fabs(p->position_seconds - 3) < 0.1);
    const int heights[] = {90, 48};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(p->rungs[i].height, heights[i]);
        assert_int_equal(p->rungs[i].frames, FILM_FRAMES);
        assert_true(p->rungs[i].bytes > 0 && p->rungs[i].bitrate_kbps > 0);
        assert_string_equal(p->rungs[i].codec, "h264");
    }
    assert_string_equal(p->rungs[0].name, "90p");
    assert_string_equal(p->rungs[1].name, "48p");
}

static void test_ladder_in_one_file(void **state)
{
    static const char *const names[] = {"out.mp4", "out.mkv", "out.ts"};
    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *folder = film_folder();
        const char *out = in_folder(folder, names[i]);
        const struct rgpu_progress p =
            run(PARAMS(.input = film_path(FILM), .output = out, .rungs = ladder, .rungs_count = 2));
        expect_ladder(&p);
        assert_string_equal(p.rungs[1].output, out);
        assert_int_equal(film_files(folder), 1);
        struct film_frame *frames;
        for (int k = 0; k < 2; k++) {
            assert_int_equal(film_frames(out, k, &frames), FILM_FRAMES);
            free(frames);
        }
        assert_true(film_number("ffprobe -v error -select_streams a -count_packets -show_entries "
                                "stream=nb_read_packets -of csv=p=0 %s",
                                out) > 100);
    }
}

static void test_file_for_each_rung(void **state)
{
    (void)state;
    const char *folder = film_folder();
    const struct rgpu_progress p =
        run(PARAMS(.input = film_path(FILM), .output = in_folder(folder, "x-{}.mp4"),
                   .rungs = ladder, .rungs_count = 2));
    expect_ladder(&p);
    assert_int_equal(film_files(folder), 2);
    assert_string_equal(p.rungs[0].output, in_folder(folder, "x-90p.mp4"));
    assert_int_equal(access(in_folder(folder, "x-48p.mp4"), R_OK), 0);
}

static void test_hls(void **state)
{
    (void)state;
    const char *folder = film_folder();
    const struct rgpu_progress p =
        run(PARAMS(.input = film_path(FILM), .output = in_folder(folder, "hls/"), .rungs = ladder,
                   .rungs_count = 2, .segment_seconds = 1));
    expect_ladder(&p);
    for (int i = 0; i < 2; i++) {
        struct film_frame *frames;
        assert_int_equal(film_frames(p.rungs[i].output, 0, &frames), FILM_FRAMES);
        free(frames);
    }
    assert_true(film_number("grep -c EXTINF %s", p.rungs[0].output) >= 3);
    assert_true(film_number("grep -c STREAM-INF %shls/*.m3u8", folder) >= 2);
}

static void test_lossless_is_the_source(void **state)
{
    static const char *const names[] = {"out.mkv", "out.mp4", "out.ts"};
    (void)state;
    for (int jobs = 1; jobs <= 3; jobs++) {
        const char *out = in_folder(film_folder(), names[jobs - 1]);
        const struct rgpu_progress p =
            run(PARAMS(.input = film_path(FILM), .output = out, .rungs = lossless, .rungs_count = 1,
                       .jobs = jobs, .segment_seconds = 0.4, .verify = 1));
        assert_true(p.segments_done >= 3);
        assert_true(p.rungs[0].psnr_y == 100 && p.rungs[0].psnr_u == 100 &&
                    p.rungs[0].psnr_v == 100);
        struct film_frame *a, *b;
        const int count = film_frames(out, 0, &a);
        assert_int_equal(count, FILM_FRAMES);
        assert_int_equal(film_frames(film_path(FILM), 0, &b), FILM_FRAMES);
        for (int i = 0; i < count; i++) {
            assert_string_equal(a[i].md5, b[i].md5);
            assert_true(fabs(a[i].seconds - a[0].seconds - b[i].seconds + b[0].seconds) < 0.0011);
        }
        free(a);
        free(b);
    }
}

static void test_psnr_is_plausible(void **state)
{
    static const struct rgpu_rung rungs[] = {{.quality = 18, .speed = 2},
                                             {.height = 48, .quality = 45, .speed = 2}};
    (void)state;
    const struct rgpu_progress p =
        run(PARAMS(.input = film_path(FILM), .output = in_folder(film_folder(), "o.mkv"),
                   .rungs = rungs, .rungs_count = 2, .verify = 1));
    assert_true(p.rungs[0].psnr_y > 35 && p.rungs[0].psnr_y < 60);
    assert_true(p.rungs[1].psnr_y > 15 && p.rungs[1].psnr_y < p.rungs[0].psnr_y);
}

/* Every frame is a segment of its own. */
static void test_tiny_segments(void **state)
{
    (void)state;
    assert_true(clip_make("intra.mkv", "-f lavfi -i testsrc2=size=160x90:rate=50:duration=6 "
                                       "-c:v libx264 -preset ultrafast -g 1"));
    for (int jobs = 1; jobs <= 3; jobs++) {
        const char *out = in_folder(film_folder(), "o.mkv");
        const struct rgpu_progress p =
            run(PARAMS(.input = film_path("intra.mkv"), .output = out, .rungs = lossless,
                       .rungs_count = 1, .jobs = jobs, .segment_seconds = 0.01));
        assert_int_equal(p.segments_done, 300);
        assert_int_equal(p.segments_retried, 0);
        expect_frames(out, 0, film_path("intra.mkv"), 0, 300, 0);
    }
}

/* A slow encoder, and more of the smallest segments than any queue holds. */
static void test_tiny_segments_wait_for_a_slow_encoder(void **state)
{
    static const struct rgpu_rung slow[] = {
        {.width = 1280, .height = 720, .speed = 7, .quality = 20}};
    (void)state;
    const struct rgpu_progress p =
        run(PARAMS(.input = film_path("intra.mkv"), .output = in_folder(film_folder(), "o.mkv"),
                   .rungs = slow, .rungs_count = 1, .upscale = 1, .segment_seconds = 0.01,
                   .duration_seconds = 4, .threads = 1));
    assert_int_equal(p.rungs[0].frames, 200);
    assert_int_equal(p.segments_retried, 0);
}

static void test_window_is_exact(void **state)
{
    static const struct {
        double start, duration;
        int first, count;
    } cases[] = {
        {0, 1, 0, 25}, {1, 0, 25, 50}, {0.5, 1, 12, 25}, {2.9, 5, 72, 3}, {0.04, 0.04, 1, 1}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        for (int jobs = 1; jobs <= 2; jobs++) {
            const char *out = in_folder(film_folder(), "o.mkv");
            const struct rgpu_progress p = run(
                PARAMS(.input = film_path(FILM), .output = out, .rungs = lossless, .rungs_count = 1,
                       .start_seconds = cases[i].start, .duration_seconds = cases[i].duration,
                       .jobs = jobs, .segment_seconds = 0.4, .verify = 1));
            assert_true(p.rungs[0].psnr_y == 100);
            expect_frames(out, 0, film_path(FILM), cases[i].first, cases[i].count, cases[i].start);
        }
    }
}

static void test_source_rung(void **state)
{
    static const struct rgpu_rung rungs[] = {{.preset = "source"}, {.height = 48, .speed = 1}};
    (void)state;
    for (int count = 1; count <= 2; count++) {
        const char *out = in_folder(film_folder(), "o.mkv");
        const struct rgpu_progress p =
            run(PARAMS(.input = film_path(FILM), .output = out, .rungs = rungs,
                       .rungs_count = count, .verify = 1));
        assert_true(p.rungs[0].psnr_y == 100);
        assert_string_equal(p.rungs[0].name, "source");
        expect_frames(out, 0, film_path(FILM), 0, FILM_FRAMES, 0);
    }
}

/* The shortest distance of key frames that can be asked for: each frame is one. */
static void test_shortest_gop(void **state)
{
    static const struct rgpu_rung rungs[] = {{.quality = 40, .speed = 1}};
    (void)state;
    const char *out = in_folder(film_folder(), "o.mkv");
    run(PARAMS(.input = film_path(FILM), .output = out, .rungs = rungs, .rungs_count = 1,
               .gop_seconds = 0.001, .verify = 1));
    assert_true(film_number("ffprobe -v error -select_streams v -show_entries packet=flags -of "
                            "csv=p=0 %s | grep -c K",
                            out) == FILM_FRAMES);
}

/* Intra pictures are only where segments begin. */
static void test_intra_refresh(void **state)
{
    static const struct rgpu_rung rungs[] = {{.quality = 30, .speed = 1}};
    (void)state;
    const char *out = in_folder(film_folder(), "o.mp4");
    for (int on = 0; on < 2; on++) {
        run(PARAMS(.input = film_path(FILM), .output = out, .rungs = rungs, .rungs_count = 1,
                   .gop_seconds = 0.2, .segment_seconds = 1000, .intra_refresh = on, .verify = 1,
                   .overwrite = 1));
        const double count =
            film_number("ffprobe -v error -select_streams v -show_entries frame=pict_type -of "
                        "csv=p=0 %s | grep -c I",
                        out);
        assert_true(on ? count == 1 : count >= 5);
    }
}

static void test_frame_rate_cap(void **state)
{
    static const struct rgpu_rung rungs[] = {{.fps_max = 12.5, .quality = 30, .speed = 1}};
    (void)state;
    const struct rgpu_progress p =
        run(PARAMS(.input = film_path(FILM), .output = in_folder(film_folder(), "o.mkv"),
                   .rungs = rungs, .rungs_count = 1, .verify = 1));
    assert_in_range(p.rungs[0].frames, 37, 39);
    assert_int_equal(p.frames, FILM_FRAMES);
}

/* Time stamps, or those of key frames only, of a result's n-th video track. */
static int times_of(const char *path, int track, bool keys, int64_t *ret_ms, int max)
{
    char text[16384];
    film_ask(
        text, sizeof(text),
        "ffprobe -v error -select_streams v:%d -show_entries packet=pts_time,flags -of csv=p=0 "
        "%s | sort -n | %s | cut -d, -f1 | tr '\\n' ' '",
        track, path, keys ? "grep K" : "cat");
    int n = 0;
    char *end = text;
    for (const char *at = text; n < max; at = end) {
        const double seconds = strtod(at, &end);
        if (end == at)
            break;
        ret_ms[n++] = llround(seconds * 1000);
    }
    return n;
}

/* A cap is a cap, and what is kept does not depend on how the film is cut. */
static void test_caps_and_segments(void **state)
{
    (void)state;
    assert_true(clip_make("odd.mkv", "-f lavfi -i testsrc2=size=64x48:rate=25:duration=6 -c:v "
                                     "libx264 -preset veryfast -bf 3 -g 13 -sc_threshold 0 "
                                     "-x264-params open-gop=1"));
    static const struct {
        double fps;
        int frames;
    } caps[] = {{12.5, 75}, {12, 50}, {0.5, 3}};
    static const double lengths[] = {0.1, 1, 2.3, 60};
    for (size_t i = 0; i < sizeof(caps) / sizeof(caps[0]); i++)
        for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
            const struct rgpu_rung rungs[] = {
                {.quality = 40, .speed = 1, .height = 48},
                {.quality = 40, .speed = 1, .height = 46, .fps_max = caps[i].fps},
                {.quality = 40, .speed = 1, .height = 44, .fps_max = 5}};
            const char *out = in_folder(film_folder(), "o.mkv");
            print_message("%g a second, segments of %g s\n", caps[i].fps, lengths[k]);
            run(PARAMS(.input = film_path("odd.mkv"), .output = out, .rungs = rungs,
                       .rungs_count = 3, .verify = 1, .jobs = 1 + (int)k % 3,
                       .segment_seconds = lengths[k]));
            int64_t ms[200] = {0}, all[200] = {0};
            assert_int_equal(times_of(out, 1, false, ms, 200), caps[i].frames);
            for (int n = 0; n < caps[i].frames; n++)
                assert_int_equal(ms[n], n * 6000 / caps[i].frames);
            assert_int_equal(times_of(out, 2, false, ms, 200), 30);
            const int keys = times_of(out, 0, true, all, 200);
            assert_in_range(keys, 3, 12);
            for (int r = 1; r < 3; r++) {
                assert_int_equal(times_of(out, r, true, ms, 200), keys);
                assert_memory_equal(ms, all, (size_t)keys * sizeof(ms[0]));
            }
        }
}

/* With the source's own packets beside it, a capped rung has key frames where they have them. */
static void test_caps_beside_the_source(void **state)
{
    (void)state;
    static const struct rgpu_rung rungs[] = {
        {.preset = "source"}, {.quality = 40, .speed = 1, .height = 46, .fps_max = 12.5}};
    const char *folder = film_folder();
    const struct rgpu_progress p =
        run(PARAMS(.input = film_path("odd.mkv"), .output = in_folder(folder, "hls/"),
                   .rungs = rungs, .rungs_count = 2, .verify = 1, .segment_seconds = 1));
    assert_int_equal(p.rungs[1].frames, 75);
    /* At every second key frame of the source, each 26 frames. */
    assert_true(film_number("grep -c EXTINF %shls/source/index.m3u8", folder) == 6);
}

/* ---- sound and tracks -------------------------------------------------------------------------
 */

static void expect_audio(const char *out, const char *want)
{
    char got[64];
    film_ask(got, sizeof(got),
             "ffprobe -v error -select_streams a -show_entries stream=codec_name -of csv=p=0 %s",
             out);
    assert_string_equal(got, want);
}

static void test_audio_modes(void **state)
{
    static const struct {
        const char *audio, *name, *codec;
    } cases[] = {{NULL, "o.mp4", "aac"},       {"copy", "o.mkv", "aac"},
                 {"none", "o.mp4", ""},        {"aac:96", "o.mp4", "aac"},
                 {"opus:64", "o.mkv", "opus"}, {"opus", "o.mkv", "opus"}};
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *out = in_folder(film_folder(), cases[i].name);
        run(PARAMS(.input = film_path(FILM), .output = out, .rungs = &ladder[1], .rungs_count = 1,
                   .audio = cases[i].audio, .duration_seconds = 1));
        expect_audio(out, cases[i].codec);
    }
}

/* Two video tracks, AAC and MP3. */
static void make_two_videos(void)
{
    assert_true(clip_make("two.mkv",
                          "-f lavfi -i testsrc2=size=160x90:rate=25:duration=1 -f lavfi -i "
                          "testsrc=size=80x60:rate=25:duration=1 -f lavfi -i "
                          "sine=duration=1 -f lavfi -i sine=duration=1 -map 0 -map 1 -map 2 "
                          "-map 3 -c:v libx264 -preset ultrafast -c:a:0 aac -c:a:1 mp3"));
}

static void test_map(void **state)
{
    (void)state;
    make_two_videos();
    static const struct {
        const char *map, *audio;
        int height;
    } cases[] = {{"v:1,a:1", "mp3", 60}, {"0,2", "aac", 90}, {"1", "", 60}, {"v:0", "", 90}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *out = in_folder(film_folder(), "o.mkv");
        const struct rgpu_progress p =
            run(PARAMS(.input = film_path("two.mkv"), .output = out, .rungs = lossless,
                       .rungs_count = 1, .map = cases[i].map, .verify = 1));
        assert_int_equal(p.rungs[0].height, cases[i].height);
        assert_true(p.rungs[0].psnr_y == 100);
        expect_audio(out, cases[i].audio);
    }
    const char *out = in_folder(film_folder(), "o.mkv");
    const char *in = film_path("two.mkv");
    assert_int_equal(refused(PARAMS(.input = in, .output = out, .map = "9"), "'9'"),
                     RGPU_ERROR_PARAM);
    assert_int_equal(refused(PARAMS(.input = in, .output = out, .map = "v,x"), "'x'"),
                     RGPU_ERROR_PARAM);
    assert_int_equal(refused(PARAMS(.input = in, .output = out, .map = "a:7"), "'a:7'"),
                     RGPU_ERROR_PARAM);
}

/* Feeds a pipe that is named with two.mkv. */
static void *feed(void *opaque)
{
    char bytes[4096];
    FILE *film = fopen(film_path("two.mkv"), "rb"), *to = fopen(opaque, "wb");
    size_t size;
    while ((size = fread(bytes, 1, sizeof(bytes), film)) > 0)
        if (fwrite(bytes, 1, size, to) != size)
            break;
    fclose(film);
    fclose(to);
    return NULL;
}

/* The best track of a pipe can be had, another one would need a second look. */
static void test_map_of_a_pipe(void **state)
{
    static const char *const maps[] = {"v:0", "v:1"};
    (void)state;
    make_two_videos();
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < 4; i++) {
        const char *folder = film_folder();
        char fifo[FILM_PATH_MAX];
        snprintf(fifo, sizeof(fifo), "%s", in_folder(folder, "in.fifo"));
        assert_int_equal(mkfifo(fifo, 0600), 0);
        pthread_t writer;
        assert_int_equal(pthread_create(&writer, NULL, feed, fifo), 0);
        const int kept = dup(STDIN_FILENO), end = i < 2 ? -1 : open(fifo, O_RDONLY);
        if (end >= 0)
            dup2(end, STDIN_FILENO);
        rgpu_transcode *job = open_job(
            PARAMS(.input = end >= 0 ? "/dev/stdin" : fifo, .output = in_folder(folder, "o.mkv"),
                   .rungs = lossless, .rungs_count = 1, .map = maps[i % 2]));
        const int ret = rgpu_transcode_wait(job, 60000); /* else it waits for ever */
        print_message("map %s: %s\n", maps[i % 2], rgpu_transcode_message(job));
        assert_int_equal(ret, i % 2 ? RGPU_ERROR_PARAM : 0);
        assert_int_equal(strstr(rgpu_transcode_message(job), "twice") != NULL, i % 2);
        rgpu_transcode_close(&job);
        dup2(kept, STDIN_FILENO);
        close(kept);
        if (end >= 0)
            close(end);
        pthread_join(writer, NULL);
    }
    signal(SIGPIPE, SIG_DFL);
}

/* ---- warnings and refusals --------------------------------------------------------------------
 */

static bool warned(rgpu_transcode *job, const char *text)
{
    bool found = false;
    for (int i = 0; rgpu_transcode_warning(job, i); i++)
        found |= strstr(rgpu_transcode_warning(job, i), text) != NULL;
    assert_null(rgpu_transcode_warning(job, -1));
    assert_null(rgpu_transcode_warning(job, 1000));
    return found;
}

static void test_warnings(void **state)
{
    (void)state;
    assert_true(clip_make("c422.mkv", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=1 -c:v "
                                      "libx264 -preset ultrafast -pix_fmt yuv422p"));
    rgpu_transcode *job = open_job(
        PARAMS(.input = film_path("c422.mkv"), .output = in_folder(film_folder(), "o.mp4")));
    assert_int_equal(watch(job), 0);
    assert_true(warned(job, "4:2:0"));
    rgpu_transcode_close(&job);

    static const struct rgpu_rung presets[] = {{.preset = "720p"}, {.preset = "360p"}};
    job = open_job(PARAMS(.input = film_path(FILM), .output = in_folder(film_folder(), "o.mp4"),
                          .rungs = presets, .rungs_count = 2));
    assert_int_equal(watch(job), 0);
    assert_true(warned(job, "1 rung is left out"));
    assert_int_equal(progress_of(job).rungs_count, 1);
    rgpu_transcode_close(&job);
}

/* A size that would need upscaling is not had, and that is said; a preset is only a bound. */
static void test_size_that_is_cut(void **state)
{
    static const struct {
        struct rgpu_rung rung;
        int upscale;
        const char *warning;
    } rows[] = {{{.width = 1920, .height = 1080}, 0, "1920x1080"},
                {{.width = 200}, 0, "200x "},
                {{.preset = "720p", .height = 100}, 0, "x100"},
                {{.width = 1920, .height = 90}, 0, NULL},
                {{.width = 320}, 1, NULL},
                {{.preset = "720p"}, 0, NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        rgpu_transcode *job =
            open_job(PARAMS(.input = film_path(FILM), .output = in_folder(film_folder(), "o.mkv"),
                            .rungs = &rows[i].rung, .rungs_count = 1, .upscale = rows[i].upscale));
        assert_int_equal(rgpu_transcode_wait(job, -1), 0);
        assert_int_equal(warned(job, "--upscale"), rows[i].warning != NULL);
        if (rows[i].warning) {
            assert_true(warned(job, rows[i].warning));
            assert_true(warned(job, "160x90"));
        }
        assert_int_equal(progress_of(job).rungs[0].width, rows[i].upscale ? 320 : 160);
        rgpu_transcode_close(&job);
    }
}

static int warnings_with(rgpu_transcode *job, const char *text)
{
    int count = 0;
    for (int i = 0; rgpu_transcode_warning(job, i); i++)
        count += strstr(rgpu_transcode_warning(job, i), text) != NULL;
    return count;
}

/* Those of the second file too, and those that come up while it is written; each once. */
static void test_late_warnings(void **state)
{
    (void)state;
    static const struct rgpu_rung rungs[] = {{.height = 46, .speed = 1}, {.preset = "source"}};
    rgpu_transcode *job =
        open_job(PARAMS(.input = film_path(FILM), .output = in_folder(film_folder(), "{}.mkv"),
                        .rungs = rungs, .rungs_count = 2, .start_seconds = 0.7));
    assert_int_equal(watch(job), 0);
    assert_int_equal(warnings_with(job, "copied video begins 0."), 1);
    rgpu_transcode_close(&job);
}

static int videos_in(const char *path)
{
    return (int)film_number("ffprobe -v error -select_streams v -show_entries stream=index -of "
                            "csv=p=0 %s | grep [0-9] | sort -u | wc -l",
                            path);
}

/* Other video tracks are copied, or it is said that they are not. */
static void test_other_videos(void **state)
{
    (void)state;
    make_two_videos();
    static const struct rgpu_rung one[] = {{.height = 46, .speed = 1}};
    static const struct {
        const char *map, *out;
        int videos, said;
    } cases[] = {
        {NULL, "o.mkv", 2, 0},  {"0,1", "o.mkv", 2, 0}, {NULL, "o.mp4", 2, 0},
        {"v", "o.ts", 2, 0},    {NULL, "o.flv", 1, 1},  {"v", "hls/", 1, 1},
        {NULL, "{}.mkv", 1, 1}, {"v", "{}.mkv", 2, 0},  {"v:0,a:0", "o.mkv", 1, 0},
    };
    static const struct rgpu_rung two[] = {{.height = 46, .speed = 1}, {.preset = "source"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *folder = film_folder();
        const bool split = strstr(cases[i].out, "{}") != NULL;
        rgpu_transcode *job =
            open_job(PARAMS(.input = film_path("two.mkv"),
                            .output = in_folder(folder, cases[i].out), .rungs = split ? two : one,
                            .rungs_count = split ? 2 : 1, .map = cases[i].map, .verify = 1));
        assert_int_equal(watch(job), 0);
        assert_int_equal(warnings_with(job, "video track 1"), cases[i].said);
        const struct rgpu_progress p = progress_of(job);
        for (int r = 0; r < p.rungs_count; r++)
            assert_int_equal(videos_in(p.rungs[r].output), cases[i].videos);
        if (cases[i].videos == 2) {
            struct film_frame *was, *is;
            const int count = film_frames(film_path("two.mkv"), 1, &was);
            assert_int_equal(film_frames(p.rungs[0].output, 1, &is), count);
            for (int f = 0; f < count; f++)
                assert_string_equal(is[f].md5, was[f].md5);
            free(was);
            free(is);
        }
        rgpu_transcode_close(&job);
    }
}

/* What a stream begins with before its first key frame is left out, and said. */
static void test_head_is_said(void **state)
{
    (void)state;
    assert_true(clip_make("head.ts", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=3 -c:v "
                                     "libx264 -preset veryfast -g 25 -bf 0 -x264-params "
                                     "repeat-headers=1 -pat_period 0.02"));
    film_number("tail -c +%d %s >%s", 188 * 40 + 1, film_path("head.ts"), film_path("headless.ts"));
    rgpu_transcode *job = open_job(
        PARAMS(.input = film_path("headless.ts"), .output = in_folder(film_folder(), "o.mp4")));
    assert_int_equal(watch(job), 0);
    assert_int_equal(warnings_with(job, "before the first random-access point"), 1);
    assert_true(progress_of(job).frames >= 50);
    rgpu_transcode_close(&job);
}

/* A clock that jumps back: in a stream, what follows is moved; elsewhere, frames that would be
 * shown before their forerunners are left out and counted. */
static void test_clock_that_jumps_back(void **state)
{
    (void)state;
    assert_true(clip_make("one.ts", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=2 -c:v "
                                    "libx264 -preset veryfast -g 25"));
    assert_true(clip_make("next.ts", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=2 -c:v "
                                     "libx264 -preset veryfast -g 25 -output_ts_offset 1.8"));
    film_number("cat %s %s >%s", film_path("one.ts"), film_path("next.ts"), film_path("both.ts"));
    rgpu_transcode *job =
        open_job(PARAMS(.input = film_path("both.ts"), .output = in_folder(film_folder(), "o.mp4"),
                        .verify = 1));
    assert_int_equal(watch(job), 0);
    assert_int_equal(warnings_with(job, "its clock jumps back 1 time,"), 1);
    assert_int_equal(progress_of(job).frames, 100);
    rgpu_transcode_close(&job);

    assert_true(clip_make("back.mkv",
                          "-f lavfi -i testsrc2=size=160x90:rate=25:duration=3 -c:v libx264 "
                          "-preset veryfast -g 25 -bf 0 -bsf:v "
                          "\"setts=pts='if(gt(N,40),PTS-200,PTS)':dts='DTS-300'\""));
    for (int segment = 0; segment < 2; segment++) {
        job = open_job(PARAMS(.input = film_path("back.mkv"), .rungs = lossless, .rungs_count = 1,
                              .output = in_folder(film_folder(), "o.mkv"),
                              .segment_seconds = segment ? 0.5 : 20));
        assert_int_equal(watch(job), 0);
        assert_in_range(progress_of(job).damaged, 5, 10);
        assert_int_equal(warnings_with(job, "damaged"), 1);
        assert_in_range(progress_of(job).frames, 70, 71);
        rgpu_transcode_close(&job);
    }
}

static void test_damage_is_said(void **state)
{
    (void)state;
    assert_true(clip_make("whole.ts",
                          "-f lavfi -i testsrc2=size=160x90:rate=25:duration=3 -c:v libx264 "
                          "-preset veryfast -g 25"));
    film_number("head -c 30000 %s >%s", film_path("whole.ts"), film_path("cut.ts"));
    film_number("dd if=/dev/urandom of=%s bs=1 seek=12000 count=500 conv=notrunc 2>&1",
                film_path("cut.ts"));
    rgpu_transcode *job =
        open_job(PARAMS(.input = film_path("cut.ts"), .output = in_folder(film_folder(), "o.mp4")));
    assert_int_equal(watch(job), 0);
    assert_true(progress_of(job).damaged > 0);
    assert_true(warned(job, "damaged"));
    rgpu_transcode_close(&job);
}

static void test_refused_parameters(void **state)
{
    (void)state;
    const char *folder = film_folder();
    const char *in = film_path(FILM);
    const char *out = in_folder(folder, "o.mp4");
#define BAD(code, text, ...) assert_int_equal(refused(PARAMS(__VA_ARGS__), text), RGPU_ERROR_##code)
#define BAD_JOB(code, text, ...) BAD(code, text, .input = in, .output = out, __VA_ARGS__)
    BAD(PARAM, "input", .output = out);
    BAD(PARAM, "output", .input = in);
    BAD(PARAM, "output", .input = in, .output = "");
    BAD_JOB(PARAM, "rungs_count", .rungs_count = 1);
    BAD_JOB(PARAM, "rungs_count", .rungs_count = -1);
    BAD_JOB(PARAM, "segment", .segment_seconds = -1);
    BAD_JOB(PARAM, "gop", .gop_seconds = NAN);
    BAD_JOB(PARAM, "gop", .gop_seconds = 1e-9, .verify = 1);
    BAD_JOB(PARAM, "0.001", .gop_seconds = 0.0009);
    BAD_JOB(PARAM, "duration", .duration_seconds = 1e-7);
    BAD_JOB(PARAM, "start", .start_seconds = INFINITY);
    BAD_JOB(PARAM, "duration", .duration_seconds = -0.5);
    BAD_JOB(PARAM, "jobs", .jobs = -1);
    BAD_JOB(PARAM, "jobs", .jobs = 65);
    BAD_JOB(PARAM, "threads", .threads = 2000);
    BAD_JOB(PARAM, "start", .start_seconds = 100);
    BAD_JOB(PARAM, "mp3", .audio = "mp3");
    BAD_JOB(PARAM, "aac:", .audio = "aac:");
    BAD_JOB(PARAM, "aac:5", .audio = "aac:5");
    BAD_JOB(PARAM, "copy:64", .audio = "copy:64");
    BAD_JOB(PARAM, "gpu9", .device = "gpu9");
    BAD_JOB(DEVICE, "cuda:63", .device = "cuda:63");
    BAD(PARAM, "HLS", .input = in, .output = in_folder(folder, "o.m3u8"), .intra_refresh = 1);
    static const struct rgpu_rung no_refresh[] = {
        {.codec = "av1"}, {.codec = "hevc"}, {.bframes = 1}};
    for (int i = 0; i < 3; i++)
        BAD_JOB(PARAM, "--intra-refresh", .rungs = &no_refresh[i], .rungs_count = 1,
                .intra_refresh = 1);
    BAD(PARAM, "o.xyz", .input = in, .output = in_folder(folder, "o.xyz"));
    BAD(NOT_FOUND, "nothing.mkv", .input = film_path("nothing.mkv"), .output = out);
    BAD(INPUT, "", .input = "/dev/null", .output = out);
    BAD(IO, "none/", .input = in, .output = in_folder(folder, "none/deep/o.mp4"));
    static const struct rgpu_rung bad[] = {
        {.preset = "8k"}, {.codec = "vp9"},       {.width = -2}, {.height = 20000},
        {.quality = 64},  {.bitrate_kbps = -1},   {.speed = 8},  {.bframes = 17},
        {.fps_max = -1},  {.profile = "nonsense"}};
    static const char *const texts[] = {"8k", "vp9", "-2", "20000", "64",
                                        "-1", "p8",  "17", "-1",    "nonsense"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const int code = refused(
            PARAMS(.input = in, .output = out, .rungs = &bad[i], .rungs_count = 1), texts[i]);
        assert_true(code == RGPU_ERROR_PARAM || code == RGPU_ERROR_UNSUPPORTED);
    }
    static const struct rgpu_rung many[RGPU_RUNGS_MAX + 1];
    BAD_JOB(PARAM, "16", .rungs = many, .rungs_count = RGPU_RUNGS_MAX + 1);
    BAD(PARAM, "FLV", .input = in, .output = in_folder(folder, "o.flv"), .rungs = ladder,
        .rungs_count = 2);
    assert_int_equal(film_files(folder), 0);
}

/* What is wrong whatever the input is comes from open: nobody writes to this one. */
static void test_parameters_before_the_input(void **state)
{
    (void)state;
    const char *folder = film_folder(), *fifo = in_folder(folder, "in.fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
#define AT_ONCE(text, ...)                                                                         \
    assert_int_equal(                                                                              \
        refused_at_once(PARAMS(.input = fifo, .output = in_folder(folder, "o.mkv"), __VA_ARGS__),  \
                        text),                                                                     \
        RGPU_ERROR_PARAM)
    static const struct rgpu_rung bad[] = {
        {.preset = "nope"}, {.quality = 60}, {.profile = "foo"}, {.codec = "vp9"}, {.speed = 8}};
    static const char *const texts[] = {"nope", "60", "\"foo\"", "vp9", "p8"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        AT_ONCE(texts[i], .rungs = &bad[i], .rungs_count = 1);
    static const struct rgpu_rung sources[] = {{.preset = "source"}, {.preset = "source"}};
    AT_ONCE("source", .rungs = sources, .rungs_count = 2);
    AT_ONCE("aac: 128", .audio = "aac: 128");
    AT_ONCE("cuda:x", .device = "cuda:x");
    AT_ONCE("'cuda:'", .device = "cuda:");
    AT_ONCE("'x'", .map = "v,x");
    AT_ONCE("'a:'", .map = "a:");
    /* A device that is not there needs no input either. */
    assert_int_equal(
        refused(PARAMS(.input = fifo, .output = in_folder(folder, "o.mkv"), .device = "cuda:63"),
                "cuda:63"),
        RGPU_ERROR_DEVICE);
    assert_int_equal(film_files(folder), 1);
}

static void test_output_that_exists(void **state)
{
    (void)state;
    const char *folder = film_folder();
    const struct rgpu_transcode_params params = {.input = film_path(FILM),
                                                 .output = in_folder(folder, "o.mkv"),
                                                 .rungs = &ladder[1],
                                                 .rungs_count = 1};
    struct rgpu_transcode_params again = params;
    run(&params);
    assert_int_equal(refused(&params, "o.mkv"), RGPU_ERROR_EXISTS);
    again.overwrite = 1;
    run(&again);
    assert_int_equal(film_files(folder), 1);
}

/* Two jobs for one name: one of them gets it, whole. */
static void test_two_jobs_for_one_output(void **state)
{
    (void)state;
    const char *folder = film_folder();
    const struct rgpu_transcode_params params = {.input = film_path(FILM),
                                                 .output = in_folder(folder, "o.mkv"),
                                                 .rungs = lossless,
                                                 .rungs_count = 1};
    rgpu_transcode *a = open_job(&params), *b = NULL;
    int second = rgpu_transcode_open_sized(&b, &params, sizeof(params));
    const int first = rgpu_transcode_wait(a, -1);
    if (second == 0)
        second = rgpu_transcode_wait(b, -1);
    assert_true((first == 0 && second == RGPU_ERROR_EXISTS) ||
                (second == 0 && first == RGPU_ERROR_EXISTS));
    rgpu_transcode_close(&a);
    rgpu_transcode_close(&b);
    expect_frames(params.output, 0, film_path(FILM), 0, FILM_FRAMES, 0);
    assert_int_equal(film_files(folder), 1);
}

/* ---- watching and stopping --------------------------------------------------------------------
 */

static void test_waiting(void **state)
{
    (void)state;
    static const struct rgpu_rung slow[] = {{.speed = 7, .quality = 20}};
    rgpu_transcode *job =
        open_job(PARAMS(.input = film_path(FILM), .output = in_folder(film_folder(), "o.mkv"),
                        .rungs = slow, .rungs_count = 1));
    assert_int_equal(rgpu_transcode_wait(job, 0), RGPU_ERROR_AGAIN);
    assert_int_equal(rgpu_transcode_wait(job, 1), RGPU_ERROR_AGAIN);
    assert_int_equal(rgpu_transcode_wait(job, -1), 0);
    for (int timeout = -1; timeout <= 1; timeout++)
        assert_int_equal(rgpu_transcode_wait(job, timeout), 0);
    rgpu_transcode_cancel(job); /* too late: nothing changes */
    assert_int_equal(rgpu_transcode_wait(job, 0), 0);
    rgpu_transcode_close(&job);
    rgpu_transcode_close(&job);
}

/* Frames of 1/25 s, then of one second: position and bit rate are those of the time, not of a
 * count. */
static void test_position_at_a_variable_rate(void **state)
{
    (void)state;
    assert_true(clip_make("vfr.mkv", "-f lavfi -i testsrc2=size=64x48:rate=25:duration=20 -vf "
                                     "\"select='lt(t,4)+not(mod(n,25))'\" -fps_mode vfr "
                                     "-c:v libx264 -preset ultrafast -g 25"));
    static const struct rgpu_rung rungs[] = {{.speed = 1, .quality = 30},
                                             {.speed = 1, .quality = 30, .fps_max = 5},
                                             {.preset = "source"}};
    for (int i = 0; i < 3; i++) {
        const struct rgpu_progress p =
            run(PARAMS(.input = film_path("vfr.mkv"), .output = in_folder(film_folder(), "o.mkv"),
                       .rungs = &rungs[i], .rungs_count = 1, .segment_seconds = 2));
        print_message("%.3f s\n", p.position_seconds);
        assert_true(fabs(p.position_seconds - 20) < 1.1);
        const double kbps = (double)p.rungs[0].bytes * 8 / 1000 / p.position_seconds;
        assert_true(fabs(p.rungs[0].bitrate_kbps - kbps) < 0.1 + kbps / 1000);
        const struct rgpu_progress part =
            run(PARAMS(.input = film_path("vfr.mkv"), .output = in_folder(film_folder(), "o.mkv"),
                       .rungs = &rungs[i], .rungs_count = 1, .start_seconds = 2,
                       .duration_seconds = 6));
        assert_true(fabs(part.position_seconds - 6) < 1.1);
    }
}

static void sleep_us(unsigned us)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)us * 1000}, NULL);
}

static void test_cancel_at_any_moment(void **state)
{
    (void)state;
    unsigned seed = 4711;
    const char *const names[] = {"o.mkv", "o.mp4", "hls/", "o-{}.ts"};
    const int threads = film_threads();
    print_message("seed %u\n", seed);
    for (int i = 0; i < 50; i++) {
        const char *folder = film_folder();
        struct rgpu_transcode_params params = {.input = film_path(FILM),
                                               .output = in_folder(folder, names[i % 4]),
                                               .rungs = ladder,
                                               .rungs_count = 2,
                                               .jobs = 1 + i % 3,
                                               .segment_seconds = 0.4,
                                               .verify = i % 5 == 0};
        rgpu_transcode *job = open_job(&params);
        sleep_us((unsigned)rand_r(&seed) % (i % 2 ? 200000 : 20000));
        if (i % 3)
            rgpu_transcode_cancel(job);
        const int ret = i % 3 ? rgpu_transcode_wait(job, -1) : RGPU_ERROR_CANCELLED;
        assert_true(ret == 0 || ret == RGPU_ERROR_CANCELLED);
        const bool done = rgpu_transcode_wait(job, 0) == 0;
        rgpu_transcode_close(&job);
        if (!done && i % 3)
            assert_int_equal(film_files(folder), 0);
        char left[FILM_PATH_MAX];
        film_ask(left, sizeof(left), "find %s -name '.*'", folder);
        assert_string_equal(left, "");
    }
    assert_int_equal(film_threads(), threads);
}

/* ---- verifying --------------------------------------------------------------------------------
 */

static const struct rgpu_rung copy[] = {{.preset = "source"}};

/* What is seen in a folder: names and bytes. */
static const char *seen(const char *folder)
{
    static char digests[4][64];
    static unsigned next;
    char *ret = digests[next++ % 4];
    film_ask(ret, sizeof(digests[0]),
             "cd %s && find . -path './.*' -prune -o -type f -print0 | sort -z | xargs -0 -r "
             "md5sum | md5sum",
             folder);
    return ret;
}

static const char *hidden(const char *folder)
{
    static char name[FILM_PATH_MAX];
    film_ask(name, sizeof(name), "find %s -name '.*'", folder);
    return name;
}

/* A folder for the result `name`, good until the next; with `old`, one is there already. */
static const char *folder_for(const char *name, bool old)
{
    static char folder[64];
    snprintf(folder, sizeof(folder), "%s", film_folder());
    if (old)
        run(PARAMS(.input = film_path(FILM), .output = in_folder(folder, name), .rungs = copy,
                   .rungs_count = 1));
    return folder;
}

static void make_verify_film(void)
{
    assert_true(clip_make("verify.mkv", "-f lavfi -i testsrc2=size=64x48:rate=50:duration=120 "
                                        "-c:v libx264 -preset ultrafast -g 50"));
}

static struct rgpu_transcode_params verify_params(const char *folder, const char *name)
{
    return (struct rgpu_transcode_params){.input = film_path("verify.mkv"),
                                          .output = in_folder(folder, name),
                                          .rungs = copy,
                                          .rungs_count = 1,
                                          .overwrite = 1,
                                          .verify = 1};
}

static const char *const verified[] = {"o.mkv", "o.ts", "hls/"};

/* Nothing is seen of a result before it is verified: what was there is still there. */
static void test_cancel_while_verifying(void **state)
{
    (void)state;
    make_verify_film();
    for (int i = 0; i < 6; i++) {
        const char *folder = folder_for(verified[i / 2], i & 1), *before = seen(folder);
        const struct rgpu_transcode_params params = verify_params(folder, verified[i / 2]);
        rgpu_transcode *job = open_job(&params);
        while (progress_of(job).state < RGPU_STATE_VERIFYING)
            sleep_us(1000);
        assert_string_equal(seen(folder), before);
        assert_int_equal(progress_of(job).state, RGPU_STATE_VERIFYING);
        rgpu_transcode_cancel(job);
        assert_int_equal(rgpu_transcode_wait(job, -1), RGPU_ERROR_CANCELLED);
        rgpu_transcode_close(&job);
        assert_string_equal(seen(folder), before);
        assert_string_equal(hidden(folder), "");
        assert_true((film_files(folder) > 0) == (i & 1));
    }
}

/* In the child: dies in the middle of verifying. */
static void die_verifying(const struct rgpu_transcode_params *params)
{
    rgpu_transcode *job = NULL;
    struct rgpu_progress p = {0};
    if (rgpu_transcode_open_sized(&job, params, sizeof(*params)) != 0)
        _exit(1);
    while (p.state < RGPU_STATE_VERIFYING || (p.state == RGPU_STATE_VERIFYING && p.percent < 5)) {
        sleep_us(1000);
        rgpu_transcode_progress(job, &p, sizeof(p));
    }
    if (p.state != RGPU_STATE_VERIFYING)
        _exit(2);
    raise(SIGKILL);
}

static void test_killed_while_verifying(void **state)
{
    (void)state;
    make_verify_film();
    for (int i = 0; i < 6; i++) {
        const char *folder = folder_for(verified[i / 2], i & 1), *before = seen(folder);
        struct rgpu_transcode_params params = verify_params(folder, verified[i / 2]);
        int status = 0;
        const pid_t child = fork();
        if (child == 0)
            die_verifying(&params);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_string_equal(seen(folder), before);
        params.duration_seconds = 1;
        run(&params);
        assert_string_not_equal(seen(folder), before);
        assert_string_equal(hidden(folder), "");
    }
}

/* The source is another one when it is read again. */
static void test_failed_verification_leaves_what_was_there(void **state)
{
    static const struct rgpu_rung slow[] = {{.speed = 7, .quality = 20}};
    (void)state;
    assert_true(clip_make("one_second.mkv", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=1 "
                                            "-c:v libx264 -preset ultrafast"));
    for (int i = 0; i < 6; i++) {
        const char *folder = folder_for(verified[i / 2], i & 1), *before = seen(folder);
        film_number("cp %s %s", film_path(FILM), film_path("changing.mkv"));
        film_number("cp %s %s", film_path("one_second.mkv"), film_path("other.mkv"));
        rgpu_transcode *job = open_job(
            PARAMS(.input = film_path("changing.mkv"), .output = in_folder(folder, verified[i / 2]),
                   .rungs = slow, .rungs_count = 1, .overwrite = 1, .verify = 1));
        while (progress_of(job).state < RGPU_STATE_RUNNING)
            sleep_us(1000);
        assert_int_equal(rename(film_path("other.mkv"), film_path("changing.mkv")), 0);
        assert_int_equal(rgpu_transcode_wait(job, -1), RGPU_ERROR_VERIFY);
        assert_int_equal(progress_of(job).state, RGPU_STATE_FAILED);
        assert_non_null(strstr(rgpu_transcode_message(job), "the source"));
        rgpu_transcode_close(&job);
        assert_string_equal(seen(folder), before);
        assert_string_equal(hidden(folder), "");
    }
}

/* Percentage and position begin anew; at the end the figures are those of the work. */
static void test_progress_of_verifying(void **state)
{
    (void)state;
    make_verify_film();
    const struct rgpu_transcode_params params = verify_params(film_folder(), "o.mkv");
    rgpu_transcode *job = open_job(&params);
    struct rgpu_progress p;
    int between = 0;
    double last = -1;
    while (rgpu_transcode_wait(job, 1) == RGPU_ERROR_AGAIN) {
        p = progress_of(job);
        if (p.state != RGPU_STATE_VERIFYING || p.percent >= 99)
            continue;
        assert_true(fabs(p.position_seconds / 120 - p.percent / 100) < 0.01);
        assert_true(p.percent >= last);
        between += p.percent > last && p.percent > 0;
        assert_true(p.remaining_seconds != 0);
        last = p.percent;
    }
    print_message("%d steps seen\n", between);
    assert_true(between >= 2);
    p = progress_of(job);
    assert_int_equal(p.state, RGPU_STATE_DONE);
    assert_true(p.percent == 100 && p.remaining_seconds == 0 && p.frames == 6000);
    assert_true(fabs(p.position_seconds - 120) < 0.1);
    assert_true(fabs(p.frames / p.elapsed_seconds / p.frames_per_second - 1) < 0.01);
    rgpu_transcode_close(&job);
}

/* A source that gives all of itself once, and then no more than a beginning. */
static void *serve(void *opaque)
{
    const int *listening = opaque;
    char *film = malloc(1 << 20);
    FILE *file = fopen(film_path("long.ts"), "rb");
    const size_t size = fread(film, 1, 1 << 20, file);
    fclose(file);
    for (int i = 0; i < 2; i++) {
        const int peer = accept(*listening, NULL, NULL);
        for (size_t done = 0, all = i ? 4000 : size; done < all;) {
            const ssize_t n = send(peer, film + done, all - done, MSG_NOSIGNAL);
            if (n <= 0)
                break;
            done += (size_t)n;
        }
        char byte;
        while (i && recv(peer, &byte, 1, 0) > 0) /* until the job lets go */
            ;
        close(peer);
    }
    free(film);
    return NULL;
}

static void test_cancel_of_a_source_that_stalls_in_verifying(void **state)
{
    (void)state;
    const char *folder = film_folder();
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    char input[64];
    pthread_t server;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(clip_make("long.ts", LONG_TS));
    assert_int_equal(bind(listening, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(listening, 4), 0);
    assert_int_equal(getsockname(listening, (struct sockaddr *)&at, &size), 0);
    assert_int_equal(pthread_create(&server, NULL, serve, &listening), 0);
    snprintf(input, sizeof(input), "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    rgpu_transcode *job = open_job(PARAMS(.input = input, .output = in_folder(folder, "o.mkv"),
                                          .rungs = copy, .rungs_count = 1, .verify = 1));
    while (progress_of(job).state < RGPU_STATE_VERIFYING)
        sleep_us(1000);
    assert_int_equal(rgpu_transcode_wait(job, 200), RGPU_ERROR_AGAIN);
    assert_int_equal(progress_of(job).state, RGPU_STATE_VERIFYING);
    rgpu_transcode_cancel(job);
    assert_int_equal(rgpu_transcode_wait(job, -1), RGPU_ERROR_CANCELLED);
    rgpu_transcode_close(&job);
    pthread_join(server, NULL);
    close(listening);
    assert_int_equal(film_files(folder), 0);
}

/* -----------------------------------------------------------------------------------------------
 */

/* Fills a pipe with a film and then leaves it open. */
static void *pour(void *opaque)
{
    const int *end = opaque;
    char bytes[4096];
    FILE *film = fopen(film_path("long.ts"), "rb");
    size_t size;
    while ((size = fread(bytes, 1, sizeof(bytes), film)) > 0)
        if (write(*end, bytes, size) != (ssize_t)size)
            break;
    fclose(film);
    return NULL;
}

/* The source is a pipe that gives nothing more: cancel must end the read, and what came before is
 * not taken for the whole film. */
static void test_cancel_of_a_stalled_source(void **state)
{
    static const struct rgpu_rung rungs[] = {{.speed = 1, .quality = 40}, {.preset = "source"}};
    (void)state;
    const char *folder = film_folder();
    assert_true(clip_make("long.ts", LONG_TS));
    for (int i = 0; i < 2; i++) {
        int ends[2], kept = dup(STDIN_FILENO);
        pthread_t writer;
        rgpu_transcode *job = NULL;
        assert_int_equal(pipe(ends), 0);
        dup2(ends[0], STDIN_FILENO);
        assert_int_equal(pthread_create(&writer, NULL, pour, &ends[1]), 0);
        assert_int_equal(rgpu_transcode_open(&job, .input = "-",
                                             .output = in_folder(folder, "o.mkv"),
                                             .rungs = &rungs[i], .rungs_count = 1),
                         0);
        pthread_join(writer, NULL);
        assert_int_equal(rgpu_transcode_wait(job, 100), RGPU_ERROR_AGAIN);
        rgpu_transcode_cancel(job);
        assert_int_equal(rgpu_transcode_wait(job, -1), RGPU_ERROR_CANCELLED);
        rgpu_transcode_close(&job);
        assert_int_equal(film_files(folder), 0);
        close(ends[0]);
        close(ends[1]);
        dup2(kept, STDIN_FILENO);
        close(kept);
    }
}

/* Nobody writes, or no more than the beginning of a header: the job waits in opening its input. */
static void test_cancel_while_opening(void **state)
{
    static const char *const names[] = {"silent.fifo", "stalled.fifo"};
    (void)state;
    assert_true(clip_make("long.ts", LONG_TS));
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *folder = film_folder();
        const char *fifo = in_folder(folder, names[i]);
        assert_int_equal(mkfifo(fifo, 0600), 0);
        const int end = open(fifo, O_RDWR);
        assert_true(end >= 0);
        char bytes[4000];
        FILE *film = fopen(film_path("long.ts"), "rb");
        if (i == 1)
            assert_int_equal(write(end, bytes, fread(bytes, 1, sizeof(bytes), film)),
                             sizeof(bytes));
        fclose(film);
        rgpu_transcode *job = open_job(PARAMS(.input = fifo, .output = in_folder(folder, "o.mkv")));
        assert_int_equal(rgpu_transcode_wait(job, 300), RGPU_ERROR_AGAIN);
        assert_int_equal(progress_of(job).state, RGPU_STATE_OPENING);
        assert_int_equal(progress_of(job).rungs_count, 0);
        rgpu_transcode_cancel(job);
        assert_int_equal(rgpu_transcode_wait(job, -1), RGPU_ERROR_CANCELLED);
        rgpu_transcode_close(&job);
        assert_int_equal(film_files(folder), 1);
        close(end);
    }
}

/* What a pipe gives is gone once it was read. */
static void test_pipes_cannot_be_verified(void **state)
{
    (void)state;
    const char *folder = film_folder(), *fifo = in_folder(folder, "in.fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    const char *const inputs[] = {"-",     fifo,           "pipe:0",
                                  "pipe:", "cache:pipe:0", "udp://127.0.0.1:9"};
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++)
        assert_int_equal(refused_at_once(PARAMS(.input = inputs[i],
                                                .output = in_folder(folder, "o.mkv"), .verify = 1),
                                         "twice"),
                         RGPU_ERROR_PARAM);
    /* A file is one by whatever name. */
    const int kept = dup(STDIN_FILENO), film = open(film_path(FILM), O_RDONLY);
    dup2(film, STDIN_FILENO);
    run(PARAMS(.input = "/dev/stdin", .output = in_folder(folder, "o.mkv"), .rungs = copy,
               .rungs_count = 1, .verify = 1));
    dup2(kept, STDIN_FILENO);
    close(kept);
    close(film);
}

/* Verifying keeps to the processors that it is given. */
static void test_threads_of_verifying(void **state)
{
    (void)state;
    make_verify_film();
    struct rgpu_transcode_params params = verify_params(film_folder(), "o.mkv");
    params.threads = 1;
    const int before = film_threads();
    rgpu_transcode *job = open_job(&params);
    int seen_threads = 0, samples = 0;
    while (rgpu_transcode_wait(job, 1) == RGPU_ERROR_AGAIN) {
        if (progress_of(job).state != RGPU_STATE_VERIFYING || progress_of(job).frames < 100)
            continue;
        const int threads = film_threads();
        seen_threads = threads > seen_threads ? threads : seen_threads;
        samples++;
    }
    print_message("%d threads in %d samples\n", seen_threads, samples);
    assert_true(samples > 0);
    assert_int_equal(seen_threads, before + 1); /* the job's */
    rgpu_transcode_close(&job);
}

/* The caller's texts may be gone when open returns. */
static void test_params_are_copied(void **state)
{
    (void)state;
    const char *folder = film_folder();
    char input[FILM_PATH_MAX], output[FILM_PATH_MAX], audio[] = "none", map[] = "v";
    char preset[] = "240p", codec[] = "h264";
    struct rgpu_rung rung = {.preset = preset, .codec = codec, .speed = 1};
    rgpu_transcode *job = NULL;
    snprintf(input, sizeof(input), "%s", film_path(FILM));
    snprintf(output, sizeof(output), "%s", in_folder(folder, "o.mkv"));
    assert_int_equal(rgpu_transcode_open(&job, .input = input, .output = output, .rungs = &rung,
                                         .rungs_count = 1, .audio = audio, .map = map),
                     0);
    char *const texts[] = {input, output, audio, map, preset, codec};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        memset(texts[i], 'x', strlen(texts[i]));
    memset(&rung, 0x55, sizeof(rung));
    assert_int_equal(rgpu_transcode_wait(job, -1), 0);
    assert_string_equal(progress_of(job).rungs[0].output, in_folder(folder, "o.mkv"));
    rgpu_transcode_close(&job);
    assert_int_equal(film_files(folder), 1);
}

/* ---- versions of the structs ------------------------------------------------------------------
 */

static void test_older_and_newer_structs(void **state)
{
    (void)state;
    rgpu_transcode *job = NULL;
    /* An older caller: what lies behind its struct must not be looked at. */
    struct rgpu_transcode_params params = {.input = film_path(FILM),
                                           .output = in_folder(film_folder(), "o.mkv"),
                                           .rungs = &ladder[1],
                                           .rungs_count = 1,
                                           .device = "nonsense",
                                           .jobs = -7,
                                           .audio = "nonsense"};
    assert_int_equal(
        rgpu_transcode_open_sized(&job, &params, offsetof(struct rgpu_transcode_params, device)),
        0);
    assert_int_equal(rgpu_transcode_wait(job, -1), 0);
    struct {
        struct rgpu_progress progress;
        char more[64];
    } newer, untouched;
    memset(&newer, 0x55, sizeof(newer));
    assert_int_equal(rgpu_transcode_progress(job, &newer.progress, sizeof(newer)), 0);
    assert_int_equal(newer.progress.state, RGPU_STATE_DONE);
    for (size_t i = 0; i < sizeof(newer.more); i++)
        assert_int_equal(newer.more[i], 0);
    memset(&untouched, 0x55, sizeof(untouched));
    const size_t older = offsetof(struct rgpu_progress, rungs);
    assert_int_equal(rgpu_transcode_progress(job, &untouched.progress, older), 0);
    for (size_t i = older; i < sizeof(untouched); i++)
        assert_int_equal(((const unsigned char *)&untouched)[i], 0x55);
    rgpu_transcode_close(&job);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ladder_in_one_file),
        cmocka_unit_test(test_file_for_each_rung),
        cmocka_unit_test(test_hls),
        cmocka_unit_test(test_lossless_is_the_source),
        cmocka_unit_test(test_psnr_is_plausible),
        cmocka_unit_test(test_tiny_segments),
        cmocka_unit_test(test_tiny_segments_wait_for_a_slow_encoder),
        cmocka_unit_test(test_window_is_exact),
        cmocka_unit_test(test_source_rung),
        cmocka_unit_test(test_shortest_gop),
        cmocka_unit_test(test_intra_refresh),
        cmocka_unit_test(test_frame_rate_cap),
        cmocka_unit_test(test_caps_and_segments),
        cmocka_unit_test(test_caps_beside_the_source),
        cmocka_unit_test(test_audio_modes),
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_map_of_a_pipe),
        cmocka_unit_test(test_size_that_is_cut),
        cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_late_warnings),
        cmocka_unit_test(test_other_videos),
        cmocka_unit_test(test_head_is_said),
        cmocka_unit_test(test_clock_that_jumps_back),
        cmocka_unit_test(test_damage_is_said),
        cmocka_unit_test(test_refused_parameters),
        cmocka_unit_test(test_parameters_before_the_input),
        cmocka_unit_test(test_output_that_exists),
        cmocka_unit_test(test_two_jobs_for_one_output),
        cmocka_unit_test(test_waiting),
        cmocka_unit_test(test_position_at_a_variable_rate),
        cmocka_unit_test(test_cancel_at_any_moment),
        cmocka_unit_test(test_cancel_while_verifying),
        cmocka_unit_test(test_killed_while_verifying),
        cmocka_unit_test(test_failed_verification_leaves_what_was_there),
        cmocka_unit_test(test_progress_of_verifying),
        cmocka_unit_test(test_cancel_of_a_source_that_stalls_in_verifying),
        cmocka_unit_test(test_cancel_of_a_stalled_source),
        cmocka_unit_test(test_cancel_while_opening),
        cmocka_unit_test(test_pipes_cannot_be_verified),
        cmocka_unit_test(test_threads_of_verifying),
        cmocka_unit_test(test_params_are_copied),
        cmocka_unit_test(test_older_and_newer_structs),
    };
    return cmocka_run_group_tests(tests, films_set_up, films_tear_down);
}
