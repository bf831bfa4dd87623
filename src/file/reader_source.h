/* Where the bytes come from: looks at a path before libavformat does, so that what cannot be media
 * is refused in one clear line, and reads pipes in a way that can be interrupted.
 *
 * Threads: one. Memory: one buffer. */
#ifndef FILE_READER_SOURCE_H
#define FILE_READER_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "file/reader.h"
#include "media/boxes.h"

struct AVIOContext;

struct source {
    const char *path;       /* borrowed; as the user wrote it */
    char *url;              /* owned; for libavformat, where `io` is NULL */
    struct AVIOContext *io; /* owned; for standard input and named pipes */
    int64_t size_bytes;     /* 0 unknown */
    int fd;                 /* of `io`, owned unless it is standard input; else -1 */
    struct reader_interrupt interrupt;
    struct boxes boxes; /* of a pipe */
};

/* NOT_FOUND, ACCESS, LIMIT, INPUT (directory, device, socket, empty, all else). */
int source_open(struct source *ret, const char *path, struct reader_interrupt interrupt,
                struct error *err);

/* Name to write in messages: the path, or "standard input". */
const char *source_name(const struct source *s);

/* Another descriptor of a source that is a file, for reading at offsets; -1 on failure. */
int source_again(const struct source *s);

/* INPUT for an MP4 from a pipe whose index comes last, once its beginning has been read: where all
 * of it is not in some buffer by chance, no picture could be found. Else 0. */
int source_check_index(const struct source *s, struct error *err);

/* A line for a source that libavformat could not open, given its error code. */
int source_explain(const struct source *s, int av_error, struct error *err);

/* Takes a source that was opened, or that is all zero but for `fd`, which is -1. */
void source_close(struct source *s);

#endif
