/* libnvidia-encode: NAL units.
 *
 * Threads: any. Memory: the caller's; the bytes appended to grow. */
#include <stdlib.h>
#include <string.h>

#include "nvenc.h"

/* ---- bytes ---------------------------------------------------------------------------------- */

bool nvenc_append(struct nvenc_bytes *to, const void *data, size_t size)
{
    if (size > to->room - to->size) {
        const size_t room = 2 * to->room + size;
        uint8_t *grown = realloc(to->data, room);
        if (!grown)
            return false;
        to->data = grown;
        to->room = room;
    }
    if (size > 0)
        memcpy(to->data + to->size, data, size);
    to->size += size;
    return true;
}

void nvenc_bytes_free(struct nvenc_bytes *bytes)
{
    free(bytes->data);
    *bytes = (struct nvenc_bytes){.data = NULL};
}

/* A unit with its start code, and what emulates one kept from it. */
static bool append_unit(struct nvenc_bytes *to, const uint8_t *unit, size_t size)
{
    static const uint8_t start[4] = {0, 0, 0, 1}, prevention = 3;
    bool ok = nvenc_append(to, start, sizeof(start));
    int zeros = 0;
    for (size_t i = 0; i < size && ok; i++) {
        if (zeros >= 2 && unit[i] <= 3) {
            ok = nvenc_append(to, &prevention, 1);
            zeros = 0;
        }
        ok = ok && nvenc_append(to, &unit[i], 1);
        zeros = unit[i] == 0 ? zeros + 1 : 0;
    }
    return ok;
}

/* ---- what is written here ------------------------------------------------------------------- */

bool nvenc_append_aud(struct nvenc_bytes *to, bool hevc)
{
    /* Of any type of slices. */
    static const uint8_t h264_unit[] = {0x09, 0xf0}, hevc_unit[] = {0x46, 0x01, 0x50};
    return hevc ? append_unit(to, hevc_unit, sizeof(hevc_unit))
                : append_unit(to, h264_unit, sizeof(h264_unit));
}

static bool append_number(struct nvenc_bytes *to, uint32_t value)
{
    static const uint8_t full = 255;
    for (; value >= 255; value -= 255) {
        if (!nvenc_append(to, &full, 1))
            return false;
    }
    const uint8_t rest = (uint8_t)value;
    return nvenc_append(to, &rest, 1);
}

bool nvenc_append_sei(struct nvenc_bytes *to, bool hevc, const NV_ENC_SEI_PAYLOAD *payload)
{
    static const uint8_t h264_head[] = {0x06}, hevc_head[] = {0x4e, 0x01}, end = 0x80;
    struct nvenc_bytes unit = {.data = NULL};
    const bool ok = nvenc_append(&unit, hevc ? hevc_head : h264_head, hevc ? 2 : 1) &&
                    append_number(&unit, payload->payloadType) &&
                    append_number(&unit, payload->payloadSize) &&
                    nvenc_append(&unit, payload->payload, payload->payloadSize) &&
                    nvenc_append(&unit, &end, 1) && append_unit(to, unit.data, unit.size);
    nvenc_bytes_free(&unit);
    return ok;
}

/* ---- what the encoders beneath write -------------------------------------------------------- */

/* The next unit of a byte stream, without start code and trailing zeros. NULL: none. */
static const uint8_t *next_unit(const uint8_t **at, const uint8_t *end, size_t *ret_size)
{
    const uint8_t *p = *at;
    while (end - p >= 3 && !(p[0] == 0 && p[1] == 0 && p[2] == 1))
        p++;
    if (end - p < 3)
        return NULL;
    const uint8_t *unit = p + 3;
    for (p = unit; end - p >= 3 && !(p[0] == 0 && p[1] == 0 && p[2] <= 1); p++)
        continue;
    if (end - p < 3)
        p = end;
    *at = p;
    while (p > unit && p[-1] == 0)
        p--;
    *ret_size = (size_t)(p - unit);
    return unit;
}

static int unit_type(const uint8_t *unit, bool hevc)
{
    return hevc ? unit[0] >> 1 & 63 : unit[0] & 31;
}

static bool is_slice(int type, bool hevc)
{
    return hevc ? type < 32 : type == 1 || type == 5;
}

static bool is_header(int type, bool hevc)
{
    return hevc ? type >= 32 && type <= 34 : type == 7 || type == 8;
}

/* Without what keeps start codes from it. */
static bool unescape(struct nvenc_bytes *to, const uint8_t *unit, size_t size)
{
    bool ok = true;
    int zeros = 0;
    for (size_t i = 0; i < size && ok; i++) {
        const bool prevention = zeros >= 2 && unit[i] == 3;
        ok = prevention || nvenc_append(to, &unit[i], 1);
        zeros = unit[i] == 0 ? zeros + 1 : 0;
    }
    return ok;
}

static bool append_reordered(struct nvenc_bytes *to, const uint8_t *unit, size_t size,
                             struct nvenc_syntax *syntax, const struct nvenc_place *place)
{
    struct nvenc_bytes raw = {.data = NULL}, edited = {.data = NULL};
    const bool ok = unescape(&raw, unit, size) &&
                    nvenc_reorder(raw.data, raw.size, syntax, place, &edited) &&
                    append_unit(to, edited.data, edited.size);
    nvenc_bytes_free(&raw);
    nvenc_bytes_free(&edited);
    return ok;
}

static bool append_units(struct nvenc_bytes *to, const uint8_t *data, size_t size, bool headers,
                         struct nvenc_syntax *syntax, const struct nvenc_place *place)
{
    static const uint8_t start[4] = {0, 0, 0, 1};
    const uint8_t *at = data, *unit;
    size_t unit_size;
    bool ok = true;
    while (ok && (unit = next_unit(&at, data + size, &unit_size))) {
        const int type = unit_size >= 2 ? unit_type(unit, syntax->hevc) : -1;
        if (type < 0 || !(headers ? is_header : is_slice)(type, syntax->hevc))
            continue;
        if (syntax->reorder || syntax->fields)
            ok = append_reordered(to, unit, unit_size, syntax, place);
        else
            ok = nvenc_append(to, start, sizeof(start)) && nvenc_append(to, unit, unit_size);
    }
    return ok;
}

bool nvenc_append_headers(struct nvenc_bytes *to, const uint8_t *data, size_t size,
                          struct nvenc_syntax *syntax)
{
    return append_units(to, data, size, true, syntax, NULL);
}

bool nvenc_append_slices(struct nvenc_bytes *to, const uint8_t *data, size_t size,
                         struct nvenc_syntax *syntax, const struct nvenc_place *place)
{
    return append_units(to, data, size, false, syntax, place);
}
