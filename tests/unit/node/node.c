/* A node, driven over its link as dispatch would, with the CPU backend behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "media/digest.h"
#include "node/node.h"

#define WIDTH 64
#define HEIGHT 48

struct fixture {
    struct node *node;
    struct link *link;
    int credits[2];
    int pictures;
};

static int set_up(void **state)
{
    static struct fixture f;
    struct link *far;
    f = (struct fixture){0};
    *state = &f;
    assert_int_equal(link_memory_pair(&f.link, &far), 0);
    return node_start(&f.node, &(struct node_params){DEVICE_CPU, 0}, far, NULL);
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    link_close(&f->link);
    node_stop(&f->node);
    return 0;
}

static struct message receive(struct fixture *f)
{
    struct message msg = {0};
    do {
        message_done(&msg);
        assert_int_equal(link_receive(f->link, 60000, &msg), 0);
        if (msg.type == MESSAGE_CREDIT)
            f->credits[msg.slot] += msg.credits;
        f->pictures += msg.type == MESSAGE_PICTURE;
    } while (msg.type == MESSAGE_CREDIT || msg.type == MESSAGE_NOTE || msg.type == MESSAGE_PICTURE);
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
    assert_int_equal(link_send(f->link, &msg, 60000), 0);
}

/* A job of raw frames with two lossless renditions. */
static void describe_job(struct job_params *job, const char *codec)
{
    job->source = (struct track){.codec = "rawvideo",
                                 .width = WIDTH,
                                 .height = HEIGHT,
                                 .format = PIXEL_YUV420P,
                                 .time_base = {1, 25},
                                 .frame_rate = {25, 1}};
    job->raw_input = true;
    job->slots = 2;
    job->renditions_count = 2;
    for (int i = 0; i < 2; i++) {
        struct rendition_params *r = &job->renditions[i];
        *r = (struct rendition_params){
            .width = WIDTH >> i, .height = HEIGHT >> i, .speed = 1, .bframes = -1};
        strcpy(r->codec, codec);
    }
}

static void create_job(struct fixture *f, const char *codec)
{
    struct message msg = {.type = MESSAGE_JOB_CREATE};
    assert_int_equal(message_block(&msg), 0);
    describe_job(msg.job_params, codec);
    say(f, msg);
}

static struct frame *picture(int64_t pts)
{
    struct frame *frame = frame_new(PIXEL_YUV420P, WIDTH, HEIGHT);
    assert_non_null(frame);
    for (int p = 0; p < 3; p++)
        memset(frame->data[p], 16 + (int)(pts * 7 + p) % 200,
               (size_t)frame->stride[p] * (size_t)pixel_plane_height(PIXEL_YUV420P, p, HEIGHT));
    frame->pts = pts;
    frame->duration = 1;
    return frame;
}

static void send_segment(struct fixture *f, uint32_t slot, uint32_t segment, int64_t start,
                         int count)
{
    struct message begin = {
        .type = MESSAGE_SEGMENT_BEGIN, .slot = slot, .segment = segment, .pts = start};
    for (int i = 0; i < RENDITIONS_MAX; i++)
        begin.permille[i] = 1000;
    say(f, begin);
    for (int i = 0; i < count; i++)
        say(f, (struct message){
                   .type = MESSAGE_SEGMENT_FRAME, .slot = slot, .frame = picture(start + i)});
    say(f, (struct message){.type = MESSAGE_SEGMENT_END, .slot = slot});
}

/* Collects until `segments` are done, checking that each rendition has every pts once. */
static void collect(struct fixture *f, int segments, int64_t start, int count)
{
    uint64_t seen[2] = {0}, want = 0;
    int packets[2] = {0};
    for (int i = 0; i < count; i++)
        want = pts_digest_add(want, start + i);
    while (segments) {
        struct message msg = receive(f);
        if (msg.type == MESSAGE_RESULT) {
            seen[msg.packet.rendition] = pts_digest_add(seen[msg.packet.rendition], msg.packet.pts);
            packets[msg.packet.rendition]++;
        } else if (msg.type == MESSAGE_SEGMENT_DONE) {
            segments--;
        } else {
            assert_int_equal(msg.type, MESSAGE_HEADER);
        }
        message_done(&msg);
    }
    for (int r = 0; r < 2; r++) {
        assert_int_equal(packets[r], count);
        assert_true(seen[r] == want);
    }
}

