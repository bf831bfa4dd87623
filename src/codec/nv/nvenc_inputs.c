#include "codec/nv/nvenc_inputs.h"

#include <assert.h>
#include <string.h>

#include "codec/nv/download.h"

/* ---- registrations --------------------------------------------------------------------------- */

static void unregister(struct nvenc_inputs *in, struct nvenc_registration *r, bool inside)
{
    if (inside)
        in->api->functions.nvEncUnregisterResource(in->session, r->handle);
    gpu_pool_free(&r->pool);
    *r = (struct nvenc_registration){0};
}

/* A free entry; the one that was not used for longest makes room. */
static struct nvenc_registration *free_entry(struct nvenc_inputs *in)
{
    struct nvenc_registration *oldest = NULL;
    for (int i = 0; i < NVENC_REGISTERED_MAX; i++) {
        struct nvenc_registration *r = &in->registered[i];
        if (!r->handle)
            return r;
        if (!r->mapped && (!oldest || r->used_at < oldest->used_at))
            oldest = r;
    }
    if (oldest)
        unregister(in, oldest, true);
    return oldest;
}

static struct nvenc_registration *find(struct nvenc_inputs *in, const struct gpu_block *block)
{
    for (int i = 0; i < NVENC_REGISTERED_MAX; i++)
        if (in->registered[i].handle && in->registered[i].address == block->address)
            return &in->registered[i];
    return NULL;
}

static int register_block(struct nvenc_inputs *in, const struct gpu_block *block, uint32_t pitch,
                          struct nvenc_registration **ret, struct error *err)
{
    *ret = find(in, block);
    if (*ret)
        return 0;
    struct nvenc_registration *r = free_entry(in);
    if (!r)
        return error_set(err, RGPU_ERROR_LIMIT, "more than %d pictures are inside NVENC",
                         NVENC_REGISTERED_MAX);
    NV_ENC_REGISTER_RESOURCE call = {.version = NV_ENC_REGISTER_RESOURCE_VER,
                                     .resourceType = NV_ENC_INPUT_RESOURCE_TYPE_CUDADEVICEPTR,
                                     .width = (uint32_t)in->width,
                                     .height = (uint32_t)in->height,
                                     .pitch = pitch,
                                     .resourceToRegister = (void *)(uintptr_t)block->address,
                                     .bufferFormat = in->format,
                                     .bufferUsage = NV_ENC_INPUT_IMAGE};
    const NVENCSTATUS status = in->api->functions.nvEncRegisterResource(in->session, &call);
    if (status != NV_ENC_SUCCESS)
        return gpu_encode_error(err, status, "registering a picture with NVENC", in->session);
    *r = (struct nvenc_registration){.handle = call.registeredResource,
                                     .address = block->address,
                                     .pitch = pitch,
                                     .pool = gpu_pool_ref(block->pool)};
    *ret = r;
    return 0;
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* Bytes a sample. */
static int sample_bytes(const struct nvenc_inputs *in)
{
    return in->format == NV_ENC_BUFFER_FORMAT_NV12 ? 1 : 2;
}

static uint32_t own_pitch(const struct nvenc_inputs *in)
{
    const uint32_t line = (uint32_t)(in->width * sample_bytes(in));
    return (line + GPU_PITCH_ALIGN - 1) / GPU_PITCH_ALIGN * GPU_PITCH_ALIGN;
}

static size_t own_size(const struct nvenc_inputs *in)
{
    return (size_t)own_pitch(in) * (size_t)(in->height + in->height / 2);
}

static int get_own(struct nvenc_inputs *in, bool host, struct nvenc_input *input, struct error *err)
{
    int rc = 0;
    if (!in->own)
        rc = gpu_pool_new(&in->own, in->device, GPU_MEMORY_DEVICE, own_size(in), err);
    if (rc == 0 && host && !in->pinned)
        rc = gpu_pool_new(&in->pinned, in->device, GPU_MEMORY_PINNED, own_size(in), err);
    if (rc == 0)
        rc = gpu_pool_get(in->own, &input->block, err);
    if (rc == 0 && host)
        rc = gpu_pool_get(in->pinned, &input->pinned, err);
    return rc;
}

static void copy_lines(uint8_t *to, size_t pitch, const struct frame *frame, int plane,
                       size_t line_bytes, int lines)
{
    for (int y = 0; y < lines; y++)
        memcpy(to + (size_t)y * pitch, frame->data[plane] + y * frame->stride[plane], line_bytes);
}

static void interleave8(uint8_t *to, const uint8_t *u, const uint8_t *v, int count)
{
    for (int x = 0; x < count; x++) {
        to[2 * x] = u[x];
        to[2 * x + 1] = v[x];
    }
}

/* Ten bits from the bottom of a word to its top. */
static void raise10(void *line, int offset, int step, const void *samples, int count)
{
    uint16_t *to = line;
    const uint16_t *from = samples;
    for (int x = 0; x < count; x++)
        to[offset + x * step] = (uint16_t)(from[x] << 6);
}

static void interleave(uint8_t *to, size_t pitch, const struct frame *frame)
{
    const int width = frame->width / 2;
    for (int y = 0; y < frame->height / 2; y++) {
        uint8_t *line = to + (size_t)y * pitch;
        const uint8_t *u = frame->data[1] + y * frame->stride[1];
        const uint8_t *v = frame->data[2] + y * frame->stride[2];
        if (frame->format == PIXEL_YUV420P) {
            interleave8(line, u, v, width);
        } else {
            raise10(line, 0, 2, u, width);
            raise10(line, 1, 2, v, width);
        }
    }
}

/* The picture of a host frame as NVENC takes it. */
static void arrange(const struct nvenc_inputs *in, const struct frame *frame, uint8_t *to)
{
    const size_t pitch = own_pitch(in), line = (size_t)in->width * (size_t)sample_bytes(in);
    uint8_t *chroma = to + pitch * (size_t)in->height;
    if (frame->format == PIXEL_YUV420P10) {
        for (int y = 0; y < in->height; y++)
            raise10(to + (size_t)y * pitch, 0, 1, frame->data[0] + y * frame->stride[0], in->width);
    } else {
        copy_lines(to, pitch, frame, 0, line, in->height);
    }
    if (pixel_info(frame->format)->planes == 2)
        copy_lines(chroma, pitch, frame, 1, line, in->height / 2);
    else
        interleave(chroma, pitch, frame);
}

static CUresult copy_plane(const struct nvenc_inputs *in, const struct frame *frame, int plane,
                           CUdeviceptr to)
{
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                          .srcDevice = (CUdeviceptr)(uintptr_t)frame->data[plane],
                          .srcPitch = (size_t)frame->stride[plane],
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstDevice = to,
                          .dstPitch = own_pitch(in),
                          .WidthInBytes = (size_t)in->width * (size_t)sample_bytes(in),
                          .Height = (size_t)(plane ? in->height / 2 : in->height)};
    return gpu_device_driver(in->device)->cuda->cuMemcpy2DAsync(&copy, in->stream);
}

