/* Whole runs of the writer for tests: a film is read, its video packets go in as if an encoder had
 * made them (Annex B, no dts), all else is copied, and the result is read back by libavformat.
 *
 * All functions fail the running test on trouble, unless said otherwise. */
#ifndef TESTS_MUXING_H
#define TESTS_MUXING_H

#include <stdbool.h>
#include <stdint.h>

#include "file/audio.h"
#include "file/reader.h"
#include "file/writer.h"

/* A packet as libavformat gives it. Time in nanoseconds, so that time bases do not matter. */
struct piece {
    int stream;
    int64_t pts_ns, dts_ns, duration_ns;
    int64_t pts; /* in the stream's time base */
    int size, flags;
    uint64_t hash; /* of the payload */
};

#define PIECE_NONE INT64_MIN

struct pieces {
    struct piece *items; /* owned */
    int count;
};

/* All packets of a file, of one stream (-1: all). */
void pieces_read(const char *name, int stream, struct pieces *ret);
void pieces_done(struct pieces *p);

struct mux_job {
    const char *in, *out;
    int renditions;  /* encodes of the video; 0: one, -1: none. The first is "a", then "b", ... */
    bool copy_video; /* another rendition: the source's own packets */
    bool no_audio;
    const char *audio_codec; /* encode all audio; NULL: copy */
    bool overwrite;
    int64_t start_us, end_us, segment_us;
    bool thin_keys;     /* all encodes but the first have every other key frame only */
    int reorder;        /* frames that are claimed; 0: as the source says */
    int burst;          /* video packets are held back and come so many at a time; 0: no */
    int stop_after;     /* video packets after which the writer is closed; 0: none */
    bool stop_complete; /* closed after writer_complete, before writer_place */
};

/* Runs the job. The first error's code, and its text in `err`; the writer is closed in any case.
 * `ret_shift_us` and `ret_warnings` (a line each, allocated) may be NULL. */
int mux_run(const struct mux_job *job, struct error *err, int64_t *ret_shift_us,
            char **ret_warnings);

/* Files and folders within a folder, hidden ones too. */
int folder_entries(const char *path);

#endif
