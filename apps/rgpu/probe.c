/* rgpu probe: what a file is, for a person or as JSON. */
#include <math.h>
#include <string.h>

#include <rgpu/probe.h>

#include "json.h"
#include "log.h"
#include "progress.h"
#include "status.h"
#include "stop.h"
#include "text.h"
#include "verbs.h"

#define FIELD(name) .offset = offsetof(struct show_settings, name)

const struct option probe_options[] = {
    {.help = "Options:"},
    {.name = "points",
     .kind = OPTION_FLAG,
     FIELD(points),
     .help = "list the random-access points too"},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPTION_FLAG,
     FIELD(verbose),
     .help = "say on standard error what is decided, and what the libraries under it report"},
    {.name = "json", .kind = OPTION_FLAG, FIELD(json), .help = "one JSON object"},
    {0},
};

/* What is special about a file: how it is said, and its key in JSON. */
struct trait {
    const char *key, *text;
    size_t offset;
};

#define TRAIT(field, words)                                                                        \
    {                                                                                              \
#field, words, offsetof(struct rgpu_probe_info, field)                                     \
    }
static const struct trait traits[] = {
    TRAIT(open_gop, "open GOP"),       TRAIT(variable_rate, "variable frame rate"),
    TRAIT(interlaced, "interlaced"),   TRAIT(hdr10, "HDR10"),
    TRAIT(hdr10_plus, "HDR10+"),       TRAIT(dolby_vision, "Dolby Vision"),
    TRAIT(rotated, "rotated"),         TRAIT(starts_without_key, "starts without a key frame"),
    TRAIT(has_edit_list, "edit list"), TRAIT(without_pts, "no timestamps of its own"),
};
#undef TRAIT

static bool trait_of(const struct rgpu_probe_info *info, const struct trait *trait)
{
    const int *field = (const void *)((const char *)info + trait->offset);
    return *field != 0;
}

static void track_print(const struct rgpu_probe_track *t)
{
    char bitrate[32];
    printf("  #%d %-10s %s", t->index, t->kind, t->codec);
    if (t->width > 0)
        printf(" %dx%d", t->width, t->height);
    if (t->frames_per_second > 0)
        printf(" %.6g fps", t->frames_per_second);
    if (t->pixel_format[0])
        printf(" %s", t->pixel_format);
    if (t->color[0])
        printf(" %s", t->color);
    if (t->rotation_degrees)
        printf(" rotated %d degrees", t->rotation_degrees);
    if (t->sample_rate > 0)
        printf(" %d Hz, %d channel%s", t->sample_rate, t->channels, t->channels == 1 ? "" : "s");
    if (t->bitrate_bps > 0)
        printf(", %s", text_bitrate(bitrate, sizeof(bitrate), (double)t->bitrate_bps / 1000));
    if (t->language[0]) {
        printf(", ");
        text_print(stdout, t->language);
    }
    if (t->title[0]) {
        printf(", \"");
        text_print(stdout, t->title);
        printf("\"");
    }
    printf("%s%s\n", t->is_default ? ", default" : "", t->is_forced ? ", forced" : "");
}

static void info_print(const char *path, const struct rgpu_probe_info *info, bool with_points)
{
    char time[32], bytes[32];
    bool any = false;
    text_print(stdout, path);
    printf(": %s, %s", info->format, text_time(time, sizeof(time), info->duration_seconds));
    if (info->size_bytes > 0)
        printf(", %s", text_bytes(bytes, sizeof(bytes), info->size_bytes));
    printf("\n");
    for (int i = 0; i < info->tracks_count; i++)
        track_print(&info->tracks[i]);
    if (info->frames > 0)
        printf("Frames: %lld\n", (long long)info->frames);
    if (info->points_count > 0)
        printf("Random-access points: %lld, at most %.3f s apart\n", (long long)info->points_count,
               info->gop_seconds_max);
    for (size_t i = 0; i < sizeof(traits) / sizeof(traits[0]); i++) {
        if (trait_of(info, &traits[i])) {
            printf("%s%s", any ? ", " : "Special: ", traits[i].text);
            any = true;
        }
    }
    if (any)
        printf("\n");
    if (info->damaged > 0)
        printf("Damaged: %lld packets\n", (long long)info->damaged);
    for (int64_t i = 0; with_points && i < info->points_listed; i++)
        printf("  %12.6f%s\n", info->points[i].seconds, info->points[i].open ? " open" : "");
    if (with_points && info->points_listed < info->points_count)
        printf("  and %lld more\n", (long long)(info->points_count - info->points_listed));
}

