/* The in-memory link: two rings of messages under one lock, freed by whichever end closes last. */
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "link/link.h"

struct ring {
    struct message items[LINK_QUEUE_MESSAGES];
    size_t head, count;
    pthread_cond_t not_empty, not_full;
};

struct pair;

struct end {
    struct link base;
    struct pair *pair;
    struct ring *in, *out;
    struct end *peer;
    void (*wakeup)(void *opaque);
    void *wakeup_opaque;
    bool closed; /* protected by the pair's lock */
};

struct pair {
    pthread_mutex_t lock; /* protects the rings and all below */
    bool down;
    struct ring rings[2];
    struct end ends[2];
};

/* Calls the peer's wake-up under the lock: its owner cannot be freed meanwhile, because an end that
 * closes takes the lock first. */
static void wake_peer_locked(struct end *end)
{
    if (!end->peer->closed && end->peer->wakeup)
        end->peer->wakeup(end->peer->wakeup_opaque);
}

/* Waits on `cond` until `deadline` or a change; false on timeout. */
static bool wait_locked(struct pair *pair, pthread_cond_t *cond, int timeout_ms,
                        const struct timespec *deadline)
{
    if (timeout_ms == 0)
        return false;
    if (timeout_ms < 0)
        return pthread_cond_wait(cond, &pair->lock) == 0;
    return pthread_cond_timedwait(cond, &pair->lock, deadline) == 0;
}

static int memory_send(struct link *link, struct message *msg, int timeout_ms)
{
    struct end *end = (struct end *)link;
    struct pair *pair = end->pair;
    struct ring *ring = end->out;
    struct timespec deadline = clock_deadline(timeout_ms > 0 ? timeout_ms : 0);
    int ret = 0;
    pthread_mutex_lock(&pair->lock);
    while (!pair->down && ring->count == LINK_QUEUE_MESSAGES)
        if (!wait_locked(pair, &ring->not_full, timeout_ms, &deadline))
            break;
    if (pair->down) {
        ret = RGPU_ERROR_NODE;
    } else if (ring->count == LINK_QUEUE_MESSAGES) {
        ret = RGPU_ERROR_AGAIN;
    } else {
        ring->items[(ring->head + ring->count) % LINK_QUEUE_MESSAGES] = *msg;
        *msg = (struct message){0};
        ring->count++;
        pthread_cond_signal(&ring->not_empty);
        wake_peer_locked(end);
    }
    pthread_mutex_unlock(&pair->lock);
    return ret;
}

static int memory_receive(struct link *link, int timeout_ms, struct message *ret_msg)
{
    struct end *end = (struct end *)link;
    struct pair *pair = end->pair;
    struct ring *ring = end->in;
    struct timespec deadline = clock_deadline(timeout_ms > 0 ? timeout_ms : 0);
    int ret = 0;
    pthread_mutex_lock(&pair->lock);
    while (!pair->down && !ring->count)
        if (!wait_locked(pair, &ring->not_empty, timeout_ms, &deadline))
            break;
    if (ring->count) {
        *ret_msg = ring->items[ring->head];
        ring->items[ring->head] = (struct message){0};
        ring->head = (ring->head + 1) % LINK_QUEUE_MESSAGES;
        /* A sender that was refused while the ring was full learns that there is room. */
        bool was_full = ring->count == LINK_QUEUE_MESSAGES;
        ring->count--;
        pthread_cond_signal(&ring->not_full);
        if (was_full)
            wake_peer_locked(end);
    } else {
        ret = pair->down ? RGPU_ERROR_NODE : RGPU_ERROR_AGAIN;
    }
    pthread_mutex_unlock(&pair->lock);
    return ret;
}

static void memory_set_wakeup(struct link *link, void (*wakeup)(void *opaque), void *opaque)
{
    struct end *end = (struct end *)link;
    pthread_mutex_lock(&end->pair->lock);
    end->wakeup = wakeup;
    end->wakeup_opaque = opaque;
    pthread_mutex_unlock(&end->pair->lock);
}

static void shutdown_locked(struct end *end)
{
    end->pair->down = true;
    for (int i = 0; i < 2; i++) {
        pthread_cond_broadcast(&end->pair->rings[i].not_empty);
        pthread_cond_broadcast(&end->pair->rings[i].not_full);
    }
    wake_peer_locked(end);
}

static void memory_shutdown(struct link *link)
{
    struct end *end = (struct end *)link;
    pthread_mutex_lock(&end->pair->lock);
    shutdown_locked(end);
    pthread_mutex_unlock(&end->pair->lock);
}

static void memory_close(struct link *link)
{
    struct end *end = (struct end *)link;
    struct pair *pair = end->pair;
    pthread_mutex_lock(&pair->lock);
    shutdown_locked(end);
    end->closed = true;
    bool last = end->peer->closed;
    pthread_mutex_unlock(&pair->lock);
    if (!last)
        return;
    for (int i = 0; i < 2; i++) {
        struct ring *ring = &pair->rings[i];
        for (; ring->count; ring->count--) {
            message_done(&ring->items[ring->head]);
            ring->head = (ring->head + 1) % LINK_QUEUE_MESSAGES;
        }
        pthread_cond_destroy(&ring->not_empty);
        pthread_cond_destroy(&ring->not_full);
    }
    pthread_mutex_destroy(&pair->lock);
    free(pair);
}

static const struct link_ops memory_ops = {
    .send = memory_send,
    .receive = memory_receive,
    .set_wakeup = memory_set_wakeup,
    .shutdown = memory_shutdown,
    .close = memory_close,
};

int link_memory_pair(struct link **ret_a, struct link **ret_b)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    if (!pair)
        return RGPU_ERROR_MEMORY;
    pthread_mutex_init(&pair->lock, NULL);
    for (int i = 0; i < 2; i++) {
        clock_cond_init(&pair->rings[i].not_empty);
        clock_cond_init(&pair->rings[i].not_full);
        pair->ends[i] = (struct end){.base = {&memory_ops},
                                     .pair = pair,
                                     .in = &pair->rings[i],
                                     .out = &pair->rings[1 - i],
                                     .peer = &pair->ends[1 - i]};
    }
    *ret_a = &pair->ends[0].base;
    *ret_b = &pair->ends[1].base;
    return 0;
}
