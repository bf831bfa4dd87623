#include "api/transcode.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/device.h"
#include "api/limits.h"
#include "api/select.h"
#include "base/clock.h"
#include "base/thread.h"
#include "file/container.h"

bool transcode_cancelled(struct rgpu_transcode *t)
{
    return __atomic_load_n(&t->cancelled, __ATOMIC_ACQUIRE) != 0;
}

static bool is_cancelled(void *opaque)
{
    return transcode_cancelled(opaque);
}

struct reader_interrupt transcode_interrupt(struct rgpu_transcode *t)
{
    return (struct reader_interrupt){is_cancelled, t};
}

void transcode_warn(struct rgpu_transcode *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    pthread_mutex_lock(&t->lock);
    warnings_add(&t->warnings, format, args);
    pthread_mutex_unlock(&t->lock);
    va_end(args);
}

/* ---- starting ------------------------------------------------------------------------------ */

static int check_params(const struct rgpu_transcode_params *p, struct error *err)
{
    if (!p->input || !*p->input || !p->output || !*p->output)
        return error_set(err, RGPU_ERROR_PARAM, "an input and an output are needed");
    if (p->rungs_count > RGPU_RUNGS_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "%d rungs are more than %d", p->rungs_count,
                         RGPU_RUNGS_MAX);
    if (p->rungs_count < 0 || (p->rungs_count > 0 && !p->rungs))
        return error_set(err, RGPU_ERROR_PARAM, "rungs_count is %d, but there are no rungs",
                         p->rungs_count);
    const struct {
        const char *name;
        double value, least;
    } times[] = {{"segment", p->segment_seconds, 0},
                 {"gop", p->gop_seconds, SECONDS_MIN},
                 {"start", p->start_seconds, 0},
                 {"duration", p->duration_seconds, SECONDS_MIN}};
    int ret = 0;
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]) && ret == 0; i++)
        ret = limits_check_seconds(times[i].name, times[i].value, times[i].least, err);
    if (ret == 0 && (p->jobs < 0 || p->jobs > JOB_SLOTS_MAX))
        ret =
            error_set(err, RGPU_ERROR_PARAM, "%d jobs is outside 1 to %d", p->jobs, JOB_SLOTS_MAX);
    return ret == 0 ? limits_check_threads(p->threads, err) : ret;
}

static int check_refresh(const struct rgpu_transcode_params *p, struct error *err)
{
    if (container_from_name(p->output) == CONTAINER_HLS)
        return error_set(err, RGPU_ERROR_PARAM,
                         "each segment of HLS begins with a key frame, which intra refresh does "
                         "without; leave --intra-refresh out, or give a file as the output");
    return rung_check_refresh(p->rungs, p->rungs_count, err);
}

/* Texts that can be wrong whatever the input is. */
static int check_texts(const struct rgpu_transcode_params *p, struct error *err)
{
    struct outputs_params audio;
    int ret = rung_check_ladder(p->rungs, p->rungs_count, err);
    if (ret == 0 && p->intra_refresh)
        ret = check_refresh(p, err);
    if (ret == 0)
        ret = transcode_parse_audio(&audio, p->audio, err);
    if (ret == 0)
        ret = select_check(p->map, err);
    if (ret == 0)
        ret = device_check_name(p->device, err);
    /* What is verified has to be read a second time. */
    if (ret == 0 && p->verify && !reader_can_reopen(p->input))
        ret = error_set(err, RGPU_ERROR_PARAM,
                        "%s cannot be read twice, so its result cannot be verified",
                        transcode_input_name(p));
    return ret;
}

/* The caller's texts may go when open returns: all of them move into one piece of memory. */
static int keep_params(struct rgpu_transcode *t, const struct rgpu_transcode_params *p,
                       struct error *err)
{
    t->params = *p;
    if (p->rungs_count)
        memcpy(t->wanted, p->rungs, (size_t)p->rungs_count * sizeof(t->wanted[0]));
    t->params.rungs = t->wanted;
    const char **texts[5 + 3 * RGPU_RUNGS_MAX] = {
        &t->params.input, &t->params.output, &t->params.device, &t->params.audio, &t->params.map};
    int count = 5;
    for (int i = 0; i < p->rungs_count; i++) {
        texts[count++] = &t->wanted[i].preset;
        texts[count++] = &t->wanted[i].codec;
        texts[count++] = &t->wanted[i].profile;
    }
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += *texts[i] ? strlen(*texts[i]) + 1 : 0;
    t->texts = malloc(size);
    if (!t->texts)
        return error_memory(err, "names");
    char *at = t->texts;
    for (int i = 0; i < count; i++) {
        if (!*texts[i])
            continue;
        const size_t length = strlen(*texts[i]) + 1;
        *texts[i] = memcpy(at, *texts[i], length);
        at += length;
    }
    return 0;
}

