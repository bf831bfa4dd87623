#include "codec/nv/scaler.h"

#include <stdlib.h>

#include "codec/cpu/scaler.h"
#include "codec/nv/download.h"
#include "codec/nv/plain.h"

struct scaler {
    struct scaler_params params;
    struct nv_download *download; /* for device frames that the kernel can do all of */
    struct nv_plain *plain;       /* for those that it cannot */
    void *cpu;                    /* for host frames */
};

static void scaler_close(void *handle)
{
    struct scaler *s = handle;
    if (!s)
        return;
    nv_download_close(&s->download);
    nv_plain_close(&s->plain);
    if (s->cpu)
        cpu_scaler_ops.close(s->cpu);
    free(s);
}

/* Where the pictures live is seen at the first of them: there the parts are opened. */
static int scaler_open(void **ret, const struct scaler_params *params, struct error *err)
{
    struct scaler *s = calloc(1, sizeof(*s));
    if (!s)
        return error_memory(err, "a scaler");
    s->params = *params;
    *ret = s;
    return 0;
}

static int run_host(struct scaler *s, struct frame *source, uint32_t mask, struct frame **ret,
                    struct error *err)
{
    int rc = 0;
    if (!s->cpu) {
        struct scaler_params params = s->params;
        params.format = source->format;
        for (int i = 0; i < params.outputs_count; i++)
            params.outputs[i].format = nv_plain_format(params.outputs[i].format);
        rc = cpu_scaler_ops.open(&s->cpu, &params, err);
    }
    return rc == 0 ? cpu_scaler_ops.run(s->cpu, source, mask, ret, err) : rc;
}

static int run_device(struct scaler *s, struct frame *source, uint32_t mask, struct frame **ret,
                      struct error *err)
{
    if (nv_download_can(&s->params)) {
        const int rc = s->download ? 0 : nv_download_open(&s->download, &s->params, err);
        return rc == 0 ? nv_download_run(s->download, source, mask, ret, err) : rc;
    }
    struct frame *host = NULL;
    int rc = s->plain ? 0 : nv_plain_open(&s->plain, s->params.device, err);
    if (rc == 0)
        rc = nv_plain_run(s->plain, source, &host, err);
    if (rc == 0)
        rc = run_host(s, host, mask, ret, err);
    frame_unref(&host);
    return rc;
}

static int scaler_run(void *handle, struct frame *source, uint32_t mask, struct frame **ret,
                      struct error *err)
{
    return source->place == PLACE_DEVICE ? run_device(handle, source, mask, ret, err)
                                         : run_host(handle, source, mask, ret, err);
}

const struct scaler_ops nv_scaler_ops = {
    .open = scaler_open,
    .run = scaler_run,
    .close = scaler_close,
};
