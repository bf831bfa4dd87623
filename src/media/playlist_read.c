#include <stdlib.h>
#include <string.h>

#include "media/playlist_rules.h"

#define ATTRIBUTES_MAX 32
#define LINE_ERROR_MAX 80 /* bytes of a line that an error shows */

struct attribute {
    const char *name, *value;
    bool quoted;
};

struct attributes {
    struct attribute list[ATTRIBUTES_MAX];
    int count;
};

struct reader {
    struct playlist p;
    bool is_media; /* a tag of media playlists was there */
    bool has_version, has_target, has_extinf, has_stream_inf, has_fraction, discontinuity, gap;
    int64_t duration_us; /* of the EXTINF above */
    int variants_capacity, renditions_capacity, segments_capacity;
    struct error *err;
};

static int broken(struct reader *r, const char *line)
{
    return error_set(r->err, RGPU_ERROR_INPUT, "HLS playlist: cannot read the line \"%.*s\"",
                     LINE_ERROR_MAX, line);
}

/* Room for one more of `size` bytes in *list. */
static int grow(struct reader *r, void *list, int count, int *capacity, int max, size_t size)
{
    if (count < *capacity)
        return 0;
    if (count >= max)
        return error_set(r->err, RGPU_ERROR_INPUT, "HLS playlist: more than %d entries", max);
    int bigger = *capacity ? *capacity * 2 : 16;
    if (bigger > max)
        bigger = max;
    void **address = list;
    void *moved = realloc(*address, (size_t)bigger * size);
    if (!moved)
        return error_memory(r->err, "an HLS playlist");
    *address = moved;
    *capacity = bigger;
    return 0;
}

/* ---- values (4.2) -------------------------------------------------------------------------------
 */

static bool read_integer(const char **text, int64_t max, int64_t *ret)
{
    const char *p = *text;
    int64_t value = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (value > (max - (*p - '0')) / 10)
            return false;
        value = value * 10 + (*p - '0');
    }
    *text = p;
    *ret = value;
    return true;
}

static bool whole_integer(const char *text, int64_t max, int64_t *ret)
{
    return text && read_integer(&text, max, ret) && *text == '\0';
}

/* decimal-floating-point in units of 1 / scale (a power of ten); further digits are cut off. */
static bool read_decimal(const char **text, int64_t max, int64_t scale, int64_t *ret)
{
    int64_t whole;
    if (!read_integer(text, max, &whole))
        return false;
    int64_t value = whole * scale;
    if (**text == '.') {
        for ((*text)++; **text >= '0' && **text <= '9'; (*text)++) {
            scale /= 10;
            value += (**text - '0') * scale;
        }
    }
    *ret = value;
    return true;
}

