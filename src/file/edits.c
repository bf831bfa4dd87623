#include "file/edits.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "file/big_endian.h"
#include "file/output.h"
#include "file/whole.h"

#define FULL_BOX 12 /* size, type, version and flags */
#define ELST_HEADER 16
#define ELST_MAX (ELST_HEADER + 2 * 20)

struct box {
    off_t at, body, end;
    char type[5];
};

/* ---- boxes ---------------------------------------------------------------------------------- */

/* The box at `at`, of a parent that ends at `end`. -ENOENT: there is none. */
static int box_at(int fd, off_t at, off_t end, struct box *ret)
{
    uint8_t head[16];
    struct box b = {.at = at, .body = at + 8};
    if (end - at < 8)
        return -ENOENT;
    int rc = whole_read(fd, head, 8, at);
    uint64_t size = read_be(head, 4);
    if (rc == 0 && size == 1 && end - at >= 16) {
        rc = whole_read(fd, head + 8, 8, at + 8);
        size = read_be(head + 8, 8);
        b.body += 8;
    }
    if (rc < 0)
        return rc;
    if (size == 0)
        size = (uint64_t)(end - at);
    if (size < (uint64_t)(b.body - at) || size > (uint64_t)(end - at))
        return -EINVAL;
    b.end = at + (off_t)size;
    memcpy(b.type, head + 4, 4);
    *ret = b;
    return 0;
}

/* First box of the type in [at, end). */
static int find(int fd, off_t at, off_t end, const char *type, struct box *ret)
{
    int rc;
    while ((rc = box_at(fd, at, end, ret)) == 0 && strcmp(ret->type, type) != 0)
        at = ret->end;
    return rc;
}

static int find_in(int fd, const struct box *parent, const char *type, struct box *ret)
{
    return find(fd, parent->body, parent->end, type, ret);
}

/* ---- durations ------------------------------------------------------------------------------ */

/* Where a header box has its duration (and, just before it or before an unused field, its scale).
 * `skip`: bytes between the two times and the duration. */
struct duration {
    off_t at;
    int bytes;
    uint64_t value;
};

static int read_duration(int fd, const struct box *header, int skip, struct duration *ret)
{
    uint8_t data[8] = {0};
    int rc = whole_read(fd, data, 4, header->body);
    const int bytes = data[0] == 1 ? 8 : 4;
    const off_t at = header->body + 4 + 2 * bytes + skip;
    if (rc == 0 && at + bytes > header->end)
        rc = -EINVAL;
    if (rc == 0)
        rc = whole_read(fd, data, (size_t)bytes, at);
    if (rc == 0)
        *ret = (struct duration){at, bytes, read_be(data, bytes)};
    return rc;
}

static int write_duration(int fd, const struct duration *d, uint64_t value)
{
    uint8_t data[8];
    if (d->bytes == 4 && value > UINT32_MAX)
        return -ERANGE;
    write_be(data, d->bytes, value);
    return whole_write(fd, data, (size_t)d->bytes, d->at);
}

/* ---- edit lists ----------------------------------------------------------------------------- */

/* One entry of `bytes` wide numbers; rate 1. */
static uint8_t *put_entry(uint8_t *p, int bytes, int64_t duration, int64_t media)
{
    write_be(p, bytes, (uint64_t)duration);
    write_be(p + bytes, bytes, (uint64_t)media);
    write_be(p + 2 * bytes, 4, 1 << 16);
    return p + 2 * bytes + 4;
}

/* Fills the box, which has room for two entries; what is left over becomes free space. */
static int fill(int fd, const struct box *elst, int64_t empty, int64_t length, int64_t media)
{
    uint8_t data[ELST_MAX] = {0};
    const size_t size = (size_t)(elst->end - elst->at);
    int rc = size > sizeof(data) ? -EINVAL : whole_read(fd, data, size, elst->at);
    const int bytes = data[8] == 1 ? 8 : 4;
    const size_t entry = 2 * (size_t)bytes + 4;
    if (rc == 0 && size != ELST_HEADER + 2 * entry)
        rc = -EINVAL;
    if (rc == 0 && bytes == 4 && (empty > INT32_MAX || length > INT32_MAX || media > INT32_MAX))
        rc = -ERANGE;
    if (rc < 0)
        return rc;
    uint8_t *p = data + ELST_HEADER;
    if (empty > 0)
        p = put_entry(p, bytes, empty, -1);
    p = put_entry(p, bytes, length, media);
    write_be(data, 4, (uint64_t)(p - data));
    write_be(data + FULL_BOX, 4, empty > 0 ? 2 : 1);
    if (empty == 0) {
        write_be(p, 4, entry);
        write_be(p + 4, 4, 0x66726565); /* "free" */
        memset(p + 8, 0, entry - 8);
    }
    return whole_write(fd, data, size, elst->at);
}

