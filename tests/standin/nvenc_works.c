/* That libnvidia-encode's stand-in encodes what a decoder decodes, in the order and at the time
 * that NVENC does, and what its settings do. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#include "api.h"
#include "children.h"
#include "nvenc_api.h"
#include "nvenc_client.h"
#include "standin.h"

#define DEVICE "ENCODERS=h264:8:1024x1024:32x32,hevc:8/10:1024x1024:32x32"

static struct client c; /* of the child that runs */

static const struct client_params h264 = {.codec = &NV_ENC_CODEC_H264_GUID,
                                          .preset = &NV_ENC_PRESET_P1_GUID,
                                          .tuning = NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY,
                                          .width = 98,
                                          .height = 66};

static struct client_params with(const GUID *codec, int b_frames)
{
    struct client_params p = h264;
    p.codec = codec;
    p.tuning = b_frames > 0 ? NV_ENC_TUNING_INFO_HIGH_QUALITY : h264.tuning;
    p.b_frames = b_frames;
    return p;
}

static void submit(int count)
{
    for (int i = 0; i < count; i++) {
        const NVENCSTATUS status = client_submit(&c, c.submitted, 0);
        CHECK(status == NV_ENC_SUCCESS || status == NV_ENC_ERR_NEED_MORE_INPUT);
    }
}

/* Whether the packet has a NAL unit of this type; how many. */
static int units(int packet, int type)
{
    const bool hevc = memcmp(c.params.codec, &NV_ENC_CODEC_HEVC_GUID, sizeof(GUID)) == 0;
    const AVPacket *p = c.packets[packet].packet;
    int count = 0;
    for (int i = 0; i + 3 < p->size; i++) {
        if (p->data[i] == 0 && p->data[i + 1] == 0 && p->data[i + 2] == 1)
            count += (hevc ? p->data[i + 3] >> 1 & 63 : p->data[i + 3] & 31) == type;
    }
    return count;
}

static int units_sps(void)
{
    return memcmp(c.params.codec, &NV_ENC_CODEC_HEVC_GUID, sizeof(GUID)) == 0 ? 33 : 7;
}

static bool is_idr(int packet)
{
    const bool hevc = memcmp(c.params.codec, &NV_ENC_CODEC_HEVC_GUID, sizeof(GUID)) == 0;
    return hevc ? units(packet, 19) + units(packet, 20) > 0 : units(packet, 5) > 0;
}

static int64_t bytes(int from, int to)
{
    int64_t sum = 0;
    for (int i = from; i < to; i++)
        sum += c.packets[i].packet->size;
    return sum;
}

/* ---- order and types ------------------------------------------------------------------------ */

static void live(const GUID *codec)
{
    char types[CLIENT_PACKETS_MAX];
    const struct client_params p = with(codec, 0);
    client_begin(&c, &p);
    for (int i = 0; i < 30; i++) {
        CHECK(client_submit(&c, i, i == 17 ? NV_ENC_PIC_FLAG_FORCEIDR : 0) == NV_ENC_SUCCESS);
        CHECK(c.locked == i + 1 && c.packets[i].timestamp == CLIENT_TIME(i));
        CHECK(c.packets[i].frame_index == (uint32_t)i);
        CHECK(c.packets[i].structure == NV_ENC_PIC_STRUCT_FRAME);
        CHECK((c.packets[i].type == NV_ENC_PIC_TYPE_IDR) == (i == 0 || i == 17));
    }
    client_end(&c);
    CHECK(client_check(&c, types) > 25);
    for (int i = 0; i < 30; i++) {
        CHECK((types[i] == 'I') == (i == 0 || i == 17) && is_idr(i) == (i == 0 || i == 17));
        CHECK((units(i, units_sps()) == 1) == (i == 0));
    }
}

static void live_h264(void)
{
    live(&NV_ENC_CODEC_H264_GUID);
}

static void live_hevc(void)
{
    live(&NV_ENC_CODEC_HEVC_GUID);
}

