/* Log lines: one sink for the whole process, chosen by the program that hosts the library
 * (rgpu/log.h).
 *
 * Only api logs, and what codec's libraries say passes here; the other rooms return errors.
 * Threads: any; the sink must be thread-safe. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <rgpu/log.h>

/* Sets the sink; NULL drops all lines (the state at start). Call before other threads log. */
void log_set_sink(rgpu_log_sink sink, void *opaque);

/* One line, without a newline at its end. */
void log_line(enum rgpu_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
