/* Encoder-decoder transformers (arXiv 1706.03762). Tokens of all sequences lie end to end; only
 * attention knows where a sequence ends, so nothing is computed for padding. With source word w at
 * position i, and the halves of a layer as transformer_block.h has them:
 *
 *     encoder   h = drop(s E[w] + P[i]);  per layer: self attention, feed-forward
 *     decoder   h = drop(s D[w] + P[i]);  per layer: causal self attention, cross attention to what
 *               the encoder gave, feed-forward
 *     logits    O h + b
 *
 * where s = sqrt(d) or 1 and P[i] = [sin(i f_0..) | cos(i f_0..)]. Pre-norm models have one more
 * layer norm behind each stack. Names and shapes of the parameters are those of Hugging Face's
 * MarianMTModel. */
#include "models/marian.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "nn/tape.h"
#include "pruning/geometry.h"

/* ---- Positions ---- */

static void fill_position(const pare_marian_config *config, size_t index, float *row)
{
    size_t d = config->size, sines = d - d / 2; /* one more than cosines when d is odd */
    bool fairseq = config->sinusoids == PARE_SINUSOIDS_FAIRSEQ;
    double position = (double)index + (fairseq ? 2.0 : 0.0);
    double divisor = fairseq ? (double)(d / 2) - 1.0 : (double)d / 2.0;
    for (size_t i = 0; i < d; i++) {
        double t = (double)(i < sines ? i : i - sines);
        double angle = position * pow(10000.0, -t / divisor);
        row[i] = (float)(i < sines ? sin(angle) : cos(angle));
    }
}

pare_status pri_marian_extend_sinusoids(pri_marian *model, size_t length)
{
    size_t d = model->config.size, rows = model->sinusoid_rows;
    if (length <= rows)
        return PARE_OK;
    float *grown = pri_reallocate(model->sinusoids, rows, length, d * sizeof *grown);
    if (!grown)
        return PARE_ERROR_MEMORY;
    model->sinusoids = grown;
    for (; rows < length; rows++)
        fill_position(&model->config, rows, grown + rows * d);
    model->sinusoid_rows = rows;
    return PARE_OK;
}

/* ---- Checks ---- */

pare_status pri_marian_check(const pare_model *model)
{
    if (model->family == &pri_marian_family)
        return PARE_OK;
    return pri_fail(PARE_ERROR_UNSUPPORTED, "a model of type \"%s\" is needed, not \"%s\"",
                    pri_marian_family.name, model->family->name);
}

pare_status pri_marian_check_sequences(const pri_marian *model, const char *what,
                                       const pare_ragged *sequences, const uint32_t *words,
                                       size_t vocabulary, size_t *longest)
{
    if (sequences->count == 0 || sequences->offsets[0] != 0)
        return pri_fail(PARE_ERROR_ARGUMENT, "a batch needs a %s, and the first begins at 0", what);
    *longest = 0;
    for (size_t n = 0; n < sequences->count; n++) {
        size_t length = sequences->offsets[n + 1] - sequences->offsets[n];
        if (length == 0 || length > model->config.positions)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "%s %zu has %zu tokens; the model reads 1 to %zu, so cut longer ones",
                            what, n, length, model->config.positions);
        *longest = pri_larger(*longest, length);
    }
    for (size_t i = 0; i < sequences->offsets[sequences->count]; i++)
        if (words[i] >= vocabulary)
            return pri_fail(PARE_ERROR_ARGUMENT,
                            "token %zu of the %ss is word %lu but the model has %zu", i, what,
                            (unsigned long)words[i], vocabulary);
    return PARE_OK;
}

/* ---- Forward ---- */

/* One kind of attention in one forward pass. */
typedef struct attention_pass {
    pare_attention layout;    /* all but plan and observer */
    pare_plan *const *plans;  /* NULL: dense */
    pare_observer *observers; /* NULL: not observed */
    bool ends_first;          /* keys of a sequence: its first token, its last, the others */
} attention_pass;

typedef struct forward_pass {
    pri_marian *model;
    pri_block_pass blocks;
    const pare_translation_batch *batch;
    pare_ragged sources, targets;
    attention_pass attention[PARE_ATTENTION_KINDS];
} forward_pass;

