/* Several files of one job: all are put in place, or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "file/outputs.h"
#include "films.h"
#include "muxing.h"

/* The source's own packets into the files of "a" and "b", up to the end of the source. */
static struct outputs *fill(struct reader *reader, const char *pattern, bool overwrite)
{
    const bool keep[8] = {true, true, true, true, true, true, true, true};
    struct outputs_params params = {
        .reader = reader, .path = pattern, .overwrite = overwrite, .rungs_count = 2, .keep = keep};
    for (int i = 0; i < 2; i++)
        params.rungs[i] = (struct output_rung){
            .name = {(char)('a' + i)}, .is_source = true, .rendition = -1, .codec = "h264"};
    struct outputs *o = NULL;
    struct error err;
    if (outputs_open(&o, &params, &err) != 0)
        fail_msg("%s", err.text);
    struct reader_packet pkt = {0};
    while (reader_next(reader, &pkt, &err) == 0) {
        assert_int_equal(outputs_source(o, &pkt, &err), 0);
        reader_packet_done(&pkt);
    }
    assert_int_equal(outputs_source_end(o, &err), 0);
    return o;
}

/* By this process: others cannot see what is not in place. */
static int frames_in(const char *path)
{
    struct reader *r = NULL;
    struct reader_packet pkt = {0};
    struct error err;
    int frames = 0;
    if (reader_open(&r, &(struct reader_params){.path = path, .video_track = -1}, &err) != 0)
        fail_msg("%s", err.text);
    while (reader_next(r, &pkt, &err) == 0) {
        frames += pkt.track == reader_video(r)->index;
        reader_packet_done(&pkt);
    }
    reader_close(&r);
    return frames;
}

/* Completes and places: nothing is seen in between, but it can be read. */
static void finish(struct outputs *o)
{
    struct error err;
    char path[OUTPUT_PATH_MAX];
    assert_int_equal(outputs_complete(o, &err), 0);
    for (int placed = 0; placed < 2; placed++) {
        for (int i = 0; i < 2; i++) {
            assert_int_equal(outputs_rung_reading_path(o, i, path, &err), 0);
            assert_int_equal(frames_in(path), 25);
            assert_int_equal(strcmp(path, outputs_rung_path(o, i)) == 0, placed);
        }
        if (!placed)
            assert_int_equal(outputs_place(o, &err), 0);
    }
}

static struct reader *open_film(void)
{
    films_make(PICTURE(1) "-c:v libx264 -preset ultrafast pair.mp4");
    struct reader *r = NULL;
    struct error err;
    assert_int_equal(
        reader_open(&r, &(struct reader_params){.path = "pair.mp4", .video_track = -1}, &err), 0);
    return r;
}

static void expect_old(const char *name)
{
    size_t size;
    uint8_t *data = films_load(name, &size);
    assert_int_equal(size, 3);
    assert_memory_equal(data, "old", 3);
    free(data);
}

static void test_all(void **state)
{
    (void)state;
    struct reader *r = open_film();
    films_run("mkdir out && printf old >out/out-a.mp4");
    struct outputs *o = fill(r, "out/out-{}.mp4", true);
    finish(o);
    outputs_close(&o);
    assert_int_equal(folder_entries("out"), 2);
    assert_int_equal(films_frames("out/out-a.mp4"), 25);
    assert_int_equal(films_frames("out/out-b.mp4"), 25);
    reader_close(&r);
    films_run("rm -r out");
}

/* Something comes to the second name while the job runs. */
static void test_none(void **state)
{
    (void)state;
    for (int old = 0; old < 2; old++) {
        struct reader *r = open_film();
        struct error err;
        films_run("mkdir out");
        if (old)
            films_save("out/out-a.mp4", "old", 3);
        struct outputs *o = fill(r, "out/out-{}.mp4", old);
        assert_int_equal(mkdir("out/out-b.mp4", 0777), 0);
        assert_int_equal(outputs_complete(o, &err), 0);
        assert_int_not_equal(outputs_place(o, &err), 0);
        assert_non_null(strstr(err.text, "out-b.mp4"));
        outputs_close(&o);
        assert_int_equal(folder_entries("out"), old ? 2 : 1);
        if (old)
            expect_old("out/out-a.mp4");
        reader_close(&r);
        films_run("rm -r out");
    }
}

