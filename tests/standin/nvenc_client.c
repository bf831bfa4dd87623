#include "nvenc_client.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#include "api.h"
#include "children.h"
#include "nvenc_api.h"

#define PITCH_MORE 66 /* bytes behind a line */

const struct client_params client_live = {.codec = &NV_ENC_CODEC_H264_GUID,
                                          .preset = &NV_ENC_PRESET_P1_GUID,
                                          .tuning = NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY,
                                          .width = 98,
                                          .height = 66};

struct client_params client_with(const GUID *codec, int b_frames)
{
    struct client_params params = client_live;
    params.codec = codec;
    params.tuning = b_frames > 0 ? NV_ENC_TUNING_INFO_HIGH_QUALITY : client_live.tuning;
    params.b_frames = b_frames;
    return params;
}

bool client_guid_is(const GUID *guid, const GUID *wanted)
{
    return memcmp(guid, wanted, sizeof(GUID)) == 0;
}

/* ---- pictures ------------------------------------------------------------------------------- */

unsigned client_draw(const struct client *c, int n, int plane, int x, int y)
{
    const int wave = (x * 2 + y * 3 + n * (4 + plane) + ((x * y >> 3) & 15)) & 511;
    const int value = 16 + (wave < 256 ? wave : 511 - wave) * 200 / 255;
    return (unsigned)(c->params.deep ? value << 2 | (x & 3) : value);
}

static void put(const struct client *c, uint8_t *line, int x, unsigned value)
{
    if (c->params.deep)
        ((uint16_t *)(void *)line)[x] = (uint16_t)(value << 6);
    else
        line[x] = (uint8_t)value;
}

static void draw(const struct client *c, uint8_t *pixels, int n)
{
    const int width = (int)c->init.encodeWidth, height = (int)c->init.encodeHeight;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++)
            put(c, pixels + (size_t)c->pitch * (size_t)y, x, client_draw(c, n, 0, x, y));
    }
    uint8_t *chroma = pixels + (size_t)c->pitch * c->lines;
    for (int y = 0; y < height / 2; y++) {
        for (int x = 0; x < width; x++)
            put(c, chroma + (size_t)c->pitch * (size_t)y, x,
                client_draw(c, n, 1 + x % 2, x / 2, y));
    }
}

/* ---- the session ---------------------------------------------------------------------------- */

NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS client_open_params(CUcontext context)
{
    return (NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS){.version =
                                                      NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
                                                  .deviceType = NV_ENC_DEVICE_TYPE_CUDA,
                                                  .device = context,
                                                  .apiVersion = NVENCAPI_VERSION};
}

NVENCSTATUS client_open(struct client *c)
{
    CUDA_OK(cuInit(0));
    CUDA_OK(cuDevicePrimaryCtxRetain(&c->context, 0));
    CUDA_OK(cuCtxPushCurrent_v2(c->context));
    CUDA_OK(cuStreamCreate(&c->stream, CU_STREAM_NON_BLOCKING));
    c->api = (NV_ENCODE_API_FUNCTION_LIST){.version = NV_ENCODE_API_FUNCTION_LIST_VER};
    NV_OK(NvEncodeAPICreateInstance(&c->api));
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS params = client_open_params(c->context);
    return c->api.nvEncOpenEncodeSessionEx(&params, &c->encoder);
}

NV_ENC_CAPS_PARAM client_cap(NV_ENC_CAPS cap)
{
    return (NV_ENC_CAPS_PARAM){.version = NV_ENC_CAPS_PARAM_VER, .capsToQuery = cap};
}

int client_ask_cap(const struct client *c, const GUID *codec, NV_ENC_CAPS cap)
{
    NV_ENC_CAPS_PARAM param = client_cap(cap);
    int value = -1;
    NV_OK(c->api.nvEncGetEncodeCaps(c->encoder, *codec, &param, &value));
    return value;
}

#if NVENCAPI_MAJOR_VERSION > 12 || (NVENCAPI_MAJOR_VERSION == 12 && NVENCAPI_MINOR_VERSION >= 2)
static void depth_set(NV_ENC_CONFIG_HEVC *hevc)
{
    hevc->inputBitDepth = hevc->outputBitDepth = NV_ENC_BIT_DEPTH_10;
}

static void av1_depth_set(NV_ENC_CONFIG *config)
{
    NV_ENC_CONFIG_AV1 *av1 = &config->encodeCodecConfig.av1Config;
    av1->inputBitDepth = av1->outputBitDepth = NV_ENC_BIT_DEPTH_10;
}
#else
static void depth_set(NV_ENC_CONFIG_HEVC *hevc)
{
    hevc->pixelBitDepthMinus8 = 2;
}

