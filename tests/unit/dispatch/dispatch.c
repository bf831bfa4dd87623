/* Dispatch against a node that the test plays itself, message by message: order, credits, retries,
 * what is refused. */
#include "play.h"

#include <stdio.h>
#include <string.h>

#include "dispatch/segment.h"
#include "media/digest.h"

static int set_up_slots(void **state, int slots)
{
    static struct fixture f;
    struct job_params params = {.renditions_count = 2};
    *state = &f;
    play_open(&f, &params, slots);
    return 0;
}

static int set_up(void **state)
{
    return set_up_slots(state, 1);
}

static int set_up_two(void **state)
{
    return set_up_slots(state, 2);
}

static int set_up_eight(void **state)
{
    return set_up_slots(state, 8);
}

static int tear_down(void **state)
{
    play_close(*state);
    return 0;
}

static void test_one_segment_goes_and_comes(void **state)
{
    struct fixture *f = *state;
    push_segment(f, 0, 100, 5);
    job_finish(f->job);
    settle(f);
    assert_int_equal(take_segment(f, 0, 5), 0);
    settle(f);
    expect(f, MESSAGE_SLOT_DRAIN); /* nothing else is at hand */
    give_results(f, 0, 100, 5, 5);
    expect_results(f, 0, 100, 5);
    struct job_output out = {0};
    assert_int_equal(next_output(f, &out, NULL), 0);
    assert_int_equal(out.type, JOB_ENDED);
}

static void test_window_is_kept(void **state)
{
    struct fixture *f = *state;
    push_segment(f, 0, 0, JOB_WINDOW_MESSAGES + 10);
    settle(f);
    expect(f, MESSAGE_SEGMENT_BEGIN); /* behind a PICTURE, whose credit is given back */
    for (int i = 2; i < JOB_WINDOW_MESSAGES; i++)
        expect(f, MESSAGE_SEGMENT_PACKET);
    expect_nothing(f);
    settle(f);
    expect(f, MESSAGE_SEGMENT_PACKET);
    expect_nothing(f);
    give_credit(f, 0, 4);
    settle(f);
    for (int i = 0; i < 4; i++)
        expect(f, MESSAGE_SEGMENT_PACKET);
    expect_nothing(f);
}

static void test_results_come_in_film_order(void **state)
{
    struct fixture *f = *state;
    push_segment(f, 0, 0, 3);
    push_segment(f, 1, 3, 3);
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 0);
    assert_int_equal(take_segment(f, 1, 3), 1);
    give_results(f, 1, 3, 3, 3);
    settle(f);
    give_results(f, 0, 0, 3, 3);
    expect_results(f, 0, 0, 3);
    expect_results(f, 1, 3, 3);
}

static void test_a_lost_segment_is_sent_again(void **state)
{
    struct fixture *f = *state;
    push_segment(f, 0, 7, 4);
    job_finish(f->job);
    settle(f);
    take_segment(f, 0, 4);
    give_result(f, 0, 0, 7, 1); /* part of a result that is lost with the slot */
    fail_slot(f, RGPU_ERROR_NODE);
    settle(f);
    expect(f, MESSAGE_SLOT_DRAIN);
    expect(f, MESSAGE_SLOT_RESET);
    assert_int_equal(take_segment(f, 0, 4), 0);
    assert_int_equal(job_retries(f->job), 1);
    give_results(f, 0, 7, 4, 4);
    expect_results(f, 0, 7, 4);
}

/* The slot fails while the next segment is on its way to it: both are sent again, in order, behind
 * the reset, and what the slot still says of the first attempt's start is not mixed in. */
static void test_a_slot_fails_with_two_segments_inside(void **state)
{
    struct fixture *f = *state;
    push_segment(f, 0, 0, 3);
    push_segment(f, 1, 3, 3);
    job_finish(f->job);
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 0);
    give_result(f, 0, 0, 0, 10);
    fail_slot(f, RGPU_ERROR_DEVICE); /* before it has looked at segment 1 */
    settle(f);
    assert_int_equal(job_packets_received(f->job, 0), 0);
    assert_int_equal(take_segment(f, 0, 3), 1); /* the first attempt's */
    settle(f);
    struct message msg = receive(f);
    while (msg.type == MESSAGE_SLOT_DRAIN) {
        message_done(&msg);
        msg = receive(f);
    }
    assert_int_equal(msg.type, MESSAGE_SLOT_RESET);
    assert_int_equal(take_segment(f, 0, 3), 0);
    assert_int_equal(take_segment(f, 0, 3), 1);
    assert_int_equal(job_retries(f->job), 2);
    give_results(f, 0, 0, 3, 3);
    give_results(f, 1, 3, 3, 3);
    expect_results(f, 0, 0, 3);
    expect_results(f, 1, 3, 3);
}

