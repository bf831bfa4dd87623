/* What the user sees of a job: one line that is rewritten on a terminal, plain lines elsewhere, or
 * JSON; and the table at the end.
 *
 * Threads: one. Memory: borrows its streams. Limits: a line is cut at PROGRESS_LINE_MAX. */
#ifndef APPS_PROGRESS_H
#define APPS_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

#include <rgpu/transcode.h>

#define PROGRESS_LINE_MAX 512

enum progress_mode { PROGRESS_QUIET, PROGRESS_TERMINAL, PROGRESS_LINES, PROGRESS_JSON };

struct progress_view {
    enum progress_mode mode;
    FILE *out;           /* stderr; JSON: stdout */
    int columns_drawn;   /* terminal: of the line that stands there now */
    double next_seconds; /* when the next step is due */
};

/* Shows `p` when a step is due; `now` is any clock that goes on, in seconds. */
void progress_show(struct progress_view *view, const struct rgpu_progress *p, double now);

/* Takes the terminal's line away, so that something else can be printed. */
void progress_clear(struct progress_view *view);

/* "warning: ..." or its JSON event; nothing when quiet. */
void progress_warning(struct progress_view *view, const char *text);

/* The table of renditions and a line on the whole. PSNR columns are there when it was measured. */
void progress_table(FILE *out, const struct rgpu_progress *p);

/* The JSON event of the end; `message` is "" for a job that went well. */
void progress_summary_json(FILE *out, const struct rgpu_progress *p, int error, const char *message,
                           int status, const char *(*warning)(void *opaque, int i), void *opaque);

/* The line for a terminal of `columns`, or the plain one (columns 0). Returns its length, which is
 * below `columns`. */
int progress_line(char *buffer, size_t size, const struct rgpu_progress *p, int columns);

/* Columns of the terminal on `out`; 80 where it does not say. */
int progress_columns(FILE *out);

/* Whether `out` is a terminal that can rewrite a line. */
bool progress_is_terminal(FILE *out);

#endif
