#include "media/codecs.h"

#include <stdio.h>
#include <string.h>

#include "media/avcc.h"
#include "media/bits.h"
#include "media/h26x.h"
#include "media/hvcc.h"

void codecs_h264(uint8_t profile_idc, uint8_t constraints, uint8_t level_idc, char *ret)
{
    snprintf(ret, CODECS_MAX, "avc1.%02x%02x%02x", profile_idc, constraints, level_idc);
}

static uint32_t reverse_bits(uint32_t value)
{
    uint32_t out = 0;
    for (int i = 0; i < 32; i++)
        out |= (value >> i & 1) << (31 - i);
    return out;
}

void codecs_hevc(const char *entry, const struct hevc_profile *p, char *ret)
{
    const char space[2] = {p->space ? (char)('A' + (p->space & 3) - 1) : '\0', '\0'};
    int n = snprintf(ret, CODECS_MAX, "%.4s.%s%u.%X.%c%u", entry, space, p->idc & 31u,
                     reverse_bits(p->compatibility), p->high_tier ? 'H' : 'L', p->level_idc);
    int last = 6;
    while (last > 0 && p->constraints[last - 1] == 0)
        last--;
    for (int i = 0; i < last; i++)
        n += snprintf(ret + n, (size_t)(CODECS_MAX - n), ".%X", p->constraints[i]);
}

void codecs_av1(const struct av1_config *c, const struct color *color, char *ret)
{
    int n = snprintf(ret, CODECS_MAX, "av01.%u.%02u%c.%02u", c->profile & 7u, c->level & 31u,
                     c->high_tier ? 'H' : 'M', c->bit_depth % 100u);
    static const struct color unknown = {0};
    const struct color *k = color ? color : &unknown;
    const bool full = k->range == RANGE_FULL;
    const bool bt709 = k->primaries <= 1 && k->transfer <= 1 && k->matrix <= 1;
    const bool yuv420 = c->subsampling_x && c->subsampling_y && !c->monochrome;
    if (bt709 && yuv420 && c->chroma_position == 0 && !full)
        return;
    /* All optional fields or none; what is unknown stands for its default, BT.709. */
    snprintf(ret + n, (size_t)(CODECS_MAX - n), ".%u.%u%u%u.%02u.%02u.%02u.%u", c->monochrome,
             c->subsampling_x & 1u, c->subsampling_y & 1u,
             c->subsampling_x && c->subsampling_y ? c->chroma_position & 3u : 0,
             k->primaries ? k->primaries : 1u, k->transfer ? k->transfer : 1u,
             k->matrix == MATRIX_RGB ? 0
             : k->matrix             ? k->matrix
                                     : 1u,
             full);
}

void codecs_aac(const struct aac_config *config, char *ret)
{
    const unsigned type = config->ps    ? AAC_OBJECT_PS
                          : config->sbr ? AAC_OBJECT_SBR
                                        : config->object_type;
    snprintf(ret, CODECS_MAX, "mp4a.40.%u", type);
}

void codecs_vp9(const struct vp9_config *c, char *ret)
{
    const int n = snprintf(ret, CODECS_MAX, "vp09.%02u.%02u.%02u", c->profile % 100u,
                           c->level % 100u, c->bit_depth % 100u);
    const struct color *k = &c->color;
    if (k->primaries == 0 && k->transfer == 0 && k->matrix == 0 && k->range != RANGE_FULL &&
        c->chroma <= 1)
        return;
    snprintf(ret + n, (size_t)(CODECS_MAX - n), ".%02u.%02u.%02u.%02u.%02u", c->chroma % 100u,
             k->primaries ? k->primaries : 1u, k->transfer ? k->transfer : 1u,
             k->matrix == MATRIX_RGB ? 0
             : k->matrix             ? k->matrix
                                     : 1u,
             k->range == RANGE_FULL);
}

