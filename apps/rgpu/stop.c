#include "stop.h"

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
static atomic_llong first_ms; /* 0: none yet */
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

static void on_signal(int number)
{
    long long first = 0;
    const long long now = now_ms();
    if (atomic_load(&is_at_once))
        end_at_once(number);
    if (atomic_compare_exchange_strong(&first_ms, &first, now))
        atomic_store(&stop_signal_seen, number);
    else if (now - first >= REPEAT_MS)
        _exit(STATUS_SIGNAL + number);
}

void stop_install(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        struct sigaction before;
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
    }
    signal(SIGPIPE, SIG_IGN);
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
