#include "codec/nv/nvenc_session.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/thread.h"
#include "codec/nv/nvenc_inputs.h"
#include "gpu/idle.h"
#include "gpu/stream.h"

#define BUSY_RETRY_NS 1000000 /* as the API says: "a few milliseconds" */
#define BUSY_RETRIES 10000
#define HEADERS_MAX 1024 /* bytes of parameter sets */
#define KEPT_MAX 4       /* on a device: half of what GeForce's driver allows to all programs */
/* From job to job, and no longer: other programs may wait for a session. */
#define KEEP_NS INT64_C(10000000000)

/* A place in the ring. Output buffers are used in turn; the frame that has the place's number is
 * another than the one whose packet comes out there, where NVENC reorders. */
struct slot {
    NV_ENC_OUTPUT_PTR bitstream;
    struct packet packet;     /* brought out here */
    struct nvenc_input input; /* of the frame with this number, as what follows */
    int64_t pts, duration;
    bool inside; /* its packet was not brought out yet */
};

struct nvenc_session {
    const struct gpu_encode *api;
    struct gpu_device *device; /* borrowed: of the user's, or of the device that keeps it */
    struct encoder_params params;
    struct nvenc_caps caps;
    struct nvenc_setup setup;
    int width_opened, height_opened; /* what it was opened for */
    void *handle;
    CUstream stream;
    struct nvenc_inputs inputs;
    struct slot *slots;
    uint64_t slots_count;
    int64_t bitstreams_area; /* pixels of the pictures that the slots' bitstreams were made for */
    uint64_t latest_key;     /* number of the frame */
    uint64_t unreaped;       /* lowest number of a frame that may be mapped */
    bool finished;           /* told that there are no more frames */
    bool broken;             /* not to be used again */

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t work, came;
    /* Protected by `lock`. Frames and packets since the session was opened. */
    uint64_t submitted, lockable, locked, taken;
    struct error failed; /* of the thread; code 0: none */
    bool stop;
};

static const NV_ENCODE_API_FUNCTION_LIST *api_of(const struct nvenc_session *s)
{
    return &s->api->functions;
}

static struct slot *slot_at(const struct nvenc_session *s, uint64_t number)
{
    return &s->slots[number % s->slots_count];
}

/* ---- the thread that waits for packets ------------------------------------------------------- */

static int copy_packet(const NV_ENC_LOCK_BITSTREAM *locked, struct packet *ret, struct error *err)
{
    struct buffer *buf = buffer_copy(locked->bitstreamBufferPtr, locked->bitstreamSizeInBytes);
    if (!buf)
        return error_memory(err, "a packet");
    *ret = (struct packet){.buf = buf,
                           .data = buf->data,
                           .size = buf->size,
                           .pts = PTS_NONE,
                           .dts = PTS_NONE,
                           .flags = locked->pictureType == NV_ENC_PIC_TYPE_IDR ? PACKET_KEY : 0};
    return 0;
}

static int bring_out(struct nvenc_session *s, struct slot *slot, uint64_t *ret_number,
                     struct error *err)
{
    NV_ENC_LOCK_BITSTREAM locked = {.version = NV_ENC_LOCK_BITSTREAM_VER,
                                    .outputBitstream = slot->bitstream};
    int rc = gpu_enter(s->device, err);
    if (rc != 0)
        return rc;
    NVENCSTATUS status = api_of(s)->nvEncLockBitstream(s->handle, &locked);
    if (status == NV_ENC_SUCCESS) {
        rc = copy_packet(&locked, &slot->packet, err);
        *ret_number = locked.outputTimeStamp;
        status = api_of(s)->nvEncUnlockBitstream(s->handle, slot->bitstream);
    }
    if (status != NV_ENC_SUCCESS)
        rc = gpu_encode_error(err, status, "encoding a picture", s->handle);
    gpu_leave(s->device);
    return rc;
}

/* The frame with this number is inside no more. False: there is none such. */
static bool frame_is_out(struct nvenc_session *s, uint64_t number, struct packet *pkt)
{
    struct slot *slot = slot_at(s, number);
    if (number >= s->submitted || !slot->inside)
        return false;
    pkt->pts = slot->pts;
    pkt->duration = slot->duration;
    slot->inside = false;
    return true;
}

