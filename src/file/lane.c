#include "file/lane.h"

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/mathematics.h>
#include <stdlib.h>
#include <string.h>

#include "file/container.h"
#include "file/sets.h"
#include "file/text_track.h"

#define DEFAULT_REORDER 16   /* where an encoder does not say; as deep as pictures are buffered */
#define PRIMING_SAMPLES 2112 /* where a source does not say: what AAC encoders need at most */

static const char *lane_name(const struct lane *l)
{
    return l->name[0] ? l->name : "the video track";
}

/* ---- opening -------------------------------------------------------------------------------- */

static int open_filter(struct lane *l, const char *name, struct error *err)
{
    const AVBitStreamFilter *filter = av_bsf_get_by_name(name);
    if (!filter)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "this libavcodec lacks the filter %s", name);
    if (av_bsf_alloc(filter, &l->bsf) < 0 ||
        avcodec_parameters_copy(l->bsf->par_in, l->to->codecpar) < 0)
        return error_memory(err, "a bitstream filter");
    l->bsf->time_base_in = l->from;
    if (av_bsf_init(l->bsf) < 0)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "cannot start the filter %s", name);
    return 0;
}

static int open_copy(struct lane *l, struct error *err)
{
    const AVCodecParameters *par = l->to->codecpar;
    const bool framed = l->container != CONTAINER_TS;
    if (par->codec_id == AV_CODEC_ID_AAC && par->extradata_size == 0 && framed)
        return open_filter(l, "aac_adtstoasc", err);
    /* libavformat adds this one by itself, but not to fragments. */
    if (par->codec_id == AV_CODEC_ID_VP9 && l->container == CONTAINER_HLS)
        return open_filter(l, "vp9_superframe", err);
    return 0;
}

static int open_text(struct lane *l, struct error *err)
{
    const AVCodecParameters *in = l->source->stream->codecpar;
    AVCodecParameters *par = l->to->codecpar;
    if (!container_takes(l->container, l->source, NULL)) {
        const int rc = text_track_open(&l->text, in, &l->from,
                                       container_text_codec(l->container, in->codec_id), err);
        if (rc < 0)
            return rc;
        par->extradata_size = 0;
        av_freep(&par->extradata);
        if (text_track_describe(l->text, par) < 0)
            return error_memory(err, "subtitles");
    }
    l->disjoins = par->codec_id == AV_CODEC_ID_MOV_TEXT && l->container == CONTAINER_MP4;
    disjoint_init(&l->texts);
    return 0;
}

/* Containers whose time base is coarser than samples lose their exact time; where the output can
 * say it, it is rebuilt from the frames' lengths, always within the rounding of what was given. */
static void set_time_base(struct lane *l)
{
    const AVCodecParameters *par = l->to->codecpar;
    l->tb = l->from;
    l->resample_last = AV_NOPTS_VALUE;
    if (par->codec_type != AVMEDIA_TYPE_AUDIO || par->sample_rate <= 0 ||
        (l->container != CONTAINER_MP4 && l->container != CONTAINER_HLS))
        return;
    const AVRational samples = {1, par->sample_rate};
    l->resample = av_cmp_q(l->from, samples) > 0;
    if (l->resample)
        l->tb = samples;
}

static bool is_copied_video(const struct lane *l)
{
    return l->kind == WRITER_COPY && l->to->codecpar->codec_type == AVMEDIA_TYPE_VIDEO;
}

/* The frames of a part are those that begin in it, as they are for encodes. */
static void open_part(struct lane *l)
{
    const AVRational us = AV_TIME_BASE_Q;
    l->begin = INT64_MIN;
    l->end = INT64_MAX;
    if (l->shift_us)
        l->begin = av_rescale_q_rnd(l->shift_us, us, l->from, AV_ROUND_UP) - l->shift;
    if (l->end_us)
        l->end = av_rescale_q_rnd(l->end_us, us, l->from, AV_ROUND_UP) - l->shift;
    l->hides = l->container == CONTAINER_MP4;
    l->has_part = l->shift_us || l->end_us;
    part_init(&l->part, l->begin, l->end);
}

