/* What libavcodec and its relatives print to standard error: nothing, unless the program tells them
 * so (av_log_set_level); their default is changed when this library is loaded. From the first call
 * on it goes to base/log.h's sink. Process-wide; a program that wants it elsewhere sets its own
 * callback after that. */
#ifndef CODEC_CODEC_LOG_H
#define CODEC_CODEC_LOG_H

void codec_log_to_sink(void);

#endif
