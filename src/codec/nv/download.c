#include "codec/nv/download.h"

#include <stdlib.h>

#include "codec/cpu/recolor.h"
#include "gpu/resize.h"
#include "gpu/stream.h"

#define BLOCK_PADDING 64 /* bytes that vector code may read behind the last line */

/* One rung's planes within a block. */
struct layout {
    size_t offset[3];
    int32_t pitch[3];
    size_t size;
};

struct target {
    struct layout layout;
    struct gpu_pool *device, *pinned; /* `pinned` NULL: it stays on the device */
};

/* What a launch that may still run uses. */
struct flight {
    struct frame *source;
    struct gpu_block *blocks[RENDITIONS_MAX]; /* of what comes down */
    CUevent done;
};

struct nv_download {
    struct scaler_params params;
    struct gpu_device *device;
    const struct gpu_driver *driver;
    struct resize *resize;
    CUstream stream;
    struct target targets[RENDITIONS_MAX];
    struct flight flights[DOWNLOAD_FLIGHTS];
    int next; /* flight */
};

/* A picture in a block of a pool, pinned or on the device. */
struct block_frame {
    struct frame frame;
    struct gpu_device *device;
    struct gpu_block *block;
};

/* ---- what the kernel can do ----------------------------------------------------------------- */

static bool format_of(enum pixel_format format, enum resize_format *ret)
{
    switch (format) {
    case PIXEL_NV12:
        *ret = RESIZE_NV12;
        return true;
    case PIXEL_P010:
        *ret = RESIZE_P010;
        return true;
    case PIXEL_YUV420P:
        *ret = RESIZE_I420;
        return true;
    case PIXEL_YUV420P10:
        *ret = RESIZE_I420P10;
        return true;
    default:
        return false;
    }
}

bool nv_download_can(const struct scaler_params *params)
{
    enum resize_format format;
    if ((params->format != PIXEL_NV12 && params->format != PIXEL_P010) || recolor_needed(params))
        return false;
    for (int i = 0; i < params->outputs_count; i++) {
        const enum pixel_format to = params->outputs[i].format;
        if (!format_of(to, &format))
            return false;
        /* The kernel shifts; samples of full range are stretched. */
        if (params->color.range == RANGE_FULL &&
            pixel_info(to)->depth != pixel_info(params->format)->depth)
            return false;
    }
    return true;
}

static struct resize_siting siting_of(enum chroma_location at)
{
    switch (at) {
    case CHROMA_CENTER:
        return (struct resize_siting){1, 1};
    case CHROMA_TOP_LEFT:
        return (struct resize_siting){0, 0};
    case CHROMA_TOP:
        return (struct resize_siting){1, 0};
    case CHROMA_BOTTOM_LEFT:
        return (struct resize_siting){0, 2};
    case CHROMA_BOTTOM:
        return (struct resize_siting){1, 2};
    default:
        return (struct resize_siting){0, 1};
    }
}

static bool stays(const struct scaler_output *out)
{
    return out->format == PIXEL_NV12 || out->format == PIXEL_P010;
}

/* ---- opening -------------------------------------------------------------------------------- */

static struct layout layout_of(const struct scaler_output *out)
{
    const struct pixel_info *info = pixel_info(out->format);
    struct layout l = {0};
    for (int p = 0; p < info->planes; p++) {
        const size_t line =
            (size_t)pixel_plane_width(out->format, p, out->width) * (info->depth > 8 ? 2 : 1);
        const size_t pitch = (line + GPU_PITCH_ALIGN - 1) / GPU_PITCH_ALIGN * GPU_PITCH_ALIGN;
        l.pitch[p] = (int32_t)pitch;
        l.offset[p] = l.size;
        l.size += pitch * (size_t)pixel_plane_height(out->format, p, out->height);
    }
    return l;
}

static int open_resize(struct nv_download *d, struct error *err)
{
    const struct scaler_params *p = &d->params;
    struct resize_params params = {.width = p->width,
                                   .height = p->height,
                                   .siting = siting_of(p->color.chroma),
                                   .interlaced = p->interlaced,
                                   .full_range = p->color.range == RANGE_FULL,
                                   .rungs_count = p->outputs_count};
    format_of(p->format, &params.format);
    for (int i = 0; i < p->outputs_count; i++) {
        const struct scaler_output *out = &p->outputs[i];
        struct resize_rung *rung = &params.rungs[i];
        *rung = (struct resize_rung){.width = out->width, .height = out->height};
        rung->area.x = out->area.x;
        rung->area.y = out->area.y;
        rung->area.width = out->area.width;
        rung->area.height = out->area.height;
        format_of(out->format, &rung->format);
    }
    return resize_open(&d->resize, d->device, &params, err);
}

