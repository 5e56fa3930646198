/* Which classes of cells to prune: distances, special rows and columns, or blocks.
 *
 * A class stands for as many cells as it has candidates. Within a group of the scope classes go in
 * the order of their average (or of a random number) until the next one would exceed the share of
 * the group's cells, so masks nest as in the selection of cells. Classes never observed are no
 * candidates and stay. Blocks of one cell give the same mask as that selection. */
#include "pruning/mask.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/random.h"
#include "pruning/selection.h"

typedef struct class_item {
    uint64_t key;
    size_t layer, head, class_index;
    size_t rank; /* among equal keys of a head the smallest goes first */
} class_item;

/* What all heads share, and room for one head. */
typedef struct class_selection {
    pare_mask *mask;
    const pare_average *average;
    size_t block, block_columns; /* cell geometry only; else 0 */
    size_t classes;              /* per head */
    size_t *cells;               /* (classes): candidates; 0: the class is none */
    uint64_t *counts;            /* (classes): their occurrences in the corpus */
    double *sums;                /* (classes): what they carried, of one head */
    class_item *items;           /* of the group at hand */
    size_t count;
} class_selection;

static size_t class_of(const class_selection *selection, size_t row, size_t column)
{
    if (selection->block)
        return row / selection->block * selection->block_columns + column / selection->block;
    return pri_geometry_class(&selection->mask->geometry, row, column);
}

/* ---- The averages of classes ---- */

static void count_candidates(class_selection *selection)
{
    const pare_geometry *g = &selection->average->geometry;
    for (size_t row = 0; row < g->queries; row++) {
        const uint64_t *counts = selection->average->counts + row * g->keys;
        pri_columns columns = pri_geometry_columns(g, row);
        for (size_t column = columns.begin; column < columns.end; column++) {
            size_t class_index = class_of(selection, row, column);
            selection->cells[class_index] += counts[column] > 0;
            selection->counts[class_index] += counts[column];
        }
    }
}

static void sum_head(class_selection *selection, size_t layer, size_t head)
{
    const pare_average *average = selection->average;
    const pare_geometry *g = &average->geometry;
    pare_average_kind kind = selection->mask->report.options.average;
    memset(selection->sums, 0, selection->classes * sizeof *selection->sums);
    for (size_t row = 0; row < g->queries; row++) {
        const uint64_t *counts = average->counts + row * g->keys;
        const double *sums = average->sums + pri_average_index(average, layer, head, row);
        pri_columns columns = pri_geometry_columns(g, row);
        for (size_t column = columns.begin; column < columns.end; column++)
            if (counts[column])
                selection->sums[class_of(selection, row, column)] +=
                    selection->block
                        ? pri_average_ratio(average, kind, sums[column], counts[column])
                        : sums[column];
    }
}

/* Of a class with candidates, after sum_head. */
static double class_average(const class_selection *selection, size_t class_index)
{
    double sum = selection->sums[class_index], cells = (double)selection->cells[class_index];
    bool valid = selection->mask->report.options.average == PARE_AVERAGE_VALID;
    if (selection->block)
        return valid ? sum / cells : sum;
    return valid ? sum / (double)selection->counts[class_index]
                 : sum / cells / (double)selection->average->examples;
}

static class_item make_item(const class_selection *selection, size_t layer, size_t head,
                            size_t class_index)
{
    const pare_prune_options *options = &selection->mask->report.options;
    class_item item = {.layer = layer, .head = head, .class_index = class_index};
    item.key = options->method == PARE_METHOD_RANDOM
                   ? pri_random_bits(pri_random_key(options->seed, "random mask", layer),
                                     (uint64_t)head * selection->classes + class_index)
                   : pri_selection_key(class_average(selection, class_index));
    item.rank = selection->block ? class_index : selection->classes - 1 - class_index;
    return item;
}

/* ---- Pruning ---- */

static int compare_items(const void *left, const void *right)
{
    const class_item *a = left, *b = right;
    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->layer != b->layer)
        return a->layer < b->layer ? -1 : 1;
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    return (a->rank > b->rank) - (a->rank < b->rank);
}

