/* Colour and display properties of video, as code points of ITU-T H.273 and metadata of
 * SMPTE ST 2086 and CTA-861.3. Plain data. */
#ifndef MEDIA_COLOR_H
#define MEDIA_COLOR_H

#include <stdbool.h>
#include <stdint.h>

enum color_range { RANGE_UNKNOWN, RANGE_LIMITED, RANGE_FULL };

/* Position of chroma samples (H.264 table E-1, chroma_sample_loc_type + 1). */
enum chroma_location {
    CHROMA_UNKNOWN,
    CHROMA_LEFT,
    CHROMA_CENTER,
    CHROMA_TOP_LEFT,
    CHROMA_TOP,
    CHROMA_BOTTOM_LEFT,
    CHROMA_BOTTOM,
};

/* Zero is "unknown" here, also where H.273 has 2 for "unspecified" (2 is never stored) — except
 * `matrix`, where H.273 0 is RGB: it is stored as MATRIX_RGB. */
#define MATRIX_RGB 255

struct color {
    uint8_t primaries; /* H.273 ColourPrimaries: 1 BT.709, 9 BT.2020, ... */
    uint8_t transfer;  /* H.273 TransferCharacteristics: 1 BT.709, 16 PQ, 18 HLG, ... */
    uint8_t matrix;    /* H.273 MatrixCoefficients: 1 BT.709, 5/6 BT.601, 9 BT.2020 nc */
    uint8_t range;     /* enum color_range */
    uint8_t chroma;    /* enum chroma_location */
};

/* HDR10 static metadata. Chromaticities in 1/50000, luminances in 1/10000 cd/m2 (the units of the
 * mastering display colour volume SEI, H.265 D.3.28); light levels in cd/m2. */
struct hdr {
    bool has_mastering, has_light_level;
    uint16_t primary_x[3], primary_y[3]; /* red, green, blue */
    uint16_t white_x, white_y;
    uint32_t luminance_max, luminance_min;
    uint16_t max_content_light, max_average_light;
};

/* Whether all fields are the same. */
bool hdr_same(const struct hdr *a, const struct hdr *b);

#endif
