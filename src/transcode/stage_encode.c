/* Last stage, one for each rendition: frames to packets, with the source's time put back. */
#include <stdio.h>
#include <string.h>

#include "transcode/stages.h"

/* Puts the rendition's name before an encoder's error. */
static int name_error(const struct encode_stage *e, int code, struct error *err)
{
    const struct error plain = *err;
    char number[16];
    const char *name = e->session->params.renditions[e->rendition].name;
    if (!plain.text[0])
        return code;
    snprintf(number, sizeof(number), "%d", e->rendition);
    return error_set(err, code, "rendition %s (%s %dx%d): %.400s", name[0] ? name : number,
                     e->params.codec, e->params.width, e->params.height, plain.text);
}

static int give_header(struct encode_stage *e, const struct ticket *ticket)
{
    struct session *s = e->session;
    const struct encoder_params *p = &e->params;
    struct encoder_header header = {0};
    s->backend->encoder->header(e->encoder, &header);
    struct session_output out = {
        .type = SESSION_HEADER,
        .segment = ticket->segment,
        .packet = {.pts = PTS_NONE, .dts = PTS_NONE, .rendition = (uint32_t)e->rendition},
        .track = {.extradata = header.extradata,
                  .width = p->width,
                  .height = p->height,
                  .codec_profile = header.codec_profile,
                  .codec_level = header.codec_level,
                  .format = p->format,
                  .time_base = p->time_base,
                  .frame_rate = p->frame_rate,
                  .sample_aspect = p->sample_aspect,
                  .color = p->color,
                  .hdr = p->hdr,
                  .reorder_frames = header.reorder_frames,
                  .field_order = p->field_order}};
    memcpy(out.track.codec, p->codec, sizeof(out.track.codec));
    e->header_given = true;
    e->header = buffer_ref(header.extradata);
    int r = channel_push(&s->output, &out);
    if (r)
        session_output_done(&out);
    return r || !header.note[0] ? r : session_note(s, ticket->segment, header.note);
}

/* An encoder that goes on where another stopped must go on with its headers. */
static int check_header(const struct encode_stage *e, struct error *err)
{
    struct encoder_header header = {0};
    e->session->backend->encoder->header(e->encoder, &header);
    const struct buffer *a = header.extradata, *b = e->header;
    const bool same =
        (!a && !b) || (a && b && a->size == b->size && !memcmp(a->data, b->data, a->size));
    buffer_unref(&header.extradata);
    if (same)
        return 0;
    error_set(err, RGPU_ERROR_DEVICE,
              "the encoder, opened anew, gives another header; --device cpu does without it");
    return name_error(e, RGPU_ERROR_DEVICE, err);
}

/* What the encoder is to aim at where a segment is allowed only so much of its bit rate. */
static int64_t target_bps(const struct encode_stage *e, int permille)
{
    return e->params.bit_rate_bps * permille / 1000;
}

static int open_encoder(struct encode_stage *e, const struct ticket *ticket, struct error *err)
{
    struct encoder_params params = e->params;
    e->permille = ticket->permille[e->rendition];
    params.bit_rate_bps = target_bps(e, e->permille);
    int r = e->session->backend->encoder->open(&e->encoder, &params, err);
    if (r == RGPU_ERROR_LIMIT)
        __atomic_store_n(&e->session->lacks_room, 1, __ATOMIC_RELEASE);
    if (r)
        return name_error(e, r, err);
    return e->header_given ? check_header(e, err) : give_header(e, ticket);
}

/* The ticket may be gone afterwards. */
static int pass_if_complete(struct encode_stage *e, struct ticket *t)
{
    const int i = e->rendition;
    if (!t->closed[i] || t->done.packets[i] < t->sent[i])
        return 0;
    return ticket_pass(e->session, t);
}

/* Gives an encoder's packet to the receiver. Takes it. */
static int give_packet(struct encode_stage *e, struct packet *pkt, struct error *err)
{
    struct flight_entry entry = {0};
    int r = flight_land(&e->flight, pkt->pts, &entry);
    if (r)
        r = error_set(err, RGPU_ERROR_INTERNAL,
                      "the encoder gave a packet for a frame that it was not given");
    else if (entry.key && !(pkt->flags & PACKET_KEY))
        r = error_set(err, RGPU_ERROR_INTERNAL, "the encoder made no key frame where it was asked");
    if (r) {
        packet_done(pkt);
        return name_error(e, r, err);
    }
    struct ticket *ticket = entry.owner;
    struct session_output out = {
        .type = SESSION_PACKET, .segment = ticket->segment, .packet = packet_move(pkt)};
    out.packet.pts = entry.pts;
    out.packet.dts = PTS_NONE;
    /* Times that are that far apart are possible, but no duration. */
    out.packet.duration = entry.duration <= PTS_LIMIT ? entry.duration : 0;
    out.packet.rendition = (uint32_t)e->rendition;
    out.packet.ordinal = (uint64_t)ticket->done.packets[e->rendition]++;
    r = channel_push(&e->session->output, &out);
    if (r) {
        session_output_done(&out);
        return r;
    }
    return pass_if_complete(e, ticket);
}

