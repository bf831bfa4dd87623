/* codec/nv/nvenc_caps.h. Needs no GPU. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "nvenc_device.h"

/* ---- capabilities, formats ------------------------------------------------------------------- */

static void test_caps(void **state)
{
    (void)state;
    device_reset();
    const struct nvenc_caps caps = caps_of("hevc");
    assert_int_equal(caps.width_min, 145);
    assert_int_equal(caps.width_max, 4096);
    assert_int_equal(caps.height_min, 49);
    assert_int_equal(caps.height_max, 4000);
    assert_int_equal(caps.macroblocks_max, 60000);
    assert_int_equal(caps.bframes_max, 4);
    static const struct {
        NV_ENC_CAPS cap;
        size_t offset;
    } flags[] = {
        {NV_ENC_CAPS_SUPPORT_10BIT_ENCODE, offsetof(struct nvenc_caps, ten_bit)},
        {NV_ENC_CAPS_SUPPORT_LOSSLESS_ENCODE, offsetof(struct nvenc_caps, lossless)},
        {NV_ENC_CAPS_SUPPORT_FIELD_ENCODING, offsetof(struct nvenc_caps, fields)},
        {NV_ENC_CAPS_SUPPORT_LOOKAHEAD, offsetof(struct nvenc_caps, lookahead)},
        {NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ, offsetof(struct nvenc_caps, temporal_aq)},
        {NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE, offsetof(struct nvenc_caps, dynamic_bit_rate)},
        {NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE, offsetof(struct nvenc_caps, dynamic_size)},
        {NV_ENC_CAPS_SUPPORT_INTRA_REFRESH, offsetof(struct nvenc_caps, intra_refresh)},
        {NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE, offsetof(struct nvenc_caps, custom_vbv)},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        for (int on = 0; on < 2; on++) {
            memset(device.caps, 0, sizeof(device.caps));
            device.caps[flags[i].cap] = on;
            const struct nvenc_caps one = caps_of("h264");
            for (size_t k = 0; k < sizeof(flags) / sizeof(flags[0]); k++)
                assert_int_equal(*(const bool *)((const char *)&one + flags[k].offset),
                                 on && k == i);
        }
    }
    for (int mode = 0; mode < 4; mode++) {
        device.caps[NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE] = mode;
        assert_int_equal(caps_of("h264").bframe_reference, mode >= 2);
    }
}

