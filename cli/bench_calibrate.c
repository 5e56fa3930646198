/* pare bench calibrate: measures what plans are compiled by (pare_plan_costs). Masks are forced
 * into lists or into spans, their calls take turns, and the costs are fitted to the times: relative
 * errors, least squares, no cost below zero. What a call takes whose plan keeps nothing is
 * subtracted, since no choice of the compiler changes it, and times are shares of a dense call of
 * the same round, since machines change speed within seconds. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "bench_attention.h"
#include "command.h"
#include "progress.h"

static const cli_command description = {
    .name = "bench calibrate",
    .arguments = "[options]",
    .summary = "measure the costs that plans are compiled by",
    .details =
        "  A plan lists cells one by one or covers them with dense spans, whichever the costs of\n"
        "  pare_plan_costs make cheaper. They are measured here on one thread, forward and\n"
        "  backward together: entry, a cell of a list; run, the cells of one row in a square of\n"
        "  lists; span, a dense span of 6 rows; key, packing one key. A cell of a wide dense span\n"
        "  is 1.\n\n"
        "  `model` is predicted time / measured time with these costs, `built-in` with the costs\n"
        "  built in. The last line of a level goes into the table in src/attention/plan.c. A\n"
        "  level takes less than a minute.",
    .example = "  pare bench calibrate --isa x86-64-v3,x86-64-v4 --json costs.json"};

#define VERB "bench calibrate"
#define HEADS 8
#define FEW_QUERIES 8 /* so that packing keys is most of the work */
#define STAGES 2      /* of rounds per level: fitting and checking */
#define STAGE_SECONDS 25
#define ROUNDS_LEAST 5
#define WARM_SECONDS 4e-3
typedef struct calibrate_options {
    uint64_t head_size, length, repeat;
    const char *levels, *json;
} calibrate_options;

enum { COST_CELL, COST_ENTRY, COST_RUN, COST_SPAN, COST_KEY, COST_COUNT };
static const char *const cost_names[COST_COUNT] = {"cell", "entry", "run", "span", "key"};

/* How a mask is compiled: forced, or chosen by costs. */
typedef enum plan_format {
    FORMAT_LISTS,
    FORMAT_SPANS,
    FORMAT_BUILT_IN,
    FORMAT_MEASURED,
    FORMAT_COUNT
} plan_format;
static const char *const format_names[FORMAT_COUNT] = {"lists", "spans", "by built-in costs",
                                                       "by measured costs"};

#define CHECKS_MOST 5 /* masks */
#define FITTED 9      /* subjects: the first ones */
#define SHAPES_MOST (3 + CHECKS_MOST)
#define SUBJECTS_MOST (FITTED + CHECKS_MOST * FORMAT_COUNT)

/* Calls of one shape, and of a plan of it that keeps nothing. */
typedef struct shape_data {
    bench_shape shape;
    bench_case *data;
    pare_plan *empty;
    size_t empty_calls;
    double empty_seconds; /* in this round */
} shape_data;

/* A plan to measure. */
typedef struct subject {
    bench_point point;
    plan_format format;
    shape_data *shape;
    pare_plan *plan;
    double counts[COST_COUNT]; /* what its costs are multiplied by */
    size_t calls;
    double seconds[REPEAT_MAX], shares[REPEAT_MAX]; /* of each round; of subject 0's */
    double middle_seconds, share;                   /* medians */
} subject;

typedef struct calibration {
    const calibrate_options *options;
    pare_context *context;
    const pare_plan_costs *built_in;
    pare_plan_costs measured;
    double cell_share, built_in_cell_share; /* a dense cell, as a share of subject 0's time */
    subject *subjects;                      /* SUBJECTS_MOST */
    size_t count;
    shape_data shapes[SHAPES_MOST];
    size_t shape_count;
    pare_progress progress;
    double start;
    size_t rounds_done, rounds_total;
} calibration;

/* ---- Plans ---- */

static pare_plan_costs costs_for(const calibration *c, plan_format format)
{
    switch (format) {
    case FORMAT_LISTS:
        return (pare_plan_costs){.span = 1e9};
    case FORMAT_SPANS:
        return (pare_plan_costs){.entry = 1e9};
    case FORMAT_BUILT_IN:
        return *c->built_in;
    default:
        return c->measured;
    }
}

