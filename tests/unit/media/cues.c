/* Cues in segments: each in all that it overlaps and in no other, whatever order they come in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "media/cues.h"

#define HEAD "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n"
#define MS INT64_C(1000000)

static struct cues *open_cues(void)
{
    struct cues *c = NULL;
    assert_int_equal(cues_new(&c), 0);
    return c;
}

static void expect_segment(struct cues *c, int64_t end_ns, const char *want)
{
    struct text out = {0};
    assert_int_equal(cues_segment(c, end_ns, &out), 0);
    assert_string_equal(text_string(&out), want);
    text_done(&out);
}

static void test_boundaries(void **state)
{
    (void)state;
    struct cues *c = open_cues();
    assert_true(cues_last_ns(c) == INT64_MIN);
    assert_int_equal(cues_push(c, 1000, 2000, NULL, "touches the end"), 0);
    assert_int_equal(cues_push(c, 500, 4500, "line:0", "in three"), 0);
    assert_int_equal(cues_push(c, 2000, 2500, NULL, "touches the start"), 0);
    assert_int_equal(cues_push(c, 2000, 2500, NULL, "touches the start"), 0);
    assert_int_equal(cues_push(c, 3000, 3000, NULL, "no time"), 0);
    assert_true(cues_last_ns(c) == 3000 * MS);
    expect_segment(c, 2000 * MS,
                   HEAD "00:00:00.500 --> 00:00:04.500 line:0\nin three\n\n"
                        "00:00:01.000 --> 00:00:02.000\ntouches the end\n\n");
    assert_int_equal(cues_push(c, 1000, 2000, NULL, "too late"), RGPU_ERROR_INPUT);
    assert_int_equal(cues_push(c, 1900, 2001, NULL, "late"), 0);
    expect_segment(c, 4000 * MS,
                   HEAD "00:00:00.500 --> 00:00:04.500 line:0\nin three\n\n"
                        "00:00:01.900 --> 00:00:02.001\nlate\n\n"
                        "00:00:02.000 --> 00:00:02.500\ntouches the start\n\n"
                        "00:00:03.000 --> 00:00:03.001\nno time\n\n");
    expect_segment(c, 6000 * MS, HEAD "00:00:00.500 --> 00:00:04.500 line:0\nin three\n\n");
    expect_segment(c, 8000 * MS, HEAD);
    assert_int_equal(cues_push(c, 9000, 9500, NULL, "behind"), 0);
    expect_segment(c, INT64_MAX, HEAD "00:00:09.000 --> 00:00:09.500\nbehind\n\n");
    cues_free(&c);
    cues_free(&c);
}

static void test_limits(void **state)
{
    (void)state;
    struct cues *c = open_cues();
    assert_int_equal(cues_push(c, -1, 5, NULL, "x"), RGPU_ERROR_INPUT);
    assert_int_equal(cues_push(c, INT64_MAX - 1, INT64_MAX, NULL, "x"), RGPU_ERROR_INPUT);
    char *big = malloc(CUES_BYTES_MAX / 2);
    assert_non_null(big);
    memset(big, 'x', CUES_BYTES_MAX / 2 - 1);
    big[CUES_BYTES_MAX / 2 - 1] = 0;
    assert_int_equal(cues_push(c, 0, 10, NULL, big), 0);
    assert_int_equal(cues_push(c, 1, 20, NULL, big), RGPU_ERROR_LIMIT);
    assert_int_equal(cues_push(c, 2, 20, NULL, "small"), 0);
    struct text out = {0};
    assert_int_equal(cues_segment(c, 15 * MS, &out), 0);
    text_done(&out);
    /* What was written makes room. */
    assert_int_equal(cues_push(c, 16, 20, NULL, big), 0);
    cues_free(&c);
    free(big);
    c = open_cues();
    for (int i = 0; i < CUES_MAX; i++)
        assert_int_equal(cues_push(c, i, i + 1, NULL, ""), 0);
    assert_int_equal(cues_push(c, CUES_MAX, CUES_MAX + 1, NULL, ""), RGPU_ERROR_LIMIT);
    cues_free(&c);
}

/* Against the rule itself: begin < segment's end and end > segment's begin. */
static void test_random(void **state)
{
    (void)state;
    enum { CUES = 60, CUTS = 12 };
    for (uint32_t seed = 1; seed <= 200; seed++) {
        uint32_t random = seed;
        int64_t begin[CUES], end[CUES], cut[CUTS] = {0};
        struct cues *c = open_cues();
        for (int i = 0; i < CUES; i++) {
            char name[16];
            random = random * 1664525 + 1013904223;
            begin[i] = random >> 8 & 0x3ff;
            random = random * 1664525 + 1013904223;
            end[i] = begin[i] + 1 + (random >> 8 & 0xff);
            snprintf(name, sizeof(name), "cue %d.", i);
            assert_int_equal(cues_push(c, begin[i], end[i], NULL, name), 0);
        }
        for (int i = 0; i < CUTS; i++) {
            random = random * 1664525 + 1013904223;
            cut[i] = (i ? cut[i - 1] : 0) + MS / 3 + (random >> 8) % 150 * MS;
        }
        for (int s = 0; s <= CUTS; s++) {
            const int64_t from = s ? cut[s - 1] : INT64_MIN, until = s < CUTS ? cut[s] : INT64_MAX;
            struct text out = {0};
            assert_int_equal(cues_segment(c, until, &out), 0);
            int64_t last = -1;
            for (const char *p = out.data; (p = strstr(p, " --> ")); p++) {
                const int64_t at = atoi(p - 6) * 1000 + atoi(p - 3);
                assert_true(at >= last);
                last = at;
            }
            for (int i = 0; i < CUES; i++) {
                char name[16];
                snprintf(name, sizeof(name), "cue %d.", i);
                const bool want = begin[i] * MS < until && end[i] * MS > from;
                if ((strstr(out.data, name) != NULL) != want)
                    fail_msg("seed %u: %s in segment %d: %d", seed, name, s, !want);
            }
            text_done(&out);
        }
        assert_true(cues_last_ns(c) == INT64_MIN);
        cues_free(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boundaries),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
