/* What pictures are brought to, and how: colours, shapes, what is said of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "transcode/picture.h"

static const struct color bt601 = {6, 6, 6, RANGE_LIMITED, CHROMA_LEFT};
static const struct color bt709 = {1, 1, 1, RANGE_LIMITED, CHROMA_LEFT};

static struct track track(enum pixel_format format, int width, int height, struct color color)
{
    return (struct track){.format = format, .width = width, .height = height, .color = color};
}

static struct frame frame(enum pixel_format format, int width, int height, struct color color)
{
    return (struct frame){.format = format, .width = width, .height = height, .color = color};
}

static uint32_t fit(const struct track *picture, const struct frame *f, struct scaler_params *ret)
{
    *ret = (struct scaler_params){.outputs_count = 2,
                                  .outputs = {{320, 180, PIXEL_YUV420P}, {160, 90, PIXEL_NV12}}};
    return picture_fit(picture, f, ret);
}

static void the_first_picture(void **state)
{
    (void)state;
    struct track source = track(PIXEL_NONE, 640, 480, bt601);
    source.extradata = buffer_new(4);
    source.sample_aspect = (struct rational){4, 3};
    source.field_order = FIELD_PROGRESSIVE;
    source.hdr = (struct hdr){.has_mastering = true, .luminance_max = 7};
    struct frame first = frame(PIXEL_YUV422P, 320, 240, (struct color){.matrix = 1});
    first.flags = FRAME_INTERLACED | FRAME_TOP_FIRST;
    first.hdr = (struct hdr){.has_light_level = true, .max_content_light = 900};
    const struct track p = picture_of(&source, &first);
    assert_null(p.extradata);
    assert_int_equal(p.width, 320);
    assert_int_equal(p.height, 240);
    assert_int_equal(p.format, PIXEL_YUV422P);
    assert_int_equal(p.sample_aspect.num, 4);
    assert_int_equal(p.color.matrix, 1);
    assert_int_equal(p.color.primaries, 6);
    assert_int_equal(p.field_order, FIELD_TOP_FIRST);
    assert_true(p.hdr.has_mastering && p.hdr.has_light_level);
    assert_int_equal(p.hdr.luminance_max, 7);
    assert_int_equal(p.hdr.max_content_light, 900);
    /* It is not different from itself. */
    struct scaler_params s;
    first.sample_aspect = (struct rational){4, 3};
    assert_int_equal(fit(&p, &first, &s), 0);
    assert_memory_equal(&s.color, &s.target, sizeof(s.color));
    assert_int_equal(s.outputs[0].area.width, 0);
    buffer_unref(&source.extradata);
}

static void colours(void **state)
{
    (void)state;
    static const struct {
        struct color picture, frame;
        struct color from, to; /* what the scaler is told */
        uint32_t changes;
    } cases[] = {
        {{6, 6, 6, 1, 1}, {1, 1, 1, 1, 1}, {1, 6, 1, 1, 1}, {6, 6, 6, 1, 1}, PICTURE_COLOR},
        {{6, 6, 6, 1, 1}, {6, 6, 6, 2, 1}, {6, 6, 6, 2, 1}, {6, 6, 6, 1, 1}, PICTURE_COLOR},
        /* Two codes of one matrix. */
        {{5, 6, 5, 1, 1}, {5, 6, 6, 1, 1}, {5, 6, 5, 1, 1}, {5, 6, 5, 1, 1}, 0},
        {{5, 6, 6, 1, 1}, {5, 6, 5, 1, 1}, {5, 6, 6, 1, 1}, {5, 6, 6, 1, 1}, 0},
        /* One curve by two names, with 2020's primaries. */
        {{1, 1, 1, 1, 1}, {9, 14, 9, 1, 1}, {9, 1, 9, 1, 1}, {1, 1, 1, 1, 1}, PICTURE_COLOR},
        /* What a frame does not say is what the picture has. */
        {{1, 1, 1, 2, 2}, {0, 0, 0, 0, 0}, {1, 1, 1, 2, 2}, {1, 1, 1, 2, 2}, 0},
        /* What the picture does not say is what its size suggests. */
        {{0, 0, 0, 0, 0}, {6, 6, 6, 1, 1}, {0, 0, 6, 1, 1}, {0, 0, 6, 1, 1}, 0},
        {{0, 0, 0, 0, 0}, {1, 1, 1, 2, 3}, {0, 0, 1, 2, 3}, {0, 0, 6, 1, 1}, PICTURE_COLOR},
        /* SDR to PQ: the light stays as it is, the matrix is converted. */
        {{1, 1, 1, 1, 1},
         {9, 16, 9, 1, 1},
         {1, 1, 9, 1, 1},
         {1, 1, 1, 1, 1},
         PICTURE_COLOR | PICTURE_COLOR_KEPT},
        /* ICtCp. */
        {{9, 16, 9, 1, 1},
         {9, 16, 14, 1, 1},
         {9, 16, 9, 1, 1},
         {9, 16, 9, 1, 1},
         PICTURE_COLOR_KEPT},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct track p = track(PIXEL_YUV420P, 320, 180, cases[i].picture);
        const struct frame f = frame(PIXEL_YUV420P, 320, 180, cases[i].frame);
        struct scaler_params s;
        assert_int_equal(fit(&p, &f, &s), cases[i].changes);
        const struct color *from = &cases[i].from, *to = &cases[i].to;
        assert_int_equal(s.color.matrix, from->matrix);
        assert_int_equal(s.target.matrix, to->matrix);
        assert_int_equal(s.color.range, from->range);
        assert_int_equal(s.target.range, to->range);
        assert_int_equal(s.color.chroma, from->chroma);
        assert_int_equal(s.target.chroma, to->chroma);
        /* Light is converted only where both sides differ. */
        assert_int_equal(s.color.primaries != s.target.primaries && s.target.primaries,
                         from->primaries != to->primaries && to->primaries);
        assert_int_equal(s.color.transfer, to->transfer);
    }
}

