/* Encoders through codec.h: key frames where they are asked for, exact time stamps, headers that
 * say what the packets do, lossless coding, metadata, and clear refusals. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/codec_log.h"
#include "media/av1.h"
#include "media/h264.h"
#include "media/hevc.h"
#include "support/coding.h"

#define WIDTH 128
#define HEIGHT 96

static const struct codec_backend *backend, *decoding;
static const char *const codecs[] = {"h264", "hevc", "av1"};
#define CODECS_COUNT (sizeof(codecs) / sizeof(codecs[0]))

/* What pictures of a device's format are on the host. */
static enum pixel_format planar(enum pixel_format format)
{
    if (backend->kind == DEVICE_CPU)
        return format;
    return format == PIXEL_NV12 ? PIXEL_YUV420P : format == PIXEL_P010 ? PIXEL_YUV420P10 : format;
}

/* The format that the backend asks for. One of the device's is not for the CPU's encoders. */
static void set_format(struct encoder_params *params, enum pixel_format source)
{
    const enum pixel_format format =
        backend->encoder->format(0, params->codec, params->profile, source);
    params->format = format == PIXEL_NONE ? source : format;
    params->no_fallback = planar(params->format) != params->format;
}

static struct encoder_params params_for(const char *codec)
{
    struct encoder_params params = {
        .width = WIDTH,
        .height = HEIGHT,
        .time_base = {1, 25},
        .frame_rate = {25, 1},
        .rate = RATE_QUALITY,
        .quality = 30,
        .speed = 1,
        .bframes = -1,
        .global_headers = true,
    };
    snprintf(params.codec, sizeof(params.codec), "%s", codec);
    set_format(&params, PIXEL_YUV420P);
    return params;
}

static bool have(const char *codec)
{
    if (backend->encoder->format(0, codec, "", PIXEL_YUV420P) != PIXEL_NONE)
        return true;
    print_message("%s: no encoder here\n", codec);
    return false;
}

/* ---- what a packet is, by its own bytes ------------------------------------------------------ */

struct look {
    bool key;     /* IDR, or AV1 key frame */
    bool headers; /* parameter sets in band */
    bool annexb;
    struct hdr hdr;
};

