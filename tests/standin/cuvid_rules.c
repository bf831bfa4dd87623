/* Each rule of libnvcuvid's stand-in, broken on purpose in a process of its own; and that it
 * decodes as libavcodec does and calls back as NVIDIA's parser does. */
#include <stdlib.h>
#include <string.h>

#include <ffnvcodec/dynlink_loader.h>

#include "api.h"
#include "children.h"
#include "cuvid_session.h"

#define SHOWN_AHEAD 2 /* ulMaxDisplayDelay */

/* ---- clips ---------------------------------------------------------------------------------- */

static const struct clip_params h264 = {"libx264", 98, 66, 20, AV_PIX_FMT_YUV420P, 2, NULL};
static const struct clip_params h264_live = {"libx264",         98, 66, 10, AV_PIX_FMT_YUV420P, 0,
                                             "tune=zerolatency"};
static const struct clip_params h264_large = {"libx264", 160, 96, 14, AV_PIX_FMT_YUV420P, 2, NULL};

static struct clip clip;

static void decode_whole(const struct clip_params *params, cudaVideoCodec codec, unsigned flags)
{
    struct session s = {0};
    clip_make(&clip, params);
    session_begin(&s, &clip, codec, SHOWN_AHEAD);
    session_send(&s, &clip, flags);
    session_end(&s);
    CHECK(s.formats == 1 && s.shown == params->count && s.damaged == 0);
    CHECK(s.format.display_area.right - s.format.display_area.left == params->width);
    CHECK(s.format.display_area.bottom - s.format.display_area.top == params->height);
}

static void decode_h264(void)
{
    decode_whole(&h264, cudaVideoCodec_H264, 0);
}

static void decode_h264_pictures(void)
{
    decode_whole(&h264, cudaVideoCodec_H264, CUVID_PKT_ENDOFPICTURE);
}

static void decode_hevc(void)
{
    const struct clip_params params = {
        "libx265", 202, 150, 12, AV_PIX_FMT_YUV420P10, 3, "x265-params=log-level=none:pools=none"};
    decode_whole(&params, cudaVideoCodec_HEVC, 0);
}

static void decode_vp9(void)
{
    const struct clip_params params = {"libvpx-vp9",
                                       131,
                                       129,
                                       12,
                                       AV_PIX_FMT_YUV420P,
                                       0,
                                       "deadline=realtime;cpu-used=8;lag-in-frames=0"};
    decode_whole(&params, cudaVideoCodec_VP9, 0);
}

static void decode_mpeg2(void)
{
    const struct clip_params params = {"mpeg2video", 96, 80, 20, AV_PIX_FMT_YUV420P, 2, NULL};
    decode_whole(&params, cudaVideoCodec_MPEG2, 0);
}

/* Bytes in pieces that have nothing to do with pictures. */
static void decode_pieces(void)
{
    static uint8_t bytes[1 << 20];
    struct session s = {0};
    int size = 0;
    clip_make(&clip, &h264_live);
    session_begin(&s, &clip, cudaVideoCodec_H264, 0);
    srand(1);
    for (int i = 0; i < clip.packets_count; i++) {
        /* A time stamp is that of the picture that begins behind it. */
        const AVPacket *packet = clip.packets[i];
        int at = 0;
        while (at < packet->size) {
            const int left = packet->size - at, piece = 1 + rand() % 60;
            const int n = piece < left ? piece : left;
            memcpy(bytes, packet->data + at, (size_t)n);
            session_feed(&s, bytes, n, at == 0 ? CUVID_PKT_TIMESTAMP : 0, packet->pts);
            at += n;
        }
        size += packet->size;
    }
    session_end(&s);
    CHECK(s.shown == 10 && size > 0);
}

static void decode_live(void)
{
    struct session s = {0};
    clip_make(&clip, &h264_live);
    session_begin(&s, &clip, cudaVideoCodec_H264, 0);
    for (int i = 0; i < clip.packets_count; i++) {
        session_feed(&s, clip.packets[i]->data, clip.packets[i]->size,
                     CUVID_PKT_TIMESTAMP | CUVID_PKT_ENDOFPICTURE, clip.packets[i]->pts);
        CHECK(s.shown == i + 1);
    }
    CHECK(s.max_delay == 1);
    session_end(&s);
}

