#include "file/disjoint.h"

#include <libavcodec/packet.h>
#include <libavutil/intreadwrite.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

enum { LENGTH_SIZE = 2, BOX_SIZE = 8, STYLE_HEADER_SIZE = 10, STYLE_SIZE = 12 };

void disjoint_init(struct disjoint *ret)
{
    *ret = (struct disjoint){.now = INT64_MIN, .known = INT64_MIN};
}

static void drop(struct disjoint *d, int i)
{
    av_packet_free(&d->texts[i].pkt);
    memmove(&d->texts[i], &d->texts[i + 1], (size_t)(--d->count - i) * sizeof(d->texts[0]));
}

void disjoint_done(struct disjoint *d)
{
    while (d->count)
        drop(d, d->count - 1);
    free(d->texts);
    d->texts = NULL;
    d->capacity = 0;
}

int disjoint_push(struct disjoint *d, AVPacket *pkt)
{
    const int64_t start = pkt->pts > d->now ? pkt->pts : d->now;
    const int64_t end = pkt->pts + pkt->duration;
    if (d->count == DISJOINT_MAX || end <= start) {
        d->lost++;
        av_packet_free(&pkt);
        return 0;
    }
    if (d->count == d->capacity) {
        const int capacity = d->capacity ? 2 * d->capacity : 8;
        struct disjoint_text *texts = realloc(d->texts, (size_t)capacity * sizeof(*texts));
        if (!texts) {
            av_packet_free(&pkt);
            return RGPU_ERROR_MEMORY;
        }
        d->texts = texts;
        d->capacity = capacity;
    }
    int at = d->count++;
    for (; at > 0 && d->texts[at - 1].start > start; at--)
        d->texts[at] = d->texts[at - 1];
    d->texts[at] = (struct disjoint_text){.pkt = pkt, .start = start, .end = end};
    disjoint_progress(d, pkt->pts);
    return 0;
}

void disjoint_progress(struct disjoint *d, int64_t known)
{
    if (known > d->known)
        d->known = known;
}

bool disjoint_from(const struct disjoint *d, int64_t *ret)
{
    if (d->count == 0)
        return false;
    *ret = d->texts[0].start > d->now ? d->texts[0].start : d->now;
    return true;
}

/* ---- one sample of several texts ------------------------------------------------------------ */

struct sample {
    const uint8_t *text;
    size_t size;           /* of the text */
    const uint8_t *styles; /* records; NULL: none */
    size_t styles_count;
};

static struct sample parse(const AVPacket *pkt)
{
    const uint8_t *p = pkt->data, *end = p + pkt->size;
    struct sample s = {.text = p + LENGTH_SIZE, .size = AV_RB16(p)};
    if (s.size > (size_t)pkt->size - LENGTH_SIZE)
        s.size = (size_t)pkt->size - LENGTH_SIZE;
    p = s.text + s.size;
    while (end - p >= BOX_SIZE) {
        const size_t size = AV_RB32(p);
        if (size < BOX_SIZE || size > (size_t)(end - p))
            break;
        if (!memcmp(p + 4, "styl", 4) && size >= STYLE_HEADER_SIZE) {
            const size_t room = (size - STYLE_HEADER_SIZE) / STYLE_SIZE;
            s.styles = p + STYLE_HEADER_SIZE;
            s.styles_count = AV_RB16(p + BOX_SIZE) < room ? AV_RB16(p + BOX_SIZE) : room;
        }
        p += size;
    }
    return s;
}

/* Styles say where they begin and end by characters, not bytes. */
static size_t count_characters(const uint8_t *text, size_t size)
{
    size_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += (text[i] & 0xc0) != 0x80;
    return count;
}