/* I0 P3 B1 B2 P6 ... with the pictures that come out when they have to. */
static void b_frames(const GUID *codec)
{
    char types[CLIENT_PACKETS_MAX];
    const struct client_params p = with(codec, 2);
    static const int order[] = {0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 11, 10, 12, 15, 13, 14, 17, 16};
    client_begin(&c, &p);
    for (int i = 0; i < 18; i++) {
        const NVENCSTATUS status = client_submit(&c, i, i == 12 ? NV_ENC_PIC_FLAG_FORCEIDR : 0);
        const bool comes = i % 3 == 0;
        CHECK(status == (comes ? NV_ENC_SUCCESS : NV_ENC_ERR_NEED_MORE_INPUT));
    }
    client_end(&c);
    for (int i = 0; i < 18; i++) {
        const NV_ENC_PIC_TYPE type = order[i] == 0 || order[i] == 12 ? NV_ENC_PIC_TYPE_IDR
                                     : order[i] % 3 == 0 || order[i] == 11 || order[i] == 17
                                         ? NV_ENC_PIC_TYPE_P
                                         : NV_ENC_PIC_TYPE_B;
        CHECK(c.packets[i].timestamp == CLIENT_TIME(order[i]) && c.packets[i].type == type);
        CHECK(c.packets[i].frame_index == (uint32_t)order[i]);
        CHECK(is_idr(i) == (type == NV_ENC_PIC_TYPE_IDR));
    }
    CHECK(client_check(&c, types) > 25);
}

static void b_frames_h264(void)
{
    b_frames(&NV_ENC_CODEC_H264_GUID);
}

static void b_frames_hevc(void)
{
    b_frames(&NV_ENC_CODEC_HEVC_GUID);
}

/* Many, so that places in display wrap around. */
static void b_frames_long(void)
{
    struct client_params p = with(&NV_ENC_CODEC_HEVC_GUID, 3);
    client_begin(&c, &p);
    submit(120);
    client_end(&c);
    CHECK(c.locked == 120 && client_check(&c, NULL) > 25);
}

static void b_frames_long_h264(void)
{
    struct client_params p = with(&NV_ENC_CODEC_H264_GUID, 4);
    client_begin(&c, &p);
    submit(128);
    client_end(&c);
    CHECK(c.locked == 128 && client_check(&c, NULL) > 25);
}

static void edit_gop(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->gopLength = 8;
    config->encodeCodecConfig.h264Config.idrPeriod = 8;
    config->encodeCodecConfig.h264Config.repeatSPSPPS = 1;
    config->encodeCodecConfig.h264Config.outputAUD = 1;
    config->encodeCodecConfig.h264Config.entropyCodingMode = NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
}

/* GOPs of 8: I P B B P B B P, closed. */
static void gop(void)
{
    struct client_params p = with(&NV_ENC_CODEC_H264_GUID, 2);
    p.edit = edit_gop;
    client_begin(&c, &p);
    submit(24);
    client_end(&c);
    for (int i = 0; i < 24; i++) {
        CHECK(is_idr(i) == (i % 8 == 0) && units(i, 7) == (i % 8 == 0) && units(i, 9) == 1);
        CHECK((c.packets[i].timestamp - CLIENT_TIME(0)) / 40 / 8 == (uint64_t)i / 8);
    }
    CHECK(client_check(&c, NULL) > 25);
}

/* After its end a stream goes on, with time stamps of its own, and begins with an IDR. */
static void ends(void)
{
    const struct client_params p = with(&NV_ENC_CODEC_HEVC_GUID, 2);
    client_begin(&c, &p);
    submit(6);
    client_end_of_stream(&c);
    CHECK(c.locked == 6);
    client_end_of_stream(&c);
    submit(5);
    client_end(&c);
    CHECK(c.locked == 11 && is_idr(0) && is_idr(6));
    CHECK(c.packets[6].type == NV_ENC_PIC_TYPE_IDR && c.packets[6].timestamp == CLIENT_TIME(6));
    CHECK(client_check(&c, NULL) > 25);
}

static void edit_lookahead(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.enableLookahead = 1;
    config->rcParams.lookaheadDepth = 4;
}

static void lookahead(void)
{
    struct client_params p = h264;
    p.edit = edit_lookahead;
    client_begin(&c, &p);
    c.keeps = true;
    for (int i = 0; i < 10; i++) {
        CHECK(client_submit(&c, i, 0) == (i < 4 ? NV_ENC_ERR_NEED_MORE_INPUT : NV_ENC_SUCCESS));
        if (i >= 4)
            client_take(&c);
    }
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, c.locked);
    lock.doNotWait = 1;
    CHECK(c.api.nvEncLockBitstream(c.encoder, &lock) == NV_ENC_ERR_LOCK_BUSY);
    client_end(&c);
    CHECK(c.locked == 10 && client_check(&c, NULL) > 25);
}

