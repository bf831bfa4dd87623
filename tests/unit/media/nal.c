/* media/nal.h */
#include "unit/media/streams.h"

#include "media/nal.h"

#define SEED 7u

/* Search by definition. */
static const uint8_t *plain_find(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 3; p++)
        if (p[0] == 0 && p[1] == 0 && p[2] == 1)
            return p;
    return end;
}

/* A code at each offset of blocks of each size, and cut ones at the end; memory is exact so that a
 * sanitizer sees a read outside. */
static void test_find_everywhere(void **unused)
{
    (void)unused;
    for (size_t size = 0; size <= 200; size++) {
        uint8_t *block = malloc(size ? size : 1);
        assert_non_null(block);
        for (size_t at = 0; at <= size; at++) {
            memset(block, 0xff, size);
            for (size_t i = 0; i < 3 && at + i < size; i++)
                block[at + i] = i == 2;
            const uint8_t *want = at + 3 <= size ? block + at : block + size;
            assert_ptr_equal(nal_find_start_code(block, block + size), want);
        }
        free(block);
    }
}

static void test_find_random(void **unused)
{
    (void)unused;
    static const uint8_t alphabet[] = {0, 0, 0, 1, 2, 3, 0xff, 0x80};
    uint32_t state = SEED;
    print_message("seed %u\n", SEED);
    for (int round = 0; round < 3000; round++) {
        const size_t size = random_next(&state) % 300;
        uint8_t *block = malloc(size ? size : 1);
        assert_non_null(block);
        const bool dense = random_next(&state) & 1;
        for (size_t i = 0; i < size; i++)
            block[i] =
                dense || random_next(&state) % 16 == 0 ? alphabet[random_next(&state) % 8] : 0x55;
        const uint8_t *end = block + size;
        for (const uint8_t *p = block; p < end; p++)
            assert_ptr_equal(nal_find_start_code(p, end), plain_find(p, end));
        free(block);
    }
}

static void check_list(const void *data, size_t size, unsigned framing, const char *want,
                       bool want_error)
{
    char got[256] = "";
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, data, size, framing);
    while (nal_next(&it, &nal)) {
        assert_true(nal.size > 0);
        strncat(got, (const char *)nal.data, nal.size);
        strcat(got, "|");
    }
    assert_string_equal(got, want);
    assert_int_equal(it.error, want_error);
}

#define LIST(bytes, framing, want, error) check_list(bytes, sizeof(bytes) - 1, framing, want, error)

static void test_iterate(void **unused)
{
    (void)unused;
    LIST("", NAL_ANNEXB, "", false);
    LIST("abc", NAL_ANNEXB, "", false);
    LIST("\0\0\1", NAL_ANNEXB, "", false);
    LIST("\0\0\1a", NAL_ANNEXB, "a|", false);
    LIST("\0\0\0\1abc\0\0\1d", NAL_ANNEXB, "abc|d|", false);
    LIST("junk\0\0\1ab\0\0\0\0\0\1c\0\0\0", NAL_ANNEXB, "ab|c|", false);
    LIST("\0\0\1\0\0\1\0\0\0\1x", NAL_ANNEXB, "x|", false);
    LIST("\0\0\1ab\0\0", NAL_ANNEXB, "ab|", false);
    LIST("\3abc\1d", 1, "abc|d|", false);
    LIST("\0\3abc\0\0\0\1d", 2, "abc|d|", false);
    LIST("\0\0\0\2ab", 4, "ab|", false);
    LIST("\0\0\0\2ab\0\0\0\2c", 4, "ab|", true);
    LIST("\0\0\0\2ab\0\0", 4, "ab|", true);
    LIST("\xff\xff\xff\xff", 4, "", true);
}

