#include "file/reader_track.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/mastering_display_metadata.h>
#include <libavutil/pixdesc.h>

#include "media/h26x.h"

const void *reader_stream_side_data(const struct AVStream *stream, int type, size_t *ret_size)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 0)
    const AVCodecParameters *par = stream->codecpar;
    const AVPacketSideData *sd = av_packet_side_data_get(
        par->coded_side_data, par->nb_coded_side_data, (enum AVPacketSideDataType)type);
    *ret_size = sd ? sd->size : 0;
    return sd ? sd->data : NULL;
#else
    *ret_size = 0;
    return av_stream_get_side_data(stream, (enum AVPacketSideDataType)type, ret_size);
#endif
}

static struct rational from_av(AVRational r)
{
    return r.num > 0 && r.den > 0 ? (struct rational){r.num, r.den} : (struct rational){0, 0};
}

/* Clockwise, a quarter turn at a time; other angles and mirroring are left to the container. */
static int rotation(const AVStream *stream)
{
    size_t size;
    const void *side = reader_stream_side_data(stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
    int32_t matrix[9];
    if (!side || size < sizeof(matrix))
        return 0;
    memcpy(matrix, side, sizeof(matrix));
    const double angle = av_display_rotation_get(matrix);
    if (isnan(angle))
        return 0;
    /* -180..180 becomes 0..4 quarter turns the other way round. */
    return (int)((360.0 - angle) / 90.0 + 0.5) % 4 * 90;
}

static uint32_t scaled(AVRational r, int64_t unit, uint32_t max)
{
    if (r.num <= 0 || r.den <= 0)
        return 0;
    const int64_t v = (r.num * unit + r.den / 2) / r.den;
    return v > max ? max : (uint32_t)v;
}

static void read_hdr(const AVStream *stream, struct hdr *hdr)
{
    size_t size;
    const AVMasteringDisplayMetadata *m =
        reader_stream_side_data(stream, AV_PKT_DATA_MASTERING_DISPLAY_METADATA, &size);
    if (m && size >= sizeof(*m) && m->has_primaries && m->has_luminance) {
        hdr->has_mastering = true;
        for (int i = 0; i < 3; i++) {
            hdr->primary_x[i] = (uint16_t)scaled(m->display_primaries[i][0], 50000, UINT16_MAX);
            hdr->primary_y[i] = (uint16_t)scaled(m->display_primaries[i][1], 50000, UINT16_MAX);
        }
        hdr->white_x = (uint16_t)scaled(m->white_point[0], 50000, UINT16_MAX);
        hdr->white_y = (uint16_t)scaled(m->white_point[1], 50000, UINT16_MAX);
        hdr->luminance_max = scaled(m->max_luminance, 10000, UINT32_MAX);
        hdr->luminance_min = scaled(m->min_luminance, 10000, UINT32_MAX);
    }
    const AVContentLightMetadata *c =
        reader_stream_side_data(stream, AV_PKT_DATA_CONTENT_LIGHT_LEVEL, &size);
    if (c && size >= sizeof(*c)) {
        hdr->has_light_level = true;
        hdr->max_content_light = (uint16_t)(c->MaxCLL > UINT16_MAX ? UINT16_MAX : c->MaxCLL);
        hdr->max_average_light = (uint16_t)(c->MaxFALL > UINT16_MAX ? UINT16_MAX : c->MaxFALL);
    }
}

static enum field_order field_order(enum AVFieldOrder order)
{
    switch (order) {
    case AV_FIELD_PROGRESSIVE:
        return FIELD_PROGRESSIVE;
    case AV_FIELD_TT:
    case AV_FIELD_BT:
        return FIELD_TOP_FIRST;
    case AV_FIELD_BB:
    case AV_FIELD_TB:
        return FIELD_BOTTOM_FIRST;
    default:
        return FIELD_UNKNOWN;
    }
}

/* Format by libavutil's name; the yuvj names of old are full-range yuv. */
static enum pixel_format pixel_format(const AVCodecParameters *par, struct color *color)
{
    const char *name = av_get_pix_fmt_name((enum AVPixelFormat)par->format);
    char plain[32];
    if (!name)
        return PIXEL_NONE;
    if (strncmp(name, "yuvj", 4) == 0) {
        snprintf(plain, sizeof(plain), "yuv%s", name + 4);
        color->range = RANGE_FULL;
        name = plain;
    }
    return pixel_from_name(name);
}

static struct color color(const AVCodecParameters *par)
{
    struct color ret = {0};
    h26x_color_points(&ret, (unsigned)par->color_primaries, (unsigned)par->color_trc,
                      (unsigned)par->color_space);
    if (par->color_range == AVCOL_RANGE_MPEG)
        ret.range = RANGE_LIMITED;
    else if (par->color_range == AVCOL_RANGE_JPEG)
        ret.range = RANGE_FULL;
    if (par->chroma_location >= AVCHROMA_LOC_LEFT && par->chroma_location <= AVCHROMA_LOC_BOTTOM)
        ret.chroma = (uint8_t)par->chroma_location;
    return ret;
}

static bool close_to(AVRational a, AVRational b, double factor)
{
    return fabs(av_q2d(a) - factor * av_q2d(b)) < 0.01 * av_q2d(a);
}

/* A measured rate is a little off: a usual one that is as near as millisecond time stamps can tell
 * is meant. */
static struct rational usual_rate(int64_t num, int64_t den)
{
    static const int usual[] = {24, 25, 30, 48, 50, 60, 100, 120};
    const double rate = (double)num / (double)den;
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
        if (fabs(rate / usual[i] - 1.0) < 1e-4)
            return (struct rational){usual[i], 1};
        if (fabs(rate * 1.001 / usual[i] - 1.0) < 1e-4)
            return (struct rational){usual[i] * 1000, 1001};
    }
    return rational_reduce(num, den);
}

