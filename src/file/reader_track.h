/* What libavformat says of a stream, in our words. Threads: pure. */
#ifndef FILE_READER_TRACK_H
#define FILE_READER_TRACK_H

#include "file/reader.h"

struct AVCodecParameters;
struct AVDictionary;

/* MEMORY; *ret is then empty. Release with reader_track_done. */
int reader_track_init(struct reader_track *ret, const struct AVStream *stream);
void reader_track_done(struct reader_track *track);

/* Side data of a stream, AV_PKT_DATA_...; NULL: none. Borrowed. */
const void *reader_stream_side_data(const struct AVStream *stream, int type, size_t *ret_size);

#endif
