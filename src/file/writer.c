#include "file/writer.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "file/container.h"
#include "file/describe.h"
#include "file/hls.h"
#include "file/lane.h"
#include "file/mux.h"
#include "file/place.h"

struct writer {
    enum container container;
    char *path;            /* owned */
    struct reader *reader; /* borrowed; may be NULL */
    struct place *place;   /* owned; a file */
    struct mux *mux;       /* owned; a file */
    struct hls *hls;       /* owned; instead of the two */
    struct interleave *il; /* owned */
    struct lane *lanes;    /* owned array */
    bool *hls_told;        /* owned array: hls_end was called */
    int count, videos;
    char *warnings[WRITER_WARNINGS_MAX]; /* owned */
    int warnings_count;
    int64_t shift_us, end_us, later_us;
    bool started, complete;
    int failed; /* the first error; nothing goes on after it */
};

/* ---- warnings ------------------------------------------------------------------------------- */

static void __attribute__((format(printf, 2, 3))) warn(struct writer *w, const char *format, ...)
{
    if (w->warnings_count >= WRITER_WARNINGS_MAX)
        return;
    char *line = NULL;
    va_list args;
    va_start(args, format);
    const int n = w->warnings_count < WRITER_WARNINGS_MAX - 1
                      ? vasprintf(&line, format, args)
                      : asprintf(&line, "there is more that %s cannot hold", w->path);
    va_end(args);
    if (n >= 0)
        w->warnings[w->warnings_count++] = line;
}

static const char *kind_name(const struct reader_track *t)
{
    switch (t->kind) {
    case TRACK_VIDEO:
        return t->is_cover ? "cover picture" : "video track";
    case TRACK_AUDIO:
        return "audio track";
    case TRACK_SUBTITLE:
        return "subtitle track";
    case TRACK_ATTACHMENT:
        return "attachment";
    case TRACK_DATA:
        break;
    }
    return "data track";
}

static const char *remedy(const struct writer *w, const struct reader_track *t)
{
    if (container_is_webm(w->path) || (w->container != CONTAINER_MKV && t->kind != TRACK_DATA &&
                                       container_takes(CONTAINER_MKV, t, NULL)))
        return "; use an .mkv output to keep it";
    return "";
}

/* One line names a track that is left out. */
static void warn_dropped(struct writer *w, const struct reader_track *t, const char *why)
{
    char language[24] = "";
    if (t->language[0])
        snprintf(language, sizeof(language), ", %s", t->language);
    const AVDictionaryEntry *file = av_dict_get(t->stream->metadata, "filename", NULL, 0);
    const char *what = file ? file->value : t->codec[0] ? t->codec : "unknown";
    warn(w, "%s %d (%s%s) cannot be stored in %s%s and is left out%s", kind_name(t), t->index, what,
         language, container_path_name(w->container, w->path), why, remedy(w, t));
}

static void warn_chapters(struct writer *w)
{
    const AVFormatContext *in = w->reader ? reader_format(w->reader) : NULL;
    if (in && in->nb_chapters > 0 && w->container != CONTAINER_MP4 && w->container != CONTAINER_MKV)
        warn(w,
             "%u chapters cannot be stored in %s and are left out; use an .mkv or .mp4 output to "
             "keep them",
             in->nb_chapters, container_name(w->container));
}

/* A display matrix has a place in MP4; other containers' muxers drop it. */
static void warn_rotation(struct writer *w, const struct reader_track *t)
{
    if (t && t->rotation_degrees && w->container != CONTAINER_MP4 && w->container != CONTAINER_HLS)
        warn(w,
             "the rotation by %d degrees of video track %d cannot be stored in %s; use an .mp4 "
             "output to keep it",
             t->rotation_degrees, t->index, container_name(w->container));
}

static int64_t input_start_us(const struct writer *w)
{
    return w->reader ? reader_start_us(w->reader) : 0;
}

/* Only an edit list hides the pictures between the key frame and the start. */
static void warn_early(struct writer *w, const struct lane *l, const AVPacket *first)
{
    const int64_t us = av_rescale_q(first->pts, first->time_base, AV_TIME_BASE_Q);
    if (l->has_part && !l->hides && us < 0)
        warn(w,
             "copied video begins %.3f s early, at its key frame at %.3f s of the input; use an "
             ".mp4 output or encode it",
             (double)-us / 1e6, (double)(w->shift_us + us - input_start_us(w)) / 1e6);
}

