#include <rgpu/log.h>

#include "base/log.h"
#include "codec/codec_log.h"

void rgpu_log_set(rgpu_log_sink sink, void *opaque)
{
    log_set_sink(sink, opaque);
    codec_log_to_sink();
}
