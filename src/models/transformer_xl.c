/* Transformer-XL (arXiv 1901.02860). A segment of Q tokens per lane attends to itself and to m
 * hidden states that the memory kept of earlier segments. For layer l with input h and
 * c = [memory of layer l ; h]:
 *
 *     q = W_q h,  k = W_k c,  v = W_v c,  R_delta = [sin(delta f) | cos(delta f)]
 *     s_ij = [(q_i + u).k_j + (q_i + w).(W_r R_delta)] / sqrt(D),  delta = i + m - j >= 0
 *     h = LN(h + drop(W_o a v))       h = LN(h + drop(W_2 drop(relu(W_1 h + b_1)) + b_2))
 *
 * or, with pre_norm, h = h + drop(W_o a v) where q, k and v see LN(c), and likewise below. Names
 * and shapes of the parameters are those of Hugging Face's TransfoXLLMHeadModel; there W_q, W_k and
 * W_v are one matrix, u is r_w_bias and w is r_r_bias. */
#include "models/transformer_xl.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "nn/tape.h"

typedef struct transformer_layer {
    pare_tensor *query_key_value;              /* (3 H D, d) */
    pare_tensor query, key, value;             /* its three parts */
    pare_tensor *position, *output;            /* W_r (H D, d), W_o (d, H D) */
    pare_tensor *content_bias, *position_bias; /* u, w (H, D) */
    pare_tensor *attention_gain, *attention_bias;
    pare_tensor *inner_weight, *inner_bias, *outer_weight, *outer_bias;
    pare_tensor *feed_forward_gain, *feed_forward_bias;
} transformer_layer;

typedef struct transformer_xl {
    pare_model base;
    pare_transformer_xl_config config;
    transformer_layer *layers;
    pare_tensor *content_bias, *position_bias; /* shared u, w */

    /* Input and output words. Tables and biases are one, or one per cluster when division > 1. */
    size_t clusters, tables;
    pare_tensor *table[PARE_CLUSTERS_MAX], *table_bias[PARE_CLUSTERS_MAX];
    pare_tensor *input_projection[PARE_CLUSTERS_MAX], *first_output_projection;
    pare_tensor *cluster_weight, *cluster_bias;
    pare_tensor table_part[PARE_CLUSTERS_MAX], table_bias_part[PARE_CLUSTERS_MAX];
    pare_adaptive_words words;
    pare_adaptive_softmax softmax;

    float *frequencies; /* f, (d / 2) */
    float *sinusoids;   /* R, (sinusoid_rows, d), of distances 0, 1, ... */
    size_t sinusoid_rows;
} transformer_xl;

static transformer_xl *transformer_of(pare_model *model)
{
    return (transformer_xl *)model;
}

/* ---- Forward ---- */

/* What one forward pass has in common over the layers. */
typedef struct forward_pass {
    transformer_xl *model;
    pare_tape *tape;
    pare_memory *memory;
    size_t lanes, length;
    pare_tensor *positions;   /* R, dropped out once for all layers */
    pare_attention layout;    /* all but plan and observer */
    pare_plan *const *plans;  /* NULL: dense */
    pare_observer *observers; /* NULL: not observed */
} forward_pass;

static pare_tensor *normalise(const forward_pass *pass, pare_tensor *h, pare_tensor *gain,
                              pare_tensor *bias)
{
    return pare_layer_norm(pass->tape, h, gain, bias, pass->model->config.layer_norm_epsilon);
}

static pare_tensor *drop(const forward_pass *pass, pare_tensor *h)
{
    return pare_dropout(pass->tape, h, pass->model->config.dropout);
}

static pare_tensor *add_dropped(const forward_pass *pass, pare_tensor *h, pare_tensor *change)
{
    return pare_add_dropped(pass->tape, h, change, pass->model->config.dropout);
}

