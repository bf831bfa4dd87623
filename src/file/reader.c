/* See reader.h. Packets go through a queue: it holds the first ones, which are looked at before
 * reading begins, and those that were read to find the start after a seek; else it is empty. */
#include "file/reader_internal.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>

#include "file/reader_track.h"
#include "file/reader_unpack.h"
#include "media/timecode.h"

/* A track whose first packet lies beyond both is not told. Most files are known long before; time
 * is for what cannot be read faster than it is made. */
#define PROBE_BYTES (64 << 20)
#define PROBE_FILE_US (3600 * INT64_C(1000000))
#define PROBE_PIPE_US (120 * INT64_C(1000000))
#define LOOK_VIDEO_PACKETS 48
#define LOOK_PACKETS_MAX (1 << 18)
#define LOOK_BYTES_MAX PROBE_BYTES
#define TIME_PACKETS_MAX 4096 /* between two video packets, to tell the first one's time */
#define DOUBT_VIDEO_PACKETS 4 /* one is in the demuxer, one in the parser when sound comes */
#define READ_ERRORS_MAX                                                                            \
    100000                   /* in a row; each is cheap, and may be one sample of a cut-off file */
#define CUT_SHORT_US 1000000 /* an end so far before what the header says is no rounding */
#define TIME_MAX (INT64_MAX / 4) /* of a time stamp, in ticks and in microseconds */
#define SCORE_MIN 10             /* libavformat's certainty that it knows the format, of 100 */

static const struct rational MICROSECONDS = {1, 1000000};

/* ---- the queue ------------------------------------------------------------------------------ */

struct reader_queued *reader_queued(struct reader *r, size_t i)
{
    return &r->queue[(r->queue_head + i) & (r->queue_capacity - 1)];
}

static int queue_push_packet(struct reader *r, const struct reader_queued *item)
{
    if (r->queue_count == r->queue_capacity) {
        const size_t capacity = r->queue_capacity ? r->queue_capacity * 2 : 64;
        struct reader_queued *queue = calloc(capacity, sizeof(*queue));
        if (!queue)
            return RGPU_ERROR_MEMORY;
        for (size_t i = 0; i < r->queue_count; i++)
            queue[i] = *reader_queued(r, i);
        free(r->queue);
        r->queue = queue;
        r->queue_capacity = capacity;
        r->queue_head = 0;
    }
    *reader_queued(r, r->queue_count++) = *item;
    r->queue_bytes += (size_t)item->av->size;
    return 0;
}

static struct reader_queued queue_pop_packet(struct reader *r)
{
    const struct reader_queued item = *reader_queued(r, 0);
    r->queue_head = (r->queue_head + 1) & (r->queue_capacity - 1);
    r->queue_count--;
    r->queue_bytes -= (size_t)item.av->size;
    return item;
}

/* End of a packet on the time line; INT64_MIN: it has no time. */
static int64_t end_us(const struct reader *r, const AVPacket *av)
{
    const int64_t ts = av->pts != AV_NOPTS_VALUE ? av->pts : av->dts;
    int64_t end;
    if (ts == AV_NOPTS_VALUE || __builtin_add_overflow(ts, av->duration, &end))
        return INT64_MIN;
    return rational_rescale(end, r->tracks[av->stream_index].time_base, MICROSECONDS,
                            ROUND_NEAREST);
}

static void queue_drop(struct reader *r, size_t count, bool others, int64_t from_us)
{
    const size_t total = r->queue_count;
    for (size_t i = 0; i < total; i++) {
        struct reader_queued item = queue_pop_packet(r);
        if (i < count && (item.is_video || (others && end_us(r, item.av) <= from_us))) {
            av_packet_free(&item.av);
            continue;
        }
        *reader_queued(r, r->queue_count++) = item;
        r->queue_bytes += (size_t)item.av->size;
    }
}

void reader_queue_drop(struct reader *r, size_t count, bool video_only)
{
    queue_drop(r, count, !video_only, INT64_MAX);
}

