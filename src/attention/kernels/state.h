/* What the two halves of a kernel, dense windows (windows.h) and lists (lists.h), share while they
 * work on one block of rows: the sequence and head, packed once for all its blocks, and the block's
 * queries, gradients and sums.
 *
 * Columns are those of the plan; key j is column j + shift (pare/attention.h, Alignment), and
 * without a plan shift is 0. Dense columns come in tiles of PRI_TILE_COLUMNS. Rows, and columns of
 * lists and of what is packed row by row, come in blocks of list_size; columns are packed with one
 * row of zeros behind each block, for the entries of lists that are no cell. */
#ifndef PARE_SRC_ATTENTION_KERNELS_STATE_H
#define PARE_SRC_ATTENTION_KERNELS_STATE_H

#include "attention/dropout.h"
#include "attention/kernels.h"
#include "attention/kernels/gather.h"
#include "attention/kernels/pack.h"
#include "attention/plan.h"

#define BAND (PRI_WINDOW_COLUMNS + PRI_STRIP_ROWS + 2 * PRI_PADDING)

/* What lists gather from. Where that is not fp32 it lies apart, else these are the rows of the
 * state under the same names. */
#define LISTS_APART (HALVES > 1)
typedef struct list_rows {
    float *keys, *values, *query, *positional, *output_gradient, *distances;
    size_t stride;
} list_rows;

typedef struct kernel_state {
    const pare_attention *call;
    const pri_task *task;
    const pare_plan *plan;     /* for the sequence's length; NULL: everything admissible is kept */
    const pri_head_plan *head; /* of the plan */
    pri_sequence sequence;
    size_t head_size, stride, shift;
    size_t list_size;
    pri_range tiles, list_tiles; /* that hold the sequence's keys */

    /* Of the sequence and head. Panels: (tiles, head_size, PRI_TILE_COLUMNS); rows: (list tiles,
     * list_size + 1, stride). */
    float *key_panels, *value_panels, *keys, *values;
    /* Of the head: list_size + 1 rows of zeros, distances falling, and as many again, for the
     * columns of a tile that lie outside the sequence. */
    float *distances, *distance_panel;
    size_t distance_stride; /* of the panel */
    /* Of the row block, (list_size, stride): scale * (q + u), scale * (q + w), dO, and sums. */
    float *query, *positional, *output_gradient, *sum, *position_sum;
    /* Of a window, (PRI_STRIP_ROWS, PRI_WINDOW_COLUMNS) and (PRI_STRIP_ROWS, BAND). */
    float *window_weights, *window_gradients, *band;
    /* Of listed cells. Forward: of the row block, row by row. Backward: of the row block and one
     * tile, in the order of the entries by row. */
    float *weights, *gradients;
    /* How many cells of each run the call has, where it is shorter than its plan: of the row block,
     * (list tiles + 1, list_size), the last all 0; of the row block and one tile by column. */
    uint16_t *row_met, *column_met;
    list_rows listed;
} kernel_state;

/* A block of rows of the task and what is known of each row. */
typedef struct row_block {
    size_t first, count;
    /* Forward: the running softmax (Milakov and Gimelshein 2018), sum of exp(s - largest). */
    float largest[PRI_LIST_SIZE_MOST], total[PRI_LIST_SIZE_MOST];
    /* Backward: of the forward pass; and dO.o, which equals sum_j a_ij dL/da_ij. */
    float logsumexp[PRI_LIST_SIZE_MOST], expected[PRI_LIST_SIZE_MOST];
} row_block;

/* ---- Rows, columns and cells ---- */

/* The admissible columns of a row. */
static pri_range admissible_columns(const kernel_state *s, size_t row)
{
    pri_range keys = pri_admissible(s->call, &s->sequence, row);
    return (pri_range){keys.begin + s->shift, keys.end + s->shift};
}

static bool is_uniform(const kernel_state *s, size_t row)
{
    return s->head && s->head->uniform[row];
}

static size_t logsumexp_index(const kernel_state *s, size_t row)
{
    return (s->sequence.first_query + row) * s->call->heads + s->task->head;
}

static pri_dropout_row dropout_of_row(const kernel_state *s, size_t row)
{
    return pri_dropout_for_row(s->call, s->sequence.first_query + row, s->task->head);
}

/* The packed row of a column of keys or values; the rows behind it follow up to the next multiple
 * of list_size. */
static float *column_row(const kernel_state *s, float *rows, size_t column)
{
    return rows + (column + column / s->list_size) * s->stride;
}

