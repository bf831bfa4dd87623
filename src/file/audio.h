/* Encodes one audio track anew, on the client, as a whole, so that it has no joints.
 *
 * Time stamps follow the source: gaps are filled with silence and overlaps trimmed only beyond 50
 * ms; the encoder's priming is signalled, so that the first sample keeps its time. Threads: one.
 * Memory: a few frames. */
#ifndef FILE_AUDIO_H
#define FILE_AUDIO_H

#include "file/reader.h"

struct AVCodecParameters;

struct audio_params {
    const struct reader_track *source; /* borrowed */
    char codec[CODEC_NAME_MAX];        /* "aac", "opus" */
    int64_t bit_rate_bps;              /* 0: 64 kbit/s a channel, at most 384 */
    int64_t start_us, end_us;          /* source time kept; end 0: to the end */
};

struct audio;
int audio_open(struct audio **ret, const struct audio_params *params, struct error *err);
const struct AVCodecParameters *audio_codecpar(const struct audio *a); /* borrowed */
struct rational audio_time_base(const struct audio *a);
/* Source packet (borrowed), or NULL at the end. */
int audio_push(struct audio *a, const struct AVPacket *av, struct error *err);
/* Next encoded packet (owned by the caller). AGAIN, END. */
int audio_next(struct audio *a, struct AVPacket **ret, struct error *err);
/* Packets that could not be decoded. */
int64_t audio_failed_count(const struct audio *a);
void audio_close(struct audio **a);

#endif
