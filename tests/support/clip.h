/* Small films for tests: made by the ffmpeg program in a directory of their own, read into packets,
 * and what ffmpeg itself decodes from them.
 *
 * Threads: one. Memory: a clip owns its packets; clip_done frees them. Anything that cannot work
 * (no ffmpeg, no such encoder) fails the test by assertion, unless said otherwise. */
#ifndef SUPPORT_CLIP_H
#define SUPPORT_CLIP_H

#include <stdbool.h>
#include <stddef.h>

#include "media/frame.h"
#include "media/packet.h"
#include "media/track.h"

#define CLIP_PATH_MAX 256

struct clip {
    char path[CLIP_PATH_MAX];
    struct track track;
    struct packet *packets; /* owned, as what they hold */
    size_t count;
    int width, height; /* pixels, as the demuxer says */
};

/* A picture as a checksum. */
struct picture_sum {
    int64_t pts;
    char md5[33]; /* over the planes without padding, as ffmpeg's framemd5 */
};

/* Makes a temporary directory, which clip_dir_remove removes with all in it. */
void clip_dir_make(void);
void clip_dir_remove(void);

/* The same, for cmocka_run_group_tests. */
int clip_set_up(void **state);
int clip_tear_down(void **state);

const char *clip_dir(void);

/* Runs "ffmpeg ARGS DIR/NAME". False: ffmpeg failed (no such encoder in this build). */
bool clip_make(const char *name, const char *args);

/* Reads the video track of DIR/NAME. */
void clip_read(const char *name, struct clip *ret);
void clip_done(struct clip *clip);

/* What ffmpeg decodes from DIR/NAME, with extra options (a -pix_fmt). Free with free(). */
size_t clip_reference(const char *name, const char *args, struct picture_sum **ret);

void picture_md5(const struct frame *frame, char ret[33]);

#endif
