/* A transcoding session: packets or frames of one video in, packets of N renditions out.
 *
 * Decoder -> [filter] -> scaler -> N encoders, each stage on a thread of its own, joined by bounded
 * queues: the slowest stage sets the pace and memory does not depend on the length of the film.
 *
 * A session lives as long as a node's lane and runs many segments one after the other without
 * being reopened: the encoders go on (each segment begins with a forced IDR, so that joints are
 * closed), and so does the decoder where a segment follows directly on the last one.
 *
 * Segments. session_begin opens a window of source time: only frames with start <= pts < end are
 * shown. The end is known when session_tail is called; the packets after it (the next random-access
 * point and its leading pictures) belong to the window's last frames. session_end closes the input
 * of the segment. If the next segment continues (its first ordinal has been fed already), packets
 * that were fed are skipped and nothing is decoded twice; otherwise the decoder is drained and
 * reset.
 *
 * Whether a segment is over is only known when the next one continues or begins elsewhere, or the
 * session is drained: who has no further segment at hand drains, and does not wait for
 * SEGMENT_DONE before. With raw input nothing is kept for the next segment: frames outside of the
 * window are dropped, and each segment is fed all of its own.
 *
 * Pictures. The encoders are opened for one picture of the source (its size, format, colour,
 * aspect, HDR metadata and field order) and stay so. Pictures that differ are brought to it:
 * scaled, put between black bars where their shape is another, their colours converted; a note says
 * so.
 *
 * Key frames: one decision per source frame, shared by all renditions: at the first frame of a
 * segment, and where floor((pts - segment start) / gop) changes, or somebody asks for one; there at
 * the first frame that all renditions keep. A segment should begin with such a frame: its first one
 * is kept by all in any case.
 *
 * Threads: one thread feeds (begin, packet, frame, tail, end, drain), one other receives; cancel
 * from any. Memory: RENDITIONS_MAX renditions; queues of SESSION_QUEUE_FRAMES frames (as many of
 * raw input), SESSION_INPUT_PACKETS packets in, SESSION_OUTPUT_ITEMS outputs.
 * Errors: the first error of any stage stops the session; feeders and the receiver get it. */
#ifndef TRANSCODE_SESSION_H
#define TRANSCODE_SESSION_H

#include "codec/codec.h"
#include "media/digest.h"
#include "media/rate_cap.h"

/* Between two stages. Short, so that a picture is still in the cache when the next stage reads it:
 * with 4, one rung of 1080p takes 3 % more CPU time. */
#define SESSION_QUEUE_FRAMES 2
#define SESSION_INPUT_PACKETS 32
#define SESSION_OUTPUT_ITEMS 64
#define SESSION_NOTE_MAX DECODER_NOTE_MAX
#define SESSION_GOP_US 2000000
#define SESSION_THREADS_MAX 2048

struct session_params {
    enum device_kind device_kind;
    int device;
    struct track source; /* borrowed during open */
    /* What the encoders are opened for, so that all sessions of a job open them alike: another
     * session's SESSION_PICTURE. Format PIXEL_NONE: the first picture that comes. */
    struct track picture;
    int renditions_count;
    struct rendition_params renditions[RENDITIONS_MAX];
    int64_t gop_us; /* between key frames, each the first frame at its time or behind it; 0:
                       SESSION_GOP_US */
    enum deinterlace_mode deinterlace;
    bool timestamps_by_order; /* see decoder_params */
    bool low_latency;
    bool intra_refresh; /* within that time, and a key frame only where a segment begins */
    bool raw_input;     /* fed with frames: no decoder is opened */
    bool rising_times;  /* a frame that is not behind the one before is an error; else left out */
    bool strip_dynamic_hdr; /* else HDR10+ or Dolby Vision in the source is an error */
    bool no_fallback;       /* see decoder_params and encoder_params */
    bool joined;            /* see encoder_params */
    int threads;            /* processors to count on, SESSION_THREADS_MAX at most; 0: all */
};

enum session_output_type {
    SESSION_PICTURE,      /* `track` is the source as the first picture shows it; once, before all
                           * headers, unless the parameters said it */
    SESSION_HEADER,       /* `track` describes rendition `packet.rendition`; once each, before
                           * its first packet */
    SESSION_PACKET,       /* encoded packet; `segment` says whose */
    SESSION_SEGMENT_DONE, /* all packets of `segment` are out; `done` is filled. In the order
                           * of segments, but those without frames may come earlier */
    SESSION_NOTE,         /* one line for the user ("4:2:2 is encoded as 4:2:0"), in `note` */
    SESSION_DRAINED,      /* a drain is complete: nothing is inside any more */
};

struct session_output {
    enum session_output_type type;
    uint32_t segment;
    struct packet packet; /* owned; pts and duration in the source's time base; `ordinal`
                           * counts within segment and rendition */
    struct track track;   /* owned */
    struct segment_done done;
    char note[SESSION_NOTE_MAX];
};

struct session;

/* Checks the parameters, opens the decoder and starts the threads. The encoders open at the first
 * frame, whose size, format and colour they take; their errors come from session_receive. */
int session_open(struct session **ret, const struct session_params *params, struct error *err);

/* Feeding: each waits while the session is full. 0, or the session's error (RGPU_ERROR_CANCELLED
 * after cancel), or PARAM when called out of order (begin, packets or frames with one tail among
 * them, end; drain outside of that). Packets and frames are moved in also on error.
 * `start_pts` PTS_NONE: from the first frame; without a tail, or with `end_pts` PTS_NONE or
 * INT64_MAX, to the last. */
int session_begin(struct session *s, uint32_t segment, int64_t start_pts, uint64_t first_ordinal);

/* Where the count of frames stands in front of the segment that begins next (media/rate_cap.h):
 * what a slower rendition keeps depends on it. Zero is the start: the film begins there. */
void session_mark(struct session *s, const struct rate_mark *mark);

/* Bit rates of the segments that begin after this call, in thousandths of each rendition's target
 * (RENDITIONS_MAX values; 1000 is the start). An encoder whose rate changes is drained and opened
 * anew, with the same headers. For segments that broke the leaky bucket. */
void session_rates(struct session *s, const uint16_t *permille);

int session_packet(struct session *s, struct packet *pkt);
int session_frame(struct session *s, struct frame **frame);
int session_tail(struct session *s, int64_t end_pts);
int session_end(struct session *s);

/* Asks for everything inside to come out (no further segment is at hand). Feeding may go on
 * afterwards; encoders are then opened anew with the same parameters. */
int session_drain(struct session *s);

/* Next output, waiting at most `timeout_ms` (negative: for ever). RGPU_ERROR_AGAIN on timeout; else
 * the session's error with its text in `err`: after what was ready before it, or at once after
 * cancel. Packets of one rendition come in decode order. */
int session_receive(struct session *s, int timeout_ms, struct session_output *ret,
                    struct error *err);
void session_output_done(struct session_output *out);

/* Whether a LIMIT was for want of an encoder that other sessions leave free when they end. */
bool session_lacks_room(const struct session *s);

/* Stops all stages soon; safe from any thread, more than once. */
void session_cancel(struct session *s);

/* Waits for the threads and frees all. Takes NULL, writes NULL. */
void session_close(struct session **s);

#endif