/* ---- what is in the stream ------------------------------------------------------------------ */

static void edit_lossless(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    if (memcmp(&init->encodeGUID, &NV_ENC_CODEC_H264_GUID, sizeof(GUID)) == 0)
        config->encodeCodecConfig.h264Config.qpPrimeYZeroTransformBypassFlag = 1;
}

static void lossless(const GUID *codec, bool deep, int b_frames)
{
    struct client_params p = with(codec, b_frames);
    p.tuning = NV_ENC_TUNING_INFO_LOSSLESS;
    p.preset = &NV_ENC_PRESET_P4_GUID;
    p.deep = deep;
    p.edit = edit_lossless;
    client_begin(&c, &p);
    submit(13);
    client_end(&c);
    CHECK(c.locked == 13 && client_check(&c, NULL) == 100);
}

static void lossless_h264(void)
{
    lossless(&NV_ENC_CODEC_H264_GUID, false, 2);
}

static void lossless_hevc(void)
{
    lossless(&NV_ENC_CODEC_HEVC_GUID, false, 2);
}

static void lossless_hevc_deep(void)
{
    lossless(&NV_ENC_CODEC_HEVC_GUID, true, 0);
}

static void presets(void)
{
    static const GUID *const guids[] = {&NV_ENC_PRESET_P2_GUID, &NV_ENC_PRESET_P5_GUID,
                                        &NV_ENC_PRESET_P7_GUID};
    for (int i = 0; i < 6; i++) {
        struct client_params p = with(i < 3 ? &NV_ENC_CODEC_H264_GUID : &NV_ENC_CODEC_HEVC_GUID, 1);
        p.preset = guids[i % 3];
        client_reset(&c);
        client_begin(&c, &p);
        submit(7);
        client_end(&c);
        CHECK(client_check(&c, NULL) > 25);
    }
}

static void edit_colours(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    NV_ENC_CONFIG_H264_VUI_PARAMETERS *vui =
        memcmp(&init->encodeGUID, &NV_ENC_CODEC_HEVC_GUID, sizeof(GUID)) == 0
            ? &config->encodeCodecConfig.hevcConfig.hevcVUIParameters
            : &config->encodeCodecConfig.h264Config.h264VUIParameters;
    vui->videoSignalTypePresentFlag = 1;
    vui->videoFullRangeFlag = 1;
    vui->colourDescriptionPresentFlag = 1;
    vui->colourPrimaries = 9;
    vui->transferCharacteristics = 16;
    vui->colourMatrix = 9;
}

/* From the parameter sets alone, as a program that writes files would have them. */
static void colours(const GUID *codec)
{
    static uint8_t headers[1024];
    uint32_t size = 0;
    struct client_params p = with(codec, 1);
    p.edit = edit_colours;
    client_begin(&c, &p);
    NV_ENC_SEQUENCE_PARAM_PAYLOAD payload = {.version = NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER,
                                             .inBufferSize = sizeof(headers),
                                             .spsppsBuffer = headers,
                                             .outSPSPPSPayloadSize = &size};
    NV_OK(c.api.nvEncGetSequenceParams(c.encoder, &payload));
    submit(1);
    client_end(&c);
    CHECK(size > 0 && memcmp(headers, c.packets[0].packet->data, size) == 0);
    AVCodecContext *av = client_decoder(&c);
    AVFrame *frame = av_frame_alloc();
    CHECK(avcodec_send_packet(av, c.packets[0].packet) == 0 && avcodec_send_packet(av, NULL) == 0);
    CHECK(avcodec_receive_frame(av, frame) == 0);
    CHECK(frame->color_range == AVCOL_RANGE_JPEG && frame->color_primaries == AVCOL_PRI_BT2020);
    CHECK(frame->color_trc == AVCOL_TRC_SMPTE2084 && frame->colorspace == AVCOL_SPC_BT2020_NCL);
    CHECK(frame->width == 98 && frame->height == 66);
    av_frame_free(&frame);
    avcodec_free_context(&av);
}

static void colours_h264(void)
{
    colours(&NV_ENC_CODEC_H264_GUID);
}

