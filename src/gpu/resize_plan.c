#include "gpu/resize_plan.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "gpu/resize_filter.h"

#define SIZE_MAX_PIXELS 16384
#define BLOCK_BYTES_MAX (256u << 20)
#define TABLE_ALIGN 16
#define TILE_ROWS 32      /* where the filters leave room for it */
#define TILE_ROWS_SRC 128 /* of the source, that its rows come from */
#define TILE_LANES_MIN 8
#define STAGE_BYTES 8192      /* of a tile's staged lines, where they do not fit at once */
#define STAGE_BYTES_MAX 20480 /* where just one batch for each thread is staged */

/* What grows while a plan is made. */
struct builder {
    const struct resize_params *params;
    struct error *err;
    uint8_t *block;
    size_t size, capacity;
    struct resize_job *jobs;
    int jobs_count;
    struct resize_tile *tiles;
    int tiles_count, tiles_capacity;
};

/* One filter in the block: `unit` samples (or rows) make a word (or a pair). */
struct filter {
    uint32_t first, weights; /* offsets into the block */
    int units;               /* under the filter */
    uint16_t *firsts;        /* units; those behind the last sample repeat its */
};

/* A plane of a field of a rung, or of its area. */
struct region {
    int rung, chroma, field;
    int x, y, width, height; /* samples; in rows of the field */
};

static int field_lines(int lines, int fields, int field)
{
    return fields == 1 ? lines : (lines + 1 - field) / 2;
}

static int round_up(int value, int unit)
{
    return (value + unit - 1) / unit * unit;
}

static bool has_words(enum resize_format format)
{
    return format == RESIZE_P010 || format == RESIZE_I420P10;
}

/* ---- the block ------------------------------------------------------------------------------- */

/* Space for `bytes`, zeroed; its offset in the block. */
static int block_add(struct builder *b, size_t bytes, uint32_t *ret)
{
    const size_t at = (b->size + TABLE_ALIGN - 1) / TABLE_ALIGN * TABLE_ALIGN;
    if (bytes > BLOCK_BYTES_MAX - at)
        return error_set(b->err, RGPU_ERROR_LIMIT,
                         "the resize's tables would take more than %u MiB; choose fewer rungs",
                         BLOCK_BYTES_MAX >> 20);
    if (at + bytes > b->capacity) {
        const size_t capacity = 2 * (at + bytes);
        uint8_t *block = realloc(b->block, capacity);
        if (!block)
            return error_memory(b->err, "the resize's tables");
        b->block = block;
        b->capacity = capacity;
    }
    memset(b->block + b->size, 0, at + bytes - b->size);
    b->size = at + bytes;
    *ret = (uint32_t)at;
    return 0;
}

static int tiles_reserve(struct builder *b, int more)
{
    if (b->tiles_count + more <= b->tiles_capacity)
        return 0;
    const int capacity = 2 * (b->tiles_count + more);
    struct resize_tile *tiles = realloc(b->tiles, (size_t)capacity * sizeof(*tiles));
    if (!tiles)
        return error_memory(b->err, "the resize's tiles");
    b->tiles = tiles;
    b->tiles_capacity = capacity;
    return 0;
}

/* ---- filters --------------------------------------------------------------------------------- */

/* Makes the filter of `count` samples. Weights are in rows of `pitch` samples, a unit of each
 * (across), or, where `pitch` is 0, all units of a sample together (down). */
