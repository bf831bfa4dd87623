/* codec/nv/nvenc_setup.h. Needs no GPU. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "nvenc_device.h"

#define SEED 20261121u

static struct nvenc_setup set_up(const struct encoder_params *params)
{
    const struct nvenc_caps caps = caps_of(params->codec);
    struct nvenc_setup setup = {0};
    struct error err = {0};
    if (nvenc_check(params, &caps, &err) != 0 ||
        nvenc_setup(&setup, params, &caps, &device_api, &device, &err) != 0)
        fail_msg("%s", err.text);
    return setup;
}

/* The ends of what a device takes. */
static void test_taken(void **state)
{
    (void)state;
    static const struct {
        const char *codec;
        struct change changes[CHANGES_MAX];
    } cases[] = {
        {"h264", {{SIZE, 146, 50}}},
        {"h264", {{SIZE, 4096, 3744}}},
        {"hevc", {{SPEED, 7}, {QUALITY, 51}}},
        {"h264", {{BFRAMES, 4}}},
        {"h264", {{BFRAMES, 9}, {LATENCY}}}, /* there are none with low latency */
        {"h264", {{CBR, INT32_MAX}}},
        {"h264", {{VBR, 1000}, {VBV, INT64_MAX}, {MAX, INT64_MAX}}},
        {"h264", {{QUALITY, 0}, {PROFILE, .text = "high444"}}},
        {"h264", {{BFRAMES, 0}, {PROFILE, .text = "baseline"}}},
        {"hevc", {{FIELDS, FIELD_PROGRESSIVE}}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        device_reset();
        const struct encoder_params params = params_changed(cases[i].codec, cases[i].changes);
        set_up(&params);
    }
}

/* ---- configurations -------------------------------------------------------------------------- */

static void test_rates(void **state)
{
    (void)state;
    static const struct {
        struct change changes[CHANGES_MAX];
        NV_ENC_PARAMS_RC_MODE mode;
        uint32_t average, max, vbv, quality;
    } cases[] = {
        {{{END}}, NV_ENC_PARAMS_RC_VBR, 4000000, 6000000, 12000000, 0},
        {{{MAX, 5000000}}, NV_ENC_PARAMS_RC_VBR, 4000000, 5000000, 10000000, 0},
        {{{MAX, 3000000}}, NV_ENC_PARAMS_RC_VBR, 3000000, 3000000, 6000000, 0},
        {{{MAX, 5000000}, {VBV, 777}}, NV_ENC_PARAMS_RC_VBR, 4000000, 5000000, 777, 0},
        {{{LATENCY}}, NV_ENC_PARAMS_RC_VBR, 4000000, 6000000, 12000000, 0},
        {{{VBR, 2000000000}}, NV_ENC_PARAMS_RC_VBR, 2000000000, INT32_MAX, INT32_MAX, 0},
        {{{CBR, 5000000}, {MAX, 9000000}}, NV_ENC_PARAMS_RC_CBR, 5000000, 5000000, 10000000, 0},
        {{{CBR, 5000000}, {LATENCY}}, NV_ENC_PARAMS_RC_CBR, 5000000, 5000000, 100000, 0},
        {{{CBR, 5000000}, {LATENCY}, {RATE, 0, 0}},
         NV_ENC_PARAMS_RC_CBR,
         5000000,
         5000000,
         200000,
         0},
        {{{CBR, 1000}, {LATENCY}, {RATE, INT32_MAX, 1}}, NV_ENC_PARAMS_RC_CBR, 1000, 1000, 1, 0},
        {{{CBR, 5000000}, {LATENCY}, {VBV, 250000}},
         NV_ENC_PARAMS_RC_CBR,
         5000000,
         5000000,
         250000,
         0},
        {{{QUALITY, 23}}, NV_ENC_PARAMS_RC_VBR, 0, 0, 0, 23},
        {{{QUALITY, 51}, {VBV, 4000}}, NV_ENC_PARAMS_RC_VBR, 0, 0, 0, 51},
        {{{QUALITY, 23}, {MAX, 8000000}}, NV_ENC_PARAMS_RC_VBR, 0, 8000000, 16000000, 23},
        {{{QUALITY, 23}, {MAX, 8000000}, {VBV, 4000000}},
         NV_ENC_PARAMS_RC_VBR,
         0,
         8000000,
         4000000,
         23},
        {{{QUALITY, 0}}, NV_ENC_PARAMS_RC_CONSTQP, 0, 0, 0, 0},
    };
    device_reset();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct encoder_params params = params_changed("hevc", cases[i].changes);
        const struct nvenc_setup s = set_up(&params);
        const NV_ENC_RC_PARAMS *rc = &s.config.rcParams;
        if (rc->rateControlMode != cases[i].mode || rc->averageBitRate != cases[i].average ||
            rc->maxBitRate != cases[i].max || rc->vbvBufferSize != cases[i].vbv ||
            rc->targetQuality != cases[i].quality || rc->vbvInitialDelay != 0)
            fail_msg("case %zu gives mode %d, %u to %u bit/s, %u bits, quality %u", i,
                     (int)rc->rateControlMode, rc->averageBitRate, rc->maxBitRate,
                     rc->vbvBufferSize, rc->targetQuality);
    }
    /* Without a buffer of one's own it is the driver's. */
    device.caps[NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE] = 0;
    const struct encoder_params params = params_for("h264");
    assert_int_equal(set_up(&params).config.rcParams.vbvBufferSize, 0);
}

