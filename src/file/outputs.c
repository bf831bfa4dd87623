#include "file/outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "file/audio.h"
#include "file/container.h"

/* Packets of sparse tracks may come this much later than their time in a badly interleaved file. */
#define INTERLEAVE_SLACK_US 5000000

/* Where a track of the source or a rendition goes in each writer; -1: not there. */
struct route {
    int writer, track;
};

struct result {
    struct writer *writer;
    char path[OUTPUT_PATH_MAX];
    struct writer_track_params tracks[WRITER_TRACKS_MAX];
    int source_track[WRITER_TRACKS_MAX]; /* index in the reader; -1 for renditions */
    int tracks_count;
};

struct outputs {
    struct reader *reader;
    struct result *outputs; /* owned array */
    int count;
    struct route rungs[RENDITIONS_MAX];
    struct output_rung rung[RENDITIONS_MAX];
    char rung_path[RENDITIONS_MAX][OUTPUT_PATH_MAX];
    char master_path[OUTPUT_PATH_MAX];
    int rungs_count;
    struct audio **audio; /* owned array: one a source track, NULL where copied */
    enum container container;
    int64_t start_us, end_us;
};

static bool is_sparse(enum track_kind kind)
{
    return kind == TRACK_SUBTITLE || kind == TRACK_DATA;
}

/* ---- opening ----------------------------------------------------------------------------------
 */

static int too_long(struct error *err)
{
    return error_set(err, RGPU_ERROR_PARAM, "output name is too long (at most %d bytes)",
                     OUTPUT_PATH_MAX - 1);
}

/* Puts the name into each "{}". */
static int expand_path(char ret[OUTPUT_PATH_MAX], const char *pattern, const char *name,
                       struct error *err)
{
    size_t used = 0;
    for (const char *p = pattern; *p && used < OUTPUT_PATH_MAX;) {
        const char *hole = strstr(p, "{}");
        const size_t plain = hole ? (size_t)(hole - p) : strlen(p);
        const int n =
            snprintf(ret + used, OUTPUT_PATH_MAX - used, "%.*s%s", (int)plain, p, hole ? name : "");
        used += n < 0 ? OUTPUT_PATH_MAX : (size_t)n;
        p = hole ? hole + 2 : p + plain;
    }
    if (used >= OUTPUT_PATH_MAX)
        return too_long(err);
    ret[used] = 0;
    return 0;
}

static int add_track(struct result *out, const struct writer_track_params *track, int source_track,
                     struct error *err)
{
    if (out->tracks_count == WRITER_TRACKS_MAX)
        return error_set(err, RGPU_ERROR_LIMIT,
                         "%s would have more than %d tracks; choose with --map", out->path,
                         WRITER_TRACKS_MAX);
    out->source_track[out->tracks_count] = source_track;
    out->tracks[out->tracks_count++] = *track;
    return 0;
}

static int add_rung(struct outputs *o, int rung, struct error *err)
{
    const int index = o->count == 1 ? 0 : rung;
    struct result *out = &o->outputs[index];
    const struct output_rung *r = &o->rung[rung];
    const struct reader_track *video = reader_video(o->reader);
    struct writer_track_params track = {
        .kind = r->is_source ? WRITER_COPY : WRITER_VIDEO,
        .source = video,
        .is_default = out->tracks_count == 0,
    };
    if (o->rungs_count > 1 || o->container == CONTAINER_HLS)
        snprintf(track.name, sizeof(track.name), "%.31s", r->name);
    o->rungs[rung] = (struct route){index, out->tracks_count};
    return add_track(out, &track, r->is_source ? video->index : -1, err);
}

/* Opens the encoder for an audio track that is not copied. */
static int open_audio(struct outputs *o, const struct outputs_params *params,
                      const struct reader_track *track, struct error *err)
{
    const char *usual = container_is_webm(params->path) ? "opus" : "aac";
    struct audio_params audio = {.source = track,
                                 .bit_rate_bps = params->audio_bit_rate_bps,
                                 .start_us = params->start_us,
                                 .end_us = params->end_us};
    snprintf(audio.codec, sizeof(audio.codec), "%s",
             params->audio == AUDIO_ENCODE ? params->audio_codec : usual);
    if (!container_path_takes_codec(o->container, params->path, audio.codec))
        return error_set(err, RGPU_ERROR_PARAM, "%s cannot hold %s audio; use --audio %s",
                         container_path_name(o->container, params->path), audio.codec, usual);
    return audio_open(&o->audio[track->index], &audio, err);
}

