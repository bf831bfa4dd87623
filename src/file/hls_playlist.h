/* What the playlists of an HLS presentation say, from the segments that were written.
 * Threads: pure but for memory. */
#ifndef FILE_HLS_PLAYLIST_H
#define FILE_HLS_PLAYLIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

struct AVStream;

enum hls_kind { HLS_VIDEO, HLS_AUDIO, HLS_TEXT };

struct hls_segment {
    int64_t begin_ns, end_ns;
    int64_t bytes;
    bool is_gap; /* nothing is shown or heard */
};

struct hls_track {
    enum hls_kind kind;
    bool is_default;
    bool is_forced, is_for_deaf; /* text */
    bool is_dependent;           /* a segment begins with pictures that need the one before */
    char folder[48];
    char title[128], language[16];
    const struct AVStream *stream; /* borrowed; for the master playlist */
    struct hls_segment *segments;  /* owned */
    int segments_count, segments_capacity;
};

#define HLS_SEGMENT_NAME_MAX 24

/* File name of the i-th segment within the track's folder. */
void hls_segment_name(const struct hls_track *t, int i, char ret[HLS_SEGMENT_NAME_MAX]);

/* Adds a complete segment. MEMORY, LIMIT. */
int hls_track_segment(struct hls_track *t, const struct hls_segment *segment, struct error *err);

/* A track of which nothing came, and that is in no playlist. */
bool hls_track_is_empty(const struct hls_track *t);

/* Target duration of all media playlists: those of a variant must have the same (RFC 8216, 6.2.4).
 */
int32_t hls_target_s(const struct hls_track *const *tracks, int count);

/* The rendition's own playlist. */
int hls_write_media(const struct hls_track *t, int32_t target_s, struct text *out,
                    struct error *err);

/* The master playlist; `prefix` goes in front of each folder's name. */
int hls_write_master(const struct hls_track *const *tracks, int count, const char *prefix,
                     int32_t target_s, struct text *out, struct error *err);

void hls_track_done(struct hls_track *t);

#endif
