/* One run. Its directory is a complete model directory (config, weights, vocabulary, mask) with two
 * files more: run.json says what was asked for, so that a directory is never reused for something
 * else, and result.json, written last, says that the run is finished. */
#include "sweep/run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "documents/json.h"
#include "train/trainer.h"

const char *const pri_start_names[] = {
    [PARE_START_RESTART] = "restart",
    [PARE_START_CONTINUE] = "continue",
    [PARE_START_STEPWISE] = "stepwise",
    [PARE_START_ZERO_SHOT] = "zero-shot",
};

/* ---- Setting ---- */

static void report_remark(const pri_run_setting *setting)
{
    const pare_task *task = setting->data.task;
    const char *remark = pare_task_remark(task);
    if (!setting->progress.report || !*remark)
        return;
    uint64_t examples = pare_task_examples(task, PARE_SPLIT_TRAIN);
    pare_progress_event event = {.label = "read data",
                                 .unit = "examples",
                                 .done = examples,
                                 .total = examples,
                                 .note = remark};
    setting->progress.report(setting->progress.user, &event);
}

pare_status pri_run_setting_open(pare_context *context, const pare_recipe *recipe,
                                 const pare_sweep_options *options, pri_run_setting *setting)
{
    *setting = (pri_run_setting){.context = context,
                                 .recipe = recipe,
                                 .progress = options->progress,
                                 .command = options->command};
    PRI_TRY(pare_context_check_precision(context, recipe->training.precision));
    PRI_TRY(pare_recipe_open(recipe, NULL, &setting->data));
    report_remark(setting);
    return PARE_OK;
}

void pri_run_setting_close(pri_run_setting *setting)
{
    pare_recipe_close(&setting->data);
    *setting = (pri_run_setting){0};
}

size_t pri_recipe_attention_kinds(const pare_recipe *recipe)
{
    return recipe->task == PARE_TASK_TRANSLATION ? PARE_ATTENTION_KINDS : 1;
}

static bool pruned(const pri_run *run)
{
    return !pri_mask_set_is_empty(&run->masks);
}

/* ---- Identity: run.json ---- */

static json_t *describe_transformer_xl(const pare_transformer_xl_config *model, size_t vocabulary)
{
    json_t *cutoffs = json_array();
    for (size_t i = 0; i < model->cluster_count; i++)
        json_array_append_new(cutoffs, json_integer((json_int_t)model->cutoffs[i]));
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:b, s:o, s:I, s:f, s:f}",
        "vocabulary", (json_int_t)vocabulary, "layers", (json_int_t)model->layers, "heads",
        (json_int_t)model->heads, "head_size", (json_int_t)model->head_size, "size",
        (json_int_t)model->size, "embedding_size", (json_int_t)model->embedding_size,
        "feed_forward", (json_int_t)model->feed_forward, "memory", (json_int_t)model->memory,
        "clamp_length", (json_int_t)model->clamp_length, "same_length", model->same_length,
        "pre_norm", model->pre_norm, "untie_biases", model->untie_biases, "cutoffs", cutoffs,
        "division", (json_int_t)model->division, "dropout", (double)model->dropout,
        "attention_dropout", (double)model->attention_dropout);
}

static json_t *describe_encoder(const pare_bert_config *model, size_t vocabulary)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f}", "vocabulary",
                     (json_int_t)vocabulary, "layers", (json_int_t)model->layers, "heads",
                     (json_int_t)model->heads, "size", (json_int_t)model->size, "feed_forward",
                     (json_int_t)model->feed_forward, "positions", (json_int_t)model->positions,
                     "dropout", (double)model->dropout, "attention_dropout",
                     (double)model->attention_dropout);
}

