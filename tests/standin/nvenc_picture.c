/* libnvidia-encode: pictures from their submission to their packets.
 *
 * A picture is held until the picture that it is coded behind has come, and the lookahead is full;
 * then it is released, which says its type and whose buffer its packet goes to. The session's
 * worker does the rest, behind what the input's stream had queued when the picture came.
 *
 * Threads: any; one may submit while another locks. Memory: pictures are counted, as nvenc.h says
 * by whom, and by each queued operation. */
#include <stdlib.h>
#include <string.h>

#include "nvenc.h"
#include "nvenc_api.h"

/* ---- pictures ------------------------------------------------------------------------------- */

static void picture_unref_locked(struct nvenc_picture *picture)
{
    if (--picture->refs > 0)
        return;
    if (picture->codec)
        nvenc_codec_unref_locked(picture->codec);
    nvenc_bytes_free(&picture->sei);
    nvenc_bytes_free(&picture->packet);
    free(picture);
}

/* Pictures carry one another in circles, or themselves: who leaves the list carries no more. */
void nvenc_picture_leave_locked(struct nvenc_picture **at)
{
    struct nvenc_picture *picture = *at;
    *at = picture->next;
    if (picture->carried)
        picture_unref_locked(picture->carried);
    picture->carried = NULL;
    picture_unref_locked(picture);
}

static struct nvenc_picture *picture_ref_locked(struct nvenc_picture *picture)
{
    picture->refs++;
    return picture;
}

static bool is_owed(const struct nvenc_picture *picture, uintptr_t mapping)
{
    return picture->input == mapping && !picture->locked && !picture->flushed;
}

bool nvenc_input_used_locked(const struct nvenc_session *session, uintptr_t mapping)
{
    for (const struct nvenc_picture *p = session->pictures; p; p = p->next) {
        if (is_owed(p, mapping) || (p->carried && is_owed(p->carried, mapping)))
            return true;
    }
    return false;
}

bool nvenc_buffer_used_locked(const struct nvenc_session *session,
                              const struct nvenc_buffer *buffer)
{
    for (const struct nvenc_picture *p = session->pictures; p; p = p->next) {
        if (p->buffer == buffer && !p->flushed)
            return true;
    }
    return false;
}

void nvenc_buffer_forget_locked(struct nvenc_session *session, const struct nvenc_buffer *buffer)
{
    for (struct nvenc_picture *p = session->pictures; p; p = p->next) {
        if (p->buffer == buffer)
            p->buffer = NULL;
    }
}

/* ---- the worker ----------------------------------------------------------------------------- */

/* As FNV-1a, over words: of the lines only, for what lies between them is nobody's. */
static uint64_t hash_lines(const struct nvenc_picture *picture, uint64_t hash, size_t from,
                           int lines)
{
    const uint8_t *bytes = (const uint8_t *)(uintptr_t)picture->address + from;
    for (int line = 0; line < lines; line++, bytes += picture->pitch) {
        for (size_t at = 0; at < picture->line_size; at += sizeof(uint64_t)) {
            const size_t left = picture->line_size - at;
            uint64_t word = 0;
            memcpy(&word, bytes + at, left < sizeof(word) ? left : sizeof(word));
            hash = (hash ^ word) * 0x100000001b3u;
            hash ^= hash >> 32;
        }
    }
    return hash;
}

static uint64_t hash_of(const struct nvenc_picture *picture)
{
    const uint64_t luma = hash_lines(picture, 0xcbf29ce484222325u, 0, picture->height);
    return hash_lines(picture, luma, picture->chroma_at, picture->height / 2);
}

static void check_unchanged(struct nvenc_picture *picture)
{
    if (hash_of(picture) == picture->hash || picture->changed)
        return;
    picture->changed = true;
    standin_violation("the input of time stamp %llu is changed before its picture is encoded",
                      (unsigned long long)picture->timestamp);
}

static void arrive_run(void *arg)
{
    struct nvenc_picture *picture = arg;
    picture->hash = hash_of(picture);
}

static void encode_run(void *arg)
{
    struct nvenc_picture *picture = arg;
    check_unchanged(picture);
    picture->failed = !nvenc_codec_encode(picture->codec, picture);
}

