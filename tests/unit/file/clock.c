/* Clocks that jump, leap and turn: films joined of parts of one film, each with a clock of its own.
 * What the reader gives of a part is compared with what it gives of the film alone. */
#include "films.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libavcodec/packet.h>
#include <libavutil/intreadwrite.h>

#include "file/reader.h"
#include "file/reader_timeline.h"

#define TURN_S 95443.7176888889 /* of a clock of 33 bits, 90000 a second */
#define JOINED_MAX 8

struct times {
    int64_t pts[FILM_PACKETS_MAX], dts[FILM_PACKETS_MAX];
    int count;
};

struct film {
    struct times tracks[2]; /* video and sound, in microseconds */
    int jumps;
    struct reader_leaps leaps;
    int64_t start_us, duration_us, duration_read_us;
};

static struct film film, part;

static int64_t in_us(const struct reader *r, int track, int64_t ts)
{
    return rational_rescale(ts, reader_track(r, track)->time_base, (struct rational){1, 1000000},
                            ROUND_NEAREST);
}

static void read_from(const char *name, int64_t start_us, struct film *ret)
{
    const struct reader_params params = {.path = name, .video_track = -1, .start_us = start_us};
    struct reader *r = NULL;
    struct reader_packet pkt;
    struct error err = {0};
    memset(ret, 0, sizeof(*ret));
    if (reader_open(&r, &params, &err) != 0)
        fail_msg("%s: %s", name, err.text);
    ret->start_us = reader_start_us(r);
    ret->duration_us = reader_duration_us(r);
    while (reader_next(r, &pkt, &err) == 0) {
        struct times *t = &ret->tracks[pkt.video.buf ? 0 : 1];
        assert_in_range(t->count, 0, FILM_PACKETS_MAX - 1);
        t->pts[t->count] = in_us(r, pkt.track, pkt.av->pts);
        t->dts[t->count++] = in_us(r, pkt.track, pkt.av->dts);
        reader_packet_done(&pkt);
    }
    ret->jumps = reader_jumps_count(r);
    ret->duration_read_us = reader_duration_us(r);
    reader_leaps(r, &ret->leaps);
    reader_close(&r);
}

static void read_film(const char *name, struct film *ret)
{
    read_from(name, 0, ret);
}

/* How far the n-th of some equal parts was moved: all its packets as far, sound and picture too. */
static int64_t moved_us(const struct film *whole, const struct film *one, int n)
{
    const int64_t by = whole->tracks[0].pts[n * one->tracks[0].count] - one->tracks[0].pts[0];
    for (int k = 0; k < 2; k++) {
        const struct times *a = &whole->tracks[k], *b = &one->tracks[k];
        for (int i = 0; i < b->count; i++) {
            const int at = n * b->count + i;
            assert_true(at < a->count);
            assert_in_range(a->pts[at] - b->pts[i] - by + 100, 0, 200);
            assert_in_range(a->dts[at] - b->dts[i] - by + 100, 0, 200);
        }
    }
    return by;
}

static void make_all(void)
{
    films_make(PICTURE(2) "-f lavfi -i sine=duration=2 " X264_OPEN "-c:a aac one.ts");
    films_make("-i one.ts -c copy one.flv");
    films_make(PICTURE(2) "-f lavfi -i sine=duration=2 -c:v mpeg2video -bf 2 -g 12 -c:a mp2 "
                          "one.mpg");
}

/* Joins copies of the film whose clocks begin at these seconds. */
static void join(const char *name, const double *offsets_s, int count)
{
    char args[160], names[512] = "";
    for (int i = 0; i < count; i++) {
        const int ms = (int)(offsets_s[i] * 1000 + 0.5);
        snprintf(args, sizeof(args), "-i one.ts -c copy -output_ts_offset %.3f at%d.ts",
                 offsets_s[i], ms);
        films_make(args);
        snprintf(names + strlen(names), sizeof(names) - strlen(names), " at%d.ts", ms);
    }
    films_run("cat %s > %s", names, name);
}

/* ---- jumps back ----------------------------------------------------------------------------- */

