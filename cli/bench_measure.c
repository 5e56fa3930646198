/* How long attention calls take. Machines change speed within seconds, so dense and pruned calls
 * take turns, what counts is the median of their ratios, and quartiles tell how far to trust it. */
#include <math.h>
#include <stdlib.h>

#include "bench_attention.h"
#include "command.h"

/* A sample of short calls is many of them: clocks and schedulers disturb less than a millisecond.
 */
#define SAMPLE_SECONDS 1e-3
#define PASS_SECONDS 10
#define ROUNDS_LEAST 5
#define PLAN_BUILDS_MOST 5
#define PLAN_SECONDS .25

const char *const pass_names[PASS_COUNT] = {"forward", "forward+backward"};

struct bench_case {
    bench_shape shape;
    size_t query_offsets[2], key_offsets[2];
    float *data, *logsumexp, *gradient_sums;
    void *workspace;
    size_t workspace_bytes;
    pare_relative relative;
    pare_attention call;
    pare_attention_gradient gradient;
};

/* ---- Data ---- */

/* Numbers of about unit variance, the same in every run. */
static void fill(float *data, size_t count)
{
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * UINT32_C(1664525) + UINT32_C(1013904223);
        data[i] = 3.4f * ((float)(state >> 8) * 0x1p-24f - .5f);
    }
}

static bool allocate(bench_case *c, size_t floats, size_t sums)
{
    c->data = malloc(floats * sizeof(float));
    c->logsumexp = malloc(c->shape.queries * c->shape.heads * sizeof(float));
    c->gradient_sums = calloc(sums, sizeof(float));
    return c->data && c->logsumexp && c->gradient_sums;
}

bench_case *case_create(const bench_shape *shape)
{
    bench_case *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->shape = *shape;
    c->query_offsets[1] = shape->queries;
    c->key_offsets[1] = shape->keys;
    size_t size = shape->head_size, width = shape->heads * size;
    size_t queries = shape->queries * width, keys = shape->keys * width;
    size_t floats = 4 * queries + 5 * keys + 2 * width;
    if (!allocate(c, floats, keys + 2 * width)) {
        case_destroy(c);
        return NULL;
    }
    fill(c->data, floats);
    float *query = c->data, *output = query + queries, *query_gradient = output + queries;
    float *output_gradient = query_gradient + queries, *key = output_gradient + queries;
    float *value = key + keys, *key_gradient = value + keys, *value_gradient = key_gradient + keys;
    float *table = value_gradient + keys, *bias = table + keys;
    c->relative = (pare_relative){bias, bias + width, {table, width, size}, shape->keys};
    c->call = (pare_attention){
        .heads = shape->heads,
        .head_size = size,
        .scale = 1 / sqrtf((float)size),
        .query = {query, width, size},
        .key = {key, width, size},
        .value = {value, width, size},
        .output = {output, width, size},
        .queries = {c->query_offsets, 1},
        .keys = {c->key_offsets, 1},
        .causal = shape->causal,
        .window = shape->window,
        .relative = shape->relative ? &c->relative : NULL,
        .logsumexp = c->logsumexp,
    };
    float *sum = c->gradient_sums;
    c->gradient = (pare_attention_gradient){
        .output_gradient = {output_gradient, width, size},
        .query = {query_gradient, width, size},
        .key = {key_gradient, width, size},
        .value = {value_gradient, width, size},
        .content_bias = shape->relative ? sum : NULL,
        .position_bias = shape->relative ? sum + width : NULL,
        .table = {shape->relative ? sum + 2 * width : NULL, width, size},
    };
    return c;
}

void case_destroy(bench_case *c)
{
    if (!c)
        return;
    free(c->data);
    free(c->logsumexp);
    free(c->gradient_sums);
    free(c->workspace);
    free(c);
}

static size_t workspace_bytes(const bench_case *c, const pare_context *context,
                              const pare_plan *plan, pare_precision precision)
{
    pare_attention call = c->call;
    call.plan = plan;
    call.precision = precision;
    return pare_attention_workspace(context, &call);
}

bool case_reserve(bench_case *c, const pare_context *context, const pare_plan *plan)
{
    size_t bytes = workspace_bytes(c, context, plan, PARE_PRECISION_FP32);
    size_t other = workspace_bytes(c, context, plan, c->shape.precision);
    if (other > bytes)
        bytes = other;
    if (bytes <= c->workspace_bytes)
        return true;
    free(c->workspace);
    c->workspace = aligned_alloc(64, bytes / 64 * 64 + 64);
    c->workspace_bytes = c->workspace ? bytes : 0;
    return c->workspace != NULL;
}

/* ---- Times ---- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the values. Between two of them the quartile is interpolated. */
static double quantile(const double *sorted, size_t count, double share)
{
    double position = share * (double)(count - 1);
    size_t below = (size_t)position, above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (position - (double)below) * (sorted[above] - sorted[below]);
}

quartiles quartiles_of(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return (quartiles){quantile(values, count, .25), quantile(values, count, .5),
                       quantile(values, count, .75)};
}

