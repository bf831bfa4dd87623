/* The segment windows that are open at the decoder's output, and where a frame belongs.
 *
 * A window is a half-open stretch of source time. Because a decoder gives frames later than it
 * takes packets, several windows may be open at once; they always lie end to end. Frames come in
 * display order, so the first frame at or behind a window's end closes it.
 *
 * Threads: none of its own. Memory: no allocation. Limits: WINDOWS_MAX open windows. */
#ifndef TRANSCODE_WINDOW_H
#define TRANSCODE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WINDOWS_MAX 64

struct window {
    int64_t start, end; /* INT64_MIN: from the first frame; INT64_MAX: no end (yet) */
    void *owner;        /* borrowed; the caller's */
};

struct windows {
    struct window ring[WINDOWS_MAX];
    size_t head, count;
    int64_t end; /* of the newest window, also when it is closed */
};

enum window_verdict {
    WINDOW_SHOW, /* belongs to the oldest open window */
    WINDOW_DROP, /* lies before it */
    WINDOW_HOLD, /* lies behind the end of the newest */
};

void windows_init(struct windows *w);

/* Whether another window can be opened. */
bool windows_room(const struct windows *w);

/* Opens a window behind the others; its end is not known yet. Needs room; open windows must lie
 * directly before it. */
void windows_begin(struct windows *w, int64_t start, void *owner);

/* Tells the end of the newest window. */
void windows_tail(struct windows *w, int64_t end);

/* Whether a frame at `pts` lies behind the oldest open window, which is then complete: close it and
 * ask again. */
bool windows_passed(const struct windows *w, int64_t pts);

/* Where a frame belongs once no window is passed any more. */
enum window_verdict windows_place(const struct windows *w, int64_t pts);

/* The oldest open window, or NULL. */
struct window *windows_oldest(struct windows *w);

/* Closes the oldest open window. */
void windows_close(struct windows *w);

#endif