static json_t *describe_translator(const pri_run_setting *setting)
{
    const pare_marian_config *model = &setting->recipe->model.marian;
    const pare_translation_tokenizers *tokenizers =
        pare_translation_tokenizers_of(setting->data.task);
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:i, s:i, s:b, s:f, s:f, s:f}", "vocabulary",
        (json_int_t)pare_bpe_size(tokenizers->source), "target_vocabulary",
        (json_int_t)pare_bpe_size(tokenizers->target), "layers", (json_int_t)model->encoder_layers,
        "decoder_layers", (json_int_t)model->decoder_layers, "heads", (json_int_t)model->heads,
        "size", (json_int_t)model->size, "feed_forward", (json_int_t)model->encoder_feed_forward,
        "positions", (json_int_t)model->positions, "share", (int)model->sharing, "sinusoids",
        (int)model->sinusoids, "activation", (int)model->activation, "pre_norm", model->pre_norm,
        "dropout", (double)model->dropout, "attention_dropout", (double)model->attention_dropout,
        "inner_dropout", (double)model->inner_dropout);
}

static json_t *describe_checkpoint(const pare_recipe *recipe)
{
    bool translation = recipe->task == PARE_TASK_TRANSLATION;
    const pare_bert_config *bert = &recipe->model.bert;
    const pare_marian_config *marian = &recipe->model.marian;
    return json_pack("{s:s, s:f, s:f}", "checkpoint", recipe->model.checkpoint, "dropout",
                     (double)(translation ? marian->dropout : bert->dropout), "attention_dropout",
                     (double)(translation ? marian->attention_dropout : bert->attention_dropout));
}

static json_t *describe_model(const pri_run_setting *setting)
{
    const pare_recipe *recipe = setting->recipe;
    if (recipe->task == PARE_TASK_LANGUAGE_MODELLING)
        return describe_transformer_xl(
            &recipe->model.transformer_xl,
            pare_vocabulary_size(pare_language_modelling_vocabulary(setting->data.task)));
    if (recipe->model.checkpoint)
        return describe_checkpoint(recipe);
    if (recipe->task == PARE_TASK_TRANSLATION)
        return describe_translator(setting);
    return describe_encoder(
        &recipe->model.bert,
        pare_wordpiece_size(pare_masked_language_modelling_tokenizer(setting->data.task)));
}

/* What decides the weights; how often to log or to save does not. */
static json_t *describe_training(const pare_training_options *training)
{
    return json_pack(
        "{s:i, s:I, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:I, s:I, "
        "s:I}",
        "keep", (int)training->keep, "averaged", (json_int_t)training->averaged, "precision",
        (int)training->precision, "optimizer", (int)training->optimizer, "schedule",
        (int)training->schedule, "rate", training->rate, "minimum_rate", training->minimum_rate,
        "beta1", training->beta1, "beta2", training->beta2, "epsilon", training->epsilon,
        "weight_decay", training->weight_decay, "clip", training->clip, "warmup",
        (json_int_t)training->warmup, "steps", (json_int_t)training->steps, "epochs",
        training->steps ? 0.0 : training->epochs, "accumulation",
        (json_int_t)training->accumulation, "evaluate_every", (json_int_t)training->evaluate_every,
        "patience", (json_int_t)training->patience);
}

static void describe_decoding(const pare_translation_options *options, json_t *description)
{
    const pare_translate_options *decoding = &options->decoding;
    json_object_set_new(description, "label_smoothing", json_real(options->smoothing));
    json_object_set_new(
        description, "evaluation",
        json_pack("{s:I, s:f, s:f, s:f}", "evaluation.beam", (json_int_t)decoding->beam,
                  "evaluation.length_penalty", decoding->length_penalty, "evaluation.length_factor",
                  decoding->length_factor, "evaluation.length_extra", decoding->length_extra));
}

/* What decides the batches of training and what is measured, as far as the hashes of the data do
 * not tell; the number of lanes in evaluation changes rounding only. */
