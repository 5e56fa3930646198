/* pare observe: a model's average attention over a text. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "progress.h"
#include "source.h"

const cli_command observe_command = {
    .name = "observe",
    .arguments = "MODEL (--recipe RECIPE | --text FILE) [options]",
    .summary = "average a model's attention over a data set",
    .details =
        "Runs the model densely over the whole text, without dropout, and adds up what every\n"
        "head attends to, per cell (query row x key column). The sums are kept in fp64 with a\n"
        "count for every cell, so files of several parts of a corpus merge exactly (--merge).\n\n"
        "Sentences are averaged by position from their start; with --ends-first, which relative\n"
        "masks of encoders and of cross attention need, the first and last token of an encoder's\n"
        "sentence come first.\n\n"
        "A translation model has three kinds of attention: average.safetensors becomes\n"
        "average-encoder.safetensors, average-decoder.safetensors and average-cross.safetensors.",
    .example =
        "  pare observe runs/demo/dense --recipe recipes/demo.yaml --output average.safetensors",
    .positionals_min = 1,
    .positionals_max = 1};

/* Each file goes to the average of its kind of attention. */
static pare_status merge_into(pare_average *const *averages, size_t kinds, const string_list *paths)
{
    for (size_t i = 0; i < paths->count; i++) {
        pare_average *part;
        pare_status status = pare_average_load(paths->items[i], &part);
        if (status != PARE_OK)
            return status;
        const pare_geometry *geometry = pare_average_geometry(part);
        status = pare_average_merge(averages[pare_geometry_attention(geometry, kinds)], part);
        pare_average_destroy(part);
        if (status != PARE_OK)
            return status;
    }
    return PARE_OK;
}

/* The geometry that observing will give. Of translation, only the data tell the sizes and the
 * ratio: they are taken from `part`. */
static pare_geometry expected_geometry(const cli_session *session, const pare_geometry *part,
                                       bool ends_first)
{
    size_t kinds = pare_model_attention_kinds(session->model);
    pare_attention_kind kind = pare_geometry_attention(part, kinds);
    pare_geometry geometry = pare_model_attention_geometry(
        session->model, kind, kinds > 1 ? part->queries : pare_task_length(session->data.task));
    geometry.ends_first = ends_first && kind != PARE_ATTENTION_DECODER;
    if (kind == PARE_ATTENTION_CROSS) {
        geometry.keys = part->keys;
        geometry.ratio = part->ratio;
    }
    return geometry;
}

/* Merges a file into an empty average. */
static pare_status check_part(const cli_session *session, const char *path, bool ends_first)
{
    pare_average *part, *empty = NULL;
    pare_status status = pare_average_load(path, &part);
    if (status != PARE_OK)
        return status;
    pare_geometry geometry = expected_geometry(session, pare_average_geometry(part), ends_first);
    status = pare_average_create(&geometry, &empty);
    if (status == PARE_OK)
        status = pare_average_merge(empty, part);
    pare_average_destroy(empty);
    pare_average_destroy(part);
    return status;
}

/* Before the pass over the data, which may take hours. */
static pare_status check_parts(const cli_session *session, const string_list *paths,
                               bool ends_first)
{
    pare_status status = PARE_OK;
    for (size_t i = 0; i < paths->count && status == PARE_OK; i++)
        status = check_part(session, paths->items[i], ends_first);
    return status;
}

/* "average.safetensors" becomes "average-cross.safetensors" where there are several kinds. */
static void name_output(const char *output, size_t kinds, size_t kind, char path[PATH_MAX])
{
    const char *slash = strrchr(output, '/'), *dot = strrchr(output, '.');
    size_t stem = dot && (!slash || dot > slash) ? (size_t)(dot - output) : strlen(output);
    if (kinds == 1)
        snprintf(path, PATH_MAX, "%s", output);
    else
        snprintf(path, PATH_MAX, "%.*s-%s%s", (int)stem, output, pare_attention_kind_names[kind],
                 output + stem);
}

static int check_outputs(const char *output, size_t kinds)
{
    char path[PATH_MAX];
    int exit_code = 0;
    for (size_t kind = 0; kind < kinds && !exit_code; kind++) {
        name_output(output, kinds, kind, path);
        exit_code = check_output("observe", path);
    }
    return exit_code;
}

static pare_status save_averages(pare_average *const *averages, size_t kinds, const char *output)
{
    pare_status status = PARE_OK;
    char path[PATH_MAX];
    for (size_t kind = 0; kind < kinds && status == PARE_OK; kind++) {
        name_output(output, kinds, kind, path);
        status = pare_average_save(averages[kind], path);
    }
    return status;
}

