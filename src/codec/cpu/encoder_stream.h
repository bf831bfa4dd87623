/* What stands between an encoder's packets and the promise of encoder_ops: parameter sets in band,
 * captions and HDR metadata where the encoder has no way to take them, facts out of the headers.
 *
 * Threads: functions without state. Memory: a packet that grows gets a new buffer. */
#ifndef CODEC_CPU_ENCODER_STREAM_H
#define CODEC_CPU_ENCODER_STREAM_H

#include "codec/codec.h"

/* Profile, level (libavcodec's numbers, -99 unknown) and, for HEVC, the reorder depth out of the
 * parameter sets (Annex B) or the AV1 sequence header; what is not there is left untouched. */
void encoder_stream_facts(const char *codec, struct encoder_header *header);

/* Puts `headers` (Annex B) in front of an H.264 or HEVC packet that has no SPS of its own. MEMORY.
 */
int encoder_stream_repeat_headers(const char *codec, const struct buffer *headers,
                                  struct packet *pkt, struct error *err);

/* Whether a packet, H.264, has an IDR picture. */
bool encoder_stream_h264_idr(const struct packet *pkt);

/* Adds A/53 caption triplets to an HEVC packet, as the SEI message of ATSC A/72. MEMORY. */
int encoder_stream_captions(const struct buffer *captions, struct packet *pkt, struct error *err);

/* Adds HDR metadata OBUs behind the sequence header of an AV1 key packet. MEMORY. */
int encoder_stream_av1_hdr(const struct hdr *hdr, struct packet *pkt, struct error *err);

#endif
