/* The device's decoder and the CPU's as one: damage and changes in mid-stream that the device does
 * not decode are no errors. Over the stand-in of the driver. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "codec/codec_log.h"
#include "codec/cpu/backend.h"
#include "codec/nv/either.h"
#include "support/clip.h"
#include "support/coding.h"
#include "support/device_picture.h"

#define SOURCE "-f lavfi -i testsrc2=s=176x144:r=25:d=1.6,noise=alls=8:allf=t "
#define X264 "-c:v libx264 -preset veryfast -bf 2 "
#define DAMAGE_ROUNDS 6

static struct gpu_device *device;

static bool get_clip(const char *name, const char *args, struct clip *ret)
{
    if (!clip_make(name, args)) {
        print_message("%s: this ffmpeg cannot make it\n", name);
        return false;
    }
    clip_read(name, ret);
    return true;
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* Takes all frames that are there, brought down; `ret_down` counts those that were the device's. */
static int receive_all(void *dec, struct frame_list *ret, size_t *ret_down)
{
    struct error err = {0};
    struct frame *frame = NULL;
    int rc;
    while ((rc = nv_either_ops.receive(dec, &frame, &err)) == 0) {
        if (frame->place == PLACE_DEVICE) {
            struct frame *host = device_picture(device, frame, &err);
            frame_unref(&frame);
            assert_non_null(host);
            frame = host;
            *ret_down += 1;
        }
        frame_list_add(ret, frame);
    }
    if (rc != RGPU_ERROR_AGAIN && rc != RGPU_ERROR_END)
        fail_msg("receive: %s", err.text);
    return rc;
}

/* Gives how many frames were the device's. */
static size_t run(void *dec, const struct packet *packets, size_t count, struct frame_list *ret)
{
    size_t down = 0;
    for (size_t i = 0; i <= count;) {
        struct error err = {0};
        const int rc = nv_either_ops.send(dec, i < count ? &packets[i] : NULL, &err);
        if (rc != 0 && rc != RGPU_ERROR_AGAIN)
            fail_msg("packet %zu: %s: %s", i, rgpu_error_name(rc), err.text);
        i += rc == 0;
        const size_t before = ret->count;
        assert_int_equal(receive_all(dec, ret, &down),
                         i <= count ? RGPU_ERROR_AGAIN : RGPU_ERROR_END);
        assert_true(rc == 0 || ret->count > before);
    }
    return down;
}

static void *open_either(const struct decoder_params *params)
{
    struct error err = {0};
    void *dec = NULL;
    if (nv_either_ops.open(&dec, params, &err) != 0)
        fail_msg("%s", err.text);
    return dec;
}

/* ---- a stream that changes ------------------------------------------------------------------- */

/* Eight bits, ten, eight. */
struct changing {
    struct clip clips[3];
    struct packet *packets; /* of all, in a row */
    size_t count;
};

static bool make_changing(struct changing *ret)
{
    static const char *const names[] = {"first.mp4", "ten.mp4", "last.mp4"};
    *ret = (struct changing){0};
    for (int c = 0; c < 3; c++) {
        char args[256];
        snprintf(args, sizeof(args), SOURCE "-pix_fmt %s " X264,
                 c == 1 ? "yuv420p10le" : "yuv420p");
        if (!get_clip(names[c], args, &ret->clips[c]))
            return false;
        ret->count += ret->clips[c].count;
    }
    ret->packets = calloc(ret->count, sizeof(*ret->packets));
    assert_non_null(ret->packets);
    size_t at = 0;
    for (int c = 0; c < 3; c++)
        for (size_t i = 0; i < ret->clips[c].count; i++) {
            struct packet *pkt = &ret->packets[at++];
            *pkt = ret->clips[c].packets[i];
            pkt->pts += c * 1000000;
            pkt->extradata = i == 0 ? ret->clips[c].track.extradata : NULL;
        }
    return true;
}

static void changing_done(struct changing *c)
{
    free(c->packets);
    for (int i = 0; i < 3; i++)
        clip_done(&c->clips[i]);
}

