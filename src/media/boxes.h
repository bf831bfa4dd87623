/* The outermost boxes of an MP4 or QuickTime file (ISO/IEC 14496-12, 4.2): where its index stands,
 * as bytes pass that cannot be read twice.
 *
 * Threads: pure. Memory: none. Any bytes are safe. */
#ifndef MEDIA_BOXES_H
#define MEDIA_BOXES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOX_HEAD_MAX 16 /* bytes: size and type, and a size of 64 bits */

struct boxes {
    uint64_t at, next;          /* bytes that have passed; where the next box begins */
    uint8_t head[BOX_HEAD_MAX]; /* of the box that begins there, as far as it is here */
    bool over;                  /* nothing more can be told */
    bool index_last;            /* the pictures come before the index that says where they are */
};

/* Takes the next bytes of the file, in portions of any size. Zero is a valid start. */
void boxes_follow(struct boxes *b, const uint8_t *data, size_t size);

/* Of a head of BOX_HEAD_MAX bytes: whether it has this type (4 letters), and the bytes of the box
 * with its head; 0: up to the end of the file, or nonsense. */
bool box_is(const uint8_t *head, const char *type);
uint64_t box_size(const uint8_t *head);

#endif
