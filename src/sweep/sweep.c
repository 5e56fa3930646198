/* The order of a sweep: dense, average, attention pruning at every p, random control, report. Each
 * step leaves a finished directory, so starting again only does what is missing. */
#include "pare/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "sweep/directory_lock.h"
#include "sweep/run.h"
#include "train/recipe.h"

/* A sweep over one training seed; sweeps over several are made one after the other into the same
 * results. */
typedef struct sweep {
    pri_run_setting setting;
    const pare_sweep_options *options;
    pare_results *results;
    const char *output; /* of this seed */
    size_t kinds;       /* of attention */
    char *dense_directory, *results_path, *average_paths[PARE_ATTENTION_KINDS];
    pare_average *averages[PARE_ATTENTION_KINDS];
} sweep;

/* ---- Results ---- */

/* `path` as seen from directory `base`; both exist. Empty when that cannot be told. */
static void relative_path(const char *base, const char *path, char *relative, size_t capacity)
{
    char *from = realpath(base, NULL), *to = realpath(path, NULL);
    relative[0] = 0;
    if (from && to) {
        size_t common = 0; /* length of the part of whole components that both share */
        for (size_t i = 0;; i++) {
            if ((!from[i] || from[i] == '/') && (!to[i] || to[i] == '/'))
                common = i;
            if (!from[i] || from[i] != to[i])
                break;
        }
        size_t used = 0;
        for (const char *c = from + common; *c && used < capacity; c++)
            if (*c == '/')
                used += (size_t)snprintf(relative + used, capacity - used, "../");
        if (used < capacity)
            snprintf(relative + used, capacity - used, "%s", to + common + (to[common] == '/'));
    }
    free(from);
    free(to);
}

static void describe_geometry(const pare_recipe *recipe, char *text, size_t size)
{
    const pare_prune_options *prune = &recipe->prune;
    int used = snprintf(text, size, "%s", pare_geometry_names[prune->geometry]);
    if (recipe->ends_first && prune->geometry == PARE_GEOMETRY_CELL)
        used += snprintf(text + used, size - (size_t)used, ", ends first");
    if (prune->block > 1)
        snprintf(text + used, size - (size_t)used, ", blocks of %zu", prune->block);
}

/* Of a recipe without a name. */
static void name_after_directory(const char *directory, char *name, size_t capacity)
{
    char *path = realpath(directory, NULL);
    snprintf(name, capacity, "%s", path ? strrchr(path, '/') + 1 : "");
    free(path);
}

static void describe_sweep(sweep *state)
{
    const pare_recipe *recipe = state->setting.recipe;
    pare_results *results = state->results;
    *results = pri_run_results(&state->setting);
    if (!results->name[0])
        name_after_directory(state->options->output, results->name, sizeof results->name);
    describe_geometry(recipe, results->geometry, sizeof results->geometry);
    snprintf(results->scope, sizeof results->scope, "%s", pare_scope_names[recipe->prune.scope]);
    snprintf(results->average, sizeof results->average, "%s",
             pare_average_names[recipe->prune.average]);
    if (recipe->distillation > 0)
        snprintf(results->distillation, sizeof results->distillation, "%g", recipe->distillation);
}

/* results.json is complete after every row: an unfinished sweep can be looked at. */
static pare_status add_row(sweep *state, const pare_result_row *row, const char *directory,
                           bool fresh)
{
    pare_results *results = state->results;
    pare_result_row *rows =
        pri_reallocate(results->rows, results->count, results->count + 1, sizeof *rows);
    if (!rows)
        return PARE_ERROR_MEMORY;
    results->rows = rows;
    pare_result_row *added = &rows[results->count++];
    *added = *row;
    relative_path(state->options->output, directory, added->directory, sizeof added->directory);
    if (state->options->row_done)
        state->options->row_done(state->options->user, added, fresh);
    return pare_results_save(results, state->results_path);
}

/* ---- The steps ---- */

static pare_status run_dense(sweep *state)
{
    pri_run run = {.label = "dense", .method = "dense", .directory = state->dense_directory};
    pare_result_row row;
    bool fresh;
    PRI_TRY(pri_run_execute(&state->setting, &run, &row, &fresh));
    return add_row(state, &row, run.directory, fresh);
}

/* "average-cross-ends-first.safetensors"; of models with one kind of attention without its name. */
static char *name_average(const sweep *state, size_t kind)
{
    char name[64];
    bool one = state->kinds == 1;
    snprintf(name, sizeof name, "average%s%s%s.safetensors", one ? "" : "-",
             one ? "" : pare_attention_kind_names[kind],
             state->setting.recipe->ends_first ? "-ends-first" : "");
    return pri_path_join(state->dense_directory, name);
}

