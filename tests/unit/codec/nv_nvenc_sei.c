/* codec/nv/nvenc_sei.h, read back from an SEI unit as NVENC writes it. Needs no GPU. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/encoder_stream.h"
#include "codec/nv/decoder_sei.h"
#include "codec/nv/nvenc_sei.h"
#include "media/h26x.h"

#define CODECS_COUNT 2
#define UNIT_MAX 512

static const char *const codecs[CODECS_COUNT] = {"h264", "hevc"};

static const struct hdr hdr10 = {
    .has_mastering = true,
    .has_light_level = true,
    .primary_x = {34000, 13250, 7500},
    .primary_y = {16000, 34500, 3000},
    .white_x = 15635,
    .white_y = 16450,
    .luminance_max = 10000000,
    .luminance_min = 50,
    .max_content_light = 1000,
    .max_average_light = 400,
};

static struct encoder_params params_for(const char *codec, struct hdr hdr)
{
    struct encoder_params params = {.hdr = hdr};
    snprintf(params.codec, sizeof(params.codec), "%s", codec);
    return params;
}

/* The SEI unit that the encoder makes of the payloads. */
static struct nal make_unit(const struct nvenc_sei *sei, const char *codec, uint8_t unit[UNIT_MAX])
{
    uint8_t plain[UNIT_MAX];
    struct byte_writer w = byte_writer(plain, sizeof(plain));
    if (!strcmp(codec, "hevc"))
        byte_write(&w, HEVC_NAL_SEI_PREFIX << 9 | 1, 2);
    else
        byte_write(&w, H264_NAL_SEI, 1);
    for (int i = 0; i < sei->count; i++) {
        const NV_ENC_SEI_PAYLOAD *p = &sei->payloads[i];
        assert_true(p->payloadType < 255 && p->payloadSize < 255);
        byte_write(&w, p->payloadType, 1);
        byte_write(&w, p->payloadSize, 1);
        byte_put(&w, p->payload, p->payloadSize);
    }
    byte_write(&w, 0x80, 1);
    const size_t size = nal_escape(plain, w.size, unit, UNIT_MAX);
    assert_true(w.size <= sizeof(plain) && size <= UNIT_MAX);
    return (struct nal){unit, size};
}

static void read_unit(struct nal nal, const char *codec, struct nv_sides *sides, struct hdr *hdr)
{
    static const struct h264_sps sps;
    const size_t front = strcmp(codec, "hevc") ? 1 : 2;
    struct bits b;
    struct sei sei;
    if (front == 2)
        assert_int_equal(nv_sides_hevc(sides, nal), 0);
    else
        nv_sides_h264(sides, nal, &sps);
    bits_init_rbsp(&b, nal.data + front, nal.size - front);
    while (sei_next(&b, &sei))
        sei_read_hdr(&sei, hdr);
    assert_false(b.error);
}

static struct frame captioned(size_t size)
{
    uint8_t triplets[3 * 40];
    assert_true(size <= sizeof(triplets));
    for (size_t i = 0; i < size; i++)
        triplets[i] = i % 3 ? (uint8_t)(i % 5) : 0xfc; /* with zeros to be escaped */
    struct frame frame = {0};
    frame.side[2] = (struct frame_side){SIDE_A53_CC, buffer_copy(triplets, size)};
    assert_non_null(frame.side[2].buf);
    return frame;
}

static void test_nothing(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        const struct encoder_params params = params_for(codecs[c], (struct hdr){0});
        struct nvenc_sei sei = {.count = 99};
        nvenc_sei(&sei, &params, &(struct frame){0}, true);
        assert_int_equal(sei.count, 0);
        struct frame frame = captioned(2); /* no whole triplet */
        nvenc_sei(&sei, &params, &frame, true);
        assert_int_equal(sei.count, 0);
        buffer_unref(&frame.side[2].buf);
    }
    /* Its metadata is no SEI. */
    const struct encoder_params av1 = params_for("av1", hdr10);
    struct frame frame = captioned(3);
    struct nvenc_sei sei = {.count = 99};
    nvenc_sei(&sei, &av1, &frame, true);
    assert_int_equal(sei.count, 0);
    buffer_unref(&frame.side[2].buf);
}

/* At key frames only, each of the two only where there is one. */
static void test_hdr(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 4u * CODECS_COUNT; bits++) {
        struct hdr in = hdr10, out = {0};
        struct nv_sides sides;
        struct nvenc_sei sei;
        uint8_t unit[UNIT_MAX];
        const char *codec = codecs[bits / 4];
        in.has_mastering = (bits & 1) != 0;
        in.has_light_level = (bits & 2) != 0;
        const struct encoder_params params = params_for(codec, in);
        nvenc_sei(&sei, &params, &(struct frame){0}, false);
        assert_int_equal(sei.count, 0);
        nvenc_sei(&sei, &params, &(struct frame){0}, true);
        assert_int_equal(sei.count, in.has_mastering + in.has_light_level);
        nv_sides_init(&sides);
        read_unit(make_unit(&sei, codec, unit), codec, &sides, &out);
        assert_int_equal(sides.captions_size, 0);
        assert_int_equal(out.has_mastering, in.has_mastering);
        assert_int_equal(out.has_light_level, in.has_light_level);
        if (in.has_mastering) {
            assert_memory_equal(out.primary_x, in.primary_x, sizeof(in.primary_x));
            assert_memory_equal(out.primary_y, in.primary_y, sizeof(in.primary_y));
            assert_int_equal(out.white_x, in.white_x);
            assert_int_equal(out.white_y, in.white_y);
            assert_int_equal(out.luminance_max, in.luminance_max);
            assert_int_equal(out.luminance_min, in.luminance_min);
        }
        if (in.has_light_level) {
            assert_int_equal(out.max_content_light, in.max_content_light);
            assert_int_equal(out.max_average_light, in.max_average_light);
        }
    }
}

