/* Sessions on the fake backend: segments in any order give exactly their frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "film.h"

static struct session *open_session(const struct session_params *params)
{
    struct session *s = NULL;
    struct error err = {0};
    int r = session_open(&s, params, &err);
    if (r)
        fprintf(stderr, "%s\n", err.text);
    CHECK(!r);
    return s;
}

static void finish(struct session **s, struct film_result *r)
{
    session_close(s);
    film_result_free(r);
    assert_null(*s);
    assert_int_equal(fake.frames_alive, 0);
    assert_int_equal(fake.handles_alive, 0);
}

/* First frame of a random-access point, or the end. */
static int frame_at(const struct film *f, int rap)
{
    return rap == f->raps_count ? f->count : f->raps[rap];
}

/* A film cut at `cuts` (random-access points, count + 1 of them), segments fed in `order`. */
static void run_segments(const struct film *film, const struct session_params *params,
                         const int *cuts, int count, const int *order, uint32_t drain_mask)
{
    struct session *s = open_session(params);
    int drains = 1;
    for (int i = 0; i < count; i++)
        drains += drain_mask >> (i % 32) & 1;
    struct film_result *r = film_collect(s, drains);
    for (int i = 0; i < count; i++) {
        int k = order[i];
        assert_int_equal(film_feed(s, film, cuts[k], cuts[k + 1], (uint32_t)k), 0);
        if (drain_mask >> (i % 32) & 1)
            assert_int_equal(session_drain(s), 0);
    }
    assert_int_equal(session_drain(s), 0);
    film_collect_join(r);
    if (r->code)
        fprintf(stderr, "%s\n", r->err.text);
    assert_int_equal(r->code, 0);
    for (int k = 0; k < count; k++)
        film_check(r, film, frame_at(film, cuts[k]), frame_at(film, cuts[k + 1]), (uint32_t)k,
                   params, NULL);
    for (int i = 0; i < params->renditions_count; i++)
        assert_int_equal(r->headers[i], 1);
    finish(&s, r);
}

static void one_segment(void **state)
{
    (void)state;
    fake_reset();
    fake.decoder_delay = 2;
    struct film *film = film_new(&(struct film_style){.count = 300, .gop_max = 12, .bframes = 2});
    struct session_params params = film_params(3);
    run_segments(film, &params, (int[]){0, film->raps_count}, 1, (int[]){0}, 0);
    assert_int_equal(fake.encoder_opens, 3);
    assert_int_equal(fake.scaler_opens, 1);
    free(film);
}

/* Segments that follow one another decode each packet once and never drain in between. */
static void segments_that_continue(void **state)
{
    (void)state;
    for (int delay = 3; delay < 40; delay += 13) {
        fake_reset();
        fake.decoder_delay = delay;
        fake.encoder_lookahead = 30;
        fake.encoder_bframes = 3;
        struct film *film = film_new(&(struct film_style){
            .seed = 5, .count = 400, .gop_max = 9, .bframes = 3, .open_gop = true});
        int cuts[FILM_MAX], order[FILM_MAX];
        for (int i = 0; i <= film->raps_count; i++)
            cuts[i] = order[i] = i;
        struct session_params params = film_params(2);
        run_segments(film, &params, cuts, film->raps_count, order, 0);
        /* Each packet once, the drain once. */
        assert_int_equal(fake.calls[FAKE_DECODER_SEND], film->count + 1);
        assert_int_equal(fake.encoder_opens, 2);
        free(film);
    }
}

/* Many windows inside the decoder at once, more than it can keep track of. */
static void one_frame_segments(void **state)
{
    (void)state;
    for (int delay = 0; delay <= 100; delay += 50) {
        fake_reset();
        fake.decoder_delay = delay;
        fake.encoder_lookahead = 60;
        struct film *film = film_new(&(struct film_style){.count = 300, .gop_max = 1});
        int cuts[FILM_MAX], order[FILM_MAX];
        for (int i = 0; i <= film->raps_count; i++)
            cuts[i] = order[i] = i;
        struct session_params params = film_params(2);
        run_segments(film, &params, cuts, film->raps_count, order, 0);
        /* The other way round nothing continues. */
        for (int i = 0; i < film->raps_count; i++)
            order[i] = film->raps_count - 1 - i;
        run_segments(film, &params, cuts, film->raps_count, order, 0);
        free(film);
    }
}