void reader_queue_drop_until(struct reader *r, size_t count, int64_t from_us)
{
    queue_drop(r, count, true, from_us);
}

/* ---- reading -------------------------------------------------------------------------------- */

static int is_interrupted(void *opaque)
{
    const struct reader *r = opaque;
    return r->interrupt.is_asked && r->interrupt.is_asked(r->interrupt.opaque);
}

static int end_with(struct reader *r, int code)
{
    r->ended = code;
    return code;
}

/* The input ended: was it where it should? */
static int end_of_input(struct reader *r)
{
    const AVFormatContext *f = r->format;
    if (f->pb && f->pb->error < 0 && f->pb->error != AVERROR_EOF)
        return end_with(r, source_explain(&r->source, f->pb->error, &r->ended_error));
    const int64_t duration = reader_duration_us(r);
    int64_t length;
    r->damaged += holes_follow(&r->holes, INT64_MAX);
    if (f->duration_estimation_method == AVFMT_DURATION_FROM_STREAM && duration > 0 &&
        r->farthest_us != INT64_MIN &&
        !__builtin_sub_overflow(r->farthest_us, reader_start_us(r), &length) &&
        length < duration - CUT_SHORT_US - duration / 50)
        r->damaged++;
    return end_with(r, RGPU_ERROR_END);
}

static int64_t read_position(const struct reader *r)
{
    return r->format->pb ? avio_tell(r->format->pb) : -1;
}

/* What a failed read means: 0 to go on, or what reading ends with. */
static int read_failed(struct reader *r, int rc, int *errors)
{
    if (is_interrupted(r))
        rc = AVERROR_EXIT;
    if (rc == AVERROR_EOF)
        return end_of_input(r);
    /* Demuxers that look for more behind the last byte say that it is damaged, each time anew. */
    if (r->format->pb && r->format->pb->eof_reached && read_position(r) == r->read_to)
        return end_of_input(r);
    r->read_to = read_position(r);
    if (rc == AVERROR(EAGAIN) || rc == AVERROR_INVALIDDATA || rc == AVERROR_PATCHWELCOME ||
        rc == AVERROR_BUG || rc == AVERROR(EINVAL) || rc == AVERROR(ERANGE)) {
        r->damaged += rc != AVERROR(EAGAIN);
        if (++*errors < READ_ERRORS_MAX)
            return 0;
        return end_of_input(r);
    }
    return end_with(r, source_explain(&r->source, rc, &r->ended_error));
}

/* False: so far away that it is no time; sums of a few would overflow. */
static bool is_time(int64_t ts, struct rational time_base)
{
    const int64_t us = rational_rescale(ts, time_base, MICROSECONDS, ROUND_NEAREST);
    return ts >= -TIME_MAX && ts <= TIME_MAX && us >= -TIME_MAX && us <= TIME_MAX;
}

/* Takes away times that are none; whether there were such. */
static bool refuse_times(const struct reader *r, AVPacket *av)
{
    const struct rational tb = r->tracks[av->stream_index].time_base;
    const bool pts = av->pts == AV_NOPTS_VALUE || is_time(av->pts, tb);
    const bool dts = av->dts == AV_NOPTS_VALUE || is_time(av->dts, tb);
    const bool duration = av->duration >= 0 && is_time(av->duration, tb);
    if (!pts)
        av->pts = AV_NOPTS_VALUE;
    if (!dts)
        av->dts = AV_NOPTS_VALUE;
    if (!duration)
        av->duration = 0;
    return !pts || !dts || !duration;
}

static struct timeline_packet timeline_packet(const struct reader *r,
                                              const struct reader_queued *item)
{
    const AVPacket *av = item->av;
    return (struct timeline_packet){.track = av->stream_index,
                                    .time_base = r->tracks[av->stream_index].time_base,
                                    .clock_bits =
                                        r->format->streams[av->stream_index]->pts_wrap_bits,
                                    .dts = av->dts,
                                    .pts = av->pts,
                                    .duration = av->duration,
                                    .is_key = item->is_video ? item->look.access != ACCESS_NONE
                                                             : (av->flags & AV_PKT_FLAG_KEY) != 0};
}

