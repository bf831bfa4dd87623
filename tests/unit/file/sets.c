/* file/sets.h: packets keep what their header does not have, whatever their units are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <libavcodec/packet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "file/sets.h"
#include "media/nal.h"

#define BYTES_MAX 65536

static const uint8_t header[] = {0, 0, 0, 1, 0x67, 1, 2, 3, 0, 0, 1, 0x68, 4};

struct bytes {
    uint8_t data[BYTES_MAX];
    size_t size;
};

static void add_unit(struct bytes *b, int start_code, const uint8_t *unit, size_t size)
{
    assert_true(b->size + 4 + size <= BYTES_MAX);
    memcpy(b->data + b->size, start_code == 4 ? "\0\0\0\1" : "\0\0\1", (size_t)start_code);
    b->size += (size_t)start_code;
    memcpy(b->data + b->size, unit, size);
    b->size += size;
}

static AVPacket *make_packet(const struct bytes *b)
{
    AVPacket *pkt = av_packet_alloc();
    assert_non_null(pkt);
    assert_int_equal(av_new_packet(pkt, (int)b->size), 0);
    memcpy(pkt->data, b->data, b->size);
    pkt->pts = 77;
    return pkt;
}

/* The packet has the units of `wanted`, in order. */
static void expect_units(const AVPacket *pkt, const struct bytes *wanted)
{
    struct nal_iter a, b;
    struct nal x, y;
    nal_iter_init(&a, pkt->data, (size_t)pkt->size, NAL_ANNEXB);
    nal_iter_init(&b, wanted->data, wanted->size, NAL_ANNEXB);
    while (nal_next(&b, &y)) {
        assert_true(nal_next(&a, &x));
        assert_int_equal(x.size, y.size);
        assert_memory_equal(x.data, y.data, y.size);
    }
    assert_false(nal_next(&a, &x));
    assert_int_equal(pkt->pts, 77);
}

/* Sets of the header, other sets and small units in any order before a slice. The seed says which.
 */
static void test_random_packets(void **state)
{
    (void)state;
    static const uint8_t sps[] = {0x67, 1, 2, 3}, pps[] = {0x68, 4}, other[] = {0x68, 5};
    static const uint8_t small[] = {6, 5}, slice[] = {0x65, 9, 9, 9, 9};
    static const struct {
        const uint8_t *data;
        size_t size;
        bool known;
    } kinds[] = {{sps, sizeof(sps), true},
                 {pps, sizeof(pps), true},
                 {other, sizeof(other), false},
                 {small, sizeof(small), false}};
    struct bytes *in = malloc(sizeof(*in)), *wanted = malloc(sizeof(*wanted));
    assert_true(in && wanted);
    for (unsigned seed = 0; seed < 300; seed++) {
        srand(seed);
        in->size = wanted->size = 0;
        const int units = seed % 3 == 2 ? 3000 : rand() % 12;
        const int rare = 1 + rand() % 200; /* long runs of what stays between what goes */
        for (int i = 0; i < units; i++) {
            const int k = rand() % rare == 0 ? rand() % 4 : 3;
            const int start_code = in->size == 0 || rand() % 8 == 0 ? 4 : 3;
            add_unit(in, start_code, kinds[k].data, kinds[k].size);
            if (!kinds[k].known)
                add_unit(wanted, 4, kinds[k].data, kinds[k].size);
        }
        /* What stands behind a slice is not looked at. */
        add_unit(in, 3, slice, sizeof(slice));
        add_unit(in, 3, sps, sizeof(sps));
        add_unit(wanted, 3, slice, sizeof(slice));
        add_unit(wanted, 3, sps, sizeof(sps));
        AVPacket *pkt = make_packet(in);
        if (sets_strip(pkt, false, header, sizeof(header)) != 0)
            fail_msg("seed %u", seed);
        expect_units(pkt, wanted);
        av_packet_free(&pkt);
    }
    free(in);
    free(wanted);
}

/* What is not Annex B is left as it is. */
static void test_other_framings(void **state)
{
    (void)state;
    static const uint8_t lengths[] = {0, 0, 0, 4, 0x67, 1, 2, 3, 0, 0, 0, 2, 0x65, 9};
    struct bytes *in = calloc(1, sizeof(*in));
    assert_non_null(in);
    memcpy(in->data, lengths, sizeof(lengths));
    in->size = sizeof(lengths);
    AVPacket *pkt = make_packet(in);
    assert_int_equal(sets_strip(pkt, false, header, sizeof(header)), 0);
    assert_int_equal(pkt->size, sizeof(lengths));
    assert_memory_equal(pkt->data, lengths, sizeof(lengths));
    assert_int_equal(sets_strip(pkt, false, lengths, sizeof(lengths)), 0);
    assert_int_equal(pkt->size, sizeof(lengths));
    av_packet_free(&pkt);
    free(in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_packets),
        cmocka_unit_test(test_other_framings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
