#include "file/mkv.h"

#include <errno.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>
#include <libavutil/crc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file/output.h"
#include "file/whole.h"

/* CodecDelay with a length of 4 is 7 bytes long; so much is added to the title. */
#define ROOM 7
static const char filler[ROOM + 1] = "#delay#";

enum {
    EBML_SEGMENT = 0x18538067,
    EBML_TRACKS = 0x1654AE6B,
    EBML_ENTRY = 0xAE,
    EBML_NUMBER = 0xD7,
    EBML_NAME = 0x536E,
    EBML_DELAY = 0x56AA,
    EBML_CRC32 = 0xBF,
    EBML_VOID = 0xEC
};

/* ---- elements ------------------------------------------------------------------------------- */

struct element {
    uint32_t id;
    size_t at, body, end; /* offsets of the id, of the contents, and behind them */
};

/* Variable-length number at `*pos`; the id keeps its length marker. */
static bool read_number(const uint8_t *data, size_t size, size_t *pos, bool id, uint64_t *ret)
{
    if (*pos >= size || data[*pos] == 0)
        return false;
    const int length = __builtin_clz((unsigned)data[*pos]) - 24 + 1;
    if (size - *pos < (size_t)length || (id && length > 4))
        return false;
    uint64_t value = data[*pos];
    if (!id)
        value &= (1u << (8 - length)) - 1u;
    for (int i = 1; i < length; i++)
        value = value << 8 | data[*pos + (size_t)i];
    *pos += (size_t)length;
    *ret = value;
    return true;
}

/* Next child in [*pos, end); a length that reaches too far (a segment, or unknown) is cut. */
static bool next_element(const uint8_t *data, size_t end, size_t *pos, struct element *ret)
{
    uint64_t id, length;
    ret->at = *pos;
    if (!read_number(data, end, pos, true, &id) || !read_number(data, end, pos, false, &length))
        return false;
    ret->id = (uint32_t)id;
    ret->body = *pos;
    ret->end = length > end - *pos ? end : *pos + (size_t)length;
    *pos = ret->end;
    return true;
}

static bool find(const uint8_t *data, size_t from, size_t end, uint32_t id, struct element *ret)
{
    while (next_element(data, end, &from, ret))
        if (ret->id == id)
            return true;
    return false;
}

static bool find_tracks(const uint8_t *data, size_t size, struct element *ret)
{
    struct element segment;
    return find(data, 0, size, EBML_SEGMENT, &segment) &&
           find(data, segment.body, segment.end, EBML_TRACKS, ret);
}

/* ---- the muxer's habit ---------------------------------------------------------------------- */

bool mkv_muxer_knows_delay(void)
{
    AVFormatContext *s = NULL;
    uint8_t *data = NULL;
    bool knows = false;
    if (avformat_alloc_output_context2(&s, NULL, "matroska", NULL) < 0)
        return false;
    AVStream *st = avformat_new_stream(s, NULL);
    if (st && avio_open_dyn_buf(&s->pb) >= 0) {
        static const uint8_t config[2] = {0x11, 0x90}; /* AAC-LC, 48 kHz, stereo */
        AVCodecParameters *par = st->codecpar;
        par->codec_type = AVMEDIA_TYPE_AUDIO;
        par->codec_id = AV_CODEC_ID_AAC;
        par->sample_rate = 48000;
        par->initial_padding = 1024;
        av_channel_layout_default(&par->ch_layout, 2);
        par->extradata = av_mallocz(sizeof(config) + AV_INPUT_BUFFER_PADDING_SIZE);
        if (par->extradata) {
            memcpy(par->extradata, config, sizeof(config));
            par->extradata_size = sizeof(config);
            const int rc = avformat_write_header(s, NULL);
            const int size = avio_close_dyn_buf(s->pb, &data);
            s->pb = NULL;
            struct element tracks, entry, delay;
            knows = rc >= 0 && data && size > 0 && find_tracks(data, (size_t)size, &tracks) &&
                    find(data, tracks.body, tracks.end, EBML_ENTRY, &entry) &&
                    find(data, entry.body, entry.end, EBML_DELAY, &delay);
        }
        if (s->pb) {
            avio_close_dyn_buf(s->pb, &data);
            s->pb = NULL;
        }
    }
    av_free(data);
    avformat_free_context(s);
    return knows;
}

