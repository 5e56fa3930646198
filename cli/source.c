/* Opening models and data for the verbs that use an existing model. */
#include "source.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_LANES 10
#define DEFAULT_LENGTH 128

const char *const text_column_keys[] = {"data.text_column", "data.second_text_column", NULL};
const char *const label_column_keys[] = {"data.label_column", NULL};

/* Whether an option that stands for keys gave a value to `key`. */
static bool is_made(const string_list *list, const char *key)
{
    const size_t length = strlen(key);
    const char *end = list->made + list->made_bytes;
    for (const char *item = list->made; item < end; item += strlen(item) + 1)
        if (!strncmp(item, key, length) && item[length] == '=')
            return true;
    return false;
}

pare_status load_recipe(const char *path, const string_list *overrides, pare_recipe *recipe)
{
    pare_status status =
        pare_recipe_load(path, getenv("PARE_DATA"), overrides->items, overrides->count, recipe);
    /* --text-columns names all of them: a recipe's second one goes when one is named. */
    bool single =
        is_made(overrides, text_column_keys[0]) && !is_made(overrides, text_column_keys[1]);
    if (status == PARE_OK && single && recipe->task == PARE_TASK_CLASSIFICATION)
        recipe->data.classification.text_columns[1] = NULL;
    return status;
}

pare_status open_context(uint64_t threads, pare_context **context)
{
    pare_context_options options = {.threads = threads > INT_MAX ? INT_MAX : (int)threads};
    return pare_context_create(&options, context);
}

int check_source(const char *verb, const source_options *options)
{
    if (!options->recipe == !options->text)
        return fail_usage(verb, "give either --recipe or --text");
    if (options->text && options->set.count)
        return fail_usage(verb, "--set overrides a key of a recipe, so it needs --recipe");
    return 0;
}

int check_masks(const char *verb, const string_list *masks, bool dense)
{
    return masks->count && dense ? fail_usage(verb, "give either --mask or --dense") : 0;
}

static pare_status choose_masks(cli_session *session, const string_list *masks, bool dense)
{
    if (!(masks && masks->count) && !dense)
        return PARE_OK;
    size_t kinds = pare_model_attention_kinds(session->model);
    pare_status status = pare_masks_load(masks ? masks->items : NULL, masks ? masks->count : 0,
                                         kinds, session->masks);
    for (size_t kind = 0; kind < kinds && status == PARE_OK; kind++)
        status =
            pare_model_set_mask(session->model, (pare_attention_kind)kind, session->masks[kind]);
    return status;
}

pare_status open_session(cli_session *session, const char *directory, const string_list *masks,
                         bool dense, uint64_t threads)
{
    pare_status status = open_context(threads, &session->context);
    if (status == PARE_OK)
        status = pare_tape_create(session->context, &session->tape);
    if (status == PARE_OK)
        status = pare_model_load(session->context, directory, &session->model);
    if (status == PARE_OK)
        status = choose_masks(session, masks, dense);
    return status;
}

/* ---- Which models a verb and a recipe are for ---- */

static const struct {
    const char *name, *advice;
} uses[] = {
    [MODEL_LANGUAGE] = {"a language model", "use 'pare generate', or 'pare eval' with a text"},
    [MODEL_CLASSIFIER] = {"a classifier", "use 'pare classify'"},
    [MODEL_ANSWERER] = {"a model that answers questions", "use 'pare answer'"},
    [MODEL_MASKED_WORDS] = {"a model of masked words", "use 'pare eval' with a recipe, or train it "
                                                       "on another task with 'pare train'"},
    [MODEL_TRANSLATOR] = {"a translation model", "use 'pare translate'"},
    [MODEL_HEADLESS] = {"an encoder without a head", "train it on a task with 'pare train'"}};

static model_use use_of(const pare_model *model)
{
    static const model_use of_heads[] = {[PARE_HEAD_NONE] = MODEL_HEADLESS,
                                         [PARE_HEAD_CLASSIFICATION] = MODEL_CLASSIFIER,
                                         [PARE_HEAD_QUESTION_ANSWERING] = MODEL_ANSWERER,
                                         [PARE_HEAD_MASKED_WORDS] = MODEL_MASKED_WORDS};
    const pare_bert_config *encoder = pare_bert_config_of(model);
    if (encoder)
        return of_heads[encoder->head];
    return pare_transformer_xl_config_of(model) ? MODEL_LANGUAGE : MODEL_TRANSLATOR;
}

/* A text without a recipe is for language models. */
static int check_text(const char *verb, const cli_session *session, const char *directory,
                      const source_options *options)
{
    model_use use = use_of(session->model);
    if (!options->text || use == MODEL_LANGUAGE)
        return 0;
    return fail_usage(verb, "--text is for language models, and %s is %s; give --recipe", directory,
                      uses[use].name);
}

int open_session_for(model_use wanted, const char *verb, cli_session *session,
                     const char *directory, const string_list *masks, bool dense, uint64_t threads)
{
    pare_status status = open_session(session, directory, masks, dense, threads);
    if (status != PARE_OK)
        return fail(verb, status);
    model_use use = use_of(session->model);
    if (use == wanted)
        return 0;
    return fail_usage(verb, "%s is %s, not %s; %s", directory, uses[use].name, uses[wanted].name,
                      uses[use].advice);
}

