#include "file/leftover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <unistd.h>

#include "file/hls_old.h"
#include "file/result_tree.h"

#define RANDOM_LETTERS 6

static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
static const char tail_new[] = ".rgpu-", tail_old[] = ".rgpu-old-";

/* ---- names ---------------------------------------------------------------------------------- */

/* What all temporary names for `name` begin with; gives its length. */
static size_t prefix_of(char ret[NAME_MAX + 1], const char *name, const char *tail)
{
    const int room = NAME_MAX - 1 - (int)strlen(tail) - RANDOM_LETTERS;
    snprintf(ret, NAME_MAX + 1, ".%.*s%s", room, name, tail);
    return strlen(ret);
}

void leftover_name(char ret[NAME_MAX + 1], const char *name, bool old)
{
    uint8_t random[RANDOM_LETTERS] = {0};
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random[0] = (uint8_t)getpid();
    char *end = ret + prefix_of(ret, name, old ? tail_old : tail_new);
    for (int i = 0; i < RANDOM_LETTERS; i++)
        *end++ = letters[random[i] % (sizeof(letters) - 1)];
    *end = 0;
}

static bool matches(const char *entry, const char *name, const char *tail)
{
    char prefix[NAME_MAX + 1];
    const size_t n = prefix_of(prefix, name, tail);
    return strncmp(entry, prefix, n) == 0 && strlen(entry + n) == RANDOM_LETTERS &&
           strspn(entry + n, letters) == RANDOM_LETTERS;
}

/* ---- holding -------------------------------------------------------------------------------- */

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool leads_to(int dir, const char *name, const struct stat *st)
{
    struct stat there;
    return fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && is_same(&there, st);
}

bool leftover_hold(int dir, const char *temp, int fd)
{
    struct stat st;
    /* One that sweeps has it for a moment at most; where locks do not work, nobody sweeps. */
    while (flock(fd, LOCK_SH) != 0 && errno == EINTR)
        ;
    return !temp || fstat(fd, &st) != 0 || leads_to(dir, temp, &st);
}

int leftover_hold_old(int dir, const char *name)
{
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* ---- the input ------------------------------------------------------------------------------ */

bool leftover_holds_input(const struct stat *st, const char *input)
{
    struct stat in;
    if (!input)
        return false;
    if (!input[0])
        return fstat(STDIN_FILENO, &in) == 0 && is_same(&in, st);
    char *path = realpath(input, NULL);
    bool holds = false;
    while (path && path[0] && !holds) {
        holds = stat(path, &in) == 0 && is_same(&in, st);
        *strrchr(path, '/') = 0; /* a real path begins with one */
    }
    free(path);
    return holds;
}

/* ---- what was left -------------------------------------------------------------------------- */

/* Opens a leftover of a run that is dead, and keeps others from taking it; -1 if it is none. */
static int claim(int dir, const char *entry, bool folder, uid_t owner, const char *input)
{
    const int fd = openat(dir, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd >= 0 && fstat(fd, &st) == 0 && (folder ? S_ISDIR(st.st_mode) : S_ISREG(st.st_mode)) &&
        (st.st_uid == geteuid() || st.st_uid == owner) && flock(fd, LOCK_EX | LOCK_NB) == 0 &&
        leads_to(dir, entry, &st) && !leftover_holds_input(&st, input))
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static DIR *list(int dir)
{
    const int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *ret = fd < 0 ? NULL : fdopendir(fd);
    if (!ret && fd >= 0)
        close(fd);
    return ret;
}

void leftover_restore(int dir, const char *name)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT)
        return;
    DIR *entries = list(dir);
    for (struct dirent *e; entries && (e = readdir(entries));) {
        const int fd =
            matches(e->d_name, name, tail_old) ? claim(dir, e->d_name, true, geteuid(), NULL) : -1;
        if (fd < 0)
            continue;
        const bool is_back =
            tree_look(dir, e->d_name) == TREE_OURS && renameat(dir, e->d_name, dir, name) == 0;
        close(fd);
        if (is_back)
            break;
    }
    if (entries)
        closedir(entries);
}

void leftover_sweep(int dir, const char *name, enum leftover_kind kind, const char *input)
{
    struct stat st;
    const bool there = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    DIR *entries = list(dir);
    for (struct dirent *e; entries && (e = readdir(entries));) {
        const int fd = matches(e->d_name, name, tail_new) || matches(e->d_name, name, tail_old)
                           ? claim(dir, e->d_name, kind == LEFTOVER_FOLDER,
                                   there ? st.st_uid : geteuid(), input)
                           : -1;
        if (fd < 0)
            continue;
        if (kind == LEFTOVER_PLAYLIST)
            hls_old_remove(dir, e->d_name, name);
        if (kind != LEFTOVER_FOLDER)
            unlinkat(dir, e->d_name, 0);
        else if (tree_look(dir, e->d_name) != TREE_FOREIGN)
            tree_remove(dir, e->d_name);
        close(fd);
    }
    if (entries)
        closedir(entries);
}
