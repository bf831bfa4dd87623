#include "codec/nv/nvenc_setup.h"

#include <string.h>

#include "codec/encoder_check.h"

#define LOOKAHEAD_MAX 31 /* with the B-frames, as NV_ENC_RC_PARAMS says */
/* Frames to the next key frame with B-frames, where NVENC's own "never" is not for: three days at
 * 60/s, and each forced key frame begins anew. */
#define GOP_LONG (1 << 24)
#define ASPECT_TERM_MAX 65535 /* as the streams have it */
#define RENDER_MAX 65536      /* pixels; AV1's syntax has 16 bits for one less */
#define UNSPECIFIED 2         /* H.273 */

_Static_assert(LOOKAHEAD_MAX <= NVENC_DELAY_MAX, "frames inside are bounded");

/* ---- which ----------------------------------------------------------------------------------- */

static const GUID *preset_guid(const struct encoder_params *params)
{
    static const GUID *const presets[] = {
        &NV_ENC_PRESET_P1_GUID, &NV_ENC_PRESET_P2_GUID, &NV_ENC_PRESET_P3_GUID,
        &NV_ENC_PRESET_P4_GUID, &NV_ENC_PRESET_P5_GUID, &NV_ENC_PRESET_P6_GUID,
        &NV_ENC_PRESET_P7_GUID,
    };
    return presets[encoder_speed(params) - 1];
}

static NV_ENC_TUNING_INFO tuning(const struct encoder_params *params)
{
    if (encoder_lossless(params))
        return NV_ENC_TUNING_INFO_LOSSLESS;
    return params->low_latency ? NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY
                               : NV_ENC_TUNING_INFO_HIGH_QUALITY;
}

static bool is_codec(const struct encoder_params *params, const char *codec)
{
    return !strcmp(params->codec, codec);
}

static bool is_ten_bit(const struct encoder_params *params)
{
    return params->format == PIXEL_P010;
}

/* ---- pictures -------------------------------------------------------------------------------- */

/* B-frames in a row; `preset` is the preset's own number. */
static int bframes(const struct encoder_params *params, const struct nvenc_caps *caps, int preset)
{
    if (params->low_latency || params->intra_refresh_frames > 0 ||
        !strcmp(params->profile, "baseline"))
        return 0;
    const bool told = params->bframes >= 0 && !is_codec(params, "av1");
    const int wanted = told ? params->bframes : preset;
    return wanted < 0 ? 0 : wanted < caps->bframes_max ? wanted : caps->bframes_max;
}

/* NVENC's lookahead and its references between B-frames are for progressive pictures. */
static NV_ENC_BFRAME_REF_MODE reference_mode(const struct encoder_params *params,
                                             const struct nvenc_caps *caps, int bframes_count)
{
    const bool middle = bframes_count >= 2 && caps->bframe_reference && !encoder_interlaced(params);
    return middle ? NV_ENC_BFRAME_REF_MODE_MIDDLE : NV_ENC_BFRAME_REF_MODE_DISABLED;
}

static int lookahead_depth(const struct encoder_params *params, const struct nvenc_caps *caps,
                           int bframes_count)
{
    static const int depths[] = {0, 0, 0, 0, 8, 16, 24};
    if (!caps->lookahead || encoder_interlaced(params) ||
        tuning(params) != NV_ENC_TUNING_INFO_HIGH_QUALITY)
        return 0;
    const int depth = depths[encoder_speed(params) - 1];
    const int max = LOOKAHEAD_MAX - bframes_count;
    return depth < max ? depth : max < 0 ? 0 : max;
}

static int reorder_frames(const struct encoder_params *params, int bframes_count,
                          NV_ENC_BFRAME_REF_MODE mode)
{
    /* AV1's packets hold what is not shown together with what is. */
    if (bframes_count == 0 || is_codec(params, "av1"))
        return 0;
    return mode == NV_ENC_BFRAME_REF_MODE_DISABLED ? 1 : 2;
}

/* ---- rate control ---------------------------------------------------------------------------- */

/* NVENC counts in 32 bits; more is no bound to any level. */
static int64_t bounded(int64_t bits)
{
    return bits > INT32_MAX ? INT32_MAX : bits;
}

