/* Runs a fuzz target over files, or all files of folders: what was found once stays found, with any
 * compiler. Also over every shorter version of each file and some seeded changes of it, so that
 * the seeds alone reach the paths of cut and damaged input. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define FILE_MAX_BYTES (1 << 20)
#define CUTS_MAX 4096
#define CHANGES 500

static uint32_t random_state = 1;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

/* Exact allocation, so that a sanitizer sees a read past the end. */
static void run_copy(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_alloc(size);
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void run_changed(const uint8_t *data, size_t size)
{
    uint8_t *copy = fuzz_alloc(size);
    for (int i = 0; i < CHANGES && size > 0; i++) {
        memcpy(copy, data, size);
        for (uint32_t n = 1 + next_random() % 4; n > 0; n--)
            copy[next_random() % size] ^= (uint8_t)(1u << next_random() % 8);
        run_copy(copy, size);
    }
    free(copy);
}

static int run_file(const char *path)
{
    static uint8_t data[FILE_MAX_BYTES];
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        return -1;
    }
    const size_t size = fread(data, 1, sizeof(data), file);
    fclose(file);
    run_copy(data, size);
    const size_t cuts = size < CUTS_MAX ? size : CUTS_MAX;
    for (size_t i = 0; i < cuts; i++)
        run_copy(data, i);
    run_changed(data, size);
    return 1;
}

/* Number of files run, or -1. */
static int run_path(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        perror(path);
        return -1;
    }
    if (!S_ISDIR(st.st_mode))
        return run_file(path);
    DIR *dir = opendir(path);
    if (!dir) {
        perror(path);
        return -1;
    }
    int files = 0;
    for (struct dirent *entry; files >= 0 && (entry = readdir(dir));) {
        char name[PATH_MAX];
        if (entry->d_name[0] == '.' ||
            snprintf(name, sizeof(name), "%s/%s", path, entry->d_name) >= (int)sizeof(name))
            continue;
        files = run_file(name) < 0 ? -1 : files + 1;
    }
    closedir(dir);
    return files;
}

int main(int argc, char **argv)
{
    int files = 0;
    for (int i = 1; i < argc; i++) {
        const int run = run_path(argv[i]);
        if (run < 0)
            return 1;
        files += run;
    }
    printf("%d files, seed 1\n", files);
    /* A corpus that was lost must not look like one that passed. */
    return files > 0 ? 0 : 1;
}
