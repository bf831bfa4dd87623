#include "support/coding.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(int rc, const struct error *err)
{
    if (rc != 0)
        fail_msg("%s: %s", rgpu_error_name(rc), err->text);
}

void frame_list_add(struct frame_list *list, struct frame *frame)
{
    list->items = realloc(list->items, (list->count + 1) * sizeof(struct frame *));
    assert_non_null(list->items);
    list->items[list->count++] = frame;
}

void frame_list_done(struct frame_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        frame_unref(&list->items[i]);
    free(list->items);
    *list = (struct frame_list){0};
}

void packet_list_done(struct packet_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        packet_done(&list->items[i]);
    free(list->items);
    *list = (struct packet_list){0};
}

/* ---- decoding -------------------------------------------------------------------------------- */

static int receive_frames(const struct codec_backend *backend, void *dec, struct frame_list *ret)
{
    struct error err = {0};
    struct frame *frame = NULL;
    int rc;
    while ((rc = backend->decoder->receive(dec, &frame, &err)) == 0)
        frame_list_add(ret, frame);
    if (rc != RGPU_ERROR_AGAIN && rc != RGPU_ERROR_END)
        check(rc, &err);
    return rc;
}

void decode_packets(const struct codec_backend *backend, void *dec, const struct packet *packets,
                    size_t count, struct frame_list *ret)
{
    for (size_t i = 0; i <= count;) {
        struct error err = {0};
        const int rc = backend->decoder->send(dec, i < count ? &packets[i] : NULL, &err);
        if (rc == 0)
            i++;
        else if (rc != RGPU_ERROR_AGAIN)
            check(rc, &err);
        const int end = receive_frames(backend, dec, ret);
        assert_int_equal(end, i <= count ? RGPU_ERROR_AGAIN : RGPU_ERROR_END);
    }
}

void decode_all(const struct codec_backend *backend, const struct decoder_params *params,
                const struct packet *packets, size_t count, struct frame_list *ret,
                struct decoder_stats *ret_stats)
{
    struct error err = {0};
    void *dec = NULL;
    check(backend->decoder->open(&dec, params, &err), &err);
    decode_packets(backend, dec, packets, count, ret);
    if (ret_stats)
        backend->decoder->stats(dec, ret_stats);
    backend->decoder->close(dec);
}

void decode_encoded(const struct codec_backend *backend, const struct encoder_params *params,
                    const struct encoder_header *header, const struct packet *packets, size_t count,
                    struct frame_list *ret)
{
    struct track track = {.width = params->width,
                          .height = params->height,
                          .codec_profile = -99,
                          .codec_level = -99,
                          .time_base = params->time_base,
                          .reorder_frames = header ? header->reorder_frames : -1};
    snprintf(track.codec, sizeof(track.codec), "%s", params->codec);
    decode_all(backend, &(struct decoder_params){.track = &track, .threads = 2}, packets, count,
               ret, NULL);
}

/* ---- encoding -------------------------------------------------------------------------------- */

static int receive_packets(const struct codec_backend *backend, void *enc, struct packet_list *ret)
{
    struct error err = {0};
    struct packet pkt = {0};
    int rc;
    while ((rc = backend->encoder->receive(enc, &pkt, &err)) == 0) {
        ret->items = realloc(ret->items, (ret->count + 1) * sizeof(struct packet));
        assert_non_null(ret->items);
        ret->items[ret->count++] = packet_move(&pkt);
    }
    if (rc != RGPU_ERROR_AGAIN && rc != RGPU_ERROR_END)
        check(rc, &err);
    return rc;
}

void encode_frame(const struct codec_backend *backend, void *enc, struct frame *frame,
                  struct packet_list *ret)
{
    struct error err = {0};
    int rc;
    do {
        rc = backend->encoder->send(enc, frame, &err);
        if (rc != RGPU_ERROR_AGAIN)
            check(rc, &err);
        const int end = receive_packets(backend, enc, ret);
        assert_int_equal(end, rc != 0 || frame ? RGPU_ERROR_AGAIN : RGPU_ERROR_END);
    } while (rc == RGPU_ERROR_AGAIN);
}

void encode_all(const struct codec_backend *backend, const struct encoder_params *params,
                const struct frame_list *frames, struct packet_list *ret,
                struct encoder_header *ret_header)
{
    struct error err = {0};
    void *enc = NULL;
    check(backend->encoder->open(&enc, params, &err), &err);
    if (ret_header)
        backend->encoder->header(enc, ret_header);
    for (size_t i = 0; i < frames->count; i++)
        encode_frame(backend, enc, frames->items[i], ret);
    encode_frame(backend, enc, NULL, ret);
    backend->encoder->close(enc);
}

