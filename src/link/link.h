/* A link carries messages between dispatch and one node, both ways, in order.
 *
 * Here: the table, and its first form, a pair of ends in memory (the node runs on threads of the
 * same process). Other forms (socket pair, TLS, QUIC) fill the same table.
 *
 * Threads: one thread receives at an end; any may send. Memory: the ring of each direction is
 * allocated once. Limits: LINK_QUEUE_MESSAGES in flight each way. */
#ifndef LINK_LINK_H
#define LINK_LINK_H

#include "link/message.h"

#define LINK_QUEUE_MESSAGES 256

struct link;

struct link_ops {
    int (*send)(struct link *link, struct message *msg, int timeout_ms);
    int (*receive)(struct link *link, int timeout_ms, struct message *ret);
    void (*set_wakeup)(struct link *link, void (*wakeup)(void *opaque), void *opaque);
    void (*shutdown)(struct link *link);
    void (*close)(struct link *link);
};

struct link {
    const struct link_ops *ops;
};

/* Moves `msg` to the other end, waiting at most `timeout_ms` while the link is full (negative: for
 * ever). AGAIN: still full, `msg` is unchanged. NODE: the link is down, `msg` is unchanged. */
static inline int link_send(struct link *link, struct message *msg, int timeout_ms)
{
    return link->ops->send(link, msg, timeout_ms);
}

/* Next message (owned by the caller). AGAIN: none in time. NODE: the link is down and all that came
 * before was received. */
static inline int link_receive(struct link *link, int timeout_ms, struct message *ret)
{
    return link->ops->receive(link, timeout_ms, ret);
}

/* `wakeup` is called, on any thread, after something happened that this end should look at: a
 * message came, room came free, the link went down. It must not call the link. Set before use. */
static inline void link_set_wakeup(struct link *link, void (*wakeup)(void *opaque), void *opaque)
{
    link->ops->set_wakeup(link, wakeup, opaque);
}

/* Takes the link down for both ends; waiting calls return. Any thread, more than once. */
static inline void link_shutdown(struct link *link)
{
    link->ops->shutdown(link);
}

/* Shuts down and frees this end. Takes NULL, writes NULL. */
static inline void link_close(struct link **link)
{
    if (*link)
        (*link)->ops->close(*link);
    *link = NULL;
}

/* Two ends joined in memory. */
int link_memory_pair(struct link **ret_a, struct link **ret_b);

#endif
