/* From the options of `rgpu transcode` to the parameters of the library.
 * Threads: one. Memory: strings are borrowed from argv, the rungs live in the plan. */
#ifndef APPS_PLAN_H
#define APPS_PLAN_H

#include <rgpu/transcode.h>

#include "verbs.h"

#define PLAN_TEXT_MAX 512

struct plan {
    struct rgpu_transcode_params params; /* its rungs point to `rungs` */
    struct rgpu_rung rungs[RGPU_RUNGS_MAX];
    char names[PLAN_TEXT_MAX]; /* of the ladder, split */
};

/* 0, or STATUS_USAGE with a complaint where options contradict each other or name no preset. */
int plan_make(struct plan *ret, const struct transcode_settings *s, const char *input,
              const char *output, struct complaint *c);

#endif