static pare_attention layer_layout(const forward_pass *pass, pare_attention_kind kind, size_t layer)
{
    const attention_pass *attention = &pass->attention[kind];
    pare_attention layout = attention->layout;
    layout.plan = attention->plans ? attention->plans[layer] : NULL;
    layout.observer = attention->observers ? &attention->observers[layer] : NULL;
    return layout;
}

static pare_status begin_attention(forward_pass *pass, pare_attention_kind kind, size_t queries,
                                   size_t keys)
{
    pri_marian *model = pass->model;
    const pare_marian_config *config = &model->config;
    attention_pass *attention = &pass->attention[kind];
    size_t head_size = config->size / config->heads;
    pri_call_shape shape = {queries, keys, keys};
    PRI_TRY(pri_model_plans(&model->base, kind, shape, &attention->plans));
    PRI_TRY(pri_model_observers(&model->base, kind, pass->blocks.tape, &attention->observers));
    PRI_TRY(pri_model_ends_first(&model->base, kind, &attention->ends_first));
    attention->layout =
        (pare_attention){.heads = config->heads,
                         .head_size = head_size,
                         .scale = 1.0f / sqrtf((float)head_size),
                         .queries = kind == PARE_ATTENTION_SELF ? pass->sources : pass->targets,
                         .keys = kind == PARE_ATTENTION_DECODER ? pass->targets : pass->sources,
                         .causal = kind == PARE_ATTENTION_DECODER,
                         .dropout = config->attention_dropout};
    return PARE_OK;
}

static pare_status begin_source(forward_pass *pass, size_t *longest)
{
    pri_marian *model = pass->model;
    PRI_TRY(pri_marian_check_sequences(model, "source", &pass->sources, pass->batch->source,
                                       model->config.source_vocabulary, longest));
    PRI_TRY(pri_marian_extend_sinusoids(model, *longest));
    return begin_attention(pass, PARE_ATTENTION_SELF, *longest, *longest);
}

static pare_status begin_target(forward_pass *pass, size_t longest_source)
{
    pri_marian *model = pass->model;
    size_t longest;
    PRI_TRY(pri_marian_check_sequences(model, "target", &pass->targets, pass->batch->target,
                                       model->config.target_vocabulary, &longest));
    PRI_TRY(pri_marian_extend_sinusoids(model, longest));
    PRI_TRY(begin_attention(pass, PARE_ATTENTION_DECODER, longest, longest));
    return begin_attention(pass, PARE_ATTENTION_CROSS, longest, longest_source);
}

static pare_status begin_pass(pare_model *base, pare_tape *tape,
                              const pare_translation_batch *batch, bool with_target,
                              forward_pass *pass)
{
    PRI_TRY(pri_marian_check(base));
    const pare_marian_config *config = &pri_marian_of(base)->config;
    *pass = (forward_pass){.model = pri_marian_of(base),
                           .blocks = {.tape = tape,
                                      .epsilon = PRI_MARIAN_EPSILON,
                                      .dropout = config->dropout,
                                      .inner_dropout = config->inner_dropout,
                                      .activation = config->activation,
                                      .pre_norm = config->pre_norm},
                           .batch = batch,
                           .sources = {batch->source_offsets, batch->pairs},
                           .targets = {batch->target_offsets, batch->pairs}};
    size_t longest_source;
    PRI_TRY(begin_source(pass, &longest_source));
    return with_target ? begin_target(pass, longest_source) : PARE_OK;
}

/* What each row of a stack's input is looked up by. */
typedef struct row_ids {
    uint32_t *words, *positions;
} row_ids;

static bool allocate_ids(const forward_pass *pass, size_t count, row_ids *ids)
{
    *ids = (row_ids){pri_tape_allocate(pass->blocks.tape, count, sizeof(uint32_t)),
                     pri_tape_allocate(pass->blocks.tape, count, sizeof(uint32_t))};
    return ids->words && ids->positions;
}