/* As little can it hide what comes behind the end because pictures before it refer to it. */
static void warn_late(struct writer *w, const struct lane *l)
{
    if (l->late_us > 0)
        warn(w,
             "copied video ends %.3f s late, with pictures that others need; use an .mp4 output or "
             "encode it",
             (double)l->late_us / 1e6);
}

/* ---- which tracks --------------------------------------------------------------------------- */

/* Subtitles that are drawn, not written. */
static bool is_pictures(const struct reader_track *t)
{
    const AVCodecDescriptor *d = avcodec_descriptor_get(t->stream->codecpar->codec_id);
    return t->kind == TRACK_SUBTITLE && d && d->props & AV_CODEC_PROP_BITMAP_SUB;
}

/* Whether the file takes a video track beside its renditions; warns if not. */
static bool keeps_beside(struct writer *w, const struct lane *l)
{
    const struct reader_track *t = l->source;
    if (w->container == CONTAINER_HLS || w->container == CONTAINER_FLV) {
        warn_dropped(w, t, " beside another");
        return false;
    }
    if (l->is_unasked)
        warn(w,
             "video track %d (%s, %dx%d) is left out of the files; name it with --map to copy it "
             "into each",
             t->index, t->codec[0] ? t->codec : "unknown", t->video.width, t->video.height);
    return !l->is_unasked;
}

/* Whether an audio track is one more than FLV holds. */
static bool is_second_sound(const struct writer *w, const struct lane *lane)
{
    const struct reader_track *t = lane->source;
    if (w->container != CONTAINER_FLV || !t || t->kind != TRACK_AUDIO || t->is_untold)
        return false;
    for (int i = 0; i < w->count; i++) {
        const struct lane *l = &w->lanes[i];
        if (l != lane && l->source && l->source->kind == TRACK_AUDIO && l->to)
            return true;
    }
    return false;
}

/* Whether a source track is copied, as it is or as another text format; warns if not. */
static bool keeps(struct writer *w, const struct lane *lane)
{
    const struct reader_track *t = lane->source;
    if (lane->is_beside && !t->is_untold && !keeps_beside(w, lane))
        return false;
    const enum AVCodecID id = t->stream->codecpar->codec_id;
    bool takes = container_takes(w->container, t, NULL);
    if (!takes && t->kind == TRACK_SUBTITLE)
        takes = container_text_codec(w->container, id) != AV_CODEC_ID_NONE;
    takes = takes && container_path_allows(w->path, t);
    if (takes && t->is_cover && t->stream->attached_pic.size <= 0)
        takes = false;
    /* The time code is in the video track's tags too, and its track is made anew of them. */
    const bool timecode = t->stream->codecpar->codec_tag == MKTAG('t', 'm', 'c', 'd') &&
                          w->container == CONTAINER_MP4;
    if (t->is_untold && t->kind == TRACK_VIDEO)
        warn(w, "video track %d is left out: the input does not tell its size", t->index);
    else if (t->is_untold)
        warn(w, "audio track %d is left out: the input does not tell its codec, rate or channels",
             t->index);
    else if (!takes && !timecode)
        warn_dropped(w, t,
                     w->container == CONTAINER_HLS && is_pictures(t)
                         ? ", which has no subtitles made of pictures,"
                         : "");
    return takes;
}

static int check_encode(const struct writer *w, const char *codec, struct error *err)
{
    if (!container_path_takes_codec(w->container, w->path, codec))
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s cannot hold %s; name an .mp4 or .mkv output, or choose another codec",
                         container_path_name(w->container, w->path), codec);
    return 0;
}

/* ---- opening -------------------------------------------------------------------------------- */

static bool is_video(const struct lane *l)
{
    return l->kind == WRITER_VIDEO || (l->kind == WRITER_COPY && l->source &&
                                       l->source->kind == TRACK_VIDEO && !l->source->is_cover);
}