static void describe_batches(const pare_recipe *recipe, json_t *description)
{
    size_t batch = 0, tokens = 0;
    const pare_language_modelling_options *text = &recipe->data.language_modelling;
    switch (recipe->task) {
    case PARE_TASK_LANGUAGE_MODELLING:
        batch = text->lanes;
        json_object_set_new(description, "evaluation",
                            json_pack("{s:I, s:I}", "evaluation.length",
                                      (json_int_t)text->evaluation_length, "evaluation.memory",
                                      (json_int_t)text->evaluation_memory));
        break;
    case PARE_TASK_CLASSIFICATION:
        batch = recipe->data.classification.batch;
        tokens = recipe->data.classification.tokens;
        break;
    case PARE_TASK_QUESTION_ANSWERING:
        batch = recipe->data.question_answering.batch;
        tokens = recipe->data.question_answering.tokens;
        json_object_set_new(
            description, "answer_length",
            json_integer((json_int_t)recipe->data.question_answering.answer_length));
        break;
    case PARE_TASK_MASKED_LANGUAGE_MODELLING:
        batch = recipe->data.masked_language_modelling.batch;
        tokens = recipe->data.masked_language_modelling.tokens;
        json_object_set_new(description, "masked_share",
                            json_real(recipe->data.masked_language_modelling.share));
        break;
    case PARE_TASK_TRANSLATION:
        batch = recipe->data.translation.batch;
        tokens = recipe->data.translation.tokens;
        describe_decoding(&recipe->data.translation, description);
        break;
    }
    json_object_set_new(description, "batch", json_integer((json_int_t)batch));
    if (tokens)
        json_object_set_new(description, "batch.tokens", json_integer((json_int_t)tokens));
}

static void describe_pruned_training(const pare_recipe *recipe, const pri_run *run,
                                     json_t *description)
{
    json_object_set_new(description, "distillation", json_real(recipe->distillation));
    json_t *stages = json_array();
    for (size_t i = 0; i < run->stage_count; i++)
        json_array_append_new(stages, json_real(run->stages[i]));
    json_object_set_new(description, "stages", stages);
}

static json_t *describe_run(const pri_run_setting *setting, const pri_run *run)
{
    const pare_recipe *recipe = setting->recipe;
    json_t *tokens = json_array(), *texts = json_array();
    for (int split = 0; split < PARE_SPLIT_COUNT; split++) {
        uint64_t count = pare_task_examples(setting->data.task, (pare_split)split);
        uint64_t hash = pare_task_hash(setting->data.task, (pare_split)split);
        json_array_append_new(tokens, json_integer((json_int_t)count));
        json_array_append_new(texts, json_sprintf("%016llx", (unsigned long long)hash));
    }
    json_t *description =
        json_pack("{s:s, s:s, s:s, s:I, s:o, s:o, s:I, s:o}", "task", pare_task_names[recipe->task],
                  "method", run->method, "start", pruned(run) ? pri_start_names[run->start] : "",
                  "seed", (json_int_t)recipe->training.seed, "tokens", tokens, "texts", texts,
                  "length", (json_int_t)recipe->length, "model", describe_model(setting));
    if (description)
        describe_batches(recipe, description);
    if (description && pruned(run))
        describe_pruned_training(recipe, run, description);
    /* Pruned runs that begin at the weights of another sweep's dense run may train differently. */
    bool borrowed = !pruned(run) && recipe->dense && recipe->start != PARE_START_RESTART;
    if (description && !borrowed &&
        json_object_set_new(description, "training", describe_training(&recipe->training))) {
        json_decref(description);
        return NULL;
    }
    return description;
}

/* The first key, possibly of a member object, whose values differ, or NULL. Keys that `found` lacks
 * do not count: the version of Pare that wrote it did not note them. */
static const char *first_difference(json_t *wanted, json_t *found)
{
    const char *key, *difference = NULL;
    json_t *value;
    json_object_foreach(wanted, key, value)
    {
        json_t *other = json_object_get(found, key);
        if (!other)
            continue;
        if (json_is_object(value) && json_is_object(other))
            difference = first_difference(value, other);
        else if (!json_equal(value, other))
            difference = key;
        if (difference)
            break;
    }
    return difference;
}

static pare_status check_identity(const char *path, const char *directory, json_t *wanted)
{
    json_t *found;
    PRI_TRY(pri_json_load(path, &found));
    const char *difference = first_difference(wanted, found);
    pare_status status = PARE_OK;
    if (difference)
        status = pri_fail(PARE_ERROR_ARGUMENT,
                          "%s: holds a run of other settings ('%s' differs); remove it or choose "
                          "another output directory",
                          directory, difference);
    json_decref(found);
    return status;
}

