#include "muxing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/mathematics.h>

static int64_t to_ns(int64_t t, AVRational tb)
{
    return t == AV_NOPTS_VALUE ? PIECE_NONE : av_rescale_q(t, tb, (AVRational){1, 1000000000});
}

static uint64_t hash_of(const uint8_t *data, int size)
{
    uint64_t h = 1469598103934665603u;
    for (int i = 0; i < size; i++)
        h = (h ^ data[i]) * 1099511628211u;
    return h;
}

void pieces_read(const char *name, int stream, struct pieces *ret)
{
    AVFormatContext *s = NULL;
    if (avformat_open_input(&s, name, NULL, NULL) < 0)
        fail_msg("cannot open %s", name);
    assert_true(avformat_find_stream_info(s, NULL) >= 0);
    AVPacket *pkt = av_packet_alloc();
    assert_non_null(pkt);
    *ret = (struct pieces){0};
    while (av_read_frame(s, pkt) >= 0) {
        if (stream < 0 || pkt->stream_index == stream) {
            ret->items = realloc(ret->items, (size_t)(ret->count + 1) * sizeof(ret->items[0]));
            assert_non_null(ret->items);
            const AVRational tb = s->streams[pkt->stream_index]->time_base;
            ret->items[ret->count++] = (struct piece){
                .stream = pkt->stream_index,
                .pts_ns = to_ns(pkt->pts, tb),
                .dts_ns = to_ns(pkt->dts, tb),
                .duration_ns = to_ns(pkt->duration, tb),
                .pts = pkt->pts,
                .size = pkt->size,
                .flags = pkt->flags,
                .hash = hash_of(pkt->data, pkt->size),
            };
        }
        av_packet_unref(pkt);
    }
    av_packet_free(&pkt);
    avformat_close_input(&s);
}

void pieces_done(struct pieces *p)
{
    free(p->items);
    *p = (struct pieces){0};
}

int folder_entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

/* ---- runs ----------------------------------------------------------------------------------- */

#define HELD_MAX 4096

struct run {
    const struct mux_job *job;
    struct reader *reader;
    struct writer *writer;
    AVBSFContext *bsf;
    struct writer_track_params tracks[64];
    int source[64]; /* index in the reader */
    int count, encodes;
    struct audio *audio[64];
    struct packet held[HELD_MAX];
    int held_count, video_count, key_count;
};

static void add(struct run *r, enum writer_track_kind kind, const struct reader_track *t,
                const char *name)
{
    struct writer_track_params *p = &r->tracks[r->count];
    *p = (struct writer_track_params){.kind = kind,
                                      .source = t,
                                      .is_default =
                                          t->kind == TRACK_VIDEO ? r->count == 0 : t->is_default};
    snprintf(p->name, sizeof(p->name), "%s", name);
    r->source[r->count++] = t->index;
}

static int plan(struct run *r, struct error *err)
{
    const struct reader_track *video = reader_video(r->reader);
    const enum container container = container_from_name(r->job->out);
    const int encodes = !video || r->job->renditions < 0 ? 0
                        : r->job->renditions             ? r->job->renditions
                                                         : 1;
    for (int i = 0; i < encodes; i++)
        add(r, WRITER_VIDEO, video, (const char[]){(char)('a' + i), 0});
    r->encodes = encodes;
    if (video && r->job->copy_video)
        add(r, WRITER_COPY, video, "source");
    for (int i = 0; i < reader_tracks_count(r->reader); i++) {
        const struct reader_track *t = reader_track(r->reader, i);
        if (t == video || (t->kind == TRACK_AUDIO && r->job->no_audio))
            continue;
        if (t->kind != TRACK_AUDIO || !r->job->audio_codec) {
            add(r, WRITER_COPY, t, "");
            continue;
        }
        struct audio_params params = {
            .source = t, .start_us = r->job->start_us, .end_us = r->job->end_us};
        snprintf(params.codec, sizeof(params.codec), "%s", r->job->audio_codec);
        const int rc = audio_open(&r->audio[r->count], &params, err);
        if (rc < 0)
            return rc;
        struct writer_track_params *p = &r->tracks[r->count];
        add(r, WRITER_AUDIO, t, "");
        p->audio = audio_codecpar(r->audio[r->count - 1]);
        p->audio_time_base = audio_time_base(r->audio[r->count - 1]);
    }
    const struct writer_params params = {.path = r->job->out,
                                         .container = container,
                                         .overwrite = r->job->overwrite,
                                         .reader = r->reader,
                                         .tracks_count = r->count,
                                         .tracks = r->tracks,
                                         .shift_us = r->job->start_us,
                                         .end_us = r->job->end_us,
                                         .segment_us = r->job->segment_us};
    return writer_open(&r->writer, &params, err);
}

