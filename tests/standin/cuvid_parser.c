/* libnvcuvid's parser: splits a bitstream into pictures, decodes them with libavcodec as they come,
 * and calls back as NVIDIA's does: a format when it changes, each picture in decoding order, each
 * in display order once libavcodec has given it and ulMaxDisplayDelay more have come.
 *
 * An index is used again when its picture has been shown (or never will be) and libavcodec refers
 * to it no more; indices are taken in turn. What a callback refuses does not come back, as the
 * driver does it: the rest of that call is dropped.
 *
 * Threads: one at a time a parser. Memory: LOST_AFTER pictures on, one that libavcodec has not
 * given counts as dropped by it. Limits: packets of VP8, VP9 and AV1 hold one picture each, in the
 * sense that one is decoded and at most one shown. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#include "cuvid.h"

#define LOST_AFTER 20 /* libavcodec holds back 16 at most */
#define CLOCK_HZ 10000000
#define OUTPUTS_MAX 32
#define STAMPS_MAX 64
#define START_CODE 4 /* bytes, by which the splitter may cut earlier */

/* The time stamp of the picture that begins at a byte. */
struct stamp {
    int64_t offset, timestamp;
};

struct parser {
    struct standin_object object;
    CUVIDPARSERPARAMS params;
    const AVCodec *codec;
    AVCodecContext *header, *decoder; /* owned, as all to `packet` */
    AVCodecParserContext *splitter;   /* NULL: a packet is a picture */
    AVPacket *packet;
    uint8_t *first; /* headers that the container has, for the first picture */
    size_t first_size;
    CUVIDEOFORMAT format; /* coded_width 0: none yet */
    int surfaces_count;
    struct picture *slots[SURFACES_MAX];   /* by index; counted references */
    struct picture *waiting[SURFACES_MAX]; /* to be shown, in order; their references in slots */
    int waiting_count;
    int64_t decoded; /* pictures so far */
    int next_index;
    int first_field; /* AV_PICTURE_STRUCTURE_* of the picture that lacks its second; 0: none */
    struct picture *current; /* the last one described; its reference in slots */
    CUvideotimestamp last_timestamp;
    struct stamp stamps[STAMPS_MAX];
    int stamps_count;
    int64_t split_bytes; /* given to the splitter */
    bool partial;        /* the splitter holds some */
    bool failed;         /* a callback refused */
    bool busy;
};

/* One picture's bitstream. */
struct unit {
    const uint8_t *data;
    int size;
    int64_t timestamp; /* AV_NOPTS_VALUE: none */
};

/* Frames that libavcodec gave at once. */
struct frames {
    AVFrame *items[OUTPUTS_MAX];
    int count;
};

static bool is_packetized(cudaVideoCodec codec)
{
    return codec == cudaVideoCodec_VP8 || codec == cudaVideoCodec_VP9 ||
           codec == cudaVideoCodec_AV1;
}

/* ---- libavcodec ----------------------------------------------------------------------------- */

#define LOG_NEVER 150 /* what NVDEC thinks of a stream, it keeps to itself */

static AVCodecContext *decoder_open(const AVCodec *codec)
{
    AVCodecContext *ctx = avcodec_alloc_context3(codec);
    if (!ctx)
        return NULL;
    ctx->log_level_offset = LOG_NEVER;
    ctx->thread_count = 1;
    ctx->apply_cropping = 0;
    /* Damaged pictures, and those before the first key frame, are the user's to judge. */
    ctx->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    ctx->flags2 |= AV_CODEC_FLAG2_SHOW_ALL;
    ctx->strict_std_compliance = FF_COMPLIANCE_STRICT; /* holds back what the level allows */
    if (avcodec_open2(ctx, codec, NULL) != 0)
        avcodec_free_context(&ctx);
    return ctx;
}

