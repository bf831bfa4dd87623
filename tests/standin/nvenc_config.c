/* libnvidia-encode: which configurations a session takes, at its start and in mid-stream.
 *
 * Threads: any. Memory: none. */
#include <string.h>

#include "nvenc.h"

bool nvenc_is_hevc(const NV_ENC_INITIALIZE_PARAMS *init)
{
    return nvenc_guid_equal(&init->encodeGUID, &NV_ENC_CODEC_HEVC_GUID);
}

#if HAS_AV1
bool nvenc_is_av1(const NV_ENC_INITIALIZE_PARAMS *init)
{
    return nvenc_guid_equal(&init->encodeGUID, &NV_ENC_CODEC_AV1_GUID);
}
#else
bool nvenc_is_av1(const NV_ENC_INITIALIZE_PARAMS *init)
{
    (void)init;
    return false;
}
#endif

bool nvenc_is_fields(const NV_ENC_CONFIG *config)
{
    return config->frameFieldMode == NV_ENC_PARAMS_FRAME_FIELD_MODE_FIELD;
}

/* Newer headers name the depths of input and output. */
#if NVENCAPI_MAJOR_VERSION > 12 || (NVENCAPI_MAJOR_VERSION == 12 && NVENCAPI_MINOR_VERSION >= 2)
static int one_depth(NV_ENC_BIT_DEPTH in, NV_ENC_BIT_DEPTH out)
{
    return in != out ? -1 : in == 0 ? 8 : (int)in;
}

static int hevc_depth(const NV_ENC_CONFIG_HEVC *hevc)
{
    return one_depth(hevc->inputBitDepth, hevc->outputBitDepth);
}

static int av1_depth(const NV_ENC_CONFIG *config)
{
    const NV_ENC_CONFIG_AV1 *av1 = &config->encodeCodecConfig.av1Config;
    return one_depth(av1->inputBitDepth, av1->outputBitDepth);
}
#else
static int hevc_depth(const NV_ENC_CONFIG_HEVC *hevc)
{
    return 8 + (int)hevc->pixelBitDepthMinus8;
}
#if HAS_AV1
static int av1_depth(const NV_ENC_CONFIG *config)
{
    const NV_ENC_CONFIG_AV1 *av1 = &config->encodeCodecConfig.av1Config;
    return av1->inputPixelBitDepthMinus8 != av1->pixelBitDepthMinus8
               ? -1
               : 8 + (int)av1->pixelBitDepthMinus8;
}
#else
static int av1_depth(const NV_ENC_CONFIG *config)
{
    (void)config;
    return -1;
}
#endif
#endif

int nvenc_depth(const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config)
{
    return nvenc_is_av1(init)    ? av1_depth(config)
           : nvenc_is_hevc(init) ? hevc_depth(&config->encodeCodecConfig.hevcConfig)
                                 : 8;
}

NV_ENC_BUFFER_FORMAT nvenc_format(const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config)
{
    return nvenc_depth(init, config) > 8 ? NV_ENC_BUFFER_FORMAT_YUV420_10BIT
                                         : NV_ENC_BUFFER_FORMAT_NV12;
}

#if HAS_AV1
/* Its colours as the others have them. */
static struct nvenc_common av1_common(const NV_ENC_CONFIG_AV1 *av1)
{
    struct nvenc_common common = {.no_headers = av1->disableSeqHdr,
                                  .repeat_headers = av1->repeatSeqHdr,
                                  .intra_refresh = av1->enableIntraRefresh,
                                  .idr_period = av1->idrPeriod,
                                  .chroma_format = av1->chromaFormatIDC,
                                  .b_refs = av1->useBFramesAsRef};
    common.vui.videoSignalTypePresentFlag = common.vui.colourDescriptionPresentFlag = 1;
    common.vui.videoFullRangeFlag = av1->colorRange;
    common.vui.colourPrimaries = av1->colorPrimaries;
    common.vui.transferCharacteristics = av1->transferCharacteristics;
    common.vui.colourMatrix = av1->matrixCoefficients;
    common.vui.chromaSampleLocationTop = av1->chromaSamplePosition;
    return common;
}

