/* NVDEC against the software decoder on whole films, and against a bare loop over the driver.
 *
 * usage: nvdec_check [--device N] [--low-latency] FILE...
 *        nvdec_check [--device N] --speed SESSIONS [--frames FRAMES] FILE
 *        nvdec_check [--device N] [--low-latency] --opens TIMES FILE
 *
 * Of films: one line each, "same", or where it differs first.
 *
 * --speed: frames a second of SESSIONS decoders on as many threads, each decoding FRAMES frames
 * (the film again and again, without an end in between), next to as many bare sessions, which
 * decode and map, no more; then the same resized to 720, 480, 360 and 240 lines, which come down to
 * the host.
 *
 * --opens: opens a decoder and a ladder, gives them a few packets and closes them, again and again:
 * milliseconds until the first pictures are in host memory, by phase, at the process's beginning
 * (cold), on an open device that keeps nothing (anew), and with what it keeps (warm); and the
 * memory of GPU and host before and after the warm ones.
 *
 * Exits with 77 where there is no GPU. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec_log.h"
#include "codec/cpu/decoder.h"
#include "codec/nv/decoder.h"
#include "file/reader.h"
#include "nvdec_load.h"
#include "support/device_picture.h"

#define SKIPPED 77

/* ---- one film, both ways --------------------------------------------------------------------- */

struct film {
    const struct decoder_ops *ops;
    struct gpu_device *device; /* borrowed; NULL: frames are the host's */
    struct reader *reader;
    void *decoder;
    struct reader_packet pkt; /* to be sent, where `has_pkt` */
    bool has_pkt, drained;
};

static int film_open(struct film *film, const char *path, struct decoder_params *params,
                     struct error *err)
{
    const int rc =
        reader_open(&film->reader, &(struct reader_params){.path = path, .video_track = -1}, err);
    if (rc != 0)
        return rc;
    if (!reader_video(film->reader))
        return error_set(err, RGPU_ERROR_INPUT, "no video track");
    params->track = &reader_video(film->reader)->video;
    params->timestamps_by_order = reader_timestamps_by_order(film->reader);
    return film->ops->open(&film->decoder, params, err);
}

static void film_close(struct film *film)
{
    if (film->has_pkt)
        reader_packet_done(&film->pkt);
    if (film->decoder)
        film->ops->close(film->decoder);
    reader_close(&film->reader);
}

/* Sends a packet of the track, or the end; 0 where it was not taken yet, too. */
static int film_feed(struct film *film, struct error *err)
{
    while (!film->has_pkt && !film->drained) {
        const int rc = reader_next(film->reader, &film->pkt, err);
        if (rc == RGPU_ERROR_END || rc == RGPU_ERROR_INPUT)
            film->drained = true;
        else if (rc != 0)
            return rc;
        else if (film->pkt.track == reader_video(film->reader)->index)
            film->has_pkt = true;
        else
            reader_packet_done(&film->pkt);
    }
    const int rc = film->ops->send(film->decoder, film->has_pkt ? &film->pkt.video : NULL, err);
    if (rc == RGPU_ERROR_AGAIN)
        return 0;
    if (film->has_pkt)
        reader_packet_done(&film->pkt);
    film->has_pkt = false;
    return rc;
}

/* The next frame, of the host; END. */
static int film_next(struct film *film, struct frame **ret, struct error *err)
{
    for (;;) {
        struct frame *frame = NULL;
        int rc = film->ops->receive(film->decoder, &frame, err);
        if (rc == 0 && film->device) {
            *ret = device_picture(film->device, frame, err);
            frame_unref(&frame);
            return *ret ? 0 : RGPU_ERROR_DEVICE;
        }
        if (rc == 0)
            *ret = frame;
        if (rc != RGPU_ERROR_AGAIN)
            return rc;
        rc = film_feed(film, err);
        if (rc != 0)
            return rc;
    }
}

/* ---- comparing ------------------------------------------------------------------------------- */

static bool same_plane(const struct frame *a, const struct frame *b, int p, char *text, size_t size)
{
    const int bytes = pixel_info(a->format)->depth > 8 ? 2 : 1;
    const int width = pixel_plane_width(a->format, p, a->width);
    for (int y = 0; y < pixel_plane_height(a->format, p, a->height); y++) {
        const uint8_t *la = a->data[p] + y * a->stride[p], *lb = b->data[p] + y * b->stride[p];
        if (memcmp(la, lb, (size_t)width * (size_t)bytes) == 0)
            continue;
        int x = 0;
        while (memcmp(la + (ptrdiff_t)x * bytes, lb + (ptrdiff_t)x * bytes, (size_t)bytes) == 0)
            x++;
        snprintf(text, size, "plane %d at %d,%d", p, x, y);
        return false;
    }
    return true;
}

static bool same_sides(const struct frame *a, const struct frame *b)
{
    for (int i = 0; i < FRAME_SIDE_MAX; i++) {
        const struct frame_side *x = &a->side[i], *y = &b->side[i];
        if (x->type != y->type || (x->buf && x->buf->size != y->buf->size) ||
            (x->buf && memcmp(x->buf->data, y->buf->data, x->buf->size) != 0))
            return false;
    }
    return true;
}

static bool same_aspect(struct rational a, struct rational b)
{
    return a.num <= 0 ? b.num <= 0 : (int64_t)a.num * b.den == (int64_t)b.num * a.den;
}

