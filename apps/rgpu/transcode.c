/* rgpu transcode: options, the loop around a job, and what is said at its end. */
#include <string.h>
#include <time.h>

#include <rgpu/transcode.h>

#include "log.h"
#include "plan.h"
#include "progress.h"
#include "status.h"
#include "stop.h"
#include "text.h"
#include "verbs.h"

#define POLL_MS 100
#define SIZE_MIN 2
#define SIZE_MAX_PIXELS 16384
#define AUDIO_KBPS_MIN 8
#define AUDIO_KBPS_MAX 1024

static const char *preset_word(int i)
{
    const struct rgpu_preset *preset = rgpu_preset(i);
    int count = i;
    if (preset)
        return preset->name;
    while (count > 0 && !rgpu_preset(count - 1))
        count--;
    return i == count ? "source" : NULL;
}

/* One list of words for an option, as the function that the tables want. */
#define WORDS(function, ...)                                                                       \
    static const char *function(int i)                                                             \
    {                                                                                              \
        static const char *const words[] = {__VA_ARGS__};                                          \
        return i >= 0 && (size_t)i < sizeof(words) / sizeof(words[0]) ? words[i] : NULL;           \
    }

WORDS(codec_word, "h264", "hevc", "av1", "h264_nvenc", "hevc_nvenc", "av1_nvenc")
WORDS(speed_word, "p1", "p2", "p3", "p4", "p5", "p6", "p7")
WORDS(deinterlace_word, "auto", "off")
WORDS(audio_word, "copy", "aac", "aac:128", "opus", "opus:96", "none")
WORDS(profile_word, "baseline", "main", "high", "main10", "high10")

static int size_parse(const struct option *option, const char *value, void *settings,
                      struct complaint *c)
{
    struct transcode_settings *s = settings;
    const char *x = strchr(value, 'x');
    int width = 0, height = 0;
    size_t before = x ? (size_t)(x - value) : 0, after = x ? strlen(x + 1) : 0;
    if (before + after == 0 ||
        (before && !options_int(value, before, SIZE_MIN, SIZE_MAX_PIXELS, &width)) ||
        (after && !options_int(x + 1, after, SIZE_MIN, SIZE_MAX_PIXELS, &height)))
        return complain(c, "--%s: '%s' is not WxH, Wx or xH with %d to %d pixels each",
                        option->name, value, SIZE_MIN, SIZE_MAX_PIXELS);
    s->width = width;
    s->height = height;
    return 0;
}

static int speed_parse(const struct option *option, const char *value, void *settings,
                       struct complaint *c)
{
    struct transcode_settings *s = settings;
    if (value[0] != 'p' || !options_int(value + 1, strlen(value + 1), 1, 7, &s->speed))
        return complain(c, "--%s: '%s' is not within p1 (fast) to p7 (small)", option->name, value);
    return 0;
}

static int audio_parse(const struct option *option, const char *value, void *settings,
                       struct complaint *c)
{
    struct transcode_settings *s = settings;
    const char *colon = strchr(value, ':');
    size_t length = colon ? (size_t)(colon - value) : strlen(value);
    int kbps = 0;
    bool is_encoded =
        (length == 3 && !strncmp(value, "aac", 3)) || (length == 4 && !strncmp(value, "opus", 4));
    if (!is_encoded && strcmp(value, "copy") != 0 && strcmp(value, "none") != 0)
        return complain(c, "--%s: '%s' is not one of copy, aac[:KBPS], opus[:KBPS], none",
                        option->name, value);
    if (colon && !options_int(colon + 1, strlen(colon + 1), AUDIO_KBPS_MIN, AUDIO_KBPS_MAX, &kbps))
        return complain(c, "--%s: '%s': the bit rate is not a whole number (%d to %d kbit/s)",
                        option->name, value, AUDIO_KBPS_MIN, AUDIO_KBPS_MAX);
    s->audio = value;
    return 0;
}

#define FIELD(name) .offset = offsetof(struct transcode_settings, name)