static void test_two_lanes(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    send_segment(f, 0, 0, 0, 20);
    send_segment(f, 1, 1, 20, 20);
    send_segment(f, 0, 2, 40, 10);
    say(f, (struct message){.type = MESSAGE_JOB_COMPLETE});
    collect(f, 3, 0, 50);
    expect(f, MESSAGE_JOB_FINISHED);
    /* 34 and 22 messages in bundles of 8. */
    assert_int_equal(f->credits[0], 32);
    assert_int_equal(f->credits[1], 16);
}

/* A lane that was told a picture opens its encoders for that, also behind a reset, and says none.
 */
static void test_encoders_are_opened_for_the_picture_told(void **state)
{
    struct fixture *f = *state;
    struct message told = {.type = MESSAGE_PICTURE, .slot = 1};
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    assert_int_equal(message_block(&told), 0);
    *told.track = (struct track){
        .format = PIXEL_YUV420P, .width = WIDTH, .height = HEIGHT, .sample_aspect = {4, 3}};
    say(f, told);
    for (uint32_t i = 0; i < 3; i++) {
        const uint32_t slot = i < 2;
        if (i == 1)
            say(f, (struct message){.type = MESSAGE_SLOT_RESET, .slot = slot});
        send_segment(f, slot, i, 10 * (int64_t)i, 5);
        say(f, (struct message){.type = MESSAGE_SLOT_DRAIN, .slot = slot});
        int headers = 0;
        for (bool done = false; !done;) {
            struct message msg = receive(f);
            done = msg.type == MESSAGE_SEGMENT_DONE;
            if (msg.type == MESSAGE_HEADER) {
                headers++;
                assert_int_equal(msg.track->sample_aspect.num, slot ? 4 : 0);
            }
            message_done(&msg);
        }
        assert_int_equal(headers, 2);
        assert_int_equal(f->pictures, i == 2);
    }
}

static void test_drain_lets_all_out(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    for (uint32_t i = 0; i < 3; i++) {
        send_segment(f, 0, i, 10 * (int64_t)i, 10);
        say(f, (struct message){.type = MESSAGE_SLOT_DRAIN});
        collect(f, 1, 10 * (int64_t)i, 10);
    }
}

static void test_failed_slot_waits_for_reset(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    /* A packet on a job of raw frames is nonsense that only the session can see. */
    say(f, (struct message){.type = MESSAGE_SEGMENT_BEGIN, .pts = 0});
    struct frame *wrong = frame_new(PIXEL_GRAY8, 8, 8);
    wrong->pts = 0;
    wrong->place = PLACE_DEVICE;
    say(f, (struct message){.type = MESSAGE_SEGMENT_FRAME, .frame = wrong});
    expect(f, MESSAGE_SLOT_FAILED);
    say(f, (struct message){.type = MESSAGE_SEGMENT_END});
    send_segment(f, 0, 7, 100, 10); /* dropped: the slot was not reset */
    say(f, (struct message){.type = MESSAGE_SLOT_RESET});
    send_segment(f, 0, 8, 200, 10);
    say(f, (struct message){.type = MESSAGE_JOB_COMPLETE});
    collect(f, 1, 200, 10);
    expect(f, MESSAGE_JOB_FINISHED);
}

static void test_no_such_encoder_is_said(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    create_job(f, "theora");
    expect(f, MESSAGE_JOB_ACK);
    send_segment(f, 0, 0, 0, 3);
    struct message msg = receive(f);
    assert_int_equal(msg.type, MESSAGE_SLOT_FAILED);
    assert_int_equal(msg.error->code, RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(msg.error->text, "theora"));
    message_done(&msg);
}

static void test_cancel_answers(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    send_segment(f, 0, 0, 0, 40);
    say(f, (struct message){.type = MESSAGE_JOB_CANCEL});
    struct message msg = receive(f);
    while (msg.type != MESSAGE_JOB_FINISHED) {
        message_done(&msg);
        msg = receive(f);
    }
}

