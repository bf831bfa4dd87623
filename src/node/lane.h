/* One lane of a job: an inbox of messages, a transcoding session, and the two threads around it.
 *
 * Threads: the node's thread delivers and ends lanes; the feeder thread takes messages from the
 * inbox and feeds the session; the sender thread carries the session's outputs to the link, until
 * it fails: the feeder tells that, once what the session had is given back. Memory: the inbox is a
 * fixed ring; it cannot overflow while the peer keeps to its window. */
#ifndef NODE_LANE_H
#define NODE_LANE_H

#include <pthread.h>

#include "link/link.h"
#include "node/node.h"
#include "transcode/session.h"

/* The window, and a SLOT_RESET. */
#define LANE_INBOX_MESSAGES (JOB_WINDOW_MESSAGES + 2)

struct lane {
    struct link *link;                           /* borrowed */
    const struct session_params *session_params; /* borrowed from the job */
    uint32_t job, slot;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct message inbox[LANE_INBOX_MESSAGES]; /* protected by `lock`, as all to the next blank */
    size_t head, count;
    bool closed; /* nothing more comes in; what is inside is still done */
    bool cancelled;
    struct session *session; /* set and cleared by the feeder under `lock` */
    bool alone;              /* no other lane works on the stream; the feeder's */
    int drains_pending;      /* asked for, not complete */
    bool finishing;          /* the last of them ends the lane */
    bool failure_due;        /* the session has failed with `failure`, which nobody knows yet */
    bool lacks_room;         /* see MESSAGE_SLOT_FAILED; as `failure` */
    struct error failure;

    pthread_t feeder, sender;
    bool feeder_started, sender_started; /* node's thread; feeder */
    bool failed;                         /* feeder: drops all until SLOT_RESET */
    bool begun, tailed;                  /* feeder: a segment is open; its end was told */
    struct track picture;                /* feeder: for sessions to come; without extradata */
    int credits;                         /* feeder: consumed, not yet returned */
    void (*ended)(void *opaque);         /* called once by the feeder when it is done */
    void *ended_opaque;
};

/* Starts the feeder. `ended(opaque)` runs on it as its last act. */
int lane_start(struct lane *lane, void (*ended)(void *opaque), void *opaque);

/* Moves a message in. LIMIT when the peer overran its window. */
int lane_deliver(struct lane *lane, struct message *msg);

/* No more messages: the lane finishes what it has, drains, and ends. */
void lane_finish(struct lane *lane);

/* The lane drops everything and ends soon. */
void lane_cancel(struct lane *lane);

/* Waits for the threads and frees what is left. Takes a zeroed lane. */
void lane_join(struct lane *lane);

#endif