const struct option transcode_options[] = {
    {.help = "Renditions (what is set here holds for each of them):"},
    {.name = "preset",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .word = preset_word,
     FIELD(preset),
     .help = "a size, frame rate cap and bit rate from the table below; default: the source's size "
             "at constant quality"},
    {.name = "ladder",
     .kind = OPTION_TEXT,
     .argument = "A,B,...",
     .word = preset_word,
     .is_list = true,
     FIELD(ladder),
     .help = "several presets in one run; 'source' is the source's own video, copied"},
    {.name = "size",
     .kind = OPTION_OTHER,
     .argument = "WxH",
     .parse = size_parse,
     .help = "box that the picture is fitted into; Wx or xH: the other from the aspect ratio"},
    {.name = "bitrate",
     .kind = OPTION_INT,
     .argument = "KBPS",
     .min = 1,
     .max = 1000000,
     .unit = "kbit/s",
     FIELD(bitrate_kbps),
     .help = "bit rate of the video in kbit/s; AV1: up to 100000"},
    {.name = "quality",
     .kind = OPTION_INT,
     .argument = "N",
     .min = 0,
     .max = 63,
     FIELD(quality),
     .help = "constant quality instead of a bit rate, on the encoder's scale: 1 best, 51 smallest "
             "(AV1: 63); 0 is lossless"},
    {.name = "fps",
     .kind = OPTION_RATE,
     .argument = "N",
     .min = 0.1,
     .max = 1000,
     .unit = "frames/s",
     FIELD(fps),
     .help = "frames a second at most: 30, 29.97, 30000/1001; dropped evenly, so 50 capped to 30 "
             "gives 25, and 25 capped to 24 gives 12.5"},
    {.name = "gop",
     .kind = OPTION_TIME,
     .argument = "SECONDS",
     .min = 0.01,
     .max = 600,
     .unit = "seconds",
     FIELD(gop_seconds),
     .help = "time between key frames (2); each is the first frame that is not before its time"},
    {.name = "intra-refresh",
     .kind = OPTION_FLAG,
     FIELD(intra_refresh),
     .help = "renew the picture bit by bit within that time, with key frames only where segments "
             "begin: for streams at low latency; h264 only, and not into HLS"},
    {.name = "codec",
     .kind = OPTION_WORD,
     .argument = "NAME",
     .word = codec_word,
     FIELD(codec),
     .help = "h264 (default), hevc, av1; h264_nvenc and the like mean the codec, not the device"},
    {.name = "speed",
     .kind = OPTION_OTHER,
     .argument = "p1..p7",
     .word = speed_word,
     .parse = speed_parse,
     .help = "p1 is fastest, p7 makes the smallest files (p4)"},
    {.name = "profile",
     .kind = OPTION_TEXT,
     .argument = "NAME",
     .word = profile_word,
     FIELD(profile),
     .help = "profile of the codec, such as main or high10; default: what fits"},
    {.name = "bframes",
     .kind = OPTION_INT,
     .argument = "N",
     .min = 0,
     .max = 16,
     FIELD(bframes),
     .help = "B-frames in a row, not for av1; default: the encoder's own choice"},
    {.name = "upscale",
     .kind = OPTION_FLAG,
     FIELD(upscale),
     .help = "allow renditions larger than the source"},

    {.help = "Source:"},
    {.name = "start",
     .kind = OPTION_TIME,
     .argument = "TIME",
     .min = 0,
     .max = 31536000,
     .unit = "seconds",
     FIELD(start_seconds),
     .help = "begin there: seconds (90.5) or HH:MM:SS.mmm"},
    {.name = "duration",
     .kind = OPTION_TIME,
     .argument = "TIME",
     .min = 0.001,
     .max = 31536000,
     .unit = "seconds",
     FIELD(duration_seconds),
     .help = "take no more than that much"},
    {.name = "audio",
     .kind = OPTION_OTHER,
     .argument = "HOW",
     .word = audio_word,
     .parse = audio_parse,
     .help = "copy, aac[:KBPS], opus[:KBPS] or none; default: copied where the output's format "
             "takes it, else AAC (WebM: Opus)"},
    {.name = "map",
     .kind = OPTION_TEXT,
     .argument = "TRACKS",
     FIELD(map),
     .help = "tracks to keep: numbers as 'rgpu probe' gives them (0,2,3), or kinds (v,a:0,s; t "
             "attachments and covers, d data); attachments and covers stay unless some are named; "
             "default: all, but with {} in OUT only the video track that is transcoded"},
    {.name = "deinterlace",
     .kind = OPTION_WORD,
     .argument = "auto|off",
     .word = deinterlace_word,
     FIELD(deinterlace),
     .help = "what to do with an interlaced source (auto: deinterlace it)"},
    {.name = "strip-dynamic-hdr",
     .kind = OPTION_FLAG,
     FIELD(strip_dynamic_hdr),
     .help = "drop HDR10+ and Dolby Vision metadata instead of refusing the source"},

    {.help = "Where and how:"},
    {.name = "device",
     .kind = OPTION_OTHER,
     .argument = "NAME",
     .word = device_word,
     .parse = device_parse,
     FIELD(device),
     .help = "auto, cpu or cuda:N, see 'rgpu devices' (auto)"},
    {.name = "no-fallback",
     .kind = OPTION_FLAG,
     FIELD(no_fallback),
     .help = "fail rather than let the CPU do what the device cannot"},
    {.name = "jobs",
     .kind = OPTION_INT,
     .argument = "N",
     .min = 1,
     .max = 64,
     FIELD(jobs),
     .help = "segments at a time; default: by the device"},
    {.name = "segment",
     .kind = OPTION_TIME,
     .argument = "SECONDS",
     .min = 0.01,
     .max = 3600,
     .unit = "seconds",
     FIELD(segment_seconds),
     .help = "length that the source is cut into, about (4; HLS 6)"},
    {.name = "threads",
     .kind = OPTION_INT,
     .argument = "N",
     .min = 1,
     .max = 1024,
     FIELD(threads),
     .help = "processors to use; default: all"},

    {.help = "Output:"},
    {.name = "overwrite",
     .letter = 'y',
     .kind = OPTION_FLAG,
     FIELD(overwrite),
     .help = "replace an output that exists"},
    {.name = "verify",
     .kind = OPTION_FLAG,
     FIELD(verify),
     .help = "decode the result and compare frame count, timestamps and PSNR with the source"},
    {.name = "quiet",
     .kind = OPTION_FLAG,
     FIELD(quiet),
     .help = "print errors only (with --json: the summary too)"},
    {.name = "verbose",
     .letter = 'v',
     .kind = OPTION_FLAG,
     FIELD(verbose),
     .help = "say on standard error what is decided, and what the libraries under it report"},
    {.name = "json",
     .kind = OPTION_FLAG,
     FIELD(json),
     .help = "one JSON object a line on standard output: progress each second, warnings, a "
             "summary"},
    {0},
};

