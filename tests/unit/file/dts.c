/* Decoding times of random GOPs against the definition, computed from the sorted list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "file/dts.h"

#define PACKETS 400

static uint64_t seed;

static uint32_t next_random(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Pts in decode order: small groups are shuffled, so that no picture moves by more than `delay`. */
static int make_film(int64_t *pts, int delay, bool variable)
{
    const int count = 1 + (int)next_random(PACKETS - 1);
    int64_t at = (int64_t)next_random(2000) - 1000;
    for (int i = 0; i < count; i++) {
        pts[i] = at;
        at += variable ? 1 + next_random(5000) : 40;
    }
    for (int i = 0; i < count;) {
        int length = 1 + (int)next_random((uint32_t)delay + 1);
        if (i + length > count)
            length = count - i;
        /* The last one of the group comes first, as a P picture does before its B pictures. */
        const int64_t last = pts[i + length - 1];
        for (int k = length - 1; k > 0; k--)
            pts[i + k] = pts[i + k - 1];
        pts[i] = last;
        i += length;
    }
    return count;
}

static int run(struct dts *d, const int64_t *pts, int count, int64_t *ret)
{
    int given = 0, rc;
    for (int i = 0; i < count; i++) {
        assert_int_equal(dts_push(d, pts[i]), 0);
        while ((rc = dts_next(d, &ret[given])) == 0)
            given++;
        if (rc != RGPU_ERROR_AGAIN)
            return rc;
    }
    dts_finish(d);
    while ((rc = dts_next(d, &ret[given])) == 0)
        given++;
    assert_true(rc != RGPU_ERROR_END || given == count);
    return rc;
}

static void test_definition(void **state)
{
    (void)state;
    for (seed = 1; seed <= 2000; seed++) {
        const uint64_t start = seed;
        int64_t pts[PACKETS], sorted[PACKETS], dts[PACKETS];
        const int delay = (int)next_random(9);
        const int64_t frame = 1 + next_random(100);
        const int count = make_film(pts, delay, next_random(2));
        memcpy(sorted, pts, (size_t)count * sizeof(pts[0]));
        qsort(sorted, (size_t)count, sizeof(sorted[0]), compare);
        struct dts d;
        dts_init(&d, delay, frame);
        if (run(&d, pts, count, dts) != RGPU_ERROR_END)
            fail_msg("seed %llu: refused", (unsigned long long)start);
        for (int i = 0; i < count; i++) {
            const int64_t expect = i < delay ? sorted[0] - (delay - i) * frame : sorted[i - delay];
            if (dts[i] != expect || dts[i] > pts[i] || (i > 0 && dts[i] <= dts[i - 1]))
                fail_msg("seed %llu: packet %d of %d: dts %lld, expected %lld, pts %lld",
                         (unsigned long long)start, i, count, (long long)dts[i], (long long)expect,
                         (long long)pts[i]);
        }
        seed = start;
    }
}

/* One packet that is further out of order than was said must not go unnoticed. */
static void test_violation(void **state)
{
    (void)state;
    const int64_t pts[] = {0, 160, 120, 80, 40, 320, 280, 240, 200};
    int64_t dts[9];
    struct dts d;
    dts_init(&d, 3, 40);
    assert_int_equal(run(&d, pts, 9, dts), RGPU_ERROR_END);
    dts_init(&d, 2, 40);
    assert_int_equal(run(&d, pts, 9, dts), RGPU_ERROR_INTERNAL);
    const int64_t twice[] = {0, 40, 40, 80};
    dts_init(&d, 0, 40);
    assert_int_equal(run(&d, twice, 4, dts), RGPU_ERROR_INTERNAL);
}

static void test_bounds(void **state)
{
    (void)state;
    struct dts d;
    int64_t dts;
    dts_init(&d, 1000, 0);
    assert_int_equal(d.delay, DTS_DELAY_MAX);
    for (int i = 0; i <= DTS_DELAY_MAX; i++)
        assert_int_equal(dts_push(&d, i), 0);
    assert_int_equal(dts_push(&d, 1000), RGPU_ERROR_AGAIN);
    assert_int_equal(dts_next(&d, &dts), 0);
    assert_int_equal(dts, -DTS_DELAY_MAX);
    dts_init(&d, -1, 1);
    dts_finish(&d);
    assert_int_equal(dts_next(&d, &dts), RGPU_ERROR_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definition),
        cmocka_unit_test(test_violation),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
