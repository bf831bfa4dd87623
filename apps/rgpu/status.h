/* Exit codes of the command, and which error of the library ends in which.
 *
 * The library tells the two sides of a job apart by code: what is wrong with the input is
 * NOT_FOUND, ACCESS, INPUT or LIMIT; what is wrong with the output is EXISTS, NO_SPACE or IO; what
 * was asked and cannot be had of any device is PARAM, what another device might do UNSUPPORTED.
 * Threads: any. Memory: static tables. */
#ifndef APPS_STATUS_H
#define APPS_STATUS_H

#include <stdio.h>

/* X(name, value, text) */
#define STATUSES(X)                                                                                \
    X(OK, 0, "done")                                                                               \
    X(INTERNAL, 1, "out of memory, or a fault of rgpu itself")                                     \
    X(USAGE, 2, "wrong options")                                                                   \
    X(INPUT, 3, "the input is missing, unreadable or not media")                                   \
    X(OUTPUT, 4, "the output exists, cannot be written, or the disk is full")                      \
    X(DEVICE, 5, "the device is missing, or cannot do what was asked")                             \
    X(VERIFY, 6, "--verify found that the result does not match the source")                       \
    X(NODE, 7, "a node (the CPU or a GPU at work) broke off: try again, or --device cpu")

enum status {
#define STATUS_ENUM(name, value, text) STATUS_##name = (value),
    STATUSES(STATUS_ENUM)
#undef STATUS_ENUM
        STATUS_SIGNAL = 128, /* plus the signal's number */
};

/* Exit code for a result of the library; STATUS_INTERNAL for a code that is none. CANCELLED is as
 * after Ctrl-C; a caller that knows the signal says so itself. */
int status_of_error(int code);

/* One line for each exit code. */
void status_print(FILE *out);

#endif
