/* Packing the layers of an encoder and running them: encoder_stack.h has the design. */
#include "models/encoder_stack.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/clock.h"
#include "base/memory.h"
#include "pruning/geometry.h"

/* Rows of a block: what the feed-forward part holds of them stays in the second-level cache. */
#define BLOCK_ROWS ((size_t)48)

/* ---- Packing ---- */

static pare_status pack_layer(pri_encoder_stack *stack, size_t index)
{
    pri_packing *packing = &stack->packing;
    pri_packed_layer *packed = &stack->packed[index];
    const pri_attention_block *attention = &stack->layers[index].attention;
    const pri_feed_forward_block *feed_forward = &stack->layers[index].feed_forward;
    const pare_tensor *weights[] = {attention->query_weight, attention->key_weight,
                                    attention->value_weight};
    const float *biases[] = {attention->query_bias->value, attention->key_bias->value,
                             attention->value_bias->value};
    PRI_TRY(pri_packed_linear_create(packing, weights, biases, 3, &packed->inputs));
    PRI_TRY(pri_packed_linear_create_one(packing, attention->output_weight,
                                         attention->output_bias->value, &packed->output));
    PRI_TRY(pri_packed_linear_create_one(packing, feed_forward->inner_weight,
                                         feed_forward->inner_bias->value, &packed->up));
    return pri_packed_linear_create_one(packing, feed_forward->outer_weight,
                                        feed_forward->outer_bias->value, &packed->down);
}

pare_status pri_encoder_stack_pack(pri_encoder_stack *stack)
{
    stack->packed = pri_allocate_zero(stack->count, sizeof *stack->packed);
    if (!stack->packed)
        return PARE_ERROR_MEMORY;
    for (size_t layer = 0; layer < stack->count; layer++)
        PRI_TRY(pack_layer(stack, layer));
    return PARE_OK;
}

void pri_encoder_stack_release(pri_encoder_stack *stack)
{
    for (size_t i = 0; stack->packed && i < stack->count; i++) {
        pri_packed_linear_destroy(&stack->packed[i].inputs);
        pri_packed_linear_destroy(&stack->packed[i].output);
        pri_packed_linear_destroy(&stack->packed[i].up);
        pri_packed_linear_destroy(&stack->packed[i].down);
    }
    pri_free(stack->packed);
}

/* ---- The phase of rows ---- */

static int threads_of(const pri_encoder_run *run)
{
    return pare_context_threads(run->stack->model->context);
}

static float *row_at(const pri_encoder_run *run, float *rows, size_t row)
{
    return rows + row * run->size;
}

/* From what attention gave these rows to what the layer hands on, in the place of `hidden`. */
static void finish_layer(const pri_encoder_run *run, size_t index, size_t rows,
                         const float *context, float *hidden, const pri_block_scratch *scratch)
{
    const pri_packed_rules *rules = &run->stack->rules;
    const pri_packed_layer *packed = &run->stack->packed[index];
    const pri_encoder_layer *layer = &run->stack->layers[index];
    pri_packed_multiply(packed->output.weight, rows, context, scratch->attended, scratch->words);
    pri_packed_add_change(rules, &layer->attention.norm, rows, packed->output.bias, hidden,
                          scratch->attended);
    const float *input = pri_packed_input(rules, &layer->feed_forward.norm, rows, scratch->attended,
                                          scratch->normal);
    pri_packed_linear_apply(rules, &packed->up, rules->activation, rows, input, scratch->inner,
                            scratch->words);
    pri_packed_multiply(packed->down.weight, rows, scratch->inner, hidden, scratch->words);
    pri_packed_add_change(rules, &layer->feed_forward.norm, rows, packed->down.bias,
                          scratch->attended, hidden);
}