int mkv_reserve_delay(AVStream *st)
{
    const AVDictionaryEntry *e = av_dict_get(st->metadata, "title", NULL, 0);
    char *title = av_asprintf("%s%s", e ? e->value : "", filler);
    if (!title || av_dict_set(&st->metadata, "title", title, AV_DICT_DONT_STRDUP_VAL) < 0)
        return RGPU_ERROR_MEMORY;
    return 0;
}

/* ---- the patch ------------------------------------------------------------------------------ */

/* Name "TITLE#delay#" becomes Name "TITLE" and CodecDelay, in the same number of bytes; a Name that
 * held the filler alone becomes CodecDelay and Void. */
static bool patch_entry(uint8_t *data, const struct element *entry, int64_t delay_ns)
{
    struct element name;
    if (!find(data, entry->body, entry->end, EBML_NAME, &name) || name.end - name.body < ROOM ||
        memcmp(data + name.end - ROOM, filler, ROOM) != 0)
        return false;
    const size_t title = name.end - name.body - ROOM;
    uint8_t delay[ROOM] = {EBML_DELAY >> 8, EBML_DELAY & 0xff, 0x84};
    for (int i = 0; i < 4; i++)
        delay[3 + i] = (uint8_t)(delay_ns >> (24 - 8 * i));
    if (title == 0) {
        memcpy(data + name.at, delay, ROOM);
        uint8_t *rest = data + name.at + ROOM;
        const size_t left = name.end - name.at - ROOM;
        memset(rest, 0, left);
        rest[0] = EBML_VOID;
        rest[1] = (uint8_t)(0x80 | (left - 2));
        return true;
    }
    memcpy(data + name.end - ROOM, delay, ROOM);
    /* The length field keeps its own length. */
    const size_t length_at = name.at + 2, length = name.body - length_at;
    for (size_t i = 0; i < length; i++)
        data[length_at + i] = (uint8_t)(title >> (8 * (length - 1 - i)));
    data[length_at] |= (uint8_t)(0x80 >> (length - 1));
    return true;
}

static void update_crc(uint8_t *data, const struct element *tracks)
{
    struct element crc;
    size_t pos = tracks->body;
    if (!next_element(data, tracks->end, &pos, &crc) || crc.id != EBML_CRC32 ||
        crc.end - crc.body != 4)
        return;
    const uint32_t sum = av_crc(av_crc_get_table(AV_CRC_32_IEEE_LE), UINT32_MAX, data + crc.end,
                                tracks->end - crc.end) ^
                         UINT32_MAX;
    for (int i = 0; i < 4; i++)
        data[crc.body + (size_t)i] = (uint8_t)(sum >> (8 * i));
}

/* Offset and length of the Tracks element within the file's first bytes. */
static int load_header(int fd, uint8_t *data, size_t *ret_size)
{
    size_t size = 0;
    while (size < MKV_HEADER_MAX) {
        const ssize_t n = pread(fd, data + size, MKV_HEADER_MAX - size, (off_t)size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        size += (size_t)n;
    }
    *ret_size = size;
    return 0;
}

static int patch_file(int fd, uint8_t *data, int number, int64_t delay_ns, const char *path,
                      struct error *err)
{
    size_t size = 0;
    int rc = load_header(fd, data, &size);
    struct element tracks, entry;
    bool done = false;
    if (rc == 0 && find_tracks(data, size, &tracks)) {
        size_t pos = tracks.body;
        while (!done && next_element(data, tracks.end, &pos, &entry)) {
            struct element n;
            if (entry.id == EBML_ENTRY && find(data, entry.body, entry.end, EBML_NUMBER, &n) &&
                n.end - n.body == 1 && data[n.body] == number)
                done = patch_entry(data, &entry, delay_ns);
        }
    }
    if (rc == 0 && !done)
        return error_set(err, RGPU_ERROR_INTERNAL, "no room for the codec delay of track %d in %s",
                         number, path);
    if (rc == 0) {
        update_crc(data, &tracks);
        rc = whole_write(fd, data + tracks.at, tracks.end - tracks.at, (off_t)tracks.at);
    }
    return rc < 0 ? output_errno(-rc, path, err) : 0;
}

int mkv_write_delay(int fd, int number, int64_t delay_ns, const char *path, struct error *err)
{
    uint8_t *data = malloc(MKV_HEADER_MAX);
    if (!data)
        return error_memory(err, "the header of the file");
    const int rc = patch_file(fd, data, number, delay_ns, path, err);
    free(data);
    return rc;
}
