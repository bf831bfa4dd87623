/* The reader on real films; what it should give comes from ffprobe, or from how the film was made.
 */
#include "films.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <libavcodec/avcodec.h>

#include "file/reader.h"
#include "media/nal.h"
#include "support/turn.h"

static struct film_packet expected[FILM_PACKETS_MAX];

struct read {
    int64_t pts[FILM_PACKETS_MAX], dts[FILM_PACKETS_MAX];
    uint32_t flags[FILM_PACKETS_MAX];
    enum access_point access[FILM_PACKETS_MAX];
    int count;
    int tracks[16]; /* packets of each */
    int end;
    bool by_order;
    int64_t damaged;
    struct error err;
};

static struct read got;

static const char subtitle[] = "1\n00:00:00,500 --> 00:00:01,500\nHello\n\n";
static const char letter[] = "Dear Sir or Madam,\nthis is no film.\n";

static int open_film(struct reader **r, const char *path, int64_t start_us, struct error *err)
{
    const struct reader_params params = {.path = path, .video_track = -1, .start_us = start_us};
    return reader_open(r, &params, err);
}

static void read_all(struct reader *r, struct read *ret)
{
    struct reader_packet pkt;
    memset(ret, 0, sizeof(*ret));
    ret->by_order = reader_timestamps_by_order(r);
    while ((ret->end = reader_next(r, &pkt, &ret->err)) == 0) {
        assert_in_range(pkt.track, 0, 15);
        assert_int_equal(pkt.track < reader_tracks_count(r), 1);
        ret->tracks[pkt.track]++;
        if (pkt.video.buf) {
            assert_true(ret->count < FILM_PACKETS_MAX);
            assert_ptr_equal(reader_video(r), reader_track(r, pkt.track));
            assert_int_equal(pkt.video.ordinal, ret->count);
            assert_int_equal((pkt.video.flags & PACKET_KEY) != 0, pkt.access != ACCESS_NONE);
            ret->pts[ret->count] = pkt.video.pts;
            ret->dts[ret->count] = pkt.video.dts;
            ret->flags[ret->count] = pkt.video.flags;
            ret->access[ret->count++] = pkt.access;
        }
        reader_packet_done(&pkt);
    }
    ret->damaged = reader_damaged_count(r);
    /* The end stays the end. */
    assert_int_equal(reader_next(r, &pkt, NULL), ret->end);
}

static void read_film(const char *path, struct read *ret)
{
    struct reader *r = NULL;
    struct error err = {0};
    if (open_film(&r, path, 0, &err) != 0)
        fail_msg("%s: %s", path, err.text);
    read_all(r, ret);
    reader_close(&r);
    assert_null(r);
}

static int count_access(const struct read *film, enum access_point access)
{
    int n = 0;
    for (int i = 0; i < film->count; i++)
        n += film->access[i] == access;
    return n;
}

/* ---- time stamps and access points ---------------------------------------------------------- */

static void make_all(void)
{
    films_make(PICTURE(4) X264_OPEN "open.mkv");
    films_make("-i open.mkv -c copy open.mp4");
    films_make(PICTURE(4) X264_OPEN "open.ts");
    films_make("-i open.mkv -c copy open.flv");
    films_make(PICTURE(4) "-c:v libx264 -preset veryfast -bf 2 -g 25 ordered.avi");
    films_make(PICTURE(4) "-c:v mpeg4 -bf 2 -g 25 mpeg4.avi");
    if (films_can("libxvid"))
        films_make(PICTURE(4) "-c:v libxvid -bf 2 -g 20 packed.avi");
    films_make(PICTURE(4) "-c:v libx264 -preset veryfast -bf 0 -g 25 plain.avi");
    films_make("-i open.mkv -c copy -f h264 open.h264");
    films_make("-i plain.avi -c copy -f h264 plain.h264");
    films_make(PICTURE(4) "-c:v libx264 -bf 2 -g 30 -vf \"select='mod(n,7)',"
                          "setpts=N/25/TB+0.013*mod(N\\,5)/TB\" -fps_mode vfr vfr.mkv");
    films_make(PICTURE(4) "-f lavfi -i sine=duration=4 -c:v libx264 -bf 3 -g 50 -c:a aac av.mp4");
    films_make("-ss 0.5 -i av.mp4 -c copy edit.mp4");
    films_make(PICTURE(4) "-c:v mpeg2video -bf 2 -g 25 mpeg2.ts");
    films_make(PICTURE(4) "-c:v mpeg2video -bf 2 -g 25 mpeg2.mpg");
    films_make(PICTURE(4) "-c:v mpeg4 -bf 2 -g 25 mpeg4.mp4");
    films_make(PICTURE(1) "-c:v prores_ks prores.mov");
}

static void check_against_ffprobe(const char *name)
{
    read_film(name, &got);
    const int n = films_packets(name, "v:0", expected);
    print_message("%s: %d packets\n", name, n);
    assert_true(n > 10);
    assert_int_equal(got.count, n);
    assert_int_equal(got.end, RGPU_ERROR_END);
    assert_int_equal(got.damaged, 0);
    assert_false(got.by_order);
    for (int i = 0; i < n; i++) {
        assert_int_equal(got.pts[i], expected[i].pts);
        assert_int_equal((got.flags[i] & PACKET_DISCARD) != 0, expected[i].flags[1] == 'D');
    }
}

static void test_times_as_ffprobe(void **state)
{
    static const char *films[] = {"open.mkv", "open.mp4", "open.ts",   "open.flv",  "vfr.mkv",
                                  "edit.mp4", "mpeg2.ts", "mpeg4.mp4", "prores.mov"};
    (void)state;
    for (size_t i = 0; i < sizeof(films) / sizeof(films[0]); i++)
        check_against_ffprobe(films[i]);
}

