/* Sessions on the fake backend when things go wrong: errors of every stage, cancelling at any
 * moment, slow encoders, receivers that do not receive. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "film.h"

static struct film *test_film(int count)
{
    struct film *film = film_new(
        &(struct film_style){.count = count, .gop_max = 8, .bframes = 2, .open_gop = true});
    for (int i = 0; i < count; i++)
        film->frames[i].flags = i % 5 ? 0 : FRAME_INTERLACED;
    return film;
}

static void nothing_left(void)
{
    assert_int_equal(fake.frames_alive, 0);
    assert_int_equal(fake.handles_alive, 0);
}

/* Two segments, a drain, a third. What a feeder got last, 0 or an error. */
static int feed_all(struct session *s, const struct film *film)
{
    const int third = film->raps_count / 3;
    int r = film_feed(s, film, 0, third, 0);
    if (!r)
        r = film_feed(s, film, third, 2 * third, 1);
    if (!r)
        r = session_drain(s);
    if (!r)
        r = film_feed(s, film, 2 * third, film->raps_count, 2);
    return r ? r : session_drain(s);
}

/* Fails the Nth call of one operation, for every N until a run gets through. */
static void fail_each_call(enum fake_op op, const struct film *film)
{
    for (int n = 1;; n++) {
        fake_reset();
        fake.decoder_delay = 3;
        fake.encoder_lookahead = 4;
        fake.encoder_bframes = 1;
        fake.fail_call[op] = n;
        struct session_params params = film_params(2);
        struct session *s = NULL;
        struct error err = {0};
        int r = session_open(&s, &params, &err);
        if (r) {
            assert_int_equal(op, FAKE_DECODER_OPEN);
            assert_int_equal(r, RGPU_ERROR_DEVICE);
            assert_null(s);
            nothing_left();
            continue;
        }
        struct film_result *result = film_collect(s, 2);
        int fed = feed_all(s, film);
        film_collect_join(result);
        const bool hit = __atomic_load_n(&fake.calls[op], __ATOMIC_RELAXED) >= n;
        assert_int_equal(result->code, hit ? RGPU_ERROR_DEVICE : 0);
        if (hit) {
            assert_non_null(strstr(result->err.text, fake_op_names[op]));
            assert_true(fed == 0 || fed == RGPU_ERROR_DEVICE);
            /* The error stays. */
            assert_int_equal(session_drain(s), RGPU_ERROR_DEVICE);
            struct session_output out;
            assert_int_equal(session_receive(s, -1, &out, NULL), RGPU_ERROR_DEVICE);
        } else {
            assert_int_equal(fed, 0);
        }
        session_close(&s);
        film_result_free(result);
        nothing_left();
        if (!hit)
            break;
        assert_true(n < 2000);
    }
}

static void error_of_each_call(void **state)
{
    (void)state;
    struct film *film = test_film(60);
    for (int op = 0; op < FAKE_OPS; op++)
        fail_each_call((enum fake_op)op, film);
    free(film);
}

static void encoder_breaks_its_word(void **state)
{
    (void)state;
    struct film *film = test_film(60);
    for (int i = 0; i < 2; i++) {
        fake_reset();
        fake.decoder_delay = 2;
        fake.encoder_loses = i == 0;
        fake.encoder_ignores_keys = i == 1;
        struct session_params params = film_params(2);
        struct session *s = NULL;
        assert_int_equal(session_open(&s, &params, NULL), 0);
        struct film_result *result = film_collect(s, 2);
        feed_all(s, film);
        film_collect_join(result);
        assert_int_equal(result->code, RGPU_ERROR_INTERNAL);
        assert_non_null(strstr(result->err.text, i ? "key frame" : "lost frames"));
        assert_non_null(strstr(result->err.text, "rendition"));
        session_close(&s);
        film_result_free(result);
        nothing_left();
    }
    free(film);
}

