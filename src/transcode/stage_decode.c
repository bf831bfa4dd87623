/* First stage: packets to frames, each frame to its segment, interlaced ones through the filter. */
#include <string.h>

#include "transcode/own.h"
#include "transcode/stages.h"

static int push_work(struct session *s, const struct work *work)
{
    int r = channel_push(&s->pictures, work);
    if (r) {
        struct frame *frame = work->frame;
        frame_unref(&frame);
    }
    return r;
}

static int push_picture(struct session *s, struct frame *frame)
{
    struct work work = {.type = WORK_FRAME,
                        .frame = frame,
                        .ticket = windows_oldest(&s->decode.windows)->owner,
                        .pts = frame->pts,
                        .duration = frame->duration};
    return push_work(s, &work);
}

/* ---- filter --------------------------------------------------------------------------------- */

/* Passes on what the filter has ready: 0 when it wants more, END when it is drained. */
static int filter_receive(struct session *s, struct error *err)
{
    for (;;) {
        struct frame *frame = NULL;
        int r = s->backend->deinterlacer->receive(s->decode.filter, &frame, err);
        if (r == RGPU_ERROR_AGAIN)
            return 0;
        if (r)
            return r;
        r = push_picture(s, frame);
        if (r)
            return r;
    }
}

/* `frame` is borrowed; NULL drains. */
static int filter_send(struct session *s, struct frame *frame, struct error *err)
{
    for (;;) {
        int sent = s->backend->deinterlacer->send(s->decode.filter, frame, err);
        if (sent && sent != RGPU_ERROR_AGAIN)
            return sent;
        int r = filter_receive(s, err);
        if (!sent || r)
            return r;
    }
}

static int filter_finish(struct session *s, struct error *err)
{
    struct decode_stage *d = &s->decode;
    if (!d->filter)
        return 0;
    int r = filter_send(s, NULL, err);
    s->backend->deinterlacer->close(d->filter);
    d->filter = NULL;
    if (!r)
        return error_set(err, RGPU_ERROR_INTERNAL, "the deinterlacer does not drain");
    return r == RGPU_ERROR_END ? 0 : r;
}

/* The filter is open from a segment's first interlaced frame to its end, so that what a segment
 * becomes does not depend on the segments before it. Takes the frame. */
static int filter_frame(struct session *s, struct frame *frame, struct error *err)
{
    struct decode_stage *d = &s->decode;
    const struct filter_params params = {.device = s->params.device,
                                         .width = frame->width,
                                         .height = frame->height,
                                         .format = frame->format,
                                         .threads = s->params.threads};
    int r = 0;
    if (d->filter &&
        (params.width != d->filter_params.width || params.height != d->filter_params.height ||
         params.format != d->filter_params.format))
        r = filter_finish(s, err);
    if (!r && !d->filter) {
        r = s->backend->deinterlacer->open(&d->filter, &params, err);
        d->filter_params = params;
    }
    if (!r && !d->filter_note_given) {
        const struct ticket *ticket = windows_oldest(&d->windows)->owner;
        d->filter_note_given = true;
        r = session_note(s, ticket->segment,
                         "interlaced source is deinterlaced, one frame for each");
    }
    if (!r)
        r = filter_send(s, frame, err);
    frame_unref(&frame);
    if (r == RGPU_ERROR_END)
        return error_set(err, RGPU_ERROR_INTERNAL, "the deinterlacer ended without being drained");
    return r;
}

/* ---- windows -------------------------------------------------------------------------------- */

static int close_window(struct session *s, struct error *err)
{
    struct decode_stage *d = &s->decode;
    int r = filter_finish(s, err);
    if (r)
        return r;
    struct ticket *ticket = windows_oldest(&d->windows)->owner;
    if (d->decoder) {
        struct decoder_stats stats = {0};
        s->backend->decoder->stats(d->decoder, &stats);
        ticket->done.failed_packets = stats.failed_packets - d->failed_packets;
        d->failed_packets = stats.failed_packets;
    }
    windows_close(&d->windows);
    return push_work(s, &(struct work){.type = WORK_CLOSE, .ticket = ticket});
}