int lane_open(struct lane *l, AVStream *to, struct error *err)
{
    l->to = to;
    l->last_dts = l->gone_dts = AV_NOPTS_VALUE;
    if (l->kind == WRITER_VIDEO)
        return 0;
    l->shift = av_rescale_q(l->shift_us, AV_TIME_BASE_Q, l->from);
    if (l->still)
        return 0;
    if (is_copied_video(l))
        open_part(l);
    int rc = 0;
    if (l->source && l->source->kind == TRACK_SUBTITLE)
        rc = open_text(l, err);
    else if (l->kind == WRITER_COPY)
        rc = open_copy(l, err);
    set_time_base(l);
    if (l->stream >= 0)
        l->to->time_base = l->tb;
    return rc;
}

/* ---- going on ------------------------------------------------------------------------------- */

/* Hands a packet in the lane's time base to the interleaver (moved). */
static int emit(struct lane *l, AVPacket *pkt, struct error *err)
{
    if (l->last_dts != AV_NOPTS_VALUE && pkt->dts < l->last_dts) {
        /* Sound that overlaps is moved closer together until its own time goes on. */
        const bool sound = l->to->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
        pkt->dts = l->last_dts + (sound ? FFMIN(pkt->duration / 4, l->tb.den) : 0);
        pkt->pts = FFMAX(pkt->pts, pkt->dts);
        l->raised += sound;
    }
    l->last_dts = pkt->dts;
    pkt->time_base = l->tb;
    l->packets++;
    l->bytes += pkt->size;
    const int rc = interleave_push(l->il, l->index, pkt);
    if (rc == RGPU_ERROR_LIMIT)
        return error_set(err, rc, "more than %d packets of a track wait for the others",
                         INTERLEAVE_PACKETS_MAX);
    return rc < 0 ? error_memory(err, "packets") : 0;
}

/* ---- encodes -------------------------------------------------------------------------------- */

static void release_packet(void *opaque, uint8_t *data)
{
    (void)data;
    struct buffer *buf = opaque;
    buffer_unref(&buf);
}

/* The same payload as a packet of libavformat, which takes over the reference. */
static AVPacket *wrap(struct packet *pkt)
{
    AVPacket *av = av_packet_alloc();
    if (!av)
        return NULL;
    av->buf = av_buffer_create((uint8_t *)pkt->data, pkt->size + BUFFER_PADDING, release_packet,
                               pkt->buf, AV_BUFFER_FLAG_READONLY);
    if (!av->buf) {
        av_packet_free(&av);
        return NULL;
    }
    pkt->buf = NULL;
    av->data = av->buf->data;
    av->size = (int)pkt->size;
    av->pts = pkt->pts;
    av->duration = pkt->duration;
    av->flags = pkt->flags & PACKET_KEY ? AV_PKT_FLAG_KEY : 0;
    return av;
}

static int drain_dts(struct lane *l, struct error *err)
{
    int64_t dts;
    int rc;
    while ((rc = dts_next(&l->dts, &dts)) == 0) {
        AVPacket *pkt = l->waiting[l->waiting_head];
        l->waiting_head = (l->waiting_head + 1) % (DTS_DELAY_MAX + 1);
        l->waiting_count--;
        pkt->dts = dts;
        rc = emit(l, pkt, err);
        if (rc < 0)
            return rc;
    }
    if (rc == RGPU_ERROR_INTERNAL)
        return error_set(err, rc, "packets of %s are more than %d frames out of display order",
                         lane_name(l), l->dts.delay);
    return 0;
}

static int take_encoded(struct lane *l, struct packet *pkt, struct error *err)
{
    if (!pkt->buf || pkt->size == 0 || pkt->pts == PTS_NONE) {
        packet_done(pkt);
        return error_set(err, RGPU_ERROR_INTERNAL, "an encoded packet of %s has no %s",
                         lane_name(l), pkt->pts == PTS_NONE ? "time stamp" : "payload");
    }
    AVPacket *av = wrap(pkt);
    packet_done(pkt);
    if (!av)
        return error_memory(err, "packets");
    av->pts -= l->shift;
    /* Not at key frames only: they come where an intra refresh begins, too. */
    if (l->strip && sets_strip(av, l->hevc, l->to->codecpar->extradata,
                               (size_t)l->to->codecpar->extradata_size) < 0) {
        av_packet_free(&av);
        return error_memory(err, "packets");
    }
    l->waiting[(l->waiting_head + l->waiting_count++) % (DTS_DELAY_MAX + 1)] = av;
    if (dts_push(&l->dts, av->pts) < 0)
        return error_set(err, RGPU_ERROR_INTERNAL, "too many packets of %s wait", lane_name(l));
    return drain_dts(l, err);
}

