/* A job whose nodes the test plays itself, message by message.
 *
 * A fixture is one node's side of one job; several may share the job. What does not come as it must
 * fails the test. Threads: none of its own. */
#ifndef TESTS_DISPATCH_PLAY_H
#define TESTS_DISPATCH_PLAY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "dispatch/dispatch.h"

#define PLAY_SEGMENTS_MAX 64
#define PLAY_SIZE 8192 /* of all renditions, so that a picture may have any number of bytes */

struct fixture {
    struct job *job;
    struct link *node;                     /* the node's end */
    struct rational time_base;             /* the job's */
    uint32_t slot_of[PLAY_SEGMENTS_MAX];   /* where take_segment has seen it */
    uint64_t digest_of[PLAY_SEGMENTS_MAX]; /* for give_results; 0: the right one */
};

/* As job_next, but for headers, which are passed over. */
int next_output(struct fixture *f, struct job_output *ret, struct error *err);

/* Gives the renditions a size, and the source a time base where it has none. */
void play_complete(struct job_params *params);

/* A result as it should be, with a payload. */
struct packet play_packet(int64_t pts, uint32_t rendition, size_t size);

/* What a node's encoder says of itself. */
struct track play_header(struct rational time_base, const char *extradata);

/* Opens a job with one node. `params` is completed and moved in. */
void play_open(struct fixture *f, struct job_params *params, int slots);

/* Adds another node to the job; both sides greet, and the headers are told. */
void play_join(struct fixture *f, struct job *job, int renditions, int slots);

void play_close(struct fixture *f);

struct message receive(struct fixture *f);
void expect(struct fixture *f, enum message_type type);
void expect_nothing(struct fixture *f);
void say(struct fixture *f, struct message msg);

/* A message with a text in its block. */
void say_error(struct fixture *f, enum message_type type, uint32_t slot, int code,
               const char *text);
void say_header(struct fixture *f, uint32_t rendition, const char *extradata);
void give_credit(struct fixture *f, uint32_t slot, int credits);
void fail_slot(struct fixture *f, int code);

/* Lets dispatch work; there must be no output. */
void settle(struct fixture *f);

/* A segment of `count` packets with one byte each and pts start, start + 1, ... */
void push_segment(struct fixture *f, uint32_t id, int64_t start, int count);
void push_packet(struct fixture *f, int64_t pts);

/* Takes a segment off the link, as a node would, returning credits; gives its id. */
uint32_t take_segment(struct fixture *f, uint32_t slot, int count);

/* `count` results of 10 bytes for each of two renditions, then SEGMENT_DONE. */
void give_results(struct fixture *f, uint32_t segment, int64_t start, int count, int promised);
void give_result(struct fixture *f, uint32_t segment, uint32_t rendition, int64_t pts, size_t size);
void give_done(struct fixture *f, uint32_t segment, const struct segment_done *done);

/* The outputs of a segment of which nothing is missing. */
void expect_results(struct fixture *f, uint32_t segment, int64_t start, int count);

#endif
