/* Each rule of libnvidia-encode's stand-in, broken on purpose in a process of its own. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "children.h"
#include "nvenc_api.h"
#include "nvenc_client.h"
#include "standin.h"

#define DEVICE CLIENT_DEVICE

static struct client c; /* of the child that runs */

static const struct client_params unopened = {.opens_only = true};

/* A picture has been encoded, and its packet taken. */
static void begin(void)
{
    client_begin(&c, &client_live);
    CHECK(client_submit(&c, 0, 0) == NV_ENC_SUCCESS);
}

/* ---- versions, contexts, order of calls ----------------------------------------------------- */

static void version_bit(void)
{
    begin();
    NV_ENC_PIC_PARAMS picture = client_picture(&c, client_upload(&c, 1), 1, 0);
    picture.version &= ~(1u << 31);
    CHECK(c.api.nvEncEncodePicture(c.encoder, &picture) == NV_ENC_ERR_INVALID_VERSION);
    CHECK(strstr(c.api.nvEncGetLastErrorString(c.encoder), "bit 31"));
    picture.version = NV_ENC_PIC_PARAMS_VER;
    NV_OK(c.api.nvEncEncodePicture(c.encoder, &picture));
    c.submitted++;
    client_end(&c);
}

static void version_other(void)
{
    client_begin(&c, &unopened);
    NV_ENC_CAPS_PARAM cap = client_cap(NV_ENC_CAPS_WIDTH_MAX);
    int value;
    cap.version = 0;
    CHECK(c.api.nvEncGetEncodeCaps(c.encoder, NV_ENC_CODEC_H264_GUID, &cap, &value) ==
          NV_ENC_ERR_INVALID_VERSION);
    client_end(&c);
}

static void no_context(void)
{
    begin();
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 0);
    CHECK(c.api.nvEncLockBitstream(c.encoder, &lock) == NV_ENC_ERR_INVALID_DEVICE);
    CUDA_OK(cuCtxPushCurrent_v2(c.context));
    client_end(&c);
}

static void other_context(void)
{
    CUcontext other;
    begin();
    CUDA_OK(cuCtxCreate_v2(&other, 0, 0));
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 0);
    CHECK(c.api.nvEncLockBitstream(c.encoder, &lock) == NV_ENC_ERR_INVALID_ENCODERDEVICE);
    CUDA_OK(cuCtxDestroy_v2(other));
    client_end(&c);
}

static void open_other(void)
{
    void *encoder;
    client_begin(&c, &unopened);
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS params = client_open_params(NULL);
    CHECK(c.api.nvEncOpenEncodeSessionEx(&params, &encoder) == NV_ENC_ERR_INVALID_DEVICE);
    CHECK(c.api.nvEncDestroyEncoder(encoder) == NV_ENC_ERR_INVALID_PTR);
    client_end(&c);
}

static void initialize_twice(void)
{
    begin();
    CHECK(c.api.nvEncInitializeEncoder(c.encoder, &c.init) == NV_ENC_ERR_INVALID_CALL);
    client_end(&c);
}

static void buffer_early(void)
{
    client_begin(&c, &unopened);
    NV_ENC_CREATE_BITSTREAM_BUFFER buffer = {.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER};
    CHECK(c.api.nvEncCreateBitstreamBuffer(c.encoder, &buffer) ==
          NV_ENC_ERR_ENCODER_NOT_INITIALIZED);
    client_end(&c);
}

static void destroyed(void)
{
    client_begin(&c, &unopened);
    uint32_t count;
    void *gone = c.encoder;
    client_end(&c);
    CUDA_OK(cuDevicePrimaryCtxRetain(&c.context, 0));
    CUDA_OK(cuCtxPushCurrent_v2(c.context));
    CHECK(c.api.nvEncGetEncodeGUIDCount(gone, &count) == NV_ENC_ERR_INVALID_ENCODERDEVICE);
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    CUDA_OK(cuDevicePrimaryCtxRelease_v2(0));
}

