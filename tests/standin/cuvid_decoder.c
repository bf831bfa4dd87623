/* libnvcuvid: what the device decodes, and decoders: a queue of pictures that are done late, and
 * surfaces in the device's memory to which they are brought by operations on the user's stream.
 *
 * Threads: any; protected by standin_mutex. Memory: core.h's; the surfaces are allocated when a
 * decoder is made, as the driver does. Limits: SURFACES_MAX decode surfaces, OUTPUTS_MAX mapped. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#include "cuvid.h"

#define OUTPUTS_MAX 64
#define QUEUE_DEPTH 4 /* pictures in decoding, then cuvidDecodePicture waits */
#define PITCH 512     /* bytes */
#define UNMAPPED 0xdb
#define ENGINES 7

/* As an H200: codec:depths:largest[:smallest] */
#define CAPS                                                                                       \
    "mpeg1:8:4080x4080,mpeg2:8:4080x4080,mpeg4:8:2032x2032,h264:8:4096x4096,"                      \
    "hevc:8/10/12:8192x8192:144x144,vp8:8:4096x4096,vp9:8/10/12:8192x8192:128x128"

struct output {
    struct standin_block *block;
    const struct picture *picture; /* while mapped; compared only */
    bool mapped;
    bool bringing; /* the operation that fills it is queued */
};

struct decoder {
    struct standin_object object;
    CUVIDDECODECREATEINFO info; /* as created or reconfigured last */
    CUstream queue;
    struct picture *surfaces[SURFACES_MAX]; /* counted references */
    struct output outputs[OUTPUTS_MAX];
    int next_output;
    size_t pitch; /* bytes */
};

/* ---- caps ----------------------------------------------------------------------------------- */

static const char *const codec_names[cudaVideoCodec_NumCodecs] = {
    [cudaVideoCodec_MPEG1] = "mpeg1", [cudaVideoCodec_MPEG2] = "mpeg2",
    [cudaVideoCodec_MPEG4] = "mpeg4", [cudaVideoCodec_H264] = "h264",
    [cudaVideoCodec_HEVC] = "hevc",   [cudaVideoCodec_VP8] = "vp8",
    [cudaVideoCodec_VP9] = "vp9",     [cudaVideoCodec_AV1] = "av1",
};

struct range {
    unsigned min_width, min_height, max_width, max_height;
};

static bool item_matches(char *item, const char *codec, unsigned depth, struct range *ret)
{
    const char *name = strsep(&item, ":");
    char *depths = strsep(&item, ":");
    const char *largest = strsep(&item, ":");
    if (!largest || strcmp(name, codec) != 0)
        return false;
    bool found = false;
    for (const char *d; (d = strsep(&depths, "/"));)
        found = found || (unsigned)atoi(d) == depth;
    *ret = (struct range){48, 16, 0, 0};
    if (sscanf(largest, "%ux%u", &ret->max_width, &ret->max_height) != 2)
        return false;
    return found && (!item || sscanf(item, "%ux%u", &ret->min_width, &ret->min_height) == 2);
}

static bool caps_find(cudaVideoCodec codec, cudaVideoChromaFormat chroma, unsigned depth,
                      struct range *ret)
{
    char text[1024];
    if (codec >= cudaVideoCodec_NumCodecs || !codec_names[codec] ||
        chroma != cudaVideoChromaFormat_420)
        return false;
    snprintf(text, sizeof(text), "%s", standin_setting_text("DECODERS", CAPS));
    char *rest = text;
    for (char *item; (item = strsep(&rest, ","));) {
        if (item_matches(item, codec_names[codec], depth, ret))
            return true;
    }
    return false;
}

CUresult cuvidGetDecoderCaps(CUVIDDECODECAPS *caps)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    struct range range;
    const bool supported =
        caps_find(caps->eCodecType, caps->eChromaFormat, caps->nBitDepthMinus8 + 8, &range);
    if (!supported)
        range = (struct range){0};
    caps->bIsSupported = supported;
    caps->nNumNVDECs = supported ? ENGINES : 0;
    caps->nOutputFormatMask = 0;
    if (supported)
        caps->nOutputFormatMask = 1 << (caps->nBitDepthMinus8 > 0 ? cudaVideoSurfaceFormat_P016
                                                                  : cudaVideoSurfaceFormat_NV12);
    caps->nMinWidth = (unsigned short)range.min_width;
    caps->nMinHeight = (unsigned short)range.min_height;
    caps->nMaxWidth = range.max_width;
    caps->nMaxHeight = range.max_height;
    caps->nMaxMBCount = range.max_width * range.max_height / 256;
    return CUDA_SUCCESS;
}