int lane_video(struct lane *l, struct packet *pkt, struct error *err)
{
    if (l->has_header)
        return take_encoded(l, pkt, err);
    if (l->early_count == l->early_capacity) {
        const int capacity = l->early_capacity ? 2 * l->early_capacity : 16;
        struct packet *early =
            capacity > LANE_EARLY_MAX ? NULL : realloc(l->early, (size_t)capacity * sizeof(*early));
        if (!early) {
            packet_done(pkt);
            return capacity > LANE_EARLY_MAX
                       ? error_set(err, RGPU_ERROR_LIMIT, "the header of %s does not come",
                                   lane_name(l))
                       : error_memory(err, "packets");
        }
        l->early = early;
        l->early_capacity = capacity;
    }
    l->early[l->early_count++] = packet_move(pkt);
    return 0;
}

int lane_header(struct lane *l, const struct track *video, struct error *err)
{
    const AVCodecParameters *par = l->to->codecpar;
    if (video->time_base.num <= 0 || video->time_base.den <= 0)
        return error_set(err, RGPU_ERROR_INTERNAL, "the header of %s has no time base",
                         lane_name(l));
    l->from = l->tb = (AVRational){video->time_base.num, video->time_base.den};
    l->shift = av_rescale_q(l->shift_us, AV_TIME_BASE_Q, l->from);
    l->hevc = par->codec_id == AV_CODEC_ID_HEVC;
    l->strip = (l->hevc || par->codec_id == AV_CODEC_ID_H264) && l->container != CONTAINER_TS &&
               par->extradata_size > 0;
    const struct rational rate = video->frame_rate;
    const int64_t frame =
        rate.num > 0 && rate.den > 0
            ? rational_rescale(1, (struct rational){rate.den, rate.num}, video->time_base,
                               ROUND_NEAREST)
            : rational_rescale(1, (struct rational){1, 25}, video->time_base, ROUND_NEAREST);
    dts_init(&l->dts, video->reorder_frames < 0 ? DEFAULT_REORDER : video->reorder_frames, frame);
    l->has_header = true;
    for (int i = 0; i < l->early_count; i++) {
        const int rc = take_encoded(l, &l->early[i], err);
        if (rc < 0)
            return rc;
    }
    l->early_count = 0;
    return 0;
}

/* ---- copies --------------------------------------------------------------------------------- */

static int emit_texts(struct lane *l, struct error *err)
{
    AVPacket *pkt;
    int rc;
    while ((rc = disjoint_next(&l->texts, &pkt)) == 0)
        if ((rc = emit(l, pkt, err)) < 0)
            return rc;
    return rc == RGPU_ERROR_AGAIN ? 0 : error_memory(err, "subtitles");
}

/* MP4 text has one sample at a time, and an empty one says nothing. */
static int disjoin(struct lane *l, AVPacket *pkt, struct error *err)
{
    if (pkt->size <= 2 || pkt->duration <= 0) {
        l->refused += pkt->size > 2;
        av_packet_free(&pkt);
        return 0;
    }
    return disjoint_push(&l->texts, pkt) < 0 ? error_memory(err, "subtitles") : emit_texts(l, err);
}

static int take_subtitle(struct lane *l, AVPacket *pkt, struct error *err)
{
    if (pkt->pts < 0) {
        pkt->duration += pkt->pts;
        pkt->pts = 0;
    }
    pkt->dts = pkt->pts;
    const bool over = pkt->duration < 0;
    const int rc = !over && l->text ? text_track_convert(l->text, pkt) : 0;
    if (over || rc < 0) {
        l->refused += !over && pkt->size > 2;
        av_packet_free(&pkt);
        return rc == RGPU_ERROR_MEMORY ? error_memory(err, "subtitles") : 0;
    }
    return l->disjoins ? disjoin(l, pkt, err) : emit(l, pkt, err);
}