/* The row of `distances` that `row` meets at column `column`; the next column has the next one. */
static ptrdiff_t distance_row(const kernel_state *s, size_t row, size_t column)
{
    return (ptrdiff_t)(s->task->shape->longest - 1 + column) -
           (ptrdiff_t)(row + s->sequence.memory + s->shift);
}

/* ---- Scratch memory ---- */

static uint16_t *carve_numbers(carver *c, size_t count)
{
    return (uint16_t *)carve(c, pri_divide_up(count * sizeof(uint16_t), sizeof(float)));
}

static void carve_relative(kernel_state *s, const pri_shape *shape, carver *c)
{
    size_t block = shape->list_size * s->stride, margin = block + s->stride;
    s->distances = carve(c, shape->longest * s->stride + 2 * margin);
    s->positional = carve(c, block);
    s->position_sum = carve(c, block);
    if (!shape->spans)
        return;
    /* Bands may begin at any column and end a block beyond the last; an odd number of cache lines
     * per row spreads the rows over all cache sets. */
    s->distance_stride =
        pri_round_up(shape->longest + PRI_TILE_COLUMNS + 2 * PRI_STRIP_ROWS, 32) + PRI_PADDING;
    s->distance_panel = carve(c, shape->head_size * s->distance_stride);
    s->band = carve(c, PRI_STRIP_ROWS * BAND);
}

/* `lists`: of columns. */
static void carve_listed(kernel_state *s, const pri_shape *shape, size_t lists, carver *c)
{
    list_rows *to = &s->listed;
    *to = (list_rows){s->keys,      s->values, s->query, s->positional, s->output_gradient,
                      s->distances, s->stride};
    if (!LISTS_APART || !shape->lists)
        return;
    to->stride = row_shape_of(vectors_for(shape->head_size)).stride;
    size_t block = shape->list_size * to->stride, tile = block + to->stride;
    to->keys = carve(c, lists * tile);
    to->values = carve(c, lists * tile);
    to->query = carve(c, block);
    to->output_gradient = shape->backward ? carve(c, block) : NULL;
    if (!shape->relative)
        return;
    to->positional = carve(c, block);
    to->distances = carve(c, shape->longest * to->stride + 2 * tile);
}

static void carve_state(kernel_state *s, const pri_shape *shape, carver *c)
{
    size_t stride = shape->stride, block = shape->list_size * stride;
    size_t columns = shape->tiles * PRI_TILE_COLUMNS;
    /* Panels that begin behind the first column end beyond the last by less than a vector. */
    size_t panels = columns * shape->head_size + PRI_PADDING;
    size_t lists = pri_divide_up(columns, shape->list_size);
    size_t rows = lists * (shape->list_size + 1) * stride;
    bool backward = shape->backward;
    s->stride = stride;
    s->key_panels = shape->spans ? carve(c, panels) : NULL;
    s->value_panels = shape->spans && backward ? carve(c, panels) : NULL;
    bool lists_share = shape->lists && !LISTS_APART;
    s->keys = lists_share || backward ? carve(c, rows) : NULL;
    s->values = lists_share || !backward ? carve(c, rows) : NULL;
    s->query = carve(c, block);
    s->sum = carve(c, block);
    s->output_gradient = backward ? carve(c, block) : NULL;
    if (shape->spans) {
        s->window_weights = carve(c, PRI_STRIP_ROWS * PRI_WINDOW_COLUMNS);
        s->window_gradients = backward ? carve(c, PRI_STRIP_ROWS * PRI_WINDOW_COLUMNS) : NULL;
    }
    if (shape->lists) {
        size_t entries = backward ? shape->longest_tile : shape->longest_block;
        s->weights = carve(c, entries + PRI_PADDING);
        s->gradients = backward ? carve(c, entries + PRI_PADDING) : NULL;
        s->row_met = carve_numbers(c, (lists + 1) * shape->list_size);
        s->column_met = backward ? carve_numbers(c, shape->list_size) : NULL;
    }
    if (shape->relative)
        carve_relative(s, shape, c);
    carve_listed(s, shape, lists, c);
}

/* ---- Packing ---- */

/* Which of the columns first .. first + width - 1 hold keys, counted from `first`. */
static pri_range key_columns(const kernel_state *s, size_t first, size_t width)
{
    size_t end = s->shift + s->sequence.keys;
    return (pri_range){pri_larger(s->shift, first) - first,
                       pri_smaller(end, first + width) - first};
}

