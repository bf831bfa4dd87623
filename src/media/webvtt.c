#include "media/webvtt.h"

#include <string.h>

#include "media/playlist_rules.h"

#define SETTINGS_MAX 256 /* bytes */
#define ASS_FIELDS 8     /* in front of an event's text */
#define REPLACEMENT "\xef\xbf\xbd"
#define NO_BREAK_SPACE "\xc2\xa0"

/* ---- parts of a file ------------------------------------------------------------------------ */

int webvtt_add_head(struct text *out)
{
    return text_add(out, "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:0\n\n");
}

static void add_time(struct text *out, int64_t ms)
{
    text_printf(out, "%02lld:%02d:%02d.%03d", (long long)(ms / 3600000), (int)(ms / 60000 % 60),
                (int)(ms / 1000 % 60), (int)(ms % 1000));
}

/* Settings are "name:value" words of printable ASCII; whatever else there is is no setting. */
static void add_settings(struct text *out, const char *settings)
{
    size_t used = 0;
    for (const char *p = settings; *p && used < SETTINGS_MAX;) {
        const size_t gap = strspn(p, " \t");
        const size_t size = strcspn(p + gap, " \t\r\n");
        bool plain = size > 0 && memchr(p + gap, ':', size);
        for (size_t i = 0; i < size; i++)
            plain &= p[gap + i] > ' ' && p[gap + i] < 0x7f && p[gap + i] != '>';
        used += size + 1;
        if (plain && used <= SETTINGS_MAX) {
            text_add(out, " ");
            text_add_bytes(out, p + gap, size);
        }
        p += gap + size;
        if (*p == '\r' || *p == '\n')
            return;
    }
}

int webvtt_add_cue(struct text *out, int64_t begin_ms, int64_t end_ms, const char *settings,
                   const char *payload)
{
    add_time(out, begin_ms);
    text_add(out, " --> ");
    add_time(out, end_ms);
    if (settings)
        add_settings(out, settings);
    text_add(out, "\n");
    text_add(out, payload);
    return text_add(out, "\n\n");
}

/* Takes everything behind `start` back. */
static void cut_back(struct text *t, size_t start)
{
    t->size = start;
    if (t->data)
        t->data[start] = '\0';
}

/* ---- ASS ------------------------------------------------------------------------------------ */

enum style { BOLD, ITALIC, UNDERLINE, STYLES };

static const char style_letter[STYLES] = {'b', 'i', 'u'};

struct ass {
    struct text *out;
    bool wanted[STYLES];
    enum style open[STYLES]; /* innermost last */
    int open_count;
    int breaks;   /* line breaks to come in front of the next character */
    bool begun;   /* something was appended */
    bool seen;    /* something other than spaces was */
    bool drawing; /* text is the points of a shape */
};

static bool is_open(const struct ass *a, enum style style)
{
    for (int i = 0; i < a->open_count; i++)
        if (a->open[i] == style)
            return true;
    return false;
}

/* Ends the tags that are not wanted, and with them those within. */
static void close_tags(struct ass *a)
{
    int keep = 0;
    while (keep < a->open_count && a->wanted[a->open[keep]])
        keep++;
    while (a->open_count > keep)
        text_printf(a->out, "</%c>", style_letter[a->open[--a->open_count]]);
}

/* Tags and line breaks are written when a character follows that they are for. */
static void add_piece(struct ass *a, const char *piece, size_t size)
{
    if (a->drawing)
        return;
    close_tags(a);
    for (; a->breaks > 0; a->breaks--) {
        text_add(a->out, "\n");
        /* An empty line would end the cue. */
        if (a->breaks > 1)
            text_add(a->out, "&nbsp;");
    }
    for (int i = 0; i < STYLES; i++) {
        if (!a->wanted[i] || is_open(a, (enum style)i))
            continue;
        text_printf(a->out, "<%c>", style_letter[i]);
        a->open[a->open_count++] = (enum style)i;
    }
    text_add_bytes(a->out, piece, size);
    a->begun = true;
}

static void add_break(struct ass *a)
{
    if (a->begun && !a->drawing)
        a->breaks++;
}

