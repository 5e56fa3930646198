/* Attention over a plan's kept cells, row by row: scores by gathering the rows of the kept keys
 * (and, for relative positions, of their distances), softmax over the short list, output by
 * gathering values. The cost follows the cells that are kept, whatever their pattern.
 *
 * Backward takes a chunk of rows at a time. It keeps weight and score gradient of the chunk's kept
 * cells in scratch memory, then walks the plan's transposed list to add them up by key: sums stay
 * in registers and nothing is scattered but the gradient of the distance table. */
#include "attention/dropout.h"
#include "attention/kernels.h"
#include "attention/kernels/gather.h"
#include "attention/kernels/pack.h"
#include "attention/plan.h"

/* Cells of weights and gradients kept per chunk: two arrays of half a megabyte at most, a tenth of
 * that at 10% density. */
#define CHUNK_CELLS 131072
#define CHUNK_ROWS 128
#define CHUNK_ROWS_LEAST 16

typedef struct sparse_state {
    const pare_attention *call;
    const pare_plan *plan;
    const pri_shape *shape;
    pri_sequence sequence;
    size_t head, stride, vectors, shift;
    float *keys, *values; /* of the sequence and head */
    float *distances;     /* of the head */
    /* Rows of the chunk (forward: one row): scale * (q + u), scale * (q + w), dO. */
    float *query, *positional, *output_gradient;
    float *sum, *position_sum;          /* one row each */
    float *weights, *score_gradients;   /* of the chunk's cells, in the plan's order */
    float *key_weights, *key_gradients; /* of one key's cells in the chunk */
    size_t *cursors;                    /* (keys): how far each transposed list has been walked */
} sparse_state;

static size_t chunk_rows(const pri_shape *shape)
{
    if (!shape->backward)
        return 1;
    size_t rows = CHUNK_CELLS / larger(shape->longest_row, 1);
    return larger(smaller(rows, CHUNK_ROWS), CHUNK_ROWS_LEAST);
}

static void carve_state(sparse_state *s, const pri_shape *shape, carver *c)
{
    size_t rows = chunk_rows(shape), stride = shape->stride;
    size_t cells = rows * shape->longest_row + PRI_PADDING;
    s->stride = stride;
    s->keys = carve(c, shape->longest * stride);
    s->values = carve(c, shape->longest * stride);
    s->query = carve(c, rows * stride);
    s->sum = carve(c, stride);
    s->weights = carve(c, cells);
    if (shape->relative) {
        s->distances = carve(c, shape->longest * stride);
        s->positional = carve(c, rows * stride);
        s->position_sum = carve(c, stride);
    }
    if (!shape->backward)
        return;
    s->output_gradient = carve(c, rows * stride);
    s->score_gradients = carve(c, cells);
    s->key_weights = carve(c, rows);
    s->key_gradients = carve(c, rows);
    s->cursors = (size_t *)(void *)carve(c, shape->longest * sizeof(size_t) / sizeof(float));
}

static size_t scratch_floats(const pri_shape *shape)
{
    sparse_state state = {0};
    carver c = {0};
    carve_state(&state, shape, &c);
    return c.used;
}

static void pack_keys(const sparse_state *s, pare_view view, float *rows)
{
    pack_rows(pri_at(view, s->sequence.first_key, s->head), view.token_stride, NULL, 1,
              s->sequence.keys, s->shape->head_size, s->stride, rows);
}

static sparse_state prepare(const pri_task *task, pri_thread *thread)
{
    const pare_attention *call = task->call;
    sparse_state s = {.call = call,
                      .plan = call->plan,
                      .shape = task->shape,
                      .head = task->head,
                      .vectors = vectors_for(task->shape->head_size)};
    carver c = {thread->scratch, 0};
    carve_state(&s, task->shape, &c);
    s.sequence = pri_sequence_at(call, task->sequence);
    s.shift = pri_column_shift(&call->plan->geometry, &s.sequence);
    if (call->relative && thread->packed_table_head != task->head) {
        pack_distances(call, task->shape, task->head, s.distances);
        thread->packed_table_head = task->head;
    }
    if (thread->packed_sequence == task->sequence && thread->packed_head == task->head)
        return s;
    thread->packed_sequence = task->sequence;
    thread->packed_head = task->head;
    pack_keys(&s, call->key, s.keys);
    pack_keys(&s, call->value, s.values);
    return s;
}

