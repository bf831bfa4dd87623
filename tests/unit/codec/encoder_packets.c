/* Packets of encoders through codec.h: key frames where they are asked for, refreshes, exact time
 * stamps and order. With `cuda` the encoders are NVENC's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "encoding.h"
#include "media/h264.h"

static const struct codec_backend *backend, *decoding;

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
static void check_closed(const struct encoder_params *params, const struct round_trip *trip)
{
    const struct packet_list *packets = &trip->packets;
    const struct frame_list *all = &trip->pictures;
    for (size_t i = 0; i < packets->count; i++) {
        if (!(packets->items[i].flags & PACKET_KEY))
            continue;
        for (size_t k = i + 1; k < packets->count; k++)
            assert_true(packets->items[k].pts > packets->items[i].pts);
        struct frame_list part = {0};
        decode_encoded(decoding, params, &trip->header, packets->items + i, packets->count - i,
                       &part);
        assert_int_equal(part.count, packets->count - i);
        for (size_t k = 0; k < part.count; k++)
            assert_true(same_picture(part.items[k], all->items[all->count - part.count + k]));
        frame_list_done(&part);
    }
}

static void test_keys(void **state)
{
    (void)state;
    static const int64_t forced[] = {0, 7, 8, 21};
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(backend, codecs[c]))
            continue;
        struct encoder_params params = params_for(backend, codecs[c]);
        struct frame_list frames = {0};
        struct round_trip trip;
        params.speed = !strcmp(codecs[c], "av1") ? 1 : 4;
        make_input(backend, &params, 40, 1, &frames);
        /* A cut, at which encoders like to put a key frame. */
        for (int y = 0; y < HEIGHT; y++)
            memset(frames.items[14]->data[0] + y * frames.items[14]->stride[0], 200, WIDTH);
        for (size_t k = 0; k < 4; k++)
            frames.items[forced[k]]->flags |= FRAME_KEY;
        round_trip(backend, decoding, &params, &frames, &trip);
        check_keys(codecs[c], &trip.packets, forced, 4);
        check_closed(&params, &trip);
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

/* Decoding from a recovery point on gives the same pictures as from the start, once a refresh is
 * over; but for what x264's filter carries over its edge, which is next to nothing. */
static void check_recovers(const struct encoder_params *params, const struct round_trip *trip,
                           size_t point)
{
    const struct packet_list *packets = &trip->packets;
    struct frame_list part = {0};
    const size_t end = point + (size_t)params->intra_refresh_frames;
    size_t same = 0;
    decode_encoded(decoding, params, &trip->header, packets->items + point, packets->count - point,
                   &part);
    for (size_t i = 0; i < part.count; i++) {
        const int64_t pts = part.items[i]->pts;
        if (pts < (int64_t)end)
            continue;
        const double mse = luma_mse(part.items[i], trip->pictures.items[pts]);
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
static size_t check_refreshes(const struct encoder_params *params, const struct round_trip *trip)
{
    static struct h264_context h264;
    size_t points = 0, since = 0;
    for (size_t i = 0; i < trip->packets.count; i++, since++) {
        const struct packet *pkt = &trip->packets.items[i];
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
        check_recovers(params, trip, i);
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
    for (size_t n = 0; have(backend, "h264") && n < sizeof(cases) / sizeof(cases[0]); n++) {
        struct encoder_params params = params_for(backend, "h264");
        struct frame_list frames = {0};
        struct round_trip trip;
        params.speed = cases[n].speed;
        params.intra_refresh_frames = cases[n].frames;
        params.low_latency = cases[n].low_latency;
        params.rate = cases[n].rated ? RATE_VBR : RATE_QUALITY;
        params.bit_rate_bps = 400000;
        make_input(backend, &params, 95, 1, &frames);
        frames.items[forced[1]]->flags |= FRAME_KEY;
        round_trip(backend, decoding, &params, &frames, &trip);
        assert_int_equal(trip.header.reorder_frames, 0);
        check_keys("h264", &trip.packets, forced, 2);
        check_closed(&params, &trip);
        assert_int_equal(check_refreshes(&params, &trip), cases[n].points);
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

/* A picture sent without FRAME_KEY is a key frame too when it is the first. */
static void test_one_frame(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        if (!have(backend, codecs[c]))
            continue;
        const struct encoder_params params = params_for(backend, codecs[c]);
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        make_input(backend, &params, 1, 2, &frames);
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
        for (size_t n = 0; have(backend, codecs[c]) && n < sizeof(cases) / sizeof(cases[0]); n++) {
            struct encoder_params params = params_for(backend, codecs[c]);
            struct packet_list packets = {0};
            struct frame_list frames = {0};
            params.time_base = cases[n].time_base;
            params.frame_rate = cases[n].frame_rate;
            params.rate = n % 2 ? RATE_VBR : RATE_QUALITY;
            params.bit_rate_bps = 400000;
            make_input(backend, &params, 30, 3, &frames);
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
        for (size_t n = 0; have(backend, codecs[c]) && n < sizeof(bframes) / sizeof(bframes[0]);
             n++)
            for (int speed = 1; speed <= 4; speed += 3) {
                struct encoder_params params = params_for(backend, codecs[c]);
                struct encoder_header header;
                struct packet_list packets = {0};
                struct frame_list frames = {0};
                params.bframes = bframes[n];
                params.speed = speed;
                params.quality = 40;
                make_input(backend, &params, 40, 4, &frames);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),      cmocka_unit_test(test_intra_refresh),
        cmocka_unit_test(test_one_frame), cmocka_unit_test(test_pts),
        cmocka_unit_test(test_reorder),
    };
    decoding = backend_of(DEVICE_CPU);
    backend = backend_of(kind_asked_for(argc, argv));
    if (!backend)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
