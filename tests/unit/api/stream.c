/* Stream jobs through the public header: raw frames and packets in, packets out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rgpu/stream.h>

#include "films.h"
#include "support/clip.h"
#include "transcode/cadence.h"

#define WIDTH 64
#define HEIGHT 48
#define FRAME_BYTES (WIDTH * HEIGHT * 3 / 2)
#define COUNT 60

static const struct rgpu_rung lossless[] = {
    {.quality = RGPU_QUALITY_LOSSLESS, .speed = 1},
    {.height = 24, .quality = RGPU_QUALITY_LOSSLESS, .speed = 1}};

/* What came out of one rendition. */
struct taken {
    int64_t pts[256], dts[256], duration[256];
    bool key[256];
    int count;
    FILE *file; /* packets go here, if set */
};

static void paint(uint8_t picture[FRAME_BYTES], int number)
{
    uint32_t state = (uint32_t)number * 2654435761u + 1;
    for (int i = 0; i < FRAME_BYTES; i++) {
        state = state * 1664525 + 1013904223;
        picture[i] = (uint8_t)(64 + (i % WIDTH + number * 3) % 100 + (state >> 29));
    }
}

/* 90 kHz ticks of the n-th frame: neither evenly spaced nor from 0. */
static int64_t time_of(int number)
{
    return 123456 + (int64_t)number * 3600 + number % 3;
}

static struct rgpu_frame frame_of(const uint8_t *picture, int number)
{
    return (struct rgpu_frame){.data = {picture, picture + (ptrdiff_t)WIDTH * HEIGHT,
                                        picture + (ptrdiff_t)WIDTH * HEIGHT * 5 / 4},
                               .pts = time_of(number),
                               .duration = 3600};
}

static rgpu_stream *open_raw(const struct rgpu_rung *rungs, int count, int low_latency)
{
    rgpu_stream *stream = NULL;
    const int ret =
        rgpu_stream_open(&stream, .pixel_format = "yuv420p", .width = WIDTH, .height = HEIGHT,
                         .fps_num = 25, .fps_den = 1, .rungs = rungs, .rungs_count = count,
                         .gop_seconds = 0.8, .low_latency = low_latency, .device = "cpu");
    if (ret != 0)
        print_error("open: %s\n", rgpu_stream_message(stream));
    assert_int_equal(ret, 0);
    return stream;
}

static void keep(struct taken *taken, const struct rgpu_packet *pkt)
{
    struct taken *t = &taken[pkt->rendition];
    assert_in_range(t->count, 0, 255);
    assert_true(pkt->size > 0 && pkt->data);
    t->pts[t->count] = pkt->pts;
    t->dts[t->count] = pkt->dts;
    t->duration[t->count] = pkt->duration;
    t->key[t->count++] = pkt->flags & RGPU_PACKET_KEY;
    if (t->file)
        fwrite(pkt->data, 1, pkt->size, t->file);
}

/* Takes all that comes within `timeout_ms` each; the code that ends it. */
static int take(rgpu_stream *stream, int timeout_ms, struct taken *taken)
{
    struct rgpu_packet pkt;
    int ret;
    while ((ret = rgpu_stream_receive(stream, timeout_ms, &pkt)) == 0)
        keep(taken, &pkt);
    return ret;
}

static void send_number(rgpu_stream *stream, int number, struct taken *taken)
{
    uint8_t picture[FRAME_BYTES];
    paint(picture, number);
    const struct rgpu_frame frame = frame_of(picture, number);
    int ret;
    while ((ret = rgpu_stream_send_frame(stream, &frame)) == RGPU_ERROR_AGAIN)
        assert_int_equal(take(stream, 1, taken), RGPU_ERROR_AGAIN);
    assert_int_equal(ret, 0);
}

/* dts grows and never passes pts. */
static void check_decode_order(const struct taken *t)
{
    for (int i = 0; i < t->count; i++) {
        assert_true(t->dts[i] <= t->pts[i]);
        assert_true(i == 0 || t->dts[i] > t->dts[i - 1]);
    }
}

