#include "log.h"

#include <stddef.h>

#include <rgpu/log.h>

#include "text.h"

static void line_show(void *opaque, enum rgpu_log_level level, const char *line)
{
    static const char *const prefixes[] = {
        [RGPU_LOG_ERROR] = "error: ",
        [RGPU_LOG_WARNING] = "warning: ",
        [RGPU_LOG_INFO] = "info: ",
        [RGPU_LOG_DEBUG] = "debug: ",
    };
    (void)opaque;
    text_error(prefixes[level], line);
}

void log_show(bool is_shown)
{
    rgpu_log_set(is_shown ? line_show : NULL, NULL);
}
