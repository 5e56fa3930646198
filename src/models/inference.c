/* Encoders without a tape: the layers are encoder_stack.h's; here are BERT's embedding and heads,
 * which are packed as well. */
#include <string.h>

#include "base/memory.h"
#include "models/bert.h"
#include "models/bert_form.h"
#include "models/encoder_stack.h"

struct pare_inference {
    pare_model *model;
    const pri_bert *bert;
    pri_encoder_stack stack;
    pri_packed_linear pooler, transform, head; /* those the model has */
    float *no_segment;                         /* (size) zeros, of models without segments */
    pri_arena *arena;
};

/* ---- Packing ---- */

static pare_status pack_head(pare_inference *inference)
{
    const pri_bert *bert = inference->bert;
    pri_packing *packing = &inference->stack.packing;
    switch (bert->config.head) {
    case PARE_HEAD_NONE:
        return PARE_OK;
    case PARE_HEAD_CLASSIFICATION:
        PRI_TRY(pri_packed_linear_create_one(packing, bert->pooler_weight, bert->pooler_bias->value,
                                             &inference->pooler));
        break;
    case PARE_HEAD_QUESTION_ANSWERING:
        break;
    case PARE_HEAD_MASKED_WORDS:
        PRI_TRY(pri_packed_linear_create_one(packing, bert->transform_weight,
                                             bert->transform_bias->value, &inference->transform));
        return pri_packed_linear_create_one(packing, bert->words, bert->head_bias->value,
                                            &inference->head);
    }
    return pri_packed_linear_create_one(packing, bert->head_weight, bert->head_bias->value,
                                        &inference->head);
}

static void describe_stack(pare_inference *inference, pare_precision precision)
{
    const pri_bert *bert = inference->bert;
    pare_context *context = inference->model->context;
    inference->stack = (pri_encoder_stack){
        .model = inference->model,
        .layers = bert->layers,
        .count = bert->config.layers,
        .heads = bert->config.heads,
        .feed_forward = bert->config.feed_forward,
        .rules = {.kernels = pri_nn_kernels_for(context),
                  .size = bert->config.size,
                  .epsilon = bert->config.layer_norm_epsilon,
                  .activation = PARE_ACTIVATION_GELU},
        .packing = {.context = context, .precision = precision},
    };
}

static pare_status pack_all(pare_inference *inference)
{
    inference->arena = pri_arena_create();
    if (!inference->arena)
        return PARE_ERROR_MEMORY;
    inference->no_segment = pri_allocate_zero(inference->bert->config.size, sizeof(float));
    if (!inference->no_segment)
        return PARE_ERROR_MEMORY;
    PRI_TRY(pri_encoder_stack_pack(&inference->stack));
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
    describe_stack(created, precision);
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
    pri_encoder_stack_release(&inference->stack);
    pri_packed_linear_destroy(&inference->pooler);
    pri_packed_linear_destroy(&inference->transform);
    pri_packed_linear_destroy(&inference->head);
    pri_free(inference->no_segment);
    pri_arena_destroy(inference->arena);
    pri_free(inference);
}

size_t pare_inference_bytes(const pare_inference *inference)
{
    return inference->stack.packing.bytes + pri_arena_bytes(inference->arena);
}

double pare_inference_attention_seconds(const pare_inference *inference)
{
    return inference->stack.attention_seconds;
}

/* ---- A run ---- */

typedef struct inference_run {
    pare_inference *inference;
    const pare_encoder_batch *batch;
    pri_encoder_run encoder;
    size_t *picked, picked_count; /* rows that labels or words are computed from */
} inference_run;

static void *allocate(const inference_run *run, size_t count, size_t size)
{
    return pri_arena_allocate(run->inference->arena, count, size);
}

static const float *segment_of(const inference_run *run, size_t token)
{
    const pri_bert *bert = run->inference->bert;
    const uint32_t *segments = run->batch->segments;
    if (!bert->segments)
        return run->inference->no_segment;
    return bert->segments->value + (segments ? segments[token] : 0) * bert->config.size;
}

static void embed(const void *user, size_t token, size_t position, float *row)
{
    const inference_run *run = user;
    const pri_bert *bert = run->inference->bert;
    const pare_encoder_batch *batch = run->batch;
    size_t size = bert->config.size;
    memcpy(row, bert->words->value + batch->tokens[token] * size, size * sizeof(float));
    run->inference->stack.rules.kernels->add_layer_norm(
        size, bert->positions->value + position * size, segment_of(run, token),
        bert->embedding_norm.gain->value, bert->embedding_norm.offset->value,
        bert->config.layer_norm_epsilon, row);
}

/* ---- The end ---- */

/* The rows listed, end to end. */
static float *gather(const inference_run *run, const float *from, const size_t *rows, size_t count)
{
    float *gathered = pri_encoder_run_rows(&run->encoder, count);
    for (size_t i = 0; gathered && i < count; i++)
        memcpy(gathered + i * run->encoder.size, from + rows[i] * run->encoder.size,
               run->encoder.size * sizeof(float));
    return gathered;
}

