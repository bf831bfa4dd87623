/* The CPU's scaler when memory runs out: each allocation of its life fails once, in turn; the call
 * reports it, and nothing is lost. Also shows that a frame costs no allocation once pools are full.
 * The C library's allocator is replaced for that, which sanitizers do too: skipped under them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/scaler.h"

#define SKIPPED 77

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if !defined(__GLIBC__) && !defined(SANITIZED)
#define SANITIZED 1 /* no way to the allocator underneath */
#endif

#ifdef SANITIZED

int main(void)
{
    return SKIPPED;
}

#else

#define EXPORTED __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);
void __libc_free(void *p);

static int64_t calls, live, fail_at; /* atomic; fail_at 0: never */

static int refuse(void)
{
    int64_t call = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
    return call == __atomic_load_n(&fail_at, __ATOMIC_SEQ_CST);
}

static void *counted(void *p)
{
    if (p)
        __atomic_add_fetch(&live, 1, __ATOMIC_SEQ_CST);
    return p;
}

EXPORTED void *malloc(size_t size)
{
    return refuse() ? NULL : counted(__libc_malloc(size));
}

EXPORTED void *calloc(size_t count, size_t size)
{
    return refuse() ? NULL : counted(__libc_calloc(count, size));
}

EXPORTED void *realloc(void *p, size_t size)
{
    if (refuse())
        return NULL;
    void *moved = __libc_realloc(p, size);
    return p ? moved : counted(moved);
}

EXPORTED int posix_memalign(void **ret, size_t align, size_t size)
{
    void *p = refuse() ? NULL : counted(__libc_memalign(align, size));
    if (!p)
        return ENOMEM;
    *ret = p;
    return 0;
}

EXPORTED void *aligned_alloc(size_t align, size_t size)
{
    return refuse() ? NULL : counted(__libc_memalign(align, size));
}

EXPORTED void free(void *p)
{
    if (p)
        __atomic_sub_fetch(&live, 1, __ATOMIC_SEQ_CST);
    __libc_free(p);
}

static const struct scaler_params params = {
    .width = 66,
    .height = 34,
    .format = PIXEL_YUV420P10,
    .outputs_count = 3,
    .outputs = {{32, 16, PIXEL_YUV420P}, {66, 34, PIXEL_YUV420P10}, {40, 20, PIXEL_P010}},
    .threads = 2,
};

/* One scaler's life with two frames; the first error, or 0. */
static int live_once(struct frame *src, struct error *err)
{
    void *scaler = NULL;
    int rc = cpu_scaler_ops.open(&scaler, &params, err);
    for (int n = 0; !rc && n < 2; n++) {
        struct frame *out[3] = {0};
        rc = cpu_scaler_ops.run(scaler, src, 7, out, err);
        for (int i = 0; i < 3; i++) {
            /* Untouched on failure, all there on success. */
            assert_true(rc ? !out[i] : out[i] != NULL);
            frame_unref(&out[i]);
        }
    }
    cpu_scaler_ops.close(scaler);
    return rc;
}

static void test_each_allocation_fails_once(void **state)
{
    (void)state;
    struct frame *src = frame_new(params.format, params.width, params.height);
    for (int p = 0; p < 3; p++)
        memset(src->data[p], 1,
               (size_t)src->stride[p] * (size_t)pixel_plane_height(src->format, p, src->height));
    struct error err = {0};
    assert_int_equal(live_once(src, &err), 0); /* what libraries keep for ever is taken now */
    int64_t before = calls;
    assert_int_equal(live_once(src, &err), 0);
    const int64_t total = calls - before;
    assert_true(total > 20);
    int failed = 0;
    for (int64_t n = 1; n <= total; n++) {
        int rc = 0;
        int64_t lost = 0;
        /* Twice, since what libraries make once, to throw their first exception, stays. */
        for (int again = 0; again < 2; again++) {
            const int64_t live_before = live;
            err.text[0] = '\0';
            fail_at = calls + n;
            rc = live_once(src, &err);
            fail_at = 0;
            lost = live - live_before;
        }
        if (lost)
            fail_msg("allocation %lld of %lld failed: %lld blocks lost", (long long)n,
                     (long long)total, (long long)lost);
        /* A library may do without some of its allocations. */
        if (rc && rc != RGPU_ERROR_MEMORY)
            fail_msg("allocation %lld failed: code %d, %s", (long long)n, rc, err.text);
        assert_true(!rc || err.text[0]);
        assert_int_equal(src->refs, 1);
        failed += rc != 0;
    }
    assert_true(failed > total / 2);
    frame_unref(&src);
}

static void test_no_allocation_per_frame(void **state)
{
    (void)state;
    struct frame *src = frame_new(params.format, params.width, params.height);
    struct error err = {0};
    void *scaler = NULL;
    assert_int_equal(cpu_scaler_ops.open(&scaler, &params, &err), 0);
    int64_t before = 0;
    for (int n = 0; n < 10; n++) {
        before = n == 1 ? calls : before; /* the first frame fills the pools */
        struct frame *out[3] = {0};
        assert_int_equal(cpu_scaler_ops.run(scaler, src, 7, out, &err), 0);
        for (int i = 0; i < 3; i++)
            frame_unref(&out[i]);
    }
    assert_int_equal(calls - before, 0);
    cpu_scaler_ops.close(scaler);
    frame_unref(&src);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_allocation_fails_once),
        cmocka_unit_test(test_no_allocation_per_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
