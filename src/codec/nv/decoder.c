/* The parser's callbacks run inside cuvidParseVideoData, on the caller's thread. What fails in them
 * is kept and comes out of send.
 *
 * Pictures that the parser shows wait in `shown` for receive to map them. While any wait, send
 * takes no packet, so that there are never more than one packet brings.
 *
 * What is of the parser: open_parser, parse and the three callbacks. Another one would fill
 * CUVIDPICPARAMS and call the same nv_surfaces. */
#include "codec/nv/decoder.h"

#include <stdlib.h>
#include <string.h>

#include "codec/nv/decoder_caps.h"
#include "codec/nv/decoder_stream.h"
#include "codec/nv/decoder_surfaces.h"
#include "codec/nv/decoder_table.h"

#define PICTURES_EXTRA 4 /* beyond what the stream refers to: submitted ahead, and being shown */
#define DISPLAY_DELAY 3  /* pictures submitted before the first of them is waited for */
#define SHOWN_MAX (2 * NV_PICTURES_MAX)
#define ERROR_THRESHOLD_ALL 100 /* decode damaged pictures too, as libavcodec does */

/* A picture that is to be given. */
struct shown {
    CUVIDPARSERDISPINFO info;
    struct nv_surfaces *surfaces; /* counted reference */
    int number;                   /* of the picture there, which is kept */
    int64_t pts, duration;
    struct nv_picture picture; /* owns its sides */
    bool corrupt;
};

struct nv_decoder {
    struct gpu_device *device; /* owned reference */
    struct nv_stream stream;
    struct nv_facts facts; /* of the packet that is to be sent again */
    bool has_facts;
    CUvideoparser parser;          /* owned; NULL: made with the next packet */
    struct nv_surfaces *surfaces;  /* counted reference; NULL: no picture was decoded yet */
    bool refused[NV_PICTURES_MAX]; /* pictures that the driver did not decode */
    /* Where only the depth changes, the parser says so before it shows what it has from before:
     * that is in these. Counted reference; NULL: all is in `surfaces`. */
    struct nv_surfaces *surfaces_before;
    bool is_before[NV_PICTURES_MAX];
    struct shown shown[SHOWN_MAX]; /* a ring */
    int shown_first, shown_count;
    struct nv_table table;
    bool low_latency, by_order;
    bool fed; /* something is, or may be, inside */
    bool draining;
    bool any_pairs;                /* a packet held several pictures */
    bool muted;                    /* what the parser shows is not wanted */
    bool shows_recovered;          /* H.264: a recovery point has been shown */
    struct rational sample_aspect; /* the container's; num 0: the stream's own counts */
    struct error failure;          /* of a callback; code 0: none */
    struct decoder_stats stats;
};

static const struct gpu_driver *driver_of(const struct nv_decoder *dec)
{
    return gpu_device_driver(dec->device);
}

/* ---- pictures that wait ---------------------------------------------------------------------- */

static struct shown *shown_at(struct nv_decoder *dec, int i)
{
    return &dec->shown[(dec->shown_first + i) % SHOWN_MAX];
}

/* The first is done with. `kept`: its picture was not mapped. */
static void shown_drop(struct nv_decoder *dec, bool kept)
{
    struct shown *item = shown_at(dec, 0);
    if (kept)
        nv_surfaces_forget(item->surfaces, item->number);
    nv_surfaces_unref(&item->surfaces);
    nv_sides_done(&item->picture.sides);
    dec->shown_first = (dec->shown_first + 1) % SHOWN_MAX;
    dec->shown_count--;
}

/* ---- the parser's callbacks ------------------------------------------------------------------ */

/* A callback's way out: the parser takes 0 for failure. */
static int keep_failure(struct nv_decoder *dec, int code, const struct error *err)
{
    if (dec->failure.code == 0) {
        dec->failure = *err;
        dec->failure.code = code;
    }
    return 0;
}

