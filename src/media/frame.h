/* A raw picture and what must travel with it. A frame knows where it lives.
 *
 * Threads: references on any thread; a frame with more than one reference is read-only (its
 * planes and its fields). Memory: the last unref returns the picture to where it came from.
 * Limits: FRAME_PLANES planes, FRAME_SIDE_MAX side data blocks, sizes up to FRAME_SIZE_MAX. */
#ifndef MEDIA_FRAME_H
#define MEDIA_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "media/color.h"
#include "media/rational.h"

#define FRAME_PLANES 4
#define FRAME_SIDE_MAX 4
#define FRAME_SIZE_MAX 16384 /* pixels, either way */

/* X(name, planes, depth, chroma shift x, chroma shift y, text). Depths over 8 are little-endian
 * 16-bit words with the value in the low bits, except P010 (high bits). GBR order is G, B, R. */
#define PIXEL_FORMATS(X)                                                                           \
    X(GRAY8, 1, 8, 0, 0, "gray")                                                                   \
    X(GRAY10, 1, 10, 0, 0, "gray10le")                                                             \
    X(GRAY12, 1, 12, 0, 0, "gray12le")                                                             \
    X(YUV420P, 3, 8, 1, 1, "yuv420p")                                                              \
    X(YUV422P, 3, 8, 1, 0, "yuv422p")                                                              \
    X(YUV444P, 3, 8, 0, 0, "yuv444p")                                                              \
    X(YUV440P, 3, 8, 0, 1, "yuv440p")                                                              \
    X(YUV411P, 3, 8, 2, 0, "yuv411p")                                                              \
    X(YUV410P, 3, 8, 2, 2, "yuv410p")                                                              \
    X(YUV420P10, 3, 10, 1, 1, "yuv420p10le")                                                       \
    X(YUV422P10, 3, 10, 1, 0, "yuv422p10le")                                                       \
    X(YUV444P10, 3, 10, 0, 0, "yuv444p10le")                                                       \
    X(YUV420P12, 3, 12, 1, 1, "yuv420p12le")                                                       \
    X(YUV422P12, 3, 12, 1, 0, "yuv422p12le")                                                       \
    X(YUV444P12, 3, 12, 0, 0, "yuv444p12le")                                                       \
    X(GBRP, 3, 8, 0, 0, "gbrp")                                                                    \
    X(GBRP10, 3, 10, 0, 0, "gbrp10le")                                                             \
    X(GBRP12, 3, 12, 0, 0, "gbrp12le")                                                             \
    X(NV12, 2, 8, 1, 1, "nv12")                                                                    \
    X(P010, 2, 10, 1, 1, "p010le")

enum pixel_format {
    PIXEL_NONE,
#define PIXEL_ENUM(name, planes, depth, sx, sy, text) PIXEL_##name,
    PIXEL_FORMATS(PIXEL_ENUM)
#undef PIXEL_ENUM
        PIXEL_COUNT
};

struct pixel_info {
    const char *name;         /* as ffmpeg's -pix_fmt */
    uint8_t planes, depth;    /* depth in bits a sample */
    uint8_t shift_x, shift_y; /* log2 of the chroma subsampling */
};

/* Properties of a format; NULL for PIXEL_NONE or a value that is none. */
const struct pixel_info *pixel_info(enum pixel_format format);

/* Format with this name, or PIXEL_NONE. */
enum pixel_format pixel_from_name(const char *name);

/* Samples a line and lines of plane `plane` of a width x height picture (NV12 and P010: plane 1
 * has both chroma samples, so its width counts 2 a pair). */
int pixel_plane_width(enum pixel_format format, int plane, int width);
int pixel_plane_height(enum pixel_format format, int plane, int height);

enum field_order { FIELD_UNKNOWN, FIELD_PROGRESSIVE, FIELD_TOP_FIRST, FIELD_BOTTOM_FIRST };

enum frame_place { PLACE_HOST, PLACE_DEVICE };

enum frame_flags {
    FRAME_KEY = 1 << 0, /* encoder: this must become a key frame (IDR, closed) */
    FRAME_INTERLACED = 1 << 1,
    FRAME_TOP_FIRST = 1 << 2, /* valid with FRAME_INTERLACED */
    FRAME_CORRUPT = 1 << 3,   /* decoder: errors in this picture were concealed */
};

/* Per-frame data that is carried through, not understood but for time codes (struct
 * frame_timecode). */
enum frame_side_type { SIDE_NONE, SIDE_A53_CC, SIDE_HDR10_PLUS, SIDE_DOVI_RPU, SIDE_TIMECODE };

struct frame_side {
    enum frame_side_type type;
    struct buffer *buf; /* owned reference */
};

#define FRAME_CLOCKS_MAX 3

/* A time of day as SMPTE ST 12-1 counts it. */
struct frame_clock {
    uint8_t hours, minutes, seconds; /* 0..23, 0..59, 0..59 */
    uint8_t frames;                  /* since the second began; below 40, or 80 at more than 30/s */
    bool drop;                       /* drop-frame counting: two numbers a minute are passed over */
};

/* Bytes of a SIDE_TIMECODE: several clocks where fields have their own, or are shown again. */
struct frame_timecode {
    uint8_t count; /* 1..FRAME_CLOCKS_MAX */
    struct frame_clock clocks[FRAME_CLOCKS_MAX];
};

struct frame {
    int refs; /* atomic; use frame_ref and frame_unref */
    enum frame_place place;
    int device; /* index, with PLACE_DEVICE */
    enum pixel_format format;
    int width, height;              /* pixels */
    uint8_t *data[FRAME_PLANES];    /* host addresses, or device addresses cast */
    ptrdiff_t stride[FRAME_PLANES]; /* bytes from line to line */
    int64_t pts, duration;          /* source time base; pts is an opaque value to codecs */
    uint32_t flags;                 /* enum frame_flags */
    struct rational sample_aspect;
    struct color color;
    struct hdr hdr;
    struct frame_side side[FRAME_SIDE_MAX];
    void *ready; /* the backend's mark of when the planes hold the picture (an event of the
                  * device's); NULL: now. Lives as long as the planes */
    void (*release)(void *opaque, struct frame *frame); /* returns planes; may keep the struct */
    void *opaque;
};

/* Host frame with planes of its own, 64-byte aligned, uninitialised. NULL: no memory, or a size
 * outside 1..FRAME_SIZE_MAX. Owned by the caller. */
struct frame *frame_new(enum pixel_format format, int width, int height);

struct frame *frame_ref(struct frame *frame);

/* The frame's data of this type, borrowed, or NULL. */
struct buffer *frame_side_of(const struct frame *frame, enum frame_side_type type);

/* The frame's time code, where of `step` frames one is kept. False: it has none, or step is 0. */
bool frame_timecode_of(const struct frame *frame, int step, struct frame_timecode *ret);

/* Drops *frame's reference and writes NULL; takes NULL. */
void frame_unref(struct frame **frame);

/* Copies pts, duration, flags, aspect, colour, HDR and side data (by reference), not the picture.
 */
void frame_copy_props(struct frame *to, const struct frame *from);

/* A pool of host frames of one shape: frames come back on their last unref, on any thread. The
 * pool may be freed while frames are out; the last of them frees it. */
struct frame_pool;
struct frame_pool *frame_pool_new(enum pixel_format format, int width, int height);
struct frame *frame_pool_get(struct frame_pool *pool); /* NULL: no memory */
void frame_pool_free(struct frame_pool **pool);

#endif
