/* rgpu/probe.h over the file room. */
#include <rgpu/probe.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "file/probe.h"

#define LISTED_MAX PROBE_POINTS_MAX

struct rgpu_probe {
    struct rgpu_probe_info info;
    struct rgpu_probe_track *tracks; /* owned */
    struct rgpu_probe_point *points; /* owned */
    struct error failure;
    int (*go_on)(void *opaque, double seconds);
    void *go_on_opaque;
    double position_seconds; /* told last */
};

static const char *const kind_names[] = {"video", "audio", "subtitle", "attachment", "data"};

static const char *name_primaries(uint8_t code)
{
    switch (code) {
    case 1:
        return "bt709";
    case 5:
        return "bt470bg";
    case 6:
        return "smpte170m";
    case 9:
        return "bt2020";
    case 12:
        return "p3";
    default:
        return NULL;
    }
}

static const char *name_transfer(uint8_t code)
{
    switch (code) {
    case 1:
        return "bt709";
    case 6:
        return "smpte170m";
    case 14:
    case 15:
        return "bt2020";
    case 16:
        return "pq";
    case 18:
        return "hlg";
    default:
        return NULL;
    }
}

static void describe_color(const struct color *color, char *ret, size_t size)
{
    const char *primaries = name_primaries(color->primaries);
    const char *transfer = name_transfer(color->transfer);
    snprintf(ret, size, "%s%s%s%s", primaries ? primaries : "", primaries && transfer ? "/" : "",
             transfer ? transfer : "", color->range == RANGE_FULL ? " full range" : "");
}

static void describe_track(const struct reader_track *track, struct rgpu_probe_track *ret)
{
    const struct pixel_info *pixel = pixel_info(track->video.format);
    *ret = (struct rgpu_probe_track){
        .index = track->index,
        .is_default = track->is_default,
        .is_forced = track->is_forced,
        .width = track->video.width,
        .height = track->video.height,
        .rotation_degrees = track->rotation_degrees,
        .frames_per_second = rational_double(track->video.frame_rate),
        .sample_rate = track->sample_rate,
        .channels = track->channels,
        .bitrate_bps = track->bit_rate_bps,
    };
    snprintf(ret->kind, sizeof(ret->kind), "%s",
             track->is_cover ? "cover" : kind_names[track->kind]);
    snprintf(ret->codec, sizeof(ret->codec), "%s", track->codec);
    snprintf(ret->language, sizeof(ret->language), "%s", track->language);
    snprintf(ret->title, sizeof(ret->title), "%s", track->title);
    snprintf(ret->pixel_format, sizeof(ret->pixel_format), "%s", pixel ? pixel->name : "");
    if (track->kind == TRACK_VIDEO)
        describe_color(&track->video.color, ret->color, sizeof(ret->color));
}

static int list_tracks(struct rgpu_probe *probe, const struct reader *reader)
{
    const int count = reader_tracks_count(reader);
    probe->tracks = calloc((size_t)count + 1, sizeof(*probe->tracks));
    if (!probe->tracks)
        return error_memory(&probe->failure, "the tracks");
    for (int i = 0; i < count; i++)
        describe_track(reader_track(reader, i), &probe->tracks[i]);
    probe->info.tracks = probe->tracks;
    probe->info.tracks_count = count;
    return 0;
}

static int list_points(struct rgpu_probe *probe, const struct probe *found)
{
    const int64_t count = found->points_count < LISTED_MAX ? found->points_count : LISTED_MAX;
    probe->points = calloc((size_t)count + 1, sizeof(*probe->points));
    if (!probe->points)
        return error_memory(&probe->failure, "the random-access points");
    for (int64_t i = 0; i < count; i++)
        probe->points[i] = (struct rgpu_probe_point){
            .seconds = (double)found->points[i].pts_us / 1e6,
            .open = found->points[i].access == ACCESS_OPEN && found->points[i].leading > 0};
    probe->info.points = probe->points;
    probe->info.points_count = found->points_count;
    probe->info.points_listed = count;
    return 0;
}

static void fill_facts(struct rgpu_probe_info *info, const struct probe *found)
{
    info->frames = found->frames;
    info->gop_seconds_max = (double)found->gop_us_max / 1e6;
    info->open_gop = found->open_gop;
    info->variable_rate = found->variable_rate;
    info->interlaced = found->interlaced;
    info->hdr10 = found->hdr10;
    info->hdr10_plus = found->hdr10_plus;
    info->dolby_vision = found->dolby_vision;
    info->rotated = found->rotated;
    info->starts_without_key = found->starts_without_key;
    info->has_edit_list = found->has_edit_list;
    info->without_pts = found->timestamps_by_order;
    info->damaged = found->damaged;
    if (found->duration_us > 0)
        info->duration_seconds = (double)found->duration_us / 1e6;
}

static bool forward_progress(void *opaque, int64_t pts_us)
{
    struct rgpu_probe *probe = opaque;
    probe->position_seconds = (double)pts_us / 1e6;
    return !probe->go_on || probe->go_on(probe->go_on_opaque, probe->position_seconds) != 0;
}

static bool is_stopped(void *opaque)
{
    struct rgpu_probe *probe = opaque;
    return probe->go_on && !probe->go_on(probe->go_on_opaque, probe->position_seconds);
}

static int look(struct rgpu_probe *probe, const char *path)
{
    struct reader *reader = NULL;
    struct probe found = {0};
    const struct reader_params params = {
        .path = path, .video_track = -1, .interrupt = {is_stopped, probe}};
    int ret = reader_open(&reader, &params, &probe->failure);
    if (ret != 0)
        return ret;
    snprintf(probe->info.format, sizeof(probe->info.format), "%s", reader_format_name(reader));
    probe->info.duration_seconds = (double)reader_duration_us(reader) / 1e6;
    probe->info.start_seconds = (double)reader_start_us(reader) / 1e6;
    probe->info.size_bytes = reader_size_bytes(reader);
    ret = list_tracks(probe, reader);
    if (ret == 0)
        ret = probe_run(reader, &found, forward_progress, probe, &probe->failure);
    if (ret == 0)
        ret = list_points(probe, &found);
    if (ret == 0)
        fill_facts(&probe->info, &found);
    probe_done(&found);
    reader_close(&reader);
    return ret;
}

int rgpu_probe_open(rgpu_probe **ret, const char *path, int (*go_on)(void *opaque, double seconds),
                    void *opaque)
{
    *ret = NULL;
    if (!path || !*path)
        return RGPU_ERROR_PARAM;
    struct rgpu_probe *probe = calloc(1, sizeof(*probe));
    if (!probe)
        return RGPU_ERROR_MEMORY;
    probe->go_on = go_on;
    probe->go_on_opaque = opaque;
    *ret = probe;
    return look(probe, path);
}

const struct rgpu_probe_info *rgpu_probe_info(const rgpu_probe *probe)
{
    return &probe->info;
}

const char *rgpu_probe_message(const rgpu_probe *probe)
{
    return probe->failure.text;
}

void rgpu_probe_close(rgpu_probe **probe)
{
    struct rgpu_probe *p = *probe;
    *probe = NULL;
    if (!p)
        return;
    free(p->tracks);
    free(p->points);
    free(p);
}
