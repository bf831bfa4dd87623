/* HLS folders: playlists against media/playlist.h, time stamps and payloads against the source
 * through libavformat's HLS demuxer, each segment on its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libavcodec/packet.h>
#include <sys/stat.h>
#include <unistd.h>

#include "films.h"
#include "media/playlist.h"
#include "muxing.h"

#define X264 "-c:v libx264 -preset ultrafast -bf 3 -b_strategy 0 -g 12 "
#define TONE "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=5 "
#define TONE2 "-f lavfi -i sine=frequency=880:sample_rate=44100:duration=4 "

static const struct source {
    const char *name, *args;
} sources[] = {
    {"s24.mp4", "-f lavfi -i testsrc2=size=160x90:rate=24000/1001:duration=5 " TONE TONE2
                "-map 0 -map 1 -map 2 " X264 "-c:a aac -metadata:s:a:0 language=eng "
                "-metadata:s:a:1 language=deu -video_track_timescale 24000 s24.mp4"},
    {"late.mp4", "-f lavfi -i testsrc2=size=160x90:rate=30:duration=5 " TONE
                 "-vf setpts=PTS+1.2345/TB -vsync passthrough -enc_time_base 1/90000 " X264
                 "-c:a aac -video_track_timescale 90000 late.mp4"},
    {"s90k.ts",
     "-f lavfi -i testsrc2=size=160x90:rate=30000/1001:duration=5 " TONE X264 "-c:a aac s90k.ts"},
    {"s1000.mkv",
     "-f lavfi -i testsrc2=size=160x90:rate=25:duration=5 " TONE X264 "-c:a libopus s1000.mkv"},
    {"vfr.mp4", "-f lavfi -i testsrc2=size=160x90:rate=50:duration=5 " TONE
                "-vf select='not(eq(mod(n\\,7)\\,3))*not(between(n\\,20\\,40))' -vsync passthrough "
                "-enc_time_base 1/90000 -video_track_timescale 90000 " X264 "-c:a aac vfr.mp4"},
    {"silent.mp4", "-f lavfi -i testsrc2=size=160x90:rate=25:duration=3 " X264 "silent.mp4"},
};
#define SOURCES ((int)(sizeof(sources) / sizeof(sources[0])))

static void make_sources(void)
{
    for (int i = 0; i < SOURCES; i++)
        films_make(sources[i].args);
}

static void run_ok(const struct mux_job *job)
{
    struct error err;
    int64_t shift_us = -1;
    if (mux_run(job, &err, &shift_us, NULL) != 0)
        fail_msg("%s -> %s: %s", job->in, job->out, err.text);
    assert_int_equal(shift_us, 0);
}

static void read_playlist(const char *name, struct playlist *ret)
{
    struct error err;
    size_t size;
    uint8_t *data = films_load(name, &size);
    if (playlist_read(data, size, ret, &err) != 0)
        fail_msg("%s: %s", name, err.text);
    free(data);
}

/* Same packets in the same order at the same time. */
static void expect_same(const char *in, int in_stream, const char *out, int out_stream,
                        int64_t tolerance_ns, bool payload)
{
    struct pieces a, b;
    pieces_read(in, in_stream, &a);
    pieces_read(out, out_stream, &b);
    if (a.count != b.count)
        fail_msg("%s -> %s: %d packets became %d", in, out, a.count, b.count);
    for (int i = 0; i < a.count; i++) {
        const int64_t apart = b.items[i].pts_ns - a.items[i].pts_ns;
        if (apart > tolerance_ns || apart < -tolerance_ns)
            fail_msg("%s -> %s: packet %d at %lld ns, should be %lld", in, out, i,
                     (long long)b.items[i].pts_ns, (long long)a.items[i].pts_ns);
        if (payload)
            assert_int_equal(a.items[i].hash, b.items[i].hash);
    }
    pieces_done(&a);
    pieces_done(&b);
}

