/* Dispatch against nodes that do not keep to the protocol, give what was not asked for, refuse or
 * hang up. */
#include "play.h"

#include <limits.h>
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

static int tear_down(void **state)
{
    play_close(*state);
    return 0;
}

/* The job's error after its outputs, of which the last note is kept. */
static int outcome(struct fixture *f, struct error *err, char note[ERROR_TEXT_MAX])
{
    struct job_output out = {0};
    int ret = 0;
    note[0] = '\0';
    for (int i = 0; i < 1000 && (ret = next_output(f, &out, err)) == 0; i++) {
        if (out.type == JOB_NOTE)
            snprintf(note, ERROR_TEXT_MAX, "%s", out.note);
        job_output_done(&out);
    }
    return ret;
}

static void expect_note(struct fixture *f, const char *text)
{
    struct job_output out = {0};
    assert_int_equal(next_output(f, &out, NULL), 0);
    assert_int_equal(out.type, JOB_NOTE);
    assert_non_null(strstr(out.note, text));
}

/* Drops what is on the link. */
static void forget(struct fixture *f)
{
    struct message msg = {0};
    while (link_receive(f->node, 0, &msg) == 0)
        message_done(&msg);
}

/* ---- what may not be said ------------------------------------------------------------------ */

#define TB                                                                                         \
    {                                                                                              \
        1, 25                                                                                      \
    }
#define PICTURE_BYTES ((size_t)PLAY_SIZE * PLAY_SIZE * 17)

enum { BLOCK_NONE = 1, PAYLOAD_NONE = 2 };

struct said {
    struct message msg;
    int flags;
    struct segment_done done;
    struct track header;
};

static void say_as_is(struct fixture *f, const struct said *said)
{
    struct message msg = said->msg;
    if (!(said->flags & BLOCK_NONE))
        assert_int_equal(message_block(&msg), 0);
    if (msg.type == MESSAGE_SEGMENT_DONE && msg.done)
        *msg.done = said->done;
    if (msg.type == MESSAGE_HEADER && msg.track)
        *msg.track = said->header;
    if (msg.type == MESSAGE_RESULT && !(said->flags & PAYLOAD_NONE)) {
        const struct packet full = play_packet(0, 0, 1);
        msg.packet.buf = full.buf;
        msg.packet.data = full.data;
    }
    assert_int_equal(link_send(f->node, &msg, 0), 0);
}

