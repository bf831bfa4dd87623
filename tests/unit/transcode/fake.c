#include "fake.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INSIDE_MAX 4096

struct fake fake;

/* Sessions of several lanes open theirs at the same time. */
static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;

const char *const fake_op_names[FAKE_OPS] = {"decoder open", "decoder send",    "decoder receive",
                                             "scaler open",  "scaler run",      "encoder open",
                                             "encoder send", "encoder receive", "filter open",
                                             "filter send",  "filter receive"};

void fake_reset(void)
{
    assert(!fake.frames_alive && !fake.handles_alive);
    fake = (struct fake){0};
}

/* Counts a call; true where it has to fail. */
static bool fails(enum fake_op op, struct error *err)
{
    int call = __atomic_add_fetch(&fake.calls[op], 1, __ATOMIC_RELAXED);
    if (call != fake.fail_call[op])
        return false;
    error_set(err, RGPU_ERROR_DEVICE, "fake %s failed", fake_op_names[op]);
    return true;
}

static void handle_add(int n)
{
    __atomic_add_fetch(&fake.handles_alive, n, __ATOMIC_RELAXED);
}

/* ---- frames and packets --------------------------------------------------------------------- */

static void release_counted(void *opaque, struct frame *frame)
{
    (void)opaque;
    __atomic_sub_fetch(&fake.frames_alive, 1, __ATOMIC_RELAXED);
    free(frame);
}