static void streams_null(void)
{
    begin();
    CUstream none = NULL;
    CHECK(c.api.nvEncSetIOCudaStreams(c.encoder, &none, &c.stream) == NV_ENC_ERR_INVALID_PARAM);
    client_end(&c);
}

/* ---- configurations ------------------------------------------------------------------------- */

/* One that is right but for `edit` is refused. */
static void refuse(void (*edit)(NV_ENC_INITIALIZE_PARAMS *, NV_ENC_CONFIG *))
{
    struct client_params params = client_live;
    params.edit = edit;
    client_check_refused(&c, &params);
}

#define REFUSE(name, statement) CLIENT_REFUSE(name, refuse, statement)

REFUSE(small, init->encodeHeight = init->maxEncodeHeight = 30)
REFUSE(large, init->encodeWidth = init->maxEncodeWidth = 1026)
REFUSE(odd, init->encodeWidth = init->maxEncodeWidth = 97)
REFUSE(above, init->maxEncodeWidth = 96)
REFUSE(b_frames, config->frameIntervalP = 4)
REFUSE(deep, config->profileGUID = NV_ENC_HEVC_PROFILE_MAIN10_GUID)
REFUSE(field, config->frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FIELD)
REFUSE(async, init->enableEncodeAsync = 1)
REFUSE(untuned, init->tuningInfo = NV_ENC_TUNING_INFO_UNDEFINED)
REFUSE(preset, init->presetGUID = NV_ENC_CODEC_H264_GUID)
REFUSE(lookahead, config->rcParams.enableLookahead = 1; config->rcParams.lookaheadDepth = 40)
REFUSE(lossless, init->tuningInfo = NV_ENC_TUNING_INFO_LOSSLESS;
       config->encodeCodecConfig.h264Config.qpPrimeYZeroTransformBypassFlag = 1)
REFUSE(no_bypass, init->tuningInfo = NV_ENC_TUNING_INFO_LOSSLESS;
       config->rcParams.rateControlMode = NV_ENC_PARAMS_RC_CONSTQP)
REFUSE(bypass, config->encodeCodecConfig.h264Config.qpPrimeYZeroTransformBypassFlag = 1)
REFUSE(lossless_high, init->tuningInfo = NV_ENC_TUNING_INFO_LOSSLESS;
       config->rcParams.rateControlMode = NV_ENC_PARAMS_RC_CONSTQP;
       config->profileGUID = NV_ENC_H264_PROFILE_HIGH_GUID;
       config->encodeCodecConfig.h264Config.qpPrimeYZeroTransformBypassFlag = 1)
REFUSE(target, config->rcParams.targetQuality = 52)
REFUSE(rate, config->rcParams.rateControlMode = NV_ENC_PARAMS_RC_VBR;
       config->rcParams.averageBitRate = 100; config->rcParams.maxBitRate = 90)
REFUSE(refresh, config->encodeCodecConfig.h264Config.enableIntraRefresh = 1;
       config->encodeCodecConfig.h264Config.intraRefreshPeriod = 20;
       config->encodeCodecConfig.h264Config.intraRefreshCnt = 19)
REFUSE(refresh_long, edit_refresh(init, config);
       config->encodeCodecConfig.h264Config.intraRefreshCnt = 20)
REFUSE(refresh_b, edit_refresh(init, config); config->frameIntervalP = 2)
REFUSE(refs, config->encodeCodecConfig.h264Config.useBFramesAsRef = NV_ENC_BFRAME_REF_MODE_MIDDLE)

static void edit_refresh_hevc(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->encodeCodecConfig.hevcConfig.enableIntraRefresh = 1;
    config->encodeCodecConfig.hevcConfig.intraRefreshPeriod = 20;
    config->encodeCodecConfig.hevcConfig.intraRefreshCnt = 19;
}

static void refuse_refresh_hevc(void)
{
    struct client_params params = client_live;
    params.codec = &NV_ENC_CODEC_HEVC_GUID;
    params.edit = edit_refresh_hevc;
    client_check_refused(&c, &params);
}

