/* A result that was written as `DIR/` and is replaced by `DIR/master.m3u8`: its renditions lie in
 * DIR, among files that are not ours, and go by what its playlists name.
 *
 * Only FOLDER/index.m3u8 of the old master playlist counts, with a plain FOLDER in the same folder;
 * there only regular files that index.m3u8 names and that have a name that we give; then FOLDER if
 * nothing else is in it. Links are never followed. What the new playlist names stays.
 *
 * Threads: none of its own. Memory: a playlist at a time. */
#ifndef FILE_HLS_OLD_H
#define FILE_HLS_OLD_H

#include <stdbool.h>

/* Removes the renditions that the playlist `old` in `dir` names and the playlist `now` does not.
 * Does nothing unless both can be read and `now` is master.m3u8. */
void hls_old_remove(int dir, const char *old, const char *now);

/* Whether the input lies in a rendition that would be removed with the playlist `name`; `input` as
 * in leftover.h. */
bool hls_old_holds_input(int dir, const char *name, const char *input);

#endif
