/* Bounds-checked readers and writers over borrowed memory: bits (with Exp-Golomb codes and removal
 * of emulation prevention bytes) and big-endian bytes. Every parser of this room reads through
 * them.
 *
 * Threads: none of its own. Memory: nothing is allocated; the bytes are borrowed for as long as the
 * reader lives. Limits: none; a read past the end sets the sticky `error`, gives 0, and so does
 * every read after it, so a parser may check once at its end. No byte outside is ever touched. */
#ifndef MEDIA_BITS_H
#define MEDIA_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* ---- bits ------------------------------------------------------------------------------------ */

struct bits {
    const uint8_t *data;      /* borrowed */
    size_t size, next;        /* bytes; the next one to load */
    uint64_t cache;           /* loaded bits, from the top */
    unsigned cached;          /* number of bits in `cache` */
    unsigned zeros;           /* zero bytes loaded last, counted to 2 */
    bool escaped;             /* 00 00 03 loses its 03 */
    bool error;               /* sticky: something was read past the end, or out of its range */
    uint64_t position, limit; /* bits consumed (03 bytes not counted); bits that may be */
};

/* Reads the bytes as they are. */
void bits_init(struct bits *b, const void *data, size_t size);

/* Reads an RBSP (H.264 7.3.1, H.265 7.3.1.1): emulation prevention bytes are dropped on the way,
 * trailing zero bytes and cabac_zero_words do not count. */
void bits_init_rbsp(struct bits *b, const void *data, size_t size);

/* The next `count` bits (0..32), most significant first. */
uint32_t bits_read(struct bits *b, unsigned count);

static inline bool bits_flag(struct bits *b)
{
    return bits_read(b, 1) != 0;
}

/* Skips any number of bits; past the end is an error. */
void bits_skip(struct bits *b, uint64_t count);

/* Exp-Golomb codes (H.264 9.1): at most 31 leading zeros. bits_ue_max sets `error` and gives 0 for
 * a value over `max`, bits_se_range for one outside min..max (which must contain 0). */
uint32_t bits_ue(struct bits *b);
uint32_t bits_ue_max(struct bits *b, uint32_t max);
int32_t bits_se(struct bits *b);
int32_t bits_se_range(struct bits *b, int32_t min, int32_t max);

/* Whether something stands before the rbsp_trailing_bits (more_rbsp_data of the standards). */
bool bits_more_rbsp(struct bits *b);

/* A reader of the next `count` bits only; `b` itself does not move. */
struct bits bits_sub(const struct bits *b, uint64_t count);

/* ---- big-endian bytes, in -------------------------------------------------------------------- */

struct byte_reader {
    const uint8_t *data; /* borrowed */
    size_t size, pos;    /* bytes */
    bool error;          /* sticky */
};

static inline struct byte_reader byte_reader(const void *data, size_t size)
{
    return (struct byte_reader){.data = (const uint8_t *)data, .size = size};
}

static inline size_t byte_left(const struct byte_reader *r)
{
    return r->error ? 0 : r->size - r->pos;
}

/* Address of the next `count` bytes, moving past them; NULL (and `error`) where fewer are left. */
static inline const uint8_t *byte_take(struct byte_reader *r, size_t count)
{
    if (r->error || r->size - r->pos < count) {
        r->error = true;
        return NULL;
    }
    const uint8_t *p = r->data + r->pos;
    r->pos += count;
    return p;
}

/* The next 1..8 bytes as a number. */
static inline uint64_t byte_read(struct byte_reader *r, unsigned count)
{
    const uint8_t *p = byte_take(r, count);
    uint64_t value = 0;
    for (unsigned i = 0; p && i < count; i++)
        value = value << 8 | p[i];
    return value;
}

static inline uint8_t byte_u8(struct byte_reader *r)
{
    return (uint8_t)byte_read(r, 1);
}

static inline uint16_t byte_u16(struct byte_reader *r)
{
    return (uint16_t)byte_read(r, 2);
}

static inline uint32_t byte_u32(struct byte_reader *r)
{
    return (uint32_t)byte_read(r, 4);
}

/* ---- big-endian bytes, out ------------------------------------------------------------------- */

/* Writes into the caller's memory and goes on counting past its end, so that one function both
 * says the size needed (data NULL, capacity 0) and writes: the result is whole when size <=
 * capacity. */
struct byte_writer {
    uint8_t *data;         /* borrowed; NULL only with capacity 0 */
    size_t capacity, size; /* bytes; size is what was asked to be written */
};

static inline struct byte_writer byte_writer(void *data, size_t capacity)
{
    return (struct byte_writer){.data = (uint8_t *)data, .capacity = capacity};
}

/* Bytes go in whole or not at all. `data` may overlap nothing. */
static inline void byte_put(struct byte_writer *w, const void *data, size_t size)
{
    if (size && w->size <= w->capacity && size <= w->capacity - w->size)
        memcpy(w->data + w->size, data, size);
    w->size += size;
}

/* `value` in 1..8 bytes; higher bits are dropped. */
static inline void byte_write(struct byte_writer *w, uint64_t value, unsigned count)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < count; i++)
        bytes[i] = (uint8_t)(value >> 8 * (count - 1 - i));
    byte_put(w, bytes, count);
}

#endif
