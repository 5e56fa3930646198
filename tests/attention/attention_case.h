/* A complete attention call with random data, its plan, results and gradients; and a plain fp32
 * implementation, written from the formulas alone, whose error sets the limit for the kernels. */
#ifndef PARE_TESTS_ATTENTION_CASE_H
#define PARE_TESTS_ATTENTION_CASE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/context.h"
#include "base/random.h"
#include "pare/attention.h"

#define SEQUENCES_MAX 4

typedef struct case_options {
    size_t heads, head_size, sequences;
    size_t queries[SEQUENCES_MAX], keys[SEQUENCES_MAX];
    bool causal, relative, strided;
    size_t window;
    size_t distances;               /* 0: as many as the longest sequence needs */
    double density;                 /* kept share of the plan; negative: no plan */
    size_t plan_queries, plan_keys; /* 0: the longest sequence's */
    size_t band;                    /* the plan also keeps this many columns around the diagonal */
    double uniform, empty;          /* share of the plan's rows that attend uniformly; to nothing */
    const pare_plan_costs *costs;   /* of the plan; NULL: of the best level */
    float dropout;
    pare_precision precision;
    uint64_t seed;
} case_options;

typedef struct attention_case {
    case_options options;
    size_t query_tokens, key_tokens, token_stride, distances;
    size_t query_offsets[SEQUENCES_MAX + 1], key_offsets[SEQUENCES_MAX + 1];
    pare_plan_geometry geometry;
    uint8_t *mask; /* (heads, plan queries, plan keys): 0, 1 or 2 */
    float *query, *key, *value, *output, *output_gradient, *logsumexp;
    float *content_bias, *position_bias, *table;
    float *query_gradient, *key_gradient, *value_gradient;
    float *content_gradient, *position_gradient, *table_gradient;
    pare_relative relative;
    pare_attention call;
    pare_attention_gradient gradient;
    pare_plan *plan;
} attention_case;

static inline float *random_floats(size_t count, uint64_t seed, uint64_t stream, double scale)
{
    float *data = calloc(count + 1, sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < count; i++)
        data[i] = (float)(scale * pri_random_normal(seed * 100 + stream, i));
    return data;
}

/* What bf16 makes of a number: 8 significant bits, ties to even. */
static inline float rounded_to_bf16(float x)
{
    int exponent;
    float mantissa = frexpf(x, &exponent);
    return isfinite(x) ? ldexpf(rintf(ldexpf(mantissa, 8)), exponent - 8) : x;
}

/* Multiples of 1/16 below 4: two of them have a sum that bf16 holds exactly. */
static inline void snap_floats(float *data, size_t count)
{
    for (size_t i = 0; i < count; i++)
        data[i] = rintf(fminf(fmaxf(data[i], -3.9f), 3.9f) * 16) / 16;
}

static inline void plan_row_from_mask(void *user, size_t head, size_t row, uint8_t *fill)
{
    const attention_case *c = user;
    const pare_plan_geometry *g = &c->geometry;
    memcpy(fill, c->mask + (head * g->queries + row) * g->keys, g->keys);
}

