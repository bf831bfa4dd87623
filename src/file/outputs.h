/* All results of one job: which tracks go into which files, and the packets' way there.
 *
 * One file with all renditions as video tracks, a file for each rendition, or an HLS folder. Audio,
 * subtitles, other video tracks, attachments and chapters go into each file; audio that is encoded
 * anew is encoded once.
 *
 * Threads: one. Memory: as the writers. */
#ifndef FILE_OUTPUTS_H
#define FILE_OUTPUTS_H

#include "file/writer.h"
#include "media/rendition.h"

#define OUTPUT_PATH_MAX 4096

enum audio_mode { AUDIO_AUTO, AUDIO_COPY, AUDIO_ENCODE, AUDIO_NONE };

struct output_rung {
    char name[32];
    bool is_source; /* the source's own packets */
    int rendition;  /* index among the encoded ones; -1 for the source's */
    char codec[CODEC_NAME_MAX];
};

struct outputs_params {
    struct reader *reader; /* borrowed for the life of the outputs */
    const char *path;      /* with "{}": a file for each rung */
    bool overwrite;
    int rungs_count;
    struct output_rung rungs[RENDITIONS_MAX];
    const bool *keep; /* borrowed during open: [reader_tracks_count], tracks to keep */
    bool is_mapped;   /* the user has named them: else other video tracks go into one result, but
                       * not into a file for each rung */
    enum audio_mode audio;
    char audio_codec[CODEC_NAME_MAX]; /* AUDIO_ENCODE: "aac", "opus" */
    int64_t audio_bit_rate_bps;       /* 0: by channels */
    int64_t start_us, end_us; /* source time kept, from 0 of its time line; end 0: to the end */
    int64_t segment_us;       /* HLS */
};

struct outputs;

/* Checks names and destinations, opens the writers and audio encoders. */
int outputs_open(struct outputs **ret, const struct outputs_params *params, struct error *err);

/* Routes one packet of the source: copied tracks, audio, the source rung. Not moved. */
int outputs_source(struct outputs *o, const struct reader_packet *pkt, struct error *err);

/* The source is read to its end. */
int outputs_source_end(struct outputs *o, struct error *err);

/* Description, packets (moved, also on error) and end of an encoded rendition. */
int outputs_header(struct outputs *o, int rendition, const struct track *track, struct error *err);
int outputs_video(struct outputs *o, int rendition, struct packet *pkt, struct error *err);
int outputs_video_end(struct outputs *o, struct error *err);

/* Completes all files, out of sight. */
int outputs_complete(struct outputs *o, struct error *err);

/* Puts the completed files in place. What can be foreseen to fail leaves all as it was; where one
 * of several files cannot be placed all the same, those that have replaced an older one stay. */
int outputs_place(struct outputs *o, struct error *err);

/* Of all results; one line may be there more than once. More come up to outputs_complete. */
int outputs_warnings_count(const struct outputs *o);
const char *outputs_warning(const struct outputs *o, int i);

int64_t outputs_bytes(const struct outputs *o);
int64_t outputs_waiting_bytes(const struct outputs *o); /* payload that waits for other tracks */
/* How much later than in the source (less start_us) a rung's frames are: see writer_shift_us. */
int64_t outputs_rung_shift_us(const struct outputs *o, int rung);
int64_t outputs_rung_bytes(const struct outputs *o, int rung);    /* of its video */
int64_t outputs_rung_frames(const struct outputs *o, int rung);   /* that the source's rung shows */
int outputs_rung_beside_count(const struct outputs *o, int rung); /* see writer_beside_count */
const char *outputs_rung_path(const struct outputs *o, int rung); /* file, or playlist for HLS */
/* Where this process can read that once it is complete, in place or not. PARAM where the name gets
 * too long. */
int outputs_rung_reading_path(const struct outputs *o, int rung, char ret[OUTPUT_PATH_MAX],
                              struct error *err);
const char *outputs_master_path(const struct outputs *o); /* of HLS; else empty */

/* Audio packets that could not be decoded. */
int64_t outputs_damaged(const struct outputs *o);

void outputs_close(struct outputs **o);

#endif