/* To a node with two slots, the first of which has segment 0, with three packets. */
static void test_what_may_not_be_said_loses_the_node(void **state)
{
    static const struct said cases[] = {
        {.msg = {.type = 0, .job = 1}},
        {.msg = {.type = (enum message_type)999, .job = 1}},
        {.msg = {.type = MESSAGE_HELLO, .job = 1}},
        {.msg = {.type = MESSAGE_HELLO, .job = 1}, .flags = BLOCK_NONE},
        {.msg = {.type = MESSAGE_JOB_ACK, .job = 1, .slots = 2}},
        {.msg = {.type = MESSAGE_JOB_REJECT, .job = 1}},
        {.msg = {.type = MESSAGE_JOB_FINISHED, .job = 1}},
        {.msg = {.type = MESSAGE_SEGMENT_BEGIN, .job = 1}},
        {.msg = {.type = MESSAGE_SLOT_RESET, .job = 1}},
        {.msg = {.type = MESSAGE_CREDIT, .job = 2, .credits = 1}},
        {.msg = {.type = MESSAGE_CREDIT, .job = 1, .slot = 2, .credits = 1}},
        {.msg = {.type = MESSAGE_CREDIT, .job = 1, .slot = UINT32_MAX, .credits = 1}},
        {.msg = {.type = MESSAGE_CREDIT, .job = 1, .credits = -1}},
        {.msg = {.type = MESSAGE_CREDIT, .job = 1, .credits = 0}},
        {.msg = {.type = MESSAGE_CREDIT, .job = 1, .credits = 7}}, /* 6 were spent */
        {.msg = {.type = MESSAGE_CREDIT, .job = 1, .credits = INT_MAX}},
        {.msg = {.type = MESSAGE_CREDIT, .job = 1, .slot = 1, .credits = 1}},
        {.msg = {.type = MESSAGE_HEADER, .job = 1, .rendition = 2}},
        {.msg = {.type = MESSAGE_HEADER, .job = 1}, .flags = BLOCK_NONE},
        {.msg = {.type = MESSAGE_HEADER, .job = 1, .slot = 2}},
        {.msg = {.type = MESSAGE_HEADER, .job = 1},
         .header = {.height = PLAY_SIZE, .time_base = TB}},
        {.msg = {.type = MESSAGE_HEADER, .job = 1},
         .header = {.width = PLAY_SIZE, .height = -5, .time_base = TB}},
        {.msg = {.type = MESSAGE_HEADER, .job = 1},
         .header = {.width = PLAY_SIZE, .height = PLAY_SIZE}},
        {.msg = {.type = MESSAGE_HEADER, .job = 1},
         .header =
             {.width = PLAY_SIZE, .height = PLAY_SIZE, .time_base = TB, .reorder_frames = 65}},
        {.msg = {.type = MESSAGE_NOTE, .job = 1}, .flags = BLOCK_NONE},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .slot = 1}},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .segment = 1}},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .packet = {.rendition = 2, .size = 1}}},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .packet.size = 0}},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .packet.size = 1}, .flags = PAYLOAD_NONE},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .packet.size = PICTURE_BYTES}},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .packet = {.pts = PTS_NONE, .size = 1}}},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .packet = {.pts = INT64_MIN + 1, .size = 1}}},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .packet = {.pts = INT64_MAX, .size = 1}}},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .packet = {.duration = -1, .size = 1}}},
        {.msg = {.type = MESSAGE_RESULT, .job = 1, .packet = {.duration = INT64_MAX, .size = 1}}},
        {.msg = {.type = MESSAGE_SEGMENT_DONE, .job = 1}, .flags = BLOCK_NONE},
        {.msg = {.type = MESSAGE_SEGMENT_DONE, .job = 1, .slot = 1}},
        {.msg = {.type = MESSAGE_SEGMENT_DONE, .job = 1, .segment = 1}},
        {.msg = {.type = MESSAGE_SEGMENT_DONE, .job = 1}, .done = {.frames = -1}},
        {.msg = {.type = MESSAGE_SEGMENT_DONE, .job = 1}, .done = {.frames = INT64_MAX}},
        {.msg = {.type = MESSAGE_SEGMENT_DONE, .job = 1}, .done = {.corrupt_frames = -1}},
        {.msg = {.type = MESSAGE_SEGMENT_DONE, .job = 1}, .done = {.failed_packets = INT64_MIN}},
        {.msg = {.type = MESSAGE_SLOT_FAILED, .job = 1, .slot = 2}},
        {.msg = {.type = MESSAGE_SLOT_FAILED, .job = 1}, .flags = BLOCK_NONE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = *state;
        struct error err = {0};
        char note[ERROR_TEXT_MAX];
        push_segment(f, 0, 0, 3);
        settle(f);
        say_as_is(f, &cases[i]);
        const int ret = outcome(f, &err, note);
        if (ret != RGPU_ERROR_NODE || !strstr(err.text, "protocol"))
            print_error("case %zu: %d %s\n", i, ret, err.text);
        assert_int_equal(ret, RGPU_ERROR_NODE);
        assert_non_null(strstr(err.text, "cpu"));
        assert_non_null(strstr(err.text, "protocol"));
        tear_down(state);
        set_up_two(state);
    }
}