/* Once more, later: the hardware may still be reading. */
static void finish_run(void *arg)
{
    check_unchanged(arg);
}

static void unref_done(void *arg)
{
    pthread_mutex_lock(&standin_mutex);
    picture_unref_locked(arg);
    pthread_mutex_unlock(&standin_mutex);
}

static void finish_done(void *arg)
{
    struct nvenc_picture *picture = arg;
    pthread_mutex_lock(&standin_mutex);
    picture->done = true;
    pthread_cond_broadcast(&standin_changed);
    picture_unref_locked(picture);
    pthread_mutex_unlock(&standin_mutex);
}

/* An operation on the input, which must not be freed until it is done. False: it has been. */
static bool push(struct nvenc_session *session, struct nvenc_picture *picture,
                 struct standin_op *op)
{
    pthread_mutex_lock(&standin_mutex);
    struct standin_block *block = standin_block_holding_locked(picture->address, picture->size);
    picture_ref_locked(picture);
    pthread_mutex_unlock(&standin_mutex);
    op->arg = picture;
    op->blocks[0] = block;
    op->blocks_count = 1;
    if (block && standin_stream_push(session->worker, op) == CUDA_SUCCESS)
        return true;
    picture->failed = true;
    op->done(picture);
    return false;
}

static bool stream_live(CUstream stream)
{
    if (!stream)
        return false;
    pthread_mutex_lock(&standin_mutex);
    const bool live = standin_object_live_locked(stream, KIND_STREAM);
    pthread_mutex_unlock(&standin_mutex);
    if (!live)
        standin_violation("a stream of NvEncSetIOCudaStreams is destroyed before its session");
    return live;
}

/* Behind what the input's stream has queued so far. */
static void push_arrival(struct nvenc_session *session, struct nvenc_picture *picture)
{
    struct standin_op op = {.run = arrive_run, .done = unref_done};
    if (stream_live(session->input)) {
        const struct standin_op record = {.records = session->arrived};
        standin_stream_push(session->input, &record);
        pthread_mutex_lock(&standin_mutex);
        op.waits = session->arrived;
        op.target = session->arrived->recorded;
        pthread_mutex_unlock(&standin_mutex);
    }
    push(session, picture, &op);
}

/* The output's stream goes on when the picture is done. */
static void push_encode(struct nvenc_session *session, struct nvenc_picture *picture)
{
    struct standin_op encode = {.run = encode_run, .done = unref_done};
    struct standin_op finish = {.run = finish_run, .done = finish_done, .records = session->coded};
    push(session, picture, &encode);
    if (!push(session, picture, &finish) || !stream_live(session->output))
        return;
    struct standin_op wait = {.waits = session->coded};
    pthread_mutex_lock(&standin_mutex);
    wait.target = session->coded->recorded;
    pthread_mutex_unlock(&standin_mutex);
    standin_stream_push(session->output, &wait);
}

/* ---- types and order ------------------------------------------------------------------------ */

static struct nvenc_picture *first_held(const struct nvenc_session *session)
{
    struct nvenc_picture *p = session->pictures;
    while (p && p->released)
        p = p->next;
    return p;
}

static struct nvenc_picture *first_empty(const struct nvenc_session *session)
{
    struct nvenc_picture *p = session->pictures;
    while (p && p->carried)
        p = p->next;
    return p;
}

/* Whether the picture that is `ahead` places behind the last released one begins a GOP. */
static bool begins_gop(const struct nvenc_session *session, const struct nvenc_picture *picture,
                       unsigned ahead)
{
    const uint32_t length = session->config.gopLength;
    return picture->forced || session->config.frameIntervalP == 0 ||
           (length != NVENC_INFINITE_GOPLENGTH && session->since_idr + ahead >= length);
}

/* The next one in decoding. `order`: its place in display since the IDR. */
static void release_locked(struct nvenc_session *session, struct nvenc_picture *picture,
                           NV_ENC_PIC_TYPE type, int order)
{
    struct nvenc_picture *carrier = first_empty(session);
    carrier->carried = picture_ref_locked(picture);
    picture->released = true;
    picture->type = type;
    picture->place = (struct nvenc_place){.order = order,
                                          .step = order - session->coded_order,
                                          .bottom_first = picture->structure ==
                                                          NV_ENC_PIC_STRUCT_FIELD_BOTTOM_TOP};
    session->coded_order = order;
    if (type == NV_ENC_PIC_TYPE_IDR) {
        const struct nvenc_common common = nvenc_common_of(&session->init, &session->config);
        picture->headers =
            picture->headers || common.repeat_headers || session->begun != picture->codec;
        session->begun = picture->codec;
    }
}

