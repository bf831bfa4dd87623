/* rgpu devices and rgpu bench: what this machine has, and what it does. */
#include <stdlib.h>
#include <string.h>

#include <rgpu/device.h>

#include "json.h"
#include "options.h"
#include "status.h"
#include "stop.h"
#include "text.h"
#include "verbs.h"

#define DEVICES_MAX 64
#define GPU_INDEX_MAX 1023
#define MESSAGE_MAX 512

#define FIELD(name) .offset = offsetof(struct show_settings, name)

const char *device_word(int i)
{
    static const char *const words[] = {"auto", "cpu", "cuda:0"};
    return i >= 0 && (size_t)i < sizeof(words) / sizeof(words[0]) ? words[i] : NULL;
}

int device_parse(const struct option *option, const char *value, void *settings,
                 struct complaint *c)
{
    static const char gpu[] = "cuda:";
    const size_t prefix = sizeof(gpu) - 1, length = strlen(value);
    const char **field = (void *)((char *)settings + option->offset);
    int index = 0;
    bool is_gpu = length > prefix && !memcmp(value, gpu, prefix) &&
                  options_int(value + prefix, length - prefix, 0, GPU_INDEX_MAX, &index);
    if (!is_gpu && strcmp(value, "auto") != 0 && strcmp(value, "cpu") != 0)
        return complain(c, "--%s: '%s' is not one of auto, cpu, cuda:N (N 0 to %d)", option->name,
                        value, GPU_INDEX_MAX);
    *field = value;
    return 0;
}

const struct option devices_options[] = {
    {.help = "Options:"},
    {.name = "json", .kind = OPTION_FLAG, FIELD(json), .help = "one JSON object"},
    {0},
};

const struct option bench_options[] = {
    {.help = "Options:"},
    {.name = "device",
     .kind = OPTION_OTHER,
     .argument = "NAME",
     .word = device_word,
     .parse = device_parse,
     FIELD(device),
     .help = "auto, cpu or cuda:N (auto)"},
    {.name = "seconds",
     .kind = OPTION_REAL,
     .argument = "N",
     .min = 0.01,
     .max = 3600,
     .unit = "seconds",
     FIELD(seconds),
     .help = "time for each figure (1)"},
    {.name = "json", .kind = OPTION_FLAG, FIELD(json), .help = "one JSON object a figure"},
    {0},
};

/* One line of what is known, "cores 12 %, decoder 0 %, 45 C". */
static void device_print_use(const struct rgpu_device_info *d)
{
    const struct {
        const char *before, *after;
        int value;
    } figures[] = {{"cores ", " %", d->compute_percent},
                   {"decoder ", " %", d->decoder_percent},
                   {"encoder ", " %", d->encoder_percent},
                   {"", " C", d->temperature_c},
                   {"", " W", d->power_mw < 0 ? -1 : d->power_mw / 1000}};
    char bytes[32];
    const char *separator = "         use      ";
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        if (i == 3 && d->memory_used_bytes >= 0) {
            printf("%smemory %s", separator,
                   text_bytes(bytes, sizeof(bytes), d->memory_used_bytes));
            separator = ", ";
        }
        if (figures[i].value < 0)
            continue;
        printf("%s%s%d%s", separator, figures[i].before, figures[i].value, figures[i].after);
        separator = ", ";
    }
    if (*separator == ',')
        printf("\n");
}

static void device_print_clocks(const struct rgpu_device_info *d)
{
    const struct {
        const char *what;
        int mhz;
    } clocks[] = {
        {"cores", d->clock_mhz}, {"memory", d->memory_clock_mhz}, {"video", d->video_clock_mhz}};
    const char *separator = "         clocks   ";
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        if (clocks[i].mhz <= 0)
            continue;
        printf("%s%s %d MHz", separator, clocks[i].what, clocks[i].mhz);
        separator = ", ";
    }
    if (*separator == ',')
        printf("\n");
    if (d->slowed_by[0])
        printf("         slowed   by %s\n", d->slowed_by);
}

static void json_known(struct json *j, const char *name, int64_t value)
{
    if (value >= 0)
        json_int(j, name, value);
}