static void test_what_may_not_be_said_at_first_loses_the_node(void **state)
{
    static const struct message firsts[] = {
        {.type = MESSAGE_JOB_ACK, .job = 1, .slots = 1},
        {.type = MESSAGE_CREDIT, .job = 1, .credits = 1},
        {.type = MESSAGE_JOB_REJECT, .job = 1},
    };
    static const struct message seconds[] = {
        {.type = MESSAGE_JOB_ACK, .job = 1, .slots = 0},
        {.type = MESSAGE_JOB_ACK, .job = 1, .slots = -1},
        {.type = MESSAGE_JOB_ACK, .job = 1, .slots = JOB_SLOTS_MAX + 1},
        {.type = MESSAGE_JOB_ACK, .job = 1, .slots = 3}, /* 2 are wanted */
        {.type = MESSAGE_JOB_ACK, .job = 7, .slots = 2},
        {.type = MESSAGE_HEADER, .job = 1},
        {.type = MESSAGE_NOTE, .job = 1},
        {.type = MESSAGE_SLOT_FAILED, .job = 1},
    };
    (void)state;
    const size_t count = sizeof(firsts) / sizeof(firsts[0]);
    for (size_t i = 0; i < count + sizeof(seconds) / sizeof(seconds[0]); i++) {
        struct fixture f = {0};
        struct link *near;
        struct job_params params = {.renditions_count = 1, .slots = 2};
        struct error err = {0};
        char note[ERROR_TEXT_MAX];
        play_complete(&params);
        assert_int_equal(job_open(&f.job, &params, NULL), 0);
        assert_int_equal(link_memory_pair(&near, &f.node), 0);
        assert_int_equal(job_add_node(f.job, near, NULL), 0);
        const struct said hello = {.msg = {.type = MESSAGE_HELLO}};
        if (i >= count)
            say_as_is(&f, &hello);
        const struct said said = {.msg = i < count ? firsts[i] : seconds[i - count]};
        say_as_is(&f, &said);
        assert_int_equal(outcome(&f, &err, note), RGPU_ERROR_NODE);
        assert_non_null(strstr(err.text, "protocol"));
        play_close(&f);
    }
}

/* Results without a header before them. */
static void test_a_result_needs_its_header(void **state)
{
    (void)state;
    struct fixture f;
    struct job_params params = {.renditions_count = 1};
    struct job *job;
    struct error err = {0};
    char note[ERROR_TEXT_MAX];
    play_complete(&params);
    assert_int_equal(job_open(&job, &params, NULL), 0);
    play_join(&f, job, 0, 1);
    settle(&f);
    push_segment(&f, 0, 0, 2);
    settle(&f);
    give_result(&f, 0, 0, 0, 10);
    assert_int_equal(outcome(&f, &err, note), RGPU_ERROR_NODE);
    assert_non_null(strstr(err.text, "protocol"));
    play_close(&f);
}

/* "Done" before the node can know where the segment ends. Its slot still has the segment: nothing
 * may be freed under it. */
static void test_done_before_the_end_loses_the_node(void **state)
{
    for (int open = 0; open < 2; open++) {
        struct fixture *f = *state;
        struct error err = {0};
        char note[ERROR_TEXT_MAX];
        if (open) {
            assert_int_equal(job_begin(f->job, 0, 0, 0), 0);
            push_packet(f, 0);
        } else {
            push_segment(f, 0, 0, JOB_WINDOW_MESSAGES + 10);
        }
        settle(f);
        give_done(f, 0, &(struct segment_done){0});
        assert_int_equal(outcome(f, &err, note), RGPU_ERROR_NODE);
        assert_non_null(strstr(err.text, "protocol"));
        if (open)
            push_packet(f, 1);
        assert_int_equal(outcome(f, &err, note), RGPU_ERROR_NODE);
        tear_down(state);
        set_up(state);
    }
}