/* What has gone out cannot be taken back: the slot's failure is the job's. */
static void test_a_committed_segment_is_not_retried(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    struct error err = {0};
    push_segment(f, 0, 0, 3);
    settle(f);
    give_result(f, 0, 0, 0, SEGMENT_RESULT_BYTES + 1);
    assert_int_equal(next_output(f, &out, NULL), 0);
    assert_int_equal(out.type, JOB_PACKET);
    job_output_done(&out);
    fail_slot(f, RGPU_ERROR_NODE);
    assert_int_equal(next_output(f, &out, &err), RGPU_ERROR_NODE);
    assert_string_equal(err.text, "the encoder is broken");
}

/* The sound of a segment waits as long as its pictures do: after a minute they go out. */
static void test_a_long_segment_goes_out_as_it_comes(void **state)
{
    struct fixture f = {0};
    struct job_params params = {.renditions_count = 1, .source = {.time_base = {1, 1}}};
    struct job_output out = {0};
    (void)state;
    play_open(&f, &params, 1);
    push_segment(&f, 0, 0, 100);
    settle(&f);
    for (int64_t pts = 0; pts <= SEGMENT_RESULT_SECONDS; pts++)
        give_result(&f, 0, 0, pts, 10);
    assert_int_equal(next_output(&f, &out, NULL), RGPU_ERROR_AGAIN);
    give_result(&f, 0, 0, SEGMENT_RESULT_SECONDS + 1, 10);
    for (int64_t pts = 0; pts <= SEGMENT_RESULT_SECONDS + 1; pts++) {
        assert_int_equal(next_output(&f, &out, NULL), 0);
        assert_true(out.type == JOB_PACKET && out.packet.pts == pts);
        job_output_done(&out);
    }
    assert_int_equal(next_output(&f, &out, NULL), RGPU_ERROR_AGAIN);
    play_close(&f);
}

/* The link is full when a reset is due: dispatch goes on without waiting, and sends it later. */
static void test_a_reset_waits_for_room(void **state)
{
    struct fixture *f = *state;
    for (uint32_t id = 0; id < 8; id++)
        push_segment(f, id, 100 * (int64_t)id, 60);
    settle(f); /* 8 slots with up to a window each, more than the link takes */
    fail_slot(f, RGPU_ERROR_NODE);
    settle(f);
    int messages = 0, resets = 0;
    struct message msg = {0};
    for (int round = 0; round < 4; round++) {
        while (link_receive(f->node, 0, &msg) == 0) {
            messages++;
            resets += msg.type == MESSAGE_SLOT_RESET;
            message_done(&msg);
        }
        settle(f);
    }
    assert_true(messages > LINK_QUEUE_MESSAGES);
    assert_int_equal(resets, 1);
}

/* Raw pictures are large: few are under way, few wait. */
static void test_raw_frames_are_counted(void **state)
{
    struct fixture f = {0};
    struct job_params params = {.renditions_count = 1, .raw_input = true, .streaming = true};
    (void)state;
    play_open(&f, &params, 1);
    assert_int_equal(job_begin(f.job, 0, 0, 0), 0);
    int pushed = 0;
    for (; job_accepts(f.job) && pushed < 1000; pushed++) {
        struct frame *frame = frame_new(PIXEL_YUV420P, 64, 64);
        frame->pts = pushed;
        assert_int_equal(job_frame(f.job, &frame), 0);
        settle(&f);
    }
    assert_in_range(pushed, JOB_UNSENT_FRAMES, JOB_UNSENT_FRAMES + JOB_WINDOW_FRAMES);
    job_close(&f.job);
    link_close(&f.node);
}

static void test_attempts_end(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    struct error err = {0};
    push_segment(f, 0, 0, 1);
    settle(f);
    for (int i = 0; i < SEGMENT_ATTEMPTS_MAX; i++) {
        fail_slot(f, RGPU_ERROR_MEMORY);
        if (i + 1 < SEGMENT_ATTEMPTS_MAX)
            settle(f);
    }
    assert_int_equal(next_output(f, &out, &err), RGPU_ERROR_MEMORY);
    assert_string_equal(err.text, "the encoder is broken");
}

