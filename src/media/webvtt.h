/* WebVTT as HLS wants it (RFC 8216, 3.5): the head of a segment, cues, and their texts made of
 * other forms. What comes out is valid UTF-8 that cannot be taken for anything but the text of one
 * cue.
 *
 * Threads: pure but for memory. Memory: appended to a struct text of the caller. Limits: the
 * text's. Errors: MEMORY and LIMIT, as struct text keeps them. Any bytes are safe. */
#ifndef MEDIA_WEBVTT_H
#define MEDIA_WEBVTT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

/* The head of a segment, with cue times that are the media's own presentation times. */
int webvtt_add_head(struct text *out);

/* A cue and the empty line behind it; `end_ms` after `begin_ms`, neither negative. `settings`
 * (NULL: none) may be any bytes, `payload` is what the functions below make. */
int webvtt_add_cue(struct text *out, int64_t begin_ms, int64_t end_ms, const char *settings,
                   const char *payload);

/* Appends what an ASS event says ("ReadOrder,Layer,Style,...,Text", as libavcodec's decoders give
 * it): bold, italics and underline stay, drawings and all other overrides go. `comments`: braces
 * without an override are comments, as in ASS itself; else they are text. Nothing is appended where
 * nothing would be seen. */
int webvtt_add_ass(struct text *out, const char *event, bool comments);

/* Appends the text of a WebVTT cue as it is, but for what would end it: empty lines, arrows. */
int webvtt_add_own(struct text *out, const char *payload);

#endif
