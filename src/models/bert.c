/* BERT (arXiv 1810.04805) and DistilBERT (arXiv 1910.01108). Tokens of all sequences lie end to
 * end; only attention knows where a sequence ends, so nothing is computed for padding. With token w
 * at position i in segment t:
 *
 *     h = drop(LN(W[w] + P[i] + S[t]))
 *     q = W_q h + b_q, k = ..., v = ...;  s_ij = q_i.k_j / sqrt(D);  a = softmax(s)
 *     h = LN(h + drop(W_o a v + b_o))     h = LN(h + drop(W_2 gelu(W_1 h + b_1) + b_2))
 *
 * and per head of the model
 *
 *     classification        W_c drop(tanh(W_p h_first + b_p)) + b_c
 *     question answering    W_a h + b_a, for every token
 *     masked words          W LN(gelu(W_t h + b_t)) + b, for chosen tokens; W is the embedding
 *
 * DistilBERT has no segments S, relu for tanh, and drop(h) before answers. bert_parameters.c has
 * the parameters' names, bert_form.c what tells the two apart. */
#include "models/bert.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "models/bert_form.h"
#include "models/checkpoint.h"
#include "nn/tape.h"
#include "pruning/geometry.h"

/* ---- Forward ---- */

/* What one forward pass has in common over the layers. */
typedef struct forward_pass {
    pri_bert *model;
    pri_block_pass blocks;
    const pare_encoder_batch *batch;
    size_t tokens;
    bool ends_first;          /* rows of a sequence: its first token, its last, the others */
    pare_attention layout;    /* all but plan and observer */
    pare_plan *const *plans;  /* NULL: dense */
    pare_observer *observers; /* NULL: not observed */
} forward_pass;

static pare_tensor *linear(const forward_pass *pass, pare_tensor *h, pare_tensor *weight,
                           pare_tensor *bias)
{
    return pare_linear(pass->blocks.tape, h, weight, bias, PARE_ACTIVATION_NONE);
}

static pare_tensor *run_layer(const forward_pass *pass, size_t index, pare_tensor *h)
{
    const pri_encoder_layer *layer = &pass->model->layers[index];
    pare_attention layout = pass->layout;
    layout.plan = pass->plans ? pass->plans[index] : NULL;
    layout.observer = pass->observers ? &pass->observers[index] : NULL;
    h = pri_attention_block_run(&pass->blocks, &layer->attention, &layout, h, NULL);
    return pri_feed_forward_block_run(&pass->blocks, &layer->feed_forward, h);
}

/* What the three embeddings of each row are looked up by. */
typedef struct row_ids {
    uint32_t *words, *positions, *segments;
} row_ids;

static bool fill_ids(const forward_pass *pass, row_ids *ids)
{
    const pare_encoder_batch *batch = pass->batch;
    *ids =
        (row_ids){.words = pri_tape_allocate(pass->blocks.tape, pass->tokens, sizeof(uint32_t)),
                  .positions = pri_tape_allocate(pass->blocks.tape, pass->tokens, sizeof(uint32_t)),
                  .segments = pri_tape_allocate(pass->blocks.tape, pass->tokens, sizeof(uint32_t))};
    if (!ids->words || !ids->positions || !ids->segments)
        return false;
    for (size_t n = 0; n < batch->sequences; n++) {
        size_t begin = batch->offsets[n], length = batch->offsets[n + 1] - begin;
        for (size_t i = 0; i < length; i++) {
            size_t row = begin + pri_geometry_place(pass->ends_first, i, length);
            ids->words[row] = batch->tokens[begin + i];
            ids->positions[row] = (uint32_t)i;
            ids->segments[row] = batch->segments ? batch->segments[begin + i] : 0;
        }
    }
    return true;
}

static pare_tensor *embed(const forward_pass *pass)
{
    pri_bert *model = pass->model;
    pare_tape *tape = pass->blocks.tape;
    row_ids ids;
    if (!fill_ids(pass, &ids))
        return NULL;
    pare_tensor *words = pare_embedding(tape, model->words, ids.words, pass->tokens, 1.0f);
    pare_tensor *places = pare_embedding(tape, model->positions, ids.positions, pass->tokens, 1.0f);
    if (model->segments)
        words = pare_add(tape, words,
                         pare_embedding(tape, model->segments, ids.segments, pass->tokens, 1.0f));
    pare_tensor *sum = pare_add(tape, words, places);
    return pare_dropout(tape, pri_norm_run(&pass->blocks, &model->embedding_norm, sum),
                        model->config.dropout);
}

