#include "status.h"

#include <signal.h>
#include <stddef.h>

#include <rgpu/error.h>

static const struct {
    int error, status;
} statuses[] = {
    {RGPU_ERROR_OK, STATUS_OK},
    {RGPU_ERROR_MEMORY, STATUS_INTERNAL},
    {RGPU_ERROR_PARAM, STATUS_USAGE},
    {RGPU_ERROR_NOT_FOUND, STATUS_INPUT},
    {RGPU_ERROR_ACCESS, STATUS_INPUT},
    {RGPU_ERROR_EXISTS, STATUS_OUTPUT},
    {RGPU_ERROR_NO_SPACE, STATUS_OUTPUT},
    {RGPU_ERROR_IO, STATUS_OUTPUT},
    {RGPU_ERROR_INPUT, STATUS_INPUT},
    {RGPU_ERROR_UNSUPPORTED, STATUS_DEVICE},
    {RGPU_ERROR_DEVICE, STATUS_DEVICE},
    {RGPU_ERROR_NODE, STATUS_NODE},
    {RGPU_ERROR_LIMIT, STATUS_INPUT},
    {RGPU_ERROR_CANCELLED, STATUS_SIGNAL + SIGINT},
    {RGPU_ERROR_VERIFY, STATUS_VERIFY},
    {RGPU_ERROR_INTERNAL, STATUS_INTERNAL},
    /* States that a caller waits out; one that ends a job is a fault of the library. */
    {RGPU_ERROR_AGAIN, STATUS_INTERNAL},
    {RGPU_ERROR_END, STATUS_INTERNAL},
};

int status_of_error(int code)
{
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (statuses[i].error == code)
            return statuses[i].status;
    }
    return STATUS_INTERNAL;
}

void status_print(FILE *out)
{
#define STATUS_LINE(name, value, text) fprintf(out, "  %3d  %s\n", value, text);
    STATUSES(STATUS_LINE)
#undef STATUS_LINE
    fprintf(out, "  %3d  stopped by Ctrl-C (SIGINT); SIGTERM gives %d, SIGHUP %d\n",
            STATUS_SIGNAL + SIGINT, STATUS_SIGNAL + SIGTERM, STATUS_SIGNAL + SIGHUP);
}
