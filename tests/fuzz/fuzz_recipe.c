/* The recipe reader: a YAML text, then, after NUL bytes, overrides. What it accepts must keep the
 * promises that the rest of Pare relies on. */
#include <stdlib.h>
#include <string.h>

#include "train/recipe.h"

enum { OVERRIDES_MAX = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool promise)
{
    if (!promise)
        abort();
}

static void check_text(const pare_recipe *recipe)
{
    const pare_language_modelling_options *data = &recipe->data.language_modelling;
    const pare_transformer_xl_config *model = &recipe->model.transformer_xl;
    demand(data->train && data->lanes && data->length);
    demand(!data->valid == !data->test);
    demand(model->layers && model->heads && model->feed_forward);
    demand(model->head_size >= 1 && model->head_size <= 256);
    demand(model->cluster_count < PARE_CLUSTERS_MAX);
    for (size_t i = 1; i < model->cluster_count; i++)
        demand(model->cutoffs[i] > model->cutoffs[i - 1]);
    demand(model->dropout >= 0 && model->dropout <= 1);
    demand(!recipe->ends_first && !recipe->model.checkpoint);
}

static void check_encoder(const pare_recipe *recipe)
{
    const pare_classification_options *classes = &recipe->data.classification;
    const pare_question_answering_options *answers = &recipe->data.question_answering;
    const pare_masked_language_modelling_options *masked = &recipe->data.masked_language_modelling;
    switch (recipe->task) {
    case PARE_TASK_CLASSIFICATION:
        demand(classes->train && classes->valid && (classes->batch || classes->tokens));
        demand(classes->task || (classes->text_columns[0] && classes->label_column));
        break;
    case PARE_TASK_QUESTION_ANSWERING:
        demand(answers->train && answers->valid && (answers->batch || answers->tokens));
        demand(answers->stride && answers->question_length && answers->answer_length);
        break;
    default:
        demand(masked->train && !masked->valid == !masked->test);
        demand(masked->share > 0 && masked->share < 1);
    }
    const pare_bert_config *model = &recipe->model.bert;
    demand(recipe->model.checkpoint ||
           (model->layers && model->heads && model->size % model->heads == 0));
    demand(recipe->prune.geometry != PARE_GEOMETRY_DISTANCE);
}

static void check_promises(const pare_recipe *recipe)
{
    if (recipe->task == PARE_TASK_LANGUAGE_MODELLING)
        check_text(recipe);
    else
        check_encoder(recipe);
    demand(recipe->length > 0);
    demand(recipe->training.rate >= 0 && recipe->training.rate >= recipe->training.minimum_rate);
    demand(recipe->training.accumulation && recipe->training.log_every);
    demand(recipe->training.steps || recipe->training.epochs > 0);
    for (size_t i = 0; i < recipe->percent_count; i++)
        demand(recipe->percents[i] >= 0 && recipe->percents[i] <= 100);
    demand(!recipe->random_percent_count || recipe->random_seed_count || recipe->seed_count);
    demand(!recipe->random_seed_count || !recipe->seed_count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    demand(text != NULL);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    const char *overrides[OVERRIDES_MAX];
    size_t override_count = 0, yaml_size = strlen(text);
    for (const char *next = text + yaml_size + 1;
         next < text + size && override_count < OVERRIDES_MAX; next += strlen(next) + 1)
        overrides[override_count++] = next;
    pare_recipe recipe;
    if (pri_recipe_parse(text, yaml_size, "input", "/data", overrides, override_count, &recipe) ==
        PARE_OK) {
        check_promises(&recipe);
        pare_recipe_free(&recipe);
    } else {
        demand(strlen(pare_error_message()) > 0);
    }
    free(text);
    return 0;
}
