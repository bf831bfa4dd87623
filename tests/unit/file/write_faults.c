/* The Nth write, sync, link or rename fails, for every N: an error that names the result, and
 * nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "films.h"
#include "muxing.h"

/* The library's calls come here, since this is the program. */
static int calls, fail_at = -1, fail_with = EIO;
static bool shorten; /* writes take at most 100 bytes */

static bool fails(void)
{
    if (calls++ != fail_at)
        return false;
    errno = fail_with;
    return true;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    if (fails())
        return -1;
    return syscall(SYS_pwrite64, fd, data, shorten && size > 100 ? 100 : size, at);
}

int fsync(int fd)
{
    return fails() ? -1 : (int)syscall(SYS_fsync, fd);
}

int syncfs(int fd)
{
    /* The real one waits for everything that this machine writes. */
    (void)fd;
    return fails() ? -1 : 0;
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
    return fails() ? -1 : (int)syscall(SYS_linkat, from_dir, from, to_dir, to, flags);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return fails() ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    return fails() ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static void make_source(void)
{
    films_make("-f lavfi -i testsrc2=size=160x90:rate=25:duration=2 "
               "-f lavfi -i sine=frequency=440:sample_rate=48000:duration=2 "
               "-c:v libx264 -preset ultrafast -bf 2 -g 10 -c:a aac in.mp4");
}

static const char *const outs[] = {"box/a.mp4", "box/a.mkv", "box/a.ts",
                                   "box/a.flv", "box/a/",    "box/a.m3u8"};
#define OUTS ((int)(sizeof(outs) / sizeof(outs[0])))

static int run(int out, bool overwrite, int at, struct error *err)
{
    calls = 0;
    fail_at = at;
    const int rc = mux_run(
        &(struct mux_job){
            .in = "in.mp4", .out = outs[out], .segment_us = 500000, .overwrite = overwrite},
        err, NULL, NULL);
    fail_at = -1;
    return rc;
}

static void test_every_call(void **state)
{
    (void)state;
    make_source();
    for (int i = 0; i < OUTS; i++) {
        struct error err;
        int n = 0;
        for (;; n++) {
            films_run("rm -rf box && mkdir box");
            const int rc = run(i, false, n, &err);
            if (rc == 0 && calls <= n)
                break; /* there was no such call */
            if (rc == 0)
                continue; /* the folder cannot be synced: that is let pass */
            if (rc != RGPU_ERROR_IO || !strstr(err.text, "box/a"))
                fail_msg("%s, call %d: %d, %s", outs[i], n, rc, err.text);
            if (folder_entries("box") != 0)
                fail_msg("%s, call %d: something is left", outs[i], n);
        }
        assert_true(n >= 3);
    }
}

/* With an older result in place: it stays whole whatever fails. */
static void test_old_stays(void **state)
{
    (void)state;
    make_source();
    for (int i = 0; i < 4; i++) {
        struct error err;
        for (int n = 0;; n++) {
            films_run("rm -rf box && mkdir box && printf old > %s", outs[i]);
            const int rc = run(i, true, n, &err);
            if (rc == 0 && calls <= n)
                break;
            if (rc == 0)
                continue;
            films_run("test \"$(cat %s)\" = old", outs[i]);
            assert_int_equal(folder_entries("box"), 1);
        }
    }
    for (int i = 4; i < OUTS; i++) {
        const char *playlist = i == 4 ? "box/a/master.m3u8" : "box/a.m3u8";
        for (int n = 0;; n++) {
            struct error err;
            films_run("rm -rf box && mkdir -p box/a/720p && echo old > %s && "
                      "echo old > box/a/720p/index.m3u8",
                      playlist);
            const int rc = run(i, true, n, &err);
            if (rc == 0 && calls <= n)
                break;
            if (rc == 0)
                continue;
            films_run("test $(cat %s) = old && test $(cat box/a/720p/index.m3u8) = old", playlist);
            assert_int_equal(folder_entries("box"), i == 4 ? 1 : 2);
            assert_int_equal(folder_entries("box/a"), i == 4 ? 2 : 1);
        }
    }
}

/* A disk that takes little at a time is no error, and changes nothing. */
static void test_short_writes(void **state)
{
    (void)state;
    make_source();
    for (int i = 2; i < OUTS; i++) { /* MP4 and MKV carry time of making or random ids */
        struct error err;
        films_run("rm -rf box want && mkdir box");
        assert_int_equal(run(i, false, -1, &err), 0);
        films_run("mv box want && mkdir box");
        shorten = true;
        const int rc = run(i, false, -1, &err);
        shorten = false;
        assert_int_equal(rc, 0);
        films_run("diff -r box want");
    }
    for (int i = 0; i < 2; i++) {
        struct error err;
        films_run("rm -rf box && mkdir box");
        shorten = true;
        assert_int_equal(run(i, false, -1, &err), 0);
        shorten = false;
        films_run("ffmpeg -v error -i %s -f null - 2>log; test ! -s log", outs[i]);
    }
}

static void test_no_space(void **state)
{
    (void)state;
    make_source();
    fail_with = ENOSPC;
    for (int i = 0; i < OUTS; i++) {
        struct error err;
        films_run("rm -rf box && mkdir box");
        assert_int_equal(run(i, false, 1, &err), RGPU_ERROR_NO_SPACE);
        assert_non_null(strstr(err.text, "no space left on the device for box/a"));
        assert_int_equal(folder_entries("box"), 0);
    }
    fail_with = EIO;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_call),
        cmocka_unit_test(test_old_stays),
        cmocka_unit_test(test_short_writes),
        cmocka_unit_test(test_no_space),
    };
    return cmocka_run_group_tests(tests, films_setup, films_teardown);
}