/* Only what libavcodec's encoder writes can be asked for. */
static const char *av1_fault(const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config)
{
    const NV_ENC_CONFIG_AV1 *av1 = &config->encodeCodecConfig.av1Config;
    if (av1->outputAnnexBFormat)
        return "the format of AV1's Annex B, which is not modelled";
    if (av1->level > NV_ENC_LEVEL_AV1_AUTOSELECT || av1->tier > NV_ENC_TIER_AV1_1)
        return "no level, or no tier of AV1";
    if (av1->disableSeqHdr && av1->repeatSeqHdr)
        return "sequence headers that are off, and repeated";
    if (av1->enableTimingInfo || av1->enableDecoderModelInfo || av1->enableFrameIdNumbers ||
        av1->enableBitstreamPadding || av1->enableCustomTileConfig || av1->enableFilmGrainParams)
        return "a tool of AV1 that is not modelled";
    if (av1->chromaSamplePosition > 2)
        return "no position of AV1's chroma";
    /* The names are the others'; the header says that it is the size of rendering. */
    if (init->darWidth < init->encodeWidth || init->darHeight < init->encodeHeight)
        return "darWidth and darHeight, which AV1 renders at, are below the picture's size";
    return NULL;
}
#else
static const char *av1_fault(const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config)
{
    (void)init;
    (void)config;
    return NULL;
}
#endif

struct nvenc_common nvenc_common_of(const NV_ENC_INITIALIZE_PARAMS *init,
                                    const NV_ENC_CONFIG *config)
{
    const NV_ENC_CONFIG_H264 *h264 = &config->encodeCodecConfig.h264Config;
    const NV_ENC_CONFIG_HEVC *hevc = &config->encodeCodecConfig.hevcConfig;
#if HAS_AV1
    if (nvenc_is_av1(init))
        return av1_common(&config->encodeCodecConfig.av1Config);
#endif
    if (nvenc_is_hevc(init))
        return (struct nvenc_common){.aud = hevc->outputAUD,
                                     .no_headers = hevc->disableSPSPPS,
                                     .repeat_headers = hevc->repeatSPSPPS,
                                     .intra_refresh = hevc->enableIntraRefresh,
                                     .ltr = hevc->enableLTR,
                                     .level = hevc->level,
                                     .idr_period = hevc->idrPeriod,
                                     .chroma_format = hevc->chromaFormatIDC,
                                     .slice_mode = hevc->sliceMode,
                                     .slice_data = hevc->sliceModeData,
                                     .b_refs = hevc->useBFramesAsRef,
                                     .vui = hevc->hevcVUIParameters};
    return (struct nvenc_common){.aud = h264->outputAUD,
                                 .no_headers = h264->disableSPSPPS,
                                 .repeat_headers = h264->repeatSPSPPS,
                                 .intra_refresh = h264->enableIntraRefresh,
                                 .recovery_sei = h264->outputRecoveryPointSEI,
                                 .refresh_period = h264->intraRefreshPeriod,
                                 .refresh_count = h264->intraRefreshCnt,
                                 .ltr = h264->enableLTR,
                                 .level = h264->level,
                                 .idr_period = h264->idrPeriod,
                                 .chroma_format = h264->chromaFormatIDC,
                                 .slice_mode = h264->sliceMode,
                                 .slice_data = h264->sliceModeData,
                                 .b_refs = h264->useBFramesAsRef,
                                 .vui = h264->h264VUIParameters};
}