/* Each {} becomes the rung's name. */
static void test_names(void **state)
{
    (void)state;
    struct reader *r = open_film();
    struct error err;
    films_run("mkdir -p out/a out/b");
    struct outputs *o = fill(r, "out/{}/{}{}-{}.mp4", false);
    assert_string_equal(outputs_rung_path(o, 0), "out/a/aa-a.mp4");
    finish(o);
    outputs_close(&o);
    assert_int_equal(folder_entries("out/a"), 1);
    assert_int_equal(films_frames("out/a/aa-a.mp4"), 25);
    assert_int_equal(films_frames("out/b/bb-b.mp4"), 25);
    reader_close(&r);
    films_run("rm -r out");

    /* Names that get too long, folders that are missing. */
    char pattern[OUTPUT_PATH_MAX];
    memset(pattern, 'x', sizeof(pattern));
    memcpy(pattern + sizeof(pattern) - 12, "{}{}{}.mp4", 11);
    const char *const patterns[] = {pattern, "out/{}/film-{}.mp4"};
    static const char *const says[] = {"too long", "folder out/rung/ of out/rung/film-rung.mp4"};
    for (int i = 0; i < 2; i++) {
        const bool keep[8] = {true};
        r = open_film();
        struct outputs_params params = {
            .reader = r, .path = patterns[i], .rungs_count = 1, .keep = keep};
        params.rungs[0] = (struct output_rung){
            .name = "rung", .is_source = true, .rendition = -1, .codec = "h264"};
        assert_int_not_equal(outputs_open(&o, &params, &err), 0);
        assert_non_null(strstr(err.text, says[i]));
        reader_close(&r);
    }
}

/* Opens outputs of the source's own video; gives the result, and puts nothing in place. */
static int open_copy(struct reader *r, const char *path, struct error *err)
{
    const bool keep[8] = {true, true, true, true, true, true, true, true};
    struct outputs_params params = {.reader = r, .path = path, .rungs_count = 1, .keep = keep};
    struct outputs *o = NULL;
    params.rungs[0] = (struct output_rung){.name = "a", .is_source = true, .rendition = -1};
    const int rc = outputs_open(&o, &params, err);
    outputs_close(&o);
    return rc;
}

/* Names that are long, but not for the system: what is made of them is not cut in silence. */
static void test_long_names(void **state)
{
    static const char *const ends[] = {"hls/", "hls.m3u8"};
    char path[OUTPUT_PATH_MAX];
    struct error err;
    (void)state;
    struct reader *r = open_film();
    for (int i = 0; i < 2; i++) {
        for (size_t spare = 1; spare < 40; spare++) {
            const size_t size = sizeof(path) - spare, length = strlen(ends[i]);
            for (size_t k = 0; k < size - length; k++)
                path[k] = "./"[k % 2];
            memcpy(path + size - length, ends[i], length + 1);
            path[size - length - 1] = '/';
            const int rc = open_copy(r, path, &err);
            /* "a/index.m3u8" more, but for an end that goes. */
            const bool fits =
                size + strlen("a/index.m3u8") - (i ? strlen(".m3u8") - 1 : 0) < OUTPUT_PATH_MAX;
            assert_int_equal(rc, fits ? 0 : RGPU_ERROR_PARAM);
            if (!fits)
                assert_non_null(strstr(err.text, "name is too long"));
        }
    }
    reader_close(&r);
}

static void test_which_name_takes_a_copy(void **state)
{
    struct error err;
    (void)state;
    struct reader *r = open_film();
    static const char *const good[] = {"c.mp4", "c.mov", "c.mkv", "c.ts", "c.m2ts", "c.flv", "c/"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(open_copy(r, good[i], &err), 0);
    assert_int_equal(open_copy(r, "c.webm", &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "WebM cannot hold h264 video"));
    reader_close(&r);
    if (!films_can("libvpx-vp9"))
        return;
    films_make(PICTURE(1) "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 copy.webm");
    assert_int_equal(
        reader_open(&r, &(struct reader_params){.path = "copy.webm", .video_track = -1}, &err), 0);
    assert_int_equal(open_copy(r, "c.webm", &err), 0);
    assert_int_equal(open_copy(r, "c.mp4", &err), 0);
    static const char *const bad[] = {"c.mov", "c.ts", "c.flv"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(open_copy(r, bad[i], &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "FLV cannot hold vp9 video"));
    reader_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_long_names),
        cmocka_unit_test(test_which_name_takes_a_copy),
    };
    return cmocka_run_group_tests(tests, films_setup, films_teardown);
}
