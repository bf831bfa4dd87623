/* Folders that src/file/hls.c writes: whether one holds nothing else, and their removal.
 *
 * Threads: none of its own. Memory: none that lasts. Limits: TREE_DEPTH_MAX levels are removed,
 * with a descriptor for each that is not empty. */
#ifndef FILE_RESULT_TREE_H
#define FILE_RESULT_TREE_H

#include <stdbool.h>

#define TREE_DEPTH_MAX 8

enum tree {
    TREE_EMPTY,
    TREE_OURS,   /* a result */
    TREE_PARTLY, /* the beginning or the rest of one: a rendition lacks its playlist */
    TREE_FOREIGN /* something else is in it, or it is no folder that can be read */
};

/* Whether a file in a rendition's folder has a name that we give. */
bool tree_is_our_file(const char *name);

/* What the folder `name` in `parent` holds; links are not followed. TREE_FOREIGN with errno set: it
 * could not be looked at. */
enum tree tree_look(int parent, const char *name);

/* Removes a folder and what is in it; never follows links. */
void tree_remove(int parent, const char *name);

#endif
