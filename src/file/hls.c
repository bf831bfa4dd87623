#include "file/hls.h"

#include <errno.h>
#include <libavcodec/packet.h>
#include <libavformat/avformat.h>
#include <libavutil/mathematics.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "file/hls_playlist.h"
#include "file/output.h"
#include "file/place.h"

/* Times are compared in nanoseconds: equal times of different time bases come out equal, and no
 * two different ones do. */
static const AVRational ns = {1, 1000000000};
#define NEVER INT64_MAX

struct entry {
    AVPacket *pkt; /* owned */
    int64_t pts_ns;
};

struct rendition {
    struct hls_track track; /* name, language, segments: what playlists say */
    struct mux *mux;        /* owned */
    bool reference;         /* takes part in deciding where to cut */
    bool ended;
    struct entry *ring; /* owned; packets that wait for a decision, or for the next one */
    int capacity, head, count;
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
    int64_t *cuts_ns;            /* owned */
    int cuts_count, cuts_capacity;
    int64_t bytes; /* of complete files */
    bool trimmed;
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
        return h->prefix ? place_folder(&h->folder, params->path, params->overwrite, err)
                         : error_memory(err, params->path);
    }
    const size_t end = n > 5 && strcasecmp(params->path + n - 5, ".m3u8") == 0 ? n - 5 : n;
    char *folder = strndup(params->path, end);
    if (!folder)
        return error_memory(err, params->path);
    const char *slash = strrchr(folder, '/');
    int rc = asprintf(&h->prefix, "%s/", slash ? slash + 1 : folder) < 0
                 ? error_memory(err, params->path)
                 : place_file(&h->master, params->path, params->overwrite, params->input, err);
    if (rc == 0)
        rc = place_folder(&h->folder, folder, params->overwrite, err);
    free(folder);
    return rc;
}

