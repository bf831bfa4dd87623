#include "nvdec_load.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "codec/nv/decoder.h"
#include "codec/nv/decoder_stream.h"
#include "codec/nv/download.h"
#include "codec/nv/scaler.h"
#include "file/reader.h"
#include "gpu/idle.h"
#include "gpu/stream.h"

#define OPENS_ANEW 10     /* without what is kept */
#define OPENS_FIRST 20    /* what the driver keeps for good is there after so many */
#define OPENS_PACKETS 12  /* that each session is given */
#define PACKETS_MAX 20000 /* of a film that is decoded for speed: they are kept in memory */
#define SURFACES_EXTRA 4
#define SURFACES_MAX 32
#define DELAY 3
#define HELD 4
#define SCALED 2

/* ---- speed ----------------------------------------------------------------------------------- */

static const int ladder[][2] = {{1280, 720}, {854, 480}, {640, 360}, {426, 240}};

/* A film in memory. */
struct load {
    struct gpu_device *device;
    struct reader *reader;
    const struct track *track; /* the reader's */
    struct packet *packets;
    struct packet *raw; /* the same as the driver's parser takes them */
    size_t count;
    int64_t span; /* from the film's first pts to the end of its last frame */
    cudaVideoCodec codec;
    long frames; /* that each session decodes */
    bool low_latency;
};

struct session {
    const struct load *load;
    long frames;
    struct error err;
    int code;
    struct frame *held[HELD]; /* a ring */
    unsigned held_first, held_count;
    void *scaler;                                 /* of the ladder */
    struct frame *scaled[SCALED][RENDITIONS_MAX]; /* the last few pictures' rungs */
    /* Of a bare session. */
    CUvideoparser parser;
    CUvideodecoder decoder;
    CUstream stream;
    CUresult result;
};

static int load_raw(struct load *load, struct error *err)
{
    struct nv_stream stream;
    int rc = nv_stream_init(&stream, load->track, err);
    load->codec = stream.codec;
    for (size_t i = 0; rc == 0 && i < load->count; i++) {
        const uint8_t *bytes;
        size_t size;
        rc = nv_stream_bytes(&stream, &load->packets[i], &bytes, &size, err);
        if (rc != 0)
            break;
        load->raw[i].buf = buffer_copy(bytes, size);
        if (!load->raw[i].buf)
            rc = error_memory(err, "packets");
        else
            load->raw[i].data = load->raw[i].buf->data;
        load->raw[i].size = size;
    }
    nv_stream_done(&stream);
    return rc;
}

static void measure_span(struct load *load)
{
    int64_t first = INT64_MAX, end = INT64_MIN;
    for (size_t i = 0; i < load->count; i++) {
        const struct packet *pkt = &load->packets[i];
        first = pkt->pts < first ? pkt->pts : first;
        end = pkt->pts + pkt->duration > end ? pkt->pts + pkt->duration : end;
    }
    load->span = end - first;
}

static int load_film(struct load *load, const char *path, struct error *err)
{
    int rc =
        reader_open(&load->reader, &(struct reader_params){.path = path, .video_track = -1}, err);
    if (rc != 0)
        return rc;
    load->packets = calloc(PACKETS_MAX, sizeof(*load->packets));
    load->raw = calloc(PACKETS_MAX, sizeof(*load->raw));
    if (!load->packets || !load->raw)
        return error_memory(err, "packets");
    if (!reader_video(load->reader))
        return error_set(err, RGPU_ERROR_INPUT, "%s: no video track", path);
    load->track = &reader_video(load->reader)->video;
    struct reader_packet pkt = {0};
    while (load->count < PACKETS_MAX && (rc = reader_next(load->reader, &pkt, err)) == 0) {
        if (pkt.track == reader_video(load->reader)->index)
            load->packets[load->count++] = packet_share(&pkt.video);
        reader_packet_done(&pkt);
    }
    if (rc != 0 && rc != RGPU_ERROR_END)
        return rc;
    measure_span(load);
    return load->count ? load_raw(load, err)
                       : error_set(err, RGPU_ERROR_INPUT, "%s: no packet of video", path);
}

