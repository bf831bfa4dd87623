#include "codec/cpu/encoder_setup.h"

#include <libavutil/opt.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "codec/cpu/avframe.h"
#include "codec/encoder_check.h"

#define SVT_SIZE_MIN 64 /* pixels either way */
#define X265_SIZE_MIN 32
#define X264_INTERVAL_NONE (1 << 30)
/* Where nothing is known: more frames than come between two key frames. The AV1 encoders' rate
 * controls walk through so many at each open; 2^30 takes them seconds. */
#define AV1_INTERVAL_MAX (1 << 20)
/* SVT-AV1 refuses more, libaom's counters overflow. */
#define AV1_BIT_RATE_BPS_MAX 100000000

/* ---- formats --------------------------------------------------------------------------------- */

static enum pixel_format planar_format(int chroma, int depth)
{
    static const enum pixel_format table[3][3] = {
        {PIXEL_YUV420P, PIXEL_YUV420P10, PIXEL_YUV420P12},
        {PIXEL_YUV422P, PIXEL_YUV422P10, PIXEL_YUV422P12},
        {PIXEL_YUV444P, PIXEL_YUV444P10, PIXEL_YUV444P12},
    };
    return table[chroma][(depth - 8) / 2];
}

static bool takes_format(const AVCodec *codec, enum pixel_format format)
{
    const enum AVPixelFormat av = avframe_av_format(format);
    const enum AVPixelFormat *list = NULL;
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(61, 13, 100)
    const void *configs = NULL;
    int count = 0;
    if (avcodec_get_supported_config(NULL, codec, AV_CODEC_CONFIG_PIX_FORMAT, 0, &configs, &count) <
        0)
        return false;
    list = configs;
#else
    list = codec->pix_fmts;
#endif
    for (; list && *list != AV_PIX_FMT_NONE; list++)
        if (*list == av)
            return true;
    return false;
}

/* ---- which encoder --------------------------------------------------------------------------- */

static const struct {
    const char *codec, *encoder;
    enum encoder_kind kind;
} encoders[] = {
    {"h264", "libx264", ENCODER_X264},
    {"hevc", "libx265", ENCODER_X265},
    {"av1", "libsvtav1", ENCODER_SVT},
    {"av1", "libaom-av1", ENCODER_AOM},
};
#define ENCODERS_COUNT (sizeof(encoders) / sizeof(encoders[0]))

/* The encoder of this machine for a codec; `params` (may be NULL) rules out SVT where it cannot. */
static bool find_encoder(const char *codec, const struct encoder_params *params,
                         struct encoder_choice *ret)
{
    for (size_t i = 0; i < ENCODERS_COUNT; i++) {
        if (strcmp(encoders[i].codec, codec) != 0)
            continue;
        const bool lossless = params && encoder_lossless(params);
        const bool small =
            params && (params->width < SVT_SIZE_MIN || params->height < SVT_SIZE_MIN);
        if (encoders[i].kind == ENCODER_SVT && (lossless || small))
            continue;
        const AVCodec *found = avcodec_find_encoder_by_name(encoders[i].encoder);
        if (!found)
            continue;
        *ret = (struct encoder_choice){encoders[i].kind, found};
        return true;
    }
    return false;
}

enum pixel_format encoder_setup_format(const char *codec, const char *profile,
                                       enum pixel_format source)
{
    struct encoder_choice choice;
    const struct pixel_info *info = pixel_info(source);
    if (!info || !find_encoder(codec, NULL, &choice))
        return PIXEL_NONE;
    const struct encoder_profile *p = encoder_profile(codec, profile);
    if (!p) /* open says so */
        p = encoder_profile(codec, NULL);
    int depth = info->depth;
    depth = depth < p->depth_min ? p->depth_min : depth > p->depth_max ? p->depth_max : depth;
    int chroma = encoder_chroma(source);
    chroma = chroma < p->chroma_max ? chroma : p->chroma_max;
    if (depth == info->depth && info->planes == 2 && takes_format(choice.codec, source))
        return source;
    for (; depth >= 8; depth -= 2)
        if (takes_format(choice.codec, planar_format(chroma, depth)))
            return planar_format(chroma, depth);
    return PIXEL_NONE;
}

