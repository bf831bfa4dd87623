/* See reader_video.h. Sources: ISO/IEC 13818-2 6.2.2 (MPEG-2 headers), RFC 6386 9.1 (VP8 frame
 * tag), the VP9 bitstream specification 6.2 and annex B (superframes), ISO/IEC 14496-2 6.2.5 (VOP).
 */
#include "file/reader_video.h"

#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/avstring.h>

#include "media/avcc.h"
#include "media/h26x.h"
#include "media/hvcc.h"
#include "media/timecode.h"

/* Parameter sets of the headers; broken ones may come again in band. */
static void learn_headers(struct video_state *v, const uint8_t *data, size_t size)
{
    if (v->syntax == SYNTAX_H264) {
        struct avcc config;
        if (avcc_read(data, size, &config, NULL) == 0) {
            v->length_size = config.annexb ? NAL_ANNEXB : config.length_size;
            avcc_apply(&config, v->h264, NULL);
        }
    } else if (v->syntax == SYNTAX_HEVC) {
        struct hvcc config;
        if (hvcc_read(data, size, &config, NULL) == 0) {
            v->length_size = config.annexb ? NAL_ANNEXB : config.length_size;
            hvcc_apply(&config, v->hevc, NULL);
        }
    } else if (v->syntax == SYNTAX_AV1) {
        struct av1_config config;
        struct av1_temporal_unit unit;
        if (av1_config_read(data, size, &config, NULL) == 0)
            av1_temporal_unit(&v->av1, config.obus, config.obus_size, &unit, NULL);
    }
}

static enum video_syntax syntax_of(const char *codec)
{
    static const struct {
        const char *codec;
        enum video_syntax syntax;
    } table[] = {
        {"h264", SYNTAX_H264}, {"hevc", SYNTAX_HEVC},         {"av1", SYNTAX_AV1},
        {"vp8", SYNTAX_VP8},   {"mpeg1video", SYNTAX_MPEG12}, {"mpeg2video", SYNTAX_MPEG12},
        {"vp9", SYNTAX_VP9},   {"mpeg4", SYNTAX_MPEG4},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(codec, table[i].codec) == 0)
            return table[i].syntax;
    return SYNTAX_OTHER;
}

int video_state_init(struct video_state *ret, const struct reader_track *track,
                     const char *format_name)
{
    const AVCodecDescriptor *desc = avcodec_descriptor_get_by_name(track->codec);
    struct video_state v = {
        .syntax = syntax_of(track->codec),
        .container_keys = av_match_name("mov", format_name) ||
                          av_match_name("matroska", format_name) ||
                          av_match_name("flv", format_name) || av_match_name("avi", format_name) ||
                          av_match_name("asf", format_name) || av_match_name("nut", format_name),
        .may_reorder = track->may_reorder,
        .intra_only = desc && desc->props & AV_CODEC_PROP_INTRA_ONLY,
        .time_base = track->time_base,
        .frame_rate = track->video.frame_rate,
    };
    if (v.syntax == SYNTAX_MPEG4 && !av_match_name("avi", format_name))
        v.syntax = SYNTAX_OTHER;
    if (v.syntax == SYNTAX_H264)
        v.h264 = calloc(1, sizeof(*v.h264));
    if (v.syntax == SYNTAX_HEVC)
        v.hevc = calloc(1, sizeof(*v.hevc));
    if ((v.syntax == SYNTAX_H264 && !v.h264) || (v.syntax == SYNTAX_HEVC && !v.hevc)) {
        video_state_done(&v);
        return RGPU_ERROR_MEMORY;
    }
    if (track->video.extradata)
        learn_headers(&v, track->video.extradata->data, track->video.extradata->size);
    video_state_reset(&v);
    *ret = v;
    return 0;
}

void video_state_done(struct video_state *v)
{
    free(v->h264);
    free(v->hevc);
    buffer_unref(&v->palette);
    *v = (struct video_state){0};
}

void video_state_reset(struct video_state *v)
{
    if (v->h264)
        v->h264->has_last = v->h264->last_unpaired = false;
    if (v->hevc)
        v->hevc->ended = false;
    v->rasl_broken = false;
    v->ordinal = 0;
    v->frames = 0;
    v->pts_last = v->pts_max = v->dts_last = v->dts_before = PTS_NONE;
    v->recent_count = v->recent_next = 0;
}

