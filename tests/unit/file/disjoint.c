/* Texts that are shown together become samples one after the other; what is shown at any moment is
 * compared with a model that looks at each text by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libavcodec/packet.h>
#include <libavutil/intreadwrite.h>

#include "base/error.h"
#include "file/disjoint.h"

#define TEXTS 60

static AVPacket *text(const char *line, int64_t pts, int64_t end)
{
    const size_t size = strlen(line);
    AVPacket *pkt = av_packet_alloc();
    assert_non_null(pkt);
    assert_int_equal(av_new_packet(pkt, (int)size + 2), 0);
    AV_WB16(pkt->data, size);
    memcpy(pkt->data + 2, line, size);
    pkt->pts = pts;
    pkt->duration = end - pts;
    return pkt;
}

static void push(struct disjoint *d, const char *line, int64_t pts, int64_t end)
{
    assert_int_equal(disjoint_push(d, text(line, pts, end)), 0);
}

static void expect(struct disjoint *d, const char *line, int64_t pts, int64_t end)
{
    AVPacket *pkt = NULL;
    assert_int_equal(disjoint_next(d, &pkt), 0);
    assert_int_equal(pkt->pts, pts);
    assert_int_equal(pkt->dts, pts);
    assert_int_equal(pkt->pts + pkt->duration, end);
    assert_int_equal(AV_RB16(pkt->data), strlen(line));
    assert_memory_equal(pkt->data + 2, line, strlen(line));
    av_packet_free(&pkt);
}

static void expect_none(struct disjoint *d)
{
    AVPacket *pkt = NULL;
    assert_int_equal(disjoint_next(d, &pkt), RGPU_ERROR_AGAIN);
    assert_null(pkt);
}

static void test_together(void **state)
{
    (void)state;
    struct disjoint d;
    int64_t from;
    disjoint_init(&d);
    expect_none(&d);
    assert_false(disjoint_from(&d, &from));
    push(&d, "left", 400, 1200);
    push(&d, "right", 400, 1600);
    expect_none(&d); /* another may begin at 400 */
    disjoint_progress(&d, 1199);
    expect_none(&d);
    assert_true(disjoint_from(&d, &from));
    assert_int_equal(from, 400);
    disjoint_progress(&d, 1200);
    expect(&d, "left\nright", 400, 1200);
    expect_none(&d);
    push(&d, "around", 1800, 3400);
    expect(&d, "right", 1200, 1600);
    push(&d, "within", 2200, 2700);
    expect(&d, "around", 1800, 2200);
    push(&d, "late", 1000, 2600); /* out of order: from where the others are */
    push(&d, "over", 1000, 2100);
    disjoint_progress(&d, INT64_MAX);
    expect(&d, "around\nwithin\nlate", 2200, 2600);
    expect(&d, "around\nwithin", 2600, 2700);
    expect(&d, "around", 2700, 3400);
    expect_none(&d);
    assert_int_equal(d.lost, 1);
    disjoint_done(&d);
}

static void test_twice_is_once(void **state)
{
    (void)state;
    struct disjoint d;
    disjoint_init(&d);
    push(&d, "same", 0, 10);
    push(&d, "same", 0, 10);
    disjoint_progress(&d, INT64_MAX);
    expect(&d, "same", 0, 10);
    expect_none(&d);
    assert_int_equal(d.lost, 0);
    disjoint_done(&d);
}

static AVPacket *styled(const char *line, int64_t end, uint16_t first, uint16_t last)
{
    AVPacket *pkt = text(line, 0, end);
    assert_int_equal(av_grow_packet(pkt, 22), 0);
    uint8_t *p = pkt->data + pkt->size - 22;
    memset(p, 0, 22);
    AV_WB32(p, 22);
    AV_WB32(p + 4, MKBETAG('s', 't', 'y', 'l'));
    AV_WB16(p + 8, 1);
    AV_WB16(p + 10, first);
    AV_WB16(p + 12, last);
    p[16] = 1; /* bold */
    return pkt;
}

