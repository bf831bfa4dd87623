/* Which frames slower renditions keep: evenly, never too many, the same however the film is cut. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "media/rate_cap.h"

#define US ((struct rational){1, 1000000})

static uint32_t random_state;

static int64_t random_below(int64_t n)
{
    random_state = random_state * 1664525 + 1013904223;
    return (int64_t)(random_state >> 8) % n;
}

static void init(struct rate_cap *ret, struct rational source, struct rational max)
{
    const struct rendition_params r = {.frame_rate_max = max};
    rate_cap_init(ret, US, source, &r, 1);
}

/* Frames i * den / num seconds, rounded to `grid_us`: how many of `count` are kept, and whether
 * every `divisor`th one is. */
static int kept(struct rational source, struct rational rate, struct rational max, int count,
                int64_t grid_us, int divisor)
{
    struct rate_cap cap;
    struct rate_mark mark = {0};
    init(&cap, source, max);
    int n = 0;
    for (int i = 0; i < count; i++) {
        int64_t pts = (int64_t)i * 1000000 * rate.den / rate.num - 123000;
        pts = grid_us ? (pts + 1000 * grid_us + grid_us / 2) / grid_us * grid_us : pts;
        const bool keep = rate_cap_next(&cap, &mark, pts);
        if (divisor)
            assert_int_equal(keep, i % divisor == 0);
        n += keep;
    }
    return n;
}

static void constant_rates(void **state)
{
    (void)state;
    static const struct {
        struct rational source, max;
        int divisor;
        struct rational out;
    } cases[] = {
        {{60, 1}, {30, 1}, 2, {30, 1}},       {{60000, 1001}, {30, 1}, 2, {30000, 1001}},
        {{50, 1}, {30, 1}, 2, {25, 1}},       {{24, 1}, {30, 1}, 1, {24, 1}},
        {{30, 1}, {30, 1}, 1, {30, 1}},       {{30, 1}, {30000, 1001}, 1, {30, 1}},
        {{60, 1}, {30000, 1001}, 2, {30, 1}}, {{120, 1}, {30, 1}, 4, {30, 1}},
        {{60, 1}, {25, 1}, 3, {20, 1}},       {{25, 1}, {0, 0}, 1, {25, 1}},
        {{144, 1}, {60, 1}, 3, {48, 1}},      {{25, 1}, {1, 2}, 50, {1, 2}},
        {{25, 1}, {12, 1}, 3, {25, 3}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rate_cap cap;
        init(&cap, cases[i].source, cases[i].max);
        assert_int_equal(cap.drops, cases[i].divisor > 1);
        assert_int_equal(cap.rates[0].num, cases[i].out.num);
        assert_int_equal(cap.rates[0].den, cases[i].out.den);
        /* In microseconds, and in the milliseconds of Matroska. */
        kept(cases[i].source, cases[i].source, cases[i].max, 100000, 0, cases[i].divisor);
        kept(cases[i].source, cases[i].source, cases[i].max, 100000, 1000, cases[i].divisor);
    }
}

/* A quarter of a frame each way does not matter. */
static void jitter(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed < 50; seed++) {
        struct rate_cap cap;
        struct rate_mark mark = {0};
        init(&cap, (struct rational){60, 1}, (struct rational){30, 1});
        random_state = seed;
        for (int i = 0; i < 2000; i++) {
            const int64_t pts = (int64_t)i * 1000000 / 60 + random_below(8000) - 4000;
            assert_int_equal(rate_cap_next(&cap, &mark, pts), i % 2 == 0);
        }
    }
}

/* A source that is not quite as fast as it says: there is never a frame more, and what is kept is
 * even but for the places where a faster source must lose one, once in half a frame too much. */
static void wrong_rates(void **state)
{
    (void)state;
    for (int actual = 29000; actual <= 31000; actual += 37) {
        struct rate_cap cap;
        struct rate_mark mark = {0};
        init(&cap, (struct rational){30, 1}, (struct rational){15, 1});
        random_state = (uint32_t)actual;
        int last = 0, odd = 0, n = 0;
        const int count = 20000;
        for (int i = 0; i < count; i++) {
            const int64_t pts = (int64_t)i * 1000000000 / actual + random_below(1000);
            if (!rate_cap_next(&cap, &mark, pts))
                continue;
            assert_true(i == 0 || i - last >= 2);
            odd += i > 0 && i - last != 2;
            last = i;
            n++;
        }
        const double seconds = count * 1000.0 / actual;
        assert_true(n <= seconds * 15 + 1.5);
        assert_true(odd <= (actual > 30000 ? 2 + (actual - 30000) * seconds / 500 : 0));
    }
}

/* Whatever the time stamps: no more than the cap, in any window. */
static void caps_hold(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed < 300; seed++) {
        static int64_t at[5000];
        struct rate_cap cap;
        struct rate_mark mark = {0};
        random_state = seed;
        const bool known = random_below(2);
        const int32_t max = 1 + (int32_t)random_below(40);
        const int64_t mean_us = 2 * (1 + random_below(60000));
        init(&cap, (struct rational){known ? 60 : 0, 1}, (struct rational){max, 1});
        int n = 0;
        for (int64_t pts = 0, i = 0; i < 5000; pts += 1 + random_below(mean_us), i++)
            if (rate_cap_next(&cap, &mark, pts))
                at[n++] = pts;
        for (int i = 0; i < n; i++)
            for (int k = i + 1; k < n && k < i + 200; k++)
                if ((double)(k - i) > (double)(at[k] - at[i]) * max * 1.001 / 1e6 + 1.0)
                    fail_msg("seed %u: %d frames in %lld us, at most %d", seed, k - i,
                             (long long)(at[k] - at[i]), max);
    }
}

