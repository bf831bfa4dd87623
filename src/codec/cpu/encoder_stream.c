#include "codec/cpu/encoder_stream.h"

#include <string.h>

#include "media/av1.h"
#include "media/bits.h"
#include "media/h264.h"
#include "media/h26x.h"
#include "media/hevc.h"
#include "media/nal.h"
#include "media/sei_write.h"

#define H264_CONSTRAINED (1 << 9) /* libavcodec's mark beside profile_idc */
#define HEVC_VCL_MAX 31

static bool is_hevc(const char *codec)
{
    return !strcmp(codec, "hevc");
}

/* ---- facts ----------------------------------------------------------------------------------- */

static void h264_facts(struct nal nal, struct encoder_header *header)
{
    struct h264_sps sps;
    if (h264_parse_sps(nal, &sps, NULL) != 0)
        return;
    header->codec_profile = sps.profile_idc;
    if (sps.profile_idc == 66 && sps.constraints & 0x40)
        header->codec_profile |= H264_CONSTRAINED;
    header->codec_level = sps.level_idc;
}

static void hevc_facts(struct nal nal, struct encoder_header *header)
{
    struct hevc_sps sps;
    if (hevc_parse_sps(nal, &sps, NULL) != 0)
        return;
    header->codec_profile = sps.profile.idc;
    header->codec_level = sps.profile.level_idc;
    header->reorder_frames = sps.max_num_reorder;
}

static void annexb_facts(const char *codec, struct encoder_header *header)
{
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, header->extradata->data, header->extradata->size, NAL_ANNEXB);
    while (nal_next(&it, &nal)) {
        if (is_hevc(codec) && hevc_nal_type(nal) == HEVC_NAL_SPS)
            hevc_facts(nal, header);
        else if (!is_hevc(codec) && h264_nal_type(nal) == H264_NAL_SPS)
            h264_facts(nal, header);
    }
}

static void av1_facts(struct encoder_header *header)
{
    struct av1_config config;
    if (av1_config_read(header->extradata->data, header->extradata->size, &config, NULL) != 0)
        return;
    header->codec_profile = config.profile;
    header->codec_level = config.level;
}

void encoder_stream_facts(const char *codec, struct encoder_header *header)
{
    if (!header->extradata)
        return;
    if (!strcmp(codec, "av1"))
        av1_facts(header);
    else
        annexb_facts(codec, header);
}

/* ---- additions ------------------------------------------------------------------------------- */

/* Puts `size` bytes in at `at`. MEMORY leaves the packet as it is. */
static int insert(struct packet *pkt, size_t at, const void *data, size_t size, struct error *err)
{
    struct buffer *buf = buffer_new(pkt->size + size);
    if (!buf)
        return error_memory(err, "a packet");
    memcpy(buf->data, pkt->data, at);
    memcpy(buf->data + at, data, size);
    memcpy(buf->data + at + size, pkt->data + at, pkt->size - at);
    buffer_unref(&pkt->buf);
    pkt->buf = buf;
    pkt->data = buf->data;
    pkt->size = buf->size;
    return 0;
}

/* Where the start code of the unit at `nal` begins. */
static size_t start_code_at(const struct packet *pkt, const struct nal *nal)
{
    size_t at = (size_t)(nal->data - pkt->data) - 3;
    return at > 0 && pkt->data[at - 1] == 0 ? at - 1 : at;
}

int encoder_stream_repeat_headers(const char *codec, const struct buffer *headers,
                                  struct packet *pkt, struct error *err)
{
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, pkt->data, pkt->size, NAL_ANNEXB);
    while (nal_next(&it, &nal)) {
        const unsigned type = is_hevc(codec) ? hevc_nal_type(nal) : h264_nal_type(nal);
        if (type == (is_hevc(codec) ? HEVC_NAL_SPS : H264_NAL_SPS))
            return 0;
        if (is_hevc(codec) ? type <= HEVC_VCL_MAX : type >= 1 && type <= H264_NAL_IDR)
            break;
    }
    return headers ? insert(pkt, 0, headers->data, headers->size, err) : 0;
}

