/* Monotonic time, and condition variables that wait by it (the wall clock may jump).
 * Threads: any. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* Monotonic nanoseconds. */
int64_t clock_now_ns(void);

/* CPU time of the calling process in nanoseconds, all threads. */
int64_t clock_cpu_ns(void);

/* Absolute monotonic time `after_ms` from now, for pthread_cond_timedwait. */
struct timespec clock_deadline(int after_ms);

/* Condition variable whose timed waits use the monotonic clock. */
void clock_cond_init(pthread_cond_t *cond);

#endif
