/* Dispatch against a modelled node that holds things back as decoders and encoders do: whatever the
 * sizes of segments, the pace of the source, the slots and their failures, every job must end with
 * all results in film order, within its bounds. No threads and no clock: a step that changes
 * nothing, while nothing is slow on purpose, is a deadlock. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/dispatch.h"
#include "dispatch/segment.h"
#include "media/digest.h"

#define SLOTS_MAX 8
#define INBOX 512
#define SIZE 8192 /* of all renditions */
#define OUTBOX 4096
#define SEGMENTS_OPEN_MAX 4096

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

struct picture {
    uint32_t segment;
    int64_t pts;
    bool end; /* no picture: the segment's end */
};

/* A slot of the modelled node: `inside` are the pictures that it holds back. */
struct slot_model {
    struct message inbox[INBOX];
    int head, count;
    struct picture inside[INBOX];
    int inside_count;
    uint32_t segment;
    bool begun, failed;
    bool told;                         /* the job's picture, or has told it */
    bool opened;                       /* the headers are told */
    int consumed;                      /* credits not yet returned */
    int64_t frames[SEGMENTS_OPEN_MAX]; /* by segment, of the present attempt */
    uint64_t digests[SEGMENTS_OPEN_MAX];
};

struct plan {
    int slots;
    int look_ahead; /* pictures that a slot holds back */
    int segments, frames_min, frames_max;
    int first_frames, last_frames;     /* of these segments; 0: as the others */
    int64_t input_bytes, result_bytes; /* of a packet */
    int read_percent;                  /* chance that the source has something */
    int fail_permille;                 /* chance of a failure a message */
    int wrong_permille;                /* chance of a wrong count a segment */
    int slow_slot;                     /* works one step in `slowness`; -1: none */
    unsigned slowness;
    bool raw;
};

struct world {
    const struct plan *plan;
    struct job *job;
    struct link *node;
    struct slot_model slots[SLOTS_MAX];
    int failures[SEGMENTS_OPEN_MAX]; /* by segment */
    int segment, left;               /* being pushed; its packets that are left */
    int64_t pts;
    uint64_t digest;
    int frames;
    bool finished, ended;
    int64_t given[2], expected;
    int64_t held_bytes_max; /* results that dispatch has and has not given */
    int in_flight[SLOTS_MAX], in_flight_max;
    struct message outbox[OUTBOX]; /* waits for room in the link; no slot works meanwhile */
    int out_head, out_count;
    bool moved;
};

static void say(struct world *w, struct message msg)
{
    msg.job = 1;
    assert_in_range(w->out_count, 0, OUTBOX - 1);
    w->outbox[(w->out_head + w->out_count++) % OUTBOX] = msg;
    w->moved = true;
}

static void say_block(struct world *w, struct message msg)
{
    assert_int_equal(message_block(&msg), 0);
    say(w, msg);
}

static void flush(struct world *w)
{
    while (w->out_count && link_send(w->node, &w->outbox[w->out_head], 0) == 0) {
        w->out_head = (w->out_head + 1) % OUTBOX;
        w->out_count--;
        w->moved = true;
    }
}

/* ---- source -----------------------------------------------------------------------------------
 */

static void push_one(struct world *w)
{
    const struct plan *p = w->plan;
    w->moved = true;
    if (w->left == 0) {
        if (w->segment > 0)
            assert_int_equal(job_end(w->job, w->frames, w->digest), 0);
        if (w->segment == p->segments) {
            job_finish(w->job);
            w->finished = true;
            return;
        }
        w->frames =
            p->frames_min + (int)random_below((unsigned)(p->frames_max - p->frames_min + 1));
        if (w->segment == 0 && p->first_frames)
            w->frames = p->first_frames;
        if (w->segment == p->segments - 1 && p->last_frames)
            w->frames = p->last_frames;
        w->left = w->frames;
        w->digest = 0;
        assert_int_equal(job_begin(w->job, (uint32_t)w->segment++, w->pts, (uint64_t)w->pts), 0);
    }
    if (w->left) {
        if (p->raw) {
            struct frame *frame = frame_new(PIXEL_GRAY8, 16, 16);
            frame->pts = w->pts;
            assert_int_equal(job_frame(w->job, &frame), 0);
        } else {
            struct packet pkt = {.pts = w->pts, .size = (size_t)p->input_bytes};
            assert_int_equal(job_packet(w->job, &pkt), 0);
        }
        w->digest = pts_digest_add(w->digest, w->pts++);
        w->expected++;
        w->left--;
    }
    if (w->left == 0)
        assert_int_equal(job_tail(w->job, w->pts), 0);
}

