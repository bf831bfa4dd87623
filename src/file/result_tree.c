#include "file/result_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n > m && strcmp(name + n - m, end) == 0;
}

bool tree_is_our_file(const char *name)
{
    return strcmp(name, "index.m3u8") == 0 || strcmp(name, "init.mp4") == 0 ||
           (strncmp(name, "seg_", 4) == 0 && !strchr(name, '/') &&
            (ends_with(name, ".m4s") || ends_with(name, ".vtt")));
}

static DIR *open_dir(int parent, const char *name)
{
    const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir && fd >= 0)
        close(fd);
    return dir;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* `depth` 0 is the folder of all renditions, 1 that of one. */
static enum tree look(int parent, const char *name, int depth)
{
    DIR *dir = open_dir(parent, name);
    if (!dir)
        return TREE_FOREIGN;
    bool any = false, index = false, partly = false, foreign = false;
    for (struct dirent *e; !foreign && (e = readdir(dir));) {
        if (is_dots(e->d_name))
            continue;
        struct stat st;
        any = true;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            foreign = true;
        } else if (depth == 0 && S_ISDIR(st.st_mode)) {
            const enum tree below = look(dirfd(dir), e->d_name, 1);
            foreign = below == TREE_FOREIGN;
            partly |= below != TREE_OURS;
        } else {
            foreign = !S_ISREG(st.st_mode) || !(depth == 0 ? strcmp(e->d_name, "master.m3u8") == 0
                                                           : tree_is_our_file(e->d_name));
            index |= strcmp(e->d_name, "index.m3u8") == 0;
        }
    }
    closedir(dir);
    if (foreign)
        return TREE_FOREIGN;
    if (!any)
        return TREE_EMPTY;
    return partly || (depth == 1 && !index) ? TREE_PARTLY : TREE_OURS;
}

enum tree tree_look(int parent, const char *name)
{
    errno = 0;
    return look(parent, name, 0);
}

static void remove_level(int parent, const char *name, int depth)
{
    /* An empty one goes without a descriptor, which there may be none for. */
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0)
        return;
    DIR *dir = depth > TREE_DEPTH_MAX ? NULL : open_dir(parent, name);
    if (!dir)
        return;
    for (struct dirent *e; (e = readdir(dir));)
        if (!is_dots(e->d_name) && unlinkat(dirfd(dir), e->d_name, 0) != 0)
            remove_level(dirfd(dir), e->d_name, depth + 1);
    closedir(dir);
    unlinkat(parent, name, AT_REMOVEDIR);
}

void tree_remove(int parent, const char *name)
{
    remove_level(parent, name, 0);
}
