/* node/node.h, with a dispatch that says anything. The codecs are the stand-in of the transcode
 * tests, which ends the program where a session drives them wrongly.
 *
 * A node must answer every job that it took, or hang up; afterwards nothing of it may be left. */
#include <string.h>

#include "../tests/unit/transcode/fake.h"
#include "fuzz.h"
#include "input.h"
#include "node/node.h"

#define JOBS_MAX 4
#define WAIT_MS 60000
#define BARRIER 1000 /* number of a job that is refused */

struct world {
    struct fuzz_input in;
    struct link *link;
    bool raw[JOBS_MAX];
    uint64_t ordinal;
    int running; /* jobs that were taken and have not ended */
    bool down, passed;
};

static void take_one(struct world *w, struct message *msg)
{
    w->running += msg->type == MESSAGE_JOB_ACK;
    w->running -= msg->type == MESSAGE_JOB_FINISHED;
    w->passed |= msg->type == MESSAGE_JOB_REJECT && msg->job == BARRIER;
    FUZZ_CHECK(w->running >= 0);
    FUZZ_CHECK(message_whole(msg));
    message_done(msg);
}

/* Waits for room only while taking what the node has to say, or both would wait. */
static void say(struct world *w, struct message *msg)
{
    struct message in = {0};
    int ret;
    while ((ret = link_send(w->link, msg, 0)) == RGPU_ERROR_AGAIN)
        if (link_receive(w->link, WAIT_MS, &in) == 0)
            take_one(w, &in);
    w->down |= ret != 0;
    message_done(msg);
    while (link_receive(w->link, 0, &in) == 0)
        take_one(w, &in);
}

static void create(struct world *w, uint32_t id)
{
    static const char *const codecs[] = {"h264", "hevc", "theora"};
    struct fuzz_input *in = &w->in;
    struct message msg = {.type = MESSAGE_JOB_CREATE, .job = id};
    const uint8_t how = fuzz_byte(in);
    FUZZ_CHECK(message_block(&msg) == 0);
    struct job_params *job = msg.job_params;
    w->raw[id % JOBS_MAX] = how & 1;
    *job = (struct job_params){
        .source = {.codec = "fake", .width = 64, .height = 32, .time_base = {1, 25}},
        .renditions_count = 1 + (how >> 1 & 1),
        .raw_input = how & 1,
        .deinterlace = how & 4 ? DEINTERLACE_AUTO : DEINTERLACE_OFF,
        .timestamps_by_order = how & 8,
        .low_latency = how & 16,
        .slots = 1 + (how >> 5 & 1),
        .threads = 1};
    if (how & 64) { /* anything */
        job->renditions_count = (int)fuzz_number(in);
        job->source.time_base.den = (int32_t)fuzz_number(in);
        job->source.width = (int32_t)fuzz_number(in);
        job->gop_us = fuzz_number(in);
        job->threads = (int)fuzz_number(in);
        job->slots = (int)(fuzz_byte(in) % 8) - 2;
        job->source.frame_rate =
            (struct rational){(int32_t)fuzz_number(in), (int32_t)fuzz_number(in)};
    }
    for (int i = 0; i < RENDITIONS_MAX; i++) {
        struct rendition_params *r = &job->renditions[i];
        *r = (struct rendition_params){.width = 64 >> i % 2, .height = 32 >> i % 2, .bframes = -1};
        strcpy(r->codec, codecs[how & 128 ? fuzz_byte(in) % 3 : 0]);
        if (how & 128 && fuzz_byte(in) & 1) {
            r->rate = RATE_VBR;
            r->bit_rate_bps = fuzz_number(in);
            r->bit_rate_max_bps = fuzz_number(in);
            r->vbv_bits = fuzz_number(in);
            r->frame_rate_max = (struct rational){(int32_t)fuzz_number(in), fuzz_byte(in)};
        }
    }
    say(w, &msg);
}

static struct fake_source source(struct fuzz_input *in)
{
    const uint8_t how = fuzz_byte(in);
    struct fake_source s = {
        .pts = fuzz_number(in),
        .duration = how & 1,
        .flags = how & 2 ? FRAME_INTERLACED : 0,
        .rap = true,
        .refused = (how & 12) == 12,
        .no_pts = (how & 48) == 48,
    };
    if ((how & 192) == 192)
        s.width = s.height = 2 + 2 * (fuzz_byte(in) % 40);
    return s;
}

