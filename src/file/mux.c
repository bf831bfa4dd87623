#include "file/mux.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/mathematics.h>
#include <libavutil/opt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file/container.h"
#include "file/edits.h"
#include "file/fragment.h"
#include "file/mkv.h"
#include "file/output.h"

/* How long before its decoding time a byte of MPEG-TS arrives: room for the receiver's buffer. */
#define TS_LEAD_US 700000
#define MOVIE_TIMESCALE_MAX 1000000000

struct stream {
    int64_t first_pts; /* AV_NOPTS_VALUE: unknown */
    int64_t last_dts;  /* in the muxer's time base */
    int64_t delay;     /* MKV: added to time stamps; muxer's time base */
    int64_t delay_ns;  /* MKV: to be written into the header; 0: nothing */
    int text_box;      /* MP4 text: 0 no, 1 nothing written yet, 2 begun */
    bool hides;        /* MP4 video: an edit list is written when the file is complete */
    int64_t lead;      /* seconds, added if it does, so that its edit list has two entries */
    int64_t first_dts; /* as all below in the muxer's time base, less the lead; or NOPTS */
    int64_t shown_first, shown_end; /* of the pictures shown; INT64_MAX, INT64_MIN: none yet */
    int64_t shown_last, step;       /* pts of the one before; the least distance, or INT64_MAX */
    int64_t hidden_next;            /* first picture behind the part; INT64_MAX: none */
    bool settled;                   /* MKV, AAC: the header has the codec's own already */
};

struct mux {
    AVFormatContext *format; /* owned */
    struct output output;
    enum container container;
    char *path; /* owned */
    struct stream streams[WRITER_TRACKS_MAX];
    int64_t later_us, repaired;
    int64_t begin; /* fragments: first time stamp, in the muxer's time base, or 0 */
    bool regular, started;
};

/* ---- open ----------------------------------------------------------------------------------- */

static const char *muxer_name(enum container container, const char *path)
{
    switch (container) {
    case CONTAINER_MP4:
        return container_is_mov(path) ? "mov" : "mp4";
    case CONTAINER_HLS:
        return "mp4";
    case CONTAINER_MKV:
        return container_is_webm(path) ? "webm" : "matroska";
    case CONTAINER_TS:
        return "mpegts";
    case CONTAINER_FLV:
        return "flv";
    case CONTAINER_NONE:
        break;
    }
    return "none";
}

int mux_open(struct mux **ret, const struct mux_params *params, struct error *err)
{
    struct mux *m = calloc(1, sizeof(*m));
    if (!m)
        return error_memory(err, "a muxer");
    m->container = params->container;
    m->path = strdup(params->path);
    m->output.fd = -1;
    const char *name = muxer_name(params->container, params->path);
    const AVOutputFormat *format = av_guess_format(name, NULL, NULL);
    if (!format) {
        mux_close(&m);
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "this libavformat cannot write %s", name);
    }
    int rc = output_init(&m->output, params->fd);
    if (rc == 0 && m->path)
        m->format = avformat_alloc_context();
    if (!m->format || !(m->format->url = av_strdup(params->path))) {
        mux_close(&m);
        return error_memory(err, "a muxer");
    }
    m->format->oformat = format;
    m->format->strict_std_compliance = FF_COMPLIANCE_EXPERIMENTAL;
    m->format->avoid_negative_ts = AVFMT_AVOID_NEG_TS_DISABLED;
    m->format->flush_packets = 0;
    m->format->max_delay = params->container == CONTAINER_TS ? TS_LEAD_US : 0;
    output_attach(&m->output, m->format);
    struct stat st;
    m->regular = params->fd >= 0 && fstat(params->fd, &st) == 0 && S_ISREG(st.st_mode);
    *ret = m;
    return 0;
}

AVFormatContext *mux_format(struct mux *m)
{
    return m->format;
}

AVStream *mux_stream(struct mux *m)
{
    if (m->format->nb_streams >= WRITER_TRACKS_MAX)
        return NULL;
    AVStream *st = avformat_new_stream(m->format, NULL);
    if (st) {
        st->id = st->index + 1;
        m->streams[st->index] = (struct stream){.first_pts = AV_NOPTS_VALUE,
                                                .last_dts = AV_NOPTS_VALUE,
                                                .first_dts = AV_NOPTS_VALUE,
                                                .shown_first = INT64_MAX,
                                                .shown_end = INT64_MIN,
                                                .step = INT64_MAX,
                                                .hidden_next = INT64_MAX};
    }
    return st;
}