static void colours_hevc(void)
{
    colours(&NV_ENC_CODEC_HEVC_GUID);
}

static const GUID *profile; /* of edit_profile */

static void edit_profile(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->profileGUID = *profile;
}

static const char *profile_of(const GUID *guid)
{
    struct client_params p = h264;
    client_reset(&c);
    profile = guid;
    p.edit = edit_profile;
    client_begin(&c, &p);
    submit(2);
    client_end(&c);
    CHECK(client_check(&c, NULL) > 25);
    return avcodec_profile_name(AV_CODEC_ID_H264, c.packets[0].packet->data[5]);
}

static void profiles(void)
{
    CHECK(strcmp(profile_of(&NV_ENC_H264_PROFILE_BASELINE_GUID), "Baseline") == 0);
    CHECK(strcmp(profile_of(&NV_ENC_H264_PROFILE_MAIN_GUID), "Main") == 0);
    CHECK(strcmp(profile_of(&NV_ENC_H264_PROFILE_HIGH_GUID), "High") == 0);
}

/* Captions of a kind, which decoders give with the picture. */
static void sei(const GUID *codec)
{
    static uint8_t content[300];
    const bool hevc = memcmp(codec, &NV_ENC_CODEC_HEVC_GUID, sizeof(GUID)) == 0;
    NV_ENC_SEI_PAYLOAD message = {
        .payloadSize = sizeof(content), .payloadType = 5, .payload = content};
    const struct client_params p = with(codec, 2);
    client_begin(&c, &p);
    for (int i = 0; i < 7; i++) {
        memset(content, i == 4 ? 0 : 0x55, sizeof(content));
        if (hevc) {
            c.extra.codecPicParams.hevcPicParams.seiPayloadArray = &message;
            c.extra.codecPicParams.hevcPicParams.seiPayloadArrayCnt = i == 4;
        } else {
            c.extra.codecPicParams.h264PicParams.seiPayloadArray = &message;
            c.extra.codecPicParams.h264PicParams.seiPayloadArrayCnt = i == 4;
        }
        client_submit(&c, i, i == 5 ? NV_ENC_PIC_FLAG_OUTPUT_SPSPPS : 0);
    }
    client_end(&c);
    AVCodecContext *av = client_decoder(&c);
    AVFrame *frame = av_frame_alloc();
    int shown = 0;
    for (int i = 0; i <= 7; i++) {
        CHECK(avcodec_send_packet(av, i < 7 ? c.packets[i].packet : NULL) == 0);
        for (; avcodec_receive_frame(av, frame) == 0; shown++) {
            const AVFrameSideData *data =
                av_frame_get_side_data(frame, AV_FRAME_DATA_SEI_UNREGISTERED);
            CHECK((data != NULL) == (shown == 4));
            CHECK(!data || (data->size == sizeof(content) && data->data[20] == 0));
        }
    }
    CHECK(shown == 7);
    for (int i = 0; i < 7; i++) {
        const uint64_t n = (c.packets[i].timestamp - CLIENT_TIME(0)) / 40;
        CHECK(units(i, hevc ? 33 : 7) == (n == 0 || n == 5));
        CHECK(units(i, hevc ? 39 : 6) == (n == 4));
    }
    av_frame_free(&frame);
    avcodec_free_context(&av);
}

static void sei_h264(void)
{
    sei(&NV_ENC_CODEC_H264_GUID);
}

static void sei_hevc(void)
{
    sei(&NV_ENC_CODEC_HEVC_GUID);
}

/* ---- rates ---------------------------------------------------------------------------------- */

static void edit_rate(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.rateControlMode = NV_ENC_PARAMS_RC_CBR;
    config->rcParams.averageBitRate = 300000;
    config->rcParams.vbvBufferSize = 150000;
}

static void reconfigure(void (*edit)(NV_ENC_INITIALIZE_PARAMS *, NV_ENC_CONFIG *), bool idr)
{
    edit(&c.init, &c.config);
    NV_ENC_RECONFIGURE_PARAMS change = {.version = NV_ENC_RECONFIGURE_PARAMS_VER,
                                        .reInitEncodeParams = c.init,
                                        .forceIDR = idr,
                                        .resetEncoder = idr};
    NV_OK(c.api.nvEncReconfigureEncoder(c.encoder, &change));
}

static void edit_less(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.averageBitRate = 100000;
    config->rcParams.vbvBufferSize = 50000;
}

