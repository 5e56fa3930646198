/* Matrix products: every transposition against fp64, strides, scaling, edge shapes, and the same
 * bits for any number of threads, in fp32 and, where the CPU has it, in bf16. */
#include "nn_check.h"

typedef struct shape {
    size_t m, n, k;
} shape;

/* Element (i, j) of op(x), where x has `stride` floats between rows. */
static double element(const float *x, bool transposed, size_t stride, size_t i, size_t j)
{
    return (double)(transposed ? x[j * stride + i] : x[i * stride + j]);
}

/* The nearest number whose fp32 form ends in 16 zero bits; ties to even. */
static float rounded_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    uint32_t tail = bits & 0xffff, head = bits >> 16;
    head += tail > 0x8000 || (tail == 0x8000 && (head & 1));
    bits = head << 16;
    memcpy(&x, &bits, sizeof bits);
    return x;
}

static void round_to_bf16(float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = rounded_to_bf16(x[i]);
}

/* NULL where the CPU has no bf16. */
static pare_context *bf16_context(int threads)
{
    pare_context *context = check_best_context(threads);
    if (pare_context_set_precision(context, PARE_PRECISION_BF16) == PARE_OK)
        return context;
    pare_context_destroy(context);
    return NULL;
}

static float *random_floats(size_t count, uint64_t key)
{
    float *x = malloc((count ? count : 1) * sizeof *x);
    for (size_t i = 0; i < count; i++)
        x[i] = check_random(key, i);
    return x;
}

static void check_product(pare_context *context, shape s, bool transpose_a, bool transpose_b,
                          float alpha, float beta, size_t padding)
{
    size_t lda = (transpose_a ? s.m : s.k) + padding, ldb = (transpose_b ? s.k : s.n) + padding;
    size_t ldo = s.n + padding;
    float *a = random_floats((transpose_a ? s.k : s.m) * lda, 1);
    float *b = random_floats((transpose_b ? s.n : s.k) * ldb, 2);
    float *output = random_floats(s.m * ldo, 3), *before = random_floats(s.m * ldo, 3);
    for (size_t i = 0; beta == 0.0f && i < s.m; i++)
        for (size_t j = 0; j < s.n; j++)
            output[i * ldo + j] = NAN; /* with beta 0 the output is not read */
    assert_int_equal(pare_matrix_product(context, transpose_a, transpose_b, s.m, s.n, s.k, alpha, a,
                                         lda, b, ldb, beta, output, ldo),
                     PARE_OK);
    if (pare_context_precision(context) == PARE_PRECISION_BF16) {
        round_to_bf16(a, (transpose_a ? s.k : s.m) * lda);
        round_to_bf16(b, (transpose_b ? s.n : s.k) * ldb);
    }
    for (size_t i = 0; i < s.m; i++)
        for (size_t j = 0; j < ldo; j++) {
            double expected = (double)before[i * ldo + j];
            if (j < s.n) {
                double sum = 0.0;
                for (size_t k = 0; k < s.k; k++)
                    sum += element(a, transpose_a, lda, i, k) * element(b, transpose_b, ldb, k, j);
                expected = (double)alpha * sum + (beta == 0.0f ? 0.0 : (double)beta * expected);
            }
            assert_true(fabs((double)output[i * ldo + j] - expected) <=
                        1e-5 * sqrt((double)s.k + 1.0));
        }
    free(a);
    free(b);
    free(output);
    free(before);
}

static void check_products(pare_context *context)
{
    const shape shapes[] = {{1, 1, 1},     {5, 7, 3},     {1, 200, 31},   {200, 1, 31},
                            {64, 128, 16}, {65, 129, 17}, {130, 260, 40}, {3, 4, 0},
                            {0, 4, 3},     {33, 2, 700},  {7, 3, 2100},   {1030, 5, 9},
                            {2, 1040, 11}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int transposes = 0; transposes < 4; transposes++) {
            bool a = transposes & 1, b = transposes & 2;
            check_product(context, shapes[i], a, b, 1.0f, 0.0f, 0);
            check_product(context, shapes[i], a, b, 1.0f, 1.0f, 3);
            check_product(context, shapes[i], a, b, -0.5f, 2.0f, 1);
        }
    pare_context_destroy(context);
}

