/* Compares results with their source: every frame's time stamp and picture.
 *
 * The source is decoded once; each of its frames is scaled to the size of every rung and held
 * against that rung's next decoded frame. Memory: a few frames a rung. */
#include "api/transcode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"

static const struct rational microseconds = {1, 1000000};

/* A video track that is read and decoded frame by frame. */
struct film {
    struct reader *reader;
    void *decoder;
    bool drained;
    struct frame *next; /* owned; NULL: not looked yet, or at the end */
    bool ended;
};

struct plane_error {
    double squares;
    double samples;
};

struct rung_check {
    struct film film;
    void *scaler;
    int source_width, source_height; /* that the scaler was opened for */
    enum pixel_format source_format;
    struct plane_error error[3];
    double peak;
    bool thinned; /* a frame-rate cap may leave source frames out */
};

static const struct codec_backend *backend(void)
{
    return codec_backend(DEVICE_CPU);
}

static int film_open(struct film *film, const char *path, int track, struct error *err)
{
    int ret = reader_open(&film->reader,
                          &(struct reader_params){.path = path, .video_track = track}, err);
    if (ret != 0)
        return ret;
    if (!reader_video(film->reader))
        return error_set(err, RGPU_ERROR_VERIFY, "%s: there is no video track in the result", path);
    return backend()->decoder->open(
        &film->decoder,
        &(struct decoder_params){.track = &reader_video(film->reader)->video,
                                 .timestamps_by_order = reader_timestamps_by_order(film->reader)},
        err);
}

static void film_close(struct film *film)
{
    frame_unref(&film->next);
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

/* Feeds the decoder with the next packet of the track, or the end. */
static int film_feed(struct film *film, struct error *err)
{
    struct reader_packet pkt = {0};
    int ret = reader_next(film->reader, &pkt, err);
    /* A damaged end is an end here, as it was for the job. */
    if (ret != 0 && ret != RGPU_ERROR_MEMORY) {
        film->drained = true;
        return backend()->decoder->send(film->decoder, NULL, err);
    }
    if (ret == 0 && pkt.track == reader_video(film->reader)->index)
        ret = backend()->decoder->send(film->decoder, &pkt.video, err);
    reader_packet_done(&pkt);
    return ret;
}

/* Makes film->next the next frame; at the end it stays NULL and `ended` is set. */
static int film_look(struct film *film, struct error *err)
{
    int ret = 0;
    while (!film->next && !film->ended && ret == 0) {
        ret = backend()->decoder->receive(film->decoder, &film->next, err);
        if (ret == RGPU_ERROR_END) {
            film->ended = true;
            return 0;
        }
        if (ret == RGPU_ERROR_AGAIN)
            ret = film->drained ? error_set(err, RGPU_ERROR_INTERNAL, "the decoder does not drain")
                                : film_feed(film, err);
    }
    return ret;
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
static int prepare_scaler(struct rung_check *check, const struct frame *source,
                          const struct frame *result, struct error *err)
{
    if (check->scaler && check->source_width == source->width &&
        check->source_height == source->height && check->source_format == source->format)
        return 0;
    if (check->scaler)
        backend()->scaler->close(check->scaler);
    check->scaler = NULL;
    check->source_width = source->width;
    check->source_height = source->height;
    check->source_format = source->format;
    struct scaler_params params = {
        .width = source->width,
        .height = source->height,
        .format = source->format,
        .color = source->color,
        .outputs_count = 1,
        .outputs = {{result->width, result->height, result->format}},
    };
    return backend()->scaler->open(&check->scaler, &params, err);
}

static int compare_scaled(struct rung_check *check, struct frame *source, struct error *err)
{
    struct frame *scaled = NULL;
    int ret = prepare_scaler(check, source, check->film.next, err);
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
    /* What a container with this time base can say of the source's time. */
    const int64_t slack = (int64_t)base.num * 1000000 / base.den / 2 + 1;
    const int64_t wanted =
        film_us(source, source->next->pts) - t->start_us + outputs_rung_shift_us(t->outputs, rung);
    for (;;) {
        int ret = film_look(film, err);
        if (ret != 0)
            return ret;
        if (!film->next)
            return check->thinned
                       ? 0
                       : error_set(err, RGPU_ERROR_VERIFY, "%s: the frame at %.6f s is missing",
                                   t->rungs[rung].name, (double)wanted / 1e6);
        const int64_t got = film_us(film, film->next->pts);
        /* A copied source begins at its random-access point, before the part that was asked for. */
        if (t->rungs[rung].is_source && got < wanted - slack) {
            frame_unref(&film->next);
            continue;
        }
        if (got > wanted + slack && check->thinned)
            return 0;
        if (got > wanted + slack || got < wanted - slack)
            return error_set(err, RGPU_ERROR_VERIFY,
                             "%s: a frame is at %.6f s where the source has %.6f s",
                             t->rungs[rung].name, (double)got / 1e6, (double)wanted / 1e6);
        ret = compare_scaled(check, source->next, err);
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

static int compare_all(struct rgpu_transcode *t, struct film *source, struct rung_check *checks,
                       struct error *err)
{
    for (;;) {
        if (transcode_cancelled(t))
            return error_set(err, RGPU_ERROR_CANCELLED, "cancelled");
        int ret = film_look(source, err);
        if (ret != 0 || !source->next)
            return ret;
        const bool shown = in_window(t, source);
        for (int i = 0; i < t->rungs_count && ret == 0 && shown; i++)
            ret = check_frame(t, i, &checks[i], source, err);
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
    int ret = film_look(&check->film, err);
    if (ret != 0)
        return ret;
    if (check->film.next && !t->rungs[rung].is_source)
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

/* The i-th video track of a file that holds several rungs. */
static int nth_video(const char *path, int n, int *ret, struct error *err)
{
    struct reader *reader = NULL;
    int code = reader_open(&reader, &(struct reader_params){.path = path, .video_track = -1}, err);
    *ret = -1;
    for (int i = 0; code == 0 && i < reader_tracks_count(reader); i++) {
        const struct reader_track *track = reader_track(reader, i);
        if (track->kind == TRACK_VIDEO && !track->is_cover && n-- == 0)
            *ret = i;
    }
    reader_close(&reader);
    if (code == 0 && *ret < 0)
        code = error_set(err, RGPU_ERROR_VERIFY, "%s: a video track is missing", path);
    return code;
}

static int open_rung(struct rgpu_transcode *t, int rung, struct rung_check *check,
                     struct error *err)
{
    const char *path = outputs_rung_path(t->outputs, rung);
    int track = -1, n = 0, ret = 0;
    for (int i = 0; i < rung; i++)
        n += !strcmp(outputs_rung_path(t->outputs, i), path);
    if (t->rungs_count > 1)
        ret = nth_video(path, n, &track, err);
    const double cap = rational_double(t->rungs[rung].rendition.frame_rate_max);
    const double fps = rational_double(reader_video(t->reader)->video.frame_rate);
    check->thinned = cap > 0 && (fps <= 0 || fps > cap);
    return ret == 0 ? film_open(&check->film, path, track, err) : ret;
}

int transcode_verify(struct rgpu_transcode *t, struct error *err)
{
    struct film source = {0};
    struct rung_check *checks = calloc((size_t)t->rungs_count, sizeof(*checks));
    if (!checks)
        return error_memory(err, "the comparison");
    const struct reader_track *video = reader_video(t->reader);
    int ret = film_open(&source, t->input, video->index, err);
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
    return ret;
}
