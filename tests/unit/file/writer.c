/* Films through the writer into every container: time stamps, payloads, tags, and what goes wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "films.h"
#include "muxing.h"
#include "support/turn.h"

#define X264                                                                                       \
    "-c:v libx264 -preset ultrafast -bf 3 -b_strategy 0 -g 12 -x264-params "                       \
    "b-pyramid=normal:keyint=12 "
#define TONE "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=2 "

/* Sources with time bases and beginnings of all kinds. */
static const struct source {
    const char *name, *args;
} sources[] = {
    {"s24.mp4", "-f lavfi -i testsrc2=size=160x90:rate=24000/1001:duration=2 " TONE X264
                "-c:a aac -shortest -video_track_timescale 24000 s24.mp4"},
    {"s25.mp4", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=2 " TONE X264
                "-c:a aac -video_track_timescale 12800 s25.mp4"},
    {"s30.mp4", "-f lavfi -i testsrc2=size=160x90:rate=30:duration=2 " TONE X264
                "-c:a aac -video_track_timescale 600 s30.mp4"},
    {"s90k.ts",
     "-f lavfi -i testsrc2=size=160x90:rate=30000/1001:duration=2 " TONE X264 "-c:a aac s90k.ts"},
    {"s1000.mkv",
     "-f lavfi -i testsrc2=size=160x90:rate=24000/1001:duration=2 " TONE X264 "-c:a aac s1000.mkv"},
    {"vfr.mp4", "-f lavfi -i testsrc2=size=160x90:rate=50:duration=2 " TONE
                "-vf select='not(eq(mod(n\\,7)\\,3))*not(between(n\\,20\\,40))' -vsync passthrough "
                "-enc_time_base 1/90000 -video_track_timescale 90000 " X264 "-c:a aac vfr.mp4"},
    {"late.mp4",
     "-f lavfi -i testsrc2=size=160x90:rate=24000/1001:duration=2 " TONE
     "-vf setpts=PTS+31 -vsync passthrough " X264 "-c:a aac -video_track_timescale 24000 late.mp4"},
    {"silent.mp4", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=1 " X264 "silent.mp4"},
    {"one.mp4", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=0.04 " X264 "one.mp4"},
};
#define SOURCES ((int)(sizeof(sources) / sizeof(sources[0])))

static int compare_ns(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* Sorted pts of a stream of a kind in a file. */
static int times(const char *name, enum AVMediaType type, int nth, int64_t **ret, AVRational *tb)
{
    AVFormatContext *s = NULL;
    if (avformat_open_input(&s, name, NULL, NULL) < 0)
        fail_msg("cannot open %s", name);
    assert_true(avformat_find_stream_info(s, NULL) >= 0);
    int stream = -1;
    for (unsigned i = 0; i < s->nb_streams && stream < 0; i++)
        if (s->streams[i]->codecpar->codec_type == type && nth-- == 0)
            stream = (int)i;
    if (stream < 0)
        fail_msg("%s lacks a track", name);
    if (tb)
        *tb = s->streams[stream]->time_base;
    avformat_close_input(&s);
    struct pieces p;
    pieces_read(name, stream, &p);
    *ret = calloc((size_t)p.count + 1, sizeof(int64_t));
    assert_non_null(*ret);
    int n = 0;
    for (int i = 0; i < p.count; i++)
        (*ret)[n++] = p.items[i].pts_ns;
    pieces_done(&p);
    qsort(*ret, (size_t)n, sizeof(int64_t), compare_ns);
    return n;
}

/* Every frame has its source's time, to within the container's tick (`exact`: to the tick of
 * both), with the same shift for all. */
static void expect_times(const char *in, const char *out, enum AVMediaType type, int nth_out,
                         int64_t shift_us, int64_t tolerance_ns)
{
    int64_t *a, *b;
    const int n = times(in, type, 0, &a, NULL), m = times(out, type, nth_out, &b, NULL);
    if (n != m)
        fail_msg("%s -> %s: %d packets became %d", in, out, n, m);
    for (int i = 0; i < n; i++) {
        const int64_t apart = b[i] - a[i] - shift_us * 1000;
        if (apart > tolerance_ns || apart < -tolerance_ns)
            fail_msg("%s -> %s: packet %d at %lld ns, should be %lld (shift %lld us)", in, out, i,
                     (long long)b[i], (long long)(a[i] + shift_us * 1000), (long long)shift_us);
    }
    free(a);
    free(b);
}

static void make_sources(void)
{
    for (int i = 0; i < SOURCES; i++)
        films_make(sources[i].args);
}

static void run_ok(const struct mux_job *job, int64_t *shift_us, char **warnings)
{
    struct error err;
    if (mux_run(job, &err, shift_us, warnings) != 0)
        fail_msg("%s -> %s: %s", job->in, job->out, err.text);
}

static bool has_audio(const char *name)
{
    return strcmp(name, "silent.mp4") != 0 && strcmp(name, "one.mp4") != 0;
}

/* ---- time ----------------------------------------------------------------------------------- */

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *end;
        int64_t tick_ns; /* half of it, rounded up, may be lost */
    } kinds[] = {{"mp4", 0}, {"mkv", 1000000}, {"ts", 11112}, {"flv", 1000000}};
    make_sources();
    for (int i = 0; i < SOURCES; i++) {
        for (int k = 0; k < 4; k++) {
            char out[64];
            int64_t shift_us = -1;
            snprintf(out, sizeof(out), "%s.out.%s", sources[i].name, kinds[k].end);
            run_ok(&(struct mux_job){.in = sources[i].name, .out = out, .burst = i % 2 ? 20 : 0},
                   &shift_us, NULL);
            assert_int_equal(shift_us % 1000000, 0);
            if (k < 2)
                assert_int_equal(shift_us, 0);
            expect_times(sources[i].name, out, AVMEDIA_TYPE_VIDEO, 0, shift_us,
                         kinds[k].tick_ns / 2 + 1);
            /* A/V offset: within a millisecond, also where the source's own rounding adds up. */
            if (has_audio(sources[i].name))
                expect_times(sources[i].name, out, AVMEDIA_TYPE_AUDIO, 0, shift_us, 999999);
            unlink(out);
        }
    }
}

/* The time base of the source can be said exactly: no rounding at all in MP4. */
static void test_exact(void **state)
{
    (void)state;
    make_sources();
    for (int i = 0; i < SOURCES; i++) {
        int64_t *a, *b;
        AVRational from, to;
        run_ok(&(struct mux_job){.in = sources[i].name, .out = "exact.mp4", .overwrite = true},
               NULL, NULL);
        const int n = times(sources[i].name, AVMEDIA_TYPE_VIDEO, 0, &a, &from);
        assert_int_equal(times("exact.mp4", AVMEDIA_TYPE_VIDEO, 0, &b, &to), n);
        assert_int_equal((int64_t)to.den * from.num % from.den, 0);
        for (int k = 0; k < n; k++)
            assert_int_equal(a[k], b[k]);
        free(a);
        free(b);
    }
}

/* One edit list a track, moov in front of mdat. */
static void test_structure(void **state)
{
    (void)state;
    make_sources();
    run_ok(&(struct mux_job){.in = "late.mp4", .out = "boxes.mp4"}, NULL, NULL);
    size_t size;
    uint8_t *data = films_load("boxes.mp4", &size);
    int lists = 0;
    size_t moov = 0, mdat = 0;
    for (size_t i = 0; i + 4 <= size; i++) {
        lists += memcmp(data + i, "elst", 4) == 0;
        if (!moov && memcmp(data + i, "moov", 4) == 0)
            moov = i;
        if (!mdat && memcmp(data + i, "mdat", 4) == 0)
            mdat = i;
    }
    free(data);
    assert_int_equal(lists, 2);
    assert_true(moov > 0 && moov < mdat);
}

/* Copied packets are the source's, byte for byte, in order. */
static void test_copied(void **state)
{
    (void)state;
    static const char *const outs[] = {"copy.mp4", "copy.mkv", "copy.flv"};
    make_sources();
    for (int i = 0; i < 3; i++) {
        struct pieces a, b;
        run_ok(&(struct mux_job){.in = "s24.mp4", .out = outs[i]}, NULL, NULL);
        pieces_read("s24.mp4", 1, &a);
        pieces_read(outs[i], 1, &b);
        assert_int_equal(a.count, b.count);
        for (int k = 0; k < a.count; k++)
            assert_int_equal(a.items[k].hash, b.items[k].hash);
        pieces_done(&a);
        pieces_done(&b);
    }
    /* An encode's parameter sets are in the header only: what was Annex B with sets before each key
     * frame is the source's payload again. */
    static const char *const framed[] = {"sets.mp4", "sets.mkv", "sets.flv"};
    for (int i = 0; i < 3; i++) {
        struct pieces a, b;
        run_ok(&(struct mux_job){.in = "s25.mp4", .out = framed[i]}, NULL, NULL);
        pieces_read("s25.mp4", 0, &a);
        pieces_read(framed[i], 0, &b);
        assert_int_equal(a.count, b.count);
        for (int k = 0; k < a.count; k++)
            assert_int_equal(a.items[k].hash, b.items[k].hash);
        pieces_done(&a);
        pieces_done(&b);
    }
    /* Video too, beside an encode, with its own tail of pictures. */
    run_ok(&(struct mux_job){.in = "s24.mp4", .out = "both.mkv", .copy_video = true}, NULL, NULL);
    struct pieces a, b;
    pieces_read("s24.mp4", 0, &a);
    pieces_read("both.mkv", 1, &b);
    assert_int_equal(a.count, b.count);
    for (int k = 0; k < a.count; k++)
        assert_int_equal(a.items[k].hash, b.items[k].hash);
    pieces_done(&a);
    pieces_done(&b);
}

/* What is decoded from the result is what is decoded from the source. */
static void test_decodes(void **state)
{
    (void)state;
    static const char *const outs[] = {"d.mp4", "d.mkv", "d.ts", "d.flv"};
    make_sources();
    films_run("ffmpeg -v error -i s24.mp4 -map 0:v -f md5 -y want.md5");
    for (int i = 0; i < 4; i++) {
        run_ok(&(struct mux_job){.in = "s24.mp4", .out = outs[i]}, NULL, NULL);
        films_run("ffmpeg -v error -i %s -map 0:v -f md5 -y got.md5 2>log && test ! -s log && "
                  "cmp want.md5 got.md5",
                  outs[i]);
        films_run("ffmpeg -v error -i %s -map 0:a -f null - 2>log && test ! -s log", outs[i]);
    }
}

static void test_hevc(void **state)
{
    (void)state;
    if (!films_can("libx265"))
        skip();
    films_make("-f lavfi -i testsrc2=size=160x90:rate=24000/1001:duration=1 -c:v libx265 -preset "
               "ultrafast -x265-params log-level=none:keyint=12:bframes=3 -tag:v hvc1 "
               "-video_track_timescale 24000 hevc.mp4");
    films_run("ffmpeg -v error -i hevc.mp4 -map 0:v -f md5 -y want.md5");
    static const char *const outs[] = {"h.mp4", "h.mkv", "h.ts"};
    for (int i = 0; i < 3; i++) {
        int64_t shift_us;
        run_ok(&(struct mux_job){.in = "hevc.mp4", .out = outs[i]}, &shift_us, NULL);
        expect_times("hevc.mp4", outs[i], AVMEDIA_TYPE_VIDEO, 0, shift_us, 500001);
        films_run("ffmpeg -v error -i %s -map 0:v -f md5 -y got.md5 && cmp want.md5 got.md5",
                  outs[i]);
    }
    films_run("ffprobe -v error -show_entries stream=codec_tag_string -of csv=p=0 h.mp4 | grep -q "
              "hvc1");
    struct error err;
    assert_int_equal(mux_run(&(struct mux_job){.in = "hevc.mp4", .out = "h.flv"}, &err, NULL, NULL),
                     RGPU_ERROR_PARAM);
    assert_int_equal(access("h.flv", F_OK), -1);
}

/* Priming lies before time zero, in each container in its own way, and players find it there. */
static void test_priming(void **state)
{
    (void)state;
    make_sources();
    static const char *const outs[] = {"p.mkv", "p.mp4", "p2.mkv", "p2.mp4"};
    static const char *const ins[] = {"s25.mp4", "p.mkv", "p.mkv", "p2.mkv"};
    for (int i = 0; i < 4; i++) {
        run_ok(&(struct mux_job){.in = ins[i], .out = outs[i]}, NULL, NULL);
        int64_t *a;
        times(outs[i], AVMEDIA_TYPE_AUDIO, 0, &a, NULL);
        /* 1024 samples at 48 kHz; MKV counts in milliseconds. */
        assert_in_range(a[0] + 22000000, 0, 1500000);
        if (i % 2)
            assert_int_equal(a[0], -21333333);
        free(a);
        expect_times("s25.mp4", outs[i], AVMEDIA_TYPE_VIDEO, 0, 0, 500001);
    }
}

/* AAC of MPEG-TS says what it is in its first frame only: the header has it once, and whole. */
static void test_adts_header(void **state)
{
    (void)state;
    /* Sound first, so that its delay is in the header too; and late, when the header is out. */
    films_make(PICTURE(2) TONE X264 "-c:a aac -output_ts_offset 3600 adts.ts");
    films_make(PICTURE(8) "-itsoffset 6 " TONE X264 "-c:a aac adts_late.ts");
    static const char *const ins[] = {"adts.ts", "adts_late.ts"};
    for (int i = 0; i < 2; i++) {
        run_ok(&(struct mux_job){.in = ins[i], .out = "adts.mkv", .overwrite = true}, NULL, NULL);
        films_run(
            "ffprobe -show_entries stream=codec_name,sample_rate -of csv=p=0 -v error "
            "adts.mkv >got 2>log && test ! -s log && printf 'h264\\naac,48000\\n' | cmp got -");
        films_run("ffmpeg -v error -i adts.mkv -map 0:a -f null - 2>log && test ! -s log");
        struct pieces p;
        pieces_read("adts.mkv", 1, &p);
        assert_in_range(p.count, 90, 100);
        pieces_done(&p);
    }
}

/* Whole packets that an edit list hides: what cannot hide them does not get them, but for a
 * decoder's priming; the rest keeps its time. */
static void test_hidden(void **state)
{
    (void)state;
    make_sources();
    films_make("-ss 1.32 -i s25.mp4 -c copy -avoid_negative_ts disabled hidden.mp4");
    struct pieces a, b;
    pieces_read("hidden.mp4", 1, &a);
    int first = 0;
    while (first < a.count && a.items[first].flags & AV_PKT_FLAG_DISCARD)
        first++;
    assert_in_range(first, 4, a.count - 1);
    /* As much as a codec's delay: 2112 samples at 48 kHz. */
    int needed = first;
    while (needed > 0 && a.items[needed - 1].pts_ns >= -44000000)
        needed--;
    assert_in_range(needed, 3, first - 1);
    static const char *const outs[] = {"hidden.mkv", "hidden.ts", "hidden.flv", "whole.mp4"};
    for (int i = 0; i < 4; i++) {
        const int skip = i == 3 ? 0 : needed;
        int64_t shift_us;
        run_ok(
            &(struct mux_job){
                .in = "hidden.mp4", .out = outs[i], .renditions = -1, .copy_video = true},
            &shift_us, NULL);
        pieces_read(outs[i], 1, &b);
        assert_int_equal(b.count, a.count - skip);
        for (int k = 0; k < b.count; k++) {
            const struct piece *was = &a.items[skip + k];
            const int64_t apart = b.items[k].pts_ns - was->pts_ns - shift_us * 1000;
            assert_in_range(apart + 1000000, 0, 2000000);
            if (i == 0 || i == 3)
                assert_int_equal(b.items[k].hash, was->hash);
        }
        pieces_done(&b);
    }
    pieces_done(&a);
}

/* A start between key frames: what lies before it is hidden, what is shown keeps its distance. */
static void test_start(void **state)
{
    (void)state;
    make_sources();
    char *warnings;
    struct mux_job job = {.in = "s25.mp4",
                          .out = "start.mp4",
                          .renditions = -1,
                          .copy_video = true,
                          .start_us = 1000000};
    run_ok(&job, NULL, &warnings);
    assert_string_equal(warnings, "");
    free(warnings);
    struct pieces p;
    pieces_read("start.mp4", 0, &p);
    int shown = 0;
    for (int i = 0; i < p.count; i++) {
        if (p.items[i].flags & AV_PKT_FLAG_DISCARD)
            continue;
        assert_true(p.items[i].pts_ns >= 0);
        assert_int_equal(p.items[i].pts_ns % 40000000, 0);
        shown++;
    }
    assert_int_equal(shown, 25);
    assert_int_equal(films_frames("start.mp4"), 25);
    pieces_done(&p);
    /* Nothing else is there where it begins on a key frame. */
    job.out = "start.mkv";
    job.start_us = 960000;
    run_ok(&job, NULL, &warnings);
    assert_string_equal(warnings, "");
    free(warnings);
    assert_int_equal(films_frames("start.mkv"), 26);
    job.start_us = 1013000;
    job.out = "inside.mkv";
    run_ok(&job, NULL, &warnings);
    assert_non_null(
        strstr(warnings, "copied video begins 0.053 s early, at its key frame at 0.960 s"));
    free(warnings);
    assert_int_equal(films_frames("inside.mkv"), 26);
}

/* Between two frames, the first one that is shown is late by as much as it is. */
static void test_start_between_frames(void **state)
{
    (void)state;
    make_sources();
    struct mux_job job = {.in = "s25.mp4",
                          .out = "between.mp4",
                          .renditions = -1,
                          .copy_video = true,
                          .start_us = 1313000,
                          .end_us = 1513000};
    run_ok(&job, NULL, NULL);
    struct pieces p;
    pieces_read("between.mp4", 0, &p);
    int shown = 0;
    int64_t first = INT64_MAX, last = 0;
    for (int i = 0; i < p.count; i++) {
        if (p.items[i].flags & AV_PKT_FLAG_DISCARD)
            continue;
        first = p.items[i].pts_ns < first ? p.items[i].pts_ns : first;
        last = p.items[i].pts_ns > last ? p.items[i].pts_ns : last;
        shown++;
    }
    pieces_done(&p);
    assert_int_equal(shown, 5);
    assert_int_equal(films_frames("between.mp4"), 5);
    /* The tick of the source's time base. */
    assert_in_range(first, 7000000 - 78125, 7000000 + 78125);
    assert_int_equal(last - first, 160000000);
}

/* WebM to WebM: the delay of Opus stays what it is. */
static void test_webm(void **state)
{
    (void)state;
    if (!films_can("libvpx-vp9") || !films_can("libopus"))
        skip();
    films_make("-f lavfi -i testsrc2=size=160x90:rate=25:duration=1 " TONE
               "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus v.webm");
    static const char *const outs[] = {"w.webm", "w.mkv", "w.mp4"};
    for (int i = 0; i < 3; i++) {
        const struct mux_job job = {
            .in = "v.webm", .out = outs[i], .renditions = -1, .copy_video = true};
        run_ok(&job, NULL, NULL);
        expect_times("v.webm", outs[i], AVMEDIA_TYPE_VIDEO, 0, 0, 1);
        expect_times("v.webm", outs[i], AVMEDIA_TYPE_AUDIO, 0, 0, i == 2 ? 999999 : 1);
    }
}

static void test_null(void **state)
{
    (void)state;
    make_sources();
    assert_int_equal(symlink("/dev/null", "null.mp4"), 0);
    run_ok(&(struct mux_job){.in = "s25.mp4", .out = "null.mp4"}, NULL, NULL);
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
}

/* ---- what a file holds beside time ---------------------------------------------------------- */

static void make_rich(void)
{
    static const char subtitles[] = "1\n00:00:00,200 --> 00:00:00,900\nFirst <i>line</i>\n\n"
                                    "2\n00:00:00,700 --> 00:00:01,500\nSecond\n";
    static const char meta[] = ";FFMETADATA1\ntitle=The film\nartist=Nobody\n"
                               "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=800\ntitle=One\n"
                               "[CHAPTER]\nTIMEBASE=1/1000\nSTART=800\nEND=2000\ntitle=Two\n";
    films_save("sub.srt", subtitles, sizeof(subtitles) - 1);
    films_save("meta.txt", meta, sizeof(meta) - 1);
    films_save("font.ttf", "not really a font", 17);
    films_make("-f lavfi -i color=red:size=64x64:duration=0.04 -frames:v 1 cover.jpg");
    films_make(
        "-f lavfi -i testsrc2=size=160x90:rate=25:duration=2 " TONE
        "-f lavfi -i sine=frequency=880:sample_rate=44100:duration=2 -i sub.srt -i meta.txt "
        "-map 0 -map 1 -map 2 -map 3 -map_metadata 4 -map_chapters 4 " X264
        "-c:a:0 aac -c:a:1 ac3 -c:s subrip -metadata:s:a:0 language=eng "
        "-metadata:s:a:0 title=Main -metadata:s:a:1 language=deu -metadata:s:s:0 language=fra "
        "-disposition:a:0 0 -disposition:a:1 default -disposition:s:0 forced "
        "-attach font.ttf -metadata:s:t:0 mimetype=font/ttf "
        "-attach cover.jpg -metadata:s:t:1 mimetype=image/jpeg "
        "-metadata:s:t:1 filename=cover.jpg rich.mkv");
}

static void probe_has(const char *file, const char *entries, const char *pattern)
{
    films_run("ffprobe -v error -show_entries %s -of compact %s > probe.txt; "
              "grep -q '%s' probe.txt || { echo '%s lacks %s'; cat probe.txt; false; }",
              entries, file, pattern, file, pattern);
}

static void test_rich_mkv(void **state)
{
    (void)state;
    make_rich();
    char *warnings;
    run_ok(&(struct mux_job){.in = "rich.mkv", .out = "rich2.mkv"}, NULL, &warnings);
    assert_string_equal(warnings, "");
    free(warnings);
    const char *tags =
        "stream=codec_name,disposition:stream_tags:stream_disposition=default,forced";
    probe_has("rich2.mkv", tags, "aac.*default=0.*language=eng.*title=Main");
    probe_has("rich2.mkv", tags, "ac3.*default=1.*language=deu");
    probe_has("rich2.mkv", tags, "subrip.*forced=1.*language=fra");
    probe_has("rich2.mkv", tags, "filename=font.ttf.*mimetype=font/ttf");
    probe_has("rich2.mkv", tags, "filename=cover.jpg.*mimetype=image/jpeg");
    probe_has("rich2.mkv", "format_tags", "title=The film");
    probe_has("rich2.mkv", "format_tags", "ARTIST=Nobody");
    films_run("ffprobe -v error -show_chapters -of compact rich2.mkv > probe.txt; "
              "grep -q 'start_time=0.800000.*end_time=2.000000.*title=Two' probe.txt");
    films_run("ffmpeg -v error -y -dump_attachment:t:0 out.ttf -i rich2.mkv -f null - ; "
              "cmp out.ttf font.ttf");
    films_run("for f in rich rich2; do ffmpeg -v error -y -i $f.mkv -map 0:s:0 $f.srt; done && "
              "grep -q 'First <i>line</i>' rich.srt && cmp rich.srt rich2.srt");
}

/* MP4: text becomes MP4 text, overlapping ones follow each other, attachments are named. */
static void test_rich_mp4(void **state)
{
    (void)state;
    make_rich();
    char *warnings;
    run_ok(&(struct mux_job){.in = "rich.mkv", .out = "rich.mp4"}, NULL, &warnings);
    assert_non_null(strstr(warnings, "attachment 4 (font.ttf) cannot be stored in MP4 and is left "
                                     "out; use an .mkv output to keep it"));
    assert_null(strstr(warnings, "subrip"));
    free(warnings);
    const char *tags = "stream=codec_name:stream_tags:stream_disposition=default,attached_pic";
    probe_has("rich.mp4", tags, "aac.*default=0.*language=eng");
    probe_has("rich.mp4", tags, "ac3.*default=1.*language=deu");
    probe_has("rich.mp4", tags, "mov_text.*language=fra");
    probe_has("rich.mp4", tags, "mjpeg.*attached_pic=1");
    probe_has("rich.mp4", "format_tags", "title=The film");
    films_run("ffprobe -v error -show_chapters -of compact rich.mp4 > probe.txt; "
              "grep -q 'start_time=0.800000.*title=Two' probe.txt");
    /* The film begins 21 ms late where ffmpeg's MKV has room made for priming. */
    films_run("ffmpeg -v error -y -i rich.mp4 -map 0:s:0 out.srt && grep -q 'First <i>line</i>' "
              "out.srt && grep -q '00:00:00,2.. --> 00:00:00,7' out.srt && "
              "grep -q '00:00:00,7.. --> 00:00:00,9' out.srt && "
              "grep -q '00:00:00,9.. --> 00:00:01,5' out.srt && "
              "test `grep -c 'First <i>line</i>' out.srt` = 2");
    /* And back. */
    run_ok(&(struct mux_job){.in = "rich.mp4", .out = "back.mkv"}, NULL, NULL);
    films_run("ffmpeg -v error -y -i back.mkv -map 0:s:0 out.srt && "
              "grep -q '00:00:00,9.. --> 00:00:01,5' out.srt");
    probe_has("back.mkv", "stream=codec_name:stream_tags",
              "filename=cover.jpg.*mimetype=image/jpeg");
}

static void test_dropped(void **state)
{
    (void)state;
    make_rich();
    char *warnings;
    run_ok(&(struct mux_job){.in = "rich.mkv", .out = "rich.ts"}, NULL, &warnings);
    assert_non_null(strstr(warnings,
                           "subtitle track 3 (subrip, fra) cannot be stored in MPEG-TS and "
                           "is left out; use an .mkv output to keep it"));
    assert_non_null(strstr(warnings, "2 chapters cannot be stored in MPEG-TS"));
    free(warnings);
    run_ok(&(struct mux_job){.in = "rich.mkv", .out = "rich.flv"}, NULL, &warnings);
    assert_non_null(strstr(warnings, "audio track 2 (ac3, deu) cannot be stored in FLV"));
    free(warnings);
    run_ok(&(struct mux_job){.in = "rich.mkv", .out = "coded.flv", .audio_codec = "aac"}, NULL,
           &warnings);
    assert_non_null(strstr(warnings, "audio track 2 (ac3, deu) cannot be stored in FLV beside "
                                     "another and is left out"));
    free(warnings);
    films_run("test $(ffprobe -v error -show_entries stream=codec_type -of csv=p=0 coded.flv | "
              "grep -c audio) = 1");
}

static void test_renditions(void **state)
{
    (void)state;
    make_sources();
    int64_t shift_us;
    run_ok(&(struct mux_job){.in = "s25.mp4", .out = "three.mp4", .renditions = 3}, &shift_us,
           NULL);
    for (int i = 0; i < 3; i++)
        expect_times("s25.mp4", "three.mp4", AVMEDIA_TYPE_VIDEO, i, 0, 0);
    probe_has("three.mp4", "stream=index:stream_tags:stream_disposition=default",
              "index=0.*default=1.*handler_name=a");
    probe_has("three.mp4", "stream=index:stream_tags:stream_disposition=default",
              "index=2.*default=0.*handler_name=c");
    struct error err;
    const struct mux_job flv = {.in = "s25.mp4", .out = "two.flv", .renditions = 2};
    assert_int_equal(mux_run(&flv, &err, NULL, NULL), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "{}"));
}

