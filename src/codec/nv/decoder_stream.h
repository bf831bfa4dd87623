/* Looks at the packets on their way to NVIDIA's parser: what their pictures are to be said to be,
 * which of them cannot be shown right and are left out, and the form in which the parser takes
 * them. All as the software decoder has it, so that both give the same frames.
 *
 * Left out are what comes before the first point where decoding may start, leading pictures that
 * refer past such a point (RASL of HEVC, B of an open GOP of MPEG-2), and units of layers that are
 * not the base.
 *
 * Threads: one. Memory: some 20 KB of parameter sets, and a copy of the largest packet that had to
 * be rewritten. Limits: none of its own. Any bytes are safe. */
#ifndef CODEC_NV_DECODER_STREAM_H
#define CODEC_NV_DECODER_STREAM_H

#include "codec/nv/decoder_sei.h"
#include "gpu/driver.h"
#include "media/av1.h"
#include "media/packet.h"
#include "media/track.h"

/* What goes with a frame. */
struct nv_picture {
    struct color color;
    struct rational sample_aspect;
    struct hdr hdr;
    uint32_t flags; /* enum frame_flags: interlaced, top first */
    bool recovered; /* H.264: it and what is shown after it is whole */
    struct nv_sides sides;
};

struct nv_facts {
    bool failed;       /* no picture could be decoded from it: it is not for the parser */
    bool skip;         /* its pictures are left out: not for the parser either */
    bool hidden;       /* it shows no frame of its own */
    bool second_field; /* it completes the frame of the packet before */
    bool drops_prior;  /* pictures of before would be dropped: bring them out first */
    int pictures;      /* frames or fields in it */
    struct nv_picture picture;
};

/* Pictures of one sequence, as far as it is known at open. */
struct nv_shape {
    cudaVideoCodec codec;
    int depth;         /* bits a sample: 8 or 10 */
    int width, height; /* coded, luma samples; 0 unknown */
};

struct nv_mpeg2 {
    int width, height;
    uint8_t aspect; /* aspect_ratio_information */
    int pan_width, pan_height;
    bool mpeg1, progressive_sequence, closed_gop, first_field;
    uint8_t chroma_format; /* 1 is 4:2:0; 0 not said */
    int references;        /* I and P frames since the start, counted to 2 */
    struct color color;
};

struct nv_stream {
    cudaVideoCodec codec;
    struct h264_context *h264; /* owned; of H.264 */
    struct hevc_context *hevc; /* owned; of HEVC */
    struct av1_sequence av1;
    struct nv_mpeg2 mpeg2;
    unsigned length_size;          /* media/nal.h */
    struct buffer *headers;        /* owned; as the parser takes them; NULL: none */
    bool headers_due;              /* they go in front of the next packet */
    struct color color;            /* of the track, or of the last header that says it */
    struct hdr hdr;                /* of the track, or the last one said */
    uint8_t transfer_headers;      /* preferred by the codec headers, 0: none */
    uint8_t transfer;              /* and at this place */
    bool started;                  /* a point was there at which decoding may start */
    bool no_rasl;                  /* RASL pictures are left out */
    bool interlaced, top_first;    /* of the picture before */
    bool marks_seen;               /* H.264: IDR or recovery point, ever */
    bool idr_seen, recovery_valid; /* H.264 */
    int32_t recovery_frame;        /* H.264: frame_num at which a recovery point holds; -1 none */
    uint8_t *scratch;              /* owned; of nv_stream_bytes */
    size_t scratch_size;           /* bytes */
};

/* MEMORY; UNSUPPORTED for a codec that is not among NVDEC's. nv_stream_done in any case. */
int nv_stream_init(struct nv_stream *s, const struct track *track, struct error *err);
void nv_stream_done(struct nv_stream *s); /* takes a zeroed one */

/* Forgets the place in the stream, keeps its headers. */
void nv_stream_reset(struct nv_stream *s);

/* The shape that headers and track tell. UNSUPPORTED where NVDEC cannot decode it on any device,
 * naming what. */
int nv_stream_shape(const struct nv_stream *s, const struct track *track, struct nv_shape *ret,
                    struct error *err);

/* Looks at the next packet in decoding order, once each. `ret` is owned: nv_facts_done. MEMORY. */
int nv_stream_next(struct nv_stream *s, const struct packet *pkt, struct nv_facts *ret,
                   struct error *err);
void nv_facts_done(struct nv_facts *facts); /* takes a zeroed one */

/* The packet as the parser takes it, with headers in front where they are due: borrowed from the
 * packet or from `s`, good until the next call. MEMORY. */
int nv_stream_bytes(struct nv_stream *s, const struct packet *pkt, const uint8_t **ret,
                    size_t *ret_size, struct error *err);

/* ---- parts ----------------------------------------------------------------------------------- */

/* Sequence headers and extensions of MPEG-1 and MPEG-2; with `facts`: those of a picture too. */
void nv_mpeg2_look(struct nv_mpeg2 *m, const uint8_t *data, size_t size, struct nv_facts *facts);

void nv_vp8_look(struct nv_stream *s, const uint8_t *data, size_t size, struct nv_facts *facts);
void nv_vp9_look(struct nv_stream *s, const uint8_t *data, size_t size, struct nv_facts *facts);

#endif