/* ---- access points -------------------------------------------------------------------------- */

static void take_timing(const struct timecode_sei *timing, struct video_look *ret)
{
    ret->timecode |= timing->code.count > 0;
    ret->timecode_partial |= timing->partial;
    ret->timecode_drop |= timing->drop;
}

static void look_h264_timing(const struct video_state *v, const struct h264_sps *sps,
                             const AVPacket *av, struct video_look *ret)
{
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, av->data, (size_t)av->size, v->length_size);
    while (sps->pic_struct_present && nal_next(&it, &nal)) {
        if (h264_nal_type(nal) != H264_NAL_SEI)
            continue;
        struct bits b;
        struct sei sei;
        struct timecode_sei timing;
        bits_init_rbsp(&b, nal.data + 1, nal.size - 1);
        while (sei_next(&b, &sei))
            if (timecode_read_h264(&sei, sps, &timing))
                take_timing(&timing, ret);
    }
}

static void look_h264(struct video_state *v, const AVPacket *av, struct video_look *ret)
{
    struct h264_access_unit au;
    const bool said = v->container_keys && av->flags & AV_PKT_FLAG_KEY;
    if (h264_access_unit(v->h264, av->data, (size_t)av->size, v->length_size, &au, NULL) < 0) {
        ret->damaged = true;
        ret->access = said ? ACCESS_OPEN : ACCESS_NONE;
        return;
    }
    const bool intra = au.slices > 0 && (au.intra_only || au.first.type == H264_SLICE_I);
    ret->damaged = au.damaged > 0;
    ret->hdr = au.hdr;
    if (au.field && !au.second_field)
        ret->field_order = au.first.bottom ? FIELD_BOTTOM_FIRST : FIELD_TOP_FIRST;
    if (au.slices > 0 && au.first.sps_id < H264_SPS_MAX) {
        const struct h264_sps *sps = &v->h264->sps[au.first.sps_id];
        ret->maybe_interlaced = !sps->frame_mbs_only;
        look_h264_timing(v, sps, av, ret);
    }
    if (au.second_field)
        ret->flags |= PACKET_SECOND_FIELD;
    else if (au.idr)
        ret->access = ACCESS_CLOSED;
    else if ((intra && ((au.recovery_point && au.recovery_frames == 0) || said)) ||
             (au.slices == 0 && said))
        ret->access = ACCESS_OPEN;
}

/* Dolby Vision's own NAL unit type, HDR10+ by its ITU-T T.35 codes (SMPTE ST 2094-40), and time
 * codes. */
static void look_hevc_dynamic(const struct video_state *v, const AVPacket *av,
                              struct video_look *ret)
{
    enum { NAL_DOVI_RPU = 62, SEI_T35 = 4, COUNTRY_US = 0xb5, PROVIDER_SMPTE = 0x3c };
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, av->data, (size_t)av->size, v->length_size);
    while (nal_next(&it, &nal)) {
        const unsigned type = hevc_nal_type(nal);
        if (type == NAL_DOVI_RPU)
            ret->dolby_vision = true;
        if (type != HEVC_NAL_SEI_PREFIX || nal.size < 3)
            continue;
        struct bits b;
        struct sei sei;
        struct timecode_sei timing;
        bits_init_rbsp(&b, nal.data + 2, nal.size - 2);
        while (sei_next(&b, &sei)) {
            if (timecode_read_hevc(&sei, &timing))
                take_timing(&timing, ret);
            if (sei.type == SEI_T35 && bits_read(&sei.payload, 8) == COUNTRY_US &&
                bits_read(&sei.payload, 16) == PROVIDER_SMPTE && bits_read(&sei.payload, 16) == 1 &&
                bits_read(&sei.payload, 8) == 4)
                ret->hdr10_plus = true;
        }
    }
}

