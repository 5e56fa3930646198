/* What a sweep would cost: a fresh model of the recipe's shape takes a few training steps on random
 * tokens here, and their time is multiplied out. */
#include <math.h>

#include "base/status.h"
#include "pare/sweep.h"

#define MEASURED_STEPS 2 /* after those that fill the memory */

static pare_status measure_step(pare_context *context, const pare_recipe *recipe,
                                const pare_transformer_xl_config *config,
                                pare_step_measurement *measurement, uint64_t *parameters)
{
    pare_step_options options = {.lanes = recipe->data.lanes,
                                 .length = recipe->data.length,
                                 .memory = config->memory,
                                 .steps = MEASURED_STEPS,
                                 .precision = recipe->training.precision};
    pare_model *model = NULL;
    pare_tape *tape = NULL;
    pare_status status = pare_transformer_xl_create(context, config, recipe->training.seed, &model);
    if (status == PARE_OK)
        status = pare_tape_create(context, &tape);
    if (status == PARE_OK)
        status = pare_measure_step(model, tape, &options, measurement);
    if (status == PARE_OK)
        *parameters = pare_model_parameter_floats(model);
    pare_tape_destroy(tape);
    pare_model_destroy(model);
    return status;
}

/* Vocabulary and tokens from the data, where they are not given. */
static pare_status size_of_data(const pare_recipe *recipe, uint64_t *vocabulary, uint64_t *tokens)
{
    if (*vocabulary && *tokens)
        return PARE_OK;
    pare_task *task;
    pare_status status = pare_language_modelling_create(&recipe->data, NULL, &task);
    if (status != PARE_OK)
        return pri_fail_in(status, "the estimate needs the data, or --vocabulary and --tokens");
    if (!*vocabulary)
        *vocabulary = pare_vocabulary_size(pare_language_modelling_vocabulary(task));
    if (!*tokens)
        *tokens = pare_task_examples(task, PARE_SPLIT_TRAIN);
    pare_task_destroy(task);
    return PARE_OK;
}

/* As the trainer counts them. */
static uint64_t steps_of_run(const pare_recipe *recipe, uint64_t tokens)
{
    const pare_training_options *training = &recipe->training;
    uint64_t lane = tokens / recipe->data.lanes;
    uint64_t batches = lane > 1 ? (lane - 1 + recipe->data.length - 1) / recipe->data.length : 0;
    if (training->steps)
        return training->steps;
    double steps_per_epoch = (double)batches / (double)training->accumulation;
    return (uint64_t)fmax(1, rint(training->epochs * steps_per_epoch));
}

pare_status pare_sweep_dry_run(pare_context *context, const pare_recipe *recipe,
                               uint64_t vocabulary, uint64_t tokens, pare_sweep_estimate *estimate)
{
    *estimate = (pare_sweep_estimate){.runs = 0};
    PRI_TRY(size_of_data(recipe, &vocabulary, &tokens));
    pare_transformer_xl_config config = recipe->model;
    config.vocabulary = vocabulary;
    pare_step_measurement measured;
    uint64_t parameters = 0;
    PRI_TRY(measure_step(context, recipe, &config, &measured, &parameters));

    uint64_t random_runs = recipe->random_percent_count * recipe->random_seed_count;
    bool trained = recipe->start != PARE_START_ZERO_SHOT;
    uint64_t steps = steps_of_run(recipe, tokens);
    /* What was measured is a step of one batch. */
    double seconds = measured.seconds * (double)recipe->training.accumulation;
    *estimate = (pare_sweep_estimate){.runs = 1 + recipe->percent_count + random_runs,
                                      .steps = steps,
                                      .tokens = steps * recipe->training.accumulation *
                                                recipe->data.lanes * recipe->data.length,
                                      .vocabulary = vocabulary,
                                      .parameters = parameters,
                                      .seconds_per_step = seconds,
                                      .seconds_per_run = seconds * (double)steps,
                                      .resident_bytes = measured.peak_bytes};
    estimate->seconds = estimate->seconds_per_run * (double)(trained ? estimate->runs : 1);
    return PARE_OK;
}
