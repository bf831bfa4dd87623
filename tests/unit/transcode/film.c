#include "film.h"

#include <stdlib.h>
#include <string.h>

uint32_t film_random(uint32_t *seed)
{
    uint32_t x = *seed ? *seed : 1;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *seed = x;
}

static void append(struct film *f, int *ordinal, int frame)
{
    f->order[(*ordinal)++] = frame;
}

/* Decode order of one GOP: its key frame, its leading pictures, then groups with the last first. */
static void order_gop(struct film *f, int *ordinal, int rap, int leading, int end, int bframes)
{
    f->rap_ordinals[f->raps_count] = *ordinal;
    f->raps[f->raps_count++] = rap;
    f->frames[rap].rap = true;
    append(f, ordinal, rap);
    for (int i = rap - leading; i < rap; i++) {
        f->frames[i].leading = true;
        append(f, ordinal, i);
    }
    for (int at = rap + 1; at < end;) {
        int last = at + bframes < end ? at + bframes : end - 1;
        append(f, ordinal, last);
        for (; at < last; at++)
            append(f, ordinal, at);
        at++;
    }
}

struct film *film_new(const struct film_style *style)
{
    uint32_t seed = style->seed * 2654435761u + 1;
    struct film *f = calloc(1, sizeof(*f));
    f->count = style->count;
    int64_t pts = style->start;
    for (int i = 0; i < f->count; i++) {
        int64_t tick = style->vfr ? 1 + film_random(&seed) % 120 : style->tick ? style->tick : 40;
        f->frames[i].pts = pts;
        f->frames[i].duration = tick;
        pts += tick;
    }
    int ordinal = 0, leading = 0;
    for (int rap = 0; rap < f->count;) {
        int gop =
            style->gop_max ? 1 + (int)(film_random(&seed) % (uint32_t)style->gop_max) : f->count;
        int next = rap + gop < f->count ? rap + gop : f->count;
        int next_leading = 0;
        if (style->open_gop && next < f->count) {
            next_leading = (int)(film_random(&seed) % (uint32_t)(style->bframes + 1));
            if (next_leading > next - rap - 1)
                next_leading = next - rap - 1;
        }
        order_gop(f, &ordinal, rap, leading, next - next_leading, style->bframes);
        leading = next_leading;
        rap = next;
    }
    CHECK(ordinal == f->count);
    return f;
}

int film_feed(struct session *s, const struct film *film, int rap_from, int rap_to, uint32_t id)
{
    const bool last = rap_to == film->raps_count;
    int ordinal = film->rap_ordinals[rap_from];
    int end = last ? film->count : film->rap_ordinals[rap_to];
    int r = session_begin(s, id, film->frames[film->raps[rap_from]].pts, (uint64_t)ordinal);
    for (; !r && ordinal < end; ordinal++) {
        struct packet pkt = fake_packet(&film->frames[film->order[ordinal]], (uint64_t)ordinal);
        r = session_packet(s, &pkt);
        CHECK(!pkt.buf);
    }
    if (!r)
        r = session_tail(s, last ? INT64_MAX : film->frames[film->raps[rap_to]].pts);
    for (; !r && ordinal < film->count; ordinal++) {
        const struct fake_source *source = &film->frames[film->order[ordinal]];
        if (ordinal != end && !source->leading)
            break;
        struct packet pkt = fake_packet(source, (uint64_t)ordinal);
        r = session_packet(s, &pkt);
    }
    return r ? r : session_end(s);
}

static void collect_packet(struct film_result *r, const struct session_output *out)
{
    if (r->packets_count == r->packets_room) {
        r->packets_room = r->packets_room * 2 + 64;
        r->packets = realloc(r->packets, (size_t)r->packets_room * sizeof(*r->packets));
    }
    struct film_packet *p = &r->packets[r->packets_count++];
    *p = (struct film_packet){.segment = out->segment,
                              .rendition = out->packet.rendition,
                              .pts = out->packet.pts,
                              .duration = out->packet.duration,
                              .ordinal = out->packet.ordinal,
                              .key = out->packet.flags & PACKET_KEY};
    CHECK(out->packet.size == sizeof(p->coded) && out->packet.dts == PTS_NONE);
    memcpy(&p->coded, out->packet.data, sizeof(p->coded));
    CHECK(r->headers[p->rendition] == 1);
    CHECK(r->done_count[p->segment] == 0);
}

static void collect_output(struct film_result *r, const struct session_output *out)
{
    r->outputs++;
    switch (out->type) {
    case SESSION_PICTURE:
        CHECK(!r->headers[0] && !out->track.extradata);
        r->picture = out->track;
        r->pictures++;
        break;
    case SESSION_HEADER:
        CHECK(out->track.extradata && out->track.width == out->track.height * 2);
        r->headers[out->packet.rendition]++;
        break;
    case SESSION_PACKET:
        collect_packet(r, out);
        break;
    case SESSION_SEGMENT_DONE:
        r->done_count[out->segment]++;
        r->done[out->segment] = out->done;
        break;
    case SESSION_NOTE:
        CHECK(r->notes_count < 8);
        memcpy(r->notes[r->notes_count++], out->note, sizeof(out->note));
        break;
    case SESSION_DRAINED:
        r->drains++;
        break;
    }
}

