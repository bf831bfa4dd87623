/* Whole runs of decoders and encoders for tests, through a backend's tables.
 *
 * Threads: one. Memory: lists own what they hold. Errors other than AGAIN and END fail the test by
 * assertion. */
#ifndef SUPPORT_CODING_H
#define SUPPORT_CODING_H

#include "codec/codec.h"

struct frame_list {
    struct frame **items;
    size_t count;
};

struct packet_list {
    struct packet *items;
    size_t count;
};

void frame_list_add(struct frame_list *list, struct frame *frame);
void frame_list_done(struct frame_list *list);
void packet_list_done(struct packet_list *list);

/* Sends all packets and drains; adds what comes out. */
void decode_packets(const struct codec_backend *backend, void *dec, const struct packet *packets,
                    size_t count, struct frame_list *ret);

/* As decode_packets with a decoder of its own. */
void decode_all(const struct codec_backend *backend, const struct decoder_params *params,
                const struct packet *packets, size_t count, struct frame_list *ret,
                struct decoder_stats *ret_stats);

/* Decodes what an encoder of `params` gave. */
void decode_encoded(const struct codec_backend *backend, const struct encoder_params *params,
                    const struct encoder_header *header, const struct packet *packets, size_t count,
                    struct frame_list *ret);

/* Sends one frame, or with NULL the end; adds what comes out. */
void encode_frame(const struct codec_backend *backend, void *enc, struct frame *frame,
                  struct packet_list *ret);

/* Sends all frames and drains. `ret_header` may be NULL; its extradata is the caller's. */
void encode_all(const struct codec_backend *backend, const struct encoder_params *params,
                const struct frame_list *frames, struct packet_list *ret,
                struct encoder_header *ret_header);

/* A film through an encoder and a decoder. */
struct round_trip {
    struct encoder_header header;
    struct packet_list packets;
    struct frame_list pictures; /* as decoded */
};

/* Encodes all frames and decodes all packets; there are as many of each. */
void round_trip(const struct codec_backend *encoding, const struct codec_backend *decoding,
                const struct encoder_params *params, const struct frame_list *frames,
                struct round_trip *ret);
void round_trip_done(struct round_trip *trip);

/* What pictures of a device's format are on the host; other formats are themselves. */
enum pixel_format planar_format(enum pixel_format format);

/* `count` pictures of a moving pattern with noise; pts 0, 1, 2, ... */
void make_pictures(enum pixel_format format, int width, int height, int count, unsigned seed,
                   struct frame_list *ret);

/* Whether the planes are the same, byte for byte. */
bool same_picture(const struct frame *a, const struct frame *b);

/* Fails where the pictures are not the same, in number, time stamps and bytes; `what` is what made
 * them. */
void check_same_pictures(const struct frame_list *got, const struct frame_list *want,
                         const char *what);

/* Mean square error of luma, in units of 8 bits. */
double luma_mse(const struct frame *a, const struct frame *b);

#endif
