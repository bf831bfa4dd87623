/* Devices and their measurement, through the public header. */
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
#include "support/driver_faults.h"

#define LINES_MAX 64

/* What the log was told of devices. */
static pthread_mutex_t lines_lock = PTHREAD_MUTEX_INITIALIZER;
static char lines[LINES_MAX][512];
static int lines_count;

static void keep_line(void *opaque, enum rgpu_log_level level, const char *line)
{
    (void)opaque, (void)level;
    pthread_mutex_lock(&lines_lock);
    if (strncmp(line, "device ", 7) == 0 && lines_count < LINES_MAX)
        snprintf(lines[lines_count++], sizeof(lines[0]), "%s", line);
    pthread_mutex_unlock(&lines_lock);
}

/* Without the stand-in of the driver the test is skipped. */
static void need_standin(void)
{
    if (!getenv("RGPU_STANDIN"))
        skip();
    rgpu_devices(NULL, 0, sizeof(struct rgpu_device_info)); /* loads it */
    assert_true(driver_faults_bind());
    lines_count = 0;
}

static void test_the_processor_is_there(void **state)
{
    struct rgpu_device_info devices[64];
    (void)state;
    const int count = rgpu_devices(devices, 64, sizeof(devices[0]));
    assert_in_range(count, 1, 64);
    const struct rgpu_device_info *cpu = &devices[count - 1];
    assert_string_equal(cpu->name, "cpu");
    assert_true(cpu->cores > 0 && cpu->memory_bytes > 0 && cpu->description[0]);
    assert_string_equal(cpu->decoders, "h264,hevc,av1,vp9,vp8,mpeg2video,mpeg4,prores,mjpeg,vc1");
    assert_non_null(strstr(cpu->encoders, "h264"));
    assert_in_range(cpu->compute_percent + 1, 0, 101);
    assert_in_range(cpu->memory_used_bytes, 1, cpu->memory_bytes);
    /* It stands for the GPU that is not there. */
    assert_int_equal(count == 1, !strncmp(cpu->remark, "no GPU: ", 8));
    assert_true(cpu->temperature_c < 0 && cpu->clock_mhz < 0 && !cpu->slowed_by[0]);
}

/* `size` is the caller's: older ones get less, newer ones zeros behind what is known here. */
static void test_sizes_and_counts(void **state)
{
    struct {
        struct rgpu_device_info info;
        char more[40];
    } newer[4];
    struct {
        char name[32], description[128];
    } older[4];
    (void)state;
    const int count = rgpu_devices(NULL, 0, sizeof(struct rgpu_device_info));
    memset(newer, 0x55, sizeof(newer));
    assert_int_equal(rgpu_devices(&newer[0].info, 1, sizeof(newer[0])), count);
    for (size_t i = 0; i < sizeof(newer[0].more); i++)
        assert_int_equal(newer[0].more[i], 0);
    assert_int_equal(newer[1].info.name[0], 0x55); /* only one was asked for */
    memset(older, 0x55, sizeof(older));
    assert_int_equal(rgpu_devices((struct rgpu_device_info *)older, 1, sizeof(older[0])), count);
    assert_string_equal(older[0].name, newer[0].info.name);
    assert_int_equal(older[1].name[0], 0x55);
}

static int stop(void *opaque, const struct rgpu_bench_result *figure)
{
    assert_true(figure->frames_per_second > 0 && figure->width > 0 && figure->what[0]);
    ++*(int *)opaque;
    return 1;
}

static void test_bench(void **state)
{
    char message[256] = "untouched";
    int count = 0;
    (void)state;
    assert_int_equal(rgpu_bench("cpu", 0.001, stop, &count, message, sizeof(message)),
                     RGPU_ERROR_CANCELLED);
    assert_int_equal(count, 1);
    assert_int_equal(rgpu_bench("tpu", 0.001, stop, &count, message, sizeof(message)),
                     RGPU_ERROR_PARAM);
    assert_non_null(strstr(message, "tpu"));
    assert_int_equal(rgpu_bench("cuda:63", 0.001, stop, &count, NULL, 0), RGPU_ERROR_DEVICE);
    assert_int_equal(rgpu_bench("cpu", 0.001, NULL, NULL, message, sizeof(message)),
                     RGPU_ERROR_PARAM);
    assert_int_equal(count, 1);
}

