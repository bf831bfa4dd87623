/* NVDEC against the software decoder, through codec.h: the same frames, in number, order, time
 * stamps, properties and content. Runs on a GPU, or on the stand-ins of the driver. */
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

#include "codec/codec_log.h"
#include "codec/cpu/backend.h"
#include "codec/cpu/decoder.h"
#include "codec/nv/decoder.h"
#include "gpu/idle.h"
#include "media/hevc.h"
#include "support/clip.h"
#include "support/coding.h"
#include "support/device_picture.h"
#include "support/driver_faults.h"

#define NOISE ",noise=alls=8:allf=t "
#define SOURCE "-f lavfi -i testsrc2=s=176x144:r=25:d=1.6" NOISE
#define CROPPED "-f lavfi -i testsrc2=s=214x150:r=25:d=0.8" NOISE
#define ODD "-f lavfi -i testsrc2=s=175x147:r=25:d=0.8" NOISE
#define X264 "-pix_fmt yuv420p -c:v libx264 -preset veryfast "
#define X265 "-c:v libx265 -preset veryfast -x265-params log-level=none:pools=none"
#define OPEN_GOP "-bf 3 -g 12 -sc_threshold 0 -x264-params open-gop=1:b-pyramid=normal"

static struct gpu_device *device;

struct example {
    const char *name, *args;
};

static const struct example examples[] = {
    {"open.mkv", SOURCE X264 OPEN_GOP},
    {"closed.mp4", SOURCE X264 "-bf 2 -g 10"},
    {"nodelay.mp4", SOURCE X264 "-bf 0"},
    {"paff.ts", SOURCE "-vf setfield=tff " X264 "-flags +ilme+ildct"},
    {"bff.ts", SOURCE "-vf setfield=bff " X264 "-flags +ilme+ildct -x264-params bff=1"},
    {"cropped.mp4", CROPPED X264 "-bf 2"},
    {"hevc.mp4", SOURCE "-pix_fmt yuv420p " X265 ":bframes=4:open-gop=1:keyint=12:min-keyint=12"},
    {"hevc10.mp4", SOURCE "-pix_fmt yuv420p10le " X265},
    {"cropped.ts", CROPPED "-pix_fmt yuv420p " X265},
    {"vp9.webm", SOURCE "-pix_fmt yuv420p -c:v libvpx-vp9 -deadline realtime -cpu-used 8"},
    {"vp9arf.webm", SOURCE "-pix_fmt yuv420p -c:v libvpx-vp9 -deadline good -cpu-used 5 "
                           "-auto-alt-ref 1 -lag-in-frames 16 -b:v 200k"},
    {"vp9odd.webm", ODD "-pix_fmt yuv420p -c:v libvpx-vp9 -deadline realtime -cpu-used 8"},
    {"vp8.webm", SOURCE "-pix_fmt yuv420p -c:v libvpx -deadline good -cpu-used 5 -auto-alt-ref 1 "
                        "-lag-in-frames 16 -b:v 200k"},
    {"av1.mkv", SOURCE "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -crf 40"},
    {"mpeg2.ts", SOURCE "-pix_fmt yuv420p -c:v mpeg2video -flags +ilme+ildct -bf 2 -field_order tt "
                        "-aspect 16:9 -q:v 4"},
    {"mpeg1.ts", SOURCE "-pix_fmt yuv420p -c:v mpeg1video -bf 2 -q:v 4"},
};

/* ---- decoding both ways ---------------------------------------------------------------------- */

static void check(int rc, const struct error *err)
{
    if (rc != 0)
        fail_msg("%s: %s", rgpu_error_name(rc), err->text);
}

