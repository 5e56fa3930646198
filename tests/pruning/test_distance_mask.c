/* Distance masks: whole (head, distance) classes, against brute force and by hand. */
#include "pruning/synthetic.h"

#include <math.h>

#include "base/safetensors.h"

static const pare_geometry shape = {
    .layers = 2, .heads = 3, .queries = 8, .keys = 13, .causal = true};
#define DISTANCES 13

static const pare_prune_options by_distance = {.geometry = PARE_GEOMETRY_DISTANCE};

static size_t rows_at(size_t distance)
{
    return distance <= 5 ? 8 : 8 - (distance - 5);
}

static void test_golden_distance_averages(void **state)
{
    (void)state;
    pare_average *average;
    ASSERT_OK(
        pare_average_import_npy(PARE_GOLDEN_DIRECTORY "/pruning_average.npy", true, &average));
    const pare_geometry *g = pare_average_geometry(average);
    pri_safetensors *file;
    const pri_stored_tensor *tensor;
    ASSERT_OK(pri_safetensors_open(PARE_GOLDEN_DIRECTORY "/pruning_reference.safetensors", &file));
    ASSERT_OK(pri_safetensors_get(file, "distance_averages", PRI_DATA_F64, 3,
                                  (size_t[]){g->layers, g->heads, g->keys}, &tensor));
    const double *expected = tensor->data;
    for (size_t l = 0; l < g->layers; l++)
        for (size_t h = 0; h < g->heads; h++)
            for (size_t d = 0; d < g->keys; d++) {
                double value = pare_average_at_distance(average, PARE_AVERAGE_VALID, l, h, d);
                assert_true(fabs(value - *expected++) < 1e-15);
            }
    pri_safetensors_close(file);
    pare_average_destroy(average);
}

/* The smallest classes go, one after the other, while they fit into floor(p |C|) cells. */
static void test_masks_equal_brute_force(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 1, 4, false);
    for (int percent = 0; percent <= 100; percent += 7) {
        pare_prune_options options = by_distance;
        options.percent = percent;
        options.empty_row = PARE_EMPTY_ROW_ZERO;
        pare_mask *mask = make_mask(average, options);
        for (size_t l = 0; l < 2; l++) {
            bool pruned[3][DISTANCES] = {{false}};
            size_t budget = 3 * (8 * 6 + 7 + 6 + 5 + 4 + 3 + 2 + 1) * (size_t)percent / 100;
            for (;;) {
                size_t head = 0, distance = 0;
                double smallest = INFINITY;
                for (size_t h = 0; h < 3; h++)
                    for (size_t d = 0; d < DISTANCES; d++) {
                        double value =
                            pare_average_at_distance(average, PARE_AVERAGE_VALID, l, h, d);
                        if (!pruned[h][d] && value < smallest) {
                            smallest = value;
                            head = h;
                            distance = d;
                        }
                    }
                if (isinf(smallest) || rows_at(distance) > budget)
                    break;
                pruned[head][distance] = true;
                budget -= rows_at(distance);
            }
            for (size_t h = 0; h < 3; h++)
                for (size_t d = 0; d < DISTANCES; d++)
                    assert_int_equal(pare_mask_kept_at_distance(mask, l, h, d), !pruned[h][d]);
        }
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

static void test_cells_follow_their_distance(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 2, 3, false);
    pare_prune_options options = by_distance;
    options.percent = 60;
    pare_mask *mask = make_mask(average, options);
    double kept = 0;
    for (size_t l = 0; l < 2; l++)
        for (size_t h = 0; h < 3; h++) {
            /* Any row and column, beyond the observed shape too. */
            for (size_t i = 0; i < 40; i++)
                for (size_t j = 0; j < 60; j++)
                    assert_int_equal(pare_mask_kept(mask, l, h, i, j),
                                     j <= i + 5 &&
                                         pare_mask_kept_at_distance(mask, l, h, i + 5 - j));
            assert_true(pare_mask_kept_at_distance(mask, l, h, DISTANCES)); /* never observed */
            assert_true(pare_mask_kept_at_distance(mask, l, h, SIZE_MAX));
            for (size_t i = 0; i < 8; i++)
                for (size_t j = 0; j < 13; j++)
                    kept += pare_mask_kept(mask, l, h, i, j);
        }
    pare_mask_report report = pare_mask_describe(mask);
    assert_int_equal(report.admissible_cells, 2 * 3 * 76);
    assert_int_equal(report.pruned_cells, 2 * 3 * 76 - (uint64_t)kept);
    assert_true(report.p_admissible <= 60 && report.p_admissible > 60 - 100 * 8 / (3 * 76.0));
    assert_true(fabs(report.p_effective - report.p_admissible) < 1e-10); /* equal lengths */
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void test_masks_nest(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 3, 3, true);
    const pare_scope scopes[] = {PARE_SCOPE_LAYER, PARE_SCOPE_HEAD, PARE_SCOPE_MODEL};
    for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_RANDOM; method++)
        for (size_t s = 0; s < 3; s++) {
            pare_prune_options options = by_distance;
            options.method = (pare_method)method;
            options.scope = scopes[s];
            pare_mask *wider = make_mask(average, options);
            assert_int_equal(pare_mask_describe(wider).pruned_cells, 0);
            for (int percent = 5; percent <= 100; percent += 5) {
                options.percent = percent;
                pare_mask *mask = make_mask(average, options);
                for (size_t l = 0; l < 2; l++)
                    for (size_t h = 0; h < 3; h++)
                        for (size_t d = 0; d < DISTANCES; d++)
                            assert_true(!pare_mask_kept_at_distance(mask, l, h, d) ||
                                        pare_mask_kept_at_distance(wider, l, h, d));
                pare_mask_destroy(wider);
                wider = mask;
            }
            pare_mask_destroy(wider);
        }
    pare_average_destroy(average);
}