static const float *key_row(const kernel_state *s, pare_view view, size_t column)
{
    return pri_at(view, s->sequence.first_key + column - s->shift, s->task->head);
}

static void pack_panels(const kernel_state *s, pare_view view, float *panels)
{
    for (size_t tile = s->tiles.begin; tile < s->tiles.end; tile++) {
        size_t first = tile * PRI_TILE_COLUMNS;
        pri_range columns = key_columns(s, first, PRI_TILE_COLUMNS);
        float *panel = panels + first * s->head_size;
        if (columns.begin > 0)
            clear_floats(panel, PRI_TILE_COLUMNS * s->head_size);
        pack_transposed(s->call->precision, key_row(s, view, first + columns.begin),
                        view.token_stride, columns.end - columns.begin, s->head_size,
                        panel + columns.begin, PRI_TILE_COLUMNS);
    }
}

/* to = factor * (from + bias) for rows of the caller's. */
static void pack_plain_rows(const kernel_state *s, const float *from, size_t from_stride,
                            const float *bias, float factor, size_t count, float *to)
{
    pack_rows(s->call->precision, from, from_stride, bias, factor, count, s->head_size, s->stride,
              to);
}

/* The same for lists. */
static void pack_listed_rows(const kernel_state *s, const float *from, size_t from_stride,
                             const float *bias, float factor, size_t count, float *to)
{
#if defined(__AVX512BF16__)
    pack_words(from, from_stride, bias, factor, count, s->head_size, s->listed.stride, to);
#else
    pack_plain_rows(s, from, from_stride, bias, factor, count, to);
#endif
}

static bool has_windows(const kernel_state *s)
{
    return !s->head || s->head->windows;
}

static bool has_lists(const kernel_state *s)
{
    return s->head && s->head->listed;
}

/* Readies `count` rows of the state for lists. */
static void copy_for_lists(const kernel_state *s, const float *from, size_t count, float *to)
{
    if (LISTS_APART && has_lists(s))
        pack_listed_rows(s, from, s->stride, NULL, 1, count, to);
}

typedef void row_packer(const kernel_state *s, const float *from, size_t from_stride,
                        const float *bias, float factor, size_t count, float *to);

static void pack_columns(const kernel_state *s, pare_view view, row_packer *pack, size_t stride,
                         float *rows)
{
    for (size_t tile = s->list_tiles.begin; tile < s->list_tiles.end; tile++) {
        size_t first = tile * s->list_size;
        pri_range columns = key_columns(s, first, s->list_size);
        float *to = rows + tile * (s->list_size + 1) * stride;
        clear_floats(to, columns.begin * stride);
        pack(s, key_row(s, view, first + columns.begin), view.token_stride, NULL, 1,
             columns.end - columns.begin, to + columns.begin * stride);
        clear_floats(to + s->list_size * stride, stride);
    }
}

/* Row c behind the margin is distance longest - 1 - c: read at increasing c, distances fall as keys
 * rise, so a row of cells walks keys and distances in step. Distances beyond the table repeat its
 * last row. */
static void pack_distances(const kernel_state *s)
{
    const pare_relative *relative = s->call->relative;
    size_t longest = s->task->shape->longest, margin = (s->list_size + 1) * s->stride;
    float *first = s->distances + margin;
    clear_floats(s->distances, margin);
    for (size_t c = 0; c < longest; c++) {
        size_t delta = pri_smaller(longest - 1 - c, relative->distances - 1);
        pack_plain_rows(s, pri_at(relative->table, delta, s->task->head), 0, NULL, 1, 1,
                        first + c * s->stride);
    }
    clear_floats(first + longest * s->stride, margin);
    /* For the head's other sequences too, which may take plans that have lists. */
    if (LISTS_APART && s->task->shape->lists)
        pack_listed_rows(s, s->distances, s->stride, NULL, 1, longest + 2 * (s->list_size + 1),
                         s->listed.distances);
    if (!s->distance_panel)
        return;
    clear_floats(s->distance_panel, s->head_size * s->distance_stride);
    /* One tile of zeros comes first, for columns before the first key. */
    pack_transposed(PARE_PRECISION_FP32, first, s->stride, longest, s->head_size,
                    s->distance_panel + PRI_TILE_COLUMNS, s->distance_stride);
}

