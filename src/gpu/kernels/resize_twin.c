#include "gpu/kernels/resize_twin.h"

#include <string.h>

/* What a tile's columns and rows read of the source. */
struct source {
    const uint8_t *base; /* of the field */
    int64_t pitch;       /* from a line of the field to the next */
    int columns, rows;   /* of samples of a component */
    int components;
    int deep;
};

static int16_t weight(const uint8_t *plan, uint32_t weights, int at)
{
    int16_t v;
    memcpy(&v, plan + weights + 2 * (int64_t)at, sizeof(v));
    return v;
}

static int first_unit(const uint8_t *plan, uint32_t firsts, int at)
{
    uint16_t v;
    memcpy(&v, plan + firsts + 2 * (int64_t)at, sizeof(v));
    return v;
}

static int sample(const struct source *s, const uint8_t *line, int component, int column)
{
    const int at = column * s->components + component;
    if (!s->deep)
        return line[at];
    uint16_t v;
    memcpy(&v, line + 2 * (int64_t)at, sizeof(v));
    return v;
}

/* Middles of one component of one column of the tile, for all its source rows. */
static void across(const uint8_t *plan, const struct resize_job *job,
                   const struct resize_tile *tile, const struct source *s, int component,
                   int column, int *middles)
{
    const int first = 4 * first_unit(plan, job->first_column, column);
    int weights[4 * RESIZE_GROUPS_MAX] = {0};
    int count = 4 * job->groups;
    for (int k = 0; k < count; k++)
        weights[k] =
            weight(plan, job->weights_across, (k / 4 * job->columns_pitch + column) * 4 + k % 4);
    count = count < s->columns - first ? count : s->columns - first;
    for (int r = 0; r < tile->rows; r++) {
        int row = 2 * tile->src_pair + r;
        row = row < s->rows ? row : s->rows - 1;
        const uint8_t *line = s->base + row * s->pitch;
        int sum = 0;
        for (int k = 0; k < count; k++)
            sum += weights[k] * sample(s, line, component, first + k);
        middles[r] = resize_middle(sum, s->deep);
    }
}

static void store(uint8_t *line, const struct resize_job *job, int at, unsigned v)
{
    const uint16_t word = (uint16_t)v;
    if (job->out_words)
        memcpy(line + 2 * (int64_t)at, &word, sizeof(word));
    else
        line[at] = (uint8_t)v;
}

/* Writes one component of one column of the tile. */
static void down(const uint8_t *plan, const struct resize_job *job, const struct resize_tile *tile,
                 const struct resize_target *target, int component, int column, const int *middles)
{
    const int plane = job->chroma + (job->paired ? 0 : component);
    uint8_t *base = (uint8_t *)(uintptr_t)target->plane[plane];
    int at = job->x + column;
    if (job->paired)
        at = 2 * at + component;
    int rows = job->height - tile->y;
    rows = rows < job->tile_rows ? rows : job->tile_rows;
    for (int y = tile->y; y < tile->y + rows; y++) {
        int sum = 0;
        const int first =
            job->pairs ? 2 * (first_unit(plan, job->first_row, y) - tile->src_pair) : 0;
        for (int k = 0; k < 2 * job->pairs; k++)
            sum += weight(plan, job->weights_down, 2 * y * job->pairs + k) * middles[first + k];
        const int64_t row = job->fields * (int64_t)(job->y + y) + job->field;
        store(base + row * target->pitch[plane], job, at,
              resize_sample(&job->out, sum + resize_bias(&job->out, column, y)));
    }
}

void resize_twin(const uint8_t *plan, const struct resize_args *args, unsigned block)
{
    unsigned e = 0;
    while (block >= args->entries[e].end)
        e++;
    struct resize_header header;
    memcpy(&header, plan, sizeof(header));
    struct resize_tile tile;
    memcpy(&tile, plan + header.tiles + sizeof(tile) * (block + (unsigned)args->entries[e].shift),
           sizeof(tile));
    struct resize_job job;
    memcpy(&job, plan + header.jobs + sizeof(job) * tile.job, sizeof(job));
    const int64_t pitch = args->source_pitch[job.chroma];
    const struct source source = {
        (const uint8_t *)(uintptr_t)args->source[job.chroma] + job.field * pitch,
        pitch * job.fields,
        job.src_columns,
        job.src_rows,
        job.components,
        job.deep,
    };
    int columns = job.width - tile.x;
    if (columns > 1 << job.tile_columns_log2)
        columns = 1 << job.tile_columns_log2;
    int middles[RESIZE_ROWS_MAX];
    for (int component = 0; component < job.components; component++)
        for (int column = tile.x; column < tile.x + columns; column++) {
            if (job.pairs)
                across(plan, &job, &tile, &source, component, column, middles);
            down(plan, &job, &tile, &args->rungs[job.rung], component, column, middles);
        }
}
