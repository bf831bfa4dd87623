#include "codec/cpu/decoder.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/avframe.h"
#include "codec/cpu/backend.h"
#include "codec/cpu/stream_watch.h"

#define ERRORS_IN_A_ROW_MAX 256 /* then the caller gets to send more */

/* Time stamps waiting for their frames, the smallest on top (a binary heap). */
struct order {
    int64_t items[DECODER_ORDER_MAX];
    int count;
    int64_t sent[DECODER_THREADS_MAX]; /* of the last packets, a ring; PTS_NONE: had none */
    unsigned sent_count;
};

struct cpu_decoder {
    AVCodecContext *ctx;
    AVPacket *packet; /* empty between calls, as `frame` but for `has_frame` */
    AVFrame *frame;
    struct avframe_converter converter;
    struct stream_watch *watch; /* owned; NULL: the codec needs none */
    struct stream_facts facts;  /* of the packet that is to be sent again */
    bool has_facts;
    bool fed;                      /* something is, or may be, inside */
    bool turning;                  /* what is inside is being brought out, between two packets */
    bool has_frame;                /* `frame` waits to be given */
    struct hdr hdr;                /* of the track, for frames that carry none */
    struct rational sample_aspect; /* the container's; num 0: the stream's own counts */
    bool draining;
    bool by_order;
    struct order order;
    struct decoder_stats stats;
};

/* ---- time stamps by order -------------------------------------------------------------------- */

/* Fills place `at`, which is free, with the last item. */
static void order_fill(struct order *o, int at)
{
    const int64_t last = o->items[--o->count];
    for (; at > 0 && o->items[(at - 1) / 2] > last; at = (at - 1) / 2)
        o->items[at] = o->items[(at - 1) / 2];
    for (;;) {
        int child = 2 * at + 1;
        if (child >= o->count)
            break;
        if (child + 1 < o->count && o->items[child + 1] < o->items[child])
            child++;
        if (o->items[child] >= last)
            break;
        o->items[at] = o->items[child];
        at = child;
    }
    o->items[at] = last;
}

static int64_t order_pop(struct order *o)
{
    if (o->count == 0)
        return PTS_NONE;
    const int64_t top = o->items[0];
    order_fill(o, 0);
    return top;
}

static void order_remove(struct order *o, int64_t value)
{
    for (int i = 0; i < o->count; i++) {
        if (o->items[i] == value) {
            order_fill(o, i);
            return;
        }
    }
}

static void order_push(struct order *o, int64_t value)
{
    if (o->count == DECODER_ORDER_MAX)
        order_pop(o);
    int at = o->count++;
    for (; at > 0 && o->items[(at - 1) / 2] > value; at = (at - 1) / 2)
        o->items[at] = o->items[(at - 1) / 2];
    o->items[at] = value;
}

static void order_sent(struct order *o, int64_t value)
{
    o->sent[o->sent_count++ % DECODER_THREADS_MAX] = value;
    if (value != PTS_NONE)
        order_push(o, value);
}

/* ---- open ------------------------------------------------------------------------------------ */

/* Best software decoder for a codec. libavcodec lists its own native one first, which for AV1 only
 * works with hardware. */
static const AVCodec *find_decoder(enum AVCodecID id)
{
    if (id == AV_CODEC_ID_AV1) {
        const AVCodec *dav1d = avcodec_find_decoder_by_name("libdav1d");
        return dav1d ? dav1d : avcodec_find_decoder_by_name("libaom-av1");
    }
    void *at = NULL;
    const AVCodec *codec;
    while ((codec = av_codec_iterate(&at)))
        if (codec->id == id && av_codec_is_decoder(codec) &&
            !(codec->capabilities &
              (AV_CODEC_CAP_HARDWARE | AV_CODEC_CAP_HYBRID | AV_CODEC_CAP_EXPERIMENTAL)))
            return codec;
    return NULL;
}

static void set_threads(AVCodecContext *ctx, const struct decoder_params *params)
{
    const int cores = params->threads > 0 ? params->threads : cpu_cores();
    ctx->thread_count = cores < DECODER_THREADS_MAX ? cores : DECODER_THREADS_MAX;
    ctx->thread_type = FF_THREAD_FRAME | FF_THREAD_SLICE;
    if (params->low_latency) {
        /* A frame thread each is a frame of delay each. */
        ctx->thread_type = FF_THREAD_SLICE;
        /* Elsewhere the flag would give frames out of order. */
        if (ctx->codec_id == AV_CODEC_ID_AV1)
            ctx->flags |= AV_CODEC_FLAG_LOW_DELAY;
    }
}

