#include "transcode/own.h"

#include <stdlib.h>

#include "base/error.h"

static void release_view(void *opaque, struct frame *view)
{
    struct frame *planes = opaque;
    frame_unref(&planes);
    free(view);
}

int frame_own(struct frame **frame)
{
    struct frame *shared = *frame;
    if (__atomic_load_n(&shared->refs, __ATOMIC_ACQUIRE) == 1)
        return 0;
    struct frame *view = calloc(1, sizeof(*view));
    if (!view)
        return RGPU_ERROR_MEMORY;
    *view = (struct frame){.refs = 1,
                           .place = shared->place,
                           .device = shared->device,
                           .format = shared->format,
                           .width = shared->width,
                           .height = shared->height,
                           .ready = shared->ready,
                           .release = release_view,
                           .opaque = shared};
    for (int p = 0; p < FRAME_PLANES; p++) {
        view->data[p] = shared->data[p];
        view->stride[p] = shared->stride[p];
    }
    frame_copy_props(view, shared);
    *frame = view;
    return 0;
}
