#include "file/audio.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/audio_fifo.h>
#include <libavutil/channel_layout.h>
#include <libavutil/mathematics.h>
#include <libswresample/swresample.h>
#include <stdlib.h>
#include <string.h>

#define BIT_RATE_CHANNEL_BPS 64000
#define BIT_RATE_MAX_BPS 384000
#define OPUS_CHANNEL_MAX_BPS 256000 /* libopus takes no more */
#define CHANNELS_MAX 64
/* A gap that is longer is a jump of the time line, and stays a gap. */
#define SILENCE_MAX_S 600

struct audio {
    const struct reader_track *source; /* borrowed */
    AVCodecContext *dec, *enc;         /* owned, as all below */
    AVCodecParameters *par;
    SwrContext *swr; /* NULL until the first frame */
    AVAudioFifo *fifo;
    AVFrame *in, *out;
    uint8_t **block; /* converted samples */
    int block_samples;
    int in_rate, in_format; /* what `swr` was made for */
    AVChannelLayout in_layout;
    /* Sample numbers count from source time zero at the encoder's rate. */
    int64_t next;       /* of the next sample that comes out of `swr`; PTS_NONE: none yet */
    int64_t fifo_pts;   /* of the first sample in `fifo` */
    int64_t begin, end; /* kept: begin <= number < end */
    int64_t drop;       /* samples still to be left out */
    int64_t failed;
    bool ended;       /* no more input */
    AVPacket **ready; /* encoded, from ready_head on */
    int ready_head, ready_count, ready_capacity;
};

/* ---- opening -------------------------------------------------------------------------------- */

static int open_decoder(struct audio *a, struct error *err)
{
    const AVCodecParameters *par = a->source->stream->codecpar;
    const AVCodec *codec = avcodec_find_decoder(par->codec_id);
    if (!codec)
        return error_set(err, RGPU_ERROR_INPUT,
                         "audio track %d: no decoder for %s; use --audio copy or --audio none",
                         a->source->index, avcodec_get_name(par->codec_id));
    a->dec = avcodec_alloc_context3(codec);
    if (!a->dec || avcodec_parameters_to_context(a->dec, par) < 0)
        return error_memory(err, "an audio decoder");
    a->dec->pkt_timebase = a->source->stream->time_base;
    a->dec->thread_count = 1;
    const int rc = avcodec_open2(a->dec, codec, NULL);
    if (rc == AVERROR(ENOMEM))
        return error_memory(err, "an audio decoder");
    if (rc < 0)
        return error_set(err, RGPU_ERROR_INPUT, "audio track %d: cannot decode %s",
                         a->source->index, avcodec_get_name(par->codec_id));
    return 0;
}

/* Layouts that the encoder codes without further description, by number of channels. */
static void output_layout(bool opus, int channels, AVChannelLayout *ret)
{
    static const uint64_t masks[9] = {
        [1] = AV_CH_LAYOUT_MONO,         [2] = AV_CH_LAYOUT_STEREO,
        [3] = AV_CH_LAYOUT_SURROUND,     [4] = AV_CH_LAYOUT_4POINT0,
        [5] = AV_CH_LAYOUT_5POINT0_BACK, [6] = AV_CH_LAYOUT_5POINT1_BACK,
        [7] = AV_CH_LAYOUT_5POINT1_BACK, [8] = AV_CH_LAYOUT_7POINT1,
    };
    uint64_t mask = channels < 1 ? masks[2] : channels > 8 ? masks[6] : masks[channels];
    if (opus && channels == 4)
        mask = AV_CH_LAYOUT_QUAD;
    av_channel_layout_from_mask(ret, mask);
}

static int output_rate(const AVCodec *codec, bool opus, int rate)
{
    if (opus)
        return 48000;
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
    const int *rates = NULL;
    if (avcodec_get_supported_config(NULL, codec, AV_CODEC_CONFIG_SAMPLE_RATE, 0,
                                     (const void **)&rates, NULL) < 0)
        rates = NULL;
#else
    const int *rates = codec->supported_samplerates;
#endif
    for (int i = 0; rates && rates[i]; i++)
        if (rates[i] == rate)
            return rate;
    return rates || rate <= 0 ? 48000 : rate;
}

