/* Checking operators: forward against an fp64 reference, backward against central differences of
 * that reference, on every level of this CPU and for 1 to 4 threads, which must agree bit for bit.
 */
#ifndef PARE_TESTS_NN_CHECK_H
#define PARE_TESTS_NN_CHECK_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/random.h"
#include "nn/tape.h"

#define CHECK_PARAMETERS_MAX 16
#define CHECK_THREADS_MAX 4

typedef struct check_case {
    const char *name;
    size_t parameter_count;
    size_t shapes[CHECK_PARAMETERS_MAX][2];
    size_t rows, columns; /* of the result */
    pare_tensor *(*build)(pare_tape *tape, pare_tensor *const *parameters, const void *settings);
    void (*reference)(double *const *parameters, const void *settings, double *result);
    const void *settings;
} check_case;

/* Uniform on -1 .. 1. */
static inline float check_random(uint64_t key, uint64_t index)
{
    return (float)(2.0 * pri_random_uniform(key, index) - 1.0);
}

/* The best level of this CPU with some threads. */
static inline pare_context *check_best_context(int threads)
{
    pare_context *context;
    assert_int_equal(pare_context_create(&(pare_context_options){.threads = threads}, &context),
                     PARE_OK);
    return context;
}

static inline pare_context *check_context(pare_level level, int threads)
{
    pare_context *context;
    pare_context_options options = {.threads = threads, .level = pare_level_name(level)};
    assert_int_equal(pare_context_create(&options, &context), PARE_OK);
    return context;
}

/* ---- A loss for any operator: the sum of input i times weight i ---- */

typedef struct check_sum_record {
    pri_record base;
    pare_tensor *input;
    uint64_t key;
} check_sum_record;

static inline pare_status check_sum_backward(pare_tape *tape, pri_record *base)
{
    check_sum_record *record = (check_sum_record *)base;
    float beta;
    PRI_TRY(pri_gradient_begin(tape, record->input, &beta));
    for (size_t i = 0; i < record->input->rows * record->input->columns; i++) {
        float *gradient = &record->input->gradient[i];
        *gradient = base->output->gradient[0] * check_random(record->key, i) +
                    (beta == 0.0f ? 0.0f : *gradient);
    }
    return PARE_OK;
}

static inline pare_tensor *check_weighted_sum(pare_tape *tape, pare_tensor *input, uint64_t key)
{
    if (!pri_tape_ready(tape, input))
        return NULL;
    pare_tensor *sum = pri_tape_result(tape, 1, 1, pri_wants_gradient(input));
    check_sum_record *record = pri_tape_record(tape, check_sum_backward, sum, sizeof *record);
    assert_non_null(record);
    record->input = input;
    record->key = key;
    double total = 0.0;
    for (size_t i = 0; i < input->rows * input->columns; i++)
        total += (double)input->value[i] * (double)check_random(key, i);
    sum->value[0] = (float)total;
    return sum;
}

/* ---- The check ---- */

#define CHECK_LOSS_KEY 77
#define CHECK_EARLIER_GRADIENT 0.25f /* what gradients hold before: backward must add */

static inline size_t check_count(const check_case *c, size_t parameter)
{
    return c->shapes[parameter][0] * c->shapes[parameter][1];
}

static inline double check_reference_loss(const check_case *c, double *const *parameters,
                                          double *result)
{
    c->reference(parameters, c->settings, result);
    double loss = 0.0;
    for (size_t i = 0; i < c->rows * c->columns; i++)
        loss += result[i] * (double)check_random(CHECK_LOSS_KEY, i);
    return loss;
}

static inline void check_close(const check_case *c, const char *what, size_t count,
                               const float *actual, const double *expected, double shift)
{
    double largest = 0.0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs(expected[i]));
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)actual[i] - shift - expected[i]) <= 1e-5 * largest + 1e-6))
            fail_msg("%s: %s, element %zu is %.9g, expected %.9g", c->name, what, i,
                     (double)actual[i] - shift, expected[i]);
}

typedef struct check_run {
    float *result;
    pare_tensor parameters[CHECK_PARAMETERS_MAX];
} check_run;

