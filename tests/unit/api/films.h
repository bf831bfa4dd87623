/* Films for the tests of the public library, folders of their own for what jobs write, and what is
 * in a result by ffmpeg's word.
 *
 * Threads: one. Memory: lists are the caller's to free. What cannot work fails by assertion. */
#ifndef API_FILMS_H
#define API_FILMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILM_PATH_MAX 512

/* 160x90, 25 frames a second, H.264 with B-frames and a key frame every 12 frames, AAC: 75 frames.
 */
#define FILM "film.mkv"
#define FILM_FRAMES 75

/* Makes the folder and FILM; removes all. For cmocka's groups. */
int films_set_up(void **state);
int films_tear_down(void **state);

/* Path of a file in the folder; one of 8 static buffers. */
const char *film_path(const char *name);

/* A new empty folder within, with a '/' at its end; static as film_path. */
const char *film_folder(void);

/* Files under a folder, at any depth. */
int film_files(const char *folder);

/* Threads of this process. */
int film_threads(void);

/* First line that a shell command prints. */
void film_ask(char *ret, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
double film_number(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct film_frame {
    double seconds;
    char md5[33];
};

/* Decoded frames of the n-th video track. Free with free(). */
int film_frames(const char *path, int track, struct film_frame **ret);

#endif
