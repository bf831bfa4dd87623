/* Finds the place to begin. What libavformat's seeking gives is not believed: packets are read
 * until the first access point, and where that lies too late, it is tried again from further back.
 *
 * Where clocks may jump, what time it is at a place is told only by all that comes before it:
 * there, the file is read from its beginning. */
#include "file/reader_internal.h"

#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>

#define SEEK_PACKETS_MAX 8192
#define SEEK_BYTES_MAX (64 << 20)
#define KEEP_US 1000000 /* so long before the start, other tracks are kept */

static const struct rational MICROSECONDS = {1, 1000000};

static void forget(struct reader *r)
{
    reader_queue_drop(r, r->queue_count, false);
    if (r->unpack)
        av_bsf_flush(r->unpack);
    video_state_reset(&r->state);
    timeline_reset(&r->timeline);
    holes_reset(&r->holes);
    r->ended = 0;
    r->damaged = 0; /* what is read again is counted again */
    r->farthest_us = r->given_us = INT64_MIN;
}

static int64_t queued_time(struct reader *r, size_t i)
{
    const AVPacket *av = reader_queued(r, i)->av;
    return av->pts != AV_NOPTS_VALUE ? av->pts : av->dts;
}

/* Reads on to the last access point that is not after `target`; *ret is its place in the queue, or
 * `queue_count` where the first one comes later or none comes. */
static void find_access(struct reader *r, int64_t target, size_t *ret)
{
    bool found = false;
    for (size_t i = 0; i < SEEK_PACKETS_MAX && r->queue_bytes < SEEK_BYTES_MAX; i++) {
        while (i == r->queue_count && r->ended == 0)
            reader_read_ahead(r);
        if (i == r->queue_count)
            break;
        if (!reader_queued(r, i)->is_video || reader_queued(r, i)->look.access == ACCESS_NONE)
            continue;
        reader_time_queued(r, i);
        if (queued_time(r, i) > target)
            break;
        *ret = i;
        found = true;
    }
    if (!found)
        *ret = r->queue_count;
}

/* Whether the packets read ahead tell any time at all. */
static bool has_time(struct reader *r)
{
    for (size_t i = 0; i < r->queue_count; i++)
        if (reader_queued(r, i)->is_video)
            return queued_time(r, i) != AV_NOPTS_VALUE;
    return false;
}

/* Moves to `from`, or to the very beginning, which search by time may miss in a stream. */
static bool move(struct reader *r, int64_t from, bool beginning)
{
    AVFormatContext *f = r->format;
    const bool by_bytes = f->iformat->flags & (AVFMT_TS_DISCONT | AVFMT_GENERIC_INDEX) &&
                          !(f->iformat->flags & AVFMT_NO_BYTE_SEEK);
    if (beginning && by_bytes && av_seek_frame(f, -1, 0, AVSEEK_FLAG_BYTE) >= 0)
        return true;
    return avformat_seek_file(f, r->video, INT64_MIN, from, from, 0) >= 0 ||
           avformat_seek_file(f, r->video, INT64_MIN, from, INT64_MAX, 0) >= 0;
}

static int seek_video(struct reader *r, int64_t target_us, struct error *err)
{
    static const int64_t back_us[] = {0, 1000000, 5000000, 20000000, 60000000, INT64_MAX};
    const struct rational tb = r->tracks[r->video].time_base;
    const int64_t target = rational_rescale(target_us, MICROSECONDS, tb, ROUND_DOWN);
    const int64_t first_us = reader_start_us(r);
    for (size_t k = 0; k < sizeof(back_us) / sizeof(back_us[0]); k++) {
        int64_t from_us = first_us;
        if (back_us[k] != INT64_MAX && target_us - back_us[k] > first_us)
            from_us = target_us - back_us[k];
        const int64_t from = rational_rescale(from_us, MICROSECONDS, tb, ROUND_DOWN);
        if (!move(r, from, from_us == first_us))
            return k == 0 ? 0
                          : error_set(err, RGPU_ERROR_INPUT, "%s: seeking failed",
                                      source_name(&r->source));
        forget(r);
        size_t at;
        find_access(r, target, &at);
        if (r->ended != 0 && r->ended != RGPU_ERROR_END) {
            if (err)
                *err = r->ended_error;
            return r->ended;
        }
        const bool found = at < r->queue_count;
        if (found)
            reader_queue_drop(r, at, true);
        if (found || from_us == first_us)
            break;
    }
    return 0;
}

/* Reads on from the beginning, as reader_next would, to the last access point that is not after the
 * target. What is held is as little as after a seek: where access points are farther apart, the
 * caller reads on from the last one, or from the beginning. */
static int read_until(struct reader *r, int64_t target_us, struct error *err)
{
    const int64_t target =
        rational_rescale(target_us, MICROSECONDS, r->tracks[r->video].time_base, ROUND_DOWN);
    const int64_t from_us = target_us > INT64_MIN + KEEP_US ? target_us - KEEP_US : INT64_MIN;
    size_t since = 0; /* packets looked at since the last access point */
    for (size_t i = 0; since < SEEK_PACKETS_MAX && r->queue_bytes < SEEK_BYTES_MAX; i++, since++) {
        while (i == r->queue_count && !reader_interrupted(r) && r->ended == 0)
            reader_read_ahead(r);
        if (i == r->queue_count)
            break;
        reader_time_queued(r, i);
        reader_move_queued(r, i);
        reader_note_given(r, reader_queued(r, i)->av);
        if (!reader_queued(r, i)->is_video || reader_queued(r, i)->look.access == ACCESS_NONE ||
            queued_time(r, i) == AV_NOPTS_VALUE)
            continue;
        if (queued_time(r, i) > target)
            break;
        r->damaged -= reader_queued(r, i)->damaged;
        for (size_t k = r->queue_count; k-- > i;)
            reader_queued(r, k)->damaged -= reader_queued(r, i)->damaged;
        const size_t behind = r->queue_count - i;
        reader_queue_drop_until(r, i, from_us);
        i = r->queue_count - behind;
        since = 0;
    }
    r->sought_us = r->farthest_us > target_us ? r->farthest_us : target_us;
    if (r->ended != 0 && r->ended != RGPU_ERROR_END) {
        if (err)
            *err = r->ended_error;
        return r->ended;
    }
    return 0;
}

int reader_seek(struct reader *r, int64_t start_us, struct error *err)
{
    int64_t target_us;
    int rc = 0;
    if (__builtin_add_overflow(reader_start_us(r), start_us, &target_us))
        target_us = INT64_MAX;
    if (r->format->pb && !(r->format->pb->seekable & AVIO_SEEKABLE_NORMAL))
        return 0;
    if (r->video < 0) {
        if (avformat_seek_file(r->format, -1, INT64_MIN, target_us, target_us, 0) >= 0)
            forget(r);
    } else if (has_time(r) && r->timeline.active) {
        rc = read_until(r, target_us, err);
    } else if (has_time(r)) {
        rc = seek_video(r, target_us, err);
    }
    return rc;
}
