/* pare train: one run of a recipe, dense or under a mask. */
#include <limits.h>
#include <math.h>
#include <stdio.h>

#include "command.h"
#include "progress.h"
#include "source.h"

const cli_command train_command = {
    .name = "train",
    .arguments = "RECIPE --output DIRECTORY [options]",
    .summary = "train one model, dense or under a mask",
    .details =
        "Writes a model directory: config.json, model.safetensors (the best on validation, or the\n"
        "last, as the recipe says), the vocabulary or tokenizer, the mask, log.jsonl and, until "
        "it\n"
        "is finished, the last checkpoint. Stopped in any way, the same command goes on and ends\n"
        "with the same bits.",
    .example = "  pare train recipes/lm-wikitext2-tiny.yaml --output runs/dense",
    .positionals_min = 1,
    .positionals_max = 1};

static json_t *result_to_json(const pare_results *result, const char *output)
{
    const pare_result_row *row = result->rows;
    json_t *more = json_object();
    for (size_t i = 0; i < row->more_count; i++)
        json_object_set_new(more, row->more[i].name, json_real(row->more[i].value));
    return json_pack("{s:s, s:s, s:s, s:f, s:f, s:f, s:f, s:o, s:o, s:f, s:f, s:f, s:I, s:I, s:I}",
                     "output", output, "method", row->method, "metric", result->metric, "p_nom",
                     row->p_nominal, "p_adm", row->p_admissible, "p_eff", row->p_effective, "valid",
                     row->valid, "test", isnan(row->test) ? json_null() : json_real(row->test),
                     "more", more, "train_seconds", row->train_seconds, "tokens_per_second",
                     row->tokens_per_second, "attention_seconds", row->attention_seconds,
                     "peak_bytes", (json_int_t)row->peak_bytes, "steps", (json_int_t)row->steps,
                     "parameters", (json_int_t)row->parameters);
}

static void print_result(const pare_results *result, const char *output)
{
    const pare_result_row *row = result->rows;
    printf("%s: %s valid %.4f", output, result->metric, row->valid);
    if (!isnan(row->test))
        printf(", test %.4f", row->test);
    for (size_t i = 0; i < row->more_count; i++)
        printf(", %s %.4f", row->more[i].name, row->more[i].value);
    printf(" after %s steps in %s (%s tokens/s)\n", format_count(row->steps),
           format_duration(row->train_seconds), format_count((uint64_t)row->tokens_per_second));
}

int command_train(int argument_count, char **argument_values)
{
    const char *output = NULL;
    string_list set = {.count = 0}, masks = {.count = 0};
    uint64_t threads = 0;
    bool json = false;
    const cli_option options[] = {
        {"output", "DIRECTORY", OPTION_STRING, &output, "where the run lives; required", NULL},
        {"mask", "FILE", OPTION_LIST, &masks,
         "train under this mask; of translation one for each kind of attention", NULL},
        {"set", "KEY=VALUE", OPTION_LIST, &set, "override a key of the recipe", NULL},
        COLUMN_OPTIONS(&set),
        {"threads", "N", OPTION_COUNT, &threads, "default: all cores", NULL},
        {"json", NULL, OPTION_FLAG, &json, "print a JSON object", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&train_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if (!output)
        return fail_usage("train", "--output is missing");

    pare_recipe recipe = {0};
    pare_context *context = NULL;
    pare_results result = {.rows = NULL};
    char command[512];
    join_command(argument_count, argument_values, command, sizeof command);
    pare_sweep_options request = {
        .output = output, .command = command, .progress = progress_begin(json)};
    pare_status status = load_recipe(parsed.positionals[0], &set, &recipe);
    if (status == PARE_OK)
        status = open_context(threads, &context);
    if (status == PARE_OK)
        status = pare_sweep_train(context, &recipe, masks.items, masks.count, &request, &result);
    progress_end();
    if (status != PARE_OK)
        exit_code = fail("train", status);
    else if (json)
        exit_code = print_json(result_to_json(&result, output));
    else
        print_result(&result, output);
    pare_results_free(&result);
    pare_context_destroy(context);
    pare_recipe_free(&recipe);
    return exit_code;
}
