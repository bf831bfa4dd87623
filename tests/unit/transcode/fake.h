/* A codec backend that only pretends: frames carry their source's pts in their first bytes, packets
 * carry what the frame said. It reorders, delays, is slow and fails as it is told, and counts all
 * that is alive.
 *
 * Threads: as codec.h. `fake` is set before a session opens. */
#ifndef TESTS_TRANSCODE_FAKE_H
#define TESTS_TRANSCODE_FAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/codec.h"

enum fake_op {
    FAKE_DECODER_OPEN,
    FAKE_DECODER_SEND,
    FAKE_DECODER_RECEIVE,
    FAKE_SCALER_OPEN,
    FAKE_SCALER_RUN,
    FAKE_ENCODER_OPEN,
    FAKE_ENCODER_SEND,
    FAKE_ENCODER_RECEIVE,
    FAKE_FILTER_OPEN,
    FAKE_FILTER_SEND,
    FAKE_FILTER_RECEIVE,
    FAKE_OPS
};

extern const char *const fake_op_names[FAKE_OPS];

struct fake {
    int decoder_delay; /* frames that stay inside */
    int encoder_lookahead;
    int encoder_bframes;
    int encoder_delay_us; /* sleep for each frame */
    bool encoder_loses;   /* drops every tenth frame */
    bool encoder_ignores_keys;
    bool no_deinterlacer;
    int fail_call[FAKE_OPS]; /* fail the Nth call, from 1; 0: none */
    /* Atomic counters. */
    int calls[FAKE_OPS];
    int frames_alive, frames_peak, handles_alive, scaler_opens, encoder_opens;
    int64_t clock_step_max; /* largest step of pts that an encoder saw */
    struct encoder_params last_params;
    bool scaler_interlaced; /* of the last scaler opened */
};

extern struct fake fake;

/* Back to a well-behaved backend without delays; nothing may be alive. */
void fake_reset(void);

/* What a source packet says to the fake decoder. */
struct fake_source {
    int64_t pts, duration;
    uint32_t flags; /* enum frame_flags */
    bool rap;       /* random-access point */
    bool leading;   /* needs the GOP before the last random-access point */
    bool refused;   /* cannot be decoded */
    bool no_pts;    /* the frame comes without a time stamp */
    enum frame_side_type side;
    int width, height;
};

/* What an encoded packet says. */
struct fake_coded {
    int64_t source_pts; /* from the frame's content */
    int64_t clock;
    int width, height;
    bool key;
};

struct packet fake_packet(const struct fake_source *source, uint64_t ordinal);

/* A frame as the fake decoder makes them. */
struct frame *fake_frame(const struct fake_source *source);

#endif