static struct frame *counted_frame(enum pixel_format format, int width, int height)
{
    struct frame *frame = frame_new(format, width, height);
    assert(frame);
    frame->release = release_counted;
    int alive = __atomic_add_fetch(&fake.frames_alive, 1, __ATOMIC_RELAXED);
    int peak = __atomic_load_n(&fake.frames_peak, __ATOMIC_RELAXED);
    while (alive > peak && !__atomic_compare_exchange_n(&fake.frames_peak, &peak, alive, false,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
    return frame;
}

struct frame *fake_frame(const struct fake_source *source)
{
    struct frame *frame = counted_frame(PIXEL_YUV420P, source->width ? source->width : 64,
                                        source->height ? source->height : 32);
    memcpy(frame->data[0], &source->pts, sizeof(source->pts));
    frame->pts = source->no_pts ? PTS_NONE : source->pts;
    frame->duration = source->duration;
    frame->flags = source->flags;
    if (source->side)
        frame->side[0] = (struct frame_side){source->side, buffer_new(8)};
    return frame;
}

struct packet fake_packet(const struct fake_source *source, uint64_t ordinal)
{
    struct packet pkt = {.buf = buffer_copy(source, sizeof(*source)),
                         .pts = source->pts,
                         .dts = PTS_NONE,
                         .duration = source->duration,
                         .ordinal = ordinal,
                         .flags = source->rap ? PACKET_KEY : 0};
    pkt.data = pkt.buf->data;
    pkt.size = pkt.buf->size;
    return pkt;
}

/* ---- decoder -------------------------------------------------------------------------------- */

struct fake_decoder {
    struct frame *inside[INSIDE_MAX]; /* in display order */
    int count;
    int raps; /* since the reset */
    bool draining;
    struct decoder_stats stats;
};

static int dec_open(void **ret, const struct decoder_params *params, struct error *err)
{
    assert(params->track->time_base.den > 0);
    if (fails(FAKE_DECODER_OPEN, err))
        return RGPU_ERROR_DEVICE;
    *ret = calloc(1, sizeof(struct fake_decoder));
    handle_add(1);
    return 0;
}

static int dec_send(void *handle, const struct packet *pkt, struct error *err)
{
    struct fake_decoder *d = handle;
    if (fails(FAKE_DECODER_SEND, err))
        return RGPU_ERROR_DEVICE;
    if (!pkt) {
        d->draining = true;
        return 0;
    }
    assert(!d->draining);
    if (d->count > fake.decoder_delay)
        return RGPU_ERROR_AGAIN;
    struct fake_source source;
    memcpy(&source, pkt->data, sizeof(source));
    d->stats.packets++;
    d->raps += source.rap;
    assert(d->raps > 0); /* decoding starts at a random-access point */
    if (source.refused) {
        d->stats.failed_packets++;
        return 0;
    }
    /* What lacks its references comes out damaged. */
    if (source.leading && d->raps == 1)
        source.flags |= FRAME_CORRUPT;
    assert(d->count < INSIDE_MAX);
    int at = d->count++;
    for (; at > 0 && d->inside[at - 1]->pts > source.pts; at--)
        d->inside[at] = d->inside[at - 1];
    d->inside[at] = fake_frame(&source);
    return 0;
}

static int dec_receive(void *handle, struct frame **ret, struct error *err)
{
    struct fake_decoder *d = handle;
    if (fails(FAKE_DECODER_RECEIVE, err))
        return RGPU_ERROR_DEVICE;
    if (d->count <= (d->draining ? 0 : fake.decoder_delay))
        return d->draining ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
    *ret = d->inside[0];
    memmove(&d->inside[0], &d->inside[1], (size_t)--d->count * sizeof(struct frame *));
    d->stats.frames++;
    return 0;
}

static void dec_reset(void *handle)
{
    struct fake_decoder *d = handle;
    for (int i = 0; i < d->count; i++)
        frame_unref(&d->inside[i]);
    d->count = 0;
    d->raps = 0;
    d->draining = false;
}

static void dec_stats(void *handle, struct decoder_stats *ret)
{
    struct fake_decoder *d = handle;
    *ret = d->stats;
}

static void dec_close(void *handle)
{
    dec_reset(handle);
    free(handle);
    handle_add(-1);
}

static const struct decoder_ops decoder = {.open = dec_open,
                                           .send = dec_send,
                                           .receive = dec_receive,
                                           .reset = dec_reset,
                                           .stats = dec_stats,
                                           .close = dec_close};

/* ---- scaler --------------------------------------------------------------------------------- */

static int sc_open(void **ret, const struct scaler_params *params, struct error *err)
{
    if (fails(FAKE_SCALER_OPEN, err))
        return RGPU_ERROR_DEVICE;
    struct scaler_params *p = malloc(sizeof(*p));
    *p = *params;
    *ret = p;
    pthread_mutex_lock(&last_lock);
    fake.scaler_interlaced = params->interlaced;
    pthread_mutex_unlock(&last_lock);
    __atomic_add_fetch(&fake.scaler_opens, 1, __ATOMIC_RELAXED);
    handle_add(1);
    return 0;
}

static int sc_run(void *handle, struct frame *source, uint32_t mask, struct frame **ret,
                  struct error *err)
{
    const struct scaler_params *p = handle;
    if (fails(FAKE_SCALER_RUN, err))
        return RGPU_ERROR_DEVICE;
    assert(source->width == p->width && source->height == p->height && source->format == p->format);
    for (int i = 0; i < p->outputs_count; i++) {
        if (!(mask & 1u << i))
            continue;
        const struct scaler_output *o = &p->outputs[i];
        if (o->width == p->width && o->height == p->height && o->format == p->format) {
            ret[i] = frame_ref(source);
            continue;
        }
        ret[i] = counted_frame(o->format, o->width, o->height);
        frame_copy_props(ret[i], source);
        memcpy(ret[i]->data[0], source->data[0], sizeof(int64_t));
    }
    return 0;
}

static void sc_close(void *handle)
{
    free(handle);
    handle_add(-1);
}

static const struct scaler_ops scaler = {.open = sc_open, .run = sc_run, .close = sc_close};

/* ---- encoder -------------------------------------------------------------------------------- */

/* Groups of frames: the last of each is coded first, as P-frames are before their B-frames. */
struct fake_encoder {
    struct encoder_params params;
    struct fake_coded group[64];
    int group_count;
    struct fake_coded ready[INSIDE_MAX]; /* in decode order */
    int head, count;
    int64_t frames, last_clock;
    bool draining;
};

static enum pixel_format enc_format(int device, const char *codec, const char *profile,
                                    enum pixel_format source)
{
    (void)device;
    (void)profile;
    (void)source;
    return strcmp(codec, "h264") && strcmp(codec, "hevc") ? PIXEL_NONE : PIXEL_YUV420P;
}

static int enc_open(void **ret, const struct encoder_params *params, struct error *err)
{
    if (fails(FAKE_ENCODER_OPEN, err))
        return RGPU_ERROR_DEVICE;
    struct fake_encoder *e = calloc(1, sizeof(*e));
    e->params = *params;
    *ret = e;
    if (params->width == 64) {
        pthread_mutex_lock(&last_lock);
        fake.last_params = *params;
        pthread_mutex_unlock(&last_lock);
    }
    __atomic_add_fetch(&fake.encoder_opens, 1, __ATOMIC_RELAXED);
    handle_add(1);
    return 0;
}

static void enc_header(void *handle, struct encoder_header *ret)
{
    (void)handle;
    *ret = (struct encoder_header){.extradata = buffer_copy("head", 4), .reorder_frames = 2};
}

static void finish_group(struct fake_encoder *e)
{
    for (int i = 0; i < e->group_count; i++) {
        assert(e->count < INSIDE_MAX);
        int from = i == 0 ? e->group_count - 1 : i - 1;
        e->ready[(e->head + e->count++) % INSIDE_MAX] = e->group[from];
    }
    e->group_count = 0;
}

static int enc_send(void *handle, struct frame *frame, struct error *err)
{
    struct fake_encoder *e = handle;
    if (fails(FAKE_ENCODER_SEND, err))
        return RGPU_ERROR_DEVICE;
    if (!frame) {
        finish_group(e);
        e->draining = true;
        return 0;
    }
    assert(!e->draining);
    if (e->count > fake.encoder_lookahead)
        return RGPU_ERROR_AGAIN;
    assert(frame->width == e->params.width && frame->height == e->params.height);
    assert(frame->format == e->params.format);
    assert(e->frames > 0 || frame->flags & FRAME_KEY);
    if (e->frames > 0) {
        assert(frame->pts > e->last_clock);
        int64_t step = frame->pts - e->last_clock;
        int64_t max = __atomic_load_n(&fake.clock_step_max, __ATOMIC_RELAXED);
        while (step > max && !__atomic_compare_exchange_n(&fake.clock_step_max, &max, step, false,
                                                          __ATOMIC_RELAXED, __ATOMIC_RELAXED))
            ;
    }
    e->last_clock = frame->pts;
    if (fake.encoder_delay_us)
        usleep((useconds_t)fake.encoder_delay_us);
    if (e->frames++ % 10 == 9 && fake.encoder_loses)
        return 0;
    struct fake_coded coded = {.clock = frame->pts,
                               .width = frame->width,
                               .height = frame->height,
                               .key = frame->flags & FRAME_KEY};
    memcpy(&coded.source_pts, frame->data[0], sizeof(coded.source_pts));
    if (coded.key)
        finish_group(e);
    e->group[e->group_count++] = coded;
    if (coded.key || e->group_count > fake.encoder_bframes)
        finish_group(e);
    return 0;
}

static int enc_receive(void *handle, struct packet *ret, struct error *err)
{
    struct fake_encoder *e = handle;
    if (fails(FAKE_ENCODER_RECEIVE, err))
        return RGPU_ERROR_DEVICE;
    if (e->count <= (e->draining ? 0 : fake.encoder_lookahead))
        return e->draining ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
    const struct fake_coded coded = e->ready[e->head];
    e->head = (e->head + 1) % INSIDE_MAX;
    e->count--;
    *ret = (struct packet){.buf = buffer_copy(&coded, sizeof(coded)),
                           .pts = coded.clock,
                           .dts = PTS_NONE,
                           .flags = coded.key && !fake.encoder_ignores_keys ? PACKET_KEY : 0};
    ret->data = ret->buf->data;
    ret->size = ret->buf->size;
    return 0;
}

static void enc_close(void *handle)
{
    free(handle);
    handle_add(-1);
}

static const struct encoder_ops encoder = {.format = enc_format,
                                           .open = enc_open,
                                           .header = enc_header,
                                           .send = enc_send,
                                           .receive = enc_receive,
                                           .close = enc_close};

/* ---- filter: one frame late ----------------------------------------------------------------- */

struct fake_filter {
    struct frame *inside[3];
    int count;
    bool draining;
};

static int fil_open(void **ret, const struct filter_params *params, struct error *err)
{
    (void)params;
    if (fails(FAKE_FILTER_OPEN, err))
        return RGPU_ERROR_DEVICE;
    *ret = calloc(1, sizeof(struct fake_filter));
    handle_add(1);
    return 0;
}

static int fil_send(void *handle, struct frame *frame, struct error *err)
{
    struct fake_filter *f = handle;
    if (fails(FAKE_FILTER_SEND, err))
        return RGPU_ERROR_DEVICE;
    if (!frame) {
        f->draining = true;
        return 0;
    }
    if (f->count == 2)
        return RGPU_ERROR_AGAIN;
    struct frame *out = counted_frame(frame->format, frame->width, frame->height);
    frame_copy_props(out, frame);
    memcpy(out->data[0], frame->data[0], sizeof(int64_t));
    out->flags &= ~(uint32_t)(FRAME_INTERLACED | FRAME_TOP_FIRST);
    f->inside[f->count++] = out;
    return 0;
}

static int fil_receive(void *handle, struct frame **ret, struct error *err)
{
    struct fake_filter *f = handle;
    if (fails(FAKE_FILTER_RECEIVE, err))
        return RGPU_ERROR_DEVICE;
    if (f->count <= (f->draining ? 0 : 1))
        return f->draining ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
    *ret = f->inside[0];
    f->inside[0] = f->inside[1];
    f->count--;
    return 0;
}

static void fil_close(void *handle)
{
    struct fake_filter *f = handle;
    for (int i = 0; i < f->count; i++)
        frame_unref(&f->inside[i]);
    free(f);
    handle_add(-1);
}

static const struct filter_ops filter = {
    .open = fil_open, .send = fil_send, .receive = fil_receive, .close = fil_close};

/* ---- backend -------------------------------------------------------------------------------- */

static int devices(struct device_info *ret, int max)
{
    if (max > 0)
        *ret = (struct device_info){.kind = DEVICE_CPU, .name = "fake", .cores = 4};
    return 1;
}

static void examine(struct device_info *device)
{
    device->encodes = true;
}

const struct codec_backend *codec_backend(enum device_kind kind)
{
    static const struct codec_backend with = {.name = "fake",
                                              .devices = devices,
                                              .examine = examine,
                                              .decoder = &decoder,
                                              .scaler = &scaler,
                                              .encoder = &encoder,
                                              .deinterlacer = &filter};
    static const struct codec_backend without = {.name = "fake",
                                                 .devices = devices,
                                                 .examine = examine,
                                                 .decoder = &decoder,
                                                 .scaler = &scaler,
                                                 .encoder = &encoder};
    if (kind != DEVICE_CPU)
        return NULL;
    return fake.no_deinterlacer ? &without : &with;
}
