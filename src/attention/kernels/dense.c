/* Dense attention in register tiles, forward and backward, one (sequence, head, row range) at a
 * time. Rows are taken BLOCK_ROWS and keys BLOCK_KEYS at a time; scores of a block live in scratch
 * memory of a few ten kilobytes, never a matrix of queries x keys. Forward uses the online softmax
 * (Milakov and Gimelshein 2018); backward recomputes probabilities from logsumexp.
 *
 * Scores are exact over admissible cells only: rows of a block are cut to their admissible range,
 * and products run over the range of the block, with exact zeros where a row has no cell.
 *
 * A plan that keeps much of a head is a bit per cell here: pruned scores are taken out of the
 * softmax and of the gradients, at the cost of the dense tile.
 *
 * Relative positions: (q_i + w).r_delta is computed for the band of distances that a group of rows
 * and a block of keys meet, and read askew: row i is shifted by one against row i + 1. */
#include "attention/dropout.h"
#include "attention/kernels.h"
#include "attention/kernels/pack.h"
#include "attention/kernels/product.h"
#include "attention/plan.h"

#define BLOCK_ROWS 24 /* a multiple of TILE_ROWS */
#define BLOCK_KEYS 128
#define BAND (BLOCK_KEYS + BLOCK_ROWS + 2 * PRI_PADDING)

typedef struct dense_state {
    const pare_attention *call;
    const pri_shape *shape;
    pri_sequence sequence;
    size_t head, stride;
    size_t shift; /* column of key 0 in the plan */
    /* Of the sequence and head. Transposed panels: (key blocks, head_size, BLOCK_KEYS). */
    float *keys_transposed, *values_transposed, *keys, *values;
    /* Of the head. */
    float *distances, *distances_transposed;
    size_t distances_stride; /* of the transposed one */
    /* Of the block of rows, (BLOCK_ROWS, stride): scale * (q + u), scale * (q + w), dO, sums. */
    float *query, *positional, *output_gradient, *sum, *position_sum;
    /* Of the block of cells. */
    float *weights, *score_gradients; /* (BLOCK_ROWS, BLOCK_KEYS) */
    float *band;                      /* (BLOCK_ROWS, BAND) */
} dense_state;

/* Rows first .. first + count - 1 of the sequence, `place` rows into the block. */
typedef struct row_group {
    size_t first, count, place;
} row_group;

/* Keys of one block, counted from its first key. `cells` bounds what any row of a group may see,
 * `vectors` the same widened to whole vectors. */
typedef struct key_span {
    size_t block_key;
    pri_range cells, vectors;
} key_span;

static void carve_state(dense_state *s, const pri_shape *shape, carver *c)
{
    size_t stride = shape->stride, block = BLOCK_ROWS * stride;
    size_t panels = round_up(shape->longest, BLOCK_KEYS) * shape->head_size;
    s->stride = stride;
    s->keys_transposed = carve(c, panels);
    s->values_transposed = shape->backward ? carve(c, panels) : NULL;
    s->keys = shape->backward ? carve(c, shape->longest * stride) : NULL;
    s->values = shape->backward ? NULL : carve(c, shape->longest * stride);
    s->query = carve(c, block);
    s->sum = carve(c, block);
    s->output_gradient = shape->backward ? carve(c, block) : NULL;
    s->weights = carve(c, BLOCK_ROWS * BLOCK_KEYS);
    s->score_gradients = shape->backward ? carve(c, BLOCK_ROWS * BLOCK_KEYS) : NULL;
    if (!shape->relative)
        return;
    /* Bands may begin at any column and end a block beyond the last; an odd number of cache lines
     * per row spreads the rows over all cache sets. */
    s->distances_stride = round_up(shape->longest + BLOCK_ROWS + 2 * PRI_PADDING, 32) + PRI_PADDING;
    s->distances = carve(c, shape->longest * stride);
    s->distances_transposed = carve(c, shape->head_size * s->distances_stride);
    s->positional = carve(c, block);
    s->position_sum = carve(c, block);
    s->band = carve(c, BLOCK_ROWS * BAND);
}

static size_t scratch_floats(const pri_shape *shape)
{
    dense_state state = {0};
    carver c = {0};
    carve_state(&state, shape, &c);
    return c.used;
}

