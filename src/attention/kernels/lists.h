/* The other half of a kernel: cells that a plan lists one by one. Their cost follows how many there
 * are, whatever their pattern.
 *
 * Work goes phase by phase over a row block and a tile, so that what is gathered stays in the
 * first-level cache: in a forward pass scores tile by tile, the softmax row by row, then output
 * tile by tile; in a backward pass, which knows the softmax, everything for one tile before the
 * next. Nothing is scattered but the gradient of the distance table.
 *
 * A call shorter than its plan, or with a window, has cells in the lists that are not admissible.
 * Entries ascend, so those of rows and columns behind the call's last are left out (a quad's last
 * scores may be of anything), and so are their weights in a backward pass; others are computed,
 * from rows of zeros, and get weights of zero. */
#ifndef PARE_SRC_ATTENTION_KERNELS_LISTS_H
#define PARE_SRC_ATTENTION_KERNELS_LISTS_H

#include "attention/kernels/gather.h"
#include "attention/kernels/state.h"

/* The runs of the block and one tile, and their entries, one after the other. */
typedef struct run_list {
    const pri_run *runs;
    size_t count;
    const uint16_t *entries;
    const uint16_t *met; /* of each run, how many cells the call has; NULL: all */
} run_list;

V_INLINE size_t cells_met(const run_list *list, size_t i)
{
    return list->met ? list->met[i] : list->runs[i].cells;
}

/* Whether the call has fewer columns than its plan, at their end. */
static bool ends_early(const kernel_state *s)
{
    return !s->call->causal && s->sequence.keys < s->plan->geometry.keys;
}

static run_list row_list(const kernel_state *s, const row_block *block, size_t tile)
{
    size_t index = block->first / s->list_size * s->plan->list_tiles + tile;
    const pri_list_place *place = s->head->row_places + index;
    run_list list = {s->head->row_runs + place[0].run, place[1].run - place[0].run,
                     s->head->columns + place[0].entry, NULL};
    if (ends_early(s))
        list.met = s->row_met + pri_smaller(tile, s->list_tiles.end) * s->list_size;
    return list;
}

/* That the run takes in the list, whatever the call has of them. */
V_INLINE size_t entries_in(pri_run run)
{
    return pri_round_up(run.cells, PRI_QUAD);
}

/* How many of the first `count` entries lie below `end`. Without branches: where a run ends is
 * nothing that could be predicted. */
V_INLINE size_t entries_below(const uint16_t *entries, size_t count, size_t end)
{
    size_t below = 0;
    for (size_t left = count; left; left /= 2) {
        size_t middle = (left + 1) / 2;
        below += entries[below + middle - 1] < end ? middle : 0;
    }
    return below;
}

/* Fills row_met for the block. */
static void measure_rows(const kernel_state *s, const row_block *block)
{
    if (!ends_early(s))
        return;
    size_t tiles = s->list_tiles.end;
    for (size_t tile = s->list_tiles.begin; tile < tiles; tile++) {
        run_list list = row_list(s, block, tile);
        uint16_t *met = s->row_met + tile * s->list_size;
        size_t end = s->sequence.keys - tile * s->list_size;
        for (size_t i = 0; i < list.count; i++) {
            met[i] = (uint16_t)entries_below(list.entries, list.runs[i].cells, end);
            list.entries += entries_in(list.runs[i]);
        }
    }
    memset(s->row_met + tiles * s->list_size, 0, s->list_size * sizeof *s->row_met);
}

/* ---- Scores ---- */

/* Where scores go: `by_row` to the places of the runs, else in the order of the entries. */
typedef struct score_target {
    size_t rows; /* of the block: later ones are left alone */
    bool by_row, accumulate;
    float *scores;
    const float *offsets; /* per row, taken off its scores; NULL: none */
} score_target;

/* Scores of one tile's cells. Row i of the block meets `rows` set back by i * step: 0 for keys and
 * values, one row for distances. */
V_INLINE void dot_runs(const score_target *to, run_list list, const float *rows, size_t step,
                       const float *with, row_shape shape)
{
    float *next = to->scores;
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        float *scores = to->by_row ? to->scores + run.place : next;
        if (run.index < to->rows)
            dot_run(rows - run.index * step, list.entries, with + run.index * shape.stride,
                    pri_divide_up(cells_met(&list, i), PRI_QUAD),
                    to->offsets ? to->offsets[run.index] : 0, to->accumulate, scores, shape);
        list.entries += entries_in(run);
        next += entries_in(run);
    }
}