/* Of one size; "decode", "scale" and "encode" in the order in which a film passes. */
static int keep_order(void *opaque, const struct rgpu_bench_result *figure)
{
    char *order = opaque;
    assert_int_equal(figure->height, 720);
    assert_true(strlen(order) + 1 < LINES_MAX);
    strncat(order, figure->what, 1);
    return !strncmp(figure->what, "encode av1", 10);
}

static void test_order_of_a_bench(void **state)
{
    char order[LINES_MAX] = "";
    (void)state;
    assert_int_equal(rgpu_bench("cpu", 0.001, keep_order, order, NULL, 0), RGPU_ERROR_CANCELLED);
    assert_string_equal(order, "dddseeeee");
}

/* ---- devices that cannot be worked on ------------------------------------------------------- */

#define RETAIN "cuDevicePrimaryCtxRetain"
#define UNAVAILABLE 46

/* A job on `device`; its code, and the device that it took. */
static int transcode_on(const char *device, char ret_device[32], char ret_message[512])
{
    static const struct rgpu_rung rung = {.width = 64, .height = 36, .speed = 1};
    char out[FILM_PATH_MAX];
    rgpu_transcode *job = NULL;
    struct rgpu_progress progress;
    snprintf(out, sizeof(out), "%so.mkv", film_folder());
    lines_count = 0;
    assert_int_equal(rgpu_transcode_open(&job, .input = film_path(FILM), .output = out,
                                         .rungs = &rung, .rungs_count = 1, .device = device),
                     0);
    const int code = rgpu_transcode_wait(job, -1);
    rgpu_transcode_progress(job, &progress, sizeof(progress));
    snprintf(ret_device, 32, "%s", progress.device);
    snprintf(ret_message, 512, "%s", rgpu_transcode_message(job));
    if (code == 0)
        assert_int_equal(progress.rungs[0].frames, FILM_FRAMES);
    rgpu_transcode_close(&job);
    return code;
}

static void test_auto_takes_the_gpu(void **state)
{
    char device[32], message[512];
    (void)state;
    need_standin();
    assert_int_equal(transcode_on(NULL, device, message), 0);
    assert_string_equal(device, "cuda:0");
    assert_int_equal(lines_count, 2);
    assert_string_equal(lines[0], "device cuda:0: Stand-in GPU");
    assert_ptr_equal(strstr(lines[1], "device cuda:0: the CPU encodes: "), lines[1]);
    assert_non_null(strstr(lines[1], "this GPU has no encoder"));
}

/* One that gives no context, or that cannot run the kernels. */
static void test_auto_goes_on_without_the_gpu(void **state)
{
    static const struct {
        const char *call;
        int code;
        const char *why;
    } cases[] = {
        {RETAIN, UNAVAILABLE, "allow several with `nvidia-smi -c DEFAULT`"},
        {RETAIN, 2, "the GPU's memory is used up"},
        {RETAIN, 999, "Xid"},
        {"cuModuleLoadDataEx", 222, "the driver is too old for the kernels"},
        {"cuCtxPushCurrent_v2", 201, "the context of cuda:0"},
    };
    char device[32], message[512];
    (void)state;
    need_standin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        print_message("%s gives %d\n", cases[i].call, cases[i].code);
        driver_fail(cases[i].call, 1, cases[i].code);
        if (transcode_on("auto", device, message) != 0)
            fail_msg("%s", message);
        assert_string_equal(device, "cpu");
        assert_int_equal(lines_count, 2);
        assert_ptr_equal(strstr(lines[0], "device cuda:0 is left out: "), lines[0]);
        assert_non_null(strstr(lines[0], cases[i].why));
        assert_ptr_equal(strstr(lines[1], "device cpu: "), lines[1]);
        /* Who asks for the GPU is to have it, or to know. */
        driver_fail(cases[i].call, 1, cases[i].code);
        assert_int_equal(transcode_on("cuda:0", device, message), RGPU_ERROR_DEVICE);
        assert_non_null(strstr(message, cases[i].why));
        assert_int_equal(lines_count, 0);
    }
}

