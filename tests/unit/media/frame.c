/* Frames, pools and exact time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/frame.h"
#include "media/packet.h"
#include "media/rational.h"

static void test_planes_do_not_overlap(void **state)
{
    (void)state;
    const int sizes[][2] = {{1, 1}, {2, 2}, {3, 5}, {1919, 1079}, {64, 48}};
    for (int format = PIXEL_NONE + 1; format < PIXEL_COUNT; format++) {
        const struct pixel_info *info = pixel_info((enum pixel_format)format);
        assert_int_equal(pixel_from_name(info->name), format);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            struct frame *frame = frame_new((enum pixel_format)format, sizes[i][0], sizes[i][1]);
            assert_non_null(frame);
            for (int p = 0; p < info->planes; p++) {
                const int height = pixel_plane_height(frame->format, p, frame->height);
                assert_int_equal((uintptr_t)frame->data[p] % 64, 0);
                assert_int_equal(frame->stride[p] % 64, 0);
                memset(frame->data[p], p + 1, (size_t)frame->stride[p] * (size_t)height);
            }
            for (int p = 0; p < info->planes; p++)
                assert_int_equal(frame->data[p][0], p + 1);
            frame_unref(&frame);
        }
    }
    assert_null(frame_new(PIXEL_NONE, 8, 8));
    assert_null(frame_new(PIXEL_YUV420P, 0, 8));
    assert_null(frame_new(PIXEL_YUV420P, 8, FRAME_SIZE_MAX + 1));
    assert_int_equal(pixel_from_name("nonsense"), PIXEL_NONE);
    assert_null(pixel_info(PIXEL_COUNT));
}

static void test_pool_gives_frames_back(void **state)
{
    (void)state;
    struct frame_pool *pool = frame_pool_new(PIXEL_NV12, 32, 16);
    struct frame *a = frame_pool_get(pool);
    struct frame *first = a;
    a->side[0] = (struct frame_side){SIDE_A53_CC, buffer_copy("cc", 2)};
    a->flags = FRAME_KEY;
    frame_unref(&a);
    struct frame *b = frame_pool_get(pool);
    assert_ptr_equal(b, first);
    assert_int_equal(b->flags, 0);
    assert_null(b->side[0].buf);
    struct frame *other = frame_pool_get(pool);
    assert_ptr_not_equal(other, b);
    frame_pool_free(&pool); /* frames are still out; the last of them frees the pool */
    frame_unref(&b);
    frame_unref(&other);
}

static void test_props_are_copied_by_reference(void **state)
{
    (void)state;
    struct frame *a = frame_new(PIXEL_GRAY8, 4, 4), *b = frame_new(PIXEL_GRAY8, 4, 4);
    a->pts = 7;
    a->hdr.has_light_level = true;
    a->side[1] = (struct frame_side){SIDE_HDR10_PLUS, buffer_copy("time", 4)};
    frame_copy_props(b, a);
    frame_copy_props(b, a);
    frame_unref(&a);
    assert_int_equal(b->pts, 7);
    assert_true(b->hdr.has_light_level);
    assert_memory_equal(b->side[1].buf->data, "time", 4);
    frame_unref(&b);
}

/* One field after the other is made another. */
static void test_metadata_is_compared_whole(void **state)
{
    (void)state;
    const struct hdr a = {true, true, {1, 2, 3}, {4, 5, 6}, 7, 8, 9, 10, 11, 12};
    struct hdr others[] = {a, a, a, a, a, a, a, a, a, a};
    others[0].has_mastering = false;
    others[1].has_light_level = false;
    others[2].primary_x[2]++;
    others[3].primary_y[0]++;
    others[4].white_x++;
    others[5].white_y++;
    others[6].luminance_max++;
    others[7].luminance_min++;
    others[8].max_content_light++;
    others[9].max_average_light++;
    struct hdr same;
    memset(&same, 0xff, sizeof(same)); /* what lies between the fields is no matter */
    same.has_mastering = same.has_light_level = true;
    memcpy(same.primary_x, a.primary_x, sizeof(a.primary_x));
    memcpy(same.primary_y, a.primary_y, sizeof(a.primary_y));
    same.white_x = a.white_x;
    same.white_y = a.white_y;
    same.luminance_max = a.luminance_max;
    same.luminance_min = a.luminance_min;
    same.max_content_light = a.max_content_light;
    same.max_average_light = a.max_average_light;
    assert_true(hdr_same(&a, &same));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(hdr_same(&a, &others[i]));
}

static void test_packets_share_their_payload(void **state)
{
    (void)state;
    struct packet pkt = {.buf = buffer_copy("abc", 3), .size = 3, .pts = 1};
    struct packet shared = packet_share(&pkt);
    struct packet moved = packet_move(&pkt);
    assert_null(pkt.buf);
    packet_done(&moved);
    assert_memory_equal(shared.buf->data, "abc", 3);
    packet_done(&shared);
    packet_done(&shared);
}