static void test_products(void **state)
{
    (void)state;
    check_products(check_best_context(2));
}

static void test_bf16_products(void **state)
{
    (void)state;
    pare_context *context = bf16_context(2);
    if (!context)
        skip();
    check_products(context);
}

static void test_bf16_refused(void **state)
{
    (void)state;
    pare_context_options options = {.threads = 1, .level = "x86-64-v2"};
    pare_context *context;
    if (pare_context_create(&options, &context) != PARE_OK)
        skip();
    assert_int_equal(pare_context_set_precision(context, PARE_PRECISION_BF16),
                     PARE_ERROR_UNSUPPORTED);
    assert_non_null(strstr(pare_error_message(), "AVX512-BF16"));
    assert_int_equal(pare_context_precision(context), PARE_PRECISION_FP32);
    pare_context_destroy(context);
}

/* Shapes of a model's layers: large enough for tiles, and for oneDNN to split k over threads. */
static void check_threads(pare_context *(*make_context)(int threads))
{
    const shape shapes[] = {{1024, 256, 1024}, {128, 512, 2048}, {600, 2000, 128}, {2048, 1, 128}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int transposes = 0; transposes < 3; transposes++) {
            shape s = shapes[i];
            bool ta = transposes == 1, tb = transposes == 2;
            float *a = random_floats(s.m * s.k, 1), *b = random_floats(s.k * s.n, 2);
            float *first = malloc(s.m * s.n * sizeof *first);
            float *other = malloc(s.m * s.n * sizeof *other);
            for (int threads = 1; threads <= CHECK_THREADS_MAX; threads++) {
                pare_context *context = make_context(threads);
                assert_int_equal(pare_matrix_product(context, ta, tb, s.m, s.n, s.k, 1.0f, a,
                                                     ta ? s.m : s.k, b, tb ? s.k : s.n, 0.0f,
                                                     threads == 1 ? first : other, s.n),
                                 PARE_OK);
                if (threads > 1)
                    assert_memory_equal(first, other, s.m * s.n * sizeof *first);
                pare_context_destroy(context);
            }
            free(a);
            free(b);
            free(first);
            free(other);
        }
}

static void test_threads(void **state)
{
    (void)state;
    check_threads(check_best_context);
}

static void test_bf16_threads(void **state)
{
    (void)state;
    pare_context *context = bf16_context(1);
    if (!context)
        skip();
    pare_context_destroy(context);
    check_threads(bf16_context);
}

static void test_nan(void **state)
{
    (void)state;
    float a[2] = {1.0f, NAN}, b[2] = {2.0f, 3.0f}, output[1] = {0.0f};
    pare_context *context = check_best_context(1);
    assert_int_equal(
        pare_matrix_product(context, false, false, 1, 1, 2, 1.0f, a, 2, b, 1, 0.0f, output, 1),
        PARE_OK);
    assert_true(isnan(output[0]));
    pare_context_destroy(context);
}

static void test_wrong_strides(void **state)
{
    (void)state;
    float x[16] = {0};
    pare_context *context = check_best_context(1);
    assert_int_equal(
        pare_matrix_product(context, false, false, 2, 2, 4, 1.0f, x, 3, x, 2, 0.0f, x, 2),
        PARE_ERROR_ARGUMENT);
    assert_non_null(strstr(pare_error_message(), "leading dimensions"));
    pare_context_destroy(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_products),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_bf16_products), cmocka_unit_test(test_bf16_threads),
        cmocka_unit_test(test_bf16_refused),  cmocka_unit_test(test_nan),
        cmocka_unit_test(test_wrong_strides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
