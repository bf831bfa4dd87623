#include "codec/nv/nvenc.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "codec/cpu/encoder_stream.h"
#include "codec/encoder_check.h"
#include "codec/nv/nvenc_session.h"
#include "media/av1.h"

#define LEVEL_UNKNOWN (-99) /* as libavcodec */
#define AV1C_MAX 512        /* bytes */
#define INSIDE_MAX 64       /* frames in a session, and packets that wait in it */
_Static_assert(NVENC_DELAY_MAX + NVENC_SLOTS_SPARE + 2 <= INSIDE_MAX, "a ring holds them");

enum { CODECS_COUNT = 3 };
static const char *const codecs[CODECS_COUNT] = {"h264", "hevc", "av1"};

/* ---- what devices have ----------------------------------------------------------------------- */

struct ability {
    bool asking; /* a thread has not got the answer yet */
    bool known;  /* for ever */
    int rc;      /* why it has none; 0: it has NVENC */
    bool fixable;
    struct error why;
    bool encodes[CODECS_COUNT];
    struct nvenc_caps caps[CODECS_COUNT];
};

static pthread_mutex_t abilities_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t answered = PTHREAD_COND_INITIALIZER;
static struct ability abilities[GPU_DEVICES_MAX]; /* protected by the lock */

/* Chips for computing, all of whose cards are without an encoder (NVIDIA's support matrix): GA100
 * (A100, A30), GH100 (H100, H200), GB100 (B200). Their driver needs a quarter of a second to say
 * so. */
static bool is_without(const struct gpu_info *info)
{
    return (info->compute_major == 8 || info->compute_major == 9 || info->compute_major == 10) &&
           info->compute_minor == 0;
}

/* What is so only now is asked again the next time. */
static void ask(struct ability *a, struct gpu_device *device)
{
    const struct gpu_info *info = gpu_device_info(device);
    const struct gpu_encode *api = NULL;
    *a = (struct ability){0};
    if (is_without(info)) {
        a->rc = error_set(&a->why, RGPU_ERROR_UNSUPPORTED,
                          "cuda:%d (%s): this GPU has no encoder (as A100, H100, H200 and B200 "
                          "have none)",
                          info->index, info->name);
    } else {
        a->rc = nvenc_session_probe(device, codecs, CODECS_COUNT, a->caps, a->encodes, &a->why);
        a->fixable = gpu_encode(&api, NULL) != 0;
    }
    a->known = a->rc == 0 || a->rc == RGPU_ERROR_UNSUPPORTED;
}

/* One at a time asks of a device, and its answer is that of all who wait meanwhile. */
static struct ability ability_of(struct gpu_device *device)
{
    struct ability *a = &abilities[gpu_device_info(device)->index];
    bool waited = false;
    pthread_mutex_lock(&abilities_lock);
    for (; a->asking; waited = true)
        pthread_cond_wait(&answered, &abilities_lock);
    if (!a->known && !waited) {
        struct ability found;
        a->asking = true;
        pthread_mutex_unlock(&abilities_lock);
        ask(&found, device);
        pthread_mutex_lock(&abilities_lock);
        *a = found;
        pthread_cond_broadcast(&answered);
    }
    const struct ability copy = *a;
    pthread_mutex_unlock(&abilities_lock);
    return copy;
}

struct nvenc_question {
    struct gpu_device *device;
    pthread_t thread;
};

static void *question_main(void *arg)
{
    const struct nvenc_question *q = arg;
    (void)ability_of(q->device);
    return NULL;
}

struct nvenc_question *nvenc_ask(struct gpu_device *device)
{
    const struct gpu_info *info = gpu_device_info(device);
    pthread_mutex_lock(&abilities_lock);
    const bool known = abilities[info->index].known;
    pthread_mutex_unlock(&abilities_lock);
    struct nvenc_question *q = known || is_without(info) ? NULL : calloc(1, sizeof(*q));
    if (!q)
        return NULL;
    q->device = device;
    if (thread_start(&q->thread, question_main, q) != 0) {
        free(q);
        return NULL;
    }
    return q;
}

void nvenc_ask_end(struct nvenc_question **question)
{
    struct nvenc_question *q = *question;
    *question = NULL;
    if (!q)
        return;
    pthread_join(q->thread, NULL);
    free(q);
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

int nvenc_present(int device, bool *ret_fixable, struct error *err)
{
    const struct ability a = ability_at(device);
    *ret_fixable = a.fixable;
    if (a.rc == 0 || a.rc == RGPU_ERROR_LIMIT) /* others have all its sessions */
        return 0;
    return error_set(err, a.rc, "%s", a.why.text);
}

enum pixel_format nvenc_device_format(int device, const char *codec, const char *profile,
                                      enum pixel_format source)
{
    const enum pixel_format format = nvenc_format(codec, profile, source);
    const int i = codec_index(codec);
    if (format == PIXEL_NONE || i < 0)
        return PIXEL_NONE;
    const struct ability a = ability_at(device);
    if (a.rc == 0)
        return a.encodes[i] && (format != PIXEL_P010 || a.caps[i].ten_bit) ? format : PIXEL_NONE;
    /* Where it could not be asked now, opening tells. */
    return a.rc == RGPU_ERROR_UNSUPPORTED || a.rc == RGPU_ERROR_LIMIT ? PIXEL_NONE : format;
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
    if (e->params.timecode_step > 0 && !strcmp(e->params.codec, "h264") &&
        !encoder_stream_h264_timed(e->headers))
        snprintf(header.note, sizeof(header.note),
                 "time codes are left out of h264: this driver's encoder has no place for them; "
                 "--codec hevc has one");
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
        encoder_timecode(&e->params, frame, &e->codes[i].code);
}

static int write_timecode(const struct encoder *e, struct packet *pkt, struct error *err)
{
    for (uint64_t i = 0; i < INSIDE_MAX && i < e->frames; i++)
        if (e->codes[i].pts == pkt->pts && e->codes[i].code.count > 0)
            return encoder_stream_timecode(e->params.codec, e->headers, &e->codes[i].code, pkt,
                                           err);
    return 0;
}

/* A session that runs has what it needs: if the driver refuses something now, another try may do,
 * and the CPU's encoder is for who asks for it. */
static int while_running(int rc, struct error *err)
{
    if (rc != RGPU_ERROR_UNSUPPORTED && rc != RGPU_ERROR_LIMIT)
        return rc;
    if (!err)
        return RGPU_ERROR_DEVICE;
    const struct error plain = *err;
    return error_set(err, RGPU_ERROR_DEVICE, "%.440s; --device cpu does without NVENC", plain.text);
}

static int nvenc_send(void *handle, struct frame *frame, struct error *err)
{
    struct encoder *e = handle;
    if (!frame) {
        e->drained = true;
        return while_running(nvenc_session_finish(e->session, err), err);
    }
    int rc = check_frame(e, frame, err);
    if (rc != 0)
        return rc;
    const bool key = e->frames == 0 || frame->flags & FRAME_KEY;
    struct nvenc_sei sei;
    nvenc_sei(&sei, &e->params, frame, key);
    rc = nvenc_session_submit(e->session, frame, key, &sei, err);
    if (rc != 0)
        return while_running(rc, err);
    keep_timecode(e, frame);
    e->last_pts = frame->pts;
    e->frames++;
    return 0;
}

static int nvenc_receive(void *handle, struct packet *ret, struct error *err)
{
    struct encoder *e = handle;
    struct packet pkt = {0};
    int rc = while_running(nvenc_session_take(e->session, &pkt, err), err);
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