/* Takes all frames that are there, brought down. */
static int receive_all(const struct decoder_ops *ops, void *dec, struct frame_list *ret)
{
    struct error err = {0};
    struct frame *frame = NULL;
    int rc;
    while ((rc = ops->receive(dec, &frame, &err)) == 0) {
        if (frame->place == PLACE_DEVICE) {
            struct frame *host = device_picture(device, frame, &err);
            frame_unref(&frame);
            if (!host)
                fail_msg("%s", err.text);
            frame = host;
        }
        frame_list_add(ret, frame);
    }
    if (rc != RGPU_ERROR_AGAIN && rc != RGPU_ERROR_END)
        check(rc, &err);
    return rc;
}

static void run(const struct decoder_ops *ops, void *dec, const struct packet *packets,
                size_t count, struct frame_list *ret)
{
    for (size_t i = 0; i <= count;) {
        struct error err = {0};
        const int rc = ops->send(dec, i < count ? &packets[i] : NULL, &err);
        if (rc == 0)
            i++;
        else if (rc != RGPU_ERROR_AGAIN)
            check(rc, &err);
        assert_int_equal(receive_all(ops, dec, ret),
                         i <= count ? RGPU_ERROR_AGAIN : RGPU_ERROR_END);
    }
}

static void *open_dec(const struct decoder_ops *ops, const struct decoder_params *params)
{
    struct error err = {0};
    void *dec = NULL;
    check(ops->open(&dec, params, &err), &err);
    return dec;
}

static void decode(const struct decoder_ops *ops, const struct decoder_params *params,
                   const struct packet *packets, size_t count, struct frame_list *ret,
                   struct decoder_stats *ret_stats)
{
    void *dec = open_dec(ops, params);
    run(ops, dec, packets, count, ret);
    ops->stats(dec, ret_stats);
    ops->close(dec);
}

/* Whether this device decodes the clip; the text of the refusal is shown. */
static bool has_decoder(const char *name, const struct track *track)
{
    struct error err = {0};
    void *dec = NULL;
    const int rc = nv_decoder_ops.open(&dec, &(struct decoder_params){.track = track}, &err);
    if (rc == RGPU_ERROR_UNSUPPORTED) {
        print_message("%s: %s\n", name, err.text);
        return false;
    }
    check(rc, &err);
    nv_decoder_ops.close(dec);
    return true;
}

static bool same_sides(const struct frame *a, const struct frame *b)
{
    for (int i = 0; i < FRAME_SIDE_MAX; i++) {
        const struct frame_side *x = &a->side[i], *y = &b->side[i];
        if (x->type != y->type || (x->buf && x->buf->size != y->buf->size) ||
            (x->buf && memcmp(x->buf->data, y->buf->data, x->buf->size) != 0))
            return false;
    }
    return true;
}

static bool same_aspect(struct rational a, struct rational b)
{
    return a.num <= 0 ? b.num <= 0 : (int64_t)a.num * b.den == (int64_t)b.num * a.den;
}

static void compare(const char *name, const struct frame_list *cpu, const struct frame_list *nv)
{
    for (size_t i = 0; i < cpu->count && i < nv->count; i++) {
        const struct frame *a = cpu->items[i], *b = nv->items[i];
        if (a->pts != b->pts || a->duration != b->duration || a->flags != b->flags ||
            a->width != b->width || a->height != b->height)
            fail_msg("%s, frame %zu: pts %lld duration %lld flags %x %dx%d, in software %lld %lld "
                     "%x %dx%d",
                     name, i, (long long)b->pts, (long long)b->duration, b->flags, b->width,
                     b->height, (long long)a->pts, (long long)a->duration, a->flags, a->width,
                     a->height);
        if (memcmp(&a->color, &b->color, sizeof(a->color)) != 0)
            fail_msg("%s, frame %zu: colour %d/%d/%d/%d/%d, in software %d/%d/%d/%d/%d", name, i,
                     b->color.primaries, b->color.transfer, b->color.matrix, b->color.range,
                     b->color.chroma, a->color.primaries, a->color.transfer, a->color.matrix,
                     a->color.range, a->color.chroma);
        if (!same_aspect(a->sample_aspect, b->sample_aspect))
            fail_msg("%s, frame %zu: aspect %d:%d, in software %d:%d", name, i,
                     (int)b->sample_aspect.num, (int)b->sample_aspect.den,
                     (int)a->sample_aspect.num, (int)a->sample_aspect.den);
        if (!hdr_same(&a->hdr, &b->hdr) || !same_sides(a, b))
            fail_msg("%s, frame %zu: other HDR metadata, captions, time code or RPU", name, i);
        if (!same_picture(a, b))
            fail_msg("%s, frame %zu: another picture", name, i);
    }
    if (cpu->count != nv->count)
        fail_msg("%s: %zu frames, in software %zu", name, nv->count, cpu->count);
}

