/* Gives the segments of a job to nodes over links, and brings the results back in order.
 *
 * The caller pushes a film's segments as they are cut (job_begin .. job_end), asks job_accepts
 * before reading more, and takes outputs in segment order with job_next.
 *
 * A segment's packets go out when the whole of it has come back; but those of a streaming job, or
 * of a segment with more than SEGMENT_RESULT_BYTES or SEGMENT_RESULT_SECONDS of results, as they
 * come. One that is lost, or comes back with other counts of packets than its node says, is sent
 * again, elsewhere if there is an elsewhere, SEGMENT_ATTEMPTS_MAX times in all; the job fails where
 * that is no longer possible (packets have gone out, or the input was let go). One that shows more
 * frames than were expected, or others, is sent again once and then taken: the source may be like
 * that. Fewer frames than expected are what a damaged source gives, and are only counted.
 *
 * Nothing that a node says is believed: a message that may not come, or has numbers out of bounds,
 * loses the node, as does a refusal of the job. The job goes on while a node is left.
 *
 * Threads: one thread calls all functions but job_wakeup. Memory: bounded, see segment.h and
 * JOB_UNSENT_*. Credits: a slot is never sent more messages than its window. Time: none. */
#ifndef DISPATCH_DISPATCH_H
#define DISPATCH_DISPATCH_H

#include "link/link.h"

#define DISPATCH_NODES_MAX 64
#define JOB_UNSENT_PACKETS 256               /* read ahead while all slots are busy */
#define JOB_UNSENT_FRAMES 16                 /* as much of raw input */
#define JOB_UNSENT_BYTES ((int64_t)32 << 20) /* and for each slot that has nothing to do */

enum job_output_type {
    JOB_HEADER,       /* `rendition`, `track`: once each, before the first packet */
    JOB_PACKET,       /* `packet` */
    JOB_SEGMENT_DONE, /* `segment`, `done`, `frames_missing`, `frames_wrong` */
    JOB_NOTE,         /* `note`: a line for the user, once each */
    JOB_ENDED,        /* all segments are out */
};

struct job_output {
    enum job_output_type type;
    uint32_t segment, rendition;
    struct packet packet; /* owned */
    struct track track;   /* owned */
    struct segment_done done;
    int64_t frames_missing; /* expected by the cutter, not shown by the decoder */
    int64_t frames_wrong;   /* shown, but not expected: the surplus, or 1 where as many were shown
                             * but with other time stamps */
    char note[ERROR_TEXT_MAX];
};

void job_output_done(struct job_output *out);

struct job;

/* A job with no node yet. `params` is moved in (also on error). */
int job_open(struct job **ret, struct job_params *params, struct error *err);

/* Adds a node over `link` (moved, also on error). LIMIT, MEMORY. */
int job_add_node(struct job *job, struct link *link, struct error *err);

/* True when more input should be pushed now. */
bool job_accepts(struct job *job);

/* Whether the segment that comes out next still has input to be sent to its slot: a caller that has
 * enough waiting need not read on just now. */
bool job_is_fed(const struct job *job);

/* Where the count of frames stands in front of the segment that begins next (media/rate_cap.h). */
void job_mark(struct job *job, const struct rate_mark *mark);

/* Input, in the order of the film. Packets and frames are moved, also on error. */
int job_begin(struct job *job, uint32_t segment, int64_t start_pts, uint64_t first_ordinal);
int job_packet(struct job *job, struct packet *pkt);
int job_frame(struct job *job, struct frame **frame);
int job_tail(struct job *job, int64_t end_pts);
int job_end(struct job *job, int64_t frames_expected, uint64_t pts_digest);
void job_finish(struct job *job); /* no more segments */

/* Moves messages both ways, then gives the next output. AGAIN: none now. Else the job's error, its
 * text in `err`; it stays. */
int job_next(struct job *job, struct job_output *ret, struct error *err);

/* Waits until a node has said something, job_wakeup was called, or `timeout_ms` has passed. */
void job_wait(struct job *job, int timeout_ms);

/* Ends a job_wait, from any thread. */
void job_wakeup(struct job *job);

/* Packets and their bytes that have come back so far, and segments that were sent again. */
int64_t job_packets_received(const struct job *job, int rendition);
int64_t job_bytes_received(const struct job *job, int rendition);
int job_retries(const struct job *job);

/* Cancels what runs, closes the links, frees. Takes NULL, writes NULL. */
void job_close(struct job **job);

#endif