static json_t *average_to_json(const pare_average *average, const char *output)
{
    const pare_geometry *g = pare_average_geometry(average);
    return json_pack("{s:s, s:I, s:I, s:I, s:I, s:I}", "output", output, "layers",
                     (json_int_t)g->layers, "heads", (json_int_t)g->heads, "queries",
                     (json_int_t)g->queries, "keys", (json_int_t)g->keys, "examples",
                     (json_int_t)pare_average_examples(average));
}

static void print_average(const pare_average *average, const char *output)
{
    const pare_geometry *g = pare_average_geometry(average);
    printf("%s: %zu layers x %zu heads, %zu queries x %zu keys, averaged over %s sequences\n",
           output, g->layers, g->heads, g->queries, g->keys,
           format_count(pare_average_examples(average)));
}

static int describe(pare_average *const *averages, size_t kinds, const char *output, bool json)
{
    char path[PATH_MAX];
    json_t *list = json_array();
    for (size_t kind = 0; kind < kinds; kind++) {
        name_output(output, kinds, kind, path);
        if (json)
            json_array_append_new(list, average_to_json(averages[kind], path));
        else
            print_average(averages[kind], path);
    }
    if (!json) {
        json_decref(list);
        return PARE_OK;
    }
    if (kinds > 1)
        return print_json(list);
    json_t *single = json_incref(json_array_get(list, 0));
    json_decref(list);
    return print_json(single);
}

int command_observe(int argument_count, char **argument_values)
{
    static const char *const splits[] = {"train", "valid", "test", NULL};
    source_options source = {.any_head = true}; /* heads are no attention */
    string_list merge = {.count = 0};
    const char *output = "average.safetensors";
    bool json = false, ends_first = false;
    int split = PARE_SPLIT_TRAIN;
    const cli_option options[] = {
        {"recipe", "FILE", OPTION_STRING, &source.recipe, "data as this recipe describes them",
         NULL},
        {"set", "KEY=VALUE", OPTION_LIST, &source.set, "override a key of the recipe", NULL},
        COLUMN_OPTIONS(&source.set),
        {"text", "FILE", OPTION_STRING, &source.text, "a text, plain or gzip", NULL},
        {"split", "NAME", OPTION_CHOICE, &split, "which part of the recipe's data", splits},
        {"output", "FILE", OPTION_STRING, &output, "default average.safetensors", NULL},
        {"ends-first", NULL, OPTION_FLAG, &ends_first,
         "encoders: first and last token as rows and columns 0 and 1", NULL},
        {"merge", "FILE", OPTION_LIST, &merge, "add this average to the result", NULL},
        {"batch", "N", OPTION_COUNT, &source.lanes, "lanes computed together; speed only", NULL},
        {"length", "N", OPTION_COUNT, &source.length, "tokens per segment: rows of the mask", NULL},
        {"threads", "N", OPTION_COUNT, &source.threads, "default: all cores", NULL},
        {"json", NULL, OPTION_FLAG, &json, "print a JSON object", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&observe_command, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if ((exit_code = check_source("observe", &source)))
        return exit_code;

    cli_session session = {0};
    pare_average *averages[PARE_ATTENTION_KINDS] = {NULL};
    pare_progress progress = progress_begin(json);
    pare_status status = open_session(&session, parsed.positionals[0], NULL, false, source.threads);
    if (status == PARE_OK)
        exit_code = open_task("observe", &session, parsed.positionals[0], &source);
    if (status == PARE_OK && !exit_code)
        exit_code = check_outputs(output, pare_model_attention_kinds(session.model));
    if (status == PARE_OK && !exit_code)
        status = check_parts(&session, &merge, ends_first);
    if (status == PARE_OK && !exit_code)
        status = pare_task_observe(session.data.task, session.model, session.tape,
                                   (pare_split)split, ends_first, &progress, averages);
    progress_end();
    size_t kinds = session.model ? pare_model_attention_kinds(session.model) : 1;
    bool observed = status == PARE_OK && !exit_code;
    if (observed)
        status = merge_into(averages, kinds, &merge);
    if (observed && status == PARE_OK)
        status = save_averages(averages, kinds, output);
    if (status != PARE_OK)
        exit_code = fail("observe", status);
    else if (observed)
        exit_code = describe(averages, kinds, output, json);
    for (size_t kind = 0; kind < PARE_ATTENTION_KINDS; kind++)
        pare_average_destroy(averages[kind]);
    close_session(&session);
    return exit_code;
}
