/* NAL units of H.264 and H.265: finding them, changing how they are framed, and emulation
 * prevention.
 *
 * A framing is given by its length size: 0 is Annex B (start codes 00 00 01), 1, 2 or 4 (3 too) are
 * the bytes of the length field in front of each unit (ISO/IEC 14496-15).
 *
 * Threads: pure functions. Memory: nothing is allocated but by nal_convert_new; units point into
 * the caller's bytes. Limits: none but the length field's own. */
#ifndef MEDIA_NAL_H
#define MEDIA_NAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"

#define NAL_ANNEXB 0

/* One unit from its header byte on, without start code, length or trailing zero bytes. */
struct nal {
    const uint8_t *data; /* borrowed */
    size_t size;         /* bytes; at least 1 when it comes from nal_next */
};

struct nal_iter {
    const uint8_t *pos, *end; /* borrowed */
    unsigned length_size;
    bool error; /* a length points past the end; what came before it is good */
};

/* Address of the first 00 00 01 that lies whole in [p, end), or `end`. */
const uint8_t *nal_find_start_code(const uint8_t *p, const uint8_t *end);

/* `length_size` is NAL_ANNEXB or 1..4. What stands before the first start code is passed over. */
void nal_iter_init(struct nal_iter *it, const void *data, size_t size, unsigned length_size);

/* Next unit that is not empty. False at the end, or at a broken length (then `error` is set). */
bool nal_next(struct nal_iter *it, struct nal *ret);

/* Rewrites units from one framing to another (either way, or between length sizes); Annex B comes
 * out with four-byte start codes. *ret_size gets the size needed, also where `out` is too small.
 * Memory: writes only where `capacity` suffices; `out` may be NULL with capacity 0 and must not
 * overlap `data`.
 * LIMIT: `capacity` is too small, or a unit is too long for the length field (then *ret_size is 0).
 * INPUT: a length points past the end. */
int nal_convert(const void *data, size_t size, unsigned from, unsigned to, void *out,
                size_t capacity, size_t *ret_size);

/* As nal_convert, into a new buffer that the caller owns. Untouched on error. */
int nal_convert_new(const void *data, size_t size, unsigned from, unsigned to, struct buffer **ret,
                    struct error *err);

/* Writes one unit in a framing. The size it takes is returned; it is written only if that is at
 * most `capacity`. 0: too long for the length field. */
size_t nal_write(struct nal nal, unsigned length_size, void *out, size_t capacity);

/* Drops emulation prevention bytes: at most `size` bytes into `out`, which may be `data` itself.
 * Returns the number written. */
size_t nal_unescape(const uint8_t *data, size_t size, uint8_t *out);

/* Adds emulation prevention bytes, and the 03 behind a final zero byte. Returns the size needed
 * (at most size * 3 / 2 + 1); what does not fit into `capacity` is not written. */
size_t nal_escape(const uint8_t *data, size_t size, uint8_t *out, size_t capacity);

#endif