/* What speeds and tunings stand for, and the frames that stay inside. */
static void test_efforts(void **state)
{
    (void)state;
    enum { HQ = NV_ENC_TUNING_INFO_HIGH_QUALITY, ULL = NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY };
    enum { LL = NV_ENC_TUNING_INFO_LOSSLESS };
    static const struct {
        struct change changes[CHANGES_MAX];
        int speed, tuning, bframes, lookahead, passes, aq, temporal, reorder;
    } cases[] = {
        {{{SPEED, 1}}, 1, HQ, 0, 0, 0, 0, 0, 0},
        {{{SPEED, 2}}, 2, HQ, 0, 0, 0, 0, 0, 0},
        {{{SPEED, 3}}, 3, HQ, 2, 0, 0, 0, 0, 2},
        {{{SPEED, 0}}, 4, HQ, 2, 0, 0, 1, 1, 2},
        {{{SPEED, 5}}, 5, HQ, 2, 8, 1, 1, 1, 2},
        {{{SPEED, 6}}, 6, HQ, 2, 16, 2, 1, 1, 2},
        {{{SPEED, 7}}, 7, HQ, 2, 24, 2, 1, 1, 2},
        {{{SPEED, 7}, {QUALITY, 30}}, 7, HQ, 2, 24, 2, 1, 1, 2},
        {{{SPEED, 7}, {CBR, 1000000}}, 7, HQ, 2, 24, 2, 1, 1, 2},
        {{{SPEED, 1}, {BFRAMES, 1}}, 1, HQ, 1, 0, 0, 0, 0, 1},
        {{{SPEED, 7}, {BFRAMES, 0}}, 7, HQ, 0, 24, 2, 1, 1, 0},
        {{{SPEED, 7}, {BFRAMES, 4}}, 7, HQ, 4, 24, 2, 1, 1, 2},
        {{{SPEED, 7}, {PROFILE, .text = "baseline"}}, 7, HQ, 0, 24, 2, 1, 1, 0},
        {{{SPEED, 4}, {LATENCY}}, 4, ULL, 0, 0, 1, 1, 0, 0},
        {{{SPEED, 7}, {LATENCY}, {BFRAMES, 3}}, 7, ULL, 0, 0, 2, 1, 0, 0},
        {{{SPEED, 1}, {LATENCY}, {QUALITY, 20}}, 1, ULL, 0, 0, 1, 0, 0, 0},
        {{{SPEED, 7}, {QUALITY, 0}}, 7, LL, 2, 0, 0, 0, 0, 2},
        {{{SPEED, 7}, {QUALITY, 0}, {LATENCY}}, 7, LL, 0, 0, 0, 0, 0, 0},
        {{{SPEED, 7}, {FIELDS, FIELD_TOP_FIRST}}, 7, HQ, 2, 0, 2, 1, 1, 1},
    };
    device_reset();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct encoder_params params = params_changed("h264", cases[i].changes);
        const struct nvenc_setup s = set_up(&params);
        const NV_ENC_RC_PARAMS *rc = &s.config.rcParams;
        const bool infinite = cases[i].bframes == 0;
        if (device.speed != cases[i].speed || (int)device.tuning != cases[i].tuning ||
            s.config.frameIntervalP != cases[i].bframes + 1 ||
            rc->lookaheadDepth != cases[i].lookahead ||
            (int)rc->enableLookahead != (cases[i].lookahead > 0) ||
            (int)rc->multiPass != cases[i].passes || (int)rc->enableAQ != cases[i].aq ||
            (int)rc->enableTemporalAQ != cases[i].temporal || s.reorder_frames != cases[i].reorder)
            fail_msg("case %zu gives p%d, tuning %d, %d, lookahead %d, passes %d, AQ %d %d, "
                     "reorder %d",
                     i, device.speed, (int)device.tuning, s.config.frameIntervalP,
                     rc->lookaheadDepth, (int)rc->multiPass, (int)rc->enableAQ,
                     (int)rc->enableTemporalAQ, s.reorder_frames);
        assert_int_equal(s.delay_frames, cases[i].bframes + cases[i].lookahead);
        assert_int_equal(s.init.tuningInfo, cases[i].tuning);
        assert_int_equal(rc->lowDelayKeyFrameScale, params.low_latency ? 1 : 2);
        assert_int_equal(rc->zeroReorderDelay, params.low_latency);
        assert_int_equal(rc->disableIadapt, 1);
        assert_true(infinite
                        ? s.config.gopLength == GOP_NEVER_ENDS
                        : s.config.gopLength >= 1 << 20 && s.config.gopLength < GOP_NEVER_ENDS);
    }
}

