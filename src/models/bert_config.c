/* The configuration of a BERT and its config.json. Keys that change the result and that Pare does
 * not offer are refused rather than ignored; absent keys have Hugging Face's defaults. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "documents/json.h"
#include "models/bert.h"
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

pare_status pri_bert_check_config(const pare_bert_config *config)
{
    PRI_TRY(pri_config_range("vocab_size", config->vocabulary, 1, INT32_MAX));
    PRI_TRY(pri_config_range("num_hidden_layers", config->layers, 1, 1024));
    PRI_TRY(pri_config_range("num_attention_heads", config->heads, 1, 1024));
    PRI_TRY(pri_config_range("hidden_size", config->size, 1, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("intermediate_size", config->feed_forward, 1, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("max_position_embeddings", config->positions, 1, PRI_SIZE_LIMIT));
    PRI_TRY(pri_config_range("type_vocab_size", config->segments, 1, PRI_SIZE_LIMIT));
    if (config->size % config->heads || config->size / config->heads > 256)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "hidden_size %zu must be num_attention_heads %zu times a head size of at "
                        "most 256",
                        config->size, config->heads);
    if (config->head == PARE_HEAD_CLASSIFICATION)
        PRI_TRY(pri_config_range("the number of labels", config->labels, 1, LABELS_MAX));
    PRI_TRY(pri_config_number("hidden_dropout_prob", config->dropout, 1.0f));
    PRI_TRY(pri_config_number("attention_probs_dropout_prob", config->attention_dropout, 1.0f));
    if (config->head_dropout >= 0.0f)
        PRI_TRY(pri_config_number("classifier_dropout", config->head_dropout, 1.0f));
    PRI_TRY(pri_config_number("initializer_range", config->initial_deviation, INFINITY));
    return pri_config_number("layer_norm_eps", config->layer_norm_epsilon, INFINITY);
}

/* ---- Heads ---- */

static const struct {
    const char *name;
    pare_head head;
} architectures[] = {
    {"BertModel", PARE_HEAD_NONE},
    {"BertForSequenceClassification", PARE_HEAD_CLASSIFICATION},
    {"BertForQuestionAnswering", PARE_HEAD_QUESTION_ANSWERING},
    {"BertForMaskedLM", PARE_HEAD_MASKED_WORDS},
    /* Its second task, the next sentence, is left out. */
    {"BertForPreTraining", PARE_HEAD_MASKED_WORDS},
};
enum { ARCHITECTURE_COUNT = sizeof architectures / sizeof *architectures };

const char *pri_bert_architecture(pare_head head)
{
    size_t i = 0;
    while (architectures[i].head != head)
        i++;
    return architectures[i].name;
}

