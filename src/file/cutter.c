/* A ring of packets and a small machine that looks at its front; events are made one at a time,
 * when they are asked for.
 *
 * Threads: none. Memory: the ring grows to what is held back and stays. Limits: see cutter.h. */
#include "file/cutter.h"

#include <stdlib.h>
#include <string.h>

#include "media/digest.h"

#define RING_MIN 64

struct item {
    struct packet pkt; /* owned */
    enum access_point access;
    int64_t ts; /* pts, or dts where there is none */
};

/* What is known of the pictures behind a point at the ring's front. */
struct window {
    int64_t ts;     /* that pictures are to come before */
    size_t scanned; /* items looked at, the point included; 0: nothing yet */
    int trailing;   /* of them, shown after the point */
    size_t leading; /* of them, up to and with the last leading picture; 0: none leads */
    int64_t ts_min;
};

enum window_state { WINDOW_MORE, WINDOW_DONE, WINDOW_JUMP };

enum phase { PHASE_SEARCH, PHASE_BEGIN, PHASE_STREAM, PHASE_TAIL, PHASE_DONE };

struct cutter {
    struct cutter_params params;
    int64_t segment_ticks;
    struct item *ring;
    size_t capacity, head, count, bytes;
    bool finished;
    enum phase phase;
    struct window window;
    int64_t ts_max; /* over all packets that left the ring */
    uint32_t segment;
    int64_t start;                /* of the current segment's window */
    int64_t point;                /* that it was cut for: at `start` or shortly before it */
    int64_t end;                  /* PHASE_TAIL: where the window ends */
    size_t tail_next, tail_count; /* PHASE_TAIL: packets given and to give */
    size_t repeated;              /* front items that the segment before had as its tail */
    bool last;                    /* PHASE_TAIL: no segment follows */
    int past_end;                 /* packets since the last one that the film's window shows */
    int64_t frames;
    uint64_t digest;
    int64_t lost, head_lost;
    /* What renditions keep: frames are counted in the order in which they are shown. */
    struct rate_mark mark, begin_mark, joint_mark;
    int64_t pending[CUTTER_REORDER_MAX + 1]; /* have left the ring, not counted yet; ascending */
    int pending_count;
};

static struct item *ring_at(const struct cutter *c, size_t i)
{
    return &c->ring[(c->head + i) & (c->capacity - 1)];
}

static int ring_grow(struct cutter *c)
{
    const size_t capacity = c->capacity ? c->capacity * 2 : RING_MIN;
    struct item *ring = calloc(capacity, sizeof(*ring));
    if (!ring)
        return RGPU_ERROR_MEMORY;
    for (size_t i = 0; i < c->count; i++)
        ring[i] = *ring_at(c, i);
    free(c->ring);
    c->ring = ring;
    c->capacity = capacity;
    c->head = 0;
    return 0;
}

static struct item ring_pop(struct cutter *c)
{
    struct item item = *ring_at(c, 0);
    *ring_at(c, 0) = (struct item){0};
    c->head = (c->head + 1) & (c->capacity - 1);
    c->count--;
    c->bytes -= item.pkt.size;
    c->window = (struct window){0};
    if (item.ts != PTS_NONE && item.ts > c->ts_max)
        c->ts_max = item.ts;
    return item;
}

static void ring_clear(struct cutter *c)
{
    while (c->count) {
        struct item item = ring_pop(c);
        packet_done(&item.pkt);
    }
}

int cutter_new(struct cutter **ret, const struct cutter_params *params)
{
    if (params->time_base.num <= 0 || params->time_base.den <= 0)
        return RGPU_ERROR_PARAM;
    struct cutter *c = calloc(1, sizeof(*c));
    if (!c)
        return RGPU_ERROR_MEMORY;
    c->params = *params;
    if (params->segment_us > 0)
        c->segment_ticks = rational_rescale(params->segment_us, (struct rational){1, 1000000},
                                            params->time_base, ROUND_UP);
    c->ts_max = INT64_MIN;
    *ret = c;
    return 0;
}

void cutter_free(struct cutter **c)
{
    if (!*c)
        return;
    ring_clear(*c);
    free((*c)->ring);
    free(*c);
    *c = NULL;
}

int64_t cutter_lost_count(const struct cutter *c)
{
    return c->lost;
}

int64_t cutter_head_lost_count(const struct cutter *c)
{
    return c->head_lost;
}