static void shuffled_segments(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 150; seed++) {
        uint32_t random = seed * 7919;
        fake_reset();
        const int bframes = (int)(film_random(&random) % 4);
        fake.decoder_delay = bframes + (int)(film_random(&random) % 20);
        fake.encoder_lookahead = (int)(film_random(&random) % 50);
        fake.encoder_bframes = (int)(film_random(&random) % 4);
        struct film *film =
            film_new(&(struct film_style){.seed = seed,
                                          .count = 1 + (int)(film_random(&random) % 150),
                                          .gop_max = 1 + (int)(film_random(&random) % 12),
                                          .bframes = bframes,
                                          .open_gop = film_random(&random) % 2,
                                          .vfr = film_random(&random) % 2,
                                          .start = (int64_t)(film_random(&random) % 4000) - 2000});
        int cuts[FILM_MAX] = {0}, order[FILM_MAX], count = 0;
        for (int rap = 0; rap < film->raps_count;) {
            rap += 1 + (int)(film_random(&random) % 3);
            cuts[++count] = rap < film->raps_count ? rap : film->raps_count;
        }
        for (int i = 0; i < count; i++)
            order[i] = i;
        for (int i = count - 1; i > 0 && seed % 3; i--) {
            int j = (int)(film_random(&random) % (uint32_t)(i + 1));
            int t = order[i];
            order[i] = order[j];
            order[j] = t;
        }
        fprintf(stderr, "seed %u: %d frames, %d segments\r", seed, film->count, count);
        struct session_params params = film_params(1 + (int)(seed % 3));
        run_segments(film, &params, cuts, count, order, seed % 5 ? 0 : film_random(&random));
        /* Encoders see no gap: no step is longer than the longest frame. */
        assert_in_range(fake.clock_step_max, 0, 120);
        free(film);
    }
}

/* Lanes take every other segment. */
static void gaps_are_closed_for_encoders(void **state)
{
    (void)state;
    fake_reset();
    struct film *film = film_new(&(struct film_style){.count = 240, .gop_max = 1});
    int cuts[FILM_MAX];
    struct session_params params = film_params(1);
    struct session *s = open_session(&params);
    struct film_result *r = film_collect(s, 1);
    for (int i = 0; i <= 20; i++)
        cuts[i] = i * 12;
    for (int k = 0; k < 20; k += 2)
        assert_int_equal(film_feed(s, film, cuts[k], cuts[k + 1], (uint32_t)k), 0);
    session_drain(s);
    film_collect_join(r);
    assert_int_equal(r->code, 0);
    for (int k = 0; k < 20; k += 2)
        film_check(r, film, cuts[k], cuts[k + 1], (uint32_t)k, &params, NULL);
    assert_int_equal(fake.clock_step_max, 40);
    finish(&s, r);
    free(film);
}

/* The same segment twice, and one again after later ones. */
static void repeated_segments(void **state)
{
    (void)state;
    fake_reset();
    fake.decoder_delay = 3;
    struct film *film =
        film_new(&(struct film_style){.count = 100, .gop_max = 10, .bframes = 2, .open_gop = true});
    struct session_params params = film_params(2);
    struct session *s = open_session(&params);
    struct film_result *r = film_collect(s, 1);
    const int from[] = {1, 1, 3, 2, 3, 1};
    for (uint32_t k = 0; k < 6; k++)
        assert_int_equal(film_feed(s, film, from[k], from[k] + 1, k), 0);
    session_drain(s);
    film_collect_join(r);
    assert_int_equal(r->code, 0);
    for (uint32_t k = 0; k < 6; k++)
        film_check(r, film, frame_at(film, from[k]), frame_at(film, from[k] + 1), k, &params, NULL);
    finish(&s, r);
    free(film);
}