static pare_status read_head(const json_t *object, const char *path, pare_head *head)
{
    const json_t *list = json_object_get(object, "architectures");
    *head = PARE_HEAD_NONE;
    if (!list || json_is_null(list))
        return PARE_OK;
    const char *name = json_string_value(json_array_get(list, 0));
    if (!name || json_array_size(list) != 1)
        return pri_fail(PARE_ERROR_FORMAT, "%s: \"architectures\" must name one class", path);
    for (size_t i = 0; i < ARCHITECTURE_COUNT; i++)
        if (!strcmp(architectures[i].name, name)) {
            *head = architectures[i].head;
            return PARE_OK;
        }
    return pri_fail(PARE_ERROR_UNSUPPORTED,
                    "%s: the architecture \"%s\" is not offered; these are: BertModel, "
                    "BertForSequenceClassification, BertForQuestionAnswering, BertForMaskedLM",
                    path, name);
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

static pare_status read_sizes(const json_t *object, const char *path, pare_bert_config *config)
{
    PRI_TRY(pri_json_get_size_or(object, path, "vocab_size", 30522, &config->vocabulary));
    PRI_TRY(pri_json_get_size_or(object, path, "num_hidden_layers", 12, &config->layers));
    PRI_TRY(pri_json_get_size_or(object, path, "num_attention_heads", 12, &config->heads));
    PRI_TRY(pri_json_get_size_or(object, path, "hidden_size", 768, &config->size));
    PRI_TRY(pri_json_get_size_or(object, path, "intermediate_size", 3072, &config->feed_forward));
    PRI_TRY(pri_json_get_size_or(object, path, "max_position_embeddings", 512, &config->positions));
    return pri_json_get_size_or(object, path, "type_vocab_size", 2, &config->segments);
}

static pare_status read_numbers(const json_t *object, const char *path, pare_bert_config *config)
{
    PRI_TRY(pri_config_float_or(object, path, "hidden_dropout_prob", 0.1f, &config->dropout));
    PRI_TRY(pri_config_float_or(object, path, "attention_probs_dropout_prob", 0.1f,
                                &config->attention_dropout));
    PRI_TRY(pri_config_float_or(object, path, "classifier_dropout", -1.0f, &config->head_dropout));
    PRI_TRY(
        pri_config_float_or(object, path, "initializer_range", 0.02f, &config->initial_deviation));
    return pri_config_float_or(object, path, "layer_norm_eps", 1e-12f, &config->layer_norm_epsilon);
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

static pare_status check_fixed_choices(const json_t *object, const char *path,
                                       const pare_bert_config *config)
{
    PRI_TRY(check_string(object, path, "hidden_act", "gelu"));
    PRI_TRY(check_string(object, path, "position_embedding_type", "absolute"));
    bool decoder, crossing, tied;
    PRI_TRY(pri_json_get_bool_or(object, path, "is_decoder", false, &decoder));
    if (decoder)
        return pri_config_refuse(object, path, "is_decoder", "false");
    PRI_TRY(pri_json_get_bool_or(object, path, "add_cross_attention", false, &crossing));
    if (crossing)
        return pri_config_refuse(object, path, "add_cross_attention", "false");
    PRI_TRY(pri_json_get_bool_or(object, path, "tie_word_embeddings", true, &tied));
    if (!tied && config->head == PARE_HEAD_MASKED_WORDS)
        return pri_config_refuse(object, path, "tie_word_embeddings", "true");
    if (json_object_size(json_object_get(object, "pruned_heads")))
        return pri_config_refuse(object, path, "pruned_heads", "{}");
    return PARE_OK;
}

static pare_status read_all(const json_t *object, const char *path, pare_bert_config *config,
                            char ***labels)
{
    PRI_TRY(read_head(object, path, &config->head));
    PRI_TRY(read_sizes(object, path, config));
    PRI_TRY(read_numbers(object, path, config));
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
    *config = pare_bert_config_default();
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

json_t *pri_bert_write_config(const pare_bert_config *config, char *const *labels)
{
    json_t *object = json_pack(
        "{s:[s], s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:b,"
        " s:s}",
        "architectures", pri_bert_architecture(config->head), "model_type", "bert", "vocab_size",
        (json_int_t)config->vocabulary, "hidden_size", (json_int_t)config->size,
        "num_hidden_layers", (json_int_t)config->layers, "num_attention_heads",
        (json_int_t)config->heads, "intermediate_size", (json_int_t)config->feed_forward,
        "max_position_embeddings", (json_int_t)config->positions, "type_vocab_size",
        (json_int_t)config->segments, "hidden_act", "gelu", "position_embedding_type", "absolute",
        "hidden_dropout_prob", pri_config_json_float(config->dropout),
        "attention_probs_dropout_prob", pri_config_json_float(config->attention_dropout),
        "classifier_dropout",
        config->head_dropout < 0.0f ? json_null() : pri_config_json_float(config->head_dropout),
        "initializer_range", pri_config_json_float(config->initial_deviation), "layer_norm_eps",
        pri_config_json_float(config->layer_norm_epsilon), "tie_word_embeddings", 1, "torch_dtype",
        "float32");
    if (object && config->head == PARE_HEAD_CLASSIFICATION)
        write_labels(object, config, labels);
    return object;
}
