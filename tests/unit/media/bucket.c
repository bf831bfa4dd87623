/* The leaky bucket against figures worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "media/bucket.h"

static void test_defaults(void **state)
{
    (void)state;
    struct rendition_params r = {.rate = RATE_VBR, .bit_rate_bps = 1000};
    assert_int_equal(rendition_rate_max_bps(&r), 1500);
    assert_int_equal(rendition_vbv_bits(&r), 3000);
    r.rate = RATE_CBR;
    assert_int_equal(rendition_rate_max_bps(&r), 1000);
    r.rate = RATE_QUALITY;
    assert_int_equal(rendition_rate_max_bps(&r), 0);
    assert_true(bucket_for(&r).size_bits == 0);
    r = (struct rendition_params){.rate = RATE_VBR, .bit_rate_max_bps = 7, .vbv_bits = 9};
    assert_int_equal(rendition_rate_max_bps(&r), 7);
    assert_int_equal(rendition_vbv_bits(&r), 9);
}

static void test_levels(void **state)
{
    (void)state;
    const struct rendition_params r = {.rate = RATE_CBR, .bit_rate_bps = 1000, .vbv_bits = 2000};
    struct bucket b = bucket_for(&r);
    assert_true(b.level_bits == 1800);
    assert_true(bucket_take(&b, 10.0, 800) == 0); /* the first time is the origin */
    assert_true(b.level_bits == 1000);
    assert_true(bucket_take(&b, 10.5, 1500) == 0);
    assert_true(b.level_bits == 0);
    const double missing = bucket_take(&b, 10.6, 150);
    assert_true(missing > 49.99 && missing < 50.01);
    assert_true(b.level_bits == 0);
    assert_true(bucket_take(&b, 100.0, 0) == 0); /* never over its size */
    assert_true(b.level_bits == 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