static void look_at(const char *codec, const struct packet *pkt, struct look *ret)
{
    static struct h264_context h264;
    static struct hevc_context hevc;
    static struct av1_sequence av1;
    *ret = (struct look){.annexb = pkt->size > 4 && (!memcmp(pkt->data, "\0\0\0\1", 4) ||
                                                     !memcmp(pkt->data, "\0\0\1", 3))};
    if (!strcmp(codec, "h264")) {
        struct h264_access_unit au;
        assert_int_equal(h264_access_unit(&h264, pkt->data, pkt->size, NAL_ANNEXB, &au, NULL), 0);
        assert_int_equal(au.damaged, 0);
        assert_true(au.slices > 0);
        *ret = (struct look){au.idr, au.has_sps && au.has_pps, ret->annexb, au.hdr};
    } else if (!strcmp(codec, "hevc")) {
        struct hevc_access_unit au;
        assert_int_equal(hevc_access_unit(&hevc, pkt->data, pkt->size, NAL_ANNEXB, &au, NULL), 0);
        assert_int_equal(au.damaged, 0);
        assert_true(au.slices > 0);
        *ret = (struct look){au.idr, au.has_vps && au.has_sps && au.has_pps, ret->annexb, au.hdr};
    } else {
        struct av1_temporal_unit tu;
        assert_int_equal(av1_temporal_unit(&av1, pkt->data, pkt->size, &tu, NULL), 0);
        assert_int_equal(tu.damaged, 0);
        assert_int_equal(tu.shown, 1);
        *ret = (struct look){tu.key, tu.has_sequence, true, tu.hdr};
    }
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* Whether the packets with these pts, and no others, are key frames with headers in front. */
static void check_keys(const char *codec, const struct packet_list *packets, const int64_t *keys,
                       size_t keys_count)
{
    size_t found = 0;
    for (size_t i = 0; i < packets->count; i++) {
        const struct packet *pkt = &packets->items[i];
        struct look look;
        look_at(codec, pkt, &look);
        bool wanted = false;
        for (size_t k = 0; k < keys_count; k++)
            wanted = wanted || keys[k] == pkt->pts;
        if (look.key != wanted || !(pkt->flags & PACKET_KEY) != !wanted)
            fail_msg("%s: packet with pts %lld: key %d, flags %x, wanted %d", codec,
                     (long long)pkt->pts, look.key, pkt->flags, wanted);
        assert_true(look.annexb);
        if (wanted)
            assert_true(look.headers);
        found += wanted;
    }
    assert_int_equal(found, keys_count);
}

/* Decoding from each key frame on gives the same pictures as decoding from the start, and nothing
 * in front of it in time comes behind it. */
static void check_closed(const struct encoder_params *params, const struct encoder_header *header,
                         const struct packet_list *packets)
{
    struct frame_list all = {0};
    decode_encoded(decoding, params, header, packets->items, packets->count, &all);
    assert_int_equal(all.count, packets->count);
    for (size_t i = 0; i < packets->count; i++) {
        if (!(packets->items[i].flags & PACKET_KEY))
            continue;
        for (size_t k = i + 1; k < packets->count; k++)
            assert_true(packets->items[k].pts > packets->items[i].pts);
        struct frame_list part = {0};
        decode_encoded(decoding, params, header, packets->items + i, packets->count - i, &part);
        assert_int_equal(part.count, packets->count - i);
        for (size_t k = 0; k < part.count; k++)
            assert_true(same_picture(part.items[k], all.items[all.count - part.count + k]));
        frame_list_done(&part);
    }
    frame_list_done(&all);
}

static void test_keys(void **state)
{
    (void)state;
    static const int64_t forced[] = {0, 7, 8, 21};
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(codecs[c]))
            continue;
        struct encoder_params params = params_for(codecs[c]);
        struct encoder_header header;
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        params.speed = !strcmp(codecs[c], "av1") ? 1 : 4;
        make_pictures(planar(params.format), WIDTH, HEIGHT, 40, 1, &frames);
        /* A cut, at which encoders like to put a key frame. */
        for (int y = 0; y < HEIGHT; y++)
            memset(frames.items[14]->data[0] + y * frames.items[14]->stride[0], 200, WIDTH);
        for (size_t k = 0; k < 4; k++)
            frames.items[forced[k]]->flags |= FRAME_KEY;
        encode_all(backend, &params, &frames, &packets, &header);
        assert_int_equal(packets.count, frames.count);
        check_keys(codecs[c], &packets, forced, 4);
        check_closed(&params, &header, &packets);
        buffer_unref(&header.extradata);
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

/* Decoding from a recovery point on gives the same pictures as from the start, once a refresh is
 * over; but for what x264's filter carries over its edge, which is next to nothing. */
static void check_recovers(const struct encoder_params *params, const struct encoder_header *header,
                           const struct packet_list *packets, const struct frame_list *all,
                           size_t point)
{
    struct frame_list part = {0};
    const size_t end = point + (size_t)params->intra_refresh_frames;
    size_t same = 0;
    decode_encoded(decoding, params, header, packets->items + point, packets->count - point, &part);
    for (size_t i = 0; i < part.count; i++) {
        const int64_t pts = part.items[i]->pts;
        if (pts < (int64_t)end)
            continue;
        const double mse = luma_mse(part.items[i], all->items[pts]);
        if (mse > 0.1)
            fail_msg("from the recovery point at %zu on, picture %lld is off by %g", point,
                     (long long)pts, mse);
        same++;
    }
    assert_int_equal(same, end < packets->count ? packets->count - end : 0);
    frame_list_done(&part);
}

/* The beginnings of refreshes, since the key frame before: as marked, and from each the whole
 * picture comes back. */
static size_t check_refreshes(const struct encoder_params *params,
                              const struct encoder_header *header,
                              const struct packet_list *packets, const struct frame_list *all)
{
    static struct h264_context h264;
    size_t points = 0, since = 0;
    for (size_t i = 0; i < packets->count; i++, since++) {
        const struct packet *pkt = &packets->items[i];
        struct h264_access_unit au;
        assert_int_equal(h264_access_unit(&h264, pkt->data, pkt->size, NAL_ANNEXB, &au, NULL), 0);
        if (au.idr) {
            since = 0;
            continue;
        }
        assert_int_equal(au.recovery_point, since % (size_t)params->intra_refresh_frames == 0);
        if (!au.recovery_point)
            continue;
        assert_true(au.has_sps && au.has_pps);
        assert_in_range(au.recovery_frames, 1, params->intra_refresh_frames);
        check_recovers(params, header, packets, all, i);
        points++;
    }
    return points;
}

/* Every picture is renewed by and by, and there are no key frames but those that are asked for. */
static void test_intra_refresh(void **state)
{
    (void)state;
    static const int64_t forced[] = {0, 47};
    static const struct {
        int speed, frames;
        bool low_latency, rated;
        size_t points;
    } cases[] = {
        {1, 20, false, false, 4}, {4, 20, false, true, 4}, {7, 20, false, false, 4},
        {1, 20, true, true, 4},   {4, 5, true, false, 18}, {7, 33, true, true, 2},
        {4, 2, false, false, 46},
    };
    for (size_t n = 0; have("h264") && n < sizeof(cases) / sizeof(cases[0]); n++) {
        struct encoder_params params = params_for("h264");
        struct packet_list packets = {0};
        struct frame_list frames = {0}, all = {0};
        struct encoder_header header;
        params.speed = cases[n].speed;
        params.intra_refresh_frames = cases[n].frames;
        params.low_latency = cases[n].low_latency;
        params.rate = cases[n].rated ? RATE_VBR : RATE_QUALITY;
        params.bit_rate_bps = 400000;
        make_pictures(planar(params.format), WIDTH, HEIGHT, 95, 1, &frames);
        frames.items[forced[1]]->flags |= FRAME_KEY;
        encode_all(backend, &params, &frames, &packets, &header);
        assert_int_equal(packets.count, frames.count);
        assert_int_equal(header.reorder_frames, 0);
        check_keys("h264", &packets, forced, 2);
        check_closed(&params, &header, &packets);
        decode_encoded(decoding, &params, &header, packets.items, packets.count, &all);
        assert_int_equal(check_refreshes(&params, &header, &packets, &all), cases[n].points);
        buffer_unref(&header.extradata);
        packet_list_done(&packets);
        frame_list_done(&frames);
        frame_list_done(&all);
    }
}

/* A picture sent without FRAME_KEY is a key frame too when it is the first. */
static void test_one_frame(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(codecs[c]))
            continue;
        const struct encoder_params params = params_for(codecs[c]);
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        make_pictures(planar(params.format), WIDTH, HEIGHT, 1, 2, &frames);
        encode_all(backend, &params, &frames, &packets, NULL);
        assert_int_equal(packets.count, 1);
        check_keys(codecs[c], &packets, &(int64_t){0}, 1);
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

/* Time stamps with gaps, far from zero and below it, in coarse and fine time bases. */
static void test_pts(void **state)
{
    (void)state;
    static const struct {
        struct rational time_base, frame_rate;
        int64_t start, step;
    } cases[] = {
        {{1, 90000}, {25, 1}, INT64_C(8589934592) * 1000, 3600},
        {{1001, 30000}, {30000, 1001}, -17, 1},
        {{1, 1000000000}, {0, 0}, INT64_MIN + 5, 41708333},
        {{1, 1000}, {24000, 1001}, INT64_MAX - 100000000, 42},
    };
    for (size_t c = 0; c < CODECS_COUNT; c++)
        for (size_t n = 0; have(codecs[c]) && n < sizeof(cases) / sizeof(cases[0]); n++) {
            struct encoder_params params = params_for(codecs[c]);
            struct packet_list packets = {0};
            struct frame_list frames = {0};
            params.time_base = cases[n].time_base;
            params.frame_rate = cases[n].frame_rate;
            params.rate = n % 2 ? RATE_VBR : RATE_QUALITY;
            params.bit_rate_bps = 400000;
            make_pictures(planar(params.format), WIDTH, HEIGHT, 30, 3, &frames);
            int64_t pts = cases[n].start;
            for (size_t i = 0; i < frames.count; i++) {
                frames.items[i]->pts = pts;
                frames.items[i]->duration = cases[n].step * (i % 5 == 3 ? 17 : 1);
                pts += frames.items[i]->duration;
            }
            encode_all(backend, &params, &frames, &packets, NULL);
            assert_int_equal(packets.count, frames.count);
            for (size_t i = 0; i < frames.count; i++) {
                size_t found = 0;
                for (size_t k = 0; k < packets.count; k++)
                    if (packets.items[k].pts == frames.items[i]->pts) {
                        assert_true(packets.items[k].duration == frames.items[i]->duration);
                        found++;
                    }
                assert_int_equal(found, 1);
                assert_int_equal(packets.items[i].ordinal, i);
                assert_true(packets.items[i].dts == PTS_NONE);
            }
            packet_list_done(&packets);
            frame_list_done(&frames);
        }
}

/* The most packets that come before one and are shown after it. */
static int measured_reorder(const struct packet_list *packets)
{
    int most = 0;
    for (size_t i = 0; i < packets->count; i++) {
        int later = 0;
        for (size_t k = 0; k < i; k++)
            later += packets->items[k].pts > packets->items[i].pts;
        most = later > most ? later : most;
    }
    return most;
}

static void test_reorder(void **state)
{
    (void)state;
    static const int bframes[] = {-1, 0, 1, 3};
    for (size_t c = 0; c < CODECS_COUNT; c++)
        for (size_t n = 0; have(codecs[c]) && n < sizeof(bframes) / sizeof(bframes[0]); n++)
            for (int speed = 1; speed <= 4; speed += 3) {
                struct encoder_params params = params_for(codecs[c]);
                struct encoder_header header;
                struct packet_list packets = {0};
                struct frame_list frames = {0};
                params.bframes = bframes[n];
                params.speed = speed;
                params.quality = 40;
                make_pictures(planar(params.format), WIDTH, HEIGHT, 40, 4, &frames);
                encode_all(backend, &params, &frames, &packets, &header);
                const int most = measured_reorder(&packets);
                if (most > header.reorder_frames)
                    fail_msg("%s p%d, %d B-frames: %d out of order, header says %d", codecs[c],
                             speed, bframes[n], most, header.reorder_frames);
                if (bframes[n] == 0 || !strcmp(codecs[c], "av1"))
                    assert_int_equal(header.reorder_frames, 0);
                else if (bframes[n] == 3)
                    assert_true(most > 0);
                buffer_unref(&header.extradata);
                packet_list_done(&packets);
                frame_list_done(&frames);
            }
}

static void test_lossless(void **state)
{
    (void)state;
    static const enum pixel_format formats[] = {PIXEL_YUV420P, PIXEL_YUV420P10};
    for (size_t c = 0; c < CODECS_COUNT; c++)
        for (size_t n = 0; have(codecs[c]) && n < 2; n++) {
            struct encoder_params params = params_for(codecs[c]);
            struct encoder_header header;
            struct packet_list packets = {0};
            struct frame_list frames = {0};
            struct frame_list back = {0};
            struct error err = {0};
            void *enc = NULL;
            params.quality = 0;
            set_format(&params, formats[n]);
            assert_int_equal(planar(params.format), formats[n]);
            const int rc = backend->encoder->open(&enc, &params, &err);
            if (rc == RGPU_ERROR_UNSUPPORTED) {
                print_message("%s\n", err.text);
                assert_non_null(strstr(err.text, "lossless"));
                continue;
            }
            assert_int_equal(rc, 0);
            backend->encoder->close(enc);
            make_pictures(planar(params.format), WIDTH, HEIGHT, 20, 5, &frames);
            encode_all(backend, &params, &frames, &packets, &header);
            decode_encoded(decoding, &params, &header, packets.items, packets.count, &back);
            assert_int_equal(back.count, frames.count);
            for (size_t i = 0; i < back.count; i++) {
                assert_int_equal(back.items[i]->pts, frames.items[i]->pts);
                if (!same_picture(back.items[i], frames.items[i]))
                    fail_msg("%s, %s: frame %zu is not the same", codecs[c],
                             pixel_info(params.format)->name, i);
            }
            buffer_unref(&header.extradata);
            frame_list_done(&back);
            packet_list_done(&packets);
            frame_list_done(&frames);
        }
}

static const struct hdr bt2020_hdr = {
    .has_mastering = true,
    .has_light_level = true,
    .primary_x = {35400, 8500, 6550},
    .primary_y = {14600, 39850, 2300},
    .white_x = 15635,
    .white_y = 16450,
    .luminance_max = 10000000,
    .luminance_min = 50,
    .max_content_light = 1000,
    .max_average_light = 400,
};

static void check_hdr(const char *where, const struct hdr *got)
{
    const struct hdr *want = &bt2020_hdr;
    if (!got->has_mastering || !got->has_light_level)
        fail_msg("%s: mastering %d, light level %d", where, got->has_mastering,
                 got->has_light_level);
    assert_memory_equal(got->primary_x, want->primary_x, sizeof(want->primary_x));
    assert_memory_equal(got->primary_y, want->primary_y, sizeof(want->primary_y));
    assert_int_equal(got->white_x, want->white_x);
    assert_int_equal(got->white_y, want->white_y);
    assert_int_equal(got->luminance_max, want->luminance_max);
    assert_int_equal(got->luminance_min, want->luminance_min);
    assert_int_equal(got->max_content_light, want->max_content_light);
    assert_int_equal(got->max_average_light, want->max_average_light);
}

/* Colour, aspect and HDR come back in each key frame, and out of the decoder. */
static void test_metadata(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(codecs[c]))
            continue;
        struct encoder_params params = params_for(codecs[c]);
        struct encoder_header header;
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        struct frame_list back = {0};
        set_format(&params, PIXEL_YUV420P10);
        params.color = (struct color){9, 16, 9, RANGE_LIMITED, CHROMA_TOP_LEFT};
        params.hdr = bt2020_hdr;
        params.sample_aspect = (struct rational){4, 3};
        make_pictures(planar(params.format), WIDTH, HEIGHT, 12, 6, &frames);
        frames.items[5]->flags |= FRAME_KEY;
        encode_all(backend, &params, &frames, &packets, &header);
        for (size_t i = 0; i < packets.count; i++) {
            struct look look;
            look_at(codecs[c], &packets.items[i], &look);
            if (look.key)
                check_hdr(codecs[c], &look.hdr);
        }
        decode_encoded(decoding, &params, &header, packets.items, packets.count, &back);
        assert_int_equal(back.count, frames.count);
        for (size_t i = 0; i < back.count; i++) {
            const struct frame *f = back.items[i];
            assert_memory_equal(&f->color, &params.color, sizeof(params.color));
            if (strcmp(codecs[c], "av1") != 0) {
                assert_int_equal(f->sample_aspect.num, 4);
                assert_int_equal(f->sample_aspect.den, 3);
            }
            if (!strcmp(codecs[c], "hevc") || i == 0 || i == 5)
                if (strcmp(codecs[c], "h264") != 0) /* read by newer libavcodec only */
                    check_hdr("decoded", &f->hdr);
        }
        buffer_unref(&header.extradata);
        frame_list_done(&back);
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

static void test_captions(void **state)
{
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        if (!have(codecs[c]))
            continue;
        struct encoder_params params = params_for(codecs[c]);
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        struct frame_list back = {0};
        params.speed = 4;
        make_pictures(planar(params.format), WIDTH, HEIGHT, 20, 7, &frames);
        for (size_t i = 0; i < frames.count; i++) {
            /* Zeros in a row ask for emulation prevention. */
            const uint8_t cc[] = {0xfc, (uint8_t)i, 0x20, 0xf9, 0, 0, 0xfa, 0, 0, 0xfa, 0, 1};
            frames.items[i]->side[0].type = SIDE_A53_CC;
            frames.items[i]->side[0].buf = buffer_copy(cc, i % 3 ? sizeof(cc) : 6);
        }
        encode_all(backend, &params, &frames, &packets, NULL);
        decode_encoded(decoding, &params, NULL, packets.items, packets.count, &back);
        assert_int_equal(back.count, frames.count);
        for (size_t i = 0; i < back.count; i++) {
            const struct buffer *want = frames.items[i]->side[0].buf;
            const struct buffer *got = back.items[i]->side[0].buf;
            assert_int_equal(back.items[i]->side[0].type, SIDE_A53_CC);
            assert_int_equal(got->size, want->size);
            assert_memory_equal(got->data, want->data, want->size);
        }
        frame_list_done(&back);
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

static void test_interlaced(void **state)
{
    (void)state;
    if (!have("h264"))
        return;
    for (int top = 0; top <= 1; top++) {
        struct encoder_params params = params_for("h264");
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        struct frame_list back = {0};
        params.field_order = top ? FIELD_TOP_FIRST : FIELD_BOTTOM_FIRST;
        params.no_fallback = false; /* few GPUs encode fields */
        params.quality = 20;
        make_pictures(planar(params.format), WIDTH, HEIGHT, 10, 8, &frames);
        encode_all(backend, &params, &frames, &packets, NULL);
        decode_encoded(decoding, &params, NULL, packets.items, packets.count, &back);
        assert_int_equal(back.count, frames.count);
        for (size_t i = 0; i < back.count; i++) {
            assert_true(back.items[i]->flags & FRAME_INTERLACED);
            assert_int_equal(!!(back.items[i]->flags & FRAME_TOP_FIRST), top);
        }
        frame_list_done(&back);
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        const char *codec, *profile;
        enum pixel_format source, format;
        int codec_profile; /* -1: not looked at */
    } cases[] = {
        {"h264", "", PIXEL_YUV420P, PIXEL_YUV420P, 100},
        {"h264", "", PIXEL_YUV420P10, PIXEL_YUV420P10, 110},
        {"h264", "", PIXEL_YUV420P12, PIXEL_YUV420P10, 110},
        {"h264", "main", PIXEL_YUV420P10, PIXEL_YUV420P, 77},
        {"h264", "baseline", PIXEL_YUV422P10, PIXEL_YUV420P, 66 | 1 << 9},
        {"h264", "high", PIXEL_P010, PIXEL_YUV420P, 100},
        {"h264", "high10", PIXEL_YUV420P, PIXEL_YUV420P10, 110},
        {"h264", "high422", PIXEL_YUV422P10, PIXEL_YUV422P10, 122},
        {"h264", "high422", PIXEL_YUV444P, PIXEL_YUV422P, 122},
        {"h264", "high444", PIXEL_GBRP12, PIXEL_YUV444P10, 244},
        {"h264", "", PIXEL_NV12, PIXEL_NV12, 100},
        {"h264", "", PIXEL_P010, PIXEL_YUV420P10, 110},
        {"h264", "", PIXEL_GBRP, PIXEL_YUV420P, 100},
        {"h264", "", PIXEL_GRAY10, PIXEL_YUV420P10, 110},
        {"h264", "", PIXEL_YUV411P, PIXEL_YUV420P, 100},
        {"h264", "", PIXEL_YUV440P, PIXEL_YUV420P, 100},
        {"hevc", "", PIXEL_YUV420P, PIXEL_YUV420P, 1},
        {"hevc", "", PIXEL_YUV422P10, PIXEL_YUV420P10, 2},
        {"hevc", "main", PIXEL_YUV420P10, PIXEL_YUV420P, 1},
        {"hevc", "main10", PIXEL_YUV420P, PIXEL_YUV420P10, 2},
        {"hevc", "", PIXEL_NV12, PIXEL_YUV420P, 1},
        {"hevc", "main422-10", PIXEL_YUV422P, PIXEL_YUV422P10, 4},
        {"av1", "", PIXEL_YUV444P12, PIXEL_YUV420P10, 0},
        {"av1", "", PIXEL_GRAY8, PIXEL_YUV420P, 0},
        {"vp8", "", PIXEL_YUV420P, PIXEL_NONE, -1},
        {"h264", "", PIXEL_NONE, PIXEL_NONE, -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (cases[i].format != PIXEL_NONE && !have(cases[i].codec))
            continue;
        const enum pixel_format format =
            backend->encoder->format(0, cases[i].codec, cases[i].profile, cases[i].source);
        if (planar(format) != planar(cases[i].format))
            fail_msg("case %zu: %s %s", i, cases[i].codec,
                     pixel_info(format) ? pixel_info(format)->name : "none");
        if (format == PIXEL_NONE)
            continue;
        struct encoder_params params = params_for(cases[i].codec);
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        struct frame_list back = {0};
        struct encoder_header header;
        snprintf(params.profile, sizeof(params.profile), "%s", cases[i].profile);
        set_format(&params, cases[i].source);
        assert_int_equal(params.format, format);
        params.quality = 10;
        params.speed = 4;
        make_pictures(planar(format), WIDTH, HEIGHT, 3, 9, &frames);
        encode_all(backend, &params, &frames, &packets, &header);
        if (header.codec_profile != cases[i].codec_profile)
            fail_msg("case %zu: profile %d", i, header.codec_profile);
        assert_true(header.codec_level >= 0);
        decode_encoded(decoding, &params, &header, packets.items, packets.count, &back);
        assert_int_equal(back.items[0]->format,
                         format == PIXEL_NV12 ? PIXEL_YUV420P : planar(format));
        assert_true(luma_mse(back.items[1], frames.items[1]) < 20);
        buffer_unref(&header.extradata);
        frame_list_done(&back);
        packet_list_done(&packets);
        frame_list_done(&frames);
    }
}

/* A bit rate is kept, and a frame given is soon a packet where latency counts. */
static void test_rate_and_latency(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(codecs[c]))
            continue;
        for (int cbr = 0; cbr <= 1; cbr++) {
            struct encoder_params params = params_for(codecs[c]);
            struct packet_list packets = {0};
            struct frame_list frames = {0};
            int64_t bits = 0;
            params.rate = cbr ? RATE_CBR : RATE_VBR;
            params.bit_rate_bps = 300000;
            params.gop_frames_usual = 50;
            params.speed = 2;
            make_pictures(planar(params.format), WIDTH, HEIGHT, 100, 10, &frames);
            encode_all(backend, &params, &frames, &packets, NULL);
            for (size_t i = 0; i < packets.count; i++)
                bits += (int64_t)packets.items[i].size * 8;
            /* SVT-AV1 needs more than 4 s of noise to find its quantizer. */
            const int64_t most = 4 * 300000 * (strcmp(codecs[c], "av1") ? 15 : 25) / 10;
            if (bits < 4 * 300000 * 6 / 10 || bits > most)
                fail_msg("%s: %lld bits in 4 s, not %d", codecs[c], (long long)bits, 4 * 300000);
            packet_list_done(&packets);
            frame_list_done(&frames);
        }
    }
    for (size_t c = 0; c < 2; c++) {
        if (!have(codecs[c]))
            continue;
        struct encoder_params params = params_for(codecs[c]);
        struct frame_list frames = {0};
        struct error err = {0};
        struct packet pkt = {0};
        void *enc = NULL;
        params.low_latency = true;
        make_pictures(planar(params.format), WIDTH, HEIGHT, 10, 11, &frames);
        assert_int_equal(backend->encoder->open(&enc, &params, &err), 0);
        for (size_t i = 0; i < frames.count; i++) {
            assert_int_equal(backend->encoder->send(enc, frames.items[i], &err), 0);
            assert_int_equal(backend->encoder->receive(enc, &pkt, &err), 0);
            assert_int_equal(pkt.pts, frames.items[i]->pts);
            packet_done(&pkt);
        }
        backend->encoder->close(enc);
        frame_list_done(&frames);
    }
}

static void refuse(struct encoder_params params, int code, const char *text)
{
    struct error err = {0};
    void *enc = NULL;
    const int rc = backend->encoder->open(&enc, &params, &err);
    if (rc != code || !strstr(err.text, text))
        fail_msg("%s: \"%s\" lacks \"%s\"", rgpu_error_name(rc), err.text, text);
    assert_null(enc);
}

static void test_refusals(void **state)
{
    (void)state;
    struct encoder_params p = params_for("nonesuch");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "nonesuch");
    p = params_for("h264");
    p.width = 127;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "127x96");
    p = params_for("h264");
    p.width = 20000;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "20000");
    p = params_for("h264");
    snprintf(p.profile, sizeof(p.profile), "wide");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "--profile one of baseline, main, high, high10, high422");
    p = params_for("h264");
    set_format(&p, PIXEL_YUV420P10);
    snprintf(p.profile, sizeof(p.profile), "main");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "profile main");
    p = params_for("h264");
    p.quality = 0;
    snprintf(p.profile, sizeof(p.profile), "high");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "lossless");
    p = params_for("h264");
    p.bframes = 2;
    snprintf(p.profile, sizeof(p.profile), "baseline");
    refuse(p, RGPU_ERROR_UNSUPPORTED, "B-frames");
    p = params_for("h264");
    p.format = PIXEL_GBRP;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "gbrp");
    p = params_for("h264");
    p.quality = 52;
    refuse(p, RGPU_ERROR_PARAM, "52");
    p = params_for("h264");
    p.rate = RATE_VBR;
    refuse(p, RGPU_ERROR_PARAM, "bit rate");
    p = params_for("h264");
    p.speed = 8;
    refuse(p, RGPU_ERROR_PARAM, "p8");
    p = params_for("h264");
    p.time_base = (struct rational){0, 0};
    refuse(p, RGPU_ERROR_PARAM, "time base");
    p = params_for("h264");
    p.format = PIXEL_NONE;
    refuse(p, RGPU_ERROR_PARAM, "format");
    p = params_for("h264");
    p.intra_refresh_frames = 1;
    refuse(p, RGPU_ERROR_PARAM, "--gop");
    p.intra_refresh_frames = INTRA_REFRESH_FRAMES_MAX + 1;
    refuse(p, RGPU_ERROR_PARAM, "--gop");
    p.intra_refresh_frames = 50;
    p.bframes = 1;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "--bframes");
    p.bframes = 0;
    p.field_order = FIELD_TOP_FIRST;
    refuse(p, RGPU_ERROR_UNSUPPORTED, "interlaced");
    for (size_t c = 1; c < CODECS_COUNT; c++) {
        p = params_for(codecs[c]);
        p.intra_refresh_frames = 50;
        if (have(codecs[c]))
            refuse(p, RGPU_ERROR_UNSUPPORTED, "intra refresh");
    }
    if (have("hevc")) {
        p = params_for("hevc");
        p.field_order = FIELD_TOP_FIRST;
        refuse(p, RGPU_ERROR_UNSUPPORTED, "deinterlace");
        p = params_for("hevc");
        p.width = p.height = 16;
        refuse(p, RGPU_ERROR_UNSUPPORTED, "16x16");
    }
    backend->encoder->close(NULL);
}

