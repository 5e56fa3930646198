/* The trainer's behaviour inside one process: interruption and resuming, best weights and early
 * stopping, finished runs, refused settings, numbers that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "tasks/task.h"
#include "training_fixture.h"

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        if ((call) != PARE_OK)                                                                     \
            fail_msg("%s", pare_error_message());                                                  \
    } while (0)

/* ---- A task that interferes ---- */

/* Passes everything on to a real task, but spoils numbers or invents metrics when told to. */
typedef struct meddling_task {
    pare_task task;
    pare_task *inner;
    uint64_t batches, spoil_batch; /* counted from 1; 0: never */
    bool spoil_gradient;           /* else a weight */
    const char *spoil_parameter;
    const double *metrics; /* of successive evaluations, or NULL */
    size_t evaluations;
} meddling_task;

static meddling_task *meddling(const pare_task *task)
{
    return (meddling_task *)(uintptr_t)task;
}

static void destroy(pare_task *task)
{
    (void)task;
}

static const char *metric(const pare_task *task)
{
    return pare_task_metric(meddling(task)->inner);
}

static uint64_t batches_per_epoch(const pare_task *task)
{
    return pare_task_batches_per_epoch(meddling(task)->inner);
}

static uint64_t training_tokens(const pare_task *task, uint64_t batches)
{
    return pare_task_training_tokens(meddling(task)->inner, batches);
}

static void spoil(const meddling_task *meddler, pare_model *model)
{
    size_t count;
    pare_parameter *parameters = pare_model_parameters(model, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(parameters[i].name, meddler->spoil_parameter))
            continue;
        float *numbers =
            meddler->spoil_gradient ? parameters[i].tensor.gradient : parameters[i].tensor.value;
        numbers[0] = NAN;
        return;
    }
    fail_msg("no parameter %s", meddler->spoil_parameter);
}

static pare_tensor *training_loss(pare_task *task, pare_model *model, pare_tape *tape)
{
    meddling_task *meddler = meddling(task);
    if (++meddler->batches == meddler->spoil_batch)
        spoil(meddler, model);
    return pare_task_training_loss(meddler->inner, model, tape);
}

static void rewind_task(pare_task *task)
{
    pare_task_rewind(meddling(task)->inner);
}

static pare_status save_state(const pare_task *task, const char *path)
{
    return pare_task_save_state(meddling(task)->inner, path);
}

static pare_status load_state(pare_task *task, const char *path)
{
    return pare_task_load_state(meddling(task)->inner, path);
}

static pare_status evaluate(pare_task *task, pare_model *model, pare_tape *tape, pare_split split,
                            const pare_progress *progress, pare_evaluation *evaluation)
{
    meddling_task *meddler = meddling(task);
    if (!meddler->metrics)
        return pare_task_evaluate(meddler->inner, model, tape, split, progress, evaluation);
    *evaluation = (pare_evaluation){.loss = 1, .metric = meddler->metrics[meddler->evaluations++]};
    return PARE_OK;
}

static const pri_task_functions lower_is_better = {
    .destroy = destroy,
    .metric = metric,
    .batches_per_epoch = batches_per_epoch,
    .training_tokens = training_tokens,
    .training_loss = training_loss,
    .rewind = rewind_task,
    .save_state = save_state,
    .load_state = load_state,
    .evaluate = evaluate,
};

/* ---- Running ---- */

typedef struct stop_after {
    const char *label; /* first event of this label from `done` tokens on interrupts */
    uint64_t done;
    uint64_t train_events, last_done, last_total, done_at_start;
    char last_note[128];
} stop_after;

static void watch(void *user, const pare_progress_event *event)
{
    stop_after *stop = user;
    bool train = !strcmp(event->label, "train");
    if (train) {
        stop->train_events++;
        stop->last_done = event->done;
        stop->last_total = event->total;
        stop->done_at_start = event->done_at_start;
        snprintf(stop->last_note, sizeof stop->last_note, "%s", event->note);
    }
    if (stop->label && strstr(event->label, stop->label) &&
        (train ? event->done : stop->last_done) >= stop->done)
        pare_interrupt();
}

