/* The dense half of a kernel: register tiles over windows, stretches of columns for a strip of
 * rows. A plan has its own; without one they are the tiles of what is admissible. The scores of a
 * strip in one window are the only matrix there is. Forward is the online softmax; backward
 * recomputes probabilities from logsumexp.
 *
 * Scores are exact over the cells that count: groups of rows are cut to their span, products run
 * over it in whole vectors, and weights of absent cells are exactly zero.
 *
 * Relative positions: (q_i + w).r_delta is computed for the band of distances that a group of rows
 * and a window meet, and read askew: row i is shifted by one against row i + 1. */
#ifndef PARE_SRC_ATTENTION_KERNELS_WINDOWS_H
#define PARE_SRC_ATTENTION_KERNELS_WINDOWS_H

#include "attention/kernels/product.h"
#include "attention/kernels/state.h"

/* Rows of the sequence and where they stand in the row block. */
typedef struct row_group {
    size_t first, count, place;
} row_group;

/* Columns of one window, counted from its first. `cells` bounds what any row of a group may see,
 * `vectors` the same widened to whole vectors. */
typedef struct column_span {
    size_t first;
    pri_range cells, vectors;
    bool complete; /* the plan keeps all cells of it that are admissible */
} column_span;

static column_span span_between(size_t first, size_t begin, size_t end)
{
    column_span span = {.first = first, .complete = true};
    span.cells.begin = begin;
    span.cells.end = pri_larger(begin, end);
    span.vectors.begin = begin / V_WIDTH * V_WIDTH;
    span.vectors.end = pri_round_up(span.cells.end, V_WIDTH);
    return span;
}

static bool is_empty(column_span span)
{
    return span.cells.begin >= span.cells.end;
}

/* What a group of PRI_GROUP_ROWS rows, of which the window has `kept`, computes of it. */
static column_span span_of(const kernel_state *s, row_group group, size_t first, pri_span kept)
{
    size_t begin = admissible_columns(s, group.first).begin;
    size_t end = admissible_columns(s, group.first + group.count - 1).end;
    column_span span = span_between(first, pri_larger(pri_larger(begin, first) - first, kept.begin),
                                    pri_smaller(pri_larger(end, first) - first, kept.end));
    span.complete = kept.complete;
    return span;
}

/* The cells of one row of a group within the group's span. */
static pri_range cells_of_row(const kernel_state *s, size_t row, column_span span)
{
    pri_range columns = admissible_columns(s, row);
    size_t begin = pri_larger(pri_larger(columns.begin, span.first) - span.first, span.cells.begin);
    size_t end = pri_smaller(pri_larger(columns.end, span.first) - span.first, span.cells.end);
    begin = pri_smaller(begin, span.cells.end);
    return (pri_range){begin, pri_larger(begin, end)};
}

/* Where the strip that begins at `place` ends: strips do not cross the blocks of a plan. */
static size_t strip_end(const row_block *block, size_t place)
{
    size_t next = (place / PRI_BLOCK_ROWS + 1) * PRI_BLOCK_ROWS;
    return pri_smaller(pri_smaller(place + PRI_STRIP_ROWS, next), block->count);
}

/* The windows of a strip. */
typedef struct window_list {
    const pri_window *windows; /* NULL: the tiles from `first` on */
    size_t count, first;
} window_list;

static window_list windows_of_strip(const kernel_state *s, const row_block *block, size_t place,
                                    size_t end)
{
    if (s->head) {
        const uint32_t *first = s->head->window_first + pri_strip_of(block->first + place);
        return (window_list){s->head->windows + first[0], first[1] - first[0], 0};
    }
    size_t begin = admissible_columns(s, block->first + place).begin / PRI_TILE_COLUMNS;
    size_t last = admissible_columns(s, block->first + end - 1).end;
    size_t tiles = pri_divide_up(last, PRI_TILE_COLUMNS);
    return (window_list){NULL, pri_larger(tiles, begin) - begin, begin * PRI_TILE_COLUMNS};
}

static pri_window window_at(const window_list *list, size_t index)
{
    if (list->windows)
        return list->windows[index];
    const pri_span whole = {0, PRI_TILE_COLUMNS, true};
    return (pri_window){(uint32_t)(list->first + index * PRI_TILE_COLUMNS),
                        {whole, whole, whole, whole}};
}

/* The group of PRI_GROUP_ROWS rows that begins `place` rows into the block. */
static row_group group_at(const row_block *block, size_t place, size_t end)
{
    return (row_group){block->first + place, pri_smaller(PRI_GROUP_ROWS, end - place), place};
}

typedef void group_action(const kernel_state *s, row_block *block, row_group group,
                          column_span span);

