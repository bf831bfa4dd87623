#include "codec/cpu/scaler_pool.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

struct scaler_pool {
    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    int next;       /* atomic: the first task that nobody took */
    int active;     /* workers in the batch; protected by `lock`, as all below */
    unsigned batch; /* number of the batch, so that a worker joins each once */
    bool open;      /* the batch may be joined */
    bool stop;
    int joined_next; /* worker number for the next thread that starts */
    int count;
    void (*task)(void *opaque, int worker, int index);
    void *opaque;
    int threads; /* that run */
    pthread_t thread[];
};

static void work_through(struct scaler_pool *pool, int worker)
{
    for (;;) {
        int i = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED);
        if (i >= pool->count)
            return;
        pool->task(pool->opaque, worker, i);
    }
}

static void *worker_main(void *arg)
{
    struct scaler_pool *pool = arg;
    unsigned seen = 0;
    pthread_mutex_lock(&pool->lock);
    const int worker = ++pool->joined_next;
    for (;;) {
        while (!pool->stop && (!pool->open || pool->batch == seen))
            pthread_cond_wait(&pool->work, &pool->lock);
        if (pool->stop)
            break;
        seen = pool->batch;
        pool->active++;
        pthread_mutex_unlock(&pool->lock);
        work_through(pool, worker);
        pthread_mutex_lock(&pool->lock);
        if (--pool->active == 0)
            pthread_cond_signal(&pool->idle);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

int scaler_pool_new(struct scaler_pool **ret, int workers, struct error *err)
{
    struct scaler_pool *pool = calloc(1, sizeof(*pool) + (size_t)workers * sizeof(pthread_t));
    if (!pool)
        return error_memory(err, "the scaler's threads");
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->idle, NULL);
    int failed = 0;
    while (!failed && pool->threads < workers - 1) {
        failed = thread_start(&pool->thread[pool->threads], worker_main, pool);
        pool->threads += !failed;
    }
    if (failed) {
        int started = pool->threads;
        scaler_pool_free(&pool);
        return error_set(err, RGPU_ERROR_MEMORY,
                         "only %d of %d scaler threads could be started (%s): ask for fewer",
                         started, workers - 1, strerror(failed));
    }
    *ret = pool;
    return 0;
}

void scaler_pool_run(struct scaler_pool *pool, int count,
                     void (*task)(void *opaque, int worker, int index), void *opaque)
{
    pthread_mutex_lock(&pool->lock);
    pool->task = task;
    pool->opaque = opaque;
    pool->count = count;
    __atomic_store_n(&pool->next, 0, __ATOMIC_RELAXED);
    pool->batch++;
    pool->open = true;
    pthread_mutex_unlock(&pool->lock);
    if (pool->threads && count > 1)
        pthread_cond_broadcast(&pool->work);
    work_through(pool, 0);
    /* A thread that is late finds the batch shut, so nobody waits for it. */
    pthread_mutex_lock(&pool->lock);
    pool->open = false;
    while (pool->active)
        pthread_cond_wait(&pool->idle, &pool->lock);
    pthread_mutex_unlock(&pool->lock);
}

void scaler_pool_free(struct scaler_pool **pool)
{
    struct scaler_pool *p = *pool;
    *pool = NULL;
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_mutex_unlock(&p->lock);
    pthread_cond_broadcast(&p->work);
    for (int i = 0; i < p->threads; i++)
        pthread_join(p->thread[i], NULL);
    pthread_cond_destroy(&p->idle);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p);
}
