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
#include <sys/file.h>
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
    assert_int_equal(place_file(&p, "pipe", true, NULL, &err), RGPU_ERROR_PARAM);
    assert_int_equal(place_file(&p, "/dev/zero", true, NULL, &err), RGPU_ERROR_PARAM);
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
            assert_int_equal(place_folder(&p, "hls/", false, NULL, &err), RGPU_ERROR_EXISTS);
            assert_non_null(strstr(err.text, "use -y"));
        }
        assert_int_equal(place_folder(&p, i ? "hls/" : "./hls", i == 2, NULL, &err), 0);
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
    assert_int_equal(place_folder(&p, "hls", true, NULL, &err), 0);
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
            assert_int_equal(place_folder(&p, "hls", false, NULL, &err), 0);
            fill(p, "first");
            assert_int_equal(place_commit(p, &err), 0);
            place_close(&p);
            if (late)
                assert_int_equal(place_folder(&p, "hls", true, NULL, &err), 0);
            assert_int_equal(system("mkdir -p hls/photos; test -f hls/photos/x || true"), 0);
            if (i != 2)
                rmdir("hls/photos");
            save(foreign[i], "precious");
            if (late) {
                fill(p, "second");
                assert_int_equal(place_commit(p, &err), RGPU_ERROR_EXISTS);
                place_close(&p);
            } else {
                assert_int_equal(place_folder(&p, "hls", true, NULL, &err), RGPU_ERROR_EXISTS);
            }
            expect(foreign[i], "precious");
            expect("hls/master.m3u8", "first");
            assert_int_equal(entries("."), 1);
        }
    }
    save("file", "x");
    assert_int_equal(place_folder(&p, "file", true, NULL, &err), RGPU_ERROR_EXISTS);
    assert_int_equal(place_folder(&p, "/", true, NULL, &err), RGPU_ERROR_PARAM);
    assert_int_equal(place_folder(&p, "none/hls", true, NULL, &err), RGPU_ERROR_NOT_FOUND);
}

/* What was put in place is taken away again, but not if it has replaced something. */
static void test_withdraw_file(void **state)
{
    (void)state;
    struct error err;
    for (int i = 0; i < 8; i++) {
        const bool old = i & 1;
        struct place *p = NULL;
        refuse_tmpfile = i & 2;
        refuse_rename = i & 4;
        if (old)
            save("out.mp4", "old");
        assert_int_equal(place_file(&p, "out.mp4", true, NULL, &err), 0);
        put(p, "new");
        place_withdraw(p); /* not there yet */
        assert_int_equal(place_commit(p, &err), 0);
        expect("out.mp4", "new");
        assert_int_equal(entries("."), 1);
        place_withdraw(p);
        if (old)
            expect("out.mp4", "new");
        else
            assert_int_equal(access("out.mp4", F_OK), -1);
        place_close(&p);
        assert_int_equal(entries("."), old);
        unlink("out.mp4");
    }
}

static void test_withdraw_folder(void **state)
{
    (void)state;
    struct error err;
    for (int i = 0; i < 6; i++) {
        const int before = i / 2; /* nothing, an empty folder, a result */
        struct place *p = NULL;
        reset(NULL);
        refuse_rename = i & 1;
        if (before)
            assert_int_equal(mkdir("hls", 0777), 0);
        if (before == 2)
            save("hls/master.m3u8", "old");
        assert_int_equal(place_folder(&p, "hls", true, NULL, &err), 0);
        fill(p, "new");
        assert_int_equal(place_commit(p, &err), 0);
        expect("hls/master.m3u8", "new");
        place_withdraw(p);
        place_close(&p);
        assert_int_equal(entries("."), before > 0);
        if (before == 1)
            assert_int_equal(entries("hls"), 0);
        if (before == 2)
            expect("hls/master.m3u8", "old");
    }
}

