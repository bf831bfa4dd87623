/* The driver is found or not, alike for all who ask, without a word on standard error; errors have
 * their code, their name and a remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "present.h"

#define THREADS 8

struct answer {
    int code;
    const struct gpu_driver *driver;
    struct error err;
};

static void *ask(void *arg)
{
    struct answer *answer = arg;
    answer->code = gpu_driver(&answer->driver, &answer->err);
    return NULL;
}

/* Must be the first test: the driver is loaded in it. */
static void test_one_answer(void **state)
{
    (void)state;
    struct answer answers[THREADS] = {0};
    pthread_t threads[THREADS];
    FILE *said = tmpfile();
    assert_non_null(said);
    const int error_output = dup(STDERR_FILENO);
    dup2(fileno(said), STDERR_FILENO);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &answers[i]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    gpu_list(NULL, 0);
    dup2(error_output, STDERR_FILENO);
    close(error_output);
    fseek(said, 0, SEEK_END);
    assert_int_equal(ftell(said), 0);
    fclose(said);

    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(answers[i].code, answers[0].code);
        assert_int_equal(answers[i].err.code, answers[i].code);
        assert_string_equal(answers[i].err.text, answers[0].err.text);
        assert_ptr_equal(answers[i].driver, answers[0].driver);
        assert_int_equal(answers[i].driver == NULL, answers[i].code != 0);
    }
    assert_true(answers[0].code == 0 || answers[0].code == RGPU_ERROR_DEVICE);
}

static void test_no_driver(void **state)
{
    (void)state;
    if (has_library("libcuda.so.1"))
        skip();
    const struct gpu_driver *driver = NULL;
    struct error err = {0}, open_err = {0};
    assert_int_equal(gpu_driver(&driver, &err), RGPU_ERROR_DEVICE);
    assert_int_equal(gpu_driver(&driver, NULL), RGPU_ERROR_DEVICE);
    assert_null(driver);
    assert_non_null(strstr(err.text, "libcuda.so.1"));
    assert_non_null(strstr(err.text, "install NVIDIA's driver"));
    assert_non_null(strstr(err.text, "--gpus all"));

    struct gpu_info info = {.index = 17};
    assert_int_equal(gpu_list(&info, 1), 0);
    assert_int_equal(info.index, 17);
    struct gpu_device *device = NULL;
    assert_int_equal(gpu_open(&device, 0, &open_err), RGPU_ERROR_DEVICE);
    assert_null(device);
    assert_string_equal(open_err.text, err.text);
}

static void test_driver(void **state)
{
    (void)state;
    need_devices();
    const struct gpu_driver *driver = NULL;
    struct error err = {0};
    assert_int_equal(gpu_driver(&driver, &err), 0);
    assert_true(driver->version >= GPU_DRIVER_VERSION_MIN);
    int version = 0;
    assert_int_equal(driver->cuDriverGetVersion(&version), CUDA_SUCCESS);
    assert_int_equal(version, driver->version);
    const int rc = gpu_driver_video(driver, &err);
    assert_int_equal(rc == 0, driver->cuvid != NULL);
    if (standin())
        assert_int_equal(rc, 0);
    if (rc != 0) {
        assert_int_equal(rc, RGPU_ERROR_DEVICE);
        assert_int_equal(err.code, rc);
        assert_non_null(strstr(err.text, "libnvcuvid"));
    }
}

static void test_results(void **state)
{
    (void)state;
    static const struct {
        int result;
        int code;
        const char *name, *remedy;
    } cases[] = {
        {2, RGPU_ERROR_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "run fewer"},
        {46, RGPU_ERROR_DEVICE, "CUDA_ERROR_DEVICE_UNAVAILABLE", "nvidia-smi -c DEFAULT"},
        {100, RGPU_ERROR_DEVICE, "CUDA_ERROR_NO_DEVICE", "CUDA_VISIBLE_DEVICES"},
        {214, RGPU_ERROR_DEVICE, "CUDA_ERROR_ECC_UNCORRECTABLE", "reset the GPU"},
        {222, RGPU_ERROR_DEVICE, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "install a newer one"},
        {304, RGPU_ERROR_DEVICE, "CUDA_ERROR_OPERATING_SYSTEM", "/dev/nvidia"},
        {700, RGPU_ERROR_DEVICE, "CUDA_ERROR_ILLEGAL_ADDRESS", "closed and opened again"},
        {802, RGPU_ERROR_DEVICE, "CUDA_ERROR_SYSTEM_NOT_READY", "fabricmanager"},
        {803, RGPU_ERROR_DEVICE, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "restart the machine"},
        {804, RGPU_ERROR_DEVICE, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE", "LD_LIBRARY_PATH"},
        {999, RGPU_ERROR_DEVICE, "CUDA_ERROR_UNKNOWN", "Xid"},
        {54321, RGPU_ERROR_DEVICE, "54321", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        const CUresult result = (CUresult)cases[i].result;
        assert_int_equal(gpu_error(&err, result, "a stream on cuda:0"), cases[i].code);
        assert_int_equal(gpu_error(NULL, result, "a stream on cuda:0"), cases[i].code);
        assert_int_equal(err.code, cases[i].code);
        assert_ptr_equal(strstr(err.text, "a stream on cuda:0: "), err.text);
        assert_non_null(strstr(err.text, cases[i].name));
        assert_non_null(strstr(err.text, cases[i].remedy));
        assert_true(strlen(err.text) < ERROR_TEXT_MAX - 1); /* not cut */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_answer),
        cmocka_unit_test(test_no_driver),
        cmocka_unit_test(test_driver),
        cmocka_unit_test(test_results),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