/* Styles count in characters; those of the second text move behind the first. */
static void test_styles(void **state)
{
    (void)state;
    struct disjoint d;
    AVPacket *pkt = NULL;
    disjoint_init(&d);
    assert_int_equal(disjoint_push(&d, styled("\xc3\xa9\xe4\xb8\xad!", 10, 0, 2)), 0);
    assert_int_equal(disjoint_push(&d, styled("abc", 10, 1, 3)), 0);
    disjoint_progress(&d, INT64_MAX);
    assert_int_equal(disjoint_next(&d, &pkt), 0);
    assert_int_equal(AV_RB16(pkt->data), 10);
    assert_memory_equal(pkt->data + 2, "\xc3\xa9\xe4\xb8\xad!\nabc", 10);
    const uint8_t *box = pkt->data + 12;
    assert_int_equal(pkt->size, 12 + 34);
    assert_int_equal(AV_RB32(box), 34);
    assert_memory_equal(box + 4, "styl", 4);
    assert_int_equal(AV_RB16(box + 8), 2);
    assert_int_equal(AV_RB16(box + 10), 0);
    assert_int_equal(AV_RB16(box + 12), 2);
    assert_int_equal(box[16], 1);
    assert_int_equal(AV_RB16(box + 22), 5);
    assert_int_equal(AV_RB16(box + 24), 7);
    av_packet_free(&pkt);
    disjoint_done(&d);
}

/* Boxes that lie about their size are not believed; what does not fit is counted. */
static void test_limits(void **state)
{
    (void)state;
    struct disjoint d;
    AVPacket *pkt = styled("a", 10, 0, 1), *out = NULL;
    disjoint_init(&d);
    AV_WB16(pkt->data + 3 + 8, 60000);
    assert_int_equal(disjoint_push(&d, pkt), 0);
    pkt = styled("b", 10, 0, 1);
    AV_WB32(pkt->data + 3, 4000);
    assert_int_equal(disjoint_push(&d, pkt), 0);
    pkt = text("c", 0, 10);
    AV_WB16(pkt->data, 999);
    assert_int_equal(disjoint_push(&d, pkt), 0);
    disjoint_progress(&d, INT64_MAX);
    assert_int_equal(disjoint_next(&d, &out), 0);
    assert_int_equal(AV_RB16(out->data), 5);
    assert_memory_equal(out->data + 2, "a\nb\nc", 5);
    av_packet_free(&out);

    char *large = malloc(40001);
    memset(large, 'x', 40000);
    large[40000] = 0;
    push(&d, large, 20, 30);
    large[0] = 'y';
    push(&d, large, 20, 30);
    assert_int_equal(disjoint_next(&d, &out), 0);
    assert_int_equal(AV_RB16(out->data), 40000);
    assert_int_equal(d.lost, 1);
    av_packet_free(&out);
    free(large);

    for (int i = 0; i <= DISJOINT_MAX; i++)
        push(&d, "z", 40, 50 + i);
    assert_true(d.lost > 1);
    disjoint_done(&d);
}

/* Lines that show at a time, in the order of their beginnings. */
static void model(char *ret, const int64_t (*times)[2], int count, int64_t at)
{
    *ret = 0;
    for (int i = 0; i < count; i++)
        if (times[i][0] <= at && at < times[i][1])
            sprintf(ret + strlen(ret), "%s%d", *ret ? "\n" : "", i);
}

static void test_model(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 200; seed++) {
        static char shown[TEXTS * 20][TEXTS * 4];
        int64_t times[TEXTS][2], now = 0;
        struct disjoint d;
        AVPacket *pkt;
        int64_t end = 0;
        srand(seed);
        memset(shown, 0, sizeof(shown));
        disjoint_init(&d);
        for (int i = 0; i <= TEXTS; i++) {
            if (i < TEXTS) {
                char line[16];
                now += rand() % 9;
                times[i][0] = now;
                times[i][1] = now + 1 + rand() % 40;
                sprintf(line, "%d", i);
                push(&d, line, times[i][0], times[i][1]);
            } else {
                disjoint_progress(&d, INT64_MAX);
            }
            while (disjoint_next(&d, &pkt) == 0) {
                assert_true(pkt->pts >= end && pkt->duration > 0);
                end = pkt->pts + pkt->duration;
                for (int64_t t = pkt->pts; t < end; t++)
                    memcpy(shown[t], pkt->data + 2, AV_RB16(pkt->data));
                av_packet_free(&pkt);
            }
        }
        for (int64_t t = 0; t < TEXTS * 20; t++) {
            char want[TEXTS * 4];
            model(want, (const int64_t(*)[2])times, TEXTS, t);
            if (strcmp(shown[t], want) != 0)
                print_error("seed %u at %d\n", seed, (int)t);
            assert_string_equal(shown[t], want);
        }
        disjoint_done(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_together), cmocka_unit_test(test_twice_is_once),
        cmocka_unit_test(test_styles),   cmocka_unit_test(test_limits),
        cmocka_unit_test(test_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
