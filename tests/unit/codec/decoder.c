/* Decoders against ffmpeg's own output, through codec.h: the same frames, in number, order, time
 * stamps and content. */
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
#include "media/hevc.h"
#include "support/clip.h"
#include "support/coding.h"

#define SOURCE "-f lavfi -i testsrc2=s=176x144:r=25:d=1.6,noise=alls=8:allf=t "
#define CONVERTED "-sws_flags bicubic+accurate_rnd+bitexact+full_chroma_int+full_chroma_inp "

static const struct codec_backend *backend;

struct example {
    const char *name;      /* file */
    const char *args;      /* of ffmpeg that make it */
    const char *reference; /* of ffmpeg that decodes it */
    const char *note;      /* of the decoder */
};

static const struct example examples[] = {
    {"open.mkv",
     SOURCE "-pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 3 -g 12 -sc_threshold 0 "
            "-x264-params open-gop=1:b-pyramid=normal",
     "", ""},
    {"closed.mp4", SOURCE "-pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 2 -g 10", "", ""},
    {"high10.mp4", SOURCE "-pix_fmt yuv422p10le -c:v libx264 -preset veryfast", "", ""},
    {"paff.ts",
     SOURCE "-vf setfield=tff -pix_fmt yuv420p -c:v libx264 -preset veryfast -flags +ilme+ildct",
     "", ""},
    {"hevc10.mp4",
     SOURCE "-pix_fmt yuv420p10le -c:v libx265 -preset veryfast -x265-params log-level=none", "",
     ""},
    {"vp9.webm", SOURCE "-pix_fmt yuv420p -c:v libvpx-vp9 -deadline realtime -cpu-used 8", "", ""},
    {"av1.mkv", SOURCE "-pix_fmt yuv420p -c:v libaom-av1 -cpu-used 8 -crf 40", "", ""},
    {"mpeg2.ts",
     SOURCE "-pix_fmt yuv420p -c:v mpeg2video -flags +ilme+ildct -bf 2 -field_order tt -q:v 4", "",
     ""},
    {"mpeg4.mp4", SOURCE "-pix_fmt yuv420p -c:v mpeg4 -bf 2 -q:v 4", "", ""},
    {"prores.mov", SOURCE "-pix_fmt yuv422p10le -c:v prores_ks", "", ""},
    {"dv.avi", "-f lavfi -i testsrc2=s=720x480:r=30000/1001:d=0.3 -pix_fmt yuv411p -c:v dvvideo",
     "", ""},
    {"mjpeg.avi", SOURCE "-pix_fmt yuvj422p -c:v mjpeg -q:v 3", "", ""},
    {"raw.avi", SOURCE "-pix_fmt yuv420p -c:v rawvideo", "", ""},
    {"odd.mkv", "-f lavfi -i testsrc2=s=175x143:r=25:d=0.4 -pix_fmt yuv420p -c:v ffv1", "", ""},
    {"odd444.mp4",
     "-f lavfi -i testsrc2=s=175x143:r=25:d=0.4 -pix_fmt yuv444p -c:v libx264 -preset ultrafast",
     "", ""},
    {"yuv440.mkv", SOURCE "-pix_fmt yuv440p -c:v ffv1", "", ""},
    {"yuv410.mkv", SOURCE "-pix_fmt yuv410p -c:v ffv1", "", ""},
    {"gbrp12.mkv", SOURCE "-pix_fmt gbrp12le -c:v ffv1", "", ""},
    {"gray12.mkv", SOURCE "-pix_fmt gray12le -c:v ffv1", "", ""},
    {"yuva.mkv", SOURCE "-pix_fmt yuva420p -c:v ffv1", "-vf extractplanes=y -pix_fmt gray",
     "yuva420p converted to yuv420p, transparency dropped"},
    {"rgb24.mkv", SOURCE "-pix_fmt rgb24 -c:v png", CONVERTED "-pix_fmt gbrp",
     "rgb24 converted to gbrp"},
    {"bgr24.avi", SOURCE "-pix_fmt bgr24 -c:v rawvideo", CONVERTED "-pix_fmt gbrp",
     "bgr24 converted to gbrp"},
    {"uyvy.avi", SOURCE "-pix_fmt uyvy422 -c:v rawvideo", CONVERTED "-pix_fmt yuv422p",
     "uyvy422 converted to yuv422p"},
    {"pal8.mkv", SOURCE "-pix_fmt pal8 -c:v png", "-vf format=rgb24 " CONVERTED "-pix_fmt gbrp",
     "pal8 converted to gbrp"},
};

