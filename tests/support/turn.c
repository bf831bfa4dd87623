#include "support/turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MATRIX_AT 44 /* behind the word "tkhd" of a header of version 0 */
#define MATRIX_BYTES 36

void turn_mp4(const char *path, int degrees)
{
    static const int cos_sin[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    const int c = cos_sin[degrees / 90][0], s = cos_sin[degrees / 90][1];
    const int matrix[9] = {c * 65536, s * 65536, 0, -s * 65536, c * 65536, 0, 0, 0, 1 << 30};
    uint8_t bytes[MATRIX_BYTES];
    for (int i = 0; i < MATRIX_BYTES; i++)
        bytes[i] = (uint8_t)((uint32_t)matrix[i / 4] >> (24 - 8 * (i % 4)));
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    assert_true(size > 0);
    uint8_t *data = malloc((size_t)size);
    assert_non_null(data);
    rewind(f);
    assert_int_equal(fread(data, 1, (size_t)size, f), size);
    const uint8_t *box = memmem(data, (size_t)size, "tkhd", 4);
    assert_non_null(box);
    assert_int_equal(box[4], 0);
    assert_true(box - data + MATRIX_AT + MATRIX_BYTES <= size);
    assert_int_equal(fseek(f, (long)(box - data) + MATRIX_AT, SEEK_SET), 0);
    assert_int_equal(fwrite(bytes, 1, sizeof(bytes), f), sizeof(bytes));
    assert_int_equal(fclose(f), 0);
    free(data);
}
