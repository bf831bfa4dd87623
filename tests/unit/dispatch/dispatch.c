/* Dispatch against a node that the test plays itself, message by message: order, credits, retries,
 * what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "dispatch/dispatch.h"
#include "dispatch/segment.h"
#include "media/digest.h"

struct fixture {
    struct job *job;
    struct link *node;
};

static struct message receive(struct fixture *f)
{
    struct message msg = {0};
    assert_int_equal(link_receive(f->node, 1000, &msg), 0);
    return msg;
}

static void expect(struct fixture *f, enum message_type type)
{
    struct message msg = receive(f);
    assert_int_equal(msg.type, type);
    message_done(&msg);
}

static void say(struct fixture *f, struct message msg)
{
    msg.job = 1;
    assert_int_equal(link_send(f->node, &msg, 0), 0);
}

/* Lets dispatch work; there must be no output. */
static void settle(struct fixture *f)
{
    struct job_output out = {0};
    assert_int_equal(job_next(f->job, &out, NULL), RGPU_ERROR_AGAIN);
}

static int set_up_slots(void **state, int slots)
{
    static struct fixture f;
    struct link *near;
    struct job_params params = {.renditions_count = 2};
    f = (struct fixture){0};
    *state = &f;
    assert_int_equal(job_open(&f.job, &params, NULL), 0);
    assert_int_equal(link_memory_pair(&near, &f.node), 0);
    assert_int_equal(job_add_node(f.job, near, NULL), 0);
    expect(&f, MESSAGE_JOB_CREATE);
    say(&f, (struct message){.type = MESSAGE_JOB_ACK, .slots = slots});
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
    struct fixture *f = *state;
    job_close(&f->job);
    link_close(&f->node);
    return 0;
}

/* A segment of `count` packets with one byte each and pts start, start + 1, ... */
static void push_segment(struct fixture *f, uint32_t id, int64_t start, int count)
{
    uint64_t digest = 0;
    assert_int_equal(job_begin(f->job, id, start, (uint64_t)start), 0);
    for (int i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)i;
        struct packet pkt = {.buf = buffer_copy(&byte, 1), .size = 1, .pts = start + i};
        pkt.data = pkt.buf->data;
        digest = pts_digest_add(digest, pkt.pts);
        assert_int_equal(job_packet(f->job, &pkt), 0);
    }
    assert_int_equal(job_end(f->job, count, digest), 0);
}

static void give_credit(struct fixture *f, uint32_t slot, int credits)
{
    say(f, (struct message){.type = MESSAGE_CREDIT, .slot = slot, .credits = credits});
}

/* Takes a segment off the link, as a node would, returning credits; gives its id. */
static uint32_t take_segment(struct fixture *f, uint32_t slot, int count)
{
    struct message begin = receive(f);
    assert_int_equal(begin.type, MESSAGE_SEGMENT_BEGIN);
    assert_int_equal(begin.slot, slot);
    give_credit(f, slot, 2); /* this one's, and the end's */
    for (int i = 0; i < count; i++) {
        struct message msg = receive(f);
        assert_int_equal(msg.type, MESSAGE_SEGMENT_PACKET);
        assert_int_equal(msg.packet.pts, begin.pts + i);
        message_done(&msg);
        give_credit(f, slot, 1);
        settle(f);
    }
    expect(f, MESSAGE_SEGMENT_END);
    return begin.segment;
}

static void give_results(struct fixture *f, uint32_t segment, int64_t start, int count,
                         int promised)
{
    uint64_t digest = 0;
    for (int i = 0; i < count; i++) {
        digest = pts_digest_add(digest, start + i);
        for (uint32_t r = 0; r < 2; r++) {
            struct message msg = {.type = MESSAGE_RESULT, .segment = segment};
            msg.packet = (struct packet){.pts = start + i, .rendition = r, .size = 10};
            say(f, msg);
        }
    }
    struct message done = {.type = MESSAGE_SEGMENT_DONE, .segment = segment};
    assert_int_equal(message_block(&done), 0);
    *done.done = (struct segment_done){.frames = count, .pts_digest = digest};
    done.done->packets[0] = done.done->packets[1] = promised;
    say(f, done);
}

static void expect_results(struct fixture *f, uint32_t segment, int64_t start, int count)
{
    struct job_output out = {0};
    for (int i = 0; i < 2 * count; i++) {
        assert_int_equal(job_next(f->job, &out, NULL), 0);
        assert_int_equal(out.type, JOB_PACKET);
        assert_int_equal(out.segment, segment);
        assert_int_equal(out.packet.pts, start + i / 2);
        job_output_done(&out);
    }
    assert_int_equal(job_next(f->job, &out, NULL), 0);
    assert_int_equal(out.type, JOB_SEGMENT_DONE);
    assert_int_equal(out.segment, segment);
    assert_int_equal(out.frames_missing, 0);
    job_output_done(&out);
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
    assert_int_equal(job_next(f->job, &out, NULL), 0);
    assert_int_equal(out.type, JOB_ENDED);
}