static void drop_before(struct frame_list *list, int64_t pts)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i]->pts >= pts)
            list->items[kept++] = list->items[i];
        else
            frame_unref(&list->items[i]);
    }
    list->count = kept;
}

/* From `first_pts` on: which damaged frames of before are shown depends on how many a decoder holds
 * back. */
static void compare_from(const char *name, const struct decoder_params *params,
                         const struct packet *packets, size_t count, int64_t first_pts)
{
    struct frame_list cpu = {0};
    struct frame_list nv = {0};
    struct decoder_stats stats;
    struct decoder_params single = *params;
    single.threads = 1;
    decode(&cpu_decoder_ops, &single, packets, count, &cpu, &stats);
    decode(&nv_decoder_ops, params, packets, count, &nv, &stats);
    drop_before(&cpu, first_pts);
    drop_before(&nv, first_pts);
    compare(name, &cpu, &nv);
    frame_list_done(&cpu);
    frame_list_done(&nv);
}

static void compare_decoders(const char *name, const struct decoder_params *params,
                             const struct packet *packets, size_t count)
{
    struct frame_list cpu = {0};
    struct frame_list nv = {0};
    struct decoder_stats cpu_stats, nv_stats;
    struct decoder_params single = *params;
    single.threads = 1;
    decode(&cpu_decoder_ops, &single, packets, count, &cpu, &cpu_stats);
    decode(&nv_decoder_ops, params, packets, count, &nv, &nv_stats);
    compare(name, &cpu, &nv);
    assert_int_equal(nv_stats.packets, cpu_stats.packets);
    assert_int_equal(nv_stats.frames, nv.count);
    assert_int_equal(nv_stats.corrupt_frames, cpu_stats.corrupt_frames);
    assert_int_equal(nv_stats.failed_packets, cpu_stats.failed_packets);
    frame_list_done(&cpu);
    frame_list_done(&nv);
}

/* Reads a clip that this device can decode; false: it or ffmpeg cannot. */
static bool get_clip(const char *name, const char *args, struct clip *ret)
{
    char path[CLIP_PATH_MAX];
    snprintf(path, sizeof(path), "%s/%s", clip_dir(), name);
    FILE *there = fopen(path, "rb");
    if (there)
        fclose(there);
    if (!there && !clip_make(name, args)) {
        print_message("%s: this ffmpeg cannot make it\n", name);
        return false;
    }
    clip_read(name, ret);
    if (has_decoder(name, &ret->track))
        return true;
    clip_done(ret);
    return false;
}

static bool get_example(const char *name, struct clip *ret)
{
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
        if (strcmp(examples[i].name, name) == 0)
            return get_clip(name, examples[i].args, ret);
    fail_msg("no example %s", name);
    return false;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        struct clip clip;
        if (!get_clip(examples[i].name, examples[i].args, &clip))
            continue;
        for (int low = 0; low < 2; low++)
            compare_decoders(examples[i].name,
                             &(struct decoder_params){.track = &clip.track, .low_latency = low},
                             clip.packets, clip.count);
        clip_done(&clip);
    }
}

