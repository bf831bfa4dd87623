/* How fast NAL units are found, beside memchr and memcpy over the same memory in the same run:
 *     bench_nal [MIB] [ROUNDS]
 * The memory is like coded video: random bytes with emulation prevention in units of some KB. The
 * best round of each counts; rounds alternate, so that all see the same machine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "media/nal.h"

#define MIB_MAX 4096
#define ROUNDS_MAX 1000
#define UNIT_BYTES 12000

enum { RUN_NAL, RUN_CONVERT, RUN_MEMCHR, RUN_MEMCPY, RUNS };

struct bench {
    uint8_t *data, *copy;
    size_t size, capacity;
    size_t units;
};

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void fill(struct bench *b)
{
    uint64_t state = 88172645463325252u;
    uint8_t plain[UNIT_BYTES];
    while (b->capacity - b->size > 2 * UNIT_BYTES) {
        const size_t size = UNIT_BYTES / 2 + next_random(&state) % (UNIT_BYTES / 2);
        for (size_t i = 0; i < size; i++)
            plain[i] = (uint8_t)(next_random(&state) >> 32);
        plain[size - 1] |= 1;
        memcpy(b->data + b->size, "\0\0\0\1", 4);
        b->size += 4;
        b->size += nal_escape(plain, size, b->data + b->size, b->capacity - b->size);
        b->units++;
    }
}

/* Number of units seen; a wrong one shows that a round did not do its work. */
static size_t run(struct bench *b, int what)
{
    size_t found = 0, size;
    struct nal_iter it;
    struct nal nal;
    const uint8_t *end = b->data + b->size;
    switch (what) {
    case RUN_NAL:
        nal_iter_init(&it, b->data, b->size, NAL_ANNEXB);
        while (nal_next(&it, &nal))
            found++;
        return found;
    case RUN_CONVERT:
        if (nal_convert(b->data, b->size, NAL_ANNEXB, 4, b->copy, b->capacity, &size) == 0 &&
            size == b->size)
            found = b->units;
        return found;
    case RUN_MEMCHR:
        /* The usual way to find start codes without vectors: from zero to zero. */
        for (const uint8_t *p = b->data; (p = memchr(p, 0, (size_t)(end - p))); p++)
            found++;
        return found > b->units ? b->units : 0;
    default:
        memcpy(b->copy, b->data, b->size);
        return b->units;
    }
}

int main(int argc, char **argv)
{
    static const char *const names[RUNS] = {"nal_next", "nal_convert (Annex B to 4-byte lengths)",
                                            "memchr for 0", "memcpy"};
    const long mib = argc > 1 ? atol(argv[1]) : 64, rounds = argc > 2 ? atol(argv[2]) : 7;
    if (mib < 1 || mib > MIB_MAX || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: bench_nal [MIB 1..%d] [ROUNDS 1..%d]\n", MIB_MAX, ROUNDS_MAX);
        return 2;
    }
    struct bench b = {.capacity = (size_t)mib << 20};
    b.data = malloc(b.capacity);
    b.copy = malloc(b.capacity);
    if (!b.data || !b.copy) {
        fprintf(stderr, "bench_nal: no memory for 2 x %ld MiB\n", mib);
        free(b.data);
        free(b.copy);
        return 1;
    }
    fill(&b);
    double best[RUNS] = {0};
    for (long round = 0; round < rounds; round++)
        for (int i = 0; i < RUNS; i++) {
            const int64_t start = clock_now_ns();
            if (run(&b, i) != b.units) {
                fprintf(stderr, "bench_nal: %s did not see all units\n", names[i]);
                free(b.data);
                free(b.copy);
                return 1;
            }
            const double rate = (double)b.size / (double)(clock_now_ns() - start);
            best[i] = rate > best[i] ? rate : best[i];
        }
    printf("%zu units in %.1f MB, best of %ld rounds\n", b.units, (double)b.size / 1e6, rounds);
    for (int i = 0; i < RUNS; i++)
        printf("%-42s %6.2f GB/s  %5.2f x memchr  %5.2f x memcpy\n", names[i], best[i],
               best[i] / best[RUN_MEMCHR], best[i] / best[RUN_MEMCPY]);
    free(b.data);
    free(b.copy);
    return 0;
}
