/* From masks to plans: the same cells, and no plan for a shape that was never observed. Names with
 * T are traps of docs/reproducing.md. */
#include "pruning/synthetic.h"

#include "attention/plan.h"

static const pare_geometry shape = {
    .layers = 2, .heads = 2, .queries = 5, .keys = 8, .causal = true};

static bool plan_keeps(const pare_plan *plan, size_t head, size_t row, size_t column)
{
    return pri_plan_bits(pri_plan_row_bits(plan, head, row), column) & 1;
}

static void test_plans_hold_the_cells_of_the_mask(void **state)
{
    (void)state;
    pare_geometry others[] = {
        shape,
        {.layers = 1, .heads = 3, .queries = 4, .keys = 7},
        {.layers = 1, .heads = 1, .queries = 4, .keys = 9, .causal = true, .window = 3}};
    for (size_t s = 0; s < 3; s++) {
        const pare_geometry *g = &others[s];
        pare_average *average = make_average(*g, 1, 2, false);
        pare_mask *mask = make_mask(average, (pare_prune_options){.percent = 55});
        for (size_t layer = 0; layer < g->layers; layer++) {
            pare_plan *plan;
            uint64_t kept = 0;
            ASSERT_OK(pare_mask_plan(mask, layer, g->queries, g->keys, &plan));
            for (size_t h = 0; h < g->heads; h++)
                for (size_t i = 0; i < g->queries; i++)
                    for (size_t j = 0; j < g->keys; j++) {
                        bool expected = pare_mask_kept(mask, layer, h, i, j);
                        assert_int_equal(plan_keeps(plan, h, i, j), expected);
                        kept += expected;
                    }
            assert_int_equal(pare_plan_kept(plan), kept);
            pare_plan_destroy(plan);
        }
        pare_mask_destroy(mask);
        pare_average_destroy(average);
    }
}

/* T6: shorter calls get the plan of the whole geometry, to which they align from the right; longer
 * ones are refused. */
static void test_t6_other_geometries_are_refused(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 1, 2, false);
    pare_mask *mask = make_mask(average, (pare_prune_options){.percent = 50});
    pare_plan *plan;
    const size_t fitting[][2] = {{5, 8}, {5, 5}, {1, 1}, {1, 4}, {3, 6}};
    for (size_t i = 0; i < sizeof fitting / sizeof *fitting; i++) {
        ASSERT_OK(pare_mask_plan(mask, 1, fitting[i][0], fitting[i][1], &plan));
        assert_int_equal(plan->geometry.queries, 5);
        assert_int_equal(plan->geometry.keys, 8);
        pare_plan_destroy(plan);
    }
    const size_t others[][2] = {{6, 9}, {6, 8}, {5, 9}, {1, 5}, {5, 4}, {0, 0}, {0, 3}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(pare_mask_plan(mask, 1, others[i][0], others[i][1], &plan),
                         PARE_ERROR_ARGUMENT);
        assert_null(plan);
        expect_message("5 queries and 8 keys");
    }
    assert_int_equal(pare_mask_plan(mask, 2, 5, 8, &plan), PARE_ERROR_ARGUMENT);
    expect_message("2 layers");
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void test_distances_expand_to_any_shape(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 1, 2, false);
    pare_mask *mask =
        make_mask(average, (pare_prune_options){.geometry = PARE_GEOMETRY_DISTANCE, .percent = 50});
    const size_t shapes[][2] = {{5, 8}, {1, 1}, {3, 3}, {2, 20}, {12, 30}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        size_t queries = shapes[s][0], keys = shapes[s][1];
        pare_plan *plan;
        ASSERT_OK(pare_mask_plan(mask, 0, queries, keys, &plan));
        for (size_t h = 0; h < 2; h++)
            for (size_t i = 0; i < queries; i++)
                for (size_t j = 0; j < keys; j++) {
                    size_t newest = i + keys - queries;
                    assert_int_equal(plan_keeps(plan, h, i, j),
                                     j <= newest &&
                                         pare_mask_kept_at_distance(mask, 0, h, newest - j));
                }
        pare_plan_destroy(plan);
    }
    pare_plan *plan;
    assert_int_equal(pare_mask_plan(mask, 0, 4, 3, &plan), PARE_ERROR_ARGUMENT);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void test_relative_masks_expand_to_any_length(void **state)
{
    (void)state;
    const pare_geometry encoder = {
        .layers = 2, .heads = 2, .queries = 7, .keys = 7, .ends_first = true};
    pare_average *average = make_average(encoder, 1, 2, false);
    pare_mask *mask =
        make_mask(average, (pare_prune_options){.geometry = PARE_GEOMETRY_RELATIVE, .percent = 70});
    pare_plan *plan;
    for (size_t length = 1; length < 20; length++) {
        ASSERT_OK(pare_mask_plan(mask, 1, length, length, &plan));
        for (size_t h = 0; h < 2; h++)
            for (size_t i = 0; i < length; i++)
                for (size_t j = 0; j < length; j++)
                    assert_int_equal(plan_keeps(plan, h, i, j), pare_mask_kept(mask, 1, h, i, j));
        pare_plan_destroy(plan);
    }
    const size_t others[][2] = {{6, 7}, {7, 6}, {1, 2}, {0, 0}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(pare_mask_plan(mask, 0, others[i][0], others[i][1], &plan),
                         PARE_ERROR_ARGUMENT);
        assert_null(plan);
    }
    pare_mask_destroy(mask);
    mask = make_mask(average, (pare_prune_options){.percent = 70});
    ASSERT_OK(pare_mask_plan(mask, 0, 3, 3, &plan)); /* that of its own length */
    assert_int_equal(plan->geometry.queries, 7);
    pare_plan_destroy(plan);
    assert_int_equal(pare_mask_plan(mask, 0, 8, 8, &plan), PARE_ERROR_ARGUMENT);
    expect_message("prune with relative geometry");
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* T7: rows without a kept key attend uniformly to what they may see, never to the future; or to
 * nothing. */
static void test_t7_empty_rows_do_not_see_the_future(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 1, 2, false);
    for (int geometry = PARE_GEOMETRY_CELL; geometry <= PARE_GEOMETRY_DISTANCE; geometry++)
        for (int policy = PARE_EMPTY_ROW_ZERO; policy <= PARE_EMPTY_ROW_UNIFORM; policy++) {
            pare_mask *mask =
                make_mask(average, (pare_prune_options){.geometry = (pare_geometry_kind)geometry,
                                                        .empty_row = (pare_empty_row)policy,
                                                        .percent = 100});
            pare_plan *plan;
            ASSERT_OK(pare_mask_plan(mask, 0, 5, 8, &plan));
            bool uniform = policy == PARE_EMPTY_ROW_UNIFORM;
            for (size_t h = 0; h < 2; h++)
                for (size_t i = 0; i < 5; i++) {
                    assert_int_equal(plan->heads[h]->uniform[i], uniform);
                    for (size_t j = 0; j < 8; j++)
                        assert_int_equal(plan_keeps(plan, h, i, j), uniform && j <= i + 3);
                }
            pare_plan_destroy(plan);
            pare_mask_destroy(mask);
        }
    pare_average_destroy(average);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plans_hold_the_cells_of_the_mask),
        cmocka_unit_test(test_t6_other_geometries_are_refused),
        cmocka_unit_test(test_distances_expand_to_any_shape),
        cmocka_unit_test(test_relative_masks_expand_to_any_length),
        cmocka_unit_test(test_t7_empty_rows_do_not_see_the_future),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
