/* Shell completion from the option tables: `rgpu __complete WORDS...` prints what the last word may
 * become, one a line. packaging/completion/rgpu.bash asks it.
 * Threads: one. Memory: none. Limits: COMPLETE_WORDS_MAX words are looked at. */
#ifndef APPS_COMPLETE_H
#define APPS_COMPLETE_H

#include <stdio.h>

#define COMPLETE_VERB "__complete"
#define COMPLETE_WORDS_MAX 256

/* `words` are those behind "rgpu", as bash splits them ("--codec", "=", "h"); the last is the one
 * that is being typed. Prints nothing where a file's name belongs. */
void complete_print(FILE *out, int count, char *const *words);

#endif
