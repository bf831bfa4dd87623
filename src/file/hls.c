#include "file/hls.h"

#include <libavcodec/packet.h>
#include <libavformat/avformat.h>
#include <libavutil/mathematics.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "file/output.h"
#include "file/place.h"
#include "file/whole.h"
#include "media/cues.h"

/* Times are compared in nanoseconds: equal times of different time bases come out equal, and no
 * two different ones do. */
static const AVRational ns = {1, 1000000000};
#define NEVER INT64_MAX

/* Audio that begins this much behind a cut has a segment without media (EXT-X-GAP) in front of it;
 * less than that, its first segment begins at the cut. A longer empty beginning of a segment would
 * make players take its media for earlier than it is: they place it by the playlist's times where
 * the two differ by more than it lasts. ffmpeg, hls.js and AVPlayer keep gaps in time; AVPlayer
 * plays silence there, hls.js may step over those at the beginning. */
#define GAP_MIN_NS INT64_C(500000000)

struct entry {
    AVPacket *pkt; /* owned */
    int64_t pts_ns;
};

struct rendition {
    struct hls_track track; /* name, language, segments: what playlists say */
    struct mux *mux;        /* owned; of text only the description of its stream */
    struct cues *cues;      /* owned; text, instead of the ring */
    bool reference;         /* takes part in deciding where to cut */
    bool ended;
    struct entry *ring; /* owned; packets that wait for a decision, or for the next one */
    int capacity, head, count;
    int64_t first_ns;      /* smallest pts of all packets; NEVER: none yet */
    int64_t key_ns;        /* pts of the first packet of the current segment */
    int64_t frontier_ns;   /* dts of the newest packet: no later one is shown before */
    int64_t last_duration; /* of a packet, in its time base */
    int fd;                /* current file; -1: none */
    bool header_written;
    bool in_segment;          /* a segment file is open */
    int64_t piece_bytes;      /* given to the muxer and not yet written */
    int64_t begin_ns, end_ns; /* time that the current segment shows; begin NEVER: nothing yet */
    int next_cut;             /* of the cuts, the first that this rendition has not made */
};

struct hls {
    struct place *folder, *master; /* owned; master NULL: master.m3u8 is in the folder */
    char *path, *prefix; /* owned; prefix: of the folder as seen from the master playlist */
    struct rendition *renditions; /* owned array */
    int count;
    int64_t target_ns, start_ns; /* of the current segment; NEVER: no packet yet */
    int64_t origin_ns;           /* begin of all playlists; NEVER: not settled yet */
    bool goes_on;                /* there are cuts behind the references' end */
    int64_t now_ns;              /* largest dts that was written */
    int64_t later_us;
    int64_t *cuts_ns; /* owned */
    int cuts_count, cuts_capacity;
    int64_t bytes; /* of complete files */
};

/* ---- opening -------------------------------------------------------------------------------- */

static int open_places(struct hls *h, const struct hls_params *params, struct error *err)
{
    const size_t n = strlen(params->path);
    h->path = strdup(params->path);
    if (!h->path)
        return error_memory(err, params->path);
    if (n > 0 && params->path[n - 1] == '/') {
        h->prefix = strdup("");
        return h->prefix
                   ? place_folder(&h->folder, params->path, params->overwrite, params->input, err)
                   : error_memory(err, params->path);
    }
    const size_t end = n > 5 && strcasecmp(params->path + n - 5, ".m3u8") == 0 ? n - 5 : n;
    char *folder = strndup(params->path, end);
    if (!folder)
        return error_memory(err, params->path);
    const char *slash = strrchr(folder, '/');
    int rc = asprintf(&h->prefix, "%s/", slash ? slash + 1 : folder) < 0
                 ? error_memory(err, params->path)
                 : place_playlist(&h->master, params->path, params->overwrite, params->input, err);
    if (rc == 0)
        rc = place_folder(&h->folder, folder, params->overwrite, params->input, err);
    free(folder);
    return rc;
}

