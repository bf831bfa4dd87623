/* Entry points of libnvidia-encode that the list of functions gives, by the list's names. */
#ifndef STANDIN_NVENC_API_H
#define STANDIN_NVENC_API_H

#include <ffnvcodec/nvEncodeAPI.h>

/* nvenc.c */
NVENCSTATUS nvEncOpenEncodeSessionEx(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *params, void **ret);
NVENCSTATUS nvEncDestroyEncoder(void *encoder);

/* nvenc_caps.c */
NVENCSTATUS nvEncGetEncodeGUIDCount(void *encoder, uint32_t *ret);
NVENCSTATUS nvEncGetEncodeGUIDs(void *encoder, GUID *ret, uint32_t room, uint32_t *ret_count);
NVENCSTATUS nvEncGetEncodeProfileGUIDCount(void *encoder, GUID codec, uint32_t *ret);
NVENCSTATUS nvEncGetEncodeProfileGUIDs(void *encoder, GUID codec, GUID *ret, uint32_t room,
                                       uint32_t *ret_count);
NVENCSTATUS nvEncGetEncodePresetCount(void *encoder, GUID codec, uint32_t *ret);
NVENCSTATUS nvEncGetEncodePresetGUIDs(void *encoder, GUID codec, GUID *ret, uint32_t room,
                                      uint32_t *ret_count);
NVENCSTATUS nvEncGetInputFormatCount(void *encoder, GUID codec, uint32_t *ret);
NVENCSTATUS nvEncGetInputFormats(void *encoder, GUID codec, NV_ENC_BUFFER_FORMAT *ret,
                                 uint32_t room, uint32_t *ret_count);
NVENCSTATUS nvEncGetEncodeCaps(void *encoder, GUID codec, NV_ENC_CAPS_PARAM *param, int *ret);
NVENCSTATUS nvEncGetEncodePresetConfigEx(void *encoder, GUID codec, GUID preset,
                                         NV_ENC_TUNING_INFO tuning, NV_ENC_PRESET_CONFIG *ret);

/* nvenc_session.c */
NVENCSTATUS nvEncInitializeEncoder(void *encoder, NV_ENC_INITIALIZE_PARAMS *params);
NVENCSTATUS nvEncReconfigureEncoder(void *encoder, NV_ENC_RECONFIGURE_PARAMS *params);
NVENCSTATUS nvEncSetIOCudaStreams(void *encoder, NV_ENC_CUSTREAM_PTR input,
                                  NV_ENC_CUSTREAM_PTR output);
NVENCSTATUS nvEncGetSequenceParams(void *encoder, NV_ENC_SEQUENCE_PARAM_PAYLOAD *params);
const char *nvEncGetLastErrorString(void *encoder);
NVENCSTATUS nvEncCreateBitstreamBuffer(void *encoder, NV_ENC_CREATE_BITSTREAM_BUFFER *params);
NVENCSTATUS nvEncDestroyBitstreamBuffer(void *encoder, NV_ENC_OUTPUT_PTR handle);
NVENCSTATUS nvEncRegisterResource(void *encoder, NV_ENC_REGISTER_RESOURCE *params);
NVENCSTATUS nvEncUnregisterResource(void *encoder, NV_ENC_REGISTERED_PTR handle);
NVENCSTATUS nvEncMapInputResource(void *encoder, NV_ENC_MAP_INPUT_RESOURCE *params);
NVENCSTATUS nvEncUnmapInputResource(void *encoder, NV_ENC_INPUT_PTR handle);

/* nvenc_picture.c */
NVENCSTATUS nvEncEncodePicture(void *encoder, NV_ENC_PIC_PARAMS *params);
NVENCSTATUS nvEncLockBitstream(void *encoder, NV_ENC_LOCK_BITSTREAM *params);
NVENCSTATUS nvEncUnlockBitstream(void *encoder, NV_ENC_OUTPUT_PTR handle);

#endif
