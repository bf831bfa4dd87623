#include "codec/nv/decoder_caps.h"

static const char *codec_name(cudaVideoCodec codec)
{
    switch ((int)codec) {
    case cudaVideoCodec_MPEG1:
        return "MPEG-1";
    case cudaVideoCodec_MPEG2:
        return "MPEG-2";
    case cudaVideoCodec_H264:
        return "H.264";
    case cudaVideoCodec_HEVC:
        return "HEVC";
    case cudaVideoCodec_VP8:
        return "VP8";
    case cudaVideoCodec_VP9:
        return "VP9";
    default:
        return "AV1";
    }
}

int nv_caps_check(struct gpu_device *device, const struct nv_shape *shape, struct error *err)
{
    const struct gpu_info *info = gpu_device_info(device);
    const char *codec = codec_name(shape->codec);
    CUVIDDECODECAPS caps = {
        .eCodecType = shape->codec,
        .eChromaFormat = cudaVideoChromaFormat_420,
        .nBitDepthMinus8 = (unsigned)(shape->depth - 8),
    };
    const CUresult result = gpu_device_driver(device)->cuvid->cuvidGetDecoderCaps(&caps);
    if (result != CUDA_SUCCESS)
        return gpu_error(err, result, "asking what NVDEC decodes");
    const unsigned output =
        shape->depth > 8 ? cudaVideoSurfaceFormat_P016 : cudaVideoSurfaceFormat_NV12;
    if (!caps.bIsSupported || !(caps.nOutputFormatMask & 1u << output))
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "%s does not decode %s of %d bits",
                         info->name, codec, shape->depth);
    if (shape->width <= 0 || shape->height <= 0)
        return 0;
    const unsigned width = (unsigned)shape->width, height = (unsigned)shape->height;
    if (width > caps.nMaxWidth || height > caps.nMaxHeight || width < caps.nMinWidth ||
        height < caps.nMinHeight)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s decodes %s of %ux%u to %ux%u pixels, this is %ux%u", info->name, codec,
                         caps.nMinWidth, caps.nMinHeight, caps.nMaxWidth, caps.nMaxHeight, width,
                         height);
    const unsigned blocks = (width + 15) / 16 * ((height + 15) / 16);
    if (blocks > caps.nMaxMBCount)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "%s decodes %s of up to %u macroblocks, %ux%u has %u", info->name, codec,
                         caps.nMaxMBCount, width, height, blocks);
    return 0;
}
