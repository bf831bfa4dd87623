/* Starting a thread.
 *
 * Threads: any. Memory: none. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/* As pthread_create, and gives what that gives. Signals belong to the program's own threads: the
 * new one blocks all but those of its own faults, and so do the threads that it starts. */
int thread_start(pthread_t *ret, void *(*main)(void *arg), void *arg);

#endif
