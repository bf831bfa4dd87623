/* libnvidia-encode: what the devices encode, as the settings have it, and presets.
 *
 * Threads: any. Memory: none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvenc.h"
#include "nvenc_api.h"

#define ITEMS_MAX 1024 /* bytes of a setting */
#define INFINITE NVENC_INFINITE_GOPLENGTH
#define LEVEL_MAX_AV1 23 /* NV_ENC_LEVEL_AV1_73, which older headers have not */

bool nvenc_guid_equal(const GUID *a, const GUID *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* ---- devices -------------------------------------------------------------------------------- */

/* Devices are divided by semicolons; the last stands for all behind it. */
static void device_text(int device, char ret[ITEMS_MAX])
{
    const char *text = standin_setting_text("ENCODERS", "");
    for (const char *next; device > 0 && (next = strchr(text, ';')); device--)
        text = next + 1;
    snprintf(ret, ITEMS_MAX, "%.*s", (int)strcspn(text, ";"), text);
}

bool nvenc_device_encodes(int device)
{
    char text[ITEMS_MAX];
    device_text(device, text);
    return text[0] != '\0';
}

static const struct {
    const char *name;
    const GUID *guid;
    unsigned min_width, min_height;
} codecs[] = {
    {"h264", &NV_ENC_CODEC_H264_GUID, 145, 49},
    {"hevc", &NV_ENC_CODEC_HEVC_GUID, 129, 33},
#if HAS_AV1
    {"av1", &NV_ENC_CODEC_AV1_GUID, 129, 33},
#endif
};

#define CODECS (sizeof(codecs) / sizeof(codecs[0]))

/* codec:depths:largest[:smallest] */
static struct nvenc_codec_caps item_read(char *item, size_t codec)
{
    struct nvenc_codec_caps caps = {.min_width = codecs[codec].min_width,
                                    .min_height = codecs[codec].min_height};
    const char *name = strsep(&item, ":");
    char *depths = strsep(&item, ":");
    const char *largest = strsep(&item, ":");
    if (!largest || strcmp(name, codecs[codec].name) != 0 ||
        sscanf(largest, "%ux%u", &caps.max_width, &caps.max_height) != 2)
        return caps;
    if (item && sscanf(item, "%ux%u", &caps.min_width, &caps.min_height) != 2)
        return caps;
    caps.supported = true;
    for (const char *d; (d = strsep(&depths, "/"));)
        caps.deep = caps.deep || atoi(d) == 10;
    return caps;
}

struct nvenc_codec_caps nvenc_caps_find(int device, const GUID *guid)
{
    char text[ITEMS_MAX];
    device_text(device, text);
    char *rest = text;
    for (char *item; (item = strsep(&rest, ","));) {
        for (size_t i = 0; i < CODECS; i++) {
            char copy[ITEMS_MAX];
            snprintf(copy, sizeof(copy), "%s", item);
            const struct nvenc_codec_caps caps = item_read(copy, i);
            if (caps.supported && nvenc_guid_equal(guid, codecs[i].guid))
                return caps;
        }
    }
    return (struct nvenc_codec_caps){.supported = false};
}

/* ---- caps ----------------------------------------------------------------------------------- */

#define CAP(name, value)                                                                           \
    {                                                                                              \
        NV_ENC_CAPS_##name, #name, value                                                           \
    }

static const struct {
    NV_ENC_CAPS cap;
    const char *name;
    int value;
} caps_table[] = {
    CAP(SUPPORTED_RATECONTROL_MODES, NV_ENC_PARAMS_RC_VBR | NV_ENC_PARAMS_RC_CBR),
    CAP(SUPPORT_FIELD_ENCODING, 0),
    CAP(SUPPORT_QPELMV, 1),
    CAP(SUPPORT_CABAC, 1),
    CAP(SUPPORT_ADAPTIVE_TRANSFORM, 1),
    CAP(NUM_MAX_TEMPORAL_LAYERS, 1),
    CAP(SUPPORT_DYN_RES_CHANGE, 1),
    CAP(SUPPORT_DYN_BITRATE_CHANGE, 1),
    CAP(SUPPORT_CUSTOM_VBV_BUF_SIZE, 1),
    CAP(SUPPORT_LOSSLESS_ENCODE, 1),
    CAP(SUPPORT_LOOKAHEAD, 1),
    CAP(SUPPORT_TEMPORAL_AQ, 1),
    CAP(SUPPORT_WEIGHTED_PREDICTION, 1),
    CAP(SUPPORT_BFRAME_REF_MODE, 0),
    CAP(SUPPORT_INTRA_REFRESH, 0),
    CAP(NUM_MAX_LTR_FRAMES, 0),
    CAP(SUPPORT_MULTIPLE_REF_FRAMES, 0),
    CAP(NUM_ENCODER_ENGINES, 1),
    CAP(MB_PER_SEC_MAX, 983040),
    CAP(ASYNC_ENCODE_SUPPORT, 0),
};

/* NAME:VALUE,... */
static int cap_set(const char *name, int fallback)
{
    char text[ITEMS_MAX];
    snprintf(text, sizeof(text), "%s", standin_setting_text("ENCODE_CAPS", ""));
    char *rest = text;
    for (char *item; (item = strsep(&rest, ","));) {
        const char *key = strsep(&item, ":");
        if (item && strcmp(key, name) == 0)
            return atoi(item);
    }
    return fallback;
}

static bool is_av1(const GUID *codec)
{
#if HAS_AV1
    return nvenc_guid_equal(codec, &NV_ENC_CODEC_AV1_GUID);
#else
    (void)codec;
    return false;
#endif
}

int nvenc_cap(int device, const GUID *codec, NV_ENC_CAPS cap)
{
    const struct nvenc_codec_caps caps = nvenc_caps_find(device, codec);
    switch ((int)cap) {
    case NV_ENC_CAPS_NUM_MAX_BFRAMES:
        return (int)standin_setting_at("BFRAMES", device, 4);
    case NV_ENC_CAPS_WIDTH_MAX:
        return (int)caps.max_width;
    case NV_ENC_CAPS_HEIGHT_MAX:
        return (int)caps.max_height;
    case NV_ENC_CAPS_WIDTH_MIN:
        return (int)caps.min_width;
    case NV_ENC_CAPS_HEIGHT_MIN:
        return (int)caps.min_height;
    case NV_ENC_CAPS_MB_NUM_MAX:
        return (int)(caps.max_width * caps.max_height / 256);
    case NV_ENC_CAPS_SUPPORT_10BIT_ENCODE:
        return caps.deep;
    case NV_ENC_CAPS_LEVEL_MAX:
        if (is_av1(codec))
            return LEVEL_MAX_AV1;
        return nvenc_guid_equal(codec, &NV_ENC_CODEC_HEVC_GUID) ? NV_ENC_LEVEL_HEVC_62
                                                                : NV_ENC_LEVEL_H264_62;
    case NV_ENC_CAPS_SUPPORT_SAO:
        return nvenc_guid_equal(codec, &NV_ENC_CODEC_HEVC_GUID);
    case NV_ENC_CAPS_SUPPORT_FIELD_ENCODING:
        if (!nvenc_guid_equal(codec, &NV_ENC_CODEC_H264_GUID))
            return 0;
        break;
    case NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE: /* which libaom cannot */
        if (is_av1(codec))
            return 0;
        break;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof(caps_table) / sizeof(caps_table[0]); i++) {
        if (caps_table[i].cap == cap)
            return cap_set(caps_table[i].name, caps_table[i].value);
    }
    return 0;
}

/* ---- profiles and presets ------------------------------------------------------------------- */

static const struct {
    const GUID *codec, *profile;
    bool deep;
} profiles[] = {
    {&NV_ENC_CODEC_H264_GUID, &NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID, false},
    {&NV_ENC_CODEC_H264_GUID, &NV_ENC_H264_PROFILE_BASELINE_GUID, false},
    {&NV_ENC_CODEC_H264_GUID, &NV_ENC_H264_PROFILE_MAIN_GUID, false},
    {&NV_ENC_CODEC_H264_GUID, &NV_ENC_H264_PROFILE_HIGH_GUID, false},
    {&NV_ENC_CODEC_H264_GUID, &NV_ENC_H264_PROFILE_HIGH_444_GUID, false},
    {&NV_ENC_CODEC_HEVC_GUID, &NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID, false},
    {&NV_ENC_CODEC_HEVC_GUID, &NV_ENC_HEVC_PROFILE_MAIN_GUID, false},
    {&NV_ENC_CODEC_HEVC_GUID, &NV_ENC_HEVC_PROFILE_MAIN10_GUID, true},
#if HAS_AV1
    {&NV_ENC_CODEC_AV1_GUID, &NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID, false},
    {&NV_ENC_CODEC_AV1_GUID, &NV_ENC_AV1_PROFILE_MAIN_GUID, false},
#endif
};

#define PROFILES (sizeof(profiles) / sizeof(profiles[0]))

bool nvenc_profile_known(const GUID *codec, const GUID *profile)
{
    bool known = false;
    for (size_t i = 0; i < PROFILES; i++)
        known = known || (nvenc_guid_equal(codec, profiles[i].codec) &&
                          nvenc_guid_equal(profile, profiles[i].profile));
    return known;
}

static const GUID *const presets[] = {
    &NV_ENC_PRESET_P1_GUID, &NV_ENC_PRESET_P2_GUID, &NV_ENC_PRESET_P3_GUID, &NV_ENC_PRESET_P4_GUID,
    &NV_ENC_PRESET_P5_GUID, &NV_ENC_PRESET_P6_GUID, &NV_ENC_PRESET_P7_GUID,
};

#define PRESETS (sizeof(presets) / sizeof(presets[0]))

int nvenc_preset_find(const GUID *preset)
{
    for (size_t i = 0; i < PRESETS; i++) {
        if (nvenc_guid_equal(preset, presets[i]))
            return (int)i + 1;
    }
    return 0;
}

void nvenc_preset_fill(int device, const GUID *codec, int preset, NV_ENC_TUNING_INFO tuning,
                       NV_ENC_CONFIG *ret)
{
    const bool hevc = nvenc_guid_equal(codec, &NV_ENC_CODEC_HEVC_GUID);
    const int b_preset = hevc || is_av1(codec) ? 2 : 3; /* the first with B-frames */
    const bool low_delay =
        tuning == NV_ENC_TUNING_INFO_LOW_LATENCY || tuning == NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;
    const int b_most = nvenc_cap(device, codec, NV_ENC_CAPS_NUM_MAX_BFRAMES);
    const int b_frames = low_delay || preset < b_preset ? 0 : b_most < 2 ? b_most : 2;
    *ret = (NV_ENC_CONFIG){
        .version = NV_ENC_CONFIG_VER,
        .profileGUID = NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID,
        .gopLength = low_delay ? INFINITE : 250,
        .frameIntervalP = 1 + b_frames,
        .frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME,
        .mvPrecision = NV_ENC_MV_PRECISION_QUARTER_PEL,
        .rcParams = {.version = NV_ENC_RC_PARAMS_VER,
                     .rateControlMode = tuning == NV_ENC_TUNING_INFO_LOSSLESS
                                            ? NV_ENC_PARAMS_RC_CONSTQP
                                        : low_delay ? NV_ENC_PARAMS_RC_CBR
                                                    : NV_ENC_PARAMS_RC_VBR},
    };
    if (is_av1(codec)) {
#if HAS_AV1
        ret->encodeCodecConfig.av1Config.idrPeriod = ret->gopLength;
        ret->encodeCodecConfig.av1Config.level = NV_ENC_LEVEL_AV1_AUTOSELECT;
        ret->encodeCodecConfig.av1Config.chromaFormatIDC = 1;
        ret->encodeCodecConfig.av1Config.colorPrimaries = NV_ENC_VUI_COLOR_PRIMARIES_UNSPECIFIED;
        ret->encodeCodecConfig.av1Config.transferCharacteristics =
            NV_ENC_VUI_TRANSFER_CHARACTERISTIC_UNSPECIFIED;
        ret->encodeCodecConfig.av1Config.matrixCoefficients = NV_ENC_VUI_MATRIX_COEFFS_UNSPECIFIED;
#endif
    } else if (hevc) {
        ret->encodeCodecConfig.hevcConfig.idrPeriod = ret->gopLength;
        ret->encodeCodecConfig.hevcConfig.chromaFormatIDC = 1;
    } else {
        ret->encodeCodecConfig.h264Config.idrPeriod = ret->gopLength;
        ret->encodeCodecConfig.h264Config.chromaFormatIDC = 1;
    }
}

/* ---- entry points --------------------------------------------------------------------------- */

static int device_of(void *encoder)
{
    return ((const struct nvenc_session *)encoder)->object.context->device;
}

/* Whether the device has the codec; else a violation. */
static bool codec_begin(const char *name, void *encoder, const GUID *codec, NVENCSTATUS *ret)
{
    if (!nvenc_begin(name, encoder, SIDE_NONE, false, ret))
        return false;
    nvenc_end(encoder, SIDE_NONE);
    if (nvenc_caps_find(device_of(encoder), codec).supported)
        return true;
    *ret = nvenc_fault(encoder, NV_ENC_ERR_INVALID_PARAM, name,
                       "a codec that the device does not encode");
    return false;
}

NVENCSTATUS nvEncGetEncodeGUIDs(void *encoder, GUID *ret, uint32_t room, uint32_t *ret_count)
{
    NVENCSTATUS status;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, false, &status))
        return status;
    nvenc_end(encoder, SIDE_NONE);
    uint32_t count = 0;
    for (size_t i = 0; i < CODECS && count < room; i++) {
        if (nvenc_caps_find(device_of(encoder), codecs[i].guid).supported)
            ret[count++] = *codecs[i].guid;
    }
    *ret_count = count;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS nvEncGetEncodeGUIDCount(void *encoder, uint32_t *ret)
{
    GUID unused[CODECS];
    return nvEncGetEncodeGUIDs(encoder, unused, CODECS, ret);
}

