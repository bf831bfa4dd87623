/* Key frames, frame-rate caps and the encoders' clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "transcode/cadence.h"

#define US ((struct rational){1, 1000000})
#define MS ((struct rational){1, 1000})

/* ---- key frames ---- */

static void key_frames_each_gop(void **state)
{
    (void)state;
    struct key_rule k;
    key_rule_init(&k, (struct rational){1, 90000}, 2000000);
    const int64_t start = -123456;
    key_rule_start(&k, start);
    int keys = 0;
    /* 29.97: gops of 2 s begin at the first frame at or after 2 s. */
    for (int i = 0; i < 600; i++) {
        const int64_t at = (int64_t)i * 3003;
        const bool expected = i == 0 || at / 180000 != (at - 3003) / 180000;
        assert_int_equal(key_rule_next(&k, start + at), expected);
        keys += expected;
    }
    assert_int_equal(keys, 10);
}

static void key_frames_are_exact(void **state)
{
    (void)state;
    /* A million gops of a third of a second in 1/3: no drift. */
    struct key_rule k;
    key_rule_init(&k, (struct rational){1, 30}, 100000);
    key_rule_start(&k, 0);
    for (int64_t i = 0; i < 1000000; i++)
        assert_int_equal(key_rule_next(&k, i), i % 3 == 0);
}

static void key_frames_survive_gaps(void **state)
{
    (void)state;
    struct key_rule k;
    key_rule_init(&k, MS, 1000000);
    key_rule_start(&k, 0);
    assert_true(key_rule_next(&k, 400)); /* the first one, wherever it is */
    assert_false(key_rule_next(&k, 999));
    assert_true(key_rule_next(&k, 1040)); /* 1000 itself is missing */
    assert_true(key_rule_next(&k, 5999));
    assert_true(key_rule_next(&k, 6000));
    key_rule_start(&k, 6001);
    assert_true(key_rule_next(&k, 6001));
    assert_false(key_rule_next(&k, 7000));
    assert_true(key_rule_next(&k, 7001));
    key_rule_start(&k, -PTS_LIMIT);
    assert_true(key_rule_next(&k, -PTS_LIMIT));
    assert_true(key_rule_next(&k, PTS_LIMIT));
}

/* ---- caps ---- */

/* Frames i * den / num seconds in microseconds, moved by up to `jitter_us`, over gops of 2 s: how
 * many of `count` are kept, and whether every `divisor`th one is. */
static int kept(struct rational source, struct rational rate, struct rational max, int count,
                int64_t grid_us, int divisor)
{
    struct rate_cap cap;
    struct key_rule k;
    rate_cap_init(&cap, US, source, max);
    key_rule_init(&k, US, 2000000);
    key_rule_start(&k, 0);
    int n = 0, since_key = 0;
    for (int i = 0; i < count; i++) {
        int64_t pts = (int64_t)i * 1000000 * rate.den / rate.num;
        if (grid_us)
            pts = (pts + grid_us / 2) / grid_us * grid_us;
        const bool key = key_rule_next(&k, pts);
        since_key = key ? 0 : since_key + 1;
        const bool keep = rate_cap_keep(&cap, pts, key);
        if (divisor)
            assert_int_equal(keep, since_key % divisor == 0);
        n += keep;
    }
    return n;
}

static void caps_of_constant_rates(void **state)
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
        {{144, 1}, {60, 1}, 3, {48, 1}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct rate_cap cap;
        rate_cap_init(&cap, US, cases[i].source, cases[i].max);
        assert_int_equal(cap.all, cases[i].divisor == 1);
        assert_int_equal(cap.rate.num, cases[i].out.num);
        assert_int_equal(cap.rate.den, cases[i].out.den);
        /* In microseconds, and in the milliseconds of Matroska. */
        kept(cases[i].source, cases[i].source, cases[i].max, 3000, 0, cases[i].divisor);
        kept(cases[i].source, cases[i].source, cases[i].max, 3000, 1000, cases[i].divisor);
    }
}

static void caps_tolerate_jitter(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed < 50; seed++) {
        struct rate_cap cap;
        rate_cap_init(&cap, US, (struct rational){60, 1}, (struct rational){30, 1});
        uint32_t x = seed;
        for (int i = 0; i < 120; i++) {
            x = x * 1664525 + 1013904223;
            const int64_t jitter = i ? (int64_t)(x >> 16) % 16000 - 8000 : 0;
            assert_int_equal(rate_cap_keep(&cap, i * 16667 + jitter, i == 0), i % 2 == 0);
        }
    }
}