static enum AVFieldOrder av_field_order(enum field_order order)
{
    switch (order) {
    case FIELD_PROGRESSIVE:
        return AV_FIELD_PROGRESSIVE;
    case FIELD_TOP_FIRST:
        return AV_FIELD_TT;
    case FIELD_BOTTOM_FIRST:
        return AV_FIELD_BB;
    default:
        return AV_FIELD_UNKNOWN;
    }
}

static int set_extradata(AVCodecContext *ctx, const struct buffer *extradata)
{
    if (!extradata || extradata->size == 0 || extradata->size > INT_MAX / 2)
        return 0;
    ctx->extradata = av_mallocz(extradata->size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!ctx->extradata)
        return RGPU_ERROR_MEMORY;
    memcpy(ctx->extradata, extradata->data, extradata->size);
    ctx->extradata_size = (int)extradata->size;
    return 0;
}

static int set_track(AVCodecContext *ctx, const struct track *track)
{
    ctx->codec_tag = track->codec_tag;
    ctx->width = track->width;
    ctx->height = track->height;
    ctx->bits_per_coded_sample = track->bits_per_sample;
    ctx->profile = track->codec_profile;
    ctx->level = track->codec_level;
    ctx->pix_fmt = avframe_av_format(track->format);
    ctx->pkt_timebase = (AVRational){track->time_base.num, track->time_base.den};
    ctx->framerate = (AVRational){track->frame_rate.num, track->frame_rate.den};
    ctx->has_b_frames = track->reorder_frames > 0 ? track->reorder_frames : 0;
    ctx->field_order = av_field_order(track->field_order);
    ctx->max_pixels = (int64_t)FRAME_SIZE_MAX * FRAME_SIZE_MAX;
    /* Cropping on the left goes where the stream says, not where alignment would like it. */
    ctx->flags |= AV_CODEC_FLAG_UNALIGNED;
    avframe_set_color(ctx, &track->color);
    return set_extradata(ctx, track->extradata);
}

static void decoder_close(void *handle)
{
    struct cpu_decoder *dec = handle;
    if (!dec)
        return;
    avcodec_free_context(&dec->ctx);
    av_packet_free(&dec->packet);
    av_frame_free(&dec->frame);
    avframe_converter_done(&dec->converter);
    stream_watch_free(&dec->watch);
    free(dec);
}

static int open_codec(struct cpu_decoder *dec, const struct decoder_params *params,
                      struct error *err)
{
    const struct track *track = params->track;
    const AVCodecDescriptor *desc = avcodec_descriptor_get_by_name(track->codec);
    const AVCodec *codec = desc ? find_decoder(desc->id) : NULL;
    if (!desc || desc->type != AVMEDIA_TYPE_VIDEO || !codec)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "there is no software decoder for \"%s\" on this machine", track->codec);
    dec->ctx = avcodec_alloc_context3(codec);
    dec->packet = av_packet_alloc();
    dec->frame = av_frame_alloc();
    if (!dec->ctx || !dec->packet || !dec->frame || set_track(dec->ctx, track) != 0 ||
        stream_watch_new(&dec->watch, track) != 0)
        return error_memory(err, "a decoder");
#ifdef AV_CODEC_FLAG_COPY_OPAQUE
    dec->ctx->flags |= AV_CODEC_FLAG_COPY_OPAQUE;
#endif
    set_threads(dec->ctx, params);
    const int rc = avcodec_open2(dec->ctx, codec, NULL);
    /* EAGAIN: a thread could not be started. */
    if (rc == AVERROR(ENOMEM) || rc == AVERROR(EAGAIN))
        return error_memory(err, "the threads of a decoder");
    if (rc < 0)
        return error_set(err, RGPU_ERROR_INPUT, "the %s headers of the video track are broken: %s",
                         track->codec, av_err2str(rc));
    return 0;
}

static int decoder_open(void **ret, const struct decoder_params *params, struct error *err)
{
    struct cpu_decoder *dec = calloc(1, sizeof(*dec));
    if (!dec)
        return error_memory(err, "a decoder");
    dec->hdr = params->track->hdr;
    if (params->track->aspect_is_container)
        dec->sample_aspect = params->track->sample_aspect;
    dec->by_order = params->timestamps_by_order;
    const int rc = open_codec(dec, params, err);
    if (rc != 0) {
        decoder_close(dec);
        return rc;
    }
    *ret = dec;
    return 0;
}

