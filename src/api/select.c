#include "api/select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART_MAX 32

static const char kind_letters[] = "vastd"; /* in the order of enum track_kind */

static enum track_kind kind_of(const struct reader_track *track)
{
    return track->is_cover ? TRACK_ATTACHMENT : track->kind;
}

/* One part of the map: a number, a kind, or the n-th of a kind. */
struct pattern {
    int index; /* -1: any */
    int kind;  /* -1: any */
    int nth;   /* -1: all */
};

static bool parse_number(const char *text, int *ret)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (end == text || *end || n < 0 || n >= READER_TRACKS_MAX)
        return false;
    *ret = (int)n;
    return true;
}

static bool parse_part(const char *part, struct pattern *ret)
{
    *ret = (struct pattern){-1, -1, -1};
    if (parse_number(part, &ret->index))
        return true;
    const char *letter = part[0] ? strchr(kind_letters, part[0]) : NULL;
    if (!letter)
        return false;
    ret->kind = (int)(letter - kind_letters);
    return !part[1] || (part[1] == ':' && parse_number(part + 2, &ret->nth));
}

static bool matches(const struct pattern *p, const struct reader_track *track, int nth)
{
    return p->kind < 0 ? track->index == p->index
                       : (int)kind_of(track) == p->kind && (p->nth < 0 || p->nth == nth);
}

/* Marks what one part matches; the number of tracks. */
static int apply(const struct reader *reader, const struct pattern *p, bool *keep)
{
    int seen[5] = {0}, count = 0;
    for (int i = 0; i < reader_tracks_count(reader); i++) {
        const struct reader_track *track = reader_track(reader, i);
        if (matches(p, track, seen[kind_of(track)]++)) {
            keep[i] = true;
            count++;
        }
    }
    return count;
}

/* Takes the first part off the map. */
static int next_part(const char **map, struct pattern *ret, char text[PART_MAX], struct error *err)
{
    const size_t length = strcspn(*map, ",");
    snprintf(text, PART_MAX, "%.*s", (int)(length < PART_MAX ? length : PART_MAX - 1), *map);
    if (!parse_part(text, ret))
        return error_set(err, RGPU_ERROR_PARAM,
                         "map part '%s' is neither a track number nor v, a, s, t, d or KIND:N",
                         text);
    *map += length;
    *map += **map == ',';
    return 0;
}

int select_check(const char *map, struct error *err)
{
    int ret = 0;
    while (map && *map && ret == 0) {
        char part[PART_MAX];
        struct pattern p;
        ret = next_part(&map, &p, part, err);
    }
    return ret;
}

int select_tracks(const struct reader *reader, const char *map, bool *keep, struct error *err)
{
    const int count = reader_tracks_count(reader);
    for (int i = 0; i < count; i++)
        keep[i] = !map || !*map;
    if (!map || !*map)
        return 0;
    bool attachments = false;
    while (*map) {
        char part[PART_MAX];
        struct pattern p;
        const int ret = next_part(&map, &p, part, err);
        if (ret != 0)
            return ret;
        if (!apply(reader, &p, keep))
            return error_set(err, RGPU_ERROR_PARAM,
                             "no track matches '%s' in the map; see rgpu probe", part);
        attachments |= p.kind == TRACK_ATTACHMENT;
    }
    for (int i = 0; i < count && !attachments; i++)
        keep[i] |= kind_of(reader_track(reader, i)) == TRACK_ATTACHMENT;
    return 0;
}

int select_video(const struct reader *reader, const char *map)
{
    bool keep[READER_TRACKS_MAX] = {0};
    if (!map || !*map || select_tracks(reader, map, keep, NULL) != 0)
        return -1;
    for (int i = 0; i < reader_tracks_count(reader); i++)
        if (keep[i] && kind_of(reader_track(reader, i)) == TRACK_VIDEO)
            return i;
    return -1;
}
