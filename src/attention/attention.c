/* The attention call: validates it, cuts it into tasks, runs the kernels of the context's level on
 * them and adds up what several tasks share.
 *
 * Reproducibility: the cut depends on shapes alone, never on the number of threads; every output
 * row belongs to one task, and what is a sum over tasks (gradients of keys and values when rows are
 * cut, of biases and table always) lands in one buffer per task, added up in the tasks' order. */
#include <omp.h>
#include <string.h>

#include "attention/check.h"
#include "attention/kernels.h"
#include "attention/plan.h"
#include "base/arithmetic.h"
#include "base/context.h"
#include "base/levels.h"
#include "base/status.h"

/* Enough tasks for a good balance on many cores, few enough that their buffers stay small. */
#define TASKS_WANTED 64
/* Where every part of the rows needs gradients of all keys and values of its own. */
#define BACKWARD_TASKS_WANTED 8
/* Fewer rows per task would spend more on packing keys and values than it gains. */
#define TASK_ROWS_LEAST 48

#define DECLARE_LEVEL(name, level) extern const pri_attention_kernels pri_attention_kernels_##name;
PRI_EACH_LEVEL(DECLARE_LEVEL)
#ifdef PARE_WITH_x86_64_v4
DECLARE_LEVEL(x86_64_v4_bf16, )
#endif

#define KERNELS_OF_LEVEL(name, level) [level] = &pri_attention_kernels_##name,
static const pri_attention_kernels *const level_kernels[PARE_LEVEL_COUNT] = {
    PRI_EACH_LEVEL(KERNELS_OF_LEVEL)};

static const pri_attention_kernels *kernels_of(const pare_context *context,
                                               const pare_attention *call)
{
#ifdef PARE_WITH_x86_64_v4
    if (call->precision == PARE_PRECISION_BF16 && context->has_bf16)
        return &pri_attention_kernels_x86_64_v4_bf16;
#else
    (void)call;
#endif
    return level_kernels[pare_context_level(context)];
}

static pri_shape shape_of(const pare_attention *call, bool backward)
{
    pri_shape shape = {
        .head_size = call->head_size,
        .stride = pri_round_up(call->head_size, PRI_PADDING),
        .relative = call->relative != NULL,
        .backward = backward,
    };
    for (size_t n = 0; n < call->queries.count; n++) {
        pri_sequence sequence = pri_sequence_at(call, n);
        shape.longest_queries = pri_larger(shape.longest_queries, sequence.queries);
        shape.longest = pri_larger(shape.longest, sequence.keys);
    }
    const pare_plan *plan = call->plan;
    shape.tiles = plan ? plan->tiles : pri_divide_up(shape.longest, PRI_TILE_COLUMNS);
    shape.list_size = plan ? plan->list_size : PRI_LIST_SIZE_LEAST;
    shape.spans = !plan;
    for (; plan; plan = plan->shorter) {
        shape.longest_block = pri_larger(shape.longest_block, plan->longest_block);
        shape.longest_tile = pri_larger(shape.longest_tile, plan->longest_tile);
        shape.spans |= plan->has_windows;
        shape.lists |= plan->has_lists;
    }
    return shape;
}

/* How a call is cut: heads x groups of sequences x parts of rows. */
typedef struct partition {
    size_t groups, parts, rows; /* rows per part */
} partition;

static partition cut_rows(const pare_attention *call, const pri_shape *shape, size_t tasks)
{
    size_t sequences = call->queries.count, heads = call->heads;
    size_t parts = pri_divide_up(tasks, pri_larger(1, heads * sequences));
    size_t rows = pri_larger(TASK_ROWS_LEAST, pri_divide_up(shape->longest_queries, parts));
    if (call->plan)
        rows = pri_round_up(rows, call->plan->list_size);
    return (partition){sequences, pri_larger(1, pri_divide_up(shape->longest_queries, rows)), rows};
}

/* Backward cuts rows only when heads and sequences are few, because each part then has its own
 * gradients of keys and values; and it joins sequences into groups when there are many and each
 * task has its own gradient of the distance table. */