/* Waits for the copy: a decoder has few pictures to give, and NVENC may hold many. */
static int copy_device(const struct nvenc_inputs *in, const struct frame *frame,
                       const struct gpu_block *block, struct error *err)
{
    const struct gpu_driver *driver = gpu_device_driver(in->device);
    CUresult result = CUDA_SUCCESS;
    if (frame->ready)
        result = driver->cuStreamWaitEvent(in->stream, frame->ready, 0);
    if (result == CUDA_SUCCESS)
        result = copy_plane(in, frame, 0, block->address);
    if (result == CUDA_SUCCESS)
        result =
            copy_plane(in, frame, 1, block->address + (size_t)own_pitch(in) * (size_t)in->height);
    if (result == CUDA_SUCCESS)
        result = driver->cuda->cuStreamSynchronize(in->stream);
    return result == CUDA_SUCCESS ? 0 : gpu_error(err, result, "copying a picture for NVENC");
}

static int copy_host(const struct nvenc_inputs *in, const struct frame *frame,
                     const struct nvenc_input *input, struct error *err)
{
    int rc = nv_frame_wait(in->device, frame, err);
    if (rc != 0)
        return rc;
    arrange(in, frame, input->pinned->host);
    const CUresult result =
        gpu_device_driver(in->device)
            ->cuda->cuMemcpyHtoDAsync(input->block->address, input->pinned->host, own_size(in),
                                      in->stream);
    return result == CUDA_SUCCESS ? 0 : gpu_error(err, result, "bringing a picture to the GPU");
}

/* ---- mapping --------------------------------------------------------------------------------- */

static enum pixel_format format_of(const struct nvenc_inputs *in)
{
    return in->format == NV_ENC_BUFFER_FORMAT_NV12 ? PIXEL_NV12 : PIXEL_P010;
}

static bool fits(const struct nvenc_inputs *in, const struct frame *frame)
{
    const enum pixel_format format = format_of(in);
    const enum pixel_format planar = format == PIXEL_NV12 ? PIXEL_YUV420P : PIXEL_YUV420P10;
    return frame->width == in->width && frame->height == in->height &&
           (frame->place == PLACE_HOST || frame->device == gpu_device_info(in->device)->index) &&
           (frame->format == format || (frame->place == PLACE_HOST && frame->format == planar));
}

