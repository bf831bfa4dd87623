/* dispatch/dispatch.h, with nodes that say anything.
 *
 * The input is a list of steps: the source pushes, time passes, the job gives outputs, a node does
 * what it should with one message that it was sent, or a node says something that is read from the
 * input. What dispatch sends must be in order and within the window, whatever it was told, and what
 * it gives must be the film's segments, each once, in order. */
#include <string.h>

#include "dispatch/dispatch.h"
#include "fuzz.h"
#include "input.h"
#include "media/digest.h"

#define NODES_MAX 3
#define SLOTS_MAX 4 /* of a node that tells the truth */
#define SEGMENTS_MAX 64
#define FRAMES_MAX 4096 /* of the film */
#define SIZE 64         /* of all renditions */

struct lane {
    bool begun, told;
    uint32_t segment;
    int64_t frames; /* within the segment */
    uint64_t digest;
    int owed; /* credits for what it took */
};

struct node {
    struct link *link;
    struct lane lanes[JOB_SLOTS_MAX];
    bool believed; /* has said nothing of its own: its credits are known */
};

struct world {
    struct fuzz_input in;
    struct job *job;
    struct job_params params;
    struct node nodes[NODES_MAX];
    int nodes_count, slots;
    bool open, tailed, finished;
    uint32_t segments;
    int64_t pts, frames, total;
    uint64_t digest;
    uint32_t segments_out; /* given as done */
    bool over;
};

/* ---- node ---------------------------------------------------------------------------------- */

static void say(struct node *node, struct message *msg)
{
    if (link_send(node->link, msg, 0) != 0)
        message_done(msg);
}

static void say_block(struct node *node, struct message msg)
{
    FUZZ_CHECK(message_block(&msg) == 0);
    if (msg.type == MESSAGE_PICTURE)
        *msg.track = (struct track){.format = PIXEL_GRAY8, .width = 16, .height = 16};
    else if (msg.type == MESSAGE_HEADER)
        *msg.track = (struct track){.width = SIZE, .height = SIZE, .time_base = {1, 25}};
    say(node, &msg);
}

static struct packet result(uint32_t rendition, int64_t pts, size_t size)
{
    struct packet pkt = {.pts = pts, .rendition = rendition, .size = size};
    pkt.buf = buffer_copy("", 1); /* nobody looks at it */
    FUZZ_CHECK(pkt.buf);
    pkt.data = pkt.buf->data;
    return pkt;
}

static void add_node(struct world *w)
{
    struct link *near;
    if (w->nodes_count == NODES_MAX)
        return;
    struct node *node = &w->nodes[w->nodes_count];
    FUZZ_CHECK(link_memory_pair(&near, &node->link) == 0);
    FUZZ_CHECK(job_add_node(w->job, near, NULL) == 0);
    node->believed = true;
    w->nodes_count++;
    if (fuzz_byte(&w->in) & 1)
        return; /* it does not greet */
    say_block(node, (struct message){.type = MESSAGE_HELLO});
    say(node, &(struct message){.type = MESSAGE_JOB_ACK, .job = 1, .slots = w->slots});
}

static void give_frame(struct world *w, struct node *node, struct lane *lane, uint32_t slot,
                       int64_t pts)
{
    if (!lane->told)
        say_block(node, (struct message){.type = MESSAGE_PICTURE, .job = 1, .slot = slot});
    for (uint32_t r = 0; r < (uint32_t)w->params.renditions_count; r++) {
        struct message msg = {.job = 1, .slot = slot, .rendition = r};
        msg.type = MESSAGE_HEADER;
        if (!lane->told)
            say_block(node, msg);
        msg.type = MESSAGE_RESULT;
        msg.segment = lane->segment;
        msg.packet = result(r, pts, 100);
        say(node, &msg);
    }
    lane->told = true;
    lane->frames++;
    lane->digest = pts_digest_add(lane->digest, pts);
}

static void give_done(struct world *w, struct node *node, struct lane *lane, uint32_t slot)
{
    struct message msg = {
        .type = MESSAGE_SEGMENT_DONE, .job = 1, .slot = slot, .segment = lane->segment};
    FUZZ_CHECK(message_block(&msg) == 0);
    msg.done->frames = lane->frames;
    msg.done->pts_digest = lane->digest;
    for (int r = 0; r < w->params.renditions_count; r++)
        msg.done->packets[r] = lane->frames;
    say(node, &msg);
}

