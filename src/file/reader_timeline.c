#include "file/reader_timeline.h"

#include <stdlib.h>

#include "base/error.h"

/* Times beyond are no times; after all jumps, they would overflow. */
#define SANE_US (INT64_MAX / 8 / TIMELINE_JUMPS_MAX)
#define REORDER_US INT64_C(10000000) /* shown so far from when it is decoded: not believed */
#define FOLLOW_US INT64_C(1000000)   /* so long behind a jump, no track's old part lasts */
#define FRAME_MAX_US INT64_C(500000) /* a longer frame is a still */

static const struct rational MICROSECONDS = {1, 1000000};

int timeline_init(struct timeline *ret, bool active, int tracks_count)
{
    *ret = (struct timeline){.active = active, .tracks_count = tracks_count, .leader = -1};
    ret->tracks = calloc(tracks_count ? (size_t)tracks_count : 1, sizeof(*ret->tracks));
    if (!ret->tracks)
        return RGPU_ERROR_MEMORY;
    timeline_reset(ret);
    return 0;
}

void timeline_done(struct timeline *t)
{
    free(t->tracks);
    t->tracks = NULL;
    t->tracks_count = 0;
}

void timeline_reset(struct timeline *t)
{
    t->jumps_count = 0;
    t->shift_us[0] = t->at_us[0] = 0;
    for (int i = 0; i < t->tracks_count; i++)
        t->tracks[i] =
            (struct timeline_track){.last_us = PTS_NONE, .before_us = PTS_NONE, .end_us = PTS_NONE};
}

static bool is_sane(int64_t us)
{
    return us > -SANE_US && us < SANE_US;
}

/* When the packet is shown, not moved. */
static int64_t shown_us(const struct timeline_packet *pkt, int64_t dts_us)
{
    const int64_t us = rational_rescale(pkt->pts, pkt->time_base, MICROSECONDS, ROUND_NEAREST);
    const bool told =
        pkt->pts != PTS_NONE && is_sane(us) && us - dts_us < REORDER_US && dts_us - us < REORDER_US;
    return told ? us : dts_us;
}

/* False: nothing can be told by it. */
static bool dts_us(const struct timeline_packet *pkt, int64_t *ret)
{
    *ret = rational_rescale(pkt->dts, pkt->time_base, MICROSECONDS, ROUND_NEAREST);
    return pkt->dts != PTS_NONE && is_sane(*ret);
}

/* How far back is a jump. */
static int64_t threshold(const struct timeline *t, int track)
{
    const int64_t frame = t->tracks[track].duration_us;
    const bool leads = track == t->leader && frame > 0 && frame <= FRAME_MAX_US;
    return leads && TIMELINE_JUMP_FRAMES * frame < TIMELINE_JUMP_US ? TIMELINE_JUMP_FRAMES * frame
                                                                    : TIMELINE_JUMP_US;
}

bool timeline_doubts(const struct timeline *t, const struct timeline_packet *pkt)
{
    const struct timeline_track *k = &t->tracks[pkt->track];
    int64_t us;
    return t->active && t->leader >= 0 && pkt->track != t->leader && k->jumps == t->jumps_count &&
           k->last_us != PTS_NONE && dts_us(pkt, &us) && us + t->shift_us[k->jumps] < k->last_us;
}

/* Another track has jumped: has this one, too? Where its time does not go back, because it had a
 * hole there, at least its new time passes the old time's end. */
static bool follows(const struct timeline *t, const struct timeline_track *k, int64_t us)
{
    const int64_t moved = us + t->shift_us[k->jumps];
    return k->jumps < t->jumps_count &&
           (moved > t->at_us[k->jumps + 1] + FOLLOW_US ||
            (k->last_us != PTS_NONE && moved < k->last_us + k->duration_us / 2));
}

/* One packet far ahead of all others has a wrong time: coming back from it is no jump. */
static bool returns(const struct timeline_track *k, int64_t moved)
{
    return k->before_us != PTS_NONE && moved > k->before_us &&
           moved <= k->before_us + 3 * k->duration_us;
}

/* What comes now goes on behind what was decoded and shown before. */
static void jump(struct timeline *t, struct timeline_track *k, int64_t us, int64_t shown)
{
    const int64_t decoded = k->last_us + k->duration_us - us;
    const int64_t shift = k->end_us - shown > decoded ? k->end_us - shown : decoded;
    t->jumps_count++;
    t->shift_us[t->jumps_count] = shift;
    t->at_us[t->jumps_count] = us + shift;
    k->jumps++;
}

static void note(const struct timeline *t, struct timeline_track *k, int64_t us, int64_t shown,
                 const struct timeline_packet *pkt)
{
    const int64_t duration =
        rational_rescale(pkt->duration, pkt->time_base, MICROSECONDS, ROUND_NEAREST);
    if (pkt->duration > 0 && is_sane(duration))
        k->duration_us = duration;
    k->before_us = k->last_us;
    k->last_us = us + t->shift_us[k->jumps];
    const int64_t end = shown + t->shift_us[k->jumps] + k->duration_us;
    if (k->end_us == PTS_NONE || end > k->end_us)
        k->end_us = end;
}

static int64_t ticks(const struct timeline *t, int jumps, struct rational time_base)
{
    return rational_rescale(t->shift_us[jumps], MICROSECONDS, time_base, ROUND_NEAREST);
}

int64_t timeline_shift(struct timeline *t, const struct timeline_packet *pkt)
{
    if (!t->active)
        return 0;
    struct timeline_track *k = &t->tracks[pkt->track];
    int64_t us;
    if (dts_us(pkt, &us)) {
        const int64_t shown = shown_us(pkt, us);
        while (follows(t, k, us))
            k->jumps++;
        const int64_t moved = us + t->shift_us[k->jumps];
        if (k->last_us != PTS_NONE && moved < k->last_us - threshold(t, pkt->track)) {
            if (returns(k, moved))
                k->last_us = k->end_us = PTS_NONE;
            else if (k->jumps == t->jumps_count && k->jumps < TIMELINE_JUMPS_MAX)
                jump(t, k, us, shown);
        }
        note(t, k, us, shown, pkt);
    }
    return ticks(t, k->jumps, pkt->time_base);
}

int64_t timeline_shift_sparse(const struct timeline *t, const struct timeline_packet *pkt)
{
    if (!t->active)
        return 0;
    const int jumps = t->leader >= 0 ? t->tracks[t->leader].jumps : t->jumps_count;
    return ticks(t, jumps, pkt->time_base);
}