static void rgb(void **state)
{
    (void)state;
    struct scaler_params s;
    struct track p = track(PIXEL_GBRP, 320, 180, (struct color){.matrix = MATRIX_RGB, .range = 2});
    struct color c = picture_color(&p);
    assert_int_equal(c.matrix, 6);
    assert_int_equal(c.range, RANGE_LIMITED);
    assert_int_equal(c.chroma, CHROMA_LEFT);
    struct frame f = frame(PIXEL_GBRP, 320, 180, p.color);
    assert_int_equal(fit(&p, &f, &s), 0);
    /* YUV after RGB. */
    f = frame(PIXEL_YUV420P, 320, 180, bt709);
    assert_int_equal(fit(&p, &f, &s), PICTURE_FORMAT | PICTURE_COLOR);
    assert_int_equal(s.color.matrix, 1);
    assert_int_equal(s.target.matrix, 6);
    /* RGB after YUV goes straight to the picture's matrix. */
    p = track(PIXEL_YUV420P, 320, 180, (struct color){.matrix = 1});
    f = frame(PIXEL_GBRP, 320, 180, (struct color){.matrix = MATRIX_RGB});
    assert_int_equal(fit(&p, &f, &s), PICTURE_FORMAT);
    assert_int_equal(s.target.matrix, 1);
    assert_int_equal(s.target.range, RANGE_LIMITED);
    p.height = 1080;
    p.color.primaries = 9;
    p.format = PIXEL_GBRP;
    assert_int_equal(picture_color(&p).matrix, 9);
}

static void shapes(void **state)
{
    (void)state;
    static const struct {
        int width, height;
        struct rational aspect;
        bool interlaced;
        int area[4]; /* of the 320x180 output; width 0: all of it */
    } cases[] = {
        {640, 360, {1, 1}, false, {0, 0, 0, 0}},
        {640, 360, {0, 0}, false, {0, 0, 0, 0}},
        {854, 480, {1, 1}, false, {0, 0, 0, 0}}, /* rounded to even */
        {720, 576, {64, 45}, false, {0, 0, 0, 0}},
        {480, 288, {1, 1}, false, {10, 0, 300, 180}},
        {720, 576, {16, 15}, false, {40, 0, 240, 180}},
        {1920, 800, {1, 1}, false, {0, 22, 320, 134}},
        {1920, 800, {1, 1}, true, {0, 24, 320, 132}},
        {320, 180, {1, 1000}, false, {0, 0, 0, 0}}, /* nonsense */
        {320, 180, {1000, 1}, false, {0, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct track p = track(PIXEL_YUV420P, 1920, 1080, bt601);
        struct frame f = frame(PIXEL_YUV420P, cases[i].width, cases[i].height, bt601);
        struct scaler_params s = {.outputs_count = 1, .outputs = {{320, 180, PIXEL_YUV420P}}};
        s.interlaced = cases[i].interlaced;
        f.sample_aspect = cases[i].aspect;
        const uint32_t changes = picture_fit(&p, &f, &s);
        assert_int_equal(changes, PICTURE_SIZE | (cases[i].area[2] ? PICTURE_SHAPE : 0));
        assert_int_equal(s.outputs[0].area.x, cases[i].area[0]);
        assert_int_equal(s.outputs[0].area.y, cases[i].area[1]);
        assert_int_equal(s.outputs[0].area.width, cases[i].area[2]);
        assert_int_equal(s.outputs[0].area.height, cases[i].area[3]);
    }
}

static void other_changes(void **state)
{
    (void)state;
    struct scaler_params s, t;
    struct track p = track(PIXEL_YUV420P, 320, 180, bt601);
    struct frame f = frame(PIXEL_NV12, 320, 180, bt601);
    assert_int_equal(fit(&p, &f, &s), 0);
    assert_true(picture_same_fit(&s, &s));
    f.format = PIXEL_YUV420P10;
    assert_int_equal(fit(&p, &f, &t), PICTURE_FORMAT);
    assert_false(picture_same_fit(&s, &t));
    f.format = PIXEL_YUV420P;
    f.hdr.has_light_level = true;
    assert_int_equal(fit(&p, &f, &s), PICTURE_HDR);
    p.hdr.has_light_level = true;
    f.hdr = (struct hdr){0};
    assert_int_equal(fit(&p, &f, &s), 0);
    f.flags = FRAME_INTERLACED;
    assert_int_equal(fit(&p, &f, &s), PICTURE_FIELDS);
    p.field_order = FIELD_BOTTOM_FIRST;
    assert_int_equal(fit(&p, &f, &s), 0);
    for (int i = 0; i < PICTURE_CHANGES; i++)
        assert_non_null(strstr(picture_note((enum picture_change)(1 << i)), "the source changes"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_picture),
        cmocka_unit_test(colours),
        cmocka_unit_test(rgb),
        cmocka_unit_test(shapes),
        cmocka_unit_test(other_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
