/* Small films for the tests of this room, made by the ffmpeg program in a folder of their own.
 * All functions fail the running test on trouble. */
#ifndef TESTS_FILMS_H
#define TESTS_FILMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FILM_PACKETS_MAX 4096

/* A moving picture of `seconds` at 25 frames a second. */
#define PICTURE(seconds) "-f lavfi -i testsrc2=size=192x108:rate=25:duration=" #seconds " "
/* libx264 with B-frames; open groups of at most 25 frames. */
#define X264_OPEN                                                                                  \
    "-c:v libx264 -preset veryfast -bf 3 -g 25 -x264-params open-gop=1:b-pyramid=normal "

/* Makes and enters the folder; leaves and removes it. For cmocka's group setup and teardown. */
int films_setup(void **state);
int films_teardown(void **state);

/* Whether ffmpeg has this encoder. */
bool films_can(const char *encoder);

/* Runs a command line in the folder, which must succeed. */
void films_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* `ffmpeg ARGS` unless the last word of ARGS, the film's name, is there already. */
void films_make(const char *args);

/* What ffprobe says of the packets of a track ("v:0", "a:1"): pts (INT64_MIN: none) and flags as it
 * writes them. Returns the number. */
struct film_packet {
    int64_t pts;
    char flags[4];
};
int films_packets(const char *name, const char *track, struct film_packet *ret);

/* Frames of the first video track that libavcodec shows. */
int films_frames(const char *name);

/* Whole file, allocated; its size. */
uint8_t *films_load(const char *name, size_t *ret_size);
void films_save(const char *name, const void *data, size_t size);

#endif
