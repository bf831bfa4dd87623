/* Which tracks of the source are kept: the text of --map. Pure. */
#ifndef API_SELECT_H
#define API_SELECT_H

#include "base/error.h"
#include "file/reader.h"

/* Fills keep[0 .. reader_tracks_count) from `map`: a comma-separated list of track numbers ("0,2"),
 * kinds ("v", "a", "s", "t" for attachments, "d"), or the n-th of a kind ("a:1"); NULL or "": all.
 * PARAM with a text that names the part that matches nothing. Attachments and covers are kept
 * unless the map names some. */
int select_tracks(const struct reader *reader, const char *map, bool *keep, struct error *err);

/* PARAM where a part of the map could not match in any file. */
int select_check(const char *map, struct error *err);

/* The first video track that a map asks for: its number, or -1. */
int select_video(const struct reader *reader, const char *map);

#endif