/* Time stamps are not numbers to a decoder. */
static void test_pts_is_opaque(void **state)
{
    (void)state;
    static const char *const names[] = {"open.mkv", "hevc10.mp4", "av1.mkv", "mpeg2.ts",
                                        "vp9arf.webm"};
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct clip clip;
        if (!get_example(names[n], &clip))
            continue;
        const int64_t far = INT64_C(1) << 61;
        for (size_t i = 0; i < clip.count; i++) {
            clip.packets[i].pts = clip.packets[i].pts * 1000003 - far;
            clip.packets[i].dts = PTS_NONE;
            clip.packets[i].duration = (int64_t)i + 7;
        }
        compare_decoders(names[n], &(struct decoder_params){.track = &clip.track}, clip.packets,
                         clip.count);
        clip_done(&clip);
    }
}

static void test_timestamps_by_order(void **state)
{
    (void)state;
    struct clip clip;
    if (!get_example("open.mkv", &clip))
        skip();
    for (size_t i = 0; i < clip.count; i++) {
        clip.packets[i].pts = PTS_NONE;
        clip.packets[i].dts = (int64_t)i * 40;
    }
    compare_decoders("open.mkv",
                     &(struct decoder_params){.track = &clip.track, .timestamps_by_order = true},
                     clip.packets, clip.count);
    clip_done(&clip);
}

static void test_discard(void **state)
{
    (void)state;
    static const char *const names[] = {"open.mkv", "hevc.mp4", "av1.mkv", "mpeg2.ts"};
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct clip clip;
        if (!get_example(names[n], &clip))
            continue;
        for (size_t i = 0; i < 9; i++)
            clip.packets[i].flags |= PACKET_DISCARD;
        compare_decoders(names[n], &(struct decoder_params){.track = &clip.track}, clip.packets,
                         clip.count);
        clip_done(&clip);
    }
}

/* From each random-access point on: leading pictures are shown or not as in software. Near the end
 * a decoder is drained before it has shown the point, and gives what it has held back so far. */
static void test_start_in_the_middle(void **state)
{
    (void)state;
    enum { NEAR_END = 11 };
    static const char *const names[] = {"open.mkv", "closed.mp4", "hevc.mp4",
                                        "mpeg2.ts", "mpeg1.ts",   "paff.ts"};
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct clip clip;
        if (!get_example(names[n], &clip))
            continue;
        const struct decoder_params params = {.track = &clip.track};
        for (size_t i = 1; i < clip.count; i++) {
            const size_t left = clip.count - i;
            if (clip.packets[i].flags & PACKET_KEY && left > NEAR_END)
                compare_decoders(names[n], &params, clip.packets + i, left);
            else if (clip.packets[i].flags & PACKET_KEY)
                compare_from(names[n], &params, clip.packets + i, left, clip.packets[i].pts);
        }
        clip_done(&clip);
    }
}

static void test_reset_and_reuse(void **state)
{
    (void)state;
    static const char *const names[] = {"closed.mp4", "hevc10.mp4", "av1.mkv", "vp9.webm",
                                        "mpeg2.ts"};
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct clip clip;
        struct error err = {0};
        struct frame_list first = {0}, second = {0}, dropped = {0};
        const struct decoder_ops *ops = &nv_decoder_ops;
        if (!get_example(names[n], &clip))
            continue;
        void *dec = open_dec(ops, &(struct decoder_params){.track = &clip.track});
        run(ops, dec, clip.packets, clip.count, &first);
        assert_int_equal(ops->send(dec, clip.packets, &err), RGPU_ERROR_PARAM);
        ops->reset(dec);
        /* Left in the middle, also with pictures waiting: nothing of it may show up afterwards. */
        for (size_t i = 0; i < 12; i++) {
            const int rc = ops->send(dec, &clip.packets[i], &err);
            assert_true(rc == 0 || rc == RGPU_ERROR_AGAIN);
            if (i == 5)
                receive_all(ops, dec, &dropped);
        }
        ops->reset(dec);
        run(ops, dec, clip.packets, clip.count, &second);
        ops->close(dec);
        compare(names[n], &first, &second);
        frame_list_done(&first);
        frame_list_done(&second);
        frame_list_done(&dropped);
        clip_done(&clip);
    }
}