static void load_done(struct load *load)
{
    for (size_t i = 0; i < load->count; i++) {
        packet_done(&load->packets[i]);
        packet_done(&load->raw[i]);
    }
    free(load->packets);
    free(load->raw);
    reader_close(&load->reader);
}

/* Drops the oldest frame that is held, when the device is done with it. */
static int drop_frame(struct session *s)
{
    const struct gpu_driver *driver = gpu_device_driver(s->load->device);
    struct frame **oldest = &s->held[s->held_first++ % HELD];
    s->held_count--;
    int rc = gpu_enter(s->load->device, &s->err);
    if (rc == 0) {
        const CUresult result = driver->cuda->cuEventSynchronize((CUevent)(*oldest)->ready);
        rc = result == CUDA_SUCCESS ? 0 : gpu_error(&s->err, result, "waiting for a picture");
        gpu_leave(s->load->device);
    }
    frame_unref(oldest);
    return rc;
}

/* Takes what is there, holding a few, as a scaler behind would. */
static int take_frames(struct session *s, void *dec)
{
    struct frame *frame = NULL;
    int rc;
    while ((rc = nv_decoder_ops.receive(dec, &frame, &s->err)) == 0) {
        if (s->held_count == HELD)
            rc = drop_frame(s);
        s->held[(s->held_first + s->held_count++) % HELD] = frame;
        s->frames++;
        if (rc != 0)
            return rc;
    }
    return rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END ? 0 : rc;
}

static void drop_scaled(struct frame **rungs)
{
    for (int i = 0; i < RENDITIONS_MAX; i++)
        frame_unref(&rungs[i]);
}

static int open_ladder(struct session *s, const struct frame *frame)
{
    struct scaler_params params = {.device = gpu_device_info(s->load->device)->index,
                                   .width = frame->width,
                                   .height = frame->height,
                                   .format = frame->format};
    for (size_t i = 0; i < sizeof(ladder) / sizeof(ladder[0]); i++)
        params.outputs[params.outputs_count++] = (struct scaler_output){
            .width = ladder[i][0], .height = ladder[i][1], .format = PIXEL_YUV420P};
    return nv_scaler_ops.open(&s->scaler, &params, &s->err);
}

/* As a job does it: an output is waited for when the encoder would be done with it. */
static int scale_frames(struct session *s, void *dec)
{
    const uint32_t all = (1u << sizeof(ladder) / sizeof(ladder[0])) - 1;
    struct frame *frame = NULL;
    int rc;
    while ((rc = nv_decoder_ops.receive(dec, &frame, &s->err)) == 0) {
        struct frame **rungs = s->scaled[s->frames % SCALED];
        drop_scaled(rungs);
        rc = s->scaler ? 0 : open_ladder(s, frame);
        if (rc == 0)
            rc = nv_scaler_ops.run(s->scaler, frame, all, rungs, &s->err);
        frame_unref(&frame);
        s->frames++;
        if (rc != 0)
            return rc;
    }
    return rc == RGPU_ERROR_AGAIN || rc == RGPU_ERROR_END ? 0 : rc;
}

/* The film's i-th packet of an endless one: the film again and again. */
static struct packet endless(const struct load *load, size_t i)
{
    struct packet pkt = load->packets[i % load->count];
    const int64_t pass = (int64_t)(i / load->count);
    pkt.pts += pass * load->span;
    pkt.dts += pkt.dts == PTS_NONE ? 0 : pass * load->span;
    pkt.ordinal = i;
    return pkt;
}

