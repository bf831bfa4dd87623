/* The cutter against made-up films: each packet knows what it refers to, so a test can tell whether
 * a segment holds all that its frames need, and each frame must be shown once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file/cutter.h"
#include "media/digest.h"

#define FILM_MAX 4096
#define REFS_MAX 4
#define SEGMENTS_MAX FILM_MAX

static const struct rational TIME_BASE = {1, 90000};

struct picture {
    int64_t pts, dts;
    uint32_t flags;
    enum access_point access;
    int refs[REFS_MAX], refs_count; /* indices in decode order; -1: nowhere in the film */
    int display;
};

struct film {
    struct picture p[FILM_MAX];
    int count;
};

struct segment {
    int64_t start, end, frames;
    uint64_t digest;
    int first, last; /* packets, inclusive */
    int tail_first;  /* first packet of the tail, or last + 1 */
    struct rate_mark mark;
};

struct result {
    struct segment s[SEGMENTS_MAX];
    int count;
    int64_t lost, head_lost;
    int held_max; /* most packets inside after begin, with all events taken */
};

static uint64_t random_state, random_seed;

static uint32_t random_next(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33);
}

static int random_below(int n)
{
    return (int)(random_next() % (uint32_t)n);
}

static bool chance(int percent)
{
    return random_below(100) < percent;
}

/* ---- films ---------------------------------------------------------------------------------- */

static int film_add(struct film *f, int display, int ref_a, int ref_b, bool refs)
{
    struct picture *p = &f->p[f->count];
    *p = (struct picture){.display = display};
    if (refs) {
        p->refs[p->refs_count++] = ref_a;
        p->refs[p->refs_count++] = ref_b;
    }
    return f->count++;
}

/* B pictures shown between `a` and `b`, both coded already. */
static void film_add_between(struct film *f, int display, int count, int a, int b, bool pyramid)
{
    if (count <= 0)
        return;
    if (!pyramid) {
        for (int i = 0; i < count; i++)
            film_add(f, display + i, a, b, true);
        return;
    }
    const int middle = count / 2;
    const int m = film_add(f, display + middle, a, b, true);
    film_add_between(f, display, middle, a, m, true);
    film_add_between(f, display + middle + 1, count - middle - 1, m, b, true);
}

struct film_options {
    bool fields, variable, discard, no_reorder;
};

/* Turns display numbers into time stamps. */
static void film_time(struct film *f, const struct film_options *o, int displays)
{
    int64_t *at = calloc((size_t)displays + 1, sizeof(*at));
    assert_non_null(at);
    int64_t t = (int64_t)random_below(400000) - 200000;
    for (int i = 0; i <= displays; i++) {
        at[i] = t;
        t += o->variable ? 2 + random_below(9000) : 3003;
    }
    for (int i = 0; i < f->count; i++) {
        struct picture *p = &f->p[i];
        p->pts = at[p->display];
        p->dts = at[0] - 20000 + i;
        if (p->flags & PACKET_SECOND_FIELD)
            p->pts += chance(50) ? (at[p->display + 1] - at[p->display]) / 2 : 1;
    }
    free(at);
}

/* Splits some pictures into two fields; indices move. */
static void film_split_fields(struct film *f)
{
    struct film *g = calloc(1, sizeof(*g));
    int map[FILM_MAX];
    assert_non_null(g);
    for (int i = 0; i < f->count && g->count + 2 < FILM_MAX; i++) {
        struct picture p = f->p[i];
        for (int k = 0; k < p.refs_count; k++)
            p.refs[k] = p.refs[k] < 0 ? -1 : map[p.refs[k]];
        map[i] = g->count;
        g->p[g->count++] = p;
        if (chance(80)) {
            p.flags = PACKET_SECOND_FIELD;
            p.access = ACCESS_NONE;
            p.refs[0] = g->count - 1;
            p.refs_count = 1;
            map[i] = g->count; /* who refers to the frame needs both fields */
            g->p[g->count++] = p;
        }
    }
    *f = *g;
    free(g);
}