static pare_status train_in(const char *corpus, const char *directory,
                            const pare_training_options *options, int threads, stop_after *stop,
                            meddling_task *meddler, pare_training_result *result)
{
    training_fixture fixture = open_fixture(corpus, threads);
    pare_progress progress = {stop ? watch : NULL, stop};
    pare_task *task = fixture.task;
    if (meddler) {
        meddler->inner = fixture.task;
        task = &meddler->task;
        if (!task->functions)
            task->functions = &lower_is_better;
    }
    pare_interrupt_clear();
    pare_status status =
        pare_train(fixture.model, task, fixture.tape, options, directory, &progress, result);
    pare_interrupt_clear();
    close_fixture(&fixture);
    return status;
}

typedef struct test_directory {
    char *root, *reference, *other;
} test_directory;

static int set_up(void **state)
{
    test_directory *directory = pri_allocate(1, sizeof *directory);
    directory->root = make_directory();
    directory->reference = pri_path_join(directory->root, "reference");
    directory->other = pri_path_join(directory->root, "other");
    write_corpus(directory->root);
    *state = directory;
    return 0;
}

static int tear_down(void **state)
{
    test_directory *directory = *state;
    int failed = pri_remove_tree(directory->root) != PARE_OK;
    pri_free(directory->root);
    pri_free(directory->reference);
    pri_free(directory->other);
    pri_free(directory);
    return failed;
}

static bool exists(const char *directory, const char *name)
{
    char *path = pri_path_join(directory, name);
    bool found = pri_path_exists(path);
    pri_free(path);
    return found;
}

/* ---- Tests ---- */

static void training_lowers_the_loss_and_logs_it(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    options.steps = 60;
    options.rate = .02;
    pare_training_result result;
    stop_after watcher = {.label = NULL};
    assert_ok(
        train_in(directory->root, directory->reference, &options, 2, &watcher, NULL, &result));
    assert_int_equal(result.steps, 60);
    /* 120 batches of 4 lanes: 3 epochs of 299 predictions, then 6 batches of 8. */
    assert_int_equal(result.tokens, 4 * (3 * 299 + 6 * 8));
    assert_true(result.best_loss < 3); /* uniform over 256 bytes: 5.5; entropy of the text: 2.2 */
    assert_true(result.best_step > 0 && result.best_step % 4 == 0);
    assert_true(result.seconds > 0 && result.attention_seconds > 0);
    assert_true(result.attention_seconds < result.seconds);
    assert_true(fabs(result.tokens_per_second * result.seconds - 3780) < 1e-6 * 3780);
    assert_true(result.peak_bytes > 1000000);
    assert_false(result.stopped_early);

    assert_int_equal(watcher.train_events, 60);
    assert_int_equal(watcher.last_done, 3780);
    assert_int_equal(watcher.last_total, 3780);
    assert_non_null(strstr(watcher.last_note, "loss "));
    assert_non_null(strstr(watcher.last_note, " rate "));
    assert_non_null(strstr(watcher.last_note, " valid "));

    json_t *lines = read_objects(directory->reference, "log.jsonl");
    size_t steps = 0, evaluations = 0;
    for (size_t i = 0; i < json_array_size(lines); i++) {
        json_t *line = json_array_get(lines, i);
        bool step = !strcmp(json_string_value(json_object_get(line, "event")), "step");
        steps += step;
        evaluations += !step;
        assert_true(json_real_value(json_object_get(line, "loss")) > 0);
        if (step)
            assert_true(json_real_value(json_object_get(line, "gradient_norm")) > 0);
    }
    assert_int_equal(steps, 12);
    assert_int_equal(evaluations, 15);
    json_decref(lines);
}

