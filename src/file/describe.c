#include "file/describe.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/mastering_display_metadata.h>
#include <libavutil/pixdesc.h>
#include <string.h>
#include <strings.h>

/* Side data of streams moved into the codec parameters with libavformat 60.15. */
#define SIDE_IN_PARAMETERS (LIBAVFORMAT_VERSION_INT >= AV_VERSION_INT(60, 15, 100))

static int side_add(AVStream *to, enum AVPacketSideDataType type, const void *data, size_t size)
{
    void *copy = av_memdup(data, size);
    if (!copy)
        return RGPU_ERROR_MEMORY;
#if SIDE_IN_PARAMETERS
    if (av_packet_side_data_add(&to->codecpar->coded_side_data, &to->codecpar->nb_coded_side_data,
                                type, copy, size, 0))
        return 0;
#else
    if (av_stream_add_side_data(to, type, copy, size) >= 0)
        return 0;
#endif
    av_free(copy);
    return RGPU_ERROR_MEMORY;
}

/* `all`: every kind; else what describes how the picture is shown, not how it is coded. */
static int side_copy(AVStream *to, const AVStream *from, bool all)
{
#if SIDE_IN_PARAMETERS
    const AVPacketSideData *side = from->codecpar->coded_side_data;
    const int count = from->codecpar->nb_coded_side_data;
    if (all)
        return 0; /* avcodec_parameters_copy has done it */
#else
    const AVPacketSideData *side = from->side_data;
    const int count = from->nb_side_data;
#endif
    for (int i = 0; i < count; i++) {
        const enum AVPacketSideDataType type = side[i].type;
        if (!all && type != AV_PKT_DATA_DISPLAYMATRIX && type != AV_PKT_DATA_STEREO3D &&
            type != AV_PKT_DATA_SPHERICAL && type != AV_PKT_DATA_ICC_PROFILE)
            continue;
        if (side_add(to, type, side[i].data, side[i].size) < 0)
            return RGPU_ERROR_MEMORY;
    }
    return 0;
}

/* ---- tags ----------------------------------------------------------------------------------- */