static void *collect_main(void *arg)
{
    struct film_result *r = arg;
    while (r->drains < r->stop_after_drains) {
        struct session_output out;
        int code = session_receive(r->s, -1, &out, &r->err);
        if (code) {
            r->code = code;
            break;
        }
        collect_output(r, &out);
        session_output_done(&out);
    }
    return NULL;
}

struct film_result *film_collect(struct session *s, int stop_after_drains)
{
    struct film_result *r = calloc(1, sizeof(*r));
    r->s = s;
    r->stop_after_drains = stop_after_drains;
    CHECK(!pthread_create(&r->thread, NULL, collect_main, r));
    return r;
}

void film_collect_join(struct film_result *r)
{
    pthread_join(r->thread, NULL);
}

void film_result_free(struct film_result *r)
{
    free(r->packets);
    free(r);
}

static int compare_pts(const void *a, const void *b)
{
    const struct film_packet *x = a, *y = b;
    return (x->pts > y->pts) - (x->pts < y->pts);
}

/* Packets of a segment's rendition, sorted by pts; checks their order before. */
static int sorted_packets(const struct film_result *r, uint32_t id, uint32_t rendition,
                          struct film_packet *ret)
{
    int count = 0;
    int64_t closed_before = INT64_MIN, latest = INT64_MIN;
    for (int i = 0; i < r->packets_count; i++) {
        const struct film_packet *p = &r->packets[i];
        if (p->segment != id || p->rendition != rendition)
            continue;
        CHECK(p->ordinal == (uint64_t)count);
        CHECK(count > 0 || p->key);
        /* Closed: nothing of before a key frame comes after it. */
        if (p->key) {
            CHECK(p->pts > latest);
            closed_before = p->pts;
        }
        CHECK(p->pts >= closed_before);
        latest = p->pts > latest ? p->pts : latest;
        ret[count++] = *p;
    }
    qsort(ret, (size_t)count, sizeof(*ret), compare_pts);
    return count;
}

/* Frame number `n` of a segment: kept by all. */
static bool is_common(const int *divisors, int count, int n)
{
    for (int k = 0; divisors && k < count; k++)
        if (n % divisors[k])
            return false;
    return true;
}

void film_check(const struct film_result *r, const struct film *film, int from, int to, uint32_t id,
                const struct session_params *params, const int *divisors)
{
    const int64_t gop_ms = (params->gop_us ? params->gop_us : 2000000) / 1000;
    uint64_t digest = 0;
    for (int i = from; i < to; i++)
        digest = pts_digest_add(digest, film->frames[i].pts);
    CHECK(r->done_count[id] == 1);
    CHECK(r->done[id].frames == to - from);
    CHECK(r->done[id].pts_digest == digest);
    CHECK(r->done[id].corrupt_frames == 0);
    struct film_packet *packets = calloc(FILM_MAX, sizeof(*packets));
    for (int k = 0; k < params->renditions_count; k++) {
        int count = sorted_packets(r, id, (uint32_t)k, packets);
        CHECK(r->done[id].packets[k] == count);
        int at = 0;
        int64_t gop = -1;
        bool due = true;
        for (int i = from; i < to; i++) {
            const int64_t pts = film->frames[i].pts;
            const int64_t gop_now = (pts - film->frames[from].pts) / gop_ms;
            due |= gop_now != gop;
            gop = gop_now;
            const bool key = due && is_common(divisors, params->renditions_count, i - from);
            due &= !key;
            if (divisors && (i - from) % divisors[k])
                continue;
            CHECK(at < count);
            const struct film_packet *p = &packets[at++];
            CHECK(p->pts == pts && p->coded.source_pts == pts);
            CHECK(p->key == key && p->coded.key == key);
            CHECK(p->coded.width == params->renditions[k].width);
            const int64_t end = at < count
                                    ? packets[at].pts
                                    : film->frames[to - 1].pts + film->frames[to - 1].duration;
            CHECK(p->duration == end - pts);
        }
        CHECK(at == count);
    }
    free(packets);
}

struct session_params film_params(int renditions)
{
    struct session_params p = {.device_kind = DEVICE_CPU,
                               .source = {.codec = "h264",
                                          .width = 64,
                                          .height = 32,
                                          .time_base = {1, 1000},
                                          .frame_rate = {25, 1}},
                               .renditions_count = renditions,
                               .deinterlace = DEINTERLACE_AUTO,
                               .gop_us = 500000};
    for (int i = 0; i < renditions; i++) {
        p.renditions[i] = (struct rendition_params){
            .codec = "h264", .width = 64 >> i, .height = 32 >> i, .bframes = -1};
    }
    return p;
}