int hls_open(struct hls **ret, const struct hls_params *params, struct error *err)
{
    struct hls *h = calloc(1, sizeof(*h));
    if (!h)
        return error_memory(err, params->path);
    h->start_ns = h->origin_ns = NEVER;
    h->now_ns = INT64_MIN;
    h->target_ns = (params->segment_us > 0 ? params->segment_us : HLS_TARGET_US) * 1000;
    h->renditions = calloc(WRITER_TRACKS_MAX, sizeof(h->renditions[0]));
    const int rc = h->renditions ? open_places(h, params, err) : error_memory(err, params->path);
    if (rc < 0)
        hls_close(&h);
    else
        *ret = h;
    return rc;
}

/* Letters, digits, '-', '_' and '.' (not first) stay; a number is added until the name is new. */
static void folder_name(const struct hls *h, const char *name, const char *fallback, char *ret,
                        size_t size)
{
    char base[40];
    size_t n = 0;
    for (const char *p = name; *p && n < sizeof(base) - 1; p++) {
        const bool plain = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                           (*p >= '0' && *p <= '9') || *p == '-' || *p == '_' ||
                           (*p == '.' && n > 0);
        base[n++] = plain ? *p : '_';
    }
    base[n] = 0;
    snprintf(ret, size, "%s", n ? base : fallback);
    for (int number = 2;; number++) {
        bool taken = false;
        for (int i = 0; i < h->count; i++)
            taken |= strcasecmp(h->renditions[i].track.folder, ret) == 0;
        if (!taken)
            return;
        snprintf(ret, size, "%s-%d", n ? base : fallback, number);
    }
}

int hls_add(struct hls *h, const struct hls_rendition_params *params, int *ret, struct error *err)
{
    if (h->count >= WRITER_TRACKS_MAX)
        return error_set(err, RGPU_ERROR_LIMIT, "more than %d tracks for %s", WRITER_TRACKS_MAX,
                         h->path);
    struct rendition *r = &h->renditions[h->count];
    *r = (struct rendition){
        .fd = -1, .begin_ns = NEVER, .first_ns = NEVER, .frontier_ns = INT64_MIN};
    r->track.kind = params->kind;
    r->track.is_default = params->is_default;
    r->track.is_forced = params->is_forced;
    r->track.is_for_deaf = params->is_for_deaf;
    snprintf(r->track.title, sizeof(r->track.title), "%s", params->title);
    snprintf(r->track.language, sizeof(r->track.language), "%s", params->language);
    static const char *const fallback[] = {
        [HLS_VIDEO] = "video", [HLS_AUDIO] = "audio", [HLS_TEXT] = "subtitles"};
    char name[64];
    const bool prefixed = params->kind == HLS_TEXT && params->name[0];
    snprintf(name, sizeof(name), "%s%s", prefixed ? "subtitles-" : "", params->name);
    folder_name(h, name, fallback[params->kind], r->track.folder, sizeof(r->track.folder));
    const struct mux_params mux = {.container = CONTAINER_HLS, .path = h->path, .fd = -1};
    int rc = mux_open(&r->mux, &mux, err);
    if (rc < 0)
        return rc;
    *ret = h->count++;
    if (params->kind == HLS_TEXT && cues_new(&r->cues) < 0)
        rc = error_memory(err, "subtitles");
    return rc;
}

struct mux *hls_mux(struct hls *h, int rendition)
{
    return h->renditions[rendition].mux;
}

/* ---- files ---------------------------------------------------------------------------------- */

/* Ends the current file of a rendition and begins another; NULL: none. */
static int change_file(struct hls *h, struct rendition *r, const char *name, struct error *err)
{
    int fd = -1;
    char path[128];
    if (name) {
        snprintf(path, sizeof(path), "%s/%s", r->track.folder, name);
        const int rc = place_create(h->folder, path, &fd, err);
        if (rc < 0)
            return rc;
    }
    if (r->fd >= 0)
        h->bytes += mux_bytes(r->mux);
    const int rc = mux_switch(r->mux, fd, err);
    if (r->fd >= 0)
        close(r->fd);
    r->fd = fd;
    return rc;
}

