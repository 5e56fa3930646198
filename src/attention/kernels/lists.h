/* The other half of a kernel: cells that a plan lists one by one. Their cost follows how many there
 * are, whatever their pattern.
 *
 * Each phase runs over a whole row block, tile by tile: scores, softmax, output; in backward scores,
 * weights, query gradients, and the lists by column for keys and values. Rows of one tile are then
 * gathered from the first-level cache, one row's softmax hides behind the others, and nothing is
 * scattered but the gradient of the distance table. Weights and score gradients of the block's
 * cells lie in scratch memory in the order of the list by row.
 *
 * A call shorter than its plan, or with a window, has cells in the lists that are not admissible:
 * they are computed like the others, from rows of zeros, and their weights set to zero. */
#ifndef PARE_SRC_ATTENTION_KERNELS_LISTS_H
#define PARE_SRC_ATTENTION_KERNELS_LISTS_H

#include "attention/kernels/gather.h"
#include "attention/kernels/state.h"

/* The runs of the block and one tile, and their entries, one after the other. */
typedef struct run_list {
    const pri_run *runs;
    size_t count;
    const uint16_t *entries;
} run_list;

static run_list row_list(const kernel_state *s, const row_block *block, size_t tile)
{
    size_t index = block->first / PRI_BLOCK_ROWS * s->call->plan->tiles + tile;
    const pri_list_place *place = s->plan->row_places + index;
    return (run_list){s->plan->row_runs + place[0].run, place[1].run - place[0].run,
                      s->plan->columns + place[0].entry};
}

V_INLINE size_t entries_in(pri_run run)
{
    return run.quads * (size_t)PRI_QUAD;
}

/* ---- Scores ---- */

/* scores (+)= with_i . row_j for the cells of one tile. */
typedef struct score_runs {
    size_t rows; /* of the block: later ones are left alone */
    const float *with;
    float *scores;
} score_runs;

V_INLINE void dot_runs(const score_runs *of, run_list list, const float *rows, row_shape shape)
{
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        if (run.index < of->rows)
            dot_run(rows, list.entries, of->with + run.index * shape.stride, run.quads, false,
                    of->scores + run.place, shape);
        list.entries += entries_in(run);
    }
}

/* `distances` is what row 0 of the block meets at the tile's first column; each row after it meets
 * one row of them earlier. */
V_INLINE void dot_position_runs(const score_runs *of, run_list list, const float *distances,
                                row_shape shape)
{
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        if (run.index < of->rows)
            dot_run(distances - run.index * shape.stride, list.entries,
                    of->with + run.index * shape.stride, run.quads, true, of->scores + run.place,
                    shape);
        list.entries += entries_in(run);
    }
}

static const float *distances_at(const kernel_state *s, const row_block *block, size_t tile)
{
    ptrdiff_t row = distance_row(s, block->first, tile * PRI_TILE_COLUMNS) + DISTANCE_MARGIN;
    return s->distances + row * (ptrdiff_t)s->stride;
}

/* Scores of the block's rows with keys or values. */
static void list_scores(const kernel_state *s, const row_block *block, float *tiles,
                        const float *with, float *scores)
{
    score_runs of = {block->count, with, scores};
    for (size_t tile = s->tiles.begin; tile < s->tiles.end; tile++) {
        run_list list = row_list(s, block, tile);
        const float *rows = tile_rows(s, tiles, tile);
        WITH_CONSTANT_SHAPE(vectors_for(s->head_size), dot_runs, &of, list, rows)
    }
}

static void list_position_scores(const kernel_state *s, const row_block *block, float *scores)
{
    score_runs of = {block->count, s->positional, scores};
    for (size_t tile = s->tiles.begin; tile < s->tiles.end; tile++) {
        run_list list = row_list(s, block, tile);
        const float *distances = distances_at(s, block, tile);
        WITH_CONSTANT_SHAPE(vectors_for(s->head_size), dot_position_runs, &of, list, distances)
    }
}

/* Where weights of row r of the block lie. */
static pri_range weights_of_row(const kernel_state *s, const row_block *block, size_t r)
{
    const uint32_t *first = s->plan->row_first + block->first;
    return (pri_range){first[r] - first[0], first[r + 1] - first[0]};
}