static inline void case_make_plan(attention_case *c)
{
    const case_options *o = &c->options;
    pare_plan_geometry *g = &c->geometry;
    *g = (pare_plan_geometry){o->heads, o->plan_queries, o->plan_keys, o->causal};
    size_t memory = 0;
    for (size_t n = 0; n < o->sequences; n++) {
        if (!o->plan_queries && o->queries[n] > g->queries)
            g->queries = o->queries[n];
        if (!o->plan_keys && !o->causal && o->keys[n] > g->keys)
            g->keys = o->keys[n];
        if (o->causal && o->keys[n] - o->queries[n] > memory)
            memory = o->keys[n] - o->queries[n];
    }
    if (!o->plan_keys && o->causal)
        g->keys = g->queries + memory;
    if (!g->queries)
        g->queries = 1;
    if (!g->keys)
        g->keys = 1;
    size_t rows = g->heads * g->queries;
    c->mask = calloc(rows * g->keys, 1);
    assert_non_null(c->mask);
    for (size_t row = 0; row < rows; row++) {
        bool uniform = pri_random_uniform(o->seed + 7, row) < o->uniform;
        if (pri_random_uniform(o->seed + 6, row) < o->empty)
            continue;
        size_t diagonal = row % g->queries + (o->causal ? g->keys - g->queries : 0);
        for (size_t j = 0; j < g->keys; j++) {
            bool in_band = j + o->band / 2 >= diagonal && j < diagonal + (o->band + 1) / 2;
            if (in_band || pri_random_uniform(o->seed + 8, row * g->keys + j) < o->density)
                c->mask[row * g->keys + j] = uniform ? 2 : 1;
        }
    }
    const pare_plan_costs *costs = o->costs ? o->costs : pare_plan_default_costs(pri_best_level());
    assert_int_equal(pare_plan_create_for(costs, g, plan_row_from_mask, c, &c->plan), PARE_OK);
}

/* What is rounded of a query is scale * (q + bias). That is what the reference makes of a rounded q
 * when the scale is a power of two and no sum needs rounding. */
static inline void case_make_queries_exact(attention_case *c)
{
    size_t width = c->options.heads * c->options.head_size;
    c->call.scale = ldexpf(1, -ilogbf(sqrtf((float)c->options.head_size)));
    if (!c->options.relative)
        return;
    snap_floats(c->query, c->query_tokens * c->token_stride);
    snap_floats(c->content_bias, width);
    snap_floats(c->position_bias, width);
}

/* Rounds what a call rounds. */
static inline void case_round(attention_case *c)
{
    size_t queries = c->query_tokens * c->token_stride, keys = c->key_tokens * c->token_stride;
    size_t width = c->options.heads * c->options.head_size;
    float *arrays[] = {c->query, c->key, c->value, c->output_gradient, c->table};
    size_t counts[] = {queries, keys, keys, queries, c->distances * width};
    for (int i = 0; i < 5; i++)
        for (size_t k = 0; k < counts[i]; k++)
            arrays[i][k] = rounded_to_bf16(arrays[i][k]);
}

static inline attention_case *case_create(case_options options)
{
    attention_case *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->options = options;
    const case_options *o = &c->options;
    size_t longest = 1;
    for (size_t n = 0; n < o->sequences; n++) {
        c->query_offsets[n + 1] = c->query_offsets[n] + o->queries[n];
        c->key_offsets[n + 1] = c->key_offsets[n] + o->keys[n];
        longest = o->keys[n] > longest ? o->keys[n] : longest;
    }
    c->query_tokens = c->query_offsets[o->sequences];
    c->key_tokens = c->key_offsets[o->sequences];
    c->distances = o->distances ? o->distances : longest;
    /* Strided views: heads lie apart with a gap that the call must not touch. */
    size_t head_stride = o->head_size + (o->strided ? 3 : 0);
    c->token_stride = o->heads * head_stride + (o->strided ? 5 : 0);
    size_t queries = c->query_tokens * c->token_stride, keys = c->key_tokens * c->token_stride;
    size_t width = o->heads * o->head_size;
    c->query = random_floats(queries, o->seed, 1, 1);
    c->key = random_floats(keys, o->seed, 2, 1);
    c->value = random_floats(keys, o->seed, 3, 1);
    c->output_gradient = random_floats(queries, o->seed, 4, 1);
    c->output = random_floats(queries, o->seed, 5, 1);
    c->query_gradient = random_floats(queries, o->seed, 6, 1);
    c->key_gradient = random_floats(keys, o->seed, 7, 1);
    c->value_gradient = random_floats(keys, o->seed, 8, 1);
    c->logsumexp = random_floats(c->query_tokens * o->heads, o->seed, 9, 1);
    c->content_bias = random_floats(width, o->seed, 10, .5);
    c->position_bias = random_floats(width, o->seed, 11, .5);
    c->table = random_floats(c->distances * width, o->seed, 12, .5);
    c->content_gradient = random_floats(width, o->seed, 13, 0);
    c->position_gradient = random_floats(width, o->seed, 13, 0);
    c->table_gradient = random_floats(c->distances * width, o->seed, 13, 0);
    c->relative = (pare_relative){
        c->content_bias, c->position_bias, {c->table, width, o->head_size}, c->distances};
    if (o->density >= 0)
        case_make_plan(c);
    size_t token = c->token_stride;
    c->call = (pare_attention){
        .heads = o->heads,
        .head_size = o->head_size,
        .scale = 1 / sqrtf((float)o->head_size),
        .query = {c->query, token, head_stride},
        .key = {c->key, token, head_stride},
        .value = {c->value, token, head_stride},
        .output = {c->output, token, head_stride},
        .queries = {c->query_offsets, o->sequences},
        .keys = {c->key_offsets, o->sequences},
        .causal = o->causal,
        .window = o->window,
        .relative = o->relative ? &c->relative : NULL,
        .plan = c->plan,
        .logsumexp = c->logsumexp,
        .dropout = o->dropout,
        .dropout_key = o->seed + 99,
        .precision = o->precision,
    };
    if (o->precision == PARE_PRECISION_BF16)
        case_make_queries_exact(c);
    c->gradient = (pare_attention_gradient){
        .output_gradient = {c->output_gradient, token, head_stride},
        .query = {c->query_gradient, token, head_stride},
        .key = {c->key_gradient, token, head_stride},
        .value = {c->value_gradient, token, head_stride},
        .content_bias = o->relative ? c->content_gradient : NULL,
        .position_bias = o->relative ? c->position_gradient : NULL,
        .table = {o->relative ? c->table_gradient : NULL, width, o->head_size},
    };
    return c;
}