static pare_status compile(const calibration *c, const bench_point *point, plan_format format,
                           double *counts, pare_plan **plan)
{
    const bench_shape *s = &point->shape;
    pare_plan_geometry geometry = {s->heads, s->queries, s->keys, s->causal};
    pare_plan_costs costs = costs_for(c, format);
    mask_maker maker;
    *plan = NULL;
    pare_status status = mask_maker_open(point, &maker);
    if (status == PARE_OK)
        status = pare_plan_create_for(&costs, &geometry, mask_row, &maker, plan);
    if (status != PARE_OK)
        return status;
    pare_plan_summary summary = pare_plan_summarise(*plan);
    counts[COST_CELL] = (double)summary.dense;
    counts[COST_ENTRY] = (double)summary.entries;
    counts[COST_RUN] = (double)summary.runs;
    counts[COST_SPAN] = (double)summary.spans;
    counts[COST_KEY] = (double)summary.keys;
    return PARE_OK;
}

static pare_status open_shape(calibration *c, const bench_point *point, shape_data **opened)
{
    for (size_t i = 0; i < c->shape_count; i++)
        if (same_shape(&c->shapes[i].shape, &point->shape)) {
            *opened = &c->shapes[i];
            return PARE_OK;
        }
    shape_data *shape = *opened = &c->shapes[c->shape_count++];
    bench_point nothing = {.shape = point->shape, .family = FAMILY_RANDOM, .density = 0};
    double counts[COST_COUNT];
    *shape = (shape_data){.shape = point->shape, .data = case_create(&point->shape)};
    pare_status status = compile(c, &nothing, FORMAT_LISTS, counts, &shape->empty);
    if (status == PARE_OK && !(shape->data && case_reserve(shape->data, c->context, shape->empty)))
        status = PARE_ERROR_MEMORY;
    return status;
}

static pare_status add_subject(calibration *c, const bench_point *point, plan_format format)
{
    subject *s = &c->subjects[c->count++];
    memset(s, 0, sizeof *s);
    s->point = *point;
    s->format = format;
    pare_status status = open_shape(c, point, &s->shape);
    if (status == PARE_OK)
        status = compile(c, point, format, s->counts, &s->plan);
    if (status == PARE_OK && !case_reserve(s->shape->data, c->context, s->plan))
        status = PARE_ERROR_MEMORY;
    return status;
}

/* Random masks are dense enough for lists in the smallest squares (src/attention/plan.h). */
static pare_status add_fitted(calibration *c)
{
    size_t length = (size_t)c->options->length, quarter = length / 4;
    const struct {
        size_t queries, keys;
        mask_family family;
        double columns; /* that a row keeps */
        plan_format format;
    } plans[FITTED] = {
        {length, length, FAMILY_BAND, (double)length, FORMAT_SPANS}, /* times are shares of it */
        {length, length, FAMILY_BAND, 128, FORMAT_SPANS},
        {length, length, FAMILY_BAND, 32, FORMAT_SPANS},
        {quarter, quarter, FAMILY_BAND, 32, FORMAT_SPANS},
        {length, length, FAMILY_RANDOM, .5 * (double)length, FORMAT_LISTS},
        {length, length, FAMILY_RANDOM, .08 * (double)length, FORMAT_LISTS},
        {quarter, quarter, FAMILY_RANDOM, .08 * (double)quarter, FORMAT_LISTS},
        {FEW_QUERIES, length, FAMILY_BAND, 1, FORMAT_LISTS},
        {FEW_QUERIES, length, FAMILY_BAND, 1, FORMAT_SPANS},
    };
    pare_status status = PARE_OK;
    for (size_t i = 0; i < FITTED && status == PARE_OK; i++) {
        bench_point point = {.family = plans[i].family,
                             .density = plans[i].columns / (double)plans[i].keys};
        point.shape.heads = HEADS;
        point.shape.head_size = (size_t)c->options->head_size;
        point.shape.queries = plans[i].queries;
        point.shape.keys = plans[i].keys;
        status = add_subject(c, &point, plans[i].format);
    }
    return status;
}

