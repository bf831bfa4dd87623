#include "codec/nv/either.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/decoder.h"
#include "codec/nv/decoder.h"

struct either {
    void *own;     /* the device's; NULL: it does not decode this */
    void *cpu;     /* NULL: not needed so far */
    bool on_cpu;   /* which of them gets packets */
    bool leaving;  /* the device's frames are not all out: they come before the CPU's */
    bool has_left; /* once or more often */
    struct decoder_params params;
    struct track track;
    struct error why;   /* the device does not decode it; where the CPU does */
    int64_t sent_twice; /* packets that both have counted */
};

static int open_cpu(struct either *e, struct error *err)
{
    struct error failed = {0};
    const int rc = e->cpu ? 0 : cpu_decoder_ops.open(&e->cpu, &e->params, &failed);
    e->on_cpu = rc == 0;
    return rc == 0 ? 0
                   : error_set(err, rc, "%.240s; cuda:%d does not decode it: %.240s", failed.text,
                               e->params.device, e->why.text);
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

static int64_t own_packets(const struct either *e)
{
    struct decoder_stats stats;
    nv_decoder_ops.stats(e->own, &stats);
    return stats.packets;
}

/* Gives a packet to the device. Where the stream changes to what that does not decode, or damage
 * makes it seem so, it is the CPU's turn with the packet, and until the next reset. */
static int send_own(struct either *e, const struct packet *pkt, struct error *err)
{
    const int64_t before = own_packets(e);
    struct error why = {0};
    int rc = nv_decoder_ops.send(e->own, pkt, &why);
    if (rc == RGPU_ERROR_UNSUPPORTED && !e->params.no_fallback) {
        e->why = why;
        rc = open_cpu(e, err);
        if (rc != 0)
            return rc;
        e->sent_twice += own_packets(e) - before;
        e->leaving = e->has_left = true;
        return 0;
    }
    return rc == 0 || rc == RGPU_ERROR_AGAIN
               ? rc
               : error_set(err, rc, "%s%s", why.text,
                           rc == RGPU_ERROR_UNSUPPORTED ? "; without --no-fallback the CPU goes on"
                                                        : "");
}

static int either_send(void *handle, const struct packet *pkt, struct error *err)
{
    struct either *e = handle;
    const int rc = e->on_cpu ? 0 : send_own(e, pkt, err);
    return rc == 0 && e->on_cpu ? cpu_decoder_ops.send(e->cpu, pkt, err) : rc;
}

static int either_receive(void *handle, struct frame **ret, struct error *err)
{
    struct either *e = handle;
    if (!e->on_cpu || e->leaving) {
        const int rc = nv_decoder_ops.receive(e->own, ret, err);
        if (!e->on_cpu || (rc != RGPU_ERROR_AGAIN && rc != RGPU_ERROR_END))
            return rc;
        e->leaving = false;
    }
    return cpu_decoder_ops.receive(e->cpu, ret, err);
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
    ret->failed_packets += own.failed_packets;
    ret->wants_reset = e->own && e->on_cpu;
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
