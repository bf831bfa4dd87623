#include "codec/codec.h"

#include <stddef.h>

#include "codec/cpu/backend.h"
#include "codec/nv/backend.h"

const struct codec_backend *codec_backend(enum device_kind kind)
{
    switch (kind) {
    case DEVICE_CPU:
        return &cpu_backend;
    case DEVICE_CUDA:
        return &nv_backend;
    }
    return NULL;
}
