#include "file/whole.h"

#include <errno.h>
#include <unistd.h>

/* Writes where `out`, else reads; the one that is not asked for may be NULL. */
static int move(int fd, char *in, const char *out, size_t size, off_t at)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = out ? pwrite(fd, out + done, size - done, at + (off_t)done)
                              : pread(fd, in + done, size - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        done += (size_t)n;
    }
    return 0;
}

int whole_read(int fd, void *data, size_t size, off_t at)
{
    return move(fd, data, NULL, size, at);
}

int whole_write(int fd, const void *data, size_t size, off_t at)
{
    return move(fd, NULL, data, size, at);
}