/* Once the end is told, a decoder without delay may be done before the last packets have come. */
static void test_done_between_tail_and_end_waits(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(job_begin(f->job, 0, 0, 0), 0);
    push_packet(f, 0);
    push_packet(f, 1);
    assert_int_equal(job_tail(f->job, 2), 0);
    push_packet(f, 2);
    settle(f);
    give_results(f, 0, 0, 2, 2);
    settle(f);
    push_packet(f, 3); /* the segment is still open */
    settle(f);
    uint64_t digest = pts_digest_add(pts_digest_add(0, 0), 1);
    assert_int_equal(job_end(f->job, 2, digest), 0);
    expect_results(f, 0, 0, 2);
    push_segment(f, 1, 2, 1);
    settle(f);
    forget(f);
    give_results(f, 1, 2, 1, 1);
    expect_results(f, 1, 2, 1);
}

static void test_a_segment_is_done_once(void **state)
{
    for (int twice = 0; twice < 2; twice++) {
        struct fixture *f = *state;
        struct error err = {0};
        char note[ERROR_TEXT_MAX];
        push_segment(f, 0, 0, 3);
        push_segment(f, 1, 3, 3);
        settle(f);
        give_results(f, 1, 3, 3, 3);
        if (twice)
            give_done(f, 1, &(struct segment_done){.frames = 3, .packets = {3, 3}});
        else
            give_result(f, 1, 0, 5, 10);
        assert_int_equal(outcome(f, &err, note), RGPU_ERROR_NODE);
        assert_non_null(strstr(err.text, "protocol"));
        tear_down(state);
        set_up(state);
    }
}

/* Codes of a failure that are none would end the job without an error, or never. */
static void test_a_failure_has_a_code(void **state)
{
    static const int codes[] = {0, 1, RGPU_ERROR_AGAIN, RGPU_ERROR_END, RGPU_ERROR_CANCELLED, -99};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct fixture *f = *state;
        struct error err = {0};
        char note[ERROR_TEXT_MAX];
        push_segment(f, 0, 0, 1);
        for (int k = 0; k < SEGMENT_ATTEMPTS_MAX; k++) {
            settle(f);
            fail_slot(f, codes[i]);
        }
        assert_int_equal(outcome(f, &err, note), RGPU_ERROR_NODE);
        assert_string_equal(err.text, "the encoder is broken");
        tear_down(state);
        set_up(state);
    }
}

/* ---- several nodes ------------------------------------------------------------------------- */

static void test_a_broken_node_of_two_is_left(void **state)
{
    struct fixture *f = *state, other;
    push_segment(f, 0, 0, 3);
    settle(f);
    play_join(&other, f->job, 2, 1);
    settle(f);
    give_credit(f, 0, INT_MAX);
    expect_note(f, "protocol");
    assert_int_equal(take_segment(&other, 0, 3), 0);
    give_results(&other, 0, 0, 3, 3);
    expect_results(f, 0, 0, 3);
    link_close(&other.node);
}

static void join_and_reject(struct fixture *other, struct job *job, const char *text)
{
    struct link *near;
    *other = (struct fixture){.job = job};
    assert_int_equal(link_memory_pair(&near, &other->node), 0);
    assert_int_equal(job_add_node(job, near, NULL), 0);
    say_as_is(other, &(const struct said){.msg = {.type = MESSAGE_HELLO}});
    say_error(other, MESSAGE_JOB_REJECT, 0, RGPU_ERROR_UNSUPPORTED, text);
}

static void test_a_node_of_two_refuses(void **state)
{
    struct fixture *f = *state, other;
    push_segment(f, 0, 0, 3);
    settle(f);
    join_and_reject(&other, f->job, "no encoder for av1");
    expect_note(f, "no encoder for av1");
    assert_int_equal(take_segment(f, 0, 3), 0);
    give_results(f, 0, 0, 3, 3);
    expect_results(f, 0, 0, 3);
    link_close(&other.node);
}

static void test_all_nodes_refuse(void **state)
{
    (void)state;
    struct fixture one, two;
    struct job_params params = {.renditions_count = 1};
    struct job *job;
    struct error err = {0};
    char note[ERROR_TEXT_MAX];
    play_complete(&params);
    assert_int_equal(job_open(&job, &params, NULL), 0);
    join_and_reject(&one, job, "no encoder for hevc");
    join_and_reject(&two, job, "no encoder for av1");
    assert_int_equal(outcome(&one, &err, note), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "no encoder for av1"));
    link_close(&two.node);
    play_close(&one);
}

