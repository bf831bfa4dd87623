/* What a part of a copied track needs, on made-up packets: a letter a packet, in decode order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include <libavcodec/packet.h>

#include "file/part.h"

static AVPacket *make(int64_t pts, bool key, bool second)
{
    AVPacket *pkt = av_packet_alloc();
    assert_non_null(pkt);
    assert_int_equal(av_new_packet(pkt, 1), 0);
    pkt->pts = pts;
    pkt->flags = key ? AV_PKT_FLAG_KEY : 0;
    pkt->opaque = second ? pkt : NULL;
    return pkt;
}

/* `film`: "K5" a key frame of pts 5, "P9", "+9" a second field. What comes out is written the same
 * way, hidden packets in lower case ("k5", "p9", "-9"). */
static void expect(int64_t begin, int64_t end, const char *film, const char *want)
{
    struct part part;
    char have[400] = "";
    part_init(&part, begin, end);
    for (const char *p = film; *p;) {
        char kind;
        int pts, length;
        assert_int_equal(sscanf(p, " %c%d%n", &kind, &pts, &length), 2);
        p += length;
        assert_int_equal(part_push(&part, make(pts, kind == 'K', kind == '+')), 0);
        if (*p == '\0')
            part_finish(&part);
        for (AVPacket *out; (out = part_pop(&part)); av_packet_free(&out)) {
            const bool hidden = out->flags & AV_PKT_FLAG_DISCARD;
            const char *letters = hidden ? "-kp" : "+KP";
            const int i = out->opaque ? 0 : out->flags & AV_PKT_FLAG_KEY ? 1 : 2;
            snprintf(have + strlen(have), sizeof(have) - strlen(have), "%s%c%d", have[0] ? " " : "",
                     letters[i], (int)out->pts);
        }
    }
    part_done(&part);
    assert_string_equal(have, want);
}

static void test_everything(void **state)
{
    (void)state;
    expect(INT64_MIN, INT64_MAX, "K0 P3 P1 P2 K4", "K0 P3 P1 P2 K4");
}

static void test_the_beginning(void **state)
{
    (void)state;
    /* On a key frame, on a frame, between frames. */
    expect(40, INT64_MAX, "K0 P10 P20 P30 K40 P50", "K40 P50");
    expect(50, INT64_MAX, "K0 P10 P20 P30 K40 P50 P60", "k40 P50 P60");
    expect(45, INT64_MAX, "K0 P10 P20 P30 K40 P50 P60", "k40 P50 P60");
    /* Pictures shown before the part may come behind one that is in it. */
    expect(25, INT64_MAX, "K0 P40 P10 P20 P30", "k0 P40 p10 p20 P30");
}

static void test_leading_pictures_of_the_first_key_frame(void **state)
{
    (void)state;
    expect(45, INT64_MAX, "K0 P10 K40 P20 P30 P60 P50", "k40 P60 P50");
    expect(40, INT64_MAX, "K0 P10 K40 P20 P30 P60 P50", "K40 P60 P50");
    /* Those of the part are kept. */
    expect(25, INT64_MAX, "K0 P10 K40 P20 P30 P60 P50", "k0 p10 K40 p20 P30 P60 P50");
}

static void test_the_end(void **state)
{
    (void)state;
    expect(INT64_MIN, 20, "K0 P10 P20 P30", "K0 P10");
    expect(INT64_MIN, 25, "K0 P10 P20 P30", "K0 P10 P20");
    /* What the last frames refer to comes along, and nothing behind them. */
    expect(INT64_MIN, 25, "K0 P30 P10 P20 P60 P40 P50", "K0 p30 P10 P20");
    expect(INT64_MIN, 25, "K0 P10 K40 P20 P30 P50", "K0 P10 k40 P20");
}

static void test_both(void **state)
{
    (void)state;
    expect(15, 25, "K0 P30 P10 P20 P60 P40 P50", "k0 p30 p10 P20");
    /* Nothing begins in the part. */
    expect(11, 15, "K0 P30 P10 P20 P60 P40 P50", "");
    expect(70, 80, "K0 P30 P10 P20 P60 P40 P50", "");
}

static void test_second_fields_go_with_the_first(void **state)
{
    (void)state;
    expect(15, 25, "K0 +1 P10 +16 P20 +26 P30 +31", "k0 -1 p10 -16 P20 +26");
    expect(45, INT64_MAX, "K0 +1 K40 +41 P20 +42 P50 +51", "k40 -41 P50 +51");
}

static void test_reading_far_behind_the_end_is_not_needed(void **state)
{
    char film[400] = "K0 P1";
    (void)state;
    for (int i = 0; i < PART_REORDER_MAX; i++)
        snprintf(film + strlen(film), sizeof(film) - strlen(film), " P%d", 10 + i);
    expect(INT64_MIN, 5, strcat(film, " P3"), "K0 P1");
}

static void test_a_group_without_an_end(void **state)
{
    struct part part;
    int count = 0;
    (void)state;
    part_init(&part, INT64_MAX - 1, INT64_MAX);
    for (int i = 0; i < 2 * PART_PACKETS_MAX; i++) {
        assert_int_equal(part_push(&part, make(i, i == 0, false)), 0);
        for (AVPacket *out; (out = part_pop(&part)); av_packet_free(&out))
            count++;
        assert_true(part.count <= PART_PACKETS_MAX);
    }
    assert_int_equal(count, 2 * PART_PACKETS_MAX);
    part_done(&part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),
        cmocka_unit_test(test_the_beginning),
        cmocka_unit_test(test_leading_pictures_of_the_first_key_frame),
        cmocka_unit_test(test_the_end),
        cmocka_unit_test(test_both),
        cmocka_unit_test(test_second_fields_go_with_the_first),
        cmocka_unit_test(test_reading_far_behind_the_end_is_not_needed),
        cmocka_unit_test(test_a_group_without_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