#if CLIENT_AV1
static void av1_depth_set(NV_ENC_CONFIG *config)
{
    NV_ENC_CONFIG_AV1 *av1 = &config->encodeCodecConfig.av1Config;
    av1->inputPixelBitDepthMinus8 = av1->pixelBitDepthMinus8 = 2;
}
#endif
#endif

/* Whether it is AV1's; then it is filled. */
static bool av1_configure(struct client *c)
{
#if CLIENT_AV1
    if (!client_guid_is(c->params.codec, &NV_ENC_CODEC_AV1_GUID))
        return false;
    c->config.encodeCodecConfig.av1Config.idrPeriod = NVENC_INFINITE_GOPLENGTH;
    if (c->params.deep)
        av1_depth_set(&c->config);
    return true;
#else
    (void)c;
    return false;
#endif
}

/* init and config, as params have it. */
static void configure(struct client *c)
{
    const struct client_params *p = &c->params;
    NV_ENC_PRESET_CONFIG preset = {.version = NV_ENC_PRESET_CONFIG_VER,
                                   .presetCfg.version = NV_ENC_CONFIG_VER};
    NV_OK(
        c->api.nvEncGetEncodePresetConfigEx(c->encoder, *p->codec, *p->preset, p->tuning, &preset));
    c->config = preset.presetCfg;
    c->config.gopLength = NVENC_INFINITE_GOPLENGTH;
    c->config.frameIntervalP = 1 + p->b_frames;
    const bool av1 = av1_configure(c), hevc = client_guid_is(p->codec, &NV_ENC_CODEC_HEVC_GUID);
    if (hevc)
        c->config.encodeCodecConfig.hevcConfig.idrPeriod = NVENC_INFINITE_GOPLENGTH;
    else if (!av1)
        c->config.encodeCodecConfig.h264Config.idrPeriod = NVENC_INFINITE_GOPLENGTH;
    if (hevc && p->deep)
        depth_set(&c->config.encodeCodecConfig.hevcConfig);
    c->init = (NV_ENC_INITIALIZE_PARAMS){.version = NV_ENC_INITIALIZE_PARAMS_VER,
                                         .encodeGUID = *p->codec,
                                         .presetGUID = *p->preset,
                                         .encodeWidth = p->width,
                                         .encodeHeight = p->height,
                                         .darWidth = p->width,
                                         .darHeight = p->height,
                                         .frameRateNum = 25,
                                         .frameRateDen = 1,
                                         .enablePTD = 1,
                                         .encodeConfig = &c->config,
                                         .maxEncodeWidth = p->width,
                                         .maxEncodeHeight = p->height,
                                         .tuningInfo = p->tuning};
    if (p->edit)
        p->edit(&c->init, &c->config);
}

static void slot_begin(struct client *c, struct client_slot *slot)
{
    const size_t size = (size_t)c->pitch * c->lines * 3 / 2;
    CUDA_OK(cuMemAlloc_v2(&slot->memory, size));
    CUDA_OK(cuMemHostAlloc((void **)&slot->pixels, size, 0));
    memset(slot->pixels, 0, size);
    NV_ENC_CREATE_BITSTREAM_BUFFER buffer = {.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER};
    NV_OK(c->api.nvEncCreateBitstreamBuffer(c->encoder, &buffer));
    slot->buffer = buffer.bitstreamBuffer;
    NV_ENC_REGISTER_RESOURCE reg = {.version = NV_ENC_REGISTER_RESOURCE_VER,
                                    .resourceType = NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR,
                                    .width = c->init.maxEncodeWidth,
                                    .height = c->lines,
                                    .pitch = c->pitch,
                                    .resourceToRegister = (void *)(uintptr_t)slot->memory,
                                    .bufferFormat = c->params.deep
                                                        ? NV_ENC_BUFFER_FORMAT_YUV420_10BIT
                                                        : NV_ENC_BUFFER_FORMAT_NV12};
    NV_OK(c->api.nvEncRegisterResource(c->encoder, &reg));
    slot->registered = reg.registeredResource;
}