static bool have_averages(const sweep *state)
{
    for (size_t kind = 0; kind < state->kinds; kind++)
        if (!pri_path_exists(state->average_paths[kind]))
            return false;
    return true;
}

static pare_status load_average(sweep *state, size_t kind)
{
    PRI_TRY(pare_average_load(state->average_paths[kind], &state->averages[kind]));
    uint64_t hash = pare_task_hash(state->setting.data.task, PARE_SPLIT_TRAIN);
    if (pare_average_corpus_hash(state->averages[kind]) == hash)
        return PARE_OK;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "%s: averages attention over another text than the recipe's training text; "
                    "remove it to average again",
                    state->average_paths[kind]);
}

static pare_status load_averages(sweep *state)
{
    for (size_t kind = 0; kind < state->kinds; kind++)
        PRI_TRY(load_average(state, kind));
    return PARE_OK;
}

static pare_status save_averages(const sweep *state)
{
    for (size_t kind = 0; kind < state->kinds; kind++)
        PRI_TRY(pare_average_save(state->averages[kind], state->average_paths[kind]));
    return PARE_OK;
}

static pare_status observe_dense(sweep *state)
{
    if (have_averages(state))
        return load_averages(state);
    pare_model *model = NULL;
    pare_tape *tape = NULL;
    pare_status status = pare_tape_create(state->setting.context, &tape);
    if (status == PARE_OK)
        status = pare_model_load(state->setting.context, state->dense_directory, &model);
    if (status == PARE_OK)
        status = pare_task_observe(state->setting.data.task, model, tape, PARE_SPLIT_TRAIN,
                                   state->setting.recipe->ends_first, &state->options->progress,
                                   state->averages);
    if (status == PARE_OK)
        status = save_averages(state);
    pare_tape_destroy(tape);
    pare_model_destroy(model);
    return status;
}

/* The dense run may belong to several sweeps at once: while there is something to make, only one of
 * them works on it. */
static pare_status make_dense(sweep *state)
{
    char *result_path = pri_path_join(state->dense_directory, "result.json");
    if (!result_path)
        return PARE_ERROR_MEMORY;
    pri_directory_lock lock = {.directory = NULL};
    pare_status status = PARE_OK;
    if (!pri_path_exists(result_path) || !have_averages(state))
        status = pri_directory_lock_take(state->dense_directory, &lock);
    pri_free(result_path);
    if (status == PARE_OK)
        status = run_dense(state);
    if (status == PARE_OK)
        status = observe_dense(state);
    pri_directory_lock_release(&lock);
    return status;
}

enum { LABEL_SIZE = sizeof((pri_run *)0)->label };

/* What the pruned runs of one list of percents have in common. */
typedef struct run_series {
    pare_method method;
    unsigned attention;
    uint64_t seed; /* of random masks */
    const double *percents;
} run_series;

/* What is pruned, where there is a choice, how, how much, and for random masks with which seed:
 * "attention-pruning-cross-60". */
static void name_run(const sweep *state, const run_series *series, size_t index,
                     char name[LABEL_SIZE])
{
    const pare_recipe *recipe = state->setting.recipe;
    bool one = state->kinds == 1, restart = recipe->start == PARE_START_RESTART;
    char number[32] = "";
    if (series->method == PARE_METHOD_RANDOM)
        snprintf(number, sizeof number, "-seed-%llu", (unsigned long long)series->seed);
    snprintf(name, LABEL_SIZE, "%s%s%s-%g%s%s%s%s%s", pare_method_names[series->method],
             one ? "" : "-", one ? "" : pri_attention_name(series->attention),
             series->percents[index], recipe->effective ? "-effective" : "", number,
             restart ? "" : "-", restart ? "" : pri_start_names[recipe->start],
             recipe->distillation > 0 ? "-distilled" : "");
}

static char *directory_of(const sweep *state, const run_series *series, size_t index)
{
    char name[LABEL_SIZE];
    name_run(state, series, index, name);
    return pri_path_join(state->output, name);
}

static bool stepwise(const sweep *state)
{
    return state->setting.recipe->start == PARE_START_STEPWISE;
}

/* Of the weights a run starts from, unless it is a restart. */
static char *weights_of(const sweep *state, const run_series *series, size_t index)
{
    return stepwise(state) && index ? directory_of(state, series, index - 1)
                                    : pri_string_copy(state->dense_directory);
}

