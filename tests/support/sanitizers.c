/* What the sanitizers are to pass over in libraries that are not built for them: link this into any
 * test that runs codecs. */
#include <stddef.h>

/* The run-time library looks for these by name. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);

/* libx265 3.5 forgets some hundred bytes of each encoder. */
const char *__lsan_default_suppressions(void)
{
    return "leak:libx265\n";
}

/* Their atomics and assembly are invisible to the sanitizer. */
const char *__tsan_default_suppressions(void)
{
    return "race:libavcodec\nrace:libavutil\nrace:libavfilter\nrace:libswscale\n"
           "race:libx264\nrace:libx265\nrace:libSvtAv1Enc\nrace:libaom\nrace:libdav1d\n"
           "deadlock:libSvtAv1Enc\nthread:libSvtAv1Enc\nthread:libx265\n";
}
