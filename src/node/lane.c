#include "node/lane.h"

#include "base/clock.h"
#include "base/thread.h"

static struct message address(const struct lane *lane, enum message_type type)
{
    return (struct message){.type = type, .job = lane->job, .slot = lane->slot};
}

/* Gives the message its block. Out of memory here takes the link down, because the peer must not
 * wait for ever for what cannot be said. */
static bool with_block(struct lane *lane, struct message *msg)
{
    if (message_block(msg) == 0)
        return true;
    link_shutdown(lane->link);
    return false;
}

/* Sends, waiting for room; a link that is down drops the message. */
static void send_message(struct lane *lane, struct message *msg)
{
    link_send(lane->link, msg, -1);
    message_done(msg);
}

static void send_failure(struct lane *lane, const struct error *err, bool lacks_room)
{
    struct message msg = address(lane, MESSAGE_SLOT_FAILED);
    msg.lacks_room = lacks_room;
    if (!with_block(lane, &msg))
        return;
    *msg.error = *err;
    send_message(lane, &msg);
}

/* ---- sender -------------------------------------------------------------------------------- */

static void send_output(struct lane *lane, struct session_output *out)
{
    struct message msg = {0};
    switch (out->type) {
    case SESSION_PICTURE:
    case SESSION_HEADER:
        msg = address(lane, out->type == SESSION_HEADER ? MESSAGE_HEADER : MESSAGE_PICTURE);
        msg.rendition = out->packet.rendition;
        if (!with_block(lane, &msg))
            return;
        *msg.track = out->track;
        out->track = (struct track){0};
        break;
    case SESSION_PACKET:
        msg = address(lane, MESSAGE_RESULT);
        msg.segment = out->segment;
        msg.packet = packet_move(&out->packet);
        break;
    case SESSION_SEGMENT_DONE:
        msg = address(lane, MESSAGE_SEGMENT_DONE);
        msg.segment = out->segment;
        if (!with_block(lane, &msg))
            return;
        *msg.done = out->done;
        break;
    case SESSION_NOTE:
        msg = address(lane, MESSAGE_NOTE);
        if (!with_block(lane, &msg))
            return;
        error_set(msg.error, 0, "%s", out->note);
        break;
    case SESSION_DRAINED:
        return;
    }
    send_message(lane, &msg);
}

/* Whether the drain that is complete now is the one the lane ends with. */
static bool was_last_drain(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->drains_pending--;
    bool last = lane->finishing && lane->drains_pending == 0;
    pthread_mutex_unlock(&lane->lock);
    return last;
}

/* Carries outputs until the session ends; a failure is said behind it, so that all results that
 * were right come before. */
static void *sender_main(void *opaque)
{
    struct lane *lane = opaque;
    struct session_output out = {0};
    struct error err = {0};
    bool last = false;
    int ret = 0;
    while (!last && (ret = session_receive(lane->session, -1, &out, &err)) == 0) {
        send_output(lane, &out);
        last = out.type == SESSION_DRAINED && was_last_drain(lane);
        session_output_done(&out);
    }
    if (ret != 0 && ret != RGPU_ERROR_CANCELLED) {
        err.code = ret;
        pthread_mutex_lock(&lane->lock);
        lane->failure = err;
        lane->lacks_room = ret == RGPU_ERROR_LIMIT && session_lacks_room(lane->session);
        lane->failure_due = true;
        pthread_cond_signal(&lane->changed);
        pthread_mutex_unlock(&lane->lock);
    }
    return NULL;
}

/* ---- feeder -------------------------------------------------------------------------------- */

static void close_session(struct lane *lane)
{
    if (lane->sender_started)
        pthread_join(lane->sender, NULL);
    lane->sender_started = false;
    pthread_mutex_lock(&lane->lock);
    struct session *session = lane->session;
    lane->session = NULL;
    lane->drains_pending = 0;
    pthread_mutex_unlock(&lane->lock);
    session_close(&session);
}

