#include "file/hls_playlist.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/mathematics.h>
#include <libavutil/pixdesc.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/codecs.h"
#include "media/playlist.h"

#define CODECS_LIST_MAX 256
#define URI_MAX 1024
#define AUDIO_GROUP "audio"
#define TEXT_GROUP "subtitles"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define FOR_DEAF                                                                                   \
    "public.accessibility.transcribes-spoken-dialog,"                                              \
    "public.accessibility.describes-music-and-sound"

int hls_track_segment(struct hls_track *t, const struct hls_segment *segment, struct error *err)
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
    t->segments[t->segments_count++] = *segment;
    return 0;
}

bool hls_track_is_empty(const struct hls_track *t)
{
    return t->kind != HLS_VIDEO && t->segments_count == 0;
}

void hls_track_done(struct hls_track *t)
{
    free(t->segments);
    *t = (struct hls_track){0};
}

static int64_t rounded_us(int64_t ns)
{
    return ns < 0 ? -((500 - ns) / 1000) : (ns + 500) / 1000;
}

/* Differences of rounded times, so that the rounding does not add up. */
static int64_t duration_us(const struct hls_segment *s)
{
    const int64_t us = rounded_us(s->end_ns) - rounded_us(s->begin_ns);
    return us > 0 ? us : 1;
}

void hls_segment_name(const struct hls_track *t, int i, char ret[HLS_SEGMENT_NAME_MAX])
{
    snprintf(ret, HLS_SEGMENT_NAME_MAX, "seg_%05d.%s", i + 1, t->kind == HLS_TEXT ? "vtt" : "m4s");
}

int32_t hls_target_s(const struct hls_track *const *tracks, int count)
{
    int64_t longest = 1000000;
    for (int i = 0; i < count; i++) {
        for (int k = 0; k < tracks[i]->segments_count; k++) {
            const int64_t us = duration_us(&tracks[i]->segments[k]);
            longest = us > longest ? us : longest;
        }
    }
    const int64_t seconds = longest / 1000000 + (longest % 1000000 >= 500000);
    return seconds < INT32_MAX ? (int32_t)seconds : INT32_MAX;
}

