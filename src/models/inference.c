/* Encoders without a tape. The weights of all layers are packed once; a run then goes through two
 * phases a layer. In one, each thread takes a block of rows from the attention of the layer before
 * through everything that concerns rows alone (output product, layer norm, both products of the
 * feed-forward part with what is between them, layer norm, and the product that makes queries, keys
 * and values of the next layer), so that results go on from the second-level cache. In the other
 * the attention call has all rows. Biases, activations and residuals join the passes they border.
 *
 * A row's bits depend neither on the block it is in nor on the number of threads. */
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/clock.h"
#include "base/memory.h"
#include "models/bert.h"
#include "nn/kernels.h"
#include "nn/packed_product.h"
#include "pruning/geometry.h"

/* Rows of a block: what the feed-forward part holds of them stays in the second-level cache. */
#define BLOCK_ROWS ((size_t)48)

/* A weight with its bias. */
typedef struct packed_linear {
    pri_packed_weight *weight;
    const float *bias;
} packed_linear;

typedef struct packed_layer {
    packed_linear inputs; /* queries, keys and values in one */
    float *inputs_bias;   /* the three biases as one */
    packed_linear output, up, down;
} packed_layer;

struct pare_inference {
    pare_model *model;
    const pri_bert *bert;
    pare_precision precision;
    const pri_nn_kernels *kernels;
    packed_layer *layers;
    packed_linear pooler, transform, head; /* those the model has */
    size_t most_words;                     /* that the input of a product takes a row, in bf16 */
    size_t packed_bytes;
    pri_arena *arena;
    double attention_seconds;
};

/* ---- Packing ---- */

static pare_status pack(pare_inference *inference, packed_linear *linear,
                        const pare_tensor *const *weights, size_t count, const float *bias)
{
    linear->bias = bias;
    PRI_TRY(pri_packed_create(inference->model->context, inference->precision, weights, count,
                              &linear->weight));
    inference->packed_bytes += pri_packed_bytes(linear->weight);
    inference->most_words =
        pri_larger(inference->most_words, pri_packed_scratch(linear->weight, 1));
    return PARE_OK;
}

static pare_status pack_one(pare_inference *inference, packed_linear *linear,
                            const pare_tensor *weight, const pare_tensor *bias)
{
    return pack(inference, linear, &weight, 1, bias->value);
}

static pare_status pack_inputs(pare_inference *inference, packed_layer *packed,
                               const pri_bert_layer *layer)
{
    const pare_tensor *weights[] = {layer->attention.query_weight, layer->attention.key_weight,
                                    layer->attention.value_weight};
    const pare_tensor *biases[] = {layer->attention.query_bias, layer->attention.key_bias,
                                   layer->attention.value_bias};
    size_t size = inference->model->size;
    packed->inputs_bias = pri_allocate(3 * size, sizeof(float));
    if (!packed->inputs_bias)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < 3; i++)
        memcpy(packed->inputs_bias + i * size, biases[i]->value, size * sizeof(float));
    return pack(inference, &packed->inputs, weights, 3, packed->inputs_bias);
}

static pare_status pack_layer(pare_inference *inference, size_t index)
{
    packed_layer *packed = &inference->layers[index];
    const pri_bert_layer *layer = &inference->bert->layers[index];
    PRI_TRY(pack_inputs(inference, packed, layer));
    PRI_TRY(pack_one(inference, &packed->output, layer->attention.output_weight,
                     layer->attention.output_bias));
    PRI_TRY(pack_one(inference, &packed->up, layer->feed_forward.inner_weight,
                     layer->feed_forward.inner_bias));
    return pack_one(inference, &packed->down, layer->feed_forward.outer_weight,
                    layer->feed_forward.outer_bias);
}