/* The device's limits hold where the preset's own goes beyond them. */
static void test_less_able(void **state)
{
    (void)state;
    struct encoder_params params = params_for("hevc");
    params.speed = 7;
    device_reset();
    device.preset_bframes = 7;
    device.caps[NV_ENC_CAPS_NUM_MAX_BFRAMES] = 5;
    struct nvenc_setup s = set_up(&params);
    assert_int_equal(s.config.frameIntervalP, 6);
    device.preset_bframes = 10;
    device.caps[NV_ENC_CAPS_NUM_MAX_BFRAMES] = 9;
    s = set_up(&params);
    assert_int_equal(s.config.frameIntervalP, 10);
    assert_int_equal(s.config.rcParams.lookaheadDepth, 22); /* 31 with the B-frames */
    device.caps[NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE] = 0;
    s = set_up(&params);
    assert_int_equal(s.config.encodeCodecConfig.hevcConfig.useBFramesAsRef,
                     NV_ENC_BFRAME_REF_MODE_DISABLED);
    assert_int_equal(s.reorder_frames, 1);
    device.caps[NV_ENC_CAPS_NUM_MAX_BFRAMES] = 0;
    device.caps[NV_ENC_CAPS_SUPPORT_LOOKAHEAD] = 0;
    device.caps[NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ] = 0;
    s = set_up(&params);
    assert_int_equal(s.config.frameIntervalP, 1);
    assert_int_equal(s.delay_frames, 0);
    assert_int_equal(s.reorder_frames, 0);
    assert_int_equal(s.config.rcParams.enableLookahead, 0);
    assert_int_equal(s.config.rcParams.enableTemporalAQ, 0);
    assert_int_equal(s.config.rcParams.enableAQ, 1);
    /* A preset of key frames only has none to begin with. */
    device_reset();
    device.preset_bframes = -1;
    s = set_up(&params);
    assert_int_equal(s.config.frameIntervalP, 1);
}

static void test_init(void **state)
{
    (void)state;
    static const struct {
        struct change changes[CHANGES_MAX];
        unsigned dar_width, dar_height, num, den;
    } cases[] = {
        {{{END}}, 16, 9, 50, 1},
        {{{RATE, 30000, 1001}}, 16, 9, 30000, 1001},
        {{{RATE, 0, 0}}, 16, 9, 25, 1},
        {{{RATE, -5, 1}}, 16, 9, 25, 1},
        {{{SIZE, 720, 576}, {ASPECT, 64, 45}}, 16, 9, 50, 1},
        {{{SIZE, 704, 480}, {ASPECT, 40, 33}}, 16, 9, 50, 1},
        {{{SIZE, 1440, 1080}, {ASPECT, 8, 6}}, 16, 9, 50, 1},
        {{{SIZE, 800, 800}, {ASPECT, 0, 1}}, 1, 1, 50, 1},
        {{{SIZE, 800, 800}, {ASPECT, 5, 0}}, 1, 1, 50, 1},
        {{{SIZE, 800, 800}, {ASPECT, 1 << 30, 1}}, 32768, 1, 50, 1},
        {{{SIZE, 800, 800}, {ASPECT, 1, INT32_MAX}}, 1, 65535, 50, 1},
    };
    device_reset();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct encoder_params params = params_changed("hevc", cases[i].changes);
        const struct nvenc_setup s = set_up(&params);
        const NV_ENC_INITIALIZE_PARAMS *init = &s.init;
        if (init->darWidth != cases[i].dar_width || init->darHeight != cases[i].dar_height ||
            init->frameRateNum != cases[i].num || init->frameRateDen != cases[i].den)
            fail_msg("case %zu gives %u:%u, %u/%u", i, init->darWidth, init->darHeight,
                     init->frameRateNum, init->frameRateDen);
        assert_int_equal(init->version, NV_ENC_INITIALIZE_PARAMS_VER);
        assert_int_equal(s.config.version, NV_ENC_CONFIG_VER);
        assert_int_equal(init->encodeWidth, params.width);
        assert_int_equal(init->encodeHeight, params.height);
        assert_int_equal(init->maxEncodeWidth, params.width);
        assert_int_equal(init->maxEncodeHeight, params.height);
        assert_int_equal(init->enablePTD, 1);
        assert_int_equal(init->enableEncodeAsync, 0);
        assert_true(guid_same(&init->encodeGUID, &NV_ENC_CODEC_HEVC_GUID));
        assert_true(guid_same(&init->presetGUID, &NV_ENC_PRESET_P4_GUID));
    }
    struct nvenc_setup s;
    struct encoder_params params = params_for("h264");
    const struct nvenc_caps caps = caps_of("h264");
    assert_int_equal(nvenc_setup(&s, &params, &caps, &device_api, &device, NULL), 0);
    assert_ptr_equal(s.init.encodeConfig, &s.config);
}