static void the_returned_model_holds_the_best_weights(void **state)
{
    const test_directory *directory = *state;
    const double metrics[] = {5, 4, 4.5};
    meddling_task meddler = {.metrics = metrics};
    pare_training_options options = small_options();
    training_fixture fixture = open_fixture(directory->root, 1);
    meddler.inner = fixture.task;
    meddler.task.functions = &lower_is_better;
    pare_training_result result;
    assert_ok(pare_train(fixture.model, &meddler.task, fixture.tape, &options, directory->reference,
                         NULL, &result));
    assert_int_equal(result.best_step, 8);
    assert_true(result.best_metric == 4);
    char *saved = pri_path_join(directory->root, "saved");
    assert_ok(pare_model_save(fixture.model, saved));
    assert_true(same_file(saved, directory->reference, "model.safetensors"));
    pri_free(saved);
    close_fixture(&fixture);

    /* The last weights are others. */
    char *last = pri_path_join(directory->reference, "last/step-12");
    size_t size_best, size_last;
    uint8_t *best_data = read_whole(directory->reference, "model.safetensors", &size_best);
    uint8_t *last_data = read_whole(last, "model.safetensors", &size_last);
    assert_true(size_best == size_last && memcmp(best_data, last_data, size_best));
    pri_free(best_data);
    pri_free(last_data);
    pri_free(last);
}

static void the_last_weights_can_be_kept(void **state)
{
    const test_directory *directory = *state;
    training_fixture fixture = open_fixture(directory->root, 1);
    pare_training_options options = small_options();
    options.keep = PARE_KEEP_LAST;
    options.evaluate_every = 0;
    pare_training_result result;
    assert_ok(pare_train(fixture.model, fixture.task, fixture.tape, &options, directory->other,
                         NULL, &result));
    assert_int_equal(result.best_step, 0);
    char *last = pri_path_join(directory->other, "last/step-12");
    assert_true(same_file(directory->other, last, "model.safetensors"));
    pri_free(last);
    json_t *lines = read_objects(directory->other, "log.jsonl");
    for (size_t i = 0; i < json_array_size(lines); i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(lines, i), "event")),
                            "step");
    json_decref(lines);
    close_fixture(&fixture);
}

/* Weights of a run that was stopped after `step`, end to end. */
static float *weights_after(const test_directory *directory, const pare_training_options *options,
                            uint64_t step, size_t *floats)
{
    training_fixture fixture = open_fixture(directory->root, 1);
    stop_after stop = {.label = "train", .done = step * 64};
    pare_training_result result;
    char name[64];
    assert_ok(pri_remove_tree(directory->other));
    assert_int_equal(train_in(directory->root, directory->other, options, 1, &stop, NULL, &result),
                     PARE_ERROR_INTERRUPTED);
    snprintf(name, sizeof name, "last/step-%d/model.safetensors", (int)step);
    char *path = pri_path_join(directory->other, name);
    assert_ok(pare_model_load_weights(fixture.model, path));
    pri_free(path);
    size_t count;
    *floats = pare_model_parameter_floats(fixture.model);
    float *copy = pri_allocate(*floats, sizeof *copy);
    memcpy(copy, pare_model_parameters(fixture.model, &count)[0].tensor.value,
           *floats * sizeof *copy);
    close_fixture(&fixture);
    return copy;
}

/* Of 12 steps with an evaluation every 5 the last two are those after 10 and 12. */
static void averaged_weights_are_the_mean_of_the_last_evaluations(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    options.keep = PARE_KEEP_AVERAGE;
    options.averaged = 2;
    options.evaluate_every = 5;
    pare_training_result result;
    training_fixture fixture = open_fixture(directory->root, 1);
    assert_ok(pare_train(fixture.model, fixture.task, fixture.tape, &options, directory->reference,
                         NULL, &result));
    pare_training_options longer = options;
    longer.keep = PARE_KEEP_LAST;
    longer.averaged = 0;
    size_t floats, count;
    float *tenth = weights_after(directory, &longer, 10, &floats);
    assert_ok(pri_remove_tree(directory->other));
    assert_ok(train_in(directory->root, directory->other, &longer, 1, NULL, NULL, &result));
    training_fixture last = open_fixture(directory->root, 1);
    char *path = pri_path_join(directory->other, "model.safetensors");
    assert_ok(pare_model_load_weights(last.model, path));
    pri_free(path);
    const float *averaged = pare_model_parameters(fixture.model, &count)[0].tensor.value;
    const float *twelfth = pare_model_parameters(last.model, &count)[0].tensor.value;
    for (size_t i = 0; i < floats; i++)
        assert_true(averaged[i] == (float)(((double)tenth[i] + (double)twelfth[i]) / 2));
    assert_memory_not_equal(averaged, twelfth, floats * sizeof *averaged);
    pri_free(tenth);
    close_fixture(&last);
    close_fixture(&fixture);
}