static void test_window_is_kept(void **state)
{
    struct fixture *f = *state;
    push_segment(f, 0, 0, JOB_WINDOW_MESSAGES + 10);
    settle(f);
    expect(f, MESSAGE_SEGMENT_BEGIN);
    for (int i = 1; i < JOB_WINDOW_MESSAGES; i++)
        expect(f, MESSAGE_SEGMENT_PACKET);
    settle(f);
    struct message none = {0};
    assert_int_equal(link_receive(f->node, 0, &none), RGPU_ERROR_AGAIN);
    give_credit(f, 0, 4);
    settle(f);
    for (int i = 0; i < 4; i++)
        expect(f, MESSAGE_SEGMENT_PACKET);
    assert_int_equal(link_receive(f->node, 0, &none), RGPU_ERROR_AGAIN);
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

static void fail_slot(struct fixture *f, int code)
{
    struct message msg = {.type = MESSAGE_SLOT_FAILED};
    assert_int_equal(message_block(&msg), 0);
    error_set(msg.error, code, "the encoder is broken");
    say(f, msg);
}

static void test_a_lost_segment_is_sent_again(void **state)
{
    struct fixture *f = *state;
    push_segment(f, 0, 7, 4);
    job_finish(f->job);
    settle(f);
    take_segment(f, 0, 4);
    struct message stray = {.type = MESSAGE_RESULT, .packet = {.pts = 7, .size = 1}};
    say(f, stray); /* part of a result that is lost with the slot */
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
    say(f, (struct message){.type = MESSAGE_RESULT, .packet = {.pts = 0, .size = 10}});
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
    const struct packet large = {.pts = 0, .size = SEGMENT_RESULT_BYTES + 1};
    say(f, (struct message){.type = MESSAGE_RESULT, .packet = large});
    assert_int_equal(job_next(f->job, &out, NULL), 0);
    assert_int_equal(out.type, JOB_PACKET);
    fail_slot(f, RGPU_ERROR_NODE);
    assert_int_equal(job_next(f->job, &out, &err), RGPU_ERROR_NODE);
    assert_string_equal(err.text, "the encoder is broken");
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

/* What a node says twice counts once. */
static void test_a_segment_is_done_once(void **state)
{
    struct fixture *f = *state;
    push_segment(f, 0, 0, 3);
    push_segment(f, 1, 3, 3);
    settle(f);
    give_results(f, 1, 3, 3, 3);
    give_results(f, 1, 3, 3, 3);
    settle(f);
    give_results(f, 0, 0, 3, 3);
    expect_results(f, 0, 0, 3);
    expect_results(f, 1, 3, 3);
}

/* Raw pictures are large: few are under way, few wait. */
static void test_raw_frames_are_counted(void **state)
{
    struct fixture f = {0};
    struct link *near;
    struct job_params params = {.renditions_count = 1, .raw_input = true, .streaming = true};
    (void)state;
    assert_int_equal(job_open(&f.job, &params, NULL), 0);
    assert_int_equal(link_memory_pair(&near, &f.node), 0);
    assert_int_equal(job_add_node(f.job, near, NULL), 0);
    expect(&f, MESSAGE_JOB_CREATE);
    say(&f, (struct message){.type = MESSAGE_JOB_ACK, .slots = 1});
    settle(&f);
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
    assert_int_equal(job_next(f->job, &out, &err), RGPU_ERROR_MEMORY);
    assert_string_equal(err.text, "the encoder is broken");
}

static void test_what_cannot_help_is_not_retried(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    push_segment(f, 0, 0, 1);
    settle(f);
    fail_slot(f, RGPU_ERROR_UNSUPPORTED);
    assert_int_equal(job_next(f->job, &out, NULL), RGPU_ERROR_UNSUPPORTED);
}

static void test_wrong_count_is_refused(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    push_segment(f, 0, 0, 3);
    settle(f);
    give_results(f, 0, 0, 3, 4);
    assert_int_equal(job_next(f->job, &out, NULL), RGPU_ERROR_NODE);
}

static void test_missing_frames_are_counted(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    push_segment(f, 0, 0, 3);
    settle(f);
    give_results(f, 0, 0, 2, 2);
    while (job_next(f->job, &out, NULL) == 0 && out.type != JOB_SEGMENT_DONE)
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
    assert_int_equal(job_next(f->job, &out, NULL), RGPU_ERROR_NODE);
}

static void test_another_node_takes_over(void **state)
{
    struct fixture *f = *state;
    struct fixture other = {.job = f->job};
    struct link *near;
    push_segment(f, 0, 5, 2);
    settle(f);
    assert_int_equal(link_memory_pair(&near, &other.node), 0);
    assert_int_equal(job_add_node(f->job, near, NULL), 0);
    expect(&other, MESSAGE_JOB_CREATE);
    say(&other, (struct message){.type = MESSAGE_JOB_ACK, .slots = 1});
    settle(f);
    link_shutdown(f->node);
    settle(f);
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
        struct message note = {.type = MESSAGE_NOTE};
        assert_int_equal(message_block(&note), 0);
        error_set(note.error, 0, "4:2:2 is encoded as 4:2:0");
        say(f, note);
        struct message header = {.type = MESSAGE_HEADER, .rendition = 1};
        assert_int_equal(message_block(&header), 0);
        header.track->extradata = buffer_copy("abc", 3);
        say(f, header);
    }
    assert_int_equal(job_next(f->job, &out, NULL), 0);
    assert_int_equal(out.type, JOB_NOTE);
    assert_int_equal(job_next(f->job, &out, NULL), 0);
    assert_int_equal(out.type, JOB_HEADER);
    assert_int_equal(out.rendition, 1);
    job_output_done(&out);
    settle(f);
    struct message other = {.type = MESSAGE_HEADER, .rendition = 1};
    assert_int_equal(message_block(&other), 0);
    other.track->extradata = buffer_copy("abd", 3);
    say(f, other);
    assert_int_equal(job_next(f->job, &out, NULL), RGPU_ERROR_NODE);
}

/* A film at 100 kbit/s at most (150,000 bits a second, buffer 300,000) whose segment is ten times
 * that must come back for another try with less, and be taken with a note in the end. */
static void test_a_segment_that_breaks_the_bucket_is_redone(void **state)
{
    struct fixture f = {0};
    struct link *near;
    (void)state;
    struct job_params params = {.renditions_count = 2, .source = {.time_base = {1, 25}}};
    for (int r = 0; r < 2; r++)
        params.renditions[r] =
            (struct rendition_params){.codec = "h264", .rate = RATE_VBR, .bit_rate_bps = 100000};
    params.renditions[1].bit_rate_bps = 100000000; /* never in danger */
    assert_int_equal(job_open(&f.job, &params, NULL), 0);
    assert_int_equal(link_memory_pair(&near, &f.node), 0);
    assert_int_equal(job_add_node(f.job, near, NULL), 0);
    expect(&f, MESSAGE_JOB_CREATE);
    say(&f, (struct message){.type = MESSAGE_JOB_ACK, .slots = 1});
    push_segment(&f, 0, 0, 25);
    job_finish(f.job);
    settle(&f);
    int last = 1001;
    for (int attempt = 0; attempt <= SEGMENT_REDO_MAX; attempt++) {
        settle(&f); /* sends what was put back */
        struct message msg = receive(&f);
        while (msg.type != MESSAGE_SEGMENT_BEGIN) {
            message_done(&msg);
            settle(&f);
            msg = receive(&f);
        }
        assert_true(msg.permille[0] < last);
        assert_int_equal(msg.permille[1], 1000);
        last = msg.permille[0];
        say(&f, (struct message){.type = MESSAGE_CREDIT, .credits = 25});
        for (int i = 0; i < 50; i++) {
            struct message result = {.type = MESSAGE_RESULT};
            result.packet = (struct packet){
                .pts = i / 2, .rendition = (uint32_t)(i % 2), .size = 1500000 / 8 / 25};
            say(&f, result);
        }
        struct message done = {.type = MESSAGE_SEGMENT_DONE};
        assert_int_equal(message_block(&done), 0);
        *done.done = (struct segment_done){.frames = 25, .packets = {25, 25}};
        for (int i = 0; i < 25; i++)
            done.done->pts_digest = pts_digest_add(done.done->pts_digest, i);
        say(&f, done);
        if (attempt < SEGMENT_REDO_MAX)
            settle(&f);
    }
    assert_int_equal(job_retries(f.job), SEGMENT_REDO_MAX);
    struct job_output out = {0};
    bool noted = false;
    int packets = 0;
    while (job_next(f.job, &out, NULL) == 0 && out.type != JOB_ENDED) {
        noted |= out.type == JOB_NOTE && strstr(out.note, "peak bit rate") != NULL;
        packets += out.type == JOB_PACKET;
        job_output_done(&out);
    }
    assert_int_equal(packets, 50);
    assert_true(noted);
    job_close(&f.job);
    link_close(&f.node);
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
        cmocka_unit_test_setup_teardown(test_a_reset_waits_for_room, set_up_eight, tear_down),
        WITH_ONE(test_a_segment_is_done_once),
        cmocka_unit_test(test_raw_frames_are_counted),
        WITH_ONE(test_attempts_end),
        WITH_ONE(test_what_cannot_help_is_not_retried),
        WITH_ONE(test_wrong_count_is_refused),
        WITH_ONE(test_missing_frames_are_counted),
        WITH_ONE(test_lost_link_fails_the_job),
        WITH_ONE(test_another_node_takes_over),
        WITH_ONE(test_reading_ahead_is_bounded),
        WITH_ONE(test_notes_once_and_headers_alike),
        cmocka_unit_test(test_a_segment_that_breaks_the_bucket_is_redone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
