/* Codec headers of H.264: the avcC record of MP4 and Matroska (ISO/IEC 14496-15, 5.3.3.1) and its
 * parameter sets in Annex B, read into one struct and written as either.
 *
 * Threads: pure functions. Memory: nothing is allocated; units point into the bytes that were read.
 * Limits: 32 SPS, 255 PPS, 32 SPS extensions, units up to 65535 bytes in avcC. Any bytes are safe.
 */
#ifndef MEDIA_AVCC_H
#define MEDIA_AVCC_H

#include "media/h264.h"

#define AVCC_PPS_MAX 255
#define AVCC_EXT_MAX 32

struct avcc {
    uint8_t profile_idc, constraints, level_idc;
    unsigned length_size; /* 1, 2 or 4; 4 where it was read from Annex B. See media/nal.h */
    bool annexb;          /* it was read from Annex B, so packets are in Annex B too */
    int sps_count, pps_count, ext_count;
    struct nal sps[H264_SPS_MAX], pps[AVCC_PPS_MAX], ext[AVCC_EXT_MAX]; /* borrowed */
};

/* Reads avcC, or Annex B where the bytes begin with a start code. INPUT: it is neither, is cut
 * short, or has no SPS; LIMIT: too many units. Units equal to an earlier one are kept once. */
int avcc_read(const void *data, size_t size, struct avcc *ret, struct error *err);

/* Sums up the parameter sets of one access unit: as avcc_read, in any framing. */
int avcc_from_units(const void *data, size_t size, unsigned length_size, struct avcc *ret,
                    struct error *err);

/* Writes avcC with `length_size` bytes of length, its first fields and high-profile part taken from
 * the first SPS; *ret_size gets the size needed. LIMIT: `capacity` is too small, or a unit is too
 * long. INPUT: there is no SPS, or the first one cannot be parsed. */
int avcc_write(const struct avcc *config, void *out, size_t capacity, size_t *ret_size,
               struct error *err);

/* Writes the units in Annex B, SPS first; as above. */
int avcc_write_annexb(const struct avcc *config, void *out, size_t capacity, size_t *ret_size,
                      struct error *err);

/* Puts all parameter sets into a context. INPUT: one cannot be parsed (the others are in). */
int avcc_apply(const struct avcc *config, struct h264_context *ctx, struct error *err);

#endif