/* ---- making and ending ---------------------------------------------------------------------- */

static const char *caps_fault(const CUVIDDECODECREATEINFO *info)
{
    struct range range;
    if (!caps_find(info->CodecType, info->ChromaFormat, (unsigned)info->bitDepthMinus8 + 8, &range))
        return "a codec or depth beyond the caps";
    if (info->ulWidth < range.min_width || info->ulHeight < range.min_height ||
        info->ulMaxWidth > range.max_width || info->ulMaxHeight > range.max_height)
        return "a size beyond the caps";
    if (info->OutputFormat !=
        (info->bitDepthMinus8 > 0 ? cudaVideoSurfaceFormat_P016 : cudaVideoSurfaceFormat_NV12))
        return "an output format beyond the caps";
    return NULL;
}

/* What the driver would take, and this does not model, is a fault too. */
static const char *shape_fault(const CUVIDDECODECREATEINFO *info)
{
    const long width = info->display_area.right - info->display_area.left;
    const long height = info->display_area.bottom - info->display_area.top;
    if (info->ulWidth == 0 || info->ulHeight == 0 || info->ulWidth > info->ulMaxWidth ||
        info->ulHeight > info->ulMaxHeight)
        return "no size, or one above the largest";
    if (info->ulNumDecodeSurfaces < 1 || info->ulNumDecodeSurfaces > SURFACES_MAX)
        return "no decode surfaces, or more than 32";
    if (info->ulTargetWidth % 2 || info->ulTargetHeight % 2 || info->ulTargetWidth == 0 ||
        info->ulTargetHeight == 0)
        return "an odd target";
    if ((long)info->ulTargetWidth != width || (long)info->ulTargetHeight != height)
        return "a target that is not the display area's size: it would be scaled";
    if (info->display_area.left < 0 || info->display_area.top < 0 ||
        info->display_area.right > (long)info->ulWidth + 1 ||
        info->display_area.bottom > (long)info->ulHeight + 1)
        return "a display area outside the picture";
    return NULL;
}

static void decoder_release(struct standin_object *object)
{
    struct decoder *dec = (struct decoder *)object;
    for (int i = 0; i < SURFACES_MAX; i++)
        picture_unref_locked(&dec->surfaces[i]);
    free(dec);
}

static size_t output_size(const CUVIDDECODECREATEINFO *info, size_t pitch)
{
    const size_t lines = info->ulMaxHeight + 2;
    return pitch * (lines + lines / 2);
}

static void outputs_free(struct decoder *dec)
{
    for (int i = 0; i < OUTPUTS_MAX; i++) {
        if (dec->outputs[i].block)
            standin_block_free(dec->outputs[i].block, "cuvidDestroyDecoder");
    }
}

static bool outputs_new(struct decoder *dec)
{
    const size_t bytes = dec->info.OutputFormat == cudaVideoSurfaceFormat_P016 ? 2 : 1;
    dec->pitch = ((dec->info.ulMaxWidth + 1) * bytes + PITCH - 1) / PITCH * PITCH;
    for (size_t i = 0; i < dec->info.ulNumOutputSurfaces; i++) {
        dec->outputs[i].block =
            standin_block_new(MEMORY_SURFACE, output_size(&dec->info, dec->pitch));
        if (!dec->outputs[i].block)
            return false;
    }
    return true;
}

CUresult cuvidCreateDecoder(CUvideodecoder *ret, CUVIDDECODECREATEINFO *given)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    CUVIDDECODECREATEINFO info = *given;
    if (info.ulMaxWidth < info.ulWidth)
        info.ulMaxWidth = info.ulWidth;
    if (info.ulMaxHeight < info.ulHeight)
        info.ulMaxHeight = info.ulHeight;
    const char *fault = shape_fault(&info);
    if (!fault)
        fault = caps_fault(&info);
    if (!fault && info.DeinterlaceMode != cudaVideoDeinterlaceMode_Weave)
        fault = "deinterlacing";
    if (!fault && (info.ulNumOutputSurfaces < 1 || info.ulNumOutputSurfaces > OUTPUTS_MAX))
        fault = "no output surfaces, or more than 64";
    if (fault) {
        standin_violation("%s: %s", __func__, fault);
        return STANDIN_INVALID_VALUE;
    }
    struct decoder *dec = calloc(1, sizeof(*dec));
    if (!dec)
        return STANDIN_OUT_OF_MEMORY;
    dec->info = info;
    dec->queue = outputs_new(dec) ? standin_stream_new(false) : NULL;
    if (!dec->queue) {
        outputs_free(dec);
        free(dec);
        return STANDIN_OUT_OF_MEMORY;
    }
    standin_object_add(&dec->object, KIND_DECODER, decoder_release);
    *ret = dec;
    return CUDA_SUCCESS;
}

