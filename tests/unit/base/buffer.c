/* Buffers and errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/error.h"

static void test_new_is_aligned_and_padded(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 1000003};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buffer *buf = buffer_new(sizes[i]);
        assert_non_null(buf);
        assert_int_equal((uintptr_t)buf->data % 64, 0);
        assert_int_equal(buf->size, sizes[i]);
        for (int k = 0; k < BUFFER_PADDING; k++)
            assert_int_equal(buf->data[sizes[i] + (size_t)k], 0);
        buffer_unref(&buf);
        assert_null(buf);
    }
    assert_null(buffer_new(SIZE_MAX - 10));
}

static void release(void *opaque, uint8_t *data)
{
    (*(int *)opaque)++;
    free(data);
}

static void test_last_reference_releases_once(void **state)
{
    (void)state;
    int released = 0;
    struct buffer *a = buffer_wrap(malloc(10), 10, release, &released);
    assert_non_null(a);
    struct buffer *b = buffer_ref(a);
    buffer_unref(&a);
    assert_int_equal(released, 0);
    buffer_unref(&b);
    assert_int_equal(released, 1);
    buffer_unref(&b); /* NULL is taken */
    assert_null(buffer_ref(NULL));
}

static void test_errors(void **state)
{
    (void)state;
    struct error err = {0};
    assert_int_equal(error_set(&err, RGPU_ERROR_IO, "reading %s", "x"), RGPU_ERROR_IO);
    assert_int_equal(err.code, RGPU_ERROR_IO);
    assert_string_equal(err.text, "reading x");
    assert_int_equal(error_set(NULL, RGPU_ERROR_IO, "nobody listens"), RGPU_ERROR_IO);
    int evaluated = 0;
    errno = ENOSPC;
    assert_int_equal(error_set(&err, RGPU_ERROR_IO - evaluated++, "once"), RGPU_ERROR_IO);
    assert_int_equal(evaluated, 1);
    assert_int_equal(errno, ENOSPC);
    char longer[2 * ERROR_TEXT_MAX];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    error_set(&err, RGPU_ERROR_IO, "%s", longer);
    assert_int_equal(strlen(err.text), ERROR_TEXT_MAX - 1);
    assert_int_equal(error_from_errno(ENOSPC), RGPU_ERROR_NO_SPACE);
    assert_int_equal(error_from_errno(ENOENT), RGPU_ERROR_NOT_FOUND);
    assert_int_equal(error_from_errno(0), RGPU_ERROR_OK);
    assert_string_equal(rgpu_error_name(RGPU_ERROR_NO_SPACE), "RGPU_ERROR_NO_SPACE");
    assert_string_equal(rgpu_error_text(RGPU_ERROR_OK), "success");
    assert_string_equal(rgpu_error_name(12345), "RGPU_ERROR_UNKNOWN");
    assert_string_equal(rgpu_error_text(12345), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new_is_aligned_and_padded),
        cmocka_unit_test(test_last_reference_releases_once),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
