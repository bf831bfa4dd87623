#include "base/buffer.h"

#include <stdlib.h>
#include <string.h>

#define BUFFER_ALIGN 64

struct buffer *buffer_new(size_t size)
{
    /* One block: header first, payload at the next 64-byte boundary. */
    const size_t head = (sizeof(struct buffer) + BUFFER_ALIGN - 1) / BUFFER_ALIGN * BUFFER_ALIGN;
    if (size > SIZE_MAX - head - BUFFER_PADDING - BUFFER_ALIGN)
        return NULL;
    void *block = NULL;
    if (posix_memalign(&block, BUFFER_ALIGN, head + size + BUFFER_PADDING) != 0)
        return NULL;
    struct buffer *buf = block;
    *buf = (struct buffer){.data = (uint8_t *)block + head, .size = size, .refs = 1};
    memset(buf->data + size, 0, BUFFER_PADDING);
    return buf;
}

struct buffer *buffer_copy(const void *data, size_t size)
{
    struct buffer *buf = buffer_new(size);
    if (buf && size)
        memcpy(buf->data, data, size);
    return buf;
}

struct buffer *buffer_wrap(uint8_t *data, size_t size, void (*release)(void *opaque, uint8_t *data),
                           void *opaque)
{
    struct buffer *buf = malloc(sizeof(*buf));
    if (buf)
        *buf = (struct buffer){
            .data = data, .size = size, .refs = 1, .release = release, .opaque = opaque};
    return buf;
}

struct buffer *buffer_ref(struct buffer *buf)
{
    if (buf)
        __atomic_add_fetch(&buf->refs, 1, __ATOMIC_RELAXED);
    return buf;
}

void buffer_unref(struct buffer **buf)
{
    struct buffer *b = *buf;
    *buf = NULL;
    if (!b || __atomic_sub_fetch(&b->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (b->release)
        b->release(b->opaque, b->data);
    free(b);
}