/* Of the leaky bucket, 0 where there is none. */
static int64_t rate_max(const struct encoder_params *params)
{
    if (params->rate == RATE_CBR)
        return bounded(params->bit_rate_bps);
    if (params->bit_rate_max_bps > 0)
        return bounded(params->bit_rate_max_bps);
    return params->rate == RATE_VBR ? bounded(bounded(params->bit_rate_bps) * 3 / 2) : 0;
}

static int64_t vbv_size(const struct encoder_params *params, int64_t max)
{
    if (max == 0)
        return 0;
    if (params->vbv_bits > 0)
        return bounded(params->vbv_bits);
    if (params->low_latency && params->rate == RATE_CBR) {
        /* One picture is to take no longer to send than to show. */
        const struct rational r = encoder_frame_rate(params);
        const int64_t bits = bounded(max * r.den / r.num);
        return bits > 0 ? bits : 1;
    }
    return bounded(2 * max);
}

static void set_rate(NV_ENC_RC_PARAMS *rc, const struct encoder_params *params,
                     const struct nvenc_caps *caps)
{
    const int64_t max = rate_max(params);
    rc->rateControlMode = params->rate == RATE_CBR ? NV_ENC_PARAMS_RC_CBR : NV_ENC_PARAMS_RC_VBR;
    rc->averageBitRate = 0;
    rc->targetQuality = 0;
    rc->targetQualityLSB = 0;
    if (params->rate == RATE_QUALITY)
        rc->targetQuality = (uint8_t)params->quality;
    else /* as x264 does it where the maximum is the lower one */
        rc->averageBitRate = (uint32_t)(params->bit_rate_bps < max ? params->bit_rate_bps : max);
    rc->maxBitRate = (uint32_t)max;
    rc->vbvBufferSize = caps->custom_vbv ? (uint32_t)vbv_size(params, max) : 0;
    rc->vbvInitialDelay = 0;
}

static void set_lossless(NV_ENC_RC_PARAMS *rc)
{
    rc->rateControlMode = NV_ENC_PARAMS_RC_CONSTQP;
    rc->constQP = (NV_ENC_QP){0};
    rc->averageBitRate = rc->maxBitRate = 0;
    rc->vbvBufferSize = rc->vbvInitialDelay = 0;
    rc->targetQuality = rc->targetQualityLSB = 0;
    rc->multiPass = NV_ENC_MULTI_PASS_DISABLED;
    rc->enableMinQP = rc->enableMaxQP = rc->enableInitialRCQP = 0;
}

/* What costs time and gives quality, as much as the preset stands for. */
static void set_effort(NV_ENC_RC_PARAMS *rc, const struct encoder_params *params,
                       const struct nvenc_caps *caps)
{
    const int speed = encoder_speed(params);
    const NV_ENC_MULTI_PASS passes = speed >= 6   ? NV_ENC_TWO_PASS_FULL_RESOLUTION
                                     : speed == 5 ? NV_ENC_TWO_PASS_QUARTER_RESOLUTION
                                                  : NV_ENC_MULTI_PASS_DISABLED;
    if (passes > rc->multiPass)
        rc->multiPass = passes;
    rc->enableAQ = speed >= 4;
    rc->aqStrength = 0; /* the driver's choice */
    rc->enableTemporalAQ = speed >= 4 && caps->temporal_aq && !params->low_latency;
}

static void set_rc(NV_ENC_RC_PARAMS *rc, const struct encoder_params *params,
                   const struct nvenc_caps *caps, int lookahead)
{
    rc->enableAQ = rc->enableTemporalAQ = 0;
    if (encoder_lossless(params)) {
        set_lossless(rc);
    } else {
        set_rate(rc, params, caps);
        set_effort(rc, params, caps);
    }
    rc->enableLookahead = lookahead > 0;
    rc->lookaheadDepth = (uint16_t)lookahead;
    rc->disableIadapt = 1; /* key frames are the caller's to place */
    rc->zeroReorderDelay = params->low_latency;
    if (params->low_latency)
        rc->lowDelayKeyFrameScale = 1;
}

