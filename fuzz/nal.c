/* media/nal.h: framings there and back, and emulation prevention. The first byte picks the framing
 * of the rest. */
#include <string.h>

#include "fuzz.h"
#include "media/nal.h"

static const unsigned framings[] = {NAL_ANNEXB, 1, 2, 4};

/* The units must lie inside the bytes, in order, and be found by a plain search too. */
static size_t check_units(const uint8_t *data, size_t size, unsigned framing)
{
    struct nal_iter it;
    struct nal nal;
    size_t count = 0;
    const uint8_t *last = data;
    nal_iter_init(&it, data, size, framing);
    while (nal_next(&it, &nal)) {
        FUZZ_CHECK(nal.size > 0 && nal.data >= last && nal.data + nal.size <= data + size);
        last = nal.data + nal.size;
        if (framing == NAL_ANNEXB) {
            FUZZ_CHECK(nal.data - data >= 3 && memcmp(nal.data - 3, "\0\0\1", 3) == 0);
            FUZZ_CHECK(nal.data[nal.size - 1] != 0);
            for (size_t i = 0; i + 3 <= nal.size; i++)
                FUZZ_CHECK(memcmp(nal.data + i, "\0\0\1", 3) != 0);
        }
        count++;
    }
    return count;
}

static void check_round_trip(const uint8_t *data, size_t size, unsigned to)
{
    struct buffer *first = NULL, *back = NULL, *again = NULL;
    struct error err;
    const int code = nal_convert_new(data, size, NAL_ANNEXB, to, &first, &err);
    if (code) {
        FUZZ_CHECK(code == RGPU_ERROR_LIMIT && to != NAL_ANNEXB && to < 4 && !first);
        return;
    }
    FUZZ_CHECK(nal_convert_new(first->data, first->size, to, NAL_ANNEXB, &back, &err) == 0);
    FUZZ_CHECK(nal_convert_new(back->data, back->size, NAL_ANNEXB, to, &again, &err) == 0);
    FUZZ_CHECK(first->size == again->size && !memcmp(first->data, again->data, first->size));
    FUZZ_CHECK(check_units(data, size, NAL_ANNEXB) == check_units(first->data, first->size, to));
    buffer_unref(&first);
    buffer_unref(&back);
    buffer_unref(&again);
}

static void check_escape(const uint8_t *data, size_t size)
{
    const size_t needed = nal_escape(data, size, NULL, 0);
    FUZZ_CHECK(needed >= size && needed <= size * 3 / 2 + 1);
    uint8_t *escaped = fuzz_alloc(needed);
    FUZZ_CHECK(nal_escape(data, size, escaped, needed) == needed);
    for (size_t i = 0; i + 3 <= needed; i++)
        FUZZ_CHECK(escaped[i] || escaped[i + 1] || escaped[i + 2] > 2);
    FUZZ_CHECK(needed == 0 || escaped[needed - 1] != 0);
    const size_t plain = nal_unescape(escaped, needed, escaped);
    /* The 03 behind a final zero byte stays where only one zero is in front of it. */
    FUZZ_CHECK(plain == size || plain == size + 1);
    FUZZ_CHECK(!size || !memcmp(data, escaped, size));
    free(escaped);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const unsigned framing = framings[data[0] & 3];
    data++;
    size--;
    check_units(data, size, framing);
    for (int i = 0; i < 4; i++) {
        check_round_trip(data, size, framings[i]);
        struct buffer *out = NULL;
        nal_convert_new(data, size, framing, framings[i], &out, NULL);
        buffer_unref(&out);
    }
    check_escape(data, size);
    return 0;
}
