/* The kernel of one level: attention of one sequence and head, a block of rows at a time. Per
 * block, what is dense runs in register tiles (windows.h) and what a plan lists cell by cell in
 * gathers (lists.h); both add to the same running softmax and the same sums. */
#include "attention/kernels/lists.h"
#include "attention/kernels/windows.h"

static size_t scratch_floats(const pri_shape *shape)
{
    kernel_state state = {0};
    carver c = {0};
    carve_state(&state, shape, &c);
    return c.used;
}

/* ---- Forward ---- */

static void store_output(const kernel_state *s, const row_block *block)
{
    const pare_attention *call = s->call;
    for (size_t r = 0; r < block->count; r++) {
        float total = block->total[r];
        float factor = total == 0 ? 0 : 1 / total; /* a row without keys is zero */
        store_row(s->sum + r * s->stride, factor, s->head_size,
                  pri_at_mutable(call->output, s->sequence.first_query + block->first + r,
                                 s->task->head));
        if (call->logsumexp)
            call->logsumexp[logsumexp_index(s, block->first + r)] =
                total == 0 ? -INFINITY : block->largest[r] + logf(total);
    }
}

static void forward(const pri_task *task, pri_thread *thread)
{
    kernel_state s = prepare(task, thread);
    row_block block;
    for (size_t row = task->first_row; row < task->end_row; row += block.count) {
        load_block(&s, row, &block);
        for (size_t r = 0; r < block.count; r++) {
            block.largest[r] = -INFINITY;
            block.total[r] = 0;
        }
        if (has_windows(&s))
            forward_windows(&s, &block);
        if (has_lists(&s))
            forward_lists(&s, &block);
        store_output(&s, &block);
    }
}

/* ---- Backward ---- */

static void load_output_gradients(const kernel_state *s, row_block *block)
{
    pare_view gradient = s->task->gradient->output_gradient;
    pare_view output = {s->call->output.data, s->call->output.token_stride,
                        s->call->output.head_stride};
    size_t token = s->sequence.first_query + block->first;
    pack_plain_rows(s, pri_at(gradient, token, s->task->head), gradient.token_stride, NULL, 1,
                    block->count, s->output_gradient);
    copy_for_lists(s, s->output_gradient, block->count, s->listed.output_gradient);
    for (size_t r = 0; r < block->count; r++) {
        const float *from = pri_at(output, token + r, s->task->head);
        const float *with = s->output_gradient + r * s->stride;
        v_float sum = v_zero();
        for (size_t d = 0; d < s->head_size; d += V_WIDTH)
            sum = v_fma(v_load(with + d), v_load_partial(from + d, s->head_size - d), sum);
        block->expected[r] = v_reduce_add(sum);
        block->logsumexp[r] = s->call->logsumexp[logsumexp_index(s, block->first + r)];
    }
}

/* to += factor * sum over the rows of a block */
static void add_row_sums(const kernel_state *s, const float *rows, size_t count, float *to)
{
    for (size_t d = 0; d < s->stride; d += V_WIDTH) {
        v_float sum = v_zero();
        for (size_t r = 0; r < count; r++)
            sum = v_add(sum, v_load(rows + r * s->stride + d));
        v_store(to + d, v_fma(v_set(s->call->scale), sum, v_load(to + d)));
    }
}

/* dq = scale * (content + position part); the biases get the same, summed over rows. */
static void store_query_gradient(const kernel_state *s, const row_block *block)
{
    const pri_task *task = s->task;
    if (s->call->relative) {
        add_row_sums(s, s->sum, block->count, task->content_sum);
        add_row_sums(s, s->position_sum, block->count, task->position_sum);
        for (size_t d = 0; d < block->count * s->stride; d += V_WIDTH)
            v_store(s->sum + d, v_add(v_load(s->sum + d), v_load(s->position_sum + d)));
    }
    if (!task->gradient->query.data)
        return;
    for (size_t r = 0; r < block->count; r++)
        store_row(s->sum + r * s->stride, s->call->scale, s->head_size,
                  pri_at_mutable(task->gradient->query, s->sequence.first_query + block->first + r,
                                 task->head));
}

static void backward(const pri_task *task, pri_thread *thread)
{
    kernel_state s = prepare(task, thread);
    row_block block;
    for (size_t row = task->first_row; row < task->end_row; row += block.count) {
        load_block(&s, row, &block);
        load_output_gradients(&s, &block);
        if (has_windows(&s))
            backward_windows(&s, &block);
        if (has_lists(&s))
            backward_lists(&s, &block);
        store_query_gradient(&s, &block);
    }
}

/* ---- Observation ---- */

static void observe(const pri_task *task, pri_thread *thread)
{
    kernel_state s = prepare(task, thread);
    row_block block;
    for (size_t row = task->first_row; row < task->end_row; row += block.count) {
        load_block(&s, row, &block);
        if (has_windows(&s))
            observe_windows(&s, &block);
        if (has_lists(&s))
            observe_lists(&s, &block);
    }
}

extern const pri_attention_kernels PRI_ATTENTION_KERNELS;
const pri_attention_kernels PRI_ATTENTION_KERNELS = {
    .scratch_floats = scratch_floats,
    .forward = forward,
    .backward = backward,
    .observe = observe,
};
