/* Codec headers of H.265: the hvcC record of MP4 and Matroska (ISO/IEC 14496-15, 8.3.3.1) and its
 * parameter sets in Annex B, read into one struct and written as either.
 *
 * Threads: pure functions. Memory: nothing is allocated; units point into the bytes that were read.
 * Limits: 16 VPS, 16 SPS, 64 PPS, 16 SEI units, each up to 65535 bytes in hvcC. Any bytes are
 * safe. */
#ifndef MEDIA_HVCC_H
#define MEDIA_HVCC_H

#include "media/hevc.h"

#define HVCC_SEI_MAX 16

struct hvcc {
    struct hevc_profile profile;
    uint8_t chroma_format_idc, bit_depth_luma, bit_depth_chroma;
    uint8_t sub_layers;   /* 0 unknown */
    unsigned length_size; /* 1, 2 or 4; 4 where it was read from Annex B. See media/nal.h */
    bool annexb;          /* it was read from Annex B, so packets are in Annex B too */
    bool in_band;         /* sets may also stand in packets (sample entry hev1, not hvc1) */
    int vps_count, sps_count, pps_count, sei_count;
    struct nal vps[HEVC_VPS_MAX], sps[HEVC_SPS_MAX], pps[HEVC_PPS_MAX], sei[HVCC_SEI_MAX];
    /* borrowed */
};

/* Reads hvcC, or Annex B where the bytes begin with a start code. INPUT: it is neither, is cut
 * short, or has no SPS; LIMIT: too many units. Units equal to an earlier one are kept once. */
int hvcc_read(const void *data, size_t size, struct hvcc *ret, struct error *err);

/* Sums up the parameter sets of one access unit: as hvcc_read, in any framing. Its SEI units are
 * those of pictures and are left out. */
int hvcc_from_units(const void *data, size_t size, unsigned length_size, struct hvcc *ret,
                    struct error *err);

/* Writes hvcC with `length_size` bytes of length, its fields taken from the parameter sets;
 * *ret_size gets the size needed. LIMIT: `capacity` is too small, or a unit is too long. INPUT:
 * there is no SPS, or one cannot be parsed. */
int hvcc_write(const struct hvcc *config, void *out, size_t capacity, size_t *ret_size,
               struct error *err);

/* Writes the units in Annex B: VPS, SPS, PPS, SEI; as above. */
int hvcc_write_annexb(const struct hvcc *config, void *out, size_t capacity, size_t *ret_size,
                      struct error *err);

/* Puts all parameter sets into a context. INPUT: one cannot be parsed (the others are in). */
int hvcc_apply(const struct hvcc *config, struct hevc_context *ctx, struct error *err);

/* The transfer characteristics (H.273) that the SEI units prefer over the SPS's, the last of them;
 * 0: none do. `ctx` has the parameter sets. */
uint8_t hvcc_preferred_transfer(const struct hvcc *config, struct hevc_context *ctx);

#endif
