/* Measures of classification and regression against tables computed by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <math.h>

#include "tasks/classification/metrics.h"

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12))
        fail_msg("%.17g is not %.17g", value, expected);
}

/* Counts of true positives, false positives, false negatives and true negatives as examples. */
typedef struct confusion_case {
    size_t counts[4];
    double accuracy, f1, matthews;
} confusion_case;

static void test_confusion_tables(void **state)
{
    (void)state;
    const confusion_case cases[] = {
        {{6, 1, 2, 3}, 9. / 12, 12. / 15, 16 / 33.466401061363023}, /* sqrt(7 * 8 * 4 * 5) */
        {{90, 4, 1, 5}, .95, 180. / 185, 446 / sqrt(94. * 91 * 9 * 6)},
        {{5, 0, 0, 5}, 1, 1, 1},
        {{0, 5, 5, 0}, 0, 0, -1},
        {{4, 4, 4, 4}, .5, .5, 0},
        {{7, 3, 0, 0}, .7, 14. / 17, 0}, /* all predicted 1: a factor is 0 */
        {{0, 0, 3, 7}, .7, 0, 0},        /* none predicted 1 */
        {{0, 0, 0, 9}, 1, 0, 0},         /* F1 is undefined */
        {{0, 2, 0, 6}, .75, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t predictions[128], labels[128];
        size_t count = 0;
        for (uint32_t cell = 0; cell < 4; cell++)
            for (size_t j = 0; j < cases[i].counts[cell]; j++, count++) {
                predictions[count] = cell < 2;
                labels[count] = cell % 2 == 0;
            }
        assert_near(pri_accuracy(predictions, labels, count), cases[i].accuracy);
        assert_near(pri_f1(predictions, labels, count), cases[i].f1);
        assert_near(pri_matthews(predictions, labels, count), cases[i].matthews);
    }
}

static void test_matthews_of_large_tables_does_not_overflow(void **state)
{
    (void)state;
    static uint32_t predictions[400000], labels[400000];
    for (size_t i = 0; i < 400000; i++) {
        labels[i] = i % 2;
        predictions[i] = i % 10 ? labels[i] : !labels[i];
    }
    /* Every tenth is even: 160,000 of 200,000 zeros are right, and all ones. */
    double expected = 2e5 * 1.6e5 / sqrt(2.4e5 * 2e5 * 2e5 * 1.6e5);
    assert_near(pri_matthews(predictions, labels, 400000), expected);
}

static void test_classes_beyond_the_second(void **state)
{
    (void)state;
    const uint32_t labels[] = {0, 1, 2, 2, 1}, predictions[] = {0, 1, 2, 1, 0};
    assert_near(pri_accuracy(predictions, labels, 5), .6);
    assert_near(pri_f1(predictions, labels, 5), .5); /* TP 1, FP 1, FN 1 */
}

static void test_pearson(void **state)
{
    (void)state;
    const float x[] = {1, 2, 3, 4, 5}, y[] = {2, 1, 4, 3, 5}, falling[] = {9, 7, 5, 3, 1};
    const float constant[] = {2, 2, 2, 2, 2};
    assert_near(pri_pearson(x, y, 5), .8); /* sum of products 8, of squares 10 and 10 */
    assert_near(pri_pearson(x, x, 5), 1);
    assert_near(pri_pearson(x, falling, 5), -1);
    assert_near(pri_pearson(x, constant, 5), 0);
    assert_near(pri_pearson(constant, x, 5), 0);
    const float far_x[] = {1e6f + 1, 1e6f + 2, 1e6f + 3}, far_y[] = {1, 2, 4};
    assert_near(pri_pearson(far_x, far_y, 3), 3 / sqrt(2 * 14. / 3));
}

static double spearman(const float *x, const float *y, size_t count)
{
    double correlation = 9;
    assert_int_equal(pri_spearman(x, y, count, &correlation), PARE_OK);
    return correlation;
}

static void test_spearman(void **state)
{
    (void)state;
    /* Without ties: 1 - 6 sum d^2 / (n (n^2 - 1)); d = 0, 0, 1, -1, 0. */
    const float x[] = {10, 20, 40, 30, 1000}, y[] = {-5, 0, 1, 2, 3};
    assert_near(spearman(x, y, 5), 1 - 6 * 2. / 120);
    /* Ties share the mean of their ranks: 1.5, 1.5, 3, 4 against 1, 2, 3.5, 3.5; products of the
     * deviations 1.5 + .5 + .5 + 1.5, squares 4.5 and 4.5. */
    const float tied_x[] = {0, 0, 1, 2}, tied_y[] = {1, 2, 3, 3};
    assert_near(spearman(tied_x, tied_y, 4), 4 / 4.5);
    const float constant[] = {7, 7, 7, 7};
    assert_near(spearman(tied_x, constant, 4), 0);
    /* Any rising function changes nothing. */
    const float a[] = {3, 1, 4, 1, 5, 9, 2, 6}, b[] = {2, 7, 1, 8, 2, 8, 1, 8};
    float cubes[8];
    for (size_t i = 0; i < 8; i++)
        cubes[i] = a[i] * a[i] * a[i] - 5;
    assert_near(spearman(cubes, b, 8), spearman(a, b, 8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_confusion_tables),
        cmocka_unit_test(test_matthews_of_large_tables_does_not_overflow),
        cmocka_unit_test(test_classes_beyond_the_second),
        cmocka_unit_test(test_pearson),
        cmocka_unit_test(test_spearman),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
