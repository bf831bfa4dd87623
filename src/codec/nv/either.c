#include "codec/nv/either.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/decoder.h"
#include "codec/nv/decoder.h"

struct either {
    void *own;     /* the device's; NULL: it does not decode this */
    void *cpu;     /* NULL: not needed so far */
    bool on_cpu;   /* which of them is in use */
    bool leaving;  /* the CPU goes on once the device's frames are out */
    bool has_left; /* once or more often */
    struct decoder_params params;
    struct track track;
    struct error why; /* the device does not decode it; where the CPU does */
    /* Packets that both have counted, and ends of the stream that the device refused. */
    int64_t sent_twice, lost;
};

static const struct decoder_ops *ops_of(const struct either *e)
{
    return e->on_cpu ? &cpu_decoder_ops : &nv_decoder_ops;
}

static void *decoder_of(const struct either *e)
{
    return e->on_cpu ? e->cpu : e->own;
}

static int open_cpu(struct either *e, struct error *err)
{
    const int rc = e->cpu ? 0 : cpu_decoder_ops.open(&e->cpu, &e->params, err);
    e->on_cpu = rc == 0;
    return rc;
}

static int open_one(struct either *e, struct error *err)
{
    const int rc = nv_decoder_ops.open(&e->own, &e->params, &e->why);
    if (rc == RGPU_ERROR_UNSUPPORTED && !e->params.no_fallback)
        return open_cpu(e, err);
    return rc == 0 ? 0
                   : error_set(err, rc, "%s%s", e->why.text,
                               rc == RGPU_ERROR_UNSUPPORTED
                                   ? "; without --no-fallback the CPU decodes it"
                                   : "");
}

static void either_close(void *handle)
{
    struct either *e = handle;
    if (!e)
        return;
    if (e->own)
        nv_decoder_ops.close(e->own);
    if (e->cpu)
        cpu_decoder_ops.close(e->cpu);
    track_done(&e->track);
    free(e);
}

static int either_open(void **ret, const struct decoder_params *params, struct error *err)
{
    struct either *e = calloc(1, sizeof(*e));
    if (!e)
        return error_memory(err, "a decoder");
    e->track = track_share(params->track);
    e->params = *params;
    e->params.track = &e->track;
    const int rc = open_one(e, err);
    if (rc != 0) {
        either_close(e);
        return rc;
    }
    *ret = e;
    return 0;
}

/* Where the stream changes to what the device does not decode, or damage makes it seem so, the CPU
 * goes on with the packet that says so: the next reset gives the device another try. */
static int either_send(void *handle, const struct packet *pkt, struct error *err)
{
    struct either *e = handle;
    if (e->leaving)
        return RGPU_ERROR_AGAIN;
    struct error why = {0};
    const int rc = ops_of(e)->send(decoder_of(e), pkt, &why);
    if (rc == RGPU_ERROR_UNSUPPORTED && !e->on_cpu && !e->params.no_fallback) {
        e->why = why;
        e->leaving = e->has_left = true;
        *(pkt ? &e->sent_twice : &e->lost) += 1;
        return RGPU_ERROR_AGAIN;
    }
    if (rc != 0 && rc != RGPU_ERROR_AGAIN)
        return error_set(err, rc, "%s%s", why.text,
                         rc == RGPU_ERROR_UNSUPPORTED && !e->on_cpu
                             ? "; without --no-fallback the CPU goes on"
                             : "");
    return rc;
}

static int either_receive(void *handle, struct frame **ret, struct error *err)
{
    struct either *e = handle;
    int rc = ops_of(e)->receive(decoder_of(e), ret, err);
    if (e->leaving && (rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END)) {
        e->leaving = false;
        rc = open_cpu(e, err);
        return rc != 0 ? rc : RGPU_ERROR_AGAIN;
    }
    return rc;
}

static void either_reset(void *handle)
{
    struct either *e = handle;
    if (e->own)
        nv_decoder_ops.reset(e->own);
    if (e->cpu)
        cpu_decoder_ops.reset(e->cpu);
    e->on_cpu = !e->own;
    e->leaving = false;
}

/* Puts in front of what the CPU's decoder has to say that it is the CPU's, and why. What would be
 * too long ends behind a whole word. */
static void say_why(const struct either *e, char note[DECODER_NOTE_MAX])
{
    char said[DECODER_NOTE_MAX];
    memcpy(said, note, sizeof(said));
    const int length = snprintf(note, DECODER_NOTE_MAX, "cuda:%d cannot decode %s %s, %s: %s%s%s",
                                e->params.device, e->own ? "all of this" : "this", e->track.codec,
                                e->own ? "the CPU goes on" : "the CPU does", e->why.text,
                                said[0] ? "; " : "", said);
    char *space = length >= DECODER_NOTE_MAX ? strrchr(note, ' ') : NULL;
    if (space)
        *space = '\0';
}

static void either_stats(void *handle, struct decoder_stats *ret)
{
    const struct either *e = handle;
    struct decoder_stats own = {0};
    *ret = (struct decoder_stats){0};
    if (e->own)
        nv_decoder_ops.stats(e->own, &own);
    if (e->cpu)
        cpu_decoder_ops.stats(e->cpu, ret);
    ret->packets += own.packets - e->sent_twice;
    ret->frames += own.frames;
    ret->corrupt_frames += own.corrupt_frames;
    ret->failed_packets += own.failed_packets + e->lost;
    if (!e->own || e->has_left)
        say_why(e, ret->note);
}

const struct decoder_ops nv_either_ops = {
    .open = either_open,
    .send = either_send,
    .receive = either_receive,
    .reset = either_reset,
    .stats = either_stats,
    .close = either_close,
};
