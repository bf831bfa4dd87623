#include "api/rung.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define BITRATE_KBPS_MAX 1000000
#define FPS_MAX 1000
#define BFRAMES_MAX 16
#define FACTOR_TOLERANCE 1e-6 /* far less than a pixel of the largest picture */

static const struct rgpu_preset presets[] = {
    {"4k60", 3840, 2160, 60, 24000}, {"4k", 3840, 2160, 30, 16000},
    {"1440p", 2560, 1440, 30, 9000}, {"1080p60", 1920, 1080, 60, 7500},
    {"1080p", 1920, 1080, 30, 5000}, {"720p60", 1280, 720, 60, 4200},
    {"720p", 1280, 720, 30, 2800},   {"480p", 854, 480, 30, 1400},
    {"360p", 640, 360, 30, 800},     {"240p", 426, 240, 30, 400},
};

/* Codecs, what they need of H.264's bit rate for the same picture, and their constant quality: the
 * usual one and the end of the scale. */
static const struct codec_choice {
    const char *name, *nvenc_name;
    double bitrate_factor;
    int quality, quality_max;
    bool has_bframes;     /* the number of them in a row can be given */
    const char *profiles; /* that any device may have */
} codecs[] = {
    {"h264", "h264_nvenc", 1.0, 23, 51, true, "baseline, main, high, high10, high422, high444"},
    {"hevc", "hevc_nvenc", 0.6, 26, 51, true,
     "main, main10, main12, main422-10, main422-12, main444-8, main444-10, main444-12"},
    {"av1", "av1_nvenc", 0.5, 32, 63, false, "main"},
};

const struct rgpu_preset *rgpu_preset(int i)
{
    return i >= 0 && (size_t)i < sizeof(presets) / sizeof(presets[0]) ? &presets[i] : NULL;
}

const struct rgpu_preset *rgpu_preset_find(const char *name)
{
    for (size_t i = 0; name && i < sizeof(presets) / sizeof(presets[0]); i++)
        if (!strcmp(presets[i].name, name))
            return &presets[i];
    return NULL;
}

static const struct codec_choice *find_codec(const char *name)
{
    if (!name)
        return &codecs[0];
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        if (!strcmp(codecs[i].name, name) || !strcmp(codecs[i].nvenc_name, name))
            return &codecs[i];
    return NULL;
}

static int even(double x)
{
    int n = (int)(2 * floor(x / 2 + 0.5));
    return n < 2 ? 2 : n;
}

/* Fits the source into a box (0: free). The sample aspect ratio stays, so both sides of the coded
 * picture take the same factor; a box is for the display, and is turned for upright pictures. False
 * where the box is larger, and was not to be filled. */
static bool fit(const struct track *source, int box_width, int box_height, bool turn, bool upscale,
                int *ret_width, int *ret_height)
{
    const double sar = source->sample_aspect.num > 0 && source->sample_aspect.den > 0
                           ? rational_double(source->sample_aspect)
                           : 1.0;
    const double width = source->width * sar, height = source->height;
    if (turn && width < height) {
        int swap = box_width;
        box_width = box_height;
        box_height = swap;
    }
    double factor = 1e9;
    if (box_width)
        factor = fmin(factor, box_width / width);
    if (box_height)
        factor = fmin(factor, box_height / height);
    if (!box_width && !box_height)
        factor = 1;
    const bool is_cut = factor > 1 + FACTOR_TOLERANCE && !upscale;
    if (factor > 1 && !upscale)
        factor = 1;
    *ret_width = even(source->width * factor);
    *ret_height = even(source->height * factor);
    /* Rounding to even may not go over the source or the box by a pixel pair. */
    if (factor <= 1 && *ret_width > source->width)
        *ret_width = source->width > 1 ? source->width / 2 * 2 : 2;
    if (factor <= 1 && *ret_height > source->height)
        *ret_height = source->height > 1 ? source->height / 2 * 2 : 2;
    if (box_width > 2 && *ret_width * sar >= box_width + 1)
        *ret_width -= 2;
    if (box_height > 2 && *ret_height > box_height)
        *ret_height -= 2;
    return !is_cut;
}

/* Whether a list of names has this one. */
static bool is_listed(const char *names, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = names; *at; at += strcspn(at, ","), at += strspn(at, ", "))
        if (length == strcspn(at, ",") && !strncmp(at, name, length))
            return true;
    return false;
}

