/* rgpu_bench: what a device does, measured through the same tables that jobs use, on moving
 * pictures with detail and noise that it makes itself. */
#include <rgpu/device.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/device.h"
#include "base/clock.h"

#define BY_CPU ", by the CPU" /* behind what a GPU does not do itself */
#define SOURCE_FRAMES 32      /* played forwards and backwards, so that motion never jumps */
#define PACKETS_MAX 256
#define DECODED_MAX 4
#define FIGURES_MAX 8 /* of encoders, of one size */

enum { CODECS_COUNT = 3 };
static const char *const codecs[CODECS_COUNT] = {"h264", "hevc", "av1"};

/* What an encoder made, for the decoder's turn. */
struct clip {
    struct packet packets[PACKETS_MAX];
    int count;
};

struct figure {
    char what[64];
    struct rgpu_bench_result result;
};

struct bench {
    struct device device;
    const struct codec_backend *backend;
    double seconds;
    int (*result)(void *opaque, const struct rgpu_bench_result *figure);
    void *opaque;
    struct frame *frames[SOURCE_FRAMES];
    struct clip clips[CODECS_COUNT]; /* of one size */
    /* Encoders are measured first, as decoders need what they make, and told last. */
    struct figure encodes[FIGURES_MAX];
    int encodes_count;
};

/* A stop watch for one figure. */
struct watch {
    int64_t start_ns, cpu_ns;
};

static struct watch watch_start(void)
{
    return (struct watch){clock_now_ns(), clock_cpu_ns()};
}

static bool watch_over(const struct bench *b, const struct watch *w)
{
    return (double)(clock_now_ns() - w->start_ns) / 1e9 >= b->seconds;
}

static struct rgpu_bench_result watch_read(const struct watch *w, int width, int height,
                                           int64_t frames)
{
    const double wall = (double)(clock_now_ns() - w->start_ns) / 1e9;
    const double cpu = (double)(clock_cpu_ns() - w->cpu_ns) / 1e9;
    return (struct rgpu_bench_result){
        .width = width,
        .height = height,
        .frames_per_second = (double)frames / wall,
        .cpu_seconds_per_1000_frames = frames ? cpu * 1000 / (double)frames : 0,
    };
}

static int tell(struct bench *b, const char *what, struct rgpu_bench_result figure)
{
    figure.what = what;
    return b->result(b->opaque, &figure) == 0 ? 0 : RGPU_ERROR_CANCELLED;
}

/* ---- pictures ------------------------------------------------------------------------------ */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

static void paint(struct frame *frame, int number)
{
    uint32_t random = 0x9e3779b9u + (uint32_t)number;
    for (int p = 0; p < 3; p++) {
        const int width = pixel_plane_width(frame->format, p, frame->width);
        const int height = pixel_plane_height(frame->format, p, frame->height);
        const int shift = p ? number : 2 * number;
        for (int y = 0; y < height; y++) {
            uint8_t *line = frame->data[p] + y * frame->stride[p];
            for (int x = 0; x < width; x++) {
                int texture = ((x + shift) * (y + shift / 2) >> 6) & 63;
                int slope = (x * 96 / width) + (y * 48 / height);
                line[x] = (uint8_t)(32 + texture + slope + (int)(next_random(&random) & 7));
            }
        }
    }
}

static void free_frames(struct bench *b)
{
    for (int i = 0; i < SOURCE_FRAMES; i++)
        frame_unref(&b->frames[i]);
}

static int make_frames(struct bench *b, int width, int height, struct error *err)
{
    free_frames(b);
    for (int i = 0; i < SOURCE_FRAMES; i++) {
        b->frames[i] = frame_new(PIXEL_YUV420P, width, height);
        if (!b->frames[i])
            return error_memory(err, "test pictures");
        paint(b->frames[i], i);
    }
    return 0;
}

/* The n-th frame of the endless film, which goes forth and back. Borrowed. */
static struct frame *film_frame(struct bench *b, int64_t n)
{
    const int turn = (int)(n % (2 * SOURCE_FRAMES - 2));
    return b->frames[turn < SOURCE_FRAMES ? turn : 2 * SOURCE_FRAMES - 2 - turn];
}

/* ---- encode -------------------------------------------------------------------------------- */

