/* Destinations: what may be replaced, what stays, and that nothing is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file/place.h"

static char folder[] = "/tmp/rgpu-place-XXXXXX";

/* Calls that fail on demand. The library's own calls come here, since this is the program. */
static int refuse_tmpfile, refuse_rename;

int openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (refuse_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    if (refuse_rename) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static void save(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void expect(const char *name, const char *text)
{
    char line[64] = "";
    FILE *f = fopen(name, "r");
    if (!f)
        fail_msg("%s is not there", name);
    assert_non_null(fgets(line, sizeof(line), f));
    fclose(f);
    assert_string_equal(line, text);
}

/* Entries of the working folder, temporary ones among them. */
static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 2;
}

static void put(struct place *p, const char *text)
{
    assert_int_equal(write(place_fd(p), text, strlen(text)), (ssize_t)strlen(text));
}

static int reset(void **state)
{
    (void)state;
    refuse_tmpfile = refuse_rename = 0;
    return system("rm -rf ./* ./.[!.]*") == 0 ? 0 : -1;
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return chdir("/") == 0 && rmdir(folder) == 0 ? 0 : -1;
}

static void file_round(void)
{
    struct place *p = NULL;
    struct error err;
    struct stat st;
    umask(027);
    assert_int_equal(place_file(&p, "out.mp4", false, NULL, &err), 0);
    put(p, "new");
    assert_int_equal(access("out.mp4", F_OK), -1);
    assert_int_equal(place_sync(p, &err), 0);
    assert_int_equal(place_commit(p, &err), 0);
    place_close(&p);
    expect("out.mp4", "new");
    assert_int_equal(stat("out.mp4", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    assert_int_equal(entries("."), 1);

    assert_int_equal(place_file(&p, "out.mp4", false, NULL, &err), RGPU_ERROR_EXISTS);
    assert_non_null(strstr(err.text, "use -y"));
    chmod("out.mp4", 0604);
    assert_int_equal(place_file(&p, "out.mp4", true, NULL, &err), 0);
    put(p, "newer");
    expect("out.mp4", "new");
    assert_int_equal(place_sync(p, &err), 0);
    assert_int_equal(place_commit(p, &err), 0);
    place_close(&p);
    expect("out.mp4", "newer");
    assert_int_equal(stat("out.mp4", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0604);
    assert_int_equal(entries("."), 1);

    assert_int_equal(place_file(&p, "out.mp4", true, NULL, &err), 0);
    put(p, "never");
    place_close(&p);
    expect("out.mp4", "newer");
    assert_int_equal(entries("."), 1);
}

static void test_file(void **state)
{
    (void)state;
    file_round();
}

static void test_file_with_name(void **state)
{
    (void)state;
    refuse_tmpfile = 1;
    file_round();
    reset(NULL);
    refuse_tmpfile = refuse_rename = 1;
    file_round();
}

static void test_appears_meanwhile(void **state)
{
    (void)state;
    struct error err;
    for (int named = 0; named < 2; named++) {
        struct place *p = NULL;
        reset(NULL);
        refuse_tmpfile = named;
        assert_int_equal(place_file(&p, "out.ts", false, NULL, &err), 0);
        put(p, "mine");
        save("out.ts", "other");
        assert_int_equal(place_commit(p, &err), RGPU_ERROR_EXISTS);
        place_close(&p);
        expect("out.ts", "other");
        assert_int_equal(entries("."), 1);
        assert_int_equal(place_file(&p, "out.ts", true, NULL, &err), 0);
        put(p, "mine");
        assert_int_equal(place_commit(p, &err), 0);
        place_close(&p);
        expect("out.ts", "mine");
    }
}

static void test_refused(void **state)
{
    (void)state;
    struct place *p = NULL;
    struct error err;
    save("in.mkv", "in");
    assert_int_equal(link("in.mkv", "same.mkv"), 0);
    assert_int_equal(place_file(&p, "same.mkv", true, "in.mkv", &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "input"));
    assert_int_equal(mkdir("dir", 0777), 0);
    assert_int_equal(place_file(&p, "dir", true, NULL, &err), RGPU_ERROR_PARAM);
    assert_int_equal(place_file(&p, "dir/", true, NULL, &err), RGPU_ERROR_PARAM);
    assert_int_equal(place_file(&p, "", true, NULL, &err), RGPU_ERROR_PARAM);
    assert_int_equal(place_file(&p, "none/out.mp4", true, NULL, &err), RGPU_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "none/"));
    assert_int_equal(place_file(&p, "in.mkv/out.mp4", true, NULL, &err), RGPU_ERROR_NOT_FOUND);
    assert_int_equal(mkfifo("pipe", 0666), 0);
    assert_int_equal(place_file(&p, "pipe", true, NULL, &err), RGPU_ERROR_UNSUPPORTED);
    assert_int_equal(place_file(&p, "/dev/zero", true, NULL, &err), RGPU_ERROR_UNSUPPORTED);
    assert_int_equal(place_file(&p, "/dev/null", false, NULL, &err), 0);
    put(p, "gone");
    assert_int_equal(place_sync(p, &err), 0);
    assert_int_equal(place_commit(p, &err), 0);
    place_close(&p);
    struct stat st;
    assert_int_equal(stat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    place_close(&p);
}

static void test_links(void **state)
{
    (void)state;
    struct place *p = NULL;
    struct error err;
    assert_int_equal(mkdir("films", 0777), 0);
    assert_int_equal(symlink("films/real.mp4", "link.mp4"), 0);
    for (int i = 0; i < 2; i++) { /* to nothing, then to the file */
        assert_int_equal(place_file(&p, "link.mp4", i == 1, NULL, &err), 0);
        put(p, i ? "two" : "one");
        assert_int_equal(place_commit(p, &err), 0);
        place_close(&p);
        expect("films/real.mp4", i ? "two" : "one");
        struct stat st;
        assert_int_equal(lstat("link.mp4", &st), 0);
        assert_true(S_ISLNK(st.st_mode));
    }
    assert_int_equal(entries("films"), 1);
    assert_int_equal(symlink("loop", "loop"), 0);
    assert_int_not_equal(place_file(&p, "loop", true, NULL, &err), 0);
}

static void fill(struct place *p, const char *text)
{
    static const char *const names[] = {"master.m3u8", "720p/index.m3u8", "720p/init.mp4",
                                        "720p/seg_00001.m4s"};
    struct error err;
    for (int i = 0; i < 4; i++) {
        int fd = -1;
        assert_int_equal(place_create(p, names[i], &fd, &err), 0);
        assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
        close(fd);
    }
}

static void folder_round(void)
{
    struct place *p = NULL;
    struct error err;
    for (int i = 0; i < 3; i++) {
        /* New, empty, and one of ours. */
        if (i == 1) {
            assert_int_equal(system("rm -r hls"), 0);
            assert_int_equal(mkdir("hls", 0777), 0);
        }
        if (i == 2) {
            assert_int_equal(place_folder(&p, "hls/", false, &err), RGPU_ERROR_EXISTS);
            assert_non_null(strstr(err.text, "use -y"));
        }
        assert_int_equal(place_folder(&p, i ? "hls/" : "./hls", i == 2, &err), 0);
        fill(p, i == 2 ? "second" : "first");
        if (i == 2)
            expect("hls/720p/init.mp4", "first");
        else
            assert_int_equal(access("hls/720p", F_OK), -1);
        assert_int_equal(place_sync(p, &err), 0);
        assert_int_equal(place_commit(p, &err), 0);
        place_close(&p);
        expect("hls/720p/init.mp4", i == 2 ? "second" : "first");
        expect("hls/master.m3u8", i == 2 ? "second" : "first");
        assert_int_equal(entries("."), 1);
    }
    assert_int_equal(place_folder(&p, "hls", true, &err), 0);
    fill(p, "third");
    place_close(&p);
    expect("hls/master.m3u8", "second");
    assert_int_equal(entries("."), 1);
}

static void test_folder(void **state)
{
    (void)state;
    folder_round();
    reset(NULL);
    refuse_rename = 1;
    folder_round();
}

/* What is not ours is never removed, wherever in the folder it lies, and whenever it came. */
static void test_foreign(void **state)
{
    (void)state;
    static const char *const foreign[] = {"hls/holiday.jpg", "hls/720p/notes.txt",
                                          "hls/photos/index.html", "hls/seg_00001.m4s"};
    struct place *p = NULL;
    struct error err;
    for (int late = 0; late < 2; late++) {
        for (int i = 0; i < 4; i++) {
            reset(NULL);
            assert_int_equal(place_folder(&p, "hls", false, &err), 0);
            fill(p, "first");
            assert_int_equal(place_commit(p, &err), 0);
            place_close(&p);
            if (late)
                assert_int_equal(place_folder(&p, "hls", true, &err), 0);
            assert_int_equal(system("mkdir -p hls/photos; test -f hls/photos/x || true"), 0);
            if (i != 2)
                rmdir("hls/photos");
            save(foreign[i], "precious");
            if (late) {
                fill(p, "second");
                assert_int_equal(place_commit(p, &err), RGPU_ERROR_EXISTS);
                place_close(&p);
            } else {
                assert_int_equal(place_folder(&p, "hls", true, &err), RGPU_ERROR_EXISTS);
            }
            expect(foreign[i], "precious");
            expect("hls/master.m3u8", "first");
            assert_int_equal(entries("."), 1);
        }
    }
    save("file", "x");
    assert_int_equal(place_folder(&p, "file", true, &err), RGPU_ERROR_EXISTS);
    assert_int_equal(place_folder(&p, "/", true, &err), RGPU_ERROR_PARAM);
    assert_int_equal(place_folder(&p, "none/hls", true, &err), RGPU_ERROR_NOT_FOUND);
}

/* A file that was put in place is taken back: the old one is there again, or none. */
static void test_revert_file(void **state)
{
    (void)state;
    struct error err;
    for (int i = 0; i < 8; i++) {
        const bool old = i & 1;
        struct place *p = NULL;
        refuse_tmpfile = i & 2;
        refuse_rename = i & 4;
        if (old)
            save("revert", "old");
        assert_int_equal(place_file(&p, "revert", true, NULL, &err), 0);
        assert_int_equal(write(place_fd(p), "new", 3), 3);
        assert_int_equal(place_commit(p, &err), 0);
        expect("revert", "new");
        place_revert(p);
        if (old)
            expect("revert", refuse_rename ? "new" : "old");
        else
            assert_int_equal(access("revert", F_OK), -1);
        place_close(&p);
        if (old)
            expect("revert", refuse_rename ? "new" : "old");
        else
            assert_int_equal(access("revert", F_OK), -1);
        assert_int_equal(entries("."), old ? 1 : 0);
        unlink("revert");
    }
    refuse_tmpfile = refuse_rename = 0;
}

/* What has come to the name since is not touched. */
static void test_revert_foreign(void **state)
{
    (void)state;
    struct error err;
    struct place *p = NULL;
    assert_int_equal(place_file(&p, "revert", false, NULL, &err), 0);
    assert_int_equal(place_commit(p, &err), 0);
    assert_int_equal(unlink("revert"), 0);
    save("revert", "other");
    place_revert(p);
    place_close(&p);
    expect("revert", "other");
    unlink("revert");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_file, reset, reset),
        cmocka_unit_test_setup_teardown(test_file_with_name, reset, reset),
        cmocka_unit_test_setup_teardown(test_appears_meanwhile, reset, reset),
        cmocka_unit_test_setup_teardown(test_refused, reset, reset),
        cmocka_unit_test_setup_teardown(test_links, reset, reset),
        cmocka_unit_test_setup_teardown(test_folder, reset, reset),
        cmocka_unit_test_setup_teardown(test_foreign, reset, reset),
        cmocka_unit_test_setup_teardown(test_revert_file, reset, reset),
        cmocka_unit_test_setup_teardown(test_revert_foreign, reset, reset),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
