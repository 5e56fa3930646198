/* Cell masks against brute force, golden data and the oracles 1 to 3 and 9 of pruning. Names with T
 * or F are traps of docs/reproducing.md. */
#include "pruning/synthetic.h"

#include <math.h>

#include "base/safetensors.h"

static const pare_geometry shapes[] = {
    {.layers = 2, .heads = 3, .queries = 7, .keys = 11, .causal = true},
    {.layers = 1, .heads = 2, .queries = 9, .keys = 9, .causal = true},
    {.layers = 2, .heads = 2, .queries = 6, .keys = 12, .causal = true, .window = 7},
    {.layers = 2, .heads = 2, .queries = 5, .keys = 8},
    {.layers = 2, .heads = 2, .queries = 9, .keys = 9},
    {.layers = 1, .heads = 3, .queries = 8, .keys = 8, .ends_first = true},
};
#define SHAPES (sizeof shapes / sizeof *shapes)
static const double percents[] = {0, 3.7, 20, 50, 57.3, 90, 99, 100};
#define PERCENTS (sizeof percents / sizeof *percents)

/* ---- Brute force: sort all candidates of a group, prune the first ---- */

typedef struct candidate {
    double value;
    size_t order, layer, head, row, column;
} candidate;

static int compare_candidates(const void *left, const void *right)
{
    const candidate *a = left, *b = right;
    if (a->value < b->value || a->value > b->value)
        return a->value < b->value ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

static bool in_group(pare_scope scope, size_t group, const pare_geometry *g, const candidate *c)
{
    size_t head = c->layer * g->heads + c->head;
    switch (scope) {
    case PARE_SCOPE_LAYER:
        return c->layer == group;
    case PARE_SCOPE_HEAD:
        return head == group;
    case PARE_SCOPE_ROW:
        return head * g->queries + c->row == group;
    default:
        return group == 0;
    }
}

/* kept[] of every cell, as the header defines it, without a policy for empty rows. */
static uint8_t *brute_force(const pare_average *average, pare_prune_options options)
{
    const pare_geometry *g = pare_average_geometry(average);
    size_t cells = g->layers * g->heads * g->queries * g->keys, count = 0;
    uint8_t *kept = calloc(cells, 1);
    candidate *all = calloc(cells, sizeof *all), *some = calloc(cells, sizeof *some);
    assert_true(kept && all && some);
    FOR_CELLS(g)
    {
        size_t order = ((l * g->heads + h) * g->queries + i) * g->keys + j;
        kept[order] = is_admissible(g, i, j);
        double value = pare_average_value(average, options.average, l, h, i, j);
        if (!isnan(value))
            all[count++] = (candidate){value, order, l, h, i, j};
    }
    for (size_t group = 0; group < g->layers * g->heads * g->queries; group++) {
        size_t members = 0;
        for (size_t c = 0; c < count; c++)
            if (in_group(options.scope, group, g, &all[c]))
                some[members++] = all[c];
        qsort(some, members, sizeof *some, compare_candidates);
        /* Tenths of a percent are all that these tests use. */
        size_t pruned = (size_t)llround(options.percent * 10) * members / 1000;
        for (size_t c = 0; c < pruned; c++)
            kept[some[c].order] = 0;
    }
    free(all);
    free(some);
    return kept;
}

static void test_masks_equal_brute_force(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        pare_average *average = make_average(shapes[s], s, 3, true);
        for (int scope = PARE_SCOPE_LAYER; scope <= PARE_SCOPE_MODEL; scope++)
            for (int kind = PARE_AVERAGE_VALID; kind <= PARE_AVERAGE_MASS; kind++)
                for (size_t p = 0; p < PERCENTS; p++) {
                    pare_prune_options options = {.average = (pare_average_kind)kind,
                                                  .scope = (pare_scope)scope,
                                                  .empty_row = PARE_EMPTY_ROW_ZERO,
                                                  .percent = percents[p]};
                    pare_mask *mask = make_mask(average, options);
                    uint8_t *expected = brute_force(average, options);
                    size_t cell = 0;
                    FOR_CELLS(&shapes[s])
                    assert_int_equal(pare_mask_kept(mask, l, h, i, j), expected[cell++]);
                    free(expected);
                    pare_mask_destroy(mask);
                }
        pare_average_destroy(average);
    }
}

/* ---- Golden data of NumPy ---- */

typedef struct golden {
    pri_safetensors *file;
    pare_average *average;
} golden;

