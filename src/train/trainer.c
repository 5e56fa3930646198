/* The training loop. A step is: batches forward and backward, the norm of the gradient, one update.
 * Between steps come, in this order, evaluation (with best weights and early stopping), checkpoint,
 * interruption; the state says which of them are done, so that a resumed run takes up at exactly
 * the same place. */
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "nn/optimizer.h"
#include "train/checkpoint.h"
#include "train/log.h"
#include "train/optimizer.h"

typedef struct training_run {
    pare_model *model;
    pare_task *task;
    pare_tape *tape;
    const pare_training_options *options;
    const pare_progress *progress;
    const char *directory;
    uint64_t steps, steps_between_evaluations;
    pri_optimizer optimizer;
    pri_weight_average average; /* of weights; empty unless that is kept */
    pri_checkpoint checkpoint;
    pri_log log;
    pri_training_state state;
    double began; /* this process */
    uint64_t began_tokens;
    double valid_metric; /* of the last evaluation in this process, for progress notes */
} training_run;

static const char *const keep_names[] = {"best", "last", "average"};

/* ---- Options ---- */

static pare_status check_options(const pare_training_options *options)
{
    if (!(options->rate >= 0 && isfinite(options->rate)) ||
        !(options->minimum_rate >= 0 && options->minimum_rate <= options->rate))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "training.rate %g and minimum_rate %g: need 0 <= minimum_rate <= rate",
                        options->rate, options->minimum_rate);
    if (!(options->beta1 >= 0 && options->beta1 < 1) ||
        !(options->beta2 >= 0 && options->beta2 < 1))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "training.beta1 %g and beta2 %g must be 0 or more and less than 1",
                        options->beta1, options->beta2);
    if (!(options->epsilon > 0) || !(options->weight_decay >= 0) || !(options->clip >= 0))
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "training.epsilon must be positive, weight_decay and clip not negative");
    if (!options->accumulation || !options->log_every)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "training.accumulation and log_every must be 1 or more");
    if (options->patience && options->keep != PARE_KEEP_BEST)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "training.patience waits for better weights, which training.keep %s does "
                        "not look for; leave one out",
                        keep_names[options->keep]);
    if (options->keep == PARE_KEEP_AVERAGE && !options->averaged)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "training.keep average needs training.averaged, the number of evaluations "
                        "whose weights are averaged, such as 5");
    if (!options->steps && !(options->epochs > 0 && isfinite(options->epochs)))
        return pri_fail(PARE_ERROR_ARGUMENT, "set training.steps or a positive training.epochs");
    return PARE_OK;
}

static pare_status plan_steps(training_run *run)
{
    const pare_training_options *options = run->options;
    uint64_t batches = pare_task_batches_per_epoch(run->task);
    if (!batches)
        return pri_fail(PARE_ERROR_ARGUMENT, "the training data hold no batch; use a smaller batch "
                                             "or length");
    double steps_per_epoch = (double)batches / (double)options->accumulation;
    run->steps = options->steps;
    if (!run->steps)
        run->steps = (uint64_t)fmax(1, rint(options->epochs * steps_per_epoch));
    run->steps_between_evaluations = options->evaluate_every;
    if (!run->steps_between_evaluations)
        run->steps_between_evaluations = (uint64_t)ceil(steps_per_epoch);
    if (options->warmup > run->steps)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "training.warmup %llu is longer than the whole training, %llu steps",
                        (unsigned long long)options->warmup, (unsigned long long)run->steps);
    return PARE_OK;
}

pare_status pri_training_check(const pare_training_options *options, pare_task *task)
{
    training_run run = {.task = task, .options = options};
    PRI_TRY(check_options(options));
    return plan_steps(&run);
}

/* The digests of a model's masks, one after the other; "none" without any. */
static void describe_masks(const pare_model *model, char *text, size_t capacity)
{
    size_t used = (size_t)snprintf(text, capacity, "none"), masks = 0;
    for (size_t kind = 0; kind < pare_model_attention_kinds(model); kind++) {
        const pare_mask *mask = pare_model_mask(model, (pare_attention_kind)kind);
        if (!mask)
            continue;
        used = masks++ ? used : 0;
        used += (size_t)snprintf(text + used, capacity - used, "%016llx",
                                 (unsigned long long)pare_mask_digest(mask));
    }
}

