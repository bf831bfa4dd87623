#include "media/frame.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PLANE_ALIGN 64

static const struct pixel_info infos[PIXEL_COUNT] = {
#define PIXEL_INFO(name, planes, depth, sx, sy, text)                                              \
    [PIXEL_##name] = {text, planes, depth, sx, sy},
    PIXEL_FORMATS(PIXEL_INFO)
#undef PIXEL_INFO
};

const struct pixel_info *pixel_info(enum pixel_format format)
{
    return format > PIXEL_NONE && format < PIXEL_COUNT ? &infos[format] : NULL;
}

enum pixel_format pixel_from_name(const char *name)
{
    for (int i = PIXEL_NONE + 1; i < PIXEL_COUNT; i++)
        if (!strcmp(infos[i].name, name))
            return (enum pixel_format)i;
    return PIXEL_NONE;
}

int pixel_plane_width(enum pixel_format format, int plane, int width)
{
    const struct pixel_info *info = pixel_info(format);
    if (plane == 0)
        return width;
    int chroma = (width + (1 << info->shift_x) - 1) >> info->shift_x;
    return info->planes == 2 ? 2 * chroma : chroma;
}

int pixel_plane_height(enum pixel_format format, int plane, int height)
{
    const struct pixel_info *info = pixel_info(format);
    return plane == 0 ? height : (height + (1 << info->shift_y) - 1) >> info->shift_y;
}

static void release_block(void *opaque, struct frame *frame)
{
    (void)opaque;
    free(frame);
}

struct frame *frame_new(enum pixel_format format, int width, int height)
{
    const struct pixel_info *info = pixel_info(format);
    if (!info || width < 1 || height < 1 || width > FRAME_SIZE_MAX || height > FRAME_SIZE_MAX)
        return NULL;
    /* One block: the struct, then each plane at a 64-byte boundary with 64-byte strides. */
    size_t offset[FRAME_PLANES] = {0};
    size_t stride[FRAME_PLANES] = {0};
    size_t total = (sizeof(struct frame) + PLANE_ALIGN - 1) / PLANE_ALIGN * PLANE_ALIGN;
    const size_t bytes = info->depth > 8 ? 2 : 1;
    for (int p = 0; p < info->planes; p++) {
        size_t line = (size_t)pixel_plane_width(format, p, width) * bytes;
        stride[p] = (line + PLANE_ALIGN - 1) / PLANE_ALIGN * PLANE_ALIGN;
        offset[p] = total;
        total += stride[p] * (size_t)pixel_plane_height(format, p, height);
    }
    void *block = NULL;
    if (posix_memalign(&block, PLANE_ALIGN, total + BUFFER_PADDING) != 0)
        return NULL;
    struct frame *frame = block;
    *frame = (struct frame){.refs = 1,
                            .format = format,
                            .width = width,
                            .height = height,
                            .pts = PTS_NONE,
                            .release = release_block};
    for (int p = 0; p < info->planes; p++) {
        frame->data[p] = (uint8_t *)block + offset[p];
        frame->stride[p] = (ptrdiff_t)stride[p];
    }
    return frame;
}

struct frame *frame_ref(struct frame *frame)
{
    __atomic_add_fetch(&frame->refs, 1, __ATOMIC_RELAXED);
    return frame;
}

struct buffer *frame_side_of(const struct frame *frame, enum frame_side_type type)
{
    for (int i = 0; i < FRAME_SIDE_MAX; i++)
        if (frame->side[i].type == type)
            return frame->side[i].buf;
    return NULL;
}

bool frame_timecode_of(const struct frame *frame, int step, struct frame_timecode *ret)
{
    const struct buffer *side = frame_side_of(frame, SIDE_TIMECODE);
    if (step < 1 || !side || side->size != sizeof(*ret) || side->data[0] < 1 ||
        side->data[0] > FRAME_CLOCKS_MAX)
        return false;
    memcpy(ret, side->data, sizeof(*ret));
    for (int i = 0; i < ret->count; i++)
        ret->clocks[i].frames = (uint8_t)(ret->clocks[i].frames / step);
    return true;
}

static void drop_side(struct frame *frame)
{
    for (int i = 0; i < FRAME_SIDE_MAX; i++) {
        buffer_unref(&frame->side[i].buf);
        frame->side[i].type = SIDE_NONE;
    }
}

void frame_unref(struct frame **frame)
{
    struct frame *f = *frame;
    *frame = NULL;
    if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    drop_side(f);
    f->release(f->opaque, f);
}

void frame_copy_props(struct frame *to, const struct frame *from)
{
    to->pts = from->pts;
    to->duration = from->duration;
    to->flags = from->flags;
    to->sample_aspect = from->sample_aspect;
    to->color = from->color;
    to->hdr = from->hdr;
    drop_side(to);
    for (int i = 0; i < FRAME_SIDE_MAX; i++)
        to->side[i] = (struct frame_side){from->side[i].type, buffer_ref(from->side[i].buf)};
}

struct frame_pool {
    pthread_mutex_t lock;
    enum pixel_format format;
    int width, height;
    struct frame *idle[64]; /* protected by `lock`, as the two below */
    int idle_count;
    int users; /* frames out, plus one while the owner holds the pool */
};

struct frame_pool *frame_pool_new(enum pixel_format format, int width, int height)
{
    struct frame_pool *pool = calloc(1, sizeof(*pool));
    if (!pool)
        return NULL;
    pthread_mutex_init(&pool->lock, NULL);
    pool->format = format;
    pool->width = width;
    pool->height = height;
    pool->users = 1;
    return pool;
}

/* Drops one user; frees the pool after the last. */
static void leave(struct frame_pool *pool, struct frame *back)
{
    const int idle_max = (int)(sizeof(pool->idle) / sizeof(pool->idle[0]));
    pthread_mutex_lock(&pool->lock);
    if (back && pool->idle_count < idle_max) {
        pool->idle[pool->idle_count++] = back;
        back = NULL;
    }
    int users = --pool->users;
    pthread_mutex_unlock(&pool->lock);
    free(back);
    if (users)
        return;
    for (int i = 0; i < pool->idle_count; i++)
        free(pool->idle[i]);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static void release_pooled(void *opaque, struct frame *frame)
{
    leave(opaque, frame);
}

struct frame *frame_pool_get(struct frame_pool *pool)
{
    struct frame *frame = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->idle_count)
        frame = pool->idle[--pool->idle_count];
    pool->users++;
    pthread_mutex_unlock(&pool->lock);
    if (!frame)
        frame = frame_new(pool->format, pool->width, pool->height);
    if (!frame) {
        leave(pool, NULL);
        return NULL;
    }
    frame->refs = 1;
    frame->pts = PTS_NONE;
    frame->duration = 0;
    frame->flags = 0;
    frame->release = release_pooled;
    frame->opaque = pool;
    return frame;
}

void frame_pool_free(struct frame_pool **pool)
{
    struct frame_pool *p = *pool;
    *pool = NULL;
    if (p)
        leave(p, NULL);
}