static partition cut_backward(const pare_attention *call, const pri_shape *shape)
{
    size_t sequences = call->queries.count, heads = call->heads;
    size_t groups =
        shape->relative ? pri_smaller(sequences, pri_divide_up(TASKS_WANTED, heads)) : sequences;
    if (heads * sequences >= BACKWARD_TASKS_WANTED)
        return (partition){groups, 1, pri_larger(1, shape->longest_queries)};
    return cut_rows(call, shape, BACKWARD_TASKS_WANTED);
}

/* Where everything lies in the workspace, in floats. */
typedef struct workspace_layout {
    size_t thread, threads;        /* scratch of one thread; all of them */
    size_t key_sums, sums;         /* backward: one pair of key and value sums; all of them */
    size_t relative_sum, relative; /* backward: bias and table sums of one task; all of them */
    size_t logsumexp;              /* observed calls that have none */
    size_t total;
} workspace_layout;

static workspace_layout lay_out(const pare_context *context, const pare_attention *call,
                                const pri_shape *shape)
{
    workspace_layout layout = {0};
    size_t threads = (size_t)pare_context_threads(context), sequences = call->queries.count;
    size_t scratch = kernels_of(context, call)->scratch_floats(shape);
    /* One page more than needed keeps threads off each other's cache sets and lines. */
    layout.thread = pri_round_up(scratch, PRI_PADDING) + 1024;
    layout.threads = layout.thread * threads;
    layout.total = layout.threads;
    if (shape->backward) {
        partition cut = cut_backward(call, shape);
        size_t pairs = cut.parts == 1 ? threads : call->heads * sequences * cut.parts;
        layout.key_sums = 2 * shape->longest * shape->stride;
        layout.sums = layout.key_sums * pairs;
        if (shape->relative) {
            layout.relative_sum = (shape->longest + 2) * shape->stride;
            layout.relative = layout.relative_sum * call->heads * cut.groups * cut.parts;
        }
        layout.total += layout.sums + layout.relative;
    } else if (call->observer && !call->logsumexp) {
        layout.logsumexp =
            pri_round_up(call->queries.offsets[sequences] * call->heads, PRI_PADDING);
        layout.total += layout.logsumexp;
    }
    return layout;
}

size_t pare_attention_workspace(const pare_context *context, const pare_attention *call)
{
    pri_shape forward = shape_of(call, false), backward = shape_of(call, true);
    size_t floats = lay_out(context, call, &forward).total;
    return pri_larger(floats, lay_out(context, call, &backward).total) * sizeof(float);
}

/* Tasks that a thread takes at once. Parts of one sequence and head share what is packed of its
 * keys, so they go to one thread as far as enough remains for all: four turns each. */
static int tasks_at_once(size_t tasks, size_t parts, int threads)
{
    while (parts > 1 && tasks / parts < 4 * (size_t)threads)
        parts /= 2;
    return (int)parts;
}

/* ---- Forward ---- */

static void run_forward(const pare_context *context, const pare_attention *call,
                        const pri_shape *shape, const workspace_layout *layout, float *workspace)
{
    partition cut = cut_rows(call, shape, TASKS_WANTED);
    size_t tasks = call->heads * cut.groups * cut.parts;
    int threads = pare_context_threads(context), chunk = tasks_at_once(tasks, cut.parts, threads);
#pragma omp parallel num_threads(threads)
    {
        pri_thread thread = {NULL, PRI_NOTHING_PACKED, PRI_NOTHING_PACKED, PRI_NOTHING_PACKED};
        thread.scratch = workspace + (size_t)omp_get_thread_num() * layout->thread;
#pragma omp for schedule(dynamic, chunk)
        for (size_t i = 0; i < tasks; i++) {
            pri_task task = {.call = call,
                             .shape = shape,
                             .head = i / (cut.groups * cut.parts),
                             .sequence = i / cut.parts % cut.groups,
                             .first_row = i % cut.parts * cut.rows};
            size_t queries = pri_sequence_at(call, task.sequence).queries;
            task.end_row = pri_smaller(queries, task.first_row + cut.rows);
            if (task.first_row < task.end_row)
                kernels_of(context, call)->forward(&task, &thread);
        }
    }
}

