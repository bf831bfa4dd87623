/* Entry points of a library that was loaded at run time, written into a struct of function
 * pointers; and why one was not loaded.
 *
 * Threads: any. Memory: none. */
#ifndef GPU_SYMBOLS_H
#define GPU_SYMBOLS_H

#include <stddef.h>

struct symbol {
    const char *name;
    size_t offset; /* of the pointer in the struct */
};

/* Fills the pointers of `table`; NULL for those that the library lacks. Gives the name of the first
 * of these, or NULL: it has them all. */
const char *symbols_load(void *library, const struct symbol *symbols, size_t count, void *table);

/* Why dlopen, just before, did not give `library`: its name alone where there is no such file, else
 * the loader's words, which the next call of it may change. */
const char *symbols_why_none(const char *library);

#endif
