/* Time codes through codec.h: what encoders write, decoders give, NVDEC's the same as libavcodec's.
 * With `cuda` the encoders are NVENC's. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "encoding.h"
#include "media/av1.h"
#include "media/timecode.h"

static const struct codec_backend *backend, *host, *device; /* device: NULL where there is none */

/* With B-frames, so that pictures come out in another order than they went in. */
static struct encoder_params reordered(const char *codec)
{
    struct encoder_params params = params_for(backend, codec);
    params.bframes = 2;
    return params;
}

/* One time code for each picture, of a second field too; none for one in five. libavcodec goes on
 * with drop-frame counting once it has seen it. */
static void add_timecodes(const struct frame_list *frames, int clocks)
{
    for (size_t i = 0; i < frames->count; i++) {
        struct frame_timecode code = {.count = (uint8_t)clocks};
        for (int k = 0; k < clocks; k++)
            code.clocks[k] = (struct frame_clock){.hours = (uint8_t)(i % 24),
                                                  .minutes = 59,
                                                  .seconds = (uint8_t)k,
                                                  .frames = (uint8_t)(i % 25),
                                                  .drop = clocks == 1};
        if (i % 5 == 3)
            continue;
        frames->items[i]->side[1].type = SIDE_TIMECODE;
        frames->items[i]->side[1].buf = buffer_copy(&code, sizeof(code));
        assert_non_null(frames->items[i]->side[1].buf);
    }
}

/* AV1 decoders give none. */
static void find_av1_timecode(const struct packet *pkt, const struct frame *frame)
{
    struct av1_iter it;
    struct av1_obu obu;
    struct frame_timecode code = {0};
    int found = 0;
    av1_iter_init(&it, pkt->data, pkt->size);
    while (av1_next(&it, &obu)) {
        uint8_t payload[TIMECODE_PAYLOAD_MAX];
        if (obu.type != AV1_OBU_METADATA || obu.payload[0] != 5)
            continue;
        assert_true(frame_timecode_of(frame, 1, &code));
        const size_t size = timecode_write_av1(&code, payload);
        assert_int_equal(obu.payload_size, size);
        assert_memory_equal(obu.payload, payload, size);
        found++;
    }
    assert_int_equal(found, frame_timecode_of(frame, 1, &code));
}

static void check_timecode(const struct encoder_params *params, const struct frame *in,
                           const struct frame *out)
{
    struct frame_timecode want = {0}, got = {0};
    const bool has = frame_timecode_of(in, params->timecode_step, &want);
    assert_int_equal(out->pts, in->pts);
    assert_int_equal(frame_timecode_of(out, 1, &got), has);
    const struct frame_clock *a = &got.clocks[0], *b = &want.clocks[0];
    if (memcmp(&got, &want, sizeof(got)) != 0)
        fail_msg("%s, frame at %lld: %d times %d:%d:%d:%d drop %d, not %d times %d:%d:%d:%d drop "
                 "%d",
                 params->codec, (long long)out->pts, got.count, a->hours, a->minutes, a->seconds,
                 a->frames, a->drop, want.count, b->hours, b->minutes, b->seconds, b->frames,
                 b->drop);
}

static void check_timecodes(const struct encoder_params *params, const struct frame_list *frames,
                            const struct frame_list *back)
{
    assert_int_equal(back->count, frames->count);
    for (size_t i = 0; i < back->count; i++)
        check_timecode(params, frames->items[i], back->items[i]);
}

static void test_written(void **state)
{
    (void)state;
    for (size_t c = 0; c < 3 * CODECS_COUNT; c++) {
        const char *codec = codecs[c / 3];
        if (!have(backend, codec))
            continue;
        struct encoder_params params = reordered(codec);
        struct frame_list frames = {0};
        struct round_trip trip;
        params.speed = 4;
        params.time_base = (struct rational){1, 12800}; /* no rate to count by */
        params.timecode_step = (int)(c % 3);
        params.timecode_drop = true;
        make_input(backend, &params, 20, 7, &frames);
        add_timecodes(&frames, 1);
        for (size_t i = 0; i < frames.count; i++)
            frames.items[i]->pts *= 512;
        frames.items[8]->flags |= FRAME_KEY;
        round_trip(backend, host, &params, &frames, &trip);
        for (size_t i = 0; !strcmp(codec, "av1") && params.timecode_step == 1 && i < frames.count;
             i++)
            find_av1_timecode(&trip.packets.items[i],
                              frames.items[trip.packets.items[i].pts / 512]);
        if (strcmp(codec, "av1") != 0)
            check_timecodes(&params, &frames, &trip.pictures);
        round_trip_done(&trip);
        frame_list_done(&frames);
    }
}