static void test_other_codecs(void **state)
{
    (void)state;
    if (films_can("libx265")) {
        films_make(PICTURE(2) "-c:v libx265 -preset ultrafast -x265-params "
                              "log-level=none:keyint=10:min-keyint=10:bframes=3:no-open-gop=1 "
                              "closed.hevc.mp4");
        films_make("-i closed.hevc.mp4 -c copy closed.hevc.ts");
        check_against_ffprobe("closed.hevc.mp4");
        assert_int_equal(count_access(&got, ACCESS_CLOSED), 5);
        check_against_ffprobe("closed.hevc.ts");
        assert_int_equal(count_access(&got, ACCESS_CLOSED), 5);
    }
    if (films_can("libvpx-vp9")) {
        films_make(PICTURE(2) "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 10 vp9.webm");
        check_against_ffprobe("vp9.webm");
        assert_int_equal(count_access(&got, ACCESS_CLOSED), 5);
    }
    if (films_can("libsvtav1")) {
        films_make(PICTURE(2) "-c:v libsvtav1 -preset 12 -g 10 av1.mkv");
        check_against_ffprobe("av1.mkv");
        assert_int_equal(count_access(&got, ACCESS_CLOSED), 5);
    }
}

static void test_access_points(void **state)
{
    static const char *films[] = {"open.mkv", "open.mp4", "open.ts", "open.flv", "open.h264"};
    (void)state;
    for (size_t i = 0; i < sizeof(films) / sizeof(films[0]); i++) {
        read_film(films[i], &got);
        /* x264: one IDR, then recovery points. */
        assert_int_equal(got.access[0], ACCESS_CLOSED);
        assert_int_equal(count_access(&got, ACCESS_CLOSED), 1);
        assert_in_range(count_access(&got, ACCESS_OPEN), 3, 5);
    }
    read_film("mpeg2.ts", &got);
    assert_int_equal(got.access[0], ACCESS_CLOSED); /* B-less first group says closed_gop */
    assert_in_range(count_access(&got, ACCESS_OPEN), 3, 5);
    read_film("plain.avi", &got);
    assert_int_equal(count_access(&got, ACCESS_CLOSED), 4);
    read_film("prores.mov", &got);
    assert_int_equal(count_access(&got, ACCESS_CLOSED), got.count);
}

/* Intra refresh: recovery points that need many frames are no place to cut, whatever flags say. */
static void test_gradual_refresh(void **state)
{
    (void)state;
    films_make(PICTURE(4) "-c:v libx264 -preset veryfast -g 20 -intra-refresh 1 gdr.ts");
    check_against_ffprobe("gdr.ts");
    assert_int_equal(got.access[0], ACCESS_CLOSED);
    assert_int_equal(count_access(&got, ACCESS_CLOSED) + count_access(&got, ACCESS_OPEN), 1);
}

static void test_time_by_order(void **state)
{
    static const char *films[] = {"ordered.avi", "open.h264"};
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        read_film(films[k], &got);
        assert_true(got.by_order);
        assert_int_equal(got.count, 100);
        for (int i = 0; i < got.count; i++) {
            assert_true(got.pts[i] == PTS_NONE);
            assert_true(i == 0 || got.dts[i] > got.dts[i - 1]);
        }
        /* 100 frames of 25 a second. */
        struct reader *r = NULL;
        assert_int_equal(open_film(&r, films[k], 0, NULL), 0);
        const double tick = rational_double(reader_video(r)->time_base);
        assert_true((double)(got.dts[99] - got.dts[0]) * tick > 3.95);
        assert_true((double)(got.dts[99] - got.dts[0]) * tick < 3.97);
        reader_close(&r);
    }
    /* Without reordering, order is time. */
    static const char *plain[] = {"plain.avi", "plain.h264"};
    for (size_t k = 0; k < 2; k++) {
        read_film(plain[k], &got);
        assert_false(got.by_order);
        assert_int_equal(got.damaged, 0);
        assert_int_equal(got.count, 100);
        for (int i = 1; i < got.count; i++)
            assert_int_equal(got.pts[i] - got.pts[i - 1], got.pts[1] - got.pts[0]);
    }
}

/* AVI has no pts: where B-VOPs are tells it. A packed film's chunks are taken apart. */
static void test_mpeg4_in_avi(void **state)
{
    static const char *films[] = {"mpeg4.avi", "packed.avi"};
    static struct reader_packet pkts[FILM_PACKETS_MAX];
    (void)state;
    for (size_t k = 0; k < 2; k++) {
        if (k == 1 && !films_can("libxvid"))
            continue;
        struct reader *r = NULL;
        int n = 0, key = 0, leading = 0, seen = 0;
        assert_int_equal(open_film(&r, films[k], 0, NULL), 0);
        assert_false(reader_timestamps_by_order(r));
        const struct buffer *headers = reader_video(r)->video.extradata;
        assert_null(memmem(headers->data, headers->size, "p", 1));
        while (reader_next(r, &pkts[n], NULL) == 0)
            n++;
        assert_in_range(n, 95, 100);
        int64_t least = INT64_MAX;
        for (int i = 0; i < n; i++)
            least = pkts[i].video.pts < least ? pkts[i].video.pts : least;
        for (int i = 0; i < n; i++) {
            const uint8_t *data = pkts[i].video.data, *end = data + pkts[i].video.size;
            int vops = 0, type = -1;
            for (const uint8_t *p = data; (p = nal_find_start_code(p, end)) < end && end - p > 4;
                 p += 4)
                if (p[3] == 0xb6 && vops++ == 0)
                    type = p[4] >> 6;
            assert_int_equal(vops, 1);
            assert_int_equal(pkts[i].access, type == 0 ? ACCESS_OPEN : ACCESS_NONE);
            key = type == 0 ? i : key;
            leading += pkts[i].video.pts < pkts[key].video.pts;
            /* Each frame's time is taken once. */
            for (int j = 0; j < n; j++)
                seen += pkts[j].video.pts == least + i;
        }
        print_message("%s: %d packets, %d lead\n", films[k], n, leading);
        assert_true(leading > 2);
        assert_int_equal(seen, n);
        assert_int_equal(reader_damaged_count(r), 0);
        for (int i = 0; i < n; i++)
            reader_packet_done(&pkts[i]);
        reader_close(&r);
    }
}

