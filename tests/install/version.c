/* Outside of the tree: prints the version, if header and library agree and the macros pass on what
 * they are given. C, and C++ from C++20 on. */
#include <stdio.h>
#include <string.h>

#include <rgpu/device.h>
#include <rgpu/probe.h>
#include <rgpu/stream.h>
#include <rgpu/version.h>

/* The first field, one from the middle, the last one: each is wrong, and named. */
static int check_transcode(void)
{
    rgpu_transcode *job = NULL;
    int ret = rgpu_transcode_open(&job, .input = "in.mkv", .output = "out.mkv", .threads = 4321);
    int wrong = ret != RGPU_ERROR_PARAM || !strstr(rgpu_transcode_message(job), "4321");
    rgpu_transcode_close(&job);
    ret = rgpu_transcode_open(&job, .output = "out.mkv");
    wrong |= ret != RGPU_ERROR_PARAM || !strstr(rgpu_transcode_message(job), "input");
    rgpu_transcode_close(&job);
    return wrong;
}

static int check_stream(void)
{
    struct rgpu_rung rung;
    rgpu_stream *stream = NULL;
    memset(&rung, 0, sizeof(rung));
    rung.width = 128;
    int ret = rgpu_stream_open(&stream, .pixel_format = "yuv420p", .width = 64, .height = 64,
                               .rungs = &rung, .rungs_count = 1);
    int wrong = ret != RGPU_ERROR_PARAM || !strstr(rgpu_stream_message(stream), "128");
    rgpu_stream_close(&stream);
    ret = rgpu_stream_open(&stream, .pixel_format = "yuv420p", .width = 64, .height = 64,
                           .rungs = &rung, .rungs_count = 1, .device = "cpu", .upscale = 1);
    wrong |= ret != 0;
    rgpu_stream_close(&stream);
    return wrong;
}

int main(void)
{
    char expected[32];
    snprintf(expected, sizeof(expected), "%d.%d.%d", RGPU_VERSION_MAJOR, RGPU_VERSION_MINOR,
             RGPU_VERSION_PATCH);
    if (strcmp(expected, rgpu_version()) != 0 || !rgpu_preset_find("720p"))
        return 1;
    if (check_transcode() || check_stream())
        return 1;
    printf("%s\n", rgpu_version());
    return 0;
}