/* ---- node -------------------------------------------------------------------------------------
 */

/* At the first picture out of the decoder. */
static void tell_picture(struct world *w, uint32_t slot)
{
    struct message msg = {.type = MESSAGE_PICTURE, .slot = slot};
    assert_int_equal(message_block(&msg), 0);
    *msg.track = (struct track){.format = PIXEL_GRAY8, .width = 16, .height = 16};
    say(w, msg);
    w->slots[slot].told = true;
}

static void tell_header(struct world *w, uint32_t slot, uint32_t rendition)
{
    struct message msg = {.type = MESSAGE_HEADER, .slot = slot, .rendition = rendition};
    assert_int_equal(message_block(&msg), 0);
    *msg.track = (struct track){.width = SIZE, .height = SIZE, .time_base = {1, 25}};
    say(w, msg);
}

/* At the first picture out of the encoders. */
static void tell_headers(struct world *w, uint32_t slot)
{
    w->slots[slot].opened = true;
    for (uint32_t r = 0; r < 2; r++)
        tell_header(w, slot, r);
}

static void put(struct world *w, struct slot_model *s, const struct picture *out)
{
    const uint32_t slot = (uint32_t)(s - w->slots);
    if (!out->end) {
        if (!s->opened)
            tell_headers(w, slot);
        s->frames[out->segment]++;
        s->digests[out->segment] = pts_digest_add(s->digests[out->segment], out->pts);
        for (uint32_t r = 0; r < 2; r++) {
            struct message msg = {.type = MESSAGE_RESULT, .slot = slot, .segment = out->segment};
            msg.packet = (struct packet){
                .pts = out->pts, .rendition = r, .size = (size_t)w->plan->result_bytes};
            msg.packet.buf = buffer_copy("", 1);
            assert_non_null(msg.packet.buf);
            msg.packet.data = msg.packet.buf->data;
            say(w, msg);
        }
        return;
    }
    struct message msg = {.type = MESSAGE_SEGMENT_DONE, .slot = slot, .segment = out->segment};
    assert_int_equal(message_block(&msg), 0);
    const int64_t frames = s->frames[out->segment];
    *msg.done = (struct segment_done){.frames = frames, .packets = {frames, frames}};
    msg.done->pts_digest = s->digests[out->segment];
    if ((int)random_below(1000) < w->plan->wrong_permille &&
        w->failures[out->segment] < SEGMENT_ATTEMPTS_MAX - 1) {
        w->failures[out->segment]++;
        msg.done->packets[random_below(2)]++;
    }
    say(w, msg);
}

static void let_out(struct world *w, struct slot_model *s, int keep)
{
    int n = s->inside_count - keep;
    if (n <= 0)
        return;
    for (int i = 0; i < n; i++)
        put(w, s, &s->inside[i]);
    memmove(s->inside, s->inside + n, (size_t)(s->inside_count - n) * sizeof(*s->inside));
    s->inside_count -= n;
}

static void credit(struct world *w, int slot)
{
    struct slot_model *s = &w->slots[slot];
    if (++s->consumed < 8)
        return;
    say(w,
        (struct message){.type = MESSAGE_CREDIT, .slot = (uint32_t)slot, .credits = s->consumed});
    w->in_flight[slot] -= s->consumed;
    s->consumed = 0;
}

/* Counts a failure for all that the slot has; false where a segment would fail too often. */
static bool count_failure(struct world *w, const struct slot_model *s)
{
    uint32_t inside[2 * INBOX];
    int count = 0;
    for (int i = 0; i < s->inside_count; i++)
        if (s->inside[i].end)
            inside[count++] = s->inside[i].segment;
    if (s->begun)
        inside[count++] = s->segment;
    for (int i = 0; i < s->count; i++)
        if (s->inbox[(s->head + i) % INBOX].type == MESSAGE_SEGMENT_BEGIN)
            inside[count++] = s->inbox[(s->head + i) % INBOX].segment;
    for (int i = 0; i < count; i++)
        if (w->failures[inside[i]] == SEGMENT_ATTEMPTS_MAX - 1)
            return false;
    for (int i = 0; i < count; i++)
        w->failures[inside[i]]++;
    return true;
}

