/* What is printed: progress lines at every width, figures, JSON escapes. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "json.h"
#include "progress.h"
#include "text.h"

static struct rgpu_progress sample(int rungs)
{
    struct rgpu_progress p = {.state = RGPU_STATE_RUNNING,
                              .percent = 45.2,
                              .position_seconds = 27,
                              .duration_seconds = 60,
                              .elapsed_seconds = 6.6,
                              .remaining_seconds = 8,
                              .speed = 4.1,
                              .frames_per_second = 123,
                              .frames = 813,
                              .bytes = 21400000,
                              .rungs_count = rungs};
    for (int i = 0; i < rungs; i++) {
        snprintf(p.rungs[i].name, sizeof(p.rungs[i].name), "%dp", 1080 - i);
        p.rungs[i].bytes = 12300000;
    }
    return p;
}

static void line_widths(void **state)
{
    char line[PROGRESS_LINE_MAX];
    (void)state;
    for (int rungs = 0; rungs <= RGPU_RUNGS_MAX; rungs++) {
        struct rgpu_progress p = sample(rungs);
        for (int percent = -1; percent <= 100; percent += 101) {
            p.percent = percent;
            for (int columns = 1; columns <= 400; columns++) {
                int length = progress_line(line, sizeof(line), &p, columns);
                assert_int_equal(length, strlen(line));
                assert_true(length < columns);
                if (columns > 12 && percent == 100)
                    assert_non_null(strstr(line, "100.0%"));
            }
        }
    }
}

static void line_texts(void **state)
{
    char line[PROGRESS_LINE_MAX];
    struct rgpu_progress p = sample(2);
    (void)state;
    progress_line(line, sizeof(line), &p, 0);
    assert_string_equal(line, " 45.2%  123 fps  4.1x  0:08 left  1080p 12.3 MB  1079p 12.3 MB");
    progress_line(line, sizeof(line), &p, 81);
    assert_string_equal(
        line, "[======>        ]  45.2%  123 fps  4.1x  0:08 left  1080p 12.3 MB  1079p 12.3 MB");
    progress_line(line, sizeof(line), &p, 55);
    assert_string_equal(line, "[====>     ]  45.2%  123 fps  4.1x  0:08 left  21.4 MB");
    progress_line(line, sizeof(line), &p, 8);
    assert_string_equal(line, " 45.2%");
    p.percent = -1;
    p.remaining_seconds = -1;
    progress_line(line, sizeof(line), &p, 60);
    assert_string_equal(line, "0:27 done  123 fps  4.1x  1080p 12.3 MB  1079p 12.3 MB");
    p.state = RGPU_STATE_VERIFYING;
    p.percent = 3;
    progress_line(line, sizeof(line), &p, 41);
    assert_string_equal(line, "verifying   3.0%  123 fps  4.1x  21.4 MB");
    p = (struct rgpu_progress){.state = RGPU_STATE_OPENING, .percent = -1};
    progress_line(line, sizeof(line), &p, 60);
    assert_string_equal(line, "opening the input");
}

static void figures(void **state)
{
    char text[32];
    (void)state;
    assert_string_equal(text_bytes(text, sizeof(text), 0), "0 B");
    assert_string_equal(text_bytes(text, sizeof(text), 999), "999 B");
    assert_string_equal(text_bytes(text, sizeof(text), 1000), "1.0 kB");
    assert_string_equal(text_bytes(text, sizeof(text), 999949), "999.9 kB");
    assert_string_equal(text_bytes(text, sizeof(text), 999950), "1.0 MB");
    assert_string_equal(text_bytes(text, sizeof(text), INT64_MAX), "9.2 EB");
    assert_string_equal(text_time(text, sizeof(text), 59.6), "1:00");
    assert_string_equal(text_time(text, sizeof(text), 3723), "1:02:03");
    assert_string_equal(text_time(text, sizeof(text), -1), "-");
    assert_string_equal(text_time(text, sizeof(text), NAN), "-");
    assert_string_equal(text_time(text, sizeof(text), INFINITY), "-");
    assert_string_equal(text_bitrate(text, sizeof(text), 850.4), "850 kb/s");
    assert_string_equal(text_bitrate(text, sizeof(text), 5200), "5.20 Mb/s");
    assert_string_equal(text_bitrate(text, sizeof(text), NAN), "-");
}

static void json_values(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct json j = {.out = out};
    (void)state;
    assert_non_null(out);
    json_begin(&j, NULL, '{');
    json_string(&j, "a\"", "q\" b\\ n\n \x7f e\xc3\xa9 \xf0\x9f\x98\x80");
    json_string(&j, "none", NULL);
    json_string(&j, "bad", "\xff \xc3 \xc0\xaf \xed\xa0\x80 \xf8\x88");
    json_real(&j, "nan", NAN, 2);
    json_real(&j, "inf", INFINITY, 2);
    json_real(&j, "x", 1.005, 1);
    json_real_known(&j, "no", -1, 1);
    json_int(&j, "big", INT64_MIN);
    json_bool(&j, "t", true);
    json_begin(&j, "l", '[');
    json_end(&j, ']');
    json_words(&j, "w", "h264 (libx264), hevc,, av1 ");
    json_end(&j, '}');
    json_line(&j);
    json_begin(&j, NULL, '[');
    json_end(&j, ']');
    json_line(&j);
    fclose(out);
    assert_string_equal(
        text,
        "{\"a\\\"\":\"q\\\" b\\\\ n\\u000a \\u007f e\xc3\xa9 \xf0\x9f\x98\x80\",\"none\":null,"
        "\"bad\":\"\\ufffd \\ufffd \\ufffd\\ufffd \\ufffd\\ufffd\\ufffd \\ufffd\\ufffd\","
        "\"nan\":null,\"inf\":null,\"x\":1.0,\"no\":null,\"big\":-9223372036854775808,"
        "\"t\":true,\"l\":[],\"w\":[\"h264 (libx264)\",\"hevc\",\"av1\"]}\n[]\n");
    free(text);
}

/* A plain line each five seconds, an object each second, nothing at all when quiet. */
static void steps(void **state)
{
    static const struct {
        enum progress_mode mode;
        int lines;
    } rows[] = {{PROGRESS_LINES, 5}, {PROGRESS_JSON, 30}, {PROGRESS_QUIET, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = NULL;
        size_t size = 0;
        int lines = 0;
        struct progress_view view = {.mode = rows[i].mode, .out = open_memstream(&text, &size)};
        struct rgpu_progress p = sample(1);
        assert_non_null(view.out);
        for (int step = 0; step < 300; step++)
            progress_show(&view, &p, 1000 + step / 10.0);
        fclose(view.out);
        for (const char *c = text; *c; c++)
            lines += *c == '\n';
        assert_int_equal(lines, rows[i].lines);
        assert_null(strchr(text, '\033'));
        free(text);
    }
}

static void table(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct rgpu_progress p = sample(2);
    (void)state;
    assert_non_null(out);
    p.rungs[0].psnr_y = 41.237;
    p.rungs[1].psnr_y = 100;
    snprintf(p.rungs[1].output, sizeof(p.rungs[1].output), "a\nb\033[2J\xc2\x9b\xc3\xa9");
    progress_table(out, &p);
    fclose(out);
    assert_non_null(strstr(text, "41.24 dB"));
    assert_non_null(strstr(text, "identical"));
    assert_non_null(strstr(text, "a?b?[2J?\xc3\xa9"));
    assert_null(strstr(text, "damaged"));
    assert_null(strstr(text, "Master"));
    free(text);
    out = open_memstream(&text, &size);
    assert_non_null(out);
    snprintf(p.master, sizeof(p.master), "out/master.m3u8");
    progress_table(out, &p);
    fclose(out);
    assert_non_null(strstr(text, "\nMaster playlist: out/master.m3u8\n"));
    free(text);
}

static const char *no_warning(void *opaque, int i)
{
    (void)opaque;
    (void)i;
    return NULL;
}

/* Where nothing is encoded there is no device. */
static void device(void **state)
{
    static const char *const rows[][3] = {{"cpu", " s on cpu: ", "\"device\":\"cpu\""},
                                          {"", "in 6.6 s: ", "\"device\":null"}};
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        struct rgpu_progress p = sample(1);
        assert_non_null(out);
        snprintf(p.device, sizeof(p.device), "%s", rows[i][0]);
        progress_table(out, &p);
        progress_summary_json(out, &p, 0, "", 0, no_warning, NULL);
        fclose(out);
        assert_non_null(strstr(text, rows[i][1]));
        assert_non_null(strstr(text, rows[i][2]));
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_widths), cmocka_unit_test(line_texts), cmocka_unit_test(figures),
        cmocka_unit_test(json_values), cmocka_unit_test(table),      cmocka_unit_test(steps),
        cmocka_unit_test(device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
