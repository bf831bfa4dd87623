#include "media/aac.h"

#include "media/bits.h"

#define RATES_COUNT 13
#define RATE_ESCAPE 15
#define OBJECT_ESCAPE 31
#define SYNC_EXTENSION 0x2b7
#define SYNC_EXTENSION_PS 0x548

static const uint32_t rates[RATES_COUNT] = {96000, 88200, 64000, 48000, 44100, 32000, 24000,
                                            22050, 16000, 12000, 11025, 8000,  7350};

/* Table 1.19; 0 where a configuration gives none. */
static uint8_t channels_of(unsigned config)
{
    static const uint8_t table[16] = {0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0};
    return table[config & 15];
}

static unsigned read_object_type(struct bits *b)
{
    const unsigned type = bits_read(b, 5);
    return type == OBJECT_ESCAPE ? 32 + bits_read(b, 6) : type;
}

/* 0 where the index is reserved. */
static uint32_t read_rate(struct bits *b)
{
    const unsigned index = bits_read(b, 4);
    if (index == RATE_ESCAPE)
        return bits_read(b, 24);
    return index < RATES_COUNT ? rates[index] : 0;
}

/* program_config_element (4.5.1.2) up to its elements: their channels. */
static uint8_t read_program_channels(struct bits *b)
{
    bits_skip(b, 4 + 2 + 4);
    const unsigned front = bits_read(b, 4), side = bits_read(b, 4), back = bits_read(b, 4);
    const unsigned lfe = bits_read(b, 2);
    bits_skip(b, 3 + 4); /* data and coupling elements */
    if (bits_flag(b))    /* mono mix-down */
        bits_skip(b, 4);
    if (bits_flag(b)) /* stereo mix-down */
        bits_skip(b, 4);
    if (bits_flag(b)) /* matrix mix-down */
        bits_skip(b, 3);
    unsigned channels = lfe;
    for (unsigned i = 0; i < front + side + back; i++) {
        channels += bits_flag(b) ? 2 : 1;
        bits_skip(b, 4);
    }
    return (uint8_t)(b->error ? 0 : channels);
}

/* GASpecificConfig (4.4.1). */
static void read_general_audio(struct bits *b, struct aac_config *c)
{
    const bool low_delay = c->object_type == 23;
    const bool is_short = bits_flag(b);
    c->frame_samples = low_delay ? (is_short ? 480 : 512) : (is_short ? 960 : 1024);
    if (bits_flag(b)) /* dependsOnCoreCoder */
        bits_skip(b, 14);
    const bool extension = bits_flag(b);
    if (c->channel_config == 0)
        c->channels = read_program_channels(b);
    if (c->object_type == 6 || c->object_type == 20)
        bits_skip(b, 3);
    if (extension) {
        if (c->object_type == 22)
            bits_skip(b, 16);
        if (c->object_type == 17 || c->object_type == 19 || c->object_type == 20 ||
            c->object_type == 23)
            bits_skip(b, 3);
        bits_skip(b, 1);
    }
}

static bool is_general_audio(unsigned type)
{
    return (type >= 1 && type <= 4) || type == 6 || type == 7 || type == 17 ||
           (type >= 19 && type <= 23);
}

/* Backward compatible signalling: an extension behind the core's config. A missing or broken one is
 * no error. */
static void read_sync_extension(struct bits *b, struct aac_config *c)
{
    struct bits ahead = *b;
    if (bits_read(&ahead, 11) != SYNC_EXTENSION || read_object_type(&ahead) != AAC_OBJECT_SBR ||
        !bits_flag(&ahead))
        return;
    const uint32_t rate = read_rate(&ahead);
    if (ahead.error || rate == 0)
        return;
    c->sbr = true;
    c->output_rate_hz = rate;
    if (bits_read(&ahead, 11) == SYNC_EXTENSION_PS)
        c->ps = bits_flag(&ahead);
}