/* Scores, as the formulas have them; those of entries that are no cells are anything. */
static void list_all_scores(const kernel_state *s, const row_block *block)
{
    list_scores(s, block, s->keys, s->query, s->weights);
    if (s->call->relative)
        list_position_scores(s, block, s->weights);
    for (size_t r = 0; r < block->count; r++) {
        pri_range row = weights_of_row(s, block, r);
        if (is_uniform(s, block->first + r))
            clear_floats(s->weights + row.begin, row.end - row.begin);
    }
}

/* Whether the call leaves out columns that its plan has. */
static bool is_cut(const kernel_state *s)
{
    const pare_plan_geometry *geometry = &s->call->plan->geometry;
    return s->call->window || s->shift || (!s->call->causal && s->sequence.keys < geometry->keys);
}

/* Calls what follows for each of the block's runs in each tile of the plan. */
#define FOR_EACH_RUN(s, block, tile, list, run)                                                    \
    for (size_t tile = 0; tile < (s)->call->plan->tiles; tile++)                                   \
        for (run_list list = row_list(s, block, tile); list.count > 0;                             \
             list.entries += entries_in(*list.runs), list.runs++, list.count--)                    \
            for (const pri_run *run = list.runs; run && run->index < (block)->count; run = NULL)

/* Sets the values of columns that are not admissible. */
static void fill_inadmissible(const kernel_state *s, const row_block *block, float *values,
                              float value)
{
    FOR_EACH_RUN(s, block, tile, list, run)
    {
        pri_range columns = admissible_columns(s, block->first + run->index);
        for (size_t k = 0; k < entries_in(*run); k++) {
            size_t column = tile * PRI_TILE_COLUMNS + list.entries[k];
            if (column < columns.begin || column >= columns.end)
                values[run->place + k] = value;
        }
    }
}

/* values *= dropout factors */
static void list_dropout(const kernel_state *s, const row_block *block, float *values)
{
    FOR_EACH_RUN(s, block, tile, list, run)
    {
        pri_dropout_row draws = dropout_of_row(s, block->first + run->index);
        uint32_t first = (uint32_t)(tile * PRI_TILE_COLUMNS - s->shift);
        for (size_t k = 0; k < entries_in(*run); k++)
            values[run->place + k] *= pri_dropout_factor(draws, first + list.entries[k]);
    }
}

/* Lanes of the row's weights k .. k + V_WIDTH - 1, counted from the block's first, that are cells. */
static v_mask cell_lanes(const kernel_state *s, const row_block *block, pri_range row, size_t k)
{
    uint32_t bits = pri_plan_bits(s->plan->is_cell, s->plan->row_first[block->first] + k);
    size_t left = row.end - k;
    return v_mask_from_bits(left < V_WIDTH ? bits & ((1u << left) - 1u) : bits);
}

/* ---- Sums ---- */

V_INLINE void sum_runs(size_t block_rows, run_list list, const float *rows, const float *weights,
                       float *sums, row_shape shape)
{
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        weighted_entries with = {list.entries, NULL, weights + run.place, run.quads};
        if (run.index < block_rows)
            sum_run(rows, with, sums + run.index * shape.stride, shape);
        list.entries += entries_in(run);
    }
}

/* sums_i += sum_j weight_ij row_j, where the rows are keys or values. */
static void list_sums(const kernel_state *s, const row_block *block, float *tiles,
                      const float *weights, float *sums)
{
    for (size_t tile = s->tiles.begin; tile < s->tiles.end; tile++) {
        run_list list = row_list(s, block, tile);
        const float *rows = tile_rows(s, tiles, tile);
        WITH_CONSTANT_SHAPE(vectors_for(s->head_size), sum_runs, block->count, list, rows, weights,
                            sums)
    }
}

/* ---- Forward ---- */

/* Scores of row r become weights exp(s - largest). */
static void list_softmax(const kernel_state *s, row_block *block, size_t r)
{
    pri_range row = weights_of_row(s, block, r);
    v_float absent = v_set(-INFINITY), largest = absent;
    for (size_t k = row.begin; k < row.end; k += V_WIDTH) {
        v_float score = v_load_partial(s->weights + k, row.end - k);
        score = v_select(cell_lanes(s, block, row, k), score, absent);
        v_store_partial(s->weights + k, score, row.end - k);
        largest = v_max(largest, score);
    }
    float here = v_reduce_max(largest);
    if (here == -INFINITY) {
        clear_floats(s->weights + row.begin, row.end - row.begin);
        return;
    }
    v_float shift = v_set(raise_largest(s, block, r, here)), total = v_zero();
    for (size_t k = row.begin; k < row.end; k += V_WIDTH) {
        v_float score = v_load_partial(s->weights + k, row.end - k);
        v_float weight = v_exp(v_sub(v_select(v_first_lanes(row.end - k), score, absent), shift));
        total = v_add(total, weight);
        v_store_partial(s->weights + k, weight, row.end - k);
    }
    block->total[r] += v_reduce_add(total);
}