static pare_status pack_head(pare_inference *inference)
{
    const pri_bert *bert = inference->bert;
    switch (bert->config.head) {
    case PARE_HEAD_NONE:
        return PARE_OK;
    case PARE_HEAD_CLASSIFICATION:
        PRI_TRY(pack_one(inference, &inference->pooler, bert->pooler_weight, bert->pooler_bias));
        break;
    case PARE_HEAD_QUESTION_ANSWERING:
        break;
    case PARE_HEAD_MASKED_WORDS:
        PRI_TRY(pack_one(inference, &inference->transform, bert->transform_weight,
                         bert->transform_bias));
        return pack_one(inference, &inference->head, bert->words, bert->head_bias);
    }
    return pack_one(inference, &inference->head, bert->head_weight, bert->head_bias);
}

static pare_status pack_all(pare_inference *inference)
{
    size_t layers = inference->model->layers;
    inference->arena = pri_arena_create();
    inference->layers = pri_allocate_zero(layers, sizeof *inference->layers);
    if (!inference->arena || !inference->layers)
        return PARE_ERROR_MEMORY;
    for (size_t layer = 0; layer < layers; layer++)
        PRI_TRY(pack_layer(inference, layer));
    return pack_head(inference);
}

pare_status pare_inference_create(pare_model *model, pare_precision precision,
                                  pare_inference **inference)
{
    *inference = NULL;
    if (!pare_bert_config_of(model))
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "inference is for encoders, which a model of type \"%s\" is not",
                        pare_model_family(model));
    pare_inference *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->model = model;
    created->bert = pri_bert_of(model);
    created->precision = precision;
    created->kernels = pri_nn_kernels_for(model->context);
    pare_status status = pack_all(created);
    if (status == PARE_OK)
        *inference = created;
    else
        pare_inference_destroy(created);
    return status;
}

const pare_model *pare_inference_model(const pare_inference *inference)
{
    return inference->model;
}

void pare_inference_destroy(pare_inference *inference)
{
    if (!inference)
        return;
    for (size_t i = 0; inference->layers && i < inference->model->layers; i++) {
        packed_layer *layer = &inference->layers[i];
        pri_free(layer->inputs_bias);
        pri_packed_destroy(layer->inputs.weight);
        pri_packed_destroy(layer->output.weight);
        pri_packed_destroy(layer->up.weight);
        pri_packed_destroy(layer->down.weight);
    }
    pri_free(inference->layers);
    pri_packed_destroy(inference->pooler.weight);
    pri_packed_destroy(inference->transform.weight);
    pri_packed_destroy(inference->head.weight);
    pri_arena_destroy(inference->arena);
    pri_free(inference);
}

size_t pare_inference_bytes(const pare_inference *inference)
{
    return inference->packed_bytes + pri_arena_bytes(inference->arena);
}

double pare_inference_attention_seconds(const pare_inference *inference)
{
    return inference->attention_seconds;
}

/* ---- A run ---- */

/* What a thread needs for a block of rows. */
typedef struct block_scratch {
    float *attended, *inner; /* (BLOCK_ROWS, size), (BLOCK_ROWS, feed_forward) */
    uint32_t *words;         /* a product's input in bf16 */
} block_scratch;

typedef struct inference_run {
    pare_inference *inference;
    const pare_encoder_batch *batch;
    size_t tokens, longest, size;
    /* Row r of everything below is token `token[r]` of the batch, the `position[r]`-th of its
     * sequence. */
    uint32_t *token, *position;
    pare_plan *const *plans;
    float *hidden, *inputs, *context; /* (tokens, size), (tokens, 3, size), (tokens, size) */
    block_scratch *scratch;           /* (threads) */
    pare_attention call;
    void *workspace;
    size_t *picked, picked_count; /* rows that labels or words are computed from */
} inference_run;

static void *allocate(const inference_run *run, size_t count, size_t size)
{
    return pri_arena_allocate(run->inference->arena, count, size);
}

static float *allocate_rows(const inference_run *run, size_t rows)
{
    return allocate(run, rows * run->size, sizeof(float));
}

static float *row_at(const inference_run *run, float *rows, size_t row)
{
    return rows + row * run->size;
}