static void free_clips(struct bench *b)
{
    for (int c = 0; c < CODECS_COUNT; c++) {
        for (int i = 0; i < b->clips[c].count; i++)
            packet_done(&b->clips[c].packets[i]);
        b->clips[c].count = 0;
    }
}

/* Takes what the encoder has; the first packets are kept in `clip`, if that is not NULL. */
static int drain_packets(struct bench *b, void *encoder, struct clip *clip, int64_t *frames,
                         struct error *err)
{
    struct packet pkt = {0};
    int ret;
    while ((ret = b->backend->encoder->receive(encoder, &pkt, err)) == 0) {
        (*frames)++;
        if (clip && clip->count < PACKETS_MAX) {
            pkt.ordinal = (uint64_t)clip->count;
            clip->packets[clip->count++] = packet_move(&pkt);
        }
        packet_done(&pkt);
    }
    return ret == RGPU_ERROR_AGAIN || ret == RGPU_ERROR_END ? 0 : ret;
}

static int encode_film(struct bench *b, void *encoder, struct clip *clip, const struct watch *watch,
                       int64_t *frames, struct error *err)
{
    const struct encoder_ops *ops = b->backend->encoder;
    for (int64_t n = 0; !watch_over(b, watch) || n < 2; n++) {
        struct frame *frame = film_frame(b, n);
        frame->pts = n;
        frame->duration = 1;
        frame->flags = n % 60 ? 0 : FRAME_KEY;
        int ret;
        while ((ret = ops->send(encoder, frame, err)) == RGPU_ERROR_AGAIN)
            if ((ret = drain_packets(b, encoder, clip, frames, err)) != 0)
                return ret;
        if (ret == 0)
            ret = drain_packets(b, encoder, clip, frames, err);
        if (ret != 0)
            return ret;
    }
    int ret;
    while ((ret = ops->send(encoder, NULL, err)) == RGPU_ERROR_AGAIN)
        if ((ret = drain_packets(b, encoder, clip, frames, err)) != 0)
            return ret;
    return ret == 0 ? drain_packets(b, encoder, clip, frames, err) : ret;
}

/* Whether the device gives this encode to the CPU. */
static bool encodes_elsewhere(const struct bench *b, void *encoder)
{
    struct encoder_header header = {0};
    b->backend->encoder->header(encoder, &header);
    buffer_unref(&header.extradata);
    return !b->device.info.encodes || header.note[0];
}

static int bench_encode(struct bench *b, int codec, int width, int height, int speed,
                        struct error *err)
{
    const char *const name = codecs[codec];
    struct clip *clip = &b->clips[codec];
    struct encoder_params params = {
        .device = b->device.info.index,
        .width = width,
        .height = height,
        .format = b->backend->encoder->format(b->device.info.index, name, "", PIXEL_YUV420P),
        .time_base = {1, 30},
        .frame_rate = {30, 1},
        .rate = RATE_VBR,
        .bit_rate_bps = (int64_t)width * height * 5 / 2,
        .speed = speed,
        .bframes = -1,
    };
    snprintf(params.codec, sizeof(params.codec), "%s", name);
    if (params.format != PIXEL_YUV420P && params.format != PIXEL_NV12)
        return 0; /* no such encoder here */
    void *encoder = NULL;
    int ret = b->backend->encoder->open(&encoder, &params, err);
    if (ret != 0)
        return ret;
    int64_t frames = 0;
    struct figure *figure = &b->encodes[b->encodes_count];
    snprintf(figure->what, sizeof(figure->what), "encode %s p%d%s", name, speed,
             encodes_elsewhere(b, encoder) ? BY_CPU : "");
    const struct watch watch = watch_start();
    ret = encode_film(b, encoder, clip->count ? NULL : clip, &watch, &frames, err);
    figure->result = watch_read(&watch, width, height, frames);
    b->encodes_count += ret == 0;
    b->backend->encoder->close(encoder);
    return ret;
}

/* ---- decode -------------------------------------------------------------------------------- */

static int drain_frames(struct bench *b, void *decoder, int64_t *frames, struct error *err)
{
    struct frame *frame = NULL;
    int ret;
    while ((ret = b->backend->decoder->receive(decoder, &frame, err)) == 0) {
        (*frames)++;
        frame_unref(&frame);
    }
    return ret == RGPU_ERROR_AGAIN || ret == RGPU_ERROR_END ? 0 : ret;
}