/* Small frames share a PES packet, and only one of them has a pts then. */
static void test_program_stream(void **state)
{
    (void)state;
    read_film("mpeg2.ts", &got);
    const struct read ts = got;
    const int n = films_packets("mpeg2.mpg", "v:0", expected);
    int missing = 0;
    for (int i = 0; i < n; i++)
        missing += expected[i].pts == INT64_MIN;
    assert_true(missing > 0);
    read_film("mpeg2.mpg", &got);
    assert_int_equal(got.damaged, 0);
    assert_int_equal(got.count, ts.count);
    for (int i = 0; i < got.count; i++)
        assert_int_equal(got.pts[i] - got.pts[0], ts.pts[i] - ts.pts[0]);
}

static void test_joined_streams(void **state)
{
    (void)state;
    films_make(PICTURE(3) "-f lavfi -i sine=duration=3 " X264_OPEN "-c:a aac sound.ts");
    films_run("cat sound.ts sound.ts sound.ts > joined.ts");
    read_film("sound.ts", &got);
    const struct read one = got;
    read_film("joined.ts", &got);
    assert_int_equal(got.count, 3 * one.count);
    for (int i = 0; i < got.count; i++) {
        const int64_t shift = got.pts[i] - one.pts[i % one.count];
        assert_int_equal(shift, got.pts[i - i % one.count] - one.pts[0]);
        const int64_t want = (int64_t)(i / one.count) * 3 * 90000;
        assert_true(shift > want - 9000 && shift < want + 9000);
    }
    /* Sound stays in step: it moves as far as the picture does. */
    static int64_t sound[FILM_PACKETS_MAX];
    const int packets = films_packets("sound.ts", "a:0", expected);
    struct reader *r = NULL;
    struct reader_packet pkt;
    int n = 0;
    assert_int_equal(open_film(&r, "joined.ts", 0, NULL), 0);
    while (reader_next(r, &pkt, NULL) == 0) {
        if (!pkt.video.buf)
            sound[n++] = pkt.av->pts;
        reader_packet_done(&pkt);
    }
    reader_close(&r);
    assert_int_equal(n, 3 * packets);
    for (int k = 0; k < n; k++)
        assert_int_equal(sound[k] - expected[k % packets].pts,
                         got.pts[k / packets * one.count] - one.pts[0]);
}

/* The second recording begins before the first one ends: it is moved behind it, sound in step. */
static void test_joined_overlapping(void **state)
{
    (void)state;
    static const struct {
        const char *start; /* of the second; the first lasts 2 s */
    } ways[] = {{"1.8"}, {"1.5"}, {"1.85"}};
    films_make(PICTURE(2) "-f lavfi -i sine=duration=2 " X264_OPEN "-c:a aac first.ts");
    for (size_t k = 0; k < sizeof(ways) / sizeof(ways[0]); k++) {
        char args[512];
        snprintf(args, sizeof(args),
                 PICTURE(2) "-f lavfi -i sine=duration=2 " X264_OPEN
                            "-c:a aac -output_ts_offset %s second%zu.ts",
                 ways[k].start, k);
        films_make(args);
        films_run("cat first.ts second%zu.ts > overlap%zu.ts", k, k);
        char name[32];
        snprintf(name, sizeof(name), "overlap%zu.ts", k);
        read_film("first.ts", &got);
        const int one = got.count;
        read_film(name, &got);
        assert_int_equal(got.count, 2 * one);
        /* Decoding times rise, and each frame's time is its own. */
        for (int i = 1; i < got.count; i++) {
            assert_true(got.dts[i] > got.dts[i - 1]);
            for (int j = 0; j < i; j++)
                assert_true(got.pts[j] != got.pts[i]);
        }
        for (int i = 0; i < one; i++)
            for (int j = one; j < got.count; j++)
                assert_true(got.pts[i] < got.pts[j]);
        const int64_t shift = got.pts[one] - got.pts[0];
        assert_true(shift >= 2 * 90000 && shift < 2 * 90000 + 2 * 3600);
        /* Sound goes the same way. */
        struct reader *r = NULL;
        struct reader_packet pkt;
        const int packets = films_packets("first.ts", "a:0", expected);
        static int64_t sound[FILM_PACKETS_MAX];
        int n = 0;
        assert_int_equal(open_film(&r, name, 0, NULL), 0);
        while (reader_next(r, &pkt, NULL) == 0) {
            if (!pkt.video.buf)
                sound[n++] = pkt.av->pts;
            reader_packet_done(&pkt);
        }
        assert_int_equal(reader_jumps_count(r), 1);
        reader_close(&r);
        assert_int_equal(n, 2 * packets);
        for (int i = 0; i < packets; i++)
            assert_in_range(sound[packets + i] - sound[i] - shift + 2, 0, 4);
    }
}

/* Times that no sum may take part in: taken away, counted. */
static void test_times_out_of_range(void **state)
{
    (void)state;
#define FAR "if(gt(N,20),4000000000000000000+N,"
    films_make(PICTURE(1) "-f lavfi -i sine=duration=1 " X264_OPEN "-c:a libmp3lame -bsf:a "
                          "\"setts=pts='" FAR "PTS)':dts='" FAR "DTS)'\" far.nut");
    read_film("far.nut", &got);
    assert_int_equal(got.count, 25);
    assert_true(got.damaged > 0);
    struct reader *r = NULL;
    struct reader_packet pkt;
    assert_int_equal(open_film(&r, "far.nut", 0, NULL), 0);
    while (reader_next(r, &pkt, NULL) == 0) {
        assert_true(pkt.av->pts == AV_NOPTS_VALUE || llabs(pkt.av->pts) <= INT64_MAX / 4);
        assert_true(pkt.av->dts == AV_NOPTS_VALUE || llabs(pkt.av->dts) <= INT64_MAX / 4);
        assert_in_range(pkt.av->duration, 0, INT64_MAX / 4);
        reader_packet_done(&pkt);
    }
    reader_close(&r);
}

