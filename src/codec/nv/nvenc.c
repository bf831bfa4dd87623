#include "codec/nv/nvenc.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codec/cpu/encoder_stream.h"
#include "codec/nv/nvenc_session.h"
#include "media/av1.h"

#define LEVEL_UNKNOWN (-99) /* as libavcodec */
#define AV1C_MAX 512        /* bytes */
#define INSIDE_MAX 64       /* frames in a session, and packets that wait in it */
_Static_assert(NVENC_DELAY_MAX + NVENC_SLOTS_SPARE + 2 <= INSIDE_MAX, "a ring holds them");

enum { CODECS_COUNT = 3 };
static const char *const codecs[CODECS_COUNT] = {"h264", "hevc", "av1"};

/* ---- what devices have ----------------------------------------------------------------------- */

#define WHY_MAX (ERROR_TEXT_MAX + 32)

struct ability {
    bool known;
    int rc; /* why it has none; 0: it has NVENC */
    struct error why;
    bool encodes[CODECS_COUNT];
    struct nvenc_caps caps[CODECS_COUNT];
};

static pthread_mutex_t abilities_lock = PTHREAD_MUTEX_INITIALIZER;
static struct ability abilities[GPU_DEVICES_MAX]; /* protected by the lock */

/* What is so only now is asked again the next time. */
static void ask(struct ability *a, struct gpu_device *device)
{
    *a = (struct ability){0};
    a->rc = nvenc_session_probe(device, codecs, CODECS_COUNT, a->caps, a->encodes, &a->why);
    a->known = a->rc == 0 || a->rc == RGPU_ERROR_UNSUPPORTED;
}

static struct ability ability_of(struct gpu_device *device)
{
    struct ability *a = &abilities[gpu_device_info(device)->index];
    pthread_mutex_lock(&abilities_lock);
    if (!a->known)
        ask(a, device);
    const struct ability copy = *a;
    pthread_mutex_unlock(&abilities_lock);
    return copy;
}

/* Of a device by its number; `rc` is set where it cannot even be opened. */
static struct ability ability_at(int index)
{
    struct ability a = {0};
    struct gpu_device *device = NULL;
    a.rc = gpu_open(&device, index, &a.why);
    if (a.rc != 0)
        return a;
    a = ability_of(device);
    gpu_close(&device);
    return a;
}

static int codec_index(const char *codec)
{
    for (int i = 0; i < CODECS_COUNT; i++)
        if (!strcmp(codecs[i], codec))
            return i;
    return -1;
}

bool nvenc_present(int device, const char **ret_why)
{
    static char whys[GPU_DEVICES_MAX][WHY_MAX]; /* protected by the lock */
    const struct ability a = ability_at(device);
    if (a.rc == 0 || a.rc == RGPU_ERROR_LIMIT) /* others have all its sessions */
        return true;
    if (device < 0 || device >= GPU_DEVICES_MAX)
        return false;
    pthread_mutex_lock(&abilities_lock);
    char *why = whys[device];
    /* Written once: it may be read without the lock. */
    if (!why[0])
        snprintf(why, WHY_MAX, "the CPU encodes: %s", a.why.text);
    *ret_why = why;
    pthread_mutex_unlock(&abilities_lock);
    return false;
}

enum pixel_format nvenc_device_format(int device, const char *codec, const char *profile,
                                      enum pixel_format source)
{
    const enum pixel_format format = nvenc_format(codec, profile, source);
    const int i = codec_index(codec);
    if (format == PIXEL_NONE || i < 0)
        return PIXEL_NONE;
    const struct ability a = ability_at(device);
    if (a.rc != 0 || !a.encodes[i] || (format == PIXEL_P010 && !a.caps[i].ten_bit))
        return PIXEL_NONE;
    return format;
}

static int can(struct gpu_device *device, const struct encoder_params *p, struct nvenc_caps *ret,
               struct error *err)
{
    const struct ability a = ability_of(device);
    const int i = codec_index(p->codec);
    if (a.rc != 0)
        return error_set(err, a.rc, "%s", a.why.text);
    if (i < 0 || !a.encodes[i])
        return error_set(err, RGPU_ERROR_UNSUPPORTED, "NVENC of cuda:%d (%s) does not encode %s",
                         p->device, gpu_device_info(device)->name, p->codec);
    *ret = a.caps[i];
    return nvenc_check(p, ret, err);
}

/* ---- the encoder ----------------------------------------------------------------------------- */

struct encoder {
    struct gpu_device *device;
    struct nvenc_session *session;
    struct encoder_params params;
    struct buffer *headers;
    int64_t last_pts; /* valid once `frames` */
    uint64_t frames, packets;
    bool drained;
    /* Time codes that NVENC does not take, of the last frames; a ring. */
    struct {
        int64_t pts;
        struct frame_timecode code; /* count 0: none is to be written */
    } codes[INSIDE_MAX];
};

static void nvenc_close(void *handle)
{
    struct encoder *e = handle;
    if (!e)
        return;
    nvenc_session_close(&e->session);
    buffer_unref(&e->headers);
    gpu_close(&e->device);
    free(e);
}

