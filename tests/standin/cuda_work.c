/* libcuda: streams, events, modules, launches.
 *
 * Threads: any. Memory: core.h's; functions live as long as their module. */
#include <ctype.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "kernels.h"

#define NON_BLOCKING 1
#define LIBRARIES_MAX 4
#define FUNCTIONS_MAX 64
#define BLOCK_THREADS_MAX 1024
#define GRID_YZ_MAX 65535
#define SHARED_MAX (48u << 10) /* bytes, without asking for more */
#define PARAM_ALIGN 16

struct CUfunc_st {
    const struct standin_kernel *kernel;
};

struct CUmod_st {
    struct standin_object object;
    char *image; /* owned */
    struct CUfunc_st functions[FUNCTIONS_MAX];
    int functions_count;
};

/* ---- streams -------------------------------------------------------------------------------- */

CUresult cuStreamCreate(CUstream *ret, unsigned flags)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (flags != NON_BLOCKING)
        standin_violation("%s: a stream that waits for the default one", __func__);
    *ret = standin_stream_new(true);
    return *ret ? CUDA_SUCCESS : STANDIN_OUT_OF_MEMORY;
}

CUresult cuStreamDestroy_v2(CUstream stream)
{
    STANDIN_BEGIN_FREE(NEEDS_CONTEXT);
    if (!standin_stream_check(__func__, stream))
        return STANDIN_INVALID_HANDLE;
    standin_stream_close(stream);
    standin_object_drop(&stream->object);
    return result;
}

CUresult cuStreamSynchronize(CUstream stream)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (!standin_stream_check(__func__, stream))
        return STANDIN_INVALID_HANDLE;
    pthread_mutex_lock(&standin_mutex);
    result = standin_stream_wait_locked(stream, stream->submitted);
    pthread_mutex_unlock(&standin_mutex);
    return result;
}

CUresult cuStreamQuery(CUstream stream)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (!standin_stream_check(__func__, stream))
        return STANDIN_INVALID_HANDLE;
    pthread_mutex_lock(&standin_mutex);
    const bool idle = stream->completed == stream->submitted;
    pthread_mutex_unlock(&standin_mutex);
    return idle ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

struct callback {
    CUstreamCallback *function;
    CUstream stream;
    void *user;
};

static void callback_done(void *arg)
{
    const struct callback *callback = arg;
    pthread_mutex_lock(&standin_mutex);
    const CUresult result = standin_death_locked(callback->stream->object.context);
    pthread_mutex_unlock(&standin_mutex);
    callback->function(callback->stream, result, callback->user);
    free(arg);
}

CUresult cuStreamAddCallback(CUstream stream, CUstreamCallback *function, void *user,
                             unsigned flags)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (!standin_stream_check(__func__, stream))
        return STANDIN_INVALID_HANDLE;
    struct callback *callback = malloc(sizeof(*callback));
    if (flags != 0 || !callback) {
        free(callback);
        return flags != 0 ? STANDIN_INVALID_VALUE : STANDIN_OUT_OF_MEMORY;
    }
    *callback = (struct callback){function, stream, user};
    const struct standin_op op = {.done = callback_done, .arg = callback};
    result = standin_stream_push(stream, &op);
    if (result != CUDA_SUCCESS)
        free(callback);
    return result;
}

/* ---- events --------------------------------------------------------------------------------- */

static void event_release(struct standin_object *object)
{
    free(object);
}

CUresult cuEventCreate(CUevent *ret, unsigned flags)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (flags & ~7u)
        return STANDIN_INVALID_VALUE;
    CUevent event = calloc(1, sizeof(*event));
    if (!event)
        return STANDIN_OUT_OF_MEMORY;
    event->flags = flags;
    standin_object_add(&event->object, KIND_EVENT, event_release);
    *ret = event;
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy_v2(CUevent event)
{
    STANDIN_BEGIN_FREE(NEEDS_CONTEXT);
    if (!standin_object_check(__func__, event, KIND_EVENT))
        return STANDIN_INVALID_HANDLE;
    standin_object_drop(&event->object);
    return result;
}

