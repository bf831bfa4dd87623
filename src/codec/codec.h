/* The tables through which everything above drives decoders, scalers and encoders.
 *
 * One `struct codec_backend` a kind of device. The handles are the backend's own; calls go through
 * the inline functions below.
 *
 * Threads: one handle is used by one thread at a time; different handles by different threads.
 * Memory: packets and frames given to send are borrowed (the backend takes references of its own);
 * what receive gives is owned by the caller. Nothing is allocated per frame beyond references.
 * Errors: RGPU_ERROR_AGAIN and RGPU_ERROR_END are states; all others come with a text in `err`. */
#ifndef CODEC_CODEC_H
#define CODEC_CODEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "media/frame.h"
#include "media/packet.h"
#include "media/rendition.h"
#include "media/track.h"

#define DEVICE_NAME_MAX 128
#define DEVICE_REMARK_MAX (ERROR_TEXT_MAX + 64)
#define DECODER_NOTE_MAX ERROR_TEXT_MAX
#define ENCODER_NOTE_MAX ERROR_TEXT_MAX
#define INTRA_REFRESH_FRAMES_MIN 2
#define INTRA_REFRESH_FRAMES_MAX 30000

/* ---- devices -------------------------------------------------------------------------------- */

enum device_kind { DEVICE_CPU, DEVICE_CUDA };

struct device_info {
    enum device_kind kind;
    int index;                  /* N of cuda:N; 0 for the CPU */
    char name[DEVICE_NAME_MAX]; /* model */
    int cores;                  /* processors that jobs on it may use: where it needs the CPU */
    int64_t memory_bytes;
    /* After `examine` only. */
    bool encodes;    /* by itself: what it encodes is no other device's work */
    bool is_fixable; /* what the remark says is the machine's set-up, not the device's nature */
    char remark[DEVICE_REMARK_MAX]; /* what a user should know; empty: nothing */
};

#define DEVICE_UNKNOWN (-1)
#define DEVICE_WORDS_MAX 64

/* How busy and how hot a device is; DEVICE_UNKNOWN where it does not say. Figures are of about the
 * last second. */
struct device_use {
    int compute_percent, decoder_percent, encoder_percent;
    int temperature_c, power_mw;
    int64_t memory_used_bytes;
    int clock_mhz, memory_clock_mhz, video_clock_mhz; /* of what computes, decodes and encodes */
    char slowed_by[DEVICE_WORDS_MAX]; /* "power cap, heat": what holds the clocks down, commas
                                       * between; empty: nothing, or it is not known */
};

/* ---- decoder -------------------------------------------------------------------------------- */

struct decoder_params {
    const struct track *track; /* borrowed during open */
    int device;                /* index on the backend */
    int threads;               /* 0: as many as cores */
    bool low_latency;          /* picture out as soon as it is decoded */
    bool timestamps_by_order;  /* packets carry no pts: frames get the dts values in order */
    bool no_fallback;          /* UNSUPPORTED rather than another device's work */
};

struct decoder_stats {
    int64_t packets, frames; /* taken, given */
    int64_t corrupt_frames;  /* given with FRAME_CORRUPT */
    int64_t failed_packets;  /* refused by the decoder as undecodable */
    bool wants_reset;        /* another device goes on for the decoder's own until the next reset */
    /* What a user should know, one line: "rgb24 converted to gbrp" where the table of PIXEL_FORMATS
     * lacks the source's, or that another device decodes, and why; empty: nothing. */
    char note[DECODER_NOTE_MAX];
};