static int start(struct rgpu_transcode *t, const struct rgpu_transcode_params *p, struct error *err)
{
    int ret = check_params(p, err);
    if (ret == 0)
        ret = check_texts(p, err);
    if (ret == 0)
        ret = keep_params(t, p, err);
    if (ret != 0)
        return ret;
    t->started_ns = clock_now_ns();
    t->progress.state = RGPU_STATE_OPENING;
    t->progress.percent = t->progress.remaining_seconds = -1;
    if (thread_start(&t->thread, transcode_run, t) != 0)
        return error_set(err, RGPU_ERROR_MEMORY, "cannot start a thread for the job");
    t->started = true;
    return 0;
}

int rgpu_transcode_open_sized(rgpu_transcode **ret, const struct rgpu_transcode_params *params,
                              size_t size)
{
    *ret = NULL;
    struct rgpu_transcode *t = calloc(1, sizeof(*t));
    if (!t)
        return RGPU_ERROR_MEMORY;
    struct rgpu_transcode_params copy = {0};
    memcpy(&copy, params, size < sizeof(copy) ? size : sizeof(copy));
    pthread_mutex_init(&t->lock, NULL);
    clock_cond_init(&t->changed);
    struct error err = {0};
    int code = start(t, &copy, &err);
    if (code != 0) {
        err.code = code;
        t->failure = err;
        t->ended = true;
        t->progress.state = RGPU_STATE_FAILED;
    }
    *ret = t;
    return code;
}

/* ---- watching ------------------------------------------------------------------------------ */

int rgpu_transcode_wait(rgpu_transcode *job, int timeout_ms)
{
    struct timespec deadline = clock_deadline(timeout_ms > 0 ? timeout_ms : 0);
    pthread_mutex_lock(&job->lock);
    while (!job->ended) {
        if (timeout_ms < 0)
            pthread_cond_wait(&job->changed, &job->lock);
        else if (pthread_cond_timedwait(&job->changed, &job->lock, &deadline) != 0)
            break;
    }
    int ret = job->ended ? job->failure.code : RGPU_ERROR_AGAIN;
    pthread_mutex_unlock(&job->lock);
    return ret;
}

int rgpu_transcode_progress(rgpu_transcode *job, struct rgpu_progress *ret, size_t size)
{
    memset(ret, 0, size); /* a newer caller's fields */
    pthread_mutex_lock(&job->lock);
    memcpy(ret, &job->progress, size < sizeof(*ret) ? size : sizeof(*ret));
    pthread_mutex_unlock(&job->lock);
    return 0;
}

const char *rgpu_transcode_message(rgpu_transcode *job)
{
    pthread_mutex_lock(&job->lock);
    const char *text = job->ended ? job->failure.text : "";
    pthread_mutex_unlock(&job->lock);
    return text;
}

const char *rgpu_transcode_warning(rgpu_transcode *job, int i)
{
    pthread_mutex_lock(&job->lock);
    const char *text = warnings_get(&job->warnings, i);
    pthread_mutex_unlock(&job->lock);
    return text;
}

void rgpu_transcode_cancel(rgpu_transcode *job)
{
    __atomic_store_n(&job->cancelled, 1, __ATOMIC_RELEASE);
}

void rgpu_transcode_close(rgpu_transcode **job)
{
    struct rgpu_transcode *t = *job;
    *job = NULL;
    if (!t)
        return;
    rgpu_transcode_cancel(t);
    if (t->started)
        pthread_join(t->thread, NULL);
    job_close(&t->job);
    node_stop(&t->node);
    device_close(&t->device);
    cutter_free(&t->cutter);
    outputs_close(&t->outputs);
    reader_close(&t->reader);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t->segment_marks);
    free(t->texts);
    free(t);
}