static void test_times(void **state)
{
    (void)state;
    make_sources();
    for (int i = 0; i < SOURCES; i++) {
        const char *in = sources[i].name;
        const bool silent = strcmp(in, "silent.mp4") == 0;
        films_run("rm -rf out");
        run_ok(&(struct mux_job){
            .in = in, .out = "out/", .renditions = 2, .segment_us = 1000000, .burst = i * 7});
        expect_same(in, 0, "out/a/index.m3u8", 0, 0, false);
        expect_same(in, 0, "out/b/index.m3u8", 0, 0, false);
        if (silent)
            continue;
        const bool framed = strcmp(in, "s90k.ts") == 0; /* ADTS headers go away */
        films_run("test -d out/eng || mv out/audio out/eng");
        expect_same(in, 1, "out/eng/index.m3u8", 0, 500001, !framed);
        if (i == 0)
            expect_same(in, 2, "out/deu/index.m3u8", 0, 0, true);
    }
}

/* What players get from the master playlist decodes without a word to the same pictures. */
static void test_plays(void **state)
{
    (void)state;
    make_sources();
    films_run("rm -rf play*");
    run_ok(&(struct mux_job){
        .in = "s24.mp4", .out = "play.m3u8", .renditions = 2, .segment_us = 1000000});
    films_run(
        "ffmpeg -v error -copyts -i s24.mp4 -map 0:v -f framemd5 - | grep -v '^#' | tr -d ' ' | "
        "cut -d, -f2,3,5,6 > want; test -s want");
    films_run(
        "ffmpeg -v error -copyts -i play.m3u8 -map 0:v:1 -f framemd5 - 2>log | grep -v '^#' | "
        "tr -d ' ' | cut -d, -f2,3,5,6 > got; cmp want got && test ! -s log");
    films_run("ffmpeg -v error -i play.m3u8 -map 0:a -f null - 2>log; test ! -s log");
    struct playlist master;
    read_playlist("play.m3u8", &master);
    assert_true(master.is_master);
    assert_int_equal(master.master.variants_count, 2);
    assert_int_equal(master.master.renditions_count, 2);
    assert_string_equal(master.master.variants[0].uri, "play/a/index.m3u8");
    assert_string_equal(master.master.variants[0].audio, "audio");
    assert_int_equal(master.master.variants[0].width, 160);
    assert_true(rational_double(master.master.variants[0].frame_rate) > 23.975 &&
                rational_double(master.master.variants[0].frame_rate) < 23.977);
    assert_non_null(strstr(master.master.variants[0].codecs, "avc1."));
    assert_non_null(strstr(master.master.variants[0].codecs, "mp4a.40.2"));
    assert_string_equal(master.master.renditions[0].language, "en");
    assert_string_equal(master.master.renditions[1].language, "de");
    assert_true(master.master.renditions[0].is_default);
    assert_false(master.master.renditions[1].is_default);
    playlist_done(&master);
}

static int64_t file_size(const char *folder, const char *name)
{
    char path[256];
    struct stat st;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (stat(path, &st) != 0)
        fail_msg("%s is missing", path);
    return st.st_size;
}

/* Each segment with the header alone: begins with a key frame at the time that the playlist says,
 * but for what an edit list takes off in front of audio. All playlists begin at zero. */
