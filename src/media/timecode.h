/* SMPTE time codes of pictures, in and out: the time code message of H.265 (D.2.27), the clocks of
 * H.264's picture timing (D.1.3), and AV1's metadata (6.7.7).
 *
 * Written are whole times of day, with drop-frame counting or none. What a message that is read
 * leaves out is 0, as libavcodec has it, and is told.
 *
 * Threads: pure functions. Memory: the caller's. Limits: SEI units of TIMECODE_UNIT_MAX bytes are
 * rewritten, larger ones left alone. Any bytes are safe. */
#ifndef MEDIA_TIMECODE_H
#define MEDIA_TIMECODE_H

#include "media/frame.h"
#include "media/h264.h"
#include "media/h26x.h"

#define TIMECODE_RATE_MAX 80   /* frames a second: more have numbers that are too large */
#define TIMECODE_UNIT_MAX 4096 /* bytes */
#define TIMECODE_PAYLOAD_MAX 36
#define TIMECODE_REWRITTEN_MAX (TIMECODE_UNIT_MAX / 2 * 3 + 3 * TIMECODE_PAYLOAD_MAX)

struct timecode_sei {
    struct frame_timecode code; /* count 0: none */
    bool partial;     /* some clock leaves out hours, minutes or seconds, or is left out in front of
                       * another, or has a number that is too large for us */
    bool drop;        /* drop-frame counting, if at this picture a number was passed over or not */
    int pic_struct;   /* H.264: table D-1; -1: not said */
    uint8_t ct_types; /* H.264: bit N: a clock has ct_type N (0 progressive, 1 interlaced) */
};

/* SEI_TIME_CODE of H.265. False: it is none, or cut short; then *ret is untouched. */
bool timecode_read_hevc(const struct sei *sei, struct timecode_sei *ret);

/* SEI_PIC_TIMING of H.264; `sps`: the one in use. False as above, and where it says no pic_struct;
 * of one that is cut short behind that, the clocks that are there. */
bool timecode_read_h264(const struct sei *sei, const struct h264_sps *sps,
                        struct timecode_sei *ret);

/* Payload of an SEI_TIME_CODE. Gives the number of bytes. */
size_t timecode_write_hevc(const struct frame_timecode *code, uint8_t ret[TIMECODE_PAYLOAD_MAX]);

/* Puts clocks into the SEI_PIC_TIMING of an H.264 SEI unit, as many as its pic_struct has room for;
 * all else stays. `messages` counts those of one access unit, of which the second is the second
 * field's. `ret` gets the unit, with emulation prevention. Gives the number of bytes; 0: there is
 * none in it that could take a clock. */
size_t timecode_rewrite_h264(const struct frame_timecode *code, const struct h264_sps *sps,
                             struct nal unit, int *messages, uint8_t ret[TIMECODE_REWRITTEN_MAX]);

/* Payload of an AV1 metadata OBU, from metadata_type to the trailing bits: the first clock. Gives
 * the number of bytes. */
size_t timecode_write_av1(const struct frame_timecode *code, uint8_t ret[TIMECODE_PAYLOAD_MAX]);

#endif