/* The encoder's side: Annex B and its headers, made from the source's own. */
static int open_annexb(struct run *r, struct track *header)
{
    const struct reader_track *video = reader_video(r->reader);
    const AVCodecParameters *par = video->stream->codecpar;
    const bool hevc = par->codec_id == AV_CODEC_ID_HEVC;
    const bool framed = par->extradata_size > 0 && par->extradata[0] == 1;
    const char *name = !framed ? "null" : hevc ? "hevc_mp4toannexb" : "h264_mp4toannexb";
    assert_true(av_bsf_alloc(av_bsf_get_by_name(name), &r->bsf) >= 0);
    assert_true(avcodec_parameters_copy(r->bsf->par_in, par) >= 0);
    r->bsf->time_base_in = video->stream->time_base;
    assert_true(av_bsf_init(r->bsf) >= 0);
    *header = track_share(&video->video);
    buffer_unref(&header->extradata);
    header->extradata =
        buffer_copy(r->bsf->par_out->extradata, (size_t)r->bsf->par_out->extradata_size);
    assert_non_null(header->extradata);
    header->time_base = video->time_base;
    header->reorder_frames = r->job->reorder ? r->job->reorder : par->video_delay;
    return 0;
}

static int flush_held(struct run *r, struct error *err)
{
    int rc = 0;
    for (int i = 0; i < r->held_count; i++) {
        r->key_count += r->held[i].flags & PACKET_KEY ? 1 : 0;
        for (int k = 0; rc == 0 && k < r->encodes; k++) {
            struct packet share = packet_share(&r->held[i]);
            if (r->job->thin_keys && k > 0 && r->key_count % 2 == 0)
                share.flags &= ~(uint32_t)PACKET_KEY;
            rc = writer_video(r->writer, k, &share, err);
        }
        packet_done(&r->held[i]);
    }
    r->held_count = 0;
    return rc;
}

static int encode_video(struct run *r, const AVPacket *pkt, struct error *err)
{
    AVPacket *av = av_packet_clone(pkt);
    assert_non_null(av);
    assert_true(av_bsf_send_packet(r->bsf, av) >= 0);
    assert_true(av_bsf_receive_packet(r->bsf, av) >= 0);
    struct packet *out = &r->held[r->held_count++];
    *out = (struct packet){.buf = buffer_copy(av->data, (size_t)av->size),
                           .size = (size_t)av->size,
                           .pts = av->pts,
                           .dts = PTS_NONE,
                           .duration = av->duration,
                           .flags = av->flags & AV_PKT_FLAG_KEY ? PACKET_KEY : 0};
    assert_non_null(out->buf);
    out->data = out->buf->data;
    av_packet_free(&av);
    r->video_count++;
    return r->held_count > r->job->burst || r->held_count == HELD_MAX ? flush_held(r, err) : 0;
}

static int encode_audio(struct run *r, int track, const AVPacket *pkt, struct error *err)
{
    int rc = audio_push(r->audio[track], pkt, err);
    AVPacket *out = NULL;
    while (rc == 0 && audio_next(r->audio[track], &out, err) == 0)
        rc = writer_copy(r->writer, track, &out, err);
    return rc;
}

