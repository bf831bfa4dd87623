#include "file/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel follows */
#define TEMP_TRIES 100
#define TREE_DEPTH_MAX 8

enum place_state { PLACE_OPEN, PLACE_DONE };

struct place {
    char *path; /* as given */
    char *name; /* last component of the destination, links followed */
    int dir;    /* folder of the destination */
    int fd;     /* file: what is written; folder: the temporary folder */
    /* Temporary name in `dir`; empty: none. Once in place: that of what was there before. */
    char temp[NAME_MAX + 1];
    enum place_state state;
    bool folder, overwrite, exists, direct;
    bool replaced; /* what was there before is kept under `temp` */
    bool lost;     /* what was there before is gone for good */
};

static int fail(struct error *err, const struct place *p, const char *what)
{
    const int number = errno;
    const int code = error_from_errno(number);
    if (code == RGPU_ERROR_NO_SPACE)
        return error_set(err, code, "no space left on the device for %s", p->path);
    return error_set(err, code, "cannot %s %s: %s", what, p->path, strerror(number));
}

/* ---- names ---------------------------------------------------------------------------------- */

static void temp_name(char *ret, const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    uint8_t random[6] = {0};
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        random[0] = (uint8_t)getpid();
    char tail[] = ".rgpu-XXXXXX";
    for (int i = 0; i < 6; i++)
        tail[6 + i] = letters[random[i] % (sizeof(letters) - 1)];
    const int room = NAME_MAX - 1 - (int)sizeof(tail);
    snprintf(ret, NAME_MAX + 1, ".%.*s%s", room, name, tail);
}

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
    *p = (struct place){
        .path = strdup(path), .dir = -1, .fd = -1, .folder = folder, .overwrite = overwrite};
    if (!p->path) {
        free(p);
        return NULL;
    }
    return p;
}

/* Opens the folder that the destination lies in. */
static int open_parent(struct place *p, const char *target, struct error *err)
{
    char *dir = NULL;
    if (split(target, &dir, &p->name) < 0)
        return error_memory(err, "a path");
    p->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    if (p->dir < 0 && (errno == ENOENT || errno == ENOTDIR))
        rc = error_set(err, RGPU_ERROR_NOT_FOUND, "folder %s of %s does not exist; make it first",
                       dir, p->path);
    else if (p->dir < 0)
        rc = error_set(err, error_from_errno(errno), "cannot open folder %s of %s: %s", dir,
                       p->path, strerror(errno));
    free(dir);
    return rc;
}

/* ---- files ---------------------------------------------------------------------------------- */

static int check_file(struct place *p, const struct stat *old, const char *input, struct error *err)
{
    if (S_ISDIR(old->st_mode))
        return error_set(err, RGPU_ERROR_PARAM,
                         "%s is a folder; name a file, or end the name with '/' for HLS", p->path);
    if (S_ISCHR(old->st_mode) && old->st_rdev == makedev(1, 3)) {
        p->direct = true;
        return 0;
    }
    if (!S_ISREG(old->st_mode))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s is a device, pipe or socket; name a regular file", p->path);
    struct stat in;
    if (input && stat(input, &in) == 0 && in.st_dev == old->st_dev && in.st_ino == old->st_ino)
        return error_set(err, RGPU_ERROR_PARAM, "%s is the input itself; write to another file",
                         p->path);
    if (!p->overwrite)
        return error_set(err, RGPU_ERROR_EXISTS, "%s exists already; use -y to replace it",
                         p->path);
    if (faccessat(p->dir, p->name, W_OK, AT_EACCESS) != 0)
        return error_set(err, error_from_errno(errno), "%s may not be written: %s", p->path,
                         strerror(errno));
    p->exists = true;
    return 0;
}

