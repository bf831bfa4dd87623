/* libnvidia-encode: the encoder beneath, libavcodec's libx264, libx265 or libaom-av1, told each
 * picture's type and kept from any delay, so that a picture's packet comes when the picture goes
 * in.
 *
 * It knows no B-frames, which would cost it delay: pictures come in the order of decoding, each
 * predicted from the one before it, and nvenc_stream.c puts their order of display into them. AV1's
 * come in the order of display.
 *
 * Threads: any opens; then one at a time. Memory: counted. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavutil/opt.h>

#include "nvenc.h"

#define PARAMS_MAX 1024 /* bytes */
#define QUALITY 28      /* libx265's, from which quantisers are moved */
#define OFFSET_MAX 25.0

/* libx265's rate, which libavcodec cannot change in mid-stream: it encodes with one quality, and
 * each picture's quantiser is moved by as much as the rate asks for. */
struct control {
    bool on;
    double debt;         /* bits above the rate so far */
    double intra, inter; /* bits of a picture whose quantiser is not moved; 0: not known */
    double offset;       /* of the quantiser, for the picture in hand */
};

struct nvenc_codec {
    int refs;
    AVCodecContext *av;
    AVFrame *frame;
    AVPacket *packet;
    int64_t count; /* pictures so far */
    bool aud, no_headers;
    unsigned refresh_count; /* frames of an intra refresh; 0: there is none */
    bool recovery_sei;
    struct nvenc_syntax syntax;
    struct nvenc_rate rate; /* as opened */
    struct control control;
    struct nvenc_bytes headers;
};

/* ---- settings ------------------------------------------------------------------------------- */

struct params {
    char text[PARAMS_MAX];
    size_t used;
};

static void param(struct params *to, const char *name, long value)
{
    const int n = snprintf(to->text + to->used, PARAMS_MAX - to->used, "%s%s=%ld",
                           to->used ? ":" : "", name, value);
    to->used += n > 0 ? (size_t)n : 0;
}

static bool profile_is(const NV_ENC_CONFIG *config, const GUID *guid)
{
    return nvenc_guid_equal(&config->profileGUID, guid);
}

static bool has_cabac(const NV_ENC_CONFIG *config)
{
    return !profile_is(config, &NV_ENC_H264_PROFILE_BASELINE_GUID) &&
           config->encodeCodecConfig.h264Config.entropyCodingMode !=
               NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
}

/* Each frame's type is told; what would look ahead, or make another of them, is off. */
static void h264_params(const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config,
                        struct params *ret)
{
    const struct nvenc_common common = nvenc_common_of(init, config);
    const bool high = !profile_is(config, &NV_ENC_H264_PROFILE_BASELINE_GUID) &&
                      !profile_is(config, &NV_ENC_H264_PROFILE_MAIN_GUID);
    param(ret, "ref", 1);
    param(ret, "bframes", 0);
    param(ret, "scenecut", 0);
    param(ret, "weightp", 0);
    param(ret, "sliced-threads", 0);
    param(ret, "cabac", has_cabac(config));
    param(ret, "8x8dct", high);
    param(ret, "keyint", common.intra_refresh ? common.refresh_period : INT_MAX);
    param(ret, "intra-refresh", common.intra_refresh);
    param(ret, "constrained-intra", common.intra_refresh);
    if (config->encodeCodecConfig.h264Config.outputPictureTimingSEI)
        param(ret, "pic-struct", 1);
    if (common.slice_mode == 3 && common.slice_data > 0)
        param(ret, "slices", common.slice_data);
    if (common.vui.chromaSampleLocationFlag)
        param(ret, "chromaloc", common.vui.chromaSampleLocationTop);
}

