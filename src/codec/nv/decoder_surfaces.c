#include "codec/nv/decoder_surfaces.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "codec/nv/decoder.h"
#include "gpu/idle.h"
#include "gpu/stream.h"

#define KEPT_LARGER_MAX 4       /* times the pixels that a stream needs: more would be a waste */
#define RETURN_TIMEOUT_MS 10000 /* for a surface to come back; then something is stuck */

/* Results of the driver (CUresult) for a picture that it refuses, as ffnvcodec does not name them.
 */
#define REFUSED_VALUE 1           /* CUDA_ERROR_INVALID_VALUE */
#define REFUSED_IMAGE 200         /* CUDA_ERROR_INVALID_IMAGE */
#define REFUSED_SOURCE 300        /* CUDA_ERROR_INVALID_SOURCE */
#define REFUSED_NOT_SUPPORTED 801 /* CUDA_ERROR_NOT_SUPPORTED */

struct slot {
    struct frame frame;
    struct nv_surfaces *owner; /* a counted reference while `used` */
    unsigned long long address;
    CUevent ready;
    int number; /* of the picture, which is kept while `used` */
    bool used;  /* protected by the owner's `lock` */
};

struct nv_surfaces {
    struct gpu_device *device; /* owned reference; NULL: it is kept for another stream */
    const struct gpu_driver *driver;
    CUvideodecoder decoder;
    CUstream stream;
    struct nv_surfaces_params params;
    int pictures_made; /* for so many of the parser's; at least params.pictures_count */
    bool tells_status; /* the driver knows the status of pictures of this codec */
    struct slot slots[NV_SURFACES_OUT];
    pthread_mutex_t lock;
    pthread_cond_t returned;
    struct nv_pictures pictures; /* protected by `lock`, as all below */
    int used;                    /* slots */
    int refs;                    /* the owner's, and one a frame */
    bool failed;                 /* the driver did, so that no other stream is to have it */
};

/* ---- making and freeing ---------------------------------------------------------------------- */

static int even(int value)
{
    return (value + 1) & ~1;
}

/* The decoder's own pictures: as many more than the parser's as may be kept. */
static int pictures_all(int pictures_made)
{
    const int count = pictures_made + NV_SURFACES_OUT;
    return count < NV_PICTURES_MAX ? count : NV_PICTURES_MAX;
}

/* The driver scales where the target's size is another than the area's; both are the shown part,
 * made even. */
static CUVIDDECODECREATEINFO create_info(const struct nv_surfaces_params *p, int pictures_made)
{
    const int width = even(p->width), height = even(p->height);
    CUVIDDECODECREATEINFO info = {
        .ulWidth = (tcu_ulong)p->coded_width,
        .ulHeight = (tcu_ulong)p->coded_height,
        .ulNumDecodeSurfaces = (tcu_ulong)pictures_all(pictures_made),
        .CodecType = p->codec,
        .ChromaFormat = cudaVideoChromaFormat_420,
        .ulCreationFlags = cudaVideoCreate_PreferCUVID,
        .bitDepthMinus8 = (tcu_ulong)(p->depth - 8),
        .ulMaxWidth = (tcu_ulong)p->max_width,
        .ulMaxHeight = (tcu_ulong)p->max_height,
        .OutputFormat = p->depth > 8 ? cudaVideoSurfaceFormat_P016 : cudaVideoSurfaceFormat_NV12,
        .DeinterlaceMode = cudaVideoDeinterlaceMode_Weave,
        .ulTargetWidth = (tcu_ulong)width,
        .ulTargetHeight = (tcu_ulong)height,
        .ulNumOutputSurfaces = NV_SURFACES_OUT,
    };
    info.display_area.left = (short)p->left;
    info.display_area.top = (short)p->top;
    info.display_area.right = (short)(p->left + width);
    info.display_area.bottom = (short)(p->top + height);
    return info;
}

/* Without references; takes what is half made. `inside`: within the context; else the driver has
 * taken its part already. */