static int add_stream(struct writer *w, struct lane *l, const struct writer_track_params *p,
                      struct error *err)
{
    struct mux *mux = w->mux;
    if (w->hls) {
        const int disposition = p->source ? p->source->stream->disposition : 0;
        const bool text = p->source && p->source->kind == TRACK_SUBTITLE;
        const struct hls_rendition_params hls = {
            .kind = is_video(l) ? HLS_VIDEO
                    : text      ? HLS_TEXT
                                : HLS_AUDIO,
            .name = p->name[0]                            ? p->name
                    : p->source && p->source->language[0] ? p->source->language
                                                          : "",
            .title = p->source ? p->source->title : "",
            .language = p->source ? p->source->language : "",
            .is_default = p->is_default,
            .is_forced = text && disposition & AV_DISPOSITION_FORCED,
            .is_for_deaf = text && disposition & AV_DISPOSITION_HEARING_IMPAIRED,
        };
        const int rc = hls_add(w->hls, &hls, &l->stream, err);
        if (rc < 0)
            return rc;
        mux = hls_mux(w->hls, l->stream);
    }
    l->to = mux_stream(mux);
    if (!l->to)
        return error_memory(err, "a track");
    if (!w->hls)
        l->stream = l->to->index;
    return 0;
}

/* HEVC goes by "hvc1" (parameter sets in the header only), unless a copied track says otherwise. */
static void set_tag(const struct writer *w, const struct lane *l)
{
    AVCodecParameters *par = l->to->codecpar;
    if (par->codec_id != AV_CODEC_ID_HEVC ||
        (w->container != CONTAINER_MP4 && w->container != CONTAINER_HLS))
        return;
    par->codec_tag = MKTAG('h', 'v', 'c', '1');
    if (l->kind == WRITER_COPY &&
        l->source->stream->codecpar->codec_tag == MKTAG('h', 'e', 'v', '1'))
        par->codec_tag = MKTAG('h', 'e', 'v', '1');
}

/* A file with several video tracks: they are told apart by title, and one is the default. */
static int name_rendition(const struct writer *w, const struct lane *l)
{
    if (!is_video(l) || l->is_beside || w->videos < 2 || w->hls)
        return 0;
    l->to->disposition = l->is_default ? l->to->disposition | AV_DISPOSITION_DEFAULT
                                       : l->to->disposition & ~AV_DISPOSITION_DEFAULT;
    if (!l->name[0])
        return 0;
    if (av_dict_set(&l->to->metadata, "title", l->name, 0) < 0 ||
        av_dict_set(&l->to->metadata, "handler_name", l->name, 0) < 0)
        return RGPU_ERROR_MEMORY;
    return 0;
}

/* MOV has numbers for some languages only, and each by one code. */
static int set_language(struct writer *w, const struct lane *l)
{
    const AVDictionaryEntry *e = av_dict_get(l->to->metadata, "language", NULL, 0);
    if (!e || !container_is_mov(w->path) || strcmp(e->value, "und") == 0)
        return 0;
    const char *known = container_mov_language(e->value);
    if (!known && l->source)
        warn(w,
             "the language of %s %d (%s) cannot be stored in MOV and is left out; use an .mp4 or "
             ".mkv output to keep it",
             kind_name(l->source), l->source->index, e->value);
    return av_dict_set(&l->to->metadata, "language", known, 0) < 0 ? RGPU_ERROR_MEMORY : 0;
}

static int describe(struct writer *w, struct lane *l, const struct writer_track_params *p,
                    struct error *err)
{
    int rc = 0;
    if (l->kind == WRITER_AUDIO)
        rc = describe_audio(l->to, p->audio, p->source ? p->source->stream : NULL);
    else if (l->kind == WRITER_COPY && l->source->is_cover && w->container == CONTAINER_MKV)
        rc = describe_cover(l->to, l->source->stream);
    else if (l->kind == WRITER_COPY)
        rc = describe_copy(l->to, l->source->stream);
    if (l->kind == WRITER_COPY && l->source->is_cover && w->container == CONTAINER_MP4)
        l->to->disposition = AV_DISPOSITION_ATTACHED_PIC;
    if (rc == 0 && l->kind != WRITER_VIDEO) {
        set_tag(w, l);
        rc = name_rendition(w, l);
        if (rc == 0)
            rc = set_language(w, l);
    }
    return rc < 0 ? error_memory(err, "a track") : 0;
}