static void averages_survive_an_interruption(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    options.keep = PARE_KEEP_AVERAGE;
    options.averaged = 3;
    options.evaluate_every = 2;
    pare_training_result result;
    assert_ok(train_in(directory->root, directory->reference, &options, 2, NULL, NULL, &result));
    for (uint64_t step = 7; step <= 11; step++) {
        stop_after stop = {.label = "train", .done = step * 64};
        assert_ok(pri_remove_tree(directory->other));
        assert_int_equal(
            train_in(directory->root, directory->other, &options, 1, &stop, NULL, &result),
            PARE_ERROR_INTERRUPTED);
        assert_ok(train_in(directory->root, directory->other, &options, 1, NULL, NULL, &result));
        assert_true(same_runs(directory->reference, directory->other, "step-12"));
    }
}

static void interrupted_at_any_step_it_ends_with_the_same_bits(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    pare_training_result result, resumed;
    assert_ok(train_in(directory->root, directory->reference, &options, 2, NULL, NULL, &result));
    for (uint64_t step = 1; step <= 11; step++) {
        stop_after stop = {.label = "train", .done = step * 64};
        assert_ok(pri_remove_tree(directory->other));
        assert_int_equal(train_in(directory->root, directory->other, &options, 1 + (int)step % 3,
                                  &stop, NULL, &resumed),
                         PARE_ERROR_INTERRUPTED);
        assert_non_null(strstr(pare_error_message(), "the same command continues"));
        stop_after rest = {.label = NULL};
        assert_ok(train_in(directory->root, directory->other, &options, 1 + (int)step % 2, &rest,
                           NULL, &resumed));
        assert_int_equal(rest.train_events, 12 - step);
        assert_int_equal(rest.done_at_start, step * 64);
        assert_true(same_runs(directory->reference, directory->other, "step-12"));
        assert_true(resumed.best_loss == result.best_loss);
        assert_int_equal(resumed.best_step, result.best_step);
        assert_int_equal(resumed.tokens, result.tokens);
    }
}

static void interrupted_in_an_evaluation_it_does_it_again(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    pare_training_result result;
    assert_ok(train_in(directory->root, directory->reference, &options, 2, NULL, NULL, &result));
    stop_after stop = {.label = "evaluate", .done = 8 * 64};
    assert_int_equal(train_in(directory->root, directory->other, &options, 2, &stop, NULL, &result),
                     PARE_ERROR_INTERRUPTED);
    assert_true(exists(directory->other, "last/step-8"));
    stop_after rest = {.label = NULL};
    assert_ok(train_in(directory->root, directory->other, &options, 2, &rest, NULL, &result));
    assert_int_equal(rest.train_events, 4);
    assert_true(same_runs(directory->reference, directory->other, "step-12"));
}

static void a_finished_run_returns_at_once(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    pare_training_result first, second;
    assert_ok(train_in(directory->root, directory->reference, &options, 2, NULL, NULL, &first));
    stop_after watcher = {.label = NULL};
    assert_ok(
        train_in(directory->root, directory->reference, &options, 2, &watcher, NULL, &second));
    assert_int_equal(watcher.train_events, 0);
    assert_memory_equal(&first, &second, sizeof first);
}

