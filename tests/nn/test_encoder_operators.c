/* What encoders add to the operators: chosen rows, and the losses of regression and of question
 * answering, against fp64 references written out here. */
#include "nn_check.h"

/* ---- Rows by number ---- */

static const uint32_t chosen[] = {6, 0, 6, 3, 6, 0};
enum { CHOSEN = sizeof chosen / sizeof *chosen };

static void select_reference(double *const *p, const void *settings, double *result)
{
    (void)settings;
    for (size_t i = 0; i < CHOSEN; i++)
        memcpy(result + i * 5, p[0] + chosen[i] * 5, 5 * sizeof *result);
}

static pare_tensor *select_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    (void)settings;
    return pare_select_rows(tape, p[0], chosen, CHOSEN);
}

static void test_select_rows(void **state)
{
    (void)state;
    check_operator(&(check_case){.name = "select rows",
                                 .parameter_count = 1,
                                 .shapes = {{8, 5}},
                                 .rows = CHOSEN,
                                 .columns = 5,
                                 .build = select_build,
                                 .reference = select_reference});
}

/* ---- Mean squared error ---- */

static const float wanted[] = {0.5f, -1.0f, 3.0f, 0.0f, 0.25f, 2.0f, -0.75f};
enum { WANTED = sizeof wanted / sizeof *wanted };

static void squares_reference(double *const *p, const void *settings, double *result)
{
    (void)settings;
    *result = 0.0;
    for (size_t i = 0; i < WANTED; i++)
        *result += (p[0][i] - (double)wanted[i]) * (p[0][i] - (double)wanted[i]) / WANTED;
}

static pare_tensor *squares_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    (void)settings;
    return pare_mean_squared_error(tape, p[0], wanted, NULL);
}

static void test_mean_squared_error(void **state)
{
    (void)state;
    check_operator(&(check_case){.name = "mean squared error",
                                 .parameter_count = 1,
                                 .shapes = {{WANTED, 1}},
                                 .rows = 1,
                                 .columns = 1,
                                 .build = squares_build,
                                 .reference = squares_reference});
}

/* ---- Cross-entropy over the tokens of sequences ---- */

static const size_t offsets[] = {0, 4, 5, 12, 15};
enum { SEQUENCES = 4, TOKENS = 15, COLUMNS = 3 };

typedef struct span_settings {
    size_t columns[2];
    uint32_t targets[2][SEQUENCES];
} span_settings;

static double sequence_reference(const double *logits, size_t column, const uint32_t *targets)
{
    double sum = 0.0, counted = 0.0;
    for (size_t n = 0; n < SEQUENCES; n++) {
        if (targets[n] == PARE_IGNORE)
            continue;
        double total = 0.0;
        for (size_t t = offsets[n]; t < offsets[n + 1]; t++)
            total += exp(logits[t * COLUMNS + column]);
        sum += log(total) - logits[(offsets[n] + targets[n]) * COLUMNS + column];
        counted += 1.0;
    }
    return sum / counted;
}

static void spans_reference(double *const *p, const void *settings, double *result)
{
    const span_settings *s = settings;
    *result = sequence_reference(p[0], s->columns[0], s->targets[0]) +
              sequence_reference(p[0], s->columns[1], s->targets[1]);
}

static pare_tensor *spans_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    static const pare_ragged sequences = {.offsets = offsets, .count = SEQUENCES};
    const span_settings *s = settings;
    return pare_add(
        tape,
        pare_sequence_cross_entropy(tape, p[0], s->columns[0], &sequences, s->targets[0], NULL),
        pare_sequence_cross_entropy(tape, p[0], s->columns[1], &sequences, s->targets[1], NULL));
}

/* Two columns of one tensor, as starts and ends of answers, and a third that neither reads. */
static void test_sequence_cross_entropy(void **state)
{
    (void)state;
    span_settings s = {{2, 0}, {{3, 0, PARE_IGNORE, 2}, {0, 0, 6, PARE_IGNORE}}};
    check_operator(&(check_case){.name = "sequence cross entropy",
                                 .parameter_count = 1,
                                 .shapes = {{TOKENS, COLUMNS}},
                                 .rows = 1,
                                 .columns = 1,
                                 .build = spans_build,
                                 .reference = spans_reference,
                                 .settings = &s});
}

/* ---- Divergence from given distributions ---- */

static const float teacher[TOKENS * COLUMNS] = {
    0.3f, -1.2f, 2.0f,  0.0f, 0.7f,  -0.4f, 1.1f,  -2.2f, 0.5f,  3.1f,  -0.6f, 0.2f,
    1.7f, 0.9f,  -1.5f, 0.4f, -0.8f, 0.6f,  -0.1f, 2.4f,  -3.0f, 0.8f,  1.3f,  -0.9f,
    0.1f, -0.2f, 1.9f,  2.2f, -1.1f, 0.0f,  -0.5f, 0.3f,  0.6f,  -1.8f, 1.4f,  0.9f,
    0.2f, 2.6f,  -0.7f, 1.0f, -1.3f, 0.5f,  -2.5f, 0.7f,  1.2f};
static const float temperature = 2.5f;

typedef struct divergence_settings {
    const pare_ragged *sequences;
} divergence_settings;

