/* AV1 in libnvidia-encode's stand-in: that a decoder has the pictures again, one for each packet
 * and in their order, and each of AV1's rules, broken on purpose in a process of its own. */
#include <string.h>

#include "api.h"
#include "children.h"
#include "nvenc_api.h"
#include "nvenc_client.h"
#include "standin.h"

#define DEVICE "ENCODERS=av1:8/10:1024x1024:32x32"
#define OBU_SEQUENCE_HEADER 1
#define HEADERS_MAX 256 /* bytes */

static struct client c; /* of the child that runs */

static NV_ENC_CONFIG_AV1 *av1_of(NV_ENC_CONFIG *config)
{
    return &config->encodeCodecConfig.av1Config;
}

static struct client_params with(int b_frames, bool deep, NV_ENC_TUNING_INFO tuning)
{
    struct client_params p = client_with(&NV_ENC_CODEC_AV1_GUID, b_frames);
    p.preset = &NV_ENC_PRESET_P4_GUID;
    p.tuning = tuning;
    p.deep = deep;
    return p;
}

/* How many OBUs of this type the packet has; it begins with a delimiter, and has no other. */
static int obus(int packet, int type)
{
    const uint8_t *data = c.packets[packet].packet->data;
    int left = c.packets[packet].packet->size, count = 0;
    CHECK(left > 2 && data[0] == 0x12 && data[1] == 0);
    for (bool first = true; left > 0; first = false) {
        int head = 1 + (data[0] >> 2 & 1), size = 0, shift = 0;
        CHECK(data[0] & 2 && ((data[0] >> 3 & 15) == 2) == first);
        count += (data[0] >> 3 & 15) == type;
        do {
            size |= (data[head] & 127) << shift;
            shift += 7;
        } while (data[head++] & 128);
        data += head + size;
        left -= head + size;
    }
    CHECK(left == 0);
    return count;
}

/* ---- what comes out ------------------------------------------------------------------------- */

static void live(void)
{
    char types[CLIENT_PACKETS_MAX];
    const struct client_params p = with(0, false, NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY);
    client_begin(&c, &p);
    for (int i = 0; i < 30; i++) {
        CHECK(client_submit(&c, i, i == 17 ? NV_ENC_PIC_FLAG_FORCEIDR : 0) == NV_ENC_SUCCESS);
        CHECK(c.locked == i + 1 && c.packets[i].timestamp == CLIENT_TIME(i));
        CHECK((c.packets[i].type == NV_ENC_PIC_TYPE_IDR) == (i == 0 || i == 17));
    }
    client_end(&c);
    CHECK(client_check(&c, types) > 25);
    for (int i = 0; i < 30; i++) {
        CHECK((types[i] == 'I') == (i == 0 || i == 17));
        CHECK(obus(i, OBU_SEQUENCE_HEADER) == (i == 0)); /* they are not repeated */
    }
}

/* In the order of display, when the picture that the B-frames are before has come. */
static void b_frames(void)
{
    const struct client_params p = with(2, true, NV_ENC_TUNING_INFO_HIGH_QUALITY);
    client_begin(&c, &p);
    for (int i = 0; i < 17; i++) {
        const NVENCSTATUS status = client_submit(&c, i, i == 12 ? NV_ENC_PIC_FLAG_FORCEIDR : 0);
        CHECK(status == (i % 3 == 0 ? NV_ENC_SUCCESS : NV_ENC_ERR_NEED_MORE_INPUT));
    }
    client_end(&c);
    CHECK(c.locked == 17);
    for (int i = 0; i < 17; i++) {
        const NV_ENC_PIC_TYPE type = i % 12 == 0                        ? NV_ENC_PIC_TYPE_IDR
                                     : i % 3 == 0 || i == 11 || i == 16 ? NV_ENC_PIC_TYPE_P
                                                                        : NV_ENC_PIC_TYPE_B;
        CHECK(c.packets[i].timestamp == CLIENT_TIME(i) && c.packets[i].type == type);
    }
    CHECK(client_check(&c, NULL) > 25);
}

static void lossless_of(bool deep)
{
    const struct client_params p = with(2, deep, NV_ENC_TUNING_INFO_LOSSLESS);
    CHECK(client_run(&c, &p, 13) == 100);
}

static void lossless(void)
{
    lossless_of(false);
}

static void lossless_deep(void)
{
    lossless_of(true);
}

static void edit_headers(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    NV_ENC_CONFIG_AV1 *av1 = av1_of(config);
    (void)init;
    av1->repeatSeqHdr = 1;
    av1->colorPrimaries = (NV_ENC_VUI_COLOR_PRIMARIES)9;
    av1->transferCharacteristics = (NV_ENC_VUI_TRANSFER_CHARACTERISTIC)16;
    av1->matrixCoefficients = (NV_ENC_VUI_MATRIX_COEFFS)9;
    av1->colorRange = 1;
    av1->chromaSamplePosition = 2;
}