static void display_delay(void)
{
    struct session s = {0};
    clip_make(&clip, &h264_live);
    session_begin(&s, &clip, cudaVideoCodec_H264, 3);
    session_send(&s, &clip, CUVID_PKT_ENDOFPICTURE);
    CHECK(s.max_delay == 4 && s.shown == 7);
    session_end(&s);
    CHECK(s.shown == 10);
}

/* Sizes change up and down again; all that went before is shown first. */
static void resolution_change(void)
{
    static struct clip large;
    struct session s = {0};
    clip_make(&clip, &h264);
    clip_make(&large, &h264_large);
    session_begin(&s, &clip, cudaVideoCodec_H264, SHOWN_AHEAD);
    session_send(&s, &clip, 0);
    /* The splitter gives the last picture when the next begins: by then it is to be compared. */
    session_feed(&s, NULL, 0, CUVID_PKT_DISCONTINUITY, 0);
    CHECK(s.shown == 20);
    s.clip = &large;
    s.shown = s.decoded = 0;
    session_send(&s, &large, CUVID_PKT_ENDOFPICTURE);
    CHECK(s.formats == 2 && s.format.coded_width == 160);
    session_feed(&s, NULL, 0, CUVID_PKT_ENDOFSTREAM, 0);
    CHECK(s.shown == 14);
    s.clip = &clip;
    s.shown = s.decoded = 0;
    session_send(&s, &clip, CUVID_PKT_ENDOFPICTURE);
    session_end(&s);
    CHECK(s.formats == 3 && s.shown == 20);
}

/* Without an end in between: the change itself brings the pictures of before. */
static void resolution_change_inside(void)
{
    static struct clip large;
    struct session s = {.keeps = true};
    clip_make(&clip, &h264_live);
    clip_make(&large, &h264_large);
    session_begin(&s, &clip, cudaVideoCodec_H264, SHOWN_AHEAD);
    session_send(&s, &clip, CUVID_PKT_ENDOFPICTURE);
    CHECK(s.shown == 10 - SHOWN_AHEAD);
    session_feed(&s, large.packets[0]->data, large.packets[0]->size,
                 CUVID_PKT_TIMESTAMP | CUVID_PKT_ENDOFPICTURE, 0);
    CHECK(s.formats == 2 && s.shown == 10);
    session_end(&s);
    CHECK(s.shown == 11);
}

static void damage(void)
{
    struct session s = {.keeps = true};
    clip_make(&clip, &h264);
    session_begin(&s, &clip, cudaVideoCodec_H264, SHOWN_AHEAD);
    /* Several, since some errors look like another valid picture. */
    for (int k = 3; k < 10; k++) {
        AVPacket *packet = clip.packets[k];
        CHECK(av_packet_make_writable(packet) == 0);
        memset(packet->data + packet->size / 3, 0xff, (size_t)(packet->size - packet->size / 3));
    }
    session_send(&s, &clip, 0);
    session_end(&s);
    CHECK(s.shown == h264.count && s.damaged > 0 && s.damaged < s.shown);
}

static void queue(void)
{
    struct session s = {.keeps = true, .checks_queue = true};
    clip_make(&clip, &h264);
    session_begin(&s, &clip, cudaVideoCodec_H264, SHOWN_AHEAD);
    session_send(&s, &clip, CUVID_PKT_ENDOFPICTURE);
    session_end(&s);
    CHECK(s.in_progress && s.shown == h264.count);
}

