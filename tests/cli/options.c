/* The table-driven parser: every kind of value at its edges, and that every table is sound. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "options.h"
#include "plan.h"
#include "status.h"
#include "verbs.h"

static int parse(struct transcode_settings *s, struct complaint *c, char *option, char *value)
{
    const char *operands[OPTIONS_OPERANDS_MAX] = {NULL};
    char in[] = "in", out[] = "out";
    char *argv[] = {in, out, option, value};
    memset(s, 0, sizeof(*s));
    transcode_defaults(s);
    c->text[0] = '\0';
    return options_parse(verb_find("transcode"), value ? 4 : 3, argv, s, operands, c);
}

static void assert_taken(const char *option, const char *value, struct transcode_settings *s)
{
    struct complaint c;
    char o[64], v[64];
    static char joined[160]; /* the settings point into it */
    strcpy(o, option);
    strcpy(v, value);
    assert_int_equal(parse(s, &c, o, v), 0);
    strcat(strcat(strcpy(joined, option), "="), value);
    assert_int_equal(parse(s, &c, joined, NULL), 0);
}

/* The complaint names the option, the value and what is allowed. */
static void assert_refused(const char *option, const char *value, const char *allowed)
{
    struct transcode_settings s;
    struct complaint c;
    char o[64], v[64];
    strcpy(o, option);
    strcpy(v, value);
    if (parse(&s, &c, o, v) != STATUS_USAGE)
        fail_msg("%s %s was taken", option, value);
    if (!strstr(c.text, option) || !strstr(c.text, value) || !strstr(c.text, allowed))
        fail_msg("'%s' does not tell about %s %s (%s)", c.text, option, value, allowed);
    assert_null(strchr(c.text, '\n'));
}

static void numbers(void **state)
{
    struct transcode_settings s;
    (void)state;
    assert_taken("--bitrate", "1", &s);
    assert_int_equal(s.bitrate_kbps, 1);
    assert_taken("--bitrate", "1000000", &s);
    assert_int_equal(s.bitrate_kbps, 1000000);
    assert_taken("--bframes", "0", &s);
    assert_int_equal(s.bframes, 0);
    static const char *const bad[] = {"0",
                                      "-1",
                                      "1000001",
                                      "4M",
                                      "4.5",
                                      "0x10",
                                      " 5",
                                      "5 ",
                                      "1e3",
                                      "nan",
                                      "inf",
                                      "+-5",
                                      "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused("--bitrate", bad[i], "1 to 1000000 kbit/s");
    assert_refused("--bframes", "17", "0 to 16");
    assert_refused("--threads", "123456789012345678901234567890", "1 to 1024");
    assert_refused("--quality", "64", "0 to 63");
}

static void times(void **state)
{
    static const struct {
        const char *text;
        double seconds;
    } good[] = {
        {"0", 0},          {"90.5", 90.5},        {"1:30", 90},          {"01:30.25", 90.25},
        {"1:00:00", 3600}, {"0:00:00.001", .001}, {"100:00:00", 360000}, {".5", 0.5},
        {"120:00", 7200},
    };
    static const char *const bad[] = {"1:60",     "1:5",    "1::30",    "1:2:3:4", ":30",
                                      "30:",      "1:-3",   "-1",       "1.5:30",  "1h",
                                      "00:61:00", "1:30:5", "31536001", ".",       "-1:30"};
    struct transcode_settings s;
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_taken("--start", good[i].text, &s);
        assert_true(fabs(s.start_seconds - good[i].seconds) < 1e-9);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_refused("--start", bad[i], "0 to 31536000 seconds");
    }
    assert_refused("--duration", "0", "0.001");
}

static void rates(void **state)
{
    struct transcode_settings s;
    (void)state;
    assert_taken("--fps", "30000/1001", &s);
    assert_true(fabs(s.fps - 30000.0 / 1001) < 1e-12);
    assert_taken("--fps", "29.97", &s);
    assert_true(fabs(s.fps - 29.97) < 1e-12);
    assert_refused("--fps", "30/0", "0.1 to 1000");
    assert_refused("--fps", "30/", "0.1 to 1000");
    assert_refused("--fps", "/2", "0.1 to 1000");
    assert_refused("--fps", "0", "0.1 to 1000");
}

