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

/* Siblings that go by the name: WebM is MKV with fewer codecs, MOV is MP4 as QuickTime had it
 * before, and .m2ts and .mts are MPEG-TS with a time in front of each packet. */
bool container_is_webm(const char *path);
bool container_is_mov(const char *path);
bool container_is_m2ts(const char *path);

/* As container_name, container_takes_codec and, of what container_takes or converts,
 * container_takes, for the sibling that the path names. */
const char *container_path_name(enum container container, const char *path);
bool container_path_takes_codec(enum container container, const char *path, const char *codec);
bool container_path_allows(const char *path, const struct reader_track *track);

/* How QuickTime's muxer knows a language that has this code of ISO 639-2; NULL: not at all. */
const char *container_mov_language(const char *code);

#endif