static void empty_segments(void **state)
{
    (void)state;
    fake_reset();
    fake.encoder_lookahead = 10;
    struct film *film = film_new(&(struct film_style){.count = 50, .gop_max = 5});
    struct session_params params = film_params(2);
    struct session *s = open_session(&params);
    struct film_result *r = film_collect(s, 2);
    /* Nothing at all, with and without an end; then a drain before anything was decoded. */
    assert_int_equal(session_begin(s, 100, 0, 0), 0);
    assert_int_equal(session_end(s), 0);
    assert_int_equal(session_begin(s, 101, 0, 0), 0);
    assert_int_equal(session_tail(s, 0), 0);
    assert_int_equal(session_end(s), 0);
    assert_int_equal(session_drain(s), 0);
    /* Between two segments that lie end to end. */
    assert_int_equal(film_feed(s, film, 0, 1, 0), 0);
    const int64_t end = film->frames[film->raps[1]].pts;
    const uint64_t ordinal = (uint64_t)film->rap_ordinals[1];
    assert_int_equal(session_begin(s, 102, end, ordinal), 0);
    assert_int_equal(session_tail(s, end), 0);
    assert_int_equal(session_end(s), 0);
    assert_int_equal(film_feed(s, film, 1, 2, 1), 0);
    assert_int_equal(session_drain(s), 0);
    film_collect_join(r);
    assert_int_equal(r->code, 0);
    film_check(r, film, 0, frame_at(film, 1), 0, &params, NULL);
    film_check(r, film, frame_at(film, 1), frame_at(film, 2), 1, &params, NULL);
    for (int id = 100; id < 103; id++) {
        assert_int_equal(r->done_count[id], 1);
        assert_int_equal(r->done[id].frames, 0);
        assert_int_equal(r->done[id].packets[0], 0);
    }
    finish(&s, r);
    free(film);
}

static void key_frames_with_caps(void **state)
{
    (void)state;
    for (int64_t tick = 19; tick <= 21; tick++) {
        fake_reset();
        fake.encoder_lookahead = 5;
        fake.decoder_delay = 2;
        struct film *film = film_new(&(struct film_style){
            .count = 400, .gop_max = 20, .bframes = 2, .open_gop = true, .tick = tick});
        struct session_params params = film_params(3);
        params.source.frame_rate = (struct rational){1000, (int32_t)tick};
        params.renditions[1].frame_rate_max = (struct rational){30, 1};
        params.renditions[2].frame_rate_max = (struct rational){10, 1};
        struct session *s = open_session(&params);
        struct film_result *r = film_collect(s, 1);
        int half = film->raps_count / 2;
        assert_int_equal(film_feed(s, film, half, film->raps_count, 1), 0);
        assert_int_equal(film_feed(s, film, 0, half, 0), 0);
        session_drain(s);
        film_collect_join(r);
        const int third = tick == 19 ? 6 : 5;
        film_check(r, film, 0, frame_at(film, half), 0, &params, (int[]){1, 2, third});
        film_check(r, film, frame_at(film, half), film->count, 1, &params, (int[]){1, 2, third});
        finish(&s, r);
        free(film);
    }
}

/* Two sessions of one job: the second begins where the source has changed, and its encoders are
 * opened as the first one's. */
