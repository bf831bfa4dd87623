/* Log lines: one sink for the whole process, chosen by the program that hosts the library.
 *
 * Only the rooms that decide (api, node) log; the others return errors. Threads: any; the sink must
 * be thread-safe. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

typedef void (*log_sink)(void *opaque, enum log_level level, const char *line);

/* Sets the sink; NULL drops all lines (the state at start). Call before other threads log. */
void log_set_sink(log_sink sink, void *opaque);

/* One line, without a newline at its end. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