int aac_config_read(const void *data, size_t size, struct aac_config *ret, struct error *err)
{
    struct bits b;
    struct aac_config c = {0};
    bits_init(&b, data, size);
    unsigned type = read_object_type(&b);
    c.sample_rate_hz = c.output_rate_hz = read_rate(&b);
    c.channel_config = (uint8_t)bits_read(&b, 4);
    c.channels = channels_of(c.channel_config);
    if (type == AAC_OBJECT_SBR || type == AAC_OBJECT_PS) {
        c.sbr = true;
        c.ps = type == AAC_OBJECT_PS;
        c.output_rate_hz = read_rate(&b);
        type = read_object_type(&b);
    }
    c.object_type = (uint8_t)type;
    if (!b.error && is_general_audio(type)) {
        read_general_audio(&b, &c);
        if (!c.sbr && !b.error && c.channel_config != 0)
            read_sync_extension(&b, &c);
    }
    if (b.error || type == 0 || c.sample_rate_hz == 0 || c.output_rate_hz == 0)
        return error_set(err, RGPU_ERROR_INPUT,
                         "AAC: the AudioSpecificConfig (%zu bytes) is cut short or out of range",
                         size);
    *ret = c;
    return 0;
}

struct bit_sink {
    uint8_t bytes[AAC_CONFIG_MAX];
    unsigned bits;
};

static void put(struct bit_sink *s, uint32_t value, unsigned count)
{
    for (; count > 0; count--, s->bits++)
        s->bytes[s->bits / 8] |= (uint8_t)((value >> (count - 1) & 1) << (7 - s->bits % 8));
}

static void put_rate(struct bit_sink *s, uint32_t rate_hz)
{
    for (unsigned i = 0; i < RATES_COUNT; i++)
        if (rates[i] == rate_hz) {
            put(s, i, 4);
            return;
        }
    put(s, RATE_ESCAPE, 4);
    put(s, rate_hz, 24);
}

int aac_config_write(const struct aac_config *config, void *out, size_t capacity, size_t *ret_size,
                     struct error *err)
{
    const struct aac_config *c = config;
    if (c->object_type < 1 || c->object_type > 4 || c->channel_config < 1 ||
        c->channel_config > 7 || c->sample_rate_hz == 0 || c->sample_rate_hz >> 24 ||
        (c->sbr && (c->output_rate_hz == 0 || c->output_rate_hz >> 24)) || (c->ps && !c->sbr))
        return error_set(err, RGPU_ERROR_PARAM,
                         "AAC: no AudioSpecificConfig for object type %d, %u Hz, channels %d",
                         c->object_type, c->sample_rate_hz, c->channel_config);
    struct bit_sink s = {0};
    put(&s, c->ps ? AAC_OBJECT_PS : c->sbr ? AAC_OBJECT_SBR : c->object_type, 5);
    put_rate(&s, c->sample_rate_hz);
    put(&s, c->channel_config, 4);
    if (c->sbr) {
        put_rate(&s, c->output_rate_hz);
        put(&s, c->object_type, 5);
    }
    put(&s, c->frame_samples == 960, 1);
    put(&s, 0, 2); /* dependsOnCoreCoder, extensionFlag */
    struct byte_writer w = byte_writer(out, capacity);
    byte_put(&w, s.bytes, (s.bits + 7) / 8);
    *ret_size = w.size;
    if (w.size > capacity)
        return error_set(err, RGPU_ERROR_LIMIT, "AAC: the codec header needs %zu bytes", w.size);
    return 0;
}

int adts_read(const void *data, size_t size, struct adts_header *ret, struct error *err)
{
    struct bits b;
    struct adts_header h = {0};
    if (size < 7)
        return error_set(err, RGPU_ERROR_AGAIN, "AAC: %zu bytes are no whole ADTS header", size);
    bits_init(&b, data, size);
    const uint32_t sync = bits_read(&b, 12);
    bits_skip(&b, 1); /* ID: MPEG-4 or MPEG-2 */
    const uint32_t layer = bits_read(&b, 2);
    h.header_size = bits_flag(&b) ? 7 : 9;
    h.config.object_type = (uint8_t)(bits_read(&b, 2) + 1);
    const uint32_t rate = bits_read(&b, 4);
    bits_skip(&b, 1);
    h.config.channel_config = (uint8_t)bits_read(&b, 3);
    h.config.channels = channels_of(h.config.channel_config);
    bits_skip(&b, 4);
    h.frame_size = (uint16_t)bits_read(&b, 13);
    bits_skip(&b, 11); /* buffer fullness */
    h.blocks = (uint8_t)(bits_read(&b, 2) + 1);
    h.config.frame_samples = 1024;
    if (sync != 0xfff || layer != 0 || rate >= RATES_COUNT || h.frame_size < h.header_size)
        return error_set(err, RGPU_ERROR_INPUT, "AAC: no ADTS header here");
    h.config.sample_rate_hz = h.config.output_rate_hz = rates[rate];
    *ret = h;
    return 0;
}
