/* What the tests of encoders share: backends, parameters, pictures of their formats, and what
 * packets are by their own bytes.
 *
 * Threads: one. Memory: static parameter sets. Fails the running test by assertion. */
#ifndef UNIT_CODEC_ENCODING_H
#define UNIT_CODEC_ENCODING_H

#include "codec/codec.h"
#include "support/coding.h"

#define WIDTH 128
#define HEIGHT 96
#define CODECS_COUNT 3

extern const char *const codecs[CODECS_COUNT];

/* Whose libraries are silent from then on. NULL: it has no device here. */
const struct codec_backend *backend_of(enum device_kind kind);

/* The kind that a program's first argument names: "cuda", or the CPU's. */
enum device_kind kind_asked_for(int argc, char **argv);

/* Whether the backend encodes it; if not, that is said. */
bool have(const struct codec_backend *backend, const char *codec);

/* WIDTH x HEIGHT at 25 Hz, 4:2:0 of 8 bits in the backend's format; quality 30, fastest. */
struct encoder_params params_for(const struct codec_backend *backend, const char *codec);

/* The format that the backend asks for. One of the device's is not for the CPU's encoders. */
void set_format(const struct codec_backend *backend, struct encoder_params *params,
                enum pixel_format source);

/* What pictures of the backend's format are on the host. */
enum pixel_format host_format(const struct codec_backend *backend, enum pixel_format format);

/* As make_pictures, on the host, for an encoder of `params`. */
void make_input(const struct codec_backend *backend, const struct encoder_params *params, int count,
                unsigned seed, struct frame_list *ret);

struct look {
    bool key;     /* IDR, or AV1 key frame */
    bool headers; /* parameter sets in band */
    bool annexb;
    struct hdr hdr;
};

/* What the packet is; it must be whole. Packets of a codec come in the encoder's order. */
void look_at(const char *codec, const struct packet *pkt, struct look *ret);

#endif