/* What has to be the same in every process of a run; names as in recipes where there is one. */
static json_t *describe_identity(const training_run *run)
{
    static const char *const optimizers[] = {"adam", "adamw"};
    static const char *const precisions[] = {"fp32", "bf16"};
    static const char *const schedules[] = {"constant", "cosine", "inverse-square-root", "linear"};
    const pare_training_options *options = run->options;
    char digest[16 * PARE_ATTENTION_KINDS + PARE_ATTENTION_KINDS] = "";
    describe_masks(run->model, digest, sizeof digest);
    return json_pack(
        "{s:s, s:I, s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, "
        "s:I, "
        "s:s, s:I, s:I, s:s, s:I, s:s}",
        "training.keep", keep_names[options->keep], "training.averaged",
        (json_int_t)options->averaged, "training.precision", precisions[options->precision],
        "training.optimizer", optimizers[options->optimizer], "training.schedule",
        schedules[options->schedule], "training.rate", options->rate, "training.minimum_rate",
        options->minimum_rate, "training.beta1", options->beta1, "training.beta2", options->beta2,
        "training.epsilon", options->epsilon, "training.weight_decay", options->weight_decay,
        "training.clip", options->clip, "training.warmup", (json_int_t)options->warmup,
        "training.steps", (json_int_t)run->steps, "training.accumulation",
        (json_int_t)options->accumulation, "training.evaluate_every",
        (json_int_t)run->steps_between_evaluations, "training.patience",
        (json_int_t)options->patience, "training.seed", (json_int_t)options->seed, "task.metric",
        pare_task_metric(run->task), "task.batches_per_epoch",
        (json_int_t)pare_task_batches_per_epoch(run->task), "task.tokens_per_batch",
        (json_int_t)pare_task_training_tokens(run->task, 1), "model.family",
        pare_model_family(run->model), "model.parameters",
        (json_int_t)pare_model_parameter_floats(run->model), "mask.digest", digest);
}

/* ---- Numbers that are none ---- */

/* The first parameter with a value that is not finite, or NULL. */
static const pare_parameter *first_bad_value(const training_run *run)
{
    const pri_optimizer *optimizer = &run->optimizer;
    for (size_t i = 0; i < optimizer->count; i++) {
        const pare_tensor *tensor = &optimizer->parameters[i].tensor;
        double sum =
            pri_sum_of_squares(optimizer->context, tensor->rows * tensor->columns, tensor->value);
        if (!isfinite(sum))
            return &optimizer->parameters[i];
    }
    return NULL;
}

/* Backward runs from the last layer to the first and carries a NaN along: it arose at the last
 * parameter that has one, or above. */
static const pare_parameter *last_bad_gradient(const training_run *run)
{
    const pri_optimizer *optimizer = &run->optimizer;
    for (size_t i = optimizer->count; i > 0; i--) {
        const pare_tensor *tensor = &optimizer->parameters[i - 1].tensor;
        if (tensor->gradient &&
            !isfinite(pri_sum_of_squares(optimizer->context, tensor->rows * tensor->columns,
                                         tensor->gradient)))
            return &optimizer->parameters[i - 1];
    }
    return NULL;
}

/* The parameter with the largest root mean square: where a model that overflows has grown. */
static const pare_parameter *largest_parameter(const training_run *run, double *root_mean_square)
{
    const pri_optimizer *optimizer = &run->optimizer;
    const pare_parameter *largest = NULL;
    *root_mean_square = -1;
    for (size_t i = 0; i < optimizer->count; i++) {
        const pare_tensor *tensor = &optimizer->parameters[i].tensor;
        size_t floats = tensor->rows * tensor->columns;
        double sum = pri_sum_of_squares(optimizer->context, floats, tensor->value);
        double root = floats ? sqrt(sum / (double)floats) : 0;
        if (root > *root_mean_square) {
            *root_mean_square = root;
            largest = &optimizer->parameters[i];
        }
    }
    return largest;
}

#define NUMERIC_ADVICE                                                                             \
    "lower training.rate, add warm-up or clip harder (training.clip); the last checkpoint is "     \
    "intact"

static pare_status fail_bad_value(uint64_t step, const pare_parameter *parameter)
{
    return pri_fail(PARE_ERROR_NUMERIC, "step %llu: weights of %s are not finite; " NUMERIC_ADVICE,
                    (unsigned long long)step, parameter->name);
}

static pare_status fail_bad_loss(const training_run *run, uint64_t step, const char *what,
                                 double loss)
{
    const pare_parameter *bad = first_bad_value(run);
    if (bad)
        return fail_bad_value(step, bad);
    double root;
    const pare_parameter *largest = largest_parameter(run, &root);
    return pri_fail(PARE_ERROR_NUMERIC,
                    "step %llu: %s is %g; all weights are finite, the largest are in %s (root mean "
                    "square %.3g); " NUMERIC_ADVICE,
                    (unsigned long long)step, what, loss, largest ? largest->name : "no layer",
                    root);
}