static golden open_golden(void)
{
    golden opened;
    ASSERT_OK(pare_average_import_npy(PARE_GOLDEN_DIRECTORY "/pruning_average.npy", true,
                                      &opened.average));
    ASSERT_OK(
        pri_safetensors_open(PARE_GOLDEN_DIRECTORY "/pruning_reference.safetensors", &opened.file));
    return opened;
}

static void close_golden(golden opened)
{
    pare_average_destroy(opened.average);
    pri_safetensors_close(opened.file);
}

static void assert_golden(golden opened, pare_prune_options options, const char *rule)
{
    const pare_geometry *g = pare_average_geometry(opened.average);
    char name[32];
    snprintf(name, sizeof name, "%s_%d", rule, (int)options.percent);
    const pri_stored_tensor *tensor;
    ASSERT_OK(pri_safetensors_get(opened.file, name, PRI_DATA_U8, 4,
                                  (size_t[]){g->layers, g->heads, g->queries, g->keys}, &tensor));
    pare_mask *mask = make_mask(opened.average, options);
    const uint8_t *expected = tensor->data;
    FOR_CELLS(g)
    assert_int_equal(pare_mask_kept(mask, l, h, i, j), *expected++);
    pare_mask_destroy(mask);
}

static void test_golden_masks(void **state)
{
    (void)state;
    golden opened = open_golden();
    const char *scopes[] = {"layer", "head", "row", "model"};
    for (int scope = 0; scope < 4; scope++)
        for (int percent = 0; percent <= 100; percent += 10)
            assert_golden(opened,
                          (pare_prune_options){.scope = (pare_scope)scope,
                                               .empty_row = PARE_EMPTY_ROW_ZERO,
                                               .percent = percent},
                          scopes[scope]);
    close_golden(opened);
}

/* Oracles 1 and 3: the reference's rule, p = 0 included, where exactly the minima go. */
static void test_golden_compat_masks(void **state)
{
    (void)state;
    golden opened = open_golden();
    for (int percent = 0; percent <= 100; percent += 10)
        assert_golden(opened,
                      (pare_prune_options){.method = PARE_METHOD_COMPAT,
                                           .empty_row = PARE_EMPTY_ROW_ZERO,
                                           .percent = percent},
                      "compat");
    close_golden(opened);
}

/* ---- Oracle 1 and 2 ---- */

static void test_zero_percent_keeps_everything(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        pare_average *average = make_average(shapes[s], s, 2, true);
        for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_RANDOM; method++) {
            pare_mask *mask =
                make_mask(average, (pare_prune_options){.method = (pare_method)method});
            FOR_CELLS(&shapes[s])
            assert_int_equal(pare_mask_kept(mask, l, h, i, j), is_admissible(&shapes[s], i, j));
            pare_mask_report report = pare_mask_describe(mask);
            assert_int_equal(report.pruned_cells, 0);
            assert_true(report.p_admissible == 0 && report.p_effective == 0);
            assert_true(report.kept_mass == 100);
            pare_mask_destroy(mask);
        }
        pare_average_destroy(average);
    }
}

static void test_masks_nest_and_kept_mass_falls(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++)
        for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_COMPAT; method++)
            for (int policy = PARE_EMPTY_ROW_KEEP_ONE; policy <= PARE_EMPTY_ROW_ZERO; policy++) {
                pare_average *average = make_average(shapes[s], s, 3, true);
                pare_prune_options options = {
                    .method = (pare_method)method, .empty_row = (pare_empty_row)policy, .seed = 3};
                pare_mask *wider = make_mask(average, options);
                for (size_t p = 1; p < PERCENTS; p++) {
                    options.percent = percents[p];
                    pare_mask *mask = make_mask(average, options);
                    FOR_CELLS(&shapes[s])
                    assert_true(!pare_mask_kept(mask, l, h, i, j) ||
                                pare_mask_kept(wider, l, h, i, j));
                    assert_true(pare_mask_describe(mask).kept_mass <=
                                pare_mask_describe(wider).kept_mass);
                    pare_mask_destroy(wider);
                    wider = mask;
                }
                pare_mask_destroy(wider);
                pare_average_destroy(average);
            }
}

