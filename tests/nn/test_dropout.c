/* Dropout: backward drops what forward dropped, draws depend on the key and the place in the step
 * only, and they look random: frequency, and independence of neighbours in a row, in a column and
 * between keys. */
#include "nn_check.h"

enum { ROWS = 700, COLUMNS = 513 };

typedef struct drawing {
    float *kept, *gradient; /* (ROWS, COLUMNS): 0 or 1 / (1 - p), twice */
} drawing;

/* `skipped` operators draw before the one that is looked at. */
static drawing draw(pare_level level, int threads, uint64_t key, float probability, int skipped)
{
    size_t count = (size_t)ROWS * COLUMNS;
    drawing d = {malloc(count * sizeof(float)), calloc(count, sizeof(float))};
    float *ones = malloc(count * sizeof *ones);
    for (size_t i = 0; i < count; i++)
        ones[i] = 1.0f;
    pare_tensor input = {.rows = ROWS, .columns = COLUMNS, .value = ones, .gradient = d.gradient};
    pare_context *context = check_context(level, threads);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    pare_tape_begin(tape, true, key);
    for (int i = 0; i < skipped; i++)
        assert_non_null(pare_dropout(tape, &input, probability));
    pare_tensor *output = pare_dropout(tape, &input, probability);
    assert_non_null(output);
    memcpy(d.kept, output->value, count * sizeof(float));
    pare_tensor *loss = check_weighted_sum(tape, output, 5);
    assert_int_equal(pare_tape_backward(tape, loss, 1.0f), PARE_OK);
    for (size_t i = 0; i < count; i++)
        d.gradient[i] /= check_random(5, i);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    free(ones);
    return d;
}

static void drawing_free(drawing *d)
{
    free(d->kept);
    free(d->gradient);
}

static void test_backward_agrees(void **state)
{
    (void)state;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        drawing first = draw((pare_level)level, 1, 9, 0.3f, 0);
        for (size_t i = 0; i < (size_t)ROWS * COLUMNS; i++) {
            assert_true(first.kept[i] == 0.0f || fabsf(first.kept[i] - 1.0f / 0.7f) < 1e-6f);
            assert_true(fabsf(first.kept[i] - first.gradient[i]) < 1e-5f);
        }
        for (int threads = 2; threads <= CHECK_THREADS_MAX; threads++) {
            drawing other = draw((pare_level)level, threads, 9, 0.3f, 0);
            assert_memory_equal(first.kept, other.kept, (size_t)ROWS * COLUMNS * sizeof(float));
            drawing_free(&other);
        }
        drawing_free(&first);
    }
}

/* Standard deviations by which `count` trials of probability p differ from their expectation. */
static double deviations(double successes, double count, double p)
{
    return fabs(successes - count * p) / sqrt(count * p * (1.0 - p));
}

/* How often element i is dropped in both. */
static double both_dropped(const float *a, const float *b, size_t count)
{
    double both = 0.0;
    for (size_t i = 0; i < count; i++)
        both += a[i] == 0.0f && b[i] == 0.0f;
    return both;
}

static pare_level best_level(void)
{
    pare_context *context = check_best_context(1);
    pare_level level = pare_context_level(context);
    pare_context_destroy(context);
    return level;
}