void client_begin(struct client *c, const struct client_params *params)
{
    c->params = *params;
    NV_OK(client_open(c));
    if (params->opens_only)
        return;
    configure(c);
    NV_OK(c->api.nvEncInitializeEncoder(c->encoder, &c->init));
    if (!params->no_streams)
        NV_OK(c->api.nvEncSetIOCudaStreams(c->encoder, &c->stream, &c->stream));
    c->pitch = (c->init.maxEncodeWidth * (params->deep ? 2 : 1) + PITCH_MORE) / 4 * 4;
    c->lines = c->init.maxEncodeHeight;
    for (int i = 0; i < CLIENT_SLOTS; i++)
        slot_begin(c, &c->slots[i]);
}

NVENCSTATUS client_try(struct client *c, const struct client_params *params)
{
    const struct client_params opens = {.opens_only = true};
    client_begin(c, &opens);
    c->params = *params;
    configure(c);
    c->params = opens; /* so much is to be ended */
    return c->api.nvEncInitializeEncoder(c->encoder, &c->init);
}

void client_check_refused(struct client *c, const struct client_params *params)
{
    CHECK(client_try(c, params) == NV_ENC_ERR_INVALID_PARAM);
    client_end(c);
}

NVENCSTATUS client_reconfigure(struct client *c, bool anew)
{
    NV_ENC_RECONFIGURE_PARAMS change = {.version = NV_ENC_RECONFIGURE_PARAMS_VER,
                                        .reInitEncodeParams = c->init,
                                        .resetEncoder = anew,
                                        .forceIDR = anew};
    return c->api.nvEncReconfigureEncoder(c->encoder, &change);
}

uint32_t client_headers(struct client *c, uint8_t *ret, size_t room)
{
    uint32_t size = 0;
    NV_ENC_SEQUENCE_PARAM_PAYLOAD payload = {.version = NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER,
                                             .inBufferSize = (uint32_t)room,
                                             .spsppsBuffer = ret,
                                             .outSPSPPSPayloadSize = &size};
    NV_OK(c->api.nvEncGetSequenceParams(c->encoder, &payload));
    return size;
}

/* ---- submission ----------------------------------------------------------------------------- */

/* One thread may map while another one takes packets and unmaps. */
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;

struct client_slot *client_upload(struct client *c, int n)
{
    struct client_slot *slot = &c->slots[c->submitted % CLIENT_SLOTS];
    pthread_mutex_lock(&slots_lock);
    CHECK(!slot->mapped);
    pthread_mutex_unlock(&slots_lock);
    NV_ENC_MAP_INPUT_RESOURCE map = {.version = NV_ENC_MAP_INPUT_RESOURCE_VER,
                                     .registeredResource = slot->registered};
    draw(c, slot->pixels, n);
    CUDA_OK(cuMemcpyHtoDAsync_v2(slot->memory, slot->pixels, (size_t)c->pitch * c->lines * 3 / 2,
                                 c->stream));
    NV_OK(c->api.nvEncMapInputResource(c->encoder, &map));
    pthread_mutex_lock(&slots_lock);
    slot->mapped = map.mappedResource;
    slot->timestamp = CLIENT_TIME(n);
    pthread_mutex_unlock(&slots_lock);
    return slot;
}

NV_ENC_PIC_PARAMS client_picture(const struct client *c, const struct client_slot *slot, int n,
                                 uint32_t flags)
{
    NV_ENC_PIC_PARAMS picture = c->extra;
    picture.version = NV_ENC_PIC_PARAMS_VER;
    picture.inputWidth = c->init.encodeWidth;
    picture.inputHeight = c->init.encodeHeight;
    picture.inputPitch = c->pitch;
    picture.encodePicFlags |= flags;
    picture.frameIdx = (uint32_t)n;
    picture.inputTimeStamp = CLIENT_TIME(n);
    picture.inputDuration = 40;
    picture.inputBuffer = slot->mapped;
    picture.outputBitstream = slot->buffer;
    picture.bufferFmt =
        c->params.deep ? NV_ENC_BUFFER_FORMAT_YUV420_10BIT : NV_ENC_BUFFER_FORMAT_NV12;
    if (!picture.pictureStruct)
        picture.pictureStruct = NV_ENC_PIC_STRUCT_FRAME;
    return picture;
}

NVENCSTATUS client_submit(struct client *c, int n, uint32_t flags)
{
    const struct client_slot *slot = client_upload(c, n);
    NV_ENC_PIC_PARAMS picture = client_picture(c, slot, n, flags);
    c->last = c->api.nvEncEncodePicture(c->encoder, &picture);
    if (c->last != NV_ENC_SUCCESS && c->last != NV_ENC_ERR_NEED_MORE_INPUT)
        return c->last;
    c->submitted++;
    while (c->last == NV_ENC_SUCCESS && !c->keeps && c->locked < c->submitted)
        client_take(c);
    return c->last;
}