static void decode_clip(const struct clip *clip, int threads, struct frame_list *ret,
                        struct decoder_stats *ret_stats)
{
    decode_all(backend, &(struct decoder_params){.track = &clip->track, .threads = threads},
               clip->packets, clip->count, ret, ret_stats);
}

static void compare(const char *name, const struct frame_list *frames,
                    const struct picture_sum *sums, size_t count)
{
    if (frames->count != count)
        fail_msg("%s: %zu frames, ffmpeg gives %zu", name, frames->count, count);
    for (size_t i = 0; i < count; i++) {
        char md5[33];
        picture_md5(frames->items[i], md5);
        if (frames->items[i]->pts != sums[i].pts || strcmp(md5, sums[i].md5) != 0)
            fail_msg("%s, frame %zu: pts %lld %s, ffmpeg gives %lld %s", name, i,
                     (long long)frames->items[i]->pts, md5, (long long)sums[i].pts, sums[i].md5);
    }
}

/* The planes that a reference without chroma is about. */
static void keep_luma(struct frame_list *frames)
{
    for (size_t i = 0; i < frames->count; i++)
        frames->items[i]->format = PIXEL_GRAY8;
}

static void test_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        const struct example *e = &examples[i];
        if (!clip_make(e->name, e->args)) {
            print_message("%s: this ffmpeg cannot make it\n", e->name);
            continue;
        }
        struct clip clip;
        clip_read(e->name, &clip);
        struct picture_sum *sums;
        const size_t count = clip_reference(e->name, e->reference, &sums);
        assert_true(count > 0);
        for (int threads = 1; threads <= 3; threads += 2) {
            struct frame_list frames = {0};
            struct decoder_stats stats;
            decode_clip(&clip, threads, &frames, &stats);
            if (strstr(e->reference, "extractplanes"))
                keep_luma(&frames);
            compare(e->name, &frames, sums, count);
            assert_int_equal(stats.packets, clip.count);
            assert_int_equal(stats.frames, count);
            assert_int_equal(stats.corrupt_frames, 0);
            assert_int_equal(stats.failed_packets, 0);
            assert_string_equal(stats.note, e->note);
            frame_list_done(&frames);
        }
        free(sums);
        clip_done(&clip);
    }
}

/* Words in another order of bytes or depth: rounded to 12 bits at most, exactly. */
static void test_words(void **state)
{
    (void)state;
    static const struct {
        const char *format;
        int depth, depth_out;
        enum pixel_format out;
    } cases[] = {
        {"yuv420p16le", 16, 12, PIXEL_YUV420P12}, {"gray16le", 16, 12, PIXEL_GRAY12},
        {"yuv422p14le", 14, 12, PIXEL_YUV422P12}, {"yuv444p9le", 9, 10, PIXEL_YUV444P10},
        {"gbrp16le", 16, 12, PIXEL_GBRP12},       {"yuv420p10le", 10, 10, PIXEL_YUV420P10},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char args[256], name[64];
        snprintf(name, sizeof(name), "words-%s.mkv", cases[i].format);
        snprintf(args, sizeof(args), SOURCE "-frames:v 2 -pix_fmt %s -c:v ffv1 -strict -1",
                 cases[i].format);
        assert_true(clip_make(name, args));
        snprintf(args, sizeof(args), "-i %s/%s -pix_fmt %s -f rawvideo", clip_dir(), name,
                 cases[i].format);
        assert_true(clip_make("words.raw", args));
        struct clip clip;
        struct frame_list frames = {0};
        clip_read(name, &clip);
        decode_clip(&clip, 1, &frames, NULL);
        assert_int_equal(frames.count, 2);
        char path[256];
        snprintf(path, sizeof(path), "%s/words.raw", clip_dir());
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        const int down =
            cases[i].depth > cases[i].depth_out ? cases[i].depth - cases[i].depth_out : 0;
        const int up =
            cases[i].depth < cases[i].depth_out ? cases[i].depth_out - cases[i].depth : 0;
        const int max = (1 << cases[i].depth_out) - 1;
        for (size_t n = 0; n < frames.count; n++) {
            const struct frame *f = frames.items[n];
            assert_int_equal(f->format, cases[i].out);
            for (int p = 0; p < pixel_info(f->format)->planes; p++)
                for (int y = 0; y < pixel_plane_height(f->format, p, f->height); y++)
                    for (int x = 0; x < pixel_plane_width(f->format, p, f->width); x++) {
                        uint16_t want, got;
                        assert_int_equal(fread(&want, 2, 1, file), 1);
                        memcpy(&got, f->data[p] + y * f->stride[p] + (ptrdiff_t)2 * x, 2);
                        int value = ((want << up) + (down ? 1 << (down - 1) : 0)) >> down;
                        value = value > max ? max : value;
                        if (got != value)
                            fail_msg("%s plane %d (%d,%d): %d, not %d", name, p, x, y, got, value);
                    }
        }
        fclose(file);
        frame_list_done(&frames);
        clip_done(&clip);
    }
}

