/* base/text.h */
#include <rgpu/error.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static void test_growth(void **unused)
{
    (void)unused;
    struct text t = {0};
    assert_string_equal(text_string(&t), "");
    assert_int_equal(text_add(&t, ""), 0);
    for (int i = 0; i < 10000; i++)
        assert_int_equal(text_printf(&t, "%04d,", i), 0);
    assert_int_equal(t.size, 50000);
    assert_int_equal(strlen(t.data), 50000);
    assert_memory_equal(t.data + 49990, "9998,9999,", 11);
    assert_int_equal(text_add_bytes(&t, "xyz", 2), 0);
    assert_string_equal(t.data + 50000, "xy");
    text_done(&t);
    assert_null(t.data);
    text_done(&t);
}

/* The limit is exact, a write that would pass it leaves the text, and the error stays. */
static void test_limit(void **unused)
{
    (void)unused;
    for (size_t limit = 1; limit < 600; limit += 7) {
        struct text t = {.limit = limit};
        size_t size = 0;
        while (text_add(&t, "a") == 0)
            size++;
        assert_int_equal(size, limit);
        assert_int_equal(t.size, limit);
        assert_true(t.capacity <= limit + 1 || t.capacity == 256);
        assert_int_equal(t.error, RGPU_ERROR_LIMIT);
        assert_int_equal(text_printf(&t, "%s", ""), RGPU_ERROR_LIMIT);
        assert_int_equal(strlen(t.data), limit);
        text_done(&t);
    }
    struct text t = {.limit = 10};
    assert_int_equal(text_printf(&t, "%d", 12345), 0);
    assert_int_equal(text_printf(&t, "%d", 123456), RGPU_ERROR_LIMIT);
    assert_string_equal(text_string(&t), "12345");
    text_done(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_growth), cmocka_unit_test(test_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
