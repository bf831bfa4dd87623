/* Writes JSON, one value after the other: places the commas, escapes the strings.
 *
 * A key is given for what stands in an object and is NULL for what stands in a list. Threads: one.
 * Memory: none of its own. Limits: JSON_DEPTH_MAX. */
#ifndef APPS_JSON_H
#define APPS_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_DEPTH_MAX 8

struct json {
    FILE *out; /* borrowed */
    int depth;
    bool has_items[JSON_DEPTH_MAX + 1];
};

void json_begin(struct json *j, const char *key, char bracket); /* '{' or '[' */
void json_end(struct json *j, char bracket);                    /* '}' or ']' */
void json_bool(struct json *j, const char *key, bool value);
void json_int(struct json *j, const char *key, int64_t value);

/* With `digits` behind the point; what is no number (NaN, infinite) is null. */
void json_real(struct json *j, const char *key, double value, int digits);

/* Null where `value` is negative: how the library says "unknown". */
void json_real_known(struct json *j, const char *key, double value, int digits);

/* Null where `value` is 0 or less, for what is never nothing: sizes and rates. */
void json_int_known(struct json *j, const char *key, int64_t value);

/* What is not valid UTF-8 (file names may be anything) becomes U+FFFD; NULL is null. */
void json_string(struct json *j, const char *key, const char *value);

/* The list of the words of `text` between commas, blanks trimmed. */
void json_words(struct json *j, const char *key, const char *text);

/* Ends the line and flushes it, so that a reader has the event now. */
void json_line(struct json *j);

#endif