/* Until its operation has filled it, or the device is lost. */
static void brought_locked(const struct output *output)
{
    while (output->bringing)
        pthread_cond_wait(&standin_changed, &standin_mutex);
}

CUresult cuvidDestroyDecoder(CUvideodecoder handle)
{
    STANDIN_BEGIN_FREE(NEEDS_CONTEXT);
    struct decoder *dec = handle;
    if (!standin_object_check(__func__, dec, KIND_DECODER))
        return STANDIN_INVALID_HANDLE;
    pthread_mutex_lock(&standin_mutex);
    int mapped = 0;
    for (int i = 0; i < OUTPUTS_MAX; i++) {
        mapped += dec->outputs[i].mapped;
        brought_locked(&dec->outputs[i]);
    }
    while (dec->queue->completed < dec->queue->submitted)
        pthread_cond_wait(&standin_changed, &standin_mutex);
    pthread_mutex_unlock(&standin_mutex);
    if (mapped > 0)
        standin_violation("%s: %d pictures are mapped", __func__, mapped);
    standin_stream_close(dec->queue);
    outputs_free(dec);
    standin_object_drop(&dec->object);
    return result;
}

CUresult cuvidReconfigureDecoder(CUvideodecoder handle, CUVIDRECONFIGUREDECODERINFO *change)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    struct decoder *dec = handle;
    if (!standin_object_check(__func__, dec, KIND_DECODER))
        return STANDIN_INVALID_HANDLE;
    CUVIDDECODECREATEINFO next = dec->info;
    next.ulWidth = change->ulWidth;
    next.ulHeight = change->ulHeight;
    next.ulTargetWidth = change->ulTargetWidth;
    next.ulTargetHeight = change->ulTargetHeight;
    next.ulNumDecodeSurfaces = change->ulNumDecodeSurfaces;
    next.display_area.left = change->display_area.left;
    next.display_area.top = change->display_area.top;
    next.display_area.right = change->display_area.right;
    next.display_area.bottom = change->display_area.bottom;
    const char *fault = cuvid_in_sequence ? shape_fault(&next) : "outside the sequence callback";
    if (fault) {
        standin_violation("%s: %s", __func__, fault);
        return STANDIN_INVALID_VALUE;
    }
    pthread_mutex_lock(&standin_mutex);
    dec->info = next;
    for (int i = 0; i < SURFACES_MAX; i++)
        picture_unref_locked(&dec->surfaces[i]);
    pthread_mutex_unlock(&standin_mutex);
    return CUDA_SUCCESS;
}

/* ---- decoding ------------------------------------------------------------------------------- */

static void decode_done(void *arg)
{
    struct picture *picture = arg;
    pthread_mutex_lock(&standin_mutex);
    picture->queued--;
    picture_unref_locked(&picture);
    pthread_mutex_unlock(&standin_mutex);
}

/* Whether a mapped surface still needs the picture. It is a copy; the documentation does not say
 * from when on, so that it counts until the unmap unless set otherwise. */
static bool is_mapped(const struct decoder *dec, const struct picture *picture)
{
    const bool reuse = standin_setting("REUSE_MAPPED", 0);
    for (int i = 0; i < OUTPUTS_MAX; i++) {
        const struct output *output = &dec->outputs[i];
        if (output->mapped && output->picture == picture && (output->bringing || !reuse))
            return true;
    }
    return false;
}

static const char *decode_fault_locked(const struct decoder *dec, const CUVIDPICPARAMS *params,
                                       const struct picture *picture)
{
    if (params->CurrPicIdx < 0 || params->CurrPicIdx >= (int)dec->info.ulNumDecodeSurfaces)
        return "a picture index out of range";
    if (!picture)
        return "not a picture of the parser's";
    if (params->PicWidthInMbs != ((int)dec->info.ulWidth + 15) / 16 ||
        params->FrameHeightInMbs != ((int)dec->info.ulHeight + 15) / 16)
        return "a picture of another size than the decoder's";
    const struct picture *old = dec->surfaces[params->CurrPicIdx];
    if (!old || old == picture)
        return NULL;
    if (old->queued > 0)
        return "a picture index that is still being decoded into";
    return is_mapped(dec, old) ? "a picture index that is mapped" : NULL;
}