/* value = layer norm(value + bias + residual) */
static void add_and_normalise(const inference_run *run, size_t rows, const float *bias,
                              const float *residual, const pri_norm *norm, float *value)
{
    const pare_inference *inference = run->inference;
    for (size_t i = 0; i < rows; i++)
        inference->kernels->add_layer_norm(
            run->size, bias, residual + i * run->size, norm->gain->value, norm->offset->value,
            inference->bert->config.layer_norm_epsilon, value + i * run->size);
}

static void multiply(const packed_linear *linear, size_t rows, const float *input, float *output,
                     const block_scratch *scratch)
{
    pri_packed_multiply(linear->weight, rows, input, output, scratch->words);
}

static void multiply_and_activate(const inference_run *run, const packed_linear *linear,
                                  pare_activation activation, size_t rows, const float *input,
                                  float *output, const block_scratch *scratch)
{
    size_t columns = pri_packed_rows(linear->weight);
    multiply(linear, rows, input, output, scratch);
    for (size_t i = 0; i < rows; i++)
        run->inference->kernels->bias_activation(1, columns, linear->bias, activation,
                                                 output + i * columns, NULL);
}

/* ---- The phase of rows ---- */

static void embed(const inference_run *run, size_t row)
{
    const pri_bert *bert = run->inference->bert;
    const pare_encoder_batch *batch = run->batch;
    size_t size = run->size, token = run->token[row];
    size_t segment = batch->segments ? batch->segments[token] : 0;
    float *value = row_at(run, run->hidden, row);
    memcpy(value, bert->words->value + batch->tokens[token] * size, size * sizeof(float));
    run->inference->kernels->add_layer_norm(
        size, bert->positions->value + run->position[row] * size,
        bert->segments->value + segment * size, bert->embedding_norm.gain->value,
        bert->embedding_norm.offset->value, bert->config.layer_norm_epsilon, value);
}

/* From what attention gave these rows to what the layer hands on, in the place of `hidden`. */
static void finish_layer(const inference_run *run, size_t index, size_t rows, const float *context,
                         float *hidden, const block_scratch *scratch)
{
    const packed_layer *packed = &run->inference->layers[index];
    const pri_bert_layer *layer = &run->inference->bert->layers[index];
    multiply(&packed->output, rows, context, scratch->attended, scratch);
    add_and_normalise(run, rows, packed->output.bias, hidden, &layer->attention.norm,
                      scratch->attended);
    multiply_and_activate(run, &packed->up, PARE_ACTIVATION_GELU, rows, scratch->attended,
                          scratch->inner, scratch);
    multiply(&packed->down, rows, scratch->inner, hidden, scratch);
    add_and_normalise(run, rows, packed->down.bias, scratch->attended, &layer->feed_forward.norm,
                      hidden);
}

/* One block: from the attention of the layer before, or the tokens, to the inputs of this one's. */
static void advance_block(const inference_run *run, size_t layer, size_t begin, size_t rows,
                          const block_scratch *scratch)
{
    float *hidden = row_at(run, run->hidden, begin);
    if (layer)
        finish_layer(run, layer - 1, rows, row_at(run, run->context, begin), hidden, scratch);
    else
        for (size_t row = begin; row < begin + rows; row++)
            embed(run, row);
    multiply_and_activate(run, &run->inference->layers[layer].inputs, PARE_ACTIVATION_NONE, rows,
                          hidden, run->inputs + begin * 3 * run->size, scratch);
}

/* Rows of a block, so that all threads get the same number of nearly equal blocks; at least 1. */
static size_t block_rows(const inference_run *run, size_t rows)
{
    size_t threads = (size_t)pare_context_threads(run->inference->model->context);
    size_t rounds = pri_larger(1, pri_divide_up(rows, threads * BLOCK_ROWS));
    return pri_larger(1, pri_divide_up(rows, threads * rounds));
}

static void advance(const inference_run *run, size_t layer)
{
    size_t block = block_rows(run, run->tokens), blocks = pri_divide_up(run->tokens, block);
#pragma omp parallel for num_threads(pare_context_threads(run->inference->model->context))         \
    schedule(dynamic, 1)
    for (size_t i = 0; i < blocks; i++)
        advance_block(run, layer, i * block, pri_smaller(run->tokens - i * block, block),
                      &run->scratch[omp_get_thread_num()]);
}