static void expect_same(const struct frame_list *have, const struct frame_list *want)
{
    assert_int_equal(have->count, want->count);
    for (size_t i = 0; i < have->count; i++) {
        assert_int_equal(have->items[i]->pts, want->items[i]->pts);
        assert_int_equal(have->items[i]->flags, want->items[i]->flags);
        if (!same_picture(have->items[i], want->items[i]))
            fail_msg("picture %zu is another", i);
    }
}

/* All pictures come, in order; the CPU goes on until a reset, and the device begins again. */
static void test_the_cpu_goes_on(void **state)
{
    (void)state;
    struct changing film;
    if (!make_changing(&film))
        skip();
    struct frame_list want = {0};
    struct decoder_stats stats;
    const struct track *track = &film.clips[0].track;
    decode_all(&cpu_backend, &(struct decoder_params){.track = track, .threads = 1}, film.packets,
               film.count, &want, &stats);
    assert_int_equal(want.count, film.count);
    for (int low_latency = 0; low_latency < 2; low_latency++) {
        void *dec = open_either(
            &(struct decoder_params){.track = track, .threads = 1, .low_latency = low_latency});
        for (int64_t round = 1; round < 3; round++) {
            struct frame_list have = {0};
            assert_int_equal(run(dec, film.packets, film.count, &have), film.clips[0].count);
            expect_same(&have, &want);
            frame_list_done(&have);
            nv_either_ops.stats(dec, &stats);
            assert_int_equal(stats.packets, round * (int64_t)film.count);
            assert_int_equal(stats.frames, round * (int64_t)film.count);
            assert_int_equal(stats.failed_packets + stats.corrupt_frames, 0);
            assert_ptr_equal(strstr(stats.note, "cuda:0 cannot decode all of this h264, the CPU "
                                                "goes on: "),
                             stats.note);
            nv_either_ops.reset(dec);
        }
        nv_either_ops.close(dec);
    }
    frame_list_done(&want);
    changing_done(&film);
}

/* A piece that begins where the device does not decode, of a decoder that is new or has worked. */
static void test_the_cpu_begins(void **state)
{
    (void)state;
    struct changing film;
    if (!make_changing(&film))
        skip();
    const struct track *track = &film.clips[0].track;
    const struct packet *ten = film.packets + film.clips[0].count;
    const size_t ten_count = film.clips[1].count;
    struct frame_list want = {0};
    struct decoder_stats stats;
    decode_all(&cpu_backend, &(struct decoder_params){.track = track, .threads = 1}, ten, ten_count,
               &want, &stats);
    void *dec = open_either(&(struct decoder_params){.track = track, .threads = 1});
    for (int round = 0; round < 3; round++) {
        struct frame_list have = {0}, first = {0};
        assert_int_equal(run(dec, ten, ten_count, &have), 0);
        expect_same(&have, &want);
        frame_list_done(&have);
        nv_either_ops.stats(dec, &stats);
        assert_true(stats.wants_reset);
        nv_either_ops.reset(dec);
        assert_int_equal(run(dec, film.packets, film.clips[0].count, &first), film.clips[0].count);
        nv_either_ops.stats(dec, &stats);
        assert_false(stats.wants_reset);
        frame_list_done(&first);
        nv_either_ops.reset(dec);
    }
    assert_int_equal(stats.packets, 3 * (ten_count + film.clips[0].count));
    assert_int_equal(stats.failed_packets, 0);
    nv_either_ops.close(dec);
    frame_list_done(&want);
    changing_done(&film);
}