/* An encoder that holds back more than can be kept track of. */
static void encoder_holds_back_too_much(void **state)
{
    (void)state;
    fake_reset();
    fake.encoder_lookahead = 2000;
    struct film *film = film_new(&(struct film_style){.count = 1500, .gop_max = 1});
    struct session_params params = film_params(1);
    struct session *s = NULL;
    assert_int_equal(session_open(&s, &params, NULL), 0);
    struct film_result *result = film_collect(s, 1);
    film_feed(s, film, 0, film->raps_count, 0);
    session_drain(s);
    film_collect_join(result);
    assert_int_equal(result->code, RGPU_ERROR_LIMIT);
    session_close(&s);
    film_result_free(result);
    nothing_left();
    free(film);
}

struct feeder {
    struct session *s;
    const struct film *film;
    int code;
};

static void *feed_main(void *arg)
{
    struct feeder *f = arg;
    f->code = feed_all(f->s, f->film);
    return NULL;
}

/* The receiver stops after so many outputs; then somebody cancels or closes. */
static void cancel_at_any_moment(void **state)
{
    (void)state;
    struct film *film = test_film(300);
    for (uint32_t seed = 1; seed <= 300; seed++) {
        uint32_t random = seed * 104729;
        fake_reset();
        fake.decoder_delay = 2 + (int)(film_random(&random) % 10);
        fake.encoder_lookahead = (int)(film_random(&random) % 20);
        fprintf(stderr, "seed %u\r", seed);
        struct session_params params = film_params(1 + (int)(film_random(&random) % 4));
        params.renditions[0].frame_rate_max = (struct rational){10, 1};
        struct session *s = NULL;
        assert_int_equal(session_open(&s, &params, NULL), 0);
        struct feeder feeder = {.s = s, .film = film};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, feed_main, &feeder), 0);
        const int outputs = (int)(film_random(&random) % 600);
        int code = 0, drains = 0;
        for (int i = 0; i < outputs && !code && drains < 2; i++) {
            struct session_output out;
            code = session_receive(s, -1, &out, NULL);
            if (!code) {
                drains += out.type == SESSION_DRAINED;
                session_output_done(&out);
            }
        }
        assert_int_equal(code, 0);
        if (film_random(&random) % 2)
            usleep(film_random(&random) % 2000);
        session_cancel(s);
        session_cancel(s);
        pthread_join(thread, NULL);
        assert_true(feeder.code == 0 || feeder.code == RGPU_ERROR_CANCELLED);
        struct session_output out;
        struct error err;
        assert_int_equal(session_receive(s, -1, &out, &err), RGPU_ERROR_CANCELLED);
        assert_string_equal(err.text, "cancelled");
        session_close(&s);
        nothing_left();
    }
    free(film);
}

/* Waits until the counter has not moved for a while, as everything is blocked. */
static int wait_until_still(const int *counter)
{
    int last = -1, now = __atomic_load_n(counter, __ATOMIC_RELAXED);
    while (now != last) {
        usleep(50000);
        last = now;
        now = __atomic_load_n(counter, __ATOMIC_RELAXED);
    }
    return now;
}

/* Nobody receives: everything stops, nothing grows, and goes on when somebody does. */
static void receiver_that_waits(void **state)
{
    (void)state;
    fake_reset();
    fake.decoder_delay = 2;
    struct film *film = test_film(1200);
    struct session_params params = film_params(2);
    struct session *s = NULL;
    assert_int_equal(session_open(&s, &params, NULL), 0);
    struct feeder feeder = {.s = s, .film = film};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, feed_main, &feeder), 0);
    assert_true(wait_until_still(&fake.calls[FAKE_DECODER_SEND]) < 150);
    struct film_result *result = film_collect(s, 2);
    pthread_join(thread, NULL);
    film_collect_join(result);
    assert_int_equal(feeder.code, 0);
    assert_int_equal(result->code, 0);
    assert_int_equal(result->done[0].frames + result->done[1].frames + result->done[2].frames,
                     1200);
    session_close(&s);
    film_result_free(result);
    nothing_left();
    /* Closed while everything is full. */
    assert_int_equal(session_open(&s, &params, NULL), 0);
    feeder.s = s;
    assert_int_equal(pthread_create(&thread, NULL, feed_main, &feeder), 0);
    wait_until_still(&fake.calls[FAKE_DECODER_SEND]);
    session_cancel(s);
    pthread_join(thread, NULL);
    assert_int_equal(feeder.code, RGPU_ERROR_CANCELLED);
    session_close(&s);
    nothing_left();
    free(film);
}

