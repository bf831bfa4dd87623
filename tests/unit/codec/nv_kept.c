/* Decoders that a device keeps for the next stream: they are used again, and the next stream has
 * the same frames as with a new one, whatever the former one has left behind. Runs on a GPU, or on
 * the stand-ins of the driver, which count. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codec/codec_log.h"
#include "codec/cpu/decoder.h"
#include "codec/nv/decoder.h"
#include "codec/nv/decoder_surfaces.h"
#include "gpu/idle.h"
#include "support/clip.h"
#include "support/coding.h"
#include "support/device_picture.h"
#include "support/driver_faults.h"

#define NOISE ",noise=alls=8:allf=t "
#define X264 "-pix_fmt yuv420p -c:v libx264 -preset veryfast "
#define THREADS 4
#define ROUNDS 6
#define UNKNOWN 999
#define OUT_OF_MEMORY 2

enum { LARGE, MIDDLE, SMALL, HUGE_ONE, HEVC10, VP9, CLIPS };

static const struct {
    const char *name, *args;
} sources[CLIPS] = {
    [LARGE] = {"large.mp4", "-f lavfi -i testsrc2=s=214x150:r=25:d=0.8" NOISE X264 "-bf 2"},
    [MIDDLE] = {"middle.mkv", "-f lavfi -i testsrc2=s=176x144:r=25:d=0.8" NOISE X264
                              "-bf 3 -g 12 -x264-params open-gop=1:b-pyramid=normal"},
    [SMALL] = {"small.mp4", "-f lavfi -i testsrc2=s=160x128:r=25:d=0.6" NOISE X264 "-bf 0"},
    [HUGE_ONE] = {"huge.mp4", "-f lavfi -i testsrc2=s=640x480:r=25:d=0.3" NOISE X264 "-bf 2"},
    [HEVC10] = {"hevc10.mp4", "-f lavfi -i testsrc2=s=176x144:r=25:d=0.6" NOISE
                              "-pix_fmt yuv420p10le -c:v libx265 -preset veryfast "
                              "-x265-params log-level=none:pools=none"},
    [VP9] = {"vp9.webm", "-f lavfi -i testsrc2=s=176x144:r=25:d=0.6" NOISE
                         "-pix_fmt yuv420p -c:v libvpx-vp9 -deadline realtime -cpu-used 8"},
};

/* A clip, and what it is in software. */
static struct film {
    bool there;
    struct clip clip;
    struct frame_list frames;
} films[CLIPS];

static struct gpu_device *device;

static bool standin;

/* On a real GPU nobody counts. */
static void assert_calls(const char *name, long before, long expected)
{
    const long made = driver_calls(name) - before;
    if (standin && made != expected)
        fail_msg("%ld calls of %s, and not %ld", made, name, expected);
}

/* ---- decoding -------------------------------------------------------------------------------- */

struct comparison {
    const struct film *film;
    size_t count; /* frames so far */
};

/* Brings the frames down and compares them with software's. Gives an error, or UNKNOWN where one
 * differs. Any thread. */
static int receive_all(void *dec, struct comparison *c, struct error *err)
{
    struct frame *frame = NULL;
    int rc;
    while ((rc = nv_decoder_ops.receive(dec, &frame, err)) == 0) {
        struct frame *host = device_picture(device, frame, err);
        frame_unref(&frame);
        if (!host)
            return err->code;
        const bool same = c->count < c->film->frames.count &&
                          same_picture(host, c->film->frames.items[c->count]) &&
                          host->flags == c->film->frames.items[c->count]->flags;
        frame_unref(&host);
        c->count++;
        if (!same)
            return error_set(err, UNKNOWN, "%s: frame %zu is another", c->film->clip.path,
                             c->count - 1);
    }
    return rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END ? 0 : rc;
}