/* ---- fields --------------------------------------------------------------------------------- */

struct writer {
    uint8_t data[4096];
    size_t bits;
};

static void put(struct writer *w, uint32_t value, int count)
{
    for (int i = count - 1; i >= 0; i--, w->bits++)
        if (value >> i & 1)
            w->data[w->bits / 8] |= (uint8_t)(0x80 >> w->bits % 8);
}

static void put_ue(struct writer *w, uint32_t value)
{
    int length = 0;
    while ((value + 1) >> (length + 1))
        length++;
    put(w, 0, length);
    put(w, value + 1, length + 1);
}

static void put_unit(FILE *f, struct writer *w)
{
    uint8_t escaped[8192] = {0, 0, 0, 1};
    put(w, 1, 1);
    const size_t n = nal_escape(w->data, (w->bits + 7) / 8, escaped + 4, sizeof(escaped) - 4);
    assert_int_equal(fwrite(escaped, 1, n + 4, f), n + 4);
}

static void put_sets(FILE *f)
{
    /* 32x32, fields allowed, POC type 0 with 8 bits, frame_num with 4. */
    static const uint32_t sps[] = {0, 0, 0, 4, 1};
    struct writer w = {0};
    put(&w, 0x674d001e, 32);
    for (int i = 0; i < 5; i++)
        put_ue(&w, sps[i]);
    put(&w, 0, 1); /* gaps_in_frame_num_allowed_flag */
    put_ue(&w, 1);
    put_ue(&w, 0);
    put(&w, 0x4, 5); /* only direct_8x8_inference_flag */
    put_unit(f, &w);
    w = (struct writer){0};
    put(&w, 0x68, 8);
    put_ue(&w, 0);
    put_ue(&w, 0);
    put(&w, 0, 2);
    for (int i = 0; i < 3; i++)
        put_ue(&w, 0);
    put(&w, 0, 3);
    for (int i = 0; i < 3; i++)
        put_ue(&w, 0);
    put(&w, 0, 3);
    put_unit(f, &w);
}

/* One field of raw macroblocks. */
static void put_field(FILE *f, int frame, int group, bool bottom)
{
    const int number = frame % group;
    const bool idr = number == 0 && !bottom;
    struct writer w = {0};
    put(&w, 0x09 << 3, 11); /* access unit delimiter: I slices only */
    put_unit(f, &w);
    w = (struct writer){0};
    put(&w, idr ? 0x65 : 0x61, 8);
    put_ue(&w, 0);
    put_ue(&w, 7);
    put_ue(&w, 0);
    put(&w, (uint32_t)number, 4);
    put(&w, bottom ? 3 : 2, 2);
    if (idr)
        put_ue(&w, (uint32_t)(frame / group % 2));
    put(&w, (uint32_t)(2 * number + bottom), 8);
    put(&w, 0, idr ? 2 : 1);
    put_ue(&w, 0);
    for (int mb = 0; mb < 2; mb++) {
        put_ue(&w, 25); /* I_PCM */
        w.bits = (w.bits + 7) / 8 * 8;
        for (int i = 0; i < 384; i++)
            put(&w, (uint32_t)(64 + frame + 40 * bottom), 8);
    }
    put_unit(f, &w);
}

static void test_fields(void **state)
{
    enum { FRAMES = 40, GROUP = 8 };
    (void)state;
    FILE *f = fopen("fields.h264", "wb");
    assert_non_null(f);
    for (int i = 0; i < FRAMES; i++) {
        if (i % GROUP == 0)
            put_sets(f);
        put_field(f, i, GROUP, false);
        put_field(f, i, GROUP, true);
    }
    assert_int_equal(fclose(f), 0);
    films_make("-fflags +genpts -r 25 -i fields.h264 -c copy fields.ts");
    static const char *films[] = {"fields.h264", "fields.ts"};
    for (int k = 0; k < 2; k++) {
        read_film(films[k], &got);
        assert_int_equal(films_frames(films[k]), FRAMES);
        assert_int_equal(got.count, 2 * FRAMES);
        assert_int_equal(got.damaged, 0);
        for (int i = 0; i < got.count; i++) {
            assert_int_equal((got.flags[i] & PACKET_SECOND_FIELD) != 0, i % 2);
            assert_int_equal(got.access[i], i % (2 * GROUP) ? ACCESS_NONE : ACCESS_CLOSED);
        }
    }
}

/* ---- tracks --------------------------------------------------------------------------------- */