/* Tracks that the clock's jumps are told by, beside the selected video track. */
static bool has_clock(const struct reader *r, int track)
{
    return r->tracks[track].kind == TRACK_VIDEO || r->tracks[track].kind == TRACK_AUDIO;
}

static void shift_time(struct reader *r, struct reader_queued *item)
{
    AVPacket *av = item->av;
    struct timeline_packet pkt = timeline_packet(r, item);
    if (has_clock(r, av->stream_index))
        timeline_move(&r->timeline, &pkt);
    else
        timeline_move_sparse(&r->timeline, &pkt);
    av->pts = pkt.pts;
    av->dts = pkt.dts;
    refuse_times(r, av);
    item->is_moved = true;
}

/* The video track is moved when it is read, the others that tell time when they leave the queue:
 * where sound goes back first, the video's next packet shows whether the clock did. */
void reader_move_queued(struct reader *r, size_t i)
{
    if (!r->timeline.active || reader_queued(r, i)->is_moved)
        return;
    const struct timeline_packet pkt = timeline_packet(r, reader_queued(r, i));
    const int64_t enough = reader_queued(r, i)->videos + DOUBT_VIDEO_PACKETS;
    while (timeline_doubts(&r->timeline, &pkt) && r->videos < enough && r->ended == 0 &&
           r->queue_count < i + TIME_PACKETS_MAX)
        reader_read_ahead(r);
    shift_time(r, reader_queued(r, i));
}

static void note_end(const struct reader *r, const AVPacket *av, int64_t *latest_us)
{
    const int64_t us = end_us(r, av);
    if (us > *latest_us)
        *latest_us = us;
}

void reader_note_given(struct reader *r, const struct AVPacket *av)
{
    note_end(r, av, &r->given_us);
}

int reader_read_ahead(struct reader *r)
{
    int errors = 0, rc = 0;
    struct reader_queued item = {.av = av_packet_alloc(), .damaged = r->damaged};
    if (!item.av)
        return end_with(r, error_memory(&r->ended_error, "a packet"));
    for (;;) {
        rc = av_read_frame(r->format, item.av);
        if (rc == 0) {
            r->read_to = read_position(r);
            break;
        }
        rc = read_failed(r, rc, &errors);
        if (rc < 0) {
            av_packet_free(&item.av);
            return rc;
        }
    }
    const int track = item.av->stream_index;
    item.is_video = track == r->video;
    /* Tracks that turn up later cannot be mapped any more; an empty packet shows nothing. */
    if (track >= r->tracks_count || (item.is_video && item.av->size == 0)) {
        r->late_tracks |= track >= r->tracks_count;
        av_packet_free(&item.av);
        return 0;
    }
    if (item.is_video && r->unpack) {
        rc = unpack_next(r->unpack, item.av);
        if (rc < 0) {
            av_packet_free(&item.av);
            r->damaged += rc == RGPU_ERROR_INPUT;
            return rc == RGPU_ERROR_MEMORY ? end_with(r, error_memory(&r->ended_error, "a packet"))
                                           : 0;
        }
    }
    r->damaged += holes_follow(&r->holes, item.av->pos);
    r->damaged += refuse_times(r, item.av);
    if (item.is_video && item.av->dts != AV_NOPTS_VALUE && item.av->dts == r->first_dts)
        item.av->dts = r->first_dts_closed;
    r->videos += item.is_video;
    item.videos = r->videos;
    if (item.is_video)
        item.look = video_look(&r->state, item.av);
    if (item.is_video || !has_clock(r, track))
        shift_time(r, &item);
    note_end(r, item.av, &r->farthest_us);
    if (item.is_video) {
        r->damaged += item.look.damaged || item.look.flags & PACKET_CORRUPT;
    } else {
        r->damaged += (item.av->flags & AV_PKT_FLAG_CORRUPT) != 0;
    }
    rc = queue_push_packet(r, &item);
    if (rc < 0) {
        av_packet_free(&item.av);
        return end_with(r, error_memory(&r->ended_error, "packets read ahead"));
    }
    return 0;
}

