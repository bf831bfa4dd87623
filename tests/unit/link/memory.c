/* The in-memory link: order, bounds, going down, wake-ups, ownership. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "link/link.h"

static int pair_up(void **state)
{
    static struct link *ends[2];
    *state = ends;
    return link_memory_pair(&ends[0], &ends[1]);
}

static int tear_down(void **state)
{
    struct link **ends = *state;
    link_close(&ends[0]);
    link_close(&ends[1]);
    return 0;
}

static void test_order_and_payload(void **state)
{
    struct link **ends = *state;
    for (uint32_t i = 0; i < 10; i++) {
        struct message msg = {.type = MESSAGE_SEGMENT_PACKET, .segment = i};
        msg.packet.buf = buffer_copy(&i, sizeof(i));
        assert_int_equal(link_send(ends[0], &msg, 0), 0);
        assert_null(msg.packet.buf); /* moved */
    }
    for (uint32_t i = 0; i < 10; i++) {
        struct message msg = {0};
        assert_int_equal(link_receive(ends[1], 0, &msg), 0);
        assert_int_equal(msg.segment, i);
        assert_memory_equal(msg.packet.buf->data, &i, sizeof(i));
        message_done(&msg);
    }
    struct message none = {0};
    assert_int_equal(link_receive(ends[1], 0, &none), RGPU_ERROR_AGAIN);
    assert_int_equal(link_receive(ends[0], 1, &none), RGPU_ERROR_AGAIN);
}

static void test_full_link_refuses_and_keeps_the_message(void **state)
{
    struct link **ends = *state;
    struct message msg;
    for (int i = 0; i < LINK_QUEUE_MESSAGES; i++) {
        msg = (struct message){.type = MESSAGE_CREDIT, .credits = i};
        assert_int_equal(link_send(ends[0], &msg, 0), 0);
    }
    msg = (struct message){.type = MESSAGE_CREDIT, .credits = 4711};
    assert_int_equal(link_send(ends[0], &msg, 0), RGPU_ERROR_AGAIN);
    assert_int_equal(msg.credits, 4711);
    struct message got = {0};
    assert_int_equal(link_receive(ends[1], 0, &got), 0);
    assert_int_equal(link_send(ends[0], &msg, 0), 0);
}

static void test_down_gives_what_came_before(void **state)
{
    struct link **ends = *state;
    struct message msg = {.type = MESSAGE_JOB_COMPLETE}, got = {0};
    assert_int_equal(link_send(ends[0], &msg, 0), 0);
    link_shutdown(ends[0]);
    assert_int_equal(link_receive(ends[1], -1, &got), 0);
    assert_int_equal(got.type, MESSAGE_JOB_COMPLETE);
    assert_int_equal(link_receive(ends[1], -1, &got), RGPU_ERROR_NODE);
    msg = (struct message){.type = MESSAGE_JOB_COMPLETE};
    assert_int_equal(link_send(ends[1], &msg, -1), RGPU_ERROR_NODE);
}

static void count(void *opaque)
{
    __atomic_add_fetch((int *)opaque, 1, __ATOMIC_RELAXED);
}

static void test_wakeups(void **state)
{
    struct link **ends = *state;
    int woken = 0;
    link_set_wakeup(ends[0], count, &woken);
    struct message msg = {.type = MESSAGE_HELLO}, got = {0};
    assert_int_equal(link_send(ends[1], &msg, 0), 0);
    assert_int_equal(woken, 1);
    for (int i = 0; i < LINK_QUEUE_MESSAGES; i++) {
        msg = (struct message){.type = MESSAGE_CREDIT};
        assert_int_equal(link_send(ends[0], &msg, 0), 0);
    }
    assert_int_equal(link_receive(ends[1], 0, &got), 0);
    assert_int_equal(woken, 2); /* there is room again */
    link_shutdown(ends[1]);
    assert_int_equal(woken, 3);
    assert_int_equal(link_receive(ends[0], 0, &got), 0);
    message_done(&got);
}

/* What is still inside when both ends close must not leak: the sanitizers see it. */
static void test_close_with_messages_inside(void **state)
{
    struct link **ends = *state;
    struct message msg = {.type = MESSAGE_NOTE};
    assert_int_equal(message_block(&msg), 0);
    error_set(msg.error, 0, "a note");
    assert_int_equal(link_send(ends[0], &msg, 0), 0);
    struct message data = {.type = MESSAGE_SEGMENT_FRAME,
                           .frame = frame_new(PIXEL_YUV420P, 16, 16)};
    assert_int_equal(link_send(ends[1], &data, 0), 0);
}

static void *receive_all(void *opaque)
{
    struct link *end = opaque;
    struct message msg = {0};
    uint64_t sum = 0;
    while (link_receive(end, -1, &msg) == 0)
        sum += msg.ordinal;
    return (void *)(uintptr_t)sum;
}

static void *send_many(void *opaque)
{
    struct link *end = opaque;
    for (uint64_t i = 1; i <= 20000; i++) {
        struct message msg = {.type = MESSAGE_SEGMENT_PACKET, .ordinal = i};
        if (link_send(end, &msg, -1) != 0)
            break;
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    struct link **ends = *state;
    pthread_t receiver, senders[3];
    void *sum = NULL;
    assert_int_equal(pthread_create(&receiver, NULL, receive_all, ends[1]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&senders[i], NULL, send_many, ends[0]), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(senders[i], NULL);
    link_shutdown(ends[0]);
    pthread_join(receiver, &sum);
    assert_int_equal((uint64_t)(uintptr_t)sum, 3 * 20000ull * 20001 / 2);
}

static void *close_end(void *opaque)
{
    struct link *end = opaque;
    link_close(&end);
    return NULL;
}

/* Both ends close at the same time, with messages inside, while the other side is woken. */
static void test_both_close_at_once(void **state)
{
    (void)state;
    int woken = 0;
    for (int i = 0; i < 200; i++) {
        struct link *ends[2];
        pthread_t thread;
        assert_int_equal(link_memory_pair(&ends[0], &ends[1]), 0);
        link_set_wakeup(ends[0], count, &woken);
        link_set_wakeup(ends[1], count, &woken);
        struct message msg = {.type = MESSAGE_SEGMENT_PACKET,
                              .packet = {.buf = buffer_copy("x", 1)}};
        assert_int_equal(link_send(ends[i % 2], &msg, 0), 0);
        assert_int_equal(pthread_create(&thread, NULL, close_end, ends[0]), 0);
        link_close(&ends[1]);
        pthread_join(thread, NULL);
    }
    assert_true(woken >= 200);
}

/* Shutting down ends a wait for room as well as one for a message. */
static void test_shutdown_ends_waits(void **state)
{
    struct link **ends = *state;
    pthread_t sender, receiver;
    void *sum = NULL;
    assert_int_equal(pthread_create(&sender, NULL, send_many, ends[0]), 0); /* fills the link */
    assert_int_equal(pthread_create(&receiver, NULL, receive_all, ends[0]), 0);
    struct message msg = {0};
    assert_int_equal(link_receive(ends[1], -1, &msg), 0);
    link_shutdown(ends[1]);
    pthread_join(sender, NULL);
    pthread_join(receiver, &sum);
    assert_null(sum);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_and_payload, pair_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full_link_refuses_and_keeps_the_message, pair_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_down_gives_what_came_before, pair_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wakeups, pair_up, tear_down),
        cmocka_unit_test_setup_teardown(test_close_with_messages_inside, pair_up, tear_down),
        cmocka_unit_test(test_both_close_at_once),
        cmocka_unit_test_setup_teardown(test_shutdown_ends_waits, pair_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_threads, pair_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