/* NULL: the end. */
static void decode(struct parser *p, AVCodecContext *ctx, const struct unit *unit, int64_t number,
                   struct frames *ret)
{
    AVPacket *packet = p->packet;
    if (unit && av_new_packet(packet, unit->size) == 0) {
        memcpy(packet->data, unit->data, (size_t)unit->size);
        packet->pts = number;
        (void)avcodec_send_packet(ctx, packet); /* what is refused is damaged, and not given */
        av_packet_unref(packet);
    } else {
        (void)avcodec_send_packet(ctx, NULL);
    }
    while (ret->count < OUTPUTS_MAX) {
        AVFrame *frame = av_frame_alloc();
        const int rc = frame ? avcodec_receive_frame(ctx, frame) : AVERROR(ENOMEM);
        if (rc >= 0) {
            ret->items[ret->count++] = frame;
            continue;
        }
        av_frame_free(&frame);
        if (rc == AVERROR(EAGAIN) || rc == AVERROR_EOF || rc == AVERROR(ENOMEM))
            break;
    }
}

static bool frame_interlaced(const AVFrame *frame)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    return frame->flags & AV_FRAME_FLAG_INTERLACED;
#else
    return frame->interlaced_frame;
#endif
}

static bool frame_top_first(const AVFrame *frame)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    return frame->flags & AV_FRAME_FLAG_TOP_FIELD_FIRST;
#else
    return frame->top_field_first;
#endif
}

/* ---- pictures and their indices ------------------------------------------------------------- */

static void slot_free(struct parser *p, int index)
{
    if (p->current == p->slots[index]) {
        p->current = NULL;
        p->first_field = 0;
    }
    picture_unref(&p->slots[index]);
}

static bool is_done(const struct picture *picture)
{
    /* One reference is the picture's own, more are libavcodec's. */
    return picture->shown && av_buffer_get_ref_count(picture->frame->buf[0]) == 1;
}

static void slots_sweep(struct parser *p)
{
    for (int i = 0; i < SURFACES_MAX; i++) {
        const struct picture *picture = p->slots[i];
        if (picture &&
            (is_done(picture) || (!picture->frame && picture->order < p->decoded - LOST_AFTER)))
            slot_free(p, i);
    }
}

static int slot_find(struct parser *p)
{
    for (int i = 0; i < p->surfaces_count; i++) {
        const int index = (p->next_index + i) % p->surfaces_count;
        if (!p->slots[index]) {
            p->next_index = index + 1;
            return index;
        }
    }
    return -1;
}

/* ---- showing -------------------------------------------------------------------------------- */

static CUvideotimestamp timestamp_of(struct parser *p, const struct picture *picture)
{
    const unsigned clock = p->params.ulClockRate ? p->params.ulClockRate : CLOCK_HZ;
    if (picture->has_timestamp)
        p->last_timestamp = picture->timestamp;
    else if (p->format.frame_rate.numerator > 0)
        p->last_timestamp += (CUvideotimestamp)clock * p->format.frame_rate.denominator /
                             p->format.frame_rate.numerator;
    return p->last_timestamp;
}

static void show_first(struct parser *p)
{
    struct picture *picture = p->waiting[0];
    p->waiting_count--;
    memmove(p->waiting, p->waiting + 1, (size_t)p->waiting_count * sizeof(struct picture *));
    CUVIDPARSERDISPINFO info = {
        .picture_index = picture->index,
        .progressive_frame = !frame_interlaced(picture->frame),
        .top_field_first = frame_top_first(picture->frame),
        .repeat_first_field = picture->frame->repeat_pict,
        .timestamp = timestamp_of(p, picture),
    };
    pthread_mutex_lock(&standin_mutex);
    picture->shown = true;
    pthread_mutex_unlock(&standin_mutex);
    if (!p->failed && p->params.pfnDisplayPicture)
        p->failed = p->params.pfnDisplayPicture(p->params.pUserData, &info) == 0;
}

static void show(struct parser *p, int held_back)
{
    while (p->waiting_count > held_back)
        show_first(p);
}