static void destroy(void *object, bool inside)
{
    struct nv_surfaces *s = object;
    const CudaFunctions *cuda = s->driver->cuda;
    for (int i = 0; inside && i < NV_SURFACES_OUT; i++) {
        if (s->slots[i].used)
            s->driver->cuvid->cuvidUnmapVideoFrame(s->decoder, s->slots[i].address);
        if (s->slots[i].ready)
            cuda->cuEventDestroy(s->slots[i].ready);
    }
    if (inside && s->stream) {
        cuda->cuStreamSynchronize(s->stream);
        cuda->cuStreamDestroy(s->stream);
    }
    if (inside && s->decoder)
        s->driver->cuvid->cuvidDestroyDecoder(s->decoder);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->returned);
    free(s);
}

static int make(struct nv_surfaces *s, struct error *err)
{
    int rc = gpu_stream_new(s->device, &s->stream, err);
    for (int i = 0; rc == 0 && i < NV_SURFACES_OUT; i++) {
        s->slots[i].owner = s;
        rc = gpu_event_new(s->device, &s->slots[i].ready, err);
    }
    if (rc != 0)
        return rc;
    CUVIDDECODECREATEINFO info = create_info(&s->params, s->pictures_made);
    CUresult result;
    do {
        result = s->driver->cuvid->cuvidCreateDecoder(&s->decoder, &info);
    } while (gpu_idle_made_room(s->device, result));
    return result == CUDA_SUCCESS ? 0 : gpu_error(err, result, "making a decoder");
}

/* Makes it one for other sizes and forgets the pictures that it has. */
static CUresult reconfigure(struct nv_surfaces *s, const struct nv_surfaces_params *params)
{
    struct nv_surfaces_params next = *params;
    next.max_width = s->params.max_width;
    next.max_height = s->params.max_height;
    const CUVIDDECODECREATEINFO info = create_info(&next, s->pictures_made);
    CUVIDRECONFIGUREDECODERINFO change = {
        .ulWidth = (unsigned)info.ulWidth,
        .ulHeight = (unsigned)info.ulHeight,
        .ulTargetWidth = (unsigned)info.ulTargetWidth,
        .ulTargetHeight = (unsigned)info.ulTargetHeight,
        .ulNumDecodeSurfaces = (unsigned)info.ulNumDecodeSurfaces,
    };
    change.display_area.left = info.display_area.left;
    change.display_area.top = info.display_area.top;
    change.display_area.right = info.display_area.right;
    change.display_area.bottom = info.display_area.bottom;
    const CUresult result = s->driver->cuvid->cuvidReconfigureDecoder(s->decoder, &change);
    if (result != CUDA_SUCCESS)
        return result;
    s->params = next;
    nv_pictures_init(&s->pictures, pictures_all(s->pictures_made));
    return CUDA_SUCCESS;
}

/* ---- keeping --------------------------------------------------------------------------------- */

/* What one is made for. */
struct key {
    int32_t codec, depth, max_width, max_height, pictures_count;
};

static const struct gpu_idle_kind kept_decoders = {"decoder", NV_KEPT_MAX, destroy};

static struct key key_of(const struct nv_surfaces_params *p, int pictures_made)
{
    return (struct key){(int32_t)p->codec, p->depth, p->max_width, p->max_height, pictures_made};
}

static bool fits(const void *object, const void *wanted)
{
    const struct nv_surfaces *s = object;
    const struct nv_surfaces_params *has = &s->params, *wants = wanted;
    return has->codec == wants->codec && has->depth == wants->depth &&
           has->max_width >= wants->max_width && has->max_height >= wants->max_height &&
           s->pictures_made >= wants->pictures_count &&
           (int64_t)has->max_width * has->max_height <=
               (int64_t)wants->max_width * wants->max_height * KEPT_LARGER_MAX;
}

/* Of both kinds of pictures, about. */
static int64_t memory_bytes(const struct nv_surfaces *s)
{
    const struct nv_surfaces_params *p = &s->params;
    const int64_t samples = (int64_t)p->max_width * p->max_height * 3 / 2;
    return samples * (p->depth > 8 ? 2 : 1) * (pictures_all(s->pictures_made) + NV_SURFACES_OUT);
}

