/* Audio encoded anew: a click stays where it is, in every container; gaps, windows, layouts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/mathematics.h>
#include <math.h>
#include <unistd.h>

#include "films.h"
#include "muxing.h"

#define RATE 48000
#define CLICKS_MAX 16

/* Time of each click in a file's first audio track: where a smooth burst of 4 kHz is loudest, found
 * by its centre of energy. Microseconds. */
static int find_clicks(const char *name, const char *track, double *ret)
{
    /* The decoded samples, and the time of the first of them. */
    films_run("ffmpeg -v error -y -copyts -i %s -map 0:%s -ar %d -ac 1 -f f32le raw.f32 && "
              "ffprobe -v error -select_streams %s -show_entries frame=pts_time -of csv=p=0 %s | "
              "head -1 > first.txt",
              name, track, RATE, track, name);
    size_t size;
    uint8_t *text = films_load("first.txt", &size);
    text[size] = 0;
    const double first = atof((const char *)text);
    free(text);
    uint8_t *data = films_load("raw.f32", &size);
    const float *samples = (const float *)(const void *)data;
    const int count = (int)(size / sizeof(float));
    int clicks = 0;
    for (int i = 0; i < count && clicks < CLICKS_MAX; i++) {
        if (fabsf(samples[i]) < 0.2f)
            continue;
        double energy = 0, moment = 0;
        for (int k = i - 400; k < i + 1200 && k < count; k++) {
            const double e = k < 0 ? 0 : (double)samples[k] * samples[k];
            energy += e;
            moment += e * k;
        }
        ret[clicks++] = (first + moment / energy / RATE) * 1e6;
        i += 4000;
    }
    free(data);
    return clicks;
}

static void expect_clicks(const char *in, const char *out, int64_t shift_us)
{
    double a[CLICKS_MAX] = {0}, b[CLICKS_MAX] = {0};
    const int n = find_clicks(in, "a:0", a), m = find_clicks(out, "a:0", b);
    assert_true(n >= 2);
    if (n != m)
        fail_msg("%s -> %s: %d clicks became %d", in, out, n, m);
    for (int i = 0; i < n; i++)
        if (fabs(b[i] - (double)shift_us - a[i]) > 500)
            fail_msg("%s -> %s: click %d at %.0f us, should be %.0f", in, out, i,
                     b[i] - (double)shift_us, a[i]);
}

/* Clicks at 0.3 s and each second: bursts of 4 kHz under a bell of 2 ms. */
#define CLICK                                                                                      \
    "-f lavfi -i aevalsrc='0.9*sin(2*PI*4000*t)*exp(-pow((mod(t\\,1)-0.3)/0.002\\,2)):"            \
    "s=%d:d=3:c=%s' "

static void make_sources(void)
{
    char args[1024];
    static const struct {
        const char *end, *video, *codec, *layout;
        int rate;
    } kinds[] = {
        {"c44.mp4", "-video_track_timescale 12800", "aac", "stereo", 44100},
        {"c48.mkv", "", "flac", "stereo", 48000},
        {"c51.mkv", "", "flac", "5.1(side)", 48000},
        {"c32.ts", "", "mp2", "mono", 32000},
        {"c96.mkv", "", "pcm_s24le", "stereo", 96000},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        snprintf(args, sizeof(args),
                 "-f lavfi -i testsrc2=size=64x64:rate=25:duration=3 " CLICK
                 "-c:v libx264 -preset ultrafast -bf 2 -g 10 -c:a %s %s %s",
                 kinds[i].rate, kinds[i].layout, kinds[i].codec, kinds[i].video, kinds[i].end);
        films_make(args);
    }
}

static void run_ok(const struct mux_job *job, int64_t *shift_us)
{
    struct error err;
    if (mux_run(job, &err, shift_us, NULL) != 0)
        fail_msg("%s -> %s: %s", job->in, job->out, err.text);
}

