/* MPEG-4 audio headers (ISO/IEC 14496-3): AudioSpecificConfig (1.6.2.1) and ADTS (1.A.2.2).
 *
 * Threads: pure functions. Memory: nothing is allocated. Errors: RGPU_ERROR_INPUT with a text;
 * outputs are untouched then. Any bytes are safe. */
#ifndef MEDIA_AAC_H
#define MEDIA_AAC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define AAC_OBJECT_LC 2
#define AAC_OBJECT_SBR 5
#define AAC_OBJECT_PS 29

#define AAC_CONFIG_MAX 16 /* bytes that aac_config_write writes at most */

struct aac_config {
    uint8_t object_type;     /* of the core: 2 AAC-LC, 34 layer 3, ... */
    uint32_t sample_rate_hz; /* of the core */
    uint8_t channel_config;  /* 0: given by a program config element */
    uint8_t channels;        /* 0 unknown */
    bool sbr, ps;            /* said to be there (explicit signalling) */
    uint32_t output_rate_hz; /* with SBR: after it; else sample_rate_hz */
    uint16_t frame_samples;  /* of the core: 1024 or 960 (512 or 480 for low delay); 0 unknown */
};

int aac_config_read(const void *data, size_t size, struct aac_config *ret, struct error *err);

/* Writes an AudioSpecificConfig for AAC-LC and its kin (object types 1 to 4) with channel_config 1
 * to 7; SBR and PS by hierarchical signalling. PARAM: something that has no such config. LIMIT:
 * `capacity` is too small (AAC_CONFIG_MAX always does). */
int aac_config_write(const struct aac_config *config, void *out, size_t capacity, size_t *ret_size,
                     struct error *err);

#define ADTS_HEADER_MAX 9

struct adts_header {
    struct aac_config config; /* what an AudioSpecificConfig of the stream says */
    uint8_t header_size;      /* bytes: 7, or 9 with a checksum */
    uint16_t frame_size;      /* bytes, header and all */
    uint8_t blocks;           /* raw data blocks: 1..4 */
};

/* The header at the start of `data`. AGAIN: fewer bytes than a header. The frame itself need not be
 * there. */
int adts_read(const void *data, size_t size, struct adts_header *ret, struct error *err);

#endif
