/* What a sweep would cost: a fresh model of the recipe's shape takes a few training steps on random
 * tokens here, and the time of the fastest is multiplied out. */
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "nn/optimizer.h"
#include "pare/sweep.h"

#define STEPS 3 /* the first one also allocates and is not counted */

typedef struct trial_run {
    pare_context *context;
    const pare_recipe *recipe;
    pare_model *model;
    pare_memory *memory;
    pare_tape *tape;
    uint32_t *tokens; /* inputs, then targets */
    float **moments;  /* two per parameter */
    size_t moment_count;
} trial_run;

static pare_status open_trial(trial_run *trial, const pare_transformer_xl_config *config)
{
    const pare_language_modelling_options *data = &trial->recipe->data;
    size_t count = data->lanes * data->length, parameter_count;
    PRI_TRY(pare_transformer_xl_create(trial->context, config, trial->recipe->training.seed,
                                       &trial->model));
    PRI_TRY(pare_memory_create(trial->model, data->lanes, config->memory, &trial->memory));
    PRI_TRY(pare_tape_create(trial->context, &trial->tape));
    pare_parameter *parameters = pare_model_parameters(trial->model, &parameter_count);
    trial->tokens = pri_allocate(2 * count, sizeof *trial->tokens);
    trial->moments = pri_allocate_zero(2 * parameter_count, sizeof *trial->moments);
    if (!trial->tokens || !trial->moments)
        return PARE_ERROR_MEMORY;
    trial->moment_count = 2 * parameter_count;
    for (size_t i = 0; i < trial->moment_count; i++) {
        const pare_tensor *tensor = &parameters[i / 2].tensor;
        trial->moments[i] = pri_allocate_zero(tensor->rows * tensor->columns, sizeof(float));
        if (!trial->moments[i])
            return PARE_ERROR_MEMORY;
    }
    for (size_t i = 0; i < 2 * count; i++)
        trial->tokens[i] = (uint32_t)pri_random_below(1, i, config->vocabulary);
    return PARE_OK;
}

static void close_trial(trial_run *trial)
{
    for (size_t i = 0; i < trial->moment_count; i++)
        pri_free(trial->moments[i]);
    pri_free(trial->moments);
    pri_free(trial->tokens);
    pare_tape_destroy(trial->tape);
    pare_memory_destroy(trial->memory);
    pare_model_destroy(trial->model);
}

static pare_status take_step(trial_run *trial, uint64_t key)
{
    const pare_language_modelling_options *data = &trial->recipe->data;
    pare_segment segment = {.lanes = data->lanes,
                            .length = data->length,
                            .inputs = trial->tokens,
                            .targets = trial->tokens + data->lanes * data->length};
    pri_adam adam = {.rate = 1e-4f,
                     .beta1 = .9f,
                     .beta2 = .999f,
                     .epsilon = 1e-8f,
                     .correction1 = 1,
                     .correction2 = 1,
                     .gradient_scale = 1};
    pare_model_zero_gradients(trial->model);
    for (uint64_t batch = 0; batch < trial->recipe->training.accumulation; batch++) {
        pare_tape_begin(trial->tape, true, key + batch);
        pare_tensor *loss =
            pare_language_model_loss(trial->model, trial->tape, trial->memory, &segment, NULL);
        PRI_TRY(pare_tape_status(trial->tape));
        PRI_TRY(pare_tape_backward(trial->tape, loss, 1));
    }
    pare_parameter *parameters = pare_model_parameters(trial->model, &(size_t){0});
    for (size_t i = 0; i < trial->moment_count; i += 2) {
        pare_tensor *tensor = &parameters[i / 2].tensor;
        pri_adam_update(trial->context, &adam, tensor->rows * tensor->columns, tensor->value,
                        tensor->gradient, trial->moments[i], trial->moments[i + 1]);
    }
    return PARE_OK;
}

static pare_status measure(trial_run *trial, double *seconds)
{
    *seconds = 0;
    for (uint64_t step = 0; step < STEPS; step++) {
        double begin = pri_clock_seconds();
        PRI_TRY(take_step(trial, step << 32));
        double elapsed = pri_clock_seconds() - begin;
        if (step && (step == 1 || elapsed < *seconds))
            *seconds = elapsed;
        if (pare_interrupted())
            return pri_fail(PARE_ERROR_INTERRUPTED, "interrupted");
    }
    return PARE_OK;
}

/* Vocabulary and tokens from the data, unless both are given. */
static pare_status size_of_data(const pare_recipe *recipe, uint64_t *vocabulary, uint64_t *tokens)
{
    if (*vocabulary && *tokens)
        return PARE_OK;
    pare_task *task;
    pare_status status = pare_language_modelling_create(&recipe->data, NULL, &task);
    if (status != PARE_OK)
        return pri_fail_in(status, "the estimate needs the data, or --vocabulary and --tokens");
    *vocabulary = pare_vocabulary_size(pare_language_modelling_vocabulary(task));
    *tokens = pare_language_modelling_tokens(task, PARE_SPLIT_TRAIN);
    pare_task_destroy(task);
    return PARE_OK;
}

static uint64_t steps_of_run(const pare_recipe *recipe, uint64_t tokens)
{
    const pare_training_options *training = &recipe->training;
    uint64_t lane = tokens / recipe->data.lanes;
    uint64_t batches = lane > 1 ? (lane - 1 + recipe->data.length - 1) / recipe->data.length : 0;
    if (training->steps)
        return training->steps;
    return (uint64_t)(training->epochs * (double)batches / (double)training->accumulation + 0.5);
}

pare_status pare_sweep_dry_run(pare_context *context, const pare_recipe *recipe,
                               uint64_t vocabulary, uint64_t tokens, pare_sweep_estimate *estimate)
{
    *estimate = (pare_sweep_estimate){.runs = 0};
    PRI_TRY(size_of_data(recipe, &vocabulary, &tokens));
    pare_transformer_xl_config config = recipe->model;
    config.vocabulary = vocabulary;

    trial_run trial = {.context = context, .recipe = recipe};
    double seconds = 0;
    pri_peak_resident_reset();
    pare_status status = open_trial(&trial, &config);
    if (status == PARE_OK)
        status = measure(&trial, &seconds);
    if (status == PARE_OK) {
        uint64_t random_runs = recipe->random_percent_count * recipe->random_seed_count;
        bool trained = recipe->start != PARE_START_ZERO_SHOT;
        uint64_t steps = steps_of_run(recipe, tokens);
        *estimate = (pare_sweep_estimate){.runs = 1 + recipe->percent_count + random_runs,
                                          .steps = steps,
                                          .tokens = steps * recipe->training.accumulation *
                                                    recipe->data.lanes * recipe->data.length,
                                          .vocabulary = vocabulary,
                                          .parameters = pare_model_parameter_floats(trial.model),
                                          .seconds_per_step = seconds,
                                          .seconds_per_run = seconds * (double)steps,
                                          .resident_bytes = pri_peak_resident_bytes()};
        estimate->seconds = estimate->seconds_per_run * (double)(trained ? estimate->runs : 1);
    }
    close_trial(&trial);
    return status;
}