static void hevc_params(const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config,
                        struct params *ret)
{
    const struct nvenc_common common = nvenc_common_of(init, config);
    param(ret, "ref", 1);
    param(ret, "bframes", 0);
    param(ret, "b-adapt", 0);
    param(ret, "scenecut", 0);
    param(ret, "weightp", 0);
    param(ret, "rc-lookahead", 0);
    param(ret, "cutree", 0);
    param(ret, "frame-threads", 1);
    param(ret, "wpp", 0);
    param(ret, "temporal-mvp", 0);
    param(ret, "open-gop", 0);
    param(ret, "aq-strength", 1);
    param(ret, "aq-mode", 1); /* or no quantiser is moved */
    param(ret, "sao", 0);
    param(ret, "info", 0);
    param(ret, "keyint", -1);
    if (init->tuningInfo == NV_ENC_TUNING_INFO_LOSSLESS)
        param(ret, "lossless", 1);
    if (common.vui.chromaSampleLocationFlag)
        param(ret, "chromaloc", common.vui.chromaSampleLocationTop);
    const int n =
        snprintf(ret->text + ret->used, PARAMS_MAX - ret->used, ":pools=none:log-level=none");
    ret->used += n > 0 ? (size_t)n : 0;
}

/* In real time, which does not look ahead. A rate is kept as CBR is, the only one that it knows
 * then; a quantiser of 0 to 63 is one of 0 to 255 by four. */
static bool av1_options(AVCodecContext *av, const NV_ENC_INITIALIZE_PARAMS *init,
                        const NV_ENC_CONFIG *config)
{
    const NV_ENC_RC_PARAMS *rc = &config->rcParams;
    const bool lossless = init->tuningInfo == NV_ENC_TUNING_INFO_LOSSLESS;
    int crf = -1;
    if (rc->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP)
        crf = (int)(lossless ? 0 : (rc->constQP.qpInterP + 3) / 4);
    else if (rc->rateControlMode == NV_ENC_PARAMS_RC_VBR && rc->averageBitRate == 0)
        crf = rc->targetQuality;
    if (crf >= 0)
        av->bit_rate = 0;
    av->rc_min_rate = av->rc_max_rate = av->bit_rate;
    av->gop_size = INT_MAX;
    return av_opt_set(av->priv_data, "usage", "realtime", 0) == 0 &&
           av_opt_set_int(av->priv_data, "cpu-used", 8, 0) == 0 &&
           av_opt_set_int(av->priv_data, "lag-in-frames", 0, 0) == 0 &&
           av_opt_set_int(av->priv_data, "crf", crf, 0) == 0 &&
           (!lossless || av_opt_set(av->priv_data, "aom-params", "lossless=1", 0) == 0);
}

static const char *speed_of(const NV_ENC_INITIALIZE_PARAMS *init)
{
    static const char *const speeds[2][7] = {
        {"ultrafast", "superfast", "superfast", "veryfast", "veryfast", "faster", "faster"},
        {"ultrafast", "ultrafast", "ultrafast", "superfast", "superfast", "superfast", "veryfast"},
    };
    return speeds[nvenc_is_hevc(init)][nvenc_preset_find(&init->presetGUID) - 1];
}

static void colours(AVCodecContext *av, const NV_ENC_CONFIG_H264_VUI_PARAMETERS *vui)
{
    if (!vui->videoSignalTypePresentFlag)
        return;
    av->color_range = vui->videoFullRangeFlag ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
    if (!vui->colourDescriptionPresentFlag)
        return;
    av->color_primaries = (enum AVColorPrimaries)vui->colourPrimaries;
    av->color_trc = (enum AVColorTransferCharacteristic)vui->transferCharacteristics;
    av->colorspace = (enum AVColorSpace)vui->colourMatrix;
}

/* Of samples, from the whole picture's; square ones are not said. */
static void aspect(AVCodecContext *av, const NV_ENC_INITIALIZE_PARAMS *init)
{
    AVRational ret = {0, 1};
    if (init->darWidth > 0 && init->darHeight > 0)
        av_reduce(&ret.num, &ret.den, (int64_t)init->darWidth * init->encodeHeight,
                  (int64_t)init->darHeight * init->encodeWidth, UINT16_MAX);
    if (ret.num != ret.den)
        av->sample_aspect_ratio = ret;
}

/* In bits of the encoder's own time: a frame rate that has changed since is one of the rates. */
static void rate_set(struct nvenc_codec *codec, const struct nvenc_rate *rate)
{
    const double slower =
        (double)codec->rate.fps_num * rate->fps_den / ((double)codec->rate.fps_den * rate->fps_num);
    codec->av->bit_rate = (int64_t)(rate->average_bps * slower);
    codec->av->rc_max_rate = (int64_t)(rate->max_bps * slower);
    codec->av->rc_buffer_size = (int)(rate->vbv_bits);
}