static void resample(struct lane *l, AVPacket *pkt)
{
    AVCodecParameters *par = l->to->codecpar;
    const int samples = av_get_audio_frame_duration2(par, pkt->size);
    if (l->resample_last == AV_NOPTS_VALUE && par->initial_padding > 0) {
        /* Priming begins where the codec's delay says, not where rounding put it. */
        const int64_t first = av_rescale_q(pkt->dts, l->from, l->tb);
        const int64_t tick = av_rescale_q_rnd(1, l->from, l->tb, AV_ROUND_UP);
        if (FFABS(first + par->initial_padding) <= tick)
            l->resample_last = -par->initial_padding;
    }
    if (samples > 0)
        pkt->dts = av_rescale_delta(l->from, pkt->dts, l->tb, samples, &l->resample_last, l->tb);
    else
        pkt->dts = av_rescale_q(pkt->dts, l->from, l->tb);
    pkt->duration = samples > 0 ? samples : av_rescale_q(pkt->duration, l->from, l->tb);
    pkt->pts = pkt->dts;
}

static int take_filtered(struct lane *l, AVPacket *pkt, struct error *err)
{
    if (l->resample)
        resample(l, pkt);
    return emit(l, pkt, err);
}

/* The first filtered packet brings the codec's header. */
static int take_header(struct lane *l, const AVPacket *pkt)
{
    AVCodecParameters *par = l->to->codecpar;
    size_t size = 0;
    const uint8_t *data = av_packet_get_side_data(pkt, AV_PKT_DATA_NEW_EXTRADATA, &size);
    if (!data || par->extradata_size > 0)
        return 0;
    par->extradata = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!par->extradata)
        return RGPU_ERROR_MEMORY;
    memcpy(par->extradata, data, size);
    par->extradata_size = (int)size;
    return 0;
}

static int filter(struct lane *l, AVPacket *pkt, struct error *err)
{
    const int av = av_bsf_send_packet(l->bsf, pkt);
    av_packet_free(&pkt);
    if (av < 0) {
        l->refused++;
        return av == AVERROR(ENOMEM) ? error_memory(err, "packets") : 0;
    }
    for (;;) {
        AVPacket *out = av_packet_alloc();
        if (!out)
            return error_memory(err, "packets");
        const int got = av_bsf_receive_packet(l->bsf, out);
        if (got < 0) {
            av_packet_free(&out);
            l->refused += got != AVERROR(EAGAIN) && got != AVERROR_EOF;
            return got == AVERROR(ENOMEM) ? error_memory(err, "packets") : 0;
        }
        int rc = take_header(l, out);
        if (rc < 0) {
            av_packet_free(&out);
            return error_memory(err, "packets");
        }
        rc = take_filtered(l, out, err);
        if (rc < 0)
            return rc;
    }
}

/* Fills in a time stamp that the source does not give; false: there is none at all. */
static bool complete_time(const struct lane *l, AVPacket *pkt)
{
    if (pkt->pts == AV_NOPTS_VALUE && pkt->dts == AV_NOPTS_VALUE) {
        if (l->last_dts == AV_NOPTS_VALUE)
            return false;
        pkt->dts = av_rescale_q(l->last_dts, l->tb, l->from) + l->shift + 1;
    }
    if (pkt->pts == AV_NOPTS_VALUE)
        pkt->pts = pkt->dts;
    if (pkt->dts == AV_NOPTS_VALUE) {
        pkt->dts = pkt->pts;
        if (l->to->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && l->last_dts != AV_NOPTS_VALUE)
            pkt->dts = FFMIN(pkt->pts, av_rescale_q(l->last_dts, l->tb, l->from) + l->shift + 1);
    }
    return true;
}

/* Audio that an edit list of the source hides would be heard: the edit list of a result hides what
 * lies before time zero, and other containers hide no more than a codec's delay. */
