/* The parameters of BERT and DistilBERT, and their names in files, which are those of Hugging
 * Face's classes. */
#include <stdio.h>
#include <string.h>

#include "models/bert.h"
#include "models/bert_form.h"

static const pri_bert_parameters *names_of(const pri_bert *model)
{
    return &pri_bert_form_of(&model->config)->parameters;
}

static const char *body_prefix(const pri_bert *model)
{
    return model->config.head == PARE_HEAD_NONE ? "" : names_of(model)->body;
}

static bool has_pooler(const pri_bert *model)
{
    pare_head head = model->config.head;
    return head == PARE_HEAD_CLASSIFICATION ||
           (head == PARE_HEAD_NONE && names_of(model)->pooler_in_body);
}

/* ---- Declaring ---- */

static void declare_matrix(pri_bert *model, pare_tensor **slot, size_t rows, size_t columns,
                           const char *prefix, const char *name)
{
    pri_model_declare(&model->base, slot, PRI_WEIGHT, rows, columns,
                      model->config.initial_deviation, prefix, name);
}

static void declare_vector(pri_bert *model, pare_tensor **slot, pri_parameter_kind kind,
                           size_t columns, const char *prefix, const char *name)
{
    pri_model_declare(&model->base, slot, kind, 1, columns, 0.0f, prefix, name);
}

/* `path` with ".weight" and ".bias". */
static void declare_linear(pri_bert *model, pare_tensor **weight, pare_tensor **bias, size_t out,
                           size_t in, const char *path)
{
    declare_matrix(model, weight, out, in, path, ".weight");
    declare_vector(model, bias, PRI_BIAS, out, path, ".bias");
}

static void declare_norm(pri_bert *model, pri_norm *norm, const char *path)
{
    declare_vector(model, &norm->gain, PRI_GAIN, model->config.size, path, ".weight");
    declare_vector(model, &norm->offset, PRI_BIAS, model->config.size, path, ".bias");
}

static void declare_embeddings(pri_bert *model)
{
    const pare_bert_config *config = &model->config;
    char prefix[64];
    snprintf(prefix, sizeof prefix, "%sembeddings.", body_prefix(model));
    declare_matrix(model, &model->words, config->vocabulary, config->size, prefix,
                   "word_embeddings.weight");
    if (config->head == PARE_HEAD_MASKED_WORDS)
        pri_model_declare_alias(&model->base, names_of(model)->words_alias, "weight", false);
    declare_matrix(model, &model->positions, config->positions, config->size, prefix,
                   "position_embeddings.weight");
    if (config->segments)
        declare_matrix(model, &model->segments, config->segments, config->size, prefix,
                       "token_type_embeddings.weight");
    snprintf(prefix, sizeof prefix, "%sembeddings.LayerNorm", body_prefix(model));
    declare_norm(model, &model->embedding_norm, prefix);
}

static void declare_layer(pri_bert *model, size_t index)
{
    const pri_bert_parameters *names = names_of(model);
    pri_attention_block *attention = &model->layers[index].attention;
    pri_feed_forward_block *feed_forward = &model->layers[index].feed_forward;
    size_t d = model->config.size, inner = model->config.feed_forward;
    struct {
        const char *name;
        pare_tensor **weight, **bias;
        size_t out, in;
    } linears[] = {
        {names->query, &attention->query_weight, &attention->query_bias, d, d},
        {names->key, &attention->key_weight, &attention->key_bias, d, d},
        {names->value, &attention->value_weight, &attention->value_bias, d, d},
        {names->output, &attention->output_weight, &attention->output_bias, d, d},
        {names->inner, &feed_forward->inner_weight, &feed_forward->inner_bias, inner, d},
        {names->outer, &feed_forward->outer_weight, &feed_forward->outer_bias, d, inner},
    };
    char layer[64], path[PRI_NAME_MAX];
    snprintf(layer, sizeof layer, "%s%s%zu.", body_prefix(model), names->layers, index);
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++) {
        snprintf(path, sizeof path, "%s%s", layer, linears[i].name);
        declare_linear(model, linears[i].weight, linears[i].bias, linears[i].out, linears[i].in,
                       path);
    }
    snprintf(path, sizeof path, "%s%s", layer, names->attention_norm);
    declare_norm(model, &attention->norm, path);
    snprintf(path, sizeof path, "%s%s", layer, names->output_norm);
    declare_norm(model, &feed_forward->norm, path);
}

