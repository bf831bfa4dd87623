#include "api/warnings.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

void warnings_add(struct warnings *w, const char *format, va_list args)
{
    char text[ERROR_TEXT_MAX];
    vsnprintf(text, sizeof(text), format, args);
    bool known = w->count == WARNINGS_MAX;
    for (int i = 0; i < w->count; i++)
        known |= !strcmp(w->text[i], text);
    if (!known && w->count == WARNINGS_MAX - 1)
        snprintf(text, sizeof(text), "there are more warnings than these %d", WARNINGS_MAX - 1);
    if (!known)
        memcpy(w->text[w->count++], text, sizeof(text));
}

const char *warnings_get(const struct warnings *w, int i)
{
    return i >= 0 && i < w->count ? w->text[i] : NULL;
}