/* A new session has room for larger pictures, where they can come: not much, and never more than
 * the device takes. */
static void test_largest(void **state)
{
    (void)state;
    static const struct {
        int width, height, largest_width, largest_height;
    } cases[] = {
        {1920, 1080, 1920, 1152}, {1280, 720, 1280, 768},   {854, 480, 896, 480},
        {848, 480, 896, 480},     {640, 360, 640, 384},     {426, 240, 448, 240},
        {1080, 1920, 1152, 1920}, {3840, 2160, 3840, 2304}, {4000, 3840, 4000, 3840},
    };
    device_reset();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct encoder_params params = params_for("h264");
        params.width = cases[i].width;
        params.height = cases[i].height;
        for (int on = 0; on < 2; on++) {
            device.caps[NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE] = on;
            const struct nvenc_setup s = set_up(&params);
            assert_int_equal(s.init.maxEncodeWidth, on ? cases[i].largest_width : params.width);
            assert_int_equal(s.init.maxEncodeHeight, on ? cases[i].largest_height : params.height);
        }
    }
    for (int width = 146; width <= 4096; width += 2) {
        struct encoder_params params = params_for("h264");
        params.width = width;
        params.height = 4146 - width < 4000 ? 4146 - width : 4000;
        const struct nvenc_setup s = set_up(&params);
        const int64_t area = (int64_t)s.init.maxEncodeWidth * s.init.maxEncodeHeight;
        assert_in_range(s.init.maxEncodeWidth, params.width, 4096);
        assert_in_range(s.init.maxEncodeHeight, params.height, 4000);
        assert_true(s.init.maxEncodeWidth % 2 == 0 && s.init.maxEncodeHeight % 2 == 0);
        assert_true(area * 100 < (int64_t)params.width * params.height * 127);
    }
}

