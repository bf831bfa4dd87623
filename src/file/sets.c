#include "file/sets.h"

#include <libavcodec/packet.h>
#include <string.h>

#include "base/error.h"
#include "media/nal.h"

static bool is_set(struct nal nal, bool hevc)
{
    const int type = hevc ? nal.data[0] >> 1 & 63 : nal.data[0] & 31;
    return hevc ? type >= 32 && type <= 34 : type == 7 || type == 8 || type == 13;
}

static bool in_header(struct nal nal, const uint8_t *header, size_t size)
{
    struct nal_iter it;
    struct nal own;
    nal_iter_init(&it, header, size, NAL_ANNEXB);
    while (nal_next(&it, &own))
        if (own.size == nal.size && memcmp(own.data, nal.data, nal.size) == 0)
            return true;
    return false;
}

static bool is_annexb(const uint8_t *data, size_t size)
{
    return size >= 4 && data[0] == 0 && data[1] == 0 &&
           (data[2] == 1 || (data[2] == 0 && data[3] == 1));
}

int sets_strip(AVPacket *pkt, bool hevc, const uint8_t *header, size_t header_size)
{
    if (pkt->size <= 0 || !is_annexb(header, header_size) ||
        !is_annexb(pkt->data, (size_t)pkt->size))
        return 0;
    /* Sets stand in front of the first slice: what follows the last of them is not looked at. */
    struct nal_iter it;
    struct nal nal;
    size_t units = 0;
    const uint8_t *rest = NULL;
    nal_iter_init(&it, pkt->data, (size_t)pkt->size, NAL_ANNEXB);
    while (nal_next(&it, &nal)) {
        const bool slice = hevc ? (nal.data[0] >> 1 & 63) < 32 : (nal.data[0] & 31) <= 5;
        if (slice)
            break;
        if (is_set(nal, hevc) && in_header(nal, header, header_size))
            rest = nal.data + nal.size;
        units++;
    }
    if (!rest)
        return 0;
    const uint8_t *end = pkt->data + pkt->size;
    AVPacket *out = av_packet_alloc();
    /* Start codes of three bytes become four: one byte more a unit at most. */
    if (!out || av_new_packet(out, pkt->size + (int)units) < 0 ||
        av_packet_copy_props(out, pkt) < 0) {
        av_packet_free(&out);
        return RGPU_ERROR_MEMORY;
    }
    size_t size = 0;
    nal_iter_init(&it, pkt->data, (size_t)(rest - pkt->data), NAL_ANNEXB);
    while (nal_next(&it, &nal))
        if (!is_set(nal, hevc) || !in_header(nal, header, header_size))
            size += nal_write(nal, NAL_ANNEXB, out->data + size, (size_t)out->size - size);
    memcpy(out->data + size, rest, (size_t)(end - rest));
    size += (size_t)(end - rest);
    av_shrink_packet(out, (int)size);
    av_packet_unref(pkt);
    av_packet_move_ref(pkt, out);
    av_packet_free(&out);
    return 0;
}