static void track_json(struct json *j, const struct rgpu_probe_track *t)
{
    json_begin(j, NULL, '{');
    json_int(j, "index", t->index);
    json_string(j, "kind", t->kind);
    json_string(j, "codec", t->codec);
    json_string(j, "language", t->language);
    json_string(j, "title", t->title);
    json_bool(j, "default", t->is_default);
    json_bool(j, "forced", t->is_forced);
    if (t->width > 0) {
        json_int(j, "width", t->width);
        json_int(j, "height", t->height);
        json_int(j, "rotation_degrees", t->rotation_degrees);
        json_string(j, "pixel_format", t->pixel_format);
        json_string(j, "color", t->color);
        json_real_known(j, "frames_per_second", t->frames_per_second, 6);
    }
    if (t->sample_rate > 0) {
        json_int(j, "sample_rate", t->sample_rate);
        json_int(j, "channels", t->channels);
    }
    json_int_known(j, "bitrate_bps", t->bitrate_bps);
    json_end(j, '}');
}

static void info_json(const char *path, const struct rgpu_probe_info *info, bool with_points)
{
    struct json j = {.out = stdout};
    json_begin(&j, NULL, '{');
    json_string(&j, "file", path);
    json_string(&j, "format", info->format);
    json_real(&j, "duration_seconds", info->duration_seconds, 6);
    json_real(&j, "start_seconds", info->start_seconds, 6);
    json_int_known(&j, "size_bytes", info->size_bytes);
    json_begin(&j, "tracks", '[');
    for (int i = 0; i < info->tracks_count; i++)
        track_json(&j, &info->tracks[i]);
    json_end(&j, ']');
    json_int(&j, "frames", info->frames);
    json_real(&j, "gop_seconds_max", info->gop_seconds_max, 6);
    json_int(&j, "points_count", info->points_count);
    for (size_t i = 0; i < sizeof(traits) / sizeof(traits[0]); i++)
        json_bool(&j, traits[i].key, trait_of(info, &traits[i]));
    json_int(&j, "damaged", info->damaged);
    if (with_points) {
        json_begin(&j, "points", '[');
        for (int64_t i = 0; i < info->points_listed; i++) {
            json_begin(&j, NULL, '{');
            json_real(&j, "seconds", info->points[i].seconds, 6);
            json_bool(&j, "open", info->points[i].open);
            json_end(&j, '}');
        }
        json_end(&j, ']');
    }
    json_end(&j, '}');
    json_line(&j);
}

struct reading {
    bool on_terminal;
    double shown_seconds;
};

static int reading_go_on(void *opaque, double seconds)
{
    struct reading *r = opaque;
    char time[32];
    /* A minute of film is read in no time: the line is for films of hours on slow disks. */
    if (r->on_terminal && seconds >= r->shown_seconds + 60) {
        r->shown_seconds = seconds;
        fprintf(stderr, "\rreading %s\033[K", text_time(time, sizeof(time), seconds));
        fflush(stderr);
    }
    return !stop_signal();
}

int probe_run(const void *settings, const char *const *operands)
{
    const struct show_settings *s = settings;
    struct reading reading = {.on_terminal = progress_is_terminal(stderr)};
    rgpu_probe *probe = NULL;
    int status = STATUS_OK;
    log_show(s->verbose);
    int ret = rgpu_probe_open(&probe, operands[0], reading_go_on, &reading);
    if (reading.shown_seconds > 0)
        fprintf(stderr, "\r\033[K");
    if (ret)
        status = verb_failed(ret, probe ? rgpu_probe_message(probe) : "");
    else if (s->json)
        info_json(operands[0], rgpu_probe_info(probe), s->points);
    else
        info_print(operands[0], rgpu_probe_info(probe), s->points);
    rgpu_probe_close(&probe);
    return status;
}