/* The rows that labels or words are computed from: the first of each sequence, or those asked for.
 */
static pare_status pick_rows(inference_run *run, const pare_inference_output *output)
{
    run->picked_count = output->labels  ? run->batch->sequences
                        : output->words ? output->row_count
                                        : 0;
    run->picked = allocate(run, run->picked_count, sizeof *run->picked);
    size_t *row_of_token = allocate(run, run->encoder.tokens, sizeof *row_of_token);
    if (!run->picked || !row_of_token)
        return PARE_ERROR_MEMORY;
    for (size_t row = 0; row < run->encoder.tokens; row++)
        row_of_token[run->encoder.token[row]] = row;
    for (size_t i = 0; i < run->picked_count; i++)
        run->picked[i] = row_of_token[output->labels ? run->batch->offsets[i] : output->rows[i]];
    return PARE_OK;
}

/* The end of the last layer. Where nobody asks for the states of all tokens it is for the picked
 * rows alone. `states` receives those of the picked rows. */
static pare_status finish(inference_run *run, const pare_inference_output *output, float **states)
{
    float *context = run->encoder.context;
    if (output->hidden || output->spans) {
        pri_encoder_run_finish(&run->encoder, run->encoder.tokens, context, run->encoder.hidden);
        *states = gather(run, run->encoder.hidden, run->picked, run->picked_count);
        return *states ? PARE_OK : PARE_ERROR_MEMORY;
    }
    *states = gather(run, run->encoder.hidden, run->picked, run->picked_count);
    context = gather(run, context, run->picked, run->picked_count);
    if (!*states || !context)
        return PARE_ERROR_MEMORY;
    pri_encoder_run_finish(&run->encoder, run->picked_count, context, *states);
    return PARE_OK;
}

/* In the order of the batch. */
static void write_rows(const inference_run *run, const float *rows, size_t columns, float *output)
{
    for (size_t row = 0; row < run->encoder.tokens; row++)
        memcpy(output + run->encoder.token[row] * columns, rows + row * columns,
               columns * sizeof(float));
}

static pare_status write_spans(const inference_run *run, float *output)
{
    const pri_packed_linear *head = &run->inference->head;
    size_t columns = pri_packed_rows(head->weight);
    float *logits = allocate(run, run->encoder.tokens * columns, sizeof *logits);
    if (!logits)
        return PARE_ERROR_MEMORY;
    pri_encoder_run_apply(&run->encoder, head, PARE_ACTIVATION_NONE, run->encoder.tokens,
                          run->encoder.hidden, logits);
    write_rows(run, logits, columns, output);
    return PARE_OK;
}

static pare_status write_labels(const inference_run *run, const float *states, float *output)
{
    size_t count = run->picked_count;
    float *pooled = pri_encoder_run_rows(&run->encoder, count);
    if (!pooled)
        return PARE_ERROR_MEMORY;
    pri_encoder_run_apply(&run->encoder, &run->inference->pooler,
                          pri_bert_form_of(&run->inference->bert->config)->pooler_activation, count,
                          states, pooled);
    pri_encoder_run_apply(&run->encoder, &run->inference->head, PARE_ACTIVATION_NONE, count, pooled,
                          output);
    return PARE_OK;
}

static pare_status write_words(const inference_run *run, const float *states, float *output)
{
    const pare_inference *inference = run->inference;
    size_t count = run->picked_count;
    float *transformed = pri_encoder_run_rows(&run->encoder, 2 * count);
    if (!transformed)
        return PARE_ERROR_MEMORY;
    float *normal = transformed + count * run->encoder.size;
    pri_encoder_run_apply(&run->encoder, &inference->transform, PARE_ACTIVATION_GELU, count, states,
                          transformed);
    pri_packed_norm(&inference->stack.rules, &inference->bert->transform_norm, count, transformed,
                    normal);
    pri_encoder_run_apply(&run->encoder, &inference->head, PARE_ACTIVATION_NONE, count, normal,
                          output);
    return PARE_OK;
}

static pare_status write_output(inference_run *run, const pare_inference_output *output)
{
    float *states;
    PRI_TRY(pick_rows(run, output));
    PRI_TRY(finish(run, output, &states));
    if (output->hidden)
        write_rows(run, run->encoder.hidden, run->encoder.size, output->hidden);
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

pare_status pare_inference_run(pare_inference *inference, const pare_encoder_batch *batch,
                               const pare_inference_output *output)
{
    size_t longest;
    PRI_TRY(pri_bert_check_batch(inference->bert, batch, &longest));
    PRI_TRY(check_output(inference, batch, output));
    pri_arena_reset(inference->arena);
    inference_run run = {.inference = inference, .batch = batch};
    run.encoder = (pri_encoder_run){
        .stack = &inference->stack,
        .arena = inference->arena,
        .sequences = {batch->offsets, batch->sequences},
        .longest = longest,
        .embed = embed,
        .user = &run,
    };
    PRI_TRY(pri_encoder_run_layers(&run.encoder));
    return write_output(&run, output);
}