static pare_tensor *attend(const forward_pass *pass, size_t index, pare_tensor *input,
                           pare_tensor *context)
{
    transformer_layer *layer = &pass->model->layers[index];
    pare_tape *tape = pass->tape;
    pare_tensor *q = pare_linear(tape, input, &layer->query, NULL, PARE_ACTIVATION_NONE);
    pare_tensor *k = pare_linear(tape, context, &layer->key, NULL, PARE_ACTIVATION_NONE);
    pare_tensor *v = pare_linear(tape, context, &layer->value, NULL, PARE_ACTIVATION_NONE);
    pare_relative_tensors relative = {
        .content_bias = layer->content_bias,
        .position_bias = layer->position_bias,
        .table = pare_linear(tape, pass->positions, layer->position, NULL, PARE_ACTIVATION_NONE)};
    pare_attention layout = pass->layout;
    layout.plan = pass->plans ? pass->plans[index] : NULL;
    layout.observer = pass->observers ? &pass->observers[index] : NULL;
    pare_tensor *attended = pare_attend(tape, &layout, q, k, v, &relative);
    return pare_linear(tape, attended, layer->output, NULL, PARE_ACTIVATION_NONE);
}

static pare_tensor *attention_block(const forward_pass *pass, size_t index, pare_tensor *h)
{
    transformer_layer *layer = &pass->model->layers[index];
    pare_tensor *gain = layer->attention_gain, *bias = layer->attention_bias;
    pare_tensor *past = pri_memory_past(pass->memory, pass->tape, index);
    bool pre_norm = pass->model->config.pre_norm;
    pare_tensor *input = pre_norm ? normalise(pass, h, gain, bias) : h;
    pare_tensor *context = input;
    if (past) {
        pare_tensor *seen = pre_norm ? normalise(pass, past, gain, bias) : past;
        context = pare_concatenate_groups(pass->tape, seen, input, pass->lanes);
    }
    pare_tensor *sum = add_dropped(pass, h, attend(pass, index, input, context));
    return pre_norm ? sum : normalise(pass, sum, gain, bias);
}

static pare_tensor *feed_forward_block(const forward_pass *pass, size_t index, pare_tensor *h)
{
    transformer_layer *layer = &pass->model->layers[index];
    pare_tensor *gain = layer->feed_forward_gain, *bias = layer->feed_forward_bias;
    bool pre_norm = pass->model->config.pre_norm;
    pare_tensor *input = pre_norm ? normalise(pass, h, gain, bias) : h;
    pare_tensor *inner =
        pare_linear_dropped(pass->tape, input, layer->inner_weight, layer->inner_bias,
                            PARE_ACTIVATION_RELU, pass->model->config.dropout);
    pare_tensor *sum = add_dropped(pass, h,
                                   pare_linear(pass->tape, inner, layer->outer_weight,
                                               layer->outer_bias, PARE_ACTIVATION_NONE));
    return pre_norm ? sum : normalise(pass, sum, gain, bias);
}

/* R of distances 0 .. rows - 1, kept from pass to pass. The angle is rounded to single precision
 * as in the library whose weights we share. */
static pare_status prepare_sinusoids(transformer_xl *model, size_t rows)
{
    if (rows <= model->sinusoid_rows)
        return PARE_OK;
    size_t d = model->config.size;
    float *sinusoids = pri_allocate(rows, d * sizeof *sinusoids);
    if (!sinusoids)
        return PARE_ERROR_MEMORY;
    for (size_t delta = 0; delta < rows; delta++)
        for (size_t t = 0; t < d / 2; t++) {
            double angle = (double)((float)delta * model->frequencies[t]);
            sinusoids[delta * d + t] = (float)sin(angle);
            sinusoids[delta * d + d / 2 + t] = (float)cos(angle);
        }
    pri_free(model->sinusoids);
    model->sinusoids = sinusoids;
    model->sinusoid_rows = rows;
    return PARE_OK;
}

/* Distances that can differ among `keys` keys: all beyond clamp_length are one, and a window admits
 * no distance of its size or more. */
static size_t distinct_distances(const pare_transformer_xl_config *config, size_t keys)
{
    size_t distances = keys;
    if (config->clamp_length)
        distances = pri_smaller(distances, config->clamp_length + 1);
    if (config->same_length)
        distances = pri_smaller(distances, config->memory);
    return distances;
}