void client_submit_next(struct client *c, int count)
{
    for (int i = 0; i < count; i++) {
        const NVENCSTATUS status = client_submit(c, c->submitted, 0);
        CHECK(status == NV_ENC_SUCCESS || status == NV_ENC_ERR_NEED_MORE_INPUT);
    }
}

/* ---- packets -------------------------------------------------------------------------------- */

NV_ENC_LOCK_BITSTREAM client_lock_params(const struct client *c, int n)
{
    return (NV_ENC_LOCK_BITSTREAM){.version = NV_ENC_LOCK_BITSTREAM_VER,
                                   .outputBitstream = c->slots[n % CLIENT_SLOTS].buffer};
}

static void unmap(struct client *c, uint64_t timestamp)
{
    pthread_mutex_lock(&slots_lock);
    for (int i = 0; i < CLIENT_SLOTS; i++) {
        struct client_slot *slot = &c->slots[i];
        if (!slot->mapped || slot->timestamp != timestamp)
            continue;
        NV_OK(c->api.nvEncUnmapInputResource(c->encoder, slot->mapped));
        slot->mapped = NULL;
    }
    pthread_mutex_unlock(&slots_lock);
}

void client_take(struct client *c)
{
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(c, c->locked);
    CHECK(c->locked < CLIENT_PACKETS_MAX);
    struct client_packet *packet = &c->packets[c->locked++];
    NV_OK(c->api.nvEncLockBitstream(c->encoder, &lock));
    packet->packet = av_packet_alloc();
    CHECK(packet->packet && av_new_packet(packet->packet, (int)lock.bitstreamSizeInBytes) == 0);
    memcpy(packet->packet->data, lock.bitstreamBufferPtr, lock.bitstreamSizeInBytes);
    packet->packet->pts = (int64_t)lock.outputTimeStamp;
    packet->timestamp = lock.outputTimeStamp;
    packet->type = lock.pictureType;
    packet->frame_index = lock.frameIdx;
    packet->structure = lock.pictureStruct;
    CHECK(lock.outputDuration == 40);
    NV_OK(c->api.nvEncUnlockBitstream(c->encoder, lock.outputBitstream));
    unmap(c, packet->timestamp);
}

void client_send_end(struct client *c)
{
    NV_ENC_PIC_PARAMS end = {.version = NV_ENC_PIC_PARAMS_VER,
                             .encodePicFlags = NV_ENC_PIC_FLAG_EOS};
    NV_OK(c->api.nvEncEncodePicture(c->encoder, &end));
}

void client_end_of_stream(struct client *c)
{
    client_send_end(c);
    while (c->locked < c->submitted)
        client_take(c);
}

void client_end(struct client *c)
{
    if (!c->params.opens_only)
        client_end_of_stream(c);
    for (int i = 0; i < CLIENT_SLOTS && !c->params.opens_only; i++) {
        struct client_slot *slot = &c->slots[i];
        NV_OK(c->api.nvEncUnregisterResource(c->encoder, slot->registered));
        NV_OK(c->api.nvEncDestroyBitstreamBuffer(c->encoder, slot->buffer));
    }
    NV_OK(c->api.nvEncDestroyEncoder(c->encoder));
    CUDA_OK(cuStreamSynchronize(c->stream)); /* uploads that were not encoded */
    for (int i = 0; i < CLIENT_SLOTS && !c->params.opens_only; i++) {
        CUDA_OK(cuMemFree_v2(c->slots[i].memory));
        CUDA_OK(cuMemFreeHost(c->slots[i].pixels));
    }
    CUDA_OK(cuStreamDestroy_v2(c->stream));
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    CUDA_OK(cuDevicePrimaryCtxRelease_v2(0));
}

void client_reset(struct client *c)
{
    for (int i = 0; i < c->locked; i++)
        av_packet_free(&c->packets[i].packet);
    memset(c, 0, sizeof(*c));
}

/* ---- what is in packets --------------------------------------------------------------------- */

int client_units(const struct client *c, int packet, int type)
{
    const bool hevc = client_guid_is(c->params.codec, &NV_ENC_CODEC_HEVC_GUID);
    const AVPacket *p = c->packets[packet].packet;
    int count = 0;
    for (int i = 0; i + 3 < p->size; i++) {
        if (p->data[i] == 0 && p->data[i + 1] == 0 && p->data[i + 2] == 1)
            count += (hevc ? p->data[i + 3] >> 1 & 63 : p->data[i + 3] & 31) == type;
    }
    return count;
}

