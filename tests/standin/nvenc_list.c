/* libnvidia-encode: the list of functions, and those that are not modelled.
 *
 * Threads: any. Memory: static. */
#include "nvenc.h"
#include "nvenc_api.h"

#define ABSENT(name, ...)                                                                          \
    static NVENCSTATUS name(__VA_ARGS__)                                                           \
    {                                                                                              \
        return NV_ENC_ERR_UNIMPLEMENTED;                                                           \
    }

/* NOLINTBEGIN(misc-unused-parameters) */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
ABSENT(open_encode_session, void *device, uint32_t type, void **encoder)
ABSENT(preset_config, void *encoder, GUID codec, GUID preset, NV_ENC_PRESET_CONFIG *config)
ABSENT(create_input, void *encoder, NV_ENC_CREATE_INPUT_BUFFER *params)
ABSENT(destroy_input, void *encoder, NV_ENC_INPUT_PTR buffer)
ABSENT(lock_input, void *encoder, NV_ENC_LOCK_INPUT_BUFFER *params)
ABSENT(unlock_input, void *encoder, NV_ENC_INPUT_PTR buffer)
ABSENT(stats, void *encoder, NV_ENC_STAT *stat)
ABSENT(async_event, void *encoder, NV_ENC_EVENT_PARAMS *params)
ABSENT(invalidate, void *encoder, uint64_t timestamp)
ABSENT(create_mv, void *encoder, NV_ENC_CREATE_MV_BUFFER *params)
ABSENT(destroy_mv, void *encoder, NV_ENC_OUTPUT_PTR buffer)
ABSENT(motion_only, void *encoder, NV_ENC_MEONLY_PARAMS *params)
ABSENT(sequence_params_ex, void *encoder, NV_ENC_INITIALIZE_PARAMS *init,
       NV_ENC_SEQUENCE_PARAM_PAYLOAD *params)
#ifdef NV_ENC_RESTORE_ENCODER_STATE_PARAMS_VER
ABSENT(restore_state, void *encoder, NV_ENC_RESTORE_ENCODER_STATE_PARAMS *params)
#endif
#ifdef NV_ENC_LOOKAHEAD_PIC_PARAMS_VER
ABSENT(lookahead_picture, void *encoder, NV_ENC_LOOKAHEAD_PIC_PARAMS *params)
#endif

#pragma GCC diagnostic pop
/* NOLINTEND(misc-unused-parameters) */

static const NV_ENCODE_API_FUNCTION_LIST functions = {
    .version = NV_ENCODE_API_FUNCTION_LIST_VER,
    .nvEncOpenEncodeSession = open_encode_session,
    .nvEncGetEncodeGUIDCount = nvEncGetEncodeGUIDCount,
    .nvEncGetEncodeProfileGUIDCount = nvEncGetEncodeProfileGUIDCount,
    .nvEncGetEncodeProfileGUIDs = nvEncGetEncodeProfileGUIDs,
    .nvEncGetEncodeGUIDs = nvEncGetEncodeGUIDs,
    .nvEncGetInputFormatCount = nvEncGetInputFormatCount,
    .nvEncGetInputFormats = nvEncGetInputFormats,
    .nvEncGetEncodeCaps = nvEncGetEncodeCaps,
    .nvEncGetEncodePresetCount = nvEncGetEncodePresetCount,
    .nvEncGetEncodePresetGUIDs = nvEncGetEncodePresetGUIDs,
    .nvEncGetEncodePresetConfig = preset_config,
    .nvEncInitializeEncoder = nvEncInitializeEncoder,
    .nvEncCreateInputBuffer = create_input,
    .nvEncDestroyInputBuffer = destroy_input,
    .nvEncCreateBitstreamBuffer = nvEncCreateBitstreamBuffer,
    .nvEncDestroyBitstreamBuffer = nvEncDestroyBitstreamBuffer,
    .nvEncEncodePicture = nvEncEncodePicture,
    .nvEncLockBitstream = nvEncLockBitstream,
    .nvEncUnlockBitstream = nvEncUnlockBitstream,
    .nvEncLockInputBuffer = lock_input,
    .nvEncUnlockInputBuffer = unlock_input,
    .nvEncGetEncodeStats = stats,
    .nvEncGetSequenceParams = nvEncGetSequenceParams,
    .nvEncRegisterAsyncEvent = async_event,
    .nvEncUnregisterAsyncEvent = async_event,
    .nvEncMapInputResource = nvEncMapInputResource,
    .nvEncUnmapInputResource = nvEncUnmapInputResource,
    .nvEncDestroyEncoder = nvEncDestroyEncoder,
    .nvEncInvalidateRefFrames = invalidate,
    .nvEncOpenEncodeSessionEx = nvEncOpenEncodeSessionEx,
    .nvEncRegisterResource = nvEncRegisterResource,
    .nvEncUnregisterResource = nvEncUnregisterResource,
    .nvEncReconfigureEncoder = nvEncReconfigureEncoder,
    .nvEncCreateMVBuffer = create_mv,
    .nvEncDestroyMVBuffer = destroy_mv,
    .nvEncRunMotionEstimationOnly = motion_only,
    .nvEncGetLastErrorString = nvEncGetLastErrorString,
    .nvEncSetIOCudaStreams = nvEncSetIOCudaStreams,
    .nvEncGetEncodePresetConfigEx = nvEncGetEncodePresetConfigEx,
    .nvEncGetSequenceParamEx = sequence_params_ex,
#ifdef NV_ENC_RESTORE_ENCODER_STATE_PARAMS_VER
    .nvEncRestoreEncoderState = restore_state,
#endif
#ifdef NV_ENC_LOOKAHEAD_PIC_PARAMS_VER
    .nvEncLookaheadPicture = lookahead_picture,
#endif
};

NVENC_EXPORT NVENCSTATUS NVENCAPI NvEncodeAPICreateInstance(NV_ENCODE_API_FUNCTION_LIST *list)
{
    uint32_t version = 0;
    const int ordered = standin_ordered(__func__);
    if (ordered)
        return nvenc_status(ordered);
    /* A program of newer headers finds an older driver: no fault of its own. */
    NvEncodeAPIGetMaxSupportedVersion(&version);
    if (HEADER_VERSION > version)
        return NV_ENC_ERR_INVALID_VERSION;
    if (!nvenc_version(NULL, __func__, list->version, NV_ENCODE_API_FUNCTION_LIST_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    *list = functions;
    return NV_ENC_SUCCESS;
}