/* Row `row` of the sequence into place `place` of the chunk. */
static void load_query(const sparse_state *s, size_t row, size_t place)
{
    const pare_attention *call = s->call;
    size_t size = s->shape->head_size, bias = s->head * size;
    const float *query = pri_at(call->query, s->sequence.first_query + row, s->head);
    pack_rows(query, 0, call->relative ? call->relative->content_bias + bias : NULL, call->scale, 1,
              size, s->stride, s->query + place * s->stride);
    if (call->relative)
        pack_rows(query, 0, call->relative->position_bias + bias, call->scale, 1, size, s->stride,
                  s->positional + place * s->stride);
}

static pri_plan_cells cells_of_row(const sparse_state *s, size_t row)
{
    pri_range admissible = pri_admissible(s->call, &s->sequence, row);
    return pri_plan_row_cells(s->plan, s->head, row, admissible, s->shift);
}

/* Rows of keys or values, by the plan's columns. */
static gather_source by_column(const sparse_state *s, const float *rows)
{
    return (gather_source){rows, s->shift * s->stride, s->stride, s->vectors};
}

/* The same columns as distances from `row`: key j = column - shift is distance row
 * longest - 1 - (row + memory) + j of the packed table. */
static gather_source by_distance(const sparse_state *s, const float *rows, size_t row)
{
    size_t first = s->shape->longest - 1 - (row + s->sequence.memory);
    return (gather_source){rows, (s->shift - first) * s->stride, s->stride, s->vectors};
}

/* Scores of the row's kept cells; whole vectors are written. */
static void score_row(const sparse_state *s, size_t row, size_t place, pri_plan_cells cells,
                      float *scores)
{
    if (cells.uniform) {
        clear_floats(scores, round_up(cells.count, V_WIDTH));
        return;
    }
    gather_source keys = by_column(s, s->keys);
    gather_source distances = {0};
    if (s->call->relative)
        distances = by_distance(s, s->distances, row);
    gather_dot(&keys, s->query + place * s->stride, s->call->relative ? &distances : NULL,
               s->call->relative ? s->positional + place * s->stride : NULL,
               s->plan->columns + cells.first, cells.count, scores);
}

static size_t logsumexp_index(const sparse_state *s, size_t row)
{
    return (s->sequence.first_query + row) * s->call->heads + s->head;
}

static pri_dropout_row dropout_of_row(const sparse_state *s, size_t row)
{
    return pri_dropout_for_row(s->call, s->sequence.first_query + row, s->head);
}

static void store_row(const sparse_state *s, const float *from, float factor, float *to)
{
    size_t size = s->shape->head_size;
    for (size_t d = 0; d < size; d += V_WIDTH)
        v_store_partial(to + d, v_mul(v_load(from + d), v_set(factor)), size - d);
}

/* ---- Forward ---- */

/* Scores become exp(s - largest); returns their sum. */
static float softmax_row(float *scores, size_t count, float *largest_out)
{
    size_t whole = count / V_WIDTH * V_WIDTH, left = count - whole;
    v_float largest = v_set(-INFINITY);
    if (left) {
        v_mask kept = v_first_lanes(left);
        v_store(scores + whole, v_select(kept, v_load(scores + whole), v_set(-INFINITY)));
    }
    for (size_t k = 0; k < count; k += V_WIDTH)
        largest = v_max(largest, v_load(scores + k));
    *largest_out = v_reduce_max(largest);
    v_float shift = v_set(*largest_out), total = v_zero();
    for (size_t k = 0; k < count; k += V_WIDTH) {
        v_float weight = v_exp(v_sub(v_load(scores + k), shift));
        total = v_add(total, weight);
        v_store(scores + k, weight);
    }
    return v_reduce_add(total);
}

static void forward_row(const sparse_state *s, size_t row)
{
    const pare_attention *call = s->call;
    pri_plan_cells cells = cells_of_row(s, row);
    const uint16_t *columns = s->plan->columns + cells.first;
    float *output = pri_at_mutable(call->output, s->sequence.first_query + row, s->head);
    clear_floats(s->sum, s->stride);
    if (!cells.count) {
        store_row(s, s->sum, 1, output);
        if (call->logsumexp)
            call->logsumexp[logsumexp_index(s, row)] = -INFINITY;
        return;
    }
    float largest;
    load_query(s, row, 0);
    score_row(s, row, 0, cells, s->weights);
    float total = softmax_row(s->weights, cells.count, &largest);
    if (call->dropout > 0) {
        pri_dropout_row draws = dropout_of_row(s, row);
        for (size_t k = 0; k < cells.count; k++)
            s->weights[k] *= pri_dropout_factor(draws, columns[k] - (uint32_t)s->shift);
    }
    gather_source values = by_column(s, s->values);
    gather_sum(&values, columns, s->weights, cells.count, s->sum);
    store_row(s, s->sum, 1 / total, output);
    if (call->logsumexp)
        call->logsumexp[logsumexp_index(s, row)] = largest + logf(total);
}