/* ---- frames -------------------------------------------------------------------------------- */

/* Answers segment 0, of three expected frames, with so many; `odd`: other time stamps. */
static void answer(struct fixture *f, uint32_t segment, int frames, bool odd)
{
    f->digest_of[segment] = odd ? 4711 + (uint64_t)frames : 0;
    give_results(f, segment, 3 * (int64_t)segment, frames, frames);
    f->digest_of[segment] = 0;
}

static struct job_output expect_segment(struct fixture *f, uint32_t segment, char *note)
{
    struct job_output out = {0};
    note[0] = '\0';
    while (next_output(f, &out, NULL) == 0 && out.type != JOB_SEGMENT_DONE) {
        if (out.type == JOB_NOTE)
            snprintf(note, ERROR_TEXT_MAX, "%s", out.note);
        job_output_done(&out);
    }
    assert_int_equal(out.type, JOB_SEGMENT_DONE);
    assert_int_equal(out.segment, segment);
    return out;
}

static void test_wrong_frames_are_sent_again(void **state)
{
    static const struct {
        int frames;
        bool odd;
        const char *note;
        int64_t wrong;
    } cases[] = {{5, false, "more frames", 2}, {3, true, "time stamps", 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture *f = *state;
        char note[ERROR_TEXT_MAX];
        /* Right the second time: nothing is said. */
        push_segment(f, 0, 0, 3);
        settle(f);
        assert_int_equal(take_segment(f, 0, 3), 0);
        answer(f, 0, cases[i].frames, cases[i].odd);
        settle(f);
        assert_int_equal(job_retries(f->job), 1);
        assert_int_equal(take_segment(f, 0, 3), 0);
        answer(f, 0, 3, false);
        expect_results(f, 0, 0, 3);
        /* Wrong again: counted, and said. */
        push_segment(f, 1, 3, 3);
        settle(f);
        assert_int_equal(take_segment(f, 0, 3), 1);
        answer(f, 1, cases[i].frames, cases[i].odd);
        settle(f);
        assert_int_equal(take_segment(f, 0, 3), 1);
        answer(f, 1, cases[i].frames, cases[i].odd);
        struct job_output out = expect_segment(f, 1, note);
        assert_int_equal(out.frames_wrong, cases[i].wrong);
        assert_int_equal(out.frames_missing, 0);
        assert_non_null(strstr(note, cases[i].note));
        /* Twice the same means that the source is like that: no more is done twice. */
        push_segment(f, 2, 6, 3);
        settle(f);
        assert_int_equal(take_segment(f, 0, 3), 2);
        answer(f, 2, cases[i].frames, cases[i].odd);
        out = expect_segment(f, 2, note);
        assert_int_equal(out.frames_wrong, cases[i].wrong);
        assert_int_equal(job_retries(f->job), 2);
        tear_down(state);
        set_up(state);
    }
}

/* Wrong in two ways is no habit of the source. */
static void test_other_wrong_frames_are_not_the_source(void **state)
{
    struct fixture *f = *state;
    char note[ERROR_TEXT_MAX];
    for (uint32_t id = 0; id < 2; id++) {
        push_segment(f, id, 3 * (int64_t)id, 3);
        settle(f);
        assert_int_equal(take_segment(f, 0, 3), id);
        answer(f, id, 5, false);
        settle(f);
        assert_int_equal(take_segment(f, 0, 3), id);
        answer(f, id, 4, false);
        assert_int_equal(expect_segment(f, id, note).frames_wrong, 1);
    }
    assert_int_equal(job_retries(f->job), 2);
}

/* Damage gives fewer frames, and nobody knows which. */
static void test_missing_frames_are_not_sent_again(void **state)
{
    struct fixture *f = *state;
    char note[ERROR_TEXT_MAX];
    push_segment(f, 0, 0, 3);
    settle(f);
    take_segment(f, 0, 3);
    answer(f, 0, 2, true);
    struct job_output out = expect_segment(f, 0, note);
    assert_int_equal(out.frames_missing, 1);
    assert_int_equal(out.frames_wrong, 0);
    assert_int_equal(job_retries(f->job), 0);
}

/* Where nothing is known of the frames, nothing is wrong with them. */
static void test_frames_without_expectation(void **state)
{
    struct fixture *f = *state;
    char note[ERROR_TEXT_MAX];
    assert_int_equal(job_begin(f->job, 0, 0, 0), 0);
    push_packet(f, 0);
    assert_int_equal(job_end(f->job, -1, 0), 0);
    settle(f);
    forget(f);
    answer(f, 0, 4, true);
    struct job_output out = expect_segment(f, 0, note);
    assert_int_equal(out.frames_wrong, 0);
    assert_int_equal(out.frames_missing, 0);
    assert_string_equal(note, "");

    struct fixture by_order;
    struct job_params params = {.renditions_count = 2, .timestamps_by_order = true};
    play_open(&by_order, &params, 1);
    push_segment(&by_order, 0, 0, 3);
    settle(&by_order);
    answer(&by_order, 0, 3, true);
    assert_int_equal(expect_segment(&by_order, 0, note).frames_wrong, 0);
    play_close(&by_order);
}

/* What has gone out is not sent again, but still counted. */
static void test_wrong_frames_of_what_has_gone_out(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    char note[ERROR_TEXT_MAX];
    push_segment(f, 0, 0, 1);
    settle(f);
    give_result(f, 0, 0, 0, SEGMENT_RESULT_BYTES + 1);
    assert_int_equal(next_output(f, &out, NULL), 0);
    assert_int_equal(out.type, JOB_PACKET);
    job_output_done(&out);
    give_done(f, 0, &(struct segment_done){.frames = 2, .packets = {1, 0}});
    assert_int_equal(expect_segment(f, 0, note).frames_wrong, 1);
    assert_non_null(strstr(note, "more frames"));
    assert_int_equal(job_retries(f->job), 0);
}

/* The second try goes to another slot where one is idle, and to another node before that. */
static void test_a_second_try_goes_elsewhere(void **state)
{
    struct fixture *f = *state, other;
    push_segment(f, 0, 0, 3);
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 0);
    answer(f, 0, 3, true);
    settle(f);
    assert_int_equal(take_segment(f, 1, 3), 0);
    play_join(&other, f->job, 2, 1);
    settle(f);
    give_results(f, 0, 0, 3, 2); /* wrong in another way */
    settle(f);
    assert_int_equal(take_segment(&other, 0, 3), 0);
    give_results(&other, 0, 0, 3, 3);
    expect_results(f, 0, 0, 3);
    link_close(&other.node);
}

