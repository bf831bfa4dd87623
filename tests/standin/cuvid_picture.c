/* libnvcuvid: pictures, and what is not modelled. */
#include <stdlib.h>

#include "cuvid.h"

_Thread_local bool cuvid_in_sequence;

static struct picture *pictures; /* protected by standin_mutex */

struct picture *picture_new(void)
{
    static int64_t count;
    struct picture *picture = calloc(1, sizeof(*picture));
    if (!picture)
        return NULL;
    picture->refs = 1;
    pthread_mutex_lock(&standin_mutex);
    picture->number = ++count;
    picture->next = pictures;
    pictures = picture;
    pthread_mutex_unlock(&standin_mutex);
    return picture;
}

struct picture *picture_ref_locked(struct picture *picture)
{
    picture->refs++;
    return picture;
}

void picture_unref_locked(struct picture **handle)
{
    struct picture *picture = *handle;
    *handle = NULL;
    if (!picture || --picture->refs > 0)
        return;
    struct picture **at = &pictures;
    while (*at != picture)
        at = &(*at)->next;
    *at = picture->next;
    av_frame_free(&picture->frame);
    free(picture);
}

void picture_unref(struct picture **handle)
{
    pthread_mutex_lock(&standin_mutex);
    picture_unref_locked(handle);
    pthread_mutex_unlock(&standin_mutex);
}

void picture_describe(const struct picture *picture, CUVIDPICPARAMS *params)
{
    params->CurrPicIdx = picture->index;
    params->Reserved[0] = PICTURE_MARK;
    params->Reserved[1] = (unsigned)picture->number;
    params->Reserved[2] = (unsigned)(picture->number >> 32);
}

struct picture *picture_find_locked(const CUVIDPICPARAMS *params)
{
    const int64_t number = (int64_t)params->Reserved[2] << 32 | params->Reserved[1];
    struct picture *picture = params->Reserved[0] == PICTURE_MARK ? pictures : NULL;
    while (picture && picture->number != number)
        picture = picture->next;
    return picture;
}

enum AVCodecID cuvid_av_codec(cudaVideoCodec codec)
{
    switch (codec) {
    case cudaVideoCodec_MPEG1:
        return AV_CODEC_ID_MPEG1VIDEO;
    case cudaVideoCodec_MPEG2:
        return AV_CODEC_ID_MPEG2VIDEO;
    case cudaVideoCodec_MPEG4:
        return AV_CODEC_ID_MPEG4;
    case cudaVideoCodec_H264:
        return AV_CODEC_ID_H264;
    case cudaVideoCodec_HEVC:
        return AV_CODEC_ID_HEVC;
    case cudaVideoCodec_VP8:
        return AV_CODEC_ID_VP8;
    case cudaVideoCodec_VP9:
        return AV_CODEC_ID_VP9;
    case cudaVideoCodec_AV1:
        return AV_CODEC_ID_AV1;
    default:
        return AV_CODEC_ID_NONE;
    }
}

#pragma GCC visibility push(default)

#define ABSENT(name)                                                                               \
    CUresult name(void);                                                                           \
    CUresult name(void)                                                                            \
    {                                                                                              \
        return STANDIN_NOT_SUPPORTED;                                                              \
    }

ABSENT(cuvidCtxLockCreate)
ABSENT(cuvidCtxLockDestroy)
ABSENT(cuvidCtxLock)
ABSENT(cuvidCtxUnlock)
ABSENT(cuvidCreateVideoSource)
ABSENT(cuvidCreateVideoSourceW)
ABSENT(cuvidDestroyVideoSource)
ABSENT(cuvidSetVideoSourceState)
ABSENT(cuvidGetVideoSourceState)
ABSENT(cuvidGetSourceVideoFormat)
ABSENT(cuvidGetSourceAudioFormat)

#pragma GCC visibility pop
