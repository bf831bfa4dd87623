/* A thread leaves the program's signals to the program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>

#include "base/thread.h"

static void *read_mask(void *arg)
{
    pthread_sigmask(SIG_SETMASK, NULL, arg);
    return arg;
}

static void signals_stay_with_the_program(void **state)
{
    (void)state;
    sigset_t before, after, inside;
    void *result = NULL;
    pthread_t thread;
    sigemptyset(&before);
    sigaddset(&before, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(thread_start(&thread, read_mask, &inside), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, &inside);
    const int blocked[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGCHLD, SIGUSR1, SIGUSR2, SIGALRM};
    for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++)
        assert_int_equal(sigismember(&inside, blocked[i]), 1);
    assert_int_equal(sigismember(&inside, SIGSEGV), 0);
    /* The caller's own mask is what it was. */
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (size_t i = 0; i < sizeof(blocked) / sizeof(blocked[0]); i++)
        assert_int_equal(sigismember(&after, blocked[i]), blocked[i] == SIGUSR2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(signals_stay_with_the_program)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