/* Clips one behind the other, each with its headers. */
static void compare_joined(const char *name, struct clip *clips, int clips_count)
{
    size_t count = 0, at = 0;
    for (int c = 0; c < clips_count; c++)
        count += clips[c].count;
    struct packet *all = calloc(count, sizeof(*all));
    assert_non_null(all);
    for (int c = 0; c < clips_count; c++)
        for (size_t i = 0; i < clips[c].count; i++) {
            all[at] = clips[c].packets[i];
            all[at].pts += c * 1000000;
            all[at].extradata = i == 0 && c > 0 ? clips[c].track.extradata : NULL;
            at++;
        }
    compare_decoders(name, &(struct decoder_params){.track = &clips[0].track}, all, count);
    free(all);
    for (int c = 0; c < clips_count; c++)
        clip_done(&clips[c]);
}

/* Other headers come with a packet: smaller pictures, which the decoder may be reshaped to, then
 * larger ones. */
static void test_change_of_size(void **state)
{
    (void)state;
    static const char *const small_args = "-f lavfi -i testsrc2=s=160x128:r=25:d=0.6" NOISE X264;
    struct clip clips[3];
    if (!get_example("cropped.mp4", &clips[0]) || !get_clip("small.mp4", small_args, &clips[1]) ||
        !get_example("cropped.mp4", &clips[2]))
        skip();
    compare_joined("changes of size", clips, 3);
}

static void test_change_of_depth(void **state)
{
    (void)state;
    struct clip clips[3];
    if (!get_example("hevc.mp4", &clips[0]) || !get_example("hevc10.mp4", &clips[1]) ||
        !get_example("hevc.mp4", &clips[2]))
        skip();
    compare_joined("changes of depth", clips, 3);
}

/* An end of sequence in HEVC makes the CRA behind it begin one, and what waits is shown first. */
static void test_end_of_sequence(void **state)
{
    (void)state;
    struct clip clip;
    if (!get_example("hevc.mp4", &clip))
        skip();
    const uint8_t end[] = {0, 0, 0, 2, HEVC_NAL_EOS << 1, 1};
    size_t ends = 0;
    for (size_t i = 1; i < clip.count; i++) {
        struct packet *p = &clip.packets[i - 1];
        if (!(clip.packets[i].flags & PACKET_KEY))
            continue;
        struct buffer *longer = buffer_new(p->size + sizeof(end));
        assert_non_null(longer);
        memcpy(longer->data, p->data, p->size);
        memcpy(longer->data + p->size, end, sizeof(end));
        buffer_unref(&p->buf);
        p->buf = longer;
        p->data = longer->data;
        p->size = longer->size;
        ends++;
    }
    assert_true(ends > 1);
    compare_decoders("hevc.mp4 with ends", &(struct decoder_params){.track = &clip.track},
                     clip.packets, clip.count);
    clip_done(&clip);
}

/* Each packet gives its frame at once. */
static void test_low_latency(void **state)
{
    (void)state;
    struct clip clip;
    if (!get_example("nodelay.mp4", &clip))
        skip();
    const struct decoder_ops *ops = &nv_decoder_ops;
    void *dec = open_dec(ops, &(struct decoder_params){.track = &clip.track, .low_latency = true});
    for (size_t i = 0; i < clip.count; i++) {
        struct error err = {0};
        struct frame_list frames = {0};
        check(ops->send(dec, &clip.packets[i], &err), &err);
        receive_all(ops, dec, &frames);
        assert_int_equal(frames.count, 1);
        assert_int_equal(frames.items[0]->pts, clip.packets[i].pts);
        frame_list_done(&frames);
    }
    ops->close(dec);
    clip_done(&clip);
}

