/* What stands between an encoder's packets and the promise of encoder_ops: parameter sets in band,
 * captions, time codes and HDR metadata where the encoder has no way to take them, facts out of the
 * headers.
 *
 * Threads: functions without state. Memory: a packet that grows gets a new buffer. */
#ifndef CODEC_CPU_ENCODER_STREAM_H
#define CODEC_CPU_ENCODER_STREAM_H

#include "codec/codec.h"

/* Profile, level (libavcodec's numbers, -99 unknown) and, for HEVC, the reorder depth out of the
 * parameter sets (Annex B) or the AV1 sequence header; what is not there is left untouched. */
void encoder_stream_facts(const char *codec, struct encoder_header *header);

/* Makes the SPS among H.264 headers (Annex B) say a frame rate, unless it is unknown. MEMORY. */
int encoder_stream_frame_rate(struct rational rate, struct buffer **headers, struct error *err);

/* Puts `headers` (Annex B) in front of an H.264 or HEVC packet that has no SPS of its own. MEMORY.
 */
int encoder_stream_repeat_headers(const char *codec, const struct buffer *headers,
                                  struct packet *pkt, struct error *err);

/* Whether a packet, H.264, has an IDR picture. */
bool encoder_stream_h264_idr(const struct packet *pkt);

/* Adds A/53 caption triplets to an HEVC packet, as the SEI message of ATSC A/72. MEMORY. */
int encoder_stream_captions(const struct buffer *captions, struct packet *pkt, struct error *err);

/* Adds a frame's time code, of one clock or more: an SEI message in HEVC, a metadata OBU in AV1; in
 * H.264 into the picture timing that the encoder has made, whose SPS is in the packet or in
 * `headers` (Annex B; may be NULL). MEMORY. */
int encoder_stream_timecode(const char *codec, const struct buffer *headers,
                            const struct frame_timecode *code, struct packet *pkt,
                            struct error *err);

/* Whether H.264 headers (Annex B) promise the picture timing that time codes go into. */
bool encoder_stream_h264_timed(const struct buffer *headers);

/* Adds HDR metadata OBUs behind the sequence header of an AV1 key packet. MEMORY. */
int encoder_stream_av1_hdr(const struct hdr *hdr, struct packet *pkt, struct error *err);

#endif
