#include "codec/nv/plain.h"

#include <stdlib.h>

#include "codec/nv/download.h"

struct nv_plain {
    struct gpu_device *device;
    struct nv_download *download; /* for frames of the shape below */
    struct scaler_params params;
};

int nv_plain_open(struct nv_plain **ret, int device, struct error *err)
{
    struct nv_plain *p = calloc(1, sizeof(*p));
    if (!p)
        return error_memory(err, "a copy to the host");
    const int rc = gpu_open(&p->device, device, err);
    if (rc != 0) {
        free(p);
        return rc;
    }
    p->params.device = device;
    *ret = p;
    return 0;
}

void nv_plain_close(struct nv_plain **plain)
{
    struct nv_plain *p = *plain;
    *plain = NULL;
    if (!p)
        return;
    nv_download_close(&p->download);
    gpu_close(&p->device);
    free(p);
}

enum pixel_format nv_plain_format(enum pixel_format format)
{
    switch (format) {
    case PIXEL_NV12:
        return PIXEL_YUV420P;
    case PIXEL_P010:
        return PIXEL_YUV420P10;
    default:
        return format;
    }
}

/* Opened anew for pictures of another shape. */
static int prepare(struct nv_plain *p, const struct frame *source, struct error *err)
{
    if (p->download && p->params.width == source->width && p->params.height == source->height &&
        p->params.format == source->format)
        return 0;
    nv_download_close(&p->download);
    p->params.width = source->width;
    p->params.height = source->height;
    p->params.format = source->format;
    p->params.outputs_count = 1;
    p->params.outputs[0] =
        (struct scaler_output){source->width, source->height, nv_plain_format(source->format), {0}};
    return nv_download_open(&p->download, &p->params, err);
}

int nv_plain_run(struct nv_plain *p, struct frame *source, struct frame **ret, struct error *err)
{
    struct frame *host = NULL;
    int rc = prepare(p, source, err);
    if (rc == 0)
        rc = nv_download_run(p->download, source, 1, &host, err);
    if (rc == 0)
        rc = nv_frame_wait(p->device, host, err);
    if (rc != 0) {
        frame_unref(&host);
        return rc;
    }
    host->sample_aspect = source->sample_aspect;
    *ret = host;
    return 0;
}