/* Closed captions from H.264 and HEVC. */
static void test_captions(void **state)
{
    (void)state;
    static const char *const codecs[] = {"h264", "hevc"};
    for (size_t c = 0; c < 2; c++) {
        struct track track = {.width = 176, .height = 144, .time_base = {1, 25}};
        struct encoder_params params = {.width = 176,
                                        .height = 144,
                                        .format = PIXEL_YUV420P,
                                        .time_base = {1, 25},
                                        .frame_rate = {25, 1},
                                        .rate = RATE_QUALITY,
                                        .quality = 30,
                                        .speed = 1,
                                        .bframes = 2};
        snprintf(track.codec, sizeof(track.codec), "%s", codecs[c]);
        snprintf(params.codec, sizeof(params.codec), "%s", codecs[c]);
        if (!has_decoder(codecs[c], &track))
            continue;
        struct packet_list packets = {0};
        struct frame_list frames = {0};
        make_pictures(params.format, params.width, params.height, 20, 7, &frames);
        for (size_t i = 0; i < frames.count; i++) {
            /* Zeros in a row ask for emulation prevention. */
            const uint8_t cc[] = {0xfc, (uint8_t)i, 0x20, 0xf9, 0, 0, 0xfa, 0, 0, 0xfa, 0, 1};
            frames.items[i]->side[0].type = SIDE_A53_CC;
            frames.items[i]->side[0].buf = buffer_copy(cc, i % 3 ? sizeof(cc) : 6);
        }
        encode_all(&cpu_backend, &params, &frames, &packets, NULL);
        for (size_t i = 0; i < packets.count; i++)
            packets.items[i].dts = (int64_t)i;
        struct frame_list nv = {0};
        struct decoder_stats stats;
        decode(&nv_decoder_ops, &(struct decoder_params){.track = &track}, packets.items,
               packets.count, &nv, &stats);
        assert_int_equal(nv.count, frames.count);
        for (size_t i = 0; i < nv.count; i++) {
            assert_int_equal(nv.items[i]->pts, frames.items[i]->pts);
            if (!same_sides(nv.items[i], frames.items[i]))
                fail_msg("%s, frame %zu: other captions", codecs[c], i);
        }
        compare_decoders(codecs[c], &(struct decoder_params){.track = &track}, packets.items,
                         packets.count);
        frame_list_done(&nv);
        frame_list_done(&frames);
        packet_list_done(&packets);
    }
}

/* ---- frames that are held -------------------------------------------------------------------- */

/* Frames may be dropped after their decoder is closed. */
static void test_frames_outlive(void **state)
{
    (void)state;
    struct clip clip;
    struct frame_list cpu = {0};
    struct decoder_stats stats;
    struct frame *held[NV_SURFACES_OUT] = {0};
    if (!get_example("closed.mp4", &clip))
        skip();
    decode(&cpu_decoder_ops, &(struct decoder_params){.track = &clip.track, .threads = 1},
           clip.packets, clip.count, &cpu, &stats);
    const struct decoder_ops *ops = &nv_decoder_ops;
    void *dec = open_dec(ops, &(struct decoder_params){.track = &clip.track});
    size_t count = 0;
    for (size_t i = 0; count < NV_SURFACES_OUT;) {
        struct error err = {0};
        const int rc = ops->send(dec, &clip.packets[i], &err);
        assert_true(rc == 0 || rc == RGPU_ERROR_AGAIN);
        i += rc == 0;
        while (count < NV_SURFACES_OUT && ops->receive(dec, &held[count], &err) == 0)
            count++;
    }
    ops->close(dec);
    for (size_t i = 0; i < NV_SURFACES_OUT; i++) {
        struct error err = {0};
        struct frame *host = device_picture(device, held[i], &err);
        assert_non_null(host);
        assert_true(same_picture(host, cpu.items[i]));
        frame_unref(&host);
        frame_unref(&held[i]);
    }
    frame_list_done(&cpu);
    clip_done(&clip);
}