int cutter_push(struct cutter *c, struct packet *pkt, enum access_point access)
{
    if (c->phase == PHASE_DONE || c->finished) {
        packet_done(pkt);
        return 0;
    }
    if (c->count == c->capacity && ring_grow(c) < 0) {
        packet_done(pkt);
        return RGPU_ERROR_MEMORY;
    }
    const int64_t ts = pkt->pts != PTS_NONE ? pkt->pts : pkt->dts;
    c->bytes += pkt->size;
    *ring_at(c, c->count++) = (struct item){.pkt = packet_move(pkt), .access = access, .ts = ts};
    return 0;
}

int cutter_finish(struct cutter *c)
{
    c->finished = true;
    return 0;
}

/* Whether the packet is a frame of its own that the film's window shows. */
static bool is_shown(const struct cutter *c, const struct item *item)
{
    if (item->pkt.flags & (PACKET_DISCARD | PACKET_SECOND_FIELD))
        return false;
    if (c->params.start_pts != PTS_NONE && item->ts < c->params.start_pts)
        return false;
    return c->params.end_pts == PTS_NONE || item->ts < c->params.end_pts;
}

/* Leading pictures come before so many others. */
static void count_lost(struct cutter *c)
{
    c->lost++;
    c->head_lost += c->segment == 0 && c->frames < CUTTER_REORDER_MAX;
}

static void count_frame(struct cutter *c, const struct item *item)
{
    c->frames++;
    c->digest = pts_digest_add(c->digest, item->ts);
}

/* Of so many pictures that are decoded one after the other, the first one shown comes before all
 * that follow. */
static void count_kept(struct cutter *c, int64_t ts)
{
    int at = c->pending_count++;
    for (; at > 0 && c->pending[at - 1] > ts; at--)
        c->pending[at] = c->pending[at - 1];
    c->pending[at] = ts;
    if (c->pending_count <= CUTTER_REORDER_MAX)
        return;
    rate_cap_next(&c->params.cap, &c->mark, c->pending[0]);
    memmove(c->pending, c->pending + 1, (size_t)--c->pending_count * sizeof(c->pending[0]));
}

/* Looks for pictures behind the ring's front that are shown before `ts`: the leading pictures of a
 * point, or the last ones of the film's window. */
static enum window_state window_scan(struct cutter *c, int64_t ts)
{
    struct window *w = &c->window;
    const int trailing_max = c->params.no_reorder ? 1 : CUTTER_REORDER_MAX;
    if (!w->scanned || w->ts != ts)
        *w = (struct window){
            .ts = ts, .scanned = 1, .leading = ring_at(c, 0)->ts < ts, .ts_min = ts};
    if (c->params.no_reorder && !w->leading)
        return WINDOW_DONE;
    while (w->scanned < c->count && w->trailing < trailing_max) {
        if (w->scanned >= CUTTER_WINDOW_MAX)
            return WINDOW_JUMP;
        const struct item *item = ring_at(c, w->scanned);
        if (item->ts != PTS_NONE && item->ts < ts) {
            w->leading = w->scanned + 1;
            if (item->ts < w->ts_min)
                w->ts_min = item->ts;
        } else {
            w->trailing++;
        }
        w->scanned++;
    }
    if (w->trailing < trailing_max && !c->finished)
        return WINDOW_MORE;
    /* A leading first field takes its second one along, whatever that one's time stamp. */
    while (w->leading && w->leading < c->count &&
           ring_at(c, w->leading)->pkt.flags & PACKET_SECOND_FIELD)
        w->leading++;
    return WINDOW_DONE;
}

static void drop_front(struct cutter *c, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct item item = ring_pop(c);
        if (is_shown(c, &item)) {
            c->lost++;
            c->head_lost++;
        }
        packet_done(&item.pkt);
    }
}

/* Index of the first point held, or `count`. */
static size_t find_point(const struct cutter *c)
{
    size_t i = 0;
    while (i < c->count && (ring_at(c, i)->access == ACCESS_NONE || ring_at(c, i)->ts == PTS_NONE))
        i++;
    return i;
}

/* The film is to be shown from `start_pts` on only: drops whole groups before the last point that
 * serves. False: more packets are needed to tell. */
static bool skip_to_start(struct cutter *c, bool full)
{
    const int64_t start = c->params.start_pts;
    int64_t ts_max = c->ts_max;
    int past = 0;
    for (size_t i = 0; i < c->count && past < CUTTER_REORDER_MAX; i++) {
        const struct item *item = ring_at(c, i);
        if (item->ts == PTS_NONE)
            continue;
        if (i > 0 && item->access != ACCESS_NONE && item->ts > ts_max) {
            if (item->ts > start)
                return true;
            ts_max = item->ts;
            drop_front(c, i);
            i = 0;
            continue;
        }
        past += item->ts >= start;
        if (item->ts > ts_max)
            ts_max = item->ts;
    }
    return past >= CUTTER_REORDER_MAX || full;
}

