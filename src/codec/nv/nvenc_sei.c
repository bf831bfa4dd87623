#include "codec/nv/nvenc_sei.h"

#include <string.h>

#include "codec/encoder_check.h"
#include "media/h26x.h"

static void add(struct nvenc_sei *sei, enum sei_type type, uint8_t *data, size_t size)
{
    sei->payloads[sei->count++] =
        (NV_ENC_SEI_PAYLOAD){.payloadType = type, .payload = data, .payloadSize = (uint32_t)size};
}

/* One message a picture holds all of its captions. */
static void add_captions(struct nvenc_sei *sei, const struct frame *frame)
{
    const struct buffer *side = frame_side_of(frame, SIDE_A53_CC);
    const size_t size = side ? sei_write_captions(side->data, side->size, sei->captions) : 0;
    if (size > 0)
        add(sei, SEI_USER_DATA_T35, sei->captions, size);
}

static void add_timecode(struct nvenc_sei *sei, const struct encoder_params *params,
                         const struct frame *frame)
{
    struct frame_timecode code;
    if (encoder_timecode(params, frame, &code))
        add(sei, SEI_TIME_CODE, sei->timecode, timecode_write_hevc(&code, sei->timecode));
}

void nvenc_sei(struct nvenc_sei *ret, const struct encoder_params *params,
               const struct frame *frame, bool key)
{
    ret->count = 0;
    if (!strcmp(params->codec, "av1"))
        return;
    add_captions(ret, frame);
    if (!strcmp(params->codec, "hevc"))
        add_timecode(ret, params, frame);
    if (key && params->hdr.has_mastering) {
        sei_write_mastering(&params->hdr, ret->mastering);
        add(ret, SEI_MASTERING_DISPLAY, ret->mastering, sizeof(ret->mastering));
    }
    if (key && params->hdr.has_light_level) {
        sei_write_light_level(&params->hdr, ret->light);
        add(ret, SEI_CONTENT_LIGHT, ret->light, sizeof(ret->light));
    }
}