static void list_scores(const kernel_state *s, const score_target *to, run_list list,
                        const float *rows, size_t step, const float *with)
{
    WITH_CONSTANT_SHAPE(vectors_for(s->head_size), dot_runs, to, list, rows, step, with)
}

/* The first of the tile's rows of keys or values. */
static const float *listed_columns(const kernel_state *s, const float *rows, size_t tile)
{
    return rows + tile * (s->list_size + 1) * s->listed.stride;
}

/* What row 0 of the block meets at the tile's first column. */
static const float *distances_at(const kernel_state *s, const row_block *block, size_t tile)
{
    ptrdiff_t row =
        distance_row(s, block->first, tile * s->list_size) + (ptrdiff_t)s->list_size + 1;
    return s->listed.distances + row * (ptrdiff_t)s->listed.stride;
}

/* Scores as the formulas have them; those of entries that are no cells are anything. */
static void attention_scores(const kernel_state *s, const row_block *block, size_t tile,
                             run_list list, score_target to)
{
    list_scores(s, &to, list, listed_columns(s, s->listed.keys, tile), 0, s->listed.query);
    if (!s->call->relative)
        return;
    to.accumulate = true;
    to.offsets = NULL;
    list_scores(s, &to, list, distances_at(s, block, tile), s->listed.stride, s->listed.positional);
}

/* Whether the call leaves out columns that its plan has. */
static bool is_cut(const kernel_state *s)
{
    return s->call->window || s->shift || ends_early(s);
}

/* Sets the values of a run's columns that are not admissible. */
static void fill_inadmissible(const kernel_state *s, size_t row, size_t tile, pri_run run,
                              size_t met, const uint16_t *entries, float *values, float value)
{
    pri_range columns = admissible_columns(s, row);
    size_t first = tile * s->list_size, begin = 0, end = met;
    if (s->call->causal) {
        begin = entries_below(entries, run.cells, pri_larger(columns.begin, first) - first);
        end = entries_below(entries, run.cells, pri_larger(columns.end, first) - first);
    }
    for (size_t k = 0; k < begin; k++)
        values[k] = value;
    for (size_t k = pri_larger(begin, end); k < run.cells; k++)
        values[k] = value;
}

/* Of a run's cells. */
static void dropout_factors(const kernel_state *s, size_t row, size_t tile, size_t met,
                            const uint16_t *entries, float *factors)
{
    pri_dropout_row draws = dropout_of_row(s, row);
    uint32_t first = (uint32_t)(tile * s->list_size - s->shift);
    for (size_t k = 0; k < met; k++)
        factors[k] = pri_dropout_factor(draws, first + entries[k]);
}

V_INLINE void store_lanes(float *to, v_float v, size_t count)
{
    if (count >= V_WIDTH)
        v_store(to, v);
    else
        v_store_partial(to, v, count);
}

/* ---- Sums ---- */

/* sums_i += sum_j weight_ij row_j for the cells of one tile, with rows and weights as in dot_runs.
 */
V_INLINE void sum_runs(const score_target *from, run_list list, const float *rows, size_t step,
                       float *sums, row_shape shape)
{
    const float *next = from->scores;
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        const float *weights = from->by_row ? from->scores + run.place : next;
        weighted_entries with = {list.entries, NULL, weights, cells_met(&list, i)};
        if (run.index < from->rows)
            sum_run(rows - run.index * step, with, sums + run.index * shape.sum_stride, shape);
        list.entries += entries_in(run);
        next += entries_in(run);
    }
}

static void list_sums(const kernel_state *s, const score_target *from, run_list list,
                      const float *rows, size_t step, float *sums){
    WITH_CONSTANT_SHAPE(vectors_for(s->head_size), sum_runs, from, list, rows, step, sums)}

/* ---- Forward ---- */

/* The row's scores k .. k + V_WIDTH - 1, where it has that many, with those that are no cells taken
 * out. `cells` has the row's bits from its first score on. */
V_INLINE v_float cell_scores(const float *scores, const uint64_t *cells, size_t first_bit, size_t k,
                             size_t count)
{
    v_mask is_cell = v_mask_from_bits(pri_plan_bits(cells, first_bit + k));
    v_float score =
        count - k >= V_WIDTH ? v_load(scores + k) : v_load_partial(scores + k, count - k);
    if (count - k < V_WIDTH)
        score = v_select(v_first_lanes(count - k), score, v_set(-INFINITY));
    return v_select(is_cell, score, v_set(-INFINITY));
}