struct nvenc_rate nvenc_rate_of(const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config)
{
    const NV_ENC_RC_PARAMS *rc = &config->rcParams;
    struct nvenc_rate rate = {.average_bps = rc->averageBitRate,
                              .max_bps = rc->maxBitRate,
                              .vbv_bits = rc->vbvBufferSize,
                              .fps_num = init->frameRateNum,
                              .fps_den = init->frameRateDen};
    /* What the driver takes where nothing is said, or nearly so. */
    if (rate.average_bps == 0)
        rate.average_bps = (unsigned)((uint64_t)init->encodeWidth * init->encodeHeight *
                                      init->frameRateNum / init->frameRateDen / 10);
    if (rc->rateControlMode == NV_ENC_PARAMS_RC_CBR)
        rate.max_bps = rate.average_bps;
    if (rate.max_bps > 0 && rate.vbv_bits == 0)
        rate.vbv_bits = rate.max_bps;
    return rate;
}

/* ---- the start ------------------------------------------------------------------------------ */

static const char *size_fault(const struct nvenc_codec_caps *caps,
                              const NV_ENC_INITIALIZE_PARAMS *init)
{
    if (init->encodeWidth % 2 || init->encodeHeight % 2)
        return "an odd size";
    if (init->encodeWidth < caps->min_width || init->encodeHeight < caps->min_height)
        return "a size below the caps";
    if (init->encodeWidth > caps->max_width || init->encodeHeight > caps->max_height ||
        init->maxEncodeWidth > caps->max_width || init->maxEncodeHeight > caps->max_height)
        return "a size beyond the caps";
    if ((init->maxEncodeWidth == 0) != (init->maxEncodeHeight == 0))
        return "one of the largest sizes is not set";
    if (init->maxEncodeWidth > 0 &&
        (init->encodeWidth > init->maxEncodeWidth || init->encodeHeight > init->maxEncodeHeight))
        return "a size above the largest";
    return NULL;
}

static const char *init_fault(const NV_ENC_INITIALIZE_PARAMS *init)
{
    if (nvenc_preset_find(&init->presetGUID) == 0)
        return "not a preset";
    if (init->tuningInfo <= NV_ENC_TUNING_INFO_UNDEFINED ||
        init->tuningInfo >= NV_ENC_TUNING_INFO_COUNT)
        return "no tuning";
    if (init->frameRateNum == 0 || init->frameRateDen == 0)
        return "no frame rate";
    if (init->enableEncodeAsync)
        return "asynchronous mode, which Linux has not";
    if (!init->enablePTD)
        return "enablePTD is 0, which is not modelled";
    if (init->enableMEOnlyMode || init->enableOutputInVidmem || init->enableSubFrameWrite ||
        init->reportSliceOffsets || init->enableExternalMEHints)
        return "a mode that is not modelled";
    return NULL;
}

static const char *refresh_fault(int device, const NV_ENC_INITIALIZE_PARAMS *init,
                                 const NV_ENC_CONFIG *config)
{
    const struct nvenc_common common = nvenc_common_of(init, config);
    if (!common.intra_refresh)
        return NULL;
    if (!nvenc_cap(device, &init->encodeGUID, NV_ENC_CAPS_SUPPORT_INTRA_REFRESH))
        return "intra refresh, beyond the caps";
    if (nvenc_is_hevc(init))
        return "intra refresh of HEVC, which is not modelled";
    if (config->frameIntervalP > 1)
        return "intra refresh with B-frames, which ignore it";
    if (common.refresh_count == 0 || common.refresh_count >= common.refresh_period)
        return "an intraRefreshCnt that is not below intraRefreshPeriod";
    return NULL;
}

