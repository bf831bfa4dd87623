/* --verbose: the library's log lines on standard error. */
#ifndef APPS_LOG_H
#define APPS_LOG_H

#include <stdbool.h>

/* Shows the log lines, or drops them. Call it before the library starts any work. */
void log_show(bool is_shown);

#endif
