/* Cuts a film's packets into segments at random-access points, as they come: no index is needed
 * beforehand, and nothing grows with the length of the film.
 *
 * A segment is [K_i .. K_{i+1} and its leading pictures] in decode order; it shows the frames with
 * pts(K_i) <= pts < pts(K_{i+1}). A point is cut at only when all packets before it in decode order
 * come before it in time, which is verified, not believed. Leading pictures are found by pts: at
 * most CUTTER_REORDER_MAX pictures that are shown after a point lie between it and its last leading
 * picture (a decoded picture buffer holds 16 frames, or 32 fields), so once so many have come, all
 * leading pictures have. A point with more than CUTTER_WINDOW_MAX packets in that window is none,
 * but a jump back in time: the film is not cut there.
 *
 * Where renditions drop frames, a segment should begin with a frame that all of them keep: their
 * key frames are at the same times, and none has a frame more because the film is cut. So the
 * segment shows the frames from the first such one at or after K on, and the segment before it goes
 * on up to there, past K. Where that frame does not come within CUTTER_WINDOW_MAX packets the film
 * is not cut.
 *
 * The first segment begins at the film's first point. What comes before it cannot be decoded right
 * and is left out, and so are the leading pictures of a first point that is open: their references
 * are missing. A film without any point is one segment with all its packets.
 *
 * Threads: none; pure but for memory. Memory: holds up to a window of packets; before the first
 * segment up to CUTTER_HEAD_MAX packets of CUTTER_HEAD_BYTES_MAX bytes together.
 * Source: H.264 C.4.5.3, H.265 C.5.2.2 (bumping) for the bound. */
#ifndef FILE_CUTTER_H
#define FILE_CUTTER_H

#include "file/reader.h"
#include "media/rate_cap.h"

#define CUTTER_REORDER_MAX 34
#define CUTTER_WINDOW_MAX 512
#define CUTTER_HEAD_MAX 2048
#define CUTTER_HEAD_BYTES_MAX (64 << 20)

struct cutter_params {
    struct rational time_base;
    int64_t segment_us;         /* cut at the first point at or after so long; 0: at every point;
                                 * negative: never */
    int64_t start_pts, end_pts; /* shown window of the whole film; PTS_NONE: all */
    struct rate_cap cap;        /* what renditions drop; zero: nothing */
    bool joints_at_points;      /* the source's own packets are a rendition too: cut only at points
                                 * that all renditions keep, so that it has its key frame there */
    bool no_reorder;            /* the codec cannot show pictures in another order than it codes
                                 * them: no point has leading pictures and nothing is held back */
};

enum cut_event_type {
    CUT_BEGIN,  /* `segment`, `pts` = start of its window, `ordinal` = first packet, `mark` = in
                 * front of its first frame */
    CUT_PACKET, /* `pkt` */
    CUT_TAIL,   /* `pts` = end of the window, INT64_MAX for the last one; comes with
                 * every segment. The packets that follow belong to the next segment
                 * too, but this one's last frames need them */
    CUT_END,    /* `frames`, `pts_digest`: what the segment must show */
};

struct cut_event {
    enum cut_event_type type;
    uint32_t segment; /* from 0 */
    int64_t pts;
    uint64_t ordinal;
    struct rate_mark mark;
    struct packet pkt;   /* owned */
    int64_t frames;      /* expected: packets within the window that are to be shown; a second
                          * field counts with its first */
    uint64_t pts_digest; /* media/digest.h */
};

struct cutter;
int cutter_new(struct cutter **ret, const struct cutter_params *params);

/* Takes the next packet in decode order (moved, also on error). MEMORY, or 0. */
int cutter_push(struct cutter *c, struct packet *pkt, enum access_point access);

/* No more packets: what is held comes out. */
int cutter_finish(struct cutter *c);

/* Next event. RGPU_ERROR_AGAIN: push more. RGPU_ERROR_END: all is out. The CUT_PACKET events
 * between CUT_TAIL and CUT_END come again after the next CUT_BEGIN, with shared payloads. */
int cutter_next(struct cutter *c, struct cut_event *ret);

/* Frames of the shown window that no segment shows, so far: they came before the first point, were
 * leading pictures of an open first point, or came later than their segment (broken time stamps).
 */
int64_t cutter_lost_count(const struct cutter *c);

/* Of them, those at the head of the film: before its first point, or its leading pictures. */
int64_t cutter_head_lost_count(const struct cutter *c);

/* Takes NULL, writes NULL. */
void cutter_free(struct cutter **c);

#endif
