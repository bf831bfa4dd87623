/* That libnvidia-encode's stand-in encodes what a decoder decodes, in the order and at the time
 * that NVENC does. */
#include <pthread.h>
#include <string.h>

#include "api.h"
#include "children.h"
#include "nvenc_api.h"
#include "nvenc_client.h"
#include "standin.h"

#define DEVICE CLIENT_DEVICE

static struct client c; /* of the child that runs */

/* ---- order and types ------------------------------------------------------------------------ */

static void live(const GUID *codec)
{
    char types[CLIENT_PACKETS_MAX];
    const struct client_params p = client_with(codec, 0);
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
        CHECK((types[i] == 'I') == (i == 0 || i == 17) &&
              client_is_idr(&c, i) == (i == 0 || i == 17));
        CHECK((client_sps(&c, i) == 1) == (i == 0));
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
    const struct client_params p = client_with(codec, 2);
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
        CHECK(client_is_idr(&c, i) == (type == NV_ENC_PIC_TYPE_IDR));
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
    struct client_params p = client_with(&NV_ENC_CODEC_HEVC_GUID, 3);
    CHECK(client_run(&c, &p, 120) > 25);
}

static void b_frames_long_h264(void)
{
    struct client_params p = client_with(&NV_ENC_CODEC_H264_GUID, 4);
    CHECK(client_run(&c, &p, 128) > 25);
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
    struct client_params p = client_with(&NV_ENC_CODEC_H264_GUID, 2);
    p.edit = edit_gop;
    CHECK(client_run(&c, &p, 24) > 25);
    for (int i = 0; i < 24; i++) {
        CHECK(client_is_idr(&c, i) == (i % 8 == 0) && client_sps(&c, i) == (i % 8 == 0) &&
              client_units(&c, i, 9) == 1);
        CHECK((c.packets[i].timestamp - CLIENT_TIME(0)) / 40 / 8 == (uint64_t)i / 8);
    }
}

/* After its end a stream goes on, with time stamps of its own, and begins with an IDR. */
static void ends(void)
{
    const struct client_params p = client_with(&NV_ENC_CODEC_HEVC_GUID, 2);
    client_begin(&c, &p);
    client_submit_next(&c, 6);
    client_end_of_stream(&c);
    CHECK(c.locked == 6);
    client_end_of_stream(&c);
    client_submit_next(&c, 5);
    client_end(&c);
    CHECK(c.locked == 11 && client_is_idr(&c, 0) && client_is_idr(&c, 6));
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
    struct client_params p = client_live;
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
    if (client_guid_is(&init->encodeGUID, &NV_ENC_CODEC_H264_GUID))
        config->encodeCodecConfig.h264Config.qpPrimeYZeroTransformBypassFlag = 1;
}

static void lossless(const GUID *codec, bool deep, int b_frames)
{
    struct client_params p = client_with(codec, b_frames);
    p.tuning = NV_ENC_TUNING_INFO_LOSSLESS;
    p.preset = &NV_ENC_PRESET_P4_GUID;
    p.deep = deep;
    p.edit = edit_lossless;
    CHECK(client_run(&c, &p, 13) == 100);
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
        struct client_params p =
            client_with(i < 3 ? &NV_ENC_CODEC_H264_GUID : &NV_ENC_CODEC_HEVC_GUID, 1);
        p.preset = guids[i % 3];
        CHECK(client_run(&c, &p, 7) > 25);
    }
}

static void edit_colours(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    NV_ENC_CONFIG_H264_VUI_PARAMETERS *vui =
        client_guid_is(&init->encodeGUID, &NV_ENC_CODEC_HEVC_GUID)
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
    struct client_params p = client_with(codec, 1);
    p.edit = edit_colours;
    client_begin(&c, &p);
    const uint32_t size = client_headers(&c, headers, sizeof(headers));
    client_submit_next(&c, 1);
    client_end(&c);
    CHECK(size > 0 && memcmp(headers, c.packets[0].packet->data, size) == 0);
    AVFrame *frame = client_decode(&c, 0);
    CHECK(frame->color_range == AVCOL_RANGE_JPEG && frame->color_primaries == AVCOL_PRI_BT2020);
    CHECK(frame->color_trc == AVCOL_TRC_SMPTE2084 && frame->colorspace == AVCOL_SPC_BT2020_NCL);
    CHECK(frame->width == 98 && frame->height == 66);
    av_frame_free(&frame);
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
    struct client_params p = client_live;
    profile = guid;
    p.edit = edit_profile;
    CHECK(client_run(&c, &p, 2) > 25);
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
    const bool hevc = client_guid_is(codec, &NV_ENC_CODEC_HEVC_GUID);
    NV_ENC_SEI_PAYLOAD message = {
        .payloadSize = sizeof(content), .payloadType = 5, .payload = content};
    const struct client_params p = client_with(codec, 2);
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
        CHECK(client_sps(&c, i) == (n == 0 || n == 5));
        CHECK(client_units(&c, i, hevc ? 39 : 6) == (n == 4));
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
    const struct client_params p = client_with(&NV_ENC_CODEC_H264_GUID, 2);
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
    client_send_end(&c);
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
    {"two threads", threads, NULL, DEVICE},
};

int main(void)
{
    av_log_set_level(AV_LOG_QUIET);
    return children_run(children, sizeof(children) / sizeof(children[0]));
}
