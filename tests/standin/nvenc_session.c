/* libnvidia-encode: a session's configuration, its bitstream buffers and inputs.
 *
 * Threads: any. Memory: the session's; a bitstream lies in a block of its own while it is locked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvenc.h"
#include "nvenc_api.h"

/* ---- configuration -------------------------------------------------------------------------- */

/* The session's, with a configuration of the preset's where none is given. */
static const char *config_take(const struct nvenc_session *session,
                               const NV_ENC_INITIALIZE_PARAMS *params,
                               NV_ENC_INITIALIZE_PARAMS *ret, NV_ENC_CONFIG *ret_config)
{
    const int device = session->object.context->device;
    memcpy(ret, params, sizeof(*ret));
    if (params->encodeConfig)
        memcpy(ret_config, params->encodeConfig, sizeof(*ret_config));
    else
        nvenc_preset_fill(device, &params->encodeGUID, nvenc_preset_find(&params->presetGUID),
                          params->tuningInfo, ret_config);
    ret->encodeConfig = NULL;
    return nvenc_config_fault(device, ret, ret_config);
}

NVENCSTATUS nvEncInitializeEncoder(void *encoder, NV_ENC_INITIALIZE_PARAMS *params)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    NV_ENC_INITIALIZE_PARAMS init;
    NV_ENC_CONFIG config;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, false, &status))
        return status;
    nvenc_end(encoder, SIDE_NONE);
    if (!nvenc_version(session, __func__, params->version, NV_ENC_INITIALIZE_PARAMS_VER) ||
        (params->encodeConfig &&
         !nvenc_version(session, __func__, params->encodeConfig->version, NV_ENC_CONFIG_VER)))
        return NV_ENC_ERR_INVALID_VERSION;
    if (session->initialized)
        return nvenc_fault(session, NV_ENC_ERR_INVALID_CALL, __func__, "for the second time");
    const char *fault = config_take(session, params, &init, &config);
    if (fault)
        return nvenc_fault(session, NV_ENC_ERR_INVALID_PARAM, __func__, fault);
    struct nvenc_codec *codec = nvenc_codec_open(&init, &config);
    if (!codec)
        return NV_ENC_ERR_GENERIC;
    pthread_mutex_lock(&standin_mutex);
    session->init = init;
    session->config = config;
    session->codec = codec;
    session->initialized = true;
    pthread_mutex_unlock(&standin_mutex);
    return NV_ENC_SUCCESS;
}

static bool is_initialized(struct nvenc_session *session, const char *name)
{
    pthread_mutex_lock(&standin_mutex);
    const bool is = session->initialized;
    pthread_mutex_unlock(&standin_mutex);
    if (!is)
        nvenc_fault(session, NV_ENC_ERR_ENCODER_NOT_INITIALIZED, name,
                    "before NvEncInitializeEncoder");
    return is;
}

static NVENCSTATUS reconfigure(struct nvenc_session *session, const char *name,
                               const NV_ENC_RECONFIGURE_PARAMS *params)
{
    const NV_ENC_INITIALIZE_PARAMS *to = &params->reInitEncodeParams;
    if (!nvenc_version(session, name, params->version, NV_ENC_RECONFIGURE_PARAMS_VER) ||
        !nvenc_version(session, name, to->version, NV_ENC_INITIALIZE_PARAMS_VER) ||
        (to->encodeConfig &&
         !nvenc_version(session, name, to->encodeConfig->version, NV_ENC_CONFIG_VER)))
        return NV_ENC_ERR_INVALID_VERSION;
    if (!is_initialized(session, name))
        return NV_ENC_ERR_ENCODER_NOT_INITIALIZED;
    NV_ENC_INITIALIZE_PARAMS init, given = *to;
    NV_ENC_CONFIG config;
    if (!given.encodeConfig)
        given.encodeConfig = &session->config;
    const char *fault = nvenc_change_fault(&session->init, &session->config, params);
    if (!fault)
        fault = config_take(session, &given, &init, &config);
    if (fault)
        return nvenc_fault(session, NV_ENC_ERR_INVALID_PARAM, name, fault);
    const bool resized = init.encodeWidth != session->init.encodeWidth ||
                         init.encodeHeight != session->init.encodeHeight;
    if (resized && !nvenc_cap(session->object.context->device, &init.encodeGUID,
                              NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE))
        return nvenc_fault(session, NV_ENC_ERR_UNSUPPORTED_PARAM, name,
                           "another size, beyond the caps");
    /* A new encoder too where the old one must forget what it knows. */
    const bool anew = resized || params->resetEncoder;
    struct nvenc_codec *codec = anew ? nvenc_codec_open(&init, &config) : NULL;
    if (anew && !codec)
        return NV_ENC_ERR_GENERIC;
    pthread_mutex_lock(&standin_mutex);
    session->init = init;
    session->config = config;
    session->begins = session->begins || params->forceIDR;
    if (codec) {
        nvenc_codec_unref_locked(session->codec);
        session->codec = codec;
        session->begun = NULL;
    }
    pthread_mutex_unlock(&standin_mutex);
    return NV_ENC_SUCCESS;
}