/* Takes what the encoder has ready: 0 when it wants more (`ret_count` packets came), END when it is
 * drained. */
static int encoder_receive(struct encode_stage *e, int *ret_count, struct error *err)
{
    *ret_count = 0;
    for (;;) {
        struct packet pkt = {0};
        int r = e->session->backend->encoder->receive(e->encoder, &pkt, err);
        if (r == RGPU_ERROR_AGAIN)
            return 0;
        if (r)
            return r == RGPU_ERROR_END ? r : name_error(e, r, err);
        r = give_packet(e, &pkt, err);
        if (r)
            return r;
        ++*ret_count;
    }
}

/* `frame` is borrowed; NULL drains, which ends with END. */
static int encoder_send(struct encode_stage *e, struct frame *frame, struct error *err)
{
    for (;;) {
        int sent = e->session->backend->encoder->send(e->encoder, frame, err);
        if (sent && sent != RGPU_ERROR_AGAIN)
            return name_error(e, sent, err);
        int count = 0;
        int r = encoder_receive(e, &count, err);
        if (!sent || r)
            return r;
        if (!count) {
            error_set(err, RGPU_ERROR_INTERNAL, "the encoder takes no frame and gives no packet");
            return name_error(e, RGPU_ERROR_INTERNAL, err);
        }
    }
}

/* Brings out all that the encoder holds, and closes it. */
static int close_encoder(struct encode_stage *e, struct error *err)
{
    if (!e->encoder)
        return 0;
    int r = encoder_send(e, NULL, err);
    if (r != RGPU_ERROR_END) {
        if (!r) {
            error_set(err, RGPU_ERROR_INTERNAL, "the encoder does not drain");
            r = name_error(e, RGPU_ERROR_INTERNAL, err);
        }
        return r;
    }
    if (!flight_empty(&e->flight)) {
        error_set(err, RGPU_ERROR_INTERNAL, "the encoder lost frames");
        return name_error(e, RGPU_ERROR_INTERNAL, err);
    }
    e->session->backend->encoder->close(e->encoder);
    e->encoder = NULL;
    return 0;
}

/* Gives a running encoder the target of another segment; one that cannot is opened anew. */
static int change_rate(struct encode_stage *e, int permille, struct error *err)
{
    const struct encoder_ops *ops = e->session->backend->encoder;
    struct error why = {0};
    int r = ops->rate ? ops->rate(e->encoder, target_bps(e, permille), e->params.bit_rate_max_bps,
                                  e->params.vbv_bits, &why)
                      : RGPU_ERROR_UNSUPPORTED;
    if (r == RGPU_ERROR_UNSUPPORTED)
        return close_encoder(e, err);
    if (r) {
        error_set(err, r, "%s", why.text);
        return name_error(e, r, err);
    }
    e->permille = permille;
    return 0;
}

/* Takes the work's frame. */
static int encode_frame(struct encode_stage *e, struct work *w, struct error *err)
{
    const int permille = w->ticket->permille[e->rendition];
    int r = 0;
    if (e->encoder && e->permille != permille)
        r = change_rate(e, permille, err);
    if (!r && !e->encoder)
        r = open_encoder(e, w->ticket, err);
    if (!r && flight_add(&e->flight, (struct flight_entry){.clock = w->frame->pts,
                                                           .pts = w->pts,
                                                           .duration = w->duration,
                                                           .owner = w->ticket,
                                                           .key = w->frame->flags & FRAME_KEY})) {
        error_set(err, RGPU_ERROR_LIMIT, "the encoder holds back more than %d frames", FLIGHT_MAX);
        r = name_error(e, RGPU_ERROR_LIMIT, err);
    }
    if (!r) {
        w->ticket->sent[e->rendition]++;
        r = encoder_send(e, w->frame, err);
    }
    frame_unref(&w->frame);
    if (r == RGPU_ERROR_END) {
        error_set(err, RGPU_ERROR_INTERNAL, "the encoder ended without being drained");
        r = name_error(e, RGPU_ERROR_INTERNAL, err);
    }
    return r;
}

static int drain(struct encode_stage *e, struct ticket *ticket, struct error *err)
{
    int r = close_encoder(e, err);
    return r ? r : ticket_pass(e->session, ticket);
}

static int handle(struct encode_stage *e, struct work *w, struct error *err)
{
    switch (w->type) {
    case WORK_FRAME:
        return encode_frame(e, w, err);
    case WORK_CLOSE:
        w->ticket->closed[e->rendition] = true;
        return pass_if_complete(e, w->ticket);
    case WORK_DRAIN:
        return drain(e, w->ticket, err);
    }
    return 0;
}

void *encode_main(void *arg)
{
    struct encode_stage *e = arg;
    struct work work;
    while (!channel_pop(&e->work, -1, &work)) {
        struct error err = {0};
        int r = handle(e, &work, &err);
        if (r) {
            session_fail(e->session, r, &err);
            break;
        }
    }
    return NULL;
}

void encode_stage_done(struct encode_stage *e)
{
    if (e->encoder)
        e->session->backend->encoder->close(e->encoder);
    flight_done(&e->flight);
    buffer_unref(&e->header);
    e->encoder = NULL;
}
