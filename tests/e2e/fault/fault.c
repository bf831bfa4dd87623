#include "fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavfilter/avfilter.h>
#include <libavformat/avformat.h>
#include <libavutil/buffer.h>
#include <libavutil/frame.h>

static atomic_int armed_kind;
static atomic_long left, calls;

void fault_arm(enum fault_kind kind, long nth)
{
    atomic_store(&armed_kind, (int)kind);
    atomic_store(&left, nth);
    atomic_store(&calls, 0);
}

long fault_calls(void)
{
    return atomic_load(&calls);
}

static bool fails(enum fault_kind kind)
{
    const int armed = atomic_load(&armed_kind);
    if (armed == FAULT_kill &&
        (kind == FAULT_open || kind == FAULT_write || kind == FAULT_read || kind == FAULT_kill)) {
        if (atomic_fetch_add(&calls, 1) + 1 == atomic_load(&left)) {
            fprintf(stderr, "killed at %s\n", kind == FAULT_read ? "read" : "file");
            kill(getpid(), SIGKILL);
        }
        return false;
    }
    if (armed != (int)kind || kind == FAULT_kill)
        return false;
    atomic_fetch_add(&calls, 1);
    return atomic_load(&left) > 0 && atomic_fetch_sub(&left, 1) == 1;
}

