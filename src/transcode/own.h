/* Making a frame one's own, so that its fields may be written.
 * Threads: any. Memory: a struct without planes where the frame is shared, else nothing. */
#ifndef TRANSCODE_OWN_H
#define TRANSCODE_OWN_H

#include "media/frame.h"

/* Replaces *frame by one with the same planes that nobody else holds. 0, or RGPU_ERROR_MEMORY with
 * *frame untouched. */
int frame_own(struct frame **frame);

#endif
