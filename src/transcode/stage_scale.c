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

/* Says to the others of the job what the encoders are opened for. */
static int give_picture(struct session *s, const struct ticket *ticket)
{
    struct session_output out = {
        .type = SESSION_PICTURE, .segment = ticket->segment, .track = s->scale.picture};
    return channel_push(&s->output, &out);
}

static int make_plan(struct session *s, const struct work *w, struct error *err)
{
    struct scale_stage *st = &s->scale;
    const bool told = s->params.picture.format != PIXEL_NONE;
    st->picture = told ? s->params.picture : picture_of(&s->params.source, w->frame);
    int r = plan_encoders(&st->plan, &s->params, s->backend, &st->picture, s->processors, err);
    if (!r && !told)
        r = give_picture(s, w->ticket);
    for (int i = 0; !r && i < st->plan.notes_count; i++)
        r = session_note(s, w->ticket->segment, st->plan.notes[i]);
    /* The encoders wait for their first frame. */
    for (int i = 0; i < s->params.renditions_count; i++)
        s->encoders[i].params = st->plan.encoders[i];
    st->planned = !r;
    return r;
}

static int note_changes(struct session *s, const struct ticket *ticket, uint32_t changes)
{
    struct scale_stage *st = &s->scale;
    int r = 0;
    for (int i = 0; i < PICTURE_CHANGES && !r; i++)
        if ((changes & ~st->changes_noted) >> i & 1)
            r = session_note(s, ticket->segment, picture_note((enum picture_change)(1 << i)));
    st->changes_noted |= changes;
    return r;
}

/* Opens the scaler for frames like this one, unless it is open for such. */
static int prepare_scaler(struct session *s, const struct work *w, struct error *err)
{
    struct scale_stage *st = &s->scale;
    struct scaler_params p = plan_scaler(&st->plan, &s->params, st->interlaced);
    const uint32_t changes = picture_fit(&st->picture, w->frame, &p);
    const int r = note_changes(s, w->ticket, changes);
    if (r || (st->scaler && picture_same_fit(&p, &st->params)))
        return r;
    if (st->scaler)
        s->backend->scaler->close(st->scaler);
    st->scaler = NULL;
    st->params = p;
    return s->backend->scaler->open(&st->scaler, &p, err);
}

/* ---- frames --------------------------------------------------------------------------------- */

/* Hands a scaled frame to its encoder. Where frames are dropped, each waits for the next kept one
 * to learn its duration; in low latency it gets its rate's instead. Takes the frame. */
static int give(struct session *s, int rendition, const struct work *work)
{
    struct scale_stage *st = &s->scale;
    if (!st->cap.divisors[rendition])
        return push_work(s, rendition, work);
    if (st->plan.encoders[rendition].low_latency) {
        struct work timed = *work;
        const struct rational rate = st->cap.rates[rendition];
        timed.duration = rational_rescale(1, (struct rational){rate.den, rate.num},
                                          s->params.source.time_base, ROUND_NEAREST);
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
        r = prepare_scaler(s, w, err);
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
        st->mark = w->ticket->mark;
        st->interlaced = false;
    }
    if (w->duration <= 0)
        w->duration = s->nominal_duration;
    /* Who feeds frames may ask for more key frames than the rule makes. */
    const bool asked = s->params.raw_input && w->frame->flags & FRAME_KEY;
    /* Each rendition's segment begins with its first frame. */
    const uint32_t all = rate_cap_all(&st->cap), kept = rate_cap_next(&st->cap, &st->mark, w->pts);
    const uint32_t mask = first ? all : kept;
    const bool key = key_rule_next(&st->key, w->pts, mask == all, asked);
    const int64_t clock =
        gapless_clock_next(&st->clock, w->pts, w->duration, !first || w->ticket->follows);
    st->end_pts = w->pts + w->duration;
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
