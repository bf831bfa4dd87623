/* The job's first picture, for which all slots open their encoders: one slot finds it, the others
 * are told. */
#include "play.h"

#include <string.h>

/* A job of two slots whose node has said nothing of pictures. */
static int set_up(void **state)
{
    static struct fixture f;
    struct job_params params = {.renditions_count = 1, .source.time_base = {1, 25}};
    struct message hello = {.type = MESSAGE_HELLO};
    struct link *near;
    f = (struct fixture){0};
    *state = &f;
    assert_int_equal(job_open(&f.job, &params, NULL), 0);
    assert_int_equal(link_memory_pair(&near, &f.node), 0);
    assert_int_equal(job_add_node(f.job, near, NULL), 0);
    expect(&f, MESSAGE_JOB_CREATE);
    assert_int_equal(message_block(&hello), 0);
    strcpy(hello.hello->device, "cpu");
    say(&f, hello);
    say(&f, (struct message){.type = MESSAGE_JOB_ACK, .slots = 2});
    return 0;
}

static int tear_down(void **state)
{
    play_close(*state);
    return 0;
}

static void say_picture(struct fixture *f, uint32_t slot, int width)
{
    struct message msg = {.type = MESSAGE_PICTURE, .slot = slot};
    assert_int_equal(message_block(&msg), 0);
    *msg.track = (struct track){.format = PIXEL_YUV420P, .width = width, .height = 48};
    say(f, msg);
}

/* Everything that was sent: the slots whose segments have begun, as bits, and what they know. */
static uint32_t take_all(struct fixture *f, int told[2])
{
    uint32_t begun = 0;
    struct message msg = {0};
    while (link_receive(f->node, 0, &msg) == 0) {
        if (msg.type == MESSAGE_SEGMENT_BEGIN)
            begun |= 1u << msg.slot;
        if (msg.type == MESSAGE_PICTURE) {
            assert_int_equal(told[msg.slot], 0); /* once, and before what needs it */
            assert_int_equal(begun >> msg.slot & 1, 0);
            told[msg.slot] = msg.track->width;
        }
        message_done(&msg);
    }
    return begun;
}

static void test_one_slot_finds_it(void **state)
{
    struct fixture *f = *state;
    int told[2] = {0};
    for (uint32_t id = 0; id < 4; id++)
        push_segment(f, id, 100 * (int64_t)id, 100);
    settle(f);
    const uint32_t first = take_all(f, told);
    assert_true(first == 1 || first == 2);
    assert_int_equal(told[0] + told[1], 0);
    /* There is room to read on meanwhile. */
    assert_true(job_accepts(f->job));
    say_picture(f, first == 1 ? 0 : 1, 64);
    say_picture(f, first == 1 ? 0 : 1, 32); /* the first word counts */
    settle(f);
    const uint32_t other = 3 - first;
    assert_int_equal(take_all(f, told) & other, other);
    assert_int_equal(told[other == 1 ? 0 : 1], 64);
}

/* Whoever is next begins anew, and may find another one. */
static void test_the_slot_fails_before_it_has_one(void **state)
{
    struct fixture *f = *state;
    int told[2] = {0};
    push_segment(f, 0, 0, 100);
    push_segment(f, 1, 100, 100);
    settle(f);
    const uint32_t first = take_all(f, told);
    const uint32_t slot = first == 1 ? 0 : 1;
    say_error(f, MESSAGE_SLOT_FAILED, slot, RGPU_ERROR_DEVICE, "broken");
    give_credit(f, slot, JOB_WINDOW_MESSAGES); /* for what it drops */
    settle(f);
    const uint32_t second = take_all(f, told);
    assert_true(second == 1 || second == 2);
    assert_int_equal(told[0] + told[1], 0);
    say_picture(f, second == 1 ? 0 : 1, 64);
    settle(f);
    assert_int_equal(take_all(f, told) | second, 3);
}

/* Who knew it before its failure is asked for no other: the slot that takes over is told. */
static void test_the_slot_fails_behind_it(void **state)
{
    struct fixture *f = *state;
    int told[2] = {0};
    push_segment(f, 0, 0, 10);
    settle(f);
    const uint32_t slot = take_all(f, told) == 1 ? 0 : 1;
    say_picture(f, slot, 64);
    say_error(f, MESSAGE_SLOT_FAILED, slot, RGPU_ERROR_DEVICE, "broken");
    settle(f);
    const uint32_t begun = take_all(f, told);
    assert_true(begun == 1 || begun == 2);
    assert_int_equal(told[begun == 1 ? 0 : 1], 64);
}

static void test_a_picture_that_is_none(void **state)
{
    struct fixture *f = *state;
    struct job_output out = {0};
    struct error err = {0};
    push_segment(f, 0, 0, 10);
    settle(f);
    say_picture(f, 0, 1 << 20);
    assert_int_equal(next_output(f, &out, &err), RGPU_ERROR_NODE);
    assert_non_null(strstr(err.text, "protocol"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_slot_finds_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_slot_fails_before_it_has_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_slot_fails_behind_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_picture_that_is_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
