/* media/boxes.h: files by hand, cut at every place. */
#include "unit/media/streams.h"

#include "media/boxes.h"

#define FTYP                                                                                       \
    "\0\0\0\x10"                                                                                   \
    "ftypisom\0\0\0\0"
#define FREE                                                                                       \
    "\0\0\0\x09"                                                                                   \
    "freeX"
#define LARGE_FREE                                                                                 \
    "\0\0\0\1"                                                                                     \
    "free\0\0\0\0\0\0\0\x12"                                                                       \
    "YY"
#define MOOV                                                                                       \
    "\0\0\0\x08"                                                                                   \
    "moov"
#define MDAT                                                                                       \
    "\0\0\0\x0c"                                                                                   \
    "mdatABCD"
#define LARGE_MDAT                                                                                 \
    "\0\0\0\1"                                                                                     \
    "mdat\0\0\0\1\0\0\0\0"
#define ENDLESS_MDAT                                                                               \
    "\0\0\0\0"                                                                                     \
    "mdat"

struct file {
    const char *bytes;
    size_t size;
    bool index_last;
};

#define FILE_OF(bytes, index_last)                                                                 \
    {                                                                                              \
        bytes, sizeof(bytes) - 1, index_last                                                       \
    }

static const struct file files[] = {
    FILE_OF(FTYP MDAT MOOV, true),
    FILE_OF(FTYP MOOV MDAT, false),
    FILE_OF(FTYP FREE MDAT, true),
    FILE_OF(FTYP FREE MOOV MDAT, false),
    FILE_OF(FTYP LARGE_FREE MDAT, true),
    FILE_OF(FTYP LARGE_FREE MOOV, false),
    FILE_OF(FTYP LARGE_MDAT, true),
    FILE_OF(FTYP ENDLESS_MDAT, true),
    FILE_OF(MDAT, true), /* QuickTime without an ftyp */
    /* A fragmented file has its index first; what is unknown may be one. */
    FILE_OF(FTYP "\0\0\0\x08moof" MDAT, false),
    FILE_OF(FTYP "\0\0\0\x08"
                 "abcd" MDAT,
            false),
    /* A box that is shorter than its head, or without end. */
    FILE_OF(FTYP "\0\0\0\x07"
                 "free" MDAT,
            false),
    FILE_OF(FTYP "\0\0\0\0"
                 "free" MDAT,
            false),
    FILE_OF(FTYP "\0\0\0\1"
                 "free\0\0\0\0\0\0\0\x0f" MDAT,
            false),
    FILE_OF(FTYP "\0\0\0\1"
                 "free\xff\xff\xff\xff\xff\xff\xff\xff" MDAT,
            false),
    /* What is in a box is none. */
    FILE_OF("\0\0\0\x14"
            "ftyp"
            "\0\0\0\x0c"
            "mdatABCD" MOOV,
            false),
    FILE_OF("\0\0\0\x10"
            "ftyp",
            false),
    FILE_OF("\0\0\0\x0cmda", false),
};

static void test_where_the_index_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct boxes b = {0};
        boxes_follow(&b, (const uint8_t *)files[i].bytes, files[i].size);
        if (b.index_last != files[i].index_last)
            fail_msg("file %zu: the index is %s", i, b.index_last ? "last" : "first");
    }
}

static void test_portions(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        const uint8_t *bytes = (const uint8_t *)files[i].bytes;
        for (size_t step = 1; step <= files[i].size; step++) {
            struct boxes b = {0};
            for (size_t at = 0; at < files[i].size; at += step)
                boxes_follow(&b, bytes + at, step < files[i].size - at ? step : files[i].size - at);
            if (b.index_last != files[i].index_last)
                fail_msg("file %zu in portions of %zu: the index is %s", i, step,
                         b.index_last ? "last" : "first");
        }
    }
}

/* What comes behind the pictures' box changes nothing, as no more is looked at. */
static void test_no_more_is_looked_at(void **state)
{
    (void)state;
    struct boxes b = {0};
    boxes_follow(&b, (const uint8_t *)FTYP MDAT, sizeof(FTYP MDAT) - 1);
    assert_true(b.over && b.index_last);
    boxes_follow(&b, (const uint8_t *)MOOV, sizeof(MOOV) - 1);
    assert_true(b.index_last);
}

static void test_sizes(void **state)
{
    (void)state;
    assert_int_equal(box_size((const uint8_t *)FTYP), 16);
    assert_int_equal(box_size((const uint8_t *)LARGE_FREE), 18);
    assert_int_equal(box_size((const uint8_t *)LARGE_MDAT), (int64_t)1 << 32);
    assert_int_equal(box_size((const uint8_t *)"\0\0\0\7free\0\0\0\0\0\0\0\0"), 0);
    assert_true(box_is((const uint8_t *)MOOV, "moov"));
    assert_false(box_is((const uint8_t *)MOOV, "moof"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_the_index_is),
        cmocka_unit_test(test_portions),
        cmocka_unit_test(test_no_more_is_looked_at),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