static void test_no_caps(void **state)
{
    (void)state;
    static const struct {
        const char *codec;
        bool no_hevc;
        NVENCSTATUS guids, caps;
        int code;
        const char *word;
    } cases[] = {
        {"hevc", true, NV_ENC_SUCCESS, NV_ENC_SUCCESS, RGPU_ERROR_UNSUPPORTED, "--codec h264"},
        {"vp9", false, NV_ENC_SUCCESS, NV_ENC_SUCCESS, RGPU_ERROR_UNSUPPORTED, "\"vp9\""},
#if !HAS_AV1
        {"av1", false, NV_ENC_SUCCESS, NV_ENC_SUCCESS, RGPU_ERROR_UNSUPPORTED, "12.0 or later"},
#endif
        {"h264", false, NV_ENC_ERR_DEVICE_NOT_EXIST, NV_ENC_SUCCESS, RGPU_ERROR_DEVICE,
         "DEVICE_NOT_EXIST"},
        {"h264", false, NV_ENC_SUCCESS, NV_ENC_ERR_GENERIC, RGPU_ERROR_DEVICE, "GENERIC"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct nvenc_caps caps = {.bframes_max = 77};
        struct error err = {0};
        device_reset();
        device.no_hevc = cases[i].no_hevc;
        device.guids_status = cases[i].guids;
        device.caps_status = cases[i].caps;
        assert_int_equal(nvenc_caps(&caps, &device_api, &device, cases[i].codec, &err),
                         cases[i].code);
        if (!strstr(err.text, cases[i].word))
            fail_msg("no \"%s\" in: %s", cases[i].word, err.text);
        assert_int_equal(caps.bframes_max, 77);
    }
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        const char *codec, *profile;
        enum pixel_format source, wanted;
    } cases[] = {
        {"h264", "", PIXEL_NV12, PIXEL_NV12},
        {"h264", NULL, PIXEL_YUV444P, PIXEL_NV12},
        {"h264", "", PIXEL_P010, PIXEL_NV12},
        {"h264", "baseline", PIXEL_YUV420P, PIXEL_NV12},
        {"h264", "high444", PIXEL_YUV420P, PIXEL_NV12},
        {"h264", "high10", PIXEL_P010, PIXEL_NONE},
        {"h264", "high422", PIXEL_YUV422P, PIXEL_NONE},
        {"h264", "main10", PIXEL_NV12, PIXEL_NONE},
        {"hevc", "", PIXEL_NV12, PIXEL_NV12},
        {"hevc", "", PIXEL_GBRP12, PIXEL_P010},
        {"hevc", "main", PIXEL_P010, PIXEL_NV12},
        {"hevc", "main10", PIXEL_GRAY8, PIXEL_P010},
        {"hevc", "main12", PIXEL_YUV420P12, PIXEL_NONE},
        {"hevc", "main444-8", PIXEL_YUV444P, PIXEL_NONE},
        {"hevc", "", PIXEL_NONE, PIXEL_NONE},
        {"hevc", "", PIXEL_COUNT, PIXEL_NONE},
        {"vp9", "", PIXEL_NV12, PIXEL_NONE},
        {"av1", "", PIXEL_NV12, HAS_AV1 ? PIXEL_NV12 : PIXEL_NONE},
        {"av1", "main", PIXEL_YUV420P10, HAS_AV1 ? PIXEL_P010 : PIXEL_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (nvenc_format(cases[i].codec, cases[i].profile, cases[i].source) != cases[i].wanted)
            fail_msg("case %zu", i);
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *codec;
        struct change changes[CHANGES_MAX];
        int no_cap; /* that the device lacks; -1: none */
        int code;
        const char *words[2];
    } cases[] = {
        {"vp9", {{END}}, -1, RGPU_ERROR_UNSUPPORTED, {"\"vp9\"", "h264, hevc"}},
#if !HAS_AV1
        {"av1", {{END}}, -1, RGPU_ERROR_UNSUPPORTED, {"av1", "12.0"}},
#endif
        {"h264", {{SIZE, 144, 96}}, -1, RGPU_ERROR_UNSUPPORTED, {"144x96", "145x49"}},
        {"h264", {{SIZE, 160, 48}}, -1, RGPU_ERROR_UNSUPPORTED, {"160x48", "below 145x49"}},
        {"hevc", {{SIZE, 4098, 720}}, -1, RGPU_ERROR_UNSUPPORTED, {"4098x720", "above 4096x4000"}},
        {"hevc", {{SIZE, 1280, 4002}}, -1, RGPU_ERROR_UNSUPPORTED, {"1280x4002", "4096x4000"}},
        {"h264", {{SIZE, 4096, 4000}}, -1, RGPU_ERROR_UNSUPPORTED, {"64000 macroblocks", "60000"}},
        {"h264", {{SIZE, 1279, 720}}, -1, RGPU_ERROR_UNSUPPORTED, {"1279x720", "even"}},
        {"h264", {{SIZE, 0, 720}}, -1, RGPU_ERROR_PARAM, {"0x720", ""}},
        {"h264", {{SPEED, 8}}, -1, RGPU_ERROR_PARAM, {"p8", "p7"}},
        {"h264", {{SPEED, -1}}, -1, RGPU_ERROR_PARAM, {"p-1", "p7"}},
        {"h264", {{QUALITY, 52}}, -1, RGPU_ERROR_PARAM, {"52", "51"}},
        {"h264", {{QUALITY, -1}}, -1, RGPU_ERROR_PARAM, {"-1", "51"}},
        {"h264", {{VBR, 999}}, -1, RGPU_ERROR_PARAM, {"999", "--bitrate"}},
        {"h264", {{CBR, 3000000000}}, -1, RGPU_ERROR_UNSUPPORTED, {"3000000 kbit/s", "--bitrate"}},
        {"h264", {{TIME_BASE, 0, 1}}, -1, RGPU_ERROR_PARAM, {"time base", ""}},
        {"h264", {{BFRAMES, 5}}, -1, RGPU_ERROR_UNSUPPORTED, {"5 B-frames", "4 of this GPU"}},
        {"h264", {{BFRAMES, 17}}, -1, RGPU_ERROR_PARAM, {"17 B-frames", "16"}},
        {"h264", {{FORMAT, PIXEL_YUV420P}}, -1, RGPU_ERROR_UNSUPPORTED, {"yuv420p", "NVENC"}},
        {"h264", {{FORMAT, PIXEL_NONE}}, -1, RGPU_ERROR_PARAM, {"pixel format", ""}},
        {"h264",
         {{FORMAT, PIXEL_P010}},
         -1,
         RGPU_ERROR_UNSUPPORTED,
         {"8 bits only", "--profile high for 8 bits"}},
        {"h264",
         {{FORMAT, PIXEL_YUV420P10}},
         -1,
         RGPU_ERROR_UNSUPPORTED,
         {"8 bits only", "--codec hevc"}},
        {"hevc",
         {{FORMAT, PIXEL_YUV420P10}},
         NV_ENC_CAPS_SUPPORT_10BIT_ENCODE,
         RGPU_ERROR_UNSUPPORTED,
         {"no 10-bit coding", "--profile main for 8 bits"}},
        {"h264",
         {{FORMAT, PIXEL_P010}, {PROFILE, .text = "main"}},
         -1,
         RGPU_ERROR_UNSUPPORTED,
         {"p010le", "profile main"}},
        {"hevc",
         {{PROFILE, .text = "main10"}},
         -1,
         RGPU_ERROR_UNSUPPORTED,
         {"nv12", "profile main10"}},
        {"h264", {{PROFILE, .text = "high10"}}, -1, RGPU_ERROR_UNSUPPORTED, {"high10", "CPU"}},
        {"h264", {{PROFILE, .text = "high422"}}, -1, RGPU_ERROR_UNSUPPORTED, {"high422", "CPU"}},
        {"hevc", {{PROFILE, .text = "main12"}}, -1, RGPU_ERROR_UNSUPPORTED, {"main12", "CPU"}},
        {"hevc", {{PROFILE, .text = "high"}}, -1, RGPU_ERROR_UNSUPPORTED, {"\"high\"", "main10"}},
        {"hevc",
         {{FORMAT, PIXEL_P010}},
         NV_ENC_CAPS_SUPPORT_10BIT_ENCODE,
         RGPU_ERROR_UNSUPPORTED,
         {"10-bit", "--profile main"}},
        {"h264",
         {{QUALITY, 0}},
         NV_ENC_CAPS_SUPPORT_LOSSLESS_ENCODE,
         RGPU_ERROR_UNSUPPORTED,
         {"lossless", "--quality of 1"}},
        {"h264",
         {{QUALITY, 0}, {PROFILE, .text = "high"}},
         -1,
         RGPU_ERROR_UNSUPPORTED,
         {"profile high has no lossless", "high444"}},
        {"h264",
         {{FIELDS, FIELD_TOP_FIRST}},
         NV_ENC_CAPS_SUPPORT_FIELD_ENCODING,
         RGPU_ERROR_UNSUPPORTED,
         {"interlaced", "deinterlace"}},
        {"hevc",
         {{FIELDS, FIELD_BOTTOM_FIRST}},
         -1,
         RGPU_ERROR_UNSUPPORTED,
         {"interlaced", "deinterlace"}},
        {"h264",
         {{FIELDS, FIELD_TOP_FIRST}, {SIZE, 1280, 722}},
         -1,
         RGPU_ERROR_UNSUPPORTED,
         {"722 lines", "deinterlace"}},
        {"h264",
         {{FIELDS, FIELD_TOP_FIRST}, {PROFILE, .text = "baseline"}},
         -1,
         RGPU_ERROR_UNSUPPORTED,
         {"baseline", "interlaced"}},
        {"h264",
         {{BFRAMES, 1}, {PROFILE, .text = "baseline"}},
         -1,
         RGPU_ERROR_UNSUPPORTED,
         {"baseline", "B-frames"}},
        {"h264",
         {{VBV, 1000000}},
         NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE,
         RGPU_ERROR_UNSUPPORTED,
         {"rate buffer", "give --quality, or encode on the CPU"}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        device_reset();
        if (cases[i].no_cap >= 0)
            device.caps[cases[i].no_cap] = 0;
        const struct nvenc_caps caps = caps_of("h264");
        const struct encoder_params params = params_changed(cases[i].codec, cases[i].changes);
        const int rc = nvenc_check(&params, &caps, &err);
        if (rc != cases[i].code || err.code != rc)
            fail_msg("case %zu gives %d: %s", i, rc, err.text);
        for (int w = 0; w < 2; w++)
            if (!strstr(err.text, cases[i].words[w]))
                fail_msg("case %zu has no \"%s\": %s", i, cases[i].words[w], err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_no_caps),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