static void test_h264(void **state)
{
    (void)state;
    static const struct {
        struct change changes[CHANGES_MAX];
        const GUID *profile;
        int cavlc, transform, field, lossless;
    } cases[] = {
        {{{END}}, &NV_ENC_H264_PROFILE_HIGH_GUID, 0, 2, 0, 0},
        {{{PROFILE, .text = "high"}}, &NV_ENC_H264_PROFILE_HIGH_GUID, 0, 2, 0, 0},
        {{{PROFILE, .text = "main"}}, &NV_ENC_H264_PROFILE_MAIN_GUID, 0, 1, 0, 0},
        {{{PROFILE, .text = "baseline"}}, &NV_ENC_H264_PROFILE_BASELINE_GUID, 1, 1, 0, 0},
        {{{PROFILE, .text = "high444"}}, &NV_ENC_H264_PROFILE_HIGH_444_GUID, 0, 2, 0, 0},
        {{{QUALITY, 0}}, &NV_ENC_H264_PROFILE_HIGH_444_GUID, 0, 2, 0, 1},
        {{{FIELDS, FIELD_TOP_FIRST}}, &NV_ENC_H264_PROFILE_HIGH_GUID, 0, 2, 1, 0},
        {{{FIELDS, FIELD_BOTTOM_FIRST}, {PROFILE, .text = "main"}},
         &NV_ENC_H264_PROFILE_MAIN_GUID,
         0,
         1,
         1,
         0},
    };
    device_reset();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct encoder_params params = params_changed("h264", cases[i].changes);
        params.timecode_step = i % 3;
        const struct nvenc_setup s = set_up(&params);
        const NV_ENC_CONFIG_H264 *h = &s.config.encodeCodecConfig.h264Config;
        const bool cavlc = h->entropyCodingMode == NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
        const bool field = s.config.frameFieldMode == NV_ENC_PARAMS_FRAME_FIELD_MODE_FIELD;
        if (!guid_same(&s.config.profileGUID, cases[i].profile) || cavlc != cases[i].cavlc ||
            (int)h->adaptiveTransformMode != cases[i].transform || field != cases[i].field ||
            (int)h->qpPrimeYZeroTransformBypassFlag != cases[i].lossless)
            fail_msg("case %zu", i);
        assert_int_equal(s.format, NV_ENC_BUFFER_FORMAT_NV12);
        assert_int_equal(h->idrPeriod, s.config.gopLength);
        assert_int_equal(h->repeatSPSPPS, 1);
        assert_int_equal(h->disableSPSPPS, 0);
        assert_int_equal(h->outputAUD, 0);
        assert_int_equal(h->enableVFR, 1);
        assert_int_equal(h->outputPictureTimingSEI, params.timecode_step > 0);
        assert_int_equal(h->level, NV_ENC_LEVEL_AUTOSELECT);
        assert_int_equal(h->chromaFormatIDC, 1);
        assert_int_equal(h->maxNumRefFrames, 4);
    }
}

static void test_intra_refresh(void **state)
{
    (void)state;
    struct encoder_params params = params_for("h264");
    struct error err = {0};
    device_reset();
    params.intra_refresh_frames = 50;
    const struct nvenc_caps caps = caps_of("h264");
    assert_int_equal(nvenc_check(&params, &caps, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "intra refresh"));
    device.caps[NV_ENC_CAPS_SUPPORT_INTRA_REFRESH] = 1;
    for (int on = 0; on < 2; on++) {
        params.intra_refresh_frames = on ? 50 : 0;
        const struct nvenc_setup s = set_up(&params);
        const NV_ENC_CONFIG_H264 *h = &s.config.encodeCodecConfig.h264Config;
        assert_int_equal(h->enableIntraRefresh, on);
        assert_int_equal(h->outputRecoveryPointSEI, on);
        assert_int_equal(h->intraRefreshPeriod, on ? 50 : 0);
        assert_int_equal(h->intraRefreshCnt, on ? 49 : 0);
        assert_int_equal(s.reorder_frames > 0, !on);
        assert_int_equal(s.config.frameIntervalP == 1, on);
        assert_int_equal(s.config.gopLength == NVENC_INFINITE_GOPLENGTH, on);
    }
    params = params_for("hevc");
    params.intra_refresh_frames = 50;
    assert_int_equal(nvenc_check(&params, &caps, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "--codec h264"));
}

static void test_hevc(void **state)
{
    (void)state;
    device_reset();
    for (int ten = 0; ten < 2; ten++) {
        struct encoder_params params = params_for("hevc");
        params.format = ten ? PIXEL_P010 : PIXEL_NV12;
        const struct nvenc_setup s = set_up(&params);
        const NV_ENC_CONFIG_HEVC *h = &s.config.encodeCodecConfig.hevcConfig;
        assert_true(guid_same(&s.config.profileGUID, ten ? &NV_ENC_HEVC_PROFILE_MAIN10_GUID
                                                         : &NV_ENC_HEVC_PROFILE_MAIN_GUID));
        assert_int_equal(s.format,
                         ten ? NV_ENC_BUFFER_FORMAT_YUV420_10BIT : NV_ENC_BUFFER_FORMAT_NV12);
#if GPU_ENCODE_API(12, 2)
        assert_int_equal(h->inputBitDepth, ten ? NV_ENC_BIT_DEPTH_10 : NV_ENC_BIT_DEPTH_8);
        assert_int_equal(h->outputBitDepth, h->inputBitDepth);
#else
        assert_int_equal(h->pixelBitDepthMinus8, 2 * ten);
#endif
        assert_int_equal(h->idrPeriod, s.config.gopLength);
        assert_int_equal(h->repeatSPSPPS, 1);
        assert_int_equal(h->disableSPSPPS, 0);
        assert_int_equal(h->outputAUD, 0);
        assert_int_equal(h->level, NV_ENC_LEVEL_AUTOSELECT);
        assert_int_equal(h->tier, NV_ENC_TIER_HEVC_MAIN);
        assert_int_equal(h->chromaFormatIDC, 1);
        assert_int_equal(h->maxNumRefFramesInDPB, 4);
    }
}

