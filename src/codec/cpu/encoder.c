#include "codec/cpu/encoder.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/avframe.h"
#include "codec/cpu/encoder_headers.h"
#include "codec/cpu/encoder_setup.h"
#include "codec/cpu/encoder_stream.h"
#include "codec/encoder_check.h"

#define LEVEL_UNKNOWN (-99)             /* as libavcodec */
#define PTS_SPAN_MAX ((int64_t)1 << 56) /* ticks from the first frame to the last */

/* What a packet gets back from its frame. The encoder hands over `key` as the packet's pts. */
struct stamp {
    int64_t key, pts, duration;
    struct buffer *captions;        /* owned; where they are ours to write */
    struct frame_timecode timecode; /* count 0: none is to be written */
    bool used;
};

struct cpu_encoder {
    struct encoder_params params;
    struct encoder_choice choice;
    AVCodecContext *ctx;
    bool ctx_used;  /* it was given a frame since it was opened */
    AVFrame *frame; /* empty between calls, as `packet` */
    AVPacket *packet;
    struct buffer *extradata; /* of the first open */
    struct frame *pending;    /* key frame that waits for the encoder to be opened anew */
    /* Frames inside, in display order: a ring, whose holes are packets already given. */
    struct stamp stamps[ENCODER_DELAY_MAX];
    unsigned first, count;
    int64_t first_pts, last_pts; /* valid once `frames_in` */
    int64_t frames_in;
    uint64_t ordinal;
    bool draining; /* by the caller's wish */
};

/* ---- open and close -------------------------------------------------------------------------- */

static void stamp_drop(struct stamp *s)
{
    buffer_unref(&s->captions);
    s->used = false;
}

static void encoder_close(void *handle)
{
    struct cpu_encoder *enc = handle;
    if (!enc)
        return;
    if (enc->ctx_used)
        avcodec_free_context(&enc->ctx);
    else
        encoder_close_unused(&enc->choice, &enc->ctx);
    av_frame_free(&enc->frame);
    av_packet_free(&enc->packet);
    buffer_unref(&enc->extradata);
    frame_unref(&enc->pending);
    for (unsigned i = 0; i < ENCODER_DELAY_MAX; i++)
        stamp_drop(&enc->stamps[i]);
    free(enc);
}

static int open_encoder(struct cpu_encoder *enc, struct error *err)
{
    int rc = encoder_setup_choose(&enc->params, &enc->choice, err);
    if (rc == 0)
        rc = encoder_setup_open(&enc->params, &enc->choice, &enc->ctx, err);
    if (rc == 0)
        rc = encoder_headers(&enc->params, &enc->choice, enc->ctx, &enc->extradata, err);
    /* libx264 says the time base's ticks, by which no time code counts. */
    if (rc == 0 && enc->params.timecode_step > 0 && enc->choice.kind == ENCODER_X264)
        rc = encoder_stream_frame_rate(enc->params.frame_rate, &enc->extradata, err);
    if (rc != 0)
        return rc;
    enc->frame = av_frame_alloc();
    enc->packet = av_packet_alloc();
    return enc->frame && enc->packet ? 0 : error_memory(err, "an encoder");
}

static int encoder_open(void **ret, const struct encoder_params *params, struct error *err)
{
    struct cpu_encoder *enc = calloc(1, sizeof(*enc));
    if (!enc)
        return error_memory(err, "an encoder");
    enc->params = *params;
    const int rc = open_encoder(enc, err);
    if (rc != 0) {
        encoder_close(enc);
        return rc;
    }
    *ret = enc;
    return 0;
}

static void encoder_header(void *handle, struct encoder_header *ret)
{
    const struct cpu_encoder *enc = handle;
    struct encoder_header header = {.extradata = buffer_ref(enc->extradata),
                                    .codec_profile = LEVEL_UNKNOWN,
                                    .codec_level = LEVEL_UNKNOWN};
    if (enc->choice.kind == ENCODER_X264)
        header.reorder_frames = enc->ctx->has_b_frames;
    encoder_stream_facts(enc->params.codec, &header);
    if (!enc->params.global_headers)
        buffer_unref(&header.extradata);
    *ret = header;
}

