#include "gpu/idle.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/thread.h"

#define SECOND_NS 1000000000
#define OUT_OF_MEMORY 2 /* CUDA_ERROR_OUT_OF_MEMORY, as ffnvcodec does not name it */

struct kept {
    struct gpu_device *device; /* borrowed: its last handle clears the list */
    const struct gpu_idle_kind *kind;
    void *object;   /* owned */
    int64_t end_ns; /* monotonic; INT64_MAX: none */
    size_t key_size;
    uint8_t key[GPU_IDLE_KEY_MAX];
    struct kept *older;
};

static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept *latest; /* protected by idle_lock */

/* Destroys what a device has kept for long enough. Protected by idle_lock, but for `thread`, which
 * is of who closes the device. */
struct reaper {
    struct gpu_device *device; /* borrowed; NULL: the thread is not running */
    pthread_t thread;
    pthread_cond_t changed; /* signalled when there is another end, or the thread is to stop */
    pthread_cond_t emptied; /* when what it was destroying is gone */
    bool stop;
    const struct gpu_idle_kind *destroying; /* NULL: nothing */
};

static struct reaper reapers[GPU_DEVICES_MAX]; /* by index */

static bool is_of(const struct kept *kept, const struct gpu_device *device,
                  const struct gpu_idle_kind *kind)
{
    return kept->device == device && (!kind || kept->kind == kind);
}

static struct kept *unlink_locked(struct kept **at)
{
    struct kept *kept = *at;
    *at = kept->older;
    return kept;
}

/* NULL: there is none. */
static struct kept *unlink_oldest_locked(struct gpu_device *device,
                                         const struct gpu_idle_kind *kind)
{
    struct kept **oldest = NULL;
    for (struct kept **at = &latest; *at; at = &(*at)->older)
        if (is_of(*at, device, kind))
            oldest = at;
    return oldest ? unlink_locked(oldest) : NULL;
}

static void destroy(struct gpu_device *device, const struct gpu_idle_kind *kind, void *object)
{
    const bool inside = gpu_enter(device, NULL) == 0;
    kind->destroy(object, inside);
    if (inside)
        gpu_leave(device);
}

static void kept_free(struct kept *kept)
{
    destroy(kept->device, kept->kind, kept->object);
    free(kept);
}

/* What was kept; takes NULL. */
static void *kept_open(struct kept *kept)
{
    void *object = kept ? kept->object : NULL;
    free(kept);
    return object;
}

/* ---- the end of their time ------------------------------------------------------------------- */

static struct reaper *reaper_of(const struct gpu_device *device)
{
    return &reapers[gpu_device_info(device)->index];
}

/* The one of a device whose time is over first; NULL: none has an end. */
static struct kept **first_to_end_locked(const struct gpu_device *device)
{
    struct kept **first = NULL;
    for (struct kept **at = &latest; *at; at = &(*at)->older)
        if ((*at)->device == device && (*at)->end_ns < INT64_MAX &&
            (!first || (*at)->end_ns <= (*first)->end_ns))
            first = at;
    return first;
}

static void reap_locked(struct reaper *r, struct kept **at)
{
    struct kept *over = unlink_locked(at);
    r->destroying = over->kind;
    pthread_mutex_unlock(&idle_lock);
    kept_free(over);
    pthread_mutex_lock(&idle_lock);
    r->destroying = NULL;
    pthread_cond_broadcast(&r->emptied);
}

static void *reaper_main(void *arg)
{
    struct reaper *r = arg;
    pthread_mutex_lock(&idle_lock);
    while (!r->stop) {
        struct kept **first = first_to_end_locked(r->device);
        if (!first) {
            pthread_cond_wait(&r->changed, &idle_lock);
        } else if ((*first)->end_ns <= clock_now_ns()) {
            reap_locked(r, first);
        } else {
            const int64_t end_ns = (*first)->end_ns;
            const struct timespec at = {.tv_sec = (time_t)(end_ns / SECOND_NS),
                                        .tv_nsec = (long)(end_ns % SECOND_NS)};
            pthread_cond_timedwait(&r->changed, &idle_lock, &at);
        }
    }
    pthread_mutex_unlock(&idle_lock);
    return NULL;
}

/* Sees to it that what is put comes to its end in time. False: there is no thread for it. */
static bool reaper_woken_locked(struct gpu_device *device)
{
    struct reaper *r = reaper_of(device);
    if (r->device) {
        pthread_cond_signal(&r->changed);
        return true;
    }
    clock_cond_init(&r->changed);
    clock_cond_init(&r->emptied);
    r->device = device;
    r->stop = false;
    if (thread_start(&r->thread, reaper_main, r) == 0)
        return true;
    pthread_cond_destroy(&r->changed);
    pthread_cond_destroy(&r->emptied);
    r->device = NULL;
    return false;
}