static void fail_slot(struct world *w, int slot)
{
    struct slot_model *s = &w->slots[slot];
    struct message msg = {
        .type = MESSAGE_SLOT_FAILED, .slot = (uint32_t)slot, .lacks_room = random_below(3) == 0};
    assert_int_equal(message_block(&msg), 0);
    error_set(msg.error, RGPU_ERROR_NODE, "lost");
    say(w, msg);
    s->failed = true;
    s->begun = s->opened = false;
    s->inside_count = 0;
    memset(s->frames, 0, sizeof(s->frames));
}

static void work(struct world *w, int slot, const struct message *msg)
{
    struct slot_model *s = &w->slots[slot];
    switch (msg->type) {
    case MESSAGE_SEGMENT_BEGIN:
        assert_false(s->begun);
        s->begun = true;
        s->segment = msg->segment;
        s->frames[s->segment] = 0;
        s->digests[s->segment] = 0;
        break;
    case MESSAGE_SEGMENT_PACKET:
    case MESSAGE_SEGMENT_FRAME:
        assert_true(s->begun);
        if (!s->told)
            tell_picture(w, (uint32_t)slot);
        s->inside[s->inside_count++] = (struct picture){
            .segment = s->segment, .pts = msg->frame ? msg->frame->pts : msg->packet.pts};
        break;
    case MESSAGE_SEGMENT_TAIL:
        break;
    case MESSAGE_PICTURE:
        assert_false(s->begun);
        s->told = true;
        break;
    case MESSAGE_SEGMENT_END:
        assert_true(s->begun);
        s->begun = false;
        s->inside[s->inside_count++] = (struct picture){.segment = s->segment, .end = true};
        break;
    case MESSAGE_SLOT_DRAIN:
        assert_false(s->begun);
        let_out(w, s, 0);
        break;
    default:
        fail();
    }
    let_out(w, s, w->plan->look_ahead);
}

static void step_slot(struct world *w, int slot)
{
    struct slot_model *s = &w->slots[slot];
    const struct plan *p = w->plan;
    if (!s->count || w->out_count || (slot == p->slow_slot && random_below(p->slowness)))
        return;
    struct message msg = s->inbox[s->head];
    w->moved = true;
    if (msg.type != MESSAGE_SLOT_RESET && !s->failed &&
        (int)random_below(1000) < p->fail_permille && count_failure(w, s))
        fail_slot(w, slot);
    s->head = (s->head + 1) % INBOX;
    s->count--;
    if (msg.type == MESSAGE_SLOT_RESET) {
        s->failed = s->begun = false;
    } else {
        if (!s->failed)
            work(w, slot, &msg);
        credit(w, slot);
    }
    message_done(&msg);
}

static void greet(struct world *w)
{
    say_block(w, (struct message){.type = MESSAGE_HELLO});
    say(w, (struct message){.type = MESSAGE_JOB_ACK, .slots = w->plan->slots});
}

static void receive_all(struct world *w)
{
    struct message msg;
    while (link_receive(w->node, 0, &msg) == 0) {
        struct slot_model *s = &w->slots[msg.slot];
        w->moved = true;
        if (msg.type == MESSAGE_JOB_CREATE) {
            greet(w);
            message_done(&msg);
            continue;
        }
        if (msg.type != MESSAGE_SLOT_RESET && ++w->in_flight[msg.slot] > w->in_flight_max)
            w->in_flight_max = w->in_flight[msg.slot];
        assert_in_range(s->count, 0, INBOX - 1);
        s->inbox[(s->head + s->count++) % INBOX] = msg;
    }
}

/* ---- results ----------------------------------------------------------------------------------
 */

static void measure(struct world *w)
{
    int64_t held = 0;
    for (int r = 0; r < 2; r++)
        held += job_bytes_received(w->job, r) - w->given[r] * w->plan->result_bytes;
    if (held > w->held_bytes_max)
        w->held_bytes_max = held;
}