void transcode_defaults(void *settings)
{
    struct transcode_settings *s = settings;
    s->quality = s->bframes = -1;
}

void transcode_help(FILE *out)
{
    const struct rgpu_preset *preset = NULL;
    fprintf(out, "\nThe end of OUT decides:\n"
                 "  .mp4 .mkv .ts .flv      one file; a ladder gives it several video tracks\n"
                 "  .m4v .mov .m2ts .mts    the same, as siblings of .mp4 and .ts\n"
                 "  .webm                   one file; needs --codec av1, audio becomes Opus\n"
                 "  film-{}.mp4             a file for each rendition: film-720p.mp4, ...\n"
                 "  DIR/, or .m3u8          HLS: a playlist for each rendition and a master\n"
                 "Each {} becomes the rendition's name. The folder that OUT lies in must exist.\n"
                 "\nPresets (a picture is never enlarged without --upscale):\n");
    for (int i = 0; (preset = rgpu_preset(i)) != NULL; i++)
        fprintf(out, "  %-8s %4dx%-4d  at most %2d fps  %5d kbit/s\n", preset->name, preset->width,
                preset->height, preset->fps_max, preset->bitrate_kbps);
    fprintf(out, "\nExamples:\n"
                 "  rgpu transcode film.mkv film.mp4 --preset 720p\n"
                 "  rgpu transcode film.mkv hls/ --ladder 1080p,720p,480p,360p\n"
                 "  rgpu transcode film.mkv 'out/film-{}.mp4' --ladder 720p,360p --verify\n"
                 "\nExit codes:\n");
    status_print(out);
}

