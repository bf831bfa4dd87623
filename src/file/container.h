/* What each kind of container can hold; the public half is in file/writer.h.
 * Threads: pure functions over static tables. */
#ifndef FILE_CONTAINER_H
#define FILE_CONTAINER_H

#include <libavcodec/codec_id.h>

#include "file/writer.h"

/* How subtitles of a text format get into a container that does not take the format as it is.
 * AV_CODEC_ID_NONE: not at all (the format is pictures, or the container has no text). */
enum AVCodecID container_text_codec(enum container container, enum AVCodecID codec);

/* Whether a codec is in the container's table. */
bool container_takes_id(enum container container, enum AVCodecID codec);

/* Whether the path asks for WebM, the small sibling of MKV. */
bool container_is_webm(const char *path);

#endif