void mux_first(struct mux *m, int stream, int64_t pts)
{
    m->streams[stream].first_pts = pts;
}

void mux_hides(struct mux *m, int stream)
{
    m->streams[stream].hides = m->container == CONTAINER_MP4 && m->regular;
}

/* ---- time ----------------------------------------------------------------------------------- */

static int64_t first_us(const struct mux *m, unsigned i)
{
    const int64_t pts = m->streams[i].first_pts;
    if (pts == AV_NOPTS_VALUE)
        return 0;
    return av_rescale_q_rnd(pts, m->format->streams[i]->time_base, AV_TIME_BASE_Q, AV_ROUND_DOWN);
}

static bool is_audio(const AVStream *st)
{
    return st->codecpar->codec_type == AVMEDIA_TYPE_AUDIO;
}

/* What lies in front of time zero can be cut off by an edit list in MP4. In MKV, a CodecDelay (here
 * of four bytes, in nanoseconds) does it for audio: for Opus it is what the codec itself says. */
static bool holds_negative(const struct mux *m, unsigned i)
{
    const AVStream *st = m->format->streams[i];
    const int64_t before_us = -first_us(m, i);
    if (m->container != CONTAINER_MKV)
        return is_audio(st) || m->streams[i].hides;
    if (!is_audio(st))
        return false;
    if (st->codecpar->codec_id == AV_CODEC_ID_OPUS)
        return before_us * 48 <= st->codecpar->initial_padding * INT64_C(1000) + 48000;
    return before_us < 4000000 && !container_is_webm(m->path);
}

int64_t mux_shift_us(const struct mux *m, int64_t first_dts_us)
{
    int64_t need = 0;
    switch (m->container) {
    case CONTAINER_MP4:
    case CONTAINER_HLS:
    case CONTAINER_MKV:
        for (unsigned i = 0; i < m->format->nb_streams; i++)
            if (first_us(m, i) < 0 && !holds_negative(m, i))
                need = FFMAX(need, -first_us(m, i));
        break;
    case CONTAINER_TS:
        /* The clock reference runs ahead of dts, and neither may be negative. */
        need = TS_LEAD_US - first_dts_us;
        break;
    case CONTAINER_FLV:
        need = -first_dts_us;
        break;
    case CONTAINER_NONE:
        break;
    }
    /* Whole seconds are exact in every time base. */
    return need > 0 ? (need + 999999) / 1000000 * 1000000 : 0;
}

/* In fragments, an edit list says only how far decoding and priming run ahead of what is shown:
 * players of segments know no empty edits. When the track begins is in the fragments' decode times.
 * The muxer counts those from its first packet, so it gets times that begin at zero and the
 * fragments are moved when they are complete (`begin`).
 *
 * The movie's time scale counts empty edits: it must be able to say when each track begins. */
static int64_t movie_timescale(const struct mux *m)
{
    int64_t scale = 1000;
    for (unsigned i = 0; i < m->format->nb_streams; i++) {
        const AVRational tb = m->format->streams[i]->time_base;
        const bool hides = m->streams[i].hides; /* which frame is the first is not known yet */
        const int64_t pts = m->streams[i].first_pts;
        if (!hides && (pts == AV_NOPTS_VALUE || pts <= 0 || tb.den <= 0))
            continue;
        const int64_t ticks = hides ? 1 : pts % tb.den * tb.num; /* whole seconds need nothing */
        const int64_t den = tb.den / av_gcd(ticks, tb.den);
        const int64_t both = scale / av_gcd(scale, den) * den;
        if (both <= MOVIE_TIMESCALE_MAX)
            scale = both;
    }
    return scale;
}

/* ---- header --------------------------------------------------------------------------------- */