static int compare_times(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void test_frames_in_packets_out(void **state)
{
    (void)state;
    const char *folder = film_folder();
    char raw_path[FILM_PATH_MAX], coded_path[FILM_PATH_MAX], want[64], got[64];
    snprintf(raw_path, sizeof(raw_path), "%sraw.yuv", folder);
    snprintf(coded_path, sizeof(coded_path), "%scoded.h264", folder);
    FILE *raw = fopen(raw_path, "wb");
    assert_non_null(raw);
    struct taken taken[2] = {{.file = fopen(coded_path, "wb")}};
    rgpu_stream *stream = open_raw(lossless, 2, 0);
    const void *headers = NULL;
    size_t size = 0;
    assert_int_equal(rgpu_stream_headers(stream, 0, &headers, &size), RGPU_ERROR_AGAIN);
    for (int i = 0; i < COUNT; i++) {
        uint8_t picture[FRAME_BYTES];
        paint(picture, i);
        fwrite(picture, 1, sizeof(picture), raw);
        send_number(stream, i, taken);
    }
    assert_int_equal(rgpu_stream_finish(stream), 0);
    assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
    assert_int_equal(rgpu_stream_receive(stream, -1, &(struct rgpu_packet){0}), RGPU_ERROR_END);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(taken[r].count, COUNT);
        check_decode_order(&taken[r]);
        for (int i = 0; i < COUNT; i++) {
            assert_int_equal(taken[r].pts[i], time_of(i));
            assert_int_equal(taken[r].duration[i], 3600);
            /* One key frame in each 0.8 s from the first frame on. */
            const bool key = i == 0 || (time_of(i) - time_of(0)) / 72000 !=
                                           (time_of(i - 1) - time_of(0)) / 72000;
            assert_int_equal(taken[r].key[i], key);
        }
        assert_int_equal(rgpu_stream_headers(stream, r, &headers, &size), 0);
        assert_true(size > 10 && memcmp(headers, "\0\0\0\1", 4) == 0);
    }
    assert_int_equal(rgpu_stream_headers(stream, 2, &headers, &size), RGPU_ERROR_PARAM);
    assert_int_equal(rgpu_stream_headers(stream, -1, &headers, &size), RGPU_ERROR_PARAM);
    assert_string_equal(rgpu_stream_message(stream), "");
    rgpu_stream_close(&stream);
    assert_null(stream);
    rgpu_stream_close(&stream);
    fclose(raw);
    fclose(taken[0].file);
    film_ask(want, sizeof(want), "md5sum <%s", raw_path);
    film_ask(
        got, sizeof(got),
        "ffmpeg -nostdin -v quiet -i %s -vsync passthrough -f rawvideo -pix_fmt yuv420p - | md5sum",
        coded_path);
    assert_string_equal(got, want);
}

static void send_clip(rgpu_stream *stream, const struct clip *clip, struct taken *taken)
{
    for (size_t i = 0; i < clip->count; i++) {
        const struct packet *from = &clip->packets[i];
        const struct rgpu_packet pkt = {.data = from->data,
                                        .size = from->size,
                                        .pts = from->pts,
                                        .dts = i % 2 ? from->dts : RGPU_NO_PTS,
                                        .duration = from->duration,
                                        .flags = from->flags & PACKET_KEY ? RGPU_PACKET_KEY : 0};
        int ret;
        while ((ret = rgpu_stream_send_packet(stream, &pkt)) == RGPU_ERROR_AGAIN)
            take(stream, 1, taken);
        if (ret != 0)
            return;
    }
}

static rgpu_stream *open_clip(const struct clip *clip, const struct rgpu_rung *rungs, int count)
{
    rgpu_stream *stream = NULL;
    const struct buffer *headers = clip->track.extradata;
    assert_int_equal(rgpu_stream_open(&stream, .codec = clip->track.codec, .headers = headers->data,
                                      .headers_size = headers->size, .width = clip->width,
                                      .height = clip->height,
                                      .time_base_num = clip->track.time_base.num,
                                      .time_base_den = clip->track.time_base.den, .fps_num = 25,
                                      .fps_den = 1, .rungs = rungs, .rungs_count = count),
                     0);
    return stream;
}