NVENCSTATUS nvEncReconfigureEncoder(void *encoder, NV_ENC_RECONFIGURE_PARAMS *params)
{
    NVENCSTATUS status;
    if (!nvenc_begin(__func__, encoder, SIDE_SUBMIT, false, &status))
        return status;
    status = reconfigure(encoder, __func__, params);
    nvenc_end(encoder, SIDE_SUBMIT);
    return status;
}

NVENCSTATUS nvEncSetIOCudaStreams(void *encoder, NV_ENC_CUSTREAM_PTR input,
                                  NV_ENC_CUSTREAM_PTR output)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!nvenc_begin(__func__, encoder, SIDE_SUBMIT, false, &status))
        return status;
    /* Where the header says CUstream it means the address of one. */
    const CUstream *const given[] = {input, output};
    CUstream streams[2] = {NULL, NULL};
    for (int i = 0; i < 2 && status == NV_ENC_SUCCESS; i++) {
        streams[i] = given[i] ? *given[i] : NULL;
        if (!standin_stream_check(__func__, streams[i]))
            status = NV_ENC_ERR_INVALID_PARAM;
    }
    pthread_mutex_lock(&standin_mutex);
    if (status == NV_ENC_SUCCESS) {
        session->input = streams[0];
        session->output = streams[1];
    }
    pthread_mutex_unlock(&standin_mutex);
    nvenc_end(encoder, SIDE_SUBMIT);
    return status;
}

NVENCSTATUS nvEncGetSequenceParams(void *encoder, NV_ENC_SEQUENCE_PARAM_PAYLOAD *params)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, false, &status))
        return status;
    nvenc_end(encoder, SIDE_NONE);
    if (!nvenc_version(session, __func__, params->version, NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    if (!is_initialized(session, __func__))
        return NV_ENC_ERR_ENCODER_NOT_INITIALIZED;
    pthread_mutex_lock(&standin_mutex);
    const struct nvenc_bytes *headers = nvenc_codec_headers(session->codec);
    const bool fits = params->inBufferSize >= headers->size;
    if (fits) {
        memcpy(params->spsppsBuffer, headers->data, headers->size);
        *params->outSPSPPSPayloadSize = (uint32_t)headers->size;
    }
    pthread_mutex_unlock(&standin_mutex);
    return fits ? NV_ENC_SUCCESS : NV_ENC_ERR_NOT_ENOUGH_BUFFER;
}

const char *nvEncGetLastErrorString(void *encoder)
{
    const struct nvenc_session *session = encoder;
    pthread_mutex_lock(&standin_mutex);
    const bool live = standin_object_live_locked(encoder, KIND_ENCODER);
    pthread_mutex_unlock(&standin_mutex);
    if (!live)
        standin_violation("%s: not a live encoder", __func__);
    return live ? session->error : "";
}

/* ---- bitstream buffers ---------------------------------------------------------------------- */

/* Addresses that lead nowhere. */
uintptr_t nvenc_handle_locked(void)
{
    static uintptr_t count;
    return 0x100 + 16 * ++count;
}

struct nvenc_buffer *nvenc_buffer_find_locked(const struct nvenc_session *session,
                                              const void *handle)
{
    for (struct nvenc_buffer *b = session->buffers; b; b = b->next) {
        if (b->handle == (uintptr_t)handle)
            return b;
    }
    return NULL;
}

void nvenc_buffer_drop_locked(struct nvenc_session *session, struct nvenc_buffer *buffer)
{
    struct nvenc_buffer **at = &session->buffers;
    while (*at != buffer)
        at = &(*at)->next;
    *at = buffer->next;
    free(buffer);
}

NVENCSTATUS nvEncCreateBitstreamBuffer(void *encoder, NV_ENC_CREATE_BITSTREAM_BUFFER *params)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, false, &status))
        return status;
    nvenc_end(encoder, SIDE_NONE);
    if (!nvenc_version(session, __func__, params->version, NV_ENC_CREATE_BITSTREAM_BUFFER_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    if (!is_initialized(session, __func__))
        return NV_ENC_ERR_ENCODER_NOT_INITIALIZED;
    struct nvenc_buffer *buffer = calloc(1, sizeof(*buffer));
    if (!buffer)
        return NV_ENC_ERR_OUT_OF_MEMORY;
    pthread_mutex_lock(&standin_mutex);
    buffer->handle = nvenc_handle_locked();
    buffer->area = session->init.encodeWidth * session->init.encodeHeight;
    buffer->next = session->buffers;
    session->buffers = buffer;
    pthread_mutex_unlock(&standin_mutex);
    params->bitstreamBuffer = (NV_ENC_OUTPUT_PTR)buffer->handle;
    return NV_ENC_SUCCESS;
}

/* After a failed call nothing more is to be had from the session, so that what is left in a buffer
 * is no fault of the user's. */
static bool lenient_locked(const struct nvenc_session *session)
{
    return session->failed || nvenc_death_locked(session) != NV_ENC_SUCCESS;
}

NVENCSTATUS nvEncDestroyBitstreamBuffer(void *encoder, NV_ENC_OUTPUT_PTR handle)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, true, &status))
        return status;
    pthread_mutex_lock(&standin_mutex);
    struct nvenc_buffer *buffer = nvenc_buffer_find_locked(session, handle);
    const bool used = buffer && nvenc_buffer_used_locked(session, buffer);
    const bool binds = session->inside[SIDE_LOCK] > 0 || !lenient_locked(session);
    const char *fault = !buffer          ? "not a bitstream buffer"
                        : buffer->locked ? "a buffer that is locked"
                        : used && binds  ? "a buffer whose bitstream has not been taken"
                                         : NULL;
    if (!fault) {
        nvenc_buffer_forget_locked(session, buffer);
        nvenc_buffer_drop_locked(session, buffer);
    }
    pthread_mutex_unlock(&standin_mutex);
    nvenc_end(encoder, SIDE_NONE);
    return fault ? nvenc_fault(session, NV_ENC_ERR_INVALID_CALL, __func__, fault) : status;
}