static void sizes(void **state)
{
    struct transcode_settings s;
    (void)state;
    assert_taken("--size", "1280x720", &s);
    assert_int_equal(s.width, 1280);
    assert_int_equal(s.height, 720);
    assert_taken("--size", "x720", &s);
    assert_int_equal(s.width, 0);
    assert_int_equal(s.height, 720);
    assert_taken("--size", "1280x", &s);
    assert_int_equal(s.width, 1280);
    assert_int_equal(s.height, 0);
    static const char *const bad[] = {"x",      "720", "1x1",     "1280x720x2", "1280X720",
                                      "-2x720", "0x0", "16385x2", "1280x720p"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_refused("--size", bad[i], "2 to 16384");
}

static void words(void **state)
{
    struct transcode_settings s;
    (void)state;
    assert_taken("--codec", "hevc_nvenc", &s);
    assert_string_equal(s.codec, "hevc_nvenc");
    assert_refused("--codec", "h265", "h264, hevc, av1, h264_nvenc, hevc_nvenc, av1_nvenc");
    assert_taken("--speed", "p7", &s);
    assert_int_equal(s.speed, 7);
    assert_refused("--speed", "p8", "p1");
    assert_refused("--speed", "p0", "p1");
    assert_refused("--speed", "medium", "p7");
    assert_taken("--audio", "aac", &s);
    assert_taken("--audio", "opus:96", &s);
    assert_string_equal(s.audio, "opus:96");
    assert_refused("--audio", "copy:96", "aac[:KBPS]");
    assert_refused("--audio", "mp3", "opus[:KBPS]");
    assert_refused("--audio", "aac:", "aac");
    assert_refused("--audio", "aac:5000", "aac");
    assert_taken("--device", "cuda:12", &s);
    assert_refused("--device", "cuda:", "auto, cpu, cuda:N");
    assert_refused("--device", "cuda:-1", "auto, cpu, cuda:N");
    assert_refused("--device", "gpu", "auto, cpu, cuda:N");
    assert_refused("--deinterlace", "on", "auto, off");
    assert_refused("--map", "", "TRACKS");
}

static void suggestions(void **state)
{
    static const struct {
        const char *typed, *meant;
    } rows[] = {
        {"--prset", "'--preset'"},    {"--bitrat", "'--bitrate'"}, {"--codce", "'--codec'"},
        {"--dur", "'--duration'"},    {"--laddr=a", "'--ladder'"}, {"--hepl", "'--help'"},
        {"--strip-hdr", "rgpu help"}, {"--xyzzy", "rgpu help"},    {"-q", "rgpu help"},
        {"-yy", "rgpu help"},         {"--=", "rgpu help"},
    };
    struct transcode_settings s;
    struct complaint c;
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char typed[64];
        strcpy(typed, rows[i].typed);
        assert_int_equal(parse(&s, &c, typed, NULL), STATUS_USAGE);
        if (!strstr(c.text, rows[i].meant))
            fail_msg("%s: '%s'", typed, c.text);
    }
}

static void operands(void **state)
{
    const struct verb *verb = verb_find("transcode");
    const char *found[OPTIONS_OPERANDS_MAX] = {NULL};
    struct transcode_settings s = {0};
    struct complaint c;
    char stdin_name[] = "-", y[] = "-y", dashes[] = "--", strange[] = "--y.mp4", third[] = "third",
         codec[] = "--codec";
    (void)state;
    assert_int_equal(
        options_parse(verb, 4, (char *[]){stdin_name, y, dashes, strange}, &s, found, &c), 0);
    assert_string_equal(found[0], "-");
    assert_string_equal(found[1], "--y.mp4");
    assert_true(s.overwrite);
    assert_int_equal(options_parse(verb, 1, (char *[]){third}, &s, found, &c), STATUS_USAGE);
    assert_non_null(strstr(c.text, "IN OUT"));
    assert_int_equal(options_parse(verb, 3, (char *[]){third, third, third}, &s, found, &c),
                     STATUS_USAGE);
    assert_non_null(strstr(c.text, "one argument too many"));
    assert_int_equal(options_parse(verb, 3, (char *[]){third, third, codec}, &s, found, &c),
                     STATUS_USAGE);
    assert_non_null(strstr(c.text, "--codec needs a value"));
    char json[] = "--json=1";
    assert_int_equal(options_parse(verb, 3, (char *[]){third, third, json}, &s, found, &c),
                     STATUS_USAGE);
    assert_non_null(strstr(c.text, "takes no value"));
}