/* One count per sequence and admissible cell. */
static void count_cells(const pare_attention *call)
{
    const pare_observer *observer = call->observer;
    for (size_t n = 0; n < call->queries.count; n++) {
        pri_sequence sequence = pri_sequence_at(call, n);
        size_t shift = pri_column_shift(&observer->geometry, &sequence);
        for (size_t row = 0; row < sequence.queries; row++) {
            pri_range cells = pri_admissible(call, &sequence, row);
            uint64_t *counts = observer->counts + row * observer->geometry.keys + shift;
            for (size_t key = cells.begin; key < cells.end; key++)
                counts[key]++;
        }
    }
}

/* Parallel over heads and rows, so that every cell is summed over sequences in their order. */
static void run_observe(const pare_context *context, const pare_attention *call,
                        const pri_shape *shape, const workspace_layout *layout, float *workspace)
{
    size_t rows = shape->list_size, parts = pri_divide_up(shape->longest_queries, rows);
    size_t tasks = call->heads * parts;
    int threads = pare_context_threads(context);
#pragma omp parallel num_threads(threads)
    {
        pri_thread thread = {NULL, PRI_NOTHING_PACKED, PRI_NOTHING_PACKED, PRI_NOTHING_PACKED};
        thread.scratch = workspace + (size_t)omp_get_thread_num() * layout->thread;
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < tasks; i++) {
            pri_task task = {
                .call = call, .shape = shape, .head = i / parts, .first_row = i % parts * rows};
            for (; task.sequence < call->queries.count; task.sequence++) {
                size_t queries = pri_sequence_at(call, task.sequence).queries;
                task.end_row = pri_smaller(queries, task.first_row + rows);
                if (task.first_row < task.end_row)
                    kernels_of(context, call)->observe(&task, &thread);
            }
        }
    }
}

pare_status pare_attention_forward(pare_context *context, const pare_attention *call,
                                   void *workspace)
{
    PRI_TRY(pri_attention_check(call));
    pri_shape shape = shape_of(call, false);
    workspace_layout layout = lay_out(context, call, &shape);
    pare_attention observed = *call;
    if (call->observer && !call->logsumexp)
        observed.logsumexp = (float *)workspace + layout.threads;
    run_forward(context, &observed, &shape, &layout, workspace);
    if (!call->observer)
        return PARE_OK;
    if (call->observer->counts)
        count_cells(call);
    run_observe(context, &observed, &shape, &layout, workspace);
    return PARE_OK;
}

/* ---- Backward ---- */

/* The pieces of the workspace during backward. */
typedef struct backward_run {
    const pare_context *context;
    const pare_attention *call;
    const pare_attention_gradient *gradient;
    const pri_shape *shape;
    workspace_layout layout;
    partition cut;
    float *scratch, *sums, *relative;
} backward_run;

/* Key sums, then value sums, of (head, sequence, part); for one part only, of the thread. */
static float *key_sums_of(const backward_run *run, size_t head, size_t sequence, size_t part)
{
    size_t index = (head * run->call->queries.count + sequence) * run->cut.parts + part;
    return run->sums + run->layout.key_sums * index;
}

/* Bias sums u and w, then the table's, of one task. */
static float *relative_sums_of(const backward_run *run, size_t head, size_t group, size_t part)
{
    size_t index = (head * run->cut.groups + group) * run->cut.parts + part;
    return run->relative + run->layout.relative_sum * index;
}

/* The rows of one part. */
static pri_range rows_of_part(const backward_run *run, const pri_sequence *sequence, size_t part)
{
    size_t first = part * run->cut.rows;
    return (pri_range){first, pri_smaller(sequence->queries, first + run->cut.rows)};
}