/* ---- codecs ---------------------------------------------------------------------------------- */

/* Of struct color, where 0 is unknown. */
static unsigned code_point(unsigned value)
{
    return value ? value : UNSPECIFIED;
}

static unsigned matrix_point(unsigned value)
{
    return value == MATRIX_RGB ? 0 : code_point(value);
}

static void set_vui(NV_ENC_CONFIG_H264_VUI_PARAMETERS *vui, const struct encoder_params *params,
                    int bframes_count)
{
    const struct color *c = &params->color;
    const bool described = c->primaries || c->transfer || c->matrix;
    memset(vui, 0, sizeof(*vui));
    vui->videoSignalTypePresentFlag = described || c->range != RANGE_UNKNOWN;
    vui->videoFormat = 5; /* unspecified */
    vui->videoFullRangeFlag = c->range == RANGE_FULL;
    vui->colourDescriptionPresentFlag = described;
    vui->colourPrimaries = code_point(c->primaries);
    vui->transferCharacteristics = code_point(c->transfer);
    vui->colourMatrix = matrix_point(c->matrix);
    if (c->chroma != CHROMA_UNKNOWN) {
        vui->chromaSampleLocationFlag = 1;
        vui->chromaSampleLocationTop = vui->chromaSampleLocationBot = c->chroma - CHROMA_LEFT;
    }
    /* Without reordering players need not wait for pictures that never come. */
    vui->bitstreamRestrictionFlag = bframes_count == 0;
}

/* Frames that one refresh takes: nearly all of the time to the next, so that no frame is large. */
static uint32_t refresh_count(const struct encoder_params *params)
{
    return params->intra_refresh_frames > 0 ? (uint32_t)params->intra_refresh_frames - 1 : 0;
}

static void set_h264(NV_ENC_CONFIG_H264 *h, const struct encoder_params *params, int bframes_count,
                     NV_ENC_BFRAME_REF_MODE mode)
{
    const bool baseline = !strcmp(params->profile, "baseline");
    h->idrPeriod = bframes_count ? GOP_LONG : NVENC_INFINITE_GOPLENGTH;
    h->repeatSPSPPS = 1;
    h->disableSPSPPS = 0;
    h->outputAUD = 0;
    h->outputPictureTimingSEI = params->timecode_step > 0; /* has room for them */
    h->enableVFR = 1; /* says in the VUI that pictures are not evenly spaced */
    h->enableIntraRefresh = h->outputRecoveryPointSEI = params->intra_refresh_frames > 0;
    /* What is new is not to be predicted from what is not yet. */
    h->useConstrainedIntraPred = h->enableIntraRefresh;
    h->intraRefreshPeriod = (uint32_t)params->intra_refresh_frames;
    h->intraRefreshCnt = refresh_count(params);
    h->level = NV_ENC_LEVEL_AUTOSELECT;
    h->chromaFormatIDC = 1;
    h->entropyCodingMode =
        baseline ? NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC : NV_ENC_H264_ENTROPY_CODING_MODE_CABAC;
    if (baseline || !strcmp(params->profile, "main"))
        h->adaptiveTransformMode = NV_ENC_H264_ADAPTIVE_TRANSFORM_DISABLE;
    h->qpPrimeYZeroTransformBypassFlag = encoder_lossless(params);
    h->useBFramesAsRef = mode;
#if GPU_ENCODE_API(12, 2)
    h->inputBitDepth = h->outputBitDepth = NV_ENC_BIT_DEPTH_8;
#endif
    set_vui(&h->h264VUIParameters, params, bframes_count);
}

static void set_hevc(NV_ENC_CONFIG_HEVC *h, const struct encoder_params *params, int bframes_count,
                     NV_ENC_BFRAME_REF_MODE mode)
{
    h->idrPeriod = bframes_count ? GOP_LONG : NVENC_INFINITE_GOPLENGTH;
    h->repeatSPSPPS = 1;
    h->disableSPSPPS = 0;
    h->outputAUD = 0;
    h->enableIntraRefresh = 0;
    h->level = NV_ENC_LEVEL_AUTOSELECT;
    h->tier = NV_ENC_TIER_HEVC_MAIN;
    h->chromaFormatIDC = 1;
    h->useBFramesAsRef = mode;
#if GPU_ENCODE_API(12, 2)
    h->inputBitDepth = h->outputBitDepth =
        is_ten_bit(params) ? NV_ENC_BIT_DEPTH_10 : NV_ENC_BIT_DEPTH_8;
#else
    h->pixelBitDepthMinus8 = is_ten_bit(params) ? 2 : 0;
#endif
    set_vui(&h->hevcVUIParameters, params, bframes_count);
}

