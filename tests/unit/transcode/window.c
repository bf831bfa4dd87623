/* Where frames belong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "transcode/window.h"

static void nothing_open(void **state)
{
    (void)state;
    struct windows w;
    windows_init(&w);
    assert_int_equal(windows_place(&w, 0), WINDOW_DROP);
    assert_false(windows_passed(&w, INT64_MAX));
    assert_null(windows_oldest(&w));
}

static void one_window(void **state)
{
    (void)state;
    struct windows w;
    int owner;
    windows_init(&w);
    windows_begin(&w, 100, &owner);
    assert_int_equal(windows_place(&w, 99), WINDOW_DROP);
    assert_int_equal(windows_place(&w, 100), WINDOW_SHOW);
    assert_false(windows_passed(&w, 100000));
    assert_int_equal(windows_place(&w, 100000), WINDOW_SHOW);
    windows_tail(&w, 200);
    assert_int_equal(windows_place(&w, 199), WINDOW_SHOW);
    assert_false(windows_passed(&w, 199));
    assert_true(windows_passed(&w, 200));
    assert_ptr_equal(windows_oldest(&w)->owner, &owner);
    windows_close(&w);
    assert_int_equal(windows_place(&w, 199), WINDOW_DROP);
    assert_int_equal(windows_place(&w, 200), WINDOW_HOLD);
}

static void from_the_first_frame_without_an_end(void **state)
{
    (void)state;
    struct windows w;
    windows_init(&w);
    windows_begin(&w, INT64_MIN, NULL);
    assert_int_equal(windows_place(&w, INT64_MIN + 1), WINDOW_SHOW);
    windows_tail(&w, INT64_MAX);
    assert_false(windows_passed(&w, INT64_MAX));
    assert_int_equal(windows_place(&w, INT64_MAX), WINDOW_SHOW);
    windows_close(&w);
    assert_int_equal(windows_place(&w, INT64_MAX), WINDOW_DROP);
}

static void end_to_end(void **state)
{
    (void)state;
    struct windows w;
    int owners[WINDOWS_MAX];
    windows_init(&w);
    /* Twice, so that the ring wraps. */
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < WINDOWS_MAX; i++) {
            assert_true(windows_room(&w));
            windows_begin(&w, i * 10, &owners[i]);
            windows_tail(&w, i * 10 + 10);
        }
        assert_false(windows_room(&w));
        /* One frame passes over several windows. */
        int closed = 0;
        while (windows_passed(&w, 35)) {
            windows_close(&w);
            closed++;
        }
        assert_int_equal(closed, 3);
        assert_ptr_equal(windows_oldest(&w)->owner, &owners[3]);
        assert_int_equal(windows_place(&w, 35), WINDOW_SHOW);
        while (windows_passed(&w, WINDOWS_MAX * 10)) {
            windows_close(&w);
            closed++;
        }
        assert_int_equal(closed, WINDOWS_MAX);
        assert_int_equal(windows_place(&w, WINDOWS_MAX * 10), WINDOW_HOLD);
        windows_begin(&w, 5, &owners[0]);
        windows_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_open),
        cmocka_unit_test(one_window),
        cmocka_unit_test(from_the_first_frame_without_an_end),
        cmocka_unit_test(end_to_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