/* Without time codes an encoder makes the same packets, whatever it was opened for; H.264's headers
 * say so. */
static void test_absent(void **state)
{
    (void)state;
    for (size_t c = 0; c < 2; c++) {
        if (!have(backend, codecs[c]))
            continue;
        struct encoder_params params = reordered(codecs[c]);
        struct packet_list packets[2] = {0};
        struct encoder_header headers[2];
        struct frame_list frames = {0};
        make_input(backend, &params, 10, 7, &frames);
        for (int step = 0; step < 2; step++) {
            if (step == 0)
                add_timecodes(&frames, 1);
            params.timecode_step = step;
            encode_all(backend, &params, &frames, &packets[step], &headers[step]);
            for (size_t i = 0; i < frames.count; i++) {
                buffer_unref(&frames.items[i]->side[1].buf);
                frames.items[i]->side[1].type = SIDE_NONE;
            }
        }
        const bool same = headers[0].extradata->size == headers[1].extradata->size &&
                          !memcmp(headers[0].extradata->data, headers[1].extradata->data,
                                  headers[0].extradata->size);
        assert_int_equal(same, c == 1);
        assert_int_equal(packets[0].count, packets[1].count);
        for (size_t i = 0; c == 1 && i < packets[0].count; i++) {
            assert_int_equal(packets[0].items[i].size, packets[1].items[i].size);
            assert_memory_equal(packets[0].items[i].data, packets[1].items[i].data,
                                packets[0].items[i].size);
        }
        for (int step = 0; step < 2; step++) {
            buffer_unref(&headers[step].extradata);
            packet_list_done(&packets[step]);
        }
        frame_list_done(&frames);
    }
}

/* Each field of an interlaced picture has its own. */
static void test_fields(void **state)
{
    (void)state;
    if (!have(backend, "h264"))
        return;
    struct encoder_params params = reordered("h264");
    struct packet_list packets = {0};
    struct frame_list frames = {0};
    struct frame_list back = {0};
    params.field_order = FIELD_TOP_FIRST;
    params.no_fallback = false; /* few GPUs encode fields */
    params.timecode_step = 1;
    make_input(backend, &params, 10, 8, &frames);
    add_timecodes(&frames, 2);
    encode_all(backend, &params, &frames, &packets, NULL);
    decode_encoded(host, &params, NULL, packets.items, packets.count, &back);
    check_timecodes(&params, &frames, &back);
    frame_list_done(&back);
    packet_list_done(&packets);
    frame_list_done(&frames);
}

/* At rates where SMPTE ST 12-1 counts frames and where it counts pairs of them; of both fields of
 * an interlaced picture. Both decoders give what the encoder was given. */
static void add_counted(const struct frame_list *frames, struct rational rate, int clocks)
{
    for (size_t i = 0; i < frames->count; i++) {
        struct frame_timecode code = {.count = (uint8_t)clocks};
        for (int k = 0; k < clocks; k++)
            code.clocks[k] =
                (struct frame_clock){.hours = k == 0 ? 23 : 0,
                                     .minutes = (uint8_t)(i % 60),
                                     .seconds = (uint8_t)k,
                                     .frames = (uint8_t)(i % (size_t)(rate.num / rate.den)),
                                     .drop = rate.den > 1};
        if (i % 7 == 6)
            continue;
        frames->items[i]->side[0].type = SIDE_TIMECODE;
        frames->items[i]->side[0].buf = buffer_copy(&code, sizeof(code));
        assert_non_null(frames->items[i]->side[0].buf);
    }
}

