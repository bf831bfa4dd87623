/* The verbs of the command and how they print errors.
 * Threads: one. Memory: static tables. */
#ifndef APPS_VERBS_H
#define APPS_VERBS_H

#include <stdbool.h>

#include "options.h"

/* All verbs; the last has no name. */
extern const struct verb verbs[];

extern const struct option transcode_options[], probe_options[], devices_options[], bench_options[];

struct transcode_settings {
    const char *preset, *ladder, *codec, *profile;
    int width, height, bitrate_kbps, speed;
    int quality, bframes; /* -1: not given, as 0 says something */
    double fps, gop_seconds;
    bool intra_refresh;
    bool upscale;
    const char *audio, *map, *deinterlace;
    double start_seconds, duration_seconds;
    bool strip_dynamic_hdr;
    bool no_fallback;
    const char *device;
    int jobs, threads;
    double segment_seconds;
    bool overwrite, quiet, verbose, json, verify;
};

struct show_settings { /* probe, devices, bench */
    bool json, points, verbose;
    const char *device;
    double seconds;
};

void transcode_defaults(void *settings);
int transcode_run(const void *settings, const char *const *operands);
void transcode_help(FILE *out);
int probe_run(const void *settings, const char *const *operands);
int devices_run(const void *settings, const char *const *operands);
int bench_run(const void *settings, const char *const *operands);
void bench_help(FILE *out);
int help_run(const void *settings, const char *const *operands);

const struct verb *verb_find(const char *name);

/* "unknown verb ...", with the nearest; returns STATUS_USAGE. */
int verb_unknown(const char *name);

/* The list of verbs. */
void verbs_usage(FILE *out);

/* Prints "rgpu: text" and returns the exit code for `error`; a stop by a signal has its own. */
int verb_failed(int error, const char *message);

/* "auto", "cpu", "cuda:N"; for the option tables. */
const char *device_word(int i);
int device_parse(const struct option *option, const char *value, void *settings,
                 struct complaint *c);

#endif