/* `a` of the software decoder, `b` of NVDEC. `text`: what differs. */
static bool same_frame(const struct frame *a, const struct frame *b, char *text, size_t size)
{
    const struct color *x = &a->color, *y = &b->color;
    if (a->pts != b->pts)
        snprintf(text, size, "pts %lld, not %lld", (long long)b->pts, (long long)a->pts);
    else if (a->duration != b->duration)
        snprintf(text, size, "duration %lld, not %lld", (long long)b->duration,
                 (long long)a->duration);
    else if (a->flags != b->flags)
        snprintf(text, size, "flags %#x, not %#x", b->flags, a->flags);
    else if (a->width != b->width || a->height != b->height || a->format != b->format)
        snprintf(text, size, "%s %dx%d, not %s %dx%d", pixel_info(b->format)->name, b->width,
                 b->height, pixel_info(a->format)->name, a->width, a->height);
    else if (memcmp(x, y, sizeof(*x)) != 0)
        snprintf(text, size, "colour %d/%d/%d/%d/%d, not %d/%d/%d/%d/%d", y->primaries, y->transfer,
                 y->matrix, y->range, y->chroma, x->primaries, x->transfer, x->matrix, x->range,
                 x->chroma);
    else if (!same_aspect(a->sample_aspect, b->sample_aspect))
        snprintf(text, size, "aspect %d:%d, not %d:%d", (int)b->sample_aspect.num,
                 (int)b->sample_aspect.den, (int)a->sample_aspect.num, (int)a->sample_aspect.den);
    else if (!hdr_same(&a->hdr, &b->hdr))
        snprintf(text, size, "HDR metadata");
    else if (!same_sides(a, b))
        snprintf(text, size, "captions or dynamic HDR");
    else
        return same_plane(a, b, 0, text, size) && same_plane(a, b, 1, text, size) &&
               same_plane(a, b, 2, text, size);
    return false;
}

/* 0: the same; 1: they differ, or cannot be decoded; 2: NVDEC does not have it. */
static int check_film(const char *path, struct gpu_device *device, struct decoder_params params)
{
    struct film cpu = {.ops = &cpu_decoder_ops}, nv = {.ops = &nv_decoder_ops, .device = device};
    struct error err = {0};
    struct decoder_params nv_params = params;
    char text[256] = "";
    long count = 0;
    int rc_cpu = film_open(&cpu, path, &params, &err);
    int rc_nv = rc_cpu == 0 ? film_open(&nv, path, &nv_params, &err) : 0;
    const bool opened = rc_cpu == 0 && rc_nv == 0;
    bool same = opened;
    while (same && rc_cpu == 0 && rc_nv == 0) {
        struct frame *a = NULL, *b = NULL;
        rc_cpu = film_next(&cpu, &a, &err);
        rc_nv = film_next(&nv, &b, &err);
        if (rc_cpu == 0 && rc_nv == 0)
            same = same_frame(a, b, text, sizeof(text));
        count += same && rc_cpu == 0 && rc_nv == 0;
        frame_unref(&a);
        frame_unref(&b);
    }
    if (!opened)
        printf("%s: %s: %s\n", path, rc_nv == RGPU_ERROR_UNSUPPORTED ? "not decoded" : "error",
               err.text);
    else if (!same)
        printf("%s: differs at frame %ld: %s\n", path, count, text);
    else if (rc_cpu == RGPU_ERROR_END && rc_nv == RGPU_ERROR_END)
        printf("%s: same, %ld frames\n", path, count);
    else if (rc_cpu == RGPU_ERROR_END || rc_nv == RGPU_ERROR_END)
        printf("%s: differs at frame %ld: the %s decoder gives no more\n", path, count,
               rc_nv == RGPU_ERROR_END ? "NVDEC" : "software");
    else
        printf("%s: error at frame %ld: %s\n", path, count, err.text);
    film_close(&cpu);
    film_close(&nv);
    if (rc_nv == RGPU_ERROR_UNSUPPORTED)
        return 2;
    return same && rc_cpu == RGPU_ERROR_END && rc_nv == RGPU_ERROR_END ? 0 : 1;
}

/* ---------------------------------------------------------------------------------------------- */

static int usage(void)
{
    fprintf(stderr, "usage: nvdec_check [--device N] [--low-latency] FILE...\n"
                    "       nvdec_check [--device N] --speed SESSIONS [--frames FRAMES] FILE\n"
                    "       nvdec_check [--device N] [--low-latency] --opens TIMES FILE\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct decoder_params params = {0};
    struct gpu_device *device = NULL;
    struct error err = {0};
    int sessions = 0, at = 1, differ = 0, refused = 0;
    long frames = 5000, opens = 0;
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        const bool more = at + 1 < argc;
        if (strcmp(argv[at], "--low-latency") == 0)
            params.low_latency = true;
        else if (more && strcmp(argv[at], "--device") == 0)
            params.device = atoi(argv[++at]);
        else if (more && strcmp(argv[at], "--speed") == 0)
            sessions = atoi(argv[++at]);
        else if (more && strcmp(argv[at], "--frames") == 0)
            frames = atol(argv[++at]);
        else if (more && strcmp(argv[at], "--opens") == 0)
            opens = atol(argv[++at]);
        else
            return usage();
    }
    if (at >= argc || sessions < 0 || sessions > SESSIONS_MAX || frames < 1)
        return usage();
    codec_log_to_sink();
    if (opens > 0)
        return nvdec_opens(argv[at], &params, opens);
    if (gpu_open(&device, params.device, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return gpu_list(NULL, 0) == 0 ? SKIPPED : 1;
    }
    if (sessions > 0) {
        differ = nvdec_speed(argv[at], device, sessions, frames);
    } else {
        for (int i = at; i < argc; i++) {
            const int rc = check_film(argv[i], device, params);
            differ += rc == 1;
            refused += rc == 2;
        }
        printf("%d films: %d differ, %d not decoded by NVDEC\n", argc - at, differ, refused);
    }
    gpu_close(&device);
    return differ ? 1 : 0;
}