int hls_open(struct hls **ret, const struct hls_params *params, struct error *err)
{
    struct hls *h = calloc(1, sizeof(*h));
    if (!h)
        return error_memory(err, params->path);
    h->start_ns = NEVER;
    h->target_ns = (params->segment_us > 0 ? params->segment_us : HLS_TARGET_US) * 1000;
    h->trimmed = params->trimmed;
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
    *r = (struct rendition){.fd = -1, .begin_ns = NEVER, .frontier_ns = INT64_MIN};
    r->track.video = params->video;
    r->track.is_default = params->is_default;
    snprintf(r->track.title, sizeof(r->track.title), "%s", params->title);
    snprintf(r->track.language, sizeof(r->track.language), "%s", params->language);
    folder_name(h, params->name, params->video ? "video" : "audio", r->track.folder,
                sizeof(r->track.folder));
    const struct mux_params mux = {
        .container = CONTAINER_HLS, .path = h->path, .fd = -1, .trimmed = h->trimmed};
    const int rc = mux_open(&r->mux, &mux, err);
    if (rc < 0)
        return rc;
    *ret = h->count++;
    return 0;
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
    bool video = false;
    for (int i = 0; i < h->count; i++)
        video |= h->renditions[i].track.video;
    for (int i = 0; i < h->count; i++) {
        struct rendition *r = &h->renditions[i];
        r->reference = r->track.video || (!video && i == 0);
        int rc = change_file(h, r, "init.mp4", err);
        if (rc == 0)
            rc = mux_start(r->mux, later_us, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int open_segment(struct hls *h, struct rendition *r, struct error *err)
{
    if (!r->header_written) {
        const int rc = mux_fragment(r->mux, err);
        if (rc < 0)
            return rc;
        r->header_written = true;
    }
    char name[32];
    snprintf(name, sizeof(name), "seg_%05d.m4s", r->track.segments_count + 1);
    const int rc = change_file(h, r, name, err);
    if (rc < 0)
        return rc;
    /* Segment type box: CMAF wants one in front of each segment. */
    static const uint8_t styp[] = {0, 0, 0, 24, 's', 't', 'y', 'p', 'm', 's', 'd', 'h',
                                   0, 0, 0, 0,  'm', 's', 'd', 'h', 'm', 's', 'i', 'x'};
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
    if (rc == 0)
        rc = hls_track_segment(&r->track, r->begin_ns, end_ns, bytes, err);
    r->in_segment = false;
    r->begin_ns = NEVER;
    return rc;
}

/* ---- queues --------------------------------------------------------------------------------- */

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
    if (r->begin_ns == NEVER)
        r->begin_ns = r->end_ns = e.pts_ns;
    r->begin_ns = e.pts_ns < r->begin_ns ? e.pts_ns : r->begin_ns;
    r->end_ns = shown > r->end_ns ? shown : r->end_ns;
    r->piece_bytes += e.pkt->size;
    int rc = mux_write(r->mux, 0, e.pkt, err);
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

static bool is_key(const struct entry *e)
{
    return e->pkt->flags & AV_PKT_FLAG_KEY;
}

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

/* Writes other packets (audio) of times before `until_ns`, with the cuts between them. */
static int drain_other(struct hls *h, struct rendition *r, int64_t until_ns, struct error *err)
{
    while (r->count > 0) {
        const int64_t pts = at(r, 0)->pts_ns;
        const bool known = r->next_cut < h->cuts_count;
        int rc;
        if (known && pts >= h->cuts_ns[r->next_cut]) {
            r->next_cut++;
            rc = end_segment(h, r, pts, err);
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

static int pump(struct hls *h, struct error *err)
{
    int64_t until_ns = 0;
    while (decide(h, &until_ns)) {
        const int rc = cut(h, until_ns, err);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < h->count; i++) {
        struct rendition *r = &h->renditions[i];
        const int rc =
            r->reference ? drain_reference(h, r, until_ns, err) : drain_other(h, r, until_ns, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int hls_write(struct hls *h, int rendition, AVPacket *pkt, struct error *err)
{
    struct rendition *r = &h->renditions[rendition];
    const int rc = push(r, pkt, err);
    if (rc < 0)
        return rc;
    if (r->reference && h->cuts_count == 0) {
        const int64_t pts = at(r, r->count - 1)->pts_ns;
        h->start_ns = pts < h->start_ns ? pts : h->start_ns;
    }
    return pump(h, err);
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

static int write_file(int fd, const char *path, const struct text *text, struct error *err)
{
    for (size_t done = 0; done < text->size;) {
        const ssize_t n = pwrite(fd, text->data + done, text->size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return output_errno(n < 0 ? errno : EIO, path, err);
        done += (size_t)n;
    }
    return 0;
}

static int write_playlist(struct hls *h, const char *name, const struct text *text,
                          struct error *err)
{
    int fd;
    int rc = place_create(h->folder, name, &fd, err);
    if (rc < 0)
        return rc;
    rc = write_file(fd, h->path, text, err);
    close(fd);
    h->bytes += (int64_t)text->size;
    return rc;
}

static int finish_rendition(struct hls *h, struct rendition *r, struct error *err)
{
    int rc = end_segment(h, r, r->end_ns, err);
    if (rc == 0 && !r->header_written)
        rc = mux_fragment(r->mux, err);
    if (rc == 0)
        rc = change_file(h, r, NULL, err);
    if (rc < 0)
        return rc;
    struct text text = {0};
    char name[80];
    snprintf(name, sizeof(name), "%s/index.m3u8", r->track.folder);
    rc = hls_write_media(&r->track, &text, err);
    if (rc == 0)
        rc = write_playlist(h, name, &text, err);
    text_done(&text);
    return rc;
}

int hls_finish(struct hls *h, struct error *err)
{
    const struct hls_track *tracks[WRITER_TRACKS_MAX];
    for (int i = 0; i < h->count; i++) {
        struct rendition *r = &h->renditions[i];
        r->track.stream = mux_format(r->mux)->streams[0];
        const int rc = finish_rendition(h, r, err);
        if (rc < 0)
            return rc;
        tracks[i] = &r->track;
    }
    struct text text = {0};
    int rc = hls_write_master(tracks, h->count, h->prefix, h->target_ns, &text, err);
    if (rc == 0)
        rc = h->master ? write_file(place_fd(h->master), h->path, &text, err)
                       : write_playlist(h, "master.m3u8", &text, err);
    text_done(&text);
    for (int i = 0; rc == 0 && i < h->count; i++)
        rc = mux_finish(h->renditions[i].mux, err);
    if (rc == 0)
        rc = place_sync(h->folder, err);
    return rc == 0 && h->master ? place_sync(h->master, err) : rc;
}

int hls_place(struct hls *h, struct error *err)
{
    int rc = place_commit(h->folder, err);
    if (rc == 0 && h->master) {
        rc = place_commit(h->master, err);
        if (rc < 0)
            place_revert(h->folder);
    }
    return rc;
}

void hls_unplace(struct hls *h)
{
    if (h->master)
        place_revert(h->master);
    place_revert(h->folder);
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