static const char *gop_fault(int device, const NV_ENC_INITIALIZE_PARAMS *init,
                             const NV_ENC_CONFIG *config)
{
    const GUID *codec = &init->encodeGUID;
    const struct nvenc_common common = nvenc_common_of(init, config);
    if (config->gopLength == 0 || config->frameIntervalP < 0)
        return "no length of a GOP, or no interval of P";
    if (config->gopLength != NVENC_INFINITE_GOPLENGTH &&
        config->gopLength < (uint32_t)config->frameIntervalP)
        return "a GOP that is shorter than the interval of P";
    if (config->frameIntervalP - 1 > nvenc_cap(device, codec, NV_ENC_CAPS_NUM_MAX_BFRAMES))
        return "more B-frames than the caps have";
    if (common.idr_period != 0 && common.idr_period != config->gopLength)
        return "an idrPeriod that is not gopLength, which is not modelled";
    if (common.ltr)
        return "long-term references, beyond the caps";
    if (common.b_refs != NV_ENC_BFRAME_REF_MODE_DISABLED &&
        !(nvenc_cap(device, codec, NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE) & (int)common.b_refs))
        return "B-frames as references, beyond the caps";
    if (init->enableWeightedPrediction &&
        (config->frameIntervalP > 1 ||
         !nvenc_cap(device, codec, NV_ENC_CAPS_SUPPORT_WEIGHTED_PREDICTION)))
        return "weighted prediction with B-frames, or beyond the caps";
    return NULL;
}

/* H.264's is of a profile of its own, whatever the chroma; left to the driver, it finds that. */
static const char *lossless_fault(int device, const NV_ENC_INITIALIZE_PARAMS *init,
                                  const NV_ENC_CONFIG *config)
{
    const NV_ENC_RC_PARAMS *rc = &config->rcParams;
    const GUID *profile = &config->profileGUID;
    const bool h264 = nvenc_guid_equal(&init->encodeGUID, &NV_ENC_CODEC_H264_GUID);
    const bool lossless = init->tuningInfo == NV_ENC_TUNING_INFO_LOSSLESS;
    const bool bypass = config->encodeCodecConfig.h264Config.qpPrimeYZeroTransformBypassFlag;
    if (h264 && bypass != lossless)
        return "qpPrimeYZeroTransformBypassFlag without lossless, or lossless without it";
    if (!lossless)
        return NULL;
    if (rc->rateControlMode != NV_ENC_PARAMS_RC_CONSTQP || rc->constQP.qpInterP > 0 ||
        rc->constQP.qpInterB > 0 || rc->constQP.qpIntra > 0)
        return "lossless with another rate control than constant 0";
    if (!nvenc_cap(device, &init->encodeGUID, NV_ENC_CAPS_SUPPORT_LOSSLESS_ENCODE))
        return "lossless, beyond the caps";
    if (h264 && !nvenc_guid_equal(profile, &NV_ENC_H264_PROFILE_HIGH_444_GUID) &&
        !nvenc_guid_equal(profile, &NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID))
        return "lossless in a profile that has none";
    return NULL;
}

static const char *rate_fault(int device, const NV_ENC_INITIALIZE_PARAMS *init,
                              const NV_ENC_CONFIG *config)
{
    const NV_ENC_RC_PARAMS *rc = &config->rcParams;
    const GUID *codec = &init->encodeGUID;
    const int modes = nvenc_cap(device, codec, NV_ENC_CAPS_SUPPORTED_RATECONTROL_MODES);
    const uint32_t qp_max = nvenc_is_av1(init) ? 255 : 51;
    const int b_frames = config->frameIntervalP > 1 ? config->frameIntervalP - 1 : 0;
    if (rc->rateControlMode != NV_ENC_PARAMS_RC_CONSTQP &&
        rc->rateControlMode != NV_ENC_PARAMS_RC_VBR && rc->rateControlMode != NV_ENC_PARAMS_RC_CBR)
        return "a rate control that newer headers have not";
    if ((rc->rateControlMode & (NV_ENC_PARAMS_RC_MODE)modes) != rc->rateControlMode)
        return "a rate control beyond the caps";
    if (rc->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP &&
        (rc->constQP.qpInterP > qp_max || rc->constQP.qpInterB > qp_max ||
         rc->constQP.qpIntra > qp_max))
        return "a quantiser above the largest";
    if (rc->targetQuality > (nvenc_is_av1(init) ? 63 : 51))
        return "a targetQuality above the largest";
    if (rc->rateControlMode == NV_ENC_PARAMS_RC_VBR && rc->maxBitRate > 0 &&
        rc->maxBitRate < rc->averageBitRate)
        return "maxBitRate is below averageBitRate";
    if (rc->vbvInitialDelay > rc->vbvBufferSize)
        return "vbvInitialDelay is above vbvBufferSize";
    if (rc->vbvBufferSize > 0 && !nvenc_cap(device, codec, NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE))
        return "vbvBufferSize, beyond the caps";
    if (rc->enableLookahead && !nvenc_cap(device, codec, NV_ENC_CAPS_SUPPORT_LOOKAHEAD))
        return "lookahead, beyond the caps";
    if (rc->enableLookahead && rc->lookaheadDepth + b_frames > LOOKAHEAD_MAX)
        return "lookahead and B-frames are more than 31";
    if (rc->enableTemporalAQ && !nvenc_cap(device, codec, NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ))
        return "temporal AQ, beyond the caps";
    return NULL;
}

