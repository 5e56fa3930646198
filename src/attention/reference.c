/* The formulas of pare/attention.h in fp64, cell by cell. Slow on purpose: this is the oracle of
 * every fast path and the text to read first. It takes the same dropout draws as the kernels. */
#include <math.h>
#include <string.h>

#include "attention/check.h"
#include "attention/dropout.h"
#include "attention/plan.h"
#include "base/memory.h"
#include "base/status.h"

/* One query row: its keys, which of them are kept, and what the softmax makes of them. */
typedef struct reference_row {
    const pare_attention *call;
    pri_sequence sequence;
    size_t head, row;
    bool uniform;
    uint8_t *kept;       /* (keys) */
    double *probability; /* (keys), 0 where not kept */
    double logsumexp;
} reference_row;

static const float *distance_row(const reference_row *row, size_t key)
{
    const pare_relative *relative = row->call->relative;
    size_t delta = row->row + row->sequence.memory - key;
    size_t last = relative->distances - 1;
    return pri_at(relative->table, delta < last ? delta : last, row->head);
}

static double score(const reference_row *row, size_t key)
{
    const pare_attention *call = row->call;
    size_t size = call->head_size;
    const float *q = pri_at(call->query, row->sequence.first_query + row->row, row->head);
    const float *k = pri_at(call->key, row->sequence.first_key + key, row->head);
    double sum = 0;
    if (row->uniform)
        return 0;
    if (!call->relative) {
        for (size_t d = 0; d < size; d++)
            sum += (double)q[d] * (double)k[d];
        return (double)call->scale * sum;
    }
    const float *u = call->relative->content_bias + row->head * size;
    const float *w = call->relative->position_bias + row->head * size;
    const float *r = distance_row(row, key);
    for (size_t d = 0; d < size; d++)
        sum += ((double)q[d] + (double)u[d]) * (double)k[d] +
               ((double)q[d] + (double)w[d]) * (double)r[d];
    return (double)call->scale * sum;
}

static void find_kept(reference_row *row)
{
    const pare_attention *call = row->call;
    pri_range admissible = pri_admissible(call, &row->sequence, row->row);
    memset(row->kept, 0, row->sequence.keys);
    row->uniform = false;
    if (!call->plan) {
        memset(row->kept + admissible.begin, 1, admissible.end - admissible.begin);
        return;
    }
    size_t shift = pri_column_shift(&call->plan->geometry, &row->sequence);
    const uint64_t *bits = pri_plan_row_bits(call->plan, row->head, row->row);
    row->uniform = call->plan->heads[row->head]->uniform[row->row];
    for (size_t j = admissible.begin; j < admissible.end; j++)
        row->kept[j] = bits[(j + shift) / 64] >> (j + shift) % 64 & 1;
}

/* a_ij = exp(s_ij - logsumexp) over the kept cells. */
static void softmax(reference_row *row)
{
    double largest = -INFINITY, sum = 0;
    for (size_t j = 0; j < row->sequence.keys; j++) {
        row->probability[j] = row->kept[j] ? score(row, j) : 0;
        if (row->kept[j] && row->probability[j] > largest)
            largest = row->probability[j];
    }
    for (size_t j = 0; j < row->sequence.keys; j++) {
        if (!row->kept[j])
            continue;
        row->probability[j] = exp(row->probability[j] - largest);
        sum += row->probability[j];
    }
    for (size_t j = 0; j < row->sequence.keys; j++)
        if (row->kept[j])
            row->probability[j] /= sum;
    row->logsumexp = sum > 0 ? largest + log(sum) : -INFINITY;
}

/* What multiplies a_ij: 1 without dropout, else 0 or 1 / (1 - dropout). */
static double dropout_factor(const reference_row *row, size_t key)
{
    if (row->call->dropout == 0)
        return 1;
    size_t token = row->sequence.first_query + row->row;
    return (double)pri_dropout_factor(pri_dropout_for_row(row->call, token, row->head),
                                      (uint32_t)key);
}

static void forward_row(const reference_row *row, double *output)
{
    const pare_attention *call = row->call;
    for (size_t d = 0; d < call->head_size; d++)
        output[d] = 0;
    for (size_t j = 0; j < row->sequence.keys; j++) {
        if (!row->kept[j])
            continue;
        const float *v = pri_at(call->value, row->sequence.first_key + j, row->head);
        double weight = row->probability[j] * dropout_factor(row, j);
        for (size_t d = 0; d < call->head_size; d++)
            output[d] += weight * (double)v[d];
    }
}

typedef void (*row_visitor)(reference_row *row, void *user);

/* Calls `visit` for every (sequence, head, query row) with its softmax done. */
static pare_status visit_rows(const pare_attention *call, row_visitor visit, void *user)
{
    size_t longest = 0;
    for (size_t n = 0; n < call->keys.count; n++) {
        pri_sequence sequence = pri_sequence_at(call, n);
        longest = sequence.keys > longest ? sequence.keys : longest;
    }
    uint8_t *kept = pri_allocate_zero(longest, sizeof *kept);
    double *probability = pri_allocate_zero(longest, sizeof *probability);
    if (!kept || !probability) {
        pri_free(kept);
        pri_free(probability);
        return PARE_ERROR_MEMORY;
    }
    for (size_t n = 0; n < call->queries.count; n++) {
        pri_sequence sequence = pri_sequence_at(call, n);
        for (size_t head = 0; head < call->heads; head++)
            for (size_t i = 0; i < sequence.queries; i++) {
                reference_row row = {.call = call,
                                     .sequence = sequence,
                                     .head = head,
                                     .row = i,
                                     .kept = kept,
                                     .probability = probability};
                find_kept(&row);
                softmax(&row);
                visit(&row, user);
            }
    }
    pri_free(kept);
    pri_free(probability);
    return PARE_OK;
}

