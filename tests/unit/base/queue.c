/* The bounded queue: order, bounds, closing, many threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/queue.h"

static void *number(uintptr_t n)
{
    return (void *)n;
}

static void test_order_and_bounds(void **state)
{
    (void)state;
    struct queue q;
    void *item;
    assert_int_equal(queue_init(&q, 3), 0);
    assert_int_equal(queue_pop(&q, 0, &item), RGPU_ERROR_AGAIN);
    for (uintptr_t round = 0; round < 5; round++) {
        for (uintptr_t i = 1; i <= 3; i++)
            assert_int_equal(queue_try_push(&q, number(round * 10 + i)), 0);
        assert_int_equal(queue_try_push(&q, number(99)), RGPU_ERROR_AGAIN);
        assert_int_equal(queue_count(&q), 3);
        for (uintptr_t i = 1; i <= 3; i++) {
            assert_int_equal(queue_pop(&q, -1, &item), 0);
            assert_ptr_equal(item, number(round * 10 + i));
        }
    }
    assert_int_equal(queue_pop(&q, 1, &item), RGPU_ERROR_AGAIN);
    queue_done(&q);
}

static void test_close_gives_what_is_left(void **state)
{
    (void)state;
    struct queue q;
    void *item;
    assert_int_equal(queue_init(&q, 2), 0);
    assert_int_equal(queue_push(&q, number(1)), 0);
    queue_close(&q);
    assert_int_equal(queue_push(&q, number(2)), RGPU_ERROR_CANCELLED);
    assert_int_equal(queue_try_push(&q, number(2)), RGPU_ERROR_CANCELLED);
    assert_int_equal(queue_pop(&q, -1, &item), 0);
    assert_int_equal(queue_pop(&q, -1, &item), RGPU_ERROR_END);
    queue_done(&q);
    struct queue never = {0};
    queue_done(&never);
}

#define ITEMS 20000

static void *produce(void *opaque)
{
    for (uintptr_t i = 1; i <= ITEMS; i++)
        if (queue_push(opaque, number(i)) != 0)
            return NULL;
    return opaque;
}

static void *consume(void *opaque)
{
    uintptr_t sum = 0;
    void *item;
    while (queue_pop(opaque, -1, &item) == 0)
        sum += (uintptr_t)item;
    return number(sum);
}

static void test_many_threads_lose_nothing(void **state)
{
    (void)state;
    struct queue q;
    pthread_t producers[3], consumers[2];
    uintptr_t sum = 0;
    assert_int_equal(queue_init(&q, 8), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&consumers[i], NULL, consume, &q), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&producers[i], NULL, produce, &q), 0);
    for (int i = 0; i < 3; i++) {
        void *ok;
        pthread_join(producers[i], &ok);
        assert_non_null(ok);
    }
    queue_close(&q);
    for (int i = 0; i < 2; i++) {
        void *part;
        pthread_join(consumers[i], &part);
        sum += (uintptr_t)part;
    }
    assert_true(sum == (uintptr_t)3 * ITEMS * (ITEMS + 1) / 2);
    queue_done(&q);
}

/* A producer that waits on a full queue must wake when it is closed. */
static void test_close_wakes_a_waiting_producer(void **state)
{
    (void)state;
    struct queue q;
    pthread_t producer;
    void *ok;
    assert_int_equal(queue_init(&q, 1), 0);
    assert_int_equal(pthread_create(&producer, NULL, produce, &q), 0);
    queue_close(&q);
    pthread_join(producer, &ok);
    assert_null(ok);
    queue_done(&q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_and_bounds),
        cmocka_unit_test(test_close_gives_what_is_left),
        cmocka_unit_test(test_many_threads_lose_nothing),
        cmocka_unit_test(test_close_wakes_a_waiting_producer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
