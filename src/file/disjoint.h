/* Makes texts that are shown together into samples one after the other, as MP4 has them: a new
 * sample at each beginning and end of a text, with all texts of that time joined by line breaks,
 * the oldest first; their styles go along. A text that is there twice is shown once.
 *
 * Threads: one. Memory: the texts that are not over. Limits: DISJOINT_MAX texts, and DISJOINT_BYTES
 * of text, at a time; what is beyond is left out and counted. */
#ifndef FILE_DISJOINT_H
#define FILE_DISJOINT_H

#include <stdbool.h>
#include <stdint.h>

#define DISJOINT_MAX 1024
#define DISJOINT_BYTES 65535

struct AVPacket;

struct disjoint_text {
    struct AVPacket *pkt; /* owned; MP4 text (ETSI TS 126 245, 5.17) */
    int64_t start, end;
};

struct disjoint {
    struct disjoint_text *texts; /* owned; by start */
    int count, capacity;
    int64_t now;   /* what begins before is out */
    int64_t known; /* no text that begins before will come */
    int64_t lost;  /* texts that were too many */
};

void disjoint_init(struct disjoint *ret);

/* Text with pts and duration, in the order of pts (moved, also on error); one that comes late
 * begins late. MEMORY. */
int disjoint_push(struct disjoint *d, struct AVPacket *pkt);

/* No text that begins before will come; INT64_MAX: none at all. */
void disjoint_progress(struct disjoint *d, int64_t known);

/* Next sample, the caller's. AGAIN: more must be known; MEMORY. */
int disjoint_next(struct disjoint *d, struct AVPacket **ret);

/* Earliest time that the next sample can begin at; false: nothing waits. */
bool disjoint_from(const struct disjoint *d, int64_t *ret);

void disjoint_done(struct disjoint *d);

#endif
