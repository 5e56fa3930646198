/* The configuration of a BERT or DistilBERT and its config.json. Keys that change the result and
 * that Pare does not offer are refused rather than ignored; absent keys have Hugging Face's
 * defaults. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "documents/json.h"
#include "models/bert.h"
#include "models/bert_form.h"
#include "models/config.h"

pare_bert_config pare_bert_config_default(void)
{
    return (pare_bert_config){.positions = 512,
                              .segments = 2,
                              .labels = 2,
                              .dropout = 0.1f,
                              .attention_dropout = 0.1f,
                              .head_dropout = -1.0f,
                              .initial_deviation = 0.02f,
                              .layer_norm_epsilon = 1e-12f};
}

/* ---- Checks ---- */

#define LABELS_MAX ((size_t)1 << 16)

static pare_status check_sizes(const pri_bert_keys *keys, const pare_bert_config *config)
{
    PRI_TRY(pri_config_range("vocab_size", config->vocabulary, 1, INT32_MAX));
    PRI_TRY(pri_config_range(keys->layers, config->layers, 1, 1024));
    PRI_TRY(pri_config_range(keys->heads, config->heads, 1, 1024));
    PRI_TRY(pri_config_range(keys->size, config->size, 1, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range(keys->feed_forward, config->feed_forward, 1, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("max_position_embeddings", config->positions, 1, PRI_SIZE_LIMIT));
    if (keys->segments)
        PRI_TRY(pri_config_range(keys->segments, config->segments, 1, PRI_SIZE_LIMIT));
    else if (config->segments)
        return pri_fail(PARE_ERROR_ARGUMENT, "DistilBERT has no segments, but %zu are asked for",
                        config->segments);
    if (config->size % config->heads == 0 && config->size / config->heads <= 256)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT, "%s %zu must be %s %zu times a head size of at most 256",
                    keys->size, config->size, keys->heads, config->heads);
}

pare_status pri_bert_check_config(const pare_bert_config *config)
{
    const pri_bert_keys *keys = &pri_bert_form_of(config)->keys;
    PRI_TRY(check_sizes(keys, config));
    if (config->head == PARE_HEAD_CLASSIFICATION)
        PRI_TRY(pri_config_range("the number of labels", config->labels, 1, LABELS_MAX));
    PRI_TRY(pri_config_number(keys->dropout, config->dropout, 1.0f));
    PRI_TRY(pri_config_number(keys->attention_dropout, config->attention_dropout, 1.0f));
    if (config->head_dropout >= 0.0f)
        PRI_TRY(pri_config_number(keys->head_dropout, config->head_dropout, 1.0f));
    PRI_TRY(pri_config_number("qa_dropout", config->answer_dropout, 1.0f));
    PRI_TRY(pri_config_number("initializer_range", config->initial_deviation, INFINITY));
    return pri_config_number("layer_norm_eps", config->layer_norm_epsilon, INFINITY);
}

/* ---- Heads ---- */

static pare_status fail_with_classes(const char *path, const char *name, const pri_bert_form *form)
{
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: the architecture \"%s\" is not offered; these are: %s, %s, %s, %s", path,
                    name, form->classes[PARE_HEAD_NONE], form->classes[PARE_HEAD_CLASSIFICATION],
                    form->classes[PARE_HEAD_QUESTION_ANSWERING],
                    form->classes[PARE_HEAD_MASKED_WORDS]);
}

static pare_status read_head(const json_t *object, const char *path, const pri_bert_form *form,
                             pare_head *head)
{
    const json_t *list = json_object_get(object, "architectures");
    *head = PARE_HEAD_NONE;
    if (!list || json_is_null(list))
        return PARE_OK;
    const char *name = json_string_value(json_array_get(list, 0));
    if (!name || json_array_size(list) != 1)
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"architectures\" must name one class", path);
    if (form->pretraining && !strcmp(form->pretraining, name)) {
        *head = PARE_HEAD_MASKED_WORDS;
        return PARE_OK;
    }
    for (size_t i = 0; i < PRI_BERT_HEADS; i++)
        if (!strcmp(form->classes[i], name)) {
            *head = (pare_head)i;
            return PARE_OK;
        }
    return fail_with_classes(path, name, form);
}

/* ---- Labels ---- */

void pri_bert_free_labels(char **labels, size_t count)
{
    for (size_t i = 0; labels && i < count; i++)
        pri_free(labels[i]);
    pri_free(labels);
}

char **pri_bert_default_labels(size_t count)
{
    char **labels = pri_allocate_zero(count, sizeof *labels);
    for (size_t i = 0; labels && i < count; i++) {
        char name[48];
        snprintf(name, sizeof name, "LABEL_%zu", i);
        labels[i] = pri_string_copy(name);
        if (!labels[i]) {
            pri_bert_free_labels(labels, count);
            labels = NULL;
        }
    }
    return labels;
}

