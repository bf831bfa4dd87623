#include "media/cues.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "media/webvtt.h"

#define NS_PER_MS INT64_C(1000000)
#define MS_MAX (INT64_MAX / NS_PER_MS - 1)

struct cue {
    int64_t begin_ns, end_ns;
    char *block; /* owned; as it stands in a file */
    size_t size; /* of the block */
};

struct cues {
    struct cue *list; /* owned; by begin, equal ones as they came */
    int count, capacity;
    size_t bytes;
    int64_t end_ns; /* of the last segment */
};

int cues_new(struct cues **ret)
{
    struct cues *c = calloc(1, sizeof(*c));
    if (!c)
        return RGPU_ERROR_MEMORY;
    c->end_ns = INT64_MIN;
    *ret = c;
    return 0;
}

static int reserve(struct cues *c)
{
    if (c->count < c->capacity)
        return 0;
    const int capacity = c->capacity + c->capacity / 2 + 16;
    struct cue *list = realloc(c->list, (size_t)capacity * sizeof(*list));
    if (!list)
        return RGPU_ERROR_MEMORY;
    c->list = list;
    c->capacity = capacity;
    return 0;
}

static bool is_same(const struct cue *a, const struct cue *b)
{
    return a->size == b->size && memcmp(a->block, b->block, a->size) == 0;
}

/* Puts a cue (block moved) behind those that begin no later, unless it is there already. */
static int insert(struct cues *c, const struct cue *cue)
{
    int at = c->count;
    while (at > 0 && c->list[at - 1].begin_ns > cue->begin_ns)
        at--;
    bool known = false;
    for (int i = at - 1; i >= 0 && c->list[i].begin_ns == cue->begin_ns && !known; i--)
        known = is_same(&c->list[i], cue);
    int rc = 0;
    if (!known)
        rc = c->count >= CUES_MAX || c->bytes + cue->size > CUES_BYTES_MAX ? RGPU_ERROR_LIMIT
                                                                           : reserve(c);
    if (known || rc < 0) {
        free(cue->block);
        return rc;
    }
    memmove(&c->list[at + 1], &c->list[at], (size_t)(c->count - at) * sizeof(c->list[0]));
    c->list[at] = *cue;
    c->count++;
    c->bytes += cue->size;
    return 0;
}

int cues_push(struct cues *c, int64_t begin_ms, int64_t end_ms, const char *settings,
              const char *payload)
{
    if (begin_ms < 0 || begin_ms > MS_MAX || end_ms > MS_MAX)
        return RGPU_ERROR_INPUT;
    if (end_ms <= begin_ms)
        end_ms = begin_ms + 1;
    if (end_ms * NS_PER_MS <= c->end_ns)
        return RGPU_ERROR_INPUT;
    struct text block = {.limit = CUES_BYTES_MAX};
    const int rc = webvtt_add_cue(&block, begin_ms, end_ms, settings, payload);
    if (rc < 0) {
        text_done(&block);
        return rc;
    }
    return insert(c,
                  &(struct cue){begin_ms * NS_PER_MS, end_ms * NS_PER_MS, block.data, block.size});
}

int64_t cues_last_ns(const struct cues *c)
{
    return c->count > 0 ? c->list[c->count - 1].begin_ns : INT64_MIN;
}

int cues_segment(struct cues *c, int64_t end_ns, struct text *out)
{
    int kept = 0;
    webvtt_add_head(out);
    for (int i = 0; i < c->count; i++) {
        struct cue *cue = &c->list[i];
        if (cue->begin_ns < end_ns)
            text_add_bytes(out, cue->block, cue->size);
        if (cue->end_ns > end_ns) {
            c->list[kept++] = *cue;
        } else {
            c->bytes -= cue->size;
            free(cue->block);
        }
    }
    c->count = kept;
    c->end_ns = end_ns;
    return out->error;
}

void cues_free(struct cues **c)
{
    struct cues *x = *c;
    *c = NULL;
    if (!x)
        return;
    for (int i = 0; i < x->count; i++)
        free(x->list[i].block);
    free(x->list);
    free(x);
}