static void forward(const pri_task *task, pri_thread *thread)
{
    sparse_state s = prepare(task, thread);
    for (size_t row = task->first_row; row < task->end_row; row++)
        forward_row(&s, row);
}

/* ---- Backward ---- */

/* dO_i.o_i, which equals sum_j a_ij dL/da_ij. */
static float expected_gradient(const sparse_state *s, size_t row, const float *output_gradient)
{
    size_t size = s->shape->head_size;
    pare_view view = {s->call->output.data, s->call->output.token_stride,
                      s->call->output.head_stride};
    const float *output = pri_at(view, s->sequence.first_query + row, s->head);
    v_float sum = v_zero();
    for (size_t d = 0; d < size; d += V_WIDTH)
        sum = v_fma(v_load(output_gradient + d), v_load_partial(output + d, size - d), sum);
    return v_reduce_add(sum);
}

/* a = exp(s - logsumexp), ds = a (factor dO.v - expected); scores become weights a factor, and
 * gradients, which come in as dO.v, become ds. */
static void gradient_cells(const sparse_state *s, size_t row, pri_plan_cells cells, float expected,
                           float *scores, float *gradients)
{
    const uint16_t *columns = s->plan->columns + cells.first;
    v_float shift = v_set(s->call->logsumexp[logsumexp_index(s, row)]), mean = v_set(expected);
    bool dropping = s->call->dropout > 0;
    pri_dropout_row draws = dropping ? dropout_of_row(s, row) : (pri_dropout_row){0};
    for (size_t k = 0; k < cells.count; k += V_WIDTH) {
        v_float weight = v_exp(v_sub(v_load(scores + k), shift));
        v_float gradient = v_load(gradients + k);
        if (dropping) {
            float lanes[V_WIDTH] = {0};
            for (size_t t = 0; t < smaller(V_WIDTH, cells.count - k); t++)
                lanes[t] = pri_dropout_factor(draws, columns[k + t] - (uint32_t)s->shift);
            v_float factor = v_load(lanes);
            gradient = v_mul(gradient, factor);
            v_store(scores + k, v_mul(weight, factor));
        } else {
            v_store(scores + k, weight);
        }
        v_store(gradients + k, v_mul(weight, v_sub(gradient, mean)));
    }
    if (cells.uniform)
        clear_floats(gradients, cells.count);
}

static void add_row(const sparse_state *s, float factor, const float *from, float *to)
{
    for (size_t d = 0; d < s->stride; d += V_WIDTH)
        v_store(to + d, v_fma(v_set(factor), v_load(from + d), v_load(to + d)));
}

/* ds.r_delta for the query and the bias w, and the gradient of the table's rows. */
static void backward_positions(const sparse_state *s, const pri_task *task, size_t row,
                               size_t place, pri_plan_cells cells, const float *gradients)
{
    const uint16_t *columns = s->plan->columns + cells.first;
    gather_source distances = by_distance(s, s->distances, row);
    clear_floats(s->position_sum, s->stride);
    gather_sum(&distances, columns, gradients, cells.count, s->position_sum);
    scatter_sum(task->table_sum, &distances, columns, gradients, cells.count,
                s->positional + place * s->stride);
    add_row(s, s->call->scale, s->sum, task->content_sum);
    add_row(s, s->call->scale, s->position_sum, task->position_sum);
    add_row(s, 1, s->position_sum, s->sum);
}

/* Weights and score gradients of one row's cells, and the query's gradient. */
static void backward_row(const sparse_state *s, const pri_task *task, size_t row, size_t place,
                         size_t chunk_first)
{
    pri_plan_cells cells = cells_of_row(s, row);
    const uint16_t *columns = s->plan->columns + cells.first;
    float *weights = s->weights + (cells.first - chunk_first);
    float *gradients = s->score_gradients + (cells.first - chunk_first);
    float *output_gradient = s->output_gradient + place * s->stride;
    load_query(s, row, place);
    pack_rows(pri_at(task->gradient->output_gradient, s->sequence.first_query + row, s->head), 0,
              NULL, 1, 1, s->shape->head_size, s->stride, output_gradient);
    clear_floats(s->sum, s->stride);
    if (cells.count) {
        gather_source keys = by_column(s, s->keys), values = by_column(s, s->values);
        score_row(s, row, place, cells, weights);
        gather_dot(&values, output_gradient, NULL, NULL, columns, cells.count, gradients);
        gradient_cells(s, row, cells, expected_gradient(s, row, output_gradient), weights,
                       gradients);
        gather_sum(&keys, columns, gradients, cells.count, s->sum);
        if (s->call->relative)
            backward_positions(s, task, row, place, cells, gradients);
    }
    if (task->gradient->query.data)
        store_row(s, s->sum, s->call->scale,
                  pri_at_mutable(task->gradient->query, s->sequence.first_query + row, s->head));
}

