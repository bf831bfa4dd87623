/* Sends what libavcodec and its relatives print to base/log.h's sink instead of standard error.
 * Process-wide, at the first call; a program that wants them elsewhere sets its own callback after
 * that. */
#ifndef CODEC_CODEC_LOG_H
#define CODEC_CODEC_LOG_H

void codec_log_to_sink(void);

#endif
