/* media/playlist.h: exact output, each rule of the reader, there and back. */
#include "unit/media/streams.h"

#include "media/playlist.h"

static void test_media(void **unused)
{
    (void)unused;
    struct playlist_segment segments[] = {
        {.uri = "0.m4s", .duration_us = 6006000},
        {.uri = "1.m4s", .duration_us = 5499999},
        {.uri = "a%20b.m4s?x=1", .duration_us = 33, .discontinuity = true}};
    struct playlist_media m = {.type = PLAYLIST_VOD,
                               .independent_segments = true,
                               .ended = true,
                               .map_uri = "init.mp4",
                               .segments = segments,
                               .segments_count = 3};
    struct text out = {0};
    struct error err;
    assert_int_equal(playlist_write_media(&m, &out, &err), 0);
    assert_string_equal(text_string(&out), "#EXTM3U\n"
                                           "#EXT-X-VERSION:7\n"
                                           "#EXT-X-INDEPENDENT-SEGMENTS\n"
                                           "#EXT-X-TARGETDURATION:6\n"
                                           "#EXT-X-MEDIA-SEQUENCE:0\n"
                                           "#EXT-X-PLAYLIST-TYPE:VOD\n"
                                           "#EXT-X-MAP:URI=\"init.mp4\"\n"
                                           "#EXTINF:6.006000,\n0.m4s\n"
                                           "#EXTINF:5.499999,\n1.m4s\n"
                                           "#EXT-X-DISCONTINUITY\n"
                                           "#EXTINF:0.000033,\na%20b.m4s?x=1\n"
                                           "#EXT-X-ENDLIST\n");
    struct playlist p;
    assert_int_equal(playlist_read(out.data, out.size, &p, &err), 0);
    assert_false(p.is_master);
    assert_int_equal(p.media.segments_count, 3);
    assert_int_equal(p.media.target_duration_s, 6);
    assert_string_equal(p.media.map_uri, "init.mp4");
    for (int i = 0; i < 3; i++) {
        assert_string_equal(p.media.segments[i].uri, segments[i].uri);
        assert_int_equal(p.media.segments[i].duration_us, segments[i].duration_us);
        assert_int_equal(p.media.segments[i].discontinuity, segments[i].discontinuity);
    }
    assert_true(p.media.ended && p.media.independent_segments);
    assert_int_equal(p.media.type, PLAYLIST_VOD);
    playlist_done(&p);
    text_done(&out);
}