/* FLV holds one audio track: what comes behind it need not be encoded, as the writer leaves it out.
 */
static bool is_second_sound(const struct outputs *o, const struct outputs_params *params)
{
    const struct result *out = &o->outputs[0];
    for (int i = 0; o->container == CONTAINER_FLV && i < out->tracks_count; i++) {
        const struct writer_track_params *t = &out->tracks[i];
        if (t->kind == WRITER_AUDIO)
            return true;
        if (t->kind == WRITER_COPY && t->source->kind == TRACK_AUDIO &&
            container_takes(o->container, t->source, NULL) &&
            container_path_allows(params->path, t->source))
            return true;
    }
    return false;
}

static int add_source_track(struct outputs *o, const struct outputs_params *params,
                            const struct reader_track *track, struct error *err)
{
    struct writer_track_params add = {
        .kind = WRITER_COPY, .source = track, .is_default = track->is_default};
    if (track == reader_video(o->reader))
        return 0;
    add.is_beside = track->kind == TRACK_VIDEO && !track->is_cover;
    add.is_unasked = add.is_beside && o->count > 1 && !params->is_mapped;
    if (track->kind == TRACK_AUDIO) {
        if (params->audio == AUDIO_NONE)
            return 0;
        /* Where nothing is told of it, there is nothing to decode; the writer says so. */
        const bool copy =
            params->audio == AUDIO_COPY || track->is_untold || is_second_sound(o, params) ||
            (params->audio == AUDIO_AUTO && container_takes(o->container, track, NULL) &&
             container_path_allows(params->path, track));
        if (!copy) {
            int ret = open_audio(o, params, track, err);
            if (ret != 0)
                return ret;
            add.kind = WRITER_AUDIO;
            add.audio = audio_codecpar(o->audio[track->index]);
            add.audio_time_base = audio_time_base(o->audio[track->index]);
        }
    }
    for (int i = 0; i < o->count; i++) {
        int ret = add_track(&o->outputs[i], &add, track->index, err);
        if (ret != 0)
            return ret;
    }
    return 0;
}

static int open_writers(struct outputs *o, const struct outputs_params *params, struct error *err)
{
    for (int i = 0; i < o->count; i++) {
        struct result *out = &o->outputs[i];
        struct writer_params writer = {.path = out->path,
                                       .container = o->container,
                                       .overwrite = params->overwrite,
                                       .reader = params->reader,
                                       .tracks_count = out->tracks_count,
                                       .tracks = out->tracks,
                                       .shift_us = params->start_us,
                                       .end_us = params->end_us,
                                       .segment_us = params->segment_us};
        int ret = writer_open(&out->writer, &writer, err);
        if (ret != 0)
            return ret;
    }
    return 0;
}

static int name_master(struct outputs *o, const char *path, struct error *err)
{
    const bool folder = *path && path[strlen(path) - 1] == '/';
    if (o->container != CONTAINER_HLS)
        return 0;
    const int n =
        snprintf(o->master_path, OUTPUT_PATH_MAX, "%s%s", path, folder ? "master.m3u8" : "");
    return n < 0 || n >= OUTPUT_PATH_MAX ? too_long(err) : 0;
}

static int name_rung(struct outputs *o, int rung, const char *path, struct error *err)
{
    char *ret = o->rung_path[rung];
    const char *slash = strrchr(path, '/');
    int n = 0;
    if (o->container != CONTAINER_HLS)
        n = snprintf(ret, OUTPUT_PATH_MAX, "%s", path);
    else if (slash && !slash[1])
        n = snprintf(ret, OUTPUT_PATH_MAX, "%s%s/index.m3u8", path, o->rung[rung].name);
    else
        n = snprintf(ret, OUTPUT_PATH_MAX, "%.*s/%s/index.m3u8", (int)(strlen(path) - 5), path,
                     o->rung[rung].name);
    return n < 0 || n >= OUTPUT_PATH_MAX ? too_long(err) : 0;
}

