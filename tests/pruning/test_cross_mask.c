/* Masks of cross attention: classes by offset from the diagonal against their definition in whole
 * numbers, masks against brute force, and attention under them on ragged pairs of sequences. */
#include "pruning/synthetic.h"

#include <math.h>

#include "attention/plan.h"
#include "base/memory.h"
#include "pruning/geometry.h"

enum { LAYERS = 2, HEADS = 3, TARGET = 11, SOURCE = 14, CLASSES_MOST = 120 };

/* 1.25 source tokens per target token. */
static const pare_geometry shape = {.layers = LAYERS,
                                    .heads = HEADS,
                                    .queries = TARGET,
                                    .keys = SOURCE,
                                    .ends_first = true,
                                    .ratio = 1.25};
static const pare_prune_options by_class = {.geometry = PARE_GEOMETRY_RELATIVE};

/* ---- Classes by their definition; the ratio is `numerator` / `denominator` ---- */

static const long bucket_ends[] = {0,   1,   2,   3,   4,    5,    6,    7,    8,
                                   11,  16,  22,  32,  44,   64,   88,   128,  176,
                                   256, 352, 512, 704, 1024, 1408, 2048, 2816, 4096};

static size_t name_class(long numerator, long denominator, size_t row, size_t column)
{
    if (column < 2)
        return column;
    /* floor(x + 1/2) of x = row * numerator / denominator >= 0 */
    long diagonal = (2 * (long)row * numerator + denominator) / (2 * denominator);
    long offset = (long)column - 1 - diagonal;
    /* 2: on the diagonal; then before and after it, farther and farther. */
    size_t named = 2;
    for (size_t bucket = 0; labs(offset) > bucket_ends[bucket]; bucket++)
        named += 2;
    return named - (offset < 0);
}

static size_t name_class_of_shape(size_t row, size_t column)
{
    return name_class(5, 4, row, column);
}

static void test_classes_are_as_defined(void **state)
{
    (void)state;
    const long ratios[][2] = {{1, 1}, {5, 4}, {3, 2}, {1, 2}, {3, 4}, {7, 8}, {1, 16}, {20, 1}};
    const size_t shapes[][2] = {{1, 1}, {1, 2}, {2, 1},  {9, 2},  {1, 3},    {3, 3},
                                {7, 4}, {5, 9}, {1, 70}, {70, 3}, {100, 80}, {90, 140}};
    for (size_t r = 0; r < sizeof ratios / sizeof *ratios; r++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            pare_geometry g = {.kind = PARE_GEOMETRY_RELATIVE,
                               .layers = 1,
                               .heads = 1,
                               .queries = shapes[s][0],
                               .keys = shapes[s][1],
                               .ends_first = true,
                               .ratio = (double)ratios[r][0] / (double)ratios[r][1]};
            ASSERT_OK(pri_average_geometry_check(&g));
            uint64_t cells[CLASSES_MOST] = {0};
            size_t classes = 2;
            for (size_t i = 0; i < 200; i++)
                for (size_t j = 0; j < 200; j++) {
                    size_t named = name_class(ratios[r][0], ratios[r][1], i, j);
                    assert_int_equal(pri_geometry_class(&g, i, j), named);
                    if (i >= g.queries || j >= g.keys)
                        continue;
                    cells[named]++;
                    classes = named >= classes ? named + 1 : classes;
                }
            assert_int_equal(pri_geometry_classes(&g), classes);
            for (size_t c = 0; c < classes; c++)
                assert_int_equal(pri_geometry_class_cells(&g, c), cells[c]);
        }
}

/* Halves are rounded up; what is nearly one is rounded as fp64 does. */
static void test_the_diagonal_is_rounded_in_one_way(void **state)
{
    (void)state;
    pare_geometry g = shape;
    g.kind = PARE_GEOMETRY_RELATIVE;
    g.ratio = 0.5;
    assert_int_equal(pri_geometry_class(&g, 1, 2), 2); /* 0.5 -> 1, token 1 */
    assert_int_equal(pri_geometry_class(&g, 3, 2), 3); /* 1.5 -> 2 */
    g.ratio = nextafter(0.5, 0);
    assert_int_equal(pri_geometry_class(&g, 2, 2), 2);
    g.ratio = 0.1;                                      /* 5 * 0.1 is 0.5 in fp64 */
    assert_int_equal(pri_geometry_class(&g, 5, 2), 2);  /* token 1 on the diagonal */
    assert_int_equal(pri_geometry_class(&g, 4, 2), 4);  /* 0.4 -> 0 */
    assert_int_equal(pri_geometry_class(&g, 15, 3), 2); /* 1.5 -> 2 */
}

