/* Relative masks of encoders: whole classes against brute force over pare_average_value, at any
 * length. Tokens are named as in a sentence here; coordinates have the ends first. */
#include "pruning/synthetic.h"

#include <math.h>

enum { LENGTH = 9, INNER = LENGTH - 2, CLASSES = 4 + 2 * INNER - 1, HEADS = 3, LAYERS = 2 };

static const pare_geometry shape = {
    .layers = LAYERS, .heads = HEADS, .queries = LENGTH, .keys = LENGTH, .ends_first = true};
static const pare_prune_options by_class = {.geometry = PARE_GEOMETRY_RELATIVE};

/* The classes in words, worst to prune last: columns of first and last token, their rows, then
 * distances 0, -1, 1, -2, 2, ... */
static size_t name_class(size_t row, size_t column)
{
    if (column == 0 || column == 1)
        return column;
    if (row == 0 || row == 1)
        return 2 + row;
    long distance = (long)column - (long)row;
    return (size_t)(distance < 0 ? 4 - 2 * distance - 1 : 4 + 2 * distance);
}

typedef struct class_facts {
    size_t cells, occurrences;
    double sum;
} class_facts;

static void collect(const pare_average *average, size_t layer, size_t head,
                    class_facts facts[CLASSES])
{
    memset(facts, 0, CLASSES * sizeof *facts);
    for (size_t i = 0; i < LENGTH; i++)
        for (size_t j = 0; j < LENGTH; j++) {
            size_t count = pare_average_count(average, i, j);
            class_facts *fact = &facts[name_class(i, j)];
            fact->cells += count > 0;
            fact->occurrences += count;
            if (count)
                fact->sum += (double)count *
                             pare_average_value(average, PARE_AVERAGE_VALID, layer, head, i, j);
        }
}

static double average_of(const class_facts *fact, pare_average_kind kind, uint64_t examples)
{
    return kind == PARE_AVERAGE_VALID ? fact->sum / (double)fact->occurrences
                                      : fact->sum / (double)fact->cells / (double)examples;
}

/* Prunes the smallest class of a group of heads until the next would exceed the share. */
static void prune_by_hand(const pare_average *average, pare_prune_options options,
                          bool kept[LAYERS * HEADS][CLASSES])
{
    static class_facts facts[LAYERS * HEADS][CLASSES];
    size_t group = options.scope == PARE_SCOPE_HEAD    ? 1
                   : options.scope == PARE_SCOPE_LAYER ? HEADS
                                                       : LAYERS * HEADS;
    for (size_t h = 0; h < LAYERS * HEADS; h++) {
        collect(average, h / HEADS, h % HEADS, facts[h]);
        for (size_t c = 0; c < CLASSES; c++)
            kept[h][c] = true;
    }
    for (size_t first = 0; first < LAYERS * HEADS; first += group) {
        size_t candidates = 0;
        for (size_t h = first; h < first + group; h++)
            for (size_t c = 0; c < CLASSES; c++)
                candidates += facts[h][c].cells;
        size_t budget = (size_t)options.percent * candidates / 100;
        for (;;) {
            size_t head = 0, smallest = CLASSES;
            double least = INFINITY;
            for (size_t h = first; h < first + group; h++)
                for (size_t c = CLASSES; c-- > 0;) {
                    double value =
                        average_of(&facts[h][c], options.average, pare_average_examples(average));
                    if (kept[h][c] && facts[h][c].cells && value < least) {
                        least = value;
                        head = h;
                        smallest = c;
                    }
                }
            if (smallest == CLASSES || facts[head][smallest].cells > budget)
                break;
            budget -= facts[head][smallest].cells;
            kept[head][smallest] = false;
        }
    }
}

static void test_masks_equal_brute_force(void **state)
{
    (void)state;
    const pare_scope scopes[] = {PARE_SCOPE_LAYER, PARE_SCOPE_HEAD, PARE_SCOPE_MODEL};
    for (size_t ragged = 0; ragged < 2; ragged++) {
        pare_average *average = make_average(shape, 5 + ragged, ragged ? 0 : 4, false);
        for (size_t length = 2; ragged && length < LENGTH; length++) /* never the longest */
            observe_sequence(average, length, length, length);
        for (int kind = PARE_AVERAGE_VALID; kind <= PARE_AVERAGE_MASS; kind++)
            for (size_t s = 0; s < 3; s++)
                for (int percent = 0; percent <= 100; percent += 9) {
                    pare_prune_options options = by_class;
                    options.average = (pare_average_kind)kind;
                    options.scope = scopes[s];
                    options.percent = percent;
                    options.empty_row = PARE_EMPTY_ROW_ZERO;
                    bool kept[LAYERS * HEADS][CLASSES];
                    prune_by_hand(average, options, kept);
                    pare_mask *mask = make_mask(average, options);
                    FOR_CELLS(&shape)
                    assert_int_equal(pare_mask_kept(mask, l, h, i, j),
                                     kept[l * HEADS + h][name_class(i, j)]);
                    pare_mask_destroy(mask);
                }
        pare_average_destroy(average);
    }
}