/* Frames find the pictures that they are of; the rest is the end of pictures that are lost. */
static void take_frames(struct parser *p, struct frames *frames)
{
    for (int i = 0; i < frames->count; i++) {
        AVFrame *frame = frames->items[i];
        struct picture *picture = NULL;
        for (int k = 0; k < SURFACES_MAX; k++) {
            if (p->slots[k] && p->slots[k]->number == frame->pts && !p->slots[k]->frame)
                picture = p->slots[k];
        }
        if (!picture || p->waiting_count == SURFACES_MAX) {
            av_frame_free(&frame);
            continue;
        }
        pthread_mutex_lock(&standin_mutex);
        picture->frame = frame;
        picture->damaged = frame->decode_error_flags || (frame->flags & AV_FRAME_FLAG_CORRUPT);
        pthread_mutex_unlock(&standin_mutex);
        p->waiting[p->waiting_count++] = picture;
    }
    frames->count = 0;
}

/* Shows all there is and forgets what libavcodec knows, but for parameter sets. */
static void drain(struct parser *p)
{
    struct frames frames = {.count = 0};
    decode(p, p->decoder, NULL, 0, &frames);
    avcodec_flush_buffers(p->decoder);
    take_frames(p, &frames);
    show(p, 0);
    for (int i = 0; i < SURFACES_MAX; i++)
        slot_free(p, i);
}

/* ---- formats -------------------------------------------------------------------------------- */

static int round_up(int value, int to)
{
    return (value + to - 1) / to * to;
}

/* What the parser says for the DPB and a picture in work. */
static int surfaces_min(cudaVideoCodec codec, const AVCodecContext *ctx)
{
    switch (codec) {
    case cudaVideoCodec_H264:
        return (ctx->refs > ctx->has_b_frames ? ctx->refs : ctx->has_b_frames) + 2;
    case cudaVideoCodec_HEVC:
        return ctx->has_b_frames + 7;
    case cudaVideoCodec_VP9:
    case cudaVideoCodec_AV1:
        return 10;
    default:
        return 6;
    }
}

static CUVIDEOFORMAT format_of(const struct parser *p, const AVCodecContext *ctx,
                               const AVFrame *frame)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);
    const int coded =
        is_packetized(p->params.CodecType) && p->params.CodecType != cudaVideoCodec_VP8 ? 8 : 16;
    const bool is_hevc = p->params.CodecType == cudaVideoCodec_HEVC;
    AVRational sar = frame->sample_aspect_ratio, aspect;
    if (sar.num <= 0 || sar.den <= 0)
        sar = (AVRational){1, 1};
    CUVIDEOFORMAT f = {
        .codec = p->params.CodecType,
        .progressive_sequence =
            !frame_interlaced(frame) && (!p->splitter || p->splitter->field_order <= 1),
        .bit_depth_luma_minus8 = (unsigned char)(desc->comp[0].depth - 8),
        .bit_depth_chroma_minus8 = (unsigned char)(desc->comp[0].depth - 8),
        .min_num_decode_surfaces = (unsigned char)surfaces_min(p->params.CodecType, ctx),
        .coded_width = (unsigned)(is_hevc ? frame->width : round_up(frame->width, coded)),
        .coded_height = (unsigned)(is_hevc ? frame->height : round_up(frame->height, coded)),
        .chroma_format = desc->nb_components < 3    ? cudaVideoChromaFormat_Monochrome
                         : desc->log2_chroma_h == 1 ? cudaVideoChromaFormat_420
                         : desc->log2_chroma_w == 1 ? cudaVideoChromaFormat_422
                                                    : cudaVideoChromaFormat_444,
    };
    if (ctx->framerate.num > 0 && ctx->framerate.den > 0) {
        f.frame_rate.numerator = (unsigned)ctx->framerate.num;
        f.frame_rate.denominator = (unsigned)ctx->framerate.den;
    }
    f.display_area.left = (int)frame->crop_left;
    f.display_area.top = (int)frame->crop_top;
    f.display_area.right = frame->width - (int)frame->crop_right;
    f.display_area.bottom = frame->height - (int)frame->crop_bottom;
    av_reduce(&aspect.num, &aspect.den,
              (int64_t)(f.display_area.right - f.display_area.left) * sar.num,
              (int64_t)(f.display_area.bottom - f.display_area.top) * sar.den, 1 << 16);
    f.display_aspect_ratio.x = aspect.num;
    f.display_aspect_ratio.y = aspect.den;
    f.video_signal_description.video_format = 5;
    f.video_signal_description.video_full_range_flag = ctx->color_range == AVCOL_RANGE_JPEG;
    f.video_signal_description.color_primaries = (unsigned char)ctx->color_primaries;
    f.video_signal_description.transfer_characteristics = (unsigned char)ctx->color_trc;
    f.video_signal_description.matrix_coefficients = (unsigned char)ctx->colorspace;
    return f;
}

