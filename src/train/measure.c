/* What a training step costs: the same calls as the trainer's, on the batches of a task or on
 * random tokens. */
#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/memory.h"
#include "base/random.h"
#include "train/optimizer.h"

#define STEPS_DEFAULT 5

typedef struct step_times {
    double all, attention, matrix_products;
} step_times;

typedef struct step_runner {
    pare_model *model;
    pare_tape *tape;
    pare_task *task; /* NULL: random tokens */
    pare_memory *memory;
    pri_optimizer optimizer;
    pare_training_options training;
    pare_segment segment;
    uint32_t *tokens; /* inputs, then targets */
    step_times *times;
    uint64_t step;
    double loss;
} step_runner;

static step_times now(const step_runner *runner)
{
    return (step_times){.all = pri_clock_seconds(),
                        .attention = pare_tape_attention_seconds(runner->tape),
                        .matrix_products =
                            pare_matrix_product_seconds(pare_tape_context(runner->tape))};
}

static pare_status run_step(step_runner *runner, step_times *times)
{
    step_times begin = now(runner);
    pare_model_zero_gradients(runner->model);
    pare_tape_begin(runner->tape, true, ++runner->step);
    pare_tensor *loss = runner->task
                            ? pare_task_training_loss(runner->task, runner->model, runner->tape)
                            : pare_language_model_loss(runner->model, runner->tape, runner->memory,
                                                       &runner->segment, NULL);
    PRI_TRY(pare_tape_status(runner->tape));
    runner->loss = (double)loss->value[0];
    PRI_TRY(pare_tape_backward(runner->tape, loss, 1.0f));
    double norm = pri_optimizer_gradient_norm(&runner->optimizer);
    double clip = runner->training.clip;
    pri_optimizer_step(&runner->optimizer, &runner->training, runner->step, runner->training.rate,
                       clip > 0.0 && norm > clip ? clip / norm : 1.0);
    step_times end = now(runner);
    *times = (step_times){.all = end.all - begin.all,
                          .attention = end.attention - begin.attention,
                          .matrix_products = end.matrix_products - begin.matrix_products};
    return pare_interrupted() ? pri_fail(PARE_ERROR_INTERRUPTED, "interrupted") : PARE_OK;
}

/* Vocabularies are sorted by frequency, and words of text follow Zipf's law: word r has a share
 * proportional to 1 / (r + 1). An adaptive softmax costs twice as much with evenly drawn words. */
static uint32_t draw_word(uint64_t counter, size_t vocabulary)
{
    double words = (double)vocabulary;
    double rank = exp(pri_random_uniform(1, counter) * log(words + 1.0)) - 1.0;
    return (uint32_t)fmin(rank, words - 1.0);
}

static pare_status open_segment(step_runner *runner, const pare_step_options *options)
{
    size_t vocabulary = pare_language_model_vocabulary(runner->model), count;
    if (!vocabulary || !options->lanes || !options->length ||
        pri_multiply_overflows(options->lanes, options->length, &count))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "measuring a step needs a language model and at least one token");
    PRI_TRY(pare_memory_create(runner->model, options->lanes, options->memory, &runner->memory));
    runner->tokens = pri_allocate(count, 2 * sizeof *runner->tokens);
    if (!runner->tokens)
        return PARE_ERROR_MEMORY;
    for (size_t i = 0; i < 2 * count; i++)
        runner->tokens[i] = draw_word(i, vocabulary);
    runner->segment = (pare_segment){.lanes = options->lanes,
                                     .length = options->length,
                                     .inputs = runner->tokens,
                                     .targets = runner->tokens + count};
    return PARE_OK;
}

static pare_status open_runner(step_runner *runner, const pare_step_options *options,
                               uint64_t steps)
{
    PRI_TRY(
        pri_optimizer_create(pare_tape_context(runner->tape), runner->model, &runner->optimizer));
    runner->times = pri_allocate(steps, sizeof *runner->times);
    if (!runner->times)
        return PARE_ERROR_MEMORY;
    if (!runner->task)
        return open_segment(runner, options);
    pare_task_rewind(runner->task);
    return PARE_OK;
}

static void close_runner(step_runner *runner)
{
    pri_free(runner->times);
    pri_free(runner->tokens);
    pri_optimizer_destroy(&runner->optimizer);
    pare_memory_destroy(runner->memory);
}

/* One step more than it takes to fill the memory: from then on nothing is allocated. */
static pare_status warm_up(step_runner *runner, const pare_step_options *options)
{
    step_times ignored;
    size_t steps = runner->task ? 1 : options->memory / options->length + 2;
    for (size_t i = 0; i < steps; i++)
        PRI_TRY(run_step(runner, &ignored));
    return PARE_OK;
}

static int compare_times(const void *a, const void *b)
{
    double first = ((const step_times *)a)->all, second = ((const step_times *)b)->all;
    return (first > second) - (first < second);
}

static uint64_t task_tokens(const pare_task *task, uint64_t begin, uint64_t end)
{
    return pare_task_training_tokens(task, end) - pare_task_training_tokens(task, begin);
}

static pare_status measure(step_runner *runner, const pare_step_options *options, uint64_t steps,
                           pare_step_measurement *measurement)
{
    PRI_TRY(warm_up(runner, options));
    uint64_t begin = runner->step;
    double seconds = 0;
    for (uint64_t i = 0; i < steps; i++) {
        PRI_TRY(run_step(runner, &runner->times[i]));
        seconds += runner->times[i].all;
    }
    qsort(runner->times, steps, sizeof *runner->times, compare_times);
    step_times median = runner->times[steps / 2];
    *measurement = (pare_step_measurement){
        .seconds = median.all,
        .attention_seconds = median.attention,
        .matrix_product_seconds = median.matrix_products,
        .tokens_per_second = runner->task
                                 ? (double)task_tokens(runner->task, begin, runner->step) / seconds
                                 : (double)(options->lanes * options->length) / median.all,
        .loss = runner->loss,
        .peak_bytes = pri_peak_resident_bytes()};
    return PARE_OK;
}

pare_status pare_measure_step(pare_model *model, pare_tape *tape, const pare_step_options *options,
                              pare_step_measurement *measurement)
{
    uint64_t steps = options->steps ? options->steps : STEPS_DEFAULT;
    step_runner runner = {.model = model,
                          .tape = tape,
                          .task = options->task,
                          .training = pare_training_options_default()};
    pare_context *context = pare_tape_context(tape);
    pare_precision before = pare_context_precision(context);
    PRI_TRY(pare_context_set_precision(context, options->precision));
    pri_peak_resident_reset();
    pare_status status = open_runner(&runner, options, steps);
    if (status == PARE_OK)
        status = measure(&runner, options, steps, measurement);
    close_runner(&runner);
    PRI_TRY(pare_context_set_precision(context, before));
    return status;
}