static void check_segments(const char *folder, bool video)
{
    int64_t begin_us = 0;
    char path[256];
    struct playlist list;
    snprintf(path, sizeof(path), "%s/index.m3u8", folder);
    read_playlist(path, &list);
    assert_true(list.media.ended);
    assert_true(list.media.independent_segments);
    for (int i = 0; i < list.media.segments_count; i++) {
        struct pieces p;
        if (list.media.segments[i].gap) {
            assert_int_equal(file_size(folder, list.media.segments[i].uri), 24);
            begin_us += list.media.segments[i].duration_us;
            continue;
        }
        films_run("cat %s/init.mp4 %s/%s > one.mp4", folder, folder, list.media.segments[i].uri);
        pieces_read("one.mp4", 0, &p);
        assert_true(p.count > 0);
        assert_true(p.items[0].flags & AV_PKT_FLAG_KEY);
        int64_t first = INT64_MAX, end = INT64_MIN;
        for (int k = 0; k < p.count; k++) {
            first = p.items[k].pts_ns < first ? p.items[k].pts_ns : first;
            if (p.items[k].pts_ns + p.items[k].duration_ns > end)
                end = p.items[k].pts_ns + p.items[k].duration_ns;
        }
        const int64_t priming_us = i == 0 && !video ? 21334 : 1;
        if (first / 1000 > begin_us + 1 || first / 1000 < begin_us - priming_us)
            fail_msg("%s segment %d begins at %lld us, not %lld", folder, i + 1,
                     (long long)(first / 1000), (long long)begin_us);
        begin_us += list.media.segments[i].duration_us;
        if (!video || i + 1 < list.media.segments_count)
            assert_in_range(end / 1000 - begin_us + 40000, 0, 80000);
        pieces_done(&p);
        if (video)
            films_run("ffmpeg -v error -i one.mp4 -f null - 2>log; test ! -s log || { cat log; "
                      "false; }");
    }
    playlist_done(&list);
}

static void test_segments(void **state)
{
    (void)state;
    make_sources();
    for (int thin = 0; thin < 2; thin++) {
        struct playlist a, b, audio, master;
        films_run("rm -rf seg");
        run_ok(&(struct mux_job){.in = "s24.mp4",
                                 .out = "seg/",
                                 .renditions = 2,
                                 .segment_us = 700000,
                                 .thin_keys = thin});
        read_playlist("seg/a/index.m3u8", &a);
        read_playlist("seg/b/index.m3u8", &b);
        read_playlist("seg/eng/index.m3u8", &audio);
        read_playlist("seg/master.m3u8", &master);
        /* Keys lie 0.5005 s apart; with every other one, 1.001 s. 120 frames. */
        assert_int_equal(a.media.segments_count, 5);
        assert_int_equal(b.media.segments_count, 5);
        for (int i = 0; i < 5; i++) {
            assert_int_equal(a.media.segments[i].duration_us, 1001000);
            assert_int_equal(b.media.segments[i].duration_us, 1001000);
        }
        assert_in_range(audio.media.segments_count, 5, 6);
        int64_t peak = 0, audio_peak = 0;
        for (int i = 0; i < 5; i++) {
            const int64_t bps = file_size("seg/a", a.media.segments[i].uri) * 8000000 /
                                a.media.segments[i].duration_us;
            const int64_t audio_bps = file_size("seg/eng", audio.media.segments[i].uri) * 8000000 /
                                      audio.media.segments[i].duration_us;
            peak = bps > peak ? bps : peak;
            audio_peak = audio_bps > audio_peak ? audio_bps : audio_peak;
        }
        assert_true(master.master.variants[0].bandwidth_bps >= peak + audio_peak);
        assert_true(master.master.variants[0].bandwidth_bps < (peak + audio_peak) * 11 / 10);
        assert_true(master.master.variants[0].average_bandwidth_bps > 0);
        assert_true(master.master.variants[0].average_bandwidth_bps <=
                    master.master.variants[0].bandwidth_bps);
        playlist_done(&a);
        playlist_done(&b);
        playlist_done(&audio);
        playlist_done(&master);
        check_segments("seg/a", true);
        if (!thin)
            check_segments("seg/b", true);
        check_segments("seg/eng", false);
    }
}

/* Video that begins about 1.23 s behind the sound, by more and less than a segment: gaps, with the
 * sound cut where they are, or a longer first segment. */