static const char *format_fault(const struct nvenc_codec_caps *caps,
                                const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config)
{
    const int depth = nvenc_depth(init, config);
    const bool main10 = nvenc_guid_equal(&config->profileGUID, &NV_ENC_HEVC_PROFILE_MAIN10_GUID);
    const bool autoselect =
        nvenc_guid_equal(&config->profileGUID, &NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID);
    if (!nvenc_profile_known(&init->encodeGUID, &config->profileGUID))
        return "not a profile of the codec";
    if (depth != 8 && depth != 10)
        return "a depth that is not 8 or 10";
    if (depth == 10 && !caps->deep)
        return "10 bits, beyond the caps";
    if (!autoselect && nvenc_is_hevc(init) && (depth == 10) != main10)
        return "a profile of another depth";
    if (nvenc_common_of(init, config).chroma_format != 1)
        return "chromaFormatIDC is not 1 (4:2:0), the only one that is modelled";
    if (config->monoChromeEncoding)
        return "monochrome, beyond the caps";
    if (config->frameIntervalP > 1 &&
        nvenc_guid_equal(&config->profileGUID, &NV_ENC_H264_PROFILE_BASELINE_GUID))
        return "B-frames in the baseline profile";
    return NULL;
}

/* Of both fields in one input: each has half of the lines, in each plane. */
static const char *field_fault(int device, const NV_ENC_INITIALIZE_PARAMS *init,
                               const NV_ENC_CONFIG *config)
{
    if (config->frameFieldMode == NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME)
        return NULL;
    if (!nvenc_is_fields(config))
        return "a frameFieldMode that is not modelled";
    if (nvenc_is_hevc(init) || nvenc_is_av1(init) ||
        nvenc_cap(device, &init->encodeGUID, NV_ENC_CAPS_SUPPORT_FIELD_ENCODING) == 0)
        return "field coding, beyond the caps";
    if (nvenc_guid_equal(&config->profileGUID, &NV_ENC_H264_PROFILE_BASELINE_GUID))
        return "fields in the baseline profile";
    if (init->encodeHeight % 4)
        return "fields of a height that is no multiple of 4";
    if (config->rcParams.enableLookahead)
        return "fields with lookahead, which is not modelled";
    if (nvenc_common_of(init, config).b_refs != NV_ENC_BFRAME_REF_MODE_DISABLED)
        return "fields with B-frames as references, which is not modelled";
    return NULL;
}

