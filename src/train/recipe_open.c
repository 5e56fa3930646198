/* From a recipe to what it describes: the data as a task, and the model before training. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/status.h"
#include "models/checkpoint.h"
#include "pare/train.h"

/* ---- Data ---- */

/* The types of models that serve a task: one, or two. */
typedef struct model_types {
    const pri_family *first, *second;
} model_types;

static model_types types_for(pare_task_kind task)
{
    if (task == PARE_TASK_LANGUAGE_MODELLING)
        return (model_types){&pri_transformer_xl_family, NULL};
    if (task == PARE_TASK_TRANSLATION)
        return (model_types){&pri_marian_family, NULL};
    return (model_types){&pri_bert_family, &pri_distilbert_family};
}

/* Before the tokenizer, which is another one in models of other types. */
static pare_status check_model_type(const char *directory, pare_task_kind task)
{
    const model_types types = types_for(task);
    json_t *config;
    char *path;
    const pri_family *family;
    PRI_TRY(pri_read_config(directory, &config, &path, &family));
    pare_status status = PARE_OK;
    if (family != types.first && family != types.second)
        status = pri_fail(
            PARE_ERROR_ARGUMENT,
            "%s: a model of type \"%s\" does not serve %s, which needs type \"%s\"%s%s%s", path,
            family->name, pare_task_names[task], types.first->name, types.second ? " or \"" : "",
            types.second ? types.second->name : "", types.second ? "\"" : "");
    json_decref(config);
    pri_free(path);
    return status;
}

static pare_status load_vocabulary(const char *directory, pare_vocabulary **vocabulary)
{
    char *path = pri_path_join(directory, "vocab.json");
    pare_status status = path ? pare_vocabulary_load(path, vocabulary) : PARE_ERROR_MEMORY;
    pri_free(path);
    return status;
}

static pare_status open_language_modelling(const pare_recipe *recipe, const char *model_directory,
                                           pare_recipe_data *data)
{
    pare_language_modelling_options options = recipe->data.language_modelling;
    if (model_directory) {
        PRI_TRY(load_vocabulary(model_directory, &data->vocabulary));
        options.vocabulary.level = pare_vocabulary_level(data->vocabulary);
    }
    return pare_language_modelling_create(&options, data->vocabulary, &data->task);
}

static pare_status open_translation(const pare_recipe *recipe, const char *directory,
                                    pare_recipe_data *data)
{
    const pare_translation_tokenizers *tokenizers = NULL;
    if (directory) {
        PRI_TRY(pare_translation_tokenizers_load(directory, &data->tokenizers));
        tokenizers = &data->tokenizers;
    }
    return pare_translation_create(&recipe->data.translation, tokenizers, &data->task);
}

static pare_status open_task(const pare_recipe *recipe, pare_recipe_data *data)
{
    switch (recipe->task) {
    case PARE_TASK_CLASSIFICATION:
        return pare_classification_create(&recipe->data.classification, data->tokenizer,
                                          &data->task);
    case PARE_TASK_QUESTION_ANSWERING:
        return pare_question_answering_create(&recipe->data.question_answering, data->tokenizer,
                                              &data->task);
    default:
        return pare_masked_language_modelling_create(&recipe->data.masked_language_modelling,
                                                     data->tokenizer, &data->task);
    }
}

pare_status pare_recipe_open(const pare_recipe *recipe, const char *model_directory,
                             pare_recipe_data *data)
{
    const char *directory = model_directory ? model_directory : recipe->model.checkpoint;
    *data = (pare_recipe_data){.task = NULL};
    if (directory)
        PRI_TRY(check_model_type(directory, recipe->task));
    if (recipe->task == PARE_TASK_LANGUAGE_MODELLING)
        return open_language_modelling(recipe, model_directory, data);
    if (recipe->task == PARE_TASK_TRANSLATION)
        return open_translation(recipe, directory, data);
    if (directory)
        PRI_TRY(pare_wordpiece_load(directory, &data->tokenizer));
    return open_task(recipe, data);
}

void pare_recipe_close(pare_recipe_data *data)
{
    pare_task_destroy(data->task);
    pare_vocabulary_destroy(data->vocabulary);
    pare_wordpiece_destroy(data->tokenizer);
    pare_translation_tokenizers_free(&data->tokenizers);
    *data = (pare_recipe_data){.task = NULL};
}

/* ---- Model ---- */

static pare_status create_transformer_xl(const pare_recipe *recipe, const pare_recipe_data *data,
                                         pare_context *context, pare_model **model)
{
    pare_transformer_xl_config config = recipe->model.transformer_xl;
    config.vocabulary = pare_vocabulary_size(pare_language_modelling_vocabulary(data->task));
    return pare_transformer_xl_create(context, &config, recipe->training.seed, model);
}