static void test_late_video(void **state)
{
    (void)state;
    make_sources();
    struct pieces p;
    pieces_read("late.mp4", 0, &p);
    const int64_t late_us = p.items[0].pts_ns / 1000;
    pieces_done(&p);
    assert_in_range(late_us, 1230000, 1235000);
    const struct {
        int64_t segment_us, first_us;
        int gaps;
    } cases[] = {{1000000, late_us, 1},
                 {700000, 700000, 2},
                 {400000, 400000, 3},
                 {3000000, late_us + 3200000, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct playlist video, audio;
        int gaps = 0;
        films_run("rm -rf seg");
        run_ok(
            &(struct mux_job){.in = "late.mp4", .out = "seg/", .segment_us = cases[i].segment_us});
        read_playlist("seg/a/index.m3u8", &video);
        read_playlist("seg/audio/index.m3u8", &audio);
        while (video.media.segments[gaps].gap)
            gaps++;
        assert_int_equal(gaps, cases[i].gaps);
        assert_int_equal(video.media.version, gaps ? 8 : 7);
        assert_int_equal(audio.media.version, 7);
        assert_in_range(video.media.segments[0].duration_us, cases[i].first_us - 1,
                        cases[i].first_us + 1);
        for (int k = 0; k < gaps; k++)
            assert_in_range(audio.media.segments[k].duration_us + 22000 -
                                video.media.segments[k].duration_us,
                            0, 44000);
        if (gaps)
            check_segments("seg/a", true);
        check_segments("seg/audio", false);
        playlist_done(&video);
        playlist_done(&audio);
    }
}

/* Sound that begins shortly before a cut: what there is of it goes into the segment behind the cut,
 * where a segment of a packet or two would be of no use to anybody. A quarter of a segment is one.
 */
static void test_late_sound(void **state)
{
    (void)state;
    static const struct {
        const char *late; /* seconds */
        int64_t gap_us, first_us;
    } cases[] = {{"1.99", 969000, 1033000}, {"1.80", 779000, 1223000}, {"1.70", 679000, 322000}};
    films_make("-f lavfi -i testsrc2=size=160x90:rate=25:duration=6 -c:v libx264 -preset veryfast "
               "-g 25 -sc_threshold 0 video.mkv");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct playlist audio;
        films_run("rm -rf seg; ffmpeg -nostdin -v error -y -i video.mkv -itsoffset %s -f lavfi -i "
                  "sine=duration=4 -map 0 -map 1 -c:v copy -c:a aac -ar 48000 sound.mkv",
                  cases[i].late);
        run_ok(&(struct mux_job){.in = "sound.mkv", .out = "seg/", .segment_us = 1000000});
        read_playlist("seg/audio/index.m3u8", &audio);
        assert_true(audio.media.segments[0].gap && audio.media.segments[1].gap);
        assert_false(audio.media.segments[2].gap);
        assert_int_equal(audio.media.segments[0].duration_us, 1000000);
        assert_in_range(audio.media.segments[1].duration_us, cases[i].gap_us - 3000,
                        cases[i].gap_us + 3000);
        assert_in_range(audio.media.segments[2].duration_us, cases[i].first_us - 25000,
                        cases[i].first_us + 25000);
        check_segments("seg/audio", false);
        playlist_done(&audio);
    }
}

static uint64_t field(const char *name, const char *box, size_t offset, int bytes)
{
    size_t size;
    uint64_t v = 0;
    uint8_t *data = films_load(name, &size);
    for (size_t i = 0; i + 4 + offset + (size_t)bytes <= size; i++) {
        if (memcmp(data + i, box, 4) != 0)
            continue;
        for (int k = 0; k < bytes; k++)
            v = v << 8 | data[i + 4 + offset + (size_t)k];
        free(data);
        return v;
    }
    fail_msg("%s has no %s", name, box);
    return 0;
}

/* When a track begins is said by the fragments' decode time; players of segments pass over empty
 * edits, so there are none. */