bool encoder_stream_h264_idr(const struct packet *pkt)
{
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, pkt->data, pkt->size, NAL_ANNEXB);
    while (nal_next(&it, &nal))
        if (h264_nal_type(nal) == H264_NAL_IDR)
            return true;
    return false;
}

int encoder_stream_captions(const struct buffer *captions, struct packet *pkt, struct error *err)
{
    uint8_t payload[SEI_CAPTIONS_MAX];
    const size_t payload_size = sei_write_captions(captions->data, captions->size, payload);
    if (payload_size == 0)
        return 0;
    uint8_t sei[SEI_CAPTIONS_MAX + 5];
    struct byte_writer w = byte_writer(sei, sizeof(sei));
    byte_write(&w, HEVC_NAL_SEI_PREFIX << 9 | 1, 2);
    byte_write(&w, SEI_USER_DATA_T35, 1);
    byte_write(&w, payload_size, 1);
    byte_put(&w, payload, payload_size);
    byte_write(&w, 0x80, 1);
    uint8_t escaped[4 + 2 * sizeof(sei)] = {0, 0, 0, 1};
    const size_t size = 4 + nal_escape(sei, w.size, escaped + 4, sizeof(escaped) - 4);
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, pkt->data, pkt->size, NAL_ANNEXB);
    while (nal_next(&it, &nal))
        if (hevc_nal_type(nal) <= HEVC_VCL_MAX)
            return insert(pkt, start_code_at(pkt, &nal), escaped, size, err);
    return 0;
}

/* value * to / from, to nearest. */
static uint64_t in_units(uint64_t value, uint64_t from, uint64_t to)
{
    return (value * to + from / 2) / from;
}

/* Metadata OBUs (AV1 6.7.3, 6.7.4): chromaticities in 0.16, luminances in 24.8 and 18.14. */
static size_t write_av1_hdr(const struct hdr *hdr, uint8_t *out, size_t capacity)
{
    struct byte_writer w = byte_writer(out, capacity);
    if (hdr->has_light_level) {
        byte_write(&w, AV1_OBU_METADATA << 3 | 2, 1);
        byte_write(&w, 6, 1);
        byte_write(&w, 1, 1);
        byte_write(&w, hdr->max_content_light, 2);
        byte_write(&w, hdr->max_average_light, 2);
        byte_write(&w, 0x80, 1);
    }
    if (hdr->has_mastering) {
        byte_write(&w, AV1_OBU_METADATA << 3 | 2, 1);
        byte_write(&w, 26, 1);
        byte_write(&w, 2, 1);
        for (int i = 0; i < 3; i++) {
            byte_write(&w, in_units(hdr->primary_x[i], 50000, 1 << 16), 2);
            byte_write(&w, in_units(hdr->primary_y[i], 50000, 1 << 16), 2);
        }
        byte_write(&w, in_units(hdr->white_x, 50000, 1 << 16), 2);
        byte_write(&w, in_units(hdr->white_y, 50000, 1 << 16), 2);
        byte_write(&w, in_units(hdr->luminance_max, 10000, 1 << 8), 4);
        byte_write(&w, in_units(hdr->luminance_min, 10000, 1 << 14), 4);
        byte_write(&w, 0x80, 1);
    }
    return w.size;
}

int encoder_stream_av1_hdr(const struct hdr *hdr, struct packet *pkt, struct error *err)
{
    uint8_t obus[64];
    const size_t size = write_av1_hdr(hdr, obus, sizeof(obus));
    struct av1_iter it;
    struct av1_obu obu;
    av1_iter_init(&it, pkt->data, pkt->size);
    while (size && av1_next(&it, &obu))
        if (obu.type == AV1_OBU_SEQUENCE_HEADER) {
            const size_t at = (size_t)(obu.data - pkt->data) + obu.size;
            return insert(pkt, at, obus, size, err);
        }
    return 0;
}