static void early_stopping_counts_evaluations(void **state)
{
    const test_directory *directory = *state;
    const double falling_then_not[] = {5, 4, 4.5, 4, 3};
    meddling_task meddler = {.metrics = falling_then_not};
    pare_training_options options = small_options();
    options.steps = 20;
    options.patience = 2;
    pare_training_result result;
    assert_ok(
        train_in(directory->root, directory->reference, &options, 1, NULL, &meddler, &result));
    assert_true(result.stopped_early);
    assert_int_equal(result.steps, 16);
    assert_int_equal(result.best_step, 8);
    assert_true(exists(directory->reference, "last/step-16"));

    pri_task_functions higher = lower_is_better;
    higher.higher_is_better = true;
    const double rising[] = {1, 2, 3, 2, 5};
    meddling_task climber = {.task = {.functions = &higher}, .metrics = rising};
    assert_ok(train_in(directory->root, directory->other, &options, 1, NULL, &climber, &result));
    assert_false(result.stopped_early);
    assert_int_equal(result.best_step, 20);
    assert_true(result.best_metric == 5);
}

static void epochs_give_steps(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    options.steps = 0;
    options.epochs = .5;
    options.evaluate_every = 0;
    pare_training_result result;
    assert_ok(train_in(directory->root, directory->reference, &options, 1, NULL, NULL, &result));
    /* 1200 bytes in 4 lanes: 299 predictions, 38 batches, 19 steps of two batches. */
    assert_int_equal(result.steps, 10);
    assert_int_equal(result.best_step, 10);
}

static void other_settings_are_refused_by_name(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    pare_training_result result;
    stop_after stop = {.label = "train", .done = 3 * 64};
    assert_int_equal(
        train_in(directory->root, directory->reference, &options, 1, &stop, NULL, &result),
        PARE_ERROR_INTERRUPTED);
    pare_training_options other = options;
    other.rate = .02;
    assert_int_equal(
        train_in(directory->root, directory->reference, &other, 1, NULL, NULL, &result),
        PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "training.rate 0.01, not 0.02"));
    other = options;
    other.seed = 99;
    assert_int_equal(
        train_in(directory->root, directory->reference, &other, 1, NULL, NULL, &result),
        PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "training.seed 1, not 99"));

    /* How often to write checkpoints is no part of the result. */
    other = options;
    other.checkpoint_every = 2;
    other.checkpoint_seconds = 1;
    assert_ok(train_in(directory->root, directory->reference, &other, 1, NULL, NULL, &result));
    assert_int_equal(result.steps, 12);
}

static pare_status train_under_random_mask(const char *corpus, const char *directory, uint64_t seed,
                                           uint64_t *pruned_cells)
{
    training_fixture fixture = open_fixture(corpus, 1);
    pare_geometry geometry = pare_model_attention_geometry(fixture.model, PARE_ATTENTION_SELF, 8);
    pare_average *average;
    assert_ok(pare_average_create(&geometry, &average));
    pare_observer observer = pare_average_observer(average, 0); /* counts are all layers' */
    for (size_t row = 0; row < geometry.queries; row++)
        for (size_t key = 0; key <= row + geometry.keys - geometry.queries; key++)
            observer.counts[row * geometry.keys + key] = 1;
    pare_average_add_examples(average, 1);
    pare_prune_options prune = {.method = PARE_METHOD_RANDOM, .percent = 50, .seed = seed};
    pare_mask *mask;
    assert_ok(pare_mask_create(average, &prune, &mask));
    pare_average_destroy(average);
    *pruned_cells = pare_mask_describe(mask).pruned_cells;
    assert_ok(pare_model_set_mask(fixture.model, PARE_ATTENTION_SELF, mask));
    pare_training_options options = small_options();
    pare_training_result result;
    pare_progress progress = {NULL, NULL};
    pare_status status = pare_train(fixture.model, fixture.task, fixture.tape, &options, directory,
                                    &progress, &result);
    close_fixture(&fixture);
    pare_mask_destroy(mask);
    return status;
}

