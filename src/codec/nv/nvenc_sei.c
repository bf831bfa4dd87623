#include "codec/nv/nvenc_sei.h"

#include <string.h>

#include "media/h26x.h"

static void add(struct nvenc_sei *sei, enum sei_type type, uint8_t *data, size_t size)
{
    sei->payloads[sei->count++] =
        (NV_ENC_SEI_PAYLOAD){.payloadType = type, .payload = data, .payloadSize = (uint32_t)size};
}

/* One message a picture holds all of its captions. */
static void add_captions(struct nvenc_sei *sei, const struct frame *frame)
{
    for (int i = 0; i < FRAME_SIDE_MAX; i++) {
        const struct frame_side *side = &frame->side[i];
        if (side->type != SIDE_A53_CC)
            continue;
        const size_t size = sei_write_captions(side->buf->data, side->buf->size, sei->captions);
        if (size > 0)
            add(sei, SEI_USER_DATA_T35, sei->captions, size);
        return;
    }
}

void nvenc_sei(struct nvenc_sei *ret, const struct encoder_params *params,
               const struct frame *frame, bool key)
{
    ret->count = 0;
    if (!strcmp(params->codec, "av1"))
        return;
    add_captions(ret, frame);
    if (key && params->hdr.has_mastering) {
        sei_write_mastering(&params->hdr, ret->mastering);
        add(ret, SEI_MASTERING_DISPLAY, ret->mastering, sizeof(ret->mastering));
    }
    if (key && params->hdr.has_light_level) {
        sei_write_light_level(&params->hdr, ret->light);
        add(ret, SEI_CONTENT_LIGHT, ret->light, sizeof(ret->light));
    }
}
