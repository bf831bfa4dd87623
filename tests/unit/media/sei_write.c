/* media/sei_write.h, read back by media/h26x.h */
#include "unit/media/streams.h"

#include "media/h26x.h"
#include "media/nal.h"
#include "media/sei_write.h"

#define SEED 20261121u

/* A message of an SEI unit, as it would stand in a stream. */
static struct sei in_unit(struct bits *b, uint8_t *unit, size_t capacity, unsigned type,
                          const uint8_t *payload, size_t size)
{
    uint8_t plain[256];
    struct byte_writer w = byte_writer(plain, sizeof(plain));
    byte_write(&w, type, 1);
    byte_write(&w, size, 1);
    byte_put(&w, payload, size);
    byte_write(&w, 0x80, 1);
    const size_t escaped = nal_escape(plain, w.size, unit, capacity);
    assert_true(w.size <= sizeof(plain) && escaped <= capacity);
    struct sei sei = {0};
    bits_init_rbsp(b, unit, escaped);
    assert_true(sei_next(b, &sei));
    assert_int_equal(sei.type, type);
    assert_int_equal(sei.size, size);
    return sei;
}

static void test_hdr(void **state)
{
    (void)state;
    uint32_t seed = SEED;
    print_message("seed %u\n", SEED);
    for (int round = 0; round < 200; round++) {
        struct hdr in = {.has_mastering = true, .has_light_level = true}, out = {0};
        uint8_t mastering[SEI_MASTERING_SIZE], light[SEI_LIGHT_SIZE], unit[64];
        struct bits b;
        for (int i = 0; i < 3; i++) {
            in.primary_x[i] = (uint16_t)random_next(&seed);
            /* Zeros want emulation prevention. */
            in.primary_y[i] = round % 3 ? (uint16_t)random_next(&seed) : 0;
        }
        in.white_x = (uint16_t)random_next(&seed);
        in.white_y = (uint16_t)random_next(&seed);
        in.luminance_max = random_next(&seed);
        in.luminance_min = random_next(&seed) % 500;
        in.max_content_light = (uint16_t)random_next(&seed);
        in.max_average_light = (uint16_t)random_next(&seed);
        sei_write_mastering(&in, mastering);
        sei_write_light_level(&in, light);
        struct sei sei =
            in_unit(&b, unit, sizeof(unit), SEI_MASTERING_DISPLAY, mastering, sizeof(mastering));
        sei_read_hdr(&sei, &out);
        assert_false(out.has_light_level);
        sei = in_unit(&b, unit, sizeof(unit), SEI_CONTENT_LIGHT, light, sizeof(light));
        sei_read_hdr(&sei, &out);
        assert_true(out.has_mastering && out.has_light_level);
        assert_memory_equal(out.primary_x, in.primary_x, sizeof(in.primary_x));
        assert_memory_equal(out.primary_y, in.primary_y, sizeof(in.primary_y));
        assert_int_equal(out.white_x, in.white_x);
        assert_int_equal(out.white_y, in.white_y);
        assert_int_equal(out.luminance_max, in.luminance_max);
        assert_int_equal(out.luminance_min, in.luminance_min);
        assert_int_equal(out.max_content_light, in.max_content_light);
        assert_int_equal(out.max_average_light, in.max_average_light);
    }
}

/* The bytes are those of A/53; whole triplets only, and no more than a message holds. */
static void test_captions(void **state)
{
    (void)state;
    uint8_t triplets[3 * (SEI_TRIPLETS_MAX + 2)];
    for (size_t i = 0; i < sizeof(triplets); i++)
        triplets[i] = (uint8_t)(i + 1);
    for (size_t size = 0; size <= sizeof(triplets); size++) {
        static const uint8_t head[] = {0xb5, 0, 0x31, 'G', 'A', '9', '4', 3};
        /* Of the very size, for sanitizers. */
        uint8_t *out = malloc(SEI_CAPTIONS_MAX);
        assert_non_null(out);
        const size_t got = sei_write_captions(triplets, size, out);
        const size_t count = size / 3 > SEI_TRIPLETS_MAX ? SEI_TRIPLETS_MAX : size / 3;
        assert_int_equal(got, count ? 11 + 3 * count : 0);
        if (got) {
            assert_memory_equal(out, head, sizeof(head));
            assert_int_equal(out[8], 0xc0 | count);
            assert_int_equal(out[9], 0xff);
            assert_memory_equal(out + 10, triplets, 3 * count);
            assert_int_equal(out[got - 1], 0xff);
        }
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hdr),
        cmocka_unit_test(test_captions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