static int open_session(struct lane *lane)
{
    struct error err = {0};
    struct session *session = NULL;
    struct session_params params = *lane->session_params;
    params.picture = lane->picture;
    params.joined = params.joined && !lane->alone;
    int ret = session_open(&session, &params, &err);
    pthread_mutex_lock(&lane->lock);
    lane->session = session;
    if (session && lane->cancelled)
        session_cancel(session);
    pthread_mutex_unlock(&lane->lock);
    if (ret == 0 && thread_start(&lane->sender, sender_main, lane) != 0)
        ret = error_set(&err, RGPU_ERROR_MEMORY, "cannot start a thread for the lane");
    else if (ret == 0)
        lane->sender_started = true;
    if (ret != 0) {
        close_session(lane);
        err.code = ret;
        send_failure(lane, &err, false);
    }
    return ret;
}

static int drain(struct lane *lane, bool finishing)
{
    pthread_mutex_lock(&lane->lock);
    lane->drains_pending++;
    lane->finishing = finishing;
    pthread_mutex_unlock(&lane->lock);
    return session_drain(lane->session);
}

static void return_credit(struct lane *lane)
{
    /* In bundles: a message a packet would double the traffic. */
    if (++lane->credits < JOB_CREDIT_BUNDLE)
        return;
    struct message msg = address(lane, MESSAGE_CREDIT);
    msg.credits = lane->credits;
    lane->credits = 0;
    send_message(lane, &msg);
}

/* Feeds one message to the session. The session's own failure is told by the sender; here it only
 * means that what follows is dropped. */
static int feed(struct lane *lane, struct message *msg)
{
    switch (msg->type) {
    case MESSAGE_SEGMENT_BEGIN:
        if (!lane->session && open_session(lane) != 0)
            return RGPU_ERROR_NODE;
        session_rates(lane->session, msg->permille);
        session_mark(lane->session, &msg->mark);
        return session_begin(lane->session, msg->segment, msg->pts, msg->ordinal);
    case MESSAGE_SEGMENT_PACKET:
        return session_packet(lane->session, &msg->packet);
    case MESSAGE_SEGMENT_FRAME:
        return session_frame(lane->session, &msg->frame);
    case MESSAGE_SEGMENT_TAIL:
        return session_tail(lane->session, msg->pts);
    case MESSAGE_SEGMENT_END:
        return session_end(lane->session);
    case MESSAGE_SLOT_DRAIN:
        return drain(lane, false);
    default:
        return 0;
    }
}

/* Whether a message may follow on those before it. The session would refuse it too, but without
 * failing: nobody would ever hear of it. */
static bool in_order(struct lane *lane, const struct message *msg)
{
    const bool raw = lane->session_params->raw_input;
    const bool begun = lane->begun, tailed = lane->tailed;
    switch (msg->type) {
    case MESSAGE_SEGMENT_BEGIN:
        lane->begun = true;
        lane->tailed = false;
        return !begun;
    case MESSAGE_SEGMENT_PACKET:
        return begun && !raw;
    case MESSAGE_SEGMENT_FRAME:
        return begun && raw && msg->frame;
    case MESSAGE_SEGMENT_TAIL:
        lane->tailed = true;
        return begun && !tailed;
    case MESSAGE_SEGMENT_END:
        lane->begun = false;
        return begun;
    case MESSAGE_PICTURE:
    case MESSAGE_SLOT_DRAIN:
        return !begun;
    default:
        return false;
    }
}

/* What the slot was given is meant anew: a session that has not failed is stopped, too. */
static void reset(struct lane *lane)
{
    if (lane->session)
        session_cancel(lane->session);
    close_session(lane);
    lane->failed = lane->begun = false;
    pthread_mutex_lock(&lane->lock);
    lane->failure_due = false; /* it was of what is gone */
    pthread_mutex_unlock(&lane->lock);
}

static void handle(struct lane *lane, struct message *msg)
{
    if (msg->type == MESSAGE_SLOT_RESET) {
        reset(lane);
        lane->alone = msg->alone;
        message_done(msg);
        return;
    }
    if (!in_order(lane, msg)) {
        link_shutdown(lane->link); /* a broken peer */
        lane->failed = true;
    } else if (msg->type == MESSAGE_PICTURE) {
        lane->picture = *msg->track; /* also in a lane that drops all: it is for sessions to come */
        lane->picture.extradata = NULL;
    } else if (!lane->failed && (lane->session || msg->type == MESSAGE_SEGMENT_BEGIN)) {
        lane->failed = feed(lane, msg) != 0;
    }
    message_done(msg);
    return_credit(lane);
}