static void test_what_cannot_help_is_not_retried(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    push_segment(f, 0, 0, 1);
    settle(f);
    fail_slot(f, RGPU_ERROR_UNSUPPORTED);
    assert_int_equal(next_output(f, &out, NULL), RGPU_ERROR_UNSUPPORTED);
}

/* A result that lacks packets is asked for again, as long as there are attempts. */
static void test_wrong_count_is_sent_again(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    struct error err = {0};
    push_segment(f, 0, 0, 3);
    push_segment(f, 1, 3, 3);
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 0);
    assert_int_equal(take_segment(f, 0, 3), 1);
    give_results(f, 0, 0, 3, 4);
    settle(f);
    assert_int_equal(job_retries(f->job), 1);
    assert_int_equal(job_packets_received(f->job, 0), 0);
    give_results(f, 1, 3, 3, 3); /* what else the slot had is not lost */
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 0);
    give_results(f, 0, 0, 3, 3);
    expect_results(f, 0, 0, 3);
    expect_results(f, 1, 3, 3);

    push_segment(f, 2, 6, 3);
    for (int i = 0; i < SEGMENT_ATTEMPTS_MAX; i++) {
        settle(f);
        assert_int_equal(take_segment(f, 0, 3), 2);
        give_results(f, 2, 6, 3, 2);
    }
    assert_int_equal(next_output(f, &out, &err), RGPU_ERROR_NODE);
    assert_non_null(strstr(err.text, "3 packets instead of 2"));
}

static void test_missing_frames_are_counted(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    push_segment(f, 0, 0, 3);
    settle(f);
    give_results(f, 0, 0, 2, 2);
    while (next_output(f, &out, NULL) == 0 && out.type != JOB_SEGMENT_DONE)
        job_output_done(&out);
    assert_int_equal(out.type, JOB_SEGMENT_DONE);
    assert_int_equal(out.frames_missing, 1);
}

static void test_lost_link_fails_the_job(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    push_segment(f, 0, 0, 3);
    settle(f);
    link_shutdown(f->node);
    assert_int_equal(next_output(f, &out, NULL), RGPU_ERROR_NODE);
}

static void test_another_node_takes_over(void **state)
{
    struct fixture *f = *state;
    struct fixture other;
    push_segment(f, 0, 5, 2);
    settle(f);
    play_join(&other, f->job, 2, 1);
    settle(f);
    struct job_output out = {0};
    link_shutdown(f->node);
    assert_int_equal(next_output(f, &out, NULL), 0);
    assert_int_equal(out.type, JOB_NOTE); /* which says so */
    assert_int_equal(take_segment(&other, 0, 2), 0);
    give_results(&other, 0, 5, 2, 2);
    expect_results(f, 0, 5, 2);
    link_close(&other.node);
}

static void test_reading_ahead_is_bounded(void **state)
{
    struct fixture *f = *state;
    int pushed = 0;
    settle(f);
    assert_int_equal(job_begin(f->job, 0, 0, 0), 0);
    while (job_accepts(f->job) && pushed < 100000) {
        uint8_t block[4096] = {0};
        struct packet pkt = {.buf = buffer_copy(block, sizeof(block)), .size = sizeof(block)};
        assert_int_equal(job_packet(f->job, &pkt), 0);
        pushed++;
        settle(f);
    }
    /* What the window took and what may wait behind it. */
    assert_in_range(pushed, JOB_UNSENT_PACKETS, JOB_UNSENT_PACKETS + JOB_WINDOW_MESSAGES + 1);
}

static void test_notes_once_and_headers_alike(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    for (int i = 0; i < 2; i++) {
        say_error(f, MESSAGE_NOTE, 0, 0, "4:2:2 is encoded as 4:2:0");
        say_header(f, 1, "abc");
    }
    assert_int_equal(next_output(f, &out, NULL), 0);
    assert_int_equal(out.type, JOB_NOTE);
    settle(f); /* the header was given before */
    say_header(f, 1, "abd");
    assert_int_equal(next_output(f, &out, NULL), RGPU_ERROR_NODE);
}

/* A job on one node with one slot, of one segment of 25 frames that is about to be sent. */
static void open_rates(struct fixture *f, const struct job_params *wanted)
{
    struct job_params params = *wanted;
    play_open(f, &params, 1);
    push_segment(f, 0, 0, 25);
    job_finish(f->job);
    settle(f);
}