static int take(struct run *r, struct reader_packet *p, struct error *err)
{
    const struct reader_track *video = reader_video(r->reader);
    int rc = 0;
    if (video && p->track == video->index && r->encodes)
        rc = encode_video(r, p->av, err);
    for (int i = r->encodes; rc == 0 && i < r->count; i++) {
        if (r->source[i] != p->track)
            continue;
        AVPacket *copy = av_packet_clone(p->av);
        assert_non_null(copy);
        if (r->audio[i]) {
            rc = encode_audio(r, i, copy, err);
            av_packet_free(&copy);
        } else {
            rc = writer_copy(r->writer, i, &copy, err);
            assert_null(copy);
        }
    }
    if (rc == 0 && video && p->track == video->index && p->av->dts != AV_NOPTS_VALUE) {
        const int64_t us = av_rescale_q(p->av->dts, video->stream->time_base, AV_TIME_BASE_Q);
        for (int i = r->encodes; rc == 0 && i < r->count; i++)
            if (r->tracks[i].source->kind == TRACK_SUBTITLE)
                rc = writer_progress(r->writer, i, us - 1000000, err);
    }
    return rc;
}

static int finish(struct run *r, struct error *err)
{
    int rc = flush_held(r, err);
    for (int i = 0; rc == 0 && i < r->count; i++) {
        if (r->audio[i])
            rc = encode_audio(r, i, NULL, err);
        if (rc == 0)
            rc = writer_track_end(r->writer, i, err);
    }
    if (rc == 0)
        rc = writer_complete(r->writer, err);
    return rc == 0 && !r->job->stop_complete ? writer_place(r->writer, err) : rc;
}

static int run(struct run *r, struct error *err)
{
    const struct reader_params params = {.path = r->job->in, .video_track = -1};
    int rc = reader_open(&r->reader, &params, err);
    if (rc == 0)
        rc = plan(r, err);
    if (rc < 0)
        return rc;
    struct track header = {0};
    if (r->encodes)
        open_annexb(r, &header);
    bool told = !r->encodes;
    struct reader_packet p = {0};
    while (rc == 0 && (rc = reader_next(r->reader, &p, err)) == 0) {
        rc = take(r, &p, err);
        reader_packet_done(&p);
        /* The header comes after the first packets, as from an encoder on another machine. */
        for (int i = 0; rc == 0 && !told && r->video_count > 3 && i < r->encodes; i++)
            rc = writer_header(r->writer, i, &header, err);
        told |= r->video_count > 3;
        if (r->job->stop_after && r->video_count >= r->job->stop_after) {
            track_done(&header);
            return rc;
        }
    }
    if (rc == RGPU_ERROR_END)
        rc = 0;
    for (int i = 0; rc == 0 && !told && i < r->encodes; i++)
        rc = writer_header(r->writer, i, &header, err);
    track_done(&header);
    return rc == 0 ? finish(r, err) : rc;
}

int mux_run(const struct mux_job *job, struct error *err, int64_t *ret_shift_us,
            char **ret_warnings)
{
    struct run *r = calloc(1, sizeof(*r));
    assert_non_null(r);
    r->job = job;
    *err = (struct error){0};
    const int rc = run(r, err);
    if (ret_shift_us && r->writer)
        *ret_shift_us = writer_shift_us(r->writer);
    if (ret_warnings) {
        size_t size = 1;
        for (int i = 0; r->writer && i < writer_warnings_count(r->writer); i++)
            size += strlen(writer_warning(r->writer, i)) + 1;
        *ret_warnings = calloc(1, size);
        assert_non_null(*ret_warnings);
        for (int i = 0; r->writer && i < writer_warnings_count(r->writer); i++) {
            strcat(*ret_warnings, writer_warning(r->writer, i));
            strcat(*ret_warnings, "\n");
        }
    }
    for (int i = 0; i < r->held_count; i++)
        packet_done(&r->held[i]);
    writer_close(&r->writer);
    for (int i = 0; i < r->count; i++)
        audio_close(&r->audio[i]);
    av_bsf_free(&r->bsf);
    reader_close(&r->reader);
    free(r);
    return rc;
}
