/* pare bench attention: dense against pruned attention on random data, forward and both passes,
 * over lengths and densities. Machines change speed within seconds, so dense and pruned calls take
 * turns and what counts is the median of their ratios. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "command.h"

static const cli_command description = {
    .name = "bench attention",
    .arguments = "[options]",
    .summary = "measure dense and pruned attention on this machine",
    .details = "  Dense and pruned calls take turns; times are medians, ratios are medians of\n"
               "  ratios (dense time / pruned time: above 1 pruning pays). GFLOP/s count the work\n"
               "  on kept cells only. The break-even density is where pruned and dense calls\n"
               "  take equally long.",
    .example = "  pare bench attention --length 512,1024 --density 10,30 --threads 2",
};

static const char *const family_names[] = {"random", "band", NULL};

#define LIST_MAX 32
typedef struct bench_options {
    uint64_t heads, head_size, threads, repeat;
    const char *lengths, *densities, *json;
    int family;
    bool relative;
} bench_options;

/* One shape with its data. Queries and keys number `length`; relative attention is causal, with
 * the first half of the keys as memory. */
typedef struct bench_case {
    const bench_options *options;
    size_t queries, keys;
    size_t query_offsets[2], key_offsets[2];
    float *data, *logsumexp, *gradient_sums;
    void *workspace;
    pare_relative relative;
    pare_attention call;
    pare_attention_gradient gradient;
} bench_case;

