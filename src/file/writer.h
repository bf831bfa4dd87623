/* Writes one result: a file (MP4, MKV, MPEG-TS, FLV) or an HLS folder, with its own DTS, one edit
 * list, and an interleaver that knows how far each track has come.
 *
 * Nothing appears at the destination before writer_place: files are written without a name
 * (O_TMPFILE) where the file system can, else under a temporary name beside the destination; HLS
 * goes to a temporary folder. A crash leaves the old file or none.
 *
 * Threads: one. Memory: packets wait only for interleaving (bounded by how far tracks are apart).
 * Limits: WRITER_TRACKS_MAX tracks. */
#ifndef FILE_WRITER_H
#define FILE_WRITER_H

#include "file/reader.h"

#define WRITER_TRACKS_MAX 256
#define WRITER_WARNINGS_MAX 64

enum container {
    CONTAINER_NONE,
    CONTAINER_MP4,
    CONTAINER_MKV,
    CONTAINER_TS,
    CONTAINER_FLV,
    CONTAINER_HLS
};

/* By the name: .mp4 .m4v .mov, .mkv .webm, .ts .m2ts .mts, .flv, .m3u8 or a trailing '/'.
 * CONTAINER_NONE: the name says nothing. */
enum container container_from_name(const char *path);
const char *container_name(enum container container); /* "MP4" */

/* Whether the container takes this track of the source as it is. If not and `reason` is not NULL,
 * *reason is a static text ("subrip subtitles"). */
bool container_takes(enum container container, const struct reader_track *track,
                     const char **reason);
/* Whether the container takes this video or audio codec as an encode ("hevc", "opus"). */
bool container_takes_codec(enum container container, const char *codec);

enum writer_track_kind {
    WRITER_COPY,  /* the source's own packets (writer_copy) */
    WRITER_VIDEO, /* an encoded rendition (writer_header, writer_video) */
    WRITER_AUDIO, /* audio encoded anew (writer_copy with packets of file/audio.h) */
};

struct writer_track_params {
    enum writer_track_kind kind;
    const struct reader_track *source; /* borrowed: tags, disposition, language, rotation, codec */
    const struct AVCodecParameters *audio; /* borrowed; WRITER_AUDIO */
    struct rational audio_time_base;       /* WRITER_AUDIO */
    char name[32];   /* of the rendition ("720p"): HLS folder, title of the track when a
                      * file has several video tracks; may be empty */
    bool is_default; /* first of several renditions */
    bool is_beside;  /* WRITER_COPY: a video track beside the renditions' */
    bool is_unasked; /* such a track that is left out, with a warning, unless it is asked for */
};

struct writer_params {
    const char *path;
    enum container container;
    bool overwrite;        /* else EXISTS when the destination is there */
    struct reader *reader; /* borrowed: chapters, tags, attachments */
    int tracks_count;
    const struct writer_track_params *tracks; /* borrowed during open */
    int64_t shift_us;                         /* subtracted from all time stamps (--start); 0 */
    int64_t end_us;     /* source time after which chapters are cut; 0: none */
    int64_t segment_us; /* HLS: target; 0: 6 s. Cuts at key frames all renditions share */
};

struct writer;

/* Checks the destination and makes the temporary file or folder. Errors name the path. */
int writer_open(struct writer **ret, const struct writer_params *params, struct error *err);

/* One line for each thing of the source that the container cannot hold; count, then i-th. */
int writer_warnings_count(const struct writer *w);
const char *writer_warning(const struct writer *w, int i);

/* The stream description of an encoded rendition: codec, Annex B or av1C extradata, size, colour,
 * HDR, time base, reorder_frames, profile, level. Needed once for each WRITER_VIDEO track; packets
 * may come before (they wait). */
int writer_header(struct writer *w, int track, const struct track *video, struct error *err);

/* Encoded packet in decode order; pts in the header's time base (moved). */
int writer_video(struct writer *w, int track, struct packet *pkt, struct error *err);

/* Source or audio packet (moved: *av is unref'd and set to NULL also on error). */
int writer_copy(struct writer *w, int track, struct AVPacket **av, struct error *err);

/* No packet of `track` earlier than `pts_us` (source time) will come: lets sparse tracks not hold
 * up the others. */
int writer_progress(struct writer *w, int track, int64_t pts_us, struct error *err);

/* The track is over. */
int writer_track_end(struct writer *w, int track, struct error *err);

/* Writes what waits and the trailer, and flushes to the disk; the result is whole, but not yet
 * seen. INTERNAL where a track that was promised never came. */
int writer_complete(struct writer *w, struct error *err);

/* Where a completed result can be read by this process, before it is placed and after: the file, or
 * the folder that an HLS result's renditions lie in. */
void writer_reading_path(const struct writer *w, char *ret, size_t size);

/* Puts the completed result in place (two steps, so that it can be read before, and a job with
 * several files places them only when all are whole). writer_check says beforehand what is in the
 * way: EXISTS. */
int writer_check(const struct writer *w, struct error *err);
int writer_place(struct writer *w, struct error *err);

/* Takes away again what was placed, until writer_close; but not what has replaced something. */
void writer_withdraw(struct writer *w);

/* Whole seconds, in microseconds, by which the result's time line is later than the source's (less
 * shift_us), because the container cannot hold what it begins with: FLV and MPEG-TS have no
 * negative decoding times. 0 nearly always in MP4, MKV and HLS. Known once all tracks have begun.
 */
int64_t writer_shift_us(const struct writer *w);

/* Bytes written so far, of all and of one track (payload). */
int64_t writer_bytes(const struct writer *w);
/* Video tracks that are kept beside the renditions'. */
int writer_beside_count(const struct writer *w);

/* Payload that waits for packets of other tracks. */
int64_t writer_waiting_bytes(const struct writer *w);
int64_t writer_track_bytes(const struct writer *w, int track);

/* Frames of a copied video track that the result shows, so far. */
int64_t writer_track_frames(const struct writer *w, int track);

/* Frees; removes everything temporary unless placed. Takes NULL, writes NULL. */
void writer_close(struct writer **w);

#endif
