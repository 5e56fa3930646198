/* pare bench attention: dense against pruned attention on random data. Options and the run; see
 * bench_attention.h for the parts. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "bench_attention.h"
#include "command.h"
#include "progress.h"

static const cli_command description = {
    .name = "bench attention",
    .arguments = "[options]",
    .summary = "measure dense and pruned attention on this machine",
    .details =
        "  Dense and pruned calls take turns. Times are medians of one call with their\n"
        "  quartiles, the ratio is the median of ratios (dense time / pruned time: above 1\n"
        "  pruning pays). GFLOP/s count the work on kept cells only; `peak` is their share of\n"
        "  what multiply-adds in registers reach. A plan lists cells one by one or covers them "
        "with\n"
        "  dense spans; it has paid after as many calls as make up for the time it took to build.\n"
        "  At the break-even density pruned and dense calls take equally long.\n\n"
        "  Without options that choose points, a selection is measured in less than a minute.\n"
        "  Options that take a LIST choose every combination instead. Learned masks bring their\n"
        "  own heads, queries and density; --length chooses among them by their keys.",
    .example = "  pare bench attention\n"
               "  pare bench attention --family random,block --length 512,1024 --density 10,30"};

#define VERB "bench attention"

typedef struct bench_options {
    uint64_t heads, repeat;
    const char *families, *densities, *lengths, *head_sizes, *threads, *levels; /* NULL: default */
    const char *masks, *json;
    bool causal, relative, full;
    int precision;
} bench_options;

/* ---- Lists ---- */

static bool parse_list(const char *text, double least, double most, number_list *list)
{
    list->count = 0;
    while (list->count < LIST_MAX) {
        char *end;
        double value = strtod(text, &end);
        if (end == text || !(value >= least && value <= most))
            return false;
        list->values[list->count++] = value;
        if (!*end)
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
    return false;
}

static bool are_whole(const number_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->values[i] != (double)(int64_t)list->values[i])
            return false;
    return true;
}

/* Returns an exit code, other than 0 with a message printed. */
static int parse_whole_list(const char *option, const char *text, double most, number_list *list)
{
    if (parse_list(text, 1, most, list) && are_whole(list))
        return PARE_OK;
    return fail_usage(VERB, "--%s needs 1 to %d whole numbers from 1 to %.0f, separated by commas",
                      option, LIST_MAX, most);
}

static int parse_axes(const bench_options *o, bench_axes *axes)
{
    int exit_code;
    *axes = (bench_axes){
        .heads = (size_t)o->heads,
        .causal = o->causal,
        .relative = o->relative,
        .any_learned = !o->lengths,
        .levels = {1, {DEFAULT_LEVEL}},
        .threads = {1, {0}},
    };
    if (!parse_names(o->families ? o->families : "random", family_names, &axes->families))
        return fail_usage(VERB,
                          "--family cannot be '%s'; choose among random, band, stripes, "
                          "block, learned",
                          o->families);
    if (!parse_list(o->densities ? o->densities : "5,10,20,40,60", 0, 100, &axes->densities))
        return fail_usage(VERB,
                          "--density needs 1 to %d percentages from 0 to 100, separated by commas",
                          LIST_MAX);
    exit_code =
        parse_whole_list("length", o->lengths ? o->lengths : "256,512,1024", 65536, &axes->lengths);
    if (!exit_code)
        exit_code = parse_whole_list("head-size", o->head_sizes ? o->head_sizes : "64", 256,
                                     &axes->head_sizes);
    if (!exit_code && o->threads)
        exit_code = parse_whole_list("threads", o->threads, 1024, &axes->threads);
    if (!exit_code && o->levels)
        exit_code = parse_levels(VERB, o->levels, &axes->levels);
    return exit_code;
}

/* ---- Points ---- */

static bool chooses_points(const bench_options *o)
{
    return o->families || o->densities || o->lengths || o->head_sizes || o->threads || o->levels ||
           o->causal || o->relative;
}

static bool wants_learned(const bench_axes *axes)
{
    for (size_t i = 0; i < axes->families.count; i++)
        if (axes->families.values[i] == FAMILY_LEARNED)
            return true;
    return false;
}