/* A cell of a sequence of any length belongs to its class, what was never observed stays. */
static void test_cells_follow_their_class(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 3, 3, false);
    pare_prune_options options = by_class;
    options.percent = 60;
    options.empty_row = PARE_EMPTY_ROW_ZERO;
    bool kept[LAYERS * HEADS][CLASSES];
    prune_by_hand(average, options, kept);
    pare_mask *mask = make_mask(average, options);
    for (size_t h = 0; h < LAYERS * HEADS; h++) {
        for (size_t i = 0; i < 40; i++)
            for (size_t j = 0; j < 40; j++) {
                size_t named = name_class(i, j);
                assert_int_equal(pare_mask_kept(mask, h / HEADS, h % HEADS, i, j),
                                 named >= CLASSES || kept[h][named]);
            }
        assert_true(pare_mask_kept(mask, h / HEADS, h % HEADS, 2, SIZE_MAX));
        assert_true(pare_mask_kept(mask, h / HEADS, h % HEADS, SIZE_MAX, 2));
        assert_int_equal(pare_mask_kept(mask, h / HEADS, h % HEADS, SIZE_MAX, 1), kept[h][1]);
        assert_int_equal(pare_mask_kept(mask, h / HEADS, h % HEADS, 0, SIZE_MAX), kept[h][2]);
    }
    assert_false(pare_mask_kept(mask, LAYERS, 0, 0, 0));
    assert_false(pare_mask_kept(mask, 0, HEADS, 0, 0));
    assert_false(pare_mask_kept_at_distance(mask, 0, 0, 1)); /* no distance geometry */
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* The distances of a length that no sequence had are kept, at every percentage. */
static void test_unobserved_classes_are_kept(void **state)
{
    (void)state;
    for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_RANDOM; method++) {
        pare_average *average = make_average(shape, 0, 0, false);
        observe_sequence(average, 1, 5, 5);
        pare_prune_options options = {.geometry = PARE_GEOMETRY_RELATIVE,
                                      .method = (pare_method)method,
                                      .empty_row = PARE_EMPTY_ROW_ZERO,
                                      .percent = 100};
        pare_mask *mask = make_mask(average, options);
        /* Five tokens have three inner ones: distances -2 .. 2. */
        FOR_CELLS(&shape)
        assert_int_equal(pare_mask_kept(mask, l, h, i, j), name_class(i, j) > 4 + 2 * 2);
        assert_true(pare_mask_describe(mask).p_effective == 100);
        pare_mask_destroy(mask);
        pare_average_destroy(average);
    }
}

static void test_report_counts_cells(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 4, 5, true);
    pare_prune_options options = by_class;
    options.percent = 70;
    pare_mask *mask = make_mask(average, options);
    double kept = 0, seen = 0, kept_seen = 0, mass = 0, kept_mass = 0;
    FOR_CELLS(&shape)
    {
        double count = (double)pare_average_count(average, i, j);
        double sum =
            count > 0 ? count * pare_average_value(average, PARE_AVERAGE_VALID, l, h, i, j) : 0;
        bool stays = pare_mask_kept(mask, l, h, i, j);
        kept += stays;
        seen += count;
        kept_seen += stays ? count : 0;
        mass += sum;
        kept_mass += stays ? sum : 0;
    }
    double cells = LAYERS * HEADS * LENGTH * LENGTH, shares = 0;
    for (size_t h = 0; h < LAYERS * HEADS; h++)
        shares += pare_mask_kept_share(mask, h / HEADS, h % HEADS) / (LAYERS * HEADS);
    pare_mask_report report = pare_mask_describe(mask);
    assert_int_equal(report.admissible_cells, (uint64_t)cells);
    assert_int_equal(report.pruned_cells, (uint64_t)(cells - kept));
    assert_true(fabs(report.p_nominal - 100 * (1 - kept / cells)) < 1e-10);
    assert_true(fabs(report.p_admissible - 100 * (1 - shares)) < 1e-10);
    assert_true(fabs(report.p_effective - 100 * (1 - kept_seen / seen)) < 1e-10);
    assert_true(fabs(report.kept_mass - 100 * kept_mass / mass) < 1e-10);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void test_masks_nest(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 6, 3, true);
    const pare_scope scopes[] = {PARE_SCOPE_LAYER, PARE_SCOPE_HEAD, PARE_SCOPE_MODEL};
    for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_RANDOM; method++)
        for (int policy = PARE_EMPTY_ROW_KEEP_ONE; policy <= PARE_EMPTY_ROW_ZERO; policy++)
            for (size_t s = 0; s < 3; s++) {
                pare_prune_options options = {.geometry = PARE_GEOMETRY_RELATIVE,
                                              .method = (pare_method)method,
                                              .scope = scopes[s],
                                              .empty_row = (pare_empty_row)policy,
                                              .seed = 5};
                pare_mask *wider = make_mask(average, options);
                assert_int_equal(pare_mask_describe(wider).pruned_cells, 0);
                for (int percent = 3; percent <= 100; percent += 3 + (percent == 96)) {
                    options.percent = percent;
                    pare_mask *mask = make_mask(average, options);
                    FOR_CELLS(&shape)
                    assert_true(!pare_mask_kept(mask, l, h, i, j) ||
                                pare_mask_kept(wider, l, h, i, j));
                    pare_mask_destroy(wider);
                    wider = mask;
                }
                pare_mask_destroy(wider);
            }
    pare_average_destroy(average);
}

