/* How fast NVDEC's decoder is and how long it takes to open: the loads of nvdec_check's --speed and
 * --opens. Figures go to stdout, errors to stderr.
 *
 * Threads: one calls; --speed starts one for each session. Memory: the film's packets lie in memory
 * twice, until the function is done. */
#ifndef BENCH_NVDEC_LOAD_H
#define BENCH_NVDEC_LOAD_H

#include "codec/codec.h"
#include "gpu/device.h"

#define SESSIONS_MAX 256

/* `sessions` decoders of `frames` frames each: bare, the library's, and with a ladder. Gives how
 * the process ends: 0, or 1 when one failed. */
int nvdec_speed(const char *path, struct gpu_device *device, int sessions, long frames);

/* Opens a decoder and a ladder again and again, `times` of them warm. Opens the device itself, so
 * that it must not be open before. As nvdec_speed. */
int nvdec_opens(const char *path, const struct decoder_params *params, long times);

#endif