static void look_hevc(struct video_state *v, const AVPacket *av, struct video_look *ret)
{
    struct hevc_access_unit au;
    if (hevc_access_unit(v->hevc, av->data, (size_t)av->size, v->length_size, &au, NULL) < 0) {
        ret->damaged = true;
        ret->access = v->container_keys && av->flags & AV_PKT_FLAG_KEY ? ACCESS_OPEN : ACCESS_NONE;
        return;
    }
    ret->damaged = au.damaged > 0;
    static const enum field_order orders[] = {
        FIELD_UNKNOWN,      FIELD_TOP_FIRST, FIELD_BOTTOM_FIRST, FIELD_TOP_FIRST,
        FIELD_BOTTOM_FIRST, FIELD_UNKNOWN,   FIELD_UNKNOWN,      FIELD_UNKNOWN,
        FIELD_UNKNOWN,      FIELD_TOP_FIRST, FIELD_BOTTOM_FIRST, FIELD_TOP_FIRST,
        FIELD_BOTTOM_FIRST}; /* by pic_struct, H.265 table D.2 */
    if (au.pic_struct > 0 && (size_t)au.pic_struct < sizeof(orders) / sizeof(orders[0]))
        ret->field_order = orders[au.pic_struct];
    ret->hdr = au.hdr;
    if (au.idr)
        ret->access = ACCESS_CLOSED;
    else if (hevc_random_access(&au) && (au.irap || au.intra_only))
        ret->access = ACCESS_OPEN;
    if (au.irap)
        v->rasl_broken = au.begins && !au.idr; /* IDR pictures have none */
    if ((au.rasl && v->rasl_broken) || (au.slices > 0 && !au.first.output))
        ret->flags |= PACKET_DISCARD;
    look_hevc_dynamic(v, av, ret);
}

static void look_av1(struct video_state *v, const AVPacket *av, struct video_look *ret)
{
    struct av1_temporal_unit tu;
    const bool said = v->container_keys && av->flags & AV_PKT_FLAG_KEY;
    if (av1_temporal_unit(&v->av1, av->data, (size_t)av->size, &tu, NULL) < 0) {
        ret->damaged = true;
        ret->access = said ? ACCESS_CLOSED : ACCESS_NONE;
        return;
    }
    ret->damaged = tu.damaged > 0;
    ret->hdr = tu.hdr;
    if (tu.key)
        ret->access = ACCESS_CLOSED;
    ret->hidden = tu.frames > 0 && tu.shown == 0;
}

/* VP8 and VP9 have frames that are only for reference. */
static void look_vp8(const AVPacket *av, struct video_look *ret)
{
    if (av->size < 1)
        return;
    const bool key = (av->data[0] & 1) == 0, shown = av->data[0] >> 4 & 1;
    ret->access = key ? ACCESS_CLOSED : ACCESS_NONE;
    ret->hidden = !shown;
}

static void look_vp9(const AVPacket *av, struct video_look *ret)
{
    if (av->size < 1)
        return;
    const uint8_t last = av->data[av->size - 1];
    const bool superframe = (last & 0xe0u) == 0xc0u;
    struct bits b;
    bits_init(&b, av->data, (size_t)av->size);
    bits_skip(&b, 2); /* frame_marker */
    const uint32_t low = bits_read(&b, 1), profile = low | bits_read(&b, 1) << 1;
    if (profile == 3)
        bits_skip(&b, 1);
    const bool repeats = bits_flag(&b);
    const bool key = !repeats && !bits_flag(&b);
    const bool shown = repeats || bits_flag(&b);
    ret->access = key && !b.error ? ACCESS_CLOSED : ACCESS_NONE;
    ret->hidden = !shown && !superframe;
}

static void look_mpeg12(const AVPacket *av, struct video_look *ret)
{
    enum {
        CODE_PICTURE = 0x00,
        CODE_SLICE_FIRST = 0x01,
        CODE_GROUP = 0xb8,
        TYPE_I = 1,
        TYPE_B = 3
    };
    const uint8_t *p = av->data, *end = p + av->size;
    bool closed = false;
    while ((p = nal_find_start_code(p, end)) < end && end - p >= 6) {
        const uint8_t code = p[3];
        if (code == CODE_GROUP && end - p >= 8)
            closed = p[7] >> 6 & 1; /* behind 25 bits of time code */
        if (code == CODE_PICTURE) {
            const int type = p[5] >> 3 & 7;
            ret->anchor = type != TYPE_B;
            if (type == TYPE_I)
                ret->access = closed ? ACCESS_CLOSED : ACCESS_OPEN;
            return;
        }
        if (code == CODE_SLICE_FIRST)
            return;
        p += 4;
    }
}