/* A copy on the tape: the table kept in the model may move when a later pass needs more rows. */
static pare_tensor *positions(const forward_pass *pass)
{
    transformer_xl *model = pass->model;
    size_t most = pass->length + (pass->memory ? pass->memory->capacity : 0);
    size_t keys = pass->length + (pass->memory ? pass->memory->filled : 0);
    pare_status status = prepare_sinusoids(model, distinct_distances(&model->config, most));
    if (status != PARE_OK)
        return pri_tape_fail(pass->tape, status);
    size_t rows = distinct_distances(&model->config, keys), d = model->config.size;
    pare_tensor *table = pare_tape_tensor(pass->tape, rows, d);
    if (!table)
        return NULL;
    table->gradient = NULL;
    memcpy(table->value, model->sinusoids, rows * d * sizeof(float));
    return drop(pass, table);
}

static pare_ragged equal_lanes(pare_tape *tape, size_t lanes, size_t length)
{
    size_t *offsets = pri_tape_allocate(tape, lanes + 1, sizeof *offsets);
    for (size_t lane = 0; offsets && lane <= lanes; lane++)
        offsets[lane] = lane * length;
    return (pare_ragged){.offsets = offsets, .count = lanes};
}

static pare_status begin_pass(forward_pass *pass)
{
    transformer_xl *model = pass->model;
    const pare_transformer_xl_config *config = &model->config;
    size_t filled = pass->memory ? pass->memory->filled : 0;
    size_t capacity = pass->memory ? pass->memory->capacity : 0;
    pri_call_shape shape = {pass->length, pass->length + filled, pass->length + capacity};
    PRI_TRY(pri_model_plans(&model->base, PARE_ATTENTION_SELF, shape, &pass->plans));
    PRI_TRY(pri_model_observers(&model->base, PARE_ATTENTION_SELF, pass->tape, &pass->observers));
    pass->layout = (pare_attention){
        .heads = config->heads,
        .head_size = config->head_size,
        .scale = 1.0f / sqrtf((float)config->head_size),
        .queries = equal_lanes(pass->tape, pass->lanes, pass->length),
        .keys = equal_lanes(pass->tape, pass->lanes, filled + pass->length),
        .causal = true,
        .window = config->same_length ? config->memory : 0,
        .dropout = pare_tape_training(pass->tape) ? config->attention_dropout : 0.0f,
    };
    return pare_tape_status(pass->tape);
}

static pare_tensor *transformer_xl_hidden(pare_model *base, pare_tape *tape, pare_memory *memory,
                                          const pare_segment *segment)
{
    transformer_xl *model = transformer_of(base);
    forward_pass pass = {.model = model,
                         .tape = tape,
                         .memory = memory,
                         .lanes = segment->lanes,
                         .length = segment->length};
    pare_status status = begin_pass(&pass);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    size_t tokens = segment->lanes * segment->length;
    pare_tensor *h = drop(&pass, pare_adaptive_embedding(tape, &model->words, segment->inputs,
                                                         tokens, sqrtf((float)base->size)));
    pass.positions = positions(&pass);
    for (size_t layer = 0; layer < base->layers; layer++) {
        pri_memory_append(memory, tape, layer, h, segment->length);
        h = attention_block(&pass, layer, h);
        h = feed_forward_block(&pass, layer, h);
    }
    h = drop(&pass, h);
    if (pare_tape_status(tape) == PARE_OK)
        pri_memory_advance(memory, segment->length);
    return h;
}

/* ---- Parameters ---- */

static void declare_words(transformer_xl *model)
{
    const pare_transformer_xl_config *config = &model->config;
    pare_model *base = &model->base;
    float deviation = config->initial_deviation;
    size_t begin = 0, size = config->embedding_size;
    for (size_t i = 0; i < model->tables; i++) {
        size_t end = model->tables > 1 ? model->words.cutoffs[i] : config->vocabulary;
        char suffix[64];
        snprintf(suffix, sizeof suffix, "%zu.weight", i);
        pri_model_declare(base, &model->table[i], PRI_WEIGHT, end - begin, size, deviation,
                          "transformer.word_emb.emb_layers.", suffix);
        pri_model_declare_alias(base, "crit.out_layers.", suffix, false);
        begin = end;
        size /= config->division;
    }
}

