#include "file/text_track.h"

#include <libavcodec/avcodec.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "media/webvtt.h"

#define TEXT_MAX 65536 /* bytes of one subtitle, as MP4's text samples have it */

struct text_track {
    AVCodecContext *dec; /* owned; NULL: WebVTT as it is */
    AVCodecContext *enc; /* owned; NULL: WebVTT */
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
    const bool to_webvtt = codec == AV_CODEC_ID_WEBVTT;
    int rc = 0;
    if (!to_webvtt || par->codec_id != codec)
        rc = open_decoder(t, par, *time_base);
    if (rc == 0 && !to_webvtt)
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
    to->codec_id = t->enc ? t->enc->codec_id : AV_CODEC_ID_WEBVTT;
    if (!t->enc || t->enc->extradata_size <= 0)
        return 0;
    to->extradata = av_mallocz((size_t)t->enc->extradata_size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!to->extradata)
        return RGPU_ERROR_MEMORY;
    memcpy(to->extradata, t->enc->extradata, (size_t)t->enc->extradata_size);
    to->extradata_size = t->enc->extradata_size;
    return 0;
}

static int decode(struct text_track *t, const AVPacket *pkt, AVSubtitle *ret)
{
    int got = 0;
    /* Before libavcodec 60 the packet is not declared as what it is, read only. */
    const int rc = avcodec_decode_subtitle2(t->dec, ret, &got, (AVPacket *)pkt);
    if (rc < 0 || !got || ret->num_rects == 0) {
        avsubtitle_free(ret);
        return rc == AVERROR(ENOMEM) ? RGPU_ERROR_MEMORY : RGPU_ERROR_INPUT;
    }
    ret->start_display_time = 0;
    return 0;
}

/* The lines of a subtitle as a cue's text. */
static void add_webvtt(const struct text_track *t, const AVSubtitle *sub, struct text *out)
{
    const bool comments = t->dec->codec_id == AV_CODEC_ID_ASS;
    for (unsigned i = 0; i < sub->num_rects; i++) {
        const AVSubtitleRect *rect = sub->rects[i];
        struct text line = {.limit = TEXT_MAX};
        if (rect->type == SUBTITLE_ASS && rect->ass)
            webvtt_add_ass(&line, rect->ass, comments);
        if (line.error && !out->error)
            out->error = line.error;
        if (line.size > 0) {
            text_add(out, out->size > 0 ? "\n" : "");
            text_add_bytes(out, line.data, line.size);
        }
        text_done(&line);
    }
}

/* Bytes of the new payload in t->out. INPUT: none. MEMORY. */
static int convert(struct text_track *t, const AVPacket *pkt)
{
    struct text text = {.limit = TEXT_MAX};
    AVSubtitle sub = {0};
    int rc = t->dec ? decode(t, pkt, &sub) : 0;
    if (rc == 0 && t->enc) {
        rc = avcodec_encode_subtitle(t->enc, t->out, sizeof(t->out), &sub);
        rc = rc == AVERROR(ENOMEM) ? RGPU_ERROR_MEMORY : rc;
    } else if (rc == 0) {
        if (t->dec)
            add_webvtt(t, &sub, &text);
        else
            webvtt_add_own(&text, (const char *)pkt->data);
        rc = text.error ? text.error : (int)text.size;
        if (rc > 0 && text.data)
            memcpy(t->out, text.data, text.size);
    }
    text_done(&text);
    if (t->dec)
        avsubtitle_free(&sub);
    return rc > 0 || rc == RGPU_ERROR_MEMORY ? rc : RGPU_ERROR_INPUT;
}

int text_track_convert(struct text_track *t, AVPacket *pkt)
{
    const int size = convert(t, pkt);
    if (size < 0)
        return size;
    AVBufferRef *buf = av_buffer_alloc((size_t)size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!buf)
        return RGPU_ERROR_MEMORY;
    memcpy(buf->data, t->out, (size_t)size);
    memset(buf->data + size, 0, AV_INPUT_BUFFER_PADDING_SIZE);
    av_buffer_unref(&pkt->buf);
    if (t->dec)
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
