/* media/timecode.h: known bytes, there and back, and garbage. */
#include "unit/media/streams.h"

#include "media/nal.h"
#include "media/timecode.h"

#define SEED 20261121u
#define ROUNDS 2000

static uint32_t seed;

static uint32_t random_below(uint32_t count)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % count;
}

static struct frame_timecode random_code(void)
{
    struct frame_timecode code = {.count = (uint8_t)(1 + random_below(FRAME_CLOCKS_MAX))};
    for (int i = 0; i < code.count; i++)
        code.clocks[i] = (struct frame_clock){
            .hours = (uint8_t)random_below(24),
            .minutes = (uint8_t)random_below(60),
            .seconds = (uint8_t)(random_below(2) ? random_below(60) : 0),
            .frames = (uint8_t)(random_below(2) ? random_below(80) : 0), /* zeros, to be escaped */
            .drop = random_below(2),
        };
    return code;
}

/* With room behind that must stay as it is. */
static struct nal sei_unit(unsigned type, const uint8_t *payload, size_t size, uint8_t *unit,
                           size_t capacity)
{
    uint8_t plain[128] = {H264_NAL_SEI, (uint8_t)type, (uint8_t)size};
    assert_true(size + 4 <= sizeof(plain));
    memcpy(plain + 3, payload, size);
    plain[3 + size] = 0x80;
    const size_t escaped = nal_escape(plain, 4 + size, unit, capacity);
    assert_true(escaped <= capacity);
    return (struct nal){unit, escaped};
}

static struct sei first_of(struct nal unit, struct bits *b)
{
    struct sei sei = {0};
    bits_init_rbsp(b, unit.data + 1, unit.size - 1);
    assert_true(sei_next(b, &sei));
    return sei;
}

static void assert_code(const struct frame_timecode *a, const struct frame_timecode *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->clocks, b->clocks, sizeof(a->clocks));
}

/* 01:02:03;04, one clock: by hand after H.265 D.2.27 and AV1 5.8.7. */
static void test_known(void **state)
{
    (void)state;
    const struct frame_timecode code = {.count = 1, .clocks = {{1, 2, 3, 4, true}}};
    /* 01 1 0 00100 1 0 1 000000100 000011 000010 00001 00000, 1 0000 */
    static const uint8_t hevc[] = {0x62, 0x50, 0x20, 0x61, 0x04, 0x10};
    /* 00000101 00100 1 0 1 000000100 000011 000010 00001 00000, 1 */
    static const uint8_t av1[] = {0x05, 0x25, 0x02, 0x06, 0x10, 0x41};
    uint8_t out[TIMECODE_PAYLOAD_MAX];
    assert_int_equal(timecode_write_hevc(&code, out), sizeof(hevc));
    assert_memory_equal(out, hevc, sizeof(hevc));
    assert_int_equal(timecode_write_av1(&code, out), sizeof(av1));
    assert_memory_equal(out, av1, sizeof(av1));
}

static void test_hevc(void **state)
{
    (void)state;
    seed = SEED;
    print_message("seed %u\n", SEED);
    for (int round = 0; round < ROUNDS; round++) {
        const struct frame_timecode code = random_code();
        uint8_t payload[TIMECODE_PAYLOAD_MAX], unit[128];
        const size_t size = timecode_write_hevc(&code, payload);
        struct bits b;
        struct timecode_sei back;
        const struct nal nal = sei_unit(SEI_TIME_CODE, payload, size, unit, sizeof(unit));
        struct sei sei = first_of(nal, &b);
        assert_true(timecode_read_hevc(&sei, &back));
        assert_false(back.partial);
        assert_code(&back.code, &code);
        /* Cut short it is none, and nothing is touched. */
        sei.payload = bits_sub(&sei.payload, random_below((uint32_t)(8 * size - 8)));
        back.code.count = 77;
        assert_false(timecode_read_hevc(&sei, &back));
        assert_int_equal(back.code.count, 77);
        sei.type = SEI_PIC_TIMING;
        assert_false(timecode_read_hevc(&sei, &back));
    }
}

/* What a message leaves out is 0, and told. */
static void test_partial(void **state)
{
    (void)state;
    for (int fields = 0; fields <= 3; fields++) {
        struct bit_out o = {0};
        out_u(&o, 1, 2);
        out_u(&o, 1, 1);
        out_u(&o, 0, 9); /* not full, no discontinuity, nothing dropped */
        out_u(&o, 11, 9);
        for (int i = 0; i < 3; i++) {
            out_u(&o, i < fields, 1);
            if (i >= fields)
                break;
            out_u(&o, (uint32_t)(7 + i), i < 2 ? 6 : 5);
        }
        out_u(&o, 3, 5);
        out_u(&o, 5, 3); /* an offset of three bits */
        const size_t size = out_end(&o);
        uint8_t unit[128];
        struct bits b;
        struct timecode_sei back;
        const struct nal nal = sei_unit(SEI_TIME_CODE, o.bytes, size, unit, sizeof(unit));
        const struct sei sei = first_of(nal, &b);
        assert_true(timecode_read_hevc(&sei, &back));
        assert_int_equal(back.partial, fields < 3);
        const struct frame_timecode want = {.count = 1,
                                            .clocks = {{.seconds = fields > 0 ? 7 : 0,
                                                        .minutes = fields > 1 ? 8 : 0,
                                                        .hours = fields > 2 ? 9 : 0,
                                                        .frames = 11}}};
        assert_code(&back.code, &want);
    }
}