static void *output_main(void *arg)
{
    struct nvenc_session *s = arg;
    pthread_mutex_lock(&s->lock);
    for (;;) {
        while (!s->stop && (s->locked == s->lockable || s->failed.code))
            pthread_cond_wait(&s->work, &s->lock);
        if (s->stop)
            break;
        struct slot *slot = slot_at(s, s->locked);
        struct error err = {0};
        uint64_t number = 0;
        pthread_mutex_unlock(&s->lock);
        int rc = bring_out(s, slot, &number, &err);
        pthread_mutex_lock(&s->lock);
        if (rc == 0 && !frame_is_out(s, number, &slot->packet))
            rc = error_set(&err, RGPU_ERROR_DEVICE, "NVENC gave a packet for no frame");
        if (rc == 0)
            s->locked++;
        else
            s->failed = err;
        pthread_cond_signal(&s->came);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- opening and closing --------------------------------------------------------------------- */

static void stop_thread(struct nvenc_session *s)
{
    if (!s->has_thread)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
}

static void drop_bitstreams(struct nvenc_session *s)
{
    for (uint64_t i = 0; i < s->slots_count; i++) {
        if (s->slots[i].bitstream)
            api_of(s)->nvEncDestroyBitstreamBuffer(s->handle, s->slots[i].bitstream);
        s->slots[i].bitstream = NULL;
    }
}

/* Takes half-made ones. `inside`: within the context; else the driver has its part back already. */
static void destroy(void *object, bool inside)
{
    struct nvenc_session *s = object;
    stop_thread(s);
    for (uint64_t i = 0; i < s->slots_count; i++) {
        packet_done(&s->slots[i].packet);
        if (inside)
            nvenc_input_unmap(&s->inputs, &s->slots[i].input, false);
        else
            nvenc_input_drop(&s->slots[i].input);
    }
    nvenc_inputs_clear(&s->inputs, inside);
    if (inside) {
        drop_bitstreams(s);
        if (s->handle)
            api_of(s)->nvEncDestroyEncoder(s->handle);
        gpu_stream_free(s->device, &s->stream);
    }
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->work);
    pthread_cond_destroy(&s->came);
    free(s->slots);
    free(s);
}

static const struct gpu_idle_kind kept = {"NVENC sessions", KEPT_MAX, destroy, KEEP_NS};

static bool same_color(const struct color *a, const struct color *b)
{
    return a->primaries == b->primaries && a->transfer == b->transfer && a->matrix == b->matrix &&
           a->range == b->range && a->chroma == b->chroma;
}

/* In all that a session cannot change once it is open. It can change size, frame rate, aspect and
 * bit rate. */
static bool same_coding(const struct encoder_params *a, const struct encoder_params *b)
{
    return !strcmp(a->codec, b->codec) && !strcmp(a->profile, b->profile) &&
           a->format == b->format && same_color(&a->color, &b->color) &&
           a->field_order == b->field_order && a->rate == b->rate && a->quality == b->quality &&
           a->speed == b->speed && a->bframes == b->bframes && a->low_latency == b->low_latency &&
           a->intra_refresh_frames == b->intra_refresh_frames &&
           (a->timecode_step > 0) == (b->timecode_step > 0);
}

/* By how much a session was opened for larger pictures than what is wanted: the next who wants such
 * is to find it. -1: it cannot do what is wanted. */
static int64_t surplus(const void *object, const void *wanted)
{
    const struct nvenc_session *s = object;
    const struct encoder_params *p = wanted;
    const int64_t width = s->setup.init.maxEncodeWidth, height = s->setup.init.maxEncodeHeight;
    const bool same_size = p->width == s->params.width && p->height == s->params.height;
    /* Where others make the rest of the stream the headers must be equal, and nobody says that they
     * do not depend on what a session was opened for. */
    if (p->joined && (p->width != s->width_opened || p->height != s->height_opened))
        return -1;
    if (!same_coding(p, &s->params) || p->width > width || p->height > height ||
        (!same_size && !s->caps.dynamic_size))
        return -1;
    return width * height - (int64_t)p->width * p->height;
}

static int open_handle(const struct gpu_encode *api, struct gpu_device *device, void **ret,
                       struct error *err)
{
    NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS call = {.version =
                                                     NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS_VER,
                                                 .deviceType = NV_ENC_DEVICE_TYPE_CUDA,
                                                 .device = gpu_device_context(device),
                                                 .apiVersion = NVENCAPI_VERSION};
    for (;;) {
        void *handle = NULL;
        const NVENCSTATUS status = api->functions.nvEncOpenEncodeSessionEx(&call, &handle);
        if (status == NV_ENC_SUCCESS) {
            *ret = handle;
            return 0;
        }
        /* The API wants what a failed open left to be destroyed. */
        if (handle)
            api->functions.nvEncDestroyEncoder(handle);
        char what[32];
        snprintf(what, sizeof(what), "NVENC on cuda:%d", gpu_device_info(device)->index);
        const int rc = gpu_encode_error(err, status, what, NULL);
        if ((rc != RGPU_ERROR_LIMIT && rc != RGPU_ERROR_MEMORY) || !gpu_idle_evict(device, &kept))
            return rc;
    }
}

static int make_bitstreams(struct nvenc_session *s, struct error *err)
{
    s->bitstreams_area = (int64_t)s->params.width * s->params.height;
    for (uint64_t i = 0; i < s->slots_count; i++) {
        NV_ENC_CREATE_BITSTREAM_BUFFER call = {.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER};
        const NVENCSTATUS status = api_of(s)->nvEncCreateBitstreamBuffer(s->handle, &call);
        if (status != NV_ENC_SUCCESS)
            return gpu_encode_error(err, status, "a bitstream buffer of NVENC", s->handle);
        s->slots[i].bitstream = call.bitstreamBuffer;
    }
    return 0;
}

static int make_slots(struct nvenc_session *s, struct error *err)
{
    s->slots_count =
        (uint64_t)s->setup.delay_frames + (uint64_t)s->setup.reorder_frames + NVENC_SLOTS_SPARE;
    s->slots = calloc(s->slots_count, sizeof(*s->slots));
    if (!s->slots) {
        s->slots_count = 0;
        return error_memory(err, "an NVENC session");
    }
    return make_bitstreams(s, err);
}

static int make(struct nvenc_session *s, struct error *err)
{
    int rc = open_handle(s->api, s->device, &s->handle, err);
    if (rc == 0)
        rc = nvenc_setup(&s->setup, &s->params, &s->caps, s->api, s->handle, err);
    if (rc != 0)
        return rc;
    NVENCSTATUS status = api_of(s)->nvEncInitializeEncoder(s->handle, &s->setup.init);
    if (status != NV_ENC_SUCCESS)
        return gpu_encode_error(err, status, "setting up NVENC", s->handle);
    rc = gpu_stream_new(s->device, &s->stream, err);
    if (rc != 0)
        return rc;
    status = api_of(s)->nvEncSetIOCudaStreams(s->handle, (NV_ENC_CUSTREAM_PTR)&s->stream,
                                              (NV_ENC_CUSTREAM_PTR)&s->stream);
    if (status != NV_ENC_SUCCESS)
        return gpu_encode_error(err, status, "giving NVENC a stream", s->handle);
    s->inputs = (struct nvenc_inputs){.api = s->api,
                                      .device = s->device,
                                      .session = s->handle,
                                      .stream = s->stream,
                                      .width = s->params.width,
                                      .height = s->params.height,
                                      .format = s->setup.format};
    rc = make_slots(s, err);
    if (rc != 0)
        return rc;
    if (thread_start(&s->thread, output_main, s) != 0)
        return error_set(err, RGPU_ERROR_MEMORY, "no thread for an NVENC session");
    s->has_thread = true;
    return 0;
}

/* `reset`: what came before is of no matter to the rate control, and a key frame follows. */
static int reconfigure(struct nvenc_session *s, const struct encoder_params *params, bool reset,
                       struct error *err)
{
    struct nvenc_setup setup;
    int rc = nvenc_setup(&setup, params, &s->caps, s->api, s->handle, err);
    if (rc != 0)
        return rc;
    setup.init.maxEncodeWidth = s->setup.init.maxEncodeWidth;
    setup.init.maxEncodeHeight = s->setup.init.maxEncodeHeight;
    NV_ENC_RECONFIGURE_PARAMS call = {.version = NV_ENC_RECONFIGURE_PARAMS_VER,
                                      .reInitEncodeParams = setup.init,
                                      .resetEncoder = reset,
                                      .forceIDR = reset};
    const NVENCSTATUS status = api_of(s)->nvEncReconfigureEncoder(s->handle, &call);
    if (status != NV_ENC_SUCCESS)
        return gpu_encode_error(err, status, "setting up NVENC anew", s->handle);
    s->params = *params;
    s->setup = setup;
    s->setup.init.encodeConfig = &s->setup.config;
    return 0;
}

/* Another stream on a session that nothing of the last one is inside of. How large the driver makes
 * bitstreams is not told: they are made anew for larger pictures. */
static int begin_anew(struct nvenc_session *s, const struct encoder_params *params,
                      struct error *err)
{
    const int rc = reconfigure(s, params, true, err);
    s->inputs.width = params->width;
    s->inputs.height = params->height;
    if (rc != 0 || (int64_t)params->width * params->height <= s->bitstreams_area)
        return rc;
    drop_bitstreams(s);
    return make_bitstreams(s, err);
}

/* A kept session that does what is asked for, or NULL. Always reset, also for the same rates: what
 * its rate control knows is of another stream. */
static struct nvenc_session *take_kept(struct gpu_device *device,
                                       const struct encoder_params *params)
{
    struct nvenc_session *s = gpu_idle_take_best(device, &kept, surplus, params);
    if (s && begin_anew(s, params, NULL) != 0) {
        destroy(s, true);
        return NULL;
    }
    return s;
}

static int open_new(struct nvenc_session **ret, struct gpu_device *device,
                    const struct encoder_params *params, const struct nvenc_caps *caps,
                    struct error *err)
{
    const struct gpu_encode *api = NULL;
    int rc = gpu_encode(&api, err);
    if (rc != 0)
        return rc;
    struct nvenc_session *s = calloc(1, sizeof(*s));
    if (!s)
        return error_memory(err, "an NVENC session");
    s->api = api;
    s->device = device;
    s->params = *params;
    s->caps = *caps;
    s->width_opened = params->width;
    s->height_opened = params->height;
    pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->work);
    clock_cond_init(&s->came);
    rc = make(s, err);
    if (rc == 0)
        *ret = s;
    else
        destroy(s, true);
    return rc;
}

