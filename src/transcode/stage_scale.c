/* Second stage: one decision for each frame (key frame, who keeps it, the encoders' clock), one
 * call that fills all rungs, one piece of work for each encoder. */
#include "transcode/own.h"
#include "transcode/stages.h"

/* Takes the work's frame. */
static int push_work(struct session *s, int rendition, const struct work *work)
{
    int r = channel_push(&s->encoders[rendition].work, work);
    if (r) {
        struct frame *frame = work->frame;
        frame_unref(&frame);
    }
    return r;
}

static int push_to_all(struct session *s, enum work_type type, struct ticket *ticket)
{
    int r = 0;
    for (int i = 0; !r && i < s->params.renditions_count; i++)
        r = push_work(s, i, &(struct work){.type = type, .ticket = ticket});
    return r;
}

/* ---- set up --------------------------------------------------------------------------------- */

static int make_plan(struct session *s, const struct work *w, struct error *err)
{
    struct scale_stage *st = &s->scale;
    int r = plan_encoders(&st->plan, &s->params, s->backend, w->frame, s->processors, err);
    for (int i = 0; !r && i < st->plan.notes_count; i++)
        r = session_note(s, w->ticket->segment, st->plan.notes[i]);
    st->planned = !r;
    return r;
}

static bool same_color(const struct color *a, const struct color *b)
{
    return a->primaries == b->primaries && a->transfer == b->transfer && a->matrix == b->matrix &&
           a->range == b->range && a->chroma == b->chroma;
}

/* Opens the scaler for frames like this one, unless it is open for such. */
static int prepare_scaler(struct session *s, const struct frame *frame, struct error *err)
{
    struct scale_stage *st = &s->scale;
    const struct scaler_params p = plan_scaler(&st->plan, &s->params, frame, st->interlaced);
    if (st->scaler && p.width == st->params.width && p.height == st->params.height &&
        p.format == st->params.format && p.interlaced == st->params.interlaced &&
        same_color(&p.color, &st->params.color))
        return 0;
    if (st->scaler)
        s->backend->scaler->close(st->scaler);
    st->scaler = NULL;
    st->params = p;
    return s->backend->scaler->open(&st->scaler, &p, err);
}

/* The scaler has the last word on colour; the encoders wait for their first frame. */
static void hand_out_params(struct session *s, struct frame *const *scaled)
{
    struct scale_stage *st = &s->scale;
    for (int i = 0; i < s->params.renditions_count; i++) {
        st->plan.encoders[i].color = plan_color(&s->params.source, scaled[i]);
        s->encoders[i].params = st->plan.encoders[i];
    }
    st->colored = true;
}

/* ---- frames --------------------------------------------------------------------------------- */

/* Hands a scaled frame to its encoder. Where frames are dropped, each waits for the next kept one
 * to learn its duration; in low latency it gets its slot's instead. Takes the frame. */
static int give(struct session *s, int rendition, const struct work *work)
{
    struct scale_stage *st = &s->scale;
    const struct rate_cap *cap = &st->caps[rendition];
    if (cap->all)
        return push_work(s, rendition, work);
    if (st->plan.encoders[rendition].low_latency) {
        struct work timed = *work;
        timed.duration = rational_rescale(1, cap->slot, cap->time_base, ROUND_NEAREST);
        return push_work(s, rendition, &timed);
    }
    struct work ready = st->deferred[rendition];
    st->deferred[rendition] = *work;
    if (!ready.frame)
        return 0;
    ready.duration = work->pts > ready.pts ? work->pts - ready.pts : 0;
    return push_work(s, rendition, &ready);
}

static int flush_deferred(struct session *s)
{
    struct scale_stage *st = &s->scale;
    int r = 0;
    for (int i = 0; !r && i < s->params.renditions_count; i++) {
        struct work ready = st->deferred[i];
        st->deferred[i] = (struct work){0};
        if (!ready.frame)
            continue;
        ready.duration = st->end_pts > ready.pts ? st->end_pts - ready.pts : 0;
        r = push_work(s, i, &ready);
    }
    return r;
}

