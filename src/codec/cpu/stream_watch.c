/* Sources: H.264 E.2.1, H.265 C.5.2.2 and E.3.1, ISO/IEC 13818-2 6.2.2.4 (sequence display
 * extension). */
#include "codec/cpu/stream_watch.h"

#include <stdlib.h>
#include <string.h>

#include <libavutil/pixdesc.h>

#include "media/avcc.h"
#include "media/h26x.h"
#include "media/hvcc.h"

/* The code: the three code points from the low byte on, then the range. */
#define CODE_TRANSFER 8
#define CODE_MATRIX 16
#define CODE_RANGE 24
#define CODE_H264 (1u << 30) /* range and pixel format are to be corrected too */
#define CODE_SAID (1u << 31)

struct stream_watch {
    struct h264_context *h264; /* owned; of H.264 */
    struct hevc_context *hevc; /* owned; of HEVC; neither: MPEG-1 or MPEG-2 */
    unsigned length_size;      /* media/nal.h */
    uint8_t transfer_headers;  /* preferred by the codec headers, 0: none */
    uint8_t transfer;          /* and at this place */
    uint32_t code;             /* of the last picture; 0: none yet */
    bool drops_prior;          /* the last one does */
};

static uint32_t encode(const struct color *color)
{
    return CODE_SAID | color->primaries | (uint32_t)color->transfer << CODE_TRANSFER |
           (uint32_t)color->matrix << CODE_MATRIX | (uint32_t)color->range << CODE_RANGE;
}

/* ---- MPEG-2 --------------------------------------------------------------------------------- */

/* Sequence headers come before any slice. */
static void look_mpeg2(struct stream_watch *w, const uint8_t *data, size_t size)
{
    enum { SLICE_FIRST = 0x01, SLICE_LAST = 0xaf, SEQUENCE = 0xb3, EXTENSION = 0xb5, DISPLAY = 2 };
    const uint8_t *p = data, *end = data + size;
    while ((p = nal_find_start_code(p, end)) < end && end - p > 4) {
        const uint8_t type = p[3];
        if (type >= SLICE_FIRST && type <= SLICE_LAST)
            return;
        p += 4;
        struct color color = {0};
        if (type == SEQUENCE)
            w->code = encode(&color);
        struct bits b;
        bits_init(&b, p, (size_t)(end - p));
        if (type != EXTENSION || bits_read(&b, 4) != DISPLAY)
            continue;
        bits_skip(&b, 3); /* video_format */
        if (bits_flag(&b)) {
            const uint32_t primaries = bits_read(&b, 8), transfer = bits_read(&b, 8);
            h26x_color_points(&color, primaries, transfer, bits_read(&b, 8));
        }
        if (!b.error)
            w->code = encode(&color);
    }
}

/* ---- H.264 and HEVC ------------------------------------------------------------------------- */

/* `preferred`: by SEI messages of this access unit. A point where decoding may start forgets what
 * those before it said. */
static void set_code(struct stream_watch *w, const struct packet *pkt, uint8_t preferred,
                     struct color color)
{
    if (preferred)
        w->transfer = preferred;
    else if (pkt->flags & PACKET_KEY)
        w->transfer = w->transfer_headers;
    if (w->transfer)
        color.transfer = w->transfer;
    w->code = encode(&color) | (w->h264 ? CODE_H264 : 0);
}

static void look_h264(struct stream_watch *w, const struct packet *pkt)
{
    struct h264_access_unit au;
    if (h264_access_unit(w->h264, pkt->data, pkt->size, w->length_size, &au, NULL) == 0 &&
        au.slices > 0)
        set_code(w, pkt, au.transfer, w->h264->sps[au.first.sps_id].color);
}

static void look_hevc(struct stream_watch *w, const struct packet *pkt)
{
    struct hevc_access_unit au;
    w->drops_prior = false;
    if (hevc_access_unit(w->hevc, pkt->data, pkt->size, w->length_size, &au, NULL) == 0 &&
        au.slices > 0) {
        set_code(w, pkt, au.transfer, w->hevc->sps[au.first.sps_id].color);
        w->drops_prior = au.begins && (au.cra || au.first.no_output_of_prior);
    }
}

