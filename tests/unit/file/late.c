/* Tracks whose first packet comes long after the beginning of a stream, or never. */
#include "films.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "file/reader.h"

static const char *const codecs[] = {"h264", "hevc", "mpeg2video"};

/* Video of each codec that begins `late` seconds behind the sound. */
static void make(int late)
{
    films_run("ffmpeg -nostdin -v error -y -f lavfi -i sine=duration=%d -c:a aac -b:a 32k s%d.m4a",
              late + 3, late);
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        films_run("ffmpeg -nostdin -v error -y -itsoffset %d -i %s.mkv -i s%d.m4a -map 0 -map 1 "
                  "-c copy %s-%d.ts",
                  late, codecs[i], late, codecs[i], late);
}

static int set_up(void **state)
{
    films_setup(state);
    films_make("-f lavfi -i testsrc2=size=160x90:rate=24:duration=2 -vf setsar=4/3 -c:v libx264 "
               "-preset veryfast -bf 2 h264.mkv");
    films_make("-f lavfi -i testsrc2=size=160x90:rate=24:duration=2 -vf setsar=4/3 -c:v libx265 "
               "-preset ultrafast -x265-params log-level=error hevc.mkv");
    films_make("-f lavfi -i testsrc2=size=160x90:rate=24:duration=2 -vf setsar=4/3 -c:v mpeg2video "
               "-bf 2 mpeg2video.mkv");
    make(30);
    make(65);
    films_make("-f lavfi -i testsrc2=size=160x90:rate=24:duration=34 -c:v libx264 -preset "
               "veryfast long.mkv");
    films_make("-i long.mkv -itsoffset 30 -i s30.m4a -t 34 -map 0 -map 1 -c copy sound.ts");
    return 0;
}

static double seconds(const struct reader_track *t)
{
    return (double)t->start_pts * rational_double(t->time_base);
}

static const struct reader_track *track_of(const struct reader *r, enum track_kind kind)
{
    for (int i = 0; i < reader_tracks_count(r); i++)
        if (reader_track(r, i)->kind == kind)
            return reader_track(r, i);
    fail();
    return NULL;
}

/* The film is known, its sound too, and the two are `apart`. */
static void expect_known(const char *path, const char *codec, double apart, bool has_aspect)
{
    struct reader *r = NULL;
    struct reader_packet pkt;
    struct error err = {0};
    int frames = 0;
    print_message("%s\n", path);
    if (reader_open(&r, &(struct reader_params){.path = path, .video_track = -1}, &err) != 0)
        fail_msg("%s: %s", path, err.text);
    const struct reader_track *video = reader_video(r), *audio = track_of(r, TRACK_AUDIO);
    assert_non_null(video);
    assert_string_equal(video->codec, codec);
    assert_int_equal(video->video.width, 160);
    assert_int_equal(video->video.height, 90);
    assert_int_equal(video->video.frame_rate.num, 24);
    assert_int_equal(video->video.frame_rate.den, 1);
    assert_int_equal(video->video.format, PIXEL_YUV420P);
    if (has_aspect)
        assert_int_equal(video->video.sample_aspect.num * 3, video->video.sample_aspect.den * 4);
    assert_false(video->is_untold || audio->is_untold);
    assert_int_equal(audio->sample_rate, 44100);
    const double have = seconds(video) - seconds(audio);
    if (have < apart - 0.1 || have > apart + 0.1)
        fail_msg("%s: the tracks are %.3f s apart", path, have);
    while (reader_next(r, &pkt, &err) == 0) {
        frames += pkt.track == video->index;
        reader_packet_done(&pkt);
    }
    assert_true(frames >= 48);
    reader_close(&r);
}

static void test_late_video(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        for (int late = 30; late <= 65; late += 35) {
            char path[64];
            snprintf(path, sizeof(path), "%s-%d.ts", codecs[i], late);
            /* MPEG-2 has no such aspect ratio. */
            expect_known(path, codecs[i], late, strcmp(codecs[i], "mpeg2video") != 0);
        }
}

static void test_late_sound(void **state)
{
    (void)state;
    expect_known("sound.ts", "h264", -30, false);
}

static void test_late_video_in_a_pipe(void **state)
{
    (void)state;
    assert_int_equal(mkfifo("pipe", 0600), 0);
    const pid_t child = fork();
    if (child == 0) {
        execlp("sh", "sh", "-c", "cat h264-65.ts > pipe", (char *)NULL);
        _exit(1);
    }
    expect_known("pipe", "h264", 65, true);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Takes the packets of one track out of a transport stream, but not its entry in the tables. */
static void remove_pid(const char *from, const char *to, unsigned pid)
{
    size_t size, kept = 0;
    uint8_t *data = films_load(from, &size);
    for (size_t at = 0; at + 188 <= size; at += 188)
        if (((data[at + 1] & 0x1fu) << 8 | data[at + 2]) != pid) {
            memmove(data + kept, data + at, 188);
            kept += 188;
        }
    assert_true(kept > 0 && kept < size);
    films_save(to, data, kept);
    free(data);
}

static void test_video_that_never_comes(void **state)
{
    struct reader *r = NULL;
    struct error err = {0};
    (void)state;
    remove_pid("h264-30.ts", "none.ts", 0x100);
    const struct reader_params any = {.path = "none.ts", .video_track = -1};
    assert_int_equal(reader_open(&r, &any, &err), 0);
    assert_null(reader_video(r));
    const struct reader_track *video = track_of(r, TRACK_VIDEO);
    assert_true(video->is_untold);
    assert_int_equal(video->video.width, 0);
    assert_int_equal(video->video.frame_rate.num, 0);
    const int index = video->index;
    reader_close(&r);
    const struct reader_params named = {.path = "none.ts", .video_track = index};
    assert_int_equal(reader_open(&r, &named, &err), RGPU_ERROR_INPUT);
    assert_non_null(strstr(err.text, "size of video track"));
    assert_null(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_video),
        cmocka_unit_test(test_late_sound),
        cmocka_unit_test(test_late_video_in_a_pipe),
        cmocka_unit_test(test_video_that_never_comes),
    };
    return cmocka_run_group_tests(tests, set_up, films_teardown);
}