static void refuse_hevc_codec(void)
{
    client_begin(&c, &unopened);
    NV_ENC_CAPS_PARAM cap = client_cap(NV_ENC_CAPS_WIDTH_MAX);
    int value;
    CHECK(c.api.nvEncGetEncodeCaps(c.encoder, NV_ENC_CODEC_HEVC_GUID, &cap, &value) ==
          NV_ENC_ERR_INVALID_PARAM);
    client_end(&c);
}

/* One change in mid-stream. */
static void reconfigure(void (*edit)(NV_ENC_RECONFIGURE_PARAMS *change))
{
    begin();
    NV_ENC_RECONFIGURE_PARAMS change = {.version = NV_ENC_RECONFIGURE_PARAMS_VER,
                                        .reInitEncodeParams = c.init};
    edit(&change);
    CHECK(c.api.nvEncReconfigureEncoder(c.encoder, &change) == NV_ENC_ERR_INVALID_PARAM);
    client_submit(&c, 1, 0);
    client_end(&c);
}

#define RECONFIGURE(name, statement)                                                               \
    static void change_##name(NV_ENC_RECONFIGURE_PARAMS *change)                                   \
    {                                                                                              \
        NV_ENC_INITIALIZE_PARAMS *init = &change->reInitEncodeParams;                              \
        static NV_ENC_CONFIG config;                                                               \
        config = *init->encodeConfig;                                                              \
        init->encodeConfig = &config;                                                              \
        statement;                                                                                 \
    }                                                                                              \
    static void reconfigure_##name(void)                                                           \
    {                                                                                              \
        reconfigure(change_##name);                                                                \
    }

RECONFIGURE(gop, config.gopLength = 10)
RECONFIGURE(interval, config.frameIntervalP = 2)
RECONFIGURE(largest, init->maxEncodeWidth = 200)
RECONFIGURE(above, init->encodeWidth = 200; change->forceIDR = 1)
RECONFIGURE(no_idr, init->encodeWidth = 64)
RECONFIGURE(reset, change->resetEncoder = 1)
RECONFIGURE(preset, init->presetGUID = NV_ENC_PRESET_P3_GUID)
RECONFIGURE(profile, config.profileGUID = NV_ENC_H264_PROFILE_MAIN_GUID)
RECONFIGURE(mode, config.rcParams.rateControlMode = NV_ENC_PARAMS_RC_VBR)

static void edit_fixed(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)config;
    init->maxEncodeWidth = init->maxEncodeHeight = 0;
}

/* Another size is refused to a session of `params`. */
static void resize(const struct client_params *params, NVENCSTATUS status)
{
    NV_OK(client_try(&c, params));
    c.init.encodeWidth = 64;
    CHECK(client_reconfigure(&c, true) == status);
    client_end(&c);
}

static void resize_fixed(void)
{
    struct client_params params = client_live;
    params.edit = edit_fixed;
    resize(&params, NV_ENC_ERR_INVALID_PARAM);
}

static void resize_caps(void)
{
    resize(&client_live, NV_ENC_ERR_UNSUPPORTED_PARAM);
}

static void edit_room(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)config;
    init->encodeWidth = 64;
    init->encodeHeight = 48;
}

static void resize_buffers(void)
{
    struct client_params params = client_live;
    params.edit = edit_room;
    client_begin(&c, &params);
    c.init.encodeWidth = c.init.maxEncodeWidth;
    c.init.encodeHeight = c.init.maxEncodeHeight;
    NV_OK(client_reconfigure(&c, true));
    struct client_slot *slot = client_upload(&c, 0);
    NV_ENC_PIC_PARAMS picture = client_picture(&c, slot, 0, 0);
    CHECK(c.api.nvEncEncodePicture(c.encoder, &picture) == NV_ENC_ERR_INVALID_PARAM);
    NV_OK(c.api.nvEncUnmapInputResource(c.encoder, slot->mapped));
    client_end(&c);
}

/* ---- inputs --------------------------------------------------------------------------------- */