int nvenc_session_open(struct nvenc_session **ret, struct gpu_device *device,
                       const struct encoder_params *params, const struct nvenc_caps *caps,
                       struct error *err)
{
    int rc = gpu_enter(device, err);
    if (rc != 0)
        return rc;
    *ret = take_kept(device, params);
    if (!*ret) {
        do {
            rc = open_new(ret, device, params, caps, err);
        } while (rc == RGPU_ERROR_MEMORY && gpu_idle_evict(device, NULL));
    }
    gpu_leave(device);
    return rc;
}

/* Gives back the frames whose packets are out. */
static void reap(struct nvenc_session *s)
{
    for (;; s->unreaped++) {
        pthread_mutex_lock(&s->lock);
        const bool over = s->unreaped == s->submitted || slot_at(s, s->unreaped)->inside;
        pthread_mutex_unlock(&s->lock);
        if (over)
            return;
        nvenc_input_unmap(&s->inputs, &slot_at(s, s->unreaped)->input, true);
    }
}

static NVENCSTATUS encode(struct nvenc_session *s, NV_ENC_PIC_PARAMS *pic)
{
    for (int i = 0;; i++) {
        const NVENCSTATUS status = api_of(s)->nvEncEncodePicture(s->handle, pic);
        if (status != NV_ENC_ERR_ENCODER_BUSY || i == BUSY_RETRIES)
            return status;
        nanosleep(&(struct timespec){.tv_nsec = BUSY_RETRY_NS}, NULL);
    }
}