struct keeper {
    pthread_mutex_t lock;
    struct frame *frames[NV_SURFACES_OUT]; /* protected by `lock`, as `ended` */
    size_t count;
    bool ended;
};

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Holds as many frames as may be out, and drops one now and then. */
static void *keep_frames(void *arg)
{
    struct keeper *k = arg;
    unsigned random = 1;
    bool ended = false;
    while (!ended) {
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
        pthread_mutex_lock(&k->lock);
        ended = k->ended;
        while (k->count > 0 && (ended || k->count == NV_SURFACES_OUT)) {
            const size_t at = next_random(&random) % k->count;
            frame_unref(&k->frames[at]);
            k->frames[at] = k->frames[--k->count];
            if (!ended)
                break;
        }
        pthread_mutex_unlock(&k->lock);
    }
    return NULL;
}

/* Receive waits for frames that another thread holds. */
static void test_waits_for_frames(void **state)
{
    (void)state;
    struct clip clip;
    struct keeper k = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread;
    if (!get_example("closed.mp4", &clip))
        skip();
    const struct decoder_ops *ops = &nv_decoder_ops;
    void *dec = open_dec(ops, &(struct decoder_params){.track = &clip.track});
    assert_int_equal(pthread_create(&thread, NULL, keep_frames, &k), 0);
    size_t frames = 0;
    for (size_t i = 0; i <= clip.count;) {
        struct error err = {0};
        struct frame *frame = NULL;
        int rc = ops->send(dec, i < clip.count ? &clip.packets[i] : NULL, &err);
        assert_true(rc == 0 || rc == RGPU_ERROR_AGAIN);
        i += rc == 0;
        while ((rc = ops->receive(dec, &frame, &err)) == 0) {
            frames++;
            pthread_mutex_lock(&k.lock);
            assert_true(k.count < NV_SURFACES_OUT);
            k.frames[k.count++] = frame;
            pthread_mutex_unlock(&k.lock);
        }
        assert_true(rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END);
    }
    ops->close(dec);
    pthread_mutex_lock(&k.lock);
    k.ended = true;
    pthread_mutex_unlock(&k.lock);
    pthread_join(thread, NULL);
    assert_int_equal(frames, clip.count);
    clip_done(&clip);
}

/* ---- a driver that fails --------------------------------------------------------------------- */

/* Decodes until the end or an error; gives the error. */
static int try_clip(const struct clip *clip, size_t packets)
{
    const struct decoder_ops *ops = &nv_decoder_ops;
    struct error err = {0};
    void *dec = NULL;
    gpu_idle_clear(device); /* so that each makes all anew */
    int rc = ops->open(&dec, &(struct decoder_params){.track = &clip->track}, &err);
    for (size_t i = 0; rc == 0 && i <= packets;) {
        struct frame *frame = NULL;
        rc = ops->send(dec, i < packets ? &clip->packets[i] : NULL, &err);
        i += rc == 0;
        while ((rc == 0 || rc == RGPU_ERROR_AGAIN) && (rc = ops->receive(dec, &frame, &err)) == 0)
            frame_unref(&frame);
        rc = rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END ? 0 : rc;
    }
    if (rc != 0 && err.text[0] == 0)
        fail_msg("%s without a text", rgpu_error_name(rc));
    ops->close(dec);
    return rc;
}

