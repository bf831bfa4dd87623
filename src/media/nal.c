#include "media/nal.h"

#include <string.h>

#include "media/bits.h"

#if defined(__SSE2__)
#include <emmintrin.h>

/* Bit i: a start code begins at p[i]. Reads 18 bytes. */
static unsigned start_codes_16(const uint8_t *p)
{
    const __m128i zero = _mm_setzero_si128();
    const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(p + 1));
    const __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(p + 2));
    const __m128i pair = _mm_cmpeq_epi8(_mm_or_si128(a, b), zero);
    return (unsigned)_mm_movemask_epi8(_mm_and_si128(pair, _mm_cmpeq_epi8(c, _mm_set1_epi8(1))));
}

/* Zero bytes where p[i] and p[i + 1] are both zero, for 16 positions. */
static __m128i zero_pairs_16(const uint8_t *p)
{
    return _mm_or_si128(_mm_loadu_si128((const __m128i *)(const void *)p),
                        _mm_loadu_si128((const __m128i *)(const void *)(p + 1)));
}

/* Goes over 64 bytes at a time, looking only for pairs of zero bytes, which coded video seldom has;
 * stops at a start code or where fewer than 66 bytes are left. */
static const uint8_t *skip_blocks(const uint8_t *p, const uint8_t *end)
{
    const __m128i zero = _mm_setzero_si128();
    for (; end - p >= 66; p += 64) {
        const __m128i low = _mm_min_epu8(zero_pairs_16(p), zero_pairs_16(p + 16));
        const __m128i high = _mm_min_epu8(zero_pairs_16(p + 32), zero_pairs_16(p + 48));
        if (!_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(low, high), zero)))
            continue;
        for (int i = 0; i < 64; i += 16) {
            const unsigned found = start_codes_16(p + i);
            if (found)
                return p + i + __builtin_ctz(found);
        }
    }
    return p;
}
#else
/* Goes over 8 bytes at a time while none of them is zero. */
static const uint8_t *skip_blocks(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        if (!((word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL))
            continue;
        for (int i = 0; i < 8 && end - p >= i + 3; i++)
            if (p[i] == 0 && p[i + 1] == 0 && p[i + 2] == 1)
                return p + i;
    }
    return p;
}
#endif

const uint8_t *nal_find_start_code(const uint8_t *p, const uint8_t *end)
{
    for (p = skip_blocks(p, end); end - p >= 3; p++)
        if (p[0] == 0 && p[1] == 0 && p[2] == 1)
            return p;
    return end;
}

void nal_iter_init(struct nal_iter *it, const void *data, size_t size, unsigned length_size)
{
    const uint8_t *p = data;
    *it = (struct nal_iter){.pos = p, .end = size ? p + size : p, .length_size = length_size};
    if (size && length_size == NAL_ANNEXB)
        it->pos = nal_find_start_code(it->pos, it->end);
}

/* `pos` is at a start code or at the end. */
static bool next_annexb(struct nal_iter *it, struct nal *ret)
{
    while (it->pos < it->end) {
        const uint8_t *start = it->pos + 3;
        const uint8_t *stop = nal_find_start_code(start, it->end);
        it->pos = stop;
        while (stop > start && stop[-1] == 0)
            stop--;
        if (stop > start) {
            *ret = (struct nal){start, (size_t)(stop - start)};
            return true;
        }
    }
    return false;
}

static bool next_prefixed(struct nal_iter *it, struct nal *ret)
{
    while (it->pos < it->end && !it->error) {
        struct byte_reader r = byte_reader(it->pos, (size_t)(it->end - it->pos));
        const size_t length = (size_t)byte_read(&r, it->length_size);
        const uint8_t *unit = byte_take(&r, length);
        if (r.error) {
            it->error = true;
            return false;
        }
        it->pos += r.pos;
        if (length > 0) {
            *ret = (struct nal){unit, length};
            return true;
        }
    }
    return false;
}

bool nal_next(struct nal_iter *it, struct nal *ret)
{
    return it->length_size == NAL_ANNEXB ? next_annexb(it, ret) : next_prefixed(it, ret);
}

static bool fits_length(size_t size, unsigned length_size)
{
    return length_size == NAL_ANNEXB || (uint64_t)size >> 8 * length_size == 0;
}

static void put_nal(struct byte_writer *w, struct nal nal, unsigned length_size)
{
    if (length_size == NAL_ANNEXB)
        byte_write(w, 1, 4);
    else
        byte_write(w, nal.size, length_size);
    byte_put(w, nal.data, nal.size);
}

size_t nal_write(struct nal nal, unsigned length_size, void *out, size_t capacity)
{
    if (!fits_length(nal.size, length_size))
        return 0;
    const size_t needed = nal.size + (length_size == NAL_ANNEXB ? 4 : length_size);
    if (needed <= capacity) {
        struct byte_writer w = byte_writer(out, capacity);
        put_nal(&w, nal, length_size);
    }
    return needed;
}

int nal_convert(const void *data, size_t size, unsigned from, unsigned to, void *out,
                size_t capacity, size_t *ret_size)
{
    struct byte_writer w = byte_writer(out, capacity);
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, data, size, from);
    while (nal_next(&it, &nal)) {
        if (!fits_length(nal.size, to)) {
            *ret_size = 0;
            return RGPU_ERROR_LIMIT;
        }
        put_nal(&w, nal, to);
    }
    *ret_size = w.size;
    if (it.error)
        return RGPU_ERROR_INPUT;
    return w.size <= capacity ? 0 : RGPU_ERROR_LIMIT;
}

int nal_convert_new(const void *data, size_t size, unsigned from, unsigned to, struct buffer **ret,
                    struct error *err)
{
    size_t needed = 0;
    const int code = nal_convert(data, size, from, to, NULL, 0, &needed);
    if (code == RGPU_ERROR_INPUT)
        return error_set(err, code,
                         "a NAL unit's length points past the end of its %zu byte packet", size);
    if (code == RGPU_ERROR_LIMIT && needed == 0)
        return error_set(err, code, "a NAL unit is too long for a length field of %u bytes", to);
    struct buffer *buf = buffer_new(needed);
    if (!buf)
        return error_memory(err, "NAL units");
    nal_convert(data, size, from, to, buf->data, buf->size, &needed);
    *ret = buf;
    return 0;
}

size_t nal_unescape(const uint8_t *data, size_t size, uint8_t *out)
{
    size_t n = 0;
    unsigned zeros = 0;
    for (size_t i = 0; i < size; i++) {
        if (zeros >= 2 && data[i] == 3) {
            zeros = 0;
            continue;
        }
        zeros = data[i] ? 0 : zeros + 1;
        out[n++] = data[i];
    }
    return n;
}

size_t nal_escape(const uint8_t *data, size_t size, uint8_t *out, size_t capacity)
{
    struct byte_writer w = byte_writer(out, capacity);
    unsigned zeros = 0;
    for (size_t i = 0; i < size; i++) {
        if (zeros >= 2 && data[i] <= 3) {
            byte_write(&w, 3, 1);
            zeros = 0;
        }
        zeros = data[i] ? 0 : zeros + 1;
        byte_write(&w, data[i], 1);
    }
    if (size && data[size - 1] == 0)
        byte_write(&w, 3, 1);
    return w.size;
}