/* What every group of the block has to compute of every window of its strip, strip by strip. */
static void for_each_group(const kernel_state *s, row_block *block, group_action *action)
{
    for (size_t place = 0, end; place < block->count; place = end) {
        end = strip_end(block, place);
        window_list list = windows_of_strip(s, block, place, end);
        for (size_t i = 0; i < list.count; i++) {
            pri_window window = window_at(&list, i);
            for (size_t g = 0; place + g * PRI_GROUP_ROWS < end; g++) {
                row_group group = group_at(block, place + g * PRI_GROUP_ROWS, end);
                column_span span = span_of(s, group, window.first, window.spans[g]);
                if (!is_empty(span))
                    action(s, block, group, span);
            }
        }
    }
}

/* ---- Products of a window with what is packed in tiles ---- */

/* C (+)= A P, where P is the span's vectors of `panels`. */
static void product_with_panels(const kernel_state *s, product p, size_t rows, column_span span,
                                const float *panels)
{
    float *c = p.c;
    p.b_depth = PRI_TILE_COLUMNS;
    p.depth = s->head_size;
    for (size_t begin = span.vectors.begin, end; begin < span.vectors.end; begin = end) {
        size_t column = span.first + begin, in_tile = column % PRI_TILE_COLUMNS;
        end = pri_smaller(span.vectors.end, begin + PRI_TILE_COLUMNS - in_tile);
        p.b = panels + (column - in_tile) * s->head_size + in_tile;
        p.c = c + begin;
        product_run(&p, rows, (end - begin) / V_WIDTH);
    }
}

/* C += A R, where A's columns are the span's cells and R their rows of keys or values. */
static void product_with_rows(const kernel_state *s, product p, size_t rows, column_span span,
                              float *packed)
{
    const float *a = p.a;
    p.a_depth = 1;
    p.b_depth = p.c_row = s->stride;
    p.accumulate = true;
    for (size_t begin = span.cells.begin, end; begin < span.cells.end; begin = end) {
        size_t column = span.first + begin;
        end = pri_smaller(span.cells.end, begin + s->list_size - column % s->list_size);
        p.a = a + begin;
        p.b = column_row(s, packed, column);
        p.depth = end - begin;
        product_run(&p, rows, vectors_for(s->head_size));
    }
}

/* scores(row, column) = (q_i + w).r_delta, for whole vectors of the span. */
static void position_scores(const kernel_state *s, row_group group, column_span span, float *scores)
{
    size_t width = span.vectors.end - span.vectors.begin;
    size_t column = span.first + span.vectors.begin;
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
        float *to = scores + r * PRI_WINDOW_COLUMNS + span.vectors.begin;
        for (size_t t = 0; t < width; t += V_WIDTH)
            v_store(to + t, v_load(from + t));
    }
}

static void window_scores(const kernel_state *s, row_group group, column_span span, float *scores)
{
    if (s->call->relative)
        position_scores(s, group, span, scores);
    product content = {.a = s->query + group.place * s->stride,
                       .a_row = s->stride,
                       .a_depth = 1,
                       .c = scores,
                       .c_row = PRI_WINDOW_COLUMNS,
                       .accumulate = s->call->relative != NULL};
    product_with_panels(s, content, group.count, span, s->key_panels);
}

/* Sets what of `whole` lies outside `cells`. */
static void fill_outside(float *row, pri_range whole, pri_range cells, float value)
{
    for (size_t t = whole.begin; t < pri_smaller(cells.begin, whole.end); t++)
        row[t] = value;
    for (size_t t = pri_larger(cells.end, whole.begin); t < whole.end; t++)
        row[t] = value;
}

/* Bit i is set when t + i is one of `cells`, for a vector's lanes. */
static uint32_t lanes_within(pri_range cells, size_t t)
{
    size_t begin = pri_larger(cells.begin, t) - t;
    size_t end = pri_smaller(pri_larger(cells.end, t) - t, V_WIDTH);
    return begin < end ? ((1u << (end - begin)) - 1u) << begin : 0;
}

/* Which lanes of the vector at t are cells of the row; `bits` are the plan's, NULL where the span
 * is complete. */
V_INLINE uint32_t present_lanes(const uint64_t *bits, column_span span, pri_range cells, size_t t)
{
    uint32_t lanes = lanes_within(cells, t);
    return bits ? lanes & pri_plan_bits(bits, span.first + t) : lanes;
}

static const uint64_t *bits_of_row(const kernel_state *s, size_t row, column_span span)
{
    return span.complete ? NULL : pri_plan_row_bits(s->plan, s->task->head, row);
}

/* Whether every lane of the span is a cell of the row, so that nothing needs masking. */
static bool is_full(column_span span, pri_range cells)
{
    return span.complete && cells.begin == span.vectors.begin && cells.end == span.vectors.end;
}

