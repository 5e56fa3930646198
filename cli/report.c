/* pare report: the table and the page of a sweep. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

const cli_command report_command = {
    .name = "report",
    .arguments = "DIRECTORY... [options]",
    .summary = "write the table and the report page of a sweep",
    .details =
        "Reads DIRECTORY/results.json with the average and the masks it names, prints the table\n"
        "and writes DIRECTORY/report.html, one file that opens without a network.\n\n"
        "Of several directories it prints one table: a line per method and p, a column per sweep,\n"
        "and the mean of different tasks, as papers show those of GLUE.",
    .example = "  pare report runs/demo --png pictures\n"
               "  pare report runs/glue-*-small --markdown",
    .positionals_min = 1,
    .positionals_max = POSITIONALS_MAX};

static pare_status load_results(const char *directory, pare_results *results)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/results.json", directory);
    return pare_results_load(path, results);
}

/* Several sweeps: a table beside each other. */
static int compare(const cli_arguments *arguments, bool markdown)
{
    pare_results results[POSITIONALS_MAX] = {{.count = 0}};
    char *table = NULL;
    pare_status status = PARE_OK;
    for (size_t i = 0; i < arguments->count && status == PARE_OK; i++)
        status = load_results(arguments->positionals[i], &results[i]);
    if (status == PARE_OK)
        status = pare_results_comparison(results, arguments->count, markdown, &table);
    int exit_code = status == PARE_OK ? 0 : fail("report", status);
    if (status == PARE_OK)
        printf("%s", table);
    free(table);
    for (size_t i = 0; i < arguments->count; i++)
        pare_results_free(&results[i]);
    return exit_code;
}

int command_report(int argument_count, char **argument_values)
{
    const char *png = NULL;
    bool markdown = false, json = false;
    const cli_option options[] = {
        {"png", "DIRECTORY", OPTION_STRING, &png, "also write every picture as PNG there", NULL},
        {"markdown", NULL, OPTION_FLAG, &markdown, "print the table for a document", NULL},
        {"json", NULL, OPTION_FLAG, &json, "print the path of the page as JSON", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&report_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;

    if (parsed.count > 1 && (png || json))
        return fail_usage("report", "--png and --json are for a single directory");
    if (parsed.count > 1)
        return compare(&parsed, markdown);
    const char *directory = parsed.positionals[0];
    char path[PATH_MAX], *table = NULL;
    pare_results results = {0};
    pare_status status = load_results(directory, &results);
    if (status == PARE_OK)
        status = pare_results_table(&results, markdown, &table);
    if (status == PARE_OK)
        status = pare_report_html(directory);
    if (status == PARE_OK && png)
        status = pare_report_png(directory, png);
    snprintf(path, sizeof path, "%s/report.html", directory);
    if (status != PARE_OK)
        exit_code = fail("report", status);
    else if (json)
        exit_code =
            print_json(json_pack("{s:s, s:I}", "report", path, "rows", (json_int_t)results.count));
    else
        printf("%s%s%s\n", table, markdown ? "" : "\nReport: ", markdown ? "" : path);
    free(table);
    pare_results_free(&results);
    return exit_code;
}
