/* A file job: one file in; a file, a file for each rendition, or an HLS folder out.
 *
 *     rgpu_transcode *job = NULL;
 *     struct rgpu_rung rungs[] = {{.preset = "720p"}, {.preset = "360p"}};
 *     int ret = rgpu_transcode_open(&job, .input = "in.mkv", .output = "out/",
 *                                   .rungs = rungs, .rungs_count = 2);
 *     while (ret == 0 && (ret = rgpu_transcode_wait(job, 500)) == RGPU_ERROR_AGAIN)
 *         ret = 0;            // look at rgpu_transcode_progress
 *     rgpu_transcode_close(&job);
 *
 * Threads: a job runs on threads of its own; its functions may be called from any thread, close
 * from one. Memory: opaque handle; strings that are given are copied, strings that are returned
 * live as long as the job. Zero in a params struct is always the default. Errors: functions return
 * 0 or a negative RGPU_ERROR_ code; rgpu_transcode_message says it in one line. The code tells
 * which side is wrong: NOT_FOUND, ACCESS, INPUT and LIMIT are the input's; EXISTS, NO_SPACE and IO
 * the output's (a folder that is missing or closed to us is IO too); PARAM is what was asked and
 * does not fit together, UNSUPPORTED what another device might do. */
#ifndef RGPU_TRANSCODE_H
#define RGPU_TRANSCODE_H

#include <stddef.h>
#include <stdint.h>

#include <rgpu/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RGPU_RUNGS_MAX 16
#define RGPU_QUALITY_LOSSLESS (-1) /* rgpu_rung.quality */

/* One named size, frame rate cap and bit rate: the table behind --preset and --ladder. */
struct rgpu_preset {
    const char *name;  /* "720p60" */
    int width, height; /* the box that the picture is fitted into */
    int fps_max;
    int bitrate_kbps; /* for H.264; 60 % of it for HEVC, 50 % for AV1 */
};

/* i-th preset from the largest to the smallest, or NULL behind the last. Static. */
RGPU_API const struct rgpu_preset *rgpu_preset(int i);
RGPU_API const struct rgpu_preset *rgpu_preset_find(const char *name);

/* What is wanted of one rendition. What a preset gives, a field that is set overrides. */
struct rgpu_rung {
    const char *preset;  /* NULL: the source's size; "source": the source's own packets */
    int width, height;   /* pixels; one of them 0: from the aspect ratio */
    double fps_max;      /* frames a second at most; 0: the preset's, or all */
    int bitrate_kbps;    /* 0: the preset's; without a preset: constant quality */
    int quality;         /* constant quality on the encoder's scale, 1..63; overrides the bit
                          * rate; 0: not set; RGPU_QUALITY_LOSSLESS */
    const char *codec;   /* "h264" (default), "hevc", "av1" or their *_nvenc names */
    int speed;           /* 1..7 for p1..p7; 0: p4 */
    const char *profile; /* NULL: what fits */
    int bframes;         /* 0: the encoder's own; -1: none; else the number */
};

enum rgpu_deinterlace { RGPU_DEINTERLACE_AUTO, RGPU_DEINTERLACE_OFF };

struct rgpu_transcode_params {
    const char *input;  /* path, "-" for standard input, or what libavformat opens */
    const char *output; /* name decides: .mp4 .mkv .ts .flv, .m3u8 or "DIR/" for HLS; with
                         * "{}" a file for each rung, where {} becomes the rung's name */
    const struct rgpu_rung *rungs; /* none: one rung of the source's size */
    int rungs_count;
    const char *device;                     /* NULL: "auto" */
    int jobs;                               /* segments at a time; 0: by the device */
    double segment_seconds;                 /* target length of a segment; 0: 4 (HLS: 6) */
    double gop_seconds;                     /* between key frames, each the first frame that is
                                             * not before its time; 0: 2; at least 0.001 */
    double start_seconds, duration_seconds; /* part of the source; 0: all; a duration is at least
                                             * 0.001 */
    const char *audio; /* "copy", "aac", "aac:128", "opus[:KBPS]", "none"; NULL: copy where
                        * the container takes it, else AAC */
    const char *map;   /* tracks to keep, "0,2,3" (as rgpu probe counts), or "v,a:0,s";
                        * NULL: all. Of several video tracks the first named, or the best, is
                        * transcoded; others are copied where the container takes them, but with
                        * "{}" only if named */
    enum rgpu_deinterlace deinterlace;
    int upscale;           /* allow rungs larger than the source; else they get its size, those
                            * of an explicit size with a warning */
    int overwrite;         /* replace an output that exists */
    int verify;            /* decode the result and compare it with the source, which is read a
                            * second time, before it is put in place; not with pipes */
    int strip_dynamic_hdr; /* drop HDR10+ and Dolby Vision metadata instead of refusing */
    int no_fallback;       /* an error rather than the CPU's work, where the device cannot */
    int threads;           /* processors to use, at most 1024; 0: all */
    int intra_refresh;     /* renew the picture bit by bit within gop_seconds, over and over, with
                            * a key frame only where a segment begins: no frame is much larger
                            * than the others. h264 only, without B-frames; not into HLS */
};