/* Sets or clears the bits of the candidates of one block. */
static void write_block(const class_selection *selection, const class_item *item, bool kept)
{
    pare_mask *mask = selection->mask;
    const pare_geometry *g = &mask->geometry;
    size_t first_row = item->class_index / selection->block_columns * selection->block;
    size_t first_column = item->class_index % selection->block_columns * selection->block;
    for (size_t row = first_row; row < g->queries && row < first_row + selection->block; row++) {
        uint8_t *bits = mask->bits + pri_mask_row(mask, item->layer, item->head, row);
        const uint64_t *counts = selection->average->counts + row * g->keys;
        pri_columns columns = pri_geometry_columns(g, row);
        for (size_t column = first_column;
             column < columns.end && column < first_column + selection->block; column++)
            if (counts[column] && kept)
                pri_bit_set(bits, column);
            else if (counts[column])
                pri_bit_clear(bits, column);
    }
}

static void write_class(const class_selection *selection, const class_item *item, bool kept)
{
    uint8_t *bits =
        selection->mask->bits + pri_mask_row(selection->mask, item->layer, item->head, 0);
    if (selection->block)
        write_block(selection, item, kept);
    else if (kept)
        pri_bit_set(bits, item->class_index);
    else
        pri_bit_clear(bits, item->class_index);
}

/* Prunes the smallest items of the group and empties it. */
static void prune_group(class_selection *selection)
{
    size_t candidates = 0, pruned = 0;
    for (size_t i = 0; i < selection->count; i++)
        candidates += selection->cells[selection->items[i].class_index];
    size_t limit = pri_selection_share(selection->mask->report.options.percent, candidates);
    qsort(selection->items, selection->count, sizeof *selection->items, compare_items);
    for (size_t i = 0; i < selection->count; i++) {
        const class_item *item = &selection->items[i];
        size_t cells = selection->cells[item->class_index];
        if (cells > limit - pruned)
            break;
        pruned += cells;
        write_class(selection, item, false);
    }
    selection->count = 0;
}

/* Adds the classes of one head to the group. In scope row they are one row of blocks after the
 * other, each a group. */
static void add_head(class_selection *selection, size_t layer, size_t head)
{
    bool by_row = selection->mask->report.options.scope == PARE_SCOPE_ROW;
    sum_head(selection, layer, head);
    for (size_t class_index = 0; class_index < selection->classes; class_index++) {
        if (selection->cells[class_index])
            selection->items[selection->count++] = make_item(selection, layer, head, class_index);
        if (by_row && (class_index + 1) % selection->block_columns == 0)
            prune_group(selection);
    }
}

static void prune_by_scope(class_selection *selection)
{
    const pare_mask *mask = selection->mask;
    pare_scope scope = mask->report.options.scope;
    for (size_t layer = 0; layer < mask->geometry.layers; layer++) {
        for (size_t head = 0; mask->layers[layer] && head < mask->geometry.heads; head++) {
            add_head(selection, layer, head);
            if (scope == PARE_SCOPE_HEAD)
                prune_group(selection);
        }
        if (scope == PARE_SCOPE_LAYER)
            prune_group(selection);
    }
    prune_group(selection);
}

/* ---- Keep-one ---- */

/* Whether the cell can save its row: cells and classes never observed cannot. */
static bool is_candidate(const class_selection *selection, size_t row, size_t column)
{
    const pare_average *average = selection->average;
    if (selection->block)
        return average->counts[row * average->geometry.keys + column] > 0;
    return selection->cells[class_of(selection, row, column)] > 0;
}

/* Whether the row has candidates in these columns and keeps none. */
static bool has_lost_all(const class_selection *selection, size_t layer, size_t head, size_t row,
                         pri_columns columns)
{
    bool any = false;
    for (size_t column = columns.begin; column < columns.end; column++) {
        if (!is_candidate(selection, row, column))
            continue;
        if (pare_mask_kept(selection->mask, layer, head, row, column))
            return false;
        any = true;
    }
    return any;
}

