/* The packets of a copied video track that a part of the film needs: from the last key frame at or
 * before its beginning to the last packet that one of its frames refers to. Those of them that are
 * not frames of the part are marked with AV_PKT_FLAG_DISCARD: a container with edit lists hides
 * them.
 *
 * Leading pictures of the first key frame are left out: they are not of the part, and what they
 * refer to is not there.
 *
 * Threads: none. Memory: packets since the last key frame until the part begins, and at its end
 * those that may not be needed. Limits: PART_PACKETS_MAX packets and PART_BYTES_MAX bytes before
 * the beginning; a longer group of pictures is given out as it comes. */
#ifndef FILE_PART_H
#define FILE_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PART_PACKETS_MAX 8192
#define PART_BYTES_MAX (64 << 20)
#define PART_REORDER_MAX 34 /* see CUTTER_REORDER_MAX */

struct AVPacket;

struct part {
    int64_t begin, end;     /* pts of the frames: begin <= pts < end; INT64_MIN, INT64_MAX: open */
    struct AVPacket **held; /* owned ring: the first `ready` may be given out */
    size_t capacity, head, count, ready, bytes;
    int64_t key_pts; /* of the first key frame; INT64_MIN: none yet */
    bool begun, ended;
    bool is_leading, is_past, is_hidden; /* of the last frame */
    int past;                            /* packets behind the end since the last one before it */
};

void part_init(struct part *p, int64_t begin, int64_t end);

/* Next packet in decode order, with pts (moved, also on error). One whose `opaque` is set goes with
 * the packet before (see reader_packet). MEMORY, or 0. */
int part_push(struct part *p, struct AVPacket *pkt);

/* No more packets: what is held and not needed is dropped. */
void part_finish(struct part *p);

/* Next packet of the part, the caller's; NULL: push more, or the end. */
struct AVPacket *part_pop(struct part *p);

void part_done(struct part *p);

#endif
