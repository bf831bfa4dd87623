/* A growing string with a cap: what playlists, JSON lines and messages are written into.
 *
 * Threads: none of its own. Memory: owned by the struct; text_done frees it, zero is a valid empty
 * text whose limit is TEXT_LIMIT_DEFAULT. Limits: `limit` bytes. The first failure is kept in
 * `error` and later writes do nothing, so a writer may check once at its end. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

#define TEXT_LIMIT_DEFAULT ((size_t)64 << 20)

struct text {
    char *data;      /* owned; ends in NUL; NULL while nothing was written */
    size_t size;     /* bytes, without the NUL */
    size_t capacity; /* bytes */
    size_t limit;    /* bytes, without the NUL; 0: TEXT_LIMIT_DEFAULT */
    int error;       /* 0, RGPU_ERROR_MEMORY or RGPU_ERROR_LIMIT */
};

/* Each appends whole or not at all and returns `error`. */
int text_add(struct text *t, const char *string);
int text_add_bytes(struct text *t, const char *data, size_t size);
int text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The string so far; "" when empty. Borrowed, good until the next write. */
const char *text_string(const struct text *t);

/* Frees the memory and zeroes the struct. Takes a zeroed one. */
void text_done(struct text *t);

#endif