static void test_clicks(void **state)
{
    (void)state;
    static const char *const ins[] = {"c44.mp4", "c48.mkv", "c51.mkv", "c32.ts", "c96.mkv"};
    static const char *const outs[] = {"o.mp4", "o.mkv", "o.ts", "o.flv", "o/"};
    make_sources();
    for (int i = 0; i < 5; i++) {
        for (int k = 0; k < 5; k++) {
            for (int opus = 0; opus < 2; opus++) {
                if (opus && k == 3)
                    continue;
                int64_t shift_us;
                films_run("rm -rf o.* o");
                run_ok(&(struct mux_job){.in = ins[i],
                                         .out = outs[k],
                                         .audio_codec = opus ? "opus" : "aac",
                                         .segment_us = 1000000},
                       &shift_us);
                expect_clicks(ins[i], k == 4 ? "o/audio/index.m3u8" : outs[k], shift_us);
            }
        }
    }
}

/* Copies keep their clicks too, priming and all. */
static void test_copies(void **state)
{
    (void)state;
    static const char *const outs[] = {"k.mp4", "k.mkv", "k.ts", "k.flv", "k/"};
    make_sources();
    for (int k = 0; k < 5; k++) {
        int64_t shift_us;
        films_run("rm -rf k.* k");
        run_ok(&(struct mux_job){.in = "c44.mp4", .out = outs[k], .segment_us = 1000000},
               &shift_us);
        expect_clicks("c44.mp4", k == 4 ? "k/audio/index.m3u8" : outs[k], shift_us);
        if (k == 4)
            break;
        films_run("rm -f k2.mp4");
        int64_t more_us;
        run_ok(&(struct mux_job){.in = outs[k], .out = "k2.mp4"}, &more_us);
        expect_clicks("c44.mp4", "k2.mp4", shift_us + more_us);
    }
}

/* Layouts: 5.1 stays 5.1 in both codecs. */
static void test_layouts(void **state)
{
    (void)state;
    make_sources();
    for (int opus = 0; opus < 2; opus++) {
        films_run("rm -f l.mp4");
        run_ok(&(struct mux_job){.in = "c51.mkv",
                                 .out = "l.mp4",
                                 .audio_codec = opus ? "opus" : "aac"},
               NULL);
        films_run("ffprobe -v error -select_streams a -show_entries stream=codec_name,channels "
                  "-of csv=p=0 l.mp4 | grep -q '%s,6'",
                  opus ? "opus" : "aac");
    }
}

/* ---- without a container -------------------------------------------------------------------- */

struct fake {
    AVFormatContext *format;
    struct reader_track track;
};

/* 16-bit mono at 48 kHz. */
static void fake_open(struct fake *f, enum AVCodecID codec)
{
    *f = (struct fake){.format = avformat_alloc_context()};
    assert_non_null(f->format);
    AVStream *st = avformat_new_stream(f->format, NULL);
    assert_non_null(st);
    st->time_base = (AVRational){1, RATE};
    st->codecpar->codec_type = AVMEDIA_TYPE_AUDIO;
    st->codecpar->codec_id = codec;
    st->codecpar->sample_rate = RATE;
    st->codecpar->format = AV_SAMPLE_FMT_S16;
    st->codecpar->bits_per_coded_sample = 16;
    av_channel_layout_default(&st->codecpar->ch_layout, 1);
    f->track = (struct reader_track){.kind = TRACK_AUDIO,
                                     .stream = st,
                                     .sample_rate = RATE,
                                     .channels = 1,
                                     .time_base = {1, RATE}};
}

static void fake_close(struct fake *f)
{
    avformat_free_context(f->format);
}

struct result {
    int64_t first, samples, end; /* first pts, sum of durations, end of the last */
    int packets, holes;
};

