#include "transcode/channel.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

int channel_init(struct channel *c, size_t capacity, size_t item_size)
{
    *c = (struct channel){.item_size = item_size};
    c->slots = calloc(capacity, item_size);
    if (!c->slots || queue_init(&c->full, capacity) || queue_init(&c->idle, capacity)) {
        channel_done(c);
        return RGPU_ERROR_MEMORY;
    }
    for (size_t i = 0; i < capacity; i++)
        queue_try_push(&c->idle, (char *)c->slots + i * item_size);
    return 0;
}

void channel_done(struct channel *c)
{
    queue_done(&c->full);
    queue_done(&c->idle);
    free(c->slots);
    *c = (struct channel){0};
}

int channel_push(struct channel *c, const void *item)
{
    void *slot = NULL;
    /* A closed queue still hands out what is left, so the slot alone does not tell. */
    if (queue_pop(&c->idle, -1, &slot))
        return RGPU_ERROR_CANCELLED;
    memcpy(slot, item, c->item_size);
    return queue_push(&c->full, slot);
}

int channel_pop(struct channel *c, int timeout_ms, void *ret)
{
    void *slot = NULL;
    int r = queue_pop(&c->full, timeout_ms, &slot);
    if (r)
        return r;
    memcpy(ret, slot, c->item_size);
    queue_try_push(&c->idle, slot);
    return 0;
}

void channel_close(struct channel *c)
{
    if (c->full.ready)
        queue_close(&c->full);
    if (c->idle.ready)
        queue_close(&c->idle);
}