static int close_windows(struct session *s, struct error *err)
{
    int r = 0;
    while (!r && windows_oldest(&s->decode.windows))
        r = close_window(s, err);
    return r;
}

/* HDR10+ and Dolby Vision change from frame to frame and no encoder here carries them on. */
static int check_side(struct session *s, struct frame *frame, struct error *err)
{
    for (int i = 0; i < FRAME_SIDE_MAX; i++) {
        struct frame_side *side = &frame->side[i];
        if (side->type != SIDE_HDR10_PLUS && side->type != SIDE_DOVI_RPU)
            continue;
        if (!s->params.strip_dynamic_hdr)
            return error_set(err, RGPU_ERROR_INPUT,
                             "the source has %s metadata on its frames, which would be lost: give "
                             "--strip-dynamic-hdr to go on without it",
                             side->type == SIDE_DOVI_RPU ? "Dolby Vision" : "HDR10+");
        buffer_unref(&side->buf);
        side->type = SIDE_NONE;
    }
    return 0;
}

/* Passes on what the decoder has to say, once. */
static int give_note(struct session *s, const struct ticket *ticket, const struct frame *frame)
{
    struct decode_stage *d = &s->decode;
    if (!s->params.source.timecodes && !d->timecode_note_given &&
        frame_side_of(frame, SIDE_TIMECODE)) {
        d->timecode_note_given = true;
        const int r = session_note(s, ticket->segment,
                                   "the time codes on the source's pictures are left out: they are "
                                   "kept where a file's beginning has them, and whole ones");
        if (r)
            return r;
    }
    if (!d->decoder || d->note_given)
        return 0;
    struct decoder_stats stats = {0};
    s->backend->decoder->stats(d->decoder, &stats);
    d->note_given = stats.note[0] != 0;
    return d->note_given ? session_note(s, ticket->segment, stats.note) : 0;
}

/* The frame belongs to the oldest open window. Takes it. */
static int show(struct session *s, struct frame *frame, struct error *err)
{
    struct decode_stage *d = &s->decode;
    struct ticket *ticket = windows_oldest(&d->windows)->owner;
    /* Broken time stamps: what would be shown before its forerunner is left out, and so missed. */
    if (d->any_shown && frame->pts <= d->shown_pts) {
        const long long pts = frame->pts;
        frame_unref(&frame);
        return s->params.rising_times
                   ? error_set(err, RGPU_ERROR_INPUT,
                               "time stamps of the input repeat or go back near %lld", pts)
                   : 0;
    }
    d->any_shown = true;
    d->shown_pts = frame->pts;
    ticket->done.frames++;
    ticket->done.pts_digest = pts_digest_add(ticket->done.pts_digest, frame->pts);
    ticket->done.corrupt_frames += frame->flags & FRAME_CORRUPT ? 1 : 0;
    int r = give_note(s, ticket, frame);
    if (!r)
        r = check_side(s, frame, err);
    if (r) {
        frame_unref(&frame);
        return r;
    }
    bool filtered = s->params.deinterlace == DEINTERLACE_AUTO && s->backend->deinterlacer &&
                    (s->decode.filter || frame->flags & FRAME_INTERLACED);
    return filtered ? filter_frame(s, frame, err) : push_picture(s, frame);
}

/* Keeps a frame that lies behind the newest window. Takes it. */
static void hold(struct session *s, struct frame *frame)
{
    struct decode_stage *d = &s->decode;
    if (!d->decoder || d->flushing) {
        frame_unref(&frame);
    } else if (d->held_count == HELD_MAX) {
        frame_unref(&frame);
        d->held_overflow = true;
    } else {
        d->held[d->held_count++] = frame;
    }
}

/* Gives a frame to its window. Takes it. */
static int place(struct session *s, struct frame *frame, struct error *err)
{
    struct decode_stage *d = &s->decode;
    int r = 0;
    while (!r && windows_passed(&d->windows, frame->pts))
        r = close_window(s, err);
    if (r) {
        frame_unref(&frame);
        return r;
    }
    switch (windows_place(&d->windows, frame->pts)) {
    case WINDOW_SHOW:
        return show(s, frame, err);
    case WINDOW_HOLD:
        hold(s, frame);
        return 0;
    case WINDOW_DROP:
        break;
    }
    frame_unref(&frame);
    return 0;
}