/* End of a packet in its track's time; what cannot be told stays at its beginning. */
static int64_t dts_end(const AVPacket *av)
{
    int64_t end;
    return __builtin_add_overflow(av->dts, av->duration, &end) ? av->dts : end;
}

/* The same with video_state.anchor_is_before_next. */
static void time_a_chunk_earlier(struct reader *r, size_t at)
{
    const struct reader_queued *first = reader_queued(r, at);
    const bool anchor = first->look.anchor;
    int64_t pts = first->av->dts;
    if (!anchor && at == 0 && r->state.dts_before != PTS_NONE)
        pts = r->state.dts_before;
    int frames = 0;
    for (size_t i = at + 1; anchor && frames < LOOK_VIDEO_PACKETS; i++) {
        while (i >= r->queue_count && r->ended == 0 && r->queue_count < at + TIME_PACKETS_MAX)
            reader_read_ahead(r);
        if (i >= r->queue_count)
            break;
        const struct reader_queued *q = reader_queued(r, i);
        if (!q->is_video || q->av->dts == AV_NOPTS_VALUE)
            continue;
        if (q->look.anchor)
            break;
        frames++;
        pts = q->av->dts;
    }
    reader_queued(r, at)->av->pts = pts;
}

void reader_time_queued(struct reader *r, size_t at)
{
    if (reader_queued(r, at)->is_video && r->state.anchor_is_before_next) {
        time_a_chunk_earlier(r, at);
        return;
    }
    if (!reader_queued(r, at)->is_video || !r->state.anchor_is_next ||
        reader_queued(r, at)->av->pts != AV_NOPTS_VALUE)
        return;
    int64_t pts = reader_queued(r, at)->av->dts;
    int frames = 0;
    for (size_t i = at + 1; reader_queued(r, at)->look.anchor && frames < LOOK_VIDEO_PACKETS; i++) {
        while (i >= r->queue_count && r->ended == 0 && r->queue_count < at + TIME_PACKETS_MAX)
            reader_read_ahead(r);
        if (i >= r->queue_count) {
            /* Of the last pictures, this one is shown after all others. */
            if (frames == 0 && pts != AV_NOPTS_VALUE)
                pts = dts_end(reader_queued(r, at)->av);
            break;
        }
        const struct reader_queued *q = reader_queued(r, i);
        if (!q->is_video || q->av->dts == AV_NOPTS_VALUE)
            continue;
        frames++;
        pts = q->look.anchor ? q->av->dts : dts_end(q->av);
        if (q->look.anchor)
            break;
    }
    reader_queued(r, at)->av->pts = pts;
}

bool reader_interrupted(struct reader *r)
{
    if (r->ended != 0 || !is_interrupted(r))
        return false;
    r->ended = source_explain(&r->source, AVERROR_EXIT, &r->ended_error);
    return true;
}

int reader_next(struct reader *r, struct reader_packet *ret, struct error *err)
{
    while (r->queue_count == 0) {
        if (!reader_interrupted(r) && r->ended == 0)
            reader_read_ahead(r);
        if (r->ended != 0 && r->queue_count == 0) {
            if (err && r->ended != RGPU_ERROR_END)
                *err = r->ended_error;
            return r->ended;
        }
    }
    reader_time_queued(r, 0);
    reader_move_queued(r, 0);
    struct reader_queued item = queue_pop_packet(r);
    if (item.is_video)
        r->state.dts_before = item.av->dts;
    reader_note_given(r, item.av);
    struct reader_packet out = {.track = item.av->stream_index, .av = item.av};
    if (item.is_video) {
        bool damaged = false;
        if (video_fill(&r->state, item.av, &item.look, &out.video, &damaged) < 0) {
            av_packet_free(&item.av);
            return error_memory(err, "a packet");
        }
        out.access = item.look.access;
        if (item.look.hidden || item.look.flags & PACKET_SECOND_FIELD)
            item.av->opaque = item.av; /* any value */
        r->damaged += damaged;
    }
    *ret = out;
    return 0;
}

