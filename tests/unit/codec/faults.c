/* No memory, at every place where libavcodec asks for some: MEMORY comes back (or the run goes
 * through), nothing leaks, nothing crashes. The leaks are found by the sanitizer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <libavutil/mem.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "codec/codec_log.h"
#include "support/clip.h"
#include "support/coding.h"

static const struct codec_backend *backend;

/* Codes that a run without memory may end with. */
static void check_code(int rc, const struct error *err)
{
    if (rc != 0 && rc != RGPU_ERROR_AGAIN && rc != RGPU_ERROR_END && rc != RGPU_ERROR_MEMORY)
        fail_msg("%s: %s", rgpu_error_name(rc), err->text);
}

/* Allocations above `limit` bytes fail in what libavcodec does for one decoder. */
static bool decode_limited(const struct clip *clip, size_t limit)
{
    struct error err = {0};
    void *dec = NULL;
    bool whole = true;
    av_max_alloc(limit);
    int rc = backend->decoder->open(
        &dec, &(struct decoder_params){.track = &clip->track, .threads = 2}, &err);
    if (rc != 0 && rc != RGPU_ERROR_MEMORY && rc != RGPU_ERROR_INPUT)
        fail_msg("%s: %s", rgpu_error_name(rc), err.text);
    for (size_t i = 0; dec && i <= clip->count; i++) {
        rc = backend->decoder->send(dec, i < clip->count ? &clip->packets[i] : NULL, &err);
        check_code(rc, &err);
        whole = whole && rc == 0;
        struct frame *frame = NULL;
        while ((rc = backend->decoder->receive(dec, &frame, &err)) == 0)
            frame_unref(&frame);
        check_code(rc, &err);
        whole = whole && (rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END);
    }
    backend->decoder->close(dec);
    av_max_alloc(INT_MAX);
    return dec && whole;
}

static void test_decoder(void **state)
{
    (void)state;
    static const char *const args[][2] = {
        {"a.mkv", "-f lavfi -i testsrc2=s=96x64:r=25:d=0.4 -pix_fmt yuv420p -c:v libx264 "
                  "-preset ultrafast"},
        {"b.mkv", "-f lavfi -i testsrc2=s=96x64:r=25:d=0.4 -pix_fmt rgb24 -c:v png"},
        {"c.mkv", "-f lavfi -i testsrc2=s=96x64:r=25:d=0.4 -pix_fmt yuv420p10le -c:v libx265 "
                  "-preset ultrafast -x265-params log-level=none"},
    };
    clip_dir_make();
    for (size_t n = 0; n < 3; n++) {
        struct clip clip;
        if (!clip_make(args[n][0], args[n][1]))
            continue;
        clip_read(args[n][0], &clip);
        int failed = 0;
        for (size_t limit = 40; limit < 4000000; limit += limit / 16)
            failed += !decode_limited(&clip, limit);
        assert_true(failed > 20);
        assert_true(decode_limited(&clip, INT_MAX));
        clip_done(&clip);
    }
    clip_dir_remove();
}

static bool encode_limited(const struct encoder_params *params, const struct frame_list *frames,
                           size_t limit)
{
    struct error err = {0};
    struct packet pkt = {0};
    void *enc = NULL;
    bool whole = true;
    av_max_alloc(limit);
    int rc = backend->encoder->open(&enc, params, &err);
    if (rc != 0 && rc != RGPU_ERROR_MEMORY && rc != RGPU_ERROR_UNSUPPORTED)
        fail_msg("%s: %s", rgpu_error_name(rc), err.text);
    for (size_t i = 0; enc && i <= frames->count; i++) {
        rc = backend->encoder->send(enc, i < frames->count ? frames->items[i] : NULL, &err);
        /* A frame that was not taken leaves no trace; the next one goes on. */
        if (rc != RGPU_ERROR_INTERNAL)
            check_code(rc, &err);
        whole = whole && rc == 0;
        while ((rc = backend->encoder->receive(enc, &pkt, &err)) == 0)
            packet_done(&pkt);
        if (rc != RGPU_ERROR_INTERNAL)
            check_code(rc, &err);
        whole = whole && (rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END);
        if (rc == RGPU_ERROR_INTERNAL || rc == RGPU_ERROR_MEMORY)
            break;
    }
    backend->encoder->close(enc);
    av_max_alloc(INT_MAX);
    for (size_t i = 0; i < frames->count; i++)
        assert_int_equal(frames->items[i]->refs, 1);
    return enc && whole;
}

static void test_encoder(void **state)
{
    (void)state;
    struct encoder_params params = {.codec = "h264",
                                    .width = 96,
                                    .height = 64,
                                    .format = PIXEL_YUV420P,
                                    .time_base = {1, 25},
                                    .frame_rate = {25, 1},
                                    .quality = 30,
                                    .speed = 1,
                                    .bframes = -1,
                                    .threads = 1,
                                    .global_headers = true};
    if (backend->encoder->format(0, params.codec, "", params.format) == PIXEL_NONE)
        skip();
    struct frame_list frames = {0};
    make_pictures(params.format, params.width, params.height, 5, 1, &frames);
    int failed = 0;
    for (size_t limit = 40; limit < 1000000; limit += limit / 16)
        failed += !encode_limited(&params, &frames, limit);
    assert_true(failed > 20);
    assert_true(encode_limited(&params, &frames, INT_MAX));
    frame_list_done(&frames);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoder),
        cmocka_unit_test(test_encoder),
    };
    backend = codec_backend(DEVICE_CPU);
    if (!backend)
        return 77;
    codec_log_to_sink();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
