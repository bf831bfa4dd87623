#include "json.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "text.h"

static void quoted(FILE *out, const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;
    fputc('"', out);
    for (size_t i = 0; i < length;) {
        size_t used = text_utf8_length(s + i, length - i);
        if (used == 0) {
            fputs("\\ufffd", out);
            used = 1;
        } else if (s[i] == '"' || s[i] == '\\') {
            fprintf(out, "\\%c", s[i]);
        } else if (s[i] < 0x20 || s[i] == 0x7f) {
            fprintf(out, "\\u%04x", s[i]);
        } else {
            fwrite(s + i, 1, used, out);
        }
        i += used;
    }
    fputc('"', out);
}

static void item(struct json *j, const char *key)
{
    if (j->has_items[j->depth])
        fputc(',', j->out);
    j->has_items[j->depth] = true;
    if (key) {
        quoted(j->out, key, strlen(key));
        fputc(':', j->out);
    }
}

void json_begin(struct json *j, const char *key, char bracket)
{
    assert(j->depth < JSON_DEPTH_MAX);
    item(j, key);
    fputc(bracket, j->out);
    j->has_items[++j->depth] = false;
}

void json_end(struct json *j, char bracket)
{
    assert(j->depth > 0);
    j->depth--;
    fputc(bracket, j->out);
}

void json_bool(struct json *j, const char *key, bool value)
{
    item(j, key);
    fputs(value ? "true" : "false", j->out);
}

void json_int(struct json *j, const char *key, int64_t value)
{
    item(j, key);
    fprintf(j->out, "%lld", (long long)value);
}

void json_real(struct json *j, const char *key, double value, int digits)
{
    item(j, key);
    if (isfinite(value))
        fprintf(j->out, "%.*f", digits, value);
    else
        fputs("null", j->out);
}

void json_real_known(struct json *j, const char *key, double value, int digits)
{
    json_real(j, key, value < 0 ? NAN : value, digits);
}

void json_int_known(struct json *j, const char *key, int64_t value)
{
    if (value > 0)
        json_int(j, key, value);
    else
        json_real(j, key, NAN, 0);
}

void json_string(struct json *j, const char *key, const char *value)
{
    item(j, key);
    if (value)
        quoted(j->out, value, strlen(value));
    else
        fputs("null", j->out);
}

void json_words(struct json *j, const char *key, const char *text)
{
    json_begin(j, key, '[');
    while (*text) {
        text += strspn(text, ", ");
        size_t length = strcspn(text, ","), kept = length;
        while (kept > 0 && text[kept - 1] == ' ')
            kept--;
        if (kept > 0) {
            item(j, NULL);
            quoted(j->out, text, kept);
        }
        text += length;
    }
    json_end(j, ']');
}

void json_line(struct json *j)
{
    fputc('\n', j->out);
    fflush(j->out);
    j->has_items[0] = false;
}
