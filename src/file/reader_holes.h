/* Finds damage to a Matroska file that libavformat leaps over without a word: it looks for the next
 * cluster, and what lay between is gone. The chain of elements is followed beside the demuxer; a
 * hole breaks it, however irregular the film's time stamps are.
 *
 * Threads: one. Memory: none. Limits: files only, not pipes; damage within one frame's bytes, or
 * before the first cluster, is left to others. */
#ifndef FILE_READER_HOLES_H
#define FILE_READER_HOLES_H

#include <stdbool.h>
#include <stdint.h>

struct holes {
    int fd;                           /* owned; -1: nothing to look at */
    int64_t first, at;                /* of the first element in the segment; of the next to see */
    int64_t segment_end, cluster_end; /* cluster_end is 0 outside of clusters */
    bool skips;                       /* after a seek: clusters that are not read are not entered */
};

/* Begins at the segment of the file behind `fd` (moved; may be -1). Where there is none, nothing
 * will be found. */
void holes_init(struct holes *ret, int fd, int64_t size_bytes);

/* The reader moves: follow it to where it reads on. */
void holes_reset(struct holes *h);

/* Follows the elements up to the offset of a packet or, at the end, of the file's end; the number
 * of breaks on the way. */
int holes_follow(struct holes *h, int64_t offset);

void holes_done(struct holes *h);

#endif