/* Other masks, in every format. */
static pare_status add_checks(calibration *c, const learned_set *learned)
{
    bench_axes axes = {.families = {3, {FAMILY_RANDOM, FAMILY_BAND, FAMILY_LEARNED}},
                       .densities = {1, {10}},
                       .lengths = {1, {(double)c->options->length}},
                       .head_sizes = {1, {(double)c->options->head_size}},
                       .threads = {1, {1}},
                       .levels = {1, {DEFAULT_LEVEL}},
                       .heads = HEADS,
                       .any_learned = true};
    bench_grid grid = {0};
    pare_status status = grid_add(&grid, &axes, learned) ? PARE_OK : PARE_ERROR_MEMORY;
    size_t most = FITTED + CHECKS_MOST * FORMAT_COUNT;
    for (size_t i = 0; i < grid.count && c->count < most; i++)
        for (int format = 0; format < FORMAT_COUNT && status == PARE_OK; format++)
            status = add_subject(c, &grid.points[i], (plan_format)format);
    grid_free(&grid);
    return status;
}

static void release(calibration *c)
{
    for (size_t i = 0; i < c->count; i++)
        pare_plan_destroy(c->subjects[i].plan);
    for (size_t i = 0; i < c->shape_count; i++) {
        case_destroy(c->shapes[i].data);
        pare_plan_destroy(c->shapes[i].empty);
    }
    c->count = c->shape_count = 0;
}

/* ---- Measuring ---- */

static double processor_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static pare_status warm_up(calibration *c)
{
    pare_status status = PARE_OK;
    for (size_t i = 0; i < c->shape_count && status == PARE_OK; i++)
        status = case_warm_up(c->shapes[i].data, c->context, c->shapes[i].empty, PASS_BOTH,
                              &c->shapes[i].empty_calls);
    for (size_t i = 0; i < c->count && status == PARE_OK; i++)
        status = case_warm_up(c->subjects[i].shape->data, c->context, c->subjects[i].plan,
                              PASS_BOTH, &c->subjects[i].calls);
    return status;
}

/* One thread's time on its core: what other programs take does not count. Calls before it warm the
 * caches, which held the data of another shape. */
static pare_status sample(const calibration *c, const shape_data *shape, const pare_plan *plan,
                          size_t calls, double *seconds)
{
    double elapsed, start = processor_seconds();
    pare_status status = PARE_OK;
    while (status == PARE_OK && processor_seconds() - start < WARM_SECONDS)
        status = case_sample(shape->data, c->context, plan, PASS_BOTH, 1, &elapsed);
    start = processor_seconds();
    if (status == PARE_OK)
        status = case_sample(shape->data, c->context, plan, PASS_BOTH, calls, &elapsed);
    *seconds = (processor_seconds() - start) / (double)calls;
    return status;
}

/* Subject 0 and those from `first` on. */
static pare_status measure_round(calibration *c, size_t first, size_t round)
{
    pare_status status = PARE_OK;
    for (size_t i = 0; i < c->shape_count && status == PARE_OK; i++)
        status = sample(c, &c->shapes[i], c->shapes[i].empty, c->shapes[i].empty_calls,
                        &c->shapes[i].empty_seconds);
    for (size_t i = 0; i < c->count && status == PARE_OK; i = i ? i + 1 : first) {
        subject *s = &c->subjects[i];
        double seconds;
        status = sample(c, s->shape, s->plan, s->calls, &seconds);
        s->seconds[round] = seconds - s->shape->empty_seconds;
        s->shares[round] = s->seconds[round] / c->subjects[0].seconds[round];
    }
    return status;
}

static void show_progress(calibration *c)
{
    pare_progress_event event = {.label = VERB,
                                 .unit = "rounds",
                                 .done = ++c->rounds_done,
                                 .total = c->rounds_total,
                                 .seconds = seconds_now() - c->start};
    if (c->progress.report)
        c->progress.report(c->progress.user, &event);
}

