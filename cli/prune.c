/* pare prune: from an average to a mask, with a look at it. */
#include <dirent.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

const cli_command prune_command = {
    .name = "prune",
    .arguments = "AVERAGE [options]",
    .summary = "turn average attention into a mask",
    .details =
        "AVERAGE is a file written by `pare observe`, a run directory that holds "
        "average.safetensors,\n"
        "or a .npy array (layers x heads x queries x keys) of the reference implementation.\n\n"
        "--percent counts cells that the model may use (not the future). Three shares are "
        "printed:\n"
        "p_nom of the full rectangle, p_adm of the admissible cells, p_eff of the cells of "
        "the corpus,\n"
        "which is the work really saved. Instead of single cells, --geometry distance prunes "
        "(head,\n"
        "distance) classes: a mask for any segment and memory length. --geometry relative "
        "does so for\n"
        "encoders observed with the ends of a sequence first: distances, and the rows and "
        "columns of\n"
        "the first and last token; a mask for any length. Of cross attention it prunes offsets "
        "from the\n"
        "diagonal, near ones singly and far ones together. --block N prunes blocks of N x N "
        "cells.",

    .example = "  pare prune runs/demo/dense --percent 90 --output mask.safetensors",
    .positionals_min = 1,
    .positionals_max = 1};

typedef struct prune_request {
    const char *output, *show;
    size_t layer, head;        /* as `show` says */
    double percent, effective; /* one of the two; -1: not given */
    int method, geometry, average, scope, empty_row;
    uint64_t seed, block;
    bool not_causal, json;
} prune_request;

static pare_status load_average(const char *path, bool causal, pare_average **average)
{
    size_t length = strlen(path);
    if (length > 4 && !strcmp(path + length - 4, ".npy"))
        return pare_average_import_npy(path, causal, average);
    char inside[PATH_MAX];
    snprintf(inside, sizeof inside, "%s/average.safetensors", path);
    return pare_average_load(access(inside, F_OK) ? path : inside, average);
}

static int is_average(const struct dirent *entry)
{
    return !fnmatch("average-*.safetensors", entry->d_name, 0);
}

/* A translation model has three averages, and a sweep with ends first names its own; an exit code.
 */