static void check_statistics(double p)
{
    size_t count = (size_t)ROWS * COLUMNS;
    drawing d = draw(best_level(), 1, 1234, (float)p, 0);
    drawing next_key = draw(best_level(), 1, 1235, (float)p, 0);
    drawing next_operator = draw(best_level(), 1, 1234, (float)p, 1);
    assert_true(deviations(both_dropped(d.kept, d.kept, count), (double)count, p) < 4.0);
    for (size_t offset = 1; offset <= 64; offset++) {
        double pairs = (double)(count - offset);
        assert_true(
            deviations(both_dropped(d.kept, d.kept + offset, count - offset), pairs, p * p) < 4.5);
        size_t rows = offset * COLUMNS;
        pairs = (double)(count - rows);
        assert_true(deviations(both_dropped(d.kept, d.kept + rows, count - rows), pairs, p * p) <
                    4.5);
    }
    assert_true(deviations(both_dropped(d.kept, next_key.kept, count), (double)count, p * p) < 4.0);
    assert_true(deviations(both_dropped(d.kept, next_operator.kept, count), (double)count, p * p) <
                4.0);
    /* No column is special: chi-square over columns has variance 2 per degree of freedom. */
    double chi_square = 0.0;
    for (size_t j = 0; j < COLUMNS; j++) {
        double dropped = 0.0;
        for (size_t i = 0; i < ROWS; i++)
            dropped += d.kept[i * COLUMNS + j] == 0.0f;
        double deviation = deviations(dropped, ROWS, p);
        chi_square += deviation * deviation;
    }
    assert_true(fabs(chi_square - COLUMNS) < 5.0 * sqrt(2.0 * COLUMNS));
    drawing_free(&d);
    drawing_free(&next_key);
    drawing_free(&next_operator);
}

static void test_statistics(void **state)
{
    (void)state;
    check_statistics(0.1);
    check_statistics(0.5);
}

static void test_passes_through(void **state)
{
    (void)state;
    float value[4] = {1, 2, 3, 4};
    pare_tensor input = {.rows = 2, .columns = 2, .value = value};
    pare_context *context = check_best_context(1);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    pare_tape_begin(tape, false, 0);
    assert_ptr_equal(pare_dropout(tape, &input, 0.5f), &input);
    pare_tape_begin(tape, true, 0);
    assert_ptr_equal(pare_dropout(tape, &input, 0.0f), &input);
    assert_null(pare_dropout(tape, &input, 1.0f));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    pare_tape_begin(tape, true, 0);
    assert_null(pare_dropout(tape, &input, NAN));
    pare_tape_destroy(tape);
    pare_context_destroy(context);
}

enum { SUM_ROWS = 90, SUM_COLUMNS = 37, SUM_COUNT = SUM_ROWS * SUM_COLUMNS };

typedef struct dropped_sum {
    float value[SUM_COUNT], residual[SUM_COUNT], input[SUM_COUNT]; /* the last two are gradients */
} dropped_sum;

/* `pending`: the residual is a result, whose gradient may be taken over. */
static void add_dropped(int threads, bool fused, bool pending, dropped_sum *result)
{
    float a[SUM_COUNT], b[SUM_COUNT];
    for (size_t i = 0; i < SUM_COUNT; i++) {
        a[i] = check_random(1, i);
        b[i] = check_random(2, i);
    }
    memset(result, 0, sizeof *result);
    pare_tensor residual = {
        .rows = SUM_ROWS, .columns = SUM_COLUMNS, .value = a, .gradient = result->residual};
    pare_tensor input = residual;
    input.value = b;
    input.gradient = result->input;
    pare_context *context = check_best_context(threads);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    pare_tape_begin(tape, true, 3);
    pare_tensor *first = pending ? pare_add(tape, &residual, &residual) : &residual;
    pare_tensor *sum = fused ? pare_add_dropped(tape, first, &input, 0.4f)
                             : pare_add(tape, first, pare_dropout(tape, &input, 0.4f));
    assert_non_null(sum);
    memcpy(result->value, sum->value, sizeof result->value);
    assert_int_equal(pare_tape_backward(tape, check_weighted_sum(tape, sum, 5), 1.0f), PARE_OK);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
}

static void assert_close(const dropped_sum *a, const dropped_sum *b)
{
    for (size_t i = 0; i < SUM_COUNT; i++) {
        assert_true(fabsf(a->value[i] - b->value[i]) < 1e-5f);
        assert_true(fabsf(a->residual[i] - b->residual[i]) < 1e-5f);
        assert_true(fabsf(a->input[i] - b->input[i]) < 1e-5f);
    }
}

static void test_add_dropped(void **state)
{
    (void)state;
    static dropped_sum one, other;
    for (int pending = 0; pending < 2; pending++) {
        add_dropped(1, false, pending, &other);
        add_dropped(1, true, pending, &one);
        assert_close(&one, &other);
        for (int threads = 2; threads <= CHECK_THREADS_MAX; threads++) {
            add_dropped(threads, true, pending, &other);
            assert_memory_equal(&one, &other, sizeof one);
        }
    }
}