/* Broken ones may come again in band. */
static void learn_headers(struct stream_watch *w, const struct buffer *headers)
{
    struct avcc avcc;
    struct hvcc hvcc;
    if (w->h264 && avcc_read(headers->data, headers->size, &avcc, NULL) == 0) {
        w->length_size = avcc.annexb ? NAL_ANNEXB : avcc.length_size;
        avcc_apply(&avcc, w->h264, NULL);
    } else if (w->hevc && hvcc_read(headers->data, headers->size, &hvcc, NULL) == 0) {
        w->length_size = hvcc.annexb ? NAL_ANNEXB : hvcc.length_size;
        hvcc_apply(&hvcc, w->hevc, NULL);
        w->transfer = w->transfer_headers = hvcc_preferred_transfer(&hvcc, w->hevc);
    } else if (!w->h264 && !w->hevc) {
        look_mpeg2(w, headers->data, headers->size);
    }
}

/* ---- all ------------------------------------------------------------------------------------ */

int stream_watch_new(struct stream_watch **ret, const struct track *track)
{
    const bool h264 = strcmp(track->codec, "h264") == 0, hevc = strcmp(track->codec, "hevc") == 0;
    if (!h264 && !hevc && strcmp(track->codec, "mpeg2video") != 0) {
        *ret = NULL;
        return 0;
    }
    struct stream_watch *w = calloc(1, sizeof(*w));
    if (w && h264)
        w->h264 = calloc(1, sizeof(*w->h264));
    if (w && hevc)
        w->hevc = calloc(1, sizeof(*w->hevc));
    if (!w || (h264 && !w->h264) || (hevc && !w->hevc)) {
        stream_watch_free(&w);
        return RGPU_ERROR_MEMORY;
    }
    if (track->extradata)
        learn_headers(w, track->extradata);
    *ret = w;
    return 0;
}

void stream_watch_free(struct stream_watch **w)
{
    if (!*w)
        return;
    free((*w)->h264);
    free((*w)->hevc);
    free(*w);
    *w = NULL;
}

struct stream_facts stream_watch_next(struct stream_watch *w, const struct packet *pkt)
{
    if (pkt->extradata)
        learn_headers(w, pkt->extradata);
    if (w->h264)
        look_h264(w, pkt);
    else if (w->hevc)
        look_hevc(w, pkt);
    else
        look_mpeg2(w, pkt->data, pkt->size);
    return (struct stream_facts){w->code, w->drops_prior};
}

/* H.264's green, blue and red stand where luma and chroma do, so only the name tells. */
static enum AVPixelFormat named(enum AVPixelFormat format, bool rgb)
{
    static const struct {
        enum AVPixelFormat rgb, yuv;
    } twins[] = {
        {AV_PIX_FMT_GBRP, AV_PIX_FMT_YUV444P},     {AV_PIX_FMT_GBRP9, AV_PIX_FMT_YUV444P9},
        {AV_PIX_FMT_GBRP10, AV_PIX_FMT_YUV444P10}, {AV_PIX_FMT_GBRP12, AV_PIX_FMT_YUV444P12},
        {AV_PIX_FMT_GBRP14, AV_PIX_FMT_YUV444P14},
    };
    switch ((int)format) { /* the range tells what these say in their names */
    case AV_PIX_FMT_YUVJ420P:
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        format = AV_PIX_FMT_YUV444P;
        break;
    default:
        break;
    }
    for (size_t i = 0; i < sizeof(twins) / sizeof(twins[0]); i++)
        if (format == twins[i].rgb || format == twins[i].yuv)
            return rgb ? twins[i].rgb : twins[i].yuv;
    return format;
}

void stream_watch_color(uint32_t color, AVFrame *frame)
{
    if (!(color & CODE_SAID))
        return;
    const int primaries = (int)(color & 255), transfer = (int)(color >> CODE_TRANSFER & 255),
              matrix = (int)(color >> CODE_MATRIX & 255);
    /* libavutil has names for those that are in use; the others are as good as unsaid. */
    frame->color_primaries = primaries && av_color_primaries_name(primaries)
                                 ? (enum AVColorPrimaries)primaries
                                 : AVCOL_PRI_UNSPECIFIED;
    frame->color_trc = transfer && av_color_transfer_name(transfer)
                           ? (enum AVColorTransferCharacteristic)transfer
                           : AVCOL_TRC_UNSPECIFIED;
    frame->colorspace = matrix == MATRIX_RGB                    ? AVCOL_SPC_RGB
                        : matrix && av_color_space_name(matrix) ? (enum AVColorSpace)matrix
                                                                : AVCOL_SPC_UNSPECIFIED;
    if (color & CODE_H264) {
        frame->color_range = (enum AVColorRange)(color >> CODE_RANGE & 3);
        frame->format = named(frame->format, matrix == MATRIX_RGB);
    }
}