int hls_start(struct hls *h, int64_t later_us, struct error *err)
{
    int sound = -1; /* decides where to cut if there is no video */
    h->later_us = later_us;
    for (int i = h->count - 1; i >= 0; i--)
        if (h->renditions[i].track.kind == HLS_AUDIO)
            sound = i;
    for (int i = 0; i < h->count; i++)
        if (h->renditions[i].track.kind == HLS_VIDEO)
            sound = -1;
    for (int i = 0; i < h->count; i++) {
        struct rendition *r = &h->renditions[i];
        if (r->track.kind == HLS_TEXT)
            continue;
        r->reference = r->track.kind == HLS_VIDEO || i == sound;
        const int rc = mux_start(r->mux, later_us, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Segment type box: CMAF wants one in front of each segment. */
static const uint8_t styp[] = {0, 0, 0, 24, 's', 't', 'y', 'p', 'm', 's', 'd', 'h',
                               0, 0, 0, 0,  'm', 's', 'd', 'h', 'm', 's', 'i', 'x'};

/* The muxer keeps it until the first packets are known; a track without any gets no file. */
static int write_header(struct hls *h, struct rendition *r, struct error *err)
{
    if (r->header_written)
        return 0;
    int rc = change_file(h, r, "init.mp4", err);
    if (rc == 0)
        rc = mux_fragment(r->mux, err);
    r->header_written = rc == 0;
    return rc;
}

static int open_segment(struct hls *h, struct rendition *r, struct error *err)
{
    char name[HLS_SEGMENT_NAME_MAX];
    hls_segment_name(&r->track, r->track.segments_count, name);
    int rc = write_header(h, r, err);
    if (rc == 0)
        rc = change_file(h, r, name, err);
    if (rc < 0)
        return rc;
    avio_write(mux_format(r->mux)->pb, styp, sizeof(styp));
    r->in_segment = true;
    return 0;
}

static int flush_piece(struct hls *h, struct rendition *r, struct error *err)
{
    if (r->piece_bytes == 0)
        return 0;
    int rc = r->in_segment ? 0 : open_segment(h, r, err);
    if (rc == 0)
        rc = mux_fragment(r->mux, err);
    r->piece_bytes = 0;
    return rc;
}

/* Where all playlists begin: with the first that is shown or heard. An edit list takes off what
 * lies in front of zero. */
static int64_t first_of_all(const struct hls *h)
{
    int64_t first = NEVER;
    for (int i = 0; i < h->count; i++)
        first = h->renditions[i].first_ns < first ? h->renditions[i].first_ns : first;
    const int64_t zero = -h->later_us * 1000;
    return first == NEVER ? 0 : first > zero ? first : zero;
}

/* The same once it is told to a playlist. */
static int64_t settle_origin(struct hls *h)
{
    if (h->origin_ns == NEVER)
        h->origin_ns = first_of_all(h);
    return h->origin_ns;
}

/* Ends the current segment, if anything is in it; it lasts to `end_ns`. */
static int end_segment(struct hls *h, struct rendition *r, int64_t end_ns, struct error *err)
{
    if (r->begin_ns == NEVER)
        return 0;
    int rc = flush_piece(h, r, err);
    if (rc < 0)
        return rc;
    const int64_t bytes = mux_bytes(r->mux);
    rc = change_file(h, r, NULL, err);
    /* The first one of a track that begins a little late. */
    if (r->track.segments_count == 0)
        r->begin_ns = settle_origin(h);
    const struct hls_segment segment = {r->begin_ns, end_ns, bytes, false};
    if (rc == 0)
        rc = hls_track_segment(&r->track, &segment, err);
    r->in_segment = false;
    r->begin_ns = NEVER;
    return rc;
}

static int write_text(struct hls *h, int fd, const struct text *text, struct error *err)
{
    const int rc = whole_write(fd, text->data, text->size, 0);
    return rc < 0 ? output_errno(-rc, h->path, err) : 0;
}

/* A whole file of text; `folder` NULL: beside the folders. */
static int write_file(struct hls *h, const char *folder, const char *name, const struct text *text,
                      struct error *err)
{
    char path[128];
    int fd;
    snprintf(path, sizeof(path), "%s%s%s", folder ? folder : "", folder ? "/" : "", name);
    int rc = place_create(h->folder, path, &fd, err);
    if (rc < 0)
        return rc;
    rc = write_text(h, fd, text, err);
    close(fd);
    h->bytes += (int64_t)text->size;
    return rc;
}

/* ---- tracks that begin late -------------------------------------------------------------------
 */

/* A segment without media, of which players that do not know EXT-X-GAP get an empty file. */
static int add_gap(struct hls *h, struct rendition *r, int64_t *begin_ns, int64_t end_ns,
                   struct error *err)
{
    char name[HLS_SEGMENT_NAME_MAX];
    const struct text text = {.data = (char *)styp, .size = sizeof(styp)};
    const struct hls_segment segment = {*begin_ns, end_ns, 0, true};
    hls_segment_name(&r->track, r->track.segments_count, name);
    *begin_ns = end_ns;
    const int rc = write_file(h, r->track.folder, name, &text, err);
    return rc < 0 ? rc : hls_track_segment(&r->track, &segment, err);
}

/* Before the first packet: gaps between the cuts, up to where it is shown. */
static int fill_front(struct hls *h, struct rendition *r, struct error *err)
{
    const int64_t least = r->reference ? h->target_ns : GAP_MIN_NS;
    if (r->first_ns - first_of_all(h) < least)
        return 0;
    int64_t begin_ns = settle_origin(h);
    int rc = 0;
    for (int i = 0; rc == 0 && i < h->cuts_count && h->cuts_ns[i] <= r->first_ns; i++)
        rc = add_gap(h, r, &begin_ns, h->cuts_ns[i], err);
    if (rc == 0 && r->first_ns - begin_ns >= GAP_MIN_NS)
        rc = add_gap(h, r, &begin_ns, r->first_ns, err);
    r->begin_ns = begin_ns;
    return rc;
}

/* ---- queues --------------------------------------------------------------------------------- */

static bool is_key(const struct entry *e)
{
    return e->pkt->flags & AV_PKT_FLAG_KEY;
}

static struct entry *at(const struct rendition *r, int i)
{
    return &r->ring[(r->head + i) % r->capacity];
}

static int push(struct rendition *r, AVPacket *pkt, struct error *err)
{
    if (r->count == r->capacity) {
        const int capacity = r->capacity ? 2 * r->capacity : 64;
        struct entry *ring = malloc((size_t)capacity * sizeof(*ring));
        if (!ring) {
            av_packet_free(&pkt);
            return error_memory(err, "packets");
        }
        for (int i = 0; i < r->count; i++)
            ring[i] = *at(r, i);
        free(r->ring);
        r->ring = ring;
        r->capacity = capacity;
        r->head = 0;
    }
    const int64_t pts_ns = av_rescale_q(pkt->pts, pkt->time_base, ns);
    r->first_ns = pts_ns < r->first_ns ? pts_ns : r->first_ns;
    r->frontier_ns = av_rescale_q(pkt->dts, pkt->time_base, ns);
    r->count++;
    *at(r, r->count - 1) = (struct entry){pkt, pts_ns};
    return 0;
}

/* Gives the oldest packet to the muxer. How long it lasts in decoding order is known from the next
 * one: fragments add durations up, and theirs must lead to the next fragment's time stamp. */
static int write_oldest(struct hls *h, struct rendition *r, struct error *err)
{
    struct entry e = *at(r, 0);
    r->head = (r->head + 1) % r->capacity;
    r->count--;
    const int64_t shown =
        e.pts_ns + av_rescale_q(e.pkt->duration > 0 ? e.pkt->duration : r->last_duration,
                                e.pkt->time_base, ns);
    if (r->count > 0)
        e.pkt->duration = at(r, 0)->pkt->dts - e.pkt->dts;
    else if (e.pkt->duration <= 0)
        e.pkt->duration = r->last_duration > 0 ? r->last_duration : 1;
    r->last_duration = e.pkt->duration;
    int rc = 0;
    if (r->begin_ns == NEVER) {
        r->begin_ns = r->end_ns = r->key_ns = e.pts_ns;
        if (r->track.segments_count == 0)
            rc = fill_front(h, r, err);
        r->track.is_dependent |= !is_key(&e);
    }
    r->track.is_dependent |= e.pts_ns < r->key_ns;
    r->end_ns = shown > r->end_ns ? shown : r->end_ns;
    r->piece_bytes += e.pkt->size;
    if (rc == 0)
        rc = mux_write(r->mux, 0, e.pkt, err);
    av_packet_free(&e.pkt);
    if (rc == 0 && r->piece_bytes >= HLS_PIECE_BYTES)
        rc = flush_piece(h, r, err);
    return rc;
}

/* A packet can be written once its successor is known. */
static bool ready(const struct rendition *r)
{
    return r->count > 1 || (r->count == 1 && r->ended);
}

/* ---- where to cut --------------------------------------------------------------------------- */

/* Smallest pts of a key frame that waits, at or after `from`; NEVER: none. */
static int64_t first_key(const struct rendition *r, int64_t from_ns)
{
    for (int i = 0; i < r->count; i++)
        if (is_key(at(r, i)) && at(r, i)->pts_ns >= from_ns)
            return at(r, i)->pts_ns;
    return NEVER;
}

/* Whether all references have a key frame at the same time, at or after the target. If so, *ret_ns
 * is that time; else no cut will be made before *ret_ns. */
static bool decide(const struct hls *h, int64_t *ret_ns)
{
    int64_t at_ns = h->start_ns == NEVER ? 0 : h->start_ns + h->target_ns;
    int64_t bound = at_ns;
    bool missing = false, found = false;
    for (int i = 0; i < h->count; i++) {
        const struct rendition *r = &h->renditions[i];
        if (!r->reference)
            continue;
        const int64_t key = first_key(r, at_ns);
        if (key == NEVER) {
            missing |= !r->ended;
            if (!r->ended && r->frontier_ns > bound)
                bound = r->frontier_ns;
            continue;
        }
        found = true;
        if (key > at_ns) {
            /* All must have this one: begin again. */
            at_ns = key;
            bound = key > bound ? key : bound;
            missing = found = false;
            i = -1;
        }
    }
    *ret_ns = missing ? bound : found ? at_ns : NEVER;
    return found && !missing;
}

static int add_cut(struct hls *h, int64_t cut_ns, struct error *err)
{
    if (h->cuts_count == h->cuts_capacity) {
        const int capacity = h->cuts_capacity ? 2 * h->cuts_capacity : 64;
        int64_t *cuts = realloc(h->cuts_ns, (size_t)capacity * sizeof(*cuts));
        if (!cuts)
            return error_memory(err, "segments");
        h->cuts_ns = cuts;
        h->cuts_capacity = capacity;
    }
    h->cuts_ns[h->cuts_count++] = cut_ns;
    return 0;
}

/* Writes a reference's packets up to its first key frame at or after `until_ns`. */
static int drain_reference(struct hls *h, struct rendition *r, int64_t until_ns, struct error *err)
{
    while (ready(r) && !(is_key(at(r, 0)) && at(r, 0)->pts_ns >= until_ns)) {
        const int rc = write_oldest(h, r, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Whether a segment behind a gap would be only what audio has just in front of a cut. A segment of
 * some packets costs a request and plays nothing; the next one takes them along. */
static bool is_stub(const struct hls *h, const struct rendition *r, int64_t cut_ns)
{
    const int64_t least = h->target_ns / 4 < GAP_MIN_NS ? h->target_ns / 4 : GAP_MIN_NS;
    return r->begin_ns == r->key_ns && r->track.segments_count > 0 && cut_ns - r->key_ns < least;
}

/* Writes other packets (audio) of times before `until_ns`, with the cuts between them. */
static int drain_other(struct hls *h, struct rendition *r, int64_t until_ns, struct error *err)
{
    while (r->count > 0) {
        const int64_t pts = at(r, 0)->pts_ns;
        const bool known = r->next_cut < h->cuts_count;
        int rc;
        if (known && pts >= h->cuts_ns[r->next_cut]) {
            const int64_t cut_ns = h->cuts_ns[r->next_cut++];
            rc = is_stub(h, r, cut_ns) ? 0 : end_segment(h, r, pts, err);
        } else if (ready(r) && (known || pts < until_ns)) {
            rc = write_oldest(h, r, err);
        } else {
            return 0;
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int cut(struct hls *h, int64_t cut_ns, struct error *err)
{
    for (int i = 0; i < h->count; i++) {
        struct rendition *r = &h->renditions[i];
        if (!r->reference || first_key(r, cut_ns) != cut_ns)
            continue;
        int rc = drain_reference(h, r, cut_ns, err);
        if (rc == 0)
            rc = end_segment(h, r, cut_ns, err);
        if (rc < 0)
            return rc;
    }
    h->start_ns = cut_ns;
    return add_cut(h, cut_ns, err);
}

/* Video begins much later than sound: that is cut meanwhile, and where the video begins. */
static int cut_front(struct hls *h, struct error *err)
{
    int64_t cut_ns = first_of_all(h) + h->target_ns;
    int rc = 0;
    if (h->start_ns < cut_ns)
        return 0;
    for (; rc == 0 && cut_ns <= h->start_ns - h->target_ns / 2; cut_ns += h->target_ns)
        rc = add_cut(h, cut_ns, err);
    return rc == 0 ? add_cut(h, h->start_ns, err) : rc;
}

/* What goes on behind the end of all references is cut at the target length. */
static int cut_rest(struct hls *h, struct error *err)
{
    int64_t end_ns = h->start_ns == NEVER ? first_of_all(h) : h->start_ns, newest_ns = INT64_MIN;
    end_ns += h->target_ns;
    for (int i = 0; i < h->count; i++) {
        const struct rendition *r = &h->renditions[i];
        if (r->reference && (!r->ended || r->count > 0))
            return 0;
        if (r->reference && r->end_ns > end_ns)
            end_ns = r->end_ns;
        if (r->count > 0 && at(r, r->count - 1)->pts_ns > newest_ns)
            newest_ns = at(r, r->count - 1)->pts_ns;
    }
    int rc = 0;
    for (; rc == 0 && end_ns <= newest_ns; end_ns += h->target_ns) {
        h->start_ns = end_ns;
        h->goes_on = true;
        rc = add_cut(h, end_ns, err);
    }
    return rc;
}

/* ---- subtitles ------------------------------------------------------------------------------ */

static int take_cue(struct hls *h, struct rendition *r, const AVPacket *pkt, struct error *err)
{
    const AVRational ms = {1, 1000};
    const int64_t later_ms = h->later_us / 1000;
    const int64_t begin_ms = av_rescale_q(pkt->pts, pkt->time_base, ms) + later_ms;
    const int64_t end_ms = av_rescale_q(pkt->pts + pkt->duration, pkt->time_base, ms) + later_ms;
    size_t size = 0;
    const uint8_t *side = av_packet_get_side_data(pkt, AV_PKT_DATA_WEBVTT_SETTINGS, &size);
    char *settings = side ? strndup((const char *)side, size) : NULL;
    if (side && !settings)
        return error_memory(err, "subtitles");
    const int rc = cues_push(r->cues, begin_ms, end_ms, settings, (const char *)pkt->data);
    free(settings);
    if (rc == RGPU_ERROR_MEMORY)
        return error_memory(err, "subtitles");
    return rc < 0 ? RGPU_ERROR_UNSUPPORTED : 0;
}

/* A segment up to `end_ns`. The last one has all cues that are left. */
static int write_cues(struct hls *h, struct rendition *r, int64_t end_ns, bool last,
                      struct error *err)
{
    struct text text = {0};
    char name[HLS_SEGMENT_NAME_MAX];
    if (r->begin_ns == NEVER)
        r->begin_ns = settle_origin(h);
    hls_segment_name(&r->track, r->track.segments_count, name);
    int rc = cues_segment(r->cues, last ? INT64_MAX : end_ns + h->later_us * 1000, &text);
    if (rc < 0)
        error_set(err, rc, "subtitles of a segment are too long, or there is no memory for them");
    else
        rc = write_file(h, r->track.folder, name, &text, err);
    const struct hls_segment segment = {r->begin_ns, end_ns, (int64_t)text.size, false};
    if (rc == 0)
        rc = hls_track_segment(&r->track, &segment, err);
    text_done(&text);
    r->begin_ns = end_ns;
    return rc;
}

/* Writes the segments for which all cues have come, but for very late ones. */
static int drain_text(struct hls *h, struct rendition *r, struct error *err)
{
    while (r->next_cut < h->cuts_count &&
           h->cuts_ns[r->next_cut] < h->now_ns - HLS_LATE_US * INT64_C(1000)) {
        const int rc = write_cues(h, r, h->cuts_ns[r->next_cut++], false, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Subtitles end with the video, or with the sound where one begins behind it or it has cuts there.
 */
static int finish_text(struct hls *h, struct rendition *r, struct error *err)
{
    int64_t end_ns = 0, longest_ns = 0;
    int rc = 0;
    while (rc == 0 && r->next_cut < h->cuts_count)
        rc = write_cues(h, r, h->cuts_ns[r->next_cut++], false, err);
    for (int i = 0; i < h->count; i++) {
        const struct rendition *o = &h->renditions[i];
        if (o->track.kind != HLS_TEXT && o->end_ns > longest_ns)
            longest_ns = o->end_ns;
        if (o->reference && o->end_ns > end_ns)
            end_ns = o->end_ns;
    }
    if (h->goes_on || cues_last_ns(r->cues) >= end_ns + h->later_us * 1000)
        end_ns = longest_ns;
    return rc == 0 ? write_cues(h, r, end_ns, true, err) : rc;
}

/* --------------------------------------------------------------------------------------------- */

static int pump(struct hls *h, struct error *err)
{
    int64_t until_ns = 0;
    while (decide(h, &until_ns)) {
        const int rc = cut(h, until_ns, err);
        if (rc < 0)
            return rc;
    }
    int rc = 0;
    for (int i = 0; rc == 0 && i < h->count; i++)
        if (h->renditions[i].reference)
            rc = drain_reference(h, &h->renditions[i], until_ns, err);
    if (rc == 0)
        rc = cut_rest(h, err);
    for (int i = 0; rc == 0 && i < h->count; i++) {
        struct rendition *r = &h->renditions[i];
        if (r->cues)
            rc = drain_text(h, r, err);
        else if (!r->reference)
            rc = drain_other(h, r, until_ns, err);
    }
    return rc;
}

int hls_write(struct hls *h, int rendition, AVPacket *pkt, struct error *err)
{
    struct rendition *r = &h->renditions[rendition];
    const int64_t now_ns = av_rescale_q(pkt->dts, pkt->time_base, ns);
    h->now_ns = now_ns > h->now_ns ? now_ns : h->now_ns;
    if (r->cues) {
        const int taken = take_cue(h, r, pkt, err);
        av_packet_free(&pkt);
        return taken;
    }
    const int rc = push(r, pkt, err);
    if (rc < 0)
        return rc;
    int cut = 0;
    if (r->reference && h->cuts_count == 0) {
        const bool first = h->start_ns == NEVER;
        const int64_t pts = at(r, r->count - 1)->pts_ns;
        h->start_ns = pts < h->start_ns ? pts : h->start_ns;
        if (first)
            cut = cut_front(h, err);
    }
    return cut < 0 ? cut : pump(h, err);
}

int hls_end(struct hls *h, int rendition, struct error *err)
{
    h->renditions[rendition].ended = true;
    return pump(h, err);
}

int64_t hls_bytes(const struct hls *h)
{
    int64_t bytes = h->bytes;
    for (int i = 0; i < h->count; i++)
        if (h->renditions[i].fd >= 0)
            bytes += mux_bytes(h->renditions[i].mux);
    return bytes;
}

/* ---- the end -------------------------------------------------------------------------------- */

static int finish_segments(struct hls *h, struct rendition *r, struct error *err)
{
    int rc = end_segment(h, r, r->end_ns, err);
    if (rc == 0 && !hls_track_is_empty(&r->track))
        rc = write_header(h, r, err);
    return rc == 0 ? change_file(h, r, NULL, err) : rc;
}

static int write_playlists(struct hls *h, const struct hls_track *const *tracks, struct error *err)
{
    const int32_t target_s = hls_target_s(tracks, h->count);
    struct text text = {0};
    int rc = 0;
    for (int i = 0; rc == 0 && i < h->count; i++) {
        if (hls_track_is_empty(tracks[i]))
            continue;
        rc = hls_write_media(tracks[i], target_s, &text, err);
        if (rc == 0)
            rc = write_file(h, tracks[i]->folder, "index.m3u8", &text, err);
        text_done(&text);
    }
    if (rc == 0)
        rc = hls_write_master(tracks, h->count, h->prefix, target_s, &text, err);
    if (rc == 0)
        rc = h->master ? write_text(h, place_fd(h->master), &text, err)
                       : write_file(h, NULL, "master.m3u8", &text, err);
    text_done(&text);
    return rc;
}

int hls_finish(struct hls *h, struct error *err)
{
    const struct hls_track *tracks[WRITER_TRACKS_MAX];
    int rc = 0;
    for (int i = 0; rc == 0 && i < h->count; i++) {
        struct rendition *r = &h->renditions[i];
        r->track.stream = mux_format(r->mux)->streams[0];
        tracks[i] = &r->track;
        if (!r->cues)
            rc = finish_segments(h, r, err);
    }
    for (int i = 0; rc == 0 && i < h->count; i++)
        if (h->renditions[i].cues)
            rc = finish_text(h, &h->renditions[i], err);
    if (rc == 0)
        rc = write_playlists(h, tracks, err);
    for (int i = 0; rc == 0 && i < h->count; i++)
        if (!h->renditions[i].cues && !hls_track_is_empty(tracks[i]))
            rc = mux_finish(h->renditions[i].mux, err);
    if (rc == 0)
        rc = place_sync(h->folder, err);
    return rc == 0 && h->master ? place_sync(h->master, err) : rc;
}

void hls_reading_path(const struct hls *h, char *ret, size_t size)
{
    place_reading_path(h->folder, ret, size);
}

int hls_check(const struct hls *h, struct error *err)
{
    const int rc = h->master ? place_check(h->master, err) : 0;
    return rc == 0 ? place_check(h->folder, err) : rc;
}

int hls_place(struct hls *h, struct error *err)
{
    int rc = hls_check(h, err);
    if (rc == 0)
        rc = place_commit(h->folder, err);
    if (rc == 0 && h->master)
        rc = place_commit(h->master, err);
    if (rc < 0)
        hls_withdraw(h);
    return rc;
}

void hls_withdraw(struct hls *h)
{
    if (h->master)
        place_withdraw(h->master);
    place_withdraw(h->folder);
}

void hls_close(struct hls **hls)
{
    struct hls *h = *hls;
    *hls = NULL;
    if (!h)
        return;
    for (int i = 0; i < h->count; i++) {
        struct rendition *r = &h->renditions[i];
        for (int k = 0; k < r->count; k++)
            av_packet_free(&at(r, k)->pkt);
        free(r->ring);
        mux_close(&r->mux);
        cues_free(&r->cues);
        if (r->fd >= 0)
            close(r->fd);
        hls_track_done(&r->track);
    }
    free(h->renditions);
    free(h->cuts_ns);
    free(h->prefix);
    free(h->path);
    place_close(&h->master);
    place_close(&h->folder);
    free(h);
}