/* Takes a frame fresh from the decoder or the feeder. */
static int take_frame(struct session *s, struct frame *frame, struct error *err)
{
    struct decode_stage *d = &s->decode;
    int r = frame_own(&frame);
    if (r) {
        frame_unref(&frame);
        return error_memory(err, "a frame");
    }
    if (frame->pts < -PTS_LIMIT || frame->pts > PTS_LIMIT) /* PTS_NONE, or nonsense */
        frame->pts = d->pts + d->duration;
    if (frame->duration < 0 || frame->duration > PTS_LIMIT)
        frame->duration = 0;
    d->pts = frame->pts;
    d->duration = frame->duration > 0 ? frame->duration : s->nominal_duration;
    if (d->pts > PTS_LIMIT - d->duration)
        d->duration = 0;
    return place(s, frame, err);
}

/* The window that the held frames waited for is open. Its end must be known unless a packet of it
 * is at hand that comes after them: until then they might lie behind it. */
static int release_held(struct session *s, struct error *err)
{
    struct decode_stage *d = &s->decode;
    if (!d->held_due)
        return 0;
    d->held_due = false;
    struct frame *held[HELD_MAX];
    const int count = d->held_count;
    memcpy(held, d->held, sizeof(held));
    d->held_count = 0;
    int r = 0;
    for (int i = 0; i < count; i++) {
        if (!r)
            r = place(s, held[i], err);
        else
            frame_unref(&held[i]);
    }
    return r;
}

static void drop_held(struct decode_stage *d)
{
    for (int i = 0; i < d->held_count; i++)
        frame_unref(&d->held[i]);
    d->held_count = 0;
    d->held_due = false;
    d->held_overflow = false;
}

/* ---- decoder -------------------------------------------------------------------------------- */

/* Takes what the decoder has ready: 0 when it wants more (`ret_count` frames came), END when it is
 * drained. */
static int decoder_receive(struct session *s, int *ret_count, struct error *err)
{
    *ret_count = 0;
    for (;;) {
        struct frame *frame = NULL;
        int r = s->backend->decoder->receive(s->decode.decoder, &frame, err);
        if (r == RGPU_ERROR_AGAIN)
            return 0;
        if (r)
            return r;
        r = take_frame(s, frame, err);
        if (r)
            return r;
        ++*ret_count;
    }
}

/* `pkt` NULL drains, which ends with END. */
static int decoder_send(struct session *s, const struct packet *pkt, struct error *err)
{
    for (;;) {
        int sent = s->backend->decoder->send(s->decode.decoder, pkt, err);
        if (sent && sent != RGPU_ERROR_AGAIN)
            return sent;
        int count = 0;
        int r = decoder_receive(s, &count, err);
        if (!sent || r)
            return r;
        if (!count)
            return error_set(err, RGPU_ERROR_INTERNAL,
                             "the %s decoder takes no packet and gives no frame",
                             s->params.source.codec);
    }
}

/* Brings out all that is inside, closes all windows and forgets the place in the source. */
static int flush(struct session *s, struct error *err)
{
    struct decode_stage *d = &s->decode;
    int r = release_held(s, err);
    if (!r && d->dirty) {
        d->flushing = true;
        r = decoder_send(s, NULL, err);
        d->flushing = false;
        if (!r)
            r = error_set(err, RGPU_ERROR_INTERNAL, "the %s decoder does not drain",
                          s->params.source.codec);
        if (r == RGPU_ERROR_END)
            r = 0;
        if (!r)
            s->backend->decoder->reset(d->decoder);
        d->dirty = false;
    }
    if (!r)
        r = close_windows(s, err);
    drop_held(d);
    d->any_fed = false;
    d->joined = false;
    return r;
}