static void another_mask_of_the_same_size_is_refused(void **state)
{
    const test_directory *directory = *state;
    uint64_t first, second;
    assert_ok(train_under_random_mask(directory->root, directory->reference, 1, &first));
    assert_ok(train_under_random_mask(directory->root, directory->reference, 1, &second));
    assert_int_equal(train_under_random_mask(directory->root, directory->reference, 2, &second),
                     PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "mask.digest"));
    assert_int_equal(first, second);
}

static void a_run_of_a_version_with_fewer_settings_is_refused(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    pare_training_result result;
    assert_ok(train_in(directory->root, directory->reference, &options, 1, NULL, NULL, &result));
    char path[512];
    snprintf(path, sizeof path, "%s/trainer.json", directory->reference);
    json_t *trainer = json_load_file(path, 0, NULL);
    json_object_del(json_object_get(trainer, "settings"), "training.averaged");
    assert_int_equal(json_dump_file(trainer, path, 0), 0);
    json_decref(trainer);
    assert_int_equal(
        train_in(directory->root, directory->reference, &options, 1, NULL, NULL, &result),
        PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "does not know training.averaged"));
}

static void impossible_options_are_refused(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options[8];
    for (size_t i = 0; i < 8; i++)
        options[i] = small_options();
    options[0].rate = -1;
    options[1].beta2 = 1;
    options[2].accumulation = 0;
    options[3].warmup = 13;
    options[4].steps = 0;
    options[4].epochs = NAN;
    options[5].epsilon = 0;
    options[6].keep = PARE_KEEP_LAST;
    options[6].patience = 2;
    options[7].keep = PARE_KEEP_AVERAGE;
    for (size_t i = 0; i < 8; i++) {
        pare_training_result result;
        assert_int_equal(
            train_in(directory->root, directory->reference, &options[i], 1, NULL, NULL, &result),
            PARE_ERROR_ARGUMENT);
        assert_non_null(strstr(pare_error_message(), "training."));
    }
}

static bool has_bf16(const test_directory *directory)
{
    training_fixture fixture = open_fixture(directory->root, 1);
    bool has = pare_context_set_precision(fixture.context, PARE_PRECISION_BF16) == PARE_OK;
    close_fixture(&fixture);
    return has;
}

/* Rounds a little differently than fp32, the same for any number of threads; never half a run. */
static void bf16_trains_or_is_refused(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    options.precision = PARE_PRECISION_BF16;
    pare_training_result result, other;
    pare_status status =
        train_in(directory->root, directory->reference, &options, 1, NULL, NULL, &result);
    if (!has_bf16(directory)) {
        assert_int_equal(status, PARE_ERROR_UNSUPPORTED);
        assert_false(pri_path_exists(directory->reference));
        return;
    }
    assert_ok(status);
    assert_ok(train_in(directory->root, directory->other, &options, 3, NULL, NULL, &other));
    assert_true(same_file(directory->reference, directory->other, "model.safetensors"));
    options.precision = PARE_PRECISION_FP32;
    assert_int_equal(
        train_in(directory->root, directory->reference, &options, 1, NULL, NULL, &other),
        PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "training.precision \"bf16\", not \"fp32\""));
    assert_int_equal(pri_remove_tree(directory->other), PARE_OK);
    assert_ok(train_in(directory->root, directory->other, &options, 1, NULL, NULL, &other));
    assert_true(result.best_loss != other.best_loss);
    assert_true(fabs(result.best_loss - other.best_loss) < .01);
}