/* Where weights of row r of the block lie. */
static pri_range weights_of_row(const kernel_state *s, const row_block *block, size_t r)
{
    const uint32_t *first = s->head->row_first + block->first;
    return (pri_range){first[r] - first[0], first[r + 1] - first[0]};
}

/* Scores of row r become weights exp(s - largest). */
static void list_softmax(const kernel_state *s, row_block *block, size_t r)
{
    pri_range row = weights_of_row(s, block, r);
    float *scores = s->weights + row.begin;
    size_t count = row.end - row.begin, first_bit = s->head->row_first[block->first + r];
    const uint64_t *cells = s->head->is_cell;
    if (is_uniform(s, block->first + r))
        for (size_t k = 0; k < count; k++)
            scores[k] = scores[k] == -INFINITY ? scores[k] : 0;
    v_float largest = v_set(-INFINITY), total = v_zero();
    for (size_t k = 0; k < count; k += V_WIDTH)
        largest = v_max(largest, cell_scores(scores, cells, first_bit, k, count));
    float here = v_reduce_max(largest);
    if (here == -INFINITY) {
        clear_floats(scores, count);
        return;
    }
    v_float shift = v_set(raise_largest(s, block, r, here));
    for (size_t k = 0; k < count; k += V_WIDTH) {
        v_float weight =
            v_exp_bounded(v_sub(cell_scores(scores, cells, first_bit, k, count), shift));
        total = v_add(total, weight);
        store_lanes(scores + k, weight, count - k);
    }
    block->total[r] += v_reduce_add(total);
}

/* The runs of one tile in turn, when something is to be done to their cells alone. */
typedef void run_action(const kernel_state *s, size_t row, size_t tile, pri_run run, size_t met,
                        const uint16_t *entries, float *values);

static void drop_run(const kernel_state *s, size_t row, size_t tile, pri_run run, size_t met,
                     const uint16_t *entries, float *values)
{
    (void)run;
    float factors[PRI_LIST_SIZE_MOST];
    dropout_factors(s, row, tile, met, entries, factors);
    for (size_t k = 0; k < met; k++)
        values[k] *= factors[k];
}

static void absent_is_infinite(const kernel_state *s, size_t row, size_t tile, pri_run run,
                               size_t met, const uint16_t *entries, float *values)
{
    fill_inadmissible(s, row, tile, run, met, entries, values, -INFINITY);
}

/* Every tile of the plan, since weights of all of them belong to the block's rows. */
static void for_each_run(const kernel_state *s, const row_block *block, run_action *action)
{
    for (size_t tile = 0; tile < s->plan->list_tiles; tile++) {
        run_list list = row_list(s, block, tile);
        for (size_t i = 0; i < list.count; i++) {
            pri_run run = list.runs[i];
            if (run.index < block->count)
                action(s, block->first + run.index, tile, run, cells_met(&list, i), list.entries,
                       s->weights + run.place);
            list.entries += entries_in(run);
        }
    }
}

static void forward_lists(const kernel_state *s, row_block *block)
{
    measure_rows(s, block);
    score_target weights = {.rows = block->count, .by_row = true, .scores = s->weights};
    for (size_t tile = s->list_tiles.begin; tile < s->list_tiles.end; tile++)
        attention_scores(s, block, tile, row_list(s, block, tile), weights);
    if (is_cut(s))
        for_each_run(s, block, absent_is_infinite);
    for (size_t r = 0; r < block->count; r++)
        list_softmax(s, block, r);
    if (s->call->dropout > 0)
        for_each_run(s, block, drop_run);
    for (size_t tile = s->list_tiles.begin; tile < s->list_tiles.end; tile++)
        list_sums(s, &weights, row_list(s, block, tile), listed_columns(s, s->listed.values, tile),
                  0, s->sum);
}

/* ---- Backward ---- */

/* One run: scores s - logsumexp become weights a factor, with a = exp(s - logsumexp), and gradients
 * dO.v, less `expected` unless there is dropout, become ds = a (factor dO.v - expected). */
