/* media/boxes.h: the same is told however the bytes are cut, and it agrees with a walk over the
 * whole file. */
#include <string.h>

#include "fuzz.h"
#include "media/boxes.h"

static bool is_passed_over(const uint8_t *head)
{
    return box_is(head, "ftyp") || box_is(head, "free") || box_is(head, "skip") ||
           box_is(head, "wide") || box_is(head, "uuid") || box_is(head, "pnot");
}

static bool walk(const uint8_t *data, size_t size)
{
    for (uint64_t at = 0; at <= size && size - at >= 8;) {
        uint8_t head[BOX_HEAD_MAX] = {0};
        const size_t have = size - at < sizeof(head) ? (size_t)(size - at) : sizeof(head);
        memcpy(head, data + at, have);
        if (memcmp(head, "\0\0\0\1", 4) == 0 && have < sizeof(head))
            return false;
        const uint64_t length = box_size(head);
        if (box_is(head, "mdat"))
            return true;
        if (!is_passed_over(head) || !length || at + length < at)
            return false;
        at += length;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct boxes whole = {0}, cut = {0};
    const bool index_last = walk(data, size);
    boxes_follow(&whole, data, size);
    FUZZ_CHECK(whole.index_last == index_last);
    for (size_t i = 0, step; i < size; i += step) {
        step = 1 + data[i] % 23;
        if (step > size - i)
            step = size - i;
        boxes_follow(&cut, data + i, step);
    }
    FUZZ_CHECK(cut.index_last == whole.index_last && cut.over == whole.over);
    FUZZ_CHECK(cut.over || (cut.at == whole.at && cut.at == size && cut.next == whole.next));
    return 0;
}