/* A stream that begins in the middle: ffmpeg decides what is fit to be shown. */
static void test_start_in_the_middle(void **state)
{
    (void)state;
    assert_true(clip_make("long.ts", "-f lavfi -i testsrc2=s=176x144:r=25:d=4 -pix_fmt yuv420p "
                                     "-c:v libx264 -preset veryfast -bf 3 -g 25 -sc_threshold 0 "
                                     "-x264-params open-gop=1"));
    for (int part = 1; part < 8; part++) {
        char command[512];
        snprintf(command, sizeof(command),
                 "cd %s && n=$(stat -c %%s long.ts) && tail -c +$((n / 8 * %d)) long.ts > cut.ts",
                 clip_dir(), part);
        assert_int_equal(system(command), 0);
        struct clip clip;
        clip_read("cut.ts", &clip);
        struct picture_sum *sums;
        const size_t count = clip_reference("cut.ts", "", &sums);
        struct frame_list frames = {0};
        decode_clip(&clip, 1, &frames, NULL);
        compare("cut.ts", &frames, sums, count);
        frame_list_done(&frames);
        free(sums);
        clip_done(&clip);
    }
}

/* Time stamps are not numbers to a decoder. */
static void test_pts_is_opaque(void **state)
{
    (void)state;
    static const char *const names[] = {"open.mkv", "hevc10.mp4", "av1.mkv", "mpeg2.ts",
                                        "mpeg4.mp4"};
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct clip clip;
        struct frame_list plain = {0};
        struct frame_list odd = {0};
        clip_read(names[n], &clip);
        decode_clip(&clip, 2, &plain, NULL);
        const int64_t far = INT64_C(1) << 61;
        for (size_t i = 0; i < clip.count; i++) {
            clip.packets[i].pts = clip.packets[i].pts * 1000003 - far;
            clip.packets[i].dts = PTS_NONE;
            clip.packets[i].duration = (int64_t)i + 7;
        }
        decode_clip(&clip, 2, &odd, NULL);
        assert_int_equal(plain.count, odd.count);
        for (size_t i = 0; i < odd.count; i++) {
            const int64_t pts = plain.items[i]->pts * 1000003 - far;
            assert_true(odd.items[i]->pts == pts);
            assert_true(same_picture(plain.items[i], odd.items[i]));
            for (size_t k = 0; k < clip.count; k++)
                if (clip.packets[k].pts == pts)
                    assert_int_equal(odd.items[i]->duration, k + 7);
        }
        frame_list_done(&plain);
        frame_list_done(&odd);
        clip_done(&clip);
    }
}

