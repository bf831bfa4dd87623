/* CodecDelay for the MKV muxers of libavformat that write it for Opus only (before version 60): the
 * header is made with room for the element, which is filled in when the file is complete.
 *
 * Matroska: the delay is subtracted from a track's block time stamps to get real time, so that
 * priming samples can lie before time zero without a negative time stamp in the file.
 *
 * Threads: pure but for the file. Memory: the first MKV_HEADER_MAX bytes. */
#ifndef FILE_MKV_H
#define FILE_MKV_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

#define MKV_HEADER_MAX (4 * 1048576)

struct AVStream;

/* Whether libavformat's muxer subtracts initial_padding itself and says so in the header. */
bool mkv_muxer_knows_delay(void);

/* Makes room in a stream's entry (in its title). MEMORY, or 0. Before the header is written. */
int mkv_reserve_delay(struct AVStream *st);

/* Fills in the room of track `number` (from 1); errors name `path`. INTERNAL: there is none. */
int mkv_write_delay(int fd, int number, int64_t delay_ns, const char *path, struct error *err);

#endif
