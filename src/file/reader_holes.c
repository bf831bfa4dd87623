#include "file/reader_holes.h"

#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#define SCAN_BYTES 65536
#define ID_EBML 0x1a45dfa3u
#define ID_SEGMENT 0x18538067u
#define ID_CLUSTER 0x1f43b675u

struct element {
    uint32_t id;
    int64_t body, end; /* end is INT64_MAX where the size is not told */
};

/* In a segment, but for clusters. */
static bool is_top(uint32_t id)
{
    switch (id) {
    case 0x114d9b74u: /* seek head */
    case 0x1549a966u: /* info */
    case 0x1654ae6bu: /* tracks */
    case 0x1c53bb6bu: /* cues */
    case 0x1941a469u: /* attachments */
    case 0x1043a770u: /* chapters */
    case 0x1254c367u: /* tags */
        return true;
    default:
        return false;
    }
}

static bool is_child(uint32_t id)
{
    switch (id) {
    case 0xe7u:   /* time */
    case 0xa3u:   /* simple block */
    case 0xa0u:   /* block group */
    case 0xa7u:   /* position */
    case 0xabu:   /* size of the one before */
    case 0xafu:   /* encrypted block */
    case 0x5854u: /* silent tracks */
        return true;
    default:
        return false;
    }
}

static bool is_known(uint32_t id)
{
    return id == ID_CLUSTER || is_top(id) || is_child(id) || id == 0xecu /* void */ ||
           id == 0xbfu /* checksum */ || id == ID_EBML || id == ID_SEGMENT;
}

static int width_of(uint8_t first)
{
    return first ? __builtin_clz(first) - 23 : 9;
}

/* False where no element can be. */
static bool read_element(const struct holes *h, int64_t at, struct element *ret)
{
    uint8_t data[12] = {0};
    if (pread(h->fd, data, sizeof(data), (off_t)at) < 2)
        return false;
    const int id_width = width_of(data[0]),
              size_width = width_of(data[id_width > 4 ? 0 : id_width]);
    if (id_width > 4 || size_width > 8)
        return false;
    *ret = (struct element){.body = at + id_width + size_width, .end = INT64_MAX};
    for (int i = 0; i < id_width; i++)
        ret->id = ret->id << 8 | data[i];
    uint64_t size = data[id_width] & (0xffu >> size_width);
    for (int i = 1; i < size_width; i++)
        size = size << 8 | data[id_width + i];
    if (size != (UINT64_C(1) << 7 * size_width) - 1 &&
        __builtin_add_overflow(ret->body, (int64_t)size, &ret->end))
        return false;
    return true;
}

void holes_init(struct holes *ret, int fd, int64_t size_bytes)
{
    struct element e;
    *ret = (struct holes){.fd = fd};
    if (fd < 0 || !read_element(ret, 0, &e) || e.id != ID_EBML || !read_element(ret, e.end, &e) ||
        e.id != ID_SEGMENT) {
        holes_done(ret);
        return;
    }
    ret->first = ret->at = e.body;
    ret->segment_end = e.end < size_bytes ? e.end : size_bytes;
}

void holes_reset(struct holes *h)
{
    h->at = h->first;
    h->cluster_end = 0;
    h->skips = true;
}

/* Offset of the next cluster at or after `at`; the segment's end where none follows. */
static int64_t next_cluster(const struct holes *h, int64_t at)
{
    static const uint8_t id[4] = {0x1f, 0x43, 0xb6, 0x75};
    uint8_t data[SCAN_BYTES];
    while (at < h->segment_end) {
        const ssize_t n = pread(h->fd, data, sizeof(data), (off_t)at);
        if (n < (ssize_t)sizeof(id))
            break;
        const uint8_t *found = memmem(data, (size_t)n, id, sizeof(id));
        if (found) {
            at += found - data;
            return at < h->segment_end ? at : h->segment_end;
        }
        at += n - (ssize_t)sizeof(id) + 1;
    }
    return h->segment_end;
}

/* Whether the element fits in where it is. One of a kind unknown here does if a known one, or its
 * parent's end, follows. */
static bool fits(const struct holes *h, const struct element *e, int64_t parent_end)
{
    struct element next;
    if (e->end == INT64_MAX)
        return e->id == ID_CLUSTER;
    if (e->end > parent_end)
        return false;
    if (h->cluster_end ? is_top(e->id) || e->id == ID_CLUSTER : is_child(e->id))
        return false;
    return is_known(e->id) || e->end == parent_end ||
           (read_element(h, e->end, &next) && is_known(next.id));
}

/* Sees one element; whether the chain is broken there. */
static bool step(struct holes *h, int64_t offset)
{
    struct element e;
    if (h->cluster_end && h->at == h->cluster_end)
        h->cluster_end = 0;
    bool good = read_element(h, h->at, &e);
    /* A cluster without a size ends where something that cannot be in it begins. */
    if (good && h->cluster_end == INT64_MAX && (e.id == ID_CLUSTER || is_top(e.id)))
        h->cluster_end = 0;
    const bool sized = h->cluster_end && h->cluster_end != INT64_MAX;
    good = good && fits(h, &e, sized ? h->cluster_end : h->segment_end);
    if (!good) {
        h->at = next_cluster(h, h->at + 1);
        h->cluster_end = 0;
        return true;
    }
    if (e.id == ID_EBML) {
        h->at = h->segment_end; /* another film behind this one, which is not read */
        return false;
    }
    const bool enter = e.id == ID_CLUSTER && (!h->skips || e.end > offset);
    h->at = enter ? e.body : e.end;
    if (enter)
        h->cluster_end = e.end;
    return false;
}

int holes_follow(struct holes *h, int64_t offset)
{
    int breaks = 0;
    if (h->fd < 0 || offset < 0)
        return 0;
    while (h->at < offset && h->at < h->segment_end)
        breaks += step(h, offset);
    if (h->skips)
        breaks = 0;
    h->skips = false;
    return breaks;
}

void holes_done(struct holes *h)
{
    if (h->fd >= 0)
        close(h->fd);
    h->fd = -1;
}