/* ---- frames in ------------------------------------------------------------------------------- */

static int check_frame(const struct cpu_encoder *enc, const struct frame *frame, struct error *err)
{
    const struct encoder_params *p = &enc->params;
    const struct pixel_info *info = pixel_info(frame->format);
    if (frame->place != PLACE_HOST)
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s: the frame is in a device's memory; bring it "
                         "to the host first",
                         p->codec);
    if (frame->format != p->format || frame->width != p->width || frame->height != p->height)
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s: a frame of %dx%d %s came to an encoder opened for %dx%d %s", p->codec,
                         frame->width, frame->height, info ? info->name : "(none)", p->width,
                         p->height, pixel_info(p->format)->name);
    if (frame->pts == PTS_NONE)
        return error_set(err, RGPU_ERROR_PARAM, "%s: a frame has no time stamp", p->codec);
    if (enc->frames_in && frame->pts <= enc->last_pts)
        return error_set(err, RGPU_ERROR_PARAM, "%s: time stamp %lld does not grow after %lld",
                         p->codec, (long long)frame->pts, (long long)enc->last_pts);
    /* The encoders subtract and multiply what they are told. */
    int64_t span = 0;
    if (enc->frames_in &&
        (__builtin_sub_overflow(frame->pts, enc->first_pts, &span) || span > PTS_SPAN_MAX))
        return error_set(err, RGPU_ERROR_LIMIT, "%s: time stamps %lld and %lld are too far apart",
                         p->codec, (long long)enc->first_pts, (long long)frame->pts);
    return 0;
}

static struct stamp *stamp_at(struct cpu_encoder *enc, unsigned i)
{
    return &enc->stamps[(enc->first + i) % ENCODER_DELAY_MAX];
}

/* Captions that the encoder does not take, to be written here; a reference. */
static struct buffer *own_captions(const struct cpu_encoder *enc, const struct frame *frame)
{
    return enc->choice.kind == ENCODER_X265 ? buffer_ref(frame_side_of(frame, SIDE_A53_CC)) : NULL;
}

/* Fields in the order of this frame where it says one, else in that of the stream. */
static void set_fields(const struct cpu_encoder *enc, const struct frame *frame, AVFrame *av)
{
    if (!(enc->ctx->flags & AV_CODEC_FLAG_INTERLACED_DCT))
        return;
    const bool top = frame->flags & FRAME_INTERLACED ? frame->flags & FRAME_TOP_FIRST
                                                     : enc->params.field_order == FIELD_TOP_FIRST;
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    av->flags |= AV_FRAME_FLAG_INTERLACED | (top ? AV_FRAME_FLAG_TOP_FIELD_FIRST : 0);
#else
    av->interlaced_frame = 1;
    av->top_field_first = top;
#endif
}

static bool is_key(const struct cpu_encoder *enc, const struct frame *frame)
{
    return enc->frames_in == 0 || frame->flags & FRAME_KEY;
}

