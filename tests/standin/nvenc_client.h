/* An encoder, driven as a program would drive it, for the tests of libnvidia-encode's stand-in:
 * inputs are uploaded late on a stream, packets are taken as soon as they may be.
 *
 * Threads: one, besides the tests' own. Memory: the client is the caller's, static for it is large.
 * Limits: CLIENT_SLOTS pictures in flight, CLIENT_PACKETS_MAX packets. */
#ifndef STANDIN_NVENC_CLIENT_H
#define STANDIN_NVENC_CLIENT_H

#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/nvEncodeAPI.h>
#include <libavcodec/avcodec.h>
#include <stdbool.h>

#define CLIENT_AV1 (NVENCAPI_MAJOR_VERSION >= 12) /* whether the headers know it */
#define CLIENT_SLOTS 12
#define CLIENT_PACKETS_MAX 128
#define CLIENT_TIME(n) (5000 + 40 * (uint64_t)(n))
#define CUDA_OK(call) CHECK((call) == CUDA_SUCCESS)
#define NV_OK(call) CHECK((call) == NV_ENC_SUCCESS)

/* Settings of a device for children that need no other. */
#define CLIENT_DEVICE "ENCODERS=h264:8:1024x1024:32x32,hevc:8/10:1024x1024:32x32"

/* Defines edit_NAME, whose statement has `init` and `config`, and refuse_NAME, a child's function
 * that calls `refuse` with it. */
#define CLIENT_REFUSE(name, refuse, statement)                                                     \
    static void edit_##name(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config)                 \
    {                                                                                              \
        (void)init;                                                                                \
        (void)config;                                                                              \
        statement;                                                                                 \
    }                                                                                              \
    static void refuse_##name(void)                                                                \
    {                                                                                              \
        refuse(edit_##name);                                                                       \
    }

struct client_params {
    const GUID *codec, *preset;
    NV_ENC_TUNING_INFO tuning;
    unsigned width, height;
    bool deep; /* 10 bits */
    int b_frames;
    void (*edit)(NV_ENC_INITIALIZE_PARAMS *init, NV_ENC_CONFIG *config); /* NULL: as it is */
    bool no_streams; /* without nvEncSetIOCudaStreams */
    bool opens_only; /* nothing is initialised */
};

struct client_slot {
    CUdeviceptr memory;
    uint8_t *pixels; /* pinned; what memory is to have */
    NV_ENC_REGISTERED_PTR registered;
    NV_ENC_INPUT_PTR mapped; /* NULL: not */
    NV_ENC_OUTPUT_PTR buffer;
    uint64_t timestamp;
};

struct client_packet {
    AVPacket *packet;
    uint64_t timestamp;
    NV_ENC_PIC_TYPE type;
    NV_ENC_PIC_STRUCT structure;
    uint32_t frame_index;
};

struct client {
    struct client_params params;
    NV_ENCODE_API_FUNCTION_LIST api;
    CUcontext context;
    CUstream stream;
    void *encoder;
    NV_ENC_INITIALIZE_PARAMS init;
    NV_ENC_CONFIG config;
    NV_ENC_PIC_PARAMS extra; /* what every picture has besides: flags, SEI, fields */
    struct client_slot slots[CLIENT_SLOTS];
    unsigned pitch, lines;
    int submitted, locked; /* pictures, packets since the start */
    NVENCSTATUS last;      /* nvEncEncodePicture's */
    bool keeps;            /* takes no packets by itself */
    struct client_packet packets[CLIENT_PACKETS_MAX];
};

/* H.264 of 98x66, p1, with the least latency. */
extern const struct client_params client_live;

/* client_live with another codec; B-frames are of high quality. */
struct client_params client_with(const GUID *codec, int b_frames);

bool client_guid_is(const GUID *guid, const GUID *wanted);

void client_begin(struct client *c, const struct client_params *params);

/* The session alone, for what it is asked before it begins. */
NVENCSTATUS client_open(struct client *c);
NV_ENC_OPEN_ENCODE_SESSION_EX_PARAMS client_open_params(CUcontext context);
NV_ENC_CAPS_PARAM client_cap(NV_ENC_CAPS cap);
int client_ask_cap(const struct client *c, const GUID *codec, NV_ENC_CAPS cap);

/* A session that is initialised with `params`, or refuses them, and has nothing else. */
NVENCSTATUS client_try(struct client *c, const struct client_params *params);

/* From its beginning to its end: what the rules do not allow. */
void client_check_refused(struct client *c, const struct client_params *params);

/* With c->init and c->config as they are now; `anew`: resets the encoder, with an IDR. */
NVENCSTATUS client_reconfigure(struct client *c, bool anew);

/* The parameter sets, or AV1's sequence header; gives their size. */
uint32_t client_headers(struct client *c, uint8_t *ret, size_t room);

/* The picture `n` (see client_draw) into its slot, mapped; and given to the encoder with `flags`.
 */
struct client_slot *client_upload(struct client *c, int n);
NV_ENC_PIC_PARAMS client_picture(const struct client *c, const struct client_slot *slot, int n,
                                 uint32_t flags);
NVENCSTATUS client_submit(struct client *c, int n, uint32_t flags);

/* The next `count` pictures, which must be taken. */
void client_submit_next(struct client *c, int count);

/* For the buffer of the picture that was given as number `n`. */
NV_ENC_LOCK_BITSTREAM client_lock_params(const struct client *c, int n);

/* The next packet; its input is unmapped. */
void client_take(struct client *c);

void client_send_end(struct client *c);      /* the end of the stream */
void client_end_of_stream(struct client *c); /* and takes all packets */
void client_end(struct client *c);
void client_reset(struct client *c); /* for another one */

/* The picture's sample, of 8 or 10 bits. */
unsigned client_draw(const struct client *c, int n, int plane, int x, int y);

/* How many NAL units of a type a packet has; of H.264 and HEVC, as the next ones. */
int client_units(const struct client *c, int packet, int type);
bool client_is_idr(const struct client *c, int packet);
int client_sps(const struct client *c, int packet); /* how many */

AVCodecContext *client_decoder(const struct client *c);

/* The picture of one packet that needs no other; the caller's. */
AVFrame *client_decode(const struct client *c, int packet);

/* Decodes all packets: as many pictures as packets, shown in order of their time stamps; gives the
 * worst plane's PSNR in dB (lossless: 100), and each picture's type in display order. */
double client_check(const struct client *c, char *ret_types);

/* All of a session with so many pictures, in a client that may have had others; as client_check. */
double client_run(struct client *c, const struct client_params *params, int count);

#endif
