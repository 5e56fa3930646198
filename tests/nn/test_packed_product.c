/* Products with packed weights: every level and bf16 against fp64, shapes that fill tiles and
 * panels and shapes that do not, several weights as one, and rows that do not depend on others. */
#include "nn/packed_product.h"
#include "nn_check.h"

static const size_t row_counts[] = {1, 2, 5, 6, 7, 11, 12, 13, 24, 31, 48};
static const size_t widths[][2] = {{1, 1},    {3, 2},    {16, 7},  {31, 33},
                                   {41, 123}, {64, 384}, {384, 65}};

static float *random_floats(size_t count, uint64_t key)
{
    float *x = malloc((count ? count : 1) * sizeof *x);
    for (size_t i = 0; i < count; i++)
        x[i] = check_random(key, i);
    return x;
}

static pare_tensor weight_of(size_t rows, size_t columns, uint64_t key)
{
    return (pare_tensor){rows, columns, random_floats(rows * columns, key), NULL, false};
}

static pri_packed_weight *packed_of(const pare_context *context, pare_precision precision,
                                    const pare_tensor *weight)
{
    pri_packed_weight *packed;
    assert_int_equal(pri_packed_create(context, precision, &weight, 1, &packed), PARE_OK);
    assert_int_equal(pri_packed_rows(packed), weight->rows);
    return packed;
}

static void multiply(const pri_packed_weight *packed, size_t rows, const float *input,
                     float *output)
{
    size_t words = pri_packed_scratch(packed, rows);
    uint32_t *scratch = malloc((words + 1) * sizeof *scratch);
    scratch[words] = 12345;
    pri_packed_multiply(packed, rows, input, output, scratch);
    assert_int_equal(scratch[words], 12345);
    free(scratch);
}

/* Rounded as bf16 products round: to nearest, ties to even. */
static double rounded(float x, pare_precision precision)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (precision == PARE_PRECISION_BF16)
        bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &bits, sizeof bits);
    return (double)x;
}

static void check_product(const pare_context *context, pare_precision precision, size_t rows,
                          size_t out, size_t in)
{
    pare_tensor weight = weight_of(out, in, 1);
    float *input = random_floats(rows * in, 2), *output = random_floats(rows * out + 1, 3);
    float guard = output[rows * out];
    pri_packed_weight *packed = packed_of(context, precision, &weight);
    multiply(packed, rows, input, output);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < out; j++) {
            double sum = 0.0;
            for (size_t k = 0; k < in; k++)
                sum += rounded(input[i * in + k], precision) *
                       rounded(weight.value[j * in + k], precision);
            double difference = fabs((double)output[i * out + j] - sum);
            if (!(difference <= 1e-6 * sqrt((double)in)))
                fail_msg("level %s, %zu x %zu x %zu at %zu, %zu: off by %g",
                         pare_level_name(pare_context_level(context)), rows, out, in, i, j,
                         difference);
        }
    assert_true(output[rows * out] == guard);
    pri_packed_destroy(packed);
    free(weight.value);
    free(input);
    free(output);
}

static void check_all_shapes(const pare_context *context, pare_precision precision)
{
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (size_t r = 0; r < sizeof row_counts / sizeof *row_counts; r++)
            check_product(context, precision, row_counts[r], widths[w][0], widths[w][1]);
}

static void products_agree_with_fp64_at_every_level(void **state)
{
    (void)state;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        pare_context *context = check_context((pare_level)level, 1);
        check_all_shapes(context, PARE_PRECISION_FP32);
        pare_context_destroy(context);
    }
}

static void bf16_products_round_both_operands(void **state)
{
    (void)state;
    pare_context *context = check_best_context(1);
    if (pare_context_check_precision(context, PARE_PRECISION_BF16) == PARE_OK)
        check_all_shapes(context, PARE_PRECISION_BF16);
    pare_context_destroy(context);
}

/* However rows are dealt out to threads, a row's bits are the same. */
static void check_rows_alone(const pare_context *context, pare_precision precision)
{
    enum { ROWS = 29, OUT = 41, IN = 123 };
    pare_tensor weight = weight_of(OUT, IN, 4);
    float *input = random_floats(ROWS * IN, 5), *together = malloc(ROWS * OUT * sizeof(float));
    pri_packed_weight *packed = packed_of(context, precision, &weight);
    multiply(packed, ROWS, input, together);
    for (size_t i = 0; i < ROWS; i++) {
        float alone[OUT];
        multiply(packed, 1, input + i * IN, alone);
        assert_memory_equal(alone, together + i * OUT, sizeof alone);
    }
    pri_packed_destroy(packed);
    free(weight.value);
    free(input);
    free(together);
}

