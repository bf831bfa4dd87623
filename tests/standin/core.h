/* What the stand-ins share: settings, violations, failures on order, devices, contexts, memory and
 * streams. libcuda, libnvcuvid, libnvidia-encode and libnvidia-ml are entry points over it.
 *
 * Threads: any. One lock, `standin_mutex`, protects everything here; `_locked` names need it held.
 * Memory: objects are counted: one reference of the table of live ones, one of each queued
 * operation. Limits: STANDIN_DEVICES_MAX devices, STANDIN_STACK_MAX contexts on a thread's stack.
 */
#ifndef STANDIN_CORE_H
#define STANDIN_CORE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ffnvcodec/dynlink_cuda.h>

#include "standin.h"

/* The driver's codes that the header does not name. */
#define STANDIN_INVALID_VALUE ((CUresult)1)
#define STANDIN_OUT_OF_MEMORY ((CUresult)2)
#define STANDIN_NOT_INITIALIZED ((CUresult)3)
#define STANDIN_NO_DEVICE ((CUresult)100)
#define STANDIN_INVALID_DEVICE ((CUresult)101)
#define STANDIN_INVALID_CONTEXT ((CUresult)201)
#define STANDIN_MAP_FAILED ((CUresult)205)
#define STANDIN_INVALID_PTX ((CUresult)218)
#define STANDIN_INVALID_HANDLE ((CUresult)400)
#define STANDIN_NOT_FOUND ((CUresult)500)
#define STANDIN_TOO_MANY_RESOURCES ((CUresult)701)
#define STANDIN_NOT_PERMITTED ((CUresult)800)
#define STANDIN_NOT_SUPPORTED ((CUresult)801)

#define STANDIN_DEVICES_MAX 16
#define STANDIN_MEMORY_MIB 8192 /* of a device, unless set */
#define STANDIN_STACK_MAX 32
#define STANDIN_REFS_MAX 128 /* blocks that one operation may name */

#pragma GCC visibility push(default)

extern pthread_mutex_t standin_mutex;
extern pthread_cond_t standin_changed; /* broadcast when an operation is done, a device dies */

/* ---- settings, violations, failures (core.c) ------------------------------------------------ */

/* The environment's STANDIN_NAME; the N-th of a list with commas, or its last. */
long standin_setting(const char *name, long fallback);
long standin_setting_at(const char *name, int n, long fallback);
const char *standin_setting_text(const char *name, const char *fallback);