/* Video that the result is made for. Another video track may come late, or hardly ever. */
static bool must_wait(const struct lane *l)
{
    return l->kind == WRITER_VIDEO || (l->has_part && !l->is_beside);
}

static int open_lane(struct writer *w, struct lane *l, const struct writer_track_params *p,
                     struct error *err)
{
    if (l->kind == WRITER_AUDIO) {
        const int rc = check_encode(w, avcodec_get_name(p->audio->codec_id), err);
        if (rc < 0)
            return rc;
    }
    const bool second = is_second_sound(w, l);
    if (second)
        warn_dropped(w, l->source, " beside another");
    if (second || (l->kind == WRITER_COPY && !keeps(w, l))) {
        l->dropped = true;
        interleave_end(w->il, l->index);
        return 0;
    }
    if (is_video(l))
        warn_rotation(w, l->source);
    int rc = add_stream(w, l, p, err);
    if (rc == 0)
        rc = describe(w, l, p, err);
    if (rc < 0)
        return rc;
    l->still =
        l->kind == WRITER_COPY && (l->source->is_cover || l->source->kind == TRACK_ATTACHMENT);
    if (l->still)
        interleave_end(w->il, l->index);
    rc = lane_open(l, l->to, err);
    /* A copy waits too for where its part begins. */
    if (must_wait(l))
        interleave_patient(w->il, l->index);
    return rc;
}

static int check_videos(const struct writer *w, struct error *err)
{
    if (w->container == CONTAINER_FLV && w->videos > 1)
        return error_set(
            err, RGPU_ERROR_PARAM,
            "FLV holds one video track; put {} into the output's name for a file each, "
            "or name an .mkv or .mp4");
    return 0;
}

static int open_place(struct writer *w, const struct writer_params *params, struct error *err)
{
    const char *input = w->reader ? reader_format(w->reader)->url : NULL;
    if (input && strncmp(input, "file:", 5) == 0)
        input += 5;
    if (w->container == CONTAINER_HLS) {
        const struct hls_params hls = {.path = params->path,
                                       .overwrite = params->overwrite,
                                       .input = input,
                                       .segment_us = params->segment_us};
        return hls_open(&w->hls, &hls, err);
    }
    int rc = place_file(&w->place, params->path, params->overwrite, input, err);
    if (rc < 0)
        return rc;
    const struct mux_params mux = {
        .container = w->container, .path = params->path, .fd = place_fd(w->place)};
    rc = mux_open(&w->mux, &mux, err);
    if (rc == 0 && w->reader &&
        describe_tags(&mux_format(w->mux)->metadata, reader_format(w->reader)->metadata) < 0)
        rc = error_memory(err, "tags");
    return rc;
}

static int open_writer(struct writer *w, const struct writer_params *params, struct error *err)
{
    w->container = params->container;
    w->reader = params->reader;
    w->shift_us = params->shift_us;
    w->end_us = params->end_us;
    w->path = strdup(params->path);
    w->lanes = calloc((size_t)params->tracks_count + 1, sizeof(w->lanes[0]));
    w->hls_told = calloc((size_t)params->tracks_count + 1, sizeof(bool));
    if (!w->path || !w->lanes || !w->hls_told || interleave_new(&w->il, params->tracks_count) < 0)
        return error_memory(err, params->path);
    w->count = params->tracks_count;
    for (int i = 0; i < w->count; i++) {
        const struct writer_track_params *p = &params->tracks[i];
        struct lane *l = &w->lanes[i];
        *l = (struct lane){.kind = p->kind,
                           .source = p->source,
                           .container = w->container,
                           .is_default = p->is_default,
                           .is_beside = p->is_beside,
                           .is_unasked = p->is_unasked,
                           .index = i,
                           .stream = -1,
                           .il = w->il,
                           .shift_us = w->shift_us,
                           .end_us = w->end_us};
        memcpy(l->name, p->name, sizeof(l->name) - 1);
        if (p->kind == WRITER_AUDIO)
            l->from = (AVRational){p->audio_time_base.num, p->audio_time_base.den};
        else if (p->source)
            l->from = (AVRational){p->source->time_base.num, p->source->time_base.den};
        w->videos += is_video(l) && !l->is_beside;
    }
    int rc = check_videos(w, err);
    if (rc == 0)
        rc = open_place(w, params, err);
    warn_chapters(w);
    for (int i = 0; rc == 0 && i < w->count; i++)
        rc = open_lane(w, &w->lanes[i], &params->tracks[i], err);
    return rc;
}