static int filter_init(struct builder *b, struct filter *ret, const struct resize_mapping *map,
                       int unit, int src_samples, int count, int pitch)
{
    const int padded = pitch ? pitch : count;
    struct resize_taps *taps = malloc((size_t)padded * sizeof(*taps));
    uint16_t *firsts = malloc((size_t)padded * sizeof(*firsts));
    if (!taps || !firsts) {
        free(taps);
        free(firsts);
        return error_memory(b->err, "the resize's filters");
    }
    int units = 0;
    for (int i = 0; i < padded; i++) {
        resize_taps_make(&taps[i], map, i < count ? i : count - 1, src_samples);
        firsts[i] = (uint16_t)(taps[i].first / unit);
        const int end = (taps[i].first + taps[i].count - 1) / unit + 1;
        units = end - firsts[i] > units ? end - firsts[i] : units;
    }
    if (!pitch)
        units = round_up(units, 2); /* the kernel takes two pairs of rows at a time */
    struct filter f = {.units = units, .firsts = firsts};
    int rc = block_add(b, (size_t)padded * sizeof(*firsts), &f.first);
    if (!rc)
        rc = block_add(b, (size_t)padded * (size_t)units * (size_t)unit * sizeof(int16_t),
                       &f.weights);
    if (rc) {
        free(taps);
        free(firsts);
        return rc;
    }
    memcpy(b->block + f.first, firsts, (size_t)padded * sizeof(*firsts));
    int16_t *weights = (int16_t *)(void *)(b->block + f.weights);
    for (int i = 0; i < padded; i++)
        for (int k = 0; k < taps[i].count; k++) {
            const int at = taps[i].first + k - firsts[i] * unit;
            const int row = pitch ? at / unit * pitch + i : i * units + at / unit;
            weights[row * unit + at % unit] = taps[i].weights[k];
        }
    free(taps);
    *ret = f;
    return 0;
}

