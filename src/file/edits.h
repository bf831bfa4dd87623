/* Edit lists of video tracks in an MP4 that is complete on disk. libavformat's muxer knows where
 * decoding begins, but not which pictures are only there to be referred to; so it is made to leave
 * room for two entries, which are filled in here.
 *
 * ISO/IEC 14496-12, 8.6.6: an entry without media delays a track, the next one shows a span of it.
 * The span begins exactly at a frame: players that see one begin inside of a frame move the whole
 * track.
 *
 * Threads: pure but for the file. Memory: none. Limits: none. */
#ifndef FILE_EDITS_H
#define FILE_EDITS_H

#include <stdint.h>

#include "base/error.h"
#include "media/rational.h"

struct edit {
    struct rational time_base; /* num 0: the track stays as it is */
    int64_t first;             /* when the first frame is shown, at least 0 */
    int64_t media;             /* how long after the track's first decoding time that frame comes */
    int64_t length;            /* from the first frame to the end of the last one */
};

/* `edits`: of the video tracks, in order. Errors name `path`; INTERNAL where the file is not as the
 * muxer should have written it. */
int edits_write(int fd, const struct edit *edits, int count, const char *path, struct error *err);

#endif