/* Who keeps the frame. */
static uint32_t choose(struct session *s, int64_t pts, bool key)
{
    uint32_t mask = 0;
    for (int i = 0; i < s->params.renditions_count; i++)
        if (rate_cap_keep(&s->scale.caps[i], pts, key))
            mask |= 1u << i;
    return mask;
}

/* Scales into `scaled` for the renditions in `mask`. The frame's pts and key flag are the encoders'
 * already, and the scaler passes them on. */
static int scale(struct session *s, const struct work *w, uint32_t mask, struct frame **scaled,
                 struct error *err)
{
    struct scale_stage *st = &s->scale;
    int r = st->planned ? 0 : make_plan(s, w, err);
    if (w->frame->flags & FRAME_INTERLACED)
        st->interlaced = true;
    if (!r)
        r = prepare_scaler(s, w->frame, err);
    if (!r)
        r = s->backend->scaler->run(st->scaler, w->frame, mask, scaled, err);
    return r;
}

/* Takes the work's frame. */
static int scale_frame(struct session *s, struct work *w, struct error *err)
{
    struct scale_stage *st = &s->scale;
    const bool first = st->ticket != w->ticket;
    if (first) {
        const int64_t start = w->ticket->start_pts;
        key_rule_start(&st->key, start < -PTS_LIMIT ? w->pts : start);
        st->ticket = w->ticket;
        st->interlaced = false;
    }
    if (w->duration <= 0)
        w->duration = s->nominal_duration;
    /* Who feeds frames may ask for more key frames than the rule makes. */
    const bool asked = s->params.raw_input && w->frame->flags & FRAME_KEY;
    const bool key = key_rule_next(&st->key, w->pts) || asked;
    const int64_t clock =
        gapless_clock_next(&st->clock, w->pts, w->duration, !first || w->ticket->follows);
    st->end_pts = w->pts + w->duration;
    const uint32_t mask = choose(s, w->pts, key);
    struct frame *scaled[RENDITIONS_MAX] = {0};
    int r = 0;
    if (mask) {
        r = frame_own(&w->frame) ? error_memory(err, "a frame") : 0;
        if (!r) {
            w->frame->pts = clock;
            w->frame->flags &= ~(uint32_t)FRAME_KEY;
            w->frame->flags |= key ? FRAME_KEY : 0;
            r = scale(s, w, mask, scaled, err);
        }
    }
    frame_unref(&w->frame);
    /* The first frame ever is a key frame: all renditions have it. */
    if (!r && !st->colored)
        hand_out_params(s, scaled);
    for (int i = 0; i < s->params.renditions_count; i++) {
        if (!scaled[i])
            continue;
        struct work part = {.type = WORK_FRAME,
                            .frame = scaled[i],
                            .ticket = w->ticket,
                            .pts = w->pts,
                            .duration = w->duration};
        if (r)
            frame_unref(&scaled[i]);
        else
            r = give(s, i, &part);
    }
    return r;
}

static int handle(struct session *s, struct work *w, struct error *err)
{
    int r = 0;
    switch (w->type) {
    case WORK_FRAME:
        return scale_frame(s, w, err);
    case WORK_CLOSE:
        s->scale.ticket = NULL;
        r = flush_deferred(s);
        break;
    case WORK_DRAIN:
        break;
    }
    return r ? r : push_to_all(s, w->type, w->ticket);
}

void *scale_main(void *arg)
{
    struct session *s = arg;
    struct work work;
    while (!channel_pop(&s->pictures, -1, &work)) {
        struct error err = {0};
        int r = handle(s, &work, &err);
        if (r) {
            session_fail(s, r, &err);
            break;
        }
    }
    return NULL;
}

void scale_stage_done(struct session *s)
{
    struct scale_stage *st = &s->scale;
    for (int i = 0; i < RENDITIONS_MAX; i++)
        frame_unref(&st->deferred[i].frame);
    if (st->scaler)
        s->backend->scaler->close(st->scaler);
    *st = (struct scale_stage){0};
}