/* What may be alive at once: each queue, one frame in the hands of each stage, what the decoder
 * and the filter keep, and one that waits for its duration. The fake encoder keeps no frames. */
static int frames_bound(int renditions, int decoder_delay)
{
    const int decode = decoder_delay + 1 + 1 + SESSION_QUEUE_FRAMES + 3;
    const int queue = SESSION_QUEUE_FRAMES + 1;
    const int encode = SESSION_QUEUE_FRAMES + 1 + 1 + 1;
    return decode + queue + 1 + renditions * encode;
}

static void memory_is_bounded(void **state)
{
    (void)state;
    struct film *film = test_film(3000);
    for (int raw = 0; raw < 2; raw++) {
        fake_reset();
        fake.decoder_delay = 8;
        fake.encoder_delay_us = 50;
        fake.encoder_lookahead = 40;
        struct session_params params = film_params(3);
        params.renditions[1].frame_rate_max = (struct rational){10, 1};
        params.raw_input = raw;
        struct session *s = NULL;
        assert_int_equal(session_open(&s, &params, NULL), 0);
        struct film_result *result = film_collect(s, raw ? 1 : 2);
        if (raw) {
            assert_int_equal(session_begin(s, 0, PTS_NONE, 0), 0);
            for (int i = 0; i < film->count; i++) {
                struct frame *frame = fake_frame(&film->frames[i]);
                assert_int_equal(session_frame(s, &frame), 0);
            }
            assert_int_equal(session_end(s), 0);
            assert_int_equal(session_drain(s), 0);
        } else {
            assert_int_equal(feed_all(s, film), 0);
        }
        film_collect_join(result);
        assert_int_equal(result->code, 0);
        /* Raw: the input queue holds frames too, and the feeder one. */
        const int bound = frames_bound(3, raw ? SESSION_QUEUE_FRAMES + 1 : 8);
        fprintf(stderr, "%d frames alive at most, bound %d\n", fake.frames_peak, bound);
        assert_true(fake.frames_peak <= bound);
        session_close(&s);
        film_result_free(result);
        nothing_left();
    }
    free(film);
}

/* A segment with more packets behind its end than can be held: the next one starts anew. */
static void too_much_behind_the_end(void **state)
{
    (void)state;
    fake_reset();
    struct film *film = film_new(&(struct film_style){.count = 100, .gop_max = 1});
    struct session_params params = film_params(1);
    struct session *s = NULL;
    assert_int_equal(session_open(&s, &params, NULL), 0);
    struct film_result *result = film_collect(s, 1);
    assert_int_equal(session_begin(s, 0, film->frames[0].pts, 0), 0);
    for (int i = 0; i < 60; i++) {
        if (i == 20)
            assert_int_equal(session_tail(s, film->frames[20].pts), 0);
        struct packet pkt = fake_packet(&film->frames[i], (uint64_t)i);
        assert_int_equal(session_packet(s, &pkt), 0);
    }
    assert_int_equal(session_end(s), 0);
    assert_int_equal(film_feed(s, film, 20, 100, 1), 0);
    session_drain(s);
    film_collect_join(result);
    assert_int_equal(result->code, 0);
    film_check(result, film, 0, 20, 0, &params, NULL);
    film_check(result, film, 20, 100, 1, &params, NULL);
    session_close(&s);
    film_result_free(result);
    nothing_left();
    free(film);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_of_each_call),          cmocka_unit_test(encoder_breaks_its_word),
        cmocka_unit_test(encoder_holds_back_too_much), cmocka_unit_test(cancel_at_any_moment),
        cmocka_unit_test(receiver_that_waits),         cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(too_much_behind_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