/* values = `value` where the row has no cell, in whole vectors; returns the largest. */
static v_float fill_absent(const kernel_state *s, size_t row, column_span span, pri_range cells,
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

static void clear_span(float *row, column_span span)
{
    clear_floats(row + span.vectors.begin, span.vectors.end - span.vectors.begin);
}

static void window_dropout(const kernel_state *s, size_t row, column_span span, pri_range cells,
                           float *factors)
{
    pri_dropout_row draws = dropout_of_row(s, row);
    uint32_t first = (uint32_t)(span.first - s->shift);
    for (uint32_t t = (uint32_t)cells.begin; t < (uint32_t)cells.end; t++)
        factors[t] = pri_dropout_factor(draws, first + t);
}

/* ---- Forward ---- */

static void drop_weights(const kernel_state *s, size_t row, column_span span, float *weights)
{
    float factors[PRI_WINDOW_COLUMNS];
    pri_range cells = cells_of_row(s, row, span);
    window_dropout(s, row, span, cells, factors);
    for (size_t t = cells.begin; t < cells.end; t++)
        weights[t] *= factors[t];
}

/* Turns scores of a group into weights exp(s - largest). Each step runs over all rows before the
 * next, so that the latency of one row's is hidden by the others. */
static void window_softmax(const kernel_state *s, row_block *block, row_group group,
                           column_span span)
{
    float *scores = s->window_weights, shift[PRI_GROUP_ROWS];
    for (size_t r = 0; r < group.count; r++) {
        float *row = scores + r * PRI_WINDOW_COLUMNS;
        pri_range cells = cells_of_row(s, group.first + r, span);
        if (is_uniform(s, group.first + r))
            clear_span(row, span);
        shift[r] = v_reduce_max(fill_absent(s, group.first + r, span, cells, row, -INFINITY));
    }
    for (size_t r = 0; r < group.count; r++)
        shift[r] = shift[r] > -INFINITY ? raise_largest(s, block, group.place + r, shift[r]) : 0;
    for (size_t r = 0; r < group.count; r++) {
        float *row = scores + r * PRI_WINDOW_COLUMNS;
        v_float total = v_zero();
        for (size_t t = span.vectors.begin; t < span.vectors.end; t += V_WIDTH) {
            v_float weight = v_exp_bounded(v_sub(v_load(row + t), v_set(shift[r])));
            total = v_add(total, weight);
            v_store(row + t, weight);
        }
        block->total[group.place + r] += v_reduce_add(total);
    }
    for (size_t r = 0; s->call->dropout > 0 && r < group.count; r++)
        drop_weights(s, group.first + r, span, scores + r * PRI_WINDOW_COLUMNS);
}

static void forward_group(const kernel_state *s, row_block *block, row_group group,
                          column_span span)
{
    window_scores(s, group, span, s->window_weights);
    window_softmax(s, block, group, span);
    product output = {
        .a = s->window_weights, .a_row = PRI_WINDOW_COLUMNS, .c = s->sum + group.place * s->stride};
    product_with_rows(s, output, group.count, span, s->values);
}

static void forward_windows(const kernel_state *s, row_block *block)
{
    for_each_group(s, block, forward_group);
}

/* ---- Backward ---- */

/* a = exp(s - logsumexp), ds = a (factor dO.v - expected); scores become the weights a factor. */
static void window_gradient_row(const kernel_state *s, const row_block *block, size_t place,
                                column_span span, pri_range cells, float *scores, float *gradients)
{
    size_t row = block->first + place;
    v_float shift = v_set(block->logsumexp[place]), mean = v_set(block->expected[place]);
    if (is_uniform(s, row))
        clear_span(scores, span);
    float factors[PRI_WINDOW_COLUMNS];
    bool dropping = s->call->dropout > 0;
    if (dropping) {
        fill_outside(factors, span.vectors, cells, 0);
        window_dropout(s, row, span, cells, factors);
    }
    for (size_t t = span.vectors.begin; t < span.vectors.end; t += V_WIDTH) {
        v_float weight = v_exp_bounded(v_sub(v_load(scores + t), shift));
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
                           column_span span, column_span hull, size_t place)
{
    float *weights = s->window_weights + place * PRI_WINDOW_COLUMNS;
    float *gradients = s->window_gradients + place * PRI_WINDOW_COLUMNS;
    if (!is_empty(span)) {
        window_scores(s, group, span, weights);
        product from_values = {.a = s->output_gradient + group.place * s->stride,
                               .a_row = s->stride,
                               .a_depth = 1,
                               .c = gradients,
                               .c_row = PRI_WINDOW_COLUMNS};
        product_with_panels(s, from_values, group.count, span, s->value_panels);
    }
    for (size_t r = 0; r < group.count; r++) {
        float *weight = weights + r * PRI_WINDOW_COLUMNS,
              *gradient = gradients + r * PRI_WINDOW_COLUMNS;
        pri_range cells = cells_of_row(s, group.first + r, span);
        if (cells.begin < cells.end)
            window_gradient_row(s, block, group.place + r, span, cells, weight, gradient);
        fill_outside(weight, hull.vectors, cells, 0);
        fill_outside(gradient, hull.vectors, cells, 0);
    }
}

/* The position term's part: rows of score gradients are set askew into the band of distances, so
 * that both gradients become plain products. */
static void window_positions(const kernel_state *s, row_group rows, column_span span)
{
    size_t width = span.vectors.end - span.vectors.begin;
    size_t column = span.first + span.vectors.begin;
    ptrdiff_t first = distance_row(s, rows.first + rows.count - 1, column);
    size_t skip = first < 0 ? (size_t)-first : 0; /* columns before the first key */
    size_t begin = (size_t)(first + (ptrdiff_t)skip);
    size_t distances = pri_smaller(width + rows.count - 1 - skip, s->task->shape->longest - begin);
    for (size_t r = 0; r < rows.count; r++) {
        float *to = s->band + r * BAND;
        const float *from = s->window_gradients + r * PRI_WINDOW_COLUMNS + span.vectors.begin;
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
static void window_products(const kernel_state *s, row_group rows, column_span span)
{
    size_t vectors = vectors_for(s->head_size), columns = span.cells.end - span.cells.begin;
    size_t first_key = span.first + span.cells.begin - s->shift;
    product to_values = {.a = s->window_weights + span.cells.begin,
                         .a_row = 1,
                         .a_depth = PRI_WINDOW_COLUMNS,
                         .b = s->output_gradient + rows.place * s->stride,
                         .b_depth = s->stride,
                         .c = s->task->value_sum + first_key * s->stride,
                         .c_row = s->stride,
                         .depth = rows.count,
                         .accumulate = true};
    product_run(&to_values, columns, vectors);
    product to_keys = to_values;
    to_keys.a = s->window_gradients + span.cells.begin;
    to_keys.b = s->query + rows.place * s->stride;
    to_keys.c = s->task->key_sum + first_key * s->stride;
    product_run(&to_keys, columns, vectors);
    product to_queries = {.a = s->window_gradients,
                          .a_row = PRI_WINDOW_COLUMNS,
                          .c = s->sum + rows.place * s->stride};
    product_with_rows(s, to_queries, rows.count, span, s->keys);
}

/* One window for the strip's rows place .. end - 1. */
static void backward_window(const kernel_state *s, const row_block *block, size_t place, size_t end,
                            const pri_window *window)
{
    column_span spans[PRI_STRIP_GROUPS];
    size_t hull_begin = PRI_WINDOW_COLUMNS, hull_end = 0;
    for (size_t g = 0; place + g * PRI_GROUP_ROWS < end; g++) {
        row_group group = group_at(block, place + g * PRI_GROUP_ROWS, end);
        spans[g] = span_of(s, group, window->first, window->spans[g]);
        if (is_empty(spans[g]))
            continue;
        hull_begin = pri_smaller(hull_begin, spans[g].cells.begin);
        hull_end = pri_larger(hull_end, spans[g].cells.end);
    }
    if (hull_begin >= hull_end)
        return;
    column_span hull = span_between(window->first, hull_begin, hull_end);
    for (size_t g = 0; place + g * PRI_GROUP_ROWS < end; g++)
        backward_group(s, block, group_at(block, place + g * PRI_GROUP_ROWS, end), spans[g], hull,
                       g * PRI_GROUP_ROWS);
    row_group rows = {block->first + place, end - place, place};
    window_products(s, rows, hull);
    if (s->call->relative)
        window_positions(s, rows, hull);
}

static void backward_windows(const kernel_state *s, const row_block *block)
{
    for (size_t place = 0, end; place < block->count; place = end) {
        end = strip_end(block, place);
        window_list list = windows_of_strip(s, block, place, end);
        for (size_t i = 0; i < list.count; i++) {
            pri_window window = window_at(&list, i);
            backward_window(s, block, place, end, &window);
        }
    }
}

/* ---- Observation ---- */

static void observe_window_row(const kernel_state *s, size_t row, column_span span, float *scores)
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
        v_store(scores + t, v_exp_bounded(v_sub(v_load(scores + t), lse)));
    for (size_t t = cells.begin; t < cells.end; t++)
        sums[span.first + t - s->shift + shift] += (double)scores[t];
}

static void observe_group(const kernel_state *s, row_block *block, row_group group,
                          column_span span)
{
    (void)block;
    window_scores(s, group, span, s->window_weights);
    for (size_t r = 0; r < group.count; r++)
        observe_window_row(s, group.first + r, span, s->window_weights + r * PRI_WINDOW_COLUMNS);
}

static void observe_windows(const kernel_state *s, row_block *block)
{
    for_each_group(s, block, observe_group);
}

#endif