static pare_tensor *embed(const forward_pass *pass, pare_tensor *words, const row_ids *ids,
                          size_t count)
{
    const pri_marian *model = pass->model;
    pare_tape *tape = pass->blocks.tape;
    pare_tensor *places =
        pare_tape_constant(tape, model->sinusoids, model->sinusoid_rows, model->config.size);
    pare_tensor *sum = pare_add(
        tape,
        pare_embedding(tape, words, ids->words, count, pri_marian_embedding_scale(&model->config)),
        pare_embedding(tape, places, ids->positions, count, 1.0f));
    return pare_dropout(tape, sum, model->config.dropout);
}

static pare_tensor *embed_sources(const forward_pass *pass)
{
    const size_t *offsets = pass->sources.offsets;
    size_t tokens = offsets[pass->sources.count];
    row_ids ids;
    if (!allocate_ids(pass, tokens, &ids))
        return NULL;
    for (size_t n = 0; n < pass->sources.count; n++)
        for (size_t begin = offsets[n], length = offsets[n + 1] - begin, i = 0; i < length; i++) {
            bool ends_first = pass->attention[PARE_ATTENTION_SELF].ends_first;
            size_t row = begin + pri_geometry_place(ends_first, i, length);
            ids.words[row] = pass->batch->source[begin + i];
            ids.positions[row] = (uint32_t)i;
        }
    return embed(pass, pass->model->source_words, &ids, tokens);
}

/* The start token, and each target but for its last token. */
static pare_tensor *embed_targets(const forward_pass *pass)
{
    const size_t *offsets = pass->targets.offsets;
    size_t tokens = offsets[pass->targets.count];
    row_ids ids;
    if (!allocate_ids(pass, tokens, &ids))
        return NULL;
    for (size_t n = 0; n < pass->targets.count; n++)
        for (size_t row = offsets[n]; row < offsets[n + 1]; row++) {
            ids.words[row] =
                row == offsets[n] ? pass->model->config.start : pass->batch->target[row - 1];
            ids.positions[row] = (uint32_t)(row - offsets[n]);
        }
    return embed(pass, pass->model->target_words, &ids, tokens);
}

/* The encoder's rows, which lie in the order of its own attention, in that of cross attention or of
 * the sentence. */
static pare_tensor *reorder_sources(const forward_pass *pass, pare_tensor *rows, bool ends_first)
{
    bool before = pass->attention[PARE_ATTENTION_SELF].ends_first;
    if (before == ends_first || !rows)
        return rows;
    const size_t *offsets = pass->sources.offsets;
    uint32_t *from = pri_tape_allocate(pass->blocks.tape, rows->rows, sizeof *from);
    if (!from)
        return NULL;
    for (size_t n = 0; n < pass->sources.count; n++)
        for (size_t begin = offsets[n], length = offsets[n + 1] - begin, i = 0; i < length; i++)
            from[begin + pri_geometry_place(ends_first, i, length)] =
                (uint32_t)(begin + pri_geometry_place(before, i, length));
    return pare_select_rows(pass->blocks.tape, rows, from, rows->rows);
}

static pare_tensor *run_encoder(const forward_pass *pass)
{
    const pri_marian *model = pass->model;
    pare_tensor *h = embed_sources(pass);
    for (size_t l = 0; l < model->config.encoder_layers; l++) {
        pare_attention layout = layer_layout(pass, PARE_ATTENTION_SELF, l);
        h = pri_attention_block_run(&pass->blocks, &model->encoder[l].attention, &layout, h, NULL);
        h = pri_feed_forward_block_run(&pass->blocks, &model->encoder[l].feed_forward, h);
    }
    return model->config.pre_norm ? pri_norm_run(&pass->blocks, &model->encoder_norm, h) : h;
}

