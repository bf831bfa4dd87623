/* Figures and foreign text as a person reads them: sizes, times, lines that are safe to print.
 *
 * Threads: any. Memory: into the caller's buffer, cut to fit, always terminated. */
#ifndef APPS_TEXT_H
#define APPS_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* "0 B", "999 B", "1.2 MB", "12.3 GB": decimal units, as disks are sold. Returns `buffer`. */
char *text_bytes(char *buffer, size_t size, int64_t bytes);

/* "0:07", "12:03", "1:02:03"; "-" for a negative or unknown time. Returns `buffer`. */
char *text_time(char *buffer, size_t size, double seconds);

/* "850 kb/s", "5.20 Mb/s"; "-" for none. Returns `buffer`. */
char *text_bitrate(char *buffer, size_t size, double kbps);

/* Length of the UTF-8 sequence at `s`; 0 where it is not valid (overlong, surrogate, cut). */
size_t text_utf8_length(const unsigned char *s, size_t left);

/* `text` with each control character and what is not UTF-8 as '?': a file's name cannot break a
 * line or move the cursor. */
void text_print(FILE *out, const char *text);

/* One line on stderr: `prefix`, `text`, newline. Any thread. */
void text_error(const char *prefix, const char *text);

#endif