/* ---- packets in ------------------------------------------------------------------------------ */

/* Sends a packet together with a code that comes back with its frame. */
static int send_coded(struct cpu_decoder *dec, uint32_t code)
{
#ifdef AV_CODEC_FLAG_COPY_OPAQUE
    dec->packet->opaque = (void *)(uintptr_t)code;
    return avcodec_send_packet(dec->ctx, dec->packet);
#else
    /* The packet before may still have to be decoded where this one is refused. */
    const int64_t before = dec->ctx->reordered_opaque;
    dec->ctx->reordered_opaque = code;
    const int rc = avcodec_send_packet(dec->ctx, dec->packet);
    if (rc == AVERROR(EAGAIN))
        dec->ctx->reordered_opaque = before;
    return rc;
#endif
}

static uint32_t frame_code(const AVFrame *av)
{
#ifdef AV_CODEC_FLAG_COPY_OPAQUE
    return (uint32_t)(uintptr_t)av->opaque;
#else
    return (uint32_t)av->reordered_opaque;
#endif
}

/* Counts a packet that gives no frame; its time stamp goes with it, so that all others keep theirs.
 * Frame threads tell of a packet when they are given a later one. */
static void packet_failed(struct cpu_decoder *dec)
{
    struct order *o = &dec->order;
    const bool threads = dec->ctx->active_thread_type == FF_THREAD_FRAME;
    const unsigned delay =
        threads && !dec->draining && !dec->turning ? (unsigned)dec->ctx->thread_count - 1 : 0;
    dec->stats.failed_packets++;
    if (delay < o->sent_count && delay < DECODER_THREADS_MAX)
        order_remove(o, o->sent[(o->sent_count - 1 - delay) % DECODER_THREADS_MAX]);
}

static int send_drain(struct cpu_decoder *dec, struct error *err)
{
    if (dec->draining)
        return 0;
    /* What follows a random-access point counts as damaged until the point itself has been given,
     * which at the end of a short piece is never: give those too. */
    dec->ctx->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    const int rc = avcodec_send_packet(dec->ctx, NULL);
    if (rc == AVERROR(EAGAIN))
        return RGPU_ERROR_AGAIN;
    if (rc == AVERROR(ENOMEM))
        return error_memory(err, "draining the decoder");
    dec->draining = true;
    dec->turning = dec->has_facts = false;
    return 0;
}

/* The next frame into `frame`. */
static int receive_av(struct cpu_decoder *dec, struct error *err)
{
    for (int errors = 0; errors < ERRORS_IN_A_ROW_MAX;) {
        const int rc = avcodec_receive_frame(dec->ctx, dec->frame);
        if (rc == AVERROR(EAGAIN))
            return RGPU_ERROR_AGAIN;
        if (rc == AVERROR_EOF)
            return RGPU_ERROR_END;
        if (rc == AVERROR(ENOMEM))
            return error_memory(err, "decoding a picture");
        if (rc < 0) {
            packet_failed(dec);
            errors++;
            continue;
        }
        /* Most decoders leave these out by themselves. */
        if (dec->frame->flags & AV_FRAME_FLAG_DISCARD) {
            av_frame_unref(dec->frame);
            continue;
        }
        return 0;
    }
    return dec->draining || dec->turning ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
}

static void start_again(struct cpu_decoder *dec)
{
    avcodec_flush_buffers(dec->ctx);
    dec->fed = dec->turning = false;
}

/* Looks at a packet before it is sent. AGAIN: frames of before are to be received first, and there
 * is one. */
static int watch(struct cpu_decoder *dec, const struct packet *pkt, struct error *err)
{
    if (dec->watch && !dec->has_facts) {
        dec->facts = stream_watch_next(dec->watch, pkt);
        dec->has_facts = true;
    }
    if (!dec->facts.drops_prior || !dec->fed)
        return 0;
    if (!dec->turning && !dec->has_frame) {
        const int rc = avcodec_send_packet(dec->ctx, NULL);
        if (rc == AVERROR(ENOMEM))
            return error_memory(err, "draining the decoder");
        dec->turning = rc != AVERROR(EAGAIN);
        if (!dec->turning)
            return RGPU_ERROR_AGAIN;
    }
    const int rc = dec->has_frame ? 0 : receive_av(dec, err);
    if (rc == RGPU_ERROR_END) {
        start_again(dec);
        return 0;
    }
    dec->has_frame = rc == 0;
    return rc == 0 ? RGPU_ERROR_AGAIN : rc;
}