/* Every row can be found, fits its help line and its settings; numbers have a range. */
static void tables(void **state)
{
    (void)state;
    for (const struct verb *v = verbs; v->name; v++) {
        assert_ptr_equal(verb_find(v->name), v);
        assert_in_range(v->operands_max, v->operands_min, OPTIONS_OPERANDS_MAX);
        for (const struct option *o = v->options; o->help; o++) {
            if (!o->name)
                continue;
            assert_ptr_equal(options_find(v->options, o->name, strlen(o->name)), o);
            assert_true(o->kind == OPTION_FLAG ? !o->argument : o->argument != NULL);
            assert_true(o->offset < v->settings_size);
            assert_true((o->kind == OPTION_OTHER) == (o->parse != NULL));
            if (o->kind == OPTION_INT || o->kind == OPTION_REAL || o->kind == OPTION_RATE ||
                o->kind == OPTION_TIME)
                assert_true(o->min < o->max);
            if (o->kind == OPTION_WORD)
                assert_non_null(o->word(0));
        }
    }
}

static void statuses(void **state)
{
    (void)state;
#define MAPPED(name, value, text)                                                                  \
    if ((value) != 0)                                                                              \
        assert_int_not_equal(status_of_error(value), STATUS_OK);
    RGPU_ERRORS(MAPPED)
#undef MAPPED
    assert_int_equal(status_of_error(RGPU_ERROR_OK), 0);
    assert_int_equal(status_of_error(RGPU_ERROR_CANCELLED), 130);
    assert_int_equal(status_of_error(-1000), STATUS_INTERNAL);
    assert_int_equal(status_of_error(7), STATUS_INTERNAL);
}

static void assert_no_plan(struct transcode_settings s, const char *reason)
{
    struct plan plan;
    struct complaint c;
    assert_int_equal(plan_make(&plan, &s, "in", "out", &c), STATUS_USAGE);
    if (!strstr(c.text, reason))
        fail_msg("'%s' does not say '%s'", c.text, reason);
}

static void plans(void **state)
{
    struct transcode_settings none, s;
    struct plan plan;
    struct complaint c;
    (void)state;
    memset(&none, 0, sizeof(none));
    transcode_defaults(&none);
    assert_int_equal(plan_make(&plan, &none, "in", "out", &c), 0);
    assert_int_equal(plan.params.rungs_count, 1);
    assert_null(plan.rungs[0].preset);
    assert_int_equal(plan.rungs[0].quality, 0);
    assert_int_equal(plan.rungs[0].bframes, 0);

    s = none;
    s.ladder = "source,1080p,360p";
    s.quality = s.bframes = 0;
    s.codec = "hevc";
    assert_int_equal(plan_make(&plan, &s, "in", "out", &c), 0);
    assert_int_equal(plan.params.rungs_count, 3);
    assert_null(plan.rungs[0].codec);
    for (int i = 1; i < 3; i++) {
        assert_string_equal(plan.rungs[i].codec, "hevc");
        assert_int_equal(plan.rungs[i].quality, RGPU_QUALITY_LOSSLESS);
        assert_int_equal(plan.rungs[i].bframes, -1);
    }
    s = none;
    s.ladder = "1080p,,360p";
    assert_no_plan(s, "--ladder: ''");
    s.ladder = "1080p,";
    assert_no_plan(s, "--ladder: ''");
    s.ladder = "1080p,1080p";
    assert_no_plan(s, "twice");
    s.ladder = "1080p,721p";
    assert_no_plan(s, "'721p' is not one of source, 1080p, 720p, 360p");
    s.ladder = "1080p";
    s.preset = "720p";
    assert_no_plan(s, "--preset");
    s = none;
    s.preset = "source";
    s.bitrate_kbps = 5;
    assert_no_plan(s, "--bitrate");
    s = none;
    s.quality = 20;
    s.bitrate_kbps = 5;
    assert_no_plan(s, "--quality and --bitrate");
    char long_ladder[2000];
    memset(long_ladder, 'a', sizeof(long_ladder));
    long_ladder[sizeof(long_ladder) - 1] = '\0';
    s = none;
    s.ladder = long_ladder;
    assert_no_plan(s, "--ladder");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),  cmocka_unit_test(times),  cmocka_unit_test(rates),
        cmocka_unit_test(sizes),    cmocka_unit_test(words),  cmocka_unit_test(suggestions),
        cmocka_unit_test(operands), cmocka_unit_test(tables), cmocka_unit_test(statuses),
        cmocka_unit_test(plans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
