/* What the files of libnvidia-encode's stand-in share: sessions with their buffers, inputs and
 * pictures, and the encoder of libavcodec beneath.
 *
 * Threads: any; all but what only the session's worker touches is protected by standin_mutex.
 * Memory: sessions are core.h's objects; pictures and codecs are counted. Limits: LOOKAHEAD_MAX. */
#ifndef STANDIN_NVENC_H
#define STANDIN_NVENC_H

#include <ffnvcodec/dynlink_cuda.h>
#include <ffnvcodec/nvEncodeAPI.h>

#include "core.h"

#define NVENC_EXPORT __attribute__((visibility("default"))) /* the header declares it without */
/* Whether the headers know AV1. */
#define HAS_AV1 (NVENCAPI_MAJOR_VERSION >= 12)

#define LOOKAHEAD_MAX 31 /* pictures, B-frames included */

#define API_VERSION(major, minor) ((unsigned)(major) << 4 | (unsigned)(minor))
#define HEADER_VERSION API_VERSION(NVENCAPI_MAJOR_VERSION, NVENCAPI_MINOR_VERSION)

struct nvenc_bytes {
    uint8_t *data; /* owned */
    size_t size, room;
};

/* ---- devices and what they can do (nvenc_caps.c) -------------------------------------------- */

struct nvenc_codec_caps {
    bool supported, deep; /* deep: 10 bits too */
    unsigned min_width, min_height, max_width, max_height;
};

struct nvenc_codec_caps nvenc_caps_find(int device, const GUID *codec);
int nvenc_cap(int device, const GUID *codec, NV_ENC_CAPS cap);
bool nvenc_device_encodes(int device);

bool nvenc_guid_equal(const GUID *a, const GUID *b);
int nvenc_preset_find(const GUID *preset); /* 1..7; 0: none */
bool nvenc_profile_known(const GUID *codec, const GUID *profile);
void nvenc_preset_fill(int device, const GUID *codec, int preset, NV_ENC_TUNING_INFO tuning,
                       NV_ENC_CONFIG *ret);

/* ---- the configuration (nvenc_config.c) ----------------------------------------------------- */

/* Why the session cannot be as asked for; NULL: it can. */
const char *nvenc_config_fault(int device, const NV_ENC_INITIALIZE_PARAMS *init,
                               const NV_ENC_CONFIG *config);

/* Why one may not become the other in mid-stream; NULL: it may. */
const char *nvenc_change_fault(const NV_ENC_INITIALIZE_PARAMS *from,
                               const NV_ENC_CONFIG *from_config,
                               const NV_ENC_RECONFIGURE_PARAMS *change);

bool nvenc_is_hevc(const NV_ENC_INITIALIZE_PARAMS *init);
bool nvenc_is_av1(const NV_ENC_INITIALIZE_PARAMS *init);
bool nvenc_is_fields(const NV_ENC_CONFIG *config);
int nvenc_depth(const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config); /* bits */
NV_ENC_BUFFER_FORMAT nvenc_format(const NV_ENC_INITIALIZE_PARAMS *init,
                                  const NV_ENC_CONFIG *config);

/* What the codecs' configurations have under names of their own. */
struct nvenc_common {
    bool aud, no_headers, repeat_headers, intra_refresh, recovery_sei, ltr;
    unsigned refresh_period, refresh_count; /* frames */
    unsigned level, idr_period, chroma_format, slice_mode, slice_data;
    NV_ENC_BFRAME_REF_MODE b_refs;
    NV_ENC_CONFIG_H264_VUI_PARAMETERS vui; /* chromaSampleLocationTop: AV1's too, in its numbers */
};
struct nvenc_common nvenc_common_of(const NV_ENC_INITIALIZE_PARAMS *init,
                                    const NV_ENC_CONFIG *config);

/* ---- bitstreams (nvenc_stream.c) ------------------------------------------------------------ */

bool nvenc_append(struct nvenc_bytes *to, const void *data, size_t size);
void nvenc_bytes_free(struct nvenc_bytes *bytes);