static pare_status check_sequences(const pri_bert *model, const pare_encoder_batch *batch,
                                   size_t *longest)
{
    if (batch->sequences == 0)
        return pri_fail(PARE_ERROR_ARGUMENT, "a batch needs at least one sequence");
    if (batch->offsets[0] != 0)
        return pri_fail(PARE_ERROR_ARGUMENT, "the first sequence of a batch begins at %zu, not 0",
                        batch->offsets[0]);
    *longest = 0;
    for (size_t n = 0; n < batch->sequences; n++) {
        size_t length = batch->offsets[n + 1] - batch->offsets[n];
        if (length == 0 || length > model->config.positions)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "sequence %zu has %zu tokens; the model reads 1 to %zu, so cut longer "
                            "ones",
                            n, length, model->config.positions);
        if (length > *longest)
            *longest = length;
    }
    return PARE_OK;
}

static pare_status check_words(const pri_bert *model, const pare_encoder_batch *batch)
{
    size_t tokens = batch->offsets[batch->sequences];
    for (size_t i = 0; i < tokens; i++)
        if (batch->tokens[i] >= model->config.vocabulary)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "token %zu of a batch is word %lu but the model has %zu (vocab_size)",
                            i, (unsigned long)batch->tokens[i], model->config.vocabulary);
    return PARE_OK;
}

static pare_status check_segments(const pri_bert *model, const pare_encoder_batch *batch)
{
    size_t tokens = batch->offsets[batch->sequences];
    for (size_t i = 0; model->segments && batch->segments && i < tokens; i++)
        if (batch->segments[i] >= model->config.segments)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "token %zu belongs to segment %lu but the model has %zu "
                            "(type_vocab_size)",
                            i, (unsigned long)batch->segments[i], model->config.segments);
    return PARE_OK;
}

pare_status pri_bert_check_batch(const pri_bert *model, const pare_encoder_batch *batch,
                                 size_t *longest)
{
    PRI_TRY(check_sequences(model, batch, longest));
    PRI_TRY(check_words(model, batch));
    return check_segments(model, batch);
}

static pare_status begin_pass(forward_pass *pass)
{
    pri_bert *model = pass->model;
    const pare_bert_config *config = &model->config;
    const pare_encoder_batch *batch = pass->batch;
    size_t longest;
    PRI_TRY(pri_bert_check_batch(model, batch, &longest));
    pri_call_shape shape = {longest, longest, longest};
    PRI_TRY(pri_model_plans(&model->base, PARE_ATTENTION_SELF, shape, &pass->plans));
    PRI_TRY(pri_model_observers(&model->base, PARE_ATTENTION_SELF, pass->blocks.tape,
                                &pass->observers));
    PRI_TRY(pri_model_ends_first(&model->base, PARE_ATTENTION_SELF, &pass->ends_first));
    size_t head_size = config->size / config->heads;
    pare_ragged sequences = {.offsets = batch->offsets, .count = batch->sequences};
    pass->tokens = batch->offsets[batch->sequences];
    pass->blocks = (pri_block_pass){.tape = pass->blocks.tape,
                                    .epsilon = config->layer_norm_epsilon,
                                    .dropout = config->dropout,
                                    .activation = PARE_ACTIVATION_GELU};
    pass->layout = (pare_attention){.heads = config->heads,
                                    .head_size = head_size,
                                    .scale = 1.0f / sqrtf((float)head_size),
                                    .queries = sequences,
                                    .keys = sequences,
                                    .dropout = config->attention_dropout};
    return PARE_OK;
}

static bool is_bert(const pri_family *family)
{
    return family == &pri_bert_family || family == &pri_distilbert_family;
}

static pare_status check_bert(const pare_model *model)
{
    if (is_bert(model->family))
        return PARE_OK;
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "a model of type \"%s\" or \"%s\" is needed, not \"%s\"", pri_bert_family.name,
                    pri_distilbert_family.name, model->family->name);
}

/* Hidden states in the order of the layers' rows. */
static pare_tensor *run_layers(const forward_pass *pass)
{
    pare_tensor *h = embed(pass);
    for (size_t layer = 0; layer < pass->model->base.layers; layer++)
        h = run_layer(pass, layer, h);
    return h;
}

