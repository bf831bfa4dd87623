/* media/aac.h: AudioSpecificConfig there and back, and ADTS. */
#include "fuzz.h"
#include "media/codecs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct aac_config config, again;
    struct adts_header header;
    char text[CODECS_MAX];
    if (adts_read(data, size, &header, NULL) == 0)
        FUZZ_CHECK(header.frame_size >= header.header_size && header.config.sample_rate_hz > 0);
    if (aac_config_read(data, size, &config, NULL))
        return 0;
    FUZZ_CHECK(config.sample_rate_hz > 0 && config.output_rate_hz > 0);
    codecs_aac(&config, text);
    uint8_t out[AAC_CONFIG_MAX];
    size_t written = 0;
    if (aac_config_write(&config, out, sizeof(out), &written, NULL))
        return 0;
    FUZZ_CHECK(aac_config_read(out, written, &again, NULL) == 0);
    FUZZ_CHECK(config.object_type == again.object_type && config.sbr == again.sbr &&
               config.ps == again.ps && config.sample_rate_hz == again.sample_rate_hz &&
               config.output_rate_hz == again.output_rate_hz && config.channels == again.channels &&
               config.frame_samples == again.frame_samples);
    return 0;
}
