#include "api/limits.h"

int limits_check_seconds(const char *name, double seconds, double least, struct error *err)
{
    if (seconds == 0 || (seconds >= least && seconds <= SECONDS_MAX))
        return 0;
    return error_set(err, RGPU_ERROR_PARAM, "%s of %g s is outside %g to %g", name, seconds, least,
                     SECONDS_MAX);
}

int limits_check_threads(int threads, struct error *err)
{
    if (threads >= 0 && threads <= THREADS_MAX)
        return 0;
    return error_set(err, RGPU_ERROR_PARAM, "%d threads is outside 1 to %d", threads, THREADS_MAX);
}
