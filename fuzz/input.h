/* A fuzz target's input, read byte by byte; zeros once it is over. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

struct fuzz_input {
    const uint8_t *data; /* borrowed */
    size_t left;
};

static inline uint8_t fuzz_byte(struct fuzz_input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->data++;
}

/* Small numbers, and with the upper half of the bytes all kinds of extremes. */
static inline int64_t fuzz_number(struct fuzz_input *in)
{
    static const int64_t extremes[] = {-1,        INT64_MIN, INT64_MAX,        INT32_MAX,
                                       INT32_MIN, 1 << 20,   (int64_t)1 << 40, UINT32_MAX,
                                       64,        65,        INT64_MIN + 1,    -64};
    const uint8_t byte = fuzz_byte(in);
    return byte < 128 ? byte : extremes[byte % (sizeof(extremes) / sizeof(extremes[0]))];
}

#endif
