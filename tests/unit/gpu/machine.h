/* A machine with NVIDIA devices that exist in a test's mind only: a dynamic loader that "loads"
 * libcuda, libnvcuvid and libnvidia-ml, a clock, and switches for what is missing or fails. The
 * tested sources are compiled to call machine_dlopen for dlopen, and so on.
 *
 * Threads: one. Memory: none is kept. Fails the running test where a call breaks the driver's
 * rules. */
#ifndef UNIT_GPU_MACHINE_H
#define UNIT_GPU_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#define SECOND_NS INT64_C(1000000000)

/* What the machine is like. */
struct machine {
    const char *no_library, *no_symbol; /* that dlopen, dlsym do not find */
    int version, devices;
    int init_result, compute_major, compute_minor, jit_result, nvml_init_result;
    int calls_left; /* until one fails; negative: none does */
    bool failed;    /* that one did */
    int contexts, depth, memory, events, streams, modules; /* alive */
    int nvml_calls;
    int nvml_good, nvml_result; /* calls that work, and what those behind them give */
    int64_t now_ns;
};

extern struct machine machine;

/* Everything works, nothing is alive. */
void machine_reset(void);

void *machine_dlopen(const char *name, int flags);
void *machine_dlsym(void *library, const char *name);
int machine_dlclose(void *library);
char *machine_dlerror(void);
int64_t machine_clock_now_ns(void);

#endif
