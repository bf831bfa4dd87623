#include "peers.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "gpu/symbols.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static CUstream stream_of(const struct peer_job *job, int stream)
{
    return job->bench->streams[stream];
}

/* ---- NPP ------------------------------------------------------------------------------------- */

#define NPP_CUBIC 4 /* NPPI_INTER_CUBIC */
#define STREAM_NON_BLOCKING 1

/* CU_DEVICE_ATTRIBUTE_MAX_..., which ffnvcodec's header lacks. */
#define THREADS_PER_BLOCK ((CUdevice_attribute)1)
#define SHARED_BYTES_PER_BLOCK ((CUdevice_attribute)8)
#define THREADS_PER_MULTIPROCESSOR ((CUdevice_attribute)39)

struct npp_size {
    int width, height;
};

struct npp_rect {
    int x, y, width, height;
};

/* NppStreamContext, and room for what later versions add. */
struct npp_context {
    CUstream stream;
    int device, multiprocessors, threads_per_multiprocessor, threads_per_block;
    size_t shared_bytes_per_block;
    int compute_major, compute_minor;
    unsigned stream_flags;
    int reserved[9];
};

struct npp_functions {
    int (*take_apart)(const uint8_t *luma, int luma_pitch, const uint8_t *chroma, int chroma_pitch,
                      uint8_t **ret, int *ret_pitch, struct npp_size size, struct npp_context ctx);
    int (*put_together)(const uint8_t *const *planes, int *pitch, uint8_t *luma, int luma_pitch,
                        uint8_t *chroma, int chroma_pitch, struct npp_size size,
                        struct npp_context ctx);
    int (*resize)(const uint8_t *from, struct npp_size from_size, int from_pitch,
                  struct npp_rect from_area, uint8_t *to, int to_pitch, struct npp_rect to_area,
                  double scale_x, double scale_y, double shift_x, double shift_y, int filter,
                  struct npp_context ctx);
};

struct npp {
    const struct peer_job *job;
    struct npp_functions call;
    struct npp_context context; /* its stream is set at each call */
    /* Of each stream: the source's planes, and those of the rungs. */
    struct surface apart[BENCH_STREAMS_MAX], resized[BENCH_STREAMS_MAX][PEER_RUNGS];
};

static bool npp_load(struct npp_functions *ret)
{
    static const struct symbol convert[] = {
        {"nppiYCbCr420_8u_P2P3R_Ctx", offsetof(struct npp_functions, take_apart)},
        {"nppiYCbCr420_8u_P3P2R_Ctx", offsetof(struct npp_functions, put_together)},
    };
    static const struct symbol resize[] = {
        {"nppiResizeSqrPixel_8u_C1R_Ctx", offsetof(struct npp_functions, resize)},
    };
    static const char *const versions[] = {"13", "12", "11"};
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        char name[2][32];
        snprintf(name[0], sizeof(name[0]), "libnppicc.so.%s", versions[i]);
        snprintf(name[1], sizeof(name[1]), "libnppig.so.%s", versions[i]);
        void *first = dlopen(name[0], RTLD_NOW);
        void *second = dlopen(name[1], RTLD_NOW);
        if (first && second && !symbols_load(first, convert, COUNT_OF(convert), ret) &&
            !symbols_load(second, resize, COUNT_OF(resize), ret)) {
            printf("NPP: %s\n", name[1]);
            return true;
        }
    }
    printf("NPP: not measured, libnppig and libnppicc (13, 12 or 11) are not found (on Debian: "
           "libnppig11 and libnppicc11)\n");
    return false;
}

static int attribute(const struct bench *b, CUdevice_attribute name)
{
    int value = 0;
    CUdevice device = 0;
    const CudaFunctions *cuda = b->driver->cuda;
    bench_check(cuda->cuDeviceGet(&device, gpu_device_info(b->device)->index), "device");
    bench_check(cuda->cuDeviceGetAttribute(&value, name, device), "device");
    return value;
}

