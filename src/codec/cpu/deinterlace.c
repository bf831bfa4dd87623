#include "codec/cpu/deinterlace.h"

#include <libavfilter/avfilter.h>
#include <libavfilter/buffersink.h>
#include <libavfilter/buffersrc.h>

#include <stdio.h>
#include <stdlib.h>

#include "codec/cpu/avframe.h"

/* Frames given whose outputs have not come yet; bwdif holds one or two. */
#define PENDING_MAX 8

struct deinterlace {
    AVFilterGraph *graph;
    AVFilterContext *source, *sink; /* the graph's */
    AVFrame *frame;                 /* empty between calls */
    struct avframe_converter converter;
    struct frame *pending[PENDING_MAX]; /* owned; a ring, oldest at `head` */
    int head, count;
    bool draining;
};

static void deinterlace_close(void *handle)
{
    struct deinterlace *f = handle;
    if (!f)
        return;
    for (int i = 0; i < PENDING_MAX; i++)
        frame_unref(&f->pending[i]);
    avfilter_graph_free(&f->graph);
    av_frame_free(&f->frame);
    avframe_converter_done(&f->converter);
    free(f);
}

/* Makes source -> bwdif -> sink. */
static int build(struct deinterlace *f, const struct filter_params *params)
{
    char text[128];
    /* The time base does not matter: outputs are matched to inputs by their order. */
    snprintf(text, sizeof(text), "width=%d:height=%d:pix_fmt=%d:time_base=1/1", params->width,
             params->height, (int)avframe_av_format(params->format));
    AVFilterContext *bwdif = NULL;
    int rc = avfilter_graph_create_filter(&f->source, avfilter_get_by_name("buffer"), "in", text,
                                          NULL, f->graph);
    if (rc >= 0)
        rc = avfilter_graph_create_filter(&bwdif, avfilter_get_by_name("bwdif"), "bwdif",
                                          "mode=send_frame:parity=auto:deint=interlaced", NULL,
                                          f->graph);
    if (rc >= 0)
        rc = avfilter_graph_create_filter(&f->sink, avfilter_get_by_name("buffersink"), "out", NULL,
                                          NULL, f->graph);
    if (rc >= 0)
        rc = avfilter_link(f->source, 0, bwdif, 0);
    if (rc >= 0)
        rc = avfilter_link(bwdif, 0, f->sink, 0);
    return rc < 0 ? rc : avfilter_graph_config(f->graph, NULL);
}

static int deinterlace_open(void **ret, const struct filter_params *params, struct error *err)
{
    if (!avfilter_get_by_name("bwdif"))
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "this libavfilter has no bwdif: give --deinterlace off");
    struct deinterlace *f = calloc(1, sizeof(*f));
    if (!f)
        return error_memory(err, "a deinterlacer");
    f->graph = avfilter_graph_alloc();
    f->frame = av_frame_alloc();
    if (!f->graph || !f->frame) {
        deinterlace_close(f);
        return error_memory(err, "a deinterlacer");
    }
    f->graph->nb_threads = params->threads;
    /* Better no picture than one that was silently converted. */
    avfilter_graph_set_auto_convert(f->graph, AVFILTER_AUTO_CONVERT_NONE);
    int rc = build(f, params);
    if (rc < 0) {
        deinterlace_close(f);
        if (rc == AVERROR(ENOMEM))
            return error_memory(err, "a deinterlacer");
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "cannot deinterlace %dx%d %s (%s): give --deinterlace off", params->width,
                         params->height, pixel_info(params->format)->name, av_err2str(rc));
    }
    *ret = f;
    return 0;
}

static void set_fields(AVFrame *av, uint32_t flags)
{
    const bool interlaced = flags & FRAME_INTERLACED;
    const bool top_first = interlaced && flags & FRAME_TOP_FIRST;
#if LIBAVUTIL_VERSION_INT >= AV_VERSION_INT(58, 7, 100)
    av->flags |= (interlaced ? AV_FRAME_FLAG_INTERLACED : 0) |
                 (top_first ? AV_FRAME_FLAG_TOP_FIELD_FIRST : 0);
#else
    av->interlaced_frame = interlaced;
    av->top_field_first = top_first;
#endif
}

static int give(struct deinterlace *f, AVFrame *av, struct error *err)
{
    int rc = av_buffersrc_add_frame(f->source, av);
    if (rc >= 0)
        return 0;
    if (av)
        av_frame_unref(av);
    if (rc == AVERROR(ENOMEM))
        return error_memory(err, "deinterlacing a picture");
    return error_set(err, RGPU_ERROR_INTERNAL, "bwdif refused a picture: %s", av_err2str(rc));
}

static int deinterlace_send(void *handle, struct frame *frame, struct error *err)
{
    struct deinterlace *f = handle;
    if (!frame) {
        if (f->draining)
            return 0;
        f->draining = true;
        return give(f, NULL, err);
    }
    if (f->draining)
        return error_set(err, RGPU_ERROR_PARAM, "the deinterlacer is drained");
    if (f->count == PENDING_MAX)
        return RGPU_ERROR_AGAIN;
    int rc = avframe_wrap(f->frame, frame, err);
    if (rc)
        return rc;
    set_fields(f->frame, frame->flags);
    f->frame->pts = 0;
    rc = give(f, f->frame, err);
    if (rc)
        return rc;
    f->pending[(f->head + f->count++) % PENDING_MAX] = frame_ref(frame);
    return 0;
}

static int deinterlace_receive(void *handle, struct frame **ret, struct error *err)
{
    struct deinterlace *f = handle;
    int rc = av_buffersink_get_frame(f->sink, f->frame);
    if (rc == AVERROR(EAGAIN))
        return RGPU_ERROR_AGAIN;
    if (rc == AVERROR_EOF && !f->count)
        return RGPU_ERROR_END;
    if (rc == AVERROR(ENOMEM))
        return error_memory(err, "deinterlacing a picture");
    if (rc < 0 || !f->count) {
        av_frame_unref(f->frame);
        return error_set(err, RGPU_ERROR_INTERNAL, "bwdif gave another number of pictures (%s)",
                         rc < 0 ? av_err2str(rc) : "one more");
    }
    struct frame *source = f->pending[f->head];
    struct frame *out = NULL;
    /* A progressive picture is what was sent. */
    if (!(source->flags & FRAME_INTERLACED)) {
        av_frame_unref(f->frame);
        out = source;
    } else {
        rc = avframe_take(&f->converter, f->frame, &out, err);
        if (rc)
            return rc;
        frame_copy_props(out, source);
        out->flags &= ~(uint32_t)(FRAME_INTERLACED | FRAME_TOP_FIRST);
        frame_unref(&source);
    }
    f->pending[f->head] = NULL;
    f->head = (f->head + 1) % PENDING_MAX;
    f->count--;
    *ret = out;
    return 0;
}

const struct filter_ops cpu_deinterlace_ops = {
    .open = deinterlace_open,
    .send = deinterlace_send,
    .receive = deinterlace_receive,
    .close = deinterlace_close,
};