static pare_status fail_bad_gradient(const training_run *run, uint64_t step)
{
    const pare_parameter *bad = last_bad_gradient(run);
    return pri_fail(PARE_ERROR_NUMERIC,
                    "step %llu: the gradient of %s is not finite; " NUMERIC_ADVICE,
                    (unsigned long long)step, bad ? bad->name : "the model");
}

/* ---- One step ---- */

static pare_status run_batch(training_run *run, uint64_t step, uint64_t batch, double *loss)
{
    const pare_training_options *options = run->options;
    uint64_t index = (step - 1) * options->accumulation + batch;
    pare_tape_begin(run->tape, true, pri_random_key(options->seed, "dropout", index));
    pare_tensor *mean = pare_task_training_loss(run->task, run->model, run->tape);
    PRI_TRY(pare_tape_status(run->tape));
    *loss = (double)mean->value[0];
    if (!isfinite(*loss))
        return fail_bad_loss(run, step, "the loss", *loss);
    return pare_tape_backward(run->tape, mean, 1 / (float)options->accumulation);
}

static uint64_t tokens_of_steps(const training_run *run, uint64_t steps)
{
    return pare_task_training_tokens(run->task, steps * run->options->accumulation);
}

static pare_status log_step(training_run *run, double rate, double norm)
{
    pri_training_state *state = &run->state;
    if (state->step % run->options->log_every && state->step != run->steps)
        return PARE_OK;
    double batches = (double)state->step * (double)run->options->accumulation;
    json_t *line = json_pack(
        "{s:s, s:I, s:f, s:f, s:f, s:f, s:I, s:f}", "event", "step", "step",
        (json_int_t)state->step, "epoch", batches / (double)pare_task_batches_per_epoch(run->task),
        "loss", state->loss_sum / (double)state->loss_count, "rate", rate, "gradient_norm", norm,
        "tokens", (json_int_t)state->tokens, "seconds", state->seconds);
    state->loss_sum = 0;
    state->loss_count = 0;
    return pri_log_write(&run->log, line);
}

static void report_step(const training_run *run, double loss, double rate)
{
    if (!run->progress || !run->progress->report)
        return;
    char note[96];
    int length = snprintf(note, sizeof note, "loss %.3f rate %.1e", loss, rate);
    if (isfinite(run->valid_metric))
        snprintf(note + length, sizeof note - (size_t)length, " valid %.4g", run->valid_metric);
    pare_progress_event event = {.label = "train",
                                 .unit = "tokens",
                                 .done = run->state.tokens,
                                 .total = tokens_of_steps(run, run->steps),
                                 .seconds = pri_clock_seconds() - run->began,
                                 .done_at_start = run->began_tokens,
                                 .note = note};
    run->progress->report(run->progress->user, &event);
}

static pare_status run_batches(training_run *run, uint64_t step, double *loss)
{
    uint64_t batches = run->options->accumulation;
    *loss = 0;
    pare_model_zero_gradients(run->model);
    for (uint64_t batch = 0; batch < batches; batch++) {
        double batch_loss;
        PRI_TRY(run_batch(run, step, batch, &batch_loss));
        *loss += batch_loss / (double)batches;
    }
    return PARE_OK;
}

/* Evaluation, which comes between steps, is not to see the precision of training. */
static pare_status run_batches_in_precision(training_run *run, uint64_t step, double *loss)
{
    pare_context *context = pare_tape_context(run->tape);
    pare_precision before = pare_context_precision(context);
    PRI_TRY(pare_context_set_precision(context, run->options->precision));
    pare_status status = run_batches(run, step, loss);
    PRI_TRY(pare_context_set_precision(context, before));
    return status;
}

static bool ends_period(const training_run *run, uint64_t step)
{
    return step % run->steps_between_evaluations == 0 || step == run->steps;
}

/* Whether the weights after this step are among those to be averaged: the last ones at which an
 * evaluation is due. */
static bool is_averaged(const training_run *run, uint64_t step)
{
    uint64_t between = run->steps_between_evaluations;
    uint64_t periods = run->steps / between + (run->steps % between != 0);
    uint64_t period = step / between + (step % between != 0);
    return ends_period(run, step) && period + run->options->averaged > periods;
}

