/* media/av1.h: temporal units, and av1C there and back. */
#include <string.h>

#include "fuzz.h"
#include "media/codecs.h"

static void check_config(const uint8_t *data, size_t size)
{
    struct av1_config config, again;
    size_t needed = 0, written = 0;
    char text[CODECS_MAX];
    codecs_string("av1", data, size, text, NULL);
    codecs_string("vp9", data, size, text, NULL);
    if (av1_config_write(data, size, NULL, 0, &needed, NULL) != RGPU_ERROR_LIMIT)
        return;
    uint8_t *out = fuzz_alloc(needed);
    FUZZ_CHECK(av1_config_write(data, size, out, needed, &written, NULL) == 0);
    FUZZ_CHECK(written == needed && av1_config_read(out, written, &config, NULL) == 0);
    /* What the record's first bytes say must be what its sequence header says. */
    FUZZ_CHECK(av1_config_read(config.obus, config.obus_size, &again, NULL) == 0);
    FUZZ_CHECK(config.profile == again.profile && config.level == again.level &&
               config.high_tier == again.high_tier && config.bit_depth == again.bit_depth &&
               config.monochrome == again.monochrome &&
               config.subsampling_x == again.subsampling_x &&
               config.subsampling_y == again.subsampling_y && config.obus_size == again.obus_size);
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct av1_sequence sequence = {0};
    struct av1_temporal_unit unit;
    if (av1_temporal_unit(&sequence, data, size, &unit, NULL) == 0)
        FUZZ_CHECK(unit.shown <= unit.frames && !(unit.key && unit.repeats_key));
    if (sequence.valid)
        FUZZ_CHECK(sequence.width >= 1 && sequence.width <= 65536 && sequence.bit_depth >= 8 &&
                   sequence.bit_depth <= 12 && sequence.subsampling_y <= sequence.subsampling_x);
    check_config(data, size);
    return 0;
}