/* With every picture, also beside HDR metadata; as many as a message holds. */
static void test_captions(void **state)
{
    (void)state;
    for (size_t c = 0; c < CODECS_COUNT; c++) {
        for (size_t size = 3; size <= 3 * 40; size += 3) {
            struct frame frame = captioned(size);
            const struct encoder_params params = params_for(codecs[c], hdr10);
            const bool key = size % 2;
            struct hdr out = {0};
            struct nv_sides sides;
            struct nvenc_sei sei;
            uint8_t unit[UNIT_MAX];
            nvenc_sei(&sei, &params, &frame, key);
            nv_sides_init(&sides);
            read_unit(make_unit(&sei, codecs[c], unit), codecs[c], &sides, &out);
            assert_int_equal(out.has_mastering, key);
            assert_int_equal(sides.captions_size, size < 3 * 31 ? size : 3 * 31);
            assert_memory_equal(sides.captions, frame.side[2].buf->data, sides.captions_size);
            buffer_unref(&frame.side[2].buf);
        }
    }
}

/* The CPU's HEVC packets get the very same unit. */
static void test_as_cpu(void **state)
{
    (void)state;
    for (size_t size = 3; size <= 3 * 40; size += 3) {
        static const uint8_t slice[] = {0, 0, 0, 1, 0x26, 1, 0xaf, 0x12};
        struct frame frame = captioned(size);
        const struct encoder_params params = params_for("hevc", (struct hdr){0});
        struct packet pkt = {.buf = buffer_copy(slice, sizeof(slice))};
        struct nvenc_sei sei;
        uint8_t unit[UNIT_MAX];
        assert_non_null(pkt.buf);
        pkt.data = pkt.buf->data;
        pkt.size = pkt.buf->size;
        assert_int_equal(encoder_stream_captions(frame.side[2].buf, &pkt, NULL), 0);
        nvenc_sei(&sei, &params, &frame, false);
        const struct nal nal = make_unit(&sei, "hevc", unit);
        assert_int_equal(pkt.size, 4 + nal.size + sizeof(slice));
        assert_memory_equal(pkt.data + 4, nal.data, nal.size);
        assert_memory_equal(pkt.data + 4 + nal.size, slice, sizeof(slice));
        packet_done(&pkt);
        buffer_unref(&frame.side[2].buf);
    }
}

/* HEVC's go in as messages, where they are to be written: the CPU's packets get the same unit.
 * H.264's and AV1's go into what comes out. */
static void test_timecode(void **state)
{
    (void)state;
    static const char *const all[] = {"h264", "hevc", "av1"};
    const struct frame_timecode code = {.count = 2,
                                        .clocks = {{0, 0, 0, 78, true}, {23, 59, 59, 0, true}}};
    struct frame frame = {0};
    frame.side[1] = (struct frame_side){SIDE_TIMECODE, buffer_copy(&code, sizeof(code))};
    assert_non_null(frame.side[1].buf);
    for (int i = 0; i < 9; i++) {
        static const uint8_t slice[] = {0, 0, 0, 1, 0x26, 1, 0xaf, 0x12};
        struct encoder_params params = params_for(all[i / 3], (struct hdr){0});
        struct hdr out = {0};
        struct nv_sides sides;
        struct nvenc_sei sei;
        uint8_t unit[UNIT_MAX];
        params.timecode_step = i % 3;
        params.timecode_drop = true;
        params.field_order = FIELD_TOP_FIRST; /* both clocks */
        nvenc_sei(&sei, &params, &frame, i % 2);
        assert_int_equal(sei.count, i == 4 || i == 5);
        if (sei.count == 0)
            continue;
        struct frame_timecode want = code;
        want.clocks[0].frames = (uint8_t)(78 / params.timecode_step);
        nv_sides_init(&sides);
        const struct nal nal = make_unit(&sei, "hevc", unit);
        read_unit(nal, "hevc", &sides, &out);
        assert_memory_equal(&sides.timing.code, &want, sizeof(want));
        struct packet pkt = {.buf = buffer_copy(slice, sizeof(slice))};
        assert_non_null(pkt.buf);
        pkt.data = pkt.buf->data;
        pkt.size = pkt.buf->size;
        assert_int_equal(encoder_stream_timecode("hevc", NULL, &want, &pkt, NULL), 0);
        assert_int_equal(pkt.size, 4 + nal.size + sizeof(slice));
        assert_memory_equal(pkt.data + 4, nal.data, nal.size);
        packet_done(&pkt);
    }
    buffer_unref(&frame.side[1].buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),  cmocka_unit_test(test_hdr),
        cmocka_unit_test(test_captions), cmocka_unit_test(test_as_cpu),
        cmocka_unit_test(test_timecode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
