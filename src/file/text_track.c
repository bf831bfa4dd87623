#include "file/text_track.h"

#include <libavcodec/avcodec.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 65536 /* bytes of one subtitle, as MP4's text samples have it */

struct text_track {
    AVCodecContext *dec, *enc; /* owned */
    uint8_t out[TEXT_MAX];
};

static int open_decoder(struct text_track *t, const AVCodecParameters *par, AVRational time_base)
{
    const AVCodec *codec = avcodec_find_decoder(par->codec_id);
    if (!codec)
        return RGPU_ERROR_UNSUPPORTED;
    t->dec = avcodec_alloc_context3(codec);
    if (!t->dec || avcodec_parameters_to_context(t->dec, par) < 0)
        return RGPU_ERROR_MEMORY;
    t->dec->pkt_timebase = time_base;
    return avcodec_open2(t->dec, codec, NULL) < 0 ? RGPU_ERROR_UNSUPPORTED : 0;
}

static int open_encoder(struct text_track *t, enum AVCodecID id)
{
    const AVCodec *codec = avcodec_find_encoder(id);
    if (!codec)
        return RGPU_ERROR_UNSUPPORTED;
    t->enc = avcodec_alloc_context3(codec);
    if (!t->enc)
        return RGPU_ERROR_MEMORY;
    t->enc->time_base = (AVRational){1, 1000};
    /* The decoders make ASS of every format; its header says how lines are to be read. */
    if (t->dec->subtitle_header_size > 0) {
        t->enc->subtitle_header = av_mallocz((size_t)t->dec->subtitle_header_size + 1);
        if (!t->enc->subtitle_header)
            return RGPU_ERROR_MEMORY;
        memcpy(t->enc->subtitle_header, t->dec->subtitle_header,
               (size_t)t->dec->subtitle_header_size);
        t->enc->subtitle_header_size = t->dec->subtitle_header_size;
    }
    return avcodec_open2(t->enc, codec, NULL) < 0 ? RGPU_ERROR_UNSUPPORTED : 0;
}

int text_track_open(struct text_track **ret, const AVCodecParameters *par,
                    const AVRational *time_base, enum AVCodecID codec, struct error *err)
{
    struct text_track *t = calloc(1, sizeof(*t));
    if (!t)
        return error_memory(err, "subtitles");
    int rc = open_decoder(t, par, *time_base);
    if (rc == 0)
        rc = open_encoder(t, codec);
    if (rc < 0) {
        text_track_close(&t);
        return error_set(err, rc, "cannot convert %s subtitles to %s",
                         avcodec_get_name(par->codec_id), avcodec_get_name(codec));
    }
    *ret = t;
    return 0;
}

int text_track_describe(const struct text_track *t, AVCodecParameters *to)
{
    to->codec_type = AVMEDIA_TYPE_SUBTITLE;
    to->codec_id = t->enc->codec_id;
    if (t->enc->extradata_size <= 0)
        return 0;
    to->extradata = av_mallocz((size_t)t->enc->extradata_size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!to->extradata)
        return RGPU_ERROR_MEMORY;
    memcpy(to->extradata, t->enc->extradata, (size_t)t->enc->extradata_size);
    to->extradata_size = t->enc->extradata_size;
    return 0;
}

int text_track_convert(struct text_track *t, AVPacket *pkt)
{
    AVSubtitle sub = {0};
    int got = 0;
    if (avcodec_decode_subtitle2(t->dec, &sub, &got, pkt) < 0 || !got || sub.num_rects == 0) {
        avsubtitle_free(&sub);
        return RGPU_ERROR_INPUT;
    }
    sub.start_display_time = 0;
    const int size = avcodec_encode_subtitle(t->enc, t->out, sizeof(t->out), &sub);
    avsubtitle_free(&sub);
    if (size <= 0)
        return RGPU_ERROR_INPUT;
    AVBufferRef *buf = av_buffer_alloc((size_t)size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!buf)
        return RGPU_ERROR_MEMORY;
    memcpy(buf->data, t->out, (size_t)size);
    memset(buf->data + size, 0, AV_INPUT_BUFFER_PADDING_SIZE);
    av_buffer_unref(&pkt->buf);
    av_packet_free_side_data(pkt);
    pkt->buf = buf;
    pkt->data = buf->data;
    pkt->size = size;
    return 0;
}

void text_track_close(struct text_track **t)
{
    struct text_track *x = *t;
    *t = NULL;
    if (!x)
        return;
    avcodec_free_context(&x->dec);
    avcodec_free_context(&x->enc);
    free(x);
}