/* "id2label": {"0": "negative", "1": "positive"} */
static pare_status read_label_names(const json_t *names, const char *path, size_t count,
                                    char **labels)
{
    for (size_t i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "%zu", i);
        const char *name = json_string_value(json_object_get(names, key));
        if (!name)
            return pri_fail(PARE_ERROR_FORMAT,
                            "%s: \"id2label\" must name the labels \"0\" to \"%zu\"", path,
                            count - 1);
        char *copy = pri_string_copy(name);
        if (!copy)
            return PARE_ERROR_MEMORY;
        pri_free(labels[i]);
        labels[i] = copy;
    }
    return PARE_OK;
}

/* Their number, and their names where a head has them. */
static pare_status read_labels(const json_t *object, const char *path, pare_bert_config *config,
                               char ***labels)
{
    const json_t *names = json_object_get(object, "id2label");
    bool named = names && !json_is_null(names);
    if (named)
        config->labels = json_object_size(names);
    else
        PRI_TRY(pri_json_get_size_or(object, path, "num_labels", config->labels, &config->labels));
    if (config->head != PARE_HEAD_CLASSIFICATION)
        return PARE_OK;
    if (pri_config_range("the number of labels", config->labels, 1, LABELS_MAX) != PARE_OK)
        return pri_fail_in(PARE_ERROR_FORMAT, "%s", path);
    *labels = pri_bert_default_labels(config->labels);
    if (!*labels)
        return PARE_ERROR_MEMORY;
    return named ? read_label_names(names, path, config->labels, *labels) : PARE_OK;
}

static pare_status check_problem(const json_t *object, const char *path,
                                 const pare_bert_config *config)
{
    char problem[64];
    const char *offered = config->labels == 1 ? "regression" : "single_label_classification";
    PRI_TRY(pri_json_get_string_or(object, path, "problem_type", offered, problem, sizeof problem));
    if (config->head == PARE_HEAD_CLASSIFICATION && strcmp(problem, offered))
        return pri_fail(PARE_ERROR_UNSUPPORTED,
                        "%s: \"problem_type\" is \"%s\"; with %zu label%s only \"%s\" is offered",
                        path, problem, config->labels, config->labels == 1 ? "" : "s", offered);
    return PARE_OK;
}

/* ---- config.json ---- */

static pare_status read_sizes(const json_t *object, const char *path, const pri_bert_form *form,
                              pare_bert_config *config)
{
    const pri_bert_keys *keys = &form->keys;
    PRI_TRY(pri_json_get_size_or(object, path, "vocab_size", 30522, &config->vocabulary));
    PRI_TRY(pri_json_get_size_or(object, path, keys->layers, form->layers, &config->layers));
    PRI_TRY(pri_json_get_size_or(object, path, keys->heads, 12, &config->heads));
    PRI_TRY(pri_json_get_size_or(object, path, keys->size, 768, &config->size));
    PRI_TRY(pri_json_get_size_or(object, path, keys->feed_forward, 3072, &config->feed_forward));
    PRI_TRY(pri_json_get_size_or(object, path, "max_position_embeddings", 512, &config->positions));
    config->segments = 0;
    return keys->segments ? pri_json_get_size_or(object, path, keys->segments, 2, &config->segments)
                          : PARE_OK;
}

static pare_status read_numbers(const json_t *object, const char *path, const pri_bert_form *form,
                                pare_bert_config *config)
{
    const pri_bert_keys *keys = &form->keys;
    PRI_TRY(pri_config_float_or(object, path, keys->dropout, 0.1f, &config->dropout));
    PRI_TRY(pri_config_float_or(object, path, keys->attention_dropout, 0.1f,
                                &config->attention_dropout));
    PRI_TRY(pri_config_float_or(object, path, keys->head_dropout, form->head_dropout,
                                &config->head_dropout));
    if (keys->answer_dropout)
        PRI_TRY(pri_config_float_or(object, path, keys->answer_dropout, form->answer_dropout,
                                    &config->answer_dropout));
    PRI_TRY(
        pri_config_float_or(object, path, "initializer_range", 0.02f, &config->initial_deviation));
    return keys->epsilon ? pri_config_float_or(object, path, keys->epsilon, 1e-12f,
                                               &config->layer_norm_epsilon)
                         : PARE_OK;
}

static pare_status check_string(const json_t *object, const char *path, const char *key,
                                const char *offered)
{
    char value[64], quoted[66];
    PRI_TRY(pri_json_get_string_or(object, path, key, offered, value, sizeof value));
    if (!strcmp(value, offered))
        return PARE_OK;
    snprintf(quoted, sizeof quoted, "\"%s\"", offered);
    return pri_config_refuse(object, path, key, quoted);
}

static pare_status check_switch(const json_t *object, const char *path, const char *key,
                                bool offered)
{
    bool value;
    PRI_TRY(pri_json_get_bool_or(object, path, key, offered, &value));
    return value == offered ? PARE_OK
                            : pri_config_refuse(object, path, key, offered ? "true" : "false");
}