static int compare_int64(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* AVI has no pts: the n-th frame has the n-th smallest dts. */
static void test_timestamps_by_order(void **state)
{
    (void)state;
    assert_true(clip_make("order.avi", SOURCE "-pix_fmt yuv420p -c:v mpeg4 -bf 2 -q:v 4"));
    struct clip clip;
    clip_read("order.avi", &clip);
    int64_t *dts = calloc(clip.count, sizeof(*dts));
    size_t pictures = 0;
    for (size_t i = 0; i < clip.count; i++) {
        clip.packets[i].pts = PTS_NONE;
        if (clip.packets[i].size)
            dts[pictures++] = clip.packets[i].dts;
    }
    qsort(dts, pictures, sizeof(*dts), compare_int64);
    for (int threads = 1; threads <= 3; threads += 2) {
        struct frame_list frames = {0};
        decode_all(backend,
                   &(struct decoder_params){
                       .track = &clip.track, .threads = threads, .timestamps_by_order = true},
                   clip.packets, clip.count, &frames, NULL);
        assert_int_equal(frames.count, pictures);
        for (size_t i = 0; i < frames.count; i++)
            assert_int_equal(frames.items[i]->pts, dts[i]);
        frame_list_done(&frames);
    }
    free(dts);
    clip_done(&clip);
}

/* A packet that is refused takes its own time stamp with it, not that of a picture that waits. */
static void test_order_without_a_refused_packet(void **state)
{
    (void)state;
    struct clip clip;
    clip_read("order.avi", &clip);
    size_t pictures = 0, bad = 0;
    for (size_t i = 0; i < clip.count; i++) {
        clip.packets[i].pts = PTS_NONE;
        pictures += clip.packets[i].size > 0;
        /* Behind a picture that B-frames wait for: the decoder holds it back. */
        if (!bad && i > clip.count / 2 && clip.packets[i].size)
            bad = i;
    }
    /* No start code at all. */
    const uint8_t nonsense[8] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct packet *pkt = &clip.packets[bad];
    const int64_t gone = pkt->dts;
    buffer_unref(&pkt->buf);
    pkt->buf = buffer_copy(nonsense, sizeof(nonsense));
    pkt->data = pkt->buf->data;
    pkt->size = pkt->buf->size;
    for (int threads = 1; threads <= 4; threads += 3) {
        struct frame_list frames = {0};
        struct decoder_stats stats = {0};
        decode_all(backend,
                   &(struct decoder_params){
                       .track = &clip.track, .threads = threads, .timestamps_by_order = true},
                   clip.packets, clip.count, &frames, &stats);
        assert_int_equal(stats.failed_packets, 1);
        assert_int_equal(frames.count, pictures - 1);
        for (size_t i = 0; i < frames.count; i++) {
            assert_int_not_equal(frames.items[i]->pts, gone);
            assert_true(i == 0 || frames.items[i]->pts > frames.items[i - 1]->pts);
        }
        frame_list_done(&frames);
    }
    clip_done(&clip);
}

/* A palette that comes with the packets, against the picture that it stands for. */
static void test_palette(void **state)
{
    (void)state;
    enum { SIDE = 16 };
    uint8_t pixels[SIDE * SIDE] = {0}, colors[PALETTE_BYTES] = {0};
    uint32_t seed = 5;
    for (size_t i = 0; i < sizeof(pixels); i++)
        pixels[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
    for (size_t i = 0; i < sizeof(colors); i++)
        colors[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
    const struct track track = {.codec = "rawvideo",
                                .width = SIDE,
                                .height = SIDE,
                                .bits_per_sample = 8,
                                .time_base = {1, 25}};
    struct packet pkts[2];
    for (int i = 0; i < 2; i++) {
        colors[4 * pixels[0]] ^= 0x80; /* the second has one of its own */
        pkts[i] = (struct packet){.buf = buffer_copy(pixels, sizeof(pixels)),
                                  .palette = buffer_copy(colors, sizeof(colors)),
                                  .size = sizeof(pixels),
                                  .pts = i,
                                  .flags = PACKET_KEY};
        pkts[i].data = pkts[i].buf->data;
    }
    struct frame_list frames = {0};
    decode_all(backend, &(struct decoder_params){.track = &track}, pkts, 2, &frames, NULL);
    assert_int_equal(frames.count, 2);
    for (int i = 0; i < 2; i++) {
        const struct frame *f = frames.items[i];
        assert_int_equal(f->format, PIXEL_GBRP);
        for (int at = 0; at < SIDE * SIDE; at++) {
            const uint8_t *c = pkts[i].palette->data + 4 * pixels[at];
            const int x = at % SIDE, y = at / SIDE;
            assert_int_equal(f->data[0][f->stride[0] * y + x], c[1]);
            assert_int_equal(f->data[1][f->stride[1] * y + x], c[0]);
            assert_int_equal(f->data[2][f->stride[2] * y + x], c[2]);
        }
    }
    frame_list_done(&frames);
    for (int i = 0; i < 2; i++)
        packet_done(&pkts[i]);
}

/* Frames of discarded packets are decoded, for the others refer to them, and not given. */
static void test_discard(void **state)
{
    (void)state;
    static const char *const names[] = {"open.mkv", "av1.mkv", "mpeg2.ts"};
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct clip clip;
        struct frame_list all = {0};
        struct frame_list some = {0};
        clip_read(names[n], &clip);
        decode_clip(&clip, 2, &all, NULL);
        for (size_t i = 0; i < 9; i++)
            clip.packets[i].flags |= PACKET_DISCARD;
        decode_clip(&clip, 2, &some, NULL);
        assert_int_equal(some.count, all.count - 9);
        size_t at = 0;
        for (size_t i = 0; i < all.count; i++) {
            bool gone = false;
            for (size_t k = 0; k < 9; k++)
                gone = gone || clip.packets[k].pts == all.items[i]->pts;
            if (gone)
                continue;
            assert_int_equal(some.items[at]->pts, all.items[i]->pts);
            assert_true(same_picture(some.items[at], all.items[i]));
            at++;
        }
        frame_list_done(&all);
        frame_list_done(&some);
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
        struct frame_list first = {0};
        struct frame_list second = {0};
        void *dec = NULL;
        clip_read(names[n], &clip);
        assert_int_equal(
            backend->decoder->open(
                &dec, &(struct decoder_params){.track = &clip.track, .threads = 2}, &err),
            0);
        decode_packets(backend, dec, clip.packets, clip.count, &first);
        struct frame *none = NULL;
        assert_int_equal(backend->decoder->receive(dec, &none, &err), RGPU_ERROR_END);
        assert_int_equal(backend->decoder->send(dec, clip.packets, &err), RGPU_ERROR_PARAM);
        backend->decoder->reset(dec);
        /* Left in the middle: nothing of it may show up afterwards. */
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(backend->decoder->send(dec, &clip.packets[i], &err), 0);
        backend->decoder->reset(dec);
        decode_packets(backend, dec, clip.packets, clip.count, &second);
        backend->decoder->close(dec);
        assert_int_equal(first.count, second.count);
        for (size_t i = 0; i < first.count; i++) {
            assert_int_equal(first.items[i]->pts, second.items[i]->pts);
            assert_true(same_picture(first.items[i], second.items[i]));
        }
        frame_list_done(&first);
        frame_list_done(&second);
        clip_done(&clip);
    }
}

static void test_properties(void **state)
{
    (void)state;
    assert_true(clip_make("props.mp4",
                          SOURCE "-vf setsar=4/3,setparams=range=tv:color_primaries=bt2020:"
                                 "color_trc=smpte2084:colorspace=bt2020nc -pix_fmt yuv420p "
                                 "-c:v libx264 -preset ultrafast -x264-params chromaloc=2"));
    struct clip clip;
    struct frame_list frames = {0};
    clip_read("props.mp4", &clip);
    decode_clip(&clip, 1, &frames, NULL);
    const struct frame *f = frames.items[frames.count - 1];
    assert_int_equal(f->sample_aspect.num, 4);
    assert_int_equal(f->sample_aspect.den, 3);
    assert_int_equal(f->color.primaries, 9);
    assert_int_equal(f->color.transfer, 16);
    assert_int_equal(f->color.matrix, 9);
    assert_int_equal(f->color.range, RANGE_LIMITED);
    assert_int_equal(f->color.chroma, CHROMA_TOP_LEFT);
    assert_int_equal(f->flags & (FRAME_INTERLACED | FRAME_KEY), 0);
    frame_list_done(&frames);
    clip_done(&clip);

    clip_read("paff.ts", &clip);
    decode_clip(&clip, 1, &frames, NULL);
    assert_true(frames.items[3]->flags & FRAME_INTERLACED);
    assert_true(frames.items[3]->flags & FRAME_TOP_FIRST);
    frame_list_done(&frames);
    clip_done(&clip);

    clip_read("mjpeg.avi", &clip);
    decode_clip(&clip, 1, &frames, NULL);
    assert_int_equal(frames.items[0]->color.range, RANGE_FULL);
    frame_list_done(&frames);
    clip_done(&clip);

    clip_read("gbrp12.mkv", &clip);
    decode_clip(&clip, 1, &frames, NULL);
    assert_int_equal(frames.items[0]->color.matrix, MATRIX_RGB);
    frame_list_done(&frames);
    clip_done(&clip);
}

/* Another size and format in mid-stream is given as it is. */
static void test_change_of_size(void **state)
{
    (void)state;
    assert_true(clip_make("a.m2v", SOURCE "-pix_fmt yuv420p -c:v mpeg2video -bf 0"));
    assert_true(clip_make("b.m2v", "-f lavfi -i testsrc2=s=320x200:r=25:d=0.4 -pix_fmt yuv420p "
                                   "-c:v mpeg2video -bf 0"));
    char command[256];
    snprintf(command, sizeof(command), "cd %s && cat a.m2v b.m2v > ab.m2v", clip_dir());
    assert_int_equal(system(command), 0);
    struct clip clip;
    struct picture_sum *sums;
    struct frame_list frames = {0};
    clip_read("ab.m2v", &clip);
    const size_t count = clip_reference("ab.m2v", "-noautoscale", &sums);
    decode_clip(&clip, 1, &frames, NULL);
    assert_true(frames.items[0]->width == 176 && frames.items[count - 1]->width == 320);
    assert_int_equal(frames.count, count);
    for (size_t i = 0; i < count; i++) /* a bare stream has none of its own */
        frames.items[i]->pts = sums[i].pts;
    compare("ab.m2v", &frames, sums, count);
    frame_list_done(&frames);
    free(sums);
    clip_done(&clip);
}

/* Streams one behind the other: what the second one says of its colours, libavcodec would hold of
 * the third one too, which is the first again and says nothing. */
static void test_colors_end(void **state)
{
    (void)state;
#define PLAIN "-f lavfi -i testsrc2=s=64x64:r=25:d=0.2 "
#define X264 "-c:v libx264 -preset ultrafast -bf 2 "
#define X265                                                                                       \
    "-pix_fmt yuv420p -c:v libx265 -preset ultrafast -x265-params log-level=none:pools=none"
#define BT2020 "-color_primaries bt2020 -color_trc smpte2084 -colorspace bt2020nc "
#define BT709 "colorprim=bt709:transfer=bt709:colormatrix=bt709"
    static const struct {
        const char *name, *first, *second;
        struct color color[2]; /* of the first and the second */
        enum pixel_format format[2];
    } cases[] = {
        {"colour.h264",
         PLAIN "-pix_fmt yuv420p " X264,
         PLAIN "-pix_fmt yuv420p " BT2020 X264,
         {{0, 0, 0, 0, CHROMA_LEFT}, {9, 16, 9, 0, CHROMA_LEFT}},
         {PIXEL_YUV420P, PIXEL_YUV420P}},
        {"range.h264",
         PLAIN "-pix_fmt yuv420p " X264,
         PLAIN "-pix_fmt yuvj420p " X264,
         {{0, 0, 0, 0, CHROMA_LEFT}, {0, 0, 0, RANGE_FULL, CHROMA_LEFT}},
         {PIXEL_YUV420P, PIXEL_YUV420P}},
        {"rgb.h264",
         PLAIN "-pix_fmt yuv444p " X264,
         PLAIN "-pix_fmt gbrp -c:v libx264rgb -preset ultrafast -bf 2 ",
         {{0, 0, 0, 0, CHROMA_LEFT}, {0, 0, MATRIX_RGB, RANGE_FULL, CHROMA_LEFT}},
         {PIXEL_YUV444P, PIXEL_GBRP}},
        {"transfer.h264",
         PLAIN "-pix_fmt yuv420p " X264 "-x264-params " BT709,
         PLAIN "-pix_fmt yuv420p " X264 "-x264-params " BT709 ":alternative-transfer=arib-std-b67",
         {{1, 1, 1, 0, CHROMA_LEFT}, {1, 18, 1, 0, CHROMA_LEFT}},
         {PIXEL_YUV420P, PIXEL_YUV420P}},
        {"transfer.hevc",
         PLAIN X265 ":" BT709,
         PLAIN X265 ":atc-sei=18:" BT709,
         {{1, 1, 1, RANGE_LIMITED, CHROMA_LEFT}, {1, 18, 1, RANGE_LIMITED, CHROMA_LEFT}},
         {PIXEL_YUV420P, PIXEL_YUV420P}},
        {"colour.m2v",
         PLAIN "-pix_fmt yuv420p -c:v mpeg2video -bf 2",
         PLAIN "-pix_fmt yuv420p -color_primaries bt470bg -color_trc gamma28 -colorspace bt470bg "
               "-c:v mpeg2video -bf 2",
         {{0, 0, 0, RANGE_LIMITED, CHROMA_LEFT}, {5, 5, 5, RANGE_LIMITED, CHROMA_LEFT}},
         {PIXEL_YUV420P, PIXEL_YUV420P}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *name = cases[i].name, *suffix = strchr(name, '.');
        char first[32], second[32], command[512];
        snprintf(first, sizeof(first), "first%s", suffix);
        snprintf(second, sizeof(second), "second%s", suffix);
        if (!clip_make(first, cases[i].first) || !clip_make(second, cases[i].second)) {
            print_message("%s: this ffmpeg cannot make it\n", name);
            continue;
        }
        snprintf(command, sizeof(command), "cd %s && cat %s %s %s > %s", clip_dir(), first, second,
                 first, name);
        assert_int_equal(system(command), 0);
        struct clip clip;
        clip_read(name, &clip);
        for (int threads = 1; threads <= 3; threads += 2) {
            struct frame_list frames = {0};
            decode_clip(&clip, threads, &frames, NULL);
            assert_int_equal(frames.count, 15);
            for (size_t n = 0; n < frames.count; n++) {
                const struct frame *f = frames.items[n];
                const struct color *want = &cases[i].color[n / 5 == 1], *got = &f->color;
                if (got->primaries != want->primaries || got->transfer != want->transfer ||
                    got->matrix != want->matrix || got->chroma != want->chroma ||
                    (want->range && got->range != want->range) ||
                    (n / 5 != 1 && got->range != frames.items[0]->color.range) ||
                    f->format != cases[i].format[n / 5 == 1])
                    fail_msg("%s, frame %zu on %d threads: colour %d/%d/%d/%d/%d, %s", name, n,
                             threads, got->primaries, got->transfer, got->matrix, got->range,
                             got->chroma, pixel_info(f->format)->name);
            }
            frame_list_done(&frames);
        }
        clip_done(&clip);
    }
}

/* Writes NAME of "pieces.hevc" with an end of sequence before each random-access point, or with
 * IDR pictures that have those before them dropped. Gives what is to be shown: of each piece what
 * ffmpeg shows of it alone. */
static size_t end_sequences(const char *name, bool eos, struct picture_sum *ret, size_t max)
{
    static const uint8_t end_unit[] = {0, 0, 1, HEVC_NAL_EOS << 1, 1};
    char path[CLIP_PATH_MAX];
    snprintf(path, sizeof(path), "%s/pieces.hevc", clip_dir());
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    static uint8_t film[1 << 20];
    const size_t size = fread(film, 1, sizeof(film), file);
    assert_true(size > 1000 && size < sizeof(film));
    fclose(file);
    snprintf(path, sizeof(path), "%s/%s", clip_dir(), name);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    size_t count = 0;
    const uint8_t *end = film + size;
    for (uint8_t *p = film, *next; p < end; p = next) {
        for (next = p + 4; (next = (uint8_t *)nal_find_start_code(next, end)) < end; next += 4) {
            const unsigned type = next[3] >> 1 & 63;
            if (type == HEVC_NAL_VPS)
                break;
            if (!eos && (type == HEVC_NAL_IDR_N_LP || type == HEVC_NAL_IDR_W_RADL))
                next[5] |= 0x40; /* no_output_of_prior_pics_flag */
        }
        if (p > film && eos)
            fwrite(end_unit, 1, sizeof(end_unit), out);
        fwrite(p, 1, (size_t)(next - p), out);
        snprintf(path, sizeof(path), "%s/piece.hevc", clip_dir());
        file = fopen(path, "wb");
        assert_non_null(file);
        fwrite(p, 1, (size_t)(next - p), file);
        fclose(file);
        struct picture_sum *sums;
        const size_t shown = clip_reference("piece.hevc", "", &sums);
        for (size_t i = 0; i < shown; i++) {
            assert_true(count < max);
            ret[count++] = sums[i];
        }
        free(sums);
    }
    fclose(out);
    return count;
}

/* Pictures that wait for their time when a sequence ends are shown, as they are where a film is cut
 * there; only what refers past the end is not. */
static void test_ends_of_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool eos;
        int shown;
    } cases[] = {{"ended.hevc", true, 40 - 3}, {"prior.hevc", false, 40}};
    for (size_t i = 0; i < 2; i++) {
        char args[512];
        snprintf(args, sizeof(args),
                 SOURCE "-pix_fmt yuv420p -c:v libx265 -preset ultrafast -x265-params "
                        "log-level=none:pools=none:repeat-headers=1:keyint=10:min-keyint=10:"
                        "scenecut=0:bframes=3:b-adapt=0:open-gop=%d",
                 cases[i].eos);
        if (!clip_make("pieces.hevc", args))
            skip();
        struct picture_sum sums[64];
        const size_t count = end_sequences(cases[i].name, cases[i].eos, sums, 64);
        assert_int_equal(count, cases[i].shown);
        struct clip clip;
        clip_read(cases[i].name, &clip);
        for (int threads = 1; threads <= 3; threads += 2) {
            struct frame_list frames = {0};
            struct decoder_stats stats;
            decode_clip(&clip, threads, &frames, &stats);
            for (size_t n = 0; n < frames.count && n < count; n++)
                frames.items[n]->pts = sums[n].pts; /* a bare stream has none of its own */
            compare(cases[i].name, &frames, sums, count);
            assert_int_equal(stats.packets, 40);
            assert_int_equal(stats.failed_packets, 0);
            frame_list_done(&frames);
        }
        clip_done(&clip);
    }
}

/* New headers come with a packet. */
static void test_new_extradata(void **state)
{
    (void)state;
    assert_true(clip_make("big.mp4", "-f lavfi -i testsrc2=s=320x200:r=25:d=0.4 -pix_fmt yuv420p "
                                     "-c:v libx264 -preset ultrafast"));
    struct clip a, b;
    struct frame_list frames = {0};
    clip_read("closed.mp4", &a);
    clip_read("big.mp4", &b);
    struct packet *both = calloc(a.count + b.count, sizeof(*both));
    for (size_t i = 0; i < a.count + b.count; i++)
        both[i] = i < a.count ? a.packets[i] : b.packets[i - a.count];
    both[a.count].extradata = b.track.extradata;
    decode_all(backend, &(struct decoder_params){.track = &a.track, .threads = 2}, both,
               a.count + b.count, &frames, NULL);
    assert_int_equal(frames.count, a.count + b.count);
    assert_int_equal(frames.items[frames.count - 1]->width, 320);
    frame_list_done(&frames);
    free(both);
    clip_done(&a);
    clip_done(&b);
}

static unsigned next_random(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Bit flips, cuts and missing packets: no error, no crash, the damage is counted, and what comes is
 * still a picture. */
static void test_damage(void **state)
{
    (void)state;
    static const char *const names[] = {"open.mkv", "hevc10.mp4", "av1.mkv",    "vp9.webm",
                                        "mpeg2.ts", "mpeg4.mp4",  "prores.mov", "rgb24.mkv"};
    const unsigned seed = 20240611;
    unsigned random = seed;
    print_message("seed %u\n", seed);
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        int64_t damage = 0;
        struct clip clip;
        clip_read(names[n], &clip);
        for (int round = 0; round < 12; round++) {
            const size_t count = clip.count > 0 ? clip.count : 1;
            struct packet *bad = calloc(count, sizeof(*bad));
            for (size_t i = 0; i < clip.count; i++) {
                const struct packet *from = &clip.packets[i];
                bad[i] = *from;
                bad[i].buf = buffer_copy(from->data, from->size);
                bad[i].data = bad[i].buf->data;
                if (next_random(&random) % 4 == 0)
                    bad[i].size = 1 + next_random(&random) % from->size;
                for (unsigned k = next_random(&random) % 4; k > 0; k--)
                    bad[i].buf->data[next_random(&random) % from->size] ^=
                        (uint8_t)(1u << next_random(&random) % 8);
            }
            struct frame_list frames = {0};
            struct decoder_stats stats;
            decode_all(backend,
                       &(struct decoder_params){.track = &clip.track, .threads = 1 + round % 3},
                       bad, clip.count, &frames, &stats);
            assert_int_equal(stats.packets, clip.count);
            assert_int_equal(stats.frames, frames.count);
            damage += stats.failed_packets + stats.corrupt_frames;
            for (size_t i = 0; i < frames.count; i++) {
                char md5[33];
                picture_md5(frames.items[i], md5);
            }
            frame_list_done(&frames);
            for (size_t i = 0; i < clip.count; i++)
                buffer_unref(&bad[i].buf);
            free(bad);
        }
        if (strcmp(names[n], "prores.mov") != 0)
            assert_true(damage > 0);
        clip_done(&clip);
    }
}

static void test_errors(void **state)
{
    (void)state;
    struct error err = {0};
    void *dec = NULL;
    struct track track = {.codec = "nonesuch"};
    assert_int_equal(backend->decoder->open(&dec, &(struct decoder_params){.track = &track}, &err),
                     RGPU_ERROR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "nonesuch"));
    assert_null(dec);
    snprintf(track.codec, sizeof(track.codec), "aac");
    assert_int_equal(backend->decoder->open(&dec, &(struct decoder_params){.track = &track}, &err),
                     RGPU_ERROR_UNSUPPORTED);
    snprintf(track.codec, sizeof(track.codec), "ffv1");
    track.extradata = buffer_copy("not a header at all", 19);
    assert_int_equal(backend->decoder->open(&dec, &(struct decoder_params){.track = &track}, &err),
                     RGPU_ERROR_INPUT);
    assert_non_null(strstr(err.text, "ffv1"));
    track_done(&track);
    backend->decoder->close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_start_in_the_middle),
        cmocka_unit_test(test_pts_is_opaque),
        cmocka_unit_test(test_timestamps_by_order),
        cmocka_unit_test(test_order_without_a_refused_packet),
        cmocka_unit_test(test_palette),
        cmocka_unit_test(test_discard),
        cmocka_unit_test(test_reset_and_reuse),
        cmocka_unit_test(test_properties),
        cmocka_unit_test(test_change_of_size),
        cmocka_unit_test(test_colors_end),
        cmocka_unit_test(test_ends_of_sequences),
        cmocka_unit_test(test_new_extradata),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_errors),
    };
    backend = codec_backend(DEVICE_CPU);
    if (!backend)
        return 77;
    codec_log_to_sink();
    return cmocka_run_group_tests(tests, clip_set_up, clip_tear_down);
}