static bool has_projections(const transformer_xl *model)
{
    return model->config.division > 1 || model->config.embedding_size != model->config.size;
}

/* One per table at the input. At the output the first is a matrix of its own and cluster c > 0 has
 * the input's. */
static void declare_projections(transformer_xl *model)
{
    const pare_transformer_xl_config *config = &model->config;
    pare_model *base = &model->base;
    float deviation = config->initial_projection_deviation;
    if (!has_projections(model))
        return;
    size_t size = config->embedding_size;
    for (size_t i = 0; i < model->tables; i++) {
        char suffix[32];
        snprintf(suffix, sizeof suffix, "%zu", i);
        pri_model_declare(base, &model->input_projection[i], PRI_WEIGHT, config->size, size,
                          deviation, "transformer.word_emb.emb_projs.", suffix);
        for (size_t c = 1; c < model->clusters; c++)
            if (model->tables == 1 || c == i) {
                snprintf(suffix, sizeof suffix, "%zu", c);
                pri_model_declare_alias(base, "crit.out_projs.", suffix, false);
            }
        size /= config->division;
    }
    pri_model_declare(base, &model->first_output_projection, PRI_WEIGHT, config->size,
                      config->embedding_size, deviation, "crit.out_projs.", "0");
}

static void declare_shared_bias(transformer_xl *model, pare_tensor **slot, const char *name)
{
    const pare_transformer_xl_config *config = &model->config;
    pri_model_declare(&model->base, slot, PRI_VECTORS, config->heads, config->head_size,
                      config->initial_deviation, "transformer.", name);
    for (size_t l = 0; l < config->layers; l++) {
        char prefix[64];
        snprintf(prefix, sizeof prefix, "transformer.layers.%zu.dec_attn.", l);
        pri_model_declare_alias(&model->base, prefix, name, true);
    }
}

static void declare_layer(transformer_xl *model, size_t index)
{
    const pare_transformer_xl_config *config = &model->config;
    pare_model *base = &model->base;
    transformer_layer *layer = &model->layers[index];
    size_t d = config->size, wide = config->heads * config->head_size;
    size_t inner = config->feed_forward;
    float deviation = config->initial_deviation;
    char prefix[64];

    snprintf(prefix, sizeof prefix, "transformer.layers.%zu.dec_attn.", index);
    if (config->untie_biases) {
        pri_model_declare(base, &layer->position_bias, PRI_VECTORS, config->heads,
                          config->head_size, deviation, prefix, "r_r_bias");
        pri_model_declare(base, &layer->content_bias, PRI_VECTORS, config->heads, config->head_size,
                          deviation, prefix, "r_w_bias");
    }
    pri_model_declare(base, &layer->query_key_value, PRI_WEIGHT, 3 * wide, d, deviation, prefix,
                      "qkv_net.weight");
    pri_model_declare(base, &layer->output, PRI_WEIGHT, d, wide, deviation, prefix, "o_net.weight");
    pri_model_declare(base, &layer->attention_gain, PRI_GAIN, 1, d, deviation, prefix,
                      "layer_norm.weight");
    pri_model_declare(base, &layer->attention_bias, PRI_BIAS, 1, d, 0.0f, prefix,
                      "layer_norm.bias");
    pri_model_declare(base, &layer->position, PRI_WEIGHT, wide, d, deviation, prefix,
                      "r_net.weight");

    snprintf(prefix, sizeof prefix, "transformer.layers.%zu.pos_ff.", index);
    pri_model_declare(base, &layer->inner_weight, PRI_WEIGHT, inner, d, deviation, prefix,
                      "CoreNet.0.weight");
    pri_model_declare(base, &layer->inner_bias, PRI_BIAS, 1, inner, 0.0f, prefix, "CoreNet.0.bias");
    pri_model_declare(base, &layer->outer_weight, PRI_WEIGHT, d, inner, deviation, prefix,
                      "CoreNet.3.weight");
    pri_model_declare(base, &layer->outer_bias, PRI_BIAS, 1, d, 0.0f, prefix, "CoreNet.3.bias");
    pri_model_declare(base, &layer->feed_forward_gain, PRI_GAIN, 1, d, deviation, prefix,
                      "layer_norm.weight");
    pri_model_declare(base, &layer->feed_forward_bias, PRI_BIAS, 1, d, 0.0f, prefix,
                      "layer_norm.bias");
}