static struct nv_surfaces_params wanted_surfaces(const CUVIDEOFORMAT *format)
{
    const int min = format->min_num_decode_surfaces;
    int count = min + PICTURES_EXTRA;
    if (count > NV_PICTURES_MAX)
        count = min > NV_PICTURES_MAX ? min : NV_PICTURES_MAX;
    struct nv_surfaces_params p = {
        .codec = format->codec,
        .depth = format->bit_depth_luma_minus8 + 8,
        .coded_width = (int)format->coded_width,
        .coded_height = (int)format->coded_height,
        .left = format->display_area.left,
        .top = format->display_area.top,
        .width = format->display_area.right - format->display_area.left,
        .height = format->display_area.bottom - format->display_area.top,
        .pictures_count = count,
    };
    if (format->codec == cudaVideoCodec_AV1 && format->seqhdr_data_length > 0) {
        const CUVIDEOFORMATEX *more = (const CUVIDEOFORMATEX *)(const void *)format;
        p.max_width = (int)more->av1.max_width;
        p.max_height = (int)more->av1.max_height;
    }
    return p;
}

static int check_format(struct nv_decoder *dec, const CUVIDEOFORMAT *format, struct error *err)
{
    static const char *const samplings[] = {"grey", "4:2:0", "4:2:2", "4:4:4"}; /* in their order */
    const struct nv_shape shape = {format->codec, format->bit_depth_luma_minus8 + 8,
                                   (int)format->coded_width, (int)format->coded_height};
    if (format->chroma_format != cudaVideoChromaFormat_420 ||
        format->bit_depth_luma_minus8 != format->bit_depth_chroma_minus8 ||
        (shape.depth != 8 && shape.depth != 10))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "the stream changes to %s of %d bits, which NVDEC is not used for",
                         samplings[format->chroma_format & 3], shape.depth);
    if (format->min_num_decode_surfaces > NV_PICTURES_MAX ||
        format->display_area.right <= format->display_area.left ||
        format->display_area.bottom <= format->display_area.top)
        return error_set(
            err, RGPU_ERROR_UNSUPPORTED, "the driver asks for a decoder of %d pictures of %dx%d",
            format->min_num_decode_surfaces, format->display_area.right - format->display_area.left,
            format->display_area.bottom - format->display_area.top);
    return nv_caps_check(dec->device, &shape, err);
}

/* Gives the number of pictures that the parser may use. */
static int CUDAAPI on_sequence(void *opaque, CUVIDEOFORMAT *format)
{
    struct nv_decoder *dec = opaque;
    struct error err = {0};
    int rc = dec->failure.code != 0 ? 0 : check_format(dec, format, &err);
    if (rc != 0)
        keep_failure(dec, rc, &err);
    /* The parser goes on, as what it has from before is still to be shown. */
    if (dec->failure.code != 0)
        return format->min_num_decode_surfaces;
    const struct nv_surfaces_params wanted = wanted_surfaces(format);
    CUresult result = CUDA_SUCCESS;
    const bool reshaped = dec->surfaces && dec->shown_count == 0 &&
                          nv_surfaces_reshape(dec->surfaces, &wanted, &result);
    if (result != CUDA_SUCCESS)
        return keep_failure(dec, gpu_error(&err, result, "changing a decoder's size"), &err);
    if (!reshaped) {
        struct nv_surfaces *next = NULL;
        rc = nv_surfaces_new(&next, dec->device, &wanted, &err);
        if (rc != 0)
            return keep_failure(dec, rc, &err);
        nv_surfaces_unref(&dec->surfaces_before);
        dec->surfaces_before = dec->surfaces;
        dec->surfaces = next;
        memset(dec->is_before, dec->surfaces_before != NULL, sizeof(dec->is_before));
    }
    return nv_surfaces_shape(dec->surfaces)->pictures_count;
}