static pare_status check_fixed_choices(const json_t *object, const char *path,
                                       const pare_bert_config *config)
{
    PRI_TRY(check_string(object, path, pri_bert_form_of(config)->keys.activation, "gelu"));
    PRI_TRY(check_string(object, path, "position_embedding_type", "absolute"));
    PRI_TRY(check_switch(object, path, "is_decoder", false));
    PRI_TRY(check_switch(object, path, "add_cross_attention", false));
    PRI_TRY(check_switch(object, path, "sinusoidal_pos_embds", false));
    if (config->head == PARE_HEAD_MASKED_WORDS)
        PRI_TRY(check_switch(object, path, "tie_word_embeddings", true));
    if (json_object_size(json_object_get(object, "pruned_heads")))
        return pri_config_refuse(object, path, "pruned_heads", "{}");
    return PARE_OK;
}

static pare_status read_all(const json_t *object, const char *path, pare_bert_config *config,
                            char ***labels)
{
    const pri_bert_form *form = pri_bert_form_of(config);
    PRI_TRY(read_head(object, path, form, &config->head));
    PRI_TRY(read_sizes(object, path, form, config));
    PRI_TRY(read_numbers(object, path, form, config));
    PRI_TRY(check_fixed_choices(object, path, config));
    PRI_TRY(read_labels(object, path, config, labels));
    PRI_TRY(check_problem(object, path, config));
    if (pri_bert_check_config(config) != PARE_OK)
        return pri_fail_in(PARE_ERROR_FORMAT, "%s", path);
    return PARE_OK;
}

pare_status pri_bert_read_config(const json_t *object, const char *path, pare_bert_config *config,
                                 char ***labels)
{
    const char *family = json_string_value(json_object_get(object, "model_type"));
    *config = pare_bert_config_default();
    config->distilled = family && !strcmp(family, pri_distilbert_family.name);
    *labels = NULL;
    pare_status status = read_all(object, path, config, labels);
    if (status != PARE_OK) {
        pri_bert_free_labels(*labels, config->labels);
        *labels = NULL;
    }
    return status;
}

/* "id2label" and its inverse. */
static void write_labels(json_t *object, const pare_bert_config *config, char *const *labels)
{
    json_t *names = json_object(), *numbers = json_object();
    for (size_t i = 0; i < config->labels; i++) {
        char key[32];
        snprintf(key, sizeof key, "%zu", i);
        json_object_set_new(names, key, json_string(labels[i]));
        json_object_set_new(numbers, labels[i], json_integer((json_int_t)i));
    }
    json_object_set_new(object, "id2label", names);
    json_object_set_new(object, "label2id", numbers);
    json_object_set_new(
        object, "problem_type",
        json_string(config->labels == 1 ? "regression" : "single_label_classification"));
}

static int set_size(json_t *object, const char *key, size_t value)
{
    return json_object_set_new(object, key, json_integer((json_int_t)value));
}

static int set_float(json_t *object, const char *key, float value)
{
    return json_object_set_new(object, key, pri_config_json_float(value));
}

/* What only one of the forms has. */
static int write_own(json_t *object, const pri_bert_keys *keys, const pare_bert_config *config)
{
    if (keys->answer_dropout)
        return set_float(object, keys->answer_dropout, config->answer_dropout) ||
               json_object_set_new(object, "sinusoidal_pos_embds", json_false());
    return set_size(object, keys->segments, config->segments) ||
           set_float(object, keys->epsilon, config->layer_norm_epsilon) ||
           json_object_set_new(object, "position_embedding_type", json_string("absolute"));
}

static int write_all(json_t *object, const pri_bert_keys *keys, const pare_bert_config *config)
{
    return set_size(object, "vocab_size", config->vocabulary) ||
           set_size(object, keys->size, config->size) ||
           set_size(object, keys->layers, config->layers) ||
           set_size(object, keys->heads, config->heads) ||
           set_size(object, keys->feed_forward, config->feed_forward) ||
           set_size(object, "max_position_embeddings", config->positions) ||
           json_object_set_new(object, keys->activation, json_string("gelu")) ||
           set_float(object, keys->dropout, config->dropout) ||
           set_float(object, keys->attention_dropout, config->attention_dropout) ||
           json_object_set_new(object, keys->head_dropout,
                               config->head_dropout < 0.0f
                                   ? json_null()
                                   : pri_config_json_float(config->head_dropout)) ||
           set_float(object, "initializer_range", config->initial_deviation) ||
           write_own(object, keys, config);
}

json_t *pri_bert_write_config(const pare_bert_config *config, char *const *labels)
{
    const pri_bert_form *form = pri_bert_form_of(config);
    json_t *object = json_pack("{s:[s], s:s, s:b, s:s}", "architectures",
                               form->classes[config->head], "model_type", form->family->name,
                               "tie_word_embeddings", 1, "torch_dtype", "float32");
    if (object && write_all(object, &form->keys, config)) {
        json_decref(object);
        return NULL;
    }
    if (object && config->head == PARE_HEAD_CLASSIFICATION)
        write_labels(object, config, labels);
    return object;
}
