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

/* Each segment with the header alone: begins with a key frame at the time that the playlist says.
 */
static void check_segments(const char *folder, bool video, int64_t begin_us)
{
    char path[256];
    struct playlist list;
    snprintf(path, sizeof(path), "%s/index.m3u8", folder);
    read_playlist(path, &list);
    assert_true(list.media.ended);
    assert_true(list.media.independent_segments);
    for (int i = 0; i < list.media.segments_count; i++) {
        struct pieces p;
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
        if (first / 1000 > begin_us + 1 || first / 1000 < begin_us - 1)
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
        check_segments("seg/a", true, 0);
        if (!thin)
            check_segments("seg/b", true, 0);
        check_segments("seg/eng", false, -21333);
    }
    films_run("rm -rf seg");
    run_ok(&(struct mux_job){.in = "late.mp4", .out = "seg/", .segment_us = 700000});
    struct pieces p;
    pieces_read("late.mp4", 0, &p);
    check_segments("seg/a", true, p.items[0].pts_ns / 1000);
    pieces_done(&p);
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
    assert_int_equal(field("begin/a/seg_00001.m4s", "tfdt", 4, 8), p.items[0].pts);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times), cmocka_unit_test(test_plays), cmocka_unit_test(test_segments),
        cmocka_unit_test(test_begin), cmocka_unit_test(test_copy),  cmocka_unit_test(test_replace),
    };
    return cmocka_run_group_tests(tests, films_setup, films_teardown);
}
