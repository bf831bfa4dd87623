/* Which of several GPUs a job takes by itself, and what it says of one that could encode but for
 * its driver, through the public header and over the stand-in of the driver. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rgpu/device.h>
#include <rgpu/log.h>
#include <rgpu/stream.h>
#include <rgpu/transcode.h>

#include "films.h"
#include "support/clip.h"
#include "support/driver_faults.h"

#define RETAIN "cuDevicePrimaryCtxRetain"
#define UNAVAILABLE 46
#define LONG_FILM "long.mkv"
#define LONG_FILM_FRAMES 750

static pthread_mutex_t line_lock = PTHREAD_MUTEX_INITIALIZER;
static char device_line[512];   /* the latest of a device */
static char left_out_line[512]; /* that says which one is not taken */

static void keep_line(void *opaque, enum rgpu_log_level level, const char *line)
{
    (void)opaque, (void)level;
    pthread_mutex_lock(&line_lock);
    if (strncmp(line, "device ", 7) == 0)
        snprintf(strstr(line, "left out") ? left_out_line : device_line, sizeof(device_line), "%s",
                 line);
    pthread_mutex_unlock(&line_lock);
}

/* Without the stand-in the test is skipped. */
static void need_standin(void)
{
    if (!getenv("RGPU_STANDIN"))
        skip();
    rgpu_devices(NULL, 0, sizeof(struct rgpu_device_info)); /* loads it */
    assert_true(driver_faults_bind());
}

struct outcome {
    char device[32];
    char warnings[1024]; /* lines */
    int warnings_count;
    long contexts; /* made */
};

/* Of LONG_FILM, if there are several jobs. */
static struct outcome transcode_jobs(const char *device, const struct rgpu_rung *rungs,
                                     int rungs_count, int jobs)
{
    struct outcome ret = {0};
    struct rgpu_progress progress;
    rgpu_transcode *job = NULL;
    char out[FILM_PATH_MAX];
    snprintf(out, sizeof(out), "%so.mkv", film_folder());
    const long before = driver_calls(RETAIN);
    assert_int_equal(rgpu_transcode_open(&job, .input = film_path(jobs ? LONG_FILM : FILM),
                                         .output = out, .rungs = rungs, .rungs_count = rungs_count,
                                         .device = device, .jobs = jobs,
                                         .segment_seconds = jobs ? 0.4 : 0),
                     0);
    if (rgpu_transcode_wait(job, -1) != 0)
        fail_msg("%s", rgpu_transcode_message(job));
    rgpu_transcode_progress(job, &progress, sizeof(progress));
    snprintf(ret.device, sizeof(ret.device), "%s", progress.device);
    assert_int_equal(progress.rungs[0].frames, jobs ? LONG_FILM_FRAMES : FILM_FRAMES);
    for (const char *line; (line = rgpu_transcode_warning(job, ret.warnings_count));
         ret.warnings_count++) {
        const size_t length = strlen(ret.warnings);
        snprintf(ret.warnings + length, sizeof(ret.warnings) - length, "%s\n", line);
    }
    rgpu_transcode_close(&job);
    ret.contexts = driver_calls(RETAIN) - before;
    return ret;
}

static struct outcome transcode(const char *device, const struct rgpu_rung *rungs, int rungs_count)
{
    return transcode_jobs(device, rungs, rungs_count, 0);
}

/* ---- several GPUs: none, H.264, both, as the first ------------------------------------------- */

static const struct rgpu_rung h264[] = {{.width = 64, .height = 36, .speed = 1}};
static const struct rgpu_rung hevc[] = {{.width = 64, .height = 36, .speed = 1, .codec = "hevc"},
                                        {.width = 96, .height = 54, .speed = 1, .codec = "h264"},
                                        {.width = 128, .height = 72, .speed = 1, .codec = "hevc"}};
static const struct rgpu_rung av1[] = {{.width = 64, .height = 36, .speed = 7, .codec = "av1"}};

static void test_the_one_that_encodes(void **state)
{
    (void)state;
    need_standin();
    struct outcome got = transcode("auto", h264, 1);
    assert_string_equal(got.device, "cuda:1");
    assert_int_equal(got.contexts, 2); /* nobody looks at the others */
    assert_int_equal(got.warnings_count, 0);
    assert_string_equal(left_out_line,
                        "device cuda:0 is left out: it cannot encode what is asked for");
    got = transcode(NULL, hevc, 3);
    assert_string_equal(got.device, "cuda:2");
    assert_int_equal(got.contexts, 3);
}

/* All that is left equal, the first; one of a model that was looked at is not looked at. */
static void test_none_encodes(void **state)
{
    (void)state;
    need_standin();
    const struct outcome got = transcode("auto", av1, 1);
    assert_string_equal(got.device, "cuda:0");
    assert_int_equal(got.contexts, 3);
}

static void test_a_name_is_kept(void **state)
{
    (void)state;
    need_standin();
    assert_string_equal(transcode("cuda:0", h264, 1).device, "cuda:0");
    const struct outcome got = transcode("cuda:3", hevc, 3);
    assert_string_equal(got.device, "cuda:3");
    assert_int_equal(got.contexts, 1);
}