static int check(const struct rgpu_rung *want, struct error *err)
{
    if (want->preset && strcmp(want->preset, "source") != 0 && !rgpu_preset_find(want->preset))
        return error_set(err, RGPU_ERROR_PARAM,
                         "no such preset: %s (there are 240p, 360p, 480p, 720p, 720p60, 1080p, "
                         "1080p60, 1440p, 4k, 4k60 and source)",
                         want->preset);
    const struct codec_choice *codec = find_codec(want->codec);
    if (!codec)
        return error_set(err, RGPU_ERROR_PARAM, "no such codec: %s (there are h264, hevc and av1)",
                         want->codec);
    if (want->width < 0 || want->height < 0 || want->width > FRAME_SIZE_MAX ||
        want->height > FRAME_SIZE_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "size %dx%d is outside 2x2 to %dx%d", want->width,
                         want->height, FRAME_SIZE_MAX, FRAME_SIZE_MAX);
    if (want->bitrate_kbps < 0 || want->bitrate_kbps > BITRATE_KBPS_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "bit rate %d kbit/s is outside 1 to %d",
                         want->bitrate_kbps, BITRATE_KBPS_MAX);
    if (want->quality < RGPU_QUALITY_LOSSLESS || want->quality > codec->quality_max)
        return error_set(err, RGPU_ERROR_PARAM, "quality %d is outside 1 to %d, the scale of %s",
                         want->quality, codec->quality_max, codec->name);
    if (!(want->fps_max >= 0 && want->fps_max <= FPS_MAX))
        return error_set(err, RGPU_ERROR_PARAM, "frame rate %g is outside 0 to %d", want->fps_max,
                         FPS_MAX);
    if (want->speed < 0 || want->speed > 7)
        return error_set(err, RGPU_ERROR_PARAM, "speed p%d is outside p1 to p7", want->speed);
    if (want->bframes < -1 || want->bframes > BFRAMES_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "%d B-frames is outside 0 to %d", want->bframes,
                         BFRAMES_MAX);
    if (want->bframes && !codec->has_bframes)
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s has no B-frames to be counted; leave --bframes out, or use --codec "
                         "h264 or hevc",
                         codec->name);
    if (want->profile && *want->profile && !is_listed(codec->profiles, want->profile))
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s has no profile \"%.64s\"; give --profile one of %s", codec->name,
                         want->profile, codec->profiles);
    return 0;
}

static void choose_rate(struct rendition_params *r, const struct rgpu_rung *want,
                        const struct rgpu_preset *preset, const struct codec_choice *codec)
{
    int64_t bit_rate = (int64_t)want->bitrate_kbps * 1000;
    if (!bit_rate && preset) {
        /* A picture smaller than the preset's, because the source is, needs less; bits grow with
         * the power 0.75 of the number of pixels. */
        double part = (double)r->width * r->height / ((double)preset->width * preset->height);
        bit_rate = (int64_t)(preset->bitrate_kbps * 1000.0 * codec->bitrate_factor *
                             (part < 1 ? pow(part, 0.75) : 1));
    }
    if (want->quality) {
        r->rate = RATE_QUALITY;
        r->quality = want->quality == RGPU_QUALITY_LOSSLESS ? 0 : want->quality;
    } else if (bit_rate) {
        r->rate = RATE_VBR;
        r->bit_rate_bps = bit_rate;
    } else {
        r->rate = RATE_QUALITY;
        r->quality = codec->quality;
    }
}

int rung_resolve(struct rung *ret, const struct rgpu_rung *want, const struct rung_context *context,
                 struct error *err)
{
    int code = check(want, err);
    if (code != 0)
        return code;
    struct rung rung = {0};
    if (want->preset && !strcmp(want->preset, "source")) {
        rung.is_source = true;
        snprintf(rung.name, sizeof(rung.name), "source");
        snprintf(rung.rendition.codec, sizeof(rung.rendition.codec), "%s", context->source->codec);
        rung.rendition.width = context->source->width;
        rung.rendition.height = context->source->height;
        *ret = rung;
        return 0;
    }
    const struct rgpu_preset *preset = rgpu_preset_find(want->preset);
    const struct codec_choice *codec = find_codec(want->codec);
    struct rendition_params *r = &rung.rendition;
    snprintf(r->codec, sizeof(r->codec), "%s", codec->name);
    snprintf(r->profile, sizeof(r->profile), "%s", want->profile ? want->profile : "");
    const bool sized = want->width || want->height;
    const bool fits = fit(context->source,
                          sized    ? want->width
                          : preset ? preset->width
                                   : 0,
                          sized    ? want->height
                          : preset ? preset->height
                                   : 0,
                          !sized, context->upscale, &r->width, &r->height);
    rung.is_cut = sized && !fits;
    rung.wanted_width = want->width;
    rung.wanted_height = want->height;
    const double fps = want->fps_max > 0 ? want->fps_max : preset ? preset->fps_max : 0;
    if (fps > 0)
        r->frame_rate_max = rational_reduce((int64_t)llround(fps * 1001000), 1001000);
    choose_rate(r, want, preset, codec);
    r->speed = want->speed;
    r->bframes = want->bframes == 0 ? -1 : want->bframes == -1 ? 0 : want->bframes;
    r->low_latency = context->low_latency;
    if (preset)
        snprintf(rung.name, sizeof(rung.name), "%s", preset->name);
    else
        snprintf(rung.name, sizeof(rung.name), "%dp", r->width < r->height ? r->width : r->height);
    *ret = rung;
    return 0;
}

