/* Frames on their way into an NVENC session: what lies in pooled device memory is registered once
 * and read where it is; everything else is copied into pooled memory first.
 *
 * A host frame may be planar; its chroma is interleaved on the way.
 * Threads: one; in the device's context. Memory: NVENC_REGISTERED_MAX registrations, each of which
 * keeps its block's pool alive; frames and blocks are held until the packet of the frame is there.
 */
#ifndef CODEC_NV_NVENC_INPUTS_H
#define CODEC_NV_NVENC_INPUTS_H

#include "codec/codec.h"
#include "gpu/encode.h"
#include "gpu/memory.h"

#define NVENC_REGISTERED_MAX 96 /* more than there are blocks in a ladder's pools */

struct nvenc_registration {
    NV_ENC_REGISTERED_PTR handle; /* NULL: this one is free */
    CUdeviceptr address;
    uint32_t pitch;        /* bytes */
    struct gpu_pool *pool; /* owned reference: the memory stays while it is registered */
    bool mapped;
    uint64_t used_at;
};

/* A mapped frame. */
struct nvenc_input {
    struct frame *frame;      /* owned reference; or */
    struct gpu_block *block;  /* owned copy of it */
    struct gpu_block *pinned; /* owned; of the copy's way up */
    struct nvenc_registration *registration;
    NV_ENC_INPUT_PTR mapped;
};

struct nvenc_inputs {
    const struct gpu_encode *api;
    struct gpu_device *device; /* borrowed */
    void *session;
    CUstream stream; /* that the session waits for */
    int width, height;
    NV_ENC_BUFFER_FORMAT format;
    struct nvenc_registration registered[NVENC_REGISTERED_MAX];
    uint64_t clock;                /* of `used_at` */
    struct gpu_pool *own, *pinned; /* of copies; made when they are needed */
};

/* Makes the frame ready to be encoded; it must have the session's size and depth. MEMORY, DEVICE,
 * LIMIT, PARAM. */
int nvenc_input_map(struct nvenc_inputs *in, struct frame *frame, struct nvenc_input *ret,
                    struct error *err);

/* Takes a zeroed one, and zeroes it. `encoded`: its packet is there; else what is queued to fill it
 * is waited for. */
void nvenc_input_unmap(struct nvenc_inputs *in, struct nvenc_input *input, bool encoded);

/* The same where the context is lost, and with it what NVENC had: gives back what is held. */
void nvenc_input_drop(struct nvenc_input *input);

/* Forgets all memory; nothing is mapped any more. `inside`: within the context; else it is lost. */
void nvenc_inputs_clear(struct nvenc_inputs *in, bool inside);

#endif
