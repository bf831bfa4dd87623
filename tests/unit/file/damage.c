/* Films that are cut short or have holes: what can be shown of them is, and the damage is said. */
#include "films.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file/outputs.h"
#include "file/reader.h"

#define SOUND "-f lavfi -i sine=duration=4 "

static int open_film(struct reader **r, const char *path, int64_t start_us, struct error *err)
{
    const struct reader_params params = {.path = path, .video_track = -1, .start_us = start_us};
    return reader_open(r, &params, err);
}

/* Packets of the video; the damage counted on the way. */
static int read_film(const char *path, int64_t start_us, int64_t *ret_damaged)
{
    struct reader *r = NULL;
    struct reader_packet pkt;
    struct error err = {0};
    int n = 0, rc;
    if (open_film(&r, path, start_us, &err) != 0)
        fail_msg("%s: %s", path, err.text);
    while ((rc = reader_next(r, &pkt, NULL)) == 0) {
        n += pkt.track == reader_video(r)->index;
        reader_packet_done(&pkt);
    }
    assert_int_equal(rc, RGPU_ERROR_END);
    *ret_damaged = reader_damaged_count(r);
    reader_close(&r);
    return n;
}

/* ---- sound that the file does not describe -------------------------------------------------- */

/* Copies the film's video, and its audio as asked; the warnings in one text. */
static void copy_film(const char *in, const char *out, enum audio_mode mode, char ret[2048])
{
    bool keep[READER_TRACKS_MAX];
    struct outputs *o = NULL;
    struct reader_packet pkt;
    struct error err = {0};
    struct outputs_params params = {.path = out,
                                    .overwrite = true,
                                    .rungs_count = 1,
                                    .rungs = {{.name = "source", .is_source = true}},
                                    .keep = keep,
                                    .audio = mode,
                                    .audio_codec = "aac"};
    params.rungs[0].rendition = -1;
    memset(keep, 1, sizeof(keep));
    if (open_film(&params.reader, in, 0, &err) != 0 || outputs_open(&o, &params, &err) != 0)
        fail_msg("%s: %s", in, err.text);
    while (reader_next(params.reader, &pkt, &err) == 0) {
        if (outputs_source(o, &pkt, &err) != 0)
            fail_msg("%s: %s", in, err.text);
        reader_packet_done(&pkt);
    }
    if (outputs_source_end(o, &err) != 0 || outputs_video_end(o, &err) != 0 ||
        outputs_complete(o, &err) != 0 || outputs_place(o, &err) != 0)
        fail_msg("%s: %s", in, err.text);
    ret[0] = '\0';
    for (int i = 0; i < outputs_warnings_count(o); i++)
        snprintf(ret + strlen(ret), 2048 - strlen(ret), "%s\n", outputs_warning(o, i));
    outputs_close(&o);
    reader_close(&params.reader);
}

static size_t find(const uint8_t *data, size_t size, const char *word)
{
    const uint8_t *at = memmem(data, size, word, strlen(word));
    assert_non_null(at);
    return (size_t)(at - data);
}

/* An MP4 whose index ends before the description of the sound, a stream that ends before the first
 * of it. */
static void make_untold(void)
{
    size_t size;
    films_make(PICTURE(4) SOUND X264_OPEN "-c:a aac av.mp4");
    uint8_t *data = films_load("av.mp4", &size);
    films_save("untold.mp4", data, find(data, size, "mp4a") - 20);
    free(data);
    films_make("-i av.mp4 -c copy av.ts");
    data = films_load("av.ts", &size);
    size_t end = 0;
    while (end + 188 <= size && ((data[end + 1] & 0x1fu) << 8 | data[end + 2]) != 0x101)
        end += 188;
    assert_true(end + 188 <= size);
    films_save("untold.ts", data, end);
    free(data);
}

