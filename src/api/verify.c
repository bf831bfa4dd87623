/* Compares results with their source: number and shape of the video tracks, every frame's time
 * stamp and picture.
 *
 * The source is decoded once; each of its frames is scaled to the size of every rung and held
 * against that rung's next decoded frame. Which frames a rung with a capped rate has is told by the
 * rule that the job went by, so that each of them must be there. Memory: a few frames a rung. */
#include "api/transcode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "media/rate_cap.h"
#include "transcode/picture.h"
#include "transcode/plan.h"

#define ASPECT_TOLERANCE 0.01 /* sizes are even numbers, and some containers have whole ones */

static const struct rational microseconds = {1, 1000000};

/* A video track that is read and decoded frame by frame. */
struct film {
    const char *path;   /* borrowed, as below */
    const char *result; /* where it goes, for errors; NULL: the source */
    struct reader *reader;
    void *decoder;
    struct reader_packet pkt; /* owned; that the decoder is to take next */
    bool has_pkt;
    bool at_end;        /* nothing is left to read */
    bool drained;       /* and the decoder was told so */
    struct frame *next; /* owned; NULL: not looked yet, or at the end */
    bool ended;
};

struct plane_error {
    double squares;
    double samples;
};

struct rung_check {
    struct film film;
    char path[OUTPUT_PATH_MAX]; /* of its result, which may not be in place */
    void *scaler;
    struct scaler_params params; /* that the scaler was opened with */
    struct track picture;        /* that the job's encoders were opened for: the source's first */
    struct plane_error error[3];
    double peak;
    bool loose; /* a copy in a container that cannot hide what surrounds a part */
};

/* Which frames of the source each rung has. */
struct kept {
    struct rate_cap cap;
    struct rate_mark mark;
    size_t segment;
    bool begun;
};

static const struct codec_backend *backend(void)
{
    return codec_backend(DEVICE_CPU);
}

/* Passes an error of a reader on. A result that cannot be read is no result, and is named by where
 * it goes. */
static int cannot_read(const struct film *film, int code, const struct error *reading,
                       struct error *err)
{
    if (!film->result || code == RGPU_ERROR_MEMORY || code == RGPU_ERROR_CANCELLED)
        return error_set(err, code, "%s", reading->text);
    const size_t n = strlen(film->path);
    const char *why =
        strncmp(reading->text, film->path, n) == 0 ? reading->text + n : reading->text;
    return error_set(err, RGPU_ERROR_VERIFY, "%s: the result cannot be read: %s", film->result,
                     why + strspn(why, ": "));
}

static int open_reader(struct reader **ret, const struct film *film, struct rgpu_transcode *t,
                       int track, struct error *err)
{
    struct error reading = {0};
    const struct reader_params params = {
        .path = film->path, .video_track = track, .interrupt = transcode_interrupt(t)};
    const int code = reader_open(ret, &params, &reading);
    return code == 0 ? 0 : cannot_read(film, code, &reading, err);
}

static int film_open(struct film *film, struct rgpu_transcode *t, int track, struct error *err)
{
    int ret = open_reader(&film->reader, film, t, track, err);
    if (ret != 0)
        return ret;
    if (!reader_video(film->reader))
        return error_set(err, RGPU_ERROR_VERIFY, "%s: there is no video track in it",
                         film->result ? film->result : film->path);
    return backend()->decoder->open(
        &film->decoder,
        &(struct decoder_params){.track = &reader_video(film->reader)->video,
                                 .threads = t->params.threads,
                                 .timestamps_by_order = reader_timestamps_by_order(film->reader)},
        err);
}

static void film_close(struct film *film)
{
    frame_unref(&film->next);
    if (film->has_pkt)
        reader_packet_done(&film->pkt);
    film->has_pkt = false;
    if (film->decoder)
        backend()->decoder->close(film->decoder);
    film->decoder = NULL;
    reader_close(&film->reader);
}

static int64_t film_us(const struct film *film, int64_t pts)
{
    return rational_rescale(pts, reader_video(film->reader)->video.time_base, microseconds,
                            ROUND_NEAREST);
}

/* Reads on to a packet of the track, or to the end. */
static int film_read(struct film *film, struct error *err)
{
    while (!film->has_pkt && !film->at_end) {
        struct error reading = {0};
        const int ret = reader_next(film->reader, &film->pkt, &reading);
        /* A damaged end of the source is an end here, as it was for the job. */
        if (ret == RGPU_ERROR_END || (ret == RGPU_ERROR_INPUT && !film->result))
            film->at_end = true;
        else if (ret != 0)
            return cannot_read(film, ret, &reading, err);
        else if (film->pkt.track == reader_video(film->reader)->index)
            film->has_pkt = true;
        else
            reader_packet_done(&film->pkt);
    }
    return 0;
}