static void caps(void)
{
    static const struct {
        cudaVideoCodec codec;
        unsigned depth;
        bool supported;
    } rows[] = {
        {cudaVideoCodec_H264, 8, true},  {cudaVideoCodec_H264, 10, false},
        {cudaVideoCodec_HEVC, 12, true}, {cudaVideoCodec_AV1, 8, false},
        {cudaVideoCodec_VP9, 10, true},
    };
    struct session s = {0};
    session_begin(&s, &clip, cudaVideoCodec_H264, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CUVIDDECODECAPS c = {.eCodecType = rows[i].codec,
                             .eChromaFormat = cudaVideoChromaFormat_420,
                             .nBitDepthMinus8 = rows[i].depth - 8};
        OK(cuvidGetDecoderCaps(&c));
        CHECK(c.bIsSupported == rows[i].supported && (c.nMaxWidth > 0) == rows[i].supported);
    }
    CuvidFunctions *table = NULL;
    CHECK(cuvid_load_functions(&table, NULL) == 0);
    CHECK(table->cuvidMapVideoFrame == cuvidMapVideoFrame64);
    cuvid_free_functions(&table);
    session_end(&s);
}

static void caps_set(void)
{
    struct session s = {0};
    CUVIDDECODECAPS c = {.eCodecType = cudaVideoCodec_AV1,
                         .eChromaFormat = cudaVideoChromaFormat_420,
                         .nBitDepthMinus8 = 2};
    session_begin(&s, &clip, cudaVideoCodec_H264, 0);
    OK(cuvidGetDecoderCaps(&c));
    CHECK(c.bIsSupported && c.nMaxWidth == 640 && c.nMaxHeight == 480 && c.nMinWidth == 128);
    c.eCodecType = cudaVideoCodec_H264;
    OK(cuvidGetDecoderCaps(&c));
    CHECK(!c.bIsSupported && c.nMaxWidth == 0);
    session_end(&s);
}

static void death(void)
{
    struct session s = {.keeps = true};
    clip_make(&clip, &h264_live);
    session_begin(&s, &clip, cudaVideoCodec_H264, 0);
    CUVIDSOURCEDATAPACKET packet = {.flags = CUVID_PKT_TIMESTAMP | CUVID_PKT_ENDOFPICTURE};
    CUresult result = CUDA_SUCCESS;
    for (int i = 0; i < clip.packets_count && result == CUDA_SUCCESS; i++) {
        packet.payload = clip.packets[i]->data;
        packet.payload_size = (tcu_ulong)clip.packets[i]->size;
        packet.timestamp = SESSION_TIME(clip.packets[i]->pts);
        result = cuvidParseVideoData(s.parser, &packet);
    }
    CHECK(result == CUDA_ERROR_UNKNOWN && s.decoded == 6);
    CHECK(session_map(&s, s.last_index, s.stream) == CUDA_ERROR_UNKNOWN);
    /* What is freed is freed. */
    CHECK(cuvidDestroyVideoParser(s.parser) == CUDA_ERROR_UNKNOWN);
    CHECK(cuvidDestroyDecoder(s.decoder) == CUDA_ERROR_UNKNOWN);
    CHECK(cuStreamDestroy_v2(s.stream) == CUDA_ERROR_UNKNOWN);
    CHECK(cuCtxPopCurrent_v2(NULL) == CUDA_ERROR_UNKNOWN);
    OK(cuDevicePrimaryCtxRelease_v2(0));
}

/* ---- rules ---------------------------------------------------------------------------------- */

static void with_fault(enum fault fault)
{
    struct session s = {.fault = fault};
    clip_make(&clip, &h264_live);
    session_begin(&s, &clip, cudaVideoCodec_H264, SHOWN_AHEAD);
    /* With too few surfaces more rules would be broken later; the queue is slow. */
    if (fault == FAULT_FEW_SURFACES || fault == FAULT_INTO_QUEUED)
        clip.packets_count = fault == FAULT_INTO_QUEUED ? 2 : 1;
    session_send(&s, &clip, CUVID_PKT_ENDOFPICTURE);
    CHECK(s.broken || fault == FAULT_FEW_SURFACES || fault == FAULT_REENTER);
    session_end(&s);
}

static void map_early(void)
{
    with_fault(FAULT_MAP_EARLY);
}

static void decode_index(void)
{
    with_fault(FAULT_INDEX);
}

static void decode_strange(void)
{
    with_fault(FAULT_STRANGE);
}