/* The units from the first that samples at..at+count-1 use to behind the last. */
static void filter_extent(const struct filter *f, int at, int count, int *ret_first, int *ret_end)
{
    int first = f->firsts[at];
    int last = first;
    for (int i = at; i < at + count; i++) {
        first = f->firsts[i] < first ? f->firsts[i] : first;
        last = f->firsts[i] > last ? f->firsts[i] : last;
    }
    *ret_first = first;
    *ret_end = last + f->units;
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* Chunks of each source line, and source rows, that a tile needs. */
static void tile_chunks(const struct resize_job *job, const struct filter *across, int x,
                        int columns, int *ret_first, int *ret_count)
{
    int first, end;
    filter_extent(across, x, columns, &first, &end);
    *ret_first = first / job->src_chunk_words;
    *ret_count = (end - 1) / job->src_chunk_words + 1 - *ret_first;
}

static void tile_rows(const struct resize_job *job, const struct filter *down, int y, int rows,
                      int *ret_pair, int *ret_rows)
{
    int end;
    filter_extent(down, y, rows < job->height - y ? rows : job->height - y, ret_pair, &end);
    *ret_rows = round_up(2 * (end - *ret_pair), RESIZE_BATCH_LINES);
}

static int chunks_max(const struct resize_job *job, const struct filter *across, int columns)
{
    int max = 1;
    for (int x = 0; x < job->width; x += columns) {
        int first, count;
        tile_chunks(job, across, x, columns, &first, &count);
        max = count > max ? count : max;
    }
    return max;
}

static int rows_max(const struct resize_job *job, const struct filter *down, int rows)
{
    int max = 0;
    for (int y = 0; y < job->height; y += rows) {
        int pair, count;
        tile_rows(job, down, y, rows, &pair, &count);
        max = count > max ? count : max;
    }
    return max;
}

/* Source lines that give each thread a batch. */
static int round_rows(int lanes)
{
    return RESIZE_THREADS / lanes * RESIZE_BATCH_LINES;
}

/* Chooses the size of the job's tiles: large, so that few lines are filtered across twice, but such
 * that many blocks share a multiprocessor and none runs for long. */
static void choose_tiles(struct resize_job *job, const struct filter *across,
                         const struct filter *down)
{
    int lanes = RESIZE_LANES;
    int line = RESIZE_CHUNK_BYTES * chunks_max(job, across, lanes / job->components);
    while (lanes > TILE_LANES_MIN &&
           (lanes == RESIZE_LANES ? 2 * round_rows(lanes) * line > STAGE_BYTES
                                  : RESIZE_BATCH_LINES * line > STAGE_BYTES_MAX)) {
        lanes /= 2;
        line = RESIZE_CHUNK_BYTES * chunks_max(job, across, lanes / job->components);
    }
    int rows = TILE_ROWS;
    int src_rows = rows_max(job, down, rows);
    while (src_rows > TILE_ROWS_SRC && rows > 1) {
        rows = rows > 8 ? rows - 8 : rows / 2;
        src_rows = rows_max(job, down, rows);
    }
    const int unit = round_rows(lanes);
    int stage_rows = STAGE_BYTES / line / unit * unit;
    if (stage_rows == 0)
        stage_rows = unit * line <= STAGE_BYTES_MAX ? unit : RESIZE_BATCH_LINES;
    job->stage_rows = src_rows * line <= STAGE_BYTES ? src_rows : stage_rows;
    job->tile_rows = (uint8_t)rows;
    job->tile_columns_log2 = 0;
    while (job->components << job->tile_columns_log2 < lanes)
        job->tile_columns_log2++;
}

static int tile_shared_bytes(const struct resize_job *job, const struct resize_tile *t)
{
    const int lanes = job->components << job->tile_columns_log2;
    return job->stage_rows * t->chunks * RESIZE_CHUNK_BYTES +
           t->rows / 2 * lanes * (int)sizeof(uint32_t);
}

/* Cuts the newest job into tiles; without filters, of a black one. */
static int cut_tiles(struct builder *b, const struct filter *across, const struct filter *down,
                     struct resize_plan_rung *rung)
{
    const struct resize_job *job = &b->jobs[b->jobs_count - 1];
    const int columns = 1 << job->tile_columns_log2;
    const int rows = job->tile_rows;
    int rc = tiles_reserve(b, ((job->width - 1) / columns + 1) * ((job->height - 1) / rows + 1));
    if (rc)
        return rc;
    for (int y = 0; y < job->height; y += rows)
        for (int x = 0; x < job->width; x += columns) {
            struct resize_tile t = {
                .job = (uint16_t)(b->jobs_count - 1), .x = (uint16_t)x, .y = (uint16_t)y};
            if (across) {
                int chunk, chunks, pair, src_rows;
                tile_chunks(job, across, x, columns, &chunk, &chunks);
                tile_rows(job, down, y, rows, &pair, &src_rows);
                t.src_chunk = (uint16_t)chunk;
                t.chunks = (uint16_t)chunks;
                t.src_pair = (uint16_t)pair;
                t.rows = (uint16_t)src_rows;
            }
            const int bytes = tile_shared_bytes(job, &t);
            assert(bytes <= RESIZE_SHARED_MAX && t.rows <= RESIZE_ROWS_MAX);
            assert(job->groups <= RESIZE_GROUPS_MAX);
            rung->shared_bytes = bytes > rung->shared_bytes ? bytes : rung->shared_bytes;
            b->tiles[b->tiles_count++] = t;
        }
    return 0;
}

/* ---- jobs ------------------------------------------------------------------------------------ */

/* All of a job but filters and tiles. */
static struct resize_job job_for(const struct builder *b, const struct region *r)
{
    const struct resize_params *p = b->params;
    const enum resize_format to = p->rungs[r->rung].format;
    const bool deep = has_words(p->format);
    const int fields = p->interlaced ? 2 : 1;
    const int src_width = r->chroma ? (p->width + 1) / 2 : p->width;
    const int src_height = r->chroma ? (p->height + 1) / 2 : p->height;
    const int sample_bytes = (1 + r->chroma) << deep;
    return (struct resize_job){
        .width = r->width,
        .height = r->height,
        .x = r->x,
        .y = r->y,
        .src_columns = src_width,
        .src_rows = field_lines(src_height, fields, r->field),
        .src_chunks = round_up(src_width * sample_bytes, RESIZE_CHUNK_BYTES) / RESIZE_CHUNK_BYTES,
        .src_chunk_words = 4 / sample_bytes,
        .out.shift = RESIZE_WEIGHT_BITS + RESIZE_MIDDLE_BITS - (has_words(to) ? 10 : 8),
        .out.max = has_words(to) ? 1023 : 255,
        .out.up = to == RESIZE_P010 ? 6 : 0,
        .rung = (uint8_t)r->rung,
        .chroma = (uint8_t)r->chroma,
        .field = (uint8_t)r->field,
        .fields = (uint8_t)fields,
        .deep = deep,
        .out_words = has_words(to),
        .paired = r->chroma && (to == RESIZE_NV12 || to == RESIZE_P010),
        .components = (uint8_t)(1 + r->chroma),
    };
}

/* Adds a black rectangle. */
static int add_black(struct builder *b, const struct region *r, struct resize_plan_rung *rung)
{
    if (r->width <= 0 || r->height <= 0)
        return 0;
    struct resize_job job = job_for(b, r);
    const int black = r->chroma ? 128 : b->params->full_range ? 0 : 16;
    job.out.bias = black << (RESIZE_WEIGHT_BITS + RESIZE_MIDDLE_BITS - 8);
    job.tile_columns_log2 = r->chroma ? 5 : 6;
    job.tile_rows = TILE_ROWS;
    b->jobs[b->jobs_count++] = job;
    return cut_tiles(b, NULL, NULL, rung);
}

/* Adds what lies around the area in the plane. */
static int add_border(struct builder *b, const struct region *plane, const struct region *area,
                      struct resize_plan_rung *rung)
{
    const int right = area->x + area->width;
    const int bottom = area->y + area->height;
    struct region parts[4] = {*plane, *plane, *area, *area};
    parts[0].height = area->y;
    parts[1].y = bottom;
    parts[1].height = plane->height - bottom;
    parts[2].x = 0;
    parts[2].width = area->x;
    parts[3].x = right;
    parts[3].width = plane->width - right;
    for (int i = 0; i < 4; i++) {
        int rc = add_black(b, &parts[i], rung);
        if (rc)
            return rc;
    }
    return 0;
}

/* The mapping of a plane's field from source to area; `axis` 0 is x. */
static struct resize_mapping mapping_for(const struct builder *b, const struct region *r, int axis,
                                         int area_size)
{
    const struct resize_params *p = b->params;
    const int step = 1 + r->chroma;
    const int fields = axis && p->interlaced ? 2 : 1;
    int offset2 = !r->chroma ? 1 : 1 + (axis ? p->siting.y2 : p->siting.x2);
    /* A field's lines are every second of the frame's, the bottom field's from the second on. */
    offset2 += axis ? 2 * step * r->field : 0;
    const struct resize_axis a = {0, step * fields, offset2};
    return resize_map(a, axis ? p->height : p->width, a, area_size);
}

/* Adds the picture in a plane (of a field). */
static int add_picture(struct builder *b, const struct region *r, int area_width, int area_height,
                       struct resize_plan_rung *rung)
{
    if (r->height == 0)
        return 0;
    struct resize_job job = job_for(b, r);
    const struct resize_mapping map_x = mapping_for(b, r, 0, area_width);
    const struct resize_mapping map_y = mapping_for(b, r, 1, area_height);
    job.out.bias = 1 << (job.out.shift - 1);
    job.out.dither = job.deep && !job.out_words;
    job.columns_pitch = round_up(r->width, RESIZE_LANES);
    struct filter across = {0}, down = {0};
    int rc = filter_init(b, &across, &map_x, 4, job.src_columns, r->width, job.columns_pitch);
    if (!rc)
        rc = filter_init(b, &down, &map_y, 2, job.src_rows, r->height, 0);
    if (!rc) {
        job.first_column = across.first;
        job.weights_across = across.weights;
        job.groups = across.units;
        job.first_row = down.first;
        job.weights_down = down.weights;
        job.pairs = down.units;
        choose_tiles(&job, &across, &down);
        b->jobs[b->jobs_count++] = job;
        rc = cut_tiles(b, &across, &down, rung);
    }
    free(across.firsts);
    free(down.firsts);
    return rc;
}

static int add_plane(struct builder *b, int rung, int chroma, int field, bool black,
                     struct resize_plan_rung *ret)
{
    const struct resize_rung *to = &b->params->rungs[rung];
    const bool whole = to->area.width == 0;
    const int fields = b->params->interlaced ? 2 : 1;
    const int area_width = whole ? to->width : to->area.width;
    const int area_height = whole ? to->height : to->area.height;
    const struct region plane = {rung,
                                 chroma,
                                 field,
                                 0,
                                 0,
                                 to->width >> chroma,
                                 field_lines(to->height >> chroma, fields, field)};
    struct region area = plane;
    if (!whole) {
        area.x = to->area.x >> chroma;
        area.y = (to->area.y >> chroma) / fields;
        area.width = area_width >> chroma;
        area.height = field_lines(area_height >> chroma, fields, field);
    }
    return black ? add_border(b, &plane, &area, ret)
                 : add_picture(b, &area, area_width, area_height, ret);
}

static int add_rung(struct builder *b, int rung, struct resize_plan_rung *ret)
{
    const int fields = b->params->interlaced ? 2 : 1;
    ret->first_tile = b->tiles_count;
    /* Black tiles last: they are short, and fill the gaps at the end. */
    for (int black = 0; black < 2; black++)
        for (int chroma = 0; chroma < 2; chroma++)
            for (int field = 0; field < fields; field++) {
                int rc = add_plane(b, rung, chroma, field, black, ret);
                if (rc)
                    return rc;
            }
    ret->tiles = b->tiles_count - ret->first_tile;
    return 0;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static int check_rung(const struct resize_params *p, int i, struct error *err)
{
    const struct resize_rung *r = &p->rungs[i];
    const int unit = p->interlaced ? 4 : 2; /* lines that hold a line of chroma of each field */
    if (r->width < 2 || r->height < 2 || r->width > SIZE_MAX_PIXELS ||
        r->height > SIZE_MAX_PIXELS || r->width % 2 || r->height % 2)
        return error_set(err, RGPU_ERROR_PARAM,
                         "cannot resize to %dx%d; choose even sizes from 2 to %d", r->width,
                         r->height, SIZE_MAX_PIXELS);
    if ((unsigned)r->format > RESIZE_I420P10)
        return error_set(err, RGPU_ERROR_PARAM, "rung %d of the resize has no format", i);
    int width = r->width;
    int height = r->height;
    if (r->area.width) {
        width = r->area.width;
        height = r->area.height;
        if (r->area.x < 0 || r->area.y < 0 || width < 2 || height < 2 ||
            r->area.x > r->width - width || r->area.y > r->height - height || r->area.x % 2 ||
            width % 2 || height % 2 || r->area.y % unit ||
            (height % unit && r->area.y + height < r->height))
            return error_set(err, RGPU_ERROR_PARAM,
                             "the area %dx%d at %d,%d does not fit %dx%d in whole chroma samples",
                             width, height, r->area.x, r->area.y, r->width, r->height);
    }
    if (p->width > (int64_t)width * RESIZE_SHRINK_MAX ||
        p->height > (int64_t)height * RESIZE_SHRINK_MAX)
        return error_set(err, RGPU_ERROR_UNSUPPORTED,
                         "cannot resize %dx%d to %dx%d, which is less than 1/%d; choose a size "
                         "nearer to the source's",
                         p->width, p->height, width, height, RESIZE_SHRINK_MAX);
    return 0;
}

static int check_params(const struct resize_params *p, struct error *err)
{
    /* Less than 3 lines hold no chroma of the bottom field. */
    const int height_min = p->interlaced ? 3 : 1;
    if (p->width < 1 || p->height < height_min || p->width > SIZE_MAX_PIXELS ||
        p->height > SIZE_MAX_PIXELS)
        return error_set(err, RGPU_ERROR_PARAM, "cannot resize a picture of %dx%d%s", p->width,
                         p->height, p->interlaced ? ", interlaced" : "");
    if (p->format != RESIZE_NV12 && p->format != RESIZE_P010)
        return error_set(err, RGPU_ERROR_PARAM, "the resize reads NV12 and P010 only");
    if (p->siting.x2 < 0 || p->siting.x2 > 2 || p->siting.y2 < 0 || p->siting.y2 > 2)
        return error_set(err, RGPU_ERROR_PARAM, "chroma sited at %d/2, %d/2 is not within its luma",
                         p->siting.x2, p->siting.y2);
    if (p->rungs_count < 1 || p->rungs_count > RESIZE_RUNGS_MAX)
        return error_set(err, RGPU_ERROR_PARAM, "cannot resize to %d rungs; choose 1 to %d",
                         p->rungs_count, RESIZE_RUNGS_MAX);
    for (int i = 0; i < p->rungs_count; i++) {
        int rc = check_rung(p, i, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* Lines times words under the filter: how long the rung's tiles run, about. */
static int rung_weight(const struct builder *b, const struct resize_plan_rung *rung)
{
    const struct resize_tile *t = &b->tiles[rung->first_tile];
    return t->rows * b->jobs[t->job].groups;
}

static void order_rungs(struct resize_plan *plan, const struct builder *b)
{
    for (int i = 0; i < plan->rungs_count; i++) {
        int at = i;
        while (at > 0 && rung_weight(b, &plan->rungs[plan->order[at - 1]]) <
                             rung_weight(b, &plan->rungs[i])) {
            plan->order[at] = plan->order[at - 1];
            at--;
        }
        plan->order[at] = i;
    }
}

static int build(struct resize_plan *plan, struct builder *b)
{
    struct resize_header header;
    uint32_t at;
    int rc = block_add(b, sizeof(header), &at);
    for (int i = 0; !rc && i < plan->rungs_count; i++)
        rc = add_rung(b, i, &plan->rungs[i]);
    const size_t jobs_bytes = (size_t)b->jobs_count * sizeof(*b->jobs);
    const size_t tiles_bytes = (size_t)b->tiles_count * sizeof(*b->tiles);
    if (!rc)
        rc = block_add(b, jobs_bytes, &header.jobs);
    if (!rc)
        rc = block_add(b, tiles_bytes, &header.tiles);
    if (rc)
        return rc;
    assert(b->jobs_count > 0 && b->tiles);
    memcpy(b->block, &header, sizeof(header));
    memcpy(b->block + header.jobs, b->jobs, jobs_bytes);
    memcpy(b->block + header.tiles, b->tiles, tiles_bytes);
    order_rungs(plan, b);
    return 0;
}

int resize_plan_init(struct resize_plan *plan, const struct resize_params *params,
                     struct error *err)
{
    *plan = (struct resize_plan){0};
    int rc = check_params(params, err);
    if (rc)
        return rc;
    plan->rungs_count = params->rungs_count;
    struct builder b = {.params = params, .err = err};
    /* Each plane of each field: the picture and four black parts. */
    b.jobs = calloc((size_t)params->rungs_count * 2 * 2 * 5, sizeof(*b.jobs));
    rc = b.jobs ? build(plan, &b) : error_memory(err, "the resize's jobs");
    free(b.jobs);
    free(b.tiles);
    if (rc) {
        free(b.block);
        *plan = (struct resize_plan){0};
        return rc;
    }
    plan->block = b.block;
    plan->size = b.size;
    return 0;
}

void resize_plan_done(struct resize_plan *plan)
{
    free(plan->block);
    *plan = (struct resize_plan){0};
}

unsigned resize_plan_args(const struct resize_plan *plan, const struct resize_picture *source,
                          const struct resize_picture *rungs, uint32_t mask,
                          struct resize_args *ret, int *ret_shared_bytes)
{
    *ret = (struct resize_args){
        .source = {source->plane[0], source->plane[1]},
        .source_pitch = {source->pitch[0], source->pitch[1]},
    };
    unsigned blocks = 0;
    int shared_bytes = 0;
    for (int i = 0; i < plan->rungs_count; i++) {
        const int rung = plan->order[i];
        const struct resize_plan_rung *r = &plan->rungs[rung];
        if (!(mask >> rung & 1))
            continue;
        struct resize_entry *e = &ret->entries[ret->entries_count++];
        e->shift = r->first_tile - (int)blocks;
        blocks += (unsigned)r->tiles;
        e->end = blocks;
        shared_bytes = r->shared_bytes > shared_bytes ? r->shared_bytes : shared_bytes;
        memcpy(ret->rungs[rung].plane, rungs[rung].plane, sizeof(ret->rungs[rung].plane));
        memcpy(ret->rungs[rung].pitch, rungs[rung].pitch, sizeof(ret->rungs[rung].pitch));
    }
    *ret_shared_bytes = shared_bytes;
    return blocks;
}