#if GPU_ENCODE_API(12, 0)
static void set_av1(NV_ENC_CONFIG_AV1 *a, const struct encoder_params *params, int bframes_count,
                    NV_ENC_BFRAME_REF_MODE mode)
{
    const struct color *c = &params->color;
    a->idrPeriod = bframes_count ? GOP_LONG : NVENC_INFINITE_GOPLENGTH;
    a->repeatSeqHdr = 1;
    a->disableSeqHdr = 0;
    a->outputAnnexBFormat = 0;
    a->enableIntraRefresh = 0;
    a->level = NV_ENC_LEVEL_AV1_AUTOSELECT;
    a->tier = NV_ENC_TIER_AV1_0;
    a->chromaFormatIDC = 1;
    a->useBFramesAsRef = mode;
#if GPU_ENCODE_API(12, 2)
    a->inputBitDepth = a->outputBitDepth =
        is_ten_bit(params) ? NV_ENC_BIT_DEPTH_10 : NV_ENC_BIT_DEPTH_8;
#else
    a->inputPixelBitDepthMinus8 = a->pixelBitDepthMinus8 = is_ten_bit(params) ? 2 : 0;
#endif
    a->colorPrimaries = code_point(c->primaries);
    a->transferCharacteristics = code_point(c->transfer);
    a->matrixCoefficients = matrix_point(c->matrix);
    a->colorRange = c->range == RANGE_FULL;
    a->chromaSamplePosition = c->chroma == CHROMA_LEFT ? 1 : c->chroma == CHROMA_TOP_LEFT ? 2 : 0;
}
#endif

/* ---- the whole ------------------------------------------------------------------------------- */

static void set_config(NV_ENC_CONFIG *config, const struct encoder_params *params,
                       int bframes_count, NV_ENC_BFRAME_REF_MODE mode)
{
    NV_ENC_CODEC_CONFIG *codec = &config->encodeCodecConfig;
    config->profileGUID = *nvenc_profile_guid(params);
    config->gopLength = bframes_count ? GOP_LONG : NVENC_INFINITE_GOPLENGTH;
    config->frameIntervalP = bframes_count + 1;
    config->monoChromeEncoding = 0;
    config->frameFieldMode = encoder_interlaced(params) ? NV_ENC_PARAMS_FRAME_FIELD_MODE_FIELD
                                                        : NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
    if (is_codec(params, "h264"))
        set_h264(&codec->h264Config, params, bframes_count, mode);
    else if (is_codec(params, "hevc"))
        set_hevc(&codec->hevcConfig, params, bframes_count, mode);
#if GPU_ENCODE_API(12, 0)
    else
        set_av1(&codec->av1Config, params, bframes_count, mode);
#endif
}

/* Of the whole picture: NVENC takes that of the samples from it. */
static struct rational display_aspect(const struct encoder_params *params)
{
    struct rational sample = {1, 1};
    if (params->sample_aspect.num > 0 && params->sample_aspect.den > 0)
        sample = rational_reduce(params->sample_aspect.num, params->sample_aspect.den);
    while (sample.num > ASPECT_TERM_MAX || sample.den > ASPECT_TERM_MAX) {
        sample.num = sample.num > 1 ? sample.num / 2 : 1;
        sample.den = sample.den > 1 ? sample.den / 2 : 1;
    }
    return rational_reduce((int64_t)params->width * sample.num,
                           (int64_t)params->height * sample.den);
}

/* AV1 has the size that the picture is to be shown at instead: with the same aspect, and with no
 * side below the coded one. */
