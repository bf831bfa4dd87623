/* HLS playlists (RFC 8216; VIDEO-RANGE and EXT-X-GAP are of its second edition): written from a
 * description, and read back into the same description with every rule checked that a client may
 * rely on.
 *
 * Threads: pure functions. Memory: the writer appends to a struct text of the caller and borrows
 * all strings; what the reader gives is owned by struct playlist. Limits: PLAYLIST_*_MAX.
 * Errors: PARAM (writer) and INPUT (reader) name the tag or the line. Any bytes are safe. */
#ifndef MEDIA_PLAYLIST_H
#define MEDIA_PLAYLIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"
#include "media/rational.h"

#define PLAYLIST_SIZE_MAX ((size_t)32 << 20) /* bytes */
#define PLAYLIST_SEGMENTS_MAX 200000
#define PLAYLIST_VARIANTS_MAX 64
#define PLAYLIST_RENDITIONS_MAX 256
#define PLAYLIST_VERSION 7     /* fragmented MP4 needs 6, its ecosystem 7 */
#define PLAYLIST_GAP_VERSION 8 /* of a media playlist with EXT-X-GAP */

/* Strings below are URI references (see playlist_add_path) where they are called uri. Other strings
 * may be any text: quotes become apostrophes, control characters spaces and bytes that are no UTF-8
 * question marks, as a quoted-string has no escapes. NULL leaves an attribute out. */

struct playlist_segment {
    const char *uri;
    int64_t duration_us; /* take differences of rounded times, so that errors do not add up */
    bool discontinuity;  /* time stamps or headers change in front of it */
    bool gap;            /* it has no media, and players need not load it */
};

enum playlist_type { PLAYLIST_LIVE, PLAYLIST_EVENT, PLAYLIST_VOD };

struct playlist_media {
    int version; /* 0: PLAYLIST_VERSION, or PLAYLIST_GAP_VERSION if there is one */
    enum playlist_type type;
    bool independent_segments; /* each segment begins with a key frame */
    bool ended;                /* no segment will be added */
    int64_t media_sequence;    /* number of the first segment */
    int32_t target_duration_s; /* 0: the longest segment's, rounded to the nearest (4.3.3.1) */
    const char *map_uri;       /* the initialisation section (EXT-X-MAP), or NULL */
    struct playlist_segment *segments;
    int segments_count;
};

enum playlist_range { PLAYLIST_RANGE_UNKNOWN, PLAYLIST_SDR, PLAYLIST_PQ, PLAYLIST_HLG };

struct playlist_variant {
    const char *uri;
    int64_t bandwidth_bps;         /* peak of any segment, all its tracks; must be given */
    int64_t average_bandwidth_bps; /* 0: left out */
    const char *codecs;            /* comma-separated, see media/codecs.h */
    int32_t width, height;         /* 0: left out */
    struct rational frame_rate;    /* den 0: left out */
    enum playlist_range range;
    const char *audio, *subtitles; /* GROUP-ID of renditions below */
};

enum playlist_rendition_type { PLAYLIST_AUDIO, PLAYLIST_SUBTITLES };

struct playlist_rendition {
    enum playlist_rendition_type type;
    const char *group, *name;            /* must be given; names differ within a group */
    const char *language;                /* RFC 5646 */
    const char *uri;                     /* NULL: inside the variant's own segments (audio only) */
    bool is_default, autoselect, forced; /* is_default implies autoselect; one a group */
    int32_t channels;                    /* audio; 0: left out */
    const char *characteristics;         /* comma-separated, or NULL */
};

struct playlist_master {
    int version; /* 0: PLAYLIST_VERSION */
    bool independent_segments;
    struct playlist_variant *variants;
    int variants_count;
    struct playlist_rendition *renditions;
    int renditions_count;
};

/* Append a whole playlist. PARAM: the description breaks a rule (the text says which), `out` is
 * untouched then. MEMORY, LIMIT: of `out`. */
int playlist_write_media(const struct playlist_media *media, struct text *out, struct error *err);
int playlist_write_master(const struct playlist_master *master, struct text *out,
                          struct error *err);

/* What a quoted-string has of a text (see above), cut to fit between two characters. */
void playlist_plain(const char *text, char *ret, size_t size);

/* Appends a path, relative to the playlist, as a URI reference: everything that a URI does not
 * hold is percent-encoded. */
int playlist_add_path(struct text *out, const char *path);

struct playlist {
    bool is_master;
    struct playlist_master master; /* with is_master */
    struct playlist_media media;   /* else; target_duration_s is the tag's */
    char *text;                    /* owned; the strings above point into it */
};

/* Reads and checks a playlist. Tags that are not known are passed over, as the RFC demands. *ret is
 * untouched on error, else owned by the caller: playlist_done. */
int playlist_read(const void *data, size_t size, struct playlist *ret, struct error *err);

/* Frees; takes a zeroed struct. */
void playlist_done(struct playlist *p);

#endif