CUresult cuvidDecodePicture(CUvideodecoder handle, CUVIDPICPARAMS *params)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    struct decoder *dec = handle;
    if (!standin_object_check(__func__, dec, KIND_DECODER))
        return STANDIN_INVALID_HANDLE;
    CUcontext context = dec->object.context;
    pthread_mutex_lock(&standin_mutex);
    struct picture *picture = picture_find_locked(params);
    const char *fault = decode_fault_locked(dec, params, picture);
    if (!fault) {
        while (dec->queue->submitted - dec->queue->completed >= QUEUE_DEPTH &&
               standin_death_locked(context) == CUDA_SUCCESS)
            pthread_cond_wait(&standin_changed, &standin_mutex);
        struct picture **surface = &dec->surfaces[params->CurrPicIdx];
        picture_ref_locked(picture);
        picture_unref_locked(surface);
        *surface = picture;
        picture_ref_locked(picture)->queued++;
    }
    pthread_mutex_unlock(&standin_mutex);
    if (fault) {
        standin_violation("%s: %s", __func__, fault);
        return STANDIN_INVALID_VALUE;
    }
    standin_work(context);
    const struct standin_op op = {.done = decode_done, .arg = picture};
    result = standin_stream_push(dec->queue, &op);
    if (result != CUDA_SUCCESS)
        decode_done(picture);
    return result;
}

CUresult cuvidGetDecodeStatus(CUvideodecoder handle, int index, CUVIDGETDECODESTATUS *ret)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const struct decoder *dec = handle;
    if (!standin_object_check(__func__, dec, KIND_DECODER))
        return STANDIN_INVALID_HANDLE;
    if (dec->info.CodecType != cudaVideoCodec_H264 && dec->info.CodecType != cudaVideoCodec_HEVC)
        return STANDIN_NOT_SUPPORTED;
    if (index < 0 || index >= (int)dec->info.ulNumDecodeSurfaces) {
        standin_violation("%s: a picture index out of range", __func__);
        return STANDIN_INVALID_VALUE;
    }
    pthread_mutex_lock(&standin_mutex);
    const struct picture *picture = dec->surfaces[index];
    ret->decodeStatus = !picture              ? cuvidDecodeStatus_Invalid
                        : picture->queued > 0 ? cuvidDecodeStatus_InProgress
                        : picture->damaged    ? cuvidDecodeStatus_Error
                                              : cuvidDecodeStatus_Success;
    pthread_mutex_unlock(&standin_mutex);
    return CUDA_SUCCESS;
}

/* ---- mapping -------------------------------------------------------------------------------- */

struct bring {
    struct output *output;
    struct picture *picture; /* counted reference */
    size_t pitch;
    int left, top, width, height;
    bool wide;
};

static unsigned sample(const AVFrame *f, int plane, int x, int y, bool wide, int shift)
{
    const uint8_t *line = f->data[plane] + (ptrdiff_t)f->linesize[plane] * y;
    return wide ? (unsigned)((const uint16_t *)(const void *)line)[x] << shift : line[x];
}

static void put(uint8_t *line, int at, unsigned value, bool wide)
{
    if (wide)
        ((uint16_t *)(void *)line)[at] = (uint16_t)value;
    else
        line[at] = (uint8_t)value;
}

static int at_most(int value, int end)
{
    return value < end ? value : end - 1;
}

/* What libavcodec lacks of the coded picture is its last column and line again. */
static void bring_run(void *arg)
{
    const struct bring *b = arg;
    const AVFrame *f = b->picture->frame;
    const int shift = 16 - av_pix_fmt_desc_get(f->format)->comp[0].depth;
    const int chroma_width = (f->width + 1) / 2, chroma_height = (f->height + 1) / 2;
    uint8_t *to = b->output->block->base;
    for (int y = 0; y < b->height; y++, to += b->pitch) {
        const int from_y = at_most(b->top + y, f->height);
        for (int x = 0; x < b->width; x++)
            put(to, x, sample(f, 0, at_most(b->left + x, f->width), from_y, b->wide, shift),
                b->wide);
    }
    for (int y = 0; y < b->height / 2; y++, to += b->pitch) {
        const int from_y = at_most(b->top / 2 + y, chroma_height);
        for (int x = 0; x < b->width; x++)
            put(to, x,
                sample(f, 1 + x % 2, at_most(b->left / 2 + x / 2, chroma_width), from_y, b->wide,
                       shift),
                b->wide);
    }
}

static void bring_done(void *arg)
{
    struct bring *b = arg;
    pthread_mutex_lock(&standin_mutex);
    b->output->bringing = false;
    picture_unref_locked(&b->picture);
    pthread_cond_broadcast(&standin_changed);
    pthread_mutex_unlock(&standin_mutex);
    free(b);
}

