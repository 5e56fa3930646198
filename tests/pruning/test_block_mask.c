/* Block masks: against brute force, single cells, and what every mask promises. */
#include "pruning/synthetic.h"

#include <math.h>

#include "pruning/mask.h"

/* Rows and columns are no multiples of the blocks, nor is the memory. */
static const pare_geometry shapes[] = {
    {.layers = 2, .heads = 3, .queries = 7, .keys = 12, .causal = true},
    {.layers = 1, .heads = 2, .queries = 9, .keys = 9, .causal = true},
    {.layers = 2, .heads = 2, .queries = 6, .keys = 13, .causal = true, .window = 6},
    {.layers = 2, .heads = 2, .queries = 5, .keys = 8},
    {.layers = 2, .heads = 2, .queries = 11, .keys = 11, .ends_first = true},
    {.layers = 2, .heads = 2, .queries = 7, .keys = 10, .ends_first = true, .ratio = 1.3},
};
#define SHAPES (sizeof shapes / sizeof *shapes)
#define BLOCKS_MOST 64 /* of one head */

/* ---- Brute force ---- */

typedef struct blocks {
    size_t rows, columns, head_blocks;
    size_t cells[BLOCKS_MOST]; /* candidates */
    double values[6][BLOCKS_MOST];
    bool kept[6][BLOCKS_MOST];
} blocks;

static void collect(const pare_average *average, pare_average_kind kind, size_t size, blocks *b)
{
    const pare_geometry *g = pare_average_geometry(average);
    memset(b, 0, sizeof *b);
    b->rows = (g->queries + size - 1) / size;
    b->columns = (g->keys + size - 1) / size;
    b->head_blocks = b->rows * b->columns;
    assert_in_range(b->head_blocks, 1, BLOCKS_MOST);
    FOR_CELLS(g)
    {
        double value = pare_average_value(average, kind, l, h, i, j);
        size_t block = i / size * b->columns + j / size;
        b->kept[l * g->heads + h][block] = true;
        if (isnan(value))
            continue;
        b->cells[block] += l == 0 && h == 0;
        b->values[l * g->heads + h][block] += value;
    }
    for (size_t head = 0; head < g->layers * g->heads; head++)
        for (size_t block = 0; block < b->head_blocks; block++)
            if (kind == PARE_AVERAGE_VALID && b->cells[block])
                b->values[head][block] /= (double)b->cells[block];
}

/* Takes the smallest block of some heads' blocks while it fits into the share of their cells. */
static void prune_group(blocks *b, double percent, size_t head_begin, size_t head_end,
                        size_t block_begin, size_t block_end)
{
    size_t candidates = 0;
    for (size_t head = head_begin; head < head_end; head++)
        for (size_t block = block_begin; block < block_end; block++)
            candidates += b->cells[block];
    size_t budget = (size_t)percent * candidates / 100;
    for (;;) {
        double least = INFINITY;
        size_t head = 0, block = 0;
        for (size_t h = head_begin; h < head_end; h++)
            for (size_t c = block_begin; c < block_end; c++)
                if (b->cells[c] && b->kept[h][c] && b->values[h][c] < least) {
                    least = b->values[h][c];
                    head = h;
                    block = c;
                }
        if (isinf(least) || b->cells[block] > budget)
            return;
        budget -= b->cells[block];
        b->kept[head][block] = false;
    }
}

static void prune_by_hand(const pare_average *average, pare_prune_options options, blocks *b)
{
    const pare_geometry *g = pare_average_geometry(average);
    collect(average, options.average, options.block, b);
    size_t heads = g->layers * g->heads;
    size_t step = options.scope == PARE_SCOPE_MODEL   ? heads
                  : options.scope == PARE_SCOPE_LAYER ? g->heads
                                                      : 1;
    size_t block_step = options.scope == PARE_SCOPE_ROW ? b->columns : b->head_blocks;
    for (size_t head = 0; head < heads; head += step)
        for (size_t block = 0; block < b->head_blocks; block += block_step)
            prune_group(b, options.percent, head, head + step, block, block + block_step);
}

/* Sequences that leave the last rows and columns of the shape unobserved, within blocks of all
 * sizes. */
static pare_average *make_partial_average(const pare_geometry *g, uint64_t seed)
{
    pare_average *average = make_average(*g, seed, 0, false);
    for (size_t n = 0; n < 4; n++)
        observe_sequence(average, seed + n, g->queries - 1 - n % 2, g->keys - 2 - n % 2);
    return average;
}