pare_status case_sample(bench_case *c, pare_context *context, const pare_plan *plan, int pass,
                        size_t calls, double *seconds)
{
    pare_status status = PARE_OK;
    c->call.plan = plan;
    double start = seconds_now();
    for (size_t i = 0; i < calls && status == PARE_OK; i++) {
        status = pare_attention_forward(context, &c->call, c->workspace);
        if (status == PARE_OK && pass == PASS_BOTH)
            status = pare_attention_backward(context, &c->call, &c->gradient, c->workspace);
    }
    *seconds = (seconds_now() - start) / (double)calls;
    c->call.plan = NULL;
    return status;
}

pare_status case_warm_up(bench_case *c, pare_context *context, const pare_plan *plan, int pass,
                         size_t *calls)
{
    double seconds;
    pare_status status = case_sample(c, context, plan, pass, 1, &seconds);
    if (status == PARE_OK && seconds < SAMPLE_SECONDS)
        status = case_sample(c, context, plan, pass, 1, &seconds);
    double wanted = ceil(SAMPLE_SECONDS / fmax(seconds, 1e-6));
    *calls = (size_t)fmax(1, wanted);
    return status;
}

/* What ran before decides what the caches hold, so every pruned sample comes after a dense one. */
static pare_status sample_after_dense(bench_case *c, pare_context *context, const pare_plan *plan,
                                      int pass, const size_t calls[2], double *dense,
                                      double *pruned)
{
    pare_status status = case_sample(c, context, NULL, pass, calls[0], dense);
    c->call.precision = c->shape.precision;
    if (status == PARE_OK)
        status = case_sample(c, context, plan, pass, calls[1], pruned);
    c->call.precision = PARE_PRECISION_FP32;
    return status;
}

static pare_status measure_pass(bench_case *c, pare_context *context, const pare_plan *plan,
                                int pass, size_t repeat, struct pass_result *result)
{
    static double dense[REPEAT_MAX], pruned[REPEAT_MAX], ratios[REPEAT_MAX], gains[REPEAT_MAX];
    size_t calls[2], i = 0;
    pare_precision precision = c->shape.precision;
    pare_status status = case_warm_up(c, context, NULL, pass, &calls[0]);
    if (status == PARE_OK)
        status = case_warm_up(c, context, plan, pass, &calls[1]);
    double start = seconds_now();
    while (status == PARE_OK && i < repeat) {
        status = sample_after_dense(c, context, plan, pass, calls, &dense[i], &pruned[i]);
        ratios[i] = dense[i] / pruned[i];
        gains[i] = 1;
        if (status == PARE_OK && precision != PARE_PRECISION_FP32) {
            double plain = 0, dense_again = 0; /* a failed sample sets neither */
            c->shape.precision = PARE_PRECISION_FP32;
            status = sample_after_dense(c, context, plan, pass, calls, &dense_again, &plain);
            c->shape.precision = precision;
            gains[i] = plain / pruned[i];
        }
        i++;
        if (pare_interrupted())
            return PARE_ERROR_INTERRUPTED;
        if (i >= ROUNDS_LEAST && seconds_now() - start > PASS_SECONDS)
            break;
    }
    if (status != PARE_OK)
        return status;
    *result = (struct pass_result){quartiles_of(dense, i), quartiles_of(pruned, i),
                                   quartiles_of(ratios, i), quartiles_of(gains, i), i};
    return PARE_OK;
}

/* The median of a few builds; the last one stays. */
static pare_status build_plan(const bench_point *point, pare_plan **plan, double *seconds)
{
    double builds[PLAN_BUILDS_MOST], total = 0;
    size_t count = 0;
    *plan = NULL;
    while (count < PLAN_BUILDS_MOST && total < PLAN_SECONDS) {
        pare_plan_destroy(*plan);
        pare_status status = create_plan(point, plan, &builds[count]);
        if (status != PARE_OK)
            return status;
        total += builds[count++];
    }
    *seconds = quartiles_of(builds, count).middle;
    return PARE_OK;
}

pare_status measure_point(bench_case *c, pare_context *context, const bench_point *point,
                          size_t repeat, bench_result *result)
{
    pare_plan *plan;
    *result = (bench_result){0};
    pare_status status = build_plan(point, &plan, &result->plan_seconds);
    if (status != PARE_OK)
        return status;
    result->plan = pare_plan_summarise(plan);
    result->dense_workspace_bytes = workspace_bytes(c, context, NULL, PARE_PRECISION_FP32);
    result->workspace_bytes = workspace_bytes(c, context, plan, c->shape.precision);
    if (!case_reserve(c, context, NULL) || !case_reserve(c, context, plan))
        status = PARE_ERROR_MEMORY;
    for (int pass = 0; pass < PASS_COUNT && status == PARE_OK; pass++)
        status = measure_pass(c, context, plan, pass, repeat, &result->pass[pass]);
    pare_plan_destroy(plan);
    return status;
}

/* ---- Derived numbers ---- */

/* Forward has 2 products over the kept cells (3 with positions), backward 5 (8). */
double useful_gigaflops(const bench_shape *shape, double cells, int pass, double seconds)
{
    double forward = shape->relative ? 3 : 2, backward = shape->relative ? 8 : 5;
    double products = pass == PASS_FORWARD ? forward : forward + backward;
    return 2 * products * cells * (double)shape->head_size / seconds * 1e-9;
}

double calls_until_paid(const bench_result *result, int pass)
{
    double gain = result->pass[pass].dense.middle - result->pass[pass].pruned.middle;
    return gain > 0 ? ceil(result->plan_seconds / gain) : INFINITY;
}