/* Whether the file that is named takes the rung's codec. */
static int check_rung(const struct outputs *o, const char *path, const struct output_rung *rung,
                      struct error *err)
{
    const struct reader_track *video = reader_video(o->reader);
    const char *name = container_path_name(o->container, path);
    if (rung->is_source && video && !video->is_untold &&
        !(container_takes(o->container, video, NULL) && container_path_allows(path, video)))
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s cannot hold %s video, so the source rung cannot be copied; name an "
                         ".mkv output",
                         name, video->codec[0] ? video->codec : "such");
    if (rung->is_source || container_path_takes_codec(o->container, path, rung->codec))
        return 0;
    return error_set(err, RGPU_ERROR_PARAM, "%s cannot hold %s video; name an .mkv output%s", name,
                     rung->codec, container_is_webm(path) ? ", or use --codec av1" : "");
}

static int set_up(struct outputs *o, const struct outputs_params *params, struct error *err)
{
    int ret = 0;
    const bool split = strstr(params->path, "{}") != NULL;
    o->reader = params->reader;
    o->start_us = params->start_us;
    o->end_us = params->end_us;
    o->rungs_count = params->rungs_count;
    memcpy(o->rung, params->rungs, sizeof(o->rung));
    o->container = container_from_name(params->path);
    if (o->container == CONTAINER_NONE)
        return error_set(
            err, RGPU_ERROR_PARAM,
            "%s: unknown kind of output; use .mp4 (.m4v, .mov), .mkv, .webm, .ts (.m2ts, "
            ".mts), .flv, .m3u8 or a folder that ends in '/'",
            params->path);
    if (split && o->container == CONTAINER_HLS)
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s: an HLS output holds all rungs, so its name takes no {}",
                         params->path);
    for (int i = 0; i < o->rungs_count && ret == 0; i++)
        ret = check_rung(o, params->path, &o->rung[i], err);
    if (ret != 0)
        return ret;
    if (o->container == CONTAINER_FLV && !split && o->rungs_count > 1)
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s: FLV holds one video track; put {} into the name for a file a rung",
                         params->path);
    const int count = split ? o->rungs_count : 1;
    o->outputs = calloc((size_t)count, sizeof(*o->outputs));
    o->audio = calloc((size_t)reader_tracks_count(params->reader), sizeof(struct audio *));
    if (!o->outputs || !o->audio)
        return error_memory(err, "the outputs");
    o->count = count;
    for (int i = 0; i < o->count && ret == 0; i++)
        ret = expand_path(o->outputs[i].path, params->path, o->rung[i].name, err);
    for (int i = 0; i < o->rungs_count && ret == 0; i++) {
        ret = add_rung(o, i, err);
        if (ret == 0)
            ret = name_rung(o, i, o->outputs[o->rungs[i].writer].path, err);
    }
    if (ret == 0)
        ret = name_master(o, o->outputs[0].path, err);
    for (int i = 0; i < reader_tracks_count(params->reader) && ret == 0; i++)
        if (params->keep[i])
            ret = add_source_track(o, params, reader_track(params->reader, i), err);
    return ret == 0 ? open_writers(o, params, err) : ret;
}

int outputs_open(struct outputs **ret, const struct outputs_params *params, struct error *err)
{
    struct outputs *o = calloc(1, sizeof(*o));
    if (!o)
        return error_memory(err, "the outputs");
    int result = set_up(o, params, err);
    if (result != 0)
        outputs_close(&o);
    else
        *ret = o;
    return result;
}

/* ---- source packets ---------------------------------------------------------------------------
 */

/* Gives a copy of the packet to each writer that has the track in this way. */
static int write_copies(struct outputs *o, int source_track, enum writer_track_kind kind,
                        const AVPacket *av, struct error *err)
{
    for (int i = 0; i < o->count; i++) {
        for (int t = 0; t < o->outputs[i].tracks_count; t++) {
            if (o->outputs[i].source_track[t] != source_track ||
                o->outputs[i].tracks[t].kind != kind)
                continue;
            AVPacket *copy = av_packet_clone(av);
            if (!copy)
                return error_memory(err, "a packet");
            int ret = writer_copy(o->outputs[i].writer, t, &copy, err);
            if (ret != 0)
                return ret;
        }
    }
    return 0;
}