/* ---- Masks against brute force ---- */

typedef struct class_facts {
    size_t cells, occurrences;
    double sum;
} class_facts;

static void collect(const pare_average *average, size_t layer, size_t head,
                    class_facts facts[CLASSES_MOST])
{
    memset(facts, 0, CLASSES_MOST * sizeof *facts);
    for (size_t i = 0; i < TARGET; i++)
        for (size_t j = 0; j < SOURCE; j++) {
            size_t count = pare_average_count(average, i, j);
            class_facts *fact = &facts[name_class_of_shape(i, j)];
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

/* Prunes the smallest class of a group of heads until the next would exceed the share. Among equal
 * ones of a head the farthest goes first. */
static void prune_by_hand(const pare_average *average, pare_prune_options options,
                          bool kept[LAYERS * HEADS][CLASSES_MOST])
{
    static class_facts facts[LAYERS * HEADS][CLASSES_MOST];
    size_t group = options.scope == PARE_SCOPE_HEAD    ? 1
                   : options.scope == PARE_SCOPE_LAYER ? HEADS
                                                       : LAYERS * HEADS;
    for (size_t h = 0; h < LAYERS * HEADS; h++) {
        collect(average, h / HEADS, h % HEADS, facts[h]);
        memset(kept[h], true, CLASSES_MOST);
    }
    for (size_t first = 0; first < LAYERS * HEADS; first += group) {
        size_t candidates = 0;
        for (size_t h = first; h < first + group; h++)
            for (size_t c = 0; c < CLASSES_MOST; c++)
                candidates += facts[h][c].cells;
        size_t budget = (size_t)options.percent * candidates / 100;
        for (;;) {
            size_t head = 0, smallest = CLASSES_MOST;
            double least = INFINITY;
            for (size_t h = first; h < first + group; h++)
                for (size_t c = CLASSES_MOST; c-- > 0;) {
                    if (!kept[h][c] || !facts[h][c].cells)
                        continue;
                    double value =
                        average_of(&facts[h][c], options.average, pare_average_examples(average));
                    if (value < least) {
                        least = value;
                        head = h;
                        smallest = c;
                    }
                }
            if (smallest == CLASSES_MOST || facts[head][smallest].cells > budget)
                break;
            budget -= facts[head][smallest].cells;
            kept[head][smallest] = false;
        }
    }
}

/* Pairs of any lengths; none as long as the shape when `short_ones`. */
static pare_average *make_pairs(pare_geometry geometry, uint64_t seed, bool short_ones)
{
    pare_average *average = make_average(geometry, seed, short_ones ? 0 : 2, true);
    for (size_t n = 0; n < 6; n++)
        observe_sequence(average, seed + 50 + n, 1 + pri_random_below(seed, n, TARGET - 2),
                         2 + pri_random_below(seed, 100 + n, SOURCE - 4));
    return average;
}

static void test_masks_equal_brute_force(void **state)
{
    (void)state;
    const pare_scope scopes[] = {PARE_SCOPE_LAYER, PARE_SCOPE_HEAD, PARE_SCOPE_MODEL};
    for (int short_ones = 0; short_ones < 2; short_ones++) {
        pare_average *average = make_pairs(shape, 5, short_ones);
        for (int kind = PARE_AVERAGE_VALID; kind <= PARE_AVERAGE_MASS; kind++)
            for (size_t s = 0; s < 3; s++)
                for (int percent = 0; percent <= 100; percent += 9) {
                    pare_prune_options options = by_class;
                    options.average = (pare_average_kind)kind;
                    options.scope = scopes[s];
                    options.percent = percent;
                    options.empty_row = PARE_EMPTY_ROW_ZERO;
                    bool kept[LAYERS * HEADS][CLASSES_MOST];
                    prune_by_hand(average, options, kept);
                    pare_mask *mask = make_mask(average, options);
                    uint64_t pruned = 0;
                    for (size_t h = 0; h < LAYERS * HEADS; h++)
                        for (size_t i = 0; i < 60; i++)
                            for (size_t j = 0; j < 60; j++) {
                                bool stays = kept[h][name_class_of_shape(i, j)];
                                assert_int_equal(pare_mask_kept(mask, h / HEADS, h % HEADS, i, j),
                                                 stays);
                                pruned += i < TARGET && j < SOURCE && !stays;
                            }
                    pare_mask_report report = pare_mask_describe(mask);
                    assert_int_equal(report.pruned_cells, pruned);
                    assert_int_equal(report.admissible_cells, LAYERS * HEADS * TARGET * SOURCE);
                    pare_mask_destroy(mask);
                }
        pare_average_destroy(average);
    }
}

/* Far beyond any sequence a cell is still that of a class never observed. */
static void test_what_nobody_saw_is_kept(void **state)
{
    (void)state;
    pare_average *average = make_pairs(shape, 3, false);
    pare_prune_options options = by_class;
    options.percent = 100;
    options.empty_row = PARE_EMPTY_ROW_ZERO;
    pare_mask *mask = make_mask(average, options);
    FOR_CELLS(&shape)
    assert_false(pare_mask_kept(mask, l, h, i, j));
    assert_true(pare_mask_kept(mask, 0, 0, 2, SIZE_MAX));
    assert_true(pare_mask_kept(mask, 0, 0, SIZE_MAX, 2));
    assert_false(pare_mask_kept(mask, 0, 0, SIZE_MAX, 1));
    assert_false(pare_mask_kept(mask, LAYERS, 0, 0, 0));
    assert_false(pare_mask_kept(mask, 0, HEADS, 0, 0));
    assert_false(pare_mask_kept_at_distance(mask, 0, 0, 1));
    assert_true(isnan(pare_average_at_distance(average, PARE_AVERAGE_VALID, 0, 0, 1)));
    assert_true(pare_mask_describe(mask).p_effective == 100);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* Equal averages: the farthest offsets go first, the key after the diagonal before the one in front
 * of it, the column of the first token last of all. */
static void test_ties_prune_the_farthest(void **state)
{
    (void)state;
    pare_geometry g = shape;
    g.layers = g.heads = 1;
    pare_average *average;
    ASSERT_OK(pare_average_create(&g, &average));
    pare_observer observer = pare_average_observer(average, 0);
    size_t cells[CLASSES_MOST] = {0};
    for (size_t i = 0; i < TARGET; i++)
        for (size_t j = 0; j < SOURCE; j++) {
            observer.counts[i * SOURCE + j] = 1;
            observer.sums[i * SOURCE + j] = 0.0625;
            cells[name_class_of_shape(i, j)]++;
        }
    pare_average_add_examples(average, 1);
    for (size_t wanted = 0; wanted <= TARGET * SOURCE; wanted++) {
        pare_prune_options options = by_class;
        options.percent = 100 * (double)wanted / (TARGET * SOURCE);
        options.empty_row = PARE_EMPTY_ROW_ZERO;
        pare_mask *mask = make_mask(average, options);
        size_t left = wanted, first_pruned = CLASSES_MOST;
        while (first_pruned > 0 && cells[first_pruned - 1] <= left)
            left -= cells[--first_pruned];
        for (size_t i = 0; i < TARGET; i++)
            for (size_t j = 0; j < SOURCE; j++)
                assert_int_equal(pare_mask_kept(mask, 0, 0, i, j),
                                 name_class_of_shape(i, j) < first_pruned);
        assert_int_equal(pare_mask_describe(mask).pruned_cells, wanted - left);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

static void test_masks_nest(void **state)
{
    (void)state;
    pare_average *average = make_pairs(shape, 6, false);
    for (int kind = 0; kind < 3; kind++) /* cells, offsets, blocks */
        for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_RANDOM; method++)
            for (int policy = PARE_EMPTY_ROW_KEEP_ONE; policy <= PARE_EMPTY_ROW_ZERO; policy++)
                for (int scope = PARE_SCOPE_LAYER; scope <= PARE_SCOPE_MODEL; scope++) {
                    if (kind == 1 && scope == PARE_SCOPE_ROW)
                        continue;
                    pare_prune_options options = {.geometry = kind == 1 ? PARE_GEOMETRY_RELATIVE
                                                                        : PARE_GEOMETRY_CELL,
                                                  .method = (pare_method)method,
                                                  .scope = (pare_scope)scope,
                                                  .empty_row = (pare_empty_row)policy,
                                                  .block = kind == 2 ? 4 : 0};
                    pare_mask *wider = make_mask(average, options);
                    for (options.percent = 4; options.percent <= 100; options.percent += 8) {
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

/* Of cells, pruning and the control take exactly the share of each layer's candidates. */
static void test_cell_counts_are_exact(void **state)
{
    (void)state;
    for (int order = 0; order < 2; order++) {
        pare_geometry g = shape;
        g.ends_first = order == 1;
        pare_average *average = make_pairs(g, 8, true);
        size_t candidates = 0;
        for (size_t i = 0; i < TARGET; i++)
            for (size_t j = 0; j < SOURCE; j++)
                candidates += pare_average_count(average, i, j) > 0;
        assert_true(candidates < TARGET * SOURCE);
        for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_RANDOM; method++)
            for (size_t percent = 0; percent <= 100; percent += 7) {
                pare_mask *mask =
                    make_mask(average, (pare_prune_options){.method = (pare_method)method,
                                                            .percent = (double)percent,
                                                            .seed = percent,
                                                            .empty_row = PARE_EMPTY_ROW_ZERO});
                size_t pruned[LAYERS] = {0};
                FOR_CELLS(&g)
                {
                    bool kept = pare_mask_kept(mask, l, h, i, j);
                    assert_true(kept || pare_average_count(average, i, j));
                    pruned[l] += !kept;
                }
                for (size_t l = 0; l < LAYERS; l++)
                    assert_int_equal(pruned[l], percent * HEADS * candidates / 100);
                pare_mask_destroy(mask);
            }
        pare_average_destroy(average);
    }
}

/* ---- Keep-one ---- */

static size_t strongest_column(const pare_average *average, size_t layer, size_t head, size_t row,
                               size_t columns)
{
    size_t strongest = 0;
    for (size_t j = 1; j < columns; j++)
        if (pare_average_value(average, PARE_AVERAGE_VALID, layer, head, row, j) >=
            pare_average_value(average, PARE_AVERAGE_VALID, layer, head, row, strongest))
            strongest = j;
    return strongest;
}

/* At 100% every row of cells keeps the strongest of the columns that all its pairs have. */
static void test_cells_keep_one_in_every_training_pair(void **state)
{
    (void)state;
    /* Target and source; the sources get longer, so row i's shortest is that of the first pair that
     * reaches it. */
    const size_t pairs[][2] = {{3, 1}, {2, 5}, {7, 4}, {8, 9}, {11, 12}};
    for (int order = 0; order < 2; order++)
        for (size_t block = 1; block <= 4; block *= 2) {
            pare_geometry g = shape;
            g.ends_first = order == 1;
            pare_average *average;
            ASSERT_OK(pare_average_create(&g, &average));
            for (size_t n = 0; n < 5; n++)
                observe_sequence(average, n, pairs[n][0], pairs[n][1]);
            for (int percent = 60; percent <= 100; percent += 10) {
                pare_mask *mask =
                    make_mask(average, (pare_prune_options){.percent = percent, .block = block});
                for (size_t l = 0; l < LAYERS; l++)
                    for (size_t h = 0; h < HEADS; h++)
                        for (size_t n = 0; n < 5; n++)
                            for (size_t i = 0; i < pairs[n][0]; i++) {
                                size_t kept = 0;
                                for (size_t j = 0; j < pairs[n][1]; j++)
                                    kept += pare_mask_kept(mask, l, h, i, j);
                                assert_true(kept > 0);
                            }
                for (size_t i = 0; percent == 100 && block == 1 && i < TARGET; i++) {
                    size_t common = i < 3 ? 1 : i < 7 ? 4 : i < 8 ? 9 : 12;
                    for (size_t h = 0; h < HEADS; h++)
                        for (size_t j = 0; j < 12; j++)
                            assert_int_equal(pare_mask_kept(mask, 1, h, i, j),
                                             !pare_average_count(average, i, j) ||
                                                 j == strongest_column(average, 1, h, i, common));
                }
                if (percent == 100 && block == 1)
                    assert_int_equal(pare_mask_describe(mask).rescued_rows,
                                     LAYERS * HEADS * TARGET);
                pare_mask_destroy(mask);
            }
            pare_average_destroy(average);
        }
}

/* At 100% each head keeps the stronger of the two columns of the ends, which serves all rows of all
 * sources with two tokens. */
static void test_offsets_keep_the_first_or_last_token(void **state)
{
    (void)state;
    pare_average *average = make_pairs(shape, 7, false);
    for (int percent = 80; percent <= 100; percent += 5) {
        pare_prune_options options = by_class;
        options.percent = percent;
        pare_mask *mask = make_mask(average, options);
        for (size_t l = 0; l < LAYERS; l++)
            for (size_t h = 0; h < HEADS; h++) {
                class_facts facts[CLASSES_MOST];
                collect(average, l, h, facts);
                bool last = facts[1].sum / (double)facts[1].occurrences >
                            facts[0].sum / (double)facts[0].occurrences;
                assert_true(pare_mask_kept(mask, l, h, 0, 0) || pare_mask_kept(mask, l, h, 0, 1));
                for (size_t i = 0; percent == 100 && i < TARGET; i++)
                    for (size_t j = 0; j < SOURCE; j++)
                        assert_int_equal(pare_mask_kept(mask, l, h, i, j), j == last);
                for (size_t target = 1; target < 40; target++)
                    for (size_t source = 2; source < 40; source++) {
                        size_t kept = 0;
                        for (size_t j = 0; j < source; j++)
                            kept += pare_mask_kept(mask, l, h, target - 1, j);
                        assert_true(kept > 0);
                    }
            }
        if (percent == 100)
            assert_int_equal(pare_mask_describe(mask).rescued_rows, LAYERS * HEADS * TARGET);
        pare_mask_destroy(mask);
    }
    pare_average_destroy(average);
}

/* The control draws classes, by its seed alone, and stops where the next would be too much. */
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
            differences += previous &&
                           pare_mask_kept(mask, l, h, i, j) != pare_mask_kept(previous, l, h, i, j);
        }
        /* No class has more cells than rows here. */
        double pruned = (double)pare_mask_describe(mask).pruned_cells;
        double share = LAYERS * HEADS * TARGET * SOURCE / 2.0;
        assert_true(pruned <= share && pruned > share - LAYERS * 3 * TARGET);
        pare_mask_destroy(previous);
        pare_mask_destroy(again);
        previous = mask;
    }
    assert_true(differences > 0);
    pare_mask_destroy(previous);
    pare_average_destroy(average);
    pare_average_destroy(other);
}

/* ---- Plans and attention ---- */

static bool plan_keeps(const pare_plan *plan, size_t head, size_t row, size_t column)
{
    return pri_plan_bits(pri_plan_row_bits(plan, head, row), column) & 1;
}

static void test_plans_of_any_shape(void **state)
{
    (void)state;
    pare_average *average = make_pairs(shape, 4, false);
    pare_prune_options options = by_class;
    options.percent = 60;
    pare_mask *mask = make_mask(average, options);
    const size_t shapes[][2] = {{TARGET, SOURCE}, {1, 1}, {1, 30}, {30, 1}, {40, 25}, {17, 60}};
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        pare_plan *plan;
        ASSERT_OK(pare_mask_plan(mask, 1, shapes[s][0], shapes[s][1], &plan));
        uint64_t kept = 0;
        for (size_t h = 0; h < HEADS; h++)
            for (size_t i = 0; i < shapes[s][0]; i++)
                for (size_t j = 0; j < shapes[s][1]; j++) {
                    bool expected = pare_mask_kept(mask, 1, h, i, j);
                    assert_int_equal(plan_keeps(plan, h, i, j), expected);
                    kept += expected;
                }
        assert_int_equal(pare_plan_kept(plan), kept);
        pare_plan_destroy(plan);
    }
    pare_plan *plan;
    assert_int_equal(pare_mask_plan(mask, 0, 0, 4, &plan), PARE_ERROR_ARGUMENT);
    expect_message("at least one query and one key");
    assert_int_equal(pare_mask_plan(mask, 0, 4, 0, &plan), PARE_ERROR_ARGUMENT);
    pare_mask_destroy(mask);

    mask = make_mask(average, (pare_prune_options){.percent = 60});
    ASSERT_OK(pare_mask_plan(mask, 0, 3, SOURCE, &plan));
    FOR_CELLS(&shape)
    assert_true(l > 0 || plan_keeps(plan, h, i, j) == pare_mask_kept(mask, l, h, i, j));
    pare_plan_destroy(plan);
    assert_int_equal(pare_mask_plan(mask, 0, TARGET + 1, SOURCE, &plan), PARE_ERROR_ARGUMENT);
    assert_int_equal(pare_mask_plan(mask, 0, TARGET, SOURCE + 1, &plan), PARE_ERROR_ARGUMENT);
    expect_message("relative geometry");
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

enum { HEAD_SIZE = 9, WIDTH = HEADS * HEAD_SIZE, TOKENS = 64, LONGEST = 24 };

/* Arrays of one call; queries, keys and values are random. */
typedef struct example {
    float query[TOKENS * WIDTH], key[TOKENS * WIDTH], value[TOKENS * WIDTH], output[TOKENS * WIDTH];
} example;

static void fill(example *e, uint64_t seed)
{
    memset(e->output, 0, sizeof e->output);
    for (uint64_t i = 0; i < TOKENS * WIDTH; i++) {
        e->query[i] = (float)pri_random_normal(seed, 3 * i);
        e->key[i] = (float)pri_random_normal(seed, 3 * i + 1);
        e->value[i] = (float)pri_random_normal(seed, 3 * i + 2);
    }
}

static pare_attention make_call(example *e, const size_t *queries, const size_t *keys, size_t count)
{
    return (pare_attention){.heads = HEADS,
                            .head_size = HEAD_SIZE,
                            .scale = 0.6f,
                            .query = {e->query, WIDTH, HEAD_SIZE},
                            .key = {e->key, WIDTH, HEAD_SIZE},
                            .value = {e->value, WIDTH, HEAD_SIZE},
                            .output = {e->output, WIDTH, HEAD_SIZE},
                            .queries = {queries, count},
                            .keys = {keys, count}};
}

static void run(const pare_attention *call)
{
    pare_context *context;
    ASSERT_OK(pare_context_create(NULL, &context));
    void *workspace = pri_allocate(pare_attention_workspace(context, call), 1);
    ASSERT_OK(pare_attention_forward(context, call, workspace));
    pri_free(workspace);
    pare_context_destroy(context);
}

/* Offsets of ragged pairs: 6 to 2, 11 to 14, 1 to 9, 20 to 24, 5 to 5 tokens. */
static const size_t target_offsets[] = {0, 6, 17, 18, 38, 43};
static const size_t source_offsets[] = {0, 2, 16, 25, 49, 54};

/* The kernels, under the one plan of the longest pair, give each pair what the fp64 formulas give
 * under the plan of its own lengths. */
static void test_one_plan_serves_ragged_pairs(void **state)
{
    (void)state;
    static example e;
    pare_average *average = make_pairs(shape, 2, false);
    for (int percent = 0; percent <= 100; percent += 20)
        for (int policy = PARE_EMPTY_ROW_KEEP_ONE; policy <= PARE_EMPTY_ROW_ZERO; policy++) {
            pare_prune_options options = by_class;
            options.percent = percent;
            options.empty_row = (pare_empty_row)policy;
            pare_mask *mask = make_mask(average, options);
            pare_plan *longest;
            ASSERT_OK(pare_mask_plan(mask, 0, LONGEST, LONGEST, &longest));
            fill(&e, (uint64_t)percent);
            pare_attention call = make_call(&e, target_offsets, source_offsets, 5);
            call.plan = longest;
            run(&call);
            for (size_t n = 0; n < 5; n++) {
                size_t target = target_offsets[n + 1] - target_offsets[n];
                size_t source = source_offsets[n + 1] - source_offsets[n];
                const size_t queries[] = {0, target}, keys[] = {0, source};
                pare_attention one = make_call(&e, queries, keys, 1);
                one.query.data += target_offsets[n] * WIDTH;
                one.key.data += source_offsets[n] * WIDTH;
                one.value.data += source_offsets[n] * WIDTH;
                pare_plan *own;
                ASSERT_OK(pare_mask_plan(mask, 0, target, source, &own));
                one.plan = own;
                static double output[LONGEST * WIDTH];
                ASSERT_OK(pare_attention_reference(&one, output, NULL, NULL));
                const float *found = e.output + target_offsets[n] * WIDTH;
                for (size_t i = 0; i < target * WIDTH; i++)
                    assert_true(fabs((double)found[i] - output[i]) < 4e-6);
                pare_plan_destroy(own);
            }
            pare_plan_destroy(longest);
            pare_mask_destroy(mask);
        }
    pare_average_destroy(average);
}

/* A cell is counted once per pair that has it, and rows carry one unit of attention per pair. */
static void test_observation_of_ragged_pairs(void **state)
{
    (void)state;
    static example e;
    pare_geometry g = shape;
    g.layers = 1;
    g.queries = g.keys = LONGEST;
    pare_average *average;
    ASSERT_OK(pare_average_create(&g, &average));
    fill(&e, 1);
    pare_attention call = make_call(&e, target_offsets, source_offsets, 5);
    pare_observer observer = pare_average_observer(average, 0);
    call.observer = &observer;
    run(&call);
    pare_average_add_examples(average, 5);
    for (size_t h = 0; h < HEADS; h++)
        for (size_t i = 0; i < LONGEST; i++) {
            double carried = 0;
            for (size_t j = 0; j < LONGEST; j++) {
                size_t count = 0;
                for (size_t n = 0; n < 5; n++)
                    count += i < target_offsets[n + 1] - target_offsets[n] &&
                             j < source_offsets[n + 1] - source_offsets[n];
                assert_int_equal(pare_average_count(average, i, j), count);
                double value = pare_average_value(average, PARE_AVERAGE_MASS, 0, h, i, j);
                carried += isnan(value) ? 0 : 5 * value;
            }
            assert_true(fabs(carried - (double)pare_average_count(average, i, 0)) < 1e-5);
        }
    pare_average_destroy(average);
}

/* ---- Geometries that are none ---- */

static void refuse(pare_geometry geometry, const char *message)
{
    pare_average *average;
    assert_int_equal(pare_average_create(&geometry, &average), PARE_ERROR_ARGUMENT);
    assert_null(average);
    expect_message(message);
}

static void test_impossible_geometries_are_refused(void **state)
{
    (void)state;
    const double ratios[] = {-1, 1e-4, 1001, (double)INFINITY, (double)NAN};
    pare_geometry g = shape;
    for (size_t i = 0; i < sizeof ratios / sizeof *ratios; i++) {
        g.ratio = ratios[i];
        refuse(g, "source tokens per target token");
    }
    g = (pare_geometry){
        .layers = 1, .heads = 1, .queries = 4, .keys = 4, .causal = true, .ratio = 1};
    refuse(g, "not causal");
    g.causal = false;
    g.window = 2;
    refuse(g, "window");
    g.window = 0;
    g.kind = PARE_GEOMETRY_DISTANCE;
    refuse(g, "causal attention");
    g.kind = PARE_GEOMETRY_RELATIVE;
    refuse(g, "ends_first");
    g.kind = PARE_GEOMETRY_CELL;
    g.queries = 65537;
    refuse(g, "at most 65536 queries and keys");
    g = shape;
    g.ratio = 0;
    refuse(g, "cross attention with a ratio");

    g = shape;
    g.ends_first = false;
    pare_average *average = make_average(g, 1, 1, false);
    pare_mask *mask;
    pare_prune_options options = by_class;
    assert_int_equal(pare_mask_create(average, &options, &mask), PARE_ERROR_ARGUMENT);
    expect_message("ends of a sequence come first");
    options.geometry = PARE_GEOMETRY_DISTANCE;
    assert_int_equal(pare_mask_create(average, &options, &mask), PARE_ERROR_ARGUMENT);
    expect_message("needs causal attention");
    pare_average_destroy(average);
}

/* Parts of a corpus differ in it; together they have the ratio of what was counted. */
static void test_merged_averages_have_the_ratio_of_all(void **state)
{
    (void)state;
    static example e;
    fill(&e, 1);
    pare_geometry g = shape;
    g.layers = 1;
    g.queries = g.keys = LONGEST;
    const double ratios[] = {1.25, 1.25, 1.5};
    pare_average *parts[3];
    for (size_t part = 0; part < 3; part++) {
        g.ratio = ratios[part];
        ASSERT_OK(pare_average_create(&g, &parts[part]));
        pare_attention call = make_call(&e, target_offsets, source_offsets, 5);
        pare_observer observer = pare_average_observer(parts[part], 0);
        call.observer = &observer;
        run(&call);
    }
    ASSERT_OK(pare_average_merge(parts[0], parts[1]));
    assert_true(pare_average_geometry(parts[0])->ratio == 1.25);
    ASSERT_OK(pare_average_merge(parts[0], parts[2]));
    double expected = (double)source_offsets[5] / (double)target_offsets[5];
    assert_true(fabs(pare_average_geometry(parts[0])->ratio - expected) < 1e-12);
    for (size_t part = 0; part < 3; part++)
        pare_average_destroy(parts[part]);
}

static void test_cross_and_self_attention_do_not_merge(void **state)
{
    (void)state;
    pare_geometry g = shape;
    g.ends_first = false;
    pare_average *a = make_average(g, 1, 1, false);
    g.ratio = 0;
    pare_average *b = make_average(g, 2, 1, false);
    assert_int_equal(pare_average_merge(a, b), PARE_ERROR_ARGUMENT);
    expect_message("cross with ratio 1.25 and");
    pare_average_destroy(a);
    pare_average_destroy(b);
}

/* Sources of one or two tokens have few classes. */
static void test_tiny_shapes(void **state)
{
    (void)state;
    for (size_t target = 1; target <= 3; target++)
        for (size_t source = 1; source <= 4; source++) {
            pare_geometry g = shape;
            g.queries = target;
            g.keys = source;
            pare_average *average = make_average(g, source, 2, false);
            for (int percent = 0; percent <= 100; percent += 25) {
                pare_prune_options options = by_class;
                options.percent = percent;
                pare_mask *mask = make_mask(average, options), *loaded;
                const char *path = temporary_path(".tiny");
                ASSERT_OK(pare_mask_save(mask, path));
                ASSERT_OK(pare_mask_load(path, &loaded));
                FOR_CELLS(&g)
                assert_int_equal(pare_mask_kept(mask, l, h, i, j),
                                 pare_mask_kept(loaded, l, h, i, j));
                assert_true(pare_mask_kept(mask, 0, 0, 0, 0) || pare_mask_kept(mask, 0, 0, 0, 1));
                assert_true(pare_mask_digest(mask) == pare_mask_digest(loaded));
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
        cmocka_unit_test(test_classes_are_as_defined),
        cmocka_unit_test(test_the_diagonal_is_rounded_in_one_way),
        cmocka_unit_test(test_masks_equal_brute_force),
        cmocka_unit_test(test_what_nobody_saw_is_kept),
        cmocka_unit_test(test_ties_prune_the_farthest),
        cmocka_unit_test(test_masks_nest),
        cmocka_unit_test(test_cell_counts_are_exact),
        cmocka_unit_test(test_cells_keep_one_in_every_training_pair),
        cmocka_unit_test(test_offsets_keep_the_first_or_last_token),
        cmocka_unit_test(test_random_control),
        cmocka_unit_test(test_plans_of_any_shape),
        cmocka_unit_test(test_one_plan_serves_ragged_pairs),
        cmocka_unit_test(test_observation_of_ragged_pairs),
        cmocka_unit_test(test_impossible_geometries_are_refused),
        cmocka_unit_test(test_merged_averages_have_the_ratio_of_all),
        cmocka_unit_test(test_cross_and_self_attention_do_not_merge),
        cmocka_unit_test(test_tiny_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