static int64_t earliest(const struct cutter *c)
{
    int64_t ts = PTS_NONE;
    for (size_t i = 0; i < c->count; i++) {
        const int64_t other = ring_at(c, i)->ts;
        if (other != PTS_NONE && (ts == PTS_NONE || other < ts))
            ts = other;
    }
    return ts;
}

/* Finds where the first segment begins. False: more packets are needed. */
static bool search(struct cutter *c)
{
    const bool full =
        c->finished || c->count >= CUTTER_HEAD_MAX || c->bytes >= CUTTER_HEAD_BYTES_MAX;
    const size_t point = find_point(c);
    if (point == c->count) {
        if (!full)
            return false;
        c->start = earliest(c);
    } else {
        drop_front(c, point);
        if (c->params.start_pts != PTS_NONE && !skip_to_start(c, full))
            return false;
        c->start = ring_at(c, 0)->ts;
        if (ring_at(c, 0)->access == ACCESS_CLOSED) {
            const enum window_state state = window_scan(c, ring_at(c, 0)->ts);
            if (state == WINDOW_MORE)
                return false;
            if (state == WINDOW_DONE)
                c->start = c->window.ts_min;
        }
    }
    if (c->params.start_pts != PTS_NONE && c->start < c->params.start_pts)
        c->start = c->params.start_pts;
    c->point = c->start;
    return true;
}

