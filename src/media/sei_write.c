/* Sources: ATSC A/53 part 4, 6.2.3; H.265 D.2.28, D.2.35 (H.264 D.1.29, D.1.31 are the same). */
#include "media/sei_write.h"

#include "media/bits.h"

/* United States, ATSC, "GA94", cc_data. */
static const uint8_t captions_head[] = {0xb5, 0x00, 0x31, 0x47, 0x41, 0x39, 0x34, 0x03};

size_t sei_write_captions(const uint8_t *triplets, size_t size, uint8_t ret[SEI_CAPTIONS_MAX])
{
    size_t count = size / 3;
    if (count == 0)
        return 0;
    count = count < SEI_TRIPLETS_MAX ? count : SEI_TRIPLETS_MAX;
    struct byte_writer w = byte_writer(ret, SEI_CAPTIONS_MAX);
    byte_put(&w, captions_head, sizeof(captions_head));
    byte_write(&w, 0xc0 | count, 1);
    byte_write(&w, 0xff, 1);
    byte_put(&w, triplets, 3 * count);
    byte_write(&w, 0xff, 1);
    return w.size;
}

void sei_write_mastering(const struct hdr *hdr, uint8_t ret[SEI_MASTERING_SIZE])
{
    static const int order[] = {1, 2, 0}; /* green, blue, red */
    struct byte_writer w = byte_writer(ret, SEI_MASTERING_SIZE);
    for (int i = 0; i < 3; i++) {
        byte_write(&w, hdr->primary_x[order[i]], 2);
        byte_write(&w, hdr->primary_y[order[i]], 2);
    }
    byte_write(&w, hdr->white_x, 2);
    byte_write(&w, hdr->white_y, 2);
    byte_write(&w, hdr->luminance_max, 4);
    byte_write(&w, hdr->luminance_min, 4);
}

void sei_write_light_level(const struct hdr *hdr, uint8_t ret[SEI_LIGHT_SIZE])
{
    struct byte_writer w = byte_writer(ret, SEI_LIGHT_SIZE);
    byte_write(&w, hdr->max_content_light, 2);
    byte_write(&w, hdr->max_average_light, 2);
}