static void one_picture_for_all_sessions(void **state)
{
    (void)state;
    fake_reset();
    struct film *film = film_new(&(struct film_style){.count = 60, .gop_max = 10});
    for (int i = 0; i < film->count; i++)
        if (i >= film->raps[3]) {
            film->frames[i].width = 40;
            film->frames[i].height = 40;
        }
    struct session_params params = film_params(2);
    params.source.sample_aspect = (struct rational){1, 1};
    struct encoder_params opened = {0};
    for (int k = 0; k < 3; k++) {
        /* Before the change with what comes behind it, behind it told, behind it alone. */
        const int from = k == 0 ? 0 : 3;
        struct session *s = open_session(&params);
        struct film_result *r = film_collect(s, 1);
        assert_int_equal(film_feed(s, film, from, film->raps_count, 0), 0);
        assert_int_equal(session_drain(s), 0);
        film_collect_join(r);
        assert_int_equal(r->code, 0);
        film_check(r, film, frame_at(film, from), film->count, 0, &params, NULL);
        assert_int_equal(r->pictures, k != 1);
        assert_int_equal(r->picture.width, k == 0 ? 64 : k == 1 ? 0 : 40);
        if (k == 0)
            opened = fake.last_params;
        /* 64x32 is 2:1, 40x40 is not: the shape of samples tells what the encoder was opened for.
         */
        assert_int_equal(fake.last_params.sample_aspect.num == opened.sample_aspect.num &&
                             fake.last_params.sample_aspect.den == opened.sample_aspect.den,
                         k != 2);
        int said = 0;
        for (int i = 0; i < r->notes_count; i++)
            said += strstr(r->notes[i], "the source changes") != NULL;
        assert_int_equal(said, k == 2 ? 0 : 2);
        params.picture = k == 0 ? r->picture : (struct track){0};
        finish(&s, r);
    }
    free(film);
}

static void a_picture_that_is_none(void **state)
{
    (void)state;
    fake_reset();
    const struct track pictures[] = {{.format = PIXEL_COUNT, .width = 64, .height = 32},
                                     {.format = PIXEL_YUV420P, .width = 0, .height = 32},
                                     {.format = PIXEL_YUV420P, .width = 64, .height = 1 << 20}};
    for (size_t i = 0; i < sizeof(pictures) / sizeof(pictures[0]); i++) {
        struct session_params params = film_params(1);
        struct session *s = NULL;
        struct error err = {0};
        params.picture = pictures[i];
        assert_int_equal(session_open(&s, &params, &err), RGPU_ERROR_PARAM);
        assert_null(s);
    }
}

/* Those that no encoder was opened for, once. */
static void time_codes_are_named(void **state)
{
    (void)state;
    for (int known = 0; known <= 1; known++) {
        fake_reset();
        struct film *film = film_new(&(struct film_style){.count = 20});
        for (int i = 10; i < film->count; i++)
            film->frames[i].side = SIDE_TIMECODE;
        struct session_params params = film_params(1);
        params.source.timecodes = known;
        struct session *s = open_session(&params);
        struct film_result *r = film_collect(s, 1);
        assert_int_equal(film_feed(s, film, 0, film->raps_count, 0), 0);
        assert_int_equal(session_drain(s), 0);
        film_collect_join(r);
        assert_int_equal(r->notes_count, !known);
        if (!known)
            assert_non_null(strstr(r->notes[0], "time codes"));
        finish(&s, r);
        free(film);
    }
}

/* Low latency does not wait for the next frame to learn a duration. */
static void low_latency_caps(void **state)
{
    (void)state;
    fake_reset();
    struct session_params params = film_params(1);
    params.source.frame_rate = (struct rational){50, 1};
    params.renditions[0].frame_rate_max = (struct rational){25, 1};
    params.low_latency = true;
    params.raw_input = true;
    struct session *s = open_session(&params);
    assert_int_equal(session_begin(s, 0, PTS_NONE, 0), 0);
    for (int i = 0; i < 3; i++) {
        struct fake_source source = {.pts = i * 20, .duration = 20};
        struct frame *frame = fake_frame(&source);
        assert_int_equal(session_frame(s, &frame), 0);
    }
    for (int packets = 0; packets < 2;) {
        struct session_output out;
        assert_int_equal(session_receive(s, -1, &out, NULL), 0);
        if (out.type == SESSION_PACKET) {
            assert_int_equal(out.packet.pts, packets++ * 40);
            assert_int_equal(out.packet.duration, 40);
        }
        session_output_done(&out);
    }
    session_close(&s);
    assert_int_equal(fake.frames_alive, 0);
}

