#include "codec/codec_log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <libavutil/log.h>

#include "base/log.h"

static void forward(void *context, int level, const char *format, va_list args)
{
    if (level > AV_LOG_INFO) /* encoders' warnings come as that (encoder_setup.c) */
        return;
    char line[1024];
    int prefix = 1;
    av_log_format_line2(context, level, format, args, line, sizeof(line), &prefix);
    line[strcspn(line, "\n")] = '\0';
    /* The libraries' warnings are about details; what matters comes back as an error of ours. */
    log_line(RGPU_LOG_DEBUG, "%s", line);
}

static void install(void)
{
    av_log_set_callback(forward);
}

/* Before main, or when the library is loaded: what the program sets itself then comes later, and
 * holds. */
__attribute__((constructor)) static void be_silent(void)
{
    if (av_log_get_level() == AV_LOG_INFO)
        av_log_set_level(AV_LOG_QUIET);
}

void codec_log_to_sink(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}
