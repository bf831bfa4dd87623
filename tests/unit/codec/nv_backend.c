/* The backend of NVIDIA devices through codec.h, over the software stand-in of the driver (or a
 * real one): the CPU's pictures, byte for byte, wherever a stage runs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "codec/codec.h"
#include "codec/nv/plain.h"
#include "gpu/resize.h"
#include "pictures.h"
#include "support/clip.h"
#include "support/coding.h"
#include "support/driver_faults.h"

#define WITHOUT_VIDEO "RGPU_TEST_WITHOUT_VIDEO"
#define H264 "-c:v libx264 -preset veryfast -bf 2 -g 10 "
#define SOURCE "-f lavfi -i testsrc2=s=322x242:r=25:d=0.8,noise=alls=8:allf=t -pix_fmt yuv420p "
#define INTERLACED                                                                                 \
    "-f lavfi -i testsrc2=s=320x240:r=25:d=0.8,noise=alls=8:allf=t,setfield=tff -pix_fmt "         \
    "yuv420p " H264 "-flags +ilme+ildct "

static const struct codec_backend *nv, *cpu;

static void need_device(void)
{
    nv = codec_backend(DEVICE_CUDA);
    cpu = codec_backend(DEVICE_CPU);
    if (nv->devices(NULL, 0) == 0) {
        assert_null(getenv("RGPU_STANDIN"));
        skip();
    }
}

static void read_clip(const char *name, const char *args, struct clip *ret)
{
    assert_true(clip_make(name, args));
    clip_read(name, ret);
}

static void decode(const struct codec_backend *backend, const struct clip *clip,
                   struct frame_list *ret, struct decoder_stats *ret_stats)
{
    decode_all(backend, &(struct decoder_params){.track = &clip->track, .threads = 1},
               clip->packets, clip->count, ret, ret_stats);
}

static void *open_scaler(const struct scaler_params *params)
{
    struct error err = {0};
    void *scaler = NULL;
    if (nv->scaler->open(&scaler, params, &err) != 0)
        fail_msg("open: %s", err.text);
    return scaler;
}

/* ---- decoding ------------------------------------------------------------------------------- */

/* Decodes and brings each picture down at once: a device has few to lend. */
static void decode_down(const struct clip *clip, struct frame_list *ret)
{
    struct error err = {0};
    struct frame *frame = NULL, *host = NULL;
    struct nv_plain *plain = NULL;
    void *dec = NULL;
    size_t sent = 0;
    int rc = nv->decoder->open(
        &dec, &(struct decoder_params){.track = &clip->track, .no_fallback = true}, &err);
    if (rc != 0 || nv_plain_open(&plain, 0, &err) != 0)
        fail_msg("%s", err.text);
    while (rc != RGPU_ERROR_END) {
        rc = nv->decoder->receive(dec, &frame, &err);
        if (rc == 0) {
            assert_int_equal(frame->place, PLACE_DEVICE);
            if (nv_plain_run(plain, frame, &host, &err) != 0)
                fail_msg("%s", err.text);
            frame_unref(&frame);
            frame_list_add(ret, host);
            host = NULL;
        } else if (rc == RGPU_ERROR_AGAIN) {
            rc = nv->decoder->send(dec, sent < clip->count ? &clip->packets[sent] : NULL, &err);
            sent += rc == 0;
        }
        if (rc != 0 && rc != RGPU_ERROR_AGAIN && rc != RGPU_ERROR_END)
            fail_msg("packet %zu: %s", sent, err.text);
    }
    nv->decoder->close(dec);
    nv_plain_close(&plain);
}

static void expect_same(const struct frame_list *a, const struct frame_list *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct frame *x = a->items[i], *y = b->items[i];
        assert_int_equal(x->pts, y->pts);
        assert_int_equal(x->duration, y->duration);
        assert_int_equal(x->flags, y->flags);
        assert_int_equal(x->format, y->format);
        if (!picture_equal(x, y))
            fail_msg("picture %zu differs", i);
    }
}

static void test_pictures_come_down(void **state)
{
    static const char *const clips[][2] = {
        {"closed.mp4", SOURCE H264},
        {"open.mkv", SOURCE H264 "-x264-params open-gop=1:b-pyramid=normal"},
        {"hevc10.mp4", SOURCE "-pix_fmt yuv420p10le -c:v libx265 -preset veryfast "
                              "-x265-params log-level=none"},
        {"vp9.webm", SOURCE "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"},
        {"mpeg2.ts", SOURCE "-c:v mpeg2video -bf 2 -q:v 4"},
    };
    (void)state;
    need_device();
    for (size_t i = 0; i < sizeof(clips) / sizeof(clips[0]); i++) {
        struct clip clip;
        struct frame_list wanted = {0}, got = {0};
        struct decoder_stats stats;
        print_message("%s\n", clips[i][0]);
        read_clip(clips[i][0], clips[i][1], &clip);
        decode(cpu, &clip, &wanted, &stats);
        decode_down(&clip, &got);
        expect_same(&got, &wanted);
        frame_list_done(&wanted);
        frame_list_done(&got);
        clip_done(&clip);
    }
}