static void film_make(struct film *f, const struct film_options *o)
{
    f->count = 0;
    int display = 0, anchor = -1;
    const int gops = 1 + random_below(12);
    const bool pyramid = chance(50), flat_long = chance(20);
    const int b_max = o->no_reorder ? 0 : flat_long ? 60 : random_below(17);
    for (int g = 0; g < gops && f->count < FILM_MAX / 2 - 200; g++) {
        const bool closed = chance(50);
        const int leading = b_max ? random_below(b_max + 1) : 0;
        const int point = film_add(f, display + leading, 0, 0, false);
        f->p[point].access = closed ? ACCESS_CLOSED : ACCESS_OPEN;
        film_add_between(f, display, leading, closed ? point : anchor, point, pyramid);
        display += leading + 1;
        anchor = point;
        for (int m = random_below(8); m > 0; m--) {
            const int b = b_max ? random_below(b_max + 1) : 0;
            const int p = film_add(f, display + b, anchor, anchor, true);
            film_add_between(f, display, b, anchor, p, pyramid);
            display += b + 1;
            anchor = p;
        }
    }
    if (o->fields)
        film_split_fields(f);
    film_time(f, o, display);
    if (o->discard) {
        const int n = random_below(10);
        for (int i = 0; i < n && i < f->count; i++)
            f->p[i].flags |= f->p[i].flags & PACKET_SECOND_FIELD ? 0 : PACKET_DISCARD;
    }
}

/* Takes the first packets away: what refers to them can no longer be decoded. */
static void film_behead(struct film *f, int count)
{
    for (int i = count; i < f->count; i++) {
        struct picture *p = &f->p[i];
        for (int k = 0; k < p->refs_count; k++)
            p->refs[k] = p->refs[k] < count ? -1 : p->refs[k] - count;
        f->p[i - count] = *p;
    }
    f->count -= count;
}

/* ---- running -------------------------------------------------------------------------------- */

static void take_event(const struct film *f, struct result *r, struct cut_event *e, int *state)
{
    struct segment *s = &r->s[e->segment];
    switch (e->type) {
    case CUT_BEGIN:
        assert_int_equal(*state, 0);
        assert_int_equal(e->segment, r->count);
        assert_true(r->count < SEGMENTS_MAX);
        r->count++;
        *s = (struct segment){.start = e->pts,
                              .first = (int)e->ordinal,
                              .last = (int)e->ordinal - 1,
                              .mark = e->mark};
        *state = 1;
        break;
    case CUT_PACKET:
        assert_true(*state == 1 || *state == 2);
        assert_int_equal(e->segment, r->count - 1);
        assert_int_equal(e->pkt.ordinal, s->last + 1);
        assert_int_equal(e->pkt.pts, f->p[e->pkt.ordinal].pts);
        assert_int_equal(e->pkt.data[0], (uint8_t)e->pkt.ordinal);
        s->last++;
        packet_done(&e->pkt);
        break;
    case CUT_TAIL:
        assert_int_equal(*state, 1);
        s->end = e->pts;
        s->tail_first = s->last + 1;
        *state = 2;
        break;
    case CUT_END:
        assert_int_equal(*state, 2);
        s->frames = e->frames;
        s->digest = e->pts_digest;
        *state = 0;
        break;
    }
}

static void run(const struct film *f, const struct cutter_params *params, struct result *r)
{
    struct cutter *c = NULL;
    struct cut_event e;
    int state = 0, rc = RGPU_ERROR_AGAIN;
    memset(r, 0, sizeof(*r));
    assert_int_equal(cutter_new(&c, params), 0);
    for (int i = 0; i <= f->count; i++) {
        if (i < f->count) {
            const uint8_t byte = (uint8_t)i;
            struct packet pkt = {.buf = buffer_copy(&byte, 1),
                                 .size = 1,
                                 .ordinal = (uint64_t)i,
                                 .pts = f->p[i].pts,
                                 .dts = f->p[i].dts,
                                 .flags = f->p[i].flags};
            assert_non_null(pkt.buf);
            pkt.data = pkt.buf->data;
            assert_int_equal(cutter_push(c, &pkt, f->p[i].access), 0);
            assert_null(pkt.buf);
            if (chance(30))
                continue; /* events may be taken late */
        } else {
            assert_int_equal(cutter_finish(c), 0);
        }
        while ((rc = cutter_next(c, &e)) == 0)
            take_event(f, r, &e, &state);
        assert_true(rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END);
        if (r->count && rc == RGPU_ERROR_AGAIN) {
            const int held = i - r->s[r->count - 1].last;
            r->held_max = held > r->held_max ? held : r->held_max;
        }
    }
    assert_int_equal(rc, RGPU_ERROR_END);
    assert_int_equal(cutter_next(c, &e), RGPU_ERROR_END);
    assert_int_equal(state, 0);
    r->lost = cutter_lost_count(c);
    r->head_lost = cutter_head_lost_count(c);
    cutter_free(&c);
    assert_null(c);
}