/* libavformat has two: the rate at which time stamps tick, and the average of the frames it has
 * seen. A film whose average is well below its ticks has a variable rate, but for half of them:
 * those are fields. */
static struct rational frame_rate(const AVStream *stream)
{
    const AVRational tick = stream->r_frame_rate, average = stream->avg_frame_rate;
    const bool has_tick = tick.num > 0 && tick.den > 0;
    if (average.num <= 0 || average.den <= 0)
        return has_tick ? usual_rate(tick.num, tick.den) : (struct rational){0, 0};
    if (!has_tick)
        return usual_rate(average.num, average.den);
    if (close_to(tick, average, 2.0))
        return usual_rate(tick.num, (int64_t)tick.den * 2);
    if (av_q2d(average) > 0.9 * av_q2d(tick) && av_q2d(average) < 1.1 * av_q2d(tick))
        return usual_rate(tick.num, tick.den);
    return (struct rational){0, 0};
}

static int video_init(struct reader_track *t, const AVStream *stream)
{
    const AVCodecParameters *par = stream->codecpar;
    const AVCodecDescriptor *desc = avcodec_descriptor_get(par->codec_id);
    size_t size;
    memcpy(t->video.codec, t->codec, sizeof(t->codec));
    t->video.codec_tag = par->codec_tag;
    if (par->extradata && par->extradata_size > 0) {
        t->video.extradata = buffer_copy(par->extradata, (size_t)par->extradata_size);
        if (!t->video.extradata)
            return RGPU_ERROR_MEMORY;
    }
    t->is_untold = desc && (par->width <= 0 || par->height <= 0);
    t->video.width = t->is_untold ? 0 : par->width;
    t->video.height = t->is_untold ? 0 : par->height;
    t->video.bits_per_sample = par->bits_per_coded_sample;
    t->video.codec_profile = par->profile;
    t->video.codec_level = par->level;
    t->video.time_base = t->time_base;
    if (!t->is_untold)
        t->video.frame_rate = frame_rate(stream);
    t->video.sample_aspect = from_av(stream->sample_aspect_ratio);
    t->video.aspect_is_container = t->video.sample_aspect.num > 0;
    if (!t->video.aspect_is_container)
        t->video.sample_aspect = from_av(par->sample_aspect_ratio);
    t->video.color = color(par);
    t->video.format = pixel_format(par, &t->video.color);
    t->video.reorder_frames = par->video_delay;
    t->video.field_order = field_order(par->field_order);
    read_hdr(stream, &t->video.hdr);
    t->rotation_degrees = rotation(stream);
    t->may_reorder = !desc || desc->props & AV_CODEC_PROP_REORDER;
    t->dolby_vision = reader_stream_side_data(stream, AV_PKT_DATA_DOVI_CONF, &size) != NULL;
    return 0;
}

