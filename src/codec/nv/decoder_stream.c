#include "codec/nv/decoder_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/avcc.h"
#include "media/bits.h"
#include "media/hvcc.h"

#define H264_BASELINE 66
#define H264_MAIN 77
#define H264_HIGH 100
#define HEVC_RANGE_EXTENSIONS 4 /* general_profile_idc; those above are other extensions */
#define HEVC_BASE_TYPES 48      /* unit types below are the standard's own */

/* ---- open and close -------------------------------------------------------------------------- */

static int find_codec(const char *name, cudaVideoCodec *ret)
{
    static const struct {
        const char *name;
        cudaVideoCodec codec;
    } codecs[] = {
        {"h264", cudaVideoCodec_H264},        {"hevc", cudaVideoCodec_HEVC},
        {"av1", cudaVideoCodec_AV1},          {"vp9", cudaVideoCodec_VP9},
        {"vp8", cudaVideoCodec_VP8},          {"mpeg2video", cudaVideoCodec_MPEG2},
        {"mpeg1video", cudaVideoCodec_MPEG1},
    };
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++) {
        if (strcmp(codecs[i].name, name) == 0) {
            *ret = codecs[i].codec;
            return 0;
        }
    }
    return RGPU_ERROR_UNSUPPORTED;
}

static bool is_mpeg12(const struct nv_stream *s)
{
    return s->codec == cudaVideoCodec_MPEG2 || s->codec == cudaVideoCodec_MPEG1;
}

/* Takes bytes as the headers that go in front. */
static int keep_headers(struct nv_stream *s, struct buffer *headers)
{
    if (!headers)
        return RGPU_ERROR_MEMORY;
    buffer_unref(&s->headers);
    s->headers = headers;
    s->headers_due = true;
    return 0;
}

static int learn_avcc(struct nv_stream *s, const struct buffer *extradata)
{
    struct avcc config;
    size_t size = 0;
    /* Broken ones may come again in band. */
    if (avcc_read(extradata->data, extradata->size, &config, NULL) != 0)
        return 0;
    s->length_size = config.annexb ? NAL_ANNEXB : config.length_size;
    avcc_apply(&config, s->h264, NULL);
    avcc_write_annexb(&config, NULL, 0, &size, NULL);
    struct buffer *headers = buffer_new(size);
    if (headers)
        avcc_write_annexb(&config, headers->data, size, &size, NULL);
    return keep_headers(s, headers);
}

static int learn_hvcc(struct nv_stream *s, const struct buffer *extradata)
{
    struct hvcc config;
    size_t size = 0;
    if (hvcc_read(extradata->data, extradata->size, &config, NULL) != 0)
        return 0;
    s->length_size = config.annexb ? NAL_ANNEXB : config.length_size;
    hvcc_apply(&config, s->hevc, NULL);
    s->transfer = s->transfer_headers = hvcc_preferred_transfer(&config, s->hevc);
    config.sei_count = 0; /* looked at above; the parser does nothing with them */
    hvcc_write_annexb(&config, NULL, 0, &size, NULL);
    struct buffer *headers = buffer_new(size);
    if (headers)
        hvcc_write_annexb(&config, headers->data, size, &size, NULL);
    return keep_headers(s, headers);
}

static int learn_av1(struct nv_stream *s, const struct buffer *extradata)
{
    struct av1_config config;
    struct av1_temporal_unit tu;
    if (av1_config_read(extradata->data, extradata->size, &config, NULL) != 0 ||
        config.obus_size == 0)
        return 0;
    av1_temporal_unit(&s->av1, config.obus, config.obus_size, &tu, NULL);
    return keep_headers(s, buffer_copy(config.obus, config.obus_size));
}

static int learn_headers(struct nv_stream *s, const struct buffer *extradata)
{
    if (!extradata || extradata->size == 0)
        return 0;
    switch ((int)s->codec) {
    case cudaVideoCodec_H264:
        return learn_avcc(s, extradata);
    case cudaVideoCodec_HEVC:
        return learn_hvcc(s, extradata);
    case cudaVideoCodec_AV1:
        return learn_av1(s, extradata);
    case cudaVideoCodec_MPEG1:
    case cudaVideoCodec_MPEG2:
        nv_mpeg2_look(&s->mpeg2, extradata->data, extradata->size, NULL);
        return keep_headers(s, buffer_copy(extradata->data, extradata->size));
    default:
        return 0; /* VP8 and VP9 have none that a decoder needs */
    }
}