typedef struct forward_result {
    double *output, *logsumexp, *probabilities;
} forward_result;

static void store_forward(reference_row *row, void *user)
{
    const forward_result *result = user;
    const pare_attention *call = row->call;
    size_t place = (row->sequence.first_query + row->row) * call->heads + row->head;
    forward_row(row, result->output + place * call->head_size);
    if (result->logsumexp)
        result->logsumexp[place] = row->logsumexp;
    if (result->probabilities)
        memcpy(result->probabilities +
                   (row->head * row->sequence.queries + row->row) * row->sequence.keys,
               row->probability, row->sequence.keys * sizeof *row->probability);
}

pare_status pare_attention_reference(const pare_attention *call, double *output, double *logsumexp,
                                     double *probabilities)
{
    PRI_TRY(pri_attention_check(call));
    if (probabilities && call->queries.count != 1)
        return pri_fail(PARE_ERROR_ARGUMENT,
                        "the reference gives probabilities of a single sequence, not of %zu",
                        call->queries.count);
    forward_result result = {output, logsumexp, probabilities};
    return visit_rows(call, store_forward, &result);
}

typedef struct backward_state {
    pare_view output_gradient;
    const pare_attention_reference_gradient *gradient;
} backward_state;

static void add_scaled(double *to, double factor, const float *x, size_t size)
{
    if (!to)
        return;
    for (size_t d = 0; d < size; d++)
        to[d] += factor * (double)x[d];
}

static double *row_or_null(double *data, size_t row, size_t size)
{
    return data ? data + row * size : NULL;
}

/* dL/ds_ij = ds, with s_ij = scale * (...): what reaches query, key, biases and table. */
static void add_score_gradient(const reference_row *row, size_t key, double ds,
                               const pare_attention_reference_gradient *gradient)
{
    const pare_attention *call = row->call;
    size_t size = call->head_size, heads = call->heads;
    size_t query_token = row->sequence.first_query + row->row;
    size_t key_token = row->sequence.first_key + key;
    const float *q = pri_at(call->query, query_token, row->head);
    const float *k = pri_at(call->key, key_token, row->head);
    double factor = (double)call->scale * ds;
    double *dq = row_or_null(gradient->query, query_token * heads + row->head, size);
    double *dk = row_or_null(gradient->key, key_token * heads + row->head, size);
    add_scaled(dq, factor, k, size);
    add_scaled(dk, factor, q, size);
    if (!call->relative)
        return;
    const pare_relative *relative = call->relative;
    const float *r = distance_row(row, key);
    size_t delta = row->row + row->sequence.memory - key;
    if (delta >= relative->distances)
        delta = relative->distances - 1;
    const float *u = relative->content_bias + row->head * size;
    const float *w = relative->position_bias + row->head * size;
    double *dr = row_or_null(gradient->table, delta * heads + row->head, size);
    add_scaled(dq, factor, r, size);
    add_scaled(dk, factor, u, size);
    add_scaled(dr, factor, q, size);
    add_scaled(dr, factor, w, size);
    add_scaled(row_or_null(gradient->content_bias, row->head, size), factor, k, size);
    add_scaled(row_or_null(gradient->position_bias, row->head, size), factor, r, size);
}

/* ds_ij = a_ij (g_ij - sum_j' a_ij' g_ij') with g_ij = dL/da_ij = factor_ij dO_i.v_j. */
static void backward_row(reference_row *row, void *user)
{
    const backward_state *state = user;
    const pare_attention *call = row->call;
    size_t size = call->head_size, heads = call->heads;
    const float *output_gradient =
        pri_at(state->output_gradient, row->sequence.first_query + row->row, row->head);
    double expected = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t j = 0; j < row->sequence.keys; j++) {
            if (!row->kept[j])
                continue;
            size_t key_token = row->sequence.first_key + j;
            const float *v = pri_at(call->value, key_token, row->head);
            double factor = dropout_factor(row, j), a = row->probability[j], g = 0;
            for (size_t d = 0; d < size; d++)
                g += factor * (double)output_gradient[d] * (double)v[d];
            if (pass == 0) {
                expected += a * g;
                continue;
            }
            add_scaled(row_or_null(state->gradient->value, key_token * heads + row->head, size),
                       a * factor, output_gradient, size);
            if (!row->uniform)
                add_score_gradient(row, j, a * (g - expected), state->gradient);
        }
}

static void clear(double *data, size_t count)
{
    if (data && count)
        memset(data, 0, count * sizeof *data);
}

pare_status pare_attention_reference_backward(const pare_attention *call, pare_view output_gradient,
                                              const pare_attention_reference_gradient *gradient)
{
    PRI_TRY(pri_attention_check(call));
    size_t width = call->heads * call->head_size;
    clear(gradient->query, call->queries.offsets[call->queries.count] * width);
    clear(gradient->key, call->keys.offsets[call->keys.count] * width);
    clear(gradient->value, call->keys.offsets[call->keys.count] * width);
    if (call->relative) {
        clear(gradient->content_bias, width);
        clear(gradient->position_bias, width);
        clear(gradient->table, call->relative->distances * width);
    }
    backward_state state = {output_gradient, gradient};
    return visit_rows(call, backward_row, &state);
}