/* Rotation, sample aspect, colour and HDR metadata of the source are in the result's header. */
static void test_picture_properties(void **state)
{
    (void)state;
    films_make(
        "-f lavfi -i testsrc2=size=160x90:rate=25:duration=1 -vf setsar=4/3,setparams=range=tv:"
        "color_primaries=bt709:color_trc=bt709:colorspace=bt709 " X264 "turned.mp4");
    turn_mp4("turned.mp4", 90);
    run_ok(&(struct mux_job){.in = "turned.mp4", .out = "turned2.mp4"}, NULL, NULL);
    const char *what = "stream=sample_aspect_ratio,color_space,color_transfer,color_primaries,"
                       "color_range:stream_side_data=rotation";
    probe_has("turned2.mp4", what, "sample_aspect_ratio=4:3");
    probe_has("turned2.mp4", what, "color_space=bt709");
    films_run("for f in turned turned2; do ffprobe -v error -show_entries "
              "stream_side_data=rotation -of csv $f.mp4 > $f.txt; done; "
              "grep -q 90 turned.txt && cmp turned.txt turned2.txt");
    char *warnings;
    run_ok(&(struct mux_job){.in = "turned.mp4", .out = "turned.ts"}, NULL, &warnings);
    assert_non_null(strstr(warnings, "the rotation by "));
    free(warnings);
}

