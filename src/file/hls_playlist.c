#include "file/hls_playlist.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/pixdesc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/codecs.h"
#include "media/playlist.h"

#define CODECS_LIST_MAX 256
#define URI_MAX 1024

int hls_track_segment(struct hls_track *t, int64_t begin_ns, int64_t end_ns, int64_t bytes,
                      struct error *err)
{
    if (t->segments_count >= PLAYLIST_SEGMENTS_MAX)
        return error_set(err, RGPU_ERROR_LIMIT, "more than %d segments; use a longer --segment",
                         PLAYLIST_SEGMENTS_MAX);
    if (t->segments_count == t->segments_capacity) {
        const int capacity = t->segments_capacity ? 2 * t->segments_capacity : 64;
        struct hls_segment *s = realloc(t->segments, (size_t)capacity * sizeof(*s));
        if (!s)
            return error_memory(err, "segments");
        t->segments = s;
        t->segments_capacity = capacity;
    }
    t->segments[t->segments_count++] = (struct hls_segment){begin_ns, end_ns, bytes};
    return 0;
}

void hls_track_done(struct hls_track *t)
{
    free(t->segments);
    *t = (struct hls_track){0};
}

/* Differences of rounded times, so that the rounding does not add up. */
static int64_t duration_us(const struct hls_segment *s)
{
    const int64_t us = (s->end_ns + 500) / 1000 - (s->begin_ns + 500) / 1000;
    return us > 0 ? us : 1;
}

int hls_write_media(const struct hls_track *t, struct text *out, struct error *err)
{
    struct playlist_segment *segments = calloc((size_t)t->segments_count + 1, sizeof(segments[0]));
    char(*names)[24] = calloc((size_t)t->segments_count + 1, sizeof(names[0]));
    int rc = RGPU_ERROR_MEMORY;
    if (segments && names) {
        for (int i = 0; i < t->segments_count; i++) {
            snprintf(names[i], sizeof(names[i]), "seg_%05d.m4s", i + 1);
            segments[i] = (struct playlist_segment){.uri = names[i],
                                                    .duration_us = duration_us(&t->segments[i])};
        }
        const struct playlist_media media = {
            .type = PLAYLIST_VOD,
            .independent_segments = true,
            .ended = true,
            .media_sequence = 1,
            .map_uri = "init.mp4",
            .segments = segments,
            .segments_count = t->segments_count,
        };
        rc = playlist_write_media(&media, out, err);
    } else {
        error_memory(err, "a playlist");
    }
    free(segments);
    free(names);
    return rc;
}

/* ---- bit rates ------------------------------------------------------------------------------ */

static int64_t rate_bps(int64_t bytes, int64_t span_ns)
{
    const double bps = (double)bytes * 8e9 / (double)(span_ns > 0 ? span_ns : 1);
    return bps < 1 ? 1 : bps > 1e12 ? (int64_t)1e12 : (int64_t)(bps + 0.999);
}

static int64_t peak_bps(const struct hls_track *t, int64_t target_ns)
{
    int64_t peak = 1, bytes = 0, span = 0;
    for (int i = 0; i < t->segments_count; i++) {
        const struct hls_segment *s = &t->segments[i];
        const int64_t own = s->end_ns - s->begin_ns;
        if (i > 0 && own < target_ns / 2) {
            bytes += s->bytes;
            span += own;
        } else {
            bytes = s->bytes;
            span = own;
        }
        const int64_t bps = rate_bps(bytes, span);
        peak = bps > peak ? bps : peak;
    }
    return peak;
}

static int64_t average_bps(const struct hls_track *t)
{
    int64_t bytes = 0, span = 0;
    for (int i = 0; i < t->segments_count; i++) {
        bytes += t->segments[i].bytes;
        span += t->segments[i].end_ns - t->segments[i].begin_ns;
    }
    return rate_bps(bytes, span);
}

/* ---- words ---------------------------------------------------------------------------------- */

