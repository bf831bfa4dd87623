/* What the playlist writer and reader share: the rules that both hold to. Used by playlist.c and
 * playlist_read.c, and webvtt.c for its characters; no one else.
 *
 * Threads: pure functions. Memory: nothing is allocated. */
#ifndef MEDIA_PLAYLIST_RULES_H
#define MEDIA_PLAYLIST_RULES_H

#include "media/playlist.h"

/* Whether a string is a URI reference that can stand on a line of a playlist. Takes NULL. */
bool playlist_is_uri(const char *uri);

/* Bytes of the UTF-8 character at `p` (NUL-terminated); 0 where there is none, or one of U+0080 to
 * U+009F, which playlists must not have. */
size_t playlist_utf8(const char *p);

/* 0, or `code` with the rule that is broken. `version` and `target_duration_s` must be set. */
int playlist_check_media(const struct playlist_media *m, int code, struct error *err);
int playlist_check_master(const struct playlist_master *m, int code, struct error *err);

#endif