/* What is written can be read by name, before it is in place and after. */
static void test_reading_path(void **state)
{
    (void)state;
    struct error err;
    char path[256], file[300];
    for (int i = 0; i < 2; i++) {
        struct place *p = NULL;
        refuse_tmpfile = i;
        assert_int_equal(place_file(&p, "out.mp4", true, NULL, &err), 0);
        put(p, i ? "second" : "first");
        for (int placed = 0; placed < 2; placed++) {
            place_reading_path(p, path, sizeof(path));
            expect(path, i ? "second" : "first");
            assert_int_equal(strcmp(path, "out.mp4") == 0, placed);
            if (!placed)
                assert_int_equal(place_commit(p, &err), 0);
        }
        place_close(&p);

        assert_int_equal(place_folder(&p, "hls/", true, NULL, &err), 0);
        fill(p, i ? "second" : "first");
        for (int placed = 0; placed < 2; placed++) {
            place_reading_path(p, path, sizeof(path));
            snprintf(file, sizeof(file), "%s/720p/init.mp4", path);
            expect(file, i ? "second" : "first");
            assert_int_equal(strncmp(path, "hls/", 4) == 0, placed);
            if (!placed)
                assert_int_equal(place_commit(p, &err), 0);
        }
        place_close(&p);
    }
}

/* What is in the way is said before anything is touched. */
static void test_check(void **state)
{
    (void)state;
    struct error err;
    for (int overwrite = 0; overwrite < 2; overwrite++) {
        struct place *file = NULL, *hls = NULL;
        reset(NULL);
        assert_int_equal(place_file(&file, "out.mp4", overwrite, NULL, &err), 0);
        assert_int_equal(place_folder(&hls, "hls", overwrite, NULL, &err), 0);
        assert_int_equal(place_check(file, &err), 0);
        assert_int_equal(place_check(hls, &err), 0);
        save("out.mp4", "other");
        assert_int_equal(place_check(file, &err), overwrite ? 0 : RGPU_ERROR_EXISTS);
        assert_int_equal(mkdir("hls", 0777), 0);
        save("hls/master.m3u8", "other");
        assert_int_equal(place_check(hls, &err), overwrite ? 0 : RGPU_ERROR_EXISTS);
        save("hls/notes.txt", "precious");
        assert_int_equal(place_check(hls, &err), RGPU_ERROR_EXISTS);
        assert_int_equal(system("rm -r hls out.mp4 && mkdir out.mp4 && touch hls"), 0);
        assert_int_equal(place_check(file, &err), RGPU_ERROR_EXISTS);
        assert_non_null(strstr(err.text, "out.mp4 has become a folder"));
        assert_int_equal(place_check(hls, &err), RGPU_ERROR_EXISTS);
        assert_non_null(strstr(err.text, "hls has become"));
        place_close(&file);
        place_close(&hls);
        assert_int_equal(entries("."), 2);
    }
}

/* What has come to the name since is not touched. */
static void test_withdraw_foreign(void **state)
{
    (void)state;
    struct error err;
    struct place *p = NULL;
    assert_int_equal(place_file(&p, "out.mp4", false, NULL, &err), 0);
    assert_int_equal(place_commit(p, &err), 0);
    assert_int_equal(unlink("out.mp4"), 0);
    save("out.mp4", "other");
    place_withdraw(p);
    place_close(&p);
    expect("out.mp4", "other");
}

/* ---- what killed runs leave ----------------------------------------------------------------- */

static void expect_absent(const char *name)
{
    struct stat st;
    if (lstat(name, &st) == 0)
        fail_msg("%s is there", name);
}

static void hold(const char *name, bool held)
{
    static int fd = -1;
    if (fd >= 0)
        close(fd);
    fd = held ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (held)
        assert_int_equal(flock(fd, LOCK_SH), 0);
}