/* The format of a picture that can be decoded by itself. */
static bool probe(struct parser *p, const struct unit *unit, CUVIDEOFORMAT *ret)
{
    AVCodecContext *ctx = decoder_open(p->codec);
    struct frames frames = {.count = 0};
    if (!ctx)
        return false;
    decode(p, ctx, unit, 0, &frames);
    decode(p, ctx, NULL, 0, &frames);
    const bool found = frames.count > 0;
    if (found)
        *ret = format_of(p, ctx, frames.items[0]);
    for (int i = 0; i < frames.count; i++)
        av_frame_free(&frames.items[i]);
    avcodec_free_context(&ctx);
    return found;
}

static void tell_format(struct parser *p, const CUVIDEOFORMAT *format)
{
    p->format = *format;
    CUVIDEOFORMATEX told = {.format = *format};
    if (format->codec == cudaVideoCodec_AV1) {
        told.format.seqhdr_data_length = sizeof(told.av1);
        told.av1.max_width = format->coded_width;
        told.av1.max_height = format->coded_height;
    }
    cuvid_in_sequence = true;
    const int count = p->params.pfnSequenceCallback
                          ? p->params.pfnSequenceCallback(p->params.pUserData, &told.format)
                          : 0;
    cuvid_in_sequence = false;
    p->failed = p->failed || count <= 0;
    if (count > SURFACES_MAX || (count > 1 && count < format->min_num_decode_surfaces))
        standin_violation("the sequence callback gives %d surfaces of %d at least", count,
                          format->min_num_decode_surfaces);
    if (count > 1)
        p->surfaces_count = count < SURFACES_MAX ? count : SURFACES_MAX;
    p->next_index = 0;
}

static bool same_format(const CUVIDEOFORMAT *a, const CUVIDEOFORMAT *b)
{
    return a->coded_width == b->coded_width && a->coded_height == b->coded_height &&
           a->bit_depth_luma_minus8 == b->bit_depth_luma_minus8 &&
           a->chroma_format == b->chroma_format &&
           a->min_num_decode_surfaces == b->min_num_decode_surfaces &&
           memcmp(&a->display_area, &b->display_area, sizeof(a->display_area)) == 0;
}

/* Of codecs whose sequence headers the splitter reads: whether this picture begins another format.
 * False with p->format unset: there is no header yet. */
static void look_for_format(struct parser *p, const struct unit *unit)
{
    const AVCodecParserContext *s = p->splitter;
    CUVIDEOFORMAT format;
    const bool may_begin = p->format.coded_width == 0 ||
                           (s && (s->key_frame == 1 || s->pict_type == AV_PICTURE_TYPE_I));
    /* A header that only repeats the format is found out by decoding the picture alone. */
    if (!may_begin || !probe(p, unit, &format) || same_format(&format, &p->format))
        return;
    /* As seen on an H200: pictures of before are shown first where the size changes, and after it
     * was told where only the depth does. */
    const bool same_size = format.coded_width == p->format.coded_width &&
                           format.coded_height == p->format.coded_height;
    if (p->format.coded_width > 0 && !same_size)
        drain(p);
    tell_format(p, &format);
    if (same_size)
        drain(p);
    p->decoder->has_b_frames = 0; /* libavcodec lets it grow only */
}

