/* An HLS presentation on disk: fragmented MP4, a folder for each rendition (init.mp4,
 * seg_NNNNN.m4s, index.m3u8; seg_NNNNN.vtt for subtitles), and a master playlist.
 *
 * Video renditions are cut at key frames whose pts all of them share, the first at or after the
 * target length; audio is a rendition of its own and cut at the same times. All playlists begin at
 * one time: a track that begins late has gaps (EXT-X-GAP) in front. One that ends early has fewer
 * segments, one without packets is left out.
 *
 * The time stamps in the fragments are absolute, so that players need no further information to
 * line renditions up; what edit lists take off again is decoding delay and priming. Cue times of
 * subtitles are therefore presentation times as they are. Their segments last as long as the
 * video's to the nanosecond; they are written HLS_LATE_US behind it, for cues that come late in the
 * source. `DIR/` gives DIR/master.m3u8 and DIR/RENDITION/; `X/NAME.m3u8` gives that file and
 * X/NAME/RENDITION/.
 *
 * Threads: one. Memory: a segment, in pieces of at most HLS_PIECE_BYTES, and what waits for the
 * decision where to cut; cues of HLS_LATE_US and a segment. */
#ifndef FILE_HLS_H
#define FILE_HLS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "file/hls_playlist.h"
#include "file/mux.h"

#define HLS_PIECE_BYTES (16 * INT64_C(1048576))
#define HLS_TARGET_US 6000000
#define HLS_LATE_US 30000000

struct hls;

struct hls_params {
    const char *path;
    bool overwrite;
    const char *input;  /* may be NULL; see place_file */
    int64_t segment_us; /* target; 0: HLS_TARGET_US */
};

int hls_open(struct hls **ret, const struct hls_params *params, struct error *err);

struct hls_rendition_params {
    enum hls_kind kind;
    const char *name;             /* of the folder; made unique and safe; may be empty */
    const char *title, *language; /* audio and text; may be empty */
    bool is_default;
    bool is_forced, is_for_deaf; /* text */
};

/* Adds a rendition and gives its number. Its stream is made in hls_mux(), also that of text, which
 * nothing is written with. */
int hls_add(struct hls *h, const struct hls_rendition_params *params, int *ret, struct error *err);
struct mux *hls_mux(struct hls *h, int rendition);

/* All streams are described: writes the headers. `later_us` as in mux_start. */
int hls_start(struct hls *h, int64_t later_us, struct error *err);

/* Packet of a rendition, in dts order over all (moved, also on error). Of text: a cue's payload as
 * media/webvtt.h makes it; UNSUPPORTED, without a text, where it came too late or too much waits.
 */
int hls_write(struct hls *h, int rendition, struct AVPacket *pkt, struct error *err);

/* The rendition is over. */
int hls_end(struct hls *h, int rendition, struct error *err);

/* Bytes written, all files. */
int64_t hls_bytes(const struct hls *h);

/* After all ended: playlists. Then hls_place makes it visible. */
int hls_finish(struct hls *h, struct error *err);

/* Where the folder of the renditions can be read: see place_reading_path. */
void hls_reading_path(const struct hls *h, char *ret, size_t size);

/* As place_check, place_commit and place_withdraw, for folder and playlist. */
int hls_check(const struct hls *h, struct error *err);
int hls_place(struct hls *h, struct error *err);
void hls_withdraw(struct hls *h);

void hls_close(struct hls **h);

#endif
