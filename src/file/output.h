/* A libavformat I/O context over a file descriptor of ours: short writes are continued, and the
 * first failure is kept with its errno, so that errors can say what happened.
 *
 * The descriptor may be changed between two files (segments); positions count from the start of the
 * current one. Threads: one. Memory: one buffer of OUTPUT_BUFFER_BYTES. */
#ifndef FILE_OUTPUT_H
#define FILE_OUTPUT_H

#include <stdint.h>

#include "base/error.h"

#define OUTPUT_BUFFER_BYTES 65536

struct AVFormatContext;
struct AVIOContext;

struct output {
    struct AVIOContext *pb; /* owned */
    int fd;                 /* borrowed; -1: bytes are an error */
    int64_t pos;            /* bytes, next write, counted over all files */
    int64_t base;           /* pos at which the current file begins */
    int failure;            /* errno of the first failed call, 0 */
};

/* MEMORY, or 0. `o` must stay where it is until output_done. */
int output_init(struct output *o, int fd);

/* Makes `s` write here; a second pass that libavformat makes over what was written (the moov atom
 * moved to the front) reads back through the same descriptor. */
void output_attach(struct output *o, struct AVFormatContext *s);

/* Writes out what is buffered and goes on at the start of another file. */
void output_switch(struct output *o, int fd);

/* Bytes of the current file so far. */
int64_t output_size(const struct output *o);

/* Fills `err` for a failed system call on `path`. */
int output_errno(int number, const char *path, struct error *err);

/* Fills `err` for a failed libavformat call with result `av`, naming `path`: UNSUPPORTED where the
 * muxer refuses what it was given, else what stands in the way of writing. */
int output_error(const struct output *o, int av, const char *doing, const char *path,
                 struct error *err);

/* Flushes; the failure of that or of anything before, 0 if none. */
int output_flush(struct output *o, const char *path, struct error *err);

void output_done(struct output *o);

#endif