/* Splits an attribute list in place. */
static bool read_attributes(char *p, struct attributes *ret)
{
    ret->count = 0;
    while (*p) {
        struct attribute a = {.name = p};
        while ((*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '-')
            p++;
        if (p == a.name || *p != '=' || ret->count == ATTRIBUTES_MAX)
            return false;
        *p++ = '\0';
        a.quoted = *p == '"';
        if (a.quoted) {
            a.value = ++p;
            p = strchr(p, '"');
            if (!p)
                return false;
            *p++ = '\0';
        } else {
            a.value = p;
            while (*p && *p != ',' && *p != '"' && *p != ' ')
                p++;
            if (p == a.value)
                return false;
        }
        if (*p && *p != ',')
            return false;
        const bool more = *p == ',';
        *p = '\0';
        if (more && p[1] == '\0')
            return false;
        p += more;
        for (int i = 0; i < ret->count; i++)
            if (strcmp(ret->list[i].name, a.name) == 0)
                return false;
        ret->list[ret->count++] = a;
    }
    return true;
}

/* Value of an attribute; NULL where it is absent. *ok becomes false where it should (not) have been
 * quoted. */
static const char *find(const struct attributes *attributes, const char *name, bool quoted,
                        bool *ok)
{
    for (int i = 0; i < attributes->count; i++)
        if (strcmp(attributes->list[i].name, name) == 0) {
            *ok = *ok && attributes->list[i].quoted == quoted;
            return attributes->list[i].value;
        }
    return NULL;
}

static bool find_flag(const struct attributes *attributes, const char *name, bool *ok)
{
    const char *value = find(attributes, name, false, ok);
    if (!value || strcmp(value, "NO") == 0)
        return false;
    *ok = *ok && strcmp(value, "YES") == 0;
    return true;
}

/* ---- tags
 * ------------------------------------------------------------------------------------------ */

static int read_rendition(struct reader *r, char *list, const char *line)
{
    struct playlist_master *m = &r->p.master;
    struct attributes a;
    struct playlist_rendition n = {0};
    bool ok = read_attributes(list, &a);
    if (!ok)
        return broken(r, line);
    const char *type = find(&a, "TYPE", false, &ok);
    if (!type)
        return broken(r, line);
    if (strcmp(type, "SUBTITLES") == 0)
        n.type = PLAYLIST_SUBTITLES;
    else if (strcmp(type, "AUDIO") != 0)
        return 0; /* VIDEO and CLOSED-CAPTIONS are nothing that is written here */
    n.group = find(&a, "GROUP-ID", true, &ok);
    n.name = find(&a, "NAME", true, &ok);
    n.language = find(&a, "LANGUAGE", true, &ok);
    n.uri = find(&a, "URI", true, &ok);
    n.characteristics = find(&a, "CHARACTERISTICS", true, &ok);
    n.is_default = find_flag(&a, "DEFAULT", &ok);
    bool ignored = true;
    const char *autoselect = find(&a, "AUTOSELECT", false, &ignored);
    n.autoselect = find_flag(&a, "AUTOSELECT", &ok);
    n.forced = find_flag(&a, "FORCED", &ok);
    /* "6" or "6/JOC": what is behind the count is not kept. */
    const char *channels = find(&a, "CHANNELS", true, &ok);
    int64_t count = 0;
    if (channels &&
        (!read_integer(&channels, INT32_MAX, &count) || (*channels && *channels != '/')))
        ok = false;
    n.channels = n.type == PLAYLIST_AUDIO ? (int32_t)count : 0;
    if (!ok || (n.is_default && autoselect && !n.autoselect))
        return broken(r, line);
    n.autoselect = n.autoselect || n.is_default;
    const int code = grow(r, &m->renditions, m->renditions_count, &r->renditions_capacity,
                          PLAYLIST_RENDITIONS_MAX, sizeof(n));
    if (code == 0)
        m->renditions[m->renditions_count++] = n;
    return code;
}

static bool read_resolution(const char *value, struct playlist_variant *v)
{
    int64_t width, height;
    if (!read_integer(&value, INT32_MAX, &width) || *value++ != 'x' ||
        !whole_integer(value, INT32_MAX, &height) || width == 0 || height == 0)
        return false;
    v->width = (int32_t)width;
    v->height = (int32_t)height;
    return true;
}

static bool read_range(const char *value, struct playlist_variant *v)
{
    static const char *const names[] = {"SDR", "PQ", "HLG"};
    for (int i = 0; i < 3; i++)
        if (strcmp(value, names[i]) == 0)
            v->range = (enum playlist_range)(PLAYLIST_SDR + i);
    return v->range != PLAYLIST_RANGE_UNKNOWN;
}

static int read_variant(struct reader *r, char *list, const char *line)
{
    struct playlist_master *m = &r->p.master;
    struct attributes a;
    struct playlist_variant v = {0};
    bool ok = !r->has_stream_inf && read_attributes(list, &a);
    if (!ok)
        return broken(r, line);
    const char *value = find(&a, "BANDWIDTH", false, &ok);
    ok = ok && whole_integer(value, INT64_MAX, &v.bandwidth_bps);
    value = find(&a, "AVERAGE-BANDWIDTH", false, &ok);
    ok = ok && (!value || whole_integer(value, INT64_MAX, &v.average_bandwidth_bps));
    v.codecs = find(&a, "CODECS", true, &ok);
    value = find(&a, "RESOLUTION", false, &ok);
    ok = ok && (!value || read_resolution(value, &v));
    value = find(&a, "FRAME-RATE", false, &ok);
    int64_t milli = 0;
    if (value) {
        ok = ok && read_decimal(&value, 1000000, 1000, &milli) && *value == '\0';
        if (ok)
            v.frame_rate = rational_reduce(milli, 1000);
    }
    value = find(&a, "VIDEO-RANGE", false, &ok);
    ok = ok && (!value || read_range(value, &v));
    v.audio = find(&a, "AUDIO", true, &ok);
    v.subtitles = find(&a, "SUBTITLES", true, &ok);
    if (!ok)
        return broken(r, line);
    const int code = grow(r, &m->variants, m->variants_count, &r->variants_capacity,
                          PLAYLIST_VARIANTS_MAX, sizeof(v));
    if (code == 0) {
        m->variants[m->variants_count] = v;
        r->has_stream_inf = true;
    }
    return code;
}

static int read_map(struct reader *r, char *list, const char *line)
{
    struct attributes a;
    bool ok = read_attributes(list, &a);
    const char *uri = ok ? find(&a, "URI", true, &ok) : NULL;
    /* Another initialisation section later on is nothing that is written here. */
    if (!ok || !uri || r->p.media.map_uri)
        return broken(r, line);
    r->p.media.map_uri = uri;
    return 0;
}

static int read_extinf(struct reader *r, const char *value, const char *line)
{
    /* The target duration bounds it: 10^6 s here, so that nothing overflows. */
    if (r->has_extinf || !read_decimal(&value, 1000000, 1000000, &r->duration_us) || *value != ',')
        return broken(r, line);
    r->has_fraction |= r->duration_us % 1000000 != 0;
    r->has_extinf = true;
    return 0;
}

enum tag {
    TAG_VERSION,
    TAG_INDEPENDENT,
    TAG_MEDIA,
    TAG_STREAM_INF,
    TAG_TARGET,
    TAG_SEQUENCE,
    TAG_TYPE,
    TAG_MAP,
    TAG_EXTINF,
    TAG_DISCONTINUITY,
    TAG_GAP,
    TAG_END,
    TAG_UNKNOWN,
};

static const struct {
    const char *text; /* with its colon where a value follows */
    char kind;        /* 'm'edia or m'a'ster playlists only, '.' either */
} tags[TAG_UNKNOWN] = {
    [TAG_VERSION] = {"#EXT-X-VERSION:", '.'},
    [TAG_INDEPENDENT] = {"#EXT-X-INDEPENDENT-SEGMENTS", '.'},
    [TAG_MEDIA] = {"#EXT-X-MEDIA:", 'a'},
    [TAG_STREAM_INF] = {"#EXT-X-STREAM-INF:", 'a'},
    [TAG_TARGET] = {"#EXT-X-TARGETDURATION:", 'm'},
    [TAG_SEQUENCE] = {"#EXT-X-MEDIA-SEQUENCE:", 'm'},
    [TAG_TYPE] = {"#EXT-X-PLAYLIST-TYPE:", 'm'},
    [TAG_MAP] = {"#EXT-X-MAP:", 'm'},
    [TAG_EXTINF] = {"#EXTINF:", 'm'},
    [TAG_DISCONTINUITY] = {"#EXT-X-DISCONTINUITY", 'm'},
    [TAG_GAP] = {"#EXT-X-GAP", 'm'},
    [TAG_END] = {"#EXT-X-ENDLIST", 'm'},
};

static enum tag tag_of(const char *line, const char **ret_value)
{
    for (int i = 0; i < TAG_UNKNOWN; i++) {
        const size_t size = strlen(tags[i].text);
        if (strncmp(line, tags[i].text, size) != 0)
            continue;
        if (tags[i].text[size - 1] == ':' || line[size] == '\0') {
            *ret_value = line + size;
            return (enum tag)i;
        }
    }
    return TAG_UNKNOWN;
}

static int read_number_tag(struct reader *r, enum tag tag, const char *value, const char *line)
{
    int64_t number;
    bool *seen = tag == TAG_VERSION ? &r->has_version : &r->has_target;
    if (!whole_integer(value, tag == TAG_SEQUENCE ? INT64_MAX : 1000000, &number))
        return broken(r, line);
    if (tag == TAG_SEQUENCE) {
        r->p.media.media_sequence = number;
        return 0;
    }
    if (*seen)
        return broken(r, line);
    *seen = true;
    if (tag == TAG_VERSION)
        r->p.master.version = r->p.media.version = (int)number;
    else
        r->p.media.target_duration_s = (int32_t)number;
    return 0;
}

static int read_tag(struct reader *r, char *line)
{
    const char *value = NULL;
    const enum tag tag = tag_of(line, &value);
    if (tag == TAG_UNKNOWN)
        return 0;
    r->is_media |= tags[tag].kind == 'm';
    r->p.is_master |= tags[tag].kind == 'a';
    char *list = line + (value - line);
    switch (tag) {
    case TAG_VERSION:
    case TAG_TARGET:
    case TAG_SEQUENCE:
        return read_number_tag(r, tag, value, line);
    case TAG_INDEPENDENT:
        r->p.master.independent_segments = r->p.media.independent_segments = true;
        return 0;
    case TAG_MEDIA:
        return read_rendition(r, list, line);
    case TAG_STREAM_INF:
        return read_variant(r, list, line);
    case TAG_TYPE:
        if (strcmp(value, "VOD") != 0 && strcmp(value, "EVENT") != 0)
            return broken(r, line);
        r->p.media.type = *value == 'V' ? PLAYLIST_VOD : PLAYLIST_EVENT;
        return 0;
    case TAG_MAP:
        return read_map(r, list, line);
    case TAG_EXTINF:
        return read_extinf(r, value, line);
    case TAG_DISCONTINUITY:
        r->discontinuity = true;
        return 0;
    case TAG_GAP:
        r->gap = true;
        return 0;
    case TAG_END:
    case TAG_UNKNOWN:
        break;
    }
    r->p.media.ended = true;
    return 0;
}

/* A line that is no tag and no comment. */
static int read_uri(struct reader *r, const char *line)
{
    struct playlist_media *m = &r->p.media;
    if (r->has_stream_inf) {
        r->p.master.variants[r->p.master.variants_count++].uri = line;
        r->has_stream_inf = false;
        return 0;
    }
    if (!r->has_extinf)
        return error_set(r->err, RGPU_ERROR_INPUT, "HLS playlist: nothing says what \"%.*s\" is",
                         LINE_ERROR_MAX, line);
    const struct playlist_segment s = {.uri = line,
                                       .duration_us = r->duration_us,
                                       .discontinuity = r->discontinuity,
                                       .gap = r->gap};
    const int code = grow(r, &m->segments, m->segments_count, &r->segments_capacity,
                          PLAYLIST_SEGMENTS_MAX, sizeof(s));
    if (code == 0)
        m->segments[m->segments_count++] = s;
    r->has_extinf = r->discontinuity = r->gap = false;
    return code;
}

/* ---- the whole
 * --------------------------------------------------------------------------------------- */

static bool is_plain_text(const char *text, size_t size)
{
    for (size_t i = 0, step; i < size; i += step) {
        const unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\n' && c != '\r') || c == 0x7f)
            return false;
        step = playlist_utf8(text + i);
        if (step == 0)
            return false;
    }
    return true;
}

static int read_lines(struct reader *r, char *text, size_t size)
{
    bool first = true;
    char *const text_end = text + size;
    for (char *line = text; line && line < text_end;) {
        char *end = memchr(line, '\n', (size_t)(text_end - line));
        char *next = end ? end + 1 : NULL;
        if (!end)
            end = text_end;
        if (end > line && end[-1] == '\r')
            end--;
        *end = '\0';
        int code = 0;
        if (first && strcmp(line, "#EXTM3U") != 0)
            code = error_set(r->err, RGPU_ERROR_INPUT, "HLS playlist: #EXTM3U is missing");
        else if (line[0] == '#')
            code = read_tag(r, line);
        else if (line[0])
            code = read_uri(r, line);
        if (code)
            return code;
        first = false;
        line = next;
    }
    if (first || r->has_extinf || r->has_stream_inf || r->is_media == r->p.is_master)
        return error_set(r->err, RGPU_ERROR_INPUT,
                         "HLS playlist: it is cut short, or neither master nor media playlist");
    if (!r->has_version)
        r->p.master.version = r->p.media.version = 1;
    if (r->has_fraction && r->p.media.version < 3)
        return error_set(r->err, RGPU_ERROR_INPUT,
                         "HLS playlist: durations with fractions need EXT-X-VERSION 3");
    return r->p.is_master ? playlist_check_master(&r->p.master, RGPU_ERROR_INPUT, r->err)
                          : playlist_check_media(&r->p.media, RGPU_ERROR_INPUT, r->err);
}

int playlist_read(const void *data, size_t size, struct playlist *ret, struct error *err)
{
    if (size > PLAYLIST_SIZE_MAX)
        return error_set(err, RGPU_ERROR_INPUT, "HLS playlist: %zu bytes are too many", size);
    struct reader r = {.err = err};
    r.p.text = malloc(size + 1);
    if (!r.p.text)
        return error_memory(err, "an HLS playlist");
    if (size)
        memcpy(r.p.text, data, size);
    r.p.text[size] = '\0';
    const int code = is_plain_text(r.p.text, size)
                         ? read_lines(&r, r.p.text, size)
                         : error_set(err, RGPU_ERROR_INPUT,
                                     "HLS playlist: it has bytes that are no text in UTF-8");
    if (code)
        playlist_done(&r.p);
    else
        *ret = r.p;
    return code;
}
