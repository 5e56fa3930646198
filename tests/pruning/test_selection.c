/* Exact shares, the "nearest" percentile and radix selection. */
#include "pruning/synthetic.h"

#include "base/safetensors.h"
#include "pruning/selection.h"

static int compare_keys(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void test_selection_equals_sorting(void **state)
{
    (void)state;
    uint64_t keys[60], sorted[60], scratch[60];
    for (size_t round = 0; round < 200; round++) {
        size_t count = 1 + round % 60;
        for (size_t i = 0; i < count; i++) {
            double u = pri_random_uniform(round, i);
            /* Few values, all bits, or probabilities. */
            keys[i] = round % 3 == 0   ? pri_random_below(round, i, 5)
                      : round % 3 == 1 ? pri_random_bits(round, i)
                                       : pri_selection_key(u * u * u);
        }
        memcpy(sorted, keys, sizeof keys);
        qsort(sorted, count, sizeof *sorted, compare_keys);
        for (size_t index = 0; index < count; index++) {
            size_t smaller, expected = 0;
            memcpy(scratch, keys, sizeof keys);
            assert_int_equal(pri_selection_at(scratch, count, index, &smaller), sorted[index]);
            while (sorted[expected] < sorted[index])
                expected++;
            assert_int_equal(smaller, expected);
        }
    }
}

static void test_keys_order_as_numbers(void **state)
{
    (void)state;
    const double ascending[] = {0, 5e-324, 1e-310, 1e-300, 0.5, 0.75, 1, 1.5};
    for (size_t i = 1; i < sizeof ascending / sizeof *ascending; i++)
        assert_true(pri_selection_key(ascending[i - 1]) < pri_selection_key(ascending[i]));
    assert_int_equal(pri_selection_key(-0.0), 0);
}

/* All decimals with one place: floor(p n / 100) in integers. */
static void test_shares_are_exact(void **state)
{
    (void)state;
    for (size_t tenths = 0; tenths <= 1000; tenths++)
        for (size_t count = 0; count < 1200; count += 1 + count / 50)
            assert_int_equal(pri_selection_share((double)tenths / 10, count),
                             tenths * count / 1000);
    assert_int_equal(pri_selection_share(100, 37748736), 37748736);
    assert_int_equal(pri_selection_share(99.9, 37748736), 37710987);
}

/* Oracle 3, against numpy.percentile(method="nearest"). */
static void test_percentile_index_is_numpys(void **state)
{
    (void)state;
    pri_safetensors *file;
    const pri_stored_tensor *table;
    ASSERT_OK(pri_safetensors_open(PARE_GOLDEN_DIRECTORY "/pruning_reference.safetensors", &file));
    ASSERT_OK(pri_safetensors_get(file, "percentile_indices", PRI_DATA_I64, 2, (size_t[]){60, 11},
                                  &table));
    const int64_t *expected = table->data;
    for (size_t n = 1; n <= 60; n++)
        for (size_t p = 0; p <= 10; p++)
            assert_int_equal(pri_selection_percentile_index(10.0 * (double)p, n),
                             expected[(n - 1) * 11 + p]);
    const size_t halves[] = {0, 2, 2, 4};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pri_selection_percentile_index(50, 2 * i + 2), halves[i]);
    pri_safetensors_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_selection_equals_sorting),
        cmocka_unit_test(test_keys_order_as_numbers),
        cmocka_unit_test(test_shares_are_exact),
        cmocka_unit_test(test_percentile_index_is_numpys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