static void test_color(void **state)
{
    (void)state;
    static const struct {
        struct color color;
        unsigned signal, full, described, primaries, transfer, matrix, has_chroma, chroma;
    } cases[] = {
        {{0}, 0, 0, 0, 2, 2, 2, 0, 0},
        {{.range = RANGE_LIMITED}, 1, 0, 0, 2, 2, 2, 0, 0},
        {{.range = RANGE_FULL}, 1, 1, 0, 2, 2, 2, 0, 0},
        {{1, 1, 1, RANGE_LIMITED, CHROMA_LEFT}, 1, 0, 1, 1, 1, 1, 1, 0},
        {{9, 16, 9, RANGE_LIMITED, CHROMA_TOP_LEFT}, 1, 0, 1, 9, 16, 9, 1, 2},
        {{.transfer = 18}, 1, 0, 1, 2, 18, 2, 0, 0},
        {{.matrix = MATRIX_RGB}, 1, 0, 1, 2, 2, 0, 0, 0},
        {{.chroma = CHROMA_BOTTOM}, 0, 0, 0, 2, 2, 2, 1, 5},
    };
    device_reset();
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        const size_t n = i / 2;
        struct encoder_params params = params_for(i % 2 ? "h264" : "hevc");
        params.color = cases[n].color;
        params.low_latency = n % 2;
        const struct nvenc_setup s = set_up(&params);
        const NV_ENC_CODEC_CONFIG *codec = &s.config.encodeCodecConfig;
        const NV_ENC_CONFIG_H264_VUI_PARAMETERS *v =
            i % 2 ? &codec->h264Config.h264VUIParameters : &codec->hevcConfig.hevcVUIParameters;
        if (v->videoSignalTypePresentFlag != cases[n].signal ||
            v->videoFullRangeFlag != cases[n].full ||
            v->colourDescriptionPresentFlag != cases[n].described ||
            (unsigned)v->colourPrimaries != cases[n].primaries ||
            (unsigned)v->transferCharacteristics != cases[n].transfer ||
            (unsigned)v->colourMatrix != cases[n].matrix ||
            v->chromaSampleLocationFlag != cases[n].has_chroma ||
            v->chromaSampleLocationTop != cases[n].chroma ||
            v->chromaSampleLocationBot != cases[n].chroma)
            fail_msg("case %zu of %s", n, params.codec);
        assert_int_equal(v->videoFormat, 5);
        assert_int_equal(v->overscanInfoPresentFlag, 0);
        assert_int_equal(v->bitstreamRestrictionFlag, params.low_latency);
    }
}

#if HAS_AV1
static void test_av1(void **state)
{
    (void)state;
    device_reset();
    for (int ten = 0; ten < 2; ten++) {
        struct encoder_params params = params_for("av1");
        params.format = ten ? PIXEL_P010 : PIXEL_NV12;
        params.color = (struct color){9, 16, 9, RANGE_FULL, CHROMA_TOP_LEFT};
        params.bframes = 0; /* no matter */
        const struct nvenc_setup s = set_up(&params);
        const NV_ENC_CONFIG_AV1 *a = &s.config.encodeCodecConfig.av1Config;
        assert_true(guid_same(&s.config.profileGUID, &NV_ENC_AV1_PROFILE_MAIN_GUID));
        assert_int_equal(s.config.frameIntervalP, 3);
        assert_int_equal(s.reorder_frames, 0);
        assert_int_equal(a->repeatSeqHdr, 1);
        assert_int_equal(a->idrPeriod, s.config.gopLength);
        assert_int_equal(a->level, NV_ENC_LEVEL_AV1_AUTOSELECT);
        assert_int_equal(a->chromaFormatIDC, 1);
        assert_int_equal(a->colorPrimaries, 9);
        assert_int_equal(a->transferCharacteristics, 16);
        assert_int_equal(a->matrixCoefficients, 9);
        assert_int_equal(a->colorRange, 1);
        assert_int_equal(a->chromaSamplePosition, 2);
#if GPU_ENCODE_API(12, 2)
        assert_int_equal(a->outputBitDepth, ten ? NV_ENC_BIT_DEPTH_10 : NV_ENC_BIT_DEPTH_8);
#else
        assert_int_equal(a->pixelBitDepthMinus8, 2 * ten);
        assert_int_equal(a->inputPixelBitDepthMinus8, 2 * ten);
#endif
    }
    struct encoder_params params = params_for("av1");
    params.rate = RATE_QUALITY;
    params.quality = 63;
    assert_int_equal(set_up(&params).config.rcParams.targetQuality, 63);
}