static void rate_mode(struct nvenc_codec *codec, const NV_ENC_INITIALIZE_PARAMS *init,
                      const NV_ENC_CONFIG *config)
{
    const NV_ENC_RC_PARAMS *rc = &config->rcParams;
    const bool lossless = init->tuningInfo == NV_ENC_TUNING_INFO_LOSSLESS;
    if (rc->rateControlMode == NV_ENC_PARAMS_RC_CONSTQP) {
        const int64_t qp = lossless ? 0 : rc->constQP.qpInterP > 0 ? rc->constQP.qpInterP : 1;
        av_opt_set_int(codec->av->priv_data, "qp", qp, 0);
    } else if (rc->rateControlMode == NV_ENC_PARAMS_RC_VBR && rc->averageBitRate == 0 &&
               rc->targetQuality > 0) {
        av_opt_set_double(codec->av->priv_data, "crf", rc->targetQuality, 0);
    } else if (codec->syntax.hevc) {
        codec->control.on = true;
        av_opt_set_double(codec->av->priv_data, "crf", QUALITY, 0);
    } else {
        rate_set(codec, &codec->rate);
    }
}

static double rate_per_picture(const struct nvenc_rate *rate)
{
    return (double)rate->average_bps * rate->fps_den / rate->fps_num;
}

/* Twice the bits are 6 steps of the quantiser; what was spent too much is saved within half a
 * second. */
static bool control_before(struct nvenc_codec *codec, const struct nvenc_picture *picture, bool idr)
{
    struct control *control = &codec->control;
    const double target = rate_per_picture(&picture->rate);
    const double pictures = picture->rate.average_bps / target / 2;
    const double more = idr ? 4 : 1;
    if (control->intra <= 0)
        control->intra = picture->width * picture->height * 0.5;
    if (control->inter <= 0)
        control->inter = control->intra / 4;
    const double wanted = fmin(fmax(target - control->debt / pictures, target / 4), 2 * target);
    const double cost = idr ? control->intra : control->inter;
    control->offset = fmin(fmax(6 * log2(cost / wanted / more), -OFFSET_MAX), OFFSET_MAX);
    av_frame_remove_side_data(codec->frame, AV_FRAME_DATA_REGIONS_OF_INTEREST);
    AVFrameSideData *data = av_frame_new_side_data(codec->frame, AV_FRAME_DATA_REGIONS_OF_INTEREST,
                                                   sizeof(AVRegionOfInterest));
    if (!data)
        return false;
    const int range = 51 + (picture->line_size > (size_t)picture->width ? 12 : 0);
    *(AVRegionOfInterest *)(void *)data->data =
        (AVRegionOfInterest){.self_size = sizeof(AVRegionOfInterest),
                             .bottom = picture->height,
                             .right = picture->width,
                             .qoffset = {(int)(control->offset * 1000), range * 1000}};
    return true;
}

static void control_behind(struct control *control, double bits, double target, bool idr)
{
    double *cost = idr ? &control->intra : &control->inter;
    *cost = (*cost + bits * exp2(control->offset / 6)) / 2;
    control->debt = fmin(fmax(control->debt + bits - target, -25 * target), 25 * target);
}

/* ---- opening and ending --------------------------------------------------------------------- */

static void codec_free(struct nvenc_codec *codec)
{
    avcodec_free_context(&codec->av);
    av_frame_free(&codec->frame);
    av_packet_free(&codec->packet);
    nvenc_bytes_free(&codec->headers);
    free(codec);
}

struct nvenc_codec *nvenc_codec_ref_locked(struct nvenc_codec *codec)
{
    codec->refs++;
    return codec;
}

void nvenc_codec_unref_locked(struct nvenc_codec *codec)
{
    if (--codec->refs == 0)
        codec_free(codec);
}

const struct nvenc_bytes *nvenc_codec_headers(const struct nvenc_codec *codec)
{
    return &codec->headers;
}

