#include "films.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <libavutil/log.h>

static char folder[] = "/tmp/rgpu-films-XXXXXX";

int films_setup(void **state)
{
    (void)state;
    av_log_set_level(AV_LOG_QUIET);
    return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

int films_teardown(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

void films_run(const char *format, ...)
{
    char command[4096];
    va_list args;
    va_start(args, format);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start is one line above. */
    const int n = vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    assert_true(n > 0 && (size_t)n < sizeof(command));
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

bool films_can(const char *encoder)
{
    char command[256];
    snprintf(command, sizeof(command), "ffmpeg -hide_banner -encoders 2>/dev/null | grep -q ' %s '",
             encoder);
    return system(command) == 0;
}

void films_make(const char *args)
{
    const char *name = strrchr(args, ' ');
    assert_non_null(name);
    if (access(name + 1, F_OK) != 0)
        films_run("ffmpeg -nostdin -v error -y %s 2>log || { cat log >&2; false; }", args);
}

int films_packets(const char *name, const char *track, struct film_packet *ret)
{
    char command[512], line[256];
    snprintf(command, sizeof(command),
             "ffprobe -v quiet -select_streams %s -show_entries packet=pts,flags "
             "-of compact=p=0:nk=1 %s",
             track, name);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    int n = 0;
    while (fgets(line, sizeof(line), f)) {
        char *flags = strchr(line, '|');
        if (!flags)
            continue;
        assert_true(n < FILM_PACKETS_MAX);
        ret[n] = (struct film_packet){.pts = line[0] == 'N' ? INT64_MIN : atoll(line)};
        strncpy(ret[n++].flags, flags + 1, 2);
    }
    pclose(f);
    return n;
}

int films_frames(const char *name)
{
    char command[512];
    int n = -1;
    snprintf(command, sizeof(command),
             "ffprobe -v quiet -count_frames -select_streams v:0 -show_entries "
             "stream=nb_read_frames -of compact=p=0:nk=1 %s",
             name);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    if (fscanf(f, "%d", &n) != 1)
        n = -1;
    pclose(f);
    return n;
}

uint8_t *films_load(const char *name, size_t *ret_size)
{
    FILE *f = fopen(name, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    const long size = ftell(f);
    assert_true(size >= 0);
    rewind(f);
    uint8_t *data = malloc((size_t)size + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, (size_t)size, f), size);
    fclose(f);
    *ret_size = (size_t)size;
    return data;
}

void films_save(const char *name, const void *data, size_t size)
{
    FILE *f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    assert_int_equal(fclose(f), 0);
}