static void take_outputs(struct world *w)
{
    struct job_output out;
    struct error err = {0};
    int ret;
    while ((ret = job_next(w->job, &out, &err)) == 0) {
        w->moved = true;
        if (out.type == JOB_PACKET) {
            /* Each rendition has every time stamp once, in order. */
            assert_int_equal(out.packet.pts, w->given[out.packet.rendition]);
            w->given[out.packet.rendition]++;
        }
        w->ended = out.type == JOB_ENDED;
        if (out.type == JOB_SEGMENT_DONE)
            assert_int_equal(out.frames_missing + out.frames_wrong, 0);
        job_output_done(&out);
        if (w->ended)
            return;
    }
    measure(w);
    if (ret != RGPU_ERROR_AGAIN)
        print_error("job_next: %s\n", err.text);
    assert_int_equal(ret, RGPU_ERROR_AGAIN);
}

/* Gives the most bytes of results that were held at a time. */
static int64_t run(const struct plan *plan, uint64_t seed)
{
    struct world *w = calloc(1, sizeof(*w));
    struct link *near;
    struct job_params params = {
        .renditions_count = 2, .source.time_base = {1, 25}, .raw_input = plan->raw};
    random_state = seed;
    assert_non_null(w);
    w->plan = plan;
    for (int r = 0; r < 2; r++)
        params.renditions[r].width = params.renditions[r].height = SIZE;
    assert_int_equal(job_open(&w->job, &params, NULL), 0);
    assert_int_equal(link_memory_pair(&near, &w->node), 0);
    assert_int_equal(job_add_node(w->job, near, NULL), 0);
    for (int idle = 0; !w->ended;) {
        w->moved = false;
        bool source_slept = false;
        for (int i = 0; i < 64 && !w->finished && job_accepts(w->job); i++) {
            source_slept = (int)random_below(100) >= plan->read_percent;
            if (source_slept)
                break;
            push_one(w);
        }
        take_outputs(w);
        receive_all(w);
        flush(w);
        for (int k = 0; k < plan->slots; k++)
            for (int n = 0; n < 4; n++) {
                step_slot(w, k);
                flush(w);
            }
        idle = w->moved || source_slept ? 0 : idle + 1;
        if (idle > 1000) {
            print_error("seed %llu: stuck with %lld of %lld out, %d segments read\n",
                        (unsigned long long)seed, (long long)w->given[0], (long long)w->expected,
                        w->segment);
            fail();
        }
    }
    assert_int_equal(w->given[0], w->expected);
    assert_int_equal(w->given[1], w->expected);
    assert_in_range(w->in_flight_max, 1, job_window(&params));
    job_close(&w->job);
    link_close(&w->node);
    for (int k = 0; k < plan->slots; k++)
        for (; w->slots[k].count; w->slots[k].count--) {
            message_done(&w->slots[k].inbox[w->slots[k].head]);
            w->slots[k].head = (w->slots[k].head + 1) % INBOX;
        }
    const int64_t held = w->held_bytes_max;
    free(w);
    return held;
}

#define MIB ((int64_t)1 << 20)

static const struct plan usual = {.slots = 3,
                                  .look_ahead = 40,
                                  .segments = 60,
                                  .frames_min = 1,
                                  .frames_max = 120,
                                  .input_bytes = 1000,
                                  .result_bytes = 500,
                                  .read_percent = 90,
                                  .slow_slot = -1,
                                  .slowness = 16};

static void test_usual(void **state)
{
    (void)state;
    for (int slots = 1; slots <= SLOTS_MAX; slots++) {
        struct plan plan = usual;
        plan.slots = slots;
        run(&plan, (uint64_t)slots);
    }
}

static void test_segments_of_one_packet(void **state)
{
    (void)state;
    struct plan plan = usual;
    plan.segments = 3000;
    plan.frames_max = 1;
    for (int slots = 1; slots <= 4; slots++) {
        plan.slots = slots;
        plan.slow_slot = slots - 1;
        run(&plan, 100 + (uint64_t)slots);
    }
}

/* What is done early waits for the first segment, whose end hangs in a slot that gets no more. */
static void test_results_that_fill_the_memory(void **state)
{
    (void)state;
    struct plan plan = usual;
    plan.frames_min = 20;
    plan.frames_max = 30;
    plan.result_bytes = 4 * MIB;
    for (int slots = 2; slots <= SLOTS_MAX; slots++) {
        plan.slots = slots;
        run(&plan, 200 + (uint64_t)slots);
    }
}

