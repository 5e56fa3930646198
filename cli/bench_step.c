/* pare bench step: training steps of a recipe on its own data. */
#include <stdio.h>

#include "bench.h"
#include "bench_shared.h"
#include "command.h"
#include "source.h"

static const cli_command bench_step_command = {
    .name = "bench step",
    .arguments = "RECIPE [options]",
    .summary = "measure training steps of a recipe on its own data",
    .details =
        "Forward, backward, gradient norm and update on the recipe's first batches, as training "
        "does\nthem. Times are those of the step of median time; tokens per second are over "
        "all steps,\nsince batches differ in size.",
    .example = "  pare bench step recipes/glue-mrpc-small.yaml --steps 50",
    .positionals_min = 1,
    .positionals_max = 1};

typedef struct step_bench {
    const char *mask;
    string_list set;
    uint64_t steps, threads;
    bool json;
    pare_context *context;
    pare_recipe recipe;
    pare_recipe_data data;
    pare_model *model;
    pare_mask *pruned;
    pare_tape *tape;
} step_bench;

static pare_status open_bench(step_bench *bench, const char *recipe)
{
    pare_status status = load_recipe(recipe, &bench->set, &bench->recipe);
    if (status == PARE_OK)
        status = open_context(bench->threads, &bench->context);
    if (status == PARE_OK)
        status = pare_recipe_open(&bench->recipe, NULL, &bench->data);
    if (status == PARE_OK)
        status =
            pare_recipe_create_model(&bench->recipe, &bench->data, bench->context, &bench->model);
    if (status == PARE_OK && bench->mask)
        status = pare_mask_load(bench->mask, &bench->pruned);
    if (status == PARE_OK)
        status = pare_model_set_mask(bench->model, PARE_ATTENTION_SELF, bench->pruned);
    if (status == PARE_OK)
        status = pare_tape_create(bench->context, &bench->tape);
    return status;
}

static void close_bench(step_bench *bench)
{
    pare_tape_destroy(bench->tape);
    pare_model_destroy(bench->model);
    pare_mask_destroy(bench->pruned);
    pare_recipe_close(&bench->data);
    pare_context_destroy(bench->context);
    pare_recipe_free(&bench->recipe);
}

static void print_measurement(const step_bench *bench, const pare_step_measurement *measurement)
{
    printf("recipe            %s, %s, %s parameters\n",
           bench->recipe.name ? bench->recipe.name : "unnamed", pare_task_names[bench->recipe.task],
           format_count(pare_model_parameter_floats(bench->model)));
    print_step(measurement);
}

static json_t *measurement_to_json(const step_bench *bench,
                                   const pare_step_measurement *measurement)
{
    json_t *object = step_to_json(bench->context, measurement);
    json_object_set_new(object, "parameters",
                        json_integer((json_int_t)pare_model_parameter_floats(bench->model)));
    return object;
}

int bench_step(int argument_count, char **argument_values)
{
    step_bench bench = {.steps = 20};
    const cli_option options[] = {
        {"mask", "FILE", OPTION_STRING, &bench.mask, "under this mask", NULL},
        {"set", "KEY=VALUE", OPTION_LIST, &bench.set, "override a key of the recipe", NULL},
        {"steps", "N", OPTION_COUNT, &bench.steps, "measured; default: 20", NULL},
        {"threads", "N", OPTION_COUNT, &bench.threads, "default: all cores", NULL},
        {"json", NULL, OPTION_FLAG, &bench.json, "print a JSON object", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&bench_step_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    pare_step_measurement measurement;
    pare_status status = open_bench(&bench, parsed.positionals[0]);
    pare_step_options measured = {.task = bench.data.task,
                                  .steps = bench.steps,
                                  .precision = bench.recipe.training.precision};
    if (status == PARE_OK && bench.recipe.task == PARE_TASK_LANGUAGE_MODELLING)
        exit_code = fail_usage("bench step",
                               "a language model's step is measured by pare bench "
                               "model --recipe %s",
                               parsed.positionals[0]);
    else if (status == PARE_OK)
        status = pare_measure_step(bench.model, bench.tape, &measured, &measurement);
    if (status != PARE_OK)
        exit_code = fail("bench step", status);
    else if (!exit_code && bench.json)
        exit_code = print_json(measurement_to_json(&bench, &measurement));
    else if (!exit_code)
        print_measurement(&bench, &measurement);
    close_bench(&bench);
    return exit_code;
}