static inline check_run check_run_once(const check_case *c, pare_level level, int threads)
{
    check_run run = {.result = malloc(c->rows * c->columns * sizeof(float))};
    pare_tensor *pointers[CHECK_PARAMETERS_MAX];
    for (size_t p = 0; p < c->parameter_count; p++) {
        size_t count = check_count(c, p);
        pare_tensor *tensor = pointers[p] = &run.parameters[p];
        tensor->rows = c->shapes[p][0];
        tensor->columns = c->shapes[p][1];
        tensor->value = malloc(count * sizeof(float));
        tensor->gradient = malloc(count * sizeof(float));
        for (size_t i = 0; i < count; i++) {
            tensor->value[i] = check_random(p + 1, i);
            tensor->gradient[i] = CHECK_EARLIER_GRADIENT;
        }
    }
    pare_context *context = check_context(level, threads);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    pare_tape_begin(tape, true, 1);
    pare_tensor *result = c->build(tape, pointers, c->settings);
    if (!result)
        fail_msg("%s: %s", c->name, pare_error_message());
    assert_int_equal(result->rows, c->rows);
    assert_int_equal(result->columns, c->columns);
    memcpy(run.result, result->value, c->rows * c->columns * sizeof(float));
    pare_tensor *loss = check_weighted_sum(tape, result, CHECK_LOSS_KEY);
    assert_int_equal(pare_tape_backward(tape, loss, 1.0f), PARE_OK);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    return run;
}

static inline void check_run_free(const check_case *c, check_run *run)
{
    free(run->result);
    for (size_t p = 0; p < c->parameter_count; p++) {
        free(run->parameters[p].value);
        free(run->parameters[p].gradient);
    }
}

static inline void check_same_bits(const check_case *c, const check_run *a, const check_run *b)
{
    if (memcmp(a->result, b->result, c->rows * c->columns * sizeof(float)))
        fail_msg("%s: the result depends on the number of threads", c->name);
    for (size_t p = 0; p < c->parameter_count; p++)
        if (memcmp(a->parameters[p].gradient, b->parameters[p].gradient,
                   check_count(c, p) * sizeof(float)))
            fail_msg("%s: gradient %zu depends on the number of threads", c->name, p);
}

/* Expected gradients by central differences, and the expected result. */
static inline void check_expect(const check_case *c, double *result, double **gradients)
{
    double *parameters[CHECK_PARAMETERS_MAX];
    double *scratch = malloc(c->rows * c->columns * sizeof(double));
    for (size_t p = 0; p < c->parameter_count; p++) {
        parameters[p] = malloc(check_count(c, p) * sizeof(double));
        for (size_t i = 0; i < check_count(c, p); i++)
            parameters[p][i] = (double)check_random(p + 1, i);
    }
    for (size_t p = 0; p < c->parameter_count; p++) {
        gradients[p] = malloc(check_count(c, p) * sizeof(double));
        for (size_t i = 0; i < check_count(c, p); i++) {
            const double step = 1e-5;
            double value = parameters[p][i];
            parameters[p][i] = value + step;
            double above = check_reference_loss(c, parameters, scratch);
            parameters[p][i] = value - step;
            double below = check_reference_loss(c, parameters, scratch);
            parameters[p][i] = value;
            gradients[p][i] = (above - below) / (2.0 * step);
        }
    }
    check_reference_loss(c, parameters, result);
    for (size_t p = 0; p < c->parameter_count; p++)
        free(parameters[p]);
    free(scratch);
}

static inline void check_operator(const check_case *c)
{
    double *result = malloc(c->rows * c->columns * sizeof(double));
    double *gradients[CHECK_PARAMETERS_MAX];
    check_expect(c, result, gradients);
    for (int level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        check_run first = check_run_once(c, (pare_level)level, 1);
        check_close(c, "the result", c->rows * c->columns, first.result, result, 0.0);
        for (size_t p = 0; p < c->parameter_count; p++) {
            char what[32];
            snprintf(what, sizeof what, "gradient %zu", p);
            check_close(c, what, check_count(c, p), first.parameters[p].gradient, gradients[p],
                        (double)CHECK_EARLIER_GRADIENT);
        }
        for (int threads = 2; threads <= CHECK_THREADS_MAX; threads++) {
            check_run other = check_run_once(c, (pare_level)level, threads);
            check_same_bits(c, &first, &other);
            check_run_free(c, &other);
        }
        check_run_free(c, &first);
    }
    for (size_t p = 0; p < c->parameter_count; p++)
        free(gradients[p]);
    free(result);
}

#endif
