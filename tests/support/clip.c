#include "support/clip.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <libavformat/avformat.h>
#include <libavutil/md5.h>
#include <libavutil/mem.h>
#include <libavutil/pixdesc.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

void clip_dir_make(void)
{
    snprintf(dir, sizeof(dir), "/tmp/rgpu-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

void clip_dir_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    assert_int_equal(system(command), 0);
}

int clip_set_up(void **state)
{
    (void)state;
    clip_dir_make();
    return 0;
}

int clip_tear_down(void **state)
{
    (void)state;
    clip_dir_remove();
    return 0;
}

const char *clip_dir(void)
{
    return dir;
}

bool clip_make(const char *name, const char *args)
{
    char command[2048];
    snprintf(command, sizeof(command), "ffmpeg -nostdin -v quiet -y %s %s/%s </dev/null 2>&1", args,
             dir, name);
    return system(command) == 0;
}

static void read_track(const AVStream *st, struct clip *ret)
{
    const AVCodecParameters *par = st->codecpar;
    struct track *t = &ret->track;
    snprintf(t->codec, sizeof(t->codec), "%s", avcodec_get_name(par->codec_id));
    t->codec_tag = par->codec_tag;
    if (par->extradata_size > 0)
        t->extradata = buffer_copy(par->extradata, (size_t)par->extradata_size);
    t->width = ret->width = par->width;
    t->height = ret->height = par->height;
    t->bits_per_sample = par->bits_per_coded_sample;
    t->codec_profile = par->profile;
    t->codec_level = par->level;
    const char *format = av_get_pix_fmt_name(par->format);
    t->format = format ? pixel_from_name(format) : PIXEL_NONE;
    t->time_base = (struct rational){st->time_base.num, st->time_base.den};
    t->frame_rate = (struct rational){st->avg_frame_rate.num, st->avg_frame_rate.den};
    t->reorder_frames = par->video_delay;
}

static void read_packet(const AVPacket *av, struct packet *ret, size_t ordinal)
{
    *ret = (struct packet){.buf = buffer_copy(av->data, (size_t)av->size),
                           .size = (size_t)av->size,
                           .pts = av->pts,
                           .dts = av->dts,
                           .duration = av->duration,
                           .ordinal = ordinal,
                           .flags = (av->flags & AV_PKT_FLAG_KEY ? PACKET_KEY : 0) |
                                    (av->flags & AV_PKT_FLAG_DISCARD ? PACKET_DISCARD : 0)};
    assert_non_null(ret->buf);
    ret->data = ret->buf->data;
}

void clip_read(const char *name, struct clip *ret)
{
    AVFormatContext *in = NULL;
    AVPacket *av = av_packet_alloc();
    *ret = (struct clip){0};
    snprintf(ret->path, sizeof(ret->path), "%s/%s", dir, name);
    assert_int_equal(avformat_open_input(&in, ret->path, NULL, NULL), 0);
    assert_true(avformat_find_stream_info(in, NULL) >= 0);
    const int video = av_find_best_stream(in, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    assert_true(video >= 0);
    read_track(in->streams[video], ret);
    while (av_read_frame(in, av) >= 0) {
        if (av->stream_index == video) {
            ret->packets = realloc(ret->packets, (ret->count + 1) * sizeof(*ret->packets));
            assert_non_null(ret->packets);
            read_packet(av, &ret->packets[ret->count], ret->count);
            ret->count++;
        }
        av_packet_unref(av);
    }
    av_packet_free(&av);
    avformat_close_input(&in);
}

void clip_done(struct clip *clip)
{
    for (size_t i = 0; i < clip->count; i++)
        packet_done(&clip->packets[i]);
    free(clip->packets);
    track_done(&clip->track);
    *clip = (struct clip){0};
}

size_t clip_reference(const char *name, const char *args, struct picture_sum **ret)
{
    char command[2048];
    char line[512];
    size_t count = 0;
    *ret = NULL;
    snprintf(command, sizeof(command),
             "ffmpeg -nostdin -v quiet -copyts -i %s/%s -map 0:v:0 -vsync passthrough "
             "-enc_time_base -1 %s -f framemd5 - 2>/dev/null",
             dir, name, args);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    while (fgets(line, sizeof(line), pipe)) {
        struct picture_sum sum;
        if (sscanf(line, "0, %*d, %" SCNd64 ", %*d, %*d, %32s", &sum.pts, sum.md5) != 2)
            continue;
        *ret = realloc(*ret, (count + 1) * sizeof(**ret));
        assert_non_null(*ret);
        (*ret)[count++] = sum;
    }
    pclose(pipe);
    return count;
}

void picture_md5(const struct frame *frame, char ret[33])
{
    const struct pixel_info *info = pixel_info(frame->format);
    struct AVMD5 *md5 = av_md5_alloc();
    uint8_t sum[16];
    assert_non_null(md5);
    av_md5_init(md5);
    for (int p = 0; p < info->planes; p++) {
        const int bytes = info->depth > 8 ? 2 : 1;
        const int line = pixel_plane_width(frame->format, p, frame->width) * bytes;
        for (int y = 0; y < pixel_plane_height(frame->format, p, frame->height); y++)
            av_md5_update(md5, frame->data[p] + y * frame->stride[p], (size_t)line);
    }
    av_md5_final(md5, sum);
    for (int i = 0; i < 16; i++)
        snprintf(ret + (ptrdiff_t)2 * i, 3, "%02x", sum[i]);
    av_free(md5);
}