static int options_mp4(struct mux *m, AVDictionary **options)
{
    bool color = false;
    int rc = 0;
    for (unsigned i = 0; i < m->format->nb_streams; i++) {
        const AVCodecParameters *par = m->format->streams[i]->codecpar;
        color |=
            par->codec_type == AVMEDIA_TYPE_VIDEO &&
            (par->color_primaries != AVCOL_PRI_UNSPECIFIED ||
             par->color_trc != AVCOL_TRC_UNSPECIFIED || par->color_space != AVCOL_SPC_UNSPECIFIED ||
             par->color_range == AVCOL_RANGE_JPEG);
    }
    char flags[160] = "";
    if (m->container == CONTAINER_MP4) {
        snprintf(flags, sizeof(flags), "%s", m->regular ? "+faststart" : "");
    } else {
        snprintf(flags, sizeof(flags),
                 "+frag_custom+empty_moov+default_base_moof+skip_trailer+delay_moov");
        rc = av_dict_set(options, "use_editlist", "1", 0);
    }
    if (color)
        strcat(flags, "+write_colr");
    if (rc >= 0 && flags[0])
        rc = av_dict_set(options, "movflags", flags, 0);
    return rc < 0 ? rc : av_dict_set_int(options, "movie_timescale", movie_timescale(m), 0);
}

/* Priming: `initial_padding` says how far before zero an audio track may begin. */
static int prepare_mkv(struct mux *m)
{
    const bool knows = mkv_muxer_knows_delay();
    for (unsigned i = 0; i < m->format->nb_streams; i++) {
        AVStream *st = m->format->streams[i];
        AVCodecParameters *par = st->codecpar;
        struct stream *s = &m->streams[i];
        if (!is_audio(st) || par->sample_rate <= 0)
            continue;
        const AVRational samples = {1,
                                    par->codec_id == AV_CODEC_ID_OPUS ? 48000 : par->sample_rate};
        const bool opus = par->codec_id == AV_CODEC_ID_OPUS;
        if (!opus && s->first_pts != AV_NOPTS_VALUE) {
            const int64_t before = av_rescale_q(-s->first_pts, st->time_base, samples);
            const int64_t tick = av_rescale_q_rnd(1, st->time_base, samples, AV_ROUND_UP);
            /* What the source says in samples is more exact than its time stamps. */
            if (s->first_pts >= 0 || FFABS(before - par->initial_padding) > tick)
                par->initial_padding = before > 0 ? (int)before : 0;
        }
        if (par->initial_padding <= 0 || knows)
            continue;
        s->delay = av_rescale_q(par->initial_padding, samples, (AVRational){1, 1000});
        if (opus)
            continue; /* this one is always written */
        s->delay_ns = av_rescale_q(par->initial_padding, samples, (AVRational){1, 1000000000});
        if (mkv_reserve_delay(st) < 0)
            return RGPU_ERROR_MEMORY;
    }
    return 0;
}

/* The muxer writes an entry without media only for a stream that begins later than zero. */
static int64_t lead_s(const struct mux *m, unsigned i)
{
    const int64_t first = first_us(m, i);
    return m->streams[i].hides && first <= 0 ? -first / 1000000 + 1 : 0;
}

static void add_later(struct mux *m)
{
    for (unsigned i = 0; i < m->format->nb_streams; i++)
        if (m->streams[i].first_pts != AV_NOPTS_VALUE)
            m->streams[i].first_pts +=
                av_rescale_q(m->later_us, AV_TIME_BASE_Q, m->format->streams[i]->time_base);
}

int mux_start(struct mux *m, int64_t later_us, struct error *err)
{
    AVDictionary *options = NULL;
    const AVRational from =
        m->format->nb_streams > 0 ? m->format->streams[0]->time_base : AV_TIME_BASE_Q;
    m->later_us = later_us;
    add_later(m);
    int rc = 0;
    switch (m->container) {
    case CONTAINER_MP4:
    case CONTAINER_HLS:
        rc = options_mp4(m, &options);
        break;
    case CONTAINER_MKV:
        rc = prepare_mkv(m);
        break;
    case CONTAINER_TS:
        rc = av_dict_set(&options, "mpegts_copyts", "1", 0);
        /* A PES packet for each frame of audio, so that each has its own exact time stamp. */
        if (rc >= 0)
            rc = av_dict_set(&options, "pes_payload_size", "0", 0);
        if (rc >= 0)
            rc = av_dict_set(&options, "mpegts_m2ts_mode", container_is_m2ts(m->path) ? "1" : "0",
                             0);
        break;
    case CONTAINER_FLV:
    case CONTAINER_NONE:
        break;
    }
    for (unsigned i = 0; i < m->format->nb_streams; i++) {
        AVStream *st = m->format->streams[i];
        if (m->container == CONTAINER_MP4 && st->codecpar->codec_id == AV_CODEC_ID_MOV_TEXT)
            m->streams[i].text_box = 1;
        /* QuickTime's older kind of text has other samples. */
        if (m->streams[i].text_box && container_is_mov(m->path))
            st->codecpar->codec_tag = MKTAG('t', 'x', '3', 'g');
        m->streams[i].settled = m->container == CONTAINER_MKV &&
                                st->codecpar->codec_id == AV_CODEC_ID_AAC &&
                                st->codecpar->extradata_size > 0;
        m->streams[i].lead = lead_s(m, i);
        /* All ticks of n/d are ticks of 1/d. */
        st->time_base.num = 1;
    }
    if (rc < 0) {
        av_dict_free(&options);
        return error_memory(err, "the header");
    }
    const int av = avformat_write_header(m->format, &options);
    av_dict_free(&options);
    if (av < 0)
        return output_error(&m->output, av, "the header", m->path, err);
    m->started = true;
    if (m->container == CONTAINER_HLS && m->streams[0].first_pts > 0) {
        const AVRational to = m->format->streams[0]->time_base;
        m->begin = av_rescale_q(m->streams[0].first_pts, from, to);
    }
    return 0;
}

