#include "codec/encoder_check.h"

#include <stdio.h>
#include <string.h>

#define BFRAMES_MAX 16
#define QUALITY_MAX 51
#define QUALITY_MAX_AV1 63

static const struct encoder_profile profiles[] = {
    {"h264", "baseline", CHROMA_420, 8, 8},     {"h264", "main", CHROMA_420, 8, 8},
    {"h264", "high", CHROMA_420, 8, 8},         {"h264", "high10", CHROMA_420, 10, 10},
    {"h264", "high422", CHROMA_422, 8, 10},     {"h264", "high444", CHROMA_444, 8, 10},
    {"hevc", "main", CHROMA_420, 8, 8},         {"hevc", "main10", CHROMA_420, 10, 10},
    {"hevc", "main12", CHROMA_420, 12, 12},     {"hevc", "main422-10", CHROMA_422, 10, 10},
    {"hevc", "main422-12", CHROMA_422, 12, 12}, {"hevc", "main444-8", CHROMA_444, 8, 8},
    {"hevc", "main444-10", CHROMA_444, 10, 10}, {"hevc", "main444-12", CHROMA_444, 12, 12},
    {"av1", "main", CHROMA_420, 8, 10},
};
#define PROFILES_COUNT (sizeof(profiles) / sizeof(profiles[0]))

const struct encoder_profile *encoder_profile(const char *codec, const char *name)
{
    static const struct encoder_profile none = {"", "", CHROMA_420, 8, 10};
    if (!name || !*name)
        return &none;
    for (size_t i = 0; i < PROFILES_COUNT; i++)
        if (!strcmp(profiles[i].codec, codec) && !strcmp(profiles[i].name, name))
            return &profiles[i];
    return NULL;
}

int encoder_profile_unknown(const struct encoder_params *params, struct error *err)
{
    char names[160] = "";
    size_t used = 0;
    for (size_t i = 0; i < PROFILES_COUNT && used < sizeof(names); i++)
        if (!strcmp(profiles[i].codec, params->codec))
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s", used ? ", " : "",
                                     profiles[i].name);
    return error_set(err, RGPU_ERROR_UNSUPPORTED,
                     "%s has no profile \"%s\" here; give --profile one of %s", params->codec,
                     params->profile, names);
}

int encoder_chroma(enum pixel_format format)
{
    const struct pixel_info *info = pixel_info(format);
    if (info->planes < 3 || info->shift_x == 2 || info->shift_y)
        return CHROMA_420;
    return info->shift_x ? CHROMA_422 : CHROMA_444;
}

int encoder_check_rate(const struct encoder_params *params, struct error *err)
{
    const int quality_max = !strcmp(params->codec, "av1") ? QUALITY_MAX_AV1 : QUALITY_MAX;
    if (params->rate == RATE_QUALITY && (params->quality < 0 || params->quality > quality_max))
        return error_set(err, RGPU_ERROR_PARAM, "%s: --quality %d is outside 0 to %d",
                         params->codec, params->quality, quality_max);
    if (params->rate != RATE_QUALITY && params->bit_rate_bps < BIT_RATE_BPS_MIN)
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s: a bit rate of %lld bit/s is below %d; raise --bitrate", params->codec,
                         (long long)params->bit_rate_bps, BIT_RATE_BPS_MIN);
    if (params->speed < 0 || params->speed > 7)
        return error_set(err, RGPU_ERROR_PARAM, "%s: speed p%d is outside p1 to p7", params->codec,
                         params->speed);
    if (params->bframes > BFRAMES_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "%s: %d B-frames in a row are more than %d",
                         params->codec, params->bframes, BFRAMES_MAX);
    if (params->time_base.num <= 0 || params->time_base.den <= 0)
        return error_set(err, RGPU_ERROR_PARAM, "%s: the time base %d/%d is not positive",
                         params->codec, params->time_base.num, params->time_base.den);
    return 0;
}

int encoder_check_refresh(const struct encoder_params *params, struct error *err)
{
    const char *codec = params->codec;
    if (params->intra_refresh_frames == 0)
        return 0;
    if (params->intra_refresh_frames < INTRA_REFRESH_FRAMES_MIN ||
        params->intra_refresh_frames > INTRA_REFRESH_FRAMES_MAX)
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s: intra refresh within %d frames is outside %d to %d; change --gop",
                         codec, params->intra_refresh_frames, INTRA_REFRESH_FRAMES_MIN,
                         INTRA_REFRESH_FRAMES_MAX);
    /* HEVC: what x265 calls so leaves parts that still refer to what was before the recovery point,
     * and NVENC before API 12 does not mark where one is. */
    if (strcmp(codec, "h264") != 0)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: there is no intra refresh; leave --intra-refresh out, or use --codec "
                         "h264",
                         codec);
    if (params->bframes > 0)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: intra refresh and B-frames exclude each other; leave --bframes out",
                         codec);
    if (encoder_interlaced(params))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: there is no intra refresh in interlaced coding; leave "
                         "--intra-refresh out, or deinterlace",
                         codec);
    return 0;
}

int encoder_check_h264(const struct encoder_params *params, struct error *err)
{
    const char *profile = params->profile;
    if (strcmp(params->codec, "h264") != 0 || !profile[0])
        return 0;
    if (encoder_lossless(params) && strcmp(profile, "high444") != 0)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "h264: profile %s has no lossless coding; leave --profile out, give "
                         "high444, or use a --quality of 1 and more",
                         profile);
    if (!strcmp(profile, "baseline") && (params->bframes > 0 || encoder_interlaced(params)))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "h264: profile baseline has no B-frames and no interlaced coding; give "
                         "--profile main or high");
    return 0;
}

bool encoder_timecode(const struct encoder_params *params, const struct frame *frame,
                      struct frame_timecode *ret)
{
    if (!frame_timecode_of(frame, params->timecode_step, ret))
        return false;
    if (!encoder_interlaced(params))
        ret->count = 1;
    /* The standards flag the pictures at which numbers are passed over, and libavcodec takes that
     * for the way of counting; so it is said at each, as FFmpeg does. */
    for (int i = 0; i < ret->count; i++)
        ret->clocks[i].drop = params->timecode_drop;
    return true;
}