/* A wrapper: declared for the compiler, then defined; `failed` is its value when it is to fail. */
#define WRAP(kind, type, name, params, args, failed)                                               \
    type __real_##name params;                                                                     \
    type __wrap_##name params;                                                                     \
    type __wrap_##name params                                                                      \
    {                                                                                              \
        return fails(FAULT_##kind) ? (failed) : __real_##name args;                                \
    }

/* The value -1 with errno set. */
static int minus(int errno_value)
{
    errno = errno_value;
    return -1;
}

static void *none(int errno_value)
{
    errno = errno_value;
    return NULL;
}

WRAP(memory, void *, malloc, (size_t size), (size), none(ENOMEM))
WRAP(memory, void *, calloc, (size_t count, size_t size), (count, size), none(ENOMEM))
WRAP(memory, void *, realloc, (void *old, size_t size), (old, size), none(ENOMEM))
WRAP(memory, void *, reallocarray, (void *old, size_t count, size_t size), (old, count, size),
     none(ENOMEM))
WRAP(memory, void *, aligned_alloc, (size_t align, size_t size), (align, size), none(ENOMEM))
WRAP(memory, int, posix_memalign, (void **ret, size_t align, size_t size), (ret, align, size),
     ENOMEM)
WRAP(memory, char *, strdup, (const char *text), (text), none(ENOMEM))
WRAP(memory, char *, strndup, (const char *text, size_t size), (text, size), none(ENOMEM))
WRAP(memory, int, vasprintf, (char **ret, const char *format, va_list args), (ret, format, args),
     minus(ENOMEM))

WRAP(memory, void *, av_malloc, (size_t size), (size), NULL)
WRAP(memory, void *, av_mallocz, (size_t size), (size), NULL)
WRAP(memory, void *, av_calloc, (size_t count, size_t size), (count, size), NULL)
WRAP(memory, void *, av_realloc, (void *old, size_t size), (old, size), NULL)
WRAP(memory, char *, av_strdup, (const char *text), (text), NULL)
WRAP(memory, void *, av_memdup, (const void *data, size_t size), (data, size), NULL)
WRAP(memory, AVPacket *, av_packet_alloc, (void), (), NULL)
WRAP(memory, AVPacket *, av_packet_clone, (const AVPacket *pkt), (pkt), NULL)
WRAP(memory, int, av_packet_ref, (AVPacket * to, const AVPacket *from), (to, from), AVERROR(ENOMEM))
WRAP(memory, int, av_packet_make_refcounted, (AVPacket * pkt), (pkt), AVERROR(ENOMEM))
WRAP(memory, int, av_new_packet, (AVPacket * pkt, int size), (pkt, size), AVERROR(ENOMEM))
WRAP(memory, AVFrame *, av_frame_alloc, (void), (), NULL)
WRAP(memory, AVFrame *, av_frame_clone, (const AVFrame *frame), (frame), NULL)
WRAP(memory, int, av_frame_ref, (AVFrame * to, const AVFrame *from), (to, from), AVERROR(ENOMEM))
WRAP(memory, int, av_frame_get_buffer, (AVFrame * frame, int align), (frame, align),
     AVERROR(ENOMEM))
WRAP(memory, AVBufferRef *, av_buffer_ref, (const AVBufferRef *buf), (buf), NULL)
WRAP(memory, AVBufferRef *, av_buffer_alloc, (size_t size), (size), NULL)
WRAP(memory, AVBufferRef *, av_buffer_create,
     (uint8_t * data, size_t size, void (*release)(void *opaque, uint8_t *data), void *opaque,
      int flags),
     (data, size, release, opaque, flags), NULL)
WRAP(memory, int, av_dict_set,
     (AVDictionary * *dict, const char *key, const char *value, int flags),
     (dict, key, value, flags), AVERROR(ENOMEM))
WRAP(memory, int, av_dict_copy, (AVDictionary * *to, const AVDictionary *from, int flags),
     (to, from, flags), AVERROR(ENOMEM))
WRAP(memory, AVCodecContext *, avcodec_alloc_context3, (const AVCodec *codec), (codec), NULL)
WRAP(memory, AVCodecParameters *, avcodec_parameters_alloc, (void), (), NULL)
WRAP(memory, int, avcodec_parameters_copy, (AVCodecParameters * to, const AVCodecParameters *from),
     (to, from), AVERROR(ENOMEM))
WRAP(memory, AVFormatContext *, avformat_alloc_context, (void), (), NULL)
WRAP(memory, int, avformat_alloc_output_context2,
     (AVFormatContext * *ret, const AVOutputFormat *format, const char *name, const char *path),
     (ret, format, name, path), AVERROR(ENOMEM))
WRAP(memory, AVStream *, avformat_new_stream, (AVFormatContext * format, const AVCodec *codec),
     (format, codec), NULL)
WRAP(memory, AVFilterGraph *, avfilter_graph_alloc, (void), (), NULL)
WRAP(memory, int, avio_open_dyn_buf, (AVIOContext * *ret), (ret), AVERROR(ENOMEM))
#if LIBAVFORMAT_VERSION_MAJOR >= 61
#define WRITTEN const uint8_t
#else
#define WRITTEN uint8_t
#endif
WRAP(memory, AVIOContext *, avio_alloc_context,
     (unsigned char *buffer, int size, int writes, void *opaque,
      int (*read)(void *opaque, uint8_t *data, int size),
      int (*write)(void *opaque, WRITTEN *data, int size),
      int64_t (*seek)(void *opaque, int64_t to, int whence)),
     (buffer, size, writes, opaque, read, write, seek), NULL)

WRAP(open, FILE *, fopen, (const char *path, const char *mode), (path, mode), none(EMFILE))
WRAP(open, FILE *, fdopen, (int fd, const char *mode), (fd, mode), none(ENOMEM))
WRAP(open, DIR *, opendir, (const char *path), (path), none(EMFILE))
WRAP(open, DIR *, fdopendir, (int fd), (fd), none(ENOMEM))
WRAP(open, int, dup, (int fd), (fd), minus(EMFILE))
WRAP(open, int, mkdir, (const char *path, mode_t mode), (path, mode), minus(EACCES))
WRAP(open, int, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode), minus(EACCES))
WRAP(open, char *, mkdtemp, (char *path), (path), none(EACCES))
WRAP(open, int, mkostemp, (char *path, int flags), (path, flags), minus(EMFILE))
WRAP(open, int, fstat, (int fd, struct stat *ret), (fd, ret), minus(EIO))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fails(FAULT_open) ? minus(EMFILE) : __real_open(path, flags, mode);
}

