/* Key frames and the encoders' clock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "transcode/cadence.h"

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
        assert_int_equal(key_rule_next(&k, start + at, true, false), expected);
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
        assert_int_equal(key_rule_next(&k, i, true, false), i % 3 == 0);
}

static void key_frames_survive_gaps(void **state)
{
    (void)state;
    struct key_rule k;
    key_rule_init(&k, MS, 1000000);
    key_rule_start(&k, 0);
    assert_true(key_rule_next(&k, 400, true, false)); /* the first one, wherever it is */
    assert_false(key_rule_next(&k, 999, true, false));
    assert_true(key_rule_next(&k, 1040, true, false)); /* 1000 itself is missing */
    assert_true(key_rule_next(&k, 5999, true, false));
    assert_true(key_rule_next(&k, 6000, true, false));
    key_rule_start(&k, 6001);
    assert_true(key_rule_next(&k, 6001, true, false));
    assert_false(key_rule_next(&k, 7000, true, false));
    assert_true(key_rule_next(&k, 7001, true, false));
    key_rule_start(&k, -PTS_LIMIT);
    assert_true(key_rule_next(&k, -PTS_LIMIT, true, false));
    assert_true(key_rule_next(&k, PTS_LIMIT, true, false));
}

/* A key frame that is due waits for a frame that all renditions keep, and so does one that is asked
 * for; the next one is due where it would have been. */
static void key_frames_wait(void **state)
{
    (void)state;
    struct key_rule k;
    key_rule_init(&k, MS, 1000000);
    key_rule_start(&k, 0);
    assert_true(key_rule_next(&k, 0, false, false)); /* the first one, whoever keeps it */
    assert_false(key_rule_next(&k, 960, true, false));
    assert_false(key_rule_next(&k, 1000, false, false));
    assert_false(key_rule_next(&k, 1040, false, false));
    assert_true(key_rule_next(&k, 1080, true, false));
    assert_false(key_rule_next(&k, 1120, true, false));
    assert_true(key_rule_next(&k, 2000, true, false));
    assert_false(key_rule_next(&k, 2040, false, true));
    assert_true(key_rule_next(&k, 2080, true, false));
    assert_true(key_rule_next(&k, 2120, true, true));
    assert_false(key_rule_next(&k, 3000, false, false));
    key_rule_start(&k, 3040); /* forgets what is due */
    assert_true(key_rule_next(&k, 3040, true, false));
    assert_false(key_rule_next(&k, 3080, true, false));
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
        cmocka_unit_test(key_frames_each_gop),     cmocka_unit_test(key_frames_are_exact),
        cmocka_unit_test(key_frames_survive_gaps), cmocka_unit_test(key_frames_wait),
        cmocka_unit_test(clock_has_no_gaps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