/* The nominal rate says 60, but for a while there are 24 a second: all of those are kept. */
static void caps_of_variable_rates(void **state)
{
    (void)state;
    const struct rational r60 = {60, 1}, r24 = {24, 1}, r30 = {30, 1}, unknown = {0, 0};
    assert_int_equal(kept(r60, r24, r30, 240, 0, 0), 240);
    /* Without a nominal rate by time only: never more than the maximum, all where there are fewer.
     */
    assert_int_equal(kept(unknown, r24, r30, 240, 1000, 1), 240);
    assert_int_equal(kept(unknown, r30, r30, 300, 1000, 1), 300);
    assert_int_equal(kept(unknown, r60, r30, 600, 1000, 2), 300);
    const int n = kept(unknown, (struct rational){50, 1}, r30, 500, 1000, 0);
    assert_in_range(n, 290, 300);
    /* One more for each key frame, which is kept whatever came shortly before. */
    assert_in_range(kept(unknown, (struct rational){1000, 1}, r30, 10000, 0, 0), 300, 305);
}

/* The choice does not depend on what came before the key frame. */
static void caps_forget_at_key_frames(void **state)
{
    (void)state;
    struct rate_cap a, b;
    rate_cap_init(&a, MS, (struct rational){50, 1}, (struct rational){20, 1});
    b = a;
    uint32_t x = 7;
    for (int i = 0; i < 200; i++) {
        x = x * 1664525 + 1013904223;
        rate_cap_keep(&a, (int64_t)(x >> 20), i == 0);
    }
    for (int64_t pts = 5000; pts < 9000; pts += 1 + (int64_t)((x = x * 1664525 + 1) >> 27))
        assert_int_equal(rate_cap_keep(&a, pts, pts == 5000), rate_cap_keep(&b, pts, pts == 5000));
}

static void caps_of_odd_values(void **state)
{
    (void)state;
    struct rate_cap cap;
    rate_cap_init(&cap, (struct rational){1, INT32_MAX}, (struct rational){INT32_MAX, 1},
                  (struct rational){1, INT32_MAX});
    assert_false(cap.all);
    assert_true(rate_cap_keep(&cap, -PTS_LIMIT, true));
    rate_cap_keep(&cap, -PTS_LIMIT + ((int64_t)1 << 44), false);
    assert_true(rate_cap_keep(&cap, PTS_LIMIT, false));
    rate_cap_init(&cap, (struct rational){INT32_MAX, 1}, (struct rational){INT32_MAX, 1},
                  (struct rational){1, 1});
    rate_cap_keep(&cap, 0, true);
    assert_true(rate_cap_keep(&cap, (int64_t)1 << 45, false));
}

/* ---- clock ---- */

static void clock_has_no_gaps(void **state)
{
    (void)state;
    struct gapless_clock c = {0};
    assert_int_equal(gapless_clock_next(&c, 1000, 40, false), 0);
    assert_int_equal(gapless_clock_next(&c, 1040, 40, true), 40);
    assert_int_equal(gapless_clock_next(&c, 1100, 40, true), 100);  /* VFR stays */
    assert_int_equal(gapless_clock_next(&c, 5000, 40, false), 140); /* a gap goes */
    assert_int_equal(gapless_clock_next(&c, 200, 40, false), 180);  /* backwards too */
    assert_int_equal(gapless_clock_next(&c, 240, 40, true), 220);
    assert_int_equal(gapless_clock_next(&c, 240, 0, true), 221); /* always grows */
    assert_int_equal(gapless_clock_next(&c, 100, 0, true), 222);
    assert_int_equal(gapless_clock_next(&c, 0, 0, false), 223);
    int64_t last = 223;
    for (int i = 0; i < 100; i++) {
        int64_t now = gapless_clock_next(&c, i % 2 ? -PTS_LIMIT : PTS_LIMIT, PTS_LIMIT, true);
        assert_true(now > last);
        last = now;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_frames_each_gop),       cmocka_unit_test(key_frames_are_exact),
        cmocka_unit_test(key_frames_survive_gaps),   cmocka_unit_test(caps_of_constant_rates),
        cmocka_unit_test(caps_tolerate_jitter),      cmocka_unit_test(caps_of_variable_rates),
        cmocka_unit_test(caps_forget_at_key_frames), cmocka_unit_test(caps_of_odd_values),
        cmocka_unit_test(clock_has_no_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
