#include "base/text.h"

#include <rgpu/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 256

/* Makes room for `size` more bytes and a NUL. */
static int reserve(struct text *t, size_t size)
{
    const size_t limit = t->limit ? t->limit : TEXT_LIMIT_DEFAULT;
    if (t->error)
        return t->error;
    if (size > limit - t->size)
        return t->error = RGPU_ERROR_LIMIT;
    const size_t needed = t->size + size + 1;
    if (needed <= t->capacity)
        return 0;
    size_t capacity = t->capacity ? t->capacity : FIRST_CAPACITY;
    while (capacity < needed)
        capacity = capacity > limit / 2 ? limit + 1 : capacity * 2;
    char *data = realloc(t->data, capacity);
    if (!data)
        return t->error = RGPU_ERROR_MEMORY;
    t->data = data;
    t->capacity = capacity;
    return 0;
}

int text_add_bytes(struct text *t, const char *data, size_t size)
{
    if (reserve(t, size))
        return t->error;
    if (size)
        memcpy(t->data + t->size, data, size);
    t->size += size;
    t->data[t->size] = '\0';
    return 0;
}

int text_add(struct text *t, const char *string)
{
    return text_add_bytes(t, string, strlen(string));
}

int text_printf(struct text *t, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    const int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size >= 0 && reserve(t, (size_t)size) == 0) {
        vsnprintf(t->data + t->size, (size_t)size + 1, format, again);
        t->size += (size_t)size;
    } else if (size < 0 && !t->error) {
        t->error = RGPU_ERROR_LIMIT;
    }
    va_end(again);
    return t->error;
}

const char *text_string(const struct text *t)
{
    return t->data ? t->data : "";
}

void text_done(struct text *t)
{
    free(t->data);
    *t = (struct text){0};
}
