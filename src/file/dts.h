/* Decoding time stamps, made anew from presentation time stamps over a whole film with one fixed
 * reorder delay: dts[n] is the (n - delay)-th smallest pts, and the first `delay` ones lie one
 * frame duration apart before the first pts. So dts grows strictly, dts <= pts, and a variable
 * frame rate stays what it is.
 *
 * Threads: none; pure. Memory: none but the struct; zero is an empty state with delay 0.
 * Limits: DTS_DELAY_MAX frames of delay. */
#ifndef FILE_DTS_H
#define FILE_DTS_H

#include <stdbool.h>
#include <stdint.h>

#define DTS_DELAY_MAX 64

struct dts {
    int delay;                       /* frames */
    int64_t frame_duration;          /* time base ticks, at least 1 */
    int64_t heap[DTS_DELAY_MAX + 1]; /* pts that are not yet some packet's dts; smallest first */
    int heap_count;
    int64_t waiting[DTS_DELAY_MAX + 1]; /* pts of the packets that wait for their dts, a ring */
    int waiting_head, waiting_count;
    int64_t given;       /* packets that got their dts */
    int64_t first, last; /* smallest pts of all; last dts that was given */
    bool has_first, ended;
};

/* `delay` is cut to 0..DTS_DELAY_MAX. */
void dts_init(struct dts *d, int delay, int64_t frame_duration);

/* Pts of the next packet in decode order. AGAIN: call dts_next first. */
int dts_push(struct dts *d, int64_t pts);

/* No more packets. */
void dts_finish(struct dts *d);

/* Dts of the oldest packet that has none yet. AGAIN: push more. END. INTERNAL: the packets are
 * further out of order than `delay` says, or two have the same pts. */
int dts_next(struct dts *d, int64_t *ret);

#endif