/* Where the others have an aspect, AV1 has a size. */
static void test_av1_render_size(void **state)
{
    static const struct {
        struct change changes[CHANGES_MAX];
        unsigned width, height;
    } cases[] = {
        {{{SIZE, 1280, 720}}, 1280, 720},
        {{{SIZE, 720, 576}, {ASPECT, 64, 45}}, 1024, 576},
        {{{SIZE, 720, 480}, {ASPECT, 8, 9}}, 720, 540},
        {{{SIZE, 800, 800}, {ASPECT, 0, 1}}, 800, 800},
        {{{SIZE, 800, 800}, {ASPECT, 5, 0}}, 800, 800},
        {{{SIZE, 800, 800}, {ASPECT, 1 << 30, 1}}, 65536, 800},
        {{{SIZE, 800, 800}, {ASPECT, 1, INT32_MAX}}, 800, 65536},
    };
    (void)state;
    device_reset();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct encoder_params params = params_changed("av1", cases[i].changes);
        const NV_ENC_INITIALIZE_PARAMS init = set_up(&params).init;
        if (init.darWidth != cases[i].width || init.darHeight != cases[i].height)
            fail_msg("case %zu gives %ux%u", i, init.darWidth, init.darHeight);
    }
}
#endif

/* A preset that the driver does not give. */
static void test_no_preset(void **state)
{
    (void)state;
    device_reset();
    device.preset_status = NV_ENC_ERR_UNSUPPORTED_PARAM;
    struct nvenc_setup setup = {.delay_frames = 77};
    struct error err = {0};
    const struct encoder_params params = params_for("h264");
    const struct nvenc_caps caps = caps_of("h264");
    assert_int_equal(nvenc_setup(&setup, &params, &caps, &device_api, &device, &err),
                     RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "preset"));
    assert_int_equal(setup.delay_frames, 77);
}

/* ---- anything -------------------------------------------------------------------------------- */

static uint64_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static int pick(int min, int max)
{
    return min + (int)(next_random() % (uint32_t)(max - min + 1));
}

/* Mostly sensible, now and then at the ends of its type. */
static int64_t pick_bits(void)
{
    switch (pick(0, 15)) {
    case 0:
        return 0;
    case 1:
        return INT64_MAX;
    case 2:
        return -1;
    case 3:
        return pick(1, 3000);
    default:
        return (int64_t)next_random() >> pick(0, 12);
    }
}

static struct encoder_params random_params(void)
{
    static const char *const codecs[] = {"h264", "hevc", "av1", "vp8"};
    static const char *const profiles[] = {"baseline", "main",    "high",     "main10",
                                           "high10",   "high444", "main444-8"};
    struct encoder_params p = params_for(codecs[pick(0, 19) ? pick(0, 2) : 3]);
    snprintf(p.profile, sizeof(p.profile), "%s", pick(0, 2) ? "" : profiles[pick(0, 6)]);
    p.width = pick(0, 9) ? 2 * pick(70, 2048) : pick(-2, 5000);
    p.height = pick(0, 9) ? 2 * pick(22, 1000) : pick(-2, 5000);
    p.format =
        pick(0, 5) ? pick(0, 1) ? PIXEL_NV12 : PIXEL_P010 : (enum pixel_format)pick(0, PIXEL_COUNT);
    p.frame_rate = (struct rational){pick(-1, 60000), pick(-1, 1001)};
    p.sample_aspect = (struct rational){pick(-1, 4) * pick(1, 1 << 20), pick(-1, 4)};
    p.color = (struct color){(uint8_t)pick(0, 255), (uint8_t)pick(0, 255), (uint8_t)pick(0, 255),
                             (uint8_t)pick(0, 2), (uint8_t)pick(0, 6)};
    p.field_order = (enum field_order)(pick(0, 3) ? 0 : pick(0, 3));
    p.rate = (enum rate_control)pick(0, 2);
    p.bit_rate_bps = pick_bits();
    p.bit_rate_max_bps = pick_bits();
    p.vbv_bits = pick_bits();
    p.quality = pick(0, 4) ? pick(0, 51) : pick(-1, 70);
    p.speed = pick(0, 9) ? pick(0, 7) : pick(-3, 20);
    p.bframes = pick(0, 2) ? -1 : pick(0, 17);
    p.low_latency = pick(0, 1);
    return p;
}