static void h26x_options(struct nvenc_codec *codec, const NV_ENC_INITIALIZE_PARAMS *init,
                         const NV_ENC_CONFIG *config)
{
    void *options = codec->av->priv_data;
    struct params params = {.used = 0};
    if (codec->syntax.hevc)
        hevc_params(init, config, &params);
    else
        h264_params(init, config, &params);
    rate_mode(codec, init, config);
    av_opt_set(options, "preset", speed_of(init), 0);
    av_opt_set(options, "tune", "zerolatency", 0);
    av_opt_set_int(options, "forced-idr", 1, 0);
    av_opt_set(options, codec->syntax.hevc ? "x265-params" : "x264-params", params.text, 0);
}

static bool av_start(struct nvenc_codec *codec, const AVCodec *av_codec,
                     const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config)
{
    const struct nvenc_common common = nvenc_common_of(init, config);
    AVCodecContext *av = codec->av = avcodec_alloc_context3(av_codec);
    if (!av)
        return false;
    av->width = (int)init->encodeWidth;
    av->height = (int)init->encodeHeight;
    av->pix_fmt = nvenc_depth(init, config) > 8 ? AV_PIX_FMT_YUV420P10 : AV_PIX_FMT_YUV420P;
    av->time_base = (AVRational){(int)init->frameRateDen, (int)init->frameRateNum};
    av->framerate = (AVRational){(int)init->frameRateNum, (int)init->frameRateDen};
    av->thread_count = 1;
    av->flags |= codec->syntax.av1 ? 0 : AV_CODEC_FLAG_GLOBAL_HEADER;
    if (codec->syntax.fields)
        av->flags |= AV_CODEC_FLAG_INTERLACED_DCT;
    if (common.level > 0)
        av->level = (int)common.level;
    colours(av, &common.vui);
    aspect(av, init);
    if (!codec->syntax.av1)
        h26x_options(codec, init, config);
    else
        rate_set(codec, &codec->rate);
    if (codec->syntax.av1 && !av1_options(av, init, config))
        return false;
    return avcodec_open2(av, av_codec, NULL) == 0;
}

static bool frame_start(AVFrame *frame, const AVCodecContext *av)
{
    frame->format = av->pix_fmt;
    frame->width = av->width;
    frame->height = av->height;
    return av_frame_get_buffer(frame, 0) == 0;
}

/* Where chroma is, which libavcodec does not tell libaom, into the packet's sequence header. */
static bool av1_chroma_set(AVPacket *packet, unsigned position)
{
    AVBSFContext *filter = NULL;
    bool ok = av_bsf_alloc(av_bsf_get_by_name("av1_metadata"), &filter) == 0;
    if (ok) {
        filter->par_in->codec_id = AV_CODEC_ID_AV1;
        ok = av_opt_set_int(filter->priv_data, "chroma_sample_position", position, 0) == 0 &&
             av_bsf_init(filter) == 0 && av_bsf_send_packet(filter, packet) == 0 &&
             av_bsf_receive_packet(filter, packet) == 0;
    }
    av_bsf_free(&filter);
    return ok;
}

/* libaom has none before it has encoded: from a picture of no matter, of an encoder of its own. */
static bool av1_headers(struct nvenc_codec *codec, unsigned chroma_position)
{
    AVFrame *frame = codec->frame;
    for (int plane = 0; plane < 3; plane++)
        memset(frame->data[plane], 0,
               (size_t)frame->linesize[plane] * (size_t)(frame->height >> (plane > 0)));
    frame->pts = 0;
    const bool ok = avcodec_send_frame(codec->av, frame) == 0 &&
                    avcodec_receive_packet(codec->av, codec->packet) == 0 &&
                    av1_chroma_set(codec->packet, chroma_position) &&
                    nvenc_append_obus(&codec->headers, codec->packet->data,
                                      (size_t)codec->packet->size, true) &&
                    codec->headers.size > 0;
    av_packet_unref(codec->packet);
    avcodec_free_context(&codec->av);
    return ok;
}

static bool codec_start(struct nvenc_codec *codec, const AVCodec *av_codec,
                        const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config)
{
    if (!av_start(codec, av_codec, init, config) || !frame_start(codec->frame, codec->av))
        return false;
    if (codec->syntax.av1)
        return av1_headers(codec, nvenc_common_of(init, config).vui.chromaSampleLocationTop) &&
               av_start(codec, av_codec, init, config);
    return nvenc_append_headers(&codec->headers, codec->av->extradata,
                                (size_t)codec->av->extradata_size, &codec->syntax);
}