/* The index of AVI takes empty VOPs behind a key frame for such. */
static void look_mpeg4(const AVPacket *av, struct video_look *ret)
{
    enum { CODE_VOP = 0xb6, TYPE_I = 0, TYPE_B = 2 };
    const uint8_t *p = av->data, *end = p + av->size;
    while ((p = nal_find_start_code(p, end)) < end && end - p >= 5) {
        if (p[3] == CODE_VOP) {
            const int type = p[4] >> 6;
            ret->anchor = type != TYPE_B;
            if (type == TYPE_I)
                ret->access = ACCESS_OPEN;
            return;
        }
        p += 4;
    }
}

struct video_look video_look(struct video_state *v, const struct AVPacket *av)
{
    struct video_look ret = {0};
    const bool key = av->flags & AV_PKT_FLAG_KEY;
    size_t size;
    const uint8_t *headers = av_packet_get_side_data(av, AV_PKT_DATA_NEW_EXTRADATA, &size);
    if (headers && size)
        learn_headers(v, headers, size);
    switch (v->syntax) {
    case SYNTAX_H264:
        look_h264(v, av, &ret);
        break;
    case SYNTAX_HEVC:
        look_hevc(v, av, &ret);
        break;
    case SYNTAX_AV1:
        look_av1(v, av, &ret);
        break;
    case SYNTAX_VP8:
        look_vp8(av, &ret);
        break;
    case SYNTAX_VP9:
        look_vp9(av, &ret);
        break;
    case SYNTAX_MPEG12:
        look_mpeg12(av, &ret);
        break;
    case SYNTAX_MPEG4:
        look_mpeg4(av, &ret);
        break;
    case SYNTAX_OTHER:
        if (v->intra_only || (key && !v->may_reorder))
            ret.access = ACCESS_CLOSED;
        else if (key)
            ret.access = ACCESS_OPEN;
        break;
    }
    if (ret.access != ACCESS_NONE)
        ret.flags |= PACKET_KEY;
    if (av->flags & AV_PKT_FLAG_DISCARD || ret.hidden)
        ret.flags |= PACKET_DISCARD;
    if (av->flags & AV_PKT_FLAG_CORRUPT)
        ret.flags |= PACKET_CORRUPT;
    if (av_packet_get_side_data(av, AV_PKT_DATA_DYNAMIC_HDR10_PLUS, &size))
        ret.hdr10_plus = true;
    return ret;
}

bool video_keeps_order(const struct video_state *v)
{
    if (!v->may_reorder)
        return true;
    bool any = false;
    if (v->syntax == SYNTAX_H264)
        for (int i = 0; i < H264_SPS_MAX; i++) {
            if (v->h264->sps[i].valid && h264_reorder_frames(&v->h264->sps[i]) > 0)
                return false;
            any |= v->h264->sps[i].valid;
        }
    if (v->syntax == SYNTAX_HEVC)
        for (int i = 0; i < HEVC_SPS_MAX; i++) {
            if (v->hevc->sps[i].valid && v->hevc->sps[i].max_num_reorder > 0)
                return false;
            any |= v->hevc->sps[i].valid;
        }
    return any;
}

/* ---- time stamps ---------------------------------------------------------------------------- */

/* Time of the frame with this number, where frames are all there is to tell time by. */
static int64_t frame_ticks(const struct video_state *v, int64_t number)
{
    const struct rational rate = v->frame_rate.num ? v->frame_rate : (struct rational){25, 1};
    return rational_rescale(number, (struct rational){rate.den, rate.num}, v->time_base,
                            ROUND_NEAREST);
}

static bool is_taken(const struct video_state *v, int64_t pts)
{
    for (int i = 0; i < v->recent_count; i++)
        if (v->recent[i] == pts)
            return true;
    return false;
}

/* A time for a packet that has none: one frame on from what came before. */
static int64_t guess(const struct video_state *v, int64_t last, int64_t duration)
{
    int64_t next;
    if (last == PTS_NONE)
        return 0;
    if (duration <= 0)
        duration = frame_ticks(v, 1);
    if (__builtin_add_overflow(last, duration > 0 ? duration : 1, &next))
        return INT64_MAX;
    return next;
}

static void stamp_by_order(struct video_state *v, const AVPacket *av, struct packet *pkt)
{
    pkt->pts = PTS_NONE;
    pkt->dts = PTS_NONE;
    if (pkt->flags & PACKET_SECOND_FIELD)
        return; /* takes no frame time */
    int64_t dts = av->dts != PTS_NONE ? av->dts : frame_ticks(v, v->frames);
    if (v->dts_last != PTS_NONE && dts <= v->dts_last)
        dts = guess(v, v->dts_last, 1);
    pkt->dts = v->dts_last = dts;
}

