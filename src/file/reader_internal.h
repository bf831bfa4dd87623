/* The reader's parts, shared by its .c files only. */
#ifndef FILE_READER_INTERNAL_H
#define FILE_READER_INTERNAL_H

#include "file/reader.h"
#include "file/reader_holes.h"
#include "file/reader_source.h"
#include "file/reader_timeline.h"
#include "file/reader_video.h"

struct reader_queued {
    struct AVPacket *av; /* owned */
    bool is_video;       /* of the selected track; then `look` is filled */
    bool is_moved;       /* its times are on the time line */
    int64_t videos;      /* packets of the selected track read up to here */
    int64_t damaged;     /* counted before it was read */
    struct video_look look;
};

struct reader {
    char *path; /* owned */
    struct source source;
    struct AVFormatContext *format; /* owned */
    struct AVBSFContext *unpack;    /* owned; see reader_unpack.h */
    struct reader_interrupt interrupt;
    struct reader_track *tracks; /* owned, `tracks_count` of them */
    int tracks_count;
    int video; /* selected track; -1: none */
    struct video_state state;
    int64_t first_dts, first_dts_closed; /* see close_first_gap; PTS_NONE: none */
    struct timeline timeline;
    struct holes holes;
    struct reader_queued *queue; /* owned ring: packets read ahead */
    size_t queue_capacity, queue_head, queue_count, queue_bytes;
    int ended; /* 0, or what reader_next returns once the queue is empty */
    struct error ended_error;
    int64_t damaged;
    bool late_tracks;
    int64_t read_to;     /* where the last read left the input; -1 unknown */
    int64_t sought_us;   /* read up to there, on the time line, to find the start; INT64_MIN: not */
    int64_t videos;      /* packets of the selected track that were read */
    int64_t farthest_us; /* end of the latest packet; INT64_MIN: none */
    int64_t given_us;    /* the same of those that were given out, on the time line */
};

/* Reads one packet into the queue. 0, also where the packet was dropped; else `ended` is set. */
int reader_read_ahead(struct reader *r);

/* i-th packet of the queue. */
struct reader_queued *reader_queued(struct reader *r, size_t i);

/* Fills in the pts of the packet there, if it has none but the codec tells it
 * (video_state.anchor_is_next, .anchor_is_before_next). Reads ahead for that. */
void reader_time_queued(struct reader *r, size_t at);

/* Moves the i-th packet of the queue onto the time line, where that is not done yet; all before it
 * must be there. Reads ahead for that. */
void reader_move_queued(struct reader *r, size_t i);

/* Its end counts as given out (see given_us). */
void reader_note_given(struct reader *r, const struct AVPacket *av);

/* Drops the packets of the queue: the first `count`, the video track's only or all. */
void reader_queue_drop(struct reader *r, size_t count, bool video_only);

/* The same, but keeps those of other tracks that are moved and not over at `from_us`. */
void reader_queue_drop_until(struct reader *r, size_t count, int64_t from_us);

/* Whether the caller wants an end; then `ended` is set. */
bool reader_interrupted(struct reader *r);

/* Goes to the last access point of the video at or before `start_us` from the file's start; stays
 * at the beginning where the input cannot be moved in. */
int reader_seek(struct reader *r, int64_t start_us, struct error *err);

#endif