static struct rational render_size(const struct encoder_params *params)
{
    const struct rational sample = params->sample_aspect;
    int64_t width = params->width, height = params->height;
    if (sample.num > 0 && sample.den > 0 && sample.num > sample.den)
        width = width * sample.num / sample.den;
    else if (sample.num > 0 && sample.den > 0)
        height = height * sample.den / sample.num;
    return (struct rational){(int)(width < RENDER_MAX ? width : RENDER_MAX),
                             (int)(height < RENDER_MAX ? height : RENDER_MAX)};
}

/* Up to the next multiple of a power of two, by less than an eighth. */
static int rounded_up(int side)
{
    int step = 1;
    while (step * 16 <= side)
        step *= 2;
    return (side + step - 1) / step * step;
}

/* The session can later be given any size up to this one, while its memory grows with it: so much
 * more that nearly equal sizes (854 and 848 columns, 800 and 816 lines) share a session, and less
 * than 1.27 times the area; most rungs of 16:9 cost 1.07 times. */
static void set_largest(NV_ENC_INITIALIZE_PARAMS *init, const struct encoder_params *params,
                        const struct nvenc_caps *caps)
{
    int width = params->width, height = params->height;
    if (caps->dynamic_size) {
        width = rounded_up(width) < caps->width_max ? rounded_up(width) : caps->width_max;
        height = rounded_up(height) < caps->height_max ? rounded_up(height) : caps->height_max;
    }
    const bool fits = nvenc_size_fits(width, height, caps);
    init->maxEncodeWidth = (uint32_t)(fits ? width : params->width);
    init->maxEncodeHeight = (uint32_t)(fits ? height : params->height);
}

static void set_init(NV_ENC_INITIALIZE_PARAMS *init, const struct encoder_params *params)
{
    const struct rational rate = encoder_frame_rate(params);
    const struct rational aspect =
        is_codec(params, "av1") ? render_size(params) : display_aspect(params);
    init->version = NV_ENC_INITIALIZE_PARAMS_VER;
    init->encodeGUID = *nvenc_codec_guid(params->codec);
    init->presetGUID = *preset_guid(params);
    init->tuningInfo = tuning(params);
    init->encodeWidth = (uint32_t)params->width;
    init->encodeHeight = (uint32_t)params->height;
    init->darWidth = (uint32_t)aspect.num;
    init->darHeight = (uint32_t)aspect.den;
    init->frameRateNum = (uint32_t)rate.num;
    init->frameRateDen = (uint32_t)rate.den;
    init->enablePTD = 1;
}

int nvenc_setup(struct nvenc_setup *ret, const struct encoder_params *params,
                const struct nvenc_caps *caps, const struct gpu_encode *api, void *session,
                struct error *err)
{
    NV_ENC_PRESET_CONFIG preset = {
        .version = NV_ENC_PRESET_CONFIG_VER,
        .presetCfg.version = NV_ENC_CONFIG_VER,
    };
    const NVENCSTATUS status = api->functions.nvEncGetEncodePresetConfigEx(
        session, *nvenc_codec_guid(params->codec), *preset_guid(params), tuning(params), &preset);
    if (status != NV_ENC_SUCCESS)
        return gpu_encode_error(err, status, "the encoder's preset", session);
    const int count = bframes(params, caps, preset.presetCfg.frameIntervalP - 1);
    const int lookahead = lookahead_depth(params, caps, count);
    const NV_ENC_BFRAME_REF_MODE mode = reference_mode(params, caps, count);
    *ret = (struct nvenc_setup){
        .config = preset.presetCfg,
        .format =
            is_ten_bit(params) ? NV_ENC_BUFFER_FORMAT_YUV420_10BIT : NV_ENC_BUFFER_FORMAT_NV12,
        .delay_frames = lookahead + count,
        .reorder_frames = reorder_frames(params, count, mode),
    };
    ret->config.version = NV_ENC_CONFIG_VER;
    set_config(&ret->config, params, count, mode);
    set_rc(&ret->config.rcParams, params, caps, lookahead);
    set_init(&ret->init, params);
    set_largest(&ret->init, params, caps);
    ret->init.encodeConfig = &ret->config;
    return 0;
}