/* Plays the kept packets over and over: they begin with a key frame. */
static int decode_film(struct bench *b, void *decoder, const struct clip *clip,
                       const struct watch *watch, int64_t *frames, struct error *err)
{
    const struct decoder_ops *ops = b->backend->decoder;
    for (int64_t n = 0; !watch_over(b, watch) || n < clip->count; n++) {
        struct packet pkt = clip->packets[n % clip->count];
        pkt.pts += n / clip->count * PACKETS_MAX;
        pkt.ordinal = (uint64_t)n;
        int ret;
        while ((ret = ops->send(decoder, &pkt, err)) == RGPU_ERROR_AGAIN)
            if ((ret = drain_frames(b, decoder, frames, err)) != 0)
                return ret;
        if (ret == 0)
            ret = drain_frames(b, decoder, frames, err);
        if (ret != 0)
            return ret;
    }
    int ret;
    while ((ret = ops->send(decoder, NULL, err)) == RGPU_ERROR_AGAIN)
        if ((ret = drain_frames(b, decoder, frames, err)) != 0)
            return ret;
    return ret == 0 ? drain_frames(b, decoder, frames, err) : ret;
}

static struct track bench_track(const char *codec, int width, int height)
{
    struct track track = {.width = width,
                          .height = height,
                          .time_base = {1, 30},
                          .frame_rate = {30, 1},
                          .codec_profile = -99,
                          .codec_level = -99,
                          .reorder_frames = -1};
    snprintf(track.codec, sizeof(track.codec), "%s", codec);
    return track;
}

static int bench_decode(struct bench *b, int codec, int width, int height, struct error *err)
{
    const struct track track = bench_track(codecs[codec], width, height);
    if (!b->clips[codec].count)
        return 0;
    void *decoder = NULL;
    int ret = b->backend->decoder->open(
        &decoder, &(struct decoder_params){.track = &track, .device = b->device.info.index}, err);
    if (ret != 0)
        return ret;
    int64_t frames = 0;
    char what[64];
    struct decoder_stats stats;
    const struct watch watch = watch_start();
    ret = decode_film(b, decoder, &b->clips[codec], &watch, &frames, err);
    const struct rgpu_bench_result result = watch_read(&watch, width, height, frames);
    b->backend->decoder->stats(decoder, &stats);
    snprintf(what, sizeof(what), "decode %s%s", codecs[codec], stats.note[0] ? BY_CPU : "");
    b->backend->decoder->close(decoder);
    return ret == 0 ? tell(b, what, result) : ret;
}

/* ---- scale --------------------------------------------------------------------------------- */

/* Pictures to scale that live where jobs on the device have them: its decoder's own. */
struct decoded {
    void *decoder;
    struct frame *frames[DECODED_MAX];
    int count;
};

static void decoded_done(struct bench *b, struct decoded *d)
{
    for (int i = 0; i < d->count; i++)
        frame_unref(&d->frames[i]);
    if (d->decoder)
        b->backend->decoder->close(d->decoder);
}

static int decode_some(struct bench *b, int width, int height, struct decoded *d, struct error *err)
{
    const struct decoder_ops *ops = b->backend->decoder;
    const struct clip *clip = &b->clips[0];
    const struct track track = bench_track(codecs[0], width, height);
    int ret =
        ops->open(&d->decoder,
                  &(struct decoder_params){.track = &track, .device = b->device.info.index}, err);
    for (int n = 0; ret == 0 && n <= clip->count && d->count < DECODED_MAX;) {
        ret = ops->send(d->decoder, n < clip->count ? &clip->packets[n] : NULL, err);
        n += ret == 0;
        ret = ret == RGPU_ERROR_AGAIN ? 0 : ret; /* once more, behind what is received now */
        while (ret == 0 && d->count < DECODED_MAX &&
               (ret = ops->receive(d->decoder, &d->frames[d->count], err)) == 0)
            d->count++;
        if (ret == RGPU_ERROR_AGAIN || ret == RGPU_ERROR_END)
            ret = 0;
    }
    return ret;
}

static void free_outputs(struct frame **frames)
{
    for (int i = 0; i < RENDITIONS_MAX; i++)
        frame_unref(&frames[i]);
}

