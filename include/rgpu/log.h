/* Log lines: what the library decides on its way, and what the libraries under it say.
 *
 * Until rgpu_log_set is called nothing is logged, and libavcodec and its relatives are silent, in
 * the whole process: loading this library sets their level to AV_LOG_QUIET where it is AV_LOG_INFO,
 * their default. A program that uses them itself and wants their lines calls av_log_set_level after
 * that. With rgpu_log_set they
 * come to the sink. SVT-AV1 alone prints to standard error by itself: a program that encodes AV1
 * sets SVT_LOG=1 (errors only) in its environment before it starts threads. Threads: the sink is
 * called from any. Memory: a line lives as long as the call. */
#ifndef RGPU_LOG_H
#define RGPU_LOG_H

#include <rgpu/error.h>

#ifdef __cplusplus
extern "C" {
#endif

enum rgpu_log_level { RGPU_LOG_ERROR, RGPU_LOG_WARNING, RGPU_LOG_INFO, RGPU_LOG_DEBUG };

/* One line, without a newline at its end; it may hold what stood in a file, unescaped. */
typedef void (*rgpu_log_sink)(void *opaque, enum rgpu_log_level level, const char *line);

/* Sends all lines to `sink`; NULL drops them. Call it before the first job, once. */
RGPU_API void rgpu_log_set(rgpu_log_sink sink, void *opaque);

#ifdef __cplusplus
}
#endif
#endif
