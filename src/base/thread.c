#include "base/thread.h"

#include <signal.h>
#include <stddef.h>

int thread_start(pthread_t *ret, void *(*main)(void *arg), void *arg)
{
    /* Who watches over faults (a sanitizer, a crash reporter) hears of them in every thread. */
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
        sigdelset(&blocked, faults[i]);
    /* A thread starts with its creator's mask: set before, so that none slips in between. */
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    const int code = pthread_create(ret, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}