/* RFC 5646 wants the two-letter code where there is one; files carry those of ISO 639-2. */
static const char *language_tag(const char *language)
{
    static const char table[][2][4] = {
        {"eng", "en"}, {"ger", "de"}, {"deu", "de"}, {"fre", "fr"}, {"fra", "fr"}, {"spa", "es"},
        {"ita", "it"}, {"por", "pt"}, {"dut", "nl"}, {"nld", "nl"}, {"swe", "sv"}, {"nor", "no"},
        {"nob", "nb"}, {"dan", "da"}, {"fin", "fi"}, {"pol", "pl"}, {"rus", "ru"}, {"ukr", "uk"},
        {"cze", "cs"}, {"ces", "cs"}, {"slo", "sk"}, {"slk", "sk"}, {"hun", "hu"}, {"rum", "ro"},
        {"ron", "ro"}, {"bul", "bg"}, {"gre", "el"}, {"ell", "el"}, {"tur", "tr"}, {"ara", "ar"},
        {"heb", "he"}, {"hin", "hi"}, {"jpn", "ja"}, {"kor", "ko"}, {"chi", "zh"}, {"zho", "zh"},
        {"tha", "th"}, {"vie", "vi"}, {"ind", "id"}, {"hrv", "hr"}, {"srp", "sr"}, {"slv", "sl"},
        {"est", "et"}, {"lav", "lv"}, {"lit", "lt"}, {"cat", "ca"}, {"baq", "eu"}, {"eus", "eu"},
        {"glg", "gl"}, {"ice", "is"}, {"isl", "is"}, {"per", "fa"}, {"fas", "fa"}, {"lat", "la"},
    };
    if (!language[0] || strcmp(language, "und") == 0)
        return NULL;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (strcmp(language, table[i][0]) == 0)
            return table[i][1];
    return language;
}

/* VP9 has its configuration in the header box, which the muxer makes itself. */
static void vp9_string(const AVStream *st, char *ret)
{
    const AVCodecParameters *par = st->codecpar;
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get((enum AVPixelFormat)par->format);
    const struct vp9_config config = {
        .profile = par->profile > 0 ? (uint8_t)par->profile : 0,
        .level = par->level > 0
                     ? (uint8_t)par->level
                     : vp9_level(par->width, par->height,
                                 (struct rational){st->avg_frame_rate.num, st->avg_frame_rate.den}),
        .bit_depth = d ? (uint8_t)d->comp[0].depth : 8,
        .chroma = d && d->log2_chroma_w == 0   ? 3
                  : d && d->log2_chroma_h == 0 ? 2
                                               : 0,
    };
    codecs_vp9(&config, ret);
}

/* Empty where no string is known: the attribute is left out then. */
static void codecs_of(const AVStream *st, char *ret)
{
    const AVCodecParameters *par = st->codecpar;
    ret[0] = 0;
    if (codecs_string(avcodec_get_name(par->codec_id), par->extradata,
                      par->extradata_size > 0 ? (size_t)par->extradata_size : 0, ret, NULL) < 0) {
        ret[0] = 0;
        if (par->codec_id == AV_CODEC_ID_VP9)
            vp9_string(st, ret);
    }
}

/* Adds a codec to a list unless it is in there; false where one is not known. */
static bool add_codec(char *list, const AVStream *st)
{
    char codec[CODECS_MAX];
    codecs_of(st, codec);
    if (!codec[0])
        return false;
    const size_t n = strlen(codec), used = strlen(list);
    for (const char *p = list; *p;) {
        const size_t length = strcspn(p, ",");
        if (length == n && strncmp(p, codec, n) == 0)
            return true;
        p += length + (p[length] == ',');
    }
    if (used + n + 2 <= CODECS_LIST_MAX)
        sprintf(list + used, "%s%s", used ? "," : "", codec);
    return true;
}

static enum playlist_range range_of(const AVCodecParameters *par)
{
    if (par->color_trc == AVCOL_TRC_SMPTE2084)
        return PLAYLIST_PQ;
    if (par->color_trc == AVCOL_TRC_ARIB_STD_B67)
        return PLAYLIST_HLG;
    return PLAYLIST_SDR;
}

/* ---- the master playlist -------------------------------------------------------------------- */

struct master {
    struct playlist_variant variants[PLAYLIST_VARIANTS_MAX];
    struct playlist_rendition renditions[PLAYLIST_RENDITIONS_MAX];
    char variant_uri[PLAYLIST_VARIANTS_MAX][URI_MAX];
    char variant_codecs[PLAYLIST_VARIANTS_MAX][CODECS_LIST_MAX];
    char rendition_uri[PLAYLIST_RENDITIONS_MAX][URI_MAX];
    char rendition_name[PLAYLIST_RENDITIONS_MAX][160];
    int variants_count, renditions_count;
};

static int uri_of(const struct hls_track *t, const char *prefix, char *ret, struct error *err)
{
    struct text text = {0};
    char path[URI_MAX];
    snprintf(path, sizeof(path), "%s%s/index.m3u8", prefix, t->folder);
    int rc = playlist_add_path(&text, path);
    if (rc == 0 && text.size >= URI_MAX)
        rc = RGPU_ERROR_LIMIT;
    if (rc == 0)
        memcpy(ret, text.data, text.size + 1);
    text_done(&text);
    return rc == 0 ? 0 : error_set(err, rc, "the name %s is too long for a playlist", prefix);
}

