/* The working side of a link: runs jobs on one device.
 *
 * A node serves its link on a thread of its own. Each job has lanes (slots); each lane feeds one
 * transcoding session on one thread and sends its results on another.
 *
 * Threads: start and stop from one thread; everything else is the node's own.
 * Memory: a lane holds at most a window of messages (link/message.h) beside what its session holds.
 * Limits: NODE_JOBS_MAX jobs, JOB_SLOTS_MAX lanes each. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "codec/codec.h"
#include "link/link.h"

#define NODE_JOBS_MAX 16

struct node_params {
    enum device_kind kind;
    int device;
};

struct node;

/* Starts serving `link`, which is moved in (closed also on error). DEVICE where the device is not
 * there; MEMORY. */
int node_start(struct node **ret, const struct node_params *params, struct link *link,
               struct error *err);

/* Takes the link down, cancels all jobs, waits for all threads, frees. Takes NULL, writes NULL. */
void node_stop(struct node **node);

#endif