static bool trained(const pri_run *run)
{
    return !pruned(run) || run->start != PARE_START_ZERO_SHOT;
}

/* run.json is the first file of a run, so a model without one came from elsewhere and is not
 * overwritten. */
static pare_status check_directory(const pri_run *run, json_t *identity, const char *path,
                                   bool *claimed)
{
    *claimed = pri_path_exists(path);
    if (*claimed)
        return check_identity(path, run->directory, identity);
    char *weights = pri_path_join(run->directory, "model.safetensors");
    if (!weights)
        return PARE_ERROR_MEMORY;
    bool taken = pri_path_exists(weights);
    pri_free(weights);
    if (!taken)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "%s: holds a model that is not of a run; choose another output directory",
                    run->directory);
}

/* ---- Work ---- */

typedef struct labelled_progress {
    const pare_progress *outer;
    const char *run;
} labelled_progress;

static void report_with_label(void *user, const pare_progress_event *event)
{
    const labelled_progress *progress = user;
    char label[128];
    snprintf(label, sizeof label, "%s: %s", progress->run, event->label);
    pare_progress_event labelled = *event;
    labelled.label = label;
    progress->outer->report(progress->outer->user, &labelled);
}

static pare_status load_start_weights(const pri_run *run, pare_model *model)
{
    char *path = pri_path_join(run->weights, "model.safetensors");
    pare_status status = path ? pare_model_load_weights(model, path) : PARE_ERROR_MEMORY;
    pri_free(path);
    return status;
}

static pare_status train(const pri_run_setting *setting, const pri_run *run, pare_model *model,
                         pare_tape *tape, const pare_progress *progress, pare_result_row *row)
{
    if (!trained(run)) {
        row->peak_bytes = pri_peak_resident_bytes();
        return pare_model_save(model, run->directory);
    }
    pare_training_result result;
    PRI_TRY(pare_train(model, setting->data.task, tape, &setting->recipe->training, run->directory,
                       progress, &result));
    row->steps = result.steps;
    row->train_seconds = result.seconds;
    row->tokens_per_second = result.tokens_per_second;
    row->attention_seconds = result.attention_seconds;
    row->peak_bytes = result.peak_bytes;
    return PARE_OK;
}

static void note_measures(const pare_evaluation *evaluation, pare_result_row *row)
{
    row->more_count = evaluation->more_count;
    for (size_t i = 0; i < evaluation->more_count; i++) {
        pare_result_measure *measure = &row->more[i];
        snprintf(measure->name, sizeof measure->name, "%s", evaluation->more[i].name);
        measure->value = evaluation->more[i].value;
    }
}

static pare_status evaluate(const pri_run_setting *setting, pare_model *model, pare_tape *tape,
                            const pare_progress *progress, pare_result_row *row)
{
    pare_evaluation valid, test;
    PRI_TRY(
        pare_task_evaluate(setting->data.task, model, tape, PARE_SPLIT_VALID, progress, &valid));
    row->valid = valid.metric;
    row->test = (double)NAN;
    row->evaluate_seconds = valid.seconds;
    note_measures(&valid, row);
    /* Tasks without a labelled test set have the same examples twice. */
    if (pare_task_hash(setting->data.task, PARE_SPLIT_VALID) ==
        pare_task_hash(setting->data.task, PARE_SPLIT_TEST))
        return PARE_OK;
    PRI_TRY(pare_task_evaluate(setting->data.task, model, tape, PARE_SPLIT_TEST, progress, &test));
    row->test = test.metric;
    row->evaluate_seconds += test.seconds;
    note_measures(&test, row);
    return PARE_OK;
}

/* The share of the rectangle that is not admissible counts as pruned in p_nominal, for dense runs
 * too. */