static int open_targets(struct nv_download *d, struct error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < d->params.outputs_count; i++) {
        struct target *t = &d->targets[i];
        t->layout = layout_of(&d->params.outputs[i]);
        const size_t size = t->layout.size + BLOCK_PADDING;
        rc = gpu_pool_new(&t->device, d->device, GPU_MEMORY_DEVICE, size, err);
        if (rc == 0 && !stays(&d->params.outputs[i]))
            rc = gpu_pool_new(&t->pinned, d->device, GPU_MEMORY_PINNED, size, err);
    }
    return rc;
}

static int open_inside(struct nv_download *d, struct error *err)
{
    int rc = gpu_stream_new(d->device, &d->stream, err);
    for (int i = 0; rc == 0 && i < DOWNLOAD_FLIGHTS; i++)
        rc = gpu_event_new(d->device, &d->flights[i].done, err);
    if (rc == 0)
        rc = open_resize(d, err);
    return rc == 0 ? open_targets(d, err) : rc;
}

int nv_download_open(struct nv_download **ret, const struct scaler_params *params,
                     struct error *err)
{
    struct nv_download *d = calloc(1, sizeof(*d));
    if (!d)
        return error_memory(err, "a scaler");
    d->params = *params;
    int rc = gpu_open(&d->device, params->device, err);
    if (rc == 0) {
        d->driver = gpu_device_driver(d->device);
        rc = gpu_enter(d->device, err);
    }
    if (rc == 0) {
        rc = open_inside(d, err);
        gpu_leave(d->device);
    }
    if (rc != 0)
        nv_download_close(&d);
    *ret = d;
    return rc;
}

static void clear_flight(struct flight *f)
{
    frame_unref(&f->source);
    for (int i = 0; i < RENDITIONS_MAX; i++)
        gpu_block_release(&f->blocks[i]);
}

void nv_download_close(struct nv_download **download)
{
    struct nv_download *d = *download;
    *download = NULL;
    if (!d)
        return;
    if (d->driver && gpu_enter(d->device, NULL) == 0) {
        gpu_stream_free(d->device, &d->stream);
        for (int i = 0; i < DOWNLOAD_FLIGHTS; i++)
            gpu_event_free(d->device, &d->flights[i].done);
        gpu_leave(d->device);
    }
    resize_close(&d->resize);
    for (int i = 0; i < DOWNLOAD_FLIGHTS; i++)
        clear_flight(&d->flights[i]);
    for (int i = 0; i < RENDITIONS_MAX; i++) {
        gpu_pool_free(&d->targets[i].device);
        gpu_pool_free(&d->targets[i].pinned);
    }
    gpu_close(&d->device);
    free(d);
}

/* ---- outputs -------------------------------------------------------------------------------- */

static void release_block(void *opaque, struct frame *frame)
{
    struct block_frame *held = opaque;
    /* A frame that nobody has waited for: what fills it may be under way. */
    nv_frame_wait(held->device, frame, NULL);
    gpu_block_release(&held->block);
    gpu_close(&held->device);
    free(held);
}

static struct frame *wrap(const struct nv_download *d, int i, const struct frame *source,
                          struct gpu_block *block)
{
    const struct scaler_output *out = &d->params.outputs[i];
    const struct layout *l = &d->targets[i].layout;
    struct block_frame *held = calloc(1, sizeof(*held));
    if (!held)
        return NULL;
    held->device = gpu_ref(d->device);
    held->block = block;
    held->frame = (struct frame){.refs = 1,
                                 .place = block->host ? PLACE_HOST : PLACE_DEVICE,
                                 .device = d->params.device,
                                 .format = out->format,
                                 .width = out->width,
                                 .height = out->height,
                                 .ready = block->ready,
                                 .release = release_block,
                                 .opaque = held};
    uint8_t *base = block->host ? block->host : (uint8_t *)(uintptr_t)block->address;
    for (int p = 0; p < pixel_info(out->format)->planes; p++) {
        held->frame.data[p] = base + l->offset[p];
        held->frame.stride[p] = l->pitch[p];
    }
    frame_copy_props(&held->frame, source);
    held->frame.sample_aspect = (struct rational){0, 1};
    return &held->frame;
}

const struct gpu_block *nv_frame_block(const struct frame *frame)
{
    if (frame->release != release_block || frame->place != PLACE_DEVICE)
        return NULL;
    const struct block_frame *held = frame->opaque;
    return held->block;
}

int nv_frame_wait(struct gpu_device *device, const struct frame *frame, struct error *err)
{
    if (!frame->ready)
        return 0;
    int rc = gpu_enter(device, err);
    if (rc != 0)
        return rc;
    const CUresult result = gpu_device_driver(device)->cuda->cuEventSynchronize(frame->ready);
    gpu_leave(device);
    return result == CUDA_SUCCESS ? 0 : gpu_error(err, result, "waiting for a picture");
}

