#include "media/boxes.h"

#include <string.h>

#include "media/bits.h"

#define SHORT_HEAD 8 /* without a size of 64 bits */

bool box_is(const uint8_t *head, const char *type)
{
    return memcmp(head + 4, type, 4) == 0;
}

/* Its size stands behind its type. */
static bool is_large(const uint8_t *head)
{
    struct byte_reader r = byte_reader(head, SHORT_HEAD);
    return byte_u32(&r) == 1;
}

uint64_t box_size(const uint8_t *head)
{
    const bool large = is_large(head);
    struct byte_reader r = byte_reader(large ? head + SHORT_HEAD : head, 8);
    const uint64_t size = byte_read(&r, large ? 8 : 4);
    return size < (large ? BOX_HEAD_MAX : SHORT_HEAD) ? 0 : size;
}

/* Of what may stand before pictures and index, only those are passed over that hold neither. */
static void look_at_head(struct boxes *b)
{
    static const char *const before[] = {"ftyp", "free", "skip", "wide", "uuid", "pnot", NULL};
    const uint64_t size = box_size(b->head);
    bool known = false;
    for (int i = 0; before[i]; i++)
        known |= box_is(b->head, before[i]);
    b->index_last = box_is(b->head, "mdat");
    b->over = !known || !size || b->next + size < size;
    b->next += size;
}

void boxes_follow(struct boxes *b, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size && !b->over;) {
        if (b->at < b->next) { /* within a box */
            const uint64_t rest = b->next - b->at;
            const size_t n = rest < size - i ? (size_t)rest : size - i;
            i += n;
            b->at += n;
            continue;
        }
        const uint64_t have = b->at - b->next;
        b->head[have] = data[i++];
        b->at++;
        if (have + 1 == BOX_HEAD_MAX || (have + 1 == SHORT_HEAD && !is_large(b->head)))
            look_at_head(b);
    }
}