static bool is_bared(const struct lane *l, const AVPacket *pkt)
{
    const bool edits = l->container == CONTAINER_MP4 || l->container == CONTAINER_HLS;
    return pkt->flags & AV_PKT_FLAG_DISCARD && l->kind == WRITER_COPY &&
           l->to->codecpar->codec_type == AVMEDIA_TYPE_AUDIO && (!edits || pkt->pts >= 0);
}

/* Keeps the newest of the hidden packets: those in front of the first that is heard prime the
 * decoder. */
static void keep_hidden(struct lane *l, AVPacket *pkt)
{
    if (l->hidden_count == LANE_PRIMING_MAX) {
        av_packet_free(&l->hidden[0]);
        memmove(&l->hidden[0], &l->hidden[1], (LANE_PRIMING_MAX - 1) * sizeof(AVPacket *));
        l->hidden_count--;
    }
    l->hidden[l->hidden_count++] = pkt;
}

static void drop_hidden(struct lane *l)
{
    for (int i = 0; i < l->hidden_count; i++)
        av_packet_free(&l->hidden[i]);
    l->hidden_count = 0;
}

/* Counts a packet of copied video as a frame, if the result shows it. */
static void count_frame(struct lane *l, const AVPacket *pkt)
{
    const bool hidden = pkt->flags & AV_PKT_FLAG_DISCARD;
    if (pkt->opaque || (hidden && l->hides))
        return;
    l->frames++;
    if (hidden && pkt->pts >= l->end) {
        const int64_t late = pkt->pts + FFMAX(pkt->duration, 1) - l->end;
        l->late_us = FFMAX(l->late_us, av_rescale_q(late, l->from, AV_TIME_BASE_Q));
    }
}

static int take_copy(struct lane *l, AVPacket *pkt, struct error *err)
{
    if (is_copied_video(l))
        count_frame(l, pkt);
    if (!l->hides)
        pkt->flags &= ~AV_PKT_FLAG_DISCARD;
    return l->bsf ? filter(l, pkt, err) : take_filtered(l, pkt, err);
}

/* The first packet that is heard has come: what primes the decoder for it goes in front, all else
 * that was hidden is left out. Later on nothing needs priming. */
static int take_hidden(struct lane *l, const AVPacket *heard, struct error *err)
{
    const AVCodecParameters *par = l->to->codecpar;
    const int padding = l->source->stream->codecpar->initial_padding;
    /* A packet that begins before time zero is heard from there on. */
    const int64_t start = FFMAX(heard->pts, 0);
    const int count = l->packets == 0 ? l->hidden_count : 0;
    int rc = 0;
    for (int i = 0; rc == 0 && i < count; i++) {
        AVPacket *pkt = l->hidden[i];
        int64_t most = pkt->duration;
        if (par->sample_rate > 0)
            most = av_rescale_q(padding > 0 ? padding : PRIMING_SAMPLES,
                                (AVRational){1, par->sample_rate}, l->from);
        if (padding <= 0 && most < pkt->duration)
            most = pkt->duration;
        if (start - pkt->pts > most)
            continue;
        l->hidden[i] = NULL;
        rc = take_copy(l, pkt, err);
    }
    drop_hidden(l);
    return rc;
}

static int drain_part(struct lane *l, struct error *err)
{
    AVPacket *pkt;
    int rc = 0;
    while (rc == 0 && (pkt = part_pop(&l->part)))
        rc = take_copy(l, pkt, err);
    return rc;
}

int lane_copy(struct lane *l, AVPacket *pkt, struct error *err)
{
    if (!pkt)
        return 0;
    if (l->dropped || l->still || l->ended || pkt->size == 0) {
        av_packet_free(&pkt);
        return 0;
    }
    if (!complete_time(l, pkt)) {
        l->refused++;
        av_packet_free(&pkt);
        return 0;
    }
    pkt->pts -= l->shift;
    pkt->dts -= l->shift;
    if (l->to->codecpar->codec_type == AVMEDIA_TYPE_SUBTITLE) {
        pkt->flags &= ~AV_PKT_FLAG_DISCARD;
        return take_subtitle(l, pkt, err);
    }
    if (is_bared(l, pkt)) {
        keep_hidden(l, pkt);
        return 0;
    }
    if (l->has_part)
        return part_push(&l->part, pkt) < 0 ? error_memory(err, "packets") : drain_part(l, err);
    const int rc = l->hidden_count > 0 ? take_hidden(l, pkt, err) : 0;
    if (rc < 0) {
        av_packet_free(&pkt);
        return rc;
    }
    return take_copy(l, pkt, err);
}