static void test_wrong_frames(void **state)
{
    (void)state;
    const struct encoder_params params = params_for("h264");
    struct frame_list frames = {0};
    struct error err = {0};
    struct packet pkt = {0};
    void *enc = NULL;
    make_pictures(PIXEL_YUV420P, WIDTH, HEIGHT, 2, 12, &frames);
    make_pictures(PIXEL_YUV422P, WIDTH, HEIGHT, 1, 12, &frames);
    assert_int_equal(backend->encoder->open(&enc, &params, &err), 0);
    assert_int_equal(backend->encoder->receive(enc, &pkt, &err), RGPU_ERROR_AGAIN);
    assert_int_equal(backend->encoder->send(enc, frames.items[1], &err), 0);
    assert_int_equal(backend->encoder->send(enc, frames.items[0], &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "grow"));
    frames.items[2]->pts = 9;
    assert_int_equal(backend->encoder->send(enc, frames.items[2], &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "yuv422p"));
    frames.items[0]->pts = PTS_NONE;
    assert_int_equal(backend->encoder->send(enc, frames.items[0], &err), RGPU_ERROR_PARAM);
    assert_int_equal(backend->encoder->send(enc, NULL, &err), 0);
    assert_int_equal(backend->encoder->send(enc, NULL, &err), 0);
    frames.items[0]->pts = 10;
    assert_int_equal(backend->encoder->send(enc, frames.items[0], &err), RGPU_ERROR_PARAM);
    assert_int_equal(backend->encoder->receive(enc, &pkt, &err), 0);
    assert_int_equal(pkt.pts, 1);
    packet_done(&pkt);
    assert_int_equal(backend->encoder->receive(enc, &pkt, &err), RGPU_ERROR_END);
    backend->encoder->close(enc);
    frame_list_done(&frames);
}