int nv_stream_init(struct nv_stream *s, const struct track *track, struct error *err)
{
    *s = (struct nv_stream){.color = track->color, .hdr = track->hdr};
    if (find_codec(track->codec, &s->codec) != 0)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "NVDEC does not decode \"%s\"", track->codec);
    if (s->codec == cudaVideoCodec_H264)
        s->h264 = calloc(1, sizeof(*s->h264));
    if (s->codec == cudaVideoCodec_HEVC)
        s->hevc = calloc(1, sizeof(*s->hevc));
    if ((s->codec == cudaVideoCodec_H264 && !s->h264) ||
        (s->codec == cudaVideoCodec_HEVC && !s->hevc) || learn_headers(s, track->extradata) != 0)
        return error_memory(err, "a decoder");
    nv_stream_reset(s);
    return 0;
}

void nv_stream_done(struct nv_stream *s)
{
    free(s->h264);
    free(s->hevc);
    free(s->scratch);
    buffer_unref(&s->headers);
    *s = (struct nv_stream){0};
}

void nv_stream_reset(struct nv_stream *s)
{
    s->headers_due = s->headers != NULL;
    s->transfer = s->transfer_headers;
    s->started = s->no_rasl = s->idr_seen = s->interlaced = s->top_first = false;
    s->recovery_frame = -1;
    s->mpeg2.references = 0;
    s->mpeg2.closed_gop = s->mpeg2.first_field = false;
    if (s->h264)
        s->h264->has_last = s->h264->last_unpaired = false;
    if (s->hevc)
        s->hevc->ended = true;
}

void nv_facts_done(struct nv_facts *facts)
{
    nv_sides_done(&facts->picture.sides);
}

/* ---- shape ----------------------------------------------------------------------------------- */

static int refuse(struct error *err, const char *codec, const char *what)
{
    return error_set(err, RGPU_ERROR_UNSUPPORTED, "NVDEC does not decode %s %s", codec, what);
}

static const char *chroma_name(unsigned chroma_format_idc)
{
    static const char *const names[] = {"in grey", "4:2:0", "4:2:2", "4:4:4"};
    return names[chroma_format_idc & 3];
}

static int check_h264(const struct h264_sps *sps, struct error *err)
{
    char text[64];
    if (sps->chroma_format_idc != 1)
        return refuse(err, "H.264", chroma_name(sps->chroma_format_idc));
    if (sps->bit_depth_luma != 8 || sps->bit_depth_chroma != 8)
        return refuse(err, "H.264", "of more than 8 bits");
    /* The others allow tools that it does not have. */
    if (sps->profile_idc != H264_BASELINE && sps->profile_idc != H264_MAIN &&
        sps->profile_idc != H264_HIGH) {
        snprintf(text, sizeof(text), "of profile %d", sps->profile_idc);
        return refuse(err, "H.264", text);
    }
    return 0;
}

static int shape_h264(const struct nv_stream *s, struct nv_shape *shape, struct error *err)
{
    for (int i = 0; i < H264_SPS_MAX; i++) {
        const struct h264_sps *sps = &s->h264->sps[i];
        const int rc = sps->valid ? check_h264(sps, err) : 0;
        if (rc != 0)
            return rc;
        if (sps->valid && sps->coded_width > shape->width)
            shape->width = sps->coded_width;
        if (sps->valid && sps->coded_height > shape->height)
            shape->height = sps->coded_height;
    }
    for (int i = 0; i < H264_PPS_MAX; i++)
        if (s->h264->pps[i].valid && s->h264->pps[i].slice_groups > 1)
            return refuse(err, "H.264", "with slice groups");
    return 0;
}

static int check_hevc(const struct hevc_sps *sps, struct error *err)
{
    char text[64];
    if (sps->chroma_format_idc != 1)
        return refuse(err, "HEVC", chroma_name(sps->chroma_format_idc));
    if (sps->bit_depth_luma > 10 || sps->bit_depth_luma != sps->bit_depth_chroma ||
        sps->bit_depth_luma == 9) {
        snprintf(text, sizeof(text), "of %d and %d bits", sps->bit_depth_luma,
                 sps->bit_depth_chroma);
        return refuse(err, "HEVC", text);
    }
    if (sps->profile.idc > HEVC_RANGE_EXTENSIONS) {
        snprintf(text, sizeof(text), "of profile %d", sps->profile.idc);
        return refuse(err, "HEVC", text);
    }
    if (sps->field_seq)
        return refuse(err, "HEVC", "whose pictures are fields");
    return 0;
}

