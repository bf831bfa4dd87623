#include "gpu/idle.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define OUT_OF_MEMORY 2 /* CUDA_ERROR_OUT_OF_MEMORY, as ffnvcodec does not name it */

struct kept {
    struct gpu_device *device; /* borrowed: its last handle clears the list */
    const struct gpu_idle_kind *kind;
    void *object; /* owned */
    size_t key_size;
    uint8_t key[GPU_IDLE_KEY_MAX];
    struct kept *older;
};

static pthread_mutex_t idle_lock = PTHREAD_MUTEX_INITIALIZER;
static struct kept *latest; /* protected by idle_lock */

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
    int count = 0;
    pthread_mutex_lock(&idle_lock);
    kept->older = latest;
    latest = kept;
    for (const struct kept *each = latest; each; each = each->older)
        count += is_of(each, device, kind);
    struct kept *old = count > kind->max ? unlink_oldest_locked(device, kind) : NULL;
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

bool gpu_idle_evict(struct gpu_device *device, const struct gpu_idle_kind *kind)
{
    pthread_mutex_lock(&idle_lock);
    struct kept *old = unlink_oldest_locked(device, kind);
    pthread_mutex_unlock(&idle_lock);
    if (!old)
        return false;
    kept_free(old);
    return true;
}

bool gpu_idle_made_room(struct gpu_device *device, CUresult result)
{
    return (int)result == OUT_OF_MEMORY && gpu_idle_evict(device, NULL);
}

void gpu_idle_clear(struct gpu_device *device)
{
    while (gpu_idle_evict(device, NULL)) {
    }
}
