/* Random numbers: values pinned from an independent implementation (Python integers), statistical
 * quality, and independence of the order in which draws are made. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <omp.h>

#include "base/random.h"

#define DRAWS 65536

static void test_bits_are_pinned(void **state)
{
    (void)state;
    assert_int_equal(pri_random_bits(0, 0), UINT64_C(0xe220a8397b1dcdaf));
    assert_int_equal(pri_random_bits(0, 1), UINT64_C(0xa706dd2f4d197e6f));
    assert_int_equal(pri_random_bits(1, 0), UINT64_C(0xbdc6ba596c638c69));
    assert_int_equal(pri_random_bits(12345, 67890), UINT64_C(0x5d65613cea6e56a5));
    assert_int_equal(pri_random_bits(UINT64_MAX, UINT64_MAX), UINT64_C(0xd6b81ccd41d52851));
    assert_int_equal(pri_random_key(1, "dropout", 7), UINT64_C(0x64fcf2155a8fc6a6));
    assert_int_equal(pri_random_key(1, "init", 7), UINT64_C(0x9675bfc9931b9ce5));
}

static void test_derived_draws_are_pinned(void **state)
{
    (void)state;
    assert_true(pri_random_uniform(12345, 67890) == 0x1.759584f3a9b94p-2);
    assert_int_equal(pri_random_below(12345, 67890, 1000), 364);
    const double normals[] = {-0.10284596101722139, -0.5053976815924371, 0.3972045999668468};
    for (uint64_t i = 0; i < 3; i++)
        assert_true(fabs(pri_random_normal(42, i) - normals[i]) < 1e-14);
}

/* Pearson's statistic over 256 cells has mean 255 and standard deviation 22.6. */
static double chi_square(const unsigned counts[256])
{
    double statistic = 0, expected = DRAWS / 256.0;
    for (size_t i = 0; i < 256; i++)
        statistic += (counts[i] - expected) * (counts[i] - expected) / expected;
    return statistic;
}

static void test_every_byte_is_uniform_along_counters_and_along_keys(void **state)
{
    (void)state;
    for (unsigned along_keys = 0; along_keys < 2; along_keys++) {
        for (unsigned shift = 0; shift < 64; shift += 8) {
            unsigned counts[256] = {0};
            for (uint64_t i = 0; i < DRAWS; i++) {
                uint64_t bits = along_keys ? pri_random_bits(i, 3) : pri_random_bits(3, i);
                counts[bits >> shift & 255]++;
            }
            assert_true(chi_square(counts) > 150);
            assert_true(chi_square(counts) < 370);
        }
    }
}

static unsigned bits_set(uint64_t value)
{
    unsigned count = 0;
    for (; value; value &= value - 1)
        count++;
    return count;
}

static void test_one_input_bit_flips_half_of_the_output(void **state)
{
    (void)state;
    for (unsigned bit = 0; bit < 64; bit++) {
        unsigned flipped_by_key = 0, flipped_by_counter = 0;
        const unsigned trials = 256;
        for (uint64_t i = 0; i < trials; i++) {
            uint64_t key = 17 * i, counter = 1000 + i, one = UINT64_C(1) << bit;
            uint64_t bits = pri_random_bits(key, counter);
            flipped_by_key += bits_set(bits ^ pri_random_bits(key ^ one, counter));
            flipped_by_counter += bits_set(bits ^ pri_random_bits(key, counter ^ one));
        }
        /* 32 +- 4 / sqrt(256) per trial; six deviations allowed. */
        assert_true(fabs(flipped_by_key / (double)trials - 32) < 1.5);
        assert_true(fabs(flipped_by_counter / (double)trials - 32) < 1.5);
    }
}

static void test_uniform_range_mean_and_variance(void **state)
{
    (void)state;
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double u = pri_random_uniform(99, i);
        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += (u - .5) * (u - .5);
    }
    assert_true(fabs(sum / DRAWS - .5) < .006);
    assert_true(fabs(squares / DRAWS - 1 / 12.) < .002);
}