/* AV1 tracks have the record instead of the bare header. */
static int wrap_av1(struct buffer **headers, struct error *err)
{
    uint8_t record[AV1C_MAX];
    size_t size = 0;
    const int rc =
        av1_config_write((*headers)->data, (*headers)->size, record, sizeof(record), &size, err);
    buffer_unref(headers);
    if (rc != 0)
        return rc;
    *headers = buffer_copy(record, size);
    return *headers ? 0 : error_memory(err, "an AV1 header");
}

static int open_inside(struct encoder *e, struct error *err)
{
    const struct encoder_params *p = &e->params;
    int rc = gpu_open(&e->device, p->device, err);
    if (rc != 0)
        return rc;
    struct nvenc_caps caps;
    rc = can(e->device, p, &caps, err);
    if (rc == 0)
        rc = nvenc_session_open(&e->session, e->device, p, &caps, err);
    if (rc == 0)
        rc = nvenc_session_headers(e->session, &e->headers, err);
    if (rc == 0 && !strcmp(p->codec, "av1"))
        rc = wrap_av1(&e->headers, err);
    return rc;
}

static int nvenc_open(void **ret, const struct encoder_params *params, struct error *err)
{
    struct encoder *e = calloc(1, sizeof(*e));
    if (!e)
        return error_memory(err, "an encoder");
    e->params = *params;
    const int rc = open_inside(e, err);
    if (rc != 0) {
        nvenc_close(e);
        return rc;
    }
    *ret = e;
    return 0;
}

static void nvenc_header(void *handle, struct encoder_header *ret)
{
    const struct encoder *e = handle;
    struct encoder_header header = {.extradata = buffer_ref(e->headers),
                                    .reorder_frames = nvenc_session_reorder(e->session),
                                    .codec_profile = LEVEL_UNKNOWN,
                                    .codec_level = LEVEL_UNKNOWN};
    encoder_stream_facts(e->params.codec, &header);
    if (!e->params.global_headers)
        buffer_unref(&header.extradata);
    *ret = header;
}

static int check_frame(const struct encoder *e, const struct frame *frame, struct error *err)
{
    if (e->drained)
        return error_set(err, RGPU_ERROR_PARAM, "%s: a frame came after the last one",
                         e->params.codec);
    if (frame->pts == PTS_NONE)
        return error_set(err, RGPU_ERROR_PARAM, "%s: a frame has no time stamp", e->params.codec);
    if (e->frames && frame->pts <= e->last_pts)
        return error_set(err, RGPU_ERROR_PARAM, "%s: time stamp %lld does not grow after %lld",
                         e->params.codec, (long long)frame->pts, (long long)e->last_pts);
    return 0;
}

/* HEVC's go in with the picture. */
static void keep_timecode(struct encoder *e, const struct frame *frame)
{
    const uint64_t i = e->frames % INSIDE_MAX;
    e->codes[i].pts = frame->pts;
    e->codes[i].code.count = 0;
    if (strcmp(e->params.codec, "hevc") != 0)
        frame_timecode_of(frame, e->params.timecode_step, &e->codes[i].code);
}

static int write_timecode(const struct encoder *e, struct packet *pkt, struct error *err)
{
    for (uint64_t i = 0; i < INSIDE_MAX && i < e->frames; i++)
        if (e->codes[i].pts == pkt->pts && e->codes[i].code.count > 0)
            return encoder_stream_timecode(e->params.codec, e->headers, &e->codes[i].code, pkt,
                                           err);
    return 0;
}

static int nvenc_send(void *handle, struct frame *frame, struct error *err)
{
    struct encoder *e = handle;
    if (!frame) {
        e->drained = true;
        return nvenc_session_finish(e->session, err);
    }
    int rc = check_frame(e, frame, err);
    if (rc != 0)
        return rc;
    const bool key = e->frames == 0 || frame->flags & FRAME_KEY;
    struct nvenc_sei sei;
    nvenc_sei(&sei, &e->params, frame, key);
    rc = nvenc_session_submit(e->session, frame, key, &sei, err);
    if (rc != 0)
        return rc;
    keep_timecode(e, frame);
    e->last_pts = frame->pts;
    e->frames++;
    return 0;
}

static int nvenc_receive(void *handle, struct packet *ret, struct error *err)
{
    struct encoder *e = handle;
    struct packet pkt = {0};
    int rc = nvenc_session_take(e->session, &pkt, err);
    if (rc == 0 && pkt.flags & PACKET_KEY && !strcmp(e->params.codec, "av1"))
        rc = encoder_stream_av1_hdr(&e->params.hdr, &pkt, err);
    if (rc == 0)
        rc = write_timecode(e, &pkt, err);
    if (rc != 0) {
        packet_done(&pkt);
        return rc;
    }
    pkt.ordinal = e->packets++;
    *ret = packet_move(&pkt);
    return 0;
}

static int nvenc_rate(void *handle, int64_t bit_rate_bps, int64_t bit_rate_max_bps,
                      int64_t vbv_bits, struct error *err)
{
    const struct encoder *e = handle;
    return nvenc_session_rate(e->session, bit_rate_bps, bit_rate_max_bps, vbv_bits, err);
}

const struct encoder_ops nvenc_ops = {
    .format = nvenc_device_format,
    .open = nvenc_open,
    .header = nvenc_header,
    .send = nvenc_send,
    .receive = nvenc_receive,
    .rate = nvenc_rate,
    .close = nvenc_close,
};
