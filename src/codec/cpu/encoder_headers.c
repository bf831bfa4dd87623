#include "codec/cpu/encoder_headers.h"

#include <string.h>

#include "codec/cpu/avframe.h"
#include "media/av1.h"

/* Any picture will do; zero is a value in all formats. */
static int make_picture(const AVCodecContext *ctx, AVFrame *frame)
{
    frame->width = ctx->width;
    frame->height = ctx->height;
    frame->format = ctx->pix_fmt;
    const int rc = av_frame_get_buffer(frame, 0);
    for (int i = 0; rc >= 0 && i < AV_NUM_DATA_POINTERS && frame->buf[i]; i++)
        memset(frame->buf[i]->data, 0, frame->buf[i]->size);
    frame->pts = 0;
    return rc;
}

static int take_sequence(const AVPacket *packet, struct buffer **ret, struct error *err)
{
    struct av1_iter it;
    struct av1_obu obu;
    av1_iter_init(&it, packet->data, (size_t)packet->size);
    while (av1_next(&it, &obu)) {
        if (obu.type != AV1_OBU_SEQUENCE_HEADER)
            continue;
        *ret = buffer_copy(obu.data, obu.size);
        return *ret ? 0 : error_memory(err, "codec headers");
    }
    return error_set(err, RGPU_ERROR_INTERNAL, "av1: the encoder gave no sequence header");
}

/* Drains after one picture, because the first packet may wait for more. */
static int encode_one(AVCodecContext *ctx, AVFrame *frame, AVPacket *packet)
{
    int rc = make_picture(ctx, frame);
    if (rc >= 0)
        rc = avcodec_send_frame(ctx, frame);
    if (rc >= 0)
        rc = avcodec_send_frame(ctx, NULL);
    return rc >= 0 ? avcodec_receive_packet(ctx, packet) : rc;
}

static int try_out(const struct encoder_params *params, const struct encoder_choice *choice,
                   struct buffer **ret, struct error *err)
{
    AVCodecContext *ctx = NULL;
    int rc = encoder_setup_open(params, choice, &ctx, err);
    if (rc != 0)
        return rc;
    AVFrame *frame = av_frame_alloc();
    AVPacket *packet = av_packet_alloc();
    const int av = frame && packet ? encode_one(ctx, frame, packet) : AVERROR(ENOMEM);
    if (av == AVERROR(ENOMEM))
        rc = error_memory(err, "codec headers");
    else if (av < 0)
        rc = error_set(err, RGPU_ERROR_INTERNAL, "%s failed on its first picture: %s",
                       choice->codec->name, av_err2str(av));
    else
        rc = take_sequence(packet, ret, err);
    av_packet_free(&packet);
    av_frame_free(&frame);
    avcodec_free_context(&ctx);
    return rc;
}

int encoder_headers(const struct encoder_params *params, const struct encoder_choice *choice,
                    const AVCodecContext *opened, struct buffer **ret, struct error *err)
{
    if (opened->extradata_size > 0) {
        *ret = buffer_copy(opened->extradata, (size_t)opened->extradata_size);
        return *ret ? 0 : error_memory(err, "codec headers");
    }
    /* The others have theirs in band at worst. */
    return choice->kind == ENCODER_AOM ? try_out(params, choice, ret, err) : 0;
}

void encoder_close_unused(const struct encoder_choice *choice, AVCodecContext **ctx)
{
    if (!*ctx || choice->kind != ENCODER_SVT) {
        avcodec_free_context(ctx);
        return;
    }
    /* SVT-AV1 waits for a first packet while it is closed. Where there is no memory to make it give
     * one, it is left behind rather than waited for. */
    AVFrame *frame = av_frame_alloc();
    if (frame && make_picture(*ctx, frame) >= 0 && avcodec_send_frame(*ctx, frame) >= 0)
        avcodec_free_context(ctx);
    *ctx = NULL;
    av_frame_free(&frame);
}
