/* Ends of sequences in HEVC: the leading pictures of a CRA picture behind one are not shown, which
 * the reader must know, or they are missed. libavcodec, given the pieces between the ends one by
 * one, shows what is to be shown. */
#include "films.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "file/cutter.h"
#include "file/reader.h"
#include "media/hevc.h"

#define X265_OPEN                                                                                  \
    "-pix_fmt yuv420p -c:v libx265 -preset ultrafast -x265-params log-level=none:pools=none:"      \
    "keyint=20:min-keyint=20:scenecut=0:open-gop=1:bframes=3:b-adapt=0 "
#define PIECES_MAX 16

/* Addresses of the VPS units' start codes: ffmpeg puts one in front of each random-access point. */
static size_t find_pieces(const uint8_t *film, size_t size, const uint8_t **ret)
{
    const uint8_t *p = film, *end = film + size;
    size_t count = 0;
    for (; (p = nal_find_start_code(p, end)) < end; p += 3) {
        if (end - p < 5 || (p[3] >> 1 & 63) != HEVC_NAL_VPS)
            continue;
        assert_true(count < PIECES_MAX);
        ret[count++] = p;
    }
    return count;
}

/* Writes film.hevc with an end of sequence before every `each`-th point; what is shown of it. */
static int end_sequences(const char *ended, size_t each)
{
    static const uint8_t eos[] = {0, 0, 1, HEVC_NAL_EOS << 1, 1};
    size_t size;
    uint8_t *film = films_load("film.hevc", &size);
    const uint8_t *pieces[PIECES_MAX + 1];
    const size_t count = find_pieces(film, size, pieces);
    assert_int_equal(count, 5);
    pieces[count] = film + size;
    uint8_t *out = malloc(size + count * sizeof(eos));
    size_t at = 0;
    int frames = 0;
    for (size_t i = 0; i < count; i += each) {
        const size_t next = i + each < count ? i + each : count;
        const size_t length = (size_t)(pieces[next] - pieces[i]);
        if (i > 0) {
            memcpy(out + at, eos, sizeof(eos));
            at += sizeof(eos);
        }
        memcpy(out + at, pieces[i], length);
        at += length;
        films_save("piece.hevc", pieces[i], length);
        frames += films_frames("piece.hevc");
    }
    films_save(ended, out, at);
    free(out);
    free(film);
    return frames;
}

/* Frames that the film's segments of `segment_us` must show, as the cutter has them from the
 * reader; none are lost. The times are those of film.mkv: a bare stream has none. */
static int64_t expected_frames(const char *path, int64_t segment_us, int *ret_segments)
{
    struct reader *r = NULL;
    struct cutter *c = NULL;
    const struct reader_params params = {.path = path, .video_track = -1};
    struct error err;
    if (reader_open(&r, &params, &err) != 0)
        fail_msg("%s: %s", path, err.text);
    static struct film_packet times[FILM_PACKETS_MAX];
    const int count = films_packets("film.mkv", "v:0", times);
    const struct cutter_params cut = {.time_base = {1, 1000},
                                      .segment_us = segment_us,
                                      .start_pts = PTS_NONE,
                                      .end_pts = PTS_NONE};
    assert_int_equal(cutter_new(&c, &cut), 0);
    struct reader_packet pkt;
    while (reader_next(r, &pkt, NULL) == 0) {
        assert_non_null(pkt.video.buf);
        assert_in_range(pkt.video.ordinal, 0, count - 1);
        pkt.video.pts = times[pkt.video.ordinal].pts;
        assert_int_equal(cutter_push(c, &pkt.video, pkt.access), 0);
        reader_packet_done(&pkt);
    }
    assert_int_equal(cutter_finish(c), 0);
    int64_t frames = 0;
    struct cut_event e;
    *ret_segments = 0;
    while (cutter_next(c, &e) == 0) {
        packet_done(&e.pkt);
        *ret_segments += e.type == CUT_END;
        frames += e.type == CUT_END ? e.frames : 0;
    }
    assert_int_equal(cutter_lost_count(c), 0);
    cutter_free(&c);
    reader_close(&r);
    return frames;
}

static void test_leading_pictures(void **state)
{
    (void)state;
    if (!films_can("libx265"))
        skip();
    films_make(PICTURE(4) X265_OPEN "film.mkv");
    films_make("-i film.mkv -c copy film.hevc");
    assert_int_equal(films_frames("film.hevc"), 100);
    for (size_t each = 1; each <= 3; each++) {
        const int shown = end_sequences("ended.hevc", each);
        assert_true(shown < 100);
        static const struct {
            int64_t us;
            int count;
        } cuts[] = {{-1, 1}, {0, 5}, {1500000, 3}};
        for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
            int segments;
            const int64_t frames = expected_frames("ended.hevc", cuts[i].us, &segments);
            print_message("an end at each %zu. point, segments of %lld us: %d of %lld frames\n",
                          each, (long long)cuts[i].us, segments, (long long)frames);
            assert_int_equal(frames, shown);
            assert_int_equal(segments, cuts[i].count);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_leading_pictures),
    };
    return cmocka_run_group_tests(tests, films_setup, films_teardown);
}