static void test_begin(void **state)
{
    (void)state;
    make_sources();
    films_run("rm -rf begin");
    run_ok(&(struct mux_job){.in = "late.mp4", .out = "begin/", .segment_us = 1000000});
    assert_int_equal(field("begin/a/init.mp4", "elst", 4, 4), 1);
    assert_int_equal(field("begin/audio/init.mp4", "elst", 4, 4), 1);
    struct pieces p;
    pieces_read("late.mp4", 0, &p);
    assert_true(p.items[0].pts > 0);
    assert_int_equal(field("begin/a/seg_00002.m4s", "tfdt", 4, 8), p.items[0].pts);
    assert_int_equal(field("begin/audio/seg_00001.m4s", "tfdt", 4, 8), 0);
    pieces_done(&p);
}

/* The source's own packets beside an encode, and alone. */
static void test_copy(void **state)
{
    (void)state;
    make_sources();
    films_run("rm -rf cp");
    run_ok(&(struct mux_job){
        .in = "s24.mp4", .out = "cp/", .copy_video = true, .segment_us = 1000000});
    expect_same("s24.mp4", 0, "cp/source/index.m3u8", 0, 0, false);
    expect_same("s24.mp4", 0, "cp/a/index.m3u8", 0, 0, false);
    films_run("ffmpeg -v error -y -i s24.mp4 -map 0:v -f md5 want; ffmpeg -v error -y -i "
              "cp/source/index.m3u8 -map 0:v -f md5 got; cmp want got");
}

static void test_replace(void **state)
{
    (void)state;
    make_sources();
    films_run("rm -rf box && mkdir box");
    struct mux_job job = {.in = "silent.mp4", .out = "box/x.m3u8", .segment_us = 1000000};
    struct error err;
    run_ok(&job);
    assert_int_equal(folder_entries("box"), 2);
    assert_int_equal(mux_run(&job, &err, NULL, NULL), RGPU_ERROR_EXISTS);
    job.overwrite = true;
    job.renditions = 2;
    run_ok(&job);
    assert_int_equal(folder_entries("box"), 2);
    assert_int_equal(folder_entries("box/x"), 2);
    /* The playlist is ours, but the folder holds something that is not. */
    films_save("box/x/a/notes.txt", "precious", 8);
    assert_int_equal(mux_run(&job, &err, NULL, NULL), RGPU_ERROR_EXISTS);
    assert_int_equal(access("box/x/a/notes.txt", F_OK), 0);
    assert_int_equal(folder_entries("box"), 2);
}

/* ---- subtitles ------------------------------------------------------------------------------ */

static const char srt[] = "1\n00:00:00,400 --> 00:00:01,100\nFirst & <i>line</i> <b>2 < 3</b>\n\n"
                          "2\n00:00:01,500 --> 00:00:04,700\nOver {a} boundary\nsecond line\n\n"
                          "3\n00:00:03,000 --> 00:00:03,250\nIn between\n\n"
                          "4\n00:00:05,400 --> 00:00:07,600\nPast the end\n";
static const char ass[] =
    "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n"
    "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, "
    "Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, "
    "Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\n"
    "Style: Default,Arial,16,&H0,&H0,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\n\n[Events]\n"
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    "Dialogue: 0,0:00:00.50,0:00:02.25,Default,,0,0,0,,{\\an8\\i1}Signs{\\i0} & more{comment}\n"
    "Dialogue: 0,0:00:02.00,0:00:06.00,Default,,0,0,0,,A\\NB\n"
    "Dialogue: 1,0:00:02.00,0:00:06.00,Default,,0,0,0,,A\\NB\n"
    "Dialogue: 0,0:00:03.00,0:00:04.00,Default,,0,0,0,,{\\p1}m 0 0 l 10 10{\\p0}\n";