static int scale_film(struct bench *b, int width, int height, const struct decoded *decoded,
                      struct error *err)
{
    static const struct scaler_output rungs[] = {{1920, 1080, PIXEL_YUV420P},
                                                 {1280, 720, PIXEL_YUV420P},
                                                 {854, 480, PIXEL_YUV420P},
                                                 {640, 360, PIXEL_YUV420P}};
    struct scaler_params params = {.device = b->device.info.index,
                                   .width = width,
                                   .height = height,
                                   .format = decoded->frames[0]->format};
    char what[64] = "scale to";
    for (size_t i = 0; i < sizeof(rungs) / sizeof(rungs[0]); i++) {
        if (rungs[i].height >= height)
            continue;
        size_t length = strlen(what);
        params.outputs[params.outputs_count++] = rungs[i];
        snprintf(what + length, sizeof(what) - length, "%s%dp", length > 8 ? "+" : " ",
                 rungs[i].height);
    }
    void *scaler = NULL;
    int ret = b->backend->scaler->open(&scaler, &params, err);
    if (ret != 0)
        return ret;
    int64_t frames = 0;
    const struct watch watch = watch_start();
    /* As in a job, where the encoders have one picture while the next is made. */
    struct frame *out[2][RENDITIONS_MAX] = {0};
    while (ret == 0 && (!watch_over(b, &watch) || frames < 2)) {
        struct frame **mine = out[frames % 2];
        free_outputs(mine);
        ret = b->backend->scaler->run(scaler, decoded->frames[frames++ % decoded->count],
                                      (1u << params.outputs_count) - 1, mine, err);
    }
    const struct rgpu_bench_result result = watch_read(&watch, width, height, frames);
    free_outputs(out[0]);
    free_outputs(out[1]);
    b->backend->scaler->close(scaler);
    return ret == 0 ? tell(b, what, result) : ret;
}

static int bench_scale(struct bench *b, int width, int height, struct error *err)
{
    struct decoded decoded = {0};
    int ret = decode_some(b, width, height, &decoded, err);
    if (ret == 0 && decoded.count)
        ret = scale_film(b, width, height, &decoded, err);
    decoded_done(b, &decoded);
    return ret;
}

/* ---- all ----------------------------------------------------------------------------------- */

/* Told in the order in which a film passes. */
static int bench_size(struct bench *b, int width, int height, struct error *err)
{
    static const struct {
        int codec, speed;
    } encodes[] = {{0, 1}, {0, 2}, {0, 4}, {1, 1}, {2, 1}};
    _Static_assert(sizeof(encodes) / sizeof(encodes[0]) <= FIGURES_MAX, "all figures are held");
    free_clips(b);
    b->encodes_count = 0;
    int ret = make_frames(b, width, height, err);
    for (size_t i = 0; i < sizeof(encodes) / sizeof(encodes[0]) && ret == 0; i++)
        ret = bench_encode(b, encodes[i].codec, width, height, encodes[i].speed, err);
    for (int c = 0; c < CODECS_COUNT && ret == 0; c++)
        ret = bench_decode(b, c, width, height, err);
    if (ret == 0)
        ret = bench_scale(b, width, height, err);
    /* What has been measured is told although something failed. */
    bool stopped = ret == RGPU_ERROR_CANCELLED;
    for (int i = 0; i < b->encodes_count && !stopped; i++)
        stopped = tell(b, b->encodes[i].what, b->encodes[i].result) != 0;
    return ret == 0 && stopped ? RGPU_ERROR_CANCELLED : ret;
}

int rgpu_bench(const char *device, double seconds,
               int (*result)(void *opaque, const struct rgpu_bench_result *figure), void *opaque,
               char *message, size_t message_size)
{
    static const int sizes[][2] = {{1280, 720}, {1920, 1080}, {3840, 2160}};
    struct error err = {0};
    if (!result)
        return RGPU_ERROR_PARAM;
    struct bench *b = calloc(1, sizeof(*b));
    if (!b)
        return RGPU_ERROR_MEMORY;
    b->seconds = seconds > 0 ? seconds : 1;
    b->result = result;
    b->opaque = opaque;
    int ret = device_open(&b->device, device, NULL, &err);
    b->backend = ret == 0 ? codec_backend(b->device.info.kind) : NULL;
    if (ret == 0)
        device_examine(&b->device);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && ret == 0; i++)
        ret = bench_size(b, sizes[i][0], sizes[i][1], &err);
    free_clips(b);
    free_frames(b);
    device_close(&b->device);
    free(b);
    if (message && message_size)
        snprintf(message, message_size, "%s", err.text);
    return ret;
}