static pare_status measure(calibration *c, size_t first)
{
    pare_status status = warm_up(c);
    double start = seconds_now();
    size_t rounds = 0;
    while (status == PARE_OK && rounds < c->options->repeat) {
        if (rounds >= ROUNDS_LEAST && seconds_now() - start > STAGE_SECONDS)
            break;
        status = measure_round(c, first, rounds++);
        show_progress(c);
        if (pare_interrupted())
            status = PARE_ERROR_INTERRUPTED;
    }
    c->rounds_done += (size_t)c->options->repeat - rounds;
    for (size_t i = 0; i < c->count && status == PARE_OK; i = i ? i + 1 : first) {
        c->subjects[i].middle_seconds = quartiles_of(c->subjects[i].seconds, rounds).middle;
        c->subjects[i].share = quartiles_of(c->subjects[i].shares, rounds).middle;
    }
    return status;
}

/* ---- Fitting ---- */

/* Coordinate descent: in turn, each cost takes the best value that is not negative, given the
 * others. The problem is convex and small. */
static void fit(const calibration *c, double costs[COST_COUNT])
{
    double rows[SUBJECTS_MOST][COST_COUNT], errors[SUBJECTS_MOST];
    size_t count = 0;
    for (size_t i = 0; i < FITTED; i++) {
        const subject *s = &c->subjects[i];
        if (!(s->share > 0)) /* lost in noise */
            continue;
        for (int j = 0; j < COST_COUNT; j++)
            rows[count][j] = s->counts[j] / s->share;
        errors[count++] = 1;
    }
    memset(costs, 0, COST_COUNT * sizeof *costs);
    for (int sweep = 0; sweep < 100000; sweep++)
        for (int j = 0; j < COST_COUNT; j++) {
            double slope = 0, squares = 0;
            for (size_t i = 0; i < count; i++) {
                slope += rows[i][j] * errors[i];
                squares += rows[i][j] * rows[i][j];
            }
            double step = fmax(squares > 0 ? slope / squares : 0, -costs[j]);
            costs[j] += step;
            for (size_t i = 0; i < count; i++)
                errors[i] -= rows[i][j] * step;
        }
}

static double cost_of(const pare_plan_costs *costs, int which)
{
    const double values[COST_COUNT] = {1, costs->entry, costs->run, costs->span, costs->key};
    return values[which];
}

/* What a plan costs, in dense cells. */
static double cells_of(const subject *s, const pare_plan_costs *costs)
{
    double cells = 0;
    for (int j = 0; j < COST_COUNT; j++)
        cells += s->counts[j] * cost_of(costs, j);
    return cells;
}

/* The dense cell, as a share of subject 0's time, with which these costs fit best. */
static double best_cell_share(const calibration *c, const pare_plan_costs *costs)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < FITTED; i++) {
        double ratio = cells_of(&c->subjects[i], costs) / c->subjects[i].share;
        sum += ratio;
        squares += ratio * ratio;
    }
    return sum / squares;
}

static pare_status take_costs(calibration *c)
{
    double costs[COST_COUNT];
    fit(c, costs);
    c->cell_share = costs[COST_CELL];
    c->measured = (pare_plan_costs){.entry = costs[COST_ENTRY] / c->cell_share,
                                    .run = costs[COST_RUN] / c->cell_share,
                                    .span = costs[COST_SPAN] / c->cell_share,
                                    .key = costs[COST_KEY] / c->cell_share};
    c->built_in_cell_share = best_cell_share(c, c->built_in);
    return c->cell_share > 0 ? PARE_OK : PARE_ERROR_NUMERIC;
}

/* ---- Output ---- */

/* Predicted time / measured time. */
static double model_ratio(const calibration *c, const subject *s)
{
    return cells_of(s, &c->measured) * c->cell_share / s->share;
}

static double built_in_ratio(const calibration *c, const subject *s)
{
    return cells_of(s, c->built_in) * c->built_in_cell_share / s->share;
}

static double listed_share(const subject *s)
{
    pare_plan_summary plan = pare_plan_summarise(s->plan);
    return (double)plan.listed / (double)plan.kept;
}

static double kept_share(const subject *s)
{
    return (double)pare_plan_kept(s->plan) / admissible_cells(&s->point.shape);
}