/* 50 pictures a rate are 2 seconds; the second half of each is looked at. */
static void rates(const GUID *codec)
{
    struct client_params p = with(codec, 0);
    p.width = 192;
    p.height = 128;
    p.edit = edit_rate;
    client_begin(&c, &p);
    submit(50);
    reconfigure(edit_less, false);
    submit(50);
    client_end(&c);
    const int64_t before = bytes(25, 50) * 8, behind = bytes(75, 100) * 8;
    fprintf(stderr, "bits a second: %lld, then %lld\n", (long long)before, (long long)behind);
    CHECK(before > 200000 && before < 400000);
    CHECK(behind > 65000 && behind < 135000);
    for (int i = 1; i < 100; i++)
        CHECK(!is_idr(i));
    CHECK(client_check(&c, NULL) > 20);
}

static void rates_h264(void)
{
    rates(&NV_ENC_CODEC_H264_GUID);
}

static void rates_hevc(void)
{
    rates(&NV_ENC_CODEC_HEVC_GUID);
}

static void edit_coarse(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.rateControlMode = NV_ENC_PARAMS_RC_CONSTQP;
    config->rcParams.constQP = (NV_ENC_QP){40, 40, 40};
}

static void edit_fine(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    edit_coarse(init, config);
    config->rcParams.constQP = (NV_ENC_QP){20, 20, 20};
}

static void quantisers(const GUID *codec)
{
    struct client_params p = with(codec, 0);
    double psnr[2];
    for (int i = 0; i < 2; i++) {
        client_reset(&c);
        p.edit = i == 0 ? edit_coarse : edit_fine;
        client_begin(&c, &p);
        submit(8);
        client_end(&c);
        psnr[i] = client_check(&c, NULL);
    }
    CHECK(psnr[0] > 20 && psnr[1] > psnr[0] + 6);
}

static void quantisers_h264(void)
{
    quantisers(&NV_ENC_CODEC_H264_GUID);
}

static void quantisers_hevc(void)
{
    quantisers(&NV_ENC_CODEC_HEVC_GUID);
}

static void edit_small(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)config;
    init->encodeWidth = 64;
    init->encodeHeight = 48;
    init->frameRateNum = 50;
}

static void resize(const GUID *codec)
{
    const struct client_params p = with(codec, 2);
    client_begin(&c, &p);
    submit(6);
    reconfigure(edit_small, true);
    submit(6);
    client_end(&c);
    CHECK(c.locked == 12 && is_idr(6) && units(6, units_sps()) == 1);
    CHECK(client_check(&c, NULL) > 25);
}

static void edit_room(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    edit_small(init, config);
    init->maxEncodeWidth = 128;
    init->maxEncodeHeight = 80;
}

static void edit_full(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)config;
    init->encodeWidth = init->maxEncodeWidth;
    init->encodeHeight = init->maxEncodeHeight;
    init->frameRateNum = 25;
}

/* Up to the largest size that there was room for, and back. */
static void grow(const GUID *codec)
{
    struct client_params p = with(codec, 0);
    p.edit = edit_room;
    client_begin(&c, &p);
    submit(5);
    for (int i = 0; i < CLIENT_SLOTS; i++) {
        NV_ENC_CREATE_BITSTREAM_BUFFER buffer = {.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER};
        NV_OK(c.api.nvEncDestroyBitstreamBuffer(c.encoder, c.slots[i].buffer));
        if (i == 0)
            reconfigure(edit_full, true);
        NV_OK(c.api.nvEncCreateBitstreamBuffer(c.encoder, &buffer));
        c.slots[i].buffer = buffer.bitstreamBuffer;
    }
    submit(5);
    reconfigure(edit_small, true);
    submit(5);
    client_end(&c);
    CHECK(c.locked == 15 && is_idr(5) && is_idr(10));
    CHECK(units(5, units_sps()) == 1 && units(10, units_sps()) == 1);
    CHECK(client_check(&c, NULL) > 25);
}

static void grow_h264(void)
{
    grow(&NV_ENC_CODEC_H264_GUID);
}

static void grow_hevc(void)
{
    grow(&NV_ENC_CODEC_HEVC_GUID);
}

static void resize_h264(void)
{
    resize(&NV_ENC_CODEC_H264_GUID);
}

