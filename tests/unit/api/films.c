#include "films.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/clip.h"

int films_set_up(void **state)
{
    (void)state;
    clip_dir_make();
    assert_true(clip_make(FILM, "-f lavfi -i testsrc2=size=160x90:rate=25:duration=3 "
                                "-f lavfi -i sine=duration=3 -c:v libx264 -preset veryfast -g 12 "
                                "-bf 2 -c:a aac -metadata:s:a:0 language=eng"));
    return 0;
}

int films_tear_down(void **state)
{
    (void)state;
    clip_dir_remove();
    return 0;
}

static char *next_buffer(void)
{
    static char buffers[8][FILM_PATH_MAX];
    static unsigned next;
    return buffers[next++ % 8];
}

const char *film_path(const char *name)
{
    char *path = next_buffer();
    snprintf(path, FILM_PATH_MAX, "%s/%s", clip_dir(), name);
    return path;
}

const char *film_folder(void)
{
    static int number;
    char *path = next_buffer();
    snprintf(path, FILM_PATH_MAX, "%s/out%d/", clip_dir(), number++);
    assert_int_equal(mkdir(path, 0777), 0);
    return path;
}

static int files_seen;

static int count_file(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)path, (void)st, (void)ftw;
    files_seen += type == FTW_F;
    return 0;
}

int film_files(const char *folder)
{
    files_seen = 0;
    nftw(folder, count_file, 8, FTW_PHYS);
    return files_seen;
}

int film_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int count = 0;
    assert_non_null(tasks);
    for (const struct dirent *entry = readdir(tasks); entry; entry = readdir(tasks))
        count += entry->d_name[0] != '.';
    closedir(tasks);
    return count;
}

__attribute__((format(printf, 3, 0))) static void ask(char *ret, size_t size, const char *format,
                                                      va_list args)
{
    char command[2048];
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): both callers have started it. */
    vsnprintf(command, sizeof(command), format, args);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    ret[0] = '\0';
    if (fgets(ret, (int)size, pipe))
        ret[strcspn(ret, "\n")] = '\0';
    pclose(pipe);
}

void film_ask(char *ret, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ask(ret, size, format, args);
    va_end(args);
}

double film_number(const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    ask(text, sizeof(text), format, args);
    va_end(args);
    return strtod(text, NULL);
}

int film_frames(const char *path, int track, struct film_frame **ret)
{
    char command[1024], line[512];
    int count = 0, num = 0, den = 1;
    *ret = NULL;
    snprintf(command, sizeof(command),
             "ffmpeg -nostdin -v quiet -copyts -i '%s' -map 0:v:%d -vsync passthrough "
             "-enc_time_base -1 -pix_fmt yuv420p -f framemd5 - 2>/dev/null",
             path, track);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while (fgets(line, sizeof(line), pipe)) {
        struct film_frame frame;
        int64_t pts;
        sscanf(line, "#tb 0: %d/%d", &num, &den);
        if (sscanf(line, "0, %*d, %" SCNd64 ", %*d, %*d, %32s", &pts, frame.md5) != 2)
            continue;
        frame.seconds = (double)pts * num / den;
        *ret = realloc(*ret, (size_t)(count + 1) * sizeof(**ret));
        assert_non_null(*ret);
        (*ret)[count++] = frame;
    }
    pclose(pipe);
    return count;
}