static double inadmissible_percent(const pare_model *model, size_t length)
{
    pare_geometry geometry = pare_model_attention_geometry(model, PARE_ATTENTION_SELF, length);
    double forbidden = 0;
    if (!geometry.causal)
        return 0;
    for (size_t row = 0; row < geometry.queries; row++) {
        size_t newest = row + geometry.keys - geometry.queries;
        for (size_t column = 0; column < geometry.keys; column++)
            forbidden += column > newest || (geometry.window && newest - column >= geometry.window);
    }
    return 100 * forbidden / ((double)geometry.queries * (double)geometry.keys);
}

typedef struct opened_run {
    pare_model *model;
    pare_tape *tape;
    pare_model *dense; /* with distillation, and what runs it */
    pare_inference *teacher;
} opened_run;

static pare_status close_run(const pri_run_setting *setting, opened_run *opened)
{
    pare_status status = pare_task_set_teacher(setting->data.task, NULL, 0);
    pare_inference_destroy(opened->teacher);
    pare_model_destroy(opened->dense);
    pare_model_destroy(opened->model);
    pare_tape_destroy(opened->tape);
    return status;
}

static pare_status open_teacher(const pri_run_setting *setting, const pri_run *run,
                                opened_run *opened)
{
    const pare_recipe *recipe = setting->recipe;
    if (!pruned(run) || recipe->distillation == 0)
        return PARE_OK;
    PRI_TRY(pare_model_load(setting->context, run->dense, &opened->dense));
    PRI_TRY(pare_inference_create(opened->dense, recipe->training.precision, &opened->teacher));
    return pare_task_set_teacher(setting->data.task, opened->teacher, recipe->distillation);
}

/* All that may turn out to be impossible, before the directory is bound to these settings. Close
 * also after a failure. */
static pare_status open_run(const pri_run_setting *setting, const pri_run *run, opened_run *opened)
{
    *opened = (opened_run){.model = NULL};
    if (trained(run))
        PRI_TRY(pri_training_check(&setting->recipe->training, setting->data.task));
    /* A tape of its own: a shared one would keep the size of the largest pass so far. */
    PRI_TRY(pare_tape_create(setting->context, &opened->tape));
    PRI_TRY(pare_recipe_create_model(setting->recipe, &setting->data, setting->context,
                                     &opened->model));
    if (pruned(run) && run->start != PARE_START_RESTART)
        PRI_TRY(load_start_weights(run, opened->model));
    PRI_TRY(open_teacher(setting, run, opened));
    PRI_TRY(pri_mask_set_apply(&run->masks, opened->model));
    return pare_task_check_model(setting->data.task, opened->model);
}

static pare_status claim_directory(const pri_run_setting *setting, const pri_run *run,
                                   json_t *identity, const char *path)
{
    PRI_TRY(pri_make_directories(run->directory));
    PRI_TRY(pri_json_save(identity, path));
    return pri_mask_set_place(&run->masks, pri_recipe_attention_kinds(setting->recipe),
                              run->directory);
}

static void describe_work(const pri_run_setting *setting, const pri_run *run,
                          const pare_model *model, pare_result_row *row)
{
    row->parameters = pare_model_parameter_floats(model);
    row->plan_seconds = pare_model_plan_seconds(model);
    row->p_nominal = inadmissible_percent(model, pare_task_length(setting->data.task));
    row->kept_mass = 100;
    if (pruned(run))
        pri_mask_set_describe(&run->masks, pri_recipe_attention_kinds(setting->recipe), row);
    if (setting->recipe->seed_count)
        row->seed = setting->recipe->training.seed;
}

static pare_status work(const pri_run_setting *setting, const pri_run *run, opened_run *opened,
                        pare_result_row *row)
{
    labelled_progress labelled = {&setting->progress, run->label};
    pare_progress progress = {setting->progress.report ? report_with_label : NULL, &labelled};
    snprintf(row->method, sizeof row->method, "%s", run->method);
    snprintf(row->start, sizeof row->start, "%s", pruned(run) ? pri_start_names[run->start] : "");
    PRI_TRY(pare_task_save_files(setting->data.task, run->directory));
    PRI_TRY(train(setting, run, opened->model, opened->tape, &progress, row));
    PRI_TRY(evaluate(setting, opened->model, opened->tape, &progress, row));
    describe_work(setting, run, opened->model, row);
    return PARE_OK;
}