static void test_many_tracks(void **state)
{
    (void)state;
    films_save("one.srt", subtitle, strlen(subtitle));
    films_save("notes.txt", "some words\n", strlen("some words\n"));
    films_make(PICTURE(2) "-f lavfi -i sine=duration=2 -f lavfi -i sine=500:duration=2 -i one.srt "
                          "-map 0 -map 1 -map 2 -map 3 -attach notes.txt "
                          "-metadata:s:t mimetype=text/plain "
                          "-c:v libx264 -c:a:0 aac -c:a:1 flac -c:s srt -ac:a:1 2 "
                          "-metadata:s:a:0 language=eng -metadata:s:a:1 language=ger "
                          "-metadata:s:a:1 title=Kommentar -disposition:a:1 forced "
                          "-disposition:s:0 default many.mkv");
    struct reader *r = NULL;
    assert_int_equal(open_film(&r, "many.mkv", 0, NULL), 0);
    static const enum track_kind kinds[] = {TRACK_VIDEO, TRACK_AUDIO, TRACK_AUDIO, TRACK_SUBTITLE,
                                            TRACK_ATTACHMENT};
    assert_int_equal(reader_tracks_count(r), 5);
    for (int i = 0; i < 5; i++) {
        const struct reader_track *t = reader_track(r, i);
        assert_int_equal(t->index, i);
        assert_int_equal(t->kind, kinds[i]);
        assert_false(t->is_cover);
        assert_non_null(t->stream);
    }
    assert_null(reader_track(r, 5));
    assert_null(reader_track(r, -1));
    const struct reader_track *v = reader_video(r), *a = reader_track(r, 1);
    assert_int_equal(v->index, 0);
    assert_string_equal(v->video.codec, "h264");
    assert_int_equal(v->video.width, 192);
    assert_int_equal(v->video.height, 108);
    assert_int_equal(v->video.format, PIXEL_YUV420P);
    assert_int_equal(v->video.frame_rate.num, 25);
    assert_int_equal(v->video.frame_rate.den, 1);
    assert_int_equal(v->video.reorder_frames, 2);
    assert_int_equal(v->video.field_order, FIELD_PROGRESSIVE);
    assert_true(v->may_reorder);
    assert_non_null(v->video.extradata);
    assert_string_equal(a->codec, "aac");
    assert_string_equal(a->language, "eng");
    assert_string_equal(reader_track(r, 2)->language, "ger");
    assert_string_equal(reader_track(r, 2)->title, "Kommentar");
    assert_int_equal(a->channels, 1);
    assert_int_equal(reader_track(r, 2)->channels, 2);
    assert_int_equal(a->sample_rate, 44100);
    assert_true(reader_track(r, 2)->is_forced);
    assert_true(reader_track(r, 3)->is_default);
    assert_string_equal(reader_format_name(r), "matroska,webm");
    assert_true(reader_duration_us(r) > 1990000 && reader_duration_us(r) < 2100000);
    size_t size;
    free(films_load("many.mkv", &size));
    assert_int_equal(reader_size_bytes(r), size);
    read_all(r, &got);
    reader_close(&r);
    static const char *names[] = {"v:0", "a:0", "a:1", "s:0"};
    for (int i = 0; i < 4; i++)
        assert_int_equal(got.tracks[i], films_packets("many.mkv", names[i], expected));
    assert_int_equal(got.count, got.tracks[0]);
}

static void test_choice_of_video(void **state)
{
    (void)state;
    films_make("-f lavfi -i color=red:size=64x64:duration=0.04 -frames:v 1 cover.png");
    films_make(PICTURE(1) "-i cover.png -f lavfi -i testsrc2=size=320x180:rate=25:duration=1 "
                          "-map 0 -map 2 -c:v libx264 -default_mode passthrough -disposition:v 0 "
                          "-attach cover.png -metadata:s:t mimetype=image/png two.mkv");
    struct reader *r = NULL;
    struct error err = {0};
    assert_int_equal(open_film(&r, "two.mkv", 0, NULL), 0);
    assert_int_equal(reader_tracks_count(r), 3);
    int covers = 0, cover = 0, small = -1;
    for (int i = 0; i < 3; i++) {
        if (reader_track(r, i)->is_cover) {
            covers++;
            cover = i;
        } else if (reader_track(r, i)->video.width == 192) {
            small = i;
        }
    }
    assert_int_equal(covers, 1);
    assert_int_equal(reader_video(r)->video.width, 320);
    reader_close(&r);
    struct reader_params params = {.path = "two.mkv", .video_track = small};
    assert_int_equal(reader_open(&r, &params, &err), 0);
    assert_int_equal(reader_video(r)->video.width, 192);
    read_all(r, &got);
    assert_int_equal(got.count, 25);
    reader_close(&r);
    params.video_track = cover;
    assert_int_equal(reader_open(&r, &params, &err), RGPU_ERROR_PARAM);
    params.video_track = 77;
    assert_int_equal(reader_open(&r, &params, &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "two.mkv"));
    assert_null(r);
}

static void test_sound_only(void **state)
{
    (void)state;
    films_make("-f lavfi -i sine=duration=1 sound.m4a");
    struct reader *r = NULL;
    assert_int_equal(open_film(&r, "sound.m4a", 100000, NULL), 0);
    assert_null(reader_video(r));
    assert_false(reader_timestamps_by_order(r));
    read_all(r, &got);
    assert_int_equal(got.count, 0);
    assert_true(got.tracks[0] > 30);
    reader_close(&r);
}

static void test_rotation(void **state)
{
    (void)state;
    for (int degrees = 0; degrees < 360; degrees += 90) {
        struct reader *r = NULL;
        films_run("cp open.mp4 turned.mp4");
        turn_mp4("turned.mp4", degrees);
        assert_int_equal(open_film(&r, "turned.mp4", 0, NULL), 0);
        assert_int_equal(reader_video(r)->rotation_degrees, degrees);
        reader_close(&r);
    }
}