/* The sequence header is by itself what is in each key frame's packet. */
static void headers(void)
{
    static uint8_t data[HEADERS_MAX];
    struct client_params p = with(0, true, NV_ENC_TUNING_INFO_HIGH_QUALITY);
    p.edit = edit_headers;
    client_begin(&c, &p);
    const uint32_t size = client_headers(&c, data, sizeof(data));
    for (int i = 0; i < 5; i++)
        client_submit(&c, i, i == 3 ? NV_ENC_PIC_FLAG_FORCEIDR : 0);
    client_end(&c);
    CHECK(size > 2 && data[0] >> 3 == OBU_SEQUENCE_HEADER && data[1] == size - 2);
    for (int i = 0; i < 5; i++) {
        const bool key = i == 0 || i == 3;
        CHECK(obus(i, OBU_SEQUENCE_HEADER) == key);
        CHECK(!key || memcmp(c.packets[i].packet->data + 2, data, size) == 0);
    }
    AVFrame *frame = client_decode(&c, 3);
    CHECK(frame->color_range == AVCOL_RANGE_JPEG && frame->color_primaries == AVCOL_PRI_BT2020);
    CHECK(frame->color_trc == AVCOL_TRC_SMPTE2084 && frame->colorspace == AVCOL_SPC_BT2020_NCL);
    CHECK(frame->chroma_location == AVCHROMA_LOC_TOPLEFT);
    CHECK(frame->format == AV_PIX_FMT_YUV420P10 && frame->width == 98 && frame->height == 66);
    av_frame_free(&frame);
}

static uint8_t quality; /* of edit_quality */

static void edit_quality(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.rateControlMode = NV_ENC_PARAMS_RC_VBR;
    config->rcParams.targetQuality = quality;
}

static void qualities(void)
{
    static const uint8_t values[2] = {63, 15};
    double psnr[2];
    for (int i = 0; i < 2; i++) {
        struct client_params p = with(0, false, NV_ENC_TUNING_INFO_HIGH_QUALITY);
        quality = values[i];
        p.edit = edit_quality;
        psnr[i] = client_run(&c, &p, 8);
    }
    CHECK(psnr[0] > 15 && psnr[1] > psnr[0] + 6);
}

static void edit_rate(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.rateControlMode = NV_ENC_PARAMS_RC_CBR;
    config->rcParams.averageBitRate = 200000;
    config->rcParams.vbvBufferSize = 200000;
}

/* A rate, kept; and another size, with an encoder that begins anew. */
static void rates(void)
{
    int64_t bytes = 0;
    struct client_params p = with(0, false, NV_ENC_TUNING_INFO_LOW_LATENCY);
    p.edit = edit_rate;
    client_begin(&c, &p);
    client_submit_next(&c, 100);
    for (int i = 25; i < 100; i++)
        bytes += c.packets[i].packet->size;
    CHECK(bytes * 8 > 300000 && bytes * 8 < 900000); /* 3 seconds */
    c.init.encodeWidth = 64;
    c.init.encodeHeight = 48;
    NV_OK(client_reconfigure(&c, true));
    client_submit_next(&c, 5);
    client_end(&c);
    CHECK(c.packets[100].type == NV_ENC_PIC_TYPE_IDR && obus(100, OBU_SEQUENCE_HEADER) == 1);
    CHECK(client_check(&c, NULL) > 20);
}

static int cap(NV_ENC_CAPS which)
{
    return client_ask_cap(&c, &NV_ENC_CODEC_AV1_GUID, which);
}

static void caps(void)
{
    const struct client_params p = {.opens_only = true};
    GUID guids[4];
    uint32_t count;
    client_begin(&c, &p);
    NV_OK(c.api.nvEncGetEncodeGUIDs(c.encoder, guids, 4, &count));
    CHECK(count == 1 && memcmp(&guids[0], &NV_ENC_CODEC_AV1_GUID, sizeof(GUID)) == 0);
    NV_OK(c.api.nvEncGetEncodeProfileGUIDCount(c.encoder, guids[0], &count));
    CHECK(count == 2);
    CHECK(cap(NV_ENC_CAPS_SUPPORT_10BIT_ENCODE) == 1);
    CHECK(cap(NV_ENC_CAPS_SUPPORT_FIELD_ENCODING) == 0);
    CHECK(cap(NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE) == 0);
    CHECK(cap(NV_ENC_CAPS_LEVEL_MAX) == NV_ENC_LEVEL_AV1_73);
    client_end(&c);
}

/* ---- rules ---------------------------------------------------------------------------------- */

/* A configuration that is right but for `edit` is refused. */
static void refuse(void (*edit)(NV_ENC_INITIALIZE_PARAMS *, NV_ENC_CONFIG *))
{
    struct client_params p = with(0, true, NV_ENC_TUNING_INFO_HIGH_QUALITY);
    p.edit = edit;
    client_check_refused(&c, &p);
}

#define REFUSE(name, statement) CLIENT_REFUSE(name, refuse, statement)