static void test_add_dropped_without_dropping(void **state)
{
    (void)state;
    float value[4] = {1, 2, 3, 4};
    pare_tensor input = {.rows = 2, .columns = 2, .value = value};
    pare_tensor narrow = {.rows = 2, .columns = 1, .value = value};
    pare_context *context = check_best_context(1);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    pare_tape_begin(tape, false, 0);
    pare_tensor *sum = pare_add_dropped(tape, &input, &input, 0.5f);
    for (size_t i = 0; i < 4; i++)
        assert_true(sum->value[i] == 2 * value[i]);
    assert_null(pare_add_dropped(tape, &input, &narrow, 0.5f));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    pare_tape_begin(tape, true, 0);
    assert_null(pare_add_dropped(tape, &input, &input, 1.0f));
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
}

enum { LINEAR_ROWS = 90, LINEAR_IN = 7, LINEAR_OUT = 133 };

typedef struct dropped_linear {
    float value[LINEAR_ROWS * LINEAR_OUT]; /* and gradients: */
    float input[LINEAR_ROWS * LINEAR_IN], weight[LINEAR_OUT * LINEAR_IN], bias[LINEAR_OUT];
} dropped_linear;

static pare_tensor random_parameter(size_t rows, size_t columns, float *value, float *gradient,
                                    uint64_t key)
{
    for (size_t i = 0; i < rows * columns; i++)
        value[i] = check_random(key, i);
    return (pare_tensor){.rows = rows, .columns = columns, .value = value, .gradient = gradient};
}

static void linear_dropped(int threads, bool fused, bool training, pare_activation activation,
                           dropped_linear *result)
{
    static float values[3][LINEAR_ROWS * LINEAR_OUT];
    memset(result, 0, sizeof *result);
    pare_tensor input = random_parameter(LINEAR_ROWS, LINEAR_IN, values[0], result->input, 1);
    pare_tensor weight = random_parameter(LINEAR_OUT, LINEAR_IN, values[1], result->weight, 2);
    pare_tensor bias = random_parameter(1, LINEAR_OUT, values[2], result->bias, 3);
    pare_context *context = check_best_context(threads);
    pare_tape *tape;
    assert_int_equal(pare_tape_create(context, &tape), PARE_OK);
    pare_tape_begin(tape, training, 3);
    pare_tensor *output =
        fused ? pare_linear_dropped(tape, &input, &weight, &bias, activation, 0.4f)
              : pare_dropout(tape, pare_linear(tape, &input, &weight, &bias, activation), 0.4f);
    assert_non_null(output);
    memcpy(result->value, output->value, sizeof result->value);
    if (training)
        assert_int_equal(pare_tape_backward(tape, check_weighted_sum(tape, output, 5), 1.0f),
                         PARE_OK);
    pare_tape_destroy(tape);
    pare_context_destroy(context);
}

static void test_linear_dropped(void **state)
{
    (void)state;
    static dropped_linear one, other;
    for (int activation = PARE_ACTIVATION_NONE; activation <= PARE_ACTIVATION_TANH; activation++)
        for (int training = 0; training < 2; training++) {
            pare_activation chosen = (pare_activation)activation;
            linear_dropped(1, false, training, chosen, &other);
            linear_dropped(1, true, training, chosen, &one);
            const float *a = (const float *)&one, *b = (const float *)&other;
            for (size_t i = 0; i < sizeof one / sizeof *a; i++)
                assert_true(fabsf(a[i] - b[i]) <= 1e-5f * (1.0f + fabsf(b[i])));
            for (int threads = 2; threads <= CHECK_THREADS_MAX; threads++) {
                linear_dropped(threads, true, training, chosen, &other);
                assert_memory_equal(&one, &other, sizeof one);
            }
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backward_agrees),
        cmocka_unit_test(test_statistics),
        cmocka_unit_test(test_passes_through),
        cmocka_unit_test(test_add_dropped),
        cmocka_unit_test(test_add_dropped_without_dropping),
        cmocka_unit_test(test_linear_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