static void test_hdr(void **state)
{
    static const char *films[] = {"hdr.mp4", "hdr.mkv", "hdr.ts"};
    (void)state;
    if (!films_can("libx265"))
        skip();
    films_make(PICTURE(1) "-vf setparams=range=tv:color_primaries=bt2020:color_trc=smpte2084:"
                          "colorspace=bt2020nc "
                          "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le "
                          "-x265-params log-level=none:hdr10=1:repeat-headers=1:master-display="
                          "'G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
                          "L(10000000,50)':max-cll=1000,400 hdr.mp4");
    films_make("-i hdr.mp4 -c copy hdr.mkv");
    films_make("-i hdr.mp4 -c copy hdr.ts");
    for (int i = 0; i < 3; i++) {
        struct reader *r = NULL;
        assert_int_equal(open_film(&r, films[i], 0, NULL), 0);
        const struct track *t = &reader_video(r)->video;
        assert_true(t->hdr.has_mastering);
        assert_true(t->hdr.has_light_level);
        assert_int_equal(t->hdr.primary_x[0], 34000);
        assert_int_equal(t->hdr.primary_y[0], 16000);
        assert_int_equal(t->hdr.primary_x[1], 13250);
        assert_int_equal(t->hdr.primary_y[2], 3000);
        assert_int_equal(t->hdr.white_x, 15635);
        assert_int_equal(t->hdr.white_y, 16450);
        assert_int_equal(t->hdr.luminance_max, 10000000);
        assert_int_equal(t->hdr.luminance_min, 50);
        assert_int_equal(t->hdr.max_content_light, 1000);
        assert_int_equal(t->hdr.max_average_light, 400);
        assert_int_equal(t->color.primaries, 9);
        assert_int_equal(t->color.transfer, 16);
        assert_int_equal(t->color.matrix, 9);
        assert_int_equal(t->color.range, RANGE_LIMITED);
        assert_int_equal(t->format, PIXEL_YUV420P10);
        reader_close(&r);
    }
}

static void test_colour_and_fields(void **state)
{
    (void)state;
    struct reader *r = NULL;
    films_make(PICTURE(1) "-c:v libx264 -x264-params tff=1 "
                          "-vf setsar=4/3 -pix_fmt yuvj420p fieldy.mkv");
    assert_int_equal(open_film(&r, "fieldy.mkv", 0, NULL), 0);
    const struct track *t = &reader_video(r)->video;
    assert_int_equal(t->field_order, FIELD_UNKNOWN); /* container: progressive, codec: not so */
    assert_int_equal(t->sample_aspect.num, 4);
    assert_int_equal(t->sample_aspect.den, 3);
    assert_int_equal(t->color.range, RANGE_FULL);
    assert_int_equal(t->color.primaries, 0); /* unspecified is unknown */
    assert_int_equal(t->color.matrix, 0);
    reader_close(&r);
    films_make("-i fieldy.mkv -c copy fieldy.ts");
    assert_int_equal(open_film(&r, "fieldy.ts", 0, NULL), 0);
    assert_int_equal(reader_video(r)->video.field_order, FIELD_TOP_FIRST);
    reader_close(&r);
    assert_int_equal(open_film(&r, "fields.ts", 0, NULL), 0);
    assert_int_equal(reader_video(r)->video.field_order, FIELD_TOP_FIRST);
    reader_close(&r);
    films_make(PICTURE(1) "-c:v libx264rgb rgb.mkv");
    assert_int_equal(open_film(&r, "rgb.mkv", 0, NULL), 0);
    assert_int_equal(reader_video(r)->video.color.matrix, MATRIX_RGB);
    assert_int_equal(reader_video(r)->video.format, PIXEL_GBRP);
    reader_close(&r);
}

static void test_frame_rates(void **state)
{
    static const struct {
        const char *text;
        int num, den;
    } rates[] = {{"24000/1001", 24000, 1001},
                 {"30000/1001", 30000, 1001},
                 {"50", 50, 1},
                 {"60000/1001", 60000, 1001},
                 {"17", 17, 1}};
    static const char *endings[] = {"mkv", "mp4", "ts"};
    char args[256];
    (void)state;
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
        for (size_t k = 0; k < 3; k++) {
            struct reader *r = NULL;
            snprintf(args, sizeof(args),
                     "-f lavfi -i testsrc2=size=64x64:rate=%s:duration=3 -c:v libx264 "
                     "-preset ultrafast rate%zu.%s",
                     rates[i].text, i, endings[k]);
            films_make(args);
            assert_int_equal(open_film(&r, strrchr(args, ' ') + 1, 0, NULL), 0);
            assert_int_equal(reader_video(r)->video.frame_rate.num, rates[i].num);
            assert_int_equal(reader_video(r)->video.frame_rate.den, rates[i].den);
            reader_close(&r);
        }
    struct reader *r = NULL;
    films_make(PICTURE(4) "-c:v libx264 -vf \"select='lt(n,30)+not(mod(n,4))'\" -fps_mode vfr "
                          "slower.mp4");
    assert_int_equal(open_film(&r, "slower.mp4", 0, NULL), 0);
    assert_int_equal(reader_video(r)->video.frame_rate.den, 0);
    reader_close(&r);
}

/* ---- starting in the middle ----------------------------------------------------------------- */

static void test_start(void **state)
{
    static const char *films[] = {"open.mkv", "open.mp4",  "open.ts",  "open.flv",  "plain.avi",
                                  "mpeg2.ts", "mpeg2.mpg", "edit.mp4", "mpeg4.avi", "packed.avi"};
    static const int64_t starts_us[] = {1,       40000,   999999,  1000000, 1040000,
                                        1500000, 2500000, 3990000, 90000000};
    (void)state;
    for (size_t i = 0; i < sizeof(films) / sizeof(films[0]); i++) {
        if (strcmp(films[i], "packed.avi") == 0 && !films_can("libxvid"))
            continue;
        read_film(films[i], &got);
        const struct read whole = got;
        for (size_t k = 0; k < sizeof(starts_us) / sizeof(starts_us[0]); k++) {
            struct reader *r = NULL;
            assert_int_equal(open_film(&r, films[i], starts_us[k], NULL), 0);
            const int64_t target =
                rational_rescale(reader_start_us(r) + starts_us[k], (struct rational){1, 1000000},
                                 reader_video(r)->time_base, ROUND_DOWN);
            int from = 0;
            for (int n = 0; n < whole.count; n++)
                if (whole.access[n] != ACCESS_NONE && whole.pts[n] <= target)
                    from = n;
            read_all(r, &got);
            reader_close(&r);
            print_message("%s at %d us: packet %d\n", films[i], (int)starts_us[k], from);
            assert_int_equal(got.count, whole.count - from);
            for (int n = 0; n < got.count; n++) {
                assert_int_equal(got.pts[n], whole.pts[from + n]);
                assert_int_equal(got.access[n], whole.access[from + n]);
            }
            assert_int_equal(got.damaged, 0);
        }
    }
}