static bool wants_reset(const struct session *s)
{
    struct decoder_stats stats = {0};
    if (s->decode.decoder)
        s->backend->decoder->stats(s->decode.decoder, &stats);
    return stats.wants_reset;
}

static bool continues(const struct session *s, const struct feed *feed)
{
    const struct decode_stage *d = &s->decode;
    if (!d->joined || d->windows.end == INT64_MAX || feed->pts != d->windows.end ||
        d->held_overflow || !windows_room(&d->windows) || wants_reset(s))
        return false;
    return !d->decoder || (d->any_fed && feed->ordinal <= d->last_ordinal + 1);
}

static int begin(struct session *s, const struct feed *feed, struct error *err)
{
    struct decode_stage *d = &s->decode;
    const bool follows = continues(s, feed);
    int r = follows ? 0 : flush(s, err);
    if (r)
        return r;
    struct ticket *ticket = ticket_new(s);
    if (!ticket)
        return error_memory(err, "a segment");
    ticket->segment = feed->segment;
    ticket->start_pts = feed->pts;
    ticket->follows = follows;
    memcpy(ticket->permille, feed->permille, sizeof(ticket->permille));
    ticket->mark = feed->mark;
    windows_begin(&d->windows, feed->pts, ticket);
    d->joined = true;
    d->held_due = follows;
    d->skipping = follows;
    d->skip_ordinal = d->last_ordinal;
    if (!follows) {
        d->any_shown = false;
        d->pts = feed->pts < -PTS_LIMIT || feed->pts > PTS_LIMIT ? 0 : feed->pts;
        d->duration = 0;
    }
    return 0;
}

static int decode_packet(struct session *s, const struct packet *pkt, struct error *err)
{
    struct decode_stage *d = &s->decode;
    if (d->skipping && pkt->ordinal <= d->skip_ordinal)
        return 0;
    int r = release_held(s, err);
    if (r)
        return r;
    if (!d->any_fed || pkt->ordinal > d->last_ordinal)
        d->last_ordinal = pkt->ordinal;
    d->any_fed = true;
    d->dirty = true;
    r = decoder_send(s, pkt, err);
    return r == RGPU_ERROR_END
               ? error_set(err, RGPU_ERROR_INTERNAL, "the %s decoder ended without being drained",
                           s->params.source.codec)
               : r;
}

static int drain(struct session *s, struct error *err)
{
    int r = flush(s, err);
    if (r)
        return r;
    struct ticket *ticket = ticket_new(s);
    if (!ticket)
        return error_memory(err, "a drain");
    ticket->drain = true;
    return push_work(s, &(struct work){.type = WORK_DRAIN, .ticket = ticket});
}

/* Takes what the feed item owns. */
static int handle(struct session *s, struct feed *feed, struct error *err)
{
    struct frame *frame = feed->frame;
    int r = 0;
    switch (feed->type) {
    case FEED_BEGIN:
        return begin(s, feed, err);
    case FEED_PACKET:
        r = decode_packet(s, &feed->packet, err);
        packet_done(&feed->packet);
        return r;
    case FEED_FRAME:
        return take_frame(s, frame, err);
    case FEED_TAIL:
        windows_tail(&s->decode.windows, feed->pts);
        return release_held(s, err);
    case FEED_END:
        r = release_held(s, err);
        /* Without a decoder nothing of the segment can still come. */
        return r || s->decode.decoder ? r : close_windows(s, err);
    case FEED_DRAIN:
        return drain(s, err);
    }
    return r;
}

void *decode_main(void *arg)
{
    struct session *s = arg;
    struct feed feed;
    while (!channel_pop(&s->input, -1, &feed)) {
        struct error err = {0};
        int r = handle(s, &feed, &err);
        if (r) {
            session_fail(s, r, &err);
            break;
        }
    }
    return NULL;
}

void decode_stage_done(struct session *s)
{
    struct decode_stage *d = &s->decode;
    drop_held(d);
    if (d->filter)
        s->backend->deinterlacer->close(d->filter);
    if (d->decoder)
        s->backend->decoder->close(d->decoder);
    *d = (struct decode_stage){0};
}
