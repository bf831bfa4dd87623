/* Text subtitles on their way from one container's form to another's, through libavcodec's decoders
 * and encoders (SubRip, ASS, WebVTT, MP4 text). WebVTT is written by media/webvtt.h, which escapes
 * what the encoder does not; a source's own stays as it is, with its settings as side data.
 *
 * Threads: one. Memory: one packet. */
#ifndef FILE_TEXT_TRACK_H
#define FILE_TEXT_TRACK_H

#include <libavcodec/codec_id.h>

#include "base/error.h"

struct AVCodecParameters;
struct AVPacket;
struct AVRational;
struct text_track;

/* From the format of `par` to `codec`. UNSUPPORTED where libavcodec lacks one of the two. */
int text_track_open(struct text_track **ret, const struct AVCodecParameters *par,
                    const struct AVRational *time_base, enum AVCodecID codec, struct error *err);

/* What the muxer needs to know of the new format: extradata is set in `to`. */
int text_track_describe(const struct text_track *t, struct AVCodecParameters *to);

/* Rewrites the packet's payload. INPUT: it cannot be read, or says nothing; leave it out. MEMORY.
 */
int text_track_convert(struct text_track *t, struct AVPacket *pkt);

void text_track_close(struct text_track **t);

#endif