/* Tags that speak of the source's file or of its coding, and would be wrong in the result. */
static bool tag_stale(const char *key, bool encoded)
{
    static const char *const always[] = {"major_brand", "minor_version", "compatible_brands",
                                         "encoder",     "DURATION",      "vendor_id"};
    static const char *const counted[] = {"BPS", "NUMBER_OF_FRAMES", "NUMBER_OF_BYTES", "SOURCE_ID",
                                          "_STATISTICS_"};
    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        if (strcasecmp(key, always[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof(counted) / sizeof(counted[0]); i++)
        if (strncmp(key, counted[i], strlen(counted[i])) == 0)
            return true;
    return encoded && strcasecmp(key, "encoder_settings") == 0;
}

static int tags_copy(AVDictionary **to, const AVDictionary *from, bool encoded)
{
    const AVDictionaryEntry *e = NULL;
    while ((e = av_dict_get(from, "", e, AV_DICT_IGNORE_SUFFIX))) {
        if (!tag_stale(e->key, encoded) && av_dict_set(to, e->key, e->value, 0) < 0)
            return RGPU_ERROR_MEMORY;
    }
    return 0;
}

int describe_tags(AVDictionary **to, const AVDictionary *from)
{
    return tags_copy(to, from, false);
}

/* ---- streams -------------------------------------------------------------------------------- */

/* An average rate says something only where the rate is constant. */
static void copy_rate(AVStream *to, const AVStream *from)
{
    if (from->avg_frame_rate.num > 0 && from->r_frame_rate.num > 0 &&
        av_cmp_q(from->avg_frame_rate, from->r_frame_rate) == 0)
        to->avg_frame_rate = to->r_frame_rate = from->avg_frame_rate;
}

int describe_copy(AVStream *to, const AVStream *from)
{
    if (avcodec_parameters_copy(to->codecpar, from->codecpar) < 0)
        return RGPU_ERROR_MEMORY;
    to->codecpar->codec_tag = 0; /* the muxer's own, not the source container's */
    to->sample_aspect_ratio = from->sample_aspect_ratio;
    to->disposition = from->disposition;
    to->time_base = from->time_base;
    copy_rate(to, from);
    if (side_copy(to, from, true) < 0)
        return RGPU_ERROR_MEMORY;
    return tags_copy(&to->metadata, from->metadata, false);
}

static int add_hdr(AVStream *to, const struct hdr *hdr)
{
    int rc = 0;
    if (hdr->has_mastering) {
        AVMasteringDisplayMetadata m = {.has_primaries = 1, .has_luminance = 1};
        for (int i = 0; i < 3; i++) {
            m.display_primaries[i][0] = (AVRational){hdr->primary_x[i], 50000};
            m.display_primaries[i][1] = (AVRational){hdr->primary_y[i], 50000};
        }
        m.white_point[0] = (AVRational){hdr->white_x, 50000};
        m.white_point[1] = (AVRational){hdr->white_y, 50000};
        m.max_luminance = (AVRational){(int)hdr->luminance_max, 10000};
        m.min_luminance = (AVRational){(int)hdr->luminance_min, 10000};
        rc = side_add(to, AV_PKT_DATA_MASTERING_DISPLAY_METADATA, &m, sizeof(m));
    }
    if (rc == 0 && hdr->has_light_level) {
        const AVContentLightMetadata light = {.MaxCLL = hdr->max_content_light,
                                              .MaxFALL = hdr->max_average_light};
        rc = side_add(to, AV_PKT_DATA_CONTENT_LIGHT_LEVEL, &light, sizeof(light));
    }
    return rc;
}

static void set_color(AVCodecParameters *par, const struct color *color)
{
    /* Zero is unknown here, 2 is in H.273. */
    par->color_primaries = color->primaries ? (int)color->primaries : AVCOL_PRI_UNSPECIFIED;
    par->color_trc = color->transfer ? (int)color->transfer : AVCOL_TRC_UNSPECIFIED;
    par->color_space = color->matrix == MATRIX_RGB ? AVCOL_SPC_RGB
                       : color->matrix             ? (int)color->matrix
                                                   : AVCOL_SPC_UNSPECIFIED;
    par->color_range = color->range == RANGE_FULL      ? AVCOL_RANGE_JPEG
                       : color->range == RANGE_LIMITED ? AVCOL_RANGE_MPEG
                                                       : AVCOL_RANGE_UNSPECIFIED;
    par->chroma_location = (enum AVChromaLocation)color->chroma;
}

static enum AVFieldOrder field_order(enum field_order order)
{
    switch (order) {
    case FIELD_PROGRESSIVE:
        return AV_FIELD_PROGRESSIVE;
    case FIELD_TOP_FIRST:
        return AV_FIELD_TT;
    case FIELD_BOTTOM_FIRST:
        return AV_FIELD_BB;
    case FIELD_UNKNOWN:
        break;
    }
    return AV_FIELD_UNKNOWN;
}

int describe_video(AVStream *to, const struct track *video, const AVStream *source,
                   struct error *err)
{
    const AVCodecDescriptor *codec = avcodec_descriptor_get_by_name(video->codec);
    if (!codec || codec->type != AVMEDIA_TYPE_VIDEO)
        return error_set(err, RGPU_ERROR_INTERNAL, "unknown video codec \"%s\"", video->codec);
    AVCodecParameters *par = to->codecpar;
    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->codec_id = codec->id;
    par->width = video->width;
    par->height = video->height;
    par->profile = video->codec_profile;
    par->level = video->codec_level;
    par->bits_per_coded_sample = 0;
    const struct pixel_info *pixel = pixel_info(video->format);
    par->format = pixel ? av_get_pix_fmt(pixel->name) : AV_PIX_FMT_NONE;
    par->video_delay = video->reorder_frames > 0 ? video->reorder_frames : 0;
    par->field_order = field_order(video->field_order);
    par->sample_aspect_ratio = (AVRational){
        video->sample_aspect.num, video->sample_aspect.den ? video->sample_aspect.den : 1};
    set_color(par, &video->color);
    if (video->extradata && video->extradata->size > 0) {
        par->extradata = av_mallocz(video->extradata->size + AV_INPUT_BUFFER_PADDING_SIZE);
        if (!par->extradata)
            return error_memory(err, "codec headers");
        memcpy(par->extradata, video->extradata->data, video->extradata->size);
        par->extradata_size = (int)video->extradata->size;
    }
    to->sample_aspect_ratio = par->sample_aspect_ratio;
    to->time_base = (AVRational){video->time_base.num, video->time_base.den};
    if (video->frame_rate.den)
        to->avg_frame_rate = to->r_frame_rate =
            (AVRational){video->frame_rate.num, video->frame_rate.den};
    if (add_hdr(to, &video->hdr) < 0)
        return error_memory(err, "HDR metadata");
    if (source) {
        to->disposition = source->disposition;
        if (side_copy(to, source, false) < 0 ||
            tags_copy(&to->metadata, source->metadata, true) < 0)
            return error_memory(err, "tags");
    }
    return 0;
}

int describe_audio(AVStream *to, const AVCodecParameters *par, const AVStream *source)
{
    if (avcodec_parameters_copy(to->codecpar, par) < 0)
        return RGPU_ERROR_MEMORY;
    to->codecpar->codec_tag = 0;
    to->time_base = (AVRational){1, par->sample_rate};
    if (!source)
        return 0;
    to->disposition = source->disposition;
    return tags_copy(&to->metadata, source->metadata, true);
}

int describe_cover(AVStream *to, const AVStream *from)
{
    static const struct {
        enum AVCodecID id;
        const char *mime, *file;
    } kinds[] = {
        {AV_CODEC_ID_MJPEG, "image/jpeg", "cover.jpg"}, {AV_CODEC_ID_PNG, "image/png", "cover.png"},
        {AV_CODEC_ID_BMP, "image/bmp", "cover.bmp"},    {AV_CODEC_ID_GIF, "image/gif", "cover.gif"},
        {AV_CODEC_ID_TIFF, "image/tiff", "cover.tif"},
    };
    size_t kind = 0;
    const size_t count = sizeof(kinds) / sizeof(kinds[0]);
    while (kind < count && kinds[kind].id != from->codecpar->codec_id)
        kind++;
    to->codecpar->codec_type = AVMEDIA_TYPE_ATTACHMENT;
    to->codecpar->codec_id = from->codecpar->codec_id;
    to->codecpar->extradata =
        av_mallocz((size_t)from->attached_pic.size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!to->codecpar->extradata)
        return RGPU_ERROR_MEMORY;
    memcpy(to->codecpar->extradata, from->attached_pic.data, (size_t)from->attached_pic.size);
    to->codecpar->extradata_size = from->attached_pic.size;
    if (tags_copy(&to->metadata, from->metadata, false) < 0)
        return RGPU_ERROR_MEMORY;
    const int keep = AV_DICT_DONT_OVERWRITE;
    if (av_dict_set(&to->metadata, "mimetype",
                    kind < count ? kinds[kind].mime : "application/octet-stream", keep) < 0 ||
        av_dict_set(&to->metadata, "filename", kind < count ? kinds[kind].file : "cover", keep) < 0)
        return RGPU_ERROR_MEMORY;
    return 0;
}

/* ---- chapters ------------------------------------------------------------------------------- */

int describe_chapters(AVFormatContext *to, const AVFormatContext *from, int64_t shift_us,
                      int64_t end_us)
{
    if (from->nb_chapters == 0)
        return 0;
    to->chapters = av_calloc(from->nb_chapters, sizeof(AVChapter *));
    if (!to->chapters)
        return RGPU_ERROR_MEMORY;
    for (unsigned i = 0; i < from->nb_chapters; i++) {
        const AVChapter *c = from->chapters[i];
        const int64_t shift = av_rescale_q(shift_us, AV_TIME_BASE_Q, c->time_base);
        const int64_t end = end_us ? av_rescale_q(end_us, AV_TIME_BASE_Q, c->time_base) : INT64_MAX;
        if (c->start >= end || c->end <= shift)
            continue;
        AVChapter *copy = av_mallocz(sizeof(*copy));
        if (!copy)
            return RGPU_ERROR_MEMORY;
        to->chapters[to->nb_chapters++] = copy;
        copy->id = c->id;
        copy->time_base = c->time_base;
        copy->start = FFMAX(c->start, shift) - shift;
        copy->end = FFMIN(c->end, end) - shift;
        if (av_dict_copy(&copy->metadata, c->metadata, 0) < 0)
            return RGPU_ERROR_MEMORY;
    }
    return 0;
}
