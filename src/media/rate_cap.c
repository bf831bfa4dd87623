#include "media/rate_cap.h"

/* Numbers that a frame may move the count on by; a longer gap just ends in the same way. */
#define STEP_MAX ((int64_t)1 << 32)
#define DIVISOR_MAX 100000

__extension__ typedef __int128 int128;

static int128 join(struct fine_time t)
{
    return (int128)t.ticks * ((int64_t)1 << 32) + t.fraction;
}

static struct fine_time split(int128 t)
{
    const int128 ticks = t >> 32;
    if (ticks > INT64_MAX)
        return (struct fine_time){INT64_MAX, UINT32_MAX};
    if (ticks < INT64_MIN)
        return (struct fine_time){INT64_MIN, 0};
    return (struct fine_time){(int64_t)ticks, (uint32_t)t};
}

static bool is_known(struct rational r)
{
    return r.num > 0 && r.den > 0;
}

/* a <= b * percent / 100 */
static bool is_within(struct rational a, struct rational b, int percent)
{
    return (int128)a.num * b.den * 100 <= (int128)b.num * a.den * percent;
}

/* Of how many frames at `rate` one is kept under `max`, which it may pass by a thousandth. */
static int64_t divisor_of(struct rational rate, struct rational max)
{
    const int64_t have = (int64_t)rate.num * max.den, want = (int64_t)max.num * rate.den;
    const int128 divisor = ((int128)have * 999 + (int128)want * 1000 - 1) / ((int128)want * 1000);
    return divisor > DIVISOR_MAX ? DIVISOR_MAX : divisor < 1 ? 1 : (int64_t)divisor;
}

/* A little too short rather than too long: that only makes frames come late. */
static struct fine_time frame_length(struct rational rate, struct rational time_base)
{
    const int128 den = (int128)rate.num * time_base.num;
    const int128 length = den > 0 ? (int128)rate.den * time_base.den * ((int64_t)1 << 32) / den : 0;
    return split(length < 1 ? 1 : length);
}

static struct rational highest(const struct rendition_params *renditions, int count)
{
    struct rational ret = {0};
    for (int i = 0; i < count; i++) {
        const struct rational max = renditions[i].frame_rate_max;
        if (is_known(max) && (!is_known(ret) || !is_within(max, ret, 100)))
            ret = max;
    }
    return ret;
}

void rate_cap_init(struct rate_cap *ret, struct rational time_base, struct rational source,
                   const struct rendition_params *renditions, int count)
{
    *ret = (struct rate_cap){.count = count, .even = is_known(source)};
    const struct rational unit = ret->even ? source : highest(renditions, count);
    for (int i = 0; i < count; i++) {
        const struct rational max = renditions[i].frame_rate_max;
        ret->rates[i] = source;
        if (!is_known(max) || (ret->even && is_within(source, max, 101)))
            continue;
        ret->divisors[i] = divisor_of(unit, max);
        ret->rates[i] = rational_reduce(unit.num, unit.den * ret->divisors[i]);
        ret->drops = true;
    }
    if (ret->drops)
        ret->frame = frame_length(unit, time_base);
}

uint32_t rate_cap_all(const struct rate_cap *cap)
{
    return (1u << cap->count) - 1;
}

/* Moves the mark to a frame; gives the number before it. */
static int64_t count_frame(const struct rate_cap *cap, struct rate_mark *mark, int64_t pts)
{
    const int64_t before = mark->number;
    const int128 frame = join(cap->frame), time = (int128)pts * ((int64_t)1 << 32);
    int128 due = join(mark->due);
    /* A frame may come a quarter of a number too early, the next one of an even source half. What
     * is rounded down here is lost below; if it were rounded to the nearest, a source that is a
     * little too fast would have its frames go to and fro between two numbers. */
    int128 step = (time - due + frame / 4) / frame;
    if (step < 1 && cap->even && time - due >= frame / 2)
        step = 1;
    if (step < 1)
        return before;
    if (step > STEP_MAX)
        step = STEP_MAX;
    due += step * frame;
    const int128 least = time - (cap->even ? 0 : frame / 2);
    mark->due = split(due > least ? due : least);
    if (__builtin_add_overflow(before, (int64_t)step, &mark->number))
        mark->number = 0;
    return before;
}

uint32_t rate_cap_next(const struct rate_cap *cap, struct rate_mark *mark, int64_t pts)
{
    if (!cap->drops)
        return rate_cap_all(cap);
    if (!mark->begun) {
        *mark = (struct rate_mark){.begun = true, .due = {pts, 0}};
        return rate_cap_all(cap);
    }
    const int64_t before = count_frame(cap, mark, pts);
    uint32_t mask = 0;
    for (int i = 0; i < cap->count; i++)
        if (!cap->divisors[i] || before / cap->divisors[i] != mark->number / cap->divisors[i])
            mask |= 1u << i;
    return mask;
}