/* A film has one header: the node that has another one is lost, and the job goes on elsewhere. */
static void test_another_header_loses_the_node(void **state)
{
    struct fixture *f = *state, other;
    play_join(&other, f->job, 2, 1);
    settle(f);
    push_segment(f, 0, 0, 3);
    settle(f);
    say_header(f, 1, "abd");
    expect_note(f, "node 0 (cpu): its encoder gives another header");
    assert_int_equal(take_segment(&other, 0, 3), 0);
    give_results(&other, 0, 0, 3, 3);
    expect_results(f, 0, 0, 3);
    link_close(&other.node);
}

static void lack_room(struct fixture *f, uint32_t slot)
{
    struct message msg = {.type = MESSAGE_SLOT_FAILED, .slot = slot, .lacks_room = true};
    assert_int_equal(message_block(&msg), 0);
    error_set(msg.error, RGPU_ERROR_LIMIT, "no more encoders");
    say(f, msg);
}

/* It gets no more, its segments are no less tried than before, and it is said once. The last one
 * goes on, as after any failure of its device. */
static void test_a_slot_without_room_is_closed(void **state)
{
    struct fixture *f = *state;
    struct error err = {0};
    char note[ERROR_TEXT_MAX];
    push_segment(f, 0, 0, 3);
    push_segment(f, 1, 3, 3);
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 0);
    assert_int_equal(take_segment(f, 1, 3), 1);
    lack_room(f, 1);
    expect_note(f, "fewer segments are worked on at a time: no more encoders");
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 1);
    expect(f, MESSAGE_SLOT_RESET);
    push_segment(f, 2, 6, 3);
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 2);
    for (uint32_t i = 0; i < 3; i++) {
        give_results(f, i, 3 * i, 3, 3);
        expect_results(f, i, 3 * i, 3);
    }
    settle(f);
    forget(f); /* drains */
    push_segment(f, 3, 9, 3);
    settle(f);
    for (int i = 0; i < SEGMENT_ATTEMPTS_MAX; i++) {
        if (i > 0)
            expect(f, MESSAGE_SLOT_RESET);
        assert_int_equal(take_segment(f, 0, 3), 3);
        lack_room(f, 0);
        if (i + 1 < SEGMENT_ATTEMPTS_MAX)
            settle(f);
    }
    assert_int_equal(outcome(f, &err, note), RGPU_ERROR_DEVICE);
    assert_string_equal(err.text, "no more encoders");
    assert_string_equal(note, "");
}