enum rgpu_state {
    RGPU_STATE_OPENING, /* waiting for the input; what depends on it is not known yet */
    RGPU_STATE_RUNNING,
    RGPU_STATE_VERIFYING,
    RGPU_STATE_DONE,
    RGPU_STATE_FAILED
};

struct rgpu_rung_progress {
    char name[32];    /* "720p" */
    char output[256]; /* file or playlist of this rung, cut if longer */
    char codec[32];
    int width, height;
    int64_t frames, bytes;         /* of video, so far */
    double bitrate_kbps;           /* average so far */
    double psnr_y, psnr_u, psnr_v; /* dB, after --verify; 0 unknown; 100 for identical */
};

/* While VERIFYING, percent, position, elapsed and remaining time, frames, frames a second and speed
 * begin anew and are of what is compared; when that is over, they are of the work again. */
struct rgpu_progress {
    enum rgpu_state state;
    double percent;          /* 0..100; negative: length unknown */
    double position_seconds; /* of the source, written */
    double duration_seconds; /* of the source part; 0 unknown */
    double elapsed_seconds;
    double remaining_seconds; /* negative: unknown */
    double frames_per_second; /* source frames */
    double speed;             /* times real time */
    int64_t frames;           /* source frames finished */
    int64_t damaged;          /* source frames or packets that could not be decoded right */
    int64_t bytes;            /* written so far, all outputs */
    int segments_done, segments_retried;
    char device[32]; /* "cpu"; empty while opening, and where nothing is encoded */
    int rungs_count; /* 0 while opening */
    struct rgpu_rung_progress rungs[RGPU_RUNGS_MAX];
    char master[256]; /* HLS: the master playlist, cut if longer; else empty */
};

typedef struct rgpu_transcode rgpu_transcode;

/* Checks the parameters and starts the job, which opens the input on its own thread: what is wrong
 * with device, input or output comes from rgpu_transcode_wait. On error *ret is still set where
 * there was memory for it, so that rgpu_transcode_message can be asked; close it in any case. In
 * C++ the fields are given in their order. */
RGPU_API int rgpu_transcode_open_sized(rgpu_transcode **ret,
                                       const struct rgpu_transcode_params *params, size_t size);
#ifdef __cplusplus
static inline int rgpu_transcode_open_with(rgpu_transcode **ret,
                                           const rgpu_transcode_params &params)
{
    return rgpu_transcode_open_sized(ret, &params, sizeof(params));
}
#define rgpu_transcode_open(ret, ...)                                                              \
    rgpu_transcode_open_with((ret), rgpu_transcode_params{__VA_ARGS__})
#else
#define rgpu_transcode_open(ret, ...)                                                              \
    rgpu_transcode_open_sized((ret), &(const struct rgpu_transcode_params){__VA_ARGS__},           \
                              sizeof(struct rgpu_transcode_params))
#endif

/* Waits at most `timeout_ms` (negative: for ever) for the end. AGAIN: still running; 0: done, the
 * output is in place; else the job's error: no output was left, and what was there before is
 * untouched. Only where one of several files that are whole (and verified) cannot be put in place,
 * those stay that have replaced others by then. */
RGPU_API int rgpu_transcode_wait(rgpu_transcode *job, int timeout_ms);

/* Figures as of now. `size` is sizeof(struct rgpu_progress). */
RGPU_API int rgpu_transcode_progress(rgpu_transcode *job, struct rgpu_progress *ret, size_t size);

/* Error line of the job; "" while there is none. */
RGPU_API const char *rgpu_transcode_message(rgpu_transcode *job);

/* i-th warning (things left out, damage, conversions), or NULL. They may grow until the end. */
RGPU_API const char *rgpu_transcode_warning(rgpu_transcode *job, int i);

/* Asks the job to stop; rgpu_transcode_wait then gives CANCELLED, or 0 if the output was being put
 * in place already. Safe in a signal handler. */
RGPU_API void rgpu_transcode_cancel(rgpu_transcode *job);

/* Cancels if need be, waits, removes what is temporary, frees. Takes NULL, writes NULL. */
RGPU_API void rgpu_transcode_close(rgpu_transcode **job);

#ifdef __cplusplus
}
#endif
#endif