static int add_rendition(struct master *m, const struct hls_track *t, const char *prefix,
                         bool has_default, struct error *err)
{
    const int i = m->renditions_count;
    if (i >= PLAYLIST_RENDITIONS_MAX)
        return error_set(err, RGPU_ERROR_LIMIT, "too many audio tracks for a playlist");
    const int rc = uri_of(t, prefix, m->rendition_uri[i], err);
    if (rc < 0)
        return rc;
    const char *base = t->title[0] ? t->title : t->language[0] ? t->language : "Audio";
    char *name = m->rendition_name[i];
    snprintf(name, sizeof(m->rendition_name[i]), "%s", base);
    for (int number = 2, k = 0; k < i; k++) {
        if (strcmp(m->rendition_name[k], name) != 0)
            continue;
        snprintf(name, sizeof(m->rendition_name[i]), "%s %d", base, number++);
        k = -1;
    }
    m->renditions[i] = (struct playlist_rendition){
        .type = PLAYLIST_AUDIO,
        .group = "audio",
        .name = name,
        .language = language_tag(t->language),
        .uri = m->rendition_uri[i],
        .is_default = has_default,
        .autoselect = true,
        .channels = t->stream->codecpar->ch_layout.nb_channels,
    };
    m->renditions_count++;
    return 0;
}

/* Audio's share: the player has one of the tracks, so the largest counts. */
static void audio_rates(const struct hls_track *const *tracks, int count, int64_t target_ns,
                        int64_t *ret_peak, int64_t *ret_average)
{
    *ret_peak = *ret_average = 0;
    for (int i = 0; i < count; i++) {
        if (tracks[i]->video || tracks[i]->segments_count == 0)
            continue;
        const int64_t peak = peak_bps(tracks[i], target_ns), average = average_bps(tracks[i]);
        *ret_peak = peak > *ret_peak ? peak : *ret_peak;
        *ret_average = average > *ret_average ? average : *ret_average;
    }
}

static int add_variant(struct master *m, const struct hls_track *t,
                       const struct hls_track *const *tracks, int count, const char *prefix,
                       int64_t target_ns, struct error *err)
{
    const int i = m->variants_count;
    if (i >= PLAYLIST_VARIANTS_MAX)
        return error_set(err, RGPU_ERROR_LIMIT, "too many renditions for a playlist");
    const int rc = uri_of(t, prefix, m->variant_uri[i], err);
    if (rc < 0)
        return rc;
    const AVCodecParameters *par = t->stream->codecpar;
    const AVRational rate = t->stream->avg_frame_rate;
    int64_t peak, average;
    audio_rates(tracks, count, target_ns, &peak, &average);
    bool known = add_codec(m->variant_codecs[i], t->stream);
    for (int k = 0; k < count; k++)
        if (!tracks[k]->video)
            known &= add_codec(m->variant_codecs[i], tracks[k]->stream);
    m->variants[i] = (struct playlist_variant){
        .uri = m->variant_uri[i],
        .bandwidth_bps = t->video ? peak_bps(t, target_ns) + peak : peak,
        .average_bandwidth_bps = t->video ? average_bps(t) + average : average,
        .codecs = known ? m->variant_codecs[i] : NULL,
        .width = par->width,
        .height = par->height,
        .frame_rate = {rate.num, rate.num > 0 ? rate.den : 0},
        .range = t->video ? range_of(par) : PLAYLIST_RANGE_UNKNOWN,
        .audio = m->renditions_count > 0 ? "audio" : NULL,
    };
    m->variants_count++;
    return 0;
}

int hls_write_master(const struct hls_track *const *tracks, int count, const char *prefix,
                     int64_t target_ns, struct text *out, struct error *err)
{
    struct master *m = calloc(1, sizeof(*m));
    if (!m)
        return error_memory(err, "a playlist");
    int rc = 0, fallback = -1;
    bool video = false, has_default = false;
    for (int i = 0; i < count; i++) {
        video |= tracks[i]->video;
        has_default |= !tracks[i]->video && tracks[i]->is_default;
        if (fallback < 0 && !tracks[i]->video)
            fallback = i;
    }
    bool given = false;
    for (int i = 0; rc == 0 && i < count; i++) {
        if (tracks[i]->video || tracks[i]->segments_count == 0)
            continue;
        const bool is_default = !given && (has_default ? tracks[i]->is_default : i == fallback);
        given |= is_default;
        rc = add_rendition(m, tracks[i], prefix, is_default, err);
    }
    for (int i = 0; rc == 0 && i < count; i++)
        if (tracks[i]->video || (!video && i == fallback))
            rc = add_variant(m, tracks[i], tracks, count, prefix, target_ns, err);
    if (rc == 0) {
        const struct playlist_master master = {
            .independent_segments = true,
            .variants = m->variants,
            .variants_count = m->variants_count,
            .renditions = m->renditions,
            .renditions_count = m->renditions_count,
        };
        rc = playlist_write_master(&master, out, err);
    }
    free(m);
    return rc;
}