/* to (size, to_stride) = transposed rows; columns are padded with zeros to whole vectors. */
static void pack_transposed(const float *from, size_t from_stride, size_t count, size_t size,
                            float *to, size_t to_stride)
{
    for (size_t row = 0; row < count; row += V_WIDTH)
        for (size_t d = 0; d < size; d += V_WIDTH) {
            v_float block[V_WIDTH];
            V_UNROLL for (size_t r = 0; r < V_WIDTH; r++) block[r] =
                row + r < count ? v_load_partial(from + (row + r) * from_stride + d, size - d)
                                : v_zero();
            v_transpose(block);
            for (size_t r = 0; r < V_WIDTH && d + r < size; r++)
                v_store(to + (d + r) * to_stride + row, block[r]);
        }
}

static void pack_panels(const dense_state *s, pare_view view, float *panels)
{
    for (size_t key = 0; key < s->sequence.keys; key += BLOCK_KEYS)
        pack_transposed(pri_at(view, s->sequence.first_key + key, s->head), view.token_stride,
                        smaller(BLOCK_KEYS, s->sequence.keys - key), s->shape->head_size,
                        panels + key * s->shape->head_size, BLOCK_KEYS);
}

static void pack_key_rows(const dense_state *s, pare_view view, float *rows)
{
    pack_rows(pri_at(view, s->sequence.first_key, s->head), view.token_stride, NULL, 1,
              s->sequence.keys, s->shape->head_size, s->stride, rows);
}

static dense_state prepare(const pri_task *task, pri_thread *thread)
{
    const pare_attention *call = task->call;
    dense_state s = {.call = call, .shape = task->shape, .head = task->head};
    carver c = {thread->scratch, 0};
    carve_state(&s, task->shape, &c);
    s.sequence = pri_sequence_at(call, task->sequence);
    if (call->plan)
        s.shift = pri_column_shift(&call->plan->geometry, &s.sequence);
    if (call->relative && thread->packed_table_head != task->head) {
        pack_distances(call, task->shape, task->head, s.distances);
        clear_floats(s.distances_transposed, task->shape->head_size * s.distances_stride);
        pack_transposed(s.distances, s.stride, task->shape->longest, task->shape->head_size,
                        s.distances_transposed, s.distances_stride);
        thread->packed_table_head = task->head;
    }
    if (thread->packed_sequence == task->sequence && thread->packed_head == task->head)
        return s;
    thread->packed_sequence = task->sequence;
    thread->packed_head = task->head;
    pack_panels(&s, call->key, s.keys_transposed);
    if (task->shape->backward) {
        pack_panels(&s, call->value, s.values_transposed);
        pack_key_rows(&s, call->key, s.keys);
    } else {
        pack_key_rows(&s, call->value, s.values);
    }
    return s;
}

static void load_queries(const dense_state *s, row_group block)
{
    const pare_attention *call = s->call;
    size_t size = s->shape->head_size, bias = s->head * size;
    const float *query = pri_at(call->query, s->sequence.first_query + block.first, s->head);
    pack_rows(query, call->query.token_stride,
              call->relative ? call->relative->content_bias + bias : NULL, call->scale, block.count,
              size, s->stride, s->query);
    if (call->relative)
        pack_rows(query, call->query.token_stride, call->relative->position_bias + bias,
                  call->scale, block.count, size, s->stride, s->positional);
}

static key_span span_of(const dense_state *s, row_group group, size_t block_key)
{
    size_t begin = pri_admissible(s->call, &s->sequence, group.first).begin;
    size_t end = pri_admissible(s->call, &s->sequence, group.first + group.count - 1).end;
    key_span span = {.block_key = block_key};
    span.cells.begin = larger(begin, block_key) - block_key;
    span.cells.end = larger(smaller(end, block_key + BLOCK_KEYS), block_key) - block_key;
    span.vectors.begin = span.cells.begin / V_WIDTH * V_WIDTH;
    span.vectors.end = round_up(span.cells.end, V_WIDTH);
    return span;
}

static bool is_empty(key_span span)
{
    return span.cells.begin >= span.cells.end;
}

static size_t vectors_in(key_span span)
{
    return (span.vectors.end - span.vectors.begin) / V_WIDTH;
}