/* Of all masks of one size, attention pruning keeps the most mass: the random ones keep less. */
static void test_kept_mass_is_the_largest(void **state)
{
    (void)state;
    pare_average *average = make_average(shapes[0], 4, 5, false);
    for (size_t p = 1; p + 1 < PERCENTS; p++) {
        pare_prune_options options = {.percent = percents[p], .empty_row = PARE_EMPTY_ROW_ZERO};
        pare_mask *pruned = make_mask(average, options);
        for (uint64_t seed = 0; seed < 20; seed++) {
            options.method = PARE_METHOD_RANDOM;
            options.seed = seed;
            pare_mask *random = make_mask(average, options);
            assert_int_equal(pare_mask_describe(random).pruned_cells,
                             pare_mask_describe(pruned).pruned_cells);
            assert_true(pare_mask_describe(random).kept_mass <
                        pare_mask_describe(pruned).kept_mass);
            pare_mask_destroy(random);
        }
        pare_mask_destroy(pruned);
    }
    pare_average_destroy(average);
}

/* ---- The report, counted again from the mask ---- */

/* pare_mask_kept_mass, counted again. */
static void assert_layers_keep(const pare_mask *mask, const pare_average *average)
{
    const pare_geometry *g = pare_mask_geometry(mask);
    double kept[2] = {0}, all[2] = {0};
    FOR_CELLS(g)
    {
        double count = (double)pare_average_count(average, i, j);
        double sum =
            count > 0 ? pare_average_value(average, PARE_AVERAGE_VALID, l, h, i, j) * count : 0;
        all[l] += sum;
        kept[l] += pare_mask_kept(mask, l, h, i, j) ? sum : 0;
    }
    for (size_t l = 0; l < g->layers; l++)
        assert_true(fabs(pare_mask_kept_mass(mask, average, l) - 100 * kept[l] / all[l]) < 1e-10);
    assert_true(isnan(pare_mask_kept_mass(mask, average, g->layers)));
}

static void test_report_is_what_the_mask_does(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        pare_average *average = make_average(shapes[s], s, 4, true);
        const pare_geometry *g = &shapes[s];
        pare_mask *mask = make_mask(average, (pare_prune_options){.percent = 80});
        double admissible = 0, kept = 0, seen = 0, kept_seen = 0, mass = 0, kept_mass = 0;
        FOR_CELLS(g)
        {
            if (!is_admissible(g, i, j))
                continue;
            double count = (double)pare_average_count(average, i, j);
            double sum =
                count > 0 ? pare_average_value(average, PARE_AVERAGE_VALID, l, h, i, j) * count : 0;
            bool stays = pare_mask_kept(mask, l, h, i, j);
            admissible++;
            seen += count;
            mass += sum;
            kept += stays;
            kept_seen += stays ? count : 0;
            kept_mass += stays ? sum : 0;
        }
        double rectangle = (double)(g->layers * g->heads * g->queries * g->keys);
        pare_mask_report report = pare_mask_describe(mask);
        assert_true(report.p_requested == 80);
        assert_int_equal(report.admissible_cells, (uint64_t)admissible);
        assert_int_equal(report.pruned_cells, (uint64_t)(admissible - kept));
        assert_true(fabs(report.p_nominal - 100 * (1 - kept / rectangle)) < 1e-10);
        assert_true(fabs(report.p_admissible - 100 * (1 - kept / admissible)) < 1e-10);
        assert_true(fabs(report.p_effective - 100 * (1 - kept_seen / seen)) < 1e-10);
        assert_true(fabs(report.kept_mass - 100 * kept_mass / mass) < 1e-10);
        assert_layers_keep(mask, average);
        assert_string_equal(report.corpus, "synthetic");
        double shares = 0;
        for (size_t l = 0; l < g->layers; l++)
            for (size_t h = 0; h < g->heads; h++)
                shares += pare_mask_kept_share(mask, l, h);
        assert_true(fabs(100 * (1 - shares / (double)(g->layers * g->heads)) -
                         report.p_admissible) < 1e-10);
        pare_mask_destroy(mask);
        pare_average_destroy(average);
    }
}

/* T4, F7: with the future in the percentile, 40% of a causal square prunes next to nothing; here it
 * prunes 40% of what the model may use. */
static void test_t4_f7_the_future_is_not_counted(void **state)
{
    (void)state;
    pare_geometry square = {.layers = 1, .heads = 2, .queries = 20, .keys = 20, .causal = true};
    pare_average *average = make_average(square, 1, 3, false);
    pare_mask *mask = make_mask(average, (pare_prune_options){.percent = 40});
    pare_mask *compat =
        make_mask(average, (pare_prune_options){.method = PARE_METHOD_COMPAT, .percent = 40});
    assert_int_equal(pare_mask_describe(mask).pruned_cells + pare_mask_describe(mask).rescued_rows,
                     2 * 210 * 40 / 100);
    assert_int_equal(pare_mask_describe(compat).pruned_cells, 0);
    assert_true(fabs(pare_mask_describe(compat).p_nominal - 47.5) < 1e-12);
    pare_mask_destroy(mask);
    pare_mask_destroy(compat);
    pare_average_destroy(average);
}

