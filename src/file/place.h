/* Where a result goes: made out of sight, put in place at the end, gone if that never happens.
 *
 * A file is written without a name (O_TMPFILE) where the file system can, else as
 * `.NAME.rgpu-XXXXXX` beside its destination; a folder always under such a name. The end is one
 * link, rename or exchange, so that the destination is either the old or the new. A symbolic link
 * at the destination stays, what it points to is replaced. What was replaced is kept under a
 * temporary name until place_close. Permissions (and, where allowed, the owner) of a file that is
 * replaced are kept. /dev/null is written to directly.
 *
 * A folder is only replaced if everything in it looks like what src/file/hls.c writes; see
 * place_folder_commit.
 *
 * Threads: one. Memory: a few paths. */
#ifndef FILE_PLACE_H
#define FILE_PLACE_H

#include <stdbool.h>

#include "base/error.h"

struct place;

/* A file at `path`. `input` may be NULL: a path that must not be the same file. NOT_FOUND (no such
 * folder), EXISTS (and not `overwrite`), PARAM (a folder, the input), UNSUPPORTED (device, pipe),
 * ACCESS, and so on; the text names the path and the remedy. */
int place_file(struct place **ret, const char *path, bool overwrite, const char *input,
               struct error *err);

/* A folder at `path` (with or without a '/' at its end), made empty under a temporary name. It may
 * exist if it is empty, or with `overwrite` if it is such a folder. */
int place_folder(struct place **ret, const char *path, bool overwrite, struct error *err);

/* The file's descriptor, read and write; borrowed. -1 for a folder. */
int place_fd(const struct place *p);

/* The path as it was given. */
const char *place_path(const struct place *p);

/* New file in a folder, for reading and writing; the caller closes *ret. `name` may have one '/':
 * the folder before it is made as needed. */
int place_create(struct place *p, const char *name, int *ret, struct error *err);

/* Makes what was written durable; the file's size and contents are final. */
int place_sync(struct place *p, struct error *err);

/* Puts what was synced in place. */
int place_commit(struct place *p, struct error *err);

/* Takes back what was committed: what was there before is there again, as far as the file system
 * lets it. What was replaced is removed by place_close, so this works until then. */
void place_revert(struct place *p);

/* Frees; removes what was written unless it is in place. Takes NULL, writes NULL. */
void place_close(struct place **p);

#endif
