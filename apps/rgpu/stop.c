#include "stop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>

#include "status.h"

/* `timeout` and some shells signal the process and then its group: that is one wish to stop. */
#define REPEAT_MS 500

static atomic_int stop_signal_seen;
static atomic_bool is_at_once;

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000 + 1;
}

static void end_at_once(int number)
{
    static const char text[] = "rgpu: stopped\n";
    const ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)written;
    _exit(STATUS_SIGNAL + number);
}

/* The signals wait here, one after another: a handler would run in the midst of anything. */
static void *watch(void *arg)
{
    const sigset_t *watched = arg;
    long long first_ms = 0;
    int number;
    while (sigwait(watched, &number) == 0) {
        const long long now = now_ms();
        if (first_ms == 0) {
            first_ms = now;
            atomic_store(&stop_signal_seen, number);
            if (atomic_load(&is_at_once))
                end_at_once(number);
        } else if (now - first_ms >= REPEAT_MS) {
            _exit(STATUS_SIGNAL + number);
        }
    }
    return NULL;
}

void stop_install(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    static sigset_t watched;
    sigemptyset(&watched);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaddset(&watched, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN);

    pthread_attr_t attr;
    pthread_t thread;
    pthread_sigmask(SIG_BLOCK, &watched, NULL);
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    /* Without the thread they end the process, as they do where nobody asks. */
    if (pthread_create(&thread, &attr, watch, &watched) != 0)
        pthread_sigmask(SIG_UNBLOCK, &watched, NULL);
    pthread_attr_destroy(&attr);
}

void stop_at_once(void)
{
    atomic_store(&is_at_once, true);
    if (stop_signal())
        end_at_once(stop_signal());
}

int stop_signal(void)
{
    return atomic_load(&stop_signal_seen);
}