static void resize_hevc(void)
{
    resize(&NV_ENC_CODEC_HEVC_GUID);
}

/* ---- devices, settings ---------------------------------------------------------------------- */

static void no_encoder(void)
{
    uint32_t version;
    NV_OK(NvEncodeAPIGetMaxSupportedVersion(&version));
    CHECK(version == (13 << 4));
    CHECK(client_open(&c) == NV_ENC_ERR_UNSUPPORTED_DEVICE && !c.encoder);
    CUDA_OK(cuStreamDestroy_v2(c.stream));
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    CUDA_OK(cuDevicePrimaryCtxRelease_v2(0));
}

static void old_driver(void)
{
    NV_ENCODE_API_FUNCTION_LIST list = {.version = NV_ENCODE_API_FUNCTION_LIST_VER};
    uint32_t version;
    NV_OK(NvEncodeAPIGetMaxSupportedVersion(&version));
    CHECK(version == (9 << 4 | 1));
    CHECK(NvEncodeAPICreateInstance(&list) == NV_ENC_ERR_INVALID_VERSION);
}

static NVENCSTATUS open_on(int device, void **ret)
{
    CUcontext context;
    CUDA_OK(cuDevicePrimaryCtxRetain(&context, device));
    CUDA_OK(cuCtxPushCurrent_v2(context));
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS params = {.version =
                                                       NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
                                                   .deviceType = NV_ENC_DEVICE_TYPE_CUDA,
                                                   .device = context,
                                                   .apiVersion = NVENCAPI_VERSION};
    return c.api.nvEncOpenEncodeSessionEx(&params, ret);
}

static void close_on(int device, void *encoder)
{
    if (encoder)
        NV_OK(c.api.nvEncDestroyEncoder(encoder));
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    CUDA_OK(cuDevicePrimaryCtxRelease_v2(device));
}

/* Two sessions of the system's, on whichever device; the last device has no encoder. */
static void sessions(void)
{
    const struct client_params p = {.opens_only = true};
    void *second, *third;
    client_begin(&c, &p);
    NV_OK(open_on(1, &second));
    CHECK(open_on(1, &third) == NV_ENC_ERR_OUT_OF_MEMORY && !third);
    close_on(1, NULL);
    close_on(1, second);
    NV_OK(open_on(1, &second));
    close_on(1, second);
    CHECK(open_on(2, &third) == NV_ENC_ERR_UNSUPPORTED_DEVICE);
    close_on(2, NULL);
    client_end(&c);
}

static int cap(const GUID *codec, NV_ENC_CAPS which)
{
    NV_ENC_CAPS_PARAM param = client_cap(which);
    int value = -1;
    NV_OK(c.api.nvEncGetEncodeCaps(c.encoder, *codec, &param, &value));
    return value;
}

static void caps(void)
{
    const struct client_params p = {.opens_only = true};
    GUID guids[8];
    NV_ENC_BUFFER_FORMAT formats[8];
    uint32_t count;
    client_begin(&c, &p);
    NV_OK(c.api.nvEncGetEncodeGUIDCount(c.encoder, &count));
    CHECK(count == 2);
    NV_OK(c.api.nvEncGetEncodeGUIDs(c.encoder, guids, 8, &count));
    CHECK(count == 2 && memcmp(&guids[1], &NV_ENC_CODEC_HEVC_GUID, sizeof(GUID)) == 0);
    NV_OK(c.api.nvEncGetInputFormats(c.encoder, guids[1], formats, 8, &count));
    CHECK(count == 2 && formats[1] == NV_ENC_BUFFER_FORMAT_YUV420_10BIT);
    NV_OK(c.api.nvEncGetInputFormats(c.encoder, guids[0], formats, 8, &count));
    CHECK(count == 1 && formats[0] == NV_ENC_BUFFER_FORMAT_NV12);
    NV_OK(c.api.nvEncGetEncodeProfileGUIDs(c.encoder, guids[1], guids + 2, 6, &count));
    CHECK(count == 3);
    NV_OK(c.api.nvEncGetEncodePresetCount(c.encoder, guids[0], &count));
    CHECK(count == 7);
    CHECK(cap(&guids[0], NV_ENC_CAPS_WIDTH_MAX) == 1024 &&
          cap(&guids[0], NV_ENC_CAPS_WIDTH_MIN) == 32);
    CHECK(cap(&guids[0], NV_ENC_CAPS_SUPPORT_10BIT_ENCODE) == 0);
    CHECK(cap(&guids[1], NV_ENC_CAPS_SUPPORT_10BIT_ENCODE) == 1);
    CHECK(cap(&guids[1], NV_ENC_CAPS_NUM_MAX_BFRAMES) == 3);
    CHECK(cap(&guids[1], NV_ENC_CAPS_SUPPORT_LOOKAHEAD) == 0);
    CHECK(cap(&guids[1], NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE) == 2);
    CHECK(c.api.nvEncInvalidateRefFrames(c.encoder, 0) == NV_ENC_ERR_UNIMPLEMENTED);
    client_end(&c);
}

