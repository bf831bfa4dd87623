#include "transcode/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/thread.h"
#include "transcode/stages.h"

/* ---- what the stages share ------------------------------------------------------------------ */

void session_fail(struct session *s, int code, const struct error *err)
{
    pthread_mutex_lock(&s->lock);
    if (!s->error.code) {
        s->error = *err;
        s->error.code = code;
        if (err->code != code || !err->text[0])
            error_set(&s->error, code, "%s", rgpu_error_text(code));
    }
    pthread_mutex_unlock(&s->lock);
    channel_close(&s->input);
    channel_close(&s->pictures);
    for (int i = 0; i < s->params.renditions_count; i++)
        channel_close(&s->encoders[i].work);
    channel_close(&s->output);
}

static int current_error(struct session *s, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    int code = s->error.code;
    if (code && err)
        *err = s->error;
    pthread_mutex_unlock(&s->lock);
    return code;
}

struct ticket *ticket_new(struct session *s)
{
    struct ticket *t = calloc(1, sizeof(*t));
    if (!t)
        return NULL;
    t->left = s->params.renditions_count;
    pthread_mutex_lock(&s->lock);
    t->next = s->tickets;
    s->tickets = t;
    pthread_mutex_unlock(&s->lock);
    return t;
}

static void unlink_locked(struct session *s, const struct ticket *ticket)
{
    struct ticket **at = &s->tickets;
    while (*at != ticket)
        at = &(*at)->next;
    *at = ticket->next;
}

int ticket_pass(struct session *s, struct ticket *ticket)
{
    pthread_mutex_lock(&s->lock);
    const bool last = --ticket->left == 0;
    if (last)
        unlink_locked(s, ticket);
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return 0;
    struct session_output out = {.type = ticket->drain ? SESSION_DRAINED : SESSION_SEGMENT_DONE,
                                 .segment = ticket->segment,
                                 .done = ticket->done};
    free(ticket);
    return channel_push(&s->output, &out);
}

int session_note(struct session *s, uint32_t segment, const char *text)
{
    struct session_output out = {.type = SESSION_NOTE, .segment = segment};
    snprintf(out.note, sizeof(out.note), "%s", text);
    return channel_push(&s->output, &out);
}

/* ---- opening -------------------------------------------------------------------------------- */

static int count_processors(const struct codec_backend *backend, int device, int wanted)
{
    if (wanted > 0)
        return wanted;
    struct device_info infos[16] = {0};
    int count = backend->devices(infos, 16);
    for (int i = 0; i < count && i < 16; i++)
        if (infos[i].index == device && infos[i].cores > 0)
            return infos[i].cores;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int)online : 1;
}

static int64_t nominal_duration(const struct track *source)
{
    const struct rational rate = source->frame_rate;
    if (rate.num <= 0 || rate.den <= 0)
        return 0;
    return rational_rescale(1, (struct rational){rate.den, rate.num}, source->time_base,
                            ROUND_NEAREST);
}

static int init_stages(struct session *s, struct error *err)
{
    const int64_t gop_us = s->params.intra_refresh ? INT64_MAX
                           : s->params.gop_us > 0  ? s->params.gop_us
                                                   : SESSION_GOP_US;
    const size_t input = s->params.raw_input ? SESSION_QUEUE_FRAMES : SESSION_INPUT_PACKETS;
    int r = channel_init(&s->input, input, sizeof(struct feed));
    if (!r)
        r = channel_init(&s->pictures, SESSION_QUEUE_FRAMES, sizeof(struct work));
    if (!r)
        r = channel_init(&s->output, SESSION_OUTPUT_ITEMS, sizeof(struct session_output));
    windows_init(&s->decode.windows);
    key_rule_init(&s->scale.key, s->params.source.time_base, gop_us);
    rate_cap_init(&s->scale.cap, s->params.source.time_base, s->params.source.frame_rate,
                  s->params.renditions, s->params.renditions_count);
    for (int i = 0; !r && i < s->params.renditions_count; i++) {
        struct encode_stage *e = &s->encoders[i];
        e->session = s;
        e->rendition = i;
        r = channel_init(&e->work, SESSION_QUEUE_FRAMES, sizeof(struct work));
        if (!r)
            r = flight_init(&e->flight);
    }
    return r ? error_memory(err, "a session's queues") : 0;
}

