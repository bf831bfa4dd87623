/* Threads that work through numbered tasks together with the thread that asks.
 *
 * Threads: one thread at a time calls run and free. Memory: all taken at new. Limits: none of its
 * own; the caller says how many threads. */
#ifndef CODEC_CPU_SCALER_POOL_H
#define CODEC_CPU_SCALER_POOL_H

#include "base/error.h"

struct scaler_pool;

/* Starts `workers - 1` threads; the caller of run is worker 0. */
int scaler_pool_new(struct scaler_pool **ret, int workers, struct error *err);

/* Calls task(opaque, worker, i) once for each i in 0..count-1, in about that order, each on one
 * of the workers; returns when all calls have. */
void scaler_pool_run(struct scaler_pool *pool, int count,
                     void (*task)(void *opaque, int worker, int index), void *opaque);

/* Ends the threads; takes NULL and writes NULL. */
void scaler_pool_free(struct scaler_pool **pool);

#endif