static int decoder_send(void *handle, const struct packet *pkt, struct error *err)
{
    struct cpu_decoder *dec = handle;
    if (!pkt)
        return send_drain(dec, err);
    if (dec->draining)
        return error_set(err, RGPU_ERROR_PARAM, "the decoder is drained: reset it before sending");
    if (pkt->size == 0) {
        /* libavcodec would take it for the end; containers use it for "the last picture again". */
        dec->stats.packets++;
        return 0;
    }
    if (pkt->size > INT_MAX - AV_INPUT_BUFFER_PADDING_SIZE) {
        dec->stats.packets++;
        dec->stats.failed_packets++;
        return 0;
    }
    int rc = watch(dec, pkt, err);
    if (rc == 0)
        rc = avpacket_wrap(dec->packet, pkt, err);
    if (rc != 0)
        return rc;
    rc = send_coded(dec, dec->facts.color);
    av_packet_unref(dec->packet);
    if (rc == AVERROR(EAGAIN))
        return RGPU_ERROR_AGAIN;
    if (rc == AVERROR(ENOMEM))
        return error_memory(err, "decoding a packet");
    dec->stats.packets++;
    dec->fed = true;
    dec->has_facts = false;
    if (dec->by_order)
        order_sent(&dec->order,
                   pkt->flags & (PACKET_DISCARD | PACKET_SECOND_FIELD) ? PTS_NONE : pkt->dts);
    if (rc < 0)
        packet_failed(dec);
    return 0;
}

/* ---- frames out ------------------------------------------------------------------------------ */

static int64_t av_duration(const AVFrame *av)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
    return av->duration;
#else
    return av->pkt_duration;
#endif
}

static int give_frame(struct cpu_decoder *dec, struct frame **ret, struct error *err)
{
    const AVFrame *av = dec->frame;
    int64_t pts = av->pts != AV_NOPTS_VALUE ? av->pts : av->best_effort_timestamp;
    if (dec->by_order && dec->order.count > 0)
        pts = order_pop(&dec->order);
    const int64_t duration = av_duration(av);
    const struct hdr hdr = avframe_hdr(av, &dec->hdr);
    if (dec->watch)
        stream_watch_color(frame_code(av), dec->frame);
    struct frame *frame = NULL;
    dec->converter.frame_rate = dec->ctx->framerate;
    const int rc = avframe_take(&dec->converter, dec->frame, &frame, err);
    if (rc != 0)
        return rc;
    frame->pts = pts;
    frame->duration = duration > 0 ? duration : 0;
    frame->hdr = hdr;
    if (dec->sample_aspect.num > 0 && dec->sample_aspect.den > 0)
        frame->sample_aspect = dec->sample_aspect;
    dec->stats.frames++;
    if (frame->flags & FRAME_CORRUPT)
        dec->stats.corrupt_frames++;
    *ret = frame;
    return 0;
}

static int decoder_receive(void *handle, struct frame **ret, struct error *err)
{
    struct cpu_decoder *dec = handle;
    if (!dec->has_frame) {
        const int rc = receive_av(dec, err);
        if (rc == RGPU_ERROR_END && dec->turning) {
            start_again(dec);
            return RGPU_ERROR_AGAIN;
        }
        if (rc != 0)
            return rc;
    }
    dec->has_frame = false;
    return give_frame(dec, ret, err);
}

static void decoder_reset(void *handle)
{
    struct cpu_decoder *dec = handle;
    start_again(dec);
    av_frame_unref(dec->frame);
    dec->ctx->flags &= ~AV_CODEC_FLAG_OUTPUT_CORRUPT;
    dec->has_frame = dec->has_facts = false;
    dec->order.count = 0;
    dec->order.sent_count = 0;
    dec->draining = false;
}

static void decoder_stats(void *handle, struct decoder_stats *ret)
{
    const struct cpu_decoder *dec = handle;
    *ret = dec->stats;
    memcpy(ret->note, dec->converter.note, sizeof(ret->note));
}

const struct decoder_ops cpu_decoder_ops = {
    .open = decoder_open,
    .send = decoder_send,
    .receive = decoder_receive,
    .reset = decoder_reset,
    .stats = decoder_stats,
    .close = decoder_close,
};
