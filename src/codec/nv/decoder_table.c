#include "codec/nv/decoder_table.h"

#include <string.h>

/* The parser's clock when none is given, and where it starts: far from zero, as time stamps may go
 * back behind the first. */
static const struct rational parser_time_base = {1, 10000000};
#define STAMP_START ((int64_t)1 << 40)
#define STAMP_MAX ((int64_t)1 << 38) /* ticks of the track */

void nv_table_init(struct nv_table *t, struct rational time_base)
{
    *t = (struct nv_table){.time_base = time_base, .shown_pts = PTS_NONE, .order_newest = PTS_NONE};
}

void nv_table_done(struct nv_table *t)
{
    for (int i = 0; i < NV_TABLE_SIZE; i++) {
        buffer_unref(&t->entries[i].picture.sides.rpu);
        t->entries[i] = (struct nv_entry){0};
    }
}

void nv_table_reset(struct nv_table *t)
{
    nv_table_done(t);
    t->shown_pts = t->order_newest = PTS_NONE;
    t->order_count = 0;
}

/* Captions of a second field come with those of the first; its time code counts. */
static void join(struct nv_sides *to, const struct nv_sides *from)
{
    if (from->timing.code.count > 0)
        to->timing = from->timing;
    const size_t room = sizeof(to->captions) - to->captions_size;
    if (from->captions_size > room)
        return;
    memcpy(to->captions + to->captions_size, from->captions, from->captions_size);
    to->captions_size += from->captions_size;
}

static struct nv_entry *find_stamp(struct nv_table *t, int64_t stamp)
{
    for (int i = 0; i < NV_TABLE_SIZE; i++)
        if (t->entries[i].number > 0 && t->entries[i].stamp == stamp)
            return &t->entries[i];
    return NULL;
}

/* The entry is to be forgotten. */
static void give_up(struct nv_table *t, struct nv_entry *e)
{
    t->lost += e->number > 0 && !e->used && !e->hidden && !e->discard;
    e->used = true;
}

void nv_table_remove_newest(struct nv_table *t)
{
    t->entries[t->last % NV_TABLE_SIZE].used = true;
}

void nv_table_drain(struct nv_table *t)
{
    for (int i = 0; i < NV_TABLE_SIZE; i++)
        give_up(t, &t->entries[i]);
}

/* A packet without a time is near the one before. */
static int64_t stamp_of(struct nv_table *t, const struct nv_entry *before, int64_t pts)
{
    int64_t stamp = before->number > 0 ? before->stamp + 1 : STAMP_START;
    if (pts != PTS_NONE) {
        int64_t moved;
        if (t->last == 1)
            t->origin = pts;
        if (!__builtin_sub_overflow(pts, t->origin, &moved) && moved > -STAMP_MAX &&
            moved < STAMP_MAX)
            stamp = STAMP_START +
                    rational_rescale(moved, t->time_base, parser_time_base, ROUND_NEAREST);
    }
    while (find_stamp(t, stamp))
        stamp++;
    return stamp;
}

int64_t nv_table_add(struct nv_table *t, const struct packet *pkt, struct nv_facts *facts)
{
    struct nv_entry *before = &t->entries[t->last % NV_TABLE_SIZE];
    if (facts->second_field && before->number == t->last && t->last > 0) {
        join(&before->picture.sides, &facts->picture.sides);
        before->picture.recovered = before->picture.recovered || facts->picture.recovered;
        nv_facts_done(facts);
        return before->stamp;
    }
    struct nv_entry *e = &t->entries[++t->last % NV_TABLE_SIZE];
    give_up(t, e);
    buffer_unref(&e->picture.sides.rpu);
    const int64_t pts = pkt->pts != PTS_NONE ? pkt->pts : pkt->dts;
    *e = (struct nv_entry){0};
    const int64_t stamp = stamp_of(t, before, pts);
    *e = (struct nv_entry){
        .number = t->last,
        .stamp = stamp,
        .pts = pts,
        .duration = pkt->duration,
        .discard = pkt->flags & PACKET_DISCARD,
        .hidden = facts->hidden,
        .picture = facts->picture,
    };
    facts->picture.sides.rpu = NULL;
    return stamp;
}

/* Of those that still wait for their frame and lie behind the last one, the first. */
static struct nv_entry *next_by_time(struct nv_table *t)
{
    struct nv_entry *next = NULL;
    for (int i = 0; i < NV_TABLE_SIZE; i++) {
        struct nv_entry *e = &t->entries[i];
        if (e->number > 0 && !e->used && !e->hidden && e->pts > t->shown_pts &&
            (!next || e->pts < next->pts))
            next = e;
    }
    return next;
}

struct nv_entry *nv_table_take(struct nv_table *t, int64_t stamp)
{
    struct nv_entry *e = find_stamp(t, stamp);
    if (!e)
        e = next_by_time(t);
    if (!e)
        return NULL;
    if (e->used)
        e->pts = PTS_NONE;
    else
        t->shown_pts = e->pts;
    e->used = true;
    return e;
}

/* ---- time stamps by order -------------------------------------------------------------------- */

void nv_order_add(struct nv_table *t, int64_t value)
{
    t->order_newest = value;
    if (value == PTS_NONE)
        return;
    if (t->order_count == NV_ORDER_MAX)
        nv_order_next(t, PTS_NONE);
    int at = t->order_count++;
    for (; at > 0 && t->order[at - 1] > value; at--)
        t->order[at] = t->order[at - 1];
    t->order[at] = value;
}

static void order_remove(struct nv_table *t, int at)
{
    t->order_count--;
    memmove(&t->order[at], &t->order[at + 1], (size_t)(t->order_count - at) * sizeof(t->order[0]));
}

void nv_order_remove_newest(struct nv_table *t)
{
    for (int i = t->order_count - 1; i >= 0; i--) {
        if (t->order[i] == t->order_newest) {
            order_remove(t, i);
            return;
        }
    }
}

int64_t nv_order_next(struct nv_table *t, int64_t otherwise)
{
    if (t->order_count == 0)
        return otherwise;
    const int64_t first = t->order[0];
    order_remove(t, 0);
    return first;
}