static int check_opus(const struct audio *a, int channels, int64_t rate_bps, struct error *err)
{
    if (rate_bps <= (int64_t)OPUS_CHANNEL_MAX_BPS * channels)
        return 0;
    const int most_kbps = OPUS_CHANNEL_MAX_BPS / 1000;
    return error_set(
        err, RGPU_ERROR_PARAM,
        "audio track %d: %lld kbit/s are too much for %d channel%s of opus, which takes "
        "at most %d kbit/s a channel; use --audio opus:%d or less",
        a->source->index, (long long)(rate_bps / 1000), channels, channels == 1 ? "" : "s",
        most_kbps, most_kbps * channels);
}

static int open_encoder(struct audio *a, const struct audio_params *params, struct error *err)
{
    const bool opus = strcmp(params->codec, "opus") == 0;
    const AVCodec *codec = NULL;
    if (opus)
        codec = avcodec_find_encoder_by_name("libopus");
    else if (strcmp(params->codec, "aac") == 0)
        codec = avcodec_find_encoder_by_name("aac");
    if (!codec)
        return error_set(err, RGPU_ERROR_PARAM,
                         "no encoder for %s audio; use --audio aac, opus or copy", params->codec);
    a->enc = avcodec_alloc_context3(codec);
    if (!a->enc)
        return error_memory(err, "an audio encoder");
    const AVCodecParameters *par = a->source->stream->codecpar;
    output_layout(opus, par->ch_layout.nb_channels, &a->enc->ch_layout);
    a->enc->sample_rate = output_rate(codec, opus, par->sample_rate);
    a->enc->sample_fmt = opus ? AV_SAMPLE_FMT_FLT : AV_SAMPLE_FMT_FLTP;
    a->enc->time_base = (AVRational){1, a->enc->sample_rate};
    a->enc->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    const int64_t rate = (int64_t)BIT_RATE_CHANNEL_BPS * a->enc->ch_layout.nb_channels;
    a->enc->bit_rate =
        params->bit_rate_bps > 0 ? params->bit_rate_bps : FFMIN(rate, BIT_RATE_MAX_BPS);
    const int channels = a->enc->ch_layout.nb_channels; /* which a failure forgets */
    int rc = opus ? check_opus(a, channels, a->enc->bit_rate, err) : 0;
    if (rc < 0)
        return rc;
    rc = avcodec_open2(a->enc, codec, NULL);
    if (rc == AVERROR(ENOMEM))
        return error_memory(err, "an audio encoder");
    if (rc < 0)
        return error_set(err, RGPU_ERROR_PARAM,
                         "cannot encode %d channels at %d Hz and %lld kbit/s as %s", channels,
                         a->enc->sample_rate, (long long)(a->enc->bit_rate / 1000), params->codec);
    a->par = avcodec_parameters_alloc();
    a->fifo = av_audio_fifo_alloc(a->enc->sample_fmt, a->enc->ch_layout.nb_channels,
                                  2 * a->enc->frame_size);
    if (!a->par || avcodec_parameters_from_context(a->par, a->enc) < 0 || !a->fifo)
        return error_memory(err, "an audio encoder");
    return 0;
}

int audio_open(struct audio **ret, const struct audio_params *params, struct error *err)
{
    struct audio *a = calloc(1, sizeof(*a));
    if (!a)
        return error_memory(err, "audio");
    a->source = params->source;
    a->next = PTS_NONE;
    a->in = av_frame_alloc();
    a->out = av_frame_alloc();
    int rc = a->in && a->out ? open_decoder(a, err) : error_memory(err, "audio");
    if (rc == 0)
        rc = open_encoder(a, params, err);
    if (rc < 0 || !a->enc) {
        audio_close(&a);
        return rc;
    }
    const AVRational samples = a->enc->time_base;
    a->begin =
        params->start_us > 0 ? av_rescale_q(params->start_us, AV_TIME_BASE_Q, samples) : INT64_MIN;
    a->end = params->end_us > 0 ? av_rescale_q(params->end_us, AV_TIME_BASE_Q, samples) : INT64_MAX;
    *ret = a;
    return 0;
}