/* As many as go together: an IDR, or a P and the B's that are shown before it. Gives how many; 0:
 * more have to come first. */
static int release_some_locked(struct nvenc_session *session, int keep, bool end,
                               struct nvenc_picture **ret)
{
    struct nvenc_picture *first = first_held(session);
    const int most = session->config.frameIntervalP;
    int held = 0, count = 1;
    for (const struct nvenc_picture *p = first; p; p = p->next)
        held++;
    if (!first || held <= keep)
        return 0;
    if (begins_gop(session, first, 0)) {
        release_locked(session, first, NV_ENC_PIC_TYPE_IDR, 0);
        session->since_idr = 1;
        ret[0] = first;
        return 1;
    }
    struct nvenc_picture *last = first;
    while (count < most && last->next && !begins_gop(session, last->next, (unsigned)count)) {
        last = last->next;
        count++;
    }
    if (count < most && !last->next && !end)
        return 0;
    if (held - count < keep)
        return 0;
    const int order = (int)session->since_idr;
    /* AV1's packets are in the order of display: the one of the first B-frame has the P too. */
    const bool shown = nvenc_is_av1(&session->init);
    if (!shown) {
        release_locked(session, last, NV_ENC_PIC_TYPE_P, order + count - 1);
        *ret++ = last;
    }
    for (int i = 0; i < count - 1; i++, first = first->next) {
        release_locked(session, first, NV_ENC_PIC_TYPE_B, order + i);
        *ret++ = first;
    }
    if (shown) {
        release_locked(session, last, NV_ENC_PIC_TYPE_P, order + count - 1);
        *ret = last;
    }
    session->since_idr += (unsigned)count;
    return count;
}

/* Gives whether any were. */
static bool release(struct nvenc_session *session, bool end)
{
    struct nvenc_picture *pictures[LOOKAHEAD_MAX + 1];
    const NV_ENC_RC_PARAMS *rc = &session->config.rcParams;
    const int keep = rc->enableLookahead && !end ? rc->lookaheadDepth : 0;
    bool any = false;
    for (;;) {
        pthread_mutex_lock(&standin_mutex);
        const int count = release_some_locked(session, keep, end, pictures);
        pthread_mutex_unlock(&standin_mutex);
        if (count == 0)
            return any;
        any = true;
        for (int i = 0; i < count; i++)
            push_encode(session, pictures[i]);
    }
}

/* ---- submission ----------------------------------------------------------------------------- */

static bool sei_take(struct nvenc_picture *picture, const NV_ENC_INITIALIZE_PARAMS *init,
                     const NV_ENC_CODEC_PIC_PARAMS *params)
{
    const bool hevc = nvenc_is_hevc(init);
    if (nvenc_is_av1(init))
        return true;
    const uint32_t count =
        hevc ? params->hevcPicParams.seiPayloadArrayCnt : params->h264PicParams.seiPayloadArrayCnt;
    const NV_ENC_SEI_PAYLOAD *payloads =
        hevc ? params->hevcPicParams.seiPayloadArray : params->h264PicParams.seiPayloadArray;
    for (uint32_t i = 0; i < count; i++) {
        if (!nvenc_append_sei(&picture->sei, hevc, &payloads[i]))
            return false;
    }
    return true;
}

static bool has_obus(const NV_ENC_CODEC_PIC_PARAMS *params)
{
#if HAS_AV1
    return params->av1PicParams.obuPayloadArrayCnt > 0;
#else
    (void)params;
    return false;
#endif
}