/* The masks of --masks or those that come with Pare. A selection goes on without the latter. */
static int open_learned(const bench_options *o, bool required, learned_set *learned)
{
    char found[PATH_MAX];
    if (o->masks)
        return load_learned(VERB, o->masks, learned);
    if (find_learned_directory(found, sizeof found))
        return load_learned(VERB, found, learned);
    fprintf(stderr,
            "pare bench attention: the learned masks that come with Pare (bench/masks) are "
            "not beside this program; name their directory with --masks%s\n",
            required ? "" : "; going on without them");
    return required ? PARE_ERROR_FILE : PARE_OK;
}

static int fail_no_points(const learned_set *learned)
{
    char keys[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < learned->count && used + 24 < sizeof keys; i++) {
        const pare_geometry *geometry = pare_mask_geometry(learned->masks[i].mask);
        used += (size_t)snprintf(keys + used, sizeof keys - used, "%s%zu", i ? ", " : "",
                                 geometry->keys);
    }
    return fail_usage(VERB, "no learned mask has these --length keys; they have %s", keys);
}

static int fail_grid_memory(void)
{
    fflush(stdout);
    fprintf(stderr,
            "pare bench attention: not enough memory; choose a shorter --length or a smaller "
            "--density\n");
    return PARE_ERROR_MEMORY;
}

static int create_grid(const bench_options *o, learned_set *learned, bench_grid *grid)
{
    bench_axes axes;
    int exit_code = parse_axes(o, &axes);
    bool chosen = chooses_points(o);
    if (!exit_code && o->full && chosen)
        exit_code =
            fail_usage(VERB, "--full measures everything; leave out the options that choose");
    if (!exit_code && o->masks && chosen && !wants_learned(&axes))
        exit_code = fail_usage(VERB, "--masks needs --family learned");
    if (!exit_code && (!chosen || wants_learned(&axes)))
        exit_code = open_learned(o, chosen, learned);
    if (exit_code)
        return exit_code;
    bool added = chosen    ? grid_add(grid, &axes, learned)
                 : o->full ? grid_add_full(grid, axes.heads, learned)
                           : grid_add_default(grid, axes.heads, learned);
    if (!added)
        return fail_grid_memory();
    if (!grid->count)
        return fail_no_points(learned);
    for (size_t i = 0; i < grid->count; i++)
        grid->points[i].shape.precision = (pare_precision)o->precision;
    grid_sort(grid);
    return PARE_OK;
}

/* ---- The run ---- */

typedef struct bench_run {
    const bench_options *options;
    const bench_grid *grid;
    pare_context *context;
    double peak, start;
    json_t *rows;
    pare_progress progress;
} bench_run;

static void show_progress(const bench_run *run, size_t done)
{
    pare_progress_event event = {.label = "bench attention",
                                 .unit = "masks",
                                 .done = done,
                                 .total = run->grid->count,
                                 .seconds = seconds_now() - run->start};
    if (run->progress.report)
        run->progress.report(run->progress.user, &event);
}

static pare_status open_run_context(bench_run *run, const bench_point *point)
{
    pare_context_options options = {
        .threads = point->threads,
        .level = point->level == DEFAULT_LEVEL ? NULL : pare_level_name((pare_level)point->level)};
    pare_context_destroy(run->context);
    run->context = NULL;
    pare_status status = pare_context_create(&options, &run->context);
    if (status != PARE_OK)
        return status;
    run->peak = pare_measure_peak(run->context);
    print_context(run->context, run->peak);
    return PARE_OK;
}

/* Measures points first .. first + count - 1, which share context and shape. */
static pare_status run_group(bench_run *run, size_t first, size_t count)
{
    const bench_point *points = &run->grid->points[first];
    bench_result *results = calloc(count, sizeof *results);
    bench_case *c = case_create(&points->shape);
    pare_status status = results && c ? PARE_OK : PARE_ERROR_MEMORY;
    if (status == PARE_OK)
        print_group_heading(&points->shape);
    for (size_t i = 0; i < count && status == PARE_OK; i++) {
        status =
            measure_point(c, run->context, &points[i], (size_t)run->options->repeat, &results[i]);
        if (status == PARE_OK) {
            print_point(&points[i], &results[i], run->peak);
            show_progress(run, first + i + 1);
        }
    }
    if (status == PARE_OK) {
        bench_group group = {points, results, count, run->context, run->peak};
        print_group_end(&group);
        append_group(run->rows, &group);
    }
    case_destroy(c);
    free(results);
    return status;
}

