/* The CODECS strings of RFC 6381 and its registrations, as HLS and DASH want them.
 *
 * Each function writes a NUL-terminated string into `ret` of CODECS_MAX bytes, untouched on error.
 * Threads: pure functions. Memory: nothing is allocated. Any bytes are safe. */
#ifndef MEDIA_CODECS_H
#define MEDIA_CODECS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "media/aac.h"
#include "media/av1.h"
#include "media/color.h"
#include "media/hevc.h"

#define CODECS_MAX 64

/* "avc1.PPCCLL": profile_idc, constraint flags and level_idc in hex (RFC 6381, 3.3). */
void codecs_h264(uint8_t profile_idc, uint8_t constraints, uint8_t level_idc, char *ret);

/* "hvc1.2.4.L153.B0" (ISO/IEC 14496-15, E.3): profile space and number, compatibility flags in
 * reverse bit order, tier and level, constraint bytes without trailing zero ones. `entry` is the
 * sample entry: "hvc1" (parameter sets in the header) or "hev1". */
void codecs_hevc(const char *entry, const struct hevc_profile *profile, char *ret);

/* "av01.0.08M.10", with the colour part ".0.112.09.16.09.0" where it differs from the default of
 * BT.709 4:2:0 (AV1 in ISOBMFF, section 5). `color` may be NULL: unknown. */
void codecs_av1(const struct av1_config *config, const struct color *color, char *ret);

/* "mp4a.40.2", "mp4a.40.5" and "mp4a.40.29" where SBR or PS is said to be there. */
void codecs_aac(const struct aac_config *config, char *ret);

struct vp9_config {
    uint8_t profile;   /* 0..3 */
    uint8_t level;     /* 10 times the level */
    uint8_t bit_depth; /* 8, 10 or 12 */
    uint8_t chroma;    /* vpcC's: 0 4:2:0 left, 1 4:2:0 top left, 2 4:2:2, 3 4:4:4 */
    struct color color;
};

/* "vp09.00.31.08", with colour where it is known (VP Codec ISO Media File Format Binding). */
void codecs_vp9(const struct vp9_config *config, char *ret);

/* Lowest level of VP9 (10 times) for a size in pixels and a frame rate; 62 where none suffices.
 * Frame rate {0, 0}: by the size alone. */
uint8_t vp9_level(int32_t width, int32_t height, struct rational frame_rate);

/* vpcC, with or without the four bytes of version and flags that begin it in MP4. */
int vp9_config_read(const void *data, size_t size, struct vp9_config *ret, struct error *err);

/* The string of a track: `codec` is its name (media/track.h) and `extradata` its codec header
 * (avcC, hvcC or Annex B; av1C or OBUs; vpcC; AudioSpecificConfig). "opus", "ac3", "eac3", "flac",
 * "mp3" and "aac" may come without one (AAC is then taken as AAC-LC).
 * UNSUPPORTED: no string is known for the codec. INPUT: its header is missing or broken. */
int codecs_string(const char *codec, const void *extradata, size_t size, char *ret,
                  struct error *err);

#endif