static void rows_do_not_depend_on_others(void **state)
{
    (void)state;
    for (int level = 0; level < PARE_LEVEL_COUNT; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        pare_context *context = check_context((pare_level)level, 1);
        check_rows_alone(context, PARE_PRECISION_FP32);
        if (pare_context_check_precision(context, PARE_PRECISION_BF16) == PARE_OK)
            check_rows_alone(context, PARE_PRECISION_BF16);
        pare_context_destroy(context);
    }
}

static void check_joined(const pare_context *context, pare_precision precision)
{
    enum { ROWS = 7, IN = 19 };
    pare_tensor weights[3] = {weight_of(5, IN, 6), weight_of(40, IN, 7), weight_of(9, IN, 8)};
    const pare_tensor *parts[3] = {&weights[0], &weights[1], &weights[2]};
    float *input = random_floats(ROWS * IN, 9), joined[ROWS * 54], single[ROWS * 40];
    pri_packed_weight *packed;
    assert_int_equal(pri_packed_create(context, precision, parts, 3, &packed), PARE_OK);
    assert_int_equal(pri_packed_rows(packed), 54);
    multiply(packed, ROWS, input, joined);
    pri_packed_destroy(packed);
    for (size_t part = 0, column = 0; part < 3; column += weights[part++].rows) {
        size_t rows = weights[part].rows;
        packed = packed_of(context, precision, parts[part]);
        multiply(packed, ROWS, input, single);
        for (size_t i = 0; i < ROWS; i++)
            assert_memory_equal(single + i * rows, joined + i * 54 + column, rows * sizeof(float));
        pri_packed_destroy(packed);
        free(weights[part].value);
    }
    free(input);
}

static void several_weights_are_one(void **state)
{
    (void)state;
    pare_context *context = check_best_context(1);
    check_joined(context, PARE_PRECISION_FP32);
    if (pare_context_check_precision(context, PARE_PRECISION_BF16) == PARE_OK)
        check_joined(context, PARE_PRECISION_BF16);
    pare_context_destroy(context);
}

static void bf16_halves_the_memory(void **state)
{
    (void)state;
    pare_context *context = check_best_context(1);
    pare_tensor weight = weight_of(64, 384, 10);
    pri_packed_weight *packed = packed_of(context, PARE_PRECISION_FP32, &weight);
    assert_int_equal(pri_packed_bytes(packed), 64 * 384 * sizeof(float));
    assert_int_equal(pri_packed_scratch(packed, 100), 0);
    pri_packed_destroy(packed);
    if (pare_context_check_precision(context, PARE_PRECISION_BF16) == PARE_OK) {
        packed = packed_of(context, PARE_PRECISION_BF16, &weight);
        assert_int_equal(pri_packed_bytes(packed), 64 * 384 * 2);
        pri_packed_destroy(packed);
    }
    free(weight.value);
    pare_context_destroy(context);
}

static void refuses_what_it_cannot_do(void **state)
{
    (void)state;
    pare_tensor weights[2] = {weight_of(2, 3, 11), weight_of(2, 4, 12)};
    const pare_tensor *parts[2] = {&weights[0], &weights[1]};
    pri_packed_weight *packed;
    pare_context *context = check_best_context(1);
    assert_int_equal(pri_packed_create(context, PARE_PRECISION_FP32, parts, 2, &packed),
                     PARE_ERROR_ARGUMENT);
    assert_null(packed);
    assert_non_null(strstr(pare_error_message(), "3 and 4 columns"));
    pare_context_destroy(context);
    for (int level = 0; level < PARE_LEVEL_X86_64_V4; level++) {
        if (!pare_level_supported((pare_level)level))
            continue;
        context = check_context((pare_level)level, 1);
        assert_int_equal(pri_packed_create(context, PARE_PRECISION_BF16, parts, 1, &packed),
                         PARE_ERROR_UNSUPPORTED);
        assert_null(packed);
        pare_context_destroy(context);
    }
    free(weights[0].value);
    free(weights[1].value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_agree_with_fp64_at_every_level),
        cmocka_unit_test(bf16_products_round_both_operands),
        cmocka_unit_test(rows_do_not_depend_on_others),
        cmocka_unit_test(several_weights_are_one),
        cmocka_unit_test(bf16_halves_the_memory),
        cmocka_unit_test(refuses_what_it_cannot_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