static pare_status create_fresh_encoder(const pare_recipe *recipe, const pare_recipe_data *data,
                                        pare_context *context, pare_model **model)
{
    pare_bert_config config = recipe->model.bert;
    config.vocabulary = pare_wordpiece_size(pare_masked_language_modelling_tokenizer(data->task));
    return pare_bert_create(context, &config, recipe->training.seed, model);
}

static pare_status name_labels(const pare_task *task, size_t labels, pare_model *model)
{
    const char **names = pri_allocate(labels, sizeof *names);
    if (!names)
        return PARE_ERROR_MEMORY;
    for (size_t label = 0; label < labels; label++)
        names[label] = pare_classification_label(task, label);
    pare_status status = pare_bert_set_labels(model, names);
    pri_free(names);
    return status;
}

static pare_status create_from_checkpoint(const pare_recipe *recipe, const pare_recipe_data *data,
                                          pare_context *context, pare_model **model)
{
    static const pare_head heads[] = {
        [PARE_TASK_CLASSIFICATION] = PARE_HEAD_CLASSIFICATION,
        [PARE_TASK_QUESTION_ANSWERING] = PARE_HEAD_QUESTION_ANSWERING,
        [PARE_TASK_MASKED_LANGUAGE_MODELLING] = PARE_HEAD_MASKED_WORDS,
    };
    bool classes = recipe->task == PARE_TASK_CLASSIFICATION;
    size_t labels = classes ? pare_classification_labels(data->task) : 0;
    PRI_TRY(pare_bert_load_with_head(context, recipe->model.checkpoint, heads[recipe->task], labels,
                                     recipe->training.seed, model));
    pare_status status = PARE_OK;
    if (pare_encoder_positions(*model) < recipe->length)
        status = pri_fail(PARE_ERROR_ARGUMENT,
                          "%s: has %zu positions, fewer than training.length %zu; use a shorter "
                          "length",
                          recipe->model.checkpoint, pare_encoder_positions(*model), recipe->length);
    if (status == PARE_OK)
        status = pare_bert_set_dropout(*model, recipe->model.bert.dropout,
                                       recipe->model.bert.attention_dropout);
    if (status == PARE_OK && labels > 1)
        status = name_labels(data->task, labels, *model);
    if (status != PARE_OK) {
        pare_model_destroy(*model);
        *model = NULL;
    }
    return status;
}

static pare_status create_fresh_translator(const pare_recipe *recipe, const pare_recipe_data *data,
                                           pare_context *context, pare_model **model)
{
    const pare_translation_tokenizers *tokenizers = pare_translation_tokenizers_of(data->task);
    const pare_sequence_tokens special = pare_bpe_special_tokens(tokenizers->target);
    pare_marian_config config = recipe->model.marian;
    config.source_vocabulary = pare_bpe_size(tokenizers->source);
    config.target_vocabulary = pare_bpe_size(tokenizers->target);
    config.end = config.start = config.forced_end = special.end;
    config.padding = special.padding == PARE_NO_TOKEN ? special.end : special.padding;
    return pare_marian_create(context, &config, recipe->training.seed, model);
}

static pare_status load_translator(const pare_recipe *recipe, pare_context *context,
                                   pare_model **model)
{
    const pare_marian_config *changes = &recipe->model.marian;
    PRI_TRY(pare_model_load(context, recipe->model.checkpoint, model));
    pare_status status = pare_marian_set_dropout(
        *model, changes->dropout, changes->attention_dropout, changes->inner_dropout);
    if (status != PARE_OK) {
        pare_model_destroy(*model);
        *model = NULL;
    }
    return status;
}

static pare_status create_translator(const pare_recipe *recipe, const pare_recipe_data *data,
                                     pare_context *context, pare_model **model)
{
    return recipe->model.checkpoint ? load_translator(recipe, context, model)
                                    : create_fresh_translator(recipe, data, context, model);
}

pare_status pare_recipe_create_model(const pare_recipe *recipe, const pare_recipe_data *data,
                                     pare_context *context, pare_model **model)
{
    *model = NULL;
    if (recipe->task == PARE_TASK_LANGUAGE_MODELLING)
        return create_transformer_xl(recipe, data, context, model);
    if (recipe->task == PARE_TASK_TRANSLATION)
        return create_translator(recipe, data, context, model);
    return recipe->model.checkpoint ? create_from_checkpoint(recipe, data, context, model)
                                    : create_fresh_encoder(recipe, data, context, model);
}