static void test_broken_peer_is_hung_up_on(void **state)
{
    struct fixture *f = *state;
    struct message msg = {0};
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    say(f, (struct message){.type = MESSAGE_SEGMENT_END, .slot = 1000});
    assert_int_equal(link_receive(f->link, 60000, &msg), RGPU_ERROR_NODE);
}

/* Out of order within a slot: nobody would be answered, so the node hangs up. */
static void test_disorder_is_hung_up_on(void **state)
{
    static const enum message_type scripts[][4] = {
        {MESSAGE_SEGMENT_BEGIN, MESSAGE_SEGMENT_BEGIN},
        {MESSAGE_SEGMENT_END},
        {MESSAGE_SEGMENT_BEGIN, MESSAGE_SEGMENT_TAIL, MESSAGE_SEGMENT_TAIL},
        {MESSAGE_SEGMENT_BEGIN, MESSAGE_SLOT_DRAIN},
        {MESSAGE_SEGMENT_BEGIN, MESSAGE_SEGMENT_PACKET}, /* on a job of raw frames */
        {MESSAGE_SEGMENT_BEGIN, MESSAGE_SEGMENT_FRAME},  /* without one */
        {MESSAGE_RESULT},
    };
    for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
        struct fixture *f = *state;
        struct message msg = {0};
        expect(f, MESSAGE_HELLO);
        create_job(f, "h264");
        expect(f, MESSAGE_JOB_ACK);
        for (int k = 0; k < 4 && scripts[i][k]; k++) {
            struct message part = {.type = scripts[i][k], .job = 1};
            link_send(f->link, &part, 60000); /* may be down already */
        }
        assert_int_equal(link_receive(f->link, 60000, &msg), RGPU_ERROR_NODE);
        tear_down(state);
        set_up(state);
    }
}

/* A job that is completed in the middle of a segment still answers. */
static void test_complete_in_a_segment_answers(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    say(f, (struct message){.type = MESSAGE_SEGMENT_BEGIN});
    say(f, (struct message){.type = MESSAGE_SEGMENT_FRAME, .frame = picture(0)});
    say(f, (struct message){.type = MESSAGE_JOB_COMPLETE});
    struct message msg = receive(f);
    while (msg.type != MESSAGE_JOB_FINISHED) {
        message_done(&msg);
        msg = receive(f);
    }
}

/* A reset that nobody asked for: what was under way is dropped, what follows is done. */
static void test_reset_in_the_middle(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    say(f, (struct message){.type = MESSAGE_SEGMENT_BEGIN, .segment = 1});
    say(f, (struct message){.type = MESSAGE_SEGMENT_FRAME, .frame = picture(0)});
    say(f, (struct message){.type = MESSAGE_SLOT_RESET});
    send_segment(f, 0, 2, 100, 10);
    say(f, (struct message){.type = MESSAGE_JOB_COMPLETE});
    collect(f, 1, 100, 10);
    expect(f, MESSAGE_JOB_FINISHED);
}

/* Segments of one frame with all that the window allows at once: the inbox holds it. */
static void test_a_full_window_of_small_segments(void **state)
{
    struct fixture *f = *state;
    const int total = 60;
    int sent = 0, in_flight = 0;
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    int done = 0;
    while (done < total) {
        while (sent < total && in_flight - f->credits[0] + 4 <= JOB_WINDOW_MESSAGES) {
            send_segment(f, 0, (uint32_t)sent, sent, 1);
            in_flight += 3;
            if (++sent == total) {
                say(f, (struct message){.type = MESSAGE_SLOT_DRAIN});
                in_flight++;
            }
        }
        struct message msg = {0};
        assert_int_equal(link_receive(f->link, 60000, &msg), 0);
        if (msg.type == MESSAGE_CREDIT)
            f->credits[0] += msg.credits;
        done += msg.type == MESSAGE_SEGMENT_DONE;
        message_done(&msg);
    }
}

static void test_a_second_job_of_the_same_number(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_REJECT);
}

static void say_to(struct fixture *f, uint32_t job, enum message_type type)
{
    struct message msg = {.type = type, .job = job};
    assert_int_equal(link_send(f->link, &msg, 60000), 0);
}