static int open_decoder(struct session *s, struct error *err)
{
    if (s->params.raw_input)
        return 0;
    const struct decoder_params params = {.track = &s->params.source,
                                          .device = s->params.device,
                                          .threads = s->params.threads,
                                          .low_latency = s->params.low_latency,
                                          .timestamps_by_order = s->params.timestamps_by_order,
                                          .no_fallback = s->params.no_fallback};
    return s->backend->decoder->open(&s->decode.decoder, &params, err);
}

static int start(pthread_t *thread, bool *running, void *(*main)(void *), void *arg,
                 struct error *err)
{
    int r = thread_start(thread, main, arg);
    if (r)
        return error_set(err, error_from_errno(r), "cannot start a thread: %s", strerror(r));
    *running = true;
    return 0;
}

static int start_threads(struct session *s, struct error *err)
{
    int r = start(&s->decode_thread, &s->decode_running, decode_main, s, err);
    if (!r)
        r = start(&s->scale_thread, &s->scale_running, scale_main, s, err);
    for (int i = 0; !r && i < s->params.renditions_count; i++) {
        struct encode_stage *e = &s->encoders[i];
        r = start(&e->thread, &e->running, encode_main, e, err);
    }
    return r;
}

int session_open(struct session **ret, const struct session_params *params, struct error *err)
{
    const struct codec_backend *backend = codec_backend(params->device_kind);
    if (!backend)
        return error_set(err, RGPU_ERROR_DEVICE, "this build cannot use %s devices",
                         params->device_kind == DEVICE_CPU ? "cpu" : "cuda");
    int r = plan_check(params, backend, err);
    if (r)
        return r;
    struct session *s = calloc(1, sizeof(*s));
    if (!s)
        return error_memory(err, "a session");
    s->params = *params;
    s->params.source = track_share(&params->source);
    s->params.picture.extradata = NULL;
    s->backend = backend;
    for (int i = 0; i < RENDITIONS_MAX; i++)
        s->permille[i] = 1000;
    s->processors = count_processors(backend, params->device, params->threads);
    s->nominal_duration = nominal_duration(&params->source);
    pthread_mutex_init(&s->lock, NULL);
    r = init_stages(s, err);
    if (!r)
        r = open_decoder(s, err);
    if (!r)
        r = start_threads(s, err);
    if (r) {
        session_close(&s);
        return r;
    }
    *ret = s;
    return 0;
}

/* ---- feeding -------------------------------------------------------------------------------- */

static void feed_done(struct feed *feed)
{
    packet_done(&feed->packet);
    frame_unref(&feed->frame);
}

/* Takes what the item owns. */
static int feed_item(struct session *s, struct feed *feed)
{
    if (!channel_push(&s->input, feed))
        return 0;
    feed_done(feed);
    return current_error(s, NULL);
}

/* A call out of order; after an error that counts more. */
static int refuse(struct session *s)
{
    int r = current_error(s, NULL);
    return r ? r : RGPU_ERROR_PARAM;
}

int session_begin(struct session *s, uint32_t segment, int64_t start_pts, uint64_t first_ordinal)
{
    if (s->begun)
        return refuse(s);
    s->begun = true;
    s->tailed = false;
    struct feed feed = {
        .type = FEED_BEGIN, .segment = segment, .pts = start_pts, .ordinal = first_ordinal};
    memcpy(feed.permille, s->permille, sizeof(feed.permille));
    feed.mark = s->mark;
    return feed_item(s, &feed);
}

