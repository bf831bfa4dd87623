/* What a container cannot say: it is told, and nothing else is said instead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "films.h"
#include "muxing.h"

static void run_ok(const struct mux_job *job, char **ret_warnings)
{
    struct error err;
    if (mux_run(job, &err, NULL, ret_warnings) != 0)
        fail_msg("%s -> %s: %s", job->in, job->out, err.text);
}

/* QuickTime knows a language by one of its two codes, by one of its own, or not at all. */
static void test_languages_of_mov(void **state)
{
    (void)state;
    static const char *const given[] = {"fre", "fra", "deu", "swe", "jpn", "hrv", "und", "afr"};
    static const char *const kept[] = {"fra", "fra", "ger", "sve", "jpn", "hr ", "", ""};
    char args[1024] = "-f lavfi -i sine=duration=1 ", entries[256] = "";
    for (int i = 0; i < 8; i++)
        snprintf(args + strlen(args), sizeof(args) - strlen(args),
                 "-map 0 -metadata:s:a:%d language=%s ", i, given[i]);
    strcat(args, "-c:a aac tongues.mkv");
    films_make(args);
    char *warnings;
    run_ok(&(struct mux_job){.in = "tongues.mkv", .out = "tongues.mov", .renditions = -1},
           &warnings);
    assert_string_equal(warnings,
                        "the language of audio track 7 (afr) cannot be stored in MOV and is left "
                        "out; use an .mp4 or .mkv output to keep it\n");
    free(warnings);
    films_run("ffprobe -v error -show_entries stream=index:stream_tags=language -of csv=p=0 "
              "tongues.mov >tongues.txt");
    for (int i = 0; i < 8; i++)
        snprintf(entries + strlen(entries), sizeof(entries) - strlen(entries),
                 kept[i][0] ? "%d,%s\n" : "%d\n", i, kept[i]);
    size_t size;
    uint8_t *data = films_load("tongues.txt", &size);
    assert_int_equal(size, strlen(entries));
    assert_memory_equal(data, entries, size);
    free(data);
    run_ok(&(struct mux_job){.in = "tongues.mkv", .out = "tongues.mp4", .renditions = -1},
           &warnings);
    assert_string_equal(warnings, "");
    free(warnings);
}

/* MP4 says how long a sample lasts in 31 bits: nothing longer is made something else in silence. */
static void test_gap_too_long(void **state)
{
    (void)state;
    static const char *const outs[] = {"gap/a.mp4", "gap/a.mov", "gap/a/"};
    films_make("-f lavfi -i testsrc2=size=160x90:rate=25:duration=2 "
               "-c:v libx264 -preset ultrafast -bf 2 -g 12 before.ts");
    films_run("ffmpeg -v error -y -i before.ts -c copy -output_ts_offset 40000 after.ts && "
              "cat before.ts after.ts >gap.ts && rm -rf gap && mkdir gap");
    for (int i = 0; i < 6; i++) {
        struct error err;
        const struct mux_job job = {
            .in = "gap.ts", .out = outs[i / 2], .renditions = i % 2 ? -1 : 1, .copy_video = i % 2};
        assert_int_equal(mux_run(&job, &err, NULL, NULL), RGPU_ERROR_UNSUPPORTED);
        assert_non_null(strstr(err.text, "gap/a"));
        assert_non_null(strstr(err.text, "video track 0 has a gap of 39997.9"));
        assert_non_null(strstr(err.text, "after 1.9"));
        assert_non_null(strstr(err.text, ".mkv"));
        assert_non_null(strstr(err.text, "--duration"));
        assert_int_equal(folder_entries("gap"), 0);
    }
    run_ok(&(struct mux_job){.in = "gap.ts", .out = "gap/a.mkv"}, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_languages_of_mov),
        cmocka_unit_test(test_gap_too_long),
    };
    return cmocka_run_group_tests(tests, films_setup, films_teardown);
}