static void decode_into_mapped(void)
{
    with_fault(FAULT_INTO_MAPPED);
}

static void decode_into_copied(void)
{
    with_fault(FAULT_INTO_COPIED);
}

static void decode_into_queued(void)
{
    with_fault(FAULT_INTO_QUEUED);
}

static void few_surfaces(void)
{
    with_fault(FAULT_FEW_SURFACES);
}

static void parse_in_callback(void)
{
    with_fault(FAULT_REENTER);
}

static void no_reconfigure(void)
{
    static struct clip large;
    struct session s = {.fault = FAULT_NO_RECONFIGURE};
    clip_make(&clip, &h264_live);
    clip_make(&large, &h264_large);
    session_begin(&s, &clip, cudaVideoCodec_H264, 0);
    session_send(&s, &clip, CUVID_PKT_ENDOFPICTURE);
    session_feed(&s, large.packets[0]->data, large.packets[0]->size, CUVID_PKT_ENDOFPICTURE, 0);
    session_end(&s);
}

static void no_context(void)
{
    CUVIDDECODECAPS c = {.eCodecType = cudaVideoCodec_H264};
    OK(cuInit(0));
    CHECK(cuvidGetDecoderCaps(&c) == STANDIN_INVALID_CONTEXT);
}

/* A decoder that is made well but for `edit`. */
static void create(void (*edit)(CUVIDDECODECREATEINFO *info))
{
    struct session s = {0};
    session_begin(&s, &clip, cudaVideoCodec_H264, 0);
    CUVIDDECODECREATEINFO info = {.ulWidth = 96,
                                  .ulHeight = 64,
                                  .ulNumDecodeSurfaces = 8,
                                  .CodecType = cudaVideoCodec_H264,
                                  .ChromaFormat = cudaVideoChromaFormat_420,
                                  .ulTargetWidth = 96,
                                  .ulTargetHeight = 64,
                                  .ulNumOutputSurfaces = 2};
    info.display_area.right = 96;
    info.display_area.bottom = 64;
    edit(&info);
    CHECK(cuvidCreateDecoder(&s.decoder, &info) == STANDIN_INVALID_VALUE && !s.decoder);
    session_end(&s);
}

static void edit_codec(CUVIDDECODECREATEINFO *info)
{
    info->CodecType = cudaVideoCodec_AV1;
}

static void edit_size(CUVIDDECODECREATEINFO *info)
{
    info->ulMaxWidth = 4112;
}

static void edit_surfaces(CUVIDDECODECREATEINFO *info)
{
    info->ulNumDecodeSurfaces = 33;
}

static void edit_target(CUVIDDECODECREATEINFO *info)
{
    info->ulTargetWidth = 48;
}

static void edit_output(CUVIDDECODECREATEINFO *info)
{
    info->OutputFormat = cudaVideoSurfaceFormat_P016;
}

static void edit_deinterlace(CUVIDDECODECREATEINFO *info)
{
    info->DeinterlaceMode = cudaVideoDeinterlaceMode_Adaptive;
}

static void create_codec(void)
{
    create(edit_codec);
}

static void create_size(void)
{
    create(edit_size);
}

static void create_surfaces(void)
{
    create(edit_surfaces);
}

static void create_target(void)
{
    create(edit_target);
}

static void create_output(void)
{
    create(edit_output);
}

static void create_deinterlace(void)
{
    create(edit_deinterlace);
}

/* Has shown one picture, which is not mapped. */
static void begin_shown(struct session *s)
{
    clip_make(&clip, &h264_live);
    s->keeps = true;
    session_begin(s, &clip, cudaVideoCodec_H264, 0);
    session_feed(s, clip.packets[0]->data, clip.packets[0]->size,
                 CUVID_PKT_TIMESTAMP | CUVID_PKT_ENDOFPICTURE, 0);
    CHECK(s->shown == 1);
}

static void map_default_stream(void)
{
    struct session s = {0};
    begin_shown(&s);
    CHECK(session_map(&s, s.last_index, NULL) == STANDIN_INVALID_HANDLE);
    session_end(&s);
}