static pare_tensor *run_decoder(const forward_pass *pass, pare_tensor *memory)
{
    const pri_marian *model = pass->model;
    memory = reorder_sources(pass, memory, pass->attention[PARE_ATTENTION_CROSS].ends_first);
    pare_tensor *h = embed_targets(pass);
    for (size_t l = 0; l < model->config.decoder_layers; l++) {
        const pri_decoder_layer *layer = &model->decoder[l];
        pare_attention layout = layer_layout(pass, PARE_ATTENTION_DECODER, l);
        h = pri_attention_block_run(&pass->blocks, &layer->attention, &layout, h, NULL);
        layout = layer_layout(pass, PARE_ATTENTION_CROSS, l);
        if (!memory)
            return NULL;
        h = pri_attention_block_run(&pass->blocks, &layer->cross, &layout, h, memory);
        h = pri_feed_forward_block_run(&pass->blocks, &layer->feed_forward, h);
    }
    return model->config.pre_norm ? pri_norm_run(&pass->blocks, &model->decoder_norm, h) : h;
}

pare_tensor *pare_translation_source(pare_model *base, pare_tape *tape,
                                     const pare_translation_batch *batch)
{
    if (pare_tape_status(tape) != PARE_OK)
        return NULL;
    forward_pass pass;
    pare_status status = begin_pass(base, tape, batch, false, &pass);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    return reorder_sources(&pass, run_encoder(&pass), false);
}

pare_tensor *pare_translation_hidden(pare_model *base, pare_tape *tape,
                                     const pare_translation_batch *batch)
{
    if (pare_tape_status(tape) != PARE_OK)
        return NULL;
    forward_pass pass;
    pare_status status = begin_pass(base, tape, batch, true, &pass);
    if (status != PARE_OK)
        return pri_tape_fail(tape, status);
    return run_decoder(&pass, run_encoder(&pass));
}

pare_tensor *pare_translation_logits(pare_model *base, pare_tape *tape,
                                     const pare_translation_batch *batch)
{
    pare_tensor *h = pare_translation_hidden(base, tape, batch);
    if (!h)
        return NULL;
    const pri_marian *model = pri_marian_of(base);
    pare_tensor *bias =
        pare_tape_constant(tape, model->output_bias, 1, model->config.target_vocabulary);
    return pare_linear(tape, h, model->output_words, bias, PARE_ACTIVATION_NONE);
}

pare_tensor *pare_translation_loss(pare_model *base, pare_tape *tape,
                                   const pare_translation_batch *batch, float smoothing,
                                   float *losses)
{
    return pare_cross_entropy(tape, pare_translation_logits(base, tape, batch), batch->target,
                              smoothing, losses);
}

/* ---- Parameters ---- */

/* Standard deviation of Xavier's initialisation. */
static float xavier(size_t out, size_t in)
{
    return sqrtf(2.0f / (float)(out + in));
}

/* `path` with ".weight" and ".bias"; `gain` of Xavier's initialisation. */
static void declare_linear(pri_marian *model, pare_tensor **weight, pare_tensor **bias, size_t out,
                           size_t in, float gain, const char *path)
{
    float deviation = model->config.initial_deviation;
    pri_model_declare(&model->base, weight, PRI_WEIGHT, out, in,
                      deviation > 0.0f ? deviation : gain * xavier(out, in), path, ".weight");
    if (!(deviation > 0.0f))
        pri_model_draw_uniform(&model->base);
    pri_model_declare(&model->base, bias, PRI_BIAS, 1, out, 0.0f, path, ".bias");
}

static void declare_norm(pri_marian *model, pri_norm *norm, const char *path)
{
    size_t d = model->config.size;
    pri_model_declare(&model->base, &norm->gain, PRI_GAIN, 1, d, 0.0f, path, ".weight");
    pri_model_declare(&model->base, &norm->offset, PRI_BIAS, 1, d, 0.0f, path, ".bias");
}

/* `part` is that of the layer's names: "self_attn" or "encoder_attn". */
static void declare_attention(pri_marian *model, pri_attention_block *block, const char *layer,
                              const char *part)
{
    const float input_gain = sqrtf(0.5f);
    const struct {
        const char *name;
        pare_tensor **weight, **bias;
        float gain;
    } linears[] = {
        {"k_proj", &block->key_weight, &block->key_bias, input_gain},
        {"v_proj", &block->value_weight, &block->value_bias, input_gain},
        {"q_proj", &block->query_weight, &block->query_bias, input_gain},
        {"out_proj", &block->output_weight, &block->output_bias, 1.0f},
    };
    size_t d = model->config.size;
    char path[PRI_NAME_MAX];
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
        snprintf(path, sizeof path, "%s.%s.%s", layer, part, linears[i].name);
        declare_linear(model, linears[i].weight, linears[i].bias, d, d, linears[i].gain, path);
    }
    snprintf(path, sizeof path, "%s.%s_layer_norm", layer, part);
    declare_norm(model, &block->norm, path);
}