static void decode_with(struct session *s, int (*take)(struct session *s, void *dec))
{
    void *dec = NULL;
    const struct decoder_params params = {.track = s->load->track,
                                          .device = gpu_device_info(s->load->device)->index};
    s->code = nv_decoder_ops.open(&dec, &params, &s->err);
    bool ended = false;
    for (size_t i = 0; s->code == 0 && !ended;) {
        const bool last = s->frames >= s->load->frames;
        const struct packet pkt = endless(s->load, i);
        s->code = nv_decoder_ops.send(dec, last ? NULL : &pkt, &s->err);
        i += s->code == 0;
        ended = s->code == 0 && last;
        if (s->code == 0 || s->code == RGPU_ERROR_AGAIN)
            s->code = take(s, dec);
    }
    while (s->held_count > 0)
        drop_frame(s);
    for (int i = 0; i < SCALED; i++)
        drop_scaled(s->scaled[i]);
    if (s->scaler)
        nv_scaler_ops.close(s->scaler);
    nv_decoder_ops.close(dec);
}

static void *decode_ours(void *arg)
{
    decode_with(arg, take_frames);
    return NULL;
}

static void *decode_ladder(void *arg)
{
    decode_with(arg, scale_frames);
    return NULL;
}

static const CuvidFunctions *cuvid_of(const struct session *s)
{
    return gpu_device_driver(s->load->device)->cuvid;
}

static int CUDAAPI bare_sequence(void *opaque, CUVIDEOFORMAT *f)
{
    struct session *s = opaque;
    int count = f->min_num_decode_surfaces + SURFACES_EXTRA;
    count = count < SURFACES_MAX ? count : SURFACES_MAX;
    if (s->decoder)
        return count;
    CUVIDDECODECREATEINFO info = {
        .ulWidth = f->coded_width,
        .ulHeight = f->coded_height,
        .ulMaxWidth = f->coded_width,
        .ulMaxHeight = f->coded_height,
        .ulNumDecodeSurfaces = (tcu_ulong)count,
        .CodecType = f->codec,
        .ChromaFormat = f->chroma_format,
        .ulCreationFlags = cudaVideoCreate_PreferCUVID,
        .bitDepthMinus8 = f->bit_depth_luma_minus8,
        .OutputFormat =
            f->bit_depth_luma_minus8 ? cudaVideoSurfaceFormat_P016 : cudaVideoSurfaceFormat_NV12,
        .DeinterlaceMode = cudaVideoDeinterlaceMode_Weave,
        .ulTargetWidth = f->coded_width,
        .ulTargetHeight = f->coded_height,
        .ulNumOutputSurfaces = 2,
    };
    s->result = cuvid_of(s)->cuvidCreateDecoder(&s->decoder, &info);
    return s->result == CUDA_SUCCESS ? count : 0;
}

static int CUDAAPI bare_decode(void *opaque, CUVIDPICPARAMS *picture)
{
    struct session *s = opaque;
    s->result = cuvid_of(s)->cuvidDecodePicture(s->decoder, picture);
    return s->result == CUDA_SUCCESS;
}

static int CUDAAPI bare_display(void *opaque, CUVIDPARSERDISPINFO *picture)
{
    struct session *s = opaque;
    if (!picture)
        return 1;
    CUVIDPROCPARAMS params = {.progressive_frame = 1, .output_stream = s->stream};
    unsigned long long address = 0;
    unsigned pitch;
    s->result = cuvid_of(s)->cuvidMapVideoFrame(s->decoder, picture->picture_index, &address,
                                                &pitch, &params);
    if (s->result == CUDA_SUCCESS)
        s->result = cuvid_of(s)->cuvidUnmapVideoFrame(s->decoder, address);
    s->frames++;
    return s->result == CUDA_SUCCESS;
}

/* One packet of the endless film, or its end. */
static void bare_packet(struct session *s, size_t i, bool end)
{
    const struct packet *raw = &s->load->raw[i % s->load->count];
    CUVIDSOURCEDATAPACKET data = {.flags = CUVID_PKT_ENDOFSTREAM};
    if (!end)
        data = (CUVIDSOURCEDATAPACKET){.flags = CUVID_PKT_TIMESTAMP,
                                       .payload = raw->data,
                                       .payload_size = (tcu_ulong)raw->size,
                                       .timestamp = (CUvideotimestamp)i};
    const CUresult parsed = cuvid_of(s)->cuvidParseVideoData(s->parser, &data);
    if (s->result == CUDA_SUCCESS)
        s->result = parsed;
}