struct decoder_ops {
    /* Opens a decoder for the track. UNSUPPORTED where there is none for the codec (text names it),
     * INPUT where its headers are broken. */
    int (*open)(void **ret, const struct decoder_params *params, struct error *err);
    /* Gives one packet, or NULL to drain. AGAIN: there are frames; receive them, then send again. A
     * packet that cannot be decoded is counted in the stats and is no error. */
    int (*send)(void *dec, const struct packet *pkt, struct error *err);
    /* Next frame in display order with its source pts. AGAIN: send more. END: drained. */
    int (*receive)(void *dec, struct frame **ret, struct error *err);
    /* Forgets all state (after a drain, or to start at another random-access point). */
    void (*reset)(void *dec);
    void (*stats)(void *dec, struct decoder_stats *ret);
    void (*close)(void *dec);
};

/* ---- scaler --------------------------------------------------------------------------------- */

struct scaler_output {
    int width, height; /* pixels, even */
    enum pixel_format format;
    /* Where the picture goes, in whole chroma samples (of each field); the rest is black. Width 0:
     * everywhere. */
    struct {
        int x, y, width, height;
    } area;
};

struct scaler_params {
    int device;
    int width, height; /* of the source */
    enum pixel_format format;
    struct color color;  /* of the source; unknown fields are taken as the field's defaults
                          * for its size (BT.601 below 720 lines, else BT.709; left chroma) */
    struct color target; /* of the outputs; unknown fields are the source's, but for RGB, which
                          * becomes limited range of the source's default matrix. Matrices of
                          * YCgCo, ICtCp and constant luminance, PQ and HLG cannot be converted */
    bool interlaced;     /* scale each field by itself */
    int outputs_count;
    struct scaler_output outputs[RENDITIONS_MAX];
    int threads; /* 0: as many as cores */
};

struct scaler_ops {
    int (*open)(void **ret, const struct scaler_params *params, struct error *err);
    /* Fills the rungs whose bit is set in `mask` from one source frame, all in one call:
     * ret[i] is a new frame from the scaler's own pool with the source's properties but for its
     * sample aspect, which is not known here; or a reference to the source where nothing is to be
     * done. Untouched where the bit is clear. */
    int (*run)(void *scaler, struct frame *source, uint32_t mask, struct frame **ret,
               struct error *err);
    void (*close)(void *scaler);
};

/* ---- filter --------------------------------------------------------------------------------- */

struct filter_params {
    int device;
    int width, height; /* shape of all frames to come */
    enum pixel_format format;
    int threads; /* 0: as many as cores */
};

/* One frame out for each in, in order, with all its properties; a few frames of delay. */
struct filter_ops {
    int (*open)(void **ret, const struct filter_params *params, struct error *err);
    /* Gives one frame, or NULL to drain. Frames without FRAME_INTERLACED pass as they are. */
    int (*send)(void *filter, struct frame *frame, struct error *err);
    /* Next frame; deinterlaced ones have no FRAME_INTERLACED any more. AGAIN: send more. END:
     * drained. */
    int (*receive)(void *filter, struct frame **ret, struct error *err);
    void (*close)(void *filter);
};

/* ---- encoder -------------------------------------------------------------------------------- */

struct encoder_params {
    int device;
    char codec[CODEC_NAME_MAX]; /* "h264", "hevc", "av1" */
    int width, height;
    enum pixel_format format;   /* what encoder_format gave for the source's */
    struct rational time_base;  /* of frame pts */
    struct rational frame_rate; /* nominal, for rate control; den 0 unknown */
    struct rational sample_aspect;
    struct color color;
    struct hdr hdr;
    enum field_order field_order; /* top or bottom first: interlaced coding */
    enum rate_control rate;
    int64_t bit_rate_bps;     /* VBR, CBR: target */
    int64_t bit_rate_max_bps; /* VBR: leaky bucket's rate; 0: 1.5 x target */
    int64_t vbv_bits;         /* leaky bucket's size; 0: 2 s of the maximum */
    int quality;              /* RATE_QUALITY: encoder's own scale (CRF for x264, x265, SVT);
                               * 0 is lossless where the encoder has it */
    int speed;                /* 1..7 as NVENC's p1..p7; 0: 4 */
    char profile[24];         /* "high", "main10", ...; empty: what fits */
    int bframes;              /* -1: the preset's own; no matter to AV1 */
    int gop_frames_usual;     /* about so many from one forced key frame to the next, for rate
                               * control; 0: unknown */
    int intra_refresh_frames; /* 0: none; else intra blocks renew the whole picture within so many
                               * frames, over and over, and each beginning is marked as a recovery
                               * point; h264, no B-frames, no key frames but those forced */
    int threads;              /* 0: the encoder's own choice */
    bool low_latency;
    bool no_fallback;    /* UNSUPPORTED rather than another device's work */
    bool joined;         /* other encoders make the rest of the stream, and all must be of one kind:
                          * LIMIT where they can have this kind and this one cannot now */
    int timecode_step;   /* SIDE_TIMECODE is written, counting one for so many of the source's
                          * frames; 0: it is not. H.264's headers depend on it */
    bool timecode_drop;  /* with drop-frame counting */
    bool global_headers; /* parameter sets in the header too; they are repeated in band */
};