CUresult cuEventRecord(CUevent event, CUstream stream)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (!standin_stream_check(__func__, stream) ||
        !standin_object_check(__func__, event, KIND_EVENT))
        return STANDIN_INVALID_HANDLE;
    const struct standin_op op = {.records = event};
    return standin_stream_push(stream, &op);
}

CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    pthread_mutex_lock(&standin_mutex);
    const bool known = standin_object_live_locked(event, KIND_EVENT);
    const struct standin_op op = {.waits = event, .target = known ? event->recorded : 0};
    pthread_mutex_unlock(&standin_mutex);
    if (!known)
        standin_violation("%s: not a live event", __func__);
    if (!standin_stream_check(__func__, stream) || !known)
        return STANDIN_INVALID_HANDLE;
    return flags != 0 ? STANDIN_INVALID_VALUE : standin_stream_push(stream, &op);
}

CUresult cuEventSynchronize(CUevent event)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (!standin_object_check(__func__, event, KIND_EVENT))
        return STANDIN_INVALID_HANDLE;
    pthread_mutex_lock(&standin_mutex);
    const uint64_t target = event->recorded;
    event->object.refs++;
    result = standin_death_locked(event->object.context);
    while (result == CUDA_SUCCESS && event->done < target) {
        pthread_cond_wait(&standin_changed, &standin_mutex);
        result = standin_death_locked(event->object.context);
    }
    standin_object_unref_locked(&event->object);
    pthread_mutex_unlock(&standin_mutex);
    return result;
}

CUresult cuEventQuery(CUevent event)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (!standin_object_check(__func__, event, KIND_EVENT))
        return STANDIN_INVALID_HANDLE;
    pthread_mutex_lock(&standin_mutex);
    const bool passed = event->done >= event->recorded;
    pthread_mutex_unlock(&standin_mutex);
    return passed ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuEventElapsedTime(float *ret_ms, CUevent begin, CUevent end)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (!standin_object_check(__func__, begin, KIND_EVENT) ||
        !standin_object_check(__func__, end, KIND_EVENT))
        return STANDIN_INVALID_HANDLE;
    pthread_mutex_lock(&standin_mutex);
    const bool timed = !((begin->flags | end->flags) & CU_EVENT_DISABLE_TIMING) &&
                       begin->recorded > 0 && end->recorded > 0;
    const bool passed = begin->done >= begin->recorded && end->done >= end->recorded;
    *ret_ms = (float)(end->done_ns - begin->done_ns) / 1e6f;
    pthread_mutex_unlock(&standin_mutex);
    if (!timed)
        standin_violation("%s: an event without timing, or never recorded", __func__);
    return !timed ? STANDIN_INVALID_HANDLE : passed ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

CUresult cuCtxSynchronize(void)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    return standin_streams_wait();
}

/* ---- modules -------------------------------------------------------------------------------- */

static const struct standin_kernel *tables[LIBRARIES_MAX];
static int tables_count;

/* Where a test names no library, there need be none. */
static void table_open(const char *path, bool named)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const struct standin_kernel *table = library ? dlsym(library, "standin_kernels") : NULL;
    if (table && tables_count < LIBRARIES_MAX)
        tables[tables_count++] = table;
    else if (named)
        standin_violation("%s: %s", path, library ? "no standin_kernels in it" : dlerror());
}

