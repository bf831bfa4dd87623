#include "media/bits.h"

void bits_init(struct bits *b, const void *data, size_t size)
{
    *b = (struct bits){.data = data, .size = size, .limit = UINT64_MAX};
}

void bits_init_rbsp(struct bits *b, const void *data, size_t size)
{
    const uint8_t *p = data;
    /* A NAL unit that would end in a zero byte carries an 03 behind it (7.4.1). */
    while (size > 0 &&
           (p[size - 1] == 0 || (size >= 3 && p[size - 1] == 3 && !p[size - 2] && !p[size - 3])))
        size--;
    *b = (struct bits){.data = data, .size = size, .escaped = true, .limit = UINT64_MAX};
}

static void refill(struct bits *b)
{
    while (b->cached <= 56 && b->next < b->size) {
        const uint8_t byte = b->data[b->next++];
        if (b->escaped && b->zeros >= 2 && byte == 3) {
            b->zeros = 0;
            continue;
        }
        b->zeros = byte ? 0 : b->zeros + (b->zeros < 2);
        b->cache |= (uint64_t)byte << (56 - b->cached);
        b->cached += 8;
    }
}

static uint32_t fail(struct bits *b)
{
    b->error = true;
    b->cache = 0;
    b->cached = 0;
    b->next = b->size;
    return 0;
}

uint32_t bits_read(struct bits *b, unsigned count)
{
    if (count == 0)
        return 0;
    if (b->cached < count)
        refill(b);
    if (b->error || b->cached < count || b->limit - b->position < count)
        return fail(b);
    const uint32_t value = (uint32_t)(b->cache >> (64 - count));
    b->cache <<= count;
    b->cached -= count;
    b->position += count;
    return value;
}

void bits_skip(struct bits *b, uint64_t count)
{
    /* More than the memory holds cannot succeed: refuse before looping over it. */
    if (count / 8 > b->size) {
        fail(b);
        return;
    }
    for (; count > 32 && !b->error; count -= 32)
        bits_read(b, 32);
    bits_read(b, (unsigned)count);
}

uint32_t bits_ue(struct bits *b)
{
    refill(b);
    const unsigned zeros = b->cache ? (unsigned)__builtin_clzll(b->cache) : 64;
    if (zeros > 31 || zeros >= b->cached)
        return fail(b);
    bits_read(b, zeros + 1);
    return (uint32_t)((1ULL << zeros) - 1 + bits_read(b, zeros));
}

uint32_t bits_ue_max(struct bits *b, uint32_t max)
{
    const uint32_t value = bits_ue(b);
    return value > max ? fail(b) : value;
}

int32_t bits_se(struct bits *b)
{
    const uint32_t code = bits_ue(b);
    return code & 1 ? (int32_t)(code / 2 + 1) : -(int32_t)(code / 2);
}

int32_t bits_se_range(struct bits *b, int32_t min, int32_t max)
{
    const int32_t value = bits_se(b);
    return value < min || value > max ? (int32_t)fail(b) : value;
}

bool bits_more_rbsp(struct bits *b)
{
    refill(b);
    if (b->error || b->size == 0)
        return false;
    /* The last byte is not zero, so it holds the stop bit. */
    if (b->next < b->size)
        return true;
    return b->cached > (unsigned)__builtin_ctz(b->data[b->size - 1]) + 1;
}

struct bits bits_sub(const struct bits *b, uint64_t count)
{
    struct bits sub = *b;
    if (count < sub.limit - sub.position)
        sub.limit = sub.position + count;
    return sub;
}