static int shape_hevc(const struct nv_stream *s, struct nv_shape *shape, struct error *err)
{
    for (int i = 0; i < HEVC_SPS_MAX; i++) {
        const struct hevc_sps *sps = &s->hevc->sps[i];
        const int rc = sps->valid ? check_hevc(sps, err) : 0;
        if (rc != 0)
            return rc;
        if (!sps->valid)
            continue;
        shape->depth = sps->bit_depth_luma;
        if (sps->coded_width > shape->width)
            shape->width = sps->coded_width;
        if (sps->coded_height > shape->height)
            shape->height = sps->coded_height;
    }
    return 0;
}

static int shape_av1(const struct nv_stream *s, struct nv_shape *shape, struct error *err)
{
    const struct av1_sequence *seq = &s->av1;
    if (!seq->valid)
        return 0;
    if (seq->monochrome)
        return refuse(err, "AV1", "in grey");
    if (!seq->subsampling_x || !seq->subsampling_y)
        return refuse(err, "AV1", chroma_name(seq->subsampling_x ? 2 : 3));
    if (seq->bit_depth > 10)
        return refuse(err, "AV1", "of more than 10 bits");
    shape->depth = seq->bit_depth;
    shape->width = seq->width;
    shape->height = seq->height;
    return 0;
}

/* Where the format is not known: profiles 1 and 3 are all but 4:2:0, 2 and 3 all but 8 bits. */
static int shape_vp9(const struct track *track, struct nv_shape *shape, struct error *err)
{
    if (track->codec_profile == 1 || track->codec_profile == 3)
        return refuse(err, "VP9", "other than 4:2:0");
    if (track->codec_profile == 2)
        shape->depth = 10;
    return 0;
}

int nv_stream_shape(const struct nv_stream *s, const struct track *track, struct nv_shape *ret,
                    struct error *err)
{
    const struct pixel_info *info = pixel_info(track->format);
    if (info && track->format != PIXEL_YUV420P && track->format != PIXEL_YUV420P10 &&
        track->format != PIXEL_NV12 && track->format != PIXEL_P010)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "NVDEC does not decode %s of format %s",
                         track->codec, info->name);
    *ret = (struct nv_shape){.codec = s->codec, .depth = info ? info->depth : 8};
    int rc = 0;
    if (s->codec == cudaVideoCodec_H264)
        rc = shape_h264(s, ret, err);
    else if (s->codec == cudaVideoCodec_HEVC)
        rc = shape_hevc(s, ret, err);
    else if (s->codec == cudaVideoCodec_AV1)
        rc = shape_av1(s, ret, err);
    else if (is_mpeg12(s) && s->mpeg2.chroma_format > 1)
        rc = refuse(err, "MPEG-2", chroma_name(s->mpeg2.chroma_format));
    else if (s->codec == cudaVideoCodec_VP9 && !info)
        rc = shape_vp9(track, ret, err);
    if (rc == 0 && ret->width == 0) {
        ret->width = track->width;
        ret->height = track->height;
    }
    return rc;
}

/* ---- H.264 ----------------------------------------------------------------------------------- */

static void take_hdr(struct hdr *hdr, const struct hdr *said)
{
    if (said->has_mastering) {
        const struct hdr before = *hdr;
        *hdr = *said;
        hdr->has_light_level = before.has_light_level;
        hdr->max_content_light = before.max_content_light;
        hdr->max_average_light = before.max_average_light;
    }
    if (said->has_light_level) {
        hdr->has_light_level = true;
        hdr->max_content_light = said->max_content_light;
        hdr->max_average_light = said->max_average_light;
    }
}

/* `preferred`: by SEI messages of this access unit. A point where decoding may start forgets what
 * those before it said. */
static void prefer_transfer(struct nv_stream *s, const struct packet *pkt, uint8_t preferred,
                            struct color *color)
{
    if (preferred)
        s->transfer = preferred;
    else if (pkt->flags & PACKET_KEY)
        s->transfer = s->transfer_headers;
    if (s->transfer)
        color->transfer = s->transfer;
}

/* Which pictures are whole, as libavcodec tells it: those from an IDR picture on, and those shown
 * after a recovery point; an intra picture counts as one where the stream marks none. */
