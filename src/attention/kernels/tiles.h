/* The dense half of a kernel: register tiles over what is admissible, or over a plan's spans.
 * Rows are taken DENSE_ROWS and columns PRI_TILE_COLUMNS at a time; the scores of such a tile are
 * the only matrix there is. Forward is the online softmax; backward recomputes probabilities from
 * logsumexp.
 *
 * Scores are exact over the cells that count: groups of rows are cut to the range of columns that
 * any of them sees, products run over that range in whole vectors, and weights of absent cells are
 * exactly zero.
 *
 * Relative positions: (q_i + w).r_delta is computed for the band of distances that a group of rows
 * and a tile meet, and read askew: row i is shifted by one against row i + 1. */
#ifndef PARE_SRC_ATTENTION_KERNELS_TILES_H
#define PARE_SRC_ATTENTION_KERNELS_TILES_H

#include "attention/kernels/product.h"
#include "attention/kernels/state.h"

/* Rows of the sequence and where they stand in the row block. */
typedef struct row_group {
    size_t first, count, place;
} row_group;

/* Columns of one tile, counted from its first. `cells` bounds what any row of a group may see,
 * `vectors` the same widened to whole vectors. */
typedef struct tile_span {
    size_t tile;
    pri_range cells, vectors;
    bool complete; /* the plan keeps all cells of it that are admissible */
} tile_span;

static tile_span span_between(size_t tile, size_t begin, size_t end)
{
    tile_span span = {.tile = tile, .complete = true};
    span.cells.begin = begin;
    span.cells.end = larger(begin, end);
    span.vectors.begin = begin / V_WIDTH * V_WIDTH;
    span.vectors.end = round_up(span.cells.end, V_WIDTH);
    return span;
}

static bool is_empty(tile_span span)
{
    return span.cells.begin >= span.cells.end;
}

static size_t vectors_in(tile_span span)
{
    return (span.vectors.end - span.vectors.begin) / V_WIDTH;
}

/* What a group of PRI_GROUP_ROWS rows computes of a tile. */
static tile_span span_of(const kernel_state *s, row_group group, size_t tile)
{
    size_t first = tile * PRI_TILE_COLUMNS;
    size_t begin = admissible_columns(s, group.first).begin;
    size_t end = admissible_columns(s, group.first + group.count - 1).end;
    pri_span kept = {0, PRI_TILE_COLUMNS, true};
    if (s->plan)
        kept = pri_plan_span(s->call->plan, s->plan, group.first, tile);
    begin = larger(larger(begin, first) - first, kept.begin);
    end = smaller(larger(smaller(end, first + PRI_TILE_COLUMNS), first) - first, kept.end);
    tile_span span = span_between(tile, begin, end);
    span.complete = kept.complete;
    return span;
}

/* The cells of one row of a group within the group's span. */
static pri_range cells_of_row(const kernel_state *s, size_t row, tile_span span)
{
    size_t first = span.tile * PRI_TILE_COLUMNS;
    pri_range columns = admissible_columns(s, row);
    size_t begin = larger(larger(columns.begin, first) - first, span.cells.begin);
    size_t end = smaller(larger(columns.end, first) - first, span.cells.end);
    return (pri_range){smaller(begin, span.cells.end), larger(end, smaller(begin, span.cells.end))};
}

/* The group of PRI_GROUP_ROWS rows that begins `place` rows into the block. */
static row_group group_at(const row_block *block, size_t place, size_t end)
{
    return (row_group){block->first + place, smaller(PRI_GROUP_ROWS, end - place), place};
}

/* Where the dense rows that begin at `place` end: groups do not cross the blocks of a plan. */
static size_t dense_end(const row_block *block, size_t place)
{
    size_t next = (place / PRI_BLOCK_ROWS + 1) * PRI_BLOCK_ROWS;
    return smaller(smaller(place + DENSE_ROWS, next), block->count);
}