/* A NAL unit with one SEI message; an access unit delimiter. */
bool nvenc_append_sei(struct nvenc_bytes *to, bool hevc, const NV_ENC_SEI_PAYLOAD *payload);
bool nvenc_append_aud(struct nvenc_bytes *to, bool hevc);

/* What the encoder beneath writes. `reorder`: its pictures, which are in the order of decoding, are
 * to be given their order of display; `fields`: and their two fields theirs. */
struct nvenc_syntax {
    bool hevc, av1, reorder, fields, cabac;
    bool timing;                    /* H.264: each picture has its picture timing */
    int frame_num_bits, order_bits; /* H.264's; found in its parameter sets */
};

/* Where a picture is in display (since the IDR, which is 0), how far behind the one before it in
 * decoding, and which of its fields is shown first. */
struct nvenc_place {
    int order, step;
    bool bottom_first;
};

/* The parameter sets, or the slices of an access unit, without all else. False: not what the
 * encoder is known to write, or out of memory. */
bool nvenc_append_headers(struct nvenc_bytes *to, const uint8_t *data, size_t size,
                          struct nvenc_syntax *syntax);
bool nvenc_append_slices(struct nvenc_bytes *to, const uint8_t *data, size_t size,
                         struct nvenc_syntax *syntax, const struct nvenc_place *place);

/* One unit of it, without start code and emulation prevention (nvenc_reorder.c). */
bool nvenc_reorder(const uint8_t *unit, size_t size, struct nvenc_syntax *syntax,
                   const struct nvenc_place *place, struct nvenc_bytes *to);

/* The sequence headers of a temporal unit, or all else of it but delimiters and padding; a
 * delimiter (nvenc_obu.c). False: broken, or out of memory. */
bool nvenc_append_obus(struct nvenc_bytes *to, const uint8_t *data, size_t size, bool headers);
bool nvenc_append_delimiter(struct nvenc_bytes *to);

/* ---- the encoder beneath (nvenc_codec.c) ---------------------------------------------------- */

struct nvenc_rate {
    unsigned average_bps, max_bps, vbv_bits; /* 0: not set */
    unsigned fps_num, fps_den;
};
struct nvenc_rate nvenc_rate_of(const NV_ENC_INITIALIZE_PARAMS *init, const NV_ENC_CONFIG *config);

struct nvenc_codec;
struct nvenc_picture;

/* NULL: libavcodec does not open such an encoder (a violation says so). One reference. */
struct nvenc_codec *nvenc_codec_open(const NV_ENC_INITIALIZE_PARAMS *init,
                                     const NV_ENC_CONFIG *config);
struct nvenc_codec *nvenc_codec_ref_locked(struct nvenc_codec *codec);
void nvenc_codec_unref_locked(struct nvenc_codec *codec);
const struct nvenc_bytes *nvenc_codec_headers(const struct nvenc_codec *codec);

/* On the worker: reads the input, gives the picture's packet. */
bool nvenc_codec_encode(struct nvenc_codec *codec, struct nvenc_picture *picture);

/* ---- sessions (nvenc.c) --------------------------------------------------------------------- */

struct nvenc_buffer { /* of a bitstream */
    uintptr_t handle;
    bool queued; /* given with a picture, not yet unlocked */
    bool locked;
    unsigned area;               /* of the pictures that it was made for */
    struct standin_block *block; /* while locked */
    struct nvenc_buffer *next;
};

struct nvenc_resource {
    uintptr_t handle, mapping; /* mapping 0: not mapped */
    uint64_t address;
    unsigned width, height, pitch;
    NV_ENC_BUFFER_FORMAT format;
    struct nvenc_resource *next;
};

struct nvenc_picture {
    int refs;
    uint64_t number;             /* in order of submission */
    uintptr_t input;             /* the mapping */
    struct nvenc_buffer *buffer; /* given with it */

