/* A range of a file, read or written whole: short calls and interrupted ones are continued.
 * Threads: pure but for the file. */
#ifndef FILE_WHOLE_H
#define FILE_WHOLE_H

#include <stddef.h>
#include <sys/types.h>

/* 0, or a negative errno; a file that ends too early is -EIO. */
int whole_read(int fd, void *data, size_t size, off_t at);
int whole_write(int fd, const void *data, size_t size, off_t at);

#endif
