/* Sessions on the CPU with real films: cut at every random-access point, encoded without loss in
 * any order, the result is the source, picture by picture. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "transcode/session.h"
#include "support/clip.h"
#include "support/coding.h"

#define SEGMENTS_MAX 64

struct result {
    struct session *s;
    pthread_t thread;
    int code;
    struct error err;
    struct packet_list packets[SEGMENTS_MAX][2];
    struct segment_done done[SEGMENTS_MAX];
    struct track tracks[2];
    char notes[2 * SESSION_NOTE_MAX];
};

static void collect(struct result *r, struct session_output *out)
{
    const uint32_t k = out->packet.rendition;
    struct packet_list *list = &r->packets[out->segment][k];
    size_t length;
    switch (out->type) {
    case SESSION_HEADER:
        r->tracks[k] = track_share(&out->track);
        break;
    case SESSION_PACKET:
        list->items = realloc(list->items, (list->count + 1) * sizeof(*list->items));
        list->items[list->count++] = packet_move(&out->packet);
        break;
    case SESSION_SEGMENT_DONE:
        r->done[out->segment] = out->done;
        break;
    case SESSION_NOTE:
        length = strlen(r->notes);
        snprintf(r->notes + length, sizeof(r->notes) - length, "%s", out->note);
        break;
    case SESSION_PICTURE:
    case SESSION_DRAINED:
        break;
    }
}

static void *collect_main(void *arg)
{
    struct result *r = arg;
    for (bool drained = false; !drained && !r->code;) {
        struct session_output out;
        r->code = session_receive(r->s, -1, &out, &r->err);
        if (r->code)
            break;
        drained = out.type == SESSION_DRAINED;
        collect(r, &out);
        session_output_done(&out);
    }
    return NULL;
}

static void result_done(struct result *r)
{
    for (int i = 0; i < SEGMENTS_MAX; i++)
        for (int k = 0; k < 2; k++)
            packet_list_done(&r->packets[i][k]);
    for (int k = 0; k < 2; k++)
        track_done(&r->tracks[k]);
    free(r);
}

/* ---- cutting -------------------------------------------------------------------------------- */

struct cuts {
    size_t at[SEGMENTS_MAX + 1]; /* packets that begin segments, and the packets' number */
    int count;
};

static struct cuts cut(const struct clip *clip)
{
    struct cuts c = {0};
    for (size_t i = 0; i < clip->count && c.count < SEGMENTS_MAX; i++)
        if (clip->packets[i].flags & PACKET_KEY)
            c.at[c.count++] = i;
    c.at[c.count] = clip->count;
    return c;
}

static int feed_packet(struct session *s, const struct clip *clip, size_t i)
{
    struct packet pkt = packet_share(&clip->packets[i]);
    return session_packet(s, &pkt);
}

static void feed_segment(struct session *s, const struct clip *clip, const struct cuts *c, int k)
{
    const size_t from = c->at[k], to = c->at[k + 1];
    int r = session_begin(s, (uint32_t)k, clip->packets[from].pts, from);
    for (size_t i = from; !r && i < to; i++)
        r = feed_packet(s, clip, i);
    if (!r)
        r = session_tail(s, to < clip->count ? clip->packets[to].pts : INT64_MAX);
    for (size_t i = to; !r && i < clip->count; i++) {
        if (i > to && clip->packets[i].pts > clip->packets[to].pts)
            break;
        r = feed_packet(s, clip, i);
    }
    if (!r)
        session_end(s);
}