static void raw_frames(void **state)
{
    (void)state;
    fake_reset();
    fake.encoder_bframes = 2;
    struct film *film = film_new(&(struct film_style){.count = 120});
    struct session_params params = film_params(2);
    params.raw_input = true;
    struct session *s = open_session(&params);
    struct film_result *r = film_collect(s, 2);
    /* Frames outside of the window are not shown; some are shared with the feeder. */
    struct frame *kept = NULL;
    for (int k = 0; k < 3; k++) {
        assert_int_equal(session_begin(s, (uint32_t)k, film->frames[k * 40].pts, 0), 0);
        if (k == 1)
            assert_int_equal(session_tail(s, film->frames[(k + 1) * 40].pts), 0);
        for (int i = k * 40 - 2; i < (k + 1) * 40 + (k == 1 ? 3 : 0); i++) {
            struct frame *frame = fake_frame(&film->frames[i < 0 ? 0 : i]);
            if (i < 0)
                frame->pts = -40;
            if (i == 50)
                kept = frame_ref(frame);
            assert_int_equal(session_frame(s, &frame), 0);
            assert_null(frame);
        }
        assert_int_equal(session_end(s), 0);
        if (k == 1)
            assert_int_equal(session_drain(s), 0);
    }
    assert_int_equal(session_drain(s), 0);
    film_collect_join(r);
    assert_int_equal(r->code, 0);
    for (int k = 0; k < 3; k++)
        film_check(r, film, k * 40, (k + 1) * 40, (uint32_t)k, &params, NULL);
    /* What is shared is not written. */
    assert_int_equal(kept->pts, film->frames[50].pts);
    assert_int_equal(kept->flags, 0);
    frame_unref(&kept);
    finish(&s, r);
    free(film);
}

static void deinterlaced_segments(void **state)
{
    (void)state;
    fake_reset();
    fake.decoder_delay = 2;
    struct film *film =
        film_new(&(struct film_style){.count = 120, .gop_max = 10, .bframes = 1, .open_gop = true});
    /* Progressive at first, mixed later. */
    for (int i = 15; i < film->count; i++)
        film->frames[i].flags = i % 3 ? FRAME_INTERLACED | FRAME_TOP_FIRST : 0;
    struct session_params params = film_params(2);
    int order[FILM_MAX], cuts[FILM_MAX];
    for (int i = 0; i <= film->raps_count; i++) {
        order[i] = i;
        cuts[i] = i;
    }
    run_segments(film, &params, cuts, film->raps_count, order, 0);
    assert_true(fake.calls[FAKE_FILTER_SEND] > 100);
    assert_int_equal(fake.last_params.field_order, FIELD_PROGRESSIVE);
    assert_false(fake.scaler_interlaced);
    order[0] = 1;
    order[1] = 0;
    run_segments(film, &params, cuts, film->raps_count, order, 0);
    struct session *s = open_session(&params);
    struct film_result *r = film_collect(s, 1);
    film_feed(s, film, 0, film->raps_count, 0);
    session_drain(s);
    film_collect_join(r);
    assert_int_equal(r->notes_count, 1);
    assert_non_null(strstr(r->notes[0], "deinterlaced"));
    finish(&s, r);
    free(film);
}

static void interlaced_as_it_is(void **state)
{
    (void)state;
    for (int device_has_none = 0; device_has_none < 2; device_has_none++) {
        fake_reset();
        fake.no_deinterlacer = device_has_none;
        struct film *film = film_new(&(struct film_style){.count = 20});
        for (int i = 0; i < film->count; i++)
            film->frames[i].flags = FRAME_INTERLACED | FRAME_TOP_FIRST;
        struct session_params params = film_params(2);
        params.deinterlace = device_has_none ? DEINTERLACE_AUTO : DEINTERLACE_OFF;
        struct session *s = open_session(&params);
        struct film_result *r = film_collect(s, 1);
        film_feed(s, film, 0, 1, 0);
        session_drain(s);
        film_collect_join(r);
        film_check(r, film, 0, 20, 0, &params, NULL);
        assert_int_equal(fake.last_params.field_order, FIELD_TOP_FIRST);
        assert_true(fake.scaler_interlaced);
        assert_int_equal(r->notes_count, 1 + device_has_none);
        assert_non_null(strstr(r->notes[device_has_none], "field by field"));
        finish(&s, r);
        free(film);
    }
}