static inline void case_destroy(attention_case *c)
{
    float *arrays[] = {c->query,
                       c->key,
                       c->value,
                       c->output,
                       c->output_gradient,
                       c->logsumexp,
                       c->content_bias,
                       c->position_bias,
                       c->table,
                       c->query_gradient,
                       c->key_gradient,
                       c->value_gradient,
                       c->content_gradient,
                       c->position_gradient,
                       c->table_gradient};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]);
    free(c->mask);
    pare_plan_destroy(c->plan);
    free(c);
}

static inline pare_context *context_for(const char *level, int threads)
{
    pare_context *context;
    pare_context_options options = {.threads = threads, .level = level};
    if (pare_context_create(&options, &context) != PARE_OK)
        fail_msg("%s", pare_error_message());
    return context;
}

static inline void *workspace_for(const pare_context *context, const pare_attention *call)
{
    size_t bytes = (pare_attention_workspace(context, call) + 127) / 64 * 64;
    void *workspace = aligned_alloc(64, bytes);
    assert_non_null(workspace);
    memset(workspace, 0xff, bytes); /* NaN: nothing may be used before it is written */
    return workspace;
}

static inline void assert_ok(pare_status status)
{
    if (status != PARE_OK)
        fail_msg("status %d: %s", (int)status, pare_error_message());
}

static inline void case_run(attention_case *c, pare_context *context)
{
    void *workspace = workspace_for(context, &c->call);
    assert_ok(pare_attention_forward(context, &c->call, workspace));
    assert_ok(pare_attention_backward(context, &c->call, &c->gradient, workspace));
    free(workspace);
}

/* ---- Results of one call in one order: (tokens, heads, head_size) and so on, fp64 ---- */
typedef struct results {
    size_t counts[8];
    double *data[8];
} results;

static const char *const result_names[8] = {"output",
                                            "logsumexp",
                                            "query gradient",
                                            "key gradient",
                                            "value gradient",
                                            "content bias gradient",
                                            "position bias gradient",
                                            "table gradient"};

static inline results results_create(const attention_case *c)
{
    size_t heads = c->options.heads, width = heads * c->options.head_size;
    size_t queries = c->query_tokens * width, keys = c->key_tokens * width;
    results r = {.counts = {queries, c->query_tokens * heads, queries, keys, keys, width, width,
                            c->distances * width}};
    for (int i = 0; i < 8; i++) {
        r.data[i] = calloc(r.counts[i] + 1, sizeof **r.data);
        assert_non_null(r.data[i]);
    }
    return r;
}