/* The tiles of `width` columns that hold the sequence's keys. */
static pri_range tiles_around(const kernel_state *s, size_t width)
{
    size_t end = s->shift + s->sequence.keys;
    return (pri_range){s->shift / width, pri_divide_up(end, width)};
}

/* Readies a thread's scratch memory for a task; what it holds from the task before is kept. */
static kernel_state prepare(const pri_task *task, pri_thread *thread)
{
    const pare_attention *call = task->call;
    const pri_shape *shape = task->shape;
    kernel_state s = {.call = call,
                      .task = task,
                      .sequence = pri_sequence_at(call, task->sequence),
                      .head_size = shape->head_size,
                      .list_size = shape->list_size};
    carver c = {thread->scratch, 0};
    carve_state(&s, shape, &c);
    if (call->plan) {
        s.plan = pri_plan_for(call->plan, &s.sequence);
        s.head = s.plan->heads[task->head];
        s.shift = pri_column_shift(&s.plan->geometry, &s.sequence);
    }
    s.tiles = tiles_around(&s, PRI_TILE_COLUMNS);
    s.list_tiles = tiles_around(&s, s.list_size);
    if (call->relative && thread->packed_table_head != task->head) {
        pack_distances(&s);
        thread->packed_table_head = task->head;
    }
    if (thread->packed_sequence == task->sequence && thread->packed_head == task->head)
        return s;
    thread->packed_sequence = task->sequence;
    thread->packed_head = task->head;
    bool spans = has_windows(&s), lists = has_lists(&s);
    if (spans)
        pack_panels(&s, call->key, s.key_panels);
    if (spans && shape->backward)
        pack_panels(&s, call->value, s.value_panels);
    if (spans && shape->backward && (LISTS_APART || !lists))
        pack_columns(&s, call->key, pack_plain_rows, s.stride, s.keys);
    if (spans && !shape->backward && (LISTS_APART || !lists))
        pack_columns(&s, call->value, pack_plain_rows, s.stride, s.values);
    if (lists) {
        pack_columns(&s, call->key, pack_listed_rows, s.listed.stride, s.listed.keys);
        pack_columns(&s, call->value, pack_listed_rows, s.listed.stride, s.listed.values);
    }
    return s;
}

/* ---- Row blocks ---- */

static void load_queries(const kernel_state *s, const row_block *block)
{
    const pare_attention *call = s->call;
    size_t bias = s->task->head * s->head_size, stride = call->query.token_stride;
    const float *query = pri_at(call->query, s->sequence.first_query + block->first, s->task->head);
    const float *content = call->relative ? call->relative->content_bias + bias : NULL;
    if (has_windows(s) || !LISTS_APART)
        pack_plain_rows(s, query, stride, content, call->scale, block->count, s->query);
    if (has_lists(s) && LISTS_APART)
        pack_listed_rows(s, query, stride, content, call->scale, block->count, s->listed.query);
    if (!call->relative)
        return;
    pack_plain_rows(s, query, stride, call->relative->position_bias + bias, call->scale,
                    block->count, s->positional);
    copy_for_lists(s, s->positional, block->count, s->listed.positional);
}

/* The block that begins at `row`, with its queries packed and its sums zero. */
static void load_block(const kernel_state *s, size_t row, row_block *block)
{
    block->first = row;
    block->count = pri_smaller(s->list_size, s->task->end_row - row);
    load_queries(s, block);
    clear_floats(s->sum, block->count * s->stride);
    if (s->call->relative)
        clear_floats(s->position_sum, block->count * s->stride);
}

static void store_row(const float *from, float factor, size_t size, float *to)
{
    for (size_t d = 0; d < size; d += V_WIDTH)
        v_store_partial(to + d, v_mul(v_load(from + d), v_set(factor)), size - d);
}

/* The running softmax of row r meets a score of `largest`: sums so far, if any, are scaled to it.
 * Returns what later weights are relative to. */
static float raise_largest(const kernel_state *s, row_block *block, size_t r, float largest)
{
    if (block->total[r] == 0) {
        block->largest[r] = largest;
    } else if (largest > block->largest[r]) {
        float lanes[V_WIDTH], *sum = s->sum + r * s->stride;
        v_float factor = v_exp_bounded(v_set(block->largest[r] - largest));
        v_store(lanes, factor);
        block->largest[r] = largest;
        block->total[r] *= lanes[0];
        for (size_t d = 0; d < s->stride; d += V_WIDTH)
            v_store(sum + d, v_mul(v_load(sum + d), factor));
    }
    return block->largest[r];
}

#endif
