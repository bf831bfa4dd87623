/* media/webvtt.h and media/cues.h: whatever a subtitle says, it stays one cue of the segment. */
#include <string.h>

#include "fuzz.h"
#include "media/cues.h"
#include "media/playlist_rules.h"
#include "media/webvtt.h"

static void check_payload(const char *text)
{
    FUZZ_CHECK(!strstr(text, "\n\n") && !strstr(text, "-->") && !strchr(text, '\r'));
    FUZZ_CHECK(*text != '\n' && (!*text || text[strlen(text) - 1] != '\n'));
    for (size_t i = 0, step; text[i]; i += step) {
        step = playlist_utf8(text + i);
        FUZZ_CHECK(step > 0);
    }
}

/* Tags of what was made of ASS nest; nothing else has an angle bracket. */
static void check_tags(const char *text)
{
    char open[8];
    int depth = 0;
    for (; *text; text++) {
        FUZZ_CHECK(*text != '>');
        if (*text != '<')
            continue;
        const bool end = text[1] == '/';
        text += end ? 2 : 1;
        FUZZ_CHECK(*text == 'b' || *text == 'i' || *text == 'u');
        if (end) {
            FUZZ_CHECK(depth > 0 && open[depth - 1] == *text);
            depth--;
        } else {
            FUZZ_CHECK(depth < 3);
            open[depth++] = *text;
        }
        FUZZ_CHECK(*++text == '>');
    }
    FUZZ_CHECK(depth == 0);
}

static int count_arrows(const char *text)
{
    int count = 0;
    for (; (text = strstr(text, "-->")); text++)
        count++;
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char head[] = "0,0,Default,,0,0,0,,";
    char *event = fuzz_alloc(sizeof(head) + size);
    memcpy(event, head, sizeof(head) - 1);
    if (size)
        memcpy(event + sizeof(head) - 1, data, size);
    event[sizeof(head) - 1 + size] = '\0';
    const char *own = event + sizeof(head) - 1;

    struct text texts[4] = {{0}, {0}, {0}, {0}}, out = {0};
    struct cues *cues = NULL;
    FUZZ_CHECK(cues_new(&cues) == 0);
    FUZZ_CHECK(webvtt_add_ass(&texts[0], event, true) == 0);
    FUZZ_CHECK(webvtt_add_ass(&texts[1], event, false) == 0);
    FUZZ_CHECK(webvtt_add_own(&texts[2], own) == 0);
    FUZZ_CHECK(webvtt_add_ass(&texts[3], own, true) == 0);
    for (int i = 0; i < 4; i++) {
        check_payload(text_string(&texts[i]));
        if (i != 2)
            check_tags(text_string(&texts[i]));
        FUZZ_CHECK(cues_push(cues, i, i + 2, own, text_string(&texts[i])) == 0);
        text_done(&texts[i]);
    }
    FUZZ_CHECK(cues_segment(cues, 1500000, &out) == 0);
    FUZZ_CHECK(count_arrows(text_string(&out)) == 2);
    text_done(&out);
    FUZZ_CHECK(cues_segment(cues, INT64_MAX, &out) == 0);
    FUZZ_CHECK(count_arrows(text_string(&out)) == 4);
    text_done(&out);
    cues_free(&cues);
    free(event);
    return 0;
}
