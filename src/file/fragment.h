/* Fragments of MP4 (moof boxes) that are complete on disk: moving them in time.
 * Threads: pure but for the file. Memory: one moof box. Limits: FRAGMENT_HEADER_MAX bytes of it. */
#ifndef FILE_FRAGMENT_H
#define FILE_FRAGMENT_H

#include <stdint.h>

#include "base/error.h"

#define FRAGMENT_HEADER_MAX (16 * 1048576)

/* Adds `ticks` to the decode time of every fragment in a file; errors name `path`. */
int fragment_move(int fd, int64_t ticks, const char *path, struct error *err);

#endif
