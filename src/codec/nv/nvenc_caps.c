#include "codec/nv/nvenc_caps.h"

#include <limits.h>
#include <string.h>

#include "codec/encoder_check.h"

#define MACROBLOCK 16
#define FIELD_LINES 4 /* H.264 7.4.2.1.1: what CropUnitY is for fields in 4:2:0 */
#define CODECS_MAX 16 /* that a device is asked for */

/* ---- codecs, profiles, formats --------------------------------------------------------------- */

static const struct {
    const char *codec;
    const GUID *guid;
} codecs[] = {
    {"h264", &NV_ENC_CODEC_H264_GUID},
    {"hevc", &NV_ENC_CODEC_HEVC_GUID},
#if GPU_ENCODE_API(12, 0)
    {"av1", &NV_ENC_CODEC_AV1_GUID},
#endif
};
#define CODECS_COUNT (sizeof(codecs) / sizeof(codecs[0]))

/* For 4:2:0. Depths are as encoder_profile's, but for the most that NVENC has for the codec. The
 * first that fits is taken where none is named. */
static const struct profile {
    const char *codec, *name;
    const GUID *guid;
    uint8_t depth_min, depth_max;
    bool lossless;
} profiles[] = {
    {"h264", "high", &NV_ENC_H264_PROFILE_HIGH_GUID, 8, 8, false},
    {"h264", "main", &NV_ENC_H264_PROFILE_MAIN_GUID, 8, 8, false},
    {"h264", "baseline", &NV_ENC_H264_PROFILE_BASELINE_GUID, 8, 8, false},
    {"h264", "high444", &NV_ENC_H264_PROFILE_HIGH_444_GUID, 8, 8, true},
    {"hevc", "main", &NV_ENC_HEVC_PROFILE_MAIN_GUID, 8, 8, true},
    {"hevc", "main10", &NV_ENC_HEVC_PROFILE_MAIN10_GUID, 10, 10, true},
#if GPU_ENCODE_API(12, 0)
    {"av1", "main", &NV_ENC_AV1_PROFILE_MAIN_GUID, 8, 10, true},
#endif
};
#define PROFILES_COUNT (sizeof(profiles) / sizeof(profiles[0]))

const GUID *nvenc_codec_guid(const char *codec)
{
    for (size_t i = 0; i < CODECS_COUNT; i++)
        if (!strcmp(codecs[i].codec, codec))
            return codecs[i].guid;
    return NULL;
}

static const struct profile *find_profile(const char *codec, const char *name, int depth,
                                          bool lossless)
{
    for (size_t i = 0; i < PROFILES_COUNT; i++) {
        const struct profile *p = &profiles[i];
        if (strcmp(p->codec, codec) != 0 || (name && *name && strcmp(p->name, name) != 0))
            continue;
        if (depth >= p->depth_min && depth <= p->depth_max && (!lossless || p->lossless))
            return p;
    }
    return NULL;
}

const GUID *nvenc_profile_guid(const struct encoder_params *params)
{
    const struct profile *p =
        find_profile(params->codec, params->profile, pixel_info(params->format)->depth,
                     encoder_lossless(params));
    return p ? p->guid : NULL;
}

enum pixel_format nvenc_format(const char *codec, const char *profile, enum pixel_format source)
{
    const struct pixel_info *info = pixel_info(source);
    if (!info || !nvenc_codec_guid(codec))
        return PIXEL_NONE;
    const bool ten = find_profile(codec, profile, 10, false) != NULL;
    const bool eight = find_profile(codec, profile, 8, false) != NULL;
    if (ten && (info->depth > 8 || !eight))
        return PIXEL_P010;
    return eight ? PIXEL_NV12 : PIXEL_NONE;
}

/* ---- capabilities ---------------------------------------------------------------------------- */

/* A session that is asked one thing after the other. */
struct query {
    const struct gpu_encode *api;
    void *session;
    const GUID *codec;
    NVENCSTATUS status; /* the first that was no success */
};

static int ask(struct query *q, NV_ENC_CAPS what)
{
    NV_ENC_CAPS_PARAM param = {.version = NV_ENC_CAPS_PARAM_VER, .capsToQuery = what};
    int value = 0;
    const NVENCSTATUS status =
        q->api->functions.nvEncGetEncodeCaps(q->session, *q->codec, &param, &value);
    if (status == NV_ENC_SUCCESS)
        return value;
    if (q->status == NV_ENC_SUCCESS)
        q->status = status;
    return 0;
}

static bool has_codec(struct query *q)
{
    GUID guids[CODECS_MAX];
    uint32_t count = 0;
    q->status = q->api->functions.nvEncGetEncodeGUIDs(q->session, guids, CODECS_MAX, &count);
    if (q->status != NV_ENC_SUCCESS)
        return false;
    for (uint32_t i = 0; i < count && i < CODECS_MAX; i++)
        if (!memcmp(&guids[i], q->codec, sizeof(GUID)))
            return true;
    return false;
}