static int play(const struct film *film, struct error *err)
{
    const struct clip *clip = &film->clip;
    struct comparison c = {.film = film};
    struct decoder_stats stats = {0};
    void *dec = NULL;
    int rc = nv_decoder_ops.open(&dec, &(struct decoder_params){.track = &clip->track}, err);
    for (size_t i = 0; rc == 0 && i <= clip->count;) {
        rc = nv_decoder_ops.send(dec, i < clip->count ? &clip->packets[i] : NULL, err);
        i += rc == 0;
        if (rc == 0 || rc == RGPU_ERROR_AGAIN)
            rc = receive_all(dec, &c, err);
    }
    if (dec)
        nv_decoder_ops.stats(dec, &stats);
    nv_decoder_ops.close(dec);
    if (rc == 0 &&
        (c.count != film->frames.count || stats.corrupt_frames > 0 || stats.failed_packets > 0))
        rc = error_set(err, UNKNOWN, "%s: %zu frames of %zu, %lld damaged, %lld packets failed",
                       clip->path, c.count, film->frames.count, (long long)stats.corrupt_frames,
                       (long long)stats.failed_packets);
    return rc;
}

/* The film is as in software, and so many decoders were made and reconfigured for it. */
static void check_play(int film, long made, long reconfigured)
{
    struct error err = {0};
    const long before[] = {driver_calls("cuvidCreateDecoder"),
                           driver_calls("cuvidReconfigureDecoder")};
    if (play(&films[film], &err) != 0)
        fail_msg("%s", err.text);
    assert_calls("cuvidCreateDecoder", before[0], made);
    assert_calls("cuvidReconfigureDecoder", before[1], reconfigured);
}

