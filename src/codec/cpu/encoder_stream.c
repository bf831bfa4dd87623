#include "codec/cpu/encoder_stream.h"

#include <string.h>

#include "media/av1.h"
#include "media/bits.h"
#include "media/h264.h"
#include "media/h26x.h"
#include "media/hevc.h"
#include "media/nal.h"
#include "media/sei_write.h"
#include "media/timecode.h"

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

/* The packet's bytes are those of `buf` from now on, which is moved. */
static void take_over(struct packet *pkt, struct buffer *buf)
{
    buffer_unref(&pkt->buf);
    pkt->buf = buf;
    pkt->data = buf->data;
    pkt->size = buf->size;
}

/* Puts `size` bytes in at `at`. MEMORY leaves the packet as it is. */
static int insert(struct packet *pkt, size_t at, const void *data, size_t size, struct error *err)
{
    struct buffer *buf = buffer_new(pkt->size + size);
    if (!buf)
        return error_memory(err, "a packet");
    memcpy(buf->data, pkt->data, at);
    memcpy(buf->data + at, data, size);
    memcpy(buf->data + at + size, pkt->data + at, pkt->size - at);
    take_over(pkt, buf);
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

/* Puts an SEI message in front of the first slice of an HEVC packet; `size` is below 255. */
static int insert_sei(enum sei_type type, const uint8_t *payload, size_t size, struct packet *pkt,
                      struct error *err)
{
    uint8_t sei[SEI_CAPTIONS_MAX + 5];
    struct byte_writer w = byte_writer(sei, sizeof(sei));
    byte_write(&w, HEVC_NAL_SEI_PREFIX << 9 | 1, 2);
    byte_write(&w, type, 1);
    byte_write(&w, size, 1);
    byte_put(&w, payload, size);
    byte_write(&w, 0x80, 1);
    uint8_t escaped[4 + 2 * sizeof(sei)] = {0, 0, 0, 1};
    const size_t unit = 4 + nal_escape(sei, w.size, escaped + 4, sizeof(escaped) - 4);
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, pkt->data, pkt->size, NAL_ANNEXB);
    while (nal_next(&it, &nal))
        if (hevc_nal_type(nal) <= HEVC_VCL_MAX)
            return insert(pkt, start_code_at(pkt, &nal), escaped, unit, err);
    return 0;
}

int encoder_stream_captions(const struct buffer *captions, struct packet *pkt, struct error *err)
{
    uint8_t payload[SEI_CAPTIONS_MAX];
    const size_t size = sei_write_captions(captions->data, captions->size, payload);
    return size ? insert_sei(SEI_USER_DATA_T35, payload, size, pkt, err) : 0;
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

/* ---- time codes ------------------------------------------------------------------------------ */

static void find_sps(const void *data, size_t size, struct h264_sps *sps)
{
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, data, size, NAL_ANNEXB);
    while (nal_next(&it, &nal))
        if (h264_nal_type(nal) == H264_NAL_SPS)
            h264_parse_sps(nal, sps, NULL);
}

bool encoder_stream_h264_timed(const struct buffer *headers)
{
    struct h264_sps sps = {0};
    find_sps(headers->data, headers->size, &sps);
    return sps.pic_struct_present;
}

/* The bytes with another unit in place of `nal`. NULL: no memory. */
static struct buffer *exchange(const uint8_t *data, size_t size, const struct nal *nal,
                               const uint8_t *with, size_t with_size)
{
    const size_t at = (size_t)(nal->data - data), behind = at + nal->size;
    struct buffer *buf = buffer_new(size - nal->size + with_size);
    if (!buf)
        return NULL;
    memcpy(buf->data, data, at);
    memcpy(buf->data + at, with, with_size);
    memcpy(buf->data + at + with_size, data + behind, size - behind);
    return buf;
}

/* Each field of a picture may have a unit of its own. */
static int h264_timecode(const struct frame_timecode *code, const struct buffer *headers,
                         struct packet *pkt, struct error *err)
{
    struct h264_sps sps = {0};
    if (headers)
        find_sps(headers->data, headers->size, &sps);
    find_sps(pkt->data, pkt->size, &sps);
    int messages = 0;
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, pkt->data, pkt->size, NAL_ANNEXB);
    while (nal_next(&it, &nal)) {
        uint8_t unit[TIMECODE_REWRITTEN_MAX];
        if (h264_nal_type(nal) != H264_NAL_SEI)
            continue;
        const size_t size = timecode_rewrite_h264(code, &sps, nal, &messages, unit);
        if (size == 0)
            continue;
        const size_t behind = (size_t)(nal.data - pkt->data) + size;
        struct buffer *buf = exchange(pkt->data, pkt->size, &nal, unit, size);
        if (!buf)
            return error_memory(err, "a packet");
        take_over(pkt, buf);
        nal_iter_init(&it, pkt->data + behind, pkt->size - behind, NAL_ANNEXB);
    }
    return 0;
}

/* In front of the first frame: behind the headers that it may have. */
static int av1_timecode(const struct frame_timecode *code, struct packet *pkt, struct error *err)
{
    uint8_t obu[2 + TIMECODE_PAYLOAD_MAX] = {AV1_OBU_METADATA << 3 | 2};
    const size_t size = timecode_write_av1(code, obu + 2);
    obu[1] = (uint8_t)size;
    struct av1_iter it;
    struct av1_obu next;
    av1_iter_init(&it, pkt->data, pkt->size);
    while (av1_next(&it, &next))
        if (next.type == AV1_OBU_FRAME || next.type == AV1_OBU_FRAME_HEADER)
            return insert(pkt, (size_t)(next.data - pkt->data), obu, 2 + size, err);
    return 0;
}

int encoder_stream_frame_rate(struct rational rate, struct buffer **headers, struct error *err)
{
    const struct buffer *from = *headers;
    struct nal_iter it;
    struct nal nal;
    if (!from)
        return 0;
    nal_iter_init(&it, from->data, from->size, NAL_ANNEXB);
    while (nal_next(&it, &nal)) {
        uint8_t sps[H264_SPS_BYTES_MAX];
        if (h264_nal_type(nal) != H264_NAL_SPS)
            continue;
        const size_t size = h264_set_frame_rate(nal, rate, sps, sizeof(sps));
        if (size == 0 || size > sizeof(sps))
            return 0;
        struct buffer *to = exchange(from->data, from->size, &nal, sps, size);
        if (!to)
            return error_memory(err, "codec headers");
        buffer_unref(headers);
        *headers = to;
        return 0;
    }
    return 0;
}

int encoder_stream_timecode(const char *codec, const struct buffer *headers,
                            const struct frame_timecode *code, struct packet *pkt,
                            struct error *err)
{
    if (!strcmp(codec, "h264"))
        return h264_timecode(code, headers, pkt, err);
    if (!strcmp(codec, "av1"))
        return av1_timecode(code, pkt, err);
    uint8_t payload[TIMECODE_PAYLOAD_MAX];
    const size_t size = timecode_write_hevc(code, payload);
    return insert_sei(SEI_TIME_CODE, payload, size, pkt, err);
}