/* One character at `p`; gives its length. */
static size_t add_character(struct ass *a, const char *p)
{
    const unsigned char c = (unsigned char)*p;
    const size_t size = playlist_utf8(p);
    if (c < ' ' || c == 0x7f) {
        if (c == '\n')
            add_break(a);
        else if (c == '\t')
            add_piece(a, " ", 1);
        return 1;
    }
    a->seen |= c != ' ' && !a->drawing;
    if (size == 0)
        add_piece(a, REPLACEMENT, strlen(REPLACEMENT));
    else if (c == '&')
        add_piece(a, "&amp;", 5);
    else if (c == '<')
        add_piece(a, "&lt;", 4);
    else if (c == '>')
        add_piece(a, "&gt;", 4);
    else
        add_piece(a, p, size);
    return size ? size : 1;
}

/* \N, \n, \h and escaped braces; gives the length. */
static size_t add_escape(struct ass *a, const char *p)
{
    switch (p[1]) {
    case 'N':
        add_break(a);
        return 2;
    case 'n':
        add_piece(a, " ", 1);
        return 2;
    case 'h':
        add_piece(a, NO_BREAK_SPACE, strlen(NO_BREAK_SPACE));
        return 2;
    case '{':
    case '}':
    case '\\':
        return 1 + add_character(a, p + 1);
    default:
        return add_character(a, p);
    }
}

/* The number behind a tag's letter; -1: none, which means the style's own. False: the letter begins
 * another tag's name. */
static bool tag_number(const char *p, const char *end, int *ret)
{
    int number = p < end && *p >= '0' && *p <= '9' ? 0 : -1;
    for (; p < end && *p >= '0' && *p <= '9'; p++)
        number = number > 99999 ? number : number * 10 + (*p - '0');
    while (p < end && *p == ' ')
        p++;
    *ret = number;
    return p == end || *p == '\\';
}

static void take_override(struct ass *a, const char *tag, const char *end)
{
    int number;
    if (*tag == 'r') {
        memset(a->wanted, 0, sizeof(a->wanted));
    } else if (tag_number(tag + 1, end, &number)) {
        if (*tag == 'b') /* a weight is bold from 600 on */
            a->wanted[BOLD] = number == 1 || number >= 600;
        else if (*tag == 'i')
            a->wanted[ITALIC] = number > 0;
        else if (*tag == 'u')
            a->wanted[UNDERLINE] = number > 0;
        else if (*tag == 'p')
            a->drawing = number > 0;
    }
}

/* Overrides between braces; what parentheses hold belongs to a tag without meaning here. */
static void take_overrides(struct ass *a, const char *p, const char *end)
{
    int depth = 0;
    for (; p < end; p++) {
        depth += *p == '(' ? 1 : *p == ')' && depth > 0 ? -1 : 0;
        if (*p == '\\' && depth == 0 && p + 1 < end)
            take_override(a, p + 1, end);
    }
}

int webvtt_add_ass(struct text *out, const char *event, bool comments)
{
    struct ass a = {.out = out};
    const size_t start = out->size;
    const char *p = event;
    for (int i = 0; p && i < ASS_FIELDS; i++) {
        p = strchr(p, ',');
        p = p ? p + 1 : NULL;
    }
    while (p && *p) {
        const char *end = *p == '{' ? strchr(p, '}') : NULL;
        if (end && (comments || memchr(p, '\\', (size_t)(end - p)))) {
            take_overrides(&a, p + 1, end);
            p = end + 1;
        } else {
            p += *p == '\\' ? add_escape(&a, p) : add_character(&a, p);
        }
    }
    memset(a.wanted, 0, sizeof(a.wanted));
    close_tags(&a);
    if (!a.seen && !out->error)
        cut_back(out, start);
    return out->error;
}

/* ---- WebVTT --------------------------------------------------------------------------------- */

static void add_line(struct text *out, const char *p, const char *end)
{
    while (p < end) {
        const unsigned char c = (unsigned char)*p;
        const size_t size = playlist_utf8(p);
        if (c < ' ' || c == 0x7f)
            text_add(out, " ");
        else if (size == 0)
            text_add(out, REPLACEMENT);
        else if (c == '>' && out->size >= 2 && memcmp(out->data + out->size - 2, "--", 2) == 0)
            text_add(out, "&gt;");
        else
            text_add_bytes(out, p, size);
        p += size ? size : 1;
    }
}

int webvtt_add_own(struct text *out, const char *payload)
{
    bool begun = false;
    for (const char *p = payload; *p;) {
        const size_t size = strcspn(p, "\r\n");
        if (size > 0) {
            if (begun)
                text_add(out, "\n");
            begun = true;
            add_line(out, p, p + size);
        }
        p += size;
        p += strspn(p, "\r\n");
    }
    return out->error;
}