void reader_packet_done(struct reader_packet *pkt)
{
    av_packet_free(&pkt->av);
    packet_done(&pkt->video);
    *pkt = (struct reader_packet){0};
}

/* ---- opening -------------------------------------------------------------------------------- */

static int open_format(struct reader *r, struct error *err)
{
    r->format = avformat_alloc_context();
    if (!r->format)
        return error_memory(err, "the input");
    r->format->interrupt_callback = (AVIOInterruptCB){is_interrupted, r};
    r->format->probesize = PROBE_BYTES;
    r->format->max_analyze_duration = r->source.size_bytes ? PROBE_FILE_US : PROBE_PIPE_US;
    r->format->pb = r->source.io;
    int rc = avformat_open_input(&r->format, r->source.url, NULL, NULL);
    const int index = rc == AVERROR_EXIT ? 0 : source_check_index(&r->source, err);
    if (index < 0)
        return index;
    if (rc < 0)
        return source_explain(&r->source, rc, err);
    /* A text file with the right ending is a film of a terminal to libavformat. */
    if (av_match_name("tty", r->format->iformat->name) || r->format->probe_score < SCORE_MIN)
        return source_explain(&r->source, AVERROR_INVALIDDATA, err);
    rc = avformat_find_stream_info(r->format, NULL);
    if (rc < 0 && (r->format->nb_streams == 0 || rc == AVERROR(ENOMEM) || rc == AVERROR_EXIT))
        return source_explain(&r->source, rc, err);
    if (r->format->nb_streams > READER_TRACKS_MAX)
        return error_set(err, RGPU_ERROR_LIMIT, "%s has %u tracks, more than %d",
                         source_name(&r->source), r->format->nb_streams, READER_TRACKS_MAX);
    return 0;
}

static void open_holes(struct reader *r)
{
    if (r->source.size_bytes && av_match_name("matroska", r->format->iformat->name))
        holes_init(&r->holes, source_again(&r->source), r->source.size_bytes);
}

static int describe_tracks(struct reader *r, struct error *err)
{
    const int count = (int)r->format->nb_streams;
    bool any = false;
    r->tracks = calloc((size_t)count + 1, sizeof(*r->tracks));
    if (!r->tracks)
        return error_memory(err, "tracks");
    for (int i = 0; i < count; i++) {
        if (reader_track_init(&r->tracks[i], r->format->streams[i]) < 0)
            return error_memory(err, "a track");
        r->tracks_count = i + 1;
        any |= r->tracks[i].kind == TRACK_VIDEO || r->tracks[i].kind == TRACK_AUDIO;
    }
    if (!any)
        return error_set(err, RGPU_ERROR_INPUT, "%s has neither video nor sound",
                         source_name(&r->source));
    const bool flv = av_match_name("flv", r->format->iformat->name);
    const bool jumps = r->format->iformat->flags & AVFMT_TS_DISCONT;
    if (timeline_init(&r->timeline, jumps || flv, count) < 0)
        return error_memory(err, "tracks");
    /* Old FLV muxers take the time a frame is shown for the one it is decoded. */
    r->timeline.finely = !flv;
    return 0;
}

static bool is_film(const struct reader_track *t)
{
    return t->kind == TRACK_VIDEO && !t->is_cover && !t->is_untold;
}