REFUSE(annex_b, av1_of(config)->outputAnnexBFormat = 1)
REFUSE(level, av1_of(config)->level = NV_ENC_LEVEL_AV1_AUTOSELECT + 1)
REFUSE(tier, av1_of(config)->tier = 2)
REFUSE(both, av1_of(config)->repeatSeqHdr = av1_of(config)->disableSeqHdr = 1)
REFUSE(tool, av1_of(config)->enableFrameIdNumbers = 1)
REFUSE(chroma, av1_of(config)->chromaFormatIDC = 3)
REFUSE(position, av1_of(config)->chromaSamplePosition = 3)
REFUSE(render, init->darWidth = 16; init->darHeight = 9)
REFUSE(period, av1_of(config)->idrPeriod = 5)
REFUSE(large_quality, config->rcParams.targetQuality = 64)
REFUSE(profile, config->profileGUID = NV_ENC_HEVC_PROFILE_MAIN10_GUID)
REFUSE(field, config->frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FIELD)

#if NVENCAPI_MAJOR_VERSION > 12 || NVENCAPI_MINOR_VERSION >= 2
REFUSE(depth, av1_of(config)->outputBitDepth = NV_ENC_BIT_DEPTH_8)
#else
REFUSE(depth, av1_of(config)->pixelBitDepthMinus8 = 0)
#endif

static void obus_given(void)
{
    uint8_t content[4] = {0};
    NV_ENC_AV1_OBU_PAYLOAD obu = {
        .payloadSize = sizeof(content), .payloadType = 5, .payload = content};
    const struct client_params p = with(0, false, NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY);
    client_begin(&c, &p);
    NV_ENC_PIC_PARAMS picture = client_picture(&c, client_upload(&c, 0), 0, 0);
    picture.codecPicParams.av1PicParams.obuPayloadArray = &obu;
    picture.codecPicParams.av1PicParams.obuPayloadArrayCnt = 1;
    CHECK(c.api.nvEncEncodePicture(c.encoder, &picture) == NV_ENC_ERR_INVALID_PARAM);
    picture.codecPicParams.av1PicParams.obuPayloadArrayCnt = 0;
    NV_OK(c.api.nvEncEncodePicture(c.encoder, &picture));
    c.submitted++;
    client_end(&c);
}

/* The violation is the encoder's, whose packet there is none of then. */
static void other_rate(void)
{
    struct client_params p = with(0, false, NV_ENC_TUNING_INFO_LOW_LATENCY);
    p.edit = edit_rate;
    client_begin(&c, &p);
    client_submit_next(&c, 2);
    c.config.rcParams.averageBitRate = 100000;
    NV_OK(client_reconfigure(&c, false));
    c.keeps = true;
    client_submit(&c, 2, 0);
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 2);
    CHECK(c.api.nvEncLockBitstream(c.encoder, &lock) == NV_ENC_ERR_GENERIC);
    client_send_end(&c);
    NV_OK(c.api.nvEncUnmapInputResource(c.encoder, c.slots[2].mapped));
    c.locked = c.submitted = 0;
    client_end(&c);
}

static const struct child children[] = {
    {"live", live, NULL, DEVICE},
    {"B-frames", b_frames, NULL, DEVICE},
    {"lossless", lossless, NULL, DEVICE},
    {"lossless, 10 bits", lossless_deep, NULL, DEVICE},
    {"sequence headers, colours", headers, NULL, DEVICE},
    {"qualities", qualities, NULL, DEVICE},
    {"a rate, another size", rates, NULL, DEVICE " LATE_US=0"},
    {"caps", caps, NULL, DEVICE " ENCODE_CAPS=SUPPORT_FIELD_ENCODING:1"},
    {"Annex B", refuse_annex_b, "Annex B", DEVICE},
    {"a level", refuse_level, "no level, or no tier", DEVICE},
    {"a tier", refuse_tier, "no level, or no tier", DEVICE},
    {"headers off and repeated", refuse_both, "that are off, and repeated", DEVICE},
    {"a tool", refuse_tool, "a tool of AV1", DEVICE},
    {"4:4:4", refuse_chroma, "chromaFormatIDC is not 1", DEVICE},
    {"where chroma is", refuse_position, "no position of AV1's chroma", DEVICE},
    {"an aspect", refuse_render, "which AV1 renders at", DEVICE},
    {"an idrPeriod", refuse_period, "an idrPeriod that is not gopLength", DEVICE},
    {"a quality of 64", refuse_large_quality, "a targetQuality above", DEVICE},
    {"HEVC's profile", refuse_profile, "not a profile of the codec", DEVICE},
    {"fields", refuse_field, "field coding", DEVICE " ENCODE_CAPS=SUPPORT_FIELD_ENCODING:1"},
    {"two depths", refuse_depth, "a depth that is not 8 or 10", DEVICE},
    {"OBUs", obus_given, "OBUs for AV1", DEVICE},
    {"another rate", other_rate, "another rate in mid-stream", DEVICE},
};

int main(void)
{
    av_log_set_level(AV_LOG_QUIET);
    return children_run(children, sizeof(children) / sizeof(children[0]));
}