static void bare_run(struct session *s)
{
    CUVIDPARSERPARAMS params = {
        .CodecType = s->load->codec,
        .ulMaxNumDecodeSurfaces = 1,
        .ulMaxDisplayDelay = DELAY,
        .pUserData = s,
        .pfnSequenceCallback = bare_sequence,
        .pfnDecodePicture = bare_decode,
        .pfnDisplayPicture = bare_display,
    };
    s->result = cuvid_of(s)->cuvidCreateVideoParser(&s->parser, &params);
    size_t i = 0;
    /* A film of which nothing is shown has been through once then. */
    while (s->result == CUDA_SUCCESS && s->frames < s->load->frames &&
           (s->frames > 0 || i <= s->load->count))
        bare_packet(s, i++, false);
    if (s->result == CUDA_SUCCESS)
        bare_packet(s, 0, true);
    if (s->parser)
        cuvid_of(s)->cuvidDestroyVideoParser(s->parser);
    s->parser = NULL;
}

static void *decode_bare(void *arg)
{
    struct session *s = arg;
    s->code = gpu_enter(s->load->device, &s->err);
    if (s->code != 0)
        return NULL;
    s->code = gpu_stream_new(s->load->device, &s->stream, &s->err);
    if (s->code == 0) {
        bare_run(s);
        if (s->result != CUDA_SUCCESS)
            s->code = gpu_error(&s->err, s->result, "decoding in a bare loop");
        else if (s->frames == 0)
            s->code = error_set(&s->err, RGPU_ERROR_INPUT, "the driver shows no picture");
    }
    gpu_stream_free(s->load->device, &s->stream);
    if (s->decoder)
        cuvid_of(s)->cuvidDestroyDecoder(s->decoder);
    gpu_leave(s->load->device);
    return NULL;
}

static int time_sessions(const struct load *load, int count, const char *name,
                         void *(*main)(void *arg), double *ret_rate)
{
    pthread_t threads[SESSIONS_MAX];
    struct session *sessions = calloc((size_t)count, sizeof(*sessions));
    if (!sessions)
        return 1;
    const int64_t begin = clock_now_ns(), cpu = clock_cpu_ns();
    int started = 0;
    while (started < count) {
        sessions[started].load = load;
        if (pthread_create(&threads[started], NULL, main, &sessions[started]) != 0)
            break;
        started++;
    }
    long frames = 0;
    int failed = started < count;
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        frames += sessions[i].frames;
        failed = failed || sessions[i].code != 0;
        if (sessions[i].code != 0)
            fprintf(stderr, "%s, session %d: %s\n", name, i, sessions[i].err.text);
    }
    const double wall_s = (double)(clock_now_ns() - begin) / 1e9;
    const double cpu_s = (double)(clock_cpu_ns() - cpu) / 1e9;
    *ret_rate = (double)frames / wall_s;
    printf("%-6s %3d sessions: %8ld frames, %8.1f frames/s, %.3f CPU s per 1000 frames\n", name,
           count, frames, *ret_rate, frames ? cpu_s * 1000 / (double)frames : 0.0);
    free(sessions);
    return failed;
}

int nvdec_speed(const char *path, struct gpu_device *device, int sessions, long frames)
{
    struct load load = {.device = device, .frames = frames};
    struct error err = {0};
    double bare = 0, ours = 0, resized = 0;
    int failed = load_film(&load, path, &err) != 0;
    if (failed)
        fprintf(stderr, "%s\n", err.text);
    else
        failed = time_sessions(&load, sessions, "bare", decode_bare, &bare) ||
                 time_sessions(&load, sessions, "ours", decode_ours, &ours) ||
                 time_sessions(&load, sessions, "ladder", decode_ladder, &resized);
    if (!failed && bare > 0)
        printf("ours is %.3f of the bare loop, the ladder %.3f\n", ours / bare, resized / bare);
    load_done(&load);
    return failed;
}