static void create_job_of(struct fixture *f, uint32_t job)
{
    struct message msg = {.type = MESSAGE_JOB_CREATE, .job = job};
    assert_int_equal(message_block(&msg), 0);
    describe_job(msg.job_params, "h264");
    assert_int_equal(link_send(f->link, &msg, 60000), 0);
}

/* Two jobs have ended; the number of the second is free again, though the place of the first is
 * found before it. */
static void test_a_number_is_free_after_its_job(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    for (uint32_t job = 1; job <= 2; job++) {
        create_job_of(f, job);
        expect(f, MESSAGE_JOB_ACK);
    }
    for (uint32_t job = 1; job <= 2; job++) {
        say_to(f, job, MESSAGE_JOB_COMPLETE);
        expect(f, MESSAGE_JOB_FINISHED);
    }
    create_job_of(f, 2);
    expect(f, MESSAGE_JOB_ACK);
}

/* Nobody reads what the node and its lanes have to say: they wait for room, until the link goes
 * down, from this side or that. */
static void test_waiting_for_room_ends_with_the_link(void **state)
{
    for (int near = 0; near < 2; near++) {
        struct fixture *f = *state;
        expect(f, MESSAGE_HELLO);
        create_job_of(f, 1);
        expect(f, MESSAGE_JOB_ACK);
        for (int i = 0; i < LINK_QUEUE_MESSAGES; i++) {
            struct message msg = {.type = MESSAGE_JOB_CREATE, .job = 2};
            assert_int_equal(message_block(&msg), 0); /* without renditions: refused */
            assert_int_equal(link_send(f->link, &msg, 60000), 0);
        }
        /* The lane has more to say than is room for, and the node's thread one more refusal. */
        send_segment(f, 0, 0, 0, 10);
        say_to(f, 1, MESSAGE_JOB_COMPLETE);
        struct message msg = {.type = MESSAGE_JOB_CREATE, .job = 2};
        assert_int_equal(message_block(&msg), 0);
        assert_int_equal(link_send(f->link, &msg, 60000), 0);
        if (near)
            link_shutdown(f->link);
        tear_down(state);
        set_up(state);
    }
}

static void test_a_message_without_its_block_is_hung_up_on(void **state)
{
    static const enum message_type types[] = {MESSAGE_JOB_CREATE, MESSAGE_PICTURE};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct fixture *f = *state;
        struct message msg = {0};
        expect(f, MESSAGE_HELLO);
        create_job(f, "h264");
        expect(f, MESSAGE_JOB_ACK);
        say(f, (struct message){.type = types[i]});
        assert_int_equal(link_receive(f->link, 60000, &msg), RGPU_ERROR_NODE);
        tear_down(state);
        set_up(state);
    }
}

static void test_bad_job_is_rejected(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    struct message msg = {.type = MESSAGE_JOB_CREATE};
    assert_int_equal(message_block(&msg), 0);
    say(f, msg);
    expect(f, MESSAGE_JOB_REJECT);
}

static void test_stop_in_the_middle(void **state)
{
    struct fixture *f = *state;
    expect(f, MESSAGE_HELLO);
    create_job(f, "h264");
    expect(f, MESSAGE_JOB_ACK);
    send_segment(f, 0, 0, 0, 30);
    send_segment(f, 1, 1, 30, 30);
    /* tear_down stops the node with work inside: nothing may hang or leak */
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_two_lanes),
        TEST(test_encoders_are_opened_for_the_picture_told),
        TEST(test_drain_lets_all_out),
        TEST(test_failed_slot_waits_for_reset),
        TEST(test_no_such_encoder_is_said),
        TEST(test_cancel_answers),
        TEST(test_broken_peer_is_hung_up_on),
        TEST(test_disorder_is_hung_up_on),
        TEST(test_complete_in_a_segment_answers),
        TEST(test_reset_in_the_middle),
        TEST(test_a_full_window_of_small_segments),
        TEST(test_a_second_job_of_the_same_number),
        TEST(test_a_number_is_free_after_its_job),
        TEST(test_waiting_for_room_ends_with_the_link),
        TEST(test_a_message_without_its_block_is_hung_up_on),
        TEST(test_bad_job_is_rejected),
        TEST(test_stop_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