int hls_write_media(const struct hls_track *t, int32_t target_s, struct text *out,
                    struct error *err)
{
    struct playlist_segment *segments = calloc((size_t)t->segments_count + 1, sizeof(segments[0]));
    char(*names)[HLS_SEGMENT_NAME_MAX] = calloc((size_t)t->segments_count + 1, sizeof(names[0]));
    int rc = RGPU_ERROR_MEMORY;
    if (segments && names) {
        for (int i = 0; i < t->segments_count; i++) {
            hls_segment_name(t, i, names[i]);
            segments[i] = (struct playlist_segment){.uri = names[i],
                                                    .duration_us = duration_us(&t->segments[i]),
                                                    .gap = t->segments[i].is_gap};
        }
        const struct playlist_media media = {
            .type = PLAYLIST_VOD,
            .independent_segments = !t->is_dependent,
            .ended = true,
            .media_sequence = 1,
            .target_duration_s = target_s,
            .map_uri = t->kind == HLS_TEXT ? NULL : "init.mp4",
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

/* Rounded up; of the durations that the playlist says, as players count. */
static int64_t rate_bps(int64_t bytes, int64_t span_us)
{
    const int64_t bps = av_rescale_rnd(bytes, 8000000, span_us > 0 ? span_us : 1, AV_ROUND_UP);
    return bps < 1 ? 1 : bps;
}

static int64_t average_bps(const struct hls_track *t)
{
    int64_t bytes = 0, span = 0;
    for (int i = 0; i < t->segments_count; i++) {
        bytes += t->segments[i].bytes;
        span += duration_us(&t->segments[i]);
    }
    return rate_bps(bytes, span);
}

/* The largest bit rate of segments in a row that last between 0.5 and 1.5 target durations
 * (RFC 8216bis, 4.4.6.2); of all where there are none such. */
static int64_t peak_bps(const struct hls_track *t, int32_t target_s)
{
    const int64_t least = target_s * INT64_C(500000), most = 3 * least;
    int64_t peak = 0;
    for (int first = 0; first < t->segments_count; first++) {
        int64_t bytes = 0, span = 0;
        for (int i = first; i < t->segments_count; i++) {
            bytes += t->segments[i].bytes;
            span += duration_us(&t->segments[i]);
            if (span > most)
                break;
            const int64_t bps = span >= least ? rate_bps(bytes, span) : 0;
            peak = bps > peak ? bps : peak;
        }
    }
    return peak > 0 ? peak : average_bps(t);
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
    /* Letters and digits with hyphens between them; anything else is no tag. */
    const size_t letters = strspn(language, LETTERS);
    const size_t legal = strspn(language, LETTERS "0123456789-");
    if (letters < 2 || letters > 8 || language[legal] || language[legal - 1] == '-' ||
        (language[letters] && language[letters] != '-') || strstr(language, "--") ||
        strcmp(language, "und") == 0)
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
    /* Parameter sets may be in the packets where the sample entry says that they need not be. */
    if (par->codec_id == AV_CODEC_ID_HEVC && par->codec_tag && strlen(ret) > 4)
        for (int i = 0; i < 4; i++)
            ret[i] = (char)(par->codec_tag >> 8 * i);
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
    bool has[HLS_TEXT + 1]; /* renditions of a kind */
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
        memcpy(ret, text_string(&text), text.size + 1);
    text_done(&text);
    return rc == 0 ? 0 : error_set(err, rc, "the name %s is too long for a playlist", prefix);
}

/* A title, or the language; a number is added until no other of the group has the name, as it is
 * once the playlist can hold it. */
static void name_rendition(struct master *m, int i, const struct hls_track *t,
                           enum playlist_rendition_type type)
{
    const char *const names[] = {t->title, t->language,
                                 t->kind == HLS_AUDIO ? "Audio" : "Subtitles"};
    char plain[sizeof(t->title)], *base = plain;
    for (int k = 0; k < 3; k++) {
        playlist_plain(names[k], plain, sizeof(plain));
        base = plain + strspn(plain, " ");
        for (size_t n = strlen(base); n > 0 && base[n - 1] == ' '; n--)
            base[n - 1] = 0;
        if (base[0])
            break;
    }
    char *name = m->rendition_name[i];
    snprintf(name, sizeof(m->rendition_name[i]), "%s", base);
    for (int number = 2, k = 0; k < i; k++) {
        if (m->renditions[k].type != type || strcmp(m->rendition_name[k], name) != 0)
            continue;
        snprintf(name, sizeof(m->rendition_name[i]), "%s %d", base, number++);
        k = -1;
    }
}

static int add_rendition(struct master *m, const struct hls_track *t, const char *prefix,
                         bool is_default, struct error *err)
{
    const int i = m->renditions_count;
    const bool audio = t->kind == HLS_AUDIO;
    const enum playlist_rendition_type type = audio ? PLAYLIST_AUDIO : PLAYLIST_SUBTITLES;
    if (i >= PLAYLIST_RENDITIONS_MAX)
        return error_set(err, RGPU_ERROR_LIMIT, "too many audio or subtitle tracks for a playlist");
    const int rc = uri_of(t, prefix, m->rendition_uri[i], err);
    if (rc < 0)
        return rc;
    name_rendition(m, i, t, type);
    m->renditions[i] = (struct playlist_rendition){
        .type = type,
        .group = audio ? AUDIO_GROUP : TEXT_GROUP,
        .name = m->rendition_name[i],
        .language = language_tag(t->language),
        .uri = m->rendition_uri[i],
        .is_default = is_default,
        .autoselect = true,
        .forced = t->is_forced,
        .channels = audio ? t->stream->codecpar->ch_layout.nb_channels : 0,
        .characteristics = t->is_for_deaf ? FOR_DEAF : NULL,
    };
    m->renditions_count++;
    return 0;
}

static bool is_equal(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* A player that chooses by language can tell only those tracks apart that differ in it or in what
 * they are for: of others the default is offered to it, or the first (RFC 8216, 4.3.4.1.1). */
static void settle_autoselect(struct master *m)
{
    for (int i = 0; i < m->renditions_count; i++) {
        struct playlist_rendition *r = &m->renditions[i];
        for (int k = 0; k < m->renditions_count; k++) {
            const struct playlist_rendition *o = &m->renditions[k];
            if (k != i && o->type == r->type && !r->is_default && (o->is_default || k < i) &&
                o->forced == r->forced && is_equal(o->language, r->language) &&
                is_equal(o->characteristics, r->characteristics))
                r->autoselect = false;
        }
    }
}

/* Renditions of a kind. One of audio is the default in any case, subtitles only if one is said to
 * be. */
static int add_renditions(struct master *m, const struct hls_track *const *tracks, int count,
                          enum hls_kind kind, const char *prefix, struct error *err)
{
    int first = kind == HLS_AUDIO ? INT_MAX : -1;
    for (int i = count - 1; i >= 0; i--) {
        if (tracks[i]->kind == kind && !hls_track_is_empty(tracks[i]) && tracks[i]->is_default)
            first = i;
    }
    for (int i = 0; first == INT_MAX && i < count; i++) {
        if (tracks[i]->kind == kind && !hls_track_is_empty(tracks[i]))
            first = i;
    }
    for (int i = 0; i < count; i++) {
        if (tracks[i]->kind != kind || hls_track_is_empty(tracks[i]))
            continue;
        const int rc = add_rendition(m, tracks[i], prefix, i == first, err);
        if (rc < 0)
            return rc;
        m->has[kind] = true;
    }
    return 0;
}

/* The player has one track of a kind beside the video, so the largest counts. */
static void largest_rates(const struct hls_track *const *tracks, int count, enum hls_kind kind,
                          int32_t target_s, int64_t *ret_peak, int64_t *ret_average)
{
    *ret_peak = *ret_average = 0;
    for (int i = 0; i < count; i++) {
        if (tracks[i]->kind != kind || hls_track_is_empty(tracks[i]))
            continue;
        const int64_t peak = peak_bps(tracks[i], target_s), average = average_bps(tracks[i]);
        *ret_peak = peak > *ret_peak ? peak : *ret_peak;
        *ret_average = average > *ret_average ? average : *ret_average;
    }
}

static int add_variant(struct master *m, const struct hls_track *t,
                       const struct hls_track *const *tracks, int count, const char *prefix,
                       int32_t target_s, struct error *err)
{
    const int i = m->variants_count;
    if (i >= PLAYLIST_VARIANTS_MAX)
        return error_set(err, RGPU_ERROR_LIMIT, "too many renditions for a playlist");
    const int rc = uri_of(t, prefix, m->variant_uri[i], err);
    if (rc < 0)
        return rc;
    const AVCodecParameters *par = t->stream->codecpar;
    const AVRational rate = t->stream->avg_frame_rate;
    int64_t peak, average, text_peak, text_average;
    largest_rates(tracks, count, HLS_AUDIO, target_s, &peak, &average);
    largest_rates(tracks, count, HLS_TEXT, target_s, &text_peak, &text_average);
    peak += text_peak;
    average += text_average;
    const bool video = t->kind == HLS_VIDEO;
    bool known = add_codec(m->variant_codecs[i], t->stream);
    for (int k = 0; k < count; k++)
        if (tracks[k]->kind == HLS_AUDIO && !hls_track_is_empty(tracks[k]))
            known &= add_codec(m->variant_codecs[i], tracks[k]->stream);
    m->variants[i] = (struct playlist_variant){
        .uri = m->variant_uri[i],
        .bandwidth_bps = video ? peak_bps(t, target_s) + peak : peak,
        .average_bandwidth_bps = video ? average_bps(t) + average : average,
        .codecs = known ? m->variant_codecs[i] : NULL,
        .width = par->width,
        .height = par->height,
        .frame_rate = {rate.num, rate.num > 0 ? rate.den : 0},
        .range = video ? range_of(par) : PLAYLIST_RANGE_UNKNOWN,
        .audio = m->has[HLS_AUDIO] ? AUDIO_GROUP : NULL,
        .subtitles = m->has[HLS_TEXT] ? TEXT_GROUP : NULL,
    };
    m->variants_count++;
    return 0;
}

int hls_write_master(const struct hls_track *const *tracks, int count, const char *prefix,
                     int32_t target_s, struct text *out, struct error *err)
{
    struct master *m = calloc(1, sizeof(*m));
    if (!m)
        return error_memory(err, "a playlist");
    int sound = -1; /* the first, which is the variant where there is no video */
    bool video = false, dependent = false;
    for (int i = 0; i < count; i++) {
        dependent |= tracks[i]->is_dependent;
        video |= tracks[i]->kind == HLS_VIDEO;
        if (sound < 0 && tracks[i]->kind == HLS_AUDIO && !hls_track_is_empty(tracks[i]))
            sound = i;
    }
    int rc = add_renditions(m, tracks, count, HLS_AUDIO, prefix, err);
    if (rc == 0)
        rc = add_renditions(m, tracks, count, HLS_TEXT, prefix, err);
    settle_autoselect(m);
    for (int i = 0; rc == 0 && i < count; i++)
        if (tracks[i]->kind == HLS_VIDEO || (!video && i == sound))
            rc = add_variant(m, tracks[i], tracks, count, prefix, target_s, err);
    if (rc == 0) {
        const struct playlist_master master = {
            .independent_segments = !dependent,
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
