/* A job's inside, and what the files of this room do with it for each other. `dispatch` is the
 * public side, `send` gives segments and input to slots, `receive` takes what nodes say, `retry`
 * gives again what was lost or came back wrong.
 *
 * Threads: the job's, but for what `wake_lock` protects. Memory: the job owns all. */
#ifndef DISPATCH_JOB_H
#define DISPATCH_JOB_H

#include <pthread.h>

#include "dispatch/dispatch.h"
#include "dispatch/rate.h"
#include "dispatch/segment.h"
#include "media/bucket.h"

#define JOB_ID 1
#define NOTES_MAX 32

struct slot {
    struct segment *current; /* its input is being sent; borrowed from the list */
    int credits;
    bool drained;   /* nothing was sent since the last drain */
    bool told;      /* it knows the job's picture */
    bool reset_due; /* it has failed, and waits for its SLOT_RESET */
    bool closed;    /* its node has not room for as many: it gets no more */
    bool alone;     /* all others are closed, and it has not room for itself: it makes all */
};

struct peer {
    struct link *link; /* owned; NULL once the node is lost */
    bool greeted, acknowledged;
    int slots_count;
    struct slot slots[JOB_SLOTS_MAX];
    char device[sizeof(((struct node_hello *)NULL)->device)]; /* from its HELLO; "" before */
};

struct job {
    struct job_params params;
    struct peer peers[DISPATCH_NODES_MAX];
    int peers_count;

    struct segment *first, *last; /* in film order; owned */
    int segments_count;
    bool input_open;       /* `last` is being filled */
    struct rate_mark mark; /* of the segment that begins next */
    bool finished;
    int64_t packets_received[RENDITIONS_MAX], bytes_received[RENDITIONS_MAX];
    int retries;

    struct track picture; /* what all encoders are opened for; format PIXEL_NONE: not known yet */
    struct track headers[RENDITIONS_MAX];
    bool header_known[RENDITIONS_MAX], header_given[RENDITIONS_MAX];
    char notes[NOTES_MAX][ERROR_TEXT_MAX];
    int notes_count, notes_given;
    bool fewer_told;      /* that a slot was closed */
    struct error failure; /* code 0: none */
    bool source_is_odd;   /* another try gave the same wrong frames */

    struct bucket buckets[RENDITIONS_MAX]; /* as the segments that went out have left them */
    struct rate_passing passing[RENDITIONS_MAX];
    int64_t peak_bps[RENDITIONS_MAX]; /* highest of segments that broke them; 0: none did */
    int64_t begin_pts, end_pts;       /* of what has come back; end below begin: nothing */

    pthread_mutex_t wake_lock;
    pthread_cond_t wake;
    bool awake; /* protected by `wake_lock` */
};

/* Keeps the job's first error; gives its code. */
int job_fail(struct job *job, int code, const char *text);

/* A line for the user, once each. */
void job_note(struct job *job, const char *text);

/* ---- send ---------------------------------------------------------------------------------- */

/* Segments that a slot was given and that have not come back. */
int slot_outstanding(const struct job *job, int peer_index, int slot_index);

/* Sends a slot of a node that is there all that it may have now. */
void job_serve_slot(struct job *job, int peer_index, int slot_index);

/* ---- receive ------------------------------------------------------------------------------- */

/* Takes all that a node has said. */
void job_receive(struct job *job, int peer_index);

/* ---- retry --------------------------------------------------------------------------------- */

/* Puts a segment back among those to be given to a slot, if that is still possible. */
bool job_give_again(struct job *job, struct segment *s);

/* All of a segment was sent, and all of it should have come back. */
void job_conclude(struct job *job, struct segment *s);

/* A slot that its node has no room for: what it was given goes back, and others do the rest. False:
 * the node has no others. */
bool job_close_slot(struct job *job, int peer_index, int slot_index, const struct error *why);

/* The last slot has not room for all of its encoders: it is to make the film with what there is, as
 * nothing of it has gone out. False: some has, or there are other nodes. */
bool job_leave_alone(struct job *job, int peer_index, int slot_index, const struct error *why);

/* What was given to a slot and is not done goes back to be given again. */
void job_take_back(struct job *job, int peer_index, int slot_index, const struct error *why);

/* Hangs up. The job goes on while another node is left. */
void job_lose_node(struct job *job, int peer_index, int code, const char *text);

#endif
