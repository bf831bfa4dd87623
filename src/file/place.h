/* Where a result goes: made out of sight, put in place at the end, gone if that never happens.
 *
 * A file is written without a name (O_TMPFILE) where the file system can, else as
 * `.NAME.rgpu-XXXXXX` beside its destination; a folder always under such a name. The end is one
 * link, rename or exchange, so that a run that is killed leaves the old result or the new one (a
 * folder on a file system that cannot exchange names: or none, until the next run puts the old one
 * back). An old file is gone with that; an old folder, and what an old master playlist names, is
 * removed by place_close. What killed runs left goes when the next one opens the same destination:
 * leftover.h.
 *
 * A symbolic link at the destination stays, what it points to is made or replaced, and temporary
 * names lie beside that. Permissions (and, where allowed, the owner) of a file that is replaced are
 * kept. /dev/null is written to directly.
 *
 * A folder is only replaced if everything in it looks like what src/file/hls.c writes.
 *
 * Where descriptors run out, the removal goes on with those that the place has itself.
 *
 * Threads: one. Memory: a few paths. */
#ifndef FILE_PLACE_H
#define FILE_PLACE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct place;

/* A file at `path`. `input` may be NULL: a path that must not be the same file; "": standard input.
 * NOT_FOUND (no such folder), EXISTS (and not `overwrite`), PARAM (a folder, the input,
 * a device, a pipe), ACCESS, and so on; the text names the path and the remedy. */
int place_file(struct place **ret, const char *path, bool overwrite, const char *input,
               struct error *err);

/* The same for a master playlist. Once it has replaced another one, what that one named goes too:
 * hls_old.h. */
int place_playlist(struct place **ret, const char *path, bool overwrite, const char *input,
                   struct error *err);

/* A folder at `path` (with or without a '/' at its end), made empty under a temporary name. It may
 * exist if it is empty, or with `overwrite` if it is such a folder that the input does not lie in.
 */
int place_folder(struct place **ret, const char *path, bool overwrite, const char *input,
                 struct error *err);

/* The file's descriptor, read and write; borrowed. -1 for a folder. */
int place_fd(const struct place *p);

/* New file in a folder, for reading and writing; the caller closes *ret. `name` may have one '/':
 * the folder before it is made as needed. */
int place_create(struct place *p, const char *name, int *ret, struct error *err);

/* Makes what was written durable; the file's size and contents are final. */
int place_sync(struct place *p, struct error *err);

/* Where what was written can be read by name from this process, until place_close: through /proc
 * before it is in place (or under its temporary name, where there is no /proc). */
void place_reading_path(const struct place *p, char *ret, size_t size);

/* Says what is in the way by now: EXISTS. For several places of which all or none are to be
 * committed. */
int place_check(const struct place *p, struct error *err);

/* Puts what was synced in place, after place_check. */
int place_commit(struct place *p, struct error *err);

/* Takes away again what was committed, and gives an old folder its name back; a file that replaced
 * another one stays. */
void place_withdraw(struct place *p);

/* Frees; removes what was replaced, or what was written unless it is in place. Takes NULL, writes
 * NULL. */
void place_close(struct place **p);

#endif