static struct h264_sps random_sps(void)
{
    return (struct h264_sps){
        .valid = true,
        .pic_struct_present = true,
        .has_nal_hrd = random_below(2),
        .has_vcl_hrd = random_below(2),
        .cpb_removal_delay_bits = (uint8_t)(1 + random_below(32)),
        .dpb_output_delay_bits = (uint8_t)(1 + random_below(32)),
        .time_offset_bits = (uint8_t)random_below(32),
    };
}

static struct nal timing_unit(const struct h264_sps *sps, int pic_struct, uint32_t delays[2],
                              uint8_t *unit, size_t capacity)
{
    static const int clocks[] = {1, 1, 1, 2, 2, 3, 3, 2, 3};
    struct bit_out o = {0};
    if (sps->has_nal_hrd || sps->has_vcl_hrd) {
        delays[0] = (uint32_t)random_below(2) << (sps->cpb_removal_delay_bits - 1);
        delays[1] = (uint32_t)random_below(2) << (sps->dpb_output_delay_bits - 1);
        out_u(&o, delays[0], sps->cpb_removal_delay_bits);
        out_u(&o, delays[1], sps->dpb_output_delay_bits);
    }
    out_u(&o, (uint32_t)pic_struct, 4);
    out_u(&o, 0, (unsigned)clocks[pic_struct]);
    if (o.bits % 8)
        out_end(&o);
    /* Between two others, one of them large. */
    uint8_t plain[1024] = {H264_NAL_SEI, SEI_USER_DATA_T35, 255, 45};
    size_t size = 4 + 300;
    plain[size++] = SEI_PIC_TIMING;
    plain[size++] = (uint8_t)(o.bits / 8);
    memcpy(plain + size, o.bytes, o.bits / 8);
    size += o.bits / 8;
    plain[size++] = SEI_RECOVERY_POINT;
    plain[size++] = 1;
    plain[size++] = 0xc4;
    plain[size++] = 0x80;
    const size_t escaped = nal_escape(plain, size, unit, capacity);
    assert_true(escaped <= capacity);
    return (struct nal){unit, escaped};
}

/* As many clocks as there is room for; what is beside them stays. */
static void test_h264(void **state)
{
    (void)state;
    static const int room[] = {1, 1, 1, 2, 2, 3, 3, 2, 3};
    seed = SEED;
    for (int round = 0; round < ROUNDS; round++) {
        const struct frame_timecode code = random_code();
        const struct h264_sps sps = random_sps();
        const int pic_struct = (int)random_below(9), before = (int)random_below(3);
        uint8_t unit[2048], *out = malloc(TIMECODE_REWRITTEN_MAX);
        uint32_t delays[2] = {0};
        int messages = before;
        assert_non_null(out);
        const struct nal nal = timing_unit(&sps, pic_struct, delays, unit, sizeof(unit));
        const size_t size = timecode_rewrite_h264(&code, &sps, nal, &messages, out);
        assert_in_range(size, nal.size, TIMECODE_REWRITTEN_MAX);
        assert_int_equal(messages, before + 1);
        struct bits b;
        struct sei sei;
        bits_init_rbsp(&b, out + 1, size - 1);
        assert_int_equal(out[0], H264_NAL_SEI);
        assert_true(sei_next(&b, &sei));
        assert_int_equal(sei.type, SEI_USER_DATA_T35);
        assert_int_equal(sei.size, 300);
        assert_true(sei_next(&b, &sei));
        struct timecode_sei back;
        assert_true(timecode_read_h264(&sei, &sps, &back));
        assert_int_equal(back.pic_struct, pic_struct);
        assert_false(back.partial);
        assert_int_equal(back.ct_types, 1 << 2);
        struct frame_timecode want = code;
        if (room[pic_struct] == 1) {
            const int at = before < code.count ? before : code.count - 1;
            want = (struct frame_timecode){.count = 1, .clocks = {code.clocks[at]}};
        } else if (code.count > room[pic_struct]) {
            want.count = (uint8_t)room[pic_struct];
            memset(&want.clocks[want.count], 0, sizeof(want.clocks[0]) * (3u - want.count));
        }
        assert_code(&back.code, &want);
        /* Cut short it has those clocks that are whole. */
        struct sei cut = sei;
        bits_init(&cut.payload, out, 0);
        assert_false(timecode_read_h264(&cut, &sps, &back));
        cut.payload = bits_sub(&sei.payload, 8 * (size_t)sei.size - 8 - random_below(16));
        if (timecode_read_h264(&cut, &sps, &back))
            assert_in_range(back.code.count, want.count - 1, want.count);
        if (sps.has_nal_hrd || sps.has_vcl_hrd) {
            assert_int_equal(bits_read(&sei.payload, sps.cpb_removal_delay_bits), delays[0]);
            assert_int_equal(bits_read(&sei.payload, sps.dpb_output_delay_bits), delays[1]);
        }
        assert_true(sei_next(&b, &sei));
        assert_int_equal(sei.type, SEI_RECOVERY_POINT);
        assert_int_equal(bits_read(&sei.payload, 8), 0xc4);
        assert_false(sei_next(&b, &sei));
        free(out);
    }
}

