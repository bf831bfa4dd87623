/* A parser, a decoder and a stream, driven as a program would drive them, for the tests of
 * libnvcuvid's stand-in. It checks what it is called back with, and breaks one rule if told to.
 *
 * Threads: one. Memory: the session is the caller's; the clip it compares with is borrowed. */
#ifndef STANDIN_CUVID_SESSION_H
#define STANDIN_CUVID_SESSION_H

#include "cuvid.h"
#include "cuvid_clip.h"

#define SESSION_TIME(pts) (1000 + 7 * (CUvideotimestamp)(pts)) /* that packets carry */
#define OK(call) CHECK((call) == CUDA_SUCCESS)

enum fault {
    FAULT_NONE,
    FAULT_MAP_EARLY,     /* in the decode callback */
    FAULT_INDEX,         /* decodes into an index out of range */
    FAULT_STRANGE,       /* gives pictures that are no parser's */
    FAULT_INTO_MAPPED,   /* decodes into a picture that it has mapped */
    FAULT_INTO_COPIED,   /* the same, when the surface has it */
    FAULT_INTO_QUEUED,   /* decodes two pictures into one index */
    FAULT_FEW_SURFACES,  /* says 2 in the sequence callback */
    FAULT_REENTER,       /* calls the parser from a callback */
    FAULT_NO_RECONFIGURE /* goes on with the old decoder after a change of size */
};

struct session {
    CUcontext context;
    CUstream stream;
    CUvideoparser parser;
    CUvideodecoder decoder;
    CUVIDDECODECREATEINFO info;
    CUVIDEOFORMAT format;
    const struct clip *clip; /* that the shown pictures are compared with */
    enum fault fault;
    bool keeps;  /* maps nothing in the display callback */
    int formats; /* sequence callbacks */
    int decoded, shown, damaged;
    int last_index; /* shown last */
    int indices[CLIP_PICTURES_MAX * 2];
    bool in_progress; /* seen */
    bool checks_queue;
    int max_delay; /* pictures decoded and not yet shown */
    bool broken;   /* the rule has been, once */
    unsigned long long mapped;
};

void session_begin(struct session *s, const struct clip *clip, cudaVideoCodec codec,
                   unsigned delay);
void session_feed(struct session *s, const uint8_t *data, int size, unsigned flags, int64_t pts);
void session_send(struct session *s, const struct clip *clip, unsigned flags);

/* The end of the stream, and of all. */
void session_end(struct session *s);

/* What a decoder of this format, and its change to it, are asked for with. */
CUVIDDECODECREATEINFO session_info(const CUVIDEOFORMAT *format);
CUVIDRECONFIGUREDECODERINFO session_change(const CUVIDDECODECREATEINFO *info);

CUresult session_map(struct session *s, int index, CUstream stream);

#endif
