/* A made-up film for the fake backend, feeding it segment by segment, and what came out.
 * Threads: collecting runs on a thread of its own; the results are read after film_collect_join. */
#ifndef TESTS_TRANSCODE_FILM_H
#define TESTS_TRANSCODE_FILM_H

#include <pthread.h>
#include <stdio.h>

#include "transcode/session.h"

#include "fake.h"

#define FILM_MAX 4096

/* Ends the program in any thread, unlike cmocka's assertions. */
#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct film {
    struct fake_source frames[FILM_MAX]; /* in display order */
    int count;
    int order[FILM_MAX]; /* decode order: index into `frames` */
    int raps[FILM_MAX];  /* index into `frames` of each random-access point */
    int rap_ordinals[FILM_MAX];
    int raps_count;
};

struct film_style {
    uint32_t seed;
    int count;
    int gop_max; /* frames; 0: one GOP */
    int bframes;
    bool open_gop;
    bool vfr;      /* durations from 1 to 120 ticks, else `tick` */
    int64_t tick;  /* 0: 40 */
    int64_t start; /* first pts */
};

struct film *film_new(const struct film_style *style);

uint32_t film_random(uint32_t *seed);

/* Feeds the frames from one random-access point up to another (raps_count: to the end) as a
 * segment; stops at an error and returns it. */
int film_feed(struct session *s, const struct film *film, int rap_from, int rap_to, uint32_t id);

struct film_packet {
    uint32_t segment, rendition;
    int64_t pts, duration;
    uint64_t ordinal;
    bool key;
    struct fake_coded coded;
};

struct film_result {
    struct session *s;
    pthread_t thread;
    int stop_after_drains; /* collecting ends after so many, or at an error */
    int code;              /* the error, or 0 */
    struct error err;
    struct film_packet *packets;
    int packets_count, packets_room;
    struct segment_done done[FILM_MAX]; /* by segment number */
    int done_count[FILM_MAX];
    int headers[RENDITIONS_MAX];
    struct track picture; /* format PIXEL_NONE: none was said */
    int pictures;
    char notes[8][SESSION_NOTE_MAX];
    int notes_count;
    int drains;
    int outputs;
};

/* Starts to collect outputs on a thread. */
struct film_result *film_collect(struct session *s, int stop_after_drains);
void film_collect_join(struct film_result *r);
void film_result_free(struct film_result *r);

/* Checks all of a segment that holds the frames from..to-1: counts, digest, time stamps, order, key
 * frames by the rule, contents. `divisor` 2 for a rendition means that every other frame of the
 * segment is kept. */
void film_check(const struct film_result *r, const struct film *film, int from, int to, uint32_t id,
                const struct session_params *params, const int *divisors);

/* 64x32 source in milliseconds; renditions of 64x32, 32x16, ... */
struct session_params film_params(int renditions);

#endif
