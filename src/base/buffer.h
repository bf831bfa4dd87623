/* A reference-counted block of bytes: the payload of packets and of host frames.
 *
 * Threads: references may be taken and dropped on any thread; the bytes are shared and must not be
 * written once a second reference exists. Memory: the last unref frees, through the owner's
 * function when the bytes were wrapped. Every buffer has BUFFER_PADDING readable bytes behind
 * `size`, zero for those made here, so that bit readers may read ahead. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#define BUFFER_PADDING 64

struct buffer {
    uint8_t *data;
    size_t size; /* bytes */
    int refs;    /* atomic; use buffer_ref and buffer_unref */
    void (*release)(void *opaque, uint8_t *data);
    void *opaque;
};

/* New buffer of `size` bytes, 64-byte aligned, uninitialised but for the padding. NULL: no memory.
 * Owned by the caller (one reference). */
struct buffer *buffer_new(size_t size);

/* Copies `size` bytes into a new buffer. NULL: no memory. */
struct buffer *buffer_copy(const void *data, size_t size);

/* Wraps foreign bytes; `release(opaque, data)` runs once, on the thread that drops the last
 * reference. NULL: no memory, then `release` was not called. */
struct buffer *buffer_wrap(uint8_t *data, size_t size, void (*release)(void *opaque, uint8_t *data),
                           void *opaque);

/* Adds a reference and returns `buf`; NULL stays NULL. */
struct buffer *buffer_ref(struct buffer *buf);

/* Drops *buf's reference and writes NULL; takes NULL. */
void buffer_unref(struct buffer **buf);

#endif
