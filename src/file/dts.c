#include "file/dts.h"

#include "base/error.h"

static void heap_push(struct dts *d, int64_t pts)
{
    int i = d->heap_count++;
    while (i > 0 && d->heap[(i - 1) / 2] > pts) {
        d->heap[i] = d->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    d->heap[i] = pts;
}

static int64_t heap_pop(struct dts *d)
{
    const int64_t top = d->heap[0];
    const int64_t moved = d->heap[--d->heap_count];
    int i = 0;
    for (int child; (child = 2 * i + 1) < d->heap_count; i = child) {
        if (child + 1 < d->heap_count && d->heap[child + 1] < d->heap[child])
            child++;
        if (d->heap[child] >= moved)
            break;
        d->heap[i] = d->heap[child];
    }
    d->heap[i] = moved;
    return top;
}

void dts_init(struct dts *d, int delay, int64_t frame_duration)
{
    *d = (struct dts){
        .delay = delay < 0               ? 0
                 : delay > DTS_DELAY_MAX ? DTS_DELAY_MAX
                                         : delay,
        .frame_duration = frame_duration < 1 ? 1 : frame_duration,
    };
}

int dts_push(struct dts *d, int64_t pts)
{
    if (d->ended || d->heap_count > d->delay || d->waiting_count > d->delay)
        return RGPU_ERROR_AGAIN;
    heap_push(d, pts);
    d->waiting[(d->waiting_head + d->waiting_count++) % (DTS_DELAY_MAX + 1)] = pts;
    return 0;
}

void dts_finish(struct dts *d)
{
    d->ended = true;
}

int dts_next(struct dts *d, int64_t *ret)
{
    if (d->waiting_count == 0)
        return d->ended ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
    /* The smallest pts is known for sure once `delay` more packets have been seen. */
    if (!d->has_first) {
        if (d->heap_count <= d->delay && !d->ended)
            return RGPU_ERROR_AGAIN;
        d->first = d->heap[0];
        d->has_first = true;
    }
    int64_t dts;
    if (d->given < d->delay) {
        dts = d->first - (d->delay - d->given) * d->frame_duration;
    } else {
        if (d->heap_count <= d->delay && !d->ended)
            return RGPU_ERROR_AGAIN;
        dts = heap_pop(d);
        if (d->given > 0 && dts <= d->last)
            return RGPU_ERROR_INTERNAL;
    }
    const int64_t pts = d->waiting[d->waiting_head];
    if (dts > pts)
        return RGPU_ERROR_INTERNAL;
    d->waiting_head = (d->waiting_head + 1) % (DTS_DELAY_MAX + 1);
    d->waiting_count--;
    d->given++;
    d->last = dts;
    *ret = dts;
    return 0;
}