/* Whether another stream can have it: nothing of this one is under way or out. */
static bool can_keep(const struct nv_surfaces *s, struct gpu_device *device)
{
    if (s->failed || s->used > 0 || !s->decoder ||
        memory_bytes(s) > gpu_device_info(device)->memory_bytes / NV_KEPT_PART ||
        gpu_enter(device, NULL) != 0)
        return false;
    /* Says too when the context is lost. */
    const CUresult result = s->driver->cuda->cuStreamSynchronize(s->stream);
    gpu_leave(device);
    return result == CUDA_SUCCESS;
}

/* Without references. */
static void retire(struct nv_surfaces *s)
{
    struct gpu_device *device = s->device;
    s->device = NULL;
    if (can_keep(s, device)) {
        const struct key key = key_of(&s->params, s->pictures_made);
        gpu_idle_put(device, &kept_decoders, &key, sizeof(key), s);
    } else {
        const bool inside = gpu_enter(device, NULL) == 0;
        destroy(s, inside);
        if (inside)
            gpu_leave(device);
    }
    gpu_close(&device);
}

/* NULL: none is kept that fits. Always reconfigured, also to what it was: its pictures and what the
 * driver knows of them are another stream's. */
static struct nv_surfaces *take_kept(struct gpu_device *device,
                                     const struct nv_surfaces_params *params)
{
    const struct key key = key_of(params, params->pictures_count);
    struct nv_surfaces *s = gpu_idle_take(device, &kept_decoders, &key, sizeof(key));
    if (!s)
        s = gpu_idle_take_fit(device, &kept_decoders, fits, params);
    if (!s)
        return NULL;
    s->device = gpu_ref(device);
    s->refs = 1;
    if (reconfigure(s, params) == CUDA_SUCCESS)
        return s;
    s->failed = true;
    retire(s);
    return NULL;
}

/* ---- references ------------------------------------------------------------------------------ */

int nv_surfaces_new(struct nv_surfaces **ret, struct gpu_device *device,
                    const struct nv_surfaces_params *params, struct error *err)
{
    struct nv_surfaces_params wanted = *params;
    if (wanted.max_width < params->coded_width)
        wanted.max_width = params->coded_width;
    if (wanted.max_height < params->coded_height)
        wanted.max_height = params->coded_height;
    struct nv_surfaces *s = take_kept(device, &wanted);
    if (s) {
        *ret = s;
        return 0;
    }
    s = calloc(1, sizeof(*s));
    if (!s)
        return error_memory(err, "a decoder");
    s->device = gpu_ref(device);
    s->driver = gpu_device_driver(device);
    s->params = wanted;
    s->pictures_made = params->pictures_count;
    s->refs = 1;
    s->tells_status = params->codec == cudaVideoCodec_H264 || params->codec == cudaVideoCodec_HEVC;
    nv_pictures_init(&s->pictures, pictures_all(s->pictures_made));
    pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->returned);
    const int rc = make(s, err);
    if (rc != 0) {
        s->failed = true;
        retire(s);
        return rc;
    }
    *ret = s;
    return 0;
}

struct nv_surfaces *nv_surfaces_ref(struct nv_surfaces *s)
{
    pthread_mutex_lock(&s->lock);
    s->refs++;
    pthread_mutex_unlock(&s->lock);
    return s;
}

/* Drops a reference. `slot`: comes back with it; NULL: none does. */
static void drop(struct nv_surfaces *s, struct slot *slot)
{
    pthread_mutex_lock(&s->lock);
    if (slot) {
        slot->used = false;
        s->used--;
        s->pictures.holds[slot->number]--;
        pthread_cond_signal(&s->returned);
    }
    const int refs = --s->refs;
    pthread_mutex_unlock(&s->lock);
    if (refs == 0)
        retire(s);
}

static void fail(struct nv_surfaces *s)
{
    pthread_mutex_lock(&s->lock);
    s->failed = true;
    pthread_mutex_unlock(&s->lock);
}

