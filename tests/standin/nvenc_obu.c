/* libnvidia-encode: AV1's OBUs, in the low-overhead format (section 5 of AV1), each with its size.
 *
 * Threads: any. Memory: the caller's. */
#include "nvenc.h"

enum { OBU_SEQUENCE_HEADER = 1, OBU_TEMPORAL_DELIMITER = 2, OBU_PADDING = 15 };

/* leb128; 0 bytes: broken. */
static size_t read_size(const uint8_t *data, size_t size, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < 8 && i < size; i++) {
        *ret |= (uint64_t)(data[i] & 127) << 7 * i;
        if (!(data[i] & 128))
            return i + 1;
    }
    return 0;
}

/* The size of the OBU that begins here, with all that it has; 0: broken. */
static size_t obu_size(const uint8_t *data, size_t size)
{
    const size_t head = size > 0 && data[0] & 4 ? 2 : 1;
    uint64_t payload;
    if (size <= head || !(data[0] & 2))
        return 0;
    const size_t bytes = read_size(data + head, size - head, &payload);
    return bytes == 0 || payload > size - head - bytes ? 0 : head + bytes + (size_t)payload;
}

bool nvenc_append_obus(struct nvenc_bytes *to, const uint8_t *data, size_t size, bool headers)
{
    while (size > 0) {
        const size_t whole = obu_size(data, size);
        const int type = data[0] >> 3 & 15;
        const bool wanted = headers ? type == OBU_SEQUENCE_HEADER
                                    : type != OBU_SEQUENCE_HEADER && type != OBU_PADDING &&
                                          type != OBU_TEMPORAL_DELIMITER;
        if (whole == 0 || (wanted && !nvenc_append(to, data, whole)))
            return false;
        data += whole;
        size -= whole;
    }
    return true;
}

bool nvenc_append_delimiter(struct nvenc_bytes *to)
{
    static const uint8_t delimiter[] = {OBU_TEMPORAL_DELIMITER << 3 | 2, 0};
    return nvenc_append(to, delimiter, sizeof(delimiter));
}
