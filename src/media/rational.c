#include "media/rational.h"

#include <limits.h>

__extension__ typedef __int128 int128;

int64_t rational_rescale(int64_t a, struct rational from, struct rational to, enum rounding how)
{
    if (a == PTS_NONE || !from.den || !to.num)
        return PTS_NONE;
    int128 num = (int128)a * from.num * to.den;
    int128 den = (int128)from.den * to.num;
    if (den < 0) {
        num = -num;
        den = -den;
    }
    if (how == ROUND_NEAREST)
        num += num < 0 ? -(den / 2) : den / 2;
    int128 q = num / den;
    int128 rest = num % den;
    if (how == ROUND_DOWN && rest < 0)
        q--;
    if (how == ROUND_UP && rest > 0)
        q++;
    if (q > INT64_MAX)
        return INT64_MAX;
    if (q <= INT64_MIN)
        return INT64_MIN + 1;
    return (int64_t)q;
}

int rational_compare_ts(int64_t a, struct rational from, int64_t b, struct rational to)
{
    int128 left = (int128)a * from.num * to.den;
    int128 right = (int128)b * to.num * from.den;
    return (left > right) - (left < right);
}

struct rational rational_reduce(int64_t num, int64_t den)
{
    if (!den)
        return (struct rational){0, 0};
    uint64_t a = num < 0 ? 0 - (uint64_t)num : (uint64_t)num;
    uint64_t b = den < 0 ? 0 - (uint64_t)den : (uint64_t)den;
    const int sign = (num < 0) != (den < 0) ? -1 : 1;
    uint64_t x = a, y = b;
    while (y) {
        uint64_t t = x % y;
        x = y;
        y = t;
    }
    if (x) {
        a /= x;
        b /= x;
    }
    while (a > INT32_MAX || b > INT32_MAX) {
        a >>= 1;
        b >>= 1;
    }
    return (struct rational){(int32_t)a * sign, (int32_t)(b ? b : 1)};
}