/* Gives one frame to the codec. AGAIN: it was not taken. */
static int feed(struct cpu_encoder *enc, struct frame *frame, struct error *err)
{
    if (enc->count == ENCODER_DELAY_MAX)
        return error_set(err, RGPU_ERROR_LIMIT, "%s: more than %d frames are inside the encoder",
                         enc->params.codec, ENCODER_DELAY_MAX);
    const bool key = is_key(enc, frame);
    const bool real_time = encoder_setup_real_time(enc->choice.kind);
    const int64_t first = enc->frames_in ? enc->first_pts : frame->pts;
    const int64_t number = real_time ? frame->pts - first : enc->frames_in;
    int rc = avframe_wrap(enc->frame, frame, err);
    if (rc == 0 && enc->choice.kind == ENCODER_X264)
        rc = avframe_wrap_captions(enc->frame, frame, err);
    if (rc == 0) {
        enc->frame->pts = number;
        enc->frame->pict_type = key ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(57, 30, 100)
        enc->frame->duration = real_time ? 0 : 1;
#endif
        set_fields(enc, frame, enc->frame);
        const int av = avcodec_send_frame(enc->ctx, enc->frame);
        rc = av < 0 ? avframe_error_code(av, RGPU_ERROR_INTERNAL) : 0;
        if (rc == RGPU_ERROR_MEMORY)
            rc = error_memory(err, "encoding a picture");
        else if (rc == RGPU_ERROR_INTERNAL || rc == RGPU_ERROR_END)
            rc = error_set(err, RGPU_ERROR_INTERNAL, "%s failed on a frame: %s",
                           enc->choice.codec->name, av_err2str(av));
    }
    av_frame_unref(enc->frame);
    if (rc != 0)
        return rc;
    enc->ctx_used = true;
    struct stamp *stamp = stamp_at(enc, enc->count++);
    *stamp = (struct stamp){.key = number,
                            .pts = frame->pts,
                            .duration = frame->duration,
                            .captions = own_captions(enc, frame),
                            .used = true};
    encoder_timecode(&enc->params, frame, &stamp->timecode);
    enc->first_pts = first;
    enc->last_pts = frame->pts;
    enc->frames_in++;
    return 0;
}

/* Every call after a reopen that failed. */
static int lost(const struct cpu_encoder *enc, struct error *err)
{
    return error_set(err, RGPU_ERROR_INTERNAL, "%s could not be opened again",
                     enc->choice.codec->name);
}

static int begin_drain(struct cpu_encoder *enc, struct error *err)
{
    const int rc = avcodec_send_frame(enc->ctx, NULL);
    if (rc == AVERROR(EAGAIN))
        return RGPU_ERROR_AGAIN;
    if (rc == AVERROR(ENOMEM))
        return error_memory(err, "draining the encoder");
    if (rc < 0)
        return error_set(err, RGPU_ERROR_INTERNAL, "%s cannot be drained: %s",
                         enc->choice.codec->name, av_err2str(rc));
    return 0;
}

static int encoder_send(void *handle, struct frame *frame, struct error *err)
{
    struct cpu_encoder *enc = handle;
    if (!enc->ctx)
        return lost(enc, err);
    if (enc->pending)
        return RGPU_ERROR_AGAIN;
    if (!frame) {
        /* There is nothing to come out of an unused one, and SVT-AV1 would wait for it. */
        const int rc = enc->draining || !enc->ctx_used ? 0 : begin_drain(enc, err);
        enc->draining = enc->draining || rc == 0;
        return rc;
    }
    if (enc->draining)
        return error_set(err, RGPU_ERROR_PARAM, "%s: a frame came after the last one",
                         enc->params.codec);
    int rc = check_frame(enc, frame, err);
    if (rc != 0)
        return rc;
    if (enc->frames_in == 0 || !is_key(enc, frame) || encoder_setup_key_on_demand(enc->choice.kind))
        return feed(enc, frame, err);
    rc = begin_drain(enc, err);
    if (rc == 0)
        enc->pending = frame_ref(frame);
    return rc;
}

/* ---- packets out ----------------------------------------------------------------------------- */

/* Starts the next closed GOP with the key frame that waits for it. */
static int reopen(struct cpu_encoder *enc, struct error *err)
{
    avcodec_free_context(&enc->ctx);
    enc->ctx_used = false;
    int rc = encoder_setup_open(&enc->params, &enc->choice, &enc->ctx, err);
    if (rc == 0)
        rc = feed(enc, enc->pending, err);
    if (rc == RGPU_ERROR_AGAIN)
        rc =
            error_set(err, RGPU_ERROR_INTERNAL, "%s takes no first frame", enc->choice.codec->name);
    frame_unref(&enc->pending);
    return rc;
}