/* A call that is asked to wait has done nothing. */
static void busy(void)
{
    client_begin(&c, &h264);
    for (int i = 0; i < 4; i++) {
        const struct client_slot *slot = client_upload(&c, i);
        NV_ENC_PIC_PARAMS picture = client_picture(&c, slot, i, 0);
        const NVENCSTATUS wanted = i == 2 ? NV_ENC_ERR_ENCODER_BUSY : NV_ENC_SUCCESS;
        CHECK(c.api.nvEncEncodePicture(c.encoder, &picture) == wanted);
        if (i == 2)
            NV_OK(c.api.nvEncEncodePicture(c.encoder, &picture));
        c.submitted++;
        client_take(&c);
    }
    client_end(&c);
    CHECK(client_check(&c, NULL) > 25);
}

/* After a failure all is given back, in whichever state it is. */
static void give_up(NVENCSTATUS status)
{
    for (int i = 0; i < CLIENT_SLOTS; i++) {
        struct client_slot *slot = &c.slots[i];
        if (slot->mapped)
            CHECK(c.api.nvEncUnmapInputResource(c.encoder, slot->mapped) == status);
        CHECK(c.api.nvEncUnregisterResource(c.encoder, slot->registered) == status);
        CHECK(c.api.nvEncDestroyBitstreamBuffer(c.encoder, slot->buffer) == status);
    }
    CHECK(c.api.nvEncDestroyEncoder(c.encoder) == status);
    const bool dead = status != NV_ENC_SUCCESS;
    CHECK((cuStreamSynchronize(c.stream) != CUDA_SUCCESS) == dead);
    for (int i = 0; i < CLIENT_SLOTS; i++) {
        CHECK((cuMemFree_v2(c.slots[i].memory) != CUDA_SUCCESS) == dead);
        CHECK((cuMemFreeHost(c.slots[i].pixels) != CUDA_SUCCESS) == dead);
    }
    CHECK((cuStreamDestroy_v2(c.stream) != CUDA_SUCCESS) == dead);
    cuCtxPopCurrent_v2(NULL);
    cuDevicePrimaryCtxRelease_v2(0);
}

static void lock_fails(void)
{
    const struct client_params p = with(&NV_ENC_CODEC_H264_GUID, 2);
    client_begin(&c, &p);
    c.keeps = true;
    CHECK(client_submit(&c, 0, 0) == NV_ENC_SUCCESS);
    CHECK(client_submit(&c, 1, 0) == NV_ENC_ERR_NEED_MORE_INPUT);
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 0);
    CHECK(c.api.nvEncLockBitstream(c.encoder, &lock) == NV_ENC_ERR_GENERIC);
    give_up(NV_ENC_SUCCESS);
}

/* Lost while packets are waited for. */
static void death(void)
{
    client_begin(&c, &h264);
    submit(3);
    c.keeps = true;
    client_submit(&c, 3, 0);
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 3);
    CHECK(c.api.nvEncLockBitstream(c.encoder, &lock) == NV_ENC_ERR_DEVICE_NOT_EXIST);
    give_up(NV_ENC_ERR_DEVICE_NOT_EXIST);
}

/* ---- two threads ---------------------------------------------------------------------------- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int may_take, taken; /* protected by mutex */

/* Takes packets while the other one submits; unmapping is left to the other. */
static void *take_all(void *count)
{
    CUDA_OK(cuCtxPushCurrent_v2(c.context));
    for (int i = 0; i < *(const int *)count; i++) {
        pthread_mutex_lock(&mutex);
        while (may_take <= i)
            pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);
        client_take(&c);
        pthread_mutex_lock(&mutex);
        taken = i + 1;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&mutex);
    }
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    return NULL;
}

