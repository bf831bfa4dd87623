#include "stop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "status.h"

static atomic_int stop_signal_seen;

static void on_signal(int number)
{
    int none = 0;
    if (!atomic_compare_exchange_strong(&stop_signal_seen, &none, number))
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

int stop_signal(void)
{
    return atomic_load(&stop_signal_seen);
}