static pare_status execute_pruned(sweep *state, const run_series *series, size_t index,
                                  pri_run *run)
{
    const pare_recipe *recipe = state->setting.recipe;
    pare_prune_options prune = recipe->prune;
    prune.method = series->method;
    prune.percent = series->percents[index];
    prune.seed = series->seed;
    pare_result_row row;
    bool fresh = false;
    pare_status status = pri_mask_set_create(state->averages, series->attention, &prune,
                                             recipe->effective, &run->masks);
    if (status == PARE_OK)
        status = pri_run_execute(&state->setting, run, &row, &fresh);
    if (status == PARE_OK)
        status = add_row(state, &row, run->directory, fresh);
    pri_mask_set_free(&run->masks);
    return status;
}

static pare_status run_pruned(sweep *state, const run_series *series, size_t index)
{
    char *directory = directory_of(state, series, index);
    char *weights = weights_of(state, series, index);
    pri_run run = {.directory = directory,
                   .method = pare_method_names[series->method],
                   .start = state->setting.recipe->start,
                   .dense = state->dense_directory,
                   .weights = weights,
                   .stages = series->percents,
                   .stage_count = stepwise(state) ? index : 0};
    name_run(state, series, index, run.label);
    pare_status status =
        directory && weights ? execute_pruned(state, series, index, &run) : PARE_ERROR_MEMORY;
    pri_free(directory);
    pri_free(weights);
    return status;
}

static pare_status run_attention_pruning(sweep *state, unsigned attention)
{
    const pare_recipe *recipe = state->setting.recipe;
    const run_series series = {PARE_METHOD_ATTENTION_PRUNING, attention, 0, recipe->percents};
    for (size_t i = 0; i < recipe->percent_count; i++)
        PRI_TRY(run_pruned(state, &series, i));
    return PARE_OK;
}

static pare_status run_random(sweep *state, unsigned attention)
{
    const pare_recipe *recipe = state->setting.recipe;
    const uint64_t *seeds = recipe->seed_count ? &recipe->training.seed : recipe->random_seeds;
    size_t seed_count = recipe->seed_count ? 1 : recipe->random_seed_count;
    for (size_t i = 0; i < recipe->random_percent_count; i++)
        for (size_t s = 0; s < seed_count; s++) {
            const run_series series = {PARE_METHOD_RANDOM, attention, seeds[s],
                                       recipe->random_percents};
            PRI_TRY(run_pruned(state, &series, i));
        }
    return PARE_OK;
}

/* The averages of the first seed stand for all. */
static void note_averages(sweep *state)
{
    pare_results *results = state->results;
    for (size_t kind = 0; kind < state->kinds; kind++)
        if (!results->average_path[kind][0])
            relative_path(state->options->output, state->average_paths[kind],
                          results->average_path[kind], sizeof results->average_path[kind]);
}

static pare_status run_all(sweep *state)
{
    const pare_recipe *recipe = state->setting.recipe;
    PRI_TRY(make_dense(state));
    note_averages(state);
    for (size_t kinds = 0; kinds < recipe->attention_count; kinds++)
        PRI_TRY(run_attention_pruning(state, recipe->attention[kinds]));
    for (size_t kinds = 0; kinds < recipe->attention_count; kinds++)
        PRI_TRY(run_random(state, recipe->attention[kinds]));
    PRI_TRY(pare_results_save(state->results, state->results_path));
    return pare_report_html(state->options->output);
}

static pare_status run_in(sweep *state, pare_context *context, const pare_recipe *recipe)
{
    PRI_TRY(pri_run_setting_open(context, recipe, state->options, &state->setting));
    if (!state->results->count)
        describe_sweep(state);
    state->dense_directory =
        recipe->dense ? pri_string_copy(recipe->dense) : pri_path_join(state->output, "dense");
    state->results_path = pri_path_join(state->options->output, "results.json");
    state->kinds = pri_recipe_attention_kinds(recipe);
    bool complete = state->dense_directory && state->results_path;
    for (size_t kind = 0; complete && kind < state->kinds; kind++) {
        state->average_paths[kind] = name_average(state, kind);
        complete = state->average_paths[kind] != NULL;
    }
    return complete ? run_all(state) : PARE_ERROR_MEMORY;
}

/* The recipe's sweep with its training.seed, in directory `output`. */
static pare_status sweep_seed(pare_context *context, const pare_recipe *recipe,
                              const pare_sweep_options *options, const char *output,
                              pare_results *results)
{
    sweep state = {.options = options, .results = results, .output = output};
    pare_status status = run_in(&state, context, recipe);
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++) {
        pare_average_destroy(state.averages[kind]);
        pri_free(state.average_paths[kind]);
    }
    pri_free(state.dense_directory);
    pri_free(state.results_path);
    pri_run_setting_close(&state.setting);
    return status;
}