static inline void results_destroy(results *r)
{
    for (int i = 0; i < 8; i++)
        free(r->data[i]);
}

static inline void copy_view(const attention_case *c, const float *from, size_t tokens, double *to)
{
    size_t heads = c->options.heads, size = c->options.head_size;
    for (size_t t = 0; t < tokens; t++)
        for (size_t h = 0; h < heads; h++)
            for (size_t d = 0; d < size; d++)
                to[(t * heads + h) * size + d] =
                    (double)from[t * c->token_stride + h * c->call.query.head_stride + d];
}

static inline results results_of_kernels(const attention_case *c)
{
    results r = results_create(c);
    copy_view(c, c->output, c->query_tokens, r.data[0]);
    copy_view(c, c->query_gradient, c->query_tokens, r.data[2]);
    copy_view(c, c->key_gradient, c->key_tokens, r.data[3]);
    copy_view(c, c->value_gradient, c->key_tokens, r.data[4]);
    const float *plain[] = {c->content_gradient, c->position_gradient, c->table_gradient};
    for (size_t i = 0; i < r.counts[1]; i++)
        r.data[1][i] = (double)c->logsumexp[i];
    for (int p = 0; p < 3; p++)
        for (size_t i = 0; i < r.counts[5 + p]; i++)
            r.data[5 + p][i] = (double)plain[p][i];
    return r;
}

static inline results results_of_reference(const attention_case *c)
{
    results r = results_create(c);
    assert_ok(pare_attention_reference(&c->call, r.data[0], r.data[1], NULL));
    pare_attention_reference_gradient gradient = {r.data[2], r.data[3], r.data[4],
                                                  r.data[5], r.data[6], r.data[7]};
    assert_ok(pare_attention_reference_backward(&c->call, c->gradient.output_gradient, &gradient));
    return r;
}

/* ---- The plain fp32 implementation ---- */
static inline bool case_keeps(const attention_case *c, size_t n, size_t head, size_t i, size_t j)
{
    size_t queries = c->options.queries[n], keys = c->options.keys[n];
    const pare_plan_geometry *g = &c->geometry;
    size_t shift = 0;
    if (c->options.causal) {
        if (j > i + (keys - queries))
            return false;
        if (c->options.window && i + (keys - queries) - j >= c->options.window)
            return false;
        shift = (g->keys - g->queries) - (keys - queries);
    }
    return !c->mask || c->mask[(head * g->queries + i) * g->keys + j + shift];
}

static inline bool case_is_uniform(const attention_case *c, size_t head, size_t i)
{
    const pare_plan_geometry *g = &c->geometry;
    for (size_t j = 0; c->mask && j < g->keys; j++)
        if (c->mask[(head * g->queries + i) * g->keys + j] == 2)
            return true;
    return false;
}

static inline float dot32(const float *a, const float *b, size_t size)
{
    float sum = 0;
    for (size_t d = 0; d < size; d++)
        sum += a[d] * b[d];
    return sum;
}

static inline void add32(float *to, float factor, const float *x, size_t size)
{
    for (size_t d = 0; d < size; d++)
        to[d] += factor * x[d];
}