typedef struct bench_row {
    double density, kept_cells;
    double seconds[2], dense_seconds[2], ratio[2]; /* forward; forward and backward */
} bench_row;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Uniform on [0, 1): a hash, so that every run measures the same mask. */
static double uniform(uint64_t index)
{
    uint64_t x = (index + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (double)((x ^ (x >> 31)) >> 11) * 0x1p-53;
}

static bool parse_list(const char *text, double least, double most, double *values, size_t *count)
{
    *count = 0;
    while (*count < LIST_MAX) {
        char *end;
        double value = strtod(text, &end);
        if (end == text || !(value >= least && value <= most))
            return false;
        values[(*count)++] = value;
        if (!*end)
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
    return false;
}

/* ---- One shape ---- */

static bool case_create(bench_case *c, const bench_options *options, size_t length)
{
    size_t heads = (size_t)options->heads, size = (size_t)options->head_size;
    size_t width = heads * size;
    *c = (bench_case){.options = options, .keys = length};
    c->queries = options->relative ? (length + 1) / 2 : length;
    c->query_offsets[1] = c->queries;
    c->key_offsets[1] = c->keys;
    size_t queries = c->queries * width, keys = c->keys * width;
    size_t floats = 4 * queries + 5 * keys + 2 * width, sums = keys + 2 * width;
    c->data = malloc(floats * sizeof(float));
    c->logsumexp = malloc(c->queries * heads * sizeof(float));
    c->gradient_sums = calloc(sums, sizeof(float));
    if (!c->data || !c->logsumexp || !c->gradient_sums)
        return false;
    for (size_t i = 0; i < floats; i++)
        c->data[i] = (float)(3.4 * (uniform(i) - .5)); /* about unit variance */
    float *query = c->data, *output = query + queries, *query_gradient = output + queries;
    float *output_gradient = query_gradient + queries, *key = output_gradient + queries;
    float *value = key + keys, *key_gradient = value + keys, *value_gradient = key_gradient + keys;
    float *table = value_gradient + keys, *bias = table + keys;
    c->relative = (pare_relative){bias, bias + width, {table, width, size}, c->keys};
    c->call = (pare_attention){
        .heads = heads,
        .head_size = size,
        .scale = 1 / sqrtf((float)size),
        .query = {query, width, size},
        .key = {key, width, size},
        .value = {value, width, size},
        .output = {output, width, size},
        .queries = {c->query_offsets, 1},
        .keys = {c->key_offsets, 1},
        .causal = options->relative,
        .relative = options->relative ? &c->relative : NULL,
        .logsumexp = c->logsumexp,
    };
    float *sum = c->gradient_sums;
    c->gradient = (pare_attention_gradient){
        .output_gradient = {output_gradient, width, size},
        .query = {query_gradient, width, size},
        .key = {key_gradient, width, size},
        .value = {value_gradient, width, size},
        .content_bias = options->relative ? sum : NULL,
        .position_bias = options->relative ? sum + width : NULL,
        .table = {options->relative ? sum + 2 * width : NULL, width, size},
    };
    return true;
}

static void case_destroy(bench_case *c)
{
    free(c->data);
    free(c->logsumexp);
    free(c->gradient_sums);
    free(c->workspace);
}

/* Makes the workspace fit calls with and without `plan`. */
static bool case_reserve(bench_case *c, const pare_context *context, const pare_plan *plan)
{
    pare_attention pruned = c->call;
    pruned.plan = plan;
    size_t dense_bytes = pare_attention_workspace(context, &c->call);
    size_t bytes = pare_attention_workspace(context, &pruned);
    bytes = bytes > dense_bytes ? bytes : dense_bytes;
    free(c->workspace);
    c->workspace = aligned_alloc(64, (bytes + 63) / 64 * 64);
    return c->workspace != NULL;
}

/* ---- Masks ---- */

typedef struct mask_maker {
    const bench_case *c;
    double density;
} mask_maker;

static void mask_row(void *user, size_t head, size_t row, uint8_t *fill)
{
    const mask_maker *maker = user;
    const bench_case *c = maker->c;
    size_t reach = c->call.causal ? row + c->keys - c->queries + 1 : c->keys;
    memset(fill, 0, c->keys);
    if (c->options->family == 0) {
        for (size_t j = 0; j < reach; j++)
            fill[j] = uniform((head * c->queries + row) * c->keys + j) < maker->density;
        return;
    }
    /* A band around the diagonal; causal: the newest keys. */
    size_t width = (size_t)lround(maker->density * (double)reach);
    size_t begin = reach - width;
    if (!c->call.causal) {
        size_t centre = c->queries > 1 ? row * (c->keys - 1) / (c->queries - 1) : 0;
        begin = centre > width / 2 ? centre - width / 2 : 0;
        begin = begin + width > reach ? reach - width : begin;
    }
    memset(fill + begin, 1, width);
}

/* ---- Measuring ---- */

static pare_status run_once(bench_case *c, pare_context *context, const pare_plan *plan,
                            bool backward, double *seconds)
{
    c->call.plan = plan;
    double start = now();
    pare_status status = pare_attention_forward(context, &c->call, c->workspace);
    if (status == PARE_OK && backward)
        status = pare_attention_backward(context, &c->call, &c->gradient, c->workspace);
    *seconds = now() - start;
    c->call.plan = NULL;
    return status;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

#define REPEAT_MAX 1000
static pare_status measure_pass(bench_case *c, pare_context *context, const pare_plan *plan,
                                int pass, bench_row *row)
{
    static double dense[REPEAT_MAX], pruned[REPEAT_MAX], ratios[REPEAT_MAX];
    size_t repeat = (size_t)c->options->repeat;
    pare_status status = run_once(c, context, plan, pass, &pruned[0]); /* warm-up */
    for (size_t i = 0; i < repeat && status == PARE_OK; i++) {
        status = run_once(c, context, NULL, pass, &dense[i]);
        if (status == PARE_OK)
            status = run_once(c, context, plan, pass, &pruned[i]);
        ratios[i] = dense[i] / pruned[i];
    }
    if (status != PARE_OK)
        return status;
    row->dense_seconds[pass] = median(dense, repeat);
    row->seconds[pass] = median(pruned, repeat);
    row->ratio[pass] = median(ratios, repeat);
    return PARE_OK;
}

static pare_status measure_density(bench_case *c, pare_context *context, double density,
                                   bench_row *row)
{
    pare_plan_geometry geometry = {c->call.heads, c->queries, c->keys, c->call.causal};
    mask_maker maker = {c, density};
    pare_plan *plan = NULL;
    pare_status status = pare_plan_create(&geometry, mask_row, &maker, &plan);
    if (status != PARE_OK)
        return status;
    *row = (bench_row){.density = density, .kept_cells = (double)pare_plan_kept(plan)};
    if (!case_reserve(c, context, plan))
        status = PARE_ERROR_MEMORY;
    for (int pass = 0; pass < 2 && status == PARE_OK; pass++)
        status = measure_pass(c, context, plan, pass, row);
    pare_plan_destroy(plan);
    return status;
}

/* ---- Output ---- */

/* Multiply-adds per cell and head dimension: forward has 2 products (3 with positions), backward 5
 * (8). */
static double gigaflops(const bench_case *c, double cells, int pass, double seconds)
{
    double products = c->options->relative ? (pass ? 11 : 3) : (pass ? 7 : 2);
    return 2 * products * cells * (double)c->options->head_size / seconds * 1e-9;
}

static double dense_cells(const bench_case *c)
{
    double rectangle = (double)c->queries * (double)c->keys;
    double future = c->call.causal ? (double)c->queries * (double)(c->queries - 1) / 2 : 0;
    return (double)c->options->heads * (rectangle - future);
}

/* The density at which a pruned call takes as long as a dense one, between the measured ones. */
static void print_break_even(const bench_row *rows, size_t count, int pass)
{
    for (size_t i = 0; i + 1 < count; i++) {
        const bench_row *a = &rows[i], *b = &rows[i + 1];
        if ((a->ratio[pass] - 1) * (b->ratio[pass] - 1) > 0)
            continue;
        double share = (1 / a->ratio[pass] - 1) / (1 / a->ratio[pass] - 1 / b->ratio[pass]);
        printf("%.0f%%", 100 * (a->density + share * (b->density - a->density)));
        return;
    }
    bool pays = count && rows[0].ratio[pass] > 1;
    double most = 0, least = 1;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, rows[i].density);
        least = fmin(least, rows[i].density);
    }
    printf(pays ? "above %.0f%%" : "below %.0f%%", 100 * (pays ? most : least));
}

static void print_rows(const bench_case *c, const bench_row *rows, size_t count)
{
    printf("\n%zu queries x %zu keys\n", c->queries, c->keys);
    printf("  kept          forward                          forward + backward\n");
    printf("             dense   pruned  GFLOP/s  ratio     dense   pruned  GFLOP/s  ratio\n");
    for (size_t i = 0; i < count; i++) {
        printf("  %4.0f%%", 100 * rows[i].density);
        for (int pass = 0; pass < 2; pass++)
            printf("  %8.2f %8.2f %8.0f %6.2f", 1e3 * rows[i].dense_seconds[pass],
                   1e3 * rows[i].seconds[pass],
                   gigaflops(c, rows[i].kept_cells, pass, rows[i].seconds[pass]),
                   rows[i].ratio[pass]);
        printf("\n");
    }
    for (int pass = 0; pass < 2; pass++) {
        double best = rows[0].dense_seconds[pass];
        for (size_t i = 1; i < count; i++)
            best = fmin(best, rows[i].dense_seconds[pass]);
        printf("  %s: dense %.0f GFLOP/s, break-even density ",
               pass ? "forward + backward" : "forward", gigaflops(c, dense_cells(c), pass, best));
        print_break_even(rows, count, pass);
        printf("\n");
    }
    fflush(stdout);
}

static void append_json(json_t *list, const bench_case *c, const pare_context *context,
                        const char *family, double density, int pass, double seconds, double ratio)
{
    json_array_append_new(list, json_pack("{s:s, s:f, s:I, s:I, s:i, s:s, s:s, s:f, s:f}", "family",
                                          family, "density", density, "length", (json_int_t)c->keys,
                                          "head_dim", (json_int_t)c->options->head_size, "threads",
                                          pare_context_threads(context), "isa",
                                          pare_level_name(pare_context_level(context)), "pass",
                                          pass ? "forward+backward" : "forward", "seconds", seconds,
                                          "ratio_to_dense", ratio));
}

static void append_rows(json_t *list, const bench_case *c, const pare_context *context,
                        const bench_row *rows, size_t count)
{
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < count; i++) {
            append_json(list, c, context, "dense", 1, pass, rows[i].dense_seconds[pass], 1);
            append_json(list, c, context, family_names[c->options->family], rows[i].density, pass,
                        rows[i].seconds[pass], rows[i].ratio[pass]);
        }
}