/* Adds a text behind others, if it fits. */
static bool add_text(struct sample *all, uint8_t *text, uint8_t *styles, const struct sample *s)
{
    const size_t gap = all->size ? 1 : 0;
    if (all->size + gap + s->size > DISJOINT_BYTES ||
        all->styles_count + s->styles_count > UINT16_MAX)
        return false;
    if (gap)
        text[all->size++] = '\n';
    const size_t characters = count_characters(text, all->size);
    memcpy(text + all->size, s->text, s->size);
    all->size += s->size;
    for (size_t i = 0; i < s->styles_count; i++) {
        uint8_t *to = styles + all->styles_count++ * STYLE_SIZE;
        memcpy(to, s->styles + i * STYLE_SIZE, STYLE_SIZE);
        AV_WB16(to, AV_RB16(to) + characters);
        AV_WB16(to + 2, AV_RB16(to + 2) + characters);
    }
    return true;
}

static bool is_same(const AVPacket *a, const AVPacket *b)
{
    return a->size == b->size && !memcmp(a->data, b->data, (size_t)a->size);
}

/* The first `count` texts are shown together. */
static int join(struct disjoint *d, int count, AVPacket *ret)
{
    size_t styles_size = 0;
    for (int i = 0; i < count; i++)
        styles_size += (size_t)d->texts[i].pkt->size;
    uint8_t *text = malloc(DISJOINT_BYTES + 1), *styles = malloc(styles_size);
    struct sample all = {0};
    int rc = text && styles ? 0 : RGPU_ERROR_MEMORY;
    for (int i = 0; rc == 0 && i < count; i++) {
        bool twice = false;
        for (int k = 0; k < i; k++)
            twice |= is_same(d->texts[i].pkt, d->texts[k].pkt);
        const struct sample s = parse(d->texts[i].pkt);
        d->lost += !twice && !add_text(&all, text, styles, &s);
    }
    const size_t box = all.styles_count ? STYLE_HEADER_SIZE + all.styles_count * STYLE_SIZE : 0;
    if (rc == 0 && av_new_packet(ret, (int)(LENGTH_SIZE + all.size + box)) < 0)
        rc = RGPU_ERROR_MEMORY;
    if (rc == 0) {
        uint8_t *p = ret->data;
        AV_WB16(p, all.size);
        memcpy(p + LENGTH_SIZE, text, all.size);
        p += LENGTH_SIZE + all.size;
        if (box) {
            AV_WB32(p, (uint32_t)box);
            AV_WB32(p + 4, MKBETAG('s', 't', 'y', 'l'));
            AV_WB16(p + BOX_SIZE, all.styles_count);
            memcpy(p + STYLE_HEADER_SIZE, styles, all.styles_count * STYLE_SIZE);
        }
    }
    free(text);
    free(styles);
    return rc;
}

/* The first `count` texts from `now` up to `end`. */
static int make(struct disjoint *d, int count, int64_t end, AVPacket **ret)
{
    AVPacket *pkt = count == 1 ? av_packet_clone(d->texts[0].pkt) : av_packet_alloc();
    int rc = pkt ? 0 : RGPU_ERROR_MEMORY;
    if (rc == 0 && count > 1)
        rc = join(d, count, pkt);
    if (rc < 0) {
        av_packet_free(&pkt);
        return rc;
    }
    pkt->pts = pkt->dts = d->now;
    pkt->duration = end - d->now;
    pkt->flags |= AV_PKT_FLAG_KEY;
    *ret = pkt;
    return 0;
}

int disjoint_next(struct disjoint *d, AVPacket **ret)
{
    for (int i = d->count - 1; i >= 0; i--)
        if (d->texts[i].end <= d->now)
            drop(d, i);
    if (!disjoint_from(d, &d->now))
        return RGPU_ERROR_AGAIN;
    int64_t end = INT64_MAX;
    int count = 0;
    for (; count < d->count && d->texts[count].start <= d->now; count++)
        end = d->texts[count].end < end ? d->texts[count].end : end;
    if (count < d->count && d->texts[count].start < end)
        end = d->texts[count].start;
    if (end > d->known)
        return RGPU_ERROR_AGAIN;
    const int rc = make(d, count, end, ret);
    if (rc == 0)
        d->now = end;
    return rc;
}
