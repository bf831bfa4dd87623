#include "verbs.h"

#include <string.h>

#include <rgpu/error.h>
#include <rgpu/version.h>

#include "status.h"
#include "stop.h"
#include "text.h"

static const struct option no_options[] = {{0}};

const struct verb verbs[] = {
    {"transcode", "IN OUT", 2, 2,
     "Makes renditions of one video: a file, a file each, or an HLS folder.", transcode_options,
     sizeof(struct transcode_settings), transcode_defaults, transcode_run, transcode_help},
    {"probe", "FILE", 1, 1, "Says what a file is: tracks, random-access points, what is special.",
     probe_options, sizeof(struct show_settings), NULL, probe_run, NULL},
    {"devices", "", 0, 0, "Lists what this machine can decode and encode on.", devices_options,
     sizeof(struct show_settings), NULL, devices_run, NULL},
    {"bench", "", 0, 0, "Measures how fast a device decodes, scales and encodes.", bench_options,
     sizeof(struct show_settings), NULL, bench_run, bench_help},
    {"help", "[VERB]", 0, 1, "Tells about a verb and its options.", no_options, 0, NULL, help_run,
     NULL},
    {0},
};

const struct verb *verb_find(const char *name)
{
    for (const struct verb *v = verbs; v->name; v++) {
        if (!strcmp(v->name, name))
            return v;
    }
    return NULL;
}

int verb_failed(int error, const char *message)
{
    if (error == RGPU_ERROR_CANCELLED && stop_signal()) {
        text_error("rgpu: ", "stopped");
        return STATUS_SIGNAL + stop_signal();
    }
    text_error("rgpu: ", message[0] ? message : rgpu_error_text(error));
    return status_of_error(error);
}

static const char *verb_name(const void *opaque, int i)
{
    (void)opaque;
    return verbs[i].name;
}

int verb_unknown(const char *name)
{
    struct complaint c;
    const char *nearest = options_nearest(name, verb_name, NULL);
    if (nearest)
        complain(&c, "unknown verb '%s'; did you mean '%s'?", name, nearest);
    else
        complain(&c, "unknown verb '%s'; see 'rgpu help'", name);
    text_error("rgpu: ", c.text);
    return STATUS_USAGE;
}

void verbs_usage(FILE *out)
{
    fprintf(out, "Usage: rgpu VERB [options]\n\n");
    for (const struct verb *v = verbs; v->name; v++) {
        char left[64];
        snprintf(left, sizeof(left), "%s %s", v->name, v->operands);
        fprintf(out, "  %-18s %s\n", left, v->summary);
    }
    fprintf(out, "\n'rgpu help VERB' lists the options of a verb; 'rgpu --version' the version.\n");
}

int help_run(const void *settings, const char *const *operands)
{
    (void)settings;
    if (operands[0]) {
        const struct verb *verb = verb_find(operands[0]);
        if (!verb)
            return verb_unknown(operands[0]);
        options_help(verb, stdout);
        return STATUS_OK;
    }
    printf("rgpu %s turns one video into a ladder of renditions.\n\n", rgpu_version());
    verbs_usage(stdout);
    printf("\nExit codes:\n");
    status_print(stdout);
    return STATUS_OK;
}
