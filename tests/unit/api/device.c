/* Devices and their measurement, through the public header. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include <rgpu/device.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_processor_is_there),
        cmocka_unit_test(test_sizes_and_counts),
        cmocka_unit_test(test_bench),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