static void test_packets_in_packets_out(void **state)
{
    static const struct rgpu_rung rungs[] = {{.quality = 25, .speed = 4, .bframes = 2},
                                             {.height = 48, .quality = 30, .speed = 1}};
    struct clip clip;
    (void)state;
    clip_read(FILM, &clip);
    struct taken taken[2] = {0};
    rgpu_stream *stream = open_clip(&clip, rungs, 2);
    send_clip(stream, &clip, taken);
    assert_int_equal(rgpu_stream_finish(stream), 0);
    assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
    int64_t want[256] = {0};
    for (size_t i = 0; i < clip.count; i++)
        want[i] = clip.packets[i].pts;
    qsort(want, clip.count, sizeof(*want), compare_times);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(taken[r].count, FILM_FRAMES);
        check_decode_order(&taken[r]);
        assert_true(taken[r].key[0]);
        qsort(taken[r].pts, FILM_FRAMES, sizeof(*want), compare_times);
        assert_memory_equal(taken[r].pts, want, FILM_FRAMES * sizeof(*want));
        for (int i = 0; i < FILM_FRAMES; i++)
            assert_int_equal(taken[r].duration[i], 40);
    }
    rgpu_stream_close(&stream);
    clip_done(&clip);
}

/* One key frame, and those that are forced. */
static void test_intra_refresh(void **state)
{
    static const struct rgpu_rung rungs[] = {{.quality = 25, .speed = 4}};
    (void)state;
    struct clip clip;
    clip_read(FILM, &clip);
    for (int on = 0; on < 2; on++) {
        struct taken taken[1] = {0};
        rgpu_stream *stream = NULL;
        const struct rgpu_stream_params params = {.codec = clip.track.codec,
                                                  .headers = clip.track.extradata->data,
                                                  .headers_size = clip.track.extradata->size,
                                                  .width = clip.width,
                                                  .height = clip.height,
                                                  .time_base_num = clip.track.time_base.num,
                                                  .time_base_den = clip.track.time_base.den,
                                                  .fps_num = 25,
                                                  .fps_den = 1,
                                                  .rungs = rungs,
                                                  .rungs_count = 1,
                                                  .gop_seconds = 0.2,
                                                  .intra_refresh = on};
        assert_int_equal(rgpu_stream_open_sized(&stream, &params, sizeof(params)), 0);
        send_clip(stream, &clip, taken);
        assert_int_equal(rgpu_stream_finish(stream), 0);
        assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
        int keys = 0;
        for (int i = 0; i < taken[0].count; i++)
            keys += taken[0].key[i] != 0;
        assert_true(taken[0].key[0]);
        assert_true(on ? keys == 1 : keys > 5);
        rgpu_stream_close(&stream);
    }
    clip_done(&clip);
}

/* Time that starts again is refused with words, and never hangs. */
static void test_time_that_goes_back(void **state)
{
    struct clip clip;
    (void)state;
    clip_read(FILM, &clip);
    struct taken taken[1] = {0};
    rgpu_stream *stream = open_clip(&clip, lossless, 1);
    send_clip(stream, &clip, taken);
    send_clip(stream, &clip, taken);
    rgpu_stream_finish(stream);
    const int ret = take(stream, -1, taken);
    assert_int_equal(ret, RGPU_ERROR_INPUT);
    assert_non_null(strstr(rgpu_stream_message(stream), "time stamps"));
    assert_int_equal(rgpu_stream_send_packet(stream, &(struct rgpu_packet){.data = "x", .size = 1}),
                     RGPU_ERROR_INPUT);
    rgpu_stream_close(&stream);
    clip_done(&clip);
}

static void test_garbage_does_not_hang(void **state)
{
    struct clip clip;
    unsigned seed = 99;
    (void)state;
    clip_read(FILM, &clip);
    struct taken taken[1] = {0};
    rgpu_stream *stream = open_clip(&clip, lossless, 1);
    for (int i = 0; i < 100; i++) {
        uint8_t bytes[200];
        for (size_t k = 0; k < sizeof(bytes); k++)
            bytes[k] = (uint8_t)rand_r(&seed);
        const struct rgpu_packet pkt = {.data = bytes, .size = sizeof(bytes), .pts = i * 40};
        while (rgpu_stream_send_packet(stream, &pkt) == RGPU_ERROR_AGAIN)
            take(stream, 1, taken);
    }
    rgpu_stream_finish(stream);
    const int ret = take(stream, -1, taken);
    assert_true(ret == RGPU_ERROR_END || ret == RGPU_ERROR_INPUT);
    rgpu_stream_close(&stream);
    clip_done(&clip);
}