/* Leftovers of the dead go, those of the living and what only looks alike stay. */
static void test_leftover_files(void **state)
{
    (void)state;
    static const char *const alike[] = {".out.mp4.rgpu-abcde",  ".out.mp4.rgpu-abcdefg",
                                        ".out.mp4.rgpu-ABCDEF", "out.mp4.rgpu-abcdef",
                                        ".out.mkv.rgpu-abcdef", ".out.mp4.rgpu-abcd.f",
                                        ".out.mp4.part-abcdef"};
    struct place *p = NULL;
    struct error err;
    for (size_t i = 0; i < sizeof(alike) / sizeof(alike[0]); i++)
        save(alike[i], "precious");
    save("elsewhere", "precious");
    assert_int_equal(symlink("elsewhere", ".out.mp4.rgpu-linkxx"), 0);
    assert_int_equal(mkdir(".out.mp4.rgpu-folder", 0777), 0);
    save(".out.mp4.rgpu-living", "living");
    save(".out.mp4.rgpu-inputx", "input");
    save(".out.mp4.rgpu-dead01", "dead");
    hold(".out.mp4.rgpu-living", true);
    const int before = entries(".");
    assert_int_equal(place_file(&p, "out.mp4", false, ".out.mp4.rgpu-inputx", &err), 0);
    put(p, "new");
    assert_int_equal(place_commit(p, &err), 0);
    place_close(&p);
    expect_absent(".out.mp4.rgpu-dead01");
    assert_int_equal(entries("."), before); /* one less, and out.mp4 */
    expect("out.mp4", "new");
    for (size_t i = 0; i < sizeof(alike) / sizeof(alike[0]); i++)
        expect(alike[i], "precious");
    expect("elsewhere", "precious");
    hold(NULL, false);
    /* A refused run touches nothing. */
    assert_int_equal(place_file(&p, "out.mp4", false, NULL, &err), RGPU_ERROR_EXISTS);
    expect(".out.mp4.rgpu-living", "living");
    assert_int_equal(place_file(&p, "out.mp4", true, NULL, &err), 0);
    place_close(&p);
    expect_absent(".out.mp4.rgpu-living");
    expect_absent(".out.mp4.rgpu-inputx");
    assert_int_equal(entries("."), before - 2);
}

/* Runs at once do not take each other's files: neither what is written nor what was replaced. */
static void test_leftover_living(void **state)
{
    (void)state;
    struct error err;
    for (int i = 0; i < 4; i++) {
        struct place *first = NULL, *second = NULL;
        refuse_tmpfile = i & 1;
        refuse_rename = i & 2;
        save("out.mp4", "old");
        assert_int_equal(place_file(&first, "out.mp4", true, NULL, &err), 0);
        put(first, "first");
        assert_int_equal(place_file(&second, "out.mp4", true, NULL, &err), 0);
        place_close(&second);
        assert_int_equal(place_commit(first, &err), 0);
        assert_int_equal(place_file(&second, "out.mp4", true, NULL, &err), 0);
        place_close(&first);
        expect("out.mp4", "first");
        put(second, "second");
        assert_int_equal(place_commit(second, &err), 0);
        place_close(&second);
        expect("out.mp4", "second");
        assert_int_equal(entries("."), 1);

        assert_int_equal(place_folder(&first, "hls", true, NULL, &err), 0);
        fill(first, "first");
        assert_int_equal(place_folder(&second, "hls", true, NULL, &err), 0);
        fill(second, "second");
        assert_int_equal(place_commit(first, &err), 0);
        assert_int_equal(place_commit(second, &err), 0);
        struct place *third = NULL;
        assert_int_equal(place_folder(&third, "hls", true, NULL, &err), 0);
        place_close(&third);
        place_close(&second);
        place_close(&first);
        expect("hls/master.m3u8", "second");
        assert_int_equal(system("rm -r hls"), 0);
        assert_int_equal(entries("."), 1);
    }
}

static void test_leftover_folders(void **state)
{
    (void)state;
    struct place *p = NULL;
    struct error err;
    assert_int_equal(system("mkdir -p .hls.rgpu-dead01/720p .hls.rgpu-dead02 .hls.rgpu-living"
                            " .hls.rgpu-inputx/720p .hls.rgpu-alien1/720p &&"
                            " touch .hls.rgpu-dead01/720p/seg_00001.m4s .hls.rgpu-file00"
                            " .hls.rgpu-inputx/720p/seg_00001.m4s .hls.rgpu-alien1/720p/notes"),
                     0);
    hold(".hls.rgpu-living", true);
    assert_int_equal(place_folder(&p, "hls", false, ".hls.rgpu-inputx/720p/seg_00001.m4s", &err),
                     0);
    fill(p, "new");
    assert_int_equal(place_commit(p, &err), 0);
    place_close(&p);
    expect_absent(".hls.rgpu-dead01");
    expect_absent(".hls.rgpu-dead02");
    assert_int_equal(access(".hls.rgpu-living", F_OK), 0);
    assert_int_equal(access(".hls.rgpu-file00", F_OK), 0);
    assert_int_equal(access(".hls.rgpu-alien1/720p/notes", F_OK), 0);
    assert_int_equal(access(".hls.rgpu-inputx/720p/seg_00001.m4s", F_OK), 0);
    assert_int_equal(entries("."), 5);
    hold(NULL, false);
    /* The input may not lie in what is replaced. */
    assert_int_equal(place_folder(&p, "hls", true, "./hls/720p/index.m3u8", &err),
                     RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "input"));
    expect("hls/master.m3u8", "new");
}