struct want_cue {
    int begin_ms, end_ms;
    const char *text;
};
static const struct want_cue srt_cues[] = {
    {400, 1100, "First &amp; <i>line</i> <b>2 &lt; 3</b>"},
    {1500, 4700, "Over {a} boundary\nsecond line"},
    {3000, 3250, "In between"},
    {5400, 7600, "Past the end"},
};
static const struct want_cue ass_cues[] = {
    {500, 2250, "<i>Signs</i> &amp; more"},
    {2000, 6000, "A\nB"},
};

/* Subtitles drawn as pictures: each an empty one. */
static void save_pictures(void)
{
    static const uint8_t composition[] = {0, 160, 0, 90, 16, 0, 0, 128, 0, 0, 0};
    uint8_t data[512];
    size_t n = 0;
    for (uint32_t second = 1; second < 4; second++) {
        for (int part = 0; part < 2; part++) {
            const uint32_t pts = second * 90000;
            const uint8_t size = part ? 0 : sizeof(composition);
            const uint8_t head[] = {'P',
                                    'G',
                                    (uint8_t)(pts >> 24),
                                    (uint8_t)(pts >> 16),
                                    (uint8_t)(pts >> 8),
                                    (uint8_t)pts,
                                    0,
                                    0,
                                    0,
                                    0,
                                    part ? 0x80 : 0x16,
                                    0,
                                    size};
            memcpy(data + n, head, sizeof(head));
            memcpy(data + n + sizeof(head), composition, size);
            n += sizeof(head) + size;
        }
    }
    films_save("pictures.sup", data, n);
}

static void make_text_film(void)
{
    films_save("text.srt", srt, sizeof(srt) - 1);
    films_save("text.ass", ass, sizeof(ass) - 1);
    save_pictures();
    films_make("-f lavfi -i testsrc2=size=160x90:rate=25:duration=6 -f lavfi -i "
               "sine=frequency=440:sample_rate=48000:duration=6 -i text.srt -i text.ass -i "
               "pictures.sup -map 0 -map 1 -map 2 -map 3 -map 4 -map 2 " X264
               "-c:a flac -c:s:0 srt -c:s:1 ass -c:s:2 copy -c:s:3 srt "
               "-metadata:s:a:0 language=eng -metadata:s:s:0 language=eng "
               "-metadata:s:s:1 language=ger -metadata:s:s:2 language=fra "
               "-metadata:s:s:3 language=eng -disposition:s:0 0 -disposition:s:1 "
               "forced+hearing_impaired -disposition:s:3 default text.mkv");
}

static void take_word(const char **p, const char *word)
{
    const size_t n = strlen(word);
    if (strncmp(*p, word, n) != 0)
        fail_msg("\"%.40s\" instead of \"%s\"", *p, word);
    *p += n;
}

static int64_t take_time(const char **p)
{
    int h, m, s, ms, n = 0;
    if (sscanf(*p, "%2d:%2d:%2d.%3d%n", &h, &m, &s, &ms, &n) != 4 || n != 12)
        fail_msg("\"%.40s\" is no time", *p);
    *p += n;
    return ((h * 60 + m) * 60 + s) * INT64_C(1000) + ms;
}

/* Exactly those of the cues that the segment overlaps, in their order and with their whole times.
 */
static void expect_cues(const char *p, const struct want_cue *cues, int count, int64_t start_ms,
                        int64_t later_ms, int64_t from_us, int64_t until_us)
{
    take_word(&p, "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n");
    for (int i = 0; i < count; i++) {
        if (cues[i].end_ms <= start_ms)
            continue;
        const int64_t end_ms = cues[i].end_ms - start_ms + later_ms;
        const int64_t first_ms = cues[i].begin_ms > start_ms ? cues[i].begin_ms : start_ms;
        const int64_t begin_ms = first_ms - start_ms + later_ms;
        if (end_ms * 1000 <= from_us || begin_ms * 1000 >= until_us)
            continue;
        assert_int_equal(take_time(&p), begin_ms);
        take_word(&p, " --> ");
        assert_int_equal(take_time(&p), end_ms);
        take_word(&p, "\n");
        take_word(&p, cues[i].text);
        take_word(&p, "\n\n");
    }
    assert_string_equal(p, "");
}

