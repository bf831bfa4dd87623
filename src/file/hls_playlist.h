/* What the playlists of an HLS presentation say, from the segments that were written.
 * Threads: pure but for memory. */
#ifndef FILE_HLS_PLAYLIST_H
#define FILE_HLS_PLAYLIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

struct AVStream;

struct hls_segment {
    int64_t begin_ns, end_ns;
    int64_t bytes;
};

struct hls_track {
    bool video, is_default;
    char folder[48];
    char title[128], language[16];
    const struct AVStream *stream; /* borrowed; for the master playlist */
    struct hls_segment *segments;  /* owned */
    int segments_count, segments_capacity;
};

/* Adds a complete segment. MEMORY, LIMIT. */
int hls_track_segment(struct hls_track *t, int64_t begin_ns, int64_t end_ns, int64_t bytes,
                      struct error *err);

/* The rendition's own playlist. */
int hls_write_media(const struct hls_track *t, struct text *out, struct error *err);

/* The master playlist; `prefix` goes in front of each folder's name. Segments shorter than half of
 * `target_ns` count for the peak bit rate together with the one before them (RFC 8216, 4.3.4.2). */
int hls_write_master(const struct hls_track *const *tracks, int count, const char *prefix,
                     int64_t target_ns, struct text *out, struct error *err);

void hls_track_done(struct hls_track *t);

#endif