/* Killed between the two renames of a file system that cannot exchange: the old one comes back. */
static void test_leftover_restored(void **state)
{
    (void)state;
    struct place *p = NULL;
    struct error err;
    for (int living = 0; living < 2; living++) {
        reset(NULL);
        assert_int_equal(place_folder(&p, ".hls.rgpu-old-abcdef", false, NULL, &err), 0);
        fill(p, "old");
        assert_int_equal(place_commit(p, &err), 0);
        place_close(&p);
        if (living)
            hold(".hls.rgpu-old-abcdef", true);
        assert_int_equal(place_folder(&p, "hls", false, NULL, &err),
                         living ? 0 : RGPU_ERROR_EXISTS);
        place_close(&p);
        expect(living ? ".hls.rgpu-old-abcdef/master.m3u8" : "hls/master.m3u8", "old");
        assert_int_equal(entries("."), 1);
        hold(NULL, false);
    }
}

/* ---- DIR/master.m3u8 over DIR/ -------------------------------------------------------------- */

#define MASTER_HEAD "#EXTM3U\n#EXT-X-VERSION:7\n"
#define VARIANT "#EXT-X-STREAM-INF:BANDWIDTH=1000\n"

static void rendition(const char *name)
{
    char path[128];
    assert_int_equal(mkdir(name, 0777), 0);
    snprintf(path, sizeof(path), "%s/index.m3u8", name);
    save(path, "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n"
               "#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:1,\nseg_00001.m4s\n#EXTINF:1,\n"
               "../elsewhere/seg_00001.m4s\n#EXTINF:1,\nmine.m4s\n#EXTINF:1,\nseg_00003.m4s\n"
               "#EXT-X-ENDLIST\n");
    static const char *const files[] = {"init.mp4", "seg_00001.m4s", "mine.m4s"};
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/%s", name, files[i]);
        save(path, "data");
    }
    snprintf(path, sizeof(path), "%s/seg_00003.m4s", name);
    assert_int_equal(symlink("../elsewhere/seg_00001.m4s", path), 0);
}

static void old_result(void)
{
    reset(NULL);
    assert_int_equal(mkdir("elsewhere", 0777), 0);
    save("elsewhere/seg_00001.m4s", "precious");
    save("notes.txt", "precious");
    rendition("720p");
    rendition("both");
    rendition("unnamed");
    assert_int_equal(symlink("unnamed", "linked"), 0);
    assert_int_equal(mkdir("sub", 0777), 0);
    rendition("sub/dir");
    save("master.m3u8", MASTER_HEAD VARIANT
         "720p/index.m3u8\n" VARIANT "both/index.m3u8\n" VARIANT "linked/index.m3u8\n" VARIANT
         "sub/dir/index.m3u8\n" VARIANT "../elsewhere/index.m3u8\n" VARIANT
         "/etc/index.m3u8\n" VARIANT "%2e%2e/index.m3u8\n" VARIANT "none/index.m3u8\n");
}

static const char new_master[] =
    MASTER_HEAD VARIANT "master/720p/index.m3u8\n" VARIANT "both/index.m3u8\n";