/* Waits for the segment and answers with packets of so many bytes for each rendition. */
static struct message answer_segment(struct fixture *f, int renditions, size_t size)
{
    settle(f); /* sends what was put back */
    struct message msg = receive(f);
    while (msg.type != MESSAGE_SEGMENT_BEGIN) {
        message_done(&msg);
        settle(f);
        msg = receive(f);
    }
    say(f, (struct message){.type = MESSAGE_CREDIT, .credits = 25});
    struct message done = {.type = MESSAGE_SEGMENT_DONE};
    assert_int_equal(message_block(&done), 0);
    *done.done = (struct segment_done){.frames = 25};
    for (int i = 0; i < 25; i++) {
        for (int r = 0; r < renditions; r++) {
            struct message result = {.type = MESSAGE_RESULT,
                                     .packet = play_packet(i, (uint32_t)r, size)};
            result.packet.duration = 1;
            say(f, result);
            done.done->packets[r]++;
        }
        done.done->pts_digest = pts_digest_add(done.done->pts_digest, i);
    }
    say(f, done);
    return msg;
}

/* Takes all that is left: the number of packets, and the text of the last note. */
static int take_rest(struct fixture *f, char note[ERROR_TEXT_MAX])
{
    struct job_output out = {0};
    int packets = 0, notes = 0;
    note[0] = '\0';
    while (next_output(f, &out, NULL) == 0 && out.type != JOB_ENDED) {
        if (out.type == JOB_NOTE && ++notes)
            snprintf(note, ERROR_TEXT_MAX, "%s", out.note);
        packets += out.type == JOB_PACKET;
        job_output_done(&out);
    }
    assert_true(notes <= 1);
    assert_int_equal(out.type, JOB_ENDED);
    job_close(&f->job);
    link_close(&f->node);
    return packets;
}

/* A film at 100 kbit/s at most (150,000 bits a second, buffer 300,000) whose segment is ten times
 * that must come back for another try with less, and be taken with a note in the end. */
static void test_a_segment_that_breaks_the_bucket_is_redone(void **state)
{
    (void)state;
    struct fixture f = {0};
    char note[ERROR_TEXT_MAX];
    struct job_params params = {.renditions_count = 2, .source = {.time_base = {1, 25}}};
    for (int r = 0; r < 2; r++)
        params.renditions[r] =
            (struct rendition_params){.codec = "h264", .rate = RATE_VBR, .bit_rate_bps = 100000};
    params.renditions[1].bit_rate_bps = 100000000; /* never in danger */
    open_rates(&f, &params);
    int last = 1001;
    for (int attempt = 0; attempt <= SEGMENT_REDO_MAX; attempt++) {
        const struct message begin = answer_segment(&f, 2, 1500000 / 8 / 25);
        assert_true(begin.permille[0] < last);
        assert_int_equal(begin.permille[1], 1000);
        last = begin.permille[0];
        if (attempt < SEGMENT_REDO_MAX)
            settle(&f);
    }
    assert_int_equal(job_retries(f.job), SEGMENT_REDO_MAX);
    assert_int_equal(take_rest(&f, note), 50);
    assert_non_null(strstr(note, "h264 8192x8192"));
    assert_non_null(strstr(note, "peak bit rate is 1500.0 kbit/s instead of 150.0"));
}

/* Results that go out before the segment is whole cannot be had again, but they are counted: the
 * peak is told, and the segment behind them joins what they have left. */
static void test_a_long_segment_that_breaks_the_bucket_is_noted(void **state)
{
    (void)state;
    for (int burst = 0; burst < 2; burst++) {
        struct fixture f = {0};
        char note[ERROR_TEXT_MAX];
        struct job_params params = {.renditions_count = 1, .source = {.time_base = {1, 1}}};
        params.renditions[0] =
            (struct rendition_params){.codec = "h264", .rate = RATE_VBR, .bit_rate_bps = 100000};
        struct segment_done done = {.frames = 100, .packets = {100}};
        play_open(&f, &params, 1);
        push_segment(&f, 0, 0, 100);
        job_finish(f.job);
        settle(&f);
        take_segment(&f, 0, 100);
        for (int64_t pts = 0; pts < 100; pts++) {
            const bool large = burst && pts >= 20 && pts < 30;
            give_result(&f, 0, 0, pts, large ? 100000 : 10000);
            done.pts_digest = pts_digest_add(done.pts_digest, pts);
        }
        struct job_output out = {0};
        for (int i = 0; i < 100; i++) { /* before "done" is said */
            assert_int_equal(next_output(&f, &out, NULL), 0);
            assert_int_equal(out.type, JOB_PACKET);
            job_output_done(&out);
        }
        give_done(&f, 0, &done);
        assert_int_equal(take_rest(&f, note), 0);
        /* 8,000,000 bits where the buffer and nine seconds have 1,650,000. */
        if (burst)
            assert_non_null(strstr(note, "the peak bit rate is 727.3 kbit/s instead of 150.0"));
        else
            assert_string_equal(note, "");
    }
}