static int write_encoded_audio(struct outputs *o, int source_track, struct error *err)
{
    AVPacket *av = NULL;
    int ret;
    while ((ret = audio_next(o->audio[source_track], &av, err)) == 0) {
        ret = write_copies(o, source_track, WRITER_AUDIO, av, err);
        av_packet_free(&av);
        if (ret != 0)
            return ret;
    }
    return ret == RGPU_ERROR_AGAIN || ret == RGPU_ERROR_END ? 0 : ret;
}

/* Whether a copied packet lies within the part that is kept. Of video, the writer knows what the
 * part's frames need beside them. */
static bool within(const struct outputs *o, const struct reader_track *track, const AVPacket *av)
{
    const struct rational us = {1, 1000000};
    int64_t pts = av->pts != AV_NOPTS_VALUE ? av->pts : av->dts;
    if (pts == AV_NOPTS_VALUE || track->kind == TRACK_VIDEO)
        return true;
    int64_t begin = rational_rescale(pts, track->time_base, us, ROUND_NEAREST);
    int64_t end = rational_rescale(pts + av->duration, track->time_base, us, ROUND_NEAREST);
    if (o->end_us && begin >= o->end_us)
        return false;
    return !o->start_us || end > o->start_us;
}

/* Sparse tracks are as far as the video is, less some slack. */
static int advance_sparse(struct outputs *o, const struct reader_packet *pkt, struct error *err)
{
    if (pkt->video.dts == PTS_NONE)
        return 0;
    int64_t now = rational_rescale(pkt->video.dts, reader_video(o->reader)->time_base,
                                   (struct rational){1, 1000000}, ROUND_DOWN);
    for (int i = 0; i < o->count; i++) {
        for (int t = 0; t < o->outputs[i].tracks_count; t++) {
            if (o->outputs[i].source_track[t] < 0 ||
                !is_sparse(o->outputs[i].tracks[t].source->kind))
                continue;
            int ret = writer_progress(o->outputs[i].writer, t, now - INTERLEAVE_SLACK_US, err);
            if (ret != 0)
                return ret;
        }
    }
    return 0;
}

int outputs_source(struct outputs *o, const struct reader_packet *pkt, struct error *err)
{
    const struct reader_track *track = reader_track(o->reader, pkt->track);
    int ret = 0;
    if (track == reader_video(o->reader))
        ret = advance_sparse(o, pkt, err);
    if (ret != 0)
        return ret;
    if (o->audio[pkt->track]) {
        ret = audio_push(o->audio[pkt->track], pkt->av, err);
        return ret == 0 ? write_encoded_audio(o, pkt->track, err) : ret;
    }
    return within(o, track, pkt->av) ? write_copies(o, pkt->track, WRITER_COPY, pkt->av, err) : 0;
}

int outputs_source_end(struct outputs *o, struct error *err)
{
    for (int i = 0; i < reader_tracks_count(o->reader); i++) {
        int ret = o->audio[i] ? audio_push(o->audio[i], NULL, err) : 0;
        if (ret == 0 && o->audio[i])
            ret = write_encoded_audio(o, i, err);
        if (ret != 0)
            return ret;
    }
    for (int i = 0; i < o->count; i++) {
        for (int t = 0; t < o->outputs[i].tracks_count; t++) {
            int ret = o->outputs[i].source_track[t] >= 0
                          ? writer_track_end(o->outputs[i].writer, t, err)
                          : 0;
            if (ret != 0)
                return ret;
        }
    }
    return 0;
}

/* ---- encoded video ----------------------------------------------------------------------------
 */

static struct route find_rendition(const struct outputs *o, int rendition)
{
    for (int i = 0; i < o->rungs_count; i++)
        if (!o->rung[i].is_source && o->rung[i].rendition == rendition)
            return o->rungs[i];
    return (struct route){-1, -1};
}

int outputs_header(struct outputs *o, int rendition, const struct track *track, struct error *err)
{
    struct route to = find_rendition(o, rendition);
    return writer_header(o->outputs[to.writer].writer, to.track, track, err);
}

int outputs_video(struct outputs *o, int rendition, struct packet *pkt, struct error *err)
{
    struct route to = find_rendition(o, rendition);
    return writer_video(o->outputs[to.writer].writer, to.track, pkt, err);
}