static int save_json(json_t *list, const char *path)
{
    json_t *object = json_pack("{s:s, s:o}", "cpu", pare_cpu_name(), "rows", list);
    int failed = !object || json_dump_file(object, path, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    json_decref(object);
    if (!failed)
        return PARE_OK;
    fprintf(stderr, "pare bench attention: cannot write '%s'\n", path);
    return PARE_ERROR_FILE;
}

static pare_status bench_length(const bench_options *options, pare_context *context, size_t length,
                                const double *densities, size_t count, json_t *list)
{
    bench_case c;
    bench_row rows[LIST_MAX] = {0};
    pare_status status = PARE_OK;
    if (!case_create(&c, options, length))
        status = PARE_ERROR_MEMORY;
    for (size_t i = 0; i < count && status == PARE_OK; i++)
        status = measure_density(&c, context, densities[i] / 100, &rows[i]);
    if (status == PARE_OK) {
        print_rows(&c, rows, count);
        append_rows(list, &c, context, rows, count);
    }
    case_destroy(&c);
    return status;
}

static int bench_all(const bench_options *options, const double *lengths, size_t length_count,
                     const double *densities, size_t density_count)
{
    pare_context *context;
    pare_context_options context_options = {.threads = (int)options->threads};
    pare_status status = pare_context_create(&context_options, &context);
    if (status != PARE_OK)
        return fail("bench attention", status);
    printf("%s, %s, %d thread%s; %d heads of size %d, %s masks%s; times in milliseconds\n",
           pare_cpu_name(), pare_level_name(pare_context_level(context)),
           pare_context_threads(context), pare_context_threads(context) == 1 ? "" : "s",
           (int)options->heads, (int)options->head_size, family_names[options->family],
           options->relative ? ", causal with relative positions" : "");
    json_t *list = json_array();
    for (size_t i = 0; i < length_count && status == PARE_OK; i++)
        status = bench_length(options, context, (size_t)lengths[i], densities, density_count, list);
    pare_context_destroy(context);
    int exit_code = PARE_OK;
    if (status == PARE_ERROR_MEMORY)
        exit_code = fail_usage("bench attention", "not enough memory for these shapes");
    else if (status != PARE_OK)
        exit_code = fail("bench attention", status);
    if (exit_code == PARE_OK && options->json)
        return save_json(list, options->json);
    json_decref(list);
    return exit_code;
}

int bench_attention(int argument_count, char **argument_values)
{
    bench_options o = {.heads = 8,
                       .head_size = 64,
                       .repeat = 20,
                       .lengths = "256,512,1024",
                       .densities = "5,10,20,40,60"};
    const cli_option options[] = {
        {"heads", "N", OPTION_COUNT, &o.heads, "attention heads (8)", NULL},
        {"head-size", "N", OPTION_COUNT, &o.head_size, "floats per head (64)", NULL},
        {"length", "LIST", OPTION_STRING, &o.lengths, "keys (256,512,1024)", NULL},
        {"density", "LIST", OPTION_STRING, &o.densities, "kept cells in percent (5,10,20,40,60)",
         NULL},
        {"family", "NAME", OPTION_CHOICE, &o.family, "where the kept cells are", family_names},
        {"relative", NULL, OPTION_FLAG, &o.relative,
         "causal, relative positions, half of the keys are memory", NULL},
        {"threads", "N", OPTION_COUNT, &o.threads, "threads (all cores)", NULL},
        {"repeat", "N", OPTION_COUNT, &o.repeat, "rounds of dense and pruned in turn (20)", NULL},
        {"json", "FILE", OPTION_STRING, &o.json, "write all rows to FILE", NULL},
        {0}};
    cli_arguments parsed;
    int exit_code;
    if (!parse_arguments(&description, options, argument_count, argument_values, &parsed,
                         &exit_code))
        return exit_code;
    double lengths[LIST_MAX], densities[LIST_MAX];
    size_t length_count, density_count;
    if (!parse_list(o.lengths, 1, 65536, lengths, &length_count))
        return fail_usage("bench attention",
                          "--length needs 1 to %d numbers from 1 to 65536, "
                          "separated by commas",
                          LIST_MAX);
    if (!parse_list(o.densities, 0, 100, densities, &density_count))
        return fail_usage("bench attention",
                          "--density needs 1 to %d percentages from 0 to 100, "
                          "separated by commas",
                          LIST_MAX);
    if (o.heads < 1 || o.heads > 1024 || o.head_size < 1 || o.head_size > 256)
        return fail_usage("bench attention", "--heads must be 1 to 1024, --head-size 1 to 256");
    if (o.repeat < 1 || o.repeat > REPEAT_MAX || o.threads > 1024)
        return fail_usage("bench attention", "--repeat must be 1 to %d, --threads at most 1024",
                          REPEAT_MAX);
    return bench_all(&o, lengths, length_count, densities, density_count);
}