static int check_rate(const struct encoder_params *params, struct error *err)
{
    const int rc = encoder_check_rate(params, err);
    if (rc == 0 && params->rate != RATE_QUALITY && !strcmp(params->codec, "av1") &&
        params->bit_rate_bps > AV1_BIT_RATE_BPS_MAX)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "av1: a bit rate of %lld kbit/s is above the %d that its encoders take; "
                         "lower --bitrate",
                         (long long)params->bit_rate_bps / 1000, AV1_BIT_RATE_BPS_MAX / 1000);
    return rc;
}

static int check_size(const struct encoder_params *params, enum encoder_kind kind,
                      struct error *err)
{
    const int min = kind == ENCODER_X265 ? X265_SIZE_MIN : 2;
    const int w = params->width, h = params->height;
    const struct pixel_info *info = pixel_info(params->format);
    if (w < min || h < min || w > FRAME_SIZE_MAX || h > FRAME_SIZE_MAX)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "%s: %dx%d is outside %dx%d to %dx%d",
                         params->codec, w, h, min, min, FRAME_SIZE_MAX, FRAME_SIZE_MAX);
    if (w & ((1 << info->shift_x) - 1) || h & ((1 << info->shift_y) - 1))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: %dx%d is odd, which %s cannot be; use even sizes", params->codec, w,
                         h, info->name);
    return 0;
}

static int check_profile(const struct encoder_params *params, const struct encoder_choice *choice,
                         struct error *err)
{
    const struct encoder_profile *p = encoder_profile(params->codec, params->profile);
    if (!p)
        return encoder_profile_unknown(params, err);
    const struct pixel_info *info = pixel_info(params->format);
    const bool named = p->name[0] != '\0';
    if (!takes_format(choice->codec, params->format))
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "%s (%s) does not take %s", params->codec,
                         choice->codec->name, info->name);
    if (named && (info->depth < p->depth_min || info->depth > p->depth_max ||
                  encoder_chroma(params->format) > p->chroma_max))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: profile %s does not take %s; leave --profile out", params->codec,
                         p->name, info->name);
    const int rc = encoder_check_h264(params, err);
    if (rc != 0)
        return rc;
    if (encoder_interlaced(params) && choice->kind != ENCODER_X264)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: interlaced coding is not to be had; deinterlace, or use h264",
                         params->codec);
    return 0;
}

int encoder_setup_choose(const struct encoder_params *params, struct encoder_choice *ret,
                         struct error *err)
{
    struct encoder_choice choice;
    if (!find_encoder(params->codec, NULL, &choice))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "there is no software encoder for \"%s\" on this machine; use h264, hevc "
                         "or av1 and a libavcodec built with libx264, libx265 or libsvtav1",
                         params->codec);
    if (!pixel_info(params->format))
        return error_set(err, RGPU_ERROR_PARAM, "%s: no pixel format is given", params->codec);
    if (!find_encoder(params->codec, params, &choice))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "av1: SVT-AV1 has no lossless coding and no pictures below %dx%d; use a "
                         "--quality of 1 and more, or --codec h264 or hevc",
                         SVT_SIZE_MIN, SVT_SIZE_MIN);
    int rc = check_rate(params, err);
    if (rc == 0)
        rc = check_size(params, choice.kind, err);
    if (rc == 0)
        rc = check_profile(params, &choice, err);
    if (rc == 0)
        rc = encoder_check_refresh(params, err);
    if (rc == 0)
        *ret = choice;
    return rc;
}

bool encoder_setup_real_time(enum encoder_kind kind)
{
    return kind == ENCODER_X264 || kind == ENCODER_X265;
}