static const char *picture_fault_locked(const struct nvenc_session *session,
                                        const NV_ENC_PIC_PARAMS *params,
                                        const struct nvenc_resource *input,
                                        const struct nvenc_buffer *buffer)
{
    if (!input)
        return "an input that is not mapped";
    if (!buffer)
        return "not a bitstream buffer";
    if (buffer->locked)
        return "a bitstream buffer that is locked";
    if (buffer->queued)
        return "a bitstream buffer that is in use";
    if (buffer->area < session->init.encodeWidth * session->init.encodeHeight)
        return "a bitstream buffer that was made for smaller pictures";
    if (session->has_timestamp && params->inputTimeStamp <= session->last_timestamp)
        return "inputTimeStamp does not grow";
    if (params->inputWidth != session->init.encodeWidth ||
        params->inputHeight != session->init.encodeHeight)
        return "a picture of another size than the session's";
    if (input->width < session->init.encodeWidth || input->height < session->init.encodeHeight)
        return "an input that is smaller than the session's pictures";
    if (params->bufferFmt != input->format)
        return "another format than the input's";
    if (params->inputPitch != input->pitch && params->inputPitch != params->inputWidth)
        return "another pitch than the input's";
    const bool fields = params->pictureStruct == NV_ENC_PIC_STRUCT_FIELD_TOP_BOTTOM ||
                        params->pictureStruct == NV_ENC_PIC_STRUCT_FIELD_BOTTOM_TOP;
    if (nvenc_is_fields(&session->config) && !fields)
        return "a frame, or no structure of the picture, in a session of fields";
    if (!nvenc_is_fields(&session->config) && params->pictureStruct != NV_ENC_PIC_STRUCT_FRAME)
        return "a field, or no structure of the picture";
    if (nvenc_is_av1(&session->init) && has_obus(&params->codecPicParams))
        return "OBUs for AV1, which are not modelled";
    if (params->completionEvent)
        return "an event, in synchronous mode";
    if (params->encodePicFlags &
        ~(uint32_t)(NV_ENC_PIC_FLAG_FORCEIDR | NV_ENC_PIC_FLAG_OUTPUT_SPSPPS))
        return "flags that are not modelled";
    return NULL;
}

static void picture_fill_locked(struct nvenc_session *session, struct nvenc_picture *picture,
                                const NV_ENC_PIC_PARAMS *params, const struct nvenc_resource *input,
                                struct nvenc_buffer *buffer)
{
    const size_t bytes = input->format == NV_ENC_BUFFER_FORMAT_NV12 ? 1 : 2;
    picture->refs = 1;
    picture->number = session->submitted++;
    picture->input = input->mapping;
    picture->buffer = buffer;
    picture->timestamp = params->inputTimeStamp;
    picture->duration = params->inputDuration;
    picture->frame_index = params->frameIdx;
    picture->forced = session->begins || (params->encodePicFlags & NV_ENC_PIC_FLAG_FORCEIDR);
    picture->headers = params->encodePicFlags & NV_ENC_PIC_FLAG_OUTPUT_SPSPPS;
    picture->structure = params->pictureStruct;
    picture->codec = nvenc_codec_ref_locked(session->codec);
    picture->rate = nvenc_rate_of(&session->init, &session->config);
    picture->address = input->address;
    picture->pitch = input->pitch;
    picture->chroma_at = (size_t)input->pitch * input->height;
    picture->size = picture->chroma_at + picture->chroma_at / 2;
    picture->line_size = session->init.encodeWidth * bytes;
    picture->width = (int)session->init.encodeWidth;
    picture->height = (int)session->init.encodeHeight;
    struct nvenc_picture **at = &session->pictures;
    while (*at)
        at = &(*at)->next;
    *at = picture;
    buffer->queued = true;
    session->begins = false;
    session->has_timestamp = true;
    session->last_timestamp = params->inputTimeStamp;
}

