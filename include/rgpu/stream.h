/* A stream job: the caller feeds packets or raw frames of one video and takes encoded packets of
 * each rendition. For pipes and live sources; file jobs are in transcode.h.
 *
 * Threads: send and receive may be called from two different threads; each from one at a time.
 * Memory: what is sent is copied; a received packet is valid until the next receive. Bounded: send
 * gives RGPU_ERROR_AGAIN while the job is full (receive, then send again).
 * Time stamps are in the stream's time base and come back unchanged; they lie within -RGPU_PTS_MAX
 * and RGPU_PTS_MAX. */
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
    double gop_seconds; /* between key frames, each the first frame that is not before its time; 0:
                         * 2; at least 0.001 */
    int low_latency;    /* no reordering, no look-ahead */
    int threads;        /* processors to use, at most 1024; 0: all */
    int upscale;        /* allow rungs larger than the stream; else an explicit size that is larger
                         * is refused */
    int no_fallback;    /* an error rather than the CPU's work, where the device cannot */
    int intra_refresh;  /* renew the picture bit by bit within gop_seconds, over and over, with a
                         * key frame only at the beginning and where one is forced: no packet is
                         * much larger than the others. A viewer who joins at a packet with a
                         * recovery point has the picture gop_seconds later. h264 only,
                         * without B-frames */
};

enum { RGPU_PACKET_KEY = 1 };

#define RGPU_NO_PTS INT64_MIN
#define RGPU_PTS_MAX ((int64_t)1 << 60)

struct rgpu_packet {
    const void *data;
    size_t size;
    int64_t pts;      /* needed */
    int64_t dts;      /* made anew, in decode order; sent packets: may be RGPU_NO_PTS */
    int64_t duration; /* 0 unknown */
    int rendition;    /* index of the rung */
    unsigned flags;   /* RGPU_PACKET_KEY */
};

struct rgpu_frame {
    const void *data[4]; /* planes of the stream's pixel format */
    int stride[4];       /* bytes; 0: tight */
    int64_t pts;         /* needed; above the last frame's */
    int64_t duration;    /* 0 unknown */
    int force_key;
};

struct rgpu_stream_progress {
    int64_t sent;    /* packets or frames that were taken from the caller */
    int64_t damaged; /* of them, those that could not be decoded right; counted when all is out */
    int rungs_count;
    /* In the order of the rungs, known from open on; `frames` and `bytes` are of what has come out.
     * `output` is empty, bit rate and PSNR are 0. */
    struct rgpu_rung_progress rungs[RGPU_RUNGS_MAX];
};

typedef struct rgpu_stream rgpu_stream;

/* Checks the parameters and starts the job. On error *ret is still set where there was memory for
 * it, so that rgpu_stream_message can be asked; close it in any case. In C++ the fields are given
 * in their order. */
RGPU_API int rgpu_stream_open_sized(rgpu_stream **ret, const struct rgpu_stream_params *params,
                                    size_t size);
#ifdef __cplusplus
static inline int rgpu_stream_open_with(rgpu_stream **ret, const rgpu_stream_params &params)
{
    return rgpu_stream_open_sized(ret, &params, sizeof(params));
}
#define rgpu_stream_open(ret, ...) rgpu_stream_open_with((ret), rgpu_stream_params{__VA_ARGS__})
#else
#define rgpu_stream_open(ret, ...)                                                                 \
    rgpu_stream_open_sized((ret), &(const struct rgpu_stream_params){__VA_ARGS__},                 \
                           sizeof(struct rgpu_stream_params))
#endif

/* Gives one packet or frame. AGAIN: full. PARAM: it is not of the stream's kind, lacks data, has no
 * pts or one beyond RGPU_PTS_MAX, comes after finish, or (frames) its pts is not above the last
 * one's; nothing was taken. Other errors end the job. */
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

/* Figures as of now, from any thread. `size` is sizeof(struct rgpu_stream_progress). */
RGPU_API int rgpu_stream_progress(rgpu_stream *stream, struct rgpu_stream_progress *ret,
                                  size_t size);

/* Error line of the stream; "" while there is none. */
RGPU_API const char *rgpu_stream_message(rgpu_stream *stream);

/* i-th warning (conversions, damage), or NULL, from any thread. They may grow until the end; each
 * lives as long as the stream. */
RGPU_API const char *rgpu_stream_warning(rgpu_stream *stream, int i);

/* Stops what runs, frees. Takes NULL, writes NULL. */
RGPU_API void rgpu_stream_close(rgpu_stream **stream);

#ifdef __cplusplus
}
#endif
#endif