static void test_untold_sound(void **state)
{
    static const char *films[] = {"untold.mp4", "untold.ts"};
    static const char *outs[] = {"out.mp4", "out.mkv", "out.ts"};
    static const enum audio_mode modes[] = {AUDIO_AUTO, AUDIO_COPY, AUDIO_ENCODE};
    char warnings[2048];
    (void)state;
    make_untold();
    for (size_t i = 0; i < 2; i++) {
        struct reader *r = NULL;
        assert_int_equal(open_film(&r, films[i], 0, NULL), 0);
        assert_int_equal(reader_tracks_count(r), 2);
        assert_true(reader_track(r, 1)->is_untold);
        reader_close(&r);
        const int frames = films_frames(films[i]);
        assert_true(frames > 1);
        for (size_t k = 0; k < 9; k++) {
            copy_film(films[i], outs[k % 3], modes[k / 3], warnings);
            assert_int_equal(films_frames(outs[k % 3]), frames);
            assert_non_null(strstr(warnings, "audio track 1 is left out"));
            assert_ptr_equal(strchr(warnings, '\n'), warnings + strlen(warnings) - 1);
        }
    }
    copy_film("av.mp4", "out.mp4", AUDIO_AUTO, warnings);
    assert_string_equal(warnings, "");
}

/* ---- holes ---------------------------------------------------------------------------------- */

static void make_whole(void)
{
    films_make(PICTURE(8) SOUND X264_OPEN "-c:a aac -cluster_time_limit 700 sized.mkv");
    films_make("-i sized.mkv -c copy -live 1 endless.mkv");
    films_make("-i sized.mkv -c copy -reserve_index_space 4000 -cues_to_front 1 front.mkv");
    films_run("ffmpeg -v error -i sized.mkv -c copy -f matroska - > piped.mkv");
    films_make(PICTURE(8) "-vf \"select='not(between(n,20,150))*mod(n,7)'\" -fps_mode vfr "
                          "-c:v libx264 -g 30 gaps.mkv");
}

static const char *const whole[] = {"sized.mkv", "endless.mkv", "front.mkv", "piped.mkv",
                                    "gaps.mkv"};
#define WHOLE_COUNT (sizeof(whole) / sizeof(whole[0]))

static void test_intact(void **state)
{
    int64_t damaged;
    (void)state;
    for (size_t i = 0; i < WHOLE_COUNT; i++)
        for (int64_t start_us = 0; start_us < 8000000; start_us += 1300000) {
            assert_true(read_film(whole[i], start_us, &damaged) > 0);
            assert_int_equal(damaged, 0);
        }
}

/* Zeros, noise, bytes that are not there: none goes by without a word where packets are missing. */
static void test_holes(void **state)
{
    enum { ZEROS, NOISE, MISSING };
    uint64_t x = 0x9e3779b97f4a7c15u;
    int64_t damaged;
    (void)state;
    for (int round = 0; round < 120; round++) {
        const char *film = whole[(size_t)round % WHOLE_COUNT];
        const int kind = round % 3;
        size_t size;
        const int all = read_film(film, 0, &damaged);
        uint8_t *data = films_load(film, &size);
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        const size_t length = 2000 + x % 6000, at = size / 4 + x / 65536 % (size / 2);
        for (size_t i = at; i < at + length && i < size && kind != MISSING; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            data[i] = kind == ZEROS ? 0 : (uint8_t)x;
        }
        if (kind == MISSING && at + length < size) {
            memmove(data + at, data + at + length, size - at - length);
            size -= length;
        }
        films_save("hole.mkv", data, size);
        free(data);
        const int left = read_film("hole.mkv", 0, &damaged);
        if (left < all && damaged == 0)
            fail_msg("%s, round %d: %d of %d packets, and not a word", film, round, left, all);
        assert_true(left > 0 && damaged < 20);
    }
}

/* ---- what cannot be read -------------------------------------------------------------------- */

static void test_codes(void **state)
{
    char longest[302] = "";
    struct reader *r = NULL;
    struct error err = {0};
    size_t size;
    (void)state;
    memset(longest, 'a', 300);
    uint8_t *data = films_load("sized.mkv", &size);
    const size_t cluster = find(data, size, "\x1f\x43\xb6\x75");
    films_save("head.mkv", data, cluster / 2);
    free(data);
    const char *const names[] = {"head.mkv", longest, "http://127.0.0.1:9/film.mp4"};
    for (size_t i = 0; i < 3; i++) {
        const int rc = open_film(&r, names[i], 0, &err);
        print_message("%s\n", err.text);
        assert_int_equal(rc, RGPU_ERROR_INPUT);
        assert_int_equal(err.code, rc);
        assert_non_null(strstr(err.text, names[i]));
    }
}

static int setup(void **state)
{
    if (films_setup(state) != 0)
        return -1;
    make_whole();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untold_sound),
        cmocka_unit_test(test_intact),
        cmocka_unit_test(test_holes),
        cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, setup, films_teardown);
}
