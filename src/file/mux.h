/* One libavformat muxer that writes to a descriptor of ours, with the options that keep time exact.
 *
 * Time stamps are written as they are given: nothing is shifted to avoid negative ones. MP4 gets
 * one edit list a track and the moov atom at the front (see file/edits.h for what it hides); in
 * fragments (HLS) the first time stamp goes into the fragments' decode times instead. MKV gets a
 * CodecDelay for priming.
 *
 * Threads: one. Memory: the muxer's index, and a fragment. */
#ifndef FILE_MUX_H
#define FILE_MUX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "file/writer.h"

struct AVFormatContext;
struct AVPacket;
struct AVStream;
struct mux;

struct mux_params {
    enum container container; /* HLS: fragments of MP4 */
    const char *path;         /* borrowed during open; for texts, and .m2ts, .webm */
    int fd;                   /* borrowed until close; -1 in fragments: set by mux_switch */
};

int mux_open(struct mux **ret, const struct mux_params *params, struct error *err);

/* For tags and chapters, before mux_start. Borrowed. */
struct AVFormatContext *mux_format(struct mux *m);

/* New stream, to be filled in by file/describe.h; its time base is that of the packets to come.
 * NULL: no memory. Borrowed. */
struct AVStream *mux_stream(struct mux *m);

/* What is known of a stream's first packet: its pts in the stream's time base. Before mux_start. */
void mux_first(struct mux *m, int stream, int64_t pts);

/* Video packets marked with AV_PKT_FLAG_DISCARD will come, which an edit list is to hide. Before
 * mux_start; MP4 only. */
void mux_hides(struct mux *m, int stream);

/* Least time, in microseconds, by which all packets must be later for the container to hold them; 0
 * if it can as they are. `first_dts_us` is the smallest of all first dts. */
int64_t mux_shift_us(const struct mux *m, int64_t first_dts_us);

/* Writes the header. `later_us` is added to all time stamps from here on. */
int mux_start(struct mux *m, int64_t later_us, struct error *err);

/* Writes a packet (borrowed; its fields are changed) whose time stamps count in pkt->time_base. A
 * dts that does not grow is raised by the least that will do, and counted. */
int mux_write(struct mux *m, int stream, struct AVPacket *pkt, struct error *err);
int64_t mux_repaired_count(const struct mux *m);

/* Fragments: the first call writes the header alone, the others what was given since as one moof
 * and mdat. */
int mux_fragment(struct mux *m, struct error *err);

/* Goes on in another file; all that was written so far is in the old one. */
int mux_switch(struct mux *m, int fd, struct error *err);

int64_t mux_bytes(const struct mux *m); /* of the current file */

/* Writes the trailer; the file is complete then. */
int mux_finish(struct mux *m, struct error *err);

void mux_close(struct mux **m);

#endif