/* Feeds the decoder with the next packet of the track, or the end. AGAIN: frames are to be received
 * first. */
static int film_feed(struct film *film, struct error *err)
{
    int ret = film_read(film, err);
    if (ret == 0)
        ret = backend()->decoder->send(film->decoder, film->has_pkt ? &film->pkt.video : NULL, err);
    if (ret != 0)
        return ret;
    if (film->has_pkt)
        reader_packet_done(&film->pkt);
    else
        film->drained = true;
    film->has_pkt = false;
    return 0;
}

/* Makes film->next the next frame; at the end it stays NULL and `ended` is set. */
static int film_look(struct film *film, struct error *err)
{
    bool refused = false; /* the decoder has not taken what it was given last */
    while (!film->next && !film->ended) {
        int ret = backend()->decoder->receive(film->decoder, &film->next, err);
        film->ended = ret == RGPU_ERROR_END;
        if (ret == 0 || film->ended)
            return 0;
        if (ret == RGPU_ERROR_AGAIN && (film->drained || refused))
            return error_set(err, RGPU_ERROR_INTERNAL, "the decoder %s",
                             refused ? "takes no packet and gives no frame" : "does not drain");
        if (ret == RGPU_ERROR_AGAIN)
            ret = film_feed(film, err);
        refused = ret == RGPU_ERROR_AGAIN;
        if (ret != 0 && !refused)
            return ret;
    }
    return 0;
}

/* ---- comparing ----------------------------------------------------------------------------- */

static double squares_8(const uint8_t *a, const uint8_t *b, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        int d = a[i] - b[i];
        sum += (uint64_t)(d * d);
    }
    return (double)sum;
}

static double squares_16(const uint16_t *a, const uint16_t *b, int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        int64_t d = (int64_t)a[i] - b[i];
        sum += (uint64_t)(d * d);
    }
    return (double)sum;
}

static void compare(struct rung_check *check, const struct frame *a, const struct frame *b)
{
    const struct pixel_info *info = pixel_info(a->format);
    check->peak = (double)((1 << info->depth) - 1);
    for (int p = 0; p < info->planes && p < 3; p++) {
        const int width = pixel_plane_width(a->format, p, a->width);
        const int height = pixel_plane_height(a->format, p, a->height);
        for (int y = 0; y < height; y++) {
            const uint8_t *la = a->data[p] + y * a->stride[p];
            const uint8_t *lb = b->data[p] + y * b->stride[p];
            check->error[p].squares += info->depth > 8
                                           ? squares_16((const void *)la, (const void *)lb, width)
                                           : squares_8(la, lb, width);
        }
        check->error[p].samples += (double)width * height;
    }
}

/* Opens the scaler for this source picture and this result, anew where the source changes. */
static int prepare_scaler(struct rung_check *check, int threads, const struct frame *source,
                          const struct frame *result, struct error *err)
{
    struct scaler_params params = {
        .threads = threads,
        .outputs_count = 1,
        .outputs = {{result->width, result->height, result->format}},
    };
    picture_fit(&check->picture, source, &params);
    if (check->scaler && picture_same_fit(&params, &check->params))
        return 0;
    if (check->scaler)
        backend()->scaler->close(check->scaler);
    check->scaler = NULL;
    check->params = params;
    return backend()->scaler->open(&check->scaler, &params, err);
}

static int compare_scaled(struct rung_check *check, int threads, struct frame *source,
                          struct error *err)
{
    struct frame *scaled = NULL;
    int ret = prepare_scaler(check, threads, source, check->film.next, err);
    if (ret == 0)
        ret = backend()->scaler->run(check->scaler, source, 1, &scaled, err);
    if (ret == 0)
        compare(check, scaled, check->film.next);
    frame_unref(&scaled);
    return ret;
}

/* Holds one source frame against a rung's next one. */
static int check_frame(struct rgpu_transcode *t, int rung, struct rung_check *check,
                       const struct film *source, struct error *err)
{
    struct film *film = &check->film;
    const struct rational base = reader_video(film->reader)->video.time_base;
    if (check->picture.format == PIXEL_NONE || t->rungs[rung].is_source)
        check->picture = picture_of(&reader_video(source->reader)->video, source->next);
    /* What a container with this time base can say of the source's time, of which the start is
     * taken in the source's time base. */
    const struct rational ticks = reader_video(source->reader)->video.time_base;
    const int64_t slack = (int64_t)base.num * 1000000 / base.den / 2 +
                          (t->start_us ? (int64_t)ticks.num * 1000000 / ticks.den / 2 : 0) + 1;
    const int64_t wanted =
        film_us(source, source->next->pts) - t->start_us + outputs_rung_shift_us(t->outputs, rung);
    for (;;) {
        int ret = film_look(film, err);
        if (ret != 0)
            return ret;
        if (!film->next)
            return error_set(err, RGPU_ERROR_VERIFY, "%s: the frame at %.6f s is missing",
                             t->rungs[rung].name, (double)wanted / 1e6);
        const int64_t got = film_us(film, film->next->pts);
        if (check->loose && got < wanted - slack) {
            frame_unref(&film->next);
            continue;
        }
        if (got > wanted + slack || got < wanted - slack)
            return error_set(err, RGPU_ERROR_VERIFY,
                             "%s: a frame is at %.6f s where the source has %.6f s",
                             t->rungs[rung].name, (double)got / 1e6, (double)wanted / 1e6);
        ret = compare_scaled(check, t->params.threads, source->next, err);
        frame_unref(&film->next);
        return ret;
    }
}

