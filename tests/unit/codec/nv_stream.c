/* What the packets of a stream are said to be on their way to NVIDIA's parser. Needs no GPU. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "codec/nv/decoder_table.h"
#include "support/clip.h"

#define SOURCE "-f lavfi -i testsrc2=s=176x144:r=25:d=1.6 -pix_fmt yuv420p "

/* Open GOPs all. */
static const struct {
    const char *name, *args;
} examples[] = {
    {"hevc.mp4",
     SOURCE "-c:v libx265 -preset veryfast -x265-params log-level=none:pools=none:bframes=4:"
            "open-gop=1:keyint=12:min-keyint=12"},
    {"mpeg2.ts", SOURCE "-c:v mpeg2video -flags +ilme+ildct -bf 2 -field_order tt -q:v 4"},
    {"mpeg1.ts", SOURCE "-c:v mpeg1video -bf 2 -q:v 4"},
};

/* What the parser must not be given at a start: it might show it. */
static void test_left_out(void **state)
{
    (void)state;
    for (size_t n = 0; n < sizeof(examples) / sizeof(examples[0]); n++) {
        const char *name = examples[n].name;
        struct clip clip;
        struct nv_stream stream;
        struct error err = {0};
        int skipped = 0;
        if (!clip_make(name, examples[n].args)) {
            print_message("%s: this ffmpeg cannot make it\n", name);
            continue;
        }
        clip_read(name, &clip);
        assert_int_equal(nv_stream_init(&stream, &clip.track, &err), 0);
        for (size_t i = 1; i < clip.count; i++) {
            if (!(clip.packets[i].flags & PACKET_KEY))
                continue;
            nv_stream_reset(&stream);
            for (size_t k = i; k < clip.count; k++) {
                struct nv_facts facts;
                const struct packet *p = &clip.packets[k];
                assert_int_equal(nv_stream_next(&stream, p, &facts, &err), 0);
                assert_false(facts.failed);
                if (facts.skip != (p->pts < clip.packets[i].pts))
                    fail_msg("%s from packet %zu: packet %zu is%s left out", name, i, k,
                             facts.skip ? "" : " not");
                skipped += facts.skip;
                nv_facts_done(&facts);
            }
        }
        assert_true(skipped > 0);
        nv_stream_done(&stream);
        clip_done(&clip);
    }
}

/* Which packet a frame belongs to. */
static void test_table(void **state)
{
    (void)state;
    struct nv_table *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    nv_table_init(t, (struct rational){1, 25});
    int64_t numbers[3];
    for (int i = 0; i < 3; i++) {
        struct nv_facts facts = {.picture.sides = {.captions = {(uint8_t)i}, .captions_size = 1}};
        const struct packet first = {.pts = 100 - 10 * i, .dts = i, .duration = i};
        numbers[i] = nv_table_add(t, &first, &facts);
        facts.second_field = true;
        facts.picture.sides.timing.code =
            (struct frame_timecode){.count = i == 1, .clocks = {{.seconds = (uint8_t)(10 + i)}}};
        const struct packet second = {.pts = PTS_NONE, .dts = PTS_NONE};
        assert_int_equal(nv_table_add(t, &second, &facts), numbers[i]);
    }
    const struct nv_entry *e = nv_table_take(t, numbers[1]);
    assert_int_equal(e->pts, 90);
    assert_int_equal(e->picture.sides.captions_size, 2);
    assert_int_equal(e->picture.sides.timing.code.count, 1);
    assert_int_equal(e->picture.sides.timing.code.clocks[0].seconds, 11);
    /* Twice, with a number that was never given, and where nothing is left behind the last. */
    assert_true(nv_table_take(t, numbers[1])->pts == PTS_NONE);
    assert_int_equal(nv_table_take(t, 1000)->pts, 100);
    assert_null(nv_table_take(t, 1000));
    assert_int_equal(nv_table_take(t, numbers[2])->pts, 80);
    nv_table_drain(t);
    assert_int_equal(t->lost, 0);
    struct nv_facts facts = {0};
    nv_table_add(t, &(struct packet){.pts = 120, .dts = 4}, &facts);
    nv_table_add(t, &(struct packet){.pts = 130, .dts = 5}, &facts);
    nv_table_remove_newest(t);
    nv_table_drain(t);
    nv_table_drain(t);
    assert_int_equal(t->lost, 1);
    nv_table_reset(t);
    assert_null(nv_table_take(t, numbers[0]));
    nv_table_done(t);
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, clip_set_up, clip_tear_down);
}