static int open_temp(struct place *p, mode_t mode)
{
    p->fd = openat(p->dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
    if (p->fd >= 0) {
        /* The name is given through /proc; without it a named file must do. */
        char self[64];
        snprintf(self, sizeof(self), "/proc/self/fd/%d", p->fd);
        if (access(self, F_OK) == 0)
            return 0;
        close(p->fd);
        p->fd = -1;
    } else if (errno == ENOSPC || errno == EDQUOT || errno == EACCES || errno == EROFS ||
               errno == EMFILE || errno == ENFILE) {
        return -1;
    }
    for (int i = 0; i < TEMP_TRIES; i++) {
        temp_name(p->temp, p->name);
        p->fd = openat(p->dir, p->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
        if (p->fd >= 0)
            return 0;
        p->temp[0] = 0;
        if (errno != EEXIST)
            return -1;
    }
    return -1;
}

static int open_file(struct place *p, const char *input, struct error *err)
{
    const size_t length = strlen(p->path);
    if (length == 0 || p->path[length - 1] == '/')
        return error_set(err, RGPU_ERROR_PARAM, "\"%s\" does not name a file", p->path);
    char *target = NULL;
    int rc = follow_links(p->path, &target);
    if (rc < 0)
        return fail(err, p, "follow the link");
    rc = open_parent(p, target, err);
    free(target);
    if (rc < 0)
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
    if (open_temp(p, 0666) < 0)
        return fail(err, p, "create");
    if (there) {
        /* Only root may give files away; a group that is not ours stays behind. */
        if (fchown(p->fd, old.st_uid, old.st_gid) != 0 && fchown(p->fd, (uid_t)-1, old.st_gid) != 0)
            errno = 0;
        if (fchmod(p->fd, old.st_mode & 07777) != 0)
            return fail(err, p, "set the permissions of");
    }
    return 0;
}

int place_file(struct place **ret, const char *path, bool overwrite, const char *input,
               struct error *err)
{
    struct place *p = place_new(path, false, overwrite);
    if (!p)
        return error_memory(err, path);
    const int rc = open_file(p, input, err);
    if (rc < 0)
        place_close(&p);
    else
        *ret = p;
    return rc;
}

/* Gives the unnamed file a name: the final one if that is free, else a temporary one. */
static int link_temp(struct place *p)
{
    char self[64];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", p->fd);
    if (!p->exists) {
        if (linkat(AT_FDCWD, self, p->dir, p->name, AT_SYMLINK_FOLLOW) == 0) {
            p->state = PLACE_DONE;
            return 0;
        }
        if (errno != EEXIST || !p->overwrite)
            return -1;
    }
    for (int i = 0; i < TEMP_TRIES; i++) {
        temp_name(p->temp, p->name);
        if (linkat(AT_FDCWD, self, p->dir, p->temp, AT_SYMLINK_FOLLOW) == 0)
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

/* The old file changes names with the new one, so that it can come back; where the file system
 * cannot do that, it is gone. */
static int replace_file(struct place *p)
{
    struct stat st;
    if (fstatat(p->dir, p->name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return renameat(p->dir, p->temp, p->dir, p->name);
    if (!S_ISDIR(st.st_mode) && renameat2(p->dir, p->temp, p->dir, p->name, RENAME_EXCHANGE) == 0) {
        p->replaced = true;
        return 0;
    }
    const int rc = renameat(p->dir, p->temp, p->dir, p->name);
    p->lost = rc == 0;
    return rc;
}

static int commit_file(struct place *p, struct error *err)
{
    if (p->direct) {
        p->state = PLACE_DONE;
        return 0;
    }
    if (!p->temp[0] && link_temp(p) < 0)
        goto failed;
    if (p->state != PLACE_DONE) {
        const int rc = p->overwrite ? replace_file(p) : rename_new(p->dir, p->temp, p->name);
        if (rc != 0)
            goto failed;
    }
    p->state = PLACE_DONE;
    if (!p->replaced)
        p->temp[0] = 0;
    /* The name is there; if the folder cannot be synced, that is as good as it gets. */
    (void)fsync(p->dir);
    return 0;

failed:
    if (errno == EEXIST)
        return error_set(err, RGPU_ERROR_EXISTS, "%s has appeared meanwhile; use -y to replace it",
                         p->path);
    return fail(err, p, "put in place");
}

/* ---- folders -------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

static bool our_file(const char *name)
{
    return strcmp(name, "index.m3u8") == 0 || strcmp(name, "init.mp4") == 0 ||
           (strncmp(name, "seg_", 4) == 0 && (ends_with(name, ".m4s") || ends_with(name, ".vtt")));
}

enum tree { TREE_EMPTY, TREE_OURS, TREE_FOREIGN };

/* What a folder holds. `depth` 0 is the folder of all renditions, 1 that of one. */
static enum tree look_through(int parent, const char *name, int depth)
{
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return TREE_FOREIGN;
    }
    enum tree found = TREE_EMPTY;
    bool index = false;
    for (struct dirent *e; found != TREE_FOREIGN && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        struct stat st = {0};
        bool ours = fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0;
        if (depth == 0 && S_ISDIR(st.st_mode))
            ours = look_through(fd, e->d_name, 1) == TREE_OURS;
        else
            ours &= S_ISREG(st.st_mode) &&
                    (depth == 0 ? strcmp(e->d_name, "master.m3u8") == 0 : our_file(e->d_name));
        found = ours ? TREE_OURS : TREE_FOREIGN;
        index |= strcmp(e->d_name, "index.m3u8") == 0;
    }
    closedir(dir);
    return depth == 1 && !index ? TREE_FOREIGN : found;
}

/* Removes a folder and what is in it; never follows links. */
static void remove_tree(int parent, const char *name, int depth)
{
    const int fd = depth > TREE_DEPTH_MAX
                       ? -1
                       : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, e->d_name, 0) != 0)
            remove_tree(fd, e->d_name, depth + 1);
    }
    closedir(dir);
    unlinkat(parent, name, AT_REMOVEDIR);
}

static int open_folder(struct place *p, struct error *err)
{
    char *target = realpath(p->path, NULL);
    if (!target)
        target = strdup(p->path);
    if (!target)
        return error_memory(err, "a path");
    int rc = open_parent(p, target, err);
    free(target);
    if (rc < 0)
        return rc;
    if (!p->name || !p->name[0] || strcmp(p->name, "/") == 0 || strcmp(p->name, "..") == 0)
        return error_set(err, RGPU_ERROR_PARAM, "%s cannot be replaced; name a new folder",
                         p->path);
    struct stat old;
    if (fstatat(p->dir, p->name, &old, 0) == 0) {
        if (!S_ISDIR(old.st_mode))
            return error_set(err, RGPU_ERROR_EXISTS,
                             "%s exists already and is not a folder; choose another name", p->path);
        const enum tree tree = look_through(p->dir, p->name, 0);
        if (tree == TREE_FOREIGN)
            return error_set(err, RGPU_ERROR_EXISTS,
                             "folder %s holds other files; choose an empty or new folder", p->path);
        if (tree == TREE_OURS && !p->overwrite)
            return error_set(err, RGPU_ERROR_EXISTS, "folder %s is not empty; use -y to replace it",
                             p->path);
        p->exists = true;
    } else if (errno != ENOENT) {
        return fail(err, p, "look at");
    }
    for (int i = 0; i < TEMP_TRIES && !p->temp[0]; i++) {
        temp_name(p->temp, p->name);
        if (mkdirat(p->dir, p->temp, 0777) != 0) {
            p->temp[0] = 0;
            if (errno != EEXIST)
                return fail(err, p, "create");
        }
    }
    p->fd = openat(p->dir, p->temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->fd < 0)
        return fail(err, p, "create");
    if (p->exists)
        (void)fchmod(p->fd, old.st_mode & 07777);
    return 0;
}

int place_folder(struct place **ret, const char *path, bool overwrite, struct error *err)
{
    struct place *p = place_new(path, true, overwrite);
    if (!p)
        return error_memory(err, path);
    const int rc = open_folder(p, err);
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

/* The two folders change names; without such a call there is no folder for a moment. */
static int exchange(struct place *p)
{
    if (renameat2(p->dir, p->temp, p->dir, p->name, RENAME_EXCHANGE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    char old[NAME_MAX + 1];
    temp_name(old, p->name);
    if (renameat(p->dir, p->name, p->dir, old) != 0)
        return -1;
    if (renameat(p->dir, p->temp, p->dir, p->name) != 0) {
        const int number = errno;
        (void)renameat(p->dir, old, p->dir, p->name);
        errno = number;
        return -1;
    }
    memcpy(p->temp, old, sizeof(old));
    return 0;
}

/* An empty folder is replaced by a rename; a full one changes names with the new one. */
static int commit_folder(struct place *p, struct error *err)
{
    if (p->exists && look_through(p->dir, p->name, 0) == TREE_FOREIGN)
        return error_set(err, RGPU_ERROR_EXISTS,
                         "folder %s has got other files meanwhile; choose another folder", p->path);
    int rc = p->exists ? renameat(p->dir, p->temp, p->dir, p->name)
                       : rename_new(p->dir, p->temp, p->name);
    if (rc != 0 && p->exists && p->overwrite && (errno == ENOTEMPTY || errno == EEXIST)) {
        rc = exchange(p);
        p->replaced = rc == 0;
    }
    if (rc != 0) {
        if (errno == EEXIST || errno == ENOTEMPTY)
            return error_set(err, RGPU_ERROR_EXISTS,
                             "%s has appeared meanwhile; use -y to replace it", p->path);
        return fail(err, p, "put in place");
    }
    p->state = PLACE_DONE;
    if (!p->replaced)
        p->temp[0] = 0;
    (void)fsync(p->dir);
    return 0;
}

/* Whether the name still leads to the file that was written. */
static bool is_ours(const struct place *p)
{
    struct stat own, there;
    return fstat(p->fd, &own) == 0 && fstatat(p->dir, p->name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           own.st_dev == there.st_dev && own.st_ino == there.st_ino;
}

void place_revert(struct place *p)
{
    if (p->state != PLACE_DONE || p->direct || p->lost || (!p->folder && !is_ours(p)))
        return;
    if (p->replaced) {
        if (exchange(p) != 0)
            return;
    } else {
        temp_name(p->temp, p->name);
        if (renameat(p->dir, p->name, p->dir, p->temp) != 0) {
            p->temp[0] = 0;
            return;
        }
        if (p->folder && p->exists)
            (void)mkdirat(p->dir, p->name, 0777);
    }
    p->replaced = false;
    p->state = PLACE_OPEN;
}

/* --------------------------------------------------------------------------------------------- */

int place_fd(const struct place *p)
{
    return p->folder ? -1 : p->fd;
}

const char *place_path(const struct place *p)
{
    return p->path;
}

int place_sync(struct place *p, struct error *err)
{
    if (p->direct)
        return 0;
    /* A folder: one call for the whole file system costs less than one for each segment. */
    const int rc = p->folder ? syncfs(p->fd) : fsync(p->fd);
    return rc != 0 ? fail(err, p, "write") : 0;
}

int place_commit(struct place *p, struct error *err)
{
    if (p->state == PLACE_DONE)
        return 0;
    return p->folder ? commit_folder(p, err) : commit_file(p, err);
}

void place_close(struct place **place)
{
    struct place *p = *place;
    *place = NULL;
    if (!p)
        return;
    if (p->temp[0]) {
        if (p->folder)
            remove_tree(p->dir, p->temp, 0);
        else
            unlinkat(p->dir, p->temp, 0);
    }
    if (p->fd >= 0)
        close(p->fd);
    if (p->dir >= 0)
        close(p->dir);
    free(p->name);
    free(p->path);
    free(p);
}