/* All segments, in an order by `seed` (0: as they come). */
static struct result *run(const struct clip *clip, const struct session_params *params,
                          const struct cuts *c, unsigned seed)
{
    int order[SEGMENTS_MAX] = {0};
    for (int i = 0; i < c->count; i++)
        order[i] = i;
    for (int i = c->count - 1; i > 0 && seed; i--) {
        seed = seed * 1664525 + 1013904223;
        int j = (int)(seed >> 8) % (i + 1);
        int t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    struct error err = {0};
    struct result *r = calloc(1, sizeof(*r));
    if (session_open(&r->s, params, &err))
        fail_msg("%s", err.text);
    assert_int_equal(pthread_create(&r->thread, NULL, collect_main, r), 0);
    for (int i = 0; i < c->count; i++)
        feed_segment(r->s, clip, c, order[i]);
    session_drain(r->s);
    pthread_join(r->thread, NULL);
    session_close(&r->s);
    if (r->code)
        fail_msg("%s", r->err.text);
    return r;
}

/* ---- checking ------------------------------------------------------------------------------- */

/* Decodes a rendition's segments one after the other, as the writer puts them together. */
static struct frame_list decode_rendition(const struct result *r, int count, int k)
{
    const struct codec_backend *backend = codec_backend(DEVICE_CPU);
    struct packet_list all = {0};
    for (int i = 0; i < count; i++) {
        const struct packet_list *list = &r->packets[i][k];
        for (size_t j = 0; j < list->count; j++) {
            all.items = realloc(all.items, (all.count + 1) * sizeof(*all.items));
            all.items[all.count++] = packet_share(&list->items[j]);
        }
    }
    struct track track = track_share(&r->tracks[k]);
    struct frame_list frames = {0};
    decode_all(backend, &(struct decoder_params){.track = &track, .threads = 1}, all.items,
               all.count, &frames, NULL);
    track_done(&track);
    packet_list_done(&all);
    return frames;
}

static struct frame_list decode_source(const struct clip *clip)
{
    struct frame_list frames = {0};
    decode_all(codec_backend(DEVICE_CPU),
               &(struct decoder_params){.track = &clip->track, .threads = 1}, clip->packets,
               clip->count, &frames, NULL);
    return frames;
}

static void check_counts(const struct result *r, const struct cuts *c, const struct clip *clip,
                         const struct frame_list *source)
{
    size_t at = 0;
    for (int k = 0; k < c->count; k++) {
        const int64_t end =
            c->at[k + 1] < clip->count ? clip->packets[c->at[k + 1]].pts : INT64_MAX;
        uint64_t digest = 0;
        int64_t frames = 0;
        for (; at < source->count && source->items[at]->pts < end; at++) {
            digest = pts_digest_add(digest, source->items[at]->pts);
            frames++;
        }
        assert_int_equal(r->done[k].frames, frames);
        assert_int_equal(r->done[k].pts_digest, digest);
        assert_int_equal(r->done[k].corrupt_frames, 0);
        assert_int_equal(r->done[k].packets[0], frames);
        for (int i = 0; i < 2; i++)
            assert_true(r->packets[k][i].count == 0 ||
                        r->packets[k][i].items[0].flags & PACKET_KEY);
        /* Key frames of both at the same time. */
        size_t keys[2] = {0};
        int64_t sums[2] = {0};
        for (int i = 0; i < 2; i++)
            for (size_t j = 0; j < r->packets[k][i].count; j++)
                if (r->packets[k][i].items[j].flags & PACKET_KEY) {
                    keys[i]++;
                    sums[i] += r->packets[k][i].items[j].pts;
                }
        assert_int_equal(keys[0], keys[1]);
        assert_int_equal(sums[0], sums[1]);
    }
    assert_int_equal(at, source->count);
}

static struct session_params params_of(const struct clip *clip)
{
    struct session_params params = {.device_kind = DEVICE_CPU,
                                    .source = clip->track,
                                    .renditions_count = 2,
                                    .gop_us = 300000,
                                    .deinterlace = DEINTERLACE_AUTO,
                                    .threads = 2};
    params.renditions[0] = (struct rendition_params){.codec = "h264",
                                                     .width = clip->width,
                                                     .height = clip->height,
                                                     .rate = RATE_QUALITY,
                                                     .quality = 0,
                                                     .speed = 1,
                                                     .bframes = 2};
    params.renditions[1] = (struct rendition_params){.codec = "h264",
                                                     .width = 88,
                                                     .height = 72,
                                                     .rate = RATE_QUALITY,
                                                     .quality = 23,
                                                     .speed = 2,
                                                     .bframes = -1,
                                                     .frame_rate_max = {15, 1}};
    return params;
}

#define SOURCE "-f lavfi -i testsrc2=s=176x144:r=25:d=3,noise=alls=8:allf=t "

static void lossless_in_any_order(void **state)
{
    (void)state;
    static const struct {
        const char *name, *args;
    } films[] = {
        {"open.mkv", SOURCE "-pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 3 -g 12 "
                            "-sc_threshold 0 -x264-params open-gop=1:b-pyramid=normal"},
        {"closed.mp4", SOURCE "-pix_fmt yuv420p -c:v libx264 -preset veryfast -bf 2 -g 10"},
        {"high10.mp4", SOURCE "-pix_fmt yuv420p10le -c:v libx264 -preset veryfast -g 15"},
        {"cra.mkv", SOURCE "-pix_fmt yuv420p -c:v libx265 -preset ultrafast "
                           "-x265-params log-level=none:keyint=12:bframes=3:open-gop=1"},
        {"intra.mov", SOURCE "-t 1 -pix_fmt yuv422p10le -c:v prores_ks"},
        {"vfr.mkv", SOURCE "-vf select='mod(n\\,7)*mod(n\\,5)' -vsync vfr -pix_fmt yuv420p "
                           "-c:v libx264 -preset veryfast -bf 2 -g 12"},
        {"mpeg2.ts", SOURCE "-pix_fmt yuv420p -c:v mpeg2video -bf 2 -g 12 -q:v 4"},
    };
    for (size_t f = 0; f < sizeof(films) / sizeof(films[0]); f++) {
        if (!clip_make(films[f].name, films[f].args)) {
            print_message("%s: ffmpeg here cannot make it\n", films[f].name);
            continue;
        }
        struct clip clip;
        clip_read(films[f].name, &clip);
        const struct cuts c = cut(&clip);
        assert_true(c.count > 2);
        struct frame_list source = decode_source(&clip);
        const struct session_params params = params_of(&clip);
        for (unsigned seed = 0; seed < 3; seed++) {
            print_message("%s, seed %u: %d segments\n", films[f].name, seed, c.count);
            struct result *r = run(&clip, &params, &c, seed);
            check_counts(r, &c, &clip, &source);
            struct frame_list got = decode_rendition(r, c.count, 0);
            assert_int_equal(got.count, source.count);
            /* Where chroma is lost it must be said. */
            const bool exact = r->tracks[0].format == source.items[0]->format;
            assert_int_equal(strstr(r->notes, "is encoded as") == NULL, exact);
            for (size_t i = 0; i < got.count; i++) {
                assert_int_equal(got.items[i]->pts, source.items[i]->pts);
                assert_true(!exact || same_picture(got.items[i], source.items[i]));
            }
            frame_list_done(&got);
            /* The other one decodes too, to what was counted. */
            got = decode_rendition(r, c.count, 1);
            size_t packets = 0;
            for (int k = 0; k < c.count; k++)
                packets += (size_t)r->done[k].packets[1];
            assert_int_equal(got.count, packets);
            assert_true(got.count <= source.count && got.count * 2 >= source.count);
            frame_list_done(&got);
            result_done(r);
        }
        frame_list_done(&source);
        clip_done(&clip);
    }
}

static void interlaced(void **state)
{
    (void)state;
    assert_true(clip_make("fields.ts", SOURCE "-vf setfield=tff -pix_fmt yuv420p -c:v libx264 "
                                              "-preset veryfast -flags +ilme+ildct -g 12"));
    struct clip clip;
    clip_read("fields.ts", &clip);
    const struct cuts c = cut(&clip);
    struct frame_list source = decode_source(&clip);
    for (int mode = DEINTERLACE_OFF; mode <= DEINTERLACE_AUTO; mode++) {
        struct session_params params = params_of(&clip);
        params.deinterlace = (enum deinterlace_mode)mode;
        struct result *r = run(&clip, &params, &c, 1);
        check_counts(r, &c, &clip, &source);
        struct frame_list got = decode_rendition(r, c.count, 0);
        assert_int_equal(got.count, source.count);
        size_t same = 0;
        for (size_t i = 0; i < got.count; i++) {
            assert_int_equal(got.items[i]->pts, source.items[i]->pts);
            assert_int_equal(!!(got.items[i]->flags & FRAME_INTERLACED), mode == DEINTERLACE_OFF);
            same += same_picture(got.items[i], source.items[i]);
        }
        assert_int_equal(same, mode == DEINTERLACE_OFF ? source.count : 0);
        assert_non_null(
            strstr(r->notes, mode == DEINTERLACE_OFF ? "field by field" : "deinterlaced"));
        frame_list_done(&got);
        result_done(r);
    }
    frame_list_done(&source);
    clip_done(&clip);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lossless_in_any_order),
        cmocka_unit_test(interlaced),
    };
    return cmocka_run_group_tests(tests, clip_set_up, clip_tear_down);
}
