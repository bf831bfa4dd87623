/* The CPU as a device.
 * Threads: functions without state. Memory: none. */
#ifndef CODEC_CPU_BACKEND_H
#define CODEC_CPU_BACKEND_H

#include "codec/codec.h"

extern const struct codec_backend cpu_backend;

/* Processors that this process may use; at least 1. */
int cpu_cores(void);

#endif
