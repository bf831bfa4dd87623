/* What NVENC can do: codecs, profiles and formats of this build's headers, a device's capabilities,
 * and whether they suffice for a set of encoder parameters.
 *
 * Threads: any; a session by one thread at a time. Memory: none but the caller's structs. */
#ifndef CODEC_NV_NVENC_CAPS_H
#define CODEC_NV_NVENC_CAPS_H

#include "codec/codec.h"
#include "gpu/encode.h"

/* What a device can do for one codec. */
struct nvenc_caps {
    int width_min, width_max, height_min, height_max; /* pixels */
    int macroblocks_max;                              /* of 16x16, a picture; 0: not said */
    int bframes_max;                                  /* in a row */
    bool bframe_reference; /* the middle one of a row may be referred to */
    bool ten_bit, lossless, fields, lookahead, temporal_aq, custom_vbv, intra_refresh;
    bool dynamic_bit_rate, dynamic_size; /* may change in a session */
};

/* Pixel format that a device's encoder is given for a source format: NV12 or P010; PIXEL_NONE where
 * the codec, the profile or the headers of this build have none. */
enum pixel_format nvenc_format(const char *codec, const char *profile, enum pixel_format source);

/* NVENC's name of a codec, static; NULL: it has none in the headers of this build. */
const GUID *nvenc_codec_guid(const char *codec);

/* NVENC's name of the profile that is asked for, or of what fits, static; NULL: there is none. */
const GUID *nvenc_profile_guid(const struct encoder_params *params);

/* Asks an open session what it can do for a codec. UNSUPPORTED: the device does not encode it;
 * DEVICE. */
int nvenc_caps(struct nvenc_caps *ret, const struct gpu_encode *api, void *session,
               const char *codec, struct error *err);

/* Whether pictures are not too large for the device. */
bool nvenc_size_fits(int width, int height, const struct nvenc_caps *caps);

/* 0 where the device can do what is asked for; else UNSUPPORTED, naming which and the remedy; PARAM
 * where no encoder could. */
int nvenc_check(const struct encoder_params *params, const struct nvenc_caps *caps,
                struct error *err);

#endif