static double value_of_class(const pare_average *average, size_t layer, size_t head, size_t named)
{
    class_facts facts[CLASSES];
    collect(average, layer, head, facts);
    return average_of(&facts[named], PARE_AVERAGE_VALID, pare_average_examples(average));
}

/* At 100% the strongest class of each row of three tokens stays, and serves every length. */
static void test_keep_one_serves_every_length(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 7, 3, false);
    pare_prune_options options = by_class;
    options.percent = 100;
    pare_mask *mask = make_mask(average, options);
    for (size_t l = 0; l < LAYERS; l++)
        for (size_t h = 0; h < HEADS; h++) {
            bool expected[CLASSES] = {false};
            for (size_t row = 0; row < 3; row++) {
                size_t strongest = name_class(row, 0);
                bool served = false;
                for (size_t column = 0; column < 3; column++) {
                    size_t named = name_class(row, column);
                    served = served || expected[named];
                    if (value_of_class(average, l, h, named) >
                        value_of_class(average, l, h, strongest))
                        strongest = named;
                }
                expected[strongest] = expected[strongest] || !served;
            }
            for (size_t i = 0; i < LENGTH; i++)
                for (size_t j = 0; j < LENGTH; j++)
                    assert_int_equal(pare_mask_kept(mask, l, h, i, j), expected[name_class(i, j)]);
            for (size_t length = 3; length < 50; length++)
                for (size_t i = 0; i < length; i++) {
                    size_t kept = 0;
                    for (size_t j = 0; j < length; j++)
                        kept += pare_mask_kept(mask, l, h, i, j);
                    assert_true(kept > 0);
                }
        }
    assert_int_equal(pare_mask_describe(mask).rescued_rows, LAYERS * HEADS * LENGTH);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* One head in which every class has the average `level` but the listed ones. */
static pare_average *levelled_average(size_t strong, double strength)
{
    pare_geometry g = shape;
    g.layers = g.heads = 1;
    pare_average *average;
    ASSERT_OK(pare_average_create(&g, &average));
    pare_observer observer = pare_average_observer(average, 0);
    for (size_t i = 0; i < LENGTH; i++)
        for (size_t j = 0; j < LENGTH; j++) {
            observer.counts[i * LENGTH + j] = 1;
            observer.sums[i * LENGTH + j] = name_class(i, j) == strong ? strength : 0.125;
        }
    pare_average_add_examples(average, 1);
    return average;
}

