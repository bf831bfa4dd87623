#include "file/reader_unpack.h"

#include <string.h>

#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libavutil/avstring.h>

#include "file/reader.h"

static int result(int av)
{
    if (av == AVERROR(EAGAIN))
        return RGPU_ERROR_AGAIN;
    if (av == AVERROR(ENOMEM))
        return RGPU_ERROR_MEMORY;
    return av < 0 ? RGPU_ERROR_INPUT : 0;
}

/* The filter changes a letter of them, not their size. */
static void tell(const AVCodecParameters *from, struct reader_track *track, AVStream *stream)
{
    const size_t size = from->extradata_size > 0 ? (size_t)from->extradata_size : 0;
    struct buffer *own = track->video.extradata;
    if (own && own->size == size)
        memcpy(own->data, from->extradata, size);
    if (size && stream->codecpar->extradata_size == from->extradata_size)
        memcpy(stream->codecpar->extradata, from->extradata, size);
}

int unpack_init(struct AVBSFContext **ret, struct reader_track *track, struct AVStream *stream,
                const char *format_name)
{
    const AVBitStreamFilter *filter = av_bsf_get_by_name("mpeg4_unpack_bframes");
    AVBSFContext *bsf = NULL;
    *ret = NULL;
    if (!filter || stream->codecpar->codec_id != AV_CODEC_ID_MPEG4 ||
        !av_match_name("avi", format_name))
        return 0;
    if (av_bsf_alloc(filter, &bsf) < 0)
        return RGPU_ERROR_MEMORY;
    bsf->time_base_in = stream->time_base;
    if (avcodec_parameters_copy(bsf->par_in, stream->codecpar) < 0 || av_bsf_init(bsf) < 0) {
        av_bsf_free(&bsf);
        return RGPU_ERROR_MEMORY;
    }
    tell(bsf->par_out, track, stream);
    *ret = bsf;
    return 0;
}

int unpack_next(struct AVBSFContext *filter, struct AVPacket *av)
{
    int rc = av_bsf_send_packet(filter, av);
    if (rc == 0)
        rc = av_bsf_receive_packet(filter, av);
    return result(rc);
}
