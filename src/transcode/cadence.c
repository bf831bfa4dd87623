#include "transcode/cadence.h"

/* Longest step of the encoders' clock in ticks: months in 1/90000, minutes in nanoseconds. Keeps
 * the clock from overflowing on time stamps that jump. */
#define CLOCK_STEP_MAX ((int64_t)1 << 40)

__extension__ typedef __int128 int128;

static int128 floor_div(int128 a, int128 b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

void key_rule_init(struct key_rule *k, struct rational time_base, int64_t gop_us)
{
    *k = (struct key_rule){.time_base = time_base, .gop_us = gop_us, .first = true};
}

void key_rule_start(struct key_rule *k, int64_t start)
{
    k->start = start;
    k->first = true;
    k->due = false;
}

bool key_rule_next(struct key_rule *k, int64_t pts, bool kept, bool asked)
{
    /* The factors are 2^61, 2^31 and 2^20: no overflow. */
    int128 us = (int128)(pts - k->start) * k->time_base.num * 1000000;
    int64_t index = (int64_t)floor_div(us, (int128)k->time_base.den * k->gop_us);
    k->due |= asked || (!k->first && index != k->index);
    const bool key = k->first || (k->due && kept);
    k->due &= !key;
    k->first = false;
    k->index = index;
    return key;
}

int64_t gapless_clock_next(struct gapless_clock *c, int64_t pts, int64_t duration, bool follows)
{
    if (c->running) {
        int64_t step = follows ? pts - c->pts : c->duration;
        if (step < 1)
            step = 1;
        if (step > CLOCK_STEP_MAX)
            step = CLOCK_STEP_MAX;
        c->now += step;
    }
    c->running = true;
    c->pts = pts;
    c->duration = duration;
    return c->now;
}
