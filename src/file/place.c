#include "file/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "file/hls_old.h"
#include "file/leftover.h"
#include "file/result_tree.h"

#define LINKS_MAX 40 /* as the kernel follows */
#define TEMP_TRIES 100
#define SELF_SIZE 32

enum place_state { PLACE_OPEN, PLACE_DONE };

struct place {
    char *path;   /* as given */
    char *shown;  /* for errors: with the real place, where `path` is a link */
    char *parent; /* folder of the destination, links followed */
    char *name;   /* last component there */
    int dir;      /* the folder */
    int fd;       /* file: what is written; folder: the temporary folder */
    int old_fd;   /* holds what was there before (leftover.h); -1: nothing, or it cannot */
    int spare_fd; /* folder, playlist: given up for the removal, which needs two descriptors */
    /* Temporary names in `dir`; empty: none. */
    char temp[NAME_MAX + 1]; /* of what is not yet in place */
    char old[NAME_MAX + 1];  /* of what was replaced and is still to be removed */
    enum place_state state;
    bool folder, overwrite, exists, direct, linked;
    bool playlist; /* a master playlist: what the old one named goes with it */
    bool replaced; /* there was something before */
};

static int fail(struct error *err, const struct place *p, const char *what)
{
    const int number = errno;
    const int code = error_from_errno(number);
    if (code == RGPU_ERROR_NO_SPACE)
        return error_set(err, code, "no space left on the device for %s", p->shown);
    return error_set(err, code, "cannot %s %s: %s", what, p->shown, strerror(number));
}

/* ---- names ---------------------------------------------------------------------------------- */

/* Splits *path into its folder and last component; slashes at the end do not count. */
static int split(const char *path, char **ret_dir, char **ret_name)
{
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t start = end;
    while (start > 0 && path[start - 1] != '/')
        start--;
    char *dir = start == 0 ? strdup(".") : strndup(path, start);
    char *name = strndup(path + start, end - start);
    if (!dir || !name) {
        free(dir);
        free(name);
        return RGPU_ERROR_MEMORY;
    }
    *ret_dir = dir;
    *ret_name = name;
    return 0;
}

/* Follows symbolic links at the last component, also where they point to nothing yet. */
static int follow_links(const char *path, char **ret)
{
    char *at = strdup(path);
    char target[PATH_MAX];
    for (int i = 0; at && i < LINKS_MAX; i++) {
        const ssize_t n = readlink(at, target, sizeof(target) - 1);
        if (n < 0) {
            *ret = at;
            return 0;
        }
        target[n] = 0;
        char *next = NULL;
        if (target[0] == '/') {
            next = strdup(target);
        } else {
            const char *slash = strrchr(at, '/');
            const int dir = slash ? (int)(slash - at) + 1 : 0;
            if (asprintf(&next, "%.*s%s", dir, at, target) < 0)
                next = NULL;
        }
        free(at);
        at = next;
    }
    const bool loop = at != NULL;
    free(at);
    errno = loop ? ELOOP : ENOMEM;
    return loop ? RGPU_ERROR_IO : RGPU_ERROR_MEMORY;
}

static struct place *place_new(const char *path, bool folder, bool overwrite)
{
    struct place *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    *p = (struct place){.path = strdup(path),
                        .shown = strdup(path),
                        .dir = -1,
                        .fd = -1,
                        .old_fd = -1,
                        .spare_fd = -1,
                        .folder = folder,
                        .overwrite = overwrite};
    if (!p->path || !p->shown)
        place_close(&p);
    return p;
}

/* Where the path leads; errors name that as well, if a link is on the way. */
static int find_target(struct place *p, const char *path, char **ret, struct error *err)
{
    char *target = NULL, *shown = NULL;
    if (follow_links(path, &target) < 0)
        return fail(err, p, "follow the link");
    if (strcmp(target, path) != 0) {
        if (asprintf(&shown, "%s (a link to %s)", p->path, target) < 0) {
            free(target);
            return error_memory(err, "a path");
        }
        free(p->shown);
        p->shown = shown;
        p->linked = true;
    }
    *ret = target;
    return 0;
}

