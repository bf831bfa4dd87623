#include "media/playlist.h"

#include <stdlib.h>
#include <string.h>

#include "media/playlist_rules.h"

#define US_PER_S 1000000

static const char *const range_names[] = {NULL, "SDR", "PQ", "HLG"};

/* Rounded to the nearest second, as the target duration is compared (4.3.3.1). */
static int64_t rounded_s(int64_t us)
{
    return us / US_PER_S + (us % US_PER_S >= US_PER_S / 2);
}

static int bad(struct error *err, int code, const char *what)
{
    return error_set(err, code, "HLS playlist: %s", what);
}

static bool is_uri_char(unsigned char c)
{
    return c > ' ' && c < 0x7f && !strchr("\"<>\\^`{|}", c);
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
}

bool playlist_is_uri(const char *uri)
{
    if (!uri || !*uri || *uri == '#')
        return false;
    for (const char *p = uri; *p; p++)
        if (!is_uri_char((unsigned char)*p) || (*p == '%' && !(is_hex(p[1]) && is_hex(p[2]))))
            return false;
    return true;
}

size_t playlist_utf8(const char *p)
{
    const unsigned char *s = (const unsigned char *)p;
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const size_t size = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (size < 2)
        return size;
    if (s[0] > 0xf4)
        return 0;
    uint32_t value = s[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (s[i] & 0x3f);
    }
    /* C1 control characters are refused with the overlong forms, surrogates and what is too high.
     */
    if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000) ||
        (value >= 0x80 && value < 0xa0))
        return 0;
    return size;
}

/* ---- rules, for the writer and the reader -------------------------------------------------------
 */

int playlist_check_media(const struct playlist_media *m, int code, struct error *err)
{
    if (m->segments_count < 0 || m->segments_count > PLAYLIST_SEGMENTS_MAX)
        return bad(err, code, "too many segments");
    if (m->map_uri && !playlist_is_uri(m->map_uri))
        return bad(err, code, "EXT-X-MAP has no valid URI");
    if (m->version < 1 || (m->map_uri && m->version < 6))
        return bad(err, code, "EXT-X-VERSION is too low for what the playlist uses");
    if (m->media_sequence < 0 || m->target_duration_s < 1)
        return bad(err, code, "EXT-X-TARGETDURATION or EXT-X-MEDIA-SEQUENCE is out of range");
    if (m->type == PLAYLIST_VOD && !m->ended)
        return bad(err, code, "a VOD playlist must have EXT-X-ENDLIST");
    for (int i = 0; i < m->segments_count; i++) {
        const struct playlist_segment *s = &m->segments[i];
        if (!playlist_is_uri(s->uri))
            return error_set(err, code, "HLS playlist: segment %d has no valid URI", i);
        if (s->duration_us < 0 || rounded_s(s->duration_us) > m->target_duration_s)
            return error_set(err, code,
                             "HLS playlist: segment %d is longer than EXT-X-TARGETDURATION", i);
    }
    return 0;
}

static bool group_exists(const struct playlist_master *m, enum playlist_rendition_type type,
                         const char *group)
{
    for (int i = 0; i < m->renditions_count; i++)
        if (m->renditions[i].type == type && strcmp(m->renditions[i].group, group) == 0)
            return true;
    return false;
}

static int check_renditions(const struct playlist_master *m, int code, struct error *err)
{
    for (int i = 0; i < m->renditions_count; i++) {
        const struct playlist_rendition *r = &m->renditions[i];
        if (!r->group || !*r->group || !r->name || !*r->name)
            return bad(err, code, "EXT-X-MEDIA needs GROUP-ID and NAME");
        if (r->uri ? !playlist_is_uri(r->uri) : r->type == PLAYLIST_SUBTITLES)
            return bad(err, code, "EXT-X-MEDIA has no valid URI");
        if (r->forced && r->type != PLAYLIST_SUBTITLES)
            return bad(err, code, "FORCED is for subtitles only");
        for (int j = 0; j < i; j++) {
            const struct playlist_rendition *o = &m->renditions[j];
            if (o->type != r->type || strcmp(o->group, r->group) != 0)
                continue;
            if (strcmp(o->name, r->name) == 0)
                return bad(err, code, "two EXT-X-MEDIA of one group have the same NAME");
            if (o->is_default && r->is_default)
                return bad(err, code, "two EXT-X-MEDIA of one group are DEFAULT");
        }
    }
    return 0;
}

