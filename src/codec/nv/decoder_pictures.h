/* Which of a decoder's pictures stands for which of the parser's.
 *
 * The parser uses a picture again once its display callback has returned; a decoder's picture must
 * stay as it is while it waits to be mapped, and until its frame has come back. So the decoder has
 * more pictures than the parser knows of, and the parser's numbers are translated.
 *
 * Threads: the owner's lock protects it. Memory: plain fields. Limits: NV_PICTURES_MAX. */
#ifndef CODEC_NV_DECODER_PICTURES_H
#define CODEC_NV_DECODER_PICTURES_H

#include <stdbool.h>
#include <stdint.h>

#include "gpu/driver.h"

#define NV_PICTURES_MAX 32 /* drivers fail with more */

struct nv_pictures {
    int count;                      /* the decoder's */
    int of_parser[NV_PICTURES_MAX]; /* the decoder's picture for the parser's; -1: none yet */
    bool assigned[NV_PICTURES_MAX]; /* it stands for one of the parser's */
    int holds[NV_PICTURES_MAX];     /* for what else it must stay as it is */
};

void nv_pictures_init(struct nv_pictures *p, int count);

/* The picture for the parser's `index`, of which a new one begins. -1: all are in use. */
int nv_pictures_begin(struct nv_pictures *p, int index);

/* The picture for the parser's `index`; -1: there is none. */
int nv_pictures_find(const struct nv_pictures *p, int index);

/* Rewrites the numbers of the pictures that `params` refers to. */
void nv_pictures_translate(const struct nv_pictures *p, cudaVideoCodec codec,
                           CUVIDPICPARAMS *params);

#endif