int lane_progress(struct lane *l, int64_t pts_us, struct error *err)
{
    if (l->kind == WRITER_VIDEO || l->dropped || l->ended ||
        (l->source && l->source->kind == TRACK_VIDEO))
        return 0;
    int64_t us = pts_us - l->shift_us, from;
    if (l->disjoins) {
        disjoint_progress(&l->texts, av_rescale_q_rnd(us, AV_TIME_BASE_Q, l->tb, AV_ROUND_DOWN));
        const int rc = emit_texts(l, err);
        if (rc < 0)
            return rc;
        if (disjoint_from(&l->texts, &from))
            us = FFMIN(us, av_rescale_q_rnd(from, l->tb, AV_TIME_BASE_Q, AV_ROUND_DOWN));
    }
    interleave_progress(l->il, l->index, us);
    return 0;
}

/* --------------------------------------------------------------------------------------------- */

int lane_end(struct lane *l, struct error *err)
{
    if (l->dropped || l->ended)
        return 0;
    int rc = 0;
    if (l->disjoins) {
        disjoint_progress(&l->texts, INT64_MAX);
        rc = emit_texts(l, err);
        l->refused += l->texts.lost;
    }
    if (rc == 0 && l->has_part) {
        part_finish(&l->part);
        rc = drain_part(l, err);
    }
    if (rc == 0 && l->kind == WRITER_VIDEO && l->has_header) {
        dts_finish(&l->dts);
        rc = drain_dts(l, err);
    }
    l->ended = true;
    interleave_end(l->il, l->index);
    return rc;
}

int lane_check_gap(struct lane *l, const AVPacket *pkt, int64_t origin_us, const char *path,
                   struct error *err)
{
    const enum AVMediaType type = l->to->codecpar->codec_type;
    const bool is_cues = l->container == CONTAINER_HLS && type == AVMEDIA_TYPE_SUBTITLE;
    if ((l->container != CONTAINER_MP4 && l->container != CONTAINER_HLS) || is_cues)
        return 0;
    const AVRational tb = l->to->time_base;
    const int64_t pts = av_rescale_q(pkt->pts, pkt->time_base, tb);
    const int64_t dts = av_rescale_q(pkt->dts, pkt->time_base, tb);
    const int64_t last_dts = l->gone_dts != AV_NOPTS_VALUE ? l->gone_dts : dts;
    const int64_t last_pts = l->gone_dts != AV_NOPTS_VALUE ? l->gone_pts : dts;
    l->gone_dts = dts;
    l->gone_pts = FFMAX(pts, last_pts);
    if (dts - last_dts < INT32_MAX && pts - dts < INT32_MAX)
        return 0;
    return error_set(
        err, RGPU_ERROR_UNSUPPORTED,
        "%s: after %.3f s of the input, %s track %d has a gap of %.3f s, which is longer than "
        "%s can say in units of 1/%d s; use an .mkv output, or take a part with "
        "--start and --duration",
        path, (double)last_pts * av_q2d(tb) + (double)origin_us / 1e6,
        av_get_media_type_string(type), l->source ? l->source->index : l->index,
        (double)(pts - last_pts) * av_q2d(tb), container_name(l->container), tb.den);
}

void lane_close(struct lane *l)
{
    for (int i = 0; i < l->waiting_count; i++)
        av_packet_free(&l->waiting[(l->waiting_head + i) % (DTS_DELAY_MAX + 1)]);
    for (int i = 0; i < l->early_count; i++)
        packet_done(&l->early[i]);
    free(l->early);
    drop_hidden(l);
    part_done(&l->part);
    disjoint_done(&l->texts);
    av_bsf_free(&l->bsf);
    text_track_close(&l->text);
    l->early = NULL;
    l->early_count = l->waiting_count = 0;
}