/* The row's admissible cells of the block. */
static pri_range cells_of_row(const dense_state *s, size_t row, size_t block_key)
{
    row_group one = {row, 1, 0};
    pri_range cells = span_of(s, one, block_key).cells;
    if (cells.begin > cells.end)
        cells.begin = cells.end;
    return cells;
}

/* Column of `distances_transposed` that the group's last row meets at the span's first key. */
static size_t band_begin(const dense_state *s, row_group group, key_span span)
{
    size_t last_row = group.first + group.count - 1;
    return s->shape->longest - 1 + span.block_key + span.vectors.begin -
           (last_row + s->sequence.memory);
}

/* scores(row, key) = (q_i + w).r_delta, for whole vectors of the span. */
static void position_scores(const dense_state *s, row_group group, key_span span, float *scores)
{
    size_t width = span.vectors.end - span.vectors.begin;
    product band = {.a = s->positional + group.place * s->stride,
                    .a_row = s->stride,
                    .a_depth = 1,
                    .b = s->distances_transposed + band_begin(s, group, span),
                    .b_depth = s->distances_stride,
                    .c = s->band,
                    .c_row = BAND,
                    .depth = s->shape->head_size};
    product_run(&band, group.count, vectors_for(width + group.count - 1));
    for (size_t r = 0; r < group.count; r++) {
        const float *from = s->band + r * BAND + group.count - 1 - r;
        float *to = scores + r * BLOCK_KEYS + span.vectors.begin;
        for (size_t t = 0; t < width; t += V_WIDTH)
            v_store(to + t, v_load(from + t));
    }
}

static void compute_scores(const dense_state *s, row_group group, key_span span, float *scores)
{
    if (s->call->relative)
        position_scores(s, group, span, scores);
    product content = {.a = s->query + group.place * s->stride,
                       .a_row = s->stride,
                       .a_depth = 1,
                       .b = s->keys_transposed + span.block_key * s->shape->head_size +
                            span.vectors.begin,
                       .b_depth = BLOCK_KEYS,
                       .c = scores + span.vectors.begin,
                       .c_row = BLOCK_KEYS,
                       .depth = s->shape->head_size,
                       .accumulate = s->call->relative != NULL};
    product_run(&content, group.count, vectors_in(span));
}

/* Sets what of begin .. end - 1 lies outside `cells`. */
static void fill_outside(float *row, pri_range whole, pri_range cells, float value)
{
    for (size_t t = whole.begin; t < cells.begin; t++)
        row[t] = value;
    for (size_t t = cells.end; t < whole.end; t++)
        row[t] = value;
}

/* Bit i is set when t + i is one of `cells`, for a vector's lanes. */
static uint32_t lanes_within(pri_range cells, size_t t)
{
    size_t begin = larger(cells.begin, t) - t;
    size_t end = smaller(larger(cells.end, t) - t, V_WIDTH);
    return begin < end ? ((1u << (end - begin)) - 1u) << begin : 0;
}

/* Sets what the plan prunes of a row, in whole vectors; false when none of `cells` is kept. */
static bool fill_pruned(const dense_state *s, size_t row, key_span span, pri_range cells,
                        float *values, float value)
{
    const pare_plan *plan = s->call->plan;
    if (!plan)
        return cells.begin < cells.end;
    const uint64_t *bits =
        plan->bits + (s->head * plan->geometry.queries + row) * plan->words_per_row;
    uint32_t any = 0;
    for (size_t t = span.vectors.begin; t < span.vectors.end; t += V_WIDTH) {
        uint32_t kept = pri_plan_bits(bits, s->shift + span.block_key + t) & lanes_within(cells, t);
        any |= kept;
        v_store(values + t, v_select(v_mask_from_bits(kept), v_load(values + t), v_set(value)));
    }
    return any != 0;
}

static bool is_uniform(const dense_state *s, size_t row)
{
    const pare_plan *plan = s->call->plan;
    return plan && plan->uniform[s->head * plan->geometry.queries + row];
}

static void dropout_factors(const dense_state *s, size_t row, size_t block_key, pri_range cells,
                            float *factors)
{
    pri_dropout_row draws = pri_dropout_for_row(s->call, s->sequence.first_query + row, s->head);
    uint32_t first = (uint32_t)block_key;
    for (uint32_t t = (uint32_t)cells.begin; t < (uint32_t)cells.end; t++)
        factors[t] = pri_dropout_factor(draws, first + t);
}