static NV_ENC_REGISTER_RESOURCE registration(void *memory)
{
    return (NV_ENC_REGISTER_RESOURCE){.version = NV_ENC_REGISTER_RESOURCE_VER,
                                      .resourceType = NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR,
                                      .width = 98,
                                      .height = 66,
                                      .pitch = c.pitch,
                                      .resourceToRegister = memory,
                                      .bufferFormat = NV_ENC_BUFFER_FORMAT_NV12};
}

static void refuse_register(void *memory, unsigned pitch)
{
    NV_ENC_REGISTER_RESOURCE reg = registration(memory);
    reg.pitch = pitch;
    CHECK(c.api.nvEncRegisterResource(c.encoder, &reg) != NV_ENC_SUCCESS);
}

static void register_twice(void)
{
    begin();
    refuse_register((void *)(uintptr_t)c.slots[0].memory, c.pitch);
    client_end(&c);
}

static void register_pitch(void)
{
    begin();
    refuse_register((void *)(uintptr_t)(c.slots[0].memory + 512), 102);
    client_end(&c);
}

static void register_host(void)
{
    begin();
    refuse_register(c.slots[0].pixels, c.pitch);
    client_end(&c);
}

static void register_short(void)
{
    begin();
    refuse_register((void *)(uintptr_t)(c.slots[0].memory + 512), c.pitch);
    client_end(&c);
}

static void register_foreign(void)
{
    CUcontext other;
    CUdeviceptr memory;
    begin();
    CUDA_OK(cuCtxCreate_v2(&other, 0, 0));
    CUDA_OK(cuMemAlloc_v2(&memory, 65536));
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    refuse_register((void *)(uintptr_t)memory, c.pitch);
    CUDA_OK(cuCtxPushCurrent_v2(other));
    CUDA_OK(cuMemFree_v2(memory));
    CUDA_OK(cuCtxDestroy_v2(other));
    client_end(&c);
}

static void free_registered(void)
{
    begin();
    CUDA_OK(cuMemFree_v2(c.slots[5].memory));
    CUDA_OK(cuMemAlloc_v2(&c.slots[5].memory, 64));
    client_end(&c);
}

static void unregister_mapped(void)
{
    begin();
    struct client_slot *slot = client_upload(&c, 1);
    CHECK(c.api.nvEncUnregisterResource(c.encoder, slot->registered) ==
          NV_ENC_ERR_RESOURCE_NOT_REGISTERED);
    NV_OK(c.api.nvEncUnmapInputResource(c.encoder, slot->mapped));
    client_end(&c);
}

static void map_twice(void)
{
    begin();
    struct client_slot *slot = client_upload(&c, 1);
    NV_ENC_MAP_INPUT_RESOURCE map = {.version = NV_ENC_MAP_INPUT_RESOURCE_VER,
                                     .registeredResource = slot->registered};
    CHECK(c.api.nvEncMapInputResource(c.encoder, &map) == NV_ENC_ERR_RESOURCE_NOT_REGISTERED);
    NV_OK(c.api.nvEncUnmapInputResource(c.encoder, slot->mapped));
    client_end(&c);
}

static void unmap_early(void)
{
    begin();
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    CHECK(c.api.nvEncUnmapInputResource(c.encoder, c.slots[1].mapped) == NV_ENC_ERR_INVALID_CALL);
    c.slots[1].mapped = NULL;
    client_end(&c);
}

/* The packet in a picture's buffer is another picture's. */
static void unmap_reordered(void)
{
    const struct client_params p = client_with(&NV_ENC_CODEC_H264_GUID, 1);
    client_begin(&c, &p);
    CHECK(client_submit(&c, 0, 0) == NV_ENC_SUCCESS);
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_ERR_NEED_MORE_INPUT);
    CHECK(client_submit(&c, 2, 0) == NV_ENC_SUCCESS);
    client_take(&c);
    CHECK(!c.slots[2].mapped);
    CHECK(c.api.nvEncUnmapInputResource(c.encoder, c.slots[1].mapped) == NV_ENC_ERR_INVALID_CALL);
    c.slots[1].mapped = NULL;
    client_end(&c);
}