/* Tells NVENC that nothing follows: it gives what it holds back. */
static bool send_end(struct nvenc_session *s)
{
    NV_ENC_PIC_PARAMS end = {.version = NV_ENC_PIC_PARAMS_VER,
                             .encodePicFlags = NV_ENC_PIC_FLAG_EOS};
    s->finished = true;
    if (s->submitted == 0)
        return true;
    if (encode(s, &end) != NV_ENC_SUCCESS) {
        s->broken = true;
        return false;
    }
    pthread_mutex_lock(&s->lock);
    s->lockable = s->submitted;
    pthread_cond_signal(&s->work);
    pthread_mutex_unlock(&s->lock);
    return true;
}

/* Brings everything out, so that nothing of it is in use. False: it is not for the next user. */
static bool empty(struct nvenc_session *s)
{
    bool whole = !s->broken;
    /* Also where it failed before: what NVENC holds may not be freed. */
    if (!s->finished || s->lockable < s->submitted)
        whole = send_end(s) && whole;
    pthread_mutex_lock(&s->lock);
    while (!s->failed.code && s->locked < s->lockable)
        pthread_cond_wait(&s->came, &s->lock);
    whole = whole && !s->failed.code;
    for (; s->taken < s->locked; s->taken++)
        packet_done(&slot_at(s, s->taken)->packet);
    pthread_mutex_unlock(&s->lock);
    reap(s);
    s->finished = false;
    if (whole)
        nvenc_inputs_clear(&s->inputs, true);
    return whole;
}