static void take_message(struct world *w, struct node *node, const struct message *msg)
{
    FUZZ_CHECK(msg->slot < JOB_SLOTS_MAX);
    struct lane *lane = &node->lanes[msg->slot];
    if (msg->type == MESSAGE_SLOT_RESET) {
        lane->begun = lane->told = false;
        return;
    }
    lane->owed++;
    FUZZ_CHECK(!node->believed || lane->owed <= job_window(&w->params));
    switch (msg->type) {
    case MESSAGE_SEGMENT_BEGIN:
        FUZZ_CHECK(!lane->begun);
        lane->begun = true;
        lane->segment = msg->segment;
        lane->frames = 0;
        lane->digest = 0;
        break;
    case MESSAGE_SEGMENT_PACKET:
        FUZZ_CHECK(lane->begun && !w->params.raw_input);
        give_frame(w, node, lane, msg->slot, msg->packet.pts);
        break;
    case MESSAGE_SEGMENT_FRAME:
        FUZZ_CHECK(lane->begun && w->params.raw_input && msg->frame);
        give_frame(w, node, lane, msg->slot, msg->frame->pts);
        break;
    case MESSAGE_SEGMENT_END:
        FUZZ_CHECK(lane->begun);
        lane->begun = false;
        give_done(w, node, lane, msg->slot);
        break;
    case MESSAGE_SEGMENT_TAIL:
        FUZZ_CHECK(lane->begun);
        break;
    case MESSAGE_PICTURE:
    case MESSAGE_SLOT_DRAIN:
        FUZZ_CHECK(!lane->begun);
        break;
    default:
        FUZZ_CHECK(false);
    }
}

static void give_credits(struct node *node)
{
    for (uint32_t k = 0; k < JOB_SLOTS_MAX; k++) {
        const int owed = node->lanes[k].owed;
        node->lanes[k].owed = 0;
        if (owed)
            say(node,
                &(struct message){.type = MESSAGE_CREDIT, .job = 1, .slot = k, .credits = owed});
    }
}

/* Keeps count of what is said to a lane that does not listen. */
static void lose_message(struct node *node, const struct message *msg)
{
    struct lane *lane = &node->lanes[msg->slot % JOB_SLOTS_MAX];
    node->believed = false;
    if (msg->type == MESSAGE_SEGMENT_BEGIN)
        lane->begun = true;
    else if (msg->type == MESSAGE_SEGMENT_END || msg->type == MESSAGE_SLOT_RESET)
        lane->begun = false;
}

/* The node takes some of what it was sent; `lost`: without a word. It may keep credits back. */
static void work(struct world *w, struct node *node, bool lost)
{
    struct message msg = {0};
    const uint8_t how = fuzz_byte(&w->in);
    for (int i = 1 + how % 64; i && link_receive(node->link, 0, &msg) == 0; i--) {
        if (lost)
            lose_message(node, &msg);
        else if (msg.type != MESSAGE_JOB_CREATE)
            take_message(w, node, &msg);
        message_done(&msg);
    }
    if (!lost && how < 192)
        give_credits(node);
}

static void babble(struct world *w, struct node *node)
{
    struct fuzz_input *in = &w->in;
    struct message msg = {.type = (enum message_type)(fuzz_byte(in) % 26), .job = 1};
    const uint8_t how = fuzz_byte(in);
    msg.slot = (uint32_t)fuzz_number(in);
    msg.segment = (uint32_t)fuzz_number(in);
    msg.rendition = msg.packet.rendition = how >> 6;
    if (how & 1)
        msg.job = fuzz_byte(in);
    if (!(how & 2) && message_block(&msg) != 0)
        return;
    node->believed = false;
    msg.credits = msg.slots = (int)fuzz_number(in);
    if (msg.type == MESSAGE_RESULT && !(how & 8))
        msg.packet = result(msg.rendition, 0, 0);
    msg.packet.pts = fuzz_number(in);
    msg.packet.duration = fuzz_number(in);
    msg.packet.size = (size_t)fuzz_number(in);
    if (msg.type == MESSAGE_SEGMENT_DONE && msg.done) {
        *msg.done = (struct segment_done){.frames = fuzz_number(in),
                                          .pts_digest = (uint64_t)fuzz_number(in),
                                          .corrupt_frames = fuzz_number(in),
                                          .failed_packets = fuzz_number(in)};
        msg.done->packets[0] = fuzz_number(in);
    } else if (msg.type == MESSAGE_PICTURE && msg.track) {
        *msg.track = (struct track){.format = (enum pixel_format)fuzz_number(in),
                                    .width = (int32_t)fuzz_number(in),
                                    .height = (int32_t)fuzz_number(in)};
    } else if (msg.type == MESSAGE_HEADER && msg.track) {
        *msg.track = (struct track){.width = how & 16 ? (int32_t)fuzz_number(in) : SIZE,
                                    .height = SIZE,
                                    .time_base = {how & 8 ? fuzz_byte(in) : 1, 25},
                                    .reorder_frames = fuzz_byte(in)};
        if (how & 4)
            msg.track->extradata = buffer_copy(&how, 1);
    } else if ((msg.type == MESSAGE_SLOT_FAILED || msg.type == MESSAGE_JOB_REJECT ||
                msg.type == MESSAGE_NOTE) &&
               msg.error) {
        msg.error->code = -(int)(fuzz_byte(in) % 20);
        memset(msg.error->text, 'x', how & 4 ? sizeof(msg.error->text) : how >> 4 & 3);
    }
    say(node, &msg);
}