/* ---- falling back --------------------------------------------------------------------------- */

static void test_a_decoder_falls_back(void **state)
{
    static const struct {
        const char *name, *args, *note;
    } cases[] = {
        {"prores.mov", SOURCE "-pix_fmt yuv422p10le -c:v prores_ks",
         "cuda:0 cannot decode this prores, the CPU does: NVDEC does not decode \"prores\""},
        {"alpha.mov", SOURCE "-pix_fmt yuva444p10le -c:v prores_ks",
         "cuda:0 cannot decode this prores, the CPU does: NVDEC does not decode \"prores\"; "
         "yuva444p12le converted to yuv444p12le, transparency dropped"},
        {"deep.mkv", SOURCE "-pix_fmt yuv420p10le " H264,
         "cuda:0 cannot decode this h264, the CPU does: NVDEC does not decode H.264 of more than 8 "
         "bits"},
    };
    (void)state;
    need_device();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clip clip;
        struct frame_list wanted = {0}, got = {0};
        struct decoder_stats stats;
        struct error err = {0};
        void *dec = NULL;
        print_message("%s\n", cases[i].name);
        read_clip(cases[i].name, cases[i].args, &clip);
        decode(cpu, &clip, &wanted, &stats);
        decode(nv, &clip, &got, &stats);
        assert_string_equal(stats.note, cases[i].note);
        expect_same(&got, &wanted);
        const struct decoder_params params = {.track = &clip.track, .no_fallback = true};
        assert_int_equal(nv->decoder->open(&dec, &params, &err), RGPU_ERROR_UNSUPPORTED);
        char *remedy = strstr(err.text, "; without --no-fallback");
        assert_non_null(remedy);
        *remedy = 0;
        assert_non_null(strstr(cases[i].note, err.text));
        frame_list_done(&wanted);
        frame_list_done(&got);
        clip_done(&clip);
    }
}

/* A folder with the stand-in, but for its libnvcuvid. */
static void link_without_video(const char *folder)
{
    static const char *const names[] = {"libcuda.so.1", "libstandin.so", "libstandin_kernels.so"};
    const char *variable = getenv("LD_LIBRARY_PATH"), *libraries = variable ? variable : "";
    const int length = (int)strcspn(libraries, ":");
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char from[PATH_MAX], to[PATH_MAX];
        snprintf(from, sizeof(from), "%.*s/%s", length, libraries, names[i]);
        snprintf(to, sizeof(to), "%s/%s", folder, names[i]);
        assert_int_equal(symlink(from, to), 0);
    }
}

/* In a process of its own, for the driver is loaded once: test_without_video does the work. */
static void test_a_driver_without_video(void **state)
{
    int status = 0;
    (void)state;
    need_device();
    if (!getenv("RGPU_STANDIN"))
        skip();
    link_without_video(clip_dir());
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv("LD_LIBRARY_PATH", clip_dir(), 1);
        setenv(WITHOUT_VIDEO, "1", 1);
        execl("/proc/self/exe", "nv_backend", (char *)NULL);
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* Whole in the note, down to the remedy. */
static void test_without_video(void **state)
{
    (void)state;
    if (dlopen("libnvcuvid.so.1", RTLD_LAZY))
        skip(); /* there is a real one */
    need_device();
    struct clip clip;
    struct frame_list frames = {0};
    struct decoder_stats stats;
    read_clip("plain.mkv", SOURCE H264, &clip);
    decode(nv, &clip, &frames, &stats);
    assert_int_equal(frames.count, 20);
    print_message("%s\n", stats.note);
    assert_ptr_equal(strstr(stats.note, "cuda:0 cannot decode this h264, the CPU does: "),
                     stats.note);
    assert_non_null(strstr(stats.note, "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility"));
    assert_int_equal(stats.note[strlen(stats.note) - 1], ')');
    frame_list_done(&frames);
    clip_done(&clip);
}

static void test_encoders_are_the_processors(void **state)
{
    (void)state;
    need_device();
    struct encoder_params params = {.codec = "h264",
                                    .width = 64,
                                    .height = 64,
                                    .format = PIXEL_YUV420P,
                                    .time_base = {1, 25},
                                    .rate = RATE_QUALITY,
                                    .quality = 20,
                                    .no_fallback = true};
    struct error err = {0};
    void *enc = NULL;
    assert_int_equal(nv->encoder->format(0, "h264", "", PIXEL_NV12), PIXEL_YUV420P);
    assert_int_equal(nv->encoder->format(0, "hevc", "", PIXEL_P010), PIXEL_YUV420P10);
    assert_int_equal(nv->encoder->open(&enc, &params, &err), RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "--no-fallback"));
    params.no_fallback = false;
    if (nv->encoder->open(&enc, &params, &err) != 0)
        fail_msg("%s", err.text);
    nv->encoder->close(enc);
}