static void source_changes_size(void **state)
{
    (void)state;
    fake_reset();
    fake.decoder_delay = 4;
    struct film *film = film_new(&(struct film_style){.count = 90, .gop_max = 1});
    for (int i = 30; i < 60; i++) {
        film->frames[i].width = 128;
        film->frames[i].height = 96;
    }
    struct session_params params = film_params(2);
    run_segments(film, &params, (int[]){0, film->raps_count}, 1, (int[]){0}, 0);
    assert_int_equal(fake.scaler_opens, 3);
    assert_int_equal(fake.encoder_opens, 2);
    free(film);
}

static void drained_and_gone_on(void **state)
{
    (void)state;
    fake_reset();
    fake.encoder_lookahead = 40;
    fake.decoder_delay = 7;
    struct film *film = film_new(&(struct film_style){.count = 200, .gop_max = 1});
    struct session_params params = film_params(2);
    run_segments(film, &params, (int[]){0, 50, 100, 150, 200}, 4, (int[]){0, 1, 2, 3}, 0xf);
    assert_int_equal(fake.encoder_opens, 8);
    free(film);
}

/* A frame without a time stamp follows the one before it; nonsense counts as none. */
static void missing_time_stamps(void **state)
{
    (void)state;
    fake_reset();
    struct film *film = film_new(&(struct film_style){.count = 20});
    film->frames[7].no_pts = true;
    film->frames[8].no_pts = true;
    struct session_params params = film_params(1);
    run_segments(film, &params, (int[]){0, 1}, 1, (int[]){0}, 0);
    free(film);
}

static void damage_is_counted(void **state)
{
    (void)state;
    fake_reset();
    fake.decoder_delay = 2;
    struct film *film = film_new(&(struct film_style){.count = 40, .gop_max = 1});
    film->frames[5].flags = FRAME_CORRUPT;
    film->frames[25].refused = true;
    struct session_params params = film_params(1);
    struct session *s = open_session(&params);
    struct film_result *r = film_collect(s, 1);
    film_feed(s, film, 0, 20, 0);
    film_feed(s, film, 20, 40, 1);
    session_drain(s);
    film_collect_join(r);
    assert_int_equal(r->code, 0);
    assert_int_equal(r->done[0].corrupt_frames, 1);
    assert_int_equal(r->done[0].frames, 20);
    assert_int_equal(r->done[1].corrupt_frames, 0);
    assert_int_equal(r->done[1].frames, 19);
    assert_int_equal(r->done[0].failed_packets + r->done[1].failed_packets, 1);
    finish(&s, r);
    free(film);
}

static void dynamic_hdr(void **state)
{
    (void)state;
    const enum frame_side_type sides[] = {SIDE_HDR10_PLUS, SIDE_DOVI_RPU, SIDE_A53_CC};
    for (int i = 0; i < 6; i++) {
        fake_reset();
        struct film *film = film_new(&(struct film_style){.count = 10, .gop_max = 1});
        film->frames[6].side = sides[i / 2];
        struct session_params params = film_params(1);
        params.strip_dynamic_hdr = i % 2;
        struct session *s = open_session(&params);
        struct film_result *r = film_collect(s, 1);
        film_feed(s, film, 0, film->raps_count, 0);
        session_drain(s);
        film_collect_join(r);
        const bool refused = i == 0 || i == 2;
        assert_int_equal(r->code, refused ? RGPU_ERROR_INPUT : 0);
        if (refused)
            assert_non_null(strstr(r->err.text, "--strip-dynamic-hdr"));
        finish(&s, r);
        free(film);
    }
}