void nvenc_session_close(struct nvenc_session **session)
{
    struct nvenc_session *s = *session;
    *session = NULL;
    if (!s)
        return;
    struct gpu_device *device = s->device;
    const bool inside = gpu_enter(device, NULL) == 0;
    if (inside && empty(s))
        gpu_idle_put(device, &kept, "", 0, s);
    else
        destroy(s, inside);
    if (inside)
        gpu_leave(device);
}

int nvenc_session_reorder(const struct nvenc_session *s)
{
    return s->setup.reorder_frames;
}

int nvenc_session_headers(struct nvenc_session *s, struct buffer **ret, struct error *err)
{
    uint8_t bytes[HEADERS_MAX];
    uint32_t size = 0;
    NV_ENC_SEQUENCE_PARAM_PAYLOAD call = {.version = NV_ENC_SEQUENCE_PARAM_PAYLOAD_VER,
                                          .inBufferSize = sizeof(bytes),
                                          .spsppsBuffer = bytes,
                                          .outSPSPPSPayloadSize = &size};
    int rc = gpu_enter(s->device, err);
    if (rc != 0)
        return rc;
    const NVENCSTATUS status = api_of(s)->nvEncGetSequenceParams(s->handle, &call);
    if (status != NV_ENC_SUCCESS)
        rc = gpu_encode_error(err, status, "the parameter sets of NVENC", s->handle);
    gpu_leave(s->device);
    if (rc != 0)
        return rc;
    *ret = buffer_copy(bytes, size);
    return *ret ? 0 : error_memory(err, "parameter sets");
}

/* ---- frames in ------------------------------------------------------------------------------- */

/* Whether the next frame's place in the ring is not free yet. */
static bool full(struct nvenc_session *s)
{
    const uint64_t oldest = s->unreaped < s->taken ? s->unreaped : s->taken;
    return s->submitted - oldest >= s->slots_count;
}

static int broken(const struct nvenc_session *s, struct error *err)
{
    return s->failed.code
               ? error_set(err, s->failed.code, "%s", s->failed.text)
               : error_set(err, RGPU_ERROR_DEVICE, "this NVENC session has failed before");
}

static void set_sei(const struct nvenc_session *s, struct nvenc_sei *sei, NV_ENC_PIC_PARAMS *pic)
{
    if (!strcmp(s->params.codec, "h264")) {
        pic->codecPicParams.h264PicParams.seiPayloadArrayCnt = (uint32_t)sei->count;
        pic->codecPicParams.h264PicParams.seiPayloadArray = sei->payloads;
    } else if (!strcmp(s->params.codec, "hevc")) {
        pic->codecPicParams.hevcPicParams.seiPayloadArrayCnt = (uint32_t)sei->count;
        pic->codecPicParams.hevcPicParams.seiPayloadArray = sei->payloads;
    }
}