int __real_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...);
int __wrap_openat(int dir, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
    va_end(args);
    if ((flags & O_TMPFILE) == O_TMPFILE && getenv("RGPU_FAULT_PLAIN"))
        return minus(EOPNOTSUPP);
    return fails(FAULT_open) ? minus(EMFILE) : __real_openat(dir, path, flags, mode);
}

WRAP(write, ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size),
     minus(ENOSPC))
WRAP(write, ssize_t, pwrite, (int fd, const void *data, size_t size, off_t at),
     (fd, data, size, at), minus(ENOSPC))
WRAP(write, int, ftruncate, (int fd, off_t size), (fd, size), minus(ENOSPC))
WRAP(write, int, posix_fallocate, (int fd, off_t at, off_t size), (fd, at, size), ENOSPC)
WRAP(write, int, fsync, (int fd), (fd), minus(EIO))
WRAP(write, int, fdatasync, (int fd), (fd), minus(EIO))
WRAP(write, int, rename, (const char *from, const char *to), (from, to), minus(EACCES))
WRAP(write, int, renameat, (int dir, const char *from, int dir2, const char *to),
     (dir, from, dir2, to), minus(EACCES))

int __real_renameat2(int dir, const char *from, int dir2, const char *to, unsigned flags);
int __wrap_renameat2(int dir, const char *from, int dir2, const char *to, unsigned flags);
int __wrap_renameat2(int dir, const char *from, int dir2, const char *to, unsigned flags)
{
    if (getenv("RGPU_FAULT_PLAIN"))
        return minus(EINVAL);
    return fails(FAULT_write) ? minus(EACCES) : __real_renameat2(dir, from, dir2, to, flags);
}

WRAP(write, int, linkat, (int dir, const char *from, int dir2, const char *to, int flags),
     (dir, from, dir2, to, flags), minus(EACCES))

WRAP(read, int, av_read_frame, (AVFormatContext * format, AVPacket *pkt), (format, pkt),
     AVERROR(EIO))

/* What may fail without harm: only places to be killed at. */
WRAP(kill, int, unlinkat, (int dir, const char *path, int flags), (dir, path, flags), 0)
WRAP(kill, int, flock, (int fd, int operation), (fd, operation), 0)
WRAP(kill, int, syncfs, (int fd), (fd), 0)

WRAP(thread, int, pthread_create,
     (pthread_t * ret, const pthread_attr_t *attr, void *(*start)(void *), void *opaque),
     (ret, attr, start, opaque), EAGAIN)
WRAP(library, int, avcodec_open2,
     (AVCodecContext * codec, const AVCodec *which, AVDictionary **options),
     (codec, which, options), AVERROR(ENOMEM))
WRAP(library, int, avcodec_send_frame, (AVCodecContext * codec, const AVFrame *frame),
     (codec, frame), AVERROR_EXTERNAL)
WRAP(library, int, avcodec_receive_packet, (AVCodecContext * codec, AVPacket *pkt), (codec, pkt),
     AVERROR_EXTERNAL)
WRAP(library, int, avfilter_graph_config, (AVFilterGraph * graph, void *log), (graph, log),
     AVERROR(ENOMEM))
WRAP(library, int, avformat_open_input,
     (AVFormatContext * *format, const char *path, const AVInputFormat *as, AVDictionary **options),
     (format, path, as, options), (avformat_free_context(*format), *format = NULL, AVERROR(EIO)))
WRAP(library, int, avformat_find_stream_info, (AVFormatContext * format, AVDictionary **options),
     (format, options), AVERROR(EIO))
WRAP(library, int, avformat_write_header, (AVFormatContext * format, AVDictionary **options),
     (format, options), AVERROR(EIO))
WRAP(library, int, av_write_frame, (AVFormatContext * format, AVPacket *pkt), (format, pkt),
     AVERROR(ENOSPC))
WRAP(library, int, av_interleaved_write_frame, (AVFormatContext * format, AVPacket *pkt),
     (format, pkt), (av_packet_unref(pkt), AVERROR(ENOSPC)))
WRAP(library, int, av_write_trailer, (AVFormatContext * format), (format), AVERROR(ENOSPC))