NVENCSTATUS nvEncGetEncodeProfileGUIDs(void *encoder, GUID codec, GUID *ret, uint32_t room,
                                       uint32_t *ret_count)
{
    NVENCSTATUS status;
    if (!codec_begin(__func__, encoder, &codec, &status))
        return status;
    const bool deep = nvenc_caps_find(device_of(encoder), &codec).deep;
    uint32_t count = 0;
    for (size_t i = 0; i < PROFILES && count < room; i++) {
        if (nvenc_guid_equal(&codec, profiles[i].codec) && (deep || !profiles[i].deep))
            ret[count++] = *profiles[i].profile;
    }
    *ret_count = count;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS nvEncGetEncodeProfileGUIDCount(void *encoder, GUID codec, uint32_t *ret)
{
    GUID unused[PROFILES];
    return nvEncGetEncodeProfileGUIDs(encoder, codec, unused, PROFILES, ret);
}

NVENCSTATUS nvEncGetEncodePresetGUIDs(void *encoder, GUID codec, GUID *ret, uint32_t room,
                                      uint32_t *ret_count)
{
    NVENCSTATUS status;
    if (!codec_begin(__func__, encoder, &codec, &status))
        return status;
    *ret_count = room < PRESETS ? room : PRESETS;
    for (uint32_t i = 0; i < *ret_count; i++)
        ret[i] = *presets[i];
    return NV_ENC_SUCCESS;
}

NVENCSTATUS nvEncGetEncodePresetCount(void *encoder, GUID codec, uint32_t *ret)
{
    GUID unused[PRESETS];
    return nvEncGetEncodePresetGUIDs(encoder, codec, unused, PRESETS, ret);
}

NVENCSTATUS nvEncGetInputFormats(void *encoder, GUID codec, NV_ENC_BUFFER_FORMAT *ret,
                                 uint32_t room, uint32_t *ret_count)
{
    NVENCSTATUS status;
    if (!codec_begin(__func__, encoder, &codec, &status))
        return status;
    const bool deep = nvenc_caps_find(device_of(encoder), &codec).deep;
    *ret_count = 0;
    if (room > 0)
        ret[(*ret_count)++] = NV_ENC_BUFFER_FORMAT_NV12;
    if (room > 1 && deep)
        ret[(*ret_count)++] = NV_ENC_BUFFER_FORMAT_YUV420_10BIT;
    return NV_ENC_SUCCESS;
}

NVENCSTATUS nvEncGetInputFormatCount(void *encoder, GUID codec, uint32_t *ret)
{
    NV_ENC_BUFFER_FORMAT unused[2];
    return nvEncGetInputFormats(encoder, codec, unused, 2, ret);
}

NVENCSTATUS nvEncGetEncodeCaps(void *encoder, GUID codec, NV_ENC_CAPS_PARAM *param, int *ret)
{
    NVENCSTATUS status;
    if (!codec_begin(__func__, encoder, &codec, &status))
        return status;
    if (!nvenc_version(encoder, __func__, param->version, NV_ENC_CAPS_PARAM_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    *ret = nvenc_cap(device_of(encoder), &codec, param->capsToQuery);
    return NV_ENC_SUCCESS;
}

NVENCSTATUS nvEncGetEncodePresetConfigEx(void *encoder, GUID codec, GUID preset,
                                         NV_ENC_TUNING_INFO tuning, NV_ENC_PRESET_CONFIG *ret)
{
    NVENCSTATUS status;
    if (!codec_begin(__func__, encoder, &codec, &status))
        return status;
    if (!nvenc_version(encoder, __func__, ret->version, NV_ENC_PRESET_CONFIG_VER) ||
        !nvenc_version(encoder, __func__, ret->presetCfg.version, NV_ENC_CONFIG_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    const int speed = nvenc_preset_find(&preset);
    if (speed == 0 || tuning <= NV_ENC_TUNING_INFO_UNDEFINED || tuning >= NV_ENC_TUNING_INFO_COUNT)
        return nvenc_fault(encoder, NV_ENC_ERR_UNSUPPORTED_PARAM, __func__,
                           "not a preset, or not a tuning");
    nvenc_preset_fill(device_of(encoder), &codec, speed, tuning, &ret->presetCfg);
    return NV_ENC_SUCCESS;
}