static void run_gradients(const kernel_state *s, const row_block *block, size_t tile, pri_run run,
                          size_t met, const uint16_t *entries, float *weights, float *gradients)
{
    size_t row = block->first + run.index;
    bool dropping = s->call->dropout > 0, uniform = is_uniform(s, row);
    float factors[PRI_LIST_SIZE_MOST];
    v_float expected = v_set(block->expected[run.index]);
    if (dropping)
        dropout_factors(s, row, tile, met, entries, factors);
    for (size_t k = 0; uniform && k < met; k++)
        weights[k] = -block->logsumexp[run.index];
    if (s->call->causal && is_cut(s)) {
        fill_inadmissible(s, row, tile, run, met, entries, weights, -INFINITY);
        fill_inadmissible(s, row, tile, run, met, entries, gradients, 0);
    }
    for (size_t k = 0; k < met; k += V_WIDTH) {
        v_float weight = v_exp_bounded(v_load(weights + k)), gradient = v_load(gradients + k);
        v_float factor = dropping ? v_load_partial(factors + k, met - k) : v_set(1);
        if (dropping)
            gradient = v_sub(v_mul(gradient, factor), expected);
        store_lanes(gradients + k, uniform ? v_zero() : v_mul(weight, gradient), met - k);
        store_lanes(weights + k, dropping ? v_mul(weight, factor) : weight, met - k);
    }
}

/* The same where no run is special, all of them at once. */
static void plain_gradients(const kernel_state *s, run_list list)
{
    size_t count = 0;
    uint16_t no_cell = (uint16_t)s->list_size;
    for (size_t i = 0; i < list.count; i++)
        count += entries_in(list.runs[i]);
    for (size_t k = 0; k < count; k += V_WIDTH) {
        v_float weight = v_exp_bounded(v_load(s->weights + k));
        weight = v_select(v_below(list.entries + k, no_cell), weight, v_zero());
        v_store(s->gradients + k, v_mul(weight, v_load(s->gradients + k)));
        v_store(s->weights + k, weight);
    }
}

/* Whether the block has fewer rows than its plan. */
static bool has_fewer_rows(const kernel_state *s, const row_block *block)
{
    return block->count < pri_smaller(s->list_size, s->plan->geometry.queries - block->first);
}

/* Weights and score gradients of one tile; those that the call does not meet are left alone. */
static void list_gradients(const kernel_state *s, const row_block *block, size_t tile,
                           run_list list)
{
    if (!is_cut(s) && !s->head->has_uniform && s->call->dropout == 0 && !has_fewer_rows(s, block)) {
        plain_gradients(s, list);
        return;
    }
    float *weights = s->weights, *gradients = s->gradients;
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        size_t entries = entries_in(run);
        if (run.index < block->count)
            run_gradients(s, block, tile, run, cells_met(&list, i), list.entries, weights,
                          gradients);
        list.entries += entries;
        weights += entries;
        gradients += entries;
    }
}

/* The table's gradient: row delta gets ds (q + w) of every cell at that distance. */
static void scatter_to_table(const kernel_state *s, const row_block *block, size_t tile,
                             run_list list)
{
    const float *gradients = s->gradients;
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        const float *query = s->positional + run.index * s->stride;
        ptrdiff_t first = distance_row(s, block->first + run.index, tile * s->list_size);
        for (size_t k = 0; run.index < block->count && k < run.cells; k++) {
            if (gradients[k] == 0) /* not admissible perhaps: its row may lie outside the table */
                continue;
            float *to = s->task->table_sum + (first + list.entries[k]) * (ptrdiff_t)s->stride;
            v_float weight = v_set(gradients[k]);
            for (size_t d = 0; d < s->head_size; d += V_WIDTH)
                v_store(to + d, v_fma(weight, v_load(query + d), v_load(to + d)));
        }
        list.entries += entries_in(run);
        gradients += entries_in(run);
    }
}

/* The block's rows, or their gradients, summed into those of the keys of one tile. */
typedef struct column_sums {
    pri_range columns; /* that are keys */
    const uint16_t *picks;
    const float *rows, *weights;
    float *sums; /* of the first of `columns` */
} column_sums;

/* Sums of a tile's columns lie in the second-level cache or beyond, and runs come in any order. The
 * plan has as many runs more than it needs. */
#define AHEAD 3

V_INLINE void sum_column_runs(const column_sums *of, run_list list, row_shape shape)
{
    const uint16_t *picks = of->picks;
    for (size_t i = 0; i < list.count; i++) {
        pri_run run = list.runs[i];
        weighted_entries with = {list.entries, picks, of->weights, cells_met(&list, i)};
        prefetch_row(of->sums, (list.runs[i + AHEAD].index - of->columns.begin) * shape.sum_stride,
                     shape.sum_stride);
        if (run.index >= of->columns.begin && run.index < of->columns.end)
            sum_run(of->rows, with, of->sums + (run.index - of->columns.begin) * shape.sum_stride,
                    shape);
        list.entries += run.cells;
        picks += run.cells;
    }
}

