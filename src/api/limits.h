/* Bounds of what file jobs and streams are asked for alike. Threads: pure functions. Memory: none.
 */
#ifndef API_LIMITS_H
#define API_LIMITS_H

#include "base/error.h"

#define SECONDS_MAX 1e9
#define SECONDS_MIN 0.001 /* of a length: what is far less would round to none */
#define THREADS_MAX 1024

/* PARAM unless `seconds` is 0 (the default) or within `least` and SECONDS_MAX; `name` says which.
 */
int limits_check_seconds(const char *name, double seconds, double least, struct error *err);

/* PARAM unless within 0 (the default) and THREADS_MAX. */
int limits_check_threads(int threads, struct error *err);

#endif