/* Whether `a` is the better film: one that can be decoded, the default, the larger. */
static bool is_better(const struct reader_track *a, const struct reader_track *b)
{
    const bool a_known = avcodec_find_decoder(a->stream->codecpar->codec_id) != NULL;
    const bool b_known = avcodec_find_decoder(b->stream->codecpar->codec_id) != NULL;
    if (a_known != b_known)
        return a_known;
    if (a->is_default != b->is_default)
        return a->is_default;
    return (int64_t)a->video.width * a->video.height > (int64_t)b->video.width * b->video.height;
}

static int refuse_untold(const struct reader *r, int track, struct error *err)
{
    return error_set(err, RGPU_ERROR_INPUT,
                     "%s: nothing in its first %d MB tells the picture size of video track %d",
                     source_name(&r->source), PROBE_BYTES >> 20, track);
}

static int choose_video(struct reader *r, int wanted, struct error *err)
{
    const char *name = source_name(&r->source);
    if (wanted >= 0) {
        if (wanted < r->tracks_count && r->tracks[wanted].kind == TRACK_VIDEO &&
            r->tracks[wanted].is_untold)
            return refuse_untold(r, wanted, err);
        if (wanted >= r->tracks_count || !is_film(&r->tracks[wanted]))
            return error_set(err, RGPU_ERROR_PARAM, "%s has no video track %d", name, wanted);
        r->video = wanted;
    } else {
        for (int i = 0; i < r->tracks_count; i++)
            if (is_film(&r->tracks[i]) &&
                (r->video < 0 || is_better(&r->tracks[i], &r->tracks[r->video])))
                r->video = i;
    }
    if (r->video < 0)
        return 0;
    const struct reader_track *t = &r->tracks[r->video];
    if (t->stream->codecpar->codec_id == AV_CODEC_ID_NONE)
        return error_set(err, RGPU_ERROR_INPUT, "video track %d of %s is of an unknown kind (%s)",
                         r->video, name, av_fourcc2str(t->video.codec_tag));
    r->timeline.leader = r->video;
    if (video_state_init(&r->state, t, r->format->iformat->name) < 0)
        return error_memory(err, "a video track");
    if (unpack_init(&r->unpack, &r->tracks[r->video], r->format->streams[r->video],
                    r->format->iformat->name) < 0)
        return error_memory(err, "a video track");
    return 0;
}

static void merge_hdr(struct hdr *to, const struct hdr *from)
{
    if (from->has_mastering && !to->has_mastering) {
        const struct hdr light = *to;
        *to = *from;
        to->has_light_level = light.has_light_level;
        to->max_content_light = light.max_content_light;
        to->max_average_light = light.max_average_light;
    }
    if (from->has_light_level && !to->has_light_level) {
        to->has_light_level = true;
        to->max_content_light = from->max_content_light;
        to->max_average_light = from->max_average_light;
    }
}

/* Where two frames are packed into one chunk (MPEG-4 in AVI), libavformat takes the reorder delay
 * off the first packet only: its time lies before a gap that is not in the film. */
static void close_first_gap(struct reader *r)
{
    AVPacket *first[3] = {NULL};
    int count = 0;
    for (size_t i = 0; i < r->queue_count && count < 3; i++)
        if (reader_queued(r, i)->is_video)
            first[count++] = reader_queued(r, i)->av;
    if (count < 3 || first[0]->dts == AV_NOPTS_VALUE || first[1]->dts == AV_NOPTS_VALUE ||
        first[2]->dts == AV_NOPTS_VALUE)
        return;
    const int64_t step = first[2]->dts - first[1]->dts;
    if (step > 0 && first[1]->dts - first[0]->dts > step) {
        r->first_dts = first[0]->dts;
        r->first_dts_closed = first[1]->dts - step;
        first[0]->dts = r->first_dts_closed;
    }
}