/* With frames of the device that were not taken. */
static void test_it_stops_in_between(void **state)
{
    (void)state;
    struct changing film;
    struct frame_list have = {0};
    if (!make_changing(&film))
        skip();
    for (int close = 0; close < 2; close++) {
        struct error err = {0};
        size_t down = 0, i = 0;
        void *dec =
            open_either(&(struct decoder_params){.track = &film.clips[0].track, .threads = 1});
        while (i <= film.clips[0].count) {
            const int rc = nv_either_ops.send(dec, &film.packets[i], &err);
            assert_true(rc == 0 || rc == RGPU_ERROR_AGAIN);
            i += rc == 0;
            if (i <= film.clips[0].count)
                receive_all(dec, &have, &down);
        }
        assert_true(down < film.clips[0].count);
        if (!close) {
            nv_either_ops.reset(dec);
            frame_list_done(&have);
            assert_int_equal(run(dec, film.packets, film.count, &have), film.clips[0].count);
            assert_int_equal(have.count, film.count);
        }
        nv_either_ops.close(dec);
        frame_list_done(&have);
    }
    changing_done(&film);
}

static void test_it_does_not_where_it_may_not(void **state)
{
    (void)state;
    struct changing film;
    struct frame_list have = {0};
    struct error err = {0};
    size_t down = 0;
    int rc = 0;
    if (!make_changing(&film))
        skip();
    void *dec =
        open_either(&(struct decoder_params){.track = &film.clips[0].track, .no_fallback = true});
    for (size_t i = 0; i < film.count && (rc == 0 || rc == RGPU_ERROR_AGAIN);) {
        rc = nv_either_ops.send(dec, &film.packets[i], &err);
        i += rc == 0;
        receive_all(dec, &have, &down);
    }
    assert_int_equal(rc, RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "10 bits; without --no-fallback the CPU goes on"));
    assert_int_equal(down, film.clips[0].count);
    nv_either_ops.close(dec);
    frame_list_done(&have);
    changing_done(&film);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void spoil(struct packet *p, unsigned *random)
{
    p->buf = buffer_copy(p->data, p->size);
    assert_non_null(p->buf);
    p->data = p->buf->data;
    for (int k = rand_r(random) % 4; k > 0; k--)
        p->buf->data[(size_t)rand_r(random) % p->size] ^= (uint8_t)(1u << rand_r(random) % 8);
    if (rand_r(random) % 4 == 0)
        p->size = 1 + (size_t)rand_r(random) % p->size;
}

/* No error, no crash, and what comes is still a picture: also where damage makes a header that the
 * device refuses. */
static void test_damage(void **state)
{
    static const char *const clips[][2] = {
        {"open.mkv", SOURCE "-pix_fmt yuv420p " X264 "-g 12 -x264-params open-gop=1"},
        {"hevc10.mp4", SOURCE "-pix_fmt yuv420p10le -c:v libx265 -preset veryfast "
                              "-x265-params log-level=none:pools=none"},
        {"vp9.webm", SOURCE "-pix_fmt yuv420p -c:v libvpx-vp9 -deadline realtime -cpu-used 8"},
        {"vp8.webm", SOURCE "-pix_fmt yuv420p -c:v libvpx -deadline realtime -cpu-used 8"},
        {"mpeg2.ts", SOURCE "-pix_fmt yuv420p -c:v mpeg2video -bf 2 -q:v 4"},
        {"av1.mkv", SOURCE "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -crf 40"},
    };
    const char *said = getenv("RGPU_SEED");
    const unsigned seed = said ? (unsigned)strtoul(said, NULL, 10) : (unsigned)time(NULL);
    unsigned random = seed;
    (void)state;
    print_message("seed %u (RGPU_SEED)\n", seed);
    for (size_t n = 0; n < sizeof(clips) / sizeof(clips[0]); n++) {
        struct clip clip;
        if (!get_clip(clips[n][0], clips[n][1], &clip))
            continue;
        struct packet *bad = calloc(clip.count + 1, sizeof(*bad));
        assert_non_null(bad);
        for (int round = 0; round < DAMAGE_ROUNDS; round++) {
            for (size_t i = 0; i < clip.count; i++) {
                bad[i] = clip.packets[i];
                spoil(&bad[i], &random);
            }
            struct frame_list frames = {0};
            struct decoder_stats stats;
            void *dec = open_either(
                &(struct decoder_params){.track = &clip.track, .low_latency = round % 2});
            run(dec, bad, clip.count, &frames);
            nv_either_ops.stats(dec, &stats);
            nv_either_ops.close(dec);
            if (stats.note[0])
                print_message("%s: %s\n", clips[n][0], stats.note);
            assert_int_equal(stats.packets, clip.count);
            assert_int_equal(stats.frames, frames.count);
            frame_list_done(&frames);
            for (size_t i = 0; i < clip.count; i++)
                buffer_unref(&bad[i].buf);
        }
        free(bad);
        clip_done(&clip);
    }
}