void session_rates(struct session *s, const uint16_t *permille)
{
    memcpy(s->permille, permille, sizeof(s->permille));
}

void session_mark(struct session *s, const struct rate_mark *mark)
{
    s->mark = *mark;
}

int session_packet(struct session *s, struct packet *pkt)
{
    struct feed feed = {.type = FEED_PACKET, .packet = packet_move(pkt)};
    if (s->begun && !s->params.raw_input)
        return feed_item(s, &feed);
    feed_done(&feed);
    return refuse(s);
}

int session_frame(struct session *s, struct frame **frame)
{
    struct feed feed = {.type = FEED_FRAME, .frame = *frame};
    *frame = NULL;
    if (s->begun && s->params.raw_input)
        return feed_item(s, &feed);
    feed_done(&feed);
    return refuse(s);
}

int session_tail(struct session *s, int64_t end_pts)
{
    if (!s->begun || s->tailed)
        return refuse(s);
    s->tailed = true;
    return feed_item(
        s, &(struct feed){.type = FEED_TAIL, .pts = end_pts == PTS_NONE ? INT64_MAX : end_pts});
}

int session_end(struct session *s)
{
    if (!s->begun)
        return refuse(s);
    s->begun = false;
    return feed_item(s, &(struct feed){.type = FEED_END});
}

int session_drain(struct session *s)
{
    if (s->begun)
        return refuse(s);
    return feed_item(s, &(struct feed){.type = FEED_DRAIN});
}

/* ---- receiving ------------------------------------------------------------------------------ */

int session_receive(struct session *s, int timeout_ms, struct session_output *ret,
                    struct error *err)
{
    int r = current_error(s, err);
    if (r == RGPU_ERROR_CANCELLED)
        return r;
    r = channel_pop(&s->output, timeout_ms, ret);
    return r == RGPU_ERROR_END ? current_error(s, err) : r;
}

void session_output_done(struct session_output *out)
{
    packet_done(&out->packet);
    track_done(&out->track);
}

/* ---- closing -------------------------------------------------------------------------------- */

bool session_lacks_room(const struct session *s)
{
    return __atomic_load_n(&s->lacks_room, __ATOMIC_ACQUIRE) != 0;
}

void session_cancel(struct session *s)
{
    session_fail(s, RGPU_ERROR_CANCELLED, &(struct error){.code = RGPU_ERROR_CANCELLED});
}

static void empty_channels(struct session *s)
{
    struct feed feed;
    while (s->input.slots && !channel_pop(&s->input, 0, &feed))
        feed_done(&feed);
    struct work work;
    while (s->pictures.slots && !channel_pop(&s->pictures, 0, &work))
        frame_unref(&work.frame);
    for (int i = 0; i < s->params.renditions_count; i++)
        while (s->encoders[i].work.slots && !channel_pop(&s->encoders[i].work, 0, &work))
            frame_unref(&work.frame);
    struct session_output out;
    while (s->output.slots && !channel_pop(&s->output, 0, &out))
        session_output_done(&out);
}

void session_close(struct session **session)
{
    struct session *s = *session;
    *session = NULL;
    if (!s)
        return;
    session_cancel(s);
    if (s->decode_running)
        pthread_join(s->decode_thread, NULL);
    if (s->scale_running)
        pthread_join(s->scale_thread, NULL);
    for (int i = 0; i < s->params.renditions_count; i++)
        if (s->encoders[i].running)
            pthread_join(s->encoders[i].thread, NULL);
    empty_channels(s);
    decode_stage_done(s);
    scale_stage_done(s);
    for (int i = 0; i < s->params.renditions_count; i++) {
        encode_stage_done(&s->encoders[i]);
        channel_done(&s->encoders[i].work);
    }
    channel_done(&s->input);
    channel_done(&s->pictures);
    channel_done(&s->output);
    while (s->tickets) {
        struct ticket *next = s->tickets->next;
        free(s->tickets);
        s->tickets = next;
    }
    track_done(&s->params.source);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