static NV_ENC_PIC_STRUCT fields_of(const struct nvenc_session *s, const struct frame *frame)
{
    if (s->params.field_order != FIELD_TOP_FIRST && s->params.field_order != FIELD_BOTTOM_FIRST)
        return NV_ENC_PIC_STRUCT_FRAME;
    const bool top = frame->flags & FRAME_INTERLACED ? frame->flags & FRAME_TOP_FIRST
                                                     : s->params.field_order == FIELD_TOP_FIRST;
    return top ? NV_ENC_PIC_STRUCT_FIELD_TOP_BOTTOM : NV_ENC_PIC_STRUCT_FIELD_BOTTOM_TOP;
}

/* With the lock held, after a success: the packets that are due. NVENC has begun all pictures but
 * those that it looks ahead at. */
static void allow_packets(struct nvenc_session *s)
{
    const uint64_t ahead = s->setup.config.rcParams.lookaheadDepth;
    if (s->submitted > s->lockable + ahead)
        s->lockable = s->submitted - ahead;
    pthread_cond_signal(&s->work);
}

/* Parameter sets are for who joins: at a key frame, or where an intra refresh begins. */
static uint32_t flags_of(struct nvenc_session *s, bool key)
{
    const uint64_t period = (uint64_t)s->params.intra_refresh_frames;
    if (key) {
        s->latest_key = s->submitted;
        return NV_ENC_PIC_FLAG_FORCEIDR | NV_ENC_PIC_FLAG_OUTPUT_SPSPPS;
    }
    const bool begins = period > 0 && (s->submitted - s->latest_key) % period == 0;
    return begins ? NV_ENC_PIC_FLAG_OUTPUT_SPSPPS : 0;
}

static int submit(struct nvenc_session *s, struct frame *frame, bool key, struct nvenc_sei *sei,
                  struct error *err)
{
    struct slot *slot = slot_at(s, s->submitted);
    int rc = nvenc_input_map(&s->inputs, frame, &slot->input, err);
    if (rc != 0)
        return rc;
    NV_ENC_PIC_PARAMS pic = {.version = NV_ENC_PIC_PARAMS_VER,
                             .inputWidth = (uint32_t)s->params.width,
                             .inputHeight = (uint32_t)s->params.height,
                             .inputPitch = slot->input.registration->pitch,
                             .encodePicFlags = flags_of(s, key),
                             .frameIdx = (uint32_t)s->submitted,
                             .inputTimeStamp = s->submitted,
                             .inputDuration = 1,
                             .inputBuffer = slot->input.mapped,
                             .outputBitstream = slot->bitstream,
                             .bufferFmt = s->setup.format,
                             .pictureStruct = fields_of(s, frame)};
    set_sei(s, sei, &pic);
    const NVENCSTATUS status = encode(s, &pic);
    if (status != NV_ENC_SUCCESS && status != NV_ENC_ERR_NEED_MORE_INPUT) {
        s->broken = true;
        rc = gpu_encode_error(err, status, "encoding a picture", s->handle);
        nvenc_input_unmap(&s->inputs, &slot->input, false);
        return rc;
    }
    pthread_mutex_lock(&s->lock);
    slot->pts = frame->pts;
    slot->duration = frame->duration;
    slot->inside = true;
    s->submitted++;
    if (status == NV_ENC_SUCCESS)
        allow_packets(s);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

int nvenc_session_submit(struct nvenc_session *s, struct frame *frame, bool key,
                         struct nvenc_sei *sei, struct error *err)
{
    int rc = gpu_enter(s->device, err);
    if (rc != 0)
        return rc;
    reap(s);
    pthread_mutex_lock(&s->lock);
    if (s->failed.code || s->broken)
        rc = broken(s, err);
    else if (full(s))
        rc = RGPU_ERROR_AGAIN;
    pthread_mutex_unlock(&s->lock);
    if (rc == 0)
        rc = submit(s, frame, key, sei, err);
    gpu_leave(s->device);
    return rc;
}

int nvenc_session_finish(struct nvenc_session *s, struct error *err)
{
    if (s->finished)
        return 0;
    int rc = gpu_enter(s->device, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&s->lock);
    if (s->failed.code || s->broken)
        rc = broken(s, err);
    pthread_mutex_unlock(&s->lock);
    if (rc == 0 && !send_end(s))
        rc = error_set(err, RGPU_ERROR_DEVICE, "NVENC does not give what it holds back");
    gpu_leave(s->device);
    return rc;
}

static bool same_rates(const struct encoder_params *a, const struct encoder_params *b)
{
    return a->bit_rate_bps == b->bit_rate_bps && a->bit_rate_max_bps == b->bit_rate_max_bps &&
           a->vbv_bits == b->vbv_bits;
}

int nvenc_session_rate(struct nvenc_session *s, int64_t bit_rate_bps, int64_t bit_rate_max_bps,
                       int64_t vbv_bits, struct error *err)
{
    struct encoder_params params = s->params;
    params.bit_rate_bps = bit_rate_bps;
    params.bit_rate_max_bps = bit_rate_max_bps;
    params.vbv_bits = vbv_bits;
    int rc = nvenc_check(&params, &s->caps, err);
    if (rc != 0 || same_rates(&params, &s->params))
        return rc;
    if (!s->caps.dynamic_bit_rate)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "this GPU's NVENC cannot change the bit rate of a running encode");
    rc = gpu_enter(s->device, err);
    if (rc != 0)
        return rc;
    rc = reconfigure(s, &params, false, err);
    gpu_leave(s->device);
    return rc;
}