static void recover_h264(struct nv_stream *s, const struct h264_access_unit *au,
                         struct nv_picture *picture)
{
    const struct h264_slice *slice = &au->first;
    const int32_t mask = (1 << s->h264->sps[slice->sps_id].log2_max_frame_num) - 1;
    const int32_t number = (int32_t)slice->frame_num;
    s->marks_seen = s->marks_seen || au->idr || au->recovery_point;
    if (au->recovery_point) {
        if (number != au->recovery_frames || slice->type != H264_SLICE_I)
            s->recovery_valid = true;
        if (s->recovery_frame < 0 || ((s->recovery_frame - number) & mask) > au->recovery_frames)
            s->recovery_frame = s->recovery_valid ? (number + au->recovery_frames) & mask : number;
    }
    if (au->idr || (s->recovery_frame == number && slice->nal_ref_idc > 0)) {
        s->recovery_frame = -1;
        picture->recovered = true;
    }
    s->idr_seen = s->idr_seen || au->idr;
    picture->recovered = picture->recovered || s->idr_seen ||
                         (!s->marks_seen && au->intra_only && au->nal_ref_idc > 0);
}

/* As libavcodec tells it from picture timing, else from how the picture is coded (table D-1). */
static uint32_t fields_h264(struct nv_stream *s, const struct h264_access_unit *au,
                            const struct h264_sps *sps, const struct nv_sides *sides)
{
    enum { FRAME = 0, BOTTOM = 2, TOP_BOTTOM = 3, BOTTOM_TOP = 4, TOP_BOTTOM_TOP = 5 };
    const bool coded = au->field || sps->mb_adaptive_field;
    const int said = sides->timing.pic_struct;
    bool interlaced = coded;
    if (said >= FRAME) {
        interlaced = (said > FRAME && said <= BOTTOM) ||
                     ((said == TOP_BOTTOM || said == BOTTOM_TOP) && (coded || s->interlaced));
        if (sides->timing.ct_types & 3 && said <= BOTTOM_TOP)
            interlaced = sides->timing.ct_types & 2;
    }
    bool top_first = interlaced;
    if (au->field)
        top_first = !au->first.bottom;
    else if (au->first.delta_poc_bottom != 0)
        top_first = au->first.delta_poc_bottom > 0;
    else if (said >= FRAME)
        top_first = said == TOP_BOTTOM || said == TOP_BOTTOM_TOP;
    s->interlaced = interlaced;
    return (interlaced ? FRAME_INTERLACED : 0u) | (interlaced && top_first ? FRAME_TOP_FIRST : 0u);
}

static void look_h264(struct nv_stream *s, const struct packet *pkt, struct nv_facts *facts)
{
    struct h264_access_unit au;
    struct nv_picture *picture = &facts->picture;
    if (h264_access_unit(s->h264, pkt->data, pkt->size, s->length_size, &au, NULL) != 0 ||
        au.slices == 0) {
        facts->failed = true;
        return;
    }
    const struct h264_sps *sps = &s->h264->sps[au.first.sps_id];
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, pkt->data, pkt->size, s->length_size);
    while (nal_next(&it, &nal))
        if (h264_nal_type(nal) == H264_NAL_SEI)
            nv_sides_h264(&picture->sides, nal, sps);
    s->started = s->started || au.idr || au.recovery_point || au.intra_only;
    facts->skip = !s->started;
    facts->pictures = au.pictures;
    facts->second_field = au.second_field;
    recover_h264(s, &au, picture);
    take_hdr(&s->hdr, &au.hdr);
    picture->flags = fields_h264(s, &au, sps, &picture->sides);
    picture->sample_aspect = sps->sample_aspect;
    picture->color = sps->color;
    if (picture->color.chroma == CHROMA_UNKNOWN)
        picture->color.chroma = CHROMA_LEFT;
    prefer_transfer(s, pkt, au.transfer, &picture->color);
}

/* ---- HEVC ------------------------------------------------------------------------------------ */

/* Single fields (table D.2): the last picture's where the access unit does not say. */
static uint32_t fields_hevc(struct nv_stream *s, int pic_struct)
{
    if (pic_struct >= 0) {
        s->top_first = pic_struct == 1 || pic_struct == 9 || pic_struct == 11;
        s->interlaced = s->top_first || pic_struct == 2 || pic_struct == 10 || pic_struct == 12;
    }
    return (s->interlaced ? FRAME_INTERLACED : 0u) | (s->top_first ? FRAME_TOP_FIRST : 0u);
}