static void device_print(const struct rgpu_device_info *d)
{
    char bytes[32];
    printf("%-8s ", d->name);
    text_print(stdout, d->description);
    /* Those that a GPU needs are the CPU's, and have been said there. */
    if (d->cores > 0 && !strcmp(d->name, "cpu"))
        printf(", %d processor%s", d->cores, d->cores == 1 ? "" : "s");
    if (d->memory_bytes > 0)
        printf(", %s of memory", text_bytes(bytes, sizeof(bytes), d->memory_bytes));
    printf("\n         decodes  %s\n         encodes  %s\n", d->decoders[0] ? d->decoders : "-",
           d->encoders[0] ? d->encoders : "-");
    for (const char *line = d->remark; *line;) {
        const int length = (int)strcspn(line, "\n");
        printf("         note     %.*s\n", length, line);
        line += length;
        line += *line == '\n';
    }
    device_print_use(d);
    device_print_clocks(d);
}

static void device_json(struct json *j, const struct rgpu_device_info *d)
{
    json_begin(j, NULL, '{');
    json_string(j, "name", d->name);
    json_string(j, "description", d->description);
    json_int(j, "cores", d->cores);
    json_int(j, "memory_bytes", d->memory_bytes);
    json_words(j, "decoders", d->decoders);
    json_words(j, "encoders", d->encoders);
    if (d->remark[0])
        json_string(j, "remark", d->remark);
    json_known(j, "compute_percent", d->compute_percent);
    json_known(j, "decoder_percent", d->decoder_percent);
    json_known(j, "encoder_percent", d->encoder_percent);
    json_known(j, "temperature_c", d->temperature_c);
    json_known(j, "power_mw", d->power_mw);
    json_known(j, "memory_used_bytes", d->memory_used_bytes);
    json_known(j, "clock_mhz", d->clock_mhz);
    json_known(j, "memory_clock_mhz", d->memory_clock_mhz);
    json_known(j, "video_clock_mhz", d->video_clock_mhz);
    if (d->slowed_by[0])
        json_words(j, "slowed_by", d->slowed_by);
    json_end(j, '}');
}

int devices_run(const void *settings, const char *const *operands)
{
    const struct show_settings *s = settings;
    struct rgpu_device_info *devices = calloc(DEVICES_MAX, sizeof(*devices));
    struct json j = {.out = stdout};
    (void)operands;
    if (!devices)
        return verb_failed(RGPU_ERROR_MEMORY, "");
    int count = rgpu_devices(devices, DEVICES_MAX, sizeof(*devices));
    if (count < 0) {
        free(devices);
        return verb_failed(count, "");
    }
    if (count > DEVICES_MAX)
        count = DEVICES_MAX;
    if (s->json) {
        json_begin(&j, NULL, '{');
        json_begin(&j, "devices", '[');
    }
    for (int i = 0; i < count; i++) {
        if (s->json)
            device_json(&j, &devices[i]);
        else
            device_print(&devices[i]);
    }
    if (s->json) {
        json_end(&j, ']');
        json_end(&j, '}');
        json_line(&j);
    }
    free(devices);
    return STATUS_OK;
}

static int figure_show(void *opaque, const struct rgpu_bench_result *f)
{
    const struct show_settings *s = opaque;
    char picture[32];
    snprintf(picture, sizeof(picture), "%dx%d", f->width, f->height);
    if (s->json) {
        struct json j = {.out = stdout};
        json_begin(&j, NULL, '{');
        json_string(&j, "event", "figure");
        json_string(&j, "what", f->what);
        json_int(&j, "width", f->width);
        json_int(&j, "height", f->height);
        json_real(&j, "frames_per_second", f->frames_per_second, 2);
        json_real(&j, "cpu_seconds_per_1000_frames", f->cpu_seconds_per_1000_frames, 3);
        json_end(&j, '}');
        json_line(&j);
    } else {
        printf("%-36s %-10s %10.1f %14.2f\n", f->what, picture, f->frames_per_second,
               f->cpu_seconds_per_1000_frames);
        fflush(stdout);
    }
    return 0;
}

void bench_help(FILE *out)
{
    fprintf(out, "\nPrints for 720p, 1080p and 2160p what each step of a job does alone: frames a\n"
                 "second, and seconds of CPU time (of all processors) for 1000 frames. The first\n"
                 "line of a size takes longer, as encoders make what is then decoded.\n");
}

int bench_run(const void *settings, const char *const *operands)
{
    const struct show_settings *s = settings;
    struct show_settings copy = *s;
    char message[MESSAGE_MAX] = "";
    (void)operands;
    stop_at_once();
    if (!s->json) {
        printf("%-36s %-10s %10s %14s\n", "What", "Picture", "Frames/s", "CPU s per 1000");
        fflush(stdout);
    }
    int ret = rgpu_bench(s->device ? s->device : "auto", s->seconds, figure_show, &copy, message,
                         sizeof(message));
    return ret ? verb_failed(ret, message) : STATUS_OK;
}