/* ---- The phase of attention ---- */

static void describe_attention(inference_run *run)
{
    size_t size = run->size, head_size = size / run->inference->bert->config.heads;
    pare_ragged sequences = {run->batch->offsets, run->batch->sequences};
    run->call = (pare_attention){
        .heads = run->inference->bert->config.heads,
        .head_size = head_size,
        .scale = 1.0f / sqrtf((float)head_size),
        .query = {run->inputs, 3 * size, head_size},
        .key = {run->inputs + size, 3 * size, head_size},
        .value = {run->inputs + 2 * size, 3 * size, head_size},
        .output = {run->context, size, head_size},
        .queries = sequences,
        .keys = sequences,
        .precision = run->inference->precision,
    };
}

static pare_status attend(inference_run *run, size_t layer)
{
    double begin = pri_clock_seconds();
    run->call.plan = run->plans ? run->plans[layer] : NULL;
    PRI_TRY(pare_attention_forward(run->inference->model->context, &run->call, run->workspace));
    run->inference->attention_seconds += pri_clock_seconds() - begin;
    return PARE_OK;
}

/* Room for the largest of the layers' calls. */
static pare_status allocate_workspace(inference_run *run)
{
    size_t bytes = 0;
    for (size_t layer = 0; layer < run->inference->model->layers; layer++) {
        run->call.plan = run->plans ? run->plans[layer] : NULL;
        bytes =
            pri_larger(bytes, pare_attention_workspace(run->inference->model->context, &run->call));
    }
    run->workspace = allocate(run, bytes, 1);
    return run->workspace ? PARE_OK : PARE_ERROR_MEMORY;
}

/* ---- The end ---- */

/* The rows listed, end to end. */
static float *gather(const inference_run *run, const float *from, const size_t *rows, size_t count)
{
    float *gathered = allocate_rows(run, count);
    for (size_t i = 0; gathered && i < count; i++)
        memcpy(gathered + i * run->size, from + rows[i] * run->size, run->size * sizeof(float));
    return gathered;
}

/* The last layer's results for all rows of `context` and `hidden`, in the place of the latter. */
static void finish_rows(const inference_run *run, size_t rows, const float *context, float *hidden)
{
    size_t block = block_rows(run, rows), blocks = pri_divide_up(rows, block);
#pragma omp parallel for num_threads(pare_context_threads(run->inference->model->context))         \
    schedule(dynamic, 1)
    for (size_t i = 0; i < blocks; i++)
        finish_layer(run, run->inference->model->layers - 1, pri_smaller(rows - i * block, block),
                     context + i * block * run->size, hidden + i * block * run->size,
                     &run->scratch[omp_get_thread_num()]);
}

/* output (rows, the weight's rows) */
static void apply(const inference_run *run, const packed_linear *linear, pare_activation activation,
                  size_t rows, const float *input, float *output)
{
    size_t block = block_rows(run, rows), blocks = pri_divide_up(rows, block);
    size_t columns = pri_packed_rows(linear->weight);
#pragma omp parallel for num_threads(pare_context_threads(run->inference->model->context))         \
    schedule(dynamic, 1)
    for (size_t i = 0; i < blocks; i++)
        multiply_and_activate(run, linear, activation, pri_smaller(rows - i * block, block),
                              input + i * block * run->size, output + i * block * columns,
                              &run->scratch[omp_get_thread_num()]);
}

/* The rows that labels or words are computed from: the first of each sequence, or those asked for.
 */
static pare_status pick_rows(inference_run *run, const pare_inference_output *output)
{
    run->picked_count = output->labels  ? run->batch->sequences
                        : output->words ? output->row_count
                                        : 0;
    run->picked = allocate(run, run->picked_count, sizeof *run->picked);
    size_t *row_of_token = allocate(run, run->tokens, sizeof *row_of_token);
    if (!run->picked || !row_of_token)
        return PARE_ERROR_MEMORY;
    for (size_t row = 0; row < run->tokens; row++)
        row_of_token[run->token[row]] = row;
    for (size_t i = 0; i < run->picked_count; i++)
        run->picked[i] = row_of_token[output->labels ? run->batch->offsets[i] : output->rows[i]];
    return PARE_OK;
}