static void map_index(void)
{
    struct session s = {0};
    begin_shown(&s);
    CHECK(session_map(&s, -1, s.stream) == STANDIN_INVALID_VALUE);
    session_end(&s);
}

static void map_undecoded(void)
{
    struct session s = {0};
    begin_shown(&s);
    CHECK(session_map(&s, s.last_index + 1, s.stream) == STANDIN_INVALID_VALUE);
    session_end(&s);
}

static void map_many(void)
{
    struct session s = {0};
    unsigned long long addresses[2];
    begin_shown(&s);
    for (int i = 0; i < 2; i++) {
        OK(session_map(&s, s.last_index, s.stream));
        addresses[i] = s.mapped;
    }
    CHECK(session_map(&s, s.last_index, s.stream) == STANDIN_MAP_FAILED);
    for (int i = 0; i < 2; i++)
        OK(cuvidUnmapVideoFrame64(s.decoder, addresses[i]));
    session_end(&s);
}

static void unmap_twice(void)
{
    struct session s = {0};
    begin_shown(&s);
    OK(session_map(&s, s.last_index, s.stream));
    OK(cuvidUnmapVideoFrame64(s.decoder, s.mapped));
    CHECK(cuvidUnmapVideoFrame64(s.decoder, s.mapped) == STANDIN_INVALID_VALUE);
    session_end(&s);
}

/* What is queued finds poison, were it not stopped. */
static void unmap_early(void)
{
    struct session s = {0};
    static uint8_t bytes[96];
    begin_shown(&s);
    OK(session_map(&s, s.last_index, s.stream));
    OK(cuStreamSynchronize(s.stream));
    OK(cuStreamAddCallback(s.stream, hold_until_violation, NULL, 0));
    OK(cuMemcpyDtoHAsync_v2(bytes, s.mapped, sizeof(bytes), s.stream));
    OK(cuvidUnmapVideoFrame64(s.decoder, s.mapped));
    OK(cuStreamSynchronize(s.stream));
    session_end(&s);
}

static void read_unmapped(void)
{
    struct session s = {0};
    uint8_t byte;
    begin_shown(&s);
    OK(session_map(&s, s.last_index, s.stream));
    OK(cuvidUnmapVideoFrame64(s.decoder, s.mapped));
    CHECK(*(const uint8_t *)(uintptr_t)s.mapped == 0xdb);
    CHECK(cuMemcpyDtoH_v2(&byte, s.mapped, 1) == STANDIN_INVALID_VALUE);
    session_end(&s);
}

static void destroy_mapped(void)
{
    struct session s = {0};
    begin_shown(&s);
    OK(session_map(&s, s.last_index, s.stream));
    session_end(&s);
}

static void reconfigure_outside(void)
{
    struct session s = {0};
    begin_shown(&s);
    CUVIDRECONFIGUREDECODERINFO change = session_change(&s.info);
    CHECK(cuvidReconfigureDecoder(s.decoder, &change) == STANDIN_INVALID_VALUE);
    session_end(&s);
}

static int CUDAAPI reconfigure_large(void *opaque, CUVIDEOFORMAT *format)
{
    struct session *s = opaque;
    s->info = session_info(format);
    OK(cuvidCreateDecoder(&s->decoder, &s->info));
    CUVIDRECONFIGUREDECODERINFO change = session_change(&s->info);
    change.ulWidth = 336;
    CHECK(cuvidReconfigureDecoder(s->decoder, &change) == STANDIN_INVALID_VALUE);
    return 0;
}

static void reconfigure_above(void)
{
    struct session s = {0};
    CUVIDPARSERPARAMS params = {.CodecType = cudaVideoCodec_H264,
                                .ulMaxNumDecodeSurfaces = 1,
                                .pUserData = &s,
                                .pfnSequenceCallback = reconfigure_large};
    clip_make(&clip, &h264_live);
    session_begin(&s, &clip, cudaVideoCodec_H264, 0);
    OK(cuvidDestroyVideoParser(s.parser));
    OK(cuvidCreateVideoParser(&s.parser, &params));
    session_feed(&s, clip.packets[0]->data, clip.packets[0]->size, CUVID_PKT_ENDOFPICTURE, 0);
    session_end(&s);
}