/* Equal averages: the farthest distances go first, the columns of the ends last. */
static void test_ties_prune_the_farthest(void **state)
{
    (void)state;
    pare_average *average = levelled_average(CLASSES, 0);
    for (size_t cells = 0; cells <= LENGTH * LENGTH; cells++) {
        pare_prune_options options = by_class;
        options.percent = 100 * (double)cells / (LENGTH * LENGTH);
        options.empty_row = PARE_EMPTY_ROW_ZERO;
        pare_mask *mask = make_mask(average, options);
        class_facts facts[CLASSES];
        collect(average, 0, 0, facts);
        size_t left = cells, first_pruned = CLASSES;
        while (first_pruned > 0 && facts[first_pruned - 1].cells <= left)
            left -= facts[--first_pruned].cells;
        for (size_t i = 0; i < LENGTH; i++)
            for (size_t j = 0; j < LENGTH; j++)
                assert_int_equal(pare_mask_kept(mask, 0, 0, i, j), name_class(i, j) < first_pruned);
        assert_int_equal(pare_mask_describe(mask).pruned_cells, cells - left);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

/* The row of the first token is kept by its own class; the other rows need one of theirs. */
static void test_keep_one_rescues_only_rows_in_need(void **state)
{
    (void)state;
    pare_average *average = levelled_average(2, 0.5);
    pare_prune_options options = by_class;
    options.percent = 100 * (double)(LENGTH * LENGTH - INNER) / (LENGTH * LENGTH);
    pare_mask *mask = make_mask(average, options);
    for (size_t i = 0; i < LENGTH; i++)
        for (size_t j = 0; j < LENGTH; j++)
            assert_int_equal(pare_mask_kept(mask, 0, 0, i, j),
                             name_class(i, j) == 2 || name_class(i, j) == 0);
    assert_int_equal(pare_mask_describe(mask).rescued_rows, LENGTH - 1);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* The control prunes as many cells as the next class allows, by its seed alone. */
static void test_random_control(void **state)
{
    (void)state;
    pare_average *average = make_average(shape, 8, 3, false);
    pare_average *other = make_average(shape, 9, 3, false);
    pare_prune_options options = {.geometry = PARE_GEOMETRY_RELATIVE,
                                  .method = PARE_METHOD_RANDOM,
                                  .empty_row = PARE_EMPTY_ROW_ZERO,
                                  .percent = 50};
    size_t differences = 0;
    pare_mask *previous = NULL;
    for (options.seed = 0; options.seed < 20; options.seed++) {
        pare_mask *mask = make_mask(average, options), *again = make_mask(other, options);
        FOR_CELLS(&shape)
        {
            assert_int_equal(pare_mask_kept(mask, l, h, i, j), pare_mask_kept(again, l, h, i, j));
            if (previous)
                differences +=
                    pare_mask_kept(mask, l, h, i, j) != pare_mask_kept(previous, l, h, i, j);
        }
        double pruned = (double)pare_mask_describe(mask).pruned_cells;
        double share = LAYERS * HEADS * LENGTH * LENGTH / 2.0;
        assert_true(pruned <= share && pruned > share - LAYERS * LENGTH);
        pare_mask_destroy(previous);
        pare_mask_destroy(again);
        previous = mask;
    }
    assert_true(differences > 0);
    pare_mask_destroy(previous);
    pare_average_destroy(average);
    pare_average_destroy(other);
}

/* Sequences of one or two tokens have no inner ones and few classes. */
static void test_tiny_shapes(void **state)
{
    (void)state;
    for (size_t length = 1; length <= 4; length++) {
        pare_geometry g = {
            .layers = 1, .heads = 2, .queries = length, .keys = length, .ends_first = true};
        pare_average *average = make_average(g, length, 2, false);
        for (int percent = 0; percent <= 100; percent += 25) {
            pare_prune_options options = by_class;
            options.percent = percent;
            pare_mask *mask = make_mask(average, options), *loaded;
            const char *path = temporary_path(".tiny");
            ASSERT_OK(pare_mask_save(mask, path));
            ASSERT_OK(pare_mask_load(path, &loaded));
            for (size_t h = 0; h < 2; h++)
                for (size_t i = 0; i < length; i++) {
                    size_t kept = 0;
                    for (size_t j = 0; j < length; j++) {
                        kept += pare_mask_kept(mask, 0, h, i, j);
                        assert_int_equal(pare_mask_kept(mask, 0, h, i, j),
                                         pare_mask_kept(loaded, 0, h, i, j));
                    }
                    assert_true(kept > 0);
                }
            pare_mask_destroy(mask);
            pare_mask_destroy(loaded);
            unlink(path);
        }
        pare_average_destroy(average);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks_equal_brute_force),
        cmocka_unit_test(test_cells_follow_their_class),
        cmocka_unit_test(test_unobserved_classes_are_kept),
        cmocka_unit_test(test_report_counts_cells),
        cmocka_unit_test(test_masks_nest),
        cmocka_unit_test(test_keep_one_serves_every_length),
        cmocka_unit_test(test_ties_prune_the_farthest),
        cmocka_unit_test(test_keep_one_rescues_only_rows_in_need),
        cmocka_unit_test(test_random_control),
        cmocka_unit_test(test_tiny_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
