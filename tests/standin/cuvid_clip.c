#include "cuvid_clip.h"

#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>

#include "children.h"

static void draw(AVFrame *frame, int number)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
    const int shift = desc->comp[0].depth - 8;
    for (int plane = 0; plane < 3; plane++) {
        const int width = plane ? (frame->width + 1) / 2 : frame->width;
        const int height = plane ? (frame->height + 1) / 2 : frame->height;
        for (int y = 0; y < height; y++) {
            uint8_t *line = frame->data[plane] + (ptrdiff_t)frame->linesize[plane] * y;
            for (int x = 0; x < width; x++) {
                const int value = (x * 3 + y * 5 + number * (7 + plane) + (x * y & 31)) & 255;
                if (shift > 0)
                    ((uint16_t *)(void *)line)[x] = (uint16_t)(value << shift);
                else
                    line[x] = (uint8_t)value;
            }
        }
    }
}

static AVFrame *picture(const AVCodecContext *ctx, int number)
{
    AVFrame *frame = av_frame_alloc();
    frame->format = ctx->pix_fmt;
    frame->width = ctx->width;
    frame->height = ctx->height;
    CHECK(av_frame_get_buffer(frame, 0) == 0);
    draw(frame, number);
    frame->pts = number;
    return frame;
}

static void encode(struct clip *clip, AVCodecContext *ctx, AVFrame *frame)
{
    CHECK(avcodec_send_frame(ctx, frame) == 0);
    AVPacket *packet = av_packet_alloc();
    while (avcodec_receive_packet(ctx, packet) == 0) {
        CHECK(clip->packets_count < CLIP_PICTURES_MAX);
        clip->packets[clip->packets_count++] = packet;
        packet = av_packet_alloc();
    }
    av_packet_free(&packet);
    av_frame_free(&frame);
}

static void decode(struct clip *clip, AVCodecContext *ctx, const AVPacket *packet)
{
    CHECK(avcodec_send_packet(ctx, packet) == 0);
    AVFrame *frame = av_frame_alloc();
    while (avcodec_receive_frame(ctx, frame) == 0) {
        CHECK(clip->pictures_count < CLIP_PICTURES_MAX);
        clip->pictures[clip->pictures_count++] = frame;
        frame = av_frame_alloc();
    }
    av_frame_free(&frame);
}

void clip_make(struct clip *ret, const struct clip_params *params)
{
    const AVCodec *codec = avcodec_find_encoder_by_name(params->encoder);
    CHECK(codec != NULL);
    AVCodecContext *ctx = avcodec_alloc_context3(codec);
    ctx->width = params->width;
    ctx->height = params->height;
    ctx->pix_fmt = params->format;
    ctx->time_base = (AVRational){1, 25};
    ctx->framerate = (AVRational){25, 1};
    ctx->max_b_frames = params->bframes;
    ctx->gop_size = 12;
    ctx->thread_count = 1;
    ctx->bit_rate = 400000;
    AVDictionary *options = NULL;
    if (params->options)
        CHECK(av_dict_parse_string(&options, params->options, "=", ";", 0) == 0);
    CHECK(avcodec_open2(ctx, codec, &options) == 0);
    av_dict_free(&options);
    *ret = (struct clip){.packets_count = 0};
    for (int i = 0; i < params->count; i++)
        encode(ret, ctx, picture(ctx, i));
    encode(ret, ctx, NULL);
    avcodec_free_context(&ctx);

    ctx = avcodec_alloc_context3(avcodec_find_decoder(codec->id));
    ctx->thread_count = 1;
    CHECK(avcodec_open2(ctx, ctx->codec, NULL) == 0);
    for (int i = 0; i < ret->packets_count; i++)
        decode(ret, ctx, ret->packets[i]);
    decode(ret, ctx, NULL);
    avcodec_free_context(&ctx);
    CHECK(ret->pictures_count == params->count);
}
