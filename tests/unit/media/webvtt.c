/* WebVTT texts: what each piece of ASS becomes, and that nothing ever ends a cue early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "media/webvtt.h"

#define EVENT "3,0,Default,,0,0,0,,"

static void expect_ass(const char *text, bool comments, const char *want)
{
    char event[512];
    struct text out = {0};
    snprintf(event, sizeof(event), EVENT "%s", text);
    assert_int_equal(webvtt_add_ass(&out, event, comments), 0);
    assert_string_equal(text_string(&out), want);
    text_done(&out);
}

static void test_ass(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"plain, with, commas", "plain, with, commas"},
        {"a < b & c --> d", "a &lt; b &amp; c --&gt; d"},
        {"one\\Ntwo\\nthree\\hfour", "one\ntwo three\xc2\xa0"
                                     "four"},
        {"{\\i1}It{\\i0} is", "<i>It</i> is"},
        {"{\\b1\\i1}both{\\b0}one{\\r}none", "<b><i>both</i></b><i>one</i>none"},
        {"{\\b700}x{\\b400}y{\\u1}z", "<b>x</b>y<u>z</u>"},
        {"{\\b1}{\\b0}nothing {\\i}to {\\u0}see", "nothing to see"},
        {"{\\an8\\pos(10,20)\\blur2\\bord3\\iclip(1,2,3,4)\\fnArial\\1c&HFF&}up", "up"},
        {"{\\t(0,100,\\b1)\\i1}x", "<i>x</i>"},
        {"{\\i1}over\\Ntwo lines{\\i0}\\N", "<i>over\ntwo lines</i>"},
        {"\\N\\Na\\N\\N\\Nb\\N", "a\n&nbsp;\n&nbsp;\nb"},
        {"{\\p1}m 0 0 l 10 0 10 10{\\p0}", ""},
        {"a{\\p1}m 0 0{\\p0}b", "ab"},
        {"{\\i1}  {\\i0}\\N ", ""},
        {"", ""},
        {"an \\{ escape \\} and \\x, {open", "an { escape } and \\x, {open"},
        {"{no override}x", "x"},
        {"\xff\xc3(\xe2\x82\xac", "\xef\xbf\xbd\xef\xbf\xbd(\xe2\x82\xac"},
        {"a\tb\x01\r\nc", "a b\nc"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        expect_ass(cases[i].text, true, cases[i].want);
    expect_ass("{not a comment}{\\i1}x", false, "{not a comment}<i>x</i>");
    struct text out = {0};
    assert_int_equal(webvtt_add_ass(&out, "too,few,fields", true), 0);
    assert_int_equal(out.size, 0);
    assert_int_equal(webvtt_add_ass(&out, "", true), 0);
    assert_int_equal(out.size, 0);
    /* Appended, and nothing taken away from what was there. */
    text_add(&out, "before ");
    assert_int_equal(webvtt_add_ass(&out, EVENT " ", true), 0);
    assert_string_equal(text_string(&out), "before ");
    text_done(&out);
}

static void test_own(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"<v Ann>One &amp; <c.loud>two</c></v>", "<v Ann>One &amp; <c.loud>two</c></v>"},
        {"\r\na\r\n\r\nb\n\n\nc\n", "a\nb\nc"},
        {"1 --> 2", "1 --&gt; 2"},
        {"\xfe\x07x", "\xef\xbf\xbd x"},
        {"", ""},
        {"\n\r", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct text out = {0};
        assert_int_equal(webvtt_add_own(&out, cases[i].text), 0);
        assert_string_equal(text_string(&out), cases[i].want);
        text_done(&out);
    }
}

static void test_cue(void **state)
{
    (void)state;
    struct text out = {0};
    webvtt_add_head(&out);
    webvtt_add_cue(&out, 1, 59999, NULL, "a");
    webvtt_add_cue(&out, 3600000, 360000000, "line:0  align:start\nnone:1", "b\nc");
    assert_int_equal(webvtt_add_cue(&out, 0, 1, "x --> y:1 a:b>c \x01:2 size:50%", "d"), 0);
    assert_string_equal(text_string(&out),
                        "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n"
                        "00:00:00.001 --> 00:00:59.999\na\n\n"
                        "01:00:00.000 --> 100:00:00.000 line:0 align:start\nb\nc\n\n"
                        "00:00:00.000 --> 00:00:00.001 y:1 size:50%\nd\n\n");
    text_done(&out);
    char *many = malloc(100000);
    assert_non_null(many);
    memset(many, 'a', 99999);
    many[99999] = 0;
    for (size_t i = 1; i + 3 < 99999; i += 4)
        memcpy(many + i, ":1 ", 3);
    assert_int_equal(webvtt_add_cue(&out, 0, 1, many, "x"), 0);
    assert_in_range(out.size, 200, 400);
    text_done(&out);
    free(many);
    struct text small = {.limit = 10};
    assert_int_equal(webvtt_add_ass(&small, EVENT "more than ten", true), RGPU_ERROR_LIMIT);
    text_done(&small);
}

/* Whatever goes in, a cue's text has no empty line, no arrow and no control character. */
static void test_any_bytes(void **state)
{
    (void)state;
    static const char letters[] = "\\{}<>&-N nhibup01rt(),\r\n\x01\xff\xc3\xa9";
    uint32_t seed = 12345;
    print_message("seed %u\n", seed);
    for (int run = 0; run < 20000; run++) {
        char event[64] = EVENT;
        size_t n = strlen(event);
        for (const size_t end = n + (seed >> 16) % 40; n < end; n++) {
            seed = seed * 1664525 + 1013904223;
            event[n] = letters[(seed >> 16) % (sizeof(letters) - 1)];
        }
        event[n] = 0;
        struct text out[3] = {{0}, {0}, {0}};
        webvtt_add_ass(&out[0], event, true);
        webvtt_add_ass(&out[1], event, false);
        webvtt_add_own(&out[2], event + strlen(EVENT));
        for (int i = 0; i < 3; i++) {
            const char *text = text_string(&out[i]);
            assert_null(strstr(text, "\n\n"));
            assert_null(strstr(text, "-->"));
            assert_null(strpbrk(text, "\r\x01\xff"));
            assert_true(text[0] != '\n');
            assert_true(!*text || text[strlen(text) - 1] != '\n');
            text_done(&out[i]);
        }
        seed = seed * 1664525 + 1013904223;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ass),
        cmocka_unit_test(test_own),
        cmocka_unit_test(test_cue),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
