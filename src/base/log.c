#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

static rgpu_log_sink sink_function;
static void *sink_opaque;

void log_set_sink(rgpu_log_sink sink, void *opaque)
{
    sink_opaque = opaque;
    sink_function = sink;
}

void log_line(enum rgpu_log_level level, const char *format, ...)
{
    if (!sink_function)
        return;
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    sink_function(sink_opaque, level, line);
}
