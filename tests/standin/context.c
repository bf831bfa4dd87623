/* Devices, contexts, each thread's stack of them, and the table of live objects.
 *
 * Threads: any; a stack is its thread's own. */
#include <stdlib.h>

#include "core.h"

pthread_mutex_t standin_mutex = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t standin_changed = PTHREAD_COND_INITIALIZER;
struct standin_device standin_devices[STANDIN_DEVICES_MAX];
int standin_devices_count;

static struct standin_object *live; /* protected by standin_mutex, as all else here */
static long work_count;

static const char *const kind_names[] = {
    [KIND_CONTEXT] = "context", [KIND_STREAM] = "stream",   [KIND_EVENT] = "event",
    [KIND_MODULE] = "module",   [KIND_DECODER] = "decoder", [KIND_PARSER] = "parser",
    [KIND_ENCODER] = "encoder",
};

/* ---- devices -------------------------------------------------------------------------------- */

CUresult standin_death_locked(CUcontext context)
{
    if (!standin_devices[context->device].dead)
        return CUDA_SUCCESS;
    return (CUresult)standin_setting("DIE_CODE", CUDA_ERROR_UNKNOWN);
}

static void kill_locked(int device)
{
    standin_devices[device].dead = true;
    pthread_cond_broadcast(&standin_changed);
}

void standin_kill(int device)
{
    if (device < 0 || device >= STANDIN_DEVICES_MAX)
        return;
    pthread_mutex_lock(&standin_mutex);
    kill_locked(device);
    pthread_mutex_unlock(&standin_mutex);
}

void standin_work(CUcontext context)
{
    const long limit = standin_setting("DIE_AFTER", -1);
    pthread_mutex_lock(&standin_mutex);
    work_count++;
    if (limit >= 0 && work_count > limit)
        kill_locked(context->device);
    pthread_mutex_unlock(&standin_mutex);
}

/* ---- contexts ------------------------------------------------------------------------------- */

struct stack {
    CUcontext contexts[STANDIN_STACK_MAX];
    int depth;
};

static _Thread_local struct stack stack;
static pthread_key_t thread_end;

static void on_thread_end(void *unused)
{
    (void)unused;
    standin_stack_left();
}

__attribute__((constructor)) static void begin(void)
{
    pthread_key_create(&thread_end, on_thread_end);
}

void standin_stack_left(void)
{
    if (stack.depth > 0)
        standin_violation("a thread ends with %d contexts on its stack", stack.depth);
    stack.depth = 0;
}

CUcontext standin_current(void)
{
    return stack.depth > 0 ? stack.contexts[stack.depth - 1] : NULL;
}

static bool context_live_locked(CUcontext context)
{
    for (int i = 0; i < standin_devices_count; i++) {
        if (context == &standin_devices[i].primary)
            return standin_devices[i].retained > 0;
    }
    return standin_object_live_locked(context, KIND_CONTEXT);
}

CUresult standin_push(CUcontext context)
{
    CUresult result = STANDIN_INVALID_CONTEXT;
    pthread_mutex_lock(&standin_mutex);
    if (!context_live_locked(context))
        standin_violation("cuCtxPushCurrent: not a live context");
    else if (stack.depth == STANDIN_STACK_MAX)
        standin_violation("cuCtxPushCurrent: %d contexts on the stack", stack.depth);
    else
        result = standin_death_locked(context);
    if (result == CUDA_SUCCESS) {
        context->current++;
        stack.contexts[stack.depth++] = context;
    }
    pthread_mutex_unlock(&standin_mutex);
    pthread_setspecific(thread_end, &stack);
    return result;
}

CUcontext standin_pop(void)
{
    if (stack.depth == 0)
        return NULL;
    CUcontext context = stack.contexts[--stack.depth];
    pthread_mutex_lock(&standin_mutex);
    context->current--;
    pthread_mutex_unlock(&standin_mutex);
    return context;
}

static void context_release(struct standin_object *object)
{
    free(object);
}

CUcontext standin_context_new(int device)
{
    CUcontext context = calloc(1, sizeof(*context));
    if (!context)
        return NULL;
    context->device = device;
    standin_object_add(&context->object, KIND_CONTEXT, context_release);
    context->object.context = NULL; /* it is within no other */
    if (standin_push(context) == CUDA_SUCCESS)
        return context;
    standin_object_drop(&context->object);
    return NULL;
}

void standin_context_ended_locked(CUcontext context)
{
    if (context->current > 0)
        standin_violation("a context ends and is %d times on a thread's stack", context->current);
    standin_left_locked(context);
}

void standin_context_end(CUcontext context)
{
    const struct CUctx_st *top = standin_current();
    if (top && top == context)
        standin_pop();
    pthread_mutex_lock(&standin_mutex);
    standin_context_ended_locked(context);
    pthread_mutex_unlock(&standin_mutex);
    standin_object_drop(&context->object);
}

/* ---- objects -------------------------------------------------------------------------------- */

void standin_object_add(struct standin_object *object, enum standin_kind kind,
                        void (*release)(struct standin_object *object))
{
    object->kind = kind;
    object->release = release;
    object->context = standin_current();
    pthread_mutex_lock(&standin_mutex);
    object->refs++;
    object->next = live;
    live = object;
    pthread_mutex_unlock(&standin_mutex);
}

void standin_object_unref_locked(struct standin_object *object)
{
    if (--object->refs == 0)
        object->release(object);
}

void standin_object_drop(struct standin_object *object)
{
    pthread_mutex_lock(&standin_mutex);
    struct standin_object **at = &live;
    while (*at != object)
        at = &(*at)->next;
    *at = object->next;
    standin_object_unref_locked(object);
    pthread_mutex_unlock(&standin_mutex);
}

static const struct standin_object *find_locked(const void *handle, enum standin_kind kind)
{
    for (const struct standin_object *o = live; o; o = o->next) {
        if (o == handle && o->kind == kind)
            return o;
    }
    return NULL;
}

struct standin_object *standin_object_next_locked(const struct standin_object *at,
                                                  enum standin_kind kind)
{
    struct standin_object *next = at ? at->next : live;
    while (next && next->kind != kind)
        next = next->next;
    return next;
}

bool standin_object_live_locked(const void *handle, enum standin_kind kind)
{
    return find_locked(handle, kind) != NULL;
}

bool standin_object_check(const char *name, const void *handle, enum standin_kind kind)
{
    pthread_mutex_lock(&standin_mutex);
    const struct standin_object *object = find_locked(handle, kind);
    const bool here = object && object->context == standin_current();
    pthread_mutex_unlock(&standin_mutex);
    if (!object)
        standin_violation("%s: not a live %s", name, kind_names[kind]);
    else if (!here)
        standin_violation("%s: a %s of another context", name, kind_names[kind]);
    return here;
}

void standin_left_locked(CUcontext context)
{
    for (struct standin_object *o = live; o; o = o->next) {
        if (o->reported || (context && o->context != context) || (void *)o == (void *)context)
            continue;
        o->reported = true;
        standin_violation("left open: %s", kind_names[o->kind]);
    }
    standin_blocks_left_locked(context);
    for (int i = 0; !context && i < standin_devices_count; i++) {
        if (standin_devices[i].retained > 0)
            standin_violation("left open: device %d's primary context, retained %d times", i,
                              standin_devices[i].retained);
    }
}