static bool in_window(const struct rgpu_transcode *t, const struct film *source)
{
    const struct rational base = reader_video(source->reader)->video.time_base;
    const int64_t pts = source->next->pts;
    if (t->start_us && rational_compare_ts(pts, base, t->start_us, microseconds) < 0)
        return false;
    return !t->end_us || rational_compare_ts(pts, base, t->end_us, microseconds) < 0;
}

/* The rungs that have the next frame of the source. */
static uint32_t rungs_of(const struct rgpu_transcode *t, struct kept *k, int64_t pts)
{
    bool enters = !k->begun;
    while (k->segment + 1 < t->segments_count && pts >= t->segment_marks[k->segment + 1].start) {
        k->segment++;
        enters = true;
    }
    k->begun = true;
    if (enters && t->segments_count)
        k->mark = t->segment_marks[k->segment].mark;
    const uint32_t mask = rate_cap_next(&k->cap, &k->mark, pts);
    return enters ? rate_cap_all(&k->cap) : mask;
}

static int check_rungs(struct rgpu_transcode *t, const struct film *source, uint32_t mask,
                       struct rung_check *checks, struct error *err)
{
    int ret = 0;
    for (int i = 0; i < t->rungs_count && ret == 0; i++)
        if (mask >> i & 1)
            ret = check_frame(t, i, &checks[i], source, err);
    return ret;
}

static void kept_init(struct kept *ret, const struct rgpu_transcode *t)
{
    const struct track *source = &reader_video(t->reader)->video;
    struct rendition_params rungs[RENDITIONS_MAX] = {0};
    *ret = (struct kept){0};
    for (int i = 0; i < t->rungs_count; i++)
        if (!t->rungs[i].is_source)
            rungs[i].frame_rate_max = t->rungs[i].rendition.frame_rate_max;
    rate_cap_init(&ret->cap, source->time_base, source->frame_rate, rungs, t->rungs_count);
}

static int compare_all(struct rgpu_transcode *t, struct film *source, struct rung_check *checks,
                       struct error *err)
{
    struct kept kept;
    kept_init(&kept, t);
    for (int64_t frames = 0;;) {
        if (transcode_cancelled(t))
            return error_set(err, RGPU_ERROR_CANCELLED, "cancelled");
        int ret = film_look(source, err);
        if (ret != 0 || !source->next)
            return ret;
        if (in_window(t, source)) {
            const int64_t pts = source->next->pts;
            ret = check_rungs(t, source, rungs_of(t, &kept, pts), checks, err);
            transcode_verified(t, ++frames, film_us(source, pts));
        }
        frame_unref(&source->next);
        if (ret != 0)
            return ret;
    }
}

static double psnr(const struct plane_error *e, double peak)
{
    if (e->samples <= 0)
        return 0;
    if (e->squares <= 0)
        return 100;
    return 10 * log10(peak * peak * e->samples / e->squares);
}

/* Nothing may come behind the last frame of the source. */
static int check_end(struct rgpu_transcode *t, int rung, struct rung_check *check,
                     struct error *err)
{
    if (check->error[0].samples <= 0)
        return error_set(err, RGPU_ERROR_VERIFY, "%s: there was no frame to compare",
                         t->rungs[rung].name);
    int ret = film_look(&check->film, err);
    if (ret != 0)
        return ret;
    if (check->film.next && !check->loose)
        return error_set(
            err, RGPU_ERROR_VERIFY, "%s: there is a frame at %.6f s, behind the source's end",
            t->rungs[rung].name, (double)film_us(&check->film, check->film.next->pts) / 1e6);
    pthread_mutex_lock(&t->lock);
    struct rgpu_rung_progress *p = &t->progress.rungs[rung];
    p->psnr_y = psnr(&check->error[0], check->peak);
    p->psnr_u = psnr(&check->error[1], check->peak);
    p->psnr_v = psnr(&check->error[2], check->peak);
    pthread_mutex_unlock(&t->lock);
    return 0;
}