/* scores(row, column) = (q_i + w).r_delta, for whole vectors of the span. */
static void position_scores(const kernel_state *s, row_group group, tile_span span, float *scores)
{
    size_t width = span.vectors.end - span.vectors.begin;
    size_t column = span.tile * PRI_TILE_COLUMNS + span.vectors.begin;
    ptrdiff_t first = distance_row(s, group.first + group.count - 1, column) + PRI_TILE_COLUMNS;
    product band = {.a = s->positional + group.place * s->stride,
                    .a_row = s->stride,
                    .a_depth = 1,
                    .b = s->distance_panel + first,
                    .b_depth = s->distance_stride,
                    .c = s->band,
                    .c_row = BAND,
                    .depth = s->head_size};
    product_run(&band, group.count, vectors_for(width + group.count - 1));
    for (size_t r = 0; r < group.count; r++) {
        const float *from = s->band + r * BAND + group.count - 1 - r;
        float *to = scores + r * PRI_TILE_COLUMNS + span.vectors.begin;
        for (size_t t = 0; t < width; t += V_WIDTH)
            v_store(to + t, v_load(from + t));
    }
}

static void tile_scores(const kernel_state *s, row_group group, tile_span span, float *scores)
{
    if (s->call->relative)
        position_scores(s, group, span, scores);
    product content = {.a = s->query + group.place * s->stride,
                       .a_row = s->stride,
                       .a_depth = 1,
                       .b = s->key_panels + span.tile * PRI_TILE_COLUMNS * s->head_size +
                            span.vectors.begin,
                       .b_depth = PRI_TILE_COLUMNS,
                       .c = scores + span.vectors.begin,
                       .c_row = PRI_TILE_COLUMNS,
                       .depth = s->head_size,
                       .accumulate = s->call->relative != NULL};
    product_run(&content, group.count, vectors_in(span));
}

/* Sets what of `whole` lies outside `cells`. */
static void fill_outside(float *row, pri_range whole, pri_range cells, float value)
{
    for (size_t t = whole.begin; t < smaller(cells.begin, whole.end); t++)
        row[t] = value;
    for (size_t t = larger(cells.end, whole.begin); t < whole.end; t++)
        row[t] = value;
}

/* Bit i is set when t + i is one of `cells`, for a vector's lanes. */
static uint32_t lanes_within(pri_range cells, size_t t)
{
    size_t begin = larger(cells.begin, t) - t;
    size_t end = smaller(larger(cells.end, t) - t, V_WIDTH);
    return begin < end ? ((1u << (end - begin)) - 1u) << begin : 0;
}

/* Which lanes of the vector at t are cells of the row; `bits` are the plan's, NULL where the span
 * is complete. */
V_INLINE uint32_t present_lanes(const uint64_t *bits, tile_span span, pri_range cells, size_t t)
{
    uint32_t lanes = lanes_within(cells, t);
    return bits ? lanes & pri_plan_bits(bits, span.tile * PRI_TILE_COLUMNS + t) : lanes;
}

static const uint64_t *bits_of_row(const kernel_state *s, size_t row, tile_span span)
{
    return span.complete ? NULL : pri_plan_row_bits(s->call->plan, s->task->head, row);
}

/* Whether every lane of the span is a cell of the row, so that nothing needs masking. */
static bool is_full(tile_span span, pri_range cells)
{
    return span.complete && cells.begin == span.vectors.begin && cells.end == span.vectors.end;
}

/* values = `value` where the row has no cell, in whole vectors; returns the largest. */
static v_float fill_absent(const kernel_state *s, size_t row, tile_span span, pri_range cells,
                           float *values, float value)
{
    const uint64_t *bits = bits_of_row(s, row, span);
    bool full = is_full(span, cells);
    v_float largest = v_set(-INFINITY), absent = v_set(value);
    for (size_t t = span.vectors.begin; t < span.vectors.end; t += V_WIDTH) {
        v_float x = v_load(values + t);
        if (!full) {
            x = v_select(v_mask_from_bits(present_lanes(bits, span, cells, t)), x, absent);
            v_store(values + t, x);
        }
        largest = v_max(largest, x);
    }
    return largest;
}

static void clear_span(float *row, tile_span span)
{
    clear_floats(row + span.vectors.begin, span.vectors.end - span.vectors.begin);
}

static void tile_dropout(const kernel_state *s, size_t row, tile_span span, pri_range cells,
                         float *factors)
{
    pri_dropout_row draws = dropout_of_row(s, row);
    uint32_t first = (uint32_t)(span.tile * PRI_TILE_COLUMNS - s->shift);
    for (uint32_t t = (uint32_t)cells.begin; t < (uint32_t)cells.end; t++)
        factors[t] = pri_dropout_factor(draws, first + t);
}

/* ---- Forward ---- */

