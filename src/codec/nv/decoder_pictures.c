#include "codec/nv/decoder_pictures.h"

#include <string.h>

void nv_pictures_init(struct nv_pictures *p, int count)
{
    *p = (struct nv_pictures){.count = count};
    memset(p->of_parser, -1, sizeof(p->of_parser));
}

int nv_pictures_begin(struct nv_pictures *p, int index)
{
    const int before = p->of_parser[index];
    if (before >= 0 && p->holds[before] == 0)
        return before;
    for (int i = 0; i < p->count; i++) {
        if (p->assigned[i] || p->holds[i] > 0)
            continue;
        if (before >= 0)
            p->assigned[before] = false;
        p->assigned[i] = true;
        p->of_parser[index] = i;
        return i;
    }
    return -1;
}

int nv_pictures_find(const struct nv_pictures *p, int index)
{
    return index >= 0 && index < NV_PICTURES_MAX ? p->of_parser[index] : -1;
}

/* A number that means no picture, or one that was never decoded, stays what it is. */
static int translate(const struct nv_pictures *p, int index)
{
    const int found = nv_pictures_find(p, index);
    return found >= 0 ? found : index;
}

static void translate_int(const struct nv_pictures *p, int *index)
{
    *index = translate(p, *index);
}

static void translate_byte(const struct nv_pictures *p, unsigned char *index)
{
    *index = (unsigned char)translate(p, *index);
}

static void translate_av1(const struct nv_pictures *p, CUVIDAV1PICPARAMS *av1)
{
    translate_int(p, &av1->decodePicIdx);
    for (int i = 0; i < 8; i++)
        translate_byte(p, &av1->ref_frame_map[i]);
    for (int i = 0; i < 7; i++)
        translate_byte(p, &av1->ref_frame[i].index);
}

void nv_pictures_translate(const struct nv_pictures *p, cudaVideoCodec codec,
                           CUVIDPICPARAMS *params)
{
    translate_int(p, &params->CurrPicIdx);
    switch ((int)codec) {
    case cudaVideoCodec_H264:
        for (int i = 0; i < 16; i++)
            translate_int(p, &params->CodecSpecific.h264.dpb[i].PicIdx);
        break;
    case cudaVideoCodec_HEVC:
        for (int i = 0; i < 16; i++)
            translate_int(p, &params->CodecSpecific.hevc.RefPicIdx[i]);
        break;
    case cudaVideoCodec_MPEG1:
    case cudaVideoCodec_MPEG2:
        translate_int(p, &params->CodecSpecific.mpeg2.ForwardRefIdx);
        translate_int(p, &params->CodecSpecific.mpeg2.BackwardRefIdx);
        break;
    case cudaVideoCodec_VP8:
        translate_byte(p, &params->CodecSpecific.vp8.LastRefIdx);
        translate_byte(p, &params->CodecSpecific.vp8.GoldenRefIdx);
        translate_byte(p, &params->CodecSpecific.vp8.AltRefIdx);
        break;
    case cudaVideoCodec_VP9:
        translate_byte(p, &params->CodecSpecific.vp9.LastRefIdx);
        translate_byte(p, &params->CodecSpecific.vp9.GoldenRefIdx);
        translate_byte(p, &params->CodecSpecific.vp9.AltRefIdx);
        break;
    case cudaVideoCodec_AV1:
        translate_av1(p, &params->CodecSpecific.av1);
        break;
    default:
        break;
    }
}