static struct nvenc_caps ask_all(struct query *q)
{
    /* 1: each B-frame may be referred to, 2: the middle one, 3: both. */
    const int reference = ask(q, NV_ENC_CAPS_SUPPORT_BFRAME_REF_MODE);
    return (struct nvenc_caps){
        .width_min = ask(q, NV_ENC_CAPS_WIDTH_MIN),
        .width_max = ask(q, NV_ENC_CAPS_WIDTH_MAX),
        .height_min = ask(q, NV_ENC_CAPS_HEIGHT_MIN),
        .height_max = ask(q, NV_ENC_CAPS_HEIGHT_MAX),
        .macroblocks_max = ask(q, NV_ENC_CAPS_MB_NUM_MAX),
        .bframes_max = ask(q, NV_ENC_CAPS_NUM_MAX_BFRAMES),
        .bframe_reference = (reference & 2) != 0,
        .ten_bit = ask(q, NV_ENC_CAPS_SUPPORT_10BIT_ENCODE) != 0,
        .lossless = ask(q, NV_ENC_CAPS_SUPPORT_LOSSLESS_ENCODE) != 0,
        .fields = ask(q, NV_ENC_CAPS_SUPPORT_FIELD_ENCODING) != 0,
        .lookahead = ask(q, NV_ENC_CAPS_SUPPORT_LOOKAHEAD) != 0,
        .temporal_aq = ask(q, NV_ENC_CAPS_SUPPORT_TEMPORAL_AQ) != 0,
        .intra_refresh = ask(q, NV_ENC_CAPS_SUPPORT_INTRA_REFRESH) != 0,
        .custom_vbv = ask(q, NV_ENC_CAPS_SUPPORT_CUSTOM_VBV_BUF_SIZE) != 0,
        .dynamic_bit_rate = ask(q, NV_ENC_CAPS_SUPPORT_DYN_BITRATE_CHANGE) != 0,
        .dynamic_size = ask(q, NV_ENC_CAPS_SUPPORT_DYN_RES_CHANGE) != 0,
    };
}

/* UNSUPPORTED for a codec that NVENC has not, in this build or at all. */
static int no_codec(const char *codec, struct error *err)
{
    if (!strcmp(codec, "av1"))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "av1: this program was built with headers of NVENC API %d.%d, which has "
                         "none; use a build with 12.0 or later, or --codec h264 or hevc",
                         NVENCAPI_MAJOR_VERSION, NVENCAPI_MINOR_VERSION);
    return error_set(err, RGPU_ERROR_UNSUPPORTED,
                     "there is no NVENC encoder for \"%s\"; use h264, hevc or av1", codec);
}

int nvenc_caps(struct nvenc_caps *ret, const struct gpu_encode *api, void *session,
               const char *codec, struct error *err)
{
    struct query q = {
        .api = api,
        .session = session,
        .codec = nvenc_codec_guid(codec),
        .status = NV_ENC_SUCCESS,
    };
    if (!q.codec)
        return no_codec(codec, err);
    const bool has = has_codec(&q);
    if (!has && q.status == NV_ENC_SUCCESS)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: this GPU's encoder does not have it; use --codec h264%s", codec,
                         strcmp(codec, "av1") ? "" : " or hevc");
    struct nvenc_caps caps = {0};
    if (has)
        caps = ask_all(&q);
    if (q.status != NV_ENC_SUCCESS) {
        /* Whatever the status: a question that fails says nothing about the device. */
        gpu_encode_error(err, q.status, "NVENC does not say what it can do", session);
        return error_mark(err, RGPU_ERROR_DEVICE);
    }
    *ret = caps;
    return 0;
}

/* ---- check ----------------------------------------------------------------------------------- */

static int64_t macroblocks(int width, int height)
{
    return ((int64_t)width + MACROBLOCK - 1) / MACROBLOCK *
           (((int64_t)height + MACROBLOCK - 1) / MACROBLOCK);
}

bool nvenc_size_fits(int width, int height, const struct nvenc_caps *caps)
{
    return width <= caps->width_max && height <= caps->height_max &&
           (caps->macroblocks_max <= 0 || macroblocks(width, height) <= caps->macroblocks_max);
}

static int check_size(const struct encoder_params *params, const struct nvenc_caps *caps,
                      struct error *err)
{
    const char *codec = params->codec;
    const int w = params->width, h = params->height;
    if (w <= 0 || h <= 0)
        return error_set(err, RGPU_ERROR_PARAM, "%s: %dx%d is no size", codec, w, h);
    if (w < caps->width_min || h < caps->height_min)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: %dx%d is below %dx%d, the least that this GPU encodes; use a larger "
                         "size",
                         codec, w, h, caps->width_min, caps->height_min);
    if (w > caps->width_max || h > caps->height_max)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: %dx%d is above %dx%d, the most that this GPU encodes; use a smaller "
                         "size",
                         codec, w, h, caps->width_max, caps->height_max);
    if (!nvenc_size_fits(w, h, caps))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: %dx%d is %lld macroblocks, more than the %d that this GPU encodes; "
                         "use a smaller size",
                         codec, w, h, (long long)macroblocks(w, h), caps->macroblocks_max);
    if (w % 2 || h % 2)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: %dx%d is odd, which %s cannot be; use even sizes", codec, w, h,
                         pixel_info(params->format)->name);
    return 0;
}