/* ---- packets out ----------------------------------------------------------------------------- */

/* With the lock held: waits for a packet where there is nothing better to do. */
static int wait_packet(struct nvenc_session *s, struct error *err)
{
    while (s->taken == s->locked) {
        if (s->failed.code || s->broken)
            return broken(s, err);
        if (s->finished && s->taken == s->submitted)
            return RGPU_ERROR_END;
        const bool pending = s->locked < s->lockable;
        if (!s->finished && !full(s) && !(s->params.low_latency && pending))
            return RGPU_ERROR_AGAIN;
        if (!pending)
            return error_set(err, RGPU_ERROR_DEVICE,
                             "NVENC holds back more than the %d frames that it should",
                             s->setup.delay_frames);
        pthread_cond_wait(&s->came, &s->lock);
    }
    return 0;
}

int nvenc_session_take(struct nvenc_session *s, struct packet *ret, struct error *err)
{
    int rc = gpu_enter(s->device, err);
    if (rc != 0)
        return rc;
    reap(s);
    gpu_leave(s->device);
    pthread_mutex_lock(&s->lock);
    rc = wait_packet(s, err);
    if (rc == 0)
        *ret = packet_move(&slot_at(s, s->taken++)->packet);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* ---- what the device has --------------------------------------------------------------------- */

static int ask(struct gpu_device *device, const char *const *codecs, int count,
               struct nvenc_caps *ret, bool *ret_encodes, struct error *err)
{
    const struct gpu_encode *api = NULL;
    void *handle = NULL;
    if (gpu_encode(&api, err) != 0)
        return error_mark(err, RGPU_ERROR_UNSUPPORTED);
    int rc = open_handle(api, device, &handle, err);
    if (rc != 0)
        return rc;
    for (int i = 0; rc == 0 && i < count; i++) {
        rc = nvenc_caps(&ret[i], api, handle, codecs[i], err);
        ret_encodes[i] = rc == 0;
        if (rc == RGPU_ERROR_UNSUPPORTED)
            rc = 0;
    }
    api->functions.nvEncDestroyEncoder(handle);
    return rc;
}

int nvenc_session_probe(struct gpu_device *device, const char *const *codecs, int count,
                        struct nvenc_caps *ret, bool *ret_encodes, struct error *err)
{
    int rc = gpu_enter(device, err);
    if (rc != 0)
        return rc;
    rc = ask(device, codecs, count, ret, ret_encodes, err);
    gpu_leave(device);
    return rc;
}