static void test_begins_in_the_middle(void **state)
{
    (void)state;
    size_t size;
    uint8_t *data = films_load("open.ts", &size);
    films_save("middle.ts", data + size / 3 / 188 * 188, size - size / 3 / 188 * 188);
    free(data);
    read_film("open.ts", &got);
    const struct read whole = got;
    read_film("middle.ts", &got);
    assert_true(got.count > 20 && got.count < whole.count);
    assert_int_equal(got.access[0], ACCESS_NONE);
    assert_true(count_access(&got, ACCESS_OPEN) >= 2);
    for (int i = 1; i < got.count; i++)
        assert_int_equal(got.pts[got.count - i], whole.pts[whole.count - i]);
}

/* ---- pipes ---------------------------------------------------------------------------------- */

/* A child that writes a film into `fd`, and then waits to be killed if `stays`. */
static pid_t feed(int fd, const char *name, size_t bytes, bool stays)
{
    size_t size;
    uint8_t *data = films_load(name, &size);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        size_t done = 0;
        size = bytes && bytes < size ? bytes : size;
        while (done < size) {
            const ssize_t n = write(fd, data + done, size - done);
            if (n <= 0)
                _exit(1);
            done += (size_t)n;
        }
        if (!stays)
            _exit(0);
        for (;;)
            pause();
    }
    free(data);
    return pid;
}

static void test_standard_input(void **state)
{
    static const char *films[] = {"open.mkv", "open.ts"};
    (void)state;
    const int saved = dup(STDIN_FILENO);
    for (int i = 0; i < 2; i++) {
        int fds[2], status;
        read_film(films[i], &got);
        const struct read file = got;
        assert_int_equal(pipe(fds), 0);
        const pid_t pid = feed(fds[1], films[i], 0, false);
        close(fds[1]);
        assert_int_equal(dup2(fds[0], STDIN_FILENO), STDIN_FILENO);
        close(fds[0]);
        struct reader *r = NULL;
        assert_int_equal(open_film(&r, "-", 0, NULL), 0);
        assert_int_equal(reader_size_bytes(r), 0);
        read_all(r, &got);
        reader_close(&r);
        waitpid(pid, &status, 0);
        assert_int_equal(got.end, RGPU_ERROR_END);
        assert_int_equal(got.count, file.count);
        assert_memory_equal(got.pts, file.pts, sizeof(got.pts[0]) * (size_t)file.count);
    }
    /* A file as standard input can be moved in. */
    const int fd = open("open.mp4", O_RDONLY);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    close(fd);
    read_film("-", &got);
    assert_int_equal(got.count, 100);
    assert_int_equal(got.damaged, 0);
    dup2(saved, STDIN_FILENO);
    close(saved);
}

static void *read_until_end(void *opaque)
{
    struct reader_packet pkt;
    int rc;
    while ((rc = reader_next(opaque, &pkt, NULL)) == 0)
        reader_packet_done(&pkt);
    return (void *)(intptr_t)rc;
}

static bool is_asked(void *opaque)
{
    return __atomic_load_n((int *)opaque, __ATOMIC_ACQUIRE) != 0;
}

static void test_cancel(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    const int fd = open("fifo", O_RDWR);
    assert_true(fd >= 0);
    const pid_t pid = feed(fd, "open.ts", 0, true);
    struct reader *r = NULL;
    /* The film's end never comes, since the pipe stays open. */
    int asked = 0;
    assert_int_equal(reader_open(&r,
                                 &(struct reader_params){.path = "fifo",
                                                         .video_track = -1,
                                                         .interrupt = {is_asked, &asked}},
                                 NULL),
                     0);
    pthread_t thread;
    void *rc = NULL;
    assert_int_equal(pthread_create(&thread, NULL, read_until_end, r), 0);
    __atomic_store_n(&asked, 1, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, &rc), 0);
    assert_int_equal((intptr_t)rc, RGPU_ERROR_CANCELLED);
    reader_close(&r);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(fd);
}

/* ---- bad input ------------------------------------------------------------------------------ */

static void refuse(const char *path, int code, const char *word)
{
    struct reader *r = NULL;
    struct error err = {0};
    const int rc = open_film(&r, path, 0, &err);
    print_message("%s: %s\n", path, err.text);
    assert_int_equal(rc, code);
    assert_int_equal(err.code, code);
    assert_null(r);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, word));
    assert_null(strchr(err.text, '\n'));
}

static void test_refused(void **state)
{
    (void)state;
    static uint8_t noise[100000];
    uint64_t x = 88172645463325252u;
    for (size_t i = 0; i < sizeof(noise); i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        noise[i] = (uint8_t)x;
    }
    films_save("empty.mp4", "", 0);
    films_save("noise.mkv", noise, sizeof(noise));
    films_save("noise.bin", noise, sizeof(noise));
    films_save("words.txt", letter, strlen(letter));
    films_save("words", letter, strlen(letter));
    films_save("words.srt", subtitle, strlen(subtitle));
    assert_int_equal(mkdir("folder.mp4", 0700), 0);
    refuse("empty.mp4", RGPU_ERROR_INPUT, "empty");
    refuse("noise.mkv", RGPU_ERROR_INPUT, "not media");
    refuse("noise.bin", RGPU_ERROR_INPUT, "not media");
    refuse("words.txt", RGPU_ERROR_INPUT, "not media");
    refuse("words", RGPU_ERROR_INPUT, "not media");
    refuse("words.srt", RGPU_ERROR_INPUT, "neither video nor sound");
    refuse("folder.mp4", RGPU_ERROR_INPUT, "directory");
    refuse("/dev/zero", RGPU_ERROR_INPUT, "device");
    refuse("/dev/null", RGPU_ERROR_INPUT, "device");
    refuse("none.mp4", RGPU_ERROR_NOT_FOUND, "No such file");
    refuse("open.mp4/none.mp4", RGPU_ERROR_NOT_FOUND, "none.mp4");
    refuse("http:x", RGPU_ERROR_INPUT, "http:x");
}