static void declare_feed_forward(pri_marian *model, pri_feed_forward_block *block, size_t inner,
                                 const char *layer)
{
    size_t d = model->config.size;
    char path[PRI_NAME_MAX];
    snprintf(path, sizeof path, "%s.fc1", layer);
    declare_linear(model, &block->inner_weight, &block->inner_bias, inner, d, 1.0f, path);
    snprintf(path, sizeof path, "%s.fc2", layer);
    declare_linear(model, &block->outer_weight, &block->outer_bias, d, inner, 1.0f, path);
    snprintf(path, sizeof path, "%s.final_layer_norm", layer);
    declare_norm(model, &block->norm, path);
}

static void declare_layers(pri_marian *model)
{
    const pare_marian_config *config = &model->config;
    char layer[64];
    for (size_t l = 0; l < config->encoder_layers; l++) {
        snprintf(layer, sizeof layer, "model.encoder.layers.%zu", l);
        declare_attention(model, &model->encoder[l].attention, layer, "self_attn");
        declare_feed_forward(model, &model->encoder[l].feed_forward, config->encoder_feed_forward,
                             layer);
    }
    for (size_t l = 0; l < config->decoder_layers; l++) {
        snprintf(layer, sizeof layer, "model.decoder.layers.%zu", l);
        declare_attention(model, &model->decoder[l].attention, layer, "self_attn");
        declare_attention(model, &model->decoder[l].cross, layer, "encoder_attn");
        declare_feed_forward(model, &model->decoder[l].feed_forward, config->decoder_feed_forward,
                             layer);
    }
    if (config->pre_norm) {
        declare_norm(model, &model->encoder_norm, "model.encoder.layer_norm");
        declare_norm(model, &model->decoder_norm, "model.decoder.layer_norm");
    }
}

static void declare_words(pri_marian *model, pare_tensor **slot, size_t vocabulary,
                          const char *name)
{
    const pare_marian_config *config = &model->config;
    float deviation = config->initial_deviation > 0.0f ? config->initial_deviation
                                                       : 1.0f / sqrtf((float)config->size);
    pri_model_declare(&model->base, slot, PRI_WEIGHT, vocabulary, config->size, deviation, name,
                      ".weight");
}

static void declare_embeddings(pri_marian *model)
{
    static const char shared[] = "model.shared", encoder[] = "model.encoder.embed_tokens",
                      decoder[] = "model.decoder.embed_tokens", output[] = "lm_head";
    const pare_marian_config *config = &model->config;
    bool all = config->sharing == PARE_SHARE_ALL;
    declare_words(model, &model->source_words, config->source_vocabulary, all ? shared : encoder);
    if (all) {
        pri_model_declare_alias(&model->base, encoder, ".weight", false);
        pri_model_declare_alias(&model->base, decoder, ".weight", false);
    } else {
        declare_words(model, &model->target_words, config->target_vocabulary, decoder);
    }
    if (config->sharing == PARE_SHARE_NONE)
        declare_words(model, &model->output_words, config->target_vocabulary, output);
    else
        pri_model_declare_alias(&model->base, output, ".weight", false);
    model->output_bias = pri_model_declare_constant(&model->base, "final_logits_bias",
                                                    config->target_vocabulary, true);
}

/* ---- Family ---- */

/* The tables of positions, which are fixed, are in some files. */
static const char *marian_own_name(const pare_model *model, const char *stored, char *spelling)
{
    (void)model;
    (void)spelling;
    bool fixed = !strcmp(stored, "model.encoder.embed_positions.weight") ||
                 !strcmp(stored, "model.decoder.embed_positions.weight");
    return fixed ? NULL : stored;
}