static void variable_rates(void **state)
{
    (void)state;
    const struct rational r60 = {60, 1}, r24 = {24, 1}, r30 = {30, 1}, unknown = {0, 0};
    /* The nominal rate says 60, but for a while there are 24 a second: all of those are kept. */
    assert_int_equal(kept(r60, r24, r30, 240, 0, 1), 240);
    /* Without a nominal rate by time only: never more than the maximum, all where there are fewer.
     */
    assert_int_equal(kept(unknown, r24, r30, 240, 1000, 1), 240);
    assert_int_equal(kept(unknown, r30, r30, 300, 1000, 1), 300);
    assert_int_equal(kept(unknown, r60, r30, 600, 1000, 2), 300);
    assert_in_range(kept(unknown, (struct rational){50, 1}, r30, 500, 1000, 0), 299, 301);
    assert_in_range(kept(unknown, (struct rational){1000, 1}, r30, 10000, 0, 0), 299, 301);
    /* A gap of any length moves what is kept, and is made up for by nothing. */
    struct rate_cap cap;
    struct rate_mark mark = {0};
    init(&cap, r60, r30);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rate_cap_next(&cap, &mark, i * 16667), i % 2 == 0);
    assert_int_equal(rate_cap_next(&cap, &mark, 3000 * 16667), 1);
    for (int i = 1; i < 100; i++)
        assert_int_equal(rate_cap_next(&cap, &mark, (3000 + i) * 16667), i % 2 == 0);
}

/* Several renditions: each as if alone, and in each common multiple a frame that all keep. */
static void ladders(void **state)
{
    (void)state;
    const struct rendition_params r[] = {{.frame_rate_max = {0, 0}},
                                         {.frame_rate_max = {30, 1}},
                                         {.frame_rate_max = {20, 1}},
                                         {.frame_rate_max = {15, 1}},
                                         {.frame_rate_max = {60, 1}}};
    struct rate_cap cap;
    struct rate_mark mark = {0};
    rate_cap_init(&cap, US, (struct rational){60, 1}, r, 5);
    assert_int_equal(rate_cap_all(&cap), 31);
    for (int i = 0; i < 1200; i++)
        assert_int_equal(rate_cap_next(&cap, &mark, i * 16667),
                         17 | !(i % 2) << 1 | !(i % 3) << 2 | !(i % 4) << 3);
    /* Any time stamps: who has a multiple of another's divisor keeps what the other keeps. */
    for (int known = 0; known < 2; known++) {
        rate_cap_init(&cap, US, (struct rational){known ? 60 : 0, 1}, r + 1, 3);
        mark = (struct rate_mark){0};
        random_state = 9;
        int64_t pts = 0, common = 0;
        for (int i = 0; i < 20000; i++, pts += 1 + random_below(40000)) {
            const uint32_t mask = rate_cap_next(&cap, &mark, pts);
            assert_true(!(mask & 4) || mask & 1);
            if (mask == 7)
                common = pts;
            assert_true(pts - common < 300000);
        }
    }
    /* The highest maximum is the unit where the rate is not known. */
    rate_cap_init(&cap, US, (struct rational){0, 0}, r, 5);
    assert_int_equal(cap.divisors[0], 0);
    assert_int_equal(cap.rates[0].den, 0);
    assert_int_equal(cap.divisors[4], 1);
    assert_int_equal(cap.divisors[1], 2);
    assert_int_equal(cap.rates[3].num, 15);
}

/* Going on from a mark is the same as not having stopped. */
static void marks(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed < 100; seed++) {
        struct rate_cap cap;
        struct rate_mark a = {0}, b = {0};
        init(&cap, (struct rational){50, 1}, (struct rational){20, 1});
        random_state = seed;
        int64_t pts = -1000000;
        for (int i = 0; i < 300; i++, pts += 1 + random_below(60000)) {
            if (random_below(10) == 0)
                b = a;
            const uint32_t mask = rate_cap_next(&cap, &a, pts);
            assert_int_equal(rate_cap_next(&cap, &b, pts), mask);
        }
    }
}

static void odd_values(void **state)
{
    (void)state;
    struct rate_cap cap;
    struct rate_mark mark = {0};
    const struct rational long_one = {INT32_MAX, 1}, short_one = {1, INT32_MAX};
    const struct rendition_params r = {.frame_rate_max = short_one};
    static const int64_t times[] = {INT64_MIN, -1, 0, 1, INT64_MAX, INT64_MIN, INT64_MAX};
    for (int i = 0; i < 8; i++) {
        rate_cap_init(&cap, i & 1 ? long_one : short_one,
                      i & 2 ? long_one : (struct rational){2, INT32_MAX}, &r, 1);
        for (size_t k = 0; k < sizeof(times) / sizeof(times[0]); k++)
            rate_cap_next(&cap, &mark, times[k]);
        mark = (struct rate_mark){true, i & 4 ? INT64_MAX : INT64_MIN, {INT64_MIN, UINT32_MAX}};
    }
    /* Time stamps that go back are not kept, and move nothing. */
    init(&cap, (struct rational){50, 1}, (struct rational){25, 1});
    mark = (struct rate_mark){0};
    assert_int_equal(rate_cap_next(&cap, &mark, 1000000), 1);
    assert_int_equal(rate_cap_next(&cap, &mark, 0), 0);
    assert_int_equal(rate_cap_next(&cap, &mark, 1020000), 0);
    assert_int_equal(rate_cap_next(&cap, &mark, 1040000), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_rates), cmocka_unit_test(jitter),
        cmocka_unit_test(wrong_rates),    cmocka_unit_test(caps_hold),
        cmocka_unit_test(variable_rates), cmocka_unit_test(ladders),
        cmocka_unit_test(marks),          cmocka_unit_test(odd_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