const AVCodecParameters *audio_codecpar(const struct audio *a)
{
    return a->par;
}

struct rational audio_time_base(const struct audio *a)
{
    return (struct rational){1, a->enc->sample_rate};
}

int64_t audio_failed_count(const struct audio *a)
{
    return a->failed;
}

/* ---- samples -------------------------------------------------------------------------------- */

static int need_block(struct audio *a, int samples)
{
    if (samples <= a->block_samples)
        return 0;
    if (a->block)
        av_freep(&a->block[0]);
    av_freep(&a->block);
    a->block_samples = 0;
    int line;
    if (av_samples_alloc_array_and_samples(&a->block, &line, a->enc->ch_layout.nb_channels, samples,
                                           a->enc->sample_fmt, 0) < 0)
        return RGPU_ERROR_MEMORY;
    a->block_samples = samples;
    return 0;
}

/* Appends the block's samples, numbered from `next` on, as far as they are to be kept. */
static int put(struct audio *a, int samples)
{
    int64_t skip = FFMIN(a->drop, samples);
    a->drop -= skip;
    int64_t first = a->next; /* what is dropped takes no time */
    int64_t count = samples - skip;
    a->next += count;
    if (first < a->begin) {
        const int64_t early = FFMIN(a->begin - first, count);
        skip += early;
        first += early;
        count -= early;
    }
    count = FFMIN(count, a->end - first);
    if (count <= 0)
        return 0;
    void *planes[CHANNELS_MAX];
    const bool planar = av_sample_fmt_is_planar(a->enc->sample_fmt);
    const int channels = a->enc->ch_layout.nb_channels;
    const int step = av_get_bytes_per_sample(a->enc->sample_fmt) * (planar ? 1 : channels);
    for (int i = 0; i < (planar ? channels : 1); i++)
        planes[i] = a->block[i] + skip * step;
    if (av_audio_fifo_size(a->fifo) == 0)
        a->fifo_pts = first;
    return av_audio_fifo_write(a->fifo, planes, (int)count) < (int)count ? RGPU_ERROR_MEMORY : 0;
}

/* Converts a frame, or with NULL what the resampler still holds. */
static int convert(struct audio *a, const AVFrame *frame)
{
    if (!a->swr)
        return 0;
    const int room = swr_get_out_samples(a->swr, frame ? frame->nb_samples : 0);
    if (room <= 0)
        return 0;
    if (need_block(a, room) < 0)
        return RGPU_ERROR_MEMORY;
    const int n =
        swr_convert(a->swr, a->block, room, frame ? (const uint8_t **)frame->extended_data : NULL,
                    frame ? frame->nb_samples : 0);
    if (n < 0)
        return RGPU_ERROR_INPUT;
    return n > 0 ? put(a, n) : 0;
}

/* ---- encoding ------------------------------------------------------------------------------- */

static int encoder_failed(const struct audio *a, int av, struct error *err)
{
    if (av == AVERROR(ENOMEM))
        return error_memory(err, "audio");
    return error_set(err, RGPU_ERROR_INTERNAL, "the %s encoder failed on audio track %d",
                     a->enc->codec->name, a->source->index);
}

static int keep_packet(struct audio *a, AVPacket *pkt)
{
    if (a->ready_head == a->ready_count)
        a->ready_head = a->ready_count = 0;
    if (a->ready_count == a->ready_capacity) {
        const int capacity = a->ready_capacity ? 2 * a->ready_capacity : 16;
        AVPacket **ready = realloc(a->ready, (size_t)capacity * sizeof(AVPacket *));
        if (!ready)
            return RGPU_ERROR_MEMORY;
        a->ready = ready;
        a->ready_capacity = capacity;
    }
    pkt->time_base = a->enc->time_base;
    a->ready[a->ready_count++] = pkt;
    return 0;
}

