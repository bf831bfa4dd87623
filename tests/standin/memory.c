/* The memory table: blocks between pages that fault, poisoned when they come and gone for good when
 * they are freed.
 *
 * Threads: any; protected by standin_mutex. Memory: a freed block's addresses stay reserved, so
 * that no later block has them, up to GONE_MAX blocks back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core.h"

#define ALIGN 512 /* bytes: what the driver promises is 256 */
#define FRESH 0xcd
#define EDGE 0xed /* between a block and its guard pages */
#define GONE_MAX 512

struct range {
    uint8_t *pages;
    size_t size;
};

static struct standin_block *blocks;
static struct range gone[GONE_MAX]; /* a ring */
static size_t gone_next;

static size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- coming and going ----------------------------------------------------------------------- */

/* Device memory counts against the device's; the host's does not. */
static bool reserve_locked(const struct standin_block *block)
{
    struct standin_device *device = &standin_devices[block->context->device];
    if (block->kind == MEMORY_PINNED)
        return true;
    if (block->size > device->total_bytes - device->used_bytes)
        return false;
    device->used_bytes += block->size;
    return true;
}

static bool map_pages(struct standin_block *block)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t used = round_up(block->size, page);
    block->pages_size = used + 2 * page;
    block->pages = mmap(NULL, block->pages_size, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (block->pages == MAP_FAILED)
        return false;
    if (mprotect(block->pages + page, used, PROT_READ | PROT_WRITE) != 0) {
        munmap(block->pages, block->pages_size);
        return false;
    }
    /* The end lies as near to the page that faults as the alignment lets it. */
    block->base = block->pages + page + used - round_up(block->size, ALIGN);
    memset(block->pages + page, EDGE, used);
    memset(block->base, FRESH, block->size);
    return true;
}

struct standin_block *standin_block_new(enum standin_memory kind, size_t size)
{
    struct standin_block *block = calloc(1, sizeof(*block));
    if (!block)
        return NULL;
    block->kind = kind;
    block->size = size;
    block->context = standin_current();
    block->closed = kind == MEMORY_SURFACE;
    pthread_mutex_lock(&standin_mutex);
    const bool fits = reserve_locked(block);
    if (fits && map_pages(block)) {
        block->next = blocks;
        blocks = block;
    } else {
        if (fits && kind != MEMORY_PINNED)
            standin_devices[block->context->device].used_bytes -= size;
        free(block);
        block = NULL;
    }
    pthread_mutex_unlock(&standin_mutex);
    return block;
}

static void check_edges(const struct standin_block *block, const char *name)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    for (const uint8_t *p = block->pages + page; p < block->pages + block->pages_size - page; p++) {
        if (p == block->base)
            p += block->size;
        if (p < block->pages + block->pages_size - page && *p != EDGE) {
            standin_violation("%s: written outside the block of %zu bytes, at byte %td", name,
                              block->size, p - block->base);
            return;
        }
    }
}

