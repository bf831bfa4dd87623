#include "options.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "status.h"

#define NUMBER_LENGTH_MAX 24
#define NAME_LENGTH_MAX 32
#define HELP_COLUMN 26
#define HELP_WIDTH 80

int complain(struct complaint *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->text, sizeof(c->text), format, args);
    va_end(args);
    return STATUS_USAGE;
}

const struct option *options_find(const struct option *options, const char *name, size_t length)
{
    for (const struct option *o = options; o->help; o++) {
        if (o->name && strlen(o->name) == length && !memcmp(o->name, name, length))
            return o;
    }
    return NULL;
}

/* Digits with at most one point among them, perhaps a minus in front, so that the complaint is
 * about the range; "-0" has nothing to complain of there, and is none. */
static bool number_read(const char *text, size_t length, bool is_whole, double *ret)
{
    char copy[NUMBER_LENGTH_MAX + 1];
    size_t i = 0, digits = 0, points = 0;
    if (length == 0 || length > NUMBER_LENGTH_MAX)
        return false;
    for (i = text[0] == '-' ? 1 : 0; i < length; i++) {
        if (text[i] >= '0' && text[i] <= '9')
            digits++;
        else if (text[i] == '.' && !is_whole)
            points++;
        else
            return false;
    }
    if (digits == 0 || points > 1)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    const double value = strtod(copy, NULL);
    if (text[0] == '-' && value == 0)
        return false;
    *ret = value;
    return true;
}

bool options_int(const char *text, size_t length, int min, int max, int *ret)
{
    double value = 0;
    if (!number_read(text, length, true, &value) || value < min || value > max)
        return false;
    *ret = (int)value;
    return true;
}

static bool rate_read(const char *text, double *ret)
{
    const char *slash = strchr(text, '/');
    double num = 0, den = 0;
    if (!slash)
        return number_read(text, strlen(text), false, ret);
    if (!number_read(text, (size_t)(slash - text), true, &num) ||
        !number_read(slash + 1, strlen(slash + 1), true, &den) || den <= 0)
        return false;
    *ret = num / den;
    return true;
}

/* [[HH:]MM:]SS[.fff]. What stands behind a colon is two digits below 60. */
static bool time_read(const char *text, double *ret)
{
    double total = 0;
    for (int part = 0; part < 3; part++) {
        const char *colon = strchr(text, ':');
        size_t length = colon ? (size_t)(colon - text) : strlen(text);
        double value = 0;
        if (!number_read(text, length, colon != NULL, &value))
            return false;
        if (part > 0 && (strcspn(text, ".:") != 2 || value < 0 || value >= 60))
            return false;
        if (part == 0 && colon && value < 0)
            return false;
        total = total * 60 + value;
        if (!colon) {
            *ret = total;
            return true;
        }
        text = colon + 1;
    }
    return false;
}

static const char *kind_text(enum option_kind kind)
{
    switch (kind) {
    case OPTION_INT:
        return "a whole number";
    case OPTION_RATE:
        return "a number or a fraction";
    case OPTION_TIME:
        return "seconds or HH:MM:SS.mmm";
    default:
        return "a number";
    }
}

static int number_parse(const struct option *o, const char *text, void *field, struct complaint *c)
{
    double value = 0;
    bool ok = false;
    switch (o->kind) {
    case OPTION_RATE:
        ok = rate_read(text, &value);
        break;
    case OPTION_TIME:
        ok = time_read(text, &value);
        break;
    default:
        ok = number_read(text, strlen(text), o->kind == OPTION_INT, &value);
        break;
    }
    const char *space = o->unit ? " " : "", *unit = o->unit ? o->unit : "";
    if (!ok)
        return complain(c, "--%s: '%s' is not %s (%.10g to %.10g%s%s)", o->name, text,
                        kind_text(o->kind), o->min, o->max, space, unit);
    if (value < o->min || value > o->max)
        return complain(c, "--%s: '%s' is out of range: %.10g to %.10g%s%s", o->name, text, o->min,
                        o->max, space, unit);
    if (o->kind == OPTION_INT)
        *(int *)field = (int)value;
    else
        *(double *)field = value;
    return 0;
}