static void test_unreadable(void **state)
{
    (void)state;
    films_save("secret.mp4", "x", 1);
    assert_int_equal(chmod("secret.mp4", 0), 0);
    assert_int_equal(chmod(".", 0755), 0);
    if (getuid() == 0) {
        /* Whether a file may be read is asked for the real user. */
        const pid_t pid = fork();
        int status = 0;
        if (pid == 0) {
            struct reader *r = NULL;
            struct error err = {0};
            if (setuid(65534) != 0)
                _exit(2);
            _exit(open_film(&r, "secret.mp4", 0, &err) == RGPU_ERROR_ACCESS ? 0 : 1);
        }
        waitpid(pid, &status, 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    } else {
        refuse("secret.mp4", RGPU_ERROR_ACCESS, "Permission denied");
    }
}

static void test_colon_in_name(void **state)
{
    (void)state;
    films_run("cp open.mp4 http:film.mp4");
    read_film("http:film.mp4", &got);
    assert_int_equal(got.count, 100);
    films_run("cp open.mp4 'a%%d [1] \"b\".mp4'");
    read_film("a%d [1] \"b\".mp4", &got);
    assert_int_equal(got.count, 100);
}

static void cut_file(const char *from, const char *to, size_t parts)
{
    size_t size;
    uint8_t *data = films_load(from, &size);
    films_save(to, data, size * parts / 10);
    free(data);
}

static void test_truncated(void **state)
{
    static const char *films[] = {"fast.mp4", "open.mkv", "open.ts", "open.flv", "plain.avi"};
    char name[64];
    (void)state;
    films_make("-i open.mkv -c copy -movflags +faststart fast.mp4");
    for (size_t i = 0; i < sizeof(films) / sizeof(films[0]); i++) {
        read_film(films[i], &got);
        const struct read whole = got;
        snprintf(name, sizeof(name), "short.%s", films[i]);
        cut_file(films[i], name, 6);
        read_film(name, &got);
        print_message("%s: %d of %d packets, damage %d\n", name, got.count, whole.count,
                      (int)got.damaged);
        assert_int_equal(got.end, RGPU_ERROR_END);
        assert_in_range(got.count, whole.count / 3, whole.count - 1);
        assert_memory_equal(got.pts, whole.pts, sizeof(got.pts[0]) * (size_t)got.count);
        if (strcmp(films[i], "open.ts") != 0) /* a stream may end anywhere */
            assert_true(got.damaged > 0);
    }
    cut_file("open.mp4", "nomoov.mp4", 6);
    refuse("nomoov.mp4", RGPU_ERROR_INPUT, "moov");
}

static void test_bit_flips(void **state)
{
    static const char *films[] = {"av.mp4", "many.mkv", "sound.ts", "mpeg2.mpg"};
    (void)state;
    uint64_t x = 0x2545f4914f6cdd1du;
    int opened = 0;
    for (int round = 0; round < 200; round++) {
        size_t size;
        uint8_t *data = films_load(films[round % 4], &size);
        /* Half of the time in the headers, where it hurts most. */
        const int flips = 1 + round / 4 % 20;
        for (int i = 0; i < flips; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            const size_t range = round / 4 % 2 ? size : 4096;
            data[x / 8 % range] ^= (uint8_t)(1u << x % 8);
        }
        films_save("flipped", data, size);
        free(data);
        struct reader *r = NULL;
        struct error err = {0};
        const int64_t start_us = round % 3 == 0 ? 1500000 : 0;
        const int rc = open_film(&r, "flipped", start_us, &err);
        if (rc < 0) {
            assert_int_equal(err.code, rc);
            assert_true(err.text[0] != '\0');
            assert_null(r);
            continue;
        }
        opened++;
        struct reader_packet pkt;
        int end;
        while ((end = reader_next(r, &pkt, &err)) == 0)
            reader_packet_done(&pkt);
        assert_true(end == RGPU_ERROR_END || err.text[0]);
        reader_close(&r);
    }
    print_message("%d of 200 could be opened\n", opened);
    assert_true(opened > 100);
}

static int setup(void **state)
{
    if (films_setup(state) != 0)
        return -1;
    make_all();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_as_ffprobe),
        cmocka_unit_test(test_other_codecs),
        cmocka_unit_test(test_access_points),
        cmocka_unit_test(test_gradual_refresh),
        cmocka_unit_test(test_time_by_order),
        cmocka_unit_test(test_mpeg4_in_avi),
        cmocka_unit_test(test_program_stream),
        cmocka_unit_test(test_joined_streams),
        cmocka_unit_test(test_joined_overlapping),
        cmocka_unit_test(test_times_out_of_range),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_many_tracks),
        cmocka_unit_test(test_choice_of_video),
        cmocka_unit_test(test_sound_only),
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_hdr),
        cmocka_unit_test(test_colour_and_fields),
        cmocka_unit_test(test_frame_rates),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_begins_in_the_middle),
        cmocka_unit_test(test_standard_input),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_unreadable),
        cmocka_unit_test(test_colon_in_name),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_bit_flips),
    };
    return cmocka_run_group_tests(tests, setup, films_teardown);
}