/* The first row that the window keeps from seeing key `key`, or `end_row`. */
static size_t window_end(const sparse_state *s, size_t key, size_t end_row)
{
    if (!s->call->window)
        return end_row;
    size_t reach = key + s->call->window;
    return reach > s->sequence.memory ? smaller(end_row, reach - s->sequence.memory) : 0;
}

/* dk_j += sum_i ds_ij scale (q_i + u), dv_j += sum_i a_ij factor_ij dO_i over the chunk's rows. */
static void backward_keys(const sparse_state *s, const pri_task *task, size_t first_row,
                          size_t end_row, size_t chunk_first)
{
    const pare_plan *plan = s->plan;
    size_t head_first = plan->row_begin[s->head * plan->geometry.queries];
    const size_t *column_begin = plan->column_begin + s->head * plan->geometry.keys + s->shift;
    gather_source queries = {s->query, first_row * s->stride, s->stride, s->vectors};
    gather_source output_gradients = {s->output_gradient, first_row * s->stride, s->stride,
                                      s->vectors};
    for (size_t key = 0; key < s->sequence.keys; key++) {
        size_t begin = s->cursors[key], end = begin, last = column_begin[key + 1];
        size_t row_limit = window_end(s, key, end_row);
        for (; end < last && plan->rows[end] < row_limit; end++) {
            size_t cell = head_first + plan->cells[end] - chunk_first;
            s->key_weights[end - begin] = s->weights[cell];
            s->key_gradients[end - begin] = s->score_gradients[cell];
        }
        if (end == begin)
            continue;
        s->cursors[key] = end;
        gather_sum(&output_gradients, plan->rows + begin, s->key_weights, end - begin,
                   task->value_sum + key * s->stride);
        gather_sum(&queries, plan->rows + begin, s->key_gradients, end - begin,
                   task->key_sum + key * s->stride);
    }
}

static void reset_cursors(const sparse_state *s, size_t first_row)
{
    const pare_plan *plan = s->plan;
    const size_t *column_begin = plan->column_begin + s->head * plan->geometry.keys + s->shift;
    for (size_t key = 0; key < s->sequence.keys; key++)
        s->cursors[key] = first_row ? pri_lower_bound(plan->rows, column_begin[key],
                                                      column_begin[key + 1], first_row)
                                    : column_begin[key];
}

static void backward(const pri_task *task, pri_thread *thread)
{
    sparse_state s = prepare(task, thread);
    size_t rows = chunk_rows(task->shape);
    const size_t *row_begin = s.plan->row_begin + s.head * s.plan->geometry.queries;
    reset_cursors(&s, task->first_row);
    for (size_t first = task->first_row; first < task->end_row; first += rows) {
        size_t end = smaller(first + rows, task->end_row);
        for (size_t row = first; row < end; row++)
            backward_row(&s, task, row, row - first, row_begin[first]);
        backward_keys(&s, task, first, end, row_begin[first]);
    }
}

/* ---- Observation ---- */

static void observe_row(const sparse_state *s, size_t row)
{
    const pare_observer *observer = s->call->observer;
    const pare_plan_geometry *geometry = &observer->geometry;
    pri_plan_cells cells = cells_of_row(s, row);
    if (!cells.count)
        return;
    load_query(s, row, 0);
    score_row(s, row, 0, cells, s->weights);
    v_float shift = v_set(s->call->logsumexp[logsumexp_index(s, row)]);
    for (size_t k = 0; k < cells.count; k += V_WIDTH)
        v_store(s->weights + k, v_exp(v_sub(v_load(s->weights + k), shift)));
    double *sums = observer->sums + (s->head * geometry->queries + row) * geometry->keys +
                   pri_column_shift(geometry, &s->sequence);
    for (size_t k = 0; k < cells.count; k++)
        sums[s->plan->columns[cells.first + k] - s->shift] += (double)s->weights[k];
}

static void observe(const pri_task *task, pri_thread *thread)
{
    sparse_state s = prepare(task, thread);
    for (size_t row = task->first_row; row < task->end_row; row++)
        observe_row(&s, row);
}

extern const pri_attention_kernels PRI_SPARSE_KERNELS;
const pri_attention_kernels PRI_SPARSE_KERNELS = {
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .observe = observe,
};
