#include "file/container.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <string.h>
#include <strings.h>

enum {
    MP4 = 1 << CONTAINER_MP4,
    TS = 1 << CONTAINER_TS,
    FLV = 1 << CONTAINER_FLV,
    HLS = 1 << CONTAINER_HLS,
    MOV = 1 << 16, /* of what MP4 takes */
    WEBM = 1 << 17 /* of what MKV takes */
};

/* MKV is not here, but for its part WebM: libavformat's muxer is asked. */
static const struct {
    enum AVCodecID id;
    unsigned containers;
} codecs[] = {
    {AV_CODEC_ID_H264, MP4 | MOV | TS | FLV | HLS},
    {AV_CODEC_ID_HEVC, MP4 | MOV | TS | HLS},
    {AV_CODEC_ID_AV1, MP4 | HLS | WEBM},
    {AV_CODEC_ID_VP9, MP4 | HLS | WEBM},
    {AV_CODEC_ID_VP8, WEBM},
    {AV_CODEC_ID_MPEG4, MP4 | MOV | TS},
    {AV_CODEC_ID_MPEG2VIDEO, MP4 | MOV | TS},
    {AV_CODEC_ID_MPEG1VIDEO, MP4 | MOV | TS},
    {AV_CODEC_ID_VC1, TS},
    {AV_CODEC_ID_MJPEG, MP4 | MOV},
    {AV_CODEC_ID_PNG, MP4 | MOV},
    {AV_CODEC_ID_JPEG2000, MP4 | MOV},
    {AV_CODEC_ID_AAC, MP4 | MOV | TS | FLV | HLS},
    {AV_CODEC_ID_MP3, MP4 | MOV | TS | FLV},
    {AV_CODEC_ID_MP2, MP4 | MOV | TS},
    {AV_CODEC_ID_AC3, MP4 | MOV | TS | HLS},
    {AV_CODEC_ID_EAC3, MP4 | MOV | TS | HLS},
    {AV_CODEC_ID_DTS, MP4 | TS},
    {AV_CODEC_ID_TRUEHD, MP4 | TS},
    {AV_CODEC_ID_FLAC, MP4 | HLS},
    {AV_CODEC_ID_ALAC, MP4 | MOV | HLS},
    {AV_CODEC_ID_OPUS, MP4 | TS | HLS | WEBM},
    {AV_CODEC_ID_VORBIS, MP4 | WEBM},
    {AV_CODEC_ID_MOV_TEXT, MP4 | MOV},
    {AV_CODEC_ID_WEBVTT, WEBM},
    {AV_CODEC_ID_DVD_SUBTITLE, MP4},
    {AV_CODEC_ID_DVB_SUBTITLE, TS},
    {AV_CODEC_ID_DVB_TELETEXT, TS},
    {AV_CODEC_ID_SMPTE_KLV, TS},
    {AV_CODEC_ID_TIMED_ID3, TS},
};

static const struct {
    const char *end;
    enum container container;
} names[] = {
    {".mp4", CONTAINER_MP4},  {".m4v", CONTAINER_MP4},  {".mov", CONTAINER_MP4},
    {".mkv", CONTAINER_MKV},  {".webm", CONTAINER_MKV}, {".ts", CONTAINER_TS},
    {".m2ts", CONTAINER_TS},  {".mts", CONTAINER_TS},   {".flv", CONTAINER_FLV},
    {".m3u8", CONTAINER_HLS},
};

