/* media/aac.h: by hand, and against what ffmpeg's encoder writes. */
#include "unit/media/streams.h"

#include "media/aac.h"

struct expected {
    const char *bytes;
    size_t size;
    int object, rate, output, channels, frame;
    bool sbr, ps;
};

static void test_read(void **unused)
{
    (void)unused;
    static const struct expected cases[] = {
        {"\x12\x10", 2, 2, 44100, 44100, 2, 1024, false, false},
        {"\x11\xb0", 2, 2, 48000, 48000, 6, 1024, false, false},
        {"\x12\x14", 2, 2, 44100, 44100, 2, 960, false, false},
        /* HE-AAC: hierarchical, then backward compatible, then with PS. */
        {"\x2b\x92\x08\x00", 4, 2, 22050, 44100, 2, 1024, true, false},
        {"\x13\x90\x56\xe5\xa0", 5, 2, 22050, 44100, 2, 1024, true, false},
        {"\xeb\x8a\x08\x00", 4, 2, 22050, 44100, 1, 1024, true, true},
        /* 32 + 2: layer 3. */
        {"\xf8\x46\x40", 3, 34, 48000, 48000, 2, 0, false, false},
        /* A rate of its own: 12345 Hz. */
        {"\x17\x80\x18\x1c\x90", 5, 2, 12345, 12345, 2, 1024, false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct expected *e = &cases[i];
        struct aac_config c;
        struct error err;
        if (aac_config_read(e->bytes, e->size, &c, &err))
            fail_msg("case %zu: %s", i, err.text);
        assert_int_equal(c.object_type, e->object);
        assert_int_equal(c.sample_rate_hz, e->rate);
        assert_int_equal(c.output_rate_hz, e->output);
        assert_int_equal(c.channels, e->channels);
        assert_int_equal(c.frame_samples, e->frame);
        assert_int_equal(c.sbr, e->sbr);
        assert_int_equal(c.ps, e->ps);
        assert_int_equal(aac_config_read(e->bytes, 1, &c, &err), RGPU_ERROR_INPUT);
    }
}

/* Channels from a program config element: two pairs, a single one and an LFE. */
static void test_program(void **unused)
{
    (void)unused;
    struct bit_out o = {0};
    struct aac_config c;
    struct error err;
    out_u(&o, 2, 5);
    out_u(&o, 3, 4);
    out_u(&o, 0, 4);
    out_u(&o, 0, 3);
    out_u(&o, 0, 10);
    out_u(&o, 2, 4);
    out_u(&o, 0, 4);
    out_u(&o, 1, 4);
    out_u(&o, 1, 2);
    out_u(&o, 0, 7);
    out_u(&o, 0, 3);
    out_u(&o, 0, 5);  /* front: single */
    out_u(&o, 16, 5); /* front: pair */
    out_u(&o, 17, 5); /* back: pair */
    out_u(&o, 0, 4);
    const size_t size = out_end(&o);
    assert_int_equal(aac_config_read(o.bytes, size, &c, &err), 0);
    assert_int_equal(c.channel_config, 0);
    assert_int_equal(c.channels, 6);
}

static void test_write(void **unused)
{
    (void)unused;
    static const uint32_t rates[] = {96000, 48000, 44100, 8000, 7350, 12345};
    static const int channels[] = {0, 1, 2, 3, 4, 5, 6, 8};
    struct error err;
    uint8_t out[AAC_CONFIG_MAX];
    size_t size;
    for (unsigned type = 1; type <= 4; type++)
        for (unsigned rate = 0; rate < 6; rate++)
            for (uint8_t config = 1; config <= 7; config++)
                for (int sbr = 0; sbr < 3; sbr++) {
                    const struct aac_config c = {.object_type = (uint8_t)type,
                                                 .sample_rate_hz = rates[rate],
                                                 .channel_config = config,
                                                 .sbr = sbr > 0,
                                                 .ps = sbr == 2,
                                                 .output_rate_hz =
                                                     sbr ? 2 * rates[rate] : rates[rate],
                                                 .frame_samples = config & 1 ? 960 : 1024};
                    struct aac_config back;
                    assert_int_equal(aac_config_write(&c, out, sizeof(out), &size, &err), 0);
                    assert_int_equal(aac_config_read(out, size, &back, &err), 0);
                    assert_int_equal(back.object_type, type);
                    assert_int_equal(back.sample_rate_hz, c.sample_rate_hz);
                    assert_int_equal(back.output_rate_hz, c.output_rate_hz);
                    assert_int_equal(back.channels, channels[config]);
                    assert_int_equal(back.frame_samples, c.frame_samples);
                    assert_true(back.sbr == c.sbr && back.ps == c.ps);
                }
    struct aac_config c = {.object_type = 2, .sample_rate_hz = 48000, .channel_config = 2};
    assert_int_equal(aac_config_write(&c, out, 1, &size, &err), RGPU_ERROR_LIMIT);
    assert_int_equal(aac_config_write(&c, out, 2, &size, &err), 0);
    assert_memory_equal(out, "\x11\x90", 2);
    c.channel_config = 0;
    assert_int_equal(aac_config_write(&c, out, sizeof(out), &size, &err), RGPU_ERROR_PARAM);
}

/* ADTS frames follow one another to the end of the file. */
static void test_adts(void **unused)
{
    (void)unused;
    struct stream *s = stream_make(".aac", "aac", "-f lavfi -i sine=r=44100:d=0.5 -c:a aac -ac 2");
    struct adts_header h;
    struct error err;
    size_t pos = 0;
    int frames = 0;
    while (pos < s->size) {
        assert_int_equal(adts_read(s->data + pos, s->size - pos, &h, &err), 0);
        assert_int_equal(h.config.sample_rate_hz, 44100);
        assert_int_equal(h.config.channels, 2);
        assert_int_equal(h.config.object_type, AAC_OBJECT_LC);
        assert_int_equal(h.blocks, 1);
        assert_int_equal(h.header_size, 7);
        assert_int_equal(h.frame_size, s->packet[frames].size);
        pos += h.frame_size;
        frames++;
    }
    assert_int_equal(pos, s->size);
    assert_int_equal(frames, s->packets);
    assert_int_equal(adts_read(s->data, 6, &h, &err), RGPU_ERROR_AGAIN);
    assert_int_equal(adts_read(s->data + 1, s->size - 1, &h, &err), RGPU_ERROR_INPUT);
    stream_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_program),
        cmocka_unit_test(test_write),
        cmocka_unit_test(test_adts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