/* Retries do not go below the least bit rate that encoders have, and stop where that is reached. */
static void test_retries_keep_the_least_bit_rate(void **state)
{
    (void)state;
    static const struct {
        int64_t bit_rate_bps;
        int retries;
    } cases[] = {{1000, 0}, {1001, 0}, {1300, 1}, {2000, 1}, {3999, 2}, {5000, 2}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f = {0};
        char note[ERROR_TEXT_MAX];
        struct job_params params = {
            .renditions_count = 1,
            .source = {.time_base = {1, 25}},
            .renditions = {{.codec = "hevc", .rate = RATE_VBR}},
        };
        params.renditions[0].bit_rate_bps = cases[i].bit_rate_bps;
        open_rates(&f, &params);
        for (int attempt = 0; attempt <= cases[i].retries; attempt++) {
            const struct message begin = answer_segment(&f, 1, 1000);
            assert_true(cases[i].bit_rate_bps * begin.permille[0] / 1000 >= BIT_RATE_BPS_MIN);
            assert_true((begin.permille[0] == 1000) == (attempt == 0));
            if (attempt < cases[i].retries)
                settle(&f);
        }
        assert_int_equal(take_rest(&f, note), 25);
        assert_non_null(strstr(note, "--bitrate"));
    }
}

/* Renditions that are held to no peak are told of too, by their average; a short film may begin
 * with a full buffer. */
static void test_an_average_far_above_the_target_is_noted(void **state)
{
    (void)state;
    static const struct {
        size_t size; /* of each of 25 packets */
        const char *note;
    } cases[] = {
        {1000, "av1 8192x8192: the average bit rate is 200.0 kbit/s instead of 10.0"},
        {200, ""}, /* 40,000 bits: 20,000 and a buffer of 30,000 */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture f = {0};
        char note[ERROR_TEXT_MAX];
        const struct job_params params = {
            .renditions_count = 1,
            .source = {.time_base = {1, 25}},
            .renditions = {{.codec = "av1", .rate = RATE_VBR, .bit_rate_bps = 10000}},
        };
        open_rates(&f, &params);
        answer_segment(&f, 1, cases[i].size);
        assert_int_equal(take_rest(&f, note), 25);
        assert_int_equal(strncmp(note, cases[i].note, strlen(cases[i].note)), 0);
        assert_int_equal(note[0] != '\0', cases[i].note[0] != '\0');
    }
}

int main(void)
{
#define WITH_ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_ONE(test_one_segment_goes_and_comes),
        WITH_ONE(test_window_is_kept),
        cmocka_unit_test_setup_teardown(test_results_come_in_film_order, set_up_two, tear_down),
        WITH_ONE(test_a_lost_segment_is_sent_again),
        WITH_ONE(test_a_slot_fails_with_two_segments_inside),
        WITH_ONE(test_a_committed_segment_is_not_retried),
        cmocka_unit_test(test_a_long_segment_goes_out_as_it_comes),
        cmocka_unit_test_setup_teardown(test_a_reset_waits_for_room, set_up_eight, tear_down),
        cmocka_unit_test(test_raw_frames_are_counted),
        WITH_ONE(test_attempts_end),
        WITH_ONE(test_what_cannot_help_is_not_retried),
        WITH_ONE(test_wrong_count_is_sent_again),
        WITH_ONE(test_missing_frames_are_counted),
        WITH_ONE(test_lost_link_fails_the_job),
        WITH_ONE(test_another_node_takes_over),
        WITH_ONE(test_reading_ahead_is_bounded),
        WITH_ONE(test_notes_once_and_headers_alike),
        cmocka_unit_test(test_a_segment_that_breaks_the_bucket_is_redone),
        cmocka_unit_test(test_a_long_segment_that_breaks_the_bucket_is_noted),
        cmocka_unit_test(test_retries_keep_the_least_bit_rate),
        cmocka_unit_test(test_an_average_far_above_the_target_is_noted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