/* Reads the first packets ahead: do they tell their time, and what else do they say? */
static int look_at_beginning(struct reader *r, struct error *err)
{
    struct reader_track *t = &r->tracks[r->video];
    int frames = 0, untimed = 0, undecoded = 0, anchors = 0;
    bool partial = false;
    for (size_t i = 0;
         frames < LOOK_VIDEO_PACKETS && i < LOOK_PACKETS_MAX && r->queue_bytes < LOOK_BYTES_MAX;) {
        if (i == r->queue_count && reader_read_ahead(r) < 0)
            break;
        if (i == r->queue_count)
            continue;
        const struct reader_queued *q = reader_queued(r, i++);
        if (!q->is_video)
            continue;
        merge_hdr(&t->video.hdr, &q->look.hdr);
        t->dolby_vision |= q->look.dolby_vision;
        t->hdr10_plus |= q->look.hdr10_plus;
        t->video.timecodes |= q->look.timecode;
        t->video.timecodes_drop |= q->look.timecode_drop;
        partial |= q->look.timecode_partial;
        if (q->look.flags & PACKET_SECOND_FIELD)
            continue;
        if (q->look.field_order != FIELD_UNKNOWN)
            t->video.field_order = q->look.field_order;
        else if (q->look.maybe_interlaced && t->video.field_order == FIELD_PROGRESSIVE)
            t->video.field_order = FIELD_UNKNOWN;
        frames++;
        untimed += q->av->pts == AV_NOPTS_VALUE;
        undecoded += q->av->dts == AV_NOPTS_VALUE;
        anchors += q->look.anchor && q->av->pts != AV_NOPTS_VALUE;
    }
    if (partial || rational_double(t->video.frame_rate) > TIMECODE_RATE_MAX)
        t->video.timecodes = false;
    if (r->ended == RGPU_ERROR_MEMORY || r->ended == RGPU_ERROR_CANCELLED ||
        (r->ended == RGPU_ERROR_INPUT && r->queue_count == 0)) {
        if (err)
            *err = r->ended_error;
        return r->ended;
    }
    const bool in_avi = r->state.syntax == SYNTAX_MPEG4;
    r->state.anchor_is_before_next = in_avi && untimed > 0 && anchors == 0 && undecoded == 0;
    r->state.anchor_is_next = !in_avi && anchors > 0 && t->video.reorder_frames > 0;
    /* Now and then a packet has lost its time to damage; where many lack it, it was never there. */
    if (r->state.anchor_is_before_next) {
        close_first_gap(r);
    } else if (untimed * 4 > frames && !r->state.anchor_is_next) {
        r->state.order_is_time = video_keeps_order(&r->state);
        r->state.by_order = !r->state.order_is_time;
        if (r->state.by_order)
            close_first_gap(r);
    }
    return 0;
}

static int open_all(struct reader *r, const struct reader_params *params, struct error *err)
{
    int rc = source_open(&r->source, r->path, params->interrupt, err);
    if (rc == 0)
        rc = open_format(r, err);
    if (rc == 0)
        rc = describe_tracks(r, err);
    if (rc == 0)
        open_holes(r);
    if (rc == 0)
        rc = choose_video(r, params->video_track, err);
    if (rc == 0 && r->video >= 0)
        rc = look_at_beginning(r, err);
    if (rc == 0 && params->start_us > 0)
        rc = reader_seek(r, params->start_us, err);
    return rc;
}

int reader_open(struct reader **ret, const struct reader_params *params, struct error *err)
{
    struct reader *r = calloc(1, sizeof(*r));
    if (!r)
        return error_memory(err, "the input");
    r->source.fd = r->holes.fd = -1;
    r->interrupt = params->interrupt;
    r->video = -1;
    r->farthest_us = r->given_us = r->sought_us = INT64_MIN;
    r->read_to = -1;
    r->first_dts = r->first_dts_closed = PTS_NONE;
    r->path = strdup(params->path);
    const int rc = r->path ? open_all(r, params, err) : error_memory(err, "a file name");
    if (rc < 0) {
        reader_close(&r);
        return rc;
    }
    *ret = r;
    return 0;
}