    /* What is asked for. */
    uint64_t timestamp, duration;
    uint32_t frame_index;
    bool forced, headers;
    NV_ENC_PIC_STRUCT structure;
    struct nvenc_bytes sei;
    struct nvenc_codec *codec; /* counted */
    struct nvenc_rate rate;
    uint64_t address;
    size_t pitch, line_size, chroma_at, size; /* bytes */
    int width, height;

    /* What is decided when it is released. */
    bool released;
    NV_ENC_PIC_TYPE type;
    struct nvenc_place place;
    struct nvenc_picture *carried; /* whose packet `buffer` gets; counted */

    /* The worker's, until `done`. */
    bool changed, failed;
    uint64_t hash;
    struct nvenc_bytes packet;
    uint32_t qp;

    bool done;    /* encoded, or never will be */
    bool locked;  /* its packet has been, so that its input is free */
    bool taken;   /* its buffer has been locked */
    bool flushed; /* the end of the stream came behind it */
    struct nvenc_picture *next;
};

enum nvenc_side { SIDE_NONE, SIDE_SUBMIT, SIDE_LOCK, SIDES };

struct nvenc_session {
    struct standin_object object;
    bool initialized;
    bool failed; /* a call has, so that orders of ending no longer bind */
    NV_ENC_INITIALIZE_PARAMS init;
    NV_ENC_CONFIG config;
    struct nvenc_codec *codec;          /* counted */
    const struct nvenc_codec *begun;    /* whose headers have been in the stream; compared only */
    CUstream worker, input, output;     /* the latter two NULL: not set */
    struct CUevent_st *arrived, *coded; /* counted */
    struct nvenc_buffer *buffers;
    struct nvenc_resource *resources;

    /* By submission, until what their buffers got is unlocked; each counted. */
    struct nvenc_picture *pictures;
    uint64_t submitted;
    uint64_t may_lock; /* pictures before this number */
    uint64_t last_timestamp;
    bool has_timestamp;
    bool begins;        /* the next picture is an IDR */
    unsigned since_idr; /* pictures released since the IDR, it included */
    int coded_order;    /* the place in display of the picture coded last */

    int inside[SIDES]; /* calls */
    char error[128];
};

/* Begins an entry point of a session: counts it, checks the context, the handle and that no other
 * thread is on the same side. False: give *ret. `frees`: goes on although *ret is an error. */
bool nvenc_begin(const char *name, void *encoder, enum nvenc_side side, bool frees,
                 NVENCSTATUS *ret);
void nvenc_end(void *encoder, enum nvenc_side side);

/* A violation, which the session's last error is too. */
NVENCSTATUS nvenc_fault(struct nvenc_session *session, NVENCSTATUS status, const char *name,
                        const char *text);
bool nvenc_version(struct nvenc_session *session, const char *name, uint32_t is, uint32_t wanted);
NVENCSTATUS nvenc_death_locked(const struct nvenc_session *session);
NVENCSTATUS nvenc_status(int code); /* of a failure on order */

uintptr_t nvenc_handle_locked(void); /* that never was one before */
void nvenc_buffer_drop_locked(struct nvenc_session *session, struct nvenc_buffer *buffer);
void nvenc_resource_drop_locked(struct nvenc_session *session, struct nvenc_resource *resource);
struct nvenc_buffer *nvenc_buffer_find_locked(const struct nvenc_session *session,
                                              const void *handle);
struct nvenc_resource *nvenc_mapping_find_locked(const struct nvenc_session *session,
                                                 const void *mapping);
void nvenc_picture_leave_locked(struct nvenc_picture **at); /* the session's list */

/* Whether some picture's packet, which is still to be locked, is of this input. */
bool nvenc_input_used_locked(const struct nvenc_session *session, uintptr_t mapping);

/* Whether the buffer's bitstream is still to be taken, by no one if the session was flushed; the
 * pictures that name the buffer forget it. */
bool nvenc_buffer_used_locked(const struct nvenc_session *session,
                              const struct nvenc_buffer *buffer);
void nvenc_buffer_forget_locked(struct nvenc_session *session, const struct nvenc_buffer *buffer);

#endif