int writer_open(struct writer **ret, const struct writer_params *params, struct error *err)
{
    if (params->container == CONTAINER_NONE)
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s: unknown kind of output; use .mp4, .mkv, .ts, .flv, .m3u8 or DIR/",
                         params->path);
    if (params->tracks_count > WRITER_TRACKS_MAX)
        return error_set(err, RGPU_ERROR_LIMIT, "more than %d tracks for %s", WRITER_TRACKS_MAX,
                         params->path);
    struct writer *w = calloc(1, sizeof(*w));
    if (!w)
        return error_memory(err, params->path);
    const int rc = open_writer(w, params, err);
    if (rc < 0)
        writer_close(&w);
    else
        *ret = w;
    return rc;
}

int writer_warnings_count(const struct writer *w)
{
    return w->warnings_count;
}

const char *writer_warning(const struct writer *w, int i)
{
    return w->warnings[i];
}

/* ---- starting ------------------------------------------------------------------------------- */

static struct mux *lane_mux(struct writer *w, const struct lane *l)
{
    return w->hls ? hls_mux(w->hls, l->stream) : w->mux;
}

static bool is_sparse(const struct lane *l)
{
    return l->kind == WRITER_COPY && l->source->kind != TRACK_VIDEO &&
           l->source->kind != TRACK_AUDIO;
}

/* The header tells of all tracks, and when each begins. */
static bool can_start(const struct writer *w)
{
    for (int i = 0; i < w->count; i++) {
        const struct lane *l = &w->lanes[i];
        if (l->dropped || l->still)
            continue;
        if (l->kind == WRITER_VIDEO && !l->has_header)
            return false;
        if (is_sparse(l) || interleave_known(w->il, i))
            continue;
        if (must_wait(l) || !interleave_overdue(w->il))
            return false;
    }
    return true;
}