/* ---- packets -------------------------------------------------------------------------------- */

static int write_av(struct mux *m, AVPacket *pkt, struct error *err)
{
    const int av = av_write_frame(m->format, pkt);
    if (av < 0 || m->output.failure)
        return output_error(&m->output, av, "a packet", m->path, err);
    return 0;
}

/* The muxer ends a text on its own, at times counted from the first sample: so there must be a
 * sample at zero. */
static int begin_text(struct mux *m, AVStream *st, struct error *err)
{
    AVPacket *empty = av_packet_alloc();
    if (!empty || av_new_packet(empty, 2) < 0) {
        av_packet_free(&empty);
        return error_memory(err, "a packet");
    }
    memset(empty->data, 0, 2);
    empty->pts = empty->dts = 0;
    empty->stream_index = st->index;
    empty->time_base = st->time_base;
    const int rc = write_av(m, empty, err);
    av_packet_free(&empty);
    return rc;
}

/* The MKV muxer writes AAC's configuration again where a packet brings it, but leaves room for that
 * only where it had none at first: else it would write over what follows. */
static void drop_config(AVPacket *pkt)
{
    for (int i = 0; i < pkt->side_data_elems; i++) {
        if (pkt->side_data[i].type != AV_PKT_DATA_NEW_EXTRADATA)
            continue;
        av_freep(&pkt->side_data[i].data);
        pkt->side_data[i--] = pkt->side_data[--pkt->side_data_elems];
    }
}

/* What the edit list will have to say. `later`: contained in the packet's times. */
static void note_shown(struct stream *s, const AVPacket *pkt, int64_t later)
{
    if (s->first_dts == AV_NOPTS_VALUE)
        s->first_dts = pkt->dts;
    if (pkt->opaque)
        return; /* shows no frame of its own */
    if (pkt->flags & AV_PKT_FLAG_DISCARD) {
        if (pkt->pts > later && pkt->pts < s->hidden_next)
            s->hidden_next = pkt->pts;
        return;
    }
    const bool any = s->shown_first != INT64_MAX;
    const int64_t apart = any ? FFABS(pkt->pts - s->shown_last) : 0;
    if (apart > 0 && apart < s->step)
        s->step = apart;
    s->shown_last = pkt->pts;
    s->shown_first = FFMIN(s->shown_first, pkt->pts);
    const int64_t unsaid = s->step != INT64_MAX ? s->step : 1;
    s->shown_end = FFMAX(s->shown_end, pkt->pts + (pkt->duration > 0 ? pkt->duration : unsaid));
}