/* ---- pictures ------------------------------------------------------------------------------- */

static bool is_second_field(struct parser *p)
{
    const int structure = p->splitter ? p->splitter->picture_structure : 0;
    const bool is_field = structure == AV_PICTURE_STRUCTURE_TOP_FIELD ||
                          structure == AV_PICTURE_STRUCTURE_BOTTOM_FIELD;
    const bool second = is_field && p->first_field != 0 && p->first_field != structure &&
                        p->current && !p->current->frame;
    p->first_field = is_field && !second ? structure : 0;
    return second;
}

static void describe(struct parser *p, const struct unit *unit, bool second)
{
    static const unsigned offset = 0;
    const AVCodecParserContext *s = p->splitter;
    CUVIDPICPARAMS params = {
        .PicWidthInMbs = ((int)p->format.coded_width + 15) / 16,
        .FrameHeightInMbs = ((int)p->format.coded_height + 15) / 16,
        .field_pic_flag = second || p->first_field != 0,
        .bottom_field_flag = s && s->picture_structure == AV_PICTURE_STRUCTURE_BOTTOM_FIELD,
        .second_field = second,
        .nBitstreamDataLen = (unsigned)unit->size,
        .pBitstreamData = unit->data,
        .nNumSlices = 1,
        .pSliceDataOffsets = &offset,
        .intra_pic_flag = s && s->pict_type == AV_PICTURE_TYPE_I,
    };
    picture_describe(p->current, &params);
    if (!p->failed && p->params.pfnDecodePicture)
        p->failed = p->params.pfnDecodePicture(p->params.pUserData, &params) == 0;
}

/* One index more: of a picture that is shown now, else that only libavcodec refers to, else that it
 * has dropped, as it has not given it though there were surfaces enough for all it holds back. */
static void slots_squeeze(struct parser *p)
{
    if (p->waiting_count > 0) {
        show_first(p);
        slots_sweep(p);
        return;
    }
    int oldest = 0;
    for (int i = 1; i < p->surfaces_count; i++) {
        const struct picture *picture = p->slots[i], *other = p->slots[oldest];
        if (picture->shown == other->shown ? picture->order < other->order : picture->shown)
            oldest = i;
    }
    slot_free(p, oldest);
}

static void picture_place(struct parser *p, struct picture *picture)
{
    picture->order = p->decoded++;
    slots_sweep(p);
    int index;
    while ((index = slot_find(p)) < 0)
        slots_squeeze(p);
    picture->index = index;
    p->slots[index] = picture;
    p->current = picture;
}

static void unit_decode(struct parser *p, const struct unit *unit)
{
    struct frames frames = {.count = 0};
    const bool packetized = is_packetized(p->params.CodecType);
    if (!packetized)
        look_for_format(p, unit);
    if (p->failed || (!packetized && p->format.coded_width == 0))
        return;
    const bool second = is_second_field(p);
    struct picture *picture = second ? p->current : picture_new();
    if (!picture)
        return;
    decode(p, p->decoder, unit, picture->number, &frames);
    if (packetized && frames.count > 0) {
        const CUVIDEOFORMAT format = format_of(p, p->decoder, frames.items[0]);
        if (!same_format(&format, &p->format)) {
            show(p, 0);
            tell_format(p, &format);
        }
    }
    picture->has_timestamp = unit->timestamp != AV_NOPTS_VALUE;
    picture->timestamp = unit->timestamp;
    if (!second && (p->format.coded_width == 0 || p->failed)) {
        picture_unref(&picture);
    } else {
        if (!second)
            picture_place(p, picture);
        describe(p, unit, second);
        take_frames(p, &frames);
        show(p, (int)p->params.ulMaxDisplayDelay);
        /* Nothing comes later of a picture that is not shown now. */
        if (packetized && !picture->frame)
            slot_free(p, picture->index);
    }
    for (int i = 0; i < frames.count; i++)
        av_frame_free(&frames.items[i]);
}