/* Takes the stamp of a packet out of the ring. False: the encoder made up a time stamp. */
static bool take_stamp(struct cpu_encoder *enc, int64_t key, struct stamp *ret)
{
    bool found = false;
    for (unsigned i = 0; i < enc->count && !found; i++) {
        struct stamp *s = stamp_at(enc, i);
        if (!s->used || s->key != key)
            continue;
        *ret = *s;
        *s = (struct stamp){0};
        found = true;
    }
    while (enc->count && !stamp_at(enc, 0)->used) {
        enc->first = (enc->first + 1) % ENCODER_DELAY_MAX;
        enc->count--;
    }
    return found;
}

static int complete(const struct cpu_encoder *enc, const struct stamp *stamp, struct packet *pkt,
                    struct error *err)
{
    const bool av1 = !encoder_setup_real_time(enc->choice.kind);
    int rc = 0;
    /* Also in front of recovery points, which libavcodec marks as key frames. */
    if (pkt->flags & PACKET_KEY && av1)
        rc = encoder_stream_av1_hdr(&enc->params.hdr, pkt, err);
    else if (pkt->flags & PACKET_KEY)
        rc = encoder_stream_repeat_headers(enc->params.codec, enc->extradata, pkt, err);
    if (enc->params.intra_refresh_frames > 0 && !encoder_stream_h264_idr(pkt))
        pkt->flags &= ~(unsigned)PACKET_KEY;
    if (rc == 0 && stamp->captions)
        rc = encoder_stream_captions(stamp->captions, pkt, err);
    if (rc == 0 && stamp->timecode.count > 0)
        rc = encoder_stream_timecode(enc->params.codec, enc->extradata, &stamp->timecode, pkt, err);
    return rc;
}

static int give_packet(struct cpu_encoder *enc, struct packet *ret, struct error *err)
{
    const int64_t key = enc->packet->pts;
    struct packet pkt = {.dts = PTS_NONE,
                         .flags = enc->packet->flags & AV_PKT_FLAG_KEY ? PACKET_KEY : 0};
    struct stamp stamp = {0};
    int rc = avpacket_take(enc->packet, &pkt, err);
    if (rc != 0)
        return rc;
    if (!take_stamp(enc, key, &stamp))
        rc = error_set(err, RGPU_ERROR_INTERNAL, "%s gave a packet for no frame",
                       enc->choice.codec->name);
    else
        rc = complete(enc, &stamp, &pkt, err);
    pkt.pts = stamp.pts;
    pkt.duration = stamp.duration;
    pkt.ordinal = enc->ordinal;
    stamp_drop(&stamp);
    if (rc != 0) {
        packet_done(&pkt);
        return rc;
    }
    enc->ordinal++;
    *ret = pkt;
    return 0;
}

static int encoder_receive(void *handle, struct packet *ret, struct error *err)
{
    struct cpu_encoder *enc = handle;
    for (;;) {
        if (!enc->ctx)
            return lost(enc, err);
        if (!enc->ctx_used)
            return enc->draining ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
        const int rc = avcodec_receive_packet(enc->ctx, enc->packet);
        if (rc == 0 && enc->packet->size > 0)
            return give_packet(enc, ret, err);
        if (rc == 0) {
            av_packet_unref(enc->packet);
            continue;
        }
        if (rc == AVERROR(EAGAIN))
            return RGPU_ERROR_AGAIN;
        if (rc == AVERROR(ENOMEM))
            return error_memory(err, "encoding a picture");
        if (rc != AVERROR_EOF)
            return error_set(err, RGPU_ERROR_INTERNAL, "%s failed: %s", enc->choice.codec->name,
                             av_err2str(rc));
        if (!enc->pending)
            return RGPU_ERROR_END;
        const int again = reopen(enc, err);
        if (again != 0)
            return again;
    }
}

static enum pixel_format encoder_format(int device, const char *codec, const char *profile,
                                        enum pixel_format source)
{
    (void)device;
    return encoder_setup_format(codec, profile, source);
}

const struct encoder_ops cpu_encoder_ops = {
    .format = encoder_format,
    .open = encoder_open,
    .header = encoder_header,
    .send = encoder_send,
    .receive = encoder_receive,
    .close = encoder_close,
};