/* The keys that these rows of a head may have cells with; sums of others are not even cleared. */
static pri_range keys_met(const backward_run *run, size_t head, const pri_sequence *sequence,
                          pri_range rows)
{
    const pare_plan *plan = run->call->plan;
    if (rows.begin >= rows.end)
        return (pri_range){0, 0};
    pri_range keys = {pri_admissible(run->call, sequence, rows.begin).begin,
                      pri_admissible(run->call, sequence, rows.end - 1).end};
    if (!plan)
        return keys;
    size_t shift = pri_column_shift(&plan->geometry, sequence), begin = keys.end + shift, end = 0;
    for (size_t block = rows.begin / PRI_BLOCK_ROWS; block * PRI_BLOCK_ROWS < rows.end; block++) {
        pri_range tiles = plan->heads[head]->block_tiles[block];
        if (tiles.begin == tiles.end)
            continue;
        begin = pri_smaller(begin, tiles.begin * PRI_TILE_COLUMNS);
        end = pri_larger(end, tiles.end * PRI_TILE_COLUMNS);
    }
    keys.begin = pri_larger(keys.begin + shift, begin) - shift;
    keys.end = pri_smaller(keys.end + shift, end);
    keys.end = keys.end > keys.begin + shift ? keys.end - shift : keys.begin;
    return keys;
}

/* Key (or value) gradients of one sequence and head: the sum of its parts, in their order. `sums`
 * is that of part 0. */
static void store_gradients(const backward_run *run, size_t head, const pri_sequence *sequence,
                            const float *sums, pare_view_mutable gradient)
{
    size_t stride = run->shape->stride, size = run->call->head_size;
    if (!gradient.data)
        return;
    pri_range keys = keys_met(run, head, sequence, rows_of_part(run, sequence, 0));
    for (size_t key = 0; key < sequence->keys; key++) {
        float *to = pri_at_mutable(gradient, sequence->first_key + key, head);
        if (key >= keys.begin && key < keys.end)
            memcpy(to, sums + key * stride, size * sizeof *to);
        else
            memset(to, 0, size * sizeof *to);
    }
    for (size_t part = 1; part < run->cut.parts; part++) {
        keys = keys_met(run, head, sequence, rows_of_part(run, sequence, part));
        for (size_t key = keys.begin; key < keys.end; key++) {
            const float *restrict from = sums + part * run->layout.key_sums + key * stride;
            float *restrict to = pri_at_mutable(gradient, sequence->first_key + key, head);
            for (size_t d = 0; d < size; d++)
                to[d] += from[d];
        }
    }
}

static void store_key_gradients(const backward_run *run, size_t head, size_t index,
                                const float *sums)
{
    pri_sequence sequence = pri_sequence_at(run->call, index);
    store_gradients(run, head, &sequence, sums, run->gradient->key);
    store_gradients(run, head, &sequence, sums + run->shape->longest * run->shape->stride,
                    run->gradient->value);
}

/* One (head, group, part): all sequences of the group, one after the other. */
static void run_backward_task(const backward_run *run, size_t index, int thread_index,
                              pri_thread *thread)
{
    const pare_attention *call = run->call;
    const pri_shape *shape = run->shape;
    size_t parts = run->cut.parts, groups = run->cut.groups, sequences = call->queries.count;
    size_t part = index % parts, group = index / parts % groups, head = index / (parts * groups);
    pri_task task = {.call = call, .shape = shape, .head = head, .gradient = run->gradient};
    if (shape->relative) {
        task.content_sum = relative_sums_of(run, head, group, part);
        task.position_sum = task.content_sum + shape->stride;
        task.table_sum = task.position_sum + shape->stride;
        memset(task.content_sum, 0, run->layout.relative_sum * sizeof(float));
    }
    size_t end = (group + 1) * sequences / groups;
    for (task.sequence = group * sequences / groups; task.sequence < end; task.sequence++) {
        pri_sequence sequence = pri_sequence_at(call, task.sequence);
        task.key_sum = parts == 1 ? run->sums + run->layout.key_sums * (size_t)thread_index
                                  : key_sums_of(run, head, task.sequence, part);
        task.value_sum = task.key_sum + shape->longest * shape->stride;
        pri_range rows = rows_of_part(run, &sequence, part);
        pri_range keys = keys_met(run, head, &sequence, rows);
        size_t bytes = (keys.end - keys.begin) * shape->stride * sizeof(float);
        memset(task.key_sum + keys.begin * shape->stride, 0, bytes);
        memset(task.value_sum + keys.begin * shape->stride, 0, bytes);
        task.first_row = rows.begin;
        task.end_row = rows.end;
        if (task.first_row < task.end_row)
            kernels_of(run->context, call)->backward(&task, thread);
        if (parts == 1)
            store_key_gradients(run, head, task.sequence, task.key_sum);
    }
}