/* SVT-AV1 would wait for ever for a packet of an encoder that was given no frame. */
static void test_close_unused(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++)
        for (int drained = 0; have(codecs[c]) && drained <= 1; drained++) {
            const struct encoder_params params = params_for(codecs[c]);
            struct error err = {0};
            void *enc = NULL;
            assert_int_equal(backend->encoder->open(&enc, &params, &err), 0);
            struct packet pkt;
            assert_int_equal(backend->encoder->receive(enc, &pkt, &err), RGPU_ERROR_AGAIN);
            if (drained) {
                assert_int_equal(backend->encoder->send(enc, NULL, &err), 0);
                assert_int_equal(backend->encoder->receive(enc, &pkt, &err), RGPU_ERROR_END);
            }
            backend->encoder->close(enc);
        }
}

/* Closing in mid-stream gives back every reference to the frames. */
static void test_close_early(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(codecs[c]))
            continue;
        const struct encoder_params params = params_for(codecs[c]);
        struct frame_list frames = {0};
        struct error err = {0};
        void *enc = NULL;
        make_pictures(planar(params.format), WIDTH, HEIGHT, 6, 13, &frames);
        frames.items[3]->flags |= FRAME_KEY;
        assert_int_equal(backend->encoder->open(&enc, &params, &err), 0);
        for (size_t i = 0; i < frames.count; i++)
            if (backend->encoder->send(enc, frames.items[i], &err) != 0)
                break;
        backend->encoder->close(enc);
        for (size_t i = 0; i < frames.count; i++)
            assert_int_equal(frames.items[i]->refs, 1);
        frame_list_done(&frames);
    }
}