int playlist_check_master(const struct playlist_master *m, int code, struct error *err)
{
    if (m->variants_count < 1 || m->variants_count > PLAYLIST_VARIANTS_MAX ||
        m->renditions_count < 0 || m->renditions_count > PLAYLIST_RENDITIONS_MAX)
        return bad(err, code, "no variants, or too many variants or renditions");
    if (m->version < 1)
        return bad(err, code, "EXT-X-VERSION is out of range");
    const int result = check_renditions(m, code, err);
    if (result)
        return result;
    for (int i = 0; i < m->variants_count; i++) {
        const struct playlist_variant *v = &m->variants[i];
        if (!playlist_is_uri(v->uri))
            return bad(err, code, "EXT-X-STREAM-INF has no valid URI");
        if (v->bandwidth_bps <= 0 || v->average_bandwidth_bps < 0)
            return bad(err, code, "EXT-X-STREAM-INF needs a BANDWIDTH");
        if ((v->width > 0) != (v->height > 0) || v->width < 0 || v->height < 0)
            return bad(err, code, "RESOLUTION is out of range");
        if (v->frame_rate.den < 0 || v->frame_rate.num < 0 || (unsigned)v->range > PLAYLIST_HLG)
            return bad(err, code, "FRAME-RATE or VIDEO-RANGE is out of range");
        if ((v->audio && !group_exists(m, PLAYLIST_AUDIO, v->audio)) ||
            (v->subtitles && !group_exists(m, PLAYLIST_SUBTITLES, v->subtitles)))
            return bad(err, code, "EXT-X-STREAM-INF names a group that has no EXT-X-MEDIA");
    }
    return 0;
}

/* ---- writer
 * ---------------------------------------------------------------------------------------- */

/* The next character of a text as a quoted-string has it, and its bytes; moves behind it. */
static const char *next_plain(const char **text, size_t *ret_size)
{
    const char *p = *text;
    const size_t size = playlist_utf8(p);
    const unsigned char c = (unsigned char)*p;
    *text += size ? size : 1;
    *ret_size = 1;
    /* A byte order mark must not be anywhere. */
    if (size == 0 || (size == 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0))
        return "?";
    if (c == '"')
        return "'";
    if (c < ' ' || c == 0x7f)
        return " ";
    *ret_size = size;
    return p;
}

void playlist_plain(const char *text, char *ret, size_t size)
{
    size_t used = 0, n;
    while (*text) {
        const char *c = next_plain(&text, &n);
        if (used + n >= size)
            break;
        memcpy(ret + used, c, n);
        used += n;
    }
    ret[used] = '\0';
}

/* ,NAME="value" with what a quoted-string cannot hold replaced. */
static void add_quoted(struct text *t, const char *name, const char *value)
{
    if (!value)
        return;
    text_printf(t, ",%s=\"", name);
    while (*value) {
        size_t size;
        const char *c = next_plain(&value, &size);
        text_add_bytes(t, c, size);
    }
    text_add(t, "\"");
}

int playlist_add_path(struct text *out, const char *path)
{
    for (const char *p = path; *p; p++) {
        const unsigned char c = (unsigned char)*p;
        const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
                           (c >= 'a' && c <= 'z') || strchr("-._~/!$&'()*+,;=@", c);
        if (plain)
            text_add_bytes(out, p, 1);
        else
            text_printf(out, "%%%02X", c);
    }
    return out->error;
}

static void add_head(struct text *t, int version, bool independent)
{
    text_printf(t, "#EXTM3U\n#EXT-X-VERSION:%d\n", version);
    if (independent)
        text_add(t, "#EXT-X-INDEPENDENT-SEGMENTS\n");
}

/* Takes back what was appended after `start` where the text has failed. */
static int finish(struct text *t, size_t start, struct error *err)
{
    if (!t->error)
        return 0;
    t->size = start;
    if (t->data)
        t->data[start] = '\0';
    return error_set(err, t->error, "the playlist is too long, or there is no memory for it");
}