static int CUDAAPI on_decode(void *opaque, CUVIDPICPARAMS *picture)
{
    struct nv_decoder *dec = opaque;
    struct error err = {0};
    bool refused = false;
    if (dec->muted)
        return 1;
    if (dec->failure.code != 0) {
        if (picture->CurrPicIdx >= 0 && picture->CurrPicIdx < NV_PICTURES_MAX)
            dec->refused[picture->CurrPicIdx] = true;
        return 1;
    }
    int rc = dec->surfaces ? nv_surfaces_decode(dec->surfaces, picture, &refused, &err)
                           : error_set(&err, RGPU_ERROR_DEVICE,
                                       "the driver's parser decodes before it says what");
    if (rc != 0)
        return keep_failure(dec, rc, &err);
    const bool second_field = picture->field_pic_flag && picture->second_field;
    bool *is_refused = &dec->refused[picture->CurrPicIdx];
    *is_refused = refused || (second_field && *is_refused);
    dec->is_before[picture->CurrPicIdx] = false;
    const CUVIDAV1PICPARAMS *av1 = &picture->CodecSpecific.av1;
    if (dec->stream.codec == cudaVideoCodec_AV1 && av1->apply_grain && av1->decodePicIdx >= 0 &&
        av1->decodePicIdx < NV_PICTURES_MAX)
        dec->is_before[av1->decodePicIdx] = false;
    dec->stats.failed_packets += refused;
    return 1;
}

/* Whether a picture is whole, or is shown all the same; `ret_corrupt` where it is not whole. What
 * follows a random-access point of H.264 counts as damaged until the point itself has been shown,
 * which at the end of a short piece is never: those are given too. */
static bool is_wanted(struct nv_decoder *dec, struct nv_entry *entry, bool *ret_corrupt)
{
    if (dec->stream.codec == cudaVideoCodec_H264) {
        dec->shows_recovered = dec->shows_recovered || entry->picture.recovered;
        if (!dec->shows_recovered && !dec->draining)
            return false;
        *ret_corrupt = !dec->shows_recovered;
    }
    return !entry->discard;
}

static int CUDAAPI on_display(void *opaque, CUVIDPARSERDISPINFO *info)
{
    struct nv_decoder *dec = opaque;
    struct error err = {0};
    if (dec->muted || !info || !dec->surfaces)
        return 1;
    struct nv_entry *entry = nv_table_take(&dec->table, info->timestamp);
    struct nv_entry unknown = {.pts = PTS_NONE, .picture = {.recovered = true}};
    bool corrupt = false;
    if (!entry)
        entry = &unknown;
    if (info->picture_index < 0 || info->picture_index >= NV_PICTURES_MAX ||
        dec->refused[info->picture_index] || !is_wanted(dec, entry, &corrupt))
        return 1;
    if (dec->shown_count == SHOWN_MAX) {
        error_set(&err, RGPU_ERROR_LIMIT, "the driver shows more than %d pictures at a time",
                  SHOWN_MAX);
        return keep_failure(dec, RGPU_ERROR_LIMIT, &err);
    }
    const bool is_before = dec->is_before[info->picture_index];
    if (!is_before)
        nv_surfaces_unref(&dec->surfaces_before);
    struct nv_surfaces *surfaces = is_before ? dec->surfaces_before : dec->surfaces;
    const int number = surfaces ? nv_surfaces_keep(surfaces, info->picture_index) : -1;
    if (number < 0)
        return 1;
    *shown_at(dec, dec->shown_count) = (struct shown){
        .info = *info,
        .surfaces = nv_surfaces_ref(surfaces),
        .number = number,
        .pts = entry->pts,
        .duration = entry->duration,
        .picture = entry->picture,
        .corrupt = corrupt,
    };
    entry->picture.sides.rpu = NULL;
    dec->shown_count++;
    return 1;
}

/* ---- the parser ------------------------------------------------------------------------------ */