static void threads(void)
{
    int count = 60;
    pthread_t thread;
    const struct client_params p = with(&NV_ENC_CODEC_H264_GUID, 2);
    client_begin(&c, &p);
    c.keeps = true;
    CHECK(pthread_create(&thread, NULL, take_all, &count) == 0);
    for (int i = 0; i < count; i++) {
        pthread_mutex_lock(&mutex);
        while (i - taken >= CLIENT_SLOTS - 3)
            pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);
        const NVENCSTATUS status = client_submit(&c, i, i == 30 ? NV_ENC_PIC_FLAG_FORCEIDR : 0);
        pthread_mutex_lock(&mutex);
        if (status == NV_ENC_SUCCESS)
            may_take = i + 1;
        pthread_cond_signal(&changed);
        pthread_mutex_unlock(&mutex);
    }
    NV_ENC_PIC_PARAMS end = {.version = NV_ENC_PIC_PARAMS_VER,
                             .encodePicFlags = NV_ENC_PIC_FLAG_EOS};
    NV_OK(c.api.nvEncEncodePicture(c.encoder, &end));
    pthread_mutex_lock(&mutex);
    may_take = count;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
    client_end(&c);
    CHECK(c.locked == count && client_check(&c, NULL) > 25);
}

static const struct child children[] = {
    {"H.264, live", live_h264, NULL, DEVICE},
    {"HEVC, live", live_hevc, NULL, DEVICE},
    {"H.264, B-frames", b_frames_h264, NULL, DEVICE},
    {"HEVC, B-frames", b_frames_hevc, NULL, DEVICE},
    {"H.264, B-frames, many", b_frames_long_h264, NULL, DEVICE " LATE_US=0"},
    {"HEVC, B-frames, many", b_frames_long, NULL, DEVICE " LATE_US=0"},
    {"GOPs", gop, NULL, DEVICE},
    {"end of the stream", ends, NULL, DEVICE},
    {"lookahead", lookahead, NULL, DEVICE},
    {"H.264, lossless", lossless_h264, NULL, DEVICE},
    {"HEVC, lossless", lossless_hevc, NULL, DEVICE},
    {"HEVC of 10 bits, lossless", lossless_hevc_deep, NULL, DEVICE},
    {"presets", presets, NULL, DEVICE},
    {"H.264, colours", colours_h264, NULL, DEVICE},
    {"HEVC, colours", colours_hevc, NULL, DEVICE},
    {"H.264, profiles", profiles, NULL, DEVICE},
    {"H.264, SEI", sei_h264, NULL, DEVICE},
    {"HEVC, SEI", sei_hevc, NULL, DEVICE},
    {"H.264, rates", rates_h264, NULL, DEVICE " LATE_US=0"},
    {"HEVC, rates", rates_hevc, NULL, DEVICE " LATE_US=0"},
    {"H.264, quantisers", quantisers_h264, NULL, DEVICE},
    {"HEVC, quantisers", quantisers_hevc, NULL, DEVICE},
    {"H.264, another size", resize_h264, NULL, DEVICE},
    {"HEVC, another size", resize_hevc, NULL, DEVICE},
    {"H.264, up to the largest size", grow_h264, NULL, DEVICE},
    {"HEVC, up to the largest size", grow_hevc, NULL, DEVICE},
    {"no encoder", no_encoder, NULL},
    {"an old driver", old_driver, NULL, "ENCODE_API=9.1"},
    {"sessions", sessions, NULL, DEVICE ";hevc:8:640x480; DEVICES=3 ENCODE_SESSIONS_MAX=2"},
    {"caps", caps, NULL,
     DEVICE " BFRAMES=3 ENCODE_CAPS=SUPPORT_LOOKAHEAD:0,SUPPORT_BFRAME_REF_MODE:2"},
    {"busy", busy, NULL, DEVICE " FAIL=nvEncEncodePicture:3:18"},
    {"a lock fails", lock_fails, NULL, DEVICE " FAIL=nvEncLockBitstream:1:20"},
    {"death", death, NULL, DEVICE " DIE_AFTER=3"},
    {"two threads", threads, NULL, DEVICE},
};

int main(void)
{
    av_log_set_level(AV_LOG_QUIET);
    return children_run(children, sizeof(children) / sizeof(children[0]));
}