/* Turns scores of row r of a group into weights exp(s - largest). */
static void tile_softmax(const kernel_state *s, row_block *block, row_group group, size_t r,
                         tile_span span, float *scores)
{
    size_t row = group.first + r, place = group.place + r;
    pri_range whole = span.vectors, cells = cells_of_row(s, row, span);
    if (is_uniform(s, row))
        clear_span(scores, span);
    float here = v_reduce_max(fill_absent(s, row, span, cells, scores, -INFINITY));
    if (here == -INFINITY) {
        clear_span(scores, span);
        return;
    }
    v_float shift = v_set(raise_largest(s, block, place, here));
    v_float total = v_zero();
    for (size_t t = whole.begin; t < whole.end; t += V_WIDTH) {
        v_float weight = v_exp(v_sub(v_load(scores + t), shift));
        total = v_add(total, weight);
        v_store(scores + t, weight);
    }
    block->total[place] += v_reduce_add(total);
    if (s->call->dropout > 0) {
        float factors[PRI_TILE_COLUMNS];
        tile_dropout(s, row, span, cells, factors);
        for (size_t t = cells.begin; t < cells.end; t++)
            scores[t] *= factors[t];
    }
}

static void forward_group(const kernel_state *s, row_block *block, row_group group, size_t tile)
{
    tile_span span = span_of(s, group, tile);
    if (is_empty(span))
        return;
    tile_scores(s, group, span, s->tile_weights);
    for (size_t r = 0; r < group.count; r++)
        tile_softmax(s, block, group, r, span, s->tile_weights + r * PRI_TILE_COLUMNS);
    product output = {.a = s->tile_weights + span.cells.begin,
                      .a_row = PRI_TILE_COLUMNS,
                      .a_depth = 1,
                      .b = column_row(s, s->values, tile * PRI_TILE_COLUMNS + span.cells.begin),
                      .b_depth = s->stride,
                      .c = s->sum + group.place * s->stride,
                      .c_row = s->stride,
                      .depth = span.cells.end - span.cells.begin,
                      .accumulate = true};
    product_run(&output, group.count, vectors_for(s->head_size));
}

/* The tiles that rows place .. end - 1 of the block see. */
static pri_range tiles_seen(const kernel_state *s, const row_block *block, size_t place, size_t end)
{
    size_t begin = admissible_columns(s, block->first + place).begin;
    size_t last = admissible_columns(s, block->first + end - 1).end;
    return (pri_range){begin / PRI_TILE_COLUMNS, (last + PRI_TILE_COLUMNS - 1) / PRI_TILE_COLUMNS};
}

static void forward_tiles(const kernel_state *s, row_block *block)
{
    for (size_t place = 0, end; place < block->count; place = end) {
        end = dense_end(block, place);
        pri_range tiles = tiles_seen(s, block, place, end);
        for (size_t tile = tiles.begin; tile < tiles.end; tile++)
            for (size_t group = place; group < end; group += PRI_GROUP_ROWS)
                forward_group(s, block, group_at(block, group, end), tile);
    }
}

/* ---- Backward ---- */

/* a = exp(s - logsumexp), ds = a (factor dO.v - expected); scores become the weights a factor. */
static void tile_gradient_row(const kernel_state *s, size_t row, float expected, tile_span span,
                              pri_range cells, float *scores, float *gradients)
{
    v_float shift = v_set(s->call->logsumexp[logsumexp_index(s, row)]), mean = v_set(expected);
    if (is_uniform(s, row))
        clear_span(scores, span);
    float factors[PRI_TILE_COLUMNS];
    bool dropping = s->call->dropout > 0;
    if (dropping) {
        fill_outside(factors, span.vectors, cells, 0);
        tile_dropout(s, row, span, cells, factors);
    }
    for (size_t t = span.vectors.begin; t < span.vectors.end; t += V_WIDTH) {
        v_float weight = v_exp(v_sub(v_load(scores + t), shift));
        v_float gradient = v_load(gradients + t);
        if (dropping) {
            v_float factor = v_load(factors + t);
            v_store(gradients + t, v_mul(weight, v_sub(v_mul(gradient, factor), mean)));
            v_store(scores + t, v_mul(weight, factor));
        } else {
            v_store(gradients + t, v_mul(weight, v_sub(gradient, mean)));
            v_store(scores + t, weight);
        }
    }
    fill_absent(s, row, span, cells, scores, 0);
    fill_absent(s, row, span, cells, gradients, 0);
    if (is_uniform(s, row))
        clear_span(gradients, span);
}