static int open_parser(struct nv_decoder *dec, struct error *err)
{
    CUVIDPARSERPARAMS params = {
        .CodecType = dec->stream.codec,
        .ulMaxNumDecodeSurfaces = 1, /* the sequence callback says how many */
        .ulErrorThreshold = ERROR_THRESHOLD_ALL,
        .ulMaxDisplayDelay = dec->low_latency ? 0 : DISPLAY_DELAY,
        .pUserData = dec,
        .pfnSequenceCallback = on_sequence,
        .pfnDecodePicture = on_decode,
        .pfnDisplayPicture = on_display,
    };
    const CUresult result = driver_of(dec)->cuvid->cuvidCreateVideoParser(&dec->parser, &params);
    return result == CUDA_SUCCESS ? 0 : gpu_error(err, result, "making a parser");
}

/* Within the device's context. Nothing of what is inside comes out any more. */
static void close_parser(struct nv_decoder *dec)
{
    if (!dec->parser)
        return;
    dec->muted = true;
    driver_of(dec)->cuvid->cuvidDestroyVideoParser(dec->parser);
    dec->muted = false;
    dec->parser = NULL;
}

/* Gives bytes, or the end of the stream, to the parser. *ret_refused: it could do nothing with
 * them. */
static int parse(struct nv_decoder *dec, CUVIDSOURCEDATAPACKET *data, bool *ret_refused,
                 struct error *err)
{
    int rc = gpu_enter(dec->device, err);
    if (rc != 0)
        return rc;
    if (!dec->parser)
        rc = open_parser(dec, err);
    CUresult result = CUDA_SUCCESS;
    if (rc == 0)
        result = driver_of(dec)->cuvid->cuvidParseVideoData(dec->parser, data);
    gpu_leave(dec->device);
    if (rc == 0 && dec->failure.code != 0)
        rc = error_set(err, dec->failure.code, "%s", dec->failure.text);
    *ret_refused = nv_is_refusal(result);
    if (rc == 0 && result != CUDA_SUCCESS && !*ret_refused)
        rc = gpu_error(err, result, "parsing a packet");
    return rc;
}

static int parse_end(struct nv_decoder *dec, struct error *err)
{
    CUVIDSOURCEDATAPACKET data = {.flags = CUVID_PKT_ENDOFSTREAM};
    const bool had_failed = dec->failure.code != 0;
    bool refused;
    dec->fed = false;
    const int rc = dec->parser ? parse(dec, &data, &refused, err) : 0;
    dec->stats.failed_packets += rc == RGPU_ERROR_UNSUPPORTED && !had_failed; /* the last one */
    return rc;
}

/* ---- open and close -------------------------------------------------------------------------- */

static void decoder_close(void *handle)
{
    struct nv_decoder *dec = handle;
    if (!dec)
        return;
    if (dec->device && gpu_enter(dec->device, NULL) == 0) {
        close_parser(dec);
        gpu_leave(dec->device);
    }
    while (dec->shown_count > 0)
        shown_drop(dec, true);
    nv_surfaces_unref(&dec->surfaces_before);
    nv_surfaces_unref(&dec->surfaces);
    nv_facts_done(&dec->facts);
    nv_table_done(&dec->table);
    nv_stream_done(&dec->stream);
    gpu_close(&dec->device);
    free(dec);
}

static int check_device(struct nv_decoder *dec, const struct decoder_params *params,
                        const struct nv_shape *shape, struct error *err)
{
    int rc = gpu_open(&dec->device, params->device, err);
    if (rc != 0)
        return rc;
    if (gpu_driver_video(driver_of(dec), err) != 0)
        return error_mark(err, RGPU_ERROR_UNSUPPORTED);
    rc = gpu_enter(dec->device, err);
    if (rc != 0)
        return rc;
    rc = nv_caps_check(dec->device, shape, err);
    gpu_leave(dec->device);
    return rc;
}