static pare_status sweep_seeds(pare_context *context, const pare_recipe *recipe,
                               const pare_sweep_options *options, pare_results *results)
{
    if (!recipe->seed_count)
        return sweep_seed(context, recipe, options, options->output, results);
    for (size_t i = 0; i < recipe->seed_count; i++) {
        pare_recipe seeded = *recipe;
        pri_recipe_set_seed(&seeded, recipe->seeds[i]);
        char name[32];
        snprintf(name, sizeof name, "seed-%llu", (unsigned long long)recipe->seeds[i]);
        char *output = pri_path_join(options->output, name);
        pare_status status =
            output ? sweep_seed(context, &seeded, options, output, results) : PARE_ERROR_MEMORY;
        if (status != PARE_OK && output)
            rmdir(output); /* when nothing came about in it */
        pri_free(output);
        PRI_TRY(status);
    }
    return PARE_OK;
}

pare_status pare_sweep(pare_context *context, const pare_recipe *recipe,
                       const pare_sweep_options *options, pare_results *results)
{
    *results = (pare_results){.count = 0};
    pri_directory_lock lock;
    PRI_TRY(pri_directory_lock_take(options->output, &lock));
    pare_status status = sweep_seeds(context, recipe, options, results);
    pri_directory_lock_release(&lock);
    if (status != PARE_OK)
        pare_results_free(results);
    return status;
}

/* ---- A single run ---- */

/* Whether any of the masks was drawn at random. */
static bool has_random(const pri_mask_set *masks)
{
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        if (masks->masks[kind] &&
            pare_mask_describe(masks->masks[kind]).method == PARE_METHOD_RANDOM)
            return true;
    return false;
}

/* What a single pruned run needs of the dense one. */
static pare_status check_single(const pare_recipe *recipe)
{
    if (recipe->start == PARE_START_STEPWISE)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "sweep.start stepwise is for sweeps; start one run from the run before it "
                        "with --set sweep.start=continue --set sweep.dense=DIRECTORY");
    if (recipe->dense || (recipe->start == PARE_START_RESTART && recipe->distillation == 0))
        return PARE_OK;
    bool distilled = recipe->distillation > 0;
    return pri_fail(PARE_ERROR_ARGUMENT,
                    "sweep.%s%s needs the dense run; name its directory with --set "
                    "sweep.dense=DIRECTORY",
                    distilled ? "distillation" : "start ",
                    distilled ? "" : pri_start_names[recipe->start]);
}

static pare_status run_single(const pri_run_setting *setting, const char *directory,
                              const pri_mask_set *masks, pare_results *result)
{
    const pare_recipe *recipe = setting->recipe;
    bool dense = pri_mask_set_is_empty(masks);
    pri_run run = {.directory = directory,
                   .method = dense               ? "dense"
                             : has_random(masks) ? "random"
                                                 : "attention-pruning",
                   .start = recipe->start,
                   .dense = recipe->dense,
                   .weights = recipe->dense,
                   .masks = *masks};
    snprintf(run.label, sizeof run.label, "%s", run.method);
    if (!dense)
        PRI_TRY(check_single(recipe));
    *result = pri_run_results(setting);
    result->rows = pri_allocate_zero(1, sizeof *result->rows);
    if (!result->rows)
        return PARE_ERROR_MEMORY;
    result->count = 1;
    bool fresh;
    return pri_run_execute(setting, &run, result->rows, &fresh);
}

pare_status pare_sweep_train(pare_context *context, const pare_recipe *recipe,
                             const char *const *mask_paths, size_t mask_count,
                             const pare_sweep_options *options, pare_results *result)
{
    *result = (pare_results){.rows = NULL};
    pri_directory_lock lock;
    PRI_TRY(pri_directory_lock_take(options->output, &lock));
    pri_mask_set masks = {.masks = {NULL}};
    pri_run_setting setting = {0};
    pare_status status =
        pare_masks_load(mask_paths, mask_count, pri_recipe_attention_kinds(recipe), masks.masks);
    if (status == PARE_OK)
        status = pri_run_setting_open(context, recipe, options, &setting);
    if (status == PARE_OK)
        status = run_single(&setting, options->output, &masks, result);
    if (status != PARE_OK)
        pare_results_free(result);
    pri_run_setting_close(&setting);
    pri_mask_set_free(&masks);
    pri_directory_lock_release(&lock);
    return status;
}
