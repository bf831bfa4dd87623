/* What libnvcuvid's parser and decoder share.
 *
 * A picture is decoded by the parser, with libavcodec, when its bitstream comes; the decoder finds
 * it by a number in CUVIDPICPARAMS.Reserved and hands it out at the time at which NVDEC would.
 *
 * Threads: any; pictures are protected by standin_mutex. Memory: pictures are counted. */
#ifndef STANDIN_CUVID_H
#define STANDIN_CUVID_H

#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/dynlink_nvcuvid.h>
#include <libavcodec/avcodec.h>

#include "core.h"

#define SURFACES_MAX 32
#define PICTURE_MARK 0x70696374u /* of Reserved[0]; the number follows */

struct picture {
    int64_t number; /* of all parsers' */
    int64_t order;  /* of its parser's */
    int index;      /* CurrPicIdx */
    int refs;
    AVFrame *frame; /* owned; NULL until libavcodec gives it */
    bool damaged;
    bool shown; /* the display callback has been called */
    int queued; /* in a decoder's queue: once, or twice for two fields */
    CUvideotimestamp timestamp;
    bool has_timestamp;
    struct picture *next;
};

struct picture *picture_new(void);
struct picture *picture_ref_locked(struct picture *picture);
void picture_unref_locked(struct picture **picture);
void picture_unref(struct picture **picture);

void picture_describe(const struct picture *picture, CUVIDPICPARAMS *params);
struct picture *picture_find_locked(const CUVIDPICPARAMS *params);

extern _Thread_local bool cuvid_in_sequence; /* the parser calls back with a format */

enum AVCodecID cuvid_av_codec(cudaVideoCodec codec);

#pragma GCC visibility push(default)
tcuvidGetDecoderCaps cuvidGetDecoderCaps;
tcuvidCreateDecoder cuvidCreateDecoder;
tcuvidDestroyDecoder cuvidDestroyDecoder;
tcuvidDecodePicture cuvidDecodePicture;
tcuvidGetDecodeStatus cuvidGetDecodeStatus;
tcuvidReconfigureDecoder cuvidReconfigureDecoder;
tcuvidMapVideoFrame64 cuvidMapVideoFrame64;
tcuvidUnmapVideoFrame64 cuvidUnmapVideoFrame64;
tcuvidCreateVideoParser cuvidCreateVideoParser;
tcuvidParseVideoData cuvidParseVideoData;
tcuvidDestroyVideoParser cuvidDestroyVideoParser;
#pragma GCC visibility pop

#endif