static void refused_parameters(void **state)
{
    (void)state;
    fake_reset();
    struct session *s = NULL;
    struct error err;
    struct session_params params = film_params(1);
    params.renditions_count = 0;
    assert_int_equal(session_open(&s, &params, &err), RGPU_ERROR_PARAM);
    params.renditions_count = RENDITIONS_MAX + 1;
    assert_int_equal(session_open(&s, &params, &err), RGPU_ERROR_PARAM);
    static const int64_t rates[] = {-1, BIT_RATE_BPS_MAX + 1, INT64_MAX};
    for (int i = 0; i < 9; i++) {
        params = film_params(1);
        struct rendition_params *r = &params.renditions[0];
        *(i % 3 == 0   ? &r->bit_rate_bps
          : i % 3 == 1 ? &r->bit_rate_max_bps
                       : &r->vbv_bits) = rates[i / 3];
        assert_int_equal(session_open(&s, &params, &err), RGPU_ERROR_PARAM);
        assert_non_null(strstr(err.text, "bit/s"));
    }
    params = film_params(1);
    params.threads = SESSION_THREADS_MAX + 1;
    assert_int_equal(session_open(&s, &params, &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "threads"));
    params = film_params(1);
    params.renditions[0].width = 63;
    assert_int_equal(session_open(&s, &params, &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "63"));
    params = film_params(1);
    strcpy(params.renditions[0].codec, "theora");
    assert_int_equal(session_open(&s, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "theora"));
    params = film_params(1);
    params.source.time_base.den = 0;
    assert_int_equal(session_open(&s, &params, &err), RGPU_ERROR_PARAM);
    params = film_params(1);
    params.device_kind = DEVICE_CUDA;
    assert_int_equal(session_open(&s, &params, &err), RGPU_ERROR_DEVICE);
    assert_null(s);
    assert_int_equal(fake.handles_alive, 0);
}

static void calls_out_of_order(void **state)
{
    (void)state;
    fake_reset();
    struct session_params params = film_params(1);
    struct session *s = open_session(&params);
    struct fake_source source = {.rap = true};
    struct packet pkt = fake_packet(&source, 0);
    assert_int_equal(session_packet(s, &pkt), RGPU_ERROR_PARAM);
    assert_null(pkt.buf);
    assert_int_equal(session_tail(s, 0), RGPU_ERROR_PARAM);
    assert_int_equal(session_end(s), RGPU_ERROR_PARAM);
    assert_int_equal(session_begin(s, 0, 0, 0), 0);
    assert_int_equal(session_begin(s, 0, 0, 0), RGPU_ERROR_PARAM);
    assert_int_equal(session_drain(s), RGPU_ERROR_PARAM);
    struct frame *frame = fake_frame(&source);
    assert_int_equal(session_frame(s, &frame), RGPU_ERROR_PARAM);
    assert_null(frame);
    assert_int_equal(session_tail(s, 10), 0);
    assert_int_equal(session_tail(s, 10), RGPU_ERROR_PARAM);
    struct session_output out;
    assert_int_equal(session_receive(s, 0, &out, NULL), RGPU_ERROR_AGAIN);
    session_close(&s);
    session_close(&s);
    assert_int_equal(fake.frames_alive, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_segment),
        cmocka_unit_test(segments_that_continue),
        cmocka_unit_test(one_frame_segments),
        cmocka_unit_test(shuffled_segments),
        cmocka_unit_test(gaps_are_closed_for_encoders),
        cmocka_unit_test(repeated_segments),
        cmocka_unit_test(empty_segments),
        cmocka_unit_test(key_frames_with_caps),
        cmocka_unit_test(one_picture_for_all_sessions),
        cmocka_unit_test(a_picture_that_is_none),
        cmocka_unit_test(time_codes_are_named),
        cmocka_unit_test(low_latency_caps),
        cmocka_unit_test(raw_frames),
        cmocka_unit_test(deinterlaced_segments),
        cmocka_unit_test(interlaced_as_it_is),
        cmocka_unit_test(source_changes_size),
        cmocka_unit_test(drained_and_gone_on),
        cmocka_unit_test(missing_time_stamps),
        cmocka_unit_test(damage_is_counted),
        cmocka_unit_test(dynamic_hdr),
        cmocka_unit_test(refused_parameters),
        cmocka_unit_test(calls_out_of_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