/* The number of the row that holds each token of the batch; NULL: no memory. */
static uint32_t *rows_of_tokens(const forward_pass *pass)
{
    const size_t *offsets = pass->batch->offsets;
    uint32_t *rows = pri_tape_allocate(pass->blocks.tape, pass->tokens, sizeof *rows);
    for (size_t n = 0; rows && n < pass->batch->sequences; n++)
        for (size_t begin = offsets[n], length = offsets[n + 1] - begin, i = 0; i < length; i++)
            rows[begin + i] = (uint32_t)(begin + pri_geometry_place(pass->ends_first, i, length));
    return rows;
}

/* Rows of layers in the order of the sentences. */
static pare_tensor *in_sentence_order(const forward_pass *pass, pare_tensor *rows)
{
    if (!pass->ends_first || !rows)
        return rows;
    uint32_t *numbers = rows_of_tokens(pass);
    return numbers ? pare_select_rows(pass->blocks.tape, rows, numbers, pass->tokens) : NULL;
}

/* ---- Heads ---- */

static pare_status check_head(const pri_bert *model, pare_head head)
{
    if (model->config.head == head)
        return PARE_OK;
    const pri_bert_form *form = pri_bert_form_of(&model->config);
    return pri_fail(PARE_ERROR_ARGUMENT, "the model is a %s but a %s is needed",
                    form->classes[model->config.head], form->classes[head]);
}

/* The last hidden states of a model that must have `head` (NONE: any), in the layers' order. */
static pare_tensor *run_encoder(pare_model *base, pare_tape *tape, const pare_encoder_batch *batch,
                                pare_head head, forward_pass *pass)
{
    if (pare_tape_status(tape) != PARE_OK)
        return NULL;
    *pass = (forward_pass){.model = pri_bert_of(base), .blocks = {.tape = tape}, .batch = batch};
    pare_status status = check_bert(base);
    if (status == PARE_OK && head != PARE_HEAD_NONE)
        status = check_head(pass->model, head);
    if (status == PARE_OK)
        status = begin_pass(pass);
    return status == PARE_OK ? run_layers(pass) : pri_tape_fail(tape, status);
}

pare_tensor *pare_encoder_hidden(pare_model *base, pare_tape *tape, const pare_encoder_batch *batch)
{
    forward_pass pass;
    pare_tensor *h = run_encoder(base, tape, batch, PARE_HEAD_NONE, &pass);
    return h ? in_sentence_order(&pass, h) : NULL;
}

pare_tensor *pare_encoder_classify(pare_model *base, pare_tape *tape,
                                   const pare_encoder_batch *batch)
{
    forward_pass pass;
    pare_tensor *h = run_encoder(base, tape, batch, PARE_HEAD_CLASSIFICATION, &pass);
    uint32_t *first = h ? pri_tape_allocate(tape, batch->sequences, sizeof *first) : NULL;
    if (!first)
        return NULL;
    for (size_t n = 0; n < batch->sequences; n++)
        first[n] = (uint32_t)batch->offsets[n]; /* in either order */
    const pri_bert *model = pass.model;
    const pare_bert_config *config = &model->config;
    float dropout = config->head_dropout < 0.0f ? config->dropout : config->head_dropout;
    pare_tensor *pooled = pare_linear_dropped(
        tape, pare_select_rows(tape, h, first, batch->sequences), model->pooler_weight,
        model->pooler_bias, pri_bert_form_of(config)->pooler_activation, dropout);
    return pare_linear(tape, pooled, model->head_weight, model->head_bias, PARE_ACTIVATION_NONE);
}

pare_tensor *pare_encoder_spans(pare_model *base, pare_tape *tape, const pare_encoder_batch *batch)
{
    forward_pass pass;
    pare_tensor *h = run_encoder(base, tape, batch, PARE_HEAD_QUESTION_ANSWERING, &pass);
    if (!h)
        return NULL;
    const pri_bert *model = pass.model;
    h = pare_dropout(tape, h, model->config.answer_dropout);
    return in_sentence_order(&pass, linear(&pass, h, model->head_weight, model->head_bias));
}