int playlist_write_media(const struct playlist_media *media, struct text *out, struct error *err)
{
    struct playlist_media m = *media;
    const size_t start = out->size;
    bool gaps = false;
    for (int i = 0; i < m.segments_count; i++)
        gaps |= m.segments[i].gap;
    if (m.version == 0)
        m.version = gaps ? PLAYLIST_GAP_VERSION : PLAYLIST_VERSION;
    if (m.target_duration_s == 0) {
        int64_t longest = 1;
        for (int i = 0; i < m.segments_count; i++)
            if (rounded_s(m.segments[i].duration_us) > longest)
                longest = rounded_s(m.segments[i].duration_us);
        m.target_duration_s = longest > INT32_MAX ? -1 : (int32_t)longest;
    }
    const int code = playlist_check_media(&m, RGPU_ERROR_PARAM, err);
    if (code)
        return code;
    if (m.version < 3)
        return bad(err, RGPU_ERROR_PARAM, "durations with fractions need EXT-X-VERSION 3");

    add_head(out, m.version, m.independent_segments);
    text_printf(out, "#EXT-X-TARGETDURATION:%d\n#EXT-X-MEDIA-SEQUENCE:%lld\n", m.target_duration_s,
                (long long)m.media_sequence);
    if (m.type != PLAYLIST_LIVE)
        text_printf(out, "#EXT-X-PLAYLIST-TYPE:%s\n", m.type == PLAYLIST_VOD ? "VOD" : "EVENT");
    if (m.map_uri)
        text_printf(out, "#EXT-X-MAP:URI=\"%s\"\n", m.map_uri);
    for (int i = 0; i < m.segments_count && !out->error; i++) {
        const struct playlist_segment *s = &m.segments[i];
        if (s->discontinuity)
            text_add(out, "#EXT-X-DISCONTINUITY\n");
        if (s->gap)
            text_add(out, "#EXT-X-GAP\n");
        text_printf(out, "#EXTINF:%lld.%06lld,\n%s\n", (long long)(s->duration_us / US_PER_S),
                    (long long)(s->duration_us % US_PER_S), s->uri);
    }
    if (m.ended)
        text_add(out, "#EXT-X-ENDLIST\n");
    return finish(out, start, err);
}

static void add_rendition(struct text *t, const struct playlist_rendition *r)
{
    text_printf(t, "#EXT-X-MEDIA:TYPE=%s", r->type == PLAYLIST_AUDIO ? "AUDIO" : "SUBTITLES");
    add_quoted(t, "GROUP-ID", r->group);
    add_quoted(t, "NAME", r->name);
    add_quoted(t, "LANGUAGE", r->language);
    text_printf(t, ",DEFAULT=%s,AUTOSELECT=%s", r->is_default ? "YES" : "NO",
                r->is_default || r->autoselect ? "YES" : "NO");
    if (r->forced)
        text_add(t, ",FORCED=YES");
    if (r->type == PLAYLIST_AUDIO && r->channels > 0)
        text_printf(t, ",CHANNELS=\"%d\"", r->channels);
    add_quoted(t, "CHARACTERISTICS", r->characteristics);
    add_quoted(t, "URI", r->uri);
    text_add(t, "\n");
}

static void add_variant(struct text *t, const struct playlist_variant *v)
{
    text_printf(t, "#EXT-X-STREAM-INF:BANDWIDTH=%lld", (long long)v->bandwidth_bps);
    if (v->average_bandwidth_bps)
        text_printf(t, ",AVERAGE-BANDWIDTH=%lld", (long long)v->average_bandwidth_bps);
    add_quoted(t, "CODECS", v->codecs);
    if (v->width)
        text_printf(t, ",RESOLUTION=%dx%d", v->width, v->height);
    if (v->frame_rate.den) {
        const int64_t milli =
            ((int64_t)v->frame_rate.num * 1000 + v->frame_rate.den / 2) / v->frame_rate.den;
        text_printf(t, ",FRAME-RATE=%lld.%03lld", (long long)(milli / 1000),
                    (long long)(milli % 1000));
    }
    if (v->range)
        text_printf(t, ",VIDEO-RANGE=%s", range_names[v->range]);
    add_quoted(t, "AUDIO", v->audio);
    add_quoted(t, "SUBTITLES", v->subtitles);
    text_printf(t, "\n%s\n", v->uri);
}

int playlist_write_master(const struct playlist_master *master, struct text *out, struct error *err)
{
    struct playlist_master m = *master;
    const size_t start = out->size;
    if (m.version == 0)
        m.version = PLAYLIST_VERSION;
    const int code = playlist_check_master(&m, RGPU_ERROR_PARAM, err);
    if (code)
        return code;
    add_head(out, m.version, m.independent_segments);
    for (int i = 0; i < m.renditions_count; i++)
        add_rendition(out, &m.renditions[i]);
    for (int i = 0; i < m.variants_count; i++)
        add_variant(out, &m.variants[i]);
    return finish(out, start, err);
}

void playlist_done(struct playlist *p)
{
    free(p->master.variants);
    free(p->master.renditions);
    free(p->media.segments);
    free(p->text);
    *p = (struct playlist){0};
}