static void test_keep_one_saves_every_observed_row(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 4, 3, false);
    pare_prune_options options = by_distance;
    options.percent = 100;
    pare_mask *mask = make_mask(average, options);
    for (size_t l = 0; l < 2; l++)
        for (size_t h = 0; h < 3; h++) {
            size_t kept = 0, which = 0, strongest = 0;
            for (size_t d = 0; d < DISTANCES; d++)
                if (pare_mask_kept_at_distance(mask, l, h, d)) {
                    kept++;
                    which = d;
                }
            /* Row 0 reaches distances 0 .. 5. */
            for (size_t d = 1; d <= 5; d++)
                if (pare_average_at_distance(average, PARE_AVERAGE_VALID, l, h, d) >
                    pare_average_at_distance(average, PARE_AVERAGE_VALID, l, h, strongest))
                    strongest = d;
            assert_int_equal(kept, 1);
            assert_int_equal(which, strongest);
        }
    assert_int_equal(pare_mask_describe(mask).rescued_rows, 2 * 3 * 8);
    pare_mask_destroy(mask);
    options.empty_row = PARE_EMPTY_ROW_ZERO;
    mask = make_mask(average, options);
    assert_true(pare_mask_describe(mask).p_admissible == 100);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* Only distance 8 is strong: rows 0 to 2 do not reach it and need the rescue. */
static void test_keep_one_counts_the_rows_it_saves(void **state)
{
    (void)state;
    pare_geometry g = {.layers = 1, .heads = 1, .queries = 8, .keys = 13, .causal = true};
    pare_average *average;
    ASSERT_OK(pare_average_create(&g, &average));
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j <= i + 5; j++) {
            observer.counts[i * 13 + j] = 1;
            observer.sums[i * 13 + j] = i + 5 - j == 8 ? 0.5 : 0.01;
        }
    pare_average_add_examples(average, 1);
    pare_prune_options options = by_distance;
    options.percent = 94; /* 71 of 76 cells; distance 8 has 5 */
    pare_mask *mask = make_mask(average, options);
    assert_int_equal(pare_mask_describe(mask).rescued_rows, 3);
    assert_true(pare_mask_kept_at_distance(mask, 0, 0, 8));
    assert_true(pare_mask_kept_at_distance(mask, 0, 0, 0)); /* the nearest of equal ones */
    assert_false(pare_mask_kept_at_distance(mask, 0, 0, 1));
    assert_int_equal(pare_mask_describe(mask).pruned_cells, 76 - 5 - 8);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* Equal averages: distances 12, 11, ... go first. They have 1, 2, ... 7, then 8 cells each. */