static double cell_seconds(const calibration *c)
{
    return c->cell_share * c->subjects[0].middle_seconds;
}

static void print_subject(const calibration *c, const subject *s)
{
    printf("  %-8s %6.2f%% %5zu x %-5zu %-18s %4.0f%% %9.3f", family_names[s->point.family],
           100 * kept_share(s), s->point.shape.queries, s->point.shape.keys,
           format_names[s->format], 100 * listed_share(s), 1e3 * s->middle_seconds);
    if (s->format <= FORMAT_SPANS)
        printf(" %8.2f %9.2f", model_ratio(c, s), built_in_ratio(c, s));
    printf("\n");
}

/* One line of default_costs in src/attention/plan.c. */
static void print_initialiser(const calibration *c)
{
    const pare_plan_costs *m = &c->measured;
    char name[32];
    snprintf(name, sizeof name, "%s", pare_level_name(pare_context_level(c->context)));
    for (char *at = name; *at; at++)
        *at = *at == '-' ? '_' : *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
    printf("    [PARE_LEVEL_%s] = {.entry = %.1f, .run = %.1f, .span = %.0f, .key = %.0f},\n", name,
           m->entry, m->run, m->span, m->key);
}

static void print_level(const calibration *c)
{
    printf(
        "%s, %s, 1 thread, %d heads of size %zu, forward + backward: a dense cell takes %.2f ns\n",
        pare_cpu_name(), pare_level_name(pare_context_level(c->context)), HEADS,
        (size_t)c->options->head_size, 1e9 * cell_seconds(c));
    printf("  cost   built-in  measured\n");
    for (int j = COST_ENTRY; j < COST_COUNT; j++)
        printf("  %-6s %8.2f %9.2f\n", cost_names[j], cost_of(c->built_in, j),
               cost_of(&c->measured, j));
    printf("  fitted to                       plan              listed        ms    model  "
           "built-in\n");
    for (size_t i = 0; i < c->count; i++) {
        if (i == FITTED)
            printf("  not fitted to\n");
        print_subject(c, &c->subjects[i]);
    }
    print_initialiser(c);
    fflush(stdout);
}

static json_t *costs_as_json(const pare_plan_costs *costs)
{
    return json_pack("{s:f, s:f, s:f, s:f}", "entry", costs->entry, "run", costs->run, "span",
                     costs->span, "key", costs->key);
}

static json_t *subject_as_json(const calibration *c, size_t index)
{
    const subject *s = &c->subjects[index];
    json_t *object = json_pack(
        "{s:s, s:f, s:I, s:I, s:s, s:f, s:f, s:b}", "family", family_names[s->point.family],
        "kept_share", kept_share(s), "queries", (json_int_t)s->point.shape.queries, "keys",
        (json_int_t)s->point.shape.keys, "plan", format_names[s->format], "listed_share",
        listed_share(s), "seconds", s->middle_seconds, "fitted", index < FITTED);
    if (s->format <= FORMAT_SPANS) {
        json_object_set_new(object, "model_ratio", json_real(model_ratio(c, s)));
        json_object_set_new(object, "built_in_ratio", json_real(built_in_ratio(c, s)));
    }
    return object;
}

static void append_level(json_t *rows, const calibration *c)
{
    json_t *plans = json_array();
    for (size_t i = 0; i < c->count; i++)
        json_array_append_new(plans, subject_as_json(c, i));
    json_array_append_new(rows, json_pack("{s:s, s:I, s:I, s:f, s:o, s:o, s:o}", "isa",
                                          pare_level_name(pare_context_level(c->context)),
                                          "head_dim", (json_int_t)c->options->head_size, "length",
                                          (json_int_t)c->options->length, "cell_seconds",
                                          cell_seconds(c), "built_in", costs_as_json(c->built_in),
                                          "measured", costs_as_json(&c->measured), "plans", plans));
}

/* ---- The run ---- */

