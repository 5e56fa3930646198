/* Adam and AdamW against their formulas in fp64, and sums that do not depend on threads. */
#include "nn/optimizer.h"
#include "nn_check.h"

enum { COUNT = 20011 };

typedef struct moments {
    float *parameter, *m, *v;
} moments;

static float gradient_at(int step, size_t i)
{
    return 0.1f * check_random((uint64_t)step + 10, i);
}

static pri_adam settings_at(int step, bool decoupled)
{
    return (pri_adam){.rate = 0.01f,
                      .beta1 = 0.9f,
                      .beta2 = 0.99f,
                      .epsilon = 1e-8f,
                      .weight_decay = 0.05f,
                      .correction1 = (float)(1.0 - pow(0.9, step)),
                      .correction2 = (float)(1.0 - pow(0.99, step)),
                      .gradient_scale = 0.5f,
                      .decoupled = decoupled};
}

static moments run(pare_context *context, int steps, bool decoupled)
{
    moments r = {malloc(COUNT * sizeof(float)), calloc(COUNT, sizeof(float)),
                 calloc(COUNT, sizeof(float))};
    float *gradient = malloc(COUNT * sizeof *gradient);
    for (size_t i = 0; i < COUNT; i++)
        r.parameter[i] = check_random(1, i);
    for (int step = 1; step <= steps; step++) {
        for (size_t i = 0; i < COUNT; i++)
            gradient[i] = gradient_at(step, i);
        pri_adam settings = settings_at(step, decoupled);
        pri_adam_update(context, &settings, COUNT, r.parameter, gradient, r.m, r.v);
    }
    free(gradient);
    return r;
}

static double expected_parameter(size_t i, int steps, bool decoupled)
{
    double p = (double)check_random(1, i), m = 0.0, v = 0.0;
    for (int step = 1; step <= steps; step++) {
        double g = 0.5 * (double)gradient_at(step, i);
        if (decoupled)
            p *= 1.0 - 0.01 * 0.05;
        else
            g += 0.05 * p;
        m = 0.9 * m + 0.1 * g;
        v = 0.99 * v + 0.01 * g * g;
        p -= 0.01 * (m / (1.0 - pow(0.9, step))) / (sqrt(v / (1.0 - pow(0.99, step))) + 1e-8);
    }
    return p;
}

static void check_adam(pare_level level, bool decoupled)
{
    moments first = {NULL, NULL, NULL};
    for (int threads = 1; threads <= CHECK_THREADS_MAX; threads++) {
        pare_context *context = check_context(level, threads);
        moments r = run(context, 7, decoupled);
        pare_context_destroy(context);
        if (threads == 1) {
            first = r;
            continue;
        }
        assert_memory_equal(first.parameter, r.parameter, COUNT * sizeof(float));
        assert_memory_equal(first.m, r.m, COUNT * sizeof(float));
        assert_memory_equal(first.v, r.v, COUNT * sizeof(float));
        free(r.parameter);
        free(r.m);
        free(r.v);
    }
    /* Where decay and gradient cancel, fp32 keeps few digits of their sum but the step is the same
     * size: a handful of elements are off by more than rounding. */
    double total = 0.0;
    for (size_t i = 0; i < COUNT; i++) {
        double error = fabs((double)first.parameter[i] - expected_parameter(i, 7, decoupled));
        assert_true(error < 1e-4);
        total += error;
    }
    assert_true(total / COUNT < 1e-7);
    free(first.parameter);
    free(first.m);
    free(first.v);
}

static void test_adam(void **state)
{
    (void)state;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++)
        if (pare_level_supported((pare_level)level))
            for (int decoupled = 0; decoupled < 2; decoupled++)
                check_adam((pare_level)level, decoupled);
}

static void test_sum_of_squares(void **state)
{
    (void)state;
    const size_t counts[] = {0, 1, 100, 8193, 3000001};
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        float *x = malloc((counts[c] + 1) * sizeof *x);
        double expected = 0.0;
        for (size_t i = 0; i < counts[c]; i++) {
            x[i] = check_random(3, i);
            expected += (double)x[i] * (double)x[i];
        }
        double first = 0.0;
        for (int threads = 1; threads <= CHECK_THREADS_MAX; threads++) {
            pare_context *context = check_best_context(threads);
            double sum = pri_sum_of_squares(context, counts[c], x);
            pare_context_destroy(context);
            assert_true(fabs(sum - expected) <= 1e-12 * expected);
            first = threads == 1 ? sum : first;
            assert_true(sum == first);
        }
        free(x);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adam),
        cmocka_unit_test(test_sum_of_squares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
