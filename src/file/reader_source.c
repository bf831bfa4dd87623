/* See reader_source.h. Limits: SNIFF_BOXES_MAX boxes of a broken MP4 are looked at. */
#include "file/reader_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavformat/avformat.h>
#include <libavutil/avstring.h>

#define PIPE_BUFFER (256 << 10)
#define INTERRUPT_MS 50 /* how soon an interrupt is seen */
#define SNIFF_BOXES_MAX 10000

/* Also by libavformat's names for it: its own reader could not be interrupted. */
static bool is_standard_input(const char *path)
{
    return strcmp(path, "-") == 0 || strcmp(path, "pipe:") == 0 || strcmp(path, "pipe:0") == 0;
}

const char *source_name(const struct source *s)
{
    return is_standard_input(s->path) ? "standard input" : s->path;
}

/* IO and NO_SPACE speak of outputs. */
static int code_from_errno(int errno_value)
{
    const int code = error_from_errno(errno_value);
    return code == RGPU_ERROR_IO || code == RGPU_ERROR_NO_SPACE || code == RGPU_ERROR_EXISTS
               ? RGPU_ERROR_INPUT
               : code;
}

/* ---- pipes ---------------------------------------------------------------------------------- */

int source_check_index(const struct source *s, struct error *err)
{
    if (!s->boxes.index_last)
        return 0;
    return error_set(err, RGPU_ERROR_INPUT,
                     "%s is an MP4 whose index comes last, which cannot be read from a pipe: name "
                     "the file itself, or have it written with the index first (faststart)",
                     source_name(s));
}

static int pipe_read(void *opaque, uint8_t *data, int size)
{
    struct source *s = opaque;
    for (;;) {
        struct pollfd pipe_end = {.fd = s->fd, .events = POLLIN};
        const int ready = poll(&pipe_end, 1, INTERRUPT_MS);
        if (s->interrupt.is_asked && s->interrupt.is_asked(s->interrupt.opaque))
            return AVERROR_EXIT;
        if (ready < 0 && errno != EINTR)
            return AVERROR(errno);
        if (ready <= 0)
            continue;
        const ssize_t n = read(s->fd, data, (size_t)size);
        if (n > 0) {
            if (!s->size_bytes)
                boxes_follow(&s->boxes, data, (size_t)n);
            return (int)n;
        }
        if (n == 0)
            return AVERROR_EOF;
        if (errno != EINTR && errno != EAGAIN)
            return AVERROR(errno);
    }
}

/* Standard input may be a file: `rgpu transcode - OUT < film.mp4`. */
static int64_t fd_seek(void *opaque, int64_t offset, int whence)
{
    struct source *s = opaque;
    if (whence == AVSEEK_SIZE)
        return s->size_bytes;
    const off_t at = lseek(s->fd, offset, whence & ~AVSEEK_FORCE);
    return at < 0 ? AVERROR(errno) : at;
}

static int open_fd(struct source *s, bool seekable, struct error *err)
{
    uint8_t *buffer = av_malloc(PIPE_BUFFER);
    if (buffer)
        s->io = avio_alloc_context(buffer, PIPE_BUFFER, 0, s, pipe_read, NULL,
                                   seekable ? fd_seek : NULL);
    if (!s->io) {
        av_free(buffer);
        return error_memory(err, "the input's buffer");
    }
    s->io->seekable = seekable ? AVIO_SEEKABLE_NORMAL : 0;
    return 0;
}

/* ---- opening -------------------------------------------------------------------------------- */

static int refuse_kind(const struct source *s, mode_t mode, struct error *err)
{
    if (S_ISDIR(mode))
        return error_set(err, RGPU_ERROR_INPUT, "%s is a directory: name a file in it",
                         source_name(s));
    if (S_ISCHR(mode) || S_ISBLK(mode))
        return error_set(err, RGPU_ERROR_INPUT, "%s is a device, not a film: name a file or a pipe",
                         source_name(s));
    if (S_ISSOCK(mode))
        return error_set(err, RGPU_ERROR_INPUT, "%s is a socket: name a file or a pipe",
                         source_name(s));
    return 0;
}

static int open_standard_input(struct source *s, struct error *err)
{
    struct stat st;
    if (fstat(STDIN_FILENO, &st) < 0)
        return error_set(err, code_from_errno(errno), "standard input cannot be read: %s",
                         strerror(errno));
    /* A socket is as good as a pipe here: that is how programs hand data over. */
    const int rc = S_ISSOCK(st.st_mode) ? 0 : refuse_kind(s, st.st_mode, err);
    if (rc < 0)
        return rc;
    const bool regular = S_ISREG(st.st_mode);
    if (regular && st.st_size == 0)
        return error_set(err, RGPU_ERROR_INPUT, "standard input is empty");
    s->size_bytes = regular ? st.st_size : 0;
    s->fd = STDIN_FILENO;
    return open_fd(s, regular, err);
}

