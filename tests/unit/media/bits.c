/* media/bits.h */
#include "unit/media/streams.h"

#include "media/bits.h"
#include "media/nal.h"

#define SEED 20240611u

enum kind { KIND_U, KIND_UE, KIND_SE };

struct field {
    enum kind kind;
    unsigned bits;
    uint32_t value;
};

static uint32_t random_value(uint32_t *state, unsigned bits)
{
    const uint32_t all = random_next(state) << 16 ^ random_next(state);
    return bits == 32 ? all : all & ((1u << bits) - 1);
}

/* What is written is read back, also through emulation prevention, whatever the alignment. */
static void test_round_trip(void **unused)
{
    (void)unused;
    uint32_t state = SEED;
    print_message("seed %u\n", SEED);
    for (int round = 0; round < 2000; round++) {
        struct bit_out out = {0};
        struct field fields[64];
        const int count = 1 + (int)(random_next(&state) % 64);
        for (int i = 0; i < count; i++) {
            struct field *f = &fields[i];
            f->kind = (enum kind)(random_next(&state) % 3);
            f->bits = random_next(&state) % 32 + 1;
            /* Many zeros, so that there is something to prevent. */
            f->value = random_next(&state) % 3 ? 0 : random_value(&state, f->bits);
            if (f->kind != KIND_U)
                f->value &= 0x7ffffffe;
            if (f->kind == KIND_U)
                out_u(&out, f->value, f->bits);
            else if (f->kind == KIND_UE)
                out_ue(&out, f->value);
            else
                out_se(&out, (int32_t)(f->value / 2) * (f->value & 4 ? -1 : 1));
        }
        const size_t size = out_end(&out);
        uint8_t escaped[sizeof(out.bytes) * 2];
        const size_t escaped_size = nal_escape(out.bytes, size, escaped, sizeof(escaped));
        struct bits plain, rbsp;
        bits_init(&plain, out.bytes, size);
        bits_init_rbsp(&rbsp, escaped, escaped_size);
        for (int i = 0; i < count; i++) {
            const struct field *f = &fields[i];
            assert_true(bits_more_rbsp(&rbsp));
            for (int j = 0; j < 2; j++) {
                struct bits *b = j ? &rbsp : &plain;
                if (f->kind == KIND_U)
                    assert_int_equal(bits_read(b, f->bits), f->value);
                else if (f->kind == KIND_UE)
                    assert_int_equal(bits_ue(b), f->value);
                else
                    assert_int_equal(bits_se(b), (int32_t)(f->value / 2) * (f->value & 4 ? -1 : 1));
            }
            assert_int_equal(plain.position, rbsp.position);
        }
        assert_false(bits_more_rbsp(&rbsp));
        assert_false(plain.error || rbsp.error);
    }
}

static void test_end(void **unused)
{
    (void)unused;
    const uint8_t data[] = {0xff, 0x80};
    struct bits b;
    bits_init(&b, data, 2);
    assert_int_equal(bits_read(&b, 16), 0xff80);
    assert_false(b.error);
    assert_int_equal(bits_read(&b, 0), 0);
    assert_false(b.error);
    assert_int_equal(bits_read(&b, 1), 0);
    assert_true(b.error);
    /* Sticky, and nothing hangs. */
    assert_int_equal(bits_ue(&b), 0);
    assert_int_equal(bits_se(&b), 0);
    bits_skip(&b, UINT64_MAX);
    assert_true(b.error);

    bits_init(&b, data, 2);
    bits_skip(&b, 17);
    assert_true(b.error);
    bits_init(&b, data, 2);
    bits_skip(&b, 9);
    assert_int_equal(bits_read(&b, 7), 0);
    assert_false(b.error);
    bits_init(&b, NULL, 0);
    assert_false(bits_more_rbsp(&b));
    assert_int_equal(bits_read(&b, 1), 0);
    assert_true(b.error);
}

static void test_exp_golomb_limits(void **unused)
{
    (void)unused;
    const uint8_t largest[] = {0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff};
    const uint8_t too_long[] = {0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct bits b;
    bits_init(&b, largest, sizeof(largest));
    assert_int_equal(bits_ue(&b), 0xfffffffe);
    assert_false(b.error);
    bits_init(&b, too_long, sizeof(too_long));
    assert_int_equal(bits_ue(&b), 0);
    assert_true(b.error);
    const uint8_t five[] = {0x30}; /* 00110: 5 */
    bits_init(&b, five, 1);
    assert_int_equal(bits_ue_max(&b, 5), 5);
    assert_false(b.error);
    bits_init(&b, five, 1);
    assert_int_equal(bits_ue_max(&b, 4), 0);
    assert_true(b.error);
    bits_init(&b, five, 1);
    assert_int_equal(bits_se_range(&b, -3, 3), 3);
    assert_false(b.error);
    bits_init(&b, five, 1);
    assert_int_equal(bits_se_range(&b, -3, 2), 0);
    assert_true(b.error);
}

static void test_sub(void **unused)
{
    (void)unused;
    const uint8_t data[] = {0x12, 0x34, 0x56, 0x78};
    struct bits b;
    bits_init(&b, data, sizeof(data));
    bits_skip(&b, 8);
    struct bits sub = bits_sub(&b, 12);
    assert_int_equal(bits_read(&sub, 12), 0x345);
    assert_int_equal(bits_read(&sub, 1), 0);
    assert_true(sub.error);
    assert_int_equal(bits_read(&b, 8), 0x34);
    struct bits larger = bits_sub(&b, 1000);
    assert_int_equal(bits_read(&larger, 16), 0x5678);
    bits_read(&larger, 1);
    assert_true(larger.error);
}

/* cabac_zero_words and trailing zeros are not data. */
static void test_trailing(void **unused)
{
    (void)unused;
    const uint8_t data[] = {0xa5, 0x80, 0, 0, 3, 0, 0, 3, 0, 0};
    struct bits b;
    bits_init_rbsp(&b, data, sizeof(data));
    assert_true(bits_more_rbsp(&b));
    assert_int_equal(bits_read(&b, 8), 0xa5);
    assert_false(bits_more_rbsp(&b));
}

static void test_bytes(void **unused)
{
    (void)unused;
    uint8_t out[12];
    memset(out, 0xee, sizeof(out));
    struct byte_writer w = byte_writer(out, 11);
    byte_write(&w, 0x0102030405060708, 8);
    byte_write(&w, 0xffab, 1);
    byte_write(&w, 0xcdef, 2);
    assert_int_equal(w.size, 11);
    byte_write(&w, 0, 1); /* past the end: counted, not written */
    assert_int_equal(w.size, 12);
    assert_int_equal(out[11], 0xee);
    struct byte_writer count = byte_writer(NULL, 0);
    byte_put(&count, out, 5);
    assert_int_equal(count.size, 5);

    struct byte_reader r = byte_reader(out, 11);
    assert_true(byte_read(&r, 8) == 0x0102030405060708);
    assert_int_equal(byte_u8(&r), 0xab);
    assert_int_equal(byte_left(&r), 2);
    assert_null(byte_take(&r, 3));
    assert_true(r.error);
    assert_int_equal(byte_u16(&r), 0);
    assert_int_equal(byte_left(&r), 0);
    r = byte_reader(out, 11);
    assert_null(byte_take(&r, SIZE_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_end),
        cmocka_unit_test(test_exp_golomb_limits), cmocka_unit_test(test_sub),
        cmocka_unit_test(test_trailing),          cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
