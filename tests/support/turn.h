/* A turn of the picture, written into an MP4 as players know it. The ffmpeg program has no way of
 * saying one that all its versions know.
 *
 * Threads: any. Memory: none is kept. Fails the running test on trouble. */
#ifndef SUPPORT_TURN_H
#define SUPPORT_TURN_H

/* Writes `degrees` clockwise (0, 90, 180, 270) into the header of the file's first track. */
void turn_mp4(const char *path, int degrees);

#endif