static int decoder_open(void **ret, const struct decoder_params *params, struct error *err)
{
    struct nv_decoder *dec = calloc(1, sizeof(*dec));
    if (!dec)
        return error_memory(err, "a decoder");
    nv_table_init(&dec->table, params->track->time_base);
    dec->low_latency = params->low_latency;
    dec->by_order = params->timestamps_by_order;
    if (params->track->aspect_is_container)
        dec->sample_aspect = params->track->sample_aspect;
    struct nv_shape shape;
    int rc = nv_stream_init(&dec->stream, params->track, err);
    if (rc == 0)
        rc = nv_stream_shape(&dec->stream, params->track, &shape, err);
    if (rc == 0)
        rc = check_device(dec, params, &shape, err);
    if (rc != 0) {
        decoder_close(dec);
        return rc;
    }
    *ret = dec;
    return 0;
}

/* ---- packets in ------------------------------------------------------------------------------ */

static void packet_failed(struct nv_decoder *dec)
{
    dec->stats.failed_packets++;
    if (dec->by_order)
        nv_order_remove_newest(&dec->table);
}

/* Looks at a packet before it is sent. AGAIN: frames of before are to be received first. */
static int look(struct nv_decoder *dec, const struct packet *pkt, struct error *err)
{
    if (!dec->has_facts) {
        const int rc = nv_stream_next(&dec->stream, pkt, &dec->facts, err);
        if (rc != 0)
            return rc;
        dec->has_facts = true;
    }
    if (!dec->facts.drops_prior || !dec->fed)
        return 0;
    const int rc = parse_end(dec, err);
    if (rc != 0)
        return rc;
    return dec->shown_count > 0 ? RGPU_ERROR_AGAIN : 0;
}

/* Whether the parser is told that the packet is a whole picture. Else it knows only with the next
 * one, and it would be that one that is refused. A packet that is told after one that was not gets
 * another's time stamp (seen on an H200): once one holds two fields, none is told any more. */
static bool is_whole(struct nv_decoder *dec)
{
    const cudaVideoCodec codec = dec->stream.codec;
    const bool packetized =
        codec == cudaVideoCodec_VP8 || codec == cudaVideoCodec_VP9 || codec == cudaVideoCodec_AV1;
    const bool single = dec->facts.pictures == 1;
    dec->any_pairs = dec->any_pairs || (!single && !packetized);
    return single && !dec->any_pairs;
}

/* The stream changes to what the device does not decode: brings out what came before, and counts
 * what does not come of it. The packet is another decoder's; `whole`: it is the one that changes,
 * and not the one before, which is lost. */
static int leave(struct nv_decoder *dec, bool whole, struct error *err)
{
    const int rc = parse_end(dec, err);
    nv_table_remove_newest(&dec->table);
    if (dec->by_order)
        nv_order_remove_newest(&dec->table);
    if (whole)
        nv_table_drain(&dec->table);
    else
        dec->stats.failed_packets++;
    return rc;
}

static int feed(struct nv_decoder *dec, const struct packet *pkt, struct error *err)
{
    const uint8_t *bytes;
    size_t size;
    int rc = nv_stream_bytes(&dec->stream, pkt, &bytes, &size, err);
    if (rc != 0)
        return rc;
    const bool whole = is_whole(dec);
    CUVIDSOURCEDATAPACKET data = {
        .flags = CUVID_PKT_TIMESTAMP | (whole ? CUVID_PKT_ENDOFPICTURE : 0),
        .payload = bytes,
        .payload_size = (tcu_ulong)size,
        .timestamp = nv_table_add(&dec->table, pkt, &dec->facts),
    };
    bool refused;
    dec->fed = true;
    rc = parse(dec, &data, &refused, err);
    if (rc == RGPU_ERROR_UNSUPPORTED)
        return leave(dec, whole, err);
    if (rc == 0 && refused) {
        nv_table_remove_newest(&dec->table);
        packet_failed(dec);
    }
    return rc;
}

static int send_drain(struct nv_decoder *dec, struct error *err)
{
    if (dec->draining)
        return 0;
    if (dec->shown_count > 0)
        return RGPU_ERROR_AGAIN;
    dec->draining = true;
    dec->has_facts = false;
    nv_facts_done(&dec->facts);
    return parse_end(dec, err);
}

