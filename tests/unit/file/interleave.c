/* The order of packets, who is waited for, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <libavcodec/packet.h>
#include <libavutil/mathematics.h>

#include "base/error.h"
#include "file/interleave.h"

static AVPacket *packet(int64_t dts, AVRational tb, int size)
{
    AVPacket *pkt = av_packet_alloc();
    assert_non_null(pkt);
    if (size)
        assert_int_equal(av_new_packet(pkt, size), 0);
    pkt->dts = pkt->pts = dts;
    pkt->time_base = tb;
    return pkt;
}

static void push(struct interleave *il, int track, int64_t dts, AVRational tb)
{
    assert_int_equal(interleave_push(il, track, packet(dts, tb, 0)), 0);
}

static int pop(struct interleave *il, int *track, int64_t *dts)
{
    AVPacket *pkt = NULL;
    const int rc = interleave_pop(il, track, &pkt);
    if (rc == 0)
        *dts = pkt->dts;
    av_packet_free(&pkt);
    return rc;
}

static const AVRational ms = {1, 1000}, film = {1001, 24000}, video = {1, 90000};

/* Any order of arrival gives the order of time, ties by track. */
static void test_random(void **state)
{
    (void)state;
    const AVRational tbs[3] = {film, ms, video};
    for (unsigned seed = 1; seed <= 300; seed++) {
        struct interleave *il;
        unsigned random = seed * 2654435761u;
        assert_int_equal(interleave_new(&il, 3), 0);
        int64_t next[3] = {0, 0, 0}, dts, last = INT64_MIN, last_track = 0;
        int left[3] = {100, 150, 80}, got = 0, track, rc;
        for (int i = 0; i < 3; i++)
            interleave_patient(il, i);
        while (left[0] + left[1] + left[2] > 0) {
            random = random * 1664525u + 1013904223u;
            const int t = (int)(random >> 24) % 3;
            if (left[t] == 0)
                continue;
            push(il, t, next[t], tbs[t]);
            next[t] += t == 0 ? 1 : t == 1 ? 1 + (random >> 8) % 60 : 3003;
            if (--left[t] == 0)
                interleave_end(il, t);
            while ((rc = pop(il, &track, &dts)) == 0) {
                const int64_t at = av_rescale_q(dts, tbs[track], (AVRational){1, 1000000000});
                if (at < last || (at == last && track < last_track))
                    fail_msg("seed %u: track %d goes back", seed, track);
                last = at;
                last_track = track;
                got++;
            }
        }
        assert_int_equal(rc, RGPU_ERROR_END);
        assert_int_equal(got, 330);
        interleave_free(&il);
    }
}

static void test_progress(void **state)
{
    (void)state;
    struct interleave *il;
    int track;
    int64_t dts;
    assert_int_equal(interleave_new(&il, 2), 0);
    push(il, 0, 1000, ms);
    assert_false(interleave_known(il, 1));
    assert_int_equal(pop(il, &track, &dts), RGPU_ERROR_AGAIN);
    interleave_progress(il, 1, 999999);
    assert_true(interleave_known(il, 1));
    assert_int_equal(pop(il, &track, &dts), RGPU_ERROR_AGAIN);
    interleave_progress(il, 1, 1000000);
    interleave_progress(il, 1, 5); /* never goes back */
    assert_int_equal(pop(il, &track, &dts), 0);
    assert_int_equal(track, 0);
    assert_int_equal(pop(il, &track, &dts), RGPU_ERROR_AGAIN);
    interleave_end(il, 0);
    push(il, 1, 2000, ms);
    assert_int_equal(pop(il, &track, &dts), 0);
    interleave_end(il, 1);
    assert_int_equal(pop(il, &track, &dts), RGPU_ERROR_END);
    interleave_free(&il);
}

/* A track that brings nothing is given up after ten seconds, or 64 MiB; a patient one never. */
static void test_limits(void **state)
{
    (void)state;
    for (int patient = 0; patient < 2; patient++) {
        struct interleave *il;
        int track;
        int64_t dts;
        assert_int_equal(interleave_new(&il, 2), 0);
        if (patient)
            interleave_patient(il, 1);
        push(il, 0, 0, ms);
        push(il, 0, 10000, ms);
        assert_int_equal(pop(il, &track, &dts), RGPU_ERROR_AGAIN);
        push(il, 0, 10001, ms);
        assert_int_equal(pop(il, &track, &dts), patient ? RGPU_ERROR_AGAIN : 0);
        interleave_free(&il);

        assert_int_equal(interleave_new(&il, 2), 0);
        if (patient)
            interleave_patient(il, 1);
        for (int i = 0; i < 65; i++) {
            assert_int_equal(pop(il, &track, &dts), RGPU_ERROR_AGAIN);
            assert_int_equal(interleave_push(il, 0, packet(i, ms, 1 << 20)), 0);
        }
        assert_int_equal(pop(il, &track, &dts), patient ? RGPU_ERROR_AGAIN : 0);
        interleave_free(&il);
        interleave_free(&il);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
