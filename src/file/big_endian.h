/* Numbers of 1 to 8 bytes as MP4's boxes have them, the largest byte first.
 * Threads: pure. Memory: none. */
#ifndef FILE_BIG_ENDIAN_H
#define FILE_BIG_ENDIAN_H

#include <stdint.h>

static inline uint64_t read_be(const uint8_t *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static inline void write_be(uint8_t *p, int bytes, uint64_t v)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * (bytes - 1 - i)));
}

#endif