/* Weights and score gradients of a group of rows, and zeros in the rest of `hull`, the columns of
 * all groups. `place` counts rows from the first group. */
static void backward_group(const kernel_state *s, const row_block *block, row_group group,
                           tile_span span, tile_span hull, size_t place)
{
    float *weights = s->tile_weights + place * PRI_TILE_COLUMNS;
    float *gradients = s->tile_gradients + place * PRI_TILE_COLUMNS;
    if (!is_empty(span)) {
        tile_scores(s, group, span, weights);
        product from_values = {.a = s->output_gradient + group.place * s->stride,
                               .a_row = s->stride,
                               .a_depth = 1,
                               .b = s->value_panels + span.tile * PRI_TILE_COLUMNS * s->head_size +
                                    span.vectors.begin,
                               .b_depth = PRI_TILE_COLUMNS,
                               .c = gradients + span.vectors.begin,
                               .c_row = PRI_TILE_COLUMNS,
                               .depth = s->head_size};
        product_run(&from_values, group.count, vectors_in(span));
    }
    for (size_t r = 0; r < group.count; r++) {
        float *weight = weights + r * PRI_TILE_COLUMNS,
              *gradient = gradients + r * PRI_TILE_COLUMNS;
        size_t row = group.first + r;
        pri_range cells = cells_of_row(s, row, span);
        if (cells.begin < cells.end)
            tile_gradient_row(s, row, block->expected[group.place + r], span, cells, weight,
                              gradient);
        fill_outside(weight, hull.vectors, cells, 0);
        fill_outside(gradient, hull.vectors, cells, 0);
    }
}

/* The position term's part: rows of score gradients are set askew into the band of distances, so
 * that both gradients become plain products. */
static void tile_positions(const kernel_state *s, row_group rows, tile_span span)
{
    size_t width = span.vectors.end - span.vectors.begin;
    size_t column = span.tile * PRI_TILE_COLUMNS + span.vectors.begin;
    ptrdiff_t first = distance_row(s, rows.first + rows.count - 1, column);
    size_t skip = first < 0 ? (size_t)-first : 0; /* columns before the first key */
    size_t begin = (size_t)(first + (ptrdiff_t)skip);
    size_t distances = smaller(width + rows.count - 1 - skip, s->task->shape->longest - begin);
    for (size_t r = 0; r < rows.count; r++) {
        float *to = s->band + r * BAND;
        const float *from = s->tile_gradients + r * PRI_TILE_COLUMNS + span.vectors.begin;
        clear_floats(to, BAND);
        memcpy(to + rows.count - 1 - r, from, width * sizeof *to);
    }
    product to_queries = {.a = s->band + skip,
                          .a_row = BAND,
                          .a_depth = 1,
                          .b = s->distances + (s->list_size + 1 + begin) * s->stride,
                          .b_depth = s->stride,
                          .c = s->position_sum + rows.place * s->stride,
                          .c_row = s->stride,
                          .depth = distances,
                          .accumulate = true};
    product_run(&to_queries, rows.count, vectors_for(s->head_size));
    product to_table = {.a = s->band + skip,
                        .a_row = 1,
                        .a_depth = BAND,
                        .b = s->positional + rows.place * s->stride,
                        .b_depth = s->stride,
                        .c = s->task->table_sum + begin * s->stride,
                        .c_row = s->stride,
                        .depth = rows.count,
                        .accumulate = true};
    product_run(&to_table, distances, vectors_for(s->head_size));
}