static void test_masks_equal_brute_force(void **state)
{
    (void)state;
    for (size_t s = 0; s < 2 * SHAPES; s++) {
        const pare_geometry *g = &shapes[s / 2];
        pare_average *average =
            s % 2 ? make_partial_average(g, s) : make_average(*g, 20 + s, 3, true);
        for (size_t size = 2; size <= 16; size *= 2)
            for (int scope = PARE_SCOPE_LAYER; scope <= PARE_SCOPE_MODEL; scope++)
                for (int kind = PARE_AVERAGE_VALID; kind <= PARE_AVERAGE_MASS; kind++)
                    for (int percent = 0; percent <= 100; percent += 20) {
                        pare_prune_options options = {.average = (pare_average_kind)kind,
                                                      .scope = (pare_scope)scope,
                                                      .empty_row = PARE_EMPTY_ROW_ZERO,
                                                      .percent = percent,
                                                      .block = size};
                        static blocks expected;
                        prune_by_hand(average, options, &expected);
                        pare_mask *mask = make_mask(average, options);
                        FOR_CELLS(g)
                        {
                            size_t block = i / size * expected.columns + j / size;
                            bool candidate = pare_average_count(average, i, j) > 0;
                            assert_int_equal(
                                pare_mask_kept(mask, l, h, i, j),
                                is_admissible(g, i, j) &&
                                    (!candidate || expected.kept[l * g->heads + h][block]));
                        }
                        assert_true(pare_mask_describe(mask).p_admissible <= percent);
                        assert_int_equal(pare_mask_describe(mask).options.block, size);
                        pare_mask_destroy(mask);
                    }
        pare_average_destroy(average);
    }
}

/* Oracle 8: blocks of one cell are single cells, though found in another way. */
static void test_blocks_of_one_cell_equal_cells(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++) {
        pare_average *average = make_average(shapes[s], s, 3, true);
        for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_RANDOM; method++)
            for (int scope = PARE_SCOPE_LAYER; scope <= PARE_SCOPE_MODEL; scope++)
                for (int policy = 0; policy <= PARE_EMPTY_ROW_UNIFORM; policy++)
                    for (double percent = 0; percent <= 100; percent += 12.5) {
                        pare_prune_options options = {.method = (pare_method)method,
                                                      .scope = (pare_scope)scope,
                                                      .empty_row = (pare_empty_row)policy,
                                                      .average = PARE_AVERAGE_MASS,
                                                      .percent = percent,
                                                      .seed = 6,
                                                      .block = 1};
                        pare_mask *cells = make_mask(average, options), *classes;
                        ASSERT_OK(pri_mask_allocate(&shapes[s], &options, &classes));
                        ASSERT_OK(pri_mask_prune_classes(classes, average));
                        FOR_CELLS(&shapes[s])
                        assert_int_equal(pare_mask_kept(cells, l, h, i, j),
                                         pare_mask_kept(classes, l, h, i, j));
                        assert_int_equal(pare_mask_describe(cells).rescued_rows,
                                         pare_mask_describe(classes).rescued_rows);
                        pare_mask_destroy(cells);
                        pare_mask_destroy(classes);
                    }
        pare_average_destroy(average);
    }
}

static void test_masks_nest_and_no_row_is_empty(void **state)
{
    (void)state;
    for (size_t s = 0; s < SHAPES; s++)
        for (int method = PARE_METHOD_ATTENTION_PRUNING; method <= PARE_METHOD_RANDOM; method++)
            for (size_t size = 2; size <= 8; size *= 2) {
                const pare_geometry *g = &shapes[s];
                pare_average *average = make_average(*g, s, 3, true);
                pare_prune_options options = {
                    .method = (pare_method)method, .block = size, .seed = 4};
                pare_mask *wider = make_mask(average, options);
                assert_int_equal(pare_mask_describe(wider).pruned_cells, 0);
                for (int percent = 10; percent <= 100; percent += 10) {
                    options.percent = percent;
                    pare_mask *mask = make_mask(average, options);
                    size_t last_row = SIZE_MAX, kept = 1;
                    FOR_CELLS(g)
                    {
                        size_t row = (l * g->heads + h) * g->queries + i;
                        if (row != last_row) {
                            assert_true(kept > 0);
                            kept = 0;
                        }
                        last_row = row;
                        bool encoder = !g->causal && g->queries == g->keys;
                        kept += pare_mask_kept(mask, l, h, i, j) && (!encoder || j <= i);
                        assert_true(!pare_mask_kept(mask, l, h, i, j) ||
                                    pare_mask_kept(wider, l, h, i, j));
                    }
                    assert_true(kept > 0);
                    pare_mask_destroy(wider);
                    wider = mask;
                }
                pare_mask_destroy(wider);
                pare_average_destroy(average);
            }
}