bool encoder_setup_key_on_demand(enum encoder_kind kind)
{
    /* SVT-AV1 1.x takes no request through libavcodec; libaom answers one with two key frames. */
    return kind == ENCODER_X264 || kind == ENCODER_X265;
}

/* ---- options --------------------------------------------------------------------------------- */

/* A "key=value:key=value" list for an encoder's own parameters. */
struct list {
    char text[768];
    size_t used;
};

static void list_add(struct list *l, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void list_add(struct list *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (l->used && l->used + 1 < sizeof(l->text))
        l->text[l->used++] = ':';
    const int n = vsnprintf(l->text + l->used, sizeof(l->text) - l->used, format, args);
    va_end(args);
    l->used += (size_t)n;
    if (l->used >= sizeof(l->text))
        l->used = sizeof(l->text) - 1;
}

/* The syntax of x264 and x265, in the units of struct hdr. */
static void add_hdr(struct list *l, const struct hdr *hdr, const char *mastering, const char *light)
{
    if (hdr->has_mastering)
        list_add(l, "%s=G(%u,%u)B(%u,%u)R(%u,%u)WP(%u,%u)L(%u,%u)", mastering, hdr->primary_x[1],
                 hdr->primary_y[1], hdr->primary_x[2], hdr->primary_y[2], hdr->primary_x[0],
                 hdr->primary_y[0], hdr->white_x, hdr->white_y, hdr->luminance_max,
                 hdr->luminance_min);
    if (hdr->has_light_level)
        list_add(l, "%s=%u,%u", light, hdr->max_content_light, hdr->max_average_light);
}

struct options {
    AVDictionary *dict;
    int rc; /* first error */
};

static void set(struct options *o, const char *key, const char *value)
{
    const int rc = av_dict_set(&o->dict, key, value, 0);
    if (o->rc == 0 && rc < 0)
        o->rc = rc;
}

static void set_int(struct options *o, const char *key, int64_t value)
{
    const int rc = av_dict_set_int(&o->dict, key, value, 0);
    if (o->rc == 0 && rc < 0)
        o->rc = rc;
}

static const char *x26x_preset(const struct encoder_params *params)
{
    static const char *const names[] = {"ultrafast", "veryfast", "faster",  "medium",
                                        "slow",      "slower",   "veryslow"};
    return names[encoder_speed(params) - 1];
}

static void x264_options(const struct encoder_params *params, struct options *o)
{
    struct list list = {0};
    set(o, "preset", x26x_preset(params));
    if (params->low_latency)
        set(o, "tune", "zerolatency");
    if (params->profile[0])
        set(o, "profile", params->profile);
    set(o, "forced-idr", "1");
    set(o, "sc_threshold", "0");
    if (params->intra_refresh_frames > 0) {
        set(o, "intra-refresh", "1");
        /* Or blocks that are new would be predicted from old neighbours. */
        list_add(&list, "constrained-intra=1");
    }
    if (params->rate == RATE_QUALITY)
        set_int(o, params->quality ? "crf" : "qp", params->quality);
    add_hdr(&list, &params->hdr, "mastering-display", "cll");
    if (params->field_order == FIELD_BOTTOM_FIRST) /* from the first picture on */
        list_add(&list, "bff=1");
    if (params->timecode_step > 0) /* picture timing, which has room for them */
        list_add(&list, "pic-struct=1");
    if (list.used)
        set(o, "x264-params", list.text);
}

/* Frames that x265 looks ahead with these parameters; it wants more of them than B-frames. */
static int x265_lookahead(const struct encoder_params *params)
{
    static const int frames[] = {5, 15, 15, 20, 25, 40, 40};
    return params->low_latency ? 0 : frames[encoder_speed(params) - 1];
}

static void x265_options(const struct encoder_params *params, struct options *o)
{
    struct list list = {0};
    set(o, "preset", x26x_preset(params));
    if (params->low_latency)
        set(o, "tune", "zerolatency");
    if (params->profile[0])
        set(o, "profile", params->profile);
    set(o, "forced-idr", "1");
    list_add(&list, "log-level=none:scenecut=0:keyint=-1:repeat-headers=1:info=0");
    if (params->bframes > 0 && params->bframes >= x265_lookahead(params))
        list_add(&list, "rc-lookahead=%d", params->bframes + 1);
    if (params->threads > 0)
        list_add(&list, "pools=%d", params->threads);
    if (encoder_lossless(params))
        list_add(&list, "lossless=1");
    else if (params->rate == RATE_QUALITY)
        set_int(o, "crf", params->quality);
    add_hdr(&list, &params->hdr, "master-display", "max-cll");
    set(o, "x265-params", list.text);
}

/* Frames after which an AV1 encoder would make a key frame by itself. It is drained and opened
 * again before that; but it spends its bits as if it were to go on for so long. Frames may come in
 * bursts of several times the usual rate. */
static int av1_interval(const struct encoder_params *params)
{
    const int known = params->gop_frames_usual;
    return known > 0 && known < AV1_INTERVAL_MAX / 8 ? 8 * known : AV1_INTERVAL_MAX;
}

static void svt_options(const struct encoder_params *params, struct options *o)
{
    static const int presets[] = {12, 10, 9, 8, 6, 5, 4};
    struct list list = {0};
    set_int(o, "preset", presets[encoder_speed(params) - 1]);
    if (params->rate == RATE_QUALITY)
        set_int(o, "crf", params->quality);
    /* Without end is for constant quality only. */
    list_add(&list, "scd=0:keyint=%d", params->rate == RATE_QUALITY ? -1 : av1_interval(params));
    if (params->threads > 0)
        list_add(&list, "lp=%d", params->threads);
    /* Its constant bit rate exists only without reordering. */
    if (params->low_latency || params->rate == RATE_CBR)
        list_add(&list, "pred-struct=1");
    if (params->rate != RATE_QUALITY)
        list_add(&list, "rc=%d", params->rate == RATE_CBR ? 2 : 1);
    set(o, "svtav1-params", list.text);
}

static void aom_options(const struct encoder_params *params, struct options *o)
{
    static const int speeds[] = {8, 7, 6, 5, 4, 3, 2};
    set_int(o, "cpu-used", speeds[encoder_speed(params) - 1]);
    set(o, "row-mt", "1");
    if (params->low_latency) {
        set(o, "usage", "realtime");
        set(o, "lag-in-frames", "0");
    }
    if (params->rate == RATE_QUALITY)
        set_int(o, "crf", params->quality);
    if (encoder_lossless(params))
        set(o, "aom-params", "lossless=1");
}

/* ---- open ------------------------------------------------------------------------------------ */

static int clamp_int(int64_t value)
{
    return value > INT_MAX ? INT_MAX : (int)value;
}

static void set_rate(AVCodecContext *ctx, const struct encoder_params *params,
                     enum encoder_kind kind)
{
    int64_t max = params->bit_rate_max_bps;
    ctx->bit_rate = 0;
    if (params->rate == RATE_VBR) {
        ctx->bit_rate = params->bit_rate_bps;
        max = max ? max : params->bit_rate_bps + params->bit_rate_bps / 2;
    } else if (params->rate == RATE_CBR) {
        ctx->bit_rate = params->bit_rate_bps;
        max = params->bit_rate_bps;
    }
    /* SVT-AV1 refuses a maximum beside a target. */
    if (!max || (kind == ENCODER_SVT && params->rate != RATE_QUALITY))
        return;
    ctx->rc_max_rate = max;
    if (params->rate == RATE_CBR && kind == ENCODER_AOM)
        ctx->rc_min_rate = max;
    ctx->rc_buffer_size = clamp_int(params->vbv_bits ? params->vbv_bits : 2 * max);
}

static void set_context(AVCodecContext *ctx, const struct encoder_params *params,
                        enum encoder_kind kind)
{
    const struct rational frames = encoder_frame_rate(params);
    const AVRational rate = {frames.num, frames.den};
    ctx->width = params->width;
    ctx->height = params->height;
    ctx->pix_fmt = avframe_av_format(params->format);
    ctx->framerate = rate;
    ctx->time_base = encoder_setup_real_time(kind)
                         ? (AVRational){params->time_base.num, params->time_base.den}
                         : av_inv_q(rate);
    ctx->sample_aspect_ratio =
        params->sample_aspect.num > 0 && params->sample_aspect.den > 0
            ? (AVRational){params->sample_aspect.num, params->sample_aspect.den}
            : (AVRational){0, 1};
    avframe_set_color(ctx, &params->color);
    ctx->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_CLOSED_GOP;
    if (encoder_interlaced(params)) {
        ctx->flags |= AV_CODEC_FLAG_INTERLACED_DCT | AV_CODEC_FLAG_INTERLACED_ME;
        ctx->field_order = params->field_order == FIELD_TOP_FIRST ? AV_FIELD_TT : AV_FIELD_BB;
    }
    /* What encoders tell of each run is of no interest to a program that shows libavcodec's lines.
     */
    ctx->log_level_offset = AV_LOG_VERBOSE - AV_LOG_INFO;
    ctx->thread_count = params->threads > 0 ? params->threads : 0;
    if (kind == ENCODER_X265 && params->low_latency)
        ctx->thread_count = 1;
    if (params->bframes >= 0 && encoder_setup_real_time(kind))
        ctx->max_b_frames = params->bframes;
    if (params->intra_refresh_frames > 0)
        ctx->max_b_frames = 0;
    if (kind == ENCODER_X264)
        ctx->gop_size =
            params->intra_refresh_frames > 0 ? params->intra_refresh_frames : X264_INTERVAL_NONE;
    if (kind == ENCODER_AOM)
        ctx->gop_size = ctx->keyint_min = av1_interval(params);
    set_rate(ctx, params, kind);
}

static void set_options(const struct encoder_params *params, enum encoder_kind kind,
                        struct options *o)
{
    switch (kind) {
    case ENCODER_X264:
        x264_options(params, o);
        break;
    case ENCODER_X265:
        x265_options(params, o);
        break;
    case ENCODER_SVT:
        svt_options(params, o);
        break;
    case ENCODER_AOM:
        aom_options(params, o);
        break;
    }
}

static int open_context(AVCodecContext *ctx, const struct encoder_params *params,
                        const struct encoder_choice *choice, struct error *err)
{
    struct options o = {0};
    set_context(ctx, params, choice->kind);
    set_options(params, choice->kind, &o);
    int rc = o.rc;
    if (rc >= 0)
        rc = avcodec_open2(ctx, choice->codec, &o.dict);
    const AVDictionaryEntry *left = av_dict_get(o.dict, "", NULL, AV_DICT_IGNORE_SUFFIX);
    int code = 0;
    if (rc == AVERROR(ENOMEM))
        code = error_memory(err, "an encoder");
    else if (rc < 0)
        code =
            error_set(err, RGPU_ERROR_UNSUPPORTED, "%s refuses %dx%d %s with these parameters (%s)",
                      choice->codec->name, params->width, params->height,
                      pixel_info(params->format)->name, av_err2str(rc));
    else if (left)
        code = error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s of this libavcodec has no option \"%s\"; use version 5.1 or newer",
                         choice->codec->name, left->key);
    av_dict_free(&o.dict);
    return code;
}

int encoder_setup_open(const struct encoder_params *params, const struct encoder_choice *choice,
                       AVCodecContext **ret, struct error *err)
{
    AVCodecContext *ctx = avcodec_alloc_context3(choice->codec);
    if (!ctx)
        return error_memory(err, "an encoder");
    const int rc = open_context(ctx, params, choice, err);
    if (rc != 0) {
        avcodec_free_context(&ctx);
        return rc;
    }
    *ret = ctx;
    return 0;
}