static bool decodes(const struct codec_backend *decoding, const struct track *track)
{
    struct error err = {0};
    void *dec = NULL;
    const int rc = decoding->decoder->open(
        &dec, &(struct decoder_params){.track = track, .no_fallback = true}, &err);
    if (rc == RGPU_ERROR_UNSUPPORTED) {
        print_message("%s: %s\n", track->codec, err.text);
        return false;
    }
    assert_int_equal(rc, 0);
    decoding->decoder->close(dec);
    return true;
}

/* A device's frames are few: each is given back at once. */
static size_t check_all(const struct codec_backend *decoding, void *dec,
                        const struct encoder_params *params, const struct frame_list *frames,
                        size_t count)
{
    struct error err = {0};
    struct frame *frame = NULL;
    int rc;
    for (; (rc = decoding->decoder->receive(dec, &frame, &err)) == 0; count++) {
        assert_true(count < frames->count);
        check_timecode(params, frames->items[count], frame);
        frame_unref(&frame);
    }
    if (rc != RGPU_ERROR_AGAIN && rc != RGPU_ERROR_END)
        fail_msg("%s: %s", decoding->name, err.text);
    return count;
}

static void decode_and_check(const struct codec_backend *decoding, const struct track *track,
                             const struct encoder_params *params, const struct frame_list *frames,
                             const struct packet_list *packets)
{
    const struct decoder_params decoder = {.track = track, .no_fallback = true};
    struct error err = {0};
    void *dec = NULL;
    size_t count = 0;
    assert_int_equal(decoding->decoder->open(&dec, &decoder, &err), 0);
    for (size_t i = 0; i <= packets->count; i++) {
        const struct packet *pkt = i < packets->count ? &packets->items[i] : NULL;
        while (decoding->decoder->send(dec, pkt, &err) == RGPU_ERROR_AGAIN)
            count = check_all(decoding, dec, params, frames, count);
        count = check_all(decoding, dec, params, frames, count);
    }
    assert_int_equal(count, frames->count);
    decoding->decoder->close(dec);
}

static void test_decoders(void **state)
{
    (void)state;
    static const struct {
        const char *codec;
        struct rational rate;
        bool interlaced;
    } cases[] = {
        {"h264", {25, 1}, false},       {"h264", {50, 1}, false}, {"h264", {60000, 1001}, false},
        {"h264", {30000, 1001}, true},  {"hevc", {24, 1}, false}, {"hevc", {50, 1}, false},
        {"hevc", {60000, 1001}, false},
    };
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        const struct rational rate = cases[c].rate, base = {rate.den, rate.num};
        struct track track = {
            .width = WIDTH, .height = HEIGHT, .time_base = base, .frame_rate = rate};
        struct encoder_params params = reordered(cases[c].codec);
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        if (!have(backend, cases[c].codec))
            continue;
        params.time_base = base;
        params.frame_rate = rate;
        params.timecode_step = 1;
        params.timecode_drop = rate.den > 1;
        params.global_headers = false;
        if (cases[c].interlaced) {
            params.field_order = FIELD_TOP_FIRST;
            params.no_fallback = false; /* few GPUs encode fields */
        }
        snprintf(track.codec, sizeof(track.codec), "%s", cases[c].codec);
        make_input(backend, &params, 70, 7, &frames);
        add_counted(&frames, rate, cases[c].interlaced ? 2 : 1);
        encode_all(backend, &params, &frames, &packets, NULL);
        for (size_t i = 0; i < packets.count; i++)
            packets.items[i].dts = (int64_t)i;
        const struct codec_backend *const decoding[] = {host, device};
        for (int d = 0; d < 2; d++)
            if (decoding[d] && decodes(decoding[d], &track))
                decode_and_check(decoding[d], &track, &params, &frames, &packets);
        frame_list_done(&frames);
        packet_list_done(&packets);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written),
        cmocka_unit_test(test_absent),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_decoders),
    };
    host = backend_of(DEVICE_CPU);
    device = backend_of(DEVICE_CUDA);
    backend = kind_asked_for(argc, argv) == DEVICE_CUDA ? device : host;
    if (!backend)
        return 77;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
