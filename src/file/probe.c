/* Frames are counted by a cutter that never cuts, so that the number is what a job will show. */
#include "file/probe.h"

#include <stdlib.h>

#include <libavformat/avformat.h>

#include "file/cutter.h"

#define ORDER_MAX 64 /* more than pictures can be out of order (CUTTER_REORDER_MAX) */

static const struct rational MICROSECONDS = {1, 1000000};

/* Tells a constant rate from a variable one in display order: is there one distance d for which
 * every time stamp is within a tick of first + n * d? */
struct rhythm {
    int64_t held[ORDER_MAX]; /* min-heap: pictures whose turn has not come */
    int held_count;
    int64_t count, first, last;
    double low, high; /* bounds of d so far */
};

struct run {
    struct probe *ret;
    struct reader *reader;
    const struct reader_track *track;
    struct cutter *cutter;
    struct rhythm rhythm;
    size_t capacity;  /* of ret->points */
    int64_t point_ts; /* of the last point; PTS_NONE: none yet */
    bool point_kept, any;
};

static void rhythm_next(struct rhythm *r, int64_t ts)
{
    if (r->count == 0)
        r->first = ts;
    else {
        const double n = (double)r->count, at = (double)ts - (double)r->first;
        const double low = (at - 1.0) / n, high = (at + 1.0) / n;
        if (r->count == 1 || low > r->low)
            r->low = low;
        if (r->count == 1 || high < r->high)
            r->high = high;
    }
    r->last = ts;
    r->count++;
}

static void heap_swap(int64_t *a, int64_t *b)
{
    const int64_t t = *a;
    *a = *b;
    *b = t;
}

static int64_t heap_pop(struct rhythm *r)
{
    const int64_t least = r->held[0];
    r->held[0] = r->held[--r->held_count];
    for (int i = 0;;) {
        int child = 2 * i + 1;
        if (child >= r->held_count)
            break;
        if (child + 1 < r->held_count && r->held[child + 1] < r->held[child])
            child++;
        if (r->held[i] <= r->held[child])
            break;
        heap_swap(&r->held[i], &r->held[child]);
        i = child;
    }
    return least;
}

static void rhythm_add(struct rhythm *r, int64_t ts)
{
    if (r->held_count == ORDER_MAX)
        rhythm_next(r, heap_pop(r));
    int i = r->held_count++;
    r->held[i] = ts;
    for (; i > 0 && r->held[(i - 1) / 2] > r->held[i]; i = (i - 1) / 2)
        heap_swap(&r->held[(i - 1) / 2], &r->held[i]);
}

static int64_t to_us(const struct run *run, int64_t ts)
{
    return rational_rescale(ts, run->track->time_base, MICROSECONDS, ROUND_NEAREST);
}

static void note_gap(struct run *run, int64_t ts)
{
    int64_t us;
    if (!__builtin_sub_overflow(to_us(run, ts), to_us(run, run->point_ts), &us) &&
        us > run->ret->gop_us_max)
        run->ret->gop_us_max = us;
}

static int add_point(struct run *run, const struct reader_packet *pkt, int64_t ts)
{
    struct probe *p = run->ret;
    if (run->point_ts != PTS_NONE)
        note_gap(run, ts);
    run->point_ts = ts;
    run->point_kept = p->points_count < PROBE_POINTS_MAX;
    if (run->point_kept) {
        if ((size_t)p->points_count == run->capacity) {
            const size_t capacity = run->capacity ? run->capacity * 2 : 64;
            struct probe_point *points = realloc(p->points, capacity * sizeof(*points));
            if (!points)
                return RGPU_ERROR_MEMORY;
            p->points = points;
            run->capacity = capacity;
        }
        p->points[p->points_count] = (struct probe_point){
            .pts_us = to_us(run, ts), .access = pkt->access, .ordinal = pkt->video.ordinal};
    }
    p->points_count++;
    return 0;
}

static void drain(struct run *run)
{
    struct cut_event event;
    while (cutter_next(run->cutter, &event) == 0) {
        if (event.type == CUT_END)
            run->ret->frames += event.frames;
        packet_done(&event.pkt);
    }
}

