#include "codec/nv/deinterlace.h"

#include <stdlib.h>

#include "codec/cpu/deinterlace.h"
#include "codec/nv/plain.h"

struct deinterlace {
    struct nv_plain *plain;
    void *cpu;
    int device;
    struct frame *host; /* came down, but the filter was full: it gets this one first */
};

static void deinterlace_close(void *handle)
{
    struct deinterlace *f = handle;
    if (!f)
        return;
    frame_unref(&f->host);
    nv_plain_close(&f->plain);
    if (f->cpu)
        cpu_deinterlace_ops.close(f->cpu);
    free(f);
}

static int deinterlace_open(void **ret, const struct filter_params *params, struct error *err)
{
    struct filter_params host = *params;
    struct deinterlace *f = calloc(1, sizeof(*f));
    if (!f)
        return error_memory(err, "a deinterlacer");
    f->device = params->device;
    host.format = nv_plain_format(params->format);
    const int rc = cpu_deinterlace_ops.open(&f->cpu, &host, err);
    if (rc != 0) {
        deinterlace_close(f);
        return rc;
    }
    *ret = f;
    return 0;
}

static int deinterlace_send(void *handle, struct frame *frame, struct error *err)
{
    struct deinterlace *f = handle;
    if (!frame || frame->place == PLACE_HOST)
        return cpu_deinterlace_ops.send(f->cpu, frame, err);
    int rc = 0;
    if (!f->host) {
        rc = f->plain ? 0 : nv_plain_open(&f->plain, f->device, err);
        if (rc == 0)
            rc = nv_plain_run(f->plain, frame, &f->host, err);
    }
    if (rc == 0)
        rc = cpu_deinterlace_ops.send(f->cpu, f->host, err);
    if (rc != RGPU_ERROR_AGAIN)
        frame_unref(&f->host);
    return rc;
}

static int deinterlace_receive(void *handle, struct frame **ret, struct error *err)
{
    const struct deinterlace *f = handle;
    return cpu_deinterlace_ops.receive(f->cpu, ret, err);
}

const struct filter_ops nv_deinterlace_ops = {
    .open = deinterlace_open,
    .send = deinterlace_send,
    .receive = deinterlace_receive,
    .close = deinterlace_close,
};