/* Facts about the stream that the writer needs, known after open. */
struct encoder_header {
    struct buffer *extradata;       /* owned reference; avcC/hvcC source: Annex B sets or av1C, as
                                     * libavcodec gives it; may be NULL */
    int reorder_frames;             /* packets are at most so many frames out of display order */
    int codec_profile, codec_level; /* libavcodec's numbers */
    char note[ENCODER_NOTE_MAX];    /* that another device encodes and why, or what is left out;
                                     * else empty */
};

struct encoder_ops {
    /* Format to hand to the device's encoder for a source format (depth kept unless the profile or
     * encoder cannot). PIXEL_NONE: no such encoder. */
    enum pixel_format (*format)(int device, const char *codec, const char *profile,
                                enum pixel_format source);
    /* UNSUPPORTED where codec, size, profile or lossless are not to be had, naming which. */
    int (*open)(void **ret, const struct encoder_params *params, struct error *err);
    void (*header)(void *enc, struct encoder_header *ret);
    /* Gives one frame, or NULL to drain. FRAME_KEY makes an IDR that no later frame refers past;
     * pts must grow. AGAIN: receive packets first. */
    int (*send)(void *enc, struct frame *frame, struct error *err);
    /* Next packet in decode order; its pts is its frame's, its dts is PTS_NONE (the writer makes
     * it). AGAIN: send more. END: drained. */
    int (*receive)(void *enc, struct packet *ret, struct error *err);
    /* Another target from the next frame on, without a key frame; as encoder_params has them.
     * UNSUPPORTED: it has to be opened anew. NULL: so have all. */
    int (*rate)(void *enc, int64_t bit_rate_bps, int64_t bit_rate_max_bps, int64_t vbv_bits,
                struct error *err);
    void (*close)(void *enc);
};

/* ---- backends ------------------------------------------------------------------------------- */

struct codec_backend {
    const char *name; /* "cpu", "cuda" */
    enum device_kind kind;
    /* Number of devices now; fills at most `max` of `ret`. */
    int (*devices)(struct device_info *ret, int max);
    /* Adds what only the opened device tells; may take half a second, less some while after `hold`.
     */
    void (*examine)(struct device_info *device);
    /* Makes a device ready for a job's work and keeps it so until `release`, which gives it back:
     * what is opened on it meanwhile opens fast. DEVICE: it cannot be worked on now, and why. Both
     * NULL: there is nothing to do. */
    int (*hold)(int device, void **ret, struct error *err);
    void (*release)(void *held);
    /* What a device is doing now; NULL: is never known. DEVICE: not known now. */
    int (*use)(int device, struct device_use *ret);
    const struct decoder_ops *decoder;
    const struct scaler_ops *scaler;
    const struct encoder_ops *encoder;
    const struct filter_ops *deinterlacer; /* NULL: has none */
};

/* Backend for a kind of device, or NULL where this build has none. Static. */
const struct codec_backend *codec_backend(enum device_kind kind);

#endif