static pare_status run_grid(bench_run *run)
{
    const bench_grid *grid = run->grid;
    pare_status status = PARE_OK;
    for (size_t first = 0, count; first < grid->count && status == PARE_OK; first += count) {
        const bench_point *point = &grid->points[first];
        for (count = 1; first + count < grid->count; count++)
            if (!same_context(point, point + count) ||
                !same_shape(&point->shape, &(point + count)->shape))
                break;
        if (!first || !same_context(point, point - 1))
            status = open_run_context(run, point);
        if (status == PARE_OK)
            status = run_group(run, first, count);
    }
    return status;
}

static int fail_run(pare_status status, bool has_json)
{
    if (status == PARE_ERROR_MEMORY)
        return fail_grid_memory();
    if (status != PARE_ERROR_INTERRUPTED)
        return fail(VERB, status);
    fflush(stdout);
    fprintf(stderr, "pare bench attention: interrupted%s\n",
            has_json ? "; no JSON file was written" : "");
    return PARE_ERROR_INTERRUPTED;
}

static int bench_all(const bench_options *o, const bench_grid *grid)
{
    json_file json;
    int exit_code = open_json(VERB, o->json, &json);
    if (exit_code)
        return exit_code;
    /* On a terminal the rows themselves show how far it is. */
    bench_run run = {.options = o,
                     .grid = grid,
                     .start = seconds_now(),
                     .rows = json_array(),
                     .progress = progress_begin(isatty(STDOUT_FILENO))};
    pare_status status = run.rows ? run_grid(&run) : PARE_ERROR_MEMORY;
    progress_end();
    if (status != PARE_OK) {
        drop_json(&json);
        exit_code = fail_run(status, o->json);
    } else {
        exit_code = close_json(VERB, o->json, &json, run.rows);
    }
    json_decref(run.rows);
    pare_context_destroy(run.context);
    return exit_code;
}

int bench_attention(int argument_count, char **argument_values)
{
    bench_options o = {.heads = 8, .repeat = 20};
    const cli_option options[] = {
        {"family", "LIST", OPTION_STRING, &o.families,
         "random, band, stripes, block, learned (random)", NULL},
        {"density", "LIST", OPTION_STRING, &o.densities, "kept cells in percent (5,10,20,40,60)",
         NULL},
        {"length", "LIST", OPTION_STRING, &o.lengths, "queries and keys (256,512,1024)", NULL},
        {"head-size", "LIST", OPTION_STRING, &o.head_sizes, "floats per head (64)", NULL},
        {"threads", "LIST", OPTION_STRING, &o.threads, "threads (all cores)", NULL},
        {"isa", "LIST", OPTION_STRING, &o.levels, "x86-64-v2, x86-64-v3, ... (the best)", NULL},
        {"causal", NULL, OPTION_FLAG, &o.causal, "keys up to the query only", NULL},
        {"relative", NULL, OPTION_FLAG, &o.relative,
         "causal, relative positions, half of the keys are memory", NULL},
        {"precision", "WORD", OPTION_CHOICE, &o.precision,
         "of pruned calls: fp32 (default), bf16, which is compared with fp32", precision_words},
        {"heads", "N", OPTION_COUNT, &o.heads, "attention heads (8)", NULL},
        {"masks", "DIRECTORY", OPTION_STRING, &o.masks, "learned masks (those that come with Pare)",
         NULL},
        {"full", NULL, OPTION_FLAG, &o.full, "everything: an hour or more", NULL},
        {"repeat", "N", OPTION_COUNT, &o.repeat,
         "rounds of dense and pruned in turn (20); at least 5 within 10 s", NULL},
        {"json", "FILE", OPTION_STRING, &o.json, "write all rows to FILE", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&description, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if (o.heads < 1 || o.heads > 1024)
        return fail_usage(VERB, "--heads must be 1 to 1024");
    if (o.repeat < 1 || o.repeat > REPEAT_MAX)
        return fail_usage(VERB, "--repeat must be 1 to %d", REPEAT_MAX);
    learned_set learned = {.count = 0};
    bench_grid grid = {0};
    exit_code = create_grid(&o, &learned, &grid);
    if (!exit_code)
        exit_code = bench_all(&o, &grid);
    grid_free(&grid);
    release_learned(&learned);
    return exit_code;
}