const char *nvenc_config_fault(int device, const NV_ENC_INITIALIZE_PARAMS *init,
                               const NV_ENC_CONFIG *config)
{
    const struct nvenc_codec_caps caps = nvenc_caps_find(device, &init->encodeGUID);
    const char *fault = caps.supported ? init_fault(init) : "a codec beyond the caps";
    if (!fault)
        fault = size_fault(&caps, init);
    if (!fault)
        fault = format_fault(&caps, init, config);
    if (!fault)
        fault = field_fault(device, init, config);
    if (!fault && nvenc_is_av1(init))
        fault = av1_fault(init, config);
    if (!fault)
        fault = gop_fault(device, init, config);
    if (!fault)
        fault = lossless_fault(device, init, config);
    if (!fault)
        fault = refresh_fault(device, init, config);
    if (!fault)
        fault = rate_fault(device, init, config);
    return fault;
}

/* ---- in mid-stream -------------------------------------------------------------------------- */

static bool size_changes(const NV_ENC_INITIALIZE_PARAMS *a, const NV_ENC_INITIALIZE_PARAMS *b)
{
    return a->encodeWidth != b->encodeWidth || a->encodeHeight != b->encodeHeight;
}

/* Without what may change: so that all else must be the same, byte for byte. */
static void config_bare(const NV_ENC_CONFIG *config, NV_ENC_CONFIG *ret)
{
    memcpy(ret, config, sizeof(*ret));
    ret->rcParams.averageBitRate = ret->rcParams.maxBitRate = 0;
    ret->rcParams.vbvBufferSize = ret->rcParams.vbvInitialDelay = 0;
    memset(&ret->rcParams.constQP, 0, sizeof(ret->rcParams.constQP));
}

static bool same_bytes(const void *a, const void *b, size_t size)
{
    return memcmp(a, b, size) == 0;
}

static const char *structure_fault(const NV_ENC_INITIALIZE_PARAMS *a,
                                   const NV_ENC_INITIALIZE_PARAMS *b, const NV_ENC_CONFIG *a_config,
                                   const NV_ENC_CONFIG *b_config)
{
    if (!nvenc_guid_equal(&a->encodeGUID, &b->encodeGUID))
        return "another codec";
    if (!nvenc_guid_equal(&a->presetGUID, &b->presetGUID) || a->tuningInfo != b->tuningInfo)
        return "another preset or tuning";
    if (a->enableEncodeAsync != b->enableEncodeAsync || a->enablePTD != b->enablePTD)
        return "another mode";
    if (a->maxEncodeWidth != b->maxEncodeWidth || a->maxEncodeHeight != b->maxEncodeHeight)
        return "another largest size";
    if (a_config->gopLength != b_config->gopLength ||
        a_config->frameIntervalP != b_config->frameIntervalP)
        return "another structure of the GOP";
    if (nvenc_depth(a, a_config) != nvenc_depth(b, b_config))
        return "another depth";
    if (a_config->rcParams.rateControlMode != b_config->rcParams.rateControlMode)
        return "another rate control";
    return NULL;
}

const char *nvenc_change_fault(const NV_ENC_INITIALIZE_PARAMS *from,
                               const NV_ENC_CONFIG *from_config,
                               const NV_ENC_RECONFIGURE_PARAMS *change)
{
    const NV_ENC_INITIALIZE_PARAMS *to = &change->reInitEncodeParams;
    const NV_ENC_CONFIG *to_config = to->encodeConfig ? to->encodeConfig : from_config;
    NV_ENC_CONFIG a, b;
    const char *fault = structure_fault(from, to, from_config, to_config);
    if (fault)
        return fault;
    config_bare(from_config, &a);
    config_bare(to_config, &b);
    if (!same_bytes(&a, &b, sizeof(a)))
        return "something else than bit rate, buffer, size and frame rate";
    if (size_changes(from, to) && from->maxEncodeWidth == 0)
        return "another size, and no largest one was given";
    if (size_changes(from, to) && !change->forceIDR)
        return "another size without an IDR";
    if (change->resetEncoder && !change->forceIDR)
        return "resetEncoder without an IDR";
    return NULL;
}