/* `h` at chosen tokens of the batch. */
static pare_tensor *select_tokens(const forward_pass *pass, pare_tensor *h, const uint32_t *tokens,
                                  size_t count)
{
    uint32_t *rows = rows_of_tokens(pass);
    uint32_t *chosen = pri_tape_allocate(pass->blocks.tape, count, sizeof *chosen);
    if (!rows || !chosen)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        if (tokens[i] >= pass->tokens)
            return pri_tape_fail(pass->blocks.tape,
                                 pri_fail(PARE_ERROR_ARGUMENT,
                                          "word %zu is token %lu of a batch of %zu tokens", i,
                                          (unsigned long)tokens[i], pass->tokens));
        chosen[i] = rows[tokens[i]];
    }
    return pare_select_rows(pass->blocks.tape, h, chosen, count);
}

pare_tensor *pare_encoder_words(pare_model *base, pare_tape *tape, const pare_encoder_batch *batch,
                                const uint32_t *rows, size_t count)
{
    forward_pass pass;
    pare_tensor *h = run_encoder(base, tape, batch, PARE_HEAD_MASKED_WORDS, &pass);
    pare_tensor *chosen = h ? select_tokens(&pass, h, rows, count) : NULL;
    if (!chosen)
        return NULL;
    const pri_bert *model = pass.model;
    pare_tensor *transformed = pare_linear(tape, chosen, model->transform_weight,
                                           model->transform_bias, PARE_ACTIVATION_GELU);
    transformed = pri_norm_run(&pass.blocks, &model->transform_norm, transformed);
    return linear(&pass, transformed, model->words, model->head_bias);
}

/* ---- Family ---- */

static void bert_bind(pare_model *model)
{
    (void)model; /* no tensor is a part of another */
}

static void bert_destroy(pare_model *base)
{
    pri_bert *model = pri_bert_of(base);
    pri_model_release(base);
    pri_bert_free_labels(model->labels, model->config.labels);
    pri_free(model->layers);
    pri_free(model);
}

/* Checked configuration; parameters declared but not allocated. Takes the labels over. */
static pare_status declare_model(pare_context *context, const pare_bert_config *config,
                                 char **labels, pare_model **model)
{
    pri_bert *created = pri_allocate_zero(1, sizeof *created);
    if (!created) {
        pri_bert_free_labels(labels, config->labels);
        return PARE_ERROR_MEMORY;
    }
    created->base = (pare_model){.family = pri_bert_form_of(config)->family,
                                 .context = context,
                                 .layers = config->layers,
                                 .size = config->size,
                                 .positions = config->positions};
    created->config = *config;
    created->labels = labels;
    created->layers = pri_allocate_zero(config->layers, sizeof *created->layers);
    pare_status status = created->layers ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK && config->head == PARE_HEAD_CLASSIFICATION && !labels) {
        created->labels = pri_bert_default_labels(config->labels);
        status = created->labels ? PARE_OK : PARE_ERROR_MEMORY;
    }
    if (status == PARE_OK) {
        pri_bert_declare(created);
        status = created->base.declared;
    }
    if (status != PARE_OK) {
        bert_destroy(&created->base);
        return status;
    }
    *model = &created->base;
    return PARE_OK;
}

static pare_status bert_from_config(pare_context *context, const json_t *object, const char *path,
                                    pare_model **model)
{
    pare_bert_config config;
    char **labels;
    PRI_TRY(pri_bert_read_config(object, path, &config, &labels));
    return declare_model(context, &config, labels, model);
}

static json_t *bert_to_config(const pare_model *base)
{
    const pri_bert *model = (const pri_bert *)base;
    return pri_bert_write_config(&model->config, model->labels);
}

static pare_geometry bert_attention(const pare_model *model, pare_attention_kind kind,
                                    size_t length)
{
    (void)kind;
    const pare_bert_config *config = pare_bert_config_of(model);
    return (pare_geometry){.kind = PARE_GEOMETRY_CELL,
                           .layers = config->layers,
                           .heads = config->heads,
                           .queries = length,
                           .keys = length};
}

#define BERT_FUNCTIONS                                                                             \
    .from_config = bert_from_config, .to_config = bert_to_config, .own_name = pri_bert_own_name,   \
    .bind = bert_bind, .destroy = bert_destroy, .kinds = 1, .attention = bert_attention
const pri_family pri_bert_family = {.name = "bert", BERT_FUNCTIONS};
const pri_family pri_distilbert_family = {.name = "distilbert", BERT_FUNCTIONS};

const pare_bert_config *pare_bert_config_of(const pare_model *model)
{
    if (!is_bert(model->family))
        return NULL;
    return &((const pri_bert *)model)->config;
}