/* target += sum of one row over all tasks of a head, in their order. */
static void add_over_tasks(const backward_run *run, size_t head, size_t row, float *target)
{
    size_t tasks = run->cut.groups * run->cut.parts, stride = run->shape->stride;
    const float *first = relative_sums_of(run, head, 0, 0) + row * stride;
    for (size_t t = 0; t < tasks; t++)
        for (size_t d = 0; d < run->call->head_size; d++)
            target[d] += first[t * run->layout.relative_sum + d];
}

/* The table's row for `distance`; the last one also collects all distances beyond. */
static void add_table_gradient(const backward_run *run, size_t head, size_t distance)
{
    size_t longest = run->shape->longest;
    bool last = distance + 1 == run->call->relative->distances;
    float *target = pri_at_mutable(run->gradient->table, distance, head);
    for (size_t delta = distance; delta < (last ? longest : distance + 1); delta++)
        add_over_tasks(run, head, 2 + longest - 1 - delta, target);
}

static void add_relative_gradients(const backward_run *run, int threads)
{
    const pare_attention *call = run->call;
    const pare_attention_gradient *gradient = run->gradient;
    for (size_t head = 0; head < call->heads; head++) {
        if (gradient->content_bias)
            add_over_tasks(run, head, 0, gradient->content_bias + head * call->head_size);
        if (gradient->position_bias)
            add_over_tasks(run, head, 1, gradient->position_bias + head * call->head_size);
    }
    if (!gradient->table.data)
        return;
    size_t distances = pri_smaller(call->relative->distances, run->shape->longest);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (size_t i = 0; i < call->heads * distances; i++)
        add_table_gradient(run, i / distances, i % distances);
}

pare_status pare_attention_backward(pare_context *context, const pare_attention *call,
                                    const pare_attention_gradient *gradient, void *workspace)
{
    PRI_TRY(pri_attention_check_backward(call, gradient->output_gradient.data != NULL));
    pri_shape shape = shape_of(call, true);
    backward_run run = {
        .context = context,
        .call = call,
        .gradient = gradient,
        .shape = &shape,
        .layout = lay_out(context, call, &shape),
        .cut = cut_backward(call, &shape),
        .scratch = workspace,
    };
    run.sums = run.scratch + run.layout.threads;
    run.relative = run.sums + run.layout.sums;
    size_t tasks = call->heads * run.cut.groups * run.cut.parts;
    int threads = pare_context_threads(context);
#pragma omp parallel num_threads(threads)
    {
        int index = omp_get_thread_num();
        pri_thread thread = {run.scratch + (size_t)index * run.layout.thread, PRI_NOTHING_PACKED,
                             PRI_NOTHING_PACKED, PRI_NOTHING_PACKED};
#pragma omp for schedule(dynamic, 1)
        for (size_t i = 0; i < tasks; i++)
            run_backward_task(&run, i, index, &thread);
    }
    if (run.cut.parts > 1) {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (size_t i = 0; i < call->heads * call->queries.count; i++) {
            size_t head = i / call->queries.count, sequence = i % call->queries.count;
            store_key_gradients(&run, head, sequence, key_sums_of(&run, head, sequence, 0));
        }
    }
    if (call->relative)
        add_relative_gradients(&run, threads);
    return PARE_OK;
}