static void tables_open(void)
{
    char paths[4096];
    Dl_info self;
    const char *named = standin_setting_text("KERNELS", NULL);
    if (named) {
        snprintf(paths, sizeof(paths), "%s", named);
    } else if (dladdr((void *)tables, &self) && strrchr(self.dli_fname, '/')) {
        const int folder = (int)(strrchr(self.dli_fname, '/') - self.dli_fname);
        snprintf(paths, sizeof(paths), "%.*s/libstandin_kernels.so", folder, self.dli_fname);
    } else {
        snprintf(paths, sizeof(paths), "libstandin_kernels.so");
    }
    char *rest = paths;
    for (char *path; (path = strsep(&rest, ":")) && *path;)
        table_open(path, named);
}

static const struct standin_kernel *kernel_find(const char *name)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, tables_open);
    for (int i = 0; i < tables_count; i++) {
        for (const struct standin_kernel *k = tables[i]; k->name; k++) {
            if (strcmp(k->name, name) == 0)
                return k;
        }
    }
    return NULL;
}

static bool is_ptx(const char *image)
{
    while (isspace((unsigned char)*image))
        image++;
    return strncmp(image, "//", 2) == 0 || strncmp(image, ".version", 8) == 0;
}

/* Whether the text has a line ".entry NAME(". */
static bool has_entry(const char *image, const char *name)
{
    const size_t size = strlen(name);
    for (const char *at = image; (at = strstr(at, ".entry"));) {
        at += strlen(".entry");
        at += strspn(at, " \t");
        const char next = strncmp(at, name, size) == 0 ? at[size] : 'x';
        if (!isalnum((unsigned char)next) && next != '_' && next != '$')
            return true;
    }
    return false;
}

static void module_release(struct standin_object *object)
{
    free(((CUmodule)object)->image);
    free(object);
}

static CUresult module_load(CUmodule *ret, const char *image)
{
    if (!is_ptx(image))
        return STANDIN_INVALID_PTX;
    CUmodule module = calloc(1, sizeof(*module));
    if (!module || !(module->image = strdup(image))) {
        free(module);
        return STANDIN_OUT_OF_MEMORY;
    }
    standin_object_add(&module->object, KIND_MODULE, module_release);
    *ret = module;
    return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule *ret, const void *image)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    return module_load(ret, image);
}

CUresult cuModuleLoadDataEx(CUmodule *ret, const void *image, unsigned count, CUjit_option *options,
                            void **values)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    result = module_load(ret, image);
    for (unsigned i = 0; i + 1 < count && result == STANDIN_INVALID_PTX; i++) {
        if (options[i] == CU_JIT_ERROR_LOG_BUFFER &&
            options[i + 1] == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES)
            snprintf(values[i], (size_t)(uintptr_t)values[i + 1], "not PTX");
    }
    return result;
}

CUresult cuModuleUnload(CUmodule module)
{
    STANDIN_BEGIN_FREE(NEEDS_CONTEXT);
    if (!standin_object_check(__func__, module, KIND_MODULE))
        return STANDIN_INVALID_HANDLE;
    standin_object_drop(&module->object);
    return result;
}

CUresult cuModuleGetFunction(CUfunction *ret, CUmodule module, const char *name)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (!standin_object_check(__func__, module, KIND_MODULE))
        return STANDIN_INVALID_HANDLE;
    const struct standin_kernel *kernel = kernel_find(name);
    if (!kernel || !has_entry(module->image, name))
        return STANDIN_NOT_FOUND;
    pthread_mutex_lock(&standin_mutex);
    CUfunction function = NULL;
    for (int i = 0; i < module->functions_count; i++) {
        if (module->functions[i].kernel == kernel)
            function = &module->functions[i];
    }
    if (!function && module->functions_count < FUNCTIONS_MAX) {
        function = &module->functions[module->functions_count++];
        function->kernel = kernel;
    }
    pthread_mutex_unlock(&standin_mutex);
    *ret = function;
    return function ? CUDA_SUCCESS : STANDIN_OUT_OF_MEMORY;
}

CUresult cuModuleGetGlobal(CUdeviceptr *ret, size_t *ret_size, CUmodule module, const char *name)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    (void)ret;
    (void)ret_size;
    (void)module;
    (void)name;
    return STANDIN_NOT_FOUND;
}

