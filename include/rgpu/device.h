/* Devices of this machine, and what they can do.
 *
 * A device is named "cpu" or "cuda:N"; "auto" lets the library choose (the best GPU it can use for
 * the whole job, else the CPU; what was chosen is said in the log, and what was left out and why).
 * Threads: any. Memory: results are filled into the caller's storage. */
#ifndef RGPU_DEVICE_H
#define RGPU_DEVICE_H

#include <stddef.h>
#include <stdint.h>

#include <rgpu/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct rgpu_device_info {
    char name[32];         /* "cpu", "cuda:0": what --device takes */
    char description[128]; /* model */
    int cores; /* processors that jobs on it may use: of a GPU, where it needs the CPU */
    int64_t memory_bytes;
    char decoders[512]; /* names, comma separated: "h264,hevc,av1,..." */
    char encoders[512]; /* "h264,hevc,av1"; of a GPU, those of its own */
    char remark[640];   /* what a user should know, a line for each thing; may be empty */
    /* What it is doing, as it says itself; negative: it does not. */
    int compute_percent, decoder_percent, encoder_percent;
    int temperature_c, power_mw;
    int64_t memory_used_bytes;
    int clock_mhz, memory_clock_mhz, video_clock_mhz; /* of what computes; decodes and encodes */
    char slowed_by[64]; /* what holds the clocks down, "power cap, heat"; may be empty */
};

/* Fills at most `max` entries and returns how many devices there are; negative: an error. `size` is
 * sizeof(struct rgpu_device_info). Opens each GPU for a moment and watches the CPU for 0.1 s: may
 * take a second. */
RGPU_API int rgpu_devices(struct rgpu_device_info *ret, int max, size_t size);

/* One figure of rgpu_bench. */
struct rgpu_bench_result {
    const char *what; /* "decode h264", "scale to 720p+480p+360p", "encode h264 p2" */
    int width, height;
    double frames_per_second;
    double cpu_seconds_per_1000_frames;
};

/* Measures decode, scale and encode on one device ("auto", "cpu", "cuda:N") with pictures that it
 * makes itself, and calls `result` once a figure: for each picture size in this order. Encoders are
 * measured first, as decoders need what they make, so that the first figure of a size takes longer.
 * `seconds` is the time for each figure (0: 1 s).
 * `result` returns 0 to go on; anything else ends with RGPU_ERROR_CANCELLED. `message`, of
 * `message_size` bytes, gets the error's text (may be NULL). */
RGPU_API int rgpu_bench(const char *device, double seconds,
                        int (*result)(void *opaque, const struct rgpu_bench_result *figure),
                        void *opaque, char *message, size_t message_size);

#ifdef __cplusplus
}
#endif
#endif
