/* From libavformat's packets of the video track to ours: what kind of access point each is, whether
 * it is shown, and a time stamp of its own.
 *
 * Packets are looked at once each, in decode order (video_look), and later given their time stamps
 * (video_fill): so the first ones can be looked at before it is decided how time is told.
 *
 * Threads: one. Memory: parameter sets; nothing grows. */
#ifndef FILE_READER_VIDEO_H
#define FILE_READER_VIDEO_H

#include "file/reader.h"
#include "media/av1.h"
#include "media/h264.h"
#include "media/hevc.h"

#define VIDEO_RECENT 64 /* time stamps remembered, to keep them distinct */

enum video_syntax {
    SYNTAX_OTHER, /* the container's key flags are all there is */
    SYNTAX_H264,
    SYNTAX_HEVC,
    SYNTAX_AV1,
    SYNTAX_VP8,
    SYNTAX_VP9,
    SYNTAX_MPEG12,
    SYNTAX_MPEG4, /* in AVI only: others tell time and key frames themselves */
};

struct video_state {
    enum video_syntax syntax;
    bool container_keys; /* key flags are the container's word, not a parser's guess */
    bool may_reorder, intra_only;
    bool by_order;              /* see reader_timestamps_by_order */
    bool anchor_is_next;        /* MPEG-1 and MPEG-2 with real dts but not all pts: a B picture is
                                 * shown when it is decoded, another one when the next such is */
    bool anchor_is_before_next; /* MPEG-4 in AVI, whose players show a picture for each chunk: all
                                 * pictures are shown a chunk earlier than by anchor_is_next */
    bool order_is_time;         /* no pts, but no reordering either: dts, or the frame's number */
    unsigned length_size;       /* media/nal.h */
    struct rational time_base, frame_rate;
    struct h264_context *h264; /* owned; with SYNTAX_H264 */
    struct hevc_context *hevc; /* owned; with SYNTAX_HEVC */
    struct av1_sequence av1;
    struct buffer *palette;    /* owned; of the packets from here on, NULL: none has come */
    bool rasl_broken;          /* after an IRAP that begins a sequence: RASL pictures
                                * are not shown */
    uint64_t ordinal;          /* of the next packet */
    int64_t frames;            /* given: packets less second fields */
    int64_t pts_last;          /* of the last packet; PTS_NONE: none */
    int64_t pts_max, dts_last; /* given so far; PTS_NONE: none */
    int64_t dts_before;        /* of the last packet, as it was read; PTS_NONE: none */
    int64_t recent[VIDEO_RECENT];
    int recent_count, recent_next;
};

/* What video_look found. */
struct video_look {
    enum access_point access;
    uint32_t flags;        /* enum packet_flags; KEY only where `access` says so */
    bool hidden;           /* only for reference: has the time of the next frame, or none */
    bool damaged;          /* units could not be parsed */
    bool anchor;           /* MPEG-1, MPEG-2, MPEG-4: not a B picture */
    bool maybe_interlaced; /* the headers allow fields, where a container may say otherwise */
    enum field_order field_order; /* FIELD_UNKNOWN: nothing said */
    bool dolby_vision, hdr10_plus;
    bool timecode, timecode_partial; /* a time code is there; one without hours, say */
    bool timecode_drop;
    struct hdr hdr;
};

/* `format_name`: of the demuxer, as libavformat names it. MEMORY. */
int video_state_init(struct video_state *ret, const struct reader_track *track,
                     const char *format_name);
void video_state_done(struct video_state *v);

/* Forgets what came before, after a seek. */
void video_state_reset(struct video_state *v);

struct video_look video_look(struct video_state *v, const struct AVPacket *av);

/* Whether a picture's time can be told from its place in the stream: the codec, or the headers seen
 * so far, allow no reordering. */
bool video_keeps_order(const struct video_state *v);

/* Fills *ret, which shares the payload of `av`. *ret_damaged: the time stamp had to be made up or
 * moved. MEMORY. */
int video_fill(struct video_state *v, const struct AVPacket *av, const struct video_look *look,
               struct packet *ret, bool *ret_damaged);

#endif