/* Codes that libavformat finds in its table of Macintosh languages. */
static const char mov_languages[][4] = {
    "eng", "fra", "ger", "ita", "dut", "sve", "spa", "dan", "por", "nor", "heb", "jpn", "ara",
    "fin", "gre", "ice", "mlt", "tur", "hr ", "chi", "urd", "hin", "tha", "kor", "lit", "pol",
    "hun", "est", "lav", "smi", "fo ", "per", "rus", "iri", "alb", "ron", "ces", "slk", "slv",
    "yid", "sr ", "mac", "bul", "ukr", "bel", "uzb", "kaz", "aze", "arm", "geo", "mol", "kir",
    "tgk", "tuk", "mon", "pus", "kur", "kas", "snd", "tib", "nep", "san", "mar", "ben", "asm",
    "guj", "pa ", "ori", "mal", "kan", "tam", "tel", "sin", "bur", "khm", "lao", "vie", "ind",
    "tgl", "may", "amh", "tir", "orm", "som", "swa", "kin", "run", "nya", "mlg", "epo", "wel",
    "baq", "cat", "lat", "que", "grn", "aym", "tat", "uig", "dzo", "jav",
};

/* Other codes of the same languages: ISO 639-2 has two for some, and that table its own. */
static const struct {
    char code[4], known[4];
} mov_twins[] = {
    {"fre", "fra"}, {"deu", "ger"}, {"nld", "dut"}, {"swe", "sve"}, {"ell", "gre"}, {"isl", "ice"},
    {"hrv", "hr "}, {"scr", "hr "}, {"zho", "chi"}, {"fao", "fo "}, {"fas", "per"}, {"gle", "iri"},
    {"sqi", "alb"}, {"rum", "ron"}, {"cze", "ces"}, {"slo", "slk"}, {"srp", "sr "}, {"scc", "sr "},
    {"mkd", "mac"}, {"hye", "arm"}, {"kat", "geo"}, {"bod", "tib"}, {"pan", "pa "}, {"mya", "bur"},
    {"msa", "may"}, {"cym", "wel"}, {"eus", "baq"},
};

static bool name_ends(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);
    return n > m && strcasecmp(path + n - m, end) == 0 && path[n - m - 1] != '/';
}

enum container container_from_name(const char *path)
{
    const size_t n = strlen(path);
    if (n > 0 && path[n - 1] == '/')
        return CONTAINER_HLS;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (name_ends(path, names[i].end))
            return names[i].container;
    return CONTAINER_NONE;
}

bool container_is_webm(const char *path)
{
    return name_ends(path, ".webm");
}

bool container_is_mov(const char *path)
{
    return name_ends(path, ".mov");
}

bool container_is_m2ts(const char *path)
{
    return name_ends(path, ".m2ts") || name_ends(path, ".mts");
}

const char *container_name(enum container container)
{
    switch (container) {
    case CONTAINER_MP4:
        return "MP4";
    case CONTAINER_MKV:
        return "MKV";
    case CONTAINER_TS:
        return "MPEG-TS";
    case CONTAINER_FLV:
        return "FLV";
    case CONTAINER_HLS:
        return "HLS";
    case CONTAINER_NONE:
        break;
    }
    return "no container";
}

const char *container_path_name(enum container container, const char *path)
{
    return container_is_webm(path)  ? "WebM"
           : container_is_mov(path) ? "MOV"
                                    : container_name(container);
}

static unsigned containers_of(enum AVCodecID codec)
{
    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        if (codecs[i].id == codec)
            return codecs[i].containers;
    return 0;
}

bool container_takes_id(enum container container, enum AVCodecID codec)
{
    if (codec == AV_CODEC_ID_NONE)
        return false;
    if (container == CONTAINER_MKV)
        return avformat_query_codec(av_guess_format("matroska", NULL, NULL), codec,
                                    FF_COMPLIANCE_NORMAL) == 1;
    return containers_of(codec) & 1u << container;
}

bool container_takes_codec(enum container container, const char *codec)
{
    const AVCodecDescriptor *d = avcodec_descriptor_get_by_name(codec);
    return d && container_takes_id(container, d->id);
}

static bool path_takes_id(const char *path, enum AVCodecID codec)
{
    if (container_is_webm(path))
        return containers_of(codec) & WEBM;
    return !container_is_mov(path) || containers_of(codec) & MOV;
}

