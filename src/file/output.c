#include "file/output.h"

#include <errno.h>
#include <stdbool.h>
#include <libavformat/avformat.h>
#include <string.h>
#include <unistd.h>

/* The callback's buffer became const with libavformat 61. */
#if LIBAVFORMAT_VERSION_MAJOR >= 61
typedef const uint8_t write_byte;
#else
typedef uint8_t write_byte;
#endif

static int output_write(void *opaque, write_byte *data, int size)
{
    struct output *o = opaque;
    if (o->failure)
        return AVERROR(o->failure);
    for (int done = 0; done < size;) {
        const ssize_t n =
            o->fd < 0 ? -1 : pwrite(o->fd, data + done, (size_t)(size - done), o->pos - o->base);
        if (n <= 0) {
            if (n < 0 && errno == EINTR && o->fd >= 0)
                continue;
            o->failure = o->fd < 0 ? EBADF : n < 0 ? errno : EIO;
            return AVERROR(o->failure);
        }
        done += (int)n;
        o->pos += n;
    }
    return size;
}

static int64_t output_seek(void *opaque, int64_t offset, int whence)
{
    struct output *o = opaque;
    if (whence != SEEK_SET || offset < o->base)
        return AVERROR(ENOSYS);
    o->pos = offset;
    return offset;
}

int output_init(struct output *o, int fd)
{
    *o = (struct output){.fd = fd};
    uint8_t *buffer = av_malloc(OUTPUT_BUFFER_BYTES);
    if (buffer)
        o->pb =
            avio_alloc_context(buffer, OUTPUT_BUFFER_BYTES, 1, o, NULL, output_write, output_seek);
    if (!o->pb) {
        av_free(buffer);
        return RGPU_ERROR_MEMORY;
    }
    return 0;
}

/* ---- reading back --------------------------------------------------------------------------- */

struct read_back {
    struct output *output;
    int64_t pos;
};

static int read_back_read(void *opaque, uint8_t *data, int size)
{
    struct read_back *r = opaque;
    ssize_t n;
    do
        n = pread(r->output->fd, data, (size_t)size, r->pos);
    while (n < 0 && errno == EINTR);
    if (n < 0) {
        if (!r->output->failure)
            r->output->failure = errno;
        return AVERROR(errno);
    }
    r->pos += n;
    return n ? (int)n : AVERROR_EOF;
}

static int64_t read_back_seek(void *opaque, int64_t offset, int whence)
{
    struct read_back *r = opaque;
    if (whence != SEEK_SET)
        return AVERROR(ENOSYS);
    r->pos = offset;
    return offset;
}

static int read_back_open(AVFormatContext *s, AVIOContext **pb, const char *url, int flags,
                          AVDictionary **options)
{
    (void)url;
    (void)options;
    if (flags & AVIO_FLAG_WRITE)
        return AVERROR(EPERM);
    struct read_back *r = av_mallocz(sizeof(*r));
    uint8_t *buffer = av_malloc(OUTPUT_BUFFER_BYTES);
    if (r && buffer) {
        r->output = s->opaque;
        *pb = avio_alloc_context(buffer, OUTPUT_BUFFER_BYTES, 0, r, read_back_read, NULL,
                                 read_back_seek);
        if (*pb)
            return 0;
    }
    av_free(r);
    av_free(buffer);
    return AVERROR(ENOMEM);
}

static int read_back_close(AVFormatContext *s, AVIOContext *pb)
{
    (void)s;
    av_free(pb->opaque);
    av_free(pb->buffer);
    avio_context_free(&pb);
    return 0;
}

/* --------------------------------------------------------------------------------------------- */

void output_attach(struct output *o, AVFormatContext *s)
{
    s->pb = o->pb;
    s->flags |= AVFMT_FLAG_CUSTOM_IO;
    s->opaque = o;
    s->io_open = read_back_open;
    s->io_close2 = read_back_close;
}

void output_switch(struct output *o, int fd)
{
    avio_flush(o->pb);
    o->fd = fd;
    o->base = avio_tell(o->pb);
    o->pos = o->base;
}

int64_t output_size(const struct output *o)
{
    return avio_tell(o->pb) - o->base;
}

int output_errno(int number, const char *path, struct error *err)
{
    const int code = error_from_errno(number);
    if (number == EFBIG)
        return error_set(err, code, "%s would be larger than is allowed here (ulimit -f)", path);
    if (code == RGPU_ERROR_NO_SPACE)
        return error_set(err, code, "no space left on the device for %s", path);
    return error_set(err, code, "cannot write %s: %s", path, strerror(number));
}

int output_error(const struct output *o, int av, const char *doing, const char *path,
                 struct error *err)
{
    if (o->failure)
        return output_errno(o->failure, path, err);
    if (av == AVERROR(ENOMEM))
        return error_memory(err, doing);
    const bool refused = av == AVERROR_INVALIDDATA || av == AVERROR(EINVAL) ||
                         av == AVERROR(ERANGE) || av == AVERROR_PATCHWELCOME;
    const int number = AVUNERROR(av);
    if (!refused && number > 0 && number < 4096) /* FFmpeg's own codes are four letters */
        return output_errno(number, path, err);
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(av, text, sizeof(text));
    return error_set(err, refused ? RGPU_ERROR_UNSUPPORTED : RGPU_ERROR_IO, "%s for %s failed: %s",
                     doing, path, text);
}

int output_flush(struct output *o, const char *path, struct error *err)
{
    avio_flush(o->pb);
    const int av = o->pb->error;
    return av < 0 || o->failure ? output_error(o, av, "writing", path, err) : 0;
}

void output_done(struct output *o)
{
    if (o->pb) {
        av_freep(&o->pb->buffer);
        avio_context_free(&o->pb);
    }
    *o = (struct output){.fd = -1};
}
