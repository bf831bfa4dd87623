/* Devices of libnvidia-encode's stand-in: what they can do, how many sessions they have, and calls
 * that fail. */
#include "api.h"
#include "children.h"
#include "nvenc_api.h"
#include "nvenc_client.h"
#include "standin.h"

#define DEVICE CLIENT_DEVICE

static struct client c; /* of the child that runs */

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
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS params = client_open_params(context);
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
    return client_ask_cap(&c, codec, which);
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
    CHECK(count == 2 && client_guid_is(&guids[1], &NV_ENC_CODEC_HEVC_GUID));
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
    client_begin(&c, &client_live);
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
    const struct client_params p = client_with(&NV_ENC_CODEC_H264_GUID, 2);
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
    client_begin(&c, &client_live);
    client_submit_next(&c, 3);
    c.keeps = true;
    client_submit(&c, 3, 0);
    NV_ENC_LOCK_BITSTREAM lock = client_lock_params(&c, 3);
    CHECK(c.api.nvEncLockBitstream(c.encoder, &lock) == NV_ENC_ERR_DEVICE_NOT_EXIST);
    give_up(NV_ENC_ERR_DEVICE_NOT_EXIST);
}

static const struct child children[] = {
    {"no encoder", no_encoder, NULL},
    {"an old driver", old_driver, NULL, "ENCODE_API=9.1"},
    {"sessions", sessions, NULL, DEVICE ";hevc:8:640x480; DEVICES=3 ENCODE_SESSIONS_MAX=2"},
    {"caps", caps, NULL,
     DEVICE " BFRAMES=3 ENCODE_CAPS=SUPPORT_LOOKAHEAD:0,SUPPORT_BFRAME_REF_MODE:2"},
    {"busy", busy, NULL, DEVICE " FAIL=nvEncEncodePicture:3:18"},
    {"a lock fails", lock_fails, NULL, DEVICE " FAIL=nvEncLockBitstream:1:20"},
    {"death", death, NULL, DEVICE " DIE_AFTER=3"},
};

int main(void)
{
    av_log_set_level(AV_LOG_QUIET);
    return children_run(children, sizeof(children) / sizeof(children[0]));
}
