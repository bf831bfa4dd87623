/* Figures of the devices, as far as the machine has any. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>

#include "gpu/sensors.h"
#include "present.h"

#define THREADS 4
#define ROUNDS 100

static void assert_unknown(const struct gpu_sensors *s)
{
    const int64_t figures[] = {s->temperature_c,      s->sm_percent,      s->memory_percent,
                               s->encoder_percent,    s->decoder_percent, s->encoder_sessions,
                               s->power_mw,           s->power_limit_mw,  s->sm_clock_mhz,
                               s->memory_clock_mhz,   s->video_clock_mhz, s->memory_used_bytes,
                               s->memory_total_bytes, s->throttle_reasons};
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        assert_int_equal(figures[i], GPU_UNKNOWN);
}

static void test_no_nvml(void **state)
{
    (void)state;
    if (has_library("libnvidia-ml.so.1"))
        skip();
    const struct gpu_info device = {.index = 0, .pci = "0000:01:00.0"};
    struct gpu_sensors sensors;
    struct error err = {0};
    memset(&sensors, 0x5a, sizeof(sensors));
    assert_int_equal(gpu_sense(&device, &sensors, &err), RGPU_ERROR_DEVICE);
    assert_int_equal(err.code, RGPU_ERROR_DEVICE);
    assert_non_null(strstr(err.text, "libnvidia-ml.so.1"));
    assert_non_null(strstr(err.text, "install NVIDIA's driver"));
    assert_unknown(&sensors);
    char text[32] = "580";
    gpu_driver_text(text, sizeof(text));
    assert_string_equal(text, "");
}

static bool is_percent(int value)
{
    return value == GPU_UNKNOWN || (value >= 0 && value <= 100);
}

static void test_figures(void **state)
{
    (void)state;
    struct gpu_info infos[GPU_DEVICES_MAX];
    const int count = need_devices();
    gpu_list(infos, count);
    if (!standin() && !has_library("libnvidia-ml.so.1"))
        skip();
    for (int i = 0; i < count; i++) {
        struct gpu_sensors s;
        struct error err = {0};
        if (gpu_sense(&infos[i], &s, &err) != 0)
            fail_msg("%s", err.text);
        assert_true(s.temperature_c >= GPU_UNKNOWN && s.temperature_c < 150);
        assert_true(is_percent(s.sm_percent) && is_percent(s.memory_percent));
        assert_true(is_percent(s.encoder_percent) && is_percent(s.decoder_percent));
        assert_true(s.encoder_sessions >= GPU_UNKNOWN);
        assert_true(s.power_mw >= GPU_UNKNOWN && s.power_limit_mw >= GPU_UNKNOWN);
        assert_true(s.sm_clock_mhz >= GPU_UNKNOWN && s.memory_clock_mhz >= GPU_UNKNOWN);
        assert_true(s.video_clock_mhz >= GPU_UNKNOWN);
        assert_true(s.memory_used_bytes <= s.memory_total_bytes);
        assert_true(s.throttle_reasons >= GPU_UNKNOWN);
        /* At least this much every device says. */
        assert_true(s.memory_total_bytes > 0);
    }
    char text[32] = "";
    gpu_driver_text(text, sizeof(text));
    assert_true(text[0] >= '0' && text[0] <= '9');
    char two[2] = "";
    gpu_driver_text(two, sizeof(two));
    assert_int_equal(two[0], text[0]);
    assert_int_equal(two[1], '\0');
}

static void test_unknown_device(void **state)
{
    (void)state;
    struct gpu_info info;
    need_devices();
    gpu_list(&info, 1);
    struct gpu_sensors sensors;
    if (gpu_sense(&info, &sensors, NULL) != 0)
        skip();
    /* Not the figures of the device that had the index a moment ago. */
    struct error err = {0};
    snprintf(info.pci, sizeof(info.pci), "00fe:fe:1e.0");
    assert_int_equal(gpu_sense(&info, &sensors, &err), RGPU_ERROR_DEVICE);
    assert_non_null(strstr(err.text, info.pci));
    assert_unknown(&sensors);
}

static void *sense(void *arg)
{
    const struct gpu_info *info = arg;
    struct gpu_sensors sensors;
    intptr_t failures = 0;
    for (int i = 0; i < ROUNDS; i++)
        failures += gpu_sense(info, &sensors, NULL) != 0;
    return (void *)failures;
}

static void test_threads(void **state)
{
    (void)state;
    struct gpu_info info = {.index = 0, .pci = "0000:01:00.0"};
    gpu_list(&info, 1);
    struct gpu_sensors sensors;
    const intptr_t expected = gpu_sense(&info, &sensors, NULL) == 0 ? 0 : ROUNDS;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sense, &info), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failures = NULL;
        pthread_join(threads[i], &failures);
        assert_int_equal((intptr_t)failures, expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_nvml),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_unknown_device),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