struct nvenc_codec *nvenc_codec_open(const NV_ENC_INITIALIZE_PARAMS *init,
                                     const NV_ENC_CONFIG *config)
{
    const struct nvenc_common common = nvenc_common_of(init, config);
    const bool hevc = nvenc_is_hevc(init), av1 = nvenc_is_av1(init);
    const bool timing =
        !hevc && !av1 && config->encodeCodecConfig.h264Config.outputPictureTimingSEI;
    const char *name = av1 ? "libaom-av1" : hevc ? "libx265" : "libx264";
    const AVCodec *av_codec = avcodec_find_encoder_by_name(name);
    struct nvenc_codec *codec = calloc(1, sizeof(*codec));
    if (codec && av_codec) {
        *codec = (struct nvenc_codec){.refs = 1,
                                      .frame = av_frame_alloc(),
                                      .packet = av_packet_alloc(),
                                      .aud = common.aud,
                                      .no_headers = common.no_headers,
                                      .syntax = {.hevc = hevc,
                                                 .av1 = av1,
                                                 .timing = timing,
                                                 .reorder = config->frameIntervalP > 1,
                                                 .fields = nvenc_is_fields(config),
                                                 .cabac = has_cabac(config)},
                                      .rate = nvenc_rate_of(init, config)};
        codec->refresh_count = common.intra_refresh ? common.refresh_count : 0;
        codec->recovery_sei = common.recovery_sei;
        if (codec->frame && codec->packet && codec_start(codec, av_codec, init, config))
            return codec;
        codec_free(codec);
        codec = NULL;
    }
    free(codec);
    standin_violation("libavcodec does not open %s as asked for", name);
    return NULL;
}

/* ---- pictures ------------------------------------------------------------------------------- */

/* Deep samples come from the top of their words. */
static void read_line(const uint8_t *in, int step, uint8_t *out, int count, bool deep)
{
    for (int x = 0; x < count; x++) {
        if (deep)
            ((uint16_t *)(void *)out)[x] = ((const uint16_t *)(const void *)in)[step * x] >> 6;
        else
            out[x] = in[step * x];
    }
}

/* Pairs of chroma to planes. */
static void read_input(const struct nvenc_picture *picture, AVFrame *frame)
{
    const uint8_t *luma = (const uint8_t *)(uintptr_t)picture->address;
    const uint8_t *chroma = luma + picture->chroma_at;
    const bool deep = frame->format == AV_PIX_FMT_YUV420P10;
    for (int y = 0; y < picture->height; y++, luma += picture->pitch)
        read_line(luma, 1, frame->data[0] + (ptrdiff_t)frame->linesize[0] * y, picture->width,
                  deep);
    for (int y = 0; y < picture->height / 2; y++, chroma += picture->pitch) {
        for (int plane = 1; plane < 3; plane++)
            read_line(chroma + (size_t)(plane - 1) * (deep ? 2 : 1), 2,
                      frame->data[plane] + (ptrdiff_t)frame->linesize[plane] * y,
                      picture->width / 2, deep);
    }
}

/* Of a frame, or of two fields in their order (pic_struct 0, 3, 4), without clocks; there is no HRD
 * whose delays would come first. */
static bool append_timing(struct nvenc_bytes *to, bool fields, bool bottom_first)
{
    uint8_t payload = !fields ? 0x04 : bottom_first ? 0x42 : 0x32;
    const NV_ENC_SEI_PAYLOAD message = {
        .payloadSize = sizeof(payload), .payloadType = 1, .payload = &payload};
    return nvenc_append_sei(to, false, &message);
}

/* The message of a picture at which an intra refresh begins: recovery_frame_cnt, an exact match. */
static bool append_recovery(const struct nvenc_codec *codec, struct nvenc_bytes *to)
{
    uint8_t bytes[8] = {0};
    const unsigned code = codec->refresh_count + 1;
    const int length = 32 - __builtin_clz(code);
    const uint64_t bits =
        (uint64_t)code << (64 - 2 * length + 1) | UINT64_C(0x11) << (64 - 2 * length + 1 - 5);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(bits >> (56 - 8 * i));
    const NV_ENC_SEI_PAYLOAD message = {
        .payloadSize = (uint32_t)(2 * length - 1 + 5 + 7) / 8, .payloadType = 6, .payload = bytes};
    return nvenc_append_sei(to, false, &message);
}