/* The gradients of queries, keys and values from the weights and score gradients of `rows`. */
static void tile_products(const kernel_state *s, row_group rows, tile_span span)
{
    size_t vectors = vectors_for(s->head_size), columns = span.cells.end - span.cells.begin;
    size_t first_key = span.tile * PRI_TILE_COLUMNS + span.cells.begin - s->shift;
    product to_values = {.a = s->tile_weights + span.cells.begin,
                         .a_row = 1,
                         .a_depth = PRI_TILE_COLUMNS,
                         .b = s->output_gradient + rows.place * s->stride,
                         .b_depth = s->stride,
                         .c = s->task->value_sum + first_key * s->stride,
                         .c_row = s->stride,
                         .depth = rows.count,
                         .accumulate = true};
    product_run(&to_values, columns, vectors);
    product to_keys = to_values;
    to_keys.a = s->tile_gradients + span.cells.begin;
    to_keys.b = s->query + rows.place * s->stride;
    to_keys.c = s->task->key_sum + first_key * s->stride;
    product_run(&to_keys, columns, vectors);
    product to_queries = {
        .a = s->tile_gradients + span.cells.begin,
        .a_row = PRI_TILE_COLUMNS,
        .a_depth = 1,
        .b = column_row(s, s->keys, span.tile * PRI_TILE_COLUMNS + span.cells.begin),
        .b_depth = s->stride,
        .c = s->sum + rows.place * s->stride,
        .c_row = s->stride,
        .depth = columns,
        .accumulate = true};
    product_run(&to_queries, rows.count, vectors);
}

/* One tile for rows place .. end - 1 of the block, at most DENSE_ROWS. */
static void backward_tile(const kernel_state *s, const row_block *block, size_t place, size_t end,
                          size_t tile)
{
    tile_span spans[DENSE_ROWS / PRI_GROUP_ROWS];
    size_t hull_begin = PRI_TILE_COLUMNS, hull_end = 0;
    for (size_t at = place; at < end; at += PRI_GROUP_ROWS) {
        tile_span *span = &spans[(at - place) / PRI_GROUP_ROWS];
        *span = span_of(s, group_at(block, at, end), tile);
        if (is_empty(*span))
            continue;
        hull_begin = smaller(hull_begin, span->cells.begin);
        hull_end = larger(hull_end, span->cells.end);
    }
    if (hull_begin >= hull_end)
        return;
    tile_span hull = span_between(tile, hull_begin, hull_end);
    for (size_t at = place; at < end; at += PRI_GROUP_ROWS)
        backward_group(s, block, group_at(block, at, end), spans[(at - place) / PRI_GROUP_ROWS],
                       hull, at - place);
    row_group rows = {block->first + place, end - place, place};
    tile_products(s, rows, hull);
    if (s->call->relative)
        tile_positions(s, rows, hull);
}

static void backward_tiles(const kernel_state *s, const row_block *block)
{
    for (size_t place = 0, end; place < block->count; place = end) {
        end = dense_end(block, place);
        pri_range tiles = tiles_seen(s, block, place, end);
        for (size_t tile = tiles.begin; tile < tiles.end; tile++)
            backward_tile(s, block, place, end, tile);
    }
}

/* ---- Observation ---- */

static void observe_tile_row(const kernel_state *s, size_t row, tile_span span, float *scores)
{
    const pare_observer *observer = s->call->observer;
    const pare_plan_geometry *geometry = &observer->geometry;
    pri_range cells = cells_of_row(s, row, span);
    size_t shift = pri_column_shift(geometry, &s->sequence);
    double *sums = observer->sums + (s->task->head * geometry->queries + row) * geometry->keys;
    if (is_uniform(s, row))
        clear_span(scores, span);
    if (v_reduce_max(fill_absent(s, row, span, cells, scores, -INFINITY)) == -INFINITY)
        return;
    v_float lse = v_set(s->call->logsumexp[logsumexp_index(s, row)]);
    for (size_t t = span.vectors.begin; t < span.vectors.end; t += V_WIDTH)
        v_store(scores + t, v_exp(v_sub(v_load(scores + t), lse)));
    for (size_t t = cells.begin; t < cells.end; t++)
        sums[span.tile * PRI_TILE_COLUMNS + t - s->shift + shift] += (double)scores[t];
}

static void observe_group(const kernel_state *s, row_group group, size_t tile)
{
    tile_span span = span_of(s, group, tile);
    if (is_empty(span))
        return;
    tile_scores(s, group, span, s->tile_weights);
    for (size_t r = 0; r < group.count; r++)
        observe_tile_row(s, group.first + r, span, s->tile_weights + r * PRI_TILE_COLUMNS);
}

static void observe_tiles(const kernel_state *s, const row_block *block)
{
    for (size_t place = 0, end; place < block->count; place = end) {
        end = dense_end(block, place);
        pri_range tiles = tiles_seen(s, block, place, end);
        for (size_t tile = tiles.begin; tile < tiles.end; tile++)
            for (size_t group = place; group < end; group += PRI_GROUP_ROWS)
                observe_group(s, group_at(block, group, end), tile);
    }
}

#endif