size_t pare_encoder_positions(const pare_model *model)
{
    const pare_bert_config *config = pare_bert_config_of(model);
    return config ? config->positions : 0;
}

pare_status pare_bert_create(pare_context *context, const pare_bert_config *config, uint64_t seed,
                             pare_model **model)
{
    *model = NULL;
    PRI_TRY(pri_bert_check_config(config));
    pare_model *created = NULL;
    PRI_TRY(declare_model(context, config, NULL, &created));
    return pri_model_finish_fresh(created, seed, model);
}

/* ---- Another head ---- */

/* The configuration of `directory` with the head asked for; label names stay when they fit. */
static pare_status config_with_head(const char *directory, pare_head head, size_t labels,
                                    pare_bert_config *config, char ***names)
{
    json_t *object;
    char *path;
    const pri_family *family;
    PRI_TRY(pri_read_config(directory, &object, &path, &family));
    pare_status status =
        is_bert(family)
            ? pri_bert_read_config(object, path, config, names)
            : pri_fail(PARE_ERROR_UNSUPPORTED,
                       "%s: a model of type \"%s\" takes no other head; use one of type \"%s\" or "
                       "\"%s\"",
                       path, family->name, pri_bert_family.name, pri_distilbert_family.name);
    json_decref(object);
    pri_free(path);
    PRI_TRY(status);
    if (head != PARE_HEAD_CLASSIFICATION || labels != config->labels) {
        pri_bert_free_labels(*names, config->labels);
        *names = NULL;
    }
    config->head = head;
    config->labels = labels;
    status = pri_bert_check_config(config);
    if (status != PARE_OK)
        pri_bert_free_labels(*names, labels);
    return status;
}

pare_status pare_bert_load_with_head(pare_context *context, const char *directory, pare_head head,
                                     size_t labels, uint64_t seed, pare_model **model)
{
    *model = NULL;
    pare_bert_config config;
    char **names;
    PRI_TRY(config_with_head(directory, head, labels, &config, &names));
    pare_model *loaded = NULL;
    PRI_TRY(declare_model(context, &config, names, &loaded));
    pare_status status = pri_read_weights(loaded, directory, true, seed);
    if (status != PARE_OK) {
        pare_model_destroy(loaded);
        return status;
    }
    *model = loaded;
    return PARE_OK;
}

/* ---- Changes of a model ---- */

pare_status pare_bert_set_dropout(pare_model *model, float dropout, float attention_dropout)
{
    PRI_TRY(check_bert(model));
    pare_bert_config changed = pri_bert_of(model)->config;
    if (!(dropout < 0.0f))
        changed.dropout = dropout;
    if (!(attention_dropout < 0.0f))
        changed.attention_dropout = attention_dropout;
    PRI_TRY(pri_bert_check_config(&changed));
    pri_bert_of(model)->config = changed;
    return PARE_OK;
}

static pare_status copy_label(const char *name, char **copy)
{
    json_t *valid = json_string(name);
    json_decref(valid);
    if (!valid)
        return pri_fail(PARE_ERROR_ARGUMENT, "a label's name is not valid UTF-8");
    *copy = pri_string_copy(name);
    return *copy ? PARE_OK : PARE_ERROR_MEMORY;
}

pare_status pare_bert_set_labels(pare_model *base, const char *const *names)
{
    PRI_TRY(check_bert(base));
    pri_bert *model = pri_bert_of(base);
    if (!model->labels)
        return pri_fail(PARE_ERROR_ARGUMENT, "only a classification head has labels");
    size_t count = model->config.labels;
    char **copies = pri_allocate_zero(count, sizeof *copies);
    pare_status status = copies ? PARE_OK : PARE_ERROR_MEMORY;
    for (size_t i = 0; i < count && status == PARE_OK; i++)
        status = copy_label(names[i], &copies[i]);
    if (status != PARE_OK) {
        pri_bert_free_labels(copies, count);
        return status;
    }
    pri_bert_free_labels(model->labels, count);
    model->labels = copies;
    return PARE_OK;
}

const char *pare_bert_label(const pare_model *base, size_t label)
{
    const pri_bert *model = (const pri_bert *)base;
    if (!is_bert(base->family) || !model->labels || label >= model->config.labels)
        return NULL;
    return model->labels[label];
}
