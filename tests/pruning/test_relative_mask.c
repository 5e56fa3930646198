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
        pare_average *average = make_average(shape, 5 + ragged, 4, ragged);
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
                    assert_true(pare_mask_describe(mask).p_admissible <= percent);
                    pare_mask_destroy(mask);
                }
        pare_average_destroy(average);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_masks_equal_brute_force),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
