#include "file/hls_old.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file/leftover.h"
#include "file/result_tree.h"
#include "media/playlist.h"

#define MASTER "master.m3u8"
#define INDEX "index.m3u8"

/* ---- playlists ------------------------------------------------------------------------------ */

static char *read_bytes(int fd, size_t size)
{
    char *data = malloc(size + 1);
    for (size_t done = 0; data && done < size;) {
        const ssize_t n = pread(fd, data + done, size - done, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            free(data);
            return NULL;
        }
        done += (size_t)n;
    }
    return data;
}

/* Reads a playlist of the kind asked for. */
static bool read_playlist(int dir, const char *name, bool master, struct playlist *ret)
{
    const int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    char *data = NULL;
    if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
        (uintmax_t)st.st_size <= PLAYLIST_SIZE_MAX)
        data = read_bytes(fd, (size_t)st.st_size);
    if (fd >= 0)
        close(fd);
    bool read = data && playlist_read(data, (size_t)st.st_size, ret, NULL) == 0;
    free(data);
    if (read && ret->is_master != master) {
        playlist_done(ret);
        read = false;
    }
    return read;
}

static const char *uri_at(const struct playlist_master *m, int i)
{
    return i < m->variants_count ? m->variants[i].uri : m->renditions[i - m->variants_count].uri;
}

static int uris_count(const struct playlist_master *m)
{
    return m->variants_count + m->renditions_count;
}

static bool names(const struct playlist_master *m, const char *uri)
{
    for (int i = 0; i < uris_count(m); i++)
        if (uri_at(m, i) && strcmp(uri_at(m, i), uri) == 0)
            return true;
    return false;
}

/* The FOLDER of "FOLDER/index.m3u8", if it is a name that hls.c gives. */
static bool folder_of(const char *uri, char ret[NAME_MAX + 1])
{
    const size_t n = uri ? strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                       "0123456789-_.")
                         : 0;
    if (n == 0 || n > NAME_MAX || uri[0] == '.' || strcmp(uri + n, "/" INDEX) != 0)
        return false;
    memcpy(ret, uri, n);
    ret[n] = 0;
    return true;
}

/* ---- removal -------------------------------------------------------------------------------- */

static void remove_file(int dir, const char *name)
{
    struct stat st;
    if (name && tree_is_our_file(name) && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(st.st_mode))
        unlinkat(dir, name, 0);
}

/* The playlist goes last, so that a run that is killed here can be finished by the next. */
static void remove_rendition(int parent, const char *name)
{
    const int dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return;
    struct playlist index = {0};
    if (read_playlist(dir, INDEX, false, &index)) {
        for (int i = 0; i < index.media.segments_count; i++)
            remove_file(dir, index.media.segments[i].uri);
        remove_file(dir, index.media.map_uri);
        remove_file(dir, INDEX);
    }
    playlist_done(&index);
    close(dir);
    unlinkat(parent, name, AT_REMOVEDIR); /* fails if something else is in it */
}

void hls_old_remove(int dir, const char *old, const char *now)
{
    struct playlist before = {0}, after = {0};
    char folder[NAME_MAX + 1];
    if (strcmp(now, MASTER) == 0 && read_playlist(dir, now, true, &after) &&
        read_playlist(dir, old, true, &before)) {
        for (int i = 0; i < uris_count(&before.master); i++) {
            const char *uri = uri_at(&before.master, i);
            if (folder_of(uri, folder) && !names(&after.master, uri))
                remove_rendition(dir, folder);
        }
    }
    playlist_done(&before);
    playlist_done(&after);
}

bool hls_old_holds_input(int dir, const char *name, const char *input)
{
    struct playlist master = {0};
    char folder[NAME_MAX + 1];
    struct stat st;
    bool holds = false;
    if (strcmp(name, MASTER) == 0 && read_playlist(dir, name, true, &master))
        for (int i = 0; i < uris_count(&master.master) && !holds; i++)
            holds = folder_of(uri_at(&master.master, i), folder) &&
                    fstatat(dir, folder, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                    leftover_holds_input(&st, input);
    playlist_done(&master);
    return holds;
}