struct npp *npp_open(const struct peer_job *job)
{
    struct npp *npp = calloc(1, sizeof(*npp));
    if (!npp)
        bench_die("NPP", "out of memory");
    if (!npp_load(&npp->call)) {
        free(npp);
        return NULL;
    }
    struct bench *b = job->bench;
    const struct gpu_info *info = gpu_device_info(b->device);
    npp->job = job;
    npp->context = (struct npp_context){
        .device = info->index,
        .multiprocessors = info->multiprocessors,
        .threads_per_multiprocessor = attribute(b, THREADS_PER_MULTIPROCESSOR),
        .threads_per_block = attribute(b, THREADS_PER_BLOCK),
        .shared_bytes_per_block = (size_t)attribute(b, SHARED_BYTES_PER_BLOCK),
        .compute_major = info->compute_major,
        .compute_minor = info->compute_minor,
        .stream_flags = STREAM_NON_BLOCKING,
    };
    for (int s = 0; s < BENCH_STREAMS_MAX; s++) {
        npp->apart[s] = surface_new(b, RESIZE_I420, job->width, job->height, 256, false);
        for (int r = 0; r < PEER_RUNGS; r++)
            npp->resized[s][r] =
                surface_new(b, RESIZE_I420, job->sizes[r][0], job->sizes[r][1], 256, false);
    }
    return npp;
}

void npp_close(struct npp *npp)
{
    free(npp);
}

static uint8_t *pointer(const struct surface *s, int plane)
{
    return (uint8_t *)(uintptr_t)s->device.plane[plane];
}

static void npp_check(int status, const char *what)
{
    char text[64];
    snprintf(text, sizeof(text), "NppStatus %d", status);
    if (status != 0)
        bench_die(what, text);
}

static void npp_take_apart(const struct npp *npp, int stream, int n,
                           const struct npp_context *context)
{
    const struct surface *from = &npp->job->in[n % PEER_SURFACES];
    const struct surface *to = &npp->apart[stream];
    uint8_t *planes[3] = {pointer(to, 0), pointer(to, 1), pointer(to, 2)};
    int pitch[3] = {to->device.pitch[0], to->device.pitch[1], to->device.pitch[2]};
    npp_check(npp->call.take_apart(pointer(from, 0), from->device.pitch[0], pointer(from, 1),
                                   from->device.pitch[1], planes, pitch,
                                   (struct npp_size){npp->job->width, npp->job->height}, *context),
              "NPP, taking U and V apart");
}

static void npp_rung(const struct npp *npp, int stream, int n, int rung,
                     const struct npp_context *context)
{
    const struct peer_job *job = npp->job;
    const int width = job->sizes[rung][0];
    const int height = job->sizes[rung][1];
    const struct surface *from = &npp->apart[stream];
    const struct surface *planar = &npp->resized[stream][rung];
    const struct surface *to = &job->out[n % PEER_SURFACES][rung];
    for (int p = 0; p < 3; p++) {
        const int half = p > 0;
        const struct npp_size size = {job->width >> half, job->height >> half};
        npp_check(npp->call.resize(pointer(from, p), size, from->device.pitch[p],
                                   (struct npp_rect){0, 0, size.width, size.height},
                                   pointer(planar, p), planar->device.pitch[p],
                                   (struct npp_rect){0, 0, width >> half, height >> half},
                                   (double)width / job->width, (double)height / job->height, 0, 0,
                                   NPP_CUBIC, *context),
                  "NPP, resizing");
    }
    const uint8_t *planes[3] = {pointer(planar, 0), pointer(planar, 1), pointer(planar, 2)};
    int pitch[3] = {planar->device.pitch[0], planar->device.pitch[1], planar->device.pitch[2]};
    npp_check(npp->call.put_together(planes, pitch, pointer(to, 0), to->device.pitch[0],
                                     pointer(to, 1), to->device.pitch[1],
                                     (struct npp_size){width, height}, *context),
              "NPP, putting U and V together");
}

void npp_frame(struct npp *npp, int stream, int n, bool once)
{
    struct npp_context context = npp->context;
    context.stream = stream_of(npp->job, stream);
    for (int r = 0; r < PEER_RUNGS; r++) {
        if (r == 0 || !once)
            npp_take_apart(npp, stream, n, &context);
        npp_rung(npp, stream, n, r, &context);
    }
}

/* ---- scale_cuda ------------------------------------------------------------------------------ */

#define SCALE_BLOCK_X 32 /* threads of a block, as the filter launches it */
#define SCALE_BLOCK_Y 16
#define SCALE_PARAM 999999.0F /* the filter's default */
#define PTX_BYTES_MAX (16 << 20)