/* One rendition: cut where the video is, and all cues in their places. Gives the segments. */
static int check_text(const char *folder, const struct want_cue *cues, int count, int64_t start_ms,
                      int64_t later_ms)
{
    char path[256];
    struct playlist video, list;
    read_playlist("text/a/index.m3u8", &video);
    snprintf(path, sizeof(path), "text/%s/index.m3u8", folder);
    read_playlist(path, &list);
    assert_int_equal(list.media.type, PLAYLIST_VOD);
    assert_true(list.media.ended);
    assert_null(list.media.map_uri);
    const int segments = list.media.segments_count;
    assert_int_equal(segments, video.media.segments_count);
    assert_int_equal(list.media.target_duration_s, video.media.target_duration_s);
    int64_t from_us = (later_ms - start_ms) * 1000; /* where the video begins */
    for (int i = 0; i < segments; i++) {
        const int64_t us = list.media.segments[i].duration_us;
        assert_int_equal(us, video.media.segments[i].duration_us);
        snprintf(path, sizeof(path), "text/%s/%s", folder, list.media.segments[i].uri);
        films_run("ffmpeg -v error -i %s -map 0 -c copy -f null - 2>log; test ! -s log", path);
        size_t size;
        char *bytes = (char *)films_load(path, &size);
        char *data = realloc(bytes, size + 1);
        assert_non_null(data);
        data[size] = 0;
        expect_cues(data, cues, count, start_ms, later_ms, i ? from_us : INT64_MIN,
                    i + 1 < segments ? from_us + us : INT64_MAX);
        free(data);
        from_us += us;
    }
    playlist_done(&video);
    playlist_done(&list);
    return segments;
}

static void test_subtitles(void **state)
{
    (void)state;
    make_text_film();
    static const struct {
        int64_t segment_us, start_us;
        int segments;
    } cases[] = {{400000, 0, 13}, {1500000, 0, 4}, {60000000, 0, 1}, {1000000, 1600000, 5}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *warnings = NULL;
        struct error err;
        films_run("rm -rf text");
        const struct mux_job job = {.in = "text.mkv",
                                    .out = "text/",
                                    .segment_us = cases[i].segment_us,
                                    .start_us = cases[i].start_us};
        int64_t later_us = 0;
        if (mux_run(&job, &err, &later_us, &warnings) != 0)
            fail_msg("%s", err.text);
        assert_non_null(strstr(warnings, "subtitle track 4 (hdmv_pgs_subtitle, fra) cannot be "
                                         "stored in HLS, which has no subtitles made of pictures, "
                                         "and is left out; use an .mkv output to keep it\n"));
        assert_null(strstr(warnings, "subrip"));
        assert_null(strstr(warnings, "(ass"));
        free(warnings);
        /* Video that begins before time zero may make all come later, by whole seconds. */
        assert_true(later_us % 1000000 == 0 && (later_us == 0 || cases[i].start_us));
        const int64_t start_ms = cases[i].start_us / 1000, later_ms = later_us / 1000;
        assert_int_equal(check_text("subtitles-eng", srt_cues, 4, start_ms, later_ms),
                         cases[i].segments);
        check_text("subtitles-ger", ass_cues, 2, start_ms, later_ms);
        check_text("subtitles-eng-2", srt_cues, 4, start_ms, later_ms);
    }
}