/* The guarded row that needs help first, from `row` on; SIZE_MAX: none does. */
static size_t next_lost_row(const class_selection *selection, size_t layer, size_t head, size_t row)
{
    for (; row < pri_mask_guarded_rows(selection->mask); row++)
        if (has_lost_all(selection, layer, head, row,
                         pri_mask_guarded_columns(selection->mask, selection->average, row)))
            return row;
    return SIZE_MAX;
}

/* Of the observed shape. */
static size_t count_lost_rows(const class_selection *selection, size_t layer, size_t head)
{
    const pare_geometry *g = &selection->mask->geometry;
    size_t lost = 0;
    for (size_t row = 0; row < g->queries; row++)
        lost += has_lost_all(
            selection, layer, head, row,
            selection->block ? pri_mask_guarded_columns(selection->mask, selection->average, row)
                             : pri_geometry_columns(g, row));
    return lost;
}

/* Gives the row back the class that would have been pruned last. */
static void rescue_row(class_selection *selection, size_t layer, size_t head, size_t row)
{
    pri_columns columns = pri_mask_guarded_columns(selection->mask, selection->average, row);
    class_item strongest = {0};
    bool found = false;
    for (size_t column = columns.begin; column < columns.end; column++) {
        if (!is_candidate(selection, row, column))
            continue;
        class_item item = make_item(selection, layer, head, class_of(selection, row, column));
        if (!found || compare_items(&item, &strongest) > 0)
            strongest = item;
        found = true;
    }
    write_class(selection, &strongest, true);
}

static void rescue_head(class_selection *selection, size_t layer, size_t head)
{
    pare_mask *mask = selection->mask;
    size_t row = next_lost_row(selection, layer, head, 0);
    if (!mask->layers[layer] || row == SIZE_MAX)
        return;
    mask->report.rescued_rows += count_lost_rows(selection, layer, head);
    sum_head(selection, layer, head);
    for (; row != SIZE_MAX; row = next_lost_row(selection, layer, head, row + 1))
        rescue_row(selection, layer, head, row);
}

/* ---- */

static void select_classes(class_selection *selection)
{
    const pare_mask *mask = selection->mask;
    count_candidates(selection);
    prune_by_scope(selection);
    if (mask->report.options.empty_row != PARE_EMPTY_ROW_KEEP_ONE)
        return;
    for (size_t layer = 0; layer < mask->geometry.layers; layer++)
        for (size_t head = 0; head < mask->geometry.heads; head++)
            rescue_head(selection, layer, head);
}

static size_t blocks_along(size_t cells, size_t block)
{
    return cells / block + (cells % block != 0);
}

static class_selection describe_classes(pare_mask *mask, const pare_average *average)
{
    const pare_geometry *g = &mask->geometry;
    class_selection selection = {.mask = mask, .average = average};
    if (g->kind == PARE_GEOMETRY_CELL) {
        selection.block = mask->report.options.block ? mask->report.options.block : 1;
        selection.block_columns = blocks_along(g->keys, selection.block);
        selection.classes = blocks_along(g->queries, selection.block) * selection.block_columns;
    } else {
        selection.classes = pri_geometry_classes(g);
    }
    return selection;
}

pare_status pri_mask_prune_classes(pare_mask *mask, const pare_average *average)
{
    const pare_geometry *g = &mask->geometry;
    class_selection selection = describe_classes(mask, average);
    selection.cells = pri_allocate_zero(selection.classes, sizeof *selection.cells);
    selection.counts = pri_allocate_zero(selection.classes, sizeof *selection.counts);
    selection.sums = pri_allocate(selection.classes, sizeof *selection.sums);
    size_t layers = mask->report.options.scope == PARE_SCOPE_MODEL ? g->layers : 1;
    selection.items = pri_allocate(layers * g->heads, selection.classes * sizeof *selection.items);
    bool complete = selection.cells && selection.counts && selection.sums && selection.items;
    if (complete)
        select_classes(&selection);
    pri_free(selection.cells);
    pri_free(selection.counts);
    pri_free(selection.sums);
    pri_free(selection.items);
    return complete ? PARE_OK : PARE_ERROR_MEMORY;
}