/* ---- the reference -------------------------------------------------------------------------- */

/* Marks what can be decoded from packets first..last alone. */
static void decodable(const struct film *f, int first, int last, bool *ret)
{
    for (int i = 0; i < f->count; i++) {
        ret[i] = i >= first && i <= last;
        for (int k = 0; ret[i] && k < f->p[i].refs_count; k++)
            ret[i] = f->p[i].refs[k] >= first && ret[f->p[i].refs[k]];
    }
}

static bool wanted(const struct film *f, const struct cutter_params *params, int i)
{
    const struct picture *p = &f->p[i];
    return !(p->flags & (PACKET_DISCARD | PACKET_SECOND_FIELD)) &&
           (params->start_pts == PTS_NONE || p->pts >= params->start_pts) &&
           (params->end_pts == PTS_NONE || p->pts < params->end_pts);
}

/* Starts of segments as the rules say, with the whole film at hand. */
static int expected_starts(const struct film *f, const struct cutter_params *params, int64_t *ret)
{
    int first = -1, n = 0;
    int64_t max = INT64_MIN, start = 0;
    for (int i = 0; i < f->count; i++) {
        const struct picture *p = &f->p[i];
        if (p->access != ACCESS_NONE && first < 0) {
            first = i;
            start = p->pts;
            for (int k = i + 1; p->access == ACCESS_CLOSED && k < f->count; k++)
                start = f->p[k].pts < start ? f->p[k].pts : start;
            ret[n++] = start;
        } else if (p->access != ACCESS_NONE && p->pts > max && params->segment_us >= 0) {
            const int64_t due =
                start + rational_rescale(params->segment_us, (struct rational){1, 1000000},
                                         params->time_base, ROUND_UP);
            bool shown = false;
            for (int k = 0; k < f->count; k++)
                shown |= wanted(f, params, k) && f->p[k].pts >= start && k < i;
            if (shown && p->pts > start && p->pts >= due && !(p->flags & PACKET_DISCARD))
                ret[n++] = start = p->pts;
        }
        max = p->pts > max ? p->pts : max;
    }
    return n;
}

/* Everything that must hold of a result. */
static void check(const struct film *f, const struct cutter_params *params, const struct result *r)
{
    static bool in_film[FILM_MAX], in_segment[FILM_MAX];
    int shown[FILM_MAX] = {0};
    int64_t lost = 0;
    decodable(f, 0, f->count - 1, in_film);
    for (int s = 0; s < r->count; s++) {
        const struct segment *seg = &r->s[s];
        uint64_t digest = 0;
        int64_t frames = 0;
        assert_true(seg->start < seg->end);
        if (s + 1 < r->count) {
            assert_int_equal(seg->end, r->s[s + 1].start);
            assert_int_equal(seg->tail_first, r->s[s + 1].first);
            assert_true(f->p[r->s[s + 1].first].access != ACCESS_NONE);
        }
        decodable(f, seg->first, seg->last, in_segment);
        for (int i = 0; i < f->count; i++) {
            if (!wanted(f, params, i) || f->p[i].pts < seg->start || f->p[i].pts >= seg->end)
                continue;
            if (i < seg->first || i > seg->last)
                fail_msg("packet %d of segment %d is not in it", i, s);
            if (in_film[i] && !in_segment[i])
                fail_msg("packet %d of segment %d lacks a reference", i, s);
            shown[i]++;
            frames++;
            digest = pts_digest_add(digest, f->p[i].pts);
        }
        assert_int_equal(seg->frames, frames);
        assert_true(seg->digest == digest);
    }
    int first = 0;
    while (first < f->count && f->p[first].access == ACCESS_NONE)
        first++;
    for (int i = 0; i < f->count; i++) {
        if (!wanted(f, params, i))
            continue;
        if (in_film[i] && i >= first)
            assert_int_equal(shown[i], 1);
        assert_true(shown[i] <= 1);
        lost += shown[i] == 0;
    }
    if (r->count) { /* else reading stopped at the first point, behind the window */
        assert_int_equal(r->lost, lost);
        assert_int_equal(r->head_lost, lost);
    }
}