static int no_ten_bit(const char *codec, struct error *err)
{
    if (!strcmp(codec, "h264"))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "h264: NVENC codes it with 8 bits only; give --profile high for 8 bits, "
                         "or --codec hevc");
    return error_set(err, RGPU_ERROR_UNSUPPORTED,
                     "%s: this GPU's encoder has no 10-bit coding; give --profile main%s", codec,
                     strcmp(codec, "av1") ? " for 8 bits" : " with --codec hevc for 8 bits");
}

static int check_profile(const struct encoder_params *params, const struct nvenc_caps *caps,
                         struct error *err)
{
    const struct pixel_info *info = pixel_info(params->format);
    if (!info)
        return error_set(err, RGPU_ERROR_PARAM, "%s: no pixel format is given", params->codec);
    if (!encoder_profile(params->codec, params->profile))
        return encoder_profile_unknown(params, err);
    /* Planar where no other format was to be had for the source. */
    const bool ten = params->format == PIXEL_P010 || params->format == PIXEL_YUV420P10;
    const bool h264 = !strcmp(params->codec, "h264");
    if (ten && !params->profile[0] && (h264 || !caps->ten_bit))
        return no_ten_bit(params->codec, err);
    if (params->format != PIXEL_NV12 && params->format != PIXEL_P010)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "%s (NVENC) does not take %s", params->codec,
                         info->name);
    const int rc = encoder_check_h264(params, err);
    if (rc != 0 || nvenc_profile_guid(params))
        return rc;
    if (nvenc_format(params->codec, params->profile, params->format) == PIXEL_NONE)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: NVENC is not used for profile %s; leave --profile out, or encode on "
                         "the CPU",
                         params->codec, params->profile);
    return error_set(err, RGPU_ERROR_UNSUPPORTED, "%s: %s%s does not take %s; leave --profile out",
                     params->codec, params->profile[0] ? "profile " : "NVENC", params->profile,
                     info->name);
}

/* What is asked for beside rates, size and profile. */
static int check_tools(const struct encoder_params *params, const struct nvenc_caps *caps,
                       struct error *err)
{
    const char *codec = params->codec;
    if (params->format == PIXEL_P010 && !caps->ten_bit)
        return no_ten_bit(codec, err);
    if (encoder_lossless(params) && !caps->lossless)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: this GPU's encoder has no lossless coding; use a --quality of 1 and "
                         "more",
                         codec);
    if (encoder_interlaced(params) && (strcmp(codec, "h264") != 0 || !caps->fields))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: interlaced coding is not to be had from this GPU's encoder; "
                         "deinterlace, or encode on the CPU",
                         codec);
    if (encoder_interlaced(params) && params->height % FIELD_LINES)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: interlaced pictures of %d lines cannot be coded, only multiples of "
                         "%d; deinterlace, or give another size",
                         codec, params->height, FIELD_LINES);
    if (strcmp(codec, "av1") != 0 && !params->low_latency && params->bframes > caps->bframes_max)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: %d B-frames in a row are more than the %d of this GPU's encoder; "
                         "lower --bframes",
                         codec, params->bframes, caps->bframes_max);
    if (params->intra_refresh_frames > 0 && !caps->intra_refresh)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: this GPU's encoder has no intra refresh; leave --intra-refresh out",
                         codec);
    if (params->vbv_bits > 0 && !encoder_lossless(params) && !caps->custom_vbv)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: this GPU's encoder cannot be given the size of the rate buffer, "
                         "which --bitrate has; give --quality, or encode on the CPU",
                         codec);
    return 0;
}

int nvenc_check(const struct encoder_params *params, const struct nvenc_caps *caps,
                struct error *err)
{
    if (!nvenc_codec_guid(params->codec))
        return no_codec(params->codec, err);
    int rc = encoder_check_rate(params, err);
    /* Within the range of NVENC's fields, and far above what any level allows. */
    if (rc == 0 && params->rate != RATE_QUALITY && params->bit_rate_bps > INT32_MAX)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s: a bit rate of %lld kbit/s is above the %d that NVENC takes; lower "
                         "--bitrate",
                         params->codec, (long long)params->bit_rate_bps / 1000, INT32_MAX / 1000);
    if (rc == 0)
        rc = check_profile(params, caps, err);
    if (rc == 0)
        rc = encoder_check_refresh(params, err);
    if (rc == 0)
        rc = check_size(params, caps, err);
    if (rc == 0)
        rc = check_tools(params, caps, err);
    return rc;
}