static pare_status calibrate_level(calibration *c, const char *level, const learned_set *learned)
{
    pare_context_options options = {.threads = 1, .level = level};
    pare_status status = pare_context_create(&options, &c->context);
    if (status != PARE_OK)
        return status;
    c->built_in = pare_plan_default_costs(pare_context_level(c->context));
    status = add_fitted(c);
    if (status == PARE_OK)
        status = measure(c, 1);
    if (status == PARE_OK)
        status = take_costs(c);
    if (status == PARE_OK)
        status = add_checks(c, learned);
    if (status == PARE_OK)
        status = measure(c, FITTED);
    return status;
}

static pare_status calibrate_levels(calibration *c, const number_list *levels,
                                    const learned_set *learned, json_t *rows)
{
    pare_status status = PARE_OK;
    c->rounds_total = levels->count * STAGES * (size_t)c->options->repeat;
    for (size_t i = 0; i < levels->count && status == PARE_OK; i++) {
        status = calibrate_level(c, pare_level_name((pare_level)levels->values[i]), learned);
        if (status == PARE_OK) {
            print_level(c);
            append_level(rows, c);
        }
        release(c);
        pare_context_destroy(c->context);
        c->context = NULL;
    }
    return status;
}

static int fail_run(pare_status status)
{
    fflush(stdout);
    if (status == PARE_ERROR_INTERRUPTED)
        fprintf(stderr, "pare " VERB ": interrupted\n");
    else if (status == PARE_ERROR_NUMERIC)
        fprintf(stderr, "pare " VERB ": the times are all noise; use a larger --length\n");
    else if (status == PARE_ERROR_MEMORY)
        fprintf(stderr, "pare " VERB ": not enough memory; use a smaller --length\n");
    else
        return fail(VERB, status);
    return (int)status;
}

static int calibrate_all(const calibrate_options *o, const number_list *levels,
                         const learned_set *learned)
{
    json_file json;
    int exit_code = open_json(VERB, o->json, &json);
    if (exit_code)
        return exit_code;
    json_t *rows = json_array();
    calibration c = {.options = o,
                     .subjects = malloc(SUBJECTS_MOST * sizeof *c.subjects),
                     .start = seconds_now(),
                     .progress = progress_begin(isatty(STDOUT_FILENO))};
    pare_status status =
        rows && c.subjects ? calibrate_levels(&c, levels, learned, rows) : PARE_ERROR_MEMORY;
    progress_end();
    if (status == PARE_OK) {
        exit_code = close_json(VERB, o->json, &json, rows);
    } else {
        drop_json(&json);
        exit_code = fail_run(status);
    }
    json_decref(rows);
    free(c.subjects);
    return exit_code;
}

int bench_calibrate(int argument_count, char **argument_values)
{
    calibrate_options o = {.head_size = 64, .length = 1024, .repeat = 15};
    const cli_option options[] = {
        {"isa", "LIST", OPTION_STRING, &o.levels, "levels (all that this CPU has)", NULL},
        {"head-size", "N", OPTION_COUNT, &o.head_size, "floats per head (64)", NULL},
        {"length", "N", OPTION_COUNT, &o.length, "queries and keys (1024)", NULL},
        {"repeat", "N", OPTION_COUNT, &o.repeat,
         "rounds in turn (15); at least 5 within 25 s, of the fit and of the checks", NULL},
        {"json", "FILE", OPTION_STRING, &o.json, "write all numbers to FILE", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&description, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    if (o.head_size < 1 || o.head_size > 256)
        return fail_usage(VERB, "--head-size must be 1 to 256");
    if (o.length < 128 || o.length > 8192)
        return fail_usage(VERB, "--length must be 128 to 8192");
    if (o.repeat < 1 || o.repeat > REPEAT_MAX)
        return fail_usage(VERB, "--repeat must be 1 to %d", REPEAT_MAX);
    number_list levels = supported_levels();
    learned_set learned = {.count = 0};
    char masks[PATH_MAX];
    if (o.levels)
        exit_code = parse_levels(VERB, o.levels, &levels);
    if (!exit_code && find_learned_directory(masks, sizeof masks))
        exit_code = load_learned(VERB, masks, &learned);
    if (!exit_code)
        exit_code = calibrate_all(&o, &levels, &learned);
    release_learned(&learned);
    return exit_code;
}