static void leave_decoder(void)
{
    struct session s = {0};
    begin_shown(&s);
    s.decoder = NULL;
    session_end(&s);
}

static void leave_parser(void)
{
    struct session s = {0};
    CUVIDPARSERPARAMS params = {.CodecType = cudaVideoCodec_H264, .ulMaxNumDecodeSurfaces = 1};
    CUvideoparser left;
    session_begin(&s, &clip, cudaVideoCodec_H264, 0);
    OK(cuvidCreateVideoParser(&left, &params));
    session_end(&s);
}

static const struct child children[] = {
    {"H.264", decode_h264, NULL},
    {"H.264, a picture a packet", decode_h264_pictures, NULL},
    {"H.264 in pieces", decode_pieces, NULL},
    {"H.264, live", decode_live, NULL},
    {"HEVC of 10 bits", decode_hevc, NULL},
    {"VP9", decode_vp9, NULL},
    {"MPEG-2", decode_mpeg2, NULL},
    {"display delay", display_delay, NULL},
    {"change of size", resolution_change, NULL},
    {"change of size, in the middle", resolution_change_inside, NULL},
    {"damage", damage, NULL},
    {"four pictures in decoding", queue, NULL, "LATE_US=3000"},
    {"caps", caps, NULL},
    {"caps as set", caps_set, NULL, "DECODERS=av1:8/10:640x480:128x128"},
    {"death", death, NULL, "DIE_AFTER=5"},
    {"no context", no_context, "cuvidGetDecoderCaps: no context is current"},
    {"a codec beyond the caps", create_codec, "a codec or depth beyond the caps"},
    {"a size beyond the caps", create_size, "a size beyond the caps"},
    {"33 surfaces", create_surfaces, "more than 32"},
    {"scaling", create_target, "it would be scaled"},
    {"an output format beyond the caps", create_output, "an output format beyond"},
    {"deinterlacing", create_deinterlace, "deinterlacing"},
    {"index out of range", decode_index, "cuvidDecodePicture: a picture index out of range"},
    {"not the parser's picture", decode_strange, "not a picture of the parser's"},
    {"decoding into what is mapped", decode_into_mapped, "a picture index that is mapped"},
    {"decoding into what is mapped, and copied", decode_into_copied, NULL,
     "REUSE_MAPPED=1 LATE_US=0"},
    {"decoding into what is queued", decode_into_queued, "still being decoded into",
     "LATE_US=1000000"},
    {"few surfaces", few_surfaces, "gives 2 surfaces of"},
    {"parser in its callback", parse_in_callback, "within another call of it"},
    {"another size", no_reconfigure, "a picture of another size"},
    {"map before it is shown", map_early, "a picture that was not shown"},
    {"map on the default stream", map_default_stream, "cuvidMapVideoFrame64: the default stream"},
    {"map out of range", map_index, "cuvidMapVideoFrame64: a picture index out of range"},
    {"map of nothing", map_undecoded, "a picture that was not decoded"},
    {"too many maps", map_many, "more than ulNumOutputSurfaces"},
    {"unmap twice", unmap_twice, "not a mapped picture"},
    {"unmap under a copy", unmap_early, "that 1 queued operations use", NULL, 0, 2},
    {"reading what is unmapped", read_unmapped, "a surface that is not mapped"},
    {"destroy with a mapped picture", destroy_mapped, "cuvidDestroyDecoder: 1 pictures"},
    {"reconfigure outside", reconfigure_outside, "outside the sequence callback"},
    {"reconfigure above the largest", reconfigure_above, "one above the largest"},
    {"decoder left", leave_decoder, "left open: decoder", NULL, 0, 3},
    {"parser left", leave_parser, "left open: parser"},
};

int main(void)
{
    av_log_set_level(AV_LOG_QUIET);
    return children_run(children, sizeof(children) / sizeof(children[0]));
}