bool container_path_takes_codec(enum container container, const char *path, const char *codec)
{
    const AVCodecDescriptor *d = avcodec_descriptor_get_by_name(codec);
    return d && container_takes_id(container, d->id) && path_takes_id(path, d->id);
}

bool container_path_allows(const char *path, const struct reader_track *track)
{
    const enum AVCodecID id = track->stream->codecpar->codec_id;
    if (track->is_cover)
        return !container_is_webm(path) && !container_is_mov(path);
    /* Text becomes what MOV has; WebM's is not made. */
    if (container_is_mov(path) && container_text_codec(CONTAINER_MP4, id) != AV_CODEC_ID_NONE)
        return true;
    return path_takes_id(path, id);
}

/* Cover pictures: as an attachment in MKV, as a track without time in MP4. */
static bool takes_cover(enum container container, enum AVCodecID codec)
{
    if (container == CONTAINER_MKV)
        return true;
    return container == CONTAINER_MP4 &&
           (codec == AV_CODEC_ID_MJPEG || codec == AV_CODEC_ID_PNG || codec == AV_CODEC_ID_BMP);
}

bool container_takes(enum container container, const struct reader_track *track,
                     const char **reason)
{
    const enum AVCodecID id = track->stream->codecpar->codec_id;
    bool takes = container_takes_id(container, id);
    const char *what = "this codec";
    switch (track->kind) {
    case TRACK_VIDEO:
        what = track->is_cover ? "cover pictures" : "this video codec";
        if (track->is_cover)
            takes = takes_cover(container, id);
        break;
    case TRACK_AUDIO:
        what = track->is_untold ? "audio of unknown properties" : "this audio codec";
        /* The tables of FLV and TS have only some of the sampling rates of MP3. */
        if (container == CONTAINER_FLV && id == AV_CODEC_ID_MP3)
            takes = track->sample_rate == 44100 || track->sample_rate == 22050 ||
                    track->sample_rate == 11025;
        if (container == CONTAINER_MP4 && id == AV_CODEC_ID_MP3)
            takes = track->sample_rate >= 16000;
        if (track->is_untold)
            takes = false;
        break;
    case TRACK_SUBTITLE:
        what = container_text_codec(CONTAINER_MKV, id) != AV_CODEC_ID_NONE ? "this text format"
                                                                           : "these subtitles";
        break;
    case TRACK_ATTACHMENT:
        what = "attachments";
        takes = container == CONTAINER_MKV;
        break;
    case TRACK_DATA:
        what = "data tracks";
        takes = takes && container == CONTAINER_TS;
        break;
    }
    if (!takes && reason)
        *reason = what;
    return takes;
}

enum AVCodecID container_text_codec(enum container container, enum AVCodecID codec)
{
    switch (codec) {
    case AV_CODEC_ID_SUBRIP:
    case AV_CODEC_ID_TEXT:
    case AV_CODEC_ID_ASS:
    case AV_CODEC_ID_WEBVTT:
    case AV_CODEC_ID_MOV_TEXT:
    case AV_CODEC_ID_TTML:
        break;
    default:
        return AV_CODEC_ID_NONE;
    }
    if (!avcodec_find_decoder(codec))
        return AV_CODEC_ID_NONE;
    if (container == CONTAINER_HLS)
        return AV_CODEC_ID_WEBVTT;
    if (container == CONTAINER_MP4)
        return AV_CODEC_ID_MOV_TEXT;
    if (container == CONTAINER_MKV)
        return AV_CODEC_ID_SUBRIP;
    return AV_CODEC_ID_NONE;
}

const char *container_mov_language(const char *code)
{
    for (size_t i = 0; i < sizeof(mov_twins) / sizeof(mov_twins[0]); i++)
        if (strcmp(code, mov_twins[i].code) == 0)
            return mov_twins[i].known;
    for (size_t i = 0; i < sizeof(mov_languages) / sizeof(mov_languages[0]); i++)
        if (strcmp(code, mov_languages[i]) == 0)
            return mov_languages[i];
    return NULL;
}
