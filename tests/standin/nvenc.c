/* libnvidia-encode: the list of functions, sessions and their ends.
 *
 * Threads: any. Memory: core.h's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nvenc.h"
#include "nvenc_api.h"

#define API "13.0"

static int sessions_count; /* open; protected by standin_mutex */

/* ---- versions ------------------------------------------------------------------------------- */

static unsigned api_version(void)
{
    unsigned major = 0, minor = 0;
    sscanf(standin_setting_text("ENCODE_API", API), "%u.%u", &major, &minor);
    return API_VERSION(major, minor);
}

NVENC_EXPORT NVENCSTATUS NVENCAPI NvEncodeAPIGetMaxSupportedVersion(uint32_t *ret)
{
    const int ordered = standin_ordered(__func__);
    if (ordered)
        return nvenc_status(ordered);
    *ret = api_version();
    return NV_ENC_SUCCESS;
}

/* ---- entry ---------------------------------------------------------------------------------- */

NVENCSTATUS nvenc_status(int code)
{
    return code < NV_ENC_SUCCESS || code > NV_ENC_ERR_RESOURCE_NOT_MAPPED ? NV_ENC_ERR_GENERIC
                                                                          : (NVENCSTATUS)code;
}

NVENCSTATUS nvenc_death_locked(const struct nvenc_session *session)
{
    return standin_death_locked(session->object.context) == CUDA_SUCCESS
               ? NV_ENC_SUCCESS
               : NV_ENC_ERR_DEVICE_NOT_EXIST;
}

static bool retried(NVENCSTATUS status)
{
    return status == NV_ENC_SUCCESS || status == NV_ENC_ERR_ENCODER_BUSY ||
           status == NV_ENC_ERR_NEED_MORE_INPUT || status == NV_ENC_ERR_LOCK_BUSY;
}

bool nvenc_begin(const char *name, void *encoder, enum nvenc_side side, bool frees,
                 NVENCSTATUS *ret)
{
    struct nvenc_session *session = encoder;
    CUresult result;
    *ret = NV_ENC_ERR_INVALID_DEVICE;
    if (!standin_begin(name, NEEDS_CONTEXT, &result))
        return false;
    *ret = NV_ENC_ERR_INVALID_ENCODERDEVICE;
    if (!standin_object_check(name, encoder, KIND_ENCODER))
        return false;
    pthread_mutex_lock(&standin_mutex);
    const NVENCSTATUS death = nvenc_death_locked(session);
    *ret = death != NV_ENC_SUCCESS ? death : nvenc_status((int)result);
    session->failed = session->failed || !retried(*ret);
    const bool shared = side != SIDE_NONE && session->inside[side] > 0;
    const bool goes_on = !shared && (*ret == NV_ENC_SUCCESS || frees);
    session->inside[side] += goes_on;
    pthread_mutex_unlock(&standin_mutex);
    if (shared)
        *ret = nvenc_fault(session, NV_ENC_ERR_INVALID_CALL, name,
                           "another thread is in such a call of the session");
    return goes_on;
}

void nvenc_end(void *encoder, enum nvenc_side side)
{
    struct nvenc_session *session = encoder;
    pthread_mutex_lock(&standin_mutex);
    session->inside[side]--;
    pthread_mutex_unlock(&standin_mutex);
}

NVENCSTATUS nvenc_fault(struct nvenc_session *session, NVENCSTATUS status, const char *name,
                        const char *text)
{
    if (session) {
        pthread_mutex_lock(&standin_mutex);
        snprintf(session->error, sizeof(session->error), "%s", text);
        pthread_mutex_unlock(&standin_mutex);
    }
    standin_violation("%s: %s", name, text);
    return status;
}

bool nvenc_version(struct nvenc_session *session, const char *name, uint32_t is, uint32_t wanted)
{
    if (is == wanted)
        return true;
    const bool bit = (is | 1u << 31) == wanted;
    nvenc_fault(session, NV_ENC_ERR_INVALID_VERSION, name,
                bit ? "a structure's version without bit 31" : "a structure's version is wrong");
    return false;
}

/* ---- opening and ending --------------------------------------------------------------------- */

static void session_release(struct standin_object *object)
{
    struct nvenc_session *session = (struct nvenc_session *)object;
    free(session);
}

static void event_release(struct standin_object *object)
{
    free(object);
}

static struct CUevent_st *event_new(CUcontext context)
{
    struct CUevent_st *event = calloc(1, sizeof(*event));
    if (event) {
        event->object.context = context;
        event->object.release = event_release;
        event->object.refs = 1;
    }
    return event;
}

