/* The warnings of a job: what was left out, damaged or converted, each once.
 *
 * Threads: the owner's lock. Memory: part of the job; a text stays where it is, so that it can be
 * read as long as the job lives. Limits: WARNINGS_MAX; the last one says that there were more. */
#ifndef API_WARNINGS_H
#define API_WARNINGS_H

#include <stdarg.h>

#include "base/error.h"

#define WARNINGS_MAX 64

struct warnings {
    char text[WARNINGS_MAX][ERROR_TEXT_MAX];
    int count;
};

/* Adds one unless it is known. */
void warnings_add(struct warnings *w, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));

/* i-th, or NULL. */
const char *warnings_get(const struct warnings *w, int i);

#endif