void standin_violation(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum standin_needs { NEEDS_NOTHING, NEEDS_INIT, NEEDS_CONTEXT };

/* Begins an entry point: counts it, checks that it may be called here. False: it may not, give
 * *ret. True: go on; where *ret is an error (on order, or the device is lost) only what frees
 * something does its work, and gives *ret. */
bool standin_begin(const char *name, enum standin_needs needs, CUresult *ret);

#define STANDIN_BEGIN(needs)                                                                       \
    CUresult result;                                                                               \
    if (!standin_begin(__func__, needs, &result) || result != CUDA_SUCCESS)                        \
    return result
#define STANDIN_BEGIN_FREE(needs)                                                                  \
    CUresult result;                                                                               \
    if (!standin_begin(__func__, needs, &result))                                                  \
    return result

extern _Thread_local bool standin_on_stream; /* this is a stream's thread: no calls from here */

/* As standin_begin, for the failures alone: CUDA_SUCCESS or a code on order. */
int standin_ordered(const char *name);

/* ---- devices, contexts, objects (context.c) ------------------------------------------------- */

enum standin_kind {
    KIND_CONTEXT,
    KIND_STREAM,
    KIND_EVENT,
    KIND_MODULE,
    KIND_DECODER,
    KIND_PARSER,
    KIND_ENCODER
};

struct standin_object {
    enum standin_kind kind;
    CUcontext context;
    int refs;
    bool reported; /* as left behind, when its context went */
    void (*release)(struct standin_object *object);
    struct standin_object *next; /* of the live ones */
};

struct CUctx_st {
    struct standin_object object; /* not in the table where it is a primary one */
    int device;
    int current; /* times it lies on some thread's stack */
};

struct standin_device {
    bool dead;
    size_t used_bytes, total_bytes;
    struct CUctx_st primary;
    int retained;
};

extern struct standin_device standin_devices[STANDIN_DEVICES_MAX];
extern int standin_devices_count; /* set by cuInit */

/* The context on top of this thread's stack, or NULL; pushes one, pops one (NULL: none is there).
 */
CUcontext standin_current(void);
CUresult standin_push(CUcontext context);
CUcontext standin_pop(void);

/* Makes a context, which is pushed; ends it. A primary one lives from its first retain to its last
 * release. What is left of it then is a violation. */
CUcontext standin_context_new(int device);
void standin_context_end(CUcontext context);
void standin_context_ended_locked(CUcontext context);

/* The code that all calls give on this context's device: it is lost, or CUDA_SUCCESS. */
CUresult standin_death_locked(CUcontext context);

/* Counts a launch, a decode or an encode, after which the device may be lost (STANDIN_DIE_AFTER).
 */
void standin_work(CUcontext context);

/* Takes the object (of the current context) into the table of live ones; drop it from there. */
void standin_object_add(struct standin_object *object, enum standin_kind kind,
                        void (*release)(struct standin_object *object));
void standin_object_drop(struct standin_object *object);
void standin_object_unref_locked(struct standin_object *object);

/* Whether the handle is a live object of this kind and of the current context; else a violation in
 * `name`'s name. */
bool standin_object_check(const char *name, const void *handle, enum standin_kind kind);
bool standin_object_live_locked(const void *handle, enum standin_kind kind);

/* The next live object of the kind behind `at` (NULL: the first), or NULL. */
struct standin_object *standin_object_next_locked(const struct standin_object *at,
                                                  enum standin_kind kind);

/* Violations for all that is left of a context, or of any (NULL). */
void standin_left_locked(CUcontext context);

/* Contexts on this thread's stack: violations. */
void standin_stack_left(void);

/* ---- memory (memory.c) ---------------------------------------------------------------------- */

enum standin_memory { MEMORY_DEVICE, MEMORY_PINNED, MEMORY_SURFACE };

struct standin_block {
    enum standin_memory kind;
    uint8_t *base;
    size_t size; /* bytes */
    CUcontext context;
    bool closed;    /* a surface that is not mapped now */
    int pending;    /* queued operations that name it */
    int registered; /* encoders that know it as input */
    bool reported;
    uint8_t *pages; /* with the guard pages */
    size_t pages_size;
    struct standin_block *next;
};

/* A block of the current context; NULL: the device's memory is used up. */
struct standin_block *standin_block_new(enum standin_memory kind, size_t size);

/* Waits for what is queued (a violation), then makes its addresses fault for good. */
void standin_block_free(struct standin_block *block, const char *name);

void standin_block_poison(struct standin_block *block, uint8_t value);
struct standin_block *standin_block_at_locked(uint64_t base, enum standin_memory kind);

/* The block that has all of [address, address + size); NULL: none has. */
struct standin_block *standin_block_holding_locked(uint64_t address, size_t size);

bool standin_is_device_locked(uint64_t address);

/* The block that has all of [address, address + size), in order; else a violation in `name`'s name
 * and NULL. Memory of the host (`device` false) needs no block: then NULL may be right, see *ok. */
struct standin_block *standin_range_locked(const char *name, uint64_t address, size_t size,
                                           bool device, bool *ok);

/* Collects the blocks whose addresses are among the words of `data`. False: one is free, closed or
 * of another device. */
bool standin_scan_locked(const char *name, const void *data, size_t size,
                         struct standin_block **blocks, int *count);
void standin_blocks_left_locked(CUcontext context);

/* ---- streams and events (stream.c) ---------------------------------------------------------- */

struct standin_op {
    void (*run)(void *arg);  /* on the stream's thread; not where the device is lost */
    void (*done)(void *arg); /* then, always; frees `arg`; may be NULL */
    void *arg;
    CUevent waits; /* runs when this event has come to `target`; NULL: at once */
    uint64_t target;
    CUevent records; /* comes to `target` when this is done */
    struct standin_block *blocks[STANDIN_REFS_MAX];
    int blocks_count;
    struct standin_op *next;
};

struct CUstream_st {
    struct standin_object object;
    pthread_cond_t work;
    struct standin_op *head, **tail;
    uint64_t submitted, completed; /* operations */
    bool closing;
    unsigned seed;
};

struct CUevent_st {
    struct standin_object object;
    unsigned flags;
    uint64_t recorded, done; /* records asked for, passed */
    int64_t done_ns;
};

/* A queue with a thread of its own, of the current context. `listed`: a stream of the user's. */
CUstream standin_stream_new(bool listed);
void standin_stream_close(CUstream stream); /* the thread ends when all is done */

/* Queues a copy of `op`; waits while very many are queued. */
CUresult standin_stream_push(CUstream stream, const struct standin_op *op);

/* Waits until `target` operations are complete. Gives the device's death. */
CUresult standin_stream_wait_locked(CUstream stream, uint64_t target);

/* Waits until the current context's streams are idle. Gives the device's death. */
CUresult standin_streams_wait(void);

/* Whether a stream may be used here: live, of this context, not the NULL stream. */
bool standin_stream_check(const char *name, CUstream stream);

int64_t standin_now_ns(void);
void standin_streams_join(void); /* waits for closed streams to end */

#pragma GCC visibility pop

#endif
