#include "nvenc_device.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

/* ---- the device ------------------------------------------------------------------------------ */

struct nvenc_device device;

void device_reset(void)
{
    memset(&device, 0, sizeof(device));
    device.preset_bframes = 2;
    device.caps[NV_ENC_CAPS_NUM_MAX_BFRAMES] = 4;
    device.caps[NV_ENC_CAPS_SUPPORT_FIELD_ENCODING] = 1;
    device.caps[NV_ENC_CAPS_WIDTH_MIN] = 145;
    device.caps[NV_ENC_CAPS_WIDTH_MAX] = 4096;
    device.caps[NV_ENC_CAPS_HEIGHT_MIN] = 49;
    device.caps[NV_ENC_CAPS_HEIGHT_MAX] = 4000;
    device.caps[NV_ENC_CAPS_MB_NUM_MAX] = 60000;
    device.caps[NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE] = 1;
    device.caps[NV_ENC_CAPS_SUPPORT_LOSSLESS_ENCODE] = 1;
    device.caps[NV_ENC_CAPS_SUPPORT_LOOKAHEAD] = 1;
    device.caps[NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ] = 1;
    device.caps[NV_ENC_CAPS_SUPPORT_10BIT_ENCODE] = 1;
    device.caps[NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE] = 2;
}

bool guid_same(const GUID *a, const GUID *b)
{
    return !memcmp(a, b, sizeof(*a));
}

static NVENCSTATUS fake_guids(void *session, GUID *guids, uint32_t capacity, uint32_t *count)
{
    assert_ptr_equal(session, &device);
    assert_true(capacity >= 4);
    *count = 0;
    guids[(*count)++] = NV_ENC_CODEC_H264_GUID;
    if (!device.no_hevc)
        guids[(*count)++] = NV_ENC_CODEC_HEVC_GUID;
#if HAS_AV1
    guids[(*count)++] = NV_ENC_CODEC_AV1_GUID;
#endif
    return device.guids_status;
}

static NVENCSTATUS fake_caps(void *session, GUID codec, NV_ENC_CAPS_PARAM *param, int *ret)
{
    assert_ptr_equal(session, &device);
    assert_int_equal(param->version, NV_ENC_CAPS_PARAM_VER);
    assert_true((int)param->capsToQuery < CAPS_COUNT);
    assert_false(device.no_hevc && guid_same(&codec, &NV_ENC_CODEC_HEVC_GUID));
    if (device.caps_status != NV_ENC_SUCCESS)
        return device.caps_status;
    *ret = device.caps[param->capsToQuery];
    return NV_ENC_SUCCESS;
}