/* ---- inputs --------------------------------------------------------------------------------- */

struct nvenc_resource *nvenc_mapping_find_locked(const struct nvenc_session *session,
                                                 const void *mapping)
{
    for (struct nvenc_resource *r = session->resources; r; r = r->next) {
        if (r->mapping && r->mapping == (uintptr_t)mapping)
            return r;
    }
    return NULL;
}

static struct nvenc_resource *resource_find_locked(const struct nvenc_session *session,
                                                   const void *handle)
{
    struct nvenc_resource *r = session->resources;
    while (r && r->handle != (uintptr_t)handle)
        r = r->next;
    return r;
}

static size_t resource_size(const struct nvenc_resource *resource)
{
    const size_t lines = resource->height;
    return resource->pitch * (lines + lines / 2);
}

/* The block that has all of it still; NULL: it was freed. */
static struct standin_block *resource_block_locked(const struct nvenc_resource *resource)
{
    return standin_block_holding_locked(resource->address, resource_size(resource));
}

void nvenc_resource_drop_locked(struct nvenc_session *session, struct nvenc_resource *resource)
{
    struct nvenc_resource **at = &session->resources;
    while (*at != resource)
        at = &(*at)->next;
    *at = resource->next;
    struct standin_block *block = resource_block_locked(resource);
    if (block)
        block->registered--;
    free(resource);
}

static const char *resource_fault_locked(const struct nvenc_session *session,
                                         const NV_ENC_REGISTER_RESOURCE *params)
{
    const NV_ENC_BUFFER_FORMAT format = nvenc_format(&session->init, &session->config);
    const unsigned bytes = format == NV_ENC_BUFFER_FORMAT_NV12 ? 1 : 2;
    if (params->resourceType != NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR ||
        params->bufferUsage != NV_ENC_INPUT_IMAGE || params->subResourceIndex != 0)
        return "not an input in CUDA's memory";
    if (params->bufferFormat != format)
        return "not the format of the session's depth";
    if (params->width < session->init.encodeWidth || params->height < session->init.encodeHeight)
        return "smaller than the session's pictures";
    if (params->width % 2 || params->height % 2)
        return "an odd size";
    if (params->pitch % 4 || params->pitch < params->width * bytes)
        return "a pitch that is no multiple of 4, or less than a line";
    for (const struct nvenc_resource *r = session->resources; r; r = r->next) {
        if (r->address == (uintptr_t)params->resourceToRegister)
            return "memory that is registered already";
    }
    return NULL;
}

/* As standin_range_locked, and of cuMemAlloc in the session's context. */
static struct standin_block *resource_take_locked(const struct nvenc_session *session,
                                                  const char *name,
                                                  const struct nvenc_resource *resource)
{
    bool ok;
    struct standin_block *block =
        standin_range_locked(name, resource->address, resource_size(resource), true, &ok);
    if (!block)
        return NULL;
    if (block->kind == MEMORY_DEVICE && block->context == session->object.context) {
        block->registered++;
        return block;
    }
    standin_violation("%s: memory that is not cuMemAlloc's of this context", name);
    return NULL;
}

