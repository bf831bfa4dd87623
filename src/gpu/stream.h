/* Streams: queues of work on a device, never the default one, which would serialise all.
 *
 * Threads: a stream is used by one thread at a time. */
#ifndef GPU_STREAM_H
#define GPU_STREAM_H

#include "gpu/device.h"

/* Within a context. */
int gpu_stream_new(struct gpu_device *device, CUstream *ret, struct error *err);

/* Waits for what is queued, then destroys. Within a context. Takes NULL, writes NULL. */
void gpu_stream_free(struct gpu_device *device, CUstream *stream);

/* An event without timing; whoever waits for it sleeps. Within a context. */
int gpu_event_new(struct gpu_device *device, CUevent *ret, struct error *err);
void gpu_event_free(struct gpu_device *device, CUevent *event);

#endif