static pare_status run_step(training_run *run)
{
    const pare_training_options *options = run->options;
    pri_training_state *state = &run->state;
    uint64_t step = state->step + 1;
    double start = pri_clock_seconds();
    double attention_start = pare_tape_attention_seconds(run->tape), loss;
    PRI_TRY(run_batches_in_precision(run, step, &loss));
    double norm = pri_optimizer_gradient_norm(&run->optimizer);
    if (!isfinite(norm))
        return fail_bad_gradient(run, step);
    double rate = pare_schedule_rate(options, step, run->steps);
    double scale = options->clip > 0 ? fmin(1, options->clip / (norm + 1e-6)) : 1;
    pri_optimizer_step(&run->optimizer, options, step, rate, scale);
    state->step = step;
    state->tokens = tokens_of_steps(run, step);
    state->loss_sum += loss;
    state->loss_count++;
    state->seconds += pri_clock_seconds() - start;
    state->attention_seconds += pare_tape_attention_seconds(run->tape) - attention_start;
    if (run->average.sums && is_averaged(run, step))
        pri_weight_average_add(&run->average, pare_tape_context(run->tape), run->model);
    report_step(run, loss, rate);
    return log_step(run, rate, norm);
}

/* ---- Between steps ---- */

/* Without a choice to make, validation is looked at only when that was asked for. */
static bool evaluates(const training_run *run)
{
    return run->options->keep == PARE_KEEP_BEST || run->options->evaluate_every;
}

static bool evaluation_due(const training_run *run)
{
    const pri_training_state *state = &run->state;
    if (!evaluates(run))
        return false;
    return ends_period(run, state->step) && state->evaluated_step < state->step;
}

static bool worth_keeping(const training_run *run, double metric)
{
    const pri_training_state *state = &run->state;
    if (!state->best_step || run->options->keep != PARE_KEEP_BEST)
        return true;
    return pare_task_higher_is_better(run->task) ? metric > state->best_metric
                                                 : metric < state->best_metric;
}

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static pare_status log_evaluation(training_run *run, const pare_evaluation *evaluation, bool best)
{
    return pri_log_write(&run->log,
                         json_pack("{s:s, s:I, s:f, s:o, s:b, s:f}", "event", "evaluation", "step",
                                   (json_int_t)run->state.step, "loss", evaluation->loss,
                                   pare_task_metric(run->task), number_or_null(evaluation->metric),
                                   "best", best, "seconds", evaluation->seconds));
}

static pare_status evaluate(training_run *run)
{
    pri_training_state *state = &run->state;
    pare_evaluation evaluation;
    PRI_TRY(pare_task_evaluate(run->task, run->model, run->tape, PARE_SPLIT_VALID, run->progress,
                               &evaluation));
    if (!isfinite(evaluation.loss))
        return fail_bad_loss(run, state->step, "the loss on validation", evaluation.loss);
    run->valid_metric = evaluation.metric;
    bool best = worth_keeping(run, evaluation.metric);
    if (best) {
        PRI_TRY(pare_model_save(run->model, run->directory));
        state->best_step = state->step;
        state->best_loss = evaluation.loss;
        state->best_metric = evaluation.metric;
    }
    state->without_improvement = best ? 0 : state->without_improvement + 1;
    state->evaluated_step = state->step;
    uint64_t patience = run->options->patience;
    state->stopped_early =
        patience && state->without_improvement >= patience && state->step < run->steps;
    return log_evaluation(run, &evaluation, best);
}

static pare_status write_checkpoint(training_run *run)
{
    pri_training_state *state = &run->state;
    const pare_parameter *bad = first_bad_value(run);
    if (bad)
        return fail_bad_value(state->step, bad);
    size_t peak = pri_peak_resident_bytes();
    if (peak > state->peak_bytes)
        state->peak_bytes = peak;
    PRI_TRY(pri_log_flush(&run->log));
    state->log_bytes = run->log.bytes;
    return pri_checkpoint_write(&run->checkpoint, state, run->model, run->task, &run->optimizer,
                                &run->average);
}

static bool checkpoint_due(const training_run *run, bool evaluated)
{
    const pare_training_options *options = run->options;
    uint64_t step = run->state.step;
    if (options->checkpoint_every ? step % options->checkpoint_every == 0 : evaluated)
        return true;
    return options->checkpoint_seconds > 0 &&
           pri_clock_seconds() - run->checkpoint.time >= options->checkpoint_seconds;
}