/* ---- opening and closing --------------------------------------------------------------------- */

struct memory {
    int64_t device_bytes, host_bytes;
};

static struct memory memory_used(struct gpu_device *device)
{
    struct memory ret = {0};
    size_t free_bytes = 0, total_bytes = 0;
    if (gpu_enter(device, NULL) == 0) {
        gpu_device_driver(device)->cuMemGetInfo(&free_bytes, &total_bytes);
        gpu_leave(device);
    }
    ret.device_bytes = (int64_t)(total_bytes - free_bytes);
    FILE *file = fopen("/proc/self/statm", "re");
    long size, resident;
    if (file && fscanf(file, "%ld %ld", &size, &resident) == 2)
        ret.host_bytes = (int64_t)resident * sysconf(_SC_PAGESIZE);
    if (file)
        fclose(file);
    return ret;
}

enum phase { DRIVER, CONTEXT, KERNELS, DECODER, PICTURE, LADDER, START, CLOSE, PHASES };

static const char *const phase_names[PHASES] = {
    [DRIVER] = "driver",   [CONTEXT] = "context", [KERNELS] = "kernels", [DECODER] = "decoder",
    [PICTURE] = "picture", [LADDER] = "ladder",   [START] = "start",     [CLOSE] = "close",
};

/* Milliseconds. START is all before it. */
struct phases {
    double ms[PHASES];
};

static double ms_since(int64_t *since)
{
    const int64_t now = clock_now_ns();
    const double ms = (double)(now - *since) / 1e6;
    *since = now;
    return ms;
}

/* The first frame, resized, is waited for in host memory. */
static int first_out(struct session *s, struct frame *frame)
{
    const uint32_t all = (1u << sizeof(ladder) / sizeof(ladder[0])) - 1;
    struct frame **rungs = s->scaled[0];
    int rc = open_ladder(s, frame);
    if (rc == 0)
        rc = nv_scaler_ops.run(s->scaler, frame, all, rungs, &s->err);
    s->frames++;
    for (size_t i = 0; rc == 0 && i < sizeof(ladder) / sizeof(ladder[0]); i++)
        rc = nv_frame_wait(s->load->device, rungs[i], &s->err);
    return rc;
}

static int take_first(struct session *s, void *dec, int64_t *since, struct phases *ret)
{
    struct frame *frame = NULL;
    int rc = nv_decoder_ops.receive(dec, &frame, &s->err);
    if (rc != 0)
        return rc == RGPU_ERROR_AGAIN ? 0 : rc;
    ret->ms[PICTURE] = ms_since(since);
    rc = first_out(s, frame);
    ret->ms[LADDER] = ms_since(since);
    frame_unref(&frame);
    return rc;
}

/* Phases that the device has passed already stay as they are. */
static int open_once(struct session *s, struct phases *ret)
{
    void *dec = NULL;
    int64_t since = clock_now_ns();
    const struct decoder_params params = {.track = s->load->track,
                                          .device = gpu_device_info(s->load->device)->index,
                                          .low_latency = s->load->low_latency};
    s->code = nv_decoder_ops.open(&dec, &params, &s->err);
    bool sent = false;
    for (size_t i = 0; s->code == 0 && i < s->load->count && i < OPENS_PACKETS;) {
        s->code = nv_decoder_ops.send(dec, &s->load->packets[i], &s->err);
        i += s->code == 0;
        if (!sent) /* the driver's decoder is made with the first packet */
            ret->ms[DECODER] = ms_since(&since);
        sent = true;
        if (s->code == RGPU_ERROR_AGAIN)
            s->code = 0;
        if (s->code == 0 && !s->scaler)
            s->code = take_first(s, dec, &since, ret);
        if (s->code == 0 && s->scaler)
            s->code = scale_frames(s, dec);
    }
    ret->ms[START] = 0;
    for (int i = 0; i < START; i++)
        ret->ms[START] += ret->ms[i];
    since = clock_now_ns();
    for (int i = 0; i < SCALED; i++)
        drop_scaled(s->scaled[i]);
    if (s->scaler)
        nv_scaler_ops.close(s->scaler);
    s->scaler = NULL;
    nv_decoder_ops.close(dec);
    ret->ms[CLOSE] = ms_since(&since);
    return s->code;
}