static void drop(const dense_state *s, size_t row, size_t block_key, pri_range cells,
                 float *weights)
{
    float factors[BLOCK_KEYS];
    dropout_factors(s, row, block_key, cells, factors);
    for (size_t t = cells.begin; t < cells.end; t++)
        weights[t] *= factors[t];
}

/* ---- Forward ---- */

/* The running softmax of the rows of a block: sum of exp(s - largest) over the keys so far; the
 * output sums are scaled alike. */
typedef struct running_softmax {
    float largest[BLOCK_ROWS], total[BLOCK_ROWS];
} running_softmax;

static void scale_row(float *row, size_t stride, float factor)
{
    for (size_t d = 0; d < stride; d += V_WIDTH)
        v_store(row + d, v_mul(v_load(row + d), v_set(factor)));
}

static float exponential(float x)
{
    float lanes[V_WIDTH];
    v_store(lanes, v_exp(v_set(x)));
    return lanes[0];
}

/* Turns row r's scores into weights exp(s - largest), and the row's sums to the new largest. */
static void softmax_row(const dense_state *s, running_softmax *softmax, row_group group, size_t r,
                        key_span span, float *scores)
{
    size_t row = group.first + r, place = group.place + r;
    pri_range whole = span.vectors, cells = cells_of_row(s, row, span.block_key);
    if (is_uniform(s, row))
        clear_floats(scores + whole.begin, whole.end - whole.begin);
    fill_outside(scores, whole, cells, -INFINITY);
    if (!fill_pruned(s, row, span, cells, scores, -INFINITY)) {
        clear_floats(scores + whole.begin, whole.end - whole.begin);
        return;
    }
    v_float largest = v_load(scores + whole.begin);
    for (size_t t = whole.begin + V_WIDTH; t < whole.end; t += V_WIDTH)
        largest = v_max(largest, v_load(scores + t));
    float here = v_reduce_max(largest);
    if (here > softmax->largest[place]) {
        float factor = exponential(softmax->largest[place] - here);
        softmax->largest[place] = here;
        softmax->total[place] *= factor;
        scale_row(s->sum + place * s->stride, s->stride, factor);
    }
    v_float shift = v_set(softmax->largest[place]), total = v_zero();
    for (size_t t = whole.begin; t < whole.end; t += V_WIDTH) {
        v_float weight = v_exp(v_sub(v_load(scores + t), shift));
        total = v_add(total, weight);
        v_store(scores + t, weight);
    }
    softmax->total[place] += v_reduce_add(total);
}

static void forward_group(const dense_state *s, running_softmax *softmax, row_group group,
                          size_t block_key)
{
    key_span span = span_of(s, group, block_key);
    if (is_empty(span))
        return;
    compute_scores(s, group, span, s->weights);
    for (size_t r = 0; r < group.count; r++) {
        float *row = s->weights + r * BLOCK_KEYS;
        softmax_row(s, softmax, group, r, span, row);
        if (s->call->dropout > 0)
            drop(s, group.first + r, block_key, cells_of_row(s, group.first + r, block_key), row);
    }
    product output = {.a = s->weights + span.cells.begin,
                      .a_row = BLOCK_KEYS,
                      .a_depth = 1,
                      .b = s->values + (block_key + span.cells.begin) * s->stride,
                      .b_depth = s->stride,
                      .c = s->sum + group.place * s->stride,
                      .c_row = s->stride,
                      .depth = span.cells.end - span.cells.begin,
                      .accumulate = true};
    product_run(&output, group.count, vectors_for(s->shape->head_size));
}

static void store_row(const float *from, float factor, size_t size, float *to)
{
    for (size_t d = 0; d < size; d += V_WIDTH)
        v_store_partial(to + d, v_mul(v_load(from + d), v_set(factor)), size - d);
}

