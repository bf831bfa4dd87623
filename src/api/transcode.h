/* The file job behind rgpu/transcode.h: what its files share. Not seen by others. */
#ifndef API_TRANSCODE_H
#define API_TRANSCODE_H

#include <pthread.h>

#include <rgpu/transcode.h>

#include "api/device.h"
#include "api/rung.h"
#include "api/warnings.h"
#include "codec/codec.h"
#include "dispatch/dispatch.h"
#include "file/cutter.h"
#include "file/outputs.h"
#include "node/node.h"

struct segment_mark {
    int64_t start;
    struct rate_mark mark; /* in front of its first frame */
};

struct rgpu_transcode {
    struct rgpu_transcode_params params; /* borrow from `wanted` and `texts` */
    struct rgpu_rung wanted[RGPU_RUNGS_MAX];
    char *texts; /* owned */

    /* Used by the job's thread only, until that has ended. */
    struct reader *reader;
    struct outputs *outputs;
    struct cutter *cutter;
    struct job *job; /* NULL: nothing is encoded (source rungs only) */
    struct node *node;
    struct device device; /* where something is encoded */
    bool is_device_examined;
    struct rung rungs[RENDITIONS_MAX];
    int rungs_count;
    int rendition_rung[RENDITIONS_MAX]; /* rung of each rendition */
    int renditions_count;
    bool input_ended;
    int64_t start_us, end_us; /* on the source's time line; end 0: none */
    int64_t duration_us;      /* of the part; 0 unknown */
    int64_t started_ns;       /* of the state: running, verifying */
    int64_t gop_us;
    struct segment_mark *segment_marks; /* owned; as the cutter gave them, where results are to be
                                         * verified */
    size_t segments_count, segments_capacity;
    int64_t packets_read;        /* of the source's video */
    int64_t frames_asked;        /* of them, that begin in the part */
    int64_t read_us, written_us; /* ends of the latest frames, from the beginning of the part */
    int64_t frames_done, damaged;

    pthread_t thread;
    bool started;
    int cancelled; /* atomic */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool ended;           /* protected by `lock`, as all below */
    struct error failure; /* code 0: none */
    struct warnings warnings;
    struct rgpu_progress progress;
};

/* Opens what the job needs; what was opened before an error stays in `t`. The job's thread. */
int transcode_open(struct rgpu_transcode *t, struct error *err);

/* What --audio says. PARAM. */
int transcode_parse_audio(struct outputs_params *ret, const char *text, struct error *err);

/* Name of the input in messages. */
const char *transcode_input_name(const struct rgpu_transcode_params *p);

/* The job's thread. */
void *transcode_run(void *opaque);

/* Adds a warning once. Any thread. */
void transcode_warn(struct rgpu_transcode *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

bool transcode_cancelled(struct rgpu_transcode *t);

/* For the readers of a job. */
struct reader_interrupt transcode_interrupt(struct rgpu_transcode *t);

/* Decodes the completed results, in place or not, and compares them with the source; fills the
 * rungs' PSNR. VERIFY names the rung and the first difference. */
int transcode_verify(struct rgpu_transcode *t, struct error *err);

/* So many frames of the source were compared, up to a time on its time line. */
void transcode_verified(struct rgpu_transcode *t, int64_t frames, int64_t until_us);

#endif
