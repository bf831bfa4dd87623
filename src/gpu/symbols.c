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

const char *symbols_why_none(const char *library)
{
    static const char no_file[] = ": cannot open shared object file: No such file or directory";
    const size_t length = strlen(library);
    const char *text = dlerror();
    if (!text || (!strncmp(text, library, length) && !strcmp(text + length, no_file)))
        return library;
    return text;
}