/* One that has no room for all of its encoders makes the film alone, with others than were begun
 * with: nothing of it has gone out, headers neither. */
static void test_the_last_slot_makes_all(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    push_segment(f, 0, 0, 3);
    push_segment(f, 1, 3, 3);
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 0);
    assert_int_equal(take_segment(f, 1, 3), 1);
    lack_room(f, 1);
    expect_note(f, "fewer segments");
    lack_room(f, 0);
    settle(f);
    bool alone = false;
    while (!alone) { /* past what it was sent of the other's segment */
        struct message msg = receive(f);
        alone = msg.type == MESSAGE_SLOT_RESET && msg.slot == 0;
        assert_int_equal(msg.alone, alone);
        message_done(&msg);
    }
    assert_int_equal(take_segment(f, 0, 3), 0);
    say_header(f, 0, "abd");
    say_header(f, 1, "abe");
    give_results(f, 0, 0, 3, 3);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(job_next(f->job, &out, NULL), 0);
        assert_int_equal(out.type, JOB_HEADER);
        assert_memory_equal(out.track.extradata->data, r == 0 ? "abd" : "abe", 3);
        job_output_done(&out);
    }
    expect_results(f, 0, 0, 3);
}

/* A node's last slot stays, whatever others have. */
static void test_each_node_keeps_a_slot(void **state)
{
    struct fixture *f = *state, other;
    char note[ERROR_TEXT_MAX];
    play_join(&other, f->job, 2, 1);
    settle(f);
    push_segment(f, 0, 0, 3);
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 0);
    lack_room(f, 0);
    expect_note(f, "fewer segments");
    settle(f);
    expect(f, MESSAGE_SLOT_RESET);
    assert_int_equal(take_segment(f, 1, 3), 0);
    lack_room(f, 1);
    settle(f);
    expect(f, MESSAGE_SLOT_RESET);
    assert_int_equal(take_segment(&other, 0, 3), 0);
    link_close(&other.node);
    assert_int_equal(outcome(f, NULL, note), RGPU_ERROR_AGAIN);
    assert_int_equal(take_segment(f, 1, 3), 0);
    give_results(f, 0, 0, 3, 3);
    expect_results(f, 0, 0, 3);
}