/* What is pending may be locked from now on. */
static NVENCSTATUS submitted(struct nvenc_session *session, bool released)
{
    if (!released)
        return NV_ENC_ERR_NEED_MORE_INPUT;
    pthread_mutex_lock(&standin_mutex);
    session->may_lock = session->submitted;
    pthread_mutex_unlock(&standin_mutex);
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS submit(struct nvenc_session *session, const char *name,
                          const NV_ENC_PIC_PARAMS *params)
{
    struct nvenc_picture *picture = calloc(1, sizeof(*picture));
    if (!picture)
        return NV_ENC_ERR_OUT_OF_MEMORY;
    if (!sei_take(picture, &session->init, &params->codecPicParams)) {
        nvenc_bytes_free(&picture->sei);
        free(picture);
        return NV_ENC_ERR_OUT_OF_MEMORY;
    }
    pthread_mutex_lock(&standin_mutex);
    const struct nvenc_resource *input = nvenc_mapping_find_locked(session, params->inputBuffer);
    struct nvenc_buffer *buffer = nvenc_buffer_find_locked(session, params->outputBitstream);
    const char *fault = picture_fault_locked(session, params, input, buffer);
    if (!fault)
        picture_fill_locked(session, picture, params, input, buffer);
    pthread_mutex_unlock(&standin_mutex);
    if (fault) {
        nvenc_bytes_free(&picture->sei);
        free(picture);
        return nvenc_fault(session, NV_ENC_ERR_INVALID_PARAM, name, fault);
    }
    standin_work(session->object.context);
    push_arrival(session, picture);
    return submitted(session, release(session, false));
}

/* The end of the stream: all that is pending is encoded when this gives success. */
static NVENCSTATUS flush(struct nvenc_session *session)
{
    release(session, true);
    pthread_mutex_lock(&standin_mutex);
    for (struct nvenc_picture *p = session->pictures; p; p = p->next)
        p->flushed = p->carried->flushed = true;
    session->may_lock = session->submitted;
    session->begins = true;
    session->has_timestamp = false;
    const CUresult result = standin_stream_wait_locked(session->worker, session->worker->submitted);
    pthread_mutex_unlock(&standin_mutex);
    return result == CUDA_SUCCESS ? NV_ENC_SUCCESS : NV_ENC_ERR_DEVICE_NOT_EXIST;
}

static NVENCSTATUS encode_picture(struct nvenc_session *session, const char *name,
                                  const NV_ENC_PIC_PARAMS *params)
{
    if (!nvenc_version(session, name, params->version, NV_ENC_PIC_PARAMS_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    if (!session->initialized)
        return nvenc_fault(session, NV_ENC_ERR_ENCODER_NOT_INITIALIZED, name,
                           "before NvEncInitializeEncoder");
    if (params->encodePicFlags & NV_ENC_PIC_FLAG_EOS)
        return flush(session);
    return submit(session, name, params);
}

NVENCSTATUS nvEncEncodePicture(void *encoder, NV_ENC_PIC_PARAMS *params)
{
    NVENCSTATUS status;
    if (!nvenc_begin(__func__, encoder, SIDE_SUBMIT, false, &status))
        return status;
    status = encode_picture(encoder, __func__, params);
    nvenc_end(encoder, SIDE_SUBMIT);
    return status;
}

/* ---- bitstreams ----------------------------------------------------------------------------- */

static struct nvenc_picture *first_untaken(const struct nvenc_session *session)
{
    struct nvenc_picture *p = session->pictures;
    while (p && p->taken)
        p = p->next;
    return p;
}

static const char *lock_fault_locked(const struct nvenc_session *session,
                                     const struct nvenc_buffer *buffer)
{
    const struct nvenc_picture *slot = first_untaken(session);
    if (!buffer)
        return "not a bitstream buffer";
    if (buffer->locked)
        return "a bitstream buffer that is locked already";
    if (!buffer->queued || !slot)
        return "a bitstream buffer without a picture";
    if (slot->buffer != buffer)
        return "not in the order of submission";
    if (slot->number >= session->may_lock)
        return "after NV_ENC_ERR_NEED_MORE_INPUT, before NV_ENC_SUCCESS";
    return NULL;
}

static bool is_done(const struct nvenc_picture *slot)
{
    return slot->carried && slot->carried->done;
}

static NVENCSTATUS wait_locked(const struct nvenc_session *session,
                               const struct nvenc_picture *slot, bool waits)
{
    NVENCSTATUS status = nvenc_death_locked(session);
    if (status == NV_ENC_SUCCESS && !is_done(slot) && !waits)
        return NV_ENC_ERR_LOCK_BUSY;
    while (status == NV_ENC_SUCCESS && !is_done(slot)) {
        pthread_cond_wait(&standin_changed, &standin_mutex);
        status = nvenc_death_locked(session);
    }
    if (status == NV_ENC_SUCCESS && slot->carried->failed)
        status = NV_ENC_ERR_GENERIC;
    return status;
}

static void describe(const struct nvenc_picture *picture, const struct standin_block *block,
                     NV_ENC_LOCK_BITSTREAM *ret)
{
    memcpy(block->base, picture->packet.data, picture->packet.size);
    ret->bitstreamBufferPtr = block->base;
    ret->bitstreamSizeInBytes = (uint32_t)picture->packet.size;
    ret->outputTimeStamp = picture->timestamp;
    ret->outputDuration = picture->duration;
    ret->frameIdx = picture->frame_index;
    ret->pictureType = picture->type;
    ret->pictureStruct = picture->structure;
    ret->frameAvgQP = picture->qp;
    ret->numSlices = 0;
    ret->temporalId = 0;
    ret->ltrFrame = 0;
}

/* The slot's packet in a block of its own. */
static NVENCSTATUS give(const struct nvenc_picture *slot, struct nvenc_buffer *buffer,
                        NV_ENC_LOCK_BITSTREAM *params)
{
    buffer->block = standin_block_new(MEMORY_PINNED, slot->carried->packet.size);
    if (!buffer->block)
        return NV_ENC_ERR_OUT_OF_MEMORY;
    describe(slot->carried, buffer->block, params);
    return NV_ENC_SUCCESS;
}

static NVENCSTATUS lock_bitstream(struct nvenc_session *session, const char *name,
                                  NV_ENC_LOCK_BITSTREAM *params)
{
    if (!nvenc_version(session, name, params->version, NV_ENC_LOCK_BITSTREAM_VER))
        return NV_ENC_ERR_INVALID_VERSION;
    pthread_mutex_lock(&standin_mutex);
    struct nvenc_buffer *buffer = nvenc_buffer_find_locked(session, params->outputBitstream);
    const char *fault = lock_fault_locked(session, buffer);
    if (fault) {
        pthread_mutex_unlock(&standin_mutex);
        return nvenc_fault(session, NV_ENC_ERR_INVALID_CALL, name, fault);
    }
    struct nvenc_picture *slot = picture_ref_locked(first_untaken(session));
    NVENCSTATUS status = wait_locked(session, slot, !params->doNotWait);
    if (status == NV_ENC_SUCCESS)
        slot->taken = slot->carried->locked = buffer->locked = true;
    pthread_mutex_unlock(&standin_mutex);
    if (status == NV_ENC_SUCCESS)
        status = give(slot, buffer, params);
    unref_done(slot);
    return status;
}

NVENCSTATUS nvEncLockBitstream(void *encoder, NV_ENC_LOCK_BITSTREAM *params)
{
    NVENCSTATUS status;
    if (!nvenc_begin(__func__, encoder, SIDE_LOCK, false, &status))
        return status;
    status = lock_bitstream(encoder, __func__, params);
    nvenc_end(encoder, SIDE_LOCK);
    return status;
}

/* The bitstream's addresses are gone: whoever reads on faults. */
NVENCSTATUS nvEncUnlockBitstream(void *encoder, NV_ENC_OUTPUT_PTR handle)
{
    NVENCSTATUS status;
    struct nvenc_session *session = encoder;
    if (!nvenc_begin(__func__, encoder, SIDE_LOCK, true, &status))
        return status;
    pthread_mutex_lock(&standin_mutex);
    struct nvenc_buffer *buffer = nvenc_buffer_find_locked(session, handle);
    struct standin_block *block = NULL;
    const bool locked = buffer && buffer->locked;
    if (locked) {
        block = buffer->block;
        buffer->block = NULL;
        buffer->locked = buffer->queued = false;
        struct nvenc_picture **at = &session->pictures;
        while ((*at)->buffer != buffer)
            at = &(*at)->next;
        nvenc_picture_leave_locked(at);
    }
    pthread_mutex_unlock(&standin_mutex);
    if (block)
        standin_block_free(block, __func__);
    nvenc_end(encoder, SIDE_LOCK);
    if (!locked)
        return nvenc_fault(session, NV_ENC_ERR_INVALID_CALL, __func__,
                           "a bitstream buffer that is not locked");
    return status;
}