/* For the close of a device's last handle: nobody else has it. */
static void reaper_stop(struct gpu_device *device)
{
    struct reaper *r = reaper_of(device);
    pthread_mutex_lock(&idle_lock);
    const bool runs = r->device == device;
    r->stop = true;
    if (runs)
        pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&idle_lock);
    if (!runs)
        return;
    pthread_join(r->thread, NULL);
    pthread_mutex_lock(&idle_lock);
    pthread_cond_destroy(&r->changed);
    pthread_cond_destroy(&r->emptied);
    r->device = NULL;
    pthread_mutex_unlock(&idle_lock);
}

/* Whether one of the kind was being destroyed, and now is gone. */
static bool reaper_waited_locked(struct gpu_device *device, const struct gpu_idle_kind *kind)
{
    struct reaper *r = reaper_of(device);
    const bool waits = r->destroying && (!kind || r->destroying == kind);
    while (r->destroying && (!kind || r->destroying == kind))
        pthread_cond_wait(&r->emptied, &idle_lock);
    return waits;
}

/* ---- put and take ---------------------------------------------------------------------------- */

/* The oldest where there are too many now; NULL: there are not. */
static struct kept *link_locked(struct kept *kept)
{
    int count = 0;
    kept->older = latest;
    latest = kept;
    for (const struct kept *each = latest; each; each = each->older)
        count += is_of(each, kept->device, kept->kind);
    return count > kept->kind->max ? unlink_oldest_locked(kept->device, kept->kind) : NULL;
}

void gpu_idle_put(struct gpu_device *device, const struct gpu_idle_kind *kind, const void *key,
                  size_t key_size, void *object)
{
    assert(key_size <= GPU_IDLE_KEY_MAX);
    struct kept *kept = calloc(1, sizeof(*kept));
    if (!kept) {
        destroy(device, kind, object);
        return;
    }
    kept->device = device;
    kept->kind = kind;
    kept->object = object;
    kept->key_size = key_size;
    memcpy(kept->key, key, key_size);
    kept->end_ns = kind->keep_ns > 0 ? clock_now_ns() + kind->keep_ns : INT64_MAX;
    pthread_mutex_lock(&idle_lock);
    const bool ends = kind->keep_ns <= 0 || reaper_woken_locked(device);
    struct kept *old = ends ? link_locked(kept) : kept;
    pthread_mutex_unlock(&idle_lock);
    if (old)
        kept_free(old);
}

void *gpu_idle_take(struct gpu_device *device, const struct gpu_idle_kind *kind, const void *key,
                    size_t key_size)
{
    pthread_mutex_lock(&idle_lock);
    struct kept **at = &latest;
    while (*at && !(is_of(*at, device, kind) && (*at)->key_size == key_size &&
                    memcmp((*at)->key, key, key_size) == 0))
        at = &(*at)->older;
    struct kept *found = *at ? unlink_locked(at) : NULL;
    pthread_mutex_unlock(&idle_lock);
    return kept_open(found);
}

void *gpu_idle_take_fit(struct gpu_device *device, const struct gpu_idle_kind *kind,
                        bool (*fits)(const void *object, const void *wanted), const void *wanted)
{
    pthread_mutex_lock(&idle_lock);
    struct kept **at = &latest;
    while (*at && !(is_of(*at, device, kind) && fits((*at)->object, wanted)))
        at = &(*at)->older;
    struct kept *found = *at ? unlink_locked(at) : NULL;
    pthread_mutex_unlock(&idle_lock);
    return kept_open(found);
}

void *gpu_idle_take_best(struct gpu_device *device, const struct gpu_idle_kind *kind,
                         int64_t (*cost)(const void *object, const void *wanted),
                         const void *wanted)
{
    struct kept **best = NULL;
    int64_t least = INT64_MAX;
    pthread_mutex_lock(&idle_lock);
    for (struct kept **at = &latest; *at; at = &(*at)->older) {
        const int64_t this = is_of(*at, device, kind) ? cost((*at)->object, wanted) : -1;
        if (this >= 0 && this < least) {
            best = at;
            least = this;
        }
    }
    struct kept *found = best ? unlink_locked(best) : NULL;
    pthread_mutex_unlock(&idle_lock);
    return kept_open(found);
}

bool gpu_idle_evict(struct gpu_device *device, const struct gpu_idle_kind *kind)
{
    pthread_mutex_lock(&idle_lock);
    struct kept *old = unlink_oldest_locked(device, kind);
    const bool waited = !old && reaper_waited_locked(device, kind);
    pthread_mutex_unlock(&idle_lock);
    if (!old)
        return waited;
    kept_free(old);
    return true;
}

bool gpu_idle_made_room(struct gpu_device *device, CUresult result)
{
    return (int)result == OUT_OF_MEMORY && gpu_idle_evict(device, NULL);
}

void gpu_idle_clear(struct gpu_device *device)
{
    reaper_stop(device);
    while (gpu_idle_evict(device, NULL)) {
    }
}