CUresult cuFuncGetAttribute(int *ret, int attribute, CUfunction function)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    (void)function;
    *ret = attribute == 0 ? BLOCK_THREADS_MAX : 0; /* 0: threads a block */
    return CUDA_SUCCESS;
}

/* ---- launches ------------------------------------------------------------------------------- */

struct job {
    const struct standin_kernel *kernel;
    struct standin_launch launch;
    CUcontext context;
    void *params[STANDIN_PARAMS_MAX];
    _Alignas(PARAM_ALIGN) uint8_t bytes[]; /* the arguments, each aligned */
};

static size_t param_room(size_t size)
{
    return (size + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
}

static void job_run(void *arg)
{
    struct job *job = arg;
    job->kernel->run(&job->launch, job->params);
}

static bool function_live_locked(CUfunction function)
{
    for (struct standin_object *o = NULL; (o = standin_object_next_locked(o, KIND_MODULE));) {
        CUmodule module = (CUmodule)o;
        if (o->context == standin_current() && function >= module->functions &&
            function < module->functions + module->functions_count)
            return true;
    }
    return false;
}

static const char *launch_fault(const struct standin_launch *l)
{
    const uint64_t threads = (uint64_t)l->block[0] * l->block[1] * l->block[2];
    if (l->grid[0] == 0 || l->grid[1] == 0 || l->grid[2] == 0 || threads == 0)
        return "an empty grid or block";
    if (l->grid[0] > INT32_MAX || l->grid[1] > GRID_YZ_MAX || l->grid[2] > GRID_YZ_MAX)
        return "a grid beyond the limits";
    if (threads > BLOCK_THREADS_MAX || l->block[2] > 64)
        return "a block beyond the limits";
    return l->shared_bytes > SHARED_MAX ? "more shared memory than a block has" : NULL;
}

static CUresult launch(const char *name, const struct standin_kernel *kernel,
                       const struct standin_launch *what, CUstream stream, void **params)
{
    size_t size = sizeof(struct job);
    for (int i = 0; i < kernel->params_count; i++)
        size += param_room(kernel->params_size[i]);
    struct job *job = aligned_alloc(PARAM_ALIGN, param_room(size));
    if (!job)
        return STANDIN_OUT_OF_MEMORY;
    *job = (struct job){kernel, *what, standin_current(), {0}};
    struct standin_op op = {.run = job_run, .done = free, .arg = job};
    uint8_t *at = job->bytes;
    bool ok = true;
    pthread_mutex_lock(&standin_mutex);
    for (int i = 0; i < kernel->params_count && ok; i++) {
        job->params[i] = memcpy(at, params[i], kernel->params_size[i]);
        at += param_room(kernel->params_size[i]);
        ok = standin_scan_locked(name, job->params[i], kernel->params_size[i], op.blocks,
                                 &op.blocks_count);
    }
    pthread_mutex_unlock(&standin_mutex);
    standin_work(job->context);
    const CUresult result = ok ? standin_stream_push(stream, &op) : STANDIN_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        free(job);
    return result;
}

CUresult cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                        unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes,
                        CUstream stream, void **params, void **extra)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    if (!standin_stream_check(__func__, stream))
        return STANDIN_INVALID_HANDLE;
    pthread_mutex_lock(&standin_mutex);
    const bool live = function_live_locked(function);
    pthread_mutex_unlock(&standin_mutex);
    const struct standin_launch what = {
        {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, shared_bytes};
    const char *fault = !live              ? "not a function of a loaded module"
                        : !params || extra ? "parameters are not given one by one"
                                           : launch_fault(&what);
    if (fault) {
        standin_violation("%s: %s", __func__, fault);
        return STANDIN_INVALID_VALUE;
    }
    return launch(__func__, function->kernel, &what, stream, params);
}