static void babble(struct world *w, enum message_type type)
{
    struct fuzz_input *in = &w->in;
    const uint8_t where = fuzz_byte(in);
    struct message msg = {.type = type, .job = where % JOBS_MAX, .slot = where / JOBS_MAX % 2};
    if (where & 128)
        msg.slot = (uint32_t)fuzz_number(in);
    if (!(where & 64) && type != MESSAGE_JOB_CREATE && message_block(&msg) != 0)
        return;
    msg.segment = fuzz_byte(in);
    if (type == MESSAGE_SEGMENT_BEGIN || type == MESSAGE_SEGMENT_TAIL) {
        msg.pts = fuzz_number(in);
        msg.ordinal = fuzz_byte(in);
        for (int i = 0; i < RENDITIONS_MAX; i++)
            msg.permille[i] = (uint16_t)(where & 32 ? 250 * (fuzz_byte(in) % 5) : 1000);
        if (where & 32)
            msg.mark = (struct rate_mark){
                .begun = true, .number = fuzz_number(in), .due = {fuzz_number(in), fuzz_byte(in)}};
    } else if (type == MESSAGE_SEGMENT_PACKET || type == MESSAGE_SEGMENT_FRAME) {
        const struct fake_source s = source(in);
        if (type == MESSAGE_SEGMENT_FRAME)
            msg.frame = fake_frame(&s);
        else
            msg.packet = fake_packet(&s, w->ordinal++);
    } else if (type == MESSAGE_PICTURE && msg.track) {
        *msg.track = (struct track){.codec = "fake",
                                    .format = (enum pixel_format)(fuzz_byte(in) % 4),
                                    .width = (int32_t)fuzz_number(in),
                                    .height = (int32_t)fuzz_number(in)};
    }
    say(w, &msg);
}

/* A segment as it should be. */
static void send_segment(struct world *w)
{
    struct fuzz_input *in = &w->in;
    const uint8_t where = fuzz_byte(in);
    const struct message to = {
        .job = where % JOBS_MAX, .slot = where / JOBS_MAX % 2, .segment = fuzz_byte(in)};
    struct message msg = to;
    int64_t pts = msg.pts = fuzz_byte(in);
    msg.type = MESSAGE_SEGMENT_BEGIN;
    msg.ordinal = w->ordinal;
    for (int i = 0; i < RENDITIONS_MAX; i++)
        msg.permille[i] = 1000;
    say(w, &msg);
    for (int i = fuzz_byte(in) % 16; i; i--) {
        const struct fake_source s = {.pts = pts, .duration = 1, .rap = true};
        pts++;
        msg = to;
        msg.type = w->raw[to.job] ? MESSAGE_SEGMENT_FRAME : MESSAGE_SEGMENT_PACKET;
        if (w->raw[to.job])
            msg.frame = fake_frame(&s);
        else
            msg.packet = fake_packet(&s, w->ordinal++);
        say(w, &msg);
    }
    msg = to;
    msg.type = MESSAGE_SEGMENT_TAIL;
    msg.pts = pts;
    say(w, &msg);
    msg = to;
    msg.type = MESSAGE_SEGMENT_END;
    say(w, &msg);
}

/* Ends all jobs and waits for their answers. */
static void settle(struct world *w)
{
    struct message msg = {.type = MESSAGE_JOB_CREATE, .job = BARRIER};
    FUZZ_CHECK(message_block(&msg) == 0); /* without renditions */
    say(w, &msg);
    for (uint32_t job = 0; job < JOBS_MAX; job++) {
        msg = (struct message){.type = MESSAGE_JOB_COMPLETE, .job = job};
        say(w, &msg);
    }
    while (!w->down && (w->running || !w->passed)) {
        const int ret = link_receive(w->link, WAIT_MS, &msg);
        FUZZ_CHECK(ret != RGPU_ERROR_AGAIN); /* an answer that never comes */
        if (ret == 0)
            take_one(w, &msg);
        else
            w->down = true;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world w = {.in = {data, size}};
    struct node *node = NULL;
    struct link *far;
    fake_reset();
    const uint8_t how = fuzz_byte(&w.in);
    fake.decoder_delay = how & 3;
    fake.encoder_lookahead = how >> 2 & 7;
    fake.encoder_bframes = how >> 5 & 3;
    if (how & 128)
        fake.fail_call[fuzz_byte(&w.in) % FAKE_OPS] = 1 + fuzz_byte(&w.in);
    FUZZ_CHECK(link_memory_pair(&w.link, &far) == 0);
    FUZZ_CHECK(node_start(&node, &(struct node_params){DEVICE_CPU, 0}, far, NULL) == 0);
    while (w.in.left && !w.down) {
        const uint8_t op = fuzz_byte(&w.in);
        if (op < 32)
            create(&w, op % JOBS_MAX);
        else if (op < 96)
            send_segment(&w);
        else if (op < 250)
            babble(&w, (enum message_type)(op % 26));
        else
            break; /* stop in the middle */
    }
    if (!w.in.left)
        settle(&w);
    if (how & 16)
        node_stop(&node);
    link_close(&w.link);
    node_stop(&node);
    FUZZ_CHECK(!fake.frames_alive && !fake.handles_alive);
    return 0;
}
