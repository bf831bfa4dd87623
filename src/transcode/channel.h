/* A bounded queue of fixed-size items by value, on base/queue.h: what joins two stages.
 *
 * The slots that items are copied through are allocated once; a second queue holds the free ones.
 * Threads: any number of producers and consumers. Memory: what items own is moved with them.
 * Limits: `capacity` items. */
#ifndef TRANSCODE_CHANNEL_H
#define TRANSCODE_CHANNEL_H

#include "base/queue.h"

struct channel {
    struct queue full, idle; /* of pointers into `slots` */
    void *slots;
    size_t item_size; /* bytes */
};

/* 0, or RGPU_ERROR_MEMORY with the channel left as zero. */
int channel_init(struct channel *c, size_t capacity, size_t item_size);

/* Frees the slots; empty the channel first. Takes a zeroed channel. */
void channel_done(struct channel *c);

/* Copies *item in, waiting while all slots are in use. 0, or RGPU_ERROR_CANCELLED once closed (what
 * the item owns stays the caller's). */
int channel_push(struct channel *c, const void *item);

/* Copies the oldest item out. As queue_pop: 0, AGAIN on timeout, END once closed and empty. */
int channel_pop(struct channel *c, int timeout_ms, void *ret);

/* Refuses further items and wakes all waiters. Takes a zeroed channel. */
void channel_close(struct channel *c);

#endif