void nv_surfaces_unref(struct nv_surfaces **s)
{
    if (*s)
        drop(*s, NULL);
    *s = NULL;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

bool nv_surfaces_reshape(struct nv_surfaces *s, const struct nv_surfaces_params *params,
                         CUresult *ret_error)
{
    const struct nv_surfaces_params *p = &s->params;
    if (p->codec != params->codec || p->depth != params->depth ||
        params->pictures_count > p->pictures_count || params->coded_width > p->max_width ||
        params->coded_height > p->max_height)
        return false;
    /* Of the same coded size, the parser may show pictures of before yet: they would be lost. */
    if (p->coded_width == params->coded_width && p->coded_height == params->coded_height)
        return p->left == params->left && p->top == params->top && p->width == params->width &&
               p->height == params->height;
    pthread_mutex_lock(&s->lock);
    const int used = s->used;
    pthread_mutex_unlock(&s->lock);
    if (used > 0)
        return false;
    struct nv_surfaces_params next = *params;
    next.pictures_count = p->pictures_count;
    const CUresult result = reconfigure(s, &next);
    if (result != CUDA_SUCCESS) {
        fail(s);
        *ret_error = result;
        return false;
    }
    return true;
}

const struct nv_surfaces_params *nv_surfaces_shape(const struct nv_surfaces *s)
{
    return &s->params;
}

/* ---- pictures -------------------------------------------------------------------------------- */

bool nv_is_refusal(CUresult result)
{
    const int code = (int)result;
    return code == REFUSED_VALUE || code == REFUSED_IMAGE || code == REFUSED_SOURCE ||
           code == REFUSED_NOT_SUPPORTED;
}

/* The picture for the parser's `index`, a new one or, of a second field, the one begun; waits for
 * one to come back. -1: none did in time. */
static int begin_picture(struct nv_surfaces *s, int index, bool second_field)
{
    const struct timespec deadline = clock_deadline(RETURN_TIMEOUT_MS);
    int number = -1, rc = 0;
    pthread_mutex_lock(&s->lock);
    if (second_field)
        number = nv_pictures_find(&s->pictures, index);
    while (number < 0 && rc == 0) {
        number = nv_pictures_begin(&s->pictures, index);
        if (number < 0)
            rc = pthread_cond_timedwait(&s->returned, &s->lock, &deadline);
    }
    pthread_mutex_unlock(&s->lock);
    return number;
}

static int stuck(struct error *err)
{
    return error_set(err, RGPU_ERROR_LIMIT,
                     "all %d decoded pictures are in use and none came back within %d s",
                     NV_SURFACES_OUT, RETURN_TIMEOUT_MS / 1000);
}

int nv_surfaces_decode(struct nv_surfaces *s, const CUVIDPICPARAMS *picture, bool *ret_refused,
                       struct error *err)
{
    const bool second_field = picture->field_pic_flag && picture->second_field;
    if (picture->CurrPicIdx < 0 || picture->CurrPicIdx >= NV_PICTURES_MAX)
        return error_set(err, RGPU_ERROR_DEVICE, "the driver's parser has a picture %d",
                         picture->CurrPicIdx);
    if (begin_picture(s, picture->CurrPicIdx, second_field) < 0)
        return stuck(err);
    /* With film grain, what is shown is not what others refer to. */
    const CUVIDAV1PICPARAMS *av1 = &picture->CodecSpecific.av1;
    if (s->params.codec == cudaVideoCodec_AV1 && av1->apply_grain && av1->decodePicIdx >= 0 &&
        av1->decodePicIdx < NV_PICTURES_MAX && av1->decodePicIdx != picture->CurrPicIdx &&
        begin_picture(s, av1->decodePicIdx, false) < 0)
        return stuck(err);
    CUVIDPICPARAMS translated = *picture;
    pthread_mutex_lock(&s->lock);
    nv_pictures_translate(&s->pictures, s->params.codec, &translated);
    pthread_mutex_unlock(&s->lock);
    const CUresult result = s->driver->cuvid->cuvidDecodePicture(s->decoder, &translated);
    *ret_refused = nv_is_refusal(result);
    if (result == CUDA_SUCCESS || *ret_refused)
        return 0;
    fail(s);
    return gpu_error(err, result, "decoding a picture");
}

int nv_surfaces_keep(struct nv_surfaces *s, int index)
{
    pthread_mutex_lock(&s->lock);
    const int number = nv_pictures_find(&s->pictures, index);
    if (number >= 0)
        s->pictures.holds[number]++;
    pthread_mutex_unlock(&s->lock);
    return number;
}

void nv_surfaces_forget(struct nv_surfaces *s, int number)
{
    pthread_mutex_lock(&s->lock);
    s->pictures.holds[number]--;
    pthread_mutex_unlock(&s->lock);
}

static void release_slot(void *opaque, struct frame *frame)
{
    (void)frame;
    struct slot *slot = opaque;
    struct nv_surfaces *s = slot->owner;
    if (gpu_enter(s->device, NULL) != 0) {
        drop(s, NULL); /* the slot stays as it is, to the end */
        return;
    }
    if (s->driver->cuvid->cuvidUnmapVideoFrame(s->decoder, slot->address) != CUDA_SUCCESS)
        fail(s);
    gpu_leave(s->device);
    drop(s, slot);
}

/* A free slot for the picture, with a reference; NULL: none came back in time. */
static struct slot *take_slot(struct nv_surfaces *s, int number)
{
    const struct timespec deadline = clock_deadline(RETURN_TIMEOUT_MS);
    struct slot *slot = NULL;
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    while (s->used == NV_SURFACES_OUT && rc == 0)
        rc = pthread_cond_timedwait(&s->returned, &s->lock, &deadline);
    for (int i = 0; i < NV_SURFACES_OUT && !slot; i++)
        slot = s->slots[i].used ? NULL : &s->slots[i];
    if (slot) {
        slot->used = true;
        slot->number = number;
        s->pictures.holds[number]++;
        s->used++;
        s->refs++;
    }
    pthread_mutex_unlock(&s->lock);
    return slot;
}

/* Whether the decoder met errors in a picture that is done. */
static bool is_damaged(const struct nv_surfaces *s, int index)
{
    CUVIDGETDECODESTATUS status = {0};
    return s->tells_status &&
           s->driver->cuvid->cuvidGetDecodeStatus(s->decoder, index, &status) == CUDA_SUCCESS &&
           (status.decodeStatus == cuvidDecodeStatus_Error ||
            status.decodeStatus == cuvidDecodeStatus_Error_Concealed);
}

static void set_frame(struct nv_surfaces *s, struct slot *slot, unsigned pitch)
{
    const struct nv_surfaces_params *p = &s->params;
    const unsigned long long chroma =
        slot->address + (unsigned long long)pitch * (unsigned)even(p->height);
    slot->frame = (struct frame){
        .refs = 1,
        .place = PLACE_DEVICE,
        .device = gpu_device_info(s->device)->index,
        .format = p->depth > 8 ? PIXEL_P010 : PIXEL_NV12,
        .width = p->width,
        .height = p->height,
        .data = {(uint8_t *)(uintptr_t)slot->address, (uint8_t *)(uintptr_t)chroma},
        .stride = {(ptrdiff_t)pitch, (ptrdiff_t)pitch},
        .pts = PTS_NONE,
        .ready = slot->ready,
        .release = release_slot,
        .opaque = slot,
    };
}

int nv_surfaces_map(struct nv_surfaces *s, int number, const CUVIDPARSERDISPINFO *info,
                    struct frame **ret, struct error *err)
{
    struct slot *slot = take_slot(s, number);
    if (!slot)
        return stuck(err);
    CUVIDPROCPARAMS params = {
        .progressive_frame = info->progressive_frame,
        .top_field_first = info->top_field_first,
        .unpaired_field = info->repeat_first_field < 0,
        .output_stream = s->stream,
    };
    unsigned pitch = 0;
    CUresult result =
        s->driver->cuvid->cuvidMapVideoFrame(s->decoder, number, &slot->address, &pitch, &params);
    if (result != CUDA_SUCCESS) {
        fail(s);
        drop(s, slot);
        return gpu_error(err, result, "taking a decoded picture");
    }
    set_frame(s, slot, pitch);
    struct frame *frame = &slot->frame;
    result = s->driver->cuda->cuEventRecord(slot->ready, s->stream);
    if (result != CUDA_SUCCESS) {
        fail(s);
        frame_unref(&frame);
        return gpu_error(err, result, "marking a decoded picture");
    }
    if (is_damaged(s, number))
        frame->flags |= FRAME_CORRUPT;
    nv_surfaces_forget(s, number);
    *ret = frame;
    return 0;
}
