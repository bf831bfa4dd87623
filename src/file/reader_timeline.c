#include "file/reader_timeline.h"

#include <stdlib.h>

#include "base/error.h"

/* Times beyond are no times; after all jumps, they would overflow. */
#define SANE_US (INT64_MAX / 8 / TIMELINE_JUMPS_MAX)
#define REORDER_US INT64_C(10000000) /* shown so far from when it is decoded: not believed */
#define FOLLOW_US INT64_C(1000000)   /* so long behind a jump, no track's old part lasts */
#define FRAME_MAX_US INT64_C(500000) /* a longer frame is a still */
#define NEAR_US INT64_C(600000000)   /* no farther apart across the clock's end: one recording */
#define CLOCK_BITS_MAX 40            /* more of them count for years */
#define LAG_US INT64_C(2000000)      /* tracks come so far apart */
#define OVERLAP_FRAMES 3

static const struct rational MICROSECONDS = {1, 1000000};

int timeline_init(struct timeline *ret, bool active, int tracks_count)
{
    *ret = (struct timeline){
        .active = active, .finely = true, .tracks_count = tracks_count, .leader = -1};
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

static void forget_shown(struct timeline_track *k)
{
    k->end_us = k->latest_us = PTS_NONE;
}

void timeline_reset(struct timeline *t)
{
    t->jumps_count = 0;
    t->shift_us[0] = t->at_us[0] = 0;
    t->jump_clock_us = t->clock_us = t->end_us = t->leap_us = PTS_NONE;
    t->leaps = (struct timeline_leaps){0};
    for (int i = 0; i < t->tracks_count; i++) {
        struct timeline_track *k = &t->tracks[i];
        *k = (struct timeline_track){
            .clock_us = PTS_NONE, .last_us = PTS_NONE, .before_us = PTS_NONE};
        forget_shown(k);
        for (int n = 0; n < TIMELINE_SHOWN_MAX; n++)
            k->shown_us[n] = PTS_NONE;
    }
}

static bool is_sane(int64_t us)
{
    return us > -SANE_US && us < SANE_US;
}

static int64_t to_us(const struct timeline_packet *pkt, int64_t ticks)
{
    return rational_rescale(ticks, pkt->time_base, MICROSECONDS, ROUND_NEAREST);
}

static int64_t to_ticks(const struct timeline_packet *pkt, int64_t us)
{
    return rational_rescale(us, MICROSECONDS, pkt->time_base, ROUND_NEAREST);
}

/* When the packet is shown, not moved. */
static int64_t shown_us(const struct timeline_packet *pkt, int64_t dts_us)
{
    const int64_t us = to_us(pkt, pkt->pts);
    const bool told =
        pkt->pts != PTS_NONE && is_sane(us) && us - dts_us < REORDER_US && dts_us - us < REORDER_US;
    return told ? us : dts_us;
}

/* False: nothing can be told by it. */
static bool is_told(const struct timeline_packet *pkt, int64_t ts, int64_t *ret_us)
{
    *ret_us = to_us(pkt, ts);
    return ts != PTS_NONE && is_sane(*ret_us);
}

/* ---- the clock's turns ---------------------------------------------------------------------- */

/* Ticks that the clock counts before it begins at zero again; 0: it never does. */
static int64_t turn_ticks(const struct timeline_packet *pkt)
{
    const bool turns = pkt->clock_bits > 0 && pkt->clock_bits <= CLOCK_BITS_MAX;
    const int64_t ticks = turns ? INT64_C(1) << pkt->clock_bits : 0;
    const int64_t us = to_us(pkt, ticks);
    return us > 4 * NEAR_US && is_sane(us) ? ticks : 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Turns to add, so that `at` comes as near to `to` as it can. */
static int64_t turns_between(int64_t at, int64_t to, int64_t turn)
{
    return floor_div(to - at + turn / 2, turn);
}

/* Turns to add to a time by the clock, so that it goes on from what the track, the one that has
 * jumped last, or the packet before had. Where it is near none of them, less on the clock is
 * earlier, more is later; unless it is more by half a turn. */
static int64_t turns_of(const struct timeline *t, const struct timeline_track *k, int64_t us,
                        int64_t turn)
{
    const int64_t others[] = {k->clock_us, k->jumps < t->jumps_count ? t->jump_clock_us : PTS_NONE,
                              t->clock_us};
    int64_t best = 0, least = INT64_MAX;
    for (int i = 0; i < 3; i++) {
        if (others[i] == PTS_NONE)
            continue;
        const int64_t turns = turns_between(us, others[i], turn);
        const int64_t distance = llabs(us + turns * turn - others[i]);
        if (distance < least) {
            least = distance;
            best = turns;
        }
    }
    if (least <= NEAR_US || k->clock_us == PTS_NONE)
        return best;
    const int64_t same = floor_div(k->clock_us, turn) - floor_div(us, turn);
    return us + same * turn - k->clock_us < turn / 2 ? same : same - 1;
}

/* Frees the time stamps of the clock's turns. Exact: whole turns are added. */
static void unwind(const struct timeline *t, const struct timeline_track *k,
                   struct timeline_packet *pkt)
{
    const int64_t turn = turn_ticks(pkt);
    int64_t us;
    const int64_t ts = pkt->dts != PTS_NONE ? pkt->dts : pkt->pts;
    if (!turn || !is_told(pkt, ts, &us))
        return;
    const int64_t there = ts + turns_of(t, k, us, to_us(pkt, turn)) * turn;
    if (pkt->dts != PTS_NONE)
        pkt->dts = there;
    if (is_told(pkt, pkt->pts, &us))
        pkt->pts += turns_between(pkt->pts, there, turn) * turn;
}

/* ---- jumps ---------------------------------------------------------------------------------- */

/* How far back is a jump. */
static int64_t threshold(const struct timeline *t, int track)
{
    const int64_t frame = t->tracks[track].duration_us;
    const bool leads = t->finely && track == t->leader && frame > 0 && frame <= FRAME_MAX_US;
    return leads && TIMELINE_JUMP_FRAMES * frame < TIMELINE_JUMP_US ? TIMELINE_JUMP_FRAMES * frame
                                                                    : TIMELINE_JUMP_US;
}

bool timeline_doubts(const struct timeline *t, const struct timeline_packet *packet)
{
    const struct timeline_track *k = &t->tracks[packet->track];
    if (!t->active || t->leader < 0 || packet->track == t->leader || k->jumps != t->jumps_count ||
        k->last_us == PTS_NONE)
        return false;
    struct timeline_packet pkt = *packet;
    int64_t us;
    unwind(t, k, &pkt);
    return is_told(&pkt, pkt.dts, &us) && us + t->shift_us[k->jumps] < k->last_us;
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

/* The same for one packet far behind: the jump was none. */
static void take_back(struct timeline *t, struct timeline_track *k, int64_t us)
{
    if (!k->alone || !returns(k, us + t->shift_us[k->jumps - 1]))
        return;
    for (int i = 0; i < t->tracks_count; i++)
        if (&t->tracks[i] != k && t->tracks[i].jumps == t->jumps_count)
            return;
    k->jumps--;
    t->jumps_count--;
    k->last_us = PTS_NONE;
    forget_shown(k);
}

static int64_t step(const struct timeline_track *k)
{
    return k->duration_us > 0 ? k->duration_us : k->step_us;
}

/* Whether the frame is one that those before a jump leave out: one of them is shown later, none at
 * its time. Key frames begin something new. */
static bool fills(const struct timeline_track *k, const struct timeline_packet *pkt, int64_t shown)
{
    const int64_t half = step(k) / 2;
    if (pkt->is_key || half <= 0 || k->end_us == PTS_NONE || shown + half >= k->end_us)
        return false;
    for (int i = 0; i < TIMELINE_SHOWN_MAX; i++)
        if (k->shown_us[i] != PTS_NONE && llabs(k->shown_us[i] - shown) < half)
            return false;
    return true;
}

/* Whether a key frame is shown no later than one before it, by a few frames or with a time of
 * decoding that stumbles, too: else one of both has a wrong time. */
static bool overlaps(const struct timeline *t, const struct timeline_packet *pkt, int64_t moved,
                     int64_t shown)
{
    const struct timeline_track *k = &t->tracks[pkt->track];
    const int64_t frame = step(k);
    if (!t->finely || pkt->track != t->leader || !pkt->is_key || pkt->pts == PTS_NONE ||
        k->latest_us == PTS_NONE || frame <= 0 || frame > FRAME_MAX_US || shown > k->latest_us)
        return false;
    return k->latest_us - shown <= OVERLAP_FRAMES * frame || moved < k->last_us + frame / 2;
}

/* What comes now goes on behind what was decoded and shown before. */
static void jump(struct timeline *t, struct timeline_track *k, const struct timeline_packet *pkt,
                 int64_t us, int64_t shown)
{
    const int64_t decoded = k->last_us + step(k) - us;
    const bool behind = k->end_us - shown > decoded && !fills(k, pkt, shown + decoded);
    const int64_t shift = behind ? k->end_us - shown : decoded;
    t->jumps_count++;
    t->shift_us[t->jumps_count] = shift;
    t->at_us[t->jumps_count] = us + shift;
    t->jump_clock_us = us;
    k->jumps++;
    k->alone = true;
}

/* ---- leaps ---------------------------------------------------------------------------------- */

/* How far a frame is to be moved back behind a leap; 0 for what is shown behind it. */
static int64_t leap_back(const struct timeline_track *k, const struct timeline_packet *pkt,
                         int64_t moved, int64_t shown)
{
    if (k->last_us == PTS_NONE || moved < k->end_us + TIMELINE_JUMP_US)
        return 0;
    const int64_t leap = moved - k->last_us - step(k);
    return fills(k, pkt, shown - leap) ? leap : 0;
}

/* The last leap was none, where a packet lies before its end. */
static void refute_leap(struct timeline *t, int64_t moved)
{
    if (t->leap_us == PTS_NONE || moved >= t->leap_end_us - LAG_US)
        return;
    t->leaps.count--;
    t->leap_us = PTS_NONE;
    t->end_us = moved;
}

/* A leap counts where all tracks make it: none has anything in the hole. */
static void note_leap(struct timeline *t, const struct timeline_track *k, int64_t moved)
{
    if (moved > t->leap_us + LAG_US)
        refute_leap(t, moved);
    if (t->end_us != PTS_NONE && moved > t->end_us + TIMELINE_LEAP_US && k->step_us > 0 &&
        k->step_us <= FRAME_MAX_US) {
        if (t->leaps.count++ == 0) {
            t->leaps.first_us = t->end_us;
            t->leaps.first_length_us = moved - t->end_us;
        }
        t->leap_us = t->end_us;
        t->leap_end_us = moved;
    }
    if (t->end_us == PTS_NONE || moved + k->duration_us > t->end_us)
        t->end_us = moved + k->duration_us;
}

/* --------------------------------------------------------------------------------------------- */

static void note(struct timeline *t, struct timeline_track *k, int64_t us, int64_t moved,
                 int64_t shown)
{
    const int64_t since = k->last_us == PTS_NONE ? 0 : moved - k->last_us;
    note_leap(t, k, moved);
    if (since > 0 && since < TIMELINE_LEAP_US)
        k->step_us = since;
    k->clock_us = t->clock_us = us;
    k->before_us = k->last_us;
    k->last_us = moved;
    k->shown_us[k->shown_next] = shown;
    k->shown_next = (k->shown_next + 1) % TIMELINE_SHOWN_MAX;
    if (k->end_us == PTS_NONE || shown + k->duration_us > k->end_us)
        k->end_us = shown + k->duration_us;
    if (shown - moved <= TIMELINE_SHOWN_MAX * step(k) &&
        (k->latest_us == PTS_NONE || shown > k->latest_us))
        k->latest_us = shown;
}

static void shift(struct timeline_packet *pkt, int64_t us)
{
    const int64_t ticks = us ? to_ticks(pkt, us) : 0;
    if (pkt->pts != PTS_NONE && __builtin_add_overflow(pkt->pts, ticks, &pkt->pts))
        pkt->pts = PTS_NONE;
    if (pkt->dts != PTS_NONE && __builtin_add_overflow(pkt->dts, ticks, &pkt->dts))
        pkt->dts = PTS_NONE;
}

void timeline_move(struct timeline *t, struct timeline_packet *pkt)
{
    if (!t->active)
        return;
    struct timeline_track *k = &t->tracks[pkt->track];
    unwind(t, k, pkt);
    int64_t us, duration, back = 0;
    if (is_told(pkt, pkt->dts, &us)) {
        const int64_t shown = shown_us(pkt, us);
        take_back(t, k, us);
        k->alone = false;
        while (follows(t, k, us))
            k->jumps++;
        const int64_t moved = us + t->shift_us[k->jumps];
        if (k->last_us != PTS_NONE && moved < k->last_us - threshold(t, pkt->track)) {
            if (returns(k, moved)) {
                k->last_us = PTS_NONE;
                forget_shown(k);
                refute_leap(t, moved);
            } else if (k->jumps == t->jumps_count && k->jumps < TIMELINE_JUMPS_MAX) {
                jump(t, k, pkt, us, shown);
            }
        } else if (k->last_us != PTS_NONE && k->jumps == t->jumps_count &&
                   k->jumps < TIMELINE_JUMPS_MAX &&
                   overlaps(t, pkt, moved, shown + t->shift_us[k->jumps])) {
            jump(t, k, pkt, us, shown);
            k->alone = false; /* the next one, too, goes on as if nothing were */
        } else {
            back = leap_back(k, pkt, moved, shown + t->shift_us[k->jumps]);
        }
        if (is_told(pkt, pkt->duration, &duration) && duration > 0)
            k->duration_us = duration;
        const int64_t by = t->shift_us[k->jumps] - back;
        note(t, k, us, us + by, shown + by);
    }
    shift(pkt, t->shift_us[k->jumps] - back);
}

void timeline_move_sparse(const struct timeline *t, struct timeline_packet *pkt)
{
    if (!t->active)
        return;
    const struct timeline_track *leader = t->leader >= 0 ? &t->tracks[t->leader] : NULL;
    const struct timeline_track near = {
        .clock_us = leader && leader->clock_us != PTS_NONE ? leader->clock_us : t->clock_us,
        .jumps = leader ? leader->jumps : t->jumps_count};
    unwind(t, &near, pkt);
    shift(pkt, t->shift_us[near.jumps]);
}
