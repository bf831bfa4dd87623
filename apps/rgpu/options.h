/* Options of a verb, from one table: the parser, `rgpu help` and shell completion all read it.
 *
 * A table ends with a row of zeros. A row without a name is the title of a group in the help.
 * Numbers are read strictly: no blanks, plus signs, exponents or trailing letters, and always a
 * range; a minus is only read to name what is out of it. Threads: one. Memory: allocates nothing;
 * values point into argv. Limits: OPTIONS_OPERANDS_MAX. */
#ifndef APPS_OPTIONS_H
#define APPS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define OPTIONS_OPERANDS_MAX 2
#define COMPLAINT_MAX 512

enum option_kind {
    OPTION_FLAG,  /* bool; takes no value */
    OPTION_INT,   /* int */
    OPTION_REAL,  /* double: "12.5" */
    OPTION_RATE,  /* double: "29.97" or "30000/1001" */
    OPTION_TIME,  /* double, seconds: "90", "1:30", "0:01:30.500" */
    OPTION_TEXT,  /* const char *: anything but "" */
    OPTION_WORD,  /* const char *: one of `word` */
    OPTION_OTHER, /* what `parse` makes of it */
};

/* Why the command line was not taken: one line, without "rgpu: ". */
struct complaint {
    char text[COMPLAINT_MAX];
};

/* Writes the complaint and returns STATUS_USAGE. */
int complain(struct complaint *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct option {
    const char *name; /* without "--" */
    char letter;      /* 'y' for "-y"; 0: none */
    bool is_list;     /* the value is words with commas between (for completion) */
    enum option_kind kind;
    const char *argument; /* "WxH" */
    const char *help;
    size_t offset;              /* of the field in the verb's settings */
    double min, max;            /* numbers: both included */
    const char *unit;           /* "seconds", or NULL */
    const char *(*word)(int i); /* i-th word that the value can be, NULL behind the last */
    int (*parse)(const struct option *option, const char *value, void *settings,
                 struct complaint *c); /* 0, or what complain() gives */
};

struct verb {
    const char *name;     /* NULL ends a table */
    const char *operands; /* "IN OUT", "FILE", "" */
    int operands_min, operands_max;
    const char *summary; /* one line */
    const struct option *options;
    size_t settings_size;
    void (*defaults)(void *settings); /* NULL: zeros */
    /* Runs the verb and returns the exit code. `operands` holds operands_max entries, NULL where
     * none was given. */
    int (*run)(const void *settings, const char *const *operands);
    void (*help_more)(FILE *out); /* what follows the options in the help; NULL: nothing */
};

enum { OPTIONS_WANT_HELP = 1 };

/* Reads argv (behind the verb) into `settings`. 0; OPTIONS_WANT_HELP for --help; or STATUS_USAGE
 * with a complaint. The last of an option that is given twice counts. */
int options_parse(const struct verb *verb, int argc, char *const *argv, void *settings,
                  const char **operands, struct complaint *c);

/* Prints the verb's help, at most 80 columns wide. */
void options_help(const struct verb *verb, FILE *out);

/* The row of `name` (without "--"), or NULL. */
const struct option *options_find(const struct option *options, const char *name, size_t length);

/* The candidate that is nearest to `word` by its letters, or NULL when none is near. */
const char *options_nearest(const char *word, const char *(*candidate)(const void *opaque, int i),
                            const void *opaque);

/* For the parsers of OPTION_OTHER: a whole number and nothing else; false where it is not one or
 * not within the range. */
bool options_int(const char *text, size_t length, int min, int max, int *ret);

#endif