/* Tells of a session that has failed, when there is nothing left of it: another lane may be waiting
 * for an encoder that it had. */
static void tell_failure(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    const bool due = lane->failure_due;
    lane->failure_due = false;
    pthread_mutex_unlock(&lane->lock);
    if (!due)
        return;
    close_session(lane);
    lane->failed = true;
    send_failure(lane, &lane->failure, lane->lacks_room);
}

/* False: there are no more. `ret` is left without a type where there is a failure to tell first. */
static bool next_message(struct lane *lane, struct message *ret)
{
    pthread_mutex_lock(&lane->lock);
    while (!lane->count && !lane->closed && !lane->cancelled && !lane->failure_due)
        pthread_cond_wait(&lane->changed, &lane->lock);
    const bool more = !lane->cancelled && (lane->count || lane->failure_due);
    *ret = (struct message){0};
    if (more && !lane->failure_due) {
        *ret = lane->inbox[lane->head];
        lane->inbox[lane->head] = (struct message){0};
        lane->head = (lane->head + 1) % LANE_INBOX_MESSAGES;
        lane->count--;
    }
    pthread_mutex_unlock(&lane->lock);
    return more;
}

static void *feeder_main(void *opaque)
{
    struct lane *lane = opaque;
    struct message msg;
    while (next_message(lane, &msg)) {
        tell_failure(lane);
        if (msg.type)
            handle(lane, &msg);
    }
    /* Without a last drain the session has failed already, or a broken peer left it half-way. */
    if (lane->session && (lane->failed || lane->begun))
        session_cancel(lane->session);
    else if (lane->session)
        drain(lane, true);
    close_session(lane);
    tell_failure(lane);
    lane->ended(lane->ended_opaque);
    return NULL;
}

/* ---- node's thread ------------------------------------------------------------------------- */

int lane_start(struct lane *lane, void (*ended)(void *opaque), void *opaque)
{
    lane->ended = ended;
    lane->ended_opaque = opaque;
    pthread_mutex_init(&lane->lock, NULL);
    clock_cond_init(&lane->changed);
    if (thread_start(&lane->feeder, feeder_main, lane) != 0) {
        pthread_cond_destroy(&lane->changed);
        pthread_mutex_destroy(&lane->lock);
        return RGPU_ERROR_MEMORY;
    }
    lane->feeder_started = true;
    return 0;
}

int lane_deliver(struct lane *lane, struct message *msg)
{
    int ret = RGPU_ERROR_LIMIT;
    pthread_mutex_lock(&lane->lock);
    if (lane->count < LANE_INBOX_MESSAGES) {
        lane->inbox[(lane->head + lane->count) % LANE_INBOX_MESSAGES] = *msg;
        *msg = (struct message){0};
        lane->count++;
        pthread_cond_signal(&lane->changed);
        ret = 0;
    }
    pthread_mutex_unlock(&lane->lock);
    return ret;
}

void lane_finish(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->closed = true;
    pthread_cond_signal(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
}

void lane_cancel(struct lane *lane)
{
    pthread_mutex_lock(&lane->lock);
    lane->cancelled = true;
    if (lane->session)
        session_cancel(lane->session);
    pthread_cond_signal(&lane->changed);
    pthread_mutex_unlock(&lane->lock);
}

void lane_join(struct lane *lane)
{
    if (!lane->feeder_started)
        return;
    pthread_join(lane->feeder, NULL);
    for (; lane->count; lane->count--) {
        message_done(&lane->inbox[lane->head]);
        lane->head = (lane->head + 1) % LANE_INBOX_MESSAGES;
    }
    pthread_cond_destroy(&lane->changed);
    pthread_mutex_destroy(&lane->lock);
    lane->feeder_started = false;
}