static int look_hevc(struct nv_stream *s, const struct packet *pkt, struct nv_facts *facts)
{
    struct hevc_access_unit au;
    struct nv_picture *picture = &facts->picture;
    if (hevc_access_unit(s->hevc, pkt->data, pkt->size, s->length_size, &au, NULL) != 0 ||
        au.slices == 0) {
        facts->failed = true;
        return 0;
    }
    const struct hevc_sps *sps = &s->hevc->sps[au.first.sps_id];
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, pkt->data, pkt->size, s->length_size);
    while (nal_next(&it, &nal))
        if (nv_sides_hevc(&picture->sides, nal) != 0)
            return RGPU_ERROR_MEMORY;
    s->started = s->started || au.irap || au.recovery_point;
    if (au.irap)
        s->no_rasl = au.begins;
    facts->skip = !s->started || (au.rasl && s->no_rasl);
    facts->hidden = !au.first.output;
    facts->pictures = au.pictures;
    facts->drops_prior = au.begins && (au.cra || au.first.no_output_of_prior);
    take_hdr(&s->hdr, &au.hdr);
    picture->flags = fields_hevc(s, au.pic_struct);
    picture->sample_aspect = sps->sample_aspect;
    picture->color = sps->color;
    if (picture->color.chroma == CHROMA_UNKNOWN)
        picture->color.chroma = CHROMA_LEFT;
    if (picture->color.range == RANGE_UNKNOWN)
        picture->color.range = RANGE_LIMITED;
    prefer_transfer(s, pkt, au.transfer, &picture->color);
    return 0;
}

/* ---- all ------------------------------------------------------------------------------------- */

static void look_av1(struct nv_stream *s, const struct packet *pkt, struct nv_facts *facts)
{
    struct av1_temporal_unit tu;
    if (av1_temporal_unit(&s->av1, pkt->data, pkt->size, &tu, NULL) != 0 || tu.frames == 0 ||
        !s->av1.valid) {
        facts->failed = true;
        return;
    }
    s->started = s->started || tu.key;
    facts->failed = !s->started;
    facts->pictures = tu.frames;
    facts->hidden = tu.shown == 0;
    take_hdr(&s->hdr, &tu.hdr);
    const uint8_t chroma = s->color.chroma;
    s->color = s->av1.color;
    if (s->color.chroma == CHROMA_UNKNOWN)
        s->color.chroma = chroma;
    facts->picture.color = s->color;
    facts->picture.sample_aspect = (struct rational){1, 1};
}

static void look_mpeg12(struct nv_stream *s, const struct packet *pkt, struct nv_facts *facts)
{
    nv_mpeg2_look(&s->mpeg2, pkt->data, pkt->size, facts);
    if (s->mpeg2.mpeg1) {
        facts->picture.color = s->color;
        facts->picture.color.range = RANGE_LIMITED;
        facts->picture.color.chroma = CHROMA_CENTER;
    }
}