static void test_far_back(void **state)
{
    (void)state;
    static const double backs_s[] = {5, 58, 62, 100, 1000, 10000, 45000, 50000, 80000, 90000};
    read_film("one.ts", &part);
    for (size_t i = 0; i < sizeof(backs_s) / sizeof(backs_s[0]); i++) {
        join("back.ts", (const double[]){backs_s[i], 0}, 2);
        read_film("back.ts", &film);
        print_message("back by %.0f s\n", backs_s[i]);
        assert_int_equal(film.jumps, 1);
        assert_int_equal(film.leaps.count, 0);
        assert_int_equal(film.tracks[0].count, 2 * part.tracks[0].count);
        assert_int_equal(film.tracks[1].count, 2 * part.tracks[1].count);
        const int64_t first = moved_us(&film, &part, 0), second = moved_us(&film, &part, 1);
        assert_in_range(second - first, 2000000 - 1000, 2100000);
        /* A film of half a day is not believed in; once read, its length is known. */
        assert_true(film.duration_us < 3000000 || backs_s[i] > TURN_S * 7 / 8);
        assert_in_range(film.duration_read_us, 3900000, 4300000);
    }
}

/* Back and ahead, and over the clock's end, in any order. */
static void test_mixed(void **state)
{
    (void)state;
    static const struct {
        double offsets_s[JOINED_MAX];
        int count, jumps, leaps;
    } ways[] = {
        {{100, 0, 5000, 10}, 4, 2, 1}, {{0, 1000, 0, 1000}, 4, 1, 2},
        {{20, 95441.5, 3}, 3, 1, 0},   {{95441.5, 0.2, 95441.5, 200, 100}, 5, 2, 1},
        {{3, 2, 1, 0}, 4, 3, 0},       {{30000, 20000, 10000, 0, 40000}, 5, 3, 1},
    };
    read_film("one.ts", &part);
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        print_message("way %zu\n", i);
        join("mixed.ts", ways[i].offsets_s, ways[i].count);
        read_film("mixed.ts", &film);
        assert_int_equal(film.tracks[0].count, ways[i].count * part.tracks[0].count);
        int64_t last = INT64_MIN;
        for (int n = 0; n < ways[i].count; n++) {
            const int64_t at = moved_us(&film, &part, n);
            assert_true(n == 0 || at >= last + 1990000);
            last = at;
        }
        assert_int_equal(film.jumps, ways[i].jumps);
        assert_int_equal(film.leaps.count, ways[i].leaps);
    }
}

/* The second part's clock passes where libavformat took the first one's to begin a turn. */
static void test_long_second(void **state)
{
    (void)state;
    films_make("-f lavfi -i testsrc2=size=64x64:rate=5:duration=90 -f lavfi -i sine=duration=90 "
               "-c:v libx264 -preset ultrafast -bf 2 -g 10 -c:a mp2 -ar 16000 -b:a 32k long.ts");
    films_make("-i long.ts -c copy -output_ts_offset 100 long100.ts");
    films_run("cat long100.ts long.ts > both.ts");
    read_film("long.ts", &part);
    read_film("both.ts", &film);
    assert_int_equal(film.jumps, 1);
    assert_int_equal(film.leaps.count, 0);
    const int64_t by = moved_us(&film, &part, 1) - moved_us(&film, &part, 0);
    assert_in_range(by, 89900000, 90500000);
}

/* ---- the clock's end ------------------------------------------------------------------------ */

/* Wherever it lies: between any two packets, and between those shown and decoded. */
static void test_turns(void **state)
{
    (void)state;
    static const struct {
        const char *film, *format;
    } kinds[] = {{"one.ts", "mpegts"}, {"one.mpg", "vob"}};
    for (size_t k = 0; k < 2; k++) {
        read_film(kinds[k].film, &part);
        for (int i = 0; i < 12; i++) {
            films_run("ffmpeg -v error -nostdin -y -i %s -c copy -f %s -output_ts_offset %.3f turn",
                      kinds[k].film, kinds[k].format, TURN_S - 3.5 + 0.31 * i);
            read_film("turn", &film);
            assert_int_equal(film.jumps, 0);
            assert_int_equal(film.leaps.count, 0);
            assert_int_equal(film.tracks[0].count, part.tracks[0].count);
            assert_int_equal(film.tracks[1].count, part.tracks[1].count);
            moved_us(&film, &part, 0);
            assert_in_range(film.duration_us, 1900000, 2200000);
        }
    }
}

/* ---- FLV ------------------------------------------------------------------------------------ */