static int decoder_send(void *handle, const struct packet *pkt, struct error *err)
{
    struct nv_decoder *dec = handle;
    if (dec->failure.code != 0)
        return error_set(err, dec->failure.code, "%s", dec->failure.text);
    if (!pkt)
        return send_drain(dec, err);
    if (dec->draining)
        return error_set(err, RGPU_ERROR_PARAM, "the decoder is drained: reset it before sending");
    if (dec->shown_count > 0)
        return RGPU_ERROR_AGAIN;
    if (pkt->size == 0) {
        /* Containers use it for "the last picture again". */
        dec->stats.packets++;
        return 0;
    }
    int rc = look(dec, pkt, err);
    if (rc != 0)
        return rc;
    dec->stats.packets++;
    dec->has_facts = false;
    if (dec->by_order)
        nv_order_add(&dec->table,
                     pkt->flags & (PACKET_DISCARD | PACKET_SECOND_FIELD) ? PTS_NONE : pkt->dts);
    if (dec->facts.failed)
        packet_failed(dec);
    else if (!dec->facts.skip)
        rc = feed(dec, pkt, err);
    nv_facts_done(&dec->facts);
    return rc;
}

/* ---- frames out ------------------------------------------------------------------------------ */

static int decoder_receive(void *handle, struct frame **ret, struct error *err)
{
    struct nv_decoder *dec = handle;
    if (dec->shown_count == 0 && dec->draining)
        nv_table_drain(&dec->table);
    if (dec->shown_count == 0)
        return dec->draining ? RGPU_ERROR_END : RGPU_ERROR_AGAIN;
    struct shown *item = shown_at(dec, 0);
    int rc = gpu_enter(dec->device, err);
    if (rc != 0)
        return rc;
    struct frame *frame = NULL;
    rc = nv_surfaces_map(item->surfaces, item->number, &item->info, &frame, err);
    gpu_leave(dec->device);
    if (rc != 0)
        return rc;
    if (nv_sides_give(&item->picture.sides, frame) != 0) {
        frame_unref(&frame);
        shown_drop(dec, false);
        return error_memory(err, "a frame's captions");
    }
    frame->pts = dec->by_order ? nv_order_next(&dec->table, item->pts) : item->pts;
    frame->duration = item->duration > 0 ? item->duration : 0;
    frame->flags |= item->picture.flags | (item->corrupt ? FRAME_CORRUPT : 0u);
    frame->sample_aspect = dec->sample_aspect.num > 0 && dec->sample_aspect.den > 0
                               ? dec->sample_aspect
                               : item->picture.sample_aspect;
    frame->color = item->picture.color;
    frame->hdr = item->picture.hdr;
    shown_drop(dec, false);
    dec->stats.frames++;
    if (frame->flags & FRAME_CORRUPT)
        dec->stats.corrupt_frames++;
    *ret = frame;
    return 0;
}

static void decoder_reset(void *handle)
{
    struct nv_decoder *dec = handle;
    if (gpu_enter(dec->device, NULL) == 0) {
        close_parser(dec);
        gpu_leave(dec->device);
    }
    while (dec->shown_count > 0)
        shown_drop(dec, true);
    nv_facts_done(&dec->facts);
    nv_table_reset(&dec->table);
    nv_stream_reset(&dec->stream);
    nv_surfaces_unref(&dec->surfaces_before);
    memset(dec->refused, 0, sizeof(dec->refused));
    memset(dec->is_before, 0, sizeof(dec->is_before));
    dec->has_facts = dec->fed = dec->draining = dec->shows_recovered = dec->any_pairs = false;
    dec->failure.code = 0;
}

static void decoder_stats(void *handle, struct decoder_stats *ret)
{
    const struct nv_decoder *dec = handle;
    *ret = dec->stats;
    ret->failed_packets += dec->table.lost;
}

const struct decoder_ops nv_decoder_ops = {
    .open = decoder_open,
    .send = decoder_send,
    .receive = decoder_receive,
    .reset = decoder_reset,
    .stats = decoder_stats,
    .close = decoder_close,
};
