/* How busy the processors are and how much memory is taken, from Linux's /proc; and from the
 * control groups (version 2) of this process, where they allow less than the machine has.
 *
 * A reading is filled from the texts of files; what is missing or makes no sense in them stays
 * unknown. Threads: cpu_sense and cpu_memory_bytes any, the others are pure functions. Memory:
 * none. Limits: CPU_GROUPS_MAX nested groups are looked at, the innermost ones. */
#ifndef CODEC_CPU_SENSORS_H
#define CODEC_CPU_SENSORS_H

#include "codec/codec.h"

#define CPU_GROUPS_MAX 16
#define CPU_PATH_MAX 1024

/* The processors' time that a group has used, and may use in a period. */
struct cpu_group {
    bool limited;
    int64_t used_us, quota_us, period_us;
};

/* All counters at one time. */
struct cpu_reading {
    int64_t at_ns;              /* clock_now_ns */
    bool has_ticks;             /* of all processors, since the machine's start: */
    uint64_t busy, total;       /* ticks */
    int64_t memory_bytes, free; /* the least of machine and groups; DEVICE_UNKNOWN */
    int groups_count;
    struct cpu_group groups[CPU_GROUPS_MAX];
};

/* Each may be NULL: there is no such file. */
struct cpu_group_texts {
    const char *memory_max, *memory_current, *memory_stat, *cpu_max, *cpu_stat;
};

/* An empty reading. */
struct cpu_reading cpu_reading_at(int64_t now_ns);

/* Add what /proc/stat, /proc/meminfo and the files of one group say; meminfo before any group. */
void cpu_read_stat(struct cpu_reading *r, const char *text);
void cpu_read_meminfo(struct cpu_reading *r, const char *text);
void cpu_read_group(struct cpu_reading *r, const struct cpu_group_texts *texts);

/* The path that /proc/self/cgroup has for version 2, without a '/' at its end: "" is the root.
 * False: it has none. */
bool cpu_group_path(const char *text, char ret[CPU_PATH_MAX]);

/* Part of the processors' time between two readings that was used: of the machine's, or of a
 * group's quota, whichever is closer to its end. DEVICE_UNKNOWN. */
int cpu_percent(const struct cpu_reading *before, const struct cpu_reading *after);

/* What codec_backend.use gives. Within a second all get the same figures; who is the first after a
 * longer time waits for CPU_SAMPLE_MS, the time that the figures are then of. */
#define CPU_SAMPLE_MS 100
void cpu_sense(struct device_use *ret);

/* Memory that this process may use at most; 0: unknown. */
int64_t cpu_memory_bytes(void);

#endif