static double now_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static const char *job_warning(void *opaque, int i)
{
    return opaque ? rgpu_transcode_warning(opaque, i) : NULL;
}

static void warnings_show(struct progress_view *view, rgpu_transcode *job, int *shown)
{
    const char *text = NULL;
    for (; (text = job_warning(job, *shown)) != NULL; ++*shown)
        progress_warning(view, text);
}

/* Follows the job to its end, which a signal may bring early. */
static int job_follow(rgpu_transcode *job, struct progress_view *view, int *warnings_shown)
{
    struct rgpu_progress p;
    bool is_cancelled = false;
    int ret = RGPU_ERROR_AGAIN;
    while (ret == RGPU_ERROR_AGAIN) {
        if (stop_signal() && !is_cancelled) {
            rgpu_transcode_cancel(job);
            is_cancelled = true;
            if (view->mode == PROGRESS_TERMINAL) {
                progress_clear(view);
                fprintf(view->out, "stopping; Ctrl-C again ends at once\n");
            }
        }
        warnings_show(view, job, warnings_shown);
        if (!is_cancelled && rgpu_transcode_progress(job, &p, sizeof(p)) == 0)
            progress_show(view, &p, now_seconds());
        ret = rgpu_transcode_wait(job, POLL_MS);
    }
    return ret;
}

static int job_end(rgpu_transcode *job, const struct transcode_settings *s, int ret)
{
    struct rgpu_progress p = {.percent = -1, .remaining_seconds = -1, .state = RGPU_STATE_FAILED};
    const char *message = job ? rgpu_transcode_message(job) : "";
    if (ret && !message[0])
        message = rgpu_error_text(ret);
    if (job)
        rgpu_transcode_progress(job, &p, sizeof(p));
    int status = ret == RGPU_ERROR_CANCELLED && stop_signal() ? STATUS_SIGNAL + stop_signal()
                                                              : status_of_error(ret);
    if (s->json)
        progress_summary_json(stdout, &p, ret, message, status, job_warning, job);
    else if (!s->quiet && (ret == 0 || ret == RGPU_ERROR_VERIFY))
        progress_table(stdout, &p);
    if (ret)
        verb_failed(ret, message);
    return status;
}

int transcode_run(const void *settings, const char *const *operands)
{
    const struct transcode_settings *s = settings;
    struct plan plan;
    struct complaint c;
    log_show(s->verbose);
    struct progress_view view = {.mode = PROGRESS_LINES, .out = stderr};
    rgpu_transcode *job = NULL;
    int warnings_shown = 0;
    if (plan_make(&plan, s, operands[0], operands[1], &c)) {
        text_error("rgpu: ", c.text);
        return STATUS_USAGE;
    }
    if (s->quiet) {
        view.mode = PROGRESS_QUIET;
    } else if (s->json) {
        view = (struct progress_view){.mode = PROGRESS_JSON, .out = stdout};
    } else if (progress_is_terminal(stderr) && !s->verbose) {
        view.mode = PROGRESS_TERMINAL;
    }
    int ret = rgpu_transcode_open_sized(&job, &plan.params, sizeof(plan.params));
    if (ret == 0)
        ret = job_follow(job, &view, &warnings_shown);
    warnings_show(&view, job, &warnings_shown);
    progress_clear(&view);
    int status = job_end(job, s, ret);
    rgpu_transcode_close(&job);
    return status;
}
