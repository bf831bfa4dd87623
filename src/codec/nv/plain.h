/* Pictures of the device as they are, in host memory and planar, for what only the CPU can do.
 *
 * Threads: one handle is used by one thread at a time. Memory: as nv_download. */
#ifndef CODEC_NV_PLAIN_H
#define CODEC_NV_PLAIN_H

#include "codec/codec.h"

struct nv_plain;

int nv_plain_open(struct nv_plain **ret, int device, struct error *err);
void nv_plain_close(struct nv_plain **plain); /* takes NULL, writes NULL */

/* What host frames of a source in this format are. */
enum pixel_format nv_plain_format(enum pixel_format format);

/* A new host frame with the source's samples and properties, there when this returns; sizes and
 * formats may change from call to call. */
int nv_plain_run(struct nv_plain *plain, struct frame *source, struct frame **ret,
                 struct error *err);

#endif
