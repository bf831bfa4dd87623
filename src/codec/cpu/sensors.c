/* Formats: proc(5), and the kernel's "Control Group v2". */
#include "codec/cpu/sensors.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#define GROUPS_FOLDER "/sys/fs/cgroup"
#define TEXT_MAX 8192 /* bytes that are read of a file: what is used stands in front */
#define SAME_NS INT64_C(1000000000) /* figures are given again for so long */
#define OLD_NS INT64_C(10000000000) /* a reading that is older says nothing of now */
#define TICKS_MIN 4                 /* kinds of time that every kernel has */
#define TICKS_MAX 8                 /* those behind are parts of the first two */
#define TICKS_IDLE 3
#define TICKS_WAITING 4 /* idle too, but for a disk */

/* ---- texts ----------------------------------------------------------------------------------- */

/* A number behind blanks; false where there is none, or it is out of range. */
static bool take_number(const char **text, uint64_t *ret)
{
    const char *p = *text + strspn(*text, " \t");
    uint64_t value = 0;
    if (*p < '0' || *p > '9')
        return false;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
            return false;
    *text = p;
    *ret = value;
    return true;
}

/* As above, for what is an int64_t here. */
static bool take_amount(const char **text, int64_t *ret)
{
    uint64_t value;
    if (!take_number(text, &value) || value > INT64_MAX)
        return false;
    *ret = (int64_t)value;
    return true;
}

/* What stands behind `name` at the beginning of a line; NULL. */
static const char *find_line(const char *text, const char *name)
{
    const size_t length = strlen(name);
    for (const char *line = text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0)
            return line + length;
    }
    return NULL;
}

/* The number behind `name`. */
static bool find_amount(const char *text, const char *name, int64_t *ret)
{
    const char *at = text ? find_line(text, name) : NULL;
    return at && take_amount(&at, ret);
}

struct cpu_reading cpu_reading_at(int64_t now_ns)
{
    return (struct cpu_reading){
        .at_ns = now_ns, .memory_bytes = DEVICE_UNKNOWN, .free = DEVICE_UNKNOWN};
}

void cpu_read_stat(struct cpu_reading *r, const char *text)
{
    const char *at = find_line(text, "cpu ");
    uint64_t ticks[TICKS_MAX] = {0}, total = 0;
    int count = 0;
    while (at && count < TICKS_MAX && take_number(&at, &ticks[count])) {
        if (__builtin_add_overflow(total, ticks[count], &total))
            return;
        count++;
    }
    /* Older kernels have fewer; anything else in the line is not understood. */
    if (count < TICKS_MIN || !strchr(count < TICKS_MAX ? "\n" : " \n", at[0]))
        return;
    r->total = total;
    r->busy = total - ticks[TICKS_IDLE] - ticks[TICKS_WAITING];
    r->has_ticks = true;
}

void cpu_read_meminfo(struct cpu_reading *r, const char *text)
{
    int64_t total, available;
    if (!find_amount(text, "MemTotal:", &total) || __builtin_mul_overflow(total, 1024, &total))
        return;
    r->memory_bytes = total;
    if (find_amount(text, "MemAvailable:", &available) &&
        !__builtin_mul_overflow(available, 1024, &available))
        r->free = available < total ? available : total;
}

static int64_t least(int64_t known, int64_t value)
{
    return known == DEVICE_UNKNOWN || value < known ? value : known;
}

static void read_memory(struct cpu_reading *r, const struct cpu_group_texts *texts)
{
    int64_t most, current, cached = 0;
    const char *max = texts->memory_max, *now = texts->memory_current;
    if (!max || !now || !take_amount(&max, &most) /* "max" */ || !take_amount(&now, &current))
        return;
    /* What the kernel gives back before it refuses memory. */
    (void)find_amount(texts->memory_stat, "inactive_file ", &cached);
    current = current > cached ? current - cached : 0;
    const int64_t left = most > current ? most - current : 0;
    r->memory_bytes = least(r->memory_bytes, most);
    r->free = least(least(r->free, left), r->memory_bytes);
}

void cpu_read_group(struct cpu_reading *r, const struct cpu_group_texts *texts)
{
    struct cpu_group group = {0};
    const char *at = texts->cpu_max;
    read_memory(r, texts);
    if (r->groups_count == CPU_GROUPS_MAX)
        return;
    group.limited = at && take_amount(&at, &group.quota_us) && /* else "max" */
                    take_amount(&at, &group.period_us) && group.quota_us > 0 &&
                    group.period_us > 0 &&
                    find_amount(texts->cpu_stat, "usage_usec ", &group.used_us);
    r->groups[r->groups_count++] = group;
}

bool cpu_group_path(const char *text, char ret[CPU_PATH_MAX])
{
    const char *at = find_line(text, "0::/");
    size_t length = at ? strcspn(at, "\n") : 0;
    if (!at || length + 2 > CPU_PATH_MAX)
        return false;
    while (length > 0 && at[length - 1] == '/')
        length--;
    snprintf(ret, CPU_PATH_MAX, "%s%.*s", length > 0 ? "/" : "", (int)length, at);
    return true;
}