/* The end of the last layer. Where nobody asks for the states of all tokens it is for the picked
 * rows alone. `states` receives those of the picked rows. */
static pare_status finish(inference_run *run, const pare_inference_output *output, float **states)
{
    float *context = run->context;
    if (output->hidden || output->spans) {
        finish_rows(run, run->tokens, context, run->hidden);
        *states = gather(run, run->hidden, run->picked, run->picked_count);
        return *states ? PARE_OK : PARE_ERROR_MEMORY;
    }
    *states = gather(run, run->hidden, run->picked, run->picked_count);
    context = gather(run, context, run->picked, run->picked_count);
    if (!*states || !context)
        return PARE_ERROR_MEMORY;
    finish_rows(run, run->picked_count, context, *states);
    return PARE_OK;
}

/* In the order of the batch. */
static void write_rows(const inference_run *run, const float *rows, size_t columns, float *output)
{
    for (size_t row = 0; row < run->tokens; row++)
        memcpy(output + run->token[row] * columns, rows + row * columns, columns * sizeof(float));
}

static pare_status write_spans(const inference_run *run, float *output)
{
    const packed_linear *head = &run->inference->head;
    size_t columns = pri_packed_rows(head->weight);
    float *logits = allocate(run, run->tokens * columns, sizeof *logits);
    if (!logits)
        return PARE_ERROR_MEMORY;
    apply(run, head, PARE_ACTIVATION_NONE, run->tokens, run->hidden, logits);
    write_rows(run, logits, columns, output);
    return PARE_OK;
}

static pare_status write_labels(const inference_run *run, const float *states, float *output)
{
    size_t count = run->picked_count;
    float *pooled = allocate_rows(run, count);
    if (!pooled)
        return PARE_ERROR_MEMORY;
    apply(run, &run->inference->pooler, PARE_ACTIVATION_TANH, count, states, pooled);
    apply(run, &run->inference->head, PARE_ACTIVATION_NONE, count, pooled, output);
    return PARE_OK;
}

static pare_status write_words(const inference_run *run, const float *states, float *output)
{
    const pare_inference *inference = run->inference;
    const pri_bert *bert = inference->bert;
    size_t count = run->picked_count;
    float *transformed = allocate_rows(run, 2 * count);
    if (!transformed)
        return PARE_ERROR_MEMORY;
    float *normal = transformed + count * run->size;
    apply(run, &inference->transform, PARE_ACTIVATION_GELU, count, states, transformed);
    for (size_t i = 0; i < count; i++) {
        float mean, inverse_deviation;
        inference->kernels->layer_norm(
            1, run->size, transformed + i * run->size, bert->transform_norm.gain->value,
            bert->transform_norm.offset->value, bert->config.layer_norm_epsilon,
            normal + i * run->size, &mean, &inverse_deviation);
    }
    apply(run, &inference->head, PARE_ACTIVATION_NONE, count, normal, output);
    return PARE_OK;
}

static pare_status write_output(inference_run *run, const pare_inference_output *output)
{
    float *states;
    PRI_TRY(pick_rows(run, output));
    PRI_TRY(finish(run, output, &states));
    if (output->hidden)
        write_rows(run, run->hidden, run->size, output->hidden);
    if (output->spans)
        PRI_TRY(write_spans(run, output->spans));
    if (output->labels)
        PRI_TRY(write_labels(run, states, output->labels));
    if (output->words)
        PRI_TRY(write_words(run, states, output->words));
    return PARE_OK;
}

/* ---- The whole ---- */

static pare_status check_head(const pare_inference *inference, const void *wanted, pare_head head,
                              const char *name)
{
    if (!wanted || inference->bert->config.head == head)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "inference: the model has no head for %s; load it with one "
                    "(pare_bert_load_with_head)",
                    name);
}