/* The one that has been free longest. */
static struct output *output_free_locked(struct decoder *dec)
{
    const int count = (int)dec->info.ulNumOutputSurfaces;
    for (int i = 0; i < count; i++) {
        const int at = (dec->next_output + i) % count;
        if (!dec->outputs[at].mapped) {
            dec->next_output = at + 1;
            return &dec->outputs[at];
        }
    }
    return NULL;
}

static const char *map_fault_locked(const struct decoder *dec, int index)
{
    if (index < 0 || index >= (int)dec->info.ulNumDecodeSurfaces)
        return "a picture index out of range";
    const struct picture *picture = dec->surfaces[index];
    if (!picture)
        return "a picture that was not decoded";
    return picture->shown ? NULL : "a picture that was not shown, or another by now";
}

static CUresult map_locked(struct decoder *dec, int index, struct bring *ret)
{
    struct picture *picture = picture_ref_locked(dec->surfaces[index]);
    CUcontext context = dec->object.context;
    while (picture->queued > 0 && standin_death_locked(context) == CUDA_SUCCESS)
        pthread_cond_wait(&standin_changed, &standin_mutex);
    struct output *output = output_free_locked(dec);
    const CUresult death = standin_death_locked(context);
    if (death != CUDA_SUCCESS || !output) {
        picture_unref_locked(&picture);
        return death != CUDA_SUCCESS ? death : STANDIN_MAP_FAILED;
    }
    output->mapped = output->bringing = true;
    output->picture = picture;
    output->block->closed = false;
    *ret = (struct bring){.output = output,
                          .picture = picture,
                          .pitch = dec->pitch,
                          .left = dec->info.display_area.left,
                          .top = dec->info.display_area.top,
                          .width = (int)dec->info.ulTargetWidth,
                          .height = (int)dec->info.ulTargetHeight,
                          .wide = dec->info.OutputFormat == cudaVideoSurfaceFormat_P016};
    return CUDA_SUCCESS;
}

CUresult cuvidMapVideoFrame64(CUvideodecoder handle, int index, unsigned long long *ret_address,
                              unsigned *ret_pitch, CUVIDPROCPARAMS *params)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    struct decoder *dec = handle;
    if (!standin_object_check(__func__, dec, KIND_DECODER) ||
        !standin_stream_check(__func__, params->output_stream))
        return STANDIN_INVALID_HANDLE;
    struct bring *bring = malloc(sizeof(*bring));
    if (!bring)
        return STANDIN_OUT_OF_MEMORY;
    pthread_mutex_lock(&standin_mutex);
    const char *fault = map_fault_locked(dec, index);
    result = fault ? STANDIN_INVALID_VALUE : map_locked(dec, index, bring);
    pthread_mutex_unlock(&standin_mutex);
    if (fault || result == STANDIN_MAP_FAILED)
        standin_violation("%s: %s", __func__, fault ? fault : "more than ulNumOutputSurfaces");
    if (result != CUDA_SUCCESS) {
        free(bring);
        return result;
    }
    *ret_address = (uintptr_t)bring->output->block->base;
    *ret_pitch = (unsigned)dec->pitch;
    const struct standin_op op = {.run = bring_run, .done = bring_done, .arg = bring};
    result = standin_stream_push(params->output_stream, &op);
    if (result != CUDA_SUCCESS)
        bring_done(bring);
    return result;
}

CUresult cuvidUnmapVideoFrame64(CUvideodecoder handle, unsigned long long address)
{
    STANDIN_BEGIN_FREE(NEEDS_CONTEXT);
    struct decoder *dec = handle;
    if (!standin_object_check(__func__, dec, KIND_DECODER))
        return STANDIN_INVALID_HANDLE;
    struct output *output = NULL;
    pthread_mutex_lock(&standin_mutex);
    for (int i = 0; i < OUTPUTS_MAX; i++) {
        if (dec->outputs[i].mapped && (uintptr_t)dec->outputs[i].block->base == address)
            output = &dec->outputs[i];
    }
    int pending = 0;
    if (output) {
        brought_locked(output);
        pending = output->block->pending;
        const bool dead = standin_death_locked(dec->object.context) != CUDA_SUCCESS;
        pending = dead ? 0 : pending;
        standin_block_poison(output->block, UNMAPPED);
        output->block->closed = true;
        output->picture = NULL;
        output->mapped = false;
    }
    pthread_mutex_unlock(&standin_mutex);
    if (!output)
        standin_violation("%s: not a mapped picture", __func__);
    if (pending > 0)
        standin_violation("%s: a picture that %d queued operations use", __func__, pending);
    return output ? result : STANDIN_INVALID_VALUE;
}