/* T4 in numbers: what the reference's rule really prunes of a Transformer-XL with 150 + 150 keys,
 * where 24.83% of the rectangle is future. 20% are nothing at all. */
static void test_t4_nominal_and_admissible_percent(void **state)
{
    (void)state;
    pare_geometry g = {.layers = 1, .heads = 2, .queries = 150, .keys = 300, .causal = true};
    pare_average *average = make_average(g, 1, 1, false);
    const double nominal[] = {20, 40, 60, 80, 90}, admissible[] = {0, 20.2, 46.8, 73.4, 86.7};
    for (size_t p = 0; p < 5; p++) {
        pare_mask *mask = make_mask(average, (pare_prune_options){.method = PARE_METHOD_COMPAT,
                                                                  .empty_row = PARE_EMPTY_ROW_ZERO,
                                                                  .percent = nominal[p]});
        pare_mask_report report = pare_mask_describe(mask);
        assert_true(fabs(report.p_admissible - admissible[p]) < 0.05);
        assert_true(fabs(report.p_nominal - (nominal[p] < 24.8 ? 24.83 : nominal[p])) < 0.01);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

/* F5: cells that no example reached are kept, by every method. */
static void test_f5_unknown_cells_are_kept(void **state)
{
    (void)state;
    pare_geometry g = {.layers = 1, .heads = 2, .queries = 6, .keys = 6};
    pare_average *average = make_average(g, 0, 0, false);
    observe_sequence(average, 1, 3, 4);
    for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_COMPAT; method++) {
        pare_mask *mask =
            make_mask(average, (pare_prune_options){.method = (pare_method)method, .percent = 100});
        size_t kept = 0;
        FOR_CELLS(&g)
        {
            bool observed = i < 3 && j < 4;
            assert_true(observed || pare_mask_kept(mask, l, h, i, j));
            kept += observed && pare_mask_kept(mask, l, h, i, j);
        }
        /* No sequence has the unknown columns, so they save no row. */
        assert_int_equal(kept, 2 * 3);
        assert_int_equal(pare_mask_describe(mask).rescued_rows, 2 * 3);
        assert_true(pare_mask_describe(mask).p_effective == 75);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

/* ---- Empty rows ---- */

/* Columns of which a row keeps one: of an encoder those of the shortest sequence with the row. */
static size_t guarded_columns(const pare_geometry *g, size_t row)
{
    return !g->causal && g->queries == g->keys ? row + 1 : g->keys;
}

static void test_keep_one_keeps_the_strongest(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        pare_average *average = make_average(shapes[s], s, 3, false);
        const pare_geometry *g = &shapes[s];
        pare_mask *mask = make_mask(average, (pare_prune_options){.percent = 100});
        for (size_t l = 0; l < g->layers; l++)
            for (size_t h = 0; h < g->heads; h++)
                for (size_t i = 0; i < g->queries; i++) {
                    size_t kept = 0, which = 0;
                    double strongest = -1;
                    for (size_t j = 0; j < g->keys; j++) {
                        double value = pare_average_value(average, PARE_AVERAGE_VALID, l, h, i, j);
                        if (j < guarded_columns(g, i) && value > strongest)
                            strongest = value;
                        if (pare_mask_kept(mask, l, h, i, j)) {
                            kept++;
                            which = j;
                        }
                    }
                    assert_int_equal(kept, 1);
                    assert_true(pare_average_value(average, PARE_AVERAGE_VALID, l, h, i, which) ==
                                strongest);
                }
        pare_mask_report report = pare_mask_describe(mask);
        uint64_t rows = g->layers * g->heads * g->queries;
        assert_int_equal(report.rescued_rows, rows);
        assert_int_equal(report.pruned_cells, report.admissible_cells - rows);
        assert_true(report.p_admissible < 100);
        pare_mask_destroy(mask);
        pare_average_destroy(average);
    }
}

/* All averages equal: what goes last is the last column that the row may see. */
static void test_ties_break_by_position(void **state)
{
    (void)state;
    pare_geometry g = {.layers = 1, .heads = 2, .queries = 3, .keys = 4};
    pare_average *average;
    ASSERT_OK(pare_average_create(&g, &average));
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t cell = 0; cell < 24; cell++)
        observer.sums[cell] = 0.25;
    for (size_t cell = 0; cell < 12; cell++)
        observer.counts[cell] = 1;
    pare_average_add_examples(average, 1);
    for (size_t pruned = 0; pruned <= 24; pruned++) {
        pare_mask *mask =
            make_mask(average, (pare_prune_options){.empty_row = PARE_EMPTY_ROW_ZERO,
                                                    .percent = 100 * (double)pruned / 24});
        size_t cell = 0;
        FOR_CELLS(&g)
        assert_int_equal(pare_mask_kept(mask, l, h, i, j), cell++ >= pruned);
        pare_mask_destroy(mask);
    }
    pare_mask *mask = make_mask(average, (pare_prune_options){.percent = 100});
    FOR_CELLS(&g)
    assert_int_equal(pare_mask_kept(mask, l, h, i, j), j == 3);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void test_other_policies_leave_rows_empty(void **state)
{
    (void)state;
    pare_average *average = make_average(shapes[0], 1, 2, false);
    for (int policy = PARE_EMPTY_ROW_ZERO; policy <= PARE_EMPTY_ROW_UNIFORM; policy++) {
        pare_mask *mask = make_mask(
            average, (pare_prune_options){.empty_row = (pare_empty_row)policy, .percent = 100});
        FOR_CELLS(&shapes[0])
        assert_false(pare_mask_kept(mask, l, h, i, j));
        assert_true(pare_mask_describe(mask).p_admissible == 100);
        assert_true(pare_mask_describe(mask).p_nominal == 100);
        assert_true(pare_mask_describe(mask).kept_mass == 0);
        assert_int_equal(pare_mask_describe(mask).rescued_rows, 0);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

/* ---- Oracle 9: the random control ---- */

static void test_random_masks_depend_on_the_seed_only(void **state)
{
    (void)state;
    pare_average *average = make_average(shapes[0], 1, 2, false);
    pare_average *other = make_average(shapes[0], 2, 2, false);
    pare_prune_options options = {
        .method = PARE_METHOD_RANDOM, .empty_row = PARE_EMPTY_ROW_ZERO, .percent = 50, .seed = 9};
    pare_mask *first = make_mask(average, options), *again = make_mask(other, options);
    options.seed = 10;
    pare_mask *second = make_mask(average, options);
    size_t differences = 0, kept_both = 0, kept = 0;
    FOR_CELLS(&shapes[0])
    {
        bool here = pare_mask_kept(first, l, h, i, j);
        assert_int_equal(here, pare_mask_kept(again, l, h, i, j));
        differences += here != pare_mask_kept(second, l, h, i, j);
        kept_both += here && pare_mask_kept(second, l, h, i, j);
        kept += here;
    }
    /* Independent halves of 336 cells share a quarter: 84, standard deviation about 5. */
    assert_true(differences > 0);
    assert_int_equal(kept, 168);
    assert_true(kept_both > 60 && kept_both < 108);
    pare_mask_destroy(first);
    pare_mask_destroy(again);
    pare_mask_destroy(second);
    pare_average_destroy(average);
    pare_average_destroy(other);
}

/* Every candidate is drawn as often as any other: 600 draws of probability 0.3, 5 sigma. */
static void test_random_masks_are_uniform(void **state)
{
    (void)state;
    pare_geometry g = {.layers = 1, .heads = 2, .queries = 5, .keys = 5, .causal = true};
    pare_average *average = make_average(g, 1, 2, false);
    unsigned pruned[50] = {0};
    for (uint64_t seed = 0; seed < 600; seed++) {
        pare_mask *mask = make_mask(average, (pare_prune_options){.method = PARE_METHOD_RANDOM,
                                                                  .empty_row = PARE_EMPTY_ROW_ZERO,
                                                                  .percent = 30,
                                                                  .seed = seed});
        FOR_CELLS(&g)
        pruned[(h * 5 + i) * 5 + j] += !pare_mask_kept(mask, l, h, i, j);
        pare_mask_destroy(mask);
    }
    FOR_CELLS(&g)
    if (is_admissible(&g, i, j))
        assert_true(fabs((double)pruned[(h * 5 + i) * 5 + j] - 180) < 5 * sqrt(600 * 0.3 * 0.7));
    pare_average_destroy(average);
}

/* ---- Layers and refusals ---- */

static void test_layers_can_be_left_out(void **state)
{
    (void)state;
    pare_average *average = make_average(shapes[0], 1, 2, false);
    const uint8_t only_second[] = {0, 1};
    for (int scope = PARE_SCOPE_LAYER; scope <= PARE_SCOPE_MODEL; scope++) {
        pare_mask *mask = make_mask(average, (pare_prune_options){.scope = (pare_scope)scope,
                                                                  .percent = 60,
                                                                  .layers_to_prune = only_second});
        assert_true(pare_mask_kept_share(mask, 0, 1) == 1);
        assert_true(pare_mask_describe(mask).p_admissible > 25);
        assert_true(pare_mask_describe(mask).p_admissible <= 30);
        assert_null(pare_mask_describe(mask).options.layers_to_prune);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

static void test_impossible_options_are_refused(void **state)
{
    (void)state;
    pare_average *average = make_average(shapes[0], 1, 1, false);
    pare_average *plain = make_average(shapes[3], 1, 1, false);
    pare_mask *mask;
    const double wrong[] = {NAN, -0.1, 100.1, INFINITY, -INFINITY};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        pare_prune_options options = {.percent = wrong[i]};
        assert_int_equal(pare_mask_create(average, &options, &mask), PARE_ERROR_ARGUMENT);
        assert_null(mask);
        expect_message("from 0 to 100");
    }
    const pare_prune_options bad[] = {
        {.geometry = PARE_GEOMETRY_DISTANCE, .scope = PARE_SCOPE_ROW},
        {.method = PARE_METHOD_COMPAT, .scope = PARE_SCOPE_HEAD},
        {.method = PARE_METHOD_COMPAT, .geometry = PARE_GEOMETRY_DISTANCE},
        {.method = PARE_METHOD_COMPAT, .geometry = PARE_GEOMETRY_RELATIVE},
        {.method = PARE_METHOD_COMPAT, .block = 16},
        {.geometry = PARE_GEOMETRY_RELATIVE, .scope = PARE_SCOPE_ROW},
        {.geometry = PARE_GEOMETRY_RELATIVE, .block = 16},
        {.geometry = PARE_GEOMETRY_DISTANCE, .block = 2},
        {.geometry = (pare_geometry_kind)3},
        {.block = 3},
        {.block = 256},
        {.block = SIZE_MAX},
        {.method = (pare_method)3},
        {.scope = (pare_scope)-1},
        {.empty_row = (pare_empty_row)7},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(pare_mask_create(average, &bad[i], &mask), PARE_ERROR_ARGUMENT);
    pare_prune_options distance = {.geometry = PARE_GEOMETRY_DISTANCE};
    assert_int_equal(pare_mask_create(plain, &distance, &mask), PARE_ERROR_ARGUMENT);
    expect_message("causal");
    pare_prune_options relative = {.geometry = PARE_GEOMETRY_RELATIVE};
    assert_int_equal(pare_mask_create(plain, &relative, &mask), PARE_ERROR_ARGUMENT);
    expect_message("ends of a sequence come first");
    pare_average_destroy(plain);
    ASSERT_OK(pare_average_create(&shapes[3], &plain));
    pare_prune_options fine = {.percent = 50};
    assert_int_equal(pare_mask_create(plain, &fine, &mask), PARE_ERROR_ARGUMENT);
    expect_message("no examples");
    pare_average_destroy(plain);
    pare_average_destroy(average);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks_equal_brute_force),
        cmocka_unit_test(test_golden_masks),
        cmocka_unit_test(test_golden_compat_masks),
        cmocka_unit_test(test_zero_percent_keeps_everything),
        cmocka_unit_test(test_masks_nest_and_kept_mass_falls),
        cmocka_unit_test(test_kept_mass_is_the_largest),
        cmocka_unit_test(test_report_is_what_the_mask_does),
        cmocka_unit_test(test_t4_f7_the_future_is_not_counted),
        cmocka_unit_test(test_t4_nominal_and_admissible_percent),
        cmocka_unit_test(test_f5_unknown_cells_are_kept),
        cmocka_unit_test(test_keep_one_keeps_the_strongest),
        cmocka_unit_test(test_ties_break_by_position),
        cmocka_unit_test(test_other_policies_leave_rows_empty),
        cmocka_unit_test(test_random_masks_depend_on_the_seed_only),
        cmocka_unit_test(test_random_masks_are_uniform),
        cmocka_unit_test(test_layers_can_be_left_out),
        cmocka_unit_test(test_impossible_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