static void forward_lists(const kernel_state *s, row_block *block)
{
    list_all_scores(s, block);
    if (is_cut(s))
        fill_inadmissible(s, block, s->weights, -INFINITY);
    for (size_t r = 0; r < block->count; r++)
        list_softmax(s, block, r);
    if (s->call->dropout > 0)
        list_dropout(s, block, s->weights);
    list_sums(s, block, s->values, s->weights, s->sum);
}

/* ---- Backward ---- */

/* Scores become a = exp(s - logsumexp); gradients, which come in as factor dO.v, become
 * ds = a (factor dO.v - expected). */
static void list_gradient_row(const kernel_state *s, const row_block *block, size_t r)
{
    pri_range row = weights_of_row(s, block, r);
    float logsumexp = s->call->logsumexp[logsumexp_index(s, block->first + r)];
    if (logsumexp == -INFINITY) { /* no cell of the row is kept */
        clear_floats(s->weights + row.begin, row.end - row.begin);
        clear_floats(s->gradients + row.begin, row.end - row.begin);
        return;
    }
    v_float shift = v_set(logsumexp), expected = v_set(block->expected[r]);
    for (size_t k = row.begin; k < row.end; k += V_WIDTH) {
        v_float score = v_load_partial(s->weights + k, row.end - k);
        v_float gradient = v_load_partial(s->gradients + k, row.end - k);
        v_mask is_cell = cell_lanes(s, block, row, k);
        v_float weight = v_exp(v_sub(v_select(is_cell, score, v_set(-INFINITY)), shift));
        gradient = v_mul(weight, v_sub(v_select(is_cell, gradient, v_zero()), expected));
        v_store_partial(s->gradients + k, gradient, row.end - k);
        v_store_partial(s->weights + k, weight, row.end - k);
    }
    if (is_uniform(s, block->first + r))
        clear_floats(s->gradients + row.begin, row.end - row.begin);
}

/* Zero weights for the rows that the call does not have, and for PRI_NO_CELL behind them. */
static void clear_absent_rows(const kernel_state *s, const row_block *block, float *weights)
{
    size_t queries = s->call->plan->geometry.queries;
    const uint32_t *first = s->plan->row_first;
    size_t begin = first[block->first + block->count];
    size_t end = first[smaller(block->first + PRI_BLOCK_ROWS, queries)];
    clear_floats(weights + (begin - first[block->first]), end - begin + 1);
}

static void list_gradients(const kernel_state *s, const row_block *block)
{
    list_all_scores(s, block);
    list_scores(s, block, s->values, s->output_gradient, s->gradients);
    if (s->call->dropout > 0)
        list_dropout(s, block, s->gradients);
    if (is_cut(s)) {
        fill_inadmissible(s, block, s->weights, -INFINITY);
        fill_inadmissible(s, block, s->gradients, 0);
    }
    for (size_t r = 0; r < block->count; r++)
        list_gradient_row(s, block, r);
    if (s->call->dropout > 0)
        list_dropout(s, block, s->weights);
    clear_absent_rows(s, block, s->weights);
    clear_absent_rows(s, block, s->gradients);
}

/* ds.r_delta for queries and bias w. */
V_INLINE void sum_position_runs(size_t block_rows, run_list list, const float *distances,
                                const float *gradients, float *sums, row_shape shape)
{
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        weighted_entries with = {list.entries, NULL, gradients + run.place, run.quads};
        if (run.index < block_rows)
            sum_run(distances - run.index * shape.stride, with, sums + run.index * shape.stride,
                    shape);
        list.entries += entries_in(run);
    }
}

