/* An HLS presentation on disk: fragmented MP4, a folder for each rendition (init.mp4,
 * seg_NNNNN.m4s, index.m3u8), and a master playlist.
 *
 * Video renditions are cut at key frames whose pts all of them share, the first at or after the
 * target length; audio is a rendition of its own and cut at the same times. The time stamps in the
 * fragments are absolute, so that players need no further information to line renditions up.
 * `DIR/` gives DIR/master.m3u8 and DIR/RENDITION/; `X/NAME.m3u8` gives that file and
 * X/NAME/RENDITION/.
 *
 * Threads: one. Memory: a segment, in pieces of at most HLS_PIECE_BYTES, and what waits for the
 * decision where to cut. */
#ifndef FILE_HLS_H
#define FILE_HLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "file/mux.h"

#define HLS_PIECE_BYTES (16 * INT64_C(1048576))
#define HLS_TARGET_US 6000000

struct hls;

struct hls_params {
    const char *path;
    bool overwrite;
    const char *input;  /* may be NULL; see place_file */
    int64_t segment_us; /* target; 0: HLS_TARGET_US */
    bool trimmed;       /* see mux.h */
};

int hls_open(struct hls **ret, const struct hls_params *params, struct error *err);

struct hls_rendition_params {
    bool video;
    const char *name;             /* of the folder; made unique and safe */
    const char *title, *language; /* audio; may be empty */
    bool is_default;
};

/* Adds a rendition and gives its number. Its stream is made in hls_mux(). */
int hls_add(struct hls *h, const struct hls_rendition_params *params, int *ret, struct error *err);
struct mux *hls_mux(struct hls *h, int rendition);

/* All streams are described: writes the headers. `later_us` as in mux_start. */
int hls_start(struct hls *h, int64_t later_us, struct error *err);

/* Packet of a rendition, in dts order over all (moved, also on error). */
int hls_write(struct hls *h, int rendition, struct AVPacket *pkt, struct error *err);

/* The rendition is over. */
int hls_end(struct hls *h, int rendition, struct error *err);

/* Bytes written, all files. */
int64_t hls_bytes(const struct hls *h);

/* After all ended: playlists. Then hls_place makes it visible. */
int hls_finish(struct hls *h, struct error *err);
int hls_place(struct hls *h, struct error *err);
/* Takes a placed result back, until hls_close. */
void hls_unplace(struct hls *h);

void hls_close(struct hls **h);

#endif
