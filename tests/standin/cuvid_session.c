#include "cuvid_session.h"

#include <string.h>

#include "api.h"
#include "children.h"

static CUVIDPROCPARAMS proc_of(const struct session *s)
{
    return (CUVIDPROCPARAMS){.progressive_frame = 1, .output_stream = s->stream};
}

static int even(int n)
{
    return (n + 1) & ~1;
}

CUVIDDECODECREATEINFO session_info(const CUVIDEOFORMAT *format)
{
    CUVIDDECODECREATEINFO info = {
        .ulWidth = format->coded_width,
        .ulHeight = format->coded_height,
        .ulMaxWidth = 320,
        .ulMaxHeight = 256,
        .ulNumDecodeSurfaces = format->min_num_decode_surfaces + 4u,
        .CodecType = format->codec,
        .ChromaFormat = format->chroma_format,
        .bitDepthMinus8 = format->bit_depth_luma_minus8,
        .OutputFormat = format->bit_depth_luma_minus8 ? cudaVideoSurfaceFormat_P016
                                                      : cudaVideoSurfaceFormat_NV12,
        .ulNumOutputSurfaces = 2,
    };
    info.display_area.left = (short)format->display_area.left;
    info.display_area.top = (short)format->display_area.top;
    info.ulTargetWidth = (tcu_ulong)even(format->display_area.right - format->display_area.left);
    info.ulTargetHeight = (tcu_ulong)even(format->display_area.bottom - format->display_area.top);
    info.display_area.right = (short)(info.display_area.left + (int)info.ulTargetWidth);
    info.display_area.bottom = (short)(info.display_area.top + (int)info.ulTargetHeight);
    return info;
}

CUVIDRECONFIGUREDECODERINFO session_change(const CUVIDDECODECREATEINFO *info)
{
    CUVIDRECONFIGUREDECODERINFO change = {
        .ulWidth = (unsigned)info->ulWidth,
        .ulHeight = (unsigned)info->ulHeight,
        .ulTargetWidth = (unsigned)info->ulTargetWidth,
        .ulTargetHeight = (unsigned)info->ulTargetHeight,
        .ulNumDecodeSurfaces = (unsigned)info->ulNumDecodeSurfaces,
    };
    change.display_area.left = info->display_area.left;
    change.display_area.top = info->display_area.top;
    change.display_area.right = info->display_area.right;
    change.display_area.bottom = info->display_area.bottom;
    return change;
}

static int CUDAAPI on_sequence(void *opaque, CUVIDEOFORMAT *format)
{
    struct session *s = opaque;
    s->formats++;
    s->format = *format;
    const CUVIDDECODECREATEINFO info = session_info(format);
    if (!s->decoder) {
        s->info = info;
        OK(cuvidCreateDecoder(&s->decoder, &s->info));
    } else if (s->fault != FAULT_NO_RECONFIGURE) {
        CUVIDRECONFIGUREDECODERINFO change = session_change(&info);
        OK(cuvidReconfigureDecoder(s->decoder, &change));
        s->info = info;
    }
    return s->fault == FAULT_FEW_SURFACES ? 2 : (int)s->info.ulNumDecodeSurfaces;
}

CUresult session_map(struct session *s, int index, CUstream stream)
{
    unsigned pitch;
    CUVIDPROCPARAMS proc = proc_of(s);
    proc.output_stream = stream;
    return cuvidMapVideoFrame64(s->decoder, index, &s->mapped, &pitch, &proc);
}

/* The fourth before it is done when this one has been taken. */
static void check_queue(struct session *s, int index)
{
    CUVIDGETDECODESTATUS status;
    OK(cuvidGetDecodeStatus(s->decoder, index, &status));
    s->in_progress = s->in_progress || status.decodeStatus == cuvidDecodeStatus_InProgress;
    if (s->decoded < 4)
        return;
    OK(cuvidGetDecodeStatus(s->decoder, s->indices[s->decoded - 4], &status));
    CHECK(status.decodeStatus == cuvidDecodeStatus_Success);
}

static bool maps_one(const struct session *s)
{
    return s->fault == FAULT_INTO_MAPPED || s->fault == FAULT_INTO_COPIED;
}

static void break_decode(struct session *s, CUVIDPICPARAMS *params)
{
    if (s->broken || s->decoded == 0 || (maps_one(s) && !s->mapped))
        return;
    s->broken = true;
    switch (s->fault) {
    case FAULT_MAP_EARLY:
        CHECK(session_map(s, s->indices[0], s->stream) == STANDIN_INVALID_VALUE);
        break;
    case FAULT_INDEX:
        params->CurrPicIdx = (int)s->info.ulNumDecodeSurfaces;
        break;
    case FAULT_STRANGE:
        memset(params->Reserved, 0, sizeof(params->Reserved));
        break;
    case FAULT_INTO_COPIED:
    case FAULT_INTO_MAPPED:
        params->CurrPicIdx = s->last_index;
        break;
    case FAULT_INTO_QUEUED:
        params->CurrPicIdx = s->indices[0];
        break;
    default:
        break;
    }
}

static int CUDAAPI on_decode(void *opaque, CUVIDPICPARAMS *params)
{
    struct session *s = opaque;
    CHECK(params->CurrPicIdx >= 0 && params->CurrPicIdx < (int)s->info.ulNumDecodeSurfaces);
    CHECK(params->nBitstreamDataLen > 0 && s->decoded < CLIP_PICTURES_MAX * 2);
    break_decode(s, params);
    const CUresult result = cuvidDecodePicture(s->decoder, params);
    if (maps_one(s) && s->broken && s->mapped) {
        OK(cuvidUnmapVideoFrame64(s->decoder, s->mapped));
        s->mapped = 0;
    }
    s->indices[s->decoded] = params->CurrPicIdx;
    if (s->checks_queue && result == CUDA_SUCCESS)
        check_queue(s, params->CurrPicIdx);
    s->decoded++;
    if (s->decoded - s->shown > s->max_delay)
        s->max_delay = s->decoded - s->shown;
    return result == CUDA_SUCCESS;
}

