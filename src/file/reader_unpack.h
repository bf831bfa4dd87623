/* Takes "packed" frames of MPEG-4 in AVI apart. AVI knows no order but that of decoding, and so
 * some encoders put a B-VOP into the chunk of the VOP it refers to, and an empty one (N-VOP) where
 * it belonged: neither could be cut nor timed.
 * Threads: one. Memory: a packet or two are kept. */
#ifndef FILE_READER_UNPACK_H
#define FILE_READER_UNPACK_H

#include <stdbool.h>

#include "base/error.h"

struct AVBSFContext;
struct AVPacket;
struct AVStream;
struct reader_track;

/* *ret is NULL where there is nothing to do: not such a track, or libavcodec lacks its filter. The
 * headers of `track` and of `stream` are made to say that nothing is packed. MEMORY. */
int unpack_init(struct AVBSFContext **ret, struct reader_track *track, struct AVStream *stream,
                const char *format_name);

/* Makes of `av` the packet that comes in its place. 0 with `av` filled; RGPU_ERROR_AGAIN: no packet
 * comes here; INPUT: it is damaged; MEMORY. */
int unpack_next(struct AVBSFContext *filter, struct AVPacket *av);

#endif