static bool assemble(struct nvenc_codec *codec, struct nvenc_picture *picture, bool begins)
{
    const bool headers = picture->headers && !codec->no_headers;
    struct nvenc_bytes *to = &picture->packet;
    if (codec->syntax.av1)
        return nvenc_append_delimiter(to) &&
               (!headers || nvenc_append(to, codec->headers.data, codec->headers.size)) &&
               nvenc_append_obus(to, codec->packet->data, (size_t)codec->packet->size, false);
    return (!codec->aud || nvenc_append_aud(to, codec->syntax.hevc)) &&
           (!headers || nvenc_append(to, codec->headers.data, codec->headers.size)) &&
           (!codec->syntax.timing ||
            append_timing(to, codec->syntax.fields, picture->place.bottom_first)) &&
           nvenc_append(to, picture->sei.data, picture->sei.size) &&
           (!begins || !codec->recovery_sei || append_recovery(codec, to)) &&
           nvenc_append_slices(to, codec->packet->data, (size_t)codec->packet->size, &codec->syntax,
                               &picture->place);
}

static uint32_t quality_of(const AVPacket *packet)
{
    size_t size = 0;
    uint32_t quality = 0;
    const uint8_t *stats = av_packet_get_side_data(packet, AV_PKT_DATA_QUALITY_STATS, &size);
    if (stats && size >= sizeof(quality))
        memcpy(&quality, stats, sizeof(quality));
    return quality / FF_QP2LAMBDA;
}

static void set_fields(AVFrame *frame, bool top_first)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    frame->flags |= AV_FRAME_FLAG_INTERLACED;
    frame->flags &= ~AV_FRAME_FLAG_TOP_FIELD_FIRST;
    frame->flags |= top_first ? AV_FRAME_FLAG_TOP_FIELD_FIRST : 0;
#else
    frame->interlaced_frame = 1;
    frame->top_field_first = top_first;
#endif
}

static const char *encode_fault(struct nvenc_codec *codec, struct nvenc_picture *picture)
{
    const bool idr = picture->type == NV_ENC_PIC_TYPE_IDR;
    AVFrame *frame = codec->frame;
    if (av_frame_make_writable(frame) < 0)
        return "out of memory";
    read_input(picture, frame);
    frame->pts = codec->count++;
    if (codec->syntax.fields)
        set_fields(frame, !picture->place.bottom_first);
    frame->pict_type = idr ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_P;
    if (codec->control.on && !control_before(codec, picture, idr))
        return "out of memory";
    if (codec->syntax.av1 && memcmp(&picture->rate, &codec->rate, sizeof(picture->rate)) != 0)
        return "another rate in mid-stream, which AV1 has not here";
    if (codec->av->bit_rate > 0)
        rate_set(codec, &picture->rate);
    if (avcodec_send_frame(codec->av, frame) < 0)
        return "the encoder refuses a picture";
    if (avcodec_receive_packet(codec->av, codec->packet) < 0)
        return "the encoder gives no packet";
    const bool key = codec->packet->flags & AV_PKT_FLAG_KEY;
    picture->qp = quality_of(codec->packet);
    control_behind(&codec->control, 8.0 * codec->packet->size, rate_per_picture(&picture->rate),
                   idr);
    /* libavcodec marks recovery points as key frames. */
    const bool begins = key && !idr && codec->refresh_count > 0;
    const bool assembled = assemble(codec, picture, begins);
    av_packet_unref(codec->packet);
    if (key != (idr || begins))
        return "the encoder gives a picture of another type";
    return assembled ? NULL : "the encoder gives another syntax than is known of it";
}

bool nvenc_codec_encode(struct nvenc_codec *codec, struct nvenc_picture *picture)
{
    const char *fault = encode_fault(codec, picture);
    if (fault)
        standin_violation("encoding beneath: %s", fault);
    return !fault;
}
