/* Rates, quantisers and sizes in libnvidia-encode's stand-in: that they are kept, and change in
 * mid-stream. */
#include <stdio.h>

#include "api.h"
#include "children.h"
#include "nvenc_api.h"
#include "nvenc_client.h"
#include "standin.h"

#define DEVICE CLIENT_DEVICE

static struct client c; /* of the child that runs */

static int64_t bytes(int from, int to)
{
    int64_t sum = 0;
    for (int i = from; i < to; i++)
        sum += c.packets[i].packet->size;
    return sum;
}

static void edit_rate(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.rateControlMode = NV_ENC_PARAMS_RC_CBR;
    config->rcParams.averageBitRate = 300000;
    config->rcParams.vbvBufferSize = 150000;
}

static void reconfigure(void (*edit)(NV_ENC_INITIALIZE_PARAMS *, NV_ENC_CONFIG *), bool anew)
{
    edit(&c.init, &c.config);
    NV_OK(client_reconfigure(&c, anew));
}

static void edit_less(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.averageBitRate = 100000;
    config->rcParams.vbvBufferSize = 50000;
}

/* 50 pictures a rate are 2 seconds; the second half of each is looked at. */
static void rates(const GUID *codec)
{
    struct client_params p = client_with(codec, 0);
    p.width = 192;
    p.height = 128;
    p.edit = edit_rate;
    client_begin(&c, &p);
    client_submit_next(&c, 50);
    reconfigure(edit_less, false);
    client_submit_next(&c, 50);
    client_end(&c);
    const int64_t before = bytes(25, 50) * 8, behind = bytes(75, 100) * 8;
    fprintf(stderr, "bits a second: %lld, then %lld\n", (long long)before, (long long)behind);
    CHECK(before > 200000 && before < 400000);
    CHECK(behind > 65000 && behind < 135000);
    for (int i = 1; i < 100; i++)
        CHECK(!client_is_idr(&c, i));
    CHECK(client_check(&c, NULL) > 20);
}

static void rates_h264(void)
{
    rates(&NV_ENC_CODEC_H264_GUID);
}

static void rates_hevc(void)
{
    rates(&NV_ENC_CODEC_HEVC_GUID);
}

static void edit_coarse(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)init;
    config->rcParams.rateControlMode = NV_ENC_PARAMS_RC_CONSTQP;
    config->rcParams.constQP = (NV_ENC_QP){40, 40, 40};
}

static void edit_fine(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    edit_coarse(init, config);
    config->rcParams.constQP = (NV_ENC_QP){20, 20, 20};
}

static void quantisers(const GUID *codec)
{
    struct client_params p = client_with(codec, 0);
    double psnr[2];
    for (int i = 0; i < 2; i++) {
        p.edit = i == 0 ? edit_coarse : edit_fine;
        psnr[i] = client_run(&c, &p, 8);
    }
    CHECK(psnr[0] > 20 && psnr[1] > psnr[0] + 6);
}

static void quantisers_h264(void)
{
    quantisers(&NV_ENC_CODEC_H264_GUID);
}

static void quantisers_hevc(void)
{
    quantisers(&NV_ENC_CODEC_HEVC_GUID);
}

static void edit_small(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)config;
    init->encodeWidth = 64;
    init->encodeHeight = 48;
    init->frameRateNum = 50;
}

static void resize(const GUID *codec)
{
    const struct client_params p = client_with(codec, 2);
    client_begin(&c, &p);
    client_submit_next(&c, 6);
    reconfigure(edit_small, true);
    client_submit_next(&c, 6);
    client_end(&c);
    CHECK(c.locked == 12 && client_is_idr(&c, 6) && client_sps(&c, 6) == 1);
    CHECK(client_check(&c, NULL) > 25);
}

static void edit_room(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    edit_small(init, config);
    init->maxEncodeWidth = 128;
    init->maxEncodeHeight = 80;
}

static void edit_full(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)
{
    (void)config;
    init->encodeWidth = init->maxEncodeWidth;
    init->encodeHeight = init->maxEncodeHeight;
    init->frameRateNum = 25;
}

/* Up to the largest size that there was room for, and back. */
static void grow(const GUID *codec)
{
    struct client_params p = client_with(codec, 0);
    p.edit = edit_room;
    client_begin(&c, &p);
    client_submit_next(&c, 5);
    for (int i = 0; i < CLIENT_SLOTS; i++) {
        NV_ENC_CREATE_BITSTREAM_BUFFER buffer = {.version = NV_ENC_CREATE_BITSTREAM_BUFFER_VER};
        NV_OK(c.api.nvEncDestroyBitstreamBuffer(c.encoder, c.slots[i].buffer));
        if (i == 0)
            reconfigure(edit_full, true);
        NV_OK(c.api.nvEncCreateBitstreamBuffer(c.encoder, &buffer));
        c.slots[i].buffer = buffer.bitstreamBuffer;
    }
    client_submit_next(&c, 5);
    reconfigure(edit_small, true);
    client_submit_next(&c, 5);
    client_end(&c);
    CHECK(c.locked == 15 && client_is_idr(&c, 5) && client_is_idr(&c, 10));
    CHECK(client_sps(&c, 5) == 1 && client_sps(&c, 10) == 1);
    CHECK(client_check(&c, NULL) > 25);
}

static void grow_h264(void)
{
    grow(&NV_ENC_CODEC_H264_GUID);
}

static void grow_hevc(void)
{
    grow(&NV_ENC_CODEC_HEVC_GUID);
}

static void resize_h264(void)
{
    resize(&NV_ENC_CODEC_H264_GUID);
}

static void resize_hevc(void)
{
    resize(&NV_ENC_CODEC_HEVC_GUID);
}

static const struct child children[] = {
    {"H.264, rates", rates_h264, NULL, DEVICE " LATE_US=0"},
    {"HEVC, rates", rates_hevc, NULL, DEVICE " LATE_US=0"},
    {"H.264, quantisers", quantisers_h264, NULL, DEVICE},
    {"HEVC, quantisers", quantisers_hevc, NULL, DEVICE},
    {"H.264, another size", resize_h264, NULL, DEVICE},
    {"HEVC, another size", resize_hevc, NULL, DEVICE},
    {"H.264, up to the largest size", grow_h264, NULL, DEVICE},
    {"HEVC, up to the largest size", grow_hevc, NULL, DEVICE},
};

int main(void)
{
    av_log_set_level(AV_LOG_QUIET);
    return children_run(children, sizeof(children) / sizeof(children[0]));
}