void round_trip(const struct codec_backend *encoding, const struct codec_backend *decoding,
                const struct encoder_params *params, const struct frame_list *frames,
                struct round_trip *ret)
{
    *ret = (struct round_trip){0};
    encode_all(encoding, params, frames, &ret->packets, &ret->header);
    assert_int_equal(ret->packets.count, frames->count);
    decode_encoded(decoding, params, &ret->header, ret->packets.items, ret->packets.count,
                   &ret->pictures);
    assert_int_equal(ret->pictures.count, frames->count);
}

void round_trip_done(struct round_trip *trip)
{
    buffer_unref(&trip->header.extradata);
    packet_list_done(&trip->packets);
    frame_list_done(&trip->pictures);
}

/* ---- pictures -------------------------------------------------------------------------------- */

enum pixel_format planar_format(enum pixel_format format)
{
    return format == PIXEL_NV12 ? PIXEL_YUV420P : format == PIXEL_P010 ? PIXEL_YUV420P10 : format;
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static void fill_plane(struct frame *frame, int plane, int number, unsigned *random)
{
    const struct pixel_info *info = pixel_info(frame->format);
    const int width = pixel_plane_width(frame->format, plane, frame->width);
    const int height = pixel_plane_height(frame->format, plane, frame->height);
    const int scale = 1 << (info->depth - 8);
    for (int y = 0; y < height; y++) {
        uint8_t *line = frame->data[plane] + y * frame->stride[plane];
        for (int x = 0; x < width; x++) {
            const int wave = (x + 2 * number) * 3 + (y - number) * 2 + plane * 40;
            const int noise = (int)(next_random(random) % (unsigned)(8 * scale));
            int value = (40 + (wave & 127)) * scale + noise;
            if (frame->format == PIXEL_P010)
                value = (value << 6) & 0xffff;
            if (info->depth > 8)
                memcpy(line + (ptrdiff_t)2 * x, &(uint16_t){(uint16_t)value}, 2);
            else
                line[x] = (uint8_t)value;
        }
    }
}

void make_pictures(enum pixel_format format, int width, int height, int count, unsigned seed,
                   struct frame_list *ret)
{
    unsigned random = seed;
    for (int i = 0; i < count; i++) {
        struct frame *frame = frame_new(format, width, height);
        assert_non_null(frame);
        for (int p = 0; p < pixel_info(format)->planes; p++)
            fill_plane(frame, p, i, &random);
        frame->pts = i;
        frame->duration = 1;
        frame_list_add(ret, frame);
    }
}

bool same_picture(const struct frame *a, const struct frame *b)
{
    if (a->format != b->format || a->width != b->width || a->height != b->height)
        return false;
    const struct pixel_info *info = pixel_info(a->format);
    for (int p = 0; p < info->planes; p++) {
        const int bytes = info->depth > 8 ? 2 : 1;
        const size_t line = (size_t)pixel_plane_width(a->format, p, a->width) * (size_t)bytes;
        for (int y = 0; y < pixel_plane_height(a->format, p, a->height); y++)
            if (memcmp(a->data[p] + y * a->stride[p], b->data[p] + y * b->stride[p], line) != 0)
                return false;
    }
    return true;
}

void check_same_pictures(const struct frame_list *got, const struct frame_list *want,
                         const char *what)
{
    assert_int_equal(got->count, want->count);
    for (size_t i = 0; i < got->count; i++) {
        const struct frame *f = got->items[i];
        assert_int_equal(f->pts, want->items[i]->pts);
        if (!same_picture(f, want->items[i]))
            fail_msg("%s: picture %zu, %s of %dx%d, is another", what, i,
                     pixel_info(f->format)->name, f->width, f->height);
    }
}

static double sample(const struct frame *f, int x, int y)
{
    const int depth = pixel_info(f->format)->depth;
    const uint8_t *line = f->data[0] + y * f->stride[0];
    if (depth == 8)
        return line[x];
    uint16_t value;
    memcpy(&value, line + (ptrdiff_t)2 * x, 2);
    return (double)value / (1 << (depth - 8));
}

double luma_mse(const struct frame *a, const struct frame *b)
{
    double sum = 0;
    for (int y = 0; y < a->height; y++)
        for (int x = 0; x < a->width; x++) {
            const double d = sample(a, x, y) - sample(b, x, y);
            sum += d * d;
        }
    return sum / ((double)a->width * a->height);
}