static pare_status check_output(const pare_inference *inference, const pare_encoder_batch *batch,
                                const pare_inference_output *output)
{
    PRI_TRY(check_head(inference, output->labels, PARE_HEAD_CLASSIFICATION, "labels"));
    PRI_TRY(check_head(inference, output->spans, PARE_HEAD_QUESTION_ANSWERING, "spans"));
    PRI_TRY(check_head(inference, output->words, PARE_HEAD_MASKED_WORDS, "words"));
    size_t tokens = batch->offsets[batch->sequences];
    for (size_t i = 0; output->words && i < output->row_count; i++)
        if (output->rows[i] >= tokens)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "inference: words are asked for token %u of a batch of %zu tokens",
                            output->rows[i], tokens);
    return PARE_OK;
}

static pare_status allocate_scratch(inference_run *run)
{
    const pare_inference *inference = run->inference;
    size_t threads = (size_t)pare_context_threads(inference->model->context);
    size_t inner = inference->bert->config.feed_forward;
    run->scratch = allocate(run, threads, sizeof *run->scratch);
    for (size_t i = 0; run->scratch && i < threads; i++) {
        block_scratch *scratch = &run->scratch[i];
        scratch->attended = allocate_rows(run, BLOCK_ROWS);
        scratch->inner = allocate(run, BLOCK_ROWS * inner, sizeof(float));
        scratch->words = allocate(run, BLOCK_ROWS * inference->most_words, sizeof(uint32_t));
        if (!scratch->attended || !scratch->inner || !scratch->words)
            return PARE_ERROR_MEMORY;
    }
    return run->scratch ? PARE_OK : PARE_ERROR_MEMORY;
}

static void arrange(const inference_run *run, bool ends_first)
{
    const size_t *offsets = run->batch->offsets;
    for (size_t n = 0; n < run->batch->sequences; n++) {
        size_t begin = offsets[n], length = offsets[n + 1] - begin;
        for (size_t i = 0; i < length; i++) {
            size_t row = begin + pri_geometry_place(ends_first, i, length);
            run->token[row] = (uint32_t)(begin + i);
            run->position[row] = (uint32_t)i;
        }
    }
}

static pare_status prepare(inference_run *run)
{
    pare_model *model = run->inference->model;
    bool ends_first;
    PRI_TRY(pri_model_ends_first(model, PARE_ATTENTION_SELF, &ends_first));
    pri_call_shape shape = {run->longest, run->longest, run->longest};
    PRI_TRY(pri_model_plans(model, PARE_ATTENTION_SELF, shape, &run->plans));
    run->token = allocate(run, run->tokens, sizeof *run->token);
    run->position = allocate(run, run->tokens, sizeof *run->position);
    run->hidden = allocate_rows(run, run->tokens);
    run->inputs = allocate_rows(run, 3 * run->tokens);
    run->context = allocate_rows(run, run->tokens);
    if (!run->token || !run->position || !run->hidden || !run->inputs || !run->context)
        return PARE_ERROR_MEMORY;
    PRI_TRY(allocate_scratch(run));
    arrange(run, ends_first);
    describe_attention(run);
    return allocate_workspace(run);
}

pare_status pare_inference_run(pare_inference *inference, const pare_encoder_batch *batch,
                               const pare_inference_output *output)
{
    size_t longest;
    PRI_TRY(pri_bert_check_batch(inference->bert, batch, &longest));
    PRI_TRY(check_output(inference, batch, output));
    pri_arena_reset(inference->arena);
    inference_run run = {
        .inference = inference,
        .batch = batch,
        .tokens = batch->offsets[batch->sequences],
        .longest = longest,
        .size = inference->model->size,
    };
    PRI_TRY(prepare(&run));
    for (size_t layer = 0; layer < inference->model->layers; layer++) {
        advance(&run, layer);
        PRI_TRY(attend(&run, layer));
    }
    return write_output(&run, output);
}