int nv_stream_next(struct nv_stream *s, const struct packet *pkt, struct nv_facts *ret,
                   struct error *err)
{
    int rc = learn_headers(s, pkt->extradata);
    *ret = (struct nv_facts){0};
    nv_sides_init(&ret->picture.sides);
    if (rc == 0 && s->codec == cudaVideoCodec_H264)
        look_h264(s, pkt, ret);
    else if (rc == 0 && s->codec == cudaVideoCodec_HEVC)
        rc = look_hevc(s, pkt, ret);
    else if (s->codec == cudaVideoCodec_AV1)
        look_av1(s, pkt, ret);
    else if (s->codec == cudaVideoCodec_VP8)
        nv_vp8_look(s, pkt->data, pkt->size, ret);
    else if (s->codec == cudaVideoCodec_VP9)
        nv_vp9_look(s, pkt->data, pkt->size, ret);
    else if (is_mpeg12(s))
        look_mpeg12(s, pkt, ret);
    if (rc != 0) {
        nv_facts_done(ret);
        return error_memory(err, "what a packet says");
    }
    ret->picture.hdr = s->hdr;
    return 0;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static int reserve(struct nv_stream *s, size_t size)
{
    if (size <= s->scratch_size)
        return 0;
    free(s->scratch);
    s->scratch_size = 0;
    s->scratch = malloc(size + size / 2);
    if (!s->scratch)
        return RGPU_ERROR_MEMORY;
    s->scratch_size = size + size / 2;
    return 0;
}

/* Units of a layer or view above the base, and those that the standards leave to others. */
static bool is_foreign(const struct nv_stream *s, struct nal nal)
{
    if (s->codec == cudaVideoCodec_HEVC)
        return nal.size < 2 || nal.data[0] & 1 || nal.data[1] & 0xf8 ||
               hevc_nal_type(nal) >= HEVC_BASE_TYPES;
    enum { PREFIX = 14, SUBSET_SPS = 15, EXTENSION = 20, DEPTH = 21, OTHERS = 24 };
    const unsigned type = h264_nal_type(nal);
    return type == PREFIX || type == SUBSET_SPS || type == EXTENSION || type == DEPTH ||
           type >= OTHERS;
}

/* Bytes that the packet's units take in Annex B; 0: they are so already and none is foreign. */
static size_t size_in_annexb(const struct nv_stream *s, const struct packet *pkt)
{
    struct nal_iter it;
    struct nal nal;
    size_t size = 0;
    bool changes = s->length_size != NAL_ANNEXB;
    nal_iter_init(&it, pkt->data, pkt->size, s->length_size);
    while (nal_next(&it, &nal)) {
        changes = changes || is_foreign(s, nal);
        size += nal.size + 4;
    }
    return changes ? size : 0;
}

static int bytes_h26x(struct nv_stream *s, const struct packet *pkt, const uint8_t **ret,
                      size_t *ret_size)
{
    const size_t headers = s->headers_due ? s->headers->size : 0;
    const size_t units = size_in_annexb(s, pkt);
    if (units == 0 && headers == 0) {
        *ret = pkt->data;
        *ret_size = pkt->size;
        return 0;
    }
    if (reserve(s, headers + (units ? units : pkt->size)) != 0)
        return RGPU_ERROR_MEMORY;
    struct byte_writer w = byte_writer(s->scratch, s->scratch_size);
    if (headers > 0)
        byte_put(&w, s->headers->data, headers);
    struct nal_iter it;
    struct nal nal;
    nal_iter_init(&it, pkt->data, pkt->size, s->length_size);
    while (units > 0 && nal_next(&it, &nal)) {
        if (is_foreign(s, nal))
            continue;
        byte_write(&w, 1, 4);
        byte_put(&w, nal.data, nal.size);
    }
    if (units == 0)
        byte_put(&w, pkt->data, pkt->size);
    *ret = s->scratch;
    *ret_size = w.size;
    return 0;
}

/* Where headers go in: behind AV1's temporal delimiter. SIZE_MAX: the packet has its own. */
static size_t headers_at(const struct nv_stream *s, const struct packet *pkt)
{
    static const uint8_t sequence[] = {0, 0, 1, 0xb3};
    if (is_mpeg12(s))
        return pkt->size >= 4 && memcmp(pkt->data, sequence, 4) == 0 ? SIZE_MAX : 0;
    struct av1_iter it;
    struct av1_obu obu;
    size_t at = 0;
    av1_iter_init(&it, pkt->data, pkt->size);
    while (av1_next(&it, &obu)) {
        if (obu.type == AV1_OBU_SEQUENCE_HEADER)
            return SIZE_MAX;
        if (obu.type == AV1_OBU_TEMPORAL_DELIMITER && obu.data == pkt->data)
            at = obu.size;
    }
    return at;
}

int nv_stream_bytes(struct nv_stream *s, const struct packet *pkt, const uint8_t **ret,
                    size_t *ret_size, struct error *err)
{
    if (s->h264 || s->hevc) {
        if (bytes_h26x(s, pkt, ret, ret_size) != 0)
            return error_memory(err, "a packet");
        s->headers_due = false;
        return 0;
    }
    const size_t at = s->headers_due ? headers_at(s, pkt) : SIZE_MAX;
    s->headers_due = false;
    if (at == SIZE_MAX) {
        *ret = pkt->data;
        *ret_size = pkt->size;
        return 0;
    }
    if (reserve(s, s->headers->size + pkt->size) != 0)
        return error_memory(err, "a packet");
    struct byte_writer w = byte_writer(s->scratch, s->scratch_size);
    byte_put(&w, pkt->data, at);
    byte_put(&w, s->headers->data, s->headers->size);
    byte_put(&w, pkt->data + at, pkt->size - at);
    *ret = s->scratch;
    *ret_size = w.size;
    return 0;
}
