#include "gpu/symbols.h"

#include <dlfcn.h>
#include <string.h>

_Static_assert(sizeof(void *) == sizeof(void (*)(void)), "POSIX has them of one size");

const char *symbols_load(void *library, const struct symbol *symbols, size_t count, void *table)
{
    const char *missing = NULL;
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(library, symbols[i].name);
        if (!address && !missing)
            missing = symbols[i].name;
        memcpy((char *)table + symbols[i].offset, &address, sizeof(address));
    }
    return missing;
}
