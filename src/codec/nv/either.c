#include "codec/nv/either.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/decoder.h"
#include "codec/nv/decoder.h"

struct either {
    const struct decoder_ops *ops;
    void *decoder;
    char codec[CODEC_NAME_MAX];
    int device;
    struct error why; /* the device does not decode it; where the CPU does */
};

static int open_one(struct either *e, const struct decoder_params *params, struct error *err)
{
    e->ops = &nv_decoder_ops;
    const int rc = nv_decoder_ops.open(&e->decoder, params, &e->why);
    if (rc == RGPU_ERROR_UNSUPPORTED && !params->no_fallback) {
        e->ops = &cpu_decoder_ops;
        return cpu_decoder_ops.open(&e->decoder, params, err);
    }
    return rc == 0 ? 0
                   : error_set(err, rc, "%s%s", e->why.text,
                               rc == RGPU_ERROR_UNSUPPORTED
                                   ? "; without --no-fallback the CPU decodes it"
                                   : "");
}

static int either_open(void **ret, const struct decoder_params *params, struct error *err)
{
    struct either *e = calloc(1, sizeof(*e));
    if (!e)
        return error_memory(err, "a decoder");
    snprintf(e->codec, sizeof(e->codec), "%s", params->track->codec);
    e->device = params->device;
    const int rc = open_one(e, params, err);
    if (rc != 0) {
        free(e);
        return rc;
    }
    *ret = e;
    return 0;
}

static int either_send(void *handle, const struct packet *pkt, struct error *err)
{
    const struct either *e = handle;
    return e->ops->send(e->decoder, pkt, err);
}

static int either_receive(void *handle, struct frame **ret, struct error *err)
{
    const struct either *e = handle;
    return e->ops->receive(e->decoder, ret, err);
}

static void either_reset(void *handle)
{
    const struct either *e = handle;
    e->ops->reset(e->decoder);
}

/* Puts in front of what the CPU's decoder has to say that it is the CPU's, and why. What would be
 * too long ends behind a whole word. */
static void say_why(const struct either *e, char note[DECODER_NOTE_MAX])
{
    char said[DECODER_NOTE_MAX];
    memcpy(said, note, sizeof(said));
    const int length =
        snprintf(note, DECODER_NOTE_MAX, "cuda:%d cannot decode this %s, the CPU does: %s%s%s",
                 e->device, e->codec, e->why.text, said[0] ? "; " : "", said);
    char *space = length >= DECODER_NOTE_MAX ? strrchr(note, ' ') : NULL;
    if (space)
        *space = '\0';
}

static void either_stats(void *handle, struct decoder_stats *ret)
{
    const struct either *e = handle;
    e->ops->stats(e->decoder, ret);
    if (e->ops == &cpu_decoder_ops)
        say_why(e, ret->note);
}

static void either_close(void *handle)
{
    struct either *e = handle;
    if (!e)
        return;
    e->ops->close(e->decoder);
    free(e);
}

const struct decoder_ops nv_either_ops = {
    .open = either_open,
    .send = either_send,
    .receive = either_receive,
    .reset = either_reset,
    .stats = either_stats,
    .close = either_close,
};
