/* Parameter sets within H.264 and H.265 packets: where a container keeps them in its header, equal
 * ones are taken out of the packets ("avc1" and "hvc1" want them in the header only).
 * Threads: pure but for memory. */
#ifndef FILE_SETS_H
#define FILE_SETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct AVPacket;

/* Takes those units of an Annex B packet out that are parameter sets and equal to one of `header`
 * (Annex B too; else nothing is done). MEMORY, or 0. */
int sets_strip(struct AVPacket *pkt, bool hevc, const uint8_t *header, size_t header_size);

#endif
