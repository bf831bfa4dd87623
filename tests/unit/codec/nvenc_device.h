/* An NVENC device that is a function list of the test's own: what it answers is set by `device`.
 * And encoder parameters told by what is special about them.
 *
 * Threads: one. Memory: static. Fails the running test where a call breaks NVENC's rules. */
#ifndef UNIT_CODEC_NVENC_DEVICE_H
#define UNIT_CODEC_NVENC_DEVICE_H

#include "codec/nv/nvenc_setup.h"

#define CAPS_COUNT NV_ENC_CAPS_EXPOSED_COUNT
#define HAS_AV1 GPU_ENCODE_API(12, 0)
#define GOP_NEVER_ENDS NVENC_INFINITE_GOPLENGTH

struct nvenc_device {
    int caps[CAPS_COUNT];
    bool no_hevc;
    int preset_bframes; /* of p3 and slower, but for ultra-low latency */
    NVENCSTATUS guids_status, caps_status, preset_status;
    int speed; /* that was asked for last */
    NV_ENC_TUNING_INFO tuning;
};

extern struct nvenc_device device;
extern const struct gpu_encode device_api; /* its session is &device */

/* Can all there is, and nothing fails. */
void device_reset(void);

bool guid_same(const GUID *a, const GUID *b);

struct nvenc_caps caps_of(const char *codec);

/* 720p50, VBR at 4 Mbit/s. */
struct encoder_params params_for(const char *codec);

/* One thing that is not as in params_for. */
struct change {
    enum {
        END,
        SPEED,
        QUALITY, /* and RATE_QUALITY */
        CBR,     /* bits a second */
        VBR,
        MAX, /* bits a second */
        VBV, /* bits */
        BFRAMES,
        LATENCY,
        PROFILE,
        FORMAT,
        FIELDS,
        SIZE, /* width, height */
        RATE, /* num, den */
        TIME_BASE,
        ASPECT,
    } what;
    int64_t value, other;
    const char *text;
};

#define CHANGES_MAX 6

/* params_for with CHANGES_MAX changes, or fewer and an END. */
struct encoder_params params_changed(const char *codec, const struct change *changes);

#endif