static void test_ties_prune_the_farthest(void **state)
{
    (void)state;
    pare_geometry g = {.layers = 1, .heads = 1, .queries = 8, .keys = 13, .causal = true};
    pare_average *average;
    ASSERT_OK(pare_average_create(&g, &average));
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j <= i + 5; j++) {
            observer.counts[i * 13 + j] = 1;
            observer.sums[i * 13 + j] = 0.125;
        }
    pare_average_add_examples(average, 1);
    for (size_t cells = 0; cells <= 76; cells++) {
        pare_prune_options options = by_distance;
        options.percent = 100 * (double)cells / 76;
        options.empty_row = PARE_EMPTY_ROW_ZERO;
        pare_mask *mask = make_mask(average, options);
        size_t left = cells, nearest_pruned = DISTANCES;
        while (nearest_pruned > 0 && rows_at(nearest_pruned - 1) <= left)
            left -= rows_at(--nearest_pruned);
        for (size_t d = 0; d < DISTANCES; d++)
            assert_int_equal(pare_mask_kept_at_distance(mask, 0, 0, d), d < nearest_pruned);
        assert_int_equal(pare_mask_describe(mask).pruned_cells, cells - left);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

static void test_unknown_distances_are_kept(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 0, 0, false);
    observe_sequence(average, 1, 4, 5); /* distances 0 .. 4 only */
    pare_prune_options options = by_distance;
    options.percent = 100;
    options.empty_row = PARE_EMPTY_ROW_ZERO;
    pare_mask *mask = make_mask(average, options);
    for (size_t d = 0; d < DISTANCES; d++)
        assert_int_equal(pare_mask_kept_at_distance(mask, 0, 0, d), d >= 5);
    assert_true(pare_mask_describe(mask).p_effective == 100);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void test_windows_end_the_distances(void **state)
{
    (void)state;
    pare_geometry windowed = shape;
    windowed.window = 4;
    pare_average *average = make_average(windowed, 1, 2, false);
    pare_mask *mask = make_mask(average, by_distance);
    for (size_t d = 0; d < 20; d++)
        assert_int_equal(pare_mask_kept_at_distance(mask, 0, 0, d), d < 4);
    assert_int_equal(pare_mask_describe(mask).admissible_cells, 2 * 3 * 8 * 4);
    assert_int_equal(pare_mask_describe(mask).pruned_cells, 0);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* The control prunes as many cells as attention pruning, up to one class per layer. */
static void test_random_control_prunes_as_much(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 5, 3, false);
    pare_prune_options options = by_distance;
    options.percent = 50;
    options.empty_row = PARE_EMPTY_ROW_ZERO;
    pare_mask *pruned = make_mask(average, options);
    options.method = PARE_METHOD_RANDOM;
    for (uint64_t seed = 0; seed < 10; seed++) {
        options.seed = seed;
        pare_mask *first = make_mask(average, options), *again = make_mask(average, options);
        double difference = (double)pare_mask_describe(first).pruned_cells -
                            (double)pare_mask_describe(pruned).pruned_cells;
        assert_true(fabs(difference) < 2 * 8);
        for (size_t d = 0; d < DISTANCES; d++)
            assert_int_equal(pare_mask_kept_at_distance(first, 1, 2, d),
                             pare_mask_kept_at_distance(again, 1, 2, d));
        pare_mask_destroy(first);
        pare_mask_destroy(again);
    }
    pare_mask_destroy(pruned);
    pare_average_destroy(average);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_distance_averages),
        cmocka_unit_test(test_masks_equal_brute_force),
        cmocka_unit_test(test_cells_follow_their_distance),
        cmocka_unit_test(test_masks_nest),
        cmocka_unit_test(test_keep_one_saves_every_observed_row),
        cmocka_unit_test(test_keep_one_counts_the_rows_it_saves),
        cmocka_unit_test(test_ties_prune_the_farthest),
        cmocka_unit_test(test_unknown_distances_are_kept),
        cmocka_unit_test(test_windows_end_the_distances),
        cmocka_unit_test(test_random_control_prunes_as_much),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
