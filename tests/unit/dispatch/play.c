#include "play.h"

#include <string.h>

#include "media/digest.h"

static void say_picture(struct fixture *f)
{
    struct message msg = {.type = MESSAGE_PICTURE};
    assert_int_equal(message_block(&msg), 0);
    *msg.track = (struct track){.format = PIXEL_YUV420P, .width = 64, .height = 48};
    say(f, msg);
}

void play_complete(struct job_params *params)
{
    for (int r = 0; r < params->renditions_count; r++)
        params->renditions[r].width = params->renditions[r].height = PLAY_SIZE;
    if (!params->source.time_base.den)
        params->source.time_base = (struct rational){1, 25};
}

struct packet play_packet(int64_t pts, uint32_t rendition, size_t size)
{
    struct packet pkt = {.pts = pts, .rendition = rendition, .size = size};
    pkt.buf = buffer_copy("", 1); /* nobody looks at it */
    assert_non_null(pkt.buf);
    pkt.data = pkt.buf->data;
    return pkt;
}

struct track play_header(struct rational time_base, const char *extradata)
{
    struct track header = {.width = PLAY_SIZE, .height = PLAY_SIZE, .time_base = time_base};
    header.extradata = buffer_copy(extradata, strlen(extradata));
    assert_non_null(header.extradata);
    return header;
}

/* ---- opening ------------------------------------------------------------------------------- */

void play_join(struct fixture *f, struct job *job, int renditions, int slots)
{
    struct link *near;
    struct message hello = {.type = MESSAGE_HELLO};
    *f = (struct fixture){.job = job};
    assert_int_equal(link_memory_pair(&near, &f->node), 0);
    assert_int_equal(job_add_node(job, near, NULL), 0);
    struct message create = receive(f);
    assert_int_equal(create.type, MESSAGE_JOB_CREATE);
    f->time_base = create.job_params->source.time_base;
    message_done(&create);
    assert_int_equal(message_block(&hello), 0);
    strcpy(hello.hello->device, "cpu");
    say(f, hello);
    say(f, (struct message){.type = MESSAGE_JOB_ACK, .slots = slots});
    say_picture(f);
    for (uint32_t r = 0; r < (uint32_t)renditions; r++)
        say_header(f, r, "abc");
}

void play_open(struct fixture *f, struct job_params *params, int slots)
{
    const int renditions = params->renditions_count;
    struct job *job = NULL;
    play_complete(params);
    assert_int_equal(job_open(&job, params, NULL), 0);
    play_join(f, job, renditions, slots);
    settle(f);
}

int next_output(struct fixture *f, struct job_output *ret, struct error *err)
{
    int rc;
    while ((rc = job_next(f->job, ret, err)) == 0 && ret->type == JOB_HEADER)
        job_output_done(ret);
    return rc;
}

void play_close(struct fixture *f)
{
    job_close(&f->job);
    link_close(&f->node);
}

/* ---- messages ------------------------------------------------------------------------------ */

/* The picture is told before a slot's first segment; here it is no news, and costs nothing. */
struct message receive(struct fixture *f)
{
    struct message msg = {0};
    assert_int_equal(link_receive(f->node, 1000, &msg), 0);
    if (msg.type == MESSAGE_PICTURE) {
        give_credit(f, msg.slot, 1);
        message_done(&msg);
        assert_int_equal(link_receive(f->node, 1000, &msg), 0);
    }
    return msg;
}

void expect(struct fixture *f, enum message_type type)
{
    struct message msg = receive(f);
    assert_int_equal(msg.type, type);
    message_done(&msg);
}

void expect_nothing(struct fixture *f)
{
    struct message none = {0};
    assert_int_equal(link_receive(f->node, 0, &none), RGPU_ERROR_AGAIN);
}

void say(struct fixture *f, struct message msg)
{
    msg.job = 1;
    assert_int_equal(link_send(f->node, &msg, 0), 0);
}

void say_error(struct fixture *f, enum message_type type, uint32_t slot, int code, const char *text)
{
    struct message msg = {.type = type, .slot = slot};
    assert_int_equal(message_block(&msg), 0);
    error_set(msg.error, code, "%s", text);
    say(f, msg);
}

void say_header(struct fixture *f, uint32_t rendition, const char *extradata)
{
    struct message msg = {.type = MESSAGE_HEADER, .rendition = rendition};
    assert_int_equal(message_block(&msg), 0);
    *msg.track = play_header(f->time_base, extradata);
    say(f, msg);
}