uint8_t vp9_level(int32_t width, int32_t height, struct rational frame_rate)
{
    static const struct {
        uint8_t level;
        int64_t samples_per_s, samples;
        int32_t side;
    } table[] = {
        {10, 829440, 36864, 512},          {11, 2764800, 73728, 768},
        {20, 4608000, 122880, 960},        {21, 9216000, 245760, 1344},
        {30, 20736000, 552960, 2048},      {31, 36864000, 983040, 2752},
        {40, 83558400, 2228224, 4160},     {41, 160432128, 2228224, 4160},
        {50, 311951360, 8912896, 8384},    {51, 588251136, 8912896, 8384},
        {52, 1176502272, 8912896, 8384},   {60, 1176502272, 35651584, 16832},
        {61, 2353004544, 35651584, 16832}, {62, 4706009088, 35651584, 16832},
    };
    const int64_t samples = (int64_t)width * height;
    const double rate = (double)samples * rational_double(frame_rate);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (samples <= table[i].samples && width <= table[i].side && height <= table[i].side &&
            rate <= (double)table[i].samples_per_s)
            return table[i].level;
    return 62;
}

int vp9_config_read(const void *data, size_t size, struct vp9_config *ret, struct error *err)
{
    struct byte_reader r = byte_reader(data, size);
    /* A box has version 1 and flags 0 first; a bare record begins with a profile. */
    const uint8_t *p = data;
    if (size >= 12 && p[0] == 1 && p[1] == 0 && p[2] == 0 && p[3] == 0)
        byte_take(&r, 4);
    struct vp9_config c = {0};
    c.profile = byte_u8(&r);
    c.level = byte_u8(&r);
    const uint8_t format = byte_u8(&r);
    c.bit_depth = format >> 4;
    c.chroma = format >> 1 & 7;
    c.color.range = format & 1 ? RANGE_FULL : RANGE_LIMITED;
    const uint8_t primaries = byte_u8(&r), transfer = byte_u8(&r), matrix = byte_u8(&r);
    h26x_color_points(&c.color, primaries, transfer, matrix);
    if (r.error || c.profile > 3 || c.chroma > 3 ||
        (c.bit_depth != 8 && c.bit_depth != 10 && c.bit_depth != 12))
        return error_set(err, RGPU_ERROR_INPUT, "VP9: the codec header (%zu bytes) is no vpcC",
                         size);
    *ret = c;
    return 0;
}

static int string_av1(const void *data, size_t size, char *ret, struct error *err)
{
    struct av1_config config;
    struct av1_sequence sequence = {0};
    struct av1_temporal_unit unit;
    const int code = av1_config_read(data, size, &config, err);
    if (code)
        return code;
    /* The record itself has no colour; its sequence header, which may be left out, has. */
    av1_temporal_unit(&sequence, config.obus, config.obus_size, &unit, NULL);
    codecs_av1(&config, sequence.valid ? &sequence.color : NULL, ret);
    return 0;
}

int codecs_string(const char *codec, const void *extradata, size_t size, char *ret,
                  struct error *err)
{
    /* Names that stand for themselves. MP4's own codes are "Opus" and "fLaC", but browsers know
     * the lower-case ones, and Safari takes either. */
    static const char *const fixed[][2] = {{"opus", "opus"},
                                           {"flac", "flac"},
                                           {"ac3", "ac-3"},
                                           {"eac3", "ec-3"},
                                           {"mp3", "mp4a.40.34"}};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strcmp(codec, fixed[i][0]) == 0) {
            snprintf(ret, CODECS_MAX, "%s", fixed[i][1]);
            return 0;
        }
    int code = 0;
    if (strcmp(codec, "h264") == 0) {
        struct avcc config;
        code = avcc_read(extradata, size, &config, err);
        if (code == 0)
            codecs_h264(config.profile_idc, config.constraints, config.level_idc, ret);
    } else if (strcmp(codec, "hevc") == 0) {
        struct hvcc config;
        code = hvcc_read(extradata, size, &config, err);
        if (code == 0)
            codecs_hevc(config.in_band ? "hev1" : "hvc1", &config.profile, ret);
    } else if (strcmp(codec, "av1") == 0) {
        code = string_av1(extradata, size, ret, err);
    } else if (strcmp(codec, "vp9") == 0) {
        struct vp9_config config;
        code = vp9_config_read(extradata, size, &config, err);
        if (code == 0)
            codecs_vp9(&config, ret);
    } else if (strcmp(codec, "aac") == 0) {
        struct aac_config config = {.object_type = AAC_OBJECT_LC};
        if (size > 0)
            code = aac_config_read(extradata, size, &config, err);
        if (code == 0)
            codecs_aac(&config, ret);
    } else {
        code = error_set(err, RGPU_ERROR_UNSUPPORTED, "no CODECS string is known for codec %.32s",
                         codec);
    }
    return code;
}
