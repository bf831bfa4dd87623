#include "codec/codec.h"

#include <stddef.h>

#include "codec/cpu/backend.h"

const struct codec_backend *codec_backend(enum device_kind kind)
{
    return kind == DEVICE_CPU ? &cpu_backend : NULL;
}