static void print_phases(const char *name, const struct phases *phases, double times)
{
    printf("%-10s", name);
    for (int i = 0; i < PHASES; i++)
        printf(" %9.2f", phases->ms[i] / times);
    printf("\n");
}

/* Opens so many times and prints mean and worst; `clear`: without what is kept. */
static int open_times(struct session *s, const char *name, long times, bool clear)
{
    struct phases sum = {{0}}, worst = {{0}};
    for (long n = 0; n < times; n++) {
        struct phases one = {{0}};
        if (clear)
            gpu_idle_clear(s->load->device);
        if (open_once(s, &one) != 0)
            return s->code;
        for (int i = 0; i < PHASES; i++) {
            sum.ms[i] += one.ms[i];
            worst.ms[i] = one.ms[i] > worst.ms[i] ? one.ms[i] : worst.ms[i];
        }
    }
    if (!name)
        return 0;
    print_phases(name, &sum, (double)times);
    print_phases("  worst", &worst, 1);
    return 0;
}

/* The first of the process, device and kernels with it. */
static int open_cold(struct session *s, struct load *load, int index)
{
    struct phases cold = {{0}};
    const struct gpu_driver *driver = NULL;
    CUfunction kernel = NULL;
    int64_t since = clock_now_ns();
    int rc = gpu_driver(&driver, &s->err);
    cold.ms[DRIVER] = ms_since(&since);
    if (rc == 0)
        rc = gpu_open(&load->device, index, &s->err);
    if (rc == 0)
        rc = gpu_enter(load->device, &s->err);
    cold.ms[CONTEXT] = ms_since(&since);
    if (rc != 0)
        return rc;
    rc = gpu_kernel(load->device, "resize", &kernel, &s->err);
    cold.ms[KERNELS] = ms_since(&since);
    gpu_leave(load->device);
    if (rc == 0)
        rc = open_once(s, &cold);
    if (rc != 0)
        return rc;
    printf("%-10s", "ms");
    for (int i = 0; i < PHASES; i++)
        printf(" %9s", phase_names[i]);
    printf("\n");
    print_phases("cold", &cold, 1);
    return 0;
}

static void print_memory(const char *what, struct memory m)
{
    printf("%s: %lld KiB in use on the device, %lld KiB of the host's\n", what,
           (long long)m.device_bytes / 1024, (long long)m.host_bytes / 1024);
}

int nvdec_opens(const char *path, const struct decoder_params *params, long times)
{
    struct load load = {.low_latency = params->low_latency};
    struct session session = {.load = &load};
    struct memory before = {0};
    int rc = load_film(&load, path, &session.err);
    if (rc == 0)
        rc = open_cold(&session, &load, params->device);
    if (rc == 0)
        rc = open_times(&session, "anew", OPENS_ANEW, true);
    if (rc == 0)
        rc = open_times(&session, NULL, OPENS_FIRST, false);
    if (rc == 0) {
        before = memory_used(load.device);
        rc = open_times(&session, "warm", times, false);
    }
    if (rc != 0) {
        fprintf(stderr, "%s\n", session.err.text);
    } else {
        const struct memory after = memory_used(load.device);
        print_memory("before the warm ones", before);
        print_memory("after", after);
        printf("%ld times: grown by %lld KiB on the device, %lld KiB on the host\n", times,
               (long long)(after.device_bytes - before.device_bytes) / 1024,
               (long long)(after.host_bytes - before.host_bytes) / 1024);
    }
    load_done(&load);
    gpu_close(&load.device);
    return rc != 0;
}