static struct film film;
static struct result result;

static void seed(uint64_t s)
{
    random_seed = s;
    random_state = s * 0x9e3779b97f4a7c15u + 1;
    random_next();
}

static void test_random_films(void **state)
{
    (void)state;
    for (int round = 0; round < 1500; round++) {
        seed((uint64_t)round);
        const struct film_options o = {.fields = chance(25),
                                       .variable = chance(50),
                                       .discard = chance(20),
                                       .no_reorder = chance(10)};
        film_make(&film, &o);
        if (chance(30))
            film_behead(&film, random_below(film.count < 40 ? film.count : 40));
        static const int64_t lengths[] = {0, -1, 1, 100000, 500000, 2000000, 3600000000};
        struct cutter_params params = {.time_base = TIME_BASE,
                                       .segment_us = lengths[random_below(7)],
                                       .start_pts = PTS_NONE,
                                       .end_pts = PTS_NONE,
                                       .no_reorder = o.no_reorder && chance(50)};
        run(&film, &params, &result);
        check(&film, &params, &result);
        assert_true(result.held_max <= CUTTER_WINDOW_MAX);
        int64_t starts[SEGMENTS_MAX];
        const int n = expected_starts(&film, &params, starts);
        if (n) {
            assert_int_equal(result.count, n);
            for (int i = 0; i < n; i++)
                assert_int_equal(result.s[i].start, starts[i]);
        }
    }
}