/* One row, without dropout. Pointers are to (tokens, heads, head_size) arrays of this head. */
static inline void plain_row(const attention_case *c, size_t n, size_t h, size_t i, float **out)
{
    const case_options *o = &c->options;
    size_t size = o->head_size, heads = o->heads, keys = o->keys[n];
    size_t query = c->query_offsets[n] + i, stride = c->call.query.head_stride;
    const float *q = c->query + query * c->token_stride + h * stride;
    const float *g = c->output_gradient + query * c->token_stride + h * stride;
    float *a = calloc(keys + 1, sizeof *a), *sum_u = calloc(size, sizeof *sum_u);
    float *sum_w = calloc(size, sizeof *sum_w);
    assert_true(a && sum_u && sum_w);
    for (size_t d = 0; d < size; d++) {
        sum_u[d] = q[d] + (o->relative ? c->content_bias[h * size + d] : 0);
        sum_w[d] = q[d] + c->position_bias[h * size + d];
    }
    bool uniform = case_is_uniform(c, h, i);
    float largest = -INFINITY, total = 0, expected = 0;
    for (size_t j = 0; j < keys; j++) {
        if (!case_keeps(c, n, h, i, j))
            continue;
        const float *k = c->key + (c->key_offsets[n] + j) * c->token_stride + h * stride;
        size_t delta = i + keys - o->queries[n] - j;
        delta = delta < c->distances ? delta : c->distances - 1;
        const float *r = c->table + (delta * heads + h) * size;
        a[j] = c->call.scale * (dot32(sum_u, k, size) + (o->relative ? dot32(sum_w, r, size) : 0));
        a[j] = uniform ? 0 : a[j];
        largest = a[j] > largest ? a[j] : largest;
    }
    for (size_t j = 0; j < keys; j++)
        if (case_keeps(c, n, h, i, j))
            total += expf(a[j] - largest);
    out[1][query * heads + h] = largest + logf(total);
    float *row_out = out[0] + (query * heads + h) * size;
    for (int pass = 0; pass < 2; pass++)
        for (size_t j = 0; j < keys; j++) {
            if (!case_keeps(c, n, h, i, j))
                continue;
            size_t token = c->key_offsets[n] + j, place = (token * heads + h) * size;
            const float *k = c->key + token * c->token_stride + h * stride;
            const float *v = c->value + token * c->token_stride + h * stride;
            if (pass == 0) {
                a[j] = expf(a[j] - largest) / total;
                expected += a[j] * dot32(g, v, size);
                add32(row_out, a[j], v, size);
                add32(out[4] + place, a[j], g, size);
                continue;
            }
            if (uniform)
                continue;
            float ds = c->call.scale * a[j] * (dot32(g, v, size) - expected);
            add32(out[2] + (query * heads + h) * size, ds, k, size);
            add32(out[3] + place, ds, sum_u, size);
            if (!o->relative)
                continue;
            size_t delta = i + keys - o->queries[n] - j;
            delta = delta < c->distances ? delta : c->distances - 1;
            const float *r = c->table + (delta * heads + h) * size;
            add32(out[2] + (query * heads + h) * size, ds, r, size);
            add32(out[5] + h * size, ds, k, size);
            add32(out[6] + h * size, ds, r, size);
            add32(out[7] + (delta * heads + h) * size, ds, sum_w, size);
        }
    free(a);
    free(sum_u);
    free(sum_w);
}

static inline results results_of_plain(const attention_case *c)
{
    results r = results_create(c);
    float *out[8];
    for (int i = 0; i < 8; i++) {
        out[i] = calloc(r.counts[i] + 1, sizeof **out);
        assert_non_null(out[i]);
    }
    for (size_t n = 0; n < c->options.sequences; n++)
        for (size_t h = 0; h < c->options.heads; h++)
            for (size_t i = 0; i < c->options.queries[n]; i++)
                plain_row(c, n, h, i, out);
    for (int i = 0; i < 8; i++) {
        for (size_t k = 0; k < r.counts[i]; k++)
            r.data[i][k] = (double)out[i][k];
        free(out[i]);
    }
    return r;
}

/* Largest error and largest value; infinities must agree. */
static inline double largest_error(const double *got, const double *want, size_t count)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        if (isnan(got[i]) || isinf(got[i]) != isinf(want[i]))
            return INFINITY;
        if (!isinf(want[i]) && fabs(got[i] - want[i]) > worst)
            worst = fabs(got[i] - want[i]);
    }
    return worst;
}

static inline double largest_value(const double *data, size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        if (isfinite(data[i]) && fabs(data[i]) > largest)
            largest = fabs(data[i]);
    return largest;
}

#endif