static NVENCSTATUS resource_register(struct nvenc_session *session, const char *name,
                                     NV_ENC_REGISTER_RESOURCE *params)
{
    struct nvenc_resource *resource = calloc(1, sizeof(*resource));
    if (!resource)
        return NV_ENC_ERR_OUT_OF_MEMORY;
    *resource = (struct nvenc_resource){.address = (uintptr_t)params->resourceToRegister,
                                        .width = params->width,
                                        .height = params->height,
                                        .pitch = params->pitch,
                                        .format = params->bufferFormat};
    pthread_mutex_lock(&standin_mutex);
    const char *fault = resource_fault_locked(session, params);
    const bool taken = !fault && resource_take_locked(session, name, resource);
    if (taken) {
        resource->handle = nvenc_handle_locked();
        resource->next = session->resources;
        session->resources = resource;
        params->registeredResource = (NV_ENC_REGISTERED_PTR)resource->handle;
    }
    pthread_mutex_unlock(&standin_mutex);
    if (taken)
        return NV_ENC_SUCCESS;
    free(resource);
    return fault ? nvenc_fault(session, NV_ENC_ERR_INVALID_PARAM, name, fault)
                 : NV_ENC_ERR_RESOURCE_REGISTER_FAILED;
}

NVENCSTATUS nvEncRegisterResource(void *encoder, NV_ENC_REGISTER_RESOURCE *params)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, false, &status))
        return status;
    nvenc_end(encoder, SIDE_NONE);
    if (!nvenc_version(session, __func__, params->version, NV_ENC_REGISTER_RESOURCE_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    if (!is_initialized(session, __func__))
        return NV_ENC_ERR_ENCODER_NOT_INITIALIZED;
    return resource_register(session, __func__, params);
}

NVENCSTATUS nvEncUnregisterResource(void *encoder, NV_ENC_REGISTERED_PTR handle)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, true, &status))
        return status;
    pthread_mutex_lock(&standin_mutex);
    struct nvenc_resource *resource = resource_find_locked(session, handle);
    const char *fault = !resource           ? "not a registered input"
                        : resource->mapping ? "an input that is mapped"
                                            : NULL;
    if (!fault)
        nvenc_resource_drop_locked(session, resource);
    pthread_mutex_unlock(&standin_mutex);
    nvenc_end(encoder, SIDE_NONE);
    return fault ? nvenc_fault(session, NV_ENC_ERR_RESOURCE_NOT_REGISTERED, __func__, fault)
                 : status;
}

NVENCSTATUS nvEncMapInputResource(void *encoder, NV_ENC_MAP_INPUT_RESOURCE *params)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, false, &status))
        return status;
    nvenc_end(encoder, SIDE_NONE);
    if (!nvenc_version(session, __func__, params->version, NV_ENC_MAP_INPUT_RESOURCE_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    pthread_mutex_lock(&standin_mutex);
    struct nvenc_resource *resource = resource_find_locked(session, params->registeredResource);
    const char *fault = !resource                         ? "not a registered input"
                        : resource->mapping               ? "an input that is mapped already"
                        : resource_block_locked(resource) ? NULL
                                                          : "memory that was freed";
    if (!fault) {
        resource->mapping = nvenc_handle_locked();
        params->mappedResource = (NV_ENC_INPUT_PTR)resource->mapping;
        params->mappedBufferFmt = resource->format;
    }
    pthread_mutex_unlock(&standin_mutex);
    return fault ? nvenc_fault(session, NV_ENC_ERR_RESOURCE_NOT_REGISTERED, __func__, fault)
                 : NV_ENC_SUCCESS;
}

NVENCSTATUS nvEncUnmapInputResource(void *encoder, NV_ENC_INPUT_PTR handle)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, true, &status))
        return status;
    pthread_mutex_lock(&standin_mutex);
    struct nvenc_resource *resource = nvenc_mapping_find_locked(session, handle);
    const bool early =
        resource && nvenc_input_used_locked(session, resource->mapping) && !lenient_locked(session);
    if (resource)
        resource->mapping = 0;
    pthread_mutex_unlock(&standin_mutex);
    nvenc_end(encoder, SIDE_NONE);
    if (!resource)
        return nvenc_fault(session, NV_ENC_ERR_RESOURCE_NOT_MAPPED, __func__, "not a mapped input");
    if (early)
        return nvenc_fault(session, NV_ENC_ERR_INVALID_CALL, __func__,
                           "an input whose packet has not been locked");
    return status;
}