/* Gives the encoder a frame (NULL: the end) and takes what comes out. */
static int run_encoder(struct audio *a, const AVFrame *frame, struct error *err)
{
    int av = avcodec_send_frame(a->enc, frame);
    if (av < 0)
        return av == AVERROR_EOF ? 0 : encoder_failed(a, av, err);
    for (;;) {
        AVPacket *pkt = av_packet_alloc();
        if (!pkt)
            return error_memory(err, "audio");
        av = avcodec_receive_packet(a->enc, pkt);
        if (av == 0 && keep_packet(a, pkt) == 0)
            continue;
        av_packet_free(&pkt);
        if (av == AVERROR(EAGAIN) || av == AVERROR_EOF)
            return 0;
        return av == 0 ? error_memory(err, "audio") : encoder_failed(a, av, err);
    }
}

/* Encodes what the fifo holds in whole frames, and with `all` the rest too. */
static int encode(struct audio *a, bool all, struct error *err)
{
    for (;;) {
        const int samples = FFMIN(av_audio_fifo_size(a->fifo), a->enc->frame_size);
        if (samples == 0 || (samples < a->enc->frame_size && !all))
            return 0;
        AVFrame *f = a->out;
        f->nb_samples = samples;
        f->format = a->enc->sample_fmt;
        f->sample_rate = a->enc->sample_rate;
        f->pts = a->fifo_pts;
        if (av_channel_layout_copy(&f->ch_layout, &a->enc->ch_layout) < 0 ||
            av_frame_get_buffer(f, 0) < 0 ||
            av_audio_fifo_read(a->fifo, (void **)f->extended_data, samples) < samples) {
            av_frame_unref(f);
            return error_memory(err, "audio");
        }
        a->fifo_pts += samples;
        const int rc = run_encoder(a, f, err);
        av_frame_unref(f);
        if (rc < 0)
            return rc;
    }
}

/* Silence up to sample number `at`; a very long gap only as far as the frame that is begun. */
static int fill_gap(struct audio *a, int64_t at, struct error *err)
{
    const int frame = a->enc->frame_size;
    int64_t left = at - a->next;
    if (left > (int64_t)SILENCE_MAX_S * a->enc->sample_rate)
        left = (frame - av_audio_fifo_size(a->fifo) % frame) % frame;
    while (left > 0) {
        const int n = (int)FFMIN(left, a->enc->sample_rate);
        if (need_block(a, n) < 0)
            return error_memory(err, "audio");
        av_samples_set_silence(a->block, 0, n, a->enc->ch_layout.nb_channels, a->enc->sample_fmt);
        if (put(a, n) < 0)
            return error_memory(err, "audio");
        const int rc = encode(a, false, err);
        if (rc < 0)
            return rc;
        left -= n;
    }
    a->next = at;
    return 0;
}

/* ---- frames --------------------------------------------------------------------------------- */

/* The decoder may change its mind about the format in the middle of a track. */
static int set_up_swr(struct audio *a, AVFrame *frame)
{
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC) {
        const int channels = frame->ch_layout.nb_channels;
        av_channel_layout_uninit(&frame->ch_layout);
        av_channel_layout_default(&frame->ch_layout, channels);
    }
    if (a->swr && frame->sample_rate == a->in_rate && frame->format == a->in_format &&
        av_channel_layout_compare(&frame->ch_layout, &a->in_layout) == 0)
        return 0;
    const int rc = convert(a, NULL);
    if (rc < 0)
        return rc;
    swr_free(&a->swr);
    if (swr_alloc_set_opts2(&a->swr, &a->enc->ch_layout, a->enc->sample_fmt, a->enc->sample_rate,
                            &frame->ch_layout, (enum AVSampleFormat)frame->format,
                            frame->sample_rate, 0, NULL) < 0 ||
        av_channel_layout_copy(&a->in_layout, &frame->ch_layout) < 0)
        return RGPU_ERROR_MEMORY;
    a->in_rate = frame->sample_rate;
    a->in_format = frame->format;
    if (swr_init(a->swr) < 0) {
        swr_free(&a->swr);
        return RGPU_ERROR_INPUT;
    }
    return 0;
}