/* ---- source -------------------------------------------------------------------------------- */

static void push(struct world *w)
{
    for (int i = 1 + fuzz_byte(&w->in) % 64; i && !w->finished && w->total < FRAMES_MAX; i--) {
        if (!job_accepts(w->job))
            return;
        if (!w->open && w->segments == SEGMENTS_MAX)
            return;
        if (!w->open) {
            w->frames = 0;
            w->digest = 0;
            w->tailed = false;
            w->open = true;
            job_begin(w->job, w->segments++, w->pts, (uint64_t)w->pts);
        }
        struct packet pkt = {.pts = w->pts, .size = (size_t)1000 << (fuzz_byte(&w->in) % 16)};
        struct frame *frame = w->params.raw_input ? frame_new(PIXEL_GRAY8, 16, 16) : NULL;
        if (frame) {
            frame->pts = w->pts;
            job_frame(w->job, &frame);
        } else {
            job_packet(w->job, &pkt);
        }
        w->digest = pts_digest_add(w->digest, w->pts++);
        w->frames++;
        w->total++;
    }
}

static void tail(struct world *w)
{
    if (!w->open || w->tailed)
        return;
    w->tailed = true;
    job_tail(w->job, w->pts);
}

static void end(struct world *w)
{
    if (!w->open)
        return;
    w->open = false;
    job_end(w->job, fuzz_byte(&w->in) % 8 ? w->frames : -1, w->digest);
}

static void finish(struct world *w)
{
    end(w);
    if (!w->finished)
        job_finish(w->job);
    w->finished = true;
}

/* ---- job ----------------------------------------------------------------------------------- */

static void take_outputs(struct world *w)
{
    struct job_output out = {0};
    struct error err = {0};
    int ret = 0;
    for (int i = 0; i < 4096 && !w->over && (ret = job_next(w->job, &out, &err)) == 0; i++) {
        if (out.type == JOB_PACKET)
            FUZZ_CHECK(out.segment == w->segments_out &&
                       out.packet.rendition < (uint32_t)w->params.renditions_count);
        if (out.type == JOB_SEGMENT_DONE) {
            FUZZ_CHECK(out.segment == w->segments_out++);
            FUZZ_CHECK(out.frames_missing >= 0 && out.frames_wrong >= 0);
        }
        if (out.type == JOB_ENDED) {
            FUZZ_CHECK(w->finished && w->segments_out == w->segments);
            w->over = true;
        }
        job_output_done(&out);
    }
    if (ret != 0 && ret != RGPU_ERROR_AGAIN) {
        FUZZ_CHECK(ret < 0 && ret != RGPU_ERROR_END && err.text[0]);
        w->over = true;
    }
    for (int r = 0; r < w->params.renditions_count; r++)
        FUZZ_CHECK(job_packets_received(w->job, r) >= 0 && job_bytes_received(w->job, r) >= 0);
}

static void step(struct world *w)
{
    const uint8_t op = fuzz_byte(&w->in);
    struct node *node = &w->nodes[op / 16 % w->nodes_count];
    switch (op % 16) {
    case 0:
        tail(w);
        break;
    case 1:
        end(w);
        break;
    case 2:
        finish(w);
        break;
    case 4:
        add_node(w);
        break;
    case 5:
        link_shutdown(node->link);
        break;
    case 6:
        work(w, node, true);
        break;
    case 7:
    case 8:
        babble(w, node);
        break;
    case 9:
    case 10:
        push(w);
        break;
    case 11:
    case 12:
        take_outputs(w);
        break;
    default:
        work(w, node, false);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = calloc(1, sizeof(*w));
    FUZZ_CHECK(w);
    w->in = (struct fuzz_input){data, size};
    const uint8_t how = fuzz_byte(&w->in);
    w->slots = 1 + fuzz_byte(&w->in) % SLOTS_MAX;
    w->params = (struct job_params){.renditions_count = 1 + (how & 1),
                                    .raw_input = how & 2,
                                    .streaming = how & 4,
                                    .timestamps_by_order = how & 8,
                                    .slots = how & 16 ? w->slots : 0,
                                    .source.time_base = {1, 25}};
    for (int r = 0; r < w->params.renditions_count; r++)
        w->params.renditions[r] =
            (struct rendition_params){.codec = "h264",
                                      .width = SIZE,
                                      .height = SIZE,
                                      .rate = how & 64 ? RATE_VBR : RATE_QUALITY,
                                      .bit_rate_bps = 10000};
    struct job_params params = w->params;
    FUZZ_CHECK(job_open(&w->job, &params, NULL) == 0);
    add_node(w);
    while (w->in.left && !w->over)
        step(w);
    job_close(&w->job);
    for (int i = 0; i < w->nodes_count; i++)
        link_close(&w->nodes[i].link);
    free(w);
    return 0;
}
