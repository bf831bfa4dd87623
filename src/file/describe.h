/* Descriptions of output streams for libavformat's muxers: codec parameters, tags, dispositions and
 * side data, taken from the source's stream or from an encode's header.
 * Threads: pure but for memory; everything belongs to the AVFormatContext. */
#ifndef FILE_DESCRIBE_H
#define FILE_DESCRIBE_H

#include "file/writer.h"
#include "media/track.h"

struct AVFormatContext;
struct AVStream;
struct AVCodecParameters;
struct AVDictionary;

/* Copied track: everything of the source's. MEMORY, or 0. */
int describe_copy(struct AVStream *to, const struct AVStream *from);

/* Encoded rendition: the header, and of the source what is not of its coding (language, rotation,
 * stereo, disposition). `source` may be NULL. */
int describe_video(struct AVStream *to, const struct track *video, const struct AVStream *source,
                   struct error *err);

/* Audio encoded anew. */
int describe_audio(struct AVStream *to, const struct AVCodecParameters *par,
                   const struct AVStream *source);

/* A cover picture as an attachment, as MKV wants it; `from` has the picture. */
int describe_cover(struct AVStream *to, const struct AVStream *from);

/* Tags of the whole file, without those that describe the source's container. */
int describe_tags(struct AVDictionary **to, const struct AVDictionary *from);

/* Chapters, `shift_us` earlier, those that begin at or after `end_us` (0: none) left out. */
int describe_chapters(struct AVFormatContext *to, const struct AVFormatContext *from,
                      int64_t shift_us, int64_t end_us);

#endif
