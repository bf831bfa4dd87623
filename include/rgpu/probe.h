/* What a file is: tracks, random-access points, and what is special about it.
 * Threads: any, one call at a time a handle. Memory: the handle owns all strings and arrays. */
#ifndef RGPU_PROBE_H
#define RGPU_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include <rgpu/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rgpu_probe_track {
    int index;
    char kind[16]; /* "video", "audio", "subtitle", "attachment", "data", "cover" */
    char codec[32];
    char language[16], title[128];
    int is_default, is_forced;
    int width, height, rotation_degrees; /* video */
    char pixel_format[32];
    double frames_per_second;
    char color[64];            /* "bt709", "bt2020/pq", "" */
    int sample_rate, channels; /* audio */
    int64_t bitrate_bps;       /* 0 unknown */
};

struct rgpu_probe_point {
    double seconds;
    int open; /* leading pictures need what came before */
};

struct rgpu_probe_info {
    char format[64];
    double duration_seconds, start_seconds;
    int64_t size_bytes;
    int tracks_count;
    const struct rgpu_probe_track *tracks;
    int64_t frames; /* of the video track */
    double gop_seconds_max;
    int64_t points_count; /* all; `points` may hold fewer */
    int64_t points_listed;
    const struct rgpu_probe_point *points;
    int open_gop, variable_rate, interlaced, hdr10, hdr10_plus, dolby_vision, rotated;
    int starts_without_key, has_edit_list, without_pts;
    int64_t damaged;
};

typedef struct rgpu_probe rgpu_probe;

/* Reads the file once through. On error *ret is still set, for the message, but where there was no
 * memory or no path. Cancel through `go_on` (may be NULL): called now and then with the position,
 * which is 0 while the file is being opened; 0 stops. */
RGPU_API int rgpu_probe_open(rgpu_probe **ret, const char *path,
                             int (*go_on)(void *opaque, double seconds), void *opaque);
RGPU_API const struct rgpu_probe_info *rgpu_probe_info(const rgpu_probe *probe);
RGPU_API const char *rgpu_probe_message(const rgpu_probe *probe);
RGPU_API void rgpu_probe_close(rgpu_probe **probe);

#ifdef __cplusplus
}
#endif
#endif