void reader_close(struct reader **r)
{
    struct reader *x = *r;
    *r = NULL;
    if (!x)
        return;
    reader_queue_drop(x, x->queue_count, false);
    free(x->queue);
    for (int i = 0; i < x->tracks_count; i++)
        reader_track_done(&x->tracks[i]);
    free(x->tracks);
    timeline_done(&x->timeline);
    video_state_done(&x->state);
    av_bsf_free(&x->unpack);
    avformat_close_input(&x->format);
    holes_done(&x->holes);
    source_close(&x->source);
    free(x->path);
    free(x);
}

/* ---- what is in it -------------------------------------------------------------------------- */

int reader_tracks_count(const struct reader *r)
{
    return r->tracks_count;
}

const struct reader_track *reader_track(const struct reader *r, int i)
{
    return i >= 0 && i < r->tracks_count ? &r->tracks[i] : NULL;
}

const struct reader_track *reader_video(const struct reader *r)
{
    return reader_track(r, r->video);
}

struct AVFormatContext *reader_format(struct reader *r)
{
    return r->format;
}

const char *reader_format_name(const struct reader *r)
{
    return r->format->iformat->name;
}

/* The file's last stamp lies before its first one. More likely than a film of an eighth of its
 * clock's turn is one whose clock jumps back: its length is not known then. */
static bool is_turned(const struct reader *r)
{
    const AVFormatContext *f = r->format;
    const AVStream *s = f->streams[r->video >= 0 ? r->video : 0];
    if (!r->timeline.active || s->pts_wrap_bits >= 63)
        return false;
    const int64_t turn = rational_rescale(INT64_C(1) << s->pts_wrap_bits,
                                          (struct rational){s->time_base.num, s->time_base.den},
                                          MICROSECONDS, ROUND_NEAREST);
    const int64_t start = reader_start_us(r);
    return f->duration > turn / 8 && start < INT64_MAX - f->duration &&
           (start < 0 ? start + turn : start) + f->duration > turn;
}

int64_t reader_duration_us(const struct reader *r)
{
    const AVFormatContext *f = r->format;
    const bool sought = r->sought_us != INT64_MIN;
    int64_t read_us;
    if (r->ended == RGPU_ERROR_END && (r->timeline.jumps_count || sought) &&
        r->given_us != INT64_MIN)
        return r->given_us - reader_start_us(r);
    /* From the bit rate, it is a guess that may be off by far. */
    if (f->duration == AV_NOPTS_VALUE || f->duration < 0 ||
        f->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE || is_turned(r))
        return 0;
    /* Shorter than what was read already: libavformat knows of no jumps. */
    if (sought && (__builtin_sub_overflow(r->sought_us, reader_start_us(r), &read_us) ||
                   f->duration <= read_us))
        return 0;
    /* Matroska's duration is the time of the end, not the length. */
    const int64_t start = reader_start_us(r);
    if (!strncmp(f->iformat->name, "matroska", 8) && start > 0 && start < f->duration)
        return f->duration - start;
    return f->duration;
}

int64_t reader_start_us(const struct reader *r)
{
    return r->format->start_time == AV_NOPTS_VALUE ? 0 : r->format->start_time;
}

int64_t reader_size_bytes(const struct reader *r)
{
    if (r->source.size_bytes || !r->format->pb)
        return r->source.size_bytes;
    const int64_t size = avio_size(r->format->pb);
    return size > 0 ? size : 0;
}

bool reader_timestamps_by_order(const struct reader *r)
{
    return r->state.by_order;
}

bool reader_late_tracks(const struct reader *r)
{
    return r->late_tracks;
}

int reader_jumps_count(const struct reader *r)
{
    return r->timeline.jumps_count;
}

void reader_leaps(const struct reader *r, struct reader_leaps *ret)
{
    const struct timeline_leaps *leaps = &r->timeline.leaps;
    *ret = (struct reader_leaps){.count = leaps->count,
                                 .first_us = leaps->first_us,
                                 .first_length_us = leaps->first_length_us};
}

int64_t reader_damaged_count(const struct reader *r)
{
    return r->damaged;
}