int outputs_video_end(struct outputs *o, struct error *err)
{
    int ret = 0;
    for (int i = 0; i < o->rungs_count && ret == 0; i++)
        if (!o->rung[i].is_source)
            ret = writer_track_end(o->outputs[o->rungs[i].writer].writer, o->rungs[i].track, err);
    return ret;
}

int outputs_complete(struct outputs *o, struct error *err)
{
    int ret = 0;
    for (int i = 0; i < o->count && ret == 0; i++)
        ret = writer_complete(o->outputs[i].writer, err);
    return ret;
}

int outputs_place(struct outputs *o, struct error *err)
{
    int ret = 0, placed = 0;
    for (int i = 0; i < o->count && ret == 0; i++)
        ret = writer_check(o->outputs[i].writer, err);
    while (placed < o->count && ret == 0 &&
           (ret = writer_place(o->outputs[placed].writer, err)) == 0)
        placed++;
    for (int i = 0; i < placed && ret != 0; i++)
        writer_withdraw(o->outputs[i].writer);
    return ret;
}

/* ---- figures ----------------------------------------------------------------------------------
 */

int outputs_warnings_count(const struct outputs *o)
{
    int count = 0;
    for (int i = 0; i < o->count; i++)
        count += writer_warnings_count(o->outputs[i].writer);
    return count;
}

const char *outputs_warning(const struct outputs *o, int i)
{
    int k = 0;
    for (; i >= writer_warnings_count(o->outputs[k].writer); k++)
        i -= writer_warnings_count(o->outputs[k].writer);
    return writer_warning(o->outputs[k].writer, i);
}

int64_t outputs_bytes(const struct outputs *o)
{
    int64_t bytes = 0;
    for (int i = 0; i < o->count; i++)
        bytes += writer_bytes(o->outputs[i].writer);
    return bytes;
}

int64_t outputs_waiting_bytes(const struct outputs *o)
{
    int64_t bytes = 0;
    for (int i = 0; i < o->count; i++)
        bytes += writer_waiting_bytes(o->outputs[i].writer);
    return bytes;
}

int64_t outputs_rung_bytes(const struct outputs *o, int rung)
{
    return writer_track_bytes(o->outputs[o->rungs[rung].writer].writer, o->rungs[rung].track);
}

int outputs_rung_beside_count(const struct outputs *o, int rung)
{
    return writer_beside_count(o->outputs[o->rungs[rung].writer].writer);
}

int64_t outputs_rung_frames(const struct outputs *o, int rung)
{
    return writer_track_frames(o->outputs[o->rungs[rung].writer].writer, o->rungs[rung].track);
}

int64_t outputs_rung_shift_us(const struct outputs *o, int rung)
{
    return writer_shift_us(o->outputs[o->rungs[rung].writer].writer);
}

const char *outputs_rung_path(const struct outputs *o, int rung)
{
    return o->rung_path[rung];
}

int outputs_rung_reading_path(const struct outputs *o, int rung, char ret[OUTPUT_PATH_MAX],
                              struct error *err)
{
    writer_reading_path(o->outputs[o->rungs[rung].writer].writer, ret, OUTPUT_PATH_MAX);
    const size_t used = strlen(ret), room = OUTPUT_PATH_MAX - used;
    const int n = o->container == CONTAINER_HLS
                      ? snprintf(ret + used, room, "/%s/index.m3u8", o->rung[rung].name)
                      : 0;
    if (n >= 0 && (size_t)n < room)
        return 0;
    return error_set(err, RGPU_ERROR_PARAM, "the name of %s is too long", o->rung_path[rung]);
}

const char *outputs_master_path(const struct outputs *o)
{
    return o->master_path;
}

int64_t outputs_damaged(const struct outputs *o)
{
    int64_t damaged = 0;
    for (int i = 0; i < reader_tracks_count(o->reader); i++)
        if (o->audio[i])
            damaged += audio_failed_count(o->audio[i]);
    return damaged;
}

void outputs_close(struct outputs **outputs)
{
    struct outputs *o = *outputs;
    *outputs = NULL;
    if (!o)
        return;
    for (int i = 0; i < o->count; i++)
        writer_close(&o->outputs[i].writer);
    for (int i = 0; o->audio && i < reader_tracks_count(o->reader); i++)
        audio_close(&o->audio[i]);
    free(o->audio);
    free(o->outputs);
    free(o);
}