void give_credit(struct fixture *f, uint32_t slot, int credits)
{
    say(f, (struct message){.type = MESSAGE_CREDIT, .slot = slot, .credits = credits});
}

void fail_slot(struct fixture *f, int code)
{
    say_error(f, MESSAGE_SLOT_FAILED, 0, code, "the encoder is broken");
}

void settle(struct fixture *f)
{
    struct job_output out = {0};
    assert_int_equal(next_output(f, &out, NULL), RGPU_ERROR_AGAIN);
}

/* ---- segments ------------------------------------------------------------------------------ */

void push_packet(struct fixture *f, int64_t pts)
{
    const uint8_t byte = (uint8_t)pts;
    struct packet pkt = {.buf = buffer_copy(&byte, 1), .size = 1, .pts = pts};
    pkt.data = pkt.buf->data;
    assert_int_equal(job_packet(f->job, &pkt), 0);
}

void push_segment(struct fixture *f, uint32_t id, int64_t start, int count)
{
    uint64_t digest = 0;
    assert_int_equal(job_begin(f->job, id, start, (uint64_t)start), 0);
    for (int i = 0; i < count; i++) {
        push_packet(f, start + i);
        digest = pts_digest_add(digest, start + i);
    }
    assert_int_equal(job_end(f->job, count, digest), 0);
}

uint32_t take_segment(struct fixture *f, uint32_t slot, int count)
{
    struct message begin = receive(f);
    assert_int_equal(begin.type, MESSAGE_SEGMENT_BEGIN);
    assert_int_equal(begin.slot, slot);
    give_credit(f, slot, 2); /* this one's, and the end's */
    for (int i = 0; i < count; i++) {
        struct message msg = receive(f);
        assert_int_equal(msg.type, MESSAGE_SEGMENT_PACKET);
        assert_int_equal(msg.packet.pts, begin.pts + i);
        message_done(&msg);
        give_credit(f, slot, 1);
        settle(f);
    }
    expect(f, MESSAGE_SEGMENT_END);
    f->slot_of[begin.segment % PLAY_SEGMENTS_MAX] = slot;
    return begin.segment;
}

void give_result(struct fixture *f, uint32_t segment, uint32_t rendition, int64_t pts, size_t size)
{
    struct message msg = {.type = MESSAGE_RESULT,
                          .slot = f->slot_of[segment % PLAY_SEGMENTS_MAX],
                          .segment = segment,
                          .packet = play_packet(pts, rendition, size)};
    say(f, msg);
}

void give_done(struct fixture *f, uint32_t segment, const struct segment_done *done)
{
    struct message msg = {.type = MESSAGE_SEGMENT_DONE,
                          .slot = f->slot_of[segment % PLAY_SEGMENTS_MAX],
                          .segment = segment};
    assert_int_equal(message_block(&msg), 0);
    *msg.done = *done;
    say(f, msg);
}

void give_results(struct fixture *f, uint32_t segment, int64_t start, int count, int promised)
{
    struct segment_done done = {.frames = count, .packets = {promised, promised}};
    for (int i = 0; i < count; i++) {
        done.pts_digest = pts_digest_add(done.pts_digest, start + i);
        for (uint32_t r = 0; r < 2; r++)
            give_result(f, segment, r, start + i, 10);
    }
    if (f->digest_of[segment % PLAY_SEGMENTS_MAX])
        done.pts_digest = f->digest_of[segment % PLAY_SEGMENTS_MAX];
    give_done(f, segment, &done);
}

void expect_results(struct fixture *f, uint32_t segment, int64_t start, int count)
{
    struct job_output out = {0};
    for (int i = 0; i < 2 * count; i++) {
        assert_int_equal(next_output(f, &out, NULL), 0);
        assert_int_equal(out.type, JOB_PACKET);
        assert_int_equal(out.segment, segment);
        assert_int_equal(out.packet.pts, start + i / 2);
        job_output_done(&out);
    }
    assert_int_equal(next_output(f, &out, NULL), 0);
    assert_int_equal(out.type, JOB_SEGMENT_DONE);
    assert_int_equal(out.segment, segment);
    assert_int_equal(out.frames_missing, 0);
    assert_int_equal(out.frames_wrong, 0);
    job_output_done(&out);
}
