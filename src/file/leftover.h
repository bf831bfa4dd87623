/* Temporary names beside a destination, who holds them, and what killed runs left there.
 *
 * What is unfinished, and what was replaced and is not yet removed, lies beside the destination as
 * `.NAME.rgpu-XXXXXX`. A run holds a shared lock (flock) on each such file or folder of its own
 * for as long as it lives, so what can be locked exclusively belongs to nobody and is removed by
 * the next run that writes NAME. Where the file system has no such locks, nothing is removed.
 * `.NAME.rgpu-old-XXXXXX` is an old folder on a file system that cannot exchange two names: for a
 * moment NAME does not exist then, and a run that finds it so puts the old folder back.
 *
 * Threads: none of its own. Memory: none that lasts. */
#ifndef FILE_LEFTOVER_H
#define FILE_LEFTOVER_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

enum leftover_kind {
    LEFTOVER_FILE,
    LEFTOVER_PLAYLIST, /* a file; with an old master playlist goes what it names: hls_old.h */
    LEFTOVER_FOLDER,   /* only if nothing but files of ours is in it */
};

/* A random temporary name for `name`. */
void leftover_name(char ret[NAME_MAX + 1], const char *name, bool old);

/* Holds what `fd` is until it is closed. False: another run has taken it for a leftover meanwhile,
 * so make a new one. `temp` NULL: it has no name yet. */
bool leftover_hold(int dir, const char *temp, int fd);

/* Holds what is about to be replaced; a descriptor, or -1 where that cannot be. */
int leftover_hold_old(int dir, const char *name);

/* Where the folder `name` does not exist, but an old one that nobody holds does: puts it back. */
void leftover_restore(int dir, const char *name);

/* Removes what belongs to no run and was a temporary for `name`, of this user or of the owner of
 * what is there now. `input` (may be NULL) and what it lies in stay. */
void leftover_sweep(int dir, const char *name, enum leftover_kind kind, const char *input);

/* Whether the input is that file, or lies in that folder. `input`: a path; NULL: none; "":
 * standard input. */
bool leftover_holds_input(const struct stat *st, const char *input);

#endif