/* ---- use ------------------------------------------------------------------------------------- */

static double within(double value, double most)
{
    return value < 0 ? 0 : value > most ? most : value;
}

/* Counters may go back: those of idle times do, and groups are left. */
int cpu_percent(const struct cpu_reading *before, const struct cpu_reading *after)
{
    double most = DEVICE_UNKNOWN;
    if (before->has_ticks && after->has_ticks && after->total > before->total) {
        const double passed = (double)(after->total - before->total);
        const double busy = (double)after->busy - (double)before->busy;
        most = within(100 * busy / passed, 100);
    }
    const double us = (double)(after->at_ns - before->at_ns) / 1000;
    const bool same = us > 0 && before->groups_count == after->groups_count;
    for (int i = 0; same && i < after->groups_count; i++) {
        const struct cpu_group *a = &before->groups[i], *b = &after->groups[i];
        if (!a->limited || !b->limited || b->used_us < a->used_us)
            continue;
        const double allowed = us * (double)b->quota_us / (double)b->period_us;
        const double percent = within(100 * (double)(b->used_us - a->used_us) / allowed, 100);
        most = percent > most ? percent : most;
    }
    return most < 0 ? DEVICE_UNKNOWN : (int)(most + 0.5);
}

/* ---- files ----------------------------------------------------------------------------------- */

/* NULL: there is no such file. Of what is longer than `ret`, the whole lines. */
static const char *read_text(const char *path, char ret[TEXT_MAX])
{
    FILE *file = fopen(path, "re");
    if (!file)
        return NULL;
    const size_t size = fread(ret, 1, TEXT_MAX - 1, file);
    fclose(file);
    ret[size] = '\0';
    char *last = size == TEXT_MAX - 1 ? strrchr(ret, '\n') : NULL;
    if (last)
        last[1] = '\0';
    return ret;
}

static const char *read_of_group(const char *group, const char *name, char ret[TEXT_MAX])
{
    char path[sizeof(GROUPS_FOLDER) + CPU_PATH_MAX + 32];
    snprintf(path, sizeof(path), GROUPS_FOLDER "%s/%s", group, name);
    return read_text(path, ret);
}

/* Each group may use what those around it allow. In a container the outermost is its own. */
static void read_groups(struct cpu_reading *r)
{
    char group[CPU_PATH_MAX], text[TEXT_MAX], texts[5][TEXT_MAX];
    const char *own = read_text("/proc/self/cgroup", text);
    if (!own || !cpu_group_path(own, group))
        return;
    for (int i = 0; i < CPU_GROUPS_MAX; i++) {
        const struct cpu_group_texts found = {
            .memory_max = read_of_group(group, "memory.max", texts[0]),
            .memory_current = read_of_group(group, "memory.current", texts[1]),
            .memory_stat = read_of_group(group, "memory.stat", texts[2]),
            .cpu_max = read_of_group(group, "cpu.max", texts[3]),
            .cpu_stat = read_of_group(group, "cpu.stat", texts[4]),
        };
        cpu_read_group(r, &found);
        char *slash = strrchr(group, '/');
        if (!slash)
            return;
        *slash = '\0';
    }
}

static struct cpu_reading read_now(void)
{
    char text[TEXT_MAX];
    struct cpu_reading r = cpu_reading_at(clock_now_ns());
    if (read_text("/proc/stat", text))
        cpu_read_stat(&r, text);
    if (read_text("/proc/meminfo", text))
        cpu_read_meminfo(&r, text);
    read_groups(&r);
    return r;
}

int64_t cpu_memory_bytes(void)
{
    const struct cpu_reading r = read_now();
    return r.memory_bytes > 0 ? r.memory_bytes : 0;
}

void cpu_sense(struct device_use *ret)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct cpu_reading last; /* protected by `lock`, as the next; at_ns 0: none */
    static struct device_use known;
    pthread_mutex_lock(&lock);
    const int64_t age_ns = last.at_ns ? clock_now_ns() - last.at_ns : INT64_MAX;
    if (age_ns >= SAME_NS) {
        if (age_ns > OLD_NS) {
            last = read_now();
            const struct timespec pause = {.tv_nsec = CPU_SAMPLE_MS * 1000000};
            nanosleep(&pause, NULL);
        }
        const struct cpu_reading now = read_now();
        known = (struct device_use){
            .compute_percent = cpu_percent(&last, &now),
            .decoder_percent = DEVICE_UNKNOWN,
            .encoder_percent = DEVICE_UNKNOWN,
            .temperature_c = DEVICE_UNKNOWN,
            .power_mw = DEVICE_UNKNOWN,
            .clock_mhz = DEVICE_UNKNOWN,
            .memory_clock_mhz = DEVICE_UNKNOWN,
            .video_clock_mhz = DEVICE_UNKNOWN,
            .memory_used_bytes = now.free >= 0 ? now.memory_bytes - now.free : DEVICE_UNKNOWN,
        };
        last = now;
    }
    *ret = known;
    pthread_mutex_unlock(&lock);
}
