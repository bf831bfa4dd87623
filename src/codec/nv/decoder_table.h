/* The packets whose frames are still inside the decoder, and which frame belongs to which.
 *
 * NVIDIA's parser carries a 64-bit time stamp from packet to picture, and it has ideas about them:
 * stamps that rise in the order of decoding are taken for such, and given out in order. So each
 * packet gets one of the parser's clock that is near its own time and like no other's. Where the
 * parser makes one up, as for pictures that it takes to have none, the frame gets the packet with
 * the next time stamp.
 *
 * Threads: one. Memory: NV_TABLE_SIZE entries; an entry owns what its picture does. Limits: a
 * packet is forgotten NV_TABLE_SIZE packets later, NV_ORDER_MAX waiting time stamps. */
#ifndef CODEC_NV_DECODER_TABLE_H
#define CODEC_NV_DECODER_TABLE_H

#include "codec/nv/decoder_stream.h"

#define NV_TABLE_SIZE 128 /* the parser and its pictures hold some 30 */
#define NV_ORDER_MAX 1024

struct nv_entry {
    int64_t number; /* 0: free */
    int64_t stamp;  /* what the parser has for it */
    int64_t pts, duration;
    bool discard; /* its frame is not shown */
    bool hidden;  /* it has none */
    bool used;    /* its frame has come */
    struct nv_picture picture;
};

struct nv_table {
    struct nv_entry entries[NV_TABLE_SIZE];
    struct rational time_base;
    int64_t origin;              /* time stamp that the parser's clock starts near */
    int64_t last;                /* number of the newest; 0: none yet */
    int64_t lost;                /* packets whose frames never came */
    int64_t shown_pts;           /* of the last frame; PTS_NONE: none yet */
    int64_t order[NV_ORDER_MAX]; /* time stamps waiting for their frames, ascending */
    int order_count;
    int64_t order_newest; /* of the last packet; PTS_NONE: it had none */
};

void nv_table_init(struct nv_table *t, struct rational time_base);
void nv_table_done(struct nv_table *t); /* takes a zeroed one */

/* Forgets all packets; numbers go on, so that none of before is taken for a new one. */
void nv_table_reset(struct nv_table *t);

/* Adds a packet and gives its stamp for the parser; the second field of a frame has that of the
 * first. Moves the picture out of `facts`. */
int64_t nv_table_add(struct nv_table *t, const struct packet *pkt, struct nv_facts *facts);

/* The newest packet gives no frame, and has been counted. */
void nv_table_remove_newest(struct nv_table *t);

/* All frames have come: packets that still wait for theirs are lost. */
void nv_table_drain(struct nv_table *t);

/* The entry of the frame that the parser shows with `stamp`, marked as used; a second frame of the
 * same packet finds it without a time stamp. NULL: unknown. */
struct nv_entry *nv_table_take(struct nv_table *t, int64_t stamp);

/* ---- time stamps by order -------------------------------------------------------------------- */

void nv_order_add(struct nv_table *t, int64_t value); /* PTS_NONE: nothing to add */
void nv_order_remove_newest(struct nv_table *t);      /* its packet gives no frame */
int64_t nv_order_next(struct nv_table *t, int64_t otherwise);

#endif