static NVENCSTATUS session_new(struct nvenc_session **ret)
{
    struct nvenc_session *session = calloc(1, sizeof(*session));
    if (!session)
        return NV_ENC_ERR_OUT_OF_MEMORY;
    session->arrived = event_new(standin_current());
    session->coded = event_new(standin_current());
    session->worker = session->arrived && session->coded ? standin_stream_new(false) : NULL;
    if (!session->worker) {
        free(session->arrived);
        free(session->coded);
        free(session);
        return NV_ENC_ERR_OUT_OF_MEMORY;
    }
    session->begins = true;
    standin_object_add(&session->object, KIND_ENCODER, session_release);
    *ret = session;
    return NV_ENC_SUCCESS;
}

/* Counts it, where the driver's limit lets one more be. */
static bool session_counted(void)
{
    const long limit = standin_setting("ENCODE_SESSIONS_MAX", -1);
    pthread_mutex_lock(&standin_mutex);
    const bool fits = limit < 0 || sessions_count < limit;
    sessions_count += fits;
    pthread_mutex_unlock(&standin_mutex);
    return fits;
}

static void session_uncounted(void)
{
    pthread_mutex_lock(&standin_mutex);
    sessions_count--;
    pthread_mutex_unlock(&standin_mutex);
}

NVENCSTATUS nvEncOpenEncodeSessionEx(NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS *params, void **ret)
{
    CUresult result;
    *ret = NULL;
    if (!standin_begin(__func__, NEEDS_CONTEXT, &result))
        return NV_ENC_ERR_INVALID_DEVICE;
    CUcontext context = standin_current();
    pthread_mutex_lock(&standin_mutex);
    const bool dead = standin_death_locked(context) != CUDA_SUCCESS;
    pthread_mutex_unlock(&standin_mutex);
    if (dead)
        return NV_ENC_ERR_DEVICE_NOT_EXIST;
    if (result != CUDA_SUCCESS)
        return nvenc_status((int)result);
    if (!nvenc_version(NULL, __func__, params->version, NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    if (params->deviceType != NV_ENC_DEVICE_TYPE_CUDA || params->device != (void *)context)
        return nvenc_fault(NULL, NV_ENC_ERR_INVALID_DEVICE, __func__,
                           "the device is not the current context");
    if (params->apiVersion != NVENCAPI_VERSION || HEADER_VERSION > api_version())
        return NV_ENC_ERR_INVALID_VERSION;
    if (!nvenc_device_encodes(context->device))
        return NV_ENC_ERR_UNSUPPORTED_DEVICE;
    if (!session_counted())
        return NV_ENC_ERR_OUT_OF_MEMORY;
    struct nvenc_session *session = NULL;
    const NVENCSTATUS status = session_new(&session);
    if (status != NV_ENC_SUCCESS)
        session_uncounted();
    *ret = session;
    return status;
}

/* What the user should have freed, and what only the session had. */
static void contents_drop_locked(struct nvenc_session *session)
{
    while (session->pictures)
        nvenc_picture_leave_locked(&session->pictures);
    while (session->buffers)
        nvenc_buffer_drop_locked(session, session->buffers);
    while (session->resources)
        nvenc_resource_drop_locked(session, session->resources);
    if (session->codec)
        nvenc_codec_unref_locked(session->codec);
    standin_object_unref_locked(&session->arrived->object);
    standin_object_unref_locked(&session->coded->object);
}

NVENCSTATUS nvEncDestroyEncoder(void *encoder)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!encoder) /* as is to be called where opening failed */
        return NV_ENC_ERR_INVALID_PTR;
    if (!nvenc_begin(__func__, encoder, SIDE_NONE, true, &status))
        return status;
    pthread_mutex_lock(&standin_mutex);
    const bool in_use = session->inside[SIDE_SUBMIT] + session->inside[SIDE_LOCK] > 0;
    int buffers = 0, registered = 0, mapped = 0;
    for (const struct nvenc_buffer *b = session->buffers; b; b = b->next)
        buffers++;
    for (const struct nvenc_resource *r = session->resources; r; r = r->next) {
        registered++;
        mapped += r->mapping != 0;
    }
    pthread_mutex_unlock(&standin_mutex);
    if (in_use) /* the session stays, since another thread reads it */
        standin_violation("%s: another thread is in a call of the session", __func__);
    if (in_use)
        return NV_ENC_ERR_INVALID_CALL;
    if (buffers + registered > 0)
        standin_violation("%s: %d bitstream buffers and %d registered inputs are left, %d mapped",
                          __func__, buffers, registered, mapped);
    pthread_mutex_lock(&standin_mutex);
    while (session->worker->completed < session->worker->submitted)
        pthread_cond_wait(&standin_changed, &standin_mutex);
    contents_drop_locked(session);
    sessions_count--;
    pthread_mutex_unlock(&standin_mutex);
    standin_stream_close(session->worker);
    standin_object_drop(&session->object);
    return status;
}