/* Gives more than a driver would, so that what must not stay is seen to go. */
static NVENCSTATUS fake_preset(void *session, GUID codec, GUID preset, NV_ENC_TUNING_INFO tuning,
                               NV_ENC_PRESET_CONFIG *ret)
{
    static const GUID *const presets[] = {
        &NV_ENC_PRESET_P1_GUID, &NV_ENC_PRESET_P2_GUID, &NV_ENC_PRESET_P3_GUID,
        &NV_ENC_PRESET_P4_GUID, &NV_ENC_PRESET_P5_GUID, &NV_ENC_PRESET_P6_GUID,
        &NV_ENC_PRESET_P7_GUID,
    };
    assert_ptr_equal(session, &device);
    assert_int_equal(ret->version, NV_ENC_PRESET_CONFIG_VER);
    assert_int_equal(ret->presetCfg.version, NV_ENC_CONFIG_VER);
    for (device.speed = 1; !guid_same(&preset, presets[device.speed - 1]); device.speed++)
        assert_true(device.speed < 7);
    device.tuning = tuning;
    if (device.preset_status != NV_ENC_SUCCESS)
        return device.preset_status;
    NV_ENC_CONFIG *c = &ret->presetCfg;
    NV_ENC_RC_PARAMS *rc = &c->rcParams;
    const bool ultra = tuning == NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY;
    c->profileGUID = NV_ENC_CODEC_PROFILE_AUTOSELECT_GUID;
    c->gopLength = ultra ? GOP_NEVER_ENDS : 250;
    c->frameIntervalP = ultra || device.speed < 3 ? 1 : device.preset_bframes + 1;
    c->frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME;
    rc->rateControlMode = NV_ENC_PARAMS_RC_CBR;
    rc->averageBitRate = rc->maxBitRate = 1234567;
    rc->vbvBufferSize = rc->vbvInitialDelay = 7654321;
    rc->constQP = (NV_ENC_QP){28, 31, 25};
    rc->enableAQ = rc->enableTemporalAQ = 1;
    rc->enableLookahead = 1;
    rc->lookaheadDepth = 19;
    rc->targetQuality = 33;
    rc->multiPass = ultra ? NV_ENC_TWO_PASS_QUARTER_RESOLUTION : NV_ENC_MULTI_PASS_DISABLED;
    rc->lowDelayKeyFrameScale = 2;
    if (guid_same(&codec, &NV_ENC_CODEC_H264_GUID)) {
        NV_ENC_CONFIG_H264 *h = &c->encodeCodecConfig.h264Config;
        h->idrPeriod = 250;
        h->outputAUD = h->disableSPSPPS = 1;
        h->level = NV_ENC_LEVEL_H264_3;
        h->adaptiveTransformMode = NV_ENC_H264_ADAPTIVE_TRANSFORM_ENABLE;
        h->useBFramesAsRef = NV_ENC_BFRAME_REF_MODE_EACH;
        h->h264VUIParameters.colourPrimaries = 99;
        h->h264VUIParameters.overscanInfoPresentFlag = 1;
        h->maxNumRefFrames = 4; /* this stays */
    } else if (guid_same(&codec, &NV_ENC_CODEC_HEVC_GUID)) {
        NV_ENC_CONFIG_HEVC *h = &c->encodeCodecConfig.hevcConfig;
        h->idrPeriod = 250;
        h->outputAUD = h->disableSPSPPS = 1;
        h->tier = NV_ENC_TIER_HEVC_HIGH;
        h->useBFramesAsRef = NV_ENC_BFRAME_REF_MODE_EACH;
        h->maxNumRefFramesInDPB = 4;
    }
    return NV_ENC_SUCCESS;
}

const struct gpu_encode device_api = {
    .functions =
        {
            .nvEncGetEncodeGUIDs = fake_guids,
            .nvEncGetEncodeCaps = fake_caps,
            .nvEncGetEncodePresetConfigEx = fake_preset,
        },
};

struct nvenc_caps caps_of(const char *codec)
{
    struct nvenc_caps caps;
    struct error err = {0};
    if (nvenc_caps(&caps, &device_api, &device, codec, &err) != 0)
        fail_msg("%s", err.text);
    return caps;
}

/* ---- parameters ------------------------------------------------------------------------------ */

struct encoder_params params_for(const char *codec)
{
    struct encoder_params params = {
        .width = 1280,
        .height = 720,
        .format = PIXEL_NV12,
        .time_base = {1, 90000},
        .frame_rate = {50, 1},
        .rate = RATE_VBR,
        .bit_rate_bps = 4000000,
        .bframes = -1,
    };
    snprintf(params.codec, sizeof(params.codec), "%s", codec);
    return params;
}

struct encoder_params params_changed(const char *codec, const struct change *changes)
{
    struct encoder_params p = params_for(codec);
    for (int i = 0; i < CHANGES_MAX && changes[i].what != END; i++) {
        const struct change *c = &changes[i];
        const int value = (int)c->value;
        const struct rational pair = {value, (int)c->other};
        switch (c->what) {
        case SPEED:
            p.speed = value;
            break;
        case QUALITY:
            p.rate = RATE_QUALITY;
            p.quality = value;
            p.bit_rate_bps = 0;
            break;
        case CBR:
        case VBR:
            p.rate = c->what == CBR ? RATE_CBR : RATE_VBR;
            p.bit_rate_bps = c->value;
            break;
        case MAX:
            p.bit_rate_max_bps = c->value;
            break;
        case VBV:
            p.vbv_bits = c->value;
            break;
        case BFRAMES:
            p.bframes = value;
            break;
        case LATENCY:
            p.low_latency = true;
            break;
        case PROFILE:
            snprintf(p.profile, sizeof(p.profile), "%s", c->text);
            break;
        case FORMAT:
            p.format = (enum pixel_format)value;
            break;
        case FIELDS:
            p.field_order = (enum field_order)value;
            break;
        case SIZE:
            p.width = value;
            p.height = (int)c->other;
            break;
        case RATE:
            p.frame_rate = pair;
            break;
        case TIME_BASE:
            p.time_base = pair;
            break;
        case ASPECT:
            p.sample_aspect = pair;
            break;
        case END:
            break;
        }
    }
    return p;
}