/* One block: from the attention of the layer before, or the tokens, to the inputs of this one's. */
static void advance_block(const pri_encoder_run *run, size_t layer, size_t begin, size_t rows,
                          const pri_block_scratch *scratch)
{
    const pri_encoder_stack *stack = run->stack;
    float *hidden = row_at(run, run->hidden, begin);
    if (layer)
        finish_layer(run, layer - 1, rows, row_at(run, run->context, begin), hidden, scratch);
    else
        for (size_t row = begin; row < begin + rows; row++)
            run->embed(run->user, run->token[row], run->position[row],
                       row_at(run, run->hidden, row));
    const float *input = pri_packed_input(&stack->rules, &stack->layers[layer].attention.norm, rows,
                                          hidden, scratch->normal);
    pri_packed_linear_apply(&stack->rules, &stack->packed[layer].inputs, PARE_ACTIVATION_NONE, rows,
                            input, run->inputs + begin * 3 * run->size, scratch->words);
}

/* Rows of a block, so that all threads get the same number of nearly equal blocks; at least 1. */
static size_t block_rows(const pri_encoder_run *run, size_t rows)
{
    size_t threads = (size_t)threads_of(run);
    size_t rounds = pri_larger(1, pri_divide_up(rows, threads * BLOCK_ROWS));
    return pri_larger(1, pri_divide_up(rows, threads * rounds));
}

static void advance(const pri_encoder_run *run, size_t layer)
{
    size_t block = block_rows(run, run->tokens), blocks = pri_divide_up(run->tokens, block);
#pragma omp parallel for num_threads(threads_of(run)) schedule(dynamic, 1)
    for (size_t i = 0; i < blocks; i++)
        advance_block(run, layer, i * block, pri_smaller(run->tokens - i * block, block),
                      &run->scratch[omp_get_thread_num()]);
}

void pri_encoder_run_finish(const pri_encoder_run *run, size_t rows, const float *context,
                            float *hidden)
{
    size_t block = block_rows(run, rows), blocks = pri_divide_up(rows, block);
#pragma omp parallel for num_threads(threads_of(run)) schedule(dynamic, 1)
    for (size_t i = 0; i < blocks; i++) {
        size_t count = pri_smaller(rows - i * block, block);
        float *states = hidden + i * block * run->size;
        const pri_block_scratch *scratch = &run->scratch[omp_get_thread_num()];
        finish_layer(run, run->stack->count - 1, count, context + i * block * run->size, states,
                     scratch);
        if (run->stack->final_norm) {
            pri_packed_norm(&run->stack->rules, run->stack->final_norm, count, states,
                            scratch->normal);
            memcpy(states, scratch->normal, count * run->size * sizeof(float));
        }
    }
}

void pri_encoder_run_apply(const pri_encoder_run *run, const pri_packed_linear *linear,
                           pare_activation activation, size_t rows, const float *input,
                           float *output)
{
    size_t block = block_rows(run, rows), blocks = pri_divide_up(rows, block);
    size_t columns = pri_packed_rows(linear->weight);
#pragma omp parallel for num_threads(threads_of(run)) schedule(dynamic, 1)
    for (size_t i = 0; i < blocks; i++)
        pri_packed_linear_apply(&run->stack->rules, linear, activation,
                                pri_smaller(rows - i * block, block), input + i * block * run->size,
                                output + i * block * columns,
                                run->scratch[omp_get_thread_num()].words);
}

/* ---- The phase of attention ---- */

static void describe_attention(pri_encoder_run *run)
{
    size_t size = run->size, head_size = size / run->stack->heads;
    run->call = (pare_attention){
        .heads = run->stack->heads,
        .head_size = head_size,
        .scale = 1.0f / sqrtf((float)head_size),
        .query = {run->inputs, 3 * size, head_size},
        .key = {run->inputs + size, 3 * size, head_size},
        .value = {run->inputs + 2 * size, 3 * size, head_size},
        .output = {run->context, size, head_size},
        .queries = run->sequences,
        .keys = run->sequences,
        .precision = run->stack->packing.precision,
    };
}

static pare_status attend(pri_encoder_run *run, size_t layer)
{
    double begin = pri_clock_seconds();
    run->call.plan = run->plans ? run->plans[layer] : NULL;
    PRI_TRY(pare_attention_forward(run->stack->model->context, &run->call, run->workspace));
    run->stack->attention_seconds += pri_clock_seconds() - begin;
    return PARE_OK;
}