static bool stamp(struct video_state *v, const AVPacket *av, bool hidden, struct packet *pkt)
{
    const bool second = pkt->flags & PACKET_SECOND_FIELD;
    bool made_up = false;
    int64_t pts = av->pts;
    pkt->dts = av->dts;
    if (pts == PTS_NONE && second) {
        pts = guess(v, v->pts_last, 1); /* right behind its first field */
    } else if (pts == PTS_NONE && v->order_is_time) {
        pts = av->dts != PTS_NONE ? av->dts : frame_ticks(v, v->frames);
    } else if (pts == PTS_NONE) {
        made_up = true;
        pts = av->dts != PTS_NONE ? av->dts : guess(v, v->pts_max, av->duration);
    }
    /* A hidden frame must not take the time of the one that is shown. */
    for (pts -= hidden; hidden && is_taken(v, pts) && pts > INT64_MIN + 1; pts--)
        ;
    /* Two frames of one time would be one frame less. */
    while (is_taken(v, pts) && pts < INT64_MAX) {
        made_up |= !second;
        pts++;
    }
    v->recent[v->recent_next] = pts;
    v->recent_next = (v->recent_next + 1) % VIDEO_RECENT;
    v->recent_count += v->recent_count < VIDEO_RECENT;
    v->pts_last = pts;
    if (v->pts_max == PTS_NONE || pts > v->pts_max)
        v->pts_max = pts;
    pkt->pts = pts;
    return made_up;
}

static void release_av(void *opaque, uint8_t *data)
{
    AVBufferRef *ref = opaque;
    (void)data;
    av_buffer_unref(&ref);
}

static struct buffer *wrap(const AVPacket *av)
{
    if (!av->buf)
        return buffer_copy(av->data, (size_t)av->size);
    AVBufferRef *ref = av_buffer_ref(av->buf);
    struct buffer *buf = ref ? buffer_wrap(av->data, (size_t)av->size, release_av, ref) : NULL;
    if (!buf)
        av_buffer_unref(&ref);
    return buf;
}

/* Containers say a palette where it changes; the packets behind may begin a segment. */
static int learn_palette(struct video_state *v, const AVPacket *av)
{
    size_t size;
    const uint8_t *colors = av_packet_get_side_data(av, AV_PKT_DATA_PALETTE, &size);
    if (!colors || size < PALETTE_BYTES)
        return 0;
    struct buffer *palette = buffer_copy(colors, PALETTE_BYTES);
    if (!palette)
        return RGPU_ERROR_MEMORY;
    for (size_t i = 0; i < PALETTE_BYTES; i += 4) {
        uint32_t argb; /* in the machine's byte order */
        memcpy(&argb, colors + i, 4);
        for (size_t k = 0; k < 4; k++)
            palette->data[i + k] = (uint8_t)(argb >> 8 * k);
    }
    buffer_unref(&v->palette);
    v->palette = palette;
    return 0;
}

int video_fill(struct video_state *v, const struct AVPacket *av, const struct video_look *look,
               struct packet *ret, bool *ret_damaged)
{
    struct packet pkt = {
        .buf = wrap(av), .data = av->data, .size = (size_t)av->size, .flags = look->flags};
    size_t extra_size;
    const uint8_t *extra = av_packet_get_side_data(av, AV_PKT_DATA_NEW_EXTRADATA, &extra_size);
    if (pkt.buf && extra && extra_size)
        pkt.extradata = buffer_copy(extra, extra_size);
    if (!pkt.buf || (extra && extra_size && !pkt.extradata) || learn_palette(v, av) != 0) {
        packet_done(&pkt);
        return RGPU_ERROR_MEMORY;
    }
    pkt.data = pkt.buf->data;
    pkt.palette = buffer_ref(v->palette);
    pkt.duration = av->duration > 0 ? av->duration : 0;
    pkt.ordinal = v->ordinal++;
    *ret_damaged = false;
    if (v->by_order)
        stamp_by_order(v, av, &pkt);
    else
        *ret_damaged = stamp(v, av, look->hidden, &pkt);
    v->frames += !(pkt.flags & PACKET_SECOND_FIELD);
    *ret = pkt;
    return 0;
}