static void test_normal_moments(void **state)
{
    (void)state;
    double moments[5] = {0}, product = 0, previous = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = pri_random_normal(7, i), power = 1;
        assert_true(isfinite(x));
        for (int m = 1; m <= 4; m++)
            moments[m] += (power *= x) / DRAWS;
        product += x * previous / DRAWS;
        previous = x;
    }
    assert_true(fabs(moments[1]) < .02);
    assert_true(fabs(moments[2] - 1) < .03);
    assert_true(fabs(moments[3]) < .06);
    assert_true(fabs(moments[4] - 3) < .25);
    assert_true(fabs(product) < .02); /* neighbours are not correlated */
}

static void test_below_is_balanced_and_bounded(void **state)
{
    (void)state;
    unsigned counts[7] = {0};
    for (uint64_t i = 0; i < 70000; i++)
        counts[pri_random_below(5, i, 7)]++;
    for (size_t i = 0; i < 7; i++)
        assert_true(fabs(counts[i] - 10000.) < 500);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(pri_random_below(5, i, 1), 0);
        assert_true(pri_random_below(5, i, UINT64_MAX) < UINT64_MAX);
    }
}

static void test_below_is_the_high_half_of_the_product(void **state)
{
    (void)state;
    __extension__ typedef unsigned __int128 wide;
    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t bound = pri_random_bits(8, i) >> i % 60;
        uint64_t expected = (uint64_t)((wide)pri_random_bits(9, i) * bound >> 64);
        assert_int_equal(pri_random_below(9, i, bound), expected);
    }
}

static void test_threads_and_order_change_nothing(void **state)
{
    (void)state;
    static uint64_t forward[4096], parallel[4096];
    uint64_t key = pri_random_key(3, "test", 0);
    for (size_t i = 0; i < 4096; i++)
        forward[i] = pri_random_bits(key, i);
#pragma omp parallel for num_threads(3) schedule(dynamic, 17)
    for (size_t i = 0; i < 4096; i++)
        parallel[4095 - i] = pri_random_bits(key, 4095 - i);
    assert_memory_equal(forward, parallel, sizeof forward);
}

static void test_keys_differ_by_seed_purpose_and_index(void **state)
{
    (void)state;
    uint64_t key = pri_random_key(1, "dropout", 1);
    assert_int_equal(key, pri_random_key(1, "dropout", 1));
    assert_int_not_equal(key, pri_random_key(2, "dropout", 1));
    assert_int_not_equal(key, pri_random_key(1, "dropouts", 1));
    assert_int_not_equal(key, pri_random_key(1, "dropout", 2));
}

/* Published test vectors of 64-bit FNV-1a. */
static void test_hash_vectors(void **state)
{
    (void)state;
    assert_int_equal(pri_hash(PRI_HASH_START, "", 0), UINT64_C(0xcbf29ce484222325));
    assert_int_equal(pri_hash(PRI_HASH_START, "a", 1), UINT64_C(0xaf63dc4c8601ec8c));
    assert_int_equal(pri_hash(PRI_HASH_START, "foobar", 6), UINT64_C(0x85944171f73967e8));
    uint64_t in_parts = pri_hash(pri_hash(PRI_HASH_START, "foo", 3), "bar", 3);
    assert_int_equal(in_parts, UINT64_C(0x85944171f73967e8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bits_are_pinned),
        cmocka_unit_test(test_derived_draws_are_pinned),
        cmocka_unit_test(test_every_byte_is_uniform_along_counters_and_along_keys),
        cmocka_unit_test(test_one_input_bit_flips_half_of_the_output),
        cmocka_unit_test(test_uniform_range_mean_and_variance),
        cmocka_unit_test(test_normal_moments),
        cmocka_unit_test(test_below_is_balanced_and_bounded),
        cmocka_unit_test(test_below_is_the_high_half_of_the_product),
        cmocka_unit_test(test_threads_and_order_change_nothing),
        cmocka_unit_test(test_keys_differ_by_seed_purpose_and_index),
        cmocka_unit_test(test_hash_vectors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
