#include "codec/cpu/backend.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "codec/cpu/decoder.h"
#include "codec/cpu/deinterlace.h"
#include "codec/cpu/encoder.h"
#include "codec/cpu/scaler.h"
#include "codec/cpu/sensors.h"

#define CORES_MAX 65536 /* of an affinity mask */

int cpu_cores(void)
{
    /* The mask must hold every processor of the machine, whose number is not known: it grows. */
    for (int max = 1024; max <= CORES_MAX; max *= 2) {
        cpu_set_t *set = CPU_ALLOC((size_t)max);
        if (!set)
            break;
        const size_t size = CPU_ALLOC_SIZE((size_t)max);
        const int rc = sched_getaffinity(0, size, set);
        const int count = rc == 0 ? CPU_COUNT_S(size, set) : 0;
        CPU_FREE(set);
        if (count > 0)
            return count;
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

/* The text after "model name :" of /proc/cpuinfo, else "CPU". */
static void read_model(char ret[DEVICE_NAME_MAX])
{
    snprintf(ret, DEVICE_NAME_MAX, "CPU");
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file)
        return;
    char line[512];
    while (fgets(line, sizeof(line), file)) {
        if (strncmp(line, "model name", 10) != 0)
            continue;
        const char *text = strchr(line, ':');
        if (!text)
            continue;
        text += 1 + strspn(text + 1, " \t");
        snprintf(ret, DEVICE_NAME_MAX, "%.*s", (int)strcspn(text, "\n"), text);
        break;
    }
    fclose(file);
}

static void examine(struct device_info *device)
{
    device->encodes = true;
}

static int devices(struct device_info *ret, int max)
{
    if (max < 1)
        return 1;
    *ret = (struct device_info){.kind = DEVICE_CPU, .cores = cpu_cores()};
    read_model(ret->name);
    ret->memory_bytes = cpu_memory_bytes();
    return 1;
}

static int use(int device, struct device_use *ret)
{
    (void)device;
    cpu_sense(ret);
    return 0;
}

const struct codec_backend cpu_backend = {
    .name = "cpu",
    .kind = DEVICE_CPU,
    .devices = devices,
    .examine = examine,
    .use = use,
    .decoder = &cpu_decoder_ops,
    .scaler = &cpu_scaler_ops,
    .encoder = &cpu_encoder_ops,
    .deinterlacer = &cpu_deinterlace_ops,
};