/* The container's headers go before the first picture. */
static void unit_take(struct parser *p, const struct unit *given)
{
    struct unit unit = *given;
    uint8_t *joined = NULL;
    if (p->first && p->format.coded_width == 0 &&
        (joined = malloc(p->first_size + (size_t)unit.size))) {
        memcpy(joined, p->first, p->first_size);
        memcpy(joined + p->first_size, unit.data, (size_t)unit.size);
        unit.data = joined;
        unit.size += (int)p->first_size;
    }
    if (unit.size > 0)
        unit_decode(p, &unit);
    free(joined);
}

/* ---- splitting ------------------------------------------------------------------------------ */

static void stamps_drop(struct parser *p, int count)
{
    p->stamps_count -= count;
    memmove(p->stamps, p->stamps + count, (size_t)p->stamps_count * sizeof(p->stamps[0]));
}

static void stamps_add(struct parser *p, int64_t timestamp)
{
    if (p->stamps_count == STAMPS_MAX)
        stamps_drop(p, 1);
    p->stamps[p->stamps_count++] = (struct stamp){p->split_bytes, timestamp};
}

/* The last that came before the picture did. */
static int64_t stamps_take(struct parser *p, int64_t start)
{
    int count = 0;
    while (count < p->stamps_count && p->stamps[count].offset <= start + START_CODE)
        count++;
    const int64_t timestamp = count > 0 ? p->stamps[count - 1].timestamp : AV_NOPTS_VALUE;
    stamps_drop(p, count);
    return timestamp;
}

static void split(struct parser *p, const uint8_t *data, int size, int64_t timestamp, bool whole)
{
    p->splitter->flags &= ~PARSER_FLAG_COMPLETE_FRAMES;
    p->splitter->flags |= whole ? PARSER_FLAG_COMPLETE_FRAMES : 0;
    if (timestamp != AV_NOPTS_VALUE)
        stamps_add(p, timestamp);
    p->split_bytes += size;
    do {
        struct unit unit = {0};
        uint8_t *out = NULL;
        const int used = av_parser_parse2(p->splitter, p->header, &out, &unit.size, data, size,
                                          AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
        unit.data = out;
        if (data) /* NULL at the end */
            data += used;
        size -= used;
        if (unit.size > 0) {
            unit.timestamp = stamps_take(p, p->splitter->frame_offset);
            unit_take(p, &unit);
        }
    } while (size > 0 && !p->failed);
    p->partial = !whole;
}

/* What the splitter holds is a whole picture after all. */
static void split_end(struct parser *p)
{
    if (!p->splitter || !p->partial)
        return;
    split(p, NULL, 0, AV_NOPTS_VALUE, false);
    p->partial = false;
    /* It cannot go on behind an end. */
    av_parser_close(p->splitter);
    p->splitter = av_parser_init((int)p->codec->id);
    p->split_bytes = 0;
    p->stamps_count = 0;
}

static void take_packet(struct parser *p, const CUVIDSOURCEDATAPACKET *packet)
{
    const int64_t timestamp =
        (packet->flags & CUVID_PKT_TIMESTAMP) ? packet->timestamp : AV_NOPTS_VALUE;
    const bool ends = packet->flags & CUVID_PKT_ENDOFPICTURE;
    if (packet->flags & CUVID_PKT_DISCONTINUITY) {
        split_end(p);
        drain(p);
    }
    if (packet->payload_size > INT_MAX / 2) {
        standin_violation("cuvidParseVideoData: a packet of %lu bytes", packet->payload_size);
    } else if (packet->payload_size > 0 && !p->splitter) {
        const struct unit unit = {packet->payload, (int)packet->payload_size, timestamp};
        unit_take(p, &unit);
    } else if (packet->payload_size > 0) {
        split(p, packet->payload, (int)packet->payload_size, timestamp, ends && !p->partial);
        if (ends)
            split_end(p);
    }
    if (packet->flags & CUVID_PKT_ENDOFSTREAM) {
        split_end(p);
        drain(p);
        if ((packet->flags & CUVID_PKT_NOTIFY_EOS) && p->params.pfnDisplayPicture)
            p->params.pfnDisplayPicture(p->params.pUserData, NULL);
    }
}

CUresult cuvidParseVideoData(CUvideoparser handle, CUVIDSOURCEDATAPACKET *packet)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    struct parser *p = handle;
    if (!standin_object_check(__func__, p, KIND_PARSER))
        return STANDIN_INVALID_HANDLE;
    pthread_mutex_lock(&standin_mutex);
    const bool was_busy = p->busy;
    p->busy = true;
    pthread_mutex_unlock(&standin_mutex);
    if (was_busy) {
        standin_violation("%s: within another call of it", __func__);
        return STANDIN_INVALID_VALUE;
    }
    p->failed = false;
    take_packet(p, packet);
    pthread_mutex_lock(&standin_mutex);
    p->busy = false;
    pthread_mutex_unlock(&standin_mutex);
    return CUDA_SUCCESS;
}

