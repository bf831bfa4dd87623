/* A bounded blocking queue of pointers between threads: the only way stages hand work over.
 *
 * Threads: any number of producers and consumers. Memory: the ring is allocated once; items are
 * moved, never copied. Limits: `capacity` items. Closing wakes everybody: producers are refused,
 * consumers first get what is left. */
#ifndef BASE_QUEUE_H
#define BASE_QUEUE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct queue {
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
    void **items; /* protected by `lock`, as all below */
    size_t capacity, head, count;
    bool closed;
    bool ready; /* init has run; a zeroed queue may be passed to queue_done */
};

/* 0, or RGPU_ERROR_MEMORY with the queue left as zero. */
int queue_init(struct queue *q, size_t capacity);

/* Frees the ring. Items still inside are the caller's business: pop them first. Takes a zeroed
 * queue. */
void queue_done(struct queue *q);

/* Moves `item` in, waiting while the queue is full. 0, or RGPU_ERROR_CANCELLED once closed (the
 * item stays the caller's). */
int queue_push(struct queue *q, void *item);

/* As queue_push, but returns RGPU_ERROR_AGAIN instead of waiting. */
int queue_try_push(struct queue *q, void *item);

/* Moves the oldest item out, waiting at most `timeout_ms` (negative: for ever, 0: not at all).
 * 0, RGPU_ERROR_AGAIN on timeout, RGPU_ERROR_END once closed and empty. */
int queue_pop(struct queue *q, int timeout_ms, void **ret);

/* Refuses further items and wakes all waiters. May be called twice. */
void queue_close(struct queue *q);

/* Number of items now; a hint. */
size_t queue_count(struct queue *q);

#endif