/* Stops at step 5 (batch 10), after the checkpoint of step 3; then resumes to the right end. */
static void spoil_and_recover(const test_directory *directory, bool gradient, const char *message)
{
    const char *name = "transformer.layers.1.pos_ff.CoreNet.0.weight";
    pare_training_options options = small_options();
    pare_training_result result;
    assert_ok(train_in(directory->root, directory->reference, &options, 2, NULL, NULL, &result));
    meddling_task meddler = {
        .spoil_batch = 10, .spoil_gradient = gradient, .spoil_parameter = name};
    assert_int_equal(
        train_in(directory->root, directory->other, &options, 2, NULL, &meddler, &result),
        PARE_ERROR_NUMERIC);
    assert_non_null(strstr(pare_error_message(), message));
    assert_non_null(strstr(pare_error_message(), name));
    assert_non_null(strstr(pare_error_message(), "lower training.rate"));
    assert_true(exists(directory->other, "last/step-3"));
    assert_ok(train_in(directory->root, directory->other, &options, 2, NULL, NULL, &result));
    assert_true(same_runs(directory->reference, directory->other, "step-12"));
}

static void a_bad_weight_stops_with_step_and_name(void **state)
{
    spoil_and_recover(*state, false, "step 5: weights of ");
}

static void a_bad_gradient_stops_with_step_and_name(void **state)
{
    spoil_and_recover(*state, true, "step 5: the gradient of ");
}

static void an_exploding_rate_stops_with_advice(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    options.rate = 1e38;
    options.warmup = 0;
    pare_training_result result;
    assert_int_equal(
        train_in(directory->root, directory->reference, &options, 1, NULL, NULL, &result),
        PARE_ERROR_NUMERIC);
    assert_non_null(strstr(pare_error_message(), "step 2: "));
}

static void damaged_checkpoints_are_refused(void **state)
{
    const test_directory *directory = *state;
    pare_training_options options = small_options();
    pare_training_result result;
    stop_after stop = {.label = "train", .done = 5 * 64};
    assert_int_equal(
        train_in(directory->root, directory->reference, &options, 1, &stop, NULL, &result),
        PARE_ERROR_INTERRUPTED);
    const char *const files[] = {"trainer.json", "last/step-5/model.safetensors",
                                 "last/step-5/optimizer.safetensors",
                                 "last/step-5/task.safetensors"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t size;
        uint8_t *data = read_whole(directory->reference, files[i], &size);
        char *path = pri_path_join(directory->reference, files[i]);
        for (size_t cut = 0; cut < 2; cut++) {
            assert_ok(pri_file_replace(path, data, cut ? size / 2 : 0));
            assert_int_equal(
                train_in(directory->root, directory->reference, &options, 1, NULL, NULL, &result),
                PARE_ERROR_FORMAT);
            assert_non_null(strstr(pare_error_message(), files[i]));
        }
        assert_ok(pri_file_replace(path, data, size));
        pri_free(path);
        pri_free(data);
    }
    assert_ok(train_in(directory->root, directory->reference, &options, 1, NULL, NULL, &result));
}

#define TRAINING_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAINING_TEST(training_lowers_the_loss_and_logs_it),
        TRAINING_TEST(the_returned_model_holds_the_best_weights),
        TRAINING_TEST(the_last_weights_can_be_kept),
        TRAINING_TEST(averaged_weights_are_the_mean_of_the_last_evaluations),
        TRAINING_TEST(averages_survive_an_interruption),
        TRAINING_TEST(interrupted_at_any_step_it_ends_with_the_same_bits),
        TRAINING_TEST(interrupted_in_an_evaluation_it_does_it_again),
        TRAINING_TEST(a_finished_run_returns_at_once),
        TRAINING_TEST(early_stopping_counts_evaluations),
        TRAINING_TEST(epochs_give_steps),
        TRAINING_TEST(other_settings_are_refused_by_name),
        TRAINING_TEST(another_mask_of_the_same_size_is_refused),
        TRAINING_TEST(a_run_of_a_version_with_fewer_settings_is_refused),
        TRAINING_TEST(impossible_options_are_refused),
        TRAINING_TEST(bf16_trains_or_is_refused),
        TRAINING_TEST(a_bad_weight_stops_with_step_and_name),
        TRAINING_TEST(a_bad_gradient_stops_with_step_and_name),
        TRAINING_TEST(an_exploding_rate_stops_with_advice),
        TRAINING_TEST(damaged_checkpoints_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