static void declare_output(transformer_xl *model)
{
    const pare_transformer_xl_config *config = &model->config;
    pare_model *base = &model->base;
    size_t tokens = model->clusters - 1;
    if (tokens) {
        pri_model_declare(base, &model->cluster_weight, PRI_WEIGHT, tokens, config->embedding_size,
                          config->initial_deviation, "crit.", "cluster_weight");
        pri_model_declare(base, &model->cluster_bias, PRI_BIAS, 1, tokens, 0.0f, "crit.",
                          "cluster_bias");
    }
    size_t begin = 0;
    for (size_t i = 0; i < model->tables; i++) {
        size_t end = model->tables > 1 ? model->words.cutoffs[i] : config->vocabulary;
        char suffix[32];
        snprintf(suffix, sizeof suffix, "%zu.bias", i);
        pri_model_declare(base, &model->table_bias[i], PRI_BIAS, 1, end - begin, 0.0f,
                          "crit.out_layers.", suffix);
        begin = end;
    }
}

/* f_t = 10000^(-2t / d) */
static void declare_frequencies(transformer_xl *model)
{
    size_t d = model->config.size;
    model->frequencies =
        pri_model_declare_constant(&model->base, "transformer.pos_emb.inv_freq", d / 2, false);
    for (size_t t = 0; model->frequencies && t < d / 2; t++)
        model->frequencies[t] = (float)pow(10000.0, -2.0 * (double)t / (double)d);
}

static void declare_parameters(transformer_xl *model)
{
    declare_words(model);
    declare_projections(model);
    if (!model->config.untie_biases) {
        declare_shared_bias(model, &model->content_bias, "r_w_bias");
        declare_shared_bias(model, &model->position_bias, "r_r_bias");
    }
    for (size_t l = 0; l < model->config.layers; l++)
        declare_layer(model, l);
    declare_output(model);
    declare_frequencies(model);
}

static void bind_words(transformer_xl *model)
{
    pare_adaptive_words *words = &model->words;
    words->clusters = model->tables;
    for (size_t i = 0; i < model->tables; i++) {
        words->weight[i] = model->table[i];
        words->projection[i] = model->input_projection[i];
    }
    words->cutoffs[model->tables - 1] = model->config.vocabulary;
}

/* The softmax always has all clusters; with one table they are parts of it. */
static void bind_softmax(transformer_xl *model)
{
    pare_adaptive_softmax *softmax = &model->softmax;
    size_t begin = 0;
    for (size_t c = 0; c < model->clusters; c++) {
        size_t count = softmax->cutoffs[c] - begin;
        bool parts = model->tables == 1;
        model->table_part[c] =
            parts ? pri_parameter_part(model->table[0], begin, count) : *model->table[c];
        model->table_bias_part[c] =
            parts ? pri_parameter_part(model->table_bias[0], begin, count) : *model->table_bias[c];
        softmax->weight[c] = &model->table_part[c];
        softmax->bias[c] = &model->table_bias_part[c];
        softmax->projection[c] =
            c == 0 ? model->first_output_projection : model->input_projection[parts ? 0 : c];
        begin = softmax->cutoffs[c];
    }
    softmax->cluster_weight = model->cluster_weight;
    softmax->cluster_bias = model->cluster_bias;
}

static void transformer_xl_bind(pare_model *base)
{
    transformer_xl *model = transformer_of(base);
    size_t wide = model->config.heads * model->config.head_size;
    for (size_t l = 0; l < base->layers; l++) {
        transformer_layer *layer = &model->layers[l];
        layer->query = pri_parameter_part(layer->query_key_value, 0, wide);
        layer->key = pri_parameter_part(layer->query_key_value, wide, wide);
        layer->value = pri_parameter_part(layer->query_key_value, 2 * wide, wide);
        if (!model->config.untie_biases) {
            layer->content_bias = model->content_bias;
            layer->position_bias = model->position_bias;
        }
    }
    bind_words(model);
    bind_softmax(model);
}

