/* Pictures full of detail, what they should look like when they are made smaller, and how far a
 * scaler's picture is from that.
 *
 * Three judges, in double precision and none rounded. One is the filter that this library's
 * scalers are built to, and favours them. The other two are nobody's here: the mean over the area
 * that a sample of the output covers, and the low-pass that sampling theory asks for (a sinc under
 * a window of 8 lobes on each side).
 *
 * Threads: pure functions. Memory: what they return is the caller's, to be freed; out of memory
 * ends the program. */
#ifndef BENCH_PICTURES_H
#define BENCH_PICTURES_H

#include <stdbool.h>
#include <stdint.h>

#define PICTURE_WIDTH 1920
#define PICTURE_HEIGHT 1080
#define PICTURE_BYTES (PICTURE_WIDTH * PICTURE_HEIGHT * 3 / 2)

/* 8-bit NV12, wherever its planes are. */
struct picture {
    int width, height; /* even */
    const uint8_t *luma, *chroma;
    int luma_pitch, chroma_pitch; /* bytes */
};

enum picture_kind {
    PICTURE_ZONE,    /* a zone plate: all frequencies, up to the highest at the sides */
    PICTURE_TEXTURE, /* noise of all sizes, as grass and gravel have it */
    PICTURE_CARD,    /* small rectangles and thin lines with hard edges, as text has them */
    PICTURE_KINDS
};

const char *picture_name(enum picture_kind kind);

/* PICTURE_BYTES of NV12 without padding, the same at each call. */
uint8_t *picture_make(enum picture_kind kind);

struct picture picture_view(const uint8_t *nv12, int width, int height);

enum judge { JUDGE_CUBIC, JUDGE_AREA, JUDGE_SINC, JUDGES };

const char *judge_name(enum judge judge);

/* PSNR in dB of `made` to what the judge makes of `source`, of luma, or of both kinds of chroma.
 * Scalers differ in where they think that samples lie: theirs is the best of corners' places,
 * centres' places and, for chroma, those of left-sited samples. */
struct quality {
    double luma[JUDGES], chroma[JUDGES];
};

/* Judges `count` pictures of the same size. */
void pictures_judge(const struct picture *source, const struct picture *made, int count,
                    struct quality *ret);

#endif