static int open_file(struct source *s, const struct stat *st, struct error *err)
{
    const int rc = refuse_kind(s, st->st_mode, err);
    if (rc < 0)
        return rc;
    if (access(s->path, R_OK) < 0)
        return error_set(err, code_from_errno(errno), "%s cannot be read: %s", s->path,
                         strerror(errno));
    if (S_ISFIFO(st->st_mode)) {
        /* Without waiting for a writer, which poll does better. */
        s->fd = open(s->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (s->fd < 0)
            return error_set(err, code_from_errno(errno), "%s cannot be read: %s", s->path,
                             strerror(errno));
        return open_fd(s, false, err);
    }
    if (st->st_size == 0)
        return error_set(err, RGPU_ERROR_INPUT, "%s is empty", s->path);
    s->size_bytes = st->st_size;
    s->url = av_asprintf("file:%s", s->path); /* or a colon in the name would be a protocol */
    return s->url ? 0 : error_memory(err, "a file name");
}

static bool is_url(const char *path)
{
    const size_t n = strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789+-.");
    if (n < 2 || path[n] != ':')
        return false;
    const char *protocol = avio_find_protocol_name(path);
    return protocol && strcmp(protocol, "file") != 0;
}

/* Whether the protocol of an address is one of a NULL-ended list. */
static bool has_protocol(const char *path, const char *const *names)
{
    const size_t length = strcspn(path, ":");
    for (; *names; names++)
        if (strlen(*names) == length && strncmp(path, *names, length) == 0)
            return true;
    return false;
}

bool reader_can_reopen(const char *path)
{
    static const char *const wrappers[] = {"async", "cache", "crypto", NULL};
    static const char *const passing[] = {"fd",   "pipe", "rist",    "rtp", "srt",
                                          "srtp", "udp",  "udplite", NULL};
    struct stat st;
    if (is_standard_input(path))
        return false;
    if (stat(path, &st) == 0)
        return !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode);
    while (is_url(path) && has_protocol(path, wrappers))
        path += strcspn(path, ":") + 1;
    return !is_url(path) || !has_protocol(path, passing);
}

int source_open(struct source *ret, const char *path, struct reader_interrupt interrupt,
                struct error *err)
{
    struct stat st;
    int rc = 0;
    *ret = (struct source){.path = path, .fd = -1, .interrupt = interrupt};
    if (is_standard_input(path)) {
        rc = open_standard_input(ret, err);
    } else if (stat(path, &st) == 0) {
        rc = open_file(ret, &st, err);
    } else if (errno == ENOENT && is_url(path)) {
        ret->url = av_strdup(path);
        rc = ret->url ? 0 : error_memory(err, "an address");
    } else {
        rc = error_set(err, code_from_errno(errno), "%s: %s", path, strerror(errno));
    }
    if (rc < 0)
        source_close(ret);
    return rc;
}

int source_again(const struct source *s)
{
    return s->fd >= 0 ? fcntl(s->fd, F_DUPFD_CLOEXEC, 0) : open(s->path, O_RDONLY | O_CLOEXEC);
}

void source_close(struct source *s)
{
    if (s->io) {
        av_freep(&s->io->buffer);
        avio_context_free(&s->io);
    }
    if (s->fd >= 0 && s->fd != STDIN_FILENO)
        close(s->fd);
    av_freep(&s->url);
    s->fd = -1;
}

/* ---- saying why ----------------------------------------------------------------------------- */

/* Whether the file is an MP4 whose index, which is written last, never came. */
static bool lacks_moov(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool mp4 = false;
    if (fd < 0)
        return false;
    uint64_t at = 0;
    uint8_t box[BOX_HEAD_MAX];
    for (int i = 0; i < SNIFF_BOXES_MAX; i++) {
        memset(box, 0, sizeof(box));
        if (at > INT64_MAX || pread(fd, box, sizeof(box), (off_t)at) < 8)
            break;
        if (box_is(box, "moov")) {
            mp4 = false;
            break;
        }
        mp4 |= box_is(box, "ftyp") || box_is(box, "mdat");
        const uint64_t size = box_size(box);
        if (!mp4 || !size || at + size < at)
            break;
        at += size;
    }
    close(fd);
    return mp4;
}

int source_explain(const struct source *s, int av_error, struct error *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    const char *name = source_name(s);
    if (av_error == AVERROR(ENOMEM))
        return error_memory(err, "reading the input");
    if (av_error == AVERROR_EXIT)
        return error_set(err, RGPU_ERROR_CANCELLED, "reading %s was cancelled", name);
    if (av_error == AVERROR_INVALIDDATA || av_error == AVERROR_EOF) {
        if (s->url && s->size_bytes && lacks_moov(s->path))
            return error_set(err, RGPU_ERROR_INPUT,
                             "%s is cut off: its index (moov) is missing, as after a recording or "
                             "download that did not finish",
                             name);
        return error_set(err, RGPU_ERROR_INPUT, "%s is not media, or its beginning is damaged",
                         name);
    }
    av_strerror(av_error, text, sizeof(text));
    if (av_error == AVERROR_HTTP_NOT_FOUND || av_error == AVERROR(ENOENT))
        return error_set(err, RGPU_ERROR_NOT_FOUND, "%s: %s", name, text);
    if (av_error == AVERROR_HTTP_FORBIDDEN || av_error == AVERROR_HTTP_UNAUTHORIZED ||
        av_error == AVERROR(EACCES) || av_error == AVERROR(EPERM))
        return error_set(err, RGPU_ERROR_ACCESS, "%s: %s", name, text);
    if (av_error == AVERROR_DEMUXER_NOT_FOUND || av_error == AVERROR_PROTOCOL_NOT_FOUND ||
        av_error == AVERROR_PATCHWELCOME)
        return error_set(err, RGPU_ERROR_INPUT, "%s: %s", name, text);
    if (av_error == AVERROR(EIO) && s->size_bytes)
        return error_set(err, RGPU_ERROR_INPUT, "%s cannot be read, or is cut off: %s", name, text);
    return error_set(err, RGPU_ERROR_INPUT, "%s: %s", name, text);
}
