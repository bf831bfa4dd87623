/* Reads any file that libavformat opens: what is in it, then its packets one by one, once.
 *
 * The video track that is transcoded comes as `struct packet` with exact time stamps, an ordinal,
 * and right key flags (found by media's parsers, not only by the container's word); all tracks come
 * as libavformat's own packets too, for copying.
 *
 * Threads: one. Memory: one packet at a time; nothing grows with the length of the film.
 * Limits: READER_TRACKS_MAX tracks. */
#ifndef FILE_READER_H
#define FILE_READER_H

#include <stdbool.h>

#include "base/error.h"
#include "media/packet.h"
#include "media/track.h"

#define READER_TRACKS_MAX 256

struct AVFormatContext;
struct AVPacket;
struct AVStream;

enum track_kind { TRACK_VIDEO, TRACK_AUDIO, TRACK_SUBTITLE, TRACK_ATTACHMENT, TRACK_DATA };

/* Random-access point kinds (media/h264.h, media/hevc.h). */
enum access_point {
    ACCESS_NONE,
    ACCESS_CLOSED, /* IDR, or a key frame whose leading pictures are all decodable */
    ACCESS_OPEN,   /* CRA or recovery point: leading pictures need what came before */
};

struct reader_track {
    int index; /* as libavformat counts */
    enum track_kind kind;
    char codec[CODEC_NAME_MAX];
    char language[16], title[128]; /* empty: none */
    bool is_default, is_forced;
    bool is_cover;             /* attached picture: a still, copied like an attachment */
    int sample_rate, channels; /* audio */
    bool is_untold;            /* of no use, because the file's beginning does not tell what it is,
                                * as where the track's first packet never comes: audio without
                                * codec, rate or channels, video without a size */
    int64_t bit_rate_bps;      /* 0 unknown */
    int rotation_degrees;      /* clockwise, of the container's display matrix: 0, 90, 180, 270 */
    struct rational time_base;
    int64_t start_pts;  /* in time_base; PTS_NONE unknown */
    struct track video; /* TRACK_VIDEO; owned. HDR also from the first packets */
    bool may_reorder;   /* video: the codec can show pictures in another order than it codes
                         * them (see cutter_params.no_reorder) */
    bool dolby_vision, hdr10_plus; /* video: per-frame metadata, told by the headers or, for the
                                    * selected track, the first packets */
    const struct AVStream *stream; /* borrowed; for the writer and audio */
};

struct reader_packet {
    int track;
    struct AVPacket *av;      /* owned; `opaque` is set in one of the selected video track that
                               * shows no frame of its own: a second field, or hidden by the codec */
    struct packet video;      /* filled for the selected video track; owned; shares the payload */
    enum access_point access; /* of `video` */
};

/* Asked now and then by whatever may have to wait for the input, from the reader's thread; true
 * ends it with CANCELLED. Without a function: never. */
struct reader_interrupt {
    bool (*is_asked)(void *opaque);
    void *opaque;
};

struct reader_params {
    const char *path; /* a file, or "-" for standard input */
    int video_track;  /* index to deliver as `video`; -1: the best one */
    int64_t start_us; /* begin at the last random-access point at or before this time from
                       * the file's start; 0: at the beginning. Subtitles that began before
                       * that point are not read, even where they are shown beyond it */
    struct reader_interrupt interrupt;
};

struct reader;

/* Opens and probes. NOT_FOUND, ACCESS, INPUT (not media, empty, truncated header, a directory, a
 * device file, a video track of an unknown kind, all else that keeps it from being read), LIMIT,
 * MEMORY, CANCELLED, PARAM with one line that names path and remedy. Never IO or NO_SPACE, which
 * speak of outputs. */
int reader_open(struct reader **ret, const struct reader_params *params, struct error *err);

/* Whether a path can be read once more from its beginning: not standard input, pipes, sockets, nor
 * addresses of streams that go by ("pipe:0", "udp:..."). Does not open it; true where it is not
 * there. */
bool reader_can_reopen(const char *path);

int reader_tracks_count(const struct reader *r);
const struct reader_track *reader_track(const struct reader *r, int i);

/* Track that is delivered as `video`; NULL for a file without video. */
const struct reader_track *reader_video(const struct reader *r);

struct AVFormatContext *reader_format(struct reader *r); /* borrowed; chapters and tags */
const char *reader_format_name(const struct reader *r);  /* "matroska,webm" */

/* Length in microseconds; 0 unknown. Start of the file's time line in microseconds. */
int64_t reader_duration_us(const struct reader *r);
int64_t reader_start_us(const struct reader *r);
int64_t reader_size_bytes(const struct reader *r); /* 0 unknown (a pipe) */

/* True where the packets of the video track carry no usable pts: frames then take the dts values in
 * order (decoder_params.timestamps_by_order) and the film cannot be cut. Known after open. */
bool reader_timestamps_by_order(const struct reader *r);

/* Next packet. 0; RGPU_ERROR_END; INPUT for damage that ends reading early: what came before stays
 * valid. Damage that can be skipped is counted. */
int reader_next(struct reader *r, struct reader_packet *ret, struct error *err);
void reader_packet_done(struct reader_packet *pkt);

/* Packets that were dropped or marked because the file is damaged, and holes in the file, so far.
 */
int64_t reader_damaged_count(const struct reader *r);

/* Whether tracks have turned up that were not there when the file was opened; nothing is read of
 * them. */
bool reader_late_tracks(const struct reader *r);

/* How often the file's clock has jumped back so far (recordings joined byte by byte): what follows
 * is moved behind what came before. */
int reader_jumps_count(const struct reader *r);

/* How often the file's clock has leapt ahead so far, by more than TIMELINE_LEAP_US in all tracks of
 * video and sound: the hole stays as it is. */
struct reader_leaps {
    int count;
    int64_t first_us, first_length_us; /* where the first hole begins, and its length */
};
void reader_leaps(const struct reader *r, struct reader_leaps *ret);

void reader_close(struct reader **r);

#endif