static void marian_bind(pare_model *base)
{
    pri_marian *model = pri_marian_of(base);
    if (model->config.sharing == PARE_SHARE_ALL)
        model->target_words = model->source_words;
    if (model->config.sharing != PARE_SHARE_NONE)
        model->output_words = model->target_words;
}

static void marian_destroy(pare_model *base)
{
    pri_marian *model = pri_marian_of(base);
    pri_model_release(base);
    pri_free(model->sinusoids);
    pri_free(model->encoder);
    pri_free(model->decoder);
    pri_free(model);
}

/* Checked configuration; parameters declared but not allocated. */
static pare_status declare_model(pare_context *context, const pare_marian_config *config,
                                 pare_model **model)
{
    pri_marian *created = pri_allocate_zero(1, sizeof *created);
    if (!created)
        return PARE_ERROR_MEMORY;
    created->base = (pare_model){.family = &pri_marian_family,
                                 .context = context,
                                 .layers = config->encoder_layers + config->decoder_layers,
                                 .size = config->size,
                                 .positions = config->positions};
    created->config = *config;
    created->encoder = pri_allocate_zero(config->encoder_layers, sizeof *created->encoder);
    created->decoder = pri_allocate_zero(config->decoder_layers, sizeof *created->decoder);
    pare_status status = created->encoder && created->decoder ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK) {
        declare_embeddings(created);
        declare_layers(created);
        status = created->base.declared;
    }
    if (status != PARE_OK) {
        marian_destroy(&created->base);
        return status;
    }
    *model = &created->base;
    return PARE_OK;
}

static pare_status marian_from_config(pare_context *context, const json_t *object, const char *path,
                                      pare_model **model)
{
    pare_marian_config config;
    PRI_TRY(pri_marian_read_config(object, path, &config));
    return declare_model(context, &config, model);
}

static json_t *marian_to_config(const pare_model *model)
{
    return pri_marian_write_config(pare_marian_config_of(model));
}

static pare_geometry marian_attention(const pare_model *model, pare_attention_kind kind,
                                      size_t length)
{
    const pare_marian_config *config = pare_marian_config_of(model);
    return (pare_geometry){.kind = PARE_GEOMETRY_CELL,
                           .layers = kind == PARE_ATTENTION_SELF ? config->encoder_layers
                                                                 : config->decoder_layers,
                           .heads = config->heads,
                           .queries = length,
                           .keys = length,
                           .causal = kind == PARE_ATTENTION_DECODER,
                           .ratio = kind == PARE_ATTENTION_CROSS ? 1.0 : 0.0};
}

const pri_family pri_marian_family = {
    .name = "marian",
    .from_config = marian_from_config,
    .to_config = marian_to_config,
    .own_name = marian_own_name,
    .bind = marian_bind,
    .destroy = marian_destroy,
    .kinds = PARE_ATTENTION_KINDS,
    .attention = marian_attention,
};

const pare_marian_config *pare_marian_config_of(const pare_model *model)
{
    if (model->family != &pri_marian_family)
        return NULL;
    return &((const pri_marian *)model)->config;
}

pare_status pare_marian_create(pare_context *context, const pare_marian_config *config,
                               uint64_t seed, pare_model **model)
{
    *model = NULL;
    PRI_TRY(pri_marian_check_config(config));
    pare_model *created = NULL;
    PRI_TRY(declare_model(context, config, &created));
    return pri_model_finish_fresh(created, seed, model);
}

pare_status pare_marian_set_dropout(pare_model *base, float dropout, float attention_dropout,
                                    float inner_dropout)
{
    PRI_TRY(pri_marian_check(base));
    pare_marian_config changed = pri_marian_of(base)->config;
    if (!(dropout < 0.0f))
        changed.dropout = dropout;
    if (!(attention_dropout < 0.0f))
        changed.attention_dropout = attention_dropout;
    if (!(inner_dropout < 0.0f))
        changed.inner_dropout = inner_dropout;
    PRI_TRY(pri_marian_check_config(&changed));
    pri_marian_of(base)->config = changed;
    return PARE_OK;
}
