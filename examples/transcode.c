/* A ladder of three renditions from one file, with progress: transcode IN OUT
 * OUT is "DIR/" for HLS, or a file's name with {} in it for a file each. */
#include <stdio.h>

#include <rgpu/transcode.h>

int main(int argc, char **argv)
{
    const struct rgpu_rung rungs[] = {
        {.preset = "720p"},
        {.preset = "480p"},
        {.preset = "240p", .codec = "h264", .speed = 2},
    };
    rgpu_transcode *job = NULL;
    struct rgpu_progress progress;

    if (argc != 3) {
        fprintf(stderr, "usage: %s IN OUT\n", argv[0]);
        return 2;
    }
    int ret = rgpu_transcode_open(&job, .input = argv[1], .output = argv[2], .rungs = rungs,
                                  .rungs_count = 3, .overwrite = 1);
    if (ret == 0) {
        while ((ret = rgpu_transcode_wait(job, 500)) == RGPU_ERROR_AGAIN) {
            rgpu_transcode_progress(job, &progress, sizeof(progress));
            if (progress.state == RGPU_STATE_OPENING)
                fprintf(stderr, "opening the input\n");
            else if (progress.percent < 0) /* its length is not known */
                fprintf(stderr, "%.1f s at %.1f frames/s\n", progress.position_seconds,
                        progress.frames_per_second);
            else
                fprintf(stderr, "%.0f%% at %.1f frames/s\n", progress.percent,
                        progress.frames_per_second);
        }
    }
    if (ret == 0 && (ret = rgpu_transcode_progress(job, &progress, sizeof(progress))) == 0) {
        for (int i = 0; i < progress.rungs_count; i++)
            printf("%s %dx%d %lld frames %s\n", progress.rungs[i].name, progress.rungs[i].width,
                   progress.rungs[i].height, (long long)progress.rungs[i].frames,
                   progress.rungs[i].output);
    }
    for (int i = 0; job && rgpu_transcode_warning(job, i); i++)
        fprintf(stderr, "warning: %s\n", rgpu_transcode_warning(job, i));
    if (ret)
        fprintf(stderr, "%s\n", job ? rgpu_transcode_message(job) : rgpu_error_text(ret));
    rgpu_transcode_close(&job);
    return ret ? 1 : 0;
}
