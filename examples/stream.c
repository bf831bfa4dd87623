/* Feeds raw frames and writes what comes out: stream LARGE.h264 SMALL.h264
 * The frames are made here: 2 s of a moving gradient, 320x180 at 25 frames a second. */
#include <stdio.h>
#include <string.h>

#include <rgpu/stream.h>

#define WIDTH 320
#define HEIGHT 180
#define FPS 25
#define FRAMES 50

static unsigned char picture[WIDTH * HEIGHT * 3 / 2];

static void draw(int number)
{
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++)
            picture[y * WIDTH + x] = (unsigned char)(16 + (x + y + number * 4) % 220);
    }
    memset(picture + WIDTH * HEIGHT, 128, sizeof(picture) - WIDTH * HEIGHT);
}

/* Writes packets until none is ready (AGAIN), the stream is over (END), or there is an error. */
static int take(rgpu_stream *stream, int timeout_ms, FILE *const *files, int *packets)
{
    struct rgpu_packet packet;
    int ret = 0;
    while ((ret = rgpu_stream_receive(stream, timeout_ms, &packet)) == 0) {
        const void *headers = NULL;
        size_t headers_size = 0;
        FILE *file = files[packet.rendition];
        if (packets[packet.rendition]++ == 0) {
            ret = rgpu_stream_headers(stream, packet.rendition, &headers, &headers_size);
            if (ret)
                return ret;
            fwrite(headers, 1, headers_size, file);
        }
        fwrite(packet.data, 1, packet.size, file);
    }
    return ret;
}

static int run(rgpu_stream *stream, FILE *const *files, int *packets)
{
    for (int i = 0; i < FRAMES; i++) {
        struct rgpu_frame frame = {
            .data = {picture, picture + WIDTH * HEIGHT, picture + WIDTH * HEIGHT * 5 / 4},
            .pts = i,
            .duration = 1,
        };
        int ret = 0;
        draw(i);
        while ((ret = rgpu_stream_send_frame(stream, &frame)) == RGPU_ERROR_AGAIN) {
            ret = take(stream, 100, files, packets);
            if (ret != RGPU_ERROR_AGAIN)
                return ret;
        }
        if (ret)
            return ret;
    }
    int ret = rgpu_stream_finish(stream);
    if (ret == 0)
        ret = take(stream, -1, files, packets);
    return ret == RGPU_ERROR_END ? 0 : ret;
}

int main(int argc, char **argv)
{
    const struct rgpu_rung rungs[] = {{.quality = 23}, {.height = 90, .quality = 23}};
    rgpu_stream *stream = NULL;
    FILE *files[2] = {NULL, NULL};
    int packets[2] = {0, 0};

    if (argc != 3) {
        fprintf(stderr, "usage: %s LARGE.h264 SMALL.h264\n", argv[0]);
        return 2;
    }
    files[0] = fopen(argv[1], "wb");
    files[1] = fopen(argv[2], "wb");
    if (!files[0] || !files[1]) {
        perror("cannot open the output");
        return 1;
    }
    int ret = rgpu_stream_open(&stream, .pixel_format = "yuv420p", .width = WIDTH, .height = HEIGHT,
                               .time_base_num = 1, .time_base_den = FPS, .fps_num = FPS,
                               .fps_den = 1, .rungs = rungs, .rungs_count = 2);
    if (ret == 0)
        ret = run(stream, files, packets);
    for (int i = 0; stream && rgpu_stream_warning(stream, i); i++)
        fprintf(stderr, "warning: %s\n", rgpu_stream_warning(stream, i));
    if (ret)
        fprintf(stderr, "%s\n", stream ? rgpu_stream_message(stream) : rgpu_error_text(ret));
    else
        printf("%d and %d packets\n", packets[0], packets[1]);
    rgpu_stream_close(&stream);
    if (fclose(files[0]) || fclose(files[1])) {
        perror("cannot write the output");
        return 1;
    }
    return ret ? 1 : 0;
}
