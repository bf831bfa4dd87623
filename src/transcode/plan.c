#include "transcode/plan.h"

#include "media/bucket.h"
#include "media/rate_cap.h"
#include "transcode/picture.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool rational_sane(struct rational r)
{
    return r.num >= 0 && r.den >= 0;
}

static int check_rendition(const struct rendition_params *r, int index,
                           const struct codec_backend *backend, int device,
                           enum pixel_format source, struct error *err)
{
    if (r->width < 2 || r->height < 2 || r->width > FRAME_SIZE_MAX || r->height > FRAME_SIZE_MAX ||
        r->width % 2 || r->height % 2)
        return error_set(err, RGPU_ERROR_PARAM,
                         "rendition %d: size %dx%d: give even numbers from 2 to %d", index,
                         r->width, r->height, FRAME_SIZE_MAX);
    if (!rational_sane(r->frame_rate_max))
        return error_set(err, RGPU_ERROR_PARAM, "rendition %d: frame rate %d/%d is negative", index,
                         r->frame_rate_max.num, r->frame_rate_max.den);
    if (r->bit_rate_bps < 0 || r->bit_rate_bps > BIT_RATE_BPS_MAX || r->bit_rate_max_bps < 0 ||
        r->bit_rate_max_bps > BIT_RATE_BPS_MAX || r->vbv_bits < 0 || r->vbv_bits > BIT_RATE_BPS_MAX)
        return error_set(err, RGPU_ERROR_PARAM,
                         "rendition %d: bit rates and buffer: give 0 to %lld bit/s", index,
                         (long long)BIT_RATE_BPS_MAX);
    if (!memchr(r->codec, 0, sizeof(r->codec)) || !memchr(r->profile, 0, sizeof(r->profile)))
        return error_set(err, RGPU_ERROR_PARAM, "rendition %d: codec or profile is not a string",
                         index);
    /* Where the source's format is not known yet, the commonest stands in for it. */
    if (backend->encoder->format(device, r->codec, r->profile, source ? source : PIXEL_YUV420P) ==
        PIXEL_NONE)
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "%s has no encoder for codec '%s'%s%s",
                         backend->name, r->codec, r->profile[0] ? ", profile " : "", r->profile);
    return 0;
}

int plan_check(const struct session_params *params, const struct codec_backend *backend,
               struct error *err)
{
    const struct track *source = &params->source;
    if (params->renditions_count < 1 || params->renditions_count > RENDITIONS_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "%d renditions: give 1 to %d",
                         params->renditions_count, RENDITIONS_MAX);
    if (source->time_base.num < 1 || source->time_base.den < 1)
        return error_set(err, RGPU_ERROR_PARAM, "time base %d/%d of the source is not positive",
                         source->time_base.num, source->time_base.den);
    if (!rational_sane(source->frame_rate))
        return error_set(err, RGPU_ERROR_PARAM, "frame rate %d/%d of the source is negative",
                         source->frame_rate.num, source->frame_rate.den);
    const struct track *picture = &params->picture;
    if (picture->format != PIXEL_NONE &&
        (!pixel_info(picture->format) || picture->width < 1 || picture->height < 1 ||
         picture->width > FRAME_SIZE_MAX || picture->height > FRAME_SIZE_MAX))
        return error_set(err, RGPU_ERROR_PARAM, "a picture of %dx%d in format %d is not possible",
                         picture->width, picture->height, (int)picture->format);
    if (params->gop_us < 0 || params->threads < 0 || params->threads > SESSION_THREADS_MAX)
        return error_set(err, RGPU_ERROR_PARAM,
                         "key frame distance: give 0 or more; threads: 0 to %d",
                         SESSION_THREADS_MAX);
    for (int i = 0; i < params->renditions_count; i++) {
        int r = check_rendition(&params->renditions[i], i, backend, params->device, source->format,
                                err);
        if (r)
            return r;
    }
    return 0;
}