/* ---- scaling -------------------------------------------------------------------------------- */

static struct resize_picture planes_of(const struct frame *frame)
{
    struct resize_picture ret = {0};
    for (int p = 0; p < 3; p++) {
        ret.plane[p] = (uint64_t)(uintptr_t)frame->data[p];
        ret.pitch[p] = (int32_t)frame->stride[p];
    }
    return ret;
}

/* What the kernel's twin makes of a host picture. */
static struct frame *scaled_by_twin(const struct frame *source, int width, int height)
{
    struct frame *nv12 = picture_repack(source, PIXEL_NV12);
    struct frame *ret = frame_new(PIXEL_YUV420P, width, height);
    struct resize *plan = NULL;
    const struct resize_params params = {.width = source->width,
                                         .height = source->height,
                                         .format = RESIZE_NV12,
                                         .siting = {0, 1},
                                         .rungs_count = 1,
                                         .rungs = {{width, height, RESIZE_I420, {0, 0, 0, 0}}}};
    assert_true(nv12 && ret);
    assert_int_equal(resize_open(&plan, NULL, &params, NULL), 0);
    const struct resize_picture from = planes_of(nv12), to = planes_of(ret);
    resize_host(plan, &from, &to, 1);
    resize_close(&plan);
    frame_unref(&nv12);
    return ret;
}

/* Many pictures in flight: some outputs are held, some let go before their copy is over. */
static void test_scaling_is_the_twins(void **state)
{
    static const int sizes[][2] = {{322, 242}, {160, 120}, {80, 60}};
    (void)state;
    need_device();
    struct clip clip;
    struct frame_list wanted = {0};
    struct decoder_stats stats;
    struct error err = {0};
    struct scaler_params params = {
        .width = 322, .height = 242, .format = PIXEL_NV12, .outputs_count = 3};
    struct frame *out[40][3] = {0}, *frame = NULL;
    void *dec = NULL;
    size_t sent = 0, count = 0;
    read_clip("closed.mp4", SOURCE H264, &clip);
    decode(cpu, &clip, &wanted, &stats);
    for (int i = 0; i < 3; i++)
        params.outputs[i] = (struct scaler_output){
            .width = sizes[i][0], .height = sizes[i][1], .format = PIXEL_YUV420P};
    void *scaler = open_scaler(&params);
    assert_int_equal(nv->decoder->open(&dec, &(struct decoder_params){.track = &clip.track}, &err),
                     0);
    for (int rc = 0; rc != RGPU_ERROR_END;) {
        rc = nv->decoder->receive(dec, &frame, &err);
        if (rc == 0) {
            /* One rung in three is not asked for. */
            const uint32_t mask = 7u & ~(1u << count % 3);
            assert_true(count < 40);
            if (nv->scaler->run(scaler, frame, mask, out[count], &err) != 0)
                fail_msg("%s", err.text);
            frame_unref(&frame);
            if (count % 4 == 3)
                for (int i = 0; i < 3; i++)
                    frame_unref(&out[count][i]);
            count++;
        } else if (rc == RGPU_ERROR_AGAIN) {
            rc = nv->decoder->send(dec, sent < clip.count ? &clip.packets[sent] : NULL, &err);
            sent += rc == 0;
        }
        if (rc != 0 && rc != RGPU_ERROR_AGAIN && rc != RGPU_ERROR_END)
            fail_msg("packet %zu: %s", sent, err.text);
    }
    assert_int_equal(count, wanted.count);
    nv->decoder->close(dec);
    nv->scaler->close(scaler);
    for (size_t n = 0; n < count; n++) {
        for (int i = 0; i < 3; i++) {
            assert_int_equal(!out[n][i], n % 4 == 3 || (int)(n % 3) == i);
            if (!out[n][i])
                continue;
            struct frame *twin = scaled_by_twin(wanted.items[n], sizes[i][0], sizes[i][1]);
            assert_int_equal(out[n][i]->pts, wanted.items[n]->pts);
            if (!picture_equal(out[n][i], twin))
                fail_msg("picture %zu of %dx%d differs", n, sizes[i][0], sizes[i][1]);
            frame_unref(&twin);
            frame_unref(&out[n][i]);
        }
    }
    frame_list_done(&wanted);
    clip_done(&clip);
}

