/* Attention over a plan's kept cells: scores by gathering the rows of the kept keys (and, for
 * relative positions, of their distances), softmax over the short lists, output by gathering
 * values. The cost follows the cells that are kept, whatever their pattern.
 *
 * Rows are taken a chunk at a time and each phase runs over the whole chunk: rows are independent,
 * so that one row's softmax hides behind the others, and sums over gathered rows can go key block
 * by key block, which finds the keys in the first-level cache. Weights (and in backward score
 * gradients) of the chunk's kept cells lie in scratch memory in the plan's order.
 *
 * Backward then walks the plan's transposed list to add up a chunk's cells by key: sums stay in
 * registers and nothing is scattered but the gradient of the distance table. */
#include "attention/dropout.h"
#include "attention/kernels.h"
#include "attention/kernels/gather.h"
#include "attention/kernels/pack.h"
#include "attention/plan.h"

/* Cells of weights and gradients kept per chunk: two arrays of half a megabyte at most, a tenth of
 * that at 10% density. */
#define CHUNK_CELLS 131072
#define CHUNK_ROWS 192
#define CHUNK_ROWS_LEAST 16
/* Floats of gathered rows in a key block, three quarters of a first-level cache of 32 to 48 kB; and
 * the least cells per row and block that make up for loading and storing the sums. */
#define BLOCK_FLOATS 8192
#define BLOCK_CELLS_LEAST 48

typedef struct sparse_state {
    const pare_attention *call;
    const pare_plan *plan;
    const pri_shape *shape;
    pri_sequence sequence;
    size_t head, stride, vectors, shift;
    float *keys, *values; /* of the sequence and head */
    float *distances;     /* of the head */
    /* Rows of the chunk: scale * (q + u), scale * (q + w), dO. */
    float *query, *positional, *output_gradient;
    float *sums, *position_sums;      /* rows of the chunk */
    float *weights, *score_gradients; /* of the chunk's cells, in the plan's order */
    size_t *cursors;                  /* (keys): how far each transposed list has been walked */
} sparse_state;

/* Rows first .. first + count - 1 of the sequence and what is known of each. */
typedef struct row_chunk {
    size_t first, count;
    size_t first_cell; /* position in plan->columns of weights[0] */
    pri_plan_cells cells[CHUNK_ROWS];
    float largest[CHUNK_ROWS], total[CHUNK_ROWS]; /* forward: of the softmax */
    float expected[CHUNK_ROWS];                   /* backward: dO.o */
} row_chunk;