/* Without room nothing is changed: no pic_struct, no clock, no such message, too large. */
static void test_no_room(void **state)
{
    (void)state;
    const struct frame_timecode code = {.count = 1, .clocks = {{1, 2, 3, 4, false}}}, none = {0};
    struct h264_sps sps = {.pic_struct_present = true, .time_offset_bits = 24};
    static uint8_t large[TIMECODE_UNIT_MAX + 1] = {H264_NAL_SEI, SEI_PIC_TIMING, 1, 0x04, 0x80};
    static uint8_t out[TIMECODE_REWRITTEN_MAX];
    int messages = 0;
    struct nal nal = {large, 5};
    assert_true(timecode_rewrite_h264(&code, &sps, nal, &messages, out) > 0);
    assert_int_equal(messages, 1);
    assert_int_equal(timecode_rewrite_h264(&none, &sps, nal, &messages, out), 0);
    assert_int_equal(timecode_rewrite_h264(&code, &sps, (struct nal){large, 1}, &messages, out), 0);
    assert_int_equal(
        timecode_rewrite_h264(&code, &sps, (struct nal){large, sizeof(large)}, &messages, out), 0);
    large[3] = 0x94; /* pic_struct 9 */
    assert_int_equal(timecode_rewrite_h264(&code, &sps, nal, &messages, out), 0);
    large[3] = 0x04;
    large[1] = SEI_RECOVERY_POINT;
    assert_int_equal(timecode_rewrite_h264(&code, &sps, nal, &messages, out), 0);
    large[1] = SEI_PIC_TIMING;
    sps.pic_struct_present = false;
    assert_int_equal(timecode_rewrite_h264(&code, &sps, nal, &messages, out), 0);
    assert_int_equal(messages, 1);
}

/* Any bytes are safe, and what is rewritten can be read. */
static void test_garbage(void **state)
{
    (void)state;
    seed = SEED;
    for (int round = 0; round < 20 * ROUNDS; round++) {
        const size_t size = 1 + random_below(round % 50 ? 40 : TIMECODE_UNIT_MAX);
        /* Of the very sizes, for sanitizers. */
        uint8_t *bytes = malloc(size), *out = malloc(TIMECODE_REWRITTEN_MAX);
        assert_true(bytes && out);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(random_below(3) ? random_below(256) : random_below(3));
        const struct h264_sps sps = random_sps();
        const struct frame_timecode code = random_code();
        int messages = 0;
        struct bits b;
        struct sei sei;
        struct timecode_sei back;
        const size_t got =
            timecode_rewrite_h264(&code, &sps, (struct nal){bytes, size}, &messages, out);
        assert_true(got <= TIMECODE_REWRITTEN_MAX && (got > 0) == (messages > 0));
        int found = 0;
        bits_init_rbsp(&b, out + 1, got > 0 ? got - 1 : 0);
        while (got > 0 && sei_next(&b, &sei))
            found += timecode_read_h264(&sei, &sps, &back) && back.code.count > 0;
        assert_int_equal(found, messages);
        bits_init_rbsp(&b, bytes, size);
        sei = (struct sei){.type = SEI_TIME_CODE, .payload = b};
        if (timecode_read_hevc(&sei, &back))
            for (int i = 0; i < back.code.count; i++)
                assert_true(back.code.clocks[i].hours < 24 && back.code.clocks[i].minutes < 60 &&
                            back.code.clocks[i].seconds < 60 && back.code.clocks[i].frames < 80);
        free(bytes);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),   cmocka_unit_test(test_hevc),
        cmocka_unit_test(test_partial), cmocka_unit_test(test_h264),
        cmocka_unit_test(test_no_room), cmocka_unit_test(test_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