/* Sends so many packets and leaves without a drain, with up to `held` frames in hand. */
static size_t leave(const struct film *film, size_t packets, struct frame **held, size_t held_max)
{
    struct error err = {0};
    size_t count = 0;
    void *dec = NULL;
    assert_int_equal(
        nv_decoder_ops.open(&dec, &(struct decoder_params){.track = &film->clip.track}, &err), 0);
    for (size_t i = 0; i < packets && i < film->clip.count;) {
        struct frame *frame = NULL;
        const int rc = nv_decoder_ops.send(dec, &film->clip.packets[i], &err);
        assert_true(rc == 0 || rc == RGPU_ERROR_AGAIN);
        i += rc == 0;
        while (nv_decoder_ops.receive(dec, &frame, &err) == 0) {
            if (count < held_max)
                held[count++] = frame;
            else
                frame_unref(&frame);
        }
    }
    nv_decoder_ops.close(dec);
    return count;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_reuse(void **state)
{
    (void)state;
    for (int i = 0; i < CLIPS; i++) {
        gpu_idle_clear(device);
        if (!films[i].there)
            continue;
        check_play(i, 1, 0);
        for (int round = 0; round < 3; round++)
            check_play(i, 0, 1);
    }
}

/* One for larger pictures is used for smaller ones, not for much smaller ones, and never the other
 * way round; of codec and depth each has its own. */
static void test_other_sizes(void **state)
{
    (void)state;
    gpu_idle_clear(device);
    check_play(LARGE, 1, 0);
    check_play(SMALL, 0, 1);
    check_play(MIDDLE, 0, 1);
    check_play(LARGE, 0, 1);
    gpu_idle_clear(device);
    check_play(SMALL, 1, 0);
    check_play(LARGE, 1, 0);
    check_play(SMALL, 0, 1); /* the one of its own size: the larger one is still there */
    check_play(LARGE, 0, 1);
    gpu_idle_clear(device);
    check_play(HUGE_ONE, 1, 0);
    check_play(SMALL, 1, 0);
    if (films[HEVC10].there)
        check_play(HEVC10, 1, 0);
    if (films[VP9].there)
        check_play(VP9, 1, 0);
}

/* Left in the middle, with pictures under way, and some that are held for longer. */
static void test_left_in_the_middle(void **state)
{
    (void)state;
    gpu_idle_clear(device);
    check_play(LARGE, 1, 0);
    for (size_t packets = 1; packets < films[LARGE].clip.count; packets++) {
        leave(&films[packets % 2 ? LARGE : MIDDLE], packets, NULL, 0);
        check_play(packets % 3 ? MIDDLE : LARGE, 0, 1);
    }
}

static void *drop_frames(void *arg)
{
    struct frame **held = arg;
    for (int i = 0; i < NV_SURFACES_OUT; i++)
        frame_unref(&held[i]);
    return NULL;
}

/* A decoder with frames out is not kept before the last of them is dropped. */
static void test_frames_outlive(void **state)
{
    (void)state;
    struct frame *held[NV_SURFACES_OUT] = {NULL};
    pthread_t thread;
    gpu_idle_clear(device);
    assert_true(leave(&films[SMALL], 14, held, 3) == 3);
    check_play(SMALL, 1, 0);
    assert_int_equal(pthread_create(&thread, NULL, drop_frames, held), 0);
    pthread_join(thread, NULL);
    const long made = driver_calls("cuvidCreateDecoder");
    assert_true(leave(&films[SMALL], 14, held, 3) == 3);
    check_play(SMALL, 0, 1);
    assert_calls("cuvidCreateDecoder", made, 0);
    drop_frames(held);
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Whatever a damaged stream leaves in the decoder, the next one's frames are whole and count as
 * such. */
static void test_after_damage(void **state)
{
    (void)state;
    const char *said = getenv("RGPU_SEED");
    const unsigned seed = said ? (unsigned)strtoul(said, NULL, 10) : (unsigned)time(NULL);
    unsigned random = seed;
    print_message("seed %u (RGPU_SEED)\n", seed);
    gpu_idle_clear(device);
    for (int round = 0; round < 10; round++) {
        const int which = round % 2 && films[HEVC10].there ? HEVC10 : LARGE;
        struct film bad = films[which];
        bad.clip.packets = calloc(bad.clip.count, sizeof(struct packet));
        assert_non_null(bad.clip.packets);
        for (size_t i = 0; i < bad.clip.count; i++) {
            struct packet *p = &bad.clip.packets[i];
            *p = films[which].clip.packets[i];
            p->buf = buffer_copy(p->data, p->size);
            assert_non_null(p->buf);
            p->data = p->buf->data;
            for (unsigned k = next_random(&random) % 6; i > 0 && k > 0; k--)
                p->buf->data[p->size / 4 + next_random(&random) % (p->size - p->size / 4)] ^=
                    (uint8_t)(1u << next_random(&random) % 8);
        }
        leave(&bad, bad.clip.count, NULL, 0);
        check_play(which, 0, 1);
        for (size_t i = 0; i < bad.clip.count; i++)
            buffer_unref(&bad.clip.packets[i].buf);
        free(bad.clip.packets);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    enum { MORE = NV_KEPT_MAX + 3 };
    struct frame *held[MORE] = {NULL};
    gpu_idle_clear(device);
    for (int i = 0; i < MORE; i++)
        assert_int_equal(leave(&films[SMALL], 14, &held[i], 1), 1);
    const long ended = driver_calls("cuvidDestroyDecoder");
    for (int i = 0; i < MORE; i++)
        frame_unref(&held[i]);
    assert_calls("cuvidDestroyDecoder", ended, MORE - NV_KEPT_MAX);
    gpu_idle_clear(device);
    assert_calls("cuvidDestroyDecoder", ended, MORE);
}

/* ---- a driver that fails --------------------------------------------------------------------- */

/* Each call fails once, with a kept decoder: what was harmless stays so, the rest is an error, and
 * in any case the next stream is whole. */
static void test_failing_calls(void **state)
{
    (void)state;
    static const char *const names[] = {
        "cuvidReconfigureDecoder", "cuvidDecodePicture",     "cuvidMapVideoFrame64",
        "cuvidUnmapVideoFrame64",  "cuvidGetDecodeStatus",   "cuEventRecord",
        "cuStreamSynchronize",     "cuvidCreateVideoParser", "cuvidParseVideoData",
        "cuCtxPushCurrent_v2",
    };
    if (!standin) {
        skip();
        return;
    }
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        const bool harmless = strstr(names[n], "Unmap") || strstr(names[n], "Status") ||
                              strstr(names[n], "Reconfigure");
        gpu_idle_clear(device);
        check_play(SMALL, 1, 0);
        const long before = driver_calls(names[n]);
        check_play(SMALL, 0, 1);
        const long count = driver_calls(names[n]) - before;
        assert_true(count > 0);
        /* Of the many that are the same only some. */
        for (long nth = 1; nth <= count; nth += 1 + count / 12) {
            struct error err = {0};
            driver_fail(names[n], nth, UNKNOWN);
            const int rc = play(&films[SMALL], &err);
            if (harmless && rc != 0)
                fail_msg("call %ld of %s fails: %s", nth, names[n], err.text);
            if (rc == UNKNOWN)
                fail_msg("call %ld of %s fails: %s", nth, names[n], err.text);
            if (play(&films[SMALL], &err) != 0)
                fail_msg("after call %ld of %s: %s", nth, names[n], err.text);
        }
    }
}

/* What fails is not kept. */
static void test_failed_is_not_kept(void **state)
{
    (void)state;
    static const char *const names[] = {"cuvidReconfigureDecoder", "cuvidDecodePicture",
                                        "cuvidMapVideoFrame64", "cuvidUnmapVideoFrame64",
                                        "cuStreamSynchronize"};
    if (!standin) {
        skip();
        return;
    }
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct error err = {0};
        gpu_idle_clear(device);
        check_play(SMALL, 1, 0);
        const long ended = driver_calls("cuvidDestroyDecoder");
        /* The last of a stream's calls. */
        const long before = driver_calls(names[n]);
        check_play(SMALL, 0, 1);
        driver_fail(names[n], driver_calls(names[n]) - before, UNKNOWN);
        play(&films[SMALL], &err);
        if (driver_calls("cuvidDestroyDecoder") == ended)
            fail_msg("%s has failed, and the decoder is kept", names[n]);
    }
}

/* What is kept makes room for what is needed. */
static void test_no_memory(void **state)
{
    (void)state;
    struct error err = {0};
    if (!standin) {
        skip();
        return;
    }
    gpu_idle_clear(device);
    check_play(SMALL, 1, 0);
    check_play(LARGE, 1, 0);
    const long ended = driver_calls("cuvidDestroyDecoder");
    driver_fail("cuvidCreateDecoder", 1, OUT_OF_MEMORY);
    check_play(HUGE_ONE, 2, 0);
    assert_calls("cuvidDestroyDecoder", ended, 1);
    gpu_idle_clear(device);
    driver_fail("cuvidCreateDecoder", 1, OUT_OF_MEMORY);
    assert_int_equal(play(&films[SMALL], &err), RGPU_ERROR_MEMORY);
    check_play(SMALL, 1, 0);
}

/* ---- threads --------------------------------------------------------------------------------- */

struct player {
    unsigned random;
    int failed;
    struct error err;
};

static void *play_many(void *arg)
{
    struct player *p = arg;
    for (int i = 0; i < ROUNDS && p->failed == 0; i++) {
        const int which[] = {LARGE, SMALL, MIDDLE};
        if (next_random(&p->random) % 4 == 0)
            gpu_idle_evict(device, NULL);
        p->failed = play(&films[which[next_random(&p->random) % 3]], &p->err);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct player players[THREADS];
    pthread_t threads[THREADS];
    gpu_idle_clear(device);
    const long made = driver_calls("cuvidCreateDecoder"),
               taken = driver_calls("cuvidReconfigureDecoder");
    for (unsigned i = 0; i < THREADS; i++) {
        players[i] = (struct player){.random = 77 + i};
        assert_int_equal(pthread_create(&threads[i], NULL, play_many, &players[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        if (players[i].failed != 0)
            fail_msg("%s", players[i].err.text);
    }
    if (standin) {
        assert_int_equal(driver_calls("cuvidCreateDecoder") - made +
                             driver_calls("cuvidReconfigureDecoder") - taken,
                         THREADS * ROUNDS);
        assert_true(driver_calls("cuvidReconfigureDecoder") > taken);
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The last handle takes with it what is kept. */
static void test_last_handle(void **state)
{
    (void)state;
    check_play(SMALL, 0, 1);
    const long ended = driver_calls("cuvidDestroyDecoder");
    gpu_close(&device);
    if (standin)
        assert_true(driver_calls("cuvidDestroyDecoder") > ended);
    assert_int_equal(gpu_open(&device, 0, NULL), 0);
    check_play(SMALL, 1, 0);
}

/* A device that is lost while it keeps one, and while a stream has one. In a process of its own, as
 * what was on the device is never given back, nor is the device closed. */
static void test_death(void **state)
{
    (void)state;
    struct error err = {0};
    struct frame *held[1] = {NULL};
    if (!standin) {
        skip();
        return;
    }
    gpu_idle_clear(device);
    check_play(SMALL, 1, 0);
    check_play(VP9, films[VP9].there, 0);
    assert_int_equal(leave(&films[SMALL], 14, held, 1), 1);
    driver_kill(0);
    assert_int_equal(play(&films[SMALL], &err), RGPU_ERROR_DEVICE);
    frame_unref(&held[0]);
    assert_int_equal(play(&films[SMALL], &err), RGPU_ERROR_DEVICE);
}

/* ---------------------------------------------------------------------------------------------- */

static void load(struct film *film, const char *name, const char *args)
{
    struct error err = {0};
    void *dec = NULL;
    if (!clip_make(name, args)) {
        print_message("%s: this ffmpeg cannot make it\n", name);
        return;
    }
    clip_read(name, &film->clip);
    film->there =
        nv_decoder_ops.open(&dec, &(struct decoder_params){.track = &film->clip.track}, &err) == 0;
    if (!film->there)
        print_message("%s: %s\n", name, err.text);
    nv_decoder_ops.close(dec);
    const struct codec_backend cpu = {.decoder = &cpu_decoder_ops};
    struct decoder_stats stats;
    decode_all(&cpu, &(struct decoder_params){.track = &film->clip.track, .threads = 1},
               film->clip.packets, film->clip.count, &film->frames, &stats);
}

static int set_up(void **state)
{
    (void)state;
    clip_dir_make();
    for (int i = 0; i < CLIPS; i++)
        load(&films[i], sources[i].name, sources[i].args);
    standin = driver_faults_bind();
    return films[LARGE].there && films[MIDDLE].there && films[SMALL].there && films[HUGE_ONE].there
               ? 0
               : 1;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < CLIPS; i++) {
        frame_list_done(&films[i].frames);
        clip_done(&films[i].clip);
    }
    clip_dir_remove();
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_other_sizes),
        cmocka_unit_test(test_left_in_the_middle),
        cmocka_unit_test(test_frames_outlive),
        cmocka_unit_test(test_after_damage),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_failed_is_not_kept),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_last_handle),
    };
    const struct CMUnitTest death[] = {cmocka_unit_test(test_death)};
    const bool dies = argc > 1 && strcmp(argv[1], "death") == 0;
    struct error err = {0};
    const int rc = gpu_open(&device, 0, &err);
    if (rc != 0) {
        fprintf(stderr, "%s\n", err.text);
        return getenv("RGPU_STANDIN") ? 1 : 77;
    }
    codec_log_to_sink();
    if (dies) { /* without an end, at which all that the device had is missed */
        const int rc_death = cmocka_run_group_tests(death, set_up, tear_down);
        fflush(NULL);
        _exit(rc_death != 0 || driver_violations() > 0);
    }
    const int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    gpu_close(&device);
    return failed;
}