static unsigned sample(const uint8_t *plane, size_t pitch, int x, int y, bool wide)
{
    const uint8_t *line = plane + pitch * (size_t)y;
    return wide ? ((const uint16_t *)(const void *)line)[x] : line[x];
}

/* Both as the surface has them: chroma in pairs, deep samples at the top of their words. */
static void check_picture(const struct session *s, const uint8_t *bytes, size_t pitch,
                          const AVFrame *want)
{
    const bool wide = s->info.bitDepthMinus8 > 0;
    const int shift = wide ? 8 - (int)s->info.bitDepthMinus8 : 0;
    const uint8_t *chroma = bytes + pitch * s->info.ulTargetHeight;
    for (int y = 0; y < want->height; y++) {
        for (int x = 0; x < want->width; x++) {
            const unsigned is = sample(bytes, pitch, x, y, wide);
            CHECK(is == sample(want->data[0], (size_t)want->linesize[0], x, y, wide) << shift);
        }
    }
    for (int y = 0; y < (want->height + 1) / 2; y++) {
        for (int x = 0; x < (want->width + 1) / 2 * 2; x++) {
            const int plane = 1 + x % 2;
            const unsigned is = sample(chroma, pitch, x, y, wide);
            CHECK(is == sample(want->data[plane], (size_t)want->linesize[plane], x / 2, y, wide)
                            << shift);
        }
    }
}

static void map_and_check(struct session *s, int index)
{
    static uint8_t bytes[1024 * 512];
    unsigned pitch;
    CUVIDPROCPARAMS proc = proc_of(s);
    OK(cuvidMapVideoFrame64(s->decoder, index, &s->mapped, &pitch, &proc));
    CHECK(pitch % 256 == 0 && pitch * s->info.ulTargetHeight * 3 / 2 <= sizeof(bytes));
    OK(cuMemcpyDtoHAsync_v2(bytes, s->mapped, pitch * s->info.ulTargetHeight * 3 / 2, s->stream));
    OK(cuStreamSynchronize(s->stream));
    check_picture(s, bytes, pitch, s->clip->pictures[s->shown % s->clip->pictures_count]);
    OK(cuvidUnmapVideoFrame64(s->decoder, s->mapped));
}

static int CUDAAPI on_display(void *opaque, CUVIDPARSERDISPINFO *info)
{
    struct session *s = opaque;
    CUVIDGETDECODESTATUS status;
    CHECK(info->progressive_frame);
    if (s->fault == FAULT_NONE)
        CHECK(info->timestamp == SESSION_TIME(s->shown % s->clip->pictures_count));
    if (s->fault == FAULT_NONE && !s->keeps)
        map_and_check(s, info->picture_index);
    if (maps_one(s) && !s->broken && !s->mapped)
        OK(session_map(s, info->picture_index, s->stream));
    if (s->fault == FAULT_INTO_COPIED)
        OK(cuStreamSynchronize(s->stream));
    if (s->fault == FAULT_REENTER && s->shown == 0) {
        CUVIDSOURCEDATAPACKET none = {0};
        CHECK(cuvidParseVideoData(s->parser, &none) == STANDIN_INVALID_VALUE);
    }
    if (cuvidGetDecodeStatus(s->decoder, info->picture_index, &status) == CUDA_SUCCESS)
        s->damaged += status.decodeStatus == cuvidDecodeStatus_Error;
    s->last_index = info->picture_index;
    s->shown++;
    return 1;
}

void session_begin(struct session *s, const struct clip *clip, cudaVideoCodec codec, unsigned delay)
{
    s->clip = clip;
    OK(cuInit(0));
    OK(cuDevicePrimaryCtxRetain(&s->context, 0));
    OK(cuCtxPushCurrent_v2(s->context));
    OK(cuStreamCreate(&s->stream, CU_STREAM_NON_BLOCKING));
    CUVIDPARSERPARAMS params = {.CodecType = codec,
                                .ulMaxNumDecodeSurfaces = 1,
                                .ulMaxDisplayDelay = delay,
                                .pUserData = s,
                                .pfnSequenceCallback = on_sequence,
                                .pfnDecodePicture = on_decode,
                                .pfnDisplayPicture = on_display};
    OK(cuvidCreateVideoParser(&s->parser, &params));
}

void session_feed(struct session *s, const uint8_t *data, int size, unsigned flags, int64_t pts)
{
    CUVIDSOURCEDATAPACKET packet = {.flags = flags,
                                    .payload = data,
                                    .payload_size = (tcu_ulong)size,
                                    .timestamp = SESSION_TIME(pts)};
    OK(cuvidParseVideoData(s->parser, &packet));
}

void session_send(struct session *s, const struct clip *clip, unsigned flags)
{
    for (int i = 0; i < clip->packets_count; i++)
        session_feed(s, clip->packets[i]->data, clip->packets[i]->size, CUVID_PKT_TIMESTAMP | flags,
                     clip->packets[i]->pts);
}

void session_end(struct session *s)
{
    session_feed(s, NULL, 0, CUVID_PKT_ENDOFSTREAM, 0);
    OK(cuvidDestroyVideoParser(s->parser));
    if (s->decoder)
        OK(cuvidDestroyDecoder(s->decoder));
    OK(cuStreamDestroy_v2(s->stream));
    OK(cuCtxPopCurrent_v2(NULL));
    OK(cuDevicePrimaryCtxRelease_v2(0));
}