/* The table's gradient: row delta gets ds (q + w) of every cell at that distance. */
static void scatter_to_table(const kernel_state *s, const row_block *block)
{
    FOR_EACH_RUN(s, block, tile, list, run)
    {
        const float *gradients = s->gradients + run->place;
        const float *query = s->positional + run->index * s->stride;
        ptrdiff_t first =
            distance_row(s, block->first + run->index, tile * PRI_TILE_COLUMNS);
        for (size_t k = 0; k < entries_in(*run); k++) {
            if (gradients[k] == 0) /* no cell perhaps: its row may lie outside the table */
                continue;
            float *to = s->task->table_sum + (first + list.entries[k]) * (ptrdiff_t)s->stride;
            v_float weight = v_set(gradients[k]);
            for (size_t d = 0; d < s->head_size; d += V_WIDTH)
                v_store(to + d, v_fma(weight, v_load(query + d), v_load(to + d)));
        }
    }
}

static void list_positions(const kernel_state *s, const row_block *block)
{
    for (size_t tile = s->tiles.begin; tile < s->tiles.end; tile++) {
        run_list list = row_list(s, block, tile);
        const float *distances = distances_at(s, block, tile);
        WITH_CONSTANT_SHAPE(vectors_for(s->head_size), sum_position_runs, block->count, list,
                            distances, s->gradients, s->position_sum)
    }
    scatter_to_table(s, block);
}

/* The block's rows, or their gradients, summed into those of the keys of one tile. */
typedef struct column_sums {
    pri_range columns; /* that are keys */
    const uint32_t *picks;
    const float *rows, *weights;
    float *sums; /* of the first of `columns` */
} column_sums;

V_INLINE void sum_column_runs(column_sums *of, run_list list, row_shape shape)
{
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        weighted_entries with = {list.entries, of->picks, of->weights, run.quads};
        if (run.index >= of->columns.begin && run.index < of->columns.end)
            sum_run(of->rows, with, of->sums + (run.index - of->columns.begin) * shape.stride,
                    shape);
        list.entries += entries_in(run);
        of->picks += entries_in(run);
    }
}

/* sums_j += sum_i weight_ij row_i, where the rows are the block's. */
static void list_column_sums(const kernel_state *s, const row_block *block, const float *rows,
                             const float *weights, float *sums)
{
    for (size_t tile = s->tiles.begin; tile < s->tiles.end; tile++) {
        size_t index = block->first / PRI_BLOCK_ROWS * s->call->plan->tiles + tile;
        const pri_list_place *place = s->plan->column_places + index;
        run_list list = {s->plan->column_runs + place[0].run, place[1].run - place[0].run,
                         s->plan->rows + place[0].entry};
        column_sums of = {key_columns(s, tile), s->plan->weights + place[0].entry, rows, weights,
                          NULL};
        of.sums = sums + (tile * PRI_TILE_COLUMNS + of.columns.begin - s->shift) * s->stride;
        WITH_CONSTANT_SHAPE(vectors_for(s->head_size), sum_column_runs, &of, list)
    }
}

static void backward_lists(const kernel_state *s, const row_block *block)
{
    list_gradients(s, block);
    list_sums(s, block, s->keys, s->gradients, s->sum);
    if (s->call->relative)
        list_positions(s, block);
    list_column_sums(s, block, s->output_gradient, s->weights, s->task->value_sum);
    list_column_sums(s, block, s->query, s->gradients, s->task->key_sum);
}

/* ---- Observation ---- */

static void observe_lists(const kernel_state *s, const row_block *block)
{
    const pare_observer *observer = s->call->observer;
    const pare_plan_geometry *geometry = &observer->geometry;
    size_t shift = pri_column_shift(geometry, &s->sequence);
    double *sums = observer->sums +
                   (s->task->head * geometry->queries + block->first) * geometry->keys;
    list_all_scores(s, block);
    FOR_EACH_RUN(s, block, tile, list, run)
    {
        pri_range columns = admissible_columns(s, block->first + run->index);
        float *scores = s->weights + run->place;
        v_float lse = v_set(s->call->logsumexp[logsumexp_index(s, block->first + run->index)]);
        for (size_t k = 0; k < entries_in(*run); k += V_WIDTH) {
            size_t left = entries_in(*run) - k;
            v_store_partial(scores + k, v_exp(v_sub(v_load_partial(scores + k, left), lse)), left);
        }
        for (size_t k = 0; k < entries_in(*run); k++) {
            size_t column = tile * PRI_TILE_COLUMNS + list.entries[k];
            if (list.entries[k] != PRI_NO_CELL && column >= columns.begin && column < columns.end)
                sums[run->index * geometry->keys + column - s->shift + shift] += (double)scores[k];
        }
    }
}

#endif
