/* What some encoders do only with a first picture: say their parameter sets, and close.
 *
 * Writers need the parameter sets before the first packet. libaom-av1 of libavcodec 5 and 6 gives
 * its sequence header with that packet: there, a second encoder of the same parameters codes one
 * picture.
 *
 * Threads: functions without state. Memory: a second encoder for the time of the call. */
#ifndef CODEC_CPU_ENCODER_HEADERS_H
#define CODEC_CPU_ENCODER_HEADERS_H

#include "codec/cpu/encoder_setup.h"

/* Gives an owned reference: Annex B sets, av1C, or a sequence header OBU. */
int encoder_headers(const struct encoder_params *params, const struct encoder_choice *choice,
                    const AVCodecContext *opened, struct buffer **ret, struct error *err);

/* Frees an encoder that was given no frame since it was opened. Takes NULL, writes NULL. */
void encoder_close_unused(const struct encoder_choice *choice, AVCodecContext **ctx);

#endif