/* Adds to the stamps of all tags from the first one at or behind `from_ms` on. */
static void patch_flv(const char *name, int64_t from_ms, int64_t add_ms)
{
    size_t size;
    uint8_t *data = films_load("one.flv", &size);
    bool on = false;
    for (size_t at = 13; at + 11 <= size;) {
        const int64_t ms = AV_RB24(data + at + 4) | (int64_t)data[at + 7] << 24;
        on |= data[at] != 18 && ms >= from_ms;
        if (on && data[at] != 18) {
            AV_WB24(data + at + 4, (ms + add_ms) & 0xffffff);
            data[at + 7] = (uint8_t)((ms + add_ms) >> 24);
        }
        at += 15 + AV_RB24(data + at + 1);
    }
    films_save(name, data, size);
    free(data);
}

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* In the order of the film that was not patched, frames rise by one frame but for one place. */
static void check_frames(int64_t hole_least, int64_t hole_most)
{
    int64_t order[FILM_PACKETS_MAX];
    const struct times *a = &film.tracks[0], *b = &part.tracks[0];
    int holes = 0;
    assert_int_equal(a->count, b->count);
    memcpy(order, b->pts, sizeof(order));
    qsort(order, (size_t)b->count, sizeof(order[0]), by_value);
    int64_t last = INT64_MIN;
    for (int n = 0; n < b->count; n++) {
        int i = 0;
        while (b->pts[i] != order[n])
            i++;
        const int64_t since = n == 0 ? 40000 : a->pts[i] - last;
        if (since < 39000 || since > 41000) {
            assert_true(since >= hole_least && since <= hole_most);
            holes++;
        }
        last = a->pts[i];
    }
    assert_in_range(holes, 0, 1);
    for (int i = 1; i < a->count; i++)
        assert_true(a->dts[i] > a->dts[i - 1]);
}

/* Also between a frame and those that are decoded behind it and shown before it. */
static void test_flv_leaps(void **state)
{
    (void)state;
    read_film("one.flv", &part);
    for (int from_ms = 600; from_ms < 1400; from_ms += 40) {
        patch_flv("ahead.flv", from_ms, 1000000);
        read_film("ahead.flv", &film);
        assert_int_equal(film.jumps, 0);
        assert_int_equal(film.leaps.count, 1);
        assert_in_range(film.leaps.first_us, 500000, 1600000);
        assert_in_range(film.leaps.first_length_us, 999800000, 1000200000);
        check_frames(1000000000, 1000200000);
        /* Behind the hole, times are the file's own. */
        const int last = part.tracks[0].count - 1, end = part.tracks[1].count - 1;
        assert_int_equal(film.tracks[0].pts[last], part.tracks[0].pts[last] + 1000000000);
        assert_int_equal(film.tracks[1].pts[end], part.tracks[1].pts[end] + 1000000000);
    }
}

static void test_flv_back(void **state)
{
    (void)state;
    read_film("one.flv", &part);
    for (int from_ms = 600; from_ms < 1400; from_ms += 40)
        for (int far = 0; far < 2; far++) {
            patch_flv("late.flv", 0, far ? 1000000 : 30000);
            size_t size;
            uint8_t *data = films_load("late.flv", &size);
            films_save("one.flv.kept", data, size);
            free(data);
            films_run("cp one.flv kept.flv; cp late.flv one.flv");
            patch_flv("back.flv", (far ? 1000000 : 30000) + from_ms, far ? -1000000 : -30000);
            films_run("mv kept.flv one.flv");
            read_film("back.flv", &film);
            assert_int_equal(film.jumps, 1);
            assert_int_equal(film.leaps.count, 0);
            check_frames(0, 200000);
            const struct times *sound = &film.tracks[1];
            assert_int_equal(sound->count, part.tracks[1].count);
            assert_in_range(sound->pts[sound->count - 1] - sound->pts[0], 1900000, 2300000);
        }
}

/* ---- leaps that are none -------------------------------------------------------------------- */

/* A picture now and then, with sound all along; few pictures and no sound. */
static void test_stills(void **state)
{
    (void)state;
#define STILLS "-f lavfi -i testsrc2=size=64x64:rate=1/12:duration=80 "
    films_make(STILLS "-f lavfi -i sine=duration=80 -c:v libx264 -bf 0 -c:a mp2 shown.ts");
    films_make(STILLS "-c:v libx264 -bf 0 silent.ts");
    static const char *const names[] = {"shown.ts", "silent.ts"};
    for (int i = 0; i < 2; i++) {
        read_film(names[i], &film);
        assert_true(film.tracks[0].count >= 3);
        assert_int_equal(film.leaps.count, 0);
        assert_int_equal(film.jumps, 0);
    }
}