static void test_input_that_fills_the_memory(void **state)
{
    (void)state;
    struct plan plan = usual;
    plan.frames_min = 5;
    plan.input_bytes = 3 * MIB;
    for (int slots = 1; slots <= 4; slots++) {
        plan.slots = slots;
        run(&plan, 300 + (uint64_t)slots);
    }
}

/* A short segment, then one that does not end: the first must come out before the film is over, or
 * all of the second waits in memory. */
static void test_a_segment_without_end(void **state)
{
    (void)state;
    struct plan plan = usual;
    plan.slots = 2;
    plan.segments = 2;
    plan.frames_min = plan.frames_max = 10;
    plan.last_frames = 20000;
    plan.result_bytes = MIB / 10;
    plan.read_percent = 30;
    assert_in_range(run(&plan, 400), 1, 400 * MIB);
}

static void test_slots_that_fail(void **state)
{
    (void)state;
    struct plan plan = usual;
    plan.fail_permille = 3;
    plan.frames_max = 40;
    for (uint64_t seed = 500; seed < 530; seed++) {
        plan.slots = 2 + (int)(seed % 4);
        plan.look_ahead = (int)(seed % 3) * 20;
        plan.slow_slot = seed % 2 ? 0 : -1;
        run(&plan, seed);
    }
}

static void test_segments_that_come_back_wrong(void **state)
{
    (void)state;
    struct plan plan = usual;
    plan.wrong_permille = 100;
    plan.frames_max = 40;
    for (uint64_t seed = 800; seed < 830; seed++) {
        plan.slots = 1 + (int)(seed % 5);
        plan.look_ahead = (int)(seed % 3) * 20;
        plan.slow_slot = seed % 2 ? 0 : -1;
        run(&plan, seed);
    }
}

/* A first segment that takes for ever, while many lanes are quick with long segments: what waits
 * for it keeps to the bound of segment.h. */
static void test_results_that_wait_are_bounded(void **state)
{
    (void)state;
    struct plan plan = usual;
    plan.slots = SLOTS_MAX;
    plan.segments = 4 * SLOTS_MAX;
    plan.frames_min = plan.frames_max = 1000;
    plan.result_bytes = MIB;
    plan.read_percent = 100;
    plan.slow_slot = 0;
    plan.slowness = 100;
    const int64_t inside = 2 * (JOB_WINDOW_MESSAGES + plan.look_ahead) * plan.result_bytes;
    assert_in_range(run(&plan, 900), SEGMENT_HELD_BYTES_MAX,
                    SEGMENT_RESULT_BYTES + SEGMENT_HELD_BYTES_MAX + plan.slots * inside);
}

static void test_raw_frames(void **state)
{
    (void)state;
    struct plan plan = usual;
    plan.raw = true;
    plan.segments = 20;
    run(&plan, 600);
}

static void test_anything(void **state)
{
    (void)state;
    for (uint64_t seed = 700; seed < 760; seed++) {
        random_state = seed;
        struct plan plan = {
            .slots = 1 + (int)random_below(SLOTS_MAX),
            .look_ahead = (int)random_below(80),
            .segments = 1 + (int)random_below(100),
            .frames_min = (int)random_below(3),
            .frames_max = 3 + (int)random_below(1000),
            .last_frames = random_below(4) ? 0 : 5000,
            .input_bytes = (int64_t)1 << random_below(22),
            .first_frames = random_below(2) ? 0 : 1 + (int)random_below(300),
            .result_bytes = (int64_t)1 << (18 + random_below(5)),
            .read_percent = 5 + (int)random_below(96),
            .slowness = 16,
        };
        plan.slow_slot = random_below(2) ? (int)random_below((unsigned)plan.slots) : -1;
        run(&plan, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usual),
        cmocka_unit_test(test_segments_of_one_packet),
        cmocka_unit_test(test_results_that_fill_the_memory),
        cmocka_unit_test(test_input_that_fills_the_memory),
        cmocka_unit_test(test_a_segment_without_end),
        cmocka_unit_test(test_slots_that_fail),
        cmocka_unit_test(test_segments_that_come_back_wrong),
        cmocka_unit_test(test_results_that_wait_are_bounded),
        cmocka_unit_test(test_raw_frames),
        cmocka_unit_test(test_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
