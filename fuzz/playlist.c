/* media/playlist.h: what can be read can be written, reads the same and is written the same. */
#include <string.h>

#include "fuzz.h"
#include "media/playlist.h"

static int write_any(const struct playlist *p, struct text *out)
{
    struct playlist_media media = p->media;
    /* The writer has fractions everywhere, which the lowest versions do not know. */
    if (media.version < 3)
        media.version = 3;
    return p->is_master ? playlist_write_master(&p->master, out, NULL)
                        : playlist_write_media(&media, out, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct playlist first = {0}, second = {0};
    struct text one = {0}, two = {0};
    if (playlist_read(data, size, &first, NULL) == 0) {
        FUZZ_CHECK(write_any(&first, &one) == 0);
        FUZZ_CHECK(playlist_read(one.data, one.size, &second, NULL) == 0);
        FUZZ_CHECK(first.is_master == second.is_master);
        FUZZ_CHECK(first.media.segments_count == second.media.segments_count);
        FUZZ_CHECK(first.master.variants_count == second.master.variants_count);
        FUZZ_CHECK(first.master.renditions_count == second.master.renditions_count);
        FUZZ_CHECK(write_any(&second, &two) == 0);
        FUZZ_CHECK(one.size == two.size && memcmp(one.data, two.data, one.size) == 0);
    }
    playlist_done(&first);
    playlist_done(&second);
    text_done(&one);
    text_done(&two);

    /* Any bytes as a name and as a path give a playlist that can be read. */
    char *text = fuzz_alloc(size + 1);
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    struct text path = {0}, out = {0};
    if (*text && playlist_add_path(&path, text) == 0) {
        struct playlist_variant variant = {
            .uri = text_string(&path), .bandwidth_bps = 1, .codecs = text, .audio = text};
        struct playlist_rendition rendition = {.group = text, .name = text, .language = text};
        const struct playlist_master master = {.variants = &variant,
                                               .variants_count = 1,
                                               .renditions = &rendition,
                                               .renditions_count = 1};
        FUZZ_CHECK(playlist_write_master(&master, &out, NULL) == 0);
        FUZZ_CHECK(playlist_read(out.data, out.size, &second, NULL) == 0);
        FUZZ_CHECK(second.master.variants_count == 1 && second.master.renditions_count == 1);
    }
    playlist_done(&second);
    text_done(&path);
    text_done(&out);
    free(text);
    return 0;
}