static int add_packet(struct run *run, struct reader_packet *pkt)
{
    struct probe *p = run->ret;
    const uint32_t flags = pkt->video.flags;
    const int64_t ts = pkt->video.pts != PTS_NONE ? pkt->video.pts : pkt->video.dts;
    if (!run->any && pkt->access == ACCESS_NONE)
        p->starts_without_key = true;
    run->any = true;
    if (flags & PACKET_SECOND_FIELD)
        p->interlaced = true;
    if (pkt->av->flags & AV_PKT_FLAG_DISCARD)
        p->has_edit_list = true;
    if (pkt->access != ACCESS_NONE && add_point(run, pkt, ts) < 0)
        return RGPU_ERROR_MEMORY;
    if (run->point_ts != PTS_NONE && !(flags & (PACKET_SECOND_FIELD | PACKET_DISCARD))) {
        if (ts < run->point_ts) {
            if (run->point_kept)
                p->points[p->points_count - 1].leading++;
            p->open_gop |= run->point_kept && p->points[p->points_count - 1].access == ACCESS_OPEN;
        }
        rhythm_add(&run->rhythm, ts);
    }
    const int rc = cutter_push(run->cutter, &pkt->video, pkt->access);
    drain(run);
    return rc;
}

/* What the track's description says already. */
static void describe(struct run *run)
{
    struct probe *p = run->ret;
    const struct reader_track *t = run->track;
    p->interlaced |=
        t->video.field_order == FIELD_TOP_FIRST || t->video.field_order == FIELD_BOTTOM_FIRST;
    p->hdr10 = t->video.hdr.has_mastering || t->video.hdr.has_light_level;
    p->hdr10_plus = t->hdr10_plus;
    p->dolby_vision = t->dolby_vision;
    p->rotated = t->rotation_degrees != 0;
}

static void conclude(struct run *run)
{
    struct rhythm *r = &run->rhythm;
    struct probe *p = run->ret;
    while (r->held_count)
        rhythm_next(r, heap_pop(r));
    if (r->count > 1 && r->last > r->first) {
        const struct rational tb = run->track->time_base;
        const struct rational nominal = run->track->video.frame_rate;
        const double tick = rational_double(tb);
        const double frame = nominal.num ? 1.0 / (rational_double(nominal) * tick) : -1.0;
        p->variable_rate = r->low > r->high;
        if (r->low <= frame && frame <= r->high) {
            p->frame_rate_average = nominal;
        } else {
            const double span = ((double)r->last - (double)r->first) * tick;
            const AVRational q = av_d2q((double)(r->count - 1) / span, 1 << 20);
            p->frame_rate_average = (struct rational){q.num, q.den};
        }
    }
    if (run->point_ts != PTS_NONE)
        note_gap(run, r->count ? r->last : run->point_ts);
}

static int read_all(struct run *run, bool (*progress)(void *opaque, int64_t pts_us), void *opaque,
                    struct error *err)
{
    for (;;) {
        struct reader_packet pkt;
        int rc = reader_next(run->reader, &pkt, err);
        if (rc < 0)
            return rc == RGPU_ERROR_END ? 0 : rc;
        bool more = true;
        if (run->track && pkt.track == run->track->index) {
            const int64_t ts = pkt.video.pts != PTS_NONE ? pkt.video.pts : pkt.video.dts;
            more = !progress || progress(opaque, to_us(run, ts));
            rc = add_packet(run, &pkt);
        }
        reader_packet_done(&pkt);
        if (rc < 0)
            return error_memory(err, "probing");
        if (!more)
            return error_set(err, RGPU_ERROR_CANCELLED, "probing was cancelled");
    }
}

int probe_run(struct reader *r, struct probe *ret, bool (*progress)(void *opaque, int64_t pts_us),
              void *opaque, struct error *err)
{
    struct probe p = {.duration_us = reader_duration_us(r),
                      .timestamps_by_order = reader_timestamps_by_order(r)};
    struct run run = {.ret = &p, .reader = r, .track = reader_video(r), .point_ts = PTS_NONE};
    int rc = 0;
    if (run.track) {
        describe(&run);
        const struct cutter_params params = {.time_base = run.track->time_base,
                                             .segment_us = -1,
                                             .start_pts = PTS_NONE,
                                             .end_pts = PTS_NONE,
                                             .no_reorder = !run.track->may_reorder};
        rc = cutter_new(&run.cutter, &params);
        if (rc < 0)
            rc = error_set(err, rc, "no time base for the video track");
    }
    if (rc == 0)
        rc = read_all(&run, progress, opaque, err);
    if (rc == 0 && run.cutter) {
        cutter_finish(run.cutter);
        drain(&run);
        conclude(&run);
    }
    cutter_free(&run.cutter);
    p.damaged = reader_damaged_count(r);
    if (rc == 0 && reader_jumps_count(r))
        p.duration_us = reader_duration_us(r);
    if (rc < 0) {
        probe_done(&p);
        return rc;
    }
    *ret = p;
    return 0;
}

void probe_done(struct probe *p)
{
    free(p->points);
    *p = (struct probe){0};
}