/* The picture stands still for half a minute, and its sound comes later in the file. */
static void test_still_before_sound(void **state)
{
    (void)state;
    struct timeline *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    assert_int_equal(timeline_init(t, true, 2), 0);
    t->leader = 0;
    for (int track = 0; track < 2; track++)
        for (int i = 0; i < 900; i++) {
            if (track == 0 && i > 50 && i < 800)
                continue;
            struct timeline_packet pkt = {.track = track,
                                          .time_base = {1, 90000},
                                          .clock_bits = 33,
                                          .dts = i * 3600,
                                          .pts = i * 3600,
                                          .duration = 3600};
            timeline_move(t, &pkt);
            assert_int_equal(pkt.dts, i * 3600);
            assert_int_equal(t->leaps.count, (track == 0 && i >= 800) || (track && i <= 101));
        }
    timeline_done(t);
    free(t);
}

/* One stamp is wrong, by whatever: time goes on behind it as before. */
static void test_wrong_stamp(void **state)
{
    (void)state;
    srand(7);
    for (int n = 0; n < 200; n++) {
        struct timeline *t = calloc(1, sizeof(*t));
        assert_non_null(t);
        assert_int_equal(timeline_init(t, true, 2), 0);
        t->leader = 0;
        const int bad = 60 + rand() % 20;
        const int64_t wrong = ((int64_t)rand() << 13 ^ rand()) & ((INT64_C(1) << 33) - 1);
        for (int i = 0; i < 170; i++) {
            const int64_t dts = 90000 * 3600 + (i / 2) * 3600;
            struct timeline_packet pkt = {.track = i % 2,
                                          .time_base = {1, 90000},
                                          .clock_bits = 33,
                                          .dts = i == 2 * bad ? wrong : dts,
                                          .duration = 3600};
            pkt.pts = pkt.dts;
            timeline_move(t, &pkt);
            if (i != 2 * bad && pkt.dts != dts)
                fail_msg("seed 7, stamp %lld for %lld: packet %d goes to %lld", (long long)wrong,
                         (long long)(90000 * 3600 + bad * 3600), i, (long long)pkt.dts);
        }
        if (t->jumps_count || t->leaps.count)
            fail_msg("seed 7, stamp %lld for %lld: %d jumps, %d leaps", (long long)wrong,
                     (long long)(90000 * 3600 + bad * 3600), t->jumps_count, t->leaps.count);
        timeline_done(t);
        free(t);
    }
}

/* ---- the start ------------------------------------------------------------------------------ */

static void test_start(void **state)
{
    (void)state;
    read_film("one.ts", &part);
    films_make("-i one.ts -c copy -output_ts_offset 95441.9 late.ts");
    for (int ms = 0; ms < 1900; ms += 300) {
        read_from("late.ts", ms * 1000, &film);
        assert_true(film.tracks[0].count > 0);
        /* It ends as the whole film, and begins at the last key frame before. */
        const int64_t by = film.tracks[0].pts[film.tracks[0].count - 1] -
                           part.tracks[0].pts[part.tracks[0].count - 1];
        const int64_t first = film.tracks[0].pts[0] - film.start_us;
        assert_true(first <= ms * 1000 + 100000 && first > ms * 1000 - 1040000);
        assert_in_range(by + part.start_us - film.start_us + 100, 0, 200);
    }
}

/* The packets of a track from some place on are those at the end of the whole film's. */
static void check_tail(const struct times *tail, const struct times *all)
{
    const int skipped = all->count - tail->count;
    assert_true(tail->count > 0 && skipped >= 0);
    for (int i = 0; i < tail->count; i++) {
        assert_int_equal(tail->pts[i], all->pts[skipped + i]);
        assert_int_equal(tail->dts[i], all->dts[skipped + i]);
    }
}

