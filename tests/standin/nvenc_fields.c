/* Fields in libnvidia-encode's stand-in: that they come out with their order, and each of their
 * rules, broken on purpose in a process of its own. */
#include <string.h>

#include <libavutil/avutil.h>

#include "api.h"
#include "children.h"
#include "nvenc_api.h"
#include "nvenc_client.h"
#include "standin.h"

#define DEVICE CLIENT_DEVICE " ENCODE_CAPS=SUPPORT_FIELD_ENCODING:1"

#define TOP NV_ENC_PIC_STRUCT_FIELD_TOP_BOTTOM
#define BOTTOM NV_ENC_PIC_STRUCT_FIELD_BOTTOM_TOP

static struct client c; /* of the child that runs */

static void edit_fields(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    if (init->tuningInfo == NV_ENC_TUNING_INFO_LOSSLESS)
        config->encodeCodecConfig.h264Config.qpPrimeYZeroTransformBypassFlag = 1;
    config->frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_FIELD;
}

static struct client_params with(int b_frames, NV_ENC_TUNING_INFO tuning)
{
    struct client_params p = client_with(&NV_ENC_CODEC_H264_GUID, b_frames);
    p.preset = &NV_ENC_PRESET_P4_GUID;
    p.tuning = tuning;
    p.height = 68;
    p.edit = edit_fields;
    return p;
}

/* ---- what comes out ------------------------------------------------------------------------- */

static bool is_interlaced(const AVFrame *frame)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    return frame->flags & AV_FRAME_FLAG_INTERLACED;
#else
    return frame->interlaced_frame;
#endif
}

static bool is_top_first(const AVFrame *frame)
{
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    return frame->flags & AV_FRAME_FLAG_TOP_FIELD_FIRST;
#else
    return frame->top_field_first;
#endif
}

static NV_ENC_PIC_STRUCT structure_of(uint64_t timestamp, NV_ENC_PIC_STRUCT first, int changes_at)
{
    const int n = (int)((timestamp - CLIENT_TIME(0)) / 40);
    return n < changes_at ? first : first == TOP ? BOTTOM : TOP;
}

/* What a decoder says of each picture. */
static void check_order(NV_ENC_PIC_STRUCT first, int changes_at)
{
    AVCodecContext *av = client_decoder(&c);
    AVFrame *frame = av_frame_alloc();
    int shown = 0;
    for (int i = 0; i <= c.locked; i++) {
        CHECK(avcodec_send_packet(av, i < c.locked ? c.packets[i].packet : NULL) == 0);
        for (; avcodec_receive_frame(av, frame) == 0; shown++) {
            const bool top = structure_of((uint64_t)frame->pts, first, changes_at) == TOP;
            CHECK(is_interlaced(frame) && is_top_first(frame) == top);
        }
    }
    CHECK(shown == c.locked);
    av_frame_free(&frame);
    avcodec_free_context(&av);
}

static void run(NV_ENC_PIC_STRUCT first, int b_frames, int changes_at, NV_ENC_TUNING_INFO tuning)
{
    const struct client_params p = with(b_frames, tuning);
    client_begin(&c, &p);
    for (int i = 0; i < 20; i++) {
        c.extra.pictureStruct = structure_of(CLIENT_TIME(i), first, changes_at);
        const NVENCSTATUS status = client_submit(&c, i, i == 9 ? NV_ENC_PIC_FLAG_FORCEIDR : 0);
        CHECK(status == (b_frames && i != 0 && i != 9 && (i - (i < 9 ? 0 : 9)) % (1 + b_frames)
                             ? NV_ENC_ERR_NEED_MORE_INPUT
                             : NV_ENC_SUCCESS));
    }
    client_end(&c);
    CHECK(c.locked == 20);
    for (int i = 0; i < 20; i++)
        CHECK(c.packets[i].structure == structure_of(c.packets[i].timestamp, first, changes_at));
    const double psnr = client_check(&c, NULL);
    CHECK(tuning == NV_ENC_TUNING_INFO_LOSSLESS ? psnr == 100 : psnr > 25);
    check_order(first, changes_at);
}

static void top_first(void)
{
    run(TOP, 0, 20, NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY);
}

static void bottom_first(void)
{
    run(BOTTOM, 0, 20, NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY);
}

static void b_frames(void)
{
    run(TOP, 2, 20, NV_ENC_TUNING_INFO_HIGH_QUALITY);
}

static void changing(void)
{
    run(BOTTOM, 2, 5, NV_ENC_TUNING_INFO_HIGH_QUALITY);
}

