/* Between libavcodec's types and ours: formats, colour, HDR metadata, frames and packets.
 *
 * Pictures and payloads cross without a copy, either way: each side keeps a reference of the other.
 * Only a format that PIXEL_FORMATS lacks (big-endian, packed, paletted, over 12 bits) is converted,
 * once, to the nearest one of the table.
 *
 * Threads: a converter belongs to one thread at a time; the rest are functions without state, and
 * the frames they make may be dropped on any thread. Limits: FRAME_SIZE_MAX either way. */
#ifndef CODEC_CPU_AVFRAME_H
#define CODEC_CPU_AVFRAME_H

#include <libavcodec/avcodec.h>
#include <libavutil/frame.h>

#include "codec/codec.h"

/* Our format with exactly these planes (yuvj as yuv; alpha planes are left out), or PIXEL_NONE. */
enum pixel_format avframe_format(enum AVPixelFormat av);

/* libavutil's format; AV_PIX_FMT_NONE for PIXEL_NONE. */
enum AVPixelFormat avframe_av_format(enum pixel_format format);

/* Nearest format of the table for one that it lacks: same chroma, depth up to 12. PIXEL_NONE for
 * what is no picture in memory. */
enum pixel_format avframe_nearest(enum AVPixelFormat av);

struct color avframe_color(const AVFrame *av);

/* Colour description for a codec context. */
void avframe_set_color(AVCodecContext *ctx, const struct color *color);

/* Static HDR metadata among a frame's side data; `fallback` (may be NULL) fills what it lacks. */
struct hdr avframe_hdr(const AVFrame *av, const struct hdr *fallback);

/* Turns libavcodec's frames into ours. Zero is a valid (new) converter. */
struct avframe_converter {
    struct SwsContext *sws;  /* owned */
    struct frame_pool *pool; /* owned; of the format and size below */
    enum pixel_format format;
    int width, height;
    enum AVPixelFormat said;     /* the format that `note` is about */
    char note[DECODER_NOTE_MAX]; /* "rgb24 converted to gbrp"; empty: nothing was converted */
    AVRational frame_rate;       /* the user's to set: the decoder's, by which time codes count */
};

void avframe_converter_done(struct avframe_converter *cv);

/* Moves `av` (left empty, also on error) into a frame of ours, with colour, HDR, side data, aspect
 * and field flags. pts and duration are the caller's to set. UNSUPPORTED: no such format in memory,
 * or too large. */
int avframe_take(struct avframe_converter *cv, AVFrame *av, struct frame **ret, struct error *err);

/* Points the empty `to` at the picture of `from`, keeping a reference; pts and side data are the
 * caller's to set. MEMORY. */
int avframe_wrap(AVFrame *to, struct frame *from, struct error *err);

/* Attaches the frame's closed captions to `to`. MEMORY. */
int avframe_wrap_captions(AVFrame *to, const struct frame *from, struct error *err);

/* Points the empty `to` at the payload of `from`, keeping a reference. MEMORY. */
int avpacket_wrap(AVPacket *to, const struct packet *from, struct error *err);

/* Moves the payload of `av` (left empty, also on error) into a packet of ours; sets nothing but
 * buf, data and size. MEMORY. */
int avpacket_take(AVPacket *av, struct packet *ret, struct error *err);

/* Code for one of libavcodec's: MEMORY, AGAIN and END as they are, `other` for the rest. */
int avframe_error_code(int av, int other);

#endif