static void check_invariants(const struct encoder_params *p, const struct nvenc_caps *caps,
                             const struct nvenc_setup *s)
{
    const NV_ENC_CONFIG *c = &s->config;
    const NV_ENC_RC_PARAMS *rc = &c->rcParams;
    const int b = c->frameIntervalP - 1;
    const bool lossless = p->rate == RATE_QUALITY && p->quality == 0;
    assert_in_range(b, 0, caps->bframes_max);
    if (p->low_latency || !strcmp(p->profile, "baseline"))
        assert_int_equal(b, 0);
    assert_in_range(s->reorder_frames, 0, b);
    assert_int_equal(s->delay_frames, b + (rc->enableLookahead ? rc->lookaheadDepth : 0));
    assert_true(!rc->enableLookahead || (caps->lookahead && !p->low_latency));
    assert_true(rc->lookaheadDepth + b <= 31);
    assert_true(b == 0 || c->gopLength != GOP_NEVER_ENDS);
    assert_true(c->gopLength > 1000000);
    assert_true(rc->averageBitRate <= rc->maxBitRate);
    assert_true(p->rate == RATE_QUALITY || rc->averageBitRate >= 1);
    if (caps->custom_vbv && !lossless)
        assert_int_equal(rc->vbvBufferSize > 0, rc->maxBitRate > 0);
    assert_int_equal(rc->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP, lossless);
    assert_int_equal(rc->targetQuality, p->rate == RATE_QUALITY ? p->quality : 0);
    assert_true(!rc->enableTemporalAQ || caps->temporal_aq);
    assert_true(s->init.darWidth > 0 && s->init.darHeight > 0);
    assert_true(s->init.frameRateNum > 0 && s->init.frameRateDen > 0);
    assert_true(c->frameFieldMode == NV_ENC_PARAMS_FRAME_FIELD_MODE_FRAME || caps->fields);
}

/* Whatever is asked for of whatever device: it is refused with a text that names the codec, or the
 * configuration is one that can be. */
static void test_anything(void **state)
{
    (void)state;
    int taken = 0, refused = 0;
    random_state = SEED;
    print_message("seed %u\n", SEED);
    for (int round = 0; round < 20000; round++) {
        struct error err = {0};
        struct nvenc_setup setup;
        device_reset();
        device.preset_bframes = pick(-1, 7);
        device.caps[NV_ENC_CAPS_NUM_MAX_BFRAMES] = pick(0, 7);
        for (int i = 0; i < 3; i++) {
            static const NV_ENC_CAPS some[] = {
                NV_ENC_CAPS_SUPPORT_FIELD_ENCODING, NV_ENC_CAPS_SUPPORT_LOSSLESS_ENCODE,
                NV_ENC_CAPS_SUPPORT_LOOKAHEAD,      NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ,
                NV_ENC_CAPS_SUPPORT_10BIT_ENCODE,   NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE,
            };
            device.caps[some[pick(0, 5)]] = pick(0, 1);
        }
        device.caps[NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE] = pick(0, 3);
        const struct nvenc_caps caps = caps_of("h264");
        const struct encoder_params params = random_params();
        const int rc = nvenc_check(&params, &caps, &err);
        if (rc != 0) {
            assert_true(rc == RGPU_ERROR_UNSUPPORTED || rc == RGPU_ERROR_PARAM);
            assert_int_equal(err.code, rc);
            assert_non_null(strstr(err.text, params.codec));
            refused++;
            continue;
        }
        assert_int_equal(nvenc_setup(&setup, &params, &caps, &device_api, &device, &err), 0);
        check_invariants(&params, &caps, &setup);
        taken++;
    }
    print_message("%d taken, %d refused\n", taken, refused);
    assert_true(taken > 1000 && refused > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_efforts),
        cmocka_unit_test(test_less_able),
        cmocka_unit_test(test_init),
        cmocka_unit_test(test_largest),
        cmocka_unit_test(test_h264),
        cmocka_unit_test(test_intra_refresh),
        cmocka_unit_test(test_hevc),
        cmocka_unit_test(test_color),
#if HAS_AV1
        cmocka_unit_test(test_av1),
        cmocka_unit_test(test_av1_render_size),
#endif
        cmocka_unit_test(test_no_preset),
        cmocka_unit_test(test_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
