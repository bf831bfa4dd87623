/* A stream job: the caller feeds packets or raw frames of one video and takes encoded packets of
 * each rendition. For pipes and live sources; file jobs are in transcode.h.
 *
 * Threads: send and receive may be called from two different threads; each from one at a time.
 * Memory: what is sent is copied; a received packet is valid until the next receive. Bounded: send
 * gives RGPU_ERROR_AGAIN while the job is full (receive, then send again).
 * Time stamps are in the stream's time base and come back unchanged. */
#ifndef RGPU_STREAM_H
#define RGPU_STREAM_H

#include <rgpu/transcode.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rgpu_stream_params {
    const char *codec;   /* of the packets ("h264", "hevc", ...); NULL: raw frames */
    const void *headers; /* avcC, hvcC, sequence header, ...; may be NULL */
    size_t headers_size;
    const char *pixel_format; /* raw frames: "yuv420p", "nv12", "yuv420p10le", "p010le", ... */
    int width, height;        /* pixels; needed */
    int time_base_num, time_base_den; /* seconds a tick; 0: 1/90000 */
    int fps_num, fps_den;             /* nominal; 0: unknown */
    const struct rgpu_rung *rungs;    /* as for a file; "source" is not allowed here */
    int rungs_count;
    const char *device; /* NULL: "auto" */
    double gop_seconds; /* 0: 2 */
    int low_latency;    /* no reordering, no look-ahead */
    int threads;
};

enum { RGPU_PACKET_KEY = 1 };

struct rgpu_packet {
    const void *data;
    size_t size;
    int64_t pts;
    int64_t dts;      /* made anew, in decode order; sent packets: may be RGPU_NO_PTS */
    int64_t duration; /* 0 unknown */
    int rendition;    /* index of the rung */
    unsigned flags;   /* RGPU_PACKET_KEY */
};

#define RGPU_NO_PTS INT64_MIN

struct rgpu_frame {
    const void *data[4]; /* planes of the stream's pixel format */
    int stride[4];       /* bytes; 0: tight */
    int64_t pts, duration;
    int force_key;
};

typedef struct rgpu_stream rgpu_stream;

#define rgpu_stream_open(ret, ...)                                                                 \
    rgpu_stream_open_sized((ret), &(const struct rgpu_stream_params){__VA_ARGS__},                 \
                           sizeof(struct rgpu_stream_params))
RGPU_API int rgpu_stream_open_sized(rgpu_stream **ret, const struct rgpu_stream_params *params,
                                    size_t size);

/* Gives one packet or frame. AGAIN: full. PARAM: it is not of the stream's kind, lacks data, comes
 * after finish, or (frames) its pts is not above the last one's; nothing was taken. Other errors
 * end the job. */
RGPU_API int rgpu_stream_send_packet(rgpu_stream *stream, const struct rgpu_packet *packet);
RGPU_API int rgpu_stream_send_frame(rgpu_stream *stream, const struct rgpu_frame *frame);

/* No more input. */
RGPU_API int rgpu_stream_finish(rgpu_stream *stream);

/* Next packet, waiting at most `timeout_ms` (negative: for ever). AGAIN: none yet. END: all is out.
 */
RGPU_API int rgpu_stream_receive(rgpu_stream *stream, int timeout_ms, struct rgpu_packet *ret);

/* Codec headers of a rendition (Annex B parameter sets, or av1C), known from its first packet on.
 * Borrowed: they live as long as the stream. */
RGPU_API int rgpu_stream_headers(rgpu_stream *stream, int rendition, const void **ret_data,
                                 size_t *ret_size);

RGPU_API const char *rgpu_stream_message(rgpu_stream *stream);
RGPU_API void rgpu_stream_close(rgpu_stream **stream);

#ifdef __cplusplus
}
#endif
#endif
