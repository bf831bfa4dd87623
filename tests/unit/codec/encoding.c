#include "encoding.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/codec_log.h"
#include "media/av1.h"
#include "media/h264.h"
#include "media/hevc.h"

const char *const codecs[CODECS_COUNT] = {"h264", "hevc", "av1"};

const struct codec_backend *backend_of(enum device_kind kind)
{
    const struct codec_backend *backend = codec_backend(kind);
    if (!backend || backend->devices(NULL, 0) == 0)
        return NULL;
    setenv("SVT_LOG", "0", 0);
    codec_log_to_sink();
    return backend;
}

enum device_kind kind_asked_for(int argc, char **argv)
{
    return argc > 1 && !strcmp(argv[1], "cuda") ? DEVICE_CUDA : DEVICE_CPU;
}

bool have(const struct codec_backend *backend, const char *codec)
{
    if (backend->encoder->format(0, codec, "", PIXEL_YUV420P) != PIXEL_NONE)
        return true;
    print_message("%s: no encoder here\n", codec);
    return false;
}

enum pixel_format host_format(const struct codec_backend *backend, enum pixel_format format)
{
    return backend->kind == DEVICE_CPU ? format : planar_format(format);
}

void set_format(const struct codec_backend *backend, struct encoder_params *params,
                enum pixel_format source)
{
    const enum pixel_format format =
        backend->encoder->format(0, params->codec, params->profile, source);
    params->format = format == PIXEL_NONE ? source : format;
    params->no_fallback = host_format(backend, params->format) != params->format;
}

struct encoder_params params_for(const struct codec_backend *backend, const char *codec)
{
    struct encoder_params params = {
        .width = WIDTH,
        .height = HEIGHT,
        .time_base = {1, 25},
        .frame_rate = {25, 1},
        .rate = RATE_QUALITY,
        .quality = 30,
        .speed = 1,
        .bframes = -1,
        .global_headers = true,
    };
    snprintf(params.codec, sizeof(params.codec), "%s", codec);
    set_format(backend, &params, PIXEL_YUV420P);
    return params;
}

void make_input(const struct codec_backend *backend, const struct encoder_params *params, int count,
                unsigned seed, struct frame_list *ret)
{
    make_pictures(host_format(backend, params->format), params->width, params->height, count, seed,
                  ret);
}

void look_at(const char *codec, const struct packet *pkt, struct look *ret)
{
    static struct h264_context h264;
    static struct hevc_context hevc;
    static struct av1_sequence av1;
    *ret = (struct look){.annexb = pkt->size > 4 && (!memcmp(pkt->data, "\0\0\0\1", 4) ||
                                                     !memcmp(pkt->data, "\0\0\1", 3))};
    if (!strcmp(codec, "h264")) {
        struct h264_access_unit au;
        assert_int_equal(h264_access_unit(&h264, pkt->data, pkt->size, NAL_ANNEXB, &au, NULL), 0);
        assert_int_equal(au.damaged, 0);
        assert_true(au.slices > 0);
        *ret = (struct look){au.idr, au.has_sps && au.has_pps, ret->annexb, au.hdr};
    } else if (!strcmp(codec, "hevc")) {
        struct hevc_access_unit au;
        assert_int_equal(hevc_access_unit(&hevc, pkt->data, pkt->size, NAL_ANNEXB, &au, NULL), 0);
        assert_int_equal(au.damaged, 0);
        assert_true(au.slices > 0);
        *ret = (struct look){au.idr, au.has_vps && au.has_sps && au.has_pps, ret->annexb, au.hdr};
    } else {
        struct av1_temporal_unit tu;
        assert_int_equal(av1_temporal_unit(&av1, pkt->data, pkt->size, &tu, NULL), 0);
        assert_int_equal(tu.damaged, 0);
        assert_int_equal(tu.shown, 1);
        *ret = (struct look){tu.key, tu.has_sequence, true, tu.hdr};
    }
}