/* Scales until a wait fails, the n-th from the first picture on; the sources are only the scaler's,
 * so that they go back as soon as it lets them. */
static int scale_until(const struct clip *clip, long nth)
{
    const struct scaler_params params = {
        .width = 322,
        .height = 242,
        .format = PIXEL_NV12,
        .outputs_count = 2,
        .outputs = {{1280, 720, PIXEL_YUV420P, {0}}, {1280, 720, PIXEL_YUV420P, {0}}}};
    struct frame *out[40][2] = {0}, *frame = NULL;
    struct error err = {0};
    size_t sent = 0, count = 0;
    void *dec = NULL, *scaler = open_scaler(&params);
    int rc = nv->decoder->open(&dec, &(struct decoder_params){.track = &clip->track}, &err);
    while (rc == 0 && sent < clip->count) {
        rc = nv->decoder->receive(dec, &frame, &err);
        if (rc == 0) {
            if (count == 0)
                driver_fail("cuEventSynchronize", nth, 999);
            rc = nv->scaler->run(scaler, frame, 3, out[count++], &err);
            frame_unref(&frame);
        } else if (rc == RGPU_ERROR_AGAIN) {
            rc = nv->decoder->send(dec, &clip->packets[sent++], &err);
        }
    }
    nv->decoder->close(dec);
    nv->scaler->close(scaler);
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < 2; k++)
            frame_unref(&out[i][k]);
    return rc;
}

/* The driver's word for a picture that work under way still uses. */
static void test_a_failing_wait_frees_nothing(void **state)
{
    (void)state;
    need_device();
    if (!driver_faults_bind())
        skip();
    struct clip clip;
    read_clip("closed.mp4", SOURCE H264, &clip);
    for (long nth = 1; nth <= 4; nth++) {
        assert_int_equal(scale_until(&clip, nth), RGPU_ERROR_DEVICE);
        assert_int_equal(driver_violations(), 0);
    }
    clip_done(&clip);
}

/* ---- deinterlacing -------------------------------------------------------------------------- */

static void filter_all(const struct codec_backend *backend, const struct clip *clip,
                       struct frame_list *ret)
{
    struct error err = {0};
    struct frame *frame = NULL, *out = NULL;
    void *dec = NULL, *filter = NULL;
    size_t sent = 0;
    assert_int_equal(
        backend->decoder->open(&dec, &(struct decoder_params){.track = &clip->track}, &err), 0);
    for (bool over = false; !over;) {
        int rc = backend->decoder->receive(dec, &frame, &err);
        if (rc == RGPU_ERROR_AGAIN) {
            rc =
                backend->decoder->send(dec, sent < clip->count ? &clip->packets[sent] : NULL, &err);
            sent += rc == 0;
            continue;
        }
        over = rc == RGPU_ERROR_END;
        if (!filter && frame) {
            const struct filter_params params = {
                .width = frame->width, .height = frame->height, .format = frame->format};
            assert_int_equal(backend->deinterlacer->open(&filter, &params, &err), 0);
        }
        do {
            rc = backend->deinterlacer->send(filter, frame, &err);
            while (backend->deinterlacer->receive(filter, &out, &err) == 0) {
                frame_list_add(ret, out);
                out = NULL;
            }
        } while (rc == RGPU_ERROR_AGAIN);
        assert_int_equal(rc, 0);
        frame_unref(&frame);
    }
    backend->deinterlacer->close(filter);
    backend->decoder->close(dec);
}

static void test_deinterlacing(void **state)
{
    (void)state;
    need_device();
    struct clip clip;
    struct frame_list wanted = {0}, got = {0};
    read_clip("tff.mkv", INTERLACED, &clip);
    filter_all(cpu, &clip, &wanted);
    filter_all(nv, &clip, &got);
    assert_true(wanted.count > 0);
    expect_same(&got, &wanted);
    frame_list_done(&wanted);
    frame_list_done(&got);
    clip_done(&clip);
}

int main(void)
{
    const struct CMUnitTest without_video[] = {cmocka_unit_test(test_without_video)};
    if (getenv(WITHOUT_VIDEO))
        return cmocka_run_group_tests(without_video, clip_set_up, clip_tear_down);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pictures_come_down),
        cmocka_unit_test(test_a_decoder_falls_back),
        cmocka_unit_test(test_a_driver_without_video),
        cmocka_unit_test(test_encoders_are_the_processors),
        cmocka_unit_test(test_scaling_is_the_twins),
        cmocka_unit_test(test_a_failing_wait_frees_nothing),
        cmocka_unit_test(test_deinterlacing),
    };
    return cmocka_run_group_tests(tests, clip_set_up, clip_tear_down);
}
