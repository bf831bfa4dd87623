/* A coded packet: one access unit of one track or rendition.
 *
 * Threads: a packet belongs to one thread at a time; its payload may be shared.
 * Memory: fixed-size, pooled by nobody; packet_done drops the payload references. Zero is a valid
 * (empty) packet. */
#ifndef MEDIA_PACKET_H
#define MEDIA_PACKET_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "media/rational.h"

enum packet_flags {
    PACKET_KEY = 1 << 0,          /* decoding may start here */
    PACKET_DISCARD = 1 << 1,      /* decode, but do not show (outside the edit list) */
    PACKET_CORRUPT = 1 << 2,      /* the container says that bytes are missing */
    PACKET_SECOND_FIELD = 1 << 3, /* completes the frame of the packet before it */
};

#define PALETTE_BYTES 1024 /* 256 times blue, green, red, alpha */

struct packet {
    struct buffer *buf;         /* owned reference; `data` points into it */
    const uint8_t *data;        /* BUFFER_PADDING readable bytes follow */
    size_t size;                /* bytes */
    struct buffer *extradata;   /* owned reference; new codec headers from here on, or NULL */
    struct buffer *palette;     /* owned reference; PALETTE_BYTES that this packet is decoded with,
                                 * where they are not in it; each packet has them. Or NULL */
    int64_t pts, dts, duration; /* in the track's time base; PTS_NONE unknown; duration 0 unknown */
    uint64_t ordinal;           /* number in decode order within the track, from 0 */
    uint32_t flags;             /* enum packet_flags */
    uint32_t rendition;         /* which rendition an encoded packet belongs to */
};

/* Another packet with references to the same payload. */
struct packet packet_share(const struct packet *pkt);

/* Moves *from into the result and leaves *from empty. */
struct packet packet_move(struct packet *from);

/* Drops the references and zeroes the packet. Takes an empty one. */
void packet_done(struct packet *pkt);

#endif