static void unmap_unmapped(void)
{
    begin();
    struct client_slot *slot = client_upload(&c, 1);
    NV_OK(c.api.nvEncUnmapInputResource(c.encoder, slot->mapped));
    CHECK(c.api.nvEncUnmapInputResource(c.encoder, slot->mapped) == NV_ENC_ERR_RESOURCE_NOT_MAPPED);
    client_end(&c);
}

static void looks_ahead(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.enableLookahead = 1;
    config->rcParams.lookaheadDepth = 1;
}

/* The second picture is held, and its input known, when the first one is done. */
static void change_input(void)
{
    struct client_params params = client_live;
    params.edit = looks_ahead;
    client_begin(&c, &params);
    CHECK(client_submit(&c, 0, 0) == NV_ENC_ERR_NEED_MORE_INPUT);
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    client_take(&c);
    CUDA_OK(cuMemcpyHtoDAsync_v2(c.slots[1].memory, c.slots[1].pixels + 1, 50, c.stream));
    CUDA_OK(cuStreamSynchronize(c.stream));
    CHECK(client_submit(&c, 2, 0) == NV_ENC_SUCCESS);
    client_end(&c);
}

/* ---- submission ----------------------------------------------------------------------------- */

/* An input that was refused, to be drawn anew: its way up is over. */
static void take_back(struct client_slot *slot)
{
    NV_OK(c.api.nvEncUnmapInputResource(c.encoder, slot->mapped));
    CUDA_OK(cuStreamSynchronize(c.stream));
    slot->mapped = NULL;
}

/* A picture that is right but for `edit` is refused, and taken when it is right. */
static void refuse_picture(void (*edit)(NV_ENC_PIC_PARAMS *picture))
{
    begin();
    struct client_slot *slot = client_upload(&c, 1);
    NV_ENC_PIC_PARAMS picture = client_picture(&c, slot, 1, 0);
    edit(&picture);
    CHECK(c.api.nvEncEncodePicture(c.encoder, &picture) == NV_ENC_ERR_INVALID_PARAM);
    take_back(slot);
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    client_end(&c);
}

#define REFUSE_PICTURE(name, statement)                                                            \
    static void picture_##name(NV_ENC_PIC_PARAMS *picture)                                         \
    {                                                                                              \
        statement;                                                                                 \
    }                                                                                              \
    static void encode_##name(void)                                                                \
    {                                                                                              \
        refuse_picture(picture_##name);                                                            \
    }

REFUSE_PICTURE(unmapped, picture->inputBuffer = c.slots[3].registered)
REFUSE_PICTURE(no_buffer, picture->outputBitstream = NULL)
REFUSE_PICTURE(time, picture->inputTimeStamp = CLIENT_TIME(0))
REFUSE_PICTURE(size, picture->inputWidth = 64)
REFUSE_PICTURE(format, picture->bufferFmt = NV_ENC_BUFFER_FORMAT_YUV420_10BIT)
REFUSE_PICTURE(pitch, picture->inputPitch += 4)
REFUSE_PICTURE(field, picture->pictureStruct = NV_ENC_PIC_STRUCT_FIELD_TOP_BOTTOM)
REFUSE_PICTURE(intra, picture->encodePicFlags = NV_ENC_PIC_FLAG_FORCEINTRA)

static void encode_into(int buffer)
{
    NV_ENC_PIC_PARAMS picture = client_picture(&c, client_upload(&c, c.submitted), c.submitted, 0);
    picture.outputBitstream = c.slots[buffer].buffer;
    CHECK(c.api.nvEncEncodePicture(c.encoder, &picture) == NV_ENC_ERR_INVALID_PARAM);
    take_back(&c.slots[c.submitted % CLIENT_SLOTS]);
}

static void encode_into_busy(void)
{
    begin();
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    encode_into(1);
    client_end(&c);
}

static void encode_into_locked(void)
{
    begin();
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 1);
    NV_OK(c.api.nvEncLockBitstream(c.encoder, &lock));
    encode_into(1);
    NV_OK(c.api.nvEncUnlockBitstream(c.encoder, lock.outputBitstream));
    NV_OK(c.api.nvEncUnmapInputResource(c.encoder, c.slots[1].mapped));
    c.locked++;
    client_end(&c);
}