static int check_choice(const char *path)
{
    char names[512] = "";
    struct stat status;
    if (stat(path, &status) || !S_ISDIR(status.st_mode))
        return PARE_OK;
    char inside[PATH_MAX];
    snprintf(inside, sizeof inside, "%s/average.safetensors", path);
    if (!access(inside, F_OK))
        return PARE_OK;
    struct dirent **entries;
    int count = scandir(path, &entries, is_average, alphasort);
    size_t used = 0;
    for (int i = 0; i < count; i++) {
        if (used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                                     entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return count > 0 ? fail_usage("prune", "%s is a directory; name a file in it: %s", path, names)
                     : fail_usage("prune",
                                  "%s is a directory without average.safetensors; make one with "
                                  "'pare observe'",
                                  path);
}

/* Which head to draw, from 1; an exit code. */
static int choose_head(const char *show, const pare_average *average, size_t *layer, size_t *head)
{
    const pare_geometry *g = pare_average_geometry(average);
    char rest;
    *layer = *head = 1;
    if (show && sscanf(show, "%zu:%zu%c", layer, head, &rest) != 2)
        *layer = 0;
    if (*layer && *head && *layer <= g->layers && *head <= g->heads)
        return PARE_OK;
    return fail_usage("prune", "--show needs LAYER:HEAD, from 1:1 to %zu:%zu", g->layers, g->heads);
}

static pare_status print_heat_map(const pare_average *average, const pare_mask *mask, size_t layer,
                                  size_t head)
{
    const pare_geometry *g = pare_mask_geometry(mask);
    char *text;
    pare_status status =
        pare_heat_map_text(average, mask, layer - 1, head - 1, 78, isatty(STDOUT_FILENO), &text);
    if (status != PARE_OK) {
        fail("prune", status);
        return status;
    }
    printf("\nlayer %zu, head %zu: average attention, bright is strong, pruned cells dark\n"
           "(rows: %s, columns: %s%s)\n%s",
           layer, head, g->ratio > 0 ? "target tokens" : "queries",
           g->ratio > 0 ? "source tokens" : "keys",
           g->ends_first ? "; the first token, the last, then the others in order" : "", text);
    free(text);
    return PARE_OK;
}

static json_t *layer_masses(const pare_average *average, const pare_mask *mask)
{
    json_t *masses = json_array();
    for (size_t l = 0; l < pare_mask_geometry(mask)->layers; l++)
        json_array_append_new(masses, json_real(pare_mask_kept_mass(mask, average, l)));
    return masses;
}

static json_t *mask_to_json(const pare_average *average, const pare_mask *mask, const char *output)
{
    pare_mask_report report = pare_mask_describe(mask);
    return json_pack("{s:s, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:o, s:o}", "output", output,
                     "p_nom", report.p_nominal, "p_adm", report.p_admissible, "p_eff",
                     report.p_effective, "kept_mass", report.kept_mass, "pruned_cells",
                     (json_int_t)report.pruned_cells, "admissible_cells",
                     (json_int_t)report.admissible_cells, "rescued_rows",
                     (json_int_t)report.rescued_rows, "kept_mass_of_layers",
                     layer_masses(average, mask), "kept_shares", kept_shares_to_json(mask));
}

static int show_mask(const pare_average *average, const pare_mask *mask,
                     const prune_request *request)
{
    if (request->json)
        return print_json(mask_to_json(average, mask, request->output));
    pare_mask_report report = pare_mask_describe(mask);
    printf(
        "%s: p_nom %.2f  p_adm %.2f  p_eff %.2f; keeps %.2f%% of the attention; %s rows rescued\n",
        request->output, report.p_nominal, report.p_admissible, report.p_effective,
        report.kept_mass, format_count(report.rescued_rows));
    print_kept_shares(mask, average);
    return (int)print_heat_map(average, mask, request->layer, request->head);
}

static int make_mask(const pare_average *average, pare_prune_options prune,
                     const prune_request *request)
{
    pare_mask *mask = NULL;
    pare_status status = PARE_OK;
    if (request->effective >= 0)
        status = pare_mask_find_percent(average, &prune, request->effective, &prune.percent);
    if (status == PARE_OK)
        status = pare_mask_create(average, &prune, &mask);
    if (status == PARE_OK)
        status = pare_mask_save(mask, request->output);
    int exit_code = status == PARE_OK ? show_mask(average, mask, request) : fail("prune", status);
    pare_mask_destroy(mask);
    return exit_code;
}

int command_prune(int argument_count, char **argument_values)
{
    prune_request request = {
        .output = "mask.safetensors", .percent = -1, .effective = -1, .seed = 1};
    const cli_option options[] = {
        {"percent", "P", OPTION_NUMBER, &request.percent,
         "share of the admissible cells to prune; this or --effective", NULL},
        {"effective", "P", OPTION_NUMBER, &request.effective,
         "share of the corpus's cells instead: p_eff, the work saved", NULL},
        {"output", "FILE", OPTION_STRING, &request.output, "default mask.safetensors", NULL},
        {"method", "NAME", OPTION_CHOICE, &request.method, "what to prune", pare_method_names},
        {"geometry", "NAME", OPTION_CHOICE, &request.geometry, "what one bit stands for",
         pare_geometry_names},
        {"block", "N", OPTION_COUNT, &request.block,
         "prune blocks of N x N cells: 2, 4, .. 128; default 1", NULL},
        {"average", "NAME", OPTION_CHOICE, &request.average, "how rare positions count",
         pare_average_names},
        {"scope", "NAME", OPTION_CHOICE, &request.scope, "where the smallest are sought",
         pare_scope_names},
        {"empty-row", "NAME", OPTION_CHOICE, &request.empty_row, "rows that would lose every cell",
         pare_empty_row_names},
        {"seed", "N", OPTION_COUNT, &request.seed, "of --method random; default 1", NULL},
        {"not-causal", NULL, OPTION_FLAG, &request.not_causal, "the .npy array is of an encoder",
         NULL},
        {"show", "L:H", OPTION_STRING, &request.show, "which head to draw; default 1:1", NULL},
        {"json", NULL, OPTION_FLAG, &request.json, "print a JSON object", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&prune_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if ((request.percent < 0) == (request.effective < 0) || request.percent > 100 ||
        request.effective > 100)
        return fail_usage("prune",
                          "give either --percent or --effective, a number between 0 and 100");

    pare_prune_options prune = {.method = (pare_method)request.method,
                                .geometry = (pare_geometry_kind)request.geometry,
                                .average = (pare_average_kind)request.average,
                                .scope = (pare_scope)request.scope,
                                .empty_row = (pare_empty_row)request.empty_row,
                                .percent = request.percent,
                                .seed = request.seed,
                                .block = (size_t)request.block};
    if ((exit_code = check_choice(parsed.positionals[0])))
        return exit_code;
    pare_average *average = NULL;
    pare_status status = load_average(parsed.positionals[0], !request.not_causal, &average);
    if (status != PARE_OK)
        return fail("prune", status);
    exit_code = choose_head(request.show, average, &request.layer, &request.head);
    if (!exit_code)
        exit_code = make_mask(average, prune, &request);
    pare_average_destroy(average);
    return exit_code;
}
