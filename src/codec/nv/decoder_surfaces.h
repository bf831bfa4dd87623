/* One decoder of the driver with its pictures: submitting, and handing pictures out as frames.
 *
 * Pictures have two numbers: the parser's, and the decoder's own (decoder_pictures.h). Mapping a
 * picture makes the driver copy it out of the decoder's own memory into one of
 * NV_SURFACES_OUT surfaces, cropped, on the decoder's stream. The frame is that surface; its last
 * reference gives it back.
 *
 * Making one takes long, so that one that is done with is kept for the next stream of its codec and
 * depth (gpu/idle.h): NV_KEPT_MAX a device, each of them of no more than 1/NV_KEPT_PART of its
 * memory.
 *
 * Threads: all by one, but for frames, which may be dropped on any thread, also after the owner's
 * reference is gone: the last of both keeps or closes the driver's decoder. Memory: counted;
 * nothing is allocated per frame. */
#ifndef CODEC_NV_DECODER_SURFACES_H
#define CODEC_NV_DECODER_SURFACES_H

#include "codec/nv/decoder_pictures.h"
#include "codec/nv/decoder_stream.h"
#include "gpu/device.h"

#define NV_KEPT_MAX 4   /* streams that come and go at a time; a decoder of 1080p takes 100 MB */
#define NV_KEPT_PART 64 /* so that all take no more than 1/16 */

struct nv_surfaces_params {
    cudaVideoCodec codec;
    int depth;                     /* 8 or 10 */
    int coded_width, coded_height; /* luma samples */
    int left, top, width, height;  /* of the part that is shown */
    int max_width, max_height;     /* up to which the size may change; 0: the coded size */
    int pictures_count;            /* that the parser may use */
};

struct nv_surfaces;

/* A kept one that is large enough, and not much larger, else a new one. DEVICE, MEMORY. Within the
 * device's context, as all below; only from the parser's sequence callback. */
int nv_surfaces_new(struct nv_surfaces **ret, struct gpu_device *device,
                    const struct nv_surfaces_params *params, struct error *err);
struct nv_surfaces *nv_surfaces_ref(struct nv_surfaces *s);
void nv_surfaces_unref(struct nv_surfaces **s); /* takes NULL, writes NULL; needs no context */

/* Takes other sizes where it can: false, and nothing is changed, where codec, depth, a size over
 * the maximum, another part of the same coded size, more pictures, or frames that are out are in
 * the way. Sets *ret_error (else untouched) where the driver fails. Only from the parser's sequence
 * callback. */
bool nv_surfaces_reshape(struct nv_surfaces *s, const struct nv_surfaces_params *params,
                         CUresult *ret_error);

const struct nv_surfaces_params *nv_surfaces_shape(const struct nv_surfaces *s);

/* Whether the driver says of what it was given, and not of itself, that it cannot be decoded. */
bool nv_is_refusal(CUresult result);

/* Submits a picture of the parser's; waits while the driver's queue is full. *ret_refused: the
 * driver takes it for broken. DEVICE; LIMIT: all pictures are in use and none came back for a long
 * time. */
int nv_surfaces_decode(struct nv_surfaces *s, const CUVIDPICPARAMS *picture, bool *ret_refused,
                       struct error *err);

/* Keeps the picture that the parser shows as `index` from being decoded into again, and gives the
 * number that it has for nv_surfaces_map or nv_surfaces_forget; -1: it was never decoded. */
int nv_surfaces_keep(struct nv_surfaces *s, int index);
void nv_surfaces_forget(struct nv_surfaces *s, int number);

/* A kept picture as a frame: planes, size, format, place and mark are set, and FRAME_CORRUPT where
 * the decoder met errors in it. It is kept no more but by the frame. Waits for the picture, and for
 * a surface to come back. LIMIT: none came back for a long time. DEVICE. The picture stays kept
 * then.
 */
int nv_surfaces_map(struct nv_surfaces *s, int number, const CUVIDPARSERDISPINFO *info,
                    struct frame **ret, struct error *err);

#endif
