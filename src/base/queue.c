#include "base/queue.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/clock.h"

int queue_init(struct queue *q, size_t capacity)
{
    *q = (struct queue){.capacity = capacity};
    q->items = calloc(capacity, sizeof(*q->items));
    if (!q->items)
        return RGPU_ERROR_MEMORY;
    pthread_mutex_init(&q->lock, NULL);
    clock_cond_init(&q->not_empty);
    clock_cond_init(&q->not_full);
    q->ready = true;
    return 0;
}

void queue_done(struct queue *q)
{
    if (!q->ready)
        return;
    pthread_cond_destroy(&q->not_full);
    pthread_cond_destroy(&q->not_empty);
    pthread_mutex_destroy(&q->lock);
    free(q->items);
    *q = (struct queue){0};
}

static void append_locked(struct queue *q, void *item)
{
    q->items[(q->head + q->count) % q->capacity] = item;
    q->count++;
    pthread_cond_signal(&q->not_empty);
}

int queue_push(struct queue *q, void *item)
{
    int ret = RGPU_ERROR_CANCELLED;
    pthread_mutex_lock(&q->lock);
    while (!q->closed && q->count == q->capacity)
        pthread_cond_wait(&q->not_full, &q->lock);
    if (!q->closed) {
        append_locked(q, item);
        ret = 0;
    }
    pthread_mutex_unlock(&q->lock);
    return ret;
}

int queue_try_push(struct queue *q, void *item)
{
    int ret = RGPU_ERROR_AGAIN;
    pthread_mutex_lock(&q->lock);
    if (q->closed) {
        ret = RGPU_ERROR_CANCELLED;
    } else if (q->count < q->capacity) {
        append_locked(q, item);
        ret = 0;
    }
    pthread_mutex_unlock(&q->lock);
    return ret;
}

int queue_pop(struct queue *q, int timeout_ms, void **ret)
{
    int result = 0;
    pthread_mutex_lock(&q->lock);
    struct timespec deadline = clock_deadline(timeout_ms > 0 ? timeout_ms : 0);
    while (!q->count && !q->closed) {
        if (timeout_ms < 0)
            pthread_cond_wait(&q->not_empty, &q->lock);
        else if (timeout_ms == 0 || pthread_cond_timedwait(&q->not_empty, &q->lock, &deadline) != 0)
            break;
    }
    if (q->count) {
        *ret = q->items[q->head];
        q->head = (q->head + 1) % q->capacity;
        q->count--;
        pthread_cond_signal(&q->not_full);
    } else {
        result = q->closed ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
    }
    pthread_mutex_unlock(&q->lock);
    return result;
}

void queue_close(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_cond_broadcast(&q->not_full);
    pthread_mutex_unlock(&q->lock);
}

size_t queue_count(struct queue *q)
{
    pthread_mutex_lock(&q->lock);
    size_t count = q->count;
    pthread_mutex_unlock(&q->lock);
    return count;
}
