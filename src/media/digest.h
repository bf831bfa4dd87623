/* Digest of a set of time stamps, so that a job can say which frames it wants in 16 bytes and a
 * result can be checked against it whatever the order. Pure. */
#ifndef MEDIA_DIGEST_H
#define MEDIA_DIGEST_H

#include <stdint.h>

/* Order-independent: the sum (mod 2^64) of a mixed value of each time stamp (splitmix64). */
static inline uint64_t pts_digest_add(uint64_t digest, int64_t pts)
{
    uint64_t x = (uint64_t)pts + 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return digest + (x ^ (x >> 31));
}

#endif