/* ---- making and ending ---------------------------------------------------------------------- */

static void parser_release(struct standin_object *object)
{
    struct parser *p = (struct parser *)object;
    for (int i = 0; i < SURFACES_MAX; i++)
        picture_unref_locked(&p->slots[i]);
    if (p->splitter)
        av_parser_close(p->splitter);
    avcodec_free_context(&p->header);
    avcodec_free_context(&p->decoder);
    av_packet_free(&p->packet);
    free(p->first);
    free(p);
}

static bool take_first(struct parser *p, const CUVIDEOFORMATEX *ext)
{
    const size_t size = ext ? ext->format.seqhdr_data_length : 0;
    if (size == 0 || size > sizeof(ext->raw_seqhdr_data))
        return true;
    p->first = malloc(size);
    p->first_size = size;
    if (p->first)
        memcpy(p->first, ext->raw_seqhdr_data, size);
    return p->first != NULL;
}

CUresult cuvidCreateVideoParser(CUvideoparser *ret, CUVIDPARSERPARAMS *params)
{
    STANDIN_BEGIN(NEEDS_CONTEXT);
    const AVCodec *codec = avcodec_find_decoder(cuvid_av_codec(params->CodecType));
    if (!codec)
        return STANDIN_NOT_SUPPORTED;
    if (params->ulMaxNumDecodeSurfaces < 1 || params->ulMaxNumDecodeSurfaces > SURFACES_MAX) {
        standin_violation("%s: no decode surfaces, or more than 32", __func__);
        return STANDIN_INVALID_VALUE;
    }
    struct parser *p = calloc(1, sizeof(*p));
    if (!p)
        return STANDIN_OUT_OF_MEMORY;
    p->params = *params;
    p->codec = codec;
    p->surfaces_count = (int)params->ulMaxNumDecodeSurfaces;
    p->header = avcodec_alloc_context3(codec);
    if (p->header)
        p->header->log_level_offset = LOG_NEVER;
    p->decoder = decoder_open(codec);
    p->packet = av_packet_alloc();
    if (!is_packetized(params->CodecType))
        p->splitter = av_parser_init((int)codec->id);
    if (!p->header || !p->decoder || !p->packet || !take_first(p, params->pExtVideoInfo)) {
        parser_release(&p->object);
        return STANDIN_OUT_OF_MEMORY;
    }
    standin_object_add(&p->object, KIND_PARSER, parser_release);
    *ret = p;
    return CUDA_SUCCESS;
}

CUresult cuvidDestroyVideoParser(CUvideoparser handle)
{
    STANDIN_BEGIN_FREE(NEEDS_CONTEXT);
    struct parser *p = handle;
    if (!standin_object_check(__func__, p, KIND_PARSER))
        return STANDIN_INVALID_HANDLE;
    standin_object_drop(&p->object);
    return result;
}