/* Brings `next` to where the frame's time stamp says, if that is far from where it is. */
static int follow_time(struct audio *a, const AVFrame *frame, struct error *err)
{
    const int64_t pts = frame->pts != AV_NOPTS_VALUE ? frame->pts : frame->best_effort_timestamp;
    if (pts == AV_NOPTS_VALUE) {
        if (a->next == PTS_NONE)
            a->next = 0;
        return 0;
    }
    const int64_t at = av_rescale_q(pts, a->dec->pkt_timebase, a->enc->time_base);
    if (a->next == PTS_NONE) {
        a->next = at;
        return 0;
    }
    const int64_t delay = swr_get_delay(a->swr, a->enc->sample_rate);
    const int64_t apart = at - (a->next + delay - a->drop);
    const int64_t tolerated = a->enc->sample_rate / 20;
    if (FFABS(apart) <= tolerated)
        return 0;
    if (apart < 0) {
        a->drop -= apart;
        return 0;
    }
    /* What the resampler holds belongs before the gap. */
    a->drop = 0;
    if (convert(a, NULL) == RGPU_ERROR_MEMORY)
        return error_memory(err, "audio");
    swr_free(&a->swr);
    return at > a->next ? fill_gap(a, at, err) : 0;
}

static int take_frame(struct audio *a, AVFrame *frame, struct error *err)
{
    int rc = set_up_swr(a, frame);
    if (rc == 0) {
        rc = follow_time(a, frame, err);
        if (rc < 0)
            return rc;
        rc = set_up_swr(a, frame);
    }
    if (rc == 0)
        rc = convert(a, frame);
    if (rc == RGPU_ERROR_MEMORY)
        return error_memory(err, "audio");
    a->failed += rc < 0;
    return encode(a, false, err);
}

/* ---- packets -------------------------------------------------------------------------------- */

static int take_frames(struct audio *a, struct error *err)
{
    for (;;) {
        const int av = avcodec_receive_frame(a->dec, a->in);
        if (av == AVERROR(EAGAIN) || av == AVERROR_EOF)
            return 0;
        if (av == AVERROR(ENOMEM))
            return error_memory(err, "audio");
        if (av < 0) {
            a->failed++;
            return 0;
        }
        const int rc = take_frame(a, a->in, err);
        av_frame_unref(a->in);
        if (rc < 0)
            return rc;
    }
}

static int finish(struct audio *a, struct error *err)
{
    a->ended = true;
    if (convert(a, NULL) == RGPU_ERROR_MEMORY)
        return error_memory(err, "audio");
    const int rc = encode(a, true, err);
    return rc == 0 ? run_encoder(a, NULL, err) : rc;
}

int audio_push(struct audio *a, const AVPacket *av, struct error *err)
{
    if (a->ended)
        return 0;
    int sent = avcodec_send_packet(a->dec, av);
    int rc = take_frames(a, err);
    if (rc == 0 && sent == AVERROR(EAGAIN)) {
        sent = avcodec_send_packet(a->dec, av);
        rc = take_frames(a, err);
    }
    if (rc < 0)
        return rc;
    if (sent == AVERROR(ENOMEM))
        return error_memory(err, "audio");
    a->failed += sent < 0 && sent != AVERROR_EOF;
    return av ? 0 : finish(a, err);
}

int audio_next(struct audio *a, AVPacket **ret, struct error *err)
{
    (void)err;
    if (a->ready_head == a->ready_count)
        return a->ended ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
    *ret = a->ready[a->ready_head++];
    return 0;
}

void audio_close(struct audio **audio)
{
    struct audio *a = *audio;
    *audio = NULL;
    if (!a)
        return;
    for (int i = a->ready_head; i < a->ready_count; i++)
        av_packet_free(&a->ready[i]);
    free(a->ready);
    avcodec_free_context(&a->dec);
    avcodec_free_context(&a->enc);
    avcodec_parameters_free(&a->par);
    swr_free(&a->swr);
    if (a->fifo)
        av_audio_fifo_free(a->fifo);
    av_frame_free(&a->in);
    av_frame_free(&a->out);
    if (a->block)
        av_freep(&a->block[0]);
    av_freep(&a->block);
    av_channel_layout_uninit(&a->in_layout);
    free(a);
}