static void lossless(void)
{
    run(BOTTOM, 2, 20, NV_ENC_TUNING_INFO_LOSSLESS);
}

static void edit_cavlc(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    edit_fields(init, config);
    config->encodeCodecConfig.h264Config.entropyCodingMode = NV_ENC_H264_ENTROPY_CODING_MODE_CAVLC;
}

static void cavlc(void)
{
    struct client_params p = with(1, NV_ENC_TUNING_INFO_HIGH_QUALITY);
    p.edit = edit_cavlc;
    client_begin(&c, &p);
    c.extra.pictureStruct = BOTTOM;
    client_submit_next(&c, 10);
    client_end(&c);
    CHECK(client_check(&c, NULL) > 25);
    check_order(BOTTOM, 10);
}

/* ---- rules ---------------------------------------------------------------------------------- */

/* A configuration that is right but for `edit` is refused. */
static void refuse_codec(const GUID *codec,
                         void (*edit)(NV_ENC_INITIALIZE_PARAMS *, NV_ENC_CONFIG *))
{
    struct client_params p = with(2, NV_ENC_TUNING_INFO_HIGH_QUALITY);
    p.codec = codec;
    p.edit = edit;
    client_check_refused(&c, &p);
}

static void refuse(void (*edit)(NV_ENC_INITIALIZE_PARAMS *, NV_ENC_CONFIG *))
{
    refuse_codec(&NV_ENC_CODEC_H264_GUID, edit);
}

#define REFUSE(name, statement) CLIENT_REFUSE(name, refuse, edit_fields(init, config); statement)

REFUSE(no_cap, (void)0)
REFUSE(mbaff, config->frameFieldMode = NV_ENC_PARAMS_FRAME_FIELD_MODE_MBAFF)
REFUSE(baseline, config->frameIntervalP = 1;
       config->profileGUID = NV_ENC_H264_PROFILE_BASELINE_GUID)
REFUSE(height, init->encodeHeight = init->maxEncodeHeight = 66)
REFUSE(lookahead, config->rcParams.enableLookahead = 1; config->rcParams.lookaheadDepth = 4)
REFUSE(refs, config->encodeCodecConfig.h264Config.useBFramesAsRef = NV_ENC_BFRAME_REF_MODE_MIDDLE)

static void refuse_hevc(void)
{
    refuse_codec(&NV_ENC_CODEC_HEVC_GUID, edit_fields);
}

static void frame_among_fields(void)
{
    const struct client_params p = with(0, NV_ENC_TUNING_INFO_ULTRA_LOW_LATENCY);
    client_begin(&c, &p);
    struct client_slot *slot = client_upload(&c, 0);
    NV_ENC_PIC_PARAMS picture = client_picture(&c, slot, 0, 0);
    CHECK(c.api.nvEncEncodePicture(c.encoder, &picture) == NV_ENC_ERR_INVALID_PARAM);
    picture.pictureStruct = TOP;
    NV_OK(c.api.nvEncEncodePicture(c.encoder, &picture));
    c.submitted++;
    client_end(&c);
}

static const struct child children[] = {
    {"top first", top_first, NULL, DEVICE},
    {"bottom first", bottom_first, NULL, DEVICE},
    {"B-frames", b_frames, NULL, DEVICE},
    {"the order changes", changing, NULL, DEVICE},
    {"lossless", lossless, NULL, DEVICE},
    {"CAVLC", cavlc, NULL, DEVICE},
    {"no such cap", refuse_no_cap, "field coding, beyond the caps", CLIENT_DEVICE},
    {"HEVC", refuse_hevc, "field coding, beyond the caps", DEVICE},
    {"MBAFF", refuse_mbaff, "a frameFieldMode that is not modelled", DEVICE},
    {"the baseline profile", refuse_baseline, "fields in the baseline profile", DEVICE},
    {"lines that are no four", refuse_height, "no multiple of 4", DEVICE},
    {"lookahead", refuse_lookahead, "fields with lookahead", DEVICE},
    {"B-frames as references", refuse_refs, "fields with B-frames as references",
     CLIENT_DEVICE " ENCODE_CAPS=SUPPORT_FIELD_ENCODING:1,SUPPORT_BFRAME_REF_MODE:2"},
    {"a frame", frame_among_fields, "in a session of fields", DEVICE},
};

int main(void)
{
    av_log_set_level(AV_LOG_QUIET);
    return children_run(children, sizeof(children) / sizeof(children[0]));
}