/* ---- bitstreams ----------------------------------------------------------------------------- */

static void refuse_lock(int n)
{
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, n);
    CHECK(c.api.nvEncLockBitstream(c.encoder, &lock) == NV_ENC_ERR_INVALID_CALL);
}

static void lock_order(void)
{
    begin();
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS && client_submit(&c, 2, 0) == NV_ENC_SUCCESS);
    refuse_lock(2);
    client_end(&c);
}

static void lock_held(void)
{
    const struct client_params p = client_with(&NV_ENC_CODEC_H264_GUID, 1);
    client_begin(&c, &p);
    CHECK(client_submit(&c, 0, 0) == NV_ENC_SUCCESS);
    CHECK(client_submit(&c, 1, 0) == NV_ENC_ERR_NEED_MORE_INPUT);
    refuse_lock(1);
    client_end(&c);
}

static void lock_empty(void)
{
    begin();
    refuse_lock(1);
    client_end(&c);
}

static void lock_twice(void)
{
    begin();
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 1);
    NV_OK(c.api.nvEncLockBitstream(c.encoder, &lock));
    refuse_lock(1);
    NV_OK(c.api.nvEncUnlockBitstream(c.encoder, lock.outputBitstream));
    NV_OK(c.api.nvEncUnmapInputResource(c.encoder, c.slots[1].mapped));
    c.locked++;
    client_end(&c);
}

static void unlock_unlocked(void)
{
    begin();
    CHECK(c.api.nvEncUnlockBitstream(c.encoder, c.slots[0].buffer) == NV_ENC_ERR_INVALID_CALL);
    client_end(&c);
}

static void read_unlocked(void)
{
    begin();
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 1);
    NV_OK(c.api.nvEncLockBitstream(c.encoder, &lock));
    NV_OK(c.api.nvEncUnlockBitstream(c.encoder, lock.outputBitstream));
    CHECK(*(volatile uint8_t *)lock.bitstreamBufferPtr == 0);
}

static void destroy_locked(void)
{
    begin();
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 1);
    NV_OK(c.api.nvEncLockBitstream(c.encoder, &lock));
    CHECK(c.api.nvEncDestroyBitstreamBuffer(c.encoder, lock.outputBitstream) ==
          NV_ENC_ERR_INVALID_CALL);
    NV_OK(c.api.nvEncUnlockBitstream(c.encoder, lock.outputBitstream));
    NV_OK(c.api.nvEncUnmapInputResource(c.encoder, c.slots[1].mapped));
    c.locked++;
    client_end(&c);
}

static void destroy_queued(void)
{
    begin();
    c.keeps = true;
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    CHECK(c.api.nvEncDestroyBitstreamBuffer(c.encoder, c.slots[1].buffer) ==
          NV_ENC_ERR_INVALID_CALL);
    client_end(&c);
}

/* ---- ends, threads -------------------------------------------------------------------------- */

static void destroy_full(void)
{
    begin();
    NV_OK(c.api.nvEncDestroyEncoder(c.encoder));
    for (int i = 0; i < CLIENT_SLOTS; i++) {
        CUDA_OK(cuMemFree_v2(c.slots[i].memory));
        CUDA_OK(cuMemFreeHost(c.slots[i].pixels));
    }
    CUDA_OK(cuStreamDestroy_v2(c.stream));
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    CUDA_OK(cuDevicePrimaryCtxRelease_v2(0));
}

static void leave_encoder(void)
{
    client_begin(&c, &unopened);
    CUDA_OK(cuStreamDestroy_v2(c.stream));
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    CUDA_OK(cuDevicePrimaryCtxRelease_v2(0));
}

/* Gives whether it had the packet, and was not the one of the two that is told. */
static void *lock_other(void *unused)
{
    (void)unused;
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 1);
    CUDA_OK(cuCtxPushCurrent_v2(c.context));
    const NVENCSTATUS status = c.api.nvEncLockBitstream(c.encoder, &lock);
    if (status == NV_ENC_SUCCESS)
        NV_OK(c.api.nvEncUnlockBitstream(c.encoder, lock.outputBitstream));
    CUDA_OK(cuCtxPopCurrent_v2(NULL));
    return status == NV_ENC_SUCCESS ? &c : NULL;
}