static size_t chunk_rows(const pri_shape *shape)
{
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
    s->sums = carve(c, rows * stride);
    s->weights = carve(c, cells);
    if (shape->relative) {
        s->distances = carve(c, shape->longest * stride);
        s->positional = carve(c, rows * stride);
        s->position_sums = carve(c, rows * stride);
    }
    if (!shape->backward)
        return;
    s->output_gradient = carve(c, rows * stride);
    s->score_gradients = carve(c, cells);
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

static pri_plan_cells cells_of_row(const sparse_state *s, size_t row)
{
    pri_range admissible = pri_admissible(s->call, &s->sequence, row);
    return pri_plan_row_cells(s->plan, s->head, row, admissible, s->shift);
}

/* The chunk that begins at `row`, with its queries packed. */
static void load_chunk(const sparse_state *s, const pri_task *task, size_t row, row_chunk *chunk)
{
    const pare_attention *call = s->call;
    size_t size = s->shape->head_size, bias = s->head * size;
    const float *query = pri_at(call->query, s->sequence.first_query + row, s->head);
    chunk->first = row;
    chunk->count = smaller(chunk_rows(s->shape), task->end_row - row);
    chunk->first_cell = s->plan->row_begin[s->head * s->plan->geometry.queries + row];
    for (size_t r = 0; r < chunk->count; r++)
        chunk->cells[r] = cells_of_row(s, row + r);
    pack_rows(query, call->query.token_stride,
              call->relative ? call->relative->content_bias + bias : NULL, call->scale,
              chunk->count, size, s->stride, s->query);
    if (call->relative)
        pack_rows(query, call->query.token_stride, call->relative->position_bias + bias,
                  call->scale, chunk->count, size, s->stride, s->positional);
}

static const uint16_t *columns_of(const sparse_state *s, pri_plan_cells cells)
{
    return s->plan->columns + cells.first;
}

static float *weights_of(const sparse_state *s, const row_chunk *chunk, pri_plan_cells cells)
{
    return s->weights + (cells.first - chunk->first_cell);
}

static float *gradients_of(const sparse_state *s, const row_chunk *chunk, pri_plan_cells cells)
{
    return s->score_gradients + (cells.first - chunk->first_cell);
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

/* Scores of the kept cells of row r of the chunk. Whole vectors are written: rows must be scored in
 * their order. */
static void score_row(const sparse_state *s, const row_chunk *chunk, size_t r)
{
    pri_plan_cells cells = chunk->cells[r];
    float *scores = weights_of(s, chunk, cells);
    const float *query = s->query + r * s->stride;
    gather_source keys = by_column(s, s->keys);
    if (cells.uniform) {
        clear_floats(scores, cells.count);
    } else if (s->call->relative) {
        gather_source distances = by_distance(s, s->distances, chunk->first + r);
        gather_dot(&keys, query, &distances, s->positional + r * s->stride, columns_of(s, cells),
                   cells.count, scores);
    } else {
        gather_dot(&keys, query, NULL, NULL, columns_of(s, cells), cells.count, scores);
    }
}

/* Columns per block when sums over gathered rows are taken block by block. */
static size_t block_columns(const sparse_state *s)
{
    const pare_plan_geometry *geometry = &s->plan->geometry;
    size_t rows = geometry->heads * geometry->queries;
    size_t cells = larger(s->plan->row_begin[rows], 1);
    size_t wanted =
        larger(BLOCK_FLOATS / s->stride, BLOCK_CELLS_LEAST * geometry->keys * rows / cells);
    return round_up(wanted, PRI_MARK_COLUMNS);
}

/* Row r's cells in one block of columns. */
static pri_plan_cells cells_in_block(const sparse_state *s, const row_chunk *chunk, size_t r,
                                     size_t column, size_t columns)
{
    return pri_plan_cells_between(s->plan, s->head, chunk->first + r, chunk->cells[r], column,
                                  column + columns);
}

/* sums row r += sum over its cells of factor * row of `rows` (keys or values), where the factors
 * lie in the plan's order. */
static void sum_by_column(const sparse_state *s, const row_chunk *chunk, const float *rows,
                          const float *factors, float *sums)
{
    gather_source source = by_column(s, rows);
    size_t columns = block_columns(s), end = s->shift + s->sequence.keys;
    for (size_t column = 0; column < end; column += columns)
        for (size_t r = 0; r < chunk->count; r++) {
            pri_plan_cells cells = cells_in_block(s, chunk, r, column, columns);
            gather_sum(&source, columns_of(s, cells), factors + (cells.first - chunk->first_cell),
                       cells.count, sums + r * s->stride);
        }
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
    v_float last =
        v_select(v_first_lanes(left), v_load_partial(scores + whole, left), v_set(-INFINITY));
    v_float largest = last;
    for (size_t k = 0; k < whole; k += V_WIDTH)
        largest = v_max(largest, v_load(scores + k));
    *largest_out = v_reduce_max(largest);
    v_float shift = v_set(*largest_out);
    last = v_exp(v_sub(last, shift));
    v_store_partial(scores + whole, last, left);
    v_float total = last;
    for (size_t k = 0; k < whole; k += V_WIDTH) {
        v_float weight = v_exp(v_sub(v_load(scores + k), shift));
        total = v_add(total, weight);
        v_store(scores + k, weight);
    }
    return v_reduce_add(total);
}

static void drop(const sparse_state *s, size_t row, pri_plan_cells cells, float *weights)
{
    const uint16_t *columns = columns_of(s, cells);
    pri_dropout_row draws = dropout_of_row(s, row);
    uint32_t shift = (uint32_t)s->shift;
    for (size_t k = 0; k < cells.count; k++)
        weights[k] *= pri_dropout_factor(draws, columns[k] - shift);
}

static void store_output(const sparse_state *s, const row_chunk *chunk, size_t r)
{
    const pare_attention *call = s->call;
    size_t row = chunk->first + r;
    bool empty = chunk->cells[r].count == 0; /* its sums are zero */
    store_row(s, s->sums + r * s->stride, empty ? 0 : 1 / chunk->total[r],
              pri_at_mutable(call->output, s->sequence.first_query + row, s->head));
    if (call->logsumexp)
        call->logsumexp[logsumexp_index(s, row)] =
            empty ? -INFINITY : chunk->largest[r] + logf(chunk->total[r]);
}

static void forward(const pri_task *task, pri_thread *thread)
{
    sparse_state s = prepare(task, thread);
    row_chunk chunk;
    for (size_t row = task->first_row; row < task->end_row; row += chunk.count) {
        load_chunk(&s, task, row, &chunk);
        for (size_t r = 0; r < chunk.count; r++)
            score_row(&s, &chunk, r);
        for (size_t r = 0; r < chunk.count; r++) {
            float *weights = weights_of(&s, &chunk, chunk.cells[r]);
            chunk.total[r] = softmax_row(weights, chunk.cells[r].count, &chunk.largest[r]);
            if (s.call->dropout > 0)
                drop(&s, row + r, chunk.cells[r], weights);
        }
        clear_floats(s.sums, chunk.count * s.stride);
        sum_by_column(&s, &chunk, s.values, s.weights, s.sums);
        for (size_t r = 0; r < chunk.count; r++)
            store_output(&s, &chunk, r);
    }
}

/* ---- Backward ---- */

/* dO of the chunk's rows, and expected = dO_i.o_i, which equals sum_j a_ij dL/da_ij. */
static void load_output_gradients(const sparse_state *s, pare_view gradient, row_chunk *chunk)
{
    size_t size = s->shape->head_size, token = s->sequence.first_query + chunk->first;
    pare_view output = {s->call->output.data, s->call->output.token_stride,
                        s->call->output.head_stride};
    pack_rows(pri_at(gradient, token, s->head), gradient.token_stride, NULL, 1, chunk->count, size,
              s->stride, s->output_gradient);
    for (size_t r = 0; r < chunk->count; r++) {
        const float *from = pri_at(output, token + r, s->head);
        const float *with = s->output_gradient + r * s->stride;
        v_float sum = v_zero();
        for (size_t d = 0; d < size; d += V_WIDTH)
            sum = v_fma(v_load(with + d), v_load_partial(from + d, size - d), sum);
        chunk->expected[r] = v_reduce_add(sum);
    }
}

/* a = exp(s - logsumexp), ds = a (factor dO.v - expected) for up to a vector of cells. */
V_INLINE void gradient_vector(v_float factor, v_float shift, v_float expected, v_float *weight,
                              v_float *gradient)
{
    v_float probability = v_exp(v_sub(*weight, shift));
    *gradient = v_mul(probability, v_sub(v_mul(*gradient, factor), expected));
    *weight = v_mul(probability, factor);
}

/* Scores become weights a factor; gradients, which come in as dO.v, become ds. */
static void gradient_row(const sparse_state *s, const row_chunk *chunk, size_t r)
{
    pri_plan_cells cells = chunk->cells[r];
    const uint16_t *columns = columns_of(s, cells);
    float *weights = weights_of(s, chunk, cells), *gradients = gradients_of(s, chunk, cells);
    v_float shift = v_set(s->call->logsumexp[logsumexp_index(s, chunk->first + r)]);
    v_float expected = v_set(chunk->expected[r]);
    pri_dropout_row draws = dropout_of_row(s, chunk->first + r);
    for (size_t k = 0; k < cells.count; k += V_WIDTH) {
        size_t left = smaller(V_WIDTH, cells.count - k);
        v_float factor = v_set(1);
        if (s->call->dropout > 0) {
            float lanes[V_WIDTH] = {0};
            for (size_t t = 0; t < left; t++)
                lanes[t] = pri_dropout_factor(draws, columns[k + t] - (uint32_t)s->shift);
            factor = v_load(lanes);
        }
        v_float weight = v_load_partial(weights + k, left);
        v_float gradient = v_load_partial(gradients + k, left);
        gradient_vector(factor, shift, expected, &weight, &gradient);
        v_store_partial(weights + k, weight, left);
        v_store_partial(gradients + k, gradient, left);
    }
    if (cells.uniform)
        clear_floats(gradients, cells.count);
}

static void add_row(const sparse_state *s, float factor, const float *from, float *to)
{
    for (size_t d = 0; d < s->stride; d += V_WIDTH)
        v_store(to + d, v_fma(v_set(factor), v_load(from + d), v_load(to + d)));
}

/* ds.r_delta for queries and bias w, the gradient of the table's rows, and both biases' sums. */
static void backward_positions(const sparse_state *s, const pri_task *task, const row_chunk *chunk)
{
    size_t columns = block_columns(s), end = s->shift + s->sequence.keys;
    clear_floats(s->position_sums, chunk->count * s->stride);
    for (size_t column = 0; column < end; column += columns)
        for (size_t r = 0; r < chunk->count; r++) {
            pri_plan_cells cells = cells_in_block(s, chunk, r, column, columns);
            gather_source distances = by_distance(s, s->distances, chunk->first + r);
            const float *gradients = gradients_of(s, chunk, cells);
            gather_sum(&distances, columns_of(s, cells), gradients, cells.count,
                       s->position_sums + r * s->stride);
            scatter_sum(task->table_sum, &distances, columns_of(s, cells), gradients, cells.count,
                        s->positional + r * s->stride);
        }
    for (size_t r = 0; r < chunk->count; r++) {
        float *sum = s->sums + r * s->stride, *position_sum = s->position_sums + r * s->stride;
        add_row(s, s->call->scale, sum, task->content_sum);
        add_row(s, s->call->scale, position_sum, task->position_sum);
        add_row(s, 1, position_sum, sum);
    }
}

/* Weights, score gradients and query gradients of a chunk of rows. */
static void backward_rows(const sparse_state *s, const pri_task *task, const row_chunk *chunk)
{
    gather_source values = by_column(s, s->values);
    for (size_t r = 0; r < chunk->count; r++) {
        pri_plan_cells cells = chunk->cells[r];
        score_row(s, chunk, r);
        gather_dot(&values, s->output_gradient + r * s->stride, NULL, NULL, columns_of(s, cells),
                   cells.count, gradients_of(s, chunk, cells));
    }
    for (size_t r = 0; r < chunk->count; r++)
        gradient_row(s, chunk, r);
    clear_floats(s->sums, chunk->count * s->stride);
    sum_by_column(s, chunk, s->keys, s->score_gradients, s->sums);
    if (s->call->relative)
        backward_positions(s, task, chunk);
    if (!task->gradient->query.data)
        return;
    for (size_t r = 0; r < chunk->count; r++)
        store_row(s, s->sums + r * s->stride, s->call->scale,
                  pri_at_mutable(task->gradient->query, s->sequence.first_query + chunk->first + r,
                                 s->head));
}

/* The first row that the window keeps from seeing key `key`, or `end_row`. */
static size_t window_end(const sparse_state *s, size_t key, size_t end_row)
{
    if (!s->call->window || s->call->window >= s->sequence.keys)
        return end_row; /* no limit; a window this wide must not overflow the sum below */
    size_t reach = key + s->call->window;
    return reach > s->sequence.memory ? smaller(end_row, reach - s->sequence.memory) : 0;
}

/* The cells of one key within a chunk: entries `begin` .. of the transposed list, up to `last` or
 * the first row beyond `row_limit`. */
typedef struct key_walk {
    size_t begin, last, row_limit;
    size_t first_row, first_cell; /* what the chunk's first row and weight are in the lists */
    float *key_sum, *value_sum;
} key_walk;

/* dk_j += sum_i ds_ij scale (q_i + u), dv_j += sum_i a_ij factor_ij dO_i, for `width` vectors from
 * vector `from`. Both in one loop, since its end is hard to predict. Returns where the walk ended.
 */
V_INLINE size_t walk_key(const sparse_state *s, const key_walk *walk, size_t from,
                         const size_t width)
{
    const uint16_t *rows = s->plan->rows;
    const uint32_t *cells = s->plan->cells;
    const float *queries = s->query + from * V_WIDTH;
    const float *output_gradients = s->output_gradient + from * V_WIDTH;
    float *key_sum = walk->key_sum + from * V_WIDTH, *value_sum = walk->value_sum + from * V_WIDTH;
    v_float keys[4], values[4];
    V_UNROLL for (size_t v = 0; v < width; v++)
    {
        keys[v] = v_load(key_sum + v * V_WIDTH);
        values[v] = v_load(value_sum + v * V_WIDTH);
    }
    size_t at = walk->begin;
    for (; at < walk->last && rows[at] < walk->row_limit; at++) {
        size_t cell = cells[at] - walk->first_cell;
        size_t row = (rows[at] - walk->first_row) * s->stride;
        v_float gradient = v_set(s->score_gradients[cell]), weight = v_set(s->weights[cell]);
        V_UNROLL for (size_t v = 0; v < width; v++)
        {
            keys[v] = v_fma(gradient, v_load(queries + row + v * V_WIDTH), keys[v]);
            values[v] = v_fma(weight, v_load(output_gradients + row + v * V_WIDTH), values[v]);
        }
    }
    V_UNROLL for (size_t v = 0; v < width; v++)
    {
        v_store(key_sum + v * V_WIDTH, keys[v]);
        v_store(value_sum + v * V_WIDTH, values[v]);
    }
    return at;
}

static size_t sum_key(const sparse_state *s, const key_walk *walk)
{
    size_t from = 0, end = walk->begin;
    for (; from + 4 <= s->vectors; from += 4)
        end = walk_key(s, walk, from, 4);
    switch (s->vectors - from) {
    case 3:
        return walk_key(s, walk, from, 3);
    case 2:
        return walk_key(s, walk, from, 2);
    case 1:
        return walk_key(s, walk, from, 1);
    default:
        return end;
    }
}

static void backward_keys(const sparse_state *s, const pri_task *task, const row_chunk *chunk)
{
    const pare_plan *plan = s->plan;
    const size_t *column_begin = plan->column_begin + s->head * plan->geometry.keys + s->shift;
    size_t head_first = plan->row_begin[s->head * plan->geometry.queries];
    for (size_t key = 0; key < s->sequence.keys; key++) {
        key_walk walk = {.begin = s->cursors[key],
                         .last = column_begin[key + 1],
                         .row_limit = window_end(s, key, chunk->first + chunk->count),
                         .first_row = chunk->first,
                         .first_cell = chunk->first_cell - head_first,
                         .key_sum = task->key_sum + key * s->stride,
                         .value_sum = task->value_sum + key * s->stride};
        if (walk.begin < walk.last && plan->rows[walk.begin] < walk.row_limit)
            s->cursors[key] = sum_key(s, &walk);
    }
}

static void reset_cursors(const sparse_state *s, size_t first_row)
{
    const pare_plan *plan = s->plan;
    const size_t *column_begin = plan->column_begin + s->head * plan->geometry.keys + s->shift;
    for (size_t key = 0; key < s->sequence.keys; key++)
        s->cursors[key] =
            pri_lower_bound(plan->rows, column_begin[key], column_begin[key + 1], first_row);
}

static void backward(const pri_task *task, pri_thread *thread)
{
    sparse_state s = prepare(task, thread);
    row_chunk chunk;
    reset_cursors(&s, task->first_row);
    for (size_t row = task->first_row; row < task->end_row; row += chunk.count) {
        load_chunk(&s, task, row, &chunk);
        load_output_gradients(&s, task->gradient->output_gradient, &chunk);
        backward_rows(&s, task, &chunk);
        backward_keys(&s, task, &chunk);
    }
}

/* ---- Observation ---- */

static void observe_row(const sparse_state *s, const row_chunk *chunk, size_t r)
{
    const pare_observer *observer = s->call->observer;
    const pare_plan_geometry *geometry = &observer->geometry;
    pri_plan_cells cells = chunk->cells[r];
    const uint16_t *columns = columns_of(s, cells);
    const float *scores = weights_of(s, chunk, cells);
    size_t row = chunk->first + r;
    double *sums = observer->sums + (s->head * geometry->queries + row) * geometry->keys +
                   pri_column_shift(geometry, &s->sequence);
    v_float shift = v_set(s->call->logsumexp[logsumexp_index(s, row)]);
    for (size_t k = 0; k < cells.count; k += V_WIDTH) {
        float lanes[V_WIDTH];
        size_t left = smaller(V_WIDTH, cells.count - k);
        v_store(lanes, v_exp(v_sub(v_load_partial(scores + k, left), shift)));
        for (size_t t = 0; t < left; t++)
            sums[columns[k + t] - s->shift] += (double)lanes[t];
    }
}

static void observe(const pri_task *task, pri_thread *thread)
{
    sparse_state s = prepare(task, thread);
    row_chunk chunk;
    for (size_t row = task->first_row; row < task->end_row; row += chunk.count) {
        load_chunk(&s, task, row, &chunk);
        for (size_t r = 0; r < chunk.count; r++)
            score_row(&s, &chunk, r);
        for (size_t r = 0; r < chunk.count; r++)
            observe_row(&s, &chunk, r);
    }
}

extern const pri_attention_kernels PRI_SPARSE_KERNELS;
const pri_attention_kernels PRI_SPARSE_KERNELS = {
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .observe = observe,
#if V_WIDTH == 16
    .largest_share = .35,
#else
    .largest_share = .5,
#endif
};