static void test_one_is_busy(void **state)
{
    (void)state;
    need_standin();
    driver_fail(RETAIN, 2, UNAVAILABLE);
    assert_string_equal(transcode("auto", h264, 1).device, "cuda:2");
    /* Its model was not looked at then. */
    driver_fail(RETAIN, 1, UNAVAILABLE);
    driver_fail(RETAIN, 2, UNAVAILABLE);
    driver_fail(RETAIN, 3, UNAVAILABLE);
    assert_string_equal(transcode("auto", h264, 1).device, "cuda:3");
    for (int i = 1; i <= 4; i++)
        driver_fail(RETAIN, i, UNAVAILABLE);
    assert_string_equal(transcode("auto", h264, 1).device, "cpu");
}

/* A stream of pictures needs no decoder. */
static void test_streams(void **state)
{
    rgpu_stream *stream = NULL;
    (void)state;
    need_standin();
    const long before = driver_calls(RETAIN);
    if (rgpu_stream_open(&stream, .width = 64, .height = 36, .pixel_format = "yuv420p",
                         .rungs = hevc, .rungs_count = 1) != 0)
        fail_msg("%s", rgpu_stream_message(stream));
    assert_int_equal(driver_calls(RETAIN) - before, 3);
    rgpu_stream_close(&stream);
}

/* ---- a driver that is too old to encode ------------------------------------------------------ */

/* Once, and with the remedy; the GPU without an encoder is fit as it is, and says so in the log. */
static void test_an_old_driver(void **state)
{
    (void)state;
    need_standin();
    struct outcome got = transcode("cuda:1", hevc, 3);
    assert_string_equal(got.device, "cuda:1");
    assert_int_equal(got.warnings_count, 1);
    print_message("%s", got.warnings);
    assert_ptr_equal(strstr(got.warnings, "device cuda:1: the CPU encodes: NVIDIA's driver is too "
                                          "old to encode: "),
                     got.warnings);
    assert_non_null(strstr(got.warnings, "; install driver "));
    got = transcode("cuda:0", hevc, 3);
    assert_int_equal(got.warnings_count, 0);
    assert_ptr_equal(strstr(device_line, "device cuda:0: the CPU encodes: "), device_line);
    assert_non_null(strstr(device_line, "this GPU has no encoder"));
}

/* ---- fewer encoders than segments at a time need ----------------------------------------------
 */

/* All is done, by NVENC, and said once; whichever of the segments at a time gets what it needs, or
 * none of them at first. */
static void test_fewer_sessions(void **state)
{
    static const struct rgpu_rung rungs[] = {{.width = 64, .height = 36, .speed = 1},
                                             {.width = 96, .height = 54, .speed = 1},
                                             {.width = 128, .height = 72, .speed = 1}};
    (void)state;
    need_standin();
    assert_true(clip_make(LONG_FILM, "-f lavfi -i testsrc2=size=160x90:rate=25:duration=30 "
                                     "-c:v libx264 -preset veryfast -g 12 -bf 2"));
    for (int jobs = 2; jobs <= 4; jobs++) {
        const struct outcome got = transcode_jobs("cuda:2", rungs, 3, jobs);
        print_message("%s", got.warnings);
        assert_int_equal(got.warnings_count, 1);
        assert_ptr_equal(strstr(got.warnings, "fewer segments are worked on at a time: "),
                         got.warnings);
        assert_non_null(strstr(got.warnings, "--jobs"));
    }
}

int main(int argc, char **argv)
{
    const bool old = argc > 1 && !strcmp(argv[1], "old");
    const bool few = argc > 1 && !strcmp(argv[1], "few");
    rgpu_log_set(keep_line, NULL);
    setenv("STANDIN_DEVICES", "4", 1);
    setenv("STANDIN_NAME", "None;Ada;Newer;None", 1);
    /* Some chips are known to have no encoder, others say so themselves. */
    setenv("STANDIN_COMPUTE", old ? "90,89,89,90" : "75,89,89,75", 1);
    setenv("STANDIN_ENCODERS",
           ";h264:8:4096x4096:32x32;h264:8:4096x4096:32x32,hevc:8/10:8192x8192:32x32;", 1);
    if (old)
        setenv("STANDIN_ENCODE_API", "9.1", 1);
    if (few)
        setenv("STANDIN_ENCODE_SESSIONS_MAX", "4", 1);
    const struct CMUnitTest several[] = {
        cmocka_unit_test(test_the_one_that_encodes),
        cmocka_unit_test(test_none_encodes),
        cmocka_unit_test(test_a_name_is_kept),
        cmocka_unit_test(test_one_is_busy),
        cmocka_unit_test(test_streams),
    };
    const struct CMUnitTest one[] = {cmocka_unit_test(test_an_old_driver)};
    const struct CMUnitTest limit[] = {cmocka_unit_test(test_fewer_sessions)};
    if (few)
        return cmocka_run_group_tests(limit, films_set_up, films_tear_down);
    return old ? cmocka_run_group_tests(one, films_set_up, films_tear_down)
               : cmocka_run_group_tests(several, films_set_up, films_tear_down);
}