static bool is_encoder(model_use use)
{
    return use != MODEL_LANGUAGE && use != MODEL_TRANSLATOR;
}

static int check_batches(const char *verb, const cli_session *session,
                         const source_options *options)
{
    bool given = options->lanes || options->length || options->memory;
    if (session->recipe.task == PARE_TASK_LANGUAGE_MODELLING || !given)
        return 0;
    return fail_usage(verb,
                      "--batch, --length and --memory are for language models; the recipe "
                      "says how %s is read",
                      pare_task_names[session->recipe.task]);
}

/* What the recipe is for, once it is loaded. */
static int check_recipe(const char *verb, const cli_session *session, const char *directory,
                        const source_options *options)
{
    static const model_use of_tasks[] = {[PARE_TASK_LANGUAGE_MODELLING] = MODEL_LANGUAGE,
                                         [PARE_TASK_CLASSIFICATION] = MODEL_CLASSIFIER,
                                         [PARE_TASK_QUESTION_ANSWERING] = MODEL_ANSWERER,
                                         [PARE_TASK_MASKED_LANGUAGE_MODELLING] = MODEL_MASKED_WORDS,
                                         [PARE_TASK_TRANSLATION] = MODEL_TRANSLATOR};
    model_use use = use_of(session->model), wanted = of_tasks[session->recipe.task];
    bool serves = options->any_head && is_encoder(use) && is_encoder(wanted);
    if (use == wanted || serves)
        return check_batches(verb, session, options);
    return fail_usage(
        verb, "%s is %s, and %s is a recipe for %s; name a model or a recipe that fits", directory,
        uses[use].name, options->recipe, pare_task_names[session->recipe.task]);
}

/* ---- Data ---- */

pare_status open_vocabulary(cli_session *session, const char *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/vocab.json", directory);
    return pare_vocabulary_load(path, &session->data.vocabulary);
}

/* A cell mask knows one length of segments; anything else takes the usual one. */
static size_t default_length(const pare_model *model)
{
    const pare_mask *mask = pare_model_mask(model, PARE_ATTENTION_SELF);
    const pare_geometry *geometry = mask ? pare_mask_geometry(mask) : NULL;
    return geometry && geometry->kind == PARE_GEOMETRY_CELL ? geometry->queries : DEFAULT_LENGTH;
}

static void override_batches(const source_options *options, pare_language_modelling_options *data)
{
    if (options->length)
        data->length = data->evaluation_length = options->length;
    if (options->lanes)
        data->lanes = data->evaluation_lanes = options->lanes;
    if (options->evaluation_only)
        data->lanes = 1; /* evaluation has lanes of its own */
    if (options->memory)
        data->evaluation_memory = options->memory;
}

/* --text: a language model's text without a recipe. */
static pare_recipe recipe_of_text(const pare_model *model, const char *text)
{
    size_t length = default_length(model);
    return (pare_recipe){
        .task = PARE_TASK_LANGUAGE_MODELLING,
        .length = length,
        .data.language_modelling = {
            .train = text, .valid = text, .test = text, .lanes = DEFAULT_LANES, .length = length}};
}

/* Adds the recipe that `options` name or describe. */
static pare_status load_source(cli_session *session, const source_options *options)
{
    session->recipe = recipe_of_text(session->model, options->text);
    if (options->recipe) {
        pare_status status = load_recipe(options->recipe, &options->set, &session->recipe);
        if (status != PARE_OK)
            return status;
    }
    override_batches(options, &session->recipe.data.language_modelling);
    return PARE_OK;
}

int open_task(const char *verb, cli_session *session, const char *directory,
              const source_options *options)
{
    int exit_code = check_text(verb, session, directory, options);
    if (exit_code)
        return exit_code;
    pare_status status = load_source(session, options);
    if (status != PARE_OK)
        return fail(verb, status);
    if ((exit_code = check_recipe(verb, session, directory, options)))
        return exit_code;
    status = pare_recipe_open(&session->recipe, directory, &session->data);
    if (status != PARE_OK)
        return fail(verb, status);
    if (*pare_task_remark(session->data.task))
        fprintf(stderr, "%s\n", pare_task_remark(session->data.task));
    return 0;
}

pare_status open_encoder(cli_session *session, const char *directory, pare_precision precision)
{
    pare_status status = pare_wordpiece_load(directory, &session->data.tokenizer);
    if (status == PARE_OK)
        status = pare_inference_create(session->model, precision, &session->inference);
    return status;
}

pare_status open_translator(cli_session *session, const char *directory, pare_precision precision)
{
    pare_status status = pare_translator_create(session->model, precision, &session->translator);
    if (status == PARE_OK)
        status = pare_translation_tokenizers_load(directory, &session->data.tokenizers);
    return status;
}

void close_session(cli_session *session)
{
    pare_translator_destroy(session->translator);
    pare_inference_destroy(session->inference);
    pare_recipe_close(&session->data);
    pare_recipe_free(&session->recipe);
    pare_model_destroy(session->model);
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        pare_mask_destroy(session->masks[kind]);
    pare_tape_destroy(session->tape);
    pare_context_destroy(session->context);
}
