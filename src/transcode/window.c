#include "transcode/window.h"

#include <assert.h>

void windows_init(struct windows *w)
{
    *w = (struct windows){.end = INT64_MAX};
}

bool windows_room(const struct windows *w)
{
    return w->count < WINDOWS_MAX;
}

void windows_begin(struct windows *w, int64_t start, void *owner)
{
    assert(windows_room(w));
    w->ring[(w->head + w->count) % WINDOWS_MAX] =
        (struct window){.start = start, .end = INT64_MAX, .owner = owner};
    w->count++;
    w->end = INT64_MAX;
}

void windows_tail(struct windows *w, int64_t end)
{
    w->end = end;
    /* The newest window may have no frames, so that nothing has closed it, but never the reverse:
     * without an end nothing passes it. */
    assert(w->count > 0);
    w->ring[(w->head + w->count - 1) % WINDOWS_MAX].end = end;
}

bool windows_passed(const struct windows *w, int64_t pts)
{
    return w->count > 0 && w->ring[w->head].end != INT64_MAX && pts >= w->ring[w->head].end;
}

enum window_verdict windows_place(const struct windows *w, int64_t pts)
{
    if (!w->count)
        return w->end != INT64_MAX && pts >= w->end ? WINDOW_HOLD : WINDOW_DROP;
    return pts < w->ring[w->head].start ? WINDOW_DROP : WINDOW_SHOW;
}

struct window *windows_oldest(struct windows *w)
{
    return w->count ? &w->ring[w->head] : NULL;
}

void windows_close(struct windows *w)
{
    assert(w->count > 0);
    w->head = (w->head + 1) % WINDOWS_MAX;
    w->count--;
}