/* ---- running -------------------------------------------------------------------------------- */

/* The flight whose turn it is, with nothing in it. A wait that fails says nothing of the work: it
 * keeps what it uses. */
static int take_flight(struct nv_download *d, struct flight **ret, struct error *err)
{
    struct flight *f = &d->flights[d->next];
    d->next = (d->next + 1) % DOWNLOAD_FLIGHTS;
    *ret = f;
    if (!f->source)
        return 0;
    const CUresult result = d->driver->cuda->cuEventSynchronize(f->done);
    if (result != CUDA_SUCCESS)
        return gpu_error(err, result, "resizing");
    clear_flight(f);
    return 0;
}

static int get_output(struct nv_download *d, struct flight *f, int i, struct frame **ret,
                      struct error *err)
{
    const struct target *t = &d->targets[i];
    struct gpu_block *block = NULL;
    int rc = t->pinned ? gpu_pool_get(t->device, &f->blocks[i], err) : 0;
    if (rc == 0)
        rc = gpu_pool_get(t->pinned ? t->pinned : t->device, &block, err);
    if (rc != 0)
        return rc;
    *ret = wrap(d, i, f->source, block);
    if (*ret)
        return 0;
    gpu_block_release(&block);
    return error_memory(err, "a picture");
}

static int get_outputs(struct nv_download *d, struct flight *f, uint32_t mask, struct frame **ret,
                       struct error *err)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < d->params.outputs_count; i++)
        if (mask & 1u << i)
            rc = get_output(d, f, i, &ret[i], err);
    return rc;
}

static int launch(struct nv_download *d, const struct flight *f, uint32_t mask,
                  struct frame *const *out, struct error *err)
{
    struct resize_picture from = {0}, rungs[RENDITIONS_MAX] = {0};
    for (int p = 0; p < 2; p++) {
        from.plane[p] = (uint64_t)(uintptr_t)f->source->data[p];
        from.pitch[p] = (int32_t)f->source->stride[p];
    }
    for (int i = 0; i < d->params.outputs_count; i++) {
        if (!out[i])
            continue;
        const uint64_t base =
            f->blocks[i] ? f->blocks[i]->address : (uint64_t)(uintptr_t)out[i]->data[0];
        for (int p = 0; p < pixel_info(out[i]->format)->planes; p++) {
            rungs[i].plane[p] = base + d->targets[i].layout.offset[p];
            rungs[i].pitch[p] = d->targets[i].layout.pitch[p];
        }
    }
    CUresult result = CUDA_SUCCESS;
    if (f->source->ready)
        result = d->driver->cuStreamWaitEvent(d->stream, f->source->ready, 0);
    if (result != CUDA_SUCCESS)
        return gpu_error(err, result, "waiting for a decoded picture");
    return resize_launch(d->resize, d->stream, &from, rungs, mask, err);
}

static int copy_down(struct nv_download *d, const struct flight *f, struct frame *const *out,
                     struct error *err)
{
    const CudaFunctions *cuda = d->driver->cuda;
    CUresult result = CUDA_SUCCESS;
    for (int i = 0; result == CUDA_SUCCESS && i < d->params.outputs_count; i++) {
        if (!out[i])
            continue;
        if (f->blocks[i])
            result = cuda->cuMemcpyDtoHAsync(out[i]->data[0], f->blocks[i]->address,
                                             d->targets[i].layout.size, d->stream);
        if (result == CUDA_SUCCESS)
            result = cuda->cuEventRecord(out[i]->ready, d->stream);
    }
    if (result == CUDA_SUCCESS)
        result = cuda->cuEventRecord(f->done, d->stream);
    return result == CUDA_SUCCESS ? 0 : gpu_error(err, result, "copying a picture to the host");
}

int nv_download_run(struct nv_download *d, struct frame *source, uint32_t mask, struct frame **ret,
                    struct error *err)
{
    struct frame *out[RENDITIONS_MAX] = {0};
    struct flight *f = NULL;
    int rc = gpu_enter(d->device, err);
    if (rc != 0)
        return rc;
    rc = take_flight(d, &f, err);
    if (rc == 0) {
        f->source = frame_ref(source);
        rc = get_outputs(d, f, mask, out, err);
    }
    if (rc == 0)
        rc = launch(d, f, mask, out, err);
    if (rc == 0)
        rc = copy_down(d, f, out, err);
    if (rc != 0) {
        d->driver->cuda->cuStreamSynchronize(d->stream);
        clear_flight(f);
    }
    gpu_leave(d->device);
    for (int i = 0; i < d->params.outputs_count; i++) {
        if (rc != 0)
            frame_unref(&out[i]);
        else if (mask & 1u << i)
            ret[i] = out[i];
    }
    return rc;
}