static void pages_gone_locked(const struct standin_block *block)
{
    struct range *range = &gone[gone_next++ % GONE_MAX];
    if (range->pages)
        munmap(range->pages, range->size);
    /* Mapped anew: gives the memory back, keeps the addresses. */
    *range = (struct range){block->pages, block->pages_size};
    if (mmap(block->pages, block->pages_size, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        standin_violation("freed memory stays readable: %s", strerror(errno));
}

void standin_block_free(struct standin_block *block, const char *name)
{
    pthread_mutex_lock(&standin_mutex);
    /* Of a lost device nobody can know when it is done. */
    if (block->pending > 0 && standin_death_locked(block->context) == CUDA_SUCCESS)
        standin_violation("%s: memory that %d queued operations use", name, block->pending);
    if (block->registered > 0)
        standin_violation("%s: memory that is registered with an encoder", name);
    while (block->pending > 0)
        pthread_cond_wait(&standin_changed, &standin_mutex);
    struct standin_block **at = &blocks;
    while (*at != block)
        at = &(*at)->next;
    *at = block->next;
    if (block->kind != MEMORY_PINNED)
        standin_devices[block->context->device].used_bytes -= block->size;
    check_edges(block, name);
    pages_gone_locked(block);
    pthread_mutex_unlock(&standin_mutex);
    free(block);
}

void standin_block_poison(struct standin_block *block, uint8_t value)
{
    memset(block->base, value, block->size);
}

void standin_blocks_left_locked(CUcontext context)
{
    static const char *const kinds[] = {"memory", "pinned memory", "a decoder's surface"};
    for (struct standin_block *b = blocks; b; b = b->next) {
        if (b->reported || (context && b->context != context))
            continue;
        b->reported = true;
        standin_violation("left open: %s of %zu bytes", kinds[b->kind], b->size);
    }
}

/* ---- looking up ----------------------------------------------------------------------------- */

struct standin_block *standin_block_at_locked(uint64_t base, enum standin_memory kind)
{
    for (struct standin_block *b = blocks; b; b = b->next) {
        if ((uint64_t)(uintptr_t)b->base == base && b->kind == kind)
            return b;
    }
    return NULL;
}

static bool holds(const struct standin_block *block, uint64_t address)
{
    return address - (uintptr_t)block->base < block->size;
}

static struct standin_block *block_of_locked(uint64_t address)
{
    for (struct standin_block *b = blocks; b; b = b->next) {
        if (holds(b, address))
            return b;
    }
    return NULL;
}

struct standin_block *standin_block_holding_locked(uint64_t address, size_t size)
{
    struct standin_block *block = block_of_locked(address);
    return block && size <= block->size - (address - (uintptr_t)block->base) ? block : NULL;
}

bool standin_is_device_locked(uint64_t address)
{
    const struct standin_block *block = block_of_locked(address);
    return block && block->kind != MEMORY_PINNED;
}

static bool is_gone_locked(uint64_t address)
{
    for (size_t i = 0; i < GONE_MAX; i++) {
        if (gone[i].pages && address - (uintptr_t)gone[i].pages < gone[i].size)
            return true;
    }
    return false;
}

/* Why this context may not use the block; NULL: it may. */
static const char *block_fault(const struct standin_block *block)
{
    CUcontext context = standin_current();
    if (block->closed)
        return "a surface that is not mapped";
    if (context && block->kind != MEMORY_PINNED && block->context->device != context->device)
        return "another device's memory";
    return NULL;
}

struct standin_block *standin_range_locked(const char *name, uint64_t address, size_t size,
                                           bool device, bool *ok)
{
    struct standin_block *block = block_of_locked(address);
    const char *fault = NULL;
    if (block && block->kind != MEMORY_PINNED && !device)
        fault = "a device address where one of the host belongs";
    else if ((!block || block->kind == MEMORY_PINNED) && device)
        fault = is_gone_locked(address) ? "memory that was freed" : "not an address of the device";
    else if (block)
        fault = block_fault(block);
    if (!fault && block && size > block->size - (address - (uintptr_t)block->base))
        fault = "past the end of its block";
    if (fault)
        standin_violation("%s: %s", name, fault);
    *ok = !fault;
    return fault ? NULL : block;
}

bool standin_scan_locked(const char *name, const void *data, size_t size,
                         struct standin_block **found, int *count)
{
    for (size_t at = 0; at + sizeof(uint64_t) <= size; at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, (const uint8_t *)data + at, sizeof(word));
        struct standin_block *block = block_of_locked(word);
        const char *fault = block                  ? block_fault(block)
                            : is_gone_locked(word) ? "memory that was freed"
                                                   : NULL;
        if (fault) {
            standin_violation("%s: %s", name, fault);
            return false;
        }
        bool known = !block || *count == STANDIN_REFS_MAX;
        for (int i = 0; i < *count && !known; i++)
            known = found[i] == block;
        if (!known)
            found[(*count)++] = block;
    }
    return true;
}