static void test_device(void **state)
{
    (void)state;
    struct device_info info[2];
    memset(info, 0, sizeof(info));
    assert_true(backend->devices(info, 2) >= 1);
    assert_true(info[0].name[0] != 0);
    assert_true(info[0].memory_bytes > 0);
    assert_int_equal(info[0].kind, backend->kind);
    if (backend->kind == DEVICE_CPU)
        assert_true(info[0].cores > 0);
    else if (getenv("RGPU_STANDIN")) /* or all this would be of the CPU's encoders once more */
        assert_true(params_for("h264").no_fallback && params_for("hevc").no_fallback);
    assert_true(backend->devices(NULL, 0) >= 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),        cmocka_unit_test(test_one_frame),
        cmocka_unit_test(test_pts),         cmocka_unit_test(test_reorder),
        cmocka_unit_test(test_lossless),    cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_captions),    cmocka_unit_test(test_interlaced),
        cmocka_unit_test(test_formats),     cmocka_unit_test(test_rate_and_latency),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_wrong_frames),
        cmocka_unit_test(test_close_early), cmocka_unit_test(test_close_unused),
        cmocka_unit_test(test_device),      cmocka_unit_test(test_intra_refresh),
    };
    const bool device = argc > 1 && !strcmp(argv[1], "cuda");
    decoding = codec_backend(DEVICE_CPU);
    backend = device ? codec_backend(DEVICE_CUDA) : decoding;
    if (!backend || backend->devices(NULL, 0) == 0)
        return 77;
    setenv("SVT_LOG", "0", 0);
    codec_log_to_sink();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