/* ---- what goes wrong ------------------------------------------------------------------------ */

static void test_nothing_left(void **state)
{
    (void)state;
    static const char *const outs[] = {"box/a.mp4", "box/a.mkv",  "box/a.ts",
                                       "box/a.flv", "box/a.m3u8", "box/a/"};
    make_sources();
    films_run("rm -rf box && mkdir box");
    for (int i = 0; i < 6; i++) {
        struct error err;
        mux_run(&(struct mux_job){.in = "s25.mp4", .out = outs[i], .stop_after = 1}, &err, NULL,
                NULL);
        assert_int_equal(folder_entries("box"), 0);
        mux_run(&(struct mux_job){.in = "s25.mp4", .out = outs[i], .stop_after = 30}, &err, NULL,
                NULL);
        assert_int_equal(folder_entries("box"), 0);
        mux_run(&(struct mux_job){.in = "s25.mp4", .out = outs[i], .stop_complete = true}, &err,
                NULL, NULL);
        assert_int_equal(folder_entries("box"), 0);
    }
}

/* A file may grow only so far: the error names the file, and nothing is left. */
static void test_disk_full(void **state)
{
    (void)state;
    static const char *const outs[] = {"full/a.mp4", "full/a.mkv", "full/a.ts", "full/a.m3u8"};
    make_sources();
    films_run("rm -rf full && mkdir full");
    struct stat st;
    assert_int_equal(stat("s25.mp4", &st), 0);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 4; i++) {
        for (int part = 0; part < 10; part++) {
            const struct rlimit limit = {(rlim_t)(st.st_size * part / 10), old.rlim_max};
            struct error err;
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
            const int rc = mux_run(
                &(struct mux_job){
                    .in = "s25.mp4", .out = outs[i], .segment_us = 60000000, .overwrite = true},
                &err, NULL, NULL);
            assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
            if (rc == 0) {
                /* HLS has smaller files. */
                assert_true(i == 3 && part > 5);
                films_run("rm -rf full/*");
                continue;
            }
            assert_int_equal(rc, RGPU_ERROR_NO_SPACE);
            assert_non_null(strstr(err.text, "full/a"));
            assert_non_null(strstr(err.text, "would be larger than is allowed here (ulimit -f)"));
            assert_int_equal(folder_entries("full"), 0);
        }
    }
}