static int write_covers(struct writer *w, struct error *err)
{
    for (int i = 0; i < w->count; i++) {
        const struct lane *l = &w->lanes[i];
        if (!l->still || !l->source->is_cover || w->container != CONTAINER_MP4)
            continue;
        AVPacket *pkt = av_packet_clone(&l->source->stream->attached_pic);
        if (!pkt)
            return error_memory(err, "a cover picture");
        pkt->pts = pkt->dts = 0;
        pkt->duration = 0;
        pkt->time_base = l->to->time_base;
        const int rc = mux_write(w->mux, l->stream, pkt, err);
        av_packet_free(&pkt);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int start(struct writer *w, struct error *err)
{
    int64_t first_dts_us = INT64_MAX, later_us = 0;
    for (int i = 0; i < w->count; i++) {
        const struct lane *l = &w->lanes[i];
        const AVPacket *first = interleave_peek(w->il, i);
        if (!first || l->stream < 0)
            continue;
        mux_first(lane_mux(w, l), l->to->index, first->pts);
        if (l->hides && (l->has_part || first->flags & AV_PKT_FLAG_DISCARD))
            mux_hides(w->mux, l->to->index);
        warn_early(w, l, first);
        const int64_t dts =
            av_rescale_q_rnd(first->dts, first->time_base, AV_TIME_BASE_Q, AV_ROUND_DOWN);
        first_dts_us = dts < first_dts_us ? dts : first_dts_us;
    }
    if (first_dts_us == INT64_MAX)
        first_dts_us = 0;
    for (int i = 0; i < w->count; i++) {
        const struct lane *l = &w->lanes[i];
        if (l->stream < 0)
            continue;
        const int64_t need = mux_shift_us(lane_mux(w, l), first_dts_us);
        later_us = need > later_us ? need : later_us;
    }
    w->later_us = later_us;
    w->started = true;
    if (w->hls)
        return hls_start(w->hls, later_us, err);
    if (w->reader && describe_chapters(mux_format(w->mux), reader_format(w->reader),
                                       w->shift_us - later_us, w->end_us) < 0)
        return error_memory(err, "chapters");
    const int rc = mux_start(w->mux, later_us, err);
    return rc == 0 ? write_covers(w, err) : rc;
}

/* ---- packets -------------------------------------------------------------------------------- */

static int write_packet(struct writer *w, struct lane *l, AVPacket *pkt, struct error *err)
{
    const int size = pkt->size;
    int rc = lane_check_gap(l, pkt, w->shift_us - input_start_us(w), w->path, err);
    if (rc < 0) {
        av_packet_free(&pkt);
        return rc;
    }
    if (w->hls) {
        rc = hls_write(w->hls, l->stream, pkt, err);
    } else {
        rc = mux_write(w->mux, l->stream, pkt, err);
        av_packet_free(&pkt);
    }
    if (rc == RGPU_ERROR_UNSUPPORTED && l->kind == WRITER_COPY && (!w->hls || is_sparse(l))) {
        /* A damaged packet of the source that the muxer refuses, or a subtitle too late for it. */
        l->refused++;
        l->bytes -= size;
        rc = 0;
    }
    return rc;
}

static int pump(struct writer *w, struct error *err)
{
    int rc = 0;
    if (!w->started) {
        if (!can_start(w))
            return 0;
        rc = start(w, err);
    }
    int track;
    AVPacket *pkt;
    while (rc == 0 && interleave_pop(w->il, &track, &pkt) == 0)
        rc = write_packet(w, &w->lanes[track], pkt, err);
    for (int i = 0; rc == 0 && w->hls && i < w->count; i++) {
        const struct lane *l = &w->lanes[i];
        if (l->stream < 0 || !l->ended || w->hls_told[i] || interleave_peek(w->il, i))
            continue;
        w->hls_told[i] = true;
        rc = hls_end(w->hls, l->stream, err);
    }
    return rc;
}

/* Keeps the first error: a file with a hole in it must not be completed. */
static int done(struct writer *w, int rc)
{
    if (rc < 0 && !w->failed)
        w->failed = rc;
    return rc;
}

static int refuse(const struct writer *w, struct error *err)
{
    return error_set(err, w->failed, "writing %s has failed before", w->path);
}

int writer_header(struct writer *w, int track, const struct track *video, struct error *err)
{
    struct lane *l = &w->lanes[track];
    if (w->failed)
        return refuse(w, err);
    if (l->kind != WRITER_VIDEO || l->has_header)
        return done(w, error_set(err, RGPU_ERROR_INTERNAL, "track %d takes no header", track));
    int rc = check_encode(w, video->codec, err);
    if (rc == 0)
        rc = describe_video(l->to, video, l->source ? l->source->stream : NULL, err);
    if (rc == 0) {
        set_tag(w, l);
        if (name_rendition(w, l) < 0 || set_language(w, l) < 0)
            rc = error_memory(err, "tags");
    }
    if (rc == 0)
        rc = lane_header(l, video, err);
    return done(w, rc == 0 ? pump(w, err) : rc);
}

int writer_video(struct writer *w, int track, struct packet *pkt, struct error *err)
{
    if (w->failed) {
        packet_done(pkt);
        return refuse(w, err);
    }
    const int rc = lane_video(&w->lanes[track], pkt, err);
    return done(w, rc == 0 ? pump(w, err) : rc);
}

int writer_copy(struct writer *w, int track, AVPacket **av, struct error *err)
{
    AVPacket *pkt = *av;
    *av = NULL;
    if (w->failed) {
        av_packet_free(&pkt);
        return refuse(w, err);
    }
    const int rc = lane_copy(&w->lanes[track], pkt, err);
    return done(w, rc == 0 ? pump(w, err) : rc);
}

int writer_progress(struct writer *w, int track, int64_t pts_us, struct error *err)
{
    if (w->failed)
        return refuse(w, err);
    const int rc = lane_progress(&w->lanes[track], pts_us, err);
    return done(w, rc == 0 ? pump(w, err) : rc);
}

int writer_track_end(struct writer *w, int track, struct error *err)
{
    if (w->failed)
        return refuse(w, err);
    const int rc = lane_end(&w->lanes[track], err);
    return done(w, rc == 0 ? pump(w, err) : rc);
}

/* ---- the end -------------------------------------------------------------------------------- */

static int check_promises(const struct writer *w, struct error *err)
{
    for (int i = 0; i < w->count; i++) {
        const struct lane *l = &w->lanes[i];
        if (l->kind == WRITER_VIDEO && (!l->has_header || l->packets == 0))
            return error_set(err, RGPU_ERROR_INTERNAL, "no picture of rendition %s came for %s",
                             l->name[0] ? l->name : "1", w->path);
    }
    return 0;
}

static void warn_refused(struct writer *w)
{
    for (int i = 0; i < w->count; i++) {
        const struct lane *l = &w->lanes[i];
        warn_late(w, l);
        if (l->refused > 0 && l->source)
            warn(w, "%lld packets of %s %d are damaged or do not fit into %s and are left out",
                 (long long)l->refused, kind_name(l->source), l->source->index,
                 container_name(w->container));
    }
    int64_t repaired = w->mux ? mux_repaired_count(w->mux) : 0;
    for (int i = 0; i < w->count; i++)
        repaired += w->lanes[i].raised;
    if (repaired > 0)
        warn(w, "%lld decoding times of copied tracks did not grow and were raised",
             (long long)repaired);
}

static int complete(struct writer *w, struct error *err)
{
    int rc = check_promises(w, err);
    for (int i = 0; rc == 0 && i < w->count; i++)
        rc = lane_end(&w->lanes[i], err);
    if (rc == 0)
        rc = pump(w, err);
    if (rc == 0 && !w->started)
        rc = error_set(err, RGPU_ERROR_INTERNAL, "%s has no track", w->path);
    if (rc < 0)
        return rc;
    if (w->hls) {
        rc = hls_finish(w->hls, err);
    } else {
        rc = mux_finish(w->mux, err);
        if (rc == 0)
            rc = place_sync(w->place, err);
    }
    if (rc == 0)
        warn_refused(w);
    w->complete = rc == 0;
    return rc;
}

int writer_complete(struct writer *w, struct error *err)
{
    if (w->failed)
        return refuse(w, err);
    return w->complete ? 0 : done(w, complete(w, err));
}

void writer_reading_path(const struct writer *w, char *ret, size_t size)
{
    if (w->hls)
        hls_reading_path(w->hls, ret, size);
    else
        place_reading_path(w->place, ret, size);
}

int writer_check(const struct writer *w, struct error *err)
{
    return w->hls ? hls_check(w->hls, err) : place_check(w->place, err);
}

int writer_place(struct writer *w, struct error *err)
{
    if (!w->complete)
        return error_set(err, w->failed ? w->failed : RGPU_ERROR_INTERNAL, "%s is not complete",
                         w->path);
    return w->hls ? hls_place(w->hls, err) : place_commit(w->place, err);
}

void writer_withdraw(struct writer *w)
{
    if (w->hls)
        hls_withdraw(w->hls);
    else
        place_withdraw(w->place);
}

int64_t writer_shift_us(const struct writer *w)
{
    return w->later_us;
}

int64_t writer_bytes(const struct writer *w)
{
    if (w->hls)
        return hls_bytes(w->hls);
    struct stat st;
    if (w->complete && fstat(place_fd(w->place), &st) == 0 && S_ISREG(st.st_mode))
        return st.st_size;
    return mux_bytes(w->mux);
}

int writer_beside_count(const struct writer *w)
{
    int count = 0;
    for (int i = 0; i < w->count; i++)
        count += w->lanes[i].is_beside && !w->lanes[i].dropped;
    return count;
}

int64_t writer_waiting_bytes(const struct writer *w)
{
    return w->il ? interleave_bytes(w->il) : 0;
}

int64_t writer_track_bytes(const struct writer *w, int track)
{
    return w->lanes[track].bytes;
}

int64_t writer_track_frames(const struct writer *w, int track)
{
    return w->lanes[track].frames;
}

void writer_close(struct writer **writer)
{
    struct writer *w = *writer;
    *writer = NULL;
    if (!w)
        return;
    for (int i = 0; w->lanes && i < w->count; i++)
        lane_close(&w->lanes[i]);
    mux_close(&w->mux);
    hls_close(&w->hls);
    place_close(&w->place);
    interleave_free(&w->il);
    for (int i = 0; i < w->warnings_count; i++)
        free(w->warnings[i]);
    free(w->hls_told);
    free(w->lanes);
    free(w->path);
    free(w);
}