/* A failure without words gets some, and the node's name where there are several. */
static void test_a_failure_has_words(void **state)
{
    for (int nodes = 1; nodes <= 2; nodes++) {
        struct fixture *f = *state, other = {0};
        struct error err = {0};
        char note[ERROR_TEXT_MAX], wanted[ERROR_TEXT_MAX];
        if (nodes == 2) {
            play_join(&other, f->job, 2, 1);
            settle(f);
        }
        push_segment(f, 0, 0, 3);
        settle(f);
        say_error(f, MESSAGE_SLOT_FAILED, 0, RGPU_ERROR_UNSUPPORTED, "");
        assert_int_equal(outcome(f, &err, note), RGPU_ERROR_UNSUPPORTED);
        snprintf(wanted, sizeof(wanted), "%s%s", nodes == 2 ? "node 0 (cpu): " : "",
                 rgpu_error_text(RGPU_ERROR_UNSUPPORTED));
        assert_string_equal(err.text, wanted);
        if (nodes == 2)
            link_close(&other.node);
        tear_down(state);
        set_up_two(state);
    }
}

/* More results than any decoder could make of what was sent. */
static void test_a_flood_of_results_loses_the_node(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    struct error err = {0};
    int ret = RGPU_ERROR_AGAIN, given = 0;
    push_segment(f, 0, 0, 3);
    push_segment(f, 1, 3, 3);
    settle(f);
    assert_int_equal(take_segment(f, 0, 3), 0);
    assert_int_equal(take_segment(f, 1, 3), 1);
    while (ret == RGPU_ERROR_AGAIN && given < 100000) {
        give_result(f, 1, 0, 3, 1);
        given++;
        ret = next_output(f, &out, &err);
    }
    assert_int_equal(ret, RGPU_ERROR_NODE);
    assert_non_null(strstr(err.text, "protocol"));
    assert_in_range(given, 4, 10000);
}

/* ---- memory -------------------------------------------------------------------------------- */

/* A segment that has grown too large to be kept is not kept at all. */
static void test_a_large_segment_is_let_go(void **state)
{
    (void)state;
    struct segment *s = segment_new(0, 0, 0);
    const size_t size = 1 << 20;
    assert_non_null(s);
    for (int64_t bytes = 0; bytes <= 3 * SEGMENT_RETAIN_BYTES; bytes += (int64_t)size) {
        struct item item = {.packet = {.size = size}};
        assert_int_equal(segment_add_input(s, &item), 0);
        segment_advance(s);
        assert_true(s->input_bytes <= SEGMENT_RETAIN_BYTES);
    }
    assert_int_equal(s->input_bytes, 0);
    assert_int_equal(s->input.count, 0);
    assert_false(segment_rewind(s));
    segment_free(s);
}

int main(void)
{
#define WITH_ONE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define WITH_TWO(test) cmocka_unit_test_setup_teardown(test, set_up_two, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_TWO(test_what_may_not_be_said_loses_the_node),
        cmocka_unit_test(test_what_may_not_be_said_at_first_loses_the_node),
        cmocka_unit_test(test_a_result_needs_its_header),
        WITH_ONE(test_done_before_the_end_loses_the_node),
        WITH_ONE(test_done_between_tail_and_end_waits),
        WITH_ONE(test_a_segment_is_done_once),
        WITH_ONE(test_a_failure_has_a_code),
        WITH_ONE(test_a_broken_node_of_two_is_left),
        WITH_ONE(test_a_node_of_two_refuses),
        cmocka_unit_test(test_all_nodes_refuse),
        WITH_ONE(test_wrong_frames_are_sent_again),
        WITH_ONE(test_other_wrong_frames_are_not_the_source),
        WITH_ONE(test_missing_frames_are_not_sent_again),
        WITH_ONE(test_frames_without_expectation),
        WITH_ONE(test_wrong_frames_of_what_has_gone_out),
        WITH_TWO(test_a_second_try_goes_elsewhere),
        WITH_TWO(test_another_header_loses_the_node),
        WITH_TWO(test_a_slot_without_room_is_closed),
        WITH_TWO(test_the_last_slot_makes_all),
        WITH_TWO(test_each_node_keeps_a_slot),
        WITH_TWO(test_a_failure_has_words),
        WITH_TWO(test_a_flood_of_results_loses_the_node),
        WITH_ONE(test_a_large_segment_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
