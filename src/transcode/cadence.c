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
}

bool key_rule_next(struct key_rule *k, int64_t pts)
{
    /* The factors are 2^61, 2^31 and 2^20: no overflow. */
    int128 us = (int128)(pts - k->start) * k->time_base.num * 1000000;
    int64_t index = (int64_t)floor_div(us, (int128)k->time_base.den * k->gop_us);
    bool key = k->first || index != k->index;
    k->first = false;
    k->index = index;
    return key;
}

void rate_cap_init(struct rate_cap *cap, struct rational time_base, struct rational source,
                   struct rational max)
{
    *cap = (struct rate_cap){.all = true, .rate = source, .time_base = time_base};
    if (max.den <= 0 || max.num <= 0)
        return;
    bool known = source.den > 0 && source.num > 0;
    int64_t have = (int64_t)source.num * max.den;
    int64_t want = (int64_t)max.num * source.den;
    if (known && (int128)have * 100 <= (int128)want * 101)
        return;
    cap->all = false;
    if (!known) {
        cap->rate = max;
        cap->slot = (struct rational){max.den, max.num};
        cap->tolerance = 8;
        return;
    }
    int128 divisor = ((int128)have * 999 + (int128)want * 1000 - 1) / ((int128)want * 1000);
    const int128 divisor_max = 100000;
    if (divisor > divisor_max)
        divisor = divisor_max;
    cap->rate = rational_reduce(source.num, (int64_t)source.den * (int64_t)divisor);
    cap->slot = (struct rational){cap->rate.den, cap->rate.num};
    cap->tolerance = 2 * (int32_t)divisor;
}

bool rate_cap_keep(struct rate_cap *cap, int64_t pts, bool key)
{
    if (cap->all)
        return true;
    if (key) {
        cap->base = pts;
        cap->last = 0;
        return true;
    }
    /* floor(time / slot + 1 / tolerance). Beyond 2^45 ticks since the key frame the exact form
     * could overflow (2^45 * 2^31 * 2^31 * 2^18 fits); a frame so far away has a slot of its own
     * anyway. */
    int64_t since = pts - cap->base;
    if (since > (int64_t)1 << 45 || since < 0)
        return true;
    int128 unit = (int128)cap->time_base.den * cap->slot.num;
    int128 ticks = (int128)since * cap->time_base.num * cap->slot.den;
    int64_t slot = (int64_t)floor_div(ticks * cap->tolerance + unit, unit * cap->tolerance);
    if (slot <= cap->last)
        return false;
    cap->last = slot;
    return true;
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