static int open_raw(const char *device, char ret_message[512])
{
    static const struct rgpu_rung rung = {.width = 64, .height = 36, .speed = 1};
    rgpu_stream *stream = NULL;
    lines_count = 0;
    const int code = rgpu_stream_open(&stream, .width = 64, .height = 36, .pixel_format = "yuv420p",
                                      .rungs = &rung, .rungs_count = 1, .device = device);
    snprintf(ret_message, 512, "%s", rgpu_stream_message(stream));
    rgpu_stream_close(&stream);
    return code;
}

static void test_streams_and_measurements_alike(void **state)
{
    char message[512];
    int count = 0;
    (void)state;
    need_standin();
    driver_fail(RETAIN, 1, UNAVAILABLE);
    assert_int_equal(open_raw(NULL, message), 0);
    assert_int_equal(lines_count, 1);
    assert_ptr_equal(strstr(lines[0], "device cuda:0 is left out: "), lines[0]);
    driver_fail(RETAIN, 1, UNAVAILABLE);
    assert_int_equal(open_raw("cuda:0", message), RGPU_ERROR_DEVICE);
    assert_non_null(strstr(message, "cuda:0"));
    driver_fail(RETAIN, 1, UNAVAILABLE);
    assert_int_equal(rgpu_bench("auto", 0.001, stop, &count, NULL, 0), RGPU_ERROR_CANCELLED);
    driver_fail(RETAIN, 1, UNAVAILABLE);
    assert_int_equal(rgpu_bench("cuda:0", 0.001, stop, &count, message, sizeof(message)),
                     RGPU_ERROR_DEVICE);
    assert_non_null(strstr(message, "cuda:0"));
    assert_int_equal(count, 1);
}

static void test_figures_of_a_gpu(void **state)
{
    struct rgpu_device_info devices[2];
    (void)state;
    need_standin();
    assert_int_equal(rgpu_devices(devices, 2, sizeof(devices[0])), 2);
    assert_int_equal(devices[0].compute_percent, 30);
    assert_int_equal(devices[0].temperature_c, 45);
    assert_int_equal(devices[0].clock_mhz, 1980);
    assert_int_equal(devices[0].memory_clock_mhz, 3201);
    assert_int_equal(devices[0].video_clock_mhz, 1545);
    assert_string_equal(devices[0].slowed_by, "power cap, heat");
}

static void test_a_list_says_why(void **state)
{
    struct rgpu_device_info devices[2];
    (void)state;
    need_standin();
    driver_fail(RETAIN, 1, UNAVAILABLE);
    assert_int_equal(rgpu_devices(devices, 2, sizeof(devices[0])), 2);
    assert_string_equal(devices[0].name, "cuda:0");
    assert_string_equal(devices[0].decoders, "");
    assert_ptr_equal(strstr(devices[0].remark, "cannot be worked on now: "), devices[0].remark);
    assert_non_null(strstr(devices[0].remark, "DEVICE_UNAVAILABLE, 46)"));
    assert_int_equal(rgpu_devices(devices, 2, sizeof(devices[0])), 2);
    assert_non_null(strstr(devices[0].decoders, "h264,hevc"));
    assert_null(strstr(devices[0].remark, "cannot"));
}

int main(void)
{
    rgpu_log_set(keep_line, NULL);
    setenv("STANDIN_THROTTLE", "0x45", 1); /* idle, at the power cap, too hot */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_processor_is_there),
        cmocka_unit_test(test_sizes_and_counts),
        cmocka_unit_test(test_bench),
        cmocka_unit_test(test_order_of_a_bench),
        cmocka_unit_test(test_auto_takes_the_gpu),
        cmocka_unit_test(test_auto_goes_on_without_the_gpu),
        cmocka_unit_test(test_streams_and_measurements_alike),
        cmocka_unit_test(test_figures_of_a_gpu),
        cmocka_unit_test(test_a_list_says_why),
    };
    return cmocka_run_group_tests(tests, films_set_up, films_tear_down);
}