/* The one waits in its call until the other has been told. */
static void two_lock(void)
{
    pthread_t thread;
    void *had;
    begin();
    c.keeps = true;
    CUDA_OK(cuStreamAddCallback(c.stream, hold_until_violation, NULL, 0));
    CHECK(client_submit(&c, 1, 0) == NV_ENC_SUCCESS);
    CHECK(pthread_create(&thread, NULL, lock_other, NULL) == 0);
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 1);
    lock.doNotWait = 1;
    while (standin_violations() == 0)
        c.api.nvEncLockBitstream(c.encoder, &lock);
    pthread_join(thread, &had);
    if (had) {
        NV_OK(c.api.nvEncUnmapInputResource(c.encoder, c.slots[1].mapped));
        c.locked++;
    }
    client_end(&c);
}

static const struct child children[] = {
    {"version without bit 31", version_bit, "without bit 31", DEVICE},
    {"another version", version_other, "nvEncGetEncodeCaps: a structure's version", DEVICE},
    {"no context", no_context, "nvEncLockBitstream: no context is current", DEVICE},
    {"another context", other_context, "a encoder of another context", DEVICE},
    {"opened for another context", open_other, "the device is not the current context", DEVICE},
    {"initialised twice", initialize_twice, "for the second time", DEVICE},
    {"a buffer before the start", buffer_early, "before NvEncInitializeEncoder", DEVICE},
    {"a destroyed encoder", destroyed, "not a live encoder", DEVICE},
    {"the default stream", streams_null, "nvEncSetIOCudaStreams: the default stream", DEVICE},
    {"too small", refuse_small, "a size below the caps", DEVICE},
    {"too large", refuse_large, "a size beyond the caps", DEVICE},
    {"odd", refuse_odd, "an odd size", DEVICE},
    {"above the largest", refuse_above, "a size above the largest", DEVICE},
    {"B-frames", refuse_b_frames, "more B-frames", DEVICE " BFRAMES=2"},
    {"another codec's profile", refuse_deep, "not a profile of the codec", DEVICE},
    {"fields", refuse_field, "field coding", DEVICE},
    {"asynchronous", refuse_async, "asynchronous mode", DEVICE},
    {"no tuning", refuse_untuned, "no tuning", DEVICE},
    {"no preset", refuse_preset, "not a preset", DEVICE},
    {"deep lookahead", refuse_lookahead, "more than 31", DEVICE},
    {"lossless with a rate", refuse_lossless, "lossless with another", DEVICE},
    {"lossless, transforms not bypassed", refuse_no_bypass, "or lossless without it", DEVICE},
    {"transforms bypassed, with a rate", refuse_bypass, "without lossless", DEVICE},
    {"lossless in the high profile", refuse_lossless_high, "in a profile that has none", DEVICE},
    {"a quality of 52", refuse_target, "a targetQuality above", DEVICE},
    {"a peak below the average", refuse_rate, "maxBitRate is below", DEVICE},
    {"intra refresh", refuse_refresh, "intra refresh, beyond the caps", DEVICE},
    {"an endless intra refresh", refuse_refresh_long, "that is not below intraRefreshPeriod",
     DEVICE " ENCODE_CAPS=SUPPORT_INTRA_REFRESH:1"},
    {"intra refresh with B-frames", refuse_refresh_b, "intra refresh with B-frames",
     DEVICE " ENCODE_CAPS=SUPPORT_INTRA_REFRESH:1"},
    {"intra refresh of HEVC", refuse_refresh_hevc, "which is not modelled",
     DEVICE " ENCODE_CAPS=SUPPORT_INTRA_REFRESH:1"},
    {"B-frames as references", refuse_refs, "B-frames as references", DEVICE},
    {"another codec", refuse_hevc_codec, "a codec that the device does not encode",
     "ENCODERS=h264:8:1024x1024"},
    {"another GOP", reconfigure_gop, "another structure of the GOP", DEVICE},
    {"another interval of P", reconfigure_interval, "another structure of the GOP", DEVICE},
    {"another largest size", reconfigure_largest, "another largest size", DEVICE},
    {"reconfigured above the largest", reconfigure_above, "a size above the largest", DEVICE},
    {"another size, no IDR", reconfigure_no_idr, "another size without an IDR", DEVICE},
    {"reset, no IDR", reconfigure_reset, "resetEncoder without an IDR", DEVICE},
    {"another size of a fixed one", resize_fixed, "no largest one was given", DEVICE},
    {"another size, no cap", resize_caps, "another size, beyond the caps",
     DEVICE " ENCODE_CAPS=SUPPORT_DYN_RES_CHANGE:0"},
    {"buffers of smaller pictures", resize_buffers, "made for smaller pictures", DEVICE},
    {"another preset", reconfigure_preset, "another preset", DEVICE},
    {"another profile", reconfigure_profile, "something else than", DEVICE},
    {"another rate control", reconfigure_mode, "another rate control", DEVICE},
    {"registered twice", register_twice, "registered already", DEVICE},
    {"a pitch of 102", register_pitch, "no multiple of 4", DEVICE},
    {"pinned memory", register_host, "not an address of the device", DEVICE},
    {"past the end", register_short, "past the end of its block", DEVICE},
    {"another context's memory", register_foreign, "not cuMemAlloc's of this context", DEVICE},
    {"registered memory freed", free_registered, "memory that is registered with an encoder",
     DEVICE},
    {"unregistered while mapped", unregister_mapped, "an input that is mapped", DEVICE},
    {"mapped twice", map_twice, "mapped already", DEVICE},
    {"unmapped early", unmap_early, "whose packet has not been locked", DEVICE},
    {"unmapped early, reordered", unmap_reordered, "whose packet has not been locked", DEVICE},
    {"unmapped twice", unmap_unmapped, "not a mapped input", DEVICE},
    {"a changed input", change_input, "is changed before its picture", DEVICE},
    {"encoding what is not mapped", encode_unmapped, "an input that is not mapped", DEVICE},
    {"encoding into nothing", encode_no_buffer, "not a bitstream buffer", DEVICE},
    {"a time stamp again", encode_time, "inputTimeStamp does not grow", DEVICE},
    {"a picture of another size", encode_size, "a picture of another size", DEVICE},
    {"a picture of another format", encode_format, "another format", DEVICE},
    {"a picture of another pitch", encode_pitch, "another pitch", DEVICE},
    {"a field", encode_field, "a field", DEVICE},
    {"forced intra", encode_intra, "flags that are not modelled", DEVICE},
    {"encoding into what is in use", encode_into_busy, "that is in use", DEVICE},
    {"encoding into what is locked", encode_into_locked, "that is locked", DEVICE},
    {"locked out of order", lock_order, "not in the order of submission", DEVICE},
    {"locked while held", lock_held, "before NV_ENC_SUCCESS", DEVICE},
    {"an empty buffer locked", lock_empty, "without a picture", DEVICE},
    {"locked twice", lock_twice, "locked already", DEVICE},
    {"unlocked twice", unlock_unlocked, "that is not locked", DEVICE},
    {"a locked buffer destroyed", destroy_locked, "a buffer that is locked", DEVICE},
    {"a buffer in use destroyed", destroy_queued, "has not been taken", DEVICE},
    {"destroyed with all it has", destroy_full, "12 bitstream buffers and 12 registered inputs",
     DEVICE},
    {"left open", leave_encoder, "left open: encoder", DEVICE},
    {"two that lock", two_lock, "another thread is in such a call", DEVICE},
    {"reading what is unlocked", read_unlocked, NULL, DEVICE, SIGSEGV},
};

int main(void)
{
    av_log_set_level(AV_LOG_QUIET);
    return children_run(children, sizeof(children) / sizeof(children[0]));
}
