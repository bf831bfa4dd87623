/* The inside of a session: what its stages share and hand to one another.
 *
 *   feeder -> input -> [decode] -> pictures -> [scale] -> work of each encoder -> [encode] x N
 *   [decode], [scale], [encode] -> output -> receiver
 *
 * Each stage is one thread and one struct that only that thread touches. A ticket follows each
 * segment (and each drain) from the decoder to the last of the encoders.
 *
 * Threads: one a stage; what they share is protected by `lock` or is a channel. Memory: channels
 * and tables are allocated at open, one ticket a segment after that. Errors: the first one closes
 * every channel, and each stage ends at its next push or pop. Limits: see the constants. */
#ifndef TRANSCODE_STAGES_H
#define TRANSCODE_STAGES_H

#include <pthread.h>

#include "transcode/cadence.h"
#include "transcode/channel.h"
#include "transcode/flight.h"
#include "transcode/picture.h"
#include "transcode/plan.h"
#include "transcode/session.h"
#include "transcode/window.h"

/* Frames behind a segment's end that wait for the next segment. */
#define HELD_MAX 4

enum feed_type { FEED_BEGIN, FEED_PACKET, FEED_FRAME, FEED_TAIL, FEED_END, FEED_DRAIN };

struct feed {
    enum feed_type type;
    struct packet packet; /* owned */
    struct frame *frame;  /* owned */
    uint32_t segment;
    uint64_t ordinal;                  /* BEGIN */
    int64_t pts;                       /* BEGIN: start; TAIL: end */
    uint16_t permille[RENDITIONS_MAX]; /* BEGIN: see session_rates */
    struct rate_mark mark;             /* BEGIN: see session_mark */
};

/* A segment, or a drain, on its way through the stages. */
struct ticket {
    struct ticket *next; /* protected by the session's lock, as `left` */
    int left;            /* renditions that are not through yet */
    bool drain;
    /* Written before the ticket is passed on, read after. */
    uint32_t segment;
    int64_t start_pts;
    bool follows;                      /* directly on the segment before it */
    uint16_t permille[RENDITIONS_MAX]; /* of the target bit rates */
    struct rate_mark mark;             /* in front of its first frame */
    struct segment_done done;     /* the decoder's part; packets[r] is rendition r's thread's */
    int64_t sent[RENDITIONS_MAX]; /* frames given to encoder r; its thread's */
    bool closed[RENDITIONS_MAX];  /* no more will come for r; its thread's */
};

enum work_type { WORK_FRAME, WORK_CLOSE, WORK_DRAIN };

/* Decoder to scaler, scaler to encoder. */
struct work {
    enum work_type type;
    struct frame *frame;   /* owned; for encoders its pts is the gapless clock */
    struct ticket *ticket; /* borrowed */
    int64_t pts, duration; /* source time */
};

struct decode_stage {
    void *decoder; /* NULL with raw input */
    struct windows windows;
    struct frame *held[HELD_MAX]; /* owned; behind the newest window's end, in order */
    int held_count;
    bool held_overflow; /* some did not fit: the next segment cannot continue */
    bool held_due;      /* a window has been opened for them; its end may still come */
    bool dirty;         /* the decoder has been fed since its last reset */
    bool flushing;      /* frames behind the windows are not wanted */
    bool any_fed;
    uint64_t last_ordinal; /* of the packets fed, with `any_fed` */
    uint64_t skip_ordinal; /* packets up to here have been fed already, with `skipping` */
    bool skipping;
    bool joined;           /* the end of the newest window is where the decoder stands */
    int64_t pts, duration; /* of the last frame; for frames without a time stamp */
    int64_t shown_pts;     /* of the last frame that a window took, with `any_shown` */
    bool any_shown;
    int64_t failed_packets; /* as of the last segment */
    bool note_given;        /* the decoder's */
    bool filter_note_given;
    bool timecode_note_given;
    void *filter; /* open from a segment's first interlaced frame to its end */
    struct filter_params filter_params;
};

struct scale_stage {
    void *scaler;
    struct scaler_params params; /* it was opened with */
    struct track picture;        /* that the encoders are opened for */
    struct plan plan;
    bool planned;           /* both are filled */
    uint32_t changes_noted; /* enum picture_change */
    bool interlaced;        /* an interlaced frame was seen in this segment */
    struct ticket *ticket;  /* of the open segment; borrowed, NULL: none */
    int64_t end_pts;        /* of its last frame: time stamp and duration */
    struct key_rule key;
    struct gapless_clock clock;
    struct rate_cap cap;
    struct rate_mark mark;
    struct work deferred[RENDITIONS_MAX]; /* waits for its duration; frame NULL: none */
};

struct encode_stage {
    struct session *session; /* borrowed */
    int rendition;
    struct channel work;
    void *encoder;                /* NULL: not open (yet, or after a drain) */
    int permille;                 /* of the target bit rate, that it was opened with */
    struct encoder_params params; /* set by the scaler before the first frame */
    struct flight flight;
    struct buffer *header; /* that was given; NULL: none has */
    bool header_given;
    pthread_t thread;
    bool running;
};

struct session {
    struct session_params params; /* `source` is a reference of its own */
    const struct codec_backend *backend;
    int processors;
    int64_t nominal_duration; /* of a source frame; 0 unknown */
    struct channel input, pictures, output;
    struct decode_stage decode;
    struct scale_stage scale;
    struct encode_stage encoders[RENDITIONS_MAX];
    pthread_t decode_thread, scale_thread;
    bool decode_running, scale_running;
    bool begun, tailed;                /* the feeder's: a segment is open; its end is known */
    uint16_t permille[RENDITIONS_MAX]; /* the feeder's: for segments to come */
    struct rate_mark mark;             /* the feeder's: as well */
    int lacks_room;                    /* atomic: an encoder did not open for LIMIT */

    pthread_mutex_t lock;
    struct error error;     /* protected by `lock`, as all below; code 0: none yet */
    struct ticket *tickets; /* owned */
};

/* Thread functions; `arg` is the session, or the encode_stage. */
void *decode_main(void *arg);
void *scale_main(void *arg);
void *encode_main(void *arg);

/* Drops what the stage holds; its thread has ended. Take half-built and zeroed stages. */
void decode_stage_done(struct session *s);
void scale_stage_done(struct session *s);
void encode_stage_done(struct encode_stage *e);

/* Keeps the first error and stops all stages. `code` is what failed, `err` may say why. */
void session_fail(struct session *s, int code, const struct error *err);

/* A ticket in the session's list, or NULL. */
struct ticket *ticket_new(struct session *s);

/* One rendition is through with the ticket; the last one gives SEGMENT_DONE or DRAINED and frees
 * it. 0 or CANCELLED. */
int ticket_pass(struct session *s, struct ticket *ticket);

/* Gives one line to the user. Callers say each thing once; dispatch drops what others said too. */
int session_note(struct session *s, uint32_t segment, const char *text);

#endif