static void test_convert(void **unused)
{
    (void)unused;
    static const char annexb[] = "\0\0\1abc\0\0\0\1d\0";
    static const unsigned framings[] = {NAL_ANNEXB, 1, 2, 3, 4};
    uint8_t out[64];
    size_t needed;
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            struct buffer *first = NULL, *second = NULL;
            struct error err;
            assert_int_equal(
                nal_convert_new(annexb, sizeof(annexb) - 1, NAL_ANNEXB, framings[i], &first, &err),
                0);
            assert_int_equal(
                nal_convert_new(first->data, first->size, framings[i], framings[j], &second, &err),
                0);
            check_list(second->data, second->size, framings[j], "abc|d|", false);
            assert_int_equal(second->size, 4 + 2 * (j == 0 ? 4 : framings[j]));
            buffer_unref(&first);
            buffer_unref(&second);
        }
    memset(out, 0xee, sizeof(out));
    assert_int_equal(nal_convert(annexb, sizeof(annexb) - 1, NAL_ANNEXB, 4, out, 11, &needed),
                     RGPU_ERROR_LIMIT);
    assert_int_equal(needed, 12);
    assert_int_equal(out[11], 0xee);
    assert_int_equal(nal_convert(annexb, sizeof(annexb) - 1, NAL_ANNEXB, 4, out, 12, &needed), 0);
    assert_memory_equal(out, "\0\0\0\3abc\0\0\0\1d", 12);
    assert_int_equal(nal_convert("\0\0\0\5a", 5, 4, NAL_ANNEXB, out, 64, &needed),
                     RGPU_ERROR_INPUT);
}

static void test_convert_limits(void **unused)
{
    (void)unused;
    uint8_t data[3 + 256] = {0, 0, 1};
    struct buffer *out = NULL;
    struct error err;
    memset(data + 3, 'a', 256);
    assert_int_equal(nal_convert_new(data, 3 + 255, NAL_ANNEXB, 1, &out, &err), 0);
    assert_int_equal(out->size, 256);
    buffer_unref(&out);
    assert_int_equal(nal_convert_new(data, 3 + 256, NAL_ANNEXB, 1, &out, &err), RGPU_ERROR_LIMIT);
    assert_null(out);
    assert_non_null(strstr(err.text, "too long"));
    assert_int_equal(nal_write((struct nal){data + 3, 256}, 1, NULL, 0), 0);
    assert_int_equal(nal_write((struct nal){data + 3, 256}, 2, NULL, 0), 258);
    uint8_t one[8];
    assert_int_equal(nal_write((struct nal){data + 3, 2}, NAL_ANNEXB, one, 8), 6);
    assert_memory_equal(one, "\0\0\0\1aa", 6);
}

static void test_escape(void **unused)
{
    (void)unused;
    uint8_t out[64];
    assert_int_equal(nal_escape((const uint8_t *)"\0\0\0\0\0", 5, out, 64), 8);
    assert_memory_equal(out, "\0\0\3\0\0\3\0\3", 8);
    assert_int_equal(nal_escape((const uint8_t *)"\0\0\1\0\0\3\0\0\4", 9, out, 64), 11);
    assert_memory_equal(out, "\0\0\3\1\0\0\3\3\0\0\4", 11);
    uint32_t state = SEED;
    for (int round = 0; round < 2000; round++) {
        uint8_t data[40], escaped[64], back[64];
        const size_t size = random_next(&state) % sizeof(data);
        for (size_t i = 0; i < size; i++)
            data[i] = (uint8_t)(random_next(&state) % 5);
        if (size)
            data[size - 1] |= 0x80; /* an RBSP ends in its stop bit */
        const size_t n = nal_escape(data, size, escaped, sizeof(escaped));
        assert_true(n <= size * 3 / 2 + 1);
        assert_ptr_equal(plain_find(escaped, escaped + n), escaped + n);
        assert_int_equal(nal_unescape(escaped, n, back), size);
        assert_memory_equal(back, data, size);
        assert_int_equal(nal_unescape(escaped, n, escaped), size); /* in place */
        assert_memory_equal(escaped, data, size);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find_everywhere), cmocka_unit_test(test_find_random),
        cmocka_unit_test(test_iterate),         cmocka_unit_test(test_convert),
        cmocka_unit_test(test_convert_limits),  cmocka_unit_test(test_escape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
