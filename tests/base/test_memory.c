/* Allocation: alignment, overflow, growth, counting; arenas hand out disjoint aligned blocks and
 * allocate nothing once they have seen a round. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/memory.h"

static bool aligned(const void *pointer)
{
    return (uintptr_t)pointer % 64 == 0;
}

static void test_blocks_are_aligned_and_counted(void **state)
{
    (void)state;
    const size_t sizes[] = {0, 1, 63, 64, 65, 100000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        uint64_t before = pri_allocation_count();
        uint8_t *block = pri_allocate(sizes[i], 1);
        assert_non_null(block);
        assert_true(aligned(block));
        assert_int_equal(pri_allocation_count(), before + 1);
        memset(block, 0xa5, sizes[i]);
        pri_free(block);
    }
    pri_free(NULL);
}

static void test_zeroed_blocks_are_zero(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) { /* a dirty block may come back */
        uint32_t *block = pri_allocate_zero(1000, sizeof *block);
        for (size_t i = 0; i < 1000; i++)
            assert_int_equal(block[i], 0);
        memset(block, 0xff, 1000 * sizeof *block);
        pri_free(block);
    }
}

static void test_impossible_sizes_fail_with_a_message(void **state)
{
    (void)state;
    assert_null(pri_allocate(SIZE_MAX / 2, 4));
    assert_non_null(strstr(pare_error_message(), "out of memory"));
    assert_null(pri_allocate(SIZE_MAX - 5, 1));
    assert_null(pri_allocate_zero(SIZE_MAX, SIZE_MAX));
    assert_null(pri_allocate((size_t)1 << 52, 8)); /* no overflow, but no such machine */
    pri_arena *arena = pri_arena_create();
    assert_null(pri_arena_allocate(arena, SIZE_MAX / 2, 4));
    assert_non_null(pri_arena_allocate(arena, 1, 4));
    pri_arena_destroy(arena);
}

static void test_products_are_checked(void **state)
{
    (void)state;
    size_t product;
    assert_false(pri_multiply_overflows(0, SIZE_MAX, &product));
    assert_int_equal(product, 0);
    assert_false(pri_multiply_overflows(SIZE_MAX, 0, &product));
    assert_false(pri_multiply_overflows(SIZE_MAX, 1, &product));
    assert_true(product == SIZE_MAX);
    assert_false(pri_multiply_overflows((size_t)1 << 32, ((size_t)1 << 32) - 1, &product));
    assert_true(pri_multiply_overflows((size_t)1 << 32, (size_t)1 << 32, &product));
}

static void test_growing_and_shrinking_keep_the_contents(void **state)
{
    (void)state;
    uint16_t *block = pri_reallocate(NULL, 0, 10, sizeof *block);
    for (uint16_t i = 0; i < 10; i++)
        block[i] = i;
    block = pri_reallocate(block, 10, 5000, sizeof *block);
    for (uint16_t i = 0; i < 10; i++)
        assert_int_equal(block[i], i);
    block = pri_reallocate(block, 5000, 3, sizeof *block);
    for (uint16_t i = 0; i < 3; i++)
        assert_int_equal(block[i], i);
    assert_null(pri_reallocate(block, 3, SIZE_MAX, sizeof *block));
    assert_int_equal(block[2], 2); /* still ours after a failure */
    pri_free(block);
}

static void test_strings_are_copied(void **state)
{
    (void)state;
    char original[] = "attention";
    char *copy = pri_string_copy(original);
    original[0] = 'X';
    assert_string_equal(copy, "attention");
    pri_free(copy);
}

#define BLOCKS 500

/* Blocks of growing size, each filled with its number; then every byte is checked. */
static void fill_arena_and_check(pri_arena *arena)
{
    static uint8_t *blocks[BLOCKS];
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = pri_arena_allocate(arena, i, 37);
        assert_non_null(blocks[i]);
        assert_true(aligned(blocks[i]));
        memset(blocks[i], (int)(i % 251), i * 37);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        for (size_t byte = 0; byte < i * 37; byte++)
            assert_int_equal(blocks[i][byte], i % 251);
}

static void test_arena_allocates_nothing_after_the_first_round(void **state)
{
    (void)state;
    pri_arena *arena = pri_arena_create();
    fill_arena_and_check(arena);
    pri_arena_reset(arena);
    uint64_t allocations = pri_allocation_count();
    size_t bytes = pri_arena_bytes(arena);
    assert_true(bytes >= (size_t)BLOCKS * (BLOCKS - 1) / 2 * 37);
    for (int round = 0; round < 5; round++) {
        fill_arena_and_check(arena);
        pri_arena_reset(arena);
    }
    assert_int_equal(pri_allocation_count(), allocations);
    assert_int_equal(pri_arena_bytes(arena), bytes);
    pri_arena_destroy(arena);
}

static void test_arena_grows_again_when_a_round_needs_more(void **state)
{
    (void)state;
    pri_arena *arena = pri_arena_create();
    pri_arena_reset(arena); /* empty: nothing to do */
    fill_arena_and_check(arena);
    pri_arena_reset(arena);
    fill_arena_and_check(arena);
    uint8_t *large = pri_arena_allocate(arena, 5, 1 << 20);
    assert_non_null(large);
    memset(large, 1, 5 << 20);
    pri_arena_reset(arena);
    uint64_t allocations = pri_allocation_count();
    fill_arena_and_check(arena);
    assert_non_null(pri_arena_allocate(arena, 5, 1 << 20));
    assert_int_equal(pri_allocation_count(), allocations);
    pri_arena_destroy(arena);
    pri_arena_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_aligned_and_counted),
        cmocka_unit_test(test_zeroed_blocks_are_zero),
        cmocka_unit_test(test_impossible_sizes_fail_with_a_message),
        cmocka_unit_test(test_products_are_checked),
        cmocka_unit_test(test_growing_and_shrinking_keep_the_contents),
        cmocka_unit_test(test_strings_are_copied),
        cmocka_unit_test(test_arena_allocates_nothing_after_the_first_round),
        cmocka_unit_test(test_arena_grows_again_when_a_round_needs_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