static void test_subtitles_master(void **state)
{
    (void)state;
    struct playlist p;
    make_text_film();
    films_run("rm -rf text");
    run_ok(&(struct mux_job){
        .in = "text.mkv", .out = "text/", .renditions = 2, .segment_us = 1000000});
    read_playlist("text/master.m3u8", &p);
    assert_int_equal(p.master.variants_count, 2);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(p.master.variants[i].subtitles, "subtitles");
        assert_string_equal(p.master.variants[i].audio, "audio");
        assert_null(strstr(p.master.variants[i].codecs, "wvtt"));
    }
    assert_int_equal(p.master.renditions_count, 4);
    static const struct playlist_rendition want[] = {
        {.type = PLAYLIST_AUDIO,
         .name = "eng",
         .language = "en",
         .uri = "eng/index.m3u8",
         .is_default = true,
         .autoselect = true},
        /* What a player could not tell from the default is not offered to it. */
        {.type = PLAYLIST_SUBTITLES,
         .name = "eng",
         .language = "en",
         .uri = "subtitles-eng/index.m3u8"},
        {.type = PLAYLIST_SUBTITLES,
         .name = "ger",
         .language = "de",
         .uri = "subtitles-ger/index.m3u8",
         .autoselect = true,
         .forced = true,
         .characteristics = "public.accessibility.transcribes-spoken-dialog,"
                            "public.accessibility.describes-music-and-sound"},
        {.type = PLAYLIST_SUBTITLES,
         .name = "eng 2",
         .language = "en",
         .uri = "subtitles-eng-2/index.m3u8",
         .is_default = true,
         .autoselect = true},
    };
    for (int i = 0; i < 4; i++) {
        const struct playlist_rendition *r = &p.master.renditions[i];
        assert_int_equal(r->type, want[i].type);
        assert_string_equal(r->name, want[i].name);
        assert_string_equal(r->language, want[i].language);
        assert_string_equal(r->uri, want[i].uri);
        assert_int_equal(r->is_default, want[i].is_default);
        assert_int_equal(r->autoselect, want[i].autoselect);
        assert_int_equal(r->forced, want[i].forced);
        assert_true((r->characteristics != NULL) == (want[i].characteristics != NULL));
        if (r->characteristics)
            assert_string_equal(r->characteristics, want[i].characteristics);
    }
    playlist_done(&p);
}

/* WebVTT of the source stays as it is, settings too; a track may have nothing to say. */
static void test_subtitles_own(void **state)
{
    (void)state;
    static const char own[] = "WEBVTT\n\n00:00.400 --> 00:02.100 line:0 align:left\n"
                              "<v Ann>Hi &amp; <i>bye</i>\n";
    films_save("own.vtt", own, sizeof(own) - 1);
    films_save("none.srt", "1\n00:00:09,000 --> 00:00:09,500\nNever\n", 38);
    films_make("-f lavfi -i testsrc2=size=160x90:rate=25:duration=3 -i own.vtt -i none.srt -map 0 "
               "-map 1 -map 2 " X264 "-c:s copy -t 3 own.mkv");
    films_run("rm -rf own");
    run_ok(&(struct mux_job){.in = "own.mkv", .out = "own/", .segment_us = 1000000});
    films_run("cd own/subtitles && grep -qx '00:00:00.400 --> 00:00:02.100 line:0 align:left' "
              "seg_00001.vtt && grep -qx '<v Ann>Hi &amp; <i>bye</i>' seg_00002.vtt && "
              "test $(ls | wc -l) = 4");
    films_run("cd own/subtitles-2 && for i in 1 2 3; do test $(wc -l < seg_0000$i.vtt) = 3 || exit "
              "1; done");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),         cmocka_unit_test(test_plays),
        cmocka_unit_test(test_segments),      cmocka_unit_test(test_begin),
        cmocka_unit_test(test_copy),          cmocka_unit_test(test_replace),
        cmocka_unit_test(test_subtitles),     cmocka_unit_test(test_subtitles_master),
        cmocka_unit_test(test_subtitles_own), cmocka_unit_test(test_late_video),
        cmocka_unit_test(test_late_sound),
    };
    return cmocka_run_group_tests(tests, films_setup, films_teardown);
}
