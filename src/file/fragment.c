#include "file/fragment.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "file/big_endian.h"
#include "file/output.h"
#include "file/whole.h"

/* Finds tfdt in moof or traf and changes it in place; the muxer writes its 64-bit form. */
static bool move_boxes(uint8_t *data, size_t size, int64_t ticks)
{
    bool moved = false;
    for (size_t pos = 0; size - pos >= 8;) {
        const size_t length = (size_t)read_be(data + pos, 4);
        const uint8_t *type = data + pos + 4;
        if (length < 8 || length > size - pos)
            return moved;
        if (memcmp(type, "traf", 4) == 0) {
            moved |= move_boxes(data + pos + 8, length - 8, ticks);
        } else if (memcmp(type, "tfdt", 4) == 0 && length >= 20 && data[pos + 8] == 1) {
            const uint64_t time = read_be(data + pos + 12, 8) + (uint64_t)ticks;
            write_be(data + pos + 12, 8, time);
            moved = true;
        }
        pos += length;
    }
    return moved;
}

static int move_moof(int fd, off_t at, uint64_t length, int64_t ticks)
{
    if (length > FRAGMENT_HEADER_MAX)
        return -EFBIG;
    uint8_t *data = malloc((size_t)length);
    if (!data)
        return -ENOMEM;
    int rc = whole_read(fd, data, (size_t)length, at);
    if (rc == 0)
        rc = move_boxes(data + 8, (size_t)length - 8, ticks) ? 0 : -EINVAL;
    if (rc == 0)
        rc = whole_write(fd, data, (size_t)length, at);
    free(data);
    return rc;
}

int fragment_move(int fd, int64_t ticks, const char *path, struct error *err)
{
    const off_t size = lseek(fd, 0, SEEK_END);
    int rc = size < 0 ? -errno : 0;
    for (off_t pos = 0; rc == 0 && size - pos >= 8;) {
        uint8_t head[16];
        const size_t have = size - pos >= 16 ? 16 : 8;
        rc = whole_read(fd, head, have, pos);
        if (rc < 0)
            break;
        uint64_t length = read_be(head, 4);
        if (length == 1 && have == 16)
            length = read_be(head + 8, 8);
        if (length < 8 || length > (uint64_t)(size - pos))
            break;
        if (memcmp(head + 4, "moof", 4) == 0)
            rc = move_moof(fd, pos, length, ticks);
        pos += (off_t)length;
    }
    return rc < 0 ? output_errno(-rc, path, err) : 0;
}