bool client_is_idr(const struct client *c, int packet)
{
    if (client_guid_is(c->params.codec, &NV_ENC_CODEC_HEVC_GUID))
        return client_units(c, packet, 19) + client_units(c, packet, 20) > 0;
    return client_units(c, packet, 5) > 0;
}

int client_sps(const struct client *c, int packet)
{
    const bool hevc = client_guid_is(c->params.codec, &NV_ENC_CODEC_HEVC_GUID);
    return client_units(c, packet, hevc ? 33 : 7);
}

/* ---- decoding ------------------------------------------------------------------------------- */

static double squares(const struct client *c, const AVFrame *frame, int n, int plane)
{
    const int width = frame->width >> (plane > 0), height = frame->height >> (plane > 0);
    double sum = 0;
    for (int y = 0; y < height; y++) {
        const uint8_t *line = frame->data[plane] + (ptrdiff_t)frame->linesize[plane] * y;
        for (int x = 0; x < width; x++) {
            const int is = c->params.deep ? ((const uint16_t *)(const void *)line)[x] : line[x];
            const int want = (int)client_draw(c, n, plane, x, y);
            sum += (double)(is - want) * (is - want);
        }
    }
    return sum / ((double)width * height);
}

static double psnr(const struct client *c, const AVFrame *frame, int n)
{
    const double peak = c->params.deep ? 1023 : 255;
    double error = 0;
    for (int plane = 0; plane < 3; plane++) {
        const double is = squares(c, frame, n, plane);
        error = is > error ? is : error;
    }
    return error > 0 ? 10 * log10(peak * peak / error) : 100;
}

struct check {
    const struct client *client;
    int shown;
    int64_t last;
    double worst;
    char *types;
};

static void take_frames(struct check *check, AVCodecContext *av, const AVPacket *packet)
{
    AVFrame *frame = av_frame_alloc();
    CHECK(avcodec_send_packet(av, packet) == 0);
    while (avcodec_receive_frame(av, frame) == 0) {
        const int n = (int)((frame->pts - (int64_t)CLIENT_TIME(0)) / 40);
        CHECK(check->shown == 0 || frame->pts > check->last);
        CHECK(frame->decode_error_flags == 0 && !(frame->flags & AV_FRAME_FLAG_CORRUPT));
        const double is = psnr(check->client, frame, n);
        check->worst = check->shown == 0 || is < check->worst ? is : check->worst;
        check->last = frame->pts;
        if (check->types)
            check->types[check->shown] = av_get_picture_type_char(frame->pict_type);
        check->shown++;
    }
    av_frame_free(&frame);
}

AVCodecContext *client_decoder(const struct client *c)
{
    const enum AVCodecID id =
        client_guid_is(c->params.codec, &NV_ENC_CODEC_H264_GUID)   ? AV_CODEC_ID_H264
        : client_guid_is(c->params.codec, &NV_ENC_CODEC_HEVC_GUID) ? AV_CODEC_ID_HEVC
                                                                   : AV_CODEC_ID_AV1;
    AVCodecContext *av = avcodec_alloc_context3(avcodec_find_decoder(id));
    av->thread_count = 1;
    av->err_recognition = AV_EF_EXPLODE;
    CHECK(avcodec_open2(av, av->codec, NULL) == 0);
    return av;
}

AVFrame *client_decode(const struct client *c, int packet)
{
    AVCodecContext *av = client_decoder(c);
    AVFrame *frame = av_frame_alloc();
    CHECK(avcodec_send_packet(av, c->packets[packet].packet) == 0);
    CHECK(avcodec_send_packet(av, NULL) == 0 && avcodec_receive_frame(av, frame) == 0);
    avcodec_free_context(&av);
    return frame;
}

double client_check(const struct client *c, char *ret_types)
{
    struct check check = {.client = c, .types = ret_types};
    AVCodecContext *av = client_decoder(c);
    for (int i = 0; i < c->locked; i++)
        take_frames(&check, av, c->packets[i].packet);
    take_frames(&check, av, NULL);
    CHECK(check.shown == c->locked);
    avcodec_free_context(&av);
    return check.worst;
}

double client_run(struct client *c, const struct client_params *params, int count)
{
    client_reset(c);
    client_begin(c, params);
    client_submit_next(c, count);
    client_end(c);
    CHECK(c->locked == count);
    return client_check(c, NULL);
}