static void drain(struct audio *a, struct result *r)
{
    AVPacket *pkt = NULL;
    struct error err;
    int rc;
    while ((rc = audio_next(a, &pkt, &err)) == 0) {
        if (r->packets == 0)
            r->first = pkt->pts;
        else if (pkt->pts != r->end)
            r->holes++;
        r->packets++;
        r->samples += pkt->duration;
        r->end = pkt->pts + pkt->duration;
        av_packet_free(&pkt);
    }
    assert_true(rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END);
}

static void push(struct audio *a, int64_t pts, int samples, struct result *r)
{
    AVPacket *pkt = av_packet_alloc();
    struct error err;
    assert_non_null(pkt);
    assert_int_equal(av_new_packet(pkt, samples * 2), 0);
    for (int i = 0; i < samples; i++)
        ((int16_t *)(void *)pkt->data)[i] = (int16_t)(8000 * sin((double)(pts + i) / 20));
    pkt->pts = pkt->dts = pts;
    assert_int_equal(audio_push(a, pkt, &err), 0);
    av_packet_free(&pkt);
    drain(a, r);
}

static struct result run_fake(const int64_t *pts, int count, int samples, int64_t start_us,
                              int64_t end_us)
{
    struct fake f;
    struct audio *a = NULL;
    struct error err;
    struct result r = {0};
    fake_open(&f, AV_CODEC_ID_PCM_S16LE);
    assert_int_equal(
        audio_open(&a,
                   &(struct audio_params){
                       .source = &f.track, .codec = "aac", .start_us = start_us, .end_us = end_us},
                   &err),
        0);
    for (int i = 0; i < count; i++)
        push(a, pts[i], samples, &r);
    assert_int_equal(audio_push(a, NULL, &err), 0);
    drain(a, &r);
    const int padding = audio_codecpar(a)->initial_padding;
    r.first += padding;
    r.samples -= padding;
    audio_close(&a);
    audio_close(&a);
    fake_close(&f);
    return r;
}

static void test_time_line(void **state)
{
    (void)state;
    int64_t pts[100];
    /* As it comes, beginning late. */
    for (int i = 0; i < 100; i++)
        pts[i] = 12345 + i * 960;
    struct result r = run_fake(pts, 100, 960, 0, 0);
    assert_int_equal(r.first, 12345);
    assert_int_equal(r.samples, 96000);
    assert_int_equal(r.holes, 0);
    /* Jitter of 10 ms is none of our business. */
    for (int i = 0; i < 100; i++)
        pts[i] = i * 960 + (i % 3) * 480 - (i % 7) * 60;
    pts[0] = 0;
    r = run_fake(pts, 100, 960, 0, 0);
    assert_int_equal(r.samples, 96000);
    /* A gap of a second becomes silence. */
    for (int i = 0; i < 100; i++)
        pts[i] = i * 960 + (i >= 50 ? 48000 : 0);
    r = run_fake(pts, 100, 960, 0, 0);
    assert_int_equal(r.samples, 144000);
    assert_int_equal(r.holes, 0);
    /* Half a second twice is given once. */
    for (int i = 0; i < 100; i++)
        pts[i] = i * 960 - (i >= 50 ? 24000 : 0);
    r = run_fake(pts, 100, 960, 0, 0);
    assert_int_equal(r.samples, 72000);
    assert_int_equal(r.holes, 0);
    /* An hour's jump is a hole, not an hour of silence. */
    for (int i = 0; i < 100; i++)
        pts[i] = i * 960 + (i >= 50 ? INT64_C(3600) * RATE : 0);
    r = run_fake(pts, 100, 960, 0, 0);
    assert_int_equal(r.holes, 1);
    assert_true(r.samples < 98000);
    assert_int_equal(r.end, pts[99] + 960);
}