static void test_rescale(void **state)
{
    (void)state;
    const struct rational ms = {1, 1000}, ntsc = {1001, 30000}, ticks = {1, 90000};
    assert_int_equal(rational_rescale(1, ntsc, ticks, ROUND_NEAREST), 3003);
    assert_int_equal(rational_rescale(1, ntsc, ms, ROUND_DOWN), 33);
    assert_int_equal(rational_rescale(1, ntsc, ms, ROUND_UP), 34);
    assert_int_equal(rational_rescale(-1, ntsc, ms, ROUND_DOWN), -34);
    assert_int_equal(rational_rescale(-1, ntsc, ms, ROUND_UP), -33);
    assert_int_equal(
        rational_rescale(-1, (struct rational){1, 2}, (struct rational){1, 1}, ROUND_NEAREST), -1);
    assert_true(rational_rescale(PTS_NONE, ms, ticks, ROUND_DOWN) == PTS_NONE);
    assert_true(rational_rescale(INT64_MAX, (struct rational){1, 1}, ticks, ROUND_DOWN) ==
                INT64_MAX);
    assert_true(rational_rescale(-INT64_MAX, (struct rational){1, 1}, ticks, ROUND_DOWN) ==
                INT64_MIN + 1);
    assert_true(rational_rescale(1, (struct rational){1, 0}, ticks, ROUND_DOWN) == PTS_NONE);
    assert_int_equal(rational_compare_ts(1, ntsc, 3003, ticks), 0);
    assert_int_equal(rational_compare_ts(1, ntsc, 3004, ticks), -1);
    assert_int_equal(rational_compare_ts(INT64_MAX, ms, INT64_MAX, ticks), 1);
}

/* Against 128-bit division by another route: floor(x) * den <= num < (floor(x) + 1) * den. */
static void test_rescale_property(void **state)
{
    (void)state;
    srand(2);
    for (int i = 0; i < 100000; i++) {
        struct rational from = {1 + rand() % 100000, 1 + rand() % 100000};
        struct rational to = {1 + rand() % 100000, 1 + rand() % 100000};
        int64_t a = (int64_t)rand() * (rand() % 2 ? 1 : -1);
        int64_t down = rational_rescale(a, from, to, ROUND_DOWN);
        assert_true(rational_compare_ts(down, to, a, from) <= 0);
        assert_true(rational_compare_ts(down + 1, to, a, from) > 0);
        int64_t up = rational_rescale(a, from, to, ROUND_UP);
        assert_true(up == down || up == down + 1);
        assert_true(rational_compare_ts(up, to, a, from) >= 0);
    }
}

static void test_reduce(void **state)
{
    (void)state;
    struct rational r = rational_reduce(1920, 1080);
    assert_int_equal(r.num, 16);
    assert_int_equal(r.den, 9);
    r = rational_reduce(-4, 6);
    assert_int_equal(r.num, -2);
    assert_int_equal(r.den, 3);
    assert_int_equal(rational_reduce(1, 0).den, 0);
    assert_int_equal(rational_reduce(0, 5).num, 0);
    r = rational_reduce(INT64_MAX, 3);
    assert_true(r.num > 0 && r.den > 0);
}

static void test_timecode(void **state)
{
    (void)state;
    struct frame_timecode code = {.count = 2, .clocks = {{1, 2, 3, 59, true}, {4, 5, 6, 1, false}}};
    struct frame_timecode got = {.count = 9};
    struct frame *a = frame_new(PIXEL_YUV420P, 16, 16);
    assert_non_null(a);
    assert_false(frame_timecode_of(a, 1, &got));
    a->side[2] = (struct frame_side){SIDE_TIMECODE, buffer_copy(&code, sizeof(code))};
    assert_ptr_equal(frame_side_of(a, SIDE_TIMECODE), a->side[2].buf);
    assert_null(frame_side_of(a, SIDE_A53_CC));
    assert_false(frame_timecode_of(a, 0, &got));
    assert_int_equal(got.count, 9);
    assert_true(frame_timecode_of(a, 1, &got));
    assert_memory_equal(&got, &code, sizeof(code));
    /* Every second frame is kept: they count half. */
    assert_true(frame_timecode_of(a, 2, &got));
    code.clocks[0].frames = 29;
    code.clocks[1].frames = 0;
    assert_memory_equal(&got, &code, sizeof(code));
    /* Of another's making. */
    a->side[2].buf->data[0] = FRAME_CLOCKS_MAX + 1;
    assert_false(frame_timecode_of(a, 1, &got));
    a->side[2].buf->data[0] = 0;
    assert_false(frame_timecode_of(a, 1, &got));
    frame_unref(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timecode),
        cmocka_unit_test(test_planes_do_not_overlap),
        cmocka_unit_test(test_pool_gives_frames_back),
        cmocka_unit_test(test_props_are_copied_by_reference),
        cmocka_unit_test(test_metadata_is_compared_whole),
        cmocka_unit_test(test_packets_share_their_payload),
        cmocka_unit_test(test_rescale),
        cmocka_unit_test(test_rescale_property),
        cmocka_unit_test(test_reduce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