/* Nobody receives: sending must stop with AGAIN before memory fills, and go on later. */
static void test_slow_receiver(void **state)
{
    (void)state;
    rgpu_stream *stream = open_raw(lossless, 2, 0);
    uint8_t picture[FRAME_BYTES];
    int sent = 0, full = 0;
    while (full < 20) {
        paint(picture, sent);
        const struct rgpu_frame frame = frame_of(picture, sent);
        const int ret = rgpu_stream_send_frame(stream, &frame);
        assert_true(ret == 0 || ret == RGPU_ERROR_AGAIN);
        sent += ret == 0;
        full = ret == 0 ? 0 : full + 1;
        assert_true(sent < 1000);
        if (ret != 0)
            nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    assert_true(sent > 16);
    assert_int_equal(rgpu_stream_finish(stream), 0);
    struct rgpu_packet pkt;
    int count = 0, ret;
    while ((ret = rgpu_stream_receive(stream, -1, &pkt)) == 0)
        count++;
    assert_int_equal(ret, RGPU_ERROR_END);
    assert_int_equal(count, 2 * sent);
    rgpu_stream_close(&stream);
}

static void test_low_latency(void **state)
{
    (void)state;
    struct taken taken[1] = {0};
    rgpu_stream *stream = open_raw(lossless, 1, 1);
    for (int i = 0; i < COUNT; i++) {
        struct rgpu_packet pkt;
        send_number(stream, i, taken);
        /* Each packet comes out before the next frame goes in. */
        assert_int_equal(rgpu_stream_receive(stream, 60000, &pkt), 0);
        assert_int_equal(pkt.pts, time_of(i));
        assert_int_equal(pkt.dts, time_of(i));
    }
    assert_int_equal(rgpu_stream_receive(stream, 0, &(struct rgpu_packet){0}), RGPU_ERROR_AGAIN);
    assert_int_equal(rgpu_stream_receive(stream, 2, &(struct rgpu_packet){0}), RGPU_ERROR_AGAIN);
    assert_int_equal(rgpu_stream_finish(stream), 0);
    assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
    assert_int_equal(taken[0].count, 0);
    rgpu_stream_close(&stream);
}

static void test_forced_key_and_strides(void **state)
{
    (void)state;
    struct taken taken[1] = {0};
    rgpu_stream *stream = NULL;
    assert_int_equal(rgpu_stream_open(&stream, .pixel_format = "nv12", .width = WIDTH,
                                      .height = HEIGHT, .fps_num = 25, .fps_den = 1,
                                      .rungs = lossless, .rungs_count = 1, .gop_seconds = 100),
                     0);
    static uint8_t planes[2][HEIGHT * 100];
    for (int i = 0; i < 10; i++) {
        memset(planes, 50 + i, sizeof(planes));
        /* The luma plane from its last line up. */
        const struct rgpu_frame frame = {
            .data = {planes[0] + (ptrdiff_t)(HEIGHT - 1) * 100, planes[1]},
            .stride = {-100, 100},
            .pts = time_of(i),
            .force_key = i == 7};
        assert_int_equal(rgpu_stream_send_frame(stream, &frame), 0);
    }
    rgpu_stream_finish(stream);
    assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
    assert_int_equal(taken[0].count, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(taken[0].key[i], i == 0 || i == 7);
    rgpu_stream_close(&stream);
}

/* The outermost times are as good as others. */
static void test_times_at_the_limits(void **state)
{
    static const int64_t times[] = {-RGPU_PTS_MAX, -RGPU_PTS_MAX + 1, -5, 0, RGPU_PTS_MAX};
    enum { TIMES = sizeof(times) / sizeof(times[0]) };
    static const struct rgpu_rung rungs[][1] = {{{.quality = 30, .speed = 4, .bframes = 2}},
                                                {{.quality = 30, .speed = 1}},
                                                {{.quality = 30, .speed = 1, .fps_max = 5}}};
    (void)state;
    assert_int_equal(RGPU_PTS_MAX, PTS_LIMIT);
    for (int i = 0; i < 3; i++) {
        struct taken taken[1] = {0};
        rgpu_stream *stream = open_raw(rungs[i], 1, 0);
        uint8_t picture[FRAME_BYTES];
        for (int k = 0; k < TIMES; k++) {
            if (i == 2 && times[k] != -RGPU_PTS_MAX && times[k] != RGPU_PTS_MAX)
                continue; /* with the cap, only the two that are farthest apart */
            paint(picture, k);
            struct rgpu_frame frame = frame_of(picture, k);
            frame.pts = times[k];
            frame.duration = 0;
            assert_int_equal(rgpu_stream_send_frame(stream, &frame), 0);
        }
        rgpu_stream_finish(stream);
        assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
        const int count = i == 2 ? 2 : TIMES;
        assert_int_equal(taken[0].count, count);
        check_decode_order(&taken[0]);
        qsort(taken[0].pts, (size_t)count, sizeof(times[0]), compare_times);
        assert_int_equal(taken[0].pts[count - 1], RGPU_PTS_MAX);
        assert_memory_equal(taken[0].pts, times, (size_t)(count - 1) * sizeof(times[0]));
        rgpu_stream_close(&stream);
    }
}

static void test_what_may_not_be_sent(void **state)
{
    struct clip clip;
    (void)state;
    rgpu_stream *stream = open_raw(lossless, 1, 0);
    uint8_t picture[FRAME_BYTES];
    paint(picture, 0);
    const struct rgpu_frame good = frame_of(picture, 1);
    struct rgpu_frame bad = good;
    bad.data[2] = NULL;
    assert_int_equal(rgpu_stream_send_frame(stream, &bad), RGPU_ERROR_PARAM);
    bad = good;
    bad.stride[1] = WIDTH / 2 - 1;
    assert_int_equal(rgpu_stream_send_frame(stream, &bad), RGPU_ERROR_PARAM);
    bad = good;
    static const int64_t no_times[] = {RGPU_NO_PTS, INT64_MIN + 1, -RGPU_PTS_MAX - 1,
                                       RGPU_PTS_MAX + 1, INT64_MAX};
    for (size_t i = 0; i < sizeof(no_times) / sizeof(no_times[0]); i++) {
        bad = good;
        bad.pts = no_times[i];
        assert_int_equal(rgpu_stream_send_frame(stream, &bad), RGPU_ERROR_PARAM);
    }
    assert_int_equal(rgpu_stream_send_packet(stream, &(struct rgpu_packet){.data = "x", .size = 1}),
                     RGPU_ERROR_PARAM);
    assert_int_equal(rgpu_stream_send_frame(stream, &good), 0);
    assert_int_equal(rgpu_stream_send_frame(stream, &good), RGPU_ERROR_PARAM); /* same time */
    assert_int_equal(rgpu_stream_finish(stream), 0);
    assert_int_equal(rgpu_stream_finish(stream), 0);
    const struct rgpu_frame late = frame_of(picture, 2);
    assert_int_equal(rgpu_stream_send_frame(stream, &late), RGPU_ERROR_PARAM);
    struct taken taken[1] = {0};
    assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
    assert_int_equal(taken[0].count, 1);
    rgpu_stream_close(&stream);

    clip_read(FILM, &clip);
    stream = open_clip(&clip, lossless, 1);
    assert_int_equal(rgpu_stream_send_frame(stream, &good), RGPU_ERROR_PARAM);
    assert_int_equal(rgpu_stream_send_packet(stream, &(struct rgpu_packet){.data = "x"}),
                     RGPU_ERROR_PARAM);
    assert_int_equal(rgpu_stream_send_packet(stream, &(struct rgpu_packet){.size = 1}),
                     RGPU_ERROR_PARAM);
    for (size_t i = 0; i < sizeof(no_times) / sizeof(no_times[0]); i++) {
        const struct rgpu_packet pkt = {.data = "x", .size = 1, .pts = no_times[i]};
        assert_int_equal(rgpu_stream_send_packet(stream, &pkt), RGPU_ERROR_PARAM);
    }
    rgpu_stream_finish(stream); /* nothing was sent at all */
    assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
    rgpu_stream_close(&stream);
    clip_done(&clip);
}

static void refused(const struct rgpu_stream_params *params, const char *text, int code)
{
    rgpu_stream *stream = NULL;
    assert_int_equal(rgpu_stream_open_sized(&stream, params, sizeof(*params)), code);
    if (!strstr(rgpu_stream_message(stream), text))
        print_error("'%s' lacks '%s'\n", rgpu_stream_message(stream), text);
    assert_non_null(strstr(rgpu_stream_message(stream), text));
    assert_int_equal(rgpu_stream_send_frame(stream, &(struct rgpu_frame){0}), code);
    assert_int_equal(rgpu_stream_finish(stream), code);
    assert_int_equal(rgpu_stream_receive(stream, -1, &(struct rgpu_packet){0}), code);
    rgpu_stream_close(&stream);
}

static void test_wrong_parameters(void **state)
{
    (void)state;
    static const struct rgpu_rung source[] = {{.preset = "source"}},
                                  larger[] = {{.preset = "720p"}, {.preset = "480p"}};
    static const struct rgpu_rung vp9[] = {{.codec = "vp9"}},
                                  nonsense[] = {{.profile = "nonsense"}};
    static const struct rgpu_rung wide[] = {{.width = 128}}, high[] = {{.width = 64, .height = 50}};
    const struct rgpu_stream_params good = {.pixel_format = "yuv420p",
                                            .width = WIDTH,
                                            .height = HEIGHT,
                                            .rungs = lossless,
                                            .rungs_count = 1};
#define BAD(text, code, field, value)                                                              \
    do {                                                                                           \
        struct rgpu_stream_params p = good;                                                        \
        p.field = value;                                                                           \
        refused(&p, text, RGPU_ERROR_##code);                                                      \
    } while (0)
    BAD("rung", PARAM, rungs_count, 0);
    BAD("16", PARAM, rungs_count, 17);
    BAD("rung", PARAM, rungs, NULL);
    BAD("pixel format", PARAM, pixel_format, "rgb565");
    BAD("pixel format", PARAM, pixel_format, NULL);
    BAD("0x48", PARAM, width, 0);
    BAD("64x99999", PARAM, height, 99999);
    BAD("gop", PARAM, gop_seconds, -1);
    BAD("gop", PARAM, gop_seconds, 1e-9);
    BAD("0.001", PARAM, gop_seconds, 0.0009);
    BAD("gop", PARAM, gop_seconds, 1.1e9);
    BAD("threads", PARAM, threads, -1);
    BAD("1024", PARAM, threads, 1025);
    BAD("time base", PARAM, time_base_num, -1);
    BAD("frame rate", PARAM, fps_num, 25); /* without its other half */
    BAD("headers", PARAM, headers_size, 10);
    BAD("source", PARAM, rungs, source);
    BAD("vp9", PARAM, rungs, vp9);
    BAD("nonsense", PARAM, rungs, nonsense);
    BAD("device", PARAM, device, "tpu");
    BAD("device", PARAM, device, "cuda:x");
    BAD("cuda:77", DEVICE, device, "cuda:77");
    struct rgpu_stream_params p = good;
    p.rungs = larger;
    p.rungs_count = 2;
    refused(&p, "larger", RGPU_ERROR_PARAM);
    p.rungs_count = 1;
    p.rungs = wide;
    refused(&p, "128", RGPU_ERROR_PARAM);
    refused(&p, "upscale", RGPU_ERROR_PARAM);
    /* No larger than the source, since it is fitted into the box. */
    rgpu_stream *stream = NULL;
    p.rungs = high;
    assert_int_equal(rgpu_stream_open_sized(&stream, &p, sizeof(p)), 0);
    rgpu_stream_close(&stream);
}

static struct rgpu_stream_progress progress_of(rgpu_stream *stream)
{
    struct rgpu_stream_progress p;
    memset(&p, 0x55, sizeof(p));
    assert_int_equal(rgpu_stream_progress(stream, &p, sizeof(p)), 0);
    return p;
}

static bool warned(rgpu_stream *stream, const char *text)
{
    bool found = false;
    assert_null(rgpu_stream_warning(stream, -1));
    assert_null(rgpu_stream_warning(stream, 1000));
    for (int i = 0; rgpu_stream_warning(stream, i); i++)
        found |= strstr(rgpu_stream_warning(stream, i), text) != NULL;
    return found;
}

static void test_warnings_and_sizes(void **state)
{
    static const struct rgpu_rung rungs[] = {{.quality = 30, .speed = 1},
                                             {.preset = "240p", .height = 24, .speed = 1}};
    static uint8_t planes[WIDTH * HEIGHT];
    (void)state;
    struct taken taken[2] = {0};
    rgpu_stream *stream = NULL;
    assert_int_equal(rgpu_stream_open(&stream, .pixel_format = "yuv422p", .width = WIDTH,
                                      .height = HEIGHT, .rungs = rungs, .rungs_count = 2),
                     0);
    assert_null(rgpu_stream_warning(stream, 0));
    struct rgpu_stream_progress p = progress_of(stream);
    assert_int_equal(p.rungs_count, 2);
    assert_string_equal(p.rungs[0].name, "48p");
    assert_string_equal(p.rungs[1].name, "240p");
    assert_string_equal(p.rungs[1].codec, "h264");
    assert_true(p.rungs[0].width == WIDTH && p.rungs[0].height == HEIGHT);
    assert_true(p.rungs[1].width == 32 && p.rungs[1].height == 24);
    assert_true(p.sent == 0 && p.damaged == 0 && p.rungs[0].frames == 0 && p.rungs[0].bytes == 0);
    for (int i = 0; i < 3; i++) {
        const struct rgpu_frame frame = {.data = {planes, planes, planes}, .pts = i * 3600};
        assert_int_equal(rgpu_stream_send_frame(stream, &frame), 0);
    }
    rgpu_stream_finish(stream);
    assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
    assert_true(warned(stream, "4:2:2"));
    p = progress_of(stream);
    assert_true(p.sent == 3 && p.damaged == 0 && p.rungs[0].bytes > 0);
    assert_true(p.rungs[0].frames == 3 && p.rungs[1].frames == 3);
    /* An older caller's struct, and a newer one's. */
    struct {
        struct rgpu_stream_progress known;
        char more[16];
    } newer;
    memset(&newer, 0x55, sizeof(newer));
    assert_int_equal(rgpu_stream_progress(stream, &newer.known, sizeof(newer.known.sent)), 0);
    assert_int_equal(newer.known.sent, 3);
    assert_int_not_equal(newer.known.damaged, 0);
    assert_int_equal(rgpu_stream_progress(stream, &newer.known, sizeof(newer)), 0);
    assert_int_equal(newer.more[15], 0);
    rgpu_stream_close(&stream);
}

static void test_upscale(void **state)
{
    static const struct rgpu_rung rungs[] = {
        {.width = 128, .height = 128, .quality = 40, .speed = 1}, {.preset = "240p", .speed = 1}};
    (void)state;
    struct taken taken[2] = {0};
    rgpu_stream *stream = NULL;
    assert_int_equal(rgpu_stream_open(&stream, .pixel_format = "yuv420p", .width = WIDTH,
                                      .height = HEIGHT, .rungs = rungs, .rungs_count = 2,
                                      .upscale = 1),
                     0);
    const struct rgpu_stream_progress p = progress_of(stream);
    assert_true(p.rungs[0].width == 128 && p.rungs[0].height == 96);
    assert_true(p.rungs[1].width == 320 && p.rungs[1].height == 240);
    send_number(stream, 0, taken);
    rgpu_stream_finish(stream);
    assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
    assert_int_equal(taken[0].count, 1);
    assert_int_equal(taken[1].count, 1);
    rgpu_stream_close(&stream);
}

/* Packets that cannot be decoded are counted and said. */
static void test_damage(void **state)
{
    struct clip clip;
    (void)state;
    clip_read(FILM, &clip);
    for (int bad = 0; bad < 2; bad++) {
        struct taken taken[1] = {0};
        rgpu_stream *stream = open_clip(&clip, lossless, 1);
        for (size_t i = 0; i < 24; i++) {
            static const uint8_t noise[64] = {0, 0, 0, 60, 0x65, 0xff, 0xff, 0xff};
            const struct packet *from = &clip.packets[i];
            struct rgpu_packet pkt = {.data = from->data, .size = from->size, .pts = from->pts};
            if (bad && i == 5) {
                pkt.data = noise;
                pkt.size = sizeof(noise);
            }
            int ret;
            while ((ret = rgpu_stream_send_packet(stream, &pkt)) == RGPU_ERROR_AGAIN)
                take(stream, 1, taken);
            assert_int_equal(ret, 0);
        }
        rgpu_stream_finish(stream);
        assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
        const struct rgpu_stream_progress p = progress_of(stream);
        assert_int_equal(p.sent, 24);
        assert_int_equal(p.damaged > 0, bad);
        assert_int_equal(warned(stream, "damaged"), bad);
        rgpu_stream_close(&stream);
    }
    clip_done(&clip);
}

/* What only the encoder can refuse comes as the stream's error, to both sides. */
static void test_late_failure(void **state)
{
    static const struct rgpu_rung rungs[] = {{.profile = "baseline", .bframes = 2}};
    (void)state;
    rgpu_stream *stream = open_raw(rungs, 1, 0);
    uint8_t picture[FRAME_BYTES];
    paint(picture, 0);
    int ret = 0;
    for (int i = 0; ret == 0 || ret == RGPU_ERROR_AGAIN; i++) {
        const struct rgpu_frame frame = frame_of(picture, i);
        ret = rgpu_stream_send_frame(stream, &frame);
        if (ret == RGPU_ERROR_AGAIN)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_int_equal(rgpu_stream_receive(stream, -1, &(struct rgpu_packet){0}), ret);
    assert_non_null(strstr(rgpu_stream_message(stream), "rendition 48p (h264"));
    assert_non_null(strstr(rgpu_stream_message(stream), "baseline"));
    rgpu_stream_close(&stream);
}

struct sender {
    rgpu_stream *stream;
    int failed;
};

static void *send_all(void *opaque)
{
    struct sender *s = opaque;
    uint8_t picture[FRAME_BYTES];
    for (int i = 0; i < 200 && !s->failed; i++) {
        paint(picture, i);
        const struct rgpu_frame frame = frame_of(picture, i);
        int ret;
        while ((ret = rgpu_stream_send_frame(s->stream, &frame)) == RGPU_ERROR_AGAIN)
            nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
        struct rgpu_stream_progress p;
        rgpu_stream_progress(s->stream, &p, sizeof(p));
        if (ret == 0 && (p.sent != i + 1 || rgpu_stream_warning(s->stream, 0)))
            ret = RGPU_ERROR_INTERNAL;
        s->failed = ret;
    }
    if (!s->failed)
        s->failed = rgpu_stream_finish(s->stream);
    return NULL;
}

static void test_two_threads(void **state)
{
    (void)state;
    struct taken taken[2] = {0};
    struct sender sender = {.stream = open_raw(lossless, 2, 0)};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, send_all, &sender), 0);
    assert_int_equal(take(sender.stream, -1, taken), RGPU_ERROR_END);
    pthread_join(thread, NULL);
    assert_int_equal(sender.failed, 0);
    for (int r = 0; r < 2; r++)
        assert_int_equal(taken[r].count, 200);
    rgpu_stream_close(&sender.stream);
}

static void test_close_in_the_middle(void **state)
{
    unsigned seed = 31;
    (void)state;
    const int threads = film_threads();
    print_message("seed %u\n", seed);
    for (int i = 0; i < 30; i++) {
        struct taken taken[2] = {0};
        rgpu_stream *stream = open_raw(lossless, 2, i % 2);
        const int count = rand_r(&seed) % 100;
        for (int k = 0; k < count; k++) {
            uint8_t picture[FRAME_BYTES];
            paint(picture, k);
            const struct rgpu_frame frame = frame_of(picture, k);
            if (rgpu_stream_send_frame(stream, &frame) == RGPU_ERROR_AGAIN && i % 3)
                take(stream, 1, taken);
        }
        if (i % 4 == 0)
            rgpu_stream_finish(stream);
        rgpu_stream_close(&stream);
    }
    assert_int_equal(film_threads(), threads);
}

static void test_older_struct(void **state)
{
    (void)state;
    rgpu_stream *stream = NULL;
    struct taken taken[1] = {0};
    const struct rgpu_stream_params params = {.pixel_format = "yuv420p",
                                              .width = WIDTH,
                                              .height = HEIGHT,
                                              .rungs = lossless,
                                              .rungs_count = 1,
                                              .device = "nonsense",
                                              .threads = -5};
    assert_int_equal(
        rgpu_stream_open_sized(&stream, &params, offsetof(struct rgpu_stream_params, device)), 0);
    send_number(stream, 0, taken);
    rgpu_stream_finish(stream);
    assert_int_equal(take(stream, -1, taken), RGPU_ERROR_END);
    assert_int_equal(taken[0].count, 1);
    rgpu_stream_close(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_in_packets_out),
        cmocka_unit_test(test_packets_in_packets_out),
        cmocka_unit_test(test_time_that_goes_back),
        cmocka_unit_test(test_intra_refresh),
        cmocka_unit_test(test_garbage_does_not_hang),
        cmocka_unit_test(test_slow_receiver),
        cmocka_unit_test(test_low_latency),
        cmocka_unit_test(test_forced_key_and_strides),
        cmocka_unit_test(test_times_at_the_limits),
        cmocka_unit_test(test_what_may_not_be_sent),
        cmocka_unit_test(test_warnings_and_sizes),
        cmocka_unit_test(test_upscale),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_wrong_parameters),
        cmocka_unit_test(test_late_failure),
        cmocka_unit_test(test_two_threads),
        cmocka_unit_test(test_close_in_the_middle),
        cmocka_unit_test(test_older_struct),
    };
    return cmocka_run_group_tests(tests, films_set_up, films_tear_down);
}