static int compare_times(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* What renditions keep is the same however the film is cut, and each segment begins with a frame
 * that all of them keep: at its first packet where `at_points`, or else no later than need be. */
static void check_caps(const struct film *f, const struct cutter_params *params,
                       const struct result *r)
{
    static int64_t times[FILM_MAX];
    struct rate_mark mark = {0};
    int n = 0, s = 0, common = 0;
    for (int i = 0; i < f->count; i++)
        if (wanted(f, params, i) && f->p[i].pts >= r->s[0].start)
            times[n++] = f->p[i].pts;
    qsort(times, (size_t)n, sizeof(times[0]), compare_times);
    for (int i = 0; i < n; i++) {
        const struct rate_mark before = mark;
        const bool all = rate_cap_next(&params->cap, &mark, times[i]) == rate_cap_all(&params->cap);
        const bool starts = s < r->count && times[i] >= r->s[s].start;
        if (starts) {
            const int64_t point = f->p[r->s[s].first].pts;
            assert_memory_equal(&before.number, &r->s[s].mark.number, sizeof(before.number));
            assert_true(before.begun == r->s[s].mark.begun);
            assert_int_equal(before.due.ticks, r->s[s].mark.due.ticks);
            assert_int_equal(before.due.fraction, r->s[s].mark.due.fraction);
            assert_true(all);
            if (s > 0 && params->joints_at_points)
                assert_int_equal(times[i], point);
            else if (s > 0)
                assert_true(i == 0 || times[i] == point || times[common] < point);
            s++;
        }
        common = all ? i : common;
    }
    assert_int_equal(s, n ? r->count : 0); /* a window may be empty */
}

static void test_caps(void **state)
{
    (void)state;
    static const struct rendition_params caps[] = {
        {.frame_rate_max = {15, 1}}, {.frame_rate_max = {10, 1}}, {.frame_rate_max = {3, 1}}};
    int cuts[2] = {0};
    for (int round = 0; round < 1500; round++) {
        seed(200000 + (uint64_t)round);
        const struct film_options o = {.fields = chance(25),
                                       .variable = chance(40),
                                       .discard = chance(20),
                                       .no_reorder = chance(20)};
        film_make(&film, &o);
        if (chance(30))
            film_behead(&film, random_below(film.count < 40 ? film.count : 40));
        static const int64_t lengths[] = {0, 1, 100000, 500000};
        struct cutter_params params = {.time_base = TIME_BASE,
                                       .segment_us = lengths[random_below(4)],
                                       .start_pts = PTS_NONE,
                                       .end_pts = PTS_NONE,
                                       .joints_at_points = chance(30),
                                       .no_reorder = o.no_reorder && chance(50)};
        if (chance(30))
            params.start_pts = film.p[random_below(film.count)].pts + random_below(3) - 1;
        if (chance(30))
            params.end_pts = film.p[film.count - 1 - random_below(film.count / 2 + 1)].pts;
        if (params.end_pts != PTS_NONE && params.end_pts <= params.start_pts)
            params.end_pts = params.start_pts + 1;
        const bool known = !o.variable || chance(50);
        rate_cap_init(&params.cap, TIME_BASE,
                      known ? (struct rational){30000, 1001} : (struct rational){0, 0},
                      caps + random_below(2), 1 + random_below(2));
        run(&film, &params, &result);
        check(&film, &params, &result);
        if (result.count)
            check_caps(&film, &params, &result);
        assert_true(result.held_max <= CUTTER_WINDOW_MAX + CUTTER_REORDER_MAX);
        cuts[params.joints_at_points] += result.count;
    }
    print_message("%d and %d segments\n", cuts[0], cuts[1]);
    assert_true(cuts[0] > 3000 && cuts[1] > 600);
}

static void test_windows(void **state)
{
    (void)state;
    for (int round = 0; round < 1000; round++) {
        seed(70000 + (uint64_t)round);
        const struct film_options o = {.fields = chance(25), .variable = chance(50)};
        film_make(&film, &o);
        const int64_t a = film.p[random_below(film.count)].pts + random_below(3) - 1;
        const int64_t b = film.p[random_below(film.count)].pts + random_below(3) - 1;
        struct cutter_params params = {.time_base = TIME_BASE,
                                       .segment_us = chance(50) ? 0 : 300000,
                                       .start_pts = chance(70) ? a : PTS_NONE,
                                       .end_pts = PTS_NONE};
        if (chance(70))
            params.end_pts = params.start_pts == PTS_NONE ? b : b > a ? b : a + 1;
        run(&film, &params, &result);
        check(&film, &params, &result);
        /* Groups that end before the window are not in any segment. */
        if (params.start_pts != PTS_NONE && result.count) {
            int64_t max = INT64_MIN;
            for (int i = 0; i < film.count; i++) {
                if (film.p[i].access != ACCESS_NONE && film.p[i].pts > max &&
                    film.p[i].pts <= params.start_pts)
                    assert_true(result.s[0].first >= i);
                max = film.p[i].pts > max ? film.p[i].pts : max;
            }
        }
    }
}

/* One point every `gop` frames, without reordering; `access` for each. */
static void film_plain(struct film *f, int count, int gop)
{
    memset(f, 0, sizeof(*f));
    f->count = count;
    for (int i = 0; i < count; i++) {
        f->p[i] = (struct picture){.pts = (int64_t)i * 3000, .dts = (int64_t)i * 3000};
        if (i % gop == 0) {
            f->p[i].access = ACCESS_CLOSED;
        } else {
            f->p[i].refs[0] = i - 1;
            f->p[i].refs_count = 1;
        }
    }
}

static void test_reading_stops_at_the_end(void **state)
{
    (void)state;
    film_plain(&film, 1000, 500);
    struct cutter *c = NULL;
    struct cut_event e;
    assert_int_equal(cutter_new(&c, &(struct cutter_params){.time_base = TIME_BASE,
                                                            .segment_us = -1,
                                                            .start_pts = PTS_NONE,
                                                            .end_pts = 30000}),
                     0);
    int i = 0, rc = RGPU_ERROR_AGAIN;
    for (; i < film.count && rc != RGPU_ERROR_END; i++) {
        struct packet pkt = {.pts = film.p[i].pts, .dts = film.p[i].dts, .ordinal = (uint64_t)i};
        assert_int_equal(cutter_push(c, &pkt, film.p[i].access), 0);
        while ((rc = cutter_next(c, &e)) == 0) {
            if (e.type == CUT_END)
                assert_int_equal(e.frames, 10);
            packet_done(&e.pkt);
        }
    }
    assert_int_equal(rc, RGPU_ERROR_END);
    assert_true(i <= 10 + CUTTER_REORDER_MAX + 1);
    /* What comes later is taken and dropped. */
    struct packet pkt = {.buf = buffer_copy("x", 1), .pts = 1};
    assert_int_equal(cutter_push(c, &pkt, ACCESS_CLOSED), 0);
    assert_int_equal(cutter_next(c, &e), RGPU_ERROR_END);
    cutter_free(&c);
}

static void test_point_that_is_none(void **state)
{
    (void)state;
    film_plain(&film, 60, 20);
    /* Packet 19 is shown after point 20, so 20 is no place to cut. */
    film.p[19].pts = film.p[22].pts + 1;
    const struct cutter_params params = {
        .time_base = TIME_BASE, .start_pts = PTS_NONE, .end_pts = PTS_NONE};
    run(&film, &params, &result);
    check(&film, &params, &result);
    assert_int_equal(result.count, 2);
    assert_int_equal(result.s[1].start, film.p[40].pts);
    /* Nor is it where to begin, though what is wanted comes after it. */
    struct cutter_params late = params;
    late.start_pts = film.p[21].pts;
    run(&film, &late, &result);
    check(&film, &late, &result);
    assert_int_equal(result.s[0].first, 0);
}

static void test_exact_length(void **state)
{
    (void)state;
    film_plain(&film, 90, 9); /* 300 ms each */
    static const struct {
        int64_t segment_us;
        int count;
    } cases[] = {{299999, 10}, {300000, 10}, {300001, 5}, {600000, 5},
                 {600001, 4},  {2699999, 2}, {2700001, 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct cutter_params params = {.time_base = TIME_BASE,
                                             .segment_us = cases[i].segment_us,
                                             .start_pts = PTS_NONE,
                                             .end_pts = PTS_NONE};
        run(&film, &params, &result);
        check(&film, &params, &result);
        assert_int_equal(result.count, cases[i].count);
    }
}

static void test_end_is_not_shown(void **state)
{
    (void)state;
    film_plain(&film, 80, 20);
    for (int i = 40; i < 80; i++)
        film.p[i].flags |= PACKET_DISCARD;
    const struct cutter_params params = {
        .time_base = TIME_BASE, .start_pts = PTS_NONE, .end_pts = PTS_NONE};
    run(&film, &params, &result);
    check(&film, &params, &result);
    assert_int_equal(result.count, 2); /* no segment without frames */
    assert_int_equal(result.s[1].frames, 20);
}

static void test_field_without_time(void **state)
{
    (void)state;
    film_plain(&film, 120, 60);
    /* Point 60, a leading frame in two fields, the second without a time of its own. */
    film.p[61].pts = film.p[60].pts - 1;
    film.p[62].flags = PACKET_SECOND_FIELD;
    film.p[62].pts = film.p[62].dts = PTS_NONE;
    const struct cutter_params params = {
        .time_base = TIME_BASE, .start_pts = PTS_NONE, .end_pts = PTS_NONE};
    run(&film, &params, &result);
    assert_int_equal(result.count, 2);
    assert_int_equal(result.s[0].last, 62);
    assert_int_equal(result.s[0].frames, 61);
    assert_int_equal(result.s[1].frames, 58);
}

static void test_search_is_bounded(void **state)
{
    (void)state;
    struct cutter *c = NULL;
    struct cut_event e;
    assert_int_equal(cutter_new(&c, &(struct cutter_params){.time_base = TIME_BASE,
                                                            .start_pts = PTS_NONE,
                                                            .end_pts = PTS_NONE}),
                     0);
    int pushed = 0;
    do {
        struct packet pkt = {
            .size = CUTTER_HEAD_BYTES_MAX / 4, .pts = pushed, .ordinal = (uint64_t)pushed};
        pushed++;
        assert_int_equal(cutter_push(c, &pkt, ACCESS_NONE), 0);
    } while (cutter_next(c, &e) == RGPU_ERROR_AGAIN);
    assert_int_equal(pushed, 4);
    assert_int_equal(e.type, CUT_BEGIN);
    cutter_free(&c);
}

static void test_jump_back_in_time(void **state)
{
    (void)state;
    film_plain(&film, 3000, 100);
    for (int i = 1410; i < 3000; i++)
        film.p[i].pts -= 1200 * 3000 - 1;
    const struct cutter_params params = {
        .time_base = TIME_BASE, .segment_us = 5000000, .start_pts = PTS_NONE, .end_pts = PTS_NONE};
    run(&film, &params, &result);
    assert_true(result.held_max <= CUTTER_WINDOW_MAX);
    int64_t frames = 0;
    for (int i = 0; i < result.count; i++) {
        assert_true(result.s[i].start < result.s[i].end);
        frames += result.s[i].frames;
    }
    /* Point 1400 has no leading pictures, but a jump behind it. */
    for (int i = 0; i < result.count; i++)
        assert_true(result.s[i].start != film.p[1400].pts);
    /* Nothing vanishes: a frame is in a segment, or counted. */
    assert_int_equal(frames + result.lost, film.count);
    assert_true(result.lost > 0);
    assert_int_equal(result.head_lost, 0);
}

static void test_film_without_points(void **state)
{
    (void)state;
    for (int count = 1; count < 5000; count = count * 3 + 1) {
        film_plain(&film, count < FILM_MAX ? count : FILM_MAX, 1 << 20);
        film.p[0].access = ACCESS_NONE;
        const struct cutter_params params = {
            .time_base = TIME_BASE, .start_pts = PTS_NONE, .end_pts = PTS_NONE};
        run(&film, &params, &result);
        assert_int_equal(result.count, 1);
        assert_int_equal(result.s[0].frames, film.count);
        assert_int_equal(result.s[0].start, 0);
        assert_int_equal(result.s[0].end, INT64_MAX);
        assert_int_equal(result.lost, 0);
    }
}

static void test_no_packets(void **state)
{
    (void)state;
    struct cutter *c = NULL;
    struct cut_event e;
    assert_int_equal(cutter_new(&c, &(struct cutter_params){.time_base = {0, 1}}),
                     RGPU_ERROR_PARAM);
    assert_null(c);
    assert_int_equal(cutter_new(&c, &(struct cutter_params){.time_base = {1, 25}}), 0);
    assert_int_equal(cutter_next(c, &e), RGPU_ERROR_AGAIN);
    assert_int_equal(cutter_finish(c), 0);
    assert_int_equal(cutter_next(c, &e), RGPU_ERROR_END);
    cutter_free(&c);
    cutter_free(&c);
}

static void test_order_only(void **state)
{
    (void)state;
    /* No pts: never cut, and the dts values stand for the frames. */
    film_plain(&film, 200, 10);
    uint64_t digest = 0;
    for (int i = 0; i < film.count; i++) {
        film.p[i].pts = PTS_NONE;
        digest = pts_digest_add(digest, film.p[i].dts);
    }
    const struct cutter_params params = {
        .time_base = TIME_BASE, .start_pts = PTS_NONE, .end_pts = PTS_NONE};
    run(&film, &params, &result);
    assert_int_equal(result.count, 1);
    assert_int_equal(result.s[0].frames, 200);
    assert_true(result.s[0].digest == digest);
}

static void test_extreme_times(void **state)
{
    (void)state;
    film_plain(&film, 100, 10);
    for (int i = 0; i < film.count; i++)
        film.p[i].pts = i < 50 ? INT64_MIN + 1 + i : INT64_MAX - 100 + i;
    for (int64_t us = -1; us < INT64_MAX / 2000; us = us * 1000 + 1000) {
        const struct cutter_params params = {.time_base = {1, INT32_MAX},
                                             .segment_us = us,
                                             .start_pts = PTS_NONE,
                                             .end_pts = PTS_NONE};
        run(&film, &params, &result);
        check(&film, &params, &result);
    }
}

static int print_seed(void **state)
{
    (void)state;
    print_message("last seed: %d\n", (int)random_seed);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_random_films, print_seed),
        cmocka_unit_test_teardown(test_windows, print_seed),
        cmocka_unit_test_teardown(test_caps, print_seed),
        cmocka_unit_test(test_reading_stops_at_the_end),
        cmocka_unit_test(test_point_that_is_none),
        cmocka_unit_test(test_exact_length),
        cmocka_unit_test(test_end_is_not_shown),
        cmocka_unit_test(test_field_without_time),
        cmocka_unit_test(test_search_is_bounded),
        cmocka_unit_test(test_jump_back_in_time),
        cmocka_unit_test(test_film_without_points),
        cmocka_unit_test(test_no_packets),
        cmocka_unit_test(test_order_only),
        cmocka_unit_test(test_extreme_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