static void check_starts(const char *name)
{
    static struct film whole;
    read_film(name, &whole);
    assert_int_equal(whole.jumps, 1);
    const int64_t length_us = whole.duration_read_us;
    for (int64_t us = 100000; us < length_us - 100000; us += 300000) {
        print_message("%s from %.1f s\n", name, (double)us / 1e6);
        read_from(name, us, &film);
        const int64_t from = whole.start_us + us;
        const struct times *video = &film.tracks[0], *sound = &film.tracks[1];
        check_tail(video, &whole.tracks[0]);
        check_tail(sound, &whole.tracks[1]);
        assert_true(video->pts[0] <= from || video->count == whole.tracks[0].count);
        assert_true(video->pts[0] > from - 1040000);
        assert_true(sound->pts[0] <= from || sound->count == whole.tracks[1].count);
        assert_true(film.duration_us == 0 || film.duration_us > us);
        assert_int_equal(film.duration_read_us, length_us);
    }
    /* Behind the end: the reader tells where that is. */
    read_from(name, length_us + 3000000, &film);
    assert_int_equal(film.duration_us, length_us);
}

/* Wherever the clock says that a place is: it is found by all that comes before. */
static void test_start_joined(void **state)
{
    (void)state;
    static const double ways_s[][2] = {{0, 0}, {0, 1.2}, {60, 0}, {5, 3.5}, {95442.5, 0}};
    for (size_t i = 0; i < sizeof(ways_s) / sizeof(ways_s[0]); i++) {
        join("joined.ts", ways_s[i], 2);
        check_starts("joined.ts");
    }
    films_run("cat one.mpg one.mpg > joined.mpg");
    check_starts("joined.mpg");
}

/* ---- small overlaps ------------------------------------------------------------------------- */

/* Parts that overlap by some frames at most, or leave some out. */
static void test_overlaps(void **state)
{
    (void)state;
    static const char *const codecs[] = {
        "-c:v libx264 -preset veryfast -g 12 -bf 2",
        "-c:v libx264 -preset veryfast -g 12 -bf 0",
        "-c:v mpeg2video -g 12 -bf 2",
        "-c:v mpeg2video -g 12 -bf 0",
    };
    static int64_t order[FILM_PACKETS_MAX];
    for (size_t k = 0; k < sizeof(codecs) / sizeof(codecs[0]); k++) {
        films_run("ffmpeg -v error -nostdin -y -f lavfi -i testsrc2=size=64x64:rate=25:duration=1 "
                  "%s first.ts",
                  codecs[k]);
        read_film("first.ts", &part);
        assert_int_equal(part.jumps, 0);
        for (int ms = 860; ms <= 1100; ms += 20) {
            films_run("ffmpeg -v error -nostdin -y -i first.ts -c copy -output_ts_offset %.2f "
                      "second.ts; cat first.ts second.ts > overlap.ts",
                      ms / 1000.0);
            print_message("%s: the second part at %d ms\n", codecs[k], ms);
            read_film("overlap.ts", &film);
            const struct times *t = &film.tracks[0];
            assert_int_equal(t->count, 50);
            memcpy(order, t->pts, sizeof(order));
            qsort(order, 25, sizeof(order[0]), by_value);
            qsort(order + 25, 25, sizeof(order[0]), by_value);
            for (int i = 1; i < 50; i++)
                assert_in_range(order[i] - order[i - 1], 19000, 181000);
        }
    }
}

/* One frame is said to be shown far too late: a key frame behind it begins nothing new. */
static void test_wrong_shown(void **state)
{
    (void)state;
    for (int bad = 20; bad < 60; bad++) {
        struct timeline *t = calloc(1, sizeof(*t));
        assert_non_null(t);
        assert_int_equal(timeline_init(t, true, 1), 0);
        t->leader = 0;
        for (int i = 0; i < 100; i++) {
            struct timeline_packet pkt = {.time_base = {1, 90000},
                                          .clock_bits = 33,
                                          .dts = i * 3600,
                                          .pts = (i + (i == bad ? 50 : 0)) * 3600,
                                          .duration = 3600,
                                          .is_key = i % 12 == 0};
            timeline_move(t, &pkt);
            assert_int_equal(pkt.dts, i * 3600);
        }
        assert_int_equal(t->jumps_count, 0);
        timeline_done(t);
        free(t);
    }
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
        cmocka_unit_test(test_far_back),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_long_second),
        cmocka_unit_test(test_turns),
        cmocka_unit_test(test_flv_leaps),
        cmocka_unit_test(test_flv_back),
        cmocka_unit_test(test_stills),
        cmocka_unit_test(test_wrong_stamp),
        cmocka_unit_test(test_still_before_sound),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_start_joined),
        cmocka_unit_test(test_overlaps),
        cmocka_unit_test(test_wrong_shown),
    };
    return cmocka_run_group_tests(tests, setup, films_teardown);
}