/* ---- shape --------------------------------------------------------------------------------- */

static double aspect(struct rational r)
{
    return r.num > 0 && r.den > 0 ? rational_double(r) : 1.0;
}

static int check_shape(const struct rgpu_transcode *t, int rung, const struct reader_track *have,
                       enum container container, struct error *err)
{
    const struct reader_track *source = reader_video(t->reader);
    const struct rendition_params *want = &t->rungs[rung].rendition;
    const char *name = t->rungs[rung].name;
    if (have->video.width != want->width || have->video.height != want->height)
        return error_set(err, RGPU_ERROR_VERIFY, "%s: the picture is %dx%d instead of %dx%d", name,
                         have->video.width, have->video.height, want->width, want->height);
    const double sample = aspect(plan_aspect(source->video.sample_aspect, source->video.width,
                                             source->video.height, want->width, want->height));
    /* A copied stream says what it says where the container has no word of its own. */
    const bool told = !t->rungs[rung].is_source || container == CONTAINER_MP4 ||
                      container == CONTAINER_MKV || container == CONTAINER_HLS;
    if (told && fabs(aspect(have->video.sample_aspect) / sample - 1) > ASPECT_TOLERANCE)
        return error_set(err, RGPU_ERROR_VERIFY,
                         "%s: the sample aspect ratio is %.3f instead of %.3f", name,
                         aspect(have->video.sample_aspect), sample);
    /* Other containers lose it, with a warning. */
    if (have->rotation_degrees != source->rotation_degrees &&
        (container == CONTAINER_MP4 || have->rotation_degrees))
        return error_set(err, RGPU_ERROR_VERIFY, "%s: the rotation is %d degrees instead of %d",
                         name, have->rotation_degrees, source->rotation_degrees);
    return 0;
}

/* The n-th video track of a file that holds `count` rungs. */
static int nth_video(struct rgpu_transcode *t, const struct film *film, int n, int count, int *ret,
                     struct error *err)
{
    int found = 0;
    struct reader *reader = NULL;
    int code = open_reader(&reader, film, t, -1, err);
    *ret = -1;
    if (code != 0)
        return code;
    for (int i = 0; i < reader_tracks_count(reader); i++) {
        const struct reader_track *track = reader_track(reader, i);
        if (track->kind == TRACK_VIDEO && !track->is_cover && found++ == n)
            *ret = i;
    }
    reader_close(&reader);
    if (found != count)
        code =
            error_set(err, RGPU_ERROR_VERIFY, "%s: there %s %d video track%s instead of %d",
                      film->result, found == 1 ? "is" : "are", found, found == 1 ? "" : "s", count);
    return code;
}

static int open_rung(struct rgpu_transcode *t, int rung, struct rung_check *check,
                     struct error *err)
{
    struct film *film = &check->film;
    const enum container container = container_from_name(t->params.output);
    int track = -1, n = 0, count = 0;
    film->path = check->path;
    film->result = outputs_rung_path(t->outputs, rung);
    for (int i = 0; i < t->rungs_count; i++) {
        const bool same = !strcmp(outputs_rung_path(t->outputs, i), film->result);
        n += same && i < rung;
        count += same;
    }
    /* Those of the renditions come first. */
    count += outputs_rung_beside_count(t->outputs, rung);
    int ret = outputs_rung_reading_path(t->outputs, rung, check->path, err);
    if (ret == 0)
        ret = nth_video(t, film, n, count, &track, err);
    const bool copied = t->rungs[rung].is_source;
    check->loose = copied && container != CONTAINER_MP4;
    if (ret == 0)
        ret = film_open(film, t, track, err);
    return ret == 0 ? check_shape(t, rung, reader_video(film->reader), container, err) : ret;
}

int transcode_verify(struct rgpu_transcode *t, struct error *err)
{
    struct film source = {.path = t->params.input};
    struct rung_check *checks = calloc((size_t)t->rungs_count, sizeof(*checks));
    if (!checks)
        return error_memory(err, "the comparison");
    const struct reader_track *video = reader_video(t->reader);
    int ret = film_open(&source, t, video->index, err);
    for (int i = 0; i < t->rungs_count && ret == 0; i++)
        ret = open_rung(t, i, &checks[i], err);
    if (ret == 0)
        ret = compare_all(t, &source, checks, err);
    for (int i = 0; i < t->rungs_count && ret == 0; i++)
        ret = check_end(t, i, &checks[i], err);
    for (int i = 0; i < t->rungs_count; i++) {
        film_close(&checks[i].film);
        if (checks[i].scaler)
            backend()->scaler->close(checks[i].scaler);
    }
    free(checks);
    film_close(&source);
    return ret != 0 && transcode_cancelled(t) ? error_set(err, RGPU_ERROR_CANCELLED, "cancelled")
                                              : ret;
}