/* Of `count` logits, `stride` apart. */
static double reference_divergence(const double *logits, const float *targets, size_t count,
                                   size_t stride)
{
    const double t = (double)temperature;
    double own = 0.0, other = 0.0, sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        own += exp(logits[i * stride] / t);
        other += exp((double)targets[i * stride] / t);
    }
    for (size_t i = 0; i < count; i++) {
        double q = exp((double)targets[i * stride] / t) / other;
        sum += q * log(q / (exp(logits[i * stride] / t) / own));
    }
    return t * t * sum;
}

static void divergence_reference(double *const *p, const void *settings, double *result)
{
    const divergence_settings *s = settings;
    *result = 0.0;
    for (size_t row = 0; !s->sequences && row < TOKENS; row++)
        *result += reference_divergence(p[0] + row * COLUMNS, teacher + row * COLUMNS, COLUMNS, 1) /
                   TOKENS;
    for (size_t n = 0; s->sequences && n < SEQUENCES; n++)
        for (size_t column = 0; column < COLUMNS; column++) {
            size_t begin = offsets[n] * COLUMNS + column;
            *result += reference_divergence(p[0] + begin, teacher + begin,
                                            offsets[n + 1] - offsets[n], COLUMNS) /
                       (SEQUENCES * COLUMNS);
        }
}

static pare_tensor *divergence_build(pare_tape *tape, pare_tensor *const *p, const void *settings)
{
    const divergence_settings *s = settings;
    return pare_divergence(tape, p[0], teacher, s->sequences, temperature);
}

static void check_divergence(const char *name, const pare_ragged *sequences)
{
    divergence_settings s = {sequences};
    check_operator(&(check_case){.name = name,
                                 .parameter_count = 1,
                                 .shapes = {{TOKENS, COLUMNS}},
                                 .rows = 1,
                                 .columns = 1,
                                 .build = divergence_build,
                                 .reference = divergence_reference,
                                 .settings = &s});
}

static void test_divergence(void **state)
{
    (void)state;
    static const pare_ragged sequences = {.offsets = offsets, .count = SEQUENCES};
    check_divergence("divergence of rows", NULL);
    check_divergence("divergence of columns over sequences", &sequences);
}

/* ---- Losses one by one, and what is refused ---- */

static pare_context *context;
static pare_tape *tape;

static int start(void **state)
{
    (void)state;
    context = check_best_context(2);
    return pare_tape_create(context, &tape) == PARE_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    pare_tape_destroy(tape);
    pare_context_destroy(context);
    return 0;
}

static pare_tensor *constant(const float *value, size_t rows, size_t columns)
{
    pare_tape_begin(tape, true, 0);
    return pare_tape_constant(tape, value, rows, columns);
}

static void test_losses_of_each(void **state)
{
    (void)state;
    const float logits[] = {0, 0, 0, 0, 1, 1, 5}, zeros[] = {0, 0};
    const size_t two[] = {0, 4, 7};
    const pare_ragged sequences = {.offsets = two, .count = 2};
    float losses[2] = {9, 9};
    pare_tensor *input = constant(logits, 7, 1);
    pare_tensor *loss = pare_sequence_cross_entropy(tape, input, 0, &sequences,
                                                    (const uint32_t[]){1, PARE_IGNORE}, losses);
    assert_true(fabs((double)losses[0] - log(4.0)) < 1e-6 && losses[1] == 0.0f);
    assert_true(loss->value[0] == losses[0]);
    /* Nothing to learn from is a loss of 0, not 0 / 0. */
    loss = pare_sequence_cross_entropy(tape, input, 0, &sequences,
                                       (const uint32_t[]){PARE_IGNORE, PARE_IGNORE}, NULL);
    assert_true(loss->value[0] == 0.0f);
    pare_mean_squared_error(tape, constant((const float[]){3, -2}, 2, 1), zeros, losses);
    assert_true(losses[0] == 9.0f && losses[1] == 4.0f);
}

static void refused(const pare_tensor *result, const char *reason)
{
    assert_null(result);
    assert_int_equal(pare_tape_status(tape), PARE_ERROR_ARGUMENT);
    if (!strstr(pare_error_message(), reason))
        fail_msg("\"%s\" does not say \"%s\"", pare_error_message(), reason);
}

static void test_refusals(void **state)
{
    (void)state;
    static const float values[6] = {0};
    const size_t two[] = {0, 2, 3};
    const pare_ragged sequences = {.offsets = two, .count = 2};
    const uint32_t late[] = {0, 1}, fine[] = {1, 0};
    refused(pare_select_rows(tape, constant(values, 1, 6), fine, 2), "row 1 of 1");
    refused(pare_mean_squared_error(tape, constant(values, 3, 2), values, NULL), "3 x 2");
    refused(pare_sequence_cross_entropy(tape, constant(values, 3, 2), 0, &sequences, late, NULL),
            "token 1 of a sequence of 1");
    refused(pare_sequence_cross_entropy(tape, constant(values, 3, 2), 2, &sequences, fine, NULL),
            "column 2");
    refused(pare_sequence_cross_entropy(tape, constant(values, 2, 3), 0, &sequences, fine, NULL),
            "2 x 3");
    refused(pare_divergence(tape, constant(values, 2, 3), values, &sequences, 1), "2 x 3");
    refused(pare_divergence(tape, constant(values, 2, 3), values, NULL, 0), "above 0, not 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_select_rows),
        cmocka_unit_test(test_mean_squared_error),
        cmocka_unit_test(test_sequence_cross_entropy),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test_setup_teardown(test_losses_of_each, start, stop),
        cmocka_unit_test_setup_teardown(test_refusals, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