/* At 100% a row of blocks keeps whole the strongest of those that even its first row has in every
 * sequence. */
static void test_keep_one_keeps_the_strongest_block(void **state)
{
    (void)state;
    const pare_geometry *g = &shapes[4];
    const size_t size = 4;
    pare_average *average = make_average(*g, 2, 3, false);
    pare_mask *mask = make_mask(average, (pare_prune_options){.percent = 100, .block = size});
    static blocks b;
    collect(average, PARE_AVERAGE_VALID, size, &b);
    for (size_t head = 0; head < 4; head++)
        for (size_t row = 0; row < b.rows; row++) {
            size_t strongest = row * b.columns;
            for (size_t block = strongest; block <= row * b.columns + row; block++)
                if (b.values[head][block] > b.values[head][strongest])
                    strongest = block;
            for (size_t block = row * b.columns; block < (row + 1) * b.columns; block++)
                b.kept[head][block] = block == strongest;
        }
    FOR_CELLS(g)
    assert_int_equal(pare_mask_kept(mask, l, h, i, j),
                     b.kept[l * g->heads + h][i / size * b.columns + j / size]);
    assert_int_equal(pare_mask_describe(mask).rescued_rows, 2 * 2 * 11);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

/* Kept blocks on the diagonal do not let the future in. */
static void test_blocks_on_the_diagonal_stay_causal(void **state)
{
    (void)state;
    pare_geometry g = {.layers = 1, .heads = 1, .queries = 8, .keys = 8, .causal = true};
    pare_average *average = make_average(g, 1, 2, false);
    pare_mask *mask = make_mask(average, (pare_prune_options){.percent = 99, .block = 4});
    pare_plan *plan;
    ASSERT_OK(pare_mask_plan(mask, 0, 8, 8, &plan));
    size_t kept = 0;
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < 8; j++) {
            assert_true(j <= i || !pare_mask_kept(mask, 0, 0, i, j));
            kept += pare_mask_kept(mask, 0, 0, i, j);
        }
    assert_true(kept >= 10 && kept < 36);
    assert_int_equal(pare_plan_kept(plan), kept);
    assert_int_equal(pare_mask_describe(mask).admissible_cells, 36);
    pare_plan_destroy(plan);
    pare_mask_destroy(mask);
    pare_average_destroy(average);
}

static void test_random_blocks(void **state)
{
    (void)state;
    const pare_geometry *g = &shapes[4];
    pare_average *average = make_average(*g, 1, 3, false), *other = make_average(*g, 8, 3, false);
    size_t differences = 0;
    pare_mask *previous = NULL;
    for (uint64_t seed = 0; seed < 10; seed++) {
        pare_prune_options options = {.method = PARE_METHOD_RANDOM,
                                      .empty_row = PARE_EMPTY_ROW_ZERO,
                                      .percent = 50,
                                      .block = 4,
                                      .seed = seed};
        pare_mask *mask = make_mask(average, options), *again = make_mask(other, options);
        FOR_CELLS(g)
        {
            bool kept = pare_mask_kept(mask, l, h, i, j);
            assert_int_equal(kept, pare_mask_kept(again, l, h, i, j));
            assert_int_equal(kept, pare_mask_kept(mask, l, h, i / 4 * 4, j / 4 * 4));
            differences += previous && kept != pare_mask_kept(previous, l, h, i, j);
        }
        /* 121 cells of each layer's 242; the next block has at most 16. */
        double pruned = (double)pare_mask_describe(mask).pruned_cells;
        assert_true(pruned <= 242 && pruned > 242 - 2 * 16);
        pare_mask_destroy(previous);
        pare_mask_destroy(again);
        previous = mask;
    }
    assert_true(differences > 0);
    pare_mask_destroy(previous);
    pare_average_destroy(average);
    pare_average_destroy(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks_equal_brute_force),
        cmocka_unit_test(test_blocks_of_one_cell_equal_cells),
        cmocka_unit_test(test_masks_nest_and_no_row_is_empty),
        cmocka_unit_test(test_keep_one_keeps_the_strongest_block),
        cmocka_unit_test(test_blocks_on_the_diagonal_stay_causal),
        cmocka_unit_test(test_random_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