static int word_parse(const struct option *o, const char *text, void *field, struct complaint *c)
{
    char list[COMPLAINT_MAX / 2] = "";
    const char *word = NULL;
    for (int i = 0; (word = o->word(i)) != NULL; i++) {
        if (!strcmp(word, text)) {
            *(const char **)field = word;
            return 0;
        }
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, "%s%s", i ? ", " : "", word);
    }
    return complain(c, "--%s: '%s' is not one of %s", o->name, text, list);
}

static int value_parse(const struct option *o, const char *text, void *settings,
                       struct complaint *c)
{
    void *field = (char *)settings + o->offset;
    if (o->kind != OPTION_FLAG && !text[0])
        return complain(c, "--%s: the value is empty; it takes %s", o->name, o->argument);
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case OPTION_INT:
    case OPTION_REAL:
    case OPTION_RATE:
    case OPTION_TIME:
        return number_parse(o, text, field, c);
    case OPTION_TEXT:
        *(const char **)field = text;
        return 0;
    case OPTION_WORD:
        return word_parse(o, text, field, c);
    case OPTION_OTHER:
        return o->parse(o, text, settings, c);
    }
    return 0;
}

/* Edit distance with neighbours swapped counted once, of words up to NAME_LENGTH_MAX. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][NAME_LENGTH_MAX + 1];
    size_t *before = rows[0], *above = rows[1], *row = rows[2];
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > NAME_LENGTH_MAX || b_length > NAME_LENGTH_MAX)
        return NAME_LENGTH_MAX;
    for (size_t j = 0; j <= b_length; j++)
        before[j] = above[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t best = above[j - 1] + (a[i - 1] != b[j - 1]);
            if (above[j] + 1 < best)
                best = above[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *spare = before;
        before = above;
        above = row;
        row = spare;
    }
    return above[b_length];
}

const char *options_nearest(const char *word, const char *(*candidate)(const void *opaque, int i),
                            const void *opaque)
{
    const char *best = NULL, *name = NULL;
    /* A third of the letters may be wrong, or the word may be a beginning ("--dur"). Of short words
     * one: most have another within two letters. */
    size_t length = strlen(word), limit = length < 4 ? 1 : length / 3 + 1;
    for (int i = 0; (name = candidate(opaque, i)) != NULL; i++) {
        size_t d = distance(word, name);
        if (length >= 2 && !strncmp(word, name, length))
            d = 1;
        if (d <= limit) {
            best = name;
            limit = d - (d > 0);
        }
    }
    return best;
}

static const char *option_name(const void *opaque, int i)
{
    const struct option *options = opaque;
    for (const struct option *o = options; o->help; o++) {
        if (o->name && i-- == 0)
            return o->name;
    }
    return i == 0 ? "help" : NULL;
}

static int unknown_option(const struct verb *verb, const char *argument, size_t length,
                          struct complaint *c)
{
    char name[NAME_LENGTH_MAX + 1] = "";
    const char *nearest = NULL;
    if (!strncmp(argument, "--", 2) && length - 2 <= NAME_LENGTH_MAX) {
        memcpy(name, argument + 2, length - 2);
        nearest = options_nearest(name, option_name, verb->options);
    }
    if (nearest)
        return complain(c, "unknown option '%.*s'; did you mean '--%s'?", (int)length, argument,
                        nearest);
    return complain(c, "unknown option '%.*s'; see 'rgpu help %s'", (int)length, argument,
                    verb->name);
}