struct scale_cuda {
    const struct peer_job *job;
    CUmodule module;
    CUfunction kernels[2];                  /* of luma, of chroma */
    CUtexObject textures[PEER_SURFACES][2]; /* the same, of the source */
};

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "re");
    char *text = calloc(1, PTX_BYTES_MAX);
    if (!file || !text || fread(text, 1, PTX_BYTES_MAX - 1, file) == 0)
        bench_die(path, "cannot be read");
    fclose(file);
    return text;
}

static CUtexObject texture_new(const struct bench *b, const struct surface *s, int plane, int width,
                               int height)
{
    CUDA_RESOURCE_DESC resource = {.resType = CU_RESOURCE_TYPE_PITCH2D};
    resource.res.pitch2D.devPtr = s->device.plane[plane];
    resource.res.pitch2D.format = CU_AD_FORMAT_UNSIGNED_INT8;
    resource.res.pitch2D.numChannels = plane ? 2 : 1;
    resource.res.pitch2D.width = (size_t)width >> plane;
    resource.res.pitch2D.height = (size_t)height >> plane;
    resource.res.pitch2D.pitchInBytes = (size_t)s->device.pitch[plane];
    const CUDA_TEXTURE_DESC texture = {.filterMode = CU_TR_FILTER_MODE_POINT};
    CUtexObject ret = 0;
    bench_check(b->driver->cuda->cuTexObjectCreate(&ret, &resource, &texture, NULL), "a texture");
    return ret;
}

struct scale_cuda *scale_cuda_open(const struct peer_job *job, const char *ptx_path)
{
    static const char *const names[2] = {"Subsample_Bicubic_nv12_nv12",
                                         "Subsample_Bicubic_nv12_nv12_uv"};
    const CudaFunctions *cuda = job->bench->driver->cuda;
    struct scale_cuda *scale = calloc(1, sizeof(*scale));
    char *text = read_text(ptx_path);
    if (!scale)
        bench_die("scale_cuda", "out of memory");
    scale->job = job;
    bench_check(cuda->cuModuleLoadData(&scale->module, text), ptx_path);
    free(text);
    for (int p = 0; p < 2; p++)
        bench_check(cuda->cuModuleGetFunction(&scale->kernels[p], scale->module, names[p]),
                    names[p]);
    for (int s = 0; s < PEER_SURFACES; s++)
        for (int p = 0; p < 2; p++)
            scale->textures[s][p] =
                texture_new(job->bench, &job->in[s], p, job->width, job->height);
    return scale;
}

void scale_cuda_close(struct scale_cuda *scale)
{
    if (!scale)
        return;
    const CudaFunctions *cuda = scale->job->bench->driver->cuda;
    for (int s = 0; s < PEER_SURFACES; s++)
        for (int p = 0; p < 2; p++)
            cuda->cuTexObjectDestroy(scale->textures[s][p]);
    cuda->cuModuleUnload(scale->module);
    free(scale);
}

void scale_cuda_frame(struct scale_cuda *scale, int stream, int n)
{
    const struct peer_job *job = scale->job;
    const CudaFunctions *cuda = job->bench->driver->cuda;
    n %= PEER_SURFACES;
    for (int r = 0; r < PEER_RUNGS; r++)
        for (int p = 0; p < 2; p++) {
            const struct surface *out = &job->out[n][r];
            CUtexObject from[4] = {scale->textures[n][0], scale->textures[n][1]};
            CUdeviceptr to[4] = {out->device.plane[0], out->device.plane[1]};
            int width = job->sizes[r][0] >> p;
            int height = job->sizes[r][1] >> p;
            int pitch = out->device.pitch[p];
            int src_width = job->width >> p;
            int src_height = job->height >> p;
            float param = SCALE_PARAM;
            void *params[] = {&from[0], &from[1],   &from[2],    &from[3], &to[0],
                              &to[1],   &to[2],     &to[3],      &width,   &height,
                              &pitch,   &src_width, &src_height, &param};
            bench_check(cuda->cuLaunchKernel(scale->kernels[p],
                                             (unsigned)(width + SCALE_BLOCK_X - 1) / SCALE_BLOCK_X,
                                             (unsigned)(height + SCALE_BLOCK_Y - 1) / SCALE_BLOCK_Y,
                                             1, SCALE_BLOCK_X, SCALE_BLOCK_Y, 1, 0,
                                             stream_of(job, stream), params, NULL),
                        "scale_cuda");
        }
}
