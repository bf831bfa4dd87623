/* Short bitstreams for the tests of libnvcuvid's stand-in, and what libavcodec decodes from them.
 *
 * Threads: one. Memory: a clip owns all it holds; clips live as long as the process. */
#ifndef STANDIN_CUVID_CLIP_H
#define STANDIN_CUVID_CLIP_H

#include <libavcodec/avcodec.h>

#define CLIP_PICTURES_MAX 64

struct clip_params {
    const char *encoder; /* as libavcodec names it */
    int width, height, count;
    enum AVPixelFormat format;
    int bframes;
    const char *options; /* "key=value:..." of the encoder; NULL: none */
};

struct clip {
    AVPacket *packets[CLIP_PICTURES_MAX];
    int packets_count;
    AVFrame *pictures[CLIP_PICTURES_MAX]; /* in display order; pts 0, 1, 2, ... */
    int pictures_count;
};

void clip_make(struct clip *ret, const struct clip_params *params);

#endif