static void test_refused(void **state)
{
    (void)state;
    make_sources();
    struct error err;
    struct mux_job job = {.in = "s25.mp4", .out = "s25.mp4", .overwrite = true};
    assert_int_equal(mux_run(&job, &err, NULL, NULL), RGPU_ERROR_PARAM);
    job = (struct mux_job){.in = "s25.mp4", .out = "s24.mp4"};
    assert_int_equal(mux_run(&job, &err, NULL, NULL), RGPU_ERROR_EXISTS);
    job = (struct mux_job){.in = "s25.mp4", .out = "out.webm"};
    assert_int_equal(mux_run(&job, &err, NULL, NULL), RGPU_ERROR_PARAM);
    job = (struct mux_job){.in = "s25.mp4", .out = "out.avi"};
    assert_int_equal(mux_run(&job, &err, NULL, NULL), RGPU_ERROR_PARAM);
    job = (struct mux_job){.in = "s25.mp4", .out = "order.mp4", .reorder = 1};
    assert_int_equal(mux_run(&job, &err, NULL, NULL), RGPU_ERROR_INTERNAL);
    assert_non_null(strstr(err.text, "out of display order"));
    assert_int_equal(access("order.mp4", F_OK), -1);
}

/* A rendition that never came is not kept silent. */
static void test_promise(void **state)
{
    (void)state;
    make_sources();
    struct reader *r = NULL;
    struct writer *w = NULL;
    struct error err;
    const struct reader_params params = {.path = "s25.mp4", .video_track = -1};
    assert_int_equal(reader_open(&r, &params, &err), 0);
    const struct writer_track_params track = {.kind = WRITER_VIDEO, .source = reader_video(r)};
    assert_int_equal(writer_open(&w,
                                 &(struct writer_params){.path = "promise.mp4",
                                                         .container = CONTAINER_MP4,
                                                         .reader = r,
                                                         .tracks_count = 1,
                                                         .tracks = &track},
                                 &err),
                     0);
    assert_int_equal(writer_track_end(w, 0, &err), 0);
    assert_int_equal(writer_complete(w, &err), RGPU_ERROR_INTERNAL);
    assert_int_not_equal(writer_place(w, &err), 0);
    writer_close(&w);
    writer_close(&w);
    reader_close(&r);
    assert_int_equal(access("promise.mp4", F_OK), -1);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(container_from_name("a.MP4"), CONTAINER_MP4);
    assert_int_equal(container_from_name("x/a.m4v"), CONTAINER_MP4);
    assert_int_equal(container_from_name("a.mov"), CONTAINER_MP4);
    assert_int_equal(container_from_name("a.webm"), CONTAINER_MKV);
    assert_int_equal(container_from_name("a.m2ts"), CONTAINER_TS);
    assert_int_equal(container_from_name("a.flv"), CONTAINER_FLV);
    assert_int_equal(container_from_name("a.m3u8"), CONTAINER_HLS);
    assert_int_equal(container_from_name("dir/"), CONTAINER_HLS);
    assert_int_equal(container_from_name("dir/.mp4"), CONTAINER_NONE);
    assert_int_equal(container_from_name(".mp4"), CONTAINER_NONE);
    assert_int_equal(container_from_name("mp4"), CONTAINER_NONE);
    assert_int_equal(container_from_name(""), CONTAINER_NONE);
    assert_true(container_takes_codec(CONTAINER_MKV, "av1"));
    assert_false(container_takes_codec(CONTAINER_TS, "av1"));
    assert_true(container_takes_codec(CONTAINER_MP4, "opus"));
    assert_false(container_takes_codec(CONTAINER_FLV, "opus"));
    assert_false(container_takes_codec(CONTAINER_MP4, "nonsense"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_exact),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_copied),
        cmocka_unit_test(test_decodes),
        cmocka_unit_test(test_hevc),
        cmocka_unit_test(test_priming),
        cmocka_unit_test(test_adts_header),
        cmocka_unit_test(test_hidden),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_start_between_frames),
        cmocka_unit_test(test_webm),
        cmocka_unit_test(test_null),
        cmocka_unit_test(test_rich_mkv),
        cmocka_unit_test(test_rich_mp4),
        cmocka_unit_test(test_dropped),
        cmocka_unit_test(test_renditions),
        cmocka_unit_test(test_picture_properties),
        cmocka_unit_test(test_nothing_left),
        cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_promise),
    };
    return cmocka_run_group_tests(tests, films_setup, films_teardown);
}