static pare_status stop_interrupted(training_run *run)
{
    if (run->state.step)
        PRI_TRY(write_checkpoint(run));
    return pri_fail(PARE_ERROR_INTERRUPTED,
                    "interrupted after step %llu of %llu; the same command continues from there",
                    (unsigned long long)run->state.step, (unsigned long long)run->steps);
}

static pare_status finish(training_run *run)
{
    if (run->options->keep == PARE_KEEP_AVERAGE)
        pri_weight_average_apply(&run->average, run->model);
    if (run->options->keep != PARE_KEEP_BEST)
        PRI_TRY(pare_model_save(run->model, run->directory));
    return write_checkpoint(run);
}

static pare_status train_to_the_end(training_run *run)
{
    pri_training_state *state = &run->state;
    bool stepped = false;
    for (;;) {
        bool evaluated = evaluation_due(run);
        if (evaluated) {
            pare_status status = evaluate(run);
            if (status == PARE_ERROR_INTERRUPTED)
                return stop_interrupted(run);
            PRI_TRY(status);
        }
        state->finished = state->step == run->steps || state->stopped_early;
        if (state->finished)
            return finish(run);
        if (stepped && checkpoint_due(run, evaluated))
            PRI_TRY(write_checkpoint(run));
        if (pare_interrupted())
            return stop_interrupted(run);
        PRI_TRY(run_step(run));
        stepped = true;
    }
}

/* ---- All of it ---- */

static pare_status open_log(training_run *run)
{
    char *path = pri_path_join(run->directory, "log.jsonl");
    pare_status status =
        path ? pri_log_open(path, run->state.log_bytes, &run->log) : PARE_ERROR_MEMORY;
    pri_free(path);
    return status;
}

static pare_status begin_or_resume(training_run *run)
{
    PRI_TRY(plan_steps(run));
    PRI_TRY(pri_checkpoint_open(run->directory, describe_identity(run), &run->checkpoint));
    PRI_TRY(pri_checkpoint_find(&run->checkpoint, &run->state));
    if (run->state.finished)
        return PARE_OK;
    PRI_TRY(pri_optimizer_create(pare_tape_context(run->tape), run->model, &run->optimizer));
    if (run->options->keep == PARE_KEEP_AVERAGE)
        PRI_TRY(pri_weight_average_create(run->model, &run->average));
    pare_task_rewind(run->task);
    if (run->checkpoint.current[0])
        PRI_TRY(pri_checkpoint_load(&run->checkpoint, &run->state, run->model, run->task,
                                    &run->optimizer, &run->average));
    run->began_tokens = run->state.tokens;
    return open_log(run);
}

static pare_status load_best(training_run *run)
{
    char *path = pri_path_join(run->directory, "model.safetensors");
    pare_status status = path ? pare_model_load_weights(run->model, path) : PARE_ERROR_MEMORY;
    pri_free(path);
    return status;
}

static pare_training_result summarize(const pri_training_state *state)
{
    return (pare_training_result){
        .steps = state->step,
        .tokens = state->tokens,
        .best_loss = state->best_loss,
        .best_metric = state->best_metric,
        .best_step = state->best_step,
        .seconds = state->seconds,
        .attention_seconds = state->attention_seconds,
        .tokens_per_second = state->seconds > 0 ? (double)state->tokens / state->seconds : 0,
        .peak_bytes = (size_t)state->peak_bytes,
        .stopped_early = state->stopped_early,
    };
}

pare_status pare_train(pare_model *model, pare_task *task, pare_tape *tape,
                       const pare_training_options *options, const char *directory,
                       const pare_progress *progress, pare_training_result *result)
{
    *result = (pare_training_result){.steps = 0};
    PRI_TRY(check_options(options));
    PRI_TRY(pare_context_check_precision(pare_tape_context(tape), options->precision));
    PRI_TRY(pare_task_check_model(task, model));
    training_run run = {.model = model,
                        .task = task,
                        .tape = tape,
                        .options = options,
                        .progress = progress,
                        .directory = directory,
                        .log = {.descriptor = -1},
                        .began = pri_clock_seconds(),
                        .valid_metric = INFINITY};
    pare_status status = begin_or_resume(&run);
    if (status == PARE_OK && !run.state.finished)
        status = train_to_the_end(&run);
    if (status == PARE_OK)
        status = load_best(&run);
    if (status == PARE_OK)
        *result = summarize(&run.state);
    pri_log_close(&run.log);
    pri_checkpoint_close(&run.checkpoint);
    pri_optimizer_destroy(&run.optimizer);
    pri_weight_average_free(&run.average);
    return status;
}