static void declare_pooler(pri_bert *model)
{
    const pri_bert_parameters *names = names_of(model);
    size_t d = model->config.size;
    char path[64];
    snprintf(path, sizeof path, "%s%s", names->pooler_in_body ? body_prefix(model) : "",
             names->pooler);
    declare_linear(model, &model->pooler_weight, &model->pooler_bias, d, d, path);
}

static void declare_word_head(pri_bert *model)
{
    const pare_bert_config *config = &model->config;
    const pri_bert_parameters *names = names_of(model);
    declare_vector(model, &model->head_bias, PRI_BIAS, config->vocabulary, names->words_bias,
                   ".bias");
    if (names->bias_alias)
        pri_model_declare_alias(&model->base, names->words_alias, "bias", false);
    declare_linear(model, &model->transform_weight, &model->transform_bias, config->size,
                   config->size, names->transform);
    declare_norm(model, &model->transform_norm, names->transform_norm);
}

/* What is declared last: a pooler is no part of some checkpoints either. */
static void declare_head(pri_bert *model)
{
    const pare_bert_config *config = &model->config;
    size_t begin = model->base.parameter_count;
    if (has_pooler(model))
        declare_pooler(model);
    if (config->head == PARE_HEAD_CLASSIFICATION)
        declare_linear(model, &model->head_weight, &model->head_bias, config->labels, config->size,
                       "classifier");
    if (config->head == PARE_HEAD_QUESTION_ANSWERING)
        declare_linear(model, &model->head_weight, &model->head_bias, 2, config->size,
                       "qa_outputs");
    if (config->head == PARE_HEAD_MASKED_WORDS)
        declare_word_head(model);
    for (size_t i = begin; i < model->base.parameter_count; i++)
        model->base.notes[i].head = true;
}

void pri_bert_declare(pri_bert *model)
{
    declare_embeddings(model);
    for (size_t layer = 0; layer < model->config.layers; layer++)
        declare_layer(model, layer);
    declare_head(model);
}

/* ---- Names in files ---- */

static bool begins_with(const char *text, const char *begin)
{
    return !strncmp(text, begin, strlen(begin));
}

/* Tensors of other classes of the family, and indices that are no parameters. */
static bool is_left_out(const pri_bert *model, const char *name)
{
    static const char *const always[] = {"embeddings.position_ids", "embeddings.token_type_ids",
                                         "cls.seq_relationship."};
    const struct {
        const char *begin;
        bool used;
    } parts[] = {
        {names_of(model)->pooler, has_pooler(model)},
        {"classifier.", model->config.head == PARE_HEAD_CLASSIFICATION},
        {"qa_outputs.", model->config.head == PARE_HEAD_QUESTION_ANSWERING},
        {names_of(model)->words_head, model->config.head == PARE_HEAD_MASKED_WORDS},
    };
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (begins_with(name, always[i]))
            return true;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (begins_with(name, parts[i].begin) && !parts[i].used)
            return true;
    return false;
}

/* Old checkpoints call gain and offset gamma and beta. */
static void rename_norm(char *name)
{
    static const char *const old[] = {"LayerNorm.gamma", "LayerNorm.beta"};
    static const char *const new[] = {"weight", "bias"};
    for (int i = 0; i < 2; i++) {
        size_t length = strlen(name), end = strlen(old[i]), kept = strlen("LayerNorm.");
        if (length >= end && !strcmp(name + length - end, old[i]))
            snprintf(name + length - end + kept, end, "%s", new[i]);
    }
}

/* The body has its prefix in some files and none in others. */
const char *pri_bert_own_name(const pare_model *base, const char *stored, char *spelling)
{
    const pri_bert *model = (const pri_bert *)base;
    const pri_bert_parameters *names = names_of(model);
    const char *name = begins_with(stored, names->body) ? stored + strlen(names->body) : stored;
    if (is_left_out(model, name))
        return NULL;
    if (strlen(name) + strlen(names->body) + sizeof "weight" > PRI_NAME_MAX)
        return stored;
    bool body = begins_with(name, "embeddings.") || begins_with(name, names->layers) ||
                (names->pooler_in_body && begins_with(name, names->pooler));
    snprintf(spelling, PRI_NAME_MAX, "%s%s", body ? body_prefix(model) : "", body ? name : stored);
    rename_norm(spelling);
    return spelling;
}