static void store_output(const dense_state *s, const running_softmax *softmax, row_group block)
{
    const pare_attention *call = s->call;
    for (size_t r = 0; r < block.count; r++) {
        size_t token = s->sequence.first_query + block.first + r;
        float total = softmax->total[r];
        float factor = total == 0 ? 0 : 1 / total; /* a row without keys is zero */
        store_row(s->sum + r * s->stride, factor, s->shape->head_size,
                  pri_at_mutable(call->output, token, s->head));
        if (call->logsumexp)
            call->logsumexp[token * call->heads + s->head] =
                total == 0 ? -INFINITY : softmax->largest[r] + logf(total);
    }
}

/* The next block of rows: BLOCK_ROWS, or what is left. */
static row_group block_at(const pri_task *task, size_t row)
{
    return (row_group){row, smaller(BLOCK_ROWS, task->end_row - row), 0};
}

/* The group of TILE_ROWS rows that begins `place` rows into the block. */
static row_group group_at(row_group block, size_t place)
{
    return (row_group){block.first + place, smaller(TILE_ROWS, block.count - place), place};
}

/* First keys of the first and behind the last block of keys that a block of rows sees. */
static pri_range key_blocks(const dense_state *s, row_group block)
{
    size_t begin = pri_admissible(s->call, &s->sequence, block.first).begin;
    size_t end = pri_admissible(s->call, &s->sequence, block.first + block.count - 1).end;
    return (pri_range){begin / BLOCK_KEYS * BLOCK_KEYS, end};
}

static void forward(const pri_task *task, pri_thread *thread)
{
    dense_state s = prepare(task, thread);
    for (size_t row = task->first_row; row < task->end_row; row += BLOCK_ROWS) {
        row_group block = block_at(task, row);
        pri_range keys = key_blocks(&s, block);
        running_softmax softmax = {.total = {0}};
        for (size_t r = 0; r < block.count; r++)
            softmax.largest[r] = -INFINITY;
        load_queries(&s, block);
        clear_floats(s.sum, block.count * s.stride);
        for (size_t key = keys.begin; key < keys.end; key += BLOCK_KEYS)
            for (size_t place = 0; place < block.count; place += TILE_ROWS)
                forward_group(&s, &softmax, group_at(block, place), key);
        store_output(&s, &softmax, block);
    }
}

/* ---- Backward ---- */

static float logsumexp_of(const dense_state *s, size_t row)
{
    return s->call->logsumexp[(s->sequence.first_query + row) * s->call->heads + s->head];
}

/* dO_i.o_i, which equals sum_j a_ij dL/da_ij, with dropout as without. */
static float expected_gradient(const dense_state *s, row_group group, size_t r)
{
    size_t size = s->shape->head_size;
    const float *output = pri_at((pare_view){s->call->output.data, s->call->output.token_stride,
                                             s->call->output.head_stride},
                                 s->sequence.first_query + group.first + r, s->head);
    const float *gradient = s->output_gradient + (group.place + r) * s->stride;
    v_float sum = v_zero();
    for (size_t d = 0; d < size; d += V_WIDTH)
        sum = v_fma(v_load(gradient + d), v_load_partial(output + d, size - d), sum);
    return v_reduce_add(sum);
}

