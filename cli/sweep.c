/* pare sweep: the main job. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "progress.h"
#include "source.h"

const cli_command sweep_command = {
    .name = "sweep",
    .arguments = "RECIPE [options]",
    .summary = "the main job: train, average, prune at every p, train again, compare",
    .details =
        "Dense training, average attention over the training set, one mask per p, training under\n"
        "each mask, a random control, evaluation; then one table, results.json and report.html in\n"
        "the output directory. Stopped in any way (Ctrl-C, kill, power), the same command goes on\n"
        "and ends with the same result; finished runs are not repeated. Recipes that share a "
        "dense\n"
        "run name it: --set sweep.dense=DIRECTORY.",
    .example = "  pare sweep recipes/demo.yaml --set data.train=my.txt --output runs/mine",
    .positionals_min = 1,
    .positionals_max = 1};

typedef struct sweep_request {
    const char *output;
    string_list set;
    uint64_t threads, vocabulary, tokens;
    bool dry_run, json;
} sweep_request;

static void announce_row(void *user, const pare_result_row *row, bool fresh)
{
    const bool *quiet = user;
    if (*quiet)
        return;
    progress_end();
    fprintf(stderr, "%s", row->method);
    if (strcmp(row->method, "dense"))
        fprintf(stderr, " p_adm %.1f", row->p_admissible);
    if (row->seed)
        fprintf(stderr, " seed %llu", (unsigned long long)row->seed);
    fprintf(stderr, ": valid %.3f", row->valid);
    if (!isnan(row->test))
        fprintf(stderr, ", test %.3f", row->test);
    fprintf(stderr, "%s\n", fresh ? "" : " (done before)");
}

static int print_results(const pare_results *results, const sweep_request *request)
{
    if (request->json) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/results.json", request->output);
        json_error_t error;
        return print_json(json_load_file(path, 0, &error));
    }
    char *table;
    pare_status status = pare_results_table(results, false, &table);
    if (status != PARE_OK)
        return fail("sweep", status);
    printf("\n%s\nReport: %s/report.html\n", table, request->output);
    free(table);
    return PARE_OK;
}

static int estimate(pare_context *context, const pare_recipe *recipe, const sweep_request *request)
{
    pare_sweep_estimate e;
    pare_status status =
        pare_sweep_dry_run(context, recipe, request->vocabulary, request->tokens, &e);
    if (status != PARE_OK)
        return fail("sweep", status);
    if (request->json)
        return print_json(
            json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:I}", "runs", (json_int_t)e.runs,
                      "steps", (json_int_t)e.steps, "tokens", (json_int_t)e.tokens, "vocabulary",
                      (json_int_t)e.vocabulary, "parameters", (json_int_t)e.parameters,
                      "seconds_per_step", e.seconds_per_step, "seconds_per_run", e.seconds_per_run,
                      "seconds", e.seconds, "resident_bytes", (json_int_t)e.resident_bytes));
    printf("%s runs of %s steps (%s tokens) each\n", format_count(e.runs), format_count(e.steps),
           format_count(e.tokens));
    printf("model       %s parameters, vocabulary %s\n", format_count(e.parameters),
           format_count(e.vocabulary));
    printf("memory      %s resident\n", format_bytes((double)e.resident_bytes));
    printf("one step    %.3f s (measured here, dense)\n", e.seconds_per_step);
    printf("one run     %s\nthe sweep   %s at most, training only\n",
           format_duration(e.seconds_per_run), format_duration(e.seconds));
    return PARE_OK;
}

static int run(pare_context *context, const pare_recipe *recipe, sweep_request *request,
               const char *command)
{
    pare_results results;
    pare_sweep_options options = {.output = request->output,
                                  .command = command,
                                  .progress = progress_begin(request->json),
                                  .row_done = announce_row,
                                  .user = &request->json};
    pare_status status = pare_sweep(context, recipe, &options, &results);
    progress_end();
    if (status == PARE_ERROR_INTERRUPTED) {
        fprintf(stderr, "pare sweep: interrupted; the same command goes on from here\n");
        return (int)status;
    }
    if (status != PARE_OK)
        return fail("sweep", status);
    int exit_code = print_results(&results, request);
    pare_results_free(&results);
    return exit_code;
}

int command_sweep(int argument_count, char **argument_values)
{
    sweep_request request = {0};
    const cli_option options[] = {
        {"output", "DIRECTORY", OPTION_STRING, &request.output, "default runs/NAME-OF-RECIPE",
         NULL},
        {"set", "KEY=VALUE", OPTION_LIST, &request.set, "override a key of the recipe", NULL},
        COLUMN_OPTIONS(&request.set),
        {"dry-run", NULL, OPTION_FLAG, &request.dry_run, "only estimate time and memory", NULL},
        {"vocabulary", "N", OPTION_COUNT, &request.vocabulary, "--dry-run without the data: words",
         NULL},
        {"tokens", "N", OPTION_COUNT, &request.tokens,
         "--dry-run without the data: training tokens", NULL},
        {"threads", "N", OPTION_COUNT, &request.threads, "default: all cores", NULL},
        {"json", NULL, OPTION_FLAG, &request.json, "print results.json instead of the table", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&sweep_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if ((request.vocabulary || request.tokens) && !request.dry_run)
        return fail_usage("sweep", "--vocabulary and --tokens are for --dry-run");

    pare_recipe recipe = {0};
    pare_context *context = NULL;
    char output[PATH_MAX], command[512];
    join_command(argument_count, argument_values, command, sizeof command);
    /* An estimate from given sizes opens no data, wherever the recipe says they are. */
    if (request.dry_run && request.vocabulary && request.tokens)
        setenv("PARE_DATA", ".", 0);
    pare_status status = load_recipe(parsed.positionals[0], &request.set, &recipe);
    if (status == PARE_OK)
        status = open_context(request.threads, &context);
    if (status != PARE_OK) {
        exit_code = fail("sweep", status);
    } else {
        snprintf(output, sizeof output, "runs/%s", recipe.name ? recipe.name : "sweep");
        request.output = request.output ? request.output : output;
        exit_code = request.dry_run ? estimate(context, &recipe, &request)
                                    : run(context, &recipe, &request, command);
    }
    pare_context_destroy(context);
    pare_recipe_free(&recipe);
    return exit_code;
}
