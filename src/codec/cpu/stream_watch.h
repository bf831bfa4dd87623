/* Looks at the packets on their way to libavcodec, for what it would get wrong.
 *
 * Colours: the decoders for H.264 and MPEG-2 hold on to a colour description, and those for H.264
 * and HEVC to a preferred transfer, when headers follow that have none. What a picture is said to
 * be would depend on where decoding began; here it depends on nothing from before the last
 * random-access point but the headers that it uses.
 *
 * Ends of sequences in HEVC: pictures of the old sequence that have not been given when the new one
 * begins are dropped where H.265 C.5.2.2 says so. Where a film is cut there, they are not.
 *
 * Threads: one. Memory: some 20 KB of parameter sets; nothing grows. Limits: none of its own. */
#ifndef CODEC_CPU_STREAM_WATCH_H
#define CODEC_CPU_STREAM_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include <libavutil/frame.h>

#include "media/packet.h"
#include "media/track.h"

struct stream_facts {
    uint32_t color;   /* for stream_watch_color; 0: libavcodec's word is good */
    bool drops_prior; /* pictures of before would be dropped: bring them out first */
};

struct stream_watch;

/* Writes NULL for a codec that needs none. MEMORY. */
int stream_watch_new(struct stream_watch **ret, const struct track *track);

/* Takes NULL, writes NULL. */
void stream_watch_free(struct stream_watch **w);

/* Looks at the next packet in decoding order, once each. */
struct stream_facts stream_watch_next(struct stream_watch *w, const struct packet *pkt);

/* Corrects colours, range and the pixel format's name, not the planes. */
void stream_watch_color(uint32_t color, AVFrame *frame);

#endif
