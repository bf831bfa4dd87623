/* From encoder_params to an open libavcodec encoder: which one, its profile, its options.
 *
 * Threads: functions without state. Memory: the context is the caller's. */
#ifndef CODEC_CPU_ENCODER_SETUP_H
#define CODEC_CPU_ENCODER_SETUP_H

#include <libavcodec/avcodec.h>

#include "codec/codec.h"

enum encoder_kind { ENCODER_X264, ENCODER_X265, ENCODER_SVT, ENCODER_AOM };

struct encoder_choice {
    enum encoder_kind kind;
    const AVCodec *codec; /* static */
};

/* As encoder_ops.format. */
enum pixel_format encoder_setup_format(const char *codec, const char *profile,
                                       enum pixel_format source);

/* Checks the parameters and finds the encoder for them. PARAM, UNSUPPORTED with the remedy. */
int encoder_setup_choose(const struct encoder_params *params, struct encoder_choice *ret,
                         struct error *err);

/* Opens the chosen encoder; its time base is the parameters', or one tick a frame
 * (encoder_setup_real_time). */
int encoder_setup_open(const struct encoder_params *params, const struct encoder_choice *choice,
                       AVCodecContext **ret, struct error *err);

/* Whether the encoder is told the time of each frame. If not it gets their numbers, at the nominal
 * frame rate: it derives rates from one tick a frame. */
bool encoder_setup_real_time(enum encoder_kind kind);

/* Whether key frames can be asked for in mid-stream. */
bool encoder_setup_key_on_demand(enum encoder_kind kind);

#endif
