/* What a sweep would cost: a fresh model takes a few training steps here, and their time is
 * multiplied out. Running text is replaced by random tokens, so that its estimate needs no data;
 * examples of other tasks differ in length, so those are read. */
#include <math.h>

#include "base/status.h"
#include "pare/sweep.h"

#define MEASURED_STEPS 2 /* of equal batches, after those that fill the memory */
#define MEASURED_RAGGED_STEPS 16

static pare_status measure(pare_context *context, pare_model *model,
                           const pare_step_options *options, pare_step_measurement *measurement)
{
    pare_tape *tape = NULL;
    pare_status status = pare_tape_create(context, &tape);
    if (status == PARE_OK)
        status = pare_measure_step(model, tape, options, measurement);
    pare_tape_destroy(tape);
    return status;
}

/* As the trainer counts them. */
static uint64_t steps_of_run(const pare_training_options *training, uint64_t batches)
{
    double steps_per_epoch = (double)batches / (double)training->accumulation;
    return training->steps ? training->steps
                           : (uint64_t)fmax(1, rint(training->epochs * steps_per_epoch));
}

static void count_runs(const pare_recipe *recipe, pare_sweep_estimate *estimate)
{
    uint64_t masks = recipe->seed_count ? 1 : recipe->random_seed_count;
    uint64_t seeds = recipe->seed_count ? recipe->seed_count : 1;
    bool trained = recipe->start != PARE_START_ZERO_SHOT;
    uint64_t pruned = recipe->percent_count + recipe->random_percent_count * masks;
    estimate->runs = seeds * (1 + recipe->attention_count * pruned);
    estimate->seconds = estimate->seconds_per_run * (double)(trained ? estimate->runs : seeds);
}

/* ---- Running text ---- */

/* Vocabulary and tokens from the data, where they are not given. */
static pare_status size_of_text(const pare_recipe *recipe, uint64_t *vocabulary, uint64_t *tokens)
{
    if (*vocabulary && *tokens)
        return PARE_OK;
    pare_task *task;
    pare_status status =
        pare_language_modelling_create(&recipe->data.language_modelling, NULL, &task);
    if (status != PARE_OK)
        return pri_fail_in(status, "the estimate needs the data, or --vocabulary and --tokens");
    if (!*vocabulary)
        *vocabulary = pare_vocabulary_size(pare_language_modelling_vocabulary(task));
    if (!*tokens)
        *tokens = pare_task_examples(task, PARE_SPLIT_TRAIN);
    pare_task_destroy(task);
    return PARE_OK;
}

static uint64_t batches_of_text(const pare_recipe *recipe, uint64_t tokens)
{
    uint64_t lane = tokens / recipe->data.language_modelling.lanes;
    return lane > 1 ? (lane - 1 + recipe->length - 1) / recipe->length : 0;
}

static pare_status estimate_text(pare_context *context, const pare_recipe *recipe,
                                 uint64_t vocabulary, uint64_t tokens,
                                 pare_sweep_estimate *estimate)
{
    PRI_TRY(size_of_text(recipe, &vocabulary, &tokens));
    pare_transformer_xl_config config = recipe->model.transformer_xl;
    config.vocabulary = vocabulary;
    size_t lanes = recipe->data.language_modelling.lanes;
    pare_step_options options = {.lanes = lanes,
                                 .length = recipe->length,
                                 .memory = config.memory,
                                 .steps = MEASURED_STEPS,
                                 .precision = recipe->training.precision};
    pare_step_measurement measured;
    pare_model *model;
    PRI_TRY(pare_transformer_xl_create(context, &config, recipe->training.seed, &model));
    pare_status status = measure(context, model, &options, &measured);
    uint64_t parameters = pare_model_parameter_floats(model);
    pare_model_destroy(model);
    PRI_TRY(status);

    uint64_t steps = steps_of_run(&recipe->training, batches_of_text(recipe, tokens));
    /* What was measured is a step of one batch. */
    double seconds = measured.seconds * (double)recipe->training.accumulation;
    *estimate = (pare_sweep_estimate){.steps = steps,
                                      .tokens = steps * recipe->training.accumulation * lanes *
                                                recipe->length,
                                      .vocabulary = vocabulary,
                                      .parameters = parameters,
                                      .seconds_per_step = seconds,
                                      .seconds_per_run = seconds * (double)steps,
                                      .resident_bytes = measured.peak_bytes};
    return PARE_OK;
}

/* ---- Examples ---- */

static uint64_t vocabulary_of(const pare_model *model)
{
    const pare_bert_config *bert = pare_bert_config_of(model);
    return bert ? bert->vocabulary : pare_marian_config_of(model)->target_vocabulary;
}

static pare_status estimate_examples(pare_context *context, const pare_recipe *recipe,
                                     const pare_recipe_data *data, pare_sweep_estimate *estimate)
{
    pare_step_options options = {.task = data->task,
                                 .steps = MEASURED_RAGGED_STEPS,
                                 .precision = recipe->training.precision};
    pare_step_measurement measured;
    pare_model *model;
    PRI_TRY(pare_recipe_create_model(recipe, data, context, &model));
    pare_status status = measure(context, model, &options, &measured);
    uint64_t parameters = pare_model_parameter_floats(model);
    uint64_t vocabulary = vocabulary_of(model);
    pare_model_destroy(model);
    PRI_TRY(status);

    uint64_t accumulation = recipe->training.accumulation;
    uint64_t steps = steps_of_run(&recipe->training, pare_task_batches_per_epoch(data->task));
    uint64_t tokens = pare_task_training_tokens(data->task, steps * accumulation);
    double seconds = (double)tokens / measured.tokens_per_second;
    *estimate = (pare_sweep_estimate){.steps = steps,
                                      .tokens = tokens,
                                      .vocabulary = vocabulary,
                                      .parameters = parameters,
                                      .seconds_per_step = seconds / (double)steps,
                                      .seconds_per_run = seconds,
                                      .resident_bytes = measured.peak_bytes};
    return PARE_OK;
}

static pare_status estimate_data(pare_context *context, const pare_recipe *recipe,
                                 pare_sweep_estimate *estimate)
{
    pare_recipe_data data;
    pare_status status = pare_recipe_open(recipe, NULL, &data);
    if (status == PARE_OK)
        status = estimate_examples(context, recipe, &data, estimate);
    pare_recipe_close(&data);
    return status;
}

pare_status pare_sweep_dry_run(pare_context *context, const pare_recipe *recipe,
                               uint64_t vocabulary, uint64_t tokens, pare_sweep_estimate *estimate)
{
    *estimate = (pare_sweep_estimate){.runs = 0};
    bool text = recipe->task == PARE_TASK_LANGUAGE_MODELLING;
    if (!text && (vocabulary || tokens))
        return pri_fail(PARE_ERROR_ARGUMENT, "--vocabulary and --tokens are for language models; "
                                             "other estimates read the recipe's data");
    PRI_TRY(text ? estimate_text(context, recipe, vocabulary, tokens, estimate)
                 : estimate_data(context, recipe, estimate));
    count_runs(recipe, estimate);
    return PARE_OK;
}
