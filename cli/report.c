/* pare report: the table and the page of a sweep. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

const cli_command report_command = {
    .name = "report",
    .arguments = "DIRECTORY [options]",
    .summary = "write the table and the report page of a sweep",
    .details =
        "Reads DIRECTORY/results.json with the average and the masks it names, prints the table\n"
        "and writes DIRECTORY/report.html, one file that opens without a network.",
    .example = "  pare report runs/demo --png pictures",
    .positionals_min = 1,
    .positionals_max = 1};

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

    const char *directory = parsed.positionals[0];
    char path[PATH_MAX], *table = NULL;
    snprintf(path, sizeof path, "%s/results.json", directory);
    pare_results results = {0};
    pare_status status = pare_results_load(path, &results);
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