static const pri_list_place *column_place(const kernel_state *s, const row_block *block,
                                          size_t tile)
{
    return s->head->column_places + block->first / s->list_size * s->plan->list_tiles + tile;
}

static run_list column_list(const kernel_state *s, const row_block *block, size_t tile)
{
    const pri_list_place *place = column_place(s, block, tile);
    return (run_list){s->head->column_runs + place[0].run, place[1].run - place[0].run,
                      s->head->rows + place[0].entry,
                      has_fewer_rows(s, block) ? s->column_met : NULL};
}

/* Fills column_met for the tile. */
static void measure_columns(const kernel_state *s, const row_block *block, size_t tile)
{
    run_list list = column_list(s, block, tile);
    for (size_t i = 0; list.met && i < list.count; i++) {
        size_t cells = list.runs[i].cells;
        s->column_met[i] = (uint16_t)entries_below(list.entries, cells, block->count);
        list.entries += cells;
    }
}

/* sums_j += sum_i weight_ij row_i, where the rows are the block's. */
static void list_column_sums(const kernel_state *s, const row_block *block, size_t tile,
                             const float *rows, const float *weights, float *sums)
{
    run_list list = column_list(s, block, tile);
    const pri_list_place *place = column_place(s, block, tile);
    column_sums of = {key_columns(s, tile * s->list_size, s->list_size),
                      s->head->weights + place[0].entry, rows, weights, NULL};
    of.sums = sums + (tile * s->list_size + of.columns.begin - s->shift) * s->stride;
    WITH_CONSTANT_SHAPE(vectors_for(s->head_size), sum_column_runs, &of, list)
}

static void backward_list(const kernel_state *s, const row_block *block, size_t tile, run_list list)
{
    score_target scores = {.rows = block->count, .scores = s->weights, .offsets = block->logsumexp};
    score_target gradients = {.rows = block->count,
                              .scores = s->gradients,
                              .offsets = s->call->dropout > 0 ? NULL : block->expected};
    attention_scores(s, block, tile, list, scores);
    list_scores(s, &gradients, list, listed_columns(s, s->listed.values, tile), 0,
                s->listed.output_gradient);
    list_gradients(s, block, tile, list);
    list_sums(s, &gradients, list, listed_columns(s, s->listed.keys, tile), 0, s->sum);
    if (s->call->relative) {
        list_sums(s, &gradients, list, distances_at(s, block, tile), s->listed.stride,
                  s->position_sum);
        scatter_to_table(s, block, tile, list);
    }
    measure_columns(s, block, tile);
    list_column_sums(s, block, tile, s->listed.output_gradient, s->weights, s->task->value_sum);
    list_column_sums(s, block, tile, s->listed.query, s->gradients, s->task->key_sum);
}

static void backward_lists(const kernel_state *s, const row_block *block)
{
    measure_rows(s, block);
    for (size_t tile = s->list_tiles.begin; tile < s->list_tiles.end; tile++) {
        run_list list = row_list(s, block, tile);
        if (list.count)
            backward_list(s, block, tile, list);
    }
}

/* ---- Observation ---- */

static void observe_run(const kernel_state *s, size_t row, size_t tile, pri_run run, size_t met,
                        const uint16_t *entries, float *scores)
{
    const pare_observer *observer = s->call->observer;
    const pare_plan_geometry *geometry = &observer->geometry;
    size_t shift = pri_column_shift(geometry, &s->sequence);
    pri_range columns = admissible_columns(s, row);
    double *sums = observer->sums + (s->task->head * geometry->queries + row) * geometry->keys;
    v_float lse = v_set(s->call->logsumexp[logsumexp_index(s, row)]);
    if (is_uniform(s, row))
        clear_floats(scores, run.cells);
    for (size_t k = 0; k < met; k += V_WIDTH) {
        size_t left = met - k;
        v_store_partial(scores + k, v_exp_bounded(v_sub(v_load_partial(scores + k, left), lse)),
                        left);
    }
    for (size_t k = 0; k < met; k++) {
        size_t column = tile * s->list_size + entries[k];
        if (column >= columns.begin && column < columns.end)
            sums[column - s->shift + shift] += (double)scores[k];
    }
}

static void observe_lists(const kernel_state *s, const row_block *block)
{
    measure_rows(s, block);
    score_target scores = {.rows = block->count, .by_row = true, .scores = s->weights};
    for (size_t tile = s->list_tiles.begin; tile < s->list_tiles.end; tile++)
        attention_scores(s, block, tile, row_list(s, block, tile), scores);
    for_each_run(s, block, observe_run);
}

#endif