/* ---- result.json ---- */

/* As much of it as there is room for; NULL is nothing. */
static void copy_text(const char *text, char *copy, size_t capacity)
{
    snprintf(copy, capacity, "%s", text ? text : "");
}

pare_results pri_run_results(const pri_run_setting *setting)
{
    const pare_recipe *recipe = setting->recipe;
    const pare_task *task = setting->data.task;
    pare_results results = {.higher_is_better = pare_task_higher_is_better(task),
                            .threads = pare_context_threads(setting->context)};
    copy_text(recipe->name, results.name, sizeof results.name);
    copy_text(recipe->description, results.description, sizeof results.description);
    copy_text(pare_task_metric(task), results.metric, sizeof results.metric);
    copy_text(pare_cpu_name(), results.machine, sizeof results.machine);
    copy_text(pare_level_name(pare_context_level(setting->context)), results.level,
              sizeof results.level);
    copy_text(PARE_VERSION, results.version, sizeof results.version);
    copy_text(setting->command, results.command, sizeof results.command);
    return results;
}

static pare_status load_result(const char *path, pare_result_row *row)
{
    pare_results stored;
    PRI_TRY(pare_results_load(path, &stored));
    pare_status status = PARE_OK;
    if (stored.count == 1)
        *row = stored.rows[0];
    else
        status = pri_fail(PARE_ERROR_FORMAT, "%s: %zu rows instead of one; remove the file", path,
                          stored.count);
    pare_results_free(&stored);
    return status;
}

static pare_status save_result(const pri_run_setting *setting, const char *path,
                               pare_result_row *row)
{
    pare_results single = pri_run_results(setting);
    single.rows = row;
    single.count = 1;
    return pare_results_save(&single, path);
}

/* A finished run has nothing to resume, and the optimiser's state is twice the size of the model.
 */
static pare_status remove_checkpoint(const char *directory)
{
    char *path = pri_path_join(directory, "last");
    pare_status status = path ? pri_remove_tree(path) : PARE_ERROR_MEMORY;
    pri_free(path);
    return status;
}

static pare_status execute(const pri_run_setting *setting, const pri_run *run, json_t *identity,
                           const char *run_path, pare_result_row *row)
{
    opened_run opened;
    pri_peak_resident_reset();
    pare_status status = open_run(setting, run, &opened);
    if (status == PARE_OK)
        status = claim_directory(setting, run, identity, run_path);
    if (status == PARE_OK)
        status = work(setting, run, &opened, row);
    pare_status closed = close_run(setting, &opened);
    return status == PARE_OK ? closed : status;
}

static pare_status load_or_execute(const pri_run_setting *setting, const pri_run *run,
                                   json_t *identity, const char *run_path, const char *result_path,
                                   pare_result_row *row, bool *fresh)
{
    bool claimed;
    PRI_TRY(check_directory(run, identity, run_path, &claimed));
    if (claimed)
        PRI_TRY(pri_mask_set_place(&run->masks, pri_recipe_attention_kinds(setting->recipe),
                                   run->directory));
    if (pri_path_exists(result_path))
        return load_result(result_path, row);
    *fresh = true;
    PRI_TRY(execute(setting, run, identity, run_path, row));
    PRI_TRY(save_result(setting, result_path, row));
    return remove_checkpoint(run->directory);
}

pare_status pri_run_execute(const pri_run_setting *setting, const pri_run *run,
                            pare_result_row *row, bool *fresh)
{
    *fresh = false;
    *row = (pare_result_row){.train_seconds = 0};
    json_t *identity = describe_run(setting, run);
    char *run_path = pri_path_join(run->directory, "run.json");
    char *result_path = pri_path_join(run->directory, "result.json");
    pare_status status =
        identity && run_path && result_path
            ? load_or_execute(setting, run, identity, run_path, result_path, row, fresh)
            : pri_fail(PARE_ERROR_MEMORY, "out of memory describing a run");
    json_decref(identity);
    pri_free(run_path);
    pri_free(result_path);
    return status;
}
