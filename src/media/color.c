#include "media/color.h"

#include <string.h>

bool hdr_same(const struct hdr *a, const struct hdr *b)
{
    return a->has_mastering == b->has_mastering && a->has_light_level == b->has_light_level &&
           !memcmp(a->primary_x, b->primary_x, sizeof(a->primary_x)) &&
           !memcmp(a->primary_y, b->primary_y, sizeof(a->primary_y)) && a->white_x == b->white_x &&
           a->white_y == b->white_y && a->luminance_max == b->luminance_max &&
           a->luminance_min == b->luminance_min && a->max_content_light == b->max_content_light &&
           a->max_average_light == b->max_average_light;
}