/* a = exp(s - logsumexp), ds = a (factor dO.v - expected); scores become the weights a factor. */
static void gradient_row(const dense_state *s, row_group group, size_t r, float expected,
                         key_span span, float *scores, float *gradients)
{
    pri_range cells = cells_of_row(s, group.first + r, span.block_key);
    v_float shift = v_set(logsumexp_of(s, group.first + r)), mean = v_set(expected);
    if (is_uniform(s, group.first + r))
        clear_floats(scores + span.vectors.begin, span.vectors.end - span.vectors.begin);
    float factors[BLOCK_KEYS];
    bool dropping = s->call->dropout > 0;
    if (dropping) {
        fill_outside(factors, span.vectors, cells, 0);
        dropout_factors(s, group.first + r, span.block_key, cells, factors);
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
    fill_pruned(s, group.first + r, span, cells, scores, 0);
    fill_pruned(s, group.first + r, span, cells, gradients, 0);
    if (is_uniform(s, group.first + r))
        clear_floats(gradients + span.vectors.begin, span.vectors.end - span.vectors.begin);
}

/* Weights and score gradients of a group of rows; `block` is the span of the block's rows. */
static void backward_group(const dense_state *s, row_group group, key_span block,
                           const float *expected)
{
    float *weights = s->weights + group.place * BLOCK_KEYS;
    float *gradients = s->score_gradients + group.place * BLOCK_KEYS;
    key_span span = span_of(s, group, block.block_key);
    if (!is_empty(span)) {
        compute_scores(s, group, span, weights);
        product from_values = {.a = s->output_gradient + group.place * s->stride,
                               .a_row = s->stride,
                               .a_depth = 1,
                               .b = s->values_transposed + block.block_key * s->shape->head_size +
                                    span.vectors.begin,
                               .b_depth = BLOCK_KEYS,
                               .c = gradients + span.vectors.begin,
                               .c_row = BLOCK_KEYS,
                               .depth = s->shape->head_size};
        product_run(&from_values, group.count, vectors_in(span));
    }
    for (size_t r = 0; r < group.count; r++) {
        float *weight = weights + r * BLOCK_KEYS, *gradient = gradients + r * BLOCK_KEYS;
        pri_range cells = cells_of_row(s, group.first + r, block.block_key);
        if (cells.begin < cells.end)
            gradient_row(s, group, r, expected[group.place + r], span, weight, gradient);
        fill_outside(weight, block.vectors, cells, 0);
        fill_outside(gradient, block.vectors, cells, 0);
    }
}

/* The position term's part: rows of score gradients are set askew into the band of distances, so
 * that both gradients become plain products. */
static void backward_positions(const dense_state *s, const pri_task *task, row_group block,
                               key_span span)
{
    size_t width = span.vectors.end - span.vectors.begin;
    size_t first = band_begin(s, block, span);
    size_t distances = smaller(width + block.count - 1, s->shape->longest - first);
    for (size_t r = 0; r < block.count; r++) {
        float *to = s->band + r * BAND;
        const float *from = s->score_gradients + r * BLOCK_KEYS + span.vectors.begin;
        clear_floats(to, BAND);
        memcpy(to + block.count - 1 - r, from, width * sizeof *to);
    }
    product to_queries = {.a = s->band,
                          .a_row = BAND,
                          .a_depth = 1,
                          .b = s->distances + first * s->stride,
                          .b_depth = s->stride,
                          .c = s->position_sum,
                          .c_row = s->stride,
                          .depth = distances,
                          .accumulate = true};
    product_run(&to_queries, block.count, vectors_for(s->shape->head_size));
    product to_table = {.a = s->band,
                        .a_row = 1,
                        .a_depth = BAND,
                        .b = s->positional,
                        .b_depth = s->stride,
                        .c = task->table_sum + first * s->stride,
                        .c_row = s->stride,
                        .depth = block.count,
                        .accumulate = true};
    product_run(&to_table, distances, vectors_for(s->shape->head_size));
}

static void backward_block(const dense_state *s, const pri_task *task, row_group block,
                           size_t block_key, const float *expected)
{
    key_span span = span_of(s, block, block_key);
    if (is_empty(span))
        return;
    for (size_t place = 0; place < block.count; place += TILE_ROWS)
        backward_group(s, group_at(block, place), span, expected);
    size_t vectors = vectors_for(s->shape->head_size);
    size_t first_key = block_key + span.cells.begin, keys = span.cells.end - span.cells.begin;
    product to_values = {.a = s->weights + span.cells.begin,
                         .a_row = 1,
                         .a_depth = BLOCK_KEYS,
                         .b = s->output_gradient,
                         .b_depth = s->stride,
                         .c = task->value_sum + first_key * s->stride,
                         .c_row = s->stride,
                         .depth = block.count,
                         .accumulate = true};
    product_run(&to_values, keys, vectors);
    product to_keys = to_values;
    to_keys.a = s->score_gradients + span.cells.begin;
    to_keys.b = s->query;
    to_keys.c = task->key_sum + first_key * s->stride;
    product_run(&to_keys, keys, vectors);
    product to_queries = {.a = s->score_gradients + span.cells.begin,
                          .a_row = BLOCK_KEYS,
                          .a_depth = 1,
                          .b = s->keys + first_key * s->stride,
                          .b_depth = s->stride,
                          .c = s->sum,
                          .c_row = s->stride,
                          .depth = keys,
                          .accumulate = true};
    product_run(&to_queries, block.count, vectors);
    if (s->call->relative)
        backward_positions(s, task, block, span);
}

/* to += factor * sum over the rows of a block */
static void add_row_sums(const dense_state *s, const float *rows, size_t count, float *to)
{
    for (size_t d = 0; d < s->stride; d += V_WIDTH) {
        v_float sum = v_zero();
        for (size_t r = 0; r < count; r++)
            sum = v_add(sum, v_load(rows + r * s->stride + d));
        v_store(to + d, v_fma(v_set(s->call->scale), sum, v_load(to + d)));
    }
}

/* dq = scale * (content + position part); the biases get the same, summed over rows. */
static void store_query_gradient(const dense_state *s, const pri_task *task, row_group block)
{
    if (s->call->relative) {
        add_row_sums(s, s->sum, block.count, task->content_sum);
        add_row_sums(s, s->position_sum, block.count, task->position_sum);
        for (size_t d = 0; d < block.count * s->stride; d += V_WIDTH)
            v_store(s->sum + d, v_add(v_load(s->sum + d), v_load(s->position_sum + d)));
    }
    if (!task->gradient->query.data)
        return;
    for (size_t r = 0; r < block.count; r++)
        store_row(s->sum + r * s->stride, s->call->scale, s->shape->head_size,
                  pri_at_mutable(task->gradient->query, s->sequence.first_query + block.first + r,
                                 s->head));
}

static void backward(const pri_task *task, pri_thread *thread)
{
    dense_state s = prepare(task, thread);
    pare_view output_gradient = task->gradient->output_gradient;
    for (size_t row = task->first_row; row < task->end_row; row += BLOCK_ROWS) {
        row_group block = block_at(task, row);
        pri_range keys = key_blocks(&s, block);
        float expected[BLOCK_ROWS];
        load_queries(&s, block);
        pack_rows(pri_at(output_gradient, s.sequence.first_query + row, s.head),
                  output_gradient.token_stride, NULL, 1, block.count, s.shape->head_size, s.stride,
                  s.output_gradient);
        for (size_t r = 0; r < block.count; r++)
            expected[r] = expected_gradient(&s, block, r);
        clear_floats(s.sum, block.count * s.stride);
        if (s.call->relative)
            clear_floats(s.position_sum, block.count * s.stride);
        for (size_t key = keys.begin; key < keys.end; key += BLOCK_KEYS)
            backward_block(&s, task, block, key, expected);
        store_query_gradient(&s, task, block);
    }
}

/* ---- Observation ---- */

static void observe_row(const dense_state *s, size_t row, key_span span, float *scores)
{
    const pare_observer *observer = s->call->observer;
    const pare_plan_geometry *geometry = &observer->geometry;
    pri_range cells = cells_of_row(s, row, span.block_key);
    double *sums = observer->sums + (s->head * geometry->queries + row) * geometry->keys +
                   pri_column_shift(geometry, &s->sequence) + span.block_key;
    v_float shift = v_set(logsumexp_of(s, row));
    if (is_uniform(s, row))
        clear_floats(scores + span.vectors.begin, span.vectors.end - span.vectors.begin);
    if (!fill_pruned(s, row, span, cells, scores, -INFINITY))
        return;
    for (size_t t = span.vectors.begin; t < span.vectors.end; t += V_WIDTH)
        v_store(scores + t, v_exp(v_sub(v_load(scores + t), shift)));
    for (size_t t = cells.begin; t < cells.end; t++)
        sums[t] += (double)scores[t];
}

static void observe(const pri_task *task, pri_thread *thread)
{
    dense_state s = prepare(task, thread);
    for (size_t row = task->first_row; row < task->end_row; row += TILE_ROWS) {
        row_group group = {row, smaller(TILE_ROWS, task->end_row - row), 0};
        pri_range keys = key_blocks(&s, group);
        load_queries(&s, group);
        for (size_t key = keys.begin; key < keys.end; key += BLOCK_KEYS) {
            key_span span = span_of(&s, group, key);
            if (is_empty(span))
                continue;
            compute_scores(&s, group, span, s.weights);
            for (size_t r = 0; r < group.count; r++)
                observe_row(&s, row + r, span, s.weights + r * BLOCK_KEYS);
        }
    }
}

extern const pri_attention_kernels PRI_DENSE_KERNELS;
const pri_attention_kernels PRI_DENSE_KERNELS = {
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .observe = observe,
};
