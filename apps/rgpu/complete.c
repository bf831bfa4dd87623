#include "complete.h"

#include <string.h>

#include "verbs.h"

static void offer(FILE *out, const char *head, size_t head_length, const char *word,
                  const char *typed)
{
    if (!strncmp(word, typed, strlen(typed)))
        fprintf(out, "%.*s%s\n", (int)head_length, head, word);
}

static void verbs_offer(FILE *out, const char *typed)
{
    for (const struct verb *v = verbs; v->name; v++)
        offer(out, "", 0, v->name, typed);
}

static void values_offer(FILE *out, const struct option *o, const char *typed)
{
    const char *word = NULL, *comma = o->is_list ? strrchr(typed, ',') : NULL;
    size_t head = comma ? (size_t)(comma + 1 - typed) : 0;
    for (int i = 0; o->word && (word = o->word(i)) != NULL; i++)
        offer(out, typed, head, word, typed + head);
}

static void option_offer(FILE *out, const char *name, char letter, const char *typed)
{
    if (name && !strncmp(typed, "--", strlen(typed) < 2 ? strlen(typed) : 2))
        offer(out, "--", 2, name, typed + (strlen(typed) < 2 ? strlen(typed) : 2));
    if (letter)
        offer(out, "", 0, (const char[]){'-', letter, '\0'}, typed);
}

static void options_offer(FILE *out, const struct verb *verb, const char *typed)
{
    for (const struct option *o = verb->options; o->help; o++)
        option_offer(out, o->name, o->letter, typed);
    option_offer(out, "help", 'h', typed);
}

void complete_print(FILE *out, int count, char *const *words)
{
    if (count < 1 || count > COMPLETE_WORDS_MAX)
        return;
    const char *typed = words[count - 1], *before = count > 1 ? words[count - 2] : "";
    const struct verb *verb = verb_find(words[0]);
    if (count == 1) {
        verbs_offer(out, typed);
        return;
    }
    if (!verb)
        return;
    if (!strcmp(typed, "="))
        typed = "";
    else if (!strcmp(before, "=") && count > 2)
        before = words[count - 3];
    const struct option *o = strncmp(before, "--", 2)
                                 ? NULL
                                 : options_find(verb->options, before + 2, strlen(before + 2));
    if (o && o->kind != OPTION_FLAG)
        values_offer(out, o, typed);
    else if (typed[0] == '-')
        options_offer(out, verb, typed);
    else if (!strcmp(verb->name, "help"))
        verbs_offer(out, typed);
}