/* A window is kept to the sample. */
static void test_window(void **state)
{
    (void)state;
    int64_t pts[100];
    for (int i = 0; i < 100; i++)
        pts[i] = i * 960;
    struct result r = run_fake(pts, 100, 960, 500500, 0);
    assert_int_equal(r.first, 24024);
    assert_int_equal(r.samples, 96000 - 24024);
    r = run_fake(pts, 100, 960, 0, 1500250);
    assert_int_equal(r.first, 0);
    assert_int_equal(r.samples, 72012);
    r = run_fake(pts, 100, 960, 500500, 1500250);
    assert_int_equal(r.first, 24024);
    assert_int_equal(r.samples, 72012 - 24024);
}

/* Garbage is counted, and what is around it is kept. */
static void test_damage(void **state)
{
    (void)state;
    make_sources();
    struct reader *r = NULL;
    struct audio *a = NULL;
    struct error err;
    struct reader_packet p = {0};
    struct result result = {0};
    unsigned random = 7;
    int packets = 0;
    assert_int_equal(
        reader_open(&r, &(struct reader_params){.path = "c44.mp4", .video_track = -1}, &err), 0);
    assert_int_equal(
        audio_open(&a, &(struct audio_params){.source = reader_track(r, 1), .codec = "aac"}, &err),
        0);
    while (reader_next(r, &p, &err) == 0) {
        if (p.track == 1) {
            AVPacket *copy = av_packet_clone(p.av);
            assert_int_equal(av_packet_make_writable(copy), 0);
            if (packets++ % 10 == 5)
                for (int i = 0; i < copy->size; i++)
                    copy->data[i] = (uint8_t)((random = random * 1103515245u + 12345u) >> 16);
            assert_int_equal(audio_push(a, copy, &err), 0);
            drain(a, &result);
            av_packet_free(&copy);
        }
        reader_packet_done(&p);
    }
    assert_int_equal(audio_push(a, NULL, &err), 0);
    drain(a, &result);
    assert_true(audio_failed_count(a) > 0);
    assert_in_range(result.samples, 3 * 44100 - 2048, 3 * 44100 + 4096);
    audio_close(&a);
    reader_close(&r);
}

static void test_refused(void **state)
{
    (void)state;
    struct fake f;
    struct audio *a = NULL;
    struct error err;
    fake_open(&f, AV_CODEC_ID_PCM_S16LE);
    assert_int_equal(
        audio_open(&a, &(struct audio_params){.source = &f.track, .codec = "vorbis"}, &err),
        RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "--audio"));
    assert_null(a);
    fake_close(&f);
    for (int channels = 1; films_can("libopus") && channels <= 2; channels++) {
        fake_open(&f, AV_CODEC_ID_PCM_S16LE);
        AVCodecParameters *par = f.track.stream->codecpar;
        av_channel_layout_uninit(&par->ch_layout);
        av_channel_layout_default(&par->ch_layout, channels);
        const struct audio_params much = {
            .source = &f.track, .codec = "opus", .bit_rate_bps = channels * 256000 + 1000};
        assert_int_equal(audio_open(&a, &much, &err), RGPU_ERROR_PARAM);
        assert_non_null(strstr(err.text, channels == 1 ? "257 kbit/s" : "513 kbit/s"));
        assert_non_null(strstr(err.text, "at most 256 kbit/s a channel"));
        assert_non_null(strstr(err.text, channels == 1 ? "opus:256" : "opus:512"));
        struct audio_params most = much;
        most.bit_rate_bps = channels * 256000;
        assert_int_equal(audio_open(&a, &most, &err), 0);
        audio_close(&a);
        fake_close(&f);
    }
    fake_open(&f, AV_CODEC_ID_NONE);
    assert_int_equal(
        audio_open(&a, &(struct audio_params){.source = &f.track, .codec = "aac"}, &err),
        RGPU_ERROR_INPUT);
    fake_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_line), cmocka_unit_test(test_window),
        cmocka_unit_test(test_refused),   cmocka_unit_test(test_clicks),
        cmocka_unit_test(test_copies),    cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, films_setup, films_teardown);
}