struct rational plan_aspect(struct rational source, int width, int height, int out_width,
                            int out_height)
{
    if (source.num <= 0 || source.den <= 0)
        return (struct rational){0, 1};
    /* Sizes are at most 2^14, so these are at most 2^59. */
    int64_t num = (int64_t)source.num * width * out_height;
    int64_t den = (int64_t)source.den * height * out_width;
    if (picture_ratios_near(num, den, source.num, source.den))
        return source;
    if (picture_ratios_near(num, den, 1, 1))
        return (struct rational){1, 1};
    return rational_reduce(num, den);
}

int plan_threads(const struct encoder_params *encoders, int count, int index, int processors)
{
    if (processors <= 1)
        return 1;
    double sum = 0, own = 0;
    for (int i = 0; i < count; i++) {
        const struct rational r = encoders[i].frame_rate;
        double rate = r.num > 0 && r.den > 0 ? rational_double(r) : 30;
        double pixels = (double)encoders[i].width * encoders[i].height * rate;
        sum += pixels;
        if (i == index)
            own = pixels;
    }
    /* Half as many again as its share, rounded up: with its bare share the largest rendition is the
     * one that all others wait for. */
    return (int)ceil(1.5 * own / sum * processors);
}

__attribute__((format(printf, 2, 3))) static void note(struct plan *plan, const char *format, ...)
{
    char text[SESSION_NOTE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (int i = 0; i < plan->notes_count; i++)
        if (!strcmp(plan->notes[i], text))
            return;
    if (plan->notes_count < PLAN_NOTES_MAX)
        memcpy(plan->notes[plan->notes_count++], text, sizeof(text));
}

static bool is_rgb(enum pixel_format format)
{
    return format == PIXEL_GBRP || format == PIXEL_GBRP10 || format == PIXEL_GBRP12;
}

static const char *sampling_name(enum pixel_format format)
{
    static const char *const names[3][3] = {
        {"4:4:4", "4:4:0", ""}, {"4:2:2", "4:2:0", ""}, {"4:1:1", "", "4:1:0"}};
    const struct pixel_info *info = pixel_info(format);
    if (info->planes == 1)
        return "grey";
    return is_rgb(format) ? "RGB" : names[info->shift_x][info->shift_y];
}

static void note_format(struct plan *plan, const char *codec, enum pixel_format from,
                        enum pixel_format to)
{
    const struct pixel_info *a = pixel_info(from);
    const struct pixel_info *b = pixel_info(to);
    bool chroma = a->planes > 1 && (b->shift_x > a->shift_x || b->shift_y > a->shift_y ||
                                    b->planes == 1 || is_rgb(from) != is_rgb(to));
    if (chroma || b->depth < a->depth)
        note(plan, "%s %d bit is encoded as %s %d bit (%s)", sampling_name(from), a->depth,
             sampling_name(to), b->depth, codec);
}

/* Field order to encode in: progressive unless the frames that reach the encoders are interlaced
 * and this encoder can code them so. */
static enum field_order fields_of(struct plan *plan, const struct session_params *params,
                                  const struct rendition_params *r, bool deinterlacer,
                                  const struct track *picture)
{
    const enum field_order order = picture->field_order;
    if (order != FIELD_TOP_FIRST && order != FIELD_BOTTOM_FIRST)
        return FIELD_PROGRESSIVE;
    if (params->deinterlace == DEINTERLACE_AUTO && deinterlacer)
        return FIELD_PROGRESSIVE;
    if (params->deinterlace == DEINTERLACE_AUTO)
        note(plan, "this device has no deinterlacer: the source stays interlaced");
    /* Interlaced 4:2:0 H.264 crops by four lines; its baseline profiles have no fields. */
    if (strcmp(r->codec, "h264") || strstr(r->profile, "baseline") || r->height % 4) {
        note(plan, "interlaced source is coded as progressive pictures in %s %dx%d", r->codec,
             r->width, r->height);
        return FIELD_PROGRESSIVE;
    }
    if (r->height != picture->height)
        note(plan, "interlaced source is scaled field by field and coded interlaced");
    return order;
}

/* 0: unknown. */
static int gop_frames(int64_t gop_us, struct rational rate)
{
    const double frames =
        rate.num > 0 && rate.den > 0
            ? ceil((double)(gop_us > 0 ? gop_us : SESSION_GOP_US) / 1e6 * rational_double(rate))
            : 0;
    return frames < 1e6 ? (int)frames : 0;
}

/* Of how many of the source's frames a rendition keeps one. */
static int frame_step(const struct rate_cap *cap, int rendition)
{
    const int64_t divisor = cap->divisors[rendition];
    return cap->even && divisor > 1 ? (int)divisor : 1;
}

/* Encoders count frames, and know of no time. */
static int refresh_frames(int64_t gop_us, struct rational rate)
{
    const bool known = rate.num > 0 && rate.den > 0;
    const int frames = gop_frames(gop_us, known ? rate : (struct rational){25, 1});
    if (frames == 0 || frames > INTRA_REFRESH_FRAMES_MAX)
        return INTRA_REFRESH_FRAMES_MAX;
    return frames < INTRA_REFRESH_FRAMES_MIN ? INTRA_REFRESH_FRAMES_MIN : frames;
}

int plan_encoders(struct plan *plan, const struct session_params *params,
                  const struct codec_backend *backend, const struct track *picture, int processors,
                  struct error *err)
{
    *plan = (struct plan){0};
    const struct track *source = &params->source;
    struct rate_cap cap;
    rate_cap_init(&cap, source->time_base, source->frame_rate, params->renditions,
                  params->renditions_count);
    for (int i = 0; i < params->renditions_count; i++) {
        const struct rendition_params *r = &params->renditions[i];
        struct encoder_params *e = &plan->encoders[i];
        enum pixel_format format =
            backend->encoder->format(params->device, r->codec, r->profile, picture->format);
        if (format == PIXEL_NONE)
            return error_set(err, RGPU_ERROR_UNSUPPORTED, "%s has no %s encoder that takes %s",
                             backend->name, r->codec, pixel_info(picture->format)->name);
        *e = (struct encoder_params){
            .device = params->device,
            .width = r->width,
            .height = r->height,
            .format = format,
            .time_base = source->time_base,
            .frame_rate = cap.rates[i],
            .sample_aspect = plan_aspect(picture->sample_aspect, picture->width, picture->height,
                                         r->width, r->height),
            .color = picture_color(picture),
            .hdr = picture->hdr,
            .field_order = fields_of(plan, params, r, backend->deinterlacer != NULL, picture),
            .rate = r->rate,
            .bit_rate_bps = r->bit_rate_bps,
            .bit_rate_max_bps = rendition_rate_max_bps(r),
            .vbv_bits = rendition_vbv_bits(r),
            .quality = r->quality,
            .speed = r->speed,
            .bframes = r->bframes,
            .gop_frames_usual =
                params->intra_refresh ? 0 : gop_frames(params->gop_us, cap.rates[i]),
            .intra_refresh_frames =
                params->intra_refresh ? refresh_frames(params->gop_us, cap.rates[i]) : 0,
            .low_latency = params->low_latency || r->low_latency,
            .no_fallback = params->no_fallback,
            .joined = params->joined,
            .timecode_step = source->timecodes ? frame_step(&cap, i) : 0,
            .timecode_drop = source->timecodes_drop,
            .global_headers = true,
        };
        memcpy(e->codec, r->codec, sizeof(e->codec));
        memcpy(e->profile, r->profile, sizeof(e->profile));
        note_format(plan, r->codec, picture->format, format);
    }
    for (int i = 0; i < params->renditions_count; i++)
        plan->encoders[i].threads =
            plan_threads(plan->encoders, params->renditions_count, i, processors);
    return 0;
}

struct scaler_params plan_scaler(const struct plan *plan, const struct session_params *params,
                                 bool interlaced)
{
    struct scaler_params s = {
        .device = params->device,
        .interlaced = interlaced,
        .outputs_count = params->renditions_count,
        .threads = params->threads,
    };
    for (int i = 0; i < s.outputs_count; i++) {
        const struct encoder_params *e = &plan->encoders[i];
        s.outputs[i] = (struct scaler_output){e->width, e->height, e->format};
    }
    return s;
}