int mux_write(struct mux *m, int stream, AVPacket *pkt, struct error *err)
{
    AVStream *st = m->format->streams[stream];
    struct stream *s = &m->streams[stream];
    const AVRational from = pkt->time_base;
    const enum AVRounding nearest = AV_ROUND_NEAR_INF;
    const int64_t later =
        m->later_us ? av_rescale_q(m->later_us, AV_TIME_BASE_Q, st->time_base) : 0;
    const int64_t end =
        pkt->duration > 0 ? av_rescale_q_rnd(pkt->pts + pkt->duration, from, st->time_base, nearest)
                          : 0;
    const int64_t shift = later + s->delay - m->begin;
    const int64_t pts = av_rescale_q_rnd(pkt->pts, from, st->time_base, nearest);
    pkt->dts = av_rescale_q_rnd(pkt->dts, from, st->time_base, nearest) + shift;
    if (pkt->duration > 0)
        pkt->duration = end - pts;
    pkt->pts = pts + shift;
    pkt->time_base = st->time_base;
    pkt->stream_index = stream;
    pkt->pos = -1;
    if (s->settled)
        drop_config(pkt);
    if (s->hides) {
        const int64_t lead = s->lead * st->time_base.den;
        note_shown(s, pkt, later);
        pkt->pts += lead;
        pkt->dts += lead;
    }
    pkt->flags &= ~AV_PKT_FLAG_DISCARD;
    const int64_t grow = m->format->oformat->flags & AVFMT_TS_NONSTRICT ? 0 : 1;
    if (s->last_dts != AV_NOPTS_VALUE && pkt->dts < s->last_dts + grow) {
        pkt->dts = s->last_dts + grow;
        m->repaired++;
    }
    if (pkt->pts < pkt->dts)
        pkt->pts = pkt->dts;
    s->last_dts = pkt->dts;
    if (s->text_box == 1) {
        s->text_box = 2;
        const int rc = pkt->dts > 0 ? begin_text(m, st, err) : 0;
        if (rc < 0)
            return rc;
    }
    return write_av(m, pkt, err);
}

int64_t mux_repaired_count(const struct mux *m)
{
    return m->repaired;
}

int mux_fragment(struct mux *m, struct error *err)
{
    return write_av(m, NULL, err);
}

int mux_switch(struct mux *m, int fd, struct error *err)
{
    int rc = m->output.fd >= 0 ? output_flush(&m->output, m->path, err) : 0;
    if (rc == 0 && m->output.fd >= 0 && m->begin)
        rc = fragment_move(m->output.fd, m->begin, m->path, err);
    if (rc < 0)
        return rc;
    output_switch(&m->output, fd);
    return 0;
}

int64_t mux_bytes(const struct mux *m)
{
    return output_size(&m->output);
}

static int write_edits(struct mux *m, struct error *err)
{
    struct edit edits[WRITER_TRACKS_MAX] = {0};
    int count = 0;
    bool any = false;
    for (unsigned i = 0; i < m->format->nb_streams; i++) {
        const AVStream *st = m->format->streams[i];
        const struct stream *s = &m->streams[i];
        if (st->codecpar->codec_type != AVMEDIA_TYPE_VIDEO ||
            st->disposition & AV_DISPOSITION_ATTACHED_PIC || s->last_dts == AV_NOPTS_VALUE)
            continue;
        struct edit *e = &edits[count++];
        if (!s->hides || s->shown_first == INT64_MAX)
            continue;
        any = true;
        *e = (struct edit){.time_base = {st->time_base.num, st->time_base.den},
                           .first = s->shown_first,
                           .media = s->shown_first - s->first_dts,
                           .length = FFMIN(s->shown_end, s->hidden_next) - s->shown_first};
    }
    return any ? edits_write(m->output.fd, edits, count, m->path, err) : 0;
}

int mux_finish(struct mux *m, struct error *err)
{
    if (!m->started)
        return error_set(err, RGPU_ERROR_INTERNAL, "nothing was written to %s", m->path);
    m->started = false;
    const int av = av_write_trailer(m->format);
    if (av < 0 || m->output.failure)
        return output_error(&m->output, av, "the end of the file", m->path, err);
    int rc = m->output.fd >= 0 ? output_flush(&m->output, m->path, err) : 0;
    if (rc == 0)
        rc = write_edits(m, err);
    for (unsigned i = 0, number = 0; rc == 0 && i < m->format->nb_streams; i++) {
        if (m->format->streams[i]->codecpar->codec_type == AVMEDIA_TYPE_ATTACHMENT)
            continue;
        number++;
        if (m->streams[i].delay_ns && m->regular)
            rc = mkv_write_delay(m->output.fd, (int)number, m->streams[i].delay_ns, m->path, err);
    }
    return rc;
}

void mux_close(struct mux **mux)
{
    struct mux *m = *mux;
    *mux = NULL;
    if (!m)
        return;
    if (m->format) {
        /* An unfinished muxer frees its state with the context, and must not write any more. */
        m->format->pb = NULL;
        avformat_free_context(m->format);
    }
    output_done(&m->output);
    free(m->path);
    free(m);
}