static enum track_kind track_kind(const AVStream *stream)
{
    switch (stream->codecpar->codec_type) {
    case AVMEDIA_TYPE_VIDEO:
        return TRACK_VIDEO;
    case AVMEDIA_TYPE_AUDIO:
        return TRACK_AUDIO;
    case AVMEDIA_TYPE_SUBTITLE:
        return TRACK_SUBTITLE;
    case AVMEDIA_TYPE_ATTACHMENT:
        return TRACK_ATTACHMENT;
    default:
        return TRACK_DATA;
    }
}

static void copy_tag(const AVStream *stream, const char *key, char *ret, size_t size)
{
    const AVDictionaryEntry *e = av_dict_get(stream->metadata, key, NULL, 0);
    if (!e)
        return;
    size_t n = strlen(e->value);
    if (n >= size) {
        /* Cut in front of a character of UTF-8, not inside one. */
        for (n = size - 1; n > 0 && ((unsigned char)e->value[n] & 0xc0u) == 0x80u; n--)
            ;
    }
    memcpy(ret, e->value, n);
    ret[n] = '\0';
}

/* Muxers give up on a damaged Opus header (RFC 7845, section 5.1) only when it is too late to leave
 * the track out. */
static bool has_broken_header(const AVCodecParameters *par)
{
    if (par->codec_id != AV_CODEC_ID_OPUS || !par->extradata_size)
        return false;
    const uint8_t *head = par->extradata;
    if (par->extradata_size < 19 || memcmp(head, "OpusHead", 8) != 0)
        return true;
    return head[18] != 0 && par->extradata_size < 21 + head[9];
}

int reader_track_init(struct reader_track *ret, const struct AVStream *stream)
{
    const AVCodecParameters *par = stream->codecpar;
    struct reader_track t = {
        .index = stream->index,
        .kind = track_kind(stream),
        .is_default = stream->disposition & AV_DISPOSITION_DEFAULT,
        .is_forced = stream->disposition & AV_DISPOSITION_FORCED,
        .is_cover = stream->disposition & AV_DISPOSITION_ATTACHED_PIC,
        .bit_rate_bps = par->bit_rate > 0 ? par->bit_rate : 0,
        .time_base = {stream->time_base.num, stream->time_base.den},
        .start_pts = stream->start_time == AV_NOPTS_VALUE ? PTS_NONE : stream->start_time,
        .stream = stream,
    };
    const char *name = avcodec_get_name(par->codec_id);
    strncpy(t.codec, name, sizeof(t.codec) - 1);
    copy_tag(stream, "language", t.language, sizeof(t.language));
    copy_tag(stream, "title", t.title, sizeof(t.title));
    if (strcmp(t.language, "und") == 0)
        t.language[0] = '\0';
    if (t.kind == TRACK_AUDIO) {
        t.sample_rate = par->sample_rate;
        t.channels = par->ch_layout.nb_channels;
        t.is_untold = par->codec_id == AV_CODEC_ID_NONE || t.sample_rate <= 0 || t.channels <= 0 ||
                      has_broken_header(par);
    }
    if (t.kind == TRACK_VIDEO && video_init(&t, stream) < 0) {
        *ret = (struct reader_track){0};
        return RGPU_ERROR_MEMORY;
    }
    *ret = t;
    return 0;
}

void reader_track_done(struct reader_track *track)
{
    track_done(&track->video);
    *track = (struct reader_track){0};
}
