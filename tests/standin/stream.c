/* Streams: a thread each, which does what is queued in order and late, so that whoever does not
 * wait for it is seen to be too early.
 *
 * Threads: any; protected by standin_mutex, operations run without it. Memory: a stream's thread
 * frees it. Limits: QUEUE_MAX operations a stream, then the caller waits as with the driver. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core.h"

#define QUEUE_MAX 1000
#define LATE_US 300
#define JOIN_SECONDS 20

static int closing_count; /* streams that were closed and whose threads have not ended */

int64_t standin_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the thread ----------------------------------------------------------------------------- */

static void be_late(CUstream stream)
{
    const long most_us = standin_setting("LATE_US", LATE_US);
    if (most_us <= 0)
        return;
    const long us = rand_r(&stream->seed) % (most_us + 1);
    const struct timespec time = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&time, NULL);
}

static void await_event_locked(CUstream stream, const struct standin_op *op)
{
    while (op->waits->done < op->target &&
           standin_death_locked(stream->object.context) == CUDA_SUCCESS)
        pthread_cond_wait(&standin_changed, &standin_mutex);
}

static void finish_locked(CUstream stream, struct standin_op *op)
{
    for (int i = 0; i < op->blocks_count; i++)
        op->blocks[i]->pending--;
    if (op->waits)
        standin_object_unref_locked(&op->waits->object);
    if (op->records) {
        if (op->records->done < op->target)
            op->records->done = op->target;
        op->records->done_ns = standin_now_ns();
        standin_object_unref_locked(&op->records->object);
    }
    stream->head = op->next;
    if (!stream->head)
        stream->tail = &stream->head;
    stream->completed++;
    pthread_cond_broadcast(&standin_changed);
    free(op);
}

static void *stream_thread(void *arg)
{
    CUstream stream = arg;
    standin_on_stream = true;
    pthread_mutex_lock(&standin_mutex);
    for (;;) {
        while (!stream->head && !stream->closing)
            pthread_cond_wait(&stream->work, &standin_mutex);
        struct standin_op *op = stream->head;
        if (!op)
            break;
        if (op->waits)
            await_event_locked(stream, op);
        pthread_mutex_unlock(&standin_mutex);
        be_late(stream);
        pthread_mutex_lock(&standin_mutex);
        const bool dead = standin_death_locked(stream->object.context) != CUDA_SUCCESS;
        pthread_mutex_unlock(&standin_mutex);
        if (op->run && !dead)
            op->run(op->arg);
        if (op->done)
            op->done(op->arg);
        pthread_mutex_lock(&standin_mutex);
        finish_locked(stream, op);
    }
    closing_count--;
    standin_object_unref_locked(&stream->object);
    pthread_cond_broadcast(&standin_changed);
    pthread_mutex_unlock(&standin_mutex);
    return NULL;
}

/* ---- streams -------------------------------------------------------------------------------- */

static void stream_release(struct standin_object *object)
{
    CUstream stream = (CUstream)object;
    pthread_cond_destroy(&stream->work);
    free(stream);
}

CUstream standin_stream_new(bool listed)
{
    static unsigned count;
    CUstream stream = calloc(1, sizeof(*stream));
    if (!stream)
        return NULL;
    pthread_cond_init(&stream->work, NULL);
    stream->tail = &stream->head;
    pthread_mutex_lock(&standin_mutex);
    stream->seed = (unsigned)standin_setting("SEED", 1) * 1000003u + ++count;
    pthread_mutex_unlock(&standin_mutex);
    stream->object.context = standin_current();
    stream->object.release = stream_release;
    stream->object.refs = 1;
    pthread_t thread;
    if (pthread_create(&thread, NULL, stream_thread, stream) != 0) {
        stream_release(&stream->object);
        return NULL;
    }
    pthread_detach(thread);
    if (listed)
        standin_object_add(&stream->object, KIND_STREAM, stream_release);
    return stream;
}

void standin_stream_close(CUstream stream)
{
    pthread_mutex_lock(&standin_mutex);
    stream->closing = true;
    closing_count++;
    pthread_cond_signal(&stream->work);
    pthread_mutex_unlock(&standin_mutex);
}

CUresult standin_stream_push(CUstream stream, const struct standin_op *op)
{
    struct standin_op *copy = malloc(sizeof(*copy));
    if (!copy)
        return STANDIN_OUT_OF_MEMORY;
    *copy = *op;
    copy->next = NULL;
    pthread_mutex_lock(&standin_mutex);
    CUcontext context = stream->object.context;
    while (stream->submitted - stream->completed >= QUEUE_MAX &&
           standin_death_locked(context) == CUDA_SUCCESS)
        pthread_cond_wait(&standin_changed, &standin_mutex);
    for (int i = 0; i < op->blocks_count; i++)
        op->blocks[i]->pending++;
    if (op->waits)
        op->waits->object.refs++;
    if (op->records) {
        copy->target = ++op->records->recorded;
        op->records->object.refs++;
    }
    *stream->tail = copy;
    stream->tail = &copy->next;
    stream->submitted++;
    pthread_cond_signal(&stream->work);
    pthread_mutex_unlock(&standin_mutex);
    return CUDA_SUCCESS;
}

CUresult standin_stream_wait_locked(CUstream stream, uint64_t target)
{
    CUcontext context = stream->object.context;
    stream->object.refs++;
    CUresult result = standin_death_locked(context);
    while (result == CUDA_SUCCESS && stream->completed < target) {
        pthread_cond_wait(&standin_changed, &standin_mutex);
        result = standin_death_locked(context);
    }
    standin_object_unref_locked(&stream->object);
    return result;
}

static bool busy_locked(CUcontext context)
{
    for (struct standin_object *o = NULL; (o = standin_object_next_locked(o, KIND_STREAM));) {
        CUstream stream = (CUstream)o;
        if (o->context == context && stream->completed < stream->submitted)
            return true;
    }
    return false;
}

CUresult standin_streams_wait(void)
{
    CUcontext context = standin_current();
    pthread_mutex_lock(&standin_mutex);
    while (standin_death_locked(context) == CUDA_SUCCESS && busy_locked(context))
        pthread_cond_wait(&standin_changed, &standin_mutex);
    const CUresult result = standin_death_locked(context);
    pthread_mutex_unlock(&standin_mutex);
    return result;
}

bool standin_stream_check(const char *name, CUstream stream)
{
    if (!stream || stream == (CUstream)1 || stream == (CUstream)2) {
        standin_violation("%s: the default stream", name);
        return false;
    }
    return standin_object_check(name, stream, KIND_STREAM);
}

void standin_streams_join(void)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += JOIN_SECONDS;
    pthread_mutex_lock(&standin_mutex);
    int rc = 0;
    while (closing_count > 0 && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&standin_changed, &standin_mutex, &until);
    const int count = closing_count;
    pthread_mutex_unlock(&standin_mutex);
    if (count > 0)
        standin_violation("%d streams that were closed do not end", count);
}