/* Whether NVENC can read the frame's own memory: one block, chroma right behind luma, and not being
 * read already. */
static bool readable(struct nvenc_inputs *in, const struct frame *frame,
                     const struct gpu_block *block)
{
    if (!block || block->address != (CUdeviceptr)(uintptr_t)frame->data[0] ||
        frame->stride[0] != frame->stride[1] ||
        frame->data[1] != frame->data[0] + frame->stride[0] * frame->height)
        return false;
    const struct nvenc_registration *r = find(in, block);
    return !r || (!r->mapped && r->pitch == (uint32_t)frame->stride[0]);
}

/* The block that NVENC reads, with all that fills it queued on the stream. */
static int provide(struct nvenc_inputs *in, struct frame *frame, struct nvenc_input *input,
                   const struct gpu_block **ret, uint32_t *ret_pitch, struct error *err)
{
    const struct gpu_block *block = nv_frame_block(frame);
    const bool host = frame->place == PLACE_HOST;
    if (!host && readable(in, frame, block)) {
        const CUresult result =
            gpu_device_driver(in->device)->cuStreamWaitEvent(in->stream, block->ready, 0);
        if (result != CUDA_SUCCESS)
            return gpu_error(err, result, "waiting for a picture");
        input->frame = frame_ref(frame);
        *ret = block;
        *ret_pitch = (uint32_t)frame->stride[0];
        return 0;
    }
    int rc = get_own(in, host, input, err);
    if (rc == 0)
        rc = host ? copy_host(in, frame, input, err) : copy_device(in, frame, input->block, err);
    *ret = input->block;
    *ret_pitch = own_pitch(in);
    return rc;
}

static int map(struct nvenc_inputs *in, struct nvenc_input *input, struct error *err)
{
    NV_ENC_MAP_INPUT_RESOURCE call = {.version = NV_ENC_MAP_INPUT_RESOURCE_VER,
                                      .registeredResource = input->registration->handle};
    const NVENCSTATUS status = in->api->functions.nvEncMapInputResource(in->session, &call);
    if (status != NV_ENC_SUCCESS)
        return gpu_encode_error(err, status, "giving a picture to NVENC", in->session);
    input->mapped = call.mappedResource;
    input->registration->mapped = true;
    input->registration->used_at = ++in->clock;
    return 0;
}

int nvenc_input_map(struct nvenc_inputs *in, struct frame *frame, struct nvenc_input *ret,
                    struct error *err)
{
    const struct pixel_info *info = pixel_info(frame->format);
    const struct gpu_block *block = NULL;
    uint32_t pitch = 0;
    struct nvenc_input input = {0};
    if (!fits(in, frame))
        return error_set(err, RGPU_ERROR_PARAM,
                         "a frame of %dx%d %s came to an NVENC session opened for %dx%d %s",
                         frame->width, frame->height, info ? info->name : "(none)", in->width,
                         in->height, pixel_info(format_of(in))->name);
    int rc = provide(in, frame, &input, &block, &pitch, err);
    assert(rc != 0 || block);
    if (rc == 0)
        rc = register_block(in, block, pitch, &input.registration, err);
    if (rc == 0)
        rc = map(in, &input, err);
    if (rc != 0) {
        nvenc_input_unmap(in, &input, false);
        return rc;
    }
    *ret = input;
    return 0;
}

void nvenc_input_unmap(struct nvenc_inputs *in, struct nvenc_input *input, bool encoded)
{
    if (input->mapped) {
        in->api->functions.nvEncUnmapInputResource(in->session, input->mapped);
        input->registration->mapped = false;
    }
    if (!encoded && (input->block || input->frame))
        gpu_device_driver(in->device)->cuda->cuStreamSynchronize(in->stream);
    nvenc_input_drop(input);
}

void nvenc_input_drop(struct nvenc_input *input)
{
    frame_unref(&input->frame);
    gpu_block_release(&input->pinned);
    gpu_block_release(&input->block);
    *input = (struct nvenc_input){0};
}

void nvenc_inputs_clear(struct nvenc_inputs *in, bool inside)
{
    for (int i = 0; i < NVENC_REGISTERED_MAX; i++)
        if (in->registered[i].handle)
            unregister(in, &in->registered[i], inside);
    gpu_pool_free(&in->own);
    gpu_pool_free(&in->pinned);
}