/* The option at argv[*i], with its value; *i ends on the last argument that was used. */
static int option_parse(const struct verb *verb, int argc, char *const *argv, int *i,
                        void *settings, struct complaint *c)
{
    const char *argument = argv[*i], *value = NULL;
    const struct option *o = NULL;
    size_t length = strlen(argument);
    if (argument[1] != '-') {
        for (o = verb->options; o->help && !(o->letter && o->letter == argument[1]); o++)
            ;
        if (!o->help || argument[2])
            return unknown_option(verb, argument, length, c);
    } else {
        const char *equals = strchr(argument, '=');
        if (equals) {
            length = (size_t)(equals - argument);
            value = equals + 1;
        }
        o = options_find(verb->options, argument + 2, length - 2);
        if (!o)
            return unknown_option(verb, argument, length, c);
    }
    if (o->kind == OPTION_FLAG) {
        if (value)
            return complain(c, "--%s takes no value", o->name);
        return value_parse(o, "", settings, c);
    }
    if (!value) {
        if (*i + 1 >= argc)
            return complain(c, "--%s needs a value: %s", o->name, o->argument);
        value = argv[++*i];
    }
    return value_parse(o, value, settings, c);
}

int options_parse(const struct verb *verb, int argc, char *const *argv, void *settings,
                  const char **operands, struct complaint *c)
{
    int count = 0;
    bool options_over = false;
    for (int i = 0; i < argc; i++) {
        const char *argument = argv[i];
        if (!options_over && !strcmp(argument, "--")) {
            options_over = true;
        } else if (!options_over && (!strcmp(argument, "--help") || !strcmp(argument, "-h"))) {
            return OPTIONS_WANT_HELP;
        } else if (!options_over && argument[0] == '-' && argument[1]) {
            int ret = option_parse(verb, argc, argv, &i, settings, c);
            if (ret)
                return ret;
        } else if (count == verb->operands_max) {
            return complain(c, "'%s' is one argument too many: rgpu %s%s%s [options]", argument,
                            verb->name, verb->operands[0] ? " " : "", verb->operands);
        } else if (!argument[0]) {
            return complain(c, "an empty name: rgpu %s %s [options]", verb->name, verb->operands);
        } else {
            operands[count++] = argument;
        }
    }
    if (count < verb->operands_min)
        return complain(c, "%s needs %s: rgpu %s %s [options]", verb->name, verb->operands,
                        verb->name, verb->operands);
    return 0;
}

/* `text` broken at blanks, behind `column` columns that hold something already up to `used`. */
static void wrap(FILE *out, const char *text, int used, int column)
{
    int at = used;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (at < column) {
            fprintf(out, "%*s", column - at, "");
            at = column;
        } else if (at > column && at + 1 + length > HELP_WIDTH) {
            fprintf(out, "\n%*s", column, "");
            at = column;
        } else if (at > column) {
            fputc(' ', out);
            at++;
        }
        fprintf(out, "%.*s", length, text);
        at += length;
        text += length;
        text += *text == ' ';
    }
    fputc('\n', out);
}

void options_help(const struct verb *verb, FILE *out)
{
    fprintf(out, "Usage: rgpu %s%s%s%s\n", verb->name, verb->operands[0] ? " " : "", verb->operands,
            verb->options->help ? " [options]" : "");
    wrap(out, verb->summary, 0, 0);
    for (const struct option *o = verb->options; o->help; o++) {
        if (!o->name) {
            fprintf(out, "\n%s\n", o->help);
            continue;
        }
        char left[64], letter[8] = "";
        if (o->letter)
            snprintf(letter, sizeof(letter), "-%c, ", o->letter);
        int used = snprintf(left, sizeof(left), "  %s--%s%s%s", letter, o->name,
                            o->argument ? " " : "", o->argument ? o->argument : "");
        fputs(left, out);
        if (used >= HELP_COLUMN) {
            fputc('\n', out);
            used = 0;
        }
        wrap(out, o->help, used, HELP_COLUMN);
    }
    if (verb->help_more)
        verb->help_more(out);
}
