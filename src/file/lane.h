/* One track's way from the packets that come in to the packets that the muxer gets: time shifted,
 * dts made anew (encodes) or repaired (copies), payloads brought into the container's form.
 *
 * Threads: one. Memory: packets that wait for their dts or for the encode's header. */
#ifndef FILE_LANE_H
#define FILE_LANE_H

#include <libavutil/rational.h>

#include "file/disjoint.h"
#include "file/dts.h"
#include "file/interleave.h"
#include "file/part.h"
#include "file/writer.h"

struct AVBSFContext;
struct AVPacket;
struct AVStream;
struct text_track;

#define LANE_EARLY_MAX 65536 /* packets that wait for their header */
#define LANE_PRIMING_MAX 8   /* hidden packets in front of the first that is heard */

struct lane {
    enum writer_track_kind kind;
    const struct reader_track *source; /* borrowed; may be NULL for an encode */
    enum container container;
    char name[32];
    bool is_default;            /* of several renditions */
    bool is_beside, is_unasked; /* as in writer_track_params */
    bool dropped, ended, has_header;
    bool still;               /* attachment or cover: no packets are taken */
    int index;                /* in the interleaver */
    int stream;               /* of the muxer, or rendition of an HLS folder; -1: none */
    struct AVStream *to;      /* borrowed */
    struct interleave *il;    /* borrowed */
    AVRational from, tb;      /* time base of packets that come, and that go */
    int64_t shift;            /* ticks of `from` that are subtracted */
    int64_t shift_us, end_us; /* as in writer_params */

    struct part part;     /* copied video of which not all is asked for */
    bool has_part, hides; /* hides: packets marked as hidden go on as such */
    int64_t begin, end;   /* of the part, ticks of `from` */
    int64_t frames;       /* copied video: that the result shows */
    int64_t late_us;      /* copied video: how far it goes on behind the part, because nothing
                           * can hide what frames of the part need */
    struct dts dts;
    struct AVPacket *waiting[DTS_DELAY_MAX + 1]; /* owned; a ring, oldest at waiting_head */
    int waiting_head, waiting_count;
    struct packet *early; /* owned; came before the header */
    int early_count, early_capacity;
    bool strip, hevc; /* parameter sets are in the header only */

    struct AVBSFContext *bsf; /* owned; or NULL */
    struct text_track *text;  /* owned; or NULL: not converted */
    struct disjoint texts;    /* MP4 text, with `disjoins` */
    bool disjoins;
    struct AVPacket *hidden[LANE_PRIMING_MAX]; /* owned; they may prime the decoder; oldest first */
    int hidden_count;
    int64_t resample_last; /* state of av_rescale_delta */
    bool resample;         /* `from` is coarser than samples: their exact time is rebuilt */
    int64_t last_dts;
    int64_t gone_dts;       /* of the last that went to the muxer, in its time base */
    int64_t gone_pts;       /* the largest of these */
    int64_t packets, bytes; /* that went on */
    int64_t refused;        /* that could not be stored */
    int64_t raised;         /* times of sound that went back */
};

/* `to` is described already, but for an encode's (lane_header); `shift_us` and `end_us` are set. */
int lane_open(struct lane *l, struct AVStream *to, struct error *err);

int lane_header(struct lane *l, const struct track *video, struct error *err);
int lane_video(struct lane *l, struct packet *pkt, struct error *err);  /* moved */
int lane_copy(struct lane *l, struct AVPacket *pkt, struct error *err); /* moved */
int lane_progress(struct lane *l, int64_t pts_us, struct error *err);
int lane_end(struct lane *l, struct error *err);

/* Whether the muxer, whose header is written, can say how long the packet before this one lasts:
 * else UNSUPPORTED, which names the gap. To be asked for each packet on its way to the muxer;
 * `origin_us` is the input's time of the lane's zero. */
int lane_check_gap(struct lane *l, const struct AVPacket *pkt, int64_t origin_us, const char *path,
                   struct error *err);

void lane_close(struct lane *l);

#endif