static size_t find_sequence(const struct packet *p)
{
    static const uint8_t code[] = {0, 0, 1, 0xb3};
    for (size_t i = 0; i + 8 <= p->size; i++)
        if (memcmp(p->data + i, code, sizeof(code)) == 0)
            return i;
    return SIZE_MAX;
}

/* Decodes the clip with another packet in the place of one. Gives how many frames came. */
static size_t decode_with(const struct clip *clip, size_t at, struct buffer *buf)
{
    struct packet *packets = calloc(clip->count, sizeof(*packets));
    struct frame_list frames = {0};
    struct decoder_stats stats;
    assert_non_null(packets);
    memcpy(packets, clip->packets, clip->count * sizeof(*packets));
    packets[at].buf = buf;
    packets[at].data = buf->data;
    packets[at].size = buf->size;
    void *dec = open_either(&(struct decoder_params){.track = &clip->track});
    run(dec, packets, clip->count, &frames);
    nv_either_ops.stats(dec, &stats);
    assert_int_equal(stats.packets, clip->count);
    assert_int_equal(stats.frames, frames.count);
    assert_non_null(strstr(stats.note, "the CPU goes on: "));
    nv_either_ops.close(dec);
    const size_t count = frames.count;
    frame_list_done(&frames);
    free(packets);
    return count;
}

/* A width that the device does not have, in mid-film and behind the last picture. */
static void test_a_damaged_header(void **state)
{
    (void)state;
    struct clip clip = {0};
    if (!get_clip("header.ts", SOURCE "-pix_fmt yuv420p -c:v mpeg2video -g 10 -q:v 4", &clip)) {
        skip();
        return; /* for who does not know that skip() does not */
    }
    size_t key = clip.count / 2;
    while (key < clip.count && find_sequence(&clip.packets[key]) == SIZE_MAX)
        key++;
    assert_true(key < clip.count);
    struct buffer *buf = buffer_copy(clip.packets[key].data, clip.packets[key].size);
    assert_non_null(buf);
    uint8_t *width = buf->data + find_sequence(&clip.packets[key]) + 4; /* 12 bits */
    width[0] = 0xff;
    width[1] |= 0xf0;
    assert_true(decode_with(&clip, key, buf) >= key);

    /* The header and its extensions, up to the picture; with the last of it the parser ends. */
    const struct packet *last = &clip.packets[clip.count - 1];
    struct buffer *tail = buffer_new(last->size + buf->size);
    assert_non_null(tail);
    memcpy(tail->data, last->data, last->size);
    memcpy(tail->data + last->size, buf->data, buf->size);
    assert_true(decode_with(&clip, clip.count - 1, tail) + 1 >= clip.count);
    buffer_unref(&tail);
    buffer_unref(&buf);
    clip_done(&clip);
}

/* ---------------------------------------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_cpu_goes_on),
        cmocka_unit_test(test_the_cpu_begins),
        cmocka_unit_test(test_it_stops_in_between),
        cmocka_unit_test(test_it_does_not_where_it_may_not),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_a_damaged_header),
    };
    struct error err = {0};
    if (gpu_open(&device, 0, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return getenv("RGPU_STANDIN") ? 1 : 77;
    }
    codec_log_to_sink();
    const int failed = cmocka_run_group_tests(tests, clip_set_up, clip_tear_down);
    gpu_close(&device);
    return failed;
}