/* Each call of the driver fails once: an error or a frame less, and nothing is left behind. */
static void test_failing_calls(void **state)
{
    (void)state;
    enum { PACKETS = 10, UNKNOWN = 999 };
    static const char *const names[] = {
        "cuvidGetDecoderCaps",  "cuvidCreateVideoParser", "cuvidCreateDecoder",
        "cuvidParseVideoData",  "cuvidDecodePicture",     "cuvidMapVideoFrame64",
        "cuvidGetDecodeStatus", "cuvidUnmapVideoFrame64", "cuStreamCreate",
        "cuEventCreate",        "cuEventRecord",
    };
    struct clip clip;
    if (!driver_faults_bind() || !get_example("nodelay.mp4", &clip)) {
        skip();
        return;
    }
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        const bool harmless =
            strstr(names[n], "Unmap") != NULL || strstr(names[n], "Status") != NULL;
        const long before = driver_calls(names[n]);
        assert_int_equal(try_clip(&clip, PACKETS), 0);
        const long calls = driver_calls(names[n]) - before;
        assert_true(calls > 0);
        for (long nth = 1; nth <= calls; nth++) {
            driver_fail(names[n], nth, UNKNOWN);
            const int rc = try_clip(&clip, PACKETS);
            if (rc != (harmless ? 0 : RGPU_ERROR_DEVICE))
                fail_msg("call %ld of %s fails: %s", nth, names[n], rgpu_error_name(rc));
        }
    }
    clip_done(&clip);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refused(const struct track *track, const char *what)
{
    struct error err = {0};
    void *dec = NULL;
    const int rc = nv_decoder_ops.open(&dec, &(struct decoder_params){.track = track}, &err);
    if (rc != RGPU_ERROR_UNSUPPORTED || !strstr(err.text, what))
        fail_msg("%s: %d, \"%s\" does not say \"%s\"", track->codec, rc, err.text, what);
    assert_null(dec);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *name, *args, *what;
    } cases[] = {
        {"h422.mp4", SOURCE "-pix_fmt yuv422p -c:v libx264 -preset ultrafast", "4:2:2"},
        {"h444.mp4", SOURCE "-pix_fmt yuv444p -c:v libx264 -preset ultrafast", "4:4:4"},
        {"h10.mp4", SOURCE "-pix_fmt yuv420p10le -c:v libx264 -preset ultrafast", "8 bits"},
        {"hevc422.mp4", SOURCE "-pix_fmt yuv422p " X265, "4:2:2"},
        {"hevc12.mp4", SOURCE "-pix_fmt yuv420p12le " X265, "12"},
        {"m422.ts", SOURCE "-pix_fmt yuv422p -c:v mpeg2video", "yuv422p"},
        {"mpeg4.mp4", SOURCE "-pix_fmt yuv420p -c:v mpeg4", "mpeg4"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clip clip;
        if (!clip_make(cases[i].name, cases[i].args)) {
            print_message("%s: this ffmpeg cannot make it\n", cases[i].name);
            continue;
        }
        clip_read(cases[i].name, &clip);
        /* What the headers say counts where the container says nothing. */
        if (strstr(cases[i].name, ".mp4"))
            clip.track.format = PIXEL_NONE;
        refused(&clip.track, cases[i].what);
        clip_done(&clip);
    }
    struct track track = {.codec = "h264", .width = 16384, .height = 16384};
    refused(&track, "16384x16384");
    nv_decoder_ops.close(NULL);
}

/* ---------------------------------------------------------------------------------------------- */

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_pts_is_opaque),
        cmocka_unit_test(test_timestamps_by_order),
        cmocka_unit_test(test_discard),
        cmocka_unit_test(test_start_in_the_middle),
        cmocka_unit_test(test_reset_and_reuse),
        cmocka_unit_test(test_change_of_size),
        cmocka_unit_test(test_change_of_depth),
        cmocka_unit_test(test_end_of_sequence),
        cmocka_unit_test(test_low_latency),
        cmocka_unit_test(test_captions),
        cmocka_unit_test(test_frames_outlive),
        cmocka_unit_test(test_waits_for_frames),
        cmocka_unit_test(test_failing_calls),
        cmocka_unit_test(test_refusals),
    };
    struct error err = {0};
    const int rc = gpu_open(&device, 0, &err);
    if (rc != 0) {
        fprintf(stderr, "%s\n", err.text);
        return getenv("RGPU_STANDIN") ? 1 : 77;
    }
    codec_log_to_sink();
    const int failed = cmocka_run_group_tests(tests, clip_set_up, clip_tear_down);
    gpu_close(&device);
    return failed;
}