/* Segments without media; the version says that there are some. */
static void test_gaps(void **unused)
{
    (void)unused;
    struct playlist_segment segments[] = {{.uri = "0.m4s", .duration_us = 3000000, .gap = true},
                                          {.uri = "1.m4s", .duration_us = 2500000, .gap = true},
                                          {.uri = "2.m4s", .duration_us = 3000000}};
    struct playlist_media m = {.segments = segments, .segments_count = 3};
    struct text out = {0};
    struct error err;
    struct playlist p;
    assert_int_equal(playlist_write_media(&m, &out, &err), 0);
    assert_string_equal(text_string(&out), "#EXTM3U\n#EXT-X-VERSION:8\n#EXT-X-TARGETDURATION:3\n"
                                           "#EXT-X-MEDIA-SEQUENCE:0\n"
                                           "#EXT-X-GAP\n#EXTINF:3.000000,\n0.m4s\n"
                                           "#EXT-X-GAP\n#EXTINF:2.500000,\n1.m4s\n"
                                           "#EXTINF:3.000000,\n2.m4s\n");
    assert_int_equal(playlist_read(out.data, out.size, &p, &err), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(p.media.segments[i].gap, i < 2);
    playlist_done(&p);
    text_done(&out);
}

/* What a quoted-string cannot hold, cut between characters. */
static void test_plain(void **unused)
{
    (void)unused;
    static const struct {
        const char *text, *plain;
        size_t size;
    } cases[] = {{"a\"b\nc\xc3\xa9", "a'b c\xc3\xa9", 16},
                 {"a\xff\xef\xbb\xbf\xc2\x85z", "a????z", 16},
                 {"ab\xc3\xa9", "ab", 4},
                 {"ab\xc3\xa9", "ab\xc3\xa9", 5},
                 {"", "", 1},
                 {"abc", "", 1}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char plain[16];
        playlist_plain(cases[i].text, plain, cases[i].size);
        assert_string_equal(plain, cases[i].plain);
    }
}

/* The target is the longest duration rounded to the nearest second, not up. */
static void test_target_duration(void **unused)
{
    (void)unused;
    static const struct {
        int64_t us;
        const char *line;
    } cases[] = {{0, ":1\n"},       {400000, ":1\n"},  {1499999, ":1\n"}, {1500000, ":2\n"},
                 {6006000, ":6\n"}, {6500000, ":7\n"}, {5999999, ":6\n"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct playlist_segment segment = {"a", cases[i].us, false};
        struct playlist_media m = {.segments = &segment, .segments_count = 1};
        struct text out = {0};
        struct error err;
        assert_int_equal(playlist_write_media(&m, &out, &err), 0);
        const char *line = strstr(out.data, "TARGETDURATION");
        assert_non_null(line);
        assert_memory_equal(line + 14, cases[i].line, 3);
        struct playlist p = {0};
        assert_int_equal(playlist_read(out.data, out.size, &p, &err), 0);
        playlist_done(&p);
        text_done(&out);
        m.target_duration_s = 1;
        const int code = playlist_write_media(&m, &out, &err);
        assert_int_equal(code, cases[i].us >= 1500000 ? RGPU_ERROR_PARAM : 0);
        text_done(&out);
    }
}

static void test_master(void **unused)
{
    (void)unused;
    struct playlist_variant variants[] = {
        {.uri = "1080p/index.m3u8",
         .bandwidth_bps = 6000000,
         .average_bandwidth_bps = 5000000,
         .codecs = "avc1.640028,mp4a.40.2",
         .width = 1920,
         .height = 1080,
         .frame_rate = {30000, 1001},
         .range = PLAYLIST_SDR,
         .audio = "aud",
         .subtitles = "sub"},
        {.uri = "p.m3u8", .bandwidth_bps = 1, .frame_rate = {24000, 1001}, .range = PLAYLIST_PQ},
        {.uri = "q.m3u8", .bandwidth_bps = 2, .frame_rate = {25, 1}, .range = PLAYLIST_HLG},
    };
    struct playlist_rendition renditions[] = {
        {.group = "aud",
         .name = "The \"best\"\n\x01\xff one",
         .language = "de",
         .uri = "de.m3u8",
         .is_default = true,
         .channels = 2},
        {.group = "aud", .name = "English \xc3\xa9", .uri = "en.m3u8", .autoselect = true},
        {.type = PLAYLIST_SUBTITLES,
         .group = "sub",
         .name = "x",
         .uri = "x.m3u8",
         .forced = true,
         .characteristics = "public.a,public.b"},
    };
    const struct playlist_master m = {.independent_segments = true,
                                      .variants = variants,
                                      .variants_count = 3,
                                      .renditions = renditions,
                                      .renditions_count = 3};
    struct text out = {0};
    struct error err;
    assert_int_equal(playlist_write_master(&m, &out, &err), 0);
    assert_string_equal(
        text_string(&out),
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aud\",NAME=\"The 'best'  ? one\",LANGUAGE=\"de\","
        "DEFAULT=YES,AUTOSELECT=YES,CHANNELS=\"2\",URI=\"de.m3u8\"\n"
        "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aud\",NAME=\"English \xc3\xa9\",DEFAULT=NO,"
        "AUTOSELECT=YES,URI=\"en.m3u8\"\n"
        "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"sub\",NAME=\"x\",DEFAULT=NO,AUTOSELECT=NO,"
        "FORCED=YES,CHARACTERISTICS=\"public.a,public.b\",URI=\"x.m3u8\"\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=6000000,AVERAGE-BANDWIDTH=5000000,"
        "CODECS=\"avc1.640028,mp4a.40.2\",RESOLUTION=1920x1080,FRAME-RATE=29.970,"
        "VIDEO-RANGE=SDR,AUDIO=\"aud\",SUBTITLES=\"sub\"\n1080p/index.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=1,FRAME-RATE=23.976,VIDEO-RANGE=PQ\np.m3u8\n"
        "#EXT-X-STREAM-INF:BANDWIDTH=2,FRAME-RATE=25.000,VIDEO-RANGE=HLG\nq.m3u8\n");
    struct playlist p;
    assert_int_equal(playlist_read(out.data, out.size, &p, &err), 0);
    assert_true(p.is_master && p.master.independent_segments);
    assert_int_equal(p.master.variants_count, 3);
    assert_int_equal(p.master.renditions_count, 3);
    const struct playlist_variant *v = &p.master.variants[0];
    assert_int_equal(v->bandwidth_bps, 6000000);
    assert_int_equal(v->average_bandwidth_bps, 5000000);
    assert_string_equal(v->codecs, "avc1.640028,mp4a.40.2");
    assert_int_equal(v->width * 10000 + v->height, 19201080);
    assert_int_equal(v->frame_rate.num, 2997);
    assert_int_equal(v->frame_rate.den, 100);
    assert_int_equal(p.master.variants[1].range, PLAYLIST_PQ);
    assert_string_equal(p.master.renditions[1].name, "English \xc3\xa9");
    assert_null(p.master.renditions[1].characteristics);
    assert_string_equal(p.master.renditions[2].characteristics, "public.a,public.b");
    assert_true(p.master.renditions[0].is_default && p.master.renditions[2].forced);
    playlist_done(&p);
    text_done(&out);
}

static void test_paths(void **unused)
{
    (void)unused;
    struct text out = {0};
    playlist_add_path(&out, "a b/#1:50%\"\xc3\xa9\n.m4s");
    assert_string_equal(text_string(&out), "a%20b/%231%3A50%25%22%C3%A9%0A.m4s");
    text_done(&out);
}

/* The writer refuses what would not be a playlist, and leaves the text alone. */
static void test_writer_refuses(void **unused)
{
    (void)unused;
    struct text out = {0};
    struct error err;
    struct playlist_segment s = {"a.m4s", 1000000, false};
    const struct playlist_media good = {.segments = &s, .segments_count = 1};
    text_add(&out, "before");
    static const char *const uris[] = {"", "a b", "a\nb", "#a", "a\"b", "a%zz", "a%1", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof(uris) / sizeof(uris[0]); i++) {
        s.uri = uris[i];
        assert_int_equal(playlist_write_media(&good, &out, &err), RGPU_ERROR_PARAM);
        struct playlist_media map = {.map_uri = uris[i]};
        assert_int_equal(playlist_write_media(&map, &out, &err), RGPU_ERROR_PARAM);
    }
    s = (struct playlist_segment){"a", -1, false};
    assert_int_equal(playlist_write_media(&good, &out, &err), RGPU_ERROR_PARAM);
    s.duration_us = INT64_MAX;
    assert_int_equal(playlist_write_media(&good, &out, &err), RGPU_ERROR_PARAM);
    const struct playlist_media open_vod = {.type = PLAYLIST_VOD};
    assert_int_equal(playlist_write_media(&open_vod, &out, &err), RGPU_ERROR_PARAM);

    struct playlist_variant v = {.uri = "a"};
    const struct playlist_master m = {.variants = &v, .variants_count = 1};
    assert_int_equal(playlist_write_master(&m, &out, &err), RGPU_ERROR_PARAM);
    assert_non_null(strstr(err.text, "BANDWIDTH"));
    v.bandwidth_bps = 1;
    v.audio = "none";
    assert_int_equal(playlist_write_master(&m, &out, &err), RGPU_ERROR_PARAM);
    assert_string_equal(text_string(&out), "before");

    /* A text that is full keeps what it had. */
    out.limit = 20;
    v.audio = NULL;
    assert_int_equal(playlist_write_master(&m, &out, &err), RGPU_ERROR_LIMIT);
    assert_string_equal(text_string(&out), "before");
    text_done(&out);
}

#define HEAD "#EXTM3U\n#EXT-X-VERSION:7\n"
#define TARGET HEAD "#EXT-X-TARGETDURATION:2\n"
#define STREAM "#EXT-X-STREAM-INF:"

static void test_reader_refuses(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "",
        "\n",
        "hello",
        HEAD,
        "#EXT-X-VERSION:7\n#EXTM3U\n",
        "\xef\xbb\xbf" TARGET "#EXTINF:1,\na\n",
        HEAD "#EXTINF:1,\na\n",
        TARGET "#EXTINF:1,\n",
        TARGET "a\n",
        TARGET "#EXTINF:2.5,\na\n",
        TARGET "#EXTINF:-1,\na\n",
        TARGET "#EXTINF:1\na\n",
        TARGET "#EXTINF:,\na\n",
        TARGET "#EXTINF:1,\n#EXTINF:1,\na\n",
        TARGET "#EXTINF:1,\na b\n",
        TARGET "#EXTINF:1,\na\x01\n",
        TARGET "#EXTINF:1,\xff\na\n",
        TARGET "#EXTINF:1,\xc0\x80\na\n",
        TARGET "#EXTINF:1,\xed\xa0\x80\na\n",
        TARGET "#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:1,\na\n",
        TARGET "#EXT-X-PLAYLIST-TYPE:NONE\n#EXT-X-ENDLIST\n",
        TARGET "#EXT-X-TARGETDURATION:2\n",
        TARGET "#EXT-X-MAP:BYTERANGE=\"1@2\"\n",
        TARGET "#EXT-X-MAP:URI=init.mp4\n",
        TARGET "#EXT-X-MAP:URI=\"a\n",
        TARGET STREAM "BANDWIDTH=1\na\n",
        "#EXTM3U\n#EXT-X-VERSION:2\n#EXT-X-TARGETDURATION:2\n#EXTINF:1.5,\na\n",
        "#EXTM3U\n#EXT-X-VERSION:5\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI=\"a\"\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:99999999999999999999\n",
        HEAD STREAM "BANDWIDTH=1\n",
        HEAD STREAM "BANDWIDTH=1\n" STREAM "BANDWIDTH=1\na\n",
        HEAD STREAM "\na\n",
        HEAD STREAM "BANDWIDTH=0\na\n",
        HEAD STREAM "BANDWIDTH=1,BANDWIDTH=1\na\n",
        HEAD STREAM "BANDWIDTH=1,\na\n",
        HEAD STREAM "BANDWIDTH=\"1\"\na\n",
        HEAD STREAM "BANDWIDTH=1,RESOLUTION=1920\na\n",
        HEAD STREAM "BANDWIDTH=1,RESOLUTION=0x5\na\n",
        HEAD STREAM "BANDWIDTH=1,FRAME-RATE=x\na\n",
        HEAD STREAM "BANDWIDTH=1,VIDEO-RANGE=HDR\na\n",
        HEAD STREAM "BANDWIDTH=1,CODECS=avc1\na\n",
        HEAD STREAM "BANDWIDTH=1,AUDIO=\"x\"\na\n",
        HEAD STREAM "BANDWIDTH=1,a=1\na\n",
        HEAD "#EXT-X-MEDIA:TYPE=AUDIO,NAME=\"a\"\n" STREAM "BANDWIDTH=1\na\n",
        HEAD "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"s\",NAME=\"a\"\n" STREAM "BANDWIDTH=1\na\n",
        HEAD "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"a\",DEFAULT=YES,AUTOSELECT=NO\n" STREAM
             "BANDWIDTH=1\na\n",
        HEAD "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"a\"\n"
             "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"a\"\n" STREAM "BANDWIDTH=1\na\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct playlist p = {.text = (char *)0x1};
        struct error err = {.text = ""};
        if (playlist_read(bad[i], strlen(bad[i]), &p, &err) != RGPU_ERROR_INPUT)
            fail_msg("accepted case %zu: %s", i, bad[i]);
        assert_ptr_equal(p.text, (char *)0x1);
        assert_true(strlen(err.text) > 10);
    }
    struct playlist p;
    struct error err;
    assert_int_equal(playlist_read("#EXTM3U\0\n", 9, &p, &err), RGPU_ERROR_INPUT);
}

/* Unknown tags, comments, CRLF, no line end at the end. */
static void test_reader_tolerates(void **unused)
{
    (void)unused;
    static const char text[] = "#EXTM3U\r\n#EXT-X-TARGETDURATION:10\r\n\r\n# note\r\n"
                               "#EXT-X-PROGRAM-DATE-TIME:x\r\n#EXT-X-MEDIA-SEQUENCE:7\r\n"
                               "#EXTINF:9,Title, with comma\r\nhttp://h/a.ts?q=1\r\n"
                               "#EXTINF:10,\r\nb.ts";
    struct playlist p;
    struct error err;
    assert_int_equal(playlist_read(text, sizeof(text) - 1, &p, &err), 0);
    assert_int_equal(p.media.version, 1);
    assert_int_equal(p.media.media_sequence, 7);
    assert_int_equal(p.media.segments_count, 2);
    assert_string_equal(p.media.segments[0].uri, "http://h/a.ts?q=1");
    assert_string_equal(p.media.segments[1].uri, "b.ts");
    assert_false(p.media.ended);
    playlist_done(&p);
    playlist_done(&p); /* takes a zeroed one */
}

/* A long film, and more segments than the limit. */
static void test_many(void **unused)
{
    (void)unused;
    struct text out = {.limit = PLAYLIST_SIZE_MAX};
    struct error err;
    struct playlist p;
    struct playlist_media m = {.segments_count = PLAYLIST_SEGMENTS_MAX};
    m.segments = calloc((size_t)m.segments_count, sizeof(m.segments[0]));
    assert_non_null(m.segments);
    for (int i = 0; i < m.segments_count; i++)
        m.segments[i] = (struct playlist_segment){.uri = "segment.m4s", .duration_us = 6000000 - i};
    assert_int_equal(playlist_write_media(&m, &out, &err), 0);
    assert_int_equal(playlist_read(out.data, out.size, &p, &err), 0);
    assert_int_equal(p.media.segments_count, PLAYLIST_SEGMENTS_MAX);
    assert_int_equal(p.media.segments[PLAYLIST_SEGMENTS_MAX - 1].duration_us,
                     6000000 - PLAYLIST_SEGMENTS_MAX + 1);
    playlist_done(&p);
    text_add(&out, "#EXTINF:1,\nmore\n");
    assert_int_equal(playlist_read(out.data, out.size, &p, &err), RGPU_ERROR_INPUT);
    text_done(&out);
    free(m.segments);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_media),
        cmocka_unit_test(test_gaps),
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_target_duration),
        cmocka_unit_test(test_master),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_writer_refuses),
        cmocka_unit_test(test_reader_refuses),
        cmocka_unit_test(test_reader_tolerates),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