static int64_t to_movie(int64_t ticks, const struct edit *e, uint32_t scale)
{
    return rational_rescale(ticks, e->time_base, (struct rational){1, (int32_t)scale},
                            ROUND_NEAREST);
}

static int edit_track(int fd, const struct box *trak, const struct box *tkhd, const struct edit *e,
                      uint32_t scale)
{
    struct box edts = {0}, elst = {0};
    struct duration duration = {0};
    int rc = find_in(fd, trak, "edts", &edts);
    if (rc == 0)
        rc = find_in(fd, &edts, "elst", &elst);
    if (rc == 0)
        rc = read_duration(fd, tkhd, 8, &duration);
    if (rc < 0)
        return rc;
    const int64_t empty = to_movie(e->first, e, scale);
    const int64_t length = to_movie(e->first + e->length, e, scale) - empty;
    rc = fill(fd, &elst, empty, length, e->media);
    return rc == 0 ? write_duration(fd, &duration, (uint64_t)(empty + length)) : rc;
}

static int is_video(int fd, const struct box *trak, bool *ret)
{
    struct box mdia = {0}, hdlr = {0};
    uint8_t kind[4] = {0};
    int rc = find_in(fd, trak, "mdia", &mdia);
    if (rc == 0)
        rc = find_in(fd, &mdia, "hdlr", &hdlr);
    if (rc == 0 && hdlr.end - hdlr.body < 12)
        rc = -EINVAL;
    if (rc == 0)
        rc = whole_read(fd, kind, sizeof(kind), hdlr.body + 8);
    *ret = rc == 0 && memcmp(kind, "vide", 4) == 0;
    return rc;
}

static int edit_movie(int fd, const struct box *moov, const struct edit *edits, int count)
{
    struct box mvhd = {0}, trak = {0}, tkhd = {0};
    struct duration whole = {0}, part = {0};
    uint8_t data[4];
    uint64_t longest = 0;
    int rc = find_in(fd, moov, "mvhd", &mvhd), videos = 0;
    if (rc == 0)
        rc = read_duration(fd, &mvhd, 4, &whole);
    if (rc == 0)
        rc = whole_read(fd, data, sizeof(data), whole.at - 4);
    const uint32_t scale = rc == 0 ? (uint32_t)read_be(data, 4) : 0;
    if (rc == 0 && (scale == 0 || scale > INT32_MAX))
        rc = -EINVAL;
    for (off_t at = moov->body; rc == 0; at = trak.end) {
        bool video = false;
        rc = find(fd, at, moov->end, "trak", &trak);
        if (rc == -ENOENT)
            break;
        if (rc == 0)
            rc = find_in(fd, &trak, "tkhd", &tkhd);
        if (rc == 0)
            rc = is_video(fd, &trak, &video);
        if (rc == 0 && video && videos < count && edits[videos].time_base.num)
            rc = edit_track(fd, &trak, &tkhd, &edits[videos], scale);
        if (rc == 0)
            rc = read_duration(fd, &tkhd, 8, &part);
        if (rc < 0)
            return rc;
        videos += video;
        longest = part.value > longest ? part.value : longest;
    }
    if (rc == -ENOENT)
        rc = videos == count ? write_duration(fd, &whole, longest) : -EINVAL;
    return rc;
}

int edits_write(int fd, const struct edit *edits, int count, const char *path, struct error *err)
{
    struct box moov = {0};
    const off_t size = lseek(fd, 0, SEEK_END);
    int rc = size < 0 ? -errno : find(fd, 0, size, "moov", &moov);
    if (rc == 0)
        rc = edit_movie(fd, &moov, edits, count);
    if (rc == -EINVAL || rc == -ENOENT || rc == -ERANGE)
        return error_set(err, RGPU_ERROR_INTERNAL, "%s: the edit list cannot be written", path);
    return rc < 0 ? output_errno(-rc, path, err) : 0;
}