/* Whole folders that nothing may touch. */
static void expect_untouched(void)
{
    static const char *const folders[] = {"both", "unnamed", "sub/dir"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(entries(folders[i]), 5);
    expect("elsewhere/seg_00001.m4s", "precious");
    expect("notes.txt", "precious");
    assert_int_equal(access("linked/index.m3u8", F_OK), 0);
}

/* Only what the old playlists name, by plain names, goes; and only when the new one is final. */
static void test_old_renditions(void **state)
{
    (void)state;
    struct place *p = NULL;
    struct error err;
    for (int i = 0; i < 8; i++) {
        const bool given_up = i & 1;
        refuse_rename = i & 2;
        old_result();
        assert_int_equal(place_playlist(&p, "master.m3u8", true, "720p/seg_00001.m4s", &err),
                         RGPU_ERROR_PARAM);
        assert_non_null(strstr(err.text, "input"));
        assert_int_equal(place_playlist(&p, "master.m3u8", true, "notes.txt", &err), 0);
        put(p, i & 4 ? "not a playlist" : new_master);
        if (!given_up)
            assert_int_equal(place_commit(p, &err), 0);
        assert_int_equal(entries("720p"), 5);
        place_close(&p);
        expect_untouched();
        if (given_up || i & 4) {
            assert_int_equal(entries("720p"), 5);
            continue;
        }
        /* What was not named by a plain name, or is a link, keeps its folder. */
        assert_int_equal(entries("720p"), 2);
        expect("720p/mine.m4s", "data");
        assert_int_equal(unlink("720p/mine.m4s"), 0);
        assert_int_equal(unlink("720p/seg_00003.m4s"), 0);
        /* Killed before the old playlist was removed: the next run ends it. */
        assert_int_equal(rmdir("720p"), 0);
        rendition("720p");
        save(".master.m3u8.rgpu-abcdef", MASTER_HEAD VARIANT "720p/index.m3u8\n");
        assert_int_equal(unlink("720p/mine.m4s"), 0);
        assert_int_equal(unlink("720p/seg_00003.m4s"), 0);
        assert_int_equal(place_playlist(&p, "master.m3u8", true, NULL, &err), 0);
        place_close(&p);
        expect_absent("720p");
        expect_absent(".master.m3u8.rgpu-abcdef");
        expect_untouched();
    }
    /* Another name's playlist may be a copy: what it names is left alone. */
    old_result();
    assert_int_equal(rename("master.m3u8", "other.m3u8"), 0);
    assert_int_equal(place_playlist(&p, "other.m3u8", true, NULL, &err), 0);
    put(p, new_master);
    assert_int_equal(place_commit(p, &err), 0);
    place_close(&p);
    assert_int_equal(entries("720p"), 5);
}

/* A link to nothing: its target is made, beside it lie the temporary names, and errors name it. */
static void test_dangling(void **state)
{
    (void)state;
    struct place *p = NULL;
    struct error err;
    struct stat st;
    assert_int_equal(mkdir("real", 0777), 0);
    assert_int_equal(symlink("real/hls", "link"), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(place_folder(&p, i ? "link" : "link/", i == 1, NULL, &err), 0);
        assert_int_equal(entries("."), 2);
        assert_int_equal(entries("real"), 1 + i);
        fill(p, i ? "two" : "one");
        assert_int_equal(place_commit(p, &err), 0);
        place_close(&p);
        expect("real/hls/master.m3u8", i ? "two" : "one");
        assert_int_equal(lstat("link", &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(entries("real"), 1);
    }
    refuse_tmpfile = 1;
    assert_int_equal(symlink("real/film.mp4", "film.mp4"), 0);
    assert_int_equal(place_file(&p, "film.mp4", false, NULL, &err), 0);
    assert_int_equal(entries("real"), 2);
    assert_int_equal(entries("."), 3);
    place_close(&p);
    assert_int_equal(entries("real"), 1);
    assert_int_equal(symlink("none/film.mp4", "lost.mp4"), 0);
    assert_int_equal(place_file(&p, "lost.mp4", false, NULL, &err), RGPU_ERROR_NOT_FOUND);
    assert_non_null(strstr(err.text, "folder none/ of lost.mp4 (a link to none/film.mp4)"));
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
        cmocka_unit_test_setup_teardown(test_withdraw_file, reset, reset),
        cmocka_unit_test_setup_teardown(test_withdraw_folder, reset, reset),
        cmocka_unit_test_setup_teardown(test_withdraw_foreign, reset, reset),
        cmocka_unit_test_setup_teardown(test_reading_path, reset, reset),
        cmocka_unit_test_setup_teardown(test_check, reset, reset),
        cmocka_unit_test_setup_teardown(test_leftover_files, reset, reset),
        cmocka_unit_test_setup_teardown(test_leftover_living, reset, reset),
        cmocka_unit_test_setup_teardown(test_leftover_folders, reset, reset),
        cmocka_unit_test_setup_teardown(test_leftover_restored, reset, reset),
        cmocka_unit_test_setup_teardown(test_old_renditions, reset, reset),
        cmocka_unit_test_setup_teardown(test_dangling, reset, reset),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