/* ---- Preparing ---- */

static void *allocate(const pri_encoder_run *run, size_t count, size_t size)
{
    return pri_arena_allocate(run->arena, count, size);
}

float *pri_encoder_run_rows(const pri_encoder_run *run, size_t rows)
{
    return allocate(run, rows * run->size, sizeof(float));
}

/* Room for the largest of the layers' calls. */
static pare_status allocate_workspace(pri_encoder_run *run)
{
    const pare_context *context = run->stack->model->context;
    size_t bytes = 0;
    for (size_t layer = 0; layer < run->stack->count; layer++) {
        run->call.plan = run->plans ? run->plans[layer] : NULL;
        bytes = pri_larger(bytes, pare_attention_workspace(context, &run->call));
    }
    run->workspace = allocate(run, bytes, 1);
    return run->workspace ? PARE_OK : PARE_ERROR_MEMORY;
}

static pare_status allocate_scratch(pri_encoder_run *run)
{
    const pri_encoder_stack *stack = run->stack;
    size_t threads = (size_t)threads_of(run);
    run->scratch = allocate(run, threads, sizeof *run->scratch);
    for (size_t i = 0; run->scratch && i < threads; i++) {
        pri_block_scratch *scratch = &run->scratch[i];
        scratch->attended = pri_encoder_run_rows(run, BLOCK_ROWS);
        scratch->normal = pri_encoder_run_rows(run, stack->rules.pre_norm ? BLOCK_ROWS : 0);
        scratch->inner = allocate(run, BLOCK_ROWS * stack->feed_forward, sizeof(float));
        scratch->words =
            allocate(run, BLOCK_ROWS * stack->packing.most_words, sizeof *scratch->words);
        if (!scratch->attended || !scratch->normal || !scratch->inner || !scratch->words)
            return PARE_ERROR_MEMORY;
    }
    return run->scratch ? PARE_OK : PARE_ERROR_MEMORY;
}

static void arrange(const pri_encoder_run *run)
{
    const size_t *offsets = run->sequences.offsets;
    for (size_t n = 0; n < run->sequences.count; n++) {
        size_t begin = offsets[n], length = offsets[n + 1] - begin;
        for (size_t i = 0; i < length; i++) {
            size_t row = begin + pri_geometry_place(run->ends_first, i, length);
            run->token[row] = (uint32_t)(begin + i);
            run->position[row] = (uint32_t)i;
        }
    }
}

static pare_status prepare(pri_encoder_run *run)
{
    pare_model *model = run->stack->model;
    run->tokens = run->sequences.offsets[run->sequences.count];
    run->size = run->stack->rules.size;
    PRI_TRY(pri_model_ends_first(model, PARE_ATTENTION_SELF, &run->ends_first));
    pri_call_shape shape = {run->longest, run->longest, run->longest};
    PRI_TRY(pri_model_plans(model, PARE_ATTENTION_SELF, shape, &run->plans));
    run->token = allocate(run, run->tokens, sizeof *run->token);
    run->position = allocate(run, run->tokens, sizeof *run->position);
    run->hidden = pri_encoder_run_rows(run, run->tokens);
    run->inputs = pri_encoder_run_rows(run, 3 * run->tokens);
    run->context = pri_encoder_run_rows(run, run->tokens);
    if (!run->token || !run->position || !run->hidden || !run->inputs || !run->context)
        return PARE_ERROR_MEMORY;
    PRI_TRY(allocate_scratch(run));
    arrange(run);
    describe_attention(run);
    return allocate_workspace(run);
}

pare_status pri_encoder_run_layers(pri_encoder_run *run)
{
    PRI_TRY(prepare(run));
    for (size_t layer = 0; layer < run->stack->count; layer++) {
        advance(run, layer);
        PRI_TRY(attend(run, layer));
    }
    return PARE_OK;
}