static int compare_times(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* Frames that have not been counted yet, in the order of time: those that left the ring and those
 * at its front. */
static int frames_ahead(const struct cutter *c, int64_t *ret)
{
    int n = c->pending_count;
    memcpy(ret, c->pending, (size_t)n * sizeof(*ret));
    for (size_t i = 0; i < c->count && i < CUTTER_WINDOW_MAX; i++) {
        const struct item *item = ring_at(c, i);
        if (is_shown(c, item) && item->ts != PTS_NONE && item->ts >= c->start)
            ret[n++] = item->ts;
    }
    qsort(ret, (size_t)n, sizeof(*ret), compare_times);
    return n;
}

/* Whether a later point serves a joint at `ts` better than the one at the ring's front. */
static bool is_nearer_point(const struct cutter *c, int64_t ts)
{
    for (size_t i = 1; i < c->count && i < CUTTER_WINDOW_MAX; i++) {
        const struct item *item = ring_at(c, i);
        if (item->access != ACCESS_NONE && item->ts > ring_at(c, 0)->ts && item->ts <= ts &&
            !(item->pkt.flags & PACKET_DISCARD))
            return true;
    }
    return false;
}

/* Where the film is cut for the point at the ring's front. WINDOW_JUMP: nowhere. */
static enum window_state find_joint(struct cutter *c, int64_t *ret)
{
    const int64_t point = ring_at(c, 0)->ts;
    *ret = point;
    if (!c->params.cap.drops)
        return window_scan(c, point);
    int64_t times[CUTTER_REORDER_MAX + 1 + CUTTER_WINDOW_MAX];
    const int n = frames_ahead(c, times);
    struct rate_mark mark = c->mark;
    for (int i = 0; i < n; i++) {
        c->joint_mark = mark;
        const uint32_t kept = rate_cap_next(&c->params.cap, &mark, times[i]);
        if (times[i] < point || kept != rate_cap_all(&c->params.cap))
            continue;
        const enum window_state state = window_scan(c, times[i]);
        if (state != WINDOW_DONE)
            return state;
        if (times[i] > point && (c->params.joints_at_points || is_nearer_point(c, times[i])))
            return WINDOW_JUMP;
        *ret = times[i];
        return WINDOW_DONE;
    }
    return c->finished || c->count >= CUTTER_WINDOW_MAX ? WINDOW_JUMP : WINDOW_MORE;
}

/* Whether the film may and should be cut in front of the packet at the ring's front. */
static bool is_due(const struct cutter *c, const struct item *item)
{
    if (item->access == ACCESS_NONE || item->pkt.pts == PTS_NONE || item->ts <= c->ts_max)
        return false;
    if (c->params.segment_us < 0 || item->pkt.flags & PACKET_DISCARD || c->frames == 0)
        return false;
    int64_t due;
    if (__builtin_add_overflow(c->point, c->segment_ticks, &due))
        return false;
    return item->ts > c->start && item->ts >= due;
}

static void event_tail(struct cutter *c, struct cut_event *ret, int64_t end, size_t count,
                       bool last)
{
    c->phase = PHASE_TAIL;
    c->end = end;
    c->tail_next = 0;
    c->tail_count = count;
    c->last = last;
    *ret = (struct cut_event){.type = CUT_TAIL, .segment = c->segment, .pts = end};
}

static void event_begin(struct cutter *c, struct cut_event *ret)
{
    c->phase = PHASE_STREAM;
    c->frames = 0;
    c->digest = 0;
    *ret = (struct cut_event){
        .type = CUT_BEGIN,
        .segment = c->segment,
        .pts = c->start,
        .ordinal = ring_at(c, 0)->pkt.ordinal,
        .mark = c->begin_mark,
    };
}

/* Next packet of the tail, or the segment's end. */
static void event_from_tail(struct cutter *c, struct cut_event *ret)
{
    if (c->tail_next < c->tail_count) {
        const struct item *item = ring_at(c, c->tail_next++);
        if (is_shown(c, item) && item->ts < c->end) {
            if (item->ts >= c->start)
                count_frame(c, item);
            else if (c->tail_next > c->repeated)
                count_lost(c);
        }
        *ret = (struct cut_event){
            .type = CUT_PACKET, .segment = c->segment, .pkt = packet_share(&item->pkt)};
        return;
    }
    *ret = (struct cut_event){
        .type = CUT_END, .segment = c->segment, .frames = c->frames, .pts_digest = c->digest};
    if (c->last) {
        c->phase = PHASE_DONE;
        ring_clear(c);
        return;
    }
    c->segment++;
    c->start = c->end;
    c->point = ring_at(c, 0)->ts;
    c->repeated = c->tail_count;
    c->mark = c->begin_mark = c->joint_mark;
    c->pending_count = 0;
    c->phase = PHASE_BEGIN;
}

static void event_packet(struct cutter *c, struct cut_event *ret)
{
    struct item item = ring_pop(c);
    const bool repeated = c->repeated > 0;
    c->repeated -= repeated;
    if (is_shown(c, &item)) {
        if (item.ts >= c->start)
            count_frame(c, &item);
        else if (!repeated)
            count_lost(c);
        if (item.ts >= c->start && c->params.cap.drops)
            count_kept(c, item.ts);
    }
    const bool past = c->params.end_pts != PTS_NONE && item.ts >= c->params.end_pts;
    c->past_end = past ? c->past_end + 1 : 0;
    *ret = (struct cut_event){.type = CUT_PACKET, .segment = c->segment, .pkt = item.pkt};
}

/* In the middle of a segment. */
static int event_from_stream(struct cutter *c, struct cut_event *ret)
{
    const int64_t film_end = c->params.end_pts != PTS_NONE ? c->params.end_pts : INT64_MAX;
    if (c->past_end >= CUTTER_REORDER_MAX || (c->count == 0 && c->finished)) {
        event_tail(c, ret, film_end, 0, true);
        return 0;
    }
    if (c->count == 0)
        return RGPU_ERROR_AGAIN;
    const struct item *front = ring_at(c, 0);
    /* The end must be said before the first frame behind it is given. */
    const bool last = front->ts != PTS_NONE && front->ts >= film_end;
    if (last || is_due(c, front)) {
        int64_t end = film_end;
        const enum window_state state = last ? window_scan(c, end) : find_joint(c, &end);
        if (state == WINDOW_MORE)
            return RGPU_ERROR_AGAIN;
        if (state == WINDOW_DONE) {
            event_tail(c, ret, end, c->window.leading, last);
            return 0;
        }
    }
    event_packet(c, ret);
    return 0;
}

int cutter_next(struct cutter *c, struct cut_event *ret)
{
    switch (c->phase) {
    case PHASE_SEARCH:
        if (c->count == 0)
            return c->finished ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
        if (!search(c))
            return RGPU_ERROR_AGAIN;
        if (c->params.end_pts != PTS_NONE && c->start >= c->params.end_pts) {
            c->phase = PHASE_DONE;
            ring_clear(c);
            return RGPU_ERROR_END;
        }
        event_begin(c, ret);
        return 0;
    case PHASE_BEGIN:
        event_begin(c, ret);
        return 0;
    case PHASE_STREAM:
        return event_from_stream(c, ret);
    case PHASE_TAIL:
        event_from_tail(c, ret);
        return 0;
    case PHASE_DONE:
        return RGPU_ERROR_END;
    }
    return RGPU_ERROR_INTERNAL;
}