/* Two rungs that viewers could not tell apart but for their bit rate. */
static bool alike(const struct rung *a, const struct rung *b)
{
    return !a->is_source && !b->is_source && a->rendition.width == b->rendition.width &&
           a->rendition.height == b->rendition.height &&
           !strcmp(a->rendition.codec, b->rendition.codec) &&
           a->rendition.frame_rate_max.num == b->rendition.frame_rate_max.num &&
           a->rendition.frame_rate_max.den == b->rendition.frame_rate_max.den;
}

static bool from_preset(const struct rgpu_rung *want)
{
    return want->preset && !want->width && !want->height && strcmp(want->preset, "source") != 0;
}

static_assert(sizeof(((struct rung *)0)->name) == sizeof(((struct rendition_params *)0)->name),
              "the same name");

static void make_unique(struct rung *rungs, int count)
{
    for (int i = 1; i < count; i++) {
        int number = 1;
        for (int k = 0; k < i; k++)
            number += !strncmp(rungs[k].name, rungs[i].name, strlen(rungs[i].name)) &&
                      (rungs[k].name[strlen(rungs[i].name)] == '\0' ||
                       rungs[k].name[strlen(rungs[i].name)] == '-');
        size_t length = strlen(rungs[i].name);
        if (number > 1)
            snprintf(rungs[i].name + length, sizeof(rungs[i].name) - length, "-%d", number);
    }
    for (int i = 0; i < count; i++)
        memcpy(rungs[i].rendition.name, rungs[i].name, sizeof(rungs[i].name));
}

int rung_check_ladder(const struct rgpu_rung *want, int count, struct error *err)
{
    int ret = 0, sources = 0;
    if (count < 0 || count > RENDITIONS_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "a ladder has at most %d rungs", RENDITIONS_MAX);
    for (int i = 0; i < count && ret == 0; i++) {
        sources += want[i].preset && !strcmp(want[i].preset, "source");
        ret = check(&want[i], err);
    }
    if (ret == 0 && sources > 1)
        ret = error_set(err, RGPU_ERROR_PARAM, "a ladder has at most one source rung");
    return ret;
}

int rung_check_refresh(const struct rgpu_rung *want, int count, struct error *err)
{
    for (int i = 0; i < count; i++) {
        const struct codec_choice *codec = find_codec(want[i].codec);
        if (want[i].preset && !strcmp(want[i].preset, "source"))
            continue;
        if (codec && strcmp(codec->name, "h264") != 0)
            return error_set(err, RGPU_ERROR_PARAM,
                             "%s has no intra refresh here; leave --intra-refresh out, or use "
                             "--codec h264",
                             codec->name);
        if (want[i].bframes > 0)
            return error_set(err, RGPU_ERROR_PARAM,
                             "intra refresh and B-frames exclude each other; leave --bframes or "
                             "--intra-refresh out");
    }
    return 0;
}

const char *rung_size_text(const struct rung *rung, char ret[RUNG_SIZE_TEXT_MAX])
{
    const int width = rung->wanted_width, height = rung->wanted_height;
    if (width && height)
        snprintf(ret, RUNG_SIZE_TEXT_MAX, "%dx%d", width, height);
    else
        snprintf(ret, RUNG_SIZE_TEXT_MAX, width ? "%dx" : "x%d", width ? width : height);
    return ret;
}

int rung_resolve_ladder(struct rung ret[RENDITIONS_MAX], int *ret_count, int *ret_dropped,
                        const struct rgpu_rung *want, int count, const struct rung_context *context,
                        struct error *err)
{
    static const struct rgpu_rung as_source = {0};
    int checked = rung_check_ladder(want, count, err);
    if (checked != 0)
        return checked;
    if (count == 0) {
        want = &as_source;
        count = 1;
    }
    bool preset[RENDITIONS_MAX];
    int kept = 0, dropped = 0;
    for (int i = 0; i < count; i++) {
        struct rung rung;
        int code = rung_resolve(&rung, &want[i], context, err);
        if (code != 0)
            return code;
        int same = 0;
        while (same < kept && !(from_preset(&want[i]) && preset[same] && alike(&ret[same], &rung)))
            same++;
        if (same == kept) {
            preset[kept] = from_preset(&want[i]);
            ret[kept++] = rung;
            continue;
        }
        dropped++;
        if (rung.rendition.bit_rate_bps < ret[same].rendition.bit_rate_bps)
            ret[same] = rung;
    }
    make_unique(ret, kept);
    *ret_count = kept;
    *ret_dropped = dropped;
    return 0;
}
