#include "plan.h"

#include <string.h>

#define SOURCE_RUNG "source"

static int preset_unknown(const char *option, const char *name, struct complaint *c)
{
    char list[COMPLAINT_MAX / 2] = SOURCE_RUNG;
    for (int i = 0; rgpu_preset(i); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof(list) - used, ", %s", rgpu_preset(i)->name);
    }
    return complain(c, "--%s: '%s' is not one of %s", option, name, list);
}

static int rung_add(struct plan *plan, const char *option, const char *name, struct complaint *c)
{
    int *count = &plan->params.rungs_count;
    if (strcmp(name, SOURCE_RUNG) != 0 && !rgpu_preset_find(name))
        return preset_unknown(option, name, c);
    for (int i = 0; i < *count; i++) {
        if (!strcmp(plan->rungs[i].preset, name))
            return complain(c, "--%s: '%s' is there twice", option, name);
    }
    if (*count == RGPU_RUNGS_MAX)
        return complain(c, "--%s: more than %d renditions", option, RGPU_RUNGS_MAX);
    plan->rungs[(*count)++].preset = name;
    return 0;
}

static int ladder_split(struct plan *plan, const char *ladder, struct complaint *c)
{
    if (strlen(ladder) >= sizeof(plan->names))
        return complain(c, "--ladder: more than %d characters", PLAN_TEXT_MAX - 1);
    strcpy(plan->names, ladder);
    for (char *name = plan->names, *comma = NULL; name; name = comma ? comma + 1 : NULL) {
        comma = strchr(name, ',');
        if (comma)
            *comma = '\0';
        int ret = rung_add(plan, "ladder", name, c);
        if (ret)
            return ret;
    }
    return 0;
}

/* The option that says how a rendition is encoded, if one was given: for a run that only copies. */
static const char *encode_option(const struct transcode_settings *s)
{
    const struct {
        bool is_given;
        const char *name;
    } given[] = {
        {s->width > 0 || s->height > 0, "size"},
        {s->bitrate_kbps > 0, "bitrate"},
        {s->quality >= 0, "quality"},
        {s->fps > 0, "fps"},
        {s->codec != NULL, "codec"},
        {s->speed > 0, "speed"},
        {s->profile != NULL, "profile"},
        {s->bframes >= 0, "bframes"},
        {s->intra_refresh, "intra-refresh"},
    };
    for (size_t i = 0; i < sizeof(given) / sizeof(given[0]); i++) {
        if (given[i].is_given)
            return given[i].name;
    }
    return NULL;
}

static void rung_override(struct rgpu_rung *rung, const struct transcode_settings *s)
{
    rung->width = s->width;
    rung->height = s->height;
    rung->fps_max = s->fps;
    rung->bitrate_kbps = s->bitrate_kbps;
    if (s->quality >= 0)
        rung->quality = s->quality == 0 ? RGPU_QUALITY_LOSSLESS : s->quality;
    rung->codec = s->codec;
    rung->speed = s->speed;
    rung->profile = s->profile;
    if (s->bframes >= 0)
        rung->bframes = s->bframes == 0 ? -1 : s->bframes;
}

static int rungs_make(struct plan *plan, const struct transcode_settings *s, struct complaint *c)
{
    int ret = 0, encoded = 0;
    if (s->preset && s->ladder)
        return complain(c, "--preset is for one rendition, --ladder for several: give one of them");
    if (s->quality >= 0 && s->bitrate_kbps > 0)
        return complain(c, "--quality and --bitrate contradict each other: give one of them");
    if (s->ladder)
        ret = ladder_split(plan, s->ladder, c);
    else if (s->preset)
        ret = rung_add(plan, "preset", s->preset, c);
    else
        plan->params.rungs_count = 1; /* the source's size */
    if (ret)
        return ret;
    for (int i = 0; i < plan->params.rungs_count; i++) {
        struct rgpu_rung *rung = &plan->rungs[i];
        if (rung->preset && !strcmp(rung->preset, SOURCE_RUNG))
            continue;
        rung_override(rung, s);
        encoded++;
    }
    if (encoded == 0 && encode_option(s))
        return complain(c, "--%s: the source rung is copied, and nothing else is asked for",
                        encode_option(s));
    return 0;
}

int plan_make(struct plan *ret, const struct transcode_settings *s, const char *input,
              const char *output, struct complaint *c)
{
    memset(ret, 0, sizeof(*ret));
    int status = rungs_make(ret, s, c);
    if (status)
        return status;
    struct rgpu_transcode_params *p = &ret->params;
    p->input = input;
    p->output = output;
    p->rungs = ret->rungs;
    p->device = s->device;
    p->jobs = s->jobs;
    p->segment_seconds = s->segment_seconds;
    p->gop_seconds = s->gop_seconds;
    p->intra_refresh = s->intra_refresh;
    p->start_seconds = s->start_seconds;
    p->duration_seconds = s->duration_seconds;
    p->audio = s->audio;
    p->map = s->map;
    if (s->deinterlace && !strcmp(s->deinterlace, "off"))
        p->deinterlace = RGPU_DEINTERLACE_OFF;
    p->upscale = s->upscale;
    p->overwrite = s->overwrite;
    p->verify = s->verify;
    p->strip_dynamic_hdr = s->strip_dynamic_hdr;
    p->no_fallback = s->no_fallback;
    p->threads = s->threads;
    return 0;
}