/* Opens the folder that the destination lies in. */
static int open_parent(struct place *p, const char *target, struct error *err)
{
    if (split(target, &p->parent, &p->name) < 0)
        return error_memory(err, "a path");
    const char *dir = p->parent;
    p->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    if (p->dir < 0 && (errno == ENOENT || errno == ENOTDIR))
        rc = error_set(err, RGPU_ERROR_NOT_FOUND, "folder %s of %s does not exist; make it first",
                       dir, p->shown);
    else if (p->dir < 0)
        rc = error_set(err, error_from_errno(errno), "cannot open folder %s of %s: %s", dir,
                       p->shown, strerror(errno));
    return rc;
}

/* Keeps a descriptor for the removal, before there is anything to remove. */
static int open_spare(struct place *p, struct error *err)
{
    p->spare_fd = fcntl(p->dir, F_DUPFD_CLOEXEC, 0);
    return p->spare_fd < 0 ? fail(err, p, "create") : 0;
}

/* What the descriptor leads to, by a name. */
static const char *self_path(const struct place *p, char ret[SELF_SIZE])
{
    snprintf(ret, SELF_SIZE, "/proc/self/fd/%d", p->fd);
    return ret;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int check_file(struct place *p, const struct stat *old, const char *input, struct error *err)
{
    if (S_ISDIR(old->st_mode))
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s is a folder; name a file, or end the name with '/' for HLS", p->shown);
    if (S_ISCHR(old->st_mode) && old->st_rdev == makedev(1, 3)) {
        p->direct = true;
        return 0;
    }
    if (!S_ISREG(old->st_mode))
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s is a device, pipe or socket; name a regular file", p->shown);
    if (leftover_holds_input(old, input))
        return error_set(err, RGPU_ERROR_PARAM, "%s is the input itself; write to another file",
                         p->shown);
    if (p->playlist && hls_old_holds_input(p->dir, p->name, input))
        return error_set(err, RGPU_ERROR_PARAM,
                         "the input is part of %s, which would be replaced; write elsewhere",
                         p->shown);
    if (!p->overwrite)
        return error_set(err, RGPU_ERROR_EXISTS, "%s exists already; use -y to replace it",
                         p->shown);
    if (faccessat(p->dir, p->name, W_OK, AT_EACCESS) != 0)
        return error_set(err, error_from_errno(errno), "%s may not be written: %s", p->shown,
                         strerror(errno));
    p->exists = true;
    return 0;
}

/* A file with a temporary name, which nobody has taken for a leftover. */
static int open_named(struct place *p, mode_t mode)
{
    for (int i = 0; i < TEMP_TRIES; i++) {
        leftover_name(p->temp, p->name, false);
        p->fd = openat(p->dir, p->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
        const int number = errno;
        if (p->fd >= 0 && leftover_hold(p->dir, p->temp, p->fd))
            return 0;
        p->temp[0] = 0;
        if (p->fd >= 0)
            close(p->fd);
        else if (number != EEXIST) {
            errno = number;
            return -1;
        }
        p->fd = -1;
    }
    errno = EEXIST;
    return -1;
}

static int open_temp(struct place *p, mode_t mode)
{
    p->fd = openat(p->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (p->fd >= 0) {
        /* The name is given through /proc; without it a named file must do. */
        char self[SELF_SIZE];
        if (access(self_path(p, self), F_OK) == 0) {
            (void)leftover_hold(p->dir, NULL, p->fd);
            return 0;
        }
        close(p->fd);
        p->fd = -1;
    } else if (errno == ENOSPC || errno == EDQUOT || errno == EACCES || errno == EROFS ||
               errno == EMFILE || errno == ENFILE) {
        return -1;
    }
    return open_named(p, mode);
}

/* Nothing can be made beside the destination. */
static int fail_create(struct error *err, const struct place *p)
{
    if (errno != EACCES && errno != EPERM && errno != EROFS)
        return fail(err, p, "create");
    return error_set(err, error_from_errno(errno), "the folder of %s may not be written: %s",
                     p->shown, strerror(errno));
}

static int open_file(struct place *p, const char *input, struct error *err)
{
    const size_t length = strlen(p->path);
    if (length == 0 || p->path[length - 1] == '/')
        return error_set(err, RGPU_ERROR_PARAM, "\"%s\" does not name a file", p->path);
    char *target = NULL;
    int rc = find_target(p, p->path, &target, err);
    if (rc == 0)
        rc = open_parent(p, target, err);
    free(target);
    if (rc != 0)
        return rc;
    struct stat old;
    const bool there = fstatat(p->dir, p->name, &old, 0) == 0;
    if (!there && errno != ENOENT)
        return fail(err, p, "look at");
    if (there && (rc = check_file(p, &old, input, err)) < 0)
        return rc;
    if (p->direct) {
        p->fd = openat(p->dir, p->name, O_RDWR | O_CLOEXEC);
        return p->fd < 0 ? fail(err, p, "open") : 0;
    }
    leftover_sweep(p->dir, p->name, p->playlist ? LEFTOVER_PLAYLIST : LEFTOVER_FILE, input);
    if (p->playlist && (rc = open_spare(p, err)) < 0)
        return rc;
    if (open_temp(p, 0666) < 0)
        return fail_create(err, p);
    if (there) {
        /* Only root may give files away; a group that is not ours stays behind. */
        if (fchown(p->fd, old.st_uid, old.st_gid) != 0 && fchown(p->fd, (uid_t)-1, old.st_gid) != 0)
            errno = 0;
        if (fchmod(p->fd, old.st_mode & 07777) != 0)
            return fail(err, p, "set the permissions of");
    }
    return 0;
}

static int place_any(struct place **ret, const char *path, bool overwrite, bool playlist,
                     const char *input, struct error *err)
{
    struct place *p = place_new(path, false, overwrite);
    if (!p)
        return error_memory(err, path);
    p->playlist = playlist;
    const int rc = open_file(p, input, err);
    if (rc < 0)
        place_close(&p);
    else
        *ret = p;
    return rc;
}

int place_file(struct place **ret, const char *path, bool overwrite, const char *input,
               struct error *err)
{
    return place_any(ret, path, overwrite, false, input, err);
}

int place_playlist(struct place **ret, const char *path, bool overwrite, const char *input,
                   struct error *err)
{
    return place_any(ret, path, overwrite, true, input, err);
}

static int link_as(const struct place *p, const char *name)
{
    char self[SELF_SIZE];
    return linkat(AT_FDCWD, self_path(p, self), p->dir, name, AT_SYMLINK_FOLLOW);
}

/* Gives the unnamed file a name: the final one if that is free, else a temporary one. */
static int link_temp(struct place *p)
{
    if (!p->exists) {
        if (link_as(p, p->name) == 0) {
            p->state = PLACE_DONE;
            return 0;
        }
        if (errno != EEXIST || !p->overwrite)
            return -1;
    }
    for (int i = 0; i < TEMP_TRIES; i++) {
        leftover_name(p->temp, p->name, false);
        if (link_as(p, p->temp) == 0)
            return 0;
        p->temp[0] = 0;
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

/* Renames without replacing; where the file system cannot, after a look. */
static int rename_new(int dir, const char *from, const char *to)
{
    if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    struct stat st;
    if (fstatat(dir, to, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        errno = EEXIST;
        return -1;
    }
    return renameat(dir, from, dir, to);
}

/* An old master playlist gets a second name first: it says what has to go. On a file system
 * without such names that stays. */
static int replace_file(struct place *p)
{
    struct stat st;
    p->replaced = fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (p->replaced && p->playlist) {
        p->old_fd = leftover_hold_old(p->dir, p->name);
        leftover_name(p->old, p->name, false);
        if (linkat(p->dir, p->name, p->dir, p->old, 0) != 0)
            p->old[0] = 0;
    }
    return renameat(p->dir, p->temp, p->dir, p->name);
}

/* 0, or -1 and errno. */
static int commit_file(struct place *p)
{
    if (p->direct)
        return 0;
    if (!p->temp[0] && link_temp(p) < 0)
        return -1;
    if (p->state == PLACE_DONE)
        return 0;
    return p->overwrite ? replace_file(p) : rename_new(p->dir, p->temp, p->name);
}

/* ---- folders -------------------------------------------------------------------------------- */

static int find_folder(struct place *p, struct error *err)
{
    size_t end = strlen(p->path);
    while (end > 1 && p->path[end - 1] == '/')
        end--;
    char *path = strndup(p->path, end), *target = NULL;
    int rc = path ? find_target(p, path, &target, err) : error_memory(err, "a path");
    free(path);
    if (!target)
        return rc;
    /* Names such as ".." have a real one, if the folder exists. */
    char *real = realpath(target, NULL);
    rc = open_parent(p, real ? real : target, err);
    free(real);
    free(target);
    if (rc == 0 &&
        (!p->name || !p->name[0] || strcmp(p->name, "/") == 0 || strcmp(p->name, "..") == 0))
        rc = error_set(err, RGPU_ERROR_PARAM, "%s cannot be replaced; name a new folder", p->shown);
    return rc;
}

/* Whether it was not the folder's fault that it could not be looked at. */
static bool is_shortage(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOMEM;
}

static int check_folder(struct place *p, const struct stat *old, const char *input,
                        struct error *err)
{
    if (!S_ISDIR(old->st_mode))
        return error_set(err, RGPU_ERROR_EXISTS,
                         "%s exists already and is not a folder; choose another name", p->shown);
    const enum tree tree = tree_look(p->dir, p->name);
    if (tree == TREE_FOREIGN && is_shortage(errno))
        return fail(err, p, "look at");
    if (tree == TREE_FOREIGN || tree == TREE_PARTLY)
        return error_set(err, RGPU_ERROR_EXISTS,
                         "folder %s holds other files; choose an empty or new folder", p->shown);
    if (leftover_holds_input(old, input))
        return error_set(err, RGPU_ERROR_PARAM,
                         "the input is part of %s, which would be replaced; write elsewhere",
                         p->shown);
    if (tree == TREE_OURS && !p->overwrite)
        return error_set(err, RGPU_ERROR_EXISTS, "folder %s is not empty; use -y to replace it",
                         p->shown);
    p->exists = true;
    return 0;
}

static int open_folder(struct place *p, const char *input, struct error *err)
{
    int rc = find_folder(p, err);
    if (rc != 0 || !p->name)
        return rc;
    struct stat old;
    leftover_restore(p->dir, p->name);
    const bool there = fstatat(p->dir, p->name, &old, 0) == 0;
    if (!there && errno != ENOENT)
        return fail(err, p, "look at");
    if (there && (rc = check_folder(p, &old, input, err)) < 0)
        return rc;
    leftover_sweep(p->dir, p->name, LEFTOVER_FOLDER, input);
    if ((rc = open_spare(p, err)) < 0)
        return rc;
    for (int i = 0; i < TEMP_TRIES; i++) {
        leftover_name(p->temp, p->name, false);
        if (mkdirat(p->dir, p->temp, 0777) != 0) {
            p->temp[0] = 0;
            if (errno != EEXIST)
                return fail_create(err, p);
            continue;
        }
        p->fd = openat(p->dir, p->temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (p->fd < 0 && errno != ENOENT)
            return fail(err, p, "create");
        if (p->fd >= 0 && leftover_hold(p->dir, p->temp, p->fd))
            break;
        /* Another run took it for a leftover. */
        p->temp[0] = 0;
        if (p->fd >= 0)
            close(p->fd);
        p->fd = -1;
    }
    if (p->fd < 0)
        return fail(err, p, "create");
    if (there)
        (void)fchmod(p->fd, old.st_mode & 07777);
    return 0;
}

int place_folder(struct place **ret, const char *path, bool overwrite, const char *input,
                 struct error *err)
{
    struct place *p = place_new(path, true, overwrite);
    if (!p)
        return error_memory(err, path);
    const int rc = open_folder(p, input, err);
    if (rc < 0)
        place_close(&p);
    else
        *ret = p;
    return rc;
}

int place_create(struct place *p, const char *name, int *ret, struct error *err)
{
    const char *slash = strchr(name, '/');
    if (slash) {
        char dir[NAME_MAX + 1];
        snprintf(dir, sizeof(dir), "%.*s", (int)(slash - name), name);
        if (mkdirat(p->fd, dir, 0777) != 0 && errno != EEXIST)
            return fail(err, p, "make a folder in");
    }
    const int fd = openat(p->fd, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail(err, p, "create a file in");
    *ret = fd;
    return 0;
}

/* The two folders change names; without such a call there is no folder for a moment, and `aside`
 * marks the one to put back if this run is killed then. */
static int exchange(struct place *p)
{
    char aside[NAME_MAX + 1];
    p->old_fd = leftover_hold_old(p->dir, p->name);
    if (renameat2(p->dir, p->temp, p->dir, p->name, RENAME_EXCHANGE) == 0) {
        memcpy(p->old, p->temp, sizeof(p->old));
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    leftover_name(aside, p->name, true);
    if (renameat(p->dir, p->name, p->dir, aside) != 0)
        return -1;
    if (renameat(p->dir, p->temp, p->dir, p->name) != 0) {
        const int number = errno;
        (void)renameat(p->dir, aside, p->dir, p->name);
        errno = number;
        return -1;
    }
    memcpy(p->old, aside, sizeof(p->old));
    return 0;
}

/* An empty folder is replaced by a rename; a full one changes names with the new one. 0, or -1 and
 * errno. */
static int commit_folder(struct place *p)
{
    int rc = p->exists ? renameat(p->dir, p->temp, p->dir, p->name)
                       : rename_new(p->dir, p->temp, p->name);
    if (rc != 0 && p->overwrite && (errno == ENOTEMPTY || errno == EEXIST)) {
        rc = exchange(p);
        p->replaced = rc == 0;
    }
    return rc;
}

/* --------------------------------------------------------------------------------------------- */

int place_fd(const struct place *p)
{
    return p->folder ? -1 : p->fd;
}

void place_reading_path(const struct place *p, char *ret, size_t size)
{
    char self[SELF_SIZE];
    if (p->state == PLACE_DONE)
        snprintf(ret, size, "%s", p->path);
    else if (!p->temp[0] || access(self_path(p, self), F_OK) == 0)
        snprintf(ret, size, "%s", self_path(p, self));
    else
        snprintf(ret, size, "%s/%s", p->parent, p->temp);
}

int place_sync(struct place *p, struct error *err)
{
    if (p->direct)
        return 0;
    /* A folder: one call for the whole file system costs less than one for each segment. */
    const int rc = p->folder ? syncfs(p->fd) : fsync(p->fd);
    return rc != 0 ? fail(err, p, "write") : 0;
}

static int appeared(const struct place *p, struct error *err)
{
    return error_set(err, RGPU_ERROR_EXISTS, "%s has appeared meanwhile; use -y to replace it",
                     p->shown);
}

int place_check(const struct place *p, struct error *err)
{
    struct stat st;
    /* What else may be wrong, the call that puts it there says best. */
    if (p->direct || p->state == PLACE_DONE ||
        fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    if (p->folder != S_ISDIR(st.st_mode))
        return error_set(err, RGPU_ERROR_EXISTS, "%s has become %s meanwhile; choose another name",
                         p->shown, p->folder ? "something else than a folder" : "a folder");
    const enum tree tree = p->folder ? tree_look(p->dir, p->name) : TREE_OURS;
    if (tree == TREE_FOREIGN && is_shortage(errno))
        return fail(err, p, "look at");
    if (tree == TREE_FOREIGN || tree == TREE_PARTLY)
        return error_set(err, RGPU_ERROR_EXISTS,
                         "folder %s has got other files meanwhile; choose another folder",
                         p->shown);
    return p->overwrite || (p->exists && tree == TREE_EMPTY) ? 0 : appeared(p, err);
}

int place_commit(struct place *p, struct error *err)
{
    if (p->state == PLACE_DONE)
        return 0;
    int rc = place_check(p, err);
    if (rc < 0)
        return rc;
    rc = p->folder ? commit_folder(p) : commit_file(p);
    if (rc != 0 && (errno == EEXIST || errno == ENOTEMPTY))
        return appeared(p, err);
    if (rc != 0)
        return fail(err, p, "put in place");
    p->state = PLACE_DONE;
    p->temp[0] = 0;
    /* The name is there; if the folder cannot be synced, that is as good as it gets. */
    if (!p->direct)
        (void)fsync(p->dir);
    return 0;
}

/* Whether the name still leads to what was written. */
static bool is_ours(const struct place *p)
{
    struct stat own, there;
    return fstat(p->fd, &own) == 0 && fstatat(p->dir, p->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

/* The folder that was replaced is still beside the new one: the two change names again. */
static void folder_back(struct place *p)
{
    char aside[NAME_MAX + 1];
    memcpy(aside, p->old, sizeof(aside));
    if (renameat2(p->dir, aside, p->dir, p->name, RENAME_EXCHANGE) != 0) {
        leftover_name(aside, p->name, false);
        if (renameat(p->dir, p->name, p->dir, aside) != 0)
            return;
        if (renameat(p->dir, p->old, p->dir, p->name) != 0) {
            (void)renameat(p->dir, aside, p->dir, p->name);
            return;
        }
    }
    memcpy(p->temp, aside, sizeof(p->temp));
    p->old[0] = 0;
    p->replaced = false;
    p->state = PLACE_OPEN;
}

void place_withdraw(struct place *p)
{
    if (p->state != PLACE_DONE || p->direct || !is_ours(p))
        return;
    if (p->replaced) {
        if (p->folder && p->old[0])
            folder_back(p);
        return;
    }
    leftover_name(p->temp, p->name, false);
    if (renameat(p->dir, p->name, p->dir, p->temp) != 0) {
        p->temp[0] = 0;
        return;
    }
    if (p->folder && p->exists)
        (void)mkdirat(p->dir, p->name, 0777);
    p->state = PLACE_OPEN;
}

static void remove_temporary(const struct place *p, const char *name)
{
    if (!name[0])
        return;
    if (p->folder)
        tree_remove(p->dir, name);
    else
        unlinkat(p->dir, name, 0);
}

void place_close(struct place **place)
{
    struct place *p = *place;
    *place = NULL;
    if (!p)
        return;
    if (p->fd >= 0)
        close(p->fd);
    if (p->spare_fd >= 0)
        close(p->spare_fd);
    if (p->state == PLACE_DONE && p->playlist && p->old[0] && !p->linked)
        hls_old_remove(p->dir, p->old, p->name);
    remove_temporary(p, p->old);
    remove_temporary(p, p->temp);
    if (p->old_fd >= 0)
        close(p->old_fd);
    if (p->dir >= 0)
        close(p->dir);
    free(p->parent);
    free(p->name);
    free(p->shown);
    free(p->path);
    free(p);
}