/* ---- Family ---- */

static void transformer_xl_destroy(pare_model *base)
{
    transformer_xl *model = transformer_of(base);
    pri_model_release(base);
    pri_free(model->layers);
    pri_free(model->sinusoids);
    pri_free(model);
}

static void set_clusters(transformer_xl *model)
{
    const pare_transformer_xl_config *config = &model->config;
    model->clusters = config->cluster_count + 1;
    model->tables = config->division > 1 ? model->clusters : 1;
    for (size_t c = 0; c < config->cluster_count; c++)
        model->softmax.cutoffs[c] = model->words.cutoffs[c] = config->cutoffs[c];
    model->softmax.cutoffs[config->cluster_count] = config->vocabulary;
    model->words.cutoffs[config->cluster_count] = config->vocabulary;
    model->softmax.clusters = model->clusters;
}

/* Checked configuration; parameters declared but not allocated. */
static pare_status declare_model(pare_context *context, const pare_transformer_xl_config *config,
                                 pare_model **model)
{
    transformer_xl *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->base = (pare_model){.family = &pri_transformer_xl_family,
                                 .context = context,
                                 .layers = config->layers,
                                 .size = config->size,
                                 .vocabulary = config->vocabulary};
    created->config = *config;
    created->layers = pri_allocate_zero(config->layers, sizeof *created->layers);
    pare_status status = created->layers ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK) {
        set_clusters(created);
        declare_parameters(created);
        status = created->base.declared;
    }
    if (status != PARE_OK) {
        transformer_xl_destroy(&created->base);
        return status;
    }
    *model = &created->base;
    return PARE_OK;
}

static pare_status transformer_xl_from_config(pare_context *context, const json_t *object,
                                              const char *path, pare_model **model)
{
    pare_transformer_xl_config config;
    PRI_TRY(pri_transformer_xl_read_config(object, path, &config));
    return declare_model(context, &config, model);
}

static json_t *transformer_xl_to_config(const pare_model *model)
{
    return pri_transformer_xl_write_config(pare_transformer_xl_config_of(model));
}

static pare_geometry transformer_xl_attention(const pare_model *model, pare_attention_kind kind,
                                              size_t length)
{
    (void)kind;
    const pare_transformer_xl_config *config = pare_transformer_xl_config_of(model);
    return (pare_geometry){.kind = PARE_GEOMETRY_CELL,
                           .layers = config->layers,
                           .heads = config->heads,
                           .queries = length,
                           .keys = config->memory + length,
                           .causal = true,
                           .window = config->same_length ? config->memory : 0};
}

static const pare_adaptive_softmax *transformer_xl_output(const pare_model *model)
{
    return &((const transformer_xl *)model)->softmax;
}

const pri_family pri_transformer_xl_family = {
    .name = "transfo-xl",
    .from_config = transformer_xl_from_config,
    .to_config = transformer_xl_to_config,
    .bind = transformer_xl_bind,
    .destroy = transformer_xl_destroy,
    .kinds = 1,
    .attention = transformer_xl_attention,
    .hidden = transformer_xl_hidden,
    .output = transformer_xl_output,
};

const pare_transformer_xl_config *pare_transformer_xl_config_of(const pare_model *model)
{
    if (model->family != &pri_transformer_xl_family)
        return NULL;
    return &((const transformer_xl *)model)->config;
}

pare_status pare_transformer_xl_create(pare_context *context,
                                       const pare_transformer_xl_config *config, uint64_t seed,
                                       pare_model **model)
{
    *model = NULL;
    pare_transformer_xl_config checked = *config;
    PRI_TRY(pri_transformer_xl_check_config(&checked));
    pare_model *created = NULL;
    PRI_TRY(declare_model(context, &checked, &created));
    return pri_model_finish_fresh(created, seed, model);
}
