/* What the tests of NVENC behind codec.h share. It is the stand-in's, or a real device's where it
 * has what a test needs.
 *
 * Threads: one. Memory: the caller's. Fails the running test by assertion. */
#ifndef UNIT_CODEC_NVENC_RUNS_H
#define UNIT_CODEC_NVENC_RUNS_H

#include "codec/codec.h"
#include "gpu/device.h"
#include "support/coding.h"

/* Skips the running test where there is no NVENC; the stand-in must have it. True: it is the
 * stand-in, whose calls can be counted and made to fail. */
bool nvenc_need(void);

/* Skips the running test where NVENC does not take `params`; the stand-in must. */
void nvenc_need_params(const struct encoder_params *params);

/* Keeps the device open, and with it its sessions; to be closed with gpu_close. */
struct gpu_device *nvenc_hold_device(void);

/* Lossless nv12 at 25 Hz, p4, headers ahead; never on the CPU. */
struct encoder_params nvenc_params(const char *codec, int width, int height);

/* NVENC's encoder, to be closed by the caller. */
void *nvenc_open_encoder(const struct encoder_params *params);

/* round_trip through NVENC and the CPU's decoder, with all that was asked for. */
void nvenc_round_trip(const struct encoder_params *params, const struct frame_list *frames,
                      struct round_trip *ret);

/* Fails where the mean square error of a picture is beyond that of 30 dB; `speed` is told. */
void nvenc_check_close(const struct frame_list *got, const struct frame_list *want, int speed);

#endif
